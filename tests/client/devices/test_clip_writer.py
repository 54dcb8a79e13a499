"""Simulated frames written as a file come back as they were: all of them, at their times, in their colours."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from client.devices.clip_writer import write_clip
from client.devices.video_file import VideoFile
from client.errors import EnvironmentFault
from edge_models.types import Frame
from tests.stand_ins.clips import pictures


def frames(count: int) -> list[Frame]:
    return [Frame(image, index / 25) for index, image in enumerate(pictures(count))]


@pytest.mark.parametrize("program", ["ffmpeg", None])
def test_every_frame_comes_back_at_its_time_and_in_its_colour(
    program: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if program and not shutil.which(program):
        pytest.skip("the program ffmpeg is not on this machine")
    if program is None:
        monkeypatch.setattr(shutil, "which", lambda _: None)
    path = write_clip(tmp_path, frames(40), 25.0)
    assert path.name == ("clip.mp4" if program else "clip.avi")
    source = VideoFile(path)
    source.open()
    read = []
    while (frame := source.read()) is not None:
        read.append(frame)
    source.close()
    assert [frame.t_s - read[0].t_s for frame in read] == pytest.approx([k / 25 for k in range(40)], abs=1e-3)
    for frame in (read[0], read[-1]):
        assert frame.image[5:50, 5:70].mean(axis=(0, 1)) == pytest.approx((0, 0, 200), abs=6)


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
