"""People and observations: what is saved comes back, what is deleted is gone until it is put back, and purged for ever."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.app import kept_of
from client.clock import SystemClock
from client.errors import BadInput
from client.policy import Policy
from client.store.database import Database
from client.store.documents import Documents
from client.store.forgetting import Forgetting
from client.store.observations import (
    Kind,
    Line,
    Numbers,
    Observation,
    Observations,
    matches,
    new_id,
)
from client.store.opening import Opened
from tests.client.store.conftest import NOW, MemoryVault


def observation(person: str | None = None, *, minutes: float = 0.0, rate: float | None = 72.0) -> Observation:
    return Observation(
        Line(
            id=new_id(),
            person=person,
            kind=Kind.SCAN,
            taken_at=NOW + timedelta(minutes=minutes),
            utc_offset_min=60,
            numbers=Numbers(heart_rate=rate, heart_rate_low=71.0, heart_rate_high=73.0),
            simulated=False,
        ),
        body={"schema": "health-helper/scan/1", "note": "é"},
        wave=bytes(range(200)),
    )


def test_what_is_saved_comes_back(store: Observations) -> None:
    saved = observation()
    assert store.save(saved)
    assert store.get(saved.line.id) == saved
    assert store.lines(None) == [saved.line]
    assert store.count(None) == 1


def test_saving_twice_keeps_the_first(store: Observations) -> None:
    saved = observation()
    assert store.save(saved)
    assert not store.save(replace(saved, body={"other": 1}))
    found = store.get(saved.line.id)
    assert found is not None and found.body == saved.body
    store.delete(saved.line.id, now=NOW)
    assert not store.save(saved)
    assert store.lines(None) == []


def test_people_do_not_see_each_other(store: Observations) -> None:
    ada, ben = store.add_person("Ada", now=NOW), store.add_person("Ben", now=NOW)
    for person in (ada.id, ben.id, None):
        store.save(observation(person))
    for person in (ada.id, ben.id, None):
        assert [line.person for line in store.lines(person)] == [person]


def test_nothing_is_saved_for_somebody_who_is_not_there(store: Observations) -> None:
    ada = store.add_person("Ada", now=NOW)
    store.delete_person(ada.id, now=NOW)
    for person in (ada.id, "nobody"):
        with pytest.raises(BadInput):
            store.save(observation(person))


@pytest.mark.parametrize("name", ["", "  ", "x" * 81, "a\x00b", "\u202eevil"])
def test_names_that_are_none(store: Observations, name: str) -> None:
    with pytest.raises(BadInput):
        store.add_person(name, now=NOW)


def test_two_people_of_one_name_are_refused(store: Observations) -> None:
    ada = store.add_person(" Ada  Müller ", now=NOW)
    assert ada.name == "Ada Müller"
    with pytest.raises(BadInput):
        store.add_person("ADA MÜLLER", now=NOW)
    ben = store.add_person("Ben", now=NOW)
    with pytest.raises(BadInput):
        store.rename_person(ben.id, "ada müller")
    store.rename_person(ada.id, "ada müller")
    store.rename_person(ben.id, "Benjamin")
    assert [person.name for person in store.people()] == ["ada müller", "Benjamin"]
    with pytest.raises(BadInput):
        store.rename_person("nobody", "Cleo")


def test_names_that_look_alike_are_one(store: Observations) -> None:
    composed, apart = "Zoe\u0308", "Zo\u00eb"
    zoe = store.add_person(composed, now=NOW)
    assert zoe.name == apart
    parisa = store.add_person("پری\u200cسا", now=NOW)
    assert parisa.name == "پری\u200cسا"
    for name in (apart, composed.upper(), "پریسا", "پری\u200d\u200cسا"):
        with pytest.raises(BadInput, match="already"):
            store.add_person(name, now=NOW)
    store.rename_person(zoe.id, "Jose\u0301")
    assert {person.name for person in store.people()} == {"Jos\u00e9", parisa.name}


@pytest.mark.parametrize(
    "typed, kept",
    [
        ("علی\u200cرضا", "علی\u200cرضا"),
        ("ක්\u200dරිෂාන්", "ක්\u200dරිෂාන්"),
        ("മോഹന്\u200d", "മോഹന്\u200d"),  # at the end, as Malayalam was written before Unicode 5.1
        ("\u200cAda \u200dB\u200d\u200d", "Ada B\u200d"),  # nothing to join
        (" \u200c Ada \u200c B", "Ada B"),
    ],
)
def test_joiners_stay_where_they_join(store: Observations, typed: str, kept: str) -> None:
    assert store.add_person(typed, now=NOW).name == kept


@pytest.mark.parametrize("name", ["\u200c", " \u200d ", "Ada\u200bB", "Ada\u2066B"])
def test_nothing_else_that_is_invisible_is_a_name(store: Observations, name: str) -> None:
    with pytest.raises(BadInput):
        store.add_person(name, now=NOW)


def test_deleting_can_be_undone(store: Observations) -> None:
    saved = observation()
    store.save(saved)
    assert store.delete(saved.line.id, now=NOW)
    assert not store.delete(saved.line.id, now=NOW)
    assert store.lines(None) == [] and store.get(saved.line.id) is None and store.count(None) == 0
    assert store.restore(saved.line.id)
    assert store.get(saved.line.id) == saved
    assert not store.restore(saved.line.id)


def test_deleting_a_person_can_be_undone_and_brings_back_only_what_went_with_them(
    store: Observations,
) -> None:
    ada = store.add_person("Ada", now=NOW)
    before, kept = observation(ada.id), observation(ada.id, minutes=1)
    store.save(before)
    store.save(kept)
    store.delete(before.line.id, now=NOW)
    store.delete_person(ada.id, now=NOW + timedelta(seconds=1))
    assert store.people() == [] and store.lines(ada.id) == []
    assert not store.restore(kept.line.id)  # nobody to belong to
    store.restore_person(ada.id)
    store.restore_person(ada.id)
    assert store.people() == [ada] and store.lines(ada.id) == [kept.line]
    with pytest.raises(BadInput):
        store.delete_person("nobody", now=NOW)
    with pytest.raises(BadInput):
        store.restore_person("nobody")


def test_a_name_that_was_given_to_another_meanwhile(store: Observations) -> None:
    ada = store.add_person("Ada", now=NOW)
    store.delete_person(ada.id, now=NOW)
    store.add_person("Ada", now=NOW)
    with pytest.raises(BadInput):
        store.restore_person(ada.id)


def test_the_newest_of_a_kind(store: Observations) -> None:
    ada = store.add_person("Ada", now=NOW)
    assert store.newest(None, Kind.SCAN) is None
    scans = [observation(minutes=k) for k in (0, 2, 1)]
    weight = observation(minutes=9)
    weight = replace(weight, line=replace(weight.line, kind=Kind.WEIGHT))
    store.save_all([*scans, weight, observation(ada.id, minutes=20)])
    assert store.newest(None, Kind.SCAN) == scans[1].line
    assert store.newest(None, Kind.WEIGHT) == weight.line
    assert store.newest(ada.id, Kind.WEIGHT) is None
    store.delete(scans[1].line.id, now=NOW)
    assert store.newest(None, Kind.SCAN) == scans[2].line


def test_nothing_that_is_asked_often_reads_all_rows(
    store: Observations, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plans of SQLite for what is really asked: a scan of the table, or a row for each that is counted, is slow in a full store."""
    asked: list[str] = []
    database._connection.set_trace_callback(asked.append)
    ada = store.add_person("Ada", now=NOW)
    store.save(observation(ada.id))
    store.newest(ada.id, Kind.SCAN)
    store.count(ada.id)
    page = store.lines(ada.id)
    store.lines(ada.id, before=page[0])
    store.between(ada.id, NOW, None)
    store.numbers(ada.id, NOW)
    store.wholes([page[0].id])
    store.delete_person(ada.id, now=NOW)
    store.restore_person(ada.id)
    store.delete_person(ada.id, now=NOW)
    Forgetting(database, Documents(database)).purge(deleted_before=NOW + timedelta(days=9), now=NOW)
    database._connection.set_trace_callback(None)
    about = [sql for sql in asked if "observation" in sql and sql.startswith(("SELECT", "UPDATE", "DELETE"))]
    assert len(about) >= 11
    for sql in about:
        plan = [row[3] for row in database.ask("EXPLAIN QUERY PLAN " + sql)]
        assert not any("SCAN observation" in step for step in plan), (sql, plan)
        assert not any("TEMP B-TREE" in step for step in plan), (sql, plan)
        if sql.endswith("LIMIT 1"):
            assert "kind=?" in plan[0], (sql, plan)  # not all of them until one of that kind comes
        elif "count(*)" in sql or "ORDER BY" in sql:
            assert "COVERING" in plan[0], (sql, plan)
    # what a foreign key asks for itself when a person goes
    plan = database.ask("EXPLAIN QUERY PLAN SELECT 1 FROM observation WHERE person = 'x'")
    assert "observation_by_kind (person=?)" in plan[0][3]


