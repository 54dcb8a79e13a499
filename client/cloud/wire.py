"""Requests and answers of the cloud's API (/v1), as `backend_lambda/wire.py` has them; that of the chat is in `client.cloud.chat`.

`tests/golden/wire/` has one example of each, read by the tests of both sides. An identifier is a UUID in small letters, as the store
has them; a moment is a datetime in UTC. Whatever the server picks out of a list (a state, a purpose, a feature, a code) is a `str`: one
that this version knows equals a member of its enum, one of a newer version is kept as it is.

Secrets, links and what a person typed stay out of `repr`, so that no log can hold them.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Self

from client.cloud.forms import (
    Fields,
    Unfit,
    access_token,
    base64url,
    bearer,
    count,
    cursor,
    email,
    flag,
    flag_or_number,
    header_name,
    header_value,
    identifier,
    inside,
    label,
    language,
    many,
    matching,
    maybe,
    moment,
    moment_text,
    number,
    one_of,
    parsed,
    sha256,
    stream_url,
    table,
    text,
    unit,
    web_url,
    word,
)
from client.errors import EnvironmentFault
from client.language import said

REQUEST_BYTES = 1_000_000
"""What the server takes at once."""
ANSWER_BYTES = 1_000_000
PAGE_BYTES = 8_000_000
"""Lambda answers with 6 MB at most."""
MAX_OBSERVATIONS = 100
"""In a batch."""
MAX_PAGE = 200
_FILES = 50_000
"""More than fit into PAGE_BYTES."""


class AnswerUnreadable(EnvironmentFault):
    """What came is no answer of this API.

    place: for a log, the answer and the field of ours that is wrong ("Tokens.expires_in_s"). Of what came nothing is kept here.
    """

    def __init__(self, place: str) -> None:
        super().__init__(
            title=said("The server's answer cannot be read"),
            remedy=said(
                "Try again later. If this stays, install the newest version, or ask whoever looks after the server."
            ),
            retry=True,
        )
        self.place = place


class Request(ABC):
    """What is sent."""

    __slots__ = ()
    most_bytes: ClassVar[int] = REQUEST_BYTES

    @abstractmethod
    def to_json(self) -> dict[str, object]:
        """All of its fields, as plain values. Raises Unfit."""

    def body(self) -> bytes:
        """As sent. UTF-8 and not escapes, which would make 4,000 characters of Arabic or Hindi up to twice as long. Raises Unfit."""
        data = json.dumps(self.to_json(), allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        encoded = data.encode()
        if len(encoded) > self.most_bytes:
            raise Unfit(f"a request of at most {self.most_bytes} bytes")
        return encoded


class Answer(ABC):
    """What comes. most_bytes: more of it need not be waited for."""

    __slots__ = ()
    most_bytes: ClassVar[int] = ANSWER_BYTES

    @classmethod
    @abstractmethod
    def of(cls, its: Fields) -> Self:
        """Raises Unfit."""

    @classmethod
    def read(cls, data: bytes) -> Self:
        """Raises AnswerUnreadable and nothing else, whatever came."""
        try:
            return cls.of(Fields(parsed(data, cls.most_bytes)))
        except Unfit as unfit:
            place = f"{cls.__name__}.{unfit.place}" if unfit.place else cls.__name__
        raise AnswerUnreadable(place)


# --- Refusals ----------------------------------------------------------------------------------------


class Code(StrEnum):
    """Why a request was refused; what a client decides by."""

    BAD_REQUEST = "bad_request"
    UNAUTHENTICATED = "unauthenticated"
    TOKEN_EXPIRED = "token_expired"  # noqa: S105 (a name, no secret)
    CLOCK_SKEW = "clock_skew"
    PROOF_REPLAYED = "proof_replayed"
    DEVICE_REVOKED = "device_revoked"
    CODE_INVALID = "code_invalid"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    GONE = "gone"
    TOO_LARGE = "too_large"
    MEDIA_TYPE = "media_type"
    INVALID = "invalid"
    RATE_LIMITED = "rate_limited"
    BUDGET_SPENT = "budget_spent"
    NOT_ALLOWED_HERE = "not_allowed_here"
    STORE_UNAVAILABLE = "store_unavailable"
    OBJECTS_UNAVAILABLE = "objects_unavailable"
    MODEL_THROTTLED = "model_throttled"
    MODEL_RETIRED = "model_retired"
    MODEL_UNAVAILABLE = "model_unavailable"
    SPEECH_UNAVAILABLE = "speech_unavailable"
    MAIL_UNAVAILABLE = "mail_unavailable"
    TIMED_OUT = "timed_out"
    INTERNAL = "internal"


RETRY_AFTER_S = number(0.0, 400 * 86_400.0)
"""A spent budget comes back next month."""


@dataclass(frozen=True, slots=True)
class Problem(Answer):
    """A refusal (RFC 9457). title: for a log or a developer, in English. code: of Code. fields: those that are wrong."""

    type: str
    title: str
    status: int
    code: str
    request_id: str
    retry_after_s: float | None
    fields: tuple[str, ...]

    @classmethod
    def of(cls, its: Fields) -> Self:
        return cls(
            type=its.get("type", text(200)),
            title=its.get("title", text(500)),
            status=its.get("status", count(599, least=100)),
            code=its.get("code", word),
            request_id=its.get("request_id", text(200)),
            retry_after_s=its.get_or("retry_after_s", maybe(RETRY_AFTER_S), None),
            fields=its.get_or("fields", many(text(1000), most=1000), ()),
        )


# --- Signing in --------------------------------------------------------------------------------------

_coordinate = matching("a coordinate of P-256", r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A P-256 key (RFC 7517). x, y: base64url."""

    x: str
    y: str

    def to_json(self) -> dict[str, object]:
        """Raises Unfit."""
        return {"kty": "EC", "crv": "P-256", "x": _coordinate(self.x), "y": _coordinate(self.y)}


