"""One message at the top of the window, with at most one thing to do about it; and the same inside a page, where it stays."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtGui import QAccessible, QAccessibleAnnouncementEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QWidget

from client.language import said


def announce(widget: QWidget, words: str, *, at_once: bool = False) -> None:
    """Let a screen reader say it now. at_once: whatever it is saying."""
    event = QAccessibleAnnouncementEvent(widget, words)
    if at_once:
        event.setPoliteness(QAccessible.AnnouncementPoliteness.Assertive)
    QAccessible.updateAccessibility(event)


class _Line(QFrame):
    """Hidden while there is nothing to say."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("notice")
        self.setAccessibleName(said("Message"))
        self._words = QLabel()
        self._words.setWordWrap(True)
        self._words.setTextFormat(Qt.TextFormat.PlainText)  # a name or a file's words are never markup
        self._words.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self._act = QPushButton()
        self._row = QHBoxLayout(self)
        self._row.addWidget(self._words, 1)
        self._row.addWidget(self._act)
        self.hide()

    @property
    def words(self) -> str:
        """What it says; empty while it is hidden."""
        return self._words.text() if self.isVisible() else ""


class Notice(_Line):
    """Until it is closed, or its one thing is done."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._close = QPushButton(said("Close"))
        self._close.clicked.connect(self.hide)
        self._row.addWidget(self._close)
        self._do: Callable[[], None] | None = None
        self._act.clicked.connect(self._acted)

    @property
    def offers(self) -> bool:
        """Whether there is something to do in it that would be lost with another message."""
        return not self.isHidden() and self._do is not None

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


class Standing(_Line):
    """As long as what it says is so."""

    def __init__(self, do: Callable[[], object], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._act.clicked.connect(lambda _checked=False: do())

    @property
    def action(self) -> QPushButton:
        """What helps."""
        return self._act

    def say(self, words: str, action: str) -> None:
        """Nothing for no words; no button for no action."""
        new = words != self._words.text()
        self._words.setText(words)
        self._act.setText(action)
        self._act.setVisible(bool(action))
        self.setVisible(bool(words))
        if new and words and self.isVisible():
            announce(self, words)
