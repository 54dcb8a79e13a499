"""Forgetting: what is purged is nowhere, what is owed for it is an erasure, and a wrong clock purges nothing that was just deleted."""

from __future__ import annotations

import contextlib
import uuid
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.errors import BadInput
from client.store.consents import Consents
from client.store.database import FILE_NAME, Database, copy_before
from client.store.documents import Documents
from client.store.entries import to_observation
from client.store.forgetting import Forgetting
from client.store.observations import KEEP_DELETED_DAYS, Kind, Observation, Observations
from client.store.outbox import ItemKind, Outbox
from client.store.tasks import Tasks
from tests.client.store.conftest import KEY, NOW
from tests.client.store.test_outbox import ENROLLED, OBSERVATION, agree, document, ids, scan
from tests.client.store.test_tasks import HIGH_PRESSURE

DAY = timedelta(days=1)
YEARS = timedelta(days=365 * 10)


@pytest.fixture
def documents(database: Database) -> Documents:
    return Documents(database)


@pytest.fixture
def forgetting(database: Database, documents: Documents) -> Forgetting:
    return Forgetting(database, documents)


def tables(database: Database) -> dict[str, int]:
    names = (
        "person",
        "observation",
        "document",
        "consent",
        "task",
        "help_call",
        "outbox",
        "sent",
        "told",
        "due",
    )
    return {name: database.ask(f"SELECT count(*) FROM {name}")[0][0] for name in names}


# --- Purging -----------------------------------------------------------------------------------------


def test_what_is_purged_is_nowhere_on_the_disk(tmp_path: Path) -> None:
    database = Database(tmp_path / FILE_NAME, KEY)
    store, documents = Observations(database), Documents(database)
    forgetting = Forgetting(database, documents)
    ada = store.add_person("Ada", now=NOW)
    gone, kept, later = scan(), scan(), scan()
    store.save_all([gone, kept, later, scan(ada.id)])
    letter, about, other = (
        document(documents, ada.id),
        document(documents, None, observation=gone.line.id),
        document(documents, None),
    )
    copy_before(database.path, 2).write_bytes(b"of an older version, with all of it")
    store.delete(gone.line.id, now=NOW)
    store.delete_person(ada.id, now=NOW)
    store.delete(later.line.id, now=NOW + timedelta(hours=1))
    assert forgetting.purge(deleted_before=NOW + timedelta(minutes=1), now=NOW) == 4
    assert (tmp_path / f"{FILE_NAME}-wal").stat().st_size <= 32 + 24 + 4096  # one page: that it is done
    assert not copy_before(database.path, 2).exists()
    assert [path.exists() for path in map(documents.path_of, (letter, about, other))] == [False, False, True]
    assert not store.restore(gone.line.id) and store.restore(later.line.id)
    assert {line.id for line in store.lines(None)} == {kept.line.id, later.line.id}
    assert tables(database)["person"] == 0
    assert database.ask("PRAGMA secure_delete") == [(1,)]
    database.close()


def test_nothing_of_them_stays_between_the_rows_of_others(tmp_path: Path) -> None:
    """Where rows of many lengths came and went SQLite leaves parts of them in its pages, which secure_delete does not reach."""
    chance = np.random.default_rng(7)
    with contextlib.closing(Database(tmp_path / FILE_NAME, KEY)) as database:
        store = Observations(database)
        forgetting = Forgetting(database, Documents(database))
        ada, ben = (store.add_person(name, now=NOW) for name in ("Ada", "Ben"))
        for number in range(600):
            about, word = (ada, "of-ada ") if number % 2 else (ben, "of-ben ")
            words = word * int(chance.choice([3, 30, 180, 600, 1800]))
            line = replace(scan(about.id).line, id=str(uuid.UUID(bytes=chance.bytes(16))))
            store.save(Observation(line, {"words": words}))
        assert b"of-ada" in plain_pages(database)
        forgetting.forget_person(ada.id, NOW)
        assert b"of-ada" not in plain_pages(database) and b"of-ben" in plain_pages(database)
        assert store.count(ben.id) == 300 and database.damage() == () and database.journal_is_whole()
        assert database.ask("PRAGMA temp_store") == [(2,)]


