"""Who did what, for each clinic a chain of rows that are never changed: each row's hash covers the row before it.

A row's hash is SHA-256 of the row before's hash (32 zero bytes before the first) and the row as canonical JSON: keys sorted, no
spaces, UTF-8, its time as 2026-11-27T22:34:05.123456Z. The database makes it; `verify` makes it anew by itself.
Whoever owns the tables could rewrite a whole chain: against that, heads are written where nobody can change them (anchors).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from uuid import UUID

from backend_lambda import wire
from backend_lambda.store.database import Database, Row, Transaction

_AT_ONCE = 1000
_MOST = 2**63 - 1
_NOTHING = bytes(32)
_PLACES_TRIED = 200_000
"""In all, when looking for where a row was moved from."""


@dataclass(frozen=True, slots=True)
class Entry:
    """No health data: kinds, ids and words only. result: "ok" or a `Code`."""

    actor_kind: str
    actor_id: str
    action: str
    object_kind: str
    object_id: str
    result: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Head:
    """The last row of a clinic's chain."""

    clinic_id: UUID
    seq: int
    hash: bytes


class FlawKind(StrEnum):
    """What is wrong with a row."""

    CHANGED = "changed"
    MISSING = "missing"
    REORDERED = "reordered"
    """Whole, but at another place than where it was written."""
    HEAD = "head"
    """The chain does not end as its head, or an anchor, says."""
    UNANCHORED = "unanchored"
    """Old enough for an anchor that covers it, and there is none."""


@dataclass(frozen=True, slots=True)
class Flaw:
    """count: so many rows in a row from seq on (MISSING and UNANCHORED)."""

    seq: int
    kind: FlawKind
    count: int = 1


def append(tx: Transaction, entry: Entry, now: datetime) -> None:
    """The last statement of a transaction: it locks the end of the clinic's chain until COMMIT."""
    tx.ask(
        "SELECT hh_audit(%s, %s, %s, %s, %s, %s, %s, %s)",
        (
            entry.actor_kind,
            entry.actor_id,
            entry.action,
            entry.object_kind,
            entry.object_id,
            entry.result,
            entry.request_id,
            now,
        ),
    )


def append_import(tx: Transaction, day: date, job: str, request_id: str, now: datetime) -> None:
    """As `append`, for the login that exports (hh_export), which can write no other entry: a day went into HealthLake as this job."""
    tx.ask("SELECT hh_audit_import(%s, %s, %s, %s)", (day, job, request_id, now))


def page(tx: Transaction, after_seq: int, limit: int) -> list[wire.AuditEntry]:
    """The oldest first, from behind after_seq on (0: from the first); at most `limit`."""
    rows = tx.ask(
        "SELECT seq, at, actor_kind, actor_id, action, object_kind, object_id, result, request_id FROM audit"
        " WHERE seq > %s ORDER BY seq LIMIT %s",
        (min(after_seq, _MOST), limit),
    )
    names = (
        "seq",
        "at",
        "actor_kind",
        "actor_id",
        "action",
        "object_kind",
        "object_id",
        "result",
        "request_id",
    )
    return [wire.AuditEntry.model_validate(dict(zip(names, row, strict=True))) for row in rows]


def heads(tx_outside: Transaction) -> list[Head]:
    """Of every clinic that has a chain."""
    return [Head(*row) for row in tx_outside.ask("SELECT clinic_id, seq, hash FROM hh_audit_heads()")]


class OutOfTime(Exception):
    """A verification ended before it was through."""


def verify(
    database: Database,
    clinic_id: UUID,
    anchors: Iterable[Head] = (),
    *,
    anchored_before: datetime | None = None,
    in_time: Callable[[], bool] = lambda: True,
) -> list[Flaw]:
    """What is wrong with a clinic's chain, by seq; nothing: it is whole. database: as auditor.

    anchors: heads as they were kept elsewhere, also several of one row; those of other clinics are passed over.
    anchored_before: rows older than this must be covered by one of them. in_time: asked every _AT_ONCE rows; raises OutOfTime.
    """
    known: dict[int, set[bytes]] = {}
    for anchor in anchors:
        if anchor.clinic_id == clinic_id:
            known.setdefault(anchor.seq, set()).add(anchor.hash)
    check = _Check(clinic_id, known, anchored_before)
    with database.clinic(clinic_id, snapshot=True) as tx:
        for row in _rows(tx, in_time):
            check.row(row)
        head = tx.ask("SELECT seq, hash FROM audit_head")
    return check.flaws((head[0][0], head[0][1]) if head else (0, _NOTHING))


