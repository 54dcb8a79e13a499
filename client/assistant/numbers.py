"""The numbers that stand in a text: digits of every script, number words, Chinese and Roman numerals, and what only looks like digits."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from client.assistant.phrases import NumberWords, Phrases, folded

SMALL = 10
"""Words up to this may count things ("three reasons")."""
_SIGNS = str.maketrans(
    {"\u066b": ".", "\u066c": ",", "\u2212": "-", "\u066a": "%", "\uff05": "%", "\uff0c": ",", "\uff0e": "."}
)
_GROUPED = re.compile(r"(?<![0-9.,])([1-9][0-9]{0,2})((?: [0-9]{3})+)(?![0-9])")
_DIGITS = re.compile(r"(?:(?<=\s)-|^-|(?<=[(\[:])-)?[0-9]+(?:[.,'\u2019][0-9]+)*")
_PERCENT = re.compile(
    r"\s*(?:%|percent\b|per cent\b|por ciento|pour cent|prozent\b|por cento|\u092a\u094d\u0930\u0924\u093f\u0936\u0924|\u0641\u064a \u0627\u0644\u0645\u0626\u0629|\u0628\u0627\u0644\u0645\u0626\u0629)",
    re.IGNORECASE,
)
NAMED = (
    "spo2",
    "sao2",
    "vo2",
    "co2",
    "o2",
    "h2o",
    "b12",
    "b6",
    "b1",
    "d3",
    "k2",
    "omega-3",
    "covid-19",
    "hba1c",
    "t3",
    "t4",
    "q10",
)
"""Digits that are part of a name and measure nothing."""
_NAMED = re.compile(rf"(?<![A-Za-z0-9-])(?:{'|'.join(NAMED)})(?![A-Za-z0-9])", re.IGNORECASE)
_UNITS = r"bpm|rpm|brpm|ms|min|s|sec|h|hrs?|kg|mg|ml|cm|mm|m|km|hz|x|g|l|am|pm|uhr|st|nd|rd|th|er|e|eme|a|o|d|t|\u00b0c|\u00b0f|c|f"
_ATTACHED = re.compile(rf"[0-9]+(?:[.,:][0-9]+)*(?:{_UNITS})?", re.IGNORECASE)
_WORD_WITH_DIGITS = re.compile(
    r"[A-Za-z0-9_\u00c0-\u04ff]+(?:(?<=[0-9])[.,:](?=[0-9])[A-Za-z0-9_\u00c0-\u04ff]+)*"
)
_ROMAN = re.compile(r"\b(?=[IVXLCDM]{2,})M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})\b")
_NOT_ROMAN = {"MD", "CD", "CM", "MI", "DM", "MM", "DI", "MC", "DC", "IV", "CV", "LI", "MIX", "DIM"}
_LOOKS_LIKE = re.compile(r"\b(?=[A-Za-z|]*O)[lI|O]{2,}\b|\b[lI|]{4,}\b")
_CHINESE = re.compile(
    r"[\u3007\u96f6\u4e00\u4e8c\u4e24\u4e09\u56db\u4e94\u516d\u4e03\u516b\u4e5d\u5341\u767e\u5343\u4e07\u4ebf\u58f9\u8d30\u53c1\u8086\u4f0d\u9646\u67d2\u634c\u7396\u62fe\u4f70\u4edf\u5169\u5efe]+"
)
_CHINESE_NOT = re.compile(
    r"\u5343\u4e07|\u4e07\u4e00|\u767e\u5206\u4e4b|\u5341\u5206|\u4e00\u4e8c|\u5343\u5343\u4e07\u4e07|\u4e09\u56db|\u56db\u80a2|\u4e94\u5b98|\u4e94\u8c37|\u4e03\u4e0a\u516b\u4e0b"
)
_CHINESE_DIGITS = {sign: at % 10 for at, sign in enumerate("\u3007\u4e00\u4e8c\u4e09\u56db\u4e94\u516d\u4e03\u516b\u4e5d")} | {
    "\u96f6": 0, "\u4e24": 2, "\u5169": 2,
} | {sign: at for at, sign in enumerate("\u58f9\u8d30\u53c1\u8086\u4f0d\u9646\u67d2\u634c\u7396", 1)}  # fmt: skip
_CHINESE_TIMES = {
    "\u5341": 10,
    "\u62fe": 10,
    "\u767e": 100,
    "\u4f70": 100,
    "\u5343": 1000,
    "\u4edf": 1000,
    "\u4e07": 10_000,
    "\u4ebf": 10**8,
}


@dataclass(frozen=True, slots=True)
class Number:
    """value None: looks like a number and cannot be read. decimals: as written. word: written as one; at: in the text, or -1."""

    value: float | None
    decimals: int = 0
    percent: bool = False
    word: bool = False
    at: int = -1


def with_digits(text: str) -> str:
    """Compatible letters, with 0-9 for the digits of every script."""
    plain = unicodedata.normalize("NFKC", text).translate(_SIGNS)
    return "".join(
        str(unicodedata.decimal(one)) if unicodedata.category(one) == "Nd" else one for one in plain
    )


def digits_in(plain: str, *, decimal_comma: bool) -> list[Number]:
    """plain: of `with_digits`. Names such as SpO2 are none; digits glued to other letters cannot be read."""
    text = _NAMED.sub(lambda found: " " * len(found[0]), plain)
    found = [Number(None, at=word.start()) for word in _WORD_WITH_DIGITS.finditer(text) if _is_glued(word[0])]
    found += [Number(None, at=word.start()) for word in _LOOKS_LIKE.finditer(text)]
    found += [
        Number(None, at=at) for at, sign in enumerate(text) if unicodedata.category(sign) in {"Nl", "No"}
    ]
    text = _GROUPED.sub(lambda one: one[0].replace(" ", "\u2019"), text)
    for one in _DIGITS.finditer(text):
        value, decimals = _value(one[0], decimal_comma=decimal_comma)
        found.append(Number(value, decimals, bool(_PERCENT.match(text, one.end())), at=one.start()))
    for word in _ROMAN.finditer(text):
        if word[0] and word[0] not in _NOT_ROMAN:
            found.append(Number(float(_of_roman(word[0])), at=word.start()))
    return found


def _is_glued(word: str) -> bool:
    digits = sum(one.isdecimal() for one in word)
    return digits > 0 and not _ATTACHED.fullmatch(word)


def _value(written: str, *, decimal_comma: bool) -> tuple[float | None, int]:
    sign = -1.0 if written.startswith("-") else 1.0
    first, *rest = re.split(r"[.,'\u2019]", written.lstrip("-"))
    marks = re.findall(r"[.,'\u2019]", written)
    if not rest:
        return sign * float(first), 0
    groups = len(first) <= 3 and first != "0"
    thousands = "." if decimal_comma else ","
    if (
        len(set(marks)) == 1
        and all(len(one) == 3 for one in rest)
        and groups
        and (len(rest) > 1 or marks[0] in {thousands, "'", "\u2019"})
    ):
        return sign * float(first + "".join(rest)), 0
    if len(rest) == 1 and marks[0] in ".,":
        return sign * float(f"{first}.{rest[0]}"), len(rest[0])
    if (
        marks[-1] in ".,"
        and len(set(marks[:-1])) == 1
        and marks[-1] not in marks[:-1]
        and all(len(one) == 3 for one in rest[:-1])
        and groups
    ):
        return sign * float(f"{first}{''.join(rest[:-1])}.{rest[-1]}"), len(rest[-1])
    return None, 0


def _of_roman(word: str) -> int:
    values = [{"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}[one] for one in word]
    return sum(-one if one < other else one for one, other in zip(values, [*values[1:], 0], strict=True))


def words_in(text: str, phrases: Phrases) -> list[Number]:
    """Number words and Chinese numerals, longest readings first. Several in a row that make no number cannot be read."""
    if phrases.unspaced:
        return [*_chinese(text), *_spelled(folded(text).split(), phrases.numbers)]
    return list(_spelled(folded(text).split(), phrases.numbers))


def _spelled(words: Sequence[str], numbers: NumberWords) -> Iterator[Number]:
    at = 0
    while at < len(words):
        values, end = _run(words, at, numbers)
        if values:
            value = _composed(values, units_first=numbers.units_first)
            yield Number(None if value is None else float(value), word=True)
        at = max(end, at + 1)


def _run(words: Sequence[str], at: int, numbers: NumberWords) -> tuple[list[int], int]:
    values: list[int] = []
    end = at
    while at < len(words):
        pair = " ".join(words[at : at + 2])
        attached = next((one for one in numbers.joining if len(one) == 1 and words[at].startswith(one)), "")
        if pair in numbers.values:
            values.append(numbers.values[pair])
            at += 2
        elif words[at] in numbers.values:
            values.append(numbers.values[words[at]])
            at += 1
        elif attached and words[at][1:] in numbers.values:
            values.append(numbers.values[words[at][1:]])
            at += 1
        elif values and words[at] in numbers.joining:
            at += 1
            continue
        else:
            break
        end = at
    return values, end


def _composed(values: Sequence[int], *, units_first: bool) -> int | None:
    """70, 2 → 72; 1, 100, 30 → 130; with units_first also 2, 70 → 72. None where they do not go together ("seven two")."""
    total = current = 0
    room = 100  # what comes next has to be less, as 2 is less than the ten of 70
    for value in values:
        if value >= 1000:
            total, current, room = total + max(1, current) * value, 0, 100
        elif value == 100 and current < 10:
            current, room = max(1, current) * 100, 100
        elif value >= 100:
            if current:
                return None
            current, room = value, 100
        elif value < room:
            current, room = current + value, _room(value)
        elif units_first and 0 < current % 100 < 10 and value >= 20 and value % 10 == 0:
            current, room = current + value, 0
        else:
            return None
    return total + current


def _room(value: int) -> int:
    if value in {60, 80}:  # soixante-douze, quatre-vingt-dix
        return 20
    return 10 if value >= 20 and value % 10 == 0 else 0


def _chinese(text: str) -> Iterator[Number]:
    plain = _CHINESE_NOT.sub(lambda found: " " * len(found[0]), text)
    for run in _CHINESE.finditer(plain):
        if run[0] != "\u4e00":  # "a"
            value = _of_chinese(run[0])
            yield Number(None if value is None else float(value), word=True, at=run.start())


def _of_chinese(run: str) -> int | None:
    if all(sign in _CHINESE_DIGITS for sign in run):
        return int("".join(str(_CHINESE_DIGITS[sign]) for sign in run))
    total = section = digit = 0
    for sign in run:
        if sign in _CHINESE_DIGITS:
            digit = _CHINESE_DIGITS[sign]
        elif sign in _CHINESE_TIMES:
            times = _CHINESE_TIMES[sign]
            if times >= 10_000:
                total, section, digit = (total + section + digit) * times, 0, 0
            else:
                section, digit = section + max(1, digit) * times, 0
        else:
            return None
    return total + section + digit
