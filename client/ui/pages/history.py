"""The history page: what is kept of one person, as a list and as a plot over days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QHBoxLayout,
    QVBoxLayout,
    QWidget,
)

from client.clock import Clock
from client.errors import HealthHelperError
from client.language import said
from client.store.history import NO_TREND, Trend, read
from client.store.observations import PAGE, Line, Observations
from client.ui.shelf import Shelf
from client.ui.views import history
from client.ui.views.history import HistoryRow
from client.ui.widgets.choice import ChoiceBox
from client.ui.widgets.layout import Page, button, card, label
from client.ui.widgets.notice import Standing
from client.ui.widgets.plots import CoursePlot
from client.ui.widgets.table import Table

_PX_APART = 3
"""A point is 6 px wide: nearer ones lie on each other."""


@dataclass(frozen=True, slots=True)
class _Found:
    """lines: one page of the list; rows: the same in words. trend: of the chosen span."""

    lines: list[Line]
    rows: list[HistoryRow]
    trend: Trend


class HistoryPage(Page):
    """open_scan, delete(str): of the chosen line. enter: a reading is to be typed in. export: all of it into a file. deleted: what was
    deleted is to be shown. unlock: the store is to be opened. failed(HealthHelperError).
    """

    open_scan = Signal(str)
    delete = Signal(str)
    enter = Signal()
    export = Signal()
    deleted = Signal()
    unlock = Signal()
    failed = Signal(object)

    def __init__(self, shelf: Shelf, clock: Clock) -> None:
        super().__init__(said("History"))
        self._shelf, self._clock = shelf, clock
        self._person: str | None = None
        self._lines: list[Line] = []
        self._rows: list[HistoryRow] = []
        self._trend = NO_TREND
        self._asked = 0
        self.heading = label(said("History"), "title")
        self.column.addWidget(self.heading)
        self.shut = Standing(self.unlock.emit)
        self.column.addWidget(self.shut)
        self._inside = QWidget()
        inside = QVBoxLayout(self._inside)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.setSpacing(self.column.spacing())
        self._add_plot(inside)
        self._add_list(inside)
        self.column.addWidget(self._inside, 1)
        self._nothing_else = QWidget()
        self.column.addWidget(self._nothing_else, 1)
        self.more.hide()
        self._draw()
        self._show_chosen()

    def _add_plot(self, column: QVBoxLayout) -> None:
        frame, inside = card()
        row = QHBoxLayout()
        self.what, self.span = ChoiceBox(), ChoiceBox()
        self.what.setAccessibleName(said("What the plot shows"))
        self.span.setAccessibleName(said("How far back"))
        for name, title in history.TRENDS.items():
            self.what.addItem(said(title), name)
        for title, days in history.SPANS_DAYS.items():
            self.span.addItem(said(title), days)
        self.span.setCurrentIndex(1)
        self.what.activated.connect(lambda _at: self._draw())
        self.span.activated.connect(lambda _at: self.refresh())
        row.addWidget(self.what)
        row.addWidget(self.span)
        row.addStretch(1)
        inside.addLayout(row)
        self.plot = CoursePlot(said("Course over days"), days=True)
        self.nothing = label("", "muted")
        inside.addWidget(self.plot)
        inside.addWidget(self.nothing)
        column.addWidget(frame)

    def _add_list(self, column: QVBoxLayout) -> None:
        self.table = Table(
            said("What is kept, the newest first"), [said("When"), said("What"), said("Values")]
        )
        self.table.setWordWrap(True)
        self.table.setMinimumHeight(12 * self.table.fontMetrics().height())
        self.table.itemSelectionChanged.connect(self._show_chosen)
        self.table.itemActivated.connect(lambda _item: self._open())
        column.addWidget(self.table, 1)
        self.details = button(said("Details"), self._open)
        self.remove = button(said("Delete"), self._delete)
        self.more = button(said("Show older ones"), self._show_more)
        self.add = button(said("Add a reading…"), self.enter.emit)
        self.write = button(said("Export…"), self.export.emit)
        self.bin = button(said("Deleted items…"), self.deleted.emit)
        for of_row in ((self.details, self.remove, self.more), (self.add, self.write, self.bin)):
            row = QHBoxLayout()
            for one in of_row:
                row.addWidget(one)
            row.addStretch(1)
            column.addLayout(row)

    def show_person(self, person: str | None, name: str) -> None:
        """Whose history it is. name: "" for a guest. Nothing of anybody else stays on the page."""
        if person != self._person:
            self.clear()
        self._person = person
        self.heading.setText(said("History of {name}", name=name or said("Guest")))
        self.refresh()

    def show_store(self, why_not: str, action: str) -> None:
        """Whether there is anything to show. why_not: "" where there is; else, with the action that helps, instead of it."""
        if why_not:
            self.clear()
            self.heading.setText(said("History"))
        self.shut.say(why_not, action)
        self._inside.setVisible(not why_not)
        self._nothing_else.setVisible(bool(why_not))

    def clear(self) -> None:
        """Nothing of what was read is here any more, and an answer that is still to come is dropped."""
        self._asked += 1
        self._lines, self._rows, self._trend = [], [], NO_TREND
        self.table.setRowCount(0)
        self.more.hide()
        self._draw()
        self._show_chosen()

    def refresh(self) -> None:
        """Read it anew."""
        self._read(None)

    def chosen(self) -> HistoryRow | None:
        """The line that is chosen in the list."""
        at = self.table.currentRow()
        return self._rows[at] if 0 <= at < len(self._rows) and self.table.selectedItems() else None

    def _read(self, before: Line | None) -> None:
        self._asked += 1
        asked, person, start, known = self._asked, self._person, self._start(), self._trend

        def job(kept: Observations) -> _Found:
            found = read(kept, person, start, before=before, known=known)
            rows = [history.row(line, found.typed.get(line.id)) for line in found.lines]
            return _Found(found.lines, rows, found.trend)

        def got(found: _Found) -> None:
            if asked == self._asked:  # another person's, who was chosen before, is not shown any more
                self._show(found, more=before is not None)

        def failed(fault: HealthHelperError) -> None:
            if asked == self._asked:
                self._fail(fault)

        self._shelf.ask(job, got, failed)

    def _start(self) -> datetime | None:
        """Of the chosen span; on the hour, so that the same trend holds for a while."""
        days = self.span.currentData()
        if days is None:
            return None
        return self._clock.utc().replace(minute=0, second=0, microsecond=0) - timedelta(days=days)

    def _show(self, found: _Found, *, more: bool) -> None:
        chosen = self.chosen()
        first = len(self._rows) if more else 0
        self._lines = [*self._lines, *found.lines] if more else found.lines
        self._rows = [*self._rows, *found.rows] if more else found.rows
        self._trend = found.trend
        lines = [(f"{history.LEFT_TO_RIGHT}{row.when}", row.kind, row.what) for row in self._rows[first:]]
        self.table.fill(lines, first=first)
        self.table.resizeRowsToContents()
        self._choose(None if chosen is None else chosen.id)
        self.more.setVisible(len(found.lines) == PAGE)
        self._draw()
        self._show_chosen()

    def _choose(self, line_id: str | None) -> None:
        """The same line as before stays chosen, if it is still there."""
        at = next((at for at, row in enumerate(self._rows) if row.id == line_id), None)
        if at is None:
            self.table.clearSelection()
            self.table.choose_current()
        else:
            self.table.setCurrentCell(at, 0)  # not selectRow: from right to left it chooses nothing (Qt 6.11)

    def _draw(self) -> None:
        series = history.series(self._trend, self.what.currentData())
        shown = history.thinned(series, max(1, self.viewport().width() // _PX_APART))
        start = self._start()
        span_s = None if start is None else (start.timestamp(), self._clock.utc().timestamp())
        self.plot.show_course(
            shown.at_s, shown.values, shown.low, shown.high, unit=series.unit, span_s=span_s
        )
        words = history.spoken(series)
        self.plot.setAccessibleDescription(words)
        self.plot.setVisible(len(series.values) > 0)
        self.nothing.setText(words)

    def _show_chosen(self) -> None:
        row = self.chosen()
        self.details.setEnabled(row is not None and row.is_scan)
        self.remove.setEnabled(row is not None)
        self.write.setEnabled(bool(self._rows))

    def _show_more(self) -> None:
        if self._lines:
            self._read(self._lines[-1])

    def _open(self) -> None:
        row = self.chosen()
        if row is not None and row.is_scan:
            self.open_scan.emit(row.id)

    def _delete(self) -> None:
        row = self.chosen()
        if row is not None:
            self.delete.emit(row.id)

    def _fail(self, fault: HealthHelperError) -> None:
        self.clear()
        self.failed.emit(fault)
