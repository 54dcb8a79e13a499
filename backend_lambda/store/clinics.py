"""The clinics."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from backend_lambda.errors import Code, Refusal
from backend_lambda.store.database import Transaction
from backend_lambda.wire import Feature


@dataclass(frozen=True, slots=True)
class ClinicRow:
    """As it was made, and what it may use. token_budget: a month; None: the service's."""

    id: UUID
    name: str
    created_at: datetime
    allows: frozenset[Feature]
    token_budget: int | None


def add(
    tx_outside: Transaction,
    id: UUID,  # noqa: A002
    name: str,
    now: datetime,
    *,
    allows: Iterable[Feature] = Feature,
    token_budget: int | None = None,
) -> bool:
    """True: it is there now and may use this, also when it was there before. False: this id has another name.

    Works in a transaction of the new clinic too, so that its first audit entry is written with it. Raises Refusal 422 for a name
    that no text column can hold.
    """
    if "\x00" in name:
        raise Refusal(422, Code.INVALID, "a name holds no NUL")
    ((same,),) = tx_outside.ask(
        "SELECT hh_add_clinic(%s, %s, %s, %s, %s)",
        (id, name, now, sorted({str(one) for one in allows}), token_budget),
    )
    return bool(same)


def get(tx: Transaction, id: UUID) -> ClinicRow | None:  # noqa: A002
    """None: there is none, or the transaction is another clinic's."""
    rows = tx.ask(
        "SELECT clinic_id, name, created_at, allows, token_budget FROM clinic WHERE clinic_id = %s", (id,)
    )
    if not rows:
        return None
    found, name, created_at, allows, token_budget = rows[0]
    known = frozenset(Feature(one) for one in allows if one in set(Feature))  # a newer version may know more
    return ClinicRow(found, name, created_at, known, token_budget)
