"""Whatever a provider does, both adapters refuse soon, once, and without a word of key or text."""

from __future__ import annotations

import logging
import ssl
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from backend_lambda.errors import Code, Refusal
from backend_lambda.speech_providers import cartesia, deepgram
from backend_lambda.speech_providers.cartesia import CartesiaVoice
from backend_lambda.speech_providers.deepgram import DeepgramHearing
from backend_lambda.speech_providers.exchange import Exchange
from tests.backend_lambda.aws.test_key_sets import _certificate
from tests.stand_ins.speech_providers import CARTESIA_KEY, DEEPGRAM_KEY, Raw, SpeechProviders, answer

KEY, TEXT = "canary-key-5b1c", "canary-text-7f3a"
WITHIN_S = 0.4
Call = Callable[[str], object]
CALLS: dict[str, Call] = {
    "hear": lambda url: DeepgramHearing(lambda: KEY, url).transcription("en", 16_000),
    "speak": lambda url: CartesiaVoice(lambda: KEY, url).synthesize(TEXT, 100, "en", None),
}
OK = b"HTTP/1.1 200 OK\r\n"


def hostile(name: str) -> Raw:
    """Ways not to answer. Each would be taken for an answer by somebody careless."""
    kind = {"hear": b"application/json", "speak": b"audio/mpeg"}[name]
    whole = {"hear": b'{"access_token": "aaaa.bbbb.cccc"}', "speak": b"ID3 sound"}[name]
    return Raw([OK + b"Content-Type: " + kind + b"\r\n", whole])


def bad_answers(name: str) -> dict[str, Raw]:
    kind, whole = hostile(name).pieces
    sized = b"Content-Length: %d\r\n\r\n"
    return {
        "nothing": Raw([]),
        "rubbish": Raw([b"\x00\xff" * 500]),
        "silent": Raw([b""], 6.0),
        "slow head": Raw([b"H", b"T", b"T", b"P", *[b"/"] * 40], 0.15),
        "slow headers": Raw([OK, *[b"X: y\r\n"] * 40], 0.15),
        "slow body": Raw([kind + sized % 40, *[whole[i : i + 1] or b" " for i in range(40)]], 0.15),
        "cut": Raw([kind + sized % (len(whole) + 1) + whole]),
        "cut in a chunk": Raw([kind + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % (len(whole) + 5) + whole]),
        "no last chunk": Raw([kind + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(whole), whole)]),
        "no end": Raw([kind + b"\r\n" + whole]),
        "huge": Raw([kind + sized % 50_000_000, *[whole + bytes(1_000_000)] * 6]),
        "huge in chunks": Raw([kind + b"Transfer-Encoding: chunked\r\n\r\n", *[b"f4240\r\n" + bytes(1_000_000) + b"\r\n"] * 6]),
        "packed": Raw([kind + b"Content-Encoding: gzip\r\n" + sized % len(whole) + whole]),
        "many headers": Raw([OK + b"X: y\r\n" * 5_000 + sized % 0]),
        "a long header": Raw([OK + b"X: " + b"y" * 100_000 + b"\r\n" + sized % 0]),
        "an error": answer(500, whole, kind.partition(b": ")[2].decode().strip()),
        "an error that quotes": answer(503, {"message": KEY + TEXT}),
        "unauthorized": answer(401, {"message": KEY}),
    }  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("way", bad_answers("hear"))
def test_trouble_becomes_a_refusal(
    providers: SpeechProviders,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    name: str,
    way: str,
) -> None:
    monkeypatch.setattr(deepgram, "WITHIN_S", WITHIN_S)
    monkeypatch.setattr(cartesia, "WITHIN_S", WITHIN_S)
    caplog.set_level(logging.DEBUG)
    providers.instead.append(bad_answers(name)[way])
    began_s = time.monotonic()
    with pytest.raises(Refusal) as caught:
        CALLS[name](providers.url)
    assert time.monotonic() - began_s < 3.0  # those that drip would take 6
    assert (caught.value.status, caught.value.code) == (503, Code.SPEECH_UNAVAILABLE)
    assert caught.value.retry_after_s
    assert len(providers.asked) == 1
    assert_silent(caught.value, caplog, capfd)


