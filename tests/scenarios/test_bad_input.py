"""Every bad input has its exit status, a sentence with what to do, and keeps the JSON contract."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
import pytest

from client import weights
from client.app import real_parts, run
from client.clock import SystemClock
from client.devices.camera import Camera
from client.devices.http_mjpeg import HttpMjpeg
from edge_models.types import Frame
from tests.client.cli.test_scan import GOLDEN
from tests.client.reports.small_disk import small_disk as small_disk  # noqa: PLC0414 (a fixture)
from tests.scenarios.conftest import BPM, Said, Scan
from tests.stand_ins import clips
from tests.stand_ins.fake_camera import FakeCamera
from tests.stand_ins.mjpeg_server import Behaviour, MjpegServer, unused_port

Film = Callable[..., list[Frame]]


def refused(said: Said, status: int) -> str:
    """The sentence, if the command ended as it should: no output, one line with a remedy, no traceback."""
    assert said.status == status
    assert said.out == ""
    assert "Traceback" not in said.err
    assert "bug" not in said.err
    assert re.fullmatch(r"Error: .+\. .+[.)]", said.error), said.error
    return said.error


def withheld(said: Said) -> list[str]:
    """The reasons, if the command ended with 3 and a whole object."""
    assert said.status == 3
    assert list(said.json) == list(json.loads(GOLDEN.read_text(encoding="utf-8")))
    assert said.json["vitals"]["heart_rate"]["value"] is None
    assert said.reasons
    return said.reasons


def pictures(frames: list[Frame]) -> list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    return [frame.image for frame in frames]


# Files


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("text.mp4", b"this is not a video\n" * 50),
        ("random.mp4", np.random.default_rng(0).bytes(50_000)),
        ("picture.png", clips.jpegs(1)[0]),
        ("document.mp4", b"%PDF-1.7 " + bytes(5000)),
        ("empty.mp4", b""),
    ],
)
def test_what_is_no_video_ends_with_2(scan: Scan, tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    sentence = refused(scan("--video", path), 2)
    assert name in sentence
    assert str(tmp_path) not in sentence


def test_a_file_that_is_not_there_ends_with_2(scan: Scan, tmp_path: Path) -> None:
    assert "does not exist" in refused(scan("--video", tmp_path / "none.mp4"), 2)
    refused(scan("--video", tmp_path), 2)


def test_an_mp4_that_breaks_off_before_its_index_ends_with_2(
    scan: Scan, tmp_path: Path, person: list[Frame]
) -> None:
    whole = clips.write_clip(tmp_path / "clip.mp4", pictures(person[:60]), fps=30, codec="mp4v")
    assert "breaks off" in refused(scan("--video", clips.cut(whole, 0.5)), 2)


def test_a_file_that_breaks_off_later_is_measured_as_far_as_it_goes_and_says_so(
    scan: Scan, tmp_path: Path, person: list[Frame]
) -> None:
    whole = clips.write_clip(tmp_path / "clip.mkv", pictures(person[:150]), fps=30)
    said = scan("--video", clips.cut(whole, 0.6))
    assert "too_short" in withheld(said)
    assert 60 < said.json["frames"] < 120
    assert "breaks off" in said.err


def test_an_empty_room_has_no_face(scan: Scan, tmp_path: Path, film: Film) -> None:
    path = clips.write_clip(tmp_path / "room.mkv", pictures(film(kind="empty_room", duration_s=4.0)), fps=30)
    said = scan("--video", path)
    assert withheld(said)[0] == "no_face"
    assert "whole face" in said.err


def test_a_black_video_shows_nothing(scan: Scan, tmp_path: Path) -> None:
    black = [np.zeros((240, 320, 3), dtype=np.uint8)] * 120
    said = scan("--video", clips.write_clip(tmp_path / "black.mkv", black, fps=30))
    assert set(withheld(said)) & {"no_face", "too_dark"}


def test_two_seconds_are_too_short(scan: Scan, tmp_path: Path, person: list[Frame]) -> None:
    said = scan("--video", clips.write_clip(tmp_path / "short.mkv", pictures(person[:60]), fps=30))
    assert "too_short" in withheld(said)
    assert "longer" in said.err


def test_one_frame_is_a_video_too(scan: Scan, tmp_path: Path, person: list[Frame]) -> None:
    said = scan("--video", clips.write_clip(tmp_path / "one.mkv", pictures(person[:1]), fps=30))
    withheld(said)
    assert said.json["frames"] == 1
    assert said.json["measured_fps"] == 0.0


def test_five_frames_per_second_are_too_few(scan: Scan, tmp_path: Path, film: Film) -> None:
    path = clips.write_clip(tmp_path / "slow.mkv", pictures(film(fps=5.0)), fps=5)
    assert set(withheld(scan("--video", path))) & {"low_frame_rate", "too_few_frames"}


def test_4k_is_measured(scan: Scan, tmp_path: Path, person: list[Frame]) -> None:
    large = [
        np.asarray(cv2.resize(image, (3840, 2160), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)
        for image in pictures(person[:20])
    ]
    said = scan("--video", clips.write_clip(tmp_path / "large.mp4", large, fps=30, codec="mp4v"))
    assert "no_face" not in withheld(said)
    assert said.json["frames"] == 20
    assert said.json["accepted_s"] > 0.5
    peak_mb = said.json["cost"]["peak_rss_mb"]
    assert peak_mb is None or peak_mb < 4000


def test_a_variable_rate_is_measured_by_its_own_times(scan: Scan, tmp_path: Path, film: Film) -> None:
    frames = film(timing="halving", duration_s=16.0)
    path = clips.write_timed_clip(
        tmp_path / "variable.mkv", pictures(frames), [frame.t_s for frame in frames], header_fps=30
    )
    said = scan("--video", path)
    assert said.status == 0
    assert said.json["vitals"]["heart_rate"]["value"] == pytest.approx(BPM, abs=2.0)


def test_a_wrong_rate_in_the_header_changes_no_reading_and_is_said(
    scan: Scan, tmp_path: Path, person: list[Frame]
) -> None:
    path = clips.write_timed_clip(
        tmp_path / "wrong.mkv", pictures(person), [frame.t_s for frame in person], header_fps=50
    )
    said = scan("--video", path)
    assert said.status == 0
    assert said.json["vitals"]["heart_rate"]["value"] == pytest.approx(BPM, abs=2.0)
    assert said.json["measured_fps"] == pytest.approx(30.0, abs=0.1)
    assert "The header says 50" in said.err


def test_a_rotated_recording_is_turned_upright(scan: Scan, tmp_path: Path, person: list[Frame]) -> None:
    lying = [
        np.asarray(cv2.rotate(image, cv2.ROTATE_90_COUNTERCLOCKWISE), dtype=np.uint8)
        for image in pictures(person[:90])
    ]
    path = clips.rotate(clips.write_clip(tmp_path / "phone.mp4", lying, fps=30, codec="mp4v"), 90)
    said = scan("--video", path)
    assert "no_face" not in withheld(said)
    assert said.json["accepted_s"] > 2.0


# Cameras


def test_a_camera_that_is_not_there_ends_with_4(scan: Scan) -> None:
    sentence = refused(scan("--camera", "no-such-camera"), 4)
    assert "camera" in sentence


@pytest.mark.parametrize("trouble", ["taken", "black", "plugged"])
def test_a_camera_that_cannot_be_used_ends_with_4(scan: Scan, trouble: str) -> None:
    fake = FakeCamera(**{trouble: trouble != "plugged"})  # type: ignore[arg-type]
    refused(
        scan(
            "--camera",
            fake.id,
            camera=lambda name: Camera(name, capture=fake.capture, list_cameras=fake.listed, open_s=0.5),
        ),
        4,
    )


def test_a_camera_that_shows_no_face_ends_at_three_times_the_seconds_asked_for(scan: Scan) -> None:
    fake = FakeCamera(fps={"YUYV": 30.0, "MJPG": 30.0})
    said = scan(
        "--camera",
        fake.id,
        "--seconds",
        "1",
        camera=lambda name: Camera(name, capture=fake.capture, list_cameras=fake.listed),
    )
    assert withheld(said)[0] == "no_face"
    assert 2.9 < said.json["duration_s"] < 6.0  # a busy machine may lose frames at the end
    assert said.json["source"] == "Fake camera"


@pytest.mark.slow
def test_a_camera_that_is_unplugged_for_good_ends_the_scan_with_what_was_measured(scan: Scan) -> None:
    fake = FakeCamera(fps={"YUYV": 30.0, "MJPG": 30.0})

    class Unplugged(Camera):
        """Unplugged after the sixtieth frame."""

        count = 0

        def read(self) -> Frame | None:
            self.count += 1
            fake.plugged = self.count < 60
            return super().read()

    said = scan(
        "--camera",
        fake.id,
        camera=lambda name: Unplugged(name, capture=fake.capture, list_cameras=fake.listed),
    )
    withheld(said)
    assert "source_stalled" in said.json["quality"]["reasons"]
    assert 30 < said.json["frames"] <= 60


# Streams


@pytest.fixture
def serve() -> Iterator[Callable[[Behaviour], MjpegServer]]:
    """A network camera that behaves as told, until the test is over."""
    with ExitStack() as stack:
        pictures_ = [(index / 30, jpeg) for index, jpeg in enumerate(clips.jpegs(130))]
        yield lambda behaviour: stack.enter_context(MjpegServer(pictures_, behaviour))


def test_a_url_that_refuses_ends_with_4(scan: Scan) -> None:
    sentence = refused(scan("--url", f"http://anna:geheim@127.0.0.1:{unused_port()}/x?token=abc"), 4)
    for secret in ("anna", "geheim", "abc"):
        assert secret not in sentence


@pytest.mark.parametrize(
    ("behaviour", "status"),
    [
        (Behaviour(status=404), 2),
        (Behaviour(content_type="text/html"), 2),
        (Behaviour(rubbish_every=1), 2),
        (Behaviour(credentials="a:b"), 2),
        (Behaviour(answers=False), 4),
        (Behaviour(sends=False), 4),
    ],
)
def test_a_stream_that_gives_no_picture_ends_with_a_sentence(
    scan: Scan, serve: Callable[[Behaviour], MjpegServer], behaviour: Behaviour, status: int
) -> None:
    said = scan("--url", serve(behaviour).url, url=lambda url: HttpMjpeg(url, first_frame_s=0.8))
    refused(said, status)


@pytest.mark.parametrize("url", ["not a url", "ftp://127.0.0.1/", "http://", "file:///etc/passwd"])
def test_a_url_that_is_none_ends_with_2(scan: Scan, url: str) -> None:
    refused(scan("--url", url), 2)


def test_a_stream_that_stalls_in_between_goes_on_and_ends_by_itself(
    scan: Scan, serve: Callable[[Behaviour], MjpegServer]
) -> None:
    said = scan("--url", serve(Behaviour(stall_after=20, stall_s=2.6)).url)
    withheld(said)
    assert said.json["frames"] > 25
    assert said.json["duration_s"] > 2.6
    assert "127.0.0.1" in said.json["source"]


# The machine


def test_missing_weights_end_with_4(scan: Scan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = (weights.folder() / "MODELS.toml").read_text(encoding="utf-8")
    (tmp_path / "MODELS.toml").write_text(listed, encoding="utf-8")
    monkeypatch.setattr(weights, "folder", lambda: tmp_path)
    assert "make setup" in refused(scan("--demo"), 4)


def test_altered_weights_end_with_4(
    scan: Scan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, face_net: bytes
) -> None:
    entry = weights.listed()["face_rfb_320"]
    (tmp_path / "MODELS.toml").write_text(
        (weights.folder() / "MODELS.toml").read_text(encoding="utf-8"), encoding="utf-8"
    )
    (tmp_path / "third_party").mkdir()
    altered = bytes([face_net[0] ^ 1]) + face_net[1:]
    (tmp_path / "third_party" / entry.file_name).write_bytes(altered)
    monkeypatch.setattr(weights, "folder", lambda: tmp_path)
    video = clips.write_clip(tmp_path / "clip.mkv", clips.pictures(5), fps=30)
    assert "make setup" in refused(scan("--video", video), 4)


def test_a_full_disk_under_the_report_ends_with_4_and_the_result_is_printed(
    scan: Scan, small_disk: Path, tmp_path: Path
) -> None:
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        file.writelines(bytes(4096) for _ in range(100))
    video = clips.write_clip(tmp_path / "clip.mkv", clips.pictures(5), fps=30)
    said = scan("--video", video, "--report", small_disk / "result.json")
    assert said.status == 4
    assert said.json["frames"] == 5
    assert "the disk is full" in said.error
    assert [path.name for path in small_disk.iterdir()] == ["filler"]


def test_doctor_examines_a_camera_through_the_real_adapter(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeCamera(fps={"YUYV": 30.0, "MJPG": 30.0})
    made = Camera
    monkeypatch.setattr("client.devices.camera.cameras", fake.listed)
    monkeypatch.setattr(
        "client.devices.camera.Camera",
        lambda name: made(name, capture=fake.capture, list_cameras=fake.listed, lock_after_s=0.5),
    )
    assert run(real_parts(SystemClock()), ["doctor", "--json"]) == 0
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["camera"]["state"] == "ok"
    assert "frames/s (30 claimed), exposure locked, white balance locked" in checks["camera"]["says"]
