"""The page about sending: what waits, what was refused and why, since when, and what can be done about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QWidget

from client.errors import HealthHelperError
from client.language import said
from client.parts import Kept
from client.pipeline.sharing import clinic_of
from client.pipeline.sync import SyncState, SyncStatus
from client.store.outbox import PAGE, Item, ItemKind
from client.ui.shelf import Open, Shelf
from client.ui.views import sync
from client.ui.views.sync import Badge, ItemRow
from client.ui.widgets.layout import Page, RoleLabel, button, card, label
from client.ui.widgets.notice import Standing
from client.ui.widgets.table import Table

_PARTS = 1000
"""Of the bar of progress."""


@dataclass(frozen=True, slots=True)
class _Found:
    """items: one page of the outbox. kinds: of observations; titles: of documents; both by id, of those that are there."""

    items: list[Item]
    kinds: dict[str, str]
    titles: dict[str, str]


class SyncPage(Page):
    """retry(list[str] | None): these, or all that were refused. export: what was refused into a file. earlier: what was kept before is to
    be sent too. enrol, unlock, failed(HealthHelperError).
    """

    retry = Signal(object)
    export = Signal()
    earlier = Signal()
    enrol = Signal()
    unlock = Signal()
    failed = Signal(object)

    def __init__(self, shelf: Shelf) -> None:
        super().__init__(said("Sending to the clinic"))
        self._shelf = shelf
        self._rows: list[ItemRow] = []
        self._newest_seq = 0
        self._asked = 0
        self._stamp: object = None
        self._file = ""
        self.column.addWidget(label(said("Sending to the clinic"), "title"))
        self.shut = Standing(self.unlock.emit)
        self.column.addWidget(self.shut)
        self.fault = Standing(self.enrol.emit)
        self.column.addWidget(self.fault)
        self._add_state()
        self._add_list()
        self._rest = QWidget()
        self.column.addWidget(self._rest, 1)
        self.clear()

    def _add_state(self) -> None:
        self._card, inside = card()
        self.state = RoleLabel()
        self.state.setObjectName("state")
        self.clinic = label("", "muted", selectable=True)
        self.summary = label("", selectable=True)
        inside.addWidget(self.state)
        inside.addWidget(self.clinic)
        inside.addWidget(self.summary)
        self._under_way = QWidget()
        row = QHBoxLayout(self._under_way)
        row.setContentsMargins(0, 0, 0, 0)
        self.progress = QProgressBar()
        self.progress.setRange(0, _PARTS)
        self.progress.setTextVisible(False)
        self.progress.setAccessibleName(said("The file that is being sent"))
        self.progress_words = label("", "muted")
        self.cancel = button(said("Stop sending this file"), lambda: self._shelf.cancel_sending(self._file))
        row.addWidget(self.progress, 1)
        row.addWidget(self.progress_words)
        row.addWidget(self.cancel)
        inside.addWidget(self._under_way)
        self.column.addWidget(self._card)

    def _add_list(self) -> None:
        self.nothing = label(said("Nothing waits and nothing was refused."))
        self.column.addWidget(self.nothing)
        self.table = Table(
            said("What waits or was refused, the oldest first"),
            [said("Since"), said("What"), said("How it stands")],
        )
        self.table.setWordWrap(True)
        self.table.setMinimumHeight(10 * self.table.fontMetrics().height())
        self.table.itemSelectionChanged.connect(self._show_chosen)
        self.table.horizontalHeader().sectionResized.connect(self.table.resizeRowsToContents)
        self.column.addWidget(self.table, 1)
        self.again = button(said("Try this again"), self._retry_chosen)
        self.all_again = button(said("Try all again"), lambda: self.retry.emit(None))
        self.more = button(said("Show later ones"), self._show_more)
        self.write = button(said("Export what was refused…"), self.export.emit)
        self.send_earlier = button(said("Send earlier ones…"), self.earlier.emit)
        for of_row in ((self.again, self.all_again, self.more), (self.write, self.send_earlier)):
            row = QHBoxLayout()
            for one in of_row:
                row.addWidget(one)
            row.addStretch(1)
            self.column.addLayout(row)

    def show_store(self, why_not: str, action: str) -> None:
        """Whether there is anything to show; else why not, and what helps."""
        if why_not:
            self.clear()
        self.shut.say(why_not, action)
        self._card.setVisible(not why_not)

    def clear(self) -> None:
        """Nothing of anybody is on the page."""
        self._asked += 1
        self._stamp = None
        self.fault.say("", "")
        self._under_way.hide()
        self._show(_Found([], {}, {}), more=False)
        self.nothing.hide()

    def show_status(self, status: SyncStatus | None, shown: Badge | None, now: datetime) -> None:
        """How it stands at `now` (UTC); asked for some times a second. What waits is read anew where it has become other."""
        state = self._shelf.state
        if status is None or not isinstance(state, Open):
            return
        enrolled = status.state is not SyncState.NOT_ENROLLED
        ended = status.state in (SyncState.REVOKED, SyncState.SIGN_IN_LOST, SyncState.NOT_ENROLLED)
        self.fault.say(sync.trouble(status), said("Enrol this device…") if ended else "")
        if shown is None:
            self.state.say(said("Not enrolled"), "muted")
        else:
            self.state.say(shown.text, str(shown.role))
        self.clinic.setText(clinic_of(state.server, state.clinic) if state.server else "")
        self.clinic.setVisible(bool(state.server))
        self.summary.setText(sync.summary(status, now))
        self._show_progress(status)
        self.send_earlier.setEnabled(enrolled)
        self.all_again.setEnabled(enrolled and status.counts.parked + status.counts.pending > 0)
        self.write.setEnabled(status.counts.parked > 0)
        stamp = (status.counts, status.state, status.last_success_utc)
        if stamp != self._stamp:
            self._stamp = stamp
            self.refresh()

    def _show_progress(self, status: SyncStatus) -> None:
        now = status.progress
        self._under_way.setVisible(now is not None)
        if now is not None:
            self._file = now.id
            share = now.sent_bytes / now.length_bytes if now.length_bytes else 0.0
            self.progress.setValue(round(_PARTS * share))
            words = said(
                "{sent} of {all} MB",
                sent=f"{now.sent_bytes / 1e6:.1f}",
                all=f"{now.length_bytes / 1e6:.1f}",
            )
            self.progress_words.setText(words)
            self.progress.setAccessibleDescription(words)

    def refresh(self) -> None:
        """Read it anew, from the beginning."""
        self._read(0)

    def _read(self, after_seq: int) -> None:
        self._asked += 1
        asked = self._asked

        def job(kept: Kept) -> _Found:
            items = kept.outbox.items(PAGE, after_seq)
            seen = [one.id for one in items if one.kind == ItemKind.OBSERVATION]
            kinds = {one.line.id: one.line.kind for one in kept.observations.wholes(seen)}
            files = (kept.documents.get(one.id) for one in items if one.kind == ItemKind.DOCUMENT)
            return _Found(items, kinds, {one.id: one.title for one in files if one is not None})

        def got(found: _Found) -> None:
            if asked == self._asked:
                self._show(found, more=after_seq > 0)

        def failed(fault: HealthHelperError) -> None:
            if asked == self._asked:
                self.failed.emit(fault)

        self._shelf.ask_kept(job, got, failed)

    def _show(self, found: _Found, *, more: bool) -> None:
        chosen = self.chosen()
        rows = [
            sync.item_row(one, found.kinds.get(one.id), found.titles.get(one.id), self._name_of)
            for one in found.items
        ]
        self._rows = [*self._rows, *rows] if more else rows
        self._newest_seq = found.items[-1].seq if found.items else self._newest_seq
        self.table.fill([(row.since, row.what, row.why) for row in self._rows])
        self.table.resizeRowsToContents()
        self._choose(None if chosen is None else chosen.id)
        there = bool(self._rows)
        self.table.setVisible(there)
        self.again.setVisible(there)
        self.nothing.setVisible(not there)
        self._rest.setVisible(not there)
        self.more.setVisible(len(found.items) == PAGE)
        self._show_chosen()

    def _choose(self, item_id: str | None) -> None:
        at = next((at for at, row in enumerate(self._rows) if row.id == item_id), None)
        if at is None:
            self.table.clearSelection()
            self.table.choose_current()
        else:
            self.table.setCurrentCell(at, 0)  # not selectRow: from right to left it chooses nothing (Qt 6.11)

    def _name_of(self, person: str) -> str:
        state = self._shelf.state
        people = state.people if isinstance(state, Open) else ()
        return next((one.name for one in people if one.id == person), "")

    def chosen(self) -> ItemRow | None:
        """The line that is chosen in the list."""
        at = self.table.currentRow()
        return self._rows[at] if 0 <= at < len(self._rows) and self.table.selectedItems() else None

    def _show_chosen(self) -> None:
        one = self.chosen()
        self.again.setEnabled(one is not None and one.parked)

    def _show_more(self) -> None:
        self._read(self._newest_seq)

    def _retry_chosen(self) -> None:
        one = self.chosen()
        if one is not None:
            self.retry.emit([one.id])
