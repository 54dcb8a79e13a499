"""client.cloud.hearing and its frames: over real web sockets, to a stand-in that checks what it gets."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from websockets.sync.server import ServerConnection

from client.cloud import event_stream, faults
from client.cloud.forms import Unfit
from client.cloud.hearing import CloudRecogniser, CloudRecognition
from client.cloud.wire import NewTranscription, Transcription
from client.policy import Policy
from tests.stand_ins.aws import event_stream as theirs
from tests.stand_ins.hearing_server import HearingServer, transcript

SECOND = np.linspace(-0.5, 0.5, 16_000, dtype=np.float32)


def asks(server: HearingServer, **headers: str) -> Callable[[NewTranscription], Transcription]:
    def place(wanted: NewTranscription) -> Transcription:
        assert wanted.sample_rate_hz == 16_000
        return Transcription(
            server.url, datetime.now(UTC) + timedelta(minutes=5), server.protocol, dict(headers)
        )

    return place


def said(recognition: CloudRecognition, seconds: int = 1) -> None:
    for _ in range(seconds):
        for at in range(0, 16_000, 512):
            recognition.push(SECOND[at : at + 512])


@pytest.mark.parametrize("protocol", ["transcribe", "deepgram"])
def test_what_is_said_comes_back_as_text_and_nothing_of_it_is_lost(protocol: str) -> None:
    with HearingServer(protocol=protocol) as server:
        recognition = CloudRecognition(asks(server, authorization="Bearer abc"), Policy(), "en")
        said(recognition)
        deadline = time.monotonic() + 5.0
        while not recognition.partial():
            assert time.monotonic() < deadline, "nothing was understood while it was said"
            time.sleep(0.01)
        found = recognition.finish()
    assert found.text == "my chest hurts"
    assert found.confidence == pytest.approx(0.9 if protocol == "transcribe" else 0.8)
    sent = np.frombuffer(bytes(server.heard[0]), "<i2").astype(np.float32) / 32767.0
    assert len(sent) == len(SECOND)
    assert np.max(np.abs(sent - SECOND)) < 1e-4
    names = {name.lower(): value for name, value in server.headers[0].items()}
    assert names["authorization"] == "Bearer abc"
    assert "user-agent" not in names


def test_language_is_asked_for_as_the_service_names_it() -> None:
    asked: list[str] = []

    def place(wanted: NewTranscription) -> Transcription:
        asked.append(wanted.language)
        raise faults.Offline

    for language in ("es", "pt-PT", "ar"):
        recognition = CloudRecogniser(place, Policy(), "Clinic", lambda _one: True).begin(language)
        with pytest.raises(faults.Offline):
            recognition.finish()
    assert asked == ["es-US", "pt-PT", "ar-SA"]


def test_who_cancels_sends_nothing_more() -> None:
    with HearingServer() as server:
        recognition = CloudRecognition(asks(server), Policy(), "en")
        said(recognition)
        while not recognition.partial():
            time.sleep(0.01)
        recognition.cancel()
        recognition._thread.join(5.0)
        assert not recognition._thread.is_alive()
        before = len(server.heard[0])
        recognition.push(SECOND)
        time.sleep(0.1)
        assert len(server.heard[0]) == before
        with pytest.raises(faults.Closed):
            recognition.finish()


def _closes(line: ServerConnection) -> None:
    line.recv()
    line.socket.close()


def _rubbish(line: ServerConnection) -> None:
    line.recv()
    line.send(b"\x00" * 40)
    line.recv()


def _wrong(line: ServerConnection) -> None:
    line.recv()
    line.send(theirs.event("TranscriptEvent", {"Transcript": {"Results": [{"Alternatives": []}]}}))
    line.recv()


def _limited(line: ServerConnection) -> None:
    line.recv()
    line.send(theirs.exception("LimitExceededException", "Your client has exceeded a limit."))
    line.recv()


def _silent(line: ServerConnection) -> None:
    for _message in line:
        pass


@pytest.mark.parametrize(
    ("breaks", "kind"),
    [
        (_closes, faults.ConnectionBroken),
        (_rubbish, faults.AnswerUnreadable),
        (_wrong, faults.AnswerUnreadable),
        (_limited, faults.RateLimited),
        (_silent, faults.TimedOut),
    ],
)
def test_trouble_has_its_kind_and_comes_in_time(
    breaks: Callable[[ServerConnection], None], kind: type[faults.CloudFault]
) -> None:
    with HearingServer(breaks=breaks) as server:
        recognition = CloudRecognition(asks(server), Policy(), "en")
        said(recognition)
        began = time.monotonic()
        with pytest.raises(kind):
            recognition.finish()
        assert time.monotonic() - began < 4.0
        recognition.cancel()
        recognition._thread.join(2.0)
        assert not recognition._thread.is_alive(), "it would keep the connection"


def test_a_place_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with HearingServer() as server:
        place = asks(server)
        url = server.url
    gone = Transcription(url, datetime.now(UTC), "transcribe", {})
    recognition = CloudRecognition(lambda _wanted: gone, Policy(), "en")
    del place
    with pytest.raises(faults.ConnectionBroken):
        recognition.finish()


def test_a_protocol_of_a_newer_version_is_not_guessed() -> None:
    place = Transcription("wss://a.example/", datetime.now(UTC), "other", {})
    recognition = CloudRecognition(lambda _wanted: place, Policy(), "en")
    with pytest.raises(faults.AnswerUnreadable):
        recognition.finish()


def test_over_tls_only_those_who_are_trusted(tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(file)
    with HearingServer(tls=context) as server:
        trusted = CloudRecognition(asks(server), Policy(ca_file=file), "en")
        said(trusted)
        assert trusted.finish().text == "my chest hurts"
        untrusted = CloudRecognition(asks(server), Policy(), "en")
        said(untrusted)
        with pytest.raises(faults.CertificateUntrusted):
            untrusted.finish()


@given(
    st.dictionaries(st.text(min_size=1, max_size=20), st.text(max_size=50), max_size=5),
    st.binary(max_size=2000),
)
def test_frames_are_read_as_they_were_written(headers: dict[str, str], payload: bytes) -> None:
    found = event_stream.decode(event_stream.encode(headers, payload))
    assert found == event_stream.Frame(headers, payload)
    assert event_stream.encode(headers, payload) == theirs.frame(headers, payload)


@given(st.integers(0, 200), st.integers(1, 255))
def test_a_frame_that_was_changed_is_refused(at: int, by: int) -> None:
    whole = bytearray(transcript("r1", "my chest hurts", partial=False))
    whole[at % len(whole)] ^= by
    with pytest.raises(Unfit):
        event_stream.decode(bytes(whole))


@given(st.binary(max_size=300))
def test_rubbish_is_no_frame(data: bytes) -> None:
    with pytest.raises(Unfit):
        event_stream.decode(data)
