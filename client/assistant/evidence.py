"""What an answer may rest on: measurements, passages of our articles and documents that the person agreed to. Plain values.

The identifiers are those that a text cites: [v1], [k1], [d1]. The cloud counts them in the order in which they are sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

MOST_FACTS = 24
MOST_DOCUMENTS = 5
"""Of each so many are sent with a question (client.cloud.chat.Chat)."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One vital sign of one scan. name: as the engine's ("heart_rate"). value None: not shown, `reasons` say why.

    low, high: 95 % interval. taken_at: aware; told in its own time zone. confidence: 0 to 1. window_s: of accepted signal.
    """

    id: str
    name: str
    taken_at: datetime
    value: float | None
    low: float | None
    high: float | None
    unit: str
    reasons: tuple[str, ...]
    confidence: float | None
    window_s: float | None
    algorithm: str


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of an article of ours. source: name and address of what it rests on. score: higher fits better."""

    id: str
    article: str
    title: str
    text: str
    source: str
    language: str
    score: float


@dataclass(frozen=True, slots=True)
class DocumentRef:
    """A document that the person agreed to have read. upload: UUID in the cloud. text: what was read of it on this device, or ""."""

    id: str
    upload: str
    title: str = field(repr=False)
    text: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that an answer may speak of."""

    facts: tuple[Fact, ...] = ()
    passages: tuple[Passage, ...] = ()
    documents: tuple[DocumentRef, ...] = ()

    def numbered(self) -> Evidence:
        """No more than is sent, with identifiers in that order: v1, v2 …, k1 …, d1 …"""
        return Evidence(
            tuple(replace(one, id=f"v{at}") for at, one in enumerate(self.facts[:MOST_FACTS], 1)),
            tuple(replace(one, id=f"k{at}") for at, one in enumerate(self.passages, 1)),
            tuple(replace(one, id=f"d{at}") for at, one in enumerate(self.documents[:MOST_DOCUMENTS], 1)),
        )


@dataclass(frozen=True, slots=True)
class Citation:
    """id: as the text cites it. uri: "article:ID", "upload:UUID", "fact:NAME", or "": nothing to open. Never an address outside."""

    id: str
    title: str = field(repr=False)
    quote: str = field(repr=False)
    uri: str


class Library(Protocol):
    """Where passages come from (client.assistant.knowledge)."""

    def search(self, text: str, language: str, most: int = 3) -> Sequence[Passage]:
        """What fits, the best first; nothing where nothing does."""
