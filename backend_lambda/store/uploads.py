"""Files that were announced, and what became of them. The files themselves are in the object store."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from backend_lambda import wire
from backend_lambda.errors import Code, Refusal
from backend_lambda.store.database import Row, Transaction

_GET: Final = (
    "SELECT id, patient_id, purpose, media_type, length_bytes, encode(sha256, 'hex'), state, reason, pages, created_at,"
    " device_id, object_key, version_id, text_key, processing_since FROM upload WHERE id = %s"
)
_OF_PATIENT: Final = (
    "SELECT id, patient_id, purpose, media_type, length_bytes, encode(sha256, 'hex'), state, reason, pages, created_at,"
    " device_id, object_key, version_id, text_key, processing_since FROM upload WHERE patient_id = %s"
    " ORDER BY created_at DESC, id DESC"
)
_ADD: Final = (
    "INSERT INTO upload (clinic_id, id, patient_id, purpose, media_type, length_bytes, sha256, state, reason, pages,"
    " created_at, device_id, object_key, version_id, text_key, processing_since)"
    " VALUES (%s, %s, %s, %s, %s, %s, decode(%s, 'hex'), %s, %s, %s, %s, %s, %s, %s, %s, %s)"
    " ON CONFLICT (clinic_id, id) DO NOTHING"
)
_FORGET: Final = (
    "DELETE FROM upload WHERE patient_id = %s RETURNING id, patient_id, purpose, media_type, length_bytes,"
    " encode(sha256, 'hex'), state, reason, pages, created_at, device_id, object_key, version_id, text_key, processing_since"
)


@dataclass(frozen=True, slots=True)
class UploadRow:
    """`wire.Upload` and where it is. sha256: hex. version_id: of the object, once it is there. text_key: of the text found in it.

    processing_since: while it is PROCESSING.
    """

    id: UUID
    patient_id: UUID
    purpose: wire.Purpose
    media_type: wire.MediaType
    length_bytes: int
    sha256: str
    state: wire.UploadState
    reason: str | None
    pages: int | None
    created_at: datetime
    device_id: UUID
    object_key: str
    version_id: str | None = None
    text_key: str | None = None
    processing_since: datetime | None = None

    def as_wire(self) -> wire.Upload:
        """What a client may see of it."""
        return wire.Upload(
            id=self.id,
            patient_id=self.patient_id,
            purpose=self.purpose,
            media_type=self.media_type,
            length_bytes=self.length_bytes,
            sha256=self.sha256,
            state=self.state,
            reason=self.reason,
            pages=self.pages,
            created_at=self.created_at,
        )

    def facts(self) -> tuple[object, ...]:
        """What makes it the same upload."""
        return (self.patient_id, self.purpose, self.media_type, self.length_bytes, self.sha256)


def add(tx: Transaction, row: UploadRow) -> UploadRow:
    """The one that is kept: this, or the one that came before with the same id and facts (patient, purpose, type, length, hash).

    Raises Refusal: 409 CONFLICT, this id has other facts; 410 GONE, the patient was erased.
    """
    ((erased,),) = tx.ask("SELECT hh_patient_erased(%s)", (row.patient_id,))
    if erased:
        raise Refusal(410, Code.GONE, "this patient was erased")
    added = tx.do(
        _ADD,
        (
            tx.clinic_id,
            row.id,
            row.patient_id,
            row.purpose.value,
            row.media_type.value,
            row.length_bytes,
            row.sha256,
            row.state.value,
            row.reason,
            row.pages,
            row.created_at,
            row.device_id,
            row.object_key,
            row.version_id,
            row.text_key,
            row.processing_since,
        ),
    )
    if added:
        return row
    kept = get(tx, row.id)
    if kept is None or kept.facts() != row.facts():  # None: erased a moment ago
        raise Refusal(409, Code.CONFLICT, "another upload has this id")
    return kept


def get(tx: Transaction, id: UUID) -> UploadRow | None:  # noqa: A002
    """None: the clinic has no such upload."""
    rows = tx.ask(_GET, (id,))
    return _read(rows[0]) if rows else None


def of_patient(tx: Transaction, patient_id: UUID) -> list[UploadRow]:
    """The newest first."""
    return [_read(row) for row in tx.ask(_OF_PATIENT, (patient_id,))]


def set_state(
    tx: Transaction,
    id: UUID,  # noqa: A002
    *,
    state: wire.UploadState,
    reason: str | None = None,
    pages: int | None = None,
    version_id: str | None = None,
    text_key: str | None = None,
    since: datetime | None = None,
    only_from: set[wire.UploadState] | None = None,
    only_since_before: datetime | None = None,
) -> bool:
    """False: there is none, it is in none of the states `only_from`, or has been PROCESSING only since later than that; of two at
    once, one goes through.

    reason and since (when PROCESSING began) are set as given, None too; the others stay as they were where None is given.
    """
    states = sorted(wire.UploadState if only_from is None else only_from)
    return bool(
        tx.do(
            "UPDATE upload SET state = %s, reason = %s, pages = coalesce(%s, pages), version_id = coalesce(%s, version_id),"
            " text_key = coalesce(%s, text_key), processing_since = %s WHERE id = %s AND state = ANY(%s::text[])"
            " AND (%s::timestamptz IS NULL OR processing_since < %s)",
            (
                *(state.value, reason, pages, version_id, text_key, since, id, [one.value for one in states]),
                *(only_since_before, only_since_before),
            ),
        )
    )


def add_crash(tx: Transaction, id: UUID) -> int:  # noqa: A002
    """Its inspection broke: for the how many-th time. 0: there is no such upload (any more)."""
    rows = tx.ask("UPDATE upload SET crashes = crashes + 1 WHERE id = %s RETURNING crashes", (id,))
    return int(rows[0][0]) if rows else 0


def forget_patient(tx: Transaction, patient_id: UUID) -> list[UploadRow]:
    """The rows that were taken away, with their shares: whose objects are to be erased. Belongs with `erase_patient` into one
    transaction, in any order.
    """
    tx.ask("SELECT hh_hold_patient(%s)", (patient_id,))
    return [_read(row) for row in tx.ask(_FORGET, (patient_id,))]


def _read(row: Row) -> UploadRow:
    id_, patient_id, purpose, media_type, length_bytes, sha256, state, *rest = row
    return UploadRow(
        id_,
        patient_id,
        wire.Purpose(purpose),
        wire.MediaType(media_type),
        length_bytes,
        sha256,
        wire.UploadState(state),
        *rest,
    )
