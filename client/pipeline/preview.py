"""The picture of a camera without measuring: to choose one, and to see whether it works."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

from client.devices.ports import FrameSource
from client.errors import HealthHelperError, SourceStalled
from client.pipeline.slots import Latest
from edge_models.types import Frame

_JOIN_S = 0.3


class Preview:
    """Reads a source and keeps its newest frame. A context manager: leaving it ends the thread and closes the source."""

    def __init__(self, source: FrameSource) -> None:
        self._source = source
        self._frame: Latest[Frame | None] = Latest(None)
        self._fault: Latest[HealthHelperError | None] = Latest(None)
        self._bug: BaseException | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, name="preview", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(_JOIN_S)
        if self._thread.is_alive():
            self._source.close()  # a read that hangs comes back once its device is gone
            self._thread.join(_JOIN_S)

    def frame(self) -> Frame | None:
        """The newest, or None before the first."""
        return self._frame.get()

    def fault(self) -> HealthHelperError | None:
        """What keeps pictures from coming, or None. Raises our own bug, if it was that, once."""
        bug, self._bug = self._bug, None
        if bug is not None:
            raise bug
        return self._fault.get()

    def _read(self) -> None:
        try:
            self._source.open()
            while not self._stop.is_set():
                try:
                    frame = self._source.read()
                except SourceStalled as stalled:
                    self._fault.set(stalled)
                    self._stop.wait(0.25)
                    continue
                if frame is None:
                    return
                self._fault.set(None)
                self._frame.set(frame)
        except HealthHelperError as fault:
            self._fault.set(fault)
        except BaseException as bug:  # noqa: BLE001 (raised where somebody looks)
            self._bug = bug
        finally:
            self._source.close()
