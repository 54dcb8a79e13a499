"""Enrolment codes, and the devices that came in with one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from backend_lambda.store.database import Transaction

_MOST = 2**63 - 1
"""What a count in the database can hold."""


@dataclass(frozen=True, slots=True)
class TakenCode:
    """Whose code it was, and the name its device shall have."""

    clinic_id: UUID
    device_name: str


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """thumbprint: of its key (RFC 7638). The last five: as of its last heartbeat, None before the first."""

    id: UUID
    name: str
    thumbprint: str
    public_key: Mapping[str, Any]
    software_version: str
    enrolled_at: datetime
    revoked_at: datetime | None
    last_seen_at: datetime | None
    waiting: int | None
    parked: int | None
    oldest_waiting_s: float | None
    clock_offset_s: float | None


def add_code(
    tx: Transaction, *, code_hash: bytes, expires_at: datetime, created_by: str, device_name: str
) -> None:
    """A code that works once, until it expires. created_by: the admin's subject."""
    tx.do(
        "INSERT INTO enrolment_code (code_hash, clinic_id, device_name, created_by, expires_at)"
        " VALUES (%s, %s, %s, %s, %s)",
        (code_hash, tx.clinic_id, device_name, created_by, expires_at),
    )


def take_code(tx_outside: Transaction, code_hash: bytes, now: datetime) -> TakenCode | None:
    """Use the code up: of any number of takers one gets it. None: unknown, used or expired.

    `tx_outside.enter(taken.clinic_id)` then adds the device in the same transaction: a failure leaves the code unused.
    """
    rows = tx_outside.ask("SELECT clinic_id, device_name FROM hh_take_code(%s, %s)", (code_hash, now))
    return TakenCode(*rows[0]) if rows else None


def add(
    tx: Transaction,
    *,
    device_id: UUID,
    name: str,
    thumbprint: str,
    public_key: Mapping[str, Any],
    software_version: str,
    now: datetime,
) -> None:
    """public_key: a JWK."""
    tx.do(
        "INSERT INTO device (clinic_id, id, name, thumbprint, public_key, software_version, enrolled_at)"
        " VALUES (%s, %s, %s, %s, %s::jsonb, %s, %s)",
        (tx.clinic_id, device_id, name, thumbprint, json.dumps(dict(public_key)), software_version, now),
    )


def listed(tx: Transaction) -> list[DeviceRow]:
    """All of the clinic's, the newest first; revoked ones too."""
    return [
        DeviceRow(*row)
        for row in tx.ask(
            "SELECT id, name, thumbprint, public_key, software_version, enrolled_at, revoked_at, last_seen_at, waiting,"
            " parked, oldest_waiting_s, clock_offset_s FROM device WHERE clinic_id = %s"
            " ORDER BY enrolled_at DESC, id DESC",
            (tx.clinic_id,),
        )
    ]


def get(tx: Transaction, id: UUID) -> DeviceRow | None:  # noqa: A002
    """None: the clinic has no such device."""
    rows = tx.ask(
        "SELECT id, name, thumbprint, public_key, software_version, enrolled_at, revoked_at, last_seen_at, waiting,"
        " parked, oldest_waiting_s, clock_offset_s FROM device WHERE id = %s",
        (id,),
    )
    return DeviceRow(*rows[0]) if rows else None


def revoke(tx: Transaction, id: UUID, now: datetime) -> bool:  # noqa: A002
    """For ever, with all its refresh tokens. True: also when it was revoked before. False: there is no such device."""
    found = tx.do("UPDATE device SET revoked_at = coalesce(revoked_at, %s) WHERE id = %s", (now, id))
    tx.do(
        "UPDATE refresh_token SET revoked_at = %s WHERE device_id = %s AND revoked_at IS NULL",
        (now, id),
    )
    return found > 0


def seen(
    tx: Transaction,
    id: UUID,  # noqa: A002
    now: datetime,
    software_version: str,
    waiting: int,
    parked: int,
    oldest_waiting_s: float | None,
    clock_offset_s: float | None,
) -> None:
    """A heartbeat. Counts beyond 2^63 are kept as that."""
    tx.do(
        "UPDATE device SET last_seen_at = %s, software_version = %s, waiting = %s, parked = %s, oldest_waiting_s = %s,"
        " clock_offset_s = %s WHERE id = %s",
        (
            now,
            software_version,
            min(waiting, _MOST),
            min(parked, _MOST),
            oldest_waiting_s,
            clock_offset_s,
            id,
        ),
    )
