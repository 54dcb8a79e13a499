"""The ports in memory, for tests that want to see or to break what is behind them. The store is never faked: it is a real PostgreSQL.

A port with `fault` set raises it wherever it is asked.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from backend_lambda.errors import Code, Refusal
from backend_lambda.ports import (
    Clock,
    Ended,
    ModelEvent,
    ModelRequest,
    ObjectFacts,
    ObjectVersion,
    Passage,
    Ports,
    PresignedRequest,
    SpeechStream,
    Spoken,
    TextPiece,
    UploadFacts,
    VitalsRecord,
)


class FakeSigner:
    """A P-256 key in memory."""

    def __init__(self) -> None:
        self._key = generate_private_key(SECP256R1())
        self.fault: Exception | None = None

    def sign(self, message: bytes) -> bytes:
        if self.fault is not None:
            raise self.fault
        r, s = decode_dss_signature(self._key.sign(message, ECDSA(SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def key_id(self) -> str:
        return "test-key"

    def public_key_pem(self) -> bytes:
        return self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@dataclass
class FakeKeySets:
    """keys: (issuer, key id) → PEM."""

    keys: dict[tuple[str, str], bytes] = field(default_factory=dict)
    fault: Exception | None = None

    def key_pem(self, issuer: str, key_id: str) -> bytes | None:
        if self.fault is not None:
            raise self.fault
        return self.keys.get((issuer, key_id))


@dataclass(frozen=True)
class Version:
    """One version of an object."""

    id: str
    data: bytes
    media_type: str
    locked_until: datetime | None = None
    written_at: datetime | None = None
    is_marker: bool = False


class FakeObjects:
    """A bucket with versions, in memory. Its URLs lead nowhere."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._numbers = itertools.count(1)
        self.objects: dict[str, list[Version]] = {}
        self.fault: Exception | None = None

    def _check(self) -> None:
        if self.fault is not None:
            raise self.fault

    def put(self, key: str, data: bytes, media_type: str, locked_until: datetime | None = None) -> str:
        """As somebody with a presigned URL does."""
        version = Version(f"v{next(self._numbers)}", data, media_type, locked_until, self._clock.utc())
        self.objects.setdefault(key, []).append(version)
        return version.id

    def delete(self, key: str) -> None:
        """As somebody does who names no version: a marker, and nothing is gone."""
        marker = Version(f"v{next(self._numbers)}", b"", "", None, self._clock.utc(), is_marker=True)
        self.objects.setdefault(key, []).append(marker)

    def versions(self, prefix: str) -> list[ObjectVersion]:
        self._check()
        return [
            ObjectVersion(key, one.id, one.written_at or self._clock.utc(), one.is_marker)
            for key, versions in self.objects.items()
            if key.startswith(prefix)
            for one in versions
        ]

    def presign_put(self, key: str, facts: UploadFacts, seconds: int) -> PresignedRequest:
        self._check()
        signed = {
            "Content-Type": facts.media_type,
            "Content-Length": str(facts.length_bytes),
            "If-None-Match": "*",
        }
        return PresignedRequest(
            f"https://objects.test/{key}", signed, self._clock.utc() + timedelta(seconds=seconds)
        )

    def presign_get(self, key: str, version_id: str, file_name: str, seconds: int) -> str:
        self._check()
        return f"https://objects.test/{key}?versionId={version_id}&as={file_name}&for={seconds}"

    def head(self, key: str) -> ObjectFacts | None:
        self._check()
        if not self.objects.get(key) or self.objects[key][-1].is_marker:
            return None
        last = self.objects[key][-1]
        return ObjectFacts(len(last.data), last.media_type, hashlib.sha256(last.data).digest(), last.id)

    def read(self, key: str, version_id: str, at_most_bytes: int) -> bytes:
        self._check()
        for version in self.objects.get(key, []):
            if version.id == version_id:
                if len(version.data) > at_most_bytes:
                    raise Refusal(413, Code.TOO_LARGE, "The object is too large.")
                return version.data
        raise Refusal(404, Code.NOT_FOUND, "There is no such object.")

    def write(self, key: str, data: bytes, media_type: str) -> str:
        self._check()
        return self.put(key, data, media_type)

    def move(self, key: str, version_id: str, to_key: str) -> str:
        moved = next(one for one in self.objects[key] if one.id == version_id)
        self._check()
        new = self.put(to_key, moved.data, moved.media_type)
        del self.objects[key]
        return new

    def erase(self, prefix: str) -> int:
        self._check()
        gone = [key for key in self.objects if key.startswith(prefix)]
        return sum(len(self.objects.pop(key)) for key in gone)

    def write_locked(self, key: str, data: bytes, until: datetime) -> None:
        self._check()
        self.put(key, data, "application/json", until)


