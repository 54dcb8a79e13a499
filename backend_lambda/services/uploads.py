"""Files on their way in and out: announced, sent to the object store by whoever has them, and handed out once they were looked at.

No file passes through here. A client says what it will send, and the URL it gets is good for exactly that, once.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from backend_lambda.auth.gate import as_admin, as_device, kind_of, name_of, own_clinic
from backend_lambda.errors import Code, Refusal
from backend_lambda.ports import ObjectFacts, ObjectStore, Ports, UploadFacts
from backend_lambda.principals import AdminRole, Device, Principal
from backend_lambda.services.inspection import Reason
from backend_lambda.settings import Settings
from backend_lambda.store import audit, uploads
from backend_lambda.store.database import Database, Transaction
from backend_lambda.store.uploads import UploadRow
from backend_lambda.wire import (
    Download,
    MediaType,
    NewUpload,
    Purpose,
    Upload,
    UploadLimit,
    UploadState,
    UploadUrl,
)

STUCK_AFTER_S = 900.0
"""An event of the store can be lost for good; a device that asks again after so long has its file looked at anew, once in so long."""
UPLOAD_SECONDS, DOWNLOAD_SECONDS = 120, 60
"""A URL is a bearer secret: no longer than one transfer needs to begin."""
_PDF_BYTES, _PICTURE_BYTES, _JSON_BYTES = 20_000_000, 15_000_000, 5_000_000
UPLOAD_LIMITS = (
    UploadLimit(purpose=Purpose.MEDICAL_REPORT, media_type=MediaType.PDF, max_bytes=_PDF_BYTES),
    UploadLimit(purpose=Purpose.MEDICAL_REPORT, media_type=MediaType.PNG, max_bytes=_PICTURE_BYTES),
    UploadLimit(purpose=Purpose.MEDICAL_REPORT, media_type=MediaType.JPEG, max_bytes=_PICTURE_BYTES),
    UploadLimit(purpose=Purpose.SCAN_REPORT, media_type=MediaType.PDF, max_bytes=_PDF_BYTES),
    UploadLimit(purpose=Purpose.SCAN_RECORD, media_type=MediaType.JSON, max_bytes=_JSON_BYTES),
)
"""What may be sent; nothing else may."""
FILE_NAMES = {
    MediaType.PDF: "document.pdf",
    MediaType.PNG: "picture.png",
    MediaType.JPEG: "picture.jpg",
    MediaType.JSON: "record.json",
}
"""As downloaded: they say nothing of anybody."""
OPEN = {UploadState.AWAITING, UploadState.PROCESSING, UploadState.FAILED}
"""States that may still become another one."""
_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_KEY = re.compile(f"c/({_UUID})/([0-9a-f]{{32}})/({_UUID})")


def folder_of(clinic_id: UUID, patient_id: UUID) -> str:
    """Stands for a patient in the keys of objects, which whoever opens a share sees, and access logs keep.

    Always the same, so that an erasure finds by it what no row tells of any more. Identifiers are random: there is no list of patients
    to try.
    """
    return hashlib.sha256(f"folder|{clinic_id}|{patient_id}".encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Place:
    """Whose a file is. It decides where in the bucket the file, its text and its quarantine are. folder: the patient's."""

    clinic_id: UUID
    folder: str
    upload_id: UUID

    @property
    def object_key(self) -> str:
        """While it is looked at, and after that."""
        return f"c/{self._path}"

    @property
    def quarantine_key(self) -> str:
        """Where nothing is ever handed out from."""
        return f"q/{self._path}"

    @property
    def text_key(self) -> str:
        """The text that was found in it."""
        return f"t/{self._path}"

    @property
    def entities_key(self) -> str:
        """The medical things that its text names, as JSON."""
        return f"{self.text_key}.entities.json"

    @property
    def _path(self) -> str:
        return f"{self.clinic_id}/{self.folder}/{self.upload_id}"


def place_of(key: str) -> Place | None:
    """None: the key of no upload."""
    found = _KEY.fullmatch(key)
    return None if found is None else Place(UUID(found[1]), found[2], UUID(found[3]))


def as_declared(row: UploadRow, facts: ObjectFacts) -> bool:
    """Whether the object is what was announced. Without a checksum of the store's own it did not come by a URL of ours."""
    return (
        facts.length_bytes == row.length_bytes
        and facts.media_type == row.media_type
        and facts.sha256 == bytes.fromhex(row.sha256)
        and not facts.content_encoding  # nobody signed it, and a browser would show something else than what was looked at
    )


