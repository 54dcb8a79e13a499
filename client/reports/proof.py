"""What ties a report to the scan it tells of: an identifier and the SHA-256 of the scan's numbers, in words and as a QR code.

What it shows: whoever has the scan (the store, an export) can compute the same hash and see that the page tells of this scan and that
none of the scan's numbers is another one now. What it does not show: who was measured, that the numbers are right, or who made the
page. It is no signature: whoever changes the scan can compute a new hash.

The hash is over the canonical JSON of RFC 8785 (keys in order, no spaces, UTF-8) of {"scan", "taken_at", "version"}, where "scan" is
the public JSON of the scan (client.records) less "saved", "saved_reason" and "cost", which are of the computer.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID, uuid5

from client.records import ScanRecord

_SCHEME: Final = "health-helper:scan"
_TEXT: Final = re.compile(rf"{_SCHEME}:([0-9a-f-]{{36}}):([0-9a-f]{{64}})")
_NAMESPACE: Final = UUID("0d5be0a1-52a7-4d0a-8a57-9e5a6a6f7c11")
"""Of the identifiers of reports on scans that were not kept."""
_OF_THE_COMPUTER: Final = frozenset({"saved", "saved_reason", "cost"})


def digest(record: ScanRecord) -> str:
    """64 hexadecimal digits; the same for the scan before and after it was kept. ValueError for a number that is not finite (our bug)."""
    return _digest(record.to_json(), record.taken_at, record.version)


def digest_of_row(row: Mapping[str, Any]) -> str:
    """The same of a row of an export as .json ("taken_at", "body"). ValueError for what is no scan, whoever has written it."""
    try:
        body = row["body"]
        taken_at = datetime.fromisoformat(row["taken_at"])
        if taken_at.tzinfo is None:  # would be another moment on every computer
            raise ValueError("a moment without its zone")
        return _digest(body["scan"], taken_at, body["version"])
    except (LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise ValueError("no scan") from error


def report_id(record: ScanRecord, scan_id: str | None) -> str:
    """The kept scan's own identifier; of one that was not kept, one that is made of its hash."""
    return scan_id or str(uuid5(_NAMESPACE, digest(record)))


def code_text(record: ScanRecord, scan_id: str | None) -> str:
    """What the QR code says: "health-helper:scan:<identifier>:<sha256>"."""
    return f"{_SCHEME}:{report_id(record, scan_id)}:{digest(record)}"


def verify(text: str, record: ScanRecord, scan_id: str | None) -> bool:
    """Whether a code that was read off a page is that of this scan. False also for what is no such code."""
    found = _TEXT.fullmatch(text.strip())
    return found is not None and found.groups() == (report_id(record, scan_id), digest(record))


def _digest(scan: Mapping[str, Any], taken_at: datetime, version: str) -> str:
    utc = taken_at.astimezone(UTC)
    when = utc.replace(microsecond=utc.microsecond // 1000 * 1000)  # as the store has it
    whole = {
        "scan": {name: value for name, value in scan.items() if name not in _OF_THE_COMPUTER},
        "taken_at": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "version": version,
    }
    text = json.dumps(
        _plain(whole), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _plain(value: Any) -> Any:
    """Numbers as JavaScript writes them, which is what RFC 8785 wants: 70.0 is 70. Those of a scan have four decimals at most."""
    match value:
        case bool():
            return value
        case float() if value.is_integer() and abs(value) < 1e15:
            return int(value)
        case Mapping():
            return {str(name): _plain(item) for name, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case _:
            return value
