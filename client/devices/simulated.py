"""A simulated person as a source of frames: for the demo and the tests, marked as simulated everywhere."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator

from client.clock import Clock, SystemClock
from client.devices.opencv import sealed
from client.devices.ports import SourceFacts
from client.errors import BadInput
from client.language import Sentence, marked, said
from edge_models.types import Frame


class Simulated:
    """`FrameSource` over frames that somebody computes (edge_models.simulate). Not live: no frame is lost.

    frames: the frames in order, t_s strictly increasing. name: shown and put in the JSON.
    header_fps: the rate aimed at, or None. paced: hand every frame out when its time has come, as a camera
    would; the frames are the same either way. wait: seconds → True if the wait was cut short.
    """

    def __init__(
        self,
        frames: Iterable[Frame],
        *,
        name: str,
        header_fps: float | None = None,
        paced: bool = False,
        clock: Clock | None = None,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self._frames = frames
        self._name = name
        self._header_fps = header_fps
        self._paced = paced
        self._clock = clock or SystemClock()
        self._closed = threading.Event()
        self._wait = wait or self._closed.wait
        self._lock = threading.Lock()  # a generator must not be closed while it computes
        self._iterator: Iterator[Frame] | None = None
        self._waiting: Frame | None = None
        self._size_px = (0, 0)
        self._began_s = 0.0
        self._first_t_s = 0.0

    def open(self) -> SourceFacts:
        """Compute the first frame. Raises BadInput where the simulation has none."""
        iterator = iter(self._frames)
        first = next(iterator, None)
        if first is None:
            raise BadInput(
                title=said("{name} has no frames", name=self._name),
                remedy=said("Ask the simulation for more than 0 s."),
            )
        self._iterator = iterator
        self._waiting = first
        self._size_px = first.image.shape[1], first.image.shape[0]
        self._first_t_s = first.t_s
        self._began_s = self._clock.now_s()
        return self.facts()

    def read(self) -> Frame | None:
        """The next frame, at its time if paced; None after the last, and after close."""
        with self._lock:
            if self._iterator is None:
                raise RuntimeError("read before open")
            if self._closed.is_set():
                return None
            frame, self._waiting = self._waiting, None
            if frame is None:
                frame = next(self._iterator, None)
        if frame is None:
            return None
        if self._paced:
            early_s = (frame.t_s - self._first_t_s) - (self._clock.now_s() - self._began_s)
            if early_s > 0 and self._wait(early_s):
                return None
        sealed(frame.image)
        return frame

    def facts(self) -> SourceFacts:
        """The facts; they do not change."""
        return SourceFacts(
            name=self._name,
            live=False,
            simulated=True,
            header_fps=self._header_fps,
            width_px=self._size_px[0],
            height_px=self._size_px[1],
            notes=(Sentence(marked("Simulated: no person was in front of a camera.")),),
        )

    def close(self) -> None:
        """Stop, also in the middle of a paced wait."""
        self._closed.set()
        with self._lock:
            self._waiting = None
            close = getattr(self._iterator, "close", None)  # a generator lets go of what it holds
            if close is not None:
                close()
