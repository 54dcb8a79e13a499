"""What staff should look at: a list, from which what was looked at is taken."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QWidget

from client.clock import Clock
from client.errors import HealthHelperError
from client.language import said
from client.store.tasks import Task
from client.ui.shelf import Open, Shelf
from client.ui.views.history import LEFT_TO_RIGHT
from client.ui.views.tasks import TaskRow, row
from client.ui.widgets.layout import Page, button, label
from client.ui.widgets.notice import Standing
from client.ui.widgets.table import Table


class TasksPage(Page):
    """unlock: the store is to be opened. failed(HealthHelperError)."""

    unlock = Signal()
    failed = Signal(object)

    def __init__(self, shelf: Shelf, clock: Clock) -> None:
        super().__init__(said("For staff"))
        self._shelf, self._clock = shelf, clock
        self._rows: list[TaskRow] = []
        self._asked = 0
        self.column.addWidget(label(said("For staff"), "title"))
        self.shut = Standing(self.unlock.emit)
        self.column.addWidget(self.shut)
        self.words = label("")
        self.column.addWidget(self.words)
        self.table = Table(
            said("Readings to look at, the newest first"), [said("When"), said("Whose"), said("What")]
        )
        self.table.setWordWrap(True)
        self.table.setMinimumHeight(10 * self.table.fontMetrics().height())
        self.table.itemSelectionChanged.connect(self._show_chosen)
        self.table.horizontalHeader().sectionResized.connect(self.table.resizeRowsToContents)
        self.column.addWidget(self.table, 1)
        line = QHBoxLayout()
        self.done = button(said("Done: I have looked at it"), self._done)
        line.addWidget(self.done)
        line.addStretch(1)
        self.column.addLayout(line)
        self._rest = QWidget()
        self.column.addWidget(self._rest, 1)
        self.show_store("", "")

    def show_store(self, why_not: str, action: str) -> None:
        """Whether there is anything to show; else why not, and what helps."""
        if why_not:
            self.clear()
        self.shut.say(why_not, action)
        self.words.setVisible(not why_not)

    def clear(self) -> None:
        """Nothing of anybody is on the page."""
        self._asked += 1
        self._show([])

    def refresh(self) -> None:
        """Read it anew."""
        self._asked += 1
        asked = self._asked

        def got(found: list[Task]) -> None:
            if asked == self._asked:
                self._show([row(one, self._name_of) for one in found])

        def failed(fault: HealthHelperError) -> None:
            if asked == self._asked:
                self.clear()
                self.failed.emit(fault)

        self._shelf.ask_kept(lambda kept: kept.tasks.open(), got, failed)

    def _name_of(self, person: str) -> str:
        state = self._shelf.state
        people = state.people if isinstance(state, Open) else ()
        return next((one.name for one in people if one.id == person), "")

    def chosen(self) -> TaskRow | None:
        """The line that is chosen in the list."""
        at = self.table.currentRow()
        return self._rows[at] if 0 <= at < len(self._rows) and self.table.selectedItems() else None

    def _show(self, rows: list[TaskRow]) -> None:
        self._rows = rows
        self.words.setText(
            said(
                "Somebody should look at these readings and at whom they are of. None of them is a diagnosis."
            )
            if rows
            else said("Nothing has to be looked at.")
        )
        self.table.fill([(f"{LEFT_TO_RIGHT}{one.when}", one.whose, one.what) for one in rows])
        self.table.resizeRowsToContents()
        self.table.clearSelection()
        self.table.choose_current()
        self.table.setVisible(bool(rows))
        self.done.setVisible(bool(rows))
        self._rest.setVisible(not rows)
        self._show_chosen()

    def _show_chosen(self) -> None:
        self.done.setEnabled(self.chosen() is not None)

    def _done(self) -> None:
        one = self.chosen()
        if one is None:
            return
        now = self._clock.utc()
        self._shelf.change(
            lambda kept: kept.tasks.done(one.id, now), lambda _: self.refresh(), self.failed.emit
        )
