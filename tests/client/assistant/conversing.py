"""Evidence and helpers that the assistant's tests share."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from client.assistant.evidence import DocumentRef, Evidence, Fact, Passage
from client.assistant.grounding import Checker, Fault
from client.assistant.triage import Level

LANGUAGES = ("ar", "de", "en", "es", "fr", "hi", "pt", "zh")
TAKEN_AT = datetime(2025, 10, 5, 14, 30, tzinfo=UTC)
HEART_RATE = Fact("v1", "heart_rate", TAKEN_AT, 72.1, 70.3, 74.2, "/min", (), 0.97, 38.2, "fused")
BREATHING = Fact(
    "v2", "respiratory_rate", TAKEN_AT, None, None, None, "/min", ("too_dark",), 0.2, 38.2, "fused"
)
DOCUMENT = DocumentRef("d1", "0b9f0c7e-4a55-4d0a-8a53-6a3f0c3c2c11", "Letter", "Haemoglobin 13.9 g/dl")
PASSAGE = Passage(
    "k1",
    "heart-rate",
    "Heart rate",
    "At rest most adults have 60 to 100 beats per minute. Sport lowers it.",
    "NHS",
    "en",
    3.0,
)
EVIDENCE = Evidence((HEART_RATE, BREATHING), (PASSAGE,), (DOCUMENT,))


class Shelf:
    """A library that gives the same passages whatever is looked for."""

    def __init__(self, *passages: Passage) -> None:
        self.passages = passages
        self.asked: list[tuple[str, str]] = []

    def search(self, text: str, language: str, most: int = 3) -> Sequence[Passage]:
        self.asked.append((text, language))
        return self.passages[:most]


def checked(
    text: str, language: str = "en", *, level: Level = Level.NONE, allowed: Sequence[str] = (), size: int = 7
) -> tuple[str, Fault | None]:
    """What is released of a text that comes in pieces of `size`, and what it failed on."""
    checker = Checker(EVIDENCE, language, level=level, allowed=allowed)
    found = [one for at in range(0, len(text), size) for one in checker.push(text[at : at + size])]
    found += checker.finish()
    return "".join(one.joint + one.text for one in found), checker.fault
