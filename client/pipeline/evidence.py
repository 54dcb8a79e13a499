"""What is kept of somebody becomes what an answer may rest on.

Of a person: the newest of each vital sign, and where that was not shown the newest that was; the documents that the clinic's cloud has read.
Of a guest: what was measured at this visit, for all guests of a device are one in its store.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from client import log
from client.assistant.evidence import (
    MOST_DOCUMENTS,
    MOST_FACTS,
    DocumentRef,
    Evidence,
    Fact,
    Library,
    Passage,
)
from client.assistant.masking import NOBODY, Known
from client.assistant.triage import Readings
from client.clock import lies_ahead
from client.cloud import wire
from client.errors import BadInput, HealthHelperError
from client.pipeline.listening import show
from client.pipeline.outgoing import to_wire
from client.store.consents import Consents, Subject
from client.store.documents import Document, Documents, Purpose
from client.store.moments import new_id
from client.store.observations import Line, Observation, Observations

VISIT = timedelta(hours=1)
"""What was measured so lately, or entered, is of this visit, whenever that is asked."""
_LOOKED_AT = 50
_READY = str(wire.UploadState.READY)
_READINGS: Mapping[str, str] = {
    "heart_rate": "heart_rate",
    "pulse": "heart_rate",
    "respiratory_rate": "respiratory_rate",
    "spo2": "spo2",
    "celsius": "temperature",
    "systolic": "systolic",
    "diastolic": "diastolic",
}
"""Names of values as they are kept, and as triage has them."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One reading that triage may look at. name: of Readings."""

    name: str
    value: float = field(repr=False)
    taken_at: datetime


@dataclass(frozen=True, slots=True)
class Gathered:
    """evidence: for a Conversation. measured: the newest first. known: what of the person is masked wherever it stands."""

    evidence: Evidence
    measured: tuple[Measured, ...] = ()
    known: Known = NOBODY

    def readings(self, now: datetime) -> Readings:
        """Of this visit, the newest of each."""
        found: dict[str, float] = {}
        for one in self.measured:
            if now - one.taken_at <= VISIT and not lies_ahead(one.taken_at, now):
                found.setdefault(one.name, one.value)
        return Readings(**found)


class Careful:
    """A library whose trouble keeps nothing from being judged and answered: then nothing is found in it."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def search(self, text: str, language: str, most: int = 3) -> Sequence[Passage]:
        """See client.assistant.evidence.Library. Does not raise what stands against reading it."""
        try:
            return self._library.search(text, language, most)
        except HealthHelperError:
            log.event("library_unreadable")
        except Exception as bug:  # noqa: BLE001 (shown as those of any other thread)
            show(bug)
        return ()


def gathered(
    observations: Observations,
    documents: Documents,
    consents: Consents,
    person: str | None,
    *,
    visit: Sequence[str] = (),
) -> Gathered:
    """visit: observations of a guest that are of this visit. Simulated scans are nobody's. Raises StoreFault."""
    if person is None:
        lines = [one.line for one in observations.wholes(visit) if one.line.person is None]
        lines.sort(key=lambda line: (line.taken_at, line.id), reverse=True)
    else:
        lines = observations.lines(person, limit=_LOOKED_AT)
    lines = [line for line in lines if not line.simulated]
    wholes = {one.line.id: one for one in observations.wholes([line.id for line in lines])}
    read = [(line, _values(wholes[line.id])) for line in lines if line.id in wholes]
    facts = _facts(read)
    found = Evidence(tuple(facts), (), tuple(_documents(documents, consents, person)))
    return Gathered(found.numbered(), _measured(read), _known(observations, person))


def _values(kept: Observation) -> Mapping[str, wire.Value]:
    """By name; nothing of what only another version can read."""
    try:
        return to_wire(kept, patient_id=kept.line.person or new_id()).values
    except BadInput:
        return {}


def _facts(read: Iterable[tuple[Line, Mapping[str, wire.Value]]]) -> list[Fact]:
    """read: the newest first."""
    found: list[Fact] = []
    complete: set[str] = set()
    seen: set[str] = set()
    for line, values in read:
        taken_at = line.taken_at.astimezone(timezone(timedelta(minutes=line.utc_offset_min)))
        for name, value in values.items():
            if name in complete or (value.value is None and name in seen):
                continue
            seen.add(name)
            if value.value is not None:
                complete.add(name)
            found.append(
                Fact(
                    "",
                    name,
                    taken_at,
                    value.value,
                    value.low,
                    value.high,
                    value.unit,
                    value.reasons,
                    value.confidence,
                    value.window_s,
                    value.algorithm,
                )
            )
    return found[:MOST_FACTS]


def _measured(read: Iterable[tuple[Line, Mapping[str, wire.Value]]]) -> tuple[Measured, ...]:
    return tuple(
        Measured(_READINGS[name], value.value, line.taken_at)
        for line, values in read
        for name, value in values.items()
        if name in _READINGS and value.value is not None
    )


def _documents(documents: Documents, consents: Consents, person: str | None) -> list[DocumentRef]:
    """Those of a person who agrees to the clinic's cloud having them, the newest first."""
    if person is None:
        return []
    agreed = consents.newest(person, Subject.CLOUD)
    if agreed is None or not agreed.given:
        return []
    found = [one for one in documents.list(person) if _is_read(one)]
    return [DocumentRef("", one.id, one.title) for one in found[:MOST_DOCUMENTS]]


def _is_read(document: Document) -> bool:
    return document.cloud_state == _READY and document.purpose == Purpose.MEDICAL_REPORT


def _known(observations: Observations, person: str | None) -> Known:
    found = next((one for one in observations.people() if one.id == person), None)
    if found is None:
        return NOBODY
    return Known((found.name,), () if found.record_number is None else (found.record_number,))
