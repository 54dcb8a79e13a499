"""The model's tokens, by clinic and day (UTC)."""

from __future__ import annotations

from datetime import UTC, date, datetime

from backend_lambda.store.database import Transaction


def add(tx: Transaction, *, day: date, input_tokens: int, output_tokens: int) -> None:
    """Adds to that day's."""
    tx.do(
        "INSERT INTO usage_day AS kept (clinic_id, day, input_tokens, output_tokens) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (clinic_id, day) DO UPDATE SET input_tokens = kept.input_tokens + excluded.input_tokens,"
        " output_tokens = kept.output_tokens + excluded.output_tokens",
        (tx.clinic_id, day, input_tokens, output_tokens),
    )


def correct(tx: Transaction, *, day: date, input_tokens: int, output_tokens: int) -> None:
    """Adds to a day that was counted already; what was counted too high may be taken off."""
    tx.do(
        "UPDATE usage_day SET input_tokens = greatest(0, input_tokens + %s), output_tokens = greatest(0, output_tokens + %s)"
        " WHERE clinic_id = %s AND day = %s",
        (input_tokens, output_tokens, tx.clinic_id, day),
    )


def used_this_month(tx: Transaction, now: datetime) -> int:
    """In and out together, since the first of the month (UTC)."""
    first = now.astimezone(UTC).date().replace(day=1)
    ((used,),) = tx.ask(
        "SELECT coalesce(sum(input_tokens + output_tokens), 0)::bigint FROM usage_day"
        " WHERE day >= %(first)s AND day < (%(first)s::date + interval '1 month')::date",
        {"first": first},
    )
    return int(used)
