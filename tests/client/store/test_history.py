"""What one showing of a history reads: all that is on the page, and nothing twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from client.store import entries
from client.store.database import FILE_NAME, Database
from client.store.history import NO_TREND, read
from client.store.observations import Kind, Observation, Observations
from tests.client.store.conftest import KEY, NOW
from tests.client.store.test_observations import observation


def pressure(minutes: float, person: str | None = None) -> Observation:
    taken_at = NOW + timedelta(minutes=minutes)
    return entries.to_observation(
        Kind.BLOOD_PRESSURE, {"systolic": 120.0 + minutes, "diastolic": 80.0}, taken_at, person
    )


@pytest.fixture
def asked(database: Database) -> Iterator[list[str]]:
    """Every statement that reads rows of what is kept."""
    found: list[str] = []
    database._connection.set_trace_callback(
        lambda sql: found.append(sql) if "FROM observation" in sql else None
    )
    yield found
    database._connection.set_trace_callback(None)


def test_a_page_has_its_lines_its_readings_and_the_trend(store: Observations) -> None:
    ada = store.add_person("Ada", now=NOW)
    scans = [observation(minutes=k, rate=60.0 + k) for k in range(3)]
    withheld = observation(minutes=4, rate=None)
    typed, of_ada = pressure(2.5), pressure(9, ada.id)
    unknown = replace(pressure(5), body={"schema": "of a newer version"})
    store.save_all([*scans, withheld, typed, of_ada, unknown])
    found = read(store, None, NOW + timedelta(minutes=1))
    assert [line.id for line in found.lines] == [
        one.line.id for one in (unknown, withheld, typed, scans[2], scans[1], scans[0])
    ]
    assert found.typed == {typed.line.id: {"systolic": 122.5, "diastolic": 80.0}, unknown.line.id: {}}
    assert found.trend.at_s.tolist() == [one.line.taken_at.timestamp() for one in (*scans[1:], withheld)]
    assert found.trend.numbers["heart_rate"][:2].tolist() == [61.0, 62.0]
    assert np.isnan(found.trend.numbers["heart_rate"][2]) and np.isnan(found.trend.numbers["sdnn"]).all()
    assert len(read(store, None, None).trend.at_s) == 4
    assert len(read(store, ada.id, None).trend.at_s) == 0
    older = read(store, None, None, before=found.lines[2])
    assert [line.id for line in older.lines] == [scans[2].line.id, scans[1].line.id, scans[0].line.id]


def test_what_was_typed_in_is_read_at_once(store: Observations, asked: list[str]) -> None:
    store.save_all(pressure(minutes) for minutes in range(20))
    assert len(read(store, None, None).typed) == 20
    assert len(asked) == 3  # the page, what was typed in, the trend


def test_the_trend_is_read_again_only_for_something_else(store: Observations, asked: list[str]) -> None:
    store.save(observation())
    known = read(store, None, NOW).trend

    def again(person: str | None = None, start_min: float = 0.0) -> bool:
        asked.clear()
        read(store, person, NOW + timedelta(minutes=start_min), known=known)
        return any("substr(taken_at" in sql for sql in asked)

    assert not again()
    assert again(start_min=1.0)
    assert again(person=store.add_person("Ada", now=NOW).id)
    known = read(store, None, NOW).trend
    assert not again()
    saved = observation(minutes=1)
    changes: tuple[Callable[[], object], ...] = (
        lambda: store.save(saved),
        lambda: store.delete(saved.line.id, now=NOW),
        lambda: store.restore(saved.line.id),
    )
    for change in changes:
        change()
        assert again()
        known = read(store, None, NOW).trend
    assert len(known.at_s) == 2


def test_what_another_program_keeps_is_seen(tmp_path: Path) -> None:
    with (
        closing(Database(tmp_path / FILE_NAME, KEY)) as ours,
        closing(Database(tmp_path / FILE_NAME, KEY)) as others,
    ):
        store = Observations(ours)
        known = read(store, None, None).trend
        Observations(others).save(observation())
        assert len(read(store, None, None, known=known).trend.at_s) == 1


def test_what_was_read_before_the_store_was_closed_does_not_hold(tmp_path: Path) -> None:
    known = NO_TREND
    for count in range(2):
        with closing(Database(tmp_path / FILE_NAME, KEY)) as database:
            known = read(Observations(database), None, None, known=known).trend
            assert len(known.at_s) == count
        with closing(Database(tmp_path / FILE_NAME, KEY)) as database:
            Observations(database).save(observation())
