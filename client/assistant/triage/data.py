"""The file of a language: read and checked. assets/triage/en.toml says what its parts mean, for whoever reviews one.

A pattern is parts joined by " + " (in whatever order) and " > " (in this order). A part is words, `<name>` of [words], or both one after another.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from client.assistant.triage.levels import CATEGORIES, VITALS, Level

REACH = 6
UNSPACED_REACH = 12
PAST_REACH, GENERAL_REACH = 8, 12
"""Words between a cue and what it takes back."""
_LISTS = (
    *("negation_before", "negation_after", "negation_not", "negation_stops_at", "denial"),
    *("past", "present", "general", "but", "or", "and", "subject"),
)
_NEEDED = ("function_words", "negation_before", "negation_not", "past", "present", "general", "but")
_NUMBERS = ("negation_reach", "negation_after_reach", "past_reach", "general_reach")
_KEYS = {
    "": {"language", "review", "sources", "reading", "context", "words", "rule", "mask", "say"},
    "reading": {"unspaced", "prefixes", "exact", "letters"},
    "context": {"function_words", *_LISTS, *_NUMBERS},
    "rule": {"category", "level", "reach", "when", "hints", "unless", "negatable"},
    "mask": {"phrases"},
    "say": {"emergency", "urgent", "call_staff", "local_number", "category"},
}
_FUNCTION_WORDS = re.compile(rb"^function_words\s*=\s*\[[^\]]*\]", re.MULTILINE)
_NAME = re.compile(r"<([a-z0-9_]+)>")
_LETTER = re.compile(r"[^\W_]")
_PART = re.compile(r"\s+([+>])\s+")


class BadData(ValueError):
    """A data file is not as it should be; says where and why, in English, for whoever writes one."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """parts: what stands there as written. ordered: for each part but the first, whether it comes after the one before it."""

    parts: tuple[str, ...]
    ordered: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """when: each decides by itself. hints: each only makes it likelier, see judging."""

    category: str
    level: Level
    reach: int
    when: tuple[Pattern, ...]
    unless: tuple[str, ...] = ()
    negatable: bool = True
    hints: tuple[Pattern, ...] = ()


@dataclass(frozen=True, slots=True)
class Sayings:
    """by_category: may lack any of them. Each may hold {number} and {crisis}."""

    emergency: str
    urgent: str
    call_staff: str
    local_number: str
    by_category: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Data:
    """context: lists of words by their names. Numbers of words: see the engine."""

    language: str
    prefixes: tuple[str, ...]
    exact: tuple[str, ...]
    letters: Mapping[int, str]
    function_words: tuple[str, ...]
    context: Mapping[str, tuple[str, ...]]
    negation_reach: int
    negation_after_reach: int
    past_reach: int
    general_reach: int
    words: Mapping[str, tuple[str, ...]]
    rules: tuple[Rule, ...]
    mask: tuple[str, ...]
    say: Sayings


def parsed(content: bytes) -> Data:
    """A file's content. Raises BadData with the first of its faults."""
    raw = _toml(content)
    for fault in faults(raw):
        raise BadData(fault)
    reading, context = raw.get("reading", {}), raw["context"]
    unspaced = reading.get("unspaced", False)
    reach = UNSPACED_REACH if unspaced else REACH
    negation_reach = context.get("negation_reach", 3)
    say = raw["say"]
    return Data(
        language=raw["language"],
        prefixes=tuple(reading.get("prefixes", ())),
        exact=tuple(reading.get("exact", ())),
        letters={ord(one): other for one, other in reading.get("letters", {}).items()},
        function_words=tuple(context["function_words"]),
        context={name: tuple(context.get(name, ())) for name in _LISTS},
        negation_reach=negation_reach,
        negation_after_reach=context.get("negation_after_reach", negation_reach),
        past_reach=context.get("past_reach", PAST_REACH),
        general_reach=context.get("general_reach", GENERAL_REACH),
        words={name: tuple(given) for name, given in raw["words"].items()},
        rules=tuple(_rule(one, reach) for one in raw["rule"]),
        mask=tuple(raw.get("mask", {}).get("phrases", ())),
        say=Sayings(
            say["emergency"],
            say["urgent"],
            say["call_staff"],
            say["local_number"],
            dict(say.get("category", {})),
        ),
    )


