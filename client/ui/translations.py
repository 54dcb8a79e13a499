"""The window's language: our words from assets/i18n/*.ts, Qt's own from what it ships.

The .ts files (Qt Linguist) are read as they are: there is no second, compiled copy that could be older.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from importlib.resources.abc import Traversable

from PySide6.QtCore import QCoreApplication, QLibraryInfo, QLocale, QTranslator
from PySide6.QtWidgets import QApplication

from client import language
from client.config import assets

LANGUAGES = {"en": "English", "es": "Español", "ar": "العربية"}
"""By their own names, which whoever wants them can read."""
_CONTEXT = "Health Helper"
_installed: list[QTranslator] = []


class FromTs(QTranslator):
    """A translator for what a .ts file holds, whatever the context: one sentence means the same everywhere here."""

    def __init__(self, words: dict[str, str]) -> None:
        super().__init__()
        self._words = words

    def translate(
        self, context: str, source: str, disambiguation: str | None = None, number: int = -1
    ) -> str | None:
        """None where another translator, or the source itself, is to be taken; an empty text would be shown."""
        del disambiguation, number
        return self._words.get(source) if context == _CONTEXT else None

    def isEmpty(self) -> bool:  # noqa: N802 (Qt's name)
        return not self._words


def words_of(file: Traversable) -> dict[str, str]:
    """Source → translation, of those that are finished. A file that is no .ts has none."""
    try:
        root = ET.fromstring(file.read_bytes())  # noqa: S314 (our own file)
    except (OSError, ET.ParseError):
        return {}
    found: dict[str, str] = {}
    for message in root.iter("message"):
        source, translation = message.findtext("source"), message.find("translation")
        if source and translation is not None and translation.text and not translation.get("type"):
            found[source] = translation.text
    return found


def resolved(code: str) -> str:
    """One of LANGUAGES: this one, or for "" the system's where we have it, else English."""
    wanted = code or QLocale.system().name().split("_")[0]
    return wanted if wanted in LANGUAGES else "en"


def use(app: QApplication, code: str) -> str:
    """Speak this language from now on, in its direction. Returns which it is."""
    for translator in _installed:
        app.removeTranslator(translator)
    _installed.clear()
    chosen = resolved(code)
    QLocale.setDefault(QLocale(chosen))
    if chosen != "en":
        of_qt = QTranslator()
        if of_qt.load(f"qtbase_{chosen}", QLibraryInfo.path(QLibraryInfo.LibraryPath.TranslationsPath)):
            _installed.append(of_qt)
        _installed.append(FromTs(words_of(assets().joinpath("i18n", f"{chosen}.ts"))))
    for translator in _installed:
        app.installTranslator(translator)
    language.use(None if chosen == "en" else lambda text: QCoreApplication.translate(_CONTEXT, text))
    app.setLayoutDirection(QLocale(chosen).textDirection())
    return chosen
