"""The documents page: files and photographed pages of one person are added, looked at, copied out, deleted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Protocol, TypeVar

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import (
    QColor,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDragMoveEvent,
    QDropEvent,
    QPainter,
    QPaintEvent,
    QPen,
)
from PySide6.QtWidgets import (
    QDialog,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QProgressBar,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from client.clock import Clock
from client.devices.ports import FrameSource
from client.errors import BadInput, HealthHelperError, Interrupted
from client.intake import Accepted, accept, accept_picture
from client.language import said
from client.pipeline.handing_on import write_copy
from client.pipeline.sharing import of_the_copy
from client.pipeline.worker import Worker
from client.store.documents import Document, Documents, Purpose
from client.store.outbox import Item, ItemKind, Outbox
from client.ui import look
from client.ui.pages.dialogs import ConfirmDialog
from client.ui.pages.document_preview import PreviewDialog
from client.ui.pages.files import documents_folder
from client.ui.pages.page_photo import PagePhotoDialog
from client.ui.views import documents
from client.ui.views.documents import DocumentRow
from client.ui.widgets.layout import Page, button, card, label
from client.ui.widgets.notice import Notice, Standing, announce
from client.ui.widgets.table import Table

if TYPE_CHECKING:
    from edge_models.types import ByteArray

T = TypeVar("T")
_LOOK_EVERY_MS = 50
_END_S = 3.0
_MOST_FILES = 100
"""At once: a whole folder dropped by mistake is not added."""
_OUTBOX_PAGE = 500


class Desk(Protocol):
    """What is needed of an open store; `client.parts.Kept` has it."""

    @property
    def documents(self) -> Documents: ...
    @property
    def outbox(self) -> Outbox: ...


class AskKept(Protocol):
    """`Shelf.ask_kept`: the job is done in the store's thread, one of the others is called in the window's."""

    def __call__(
        self,
        job: Callable[[Desk], T],
        then: Callable[[T], None],
        otherwise: Callable[[HealthHelperError], None],
        /,
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class _Found:
    """All of one person's, with what is known of each in the outbox."""

    documents: Sequence[Document]
    items: Mapping[str, Item]
    sent: frozenset[str]


