"""Whether somebody may ask now. A device: it is enrolled, not revoked, its proof is new, and it does not ask too often."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from backend_lambda.store.database import Transaction

NO_CLINIC = UUID(int=0)


class Verdict(StrEnum):
    """The first of these that is true, from the bottom up: an unknown device's proofs are not kept, a replay is not counted."""

    OK = "ok"
    LIMITED = "limited"
    REPLAYED = "replayed"
    REVOKED = "revoked"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Admission:
    """retry_after_s: LIMITED only, until the next minute begins (0 < s ≤ 60)."""

    verdict: Verdict
    retry_after_s: float | None = None


def admit(
    tx_outside: Transaction,
    *,
    clinic_id: UUID,
    device_id: UUID,
    proof: bytes,
    now: datetime,
    limit_per_minute: int,
) -> Admission:
    """Judge and count one request, in one round trip; must be committed to count.

    proof: sha256(jkt + jti), kept 25 minutes: a proof may be 10 minutes off either way. The minute is a fixed one, for each device.
    """
    ((verdict, retry_after_s),) = tx_outside.ask(
        "SELECT verdict, retry_after_s FROM hh_admit(%s, %s, %s, %s, %s)",
        (clinic_id, device_id, proof, now, limit_per_minute),
    )
    return Admission(Verdict(verdict), retry_after_s)


def standing(tx_outside: Transaction, *, clinic_id: UUID, device_id: UUID, proof: bytes) -> Verdict:
    """OK, REVOKED, UNKNOWN, or REPLAYED where the proof came in through the database. Reads only: where a cache keeps and counts."""
    ((verdict,),) = tx_outside.ask("SELECT hh_standing(%s, %s, %s)", (clinic_id, device_id, proof))
    return Verdict(verdict)


def seen_proof(tx_outside: Transaction, proof: bytes, now: datetime) -> bool:
    """For proofs before a device is known (enrol, token). True: it was seen already; otherwise it is kept as seen."""
    ((seen,),) = tx_outside.ask("SELECT hh_proof_seen(%s, %s)", (proof, now))
    return bool(seen)


def count(
    tx_outside: Transaction,
    *,
    clinic_id: UUID | None,
    asker_id: UUID,
    now: datetime,
    limit_per_minute: int,
) -> float | None:
    """Count one request of somebody who is no device; must be committed to count. None: not too many.

    Else the seconds until the next minute begins (0 < s ≤ 60). clinic_id None: of those who belong to none.
    """
    ((retry_after_s,),) = tx_outside.ask(
        "SELECT hh_count(%s, %s, %s, %s)", (clinic_id or NO_CLINIC, asker_id, now, limit_per_minute)
    )
    return None if retry_after_s is None else float(retry_after_s)
