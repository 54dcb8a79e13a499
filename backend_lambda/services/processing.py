"""What becomes of a file that has arrived: looked at, its text kept beside it, then READY; or locked away with a reason.

The store says at least once, in any order, that an object was made, and the client says that it has sent one. Whatever comes first,
twice or at the same time: the row's state decides, and only an open one is changed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from enum import StrEnum

from backend_lambda.errors import Code, Refusal
from backend_lambda.ports import ObjectFacts, Ports
from backend_lambda.services.inspection import LIMITS, Finding, Reason
from backend_lambda.services.inspection.apart import InspectionBroke, inspect_apart
from backend_lambda.services.inspection.text import cleaned
from backend_lambda.services.uploads import OPEN, Place, as_declared, forget, lock_away, place_of
from backend_lambda.settings import Settings
from backend_lambda.store import audit, uploads
from backend_lambda.store.database import Database, Transaction
from backend_lambda.store.uploads import UploadRow
from backend_lambda.wire import MediaType, Purpose, UploadState

_PICTURES = {MediaType.PNG, MediaType.JPEG}
CRASHES = 3
"""A file that has broken its inspection so often is no longer given the benefit of the doubt."""


class Outcome(StrEnum):
    """What became of one event."""

    READY = "ready"
    QUARANTINED = "quarantined"
    ALREADY = "already"
    """It was decided before, or by another delivery meanwhile."""
    SUPERSEDED = "superseded"
    """The object was written anew, or is gone; its newest version has its own event."""
    FORGOTTEN = "forgotten"
    """Nobody knows the file (any more), for its patient was erased; it was erased too."""
    UNKNOWN_KEY = "unknown_key"


class Processing:
    """look: the inspection; a process of its own unless a test says otherwise."""

    def __init__(
        self,
        database: Database,
        ports: Ports,
        settings: Settings,
        *,
        look: Callable[[bytes, str, str], Finding] = inspect_apart,
    ) -> None:
        self._database, self._ports, self._settings, self._look = database, ports, settings, look

    def process(self, object_key: str, version_id: str, request_id: str) -> Outcome:
        """One event of the store. Where the world fails, the upload is FAILED and the fault is raised, so that the event comes again.

        Raises Refusal (503 and the like), InspectionFault.
        """
        place = place_of(object_key)
        if place is None:
            self._ports.measures.add("uploads_unknown_key", 1.0, "Count")
            return Outcome.UNKNOWN_KEY
        with self._database.clinic(place.clinic_id) as transaction:
            row = uploads.get(transaction, place.upload_id)
        if row is None or row.object_key != object_key:
            return self._forget(place)
        facts = self._ports.documents.head(object_key)
        if row.state is UploadState.QUARANTINED and facts is not None:
            if not lock_away(self._database, self._ports.documents, place, facts.version_id):
                return self._forgotten(place)
        if row.state not in OPEN:
            return Outcome.ALREADY
        if facts is None or facts.version_id != version_id:
            return Outcome.SUPERSEDED
        began_s = self._ports.clock.now_s()
        try:
            outcome = self._decided(place, row, facts, request_id)
        except Exception as error:
            if self._failed(place, error, request_id):
                raise
            return self._forget(place)  # erased meanwhile: what failed may have been half done
        self._ports.measures.add(f"uploads_{outcome}", 1.0, "Count", str(place.clinic_id))
        took_ms = 1000.0 * (self._ports.clock.now_s() - began_s)
        self._ports.measures.add("upload_processing", took_ms, "Milliseconds", str(place.clinic_id))
        return outcome

    def _decided(self, place: Place, row: UploadRow, facts: ObjectFacts, request_id: str) -> Outcome:
        with self._database.clinic(place.clinic_id) as transaction:
            uploads.set_state(
                transaction,
                row.id,
                state=UploadState.PROCESSING,
                version_id=facts.version_id,
                since=self._ports.clock.utc(),
                only_from=OPEN,
            )
        if not as_declared(row, facts):
            return self._quarantined(place, facts, Reason.NOT_AS_DECLARED, request_id)
        data = self._ports.documents.read(place.object_key, facts.version_id, row.length_bytes)
        if self._malicious(place, facts):
            return self._quarantined(place, facts, Reason.MALWARE, request_id)
        found = self._looked_at(place, row, data)
        if found.reason is not None:
            return self._quarantined(place, facts, found.reason, request_id)
        text_key = self._keep_text(place, row, self._text(row, data, found))
        with self._database.clinic(place.clinic_id) as transaction:
            changed = uploads.set_state(
                transaction,
                row.id,
                state=UploadState.READY,
                pages=found.pages,
                version_id=facts.version_id,
                text_key=text_key,
                only_from=OPEN,
            )
            if changed:
                self._note(transaction, place, str(Outcome.READY), request_id)
        return Outcome.READY if changed else self._too_late(place)

    def _looked_at(self, place: Place, row: UploadRow, data: bytes) -> Finding:
        """Raises InspectionFault."""
        try:
            return self._look(data, row.media_type, row.sha256)
        except InspectionBroke:
            with self._database.clinic(place.clinic_id) as transaction:
                crashes = uploads.add_crash(transaction, row.id)
            if crashes < CRASHES:
                raise
            return Finding(Reason.TOO_COMPLEX)

    def _malicious(self, place: Place, facts: ObjectFacts) -> bool:
        scan = self._ports.malware_scan
        return scan is not None and scan.verdict(place.object_key, facts.version_id) is not None

    def _text(self, row: UploadRow, data: bytes, found: Finding) -> str:
        recognition = self._ports.text_recognition
        if row.media_type not in _PICTURES or recognition is None:
            return found.text
        return cleaned(recognition.text(data, row.media_type))[: LIMITS.characters]

    def _keep_text(self, place: Place, row: UploadRow, text: str) -> str | None:
        """Its key; None: there is no text. Written twice it is the same."""
        if not text:
            return None
        documents, finder = self._ports.documents, self._ports.medical_entities
        documents.write(place.text_key, text.encode(), "text/plain; charset=utf-8")
        if finder is not None and row.purpose is Purpose.MEDICAL_REPORT:
            entities = [asdict(entity) for entity in finder.entities(text)]
            documents.write(
                place.entities_key, json.dumps(entities, ensure_ascii=False).encode(), "application/json"
            )
        return place.text_key

    def _quarantined(self, place: Place, facts: ObjectFacts, reason: Reason, request_id: str) -> Outcome:
        """The state first: whatever happens after that, nobody is given the file, and the event that comes again moves it."""
        with self._database.clinic(place.clinic_id) as transaction:
            changed = uploads.set_state(
                transaction,
                place.upload_id,
                state=UploadState.QUARANTINED,
                reason=str(reason),
                only_from=OPEN,
            )
            if changed:
                self._note(transaction, place, str(reason), request_id)
        if not changed:
            return self._too_late(place)
        self._ports.measures.add(f"quarantined_{reason}", 1.0, "Count", str(place.clinic_id))
        known = lock_away(self._database, self._ports.documents, place, facts.version_id)
        return Outcome.QUARANTINED if known else Outcome.FORGOTTEN

    def _too_late(self, place: Place) -> Outcome:
        """Somebody else has decided while this one looked. What this one wrote must not be left behind."""
        with self._database.clinic(place.clinic_id) as transaction:
            row = uploads.get(transaction, place.upload_id)
        if row is None:
            forget(self._ports.documents, place)
            return Outcome.FORGOTTEN
        if row.state is UploadState.QUARANTINED:
            self._ports.documents.erase(place.text_key)
        return Outcome.ALREADY

    def _forget(self, place: Place) -> Outcome:
        """A row is there before the URL it is sent to, so a file without one came after its patient was erased."""
        forget(self._ports.documents, place)
        return self._forgotten(place)

    def _forgotten(self, place: Place) -> Outcome:
        self._ports.measures.add("uploads_forgotten", 1.0, "Count", str(place.clinic_id))
        return Outcome.FORGOTTEN

    def _failed(self, place: Place, error: Exception, request_id: str) -> bool:
        """False: nobody knows the file any more. Where the store of states is what fails, the fault itself is worth more than that one."""
        code = error.code if isinstance(error, Refusal) else Code.INTERNAL
        self._ports.measures.add("uploads_failed", 1.0, "Count", str(place.clinic_id))
        with suppress(Refusal), self._database.clinic(place.clinic_id) as transaction:
            if uploads.set_state(
                transaction,
                place.upload_id,
                state=UploadState.FAILED,
                only_from={UploadState.AWAITING, UploadState.PROCESSING},
            ):
                self._note(transaction, place, str(code), request_id)
            return uploads.get(transaction, place.upload_id) is not None
        return True

    def _note(self, transaction: Transaction, place: Place, result: str, request_id: str) -> None:
        entry = audit.Entry(
            actor_kind="service",
            actor_id="processing",
            action="upload.process",
            object_kind="upload",
            object_id=str(place.upload_id),
            result=result,
            request_id=request_id,
        )
        audit.append(transaction, entry, self._ports.clock.utc())
