"""What is kept of one person, as reports and exports take it. Plain values: the store is not known here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from client.records import ScanRecord

Dot = tuple[datetime, float] | tuple[datetime, float, float | None, float | None]
"""Of a scan: when, with its time zone, heart rate in /min, and the bounds of its 95 % interval where they are known."""
_FARTHEST_MIN = 14 * 60
"""No place is farther from UTC."""


@dataclass(frozen=True, slots=True)
class Scan:
    """A kept scan. id: a UUID. utc_offset_min: what the wall clock there was ahead of UTC."""

    id: str
    record: ScanRecord
    utc_offset_min: int


@dataclass(frozen=True, slots=True)
class Entry:
    """What a person read off another device and typed in. kind: as the store has it ("blood_pressure"). values: by name, in units."""

    id: str
    kind: str
    taken_at: datetime
    utc_offset_min: int
    values: Mapping[str, float]
    units: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Document:
    """A file of the person. sha256: 64 hexadecimal digits. read: its bytes piece by piece, checked on the way."""

    id: str
    title: str
    purpose: str
    media_type: str
    length_bytes: int
    sha256: str
    added_at: datetime
    utc_offset_min: int
    read: Callable[[], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class Consent:
    """What somebody agreed to, or took back. subject: a code ("measuring", "cloud"). version: of the words that were shown."""

    id: str
    subject: str
    version: int
    given: bool
    language: str
    at: datetime
    utc_offset_min: int


@dataclass(frozen=True, slots=True)
class Person:
    """id: a UUID; of a guest one that was made for this file. name: as typed, None for a guest. record_number: the clinic's."""

    id: str
    name: str | None = None
    record_number: str | None = None


@dataclass(frozen=True, slots=True)
class Everything:
    """All that is kept of one person. What may be much is read when it is asked for, each time anew, the oldest first.

    whole: all of it as values of JSON, as the store hands it out. rows: those of its observations with nothing but columns, which are
    numbers and codes. count: of scans and entries, for a progress. made_at: when the export was asked for; utc_offset_min: what the wall
    clock was ahead of UTC then; version: of this software.
    """

    person: Person
    scans: Callable[[], Iterator[Scan]]
    entries: Callable[[], Iterator[Entry]]
    documents: tuple[Document, ...]
    consents: tuple[Consent, ...]
    whole: Callable[[], Mapping[str, object]]
    rows: Callable[[], Iterator[Mapping[str, object]]]
    columns: tuple[str, ...]
    count: int
    made_at: datetime
    utc_offset_min: int
    version: str


def local(moment: datetime, utc_offset_min: int) -> datetime:
    """A moment on the clock of its place; in UTC where there is no such place."""
    minutes = utc_offset_min if abs(utc_offset_min) <= _FARTHEST_MIN else 0
    try:
        return moment.astimezone(timezone(timedelta(minutes=minutes)))
    except OverflowError:  # the first or the last hours that there are
        return moment.astimezone(UTC)
