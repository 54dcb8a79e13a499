"""The settings page: language, look, camera with its picture, time of a scan, what is kept and how it is locked."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout

from client.config import version
from client.language import said
from client.parts import Parts
from client.pipeline.preview import Preview
from client.ui import look
from client.ui.preferences import LOCK_AFTER_MIN, Preferences
from client.ui.shelf import Closed, Open, Opening, Shelf, Unusable
from client.ui.translations import LANGUAGES
from client.ui.widgets.layout import Page, button, card, form, label
from client.ui.widgets.picture import Picture

_PREVIEW_EVERY_MS = 50
SECONDS = (30, 40, 60, 90)


class SettingsPage(Page):
    """changed: the preferences are others now (they are changed in place). rebuild: and the window must be made anew to show it.

    recovery_key, restore, unlock, add_person, remove_person: the person wants that.
    """

    changed = Signal()
    rebuild = Signal()
    recovery_key = Signal()
    restore = Signal()
    unlock = Signal()
    add_person = Signal()
    remove_person = Signal()

    def __init__(
        self, parts: Parts, shelf: Shelf, preferences: Preferences, language: str, folder: str
    ) -> None:
        super().__init__(said("Settings"))
        self._parts, self._shelf, self._preferences, self._folder = parts, shelf, preferences, folder
        self._preview: Preview | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(_PREVIEW_EVERY_MS)
        self._timer.timeout.connect(self._show_preview)
        self.column.addWidget(label(said("Settings"), "title"))
        self._add_look(language)
        self._add_camera()
        self._add_store()
        self.column.addWidget(label(said("Health Helper {version}", version=version()), "muted"))
        self.column.addStretch(1)
        shelf.changed.connect(self.show_store)
        self.show_store()

    def end(self) -> None:
        """Let go of the camera."""
        self._timer.stop()
        if self._preview is not None:
            self._preview.__exit__(None, None, None)
            self._preview = None
        self.picture.show_frame(None, mirrored=True, guide=None)
        self.picture.hide()
        self.try_camera.setText(said("Show its picture"))

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
            [(f"{percent} %", percent) for percent in look.SIZES_PERCENT],
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
        rows = form()
        found = [(one.name, one.id) for one in self._parts.cameras()]
        self.camera = _choice(said("Camera"), [(said("The first one"), ""), *found], self._preferences.camera)
        self._on(self.camera, lambda camera: setattr(self._preferences, "camera", camera), rebuild=False)
        self.camera.activated.connect(lambda _at: self.end())
        self.seconds = _choice(
            said("Good signal that a scan takes"),
            [(said("{seconds} s", seconds=seconds), seconds) for seconds in SECONDS],
            self._preferences.seconds,
        )
        self._on(self.seconds, lambda seconds: setattr(self._preferences, "seconds", seconds), rebuild=False)
        for box in (self.camera, self.seconds):
            rows.addRow(box.accessibleName(), box)
        inside.addLayout(rows)
        self.camera_words = label(
            "" if found else said("No camera was found. Plug one in and open this page again."), "muted"
        )
        inside.addWidget(label(said("Variability (RMSSD, SDNN) needs 60 s of good signal or more."), "muted"))
        inside.addWidget(self.camera_words)
        self.picture = Picture()
        self.picture.setMinimumHeight(260)
        self.picture.hide()
        inside.addWidget(self.picture)
        row = QHBoxLayout()
        self.try_camera = button(said("Show its picture"), self._toggle_preview)
        self.try_camera.setEnabled(bool(found))
        row.addWidget(self.try_camera)
        row.addStretch(1)
        inside.addLayout(row)
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
                for m in LOCK_AFTER_MIN
            ],
            self._preferences.lock_after_min,
        )
        self._on(self.lock, lambda m: setattr(self._preferences, "lock_after_min", m), rebuild=False)
        rows.addRow(self.lock.accessibleName(), self.lock)
        inside.addLayout(rows)
        self.key_button = button(said("New recovery key…"), self.recovery_key.emit)
        self.restore_button = button(said("Open with the recovery key…"), self.restore.emit)
        self.unlock_button = button(said("Open the store"), self.unlock.emit)
        self.add_button = button(said("Add a person…"), self.add_person.emit)
        self.remove_button = button(said("Delete the chosen person…"), self.remove_person.emit)
        for one in (
            self.unlock_button,
            self.restore_button,
            self.add_button,
            self.remove_button,
            self.key_button,
        ):
            inside.addWidget(one)
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
                    "Encrypted; its key is in this system's key store. {count} people. Folder: {folder}",
                    count=len(state.people),
                    folder=self._folder,
                )
                if state.needs_recovery_key:
                    words += " " + said("Nobody has a recovery key on paper yet.")
            case Opening():
                words = said("The store is being opened …")
            case Closed():
                words = said("The store is locked.")
            case Unusable():
                words = f"{state.fault.title}. {state.fault.remedy}"
        self.store_words.setText(words)
        is_open = isinstance(state, Open)
        for one in (self.key_button, self.add_button, self.remove_button):
            one.setVisible(is_open)
        self.unlock_button.setVisible(isinstance(state, (Closed, Unusable)))
        self.restore_button.setVisible(isinstance(state, Unusable))

    def _toggle_preview(self) -> None:
        if self._preview is not None:
            self.end()
            return
        camera = self._preferences.camera_among(self._parts.cameras())
        if not camera:
            return
        self._preview = Preview(self._parts.camera(camera))
        self._preview.__enter__()
        self.picture.show()
        self.try_camera.setText(said("Hide its picture"))
        self._timer.start()

    def _show_preview(self) -> None:
        if self._preview is None:
            return
        fault, frame = self._preview.fault(), self._preview.frame()
        self.camera_words.setText("" if fault is None else f"{fault.title}. {fault.remedy}")
        if frame is not None:
            self.picture.show_frame(frame.image, mirrored=True, guide=None)


def _choice(name: str, entries: list[tuple[str, object]], now: object) -> QComboBox:
    box = QComboBox()
    box.setAccessibleName(name)
    for words, value in entries:
        box.addItem(words, value)
    box.setCurrentIndex(max(0, next((at for at, (_, value) in enumerate(entries) if value == now), 0)))
    return box
