"""Words, and readings with them, to a verdict; a verdict to what is said. Local, deterministic, the same with and without a network.

Nothing of what a person says is kept here or written to a log.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources.abc import Traversable

from client import config
from client.assistant.triage.data import BadData, function_words_in, parsed
from client.assistant.triage.levels import VITALS, Level, Verdict
from client.assistant.triage.linear_reader import BadWeights
from client.assistant.triage.matching import Language, Look
from client.assistant.triage.places import NUMBERS_FILE, Place, Places, filled
from client.assistant.triage.reading import read
from client.assistant.triage.second_reader import SecondReader
from client.assistant.triage.word_net import WordNet
from client.errors import EnvironmentFault
from client.language import said

FALLBACK = "en"
READER = ".reader"
"""Of the file of a language's second reader."""
NET = "words.net"
"""The file of the net of all of them."""
_FEWEST_WORDS = 3


@dataclass(frozen=True, slots=True)
class Readings:
    """What was measured or entered; None: not. Rates per minute, saturation in %, temperature in degrees Celsius, pressures in mmHg."""

    heart_rate: float | None = None
    respiratory_rate: float | None = None
    spo2: float | None = None
    temperature: float | None = None
    systolic: float | None = None
    diastolic: float | None = None


_RED: Mapping[str, tuple[float | None, float | None, int]] = {
    "heart_rate": (40, 131, 0),
    "respiratory_rate": (8, 25, 0),
    "spo2": (91, None, 0),
    "temperature": (35.0, None, 1),
    "systolic": (90, 180, 0),
    "diastolic": (None, 120, 0),
}
"""So much and less, so much and more, decimals it is judged with. NEWS2's 3 points for one parameter (Royal College of Physicians 2017);
180 and 120 mmHg: ACC/AHA 2017, which with symptoms is an emergency."""
_AMBER: Mapping[str, tuple[float | None, float | None, int]] = {
    "heart_rate": (None, 111, 0),
    "respiratory_rate": (None, 21, 0),
    "spo2": (93, None, 0),
    "temperature": (None, 39.1, 1),
    "systolic": (100, None, 0),
}
"""NEWS2's 2 points: with symptoms to be seen within a day. Its 91 to 110 of the pulse is 1 point."""


