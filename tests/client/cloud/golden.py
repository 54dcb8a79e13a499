"""The golden JSON of the wire format, and everything that the client makes or reads of it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from client.cloud import chat, wire

FOLDER = Path(__file__).parents[2] / "golden" / "wire"

OF_OTHERS = {
    "AuditEntry": "auditors read it",
    "AuditPage": "auditors read it",
    "Clinic": "operators make clinics",
    "NewClinic": "operators make clinics",
    "NewEnrolmentCode": "administrators ask for codes",
    "EnrolmentCode": "administrators ask for codes; a device gets the code from a person",
    "DeviceEntry": "administrators and auditors see the devices",
    "Devices": "administrators and auditors see the devices",
    "OpenShare": "the page behind a link sends it",
}
"""What this client neither sends nor reads, and who does."""


def data(name: str) -> bytes:
    return (FOLDER / f"{name}.json").read_bytes()


def example(name: str) -> Any:
    return json.loads(data(name))


VALUE = wire.Value(61.5, 59.0, 64.0, "/min", 0.92, (), 30.0, "matched_filter 1")
WITHHELD = wire.Value(None, None, None, "/min", None, ("too_short",), 30.0, "")
QUALITY = wire.Quality(0.81, ("dim_light",), "dim_light")
PATIENT = "3d2f1b8c-5c1e-4f6a-9d7e-1a2b3c4d5e03"
UPLOAD = "c4d5e6f7-0819-4a2b-8c3d-4e5f60718205"
OBSERVATION = wire.Observation(
    id="9a7e4f10-2b3c-4d5e-8f60-718293a4b504",
    patient_id=PATIENT,
    kind="scan",
    taken_at=datetime(2026, 11, 27, 11, 59, tzinfo=UTC),
    utc_offset_min=60,
    entered=False,
    software_version="1.0.0",
    values={"heart_rate": VALUE, "respiratory_rate": WITHHELD},
    quality=QUALITY,
    facts={"accepted_s": 27.5, "measured_fps": 29.97, "simulated": False},
)
KEY = wire.PublicKey(
    x="f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", y="x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
)
TRIAGE = chat.Triage(chat.Urgency.NONE, None)
QUESTION = chat.ChatTurn(chat.Role.PERSON, "Is my heart rate normal?")
EVIDENCE = chat.Evidence("heart_rate", OBSERVATION.taken_at, VALUE)

REQUESTS: Mapping[str, wire.Request] = {
    "Enrol": wire.Enrol("7K2M-Q4XW-Z9PR", KEY, "1.0.0"),
    "TokenRequest": wire.TokenRequest(
        "dGhpcyBpcyBubyByZWFsIHJlZnJlc2ggdG9rZW4uLi4", "e6f70819-2a3b-4c4d-8e5f-607182930407"
    ),
    "ObservationBatch": wire.ObservationBatch((OBSERVATION,)),
    "NewUpload": wire.NewUpload(
        id=UPLOAD,
        patient_id=PATIENT,
        purpose=wire.Purpose.MEDICAL_REPORT,
        media_type=wire.MediaType.PDF,
        length_bytes=48213,
        sha256="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    ),
    "NewShare": wire.NewShare("d5e6f708-192a-4b3c-8d4e-5f6071829306", UPLOAD, 86_400, "doctor@example.org"),
    "Chat": chat.Chat(
        conversation_id="f7081920-3b4c-4d5e-8f60-718293041508",
        patient_id=PATIENT,
        language="en-GB",
        turns=(
            chat.ChatTurn(chat.Role.PERSON, "What did the scan find?"),
            chat.ChatTurn(chat.Role.ASSISTANT, "Your heart rate was 61.5 beats a minute [v1]."),
            QUESTION,
        ),
        triage=TRIAGE,
        evidence=(EVIDENCE,),
        documents=(UPLOAD,),
        age_band="45-59",
    ),
    "NewTranscription": wire.NewTranscription("en-US", 16_000),
    "NewSynthesis": wire.NewSynthesis("Sit still and look at the camera.", "en-US", None, 90),
    "Heartbeat": wire.Heartbeat("1.0.0", "Linux 6.8", 3, 0, 42.5, -0.4, 8, 6),
}

PARTS: Mapping[
    str,
    wire.PublicKey
    | wire.Value
    | wire.Quality
    | wire.Observation
    | chat.Triage
    | chat.ChatTurn
    | chat.Evidence,
] = {
    "PublicKey": KEY,
    "Value": VALUE,
    "Quality": QUALITY,
    "Observation": OBSERVATION,
    "Triage": TRIAGE,
    "ChatTurn": QUESTION,
    "Evidence": EVIDENCE,
}
"""What stands in requests."""

ANSWERS: Mapping[str, type[wire.Answer]] = {
    kind.__name__: kind
    for kind in (
        wire.Enrolled,
        wire.Tokens,
        wire.BatchResult,
        wire.ObservationPage,
        wire.Erased,
        wire.UploadUrl,
        wire.Upload,
        wire.Download,
        wire.Export,
        wire.Share,
        wire.Transcription,
        wire.Health,
        wire.Config,
        wire.Problem,
    )
}

PIECES: Mapping[str, Any] = {
    kind.__name__: kind
    for kind in (
        wire.ItemResult,
        wire.Part,
        wire.UploadLimit,
        wire.StoredObservation,
        wire.Observation,
        wire.Value,
        wire.Quality,
    )
}
"""What stands in answers."""

EVENTS: Mapping[str, Any] = {
    kind.__name__: kind
    for kind in (
        chat.ChatStart,
        chat.ChatCitation,
        chat.ChatDelta,
        chat.ChatUrgency,
        chat.ChatDone,
        chat.ChatError,
    )
}


def plain(value: Any) -> Any:
    """What was read as the server wrote it: shows that no field was lost."""
    if isinstance(value, wire.StoredObservation):
        return {
            **plain(value.observation),
            "received_at": plain(value.received_at),
            "device_id": value.device_id,
        }
    if dataclasses.is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, datetime):
        assert value.tzinfo is UTC
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, Mapping):
        return {name: plain(one) for name, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, tuple) else value