@dataclass(slots=True)
class _Adding:
    """What is being added for one person, one after the other. guest_agrees: that it is sent, where person is None."""

    person: str | None
    guest_agrees: bool
    waiting: list[Path | tuple[ByteArray, str]]
    total: int
    cancelled: Event = field(default_factory=Event)
    done: list[str] = field(default_factory=list)
    failed: list[HealthHelperError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    share: int = 0


Decide = Callable[
    [str | None, Callable[[bool], None], Callable[[HealthHelperError | None], None]],
    None,
]
"""person, then (whether a guest's may be sent; of a person, what was noted holds), not_now (a fault, or None: after all not)."""


class DocumentsPage(Page):
    """unlock: the store is to be opened. added: something new is kept, and perhaps owed to the cloud. failed(HealthHelperError).

    make_camera: the camera for photographs of pages; raises HealthHelperError. decide: asked before documents of somebody are
    added, whether they may be sent (see `Saving.decide`). What is handed in is looked at in a thread of the page's
    own (and in a process of its own, see `client.intake.apart`), so that neither the window nor the store waits for it.
    """

    unlock = Signal()
    added = Signal()
    failed = Signal(object)

    def __init__(
        self,
        ask: AskKept,
        clock: Clock,
        notice: Notice,
        make_camera: Callable[[], FrameSource],
        decide: Decide,
    ) -> None:
        super().__init__(said("Documents"))
        self._ask, self._clock, self._notice = ask, clock, notice
        self._make_camera, self._decide = make_camera, decide
        self._person: str | None = None
        self._is_open = True
        self._found = _Found((), {}, frozenset())
        self._percent: Mapping[str, int] = {}
        self._rows: list[DocumentRow] = []
        self._asked = 0
        self._worker: Worker | None = None
        self._adding: _Adding | None = None
        self._taking: Future[Accepted] | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(_LOOK_EVERY_MS)
        self._timer.timeout.connect(self._look)
        self.heading = label(said("Documents"), "title")
        self.column.addWidget(self.heading)
        self.shut = Standing(self.unlock.emit)
        self.column.addWidget(self.shut)
        self._inside = QWidget()
        inside = QVBoxLayout(self._inside)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.setSpacing(self.column.spacing())
        self._add_ways_in(inside)
        self._add_progress(inside)
        self._add_list(inside)
        self.column.addWidget(self._inside, 1)
        self._nothing_else = QWidget()
        self.column.addWidget(self._nothing_else, 1)
        self._nothing_else.hide()
        self.setAcceptDrops(True)
        self._show_rows()

    # What is shown

    def _add_ways_in(self, column: QVBoxLayout) -> None:
        self.target = _Target()
        self.target.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        inside = QVBoxLayout(self.target)
        inside.setContentsMargins(16, 14, 16, 14)
        inside.addWidget(label(said("Drop files here, or choose them: PDF, JPEG or PNG.")))
        inside.addWidget(
            label(
                said("Place, time and camera are taken out of pictures. A PDF is kept as it is."),
                "muted",
            )
        )
        row = QHBoxLayout()
        self.add = button(said("Add files…"), self.choose_files, primary=True)
        self.photograph = button(said("Photograph a page…"), self.photograph_page)
        row.addWidget(self.add)
        row.addWidget(self.photograph)
        row.addStretch(1)
        inside.addLayout(row)
        column.addWidget(self.target)

    def _add_progress(self, column: QVBoxLayout) -> None:
        self._progress, inside = card()
        self._progress.setAccessibleName(said("Adding"))
        self.doing = label("")
        self.bar = QProgressBar()
        self.bar.setRange(0, 100)
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName(said("Progress of adding"))
        row = QHBoxLayout()
        self.stop = button(said("Cancel"), self.cancel)
        row.addWidget(self.stop)
        row.addStretch(1)
        inside.addWidget(self.doing)
        inside.addWidget(self.bar)
        inside.addLayout(row)
        self._progress.hide()
        column.addWidget(self._progress)
        self._wrong, inside = card(said("Not added"))
        self.wrong = label("", selectable=True)
        row = QHBoxLayout()
        self.wrong_seen = button(said("Close"), self._wrong.hide)
        row.addWidget(self.wrong_seen)
        row.addStretch(1)
        inside.addWidget(self.wrong)
        inside.addLayout(row)
        self._wrong.hide()
        column.addWidget(self._wrong)

    def _add_list(self, column: QVBoxLayout) -> None:
        self.nothing = label(said("Nothing is kept here yet."), "muted")
        self.nothing.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        column.addWidget(self.nothing)
        self.table = Table(
            said("Documents, the newest first"),
            [said("When"), said("Title"), said("What"), said("At the clinic")],
        )
        self.table.setWordWrap(True)
        self.table.setMinimumHeight(9 * self.table.fontMetrics().height())
        self.table.itemSelectionChanged.connect(self._show_chosen)
        self.table.itemActivated.connect(lambda _item: self.preview())
        column.addWidget(self.table, 1)
        self.look_at = button(said("Preview"), self.preview)
        self.copy = button(said("Save a copy…"), self.save_copy)
        self.remove = button(said("Delete"), self.delete)
        row = QHBoxLayout()
        for one in (self.look_at, self.copy, self.remove):
            row.addWidget(one)
        row.addStretch(1)
        column.addLayout(row)
        column.addStretch(0)

    def show_person(self, person: str | None, name: str) -> None:
        """Whose documents they are. name: "" for a guest. Nothing of anybody else stays on the page."""
        if person != self._person:
            self.clear()
        self._person = person
        self.heading.setText(said("Documents of {name}", name=name or said("Guest")))
        self.refresh()

    def show_store(self, why_not: str, action: str) -> None:
        """Whether there is anything to show. why_not: "" where there is; else, with the action that helps, instead of it."""
        self._is_open = not why_not
        if why_not:
            self.cancel()
            self.clear()
            self.heading.setText(said("Documents"))
        self.shut.say(why_not, action)
        self._inside.setVisible(not why_not)
        self._nothing_else.setVisible(bool(why_not))
        self.setAcceptDrops(not why_not)

    def show_sending(self, percent: Mapping[str, int]) -> None:
        """How much of each document that is being sent now has arrived, in percent, by id."""
        if dict(percent) != dict(self._percent):
            self._percent = dict(percent)
            self._show_rows()

    def clear(self) -> None:
        """Nothing of what was read is here any more, and an answer that is still to come is dropped."""
        self._asked += 1
        self._found = _Found((), {}, frozenset())
        self._wrong.hide()
        self.wrong.setText("")
        self._show_rows()

    def refresh(self) -> None:
        """Read it anew: after somebody was chosen, and whenever the state of sending is another."""
        self._asked += 1
        asked, person = self._asked, self._person

        def job(kept: Desk) -> _Found:
            found = kept.documents.list(person)
            return _Found(found, _owed(kept.outbox), frozenset(kept.outbox.sent([one.id for one in found])))

        def got(found: _Found) -> None:
            if asked == self._asked:
                self._found = found
                self._show_rows()

        def failed(fault: HealthHelperError) -> None:
            if asked == self._asked:
                self.clear()
                self.failed.emit(fault)

        self._ask(job, got, failed)

    def chosen(self) -> DocumentRow | None:
        """The line that is chosen in the list."""
        at = self.table.currentRow()
        return self._rows[at] if 0 <= at < len(self._rows) and self.table.selectedItems() else None

    def _show_rows(self) -> None:
        chosen = self.chosen()
        self._rows = [
            documents.row(
                one,
                self._found.items.get(one.id),
                sent=one.id in self._found.sent,
                percent=self._percent.get(one.id),
            )
            for one in self._found.documents
        ]
        self.table.fill([(row.when, row.title, row.what, row.state) for row in self._rows])
        self._fit_columns()
        self.table.setVisible(bool(self._rows))
        self.nothing.setVisible(not self._rows)
        kept = next((at for at, row in enumerate(self._rows) if chosen and row.id == chosen.id), None)
        if kept is None:
            self.table.clearSelection()
            self.table.choose_current()
        else:
            self.table.setCurrentCell(
                kept, 0
            )  # not selectRow: from right to left it chooses nothing (Qt 6.11)
        self._show_chosen()

    def _fit_columns(self) -> None:
        """A title may be 200 letters long; it wraps."""
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(1, header.ResizeMode.Interactive)
        widest = max(
            [self.table.sizeHintForColumn(1), header.sectionSizeHint(1)], default=header.sectionSizeHint(1)
        )
        self.table.setColumnWidth(1, min(widest, 18 * self.table.fontMetrics().averageCharWidth()))
        self.table.resizeRowsToContents()

    def _show_chosen(self) -> None:
        row = self.chosen()
        self.look_at.setEnabled(row is not None and row.drawn)
        self.copy.setEnabled(row is not None)
        self.remove.setEnabled(row is not None)

    # Adding

    def choose_files(self) -> None:
        """Ask which, and add them."""
        chosen, _kind = QFileDialog.getOpenFileNames(
            self.window(),
            said("Add documents"),
            str(documents_folder()),
            said("Documents and pictures (*.pdf *.png *.jpg *.jpeg);;All files (*)"),
        )
        self.add_files([Path(one) for one in chosen])

    def photograph_page(self) -> None:
        """Show the camera's picture; what is taken is added."""
        try:
            dialog = PagePhotoDialog(self.window(), self._make_camera)
        except HealthHelperError as fault:
            self._notice.tell(f"{fault.title}. {fault.remedy}")
            return
        accepted = dialog.exec() == QDialog.DialogCode.Accepted
        taken, dialog.taken = dialog.taken, None
        dialog.deleteLater()
        if accepted and taken is not None:
            now = self._clock.utc().astimezone()
            self._begin([(taken, said("Photographed page {when}", when=f"{now:%Y-%m-%d %H.%M}"))])

    def add_files(self, paths: Sequence[Path]) -> None:
        """For the person that is chosen now, whoever is chosen later."""
        if len(paths) > _MOST_FILES:
            self._notice.tell(
                said(
                    "These are {count} files; at most {most} are added at once.",
                    count=len(paths),
                    most=_MOST_FILES,
                )
            )
        elif paths:
            self._begin(list(paths))

    @property
    def adding(self) -> bool:
        """Whether something is being added."""
        return self._adding is not None

    def cancel(self) -> None:
        """Add no more; what is complete stays."""
        if self._adding is not None:
            self._adding.cancelled.set()
            self._adding.waiting.clear()
            self.stop.setEnabled(False)

    def end(self) -> None:
        """The window closes: give up what is being added."""
        self.cancel()
        self._timer.stop()
        self._adding = self._taking = None
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.end(_END_S)

    def _begin(self, things: list[Path | tuple[ByteArray, str]]) -> None:
        if self._adding is not None:
            is_another = self._adding.person is None and self._adding.guest_agrees  # each guest is asked
            if self._adding.person == self._person and not self._adding.cancelled.is_set() and not is_another:
                self._adding.waiting += things
                self._adding.total += len(things)
            else:
                self._notice.tell(said("Something is being added already. Wait until that is done."))
            return
        person = self._person

        def begin(agrees: bool) -> None:  # noqa: FBT001 (an answer)
            if self._person != person or self._adding is not None:
                self._notice.tell(
                    said("Somebody else was chosen meanwhile, so nothing was added. Add it again.")
                )
                return
            self._wrong.hide()
            self._adding = _Adding(person, agrees, things, len(things))
            self.stop.setEnabled(True)
            self._next()

        def not_now(fault: HealthHelperError | None) -> None:
            if fault is not None:
                self.failed.emit(fault)

        self._decide(person, begin, not_now)

    def _next(self) -> None:
        adding = self._adding
        assert adding is not None
        if not adding.waiting:
            self._finish(adding)
            return
        thing = adding.waiting.pop(0)
        if self._worker is None:
            self._worker = Worker("intake")
        adding.share = 0

        def take() -> Accepted:
            if isinstance(thing, Path):
                return accept(thing, cancelled=adding.cancelled.is_set, progress=read)
            return accept_picture(*thing)

        def read(
            done: int, all_bytes: int
        ) -> None:  # in the worker's thread: one number, which the timer shows
            adding.share = round(40 * done / max(1, all_bytes))

        self._taking = self._worker.do(take)
        self._timer.start()
        self._show_progress()
        announce(self.doing, self.doing.text())

    def _look(self) -> None:
        adding, taking = self._adding, self._taking
        self._show_progress()
        if adding is None or taking is None or not taking.done():
            return
        self._taking = None
        try:
            accepted = taking.result()
        except HealthHelperError as fault:
            self._not_added(adding, fault)
            return
        except BaseException:  # ours: the others are still added, and it is raised
            self._timer.stop()
            self._next()
            raise
        self._keep(adding, accepted)

    def _keep(self, adding: _Adding, accepted: Accepted) -> None:
        adding.share = 50
        now = self._clock.utc()

        def sealed(done: int) -> None:
            adding.share = 50 + round(50 * done / accepted.length_bytes)

        def job(kept: Desk) -> Document:
            return kept.documents.add(
                accepted.chunks(),
                person=adding.person,
                purpose=Purpose.MEDICAL_REPORT,
                media_type=str(accepted.media_type),
                title=accepted.title,
                pages=accepted.pages,
                now=now,
                guest_agrees=adding.guest_agrees,
                cancelled=adding.cancelled.is_set,
                progress=sealed,
            )

        def kept(made: Document) -> None:
            if self._adding is not adding:
                return
            adding.done.append(made.id)
            adding.notes += [f"{accepted.title}: {note}" for note in accepted.notes]
            self.added.emit()
            if self._person == adding.person:
                self.refresh()
            self._next()

        self._ask(job, kept, lambda fault: self._not_added(adding, fault))

    def _not_added(self, adding: _Adding, fault: HealthHelperError) -> None:
        if self._adding is not adding:
            return
        if not isinstance(fault, Interrupted):
            adding.failed.append(fault)
        self._next()

    def _show_progress(self) -> None:
        adding = self._adding
        self._progress.setVisible(adding is not None)
        if adding is None:
            return
        at = adding.total - len(adding.waiting)
        self.doing.setText(
            said("Being cancelled …")
            if adding.cancelled.is_set()
            else said("Adding {at} of {total} …", at=at, total=adding.total)
        )
        self.bar.setValue(round((100 * (at - 1) + adding.share) / max(1, adding.total)))

    def _finish(self, adding: _Adding) -> None:
        self._timer.stop()
        self._adding = None
        self._progress.hide()
        if not self._is_open:
            return
        is_here = self._person == adding.person  # nobody else reads what their files are called
        words = []
        if adding.cancelled.is_set():
            words.append(said("Adding was cancelled."))
        if adding.done:
            words.append(
                said("1 document was added.")
                if len(adding.done) == 1
                else said("{count} documents were added.", count=len(adding.done))
            )
        if is_here:
            words += adding.notes
        if words:
            self._notice.tell(" ".join(words))
        if adding.failed and is_here:
            lines = [f"{fault.title}. {fault.remedy}" for fault in adding.failed]
            self.wrong.setText("\n".join(lines))
            self._wrong.show()
            announce(self.wrong, self.wrong.text())

    # Dropping

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802 (Qt's name)
        if _dropped(event):
            self.target.lit = True
            event.acceptProposedAction()

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:  # noqa: N802 (Qt's name)
        if _dropped(event):
            event.acceptProposedAction()

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:  # noqa: N802 (Qt's name)
        self.target.lit = False
        super().dragLeaveEvent(event)

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802 (Qt's name)
        """Whoever dragged waits until this returns: a question is asked afterwards."""
        self.target.lit = False
        paths = _dropped(event)
        event.setDropAction(Qt.DropAction.CopyAction)  # after a "move" the other program removes its files
        event.accept()
        QTimer.singleShot(0, self, lambda: self.add_files(paths))

    # One of them

    def preview(self) -> None:
        """Show its pages, decrypted in memory."""
        row = self.chosen()
        if row is None or not row.drawn:
            return

        def show(data: bytes) -> None:
            if self.isVisible() and any(
                one.id == row.id for one in self._rows
            ):  # not locked meanwhile, nor somebody else's turn
                dialog = PreviewDialog(self.window(), row.title, data, row.media_type)
                dialog.exec()
                dialog.deleteLater()

        def got(data: bytes) -> None:  # whoever tells the answer does not wait until the dialog is closed
            QTimer.singleShot(0, self, lambda: show(data))

        self._ask(lambda kept: b"".join(kept.documents.read(row.id)), got, self.failed.emit)

    def save_copy(self) -> None:
        """Into a file of the person's choice, once they know that it is not encrypted."""
        row = self.chosen()
        if row is None:
            return
        title = said("Save a copy")
        question = said("The copy is not encrypted: whoever can open the folder can read it. Save it?")
        if (
            ConfirmDialog(self.window(), title, question, said("Choose where…")).exec()
            != QDialog.DialogCode.Accepted
        ):
            return
        name = documents.copy_name(row.title, row.media_type)
        chosen, _kind = QFileDialog.getSaveFileName(self.window(), title, str(documents_folder() / name))
        if not chosen:
            return
        path = Path(chosen)

        def written(_: None) -> None:
            self._notice.tell(
                said(
                    "Written: {name}, in the folder {folder}. It is not encrypted.",
                    name=path.name,
                    folder=path.parent,
                )
            )

        self._ask(lambda kept: write_copy(kept.documents.read(row.id), path), written, self.failed.emit)

    def delete(self) -> None:
        """At once; it can be undone for a while."""
        row = self.chosen()
        if row is None:
            return

        guest = self._person is None

        def delete(kept: Desk) -> tuple[bool, bool]:
            return kept.documents.delete(row.id, self._clock.utc()), bool(kept.outbox.sent([row.id]))

        def gone(done: tuple[bool, bool]) -> None:
            was_there, was_sent = done
            self.refresh()
            if was_there:
                words = [said("Deleted."), *([of_the_copy(guest=guest)] if was_sent else [])]
                self._notice.tell(" ".join(words), said("Undo"), lambda: self._bring_back(row.id))
            else:
                self._notice.tell(said("This was deleted before."))

        self._ask(delete, gone, self.failed.emit)

    def _bring_back(self, document: str) -> None:
        def back(was_there: bool) -> None:  # noqa: FBT001 (an answer)
            self.refresh()
            self.added.emit()
            if not was_there:
                fault = BadInput(
                    title=said("This can't be put back any more"),
                    remedy=said("Add it again from where it came from."),
                )
                self.failed.emit(fault)

        self._ask(lambda kept: kept.documents.restore(document), back, self.failed.emit)


def _owed(outbox: Outbox) -> Mapping[str, Item]:
    """What is owed of documents, by id."""
    found: dict[str, Item] = {}
    after = 0
    while page := outbox.items(_OUTBOX_PAGE, after):
        found.update({item.id: item for item in page if item.kind == ItemKind.DOCUMENT})
        after = page[-1].seq
    return found


def _dropped(event: QDropEvent) -> list[Path]:
    """The files of this computer that are dragged; others (pictures of a web page) are none."""
    return [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]


class _Target(QFrame):
    """Where files are dropped. lit: some are being held over it."""

    def __init__(self) -> None:
        super().__init__()
        self._lit = False
        self.setAccessibleName(said("Add documents"))

    @property
    def lit(self) -> bool:
        """Whether something that can be dropped is held over the page."""
        return self._lit

    @lit.setter
    def lit(self, on: bool) -> None:
        self._lit = on
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 (Qt's name)
        del event
        palette = look.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(QColor(palette.notice if self._lit else palette.surface))
        style = Qt.PenStyle.SolidLine if self._lit else Qt.PenStyle.DashLine
        painter.setPen(
            QPen(QColor(palette.accent if self._lit else palette.control), 3.0 if self._lit else 1.5, style)
        )
        painter.drawRoundedRect(self.rect().adjusted(2, 2, -2, -2), 10, 10)
