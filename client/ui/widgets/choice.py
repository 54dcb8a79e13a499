"""Fields that the mouse wheel does not change: it scrolls the page below them. Keys and clicks change them."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QComboBox, QDateTimeEdit


class ChoiceBox(QComboBox):
    """One of several; its open list scrolls as usual."""

    def __init__(self) -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # as it is, but the wheel gives no focus

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802 (Qt's name)
        """Not ours: the page's."""
        event.ignore()


class MomentEdit(QDateTimeEdit):
    """A day and a time."""

    def __init__(self) -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802 (Qt's name)
        """Not ours: the page's."""
        event.ignore()
