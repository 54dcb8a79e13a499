"""What a person chose for this window. Nothing about anybody's health, and no secret: it is a plain file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from PySide6.QtCore import QSettings

from client.devices.ports import Manner
from client.parts import CameraEntry

CONSENT_VERSION = 1
"""Raised whenever what is agreed to on the first page changes: everybody is asked again."""
LOCK_AFTER_MIN = (0, 2, 5, 15, 30)
THEMES = ("system", "light", "dark")
SPEEDS_PERCENT = (60, 80, 100, 120, 150, 200)
"""At which answers are read aloud."""


@dataclass(slots=True)
class Preferences:
    """language: of translations.LANGUAGES, or "" for the system's. theme: of THEMES.

    text_percent: 100 to 200. camera: its identifier, or "" for the first. microphone: its identifier, or "" for the system's own. voice:
    that reads aloud, or "" for the system's own; speech_percent: how fast, 50 to 200.
    seconds: of good signal that a scan takes. lock_after_min: without a key or a click; 0: never. consent: of which CONSENT_VERSION, 0 for none.
    """

    language: str = ""
    theme: str = "system"
    text_percent: int = 100
    camera: str = ""
    microphone: str = ""
    voice: str = ""
    speech_percent: int = 100
    seconds: int = 40
    lock_after_min: int = 5
    consent: int = 0

    @property
    def manner(self) -> Manner:
        """How this person wants to be read to."""
        return Manner(self.voice, self.speech_percent)

    def camera_among(self, found: Sequence[CameraEntry]) -> str:
        """The identifier of the chosen camera, else of the first; "" where there is none."""
        return self.camera or next((one.id for one in found), "")


class PreferencesFile:
    """Where they are kept. A file that cannot be read is as good as none: the defaults hold."""

    def __init__(self, path: Path) -> None:
        self._file = QSettings(str(path), QSettings.Format.IniFormat)

    def load(self) -> Preferences:
        """What is there and makes sense; the default for the rest."""
        found = Preferences()
        for field in fields(Preferences):
            value: Any = self._file.value(field.name)
            if value is None:
                continue
            if isinstance(getattr(found, field.name), int):
                try:
                    value = int(value)
                except (TypeError, ValueError):
                    continue
            elif not isinstance(value, str):
                continue
            setattr(found, field.name, value)
        if found.theme not in THEMES:
            found.theme = "system"
        found.text_percent = min(200, max(100, found.text_percent))
        found.speech_percent = min(200, max(50, found.speech_percent))
        found.seconds = min(120, max(20, found.seconds))
        found.lock_after_min = max(0, found.lock_after_min)
        return found

    def save(self, preferences: Preferences) -> bool:
        """Whether it could be written."""
        for field in fields(Preferences):
            self._file.setValue(field.name, getattr(preferences, field.name))
        self._file.sync()
        return self._file.status() is QSettings.Status.NoError
