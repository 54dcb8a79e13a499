"""Verdicts, proofs that are seen twice, and the minute's window."""

# ruff: noqa: PT012  (what raises is a whole transaction)
from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from backend_lambda.store import admission, devices
from backend_lambda.store.admission import Admission, Verdict
from backend_lambda.store.database import Database
from tests.backend_lambda.store.making import NOW, sha
from tests.stand_ins.postgres import Urls


def admit(
    database: Database,
    clinic_id: UUID,
    device_id: UUID,
    *,
    proof: bytes | None = None,
    now: datetime = NOW,
    limit: int = 1000,
) -> Admission:
    with database.outside() as tx:
        return admission.admit(
            tx,
            clinic_id=clinic_id,
            device_id=device_id,
            proof=proof or sha(uuid4()),
            now=now,
            limit_per_minute=limit,
        )


def test_verdicts(api: Database, clinic_id: UUID, device_id: UUID) -> None:
    proof = sha(uuid4())
    assert admit(api, clinic_id, device_id, proof=proof) == Admission(Verdict.OK)
    assert admit(api, clinic_id, device_id, proof=proof) == Admission(Verdict.REPLAYED)
    assert admit(api, clinic_id, uuid4()) == Admission(Verdict.UNKNOWN)
    with api.clinic(clinic_id) as tx:
        assert devices.revoke(tx, device_id, NOW)
    assert admit(api, clinic_id, device_id) == Admission(Verdict.REVOKED)
    assert admit(api, clinic_id, device_id, proof=proof) == Admission(Verdict.REVOKED)


def test_a_device_of_one_clinic_is_unknown_in_another(
    api: Database, clinic_id: UUID, device_id: UUID
) -> None:
    """A token with its clinic forged gets nowhere, also where that clinic exists."""
    other = uuid4()
    with api.outside() as tx:
        tx.ask("SELECT hh_add_clinic(%s, 'Other', %s)", (other, NOW))
    assert admit(api, other, device_id).verdict is Verdict.UNKNOWN
    assert admit(api, clinic_id, device_id).verdict is Verdict.OK


def test_the_chat_function_admits_too(chat: Database, clinic_id: UUID, device_id: UUID) -> None:
    assert admit(chat, clinic_id, device_id).verdict is Verdict.OK


def test_an_unknown_device_s_proof_is_not_kept(api: Database, clinic_id: UUID, device_id: UUID) -> None:
    """Otherwise anybody could fill the table, or spoil proofs."""
    proof = sha(uuid4())
    assert admit(api, clinic_id, uuid4(), proof=proof).verdict is Verdict.UNKNOWN
    assert admit(api, clinic_id, device_id, proof=proof).verdict is Verdict.OK


def test_a_transaction_that_failed_has_not_seen_the_proof(
    api: Database, clinic_id: UUID, device_id: UUID
) -> None:
    proof = sha(uuid4())
    with pytest.raises(ZeroDivisionError), api.outside() as tx:
        admission.admit(
            tx, clinic_id=clinic_id, device_id=device_id, proof=proof, now=NOW, limit_per_minute=10
        )
        raise ZeroDivisionError
    assert admit(api, clinic_id, device_id, proof=proof).verdict is Verdict.OK


@pytest.mark.parametrize("minutes", [1, 10, 20, 24.9])
def test_skew(api: Database, clinic_id: UUID, device_id: UUID, minutes: float) -> None:
    """A proof from a clock 10 minutes ahead is good until 20 minutes after it was first used: it must be known all that time,
    whatever else comes and goes.
    """
    proof = sha(uuid4())
    begin = (
        NOW + timedelta(days=365) + timedelta(minutes=minutes)
    )  # a time of its own: what is old goes in passing
    assert admit(api, clinic_id, device_id, proof=proof, now=begin).verdict is Verdict.OK
    late = begin + timedelta(minutes=minutes)
    for _ in range(30):
        admit(api, clinic_id, device_id, now=late)
    assert admit(api, clinic_id, device_id, proof=proof, now=late).verdict is Verdict.REPLAYED
    assert admit(api, clinic_id, device_id, proof=proof, now=begin - timedelta(minutes=minutes)).verdict is (
        Verdict.REPLAYED
    )


def test_old_proofs_go_in_passing(own_urls: Urls, connected: Callable[[str], Database]) -> None:
    api = connected(own_urls.api)
    with api.outside() as tx:
        for number in range(40):
            assert not admission.seen_proof(tx, sha(number), NOW)
        assert admission.seen_proof(tx, sha(39), NOW)
    later = NOW + timedelta(minutes=25, seconds=1)
    with api.outside() as tx:
        for number in range(100, 111):
            assert not admission.seen_proof(tx, sha(number), later)
    with psycopg.connect(own_urls.superuser) as connection:
        assert connection.execute("SELECT count(*) FROM proof_seen").fetchall() == [(11,)]
    with api.outside() as tx:
        assert not admission.seen_proof(tx, sha(0), later), "forgotten: its time is over by far"


