"""Deepgram: a device gets a token that opens one kind of stream for a minute, never our key."""

from __future__ import annotations

import http.client
from urllib.parse import parse_qs, urlsplit

import pytest

from backend_lambda.errors import Code, Refusal
from backend_lambda.ports import SpeechStream, SpeechToText
from backend_lambda.speech_providers.deepgram import GOOD_FOR_S, DeepgramHearing
from tests.stand_ins.speech_providers import DEEPGRAM_KEY, SpeechProviders, answer

TOKEN = "aaaa.bbbb.cccc"


@pytest.fixture
def hearing(providers: SpeechProviders) -> SpeechToText:
    return DeepgramHearing(lambda: DEEPGRAM_KEY, providers.url)


def opened(stream: SpeechStream) -> tuple[int, str]:
    """What the service says to the handshake that a device would make."""
    parts = urlsplit(stream.url)
    assert parts.scheme == "ws" and parts.hostname is not None
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=5)
    connection.request(
        "GET", f"{parts.path}?{parts.query}", headers={**stream.headers, "Upgrade": "websocket"}
    )
    response = connection.getresponse()
    connection.close()
    return response.status, response.reason


@pytest.mark.parametrize("language", ["en", "es", "fr", "de", "pt", "zh", "hi", "ar"])
def test_our_languages_are_heard_by_whoever_has_the_token(hearing: SpeechToText, language: str) -> None:
    for wanted in (language, f"{language}-XX"):
        stream = hearing.transcription(wanted, 16_000)
        assert opened(stream) == (101, "")
        query = parse_qs(urlsplit(stream.url).query)
        assert query["language"] == [language]
        assert (query["encoding"], query["sample_rate"], query["channels"]) == (
            ["linear16"],
            ["16000"],
            ["1"],
        )
        assert query["mip_opt_out"] == ["true"]
        assert (stream.protocol, stream.good_for_s) == ("deepgram", GOOD_FOR_S)
        assert opened(SpeechStream("deepgram", stream.url, {}, 60.0))[0] == 401


@pytest.mark.parametrize("language", ["en-GB", "fr-CA", "de-CH", "pt-BR", "zh-TW"])
def test_a_variant_is_kept_where_it_is_known(hearing: SpeechToText, language: str) -> None:
    stream = hearing.transcription(language, 48_000)
    assert parse_qs(urlsplit(stream.url).query)["language"] == [language]
    assert opened(stream) == (101, "")


def test_neither_key_nor_token_is_in_the_url_and_no_key_is_given_away(
    hearing: SpeechToText, providers: SpeechProviders
) -> None:
    stream = hearing.transcription("en", 16_000)
    token = stream.headers["Authorization"].removeprefix("Bearer ")
    assert token in providers.tokens
    assert token not in stream.url and token not in repr(stream) and stream.url not in repr(stream)
    assert DEEPGRAM_KEY not in stream.url + repr(dict(stream.headers))
    assert [asked.content for asked in providers.asked] == [{"ttl_seconds": GOOD_FOR_S}]


def test_deployed_it_is_deepgram_over_tls() -> None:
    hearing = DeepgramHearing(lambda: DEEPGRAM_KEY)
    hearing._granted = lambda: (TOKEN, 60.0)  # type: ignore[method-assign]
    assert hearing.transcription("en", 16_000).url.startswith(
        "wss://api.deepgram.com/v1/listen?model=nova-3&"
    )
    assert (hearing._exchange._host, hearing._exchange._is_secure) == ("api.deepgram.com", True)


def test_another_language_is_refused_before_anything_is_asked(
    hearing: SpeechToText, providers: SpeechProviders
) -> None:
    with pytest.raises(Refusal) as caught:
        hearing.transcription("tlh", 16_000)
    assert (caught.value.status, caught.value.code) == (422, Code.INVALID)
    assert providers.asked == []


@pytest.mark.parametrize(("given", "good_for_s"), [(20, 20.0), (1.5, 1.5), (3600, 60.0), (None, 60.0)])
def test_a_token_is_good_for_the_shorter_time(
    hearing: SpeechToText, providers: SpeechProviders, given: float | None, good_for_s: float
) -> None:
    told = {} if given is None else {"expires_in": given}
    providers.instead.append(answer(200, {"access_token": TOKEN, **told}))
    assert hearing.transcription("en", 16_000).good_for_s == good_for_s


@pytest.mark.parametrize(
    "content",
    [
        {},
        [],
        None,
        {"access_token": ""},
        {"access_token": 7},
        {"access_token": DEEPGRAM_KEY},
        {"access_token": f"aaaa.{DEEPGRAM_KEY}.cccc"},
        {"access_token": "aaaa.bbbb.cc\r\nX: y"},
        {"access_token": f"aaaa.{'b' * 4000}.cccc"},
        {"access_token": TOKEN, "expires_in": 0},
        {"access_token": TOKEN, "expires_in": "60"},
        {"access_token": TOKEN, "expires_in": True},
        {"access_token": TOKEN, "expires_in": float("nan")},
        {"err_code": "X", "err_msg": "no"},
        b'{"access_token": "aaaa.bbbb.cccc"',
        b"[" * 10_000,
        b"\xff\xfe",
    ],
)
def test_what_is_no_token_is_not_handed_on(
    hearing: SpeechToText, providers: SpeechProviders, content: object
) -> None:
    providers.instead.append(answer(200, content))
    with pytest.raises(Refusal) as caught:
        hearing.transcription("en", 16_000)
    assert (caught.value.status, caught.value.code) == (503, Code.SPEECH_UNAVAILABLE)


def test_a_page_is_no_token(hearing: SpeechToText, providers: SpeechProviders) -> None:
    providers.instead.append(answer(200, {"access_token": TOKEN}, "text/html"))
    with pytest.raises(Refusal, match="no token"):
        hearing.transcription("en", 16_000)


def test_with_a_key_that_is_not_theirs(providers: SpeechProviders) -> None:
    with pytest.raises(Refusal) as caught:
        DeepgramHearing(lambda: "another-key-canary", providers.url).transcription("en", 16_000)
    assert (caught.value.status, caught.value.code) == (503, Code.SPEECH_UNAVAILABLE)
