"""A clinic with what its files need: the real database as each function signs in to it, and a bucket that can be made to fail."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from uuid import UUID, uuid4

from backend_lambda.errors import Code, Refusal, unavailable
from backend_lambda.ports import Clock, Entity, ObjectFacts, Ports
from backend_lambda.principals import Admin, AdminRole, Device
from backend_lambda.services.inspection import Finding, inspect
from backend_lambda.services.processing import Processing
from backend_lambda.services.shares import Shares
from backend_lambda.services.uploads import Place, Uploads, folder_of
from backend_lambda.settings import Settings
from backend_lambda.store import audit, observations, uploads
from backend_lambda.store.database import Database
from backend_lambda.store.uploads import UploadRow
from backend_lambda.wire import AuditEntry, MediaType, NewUpload, Purpose, UploadState
from tests.backend_lambda.conftest import SetClock
from tests.backend_lambda.fakes import FakeObjects, Fakes
from tests.backend_lambda.services.making_files import GOOD, PDF

SETTINGS = Settings(
    stage="local",
    region="eu-central-1",
    public_url="http://127.0.0.1:1",
    database_url="unused",
    signing_key_id="key",
    oidc_issuers=("issuer",),
    oidc_audience="us",
    documents_bucket="documents",
    audit_bucket="audit",
    model_ids=("model",),
    mail_from="clinic@example.org",
)
FAULT = unavailable(Code.OBJECTS_UNAVAILABLE, "The object store does not answer.")


class Bucket(FakeObjects):
    """Tells what is not there as the real adapter does, and lets a test come in between.

    before: called once, before the next call of that name, in place of nothing. faults: raised by the next calls of that name.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.before: dict[str, Callable[[], object]] = {}
        self.faults: dict[str, int] = {}
        self.checksums = True
        self.content_encoding = ""

    def _comes(self, name: str) -> None:
        if (act := self.before.pop(name, None)) is not None:
            act()
        if self.faults.get(name, 0):
            self.faults[name] -= 1
            raise FAULT

    def head(self, key: str) -> ObjectFacts | None:
        self._comes("head")
        facts = super().head(key)
        if facts is None:
            return None
        facts = replace(facts, content_encoding=self.content_encoding)
        return facts if self.checksums else replace(facts, sha256=None)

    def read(self, key: str, version_id: str, at_most_bytes: int) -> bytes:
        self._comes("read")
        return super().read(key, version_id, at_most_bytes)

    def write(self, key: str, data: bytes, media_type: str) -> str:
        self._comes("write")
        return super().write(key, data, media_type)

    def move(self, key: str, version_id: str, to_key: str) -> str:
        self._comes("move")
        if not any(one.id == version_id for one in self.objects.get(key, [])):
            raise Refusal(404, Code.NOT_FOUND, "There is no such object.")
        return super().move(key, version_id, to_key)


@dataclass
class Scan:
    """Malware as a test wants it."""

    name: str | None = None
    fault: Exception | None = None

    def verdict(self, key: str, version_id: str) -> str | None:
        del key, version_id
        if self.fault is not None:
            raise self.fault
        return self.name


@dataclass
class Recognition:
    said: str = "Glucose 5.4\u202e mmol/l"
    fault: Exception | None = None
    asked: list[str] = field(default_factory=list)

    def text(self, data: bytes, media_type: str) -> str:
        del data
        self.asked.append(media_type)
        if self.fault is not None:
            raise self.fault
        return self.said


@dataclass
class Finder:
    fault: Exception | None = None

    def entities(self, text: str) -> list[Entity]:
        if self.fault is not None:
            raise self.fault
        return [Entity(text[:5], "TEST_NAME", 0, 5, 0.9)]


