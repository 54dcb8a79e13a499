from __future__ import annotations

import logging
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from client.devices.http_mjpeg import HttpMjpeg, _StreamTimes
from client.devices.ports import SourceFacts
from client.errors import BadInput, EnvironmentFault, HealthHelperError, SourceStalled
from edge_models.types import Frame, Reason
from tests.stand_ins import clips
from tests.stand_ins.mjpeg_server import Behaviour, MjpegServer, unused_port

EVEN_30 = [i / 30 for i in range(30)]
EVEN_15 = [i / 15 for i in range(15)]
UNEVEN = [i / 30 + 0.012 * (i % 3) for i in range(30)]


def _server(times_s: list[float], behaviour: Behaviour | None = None) -> MjpegServer:
    return MjpegServer(list(zip(times_s, clips.jpegs(len(times_s)), strict=True)), behaviour)


def _read_all(source: HttpMjpeg) -> tuple[list[Frame], int]:
    """The frames, and how often the source was said to stall."""
    frames: list[Frame] = []
    stalls = 0
    while True:
        try:
            frame = source.read()
        except SourceStalled:
            stalls += 1
            continue
        if frame is None:
            return frames, stalls
        frames.append(frame)


def _receive(server: MjpegServer, **settings: float) -> tuple[list[Frame], SourceFacts, int]:
    with server:
        source = HttpMjpeg(server.url, **settings)  # type: ignore[arg-type]
        source.open()
        frames, stalls = _read_all(source)
        facts = source.facts()
        source.close()
    return frames, facts, stalls


def _times(frames: list[Frame]) -> list[float]:
    return [frame.t_s - frames[0].t_s for frame in frames]


def _refused(url: str, **settings: float) -> HealthHelperError:
    source = HttpMjpeg(url, **settings)  # type: ignore[arg-type]
    with pytest.raises(HealthHelperError) as told:
        source.open()
    assert not isinstance(told.value, SourceStalled)
    return told.value


@pytest.mark.parametrize("times_s", [EVEN_30, EVEN_15, UNEVEN], ids=["30", "15", "uneven"])
@pytest.mark.parametrize("content_length", [True, False])
def test_pictures_arrive_at_the_times_at_which_they_were_sent(
    times_s: list[float], *, content_length: bool
) -> None:
    usual_s = []
    for _ in range(3):  # a machine that is too busy for one second may have time in the next
        server = _server(times_s, Behaviour(content_length=content_length))
        frames, facts, stalls = _receive(server)
        assert len(frames) == len(times_s) and stalls == 0
        assert facts.live and not facts.simulated and facts.warnings == ()
        late_s = np.array([frame.t_s for frame in frames]) - server.sent_s
        assert late_s.min() > 0
        # Single pictures may be late, also the first. Times that are counted and not measured would part the usual
        # picture from the earliest by 0.012 s where they are uneven, by more where the rate is wrong.
        usual_s.append(float(np.median(late_s) - late_s.min()))
        if usual_s[-1] < 0.01:
            break
    assert min(usual_s) < 0.01


# Sent as fast as the socket takes them: no more than a late reader is kept for.
@pytest.mark.parametrize("times_s", [EVEN_30[:15], UNEVEN[:15]], ids=["30", "uneven"])
def test_the_streams_own_stamps_are_taken_where_it_has_them(times_s: list[float]) -> None:
    frames, facts, _ = _receive(_server(times_s, Behaviour(stamps=True, paced=False)))

    assert _times(frames) == pytest.approx(times_s, abs=1e-5)
    assert "X-Timestamp" in str(facts.notes[0])


def test_a_picture_that_is_sent_twice_comes_once() -> None:
    frames, _, _ = _receive(_server(EVEN_15, Behaviour(stamps=True, paced=False, repeat_every=3)))
    assert _times(frames) == pytest.approx(EVEN_15, abs=1e-5)