def function_words_in(content: bytes) -> tuple[str, ...]:
    """Only these, without the time that the whole of a file takes; nothing where there are none."""
    found = _FUNCTION_WORDS.search(content)
    try:
        given = _toml(found.group() if found else b"").get("function_words", [])
    except BadData:
        return ()
    return tuple(one for one in given if isinstance(one, str))


def _toml(content: bytes) -> dict[str, Any]:
    try:
        return tomllib.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        raise BadData(f"is no TOML in UTF-8: {error}") from None


def _rule(raw: Mapping[str, Any], reach: int) -> Rule:
    return Rule(
        category=raw["category"],
        level=Level(raw["level"]),
        reach=raw.get("reach", reach),
        when=tuple(pattern(one) for one in raw["when"]),
        unless=tuple(raw.get("unless", ())),
        negatable=raw.get("negatable", True),
        hints=tuple(pattern(one) for one in raw.get("hints", ())),
    )


def pattern(written: str) -> Pattern:
    """One alternative of a rule, taken apart at its signs."""
    pieces = _PART.split(written.strip()) if "+" in written or ">" in written else [written]
    return Pattern(tuple(piece.strip() for piece in pieces[::2]), tuple(sign == ">" for sign in pieces[1::2]))


def names_in(written: str) -> list[str]:
    """The lists that are named in it."""
    return _NAME.findall(written) if "<" in written else []


def faults(raw: Mapping[str, Any]) -> list[str]:
    """All that is wrong in a file, each with its place."""
    found: list[str] = []
    found += _strange("", raw)
    found += [
        f'"{key}" is missing' for key in ("language", "context", "words", "rule", "say") if key not in raw
    ]
    if found:
        return found
    for table in ("reading", "context", "words", "mask", "say"):
        if not isinstance(raw.get(table, {}), Mapping):
            return [f"[{table}] is no table"]
    if not isinstance(raw["rule"], Sequence) or not raw["rule"]:
        return ["there is no [[rule]]"]
    if not re.fullmatch(r"[a-z]{2,3}", str(raw["language"])):
        found.append("language is no code such as en")
    for table in ("reading", "context", "mask", "say"):
        found += _strange(table, raw.get(table, {}))
    found += (
        _reading_faults(raw.get("reading", {})) + _context_faults(raw["context"]) + _say_faults(raw["say"])
    )
    words = raw["words"]
    for name, given in words.items():
        found += _texts_faults(f"[words] {name}", given)
        if not re.fullmatch(r"[a-z0-9_]+", name):
            found.append(f"[words] {name}: a name is small letters, digits and _")
    found += _texts_faults("[mask] phrases", raw.get("mask", {}).get("phrases", []), empty=True)
    if not found:
        found += _name_faults(words, raw)
        found += _circles(words)
    for number, rule in enumerate(raw["rule"], 1):
        found += [f"rule {number}: {fault}" for fault in _rule_faults(rule, words)]
    return found


def _strange(table: str, given: Mapping[str, Any]) -> list[str]:
    return [f"{f'[{table}] ' if table else ''}{key}: no such key" for key in given if key not in _KEYS[table]]


def _texts_faults(place: str, given: Any, *, empty: bool = False) -> list[str]:
    if not isinstance(given, list) or not (given or empty):
        return [f"{place}: is no list of texts"]
    return [f"{place}: {one!r} is no text with a letter in it" for one in given if not _is_text(one)]


def _is_text(one: Any) -> bool:
    return isinstance(one, str) and _LETTER.search(one) is not None


def _reading_faults(reading: Mapping[str, Any]) -> list[str]:
    found = []
    if not isinstance(reading.get("unspaced", False), bool):
        found.append("[reading] unspaced: true or false")
    for name in ("prefixes", "exact"):
        found += _texts_faults(f"[reading] {name}", reading.get(name, []), empty=True)
    letters = reading.get("letters", {})
    if not isinstance(letters, Mapping) or not all(
        len(one) == 1 and isinstance(other, str) for one, other in letters.items()
    ):
        found.append("[reading] letters: a table of one letter each and what it is read as")
    return found


