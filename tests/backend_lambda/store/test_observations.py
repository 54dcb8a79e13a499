"""Observations: once each, newest first, erased for good."""

# ruff: noqa: PT012  (what raises is a whole transaction)
from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta, timezone
from typing import LiteralString
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend_lambda import wire
from backend_lambda.store import observations, uploads
from backend_lambda.store.database import Database, Params, Row, StoreFault
from backend_lambda.store.observations import Cursor
from backend_lambda.wire import ItemStatus
from tests.backend_lambda.store.making import NOW, StillClock, device, observation, upload
from tests.stand_ins.postgres import Urls

STORED, ALREADY, CONFLICT = ItemStatus.STORED, ItemStatus.ALREADY_STORED, ItemStatus.CONFLICT
Add = Callable[..., list[ItemStatus]]


@pytest.fixture
def add(api: Database, clinic_id: UUID, device_id: UUID) -> Add:
    """`add(one, another)`: in a transaction of its own."""

    def added(*given: wire.Observation, now: datetime = NOW) -> list[ItemStatus]:
        with api.clinic(clinic_id) as tx:
            return observations.add_many(tx, device_id, given, now)

    return added


def everything(api: Database, clinic_id: UUID, patient_id: UUID) -> list[wire.StoredObservation]:
    with api.clinic(clinic_id, snapshot=True) as tx:
        return list(observations.every(tx, patient_id))


# --- Adding --------------------------------------------------------------------------------------------


def test_what_is_read_is_what_was_added(api: Database, clinic_id: UUID, device_id: UUID, add: Add) -> None:
    patient = uuid4()
    one = observation(
        patient,
        taken_at="2026-11-27T13:00:00.123456+01:00",
        entered=True,
        values={
            "heart_rate": {"value": None, "unit": "bpm", "reasons": ["too_dark"]},
            "temperature": {"value": 36.6, "unit": "°C", "confidence": 0.9, "algorithm": "v1 (x)"},
        },
        quality={"score": 0.25, "reasons": ["motion"], "limiting_factor": "motion"},
        facts={"a": 0.1 + 0.2, "b": False, "c": 1e-300, "d": -0.0},
    )
    assert add(one, now=NOW + timedelta(seconds=3)) == [STORED]
    (read,) = everything(api, clinic_id, patient)
    assert read.device_id == device_id
    assert read.received_at == NOW + timedelta(seconds=3)
    assert wire.Observation.model_validate(read.model_dump(exclude={"device_id", "received_at"})) == one
    assert read.taken_at.utcoffset() == timedelta(0)


def test_an_empty_batch(add: Add) -> None:
    assert add() == []


def test_again(add: Add) -> None:
    one = observation(uuid4())
    assert add(one) == [STORED]
    assert add(one) == [ALREADY]
    assert add(
        one.model_copy(update={"taken_at": one.taken_at.astimezone(timezone(timedelta(hours=5)))})
    ) == [ALREADY], "the same moment, written for another place"


@pytest.mark.parametrize(
    "change",
    [
        {"taken_at": NOW + timedelta(microseconds=1)},
        {"utc_offset_min": 61},
        {"patient_id": UUID(int=1)},
        {"entered": True},
        {"kind": "cuff"},
        {"facts": {"measured_fps": 29.97}},
        {"facts": {"measured_fps": 29.97, "simulated": 1.0}},
        {"values": {}},
    ],
)
def test_another_content_under_the_same_id(
    api: Database, clinic_id: UUID, add: Add, change: dict[str, object]
) -> None:
    one = observation(uuid4())
    other = wire.Observation.model_validate({**one.model_dump(), **change})
    assert add(one) == [STORED]
    assert add(other) == [CONFLICT]
    assert add(one) == [ALREADY], "the first is left as it was"


def test_every_status_in_one_batch_in_its_order(
    api: Database, clinic_id: UUID, device_id: UUID, add: Add
) -> None:
    patient, erased = uuid4(), uuid4()
    with api.clinic(clinic_id) as tx:
        observations.erase_patient(tx, erased, NOW)
    old = observation(patient)
    add(old)
    new = observation(patient)
    changed_old = observation(patient, id=old.id, kind="cuff")
    changed_new = observation(patient, id=new.id, kind="cuff")
    gone = observation(erased)
    taken_by_gone = observation(patient, id=gone.id)
    ends = [
        observation(patient, taken_at=moment)
        for moment in (
            datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
            datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-12))),
        )
    ]
    assert add(new, old, ends[0], new, changed_old, gone, changed_new, ends[1], taken_by_gone, gone, new) == [
        STORED,
        ALREADY,
        ItemStatus.INVALID,
        ALREADY,
        CONFLICT,
        ItemStatus.PATIENT_ERASED,
        CONFLICT,
        ItemStatus.INVALID,
        STORED,  # an id that only an erased patient's had in this batch
        ItemStatus.PATIENT_ERASED,
        ALREADY,
    ]
    assert {one.id for one in everything(api, clinic_id, patient)} == {new.id, old.id, gone.id}


