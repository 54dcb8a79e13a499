"""What an answer may not say, and what we say ourselves, in one language: assets/assistant/LANG.toml, read once.

A pattern is words as people write them. `word*` begins so, `*word` ends so, `<name>` is one of [lists], ` .. ` is a gap of a few words.
Letters are compared without case, accents, vowel signs of Arabic and nukta of Hindi; digits of every script are alike.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from client import config
from client.errors import EnvironmentFault
from client.language import said

FALLBACK = "en"
MEASURED = ("heart_rate", "respiratory_rate", "rmssd", "sdnn")
"""What this device measures."""
GAP_WORDS = 5
GAP_CHARACTERS = 10
"""The gap, in words, and in characters where words are not parted."""
BEFORE_WORDS = 3
"""A word of `unless` takes a pattern back where so many words lie between them, or fewer."""


_LETTERS = str.maketrans("\u0671\u0649\u0629\u06a9\u06cc\u0901", "\u0627\u064a\u0647\u0643\u064a\u0902")
_ENDS = set("!?;\u2026\u3002\uff01\uff1f\uff1b\u0964\u0965\u061f\u061b\u06d4\n")
_COMMAS = set(",:()[]{}\u060c\u3001\uff0c\uff1a\uff08\uff09\u2013\u2014")
_ACCENTS = (
    (0x0300, 0x036F),
    (0x0610, 0x061A),
    (0x064B, 0x065F),
    (0x0670, 0x0670),
    (0x06D6, 0x06ED),
    (0x093C, 0x093C),
)
_HAN = re.compile("([\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff])")


class _Folded(dict[int, str]):
    """Of str.translate; each decomposed, casefolded sign is worked out when it is first met."""

    def __missing__(self, code: int) -> str:
        self[code] = folded_sign = _folded(code)
        return folded_sign


def _folded(code: int) -> str:
    sign = chr(code)
    category = unicodedata.category(sign)
    if category == "Cf" or code == 0x0640 or any(first <= code <= last for first, last in _ACCENTS):
        return ""
    if sign in _ENDS:
        return " . "
    if sign in _COMMAS:
        return " , "
    if category == "Nd":
        return str(unicodedata.digit(sign))
    return sign if category[0] in "LMN" or sign == "." else " "


_FOLDED = _Folded()


def folded(text: str) -> str:
    """Words as they are compared, between single spaces; "," and "." stand alone. Begins and ends with a space."""
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    plain = unicodedata.normalize("NFC", unicodedata.normalize("NFKD", decomposed).translate(_FOLDED))
    plain = re.sub(r"\.(?![0-9])|(?<![0-9])\.", " . ", plain.translate(_LETTERS))
    return " ".join(("", *_HAN.sub(r" \1 ", plain).split(), ""))


@dataclass(frozen=True, slots=True)
class Rule:
    """fault: what a sentence is guilty of that the pattern is found in, unless one of `unless` stands shortly before it."""

    fault: str
    pattern: re.Pattern[str]
    unless: re.Pattern[str] | None

    def holds(self, plain: str) -> bool:
        """plain: of `folded`."""
        for found in self.pattern.finditer(plain):
            before = plain[: found.start()] + " "
            if self.unless is None or not self.unless.search(before):
                return True
        return False


@dataclass(frozen=True, slots=True)
class NumberWords:
    """values: of single words (and of words joined by spaces), folded. joining: words that may stand inside of a number.

    units_first: two and seventy is 72.
    """

    values: Mapping[str, int]
    joining: frozenset[str]
    units_first: bool


@dataclass(frozen=True, slots=True)
class Phrases:
    """One language. vitals: how they are called, by name. asserted: says what the person's own value is. templates, reasons: ours, as shown."""

    language: str
    unspaced: bool
    decimal_comma: bool
    scripts: frozenset[str]
    function_words: frozenset[str]
    abbreviations: tuple[str, ...]
    months: Mapping[str, int]
    month_names: tuple[str, ...]
    numbers: NumberWords
    rules: tuple[Rule, ...]
    asserted: Rule
    masks: re.Pattern[str] | None
    vitals: Mapping[str, re.Pattern[str]]
    units: re.Pattern[str]
    kinds: Mapping[str, re.Pattern[str]]
    templates: Mapping[str, str]
    names: Mapping[str, str]
    unit_names: Mapping[str, str]
    reasons: Mapping[str, str]

    def share_of(self, words: Sequence[str]) -> int:
        """How many of the words are function words of this language."""
        return sum(word in self.function_words for word in words)


def languages() -> tuple[str, ...]:
    """Codes of those that there are data for. Raises EnvironmentFault."""
    try:
        names = [file.name for file in config.assets().joinpath("assistant").iterdir()]
    except OSError as error:
        raise _broken(type(error).__name__) from None
    return tuple(sorted(name[:-5] for name in names if name.endswith(".toml")))


def of(language: str) -> Phrases:
    """Of a code such as "pt-BR"; English where there are no data. Raises EnvironmentFault."""
    code = language.replace("_", "-").partition("-")[0].lower()
    return _read(code if code in _codes() else FALLBACK)


def prepare() -> None:
    """Read all languages now (about half a second): an answer is held against the rules of each of them."""
    for code in _codes():
        _read(code)


@cache
def _codes() -> tuple[str, ...]:
    return languages()


