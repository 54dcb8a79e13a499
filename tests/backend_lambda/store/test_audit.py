"""The audit's chain: made by the database, checked by us, and no tampering of its owner goes unnamed."""

# ruff: noqa: PT012  (what raises is a whole transaction)
from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta, timezone
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend_lambda import wire
from backend_lambda.store import audit
from backend_lambda.store.audit import Flaw, FlawKind, Head
from backend_lambda.store.database import Database
from tests.backend_lambda.store.making import NOW, StillClock, entry
from tests.stand_ins.postgres import Urls

CHANGED, MISSING, REORDERED, HEAD = FlawKind.CHANGED, FlawKind.MISSING, FlawKind.REORDERED, FlawKind.HEAD
UNANCHORED = FlawKind.UNANCHORED
Tamper = Callable[..., None]


def write(database: Database, clinic_id: UUID, rows: int = 10) -> None:
    for number in range(rows):
        with database.clinic(clinic_id) as tx:
            audit.append(tx, entry(object_id=f"p{number}"), NOW + timedelta(seconds=number))


@pytest.fixture
def tamper(urls: Urls, clinic_id: UUID) -> Tamper:
    """`tamper(statement, …)`: as whoever owns the tables, with the triggers off and the policies aside. {c}: this clinic's rows."""

    def run(*statements: str) -> None:
        with psycopg.connect(urls.superuser) as connection:
            connection.execute("SET LOCAL session_replication_role = replica")  # no trigger fires
            for statement in statements:
                done = connection.execute(statement.replace("{c}", f"clinic_id = '{clinic_id}'").encode())
                assert done.rowcount != 0, f"nothing was tampered with: {statement}"

    return run


def test_rows(api: Database, auditor: Database, clinic_id: UUID) -> None:
    write(api, clinic_id, 5)
    for database in (api, auditor):
        with database.clinic(clinic_id) as tx:
            assert [one.seq for one in audit.page(tx, 0, 3)] == [1, 2, 3]
            assert [one.seq for one in audit.page(tx, 3, 3)] == [4, 5]
            assert audit.page(tx, 5, 3) == []
            assert audit.page(tx, 2**70, 3) == []
            (first,) = audit.page(tx, 0, 1)
        assert first == wire.AuditEntry(
            seq=1,
            at=NOW,
            actor_kind="device",
            actor_id="d",
            action="observations.add",
            object_kind="patient",
            object_id="p0",
            result="ok",
            request_id="r",
        )
    with auditor.clinic(uuid4()) as tx:
        assert audit.page(tx, 0, 10) == []


def test_every_role_that_does_things_can_write(
    api: Database, chat: Database, processing: Database, auditor: Database, clinic_id: UUID
) -> None:
    for database in (api, chat, processing):
        write(database, clinic_id, 1)
    assert audit.verify(auditor, clinic_id) == []
    with auditor.clinic(clinic_id) as tx:
        assert len(audit.page(tx, 0, 10)) == 3


def test_a_hash_as_it_is_said_to_be_made(api: Database, urls: Urls, clinic_id: UUID) -> None:
    """Made anew by hand, so that `verify` and the database can't be wrong together."""
    east = (NOW + timedelta(microseconds=1234)).astimezone(timezone(timedelta(hours=5, minutes=45)))
    words = {"actor_id": 'q"uo\\te', "object_id": "é\n\x01/\u2028"}
    with api.clinic(clinic_id) as tx:
        audit.append(tx, entry(**words), east)
        audit.append(tx, entry(), NOW)
    with psycopg.connect(urls.superuser) as connection:
        (first, second) = connection.execute(
            "SELECT prev_hash, hash FROM audit WHERE clinic_id = %s ORDER BY seq", (clinic_id,)
        ).fetchall()
    text = (
        '{"action":"observations.add","actor_id":"q\\"uo\\\\te","actor_kind":"device","at":"2026-11-27T12:00:00.001234Z",'
        f'"clinic_id":"{clinic_id}","object_id":"é\\n\\u0001/\u2028","object_kind":"patient","request_id":"r","result":"ok","seq":1}}'
    )
    assert json.loads(text)["object_id"] == words["object_id"]
    assert first == (bytes(32), hashlib.sha256(bytes(32) + text.encode()).digest())
    assert second[0] == first[1]


@settings(max_examples=25)
@given(
    words=st.lists(
        st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])), min_size=7, max_size=7
    ),
    microseconds=st.integers(0, 10**15),
)
def test_whatever_is_in_a_row_its_chain_is_whole(
    wide: tuple[Database, Database, UUID], words: list[str], microseconds: int
) -> None:
    api, auditor, clinic_id = wide
    with api.clinic(clinic_id) as tx:
        audit.append(tx, audit.Entry(*words), NOW + timedelta(microseconds=microseconds))
    assert audit.verify(auditor, clinic_id) == []


