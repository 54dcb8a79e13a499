"""A real window on a display of the tests' own, with the real engine, and a store whose key lies in memory."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from client.app import kept_of, real_parts
from client.clock import SystemClock
from client.parts import CameraEntry, Kept, Parts, VoiceEntry, WindowChoice
from client.pipeline.session import Goal
from client.policy import Policy
from client.store.opening import begin_anew, restore
from client.store.recovery import RecoveryKey
from edge_models.simulate.scene import Scene, render
from tests.client.store.conftest import MemoryVault, kept_in
from tests.stand_ins.fake_microphone import FakeMicrophone
from tests.stand_ins.mjpeg_server import Behaviour, MjpegServer

SCREENSHOTS = Path(__file__).resolve().parents[2] / ".cache" / "screenshots"


def _display() -> subprocess.Popen[bytes] | None:
    """Xvfb with a number that it chooses itself; None where there is none or windows need none."""
    if not sys.platform.startswith("linux") or not shutil.which("Xvfb"):
        return None
    end, begin = os.pipe()
    process = subprocess.Popen(
        ["Xvfb", "-displayfd", str(begin), "-screen", "0", "1600x1400x24", "-nolisten", "tcp"],
        pass_fds=(begin,),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(begin)
    with os.fdopen(end) as answer:
        number = answer.readline().strip()
    if not number:
        process.kill()
        process.wait()
        return None
    os.environ["DISPLAY"] = f":{number}"
    os.environ["QT_QPA_PLATFORM"] = "xcb"
    return process


@pytest.fixture(scope="session")
def display() -> Iterator[None]:
    """Before anything asks Qt for a window."""
    process = _display()
    if sys.platform.startswith("linux") and process is None:
        pytest.skip("there is no Xvfb to show a window on (Debian's package xvfb)")
    from client.ui.start import make_app

    app = make_app()
    yield
    app.processEvents()
    if process is not None:
        # Qt's connection ends the process when its display goes away; the display is stopped at the very end.
        atexit.register(process.terminate)


@dataclass
class Room:
    """What a window stands on, and how to look at it.

    vault: holds the store's key; set its fault for a key store in trouble. choice: how the window is started.
    """

    folder: Path
    parts: Parts
    vault: MemoryVault
    choice: WindowChoice = field(default_factory=WindowChoice)
    opened: list[Any] = field(default_factory=list)

    def start(self, **preferences: object) -> Any:
        """The running application; consent given unless told otherwise."""
        from client.ui.preferences import CONSENT_VERSION, PreferencesFile
        from client.ui.start import Application, make_app

        file = PreferencesFile(self.folder / "window.ini")
        wanted = file.load()
        plain = {"consent": CONSENT_VERSION, "language": "en", "theme": "light", "lock_after_min": 0}
        for name, value in (plain | preferences).items():
            setattr(wanted, name, value)
        file.save(wanted)
        running = Application(make_app(), self.parts, self.choice, file)
        self.opened.append(running)
        running.show()
        return running


@pytest.fixture
def room(display: None, tmp_path: Path) -> Iterator[Room]:
    """A room with a new store; whatever window is opened in it is closed after the test."""
    from PySide6.QtWidgets import QApplication

    from client import language

    vault = MemoryVault()
    folder = tmp_path / "store"

    def restored(typed: str) -> Kept:
        return kept_of(restore(folder, vault, RecoveryKey.from_text(typed)), vault, SystemClock(), Policy())

    def begun_anew() -> Kept:
        clock = SystemClock()
        return kept_of(begin_anew(folder, vault, clock.utc()), vault, clock, Policy())

    parts = replace(
        real_parts(SystemClock()),
        cameras=list,
        microphones=list,
        microphone_level=FakeMicrophone().make,
        voices=lambda _language: [VoiceEntry("gmw/en", "English (Great Britain)")],
        store=lambda: kept_in(folder, vault),
        restore_store=restored,
        begin_store_anew=begun_anew,
    )
    made = Room(tmp_path, parts, vault)
    yield made
    for running in made.opened:
        running.window.close()
        running.end()
        running.window.deleteLater()
    app = QApplication.instance()
    assert app is not None
    app.sendPostedEvents()
    app.processEvents()
    language.use(None)


@pytest.fixture(scope="session")
def stream(face_net: bytes) -> Callable[[ExitStack], str]:
    """`stream(stack)`: the address of a camera on the loopback that films a person of 72 /min for 26 s, in real time."""
    from client.app import _portrait

    scene = Scene(
        heart_rate_bpm=72.0, duration_s=26.0, fps=20.0, width_px=480, height_px=360, face_width_px=150.0
    )
    quality = [cv2.IMWRITE_JPEG_QUALITY, 95]
    pictures = [
        (frame.t_s, np.asarray(cv2.imencode(".jpg", frame.image, quality)[1]).tobytes())
        for frame in render(scene, _portrait())
    ]

    def serve(stack: ExitStack) -> str:
        return stack.enter_context(MjpegServer(pictures, Behaviour(stamps=True))).url

    return serve


@pytest.fixture
def person_in_front(room: Room, stream: Callable[[ExitStack], str]) -> Iterator[Room]:
    """The room with a camera that films somebody; a scan takes 16 s of good signal."""
    with ExitStack() as stack:
        room.choice = WindowChoice(
            source=lambda: room.parts.url(stream(stack)),
            goal=Goal(accepted_s=16.0, at_most_s=26.0, unless_hopeless=True),
        )
        yield room


@pytest.fixture
def camera_of_the_stream(room: Room, stream: Callable[[ExitStack], str]) -> Iterator[Room]:
    """The room with a camera in its list that shows the stream."""
    with ExitStack() as stack:
        url = room.parts.url
        room.parts = replace(
            room.parts,
            cameras=lambda: [CameraEntry("0", "Desk camera")],
            camera=lambda _camera: url(stream(stack)),
        )
        yield room
