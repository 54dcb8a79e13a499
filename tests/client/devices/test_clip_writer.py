"""Simulated frames written as a file come back as they were: all of them, at their times, in their colours."""

from __future__ import annotations

import shutil
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from client.devices.clip_writer import write_clip
from client.devices.ports import Codec, Compression
from client.devices.video_file import VideoFile
from client.errors import EnvironmentFault
from edge_models.types import Frame
from tests.stand_ins.clips import pictures


def frames(count: int) -> list[Frame]:
    return [Frame(image, index / 25) for index, image in enumerate(pictures(count))]


@pytest.fixture
def ffmpeg(monkeypatch: pytest.MonkeyPatch) -> str:
    """The program, wherever this machine has none of its own."""
    program = str(imageio_ffmpeg.get_ffmpeg_exe())
    monkeypatch.setattr(shutil, "which", lambda _: program)
    return program


@pytest.mark.parametrize("has_program", [True, False])
def test_every_frame_comes_back_at_its_time_and_in_its_colour(
    has_program: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ffmpeg: str
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: ffmpeg if has_program else None)
    path = write_clip(tmp_path, frames(40), 25.0)
    assert path.name == ("clip.mp4" if has_program else "clip.avi")
    read = read_back(path)
    assert [frame.t_s - read[0].t_s for frame in read] == pytest.approx([k / 25 for k in range(40)], abs=1e-3)
    for frame in (read[0], read[-1]):
        assert frame.image[5:50, 5:70].mean(axis=(0, 1)) == pytest.approx((0, 0, 200), abs=6)


def read_back(path: Path) -> list[Frame]:
    source = VideoFile(path)
    source.open()
    read = []
    while (frame := source.read()) is not None:
        read.append(frame)
    source.close()
    return read


@pytest.mark.usefixtures("ffmpeg")
@pytest.mark.parametrize("codec", Codec)
def test_uneven_times_are_kept_in_every_codec(codec: Codec, tmp_path: Path) -> None:
    times_s = [k / 25 + 0.011 * (k % 3) + 0.2 * (k >= 150) for k in range(200)]
    made = (Frame(image, t_s) for image, t_s in zip(pictures(200), times_s, strict=True))
    read = read_back(write_clip(tmp_path, made, 25.0, Compression(codec, 5)))
    assert [frame.t_s - read[0].t_s for frame in read] == pytest.approx(times_s, abs=1.1e-3)
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mkv" if codec is Codec.MJPEG else "clip.mp4"]


@pytest.mark.usefixtures("ffmpeg")
@pytest.mark.parametrize(
    ("codec", "fine", "coarse"), [(Codec.H264, 18, 38), (Codec.MPEG4, 2, 20), (Codec.MJPEG, 2, 20)]
)
def test_a_coarser_level_is_a_smaller_file(codec: Codec, fine: float, coarse: float, tmp_path: Path) -> None:
    sizes = []
    for level in (fine, coarse):
        folder = tmp_path / f"{level}"
        folder.mkdir()
        noise = np.random.default_rng(1).integers(0, 255, (30, 96, 128, 3), dtype=np.uint8)
        made = [Frame(image, k / 30) for k, image in enumerate(noise)]
        sizes.append(write_clip(folder, made, 30.0, Compression(codec, level)).stat().st_size)
    assert sizes[1] < 0.7 * sizes[0]


def test_a_compression_that_needs_a_missing_program_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(EnvironmentFault, match="need the program ffmpeg"):
        write_clip(tmp_path, frames(3), 25.0, Compression(Codec.H264, 23))


@pytest.mark.parametrize("program", ["/bin/false", None])
def test_a_clip_that_cannot_be_written_is_told(
    program: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: program)
    with pytest.raises(EnvironmentFault, match="could not be written"):
        write_clip(tmp_path / "no-such-folder", frames(200), 25.0)


def test_no_frames_make_no_clip(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no frames"):
        write_clip(tmp_path, [], 25.0)
