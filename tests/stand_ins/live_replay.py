"""A live source that replays frames as fast as they are measured: a camera's rules without its waiting."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from client.devices.ports import SourceFacts
from client.pipeline.run import Engine
from edge_models.types import Frame, Progress, Reason, ScanResult

_WAIT_S = 20.0


class LiveReplay:
    """`FrameSource` that calls itself live, so the pipeline may drop what it has no time for; nothing is dropped here,
    because a frame is handed out only when the one before it was measured by `engine`.

    frames: in order, t_s strictly increasing; they end the source. make_engine: of the real engine.
    """

    def __init__(self, frames: Iterable[Frame], make_engine: Callable[[], Engine]) -> None:
        self._frames = iter(frames)
        self._make_engine = make_engine
        self._may_read = threading.Semaphore(1)
        self._closed = False
        self.progress: list[Progress] = []

    def open(self) -> SourceFacts:
        return self.facts()

    def read(self) -> Frame | None:
        if not self._may_read.acquire(timeout=_WAIT_S) or self._closed:
            return None
        return next(self._frames, None)

    def facts(self) -> SourceFacts:
        return SourceFacts(
            name="replay", live=True, simulated=False, header_fps=None, width_px=0, height_px=0
        )

    def close(self) -> None:
        self._closed = True
        self._may_read.release()

    def engine(self) -> Engine:
        """To be given to the pipeline in place of the real one. progress: all that it said."""
        return _Told(self._make_engine(), self)

    def measured(self, progress: Progress) -> None:
        self.progress.append(progress)
        self._may_read.release()


class _Told:
    """The real engine, which tells the source when it has measured."""

    def __init__(self, engine: Engine, source: LiveReplay) -> None:
        self._engine = engine
        self._source = source

    def push(self, frame: Frame) -> Progress:
        progress = self._engine.push(frame)
        self._source.measured(progress)
        return progress

    def result(self, *, distrust: tuple[Reason, ...] = ()) -> ScanResult:
        return self._engine.result(distrust=distrust)