def plain_pages(database: Database) -> bytes:
    """All that is in the database, its log and its backups, used or not, decrypted as SQLCipher 4 lays out its pages."""
    folder, found = database.path.parent, b""
    for file in (database.path, *(folder / "backups").glob("*.db")):
        whole = file.read_bytes()
        for begin in range(0, len(whole), 4096):
            page = whole[begin : begin + 4096]
            opener = Cipher(algorithms.AES(KEY), modes.CBC(page[-80:-64])).decryptor()
            found += opener.update(page[0 if begin else 16 : -80]) + opener.finalize()
    log = folder / f"{FILE_NAME}-wal"
    whole = log.read_bytes()[32:] if log.exists() else b""
    for begin in range(0, len(whole), 24 + 4096):
        head, page = whole[begin : begin + 24], whole[begin + 24 : begin + 24 + 4096]
        opener = Cipher(algorithms.AES(KEY), modes.CBC(page[-80:-64])).decryptor()
        found += opener.update(page[16 if int.from_bytes(head[:4], "big") == 1 else 0 : -80])
    return found


def test_what_a_reader_kept_from_being_purged_is_purged_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.store.database.BUSY_MS", 50)
    database, reading = Database(tmp_path / FILE_NAME, KEY), Database(tmp_path / FILE_NAME, KEY)
    store, log = Observations(database), tmp_path / f"{FILE_NAME}-wal"
    forgetting = Forgetting(database, Documents(database))
    gone = scan()
    store.save(gone)
    store.delete(gone.line.id, now=NOW)
    reading._connection.execute("BEGIN")
    assert reading.ask("SELECT count(*) FROM observation") == [(1,)]
    assert forgetting.purge(deleted_before=NOW + DAY, now=NOW) == 1
    assert log.stat().st_size > 10_000
    reading.close()
    assert forgetting.purge(deleted_before=NOW + DAY, now=NOW) == 0
    assert log.stat().st_size < 10_000
    database.close()


def test_everything_that_refers_to_it_goes_too(
    store: Observations, database: Database, documents: Documents, forgetting: Forgetting
) -> None:
    ada = store.add_person("Ada", now=NOW).id
    agree(database, ada)
    bad = to_observation(Kind.BLOOD_PRESSURE, HIGH_PRESSURE, NOW, ada)
    store.save_all([bad, scan(ada)])
    letter, about = document(documents, ada), document(documents, ada, observation=bad.line.id)
    assert Tasks(database).count() == 1
    assert forgetting.forget_observation(bad.line.id, NOW) and not forgetting.forget_observation(
        bad.line.id, NOW
    )
    assert tables(database) | {"document": 1, "task": 0, "observation": 1} == tables(database)
    assert not documents.path_of(about).exists() and documents.path_of(letter).exists()
    assert forgetting.forget_document(letter, NOW) and not forgetting.forget_document(letter, NOW)
    assert not documents.path_of(letter).exists()
    document(documents, ada)
    store.delete_person(ada, now=NOW)  # deleted before or not
    forgetting.forget_person(ada, NOW)
    assert set(tables(database).values()) == {0}
    with pytest.raises(BadInput):
        forgetting.forget_person(ada, NOW)
    assert database.ask("PRAGMA foreign_key_check") == []


def test_a_person_whose_things_were_deleted_later_by_the_clock_goes_with_the_last_of_them(
    store: Observations, database: Database, forgetting: Forgetting
) -> None:
    ada = store.add_person("Ada", now=NOW).id
    one = scan(ada)
    store.save(one)
    store.delete(one.line.id, now=NOW + YEARS)
    store.delete_person(ada, now=NOW)
    assert forgetting.purge(deleted_before=NOW + DAY, now=NOW) == 0
    assert tables(database)["person"] == 1
    assert forgetting.purge(deleted_before=NOW + YEARS + DAY, now=NOW) == 1
    assert tables(database)["person"] == 0


# --- What the cloud has ------------------------------------------------------------------------------


def test_a_guest_is_erased_when_nothing_of_them_is_left_here(
    store: Observations, database: Database, documents: Documents, forgetting: Forgetting
) -> None:
    outbox = Outbox(database)
    outbox.set_enrolled(ENROLLED)
    one, never = scan(), scan()
    for saved in (one, never):
        store.save(saved, guest_agrees=True)
    about = document(documents, None, observation=one.line.id)
    [item] = outbox.claim(OBSERVATION, 1)
    outbox.acknowledge([item.id], now=NOW)
    forgetting.forget_document(about, NOW)
    assert [left.id for left in outbox.items()] == [never.line.id]  # the scan is still here
    store.delete(never.line.id, now=NOW)
    store.delete(one.line.id, now=NOW)
    assert forgetting.purge(deleted_before=NOW + DAY, now=NOW) == 2
    [erasure] = outbox.items()
    assert (erasure.kind, erasure.patient) == (ItemKind.ERASURE, item.patient)
    assert tables(database) == dict.fromkeys(tables(database), 0) | {"outbox": 1, "sent": 1, "told": 1}
    outbox.acknowledge(ids(outbox.claim(ItemKind.ERASURE, 1)), now=NOW)
    assert set(tables(database).values()) == {0}