@dataclass(frozen=True, slots=True)
class Enrol(Request):
    """code: as somebody typed it, 8 to 64 characters; spaces, hyphens and small letters are no matter."""

    code: str = field(repr=False)
    public_key: PublicKey
    software_version: str

    def to_json(self) -> dict[str, object]:
        return {
            "code": text(64, least=8)(self.code),
            "public_key": self.public_key.to_json(),
            "software_version": label(self.software_version),
        }


@dataclass(frozen=True, slots=True)
class Enrolled(Answer):
    """The device's own identifier and its first refresh token."""

    device_id: str
    clinic_id: str
    refresh_token: str = field(repr=False)
    refresh_expires_at: datetime

    @classmethod
    def of(cls, its: Fields) -> Self:
        return cls(
            device_id=its.get("device_id", identifier),
            clinic_id=its.get("clinic_id", identifier),
            refresh_token=its.get("refresh_token", base64url),
            refresh_expires_at=its.get("refresh_expires_at", moment),
        )


@dataclass(frozen=True, slots=True)
class TokenRequest(Request):
    """request_id: the same again, with the same refresh token, asks for an answer that was lost on its way."""

    refresh_token: str = field(repr=False)
    request_id: str | None

    def to_json(self) -> dict[str, object]:
        return {
            "refresh_token": base64url(self.refresh_token),
            "request_id": maybe(identifier)(self.request_id),
        }


@dataclass(frozen=True, slots=True)
class Tokens(Answer):
    """expires_in_s: of the access token, from the answer's arrival. The refresh token is good once."""

    access_token: str = field(repr=False)
    token_type: str
    expires_in_s: int
    refresh_token: str = field(repr=False)
    refresh_expires_at: datetime

    @classmethod
    def of(cls, its: Fields) -> Self:
        return cls(
            access_token=its.get("access_token", access_token),
            token_type=its.get_or("token_type", matching("a token's type", "[A-Za-z0-9_-]{1,32}"), "DPoP"),
            expires_in_s=its.get("expires_in_s", count(400 * 86_400)),
            refresh_token=its.get("refresh_token", base64url),
            refresh_expires_at=its.get("refresh_expires_at", moment),
        )


# --- Observations ------------------------------------------------------------------------------------

_share = number(0.0, 1.0)
_words = many(word, most=32)
_window_s = number(0.0, 86_400.0)


