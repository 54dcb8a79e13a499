from __future__ import annotations

import functools
import io
import os
import subprocess
import sys
import tempfile
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.devices import mp4
from client.devices.ports import SourceFacts
from client.devices.video_file import VideoFile, _ContainerTimes
from client.errors import BadInput
from edge_models.types import ByteArray, Frame, Reason
from tests.stand_ins import clips


def _replay(path: Path) -> tuple[list[Frame], SourceFacts]:
    source = VideoFile(path)
    try:
        source.open()
        frames = []
        while (frame := source.read()) is not None:
            frames.append(frame)
        return frames, source.facts()
    finally:
        source.close()


def _times(frames: list[Frame]) -> ByteArray:
    return np.array([frame.t_s for frame in frames])


def _refused(path: Path) -> BadInput:
    source = VideoFile(path)
    with pytest.raises(BadInput) as told:
        source.open()
    return told.value


def test_a_lossless_clip_comes_back_bit_for_bit(tmp_path: Path) -> None:
    images = clips.pictures(20)
    frames, facts = _replay(clips.write_clip(tmp_path / "clip.mkv", images, fps=30))

    assert all(np.array_equal(frame.image, image) for frame, image in zip(frames, images, strict=True))
    assert facts == SourceFacts("clip.mkv", False, False, 30.0, 160, 120)


def test_a_variable_rate_is_replayed_with_the_containers_own_times(tmp_path: Path) -> None:
    given = [i / 30 if i < 30 else 1 + (i - 30) / 15 for i in range(60)]
    path = clips.write_timed_clip(tmp_path / "clip.mkv", clips.pictures(60), given, header_fps=30)
    frames, facts = _replay(path)

    assert _times(frames) == pytest.approx(given, abs=6e-4)  # Matroska rounds to milliseconds
    assert facts.warnings == ()  # 30 is the rate aimed at; the times show where it was missed


@pytest.mark.parametrize("true_fps", [15.0, 24.0, 29.0, 60.0])
def test_a_header_whose_rate_the_times_contradict_is_said_and_the_times_are_used(
    tmp_path: Path, true_fps: float
) -> None:
    given = [i / true_fps for i in range(60)]
    path = clips.write_timed_clip(tmp_path / "clip.mkv", clips.pictures(60), given, header_fps=30)
    frames, facts = _replay(path)

    assert _times(frames) == pytest.approx(given, abs=6e-4)
    assert facts.header_fps == 30.0
    assert facts.warnings == ()
    assert "30.00" in str(facts.notes[0]) and f"{true_fps:.2f}"[:3] in str(facts.notes[0])


@pytest.mark.parametrize("true_fps", [29.8, 30.0, 30.3])
def test_a_header_that_is_only_rounded_is_trusted(tmp_path: Path, true_fps: float) -> None:
    path = clips.write_timed_clip(
        tmp_path / "clip.mkv", clips.pictures(60), [i / true_fps for i in range(60)], header_fps=30
    )
    assert _replay(path)[1].warnings == ()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([0.0] * 40, [i / 30 for i in range(40)]),
        (
            [i / 30 if i < 20 else (i - 20) / 15 for i in range(40)],
            [i / 30 if i < 20 else 20 / 30 + (i - 20) / 15 for i in range(40)],
        ),
        ([i / 30 - (i == 17) / 30 for i in range(40)], [i / 30 for i in range(40)]),
        ([i / 30 + 1e5 * (i >= 20) for i in range(40)], [i / 30 for i in range(40)]),
        (
            [i / 30 + 1e5 * (10 <= i < 20) - 0.5 * (i >= 30) for i in range(40)],
            [i / 30 for i in range(40)],
        ),
    ],
    ids=["no times at all", "the clock starts again", "one time twice", "ahead by hours", "to and fro"],
)
def test_times_that_do_not_increase_are_repaired_and_said(
    tmp_path: Path, given: list[float], expected: list[float]
) -> None:
    path = clips.write_timed_clip(tmp_path / "clip.mkv", clips.pictures(40), given, header_fps=30)
    frames, facts = _replay(path)

    assert len(frames) == 40
    assert np.all(np.diff(_times(frames)) > 0)
    assert _times(frames) == pytest.approx(expected, abs=0.035)
    assert facts.warnings == (Reason.FRAME_RATE_UNTRUSTED,)
    assert facts.notes


def test_a_pause_within_a_file_is_a_pause(tmp_path: Path) -> None:
    given = [i / 30 + 59 * (i >= 20) for i in range(40)]
    path = clips.write_timed_clip(tmp_path / "clip.mkv", clips.pictures(40), given, header_fps=30)
    frames, facts = _replay(path)
    assert _times(frames) == pytest.approx(given, abs=6e-4)
    assert facts.warnings == ()