def _context_faults(context: Mapping[str, Any]) -> list[str]:
    found = [f"[context] {name} is missing" for name in _NEEDED if name not in context]
    for name in ("function_words", *_LISTS):
        if name in context:
            found += _texts_faults(f"[context] {name}", context[name], empty=name != "function_words")
    for name in _NUMBERS:
        number = context.get(name, 1)
        if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= 40:
            found.append(f"[context] {name}: a whole number from 1 to 40")
    return found


def _say_faults(say: Mapping[str, Any]) -> list[str]:
    found = [
        f"[say] {name} is missing"
        for name in ("emergency", "urgent", "call_staff", "local_number")
        if not _is_text(say.get(name))
    ]
    by_category = say.get("category", {})
    if not isinstance(by_category, Mapping):
        return [*found, "[say.category] is no table"]
    for category, text in by_category.items():
        if category not in CATEGORIES:
            found.append(f"[say.category] {category}: no such category")
        if not _is_text(text):
            found.append(f"[say.category] {category}: is no text")
    for place, text in {
        **by_category,
        **{name: say.get(name) for name in ("emergency", "urgent", "local_number")},
    }.items():
        left = re.sub(r"\{(number|crisis)\}", "", str(text))
        if "{" in left or "}" in left:
            found.append(f"[say] {place}: only {{number}} and {{crisis}} can be filled in")
    return found


def _name_faults(words: Mapping[str, Any], raw: Mapping[str, Any]) -> list[str]:
    found = []
    lists = {f"[words] {name}": given for name, given in words.items()}
    lists["[mask] phrases"] = raw.get("mask", {}).get("phrases", [])
    lists |= {f"[context] {name}": raw["context"].get(name, []) for name in _LISTS}
    for place, given in lists.items():
        for one in given:
            found += [f"{place}: <{name}> is not in [words]" for name in names_in(one) if name not in words]
            found += [f"{place}: {one!r} has a + or > (only patterns have)"] if _PART.search(one) else []
    return found


def _circles(words: Mapping[str, Any]) -> list[str]:
    """Lists that hold themselves through others."""

    def holds(name: str, seen: tuple[str, ...]) -> bool:
        return name in seen or any(
            holds(other, (*seen, name)) for one in words[name] for other in names_in(one) if other in words
        )

    return [f"[words] {name}: holds itself" for name in words if holds(name, ())]


def _rule_faults(rule: Any, words: Mapping[str, Any]) -> list[str]:
    if not isinstance(rule, Mapping):
        return ["is no table"]
    found = _strange("rule", rule)
    if rule.get("category") not in CATEGORIES or rule.get("category") == VITALS:
        found.append(f"category {rule.get('category')!r}: no such one")
    if rule.get("level") not in ("urgent", "emergency"):
        found.append(f"level {rule.get('level')!r}: urgent or emergency")
    if not isinstance(rule.get("reach", 1), int) or not 0 <= rule.get("reach", 1) <= 60:
        found.append("reach: a whole number from 0 to 60")
    if not isinstance(rule.get("negatable", True), bool):
        found.append("negatable: true or false")
    found += _texts_faults("when", rule.get("when"), empty=bool(rule.get("hints")))
    for name in ("hints", "unless"):
        found += _texts_faults(name, rule.get(name, []), empty=True)
    if found:
        return found
    if rule.get("hints") and rule["level"] != "emergency":
        found.append("hints: only of an emergency")
    for written in (*rule["when"], *rule.get("hints", []), *rule.get("unless", [])):
        found += [
            f"{written!r}: <{name}> is not in [words]" for name in names_in(written) if name not in words
        ]
        found += [f"{written!r}: < and > around a name, a space on both sides of + and of >"] * _is_odd(
            written
        )
    return found


def _is_odd(written: str) -> bool:
    parts = pattern(written).parts
    return any(not _is_text(part) or re.search(r"[<>+]", _NAME.sub("", part)) is not None for part in parts)
