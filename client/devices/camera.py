"""A live camera through OpenCV: V4L2 on Linux, Media Foundation or DirectShow on Windows, AVFoundation on macOS.

Only Linux's ways are known to the tests, and there through a stand-in for the driver.
"""

from __future__ import annotations

import itertools
import math
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Protocol

import numpy as np

from client.clock import Clock, SystemClock
from client.devices.camera_list import FoundCamera, find_camera, why_unusable
from client.devices.camera_list import cameras as cameras  # noqa: PLC0414 (the list belongs to the adapter)
from client.devices.opencv import MIN_SIDE_PX, coarse, is_black, prepare_opencv, sealed
from client.devices.ports import SourceFacts
from client.devices.relay import NothingCame, Relay
from client.errors import EnvironmentFault, SourceStalled
from client.language import Sentence, marked, said
from edge_models.types import ByteArray, Frame


@dataclass(frozen=True, slots=True)
class Format:
    """What a camera is asked for. codes: FourCC, the better one first; the first that reaches the rate is taken."""

    width_px: int
    height_px: int
    fps: float
    codes: tuple[str, ...]


FACE = Format(640, 480, 30.0, ("YUYV", "MJPG"))
"""A face needs no more pixels, and a pulse needs the rate and no compression."""
PAGE = Format(1920, 1080, 10.0, ("MJPG", "YUYV"))
"""Small print needs pixels, and a page that lies there needs no rate; over USB only JPEG brings so many."""
_WARM_UP_FRAMES = 5
_FAILURES_TO_REOPEN = 3
_REOPEN_EVERY_S = 1.0
_TRY_OPEN_FOR_S = 1.0
_PAUSE_S = 0.05
_FROZEN_FRAMES = 15
_JOIN_S = 1.0


class Capture(Protocol):
    """The part of cv2.VideoCapture that is used; the tests hand in one that stalls, goes dark or refuses."""

    def isOpened(self) -> bool: ...  # noqa: N802 (OpenCV's name)
    def grab(self) -> bool: ...
    def retrieve(self) -> tuple[bool, Any]: ...
    def get(self, propId: int, /) -> float: ...
    def set(self, propId: int, value: float, /) -> bool: ...
    def getBackendName(self) -> str: ...  # noqa: N802 (OpenCV's name)
    def release(self) -> None: ...


