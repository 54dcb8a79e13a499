"""A text that comes in pieces, to clean sentences: what nobody sees is taken out, and nothing is given before its end is there."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

LONGEST = 700
"""Characters of a sentence; one that goes on has no end."""
_ENDS = ".!?\u2026\u3002\uff01\uff1f\uff0e\uff61\u0964\u0965\u061f\u06d4\u203c\u2047\u2048\u2049"
_CLOSERS = "\"'\u201d\u2019\u00bb)\u300d\u300f\uff09\u203a*_"
_CITING = (
    r"[\[\u3010\uff3b]\s*(?:[A-Za-z]?[0-9]{1,3})(?:\s*[,;\u3001]\s*[A-Za-z]?[0-9]{1,3})*\s*[\]\u3011\uff3d]"
)
CITING = re.compile(_CITING)
"""[k1], or [v1, d2]: also of things that were never supplied."""
_CITATIONS_AFTER = re.compile(rf"(?:[ \t]*(?:{_CITING}|[{re.escape(_CLOSERS)}]))*")
_MAY_CITE = re.compile(r"[ \t]*(?:[\[\u3010\uff3b][^\]\u3011\uff3d\n]{0,40})?")
_EMPHASIS = re.compile(r"\*+|_{2,}|`+|~~+|^[ \t]{0,3}#{1,6}[ \t]+", re.MULTILINE)
_MARKS_IN_A_ROW = re.compile(r"(\w[\u0300-\u036f]{2})[\u0300-\u036f]+")
_LIST_NUMBER = re.compile(r"[ \t]*\(?[0-9]{1,2}[.)]?")


def cleaned(text: str) -> str:
    """Compatible letters and digits, without controls, invisible and directional signs, pictures and emphasis. Punctuation stays."""
    found = "".join(_cleaned(sign) for sign in unicodedata.normalize("NFC", text))
    return _MARKS_IN_A_ROW.sub(r"\1", _EMPHASIS.sub("", found))


def _cleaned(sign: str) -> str:
    if sign in "\n\u2028\u2029\x0b\x0c\x85":
        return "\n"
    category = unicodedata.category(sign)
    if category == "Zs" or sign == "\t":
        return " "
    if category[0] == "C" or sign in "\u034f\u115f\u1160\u3164\uffa0\u17b4\u17b5\u2800\u20e3":
        return ""
    if 0xFE00 <= ord(sign) <= 0xFE0F or 0xE0100 <= ord(sign) <= 0xE01EF or 0x180B <= ord(sign) <= 0x180F:
        return ""
    if category[0] in "LN" or category in {"So", "Sk"}:
        plain = sign if sign in "\u00b0^`" else unicodedata.normalize("NFKC", sign)
        kept = "".join(one for one in plain if unicodedata.category(one) != "So" or one == "\u00b0")
        return kept if category != "Sk" or sign in "^`" else ""
    return sign


class Splitter:
    """Of one text. abbreviations: with their full stop, as they are written; no sentence ends at one.

    months: their names, casefolded; none ends between a day and its month ("5. Oktober").
    """

    def __init__(self, abbreviations: Collection[str] = (), months: Collection[str] = ()) -> None:
        self._abbreviations = {one.casefold() for one in abbreviations}
        self._months = {one.casefold() for one in months}
        self._waiting = ""

    @property
    def too_long(self) -> bool:
        """What waits has gone on for longer than a sentence may."""
        return len(self._waiting) > LONGEST

    def push(self, piece: str) -> list[str]:
        """Whole sentences, as they came, each with the space before it and the citations after it."""
        self._waiting += piece
        return self._taken(whole=False)

    def finish(self) -> list[str]:
        """What is left, whether it has an end or not."""
        found = self._taken(whole=True)
        rest, self._waiting = self._waiting, ""
        return [*found, rest] if rest.strip() else found

    def _taken(self, *, whole: bool) -> list[str]:
        found: list[str] = []
        while (end := self._end(whole=whole)) is not None:
            sentence, self._waiting = self._waiting[:end], self._waiting[end:]
            found.append(sentence)
        return found

    def _end(self, *, whole: bool) -> int | None:
        """Where the first whole sentence ends; None: not known yet."""
        text = self._waiting
        begun = len(text) - len(text.lstrip())
        at = begun
        while at < len(text):
            if text[at] in "\n\u2028\u2029\x0b\x0c\x85":
                return at
            if text[at] not in _ENDS:
                at += 1
                continue
            while at < len(text) and text[at] in _ENDS:
                at += 1
            after = _CITATIONS_AFTER.match(text, at)
            end = at if after is None else after.end()
            if not whole and _MAY_CITE.fullmatch(text, end):
                return None
            if self._is_day(text[begun:at]):
                following = re.match(r"[ \t]*([^\W\d_]+)(?=([^\w]?))", text[end:])
                if following is not None and following[2] == "" and not whole:
                    return None
                if following is not None and following[1].casefold() in self._months:
                    continue
            if self._is_end(text[begun:at], text[end : end + 1]):
                return end
        return None

    def _is_day(self, before: str) -> bool:
        return bool(self._months) and re.search(r"(?<![0-9.,])[0-9]{1,2}\.$", before) is not None

    def _is_end(self, before: str, following: str) -> bool:
        if before[-1] in ".!?" and following and not following.isspace():
            return False  # "72.5", an address, a picture of Markdown; a citation that may follow has been taken in
        if before[-1] != "." or before.endswith(".."):
            return True
        if _LIST_NUMBER.fullmatch(before.rpartition("\n")[2]):
            return False
        words = before.casefold().split()
        last = words[-1].lstrip("(\"'\u201c\u00ab")
        if last in self._abbreviations or " ".join(words[-2:]) in self._abbreviations:
            return False
        return not re.fullmatch(r"[^\W\d_]\.", last) or last == "i."
