"""Letters as they are compared, and a text taken apart into words, clauses' commas and sentences.

Text and data go through the same: compatibility forms (NFKD), no case, no accents, no invisible signs; Arabic without vowel signs, hamza
carriers and tatweel; Hindi without nukta and with one sign for nasal vowels; digits of every script as 0-9. Scripts without spaces
(Chinese characters) give one word for each character.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

END_CHARS = 6_000
"""Of a longer text only so many characters at its beginning and at its end are read: ten minutes of talking are about 8 000."""

_SENTENCE, _QUESTION, _COMMA, _APOSTROPHE = "\n", "?", ",", "'"
_APOSTROPHES = "'\u2018\u2019\u201b\u02bc\u02bb\u2032\u00b4`\uff07\u05f3"
_QUESTIONS = "?\u061f"
_ENDS = "!;\u3002\u0964\u0965\u061b\u06d4\n\r\u2028\u2029\x0b\x0c\x85"
_COMMAS = ",:()[]{}\u060c\u2013\u2014\u2015\uff0c"
_LETTERS = {
    "\u00e6": "ae", "\u0153": "oe", "\u00f8": "o", "\u0142": "l", "\u0111": "d", "\u0131": "i", "\u00f0": "d", "\u00fe": "th",
    "\u0671": "\u0627", "\u0649": "\u064a", "\u0629": "\u0647", "\u06a9": "\u0643", "\u06cc": "\u064a", "\u06c1": "\u0647", "\u06be": "\u0647",
    "\u0901": "\u0902",
    "\u3001": "\u6216",  # the comma between things that Chinese counts up: "or"
}  # fmt: skip
_MARKS_OUT = (
    (0x0300, 0x036F), (0x0483, 0x0489), (0x0591, 0x05C7), (0x0610, 0x061A), (0x064B, 0x065F), (0x0670, 0x0670), (0x06D6, 0x06ED),
    (0x08D3, 0x08FF), (0x093C, 0x093C), (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF), (0x20D0, 0x20FF), (0xFE20, 0xFE2F),
)  # fmt: skip
_INVISIBLE = {
    0x034F,
    0x0640,
    0x115F,
    0x1160,
    0x17B4,
    0x17B5,
    0x180B,
    0x180C,
    0x180D,
    0x180F,
    0x3164,
    0xFFA0,
    0x2800,
}
_UNSPACED = re.compile("([\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f])")


class _Folded(dict[int, str]):
    """Of str.translate: each decomposed, casefolded character as it is compared; worked out when it is first met."""

    def __missing__(self, code: int) -> str:
        self[code] = folded = _folded(code)
        return folded


def _folded(code: int) -> str:
    letter = chr(code)
    category = unicodedata.category(letter)
    if letter in _LETTERS:
        return _LETTERS[letter]
    if any(first <= code <= last for first, last in _MARKS_OUT) or code in _INVISIBLE:
        return ""
    if letter in _APOSTROPHES:
        return _APOSTROPHE
    if letter in _QUESTIONS:
        return _QUESTION
    if letter in _ENDS:
        return _SENTENCE
    if letter in _COMMAS:
        return _COMMA
    if category == "Nd":
        return str(unicodedata.digit(letter))
    if category == "Cf" or 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF:
        return ""
    if category[0] in "LM" or category in {"Nl", "No"} or letter in ".%":
        return letter
    return " "


_FOLDED = _Folded()
_CARRIERS = str.maketrans(dict.fromkeys(_APOSTROPHES, _APOSTROPHE))
_PIECES = re.compile(r"\n|[?,]|[^\s?,]+")


def normalised(text: str, letters: Mapping[int, str] | None = None) -> str:
    """As it is compared: words by spaces, "," for a comma, a line end or "?" after each sentence, apostrophes inside words.

    letters: further ones to replace (str.maketrans), such as traditional Chinese characters.
    """
    decomposed = unicodedata.normalize("NFKD", text.translate(_CARRIERS)).casefold()
    plain = unicodedata.normalize("NFC", unicodedata.normalize("NFKD", decomposed).translate(_FOLDED))
    if letters:
        plain = plain.translate(letters)
    plain = re.sub(r"(?<=[0-9])[.,](?=[0-9])", "\x00", plain)  # 38.5 stays together
    plain = re.sub(
        r"\.{2,}", f" {_COMMA} ", plain
    )  # somebody who halts, or has no breath, goes on with the sentence
    plain = plain.replace("%", " ").replace(".", _SENTENCE).replace("\x00", ".")
    return _UNSPACED.sub(r" \1 ", plain)


def words_of(piece: str) -> list[str]:
    """The words of normalised text without commas and sentences; apostrophes part them."""
    return [word for word in re.split(r"[\s?,']+", piece) if word]


@dataclass(frozen=True, slots=True)
class Words:
    """A text's words in their order. sentence: the number of each one's sentence. after_comma: whether a comma stands before it.
    asked: sentences that end with a question mark.
    """

    words: list[str]
    sentence: list[int]
    after_comma: list[bool]
    asked: frozenset[int] = frozenset()


def read(text: str, letters: Mapping[int, str] | None = None) -> Words:
    """Any text at all, of any length (see END_CHARS)."""
    plain = _cut(normalised(_cut(text), letters))
    words: list[str] = []
    sentences: list[int] = []
    commas: list[bool] = []
    asked: set[int] = set()
    number, comma, begun = 0, False, False
    for piece in _PIECES.findall(plain):
        if piece in (_SENTENCE, _QUESTION):
            if piece == _QUESTION and begun:
                asked.add(number)
            number, comma, begun = number + begun, False, False
        elif piece == _COMMA:
            comma = begun
        else:
            for word in words_of(piece):
                words.append(word)
                sentences.append(number)
                commas.append(comma)
                comma, begun = False, True
    return Words(words, sentences, commas, frozenset(asked))


def _cut(text: str) -> str:
    if len(text) <= 2 * END_CHARS:
        return text
    return f"{text[:END_CHARS]}{_SENTENCE}{text[-END_CHARS:]}"


def squeezed(word: str) -> list[str]:
    """The word with letters that come three times and more written twice, and once; nothing where there are none."""
    if not re.search(r"(.)\1\1", word):
        return []
    return [re.sub(r"(.)\1{2,}", r"\1\1", word), re.sub(r"(.)\1{2,}", r"\1", word)]


def distance(word: str, other: str, most: int, *, prefix: bool = False) -> int:
    """Damerau-Levenshtein (optimal string alignment); with prefix, to whichever beginning of `other` is nearest. most + 1: more than that."""
    rows = len(word)
    before: list[int] = []
    last = list(range(len(other) + 1))
    for i in range(1, rows + 1):
        row = [i]
        for j in range(1, len(other) + 1):
            same = word[i - 1] == other[j - 1]
            best = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (not same))
            if i > 1 and j > 1 and word[i - 1] == other[j - 2] and word[i - 2] == other[j - 1]:
                best = min(best, before[j - 2] + 1)
            row.append(best)
        if min(row) > most:
            return most + 1
        before, last = last, row
    return min(last) if prefix else last[-1]