@dataclass(frozen=True, slots=True)
class Value:
    """One vital sign or reading, in `unit`. value None: not shown, then there is a reason and no interval. low, high: 95 %.

    confidence: that the value is right. window_s: seconds of signal behind it. Raises Unfit for what contradicts itself.
    """

    value: float | None
    low: float | None
    high: float | None
    unit: str
    confidence: float | None
    reasons: tuple[str, ...]
    window_s: float | None
    algorithm: str

    def __post_init__(self) -> None:
        if self.value is None:
            honest = bool(self.reasons) and self.low is None and self.high is None
        elif self.low is None or self.high is None:
            honest = self.low is None and self.high is None
        else:
            honest = self.low <= self.value <= self.high
        if not honest:
            raise Unfit("a value in its interval, or a reason for none")

    def to_json(self) -> dict[str, object]:
        """Raises Unfit."""
        return {
            "value": maybe(number())(self.value),
            "low": maybe(number())(self.low),
            "high": maybe(number())(self.high),
            "unit": unit(self.unit),
            "confidence": maybe(_share)(self.confidence),
            "reasons": _words(self.reasons),
            "window_s": maybe(_window_s)(self.window_s),
            "algorithm": label(self.algorithm),
        }

    @classmethod
    def of(cls, its: Fields) -> Self:
        """Raises Unfit."""
        return cls(
            value=its.get("value", maybe(number())),
            low=its.get_or("low", maybe(number()), None),
            high=its.get_or("high", maybe(number()), None),
            unit=its.get("unit", text(16)),
            confidence=its.get_or("confidence", maybe(_share), None),
            reasons=its.get_or("reasons", _words, ()),
            window_s=its.get_or("window_s", maybe(_window_s), None),
            algorithm=its.get_or("algorithm", text(80), ""),
        )


@dataclass(frozen=True, slots=True)
class Quality:
    """Of the picture and the signal. score: 0 to 1."""

    score: float | None
    reasons: tuple[str, ...]
    limiting_factor: str | None

    def to_json(self) -> dict[str, object]:
        """Raises Unfit."""
        return {
            "score": maybe(_share)(self.score),
            "reasons": _words(self.reasons),
            "limiting_factor": maybe(word)(self.limiting_factor),
        }

    @classmethod
    def of(cls, its: Fields) -> Self:
        """Raises Unfit."""
        return cls(
            score=its.get_or("score", maybe(_share), None),
            reasons=its.get_or("reasons", _words, ()),
            limiting_factor=its.get_or("limiting_factor", maybe(word), None),
        )


_offset_min = count(18 * 60, least=-18 * 60)
_figures = table(word, flag_or_number, most=32)


@dataclass(frozen=True, slots=True)
class Observation:
    """What one scan found, or what a person entered. patient_id: a pseudonym. facts: figures of the scan."""

    id: str
    patient_id: str
    kind: str
    taken_at: datetime
    utc_offset_min: int
    entered: bool
    software_version: str
    values: Mapping[str, Value]
    quality: Quality | None
    facts: Mapping[str, float | bool]

    def to_json(self) -> dict[str, object]:
        """Raises Unfit."""
        return {
            "id": identifier(self.id),
            "patient_id": identifier(self.patient_id),
            "kind": word(self.kind),
            "taken_at": moment_text(self.taken_at),
            "utc_offset_min": _offset_min(self.utc_offset_min),
            "entered": flag(self.entered),
            "software_version": label(self.software_version),
            "values": table(word, Value.to_json, most=16)(self.values),
            "quality": None if self.quality is None else self.quality.to_json(),
            "facts": _figures(self.facts),
        }

    @classmethod
    def of(cls, its: Fields) -> Self:
        """Raises Unfit."""
        return cls(
            id=its.get("id", identifier),
            patient_id=its.get("patient_id", identifier),
            kind=its.get("kind", word),
            taken_at=its.get("taken_at", moment),
            utc_offset_min=its.get("utc_offset_min", _offset_min),
            entered=its.get_or("entered", flag, default=False),
            software_version=its.get("software_version", text(80)),
            values=its.get("values", table(word, inside(Value.of), most=16)),
            quality=its.get_or("quality", maybe(inside(Quality.of)), None),
            facts=its.get_or("facts", _figures, {}),
        )


@dataclass(frozen=True, slots=True)
class ObservationBatch(Request):
    """1 to MAX_OBSERVATIONS, each judged by itself. Many reasons on many values can be too much for one body."""

    observations: tuple[Observation, ...]

    def to_json(self) -> dict[str, object]:
        written = many(Observation.to_json, most=MAX_OBSERVATIONS, least=1)
        return {"observations": written(self.observations)}


