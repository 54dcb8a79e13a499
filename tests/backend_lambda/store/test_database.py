"""Connections that die, statements that take too long, servers that go and come back: right answers, nothing lost, nothing twice."""

# ruff: noqa: PT012  (what raises is a whole transaction)
from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from backend_lambda import wire
from backend_lambda.errors import Code, Refusal
from backend_lambda.store import admission, audit, database, devices, observations
from backend_lambda.store.database import Database, StoreFault
from tests.backend_lambda.conftest import SetClock
from tests.backend_lambda.store.making import NOW, StillClock, device, entry, fill, observation, sha
from tests.stand_ins.postgres import Postgres, Urls


def unavailable(raised: pytest.ExceptionInfo[Refusal]) -> bool:
    told = raised.value
    return (told.status, told.code) == (503, Code.STORE_UNAVAILABLE) and (told.retry_after_s or 0) > 0


def kill(urls: Urls, role: str = "api") -> int:
    """As a failover or an administrator does. Returns how many connections that were."""
    with psycopg.connect(urls.superuser) as connection:
        return connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = %s AND datname = current_database()",
            (f"{role}_login",),
        ).rowcount


def connections(urls: Urls) -> set[int]:
    with psycopg.connect(urls.superuser) as connection:
        found = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE usename = 'api_login' AND datname = current_database()"
        ).fetchall()
    return {pid for (pid,) in found}


def pid(api: Database) -> int:
    with api.outside() as tx:
        ((own,),) = tx.ask("SELECT pg_backend_pid()")
    return int(own)


# --- Connections ---------------------------------------------------------------------------------------


def test_a_connection_is_used_again(own_urls: Urls, connected: Callable[[str], Database]) -> None:
    api = connected(own_urls.api)
    assert connections(own_urls) == set(), "none before it is needed"
    assert len({pid(api) for _ in range(10)}) == 1
    with api.outside():
        pass
    assert len(connections(own_urls)) == 1


def test_threads_have_one_each_and_leave_it_to_others(
    own_urls: Urls, connected: Callable[[str], Database]
) -> None:
    api = connected(own_urls.api)
    pids: list[int] = []
    inside = threading.Barrier(4)

    def work() -> None:
        with api.outside() as tx:
            ((own,),) = tx.ask("SELECT pg_backend_pid()")
            inside.wait()
            pids.append(own)

    for _ in range(5):
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(pids) == 20
    assert connections(own_urls) == set(pids)
    assert len(set(pids)) == 4


def test_one_that_was_idle_for_long_is_not_trusted(
    own_urls: Urls, connected: Callable[[str], Database], clock: SetClock
) -> None:
    api = connected(own_urls.api)
    first = pid(api)
    clock.go(database.USED_AGAIN_WITHIN_S)
    assert pid(api) == first
    clock.go(database.USED_AGAIN_WITHIN_S + 0.1)
    second = pid(api)
    assert second != first
    assert connections(own_urls) == {second}


def test_closed(own_urls: Urls, clock: SetClock) -> None:
    api = Database(own_urls.api, clock=clock)
    pid(api)
    with api.outside() as tx:
        tx.ask("SELECT 1")
        api.close()
        assert tx.ask("SELECT 2") == [(2,)], "one that is in use ends well"
    deadline_s = time.monotonic() + 5
    while connections(own_urls) and time.monotonic() < deadline_s:
        time.sleep(0.01)
    assert connections(own_urls) == set()
    with pytest.raises(Refusal) as raised, api.outside() as tx:
        tx.ask("SELECT 1")
    assert unavailable(raised)
    api.close()


def test_a_password_is_asked_for_each_new_connection(own_urls: Urls, clock: SetClock) -> None:
    """IAM's are good for 15 minutes."""
    given: list[str] = []
    front, _, back = own_urls.api.partition("@")
    user, _, secret = front.rpartition(":")

    def password() -> str:
        given.append(secret)
        return secret

    with closing(Database(f"{user}@{back}", clock=clock, password=password)) as api:
        pid(api)
        pid(api)
        assert len(given) == 1
        kill(own_urls)
        pid(api)
        assert len(given) == 2


