"""What the settings show of reading aloud: how fast, with which voice, and how that sounds."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future

from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout

from client.errors import HealthHelperError
from client.language import said
from client.parts import Parts, Reader, VoiceEntry
from client.ui.pages.device_choice import DeviceChoice, device_box
from client.ui.preferences import SPEEDS_PERCENT, Preferences
from client.ui.views.devices import choices
from client.ui.widgets.choice import ChoiceBox
from client.ui.widgets.layout import button, form, label
from client.ui.widgets.notice import announce


class VoiceChoice(DeviceChoice[VoiceEntry]):
    """changed: another voice or speed was chosen. Reads a sentence from "Try it" to its end, to "Stop", or until it is no longer shown.

    The system may take its time to say which voices it has: a thread of its own waits for it, and the window looks at what came of it.
    """

    def __init__(self, parts: Parts, preferences: Preferences, language: str) -> None:
        super().__init__("voices", lambda: parts.voices(language))
        self._parts, self._preferences, self._language = parts, preferences, language
        self._reader: Reader | None = None
        self.speed = ChoiceBox()
        self.speed.setAccessibleName(said("Speed of reading aloud"))
        for percent in sorted({*SPEEDS_PERCENT, preferences.speech_percent}):
            self.speed.addItem(f"{percent} %", percent)
        self.speed.setCurrentIndex(self.speed.findData(preferences.speech_percent))
        self.speed.activated.connect(self._choose_speed)
        self.box = device_box(said("Voice"))
        self.box.activated.connect(self._choose_voice)
        self.words = label()
        self.try_it = button(said("Try it"), self._toggle)
        self.try_it.setAccessibleName(said("Try how it is read aloud"))
        self._add()
        self._fill(())
        self._tell("")

    def _add(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(10)
        rows = form()
        for box in (self.speed, self.box):
            rows.addRow(box.accessibleName(), box)
        column.addLayout(rows)
        column.addWidget(
            label(
                said(
                    "So the assistant reads its answers aloud, and what may be an emergency. Where the clinic's voice reads, only the speed holds."
                ),
                "muted",
            )
        )
        column.addWidget(self.words)
        row = QHBoxLayout()
        row.addWidget(self.try_it)
        row.addStretch(1)
        column.addLayout(row)

    def _fill(self, found: Sequence[VoiceEntry]) -> None:
        """A voice that was chosen for another language stays chosen for that one."""
        kept = self._preferences.voice
        kept = kept if any(one.id == kept for one in found) else ""
        self.box.clear()
        for words, voice in choices(said("The system's choice"), found, kept):
            self.box.addItem(words, voice)
        self.box.setCurrentIndex(max(0, self.box.findData(kept)))

    def _choose_speed(self, at: int) -> None:
        self._preferences.speech_percent = self.speed.itemData(at)
        self._stop()
        self.changed.emit()

    def _choose_voice(self, at: int) -> None:
        self._preferences.voice = self.box.itemData(at)
        self._stop()
        self.changed.emit()

    def _toggle(self) -> None:
        if self._reader is not None:
            self._stop()
        elif self._parts.reader is not None:
            self._reader = self._parts.reader(self._language, lambda: self._preferences.manner)
            self._reader.read(said("This is how it is read aloud. Your heart rate was 72 beats a minute."))
            self._show_trying(said("Stop"), said("Stop reading"))
            self._tell("")
            self._timer.start()

    def _show_trying(self, words: str, spoken: str) -> None:
        self.try_it.setText(words)
        self.try_it.setAccessibleName(spoken)

    def _stop(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()
        self._show_trying(said("Try it"), said("Try how it is read aloud"))

    def _look(self) -> None:
        if self._listed is not None and self._listed.done():
            self._show_list(self._listed)
        if self._reader is not None and not self._reader.reading:
            trouble = self._reader.trouble
            self._stop()
            self._tell(trouble)
        if self._listed is None and self._reader is None:
            self._timer.stop()

    def _show_list(self, listed: Future[Sequence[VoiceEntry]]) -> None:
        self._listed = None
        try:
            found = listed.result()
        except HealthHelperError as fault:
            self._tell(f"{fault.title}. {fault.remedy}")
            return
        self._fill(found)
        if not found:
            self._tell(
                said(
                    "This device has no voice for this language. Install espeak-ng, or a voice of the system for it."
                )
            )

    def _tell(self, words: str) -> None:
        """Show it, and let a screen reader say it."""
        self.words.setText(words)
        self.words.setVisible(bool(words))
        if words:
            announce(self.words, words)
