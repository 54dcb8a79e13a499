"""A list of lines, of which one can be chosen: by a click, by arrows, or by coming to it with Tab."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QFocusEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget


class Table(QTableWidget):
    """titles: of its columns; the last one takes the width that is left."""

    def __init__(self, name: str, titles: Sequence[str]) -> None:
        super().__init__(0, len(titles))
        self.setAccessibleName(name)
        self.setHorizontalHeaderLabels(list(titles))
        self.verticalHeader().hide()
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setTabKeyNavigation(False)  # Tab leaves the list; arrows move inside it
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(len(titles) - 1, QHeaderView.ResizeMode.Stretch)

    def choose_current(self) -> None:
        """While it has the focus, the line where the keyboard stands is the chosen one; the first, where it stands nowhere."""
        if self.hasFocus() and self.rowCount() and not self.selectedItems():
            # Not selectRow: from right to left it chooses nothing (Qt 6.11).
            self.setCurrentCell(min(max(0, self.currentRow()), self.rowCount() - 1), 0)

    def focusInEvent(self, event: QFocusEvent) -> None:  # noqa: N802 (Qt's name)
        """Qt makes a line the current one here, and chooses none."""
        super().focusInEvent(event)
        if event.reason() is not Qt.FocusReason.MouseFocusReason:  # a click chooses by itself
            self.choose_current()
