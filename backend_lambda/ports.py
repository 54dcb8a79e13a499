"""What the services need of the outside, and the plain values that pass through. Adapters: `backend_lambda.aws`; stand-ins: the tests'.

Every adapter raises `errors.Refusal` (503 and the like) where its service does not answer, and nothing else for the world's faults.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal, Protocol
from uuid import UUID


class Clock(Protocol):
    """The time."""

    def utc(self) -> datetime:
        """Now, with its time zone (UTC)."""

    def now_s(self) -> float:
        """Monotonic seconds."""


class Signer(Protocol):
    """The key that signs access tokens. It never leaves its service."""

    def sign(self, message: bytes) -> bytes:
        """ES256 over the message: r and s, 32 bytes each, as JWS wants them."""

    def key_id(self) -> str:
        """Names the key in a token's header."""

    def public_key_pem(self) -> bytes:
        """Fetched once for each process."""


class KeySets(Protocol):
    """The public keys of the OIDC issuers that are configured."""

    def key_pem(self, issuer: str, key_id: str) -> bytes | None:
        """None: the issuer has no such key. Kept for minutes; an unknown key asks anew, at most once a minute."""


@dataclass(frozen=True, slots=True)
class UploadFacts:
    """What a client says of a file before it sends it. sha256: 32 bytes."""

    media_type: str
    length_bytes: int
    sha256: bytes


@dataclass(frozen=True, slots=True)
class PresignedRequest:
    """headers: must be sent exactly so, for they are signed."""

    url: str
    headers: Mapping[str, str]
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class ObjectFacts:
    """What the object store says of an object. sha256: as the store itself computed it, None if it did not.

    content_encoding: readers would unpack it before they show it, and see what nobody has looked at; "" where none was said.
    """

    length_bytes: int
    media_type: str
    sha256: bytes | None
    version_id: str
    content_encoding: str = ""


@dataclass(frozen=True, slots=True)
class ObjectVersion:
    """written_at: by the store's clock. is_marker: it says that the object was deleted, and hides the versions before it."""

    key: str
    version_id: str
    written_at: datetime
    is_marker: bool


class ObjectStore(Protocol):
    """A bucket, versioned and encrypted with a key of ours."""

    def presign_put(self, key: str, facts: UploadFacts, seconds: int) -> PresignedRequest:
        """Signs length, type, SHA-256 and `If-None-Match: *`."""

    def presign_get(self, key: str, version_id: str, file_name: str, seconds: int) -> str:
        """A URL that downloads this version under this name."""

    def head(self, key: str) -> ObjectFacts | None:
        """None: there is none."""

    def read(self, key: str, version_id: str, at_most_bytes: int) -> bytes:
        """Raises Refusal 413 where it is larger."""

    def write(self, key: str, data: bytes, media_type: str) -> str:
        """Returns the version."""

    def move(self, key: str, version_id: str, to_key: str) -> str:
        """Copies this version, then takes every version of the old key away. Returns the new version."""

    def erase(self, prefix: str) -> int:
        """Every version and delete marker of every object whose key begins so. Returns how many."""

    def versions(self, prefix: str) -> Sequence[ObjectVersion]:
        """Every version and delete marker of every object whose key begins so."""

    def write_locked(self, key: str, data: bytes, until: datetime) -> None:
        """Object Lock in compliance mode."""