@cache
def _read(code: str) -> Phrases:
    try:
        return parsed(config.assets().joinpath("assistant", f"{code}.toml").read_bytes())
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _broken(f"{code}.toml {type(error).__name__}") from None


def _broken(why: str) -> EnvironmentFault:
    return EnvironmentFault(
        title=said("What the assistant says cannot be read ({why})", why=why), remedy=config.repair()
    )


def parsed(content: bytes) -> Phrases:
    """Raises ValueError, KeyError or TypeError where the file is not as it should be."""
    raw = tomllib.loads(content.decode("utf-8"))
    unspaced = raw.get("unspaced", False)
    measured = [word for name in MEASURED for word in raw["vitals"][name]]
    lists: Mapping[str, list[str]] = {**raw["lists"], "measured": measured}
    compiler = _Compiler(lists, GAP_CHARACTERS if unspaced else GAP_WORDS, tuple(raw.get("prefixes", ())))
    months = [names if isinstance(names, list) else [names] for names in raw["months"]]
    masks = raw.get("mask", {}).get("phrases", [])
    return Phrases(
        language=raw["language"],
        unspaced=unspaced,
        decimal_comma=raw["decimal_comma"],
        scripts=frozenset(raw["scripts"]),
        function_words=frozenset(word for one in raw["function_words"] for word in folded(one).split()),
        abbreviations=tuple(raw["abbreviations"]),
        months={folded(name).strip(): at for at, names in enumerate(months, 1) for name in names},
        month_names=tuple(names[0] for names in months),
        numbers=_numbers(raw["numbers"]),
        rules=tuple(_rule(one, compiler) for one in raw["rule"]),
        asserted=_rule({"fault": "number", **raw["asserted"]}, compiler),
        masks=compiler.any_of(masks) if masks else None,
        vitals={name: compiler.any_of(words) for name, words in raw["vitals"].items()},
        units=compiler.any_of(raw["units"]["words"]),
        kinds={name: compiler.any_of(words) for name, words in raw["asked"].items()},
        templates=dict(raw["say"]),
        names=dict(raw["names"]),
        unit_names=dict(raw["units"]["names"]),
        reasons=dict(raw["reasons"]),
    )


def _rule(raw: Mapping[str, Any], compiler: _Compiler) -> Rule:
    unless = raw.get("unless", [])
    return Rule(raw["fault"], compiler.any_of(raw["when"]), compiler.before(unless) if unless else None)


def _numbers(raw: Mapping[str, Any]) -> NumberWords:
    values = {folded(word).strip(): value for word, value in raw["words"].items()}
    if raw.get("compound", False):  # German: units before tens, all in one word
        units = {word: value for word, value in values.items() if value < 10}
        units |= {folded(word).strip(): 1 for word in raw["one"]}
        tens = {word: value for word, value in values.items() if 20 <= value < 100 and value % 10 == 0}
        pairs = {
            f"{one}und{ten}": ones + of_ten for one, ones in units.items() for ten, of_ten in tens.items()
        }
        below = values | pairs | units
        hundred = folded(raw["hundred"]).strip()
        hundreds = {f"{one}{hundred}": 100 * ones for one, ones in units.items()} | {hundred: 100}
        more = {
            f"{one}{link}{two}": a + b
            for one, a in hundreds.items()
            for two, b in below.items()
            for link in ("", "und")
            if b < 100
        }
        values = values | pairs | hundreds | more
    return NumberWords(
        values,
        frozenset(folded(word).strip() for word in raw.get("joining", [])),
        raw.get("units_first", False),
    )


class _Compiler:
    def __init__(self, lists: Mapping[str, list[str]], gap: int, prefixes: Sequence[str]) -> None:
        self._lists = lists
        self._gap = rf"(?: [^ .]+){{0,{gap}}}"
        self._near = rf"(?: [^ .,]+){{0,{BEFORE_WORDS if gap == GAP_WORDS else GAP_CHARACTERS // 2}}} $"
        self._prefix = f"(?:{'|'.join(re.escape(one) for one in prefixes)})?" if prefixes else ""

    def any_of(self, patterns: Sequence[str]) -> re.Pattern[str]:
        return re.compile("|".join(f"(?:{self._pattern(one)})" for one in patterns))

    def before(self, patterns: Sequence[str]) -> re.Pattern[str]:
        return re.compile(f"(?:{'|'.join(self._pattern(one) for one in patterns)}){self._near}")

    def _pattern(self, written: str) -> str:
        parts = [
            self._gap
            if piece == ".."
            else self._list(piece[1:-1])
            if piece.startswith("<")
            else self._words(piece)
            for piece in re.findall(r"\.\.|<[a-z_]+>|(?:(?!\.\.|<).)+", written)
            if piece.strip()
        ]
        return "".join(parts) + r"(?= )"

    def _list(self, name: str) -> str:
        return f"(?:{'|'.join(self._words(one) for one in self._lists[name])})"

    def _words(self, written: str) -> str:
        found = []
        for word in written.split():
            stem = "".join(rf" {re.escape(one)}" for one in folded(word.strip("*")).split())
            begin = r" [^ ]*" if word.startswith("*") else f" {self._prefix}"
            found.append(begin + stem.removeprefix(" ") + ("[^ ]*" if word.endswith("*") else ""))
        return "".join(found)


def script(letter: str) -> str:
    """The first word of its Unicode name, such as LATIN, CJK, ARABIC; "" where it has none."""
    return unicodedata.name(letter, "").partition(" ")[0]