class Camera:
    """`FrameSource` over a camera.

    camera_id: see `camera_list.find_camera`; None for the first. stall_s: silence after which `read` raises
    SourceStalled; the camera is then looked for under its id and opened again, so the caller may go on
    reading. open_s: how long `open` waits for a picture that is not black. lock_after_s: when exposure and
    white balance, settled by then, are held still (a camera that regulates them moves the very colours that
    are measured). wanted: what is asked for; a camera that has it not gives what is nearest. capture, list_cameras: for tests.

    Frames carry the driver's own times where these increase and agree with the machine's monotonic clock,
    otherwise the moment of the grab; the facts say which. Copies of the last picture are dropped.
    """

    def __init__(
        self,
        camera_id: str | None = None,
        *,
        stall_s: float = 1.5,
        open_s: float = 5.0,
        lock_after_s: float = 2.0,
        wanted: Format = FACE,
        clock: Clock | None = None,
        capture: Callable[[FoundCamera], Capture] | None = None,
        list_cameras: Callable[[], Sequence[FoundCamera]] = cameras,
    ) -> None:
        self._camera_id = camera_id
        self._stall_s = stall_s
        self._open_s = open_s
        self._lock_after_s = lock_after_s
        self._wanted = wanted
        self._clock = clock or SystemClock()
        self._new_capture = capture or _new_capture
        self._list_cameras = list_cameras
        self._camera: FoundCamera | None = None
        self._reader: _Reader | None = None
        self._left_behind: _Reader | None = None
        self._waiting: Frame | None = None
        self._opened = False
        self._closed = False
        self._quiet_since_s = 0.0
        self._first_t_s: float | None = None
        self._last_t_s = -math.inf
        self._count = 0

    def open(self) -> SourceFacts:
        """Wait for a first picture that is not black. Raises EnvironmentFault; nothing stays open then."""
        self._camera = find_camera(self._camera_id, self._list_cameras())
        prepare_opencv()
        self._reader = self._start_reader()
        try:
            self._waiting = self._reader.relay.take(self._open_s)
        except NothingCame:
            fault = self._reader.why_nothing_came(self._open_s)
            self.close()
            raise fault from None
        except BaseException:
            self.close()
            raise
        if self._waiting is None:
            raise EnvironmentFault(
                title=said("{name} was closed before its first picture", name=self._camera.name),
                remedy=said("Start again."),
            )
        self._opened = True
        self._quiet_since_s = self._clock.now_s()
        return self.facts()

    def _start_reader(self) -> _Reader:
        assert self._camera is not None
        reader = _Reader(
            self._camera,
            new_capture=self._new_capture,
            list_cameras=self._list_cameras,
            clock=self._clock,
            lock_after_s=self._lock_after_s,
            wanted=self._wanted,
        )
        reader.start()
        return reader

    def read(self) -> Frame | None:
        """The next frame; None after close. Raises SourceStalled after `stall_s` without one."""
        if not self._opened or self._reader is None:
            raise RuntimeError("read before open")
        frame, self._waiting = self._waiting, None
        if frame is None:
            frame = self._next()
        else:
            self._reader.relay.count_drops()
        self._quiet_since_s = self._clock.now_s()
        if frame is not None:
            self._count += 1
            self._last_t_s = frame.t_s
            if self._first_t_s is None:
                self._first_t_s = frame.t_s
        return frame

    def _next(self) -> Frame | None:
        while True:
            assert self._reader is not None
            try:
                # Counted from the last frame, not from this call: who reads late hears of it no later.
                frame = self._reader.relay.take(
                    max(0.0, self._quiet_since_s + self._stall_s - self._clock.now_s())
                )
            except NothingCame:
                self._quiet_since_s = self._clock.now_s()
                frozen = self._reader.frozen
                self._replace_hanging_reader()
                raise self._stalled(frozen=frozen) from None
            if frame is None or frame.t_s > self._last_t_s:
                return frame

    def _stalled(self, *, frozen: bool) -> SourceStalled:
        assert self._camera is not None
        if frozen:
            return SourceStalled(
                title=said("{name} shows the same picture again and again", name=self._camera.name),
                remedy=said("Unfreeze the camera program, or plug the camera in again."),
                retry=True,
            )
        return SourceStalled(
            title=said(
                "{name} has sent no picture for {seconds} s",
                name=self._camera.name,
                seconds=f"{self._stall_s:g}",
            ),
            remedy=said("Check its cable; the camera is opened again as soon as it is back."),
            retry=True,
        )

    def _replace_hanging_reader(self) -> None:
        """A driver that hangs cannot be called back: its thread is left behind and another one tries.

        Only one is ever left behind: a second that hangs too would gain nothing.
        """
        if self._closed or self._reader is None or not self._reader.hangs(2 * self._stall_s):
            return
        if self._left_behind is not None and self._left_behind.alive:
            return
        self._left_behind = self._reader
        self._left_behind.tell_to_stop()
        self._reader = self._start_reader()

    def facts(self) -> SourceFacts:
        """What is known now: sizes, which times are used, what could be held still."""
        name = self._camera.name if self._camera is not None else ""
        reader = self._reader
        if reader is None:
            return SourceFacts(name, True, False, None, 0, 0)
        notes = reader.notes()
        fps = self._measured_fps()
        if fps is not None and reader.header_fps is not None and fps < 0.8 * reader.header_fps:
            words = marked(
                "The camera gives {rate} frames per second instead of {promised}: most cameras do in dim light, so give it "
                "more."
            )
            notes.append(Sentence(words, {"rate": f"{fps:.1f}", "promised": f"{reader.header_fps:g}"}))
        return SourceFacts(
            name=name,
            live=True,
            simulated=False,
            header_fps=reader.header_fps,
            width_px=reader.size_px[0],
            height_px=reader.size_px[1],
            notes=tuple(notes),
        )

    def _measured_fps(self) -> float | None:
        if self._first_t_s is None or self._last_t_s - self._first_t_s < 2.0:
            return None
        return (self._count - 1) / (self._last_t_s - self._first_t_s)

    def controls(self) -> Controls:
        """What became of exposure and white balance; meaningful `lock_after_s` and a second after opening."""
        if self._reader is None:
            raise RuntimeError("controls before open")
        return self._reader.controls

    def close(self) -> None:
        """Release the camera; its regulation is given back to the driver."""
        self._closed = True
        self._waiting = None
        reader = self._reader
        if reader is not None:
            reader.stop()