class ItemStatus(StrEnum):
    """What became of one of a batch. CONFLICT: another observation has its id."""

    STORED = "stored"
    ALREADY_STORED = "already_stored"
    CONFLICT = "conflict"
    INVALID = "invalid"
    PATIENT_ERASED = "patient_erased"


@dataclass(frozen=True, slots=True)
class ItemResult:
    """at: its place in the batch. id: None where it had none. status: of ItemStatus. fields: those that are wrong."""

    at: int
    id: str | None
    status: str
    fields: tuple[str, ...]

    @classmethod
    def of(cls, its: Fields) -> Self:
        """Raises Unfit."""
        return cls(
            at=its.get("at", count(MAX_OBSERVATIONS - 1)),
            id=its.get("id", maybe(identifier)),
            status=its.get("status", word),
            fields=its.get_or("fields", many(text(1000), most=1000), ()),
        )


@dataclass(frozen=True, slots=True)
class BatchResult(Answer):
    """No place occurs twice; whether each was answered is for whoever sent the batch to see."""

    results: tuple[ItemResult, ...]

    @classmethod
    def of(cls, its: Fields) -> Self:
        results = its.get("results", many(inside(ItemResult.of), most=MAX_OBSERVATIONS))
        if len({result.at for result in results}) != len(results):
            raise Unfit("each place once", "results")
        return cls(results)


@dataclass(frozen=True, slots=True)
class StoredObservation:
    """An observation as the server has it. device_id: of whoever sent it."""

    observation: Observation
    received_at: datetime
    device_id: str

    @classmethod
    def of(cls, its: Fields) -> Self:
        """Raises Unfit."""
        return cls(
            Observation.of(its),
            received_at=its.get("received_at", moment),
            device_id=its.get("device_id", identifier),
        )


@dataclass(frozen=True, slots=True)
class ObservationPage(Answer):
    """The newest first. next_cursor: of the next page; None: there is none."""

    most_bytes: ClassVar[int] = PAGE_BYTES

    observations: tuple[StoredObservation, ...]
    next_cursor: str | None

    @classmethod
    def of(cls, its: Fields) -> Self:
        return cls(
            observations=its.get("observations", many(inside(StoredObservation.of), most=MAX_PAGE)),
            next_cursor=its.get("next_cursor", maybe(cursor)),
        )


@dataclass(frozen=True, slots=True)
class Erased(Answer):
    """How much is gone for good."""

    observations: int
    uploads: int
    object_versions: int

    @classmethod
    def of(cls, its: Fields) -> Self:
        return cls(
            observations=its.get("observations", count()),
            uploads=its.get("uploads", count()),
            object_versions=its.get("object_versions", count()),
        )


# --- Uploads -----------------------------------------------------------------------------------------


class MediaType(StrEnum):
    """Of a file."""

    PDF = "application/pdf"
    PNG = "image/png"
    JPEG = "image/jpeg"
    JSON = "application/json"


class Purpose(StrEnum):
    """Of a file. MEDICAL_REPORT: given by the patient. SCAN_REPORT: made by us. SCAN_RECORD: all of a scan, as JSON."""

    MEDICAL_REPORT = "medical_report"
    SCAN_REPORT = "scan_report"
    SCAN_RECORD = "scan_record"


class UploadState(StrEnum):
    """Of a file. FAILED: could not be looked at; tried again on the next completion."""

    AWAITING = "awaiting"
    PROCESSING = "processing"
    READY = "ready"
    QUARANTINED = "quarantined"
    FAILED = "failed"


_length_bytes = count(100_000_000, least=1)
_media_type = matching("a media type", r"[a-z0-9.+-]{1,64}/[a-z0-9.+-]{1,64}")


@dataclass(frozen=True, slots=True)
class NewUpload(Request):
    """A file that is going to be sent; without its name."""

    id: str
    patient_id: str
    purpose: Purpose
    media_type: MediaType
    length_bytes: int
    sha256: str

    def to_json(self) -> dict[str, object]:
        return {
            "id": identifier(self.id),
            "patient_id": identifier(self.patient_id),
            "purpose": one_of(Purpose)(self.purpose),
            "media_type": one_of(MediaType)(self.media_type),
            "length_bytes": _length_bytes(self.length_bytes),
            "sha256": sha256(self.sha256),
        }


