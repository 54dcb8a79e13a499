"""What is kept of somebody, made up."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from client.records import ScanRecord
from client.reports.contents import Consent, Document, Entry, Everything, Person, Scan
from edge_models.types import Quality, Reason
from tests.client.cli.test_card import RECORD
from tests.client.pipeline.fakes import estimate, scan_result

PERSON = Person("6f0d3a51-6c0f-4f5e-9d54-2f2f5b7f8a10", "Ada Łukasz", "R-0815")
AT = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
WHOLE = b"%PDF-1.7 not really" * 1000


def scan(number: int = 1, record: ScanRecord | None = None) -> Scan:
    """A scan with a heart rate, a breathing rate and a reason for each value that is lacking."""
    vitals = {
        "heart_rate": estimate(61.5, Reason.MOTION),
        "respiratory_rate": estimate(14.25),
        "rmssd": estimate(38.0, unit="ms"),
        "sdnn": estimate(None, Reason.TOO_SHORT, Reason.BEATS_UNCERTAIN, unit="ms"),
    }
    result = scan_result(vitals=vitals, quality=Quality(0.8, (Reason.MOTION,), Reason.MOTION))
    made = record or replace(RECORD, result=result, taken_at=AT - timedelta(days=5 * number))
    return Scan(f"00000000-0000-4000-8000-{number:012d}", made, 330)


def entry(kind: str, values: dict[str, float], number: int = 1) -> Entry:
    units = {
        "systolic": "mmHg",
        "diastolic": "mmHg",
        "pulse": "/min",
        "spo2": "%",
        "celsius": "°C",
        "kg": "kg",
    }
    return Entry(f"00000000-0000-4000-9000-{number:012d}", kind, AT, 60, values, units)


ENTRIES = (
    entry("blood_pressure", {"systolic": 121.0, "diastolic": 79.0, "pulse": 64.0}, 1),
    entry("oximeter", {"spo2": 97.0}, 2),
    entry("temperature", {"celsius": 36.6}, 3),
    entry("weight", {"kg": 71.25}, 4),
)


def document(number: int = 1, title: str = "Letter", whole: bytes = WHOLE, **changes: Any) -> Document:
    def read() -> Iterator[bytes]:
        for begin in range(0, len(whole), 4096):
            yield whole[begin : begin + 4096]

    made = Document(
        f"00000000-0000-4000-a000-{number:012d}",
        title,
        "letter",
        "application/pdf",
        len(whole),
        hashlib.sha256(whole).hexdigest(),
        AT,
        60,
        read,
    )
    return replace(made, **changes)


CONSENTS = (
    Consent("00000000-0000-4000-b000-000000000001", "cloud", 1, True, "en", AT - timedelta(days=1), 60),
    Consent("00000000-0000-4000-b000-000000000002", "cloud", 1, False, "en", AT, 60),
)


def everything(**changes: Any) -> Everything:
    """Two scans, an entry of each kind, a document, two consents."""
    scans = tuple(changes.pop("scans", (scan(2), scan(1))))
    entries = tuple(changes.pop("entries", ENTRIES))
    rows = [
        {
            "id": one.id,
            "kind": "scan",
            "taken_at": one.record.taken_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "heart_rate": one.record.heart_rate.value,
            "body": {
                "scan": {**one.record.to_json(), "saved": True, "saved_reason": None},
                "version": one.record.version,
                "notes": ["=HYPERLINK(1)"],
            },
        }
        for one in scans
    ]
    plain = Everything(
        person=PERSON,
        scans=lambda: iter(scans),
        entries=lambda: iter(entries),
        documents=(document(),),
        consents=CONSENTS,
        whole=lambda: {"schema": "health-helper/everything/1", "observations": rows},
        rows=lambda: iter(rows),
        columns=("id", "kind", "taken_at", "heart_rate"),
        count=len(scans) + len(entries),
        made_at=AT,
        utc_offset_min=60,
        version="1.2.3",
    )
    return replace(plain, **changes)