class Triage:
    """Languages are read when they are first needed. Raises EnvironmentFault where a part of this installation is broken."""

    def __init__(self, folder: Traversable) -> None:
        self._folder = folder
        self._read: dict[str, Language] = {}
        self._common: dict[str, frozenset[str]] = {}
        self._readers: dict[str, SecondReader | None] = {}
        self._net: WordNet | None = None
        self._codes: tuple[str, ...] = ()
        self._places: Places | None = None

    @property
    def languages(self) -> tuple[str, ...]:
        """Codes of those that there are data for."""
        if not self._codes:
            try:
                names = [file.name for file in self._folder.iterdir()]
            except OSError as error:
                raise _broken(type(error).__name__) from None
            self._codes = tuple(
                sorted(name[:-5] for name in names if name.endswith(".toml") and name != NUMBERS_FILE)
            )
        return self._codes

    def resolved(self, language: str) -> str:
        """A code such as "pt-BR" as one of `languages`; English for one that there are no data for."""
        code = language.replace("_", "-").split("-")[0].lower()
        return code if code in self.languages else FALLBACK

    def prepare(self) -> None:
        """Read all languages now, so that the first text in another language than expected costs no more than later ones."""
        for code in self.languages:
            self._language(code)
            self._reader(code)

    def judge(self, text: str, language: str) -> Verdict:
        """Any text. language: of the person; where the words are clearly of others, those count too."""
        own = self._language(self.resolved(language))
        looks = [(own.code, own.look(text))]
        best, code = looks[0][1].finding(), own.code
        if best.level is Level.EMERGENCY:
            return Verdict(best.level, best.category, code)
        looks += [(other.code, other.look(text)) for other in self._others(text, own)]
        for one, look in looks[1:]:
            found = look.finding()
            if found.level > best.level:
                best, code = found, one
        if best.level is not Level.EMERGENCY:
            for one, look in looks:
                category = self._suspected(one, look)
                if category is not None:
                    return Verdict(Level.EMERGENCY, category, one)
        return Verdict(best.level, best.category, code)

    def look(self, text: str, language: str) -> Look:
        """A text as a language's rules see it: what its second reader is taught with."""
        return self._language(self.resolved(language)).look(text)

    def _suspected(self, code: str, look: Look) -> str | None:
        """The category that a language's second reader takes a text for."""
        reader = self._reader(code)
        return None if reader is None else reader.suspects(look.parts(), look.finding().hint)

    def judge_with_vitals(self, text: str, language: str, readings: Readings) -> Verdict:
        """As `judge`; readings out of range raise the level of whoever feels ill. They alone raise nothing: staff are told of them."""
        verdict = self.judge(text, language)
        level = _of_readings(readings)
        if level <= verdict.level:
            return verdict
        own = self._language(self.resolved(language))
        ill = verdict.level is not Level.NONE or any(
            one.has_symptom(text) for one in (own, *self._others(text, own))
        )
        return Verdict(level, VITALS, verdict.language) if ill else verdict

    def say(self, verdict: Verdict, language: str, place: Place | None = None) -> str:
        """What is shown and read out, in the person's language; nothing at level NONE. place: see `place_of`."""
        if verdict.level is Level.NONE:
            return ""
        sayings = self._language(self.resolved(language)).say
        own = sayings.by_category.get(verdict.category or "")
        text = sayings.emergency if verdict.level is Level.EMERGENCY else sayings.urgent
        if own is not None and verdict.level is Level.EMERGENCY:
            text = own
        return filled(text, place, sayings.local_number)

    def call_staff(self, language: str) -> str:
        """The label of the button."""
        return self._language(self.resolved(language)).say.call_staff

    def place_of(self, country: str | None, regions: Iterable[str | None] = ()) -> Place | None:
        """Whose numbers hold here: the policy's country, else the regions that the system's time zone and locale name, where they agree."""
        if self._places is None:
            self._places = Places(self._content(NUMBERS_FILE))
        return self._places.of(country, regions)

    def _others(self, text: str, own: Language) -> list[Language]:
        """Languages whose function words the text has more of, or whose letters it is written with and not this one's."""
        words = own.read(text).words
        if not words:
            return []
        scripts = {_script(word) for word in words}
        hits = sum(word in own.function_words for word in words)
        foreign = _scripts(own.function_words).isdisjoint(scripts)
        if not foreign and len(words) < _FEWEST_WORDS:
            return []
        plain = read(text).words
        found = []
        for code in self.languages:
            if code == own.code:
                continue
            common = self._common_words(code)
            more = sum(word in common for word in plain) > hits
            if (more or foreign) and not _scripts(common).isdisjoint(scripts):
                found += self._readable(code)
        return found

    def _common_words(self, code: str) -> frozenset[str]:
        """A language's function words, without reading the rest of it."""
        if code not in self._common:
            try:
                given = function_words_in(self._content(f"{code}.toml"))
            except EnvironmentFault:
                given = ()
            self._common[code] = frozenset(word for one in given for word in read(one).words)
        return self._common[code]

    def _readable(self, code: str) -> list[Language]:
        """The language; nothing where its data are broken: that takes nothing away from the person's own."""
        try:
            return [self._language(code)]
        except EnvironmentFault:
            return []

    def _language(self, code: str) -> Language:
        if code not in self._read:
            try:
                self._read[code] = Language(parsed(self._content(f"{code}.toml")))
            except BadData as error:
                raise _broken(f"{code}.toml {error}") from None
        return self._read[code]

    def _reader(self, code: str) -> SecondReader | None:
        """None for a language that has none."""
        if code not in self._readers:
            name = f"{code}{READER}"
            try:
                content = self._folder.joinpath(name).read_bytes()
            except FileNotFoundError:
                self._readers[code] = None
            except OSError as error:
                raise _broken(f"{name} {type(error).__name__}") from None
            else:
                try:
                    self._readers[code] = SecondReader(content, self._words_net(), code)
                except BadWeights as error:
                    raise _broken(f"{name} {error}") from None
        return self._readers[code]

    def _words_net(self) -> WordNet:
        if self._net is None:
            try:
                self._net = WordNet(self._content(NET))
            except BadWeights as error:
                raise _broken(f"{NET} {error}") from None
        return self._net

    def _content(self, name: str) -> bytes:
        try:
            return self._folder.joinpath(name).read_bytes()
        except OSError as error:
            raise _broken(f"{name} {type(error).__name__}") from None


def _broken(why: str) -> EnvironmentFault:
    return EnvironmentFault(
        title=said("The rules that notice emergencies cannot be read ({why})", why=why),
        remedy=config.repair(),
    )


def _script(word: str) -> str:
    return unicodedata.name(word[0], "").partition(" ")[0]


def _scripts(words: Iterable[str]) -> set[str]:
    return {_script(word) for word in words}


def _of_readings(readings: Readings) -> Level:
    for level, bounds in ((Level.EMERGENCY, _RED), (Level.URGENT, _AMBER)):
        for name, (low, high, decimals) in bounds.items():
            value = getattr(readings, name)
            if value is None or math.isnan(value):
                continue
            shown = round(value, decimals) if abs(value) < 1e9 else value
            if (low is not None and shown <= low) or (high is not None and shown >= high):
                return level
    return Level.NONE