@pytest.mark.parametrize(
    "stamps_s", [[0, 1000, 2000, 3000], [0, 0.1, -5, -4.9]], ids=["milliseconds", "jumps back"]
)
def test_stamps_that_are_no_clock_are_not_used(stamps_s: list[float]) -> None:
    frames, facts, _ = _receive(_server(stamps_s, Behaviour(stamps=True, paced=False)))
    assert len(frames) == 4
    assert np.all(np.diff(_times(frames)) > 0) and _times(frames)[-1] < 2
    assert "jumped" in str(facts.notes[0])


def _timed(
    arrivals_s: list[float], stamps_s: list[float], times: _StreamTimes | None = None
) -> tuple[list[float], _StreamTimes]:
    """What becomes of pictures with these stamps that arrive at these moments."""
    times = times or _StreamTimes()
    times.new_connection()
    given = [times.next(1000 + at, str(stamp)) for at, stamp in zip(arrivals_s, stamps_s, strict=True)]
    return [t_s for t_s in given if t_s is not None], times


@pytest.mark.parametrize("rate", [30 / 25, 30 / 31, 0.5, 1.04, 100.0], ids=lambda rate: f"clock × {rate:.2f}")
def test_a_clock_of_the_stream_that_does_not_run_as_fast_as_arrival_is_left_with_a_note(rate: float) -> None:
    arrivals_s = [i / 30 for i in range(30 * 120)]
    given, times = _timed(arrivals_s, [at * rate for at in arrivals_s])
    assert np.all(np.diff(given) > 0)
    tail = np.diff(given[-30 * 60 :])
    assert tail == pytest.approx(1 / 30, abs=1e-6)  # the last minute has the rate of arrival
    assert "ran away" in str(times.note())


def test_a_wrong_clock_is_distrusted_until_the_seconds_that_followed_it_are_few() -> None:
    arrivals_s = [i / 30 for i in range(30 * 60)]
    _, times = _timed(arrivals_s[: 30 * 8], [i / 25 for i in range(30 * 8)])
    assert times.untrusted
    for at in arrivals_s[30 * 8 :]:
        times.next(1000 + at, str(at * 30 / 25))
    assert not times.untrusted


@pytest.mark.parametrize("drift", [0.0, 1e-4, -1e-4])
def test_a_true_clock_is_kept_through_jitter_bursts_and_a_network_that_stands_still(
    drift: float, rng: np.random.Generator
) -> None:
    taken_s = [i / 30 for i in range(30 * 300)]
    sent_s = np.array(taken_s) + 0.04 * rng.exponential(size=len(taken_s))
    for at in (20.0, 100.0):  # for two seconds nothing gets through, then everything at once
        sent_s[(sent_s > at) & (sent_s < at + 2)] = at + 2
    arrivals_s = np.maximum.accumulate(sent_s).tolist()
    given, times = _timed(arrivals_s, [at * (1 + drift) for at in taken_s])
    assert np.diff(given) == pytest.approx((1 + drift) / 30, abs=1e-6)
    assert str(times.note()) == "Times are the stream's own (X-Timestamp)."
    assert not times.untrusted


def test_a_stream_whose_clock_is_a_fifth_too_fast_comes_at_the_rate_of_arrival_in_the_end() -> None:
    frames, facts, _ = _receive(_server([i / 30 for i in range(135)], Behaviour(stamps=True, stamp_rate=1.2)))
    assert np.all(np.diff(_times(frames)) > 0)
    assert np.median(np.diff(_times(frames)[-30:])) == pytest.approx(1 / 30, rel=0.06)
    assert facts.warnings == (Reason.FRAME_RATE_UNTRUSTED,)
    assert "ran away" in str(facts.notes[0])


def test_the_first_frame_is_the_picture_that_was_sent() -> None:
    image = clips.pictures(1)[0]
    jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    frames, facts, _ = _receive(MjpegServer([(0.0, jpeg)]))
    expected = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert expected is not None and np.array_equal(frames[0].image, expected)
    assert (facts.width_px, facts.height_px) == clips.SIZE_PX


