"""The clinics."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from backend_lambda.errors import Code, Refusal
from backend_lambda.store.database import Transaction


@dataclass(frozen=True, slots=True)
class ClinicRow:
    """As it was made."""

    id: UUID
    name: str
    created_at: datetime


def add(tx_outside: Transaction, id: UUID, name: str, now: datetime) -> bool:  # noqa: A002
    """True: it is there now, also when it was there just so. False: this id has another name.

    Works in a transaction of the new clinic too, so that its first audit entry is written with it. Raises Refusal 422 for a name
    that no text column can hold.
    """
    if "\x00" in name:
        raise Refusal(422, Code.INVALID, "a name holds no NUL")
    ((same,),) = tx_outside.ask("SELECT hh_add_clinic(%s, %s, %s)", (id, name, now))
    return bool(same)


def get(tx: Transaction, id: UUID) -> ClinicRow | None:  # noqa: A002
    """None: there is none, or the transaction is another clinic's."""
    rows = tx.ask("SELECT clinic_id, name, created_at FROM clinic WHERE clinic_id = %s", (id,))
    return ClinicRow(*rows[0]) if rows else None
