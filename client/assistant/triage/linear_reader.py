"""A linear model over words, pairs of words and parts of words: one half of the second reader.

Hashed signs (Weinberger et al. 2009, "Feature hashing for large scale multitask learning"), each weighed by how rare it is; plain Python. It knows no
order but that of near pairs; what it has learned from few sentences it keeps better than the net (word_net.py) does.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Sequence
from typing import Any

BITS = 17
SCHEMA = "health-helper/linear-reader/1"
RARITY_STEPS = 16
"""Of a natural unit: in so fine steps is kept how rare each sign is (inverse document frequency)."""
SHORTEST = 12.0
"""A text whose signs are together less (their rarities' root sum of squares) counts as if they were so much: one word alone decides little."""
_APART, _STEM = 3, 5
_MASK = (1 << BITS) - 1


class BadWeights(Exception):
    """These are no weights."""


class LinearReader:
    """Of one language. content: of its file: a line of JSON, then for each place a signed byte for its weight and one for its rarity. facts: that line.
    Raises BadWeights.
    """

    def __init__(self, content: bytes) -> None:
        head, _, body = content.partition(b"\n")
        try:
            self.facts: dict[str, Any] = json.loads(head)
            right = self.facts["schema"] == SCHEMA
            self.unspaced = bool(self.facts["unspaced"])
            self._scale, self._bias = float(self.facts["scale"]), float(self.facts["bias"])
        except (ValueError, KeyError, TypeError) as error:
            raise BadWeights(type(error).__name__) from None
        if not right or len(body) != 2 << BITS or not math.isfinite(self._scale * self._bias):
            raise BadWeights("not as long as it should be")
        self._weights, self._rarities = memoryview(body)[: 1 << BITS].cast("b"), memoryview(body)[1 << BITS :]

    def score(self, words: Sequence[str]) -> float:
        """How much it is like an emergency, in natural units of a logistic model (0: as likely as not)."""
        places = signs(words, unspaced=self.unspaced)
        total = sum(self._weights[place] for place in places)
        size = math.sqrt(sum(self._rarities[place] ** 2 for place in places)) / RARITY_STEPS
        return self._bias + self._scale * total / max(SHORTEST, size)


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