def test_the_window(api: Database, clinic_id: UUID, device_id: UUID) -> None:
    begin = NOW.replace(second=12, microsecond=500_000)
    for _ in range(3):
        assert admit(api, clinic_id, device_id, now=begin, limit=3).verdict is Verdict.OK
    assert admit(api, clinic_id, device_id, now=begin, limit=3) == Admission(Verdict.LIMITED, 47.5)
    almost = begin.replace(second=59, microsecond=999_000)
    assert admit(api, clinic_id, device_id, now=almost, limit=3).retry_after_s == pytest.approx(0.001)
    after = NOW + timedelta(minutes=1)
    for _ in range(3):
        assert admit(api, clinic_id, device_id, now=after, limit=3).verdict is Verdict.OK
    assert admit(api, clinic_id, device_id, now=after, limit=3).verdict is Verdict.LIMITED


def test_devices_have_a_window_each(api: Database, clinic_id: UUID, device_id: UUID) -> None:
    with api.clinic(clinic_id) as tx:
        devices.add(
            tx,
            device_id=(other := uuid4()),
            name="",
            thumbprint="u" * 43,
            public_key={},
            software_version="1",
            now=NOW,
        )
    assert admit(api, clinic_id, device_id, limit=1).verdict is Verdict.OK
    assert admit(api, clinic_id, device_id, limit=1).verdict is Verdict.LIMITED
    assert admit(api, clinic_id, other, limit=1).verdict is Verdict.OK


def test_people_have_a_window_too(api: Database, clinic_id: UUID, device_id: UUID) -> None:
    person = uuid4()
    begin = NOW.replace(second=20)

    def count(clinic: UUID | None, asker: UUID = person, now: datetime = begin) -> float | None:
        with api.outside() as tx:
            return admission.count(tx, clinic_id=clinic, asker_id=asker, now=now, limit_per_minute=2)

    assert [count(clinic_id) for _ in range(3)] == [None, None, 40.0]
    assert [count(None) for _ in range(3)] == [None, None, 40.0], "an operator belongs to no clinic"
    assert count(clinic_id, uuid4()) is None
    assert admit(api, clinic_id, device_id, limit=1).verdict is Verdict.OK
    assert count(clinic_id, now=begin + timedelta(minutes=1)) is None


def test_a_replay_is_not_counted(api: Database, clinic_id: UUID, device_id: UUID) -> None:
    """Whoever has caught a request can't use up the device's minute with it."""
    proof = sha(uuid4())
    assert admit(api, clinic_id, device_id, proof=proof, limit=2).verdict is Verdict.OK
    for _ in range(5):
        assert admit(api, clinic_id, device_id, proof=proof, limit=2).verdict is Verdict.REPLAYED
    assert admit(api, clinic_id, device_id, limit=2).verdict is Verdict.OK


def test_functions_whose_clocks_differ_count_in_one_window(
    api: Database, clinic_id: UUID, device_id: UUID
) -> None:
    """At a minute's border one clock is a second ahead: going to and fro must not give a new minute each time."""
    behind, ahead = NOW - timedelta(seconds=1), NOW
    verdicts = [admit(api, clinic_id, device_id, now=now, limit=3).verdict for now in (behind, ahead) * 4]
    assert verdicts.count(Verdict.OK) <= 4
    assert verdicts[-1] is Verdict.LIMITED


def test_a_clock_that_was_far_ahead_once_does_not_lock_a_device_out(
    api: Database, clinic_id: UUID, device_id: UUID
) -> None:
    for _ in range(2):
        admit(api, clinic_id, device_id, now=NOW + timedelta(hours=5), limit=1)
    assert admit(api, clinic_id, device_id, limit=1).verdict is Verdict.OK


def test_many_at_once(api: Database, clinic_id: UUID, device_id: UUID) -> None:
    """8 threads, each proof sent twice, 20 a minute allowed: each counts once, and 20 come in."""
    proofs = [sha(uuid4()) for _ in range(32)]
    verdicts: list[Verdict] = []

    def ask(own: list[bytes]) -> None:
        verdicts.extend(admit(api, clinic_id, device_id, proof=proof, limit=20).verdict for proof in own)

    threads = [threading.Thread(target=ask, args=((proofs * 2)[at::8],)) for at in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(verdicts) == 64
    assert verdicts.count(Verdict.REPLAYED) == 32
    assert verdicts.count(Verdict.OK) == 20
    assert verdicts.count(Verdict.LIMITED) == 12


def test_one_proof_at_once(api: Database) -> None:
    for _ in range(5):
        proof, seen, start = sha(uuid4()), list[bool](), threading.Barrier(8)

        def ask(proof: bytes = proof, seen: list[bool] = seen, start: threading.Barrier = start) -> None:
            start.wait()
            with api.outside() as tx:
                seen.append(admission.seen_proof(tx, proof, NOW))

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(seen) == [False] + [True] * 7


def test_what_is_no_hash_is_refused(api: Database) -> None:
    from backend_lambda.store.database import StoreFault

    with pytest.raises(StoreFault), api.outside() as tx:
        admission.seen_proof(tx, b"short", NOW)