def test_in_a_batch_the_first_of_an_id_counts(api: Database, clinic_id: UUID, add: Add) -> None:
    patient = uuid4()
    one = observation(patient)
    others = [observation(patient, id=one.id, utc_offset_min=minutes) for minutes in range(20)]
    assert add(others[7], *others, one) == [STORED, *[CONFLICT] * 7, ALREADY, *[CONFLICT] * 12, CONFLICT]
    (read,) = everything(api, clinic_id, patient)
    assert read.utc_offset_min == 7


def test_the_ends_of_the_calendar_can_be_read_again(api: Database, clinic_id: UUID, add: Add) -> None:
    patient = uuid4()
    times = [datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, 23, 59, 59, 999_999, tzinfo=UTC)]
    assert add(*(observation(patient, taken_at=time) for time in times)) == [STORED, STORED]
    assert [one.taken_at for one in everything(api, clinic_id, patient)] == times[::-1]


def test_the_same_id_in_two_clinics_is_two_things(api: Database, clinic_id: UUID, add: Add) -> None:
    """No clinic can find out another's ids, or take them away."""
    one = observation(uuid4())
    other = uuid4()
    add(one)
    with api.clinic(other) as tx:
        tx.ask("SELECT hh_add_clinic(%s, 'Other', %s)", (other, NOW))
        theirs = one.model_copy(update={"kind": "cuff"})
        assert observations.add_many(tx, device(tx), [theirs], NOW) == [STORED]
    assert [read.kind for read in everything(api, clinic_id, one.patient_id)] == ["scan"]
    assert [read.kind for read in everything(api, other, one.patient_id)] == ["cuff"]


def test_a_device_of_another_clinic_cannot_add(api: Database, clinic_id: UUID, device_id: UUID) -> None:
    other = uuid4()
    with pytest.raises(StoreFault), api.clinic(other) as tx:
        tx.ask("SELECT hh_add_clinic(%s, 'Other', %s)", (other, NOW))
        observations.add_many(tx, device_id, [observation(uuid4())], NOW)


