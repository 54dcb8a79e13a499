"""The audit as its readers see it, its heads where nobody can change them, and whether it is whole."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from backend_lambda.auth.gate import as_admin, own_clinic
from backend_lambda.errors import Code, Refusal
from backend_lambda.ports import ObjectVersion, Ports
from backend_lambda.principals import AdminRole, Principal
from backend_lambda.settings import Settings
from backend_lambda.store import audit
from backend_lambda.store.audit import Flaw, FlawKind, Head, OutOfTime
from backend_lambda.store.database import Database
from backend_lambda.store.replica import LateReads
from backend_lambda.wire import MAX_PAGE, AuditEntry, AuditPage

KEPT = timedelta(days=2_557)
"""Seven years: six after a document was last in effect (45 CFR 164.316(b)(2)), and one to be sure."""
MAX_HEADS_BYTES = 50_000_000
"""Of one hour: some 400,000 clinics."""


ANCHORED_WITHIN = timedelta(hours=3)
"""Heads are kept every hour: what is older than this and in none of them was never kept, or is looked for at the wrong place."""
HEADS = "heads/"
"""Where they are, in the audit bucket."""


def cursor_text(seq: int) -> str:
    """Opaque."""
    return base64.urlsafe_b64encode(b"a" + seq.to_bytes(8, "big")).decode("ascii")


def cursor_of(text: str) -> int:
    """Raises Refusal 422."""
    try:
        data = base64.b64decode(text, altchars=b"-_", validate=True)
    except (ValueError, binascii.Error) as error:
        raise _bad_cursor() from error
    seq = int.from_bytes(data[1:], "big")
    if not 0 < seq < 2**63 or cursor_text(seq) != text:
        raise _bad_cursor()
    return seq


@dataclass(frozen=True, slots=True)
class Finding:
    """Of one clinic's chain; without flaws it is whole. anchors: so many kept heads were compared."""

    clinic_id: UUID
    flaws: list[Flaw]
    anchors: int


class ObjectFlaw(StrEnum):
    """What is wrong with a version of an object among the kept heads."""

    HIDDEN = "hidden by a delete marker"
    NO_HEADS = "holds no heads"


@dataclass(frozen=True, slots=True)
class ObjectFinding:
    """Somebody was at the kept heads; those that are locked are still there, and are compared."""

    key: str
    version_id: str
    flaw: ObjectFlaw