def test_a_silent_stream_is_said_to_stall_in_time_and_goes_on_when_it_comes_back() -> None:
    with _server([i / 30 for i in range(60)], Behaviour(stall_after=10, stall_s=1.3)) as server:
        source = HttpMjpeg(server.url, stall_s=0.8)
        source.open()
        for _ in range(10):
            assert source.read() is not None
        began_s = time.perf_counter()
        with pytest.raises(SourceStalled) as told:
            source.read()
        assert 0.7 < time.perf_counter() - began_s < 1.2
        assert told.value.retry
        frames, _ = _read_all(source)
        source.close()
        assert server.connections == 1  # a short silence needs no second connection
    assert len(frames) > 10


def test_a_closed_source_does_not_connect_again() -> None:
    with _server(EVEN_15, Behaviour(stall_after=2, stall_s=60)) as server:
        source = HttpMjpeg(server.url)
        source.open()
        source.close()
        time.sleep(0.6)  # longer than the first pause before a new connection
        assert server.connections == 1


def test_a_silence_that_lasts_is_mended_by_a_new_connection() -> None:
    with _server([i / 30 for i in range(90)], Behaviour(stall_after=5, stall_s=60)) as server:
        source = HttpMjpeg(server.url, stall_s=0.3)
        source.open()
        frames, stalls = [source.read()], 0
        while len(frames) < 15:
            try:
                frames.append(source.read())
            except SourceStalled:
                stalls += 1
        notes = source.facts().notes
        source.close()
        assert server.connections == 2
    assert stalls >= 2
    assert any("connected again" in str(note) for note in notes)


def test_a_dropped_connection_is_made_again_with_times_that_go_on() -> None:
    times_s = [i / 30 for i in range(60)]
    frames, facts, _ = _receive(
        _server(times_s, Behaviour(drop_after=10, away_s=0.3, stamps=True)), stall_s=0.3
    )
    assert 40 < len(frames) <= 60
    assert np.all(np.diff(_times(frames)) > 0)
    assert _times(frames)[-1] == pytest.approx(times_s[-1], abs=0.3)
    assert any("connected again" in str(note) for note in facts.notes)


def test_a_stream_that_never_comes_back_ends_and_says_so() -> None:
    frames, facts, stalls = _receive(_server(EVEN_15, Behaviour(closes=False)), stall_s=0.3, give_up_s=0.8)
    assert len(frames) == 15 and stalls >= 1
    assert facts.warnings == (Reason.SOURCE_STALLED,)
    assert any("did not come back" in str(note) for note in facts.notes)


def test_bad_pictures_in_a_stream_are_skipped_and_counted() -> None:
    frames, facts, _ = _receive(_server(EVEN_30, Behaviour(rubbish_every=4)))
    assert len(frames) == 23
    assert any(str(note).startswith("7 pictures") for note in facts.notes)


def test_a_stream_that_turns_into_rubbish_for_a_while_stalls_and_goes_on() -> None:
    good = [(i / 100, jpeg) for i, jpeg in enumerate(clips.jpegs(5))]
    bad = [(0.05 + i / 100, b"\xff\xd8 no picture") for i in range(80)]
    again = [(0.85 + i / 100, jpeg) for i, jpeg in enumerate(clips.jpegs(5))]
    frames, facts, stalls = _receive(MjpegServer(good + bad + again), stall_s=0.5)
    assert len(frames) == 10 and stalls == 1
    assert str(facts.notes[1]).startswith("80 pictures in the stream could not be decoded")


