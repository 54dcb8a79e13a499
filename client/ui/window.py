"""The window: a bar with pages and people, a message, and the pages below. It knows who is measured and what becomes of a result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from PySide6.QtCore import QEvent, QObject, QStandardPaths, QTimer, Signal
from PySide6.QtGui import QCloseEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QDialog,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QMainWindow,
    QPushButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from client import config
from client.devices.ports import FrameSource
from client.errors import BadInput, HealthHelperError
from client.language import said
from client.parts import Parts, WindowChoice
from client.pipeline.session import Goal
from client.records import ScanRecord
from client.reports.files import write_report, write_table
from client.store.entries import to_observation as entry_to_observation
from client.store.observations import Observation, Observations, utc_offset_min
from client.store.scans import earlier_heart_rates, to_observation, to_record
from client.ui.pages.dialogs import (
    ConfirmDialog,
    EntryDialog,
    NameDialog,
    RecoveryDialog,
    RestoreDialog,
    Typed,
)
from client.ui.pages.history import HistoryPage
from client.ui.pages.result import ResultPage, Shown
from client.ui.pages.scan import ScanPage
from client.ui.pages.settings import SettingsPage
from client.ui.pages.welcome import WelcomePage
from client.ui.preferences import CONSENT_VERSION, Preferences
from client.ui.shelf import Closed, Open, Shelf, Unusable
from client.ui.views.guard import Choice, must_ask
from client.ui.widgets.layout import button
from client.ui.widgets.notice import Notice

_IDLE_LOOK_MS = 5000


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
        self._whose = Choice(None, parts.clock.now_s())
        self._last_saved: str | None = None
        self._scan_began_s = 0.0
        self._used_at_s = parts.clock.now_s()
        self._record: ScanRecord | None = None
        self.setWindowTitle("Health Helper")
        self.setAccessibleName("Health Helper")
        self.resize(1100, 780)
        self.setMinimumSize(640, 480)
        self._build()
        shelf.changed.connect(self._show_shelf)
        self._idle = QTimer(self)
        self._idle.setInterval(_IDLE_LOOK_MS)
        self._idle.timeout.connect(self._lock_if_idle)
        self._idle.start()
        self._show_shelf()

    # What is where

    def _build(self) -> None:
        body = QWidget()
        column = QVBoxLayout(body)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        self.bar = self._make_bar()
        self.notice = Notice()
        self.pages = QStackedWidget()
        self.welcome = WelcomePage(self._language)
        self.scan = ScanPage(self._parts, self._make_source)
        self.history = HistoryPage(self._shelf, self._parts.clock)
        self.settings = SettingsPage(
            self._parts, self._shelf, self._preferences, self._language, str(config.store_folder())
        )
        self.result: ResultPage | None = None
        for page in (self.welcome, self.scan, self.history, self.settings):
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
        if self._preferences.consent == CONSENT_VERSION:
            self.go_to_scan()
        else:
            self.pages.setCurrentWidget(self.welcome)
            self.bar.hide()

    def _make_bar(self) -> QFrame:
        bar = QFrame()
        bar.setObjectName("bar")
        bar.setAccessibleName(said("Pages"))
        row = QHBoxLayout(bar)
        row.setContentsMargins(20, 8, 20, 8)
        self._group = QButtonGroup(self)
        self.to_scan = self._page_button(row, said("Scan"), self.go_to_scan, "Ctrl+1")
        self.to_history = self._page_button(row, said("History"), self.go_to_history, "Ctrl+2")
        self.to_settings = self._page_button(row, said("Settings"), self.go_to_settings, "Ctrl+3")
        row.addStretch(1)
        self.person = QComboBox()
        self.person.setAccessibleName(said("Who is measured"))
        self.person.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.person.setMaximumWidth(320)
        self.person.activated.connect(self._choose_person)
        row.addWidget(self.person)
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
        self.scan.finished.connect(self._scan_finished)
        self.scan.gave_up.connect(self._free_bar)
        self.history.open_scan.connect(self._open_kept)
        self.history.delete.connect(self._delete)
        self.history.enter.connect(self._enter)
        self.history.export.connect(self._export)
        self.history.failed.connect(self._tell_fault)
        settings = self.settings
        settings.changed.connect(self.preferences_changed.emit)
        settings.rebuild.connect(self.rebuild.emit)
        settings.unlock.connect(self._shelf.open)
        settings.recovery_key.connect(self._recovery_key)
        settings.restore.connect(self._restore)
        settings.add_person.connect(self._add_person)
        settings.remove_person.connect(self._remove_person)

    # Pages

    def go_to_scan(self) -> None:
        """The scan page."""
        self._show(self.scan, self.to_scan)
        self.scan.start.setFocus()

    def go_to_history(self) -> None:
        """The history of the chosen person."""
        self._show(self.history, self.to_history)
        if isinstance(self._shelf.state, Open):
            self.history.show_person(self._whose.person, self._name())

    def go_to_settings(self) -> None:
        """The settings."""
        self._show(self.settings, self.to_settings)

    def _show(self, page: QWidget, tab: QPushButton) -> None:
        if (
            self.scan.running
        ):  # the bar is off meanwhile; a shortcut must not leave the scan alone with the camera
            self.to_scan.setChecked(True)
            return
        if page is not self.settings:
            self.settings.end()
        tab.setChecked(True)
        self.pages.setCurrentWidget(page)

    def _agreed(self) -> None:
        self._preferences.consent = CONSENT_VERSION
        self.preferences_changed.emit()
        self.bar.show()
        self.go_to_scan()
        self._shelf.open()

    def _choose_language(self, code: str) -> None:
        self._preferences.language = code
        self.preferences_changed.emit()
        QTimer.singleShot(0, self.rebuild.emit)

    # The scan and its result

    def _make_source(self) -> tuple[FrameSource, Goal]:
        goal = self._choice.goal or Goal.live(float(self._preferences.seconds))
        if self._choice.source is not None:
            return self._choice.source(), goal
        camera = self._preferences.camera_among(self._parts.cameras())
        if not camera:
            raise BadInput(
                title=said("No camera was found"),
                remedy=said("Plug in a camera, or switch it on, and try again."),
            )
        return self._parts.camera(camera), goal

    def begin(self) -> None:
        """Start a scan at once, as the button does."""
        self.go_to_scan()
        self.scan.begin()

    def _scan_began(self) -> None:
        self._scan_began_s = self._parts.clock.now_s()
        self.notice.hide()
        self.bar.setEnabled(False)  # a person is measured for whom it was begun

    def _free_bar(self) -> None:
        self.bar.setEnabled(True)

    def _scan_finished(self, record: ScanRecord) -> None:
        self._free_bar()
        self._record = record
        can_save = isinstance(self._shelf.state, Open)
        self._show_result(Shown(record, None, self._name(), can_save))
        self.result_shown.emit(record)

    def _show_result(self, shown: Shown) -> None:
        if self.result is not None:
            self.pages.removeWidget(self.result)
            self.result.deleteLater()
        page = self.result = ResultPage(shown)
        page.save.connect(self._save)
        page.report.connect(self._report)
        page.discard.connect(self._discard)
        page.back.connect(self.go_to_history)
        page.delete.connect(self._delete)
        self.pages.addWidget(page)
        self.pages.setCurrentWidget(page)
        page.focus_first()

    def _discard(self) -> None:
        self._record = None
        self.go_to_scan()

    def _save(self) -> None:
        record, choice = self._record, self._whose
        if record is None:
            return
        now_s = self._parts.clock.now_s()
        if must_ask(choice, started_s=self._scan_began_s, last_saved=self._last_saved, now_s=now_s):
            question = said(
                "Is this the result of {name}? It would be kept in their history.", name=self._name()
            )
            if not self._confirmed(
                said("Whose result is this?"), question, said("Yes, {name}", name=self._name())
            ):
                return
        made = to_observation(replace(record, saved=True, saved_reason=None), person=choice.person)

        def saved(_new: object) -> None:
            self._last_saved, self._record = choice.person, None
            self.go_to_history()
            self.notice.tell(
                said("Saved for {name}.", name=self._name() or said("Guest")),
                said("Undo"),
                lambda: self._delete(made.line.id, quietly=True),
            )

        self._shelf.ask(lambda kept: kept.save(made), saved, self._tell_fault)

    def _open_kept(self, scan_id: str) -> None:
        def got(found: Observation | None) -> None:
            if found is None:
                self.history.refresh()
                return
            try:
                record = to_record(found)
            except BadInput as fault:
                self._tell_fault(fault)
                return
            self._show_result(Shown(record, found.line, self._name(), can_save=True))

        self._shelf.ask(lambda kept: kept.get(scan_id), got, self._tell_fault)

    def _delete(self, line_id: str, *, quietly: bool = False) -> None:
        def gone(_: object) -> None:
            self.go_to_history()
            if not quietly:
                self.notice.tell(said("Deleted."), said("Undo"), lambda: self._put_back(line_id))

        self._shelf.ask(
            lambda kept: kept.delete(line_id, now=self._parts.clock.utc()), gone, self._tell_fault
        )

    def _put_back(self, line_id: str) -> None:
        self._shelf.ask(
            lambda kept: kept.restore(line_id), lambda _: self.history.refresh(), self._tell_fault
        )

    def _enter(self) -> None:
        dialog = EntryDialog(self, self._name(), self._parts.clock.utc().astimezone())
        if dialog.exec() != QDialog.DialogCode.Accepted or dialog.typed is None:
            return
        typed: Typed = dialog.typed
        made = entry_to_observation(typed.kind, typed.values, typed.taken_at, self._whose.person)

        def saved(_new: object) -> None:
            self.history.refresh()
            self.notice.tell(
                said("Saved for {name}.", name=self._name() or said("Guest")),
                said("Undo"),
                lambda: self._delete(made.line.id, quietly=True),
            )

        self._shelf.ask(lambda kept: kept.save(made), saved, self._tell_fault)

    # Files

    def _report(self) -> None:
        page = self.result
        if page is None:
            return
        record, line, whose, language = page.shown.record, page.shown.kept, page.shown.whose, self._language
        path = self._ask_path(
            f"health-helper-{record.taken_at.astimezone():%Y-%m-%d-%H%M}.pdf",
            said("Report (*.pdf);;Data (*.json)"),
        )
        if path is None:
            return
        # On the clock of the place where it was taken, which may be another one by now.
        offset_min = utc_offset_min(record.taken_at) if line is None else line.utc_offset_min

        def write(history: list[tuple[datetime, float]]) -> None:
            write_report(
                record,
                path,
                language=language,
                name=whose or None,
                utc_offset_min=offset_min,
                history=history,
            )

        def written(_: None) -> None:
            self.notice.tell(said("Report written: {name}", name=path.name))

        if line is not None and isinstance(self._shelf.state, Open):
            person = line.person
            self._shelf.ask(
                lambda kept: write(earlier_heart_rates(kept, person, record.taken_at)),
                written,
                self._tell_fault,
            )
        else:
            self._shelf.elsewhere(lambda: write([]), written, self._tell_fault)

    def _export(self) -> None:
        person = self._whose.person
        path = self._ask_path("health-helper.csv", said("Table (*.csv);;Data (*.json)"))
        if path is None:
            return

        def write(kept: Observations) -> int:
            from client.store.export import COLUMNS, rows

            found = rows(kept, person, whole=path.suffix.lower() == ".json")
            write_table(found, COLUMNS, path)
            return len(found)

        def written(count: int) -> None:
            self.notice.tell(
                said("Written: {name}, {count} kept. It is not encrypted.", name=path.name, count=count)
            )

        self._shelf.ask(write, written, self._tell_fault)

    def _ask_path(self, name: str, kinds: str) -> Path | None:
        documents = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.DocumentsLocation)
        chosen, _ = QFileDialog.getSaveFileName(
            self, said("Where to"), str(Path(documents or ".") / name), kinds
        )
        return Path(chosen) if chosen else None

    # People

    def _name(self) -> str:
        """Of the chosen person; "" for a guest."""
        state = self._shelf.state
        people = state.people if isinstance(state, Open) else ()
        return next((one.name for one in people if one.id == self._whose.person), "")

    def _choose_person(self, at: int) -> None:
        data = self.person.itemData(at)
        if data == _ADD:
            self._fill_people()
            self._add_person()
            return
        self._set_person(data)

    def _set_person(self, person: str | None) -> None:
        self._whose = Choice(person, self._parts.clock.now_s())
        self._fill_people()
        page = self.result
        if self.pages.currentWidget() is self.history:
            self.go_to_history()
        elif page is not None and self.pages.currentWidget() is page:
            if page.shown.kept is None:
                self._show_result(replace(page.shown, whose=self._name()))
            else:  # what is kept of somebody is not shown under another name
                self.go_to_history()

    def _add_person(self) -> None:
        dialog = NameDialog(self)
        if dialog.exec() != QDialog.DialogCode.Accepted:
            return
        name, now = dialog.name.text(), self._parts.clock.utc()
        made: list[str] = []

        def add(kept: Observations) -> None:
            made.append(kept.add_person(name, now=now).id)

        def added(_: None) -> None:
            self._whose = Choice(made[0], self._parts.clock.now_s())
            self._shelf.read_people()

        self._shelf.ask(add, added, self._tell_fault)

    def _remove_person(self) -> None:
        person, name = self._whose.person, self._name()
        if person is None:
            self.notice.tell(said("Choose a person at the top first; a guest can't be deleted."))
            return
        question = said(
            "Delete {name} and all that is kept of them? It can be put back for 30 days.", name=name
        )
        if not self._confirmed(said("Delete a person"), question, said("Delete {name}", name=name)):
            return

        def gone(_: None) -> None:
            self._set_person(None)
            self._shelf.read_people()
            self.notice.tell(
                said("{name} was deleted.", name=name), said("Undo"), lambda: self._bring_back(person)
            )

        self._shelf.ask(
            lambda kept: kept.delete_person(person, now=self._parts.clock.utc()), gone, self._tell_fault
        )

    def _bring_back(self, person: str) -> None:
        self._shelf.ask(
            lambda kept: kept.restore_person(person), lambda _: self._shelf.read_people(), self._tell_fault
        )

    def _fill_people(self) -> None:
        self.person.clear()
        self.person.addItem(said("Guest"), None)
        state = self._shelf.state
        for one in state.people if isinstance(state, Open) else ():
            self.person.addItem(one.name, one.id)
        if isinstance(state, Open):
            self.person.addItem(said("Add a person…"), _ADD)
        at = self.person.findData(self._whose.person) if self._whose.person is not None else 0
        if at < 0:
            self._whose = Choice(None, self._parts.clock.now_s())
        self.person.setCurrentIndex(max(0, at))
        self.scan.show_whose(self._name())

    # The store

    def _show_shelf(self) -> None:
        self._fill_people()
        state = self._shelf.state
        page = self.result
        if page is not None and page.save_button is not None:
            page.save_button.setEnabled(isinstance(state, Open))
            page.shown = replace(page.shown, can_save=isinstance(state, Open))
        match state:
            case Unusable(fault):
                self.notice.tell(f"{fault.title}. {fault.remedy}", said("Try again"), self._shelf.open)
            case Open():
                self._purge()
                if self.pages.currentWidget() is self.history:
                    self.go_to_history()
                if state.needs_recovery_key and state.people:
                    self.notice.tell(
                        said(
                            "Nobody has a recovery key on paper yet. Without one, what is kept is lost with this computer's key store."
                        ),
                        said("Make one…"),
                        self._recovery_key,
                    )
            case Closed():
                if self.pages.currentWidget() in (self.history, self.result) and self._record is None:
                    self.go_to_scan()

    def _purge(self) -> None:
        self._shelf.ask(
            lambda kept: kept.purge_old(now=self._parts.clock.utc()), lambda _: None, self._tell_fault
        )

    def _recovery_key(self) -> None:
        self._shelf.new_recovery_key(self._show_key, self._tell_fault)

    def _show_key(self, key: str) -> None:
        dialog = RecoveryDialog(self, key, lambda: self._print(key))
        if dialog.exec() == QDialog.DialogCode.Accepted:
            self._shelf.confirm_recovery_key(
                lambda _: self.notice.tell(
                    said("The recovery key is in force now, instead of any older one.")
                ),
                self._tell_fault,
            )

    def _print(self, key: str) -> None:
        """Straight to a printer: a file of it would be a plain-text copy."""
        from PySide6.QtGui import QTextDocument
        from PySide6.QtPrintSupport import QPrintDialog, QPrinter

        printer = QPrinter()
        if QPrintDialog(printer, self).exec() == QDialog.DialogCode.Accepted:
            page = QTextDocument()
            page.setPlainText(f"Health Helper\n{said('Recovery key')}\n\n{key}\n")
            page.print_(printer)

    def _restore(self) -> None:
        dialog = RestoreDialog(self)
        if dialog.exec() == QDialog.DialogCode.Accepted:
            self._shelf.restore(dialog.key.text())

    def _lock_if_idle(self) -> None:
        limit_min = self._preferences.lock_after_min
        idle_s = self._parts.clock.now_s() - self._used_at_s
        if not limit_min or self.scan.running or idle_s < 60.0 * limit_min:
            return
        if isinstance(self._shelf.state, Open):
            self._whose = Choice(None, self._parts.clock.now_s())
            self._record = None
            self._shelf.close()
            self.go_to_scan()
            self.notice.tell(
                said("Locked, because nobody used it for {minutes} min.", minutes=limit_min),
                said("Unlock"),
                self._shelf.open,
            )

    def used(self) -> None:
        """Somebody pressed a key or a button."""
        self._used_at_s = self._parts.clock.now_s()

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

    # Errors and the end

    def _tell_fault(self, fault: HealthHelperError) -> None:
        self.notice.tell(f"{fault.title}. {fault.remedy}")

    def _confirmed(self, title: str, question: str, yes: str) -> bool:
        return ConfirmDialog(self, title, question, yes).exec() == QDialog.DialogCode.Accepted

    def let_go(self) -> None:
        """Before it is closed or made anew: no thread and no camera stays."""
        self._idle.stop()
        self.scan.end()
        self.settings.end()
        self._shelf.changed.disconnect(self._show_shelf)
        self._shelf.changed.disconnect(self.settings.show_store)

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 (Qt's name)
        self.let_go()
        event.accept()

    def keep_of(self, before: Window) -> None:
        """Made anew: who was chosen, and where one was."""
        self._whose, self._last_saved = before._whose, before._last_saved
        self._fill_people()
        if before.pages.currentWidget() is before.settings:
            self.go_to_settings()


_ADD = "add"
