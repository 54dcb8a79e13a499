"""The window: a bar with pages and people, a message, and the pages below. It knows who is measured and what becomes of a result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from PySide6.QtCore import QEvent, QObject, QTimer, Signal
from PySide6.QtGui import QCloseEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QApplication,
    QButtonGroup,
    QDialog,
    QHBoxLayout,
    QMainWindow,
    QMessageBox,
    QPushButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from client import config
from client.devices.ports import FrameSource
from client.errors import BadInput, HealthHelperError
from client.language import said
from client.parts import Kept, Parts, WindowChoice
from client.pipeline.outcome import not_kept_because
from client.pipeline.session import Goal
from client.pipeline.sharing import of_the_copy
from client.pipeline.talk_state import Talking
from client.records import ScanRecord
from client.store.entries import to_observation as entry_to_observation
from client.store.observations import Observation
from client.store.scans import to_observation, to_record
from client.ui.pages.chat import ChatPage
from client.ui.pages.dialogs import EntryDialog, Typed, UnsavedDialog
from client.ui.pages.document_preview import PreviewDialog
from client.ui.pages.documents import DocumentsPage
from client.ui.pages.enrol import Enrolling
from client.ui.pages.files import Files
from client.ui.pages.history import HistoryPage
from client.ui.pages.job import shown_name
from client.ui.pages.keys import Keys
from client.ui.pages.people import People
from client.ui.pages.resending import Resending
from client.ui.pages.result import ResultPage, Shown
from client.ui.pages.saving import Saved, Saving
from client.ui.pages.scan import ScanPage
from client.ui.pages.settings import SettingsPage
from client.ui.pages.sync import SyncPage
from client.ui.pages.tasks import TasksPage
from client.ui.pages.welcome import WelcomePage
from client.ui.preferences import CONSENT_VERSION, Preferences
from client.ui.shelf import Closed, Open, Shelf, Unusable, may_begin_anew, shut_words
from client.ui.views import documents, sync
from client.ui.views.guard import Choice, Passing, must_ask, whose_number
from client.ui.views.tasks import count_words, told
from client.ui.widgets.choice import ChoiceBox, PersonBox
from client.ui.widgets.layout import Bar, button, with_role
from client.ui.widgets.notice import Notice

_IDLE_LOOK_MS = 5000
_SYNC_LOOK_MS = 250


@dataclass(slots=True)
class _Unsaved:
    """A result that could be kept and is not yet. It goes only where the person says so.

    began_s: when its scan began. made: what is kept of it; made once for a person, so that a second try keeps no second one. saving:
    the store is at it. hidden: nobody was there any more; it is shown again when somebody asks for it.
    """

    record: ScanRecord
    began_s: float
    made: Observation | None = None
    saving: bool = False
    hidden: bool = False


class Window(QMainWindow):
    """preferences_changed: to be saved. rebuild: language or look changed; the window is to be made anew."""

    preferences_changed = Signal()
    rebuild = Signal()
    result_shown = Signal(object)

    def __init__(
        self, parts: Parts, choice: WindowChoice, preferences: Preferences, shelf: Shelf, language: str
    ) -> None:
        super().__init__()
        self._parts, self._choice, self._preferences, self._shelf = parts, choice, preferences, shelf
        self._language = language
        self._time = Passing(parts.clock)
        self._whose = Choice(None, self._time.now_s())
        self._last_saved: str | None = None
        self._visit: list[str] = []  # what was kept since this person was chosen
        self._scan_began_s = 0.0
        self._used_at_s = self._time.now_s()
        self._unsaved: _Unsaved | None = None
        self._reminded = False  # of the recovery key, since the store was opened
        self._closes = False  # once the result is saved
        self._noted = False  # the agreement of the first page, since the store was opened
        self._healed = ""  # what was told of a damaged store, since it was opened
        self._was_shut = True  # until it was opened
        self._was_enrolled = False  # when the store was last open
        self._badge: sync.Badge | None = None
        self.setWindowTitle("Health Helper")
        self.setAccessibleName("Health Helper")
        self.resize(1100, 780)
        self.setMinimumSize(640, 480)
        self._build()
        self._people.chosen.connect(self._set_person)
        self._people.kept_changed.connect(self._read_history)
        self._people.kept_changed.connect(self._read_documents)
        shelf.changed.connect(self._show_shelf)
        self._idle = QTimer(self)
        self._idle.setInterval(_IDLE_LOOK_MS)
        self._idle.timeout.connect(self._lock_if_idle)
        self._idle.start()
        self._looks = QTimer(self)
        self._looks.setInterval(_SYNC_LOOK_MS)
        self._looks.timeout.connect(self._show_sync)
        self._looks.start()
        self._show_shelf()

    # What is where

    def _build(self) -> None:
        body = QWidget()
        column = QVBoxLayout(body)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        self.bar = self._make_bar()
        self.notice = Notice()
        around = (self, self._shelf, self.notice, self._parts.clock)
        self._files, self._keys, self._people = Files(*around), Keys(*around), People(*around)
        self._saving = Saving(*around, self._language)
        self._enrolling, self._resending = Enrolling(*around), Resending(*around)
        self.pages = QStackedWidget()
        self.welcome = WelcomePage(self._language)
        self.scan = ScanPage(self._parts, self._make_source, self._may_begin)
        self.history = HistoryPage(self._shelf, self._parts.clock)
        self.documents = DocumentsPage(
            self._shelf.ask_kept,
            self._parts.clock,
            self.notice,
            self._make_page_camera,
            self._saving.decide_documents,
        )
        self.chat = ChatPage(self._make_talk, self._language, self._parts.clock)
        self.settings = SettingsPage(
            self._parts, self._shelf, self._preferences, self._language, str(config.store_folder())
        )
        self.sync, self.tasks = SyncPage(self._shelf), TasksPage(self._shelf, self._parts.clock)
        self.result: ResultPage | None = None
        for page in (
            self.welcome,
            self.scan,
            self.history,
            self.documents,
            self.chat,
            self.settings,
            self.sync,
            self.tasks,
        ):
            self.pages.addWidget(page)
        column.addWidget(self.bar)
        holder = QWidget()
        inside = QVBoxLayout(holder)
        inside.setContentsMargins(20, 8, 20, 0)
        inside.addWidget(self.notice)
        column.addWidget(holder)
        column.addWidget(self.pages, 1)
        self.setCentralWidget(body)
        self._connect()
        self._free_bar()
        self.go_to_scan()

    def _make_bar(self) -> Bar:
        bar = Bar(said("Pages"))
        self._group = QButtonGroup(self)
        self.to_scan = self._page_button(bar.first, said("Scan"), self.go_to_scan, "Ctrl+1")
        self.to_history = self._page_button(bar.first, said("History"), self.go_to_history, "Ctrl+2")
        self.to_documents = self._page_button(bar.first, said("Documents"), self.go_to_documents, "Ctrl+3")
        self.to_chat = self._page_button(bar.first, said("Assistant"), self.go_to_chat, "Ctrl+6")
        self.to_chat.setVisible(self._parts.talk is not None)
        self.to_settings = self._page_button(bar.first, said("Settings"), self.go_to_settings, "Ctrl+4")
        self.to_tasks = self._page_button(bar.last, count_words(0), self.go_to_tasks, "Ctrl+5")
        self.to_tasks.hide()
        self.to_sync = button("", self.go_to_sync)
        self.to_sync.setObjectName("badge")
        self.to_sync.setCheckable(True)
        self._group.addButton(self.to_sync)
        self.to_sync.hide()
        bar.last.addWidget(self.to_sync)
        self.person = PersonBox()
        self.person.setAccessibleName(said("Who is measured"))
        self.person.setSizeAdjustPolicy(ChoiceBox.SizeAdjustPolicy.AdjustToContents)
        self.person.setMaximumWidth(320)
        self.person.activated.connect(self._choose_person)
        self.person.scanned.connect(self._choose_scanned)
        bar.last.addWidget(self.person)
        return bar

    def _page_button(self, row: QHBoxLayout, words: str, go: Callable[[], None], keys: str) -> QPushButton:
        made = button(words, go)
        made.setObjectName("nav")
        made.setCheckable(True)
        self._group.addButton(made)
        made.setToolTip(f"{words} ({keys})")
        shortcut = QShortcut(QKeySequence(keys), self)
        shortcut.activated.connect(made.click)
        row.addWidget(made)
        return made

    def _connect(self) -> None:
        self.welcome.agreed.connect(self._agreed)
        self.welcome.language.connect(self._choose_language)
        self.scan.began.connect(self._scan_began)
        self.scan.shows_waiting.connect(self._show_hidden)
        self.scan.finished.connect(self._scan_finished)
        self.scan.gave_up.connect(self._scan_gave_up)
        self.scan.cancelled.connect(lambda: self.notice.tell(said("Cancelled; nothing was kept.")))
        self.history.open_scan.connect(self._open_kept)
        self.history.delete.connect(self._delete)
        self.history.enter.connect(self._enter)
        self.history.export.connect(lambda: self._files.export(self._whose.person, self._language))
        self.history.deleted.connect(self._people.show_deleted)
        self.history.unlock.connect(self._shelf.open)
        self.history.failed.connect(self._people.tell_fault)
        settings = self.settings
        settings.changed.connect(self.preferences_changed.emit)
        settings.rebuild.connect(self.rebuild.emit)
        settings.unlock.connect(self._shelf.open)
        settings.lock_now.connect(self._lock_now)
        settings.recovery_key.connect(self._keys.make)
        settings.restore.connect(self._keys.restore)
        settings.begin_anew.connect(self._keys.begin_anew)
        settings.add_person.connect(self._people.add)
        settings.rename_person.connect(lambda: self._people.rename(self._whose.person))
        settings.remove_person.connect(lambda: self._people.remove(self._whose.person))
        settings.deleted.connect(self._people.show_deleted)
        settings.find_person.connect(self._saving.find)
        settings.enrol.connect(self._enrolling.enrol)
        settings.leave.connect(self._enrolling.leave)
        settings.sharing.connect(lambda: self._saving.change_sharing(self._whose.person))
        settings.sync.connect(self.go_to_sync)
        settings.tasks.connect(self.go_to_tasks)
        self._saving.chosen.connect(self._set_person)
        self._saving.assistant_decided.connect(self._tell_talk)
        self.documents.added.connect(self._shelf.wake_sync)
        self.documents.added.connect(self._renew_talk)
        for page in (self.documents, self.sync, self.tasks):
            page.unlock.connect(self._shelf.open)
            page.failed.connect(self._people.tell_fault)
        self.chat.open_fact.connect(self._open_fact)
        self.chat.open_document.connect(self._open_cited)
        self.chat.used.connect(self.used)
        self.chat.alarm.connect(self._alarm)
        self.chat.staff_called.connect(self._read_people)
        self.sync.enrol.connect(self._enrolling.enrol)
        self.sync.retry.connect(self._resending.retry)
        self.sync.export.connect(lambda: self._resending.export(self._files))
        self.sync.earlier.connect(self._resending.offer_earlier)

    # Pages

    @property
    def _agreed_to(self) -> bool:
        """Whether the person has agreed to be measured."""
        return self._preferences.consent == CONSENT_VERSION

    def go_to_scan(self) -> None:
        """The scan page, or the result that is waiting to be saved or discarded."""
        waiting = self._unsaved
        self.scan.show_waiting(hidden=waiting is not None and waiting.hidden)
        if waiting is None or waiting.hidden:
            self._show(self.scan, self.to_scan)
            if not self.chat.must_be_read:
                self.scan.focus_first()
        elif self._turn_to(self.to_scan):
            self._show_result(Shown(waiting.record, None, self._name()))

    def go_to_history(self) -> None:
        """The history of the chosen person."""
        self._read_people()
        self._show(self.history, self.to_history)
        self._read_history()

    def go_to_settings(self) -> None:
        """The settings."""
        self._show(self.settings, self.to_settings)

    def go_to_documents(self) -> None:
        """The documents of the chosen person."""
        self._show(self.documents, self.to_documents)
        self._read_documents()

    def go_to_chat(self) -> None:
        """The assistant."""
        if self._parts.talk is not None:
            self._renew_talk(anew=False)  # something may have been deleted, put back or read meanwhile
            self._show(self.chat, self.to_chat)
            if self.pages.currentWidget() is self.chat:
                self.chat.focus_first()

    def go_to_sync(self) -> None:
        """What waits to be sent, and what was refused."""
        self._shelf.wake_sync()  # counts anew, also what another program has kept
        self._read_people()
        self._show(self.sync, self.to_sync)
        self._show_sync()

    def go_to_tasks(self) -> None:
        """What staff should look at."""
        self._show(self.tasks, self.to_tasks)
        self._read_tasks()

    def _read_people(self) -> None:
        """Another program may have changed them."""
        if isinstance(self._shelf.state, Open):
            self._shelf.read_people()

    def _show(self, page: QWidget, tab: QPushButton) -> None:
        if self._turn_to(tab):
            self.pages.setCurrentWidget(page)

    def _turn_to(self, tab: QPushButton) -> bool:
        """Choose a tab; whether its page may be shown."""
        if not self._agreed_to:
            self.pages.setCurrentWidget(self.welcome)
            return False
        if self.scan.running:  # the bar is off meanwhile; nothing must leave the scan alone with the camera
            self.to_scan.setChecked(True)
            return False
        if tab is not self.to_settings:
            self.settings.end()
        if self.chat.must_be_read:  # nothing else is shown before somebody has read it
            self.to_chat.setChecked(True)
            self.pages.setCurrentWidget(self.chat)
            self.chat.focus_first()
            return tab is self.to_chat
        tab.setChecked(True)
        return True

    # The assistant

    def _make_talk(self, language: str) -> Talking:
        assert self._parts.talk is not None  # else its page is not shown
        preferences = self._preferences  # and nothing of this window, which the conversation may outlive
        return self._parts.talk(
            language,
            self._shelf.kept_now,
            self._whose.person,
            tuple(self._visit),
            self._preferences.microphone,
            lambda: preferences.manner,
        )

    def _forget_talk(self) -> None:
        """For somebody else, or for nobody."""
        self._visit.clear()
        self.chat.forget()

    def _kept_of_visit(self, line_id: str) -> None:
        """There is more to talk about."""
        self._visit.append(line_id)
        self._renew_talk()

    def _renew_talk(self, *, anew: bool = True) -> None:
        """There may be more to be known of whoever is chosen, or less."""
        self.chat.renew(tuple(self._visit), anew=anew)

    def _tell_talk(self, person: str, given: bool) -> None:  # noqa: FBT001 (the decision itself)
        """Of what a conversation under way may send."""
        if self._whose.person == person:
            self.chat.decided(given)

    def _open_fact(self, name: str) -> None:
        """The measurements of one vital sign."""
        at = self.history.what.findData(name)
        if at >= 0:
            self.history.what.setCurrentIndex(at)
        self.go_to_history()

    def _open_cited(self, document_id: str) -> None:
        """A document of whoever is chosen, over the conversation."""
        person = self._whose.person

        def read(kept: Kept) -> tuple[str, str, bytes] | None:
            found = next((one for one in kept.documents.list(person) if one.id == document_id), None)
            if found is None or not documents.row(found, None, sent=False).drawn:
                return None
            return found.title, found.media_type, b"".join(kept.documents.read(found.id))

        def show(found: tuple[str, str, bytes]) -> None:
            same = self._whose.person == person and isinstance(self._shelf.state, Open)
            if same and self.pages.currentWidget() is self.chat and not self.chat.must_be_read:
                title, media_type, data = found
                dialog = PreviewDialog(self, title, data, media_type)
                dialog.exec()
                dialog.deleteLater()

        def got(found: tuple[str, str, bytes] | None) -> None:
            if found is None:
                self.notice.tell(said("This document can't be shown here any more."))
            else:  # whoever tells the answer does not wait until the dialog is closed
                QTimer.singleShot(0, self, lambda: show(found))

        self._shelf.ask_kept(read, got, self._people.tell_fault)

    def _alarm(self) -> None:
        """Something must be read that stands behind another page or a dialog. While somebody is measured it waits: seconds."""
        if not self.scan.running:
            _close_dialogs()
            self.go_to_chat()

    def _free_bar(self) -> None:
        agreed = self._agreed_to
        self.bar.setVisible(agreed)
        self.bar.setEnabled(agreed and not self.scan.running)  # hidden alone, its shortcuts would work

    def _agreed(self) -> None:
        self._preferences.consent = CONSENT_VERSION
        self.preferences_changed.emit()
        self._free_bar()
        self.go_to_scan()
        self._shelf.open()
        if self._choice.begin:
            self.begin()

    def _choose_language(self, code: str) -> None:
        self._preferences.language = code
        self.preferences_changed.emit()
        QTimer.singleShot(0, self.rebuild.emit)

    # The scan and its result

    def _make_source(self) -> tuple[FrameSource, Goal]:
        goal = self._choice.goal or Goal.live(float(self._preferences.seconds))
        if self._choice.source is not None:
            return self._choice.source(), goal
        return self._make_camera(), goal

    def _make_camera(self) -> FrameSource:
        return self._parts.camera(self._chosen_camera())

    def _make_page_camera(self) -> FrameSource:
        return self._parts.page_camera(self._chosen_camera())

    def _chosen_camera(self) -> str:
        camera = self._preferences.camera_among(self._parts.cameras())
        if not camera:
            raise BadInput(
                title=said("No camera was found"),
                remedy=said("Plug in a camera, or switch it on, and try again."),
            )
        return camera

    def begin(self) -> None:
        """Start a scan at once, as the button does. Nobody is measured who has not agreed; a simulated person need not."""
        self.go_to_scan()
        if self._choice.simulated and self._unsaved is None:
            self.pages.setCurrentWidget(self.scan)
        if self.pages.currentWidget() is self.scan:
            self.scan.begin()

    def _may_begin(self) -> bool:
        """Whether nothing is lost by a new scan, or the person wants it so."""
        waiting = self._unsaved
        if waiting is None:
            return True
        hidden = waiting.hidden
        question = said("The result of the last scan is not saved. Throw it away, and begin a new scan?")
        wanted = self._people.confirmed(said("Not saved"), question, said("Throw it away"))
        # It may have been shown, hidden or saved while the question stood open.
        return wanted and self._unsaved in (None, waiting) and waiting.hidden is hidden

    def _scan_began(self) -> None:
        self._scan_began_s = self._time.now_s()
        self._unsaved = None  # see _may_begin
        self.scan.show_waiting(hidden=False)
        self.notice.hide()
        self.bar.setEnabled(False)  # a person is measured for whom it was begun

    def _scan_gave_up(self) -> None:
        self.used()
        self._free_bar()

    def _scan_finished(self, record: ScanRecord) -> None:
        self.used()  # who was measured is there, and has touched nothing
        self._free_bar()
        self._unsaved = _Unsaved(record, self._scan_began_s) if not_kept_because(record) is None else None
        if not record.simulated:
            self._shelf.scanned(shown=record.heart_rate.value is not None)
        self._show_result(Shown(record, None, self._name()))
        self.result_shown.emit(record)

    def _show_result(self, shown: Shown) -> None:
        self._drop_page()
        page = self.result = ResultPage(shown)
        page.save.connect(self._save)
        page.unlock.connect(self._shelf.open)
        page.report.connect(lambda: self._files.report(page.shown, self._language))
        page.discard.connect(self._discard)
        page.back.connect(self._back)
        page.delete.connect(self._delete)
        self._show_can_save()
        self.pages.addWidget(page)
        self.pages.setCurrentWidget(page)
        (self.to_scan if shown.kept is None else self.to_history).setChecked(True)
        page.focus_first()

    def _show_can_save(self) -> None:
        if self.result is not None:
            saving = self._unsaved is not None and self._unsaved.saving
            self.result.show_store(*shut_words(self._shelf.state), saving=saving)

    def _drop_page(self) -> None:
        if self.result is not None:
            self.pages.removeWidget(self.result)
            self.result.deleteLater()
            self.result = None

    def _discard(self) -> None:
        self._unsaved = None
        self.go_to_scan()

    def _back(self) -> None:
        """From the details to the line where they were opened."""
        self.go_to_history()
        self.history.table.setFocus()

    def _save(self, *, then_close: bool = False) -> None:
        self._closes = then_close
        result, choice, name = self._unsaved, self._whose, self._name()
        if result is None or result.saving:
            return
        now_s = self._time.now_s()
        if self._saving.reads_numbers(choice.person):
            if not self._saving.is_right(choice.person):
                return
        elif must_ask(choice, started_s=result.began_s, last_saved=self._last_saved, now_s=now_s):
            question = said("Is this the result of {name}? It would be kept in their history.", name=name)
            title, yes = said("Whose result is this?"), said("Yes, {name}", name=name)
            if not self._people.confirmed(title, question, yes):
                return
        if result.made is None or result.made.line.person != choice.person:
            kept_record = replace(result.record, saved=True, saved_reason=None)
            result.made = to_observation(kept_record, person=choice.person)
        made = result.made

        def saved(kept: Saved) -> None:
            self._last_saved = choice.person
            if self._whose.person == choice.person:
                self._kept_of_visit(made.line.id)
            if self._unsaved is result:
                self._unsaved = None
                self.scan.show_waiting(hidden=False)
            if self._closes and self._unsaved is None:
                self.close()
            elif isinstance(self._shelf.state, Open):
                self.go_to_history()
                self._tell_saved(
                    name, kept, lambda: self._take_back(made.line.id, _Unsaved(result.record, result.began_s))
                )

        def not_saved(fault: HealthHelperError | None) -> None:
            result.saving = self._closes = False
            self._show_can_save()
            if fault is not None:
                self._people.tell_fault(fault)

        result.saving = True
        self._show_can_save()
        self._saving.keep(made, saved, not_saved)

    def _tell_saved(self, name: str, kept: Saved, undo: Callable[[], None]) -> None:
        state = self._shelf.state
        healed = state.healed if isinstance(state, Open) and self.notice.words == state.healed else ""
        words = [said("Saved for {name}.", name=shown_name(name)), told(kept.tasks), healed]
        self.notice.tell(" ".join(part for part in words if part), said("Undo"), undo)

    def _take_back(self, line_id: str, result: _Unsaved) -> None:
        """It is not kept after all, and is there to be saved for somebody else."""
        if self._unsaved is not None:  # another one is there by now
            self._delete(line_id)
            return

        def delete(kept: Kept) -> str:
            found = kept.observations.get(line_id)
            kept.observations.delete(line_id, now=self._parts.clock.utc())
            if found is None or not kept.outbox.sent([line_id]):
                return ""
            return of_the_copy(guest=found.line.person is None)

        def gone(words: str) -> None:
            self._unsaved = self._unsaved or result
            self.go_to_scan()
            if words:
                self.notice.tell(words)

        self._shelf.change(delete, gone, self._people.tell_fault)

    # What is kept

    def _read_history(self) -> None:
        if self.pages.currentWidget() is self.history and isinstance(self._shelf.state, Open):
            self.history.show_person(self._whose.person, self._name())

    def _read_documents(self) -> None:
        if self.pages.currentWidget() is self.documents and isinstance(self._shelf.state, Open):
            self.documents.show_person(self._whose.person, self._name())

    def _open_kept(self, scan_id: str) -> None:
        def got(found: Observation | None) -> None:
            if found is None:
                self._read_history()
                return
            if found.line.person != self._whose.person or self.pages.currentWidget() is not self.history:
                return  # somebody else was chosen, or something else, before the answer came
            try:
                record = to_record(found)
            except BadInput as fault:
                self._people.tell_fault(fault)
                return
            self._show_result(Shown(record, found.line, self._people.name_of(found.line.person)))

        self._shelf.ask(lambda kept: kept.get(scan_id), got, self._people.tell_fault)

    def _delete(self, line_id: str) -> None:
        person = self._whose.person

        def delete(kept: Kept) -> tuple[bool, bool]:
            was_sent = bool(kept.outbox.sent([line_id]))
            return kept.observations.delete(line_id, now=self._parts.clock.utc()), was_sent

        def gone(done: tuple[bool, bool]) -> None:
            was_there, was_sent = done
            self.go_to_history()
            if not was_there:
                self.notice.tell(said("This was deleted before."))
                return
            words = [said("Deleted.")]
            if was_sent:
                words.append(of_the_copy(guest=person is None))
            self.notice.tell(" ".join(words), said("Undo"), lambda: self._people.put_back(line_id))

        self._shelf.change(delete, gone, self._people.tell_fault)

    def _enter(self) -> None:
        person, name = self._whose.person, self._name()  # the dialog says for whom
        dialog = EntryDialog(self, name, self._parts.clock.utc().astimezone())
        if dialog.exec() != QDialog.DialogCode.Accepted or dialog.typed is None:
            return
        typed: Typed = dialog.typed
        if not self._saving.is_right(person):
            return
        made = entry_to_observation(typed.kind, typed.values, typed.taken_at, person)

        def saved(kept: Saved) -> None:
            if self._whose.person == person:
                self._kept_of_visit(made.line.id)
            self._read_history()
            self._tell_saved(name, kept, lambda: self._delete(made.line.id))

        def not_saved(fault: HealthHelperError | None) -> None:
            if fault is not None:
                self._people.tell_fault(fault)

        self._saving.keep(made, saved, not_saved)

    # People

    def _name(self) -> str:
        """Of the chosen person; "" for a guest."""
        return self._people.name_of(self._whose.person)

    def _choose_person(self, at: int) -> None:
        data = self.person.itemData(at)
        if data in (_ADD, _FIND):
            self._fill_people()
            (self._people.add if data == _ADD else self._saving.find)()
            return
        self._set_person(data)

    def _choose_scanned(self, typed: str) -> None:
        """A barcode was read where people are chosen."""
        state = self._shelf.state
        found = whose_number(typed, state.people) if isinstance(state, Open) else None
        if found is None:
            self.notice.tell(said("Nobody on this device has this record number. Nobody else was chosen."))
        else:
            self._set_person(found.id)

    def _set_person(self, person: str | None) -> None:
        other = person != self._whose.person
        self._whose = Choice(person, self._time.now_s())
        if other:
            self._forget_talk()
        self._fill_people()
        page = self.result
        self._read_history()
        self._read_documents()
        if page is not None and self.pages.currentWidget() is page:
            if page.shown.kept is None:
                self._show_result(replace(page.shown, whose=self._name()))
            else:  # what is kept of somebody is not shown under another name
                self.go_to_history()

    def _fill_people(self) -> None:
        self.person.clear()
        self.person.addItem(said("Guest"), None)
        state = self._shelf.state
        for one in state.people if isinstance(state, Open) else ():
            self.person.addItem(one.name, one.id)
        if isinstance(state, Open):
            self.person.takes_numbers = any(one.record_number for one in state.people)
            if self.person.takes_numbers:
                self.person.addItem(said("Find by record number…"), _FIND)
            self.person.addItem(said("Add a person…"), _ADD)
        at = self.person.findData(self._whose.person) if self._whose.person is not None else 0
        if at < 0:
            self._whose = Choice(None, self._time.now_s())
            self._forget_talk()
        self.person.setCurrentIndex(max(0, at))
        self.scan.show_whose(self._name())

    # The store

    def _show_shelf(self) -> None:
        self._fill_people()
        state = self._shelf.state
        for page in (self.history, self.documents, self.sync, self.tasks):
            page.show_store(*shut_words(state))
        if isinstance(state, Open):
            self._show_open(state)
        else:
            self._reminded = self._noted = False
            self._was_shut = True
            self._healed = ""
            if isinstance(state, Closed):
                self._forget_talk()
            if self.result is not None and self.result.shown.kept is not None:
                self._drop_page()
                self.go_to_scan()
        if isinstance(state, Unusable):
            words = f"{state.fault.title}. {state.fault.remedy}"
            if may_begin_anew(state):
                words = f"{words} {said('Where nobody has that key any more, a new store can be begun in the settings.')}"
            self.notice.tell(words, said("Try again"), self._shelf.open)
        self._show_tasks(state.tasks if isinstance(state, Open) else 0)
        self._show_can_save()
        self._show_sync()

    def _show_open(self, state: Open) -> None:
        if self._unsaved is not None and self._unsaved.hidden:
            self._show_hidden()
        self._read_history()
        self._read_documents()
        self._read_tasks()
        if self._was_shut:
            self._was_shut = False
            self._renew_talk()  # what it began without is there now
        self._was_enrolled = bool(state.server)
        if not self._noted:
            self._noted = True
            if self._agreed_to:
                self._saving.note_measuring(CONSENT_VERSION)
        if state.healed and state.healed != self._healed:  # also while it was open
            self._healed = state.healed
            self._reminded = True  # of the key the next time: this is more
            self.notice.tell(state.healed)
        if state.needs_recovery_key and state.people and not self._reminded and not self.notice.offers:
            self._reminded = True  # once is enough until it is opened again
            self.notice.tell(
                said(
                    "Nobody has a recovery key on paper yet. Without one, what is kept is lost with this computer's key store."
                ),
                said("Make one…"),
                self._keys.make,
            )

    def _show_tasks(self, count: int) -> None:
        self.to_tasks.setText(count_words(count))
        self.to_tasks.setVisible(count > 0)

    def _read_tasks(self) -> None:
        if self.pages.currentWidget() is self.tasks and isinstance(self._shelf.state, Open):
            self.tasks.refresh()

    # Sending

    def _show_sync(self) -> None:
        """How it stands with sending: pulled, so that nothing that is sent waits for the window or makes it wait."""
        state, status = self._shelf.state, self._shelf.sync_status
        expected = isinstance(state, Open) and state.policy.cloud_url is not None
        shown = sync.badge(
            status, expected=expected, was_enrolled=self._was_enrolled, now=self._parts.clock.utc()
        )
        if shown != self._badge:
            self._badge = shown
            self.to_sync.setVisible(shown is not None)
            if shown is not None:
                self.to_sync.setText(shown.text)
                self.to_sync.setAccessibleName(shown.spoken)
                self.to_sync.setToolTip(shown.spoken)
                with_role(self.to_sync, shown.role)
        current = self.pages.currentWidget()
        if current is self.documents and status is not None:
            now = status.progress
            self.documents.show_sending({} if now is None else {now.id: sync.percent(now)})
        elif current is self.sync:
            self.sync.show_status(status, shown, self._parts.clock.utc())
        elif current is self.settings:
            enrolled = isinstance(state, Open) and bool(state.server)
            self.settings.show_trouble(sync.trouble(status) if enrolled else "")

    # Nobody is there

    def _lock_if_idle(self) -> None:
        limit_min = self._preferences.lock_after_min
        idle_s = self._time.now_s() - self._used_at_s
        if not limit_min or idle_s < 60.0 * limit_min:
            return
        if self.scan.running or self.documents.adding:  # whoever went away meanwhile wants it done
            return
        is_open = isinstance(self._shelf.state, Open)
        if not is_open and self.result is None and not self.chat.has_words:
            return  # nothing to lock, and nothing of anybody to be seen
        self._lock(
            said("Locked, because nobody used it for {minutes} min.", minutes=limit_min)
            if is_open
            else said("The result is hidden, because nobody used this for {minutes} min.", minutes=limit_min)
            if self.result is not None
            else said(
                "The conversation was forgotten, because nobody used this for {minutes} min.",
                minutes=limit_min,
            )
        )

    def _lock_now(self) -> None:
        if isinstance(self._shelf.state, Open) and not self.scan.running:
            self._lock(said("Locked."))

    def _lock(self, why: str) -> None:
        """Nothing of anybody is to be seen any more; what is not saved is hidden."""
        is_open = isinstance(self._shelf.state, Open)
        asked = _close_dialogs()
        unread = self.chat.unread
        self._forget_talk()
        self._closes = False
        self._whose = Choice(None, self._time.now_s())
        if self._unsaved is not None:
            self._unsaved.hidden = True
        self._drop_page()
        if is_open:
            self._shelf.close()
        self._fill_people()
        self.go_to_scan()
        words = [unread, why] if unread else [why]
        if asked:
            words.append(said("What was being typed or asked is closed; nothing of it was kept."))
        if is_open:
            self.notice.tell(" ".join(words), said("Unlock"), self._shelf.open)
        else:
            self.notice.tell(" ".join(words))

    def _show_hidden(self) -> None:
        if isinstance(self._shelf.state, Closed):
            self._shelf.open()  # and it is shown once that is done
        elif self._unsaved is not None:
            self._unsaved.hidden = False
            self.go_to_scan()

    def used(self) -> None:
        """Somebody pressed a key or a button."""
        self._used_at_s = self._time.now_s()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 (Qt's name)
        """Installed on the application: sees every key and click."""
        if event.type() in (
            QEvent.Type.KeyPress,
            QEvent.Type.MouseButtonPress,
            QEvent.Type.TouchBegin,
            QEvent.Type.Wheel,
        ):
            self.used()
        return super().eventFilter(watched, event)

    # The end

    def let_go(self, *, made_anew: bool = False) -> None:
        """Before it is closed or made anew: no thread and no camera stays, but for a conversation that goes on (`keep_of`)."""
        if not made_anew:
            self.chat.end()
        self._idle.stop()
        self._looks.stop()
        self.scan.end()
        self.documents.end()
        self.settings.end()
        self._shelf.changed.disconnect(self._show_shelf)
        self._shelf.changed.disconnect(self.settings.show_store)

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 (Qt's name)
        """Asks where the person closes it (spontaneous) with a result that is not saved."""
        if event.spontaneous() and self._unsaved is not None:
            why_not, _action = shut_words(self._shelf.state)
            dialog = UnsavedDialog(self, shown_name(self._name()), why_not)
            dialog.exec()
            saved_meanwhile = self._unsaved is None
            if not dialog.choice or (dialog.choice == "save" and not saved_meanwhile):
                event.ignore()
                self.go_to_scan()
                if dialog.choice == "save":
                    self._save(then_close=True)
                return
        self.let_go()
        event.accept()

    @property
    def at_rest(self) -> bool:
        """Whether it can be made anew now: nobody is measured, no question stands open, no answer of the store is still to come."""
        return (
            not self.scan.running
            and not self.documents.adding
            and not self._shelf.busy
            and QApplication.activeModalWidget() is None
        )

    def keep_of(self, before: Window) -> None:
        """Made anew: who was chosen, what is not saved yet, and where one was."""
        self._time, self._used_at_s = before._time, before._used_at_s
        self._whose, self._last_saved = before._whose, before._last_saved
        self._unsaved, self._reminded = before._unsaved, before._reminded
        self._noted, self._was_enrolled = before._noted, before._was_enrolled
        self._healed = before._healed
        self._fill_people()
        self._visit = before._visit
        self.chat.take_over(before.chat)
        self.go_to_scan()
        at = before.pages.currentWidget()
        if at is before.settings:
            self.go_to_settings()
        elif at is before.history:
            self.go_to_history()
        elif at is before.documents:
            self.go_to_documents()
        elif at is before.chat:
            self.go_to_chat()
        elif at is before.sync:
            self.go_to_sync()
        elif at is before.tasks:
            self.go_to_tasks()
        elif before.result is not None and at is before.result:
            self._show_result(before.result.shown)


def _close_dialogs() -> bool:
    """Whether there were any: a question about somebody, a key, a reading that is being typed."""
    found = [
        widget
        for widget in QApplication.topLevelWidgets()
        if isinstance(widget, QDialog) and not isinstance(widget, QMessageBox) and widget.isVisible()
    ]
    for dialog in found:
        dialog.reject()
    return bool(found)


_ADD, _FIND = "add", "find"
