from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from client.devices.camera import Camera, Hold, examine
from client.devices.camera_list import FoundCamera
from client.errors import EnvironmentFault, SourceStalled
from edge_models.types import Frame
from tests.stand_ins.fake_camera import FakeCamera, FakeCapture, Stamps


def _camera(fake: FakeCamera, camera_id: str | None = None, **settings: float) -> Camera:
    return Camera(camera_id, capture=fake.capture, list_cameras=fake.listed, **settings)  # type: ignore[arg-type]


def _read_for(camera: Camera, seconds: float) -> list[Frame]:
    """Frames of so many seconds; stalls in between are passed over, as the pipeline does."""
    frames: list[Frame] = []
    until_s = time.perf_counter() + seconds
    while time.perf_counter() < until_s:
        try:
            frame = camera.read()
        except SourceStalled:
            continue
        assert frame is not None
        frames.append(frame)
    return frames


def _read_until(camera: Camera, done: Callable[[], bool], *, at_most_s: float = 5.0) -> None:
    """Read for as long as it takes, which on a busy machine may be longer than planned."""
    until_s = time.perf_counter() + at_most_s
    while not done() and time.perf_counter() < until_s:
        _read_for(camera, 0.05)


def _read_until_stalled(camera: Camera) -> tuple[SourceStalled, float]:
    """The error, and the seconds that the read took which raised it."""
    while True:
        began_s = time.perf_counter()
        try:
            camera.read()
        except SourceStalled as stalled:
            return stalled, time.perf_counter() - began_s


@pytest.fixture
def fake() -> Iterator[FakeCamera]:
    made = FakeCamera()
    yield made
    made.hang_over.set()
    assert made.open_captures == 0  # whatever happened, the driver got its handle back


def _refused(camera: Camera) -> EnvironmentFault:
    with pytest.raises(EnvironmentFault) as told:
        camera.open()
    return told.value


def test_a_small_uncompressed_picture_is_asked_for(fake: FakeCamera) -> None:
    camera = _camera(fake)
    facts = camera.open()
    camera.close()
    assert (facts.width_px, facts.height_px, facts.header_fps) == (640, 480, 30.0)
    assert fake.values[cv2.CAP_PROP_FOURCC] == cv2.VideoWriter.fourcc(*"YUYV")
    assert any("YUYV" in str(note) for note in facts.notes)


def test_jpeg_is_taken_where_the_uncompressed_picture_is_too_slow(fake: FakeCamera) -> None:
    fake.promised_fps["YUYV"] = 10.0
    camera = _camera(fake)
    facts = camera.open()
    camera.close()
    assert facts.header_fps == 30.0 and any("MJPG" in str(note) for note in facts.notes)


@pytest.mark.parametrize(
    ("stamps", "note"),
    [
        (Stamps.MONOTONIC, "Times are the driver's own."),
        (Stamps.OTHER_EPOCH, "Times are the driver's own."),
        (Stamps.NONE, "driver has none"),
        (Stamps.STUCK, "stopped agreeing"),
    ],
)
def test_the_drivers_times_are_used_only_where_they_are_a_clock(
    fake: FakeCamera, stamps: Stamps, note: str
) -> None:
    fake.stamps = stamps
    camera = _camera(fake)
    camera.open()
    before_s = time.perf_counter()
    times = np.array([frame.t_s for frame in _read_for(camera, 0.5)])
    facts = camera.facts()
    camera.close()

    assert any(note in str(said) for said in facts.notes), facts.notes
    assert np.all(np.diff(times) > 0)
    assert 0.005 < np.mean(np.diff(times)) < 0.03  # of 0.01 s; on a busy machine some are lost
    assert abs(times[0] - before_s) < 1.0 and times[-1] <= time.perf_counter()


def test_a_monotonic_stamp_is_kept_as_the_moment_of_the_picture(fake: FakeCamera) -> None:
    camera = _camera(fake)
    camera.open()
    frames = _read_for(camera, 0.2)
    camera.close()
    assert {frame.t_s for frame in frames} <= {stamp_ms / 1000 for stamp_ms in fake.stamps_ms}


def test_copies_of_a_picture_are_dropped(fake: FakeCamera) -> None:
    camera = _camera(fake, stall_s=0.3)
    camera.open()
    fake.frozen = True
    told, _ = _read_until_stalled(camera)
    camera.close()
    assert "same picture" in told.title