@pytest.mark.parametrize(("size_px", "refused"), [((16, 16), False), ((14, 64), True), ((64, 14), True)])
def test_pictures_of_a_few_pixels_are_bad_input(
    tmp_path: Path, size_px: tuple[int, int], *, refused: bool
) -> None:
    path = clips.write_clip(tmp_path / "clip.mkv", clips.pictures(3, size_px), fps=30)
    if refused:
        assert f"{size_px[0]}×{size_px[1]} pixels" in _refused(path).title
    else:
        assert len(_replay(path)[0]) == 3


def _opened(path: Path) -> SourceFacts:
    source = VideoFile(path)
    facts = source.open()
    source.close()
    return facts


@pytest.mark.parametrize(
    ("hidden", "distrusted"), [(0.0, False), (0.015, False), (0.03, True), (0.5, True), (-0.5, True)]
)
def test_an_mp4_whose_edit_list_does_not_show_what_was_recorded_is_distrusted_from_the_start(
    tmp_path: Path, hidden: float, *, distrusted: bool
) -> None:
    path = clips.write_clip(tmp_path / "clip.mp4", clips.pictures(60), fps=30, codec="mp4v")
    facts = _opened(clips.show_only(path, 1 - hidden))
    assert facts.warnings == ((Reason.FRAME_RATE_UNTRUSTED,) if distrusted else ())
    assert len(facts.notes) == distrusted


def test_an_mp4_whose_header_and_table_of_times_disagree_is_distrusted_from_the_start(tmp_path: Path) -> None:
    path = clips.write_clip(tmp_path / "clip.mp4", clips.pictures(60), fps=30, codec="mp4v")
    data = bytearray(path.read_bytes())
    at = data.find(b"stts") + 4 + 12  # version and flags, entries, frames of the first; then their length
    data[at : at + 4] = (2 * int.from_bytes(data[at : at + 4], "big")).to_bytes(4, "big")
    path.write_bytes(data)
    assert _opened(path).warnings == (Reason.FRAME_RATE_UNTRUSTED,)


@settings(max_examples=200)
@given(data=st.data())
def test_a_table_of_contents_with_any_bytes_in_it_is_looked_at_without_a_bug(data: st.DataObject) -> None:
    contents = bytearray(_contents())
    for at in data.draw(st.lists(st.integers(0, len(contents) - 1), max_size=8)):
        contents[at] = data.draw(st.sampled_from([0, 1, 127, 255]))
    cut = data.draw(st.integers(0, len(contents)))
    mp4.look_at(io.BytesIO(bytes(contents[:cut])), cut)


@functools.cache
def _contents() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = clips.write_clip(Path(folder) / "clip.mp4", clips.pictures(5), fps=30, codec="mp4v")
        data = path.read_bytes()
    return data[data.find(b"moov") - 4 :]


def test_without_times_and_without_a_rate_no_time_is_invented() -> None:
    times = _ContainerTimes(header_fps=None)
    assert times.next(0.0) == 0.0
    assert times.next(0.0) is None
    assert times.next(float("nan")) is None


@pytest.mark.parametrize(("listed", "distrusted"), [(60, False), (61, False), (66, True), (54, True)])
def test_a_header_that_lists_other_frames_than_there_are_is_distrusted(
    tmp_path: Path, listed: int, distrusted: bool
) -> None:
    path = clips.claim_frames(clips.write_clip(tmp_path / "clip.avi", clips.pictures(60), fps=30), listed)
    frames, facts = _replay(path)

    assert len(frames) == 60
    assert (Reason.FRAME_RATE_UNTRUSTED in facts.warnings) == distrusted


def test_pictures_repeated_to_reach_a_rate_are_said(tmp_path: Path) -> None:
    filmed = clips.pictures(40)
    shown = [filmed[int(i * 30 / 50)] for i in range(66)]
    facts = _replay(clips.write_clip(tmp_path / "clip.mkv", shown, fps=50))[1]

    assert facts.warnings == ()
    assert "40 %" in str(facts.notes[0]) or "41 %" in str(facts.notes[0])


def test_a_still_photograph_does_not_count_as_repeated_pictures(tmp_path: Path) -> None:
    facts = _replay(clips.write_clip(tmp_path / "clip.mkv", clips.pictures(1) * 60, fps=30))[1]
    assert facts.warnings == ()


def test_an_avi_says_that_it_has_no_time_per_frame(tmp_path: Path) -> None:
    facts = _replay(clips.write_clip(tmp_path / "clip.avi", clips.pictures(40), fps=30))[1]
    assert facts.warnings == () and "AVI" in str(facts.notes[0])


