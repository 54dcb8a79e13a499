"""What devices measured: kept, read in pages, exported and erased."""

from __future__ import annotations

import base64
import binascii
import json
import struct
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from backend_lambda.auth.gate import as_device, as_keeper, kind_of, name_of, own_clinic
from backend_lambda.errors import Code, Refusal
from backend_lambda.ports import Ports
from backend_lambda.principals import Device, Principal
from backend_lambda.services import fields
from backend_lambda.services.clinics import allows
from backend_lambda.services.feeds import VitalsFeed
from backend_lambda.services.uploads import folder_of
from backend_lambda.settings import Settings
from backend_lambda.store import audit, observations, uploads
from backend_lambda.store.database import Database, Transaction
from backend_lambda.store.observations import Cursor
from backend_lambda.wire import (
    MAX_PAGE,
    BatchResult,
    Erased,
    Export,
    Feature,
    ItemResult,
    ItemStatus,
    Observation,
    ObservationBatch,
    ObservationPage,
    StoredObservation,
    Upload,
)

ANSWER_BYTES = 4_500_000
"""Of the observations and files in one answer. Lambda takes 6,291,556 bytes of it, as JSON in which the body is a JSON text once more."""
EARLIEST, LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
"""A device's clock may be wrong by years, which is no reason to lose what it measured; beyond these nothing was measured."""
OBJECT_PLACES = ("c", "q", "t")
"""Documents, quarantine, texts: every object of a patient is under PLACE/CLINIC/`folder_of` the patient/."""
PAGE_DEFAULT = 50
_IN_FILES = "f."
"""Before a cursor of an export that has not told all files yet; no cursor has a dot."""
_ITEM = TypeAdapter(Observation)
_CURSOR = struct.Struct(">q16s")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def cursor_text(cursor: Cursor) -> str:
    """Opaque: 32 characters of base64url. No secret: it names a place in what its holder may read anyway."""
    microseconds = (cursor.taken_at - _EPOCH) // timedelta(microseconds=1)
    return base64.urlsafe_b64encode(_CURSOR.pack(microseconds, cursor.id.bytes)).decode("ascii")


def cursor_of(text: str) -> Cursor:
    """Raises Refusal 422."""
    try:
        data = base64.b64decode(text, altchars=b"-_", validate=True)
        microseconds, identifier = _CURSOR.unpack(data)
        taken_at = _EPOCH + timedelta(microseconds=microseconds)
    except (ValueError, binascii.Error, struct.error, OverflowError) as error:
        raise _bad_cursor() from error
    cursor = Cursor(taken_at=taken_at, id=UUID(bytes=identifier))
    if not EARLIEST <= taken_at <= LATEST or cursor_text(cursor) != text:
        raise _bad_cursor()
    return cursor