def test_a_person_is_erased_once_and_only_when_they_go(
    store: Observations, database: Database, forgetting: Forgetting
) -> None:
    outbox = Outbox(database)
    outbox.set_enrolled(ENROLLED)
    ada, ben = store.add_person("Ada", now=NOW).id, store.add_person("Ben", now=NOW).id
    for person in (ada, ben):
        agree(database, person)
        store.save_all([scan(person), scan(person)])
    outbox.acknowledge(ids(outbox.claim(OBSERVATION, 3)), now=NOW)
    for line in store.lines(ada):
        forgetting.forget_observation(line.id, NOW)
    assert [item.kind for item in outbox.items()] == ["observation"]  # what waits of Ben
    store.delete_person(ada, now=NOW)
    store.delete_person(ben, now=NOW)
    forgetting.purge(deleted_before=NOW + DAY, now=NOW)
    assert [(item.kind, item.patient) for item in outbox.items()] == [
        ("erasure", one) for one in sorted((ada, ben))
    ]
    assert Consents(database).all(ada) == []


# --- Retention ---------------------------------------------------------------------------------------


def test_retention_takes_only_what_is_acknowledged_or_never_sent(
    store: Observations, database: Database, documents: Documents, forgetting: Forgetting
) -> None:
    outbox = Outbox(database)
    local, sent, young = scan(), scan(minutes=1), scan(minutes=60 * 24 * 40)
    bad = to_observation(Kind.BLOOD_PRESSURE, HIGH_PRESSURE, NOW, None)
    store.save_all([local, bad])
    outbox.set_enrolled(ENROLLED)
    waiting, parked, undone = scan(minutes=2), scan(minutes=3), scan(minutes=4)
    for one in (sent, waiting, parked, young, undone):
        store.save(one, guest_agrees=True)
    with_file = scan(minutes=5)
    store.save(with_file)
    letters = [document(documents, None) for _ in range(4)]
    about = document(documents, None, observation=with_file.line.id)
    outbox.claim(ItemKind.DOCUMENT, 9)
    outbox.acknowledge(letters[:3], now=NOW)
    documents.set_cloud_state(letters[0], "ready")
    documents.set_cloud_state(letters[1], "processing")
    outbox.claim(OBSERVATION, 9)
    outbox.acknowledge([sent.line.id, young.line.id, undone.line.id], now=NOW)
    outbox.put_back([waiting.line.id], "offline")
    outbox.park([parked.line.id], "invalid")
    store.delete(undone.line.id, now=NOW + 29 * DAY)
    late = NOW + 31 * DAY
    assert forgetting.retention(late, 30) == 0  # only this opening has seen this moment
    assert forgetting.retention(late + DAY, None) == 0
    assert forgetting.retention(late + DAY, 30) == 4
    stayed = {line.id for line in store.lines(None)}
    assert stayed == {one.line.id for one in (bad, waiting, parked, young, with_file)}
    assert {one.id for one in documents.list(None)} == {letters[1], letters[3], about}
    assert store.restore(undone.line.id)
    assert [item.kind for item in outbox.items()].count("erasure") == 0  # the cloud's is the one that stays
    Tasks(database).done(Tasks(database).open()[0].id, NOW)
    assert forgetting.retention(late + DAY, 30) == 0
    # The reading that staff have seen now, and what was put back.
    assert forgetting.retention(late + 2 * DAY, 30) == 2
    assert not documents.path_of(letters[0]).exists() and documents.path_of(letters[1]).exists()


