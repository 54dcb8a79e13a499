"""From the store to what an answer may rest on."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from client.assistant.evidence import Passage
from client.assistant.masking import NOBODY, masked
from client.errors import EnvironmentFault
from client.pipeline.evidence import Careful, Gathered, gathered
from client.store import entries, scans
from client.store.consents import Consents, Subject
from client.store.database import FILE_NAME, Database
from client.store.documents import Documents, Purpose
from client.store.observations import Kind, Observation, Observations
from edge_models.types import Estimate, Reason
from tests.client.assistant.conversing import PASSAGE, Shelf
from tests.client.pipeline.fakes import estimate, scan_result
from tests.client.pipeline.test_outgoing import record
from tests.client.store.conftest import KEY

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)


class Desk:
    """An open store with one named person in it."""

    def __init__(self, database: Database) -> None:
        self.observations, self.consents = Observations(database), Consents(database)
        self.documents = Documents(database)
        self.ada = self.observations.add_person("Ada Quill", now=NOW, record_number="MRN-4711").id

    def scan(
        self,
        person: str | None,
        minutes_ago: float,
        rate: float | None = 72.0,
        breathing: Estimate | None = None,
        *,
        simulated: bool = False,
    ) -> Observation:
        result = scan_result(estimate(rate) if rate is not None else estimate(None, Reason.TOO_DARK))
        if breathing is not None:
            result = replace(result, vitals={**result.vitals, "respiratory_rate": breathing})
        made = scans.to_observation(
            record(result=result, taken_at=NOW - timedelta(minutes=minutes_ago), simulated=simulated),
            person=person,
        )
        self.observations.save(made)
        return made

    def entry(self, person: str | None, kind: Kind, minutes_ago: float, **values: float) -> Observation:
        made = entries.to_observation(kind, values, NOW - timedelta(minutes=minutes_ago), person)
        self.observations.save(made)
        return made

    def document(self, title: str, state: str | None, purpose: str = Purpose.MEDICAL_REPORT) -> str:
        made = self.documents.add(
            [b"pdf"],
            person=self.ada,
            purpose=purpose,
            media_type="application/pdf",
            title=title,
            pages=1,
            now=NOW,
        )
        self.documents.set_cloud_state(made.id, state)
        return made.id

    def gather(self, person: str | None, *visit: str) -> Gathered:
        return gathered(self.observations, self.documents, self.consents, person, visit=visit)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    database = Database(tmp_path / FILE_NAME, KEY)
    yield Desk(database)
    database.close()


def test_the_newest_of_each_counts_and_where_it_was_not_shown_the_newest_that_was(desk: Desk) -> None:
    desk.scan(desk.ada, 500.0, 60.0, estimate(13.0))
    desk.scan(desk.ada, 300.0, 65.0, estimate(14.0))
    desk.scan(desk.ada, 10.0, 71.0)
    facts = desk.gather(desk.ada).evidence.facts
    told = {(one.name, one.value) for one in facts}
    assert {
        ("heart_rate", 71.0),
        ("respiratory_rate", None),
        ("respiratory_rate", 14.0),
        ("rmssd", None),
    } <= told
    assert ("heart_rate", 65.0) not in told and ("respiratory_rate", 13.0) not in told
    assert [one.id for one in facts] == [f"v{at}" for at in range(1, len(facts) + 1)]
    hidden = next(one for one in facts if one.name == "respiratory_rate" and one.value is None)
    assert hidden.reasons == ("sources_disagree",) and hidden.low is None
    shown = next(one for one in facts if one.name == "heart_rate")
    assert (shown.low, shown.high, shown.unit) == (69.0, 73.0, "/min")


def test_times_are_those_of_the_clock_on_the_wall_there(desk: Desk) -> None:
    made = desk.scan(desk.ada, 10.0)
    moved = replace(made.line, id="5a0f8c1e-7a55-4d0a-8a53-6a3f0c3c2c11", utc_offset_min=-210)
    desk.observations.save(replace(made, line=replace(moved, taken_at=NOW - timedelta(minutes=5))))
    (fact, *_) = desk.gather(desk.ada).evidence.facts
    assert fact.taken_at.isoformat() == "2026-11-28T08:25:00-03:30"


def test_simulated_scans_and_other_people_are_not_told(desk: Desk) -> None:
    ben = desk.observations.add_person("Ben", now=NOW).id
    desk.scan(ben, 5.0)
    desk.scan(None, 5.0)
    desk.scan(desk.ada, 5.0, simulated=True)
    assert desk.gather(desk.ada).evidence.facts == ()


def test_a_guest_is_told_of_this_visit_only(desk: Desk) -> None:
    of_before, now = desk.scan(None, 8.0, 60.0), desk.scan(None, 4.0, 70.0)
    named = desk.scan(desk.ada, 3.0, 80.0)
    assert desk.gather(None).evidence.facts == () and desk.gather(None).known == NOBODY
    found = desk.gather(None, now.line.id, named.line.id)
    assert {one.value for one in found.evidence.facts if one.name == "heart_rate"} == {70.0}
    assert found.readings(NOW).heart_rate == 70.0
    assert of_before.line.id not in {one.id for one in found.evidence.facts}


def test_readings_are_of_this_visit_and_the_newest_of_each(desk: Desk) -> None:
    desk.entry(desk.ada, Kind.OXIMETER, 90.0, spo2=90.0)
    desk.entry(desk.ada, Kind.TEMPERATURE, 50.0, celsius=38.5)
    desk.entry(desk.ada, Kind.BLOOD_PRESSURE, 40.0, systolic=150.0, diastolic=95.0, pulse=99.0)
    desk.scan(desk.ada, 30.0, 88.0)
    desk.scan(desk.ada, -30.0, 170.0)
    gathered_once = desk.gather(desk.ada)
    found = gathered_once.readings(NOW)
    assert (found.spo2, found.temperature, found.systolic, found.diastolic) == (None, 38.5, 150.0, 95.0)
    assert found.heart_rate == 88.0, "a clock that was ahead says nothing of now"
    later = gathered_once.readings(NOW + timedelta(minutes=25))
    assert (later.temperature, later.systolic, later.heart_rate) == (None, None, 88.0), "an hour goes on"
    assert {"spo2", "systolic"} <= {one.name for one in desk.gather(desk.ada).evidence.facts}


def test_no_more_than_is_sent(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("client.pipeline.evidence.MOST_FACTS", 3)
    desk.scan(desk.ada, 5.0)
    assert len(desk.gather(desk.ada).evidence.facts) == 3


def test_documents_are_those_that_the_clinic_has_read_and_may_have(desk: Desk) -> None:
    ready = desk.document("Letter", "ready")
    for title, state in (("a", None), ("b", "processing"), ("c", "quarantined"), ("d", "failed")):
        desk.document(title, state)
    desk.document("e", "ready", Purpose.SCAN_REPORT)
    assert desk.gather(desk.ada).evidence.documents == ()
    desk.consents.record(desk.ada, Subject.CLOUD, 1, True, "en", NOW)
    (one,) = desk.gather(desk.ada).evidence.documents
    assert (one.id, one.upload, one.title) == ("d1", ready, "Letter")
    assert desk.gather(None).evidence.documents == ()
    desk.consents.record(desk.ada, Subject.CLOUD, 1, False, "en", NOW)
    assert desk.gather(desk.ada).evidence.documents == ()


def test_who_they_are_is_known_to_be_masked(desk: Desk) -> None:
    known = desk.gather(desk.ada).known
    assert "Quill" not in masked("I am Ada Quill, MRN-4711", known)
    assert "4711" not in masked("I am Ada Quill, MRN-4711", known)


def test_a_library_in_trouble_keeps_nothing_from_being_answered() -> None:
    class Torn(Shelf):
        def search(self, text: str, language: str, most: int = 3) -> tuple[()]:
            raise EnvironmentFault(title="Torn", remedy="Mend it.")

    assert Careful(Torn()).search("pulse", "en") == ()
    assert Careful(Shelf(PASSAGE)).search("pulse", "en") == (PASSAGE,)


def test_a_bug_of_the_library_keeps_no_emergency_from_being_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def search(self, text: str, language: str, most: int = 3) -> Sequence[Passage]:
            raise ZeroDivisionError

    seen: list[object] = []
    monkeypatch.setattr(threading, "excepthook", seen.append)
    assert Careful(Broken()).search("what is a pulse", "en") == () and len(seen) == 1
