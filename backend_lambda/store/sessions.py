"""Refresh tokens, kept as SHA-256. Each works once and names its successor; all that follow from one enrolment are a family."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from backend_lambda.store.database import Transaction


@dataclass(frozen=True, slots=True)
class Refresh:
    """thumbprint: of the device's key. used_for: the request id it was used with. salt: what its successor was made with, None once
    that one was used. revoked: it, its family or its device was. expires_at is not judged here.
    """

    clinic_id: UUID
    device_id: UUID
    family: UUID
    thumbprint: str
    expires_at: datetime
    used_at: datetime | None
    used_for: UUID | None
    salt: bytes | None
    successor_used_at: datetime | None
    revoked: bool


def find(tx_outside: Transaction, token_hash: bytes) -> Refresh | None:
    """Locks it until the transaction ends, so the rest belongs into the same one: `tx_outside.enter(refresh.clinic_id)`,
    then rotate or revoke_family with it.
    """
    rows = tx_outside.ask(
        "SELECT clinic_id, device_id, family, thumbprint, expires_at, used_at, used_for, salt, successor_used_at,"
        " revoked"
        " FROM hh_find_refresh(%s)",
        (token_hash,),
    )
    return Refresh(*rows[0]) if rows else None


def issue(
    tx: Transaction, *, device_id: UUID, family: UUID, token_hash: bytes, expires_at: datetime, now: datetime
) -> None:
    """The first of a family, at enrolment."""
    tx.do(
        "INSERT INTO refresh_token (token_hash, clinic_id, device_id, family, issued_at, expires_at)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        (token_hash, tx.clinic_id, device_id, family, now, expires_at),
    )


def rotate(
    tx: Transaction,
    *,
    old_hash: bytes,
    new_hash: bytes,
    salt: bytes,
    used_for: UUID | None,
    expires_at: datetime,
    now: datetime,
) -> bool:
    """Use the old one up for the new one, which was made with this salt. False: it was used, revoked or unknown, and nothing is changed.

    The salt that the old one was made with is forgotten: nobody can make it again. Takes away those of the family that have expired, in passing.
    """
    return bool(
        tx.ask(
            "WITH old AS (UPDATE refresh_token SET used_at = %(now)s, used_for = %(used_for)s, successor = %(new)s,"
            " salt = NULL WHERE token_hash = %(old)s AND used_at IS NULL AND revoked_at IS NULL"
            " RETURNING clinic_id, device_id, family),"
            " expired AS (DELETE FROM refresh_token USING old WHERE refresh_token.family = old.family"
            " AND refresh_token.expires_at < %(now)s AND refresh_token.token_hash <> %(old)s)"
            " INSERT INTO refresh_token (token_hash, clinic_id, device_id, family, issued_at, expires_at, salt)"
            " SELECT %(new)s, clinic_id, device_id, family, %(now)s, %(expires_at)s, %(salt)s FROM old RETURNING 1",
            {
                "now": now,
                "salt": salt,
                "used_for": used_for,
                "new": new_hash,
                "old": old_hash,
                "expires_at": expires_at,
            },
        )
    )


def revoke_family(tx: Transaction, family: UUID, now: datetime) -> int:
    """An old one was used again: somebody else has it. Returns how many stopped working."""
    return tx.do(
        "UPDATE refresh_token SET revoked_at = %s WHERE family = %s AND revoked_at IS NULL", (now, family)
    )
