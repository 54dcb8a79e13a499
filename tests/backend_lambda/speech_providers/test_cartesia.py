"""Cartesia: sound that can be played, of the text as it stands."""

from __future__ import annotations

import subprocess
from pathlib import Path

import imageio_ffmpeg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend_lambda.errors import Code, Refusal
from backend_lambda.ports import TextToSpeech
from backend_lambda.speech_providers.cartesia import VOICE, CartesiaVoice, plain
from tests.stand_ins.speech_providers import CARTESIA_KEY, SpeechProviders, answer


@pytest.fixture
def voice(providers: SpeechProviders) -> TextToSpeech:
    return CartesiaVoice(lambda: f"{CARTESIA_KEY}\n", providers.url)


@pytest.mark.parametrize("language", ["en", "es", "fr", "de", "pt", "zh", "hi", "ar"])
def test_our_languages_are_spoken(voice: TextToSpeech, providers: SpeechProviders, language: str) -> None:
    spoken = voice.synthesize("72", 100, f"{language}-XX", None)
    assert (spoken.media_type, spoken.characters) == ("audio/mpeg", 2)
    assert providers.asked[-1].content["language"] == language
    assert providers.asked[-1].content["voice"] == {"mode": "id", "id": VOICE}


def test_what_is_spoken_can_be_played(voice: TextToSpeech, tmp_path: Path) -> None:
    file = tmp_path / "spoken.mp3"
    file.write_bytes(voice.synthesize("Your heart rate is 72.", 90, "en", None).audio)
    ran = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(file), "-f", "s16le", "-"],
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert ran.stderr == b""
    assert len(ran.stdout) >= 2 * 24_000 * 0.024 * 20  # 16 bits, 24 kHz, 24 ms a frame


@pytest.mark.parametrize(
    ("rate_percent", "speed"), [(50, 0.6), (60, 0.6), (100, 1.0), (120, 1.2), (200, 1.5)]
)
def test_the_rate_is_the_nearest_that_there_is(
    voice: TextToSpeech, providers: SpeechProviders, rate_percent: int, speed: float
) -> None:
    voice.synthesize("x", rate_percent, "en", None)
    assert providers.asked[-1].content["generation_config"] == {"speed": speed}


def test_a_voice_of_the_clinics_choice(voice: TextToSpeech, providers: SpeechProviders) -> None:
    other = "a5136bf9-224c-4d76-b823-52bd5efcffcc"
    voice.synthesize("x", 100, "en", other.upper())
    assert providers.asked[-1].content["voice"]["id"] == other


@pytest.mark.parametrize("name", ["Joanna", "00000000-0000-4000-8000-000000000000", "", "../x"])
def test_a_voice_that_there_is_not(voice: TextToSpeech, name: str) -> None:
    with pytest.raises(Refusal) as caught:
        voice.synthesize("x", 100, "en", name)
    assert (caught.value.status, caught.value.code) == (422, Code.INVALID)


@pytest.mark.parametrize(("text", "language"), [("x", "tlh"), ("\x00 \n", "en"), ("", "en")])
def test_what_is_refused_before_anything_is_asked(
    voice: TextToSpeech, providers: SpeechProviders, text: str, language: str
) -> None:
    with pytest.raises(Refusal) as caught:
        voice.synthesize(text, 100, language, None)
    assert (caught.value.status, caught.value.code) == (422, Code.INVALID)
    assert providers.asked == []


def test_markup_is_spoken_as_it_is(voice: TextToSpeech, providers: SpeechProviders) -> None:
    text = 'SpO2 <92 % & a < b\x00 <break time="9s"/></speak>\ud800 é 好'
    shown = 'SpO2 <92 % & a < b < break time="9s"/>< /speak> é 好'
    assert voice.synthesize(text, 100, "en", None).characters == len(shown)
    assert providers.asked[-1].content["transcript"] == shown


@given(st.text(alphabet=st.characters(), max_size=200))
def test_no_tag_is_left_and_no_letter_is_lost(text: str) -> None:
    shown = plain(text)
    assert [letter for letter in shown if letter.isalnum()] == [letter for letter in text if letter.isalnum()]
    assert all(not after[:1].isalpha() or not after[:1].isascii() for after in shown.split("<")[1:])
    shown.encode()


@pytest.mark.parametrize(
    ("status", "voiced", "expected"),
    [
        (413, False, (413, Code.TOO_LARGE)),
        (400, True, (422, Code.INVALID)),
        (404, True, (422, Code.INVALID)),
        (422, True, (422, Code.INVALID)),
        (400, False, (500, Code.INTERNAL)),
        (422, False, (500, Code.INTERNAL)),
        (404, False, (503, Code.SPEECH_UNAVAILABLE)),
        (401, True, (503, Code.SPEECH_UNAVAILABLE)),
        (402, True, (503, Code.SPEECH_UNAVAILABLE)),
        (204, True, (503, Code.SPEECH_UNAVAILABLE)),
    ],
)
def test_what_they_refuse_is_told_in_our_words(
    voice: TextToSpeech, providers: SpeechProviders, status: int, voiced: bool, expected: tuple[int, Code]
) -> None:
    providers.instead.append(
        answer(status, b"" if status == 204 else {"error_code": "x", "message": "canary"})
    )
    with pytest.raises(Refusal) as caught:
        voice.synthesize("x", 100, "en", VOICE if voiced else None)
    assert (caught.value.status, caught.value.code) == expected
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        ({"error_code": "x"}, "application/json"),
        ({"error_code": "x"}, "audio/mpeg"),
        (b"", "audio/mpeg"),
        (b"RIFF....WAVE", "audio/mpeg"),
        (b"ID3 sound", "audio/wav"),
        (b"ID3 sound", "text/html"),
        (b"ID3 sound", ""),
    ],
)
def test_what_is_no_mp3_is_not_handed_on(
    voice: TextToSpeech, providers: SpeechProviders, content: object, media_type: str
) -> None:
    providers.instead.append(answer(200, content, media_type))
    with pytest.raises(Refusal, match="without sound"):
        voice.synthesize("x", 100, "en", None)


def test_deployed_it_is_cartesia_over_tls() -> None:
    exchange = CartesiaVoice(lambda: CARTESIA_KEY)._exchange
    assert (exchange._host, exchange._is_secure) == ("api.cartesia.ai", True)
