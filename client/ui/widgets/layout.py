"""Pieces that every page is made of."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFormLayout, QFrame, QLabel, QPushButton, QScrollArea, QVBoxLayout, QWidget


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
