"""A second reader beside the rules: weights for words, pairs of words and parts of words, learned from sentences that people wrote.

Rules say why, and miss what is told in words that nobody thought of. This one says only that a text is more like the emergencies than like the
harmless sentences it was taught with (assets/benchmark/assistant/triage/teaching). It can raise a level and never lower one, holds no state, and
gives the same for the same text everywhere. It is fitted by `health-helper bench triage --fit`; assets/triage/second_reader.md is its card.

A linear model of hashed signs (Weinberger et al. 2009, "Feature hashing for large scale multitask learning"); plain Python, for a few hundred
sums are no reason to load numpy.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterator, Sequence

BITS = 17
SCHEMA = "health-helper/second-reader/1"
RARITY_STEPS = 16
"""Of a natural unit: in so fine steps is kept how rare each sign is (inverse document frequency)."""
SHORTEST = 12.0
"""A text whose signs are together less (their rarities' root sum of squares) counts as if they were so much: one word alone decides little."""
WINDOW, STEP = 24, 12
"""Words. A long text is read in pieces too: the one sentence that matters may be in the midst of it."""
_APART, _STEM = 3, 5
_MASK = (1 << BITS) - 1


class BadReader(Exception):
    """These are no weights."""


class SecondReader:
    """Of one language. content: of its file: a line of JSON, then for each place a signed byte for its weight and one for its rarity."""

    def __init__(self, content: bytes) -> None:
        head, _, body = content.partition(b"\n")
        try:
            facts = json.loads(head)
            right = facts["schema"] == SCHEMA
            self.unspaced = bool(facts["unspaced"])
            self._scale, self._bias = float(facts["scale"]), float(facts["bias"])
            self.threshold = float(facts["threshold"])
        except (ValueError, KeyError, TypeError) as error:
            raise BadReader(type(error).__name__) from None
        if (
            not right
            or len(body) != 2 << BITS
            or not math.isfinite(self._scale * self._bias * self.threshold)
        ):
            raise BadReader("not as long as it should be")
        self._weights, self._rarities = memoryview(body)[: 1 << BITS].cast("b"), memoryview(body)[1 << BITS :]

    def suspects(self, words: Sequence[str]) -> bool:
        """Whether a text is more like an emergency. words: as the language reads them."""
        return self.score(words) >= self.threshold

    def score(self, words: Sequence[str]) -> float:
        """The greatest of the whole text and its pieces, in natural units of a logistic model (0: as likely as not)."""
        return max(self._score(piece) for piece in pieces(words))

    def _score(self, words: Sequence[str]) -> float:
        places = signs(words, unspaced=self.unspaced)
        total = sum(self._weights[place] for place in places)
        size = math.sqrt(sum(self._rarities[place] ** 2 for place in places)) / RARITY_STEPS
        return self._bias + self._scale * total / max(SHORTEST, size)


def pieces(words: Sequence[str]) -> Iterator[Sequence[str]]:
    """The whole, then windows of a long text."""
    yield words
    if len(words) > WINDOW + STEP:
        for at in range(0, len(words) - STEP, STEP):
            yield words[at : at + WINDOW]


def signs(words: Sequence[str], *, unspaced: bool) -> set[int]:
    """Places of what is found in these words, 0 to 2¹⁷ − 1: words, pairs that are at most three apart, whole and by their beginnings, and parts of
    words (in a language without spaces: runs of signs).
    """
    found: set[str] = set()
    for at, word in enumerate(words):
        found.add(word)
        for apart in range(1, min(_APART, at) + 1):
            before = words[at - apart]
            found.add(f"{apart > 1} {before} {word}")
            if not unspaced:
                found.add(f"~ {before[:_STEM]} {word[:_STEM]}")
        if unspaced:
            found.update("".join(words[at - length : at + 1]) for length in (1, 2, 3) if at >= length)
        else:
            whole = f"<{word}>"
            found.update(
                whole[begin : begin + length]
                for length in (3, 4, 5)
                for begin in range(len(whole) - length + 1)
            )
    return {zlib.crc32(one.encode("utf-8", "surrogatepass")) & _MASK for one in found}