def test_calls_for_help_go_with_the_person_and_once_they_are_old_and_seen(
    store: Observations, database: Database, forgetting: Forgetting
) -> None:
    tasks, ada = Tasks(database), store.add_person("Ada", now=NOW).id
    for whose in (ada, None):
        tasks.ask_for_help(whose, NOW)
    forgetting.forget_person(ada, NOW)
    (left,) = tasks.open()
    assert left.person is None and tables(database)["help_call"] == 1
    late = NOW + 31 * DAY
    for days in (0, 1):
        forgetting.retention(late + days * DAY, 30)
    assert tasks.count() == 1, "nobody has looked"
    tasks.done(left.id, late)
    forgetting.retention(late + 2 * DAY, 30)
    assert tables(database)["help_call"] == 1, "only this opening has seen this moment"
    forgetting.retention(late + 3 * DAY, 30)
    assert tables(database)["help_call"] == tables(database)["due"] == 0


# --- Clocks ------------------------------------------------------------------------------------------


def test_what_is_purged_was_deleted_a_month_ago_and_an_opening_on_another_day_saw_it(
    store: Observations, forgetting: Forgetting
) -> None:
    one, two = scan(), scan()
    store.save_all([one, two])
    store.delete(one.line.id, now=NOW)
    store.delete(two.line.id, now=NOW + DAY)
    month = timedelta(days=KEEP_DELETED_DAYS, seconds=1)
    assert forgetting.purge_old(NOW + month) == 0
    assert forgetting.purge_old(NOW + month + timedelta(hours=2)) == 0  # not another day
    assert forgetting.purge_old(NOW + month + timedelta(hours=12)) == 1
    assert not store.restore(one.line.id) and store.restore(two.line.id)


@pytest.mark.parametrize(
    "jump", [YEARS, -YEARS, timedelta(days=400), timedelta(days=31), timedelta(days=-31)]
)
def test_a_clock_that_jumps_and_comes_back_purges_nothing_that_was_just_deleted(
    store: Observations, forgetting: Forgetting, jump: timedelta
) -> None:
    forgetting.purge_old(NOW - DAY)
    forgetting.purge_old(NOW)
    right, wrong = scan(), scan()
    store.save_all([right, wrong])
    store.delete(right.line.id, now=NOW)
    assert forgetting.purge_old(NOW + jump) == 0
    store.delete(wrong.line.id, now=NOW + jump)
    assert forgetting.purge_old(NOW + jump + timedelta(hours=1)) == 0
    assert forgetting.purge_old(NOW + timedelta(hours=2)) == 0  # set right again
    for one in (right, wrong):
        assert store.restore(one.line.id)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    openings=st.lists(st.integers(-200_000, 200_000), min_size=1, max_size=6),
    deleted=st.integers(-200_000, 200_000),
    keep_days=st.integers(1, 60),
)
def test_whatever_clocks_say_no_single_opening_purges(
    store: Observations, forgetting: Forgetting, openings: list[int], deleted: int, keep_days: int
) -> None:
    """Hours from NOW, in any order: what is deleted after some openings is never purged by the one that follows."""
    *before, first = (NOW + timedelta(hours=at) for at in openings)
    for at in before:
        forgetting.purge_old(at, keep_days)
    one = scan()
    store.save(one)
    store.delete(one.line.id, now=NOW + timedelta(hours=deleted))
    forgetting.purge_old(first, keep_days)  # of what earlier examples left it may purge some
    assert store.restore(one.line.id)


def test_what_was_put_back_and_deleted_again_has_its_month_again(
    store: Observations, forgetting: Forgetting
) -> None:
    one = scan()
    store.save(one)
    store.delete(one.line.id, now=NOW)
    late = NOW + 31 * DAY
    assert forgetting.purge_old(late) == 0
    store.restore(one.line.id)
    store.delete(one.line.id, now=late)
    assert forgetting.purge_old(late + DAY) == 0
    assert forgetting.purge_old(late + 31 * DAY) == 0
    assert forgetting.purge_old(late + 32 * DAY) == 1


def test_what_is_held_is_told_with_when_it_goes(
    store: Observations, documents: Documents, forgetting: Forgetting
) -> None:
    ada = store.add_person("Ada", now=NOW).id
    one = scan()
    store.save(one)
    letter = document(documents, ada)
    assert forgetting.held() == []
    store.delete(one.line.id, now=NOW + DAY)
    store.delete_person(ada, now=NOW)

    def due(at: datetime, days: int) -> tuple[datetime, datetime]:
        return at, at + timedelta(days=days)

    assert [(held.kind, held.id, held.deleted_at, held.purged_from) for held in forgetting.held(7)] == [
        ("document", letter, *due(NOW, 7)),
        ("person", ada, *due(NOW, 7)),
        ("observation", one.line.id, *due(NOW + DAY, 7)),
    ]