@dataclass(frozen=True, slots=True)
class _Link:
    seq: int
    at: datetime
    fields: dict[str, str]
    prev_hash: bytes
    hash: bytes

    def fits(self, clinic_id: UUID, seq: int) -> bool:
        """Whether it was written as number seq."""
        body: dict[str, str | int] = {**self.fields, "clinic_id": str(clinic_id), "seq": seq}
        text = json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(self.prev_hash + text.encode()).digest() == self.hash


def _rows(tx: Transaction, in_time: Callable[[], bool]) -> Iterator[_Link]:
    after = -_MOST
    while rows := tx.ask(
        "SELECT seq, at, actor_kind, actor_id, action, object_kind, object_id, result, request_id, prev_hash, hash"
        " FROM audit WHERE seq > %s ORDER BY seq LIMIT %s",
        (after, _AT_ONCE),
    ):
        if not in_time():
            raise OutOfTime
        yield from map(_link, rows)
        after = rows[-1][0]


def _link(row: Row) -> _Link:
    seq, at, *words, prev_hash, own_hash = row
    names = ("actor_kind", "actor_id", "action", "object_kind", "object_id", "result", "request_id")
    time = at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
    return _Link(seq, at, {"at": time, **dict(zip(names, words, strict=True))}, prev_hash, own_hash)


class _Check:
    """Walks a chain once, keeping only what does not fit."""

    def __init__(
        self, clinic_id: UUID, anchors: dict[int, set[bytes]], anchored_before: datetime | None
    ) -> None:
        self._clinic_id = clinic_id
        self._anchors = dict(anchors)
        self._anchored_to, self._anchored_before = max(anchors, default=0), anchored_before
        self._unanchored: list[int] = []
        self._flaws: set[Flaw] = set()
        self._misfits: list[_Link] = []
        self._torn: set[int] = set()
        """Rows whose hash the row behind them does not name."""
        self._last = _Link(0, datetime.min.replace(tzinfo=UTC), {}, _NOTHING, _NOTHING)

    def row(self, link: _Link) -> None:
        """The next one, by seq."""
        expected = self._last.seq + 1
        if link.seq > expected:
            self._flaws.add(Flaw(expected, FlawKind.MISSING, link.seq - expected))
        if link.seq < expected or not link.fits(self._clinic_id, link.seq):
            self._misfits.append(link)
        elif link.seq == expected and link.prev_hash != self._last.hash:
            self._torn.add(self._last.seq)
        self._anchor(link)
        self._last = link

    def flaws(self, head: tuple[int, bytes]) -> list[Flaw]:
        """After the last row. head: seq and hash, 0 and zeros where there is none."""
        end, end_hash = head
        if end > self._last.seq:
            self._flaws.add(Flaw(self._last.seq + 1, FlawKind.MISSING, end - self._last.seq))
        elif (end, end_hash) != (self._last.seq, self._last.hash):
            self._flaws.add(Flaw(end, FlawKind.HEAD))
            self._torn.add(self._last.seq)
        if self._unanchored:
            self._flaws.add(Flaw(self._unanchored[0], FlawKind.UNANCHORED, len(self._unanchored)))
        # An anchor that met no row: the end of the chain was cut off, and its head with it
        self._flaws |= {Flaw(seq, FlawKind.HEAD) for seq in self._anchors}
        found = self._flaws | self._misplaced() | self._rewritten()
        return sorted(found, key=lambda flaw: (flaw.seq, flaw.kind))

    def _anchor(self, link: _Link) -> None:
        if self._anchors.pop(link.seq, {link.hash}) != {link.hash}:
            self._flaws.add(Flaw(link.seq, FlawKind.HEAD))
        before = self._anchored_before
        if before is not None and link.seq > self._anchored_to and link.at < before:
            self._unanchored.append(link.seq)

    def _misplaced(self) -> set[Flaw]:
        """Rows that fit the place of another misfit, or one that is empty now, were moved; the others changed."""
        places = [link.seq for link in self._misfits]
        for flaw in self._flaws:
            if flaw.kind is FlawKind.MISSING:
                places += range(flaw.seq, flaw.seq + min(flaw.count, _PLACES_TRIED))
        places = places[: max(_PLACES_TRIED // max(len(self._misfits), 1), 10)]
        return {
            Flaw(
                link.seq,
                FlawKind.REORDERED
                if any(link.fits(self._clinic_id, seq) for seq in places if seq != link.seq)
                else FlawKind.CHANGED,
            )
            for link in self._misfits
        }

    def _rewritten(self) -> set[Flaw]:
        """Rows that fit themselves, so that only their neighbours tell: torn on both sides, or the one before the tear."""
        told = {link.seq for link in self._misfits}
        changed = {
            seq + 1 if seq == 0 or seq + 1 in self._torn else seq for seq in self._torn - {self._last.seq}
        }
        return {
            Flaw(seq, FlawKind.CHANGED)
            for seq in changed - told
            if seq - 1 not in told or seq not in self._torn
        }