class Room:
    """One clinic, one device. look: what the inspection is replaced by; by itself it runs in this process."""

    def __init__(
        self, api: Database, processing: Database, auditor: Database, device: Device, clock: SetClock
    ) -> None:
        self.api, self.as_processing, self.as_auditor, self.device, self.clock = (
            api,
            processing,
            auditor,
            device,
            clock,
        )
        self.fakes = Fakes(clock)
        self.bucket = Bucket(clock)
        self.fakes.documents = self.bucket
        self.scan: Scan | None = None
        self.recognition: Recognition | None = None
        self.finder: Finder | None = None
        self.look: Callable[[bytes, str, str], Finding] = inspect
        self.admin = Admin("somebody", AdminRole.CLINIC_ADMIN, device.clinic_id)

    @property
    def ports(self) -> Ports:
        return replace(
            self.fakes.ports(),
            malware_scan=self.scan,
            text_recognition=self.recognition,
            medical_entities=self.finder,
        )

    @property
    def uploads(self) -> Uploads:
        return Uploads(self.api, self.ports, SETTINGS)

    @property
    def processing(self) -> Processing:
        return Processing(self.as_processing, self.ports, SETTINGS, look=self.look)

    @property
    def shares(self) -> Shares:
        return Shares(self.api, self.ports, SETTINGS)

    def announced(
        self,
        media_type: str = PDF,
        data: bytes | None = None,
        *,
        purpose: Purpose = Purpose.MEDICAL_REPORT,
        patient_id: UUID | None = None,
    ) -> NewUpload:
        """Begun: a row is there and a URL was given."""
        data = GOOD[media_type] if data is None else data
        wanted = NewUpload(
            id=uuid4(),
            patient_id=patient_id or uuid4(),
            purpose=purpose,
            media_type=MediaType(media_type),
            length_bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
        )
        assert self.uploads.begin(self.device, wanted, "r").url is not None
        return wanted

    def sent(
        self, media_type: str = PDF, data: bytes | None = None, *, purpose: Purpose = Purpose.MEDICAL_REPORT
    ) -> NewUpload:
        """And the file is in the bucket."""
        wanted = self.announced(media_type, data, purpose=purpose)
        self.put(wanted, GOOD[media_type] if data is None else data)
        return wanted

    def ready(self, *, purpose: Purpose = Purpose.SCAN_REPORT) -> NewUpload:
        """And it was looked at."""
        wanted = self.sent(purpose=purpose)
        assert self.event(wanted) == "ready"
        return wanted

    def put(self, wanted: NewUpload, data: bytes, media_type: str | None = None) -> str:
        return self.bucket.put(self.place(wanted).object_key, data, media_type or wanted.media_type)

    def place(self, wanted: NewUpload) -> Place:
        return Place(self.device.clinic_id, self.folder(wanted.patient_id), wanted.id)

    def folder(self, patient_id: UUID) -> str:
        return folder_of(self.device.clinic_id, patient_id)

    def event(self, wanted: NewUpload, version_id: str | None = None) -> str:
        """The store tells of the newest version, or of that one. Returns the outcome."""
        key = self.place(wanted).object_key
        version_id = self.bucket.objects[key][-1].id if version_id is None else version_id
        return str(self.processing.process(key, version_id, "r"))

    def row(self, wanted: NewUpload) -> UploadRow:
        with self.api.clinic(self.device.clinic_id) as transaction:
            found = uploads.get(transaction, wanted.id)
        assert found is not None
        return found

    def state(self, wanted: NewUpload) -> tuple[UploadState, str | None]:
        row = self.row(wanted)
        return row.state, row.reason

    def erase(self, patient_id: UUID) -> None:
        """As Observations.erase does."""
        with self.api.clinic(self.device.clinic_id) as transaction:
            observations.erase_patient(transaction, patient_id, self.clock.utc())
            uploads.forget_patient(transaction, patient_id)
        for place in "cqt":
            self.bucket.erase(f"{place}/{self.device.clinic_id}/{self.folder(patient_id)}/")

    def keys(self) -> list[str]:
        """First letters of what is in the bucket."""
        return sorted(key[0] for key in self.bucket.objects)

    def entries(self, action: str | None = None) -> list[AuditEntry]:
        with self.as_auditor.clinic(self.device.clinic_id) as transaction:
            found = audit.page(transaction, 0, 1000)
        assert audit.verify(self.as_auditor, self.device.clinic_id) == []
        return [one for one in found if action in {None, one.action}]

    def measured(self, name: str) -> float:
        """The sum of what was added, for this clinic or for none."""
        return sum(
            value
            for one, value, _, clinic in self.fakes.measures.added
            if one == name and clinic in {None, str(self.device.clinic_id)}
        )
