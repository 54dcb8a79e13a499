"""The contract of `client.devices.ports.FrameSource`, held to every adapter."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from client.config import assets
from client.devices.camera import Camera
from client.devices.http_mjpeg import HttpMjpeg
from client.devices.ports import FrameSource
from client.devices.simulated import Simulated
from client.devices.video_file import VideoFile
from client.errors import BadInput, EnvironmentFault, HealthHelperError
from client.ui.translations import words_of
from edge_models.types import Frame
from tests.stand_ins import clips
from tests.stand_ins.fake_camera import FakeCamera
from tests.stand_ins.mjpeg_server import Behaviour, MjpegServer, unused_port

FRAMES = 24
FPS = 60.0


@dataclass(frozen=True)
class Setting:
    """Where the sources of a test live: a folder, and what is taken down after it."""

    folder: Path
    stack: ExitStack

    def video_file(self) -> VideoFile:
        return VideoFile(clips.write_clip(self.folder / "clip.mkv", clips.pictures(FRAMES), fps=FPS))

    def simulated(self, *, paced: bool = False) -> Simulated:
        frames = (Frame(image, 3.0 + i / FPS) for i, image in enumerate(clips.pictures(FRAMES)))
        return Simulated(frames, name="simulated", header_fps=FPS, paced=paced)

    def camera(self) -> Camera:
        fake = FakeCamera()
        return Camera(capture=fake.capture, list_cameras=fake.listed)

    def http(self, behaviour: Behaviour) -> HttpMjpeg:
        pictures = [(i / FPS, jpeg) for i, jpeg in enumerate(clips.jpegs(FRAMES))]
        return HttpMjpeg(self.stack.enter_context(MjpegServer(pictures, behaviour)).url)


SOURCES: dict[str, Callable[[Setting], FrameSource]] = {
    "video file": Setting.video_file,
    "simulated": Setting.simulated,
    "simulated, paced": lambda setting: setting.simulated(paced=True),
    "camera": Setting.camera,
    "http": lambda setting: setting.http(Behaviour()),
    "http without lengths": lambda setting: setting.http(Behaviour(content_length=False)),
    "http with its own stamps": lambda setting: setting.http(Behaviour(stamps=True)),
}


def _hanging_camera(setting: Setting) -> Camera:
    fake = FakeCamera(grabs_before_hang=10)
    setting.stack.callback(fake.hang_over.set)
    return Camera(capture=fake.capture, list_cameras=fake.listed)


ENDLESS: dict[str, Callable[[Setting], FrameSource]] = {
    "camera": Setting.camera,
    "camera that hangs": _hanging_camera,
    "http that is silent": lambda setting: setting.http(Behaviour(stall_after=4, stall_s=60)),
    "simulated, hours between frames": lambda setting: Simulated(
        (Frame(image, 3600.0 * i) for i, image in enumerate(clips.pictures(2))), name="slow", paced=True
    ),
}


@pytest.fixture
def setting(tmp_path: Path) -> Iterator[Setting]:
    with ExitStack() as stack:
        yield Setting(tmp_path, stack)


@pytest.fixture(params=SOURCES.values(), ids=tuple(SOURCES))
def source(request: pytest.FixtureRequest, setting: Setting) -> Iterator[FrameSource]:
    made: FrameSource = request.param(setting)
    yield made
    made.close()


def _read(source: FrameSource, most: int = FRAMES) -> list[Frame]:
    frames: list[Frame] = []
    while len(frames) < most and (frame := source.read()) is not None:
        frames.append(frame)
    return frames


def test_a_source_opens_reads_and_closes(source: FrameSource) -> None:
    facts = source.open()
    frames = _read(source)
    source.close()

    assert len(frames) >= FRAMES - 2  # a live source may have dropped one, a file never
    assert facts.live or len(frames) == FRAMES
    assert facts.name and "/" not in facts.name
    assert {frame.image.shape for frame in frames} == {(facts.height_px, facts.width_px, 3)}


def test_times_increase_strictly_and_are_seconds(source: FrameSource) -> None:
    source.open()
    times = np.array([frame.t_s for frame in _read(source)])

    assert np.all(np.diff(times) > 0)
    assert 0.2 < times[-1] - times[0] < 2.0  # 24 frames at 60 or 100 per second, on a busy machine


def test_pictures_are_bgr_bytes_that_nobody_can_write_to(source: FrameSource) -> None:
    source.open()
    for frame in _read(source, 5):
        assert frame.image.dtype == np.uint8 and frame.image.ndim == 3
        with pytest.raises(ValueError, match="read-only"):
            frame.image[0, 0] = 0


def test_frames_kept_by_the_reader_do_not_change_afterwards(source: FrameSource) -> None:
    source.open()
    first = source.read()
    assert first is not None
    copy = first.image.copy()
    _read(source, 5)
    assert np.array_equal(first.image, copy)


def test_facts_are_there_before_during_and_after(source: FrameSource) -> None:
    before = source.facts()
    opened = source.open()
    _read(source, 3)
    during = source.facts()
    source.close()
    after = source.facts()

    assert before.live == opened.live == during.live == after.live
    assert before.simulated == opened.simulated == after.simulated
    assert opened.name == during.name == after.name


@pytest.mark.parametrize("code", ["es", "ar"])
def test_what_it_remarks_can_be_said_in_every_language(source: FrameSource, code: str) -> None:
    known = words_of(assets().joinpath("i18n", f"{code}.ts"))
    source.open()
    _read(source)
    for note in source.facts().notes:
        assert note.text in known, note


def test_close_may_come_twice_and_before_open(source: FrameSource) -> None:
    source.close()
    source.close()


def test_close_may_come_twice_after_reading(source: FrameSource) -> None:
    source.open()
    _read(source, 2)
    source.close()
    source.close()


def test_read_after_close_gives_none(source: FrameSource) -> None:
    source.open()
    _read(source, 2)
    source.close()
    assert source.read() is None
    assert source.read() is None


def test_read_before_open_is_our_own_bug(source: FrameSource) -> None:
    with pytest.raises(RuntimeError):
        source.read()


def test_the_end_stays_the_end(source: FrameSource) -> None:
    if source.open().live and isinstance(source, Camera):
        source.close()  # a camera has no other end
    _read(source, 10 * FRAMES)
    assert source.read() is None
    assert source.read() is None


def _threads_of_adapters() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.endswith("-reader")]


@pytest.mark.parametrize(
    ("make", "hangs"), [(make, "hangs" in name) for name, make in ENDLESS.items()], ids=tuple(ENDLESS)
)
def test_close_from_another_thread_ends_a_read_at_once(
    make: Callable[[Setting], FrameSource], setting: Setting, *, hangs: bool
) -> None:
    source = make(setting)
    source.open()
    got: list[Frame | None] = []

    def read_to_the_end() -> None:
        while True:
            got.append(source.read())
            if got[-1] is None:
                return

    reader = threading.Thread(target=read_to_the_end, name="test-reader")
    reader.start()
    time.sleep(0.3)
    began_s = time.perf_counter()
    source.close()
    reader.join(3)
    assert not reader.is_alive()
    assert time.perf_counter() - began_s < 1.5
    assert got[-1] is None
    # Only a thread inside a driver that hangs cannot be woken.
    assert hangs or not _threads_of_adapters()


def test_a_file_closed_while_another_thread_decodes_does_not_crash(setting: Setting) -> None:
    source = setting.video_file()
    source.open()
    reader = threading.Thread(target=lambda: _read(source, 10 * FRAMES), name="test-reader")
    reader.start()
    source.close()
    reader.join(3)
    assert not reader.is_alive() and source.read() is None


def _open_files() -> set[str]:
    if not Path("/proc/self/fd").exists():
        pytest.skip("open files can be counted only where /proc is (Linux)")
    gc.collect()
    files = set()
    for entry in os.listdir("/proc/self/fd"):  # noqa: PTH208 (only names are wanted; most are no files)
        try:
            files.add(entry + " " + os.readlink(f"/proc/self/fd/{entry}"))  # noqa: PTH115
        except OSError:
            continue
    return files


def test_nothing_stays_open_after_a_life(source: FrameSource, setting: Setting) -> None:
    before = _open_files()
    source.open()
    _read(source, 5)
    source.close()
    assert not _threads_of_adapters()
    setting.stack.close()
    assert _open_files() <= before


def _text_file(setting: Setting) -> FrameSource:
    path = setting.folder / "clip.mp4"
    path.write_text("this is not a video\n" * 100)
    return VideoFile(path)


def _camera(fake: FakeCamera) -> FrameSource:
    return Camera(capture=fake.capture, list_cameras=fake.listed, open_s=0.4)


BROKEN: dict[str, tuple[type[HealthHelperError], Callable[[Setting], FrameSource]]] = {
    "missing file": (BadInput, lambda setting: VideoFile(setting.folder / "none.mp4")),
    "text file": (BadInput, _text_file),
    "simulation of nothing": (BadInput, lambda _: Simulated([], name="nothing")),
    "no camera": (EnvironmentFault, lambda _: _camera(FakeCamera(plugged=False))),
    "camera taken": (EnvironmentFault, lambda _: _camera(FakeCamera(taken=True))),
    "camera black": (EnvironmentFault, lambda _: _camera(FakeCamera(black=True))),
    "camera that never wakes": (EnvironmentFault, lambda _: _camera(FakeCamera(slow_to_wake=10**6))),
    "http refused": (EnvironmentFault, lambda _: HttpMjpeg(f"http://127.0.0.1:{unused_port()}/")),
    "http 404": (BadInput, lambda setting: setting.http(Behaviour(status=404))),
    "http page": (BadInput, lambda setting: setting.http(Behaviour(content_type="text/html"))),
    "http rubbish": (BadInput, lambda setting: setting.http(Behaviour(rubbish_every=1))),
}


@pytest.mark.parametrize(("kind", "make"), BROKEN.values(), ids=BROKEN.keys())
def test_a_failed_open_says_what_to_do_and_leaves_nothing_open(
    kind: type[HealthHelperError], make: Callable[[Setting], FrameSource], setting: Setting
) -> None:
    source = make(setting)
    before = _open_files()
    with pytest.raises(kind) as told:
        source.open()
    assert told.value.title and not told.value.title.endswith(".")
    assert told.value.remedy.endswith(".")
    assert not _threads_of_adapters()
    setting.stack.close()
    assert _open_files() <= before
    source.close()
