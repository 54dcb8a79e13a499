"""Where somebody types a question, and the button for who would rather talk."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QFocusEvent, QHideEvent, QKeyEvent
from PySide6.QtWidgets import QFrame, QPlainTextEdit, QPushButton, QSizePolicy, QWidget

from client.language import said

_LINES = 2
_HELD_MS = 400
"""Whoever lets go sooner has pressed it, and presses it again at the end; others hold it."""


class Composer(QPlainTextEdit):
    """sent: Enter was pressed; Shift and Enter begin a new line. Takes plain text only, whatever is put in."""

    sent = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("composer")
        self.setAccessibleName(said("Your question"))
        self.setPlaceholderText(said("Type your question. Enter sends it."))
        self.setTabChangesFocus(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setUndoRedoEnabled(False)  # what was sent or forgotten does not come back
        self.setFrameShape(QFrame.Shape.NoFrame)

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        return QSize(200, _LINES * self.fontMetrics().lineSpacing() + 22)

    minimumSizeHint = sizeHint  # noqa: N815 (Qt's name)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 (Qt's name)
        enter = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        if enter and not event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            if not event.isAutoRepeat():
                self.sent.emit()
            return
        super().keyPressEvent(event)


class TalkButton(QPushButton):
    """talks(bool): somebody begins or ends to talk. Held down with the mouse, a finger or Space; or pressed once before and once after, by
    whatever presses a button.
    """

    talks = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAutoDefault(False)
        self.setObjectName("talk")
        self._on = self._ending = False
        self._short = QTimer(self)
        self._short.setSingleShot(True)
        self._short.setInterval(_HELD_MS)
        self.pressed.connect(self._pressed)
        self.released.connect(self._released)
        self._say()

    @property
    def on(self) -> bool:
        """Whether somebody talks."""
        return self._on

    def end(self) -> None:
        """Nobody does any more."""
        self._short.stop()
        self._set(on=False)

    def _pressed(self) -> None:
        self._ending = self._on
        if not self._on:
            self._short.start()
            self._set(on=True)

    def _released(self) -> None:
        if self._ending or not self._short.isActive():
            self._set(on=False)

    def _set(self, *, on: bool) -> None:
        if on != self._on:
            self._on = on
            self._say()
            self.talks.emit(on)

    def _say(self) -> None:
        self.setText(said("Stop talking") if self._on else said("Talk"))
        self.setProperty("on", self._on)
        self.style().unpolish(self)
        self.style().polish(self)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 (Qt's name)
        """Enter too; it can't be held."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            if not event.isAutoRepeat():
                self.click()
            return
        super().keyPressEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:  # noqa: N802 (Qt's name)
        """Nobody talks to a window that is not in front."""
        super().focusOutEvent(event)
        if event.reason() is Qt.FocusReason.ActiveWindowFocusReason:
            self.end()

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802 (Qt's name)
        super().hideEvent(event)
        self.end()

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802 (Qt's name)
        super().changeEvent(event)
        if event.type() is QEvent.Type.EnabledChange and not self.isEnabled():
            self.end()