def assert_silent(
    refused: Refusal, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    out, err = capfd.readouterr()
    told = str(refused) + repr(refused.problem("r")) + caplog.text + out + err
    told += "".join(traceback.format_exception(refused))
    assert KEY not in told and TEXT not in told
    assert refused.__context__ is None and refused.__cause__ is None


@pytest.mark.parametrize("name", CALLS)
def test_what_would_pass_does_pass_when_it_is_whole(providers: SpeechProviders, name: str) -> None:
    """So that the test above fails for what it names, and not for something else."""
    kind, whole = hostile(name).pieces
    providers.instead.append(Raw([kind + b"Content-Length: %d\r\n\r\n" % len(whole) + whole]))
    assert CALLS[name](providers.url)
    halves = b"%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (4, whole[:4], len(whole) - 4, whole[4:])
    providers.instead.append(Raw([kind + b"Transfer-Encoding: chunked\r\n\r\n" + halves]))
    assert CALLS[name](providers.url)


def test_the_largest_answers(providers: SpeechProviders) -> None:
    """Whole, and just as large as they may be; then one byte more."""
    voice = CartesiaVoice(lambda: CARTESIA_KEY, providers.url)
    most = 4_000_000
    providers.instead = [answer(200, b"ID3" + bytes(most - 3 + more), "audio/mpeg") for more in (0, 1)]
    assert len(voice.synthesize("x", 100, "en", None).audio) == most
    with pytest.raises(Refusal, match="503"):
        voice.synthesize("x", 100, "en", None)
    hearing = DeepgramHearing(lambda: DEEPGRAM_KEY, providers.url)
    whole = b'{"access_token": "aaaa.bbbb.cccc"}'
    providers.instead = [answer(200, whole.ljust(16_384 + more)) for more in (0, 1)]
    assert hearing.transcription("en", 16_000).headers["Authorization"] == "Bearer aaaa.bbbb.cccc"
    with pytest.raises(Refusal, match="503"):
        hearing.transcription("en", 16_000)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("name", CALLS)
def test_no_redirect_is_followed(providers: SpeechProviders, name: str, status: int) -> None:
    with SpeechProviders() as elsewhere:
        providers.instead.append(answer(status, b"", "text/plain", Location=f"{elsewhere.url}/tts/bytes"))
        with pytest.raises(Refusal) as caught:
            CALLS[name](providers.url)
        assert caught.value.status == 503
        assert (len(providers.asked), elsewhere.asked) == (1, [])


@pytest.mark.parametrize(
    ("said", "waits_s"), [("7", 7.0), ("0", 5.0), ("999999999", 3600.0), ("soon", 5.0), ("-1", 5.0)]
)
@pytest.mark.parametrize("name", CALLS)
def test_too_many_are_told_when_to_come_again(
    providers: SpeechProviders, name: str, said: str, waits_s: float
) -> None:
    providers.instead.append(answer(429, {"error_code": "concurrency_limited"}, Retry_After=said))
    with pytest.raises(Refusal) as caught:
        CALLS[name](providers.url)
    assert (caught.value.status, caught.value.code) == (429, Code.RATE_LIMITED)
    assert caught.value.retry_after_s == waits_s


@pytest.mark.parametrize("name", CALLS)
def test_nobody_listens(name: str) -> None:
    with pytest.raises(Refusal) as caught:
        CALLS[name]("http://127.0.0.1:1")
    assert caught.value.code is Code.SPEECH_UNAVAILABLE


@pytest.mark.parametrize(
    "key", ["", "short", "canary key with spaces", "canary\r\nX-Other: y", "canaryé-key", "c" * 513]
)
def test_a_key_that_cannot_stand_in_a_header(
    providers: SpeechProviders,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    key: str,
) -> None:
    for call in (
        lambda: DeepgramHearing(lambda: key, providers.url).transcription("en", 16_000),
        lambda: CartesiaVoice(lambda: key, providers.url).synthesize("x", 100, "en", None),
    ):
        with pytest.raises(Refusal) as caught:
            call()
        assert (caught.value.status, caught.value.code) == (500, Code.INTERNAL)
        assert "canary" not in str(caught.value)
        assert_silent(caught.value, caplog, capfd)
    assert providers.asked == []


def test_a_store_of_secrets_that_does_not_answer_is_said() -> None:
    def gone() -> str:
        raise Refusal(503, Code.INTERNAL, "no")

    with pytest.raises(Refusal, match="503 internal"):
        CartesiaVoice(gone).synthesize("x", 100, "en", None)


def test_only_who_is_trusted_gets_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = _certificate(tmp_path)
    with SpeechProviders(certificate) as secure:
        for call in CALLS.values():
            with pytest.raises(Refusal):
                call(secure.url)
        assert secure.asked == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with pytest.raises(Refusal):  # the certificate is another host's
            CALLS["speak"](secure.url.replace("127.0.0.1", "localhost"))
        assert secure.asked == []
        assert CartesiaVoice(lambda: CARTESIA_KEY, secure.url).synthesize("x", 100, "en", None).audio
        stream = DeepgramHearing(lambda: DEEPGRAM_KEY, secure.url).transcription("en", 16_000)
        assert stream.url.startswith("wss://")


def test_tls_is_verified_and_new() -> None:
    context = Exchange("https://example.org", 1.0)._context
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_no_proxy_of_the_environment(providers: SpeechProviders, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert CartesiaVoice(lambda: CARTESIA_KEY, providers.url).synthesize("x", 100, "en", None).audio


@pytest.mark.parametrize(
    "url", ["ftp://example.org", "https://", "example.org", "https://a@example.org", "https://example.org/x"]
)
def test_what_is_no_host(url: str) -> None:
    with pytest.raises(ValueError, match="host"):
        Exchange(url, 1.0)
