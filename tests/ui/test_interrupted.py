"""Ctrl-C while the window runs: it ends at once and quietly, whatever Qt was just doing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="a signal to another process as POSIX has it")

BEGINNING = """
import signal, sys
from PySide6.QtCore import Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from client.app import real_parts
from client.clock import SystemClock
from client.parts import WindowChoice
from client.ui.pages.dialogs import NameDialog
from client.ui.start import run_window
from client.ui.window import Window

def window():
    return next(one for one in QApplication.topLevelWidgets() if isinstance(one, Window))

def once_shown(do):
    before = Window.show
    def show(self):
        before(self)
        do()
    Window.show = show
"""
IN_THE_MIDDLE = """
Window.used = lambda self: signal.raise_signal(signal.SIGINT)  # inside of what Qt calls for a key
once_shown(lambda: QTimer.singleShot(200, lambda: QTest.keyClick(window(), Qt.Key.Key_A)))
"""
BEFORE_ITS_LOOP = """
once_shown(lambda: signal.raise_signal(signal.SIGINT))
"""
UNDER_A_DIALOG = """
once_shown(lambda: QTimer.singleShot(100, lambda: NameDialog(window()).exec()))
once_shown(lambda: QTimer.singleShot(400, lambda: print("ready", flush=True)))
"""
IDLE = """
once_shown(lambda: QTimer.singleShot(100, lambda: print("ready", flush=True)))
"""
OF_NO_DISPLAY = "This plugin does not support propagateSizeHints()\n"
"""What Qt's platform without a display says of every dialog."""
END = """
sys.exit(run_window(real_parts(SystemClock()), WindowChoice()))
"""


@contextmanager
def begun(script: str, home: Path) -> Iterator[subprocess.Popen[str]]:
    """The window, in a process of its own, on no display. It does not outlive the test."""
    names = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG")
    env = {name: os.environ[name] for name in names if name in os.environ}
    env |= {
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(home),
        "DISPLAY": ":none",
        "QT_QPA_PLATFORM": "offscreen",
    }
    home.chmod(0o700)  # Qt wants its runtime folder to be one's own
    with subprocess.Popen(
        [sys.executable, "-c", BEGINNING + script + END],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("script", [IN_THE_MIDDLE, BEFORE_ITS_LOOP], ids=["in_the_middle", "before_its_loop"])
def test_it_ends_quietly_whatever_is_going_on(tmp_path: Path, script: str) -> None:
    with begun(script, tmp_path) as process:
        out, err = process.communicate(timeout=30.0)
    assert (process.returncode, out, err) == (130, "", "")


@pytest.mark.parametrize("script", [IDLE, UNDER_A_DIALOG], ids=["idle", "under_a_dialog"])
def test_from_outside_and_more_than_once(tmp_path: Path, script: str) -> None:
    with begun(script, tmp_path) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        for _ in range(3):
            process.send_signal(signal.SIGINT)
        _out, err = process.communicate(timeout=20.0)
    assert (process.returncode, err.replace(OF_NO_DISPLAY, "")) == (130, "")