def test_dark_first_pictures_are_waited_for(fake: FakeCamera) -> None:
    fake.black = True
    camera = _camera(fake)
    threading.Timer(0.3, lambda: setattr(fake, "black", False)).start()
    camera.open()
    frame = camera.read()
    camera.close()
    assert frame is not None and frame.image.mean() > 50


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        ({"plugged": False}, "No camera is plugged in"),
        ({"taken": True}, "cannot be opened"),
        ({"black": True}, "only black"),
        ({"slow_to_wake": 10**6}, "sent no picture"),
        ({"hangs": True}, "did not answer"),
    ],
)
def test_what_keeps_a_camera_from_opening_is_told_apart(
    fake: FakeCamera, trouble: dict[str, object], words: str
) -> None:
    for name, value in trouble.items():
        setattr(fake, name, value)
    began_s = time.perf_counter()
    told = _refused(_camera(fake, open_s=1.2))
    assert time.perf_counter() - began_s < 2.5
    assert words in told.title and told.remedy.endswith(".")
    fake.hang_over.set()
    _wait_until_released(fake)


def _wait_until_released(fake: FakeCamera) -> None:
    until_s = time.perf_counter() + 3
    while fake.open_captures and time.perf_counter() < until_s:
        time.sleep(0.01)


def test_a_camera_that_is_not_there_is_answered_with_those_that_are(fake: FakeCamera) -> None:
    told = _refused(_camera(fake, "usb-another"))
    assert "usb-another" in told.title and fake.id in told.remedy


def test_a_driver_that_blocks_is_said_to_stall_in_time_and_a_second_try_succeeds(fake: FakeCamera) -> None:
    fake.grabs_before_hang = 20
    camera = _camera(fake, stall_s=0.3)
    camera.open()
    _, waited_s = _read_until_stalled(camera)
    assert 0.2 < waited_s < 1.0
    fake.grabs_before_hang = None
    frames = _read_for(camera, 1.5)
    camera.close()
    fake.hang_over.set()
    _wait_until_released(fake)
    assert len(frames) > 20 and len(fake.opened) == 2
    assert np.all(np.diff([frame.t_s for frame in frames]) > 0)


def test_of_a_driver_that_always_blocks_only_two_threads_hang(fake: FakeCamera) -> None:
    fake.grabs_before_hang = 20
    camera = _camera(fake, stall_s=0.1)
    camera.open()
    until_s = time.perf_counter() + 2
    while time.perf_counter() < until_s:
        try:
            camera.read()
        except SourceStalled:
            continue
    hanging = [thread for thread in threading.enumerate() if thread.name == "camera-reader"]
    camera.close()
    fake.hang_over.set()
    for thread in hanging:
        thread.join(3)
    assert 1 <= len(hanging) <= 2


def test_an_unplugged_camera_is_found_again_under_its_id_at_another_node(fake: FakeCamera) -> None:
    camera = _camera(fake, fake.id, stall_s=0.3)
    camera.open()
    before = _read_for(camera, 0.2)
    fake.plugged = False
    told, _ = _read_until_stalled(camera)
    fake.index = 3
    fake.plugged = True
    after = _read_for(camera, 2.0)
    facts = camera.facts()
    camera.close()

    assert told.retry
    assert len(after) > 20 and after[0].t_s > before[-1].t_s
    assert fake.opened[-1].index == 3
    assert any("opened again" in str(note) for note in facts.notes)


def test_a_single_failed_grab_is_no_reason_to_open_again(fake: FakeCamera) -> None:
    camera = _camera(fake)
    camera.open()
    fake.slow_to_wake = 1
    assert len(_read_for(camera, 0.4)) > 10
    camera.close()
    assert len(fake.opened) == 1


def _holds(camera: Camera) -> tuple[Hold, Hold]:
    return camera.controls().exposure, camera.controls().white_balance


def test_exposure_and_white_balance_are_held_after_a_while_and_given_back(fake: FakeCamera) -> None:
    camera = _camera(fake, lock_after_s=0.2)
    camera.open()
    assert camera.controls().exposure is Hold.PENDING
    _read_until(camera, lambda: Hold.PENDING not in _holds(camera))
    held = dict(fake.values)
    facts = camera.facts()
    camera.close()

    assert held[cv2.CAP_PROP_AUTO_EXPOSURE] == 1.0 and held[cv2.CAP_PROP_EXPOSURE] == 157.0
    assert held[cv2.CAP_PROP_AUTO_WB] == 0.0 and held[cv2.CAP_PROP_WB_TEMPERATURE] == 4600.0
    assert {"Exposure locked.", "White balance locked."} <= set(map(str, facts.notes))
    assert fake.values[cv2.CAP_PROP_AUTO_EXPOSURE] == 3.0 and fake.values[cv2.CAP_PROP_AUTO_WB] == 1.0


