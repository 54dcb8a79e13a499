"""Speech in the cloud: URLs, tokens and texts that are kept nowhere, whoever hears and speaks."""

from __future__ import annotations

import logging
from datetime import timedelta
from uuid import UUID

import pytest

from backend_lambda.errors import Code, Refusal
from backend_lambda.principals import Device
from backend_lambda.services.speech import Speech
from backend_lambda.settings import Settings
from backend_lambda.store import audit
from backend_lambda.store.database import Database
from backend_lambda.wire import NewSynthesis, NewTranscription
from tests.backend_lambda.conftest import SetClock
from tests.backend_lambda.fakes import Fakes


@pytest.fixture
def fakes(clock: SetClock) -> Fakes:
    return Fakes(clock)


@pytest.fixture
def speech(api: Database, fakes: Fakes) -> Speech:
    settings = Settings(
        stage="local",
        region="eu-central-1",
        public_url="http://127.0.0.1",
        database_url="unused",
        signing_key_id="key",
        oidc_issuers=("issuer",),
        oidc_audience="us",
        documents_bucket="documents",
        audit_bucket="audit",
        model_ids=("first",),
        vocabulary="words",
    )
    return Speech(api, fakes.ports(), settings)


def test_both_are_noted_without_a_word(
    speech: Speech,
    fakes: Fakes,
    auditor: Database,
    clinic_id: UUID,
    device_id: UUID,
    clock: SetClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    device = Device(device_id, clinic_id, "t" * 43)
    with caplog.at_level(logging.DEBUG):
        made = speech.transcription(device, NewTranscription(language="es"), "r1")
        spoken = speech.synthesis(
            device, NewSynthesis(text="canary <b>", language="en", rate_percent=120), "r2"
        )
    assert made.url.startswith("wss://") and made.expires_at == clock.utc() + timedelta(seconds=300)
    assert spoken.media_type == "audio/mpeg" and fakes.speech.spoken == [("canary <b>", 120, "en", None)]
    with auditor.clinic(clinic_id) as tx:
        entries = audit.page(tx, 0, 10)
    assert [(entry.action, entry.result, entry.request_id) for entry in entries] == [
        ("transcription", "ok", "r1"),
        ("synthesis", "ok", "r2"),
    ]
    assert "canary" not in repr(entries) + caplog.text + repr(fakes.measures.added)


def test_a_stream_of_another_protocol_is_handed_on_and_ends_when_it_ends(
    speech: Speech,
    fakes: Fakes,
    auditor: Database,
    clinic_id: UUID,
    device_id: UUID,
    clock: SetClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    fakes.speech.protocol, fakes.speech.good_for_s = "deepgram", 45.0
    fakes.speech.headers = {"Authorization": "Bearer canary"}
    with caplog.at_level(logging.DEBUG):
        made = speech.transcription(
            Device(device_id, clinic_id, "t" * 43), NewTranscription(language="de"), "r1"
        )
    assert (made.protocol, made.headers) == ("deepgram", {"Authorization": "Bearer canary"})
    assert made.expires_at == clock.utc() + timedelta(seconds=45)
    with auditor.clinic(clinic_id) as tx:
        assert "canary" not in repr(audit.page(tx, 0, 10)) + caplog.text + repr(fakes.measures.added)


def test_a_service_that_does_not_answer_is_said(
    speech: Speech, fakes: Fakes, clinic_id: UUID, device_id: UUID
) -> None:
    fakes.speech.fault = Refusal(503, Code.SPEECH_UNAVAILABLE, "no")
    with pytest.raises(Refusal):
        speech.synthesis(Device(device_id, clinic_id, "t" * 43), NewSynthesis(text="Hi", language="en"), "r")