def test_a_wave_that_cannot_be_unpacked_leaves_the_numbers(store: Observations, database: Database) -> None:
    saved = observation()
    store.save(saved)
    with database.changes() as change:
        change.do("UPDATE observation SET wave = x'00'")
    assert store.get(saved.line.id) == replace(saved, wave=None)


def test_pages_of_a_list_meet_without_gap_or_overlap(store: Observations) -> None:
    saved = [observation(minutes=k // 3) for k in range(25)]  # three at the same moment
    for one in saved:
        store.save(one)
    found: list[Line] = []
    while page := store.lines(None, before=found[-1] if found else None, limit=7):
        found += page
    assert sorted(line.id for line in found) == sorted(one.line.id for one in saved)
    assert [line.taken_at for line in found] == sorted((one.line.taken_at for one in saved), reverse=True)


def test_a_trend_is_of_a_span_and_in_order(store: Observations) -> None:
    for minutes in (5.0, 0.0, 10.0, 20.0):
        store.save(observation(minutes=minutes))
    found = store.between(None, NOW, NOW + timedelta(minutes=20))
    assert [(line.taken_at - NOW).total_seconds() / 60 for line in found] == [0.0, 5.0, 10.0]


def test_a_kind_of_a_newer_version_is_kept_as_it_is(store: Observations, database: Database) -> None:
    saved = observation()
    store.save(replace(saved, line=replace(saved.line, kind="glucose")))
    assert store.lines(None)[0].kind == "glucose"


def test_numbers_that_are_none_are_our_bug(store: Observations) -> None:
    with pytest.raises(ValueError):
        store.save(replace(observation(), body={"x": float("nan")}))
    assert store.count(None) == 0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(
    moment=st.datetimes(
        datetime(1971, 1, 1),  # noqa: DTZ001 (hypothesis adds the zone)
        datetime(2200, 1, 1),  # noqa: DTZ001
        timezones=st.sampled_from([UTC, timezone(timedelta(hours=-9, minutes=-30))]),
    ),
    offset=st.integers(-840, 840),
    rate=st.none() | st.floats(20, 250),
    name=st.text(
        st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=26
    ),  # composed it may be thrice as long
)
def test_any_moment_and_name_come_back(
    store: Observations, database: Database, moment: datetime, offset: int, rate: float | None, name: str
) -> None:
    forgetting = Forgetting(database, Documents(database))
    person = store.add_person(name, now=moment)
    try:
        saved = observation(person.id, rate=rate)
        line = replace(saved.line, taken_at=moment, utc_offset_min=offset)
        store.save(replace(saved, line=line))
        found = store.lines(person.id)[0]
        assert abs(found.taken_at - moment) < timedelta(milliseconds=1)
        assert (found.utc_offset_min, found.numbers.heart_rate) == (offset, rate)
        assert person in store.people()
    finally:
        store.delete_person(person.id, now=NOW)
        forgetting.purge(deleted_before=NOW + timedelta(days=1), now=NOW)


@pytest.mark.parametrize(
    "typed", ["a-12 34", "A-1234\r\n", "\x02A-1234\x03", " Ａ-１２３４ ", "A-١٢٣٤", "A-12\t34"]
)
def test_a_record_number_is_found_however_it_is_typed_or_scanned(store: Observations, typed: str) -> None:
    ada = store.add_person("Ada", now=NOW, record_number="A-12 34\r")
    ben = store.add_person("Ben", now=NOW)
    assert ada.record_number == "A-12 34"
    assert store.person_with_record_number(typed) == ada
    assert matches(ada, typed) and not matches(ben, typed)
    with pytest.raises(BadInput, match="record number"):
        store.add_person("Cleo", now=NOW, record_number=typed)
    with pytest.raises(BadInput, match="record number"):
        store.set_record_number(ben.id, typed)
    store.set_record_number(ada.id, typed)  # her own, typed in another way


@pytest.mark.parametrize("typed", ["", "\r\n", " ", "\u200b", "B-1234", "A-123", "0A-1234"])
def test_another_record_number_is_nobodys(store: Observations, typed: str) -> None:
    ada = store.add_person("Ada", now=NOW, record_number="A-1234")
    nobody = store.add_person("Ben", now=NOW)
    assert not matches(ada, typed) and not matches(nobody, typed)
    assert store.person_with_record_number(typed) is None


@pytest.mark.parametrize("number", ["", "\r", "x" * 41])
def test_record_numbers_that_are_none(store: Observations, number: str) -> None:
    with pytest.raises(BadInput):
        store.add_person("Ada", now=NOW, record_number=number)
    assert store.people() == []


def test_a_record_number_given_to_another_meanwhile(store: Observations) -> None:
    ada = store.add_person("Ada", now=NOW, record_number="7")
    store.delete_person(ada.id, now=NOW)
    assert store.person_with_record_number("7") is None
    ben = store.add_person("Ben", now=NOW, record_number="7")
    with pytest.raises(BadInput, match="record number"):
        store.restore_person(ada.id)
    store.set_record_number(ben.id, None)
    store.restore_person(ada.id)
    assert store.person_with_record_number("7") == ada
    with pytest.raises(BadInput):
        store.set_record_number("nobody", "8")


def test_who_it_is_and_what_was_written_is_in_no_traceback(store: Observations) -> None:
    ada = store.add_person("Canary", now=NOW, record_number="CAN-4711")
    saved = replace(observation(ada.id), body={"note": "canary"})
    for shown in (repr(ada), repr(saved), repr(store.people())):
        assert "anary" not in shown and "4711" not in shown


def test_documents_about_an_observation_go_and_come_back_with_it(
    store: Observations, database: Database
) -> None:
    documents = Documents(database)
    ada = store.add_person("Ada", now=NOW)
    scan = observation(ada.id)
    store.save(scan)
    about, before, other = (
        documents.add(
            [b"x"], person=ada.id, purpose="scan_report", media_type="application/pdf", title="t", pages=1, now=NOW,
            observation=seen,
        ).id
        for seen in (scan.line.id, scan.line.id, None)
    )  # fmt: skip
    documents.delete(before, NOW)
    store.delete(scan.line.id, now=NOW + timedelta(seconds=1))
    assert [one.id for one in documents.list(ada.id)] == [other]
    assert not documents.restore(about)  # what it is about is deleted
    assert store.restore(scan.line.id)
    assert {one.id for one in documents.list(ada.id)} == {other, about}
    store.delete_person(ada.id, now=NOW + timedelta(seconds=2))
    assert documents.list(ada.id) == [] and not documents.restore(before)
    store.restore_person(ada.id)
    assert {one.id for one in documents.list(ada.id)} == {other, about}
    assert documents.restore(before)


@pytest.mark.parametrize(("days", "gone_days", "there"), [(7, 6, True), (7, 8, False), (90, 60, True)])
def test_what_can_be_put_back_is_as_old_as_the_policy_says(
    database: Database, days: int, gone_days: int, there: bool
) -> None:
    policy = Policy(keep_deleted_days=days)
    kept = kept_of(Opened(database, needs_recovery_key=False), MemoryVault(), SystemClock(), policy)
    ana = kept.observations.add_person("Ana", now=NOW)
    kept.observations.delete_person(ana.id, now=NOW - timedelta(days=gone_days))
    assert bool(kept.observations.deleted(now=NOW)) is there
