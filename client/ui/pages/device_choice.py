"""What the settings' choices of a camera, a microphone and a voice share: the list comes from a system that may hang."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import QWidget

from client.pipeline.worker import Worker
from client.ui.widgets.choice import ChoiceBox

_LOOK_EVERY_MS = 50
_END_S = 0.3
Entry = TypeVar("Entry")


class DeviceChoice(QWidget, Generic[Entry]):
    """changed: another one was chosen. A thread of its own waits for the system, and the window looks (`_look`) at what came of it.

    worker: the thread's name. find: lists what there is, in that thread. Devices come and go: they are looked for whenever the page is shown, and
    not before.
    """

    changed = Signal()

    def __init__(self, worker: str, find: Callable[[], Sequence[Entry]]) -> None:
        super().__init__()
        self._named, self._find = worker, find
        self._worker: Worker | None = None
        self._listed: Future[Sequence[Entry]] | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(_LOOK_EVERY_MS)
        self._timer.timeout.connect(self._look)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 (Qt's name)
        super().showEvent(event)
        if self._worker is None:
            self._worker = Worker(self._named)
            self._listed = self._worker.do(self._find)
            self._timer.start()

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802 (Qt's name)
        super().hideEvent(event)
        self.end()

    def end(self) -> None:
        """Let go of what is tried, and of whoever lists."""
        self._stop()
        self._timer.stop()
        worker, self._worker, self._listed = self._worker, None, None
        if worker is not None:
            worker.end(_END_S)

    @abstractmethod
    def _look(self) -> None:
        """What has come; stops the timer when nothing is waited for."""

    @abstractmethod
    def _stop(self) -> None:
        """End a try."""


def device_box(name: str) -> ChoiceBox:
    """Names of devices can be long: the box is no wider for them."""
    box = ChoiceBox()
    box.setAccessibleName(name)
    box.setSizeAdjustPolicy(ChoiceBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(18)
    return box
