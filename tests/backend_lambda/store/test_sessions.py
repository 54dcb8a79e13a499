"""Refresh tokens: once each, and what is known of one that was used."""

from __future__ import annotations

import threading
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from backend_lambda.store import sessions
from backend_lambda.store.database import Database
from tests.backend_lambda.store.making import NOW, sha

LATER = NOW + timedelta(days=30)
SALT = b"s" * 32


@pytest.fixture
def first(api: Database, clinic_id: UUID, device_id: UUID) -> bytes:
    """The first token of a family."""
    made = sha(uuid4())
    with api.clinic(clinic_id) as tx:
        sessions.issue(tx, device_id=device_id, family=uuid4(), token_hash=made, expires_at=LATER, now=NOW)
    return made


def find(api: Database, token_hash: bytes) -> sessions.Refresh:
    with api.outside() as tx:
        found = sessions.find(tx, token_hash)
    assert found is not None
    return found


def rotate(
    api: Database, clinic_id: UUID, old: bytes, new: bytes, *, used_for: UUID | None = None, days: float = 0
) -> bool:
    with api.clinic(clinic_id) as tx:
        return sessions.rotate(
            tx,
            old_hash=old,
            new_hash=new,
            salt=SALT,
            used_for=used_for,
            expires_at=LATER + timedelta(days=days),
            now=NOW + timedelta(days=days),
        )


def test_as_issued(api: Database, clinic_id: UUID, device_id: UUID, first: bytes) -> None:
    found = find(api, first)
    assert found == sessions.Refresh(
        clinic_id, device_id, found.family, "t" * 43, LATER, None, None, None, None, revoked=False
    )
    with api.outside() as tx:
        assert sessions.find(tx, sha("nothing")) is None


def test_rotation(api: Database, clinic_id: UUID, first: bytes) -> None:
    second, third, request = sha(uuid4()), sha(uuid4()), uuid4()
    assert rotate(api, clinic_id, first, second, used_for=request)
    old, new = find(api, first), find(api, second)
    assert (old.used_at, old.used_for, old.salt, old.successor_used_at) == (NOW, request, SALT, None)
    assert not old.revoked
    assert (new.used_at, new.family, new.device_id) == (None, old.family, old.device_id)
    assert not rotate(api, clinic_id, first, third), "once"
    with api.outside() as tx:
        assert sessions.find(tx, third) is None, "and nothing was made"
    assert rotate(api, clinic_id, second, third, days=1)
    old = find(api, first)
    assert old.successor_used_at == NOW + timedelta(days=1)
    assert old.salt is None, "what it made was used: nobody makes it again"
    with api.clinic(clinic_id) as tx:
        assert tx.ask("SELECT count(*) FROM refresh_token WHERE salt IS NOT NULL") == [(1,)]


def test_not_by_another_clinic(api: Database, clinic_id: UUID, first: bytes) -> None:
    assert not rotate(api, uuid4(), first, sha(uuid4()))
    family = find(api, first).family
    with api.clinic(uuid4()) as tx:
        assert sessions.revoke_family(tx, family, NOW) == 0
    assert rotate(api, clinic_id, first, sha(uuid4()))


def test_a_family_ends(api: Database, clinic_id: UUID, first: bytes) -> None:
    second = sha(uuid4())
    rotate(api, clinic_id, first, second)
    family = find(api, second).family
    with api.clinic(clinic_id) as tx:
        assert sessions.revoke_family(tx, family, NOW) == 2
        assert sessions.revoke_family(tx, family, NOW) == 0
    assert find(api, first).revoked and find(api, second).revoked
    assert not rotate(api, clinic_id, second, sha(uuid4()))


def test_expired_ones_of_the_family_go_in_passing(api: Database, clinic_id: UUID, first: bytes) -> None:
    second, third, fourth = (sha(uuid4()) for _ in range(3))
    assert rotate(api, clinic_id, first, second, days=1)
    assert rotate(api, clinic_id, second, third, days=29)
    find(api, first)
    assert rotate(api, clinic_id, third, fourth, days=30.5)
    with api.outside() as tx:
        assert sessions.find(tx, first) is None
    find(api, second)
    find(api, third)
    find(api, fourth)


def test_eight_at_once_with_one_token(api: Database, clinic_id: UUID, first: bytes) -> None:
    """As the token service does it: find, enter, then decide. One rotates; the others see that it was used, and by what."""
    seen: list[tuple[bool, UUID | None]] = []
    start = threading.Barrier(8)

    def use() -> None:
        request = uuid4()
        start.wait()
        with api.outside() as tx:
            found = sessions.find(tx, first)
            assert found is not None
            tx.enter(found.clinic_id)
            if found.used_at is None:
                assert sessions.rotate(
                    tx,
                    old_hash=first,
                    new_hash=sha(request),
                    salt=SALT,
                    used_for=request,
                    expires_at=LATER,
                    now=NOW,
                )
                seen.append((True, request))
            else:
                seen.append((False, found.used_for))

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [request for won, request in seen if won]
    assert len(seen) == 8 and len(winners) == 1
    assert {request for won, request in seen if not won} == set(winners)


def test_who_waited_for_the_lock_sees_the_successor_too(api: Database, clinic_id: UUID, first: bytes) -> None:
    """Rotated, and the successor used, while another waits to look: it must see both."""
    second = sha(uuid4())
    found: list[sessions.Refresh] = []
    with api.outside() as tx:
        holds = sessions.find(tx, first)
        assert holds is not None
        tx.enter(clinic_id)
        waiter = threading.Thread(target=lambda: found.append(find(api, first)))
        waiter.start()
        for old, new in ((first, second), (second, sha(uuid4()))):
            sessions.rotate(
                tx, old_hash=old, new_hash=new, salt=SALT, used_for=None, expires_at=LATER, now=NOW
            )
        waiter.join(0.2)
        assert waiter.is_alive(), "it waits for the lock"
    waiter.join()
    assert found[0].used_at == NOW and found[0].successor_used_at == NOW
