"""What stands beside the rules: it was taught with sentences, and sees emergencies that are told in words nobody thought of.

A pattern that has proved itself decides alone, and nothing here is asked. Where none did, three things are weighed together: a linear model and a
net, each of which says how much the text is like the emergencies that it was taught with, and whether another pattern of the rules hints at one.
It can raise a level and never lower one, holds no state, and gives the same for the same text everywhere. Fitted by `health-helper bench teach`;
assets/triage/second_reader.md is its card.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TypeVar

from client.assistant.triage.levels import CATEGORIES, OTHER, VITALS
from client.assistant.triage.linear_reader import BadWeights, LinearReader
from client.assistant.triage.matching import Part
from client.assistant.triage.word_net import WordNet

WINDOW, STEP = 24, 12
"""Words. A long text is read in pieces too: the one sentence that matters may be in the midst of it."""
_SURE_OF_CATEGORY = 0.5
_LONGEST_REPEATED = 4
"""Words of what is taken for one thing said over and over."""
Word = TypeVar("Word")


class SecondReader:
    """Of one language. content: of its file (see LinearReader); its first line also says how much the linear model, the net and a hint count, and
    from which sum on it suspects. net: of all languages. Raises BadWeights.
    """

    def __init__(self, content: bytes, net: WordNet, language: str) -> None:
        self._linear, self._net, self._language = LinearReader(content), net, language
        facts = self._linear.facts
        try:
            self._counts = (float(facts["linear"]), float(facts["net"]), float(facts["hint"]))
            self.threshold = float(facts["threshold"])
        except (ValueError, KeyError, TypeError) as error:
            raise BadWeights(type(error).__name__) from None
        if not math.isfinite(math.prod(self._counts) * self.threshold):
            raise BadWeights("not all are numbers")

    def suspects(self, parts: Sequence[Part], hint: str | None) -> str | None:
        """The category of the emergency that it takes a text for, None where it takes it for none. parts: see Look; hint: the category that the rules
        hint at.
        """
        score, category = self.read(parts, hint)
        return category if score >= self.threshold else None

    def read(self, parts: Sequence[Part], hint: str | None) -> tuple[float, str]:
        """Its sum, and the category that it would name: that which the net is sure of, else the rules', else "other"."""
        linear, net, shares = scores(self._linear, self._net, self._language, parts)
        of_linear, of_net, of_hint = self._counts
        score = of_linear * linear + of_net * net + of_hint * (hint is not None)
        likeliest = max(shares, key=lambda one: shares[one], default=OTHER)
        sure = (
            likeliest in CATEGORIES and likeliest != VITALS and shares.get(likeliest, 0) > _SURE_OF_CATEGORY
        )
        return score, likeliest if sure else hint or OTHER


def scores(
    linear: LinearReader, net: WordNet, language: str, parts: Sequence[Part]
) -> tuple[float, float, dict[str, float]]:
    """Of the linear model and of the net, in natural units: of each the greatest of all parts and of the pieces of long ones; and the net's categories
    there.
    """
    of_linear = max((linear.score(piece) for part in parts for piece in pieces(part.words)), default=0.0)
    of_net = max(
        (net.read(piece, language) for part in parts for piece in pieces(part.noted)),
        key=lambda one: one[0],
        default=(0.0, {}),
    )
    return of_linear, *of_net


def pieces(words: Sequence[Word]) -> Iterator[Sequence[Word]]:
    """The whole, then windows of a long text. What is said over and over ("hello hello hello") is read twice: more of it says no more."""
    words = _at_most_twice(words)
    yield words
    if len(words) > WINDOW + STEP:
        for at in range(0, len(words) - STEP, STEP):
            yield words[at : at + WINDOW]


def _at_most_twice(words: Sequence[Word]) -> Sequence[Word]:
    kept: list[Word] = []
    for word in words:
        kept.append(word)
        for length in range(1, _LONGEST_REPEATED + 1):
            if (
                len(kept) >= 3 * length
                and kept[-length:] == kept[-2 * length : -length] == kept[-3 * length : -2 * length]
            ):
                del kept[-length:]
                break
    return kept
