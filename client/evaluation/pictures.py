"""A source of frames out of pictures that lie in no video file, for data sets that are handed out as pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from client.devices.ports import SourceFacts
from edge_models.types import Frame


class Pictures:
    """`FrameSource` over an iterator of frames; it ends with it. name: as shown."""

    def __init__(self, name: str, frames: Callable[[], Iterator[Frame]]) -> None:
        self._name = name
        self._make = frames
        self._frames: Iterator[Frame] = iter(())
        self._waiting: Frame | None = None

    def open(self) -> SourceFacts:
        """Read the first picture."""
        self._frames = self._make()
        self._waiting = next(self._frames, None)
        return self.facts()

    def read(self) -> Frame | None:
        """The next frame; None after the last."""
        frame, self._waiting = self._waiting, None
        return frame if frame is not None else next(self._frames, None)

    def facts(self) -> SourceFacts:
        """Nothing is claimed of the rate: the frames' own times are all there is."""
        height, width = (0, 0) if self._waiting is None else self._waiting.image.shape[:2]
        return SourceFacts(
            name=self._name, live=False, simulated=False, header_fps=None, width_px=width, height_px=height
        )

    def close(self) -> None:
        """No more frames."""
        self._frames, self._waiting = iter(()), None