def lock_away(database: Database, documents: ObjectStore, place: Place, version_id: str) -> bool:
    """Into quarantine. Nothing to do where somebody else did it meanwhile. False: the patient was erased, and so is the file, for
    whoever erased may have looked there before it came. Raises Refusal.
    """
    try:
        documents.move(place.object_key, version_id, place.quarantine_key)
    except Refusal:
        if documents.head(place.object_key) is not None:
            raise
    with database.clinic(place.clinic_id) as transaction:
        known = uploads.get(transaction, place.upload_id) is not None
    if not known:
        forget(documents, place)
    return known


def forget(documents: ObjectStore, place: Place) -> None:
    """The file, its text and its quarantine, all versions. For one whose row is gone. Raises Refusal."""
    for key in (place.object_key, place.quarantine_key, place.text_key):
        documents.erase(key)


class Uploads:
    """Devices send and read; the clinic's administrator reads."""

    def __init__(self, database: Database, ports: Ports, settings: Settings) -> None:
        self._database, self._ports, self._settings = database, ports, settings

    def begin(self, principal: Principal, wanted: NewUpload, request_id: str) -> UploadUrl:
        """Where to send it, or how far it is. The same again: a new URL, as long as nothing was sent.

        Raises Refusal 403, 409 (this id has other facts), 410 (the patient was erased), 413, 415, 503.
        """
        device = as_device(principal)
        _check_limit(wanted)
        now = self._ports.clock.utc()
        place = Place(device.clinic_id, folder_of(device.clinic_id, wanted.patient_id), wanted.id)
        announced = UploadRow(
            id=wanted.id,
            patient_id=wanted.patient_id,
            purpose=wanted.purpose,
            media_type=wanted.media_type,
            length_bytes=wanted.length_bytes,
            sha256=wanted.sha256,
            state=UploadState.AWAITING,
            reason=None,
            pages=None,
            created_at=now,
            device_id=device.id,
            object_key=place.object_key,
        )
        with self._database.clinic(device.clinic_id) as transaction:
            row = uploads.add(transaction, announced)
            self._note(transaction, device, "upload.begin", row.id, "ok", request_id)
        self._ports.measures.add("uploads_begun", 1.0, "Count", str(device.clinic_id))
        if row.state is not UploadState.AWAITING or self._ports.documents.head(row.object_key) is not None:
            return UploadUrl(id=row.id, state=row.state, url=None, headers={}, expires_at=None)
        facts = UploadFacts(row.media_type, row.length_bytes, bytes.fromhex(row.sha256))
        put = self._ports.documents.presign_put(row.object_key, facts, UPLOAD_SECONDS)
        return UploadUrl(
            id=row.id, state=row.state, url=put.url, headers=dict(put.headers), expires_at=put.expires_at
        )

    def complete(self, principal: Principal, upload_id: UUID, request_id: str) -> Upload:
        """It was sent. May be said again, before or after it was looked at; after a failure it is looked at anew.

        Raises Refusal 403, 404, 409 (nothing was sent), 503.
        """
        device = as_device(principal)
        row = self._found(device.clinic_id, upload_id)
        result = "ok"
        stuck = row.processing_since is not None and row.processing_since < self._stuck_before()
        if stuck or row.state in {UploadState.AWAITING, UploadState.FAILED}:
            facts = self._ports.documents.head(row.object_key)
            if facts is None:
                raise Refusal(409, Code.CONFLICT, "Nothing was sent yet.")
            if not as_declared(row, facts):
                result = str(Reason.NOT_AS_DECLARED)
                self._quarantine(device, row, facts, request_id)
            elif stuck or row.state is UploadState.FAILED:
                self._again(device, row, facts, stuck=stuck)
            else:
                self._to_processing(device, row, facts.version_id)
        with self._database.clinic(device.clinic_id) as transaction:
            kept = uploads.get(transaction, upload_id)
            if kept is not None:
                self._note(transaction, device, "upload.complete", upload_id, result, request_id)
        if kept is None:  # erased meanwhile; what was written here may have come after the erasure
            forget(self._ports.documents, _place(device.clinic_id, row))
            raise _unknown()
        return kept.as_wire()

    def get(self, principal: Principal, upload_id: UUID, request_id: str) -> Upload:
        """How far it is. Raises Refusal 403, 404, 503."""
        reader = _reader(principal)
        with self._database.clinic(own_clinic(reader)) as transaction:
            row = uploads.get(transaction, upload_id)
            if row is None:
                raise _unknown()
            self._note(transaction, reader, "upload.read", upload_id, "ok", request_id)
        return row.as_wire()

    def download(self, principal: Principal, upload_id: UUID, request_id: str) -> Download:
        """A URL for one that is READY. Raises Refusal 403, 404, 409 (not ready, or in quarantine), 503."""
        reader = _reader(principal)
        with self._database.clinic(own_clinic(reader)) as transaction:
            row = uploads.get(transaction, upload_id)
            if row is None:
                raise _unknown()
            download = handed_out(self._ports, row)
            self._note(transaction, reader, "upload.download", upload_id, "ok", request_id)
        self._ports.measures.add("uploads_downloaded", 1.0, "Count", str(own_clinic(reader)))
        return download

    def _found(self, clinic_id: UUID, upload_id: UUID) -> UploadRow:
        with self._database.clinic(clinic_id) as transaction:
            row = uploads.get(transaction, upload_id)
        if row is None:
            raise _unknown()
        return row

    def _stuck_before(self) -> datetime:
        return self._ports.clock.utc() - timedelta(seconds=STUCK_AFTER_S)

    def _to_processing(
        self, device: Device, row: UploadRow, version_id: str | None, *, stuck: bool = False
    ) -> bool:
        """False: it went on meanwhile, the store's event or another device was faster."""
        with self._database.clinic(device.clinic_id) as transaction:
            return uploads.set_state(
                transaction,
                row.id,
                state=UploadState.PROCESSING,
                version_id=version_id,
                since=self._ports.clock.utc(),
                only_from={row.state},
                only_since_before=self._stuck_before() if stuck else None,
            )

    def _again(self, device: Device, row: UploadRow, facts: ObjectFacts, *, stuck: bool) -> None:
        """Written anew, which is a new event of the store; of two who ask at once one does it."""
        if not self._to_processing(device, row, None, stuck=stuck):
            return
        documents = self._ports.documents
        try:
            data = documents.read(row.object_key, facts.version_id, row.length_bytes)
            documents.write(row.object_key, data, row.media_type)
        except Refusal:
            with self._database.clinic(device.clinic_id) as transaction:
                uploads.set_state(
                    transaction, row.id, state=UploadState.FAILED, only_from={UploadState.PROCESSING}
                )
            raise

    def _quarantine(self, device: Device, row: UploadRow, facts: ObjectFacts, request_id: str) -> None:
        """The state first: whatever happens after that, nobody is given the file, and the store's event moves it if this does not."""
        reason = str(Reason.NOT_AS_DECLARED)
        with self._database.clinic(device.clinic_id) as transaction:
            if not uploads.set_state(
                transaction, row.id, state=UploadState.QUARANTINED, reason=reason, only_from={row.state}
            ):
                return
            self._note(transaction, device, "upload.quarantine", row.id, reason, request_id)
        self._ports.measures.add("uploads_quarantined", 1.0, "Count", str(device.clinic_id))
        lock_away(self._database, self._ports.documents, _place(device.clinic_id, row), facts.version_id)

    def _note(
        self,
        transaction: Transaction,
        principal: Principal,
        action: str,
        upload_id: UUID,
        result: str,
        request_id: str,
    ) -> None:
        entry = audit.Entry(
            actor_kind=kind_of(principal),
            actor_id=name_of(principal),
            action=action,
            object_kind="upload",
            object_id=str(upload_id),
            result=result,
            request_id=request_id,
        )
        audit.append(transaction, entry, self._ports.clock.utc())