class Hold(Enum):
    """Whether the camera let a regulation be held still. PENDING: not tried yet. ABSENT: it has none to ask."""

    PENDING = auto()
    HELD = auto()
    REFUSED = auto()
    ABSENT = auto()


@dataclass(frozen=True, slots=True)
class Controls:
    """Exposure and white balance of an open camera."""

    exposure: Hold = Hold.PENDING
    white_balance: Hold = Hold.PENDING


class _Reader:
    """The thread that sits in the driver's calls, for one camera: open, grab, stamp, hand over, open again.

    A thread is needed because OpenCV's open and grab block inside the driver and cannot be interrupted. It
    alone touches the capture, and releases it; if it hangs when the camera is closed it is left behind (a
    daemon) and releases the capture when the driver lets it go.
    """

    def __init__(
        self,
        camera: FoundCamera,
        *,
        new_capture: Callable[[FoundCamera], Capture],
        list_cameras: Callable[[], Sequence[FoundCamera]],
        clock: Clock,
        lock_after_s: float,
        wanted: Format,
    ) -> None:
        self._camera = camera
        self._wanted = wanted
        self._new_capture = new_capture
        self._list_cameras = list_cameras
        self._clock = clock
        self._lock_after_s = lock_after_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="camera-reader", daemon=True)
        self._in_driver_since_s: float | None = None
        self._times = _GrabTimes()
        self._regulation = _Regulation(lock_after_s)
        self._grabbed = 0
        self._black = 0
        self._delivered = 0
        self._copies_in_a_row = 0
        self._last: ByteArray | None = None
        self._reopened = 0
        self.relay = Relay()
        self.header_fps: float | None = None
        self.size_px = (0, 0)
        self._format: Sentence | None = None

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def frozen(self) -> bool:
        """Whether the camera delivers, but always the same picture."""
        return self._copies_in_a_row >= _FROZEN_FRAMES

    @property
    def controls(self) -> Controls:
        return self._regulation.controls

    def hangs(self, longer_than_s: float) -> bool:
        """Whether one call of the driver has lasted that long."""
        since_s = self._in_driver_since_s
        return since_s is not None and self._clock.now_s() - since_s > longer_than_s

    def start(self) -> None:
        self._thread.start()

    def tell_to_stop(self) -> None:
        self._stopped.set()
        self.relay.clear()

    def stop(self) -> None:
        self.tell_to_stop()
        self._thread.join(_JOIN_S)

    def _run(self) -> None:
        began_s = self._clock.now_s()
        try:
            while not self._stopped.is_set():
                capture = self._open()
                if capture is None:
                    if self._delivered == 0 and self._clock.now_s() - began_s >= _TRY_OPEN_FOR_S:
                        self.relay.end(why_unusable(self._camera))
                        return
                    self._stopped.wait(_REOPEN_EVERY_S if self._delivered else _PAUSE_S)
                    continue
                try:
                    self._deliver(capture)
                finally:
                    self._regulation.give_back(capture)
                    capture.release()
                self._stopped.wait(_PAUSE_S)
        except BaseException as error:  # noqa: BLE001 (carried to the reader's thread, which raises it)
            self.relay.end(error)
        finally:
            self.relay.end()  # whatever happened: nobody waits for a thread that is gone

    def _open(self) -> Capture | None:
        """The opened capture, looked for under its id: after a replug the node is often another."""
        camera = self._camera
        if self._grabbed:
            camera = next((one for one in self._list_cameras() if one.id == camera.id), camera)
        self._in_driver_since_s = self._clock.now_s()
        capture = self._new_capture(camera)
        if not capture.isOpened():
            capture.release()
            self._in_driver_since_s = None
            return None
        self._format = _ask_for_format(capture, self._wanted)
        import cv2

        fps = capture.get(cv2.CAP_PROP_FPS)
        self.header_fps = fps if math.isfinite(fps) and 0 < fps <= 1000 else None
        self._in_driver_since_s = None
        if self._delivered:
            self._reopened += 1
        self._times = _GrabTimes()
        self._regulation = _Regulation(self._lock_after_s)
        return capture

    def _deliver(self, capture: Capture) -> None:
        """Grab and hand over until the camera fails or is closed."""
        import cv2

        failures = 0
        while not self._stopped.is_set():
            self._in_driver_since_s = self._clock.now_s()
            grabbed = capture.grab()
            now_s = self._clock.now_s()  # before decoding: the moment of the picture, not of our work
            stamp_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000 if grabbed else math.nan
            decoded, image = capture.retrieve() if grabbed else (False, None)
            self._in_driver_since_s = None
            if self._stopped.is_set():
                return
            if not decoded or image is None:
                failures += 1
                if failures >= _FAILURES_TO_REOPEN and self._delivered:
                    return
                self._stopped.wait(_PAUSE_S)
                continue
            failures = 0
            if min(image.shape[:2]) < MIN_SIDE_PX:
                raise EnvironmentFault(
                    title=said(
                        "{name} sends pictures of {width}×{height} pixels, too small for a face",
                        name=self._camera.name,
                        width=image.shape[1],
                        height=image.shape[0],
                    ),
                    remedy=said("Set it to 640×480 in its own program, or use another camera."),
                )
            self._grabbed += 1
            t_s = self._times.next(now_s, stamp_s)
            if t_s is None or (self._delivered == 0 and self._is_black(image)) or self._is_copy(image):
                continue
            self._delivered += 1
            self.size_px = image.shape[1], image.shape[0]
            self.relay.put(Frame(sealed(image), t_s))
            self._regulation.step(capture, image, t_s)

    def _is_black(self, image: ByteArray) -> bool:
        black = is_black(image)
        self._black += black
        return black

    def _is_copy(self, image: ByteArray) -> bool:
        last, self._last = self._last, image
        copy = (
            last is not None
            and last.shape == image.shape
            and np.array_equal(coarse(last), coarse(image))  # nearly always tells them apart, and is cheap
            and np.array_equal(last, image)
        )
        self._copies_in_a_row = self._copies_in_a_row + 1 if copy else 0
        return copy

    def why_nothing_came(self, waited_s: float) -> EnvironmentFault:
        """The fault when the time for the first picture is over."""
        name = self._camera.name
        if self._black:
            return EnvironmentFault(
                title=said("{name} shows only black", name=name),
                remedy=said(
                    "Take the cover off the lens, switch its privacy switch off, or make light; "
                    "a program that holds the camera can be the cause too."
                ),
                retry=True,
            )
        if self.hangs(waited_s / 2):
            return EnvironmentFault(
                title=said("{name} did not answer within {seconds} s", name=name, seconds=f"{waited_s:g}"),
                remedy=said("Plug the camera out and in again, then try again."),
                retry=True,
            )
        return EnvironmentFault(
            title=said(
                "{name} was opened but sent no picture within {seconds} s", name=name, seconds=f"{waited_s:g}"
            ),
            remedy=said(
                "Close other programs that use it, and plug it directly into the computer, not into a hub."
            ),
            retry=True,
        )

    def notes(self) -> list[Sentence]:
        """About the format, the times and the regulation."""
        notes = [] if self._format is None else [self._format]
        notes += [self._times.note(), *self._regulation.notes()]
        if self._reopened:
            words = marked("The camera failed and was opened again ({count} ×).")
            notes.append(Sentence(words, {"count": self._reopened}))
        if self.relay.dropped:
            words = marked("{count} pictures were dropped because this computer was late.")
            notes.append(Sentence(words, {"count": self.relay.dropped}))
        return notes