@dataclass
class FakeModel:
    """Says the pieces, then ends."""

    pieces: Sequence[str] = ("URGENCY: none\n", "Drink water.")
    fault: Exception | None = None
    asked: list[ModelRequest] = field(default_factory=list)

    def stream(self, request: ModelRequest) -> Iterator[ModelEvent]:
        self.asked.append(request)
        if self.fault is not None:
            raise self.fault
        for piece in self.pieces:
            yield TextPiece(piece)
        yield Ended("end_turn", 10, 5)


@dataclass
class FakeKnowledge:
    passages: Sequence[Passage] = ()
    fault: Exception | None = None

    def retrieve(self, text: str, language: str, limit: int) -> Sequence[Passage]:
        if self.fault is not None:
            raise self.fault
        return self.passages[:limit]


@dataclass
class FakeSpeech:
    """Hears and speaks. spoken: text, rate in percent, language, voice."""

    fault: Exception | None = None
    spoken: list[tuple[str, int, str, str | None]] = field(default_factory=list)
    protocol: Literal["transcribe", "deepgram"] = "transcribe"
    headers: Mapping[str, str] = field(default_factory=dict)
    good_for_s: float = 300.0

    def transcription(self, language: str, sample_rate_hz: int) -> SpeechStream:
        if self.fault is not None:
            raise self.fault
        url = f"wss://speech.test/{language}?rate={sample_rate_hz}"
        return SpeechStream(self.protocol, url, self.headers, self.good_for_s)

    def synthesize(self, text: str, rate_percent: int, language: str, voice: str | None) -> Spoken:
        if self.fault is not None:
            raise self.fault
        self.spoken.append((text, rate_percent, language, voice))
        return Spoken(b"ID3 sound", "audio/mpeg", len(text))


@dataclass
class FakeMail:
    fault: Exception | None = None
    sent: list[tuple[str, str, str]] = field(default_factory=list)

    def send(self, to: str, subject: str, text: str) -> None:
        if self.fault is not None:
            raise self.fault
        self.sent.append((to, subject, text))


@dataclass
class FakeMeasures:
    """added: name, value, unit, clinic."""

    added: list[tuple[str, float, str, str | None]] = field(default_factory=list)

    def add(self, name: str, value: float, unit: str, clinic_id: str | None = None) -> None:
        self.added.append((name, value, unit, clinic_id))


@dataclass
class FakeVitals:
    """before: called with the records before they are taken. loses: of each batch, so many are not taken."""

    before: Callable[[], object] = lambda: None
    loses: int = 0
    put_in: list[tuple[UUID, VitalsRecord]] = field(default_factory=list)

    def put(self, clinic_id: UUID, records: Sequence[VitalsRecord]) -> int:
        self.before()
        self.put_in += [(clinic_id, record) for record in records[self.loses :]]
        return self.loses


@dataclass
class FakeCases:
    """before: called before a case is taken. takes: whether it is."""

    before: Callable[[], object] = lambda: None
    takes: bool = True
    told: list[tuple[UUID, UUID, str, datetime]] = field(default_factory=list)

    def tell(self, clinic_id: UUID, device_id: UUID, urgency: str, at: datetime) -> bool:
        self.before()
        self.told.append((clinic_id, device_id, urgency, at))
        return self.takes


@dataclass
class Fakes:
    """One of each; of what is off by itself, none."""

    clock: Clock
    signer: FakeSigner = field(default_factory=FakeSigner)
    key_sets: FakeKeySets = field(default_factory=FakeKeySets)
    model: FakeModel = field(default_factory=FakeModel)
    knowledge: FakeKnowledge = field(default_factory=FakeKnowledge)
    speech: FakeSpeech = field(default_factory=FakeSpeech)
    mail: FakeMail = field(default_factory=FakeMail)
    measures: FakeMeasures = field(default_factory=FakeMeasures)
    vitals: FakeVitals | None = None
    cases: FakeCases | None = None
    documents: FakeObjects = field(init=False)
    audit: FakeObjects = field(init=False)

    def __post_init__(self) -> None:
        self.documents, self.audit = FakeObjects(self.clock), FakeObjects(self.clock)

    def ports(self) -> Ports:
        return Ports(
            clock=self.clock,
            signer=self.signer,
            key_sets=self.key_sets,
            documents=self.documents,
            audit=self.audit,
            model=self.model,
            knowledge=self.knowledge,
            speech_to_text=self.speech,
            text_to_speech=self.speech,
            mail=self.mail,
            measures=self.measures,
            vitals_stream=self.vitals,
            urgent_cases=self.cases,
        )
