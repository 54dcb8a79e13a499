"""What devices found, by patient and time. A row's body is the canonical JSON of `wire.Observation`; its SHA-256 says "the same"."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from backend_lambda import wire
from backend_lambda.store.database import Row, Transaction

ADD: Final = (
    "SELECT status FROM hh_add_observations(%s, %s, %s::uuid[], %s::uuid[], %s::timestamptz[], %s::bytea[], %s::text[])"
    " ORDER BY at"
)
"""Device, received at; then by item: id, patient, taken at, content hash, body."""
FIRST_PAGE: Final = (
    "SELECT body::text, device_id, received_at FROM observation WHERE patient_id = %s"
    " ORDER BY taken_at DESC, id DESC LIMIT %s"
)
NEXT_PAGE: Final = (
    "SELECT body::text, device_id, received_at FROM observation WHERE patient_id = %s AND (taken_at, id) < (%s, %s)"
    " ORDER BY taken_at DESC, id DESC LIMIT %s"
)
RECEIVED: Final = (
    "SELECT body::text, device_id, received_at FROM observation WHERE received_at >= %s AND received_at < %s"
    " AND (received_at, id) > (%s, %s) ORDER BY received_at, id LIMIT %s"
)
_AT_ONCE = 500
_FIRST_DAY = datetime(1, 1, 2, tzinfo=UTC)
_LAST_DAY = datetime(9999, 12, 31, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last observation that was seen: its time and id."""

    taken_at: datetime
    id: UUID


def canonical(observation: wire.Observation) -> str:
    """The same text for the same content: UTC, sorted, without what is left at its default, so that a field which a later
    version adds makes no older observation another one.
    """
    body = observation.model_dump(mode="json", exclude_defaults=True)
    body["taken_at"] = observation.taken_at.astimezone(UTC).isoformat(timespec="microseconds")
    return json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def add_many(
    tx: Transaction, device_id: UUID, observations: Sequence[wire.Observation], now: datetime
) -> list[wire.ItemStatus]:
    """By item: STORED; ALREADY_STORED, its id with the same content is there or earlier in the batch; CONFLICT, with other content;
    PATIENT_ERASED; INVALID, a time at the very ends of the calendar. One round trip.
    """
    statuses = [
        wire.ItemStatus.STORED if _FIRST_DAY <= one.taken_at < _LAST_DAY else wire.ItemStatus.INVALID
        for one in observations
    ]
    fit = [at for at, status in enumerate(statuses) if status is wire.ItemStatus.STORED]
    if not fit:
        return statuses
    bodies = [canonical(observations[at]) for at in fit]
    rows = tx.ask(
        ADD,
        (
            device_id,
            now,
            [observations[at].id for at in fit],
            [observations[at].patient_id for at in fit],
            [observations[at].taken_at for at in fit],
            [hashlib.sha256(body.encode()).digest() for body in bodies],
            bodies,
        ),
    )
    for at, (status,) in zip(fit, rows, strict=True):
        statuses[at] = wire.ItemStatus(status)
    return statuses


def page(
    tx: Transaction, patient_id: UUID, cursor: Cursor | None, limit: int
) -> list[wire.StoredObservation]:
    """The newest first, by (taken_at, id), from behind the cursor on; at most `limit`."""
    if cursor is None:
        rows = tx.ask(FIRST_PAGE, (patient_id, limit))
    else:
        rows = tx.ask(NEXT_PAGE, (patient_id, cursor.taken_at, cursor.id, limit))
    return [_read(row) for row in rows]


def every(tx: Transaction, patient_id: UUID) -> Iterator[wire.StoredObservation]:
    """All of them, the newest first, read in pieces while the transaction is open (best one with `snapshot=True`)."""
    cursor = None
    while found := page(tx, patient_id, cursor, _AT_ONCE):
        yield from found
        if len(found) < _AT_ONCE:
            return
        cursor = Cursor(found[-1].taken_at, found[-1].id)


def received(
    tx: Transaction,
    begin: datetime,
    end: datetime,
    after: tuple[datetime, UUID] | None = None,
    limit: int = _AT_ONCE,
) -> list[wire.StoredObservation]:
    """Of all patients of the clinic, by (received_at, id): what arrived at `begin` or later and before `end`, from behind `after` on."""
    at, id_ = after or (begin, UUID(int=0))
    return [_read(row) for row in tx.ask(RECEIVED, (max(begin, at), end, at, id_, limit))]


def erase_patient(tx: Transaction, patient_id: UUID, now: datetime) -> int:
    """How many are gone. From now on, what comes late for this patient is refused: SHA-256 of clinic and patient is kept.

    Waits for those who are adding for this patient, and they for this.
    """
    ((rows,),) = tx.ask("SELECT hh_erase_patient(%s, %s)", (patient_id, now))
    return int(rows)


def _read(row: Row) -> wire.StoredObservation:
    body, device_id, received_at = row
    return wire.StoredObservation.model_validate(
        {**json.loads(body), "device_id": device_id, "received_at": received_at}
    )
