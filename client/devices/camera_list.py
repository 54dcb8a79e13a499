"""Which cameras there are, under names that survive a replug, and why one of them cannot be used.

Linux is asked through sysfs and V4L2 itself. On Windows and macOS OpenCV knows only numbers, so those are
tried one by one (not tried on real machines of these systems yet).
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from client.errors import EnvironmentFault
from client.language import listing, said

_QUERY_CAPABILITIES = 0x80685600
"""VIDIOC_QUERYCAP of linux/videodev2.h: _IOR('V', 0, struct v4l2_capability of 104 bytes)."""
_CAPABILITY = struct.Struct("16s32s32s3I12x")
_HAS_DEVICE_CAPABILITIES = 0x80000000
_CAPTURES_VIDEO = 0x00000001
_NUMBERS_TO_TRY = 5


@dataclass(frozen=True, slots=True)
class FoundCamera:
    """A camera of this machine.

    id: what `--camera` takes; the same after a replug and a restart where the system can tell.
    name: as its maker calls it. index: OpenCV's number. node: its device file (Linux), or None.
    """

    id: str
    name: str
    index: int
    node: Path | None = None


def cameras() -> tuple[FoundCamera, ...]:
    """Every camera that can deliver pictures, in the system's order."""
    return linux_cameras() if sys.platform == "linux" else _numbered_cameras()


def linux_cameras(
    *,
    devices: Path = Path("/dev"),
    classes: Path = Path("/sys/class/video4linux"),
    can_capture: Callable[[Path], bool | None] | None = None,
) -> tuple[FoundCamera, ...]:
    """What V4L2 lists. One webcam has several nodes (pictures, metadata); only those that capture count.

    can_capture: whether a node captures, None where it would not say (it may not be opened).
    """
    ask = can_capture or _can_capture
    links = _links(devices / "v4l" / "by-path") | _links(devices / "v4l" / "by-id")
    found = []
    for entry in sorted(classes.glob("video*"), key=lambda path: _number(path.name)):
        node = devices / entry.name
        if not node.exists():
            continue
        captures = ask(node)
        if captures is None:
            captures = _text(entry / "index") in ("0", "")  # the first node of a device is the picture's
        if captures:
            name = _text(entry / "name") or entry.name
            found.append(FoundCamera(links.get(entry.name, entry.name), name, _number(entry.name), node))
    return tuple(found)


def _links(folder: Path) -> dict[str, str]:
    """Name of the node → name of the link that stays the same."""
    if not folder.is_dir():
        return {}
    return {link.readlink().name: link.name for link in sorted(folder.iterdir()) if link.is_symlink()}


def _number(name: str) -> int:
    digits = name.removeprefix("video")
    return int(digits) if digits.isdigit() else sys.maxsize


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _can_capture(node: Path) -> bool | None:
    if sys.platform != "linux":
        return None
    import fcntl

    answer = bytearray(_CAPABILITY.size)
    try:
        descriptor = os.open(node, os.O_RDWR | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        fcntl.ioctl(descriptor, _QUERY_CAPABILITIES, answer)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    _, _, _, _, whole, own = _CAPABILITY.unpack(bytes(answer))
    return bool((own if whole & _HAS_DEVICE_CAPABILITIES else whole) & _CAPTURES_VIDEO)


def _numbered_cameras() -> tuple[FoundCamera, ...]:
    from client.devices.opencv import prepare_opencv

    prepare_opencv()
    import cv2

    found = []
    for index in range(_NUMBERS_TO_TRY):
        capture = cv2.VideoCapture(index)
        if capture.isOpened():
            width, height = capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
            name = f"Camera {index} ({width:.0f}×{height:.0f}, {capture.getBackendName()})"
            found.append(FoundCamera(str(index), name, index))
        capture.release()
    return tuple(found)


def find_camera(wanted: str | None, found: Sequence[FoundCamera]) -> FoundCamera:
    """The camera that `wanted` means: an id, a number, a device file or a link to one; None: the first.

    Raises EnvironmentFault, naming those that are there.
    """
    if not found:
        raise EnvironmentFault(
            title=said("No camera is plugged in, or the system does not show it"),
            remedy=said("Plug one in, or measure a file (--video), a stream (--url) or the demo (--demo)."),
            retry=True,
        )
    if wanted is None:
        return found[0]
    node = Path(wanted).resolve().name if wanted.startswith("/") else None
    for camera in found:
        if wanted in (camera.id, str(camera.index)) or (node is not None and node == f"video{camera.index}"):
            return camera
    raise EnvironmentFault(
        title=said("There is no camera {name}", name=wanted),
        remedy=said(
            "Choose one of: {names} (health-helper cameras).", names=listing(camera.id for camera in found)
        ),
        retry=True,
    )


def why_unusable(camera: FoundCamera, *, processes: Path = Path("/proc")) -> EnvironmentFault:
    """The sentence for a camera that is listed and cannot be opened."""
    if camera.node is not None:
        if not camera.node.exists():
            return EnvironmentFault(
                title=said("{name} was unplugged", name=camera.name),
                remedy=said("Plug it in again."),
                retry=True,
            )
        if not os.access(camera.node, os.R_OK | os.W_OK):
            return EnvironmentFault(
                title=said("You may not use {name}", name=camera.name),
                remedy=said("Allow it: sudo usermod -aG video {user}, then log in again.", user=_user()),
            )
        holders = programs_using(camera.node, processes=processes)
        if holders:
            return EnvironmentFault(
                title=said("{name} is used by {program}", name=camera.name, program=" + ".join(holders)),
                remedy=said("Close that program, then try again."),
                retry=True,
            )
    return EnvironmentFault(
        title=said("{name} cannot be opened", name=camera.name),
        remedy=said(
            "Close other programs that use it (video calls, browsers), allow this terminal to use the "
            "camera in the system's privacy settings, then plug it in again."
        ),
        retry=True,
    )


def _user() -> str:
    return os.environ.get("USER") or "$USER"


def programs_using(node: Path, *, processes: Path = Path("/proc")) -> list[str]:
    """Names of other programs that hold `node` open, as far as this user may see (Linux)."""
    names = set()
    for process in processes.glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        try:
            held = any(link.readlink() == node for link in (process / "fd").iterdir())
        except OSError:  # ended meanwhile, or not ours to look at
            continue
        if held:
            names.add(_text(process / "comm") or said("process {number}", number=process.name))
    return sorted(names)
