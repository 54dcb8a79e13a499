"""Rows for the tests of the store."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from backend_lambda import wire
from backend_lambda.store import (
    admission,
    audit,
    clinics,
    devices,
    observations,
    sessions,
    shares,
    uploads,
    usage,
)
from backend_lambda.store.database import Database, Transaction

NOW = datetime(2026, 11, 27, 12, 0, 0, tzinfo=UTC)
KEY = {"kty": "EC", "crv": "P-256", "x": "x" * 43, "y": "y" * 43}


class StillClock:
    """For fixtures that last longer than a test's own clock."""

    def utc(self) -> datetime:
        return NOW

    def now_s(self) -> float:
        return 0.0


def sha(text: object) -> bytes:
    return hashlib.sha256(str(text).encode()).digest()


def observation(patient_id: UUID, **changes: Any) -> wire.Observation:
    """A scan that found a pulse."""
    return wire.Observation.model_validate(
        {
            "id": uuid4(),
            "patient_id": patient_id,
            "kind": "scan",
            "taken_at": NOW,
            "utc_offset_min": 60,
            "software_version": "1.0",
            "values": {"heart_rate": {"value": 61.5, "low": 59.0, "high": 64.0, "unit": "bpm"}},
            "facts": {"measured_fps": 29.97, "simulated": True},
            **changes,
        }
    )


def upload(patient_id: UUID, device_id: UUID, **changes: Any) -> uploads.UploadRow:
    """A PDF that is awaited."""
    facts: dict[str, Any] = {
        "id": uuid4(),
        "patient_id": patient_id,
        "purpose": wire.Purpose.MEDICAL_REPORT,
        "media_type": wire.MediaType.PDF,
        "length_bytes": 1000,
        "sha256": "ab" * 32,
        "state": wire.UploadState.AWAITING,
        "reason": None,
        "pages": None,
        "created_at": NOW,
        "device_id": device_id,
        "object_key": "c/clinic/patient/upload",
    }
    return uploads.UploadRow(**{**facts, **changes})


def entry(**changes: str) -> audit.Entry:
    words = {
        "actor_kind": "device",
        "actor_id": "d",
        "action": "observations.add",
        "object_kind": "patient",
        "object_id": "p",
        "result": "ok",
        "request_id": "r",
    }
    return audit.Entry(**{**words, **changes})


def device(tx: Transaction, device_id: UUID | None = None, name: str = "Kiosk") -> UUID:
    """A new one."""
    made = device_id or uuid4()
    devices.add(
        tx,
        device_id=made,
        name=name,
        thumbprint="t" * 43,
        public_key=KEY,
        software_version="1.0",
        now=NOW,
    )
    return made


def fill(api: Database, chat: Database, clinic_id: UUID) -> UUID:
    """At least one row of this clinic in every table, made by the store itself. Returns the device."""
    with api.clinic(clinic_id) as tx:
        assert clinics.add(tx, clinic_id, "Clinic", NOW)
        device_id = device(tx)
        devices.add_code(
            tx,
            code_hash=sha(uuid4()),
            expires_at=NOW + timedelta(minutes=10),
            created_by="admin",
            device_name="",
        )
        sessions.issue(
            tx,
            device_id=device_id,
            family=uuid4(),
            token_hash=sha(uuid4()),
            expires_at=NOW + timedelta(days=30),
            now=NOW,
        )
        patient_id = uuid4()
        added = observations.add_many(tx, device_id, [observation(patient_id)], NOW)
        assert added == [wire.ItemStatus.STORED]
        row = uploads.add(tx, upload(patient_id, device_id))
        assert shares.add(
            tx,
            id=uuid4(),
            upload_id=row.id,
            device_id=device_id,
            secret_hash=sha(uuid4()),
            expires_at=NOW + timedelta(days=1),
            now=NOW,
        )
        assert observations.erase_patient(tx, uuid4(), NOW) == 0
        audit.append(tx, entry(), NOW)
    with api.outside() as tx:
        admitted = admission.admit(
            tx, clinic_id=clinic_id, device_id=device_id, proof=sha(uuid4()), now=NOW, limit_per_minute=10
        )
        assert admitted.verdict is admission.Verdict.OK
    with chat.clinic(clinic_id) as tx:
        usage.add(tx, day=NOW.date(), input_tokens=10, output_tokens=2)
    return device_id
