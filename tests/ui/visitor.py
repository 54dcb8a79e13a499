"""Somebody at the shipped application in a window: begins a scan, keeps its result, begins the next one, until they are killed.

Started with `python -c`. Says on standard output what has come, once it has: "open" (the store), "scanning", "withheld" (a result without
a heart rate), "result" (which is being kept), "kept".
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication

from client import config
from client.app import real_parts, run
from client.clock import SystemClock
from client.ui.preferences import CONSENT_VERSION, PreferencesFile
from client.ui.shelf import Open
from client.ui.start import make_app
from client.ui.window import Window
from tests.ui.looking import click

_LOOK_EVERY_MS = 10


def visit(*arguments: str) -> None:
    """Start `health-helper window` with these arguments. Never returns, unless the window is closed or a step fails."""
    path = config.preferences_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    file = PreferencesFile(path)
    wanted = file.load()
    wanted.consent, wanted.language = CONSENT_VERSION, "en"
    assert file.save(wanted)
    steps = _steps(make_app())
    timer = QTimer()
    timer.setInterval(_LOOK_EVERY_MS)
    timer.timeout.connect(lambda: _go_on(steps))
    timer.start()
    sys.exit(run(real_parts(SystemClock()), ["window", *arguments]))


def _say(words: str) -> None:
    os.write(1, words.encode() + b"\n")


def _go_on(steps: Iterator[None]) -> None:
    try:
        next(steps)
    except BaseException:  # noqa: BLE001 (told to the test, which fails)
        _say("failed " + repr(traceback.format_exc()))
        os._exit(1)


def _steps(app: QApplication) -> Iterator[None]:
    """Each yields until what is waited for has come."""
    while not (
        shown := [one for one in app.topLevelWidgets() if isinstance(one, Window) and one.isVisible()]
    ):
        yield
    window = shown[0]
    while not isinstance(window._shelf.state, Open):
        yield
    _say("open")
    while True:
        click(window.scan.start)
        _say("scanning")
        while window.pages.currentWidget() is not window.result:
            assert window.scan.running, window.scan._fault.text()
            yield
        assert window.result is not None
        if window.result.save_button is None:
            _say("withheld")
            click(window.result.done_button)
        else:
            _say("result")
            click(window.result.save_button)
            while not window.notice.words.startswith("Saved for"):
                yield
            _say("kept")
            click(window.to_scan)
        yield
