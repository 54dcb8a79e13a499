"""Extreme readings: at the bound and beyond a task is there, just inside of it none."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.store import database as module
from client.store.database import FILE_NAME, Database, migrations
from client.store.entries import VALUES, to_observation
from client.store.observations import Kind, Line, Numbers, Observation, Observations, new_id
from client.store.tasks import BOUNDS, HELP, Tasks, judge, sentence
from tests.client.store.conftest import KEY, NOW

HIGH_PRESSURE = {"systolic": 185.0, "diastolic": 80.0}


@pytest.fixture
def tasks(database: Database) -> Tasks:
    return Tasks(database)


def scan_body(**vitals: float | None) -> dict[str, Any]:
    return {
        "scan": {
            "vitals": {name: {"value": value, "low": 1.0, "high": 999.0} for name, value in vitals.items()}
        }
    }


@pytest.mark.parametrize(
    "kind, name, inside, at, reason",
    [
        # NEWS2 (Royal College of Physicians 2017), 3 points
        ("oximeter", "pulse", 41, 40, "pulse_low"),
        ("blood_pressure", "pulse", 130, 131, "pulse_high"),
        ("oximeter", "spo2", 92, 91, "spo2_low"),
        ("blood_pressure", "systolic", 91, 90, "systolic_low"),
        ("temperature", "celsius", 35.1, 35.0, "temperature_low"),
        # ACC/AHA 2017
        ("blood_pressure", "systolic", 179, 180, "systolic_high"),
        ("blood_pressure", "diastolic", 119, 120, "diastolic_high"),
        # As they are shown, rounded
        ("temperature", "celsius", 35.06, 35.04, "temperature_low"),
    ],
)
def test_bounds_of_what_was_typed_in(kind: str, name: str, inside: float, at: float, reason: str) -> None:
    assert judge(kind, {"values": {name: inside}}) == []
    assert judge(kind, {"values": {name: at}}) == [reason]
    assert judge("weight", {"values": {name: at}}) == [] and judge("newer_kind", {"values": {name: at}}) == []


@pytest.mark.parametrize(
    "name, inside, at, reason",
    [
        ("heart_rate", 40.6, 40.4, "pulse_low"),
        ("heart_rate", 130.4, 130.6, "pulse_high"),
        ("respiratory_rate", 8.6, 8.4, "respiratory_rate_low"),
        ("respiratory_rate", 24.4, 24.6, "respiratory_rate_high"),
    ],
)
def test_bounds_of_a_scan(name: str, inside: float, at: float, reason: str) -> None:
    assert judge("scan", scan_body(**{name: inside})) == []
    assert judge("scan", scan_body(**{name: at})) == [reason]


def test_what_a_scan_withheld_is_not_judged() -> None:
    assert judge("scan", scan_body(heart_rate=None, respiratory_rate=30.0, rmssd=1.0)) == [
        "respiratory_rate_high"
    ]
    assert judge("scan", {"values": {"heart_rate": 200}}) == []


@given(
    value=st.one_of(
        st.none(), st.booleans(), st.text(), st.floats(allow_nan=True), st.integers(), st.lists(st.integers())
    ),
    kind=st.sampled_from([*map(str, Kind), "newer"]),
    name=st.sampled_from([name for _, name in BOUNDS]),
)
def test_nothing_that_was_kept_breaks_it(value: object, kind: str, name: str) -> None:
    for body in (
        {"values": {name: value}},
        {"scan": {"vitals": {name: {"value": value}}}},
        {"values": value},
        {"scan": value},
    ):
        assert all(sentence(reason) != "A reading to look at" for reason in judge(kind, body))


def test_every_bound_is_of_a_value_that_is_kept_and_its_sentence_says_it() -> None:
    for (kind, name), bound in BOUNDS.items():
        assert kind == "scan" or name in {value.name for value in VALUES[Kind(kind)]}
        for edge, end in ((bound.low, "low"), (bound.high, "high")):
            if edge is not None:
                assert f" {edge:.{bound.decimals}f} " in sentence(f"{bound.name}_{end}")
    assert sentence("of_a_newer_version")


def test_an_extreme_reading_puts_a_task_before_staff_once(store: Observations, tasks: Tasks) -> None:
    ada = store.add_person("Ada", now=NOW).id
    fine = to_observation(Kind.OXIMETER, {"spo2": 97.0, "pulse": 70.0}, NOW, ada)
    bad = to_observation(Kind.OXIMETER, {"spo2": 88.0, "pulse": 140.0}, NOW + timedelta(minutes=1), ada)
    for one in (fine, bad, bad):
        store.save(one)
    assert tasks.count() == 2
    assert {(task.observation, task.person, task.kind, task.reason) for task in tasks.open()} == {
        (bad.line.id, ada, "oximeter", "spo2_low"),
        (bad.line.id, ada, "oximeter", "pulse_high"),
    }
    first, second = tasks.open()
    assert first.taken_at == first.made_at == bad.line.taken_at
    assert tasks.done(first.id, NOW) and not tasks.done(first.id, NOW) and not tasks.done("x", NOW)
    assert tasks.open() == [second] and tasks.count() == 1
    assert sorted(task.done_at is None for task in tasks.of(ada)) == [False, True]
    assert tasks.of(None) == []


def test_a_simulated_scan_alarms_nobody(store: Observations, tasks: Tasks) -> None:
    for simulated in (True, False):
        line = Line(new_id(), None, Kind.SCAN, NOW, 0, Numbers(heart_rate=180.0), simulated)
        store.save(Observation(line, scan_body(heart_rate=180.0)))
        assert tasks.count() == (0 if simulated else 1)


def test_tasks_go_and_come_back_with_what_they_are_about(store: Observations, tasks: Tasks) -> None:
    ada = store.add_person("Ada", now=NOW).id
    saved = to_observation(Kind.BLOOD_PRESSURE, HIGH_PRESSURE, NOW, ada)
    store.save(saved)
    [task] = tasks.open()
    store.delete(saved.line.id, now=NOW)
    assert tasks.open() == [] and tasks.count() == 0 and tasks.of(ada) == []
    store.restore(saved.line.id)
    store.delete_person(ada, now=NOW)
    assert tasks.count() == 0
    store.restore_person(ada)
    assert tasks.open() == [task]


def test_whoever_asks_for_help_is_seen_by_staff_once_measured_or_not(
    tasks: Tasks, store: Observations
) -> None:
    ada = store.add_person("Ada", now=NOW).id
    for whose in (ada, None):
        for minutes in (0, 5):
            tasks.ask_for_help(whose, NOW + timedelta(minutes=minutes))
    later = NOW + timedelta(minutes=5)
    assert {(one.person, one.observation, one.kind, one.reason, one.made_at) for one in tasks.open()} == {
        (ada, None, None, HELP, later),
        (None, None, None, HELP, later),
    }
    assert sentence(HELP) == "Somebody asked for help"
    (one,) = tasks.of(ada)
    assert one.taken_at == later and [other.person for other in tasks.of(None)] == [None]
    assert tasks.done(one.id, later) and not tasks.done(one.id, later) and tasks.count() == 1
    tasks.ask_for_help(ada, later)
    assert tasks.count() == 2 and len(tasks.of(ada)) == 2


def test_a_call_for_help_goes_and_comes_back_with_the_person(tasks: Tasks, store: Observations) -> None:
    ada = store.add_person("Ada", now=NOW).id
    tasks.ask_for_help(ada, NOW)
    store.delete_person(ada, now=NOW)
    assert tasks.open() == [] and tasks.count() == 0
    store.restore_person(ada)
    assert tasks.count() == 1


def test_calls_of_an_older_version_stay_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It put them beside an observation."""
    steps = migrations()
    saved = to_observation(Kind.WEIGHT, {"kg": 70.0}, NOW, None)
    with monkeypatch.context() as older:
        older.setattr(module, "migrations", lambda: steps[:4])
        with contextlib.closing(Database(tmp_path / FILE_NAME, KEY)) as before:
            Observations(before).save(saved)
            with before.changes() as change:
                change.do(
                    "INSERT INTO task VALUES ('old', ?, ?, '2026-03-01T12:00:00.000Z', NULL)",
                    (saved.line.id, HELP),
                )
    with contextlib.closing(Database(tmp_path / FILE_NAME, KEY)) as database:
        tasks = Tasks(database)
        tasks.ask_for_help(None, NOW + timedelta(days=1))
        assert [(one.reason, one.observation) for one in tasks.open()] == [
            (HELP, None),
            (HELP, saved.line.id),
        ]
        assert tasks.done("old", NOW) and tasks.count() == 1
