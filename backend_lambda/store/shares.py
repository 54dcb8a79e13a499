"""Links to one upload that work once. The secret is kept as SHA-256."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from backend_lambda.store.database import Transaction


@dataclass(frozen=True, slots=True)
class OpenedShare:
    """What it was made for."""

    clinic_id: UUID
    upload_id: UUID


def add(
    tx: Transaction,
    *,
    id: UUID,  # noqa: A002
    upload_id: UUID,
    device_id: UUID,
    secret_hash: bytes,
    expires_at: datetime,
    now: datetime,
) -> bool:
    """False: there is no such upload in this clinic, or this id was used for a share before (its secret can't be told again)."""
    return bool(
        tx.do(
            "INSERT INTO share (clinic_id, id, upload_id, device_id, secret_hash, created_at, expires_at)"
            " SELECT clinic_id, %s, id, %s, %s, %s, %s FROM upload WHERE id = %s FOR KEY SHARE"
            " ON CONFLICT (clinic_id, id) DO NOTHING",
            (id, device_id, secret_hash, now, expires_at, upload_id),
        )
    )


def open_once(
    tx_outside: Transaction,
    id: UUID,  # noqa: A002
    secret_hash: bytes,
    now: datetime,
) -> OpenedShare | None:
    """Use it up: of any number of openers one gets it. None: unknown, another secret, opened, withdrawn, expired, or its
    device was sent away.

    `tx_outside.enter(opened.clinic_id)` then reads the upload in the same transaction: a failure leaves the link unused.
    """
    rows = tx_outside.ask(
        "SELECT clinic_id, upload_id FROM hh_open_share(%s, %s, %s)", (id, secret_hash, now)
    )
    return OpenedShare(*rows[0]) if rows else None


def withdraw(
    tx: Transaction,
    id: UUID,  # noqa: A002
    now: datetime,
) -> bool:
    """From now on it opens nothing. True: also when it was withdrawn, opened or expired before. False: the clinic has no such share."""
    return tx.do("UPDATE share SET withdrawn_at = coalesce(withdrawn_at, %s) WHERE id = %s", (now, id)) > 0