class Observations:
    """Devices add and read; a device or the clinic's administrator exports and erases a patient."""

    def __init__(self, database: Database, ports: Ports, settings: Settings) -> None:
        self._database, self._ports, self._settings = database, ports, settings
        self._feed = VitalsFeed(ports)

    def add(self, principal: Principal, batch: ObservationBatch, request_id: str) -> BatchResult:
        """An answer for each item, in their order. Raises Refusal 403, 503."""
        device = as_device(principal)
        good: dict[int, Observation] = {}
        results: dict[int, ItemResult] = {}
        offered: list[Observation] = []
        for at, item in enumerate(batch.observations):
            try:
                good[at] = _checked(item)
            except _BadItem as bad:
                results[at] = ItemResult(
                    at=at, id=_identifier(item), status=ItemStatus.INVALID, fields=bad.fields
                )
        if good:
            now = self._ports.clock.utc()
            with self._database.clinic(device.clinic_id) as transaction:
                statuses = observations.add_many(transaction, device.id, list(good.values()), now)
                if (
                    self._feed.is_on
                    and ItemStatus.STORED in statuses
                    and allows(transaction, Feature.ANALYSIS)
                ):
                    offered = [
                        one
                        for one, status in zip(good.values(), statuses, strict=True)
                        if status is ItemStatus.STORED
                    ]
                self._note_added(transaction, device, list(good.values()), statuses, request_id)
                if offered:
                    self._note_offered(transaction, device, len(offered), request_id)
            self._measure_quality(device, list(good.values()), statuses)
            self._feed.stored(device, now, offered)
            for (at, item), status in zip(good.items(), statuses, strict=True):
                results[at] = ItemResult(at=at, id=item.id, status=status)
        for status, count in Counter(result.status for result in results.values()).items():
            self._ports.measures.add(f"observations_{status}", float(count), "Count", str(device.clinic_id))
        return BatchResult(results=[results[at] for at in range(len(batch.observations))])

    def page(
        self, principal: Principal, patient_id: UUID, cursor: str | None, limit: int, request_id: str
    ) -> ObservationPage:
        """Newest first, as many as fit into ANSWER_BYTES. limit: 1 … MAX_PAGE. Raises Refusal 403, 422 (cursor), 503."""
        device = as_device(principal)
        after = None if cursor is None else cursor_of(cursor)
        with self._database.clinic(device.clinic_id) as transaction:
            found = observations.page(transaction, patient_id, after, limit + 1)
            self._note(transaction, principal, "observations.read", patient_id, "ok", request_id)
        room = _Room()
        kept = list(takewhile(room.takes, found[:limit]))
        return ObservationPage(
            observations=kept,
            next_cursor=cursor_text(_place(kept[-1])) if len(found) > len(kept) else None,
        )

    def export(self, principal: Principal, patient_id: UUID, cursor: str | None, request_id: str) -> Export:
        """As much as fits into ANSWER_BYTES, newest first: the files, then the observations. Raises Refusal 403, 422 (cursor), 503."""
        clinic_id = own_clinic(as_keeper(principal))
        in_files = cursor is None or cursor.startswith(_IN_FILES)
        after = None if cursor is None else cursor_of(cursor.removeprefix(_IN_FILES))
        room = _Room()
        files: list[Upload] = []
        kept: list[StoredObservation] = []
        place: str | None = None
        with self._database.clinic(clinic_id) as transaction:
            if in_files:
                left = [
                    row.as_wire()
                    for row in uploads.of_patient(transaction, patient_id)
                    if after is None or (row.created_at, row.id) < (after.taken_at, after.id)
                ]
                files = list(takewhile(room.takes, left))
                after = None
                if files:
                    place = _IN_FILES + cursor_text(Cursor(files[-1].created_at, files[-1].id))
                room.is_full |= len(files) < len(left)
            while not room.is_full:
                found = observations.page(transaction, patient_id, after, MAX_PAGE)
                new = list(takewhile(room.takes, found))
                kept += new
                if new:
                    after = _place(new[-1])
                    place = cursor_text(after)
                if len(new) == len(found) < MAX_PAGE:
                    place = None
                    break
            self._note(transaction, principal, "observations.export", patient_id, "ok", request_id)
        return Export(observations=kept, next_cursor=place, uploads=files)

    def erase(self, principal: Principal, patient_id: UUID, request_id: str) -> Erased:
        """Everything of one patient: rows, then every version of every object.

        What was begun is finished by asking again: from the first step on nothing is taken for this patient, and the objects are
        found by their keys, which begin with the patient's folder. Raises Refusal 403, 503.
        """
        clinic_id = own_clinic(as_keeper(principal))
        with self._database.clinic(clinic_id) as transaction:
            rows = observations.erase_patient(transaction, patient_id, self._ports.clock.utc())
            files = uploads.forget_patient(transaction, patient_id)
            self._note(transaction, principal, "patient.erase", patient_id, "begun", request_id)
        folder = folder_of(clinic_id, patient_id)
        stores = [self._ports.documents]
        if self._ports.documents_copy is not None:  # S3 copies what comes, not that a version goes
            stores.append(self._ports.documents_copy)
        versions = sum(
            store.erase(f"{place}/{clinic_id}/{folder}/") for store in stores for place in OBJECT_PLACES
        )
        with self._database.clinic(clinic_id) as transaction:
            self._note(transaction, principal, "patient.erase", patient_id, "ok", request_id)
        return Erased(observations=rows, uploads=len(files), object_versions=versions)

    def _measure_quality(
        self, device: Device, added: Sequence[Observation], statuses: Sequence[ItemStatus]
    ) -> None:
        for one, status in zip(added, statuses, strict=True):
            if status is ItemStatus.STORED and one.quality is not None and one.quality.score is not None:
                self._ports.measures.add(
                    "scan_quality", 100.0 * one.quality.score, "Percent", str(device.clinic_id)
                )

    def _note_added(
        self,
        transaction: Transaction,
        device: Device,
        added: Sequence[Observation],
        statuses: Sequence[ItemStatus],
        request_id: str,
    ) -> None:
        """An entry for each patient, so that whose record was written to can be told."""
        by_patient: dict[UUID, Counter[ItemStatus]] = {}
        for one, status in zip(added, statuses, strict=True):
            by_patient.setdefault(one.patient_id, Counter())[status] += 1
        for patient_id, counts in by_patient.items():
            result = " ".join(f"{status}={count}" for status, count in sorted(counts.items()))
            self._note(transaction, device, "observations.add", patient_id, result, request_id)

    def _note_offered(self, transaction: Transaction, device: Device, count: int, request_id: str) -> None:
        """One for a batch, before it is offered: whose they are stands in the entries of the same request."""
        entry = audit.Entry(
            actor_kind=kind_of(device),
            actor_id=name_of(device),
            action="observations.stream",
            object_kind="clinic",
            object_id=str(device.clinic_id),
            result=f"offered={count}",
            request_id=request_id,
        )
        audit.append(transaction, entry, self._ports.clock.utc())

    def _note(
        self,
        transaction: Transaction,
        principal: Principal,
        action: str,
        patient_id: UUID,
        result: str,
        request_id: str,
    ) -> None:
        entry = audit.Entry(
            actor_kind=kind_of(principal),
            actor_id=name_of(principal),
            action=action,
            object_kind="patient",
            object_id=str(patient_id),
            result=result,
            request_id=request_id,
        )
        audit.append(transaction, entry, self._ports.clock.utc())


