"""Of what costs money by use: a device asks for it less often than for the rest, and a clinic has so much of it a month (UTC).

`auth.gate` counts all requests of a device; this is counted apart, and only in the database, whatever cache the gate has.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal
from uuid import uuid5

from backend_lambda.errors import Code, Refusal
from backend_lambda.principals import Device
from backend_lambda.store import admission
from backend_lambda.store.database import Transaction


def too_often(
    transaction: Transaction,
    device: Device,
    what: Literal["chat", "speech"],
    now: datetime,
    limit_per_minute: int,
) -> Refusal | None:
    """Counts one; the transaction must be committed to count. None: not too many in this minute; else 429, to be raised after it."""
    wait_s = admission.count(
        transaction,
        clinic_id=device.clinic_id,
        asker_id=uuid5(device.id, what),  # a window of its own
        now=now,
        limit_per_minute=limit_per_minute,
    )
    if wait_s is None:
        return None
    return Refusal(429, Code.RATE_LIMITED, "This device asks too often.", retry_after_s=wait_s)


def budget_spent(now: datetime) -> Refusal:
    """429 until the next month begins. now: UTC."""
    next_month = (now.replace(day=1) + timedelta(days=32)).replace(
        day=1, hour=0, minute=0, second=0, microsecond=0
    )
    return Refusal(
        429,
        Code.BUDGET_SPENT,
        "This month's budget of the clinic is spent.",
        retry_after_s=(next_month - now).total_seconds(),
    )
