"""Clinics, enrolment codes and devices."""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from backend_lambda.errors import Code, Refusal
from backend_lambda.store import admission, clinics, devices, sessions
from backend_lambda.store.clinics import Terms
from backend_lambda.store.database import Database, StoreFault
from backend_lambda.store.devices import TakenCode
from backend_lambda.wire import Feature
from tests.backend_lambda.store.making import KEY, NOW, device, sha


def add_code(api: Database, clinic_id: UUID, code: str) -> None:
    with api.clinic(clinic_id) as tx:
        devices.add_code(
            tx,
            code_hash=sha(code),
            expires_at=NOW + timedelta(minutes=10),
            created_by="admin-1",
            device_name="Kiosk 3",
        )


# --- Clinics -------------------------------------------------------------------------------------------


def test_a_clinic_once_more_and_with_another_name(api: Database) -> None:
    clinic_id = uuid4()

    def add(name: str = "Nord", **terms: Any) -> clinics.Added | None:
        with api.outside() as tx:
            return clinics.add(tx, clinic_id, name, NOW, **terms)

    assert add() == clinics.Added(None)
    assert row(api, clinic_id) == clinics.ClinicRow(clinic_id, "Nord", NOW, frozenset(), None)
    assert add(allows=[Feature.CHAT], token_budget=5) == clinics.Added(Terms(frozenset(), None))
    chat = Terms(frozenset({"chat"}), 5)
    assert add("Süd", allows=Feature) is None
    assert add() == add(allows=None) == clinics.Added(chat), "what is left out stays as it was"
    assert row(api, clinic_id) == clinics.ClinicRow(clinic_id, "Nord", NOW, frozenset({Feature.CHAT}), 5)
    assert add(token_budget=None) == clinics.Added(chat)
    assert add(allows=[]) == clinics.Added(Terms(frozenset({"chat"}), None))
    assert row(api, clinic_id) == clinics.ClinicRow(clinic_id, "Nord", NOW, frozenset(), None)
    with api.clinic(clinic_id) as tx:
        assert clinics.get(tx, uuid4()) is None
    with api.clinic(uuid4()) as tx:
        assert clinics.get(tx, clinic_id) is None, "another clinic's"
    with api.outside() as tx:
        assert clinics.get(tx, clinic_id) is None


def row(api: Database, clinic_id: UUID) -> clinics.ClinicRow | None:
    with api.clinic(clinic_id) as tx:
        return clinics.get(tx, clinic_id)


def test_a_clinic_within_its_own_transaction(api: Database) -> None:
    clinic_id = uuid4()
    with api.clinic(clinic_id) as tx:
        assert clinics.add(tx, clinic_id, "Nord", NOW)
        assert clinics.get(tx, clinic_id) is not None


def test_a_name_that_cannot_be_kept(api: Database) -> None:
    with pytest.raises(Refusal) as raised, api.outside() as tx:
        clinics.add(tx, uuid4(), "No\x00rd", NOW)
    assert (raised.value.status, raised.value.code) == (422, Code.INVALID)


# --- Codes ---------------------------------------------------------------------------------------------


def test_a_code_works_once(api: Database, clinic_id: UUID) -> None:
    add_code(api, clinic_id, code := str(uuid4()))
    with api.outside() as tx:
        assert devices.take_code(tx, sha("another"), NOW) is None
        assert devices.take_code(tx, sha(code), NOW) == TakenCode(clinic_id, "Kiosk 3")
    with api.outside() as tx:
        assert devices.take_code(tx, sha(code), NOW) is None


def test_a_code_expires(api: Database, clinic_id: UUID) -> None:
    add_code(api, clinic_id, code := str(uuid4()))
    with api.outside() as tx:
        assert devices.take_code(tx, sha(code), NOW + timedelta(minutes=10)) is None
        assert devices.take_code(tx, sha(code), NOW + timedelta(minutes=9, seconds=59)) is not None