@dataclass(frozen=True, slots=True)
class UploadUrl(Answer):
    """Where the file goes, with exactly these headers. url None: it is there already. state: of UploadState."""

    id: str
    state: str
    url: str | None = field(repr=False)
    method: str
    headers: Mapping[str, str] = field(repr=False)
    expires_at: datetime | None

    @classmethod
    def of(cls, its: Fields) -> Self:
        return cls(
            id=its.get("id", identifier),
            state=its.get("state", word),
            url=its.get("url", maybe(web_url)),
            method=its.get_or("method", matching("a method", "[A-Z]{1,16}"), "PUT"),
            headers=its.get("headers", table(header_name, header_value, most=32)),
            expires_at=its.get("expires_at", maybe(moment)),
        )


@dataclass(frozen=True, slots=True)
class Upload(Answer):
    """A file as the server has it. purpose, media_type, state: of their enums. reason: why it is in quarantine. pages: of a PDF."""

    id: str
    patient_id: str
    purpose: str
    media_type: str
    length_bytes: int
    sha256: str
    state: str
    reason: str | None
    pages: int | None
    created_at: datetime

    @classmethod
    def of(cls, its: Fields) -> Self:
        return cls(
            id=its.get("id", identifier),
            patient_id=its.get("patient_id", identifier),
            purpose=its.get("purpose", word),
            media_type=its.get("media_type", _media_type),
            length_bytes=its.get("length_bytes", count()),
            sha256=its.get("sha256", sha256),
            state=its.get("state", word),
            reason=its.get("reason", maybe(word)),
            pages=its.get("pages", maybe(count())),
            created_at=its.get("created_at", moment),
        )


@dataclass(frozen=True, slots=True)
class Download(Answer):
    """url: good until expires_at for whoever has it."""

    url: str = field(repr=False)
    expires_at: datetime

    @classmethod
    def of(cls, its: Fields) -> Self:
        return cls(url=its.get("url", web_url), expires_at=its.get("expires_at", moment))


@dataclass(frozen=True, slots=True)
class Export(Answer):
    """All that the server has of one patient, by page. uploads: each once, on the first pages."""

    most_bytes: ClassVar[int] = PAGE_BYTES

    observations: tuple[StoredObservation, ...]
    next_cursor: str | None
    uploads: tuple[Upload, ...]

    @classmethod
    def of(cls, its: Fields) -> Self:
        return cls(
            observations=its.get("observations", many(inside(StoredObservation.of), most=_FILES)),
            next_cursor=its.get("next_cursor", maybe(cursor)),
            uploads=its.get("uploads", many(inside(Upload.of), most=_FILES)),
        )


# --- Shares ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NewShare(Request):
    """A link that opens one report once. valid_s: 300 to 604,800. email: who gets it; None: nobody, it is shown here."""

    id: str
    upload_id: str
    valid_s: int
    email: str | None = field(repr=False)

    def to_json(self) -> dict[str, object]:
        return {
            "id": identifier(self.id),
            "upload_id": identifier(self.upload_id),
            "valid_s": count(7 * 86_400, least=300)(self.valid_s),
            "email": maybe(email)(self.email),
        }


@dataclass(frozen=True, slots=True)
class Share(Answer):
    """url: told once, works once, for whoever has it."""

    id: str
    url: str = field(repr=False)
    expires_at: datetime

    @classmethod
    def of(cls, its: Fields) -> Self:
        return cls(
            id=its.get("id", identifier),
            url=its.get("url", web_url),
            expires_at=its.get("expires_at", moment),
        )


# --- Speech ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NewTranscription(Request):
    """language: "en-US" …. sample_rate_hz: 8,000 to 48,000."""

    language: str
    sample_rate_hz: int

    def to_json(self) -> dict[str, object]:
        return {
            "language": language(self.language),
            "sample_rate_hz": count(48_000, least=8_000)(self.sample_rate_hz),
        }


@dataclass(frozen=True, slots=True)
class Transcription(Answer):
    """url: a web socket that speech is streamed to, opened with exactly these headers. protocol: whose messages are spoken there."""

    url: str = field(repr=False)
    expires_at: datetime
    protocol: str
    headers: Mapping[str, str] = field(repr=False)

    @classmethod
    def of(cls, its: Fields) -> Self:
        return cls(
            url=its.get("url", stream_url),
            expires_at=its.get("expires_at", moment),
            protocol=its.get_or("protocol", word, "transcribe"),
            headers=its.get_or("headers", table(header_name, bearer, most=8), {}),
        )


