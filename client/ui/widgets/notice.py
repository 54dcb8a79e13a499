"""One message at the top of the window, with at most one thing to do about it."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtGui import QAccessible, QAccessibleAnnouncementEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QWidget

from client.language import said


def announce(widget: QWidget, words: str) -> None:
    """Let a screen reader say it now."""
    QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(widget, words))


class Notice(QFrame):
    """Hidden while there is nothing to say."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("notice")
        self.setAccessibleName(said("Message"))
        self._words = QLabel()
        self._words.setWordWrap(True)
        self._words.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self._act = QPushButton()
        self._close = QPushButton(said("Close"))
        self._close.clicked.connect(self.hide)
        row = QHBoxLayout(self)
        row.addWidget(self._words, 1)
        row.addWidget(self._act)
        row.addWidget(self._close)
        self._do: Callable[[], None] | None = None
        self._act.clicked.connect(self._acted)
        self.hide()

    @property
    def words(self) -> str:
        """What it says; empty while it is hidden."""
        return self._words.text() if self.isVisible() else ""

    def tell(self, words: str, action: str = "", do: Callable[[], None] | None = None) -> None:
        """Show these words, and a button for the one thing to do."""
        self._words.setText(words)
        self._act.setText(action)
        self._act.setVisible(do is not None)
        self._do = do
        self.show()
        announce(self, words)

    def _acted(self) -> None:
        self.hide()
        if self._do is not None:
            self._do()
