"""A day's observations of one clinic, as files of FHIR resources, into a HealthLake data store.

A day is over when it is exported: its observations are read a page at a time, each in a transaction of its own, so that nothing is held
while files are written, and what is erased meanwhile is left out from then on. What was imported before stays there until somebody
deletes it there: an erasure here does not reach it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Protocol
from uuid import UUID

from backend_lambda.errors import Code, Refusal
from backend_lambda.ports import Clock, Measures
from backend_lambda.services import fhir
from backend_lambda.store import audit, observations
from backend_lambda.store.database import Database
from backend_lambda.wire import StoredObservation

MEDIA_TYPE = "application/fhir+ndjson"
FILE_BYTES = 4_000_000
"""A file is closed when it has so many; so much of a type is in memory at once."""
PAGE = 500


class Files(Protocol):
    """The bucket that HealthLake reads. Raises Refusal 503 where it does not answer."""

    def exists(self, key: str) -> bool: ...

    def write(self, key: str, data: bytes, media_type: str) -> None: ...

    def read(self, key: str) -> bytes: ...

    def erase(self, prefix: str) -> None:
        """Every version of everything whose key begins so."""


@dataclass(frozen=True, slots=True)
class ImportState:
    """status: HealthLake's own word. failed: resources that it did not take."""

    status: str
    failed: int


class Imports(Protocol):
    """HealthLake. Raises Refusal 503 where it does not answer."""

    def start(self, name: str, input_prefix: str, output_prefix: str, token: str) -> str:
        """Returns the job's identifier: the same one for the same token."""

    def state(self, job: str) -> tuple[str, int]:
        """HealthLake's own word for it, and how many resources and files it did not take."""


@dataclass(frozen=True, slots=True)
class Exported:
    """job: "" where there was nothing to import. again: it was done before, nothing was done now."""

    job: str
    patients: int = 0
    resources: int = 0
    again: bool = False


class HealthLakeExport:
    """One clinic's day at a time; the same day again does nothing, unless it is another attempt."""

    def __init__(
        self, database: Database, files: Files, imports: Imports, measures: Measures, clock: Clock
    ) -> None:
        self._database, self._files, self._imports = database, files, imports
        self._measures, self._clock = measures, clock

    def export(self, clinic_id: UUID, day: date, *, attempt: int = 1, request_id: str = "") -> Exported:
        """Raises Refusal 400 for a day that is not over, 503 where something does not answer; then it can be asked for again."""
        if datetime.combine(day, time.min, UTC) + timedelta(days=1) > self._clock.utc():
            raise Refusal(400, Code.BAD_REQUEST, "The day is not over yet.")
        note = _note_of(clinic_id, day, attempt)
        if self._files.exists(note):
            return Exported(self._job(note), again=True)
        folder = f"{clinic_id}/{day.isoformat()}"
        self._files.erase(f"in/{folder}/")  # of a run that broke off: its files may hold who was erased since
        writer = _Writer(self._files, f"in/{folder}/")
        for one in self._received(clinic_id, day):
            writer.add(clinic_id, one)
        writer.close()
        job = ""
        if writer.resources:
            token = f"{day.isoformat()}-{clinic_id}-{attempt}"
            job = self._imports.start(token, f"in/{folder}/", f"out/{folder}/", token)
            with self._database.clinic(clinic_id) as transaction:
                audit.append_import(transaction, day, job, request_id, self._clock.utc())
        self._files.write(note, json.dumps({"job": job}).encode(), "application/json")
        self._measures.add("health_lake_resources", float(writer.resources), "Count", str(clinic_id))
        return Exported(job, len(writer.patients), writer.resources)

    def outcome(self, clinic_id: UUID, day: date, *, attempt: int = 1) -> ImportState | None:
        """How the import of that day went; None: there was none. Measured where HealthLake did not take all of it."""
        note = _note_of(clinic_id, day, attempt)
        if not self._files.exists(note) or not (job := self._job(note)):
            return None
        found = ImportState(*self._imports.state(job))
        if found.failed or found.status in {"FAILED", "COMPLETED_WITH_ERRORS", "CANCEL_COMPLETED"}:
            self._measures.add("health_lake_not_imported", float(max(found.failed, 1)), "Count")
        return found

    def _job(self, note: str) -> str:
        return str(json.loads(self._files.read(note))["job"])

    def _received(self, clinic_id: UUID, day: date) -> Iterator[StoredObservation]:
        begin = datetime.combine(day, time.min, UTC)
        after: tuple[datetime, UUID] | None = None
        while True:
            with self._database.clinic(clinic_id) as transaction:
                found = observations.received(transaction, begin, begin + timedelta(days=1), after, PAGE)
            yield from found
            if len(found) < PAGE:
                return
            after = (found[-1].received_at, found[-1].id)


class _Writer:
    """Resources into files of their type. Each patient and device once."""

    def __init__(self, files: Files, prefix: str) -> None:
        self._files, self._prefix = files, prefix
        self._open: dict[str, bytearray] = {}
        self._written: dict[str, int] = {}
        self._devices: set[tuple[UUID, str]] = set()
        self.patients: set[UUID] = set()
        self.resources = 0

    def add(self, clinic_id: UUID, one: StoredObservation) -> None:
        made = fhir.observations(clinic_id, one)
        if not made:
            return
        if one.patient_id not in self.patients:
            self.patients.add(one.patient_id)
            self._put(fhir.patient(clinic_id, one.patient_id))
        if not one.entered and (one.device_id, one.software_version) not in self._devices:
            self._devices.add((one.device_id, one.software_version))
            self._put(fhir.device(clinic_id, one.device_id, one.software_version))
        for resource in made:
            self._put(resource)

    def close(self) -> None:
        for kind in list(self._open):
            self._flush(kind)

    def _put(self, resource: fhir.Resource) -> None:
        kind = resource["resourceType"]
        kept = self._open.setdefault(kind, bytearray())
        kept += json.dumps(resource, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        kept += b"\n"
        self.resources += 1
        if len(kept) >= FILE_BYTES:
            self._flush(kind)

    def _flush(self, kind: str) -> None:
        number = self._written[kind] = self._written.get(kind, 0) + 1
        data = bytes(self._open.pop(kind))
        self._files.write(f"{self._prefix}{kind}-{number:04}.ndjson", data, MEDIA_TYPE)


def _note_of(clinic_id: UUID, day: date, attempt: int) -> str:
    """Key of what says that it was done."""
    return f"done/{clinic_id}/{day.isoformat()}-{attempt}.json"