def test_nothing_is_prepared_behind_our_back(api: Database) -> None:
    """RDS Proxy would pin the connection."""
    with api.outside() as tx:
        for _ in range(20):
            tx.ask("SELECT %s::int", (1,))
        assert tx.ask("SELECT count(*) FROM pg_prepared_statements") == [(0,)]


def test_times_come_back_in_utc(api: Database, urls: Urls, clinic_id: UUID) -> None:
    with psycopg.connect(urls.api) as connection:
        assert connection.execute("SHOW timezone").fetchall() == [("Asia/Kathmandu",)], (
            "though the server's is another"
        )
    for snapshot in (False, True):
        with api.clinic(clinic_id, snapshot=snapshot) as tx:
            ((time_,),) = tx.ask("SELECT created_at FROM clinic")
            assert time_ == NOW
            assert time_.utcoffset() == timedelta(0)
            assert time_.astimezone(UTC).isoformat() == time_.isoformat()


# --- Transactions --------------------------------------------------------------------------------------


def test_what_is_raised_rolls_back(api: Database, clinic_id: UUID) -> None:
    for error in (ZeroDivisionError, KeyboardInterrupt, GeneratorExit):
        with pytest.raises(error), api.clinic(clinic_id) as tx:
            device(tx)
            raise error
    with api.clinic(clinic_id) as tx:
        assert devices.listed(tx) == []
        device(tx)
    with api.clinic(clinic_id) as tx:
        assert len(devices.listed(tx)) == 1


def test_a_failure_that_was_swallowed_is_no_success(api: Database, clinic_id: UUID) -> None:
    """COMMIT of a failed transaction is a silent ROLLBACK in PostgreSQL; here it isn't silent."""
    with pytest.raises(RuntimeError, match="rolled back"), api.clinic(clinic_id) as tx:
        first = device(tx)
        with pytest.raises(StoreFault):
            device(tx, first)
    with api.clinic(clinic_id) as tx:
        assert devices.listed(tx) == []


def test_one_inside_another_is_refused_at_once(api: Database, clinic_id: UUID) -> None:
    """It would wait for locks that the outer one holds, until the time-out."""
    with api.clinic(clinic_id) as tx:
        with pytest.raises(RuntimeError, match="inside another"), api.outside():
            pytest.fail("it must not get here")
        assert tx.ask("SELECT 1") == [(1,)]
    assert pid(api)


def test_entering_a_clinic(api: Database, clinic_id: UUID, device_id: UUID) -> None:
    for begun in (False, True):
        with api.outside() as tx:
            if begun:
                assert tx.ask("SELECT id FROM device") == []
            tx.enter(clinic_id)
            assert tx.clinic_id == clinic_id
            assert tx.ask("SELECT id FROM device") == [(device_id,)]
            with pytest.raises(RuntimeError):
                tx.enter(uuid4())
        with api.outside() as tx:
            assert tx.ask("SELECT id FROM device") == []
    with api.clinic(clinic_id) as tx, pytest.raises(RuntimeError):
        tx.enter(uuid4())


def test_a_snapshot_sees_one_moment(api: Database, clinic_id: UUID, urls: Urls) -> None:
    for snapshot, seen in ((True, 0), (False, 1)):
        with api.clinic(clinic_id, snapshot=snapshot) as tx:
            tx.do("DELETE FROM refresh_token") if not snapshot else None
            before = len(devices.listed(tx))
            with psycopg.connect(urls.superuser) as connection:
                connection.execute(
                    "INSERT INTO device (clinic_id, id, name, thumbprint, public_key, software_version, enrolled_at)"
                    " VALUES (%s, %s, '', '', '{}', '', now())",
                    (clinic_id, uuid4()),
                )
            assert len(devices.listed(tx)) - before == seen


