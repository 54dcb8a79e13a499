"""Clinics: made by those who run the service."""

from __future__ import annotations

from backend_lambda.auth.gate import as_admin
from backend_lambda.errors import Code, Refusal
from backend_lambda.ports import Ports
from backend_lambda.principals import AdminRole, Principal
from backend_lambda.settings import Settings
from backend_lambda.store import audit, clinics
from backend_lambda.store.clinics import ClinicRow, Keep, Terms
from backend_lambda.store.database import Database, Transaction
from backend_lambda.wire import Clinic, Feature, NewClinic

NOTHING = Terms(frozenset(), None)
"""What a new clinic may use."""


class Clinics:
    """For operators."""

    def __init__(self, database: Database, ports: Ports, settings: Settings) -> None:
        self._database, self._ports, self._settings = database, ports, settings

    def add(self, principal: Principal, wanted: NewClinic, request_id: str) -> Clinic:
        """The same again is no second clinic, but may allow it more or less; what is left out stays as it was.

        Raises Refusal 403, 409 (this id with another name), 422, 503.
        """
        operator = as_admin(principal, AdminRole.OPERATOR)
        if not wanted.name.isprintable() or wanted.name != wanted.name.strip():
            raise Refusal(422, Code.INVALID, "The name holds what cannot be shown.")
        now = self._ports.clock.utc()
        with self._database.clinic(wanted.id) as transaction:
            added = clinics.add(
                transaction,
                wanted.id,
                wanted.name,
                now,
                allows=wanted.allows,
                token_budget=wanted.token_budget
                if "token_budget" in wanted.model_fields_set
                else Keep.BUDGET,
            )
            if added is None:
                raise Refusal(409, Code.CONFLICT, "Another clinic has this id.")
            row = clinics.get(transaction, wanted.id)
            assert row is not None  # added above
            audit.append(
                transaction,
                audit.Entry(
                    actor_kind=str(operator.role),
                    actor_id=operator.subject,
                    action="clinic.add" if added.before is None else "clinic.change",
                    object_kind="clinic",
                    object_id=str(wanted.id),
                    result=_changes(added.before or NOTHING, row) or ("unchanged" if added.before else "ok"),
                    request_id=request_id,
                ),
                now,
            )
        return Clinic(
            id=row.id,
            name=row.name,
            created_at=row.created_at,
            allows=sorted(row.allows),
            token_budget=row.token_budget,
        )


def _changes(before: Terms, after: ClinicRow) -> str:
    """As the audit tells it: "+chat -shares token_budget=5000"."""
    now = {str(one) for one in after.allows}
    told = [f"+{one}" for one in sorted(now - before.allows)]
    told += [f"-{one}" for one in sorted(before.allows - now)]
    if after.token_budget != before.token_budget:
        told.append(f"token_budget={'default' if after.token_budget is None else after.token_budget}")
    return " ".join(told)


def allowed(transaction: Transaction, feature: Feature) -> ClinicRow:
    """The transaction's clinic. Raises Refusal 403 where it may not use this."""
    row = _row(transaction)
    if row is None or feature not in row.allows:
        raise Refusal(403, Code.NOT_ALLOWED_HERE, "This clinic does not use this.")
    return row


def allows(transaction: Transaction, feature: Feature) -> bool:
    """Whether the transaction's clinic may use this, for what is left out where it may not."""
    row = _row(transaction)
    return row is not None and feature in row.allows


def _row(transaction: Transaction) -> ClinicRow | None:
    return None if transaction.clinic_id is None else clinics.get(transaction, transaction.clinic_id)


def budget(row: ClinicRow, settings: Settings) -> int:
    """Tokens of a month, in and out together."""
    return settings.token_budget if row.token_budget is None else row.token_budget
