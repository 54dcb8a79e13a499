"""Speech: a URL that Transcribe would take, and sound that can be played."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree as ET

import imageio_ffmpeg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend_lambda.aws.clients import Clients
from backend_lambda.aws.speech import AwsSpeech, ssml
from backend_lambda.errors import Code, Refusal
from tests.stand_ins.aws import sigv4
from tests.stand_ins.aws.exchange import Body, Refused, Request
from tests.stand_ins.aws.server import AwsStandIn

REGION = "eu-central-1"


@pytest.fixture
def speech(aws: AwsStandIn, clients: Clients) -> AwsSpeech:
    return AwsSpeech(clients)


def checked(url: str, aws: AwsStandIn, folder: Path, late_s: float = 0.0) -> None:
    """Works the signature out anew, as Transcribe would. Raises Refused."""
    parts = urlsplit(url)
    request = Request("GET", f"{parts.path}?{parts.query}", {"host": parts.netloc}, Body(folder))
    claim = sigv4.claimed(request)
    assert claim is not None and claim.service == "transcribe"
    sigv4.Verifier(aws.credentials, REGION, lambda: aws.now_s() + late_s).check(request, claim)


@pytest.fixture
def in_aws(aws: AwsStandIn) -> AwsSpeech:
    """As deployed: without an endpoint."""
    return AwsSpeech(Clients(REGION))


def test_the_url_is_as_transcribe_wants_it(in_aws: AwsSpeech, aws: AwsStandIn, tmp_path: Path) -> None:
    url = in_aws.transcription("de-AT", 16_000).url
    parts = urlsplit(url)
    assert parts.scheme == "wss"
    assert parts.netloc == f"transcribestreaming.{REGION}.amazonaws.com:8443"
    assert parts.path == "/stream-transcription-websocket"
    query = parse_qs(parts.query)
    assert query["language-code"] == ["de-DE"]
    assert query["media-encoding"] == ["pcm"]
    assert query["sample-rate"] == ["16000"]
    assert query["X-Amz-Expires"] == ["300"]
    assert query["X-Amz-SignedHeaders"] == ["host"]
    assert "vocabulary-name" not in query
    checked(url, aws, tmp_path)


def test_the_url_ends_and_cannot_be_changed(aws: AwsStandIn, tmp_path: Path) -> None:
    url = AwsSpeech(Clients(REGION), "heart {language}", 120).transcription("en", 44_100).url
    checked(url, aws, tmp_path, 119)
    with pytest.raises(Refused, match="expired"):
        checked(url, aws, tmp_path, 122)
    assert parse_qs(urlsplit(url).query)["vocabulary-name"] == ["heart en"]
    for old, new in (
        ("44100", "48000"),
        ("Expires=120", "Expires=300"),
        ("heart", "other"),
        (":8443", ":443"),
    ):
        assert old in url
        with pytest.raises(Refused, match="signature"):
            checked(url.replace(old, new), aws, tmp_path)


def test_with_temporary_keys_the_token_is_in_the_url(
    aws: AwsStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a+token/=")
    url = AwsSpeech(Clients(REGION)).transcription("en-US", 16_000).url
    monkeypatch.setitem(
        aws.credentials,
        aws.key.access_key,
        sigv4.Credentials(aws.key.access_key, aws.key.secret, "a+token/="),
    )
    checked(url, aws, tmp_path)


def test_with_stand_ins_the_url_leads_to_them(speech: AwsSpeech, aws: AwsStandIn, tmp_path: Path) -> None:
    url = speech.transcription("en", 16_000).url
    assert url.startswith(f"ws://127.0.0.1:{aws.port}/stream-transcription-websocket?")
    checked(url, aws, tmp_path)


@pytest.mark.parametrize("language", ["en", "es", "fr", "de", "pt", "zh", "hi", "ar"])
def test_our_languages_are_heard_and_spoken(speech: AwsSpeech, aws: AwsStandIn, language: str) -> None:
    url = speech.transcription(language, 16_000).url
    assert parse_qs(urlsplit(url).query)["language-code"][0].startswith(f"{language}-")
    assert speech.synthesize("72", 100, f"{language}-XX", None).characters == 2
    assert aws.polly.requests[-1]["Engine"] == "neural"


def test_a_variant_is_kept_where_it_is_there(speech: AwsSpeech, aws: AwsStandIn) -> None:
    assert "language-code=en-GB" in speech.transcription("en-GB", 16_000).url
    speech.synthesize("x", 100, "en-GB", None)
    assert aws.polly.requests[-1]["VoiceId"] == "Amy"


def test_other_languages_are_refused(speech: AwsSpeech) -> None:
    for call in (
        lambda: speech.transcription("tlh", 16_000).url,
        lambda: speech.synthesize("x", 100, "tlh", None),
    ):
        with pytest.raises(Refusal) as caught:
            call()
        assert (caught.value.status, caught.value.code) == (422, Code.INVALID)


@pytest.mark.parametrize("seconds", [0, 301])
def test_no_url_for_longer_than_transcribe_takes(seconds: int) -> None:
    with pytest.raises(ValueError, match="300"):
        AwsSpeech(Clients(REGION), seconds=seconds)


def test_without_credentials_there_is_no_url(monkeypatch: pytest.MonkeyPatch, aws: AwsStandIn) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(Refusal) as caught:
        AwsSpeech(Clients(REGION)).transcription("en", 16_000)
    assert caught.value.code is Code.SPEECH_UNAVAILABLE


def test_a_url_is_good_from_now_on(in_aws: AwsSpeech, aws: AwsStandIn) -> None:
    stamp = parse_qs(urlsplit(in_aws.transcription("en", 16_000).url).query)["X-Amz-Date"][0]
    made_s = sigv4._seconds(stamp)
    assert made_s is not None and abs(made_s - aws.now_s()) < timedelta(seconds=10).total_seconds()


def test_what_is_spoken_can_be_played(speech: AwsSpeech, tmp_path: Path) -> None:
    spoken = speech.synthesize("Your heart rate is 72.", 90, "en", None)
    assert (spoken.media_type, spoken.characters) == ("audio/mpeg", 22)
    file = tmp_path / "spoken.mp3"
    file.write_bytes(spoken.audio)
    ran = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(file), "-f", "s16le", "-"],
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert ran.stderr == b""
    assert len(ran.stdout) >= 2 * 24_000 * 0.024 * 20  # 16 bits, 24 kHz, 24 ms a frame


def test_text_that_looks_like_markup_is_spoken_as_it_is(speech: AwsSpeech, aws: AwsStandIn) -> None:
    text = 'a < b & c > "d" ]]> <break time="9s"/>\x00\ufffe'
    assert speech.synthesize(text, 100, "en", None).characters == len(text) - 2


@pytest.mark.parametrize(
    "bad", ["no markup", "<speak>", "<speak>&nbsp;</speak>", "<speak><audio src='x'/></speak>"]
)
def test_ssml_that_is_ill_formed_is_our_mistake(
    speech: AwsSpeech, monkeypatch: pytest.MonkeyPatch, bad: str
) -> None:
    monkeypatch.setattr("backend_lambda.aws.speech.ssml", lambda text, rate_percent: bad)
    with pytest.raises(Refusal) as caught:
        speech.synthesize("x", 100, "en", None)
    assert (caught.value.status, caught.value.code) == (500, Code.INTERNAL)


def test_text_that_is_too_long(speech: AwsSpeech) -> None:
    with pytest.raises(Refusal) as caught:
        speech.synthesize("x" * 3001, 100, "en", None)
    assert (caught.value.status, caught.value.code) == (413, Code.TOO_LARGE)


@pytest.mark.parametrize("voice", ["Nobody", "Hans"])
def test_a_voice_that_there_is_not(speech: AwsSpeech, voice: str) -> None:
    assert speech.synthesize("x", 100, "de", "Daniel").characters == 1
    with pytest.raises(Refusal) as caught:
        speech.synthesize("x", 100, "de", voice)
    assert (caught.value.status, caught.value.code) == (422, Code.INVALID)


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