class _BadItem(Exception):
    """fields: those that are wrong."""

    def __init__(self, fields: list[str]) -> None:
        super().__init__()
        self.fields = fields


def _checked(item: Any) -> Observation:
    """Raises _BadItem."""
    try:
        observation = _ITEM.validate_python(item)
    except ValidationError as error:
        places = error.errors(include_url=False, include_context=False, include_input=False)
        raise _BadItem(fields.names(place["loc"] for place in places)) from None
    if not EARLIEST <= observation.taken_at < LATEST:
        raise _BadItem(["taken_at"])
    return observation


def _identifier(item: Any) -> UUID | None:
    """Of an item that is wrong elsewhere, so that its sender knows which one it was."""
    try:
        return UUID(item["id"])
    except (TypeError, KeyError, ValueError, AttributeError):
        return None


class _Room:
    """What an answer has room for. One thing always goes in, so that reading goes on."""

    def __init__(self) -> None:
        self._left = ANSWER_BYTES
        self.is_full = False

    def takes(self, one: StoredObservation | Upload) -> bool:
        """Counts it as it is sent: JSON in a JSON text."""
        size = len(json.dumps(json.dumps(one.model_dump(mode="json"), separators=(",", ":")))) - 1
        self.is_full = self._left < min(size, ANSWER_BYTES)
        if not self.is_full:
            self._left -= size
        return not self.is_full


def _place(one: StoredObservation) -> Cursor:
    return Cursor(taken_at=one.taken_at, id=one.id)


def _bad_cursor() -> Refusal:
    return Refusal(422, Code.INVALID, "The cursor is none of ours.")
