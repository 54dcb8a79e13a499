"""Pieces that every page is made of."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QFormLayout,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLayout,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)


def label(text: str = "", name: str = "", *, selectable: bool = False) -> QLabel:
    """Words that wrap. name: of the style sheet (title, heading, muted …)."""
    made = QLabel(text)
    made.setWordWrap(True)
    made.setTextFormat(Qt.TextFormat.PlainText)  # a name or a file's words are never markup
    if name:
        made.setObjectName(name)
    if selectable:
        made.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
    return made


class RoleLabel(QLabel):
    """Words in the colour of a meaning."""

    def __init__(self) -> None:
        super().__init__()
        self.setWordWrap(True)
        self.setTextFormat(Qt.TextFormat.PlainText)

    def say(self, words: str, role: str) -> None:
        """role: of the style sheet: good, muted, warning, danger."""
        self.setText(words)
        with_role(self, role)


def with_role(widget: QWidget, role: str) -> None:
    """Give a widget the colour of a meaning: one of the style sheet's roles."""
    if widget.property("role") != role:
        widget.setProperty("role", role)
        widget.style().unpolish(widget)
        widget.style().polish(widget)


def button(text: str, do: Callable[[], object], *, primary: bool = False) -> QPushButton:
    """A push button; its text is its name for a screen reader."""
    made = QPushButton(text.replace("&", "&&"))  # in a person's name it is a letter, not the mark of a key
    if primary:
        made.setObjectName("primary")
    made.setAutoDefault(True)  # Enter presses what has the focus
    made.clicked.connect(lambda _checked=False: do())
    return made


def card(title: str = "") -> tuple[QFrame, QVBoxLayout]:
    """A box on the page, and where its parts go."""
    frame = QFrame()
    frame.setObjectName("card")
    inside = QVBoxLayout(frame)
    inside.setContentsMargins(16, 14, 16, 14)
    inside.setSpacing(10)
    if title:
        inside.addWidget(label(title, "heading"))
        frame.setAccessibleName(title)
    return frame, inside


def form() -> QFormLayout:
    """Words with a field beside them; below them where there is no room, so that large text needs no wider window."""
    made = QFormLayout()
    made.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
    made.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    return made


class Page(QScrollArea):
    """A page that scrolls where the window is too small, and keeps its lines readable where it is wide."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setAccessibleName(name)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        inside = QWidget()
        inside.setObjectName("page")
        self.column = QVBoxLayout(inside)
        self.column.setContentsMargins(20, 16, 20, 16)
        self.column.setSpacing(14)
        self.setWidget(inside)


class Bar(QFrame):
    """What stands at the top: `first` at the line's beginning and `last` at its end; below each other where one line has no room for both."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setObjectName("bar")
        self.setAccessibleName(name)
        self._first, self._last = QWidget(), QWidget()
        self.first, self.last = QHBoxLayout(self._first), QHBoxLayout(self._last)
        for one in (self.first, self.last):
            one.setContentsMargins(0, 0, 0, 0)
        self.last.addStretch(1)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(20, 8, 20, 8)
        self._grid.setSizeConstraint(QLayout.SizeConstraint.SetNoConstraint)
        self._grid.setColumnStretch(1, 1)
        self._lines = 0
        self._fit()

    def _fit(self) -> None:
        """One line or two."""
        around = self._grid.contentsMargins()
        sides = around.left() + around.right()
        widths = [one.sizeHint().width() for one in (self._first, self._last)]
        least = [one.minimumSizeHint().width() for one in (self._first, self._last)]
        self.setMinimumWidth(max(least) + sides)
        lines = 1 if sum(widths) + self._grid.horizontalSpacing() + sides <= self.width() else 2
        if lines != self._lines:
            self._lines = lines
            for one in (self._first, self._last):
                self._grid.removeWidget(one)
            self._grid.addWidget(self._first, 0, 0, 1, lines)
            self._grid.addWidget(self._last, lines - 1, 2 - lines, 1, lines)
        self.setFixedHeight(self._grid.sizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 (Qt's name)
        super().resizeEvent(event)
        self._fit()

    def event(self, event: QEvent) -> bool:
        """What stands in it has become other."""
        done = super().event(event)
        if event.type() is QEvent.Type.LayoutRequest:
            self._fit()
        return done
