"""Speech in the cloud: SSML that is well-formed whatever it is made of, URLs and texts that are kept nowhere."""

from __future__ import annotations

import logging
from datetime import timedelta
from uuid import UUID
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend_lambda.errors import Code, Refusal
from backend_lambda.principals import Device
from backend_lambda.services.speech import Speech, ssml
from backend_lambda.settings import Settings
from backend_lambda.store import audit
from backend_lambda.store.database import Database
from backend_lambda.wire import NewSynthesis, NewTranscription
from tests.backend_lambda.conftest import SetClock
from tests.backend_lambda.fakes import Fakes


@given(st.text(max_size=200), st.integers(50, 200))
def test_ssml_is_well_formed_and_says_the_text(text: str, rate: int) -> None:
    root = ET.fromstring(ssml(text, rate))
    assert [element.tag for element in root.iter()] == ["speak", "prosody"]
    spoken = "".join(root.itertext())
    kept = [letter for letter in text if letter.isalnum()]
    assert [letter for letter in spoken if letter.isalnum()] == kept


def test_ssml_of_markup_is_text() -> None:
    attack = '</prosody></speak><speak><audio src="https://example.org/a.mp3"/>&amp;'
    root = ET.fromstring(ssml(attack, 100))
    assert "".join(root.itertext()) == attack and len(list(root.iter())) == 2


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
    assert spoken.media_type == "audio/mpeg" and fakes.speech.spoken == [ssml("canary <b>", 120)]
    with auditor.clinic(clinic_id) as tx:
        entries = audit.page(tx, 0, 10)
    assert [(entry.action, entry.result, entry.request_id) for entry in entries] == [
        ("transcription", "ok", "r1"),
        ("synthesis", "ok", "r2"),
    ]
    assert "canary" not in repr(entries) + caplog.text + repr(fakes.measures.added)


def test_a_service_that_does_not_answer_is_said(
    speech: Speech, fakes: Fakes, clinic_id: UUID, device_id: UUID
) -> None:
    fakes.speech.fault = Refusal(503, Code.SPEECH_UNAVAILABLE, "no")
    with pytest.raises(Refusal):
        speech.synthesis(Device(device_id, clinic_id, "t" * 43), NewSynthesis(text="Hi", language="en"), "r")