def test_a_stream_that_turns_into_rubbish_for_good_ends_with_what_came_before() -> None:
    good = [(i / 100, jpeg) for i, jpeg in enumerate(clips.jpegs(5))]
    bad = [(0.05 + i / 100, b"\xff\xd8 no picture") for i in range(400)]
    frames, facts, stalls = _receive(MjpegServer(good + bad), stall_s=0.3, give_up_s=0.9)
    assert len(frames) == 5 and stalls >= 2
    assert facts.warnings == (Reason.SOURCE_STALLED,)


def test_pictures_too_small_for_anything_are_bad_input() -> None:
    small = clips.jpegs(10, (15, 64))
    with MjpegServer([(i / 30, jpeg) for i, jpeg in enumerate(small)]) as server:
        told = _refused(server.url)
    assert type(told) is BadInput and "15×64" in told.title


def test_small_pictures_later_in_a_stream_are_skipped() -> None:
    jpegs = [*clips.jpegs(5), *clips.jpegs(3, (8, 8)), *clips.jpegs(5)]
    frames, _, _ = _receive(MjpegServer([(i / 30, jpeg) for i, jpeg in enumerate(jpegs)]))
    assert len(frames) == 10
    assert {frame.image.shape for frame in frames} == {(120, 160, 3)}


def test_a_bug_in_the_thread_that_receives_is_raised_where_frames_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = 0

    def broken(self: object, arrived_s: float, stamp: str | None) -> float | None:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise ZeroDivisionError
        return arrived_s

    monkeypatch.setattr(_StreamTimes, "next", broken)
    with _server(EVEN_30) as server:
        source = HttpMjpeg(server.url)
        source.open()
        with pytest.raises(ZeroDivisionError):
            _read_all(source)
        source.close()


def _seconds_until_silence_is_said() -> float:
    with _server(EVEN_15, Behaviour(stall_after=3, stall_s=60)) as server:
        source = HttpMjpeg(server.url)
        source.open()
        for _ in range(3):
            source.read()
        began_s = time.perf_counter()
        with pytest.raises(SourceStalled):
            source.read()
        took_s = time.perf_counter() - began_s
        source.close()
    return took_s


def test_a_silence_is_said_within_two_seconds() -> None:
    # A machine that was too busy may have time for the second silence.
    assert _seconds_until_silence_is_said() < 1.9 or _seconds_until_silence_is_said() < 1.9


@pytest.mark.parametrize(
    ("behaviour", "kind", "words"),
    [
        (Behaviour(status=401), BadInput, "password"),
        (Behaviour(status=403), BadInput, "refuses this user"),
        (Behaviour(status=404), BadInput, "no stream at this path"),
        (Behaviour(status=302), BadInput, "elsewhere"),
        (Behaviour(status=503), EnvironmentFault, "fault of its own"),
        (Behaviour(content_type="text/html"), BadInput, "a web page"),
        (Behaviour(content_type="image/jpeg"), BadInput, "a single picture"),
        (Behaviour(rubbish_every=1), BadInput, "no JPEG pictures"),
        (Behaviour(sends=False), EnvironmentFault, "answered but sent no picture"),
        (Behaviour(answers=False), EnvironmentFault, "did not answer"),
    ],
)
def test_what_a_server_does_wrong_is_told_apart(
    behaviour: Behaviour, kind: type[HealthHelperError], words: str
) -> None:
    with _server(EVEN_15, behaviour) as server:
        began_s = time.perf_counter()
        told = _refused(server.url, first_frame_s=2.0)
        assert time.perf_counter() - began_s < 4.0  # 2.0 asked for; 5.0 without being asked
    assert type(told) is kind and words in told.title


def test_a_black_stream_is_not_open() -> None:
    black = cv2.imencode(".jpg", np.zeros((120, 160, 3), np.uint8))[1].tobytes()
    with MjpegServer([(i / 30, black) for i in range(90)]) as server:
        told = _refused(server.url, first_frame_s=0.6)
    assert "only black" in told.title