@pytest.mark.parametrize(("degrees", "red_at"), [(0, (0, 0)), (90, (0, -1)), (180, (-1, -1)), (270, (-1, 0))])
def test_a_phones_clip_comes_upright(tmp_path: Path, degrees: int, red_at: tuple[int, int]) -> None:
    path = clips.write_clip(tmp_path / "clip.mp4", clips.pictures(5), fps=30, codec="mp4v")
    source = VideoFile(clips.rotate(path, degrees))
    facts = source.open()
    frame = source.read()
    source.close()

    assert frame is not None
    assert frame.image.shape[:2] == ((120, 160) if degrees in (0, 180) else (160, 120))
    assert (facts.height_px, facts.width_px) == frame.image.shape[:2]
    row, column = (8 if at == 0 else -8 for at in red_at)
    blue, green, red = (int(channel) for channel in frame.image[row, column])
    assert red > 150 and blue < 50 and green < 50


@pytest.mark.parametrize("container", ["mkv", "avi"])
def test_of_a_clip_that_breaks_off_what_is_there_is_read_and_the_cut_is_said(
    tmp_path: Path, container: str
) -> None:
    path = clips.cut(clips.write_clip(tmp_path / f"clip.{container}", clips.pictures(60), fps=30), 0.5)
    frames, facts = _replay(path)

    assert 20 < len(frames) < 40
    assert any("breaks off" in str(note) for note in facts.notes)
    assert facts.warnings == ()  # the frames that are there have their right times


def test_a_black_clip_is_a_video_too(tmp_path: Path) -> None:
    frames, facts = _replay(
        clips.write_clip(tmp_path / "clip.mkv", [np.zeros((120, 160, 3), np.uint8)] * 10, fps=30)
    )
    assert len(frames) == 10 and facts.width_px == 160


def test_what_is_no_video_is_refused_with_its_kind_and_a_remedy(tmp_path: Path) -> None:
    clip = clips.write_clip(tmp_path / "good.mp4", clips.pictures(10), fps=30, codec="mp4v")
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("hello, this is no video\n" * 50)
    (tmp_path / "film.txt").write_text("FFmpeg would play this as a terminal film\n" * 50)
    (tmp_path / "list.m3u8").write_text(f"#EXTM3U\n#EXTINF:2,\n{clip}\n#EXT-X-ENDLIST\n")
    (tmp_path / "photo.mp4").write_bytes(clips.jpegs(1)[0])
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(50_000))
    (tmp_path / "cut.mp4").write_bytes(clip.read_bytes()[:400])
    clips.make_sound_only(clips.write_clip(tmp_path / "sound.mp4", clips.pictures(10), fps=30, codec="mp4v"))
    with wave.open(str(tmp_path / "sound.wav"), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(8000))
    expected = {
        "none.mp4": "does not exist",
        "folder.mp4": "is a folder",
        "empty.mp4": "is empty",
        "text.mp4": "text file",
        "film.txt": "text file",
        "list.m3u8": "text file",
        "photo.mp4": "still picture",
        "noise.mp4": "not a video",
        "cut.mp4": "breaks off",
        "sound.mp4": "sound but no picture",
        "sound.wav": "sound only",
    }
    for name, words in expected.items():
        told = _refused(tmp_path / name)
        assert words in told.title and told.title.startswith(name), told
        assert told.remedy.endswith(".") and str(tmp_path) not in str(told)


def test_a_container_whose_frames_are_all_rubbish_is_refused(tmp_path: Path) -> None:
    path = clips.write_clip(tmp_path / "clip.mp4", clips.pictures(5), fps=10, codec="mp4v")
    data = bytearray(path.read_bytes())
    start = data.find(b"mdat") + 4
    end = start - 8 + int.from_bytes(data[start - 8 : start - 4], "big")
    data[start:end] = bytes(end - start)
    path.write_bytes(data)
    assert _refused(path).title == "clip.mp4 holds no frame that can be decoded"


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="file rights of this kind exist on POSIX systems only")
def test_a_file_without_the_right_to_read_it_is_refused(tmp_path: Path) -> None:
    path = clips.write_clip(tmp_path / "clip.mkv", clips.pictures(3), fps=30)
    path.chmod(0)
    with _as_nobody():
        told = _refused(path)
    assert "may not be read" in told.title