def test_eight_at_once_for_a_code(api: Database, clinic_id: UUID) -> None:
    """Exactly one gets it, twenty times over."""
    for _ in range(20):
        add_code(api, clinic_id, code := str(uuid4()))
        taken: list[TakenCode | None] = []
        start = threading.Barrier(8)

        def take(
            code: str = code, start: threading.Barrier = start, taken: list[TakenCode | None] = taken
        ) -> None:
            start.wait()
            with api.outside() as tx:
                taken.append(devices.take_code(tx, sha(code), NOW))

        threads = [threading.Thread(target=take) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(taken) == 8
        assert [one for one in taken if one] == [TakenCode(clinic_id, "Kiosk 3")]


def test_enrolling_in_one_transaction(api: Database, clinic_id: UUID) -> None:
    """Code, device and token: all or nothing."""
    add_code(api, clinic_id, code := str(uuid4()))
    device_id = uuid4()
    for fails in (True, False):
        with suppress(ZeroDivisionError), api.outside() as tx:
            taken = devices.take_code(tx, sha(code), NOW)
            assert taken == TakenCode(clinic_id, "Kiosk 3"), "a failure must not use it up"
            tx.enter(taken.clinic_id)
            device(tx, device_id)
            sessions.issue(
                tx,
                device_id=device_id,
                family=uuid4(),
                token_hash=sha(code),
                expires_at=NOW,
                now=NOW,
            )
            if fails:
                raise ZeroDivisionError
        with api.clinic(clinic_id) as tx:
            assert (devices.get(tx, device_id) is None) is fails
    with api.outside() as tx:
        assert devices.take_code(tx, sha(code), NOW) is None


# --- Devices -------------------------------------------------------------------------------------------


def test_a_device_as_it_came_in(api: Database, clinic_id: UUID) -> None:
    with api.clinic(clinic_id) as tx:
        made = device(tx, name="Kiosk 1")
        row = devices.get(tx, made)
    assert row == devices.DeviceRow(
        made, "Kiosk 1", "t" * 43, KEY, "1.0", NOW, None, None, None, None, None, None
    )


def test_of_a_clinic_only(api: Database, clinic_id: UUID, device_id: UUID) -> None:
    with api.clinic(clinic_id) as tx:
        assert [row.id for row in devices.listed(tx)] == [device_id]
    with api.clinic(uuid4()) as tx:
        assert devices.listed(tx) == []
        assert devices.get(tx, device_id) is None
        assert not devices.revoke(tx, device_id, NOW)
        devices.seen(tx, device_id, NOW, "2.0", 1, 1, 1.0, 1.0)
    with api.clinic(clinic_id) as tx:
        row = devices.get(tx, device_id)
    assert row is not None
    assert (row.revoked_at, row.last_seen_at, row.software_version) == (None, None, "1.0")


def test_heartbeat(api: Database, clinic_id: UUID, device_id: UUID) -> None:
    later = NOW + timedelta(hours=1)
    with api.clinic(clinic_id) as tx:
        devices.seen(tx, device_id, later, "1.1", 10**30, 3, None, -2.5)
        row = devices.get(tx, device_id)
    assert row is not None
    assert (row.last_seen_at, row.software_version, row.waiting, row.parked) == (later, "1.1", 2**63 - 1, 3)
    assert (row.oldest_waiting_s, row.clock_offset_s) == (None, -2.5)


def test_revoked_for_ever_and_its_tokens_with_it(api: Database, clinic_id: UUID, device_id: UUID) -> None:
    with api.clinic(clinic_id) as tx:
        other = device(tx)
        for owner in (device_id, other):
            sessions.issue(
                tx,
                device_id=owner,
                family=uuid4(),
                token_hash=sha(owner),
                expires_at=NOW + timedelta(days=1),
                now=NOW,
            )
    for now in (NOW, NOW + timedelta(days=1)):
        with api.clinic(clinic_id) as tx:
            assert devices.revoke(tx, device_id, now)
            row = devices.get(tx, device_id)
            assert row is not None
            assert row.revoked_at == NOW, "when it was first"
    with api.outside() as tx:
        found = {owner: sessions.find(tx, sha(owner)) for owner in (device_id, other)}
    assert {owner: token.revoked for owner, token in found.items() if token} == {
        device_id: True,
        other: False,
    }
    with api.clinic(clinic_id) as tx:
        assert not sessions.rotate(
            tx,
            old_hash=sha(device_id),
            new_hash=sha(uuid4()),
            salt=bytes(32),
            used_for=None,
            expires_at=NOW,
            now=NOW,
        )
    with api.outside() as tx:
        verdict = admission.admit(
            tx, clinic_id=clinic_id, device_id=device_id, proof=sha(uuid4()), now=NOW, limit_per_minute=9
        )
    assert verdict.verdict is admission.Verdict.REVOKED


def test_the_same_device_twice_is_our_mistake_and_told_without_its_key(
    api: Database, clinic_id: UUID, device_id: UUID
) -> None:
    with pytest.raises(StoreFault) as raised, api.clinic(clinic_id) as tx:
        device(tx, device_id)
    assert raised.value.rule == "device_pkey"
    assert str(device_id) not in str(raised.value)