def test_a_picture_of_absurd_size_is_not_decoded() -> None:
    jpeg = bytearray(clips.jpegs(1)[0])
    frame_header = jpeg.find(b"\xff\xc0")
    jpeg[frame_header + 5 : frame_header + 9] = b"\xff\xf0\xff\xf0"
    with MjpegServer([(i / 30, bytes(jpeg)) for i in range(5)]) as server:
        assert "no JPEG" in _refused(server.url).title


def test_a_port_where_nobody_listens_refuses() -> None:
    told = _refused(f"http://127.0.0.1:{unused_port()}/video")
    assert type(told) is EnvironmentFault and "refuses the connection" in told.title


def test_an_unknown_name_is_said_to_be_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    told = _refused("http://camera.example/video")
    assert told.title == "No computer named camera.example is known"


@pytest.mark.parametrize(
    "url", ["", "video", "rtsp://h/x", "ftp://h", "http://", "http:///x", "http://[::1", "http://h:0/"]
)
def test_what_is_no_address_is_bad_input(url: str) -> None:
    assert type(_refused(url)) is BadInput


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(credentials="someone:s3cr@t"),
        Behaviour(credentials="someone:s3cr@t", digest=True),
        Behaviour(status=403),
    ],
    ids=["basic", "digest", "refused"],
)
def test_a_password_in_the_address_is_used_and_never_shown(
    behaviour: Behaviour, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with _server(EVEN_15, behaviour) as server:
        url = server.url.replace("http://", "http://someone:s3cr%40t@")
        source = HttpMjpeg(url)
        said = ""
        try:
            said = repr(source.open())
            assert behaviour.credentials is not None
            assert _read_all(source)[0]
            said += repr(source.facts())
        except HealthHelperError as error:
            assert behaviour.credentials is None
            said = repr(error) + repr(error.__cause__) + repr(error.__context__)
        source.close()
    for hidden in ("s3cr", "someone"):
        assert hidden not in said and hidden not in caplog.text


@pytest.mark.parametrize("digest", [False, True])
def test_a_wrong_password_is_bad_input(*, digest: bool) -> None:
    with _server(EVEN_15, Behaviour(credentials="someone:right", digest=digest)) as server:
        told = _refused(server.url.replace("http://", "http://someone:wrong@"))
    assert type(told) is BadInput and "password" in told.title


@pytest.mark.parametrize("url", ["http://me:hush@h:99999/", "gopher://me:hush@h/", "http://me:hu sh@[x/"])
def test_a_password_in_a_wrong_address_is_not_repeated(url: str) -> None:
    assert "hu" not in str(_refused(url)).replace("such", "")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that signs itself, with its key, in one file."""
    folder = tmp_path_factory.mktemp("tls")
    made = subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
            ),
            *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"),
            *("-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")),
        ],
        capture_output=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    both = folder / "both.pem"
    both.write_bytes((folder / "key.pem").read_bytes() + (folder / "certificate.pem").read_bytes())
    return both


@pytest.fixture
def tls_server(certificate: Path) -> Callable[[], MjpegServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return lambda: _server(EVEN_15, Behaviour(tls=context))


def test_a_certificate_that_nobody_vouches_for_is_refused(tls_server: Callable[[], MjpegServer]) -> None:
    with tls_server() as server:
        told = _refused(server.url)
    assert type(told) is EnvironmentFault and "not trusted" in told.title


def test_a_trusted_stream_is_read_over_tls_and_closed_in_the_middle(
    tls_server: Callable[[], MjpegServer], certificate: Path
) -> None:
    with tls_server() as server:
        source = HttpMjpeg(server.url, trust=ssl.create_default_context(cafile=str(certificate)))
        source.open()
        assert source.read() is not None and source.read() is not None
        source.close()
        assert source.read() is None


def test_plain_http_where_tls_was_asked_for_is_told_apart() -> None:
    with _server(EVEN_15) as server:
        told = _refused(server.url.replace("http://", "https://"))
    assert "does not speak TLS" in told.title