def test_errors_tell_no_values(api: Database, clinic_id: UUID, device_id: UUID) -> None:
    patient = uuid4()
    attempts: list[Callable[[database.Transaction], object]] = [
        lambda tx: tx.do(
            "INSERT INTO observation VALUES (%s, %s, %s, %s, now(), now(), %s, %s)",
            (clinic_id, uuid4(), patient, device_id, b"short", '{"secret": 4711}'),
        ),
        lambda tx: tx.ask("SELECT %s::int", ("secret 4711",)),
        lambda tx: tx.ask("SELECT %s::json", ("secret 4711",)),
        lambda tx: tx.ask("SELECT %s::text", ("secret 4711\x00",)),
        lambda tx: device(tx, device_id, "secret 4711"),
    ]
    for attempt in attempts:
        with pytest.raises(StoreFault) as raised, api.clinic(clinic_id) as tx:
            attempt(tx)
        told = str(raised.value)
        assert all(word not in told for word in ("secret", "4711", str(patient), str(clinic_id)))
        assert raised.value.__suppress_context__ and raised.value.__cause__ is None


# --- Time-outs -----------------------------------------------------------------------------------------


def test_a_statement_that_takes_too_long(urls: Urls, clinic_id: UUID, clock: SetClock) -> None:
    with closing(Database(urls.api, clock=clock, statement_may_take_s=0.2)) as api:
        for earlier in (0, 1):
            begin_s = time.monotonic()
            with pytest.raises(Refusal) as raised, api.clinic(clinic_id) as tx:
                for _ in range(earlier):
                    tx.ask("SELECT 1")
                device(tx)
                tx.ask("SELECT pg_sleep(30)")
            assert unavailable(raised)
            assert time.monotonic() - begin_s < 10
            with api.clinic(clinic_id) as tx:
                assert devices.listed(tx) == []


def test_a_first_statement_that_takes_too_long_is_not_tried_again(urls: Urls, clock: SetClock) -> None:
    with closing(Database(urls.api, clock=clock, statement_may_take_s=0.5)) as api:
        pid(api)
        begin_s = time.monotonic()
        with pytest.raises(Refusal), api.outside() as tx:
            tx.ask("SELECT pg_sleep(30)")
        assert time.monotonic() - begin_s < 0.95


def test_waiting_for_a_lock_ends(urls: Urls, api: Database, clinic_id: UUID, clock: SetClock) -> None:
    with closing(Database(urls.api, clock=clock, statement_may_take_s=0.2)) as impatient:
        with api.clinic(clinic_id) as tx:
            audit.append(tx, entry(), NOW)
            with pytest.raises(Refusal) as raised, impatient.clinic(clinic_id) as other:
                audit.append(other, entry(), NOW)
            assert unavailable(raised)
        with impatient.clinic(clinic_id) as other:
            audit.append(other, entry(), NOW)


def test_a_function_that_was_frozen_holds_no_lock(
    api: Database, clinic_id: UUID, monkeypatch: pytest.MonkeyPatch, urls: Urls, clock: SetClock
) -> None:
    def write_other() -> None:
        """Gets through once the frozen one is ended."""
        with api.clinic(clinic_id) as tx:
            audit.append(tx, entry(object_id="other"), NOW)

    monkeypatch.setattr(database, "IDLE_IN_TRANSACTION_S", 0.2)
    with closing(Database(urls.api, clock=clock)) as frozen:
        for statements in (1, 2):
            with pytest.raises(Refusal) as raised, frozen.clinic(clinic_id) as tx:
                for _ in range(statements):
                    audit.append(tx, entry(), NOW)
                waits = threading.Thread(target=write_other)
                waits.start()
                waits.join()
                tx.ask("SELECT 1")
            assert unavailable(raised)
        with frozen.clinic(clinic_id) as tx:
            assert [one.object_id for one in audit.page(tx, 0, 9)] == ["other", "other"]


# --- Gone and back -------------------------------------------------------------------------------------


