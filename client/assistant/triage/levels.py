"""How soon somebody must be seen, and what was noticed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """Ordered: NONE < URGENT < EMERGENCY. URGENT: within a day. EMERGENCY: now."""

    NONE = "none"
    URGENT = "urgent"
    EMERGENCY = "emergency"

    @property
    def rank(self) -> int:
        """0, 1, 2."""
        return _RANKS[self.value]

    def __lt__(self, other: str) -> bool:
        return self.rank < Level(other).rank

    def __le__(self, other: str) -> bool:
        return self.rank <= Level(other).rank

    def __gt__(self, other: str) -> bool:
        return self.rank > Level(other).rank

    def __ge__(self, other: str) -> bool:
        return self.rank >= Level(other).rank


_RANKS = {"none": 0, "urgent": 1, "emergency": 2}

CATEGORIES = (
    *("chest_pain", "breathing", "stroke", "headache", "seizure", "fainting", "bleeding", "anaphylaxis"),
    *("sepsis", "diabetes", "poisoning", "suicide", "pregnancy", "child", "meningitis", "testicle", "spine"),
    *("injury", "abdomen", "eye", "heart", "clot", "heat", "violence", "withdrawal", "vitals", "other"),
)
"""Codes of what can be noticed."""
VITALS = "vitals"
"""Of readings together with symptoms, never of words alone."""
OTHER = "other"
"""What sounds like an emergency and fits no rule."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """category: one of CATEGORIES, None at level NONE. language: the data that decided."""

    level: Level
    category: str | None
    language: str


def highest(verdicts: Iterable[Verdict]) -> Verdict:
    """The first of the highest level. Raises ValueError where there is none."""
    return max(verdicts, key=lambda verdict: verdict.level.rank)