@pytest.mark.parametrize(
    ("answer", "hold", "words"),
    [
        (False, Hold.REFUSED, "could not be locked: the driver refused"),
        (None, Hold.ABSENT, "could not be locked: the driver has no such control"),
    ],
)
def test_a_driver_that_does_not_hold_still_is_said(
    fake: FakeCamera, answer: bool | None, hold: Hold, words: str
) -> None:
    fake.locks_exposure = fake.locks_white_balance = answer
    camera = _camera(fake, lock_after_s=0.1)
    camera.open()
    _read_until(camera, lambda: Hold.PENDING not in _holds(camera))
    facts, controls = camera.facts(), camera.controls()
    camera.close()
    assert (controls.exposure, controls.white_balance) == (hold, hold)
    assert sum(words in str(note) for note in facts.notes) == 2


def test_a_driver_that_jumps_to_another_exposure_gets_its_regulation_back(fake: FakeCamera) -> None:
    fake.jumps_when_locked = 0.4
    camera = _camera(fake, lock_after_s=0.1)
    camera.open()
    _read_until(camera, lambda: camera.controls().exposure is Hold.REFUSED)
    facts, controls = camera.facts(), camera.controls()
    last = _read_for(camera, 0.1)[-1]
    camera.close()
    assert controls.exposure is Hold.REFUSED
    assert any("changed its brightness" in str(note) for note in facts.notes)
    assert last.image.mean() == pytest.approx(100, abs=5)


def test_dim_light_that_halves_the_rate_is_measured_and_said(fake: FakeCamera) -> None:
    fake.fps["YUYV"] = 15.0
    camera = _camera(fake, lock_after_s=0.1)
    examination = examine(camera, seconds=2.2)
    assert examination.fps == pytest.approx(15, abs=1.5)
    assert examination.facts.header_fps == 30.0
    assert examination.controls.exposure is Hold.HELD
    assert any("dim light" in str(note) for note in examination.facts.notes)


def test_a_reader_who_is_late_misses_old_pictures_and_hears_how_many(fake: FakeCamera) -> None:
    camera = _camera(fake)
    camera.open()
    assert camera.read() is not None
    time.sleep(0.5)
    frame = camera.read()
    facts = camera.facts()
    camera.close()
    assert frame is not None and time.perf_counter() - frame.t_s < 0.45
    assert any("dropped" in str(note) for note in facts.notes)


def test_a_camera_that_sends_pictures_of_a_few_pixels_is_the_environments_fault(fake: FakeCamera) -> None:
    fake.size_px = (16, 15)
    assert "16×15" in _refused(_camera(fake)).title


@pytest.mark.parametrize("after", [0, 20])
def test_a_bug_in_the_thread_that_grabs_is_raised_where_frames_are_read(fake: FakeCamera, after: int) -> None:
    def capture(found: FoundCamera) -> FakeCapture:
        made = fake.capture(found)
        grab = made.grab
        grabs = iter(range(1000))

        def broken() -> bool:
            if next(grabs) == after:
                raise ZeroDivisionError
            return grab()

        made.grab = broken  # type: ignore[method-assign]
        return made

    camera = Camera(capture=capture, list_cameras=fake.listed)

    def use() -> None:
        camera.open()
        while camera.read() is not None:
            pass

    with pytest.raises(ZeroDivisionError):
        use()
    camera.close()


def test_a_camera_closed_while_it_opens_is_no_camera_of_no_size(fake: FakeCamera) -> None:
    fake.black = True
    camera = _camera(fake)
    closer = threading.Timer(0.3, camera.close)
    closer.start()
    assert "closed before" in _refused(camera).title
    closer.join()


def test_a_silence_of_the_camera_is_said_within_two_seconds(fake: FakeCamera) -> None:
    fake.grabs_before_hang = 20
    camera = _camera(fake)
    camera.open()
    _, waited_s = _read_until_stalled(camera)
    if waited_s >= 1.9:  # a machine that was too busy may have time for the next silence
        _, waited_s = _read_until_stalled(camera)
    camera.close()
    fake.hang_over.set()
    _wait_until_released(fake)
    assert waited_s < 1.9


@pytest.mark.skipif(os.name != "posix", reason="device files exist on POSIX systems only")
def test_a_camera_whose_device_file_is_gone_was_unplugged(fake: FakeCamera, tmp_path: Path) -> None:
    fake.taken, fake.node = True, tmp_path / "video0"
    assert "was unplugged" in _refused(_camera(fake)).title
