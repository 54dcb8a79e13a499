"""A small net that reads words in their order, one for all languages: what is an emergency, and of which kind.

Each word is the mean of learned vectors of itself, of its parts (Bojanowski et al. 2017, "Enriching word vectors with subword information") and of
the rules' lists that it is in: by these what was taught in one language holds in another, and for words that no sentence had. Runs of 1, 3, 5 and 9
words are compared with learned ones, and of each the best place and the sum count (Kim 2014, "Convolutional neural networks for sentence
classification"). It sees what a list of words does not: that "no" stands before "pain", that "years ago" goes with "stroke".

Fitted by `health-helper bench teach` (client/evaluation/word_net_fit.py); assets/triage/second_reader.md is its card.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from client.assistant.triage.linear_reader import BadWeights
from client.assistant.triage.matching import Noted

Array = NDArray[np.float32]
BITS = 16
WIDTHS = (1, 3, 5, 9)
"""Words in a run. Odd: a run has a word in its midst."""
LONGEST = 80
"""Words of a text that are looked at; longer texts are read in pieces."""
SCHEMA = "health-helper/word-net/1"
SIZES = {"word": 64, "runs": 96}
"""Numbers that stand for a word; learned runs of each width."""
_PARTS_OF_A_WORD = 24
_A_LIST_COUNTS = 4
"""Parts of a word that a list counts for."""
_SPREAD = (3, 4, 5)
_MASK = (1 << BITS) - 1


def word_signs(noted: Noted) -> tuple[int, ...]:
    """Places in the table of vectors, 0 to 2¹⁶ − 1: of the word, of its parts of three to five letters, and of the lists that it is in.

    Worked out each time: what is kept would be words that somebody said.
    """
    whole = f"<{noted.word}>"
    found = ["W" + noted.word]
    for length in _SPREAD:
        found += [whole[at : at + length] for at in range(len(whole) - length + 1)]
    found = found[:_PARTS_OF_A_WORD] + ["C" + name for name in noted.lists] * _A_LIST_COUNTS
    return tuple(zlib.crc32(one.encode("utf-8", "surrogatepass")) & _MASK for one in found)


def arrays_of(languages: int, categories: int) -> dict[str, tuple[int, ...]]:
    """The shape of each array of weights but the table of vectors, in the order of the file."""
    word, runs = SIZES["word"], SIZES["runs"]
    features = 2 * runs * len(WIDTHS)
    shapes: dict[str, tuple[int, ...]] = {"language": (languages, word)}
    for width in WIDTHS:
        shapes[f"run{width}"] = (width, word, runs)
        shapes[f"bias{width}"] = (runs,)
    return shapes | {"out": (features, 1 + categories), "out_bias": (1 + categories,)}


class WordNet:
    """content: of its file: a line of JSON; a signed byte for each number of the table; then the arrays of `arrays_of` as little-endian
    half-precision numbers. Raises BadWeights.
    """

    def __init__(self, content: bytes) -> None:
        head, _, body = content.partition(b"\n")
        try:
            facts = json.loads(head)
            right = facts["schema"] == SCHEMA
            self.languages = tuple(str(one) for one in facts["languages"])
            self.categories = tuple(str(one) for one in facts["categories"])
            self._scale = float(facts["scale"])
        except (ValueError, KeyError, TypeError) as error:
            raise BadWeights(type(error).__name__) from None
        shapes = arrays_of(len(self.languages), len(self.categories))
        table = SIZES["word"] << BITS
        if (
            not right
            or not math.isfinite(self._scale)
            or len(body) != table + 2 * sum(map(math.prod, shapes.values()))
        ):
            raise BadWeights("not as long as it should be")
        self._table = np.frombuffer(body, np.int8, table).reshape(-1, SIZES["word"])
        numbers = np.frombuffer(body, "<f2", offset=table).astype(np.float32)
        if not np.isfinite(numbers).all():
            raise BadWeights("not all weights are numbers")
        ends = np.cumsum([math.prod(shape) for shape in shapes.values()])[:-1]
        self._arrays: Mapping[str, Array] = {
            name: part.reshape(shape)
            for (name, shape), part in zip(shapes.items(), np.split(numbers, ends), strict=True)
        }

    def read(self, words: Sequence[Noted], language: str) -> tuple[float, dict[str, float]]:
        """How much it is like an emergency, in natural units of a logistic model; and the share of each of `categories`, 0 to 1, together 1."""
        if not words or language not in self.languages:
            return -math.inf, {}
        vectors = np.stack([self._vector(word) for word in words[:LONGEST]])
        vectors = vectors + self._arrays["language"][self.languages.index(language)]
        out = features(vectors, self._arrays) @ self._arrays["out"] + self._arrays["out_bias"]
        shares = np.exp(out[1:] - out[1:].max())
        shares = shares / shares.sum()
        return float(out[0]), dict(zip(self.categories, shares.tolist(), strict=True))

    def _vector(self, word: Noted) -> Array:
        of_signs = self._table[list(word_signs(word))].astype(np.float32)
        return np.asarray(of_signs.mean(0) * self._scale, np.float32)


def features(vectors: Array, arrays: Mapping[str, Array]) -> Array:
    """Of each width the best fit of each learned run, then of each width the sums over the root of the text's length. vectors: words × numbers."""
    fits = [_fits(vectors, width, arrays) for width in WIDTHS]
    size = np.float32(math.sqrt(len(vectors)))
    return np.concatenate([one.max(0) for one in fits] + [one.sum(0) / size for one in fits])


def _fits(vectors: Array, width: int, arrays: Mapping[str, Array]) -> Array:
    """How well the learned runs of one width fit around each word: words × runs, 0 where they do not."""
    padded = np.pad(vectors, ((width // 2, width // 2), (0, 0)))
    weights = arrays[f"run{width}"]
    found = sum(padded[at : at + len(vectors)] @ weights[at] for at in range(width)) + arrays[f"bias{width}"]
    return np.asarray(np.maximum(found, 0), np.float32)
