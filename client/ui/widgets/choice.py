"""Fields that the mouse wheel does not change: it scrolls the page below them. Keys and clicks change them."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent, QWheelEvent
from PySide6.QtWidgets import QComboBox, QDateTimeEdit


class ChoiceBox(QComboBox):
    """One of several; its open list scrolls as usual."""

    def __init__(self) -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # as it is, but the wheel gives no focus

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802 (Qt's name)
        """Not ours: the page's."""
        event.ignore()


_SAME_SCAN_MS = 1000
"""A scanner types a number in a few hundred milliseconds."""


class PersonBox(ChoiceBox):
    """One of several people, who can also be chosen by what a barcode scanner types: signs, and Enter.

    scanned(str): that. takes_numbers: whether anybody has a number. Then letters do not search in the list as they otherwise do: a number
    that nobody has would choose whoever's name begins as it does.
    """

    scanned = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.takes_numbers = False
        self._typed, self._typed_at_ms = "", 0

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 (Qt's name)
        """Signs are gathered; Enter hands them over."""
        if not self.takes_numbers:
            super().keyPressEvent(event)
            return
        if event.timestamp() - self._typed_at_ms > _SAME_SCAN_MS:
            self._typed = ""
        text = event.text()
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self._typed.strip():
            typed, self._typed = self._typed, ""
            self.scanned.emit(typed)
        elif text.isprintable() and text and (text != " " or self._typed):
            self._typed += text
            self._typed_at_ms = event.timestamp()
        else:
            super().keyPressEvent(event)


class MomentEdit(QDateTimeEdit):
    """A day and a time."""

    def __init__(self) -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802 (Qt's name)
        """Not ours: the page's."""
        event.ignore()
