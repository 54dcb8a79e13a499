"""The settings page: language, look, camera with its picture, microphone, voice, time of a scan, what is kept and how it is locked."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QComboBox

from client.config import version
from client.language import said
from client.parts import Parts
from client.pipeline.sharing import clinic_of, server_of
from client.ui import look
from client.ui.pages.camera import CameraChoice
from client.ui.pages.microphone import MicrophoneChoice
from client.ui.pages.voice import VoiceChoice
from client.ui.preferences import LOCK_AFTER_MIN, Preferences
from client.ui.shelf import Closed, Open, Opening, Shelf, ShelfState, Unusable, may_begin_anew
from client.ui.translations import LANGUAGES
from client.ui.widgets.choice import ChoiceBox
from client.ui.widgets.layout import Page, button, card, form, label

SECONDS = (30, 40, 60, 90)


class SettingsPage(Page):
    """changed: the preferences are others now (they are changed in place). rebuild: and the window must be made anew to show it.

    recovery_key, restore, begin_anew, unlock, lock_now, add_person, find_person, rename_person, remove_person, deleted, enrol, leave, sharing, sync,
    tasks: the person wants that.
    """

    changed = Signal()
    rebuild = Signal()
    recovery_key = Signal()
    restore = Signal()
    begin_anew = Signal()
    unlock = Signal()
    lock_now = Signal()
    add_person = Signal()
    find_person = Signal()
    rename_person = Signal()
    remove_person = Signal()
    deleted = Signal()
    enrol = Signal()
    leave = Signal()
    sharing = Signal()
    sync = Signal()
    tasks = Signal()

    def __init__(
        self, parts: Parts, shelf: Shelf, preferences: Preferences, language: str, folder: str
    ) -> None:
        super().__init__(said("Settings"))
        self._parts, self._shelf, self._preferences, self._folder = parts, shelf, preferences, folder
        self.column.addWidget(label(said("Settings"), "title"))
        self._add_look(language)
        self._add_camera()
        self._add_microphone()
        self._add_voice(language)
        self._add_store()
        self._add_clinic()
        self._add_staff()
        self.column.addWidget(label(said("Health Helper {version}", version=version()), "muted"))
        self.column.addStretch(1)
        shelf.changed.connect(self.show_store)
        self.show_store()

    def end(self) -> None:
        """Let go of the camera, of the microphone and of the loudspeaker."""
        self.camera.end()
        self.microphone.end()
        self.voice.end()

    def _add_look(self, language: str) -> None:
        frame, inside = card(said("Language and look"))
        rows = form()
        self.language = _choice(
            said("Language"), [(name, code) for code, name in LANGUAGES.items()], language
        )
        self.theme = _choice(
            said("Colours"),
            [(said("As the system"), "system"), (said("Light"), "light"), (said("Dark"), "dark")],
            self._preferences.theme,
        )
        self.text_size = _choice(
            said("Size of text"),
            [
                (f"{percent} %", percent)
                for percent in _with(look.SIZES_PERCENT, self._preferences.text_percent)
            ],
            self._preferences.text_percent,
        )
        self._on(self.language, lambda code: setattr(self._preferences, "language", code), rebuild=True)
        self._on(self.theme, lambda theme: setattr(self._preferences, "theme", theme), rebuild=True)
        self._on(
            self.text_size, lambda percent: setattr(self._preferences, "text_percent", percent), rebuild=True
        )
        for box in (self.language, self.theme, self.text_size):
            rows.addRow(box.accessibleName(), box)
        inside.addLayout(rows)
        self.column.addWidget(frame)

    def _add_camera(self) -> None:
        frame, inside = card(said("Camera"))
        self.camera = CameraChoice(self._parts, self._preferences)
        self.camera.changed.connect(self.changed.emit)
        inside.addWidget(self.camera)
        rows = form()
        self.seconds = _choice(
            said("Good signal that a scan takes"),
            [
                (said("{seconds} s", seconds=seconds), seconds)
                for seconds in _with(SECONDS, self._preferences.seconds)
            ],
            self._preferences.seconds,
        )
        self._on(self.seconds, lambda seconds: setattr(self._preferences, "seconds", seconds), rebuild=False)
        rows.addRow(self.seconds.accessibleName(), self.seconds)
        inside.addLayout(rows)
        inside.addWidget(label(said("Variability (RMSSD, SDNN) needs 60 s of good signal or more."), "muted"))
        self.column.addWidget(frame)

    def _add_microphone(self) -> None:
        frame, inside = card(said("Microphone"))
        self.microphone = MicrophoneChoice(self._parts, self._preferences)
        self.microphone.changed.connect(self.changed.emit)
        inside.addWidget(self.microphone)
        self.column.addWidget(frame)

    def _add_voice(self, language: str) -> None:
        self.voice = VoiceChoice(self._parts, self._preferences, language)
        if self._parts.reader is None:  # nothing reads aloud
            return
        frame, inside = card(said("Reading aloud"))
        self.voice.changed.connect(self.changed.emit)
        inside.addWidget(self.voice)
        self.column.addWidget(frame)

    def _add_store(self) -> None:
        frame, inside = card(said("What is kept on this device"))
        self.store_words = label("", selectable=True)
        inside.addWidget(self.store_words)
        rows = form()
        self.lock = _choice(
            said("Lock when nobody uses it"),
            [
                (said("after {minutes} min", minutes=m) if m else said("never (a kiosk)"), m)
                for m in _with(LOCK_AFTER_MIN, self._preferences.lock_after_min)
            ],
            self._preferences.lock_after_min,
        )
        self._on(self.lock, lambda m: setattr(self._preferences, "lock_after_min", m), rebuild=False)
        rows.addRow(self.lock.accessibleName(), self.lock)
        inside.addLayout(rows)
        self.key_button = button(said("New recovery key…"), self.recovery_key.emit)
        self.restore_button = button(said("Open with the recovery key…"), self.restore.emit)
        self.anew_button = button(said("Begin a new store…"), self.begin_anew.emit)
        self.unlock_button = button(said("Open the store"), self.unlock.emit)
        self.lock_button = button(said("Lock now"), self.lock_now.emit)
        self.add_button = button(said("Add a person…"), self.add_person.emit)
        self.find_button = button(said("Choose a person by their record number…"), self.find_person.emit)
        self.rename_button = button(said("Rename the chosen person…"), self.rename_person.emit)
        self.remove_button = button(said("Delete the chosen person…"), self.remove_person.emit)
        self.deleted_button = button(said("Deleted items…"), self.deleted.emit)
        for one in (
            self.lock_button,
            self.unlock_button,
            self.restore_button,
            self.anew_button,
            self.add_button,
            self.find_button,
            self.rename_button,
            self.remove_button,
            self.deleted_button,
            self.key_button,
        ):
            inside.addWidget(one)
        self.column.addWidget(frame)

    def _add_clinic(self) -> None:
        frame, inside = card(said("Clinic"))
        self.clinic_words = label("", selectable=True)
        self.clinic_fault = label("", "warning")
        self.clinic_fault.hide()
        inside.addWidget(self.clinic_words)
        inside.addWidget(self.clinic_fault)
        self.enrol_button = button(said("Enrol this device…"), self.enrol.emit)
        self.sync_button = button(said("What is sent…"), self.sync.emit)
        self.sharing_button = button(said("Sharing of the chosen person…"), self.sharing.emit)
        self.leave_button = button(said("Leave the clinic…"), self.leave.emit)
        for one in (self.enrol_button, self.sync_button, self.sharing_button, self.leave_button):
            inside.addWidget(one)
        self.column.addWidget(frame)

    def _add_staff(self) -> None:
        frame, inside = card(said("For staff"))
        self.staff_words = label("")
        inside.addWidget(self.staff_words)
        self.tasks_button = button(said("Readings to look at…"), self.tasks.emit)
        inside.addWidget(self.tasks_button)
        self.column.addWidget(frame)

    def _on(self, box: QComboBox, change: Callable[[object], None], *, rebuild: bool) -> None:
        def chosen(at: int) -> None:
            change(box.itemData(at))
            self.changed.emit()
            if rebuild:
                QTimer.singleShot(0, self.rebuild.emit)  # not while this page is still in its own signal

        box.activated.connect(chosen)

    def show_store(self) -> None:
        """How the store stands now."""
        state = self._shelf.state
        words = ""
        match state:
            case Open():
                words = said(
                    "Encrypted; its key is in this system's key store. People: {count}. Folder: {folder}",
                    count=len(state.people),
                    folder=self._folder,
                )
                if state.needs_recovery_key:
                    words += ". " + said("Nobody has a recovery key on paper yet.")
            case Opening():
                words = said("The store is being opened …")
            case Closed():
                words = said("The store is locked.")
            case Unusable():
                words = f"{state.fault.title}. {state.fault.remedy}"
        self.store_words.setText(words)
        is_open = isinstance(state, Open)
        for one in (
            self.lock_button,
            self.key_button,
            self.add_button,
            self.rename_button,
            self.remove_button,
            self.deleted_button,
            self.tasks_button,
        ):
            one.setVisible(is_open)
        self.find_button.setVisible(
            isinstance(state, Open) and any(one.record_number for one in state.people)
        )
        self.unlock_button.setVisible(isinstance(state, (Closed, Unusable)))
        self.restore_button.setVisible(isinstance(state, Unusable))
        self.anew_button.setVisible(may_begin_anew(state))
        self._show_clinic(state)
        self._show_staff(state)

    def _show_clinic(self, state: ShelfState) -> None:
        server = state.server if isinstance(state, Open) else ""
        if not isinstance(state, Open):
            words = said("Whether this device is enrolled is known once the store is open.")
        elif server:
            words = said(
                "This device is enrolled with the clinic at {server}. What is kept of those who have agreed is sent there.",
                server=server_of(server),
            )
            words = f"{words} {clinic_of(server, state.clinic)}"
        else:
            words = said("This device is enrolled with no clinic. Nothing that is kept leaves it.")
        self.clinic_words.setText(words)
        self.enrol_button.setVisible(isinstance(state, Open))
        self.enrol_button.setText(said("Enrol it anew…") if server else said("Enrol this device…"))
        for one in (self.sync_button, self.sharing_button, self.leave_button):
            one.setVisible(bool(server))

    def show_trouble(self, words: str) -> None:
        """What stands against sending anything, and what to do; "" where nothing does."""
        if words != self.clinic_fault.text():
            self.clinic_fault.setText(words)
            self.clinic_fault.setVisible(bool(words))

    def _show_staff(self, state: ShelfState) -> None:
        count = state.tasks if isinstance(state, Open) else 0
        if not isinstance(state, Open):
            words = said("What has to be looked at is known once the store is open.")
        elif count:
            words = said("Readings that somebody should look at: {count}.", count=count)
        else:
            words = said("Nothing has to be looked at.")
        self.staff_words.setText(words)


def _choice(name: str, entries: list[tuple[str, object]], now: object) -> QComboBox:
    box = ChoiceBox()
    box.setAccessibleName(name)
    for words, value in entries:
        box.addItem(words, value)
    box.setCurrentIndex([value for _, value in entries].index(now))
    return box


def _with(offered: Iterable[int], now: int) -> list[int]:
    """What is offered, and what holds now: somebody may have written another number into the file."""
    return sorted({*offered, now})