class Audit:
    """Reading for a clinic's auditor; heads and verification for who runs the service, with the auditor's login.

    late_reads: None: no replica.
    """

    def __init__(
        self, database: Database, ports: Ports, settings: Settings, late_reads: LateReads | None = None
    ) -> None:
        self._database, self._ports, self._settings = database, ports, settings
        self._late_reads = late_reads or LateReads(database, None, ports.clock, ports.measures)

    def page(self, principal: Principal, cursor: str | None, limit: int, request_id: str) -> AuditPage:
        """The oldest first; with a replica as it was some seconds ago. That it is read is an entry too, made before it is shown.

        Raises Refusal 403, 422 (cursor), 503.
        """
        auditor = as_admin(principal, AdminRole.AUDITOR)
        after = 0 if cursor is None else cursor_of(cursor)
        limit = min(limit, MAX_PAGE)
        clinic_id = own_clinic(auditor)

        def read(database: Database) -> list[AuditEntry]:
            with database.clinic(clinic_id) as transaction:
                return audit.page(transaction, after, limit + 1)

        found = self._late_reads.by(read)
        with self._database.clinic(clinic_id) as transaction:
            audit.append(
                transaction,
                audit.Entry(
                    actor_kind=str(auditor.role),
                    actor_id=auditor.subject,
                    action="audit.read",
                    object_kind="audit",
                    object_id=str(after),
                    result="ok",
                    request_id=request_id,
                ),
                self._ports.clock.utc(),
            )
        more = len(found) > limit
        return AuditPage(
            entries=found[:limit], next_cursor=cursor_text(found[limit - 1].seq) if more else None
        )

    def keep_heads(self) -> tuple[str, int]:
        """The heads into the audit bucket, locked, under this hour. Returns the object's key and how many there are.

        Again in the same hour: another version, which takes nothing away from the first. Raises Refusal 503.
        """
        now = self._ports.clock.utc()
        with self._database.outside() as transaction:
            heads = audit.heads(transaction)
        body = {
            "at": now.isoformat(),
            "heads": [
                {"clinic_id": str(head.clinic_id), "seq": head.seq, "hash": head.hash.hex()} for head in heads
            ],
        }
        key = _key(now)
        self._ports.audit.write_locked(key, json.dumps(body, separators=(",", ":")).encode(), now + KEPT)
        return key, len(heads)

    def verify(
        self,
        clinic_id: UUID | None = None,
        *,
        days: int | None = None,
        in_time: Callable[[], bool] = lambda: True,
    ) -> Iterator[Finding | ObjectFinding]:
        """First what is wrong among the kept heads, then one clinic's chain, or every one's, against them.

        Every version of every kept head counts: Object Lock lets nobody take one away, but anybody who may write there put another
        one, or a delete marker, over it. days: only those that the store wrote in the last days; quicker, and it sees less.
        A clinic that only kept heads know is looked at too: its chain is gone. Chains are read from the replica, where there is one;
        what does not fit there is looked at again on the primary, for a replica may be behind a head that was just kept.
        in_time: asked all the time; when it says no, OutOfTime is raised. Raises Refusal 503.
        """
        now = self._ports.clock.utc()
        since = None if days is None else now - timedelta(days=days)
        anchors: dict[UUID, list[Head]] = {}
        for version in self._ports.audit.versions(HEADS):
            if not in_time():
                raise OutOfTime
            if version.is_marker:
                yield ObjectFinding(version.key, version.version_id, ObjectFlaw.HIDDEN)
            elif since is None or version.written_at >= since:
                kept = self._heads(version)
                if kept is None:
                    yield ObjectFinding(version.key, version.version_id, ObjectFlaw.NO_HEADS)
                for head in kept or ():
                    anchors.setdefault(head.clinic_id, []).append(head)
        with self._database.outside() as transaction:
            known = {head.clinic_id for head in audit.heads(transaction)} | anchors.keys()
        for one in sorted(known) if clinic_id is None else [clinic_id]:
            if not in_time():
                raise OutOfTime
            of_clinic = anchors.get(one, [])
            flaws = self._flaws(one, of_clinic, now - ANCHORED_WITHIN, in_time)
            if one not in known:
                flaws = [Flaw(1, FlawKind.MISSING)]  # a clinic's first row is that it was made
            yield Finding(one, flaws, len(of_clinic))

    def _flaws(
        self, clinic_id: UUID, anchors: Sequence[Head], anchored_before: datetime, in_time: Callable[[], bool]
    ) -> list[Flaw]:
        def found(database: Database) -> list[Flaw]:
            return audit.verify(
                database, clinic_id, anchors, anchored_before=anchored_before, in_time=in_time
            )

        return self._late_reads.by(found) and found(self._database)

    def _heads(self, version: ObjectVersion) -> list[Head] | None:
        """None: it is none of ours."""
        try:
            data = self._ports.audit.read(version.key, version.version_id, MAX_HEADS_BYTES)
        except Refusal as refusal:
            if refusal.status >= 500:
                raise
            return None
        return _heads(data)


def _key(at: datetime) -> str:
    return f"{HEADS}{at:%Y-%m-%d}/{at:%H}.json"


def _heads(data: bytes) -> list[Head] | None:
    try:
        return [
            Head(UUID(one["clinic_id"]), int(one["seq"]), bytes.fromhex(one["hash"]))
            for one in json.loads(data)["heads"]
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _bad_cursor() -> Refusal:
    return Refusal(422, Code.INVALID, "The cursor is none of ours.")