@dataclass(frozen=True, slots=True)
class NewSynthesis(Request):
    """text: 1 to 1,500 characters to be spoken. voice: None for the service's choice. rate_percent: 50 to 200."""

    text: str = field(repr=False)
    language: str
    voice: str | None
    rate_percent: int

    def to_json(self) -> dict[str, object]:
        return {
            "text": text(1500, least=1)(self.text),
            "language": language(self.language),
            "voice": maybe(label)(self.voice),
            "rate_percent": count(200, least=50)(self.rate_percent),
        }


# --- The service and its devices ---------------------------------------------------------------------


class Feature(StrEnum):
    """What a clinic may use beyond keeping what is measured."""

    CHAT = "chat"
    TRANSCRIPTION = "transcription"
    SYNTHESIS = "synthesis"
    SHARES = "shares"
    ANALYSIS = "analysis"


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the service. took_ms: its answer."""

    name: str
    ready: bool
    took_ms: float

    @classmethod
    def of(cls, its: Fields) -> Self:
        """Raises Unfit."""
        return cls(
            name=its.get("name", word), ready=its.get("ready", flag), took_ms=its.get("took_ms", number())
        )


@dataclass(frozen=True, slots=True)
class Health(Answer):
    """Whether the service is ready; comes with 200 where it is and with 503 where it is not."""

    ready: bool
    version: str
    parts: tuple[Part, ...]

    @classmethod
    def of(cls, its: Fields) -> Self:
        return cls(
            ready=its.get("ready", flag),
            version=its.get("version", text(200)),
            parts=its.get("parts", many(inside(Part.of), most=100)),
        )


@dataclass(frozen=True, slots=True)
class UploadLimit:
    """purpose, media_type: of their enums."""

    purpose: str
    media_type: str
    max_bytes: int

    @classmethod
    def of(cls, its: Fields) -> Self:
        """Raises Unfit."""
        return cls(
            purpose=its.get("purpose", word),
            media_type=its.get("media_type", _media_type),
            max_bytes=its.get("max_bytes", count()),
        )


@dataclass(frozen=True, slots=True)
class Config(Answer):
    """What this clinic may use. allows: of Feature. token_budget, tokens_used: of this month. uploads: nothing else is taken."""

    clinic_id: str
    allows: tuple[str, ...]
    model_ids: tuple[str, ...]
    languages: tuple[str, ...]
    token_budget: int
    tokens_used: int
    max_batch: int
    requests_per_minute: int
    uploads: tuple[UploadLimit, ...]

    @classmethod
    def of(cls, its: Fields) -> Self:
        return cls(
            clinic_id=its.get("clinic_id", identifier),
            allows=its.get("allows", many(word, most=100)),
            model_ids=its.get("model_ids", many(text(300), most=100)),
            languages=its.get("languages", many(text(35), most=1000)),  # RFC 5646: 35 hold every tag in use
            token_budget=its.get("token_budget", count()),
            tokens_used=its.get("tokens_used", count()),
            max_batch=its.get("max_batch", count(least=1)),
            requests_per_minute=its.get("requests_per_minute", count()),
            uploads=its.get("uploads", many(inside(UploadLimit.of), most=100)),
        )


@dataclass(frozen=True, slots=True)
class Heartbeat(Request):
    """How this device is. oldest_waiting_s: age of the oldest thing that waits to be sent; None: nothing does.

    clock_offset_s: how far this clock is ahead of the server's. scans, scans_shown: since the last one.
    """

    software_version: str
    system: str
    waiting: int
    parked: int
    oldest_waiting_s: float | None
    clock_offset_s: float | None
    scans: int
    scans_shown: int

    def to_json(self) -> dict[str, object]:
        return {
            "software_version": label(self.software_version),
            "system": label(self.system),
            "waiting": count()(self.waiting),
            "parked": count()(self.parked),
            "oldest_waiting_s": maybe(number(0.0))(self.oldest_waiting_s),
            "clock_offset_s": maybe(number())(self.clock_offset_s),
            "scans": count()(self.scans),
            "scans_shown": count()(self.scans_shown),
        }