@pytest.fixture(scope="module")
def wide(urls: Urls) -> Iterator[tuple[Database, Database, UUID]]:
    """Hypothesis wants a fixture that lasts."""
    with (
        closing(Database(urls.api, clock=StillClock())) as api,
        closing(Database(urls.auditor, clock=StillClock())) as auditor,
    ):
        yield api, auditor, uuid4()


def test_eight_at_once_make_one_chain(api: Database, auditor: Database, clinic_id: UUID) -> None:
    threads = [threading.Thread(target=write, args=(api, clinic_id, 10)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with auditor.clinic(clinic_id) as tx:
        assert [one.seq for one in audit.page(tx, 0, 100)] == list(range(1, 81))
    assert audit.verify(auditor, clinic_id) == []


def test_what_was_rolled_back_is_no_gap(api: Database, auditor: Database, clinic_id: UUID) -> None:
    write(api, clinic_id, 2)
    with pytest.raises(ZeroDivisionError), api.clinic(clinic_id) as tx:
        audit.append(tx, entry(), NOW)
        raise ZeroDivisionError
    write(api, clinic_id, 1)
    with auditor.clinic(clinic_id) as tx:
        assert [one.seq for one in audit.page(tx, 0, 10)] == [1, 2, 3]
    assert audit.verify(auditor, clinic_id) == []


def test_heads(api: Database, processing: Database, auditor: Database, clinic_id: UUID) -> None:
    write(api, clinic_id, 3)
    seen = []
    for database in (api, processing, auditor):
        with database.outside() as tx:
            seen += [head for head in audit.heads(tx) if head.clinic_id == clinic_id]
    own = seen[0]
    assert seen == [own] * 3
    assert own.seq == 3
    assert audit.verify(auditor, clinic_id, [own]) == []
    write(api, clinic_id, 3)
    assert audit.verify(auditor, clinic_id, [own]) == [], "the chain has gone on since"


def test_a_clinic_without_a_chain(auditor: Database, clinic_id: UUID) -> None:
    assert audit.verify(auditor, clinic_id) == []
    assert audit.verify(auditor, clinic_id, [Head(clinic_id, 3, bytes(32))]) == [Flaw(3, HEAD)]


def test_more_than_one_piece(
    api: Database, auditor: Database, clinic_id: UUID, tamper: Tamper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "_AT_ONCE", 4)
    write(api, clinic_id, 12)
    assert audit.verify(auditor, clinic_id) == []
    tamper("UPDATE audit SET result = 'no' WHERE {c} AND seq IN (4, 5, 9)")
    assert audit.verify(auditor, clinic_id) == [Flaw(4, CHANGED), Flaw(5, CHANGED), Flaw(9, CHANGED)]


@pytest.mark.parametrize(
    "change",
    [
        "at = at + interval '1 microsecond'",
        "actor_kind = 'admin'",
        "actor_id = 'somebody else'",
        "action = 'observations.read'",
        "object_kind = 'upload'",
        "object_id = 'p99'",
        "result = 'forbidden'",
        "request_id = 'x'",
        "prev_hash = sha256('x')",
        "hash = sha256('x')",
    ],
)
@pytest.mark.parametrize("seq", [1, 5, 10])
def test_a_changed_row(
    api: Database, auditor: Database, clinic_id: UUID, tamper: Tamper, change: str, seq: int
) -> None:
    write(api, clinic_id)
    tamper(f"UPDATE audit SET {change} WHERE {{c}} AND seq = {seq}")
    flaws = audit.verify(auditor, clinic_id)
    assert Flaw(seq, CHANGED) in flaws
    assert {flaw.seq for flaw in flaws} == {seq}, "and no other"


@pytest.mark.parametrize(
    "gone, expected",
    [
        ("seq = 1", [Flaw(1, MISSING)]),
        ("seq = 5", [Flaw(5, MISSING)]),
        ("seq IN (3, 4, 5, 8)", [Flaw(3, MISSING, 3), Flaw(8, MISSING)]),
        ("seq = 10", [Flaw(10, MISSING)]),
        ("seq >= 8", [Flaw(8, MISSING, 3)]),
        ("true", [Flaw(1, MISSING, 10)]),
    ],
)
def test_missing_rows(
    api: Database, auditor: Database, clinic_id: UUID, tamper: Tamper, gone: str, expected: list[Flaw]
) -> None:
    write(api, clinic_id)
    tamper(f"DELETE FROM audit WHERE {{c}} AND {gone}")
    assert audit.verify(auditor, clinic_id) == expected


@pytest.mark.parametrize("one, other", [(3, 4), (1, 10), (2, 7), (9, 10)])
def test_swapped_rows(
    api: Database, auditor: Database, clinic_id: UUID, tamper: Tamper, one: int, other: int
) -> None:
    write(api, clinic_id)
    tamper(
        f"UPDATE audit SET seq = 1000 WHERE {{c}} AND seq = {one}",
        f"UPDATE audit SET seq = {one} WHERE {{c}} AND seq = {other}",
        f"UPDATE audit SET seq = {other} WHERE {{c}} AND seq = 1000",
    )
    flaws = audit.verify(auditor, clinic_id)
    assert [flaw for flaw in flaws if flaw.kind is not HEAD] == [Flaw(one, REORDERED), Flaw(other, REORDERED)]


def test_a_row_that_was_moved_and_the_others_up(
    api: Database, auditor: Database, clinic_id: UUID, tamper: Tamper
) -> None:
    """Rows 3 to 6 turned round by one place."""
    write(api, clinic_id)
    tamper(
        "UPDATE audit SET seq = seq + 1000 WHERE {c} AND seq BETWEEN 3 AND 6",
        "UPDATE audit SET seq = CASE seq WHEN 1003 THEN 6 ELSE seq - 1001 END WHERE {c} AND seq > 1000",
    )
    assert audit.verify(auditor, clinic_id) == [Flaw(seq, REORDERED) for seq in (3, 4, 5, 6)]


def test_a_row_that_was_moved_to_the_end(
    api: Database, auditor: Database, clinic_id: UUID, tamper: Tamper
) -> None:
    write(api, clinic_id)
    tamper("UPDATE audit SET seq = 11 WHERE {c} AND seq = 4")
    assert audit.verify(auditor, clinic_id) == [Flaw(4, MISSING), Flaw(10, HEAD), Flaw(11, REORDERED)]


OWN_HASH = """sha256(prev_hash || convert_to('{"action":' || to_json(action) || ',"actor_id":' || to_json(actor_id)
    || ',"actor_kind":' || to_json(actor_kind) || ',"at":"' || to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
    || '","clinic_id":"' || clinic_id || '","object_id":' || to_json(object_id) || ',"object_kind":' || to_json(object_kind)
    || ',"request_id":' || to_json(request_id) || ',"result":' || to_json(result) || ',"seq":' || seq || '}', 'UTF8'))"""


@pytest.mark.parametrize("seq", [1, 5, 9])
@pytest.mark.parametrize("its_link_too", [False, True])
def test_a_row_that_was_changed_and_hashed_anew(
    api: Database, auditor: Database, clinic_id: UUID, tamper: Tamper, seq: int, *, its_link_too: bool
) -> None:
    """It fits itself; its neighbours tell."""
    write(api, clinic_id)
    if its_link_too:
        tamper(f"UPDATE audit SET prev_hash = sha256('x') WHERE {{c}} AND seq = {seq}")
    tamper(
        f"UPDATE audit SET result = 'forbidden' WHERE {{c}} AND seq = {seq}",
        f"UPDATE audit SET hash = {OWN_HASH} WHERE {{c}} AND seq = {seq}",
    )
    assert audit.verify(auditor, clinic_id) == [Flaw(seq, CHANGED)]


def test_the_last_row_changed_and_hashed_anew(
    api: Database, auditor: Database, clinic_id: UUID, tamper: Tamper
) -> None:
    write(api, clinic_id)
    tamper(
        "UPDATE audit SET result = 'forbidden' WHERE {c} AND seq = 10",
        f"UPDATE audit SET hash = {OWN_HASH} WHERE {{c}} AND seq = 10",
    )
    assert audit.verify(auditor, clinic_id) == [Flaw(10, HEAD)]


APPENDED = (
    "INSERT INTO audit SELECT clinic_id, 11, at, '', '', 'made.up', '', '', '', '', hash, hash FROM audit WHERE {c} AND seq = 10",
    f"UPDATE audit SET hash = {OWN_HASH} WHERE {{c}} AND seq = 11",
)


def test_an_appended_row(api: Database, auditor: Database, clinic_id: UUID, tamper: Tamper) -> None:
    write(api, clinic_id)
    tamper(*APPENDED)
    assert audit.verify(auditor, clinic_id) == [Flaw(10, HEAD)]


@pytest.mark.parametrize(
    "statement, expected",
    [
        ("UPDATE audit_head SET hash = sha256('x') WHERE {c}", [Flaw(10, HEAD)]),
        ("UPDATE audit_head SET seq = 9 WHERE {c}", [Flaw(9, HEAD)]),
        ("UPDATE audit_head SET seq = 12 WHERE {c}", [Flaw(11, MISSING, 2)]),
        ("DELETE FROM audit_head WHERE {c}", [Flaw(0, HEAD)]),
    ],
)
def test_a_head_that_does_not_fit(
    api: Database, auditor: Database, clinic_id: UUID, tamper: Tamper, statement: str, expected: list[Flaw]
) -> None:
    write(api, clinic_id)
    tamper(statement)
    assert audit.verify(auditor, clinic_id) == expected


def test_only_an_anchor_tells_where_everything_was_done_right(
    api: Database, auditor: Database, clinic_id: UUID, tamper: Tamper
) -> None:
    """The end cut off or changed, and the head with it."""
    write(api, clinic_id)
    with auditor.outside() as tx:
        anchors = [head for head in audit.heads(tx) if head.clinic_id == clinic_id]
    assert audit.verify(auditor, clinic_id, anchors) == []
    tamper(
        "UPDATE audit SET result = 'forbidden' WHERE {c} AND seq = 10",
        f"UPDATE audit SET hash = {OWN_HASH} WHERE {{c}} AND seq = 10",
        "UPDATE audit_head SET hash = (SELECT hash FROM audit WHERE {c} AND seq = 10) WHERE {c}",
    )
    assert audit.verify(auditor, clinic_id) == []
    assert audit.verify(auditor, clinic_id, anchors) == [Flaw(10, HEAD)]
    tamper(
        "DELETE FROM audit WHERE {c} AND seq = 10",
        "UPDATE audit_head SET seq = 9, hash = (SELECT hash FROM audit WHERE {c} AND seq = 9) WHERE {c}",
    )
    assert audit.verify(auditor, clinic_id) == []
    assert audit.verify(auditor, clinic_id, anchors) == [Flaw(10, HEAD)]
    assert audit.verify(auditor, clinic_id, [Head(uuid4(), 10, bytes(32))]) == [], "another clinic's"


def test_of_two_anchors_of_a_row_the_one_that_does_not_fit_tells(
    api: Database, auditor: Database, clinic_id: UUID
) -> None:
    """Whichever of them comes last: else a false one would hide a true one."""
    write(api, clinic_id)
    with auditor.outside() as tx:
        (own,) = [head for head in audit.heads(tx) if head.clinic_id == clinic_id]
    other = Head(clinic_id, own.seq, bytes(32))
    assert audit.verify(auditor, clinic_id, [own, own]) == []
    for anchors in ([own, other], [other, own]):
        assert audit.verify(auditor, clinic_id, anchors) == [Flaw(10, HEAD)]


def test_old_rows_that_no_anchor_covers(api: Database, auditor: Database, clinic_id: UUID) -> None:
    """Row n was written at NOW + n - 1 seconds."""
    write(api, clinic_id, 5)
    with auditor.outside() as tx:
        (own,) = [head for head in audit.heads(tx) if head.clinic_id == clinic_id]

    def flaws(anchors: list[Head], seconds: float) -> list[Flaw]:
        before = NOW + timedelta(seconds=seconds)
        return audit.verify(auditor, clinic_id, anchors, anchored_before=before)

    assert flaws([], 0) == []
    assert flaws([], 2.5) == [Flaw(1, UNANCHORED, 3)]
    assert flaws([own], 1000) == []
    for number in range(5, 7):
        with api.clinic(clinic_id) as tx:
            audit.append(tx, entry(), NOW + timedelta(seconds=number))
    assert flaws([own], 5) == []
    assert flaws([own], 1000) == [Flaw(6, UNANCHORED, 2)]


def test_after_tampering_it_goes_on_and_still_tells(
    api: Database, auditor: Database, clinic_id: UUID, tamper: Tamper
) -> None:
    write(api, clinic_id, 3)
    tamper("UPDATE audit SET result = 'forbidden' WHERE {c} AND seq = 2")
    write(api, clinic_id, 3)
    assert audit.verify(auditor, clinic_id) == [Flaw(2, CHANGED)]


def test_many_changed_rows_take_no_time(
    api: Database, auditor: Database, clinic_id: UUID, tamper: Tamper
) -> None:
    """A whole chain of misfits: looking for where each belongs is bounded."""
    with api.clinic(clinic_id) as tx:
        for _ in range(2000):
            audit.append(tx, entry(), NOW)
    tamper("UPDATE audit SET result = 'x' WHERE {c}")
    assert audit.verify(auditor, clinic_id) == [Flaw(seq, CHANGED) for seq in range(1, 2001)]


def test_reading_while_it_grows(api: Database, auditor: Database, clinic_id: UUID) -> None:
    """What is added in the middle of a check is no flaw."""
    stop = threading.Event()

    def grow() -> None:
        while not stop.is_set():
            write(api, clinic_id, 1)

    grower = threading.Thread(target=grow)
    grower.start()
    try:
        for _ in range(40):
            assert audit.verify(auditor, clinic_id) == []
    finally:
        stop.set()
        grower.join()
