"""The words of a language's data as an index: word of a text → which words of the data it is, or is a misspelling of.

An element is one written word: whole, or with a star where more letters may follow or come before ("schmerz*", "*schmerz").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum

from client.assistant.triage.reading import distance, normalised, squeezed, words_of

_STAR = "*"
_SHORTEST, _TWO_FROM = 5, 9
"""Letters from which one mistake is forgiven, and two."""
_LEAST_PIECE = 3
_SURE_PREFIX, _JOINED_PREFIX = 4, 6
"""Letters of a beginning that alone tells that a word is known, and that two words written apart are one."""


class Kind(IntEnum):
    """How the element is compared with a word."""

    WHOLE = 0
    BEGINNING = 1
    END = 2
    INSIDE = 3


Element = int


class Lexicon:
    """Grows while data are compiled, then is only asked."""

    def __init__(self, letters: Mapping[int, str]) -> None:
        self._letters = letters
        self._by_kind: tuple[dict[str, Element], ...] = ({}, {}, {}, {})
        self._size = 0
        self._plain: set[str] = set()
        self._plain_beginnings: set[str] = set()
        self._prefixes: tuple[str, ...] = ()
        self._lengths: dict[Kind, list[int]] = {}
        self._buckets: dict[str, list[tuple[str, int, int, bool, Element]]] = {}

    def terms(self, written: str) -> list[tuple[Element, ...]]:
        """The written words as elements, one after another; more than one way where apostrophes or hyphens part them."""
        apart: list[Element] = []
        joined: list[Element] = []
        for piece in written.split():
            core = piece.strip(_STAR)
            before, after = piece.startswith(_STAR), piece.endswith(_STAR)
            words = self._words(core)
            if len(words) == 1:
                elements = [self._element(words[0], 2 * before + after)]
                apart += elements
                joined += elements
            elif words:
                last = len(words) - 1
                elements = [
                    self._element(word, 2 * (before and not at) + (after and at == last))
                    for at, word in enumerate(words)
                ]
                apart += elements
                signs = any(len(word) == 1 and not word.isascii() for word in words)
                joined += elements if signs else [self._element("".join(words), 2 * before + after)]
        found = [tuple(apart)] if apart else []
        return found if apart == joined else [*found, tuple(joined)]

    def _words(self, piece: str) -> list[str]:
        if piece.isascii() and piece.isalnum() and not self._letters:
            return [piece.lower()]  # as normalised() would, much sooner
        return words_of(normalised(piece, self._letters).replace("\n", " "))

    def _element(self, word: str, kind: int) -> Element:
        known = self._by_kind[kind]
        element = known.get(word)
        if element is None:
            known[word] = element = self._size
            self._size += 1
        return element

    def know(self, words: Iterable[str]) -> None:
        """Words that are right as they are, and no misspelling of ours; with a star, and all that begins so."""
        for written in words:
            if written.endswith(_STAR):
                self._plain_beginnings.update(self._words(written.strip(_STAR)))
                continue
            parts = self._words(written)
            self._plain.update([*parts, "".join(parts)])

    def seal(self, prefixes: Iterable[str]) -> None:
        """All data are in: make what is needed to ask. prefixes: small words that are written on the front of others."""
        plain = ("".join(words_of(normalised(one, self._letters))) for one in prefixes)
        self._prefixes = tuple(sorted(set(plain), key=lambda one: -len(one)))
        self._lengths = {
            kind: sorted({len(word) for word in known})
            for kind, known in zip(Kind, self._by_kind, strict=True)
        }
        for kind in (Kind.WHOLE, Kind.BEGINNING):
            for word, element in self._by_kind[kind].items():
                if len(word) >= _SHORTEST and word.isalpha() | (not word.isascii()):
                    entry = (word, len(word), _mask(word), kind is Kind.BEGINNING, element)
                    self._buckets.setdefault(word[0], []).append(entry)

    def is_known(self, word: str) -> bool:
        """Whether it is one of the language's own as it stands."""
        return word in self._plain or word in self._by_kind[Kind.WHOLE]

    def exactly(self, word: str) -> list[Element]:
        """Elements that it is."""
        found = [one for one in (self._by_kind[Kind.WHOLE].get(word),) if one is not None]
        for kind in (Kind.BEGINNING, Kind.END, Kind.INSIDE):
            known = self._by_kind[kind]
            for length in self._lengths[kind] if known else ():
                if length > len(word):
                    break
                if kind is Kind.INSIDE:
                    parts = {word[at : at + length] for at in range(len(word) - length + 1)}
                else:
                    parts = {word[:length] if kind is Kind.BEGINNING else word[-length:]}
                found += [known[part] for part in parts if part in known]
        return found

    def _surely(self, word: str) -> bool:
        """Known as it stands, or by a beginning that is long enough to tell."""
        if self.is_known(word):
            return True
        known = self._by_kind[Kind.BEGINNING]
        beginnings = (word[:length] for length in range(_SURE_PREFIX, len(word) + 1))
        return any(one in known or one in self._plain_beginnings for one in beginnings)

    def without_prefix(self, word: str) -> list[str]:
        """What is left of it when a prefix is taken off and the rest is known; the longest prefix first."""
        rests = [
            word[len(prefix) :]
            for prefix in self._prefixes
            if word.startswith(prefix) and len(word) - len(prefix) >= 2
        ]
        return [rest for rest in rests if self.is_known(rest) or self.exactly(rest)]

    def about(self, word: str) -> list[Element]:
        """Elements of which it may be a misspelling; none where it is known as it stands."""
        if self._surely(word):
            return []
        found: list[Element] = []
        for other in squeezed(word):
            found += self.exactly(other)
        for base in [word] if not self._prefixes else [word, *self._stripped(word)]:
            if len(base) >= _SHORTEST - 1:
                found += self._near(base)
        return found

    def _stripped(self, word: str) -> list[str]:
        return [word[len(prefix) :] for prefix in self._prefixes if word.startswith(prefix)]

    def _near(self, word: str) -> list[Element]:
        found: list[Element] = []
        mask, size = _mask(word), len(word)
        for first in {word[0], word[1]}:
            for other, length, letters, is_beginning, element in self._buckets.get(first, ()):
                most = 2 if length >= _TWO_FROM else 1
                if size < length - most or (size > length + most and not is_beginning):
                    continue
                if (letters & ~mask).bit_count() > most or (
                    not is_beginning and (mask & ~letters).bit_count() > most
                ):
                    continue
                if first != word[0] and other[:2] != word[1] + word[0]:
                    continue
                if (
                    distance(
                        other, word[: length + most] if is_beginning else word, most, prefix=is_beginning
                    )
                    <= most
                ):
                    found.append(element)
        return found

    def pieces(self, word: str) -> list[str]:
        """Two or three words that were written as one; nothing where it is known or does not come apart."""
        if self.is_known(word) or len(word) < _SHORTEST or not word.isalpha():
            return []
        for at in range(len(word) - _LEAST_PIECE, 0, -1):
            left, right = word[:at], word[at:]
            if not self._is_piece(left, last=False):
                continue
            if self._is_piece(right, last=True):
                return [left, right]
            for then in range(len(right) - _LEAST_PIECE, _LEAST_PIECE - 1, -1):
                if self._is_piece(right[:then], last=False) and self._is_piece(right[then:], last=True):
                    return [left, right[:then], right[then:]]
        return []

    def _is_piece(self, word: str, *, last: bool) -> bool:
        if len(word) < _LEAST_PIECE:
            return not last and word in self._plain
        if self.is_known(word):
            return True
        beginnings = self._by_kind[Kind.BEGINNING]
        if not last:
            return word in beginnings
        return any(word[:length] in beginnings for length in range(_SURE_PREFIX, len(word) + 1))

    def joined(self, word: str, other: str) -> list[Element]:
        """Elements that the two are, written as one."""
        whole = word + other
        if len(whole) < _SHORTEST:
            return []
        found = [one for one in (self._by_kind[Kind.WHOLE].get(whole),) if one is not None]
        beginnings = self._by_kind[Kind.BEGINNING]
        for length in range(max(len(word) + 2, _JOINED_PREFIX), len(whole) + 1):
            element = beginnings.get(whole[:length])
            if element is not None:
                found.append(element)
        return found


def _mask(word: str) -> int:
    """A set of its letters in 64 bits."""
    mask = 0
    for letter in word:
        mask |= 1 << (ord(letter) & 63)
    return mask