def test_nobody_there(clock: SetClock) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"postgresql://nobody@127.0.0.1:{taken.getsockname()[1]}/nothing"
        with closing(Database(url, clock=clock)) as api:
            assert not api.ready()
            with pytest.raises(Refusal) as raised, api.outside() as tx:
                tx.ask("SELECT 1")
            assert unavailable(raised)


def test_somebody_there_who_says_nothing(clock: SetClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "CONNECTING_MAY_TAKE_S", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://nobody@127.0.0.1:{silent.getsockname()[1]}/nothing?gssencmode=disable"
        begin_s = time.monotonic()
        with closing(Database(url, clock=clock)) as api:
            assert not api.ready()
        assert time.monotonic() - begin_s < 8


def test_ready(
    api: Database, chat: Database, processing: Database, auditor: Database, postgres: Postgres
) -> None:
    for each in (api, chat, processing, auditor):
        assert each.ready()
    bare = postgres.empty("not_migrated")
    with closing(Database(bare.api, clock=StillClock())) as unmigrated:
        assert not unmigrated.ready(), "it answers, and is not ours yet"
    postgres.drop("not_migrated")


def test_a_connection_that_died_while_idle_is_not_noticed(
    own_urls: Urls, connected: Callable[[str], Database], chat: Database
) -> None:
    """As after a failover, or when a frozen function is woken: the request that comes next works, and works once."""
    api = connected(own_urls.api)
    clinic_id = uuid4()
    with closing(Database(own_urls.chat, clock=StillClock())) as own_chat:
        fill(api, own_chat, clinic_id)
    for _ in range(3):
        assert kill(own_urls) == 1
        with api.clinic(clinic_id) as tx:
            audit.append(tx, entry(), NOW)
    with api.clinic(clinic_id) as tx:
        assert [one.seq for one in audit.page(tx, 0, 99)] == [1, 2, 3, 4]


def test_one_that_dies_in_the_middle_is(own_urls: Urls, connected: Callable[[str], Database]) -> None:
    api = connected(own_urls.api)
    clinic_id = uuid4()
    with pytest.raises(Refusal) as raised, api.clinic(clinic_id) as tx:
        audit.append(tx, entry(), NOW)
        assert kill(own_urls) == 1
        tx.ask("SELECT 1")
    assert unavailable(raised)
    with pytest.raises(Refusal) as raised, api.clinic(clinic_id) as tx:
        audit.append(tx, entry(), NOW)
        assert kill(own_urls) == 1  # and COMMIT finds nobody
    assert unavailable(raised)
    with pytest.raises(ZeroDivisionError), api.clinic(clinic_id) as tx:
        audit.append(tx, entry(), NOW)
        assert kill(own_urls) == 1
        raise ZeroDivisionError  # the caller's own trouble is what is told
    with api.clinic(clinic_id) as tx:
        assert audit.page(tx, 0, 9) == []


def test_a_refusal_that_was_swallowed_is_told_again(
    own_urls: Urls, connected: Callable[[str], Database]
) -> None:
    """Whoever goes on after the store was lost must not believe that anything was kept."""
    api = connected(own_urls.api)
    clinic_id = uuid4()
    with pytest.raises(Refusal) as raised, api.clinic(clinic_id) as tx:
        audit.append(tx, entry(), NOW)
        kill(own_urls)
        with pytest.raises(Refusal):
            tx.ask("SELECT 1")
    assert unavailable(raised)
    with pytest.raises(Refusal), api.clinic(clinic_id) as tx:
        tx.ask("SELECT 1")
        kill(own_urls)
        with pytest.raises(Refusal):
            tx.ask("SELECT 1")
        audit.append(tx, entry(), NOW)
    with api.clinic(clinic_id) as tx:
        assert audit.page(tx, 0, 9) == []


@pytest.fixture(scope="module")
def stoppable() -> Iterator[Postgres]:
    """A server that no other test needs."""
    with Postgres() as own:
        yield own


@pytest.fixture
def server(stoppable: Postgres) -> tuple[Postgres, Urls]:
    """It, up and running, with a database for a test alone."""
    stoppable.start()
    return stoppable, stoppable.migrated()


@pytest.mark.parametrize("crash", [False, True])
def test_gone_and_back(server: tuple[Postgres, Urls], clock: SetClock, *, crash: bool) -> None:
    """The same `Database` works again as soon as the server does, at the first request."""
    postgres, urls = server
    clinic_id, patient = uuid4(), uuid4()
    with closing(Database(urls.api, clock=clock)) as api, closing(Database(urls.chat, clock=clock)) as chat:
        device_id = fill(api, chat, clinic_id)
        kept = observation(patient)
        with api.clinic(clinic_id) as tx:
            observations.add_many(tx, device_id, [kept], NOW)
        proof = sha(uuid4())
        with api.outside() as tx:
            assert not admission.seen_proof(tx, proof, NOW)
        postgres.stop(crash=crash)
        assert not api.ready()
        for _ in range(3):
            with pytest.raises(Refusal) as raised, api.clinic(clinic_id) as tx:
                observations.page(tx, patient, None, 10)
            assert unavailable(raised)
        postgres.start()
        with api.clinic(clinic_id) as tx:
            assert [one.id for one in observations.page(tx, patient, None, 10)] == [kept.id]
        assert api.ready() and chat.ready()
        with api.outside() as tx:
            # Proofs are in an unlogged table: a crash forgets them, an ordinary restart does not
            assert admission.seen_proof(tx, proof, NOW) is not crash
        with api.clinic(clinic_id) as tx:
            assert observations.add_many(tx, device_id, [kept], NOW) == [wire.ItemStatus.ALREADY_STORED]


def test_goes_while_many_write_and_nothing_is_lost_or_doubled(
    server: tuple[Postgres, Urls], clock: SetClock
) -> None:
    """Four senders that repeat what was refused, as devices do, through three outages: afterwards each observation is there once,
    and each answer "stored" has its one row in the audit.
    """
    postgres, urls = server
    clinic_id = uuid4()
    with closing(Database(urls.api, clock=clock)) as api, closing(Database(urls.chat, clock=clock)) as chat:
        device_id = fill(api, chat, clinic_id)
        patients = [uuid4() for _ in range(4)]
        sent: list[list[UUID]] = [[] for _ in patients]
        refusals: list[str] = []
        broken: list[BaseException] = []
        over = threading.Event()

        def send(at: int) -> None:
            try:
                while not over.is_set():
                    batch = [observation(patients[at]) for _ in range(3)]
                    while True:
                        try:
                            with api.clinic(clinic_id) as tx:
                                observations.add_many(tx, device_id, batch, NOW)
                                audit.append(tx, entry(object_id=str(batch[0].id)), NOW)
                            break
                        except Refusal as refusal:
                            refusals.append(refusal.code)
                            time.sleep(0.01)
                    sent[at] += [one.id for one in batch]
            except BaseException as error:  # noqa: BLE001 (told below)
                broken.append(error)

        threads = [threading.Thread(target=send, args=(at,)) for at in range(4)]
        for thread in threads:
            thread.start()
        for crash in (False, True, False):
            time.sleep(0.4)
            postgres.stop(crash=crash)
            time.sleep(0.2)
            postgres.start()
        time.sleep(0.4)
        over.set()
        for thread in threads:
            thread.join()
        assert broken == []
        assert set(refusals) == {Code.STORE_UNAVAILABLE}
        for patient, ids in zip(patients, sent, strict=True):
            assert len(ids) > 30
            with api.clinic(clinic_id, snapshot=True) as tx:
                read = [one.id for one in observations.every(tx, patient)]
            assert sorted(read) == sorted(ids)
        with closing(Database(urls.auditor, clock=clock)) as auditor:
            assert audit.verify(auditor, clinic_id) == []
            with auditor.clinic(clinic_id) as tx:
                written = {one.object_id for one in audit.page(tx, 0, 1_000_000)}
        assert {str(ids[at]) for ids in sent for at in range(0, len(ids), 3)} <= written