def _new_capture(camera: FoundCamera) -> Capture:
    import cv2

    if camera.node is not None:
        return cv2.VideoCapture(str(camera.node), cv2.CAP_V4L2)
    if sys.platform == "win32":
        capture = cv2.VideoCapture(camera.index, cv2.CAP_MSMF)
        return capture if capture.isOpened() else cv2.VideoCapture(camera.index, cv2.CAP_DSHOW)
    if sys.platform == "darwin":
        return cv2.VideoCapture(camera.index, cv2.CAP_AVFOUNDATION)
    return cv2.VideoCapture(camera.index)


def _ask_for_format(capture: Capture, wanted: Format) -> Sentence:
    """What is wanted, in the first code that reaches the rate; a sentence that says what it became.

    JPEG's colour subsampling and 8×8 blocks take away part of a pulse that is a fraction of a grey level.
    """
    import cv2

    fps = width = height = 0.0
    for code in wanted.codes:
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*code))
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, wanted.width_px)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, wanted.height_px)
        capture.set(cv2.CAP_PROP_FPS, wanted.fps)
        fps = capture.get(cv2.CAP_PROP_FPS)
        width, height = capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
        if (
            fps >= 0.95 * wanted.fps or fps <= 0
        ):  # 0: the driver does not say; uncompressed is the safer guess
            break
    number = int(capture.get(cv2.CAP_PROP_FOURCC))
    code = bytes((number >> shift) & 0xFF for shift in (0, 8, 16, 24)).decode("latin-1")
    known = code.isprintable() and code.isascii() and code.strip()
    values = {
        "size": f"{width:.0f}×{height:.0f}",
        "format": code if known else Sentence(marked("unknown format")),
    }
    if fps <= 0:
        return Sentence(marked("Camera: {size}, {format}."), values)
    words = marked("Camera: {size}, {format}, {rate} frames per second promised.")
    return Sentence(words, {**values, "rate": f"{fps:g}"})


