from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from client.devices.camera_list import FoundCamera, find_camera, linux_cameras, programs_using, why_unusable
from client.errors import EnvironmentFault

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sysfs and device files exist on Linux only")

FOUND = (FoundCamera("usb-one", "One", 0, Path("/dev/video0")), FoundCamera("usb-two", "Two", 10, None))


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """A webcam with two nodes, one at number 10 without a stable link, and one whose node is gone."""
    for number, name, index in ((0, "HD Webcam", 0), (1, "HD Webcam", 1), (10, "Grabber", 0), (2, "Gone", 0)):
        entry = tmp_path / "sys" / f"video{number}"
        entry.mkdir(parents=True)
        (entry / "name").write_text(f"{name}\n")
        (entry / "index").write_text(f"{index}\n")
        if name != "Gone":
            (tmp_path / "dev").mkdir(exist_ok=True)
            (tmp_path / "dev" / f"video{number}").touch()
    links = tmp_path / "dev" / "v4l" / "by-id"
    links.mkdir(parents=True)
    (links / "usb-HD_Webcam_123-video-index0").symlink_to("../../video0")
    (links / "usb-HD_Webcam_123-video-index1").symlink_to("../../video1")
    return tmp_path


def test_only_nodes_that_capture_are_listed_under_stable_names_in_order(system: Path) -> None:
    found = linux_cameras(
        devices=system / "dev", classes=system / "sys", can_capture=lambda node: node.name != "video1"
    )
    assert [(camera.id, camera.name, camera.index) for camera in found] == [
        ("usb-HD_Webcam_123-video-index0", "HD Webcam", 0),
        ("video10", "Grabber", 10),
    ]


def test_a_node_that_may_not_be_asked_is_judged_by_its_place(system: Path) -> None:
    found = linux_cameras(devices=system / "dev", classes=system / "sys", can_capture=lambda _: None)
    assert [camera.index for camera in found] == [0, 10]


def test_files_that_are_no_cameras_answer_nothing(system: Path) -> None:
    # The nodes here are plain files: the real question to V4L2 fails on them and must not raise.
    assert [camera.index for camera in linux_cameras(devices=system / "dev", classes=system / "sys")] == [
        0,
        10,
    ]


def test_no_video_subsystem_is_no_camera(tmp_path: Path) -> None:
    assert linux_cameras(devices=tmp_path, classes=tmp_path / "none") == ()


@pytest.mark.parametrize(
    ("wanted", "index"), [(None, 0), ("usb-two", 10), ("10", 10), ("/dev/video10", 10), ("0", 0)]
)
def test_a_camera_is_found_by_id_number_or_node(wanted: str | None, index: int) -> None:
    assert find_camera(wanted, FOUND).index == index


@pytest.mark.parametrize("wanted", ["1", "usb", "/dev/video1", ""])
def test_what_is_not_there_is_not_guessed(wanted: str) -> None:
    with pytest.raises(EnvironmentFault, match="usb-one, usb-two"):
        find_camera(wanted, FOUND)


def test_the_program_that_holds_a_camera_is_named(tmp_path: Path) -> None:
    node = tmp_path / "video0"
    node.touch()
    for number, name, target in (
        (11, "meeting", node),
        (12, "editor", tmp_path / "other"),
        (13, "meeting", node),
    ):
        folder = tmp_path / "proc" / str(number) / "fd"
        folder.mkdir(parents=True)
        (folder.parent / "comm").write_text(f"{name}\n")
        (folder / "5").symlink_to(target)
    (tmp_path / "proc" / "14").mkdir()  # ended meanwhile

    assert programs_using(node, processes=tmp_path / "proc") == ["meeting"]
    fault = why_unusable(FoundCamera("id", "Cam", 0, node), processes=tmp_path / "proc")
    assert fault.title == "Cam is used by meeting"


def test_a_program_that_really_holds_a_file_is_found(tmp_path: Path) -> None:
    if not Path("/proc/self/fd").exists():
        pytest.skip("open files can be seen only where /proc is (Linux)")
    held = tmp_path / "video0"
    with held.open("w") as file:
        assert programs_using(held) == []  # this process itself does not count
        with subprocess.Popen(["sleep", "20"], pass_fds=[file.fileno()]) as other:
            assert programs_using(held) == ["sleep"]
            other.kill()


def test_a_camera_without_the_right_to_use_it_names_the_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = tmp_path / "video0"
    node.touch()
    monkeypatch.setattr(os, "access", lambda *_: False)
    fault = why_unusable(FoundCamera("id", "Cam", 0, node))
    assert fault.title == "You may not use Cam" and "video" in fault.remedy
