"""Requests and answers of /v1, as JSON. `tests/golden/wire/` has one example of each, read by both sides.

Times are RFC 3339 in UTC. Identifiers are UUIDs made by whoever makes the thing: sending the same again is no second thing.
No field takes a name or free text about a patient, except what a person says to the assistant, which is kept nowhere.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

Word = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Label = Annotated[str, StringConstraints(pattern=r"^[\w .,:+/()%°-]{0,80}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Z]{2})?$")]
Base64Url = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,1024}$")]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Many = Annotated[int, Field(ge=0, le=2**53)]
MAX_OBSERVATIONS = 100
MAX_PAGE = 200


class Wire(BaseModel):
    """Nothing but what is named, nothing changed after."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


# --- Clinics and devices -----------------------------------------------------------------------------


class Feature(StrEnum):
    """What goes beyond keeping what a device sends. analysis: what is stored goes into the stream of vitals too."""

    CHAT = "chat"
    TRANSCRIPTION = "transcription"
    SYNTHESIS = "synthesis"
    SHARES = "shares"
    ANALYSIS = "analysis"


class NewClinic(Wire):
    """Sent again, what stands in it replaces what was there. allows left out or null: as it was; a new clinic may use nothing.

    token_budget: a month; null: the service's; left out: as it was, of a new clinic the service's.
    """

    id: UUID
    name: Annotated[str, StringConstraints(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f\x7f]*$")]
    allows: Annotated[list[Feature], Field(max_length=16)] | None = None
    token_budget: Annotated[int, Field(ge=0, le=2**53)] | None = None


class Clinic(Wire):
    id: UUID
    name: str
    created_at: AwareDatetime
    allows: list[Feature]
    token_budget: int | None


class NewEnrolmentCode(Wire):
    device_name: Label = ""


class EnrolmentCode(Wire):
    """code: shown once, works once, for ten minutes."""

    code: str
    expires_at: AwareDatetime


class PublicKey(Wire):
    """A P-256 key (RFC 7517)."""

    kty: Literal["EC"]
    crv: Literal["P-256"]
    x: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{43}$")]
    y: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{43}$")]


class Enrol(Wire):
    """With a DPoP proof by the same key in the header."""

    code: Annotated[str, StringConstraints(min_length=8, max_length=64)]
    public_key: PublicKey
    software_version: Label


class Enrolled(Wire):
    device_id: UUID
    clinic_id: UUID
    refresh_token: str
    refresh_expires_at: AwareDatetime


class TokenRequest(Wire):
    """request_id: the same again, with the same refresh token, asks for an answer that was lost on its way: it gets the same refresh token
    as before, until that one is used.
    """

    refresh_token: Base64Url
    request_id: UUID | None = None


class Tokens(Wire):
    access_token: str
    token_type: Literal["DPoP"] = "DPoP"  # noqa: S105
    expires_in_s: int
    refresh_token: str
    refresh_expires_at: AwareDatetime


class DeviceEntry(Wire):
    id: UUID
    name: str
    enrolled_at: AwareDatetime
    revoked_at: AwareDatetime | None
    last_seen_at: AwareDatetime | None
    software_version: str


class Devices(Wire):
    devices: list[DeviceEntry]


# --- Observations ------------------------------------------------------------------------------------


class Value(Wire):
    """One vital sign or reading, as `health-helper/scan/1` says it. value null: not shown, then there is a reason."""

    value: Finite | None
    low: Finite | None = None
    high: Finite | None = None
    unit: Annotated[str, StringConstraints(pattern=r"^[\w/%°.·*^ -]{0,16}$")]
    confidence: Annotated[float, Field(ge=0, le=1)] | None = None
    reasons: Annotated[list[Word], Field(max_length=32)] = []
    window_s: Annotated[float, Field(ge=0, le=86_400)] | None = None
    algorithm: Label = ""

    @model_validator(mode="after")
    def _honest(self) -> Value:
        if self.value is None:
            if not self.reasons:
                raise ValueError("a value that is not shown needs a reason")
            if self.low is not None or self.high is not None:
                raise ValueError("a value that is not shown has no interval")
        elif (self.low is None) != (self.high is None):
            raise ValueError("an interval has two ends")
        elif self.low is not None and self.high is not None and not self.low <= self.value <= self.high:
            raise ValueError("the interval does not hold the value")
        return self


class Quality(Wire):
    score: Annotated[float, Field(ge=0, le=1)] | None = None
    reasons: Annotated[list[Word], Field(max_length=32)] = []
    limiting_factor: Word | None = None


class Observation(Wire):
    """What one scan found, or what a person entered. kind: "scan", "blood_pressure", "oximeter", "temperature", "weight" or something newer.

    patient_id: the device's own pseudonym. taken_at: UTC; utc_offset_min: of the place. entered: typed in by a person.
    facts: figures of the scan (measured_fps, accepted_s …).
    """

    id: UUID
    patient_id: UUID
    kind: Word
    taken_at: AwareDatetime
    utc_offset_min: Annotated[int, Field(ge=-18 * 60, le=18 * 60)]
    entered: bool = False
    software_version: Label
    values: Annotated[dict[Word, Value], Field(max_length=16)]
    quality: Quality | None = None
    facts: Annotated[dict[Word, Finite | bool], Field(max_length=32)] = {}


class ObservationBatch(Wire):
    """Each is judged by itself: a bad one spoils no other. Items: `Observation`."""

    observations: Annotated[
        list[Any],
        Field(
            min_length=1,
            max_length=MAX_OBSERVATIONS,
            json_schema_extra={"items": {"$ref": "#/components/schemas/Observation"}},
        ),
    ]


class ItemStatus(StrEnum):
    STORED = "stored"
    ALREADY_STORED = "already_stored"
    CONFLICT = "conflict"
    """Another observation has this id."""
    INVALID = "invalid"
    PATIENT_ERASED = "patient_erased"


class ItemResult(Wire):
    """at: the item's place in the batch. id: null where it had none. fields: those that are wrong (names only)."""

    at: int
    id: UUID | None
    status: ItemStatus
    fields: list[str] = []


class BatchResult(Wire):
    results: list[ItemResult]


class StoredObservation(Observation):
    received_at: AwareDatetime
    device_id: UUID


class ObservationPage(Wire):
    """next_cursor: of the next page, the newest first; null: there is none."""

    observations: list[StoredObservation]
    next_cursor: str | None


class Erased(Wire):
    observations: int
    uploads: int
    object_versions: int


# --- Uploads -----------------------------------------------------------------------------------------


class MediaType(StrEnum):
    PDF = "application/pdf"
    PNG = "image/png"
    JPEG = "image/jpeg"
    JSON = "application/json"


class Purpose(StrEnum):
    MEDICAL_REPORT = "medical_report"
    """Given by the patient."""
    SCAN_REPORT = "scan_report"
    """Made by us."""
    SCAN_RECORD = "scan_record"
    """The pulse wave and all else of a scan, as JSON."""


class NewUpload(Wire):
    id: UUID
    patient_id: UUID
    purpose: Purpose
    media_type: MediaType
    length_bytes: Annotated[int, Field(ge=1, le=100_000_000)]
    sha256: Sha256


class UploadState(StrEnum):
    AWAITING = "awaiting"
    PROCESSING = "processing"
    READY = "ready"
    QUARANTINED = "quarantined"
    FAILED = "failed"
    """Could not be looked at; tried again on the next completion."""


class UploadUrl(Wire):
    """Put the file to url with exactly these headers. url null: it is there already."""

    id: UUID
    state: UploadState
    url: str | None
    method: Literal["PUT"] = "PUT"
    headers: dict[str, str]
    expires_at: AwareDatetime | None


class Upload(Wire):
    """reason: why it is in quarantine. pages: of a PDF."""

    id: UUID
    patient_id: UUID
    purpose: Purpose
    media_type: MediaType
    length_bytes: int
    sha256: Sha256
    state: UploadState
    reason: Word | None
    pages: int | None
    created_at: AwareDatetime


class Download(Wire):
    url: str
    expires_at: AwareDatetime


class Export(ObservationPage):
    """All that is kept of one patient, by page. uploads: each once, on the first pages; each is downloaded by its own route."""

    uploads: list[Upload]


# --- Shares ------------------------------------------------------------------------------------------


class NewShare(Wire):
    """email: sends the link there; it is not kept."""

    id: UUID
    upload_id: UUID
    valid_s: Annotated[int, Field(ge=300, le=7 * 86_400)] = 86_400
    email: (
        Annotated[
            str, StringConstraints(pattern=r"^[^@\s<>\"',;:\\]{1,64}@[A-Za-z0-9.-]{1,180}\.[A-Za-z]{2,24}$")
        ]
        | None
    ) = None


class Share(Wire):
    """url: works once, for whoever has it; its secret is behind the '#', which no server sees."""

    id: UUID
    url: str
    expires_at: AwareDatetime


class OpenShare(Wire):
    secret: Base64Url


# --- Chat --------------------------------------------------------------------------------------------


class Urgency(StrEnum):
    NONE = "none"
    URGENT = "urgent"
    EMERGENCY = "emergency"


class Triage(Wire):
    """The device's own verdict."""

    level: Urgency
    category: Word | None = None


class ChatTurn(Wire):
    role: Literal["person", "assistant"]
    text: Annotated[str, StringConstraints(min_length=1, max_length=4000)]


class Evidence(Wire):
    """A vital sign of this patient that the answer may speak of."""

    name: Word
    taken_at: AwareDatetime
    value: Value


class Chat(Wire):
    """turns: the last is the person's. documents: uploads of this patient. age_band: "18-29", "30-44" …"""

    conversation_id: UUID
    patient_id: UUID
    language: Language
    turns: Annotated[list[ChatTurn], Field(min_length=1, max_length=20)]
    triage: Triage
    evidence: Annotated[list[Evidence], Field(max_length=24)] = []
    documents: Annotated[list[UUID], Field(max_length=5)] = []
    age_band: Annotated[str, StringConstraints(pattern=r"^\d{2,3}-\d{2,3}$|^\d{2,3}\+$")] | None = None

    @model_validator(mode="after")
    def _asks(self) -> Chat:
        if self.turns[-1].role != "person":
            raise ValueError("the last turn must be the person's")
        return self


class ChatStart(Wire):
    event: Literal["start"] = "start"
    request_id: str
    model_id: str
    urgency: Urgency


class ChatCitation(Wire):
    """id: as the text cites it, [id]."""

    event: Literal["citation"] = "citation"
    id: Word
    title: str
    uri: str
    quote: str


class ChatDelta(Wire):
    event: Literal["delta"] = "delta"
    text: str


class ChatUrgency(Wire):
    """Higher than what was known before; never lower."""

    event: Literal["urgency"] = "urgency"
    urgency: Urgency


class ChatDone(Wire):
    event: Literal["done"] = "done"
    reason: str
    input_tokens: int
    output_tokens: int
    urgency: Urgency


class ChatError(Wire):
    """The stream broke; what came before it is no whole answer."""

    event: Literal["error"] = "error"
    code: str
    retry_after_s: float | None = None


# --- Speech ------------------------------------------------------------------------------------------


class NewTranscription(Wire):
    language: Language
    sample_rate_hz: Annotated[int, Field(ge=8_000, le=48_000)] = 16_000


class Transcription(Wire):
    """A web socket to be opened with exactly these headers until expires_at. protocol: whose messages are spoken there."""

    url: str
    expires_at: AwareDatetime
    protocol: Literal["transcribe", "deepgram"] = "transcribe"
    headers: dict[str, str] = {}


class NewSynthesis(Wire):
    text: Annotated[str, StringConstraints(min_length=1, max_length=1500)]
    language: Language
    voice: Label | None = None
    rate_percent: Annotated[int, Field(ge=50, le=200)] = 100


# --- Fleet -------------------------------------------------------------------------------------------


class Part(Wire):
    name: Word
    ready: bool
    took_ms: float


class Health(Wire):
    ready: bool
    version: str
    parts: list[Part]


class UploadLimit(Wire):
    purpose: Purpose
    media_type: MediaType
    max_bytes: int


class Config(Wire):
    """What this clinic may use."""

    clinic_id: UUID
    allows: list[Feature]
    model_ids: list[str]
    languages: list[str]
    token_budget: int
    tokens_used: int
    max_batch: int
    requests_per_minute: int
    uploads: list[UploadLimit]


class Heartbeat(Wire):
    """How a device is. oldest_waiting_s: age of the oldest thing that waits to be sent; null: nothing does."""

    software_version: Label
    system: Label
    waiting: Many
    parked: Many
    oldest_waiting_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None
    clock_offset_s: Finite | None = None
    scans: Many = 0
    scans_shown: Many = 0


class AuditEntry(Wire):
    seq: int
    at: AwareDatetime
    actor_kind: str
    actor_id: str
    action: str
    object_kind: str
    object_id: str
    result: str
    request_id: str


class AuditPage(Wire):
    entries: list[AuditEntry]
    next_cursor: str | None


class Problem(Wire):
    """RFC 9457."""

    type: str
    title: str
    status: int
    code: str
    request_id: str
    retry_after_s: float | None = None
    fields: list[str] = []
