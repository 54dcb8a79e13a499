"""The result page: a scan that has just ended, or one from the history."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QShortcut
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel

from client.language import said
from client.records import ScanRecord, busiest_s
from client.reports.wording import NOT_A_DEVICE, SIMULATED
from client.store.observations import Line
from client.store.scans import taken_at_local
from client.ui.views.result import Row, result_view
from client.ui.widgets.layout import Page, button, card, label
from client.ui.widgets.notice import Standing
from client.ui.widgets.plots import CoursePlot, WavePlot

_WAVE_S = 10.0


@dataclass(frozen=True, slots=True)
class Shown:
    """What the page shows. kept: the line of a scan that is kept, or None. whose: the name it is or would be saved under; "" for a guest."""

    record: ScanRecord
    kept: Line | None
    whose: str


class ResultPage(Page):
    """save, report, discard, back, unlock: the person wants that. delete(str): of a kept one.

    Nothing can be saved before show_store has said that it can.
    """

    save = Signal()
    unlock = Signal()
    report = Signal()
    discard = Signal()
    back = Signal()
    delete = Signal(str)

    def __init__(self, shown: Shown) -> None:
        super().__init__(said("Result"))
        self.shown = shown
        view = result_view(shown.record)
        self.heading = label(view.heading, "title", selectable=True)
        self.column.addWidget(self.heading)
        if view.simulated:
            self.column.addWidget(label(said(SIMULATED), "warning"))
        self._add_standing(view.why_not_saved)
        self._buttons(can_be_saved=view.why_not_saved is None)
        self.column.addWidget(label(view.sub, "muted", selectable=True))
        grid = QGridLayout()
        grid.setSpacing(12)
        for at, row in enumerate(view.rows):
            grid.addWidget(_vital(row), at // 2, at % 2)
        self.column.addLayout(grid)
        self._plots(shown.record)
        for remark in view.remarks:
            self.column.addWidget(label(remark, "muted", selectable=True))
        self.column.addWidget(label(said(NOT_A_DEVICE), "muted"))
        self.column.addStretch(1)

    def _add_standing(self, why_not_saved: str | None) -> None:
        """Whether it is kept, for whom, or why it can't be."""
        kept = self.shown.kept
        if kept is not None:
            when = f"{taken_at_local(kept):%Y-%m-%d %H:%M}"
            words = said("Kept for {name}, {when}.", name=self.shown.whose or said("Guest"), when=when)
        else:
            words = said("Not saved yet.") if why_not_saved is None else why_not_saved
        waits = kept is None and why_not_saved is None
        self.standing = label(words, "warning" if waits else "muted", selectable=not waits)
        self.column.addWidget(self.standing)

    def _plots(self, record: ScanRecord) -> None:
        wave = record.result.bvp
        if len(wave.t_s) > 1:
            frame, inside = card(said("Pulse wave (10 s of it)"))
            plot = WavePlot(said("Pulse wave"))
            begin_s = busiest_s(record.result.beats_s, float(wave.t_s[-1]), _WAVE_S)
            plot.show_part(wave, begin_s, _WAVE_S)
            inside.addWidget(plot)
            self.column.addWidget(frame)
        trend = record.result.trend
        if any(point.heart_rate is not None for point in trend):
            frame, inside = card(said("Heart rate in the course of the scan (gaps: withheld)"))
            course = CoursePlot(said("Heart rate in the course of the scan"))
            columns = [
                [np.nan if number is None else number for number in (p.heart_rate, p.low, p.high)]
                for p in trend
            ]
            values, low, high = np.array(columns, np.float64).T
            course.show_course([p.t_s for p in trend], values.tolist(), low.tolist(), high.tolist())
            inside.addWidget(course)
            self.column.addWidget(frame)

    def _buttons(self, *, can_be_saved: bool) -> None:
        self.shut = Standing(self.unlock.emit)
        self.column.addWidget(self.shut)
        row = QHBoxLayout()
        self.save_button = None
        if self.shown.kept is None and can_be_saved:
            name = self.shown.whose
            words = said("Save for {name}", name=name) if name else said("Save as guest")
            self.save_button = button(words, self.save.emit, primary=True)
            self.save_button.setEnabled(False)
            row.addWidget(self.save_button)
        self.report_button = button(said("Report…"), self.report.emit)
        row.addWidget(self.report_button)
        if self.shown.kept is None:
            self.done_button = button(said("Discard"), self.discard.emit)
        else:
            self.done_button = button(said("Back"), self.back.emit)
            QShortcut(Qt.Key.Key_Escape, self).activated.connect(self.back.emit)
            scan_id = self.shown.kept.id
            row.addWidget(button(said("Delete"), lambda: self.delete.emit(scan_id)))
        row.addWidget(self.done_button)
        row.addStretch(1)
        self.column.addLayout(row)

    def show_store(self, why_not: str, action: str, *, saving: bool) -> None:
        """Whether it can be saved now. why_not: "" where it can; else, with the action that helps, beside the button."""
        if self.save_button is not None:
            self.save_button.setEnabled(not why_not and not saving)
            self.shut.say(why_not and said("This can't be saved now: {why}", why=why_not), action)

    def focus_first(self) -> None:
        """The keyboard begins at what is most likely wanted."""
        usable = self.save_button is not None and self.save_button.isEnabled()
        (self.save_button if usable and self.save_button else self.report_button).setFocus()


def _vital(row: Row) -> QFrame:
    frame, inside = card()
    frame.setAccessibleName(row.spoken)
    inside.addWidget(label(row.title, "heading"))
    value = QHBoxLayout()
    number = QLabel(row.value)
    number.setObjectName("value")
    value.addWidget(number)
    if row.shown:
        unit = QLabel(row.unit)
        unit.setObjectName("muted")
        value.addWidget(unit, 0, Qt.AlignmentFlag.AlignBottom)
    value.addStretch(1)
    inside.addLayout(value)
    inside.addWidget(label(row.beside, selectable=True))
    inside.addWidget(label(row.meaning, "muted"))
    inside.addStretch(1)
    return frame