class _GrabTimes:
    """Chooses between the driver's stamps and the moments of grabbing; the result always increases.

    The first frames decide (they are not delivered). V4L2 stamps a frame on the monotonic clock when its
    first or last line is read out: steadier than the moment at which a busy computer fetches it.
    """

    _MAX_DELAY_S = 0.5

    def __init__(self) -> None:
        self._trial: list[tuple[float, float]] = []
        self._offset_s: float | None = None
        self._decided = False
        self._distrusted = False
        self._last_s = -math.inf
        self._last_stamp_s = -math.inf

    def next(self, now_s: float, stamp_s: float) -> float | None:
        """The frame's time in seconds, or None while the clock is being chosen."""
        if not self._decided:
            self._trial.append((now_s, stamp_s))
            self._last_s, self._last_stamp_s = max(self._last_s, now_s), stamp_s
            if len(self._trial) == _WARM_UP_FRAMES:
                self._decided = True
                self._offset_s = self._offset_of_stamps()
                if self._offset_s is not None:
                    self._last_s = stamp_s + self._offset_s
            return None
        t_s = now_s
        if self._offset_s is not None:
            t_s = stamp_s + self._offset_s
            late_s = now_s - t_s
            if not (stamp_s > self._last_stamp_s and -self._MAX_DELAY_S < late_s < self._MAX_DELAY_S):
                self._offset_s, self._distrusted, t_s = None, True, now_s
        if t_s <= self._last_s:
            return None
        self._last_s, self._last_stamp_s = t_s, stamp_s
        return t_s

    def _offset_of_stamps(self) -> float | None:
        """Seconds from the driver's clock to ours, or None if the stamps are no clock."""
        delays = [now_s - stamp_s for now_s, stamp_s in self._trial]
        stamps = [stamp_s for _, stamp_s in self._trial]
        if not all(math.isfinite(stamp_s) for stamp_s in stamps):
            return None
        if any(later <= earlier for earlier, later in itertools.pairwise(stamps)):
            return None
        if max(delays) - min(delays) > self._MAX_DELAY_S / 2:
            return None
        same_clock = min(delays) >= 0 and max(delays) < self._MAX_DELAY_S
        return 0.0 if same_clock else min(delays)

    def note(self) -> Sentence:
        """Which clock the times come from."""
        if self._distrusted:
            words = marked("Times are those of the grab: the driver's own stopped agreeing with the clock.")
        elif self._offset_s is not None:
            words = marked("Times are the driver's own.")
        else:
            words = marked("Times are those of the grab: the driver has none that can be used.")
        return Sentence(words)