@contextmanager
def _as_nobody() -> Iterator[None]:
    """Root may read everything, so it steps down; anybody else is somebody who may not, already."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_damaged_files_leave_standard_error_and_output_empty(tmp_path: Path) -> None:
    damaged = clips.cut(clips.write_clip(tmp_path / "cut.mkv", clips.pictures(40), fps=30), 0.5)
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(50_000))
    program = (
        "import sys; from pathlib import Path; from client.devices.video_file import VideoFile\n"
        "from client.errors import BadInput\n"
        "for name in sys.argv[1:]:\n"
        "    source = VideoFile(Path(name))\n"
        "    try:\n"
        "        source.open()\n"
        "        while source.read(): pass\n"
        "    except BadInput: pass\n"
        "    source.close()\n"
    )
    root = Path(__file__).parents[3]
    ran = subprocess.run(
        [sys.executable, "-c", program, str(damaged), str(tmp_path / "noise.mp4")],
        capture_output=True,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        check=True,
    )
    assert (ran.stdout, ran.stderr) == ("", "")


@pytest.mark.parametrize("size_px, several", [((640, 480), False), ((1280, 720), True)])
def test_only_large_pictures_are_decoded_by_several_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size_px: tuple[int, int], several: bool
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    source = VideoFile(clips.write_clip(tmp_path / "clip.mkv", clips.pictures(3, size_px), fps=30))
    try:
        source.open()
        assert source._capture is not None
        assert source._capture.get(cv2.CAP_PROP_N_THREADS) == (3 if several else 1)
        count = 0
        while source.read() is not None:
            count += 1
        assert count == 3  # none was lost to the look at the size
    finally:
        source.close()


def test_a_4k_clip_needs_little_memory(tmp_path: Path) -> None:
    path = clips.write_clip(
        tmp_path / "clip.mp4", [np.full((2160, 3840, 3), 90, np.uint8)] * 12, fps=30, codec="mp4v"
    )
    program = (
        "import resource, sys; from pathlib import Path; from client.devices.video_file import VideoFile\n"
        "source = VideoFile(Path(sys.argv[1])); source.open()\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "count = 0\n"
        "while (frame := source.read()) is not None:\n"
        "    assert frame.image.shape == (2160, 3840, 3); count += 1\n"
        "print(count, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)\n"
    )
    if sys.platform == "win32":
        pytest.skip("the peak memory of a process is asked for with getrusage, which Windows lacks")
    root = Path(__file__).parents[3]
    ran = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        capture_output=True,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        check=True,
    )
    count, grown_mb = (int(number) for number in ran.stdout.split())
    assert count == 12
    assert grown_mb < 150  # a picture is 25 MB: two or three at a time, not twelve


def test_the_real_clip_of_a_face_is_trusted(shared_data: Callable[[str], Path]) -> None:
    frames, facts = _replay(shared_data("face-clips/evm-face-53bpm.mp4"))
    assert len(frames) == 301 and facts.warnings == () and facts.notes == ()
    assert frames[-1].t_s - frames[0].t_s == pytest.approx(10.0, abs=0.01)


@pytest.mark.parametrize(("name", "listed", "shown"), [("100", 459, 409), ("25", 595, 545)])
def test_the_desk_light_clips_are_distrusted_for_what_their_header_lists(
    shared_data: Callable[[str], Path], name: str, listed: int, shown: int
) -> None:
    opened = _opened(shared_data(f"face-clips/desk-light-{name}.mp4"))
    assert opened.warnings == (Reason.FRAME_RATE_UNTRUSTED,)
    assert f"lists {listed} frames" in str(opened.notes[0]) and "cut or re-timed" in str(opened.notes[0])
    frames, facts = _replay(shared_data(f"face-clips/desk-light-{name}.mp4"))
    assert len(frames) == shown
    assert facts.header_fps == 50.0
    assert facts.warnings == (Reason.FRAME_RATE_UNTRUSTED,)
    assert f"lists {listed} frames, {shown} can be shown" in str(facts.notes[0])


def test_a_name_that_is_not_utf_8_is_bad_input_and_no_crash(tmp_path: Path) -> None:
    good = clips.write_clip(tmp_path / "clip.avi", clips.pictures(10), fps=30)
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/lat\xe4.avi"))
    path.write_bytes(good.read_bytes())
    with pytest.raises(BadInput, match="UTF-8") as caught:
        VideoFile(path).open()
    caught.value.title.encode("utf-8")  # can be printed


def test_a_name_beyond_ascii_opens_where_python_believes_in_ascii(tmp_path: Path) -> None:
    path = tmp_path / "Gesicht ä 1.avi"
    path.write_bytes(clips.write_clip(tmp_path / "clip.avi", clips.pictures(10), fps=30).read_bytes())
    code = (
        "import sys, pathlib; from client.devices.video_file import VideoFile; "
        "source = VideoFile(pathlib.Path(sys.argv[1])); source.open(); source.close()"
    )
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], env=environment, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
