"""A list of lines, of which one can be chosen: by a click, by arrows, or by coming to it with Tab."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QFocusEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem


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

    def fill(self, lines: Sequence[Sequence[str]], *, first: int = 0) -> None:
        """Show these lines from line `first` on, and none behind them. Columns are measured once, at the end: Qt would measure all lines
        for each cell, which takes a minute for a thousand lines.
        """
        header = self.horizontalHeader()
        columns = range(self.columnCount())
        modes = [header.sectionResizeMode(column) for column in columns]
        for column in columns:
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Fixed)
        self.setRowCount(first + len(lines))
        for at, line in enumerate(lines, first):
            for column, text in enumerate(line):
                item = QTableWidgetItem(text)
                item.setTextAlignment(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeading)
                self.setItem(at, column, item)
        for column, mode in zip(columns, modes, strict=True):
            header.setSectionResizeMode(column, mode)

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
