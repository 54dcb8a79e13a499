"""The clinics."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from uuid import UUID

from backend_lambda.errors import Code, Refusal
from backend_lambda.store.database import Transaction
from backend_lambda.wire import Feature


class Keep(Enum):
    """Left as it is; of a new clinic: the service's."""

    BUDGET = "budget"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a clinic may use. token_budget: a month; None: the service's."""

    allows: frozenset[str]
    token_budget: int | None


@dataclass(frozen=True, slots=True)
class Added:
    """before: what it might use until now; None: it is new."""

    before: Terms | None


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
    allows: Iterable[Feature] | None = None,
    token_budget: int | Keep | None = Keep.BUDGET,
) -> Added | None:
    """None: this id has another name. Else it is there now and may use this, also when it was there before.

    allows None: as it was; a new clinic may use nothing.

    Works in a transaction of the new clinic too, so that its first audit entry is written with it. Raises Refusal 422 for a name
    that no text column can hold.
    """
    if "\x00" in name:
        raise Refusal(422, Code.INVALID, "a name holds no NUL")
    keeps = isinstance(token_budget, Keep)
    rows = tx_outside.ask(
        "SELECT old_allows, old_token_budget FROM hh_add_clinic(%s, %s, %s, %s::text[], %s::bigint, %s)",
        (
            id,
            name,
            now,
            None if allows is None else sorted({str(one) for one in allows}),
            None if keeps else token_budget,
            keeps,
        ),
    )
    if not rows:
        return None
    ((old_allows, old_budget),) = rows
    return Added(None if old_allows is None else Terms(frozenset(old_allows), old_budget))


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