class _Regulation:
    """Holds exposure and white balance still once they have settled, checks it, and gives them back.

    Some drivers answer "manual" and jump to another exposure. So the picture is looked at afterwards, and a
    jump of its brightness undoes the change.
    """

    _SETTLE_S = 0.7
    _MAX_RATIO = 1.3

    def __init__(self, lock_after_s: float) -> None:
        self._lock_after_s = lock_after_s
        self._first_s: float | None = None
        self._held_s: float | None = None
        self._brightness = 0.0
        self._before: dict[int, float] = {}
        self._done = False
        self._jumped = False
        self.controls = Controls()

    def step(self, capture: Capture, image: ByteArray, t_s: float) -> None:
        """Called with every frame, in the thread that owns the capture."""
        if self._done:
            return
        if self._first_s is None:
            self._first_s = t_s
        if self._held_s is None:
            if t_s - self._first_s >= self._lock_after_s:
                self._brightness = float(coarse(image).mean())
                self._hold(capture)
                self._held_s = t_s
        elif t_s - self._held_s >= self._SETTLE_S:
            self._done = True
            ratio = (float(coarse(image).mean()) + 1) / (self._brightness + 1)
            if self.controls.exposure is Hold.HELD and not 1 / self._MAX_RATIO < ratio < self._MAX_RATIO:
                self._jumped = True
                self.give_back(capture)
                self.controls = Controls(Hold.REFUSED, Hold.REFUSED)

    def _hold(self, capture: Capture) -> None:
        import cv2

        manual = {"V4L2": 1.0, "DSHOW": 0.25}.get(capture.getBackendName(), 0.0)
        self.controls = Controls(
            exposure=self._hold_one(capture, cv2.CAP_PROP_AUTO_EXPOSURE, manual, cv2.CAP_PROP_EXPOSURE),
            white_balance=self._hold_one(capture, cv2.CAP_PROP_AUTO_WB, 0.0, cv2.CAP_PROP_WB_TEMPERATURE),
        )

    def _hold_one(self, capture: Capture, regulated: int, manual: float, setting: int) -> Hold:
        before, value = capture.get(regulated), capture.get(setting)
        if before < 0:  # OpenCV's answer for a property that the driver does not have
            return Hold.ABSENT
        if before == manual:
            return Hold.HELD  # somebody has set it by hand: leave it
        if not capture.set(regulated, manual):
            return Hold.REFUSED
        self._before[regulated] = before
        if abs(capture.get(regulated) - manual) > 0.01:
            return Hold.REFUSED
        if value > 0:
            capture.set(setting, value)  # some drivers fall back to a stored value
        return Hold.HELD

    def give_back(self, capture: Capture) -> None:
        """Let the driver regulate again, as it was found: the next program expects it."""
        for regulated, before in self._before.items():
            capture.set(regulated, before)
        self._before.clear()

    def notes(self) -> list[Sentence]:
        """About what was held."""
        if self._jumped:
            words = marked(
                "Exposure could not be locked: the picture changed its brightness when it was tried."
            )
            return [Sentence(words)]
        held = (
            _EXPOSURE.get(self.controls.exposure),
            _WHITE_BALANCE.get(self.controls.white_balance),
        )
        return [Sentence(words) for words in held if words is not None]


_EXPOSURE = {
    Hold.HELD: marked("Exposure locked."),
    Hold.REFUSED: marked("Exposure could not be locked: the driver refused."),
    Hold.ABSENT: marked("Exposure could not be locked: the driver has no such control."),
}
_WHITE_BALANCE = {
    Hold.HELD: marked("White balance locked."),
    Hold.REFUSED: marked("White balance could not be locked: the driver refused."),
    Hold.ABSENT: marked("White balance could not be locked: the driver has no such control."),
}
"""What became of each, in words; nothing while it is not known yet."""


@dataclass(frozen=True, slots=True)
class Examination:
    """What a camera truly does. fps: measured; longest_gap_s: between two frames. facts: after it."""

    fps: float
    longest_gap_s: float
    frames: int
    controls: Controls
    facts: SourceFacts


def examine(camera: Camera, *, seconds: float = 4.0) -> Examination:
    """Open the camera, read for `seconds` of its own time, close. For `health-helper doctor`.

    Raises what `Camera.open` and `Camera.read` raise. Shorter than `lock_after_s` and a second, it cannot
    tell whether exposure can be locked (Hold.PENDING).
    """
    camera.open()
    try:
        times: list[float] = []
        while not times or times[-1] - times[0] < seconds:
            frame = camera.read()
            if frame is None:
                break
            times.append(frame.t_s)
        steps = np.diff(times)
        return Examination(
            fps=float(len(steps) / steps.sum()) if len(steps) else 0.0,
            longest_gap_s=float(steps.max()) if len(steps) else 0.0,
            frames=len(times),
            controls=camera.controls(),
            facts=camera.facts(),
        )
    finally:
        camera.close()
