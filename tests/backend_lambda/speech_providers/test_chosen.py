"""Who hears and who speaks is a setting: a wrong one ends the start, a right one asks the chosen provider with the key of this deployment."""

from __future__ import annotations

import logging

import pytest

from backend_lambda.app import ports_of
from backend_lambda.aws.speech import AwsSpeech
from backend_lambda.errors import Refusal
from backend_lambda.speech_providers import cartesia, deepgram, exchange
from tests.backend_lambda.world import settings
from tests.stand_ins.aws.server import AwsStandIn
from tests.stand_ins.speech_providers import CARTESIA_KEY, DEEPGRAM_KEY, SpeechProviders


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"speech_to_text": "deepgram"}, "deepgram_secret"),
        ({"text_to_speech": "cartesia"}, "cartesia_secret"),
        ({"speech_to_text": "deepgram", "deepgram_secret": "", "cartesia_secret": "x"}, "deepgram_secret"),
        ({"speech_to_text": "whisper"}, "speech_to_text"),
        ({"stage": "dev", "speech_endpoint_url": "http://127.0.0.1:1"}, "speech_endpoint_url"),
        ({"stage": "production", "speech_endpoint_url": "https://example.org"}, "speech_endpoint_url"),
    ],
)
def test_a_wrong_choice_ends_the_start_by_name(changes: dict[str, str], named: str) -> None:
    with pytest.raises(ValueError, match=f"(?s)1 validation error.*\n{named}\n"):
        settings(**{"public_url": "https://example.org", **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"deepgram_secret": "prepared", "cartesia_secret": "prepared"},
        {"speech_to_text": "deepgram", "deepgram_secret": "d"},
        {"text_to_speech": "cartesia", "cartesia_secret": "c"},
        {"speech_endpoint_url": "http://127.0.0.1:1"},
    ],
)
def test_a_right_choice_is_taken(changes: dict[str, str]) -> None:
    chosen = settings(**changes)
    ports = ports_of(chosen)
    assert isinstance(ports.speech_to_text, AwsSpeech) == (chosen.speech_to_text == "transcribe")
    assert isinstance(ports.text_to_speech, AwsSpeech) == (chosen.text_to_speech == "polly")


def test_the_chosen_are_asked_with_the_keys_of_this_deployment(
    providers: SpeechProviders, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with AwsStandIn() as aws:
        for name, value in aws.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
        monkeypatch.delenv("AWS_PROFILE", raising=False)
        ports = ports_of(
            settings(
                speech_to_text="deepgram",
                text_to_speech="cartesia",
                deepgram_secret="deepgram-key",
                cartesia_secret="cartesia-key",
                speech_endpoint_url=providers.url,
                aws_endpoint_url=aws.url,
                region=aws.region,
            )
        )
        with pytest.raises(Refusal, match="500 internal: A secret of this deployment is missing"):
            ports.speech_to_text.transcription("en", 16_000)
        aws.secrets.values.update({"deepgram-key": DEEPGRAM_KEY, "cartesia-key": CARTESIA_KEY})
        token = ports.speech_to_text.transcription("en", 16_000).headers["Authorization"]
        assert token.removeprefix("Bearer ") in providers.tokens
        assert ports.text_to_speech.synthesize("canary", 100, "en", None).characters == 6
        told = "".join(record.getMessage() for record in caplog.records if record.name.startswith("backend"))
        assert not any(secret in told for secret in (DEEPGRAM_KEY, CARTESIA_KEY, token, "canary"))
        assert aws.failures == []


def test_waiting_for_both_ends_before_the_gateway_does() -> None:
    assert exchange.CONNECT_S + max(deepgram.WITHIN_S, cartesia.WITHIN_S) < 29  # s, API Gateway's