class Role(StrEnum):
    """Who said something in a conversation."""

    PERSON = "person"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class Turn:
    """One thing said."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """model_id: one of the settings'. system: the instructions, ours alone. guardrail: id and version, or None. There are no tools."""

    model_id: str
    system: str
    turns: Sequence[Turn]
    max_tokens: int
    guardrail: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class TextPiece:
    """Some of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Ended:
    """reason: "end_turn", "max_tokens", "guardrail_intervened", "tool_use" or something newer."""

    reason: str
    input_tokens: int
    output_tokens: int


ModelEvent = TextPiece | Ended


class Model(Protocol):
    """A large language model that streams."""

    def stream(self, request: ModelRequest) -> Iterator[ModelEvent]:
        """Raises Refusal: MODEL_THROTTLED (429), MODEL_RETIRED, MODEL_UNAVAILABLE (503), TIMED_OUT (504); also in mid-stream."""


@dataclass(frozen=True, slots=True)
class Passage:
    """Found in the knowledge base. id: stable, as cited. uri: where people can read it, may be empty."""

    id: str
    title: str
    uri: str
    text: str
    score: float


class KnowledgeBase(Protocol):
    """Our articles, searchable."""

    def retrieve(self, text: str, language: str, limit: int) -> Sequence[Passage]:
        """The best first."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """audio: MP3. characters: what is billed."""

    audio: bytes
    media_type: str
    characters: int


@dataclass(frozen=True, slots=True)
class SpeechStream:
    """A web socket that a device streams PCM to: 16 bits, little-endian, one channel. url, headers: secrets for whoever has them.

    protocol: whose messages are spoken there. headers: of the handshake. good_for_s: the stream must be opened within so long.
    """

    protocol: Literal["transcribe", "deepgram"]
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    good_for_s: float


class SpeechToText(Protocol):
    """Hears. The sound goes from the device to it, not through us."""

    def transcription(self, language: str, sample_rate_hz: int) -> SpeechStream:
        """Raises Refusal 422 for a language that it does not hear."""


class TextToSpeech(Protocol):
    """Speaks."""

    def synthesize(self, text: str, rate_percent: int, language: str, voice: str | None) -> Spoken:
        """text: as people wrote it, no markup. voice: the service's own name of one. Raises Refusal: 422 for a language or voice
        that there is not, 413 for a text that is too long.
        """


class Mail(Protocol):
    """Sends one message."""

    def send(self, to: str, subject: str, text: str) -> None: ...


class TextRecognition(Protocol):
    """Reads text out of pictures of pages (Textract)."""

    def text(self, data: bytes, media_type: str) -> str: ...


@dataclass(frozen=True, slots=True)
class Entity:
    """A medical thing that a text names. start, end: characters."""

    text: str
    category: str
    start: int
    end: int
    score: float


class MedicalEntities(Protocol):
    """Finds medical things in a text (Comprehend Medical)."""

    def entities(self, text: str) -> Sequence[Entity]: ...


class MalwareScan(Protocol):
    """Whether a file is known to be malicious."""

    def verdict(self, key: str, version_id: str) -> str | None:
        """None: clean; otherwise the name of what was found."""


class Measures(Protocol):
    """Counts and durations for operators. Dimensions: a clinic, never a patient or a device."""

    def add(self, name: str, value: float, unit: str, clinic_id: str | None = None) -> None:
        """unit: CloudWatch's ("Count", "Milliseconds", "Seconds", "Percent")."""


@dataclass(frozen=True, slots=True)
class VitalsRecord:
    """patient_id: decides the place in the stream, and is not shown there. data: JSON, as `services.feeds` writes it."""

    patient_id: UUID
    data: bytes


class VitalsStream(Protocol):
    """A feed of what was accepted, for analysis elsewhere. The store is the truth: the feed may lack or repeat something."""

    def put(self, clinic_id: UUID, records: Sequence[VitalsRecord]) -> int:
        """Returns how many were not taken; raises nothing for the world's faults."""


class UrgentCases(Protocol):
    """Tells those who can help that somebody at a device needs it. Never who, never what was said."""

    def tell(self, clinic_id: UUID, device_id: UUID, urgency: str, at: datetime) -> bool:
        """Whether it was taken. Raises nothing for the world's faults."""


class AdmissionCache(Protocol):
    """Proofs that were seen and requests that were counted, outside the database. Raises Refusal 503 where it does not answer."""

    def seen(self, proof: bytes) -> bool:
        """True: it was seen in the last 25 minutes; otherwise it is kept as seen."""

    def count(self, clinic_id: UUID, asker_id: UUID, now: datetime, limit_per_minute: int) -> float | None:
        """Counts one request. None: not too many; else the seconds until the next minute begins (0 < s ≤ 60)."""


@dataclass(frozen=True, slots=True)
class Ports:
    """All of them, as a composition root hands them out."""

    clock: Clock
    signer: Signer
    key_sets: KeySets
    documents: ObjectStore
    audit: ObjectStore
    model: Model
    knowledge: KnowledgeBase
    speech_to_text: SpeechToText
    text_to_speech: TextToSpeech
    mail: Mail
    measures: Measures
    text_recognition: TextRecognition | None = None
    medical_entities: MedicalEntities | None = None
    malware_scan: MalwareScan | None = None
    documents_copy: ObjectStore | None = None
    vitals_stream: VitalsStream | None = None
    urgent_cases: UrgentCases | None = None
    admission_cache: AdmissionCache | None = None
