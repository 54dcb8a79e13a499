"""The answer of this device itself: the measurements and pieces of our articles that fit a question, in sentences of ours, with citations.

Nothing is worked out and nothing is judged: what is not in the evidence is said not to be known, and who would know.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from client.assistant import phrases
from client.assistant.evidence import Citation, DocumentRef, Evidence, Fact, Library, Passage
from client.assistant.phrases import Phrases, folded
from client.assistant.sentences import Splitter

MOST_PASSAGES = 2
MOST_PASSAGE_CHARACTERS = 450
_MEASURED = ("heart_rate", "respiratory_rate", "rmssd", "sdnn")
_NOT_BY_CAMERA = ("blood_pressure", "oxygen", "temperature")
_NUMBER = re.compile("[0-9]{2}")
_MARKS = re.compile(r"^#{1,6}\s+|\*\*|__|`|^\s*[-*]\s+", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Answer:
    """text: with [v1], [k1]. known: whether something of it answers the question."""

    text: str = field(repr=False)
    citations: tuple[Citation, ...]
    known: bool


def answer(
    question: str, language: str, evidence: Evidence, library: Library | None = None, *, safety: str = ""
) -> Answer:
    """To what the person asked, in `language`. safety: what triage says; it comes first. Passages of the evidence go before a search."""
    own = phrases.of(language)
    plain = folded(question)
    asked = _asked(plain, own)
    theirs = _asks_for_own(plain, own)
    if theirs and own.kinds["all"].search(plain):
        asked += [name for name in _MEASURED if name not in asked]
    parts: list[str] = [safety] if safety else []
    cited: list[Citation] = []
    for name in asked:
        said, citation = _of_vital(name, evidence.facts, own, theirs=theirs)
        if said and said not in parts:
            parts.append(said)
        if citation is not None:
            cited.append(citation)
    if any(name in _NOT_BY_CAMERA for name in asked) and not any(name in _MEASURED for name in asked):
        parts.append(own.templates["not_by_camera"])
    found = evidence.passages or _searched(question, own, library)
    for passage in found[:MOST_PASSAGES]:
        parts.append(f"{extract(passage, own)} [{passage.id}]")
        cited.append(cited_passage(passage))
    known = len(parts) > bool(safety)
    if not known and own.kinds["greeting"].search(plain) and len(plain.split()) <= 4:
        parts.append(own.templates["greeting"])
    elif not known:
        parts += (
            [own.templates["who"]] if safety else [own.templates["evidence_missing"], own.templates["who"]]
        )
    return Answer("\n".join(parts), tuple(cited), known)


def _asked(plain: str, own: Phrases) -> list[str]:
    """What is named. "Heart rate variability" is not the heart rate."""
    besides = own.vitals["rmssd"].sub(" ", plain)
    spread = {"rmssd", "sdnn"}
    return [
        name for name, pattern in own.vitals.items() if pattern.search(plain if name in spread else besides)
    ]


def _asks_for_own(plain: str, own: Phrases) -> bool:
    """Whether a value of the person is asked for ("what was my pulse"), and not what it should be, what moves it or who sees it.

    Who names a number ("my pulse is 48, is that bad") has one, and asks about that.
    """
    asks = own.kinds["own"].search(plain) or own.kinds["all"].search(plain)
    return asks is not None and own.kinds["general"].search(plain) is None and not _NUMBER.search(plain)


def _searched(question: str, own: Phrases, library: Library | None) -> Sequence[Passage]:
    found = (
        library.search(question, own.language, MOST_PASSAGES)
        if library is not None and question.strip()
        else ()
    )
    return [replace(one, id=f"k{at}") for at, one in enumerate(found, 1)]


def _of_vital(name: str, facts: Sequence[Fact], own: Phrases, *, theirs: bool) -> tuple[str, Citation | None]:
    """One sentence on the newest measurement; on none only where the person asks for their own (theirs)."""
    of_name = [one for one in facts if one.name == name]
    if not of_name:
        says = theirs and name in _MEASURED
        return (own.templates["never"].format(name=own.names[name]) if says else ""), None
    fact = max(of_name, key=lambda one: one.taken_at)
    return f"{told(fact, own.language)} [{fact.id}].", cited_fact(fact, own.language)


def told(fact: Fact, language: str) -> str:
    """The measurement in words, without a full stop: value, 95 % interval and time, or why it was not shown."""
    own = phrases.of(language)
    at = fact.taken_at
    name = own.names.get(fact.name, fact.name.replace("_", " "))
    when = own.templates["when"].format(
        day=at.day,
        month_number=at.month,
        month=own.month_names[at.month - 1],
        year=at.year,
        time=f"{at.hour:02d}:{at.minute:02d}",
    )
    if fact.value is None:
        why = own.reasons.get(next(iter(fact.reasons), ""), own.templates["unknown_reason"])
        return own.templates["hidden"].format(name=name, when=when, why=why)
    unit = own.unit_names.get(fact.unit, fact.unit)
    if fact.low is None or fact.high is None:
        return own.templates["value_alone"].format(
            name=name, value=_shown(fact.value, own), unit=unit, when=when
        )
    decimals = 1 if f"{fact.low:.0f}" == f"{fact.high:.0f}" else 0
    low, high = _shown(fact.low, own, decimals), _shown(fact.high, own, decimals)
    return own.templates["value"].format(
        name=name, value=_shown(fact.value, own), low=low, high=high, unit=unit, when=when
    )


def _shown(value: float, own: Phrases, decimals: int = 0) -> str:
    written = f"{value:.{decimals}f}"
    return written.replace(".", ",") if own.decimal_comma else written


def extract(passage: Passage, own: Phrases) -> str:
    """Its first sentences, as many as fit, without a full stop cut off in the middle."""
    splitter = Splitter(own.abbreviations, own.month_names)
    text = " ".join(_MARKS.sub("", passage.text).split())
    chosen = ""
    for sentence in [*splitter.push(text), *splitter.finish()]:
        if chosen and len(chosen) + len(sentence) > MOST_PASSAGE_CHARACTERS:
            break
        chosen += sentence
    return chosen.strip()


def cited_fact(fact: Fact, language: str) -> Citation:
    name = phrases.of(language).names.get(fact.name, fact.name.replace("_", " "))
    return Citation(fact.id, name, told(fact, language), f"fact:{fact.name}")


def cited_passage(passage: Passage) -> Citation:
    return Citation(passage.id, passage.title, passage.text[:300], f"article:{passage.article}")


def cited_document(document: DocumentRef) -> Citation:
    return Citation(document.id, document.title, "", f"upload:{document.upload}")