def handed_out(ports: Ports, row: UploadRow) -> Download:
    """A URL of the version that was looked at. Raises Refusal 409 for one that is not READY."""
    if row.state is not UploadState.READY or row.version_id is None:
        raise Refusal(409, Code.CONFLICT, "This file is not handed out: it is not ready, or in quarantine.")
    url = ports.documents.presign_get(
        row.object_key, row.version_id, FILE_NAMES[row.media_type], DOWNLOAD_SECONDS
    )
    return Download(url=url, expires_at=ports.clock.utc() + timedelta(seconds=DOWNLOAD_SECONDS))


def _place(clinic_id: UUID, row: UploadRow) -> Place:
    return Place(clinic_id, folder_of(clinic_id, row.patient_id), row.id)


def limit_bytes(purpose: Purpose, media_type: MediaType) -> int | None:
    """None: such a thing is not taken."""
    for limit in UPLOAD_LIMITS:
        if (limit.purpose, limit.media_type) == (purpose, media_type):
            return limit.max_bytes
    return None


def _check_limit(wanted: NewUpload) -> None:
    limit = limit_bytes(wanted.purpose, wanted.media_type)
    if limit is None:
        raise Refusal(415, Code.MEDIA_TYPE, "This type is not taken for this purpose.")
    if wanted.length_bytes > limit:
        raise Refusal(413, Code.TOO_LARGE, f"At most {limit} bytes are taken of this type.")


def _reader(principal: Principal) -> Principal:
    """Who may read a patient's files. Raises Refusal 403."""
    return principal if isinstance(principal, Device) else as_admin(principal, AdminRole.CLINIC_ADMIN)


def _unknown() -> Refusal:
    return Refusal(404, Code.NOT_FOUND, "There is no such upload.")