def test_one_round_trip(
    api: Database, clinic_id: UUID, device_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    with api.clinic(clinic_id) as tx:
        real = tx._run

        def counted(statement: LiteralString, params: Params) -> psycopg.Cursor[Row]:
            asked.append(statement)
            return real(statement, params)

        monkeypatch.setattr(tx, "_run", counted)
        observations.add_many(tx, device_id, [observation(uuid4()) for _ in range(100)], NOW)
    assert asked == [observations.ADD]


def test_many_at_once_with_the_same_observations(api: Database, clinic_id: UUID, device_id: UUID) -> None:
    """Eight devices' worth of the same hundred, in any order: each is stored once, and nobody blocks anybody."""
    patients = [uuid4() for _ in range(3)]
    batch = [observation(patients[number % 3]) for number in range(100)]
    statuses: list[ItemStatus] = []

    def send(shift: int) -> None:
        turned = batch[shift:] + batch[:shift]
        if shift % 2:
            turned.reverse()
        with api.clinic(clinic_id) as tx:
            statuses.extend(observations.add_many(tx, device_id, turned, NOW))

    threads = [threading.Thread(target=send, args=(at * 13,)) for at in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses.count(STORED) == 100
    assert statuses.count(ALREADY) == 700


def test_two_batches_in_opposite_order_do_not_block_each_other(
    api: Database, clinic_id: UUID, device_id: UUID
) -> None:
    """Both are held up in the middle by a third: had each taken its first rows in its own order, they would be stuck then."""
    for _ in range(4):
        patient = uuid4()
        first, second, third = (
            observation(patient, id=id_) for id_ in sorted([uuid4(), uuid4(), uuid4()], key=str)
        )
        batches = [[first, second, third], [third, second, first]]
        statuses: list[list[ItemStatus]] = []

        def send(batch: list[wire.Observation], statuses: list[list[ItemStatus]] = statuses) -> None:
            with api.clinic(clinic_id) as tx:
                statuses.append(observations.add_many(tx, device_id, batch, NOW))

        threads = [threading.Thread(target=send, args=(batch,)) for batch in batches]
        with suppress(ZeroDivisionError), api.clinic(clinic_id) as tx:
            observations.add_many(tx, device_id, [second], NOW)
            for thread in threads:
                thread.start()
                thread.join(0.15)
                assert thread.is_alive()
            raise ZeroDivisionError
        for thread in threads:
            thread.join()
        assert sorted(statuses) == [[ALREADY] * 3, [STORED] * 3]


def test_a_field_that_a_later_version_adds_makes_no_older_observation_another(clinic_id: UUID) -> None:
    class Later(wire.Observation):
        added_later: str | None = None

    one = observation(uuid4())
    later = Later.model_validate(one.model_dump())
    assert observations.canonical(later) == observations.canonical(one)
    assert observations.canonical(later.model_copy(update={"added_later": "x"})) != observations.canonical(
        one
    )


# --- Reading -------------------------------------------------------------------------------------------


def paged(api: Database, clinic_id: UUID, patient_id: UUID, limit: int) -> list[list[wire.StoredObservation]]:
    pages: list[list[wire.StoredObservation]] = []
    cursor = None
    while True:
        with api.clinic(clinic_id) as tx:
            found = observations.page(tx, patient_id, cursor, limit)
        if not found:
            return pages
        pages.append(found)
        cursor = Cursor(found[-1].taken_at, found[-1].id)


def test_equal_times_are_ordered_by_id(api: Database, clinic_id: UUID, add: Add) -> None:
    patient = uuid4()
    made = [observation(patient, taken_at=NOW + timedelta(seconds=number // 4)) for number in range(18)]
    add(*made)
    expected = [one.id for one in sorted(made, key=lambda one: (one.taken_at, one.id), reverse=True)]
    for limit in (1, 3, 4, 17, 18, 19):
        pages = paged(api, clinic_id, patient, limit)
        assert [one.id for page in pages for one in page] == expected, limit
        assert all(len(page) == limit for page in pages[:-1])
    assert [one.id for one in everything(api, clinic_id, patient)] == expected


def test_what_comes_in_while_paging_shifts_nothing(api: Database, clinic_id: UUID, add: Add) -> None:
    patient = uuid4()
    made = [observation(patient, taken_at=NOW + timedelta(minutes=number)) for number in range(6)]
    add(*made)
    with api.clinic(clinic_id) as tx:
        first = observations.page(tx, patient, None, 3)
    add(observation(patient, taken_at=NOW + timedelta(hours=1)))
    with api.clinic(clinic_id) as tx:
        second = observations.page(tx, patient, Cursor(first[-1].taken_at, first[-1].id), 3)
    assert [one.id for one in first + second] == [one.id for one in reversed(made)]


def test_every_reads_more_than_one_piece(
    api: Database, clinic_id: UUID, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observations, "_AT_ONCE", 4)
    for count in (3, 4, 5, 8):
        patient = uuid4()
        made = [observation(patient) for _ in range(count)]
        add(*made)
        read = [one.id for one in everything(api, clinic_id, patient)]
        assert read == sorted((one.id for one in made), reverse=True)


FIRST, LAST = (datetime(year, 1, 2, tzinfo=UTC).replace(tzinfo=None) for year in (1, 9999))
MOMENTS = st.integers(0, 3).map(lambda seconds: NOW + timedelta(seconds=seconds)) | st.datetimes(
    FIRST, LAST, timezones=st.just(UTC)
)


@settings(max_examples=40)
@given(
    times=st.lists(MOMENTS, max_size=30),
    other_times=st.lists(MOMENTS, max_size=5),
    limit=st.integers(1, 12),
    anywhere=st.builds(Cursor, MOMENTS, st.uuids()),
)
def test_paging_shows_each_once_in_order(
    paging: tuple[Database, UUID, UUID],
    times: list[datetime],
    other_times: list[datetime],
    limit: int,
    anywhere: Cursor,
) -> None:
    """Whatever the times: all pages in a row are the sorted whole, and from any cursor on, a page is what lies behind it."""
    api, clinic_id, device_id = paging
    patient, other = uuid4(), uuid4()
    made = [observation(patient, taken_at=time) for time in times]
    with api.clinic(clinic_id) as tx:
        observations.add_many(tx, device_id, made, NOW)
        observations.add_many(tx, device_id, [observation(other, taken_at=time) for time in other_times], NOW)
    whole = sorted(((one.taken_at, one.id) for one in made), reverse=True)
    pages = paged(api, clinic_id, patient, limit)
    assert [(one.taken_at, one.id) for page in pages for one in page] == whole
    with api.clinic(clinic_id) as tx:
        found = observations.page(tx, patient, anywhere, limit)
    behind = [key for key in whole if key < (anywhere.taken_at, anywhere.id)]
    assert [(one.taken_at, one.id) for one in found] == behind[:limit]


@pytest.fixture(scope="module")
def paging(urls: Urls) -> Iterator[tuple[Database, UUID, UUID]]:
    """Hypothesis wants a fixture that lasts."""
    clinic_id = uuid4()
    with closing(Database(urls.api, clock=StillClock())) as api:
        with api.clinic(clinic_id) as tx:
            tx.ask("SELECT hh_add_clinic(%s, 'Paging', %s)", (clinic_id, NOW))
            device_id = device(tx)
        yield api, clinic_id, device_id


# --- Erasing -------------------------------------------------------------------------------------------


def test_erased_and_late(api: Database, clinic_id: UUID, device_id: UUID, add: Add) -> None:
    patient, other = uuid4(), uuid4()
    mine = [observation(patient) for _ in range(3)]
    add(*mine, theirs := observation(other))
    with api.clinic(clinic_id) as tx:
        assert observations.erase_patient(tx, patient, NOW) == 3
    assert everything(api, clinic_id, patient) == []
    assert add(mine[0], observation(patient), theirs) == [
        ItemStatus.PATIENT_ERASED,
        ItemStatus.PATIENT_ERASED,
        ALREADY,
    ]
    with api.clinic(clinic_id) as tx:
        assert observations.erase_patient(tx, patient, NOW) == 0, "again"
    assert [one.id for one in everything(api, clinic_id, other)] == [theirs.id]


def test_an_erasure_that_failed_erases_nothing(api: Database, clinic_id: UUID, add: Add) -> None:
    patient = uuid4()
    add(observation(patient))
    with pytest.raises(ZeroDivisionError), api.clinic(clinic_id) as tx:
        observations.erase_patient(tx, patient, NOW)
        raise ZeroDivisionError
    assert len(everything(api, clinic_id, patient)) == 1
    assert add(observation(patient)) == [STORED]


def test_another_clinic_s_patient_of_the_same_id_is_not_erased(
    api: Database, clinic_id: UUID, add: Add
) -> None:
    patient, other = uuid4(), uuid4()
    add(observation(patient))
    with api.clinic(other) as tx:
        tx.ask("SELECT hh_add_clinic(%s, 'Other', %s)", (other, NOW))
        assert observations.erase_patient(tx, patient, NOW) == 0
    assert add(observation(patient)) == [STORED]


def test_nothing_of_the_patient_is_left_in_the_database(
    api: Database, urls: Urls, clinic_id: UUID, device_id: UUID, add: Add
) -> None:
    """Not the pseudonym either, in no column of no table."""
    patient = uuid4()
    add(observation(patient))
    with api.clinic(clinic_id) as tx:
        uploads.add(tx, upload(patient, device_id, object_key=f"c/{clinic_id}/{patient}/x"))
    with psycopg.connect(urls.superuser) as connection:
        tables = [
            name
            for (name,) in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        ]

        def holding() -> set[str]:
            return {
                table
                for table in tables
                if connection.execute(
                    f"SELECT FROM {table} AS t WHERE t::text LIKE %s LIMIT 1".encode(), (f"%{patient}%",)
                ).fetchall()
            }

        assert holding() == {"observation", "upload"}
        with api.clinic(clinic_id) as tx:
            observations.erase_patient(tx, patient, NOW)
            uploads.forget_patient(tx, patient)
        assert holding() == set()


def test_who_adds_while_it_is_erased(api: Database, clinic_id: UUID, device_id: UUID) -> None:
    """An add that began before waits or is waited for: afterwards there is nothing, whichever came first."""
    for _ in range(20):
        patient = uuid4()
        start = threading.Barrier(5)

        def send(start: threading.Barrier = start, patient: UUID = patient) -> None:
            start.wait()
            with api.clinic(clinic_id) as tx:
                observations.add_many(tx, device_id, [observation(patient) for _ in range(5)], NOW)

        def erase(start: threading.Barrier = start, patient: UUID = patient) -> None:
            start.wait()
            with api.clinic(clinic_id) as tx:
                observations.erase_patient(tx, patient, NOW)

        threads = [threading.Thread(target=target) for target in (send, send, erase, send, send)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert everything(api, clinic_id, patient) == []


def test_an_open_add_is_waited_for(api: Database, clinic_id: UUID, device_id: UUID) -> None:
    patient = uuid4()
    gone: list[int] = []

    def erase() -> None:
        with api.clinic(clinic_id) as tx:
            gone.append(observations.erase_patient(tx, patient, NOW))

    eraser = threading.Thread(target=erase)
    with api.clinic(clinic_id) as tx:
        observations.add_many(tx, device_id, [observation(patient)], NOW)
        eraser.start()
        eraser.join(0.2)
        assert eraser.is_alive()
    eraser.join()
    assert gone == [1]
