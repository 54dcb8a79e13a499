"""A camera and its driver behind cv2.VideoCapture's interface, with every trouble that drivers make."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path

import cv2
import numpy as np

from client.devices.camera_list import FoundCamera
from edge_models.types import ByteArray


class Stamps(Enum):
    """What the driver answers for CAP_PROP_POS_MSEC."""

    NONE = auto()
    MONOTONIC = auto()
    OTHER_EPOCH = auto()
    STUCK = auto()


@dataclass
class FakeCamera:
    """The device. Attributes may be changed while it is being read.

    fps: of its pictures, per pixel format. plugged: off, grabs fail and opening fails. taken: opening fails.
    black: pictures show nothing. frozen: always the same picture. hangs: grabs block until `release_hang`.
    grabs_before_hang: hang by itself after so many grabs. slow_to_wake: so many first grabs fail.
    brightness: mean grey level. locks_exposure, locks_white_balance: None: no such control. jumps_when_locked:
    the picture's brightness is multiplied by this once exposure is manual. stamps: see Stamps.
    size_px: of its pictures; None: as asked for.
    Afterwards: opened, what was asked for; values, the properties of the last handle; stamps_ms, all given.
    """

    fps: dict[str, float] = field(default_factory=lambda: {"YUYV": 100.0, "MJPG": 100.0})
    promised_fps: dict[str, float] = field(default_factory=lambda: {"YUYV": 30.0, "MJPG": 30.0})
    plugged: bool = True
    taken: bool = False
    black: bool = False
    frozen: bool = False
    hangs: bool = False
    grabs_before_hang: int | None = None
    slow_to_wake: int = 0
    brightness: float = 100.0
    locks_exposure: bool | None = True
    locks_white_balance: bool | None = True
    jumps_when_locked: float = 1.0
    stamps: Stamps = Stamps.MONOTONIC
    node: Path | None = None
    size_px: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        self.hang_over = threading.Event()
        self.opened: list[FoundCamera] = []
        self.open_captures = 0
        self.values: dict[int, float] = {}
        self.stamps_ms: list[float] = []
        self.id = "usb-fake-camera"
        self.index = 0

    def listed(self) -> tuple[FoundCamera, ...]:
        """What the system lists."""
        return (FoundCamera(self.id, "Fake camera", self.index, self.node),) if self.plugged else ()

    def capture(self, camera: FoundCamera) -> FakeCapture:
        """The factory to hand to `Camera`."""
        self.opened.append(camera)
        return FakeCapture(self)


class FakeCapture:
    """One opened handle."""

    def __init__(self, camera: FakeCamera) -> None:
        self._camera = camera
        self._open = camera.plugged and not camera.taken
        camera.open_captures += self._open
        self._grain = np.random.default_rng(0)
        self._values: dict[int, float] = {
            cv2.CAP_PROP_EXPOSURE: 157.0,
            cv2.CAP_PROP_AUTO_EXPOSURE: -1.0 if camera.locks_exposure is None else 3.0,
            cv2.CAP_PROP_AUTO_WB: -1.0 if camera.locks_white_balance is None else 1.0,
            cv2.CAP_PROP_WB_TEMPERATURE: 4600.0,
            cv2.CAP_PROP_FOURCC: float(cv2.VideoWriter.fourcc(*"MJPG")),
            cv2.CAP_PROP_FRAME_WIDTH: 1280.0,
            cv2.CAP_PROP_FRAME_HEIGHT: 720.0,
        }
        self._camera.values = self._values
        self._next_s = time.perf_counter()
        self._grabs = 0
        self._stamp_ms = 0.0

    def isOpened(self) -> bool:  # noqa: N802 (OpenCV's name)
        return self._open

    def getBackendName(self) -> str:  # noqa: N802 (OpenCV's name)
        return "V4L2"

    def _format(self) -> str:
        number = int(self._values[cv2.CAP_PROP_FOURCC])
        return bytes((number >> shift) & 0xFF for shift in (0, 8, 16, 24)).decode("latin-1")

    def grab(self) -> bool:
        camera = self._camera
        self._grabs += 1
        if camera.hangs or (camera.grabs_before_hang or 1 << 30) < self._grabs:
            camera.hang_over.wait(20)
            return False
        if not camera.plugged or not self._open:
            return False
        if camera.slow_to_wake > 0:
            camera.slow_to_wake -= 1
            return False
        now_s = time.perf_counter()
        if now_s < self._next_s:
            time.sleep(self._next_s - now_s)
        self._next_s = max(self._next_s, now_s - 0.1) + 1 / camera.fps[self._format()]
        self._stamp_ms = {
            Stamps.NONE: 0.0,
            Stamps.MONOTONIC: 1000 * time.perf_counter() - 4.0,
            Stamps.OTHER_EPOCH: 1000 * time.perf_counter() - 5e6,
            Stamps.STUCK: 1000 * time.perf_counter() - 4.0 if self._grabs < 20 else self._stamp_ms,
        }[camera.stamps]
        camera.stamps_ms.append(self._stamp_ms)
        return True

    def retrieve(self) -> tuple[bool, ByteArray]:
        camera = self._camera
        asked_for = int(self._values[cv2.CAP_PROP_FRAME_WIDTH]), int(self._values[cv2.CAP_PROP_FRAME_HEIGHT])
        width, height = camera.size_px or asked_for
        shape = height, width, 3
        if camera.black:
            return True, self._grain.integers(0, 3, shape, dtype=np.uint8)
        if camera.frozen:
            return True, np.full(shape, 77, np.uint8)
        level = camera.brightness
        if self._values[cv2.CAP_PROP_AUTO_EXPOSURE] == 1.0:
            level *= camera.jumps_when_locked
        image = np.full(shape, min(250, round(level)), np.uint8)
        image[::8, ::8] += self._grain.integers(0, 5, image[::8, ::8].shape, dtype=np.uint8)
        return True, image

    def get(self, prop: int) -> float:
        if prop == cv2.CAP_PROP_POS_MSEC:
            return self._stamp_ms
        if prop == cv2.CAP_PROP_FPS:
            return self._camera.promised_fps[self._format()]
        return self._values.get(prop, -1.0)

    def set(self, prop: int, value: float) -> bool:
        if prop == cv2.CAP_PROP_AUTO_EXPOSURE and not self._camera.locks_exposure:
            return False
        if prop == cv2.CAP_PROP_AUTO_WB and not self._camera.locks_white_balance:
            return False
        self._values[prop] = value
        return True

    def release(self) -> None:
        self._camera.open_captures -= self._open
        self._open = False
