"""Eyes and hands for the tests: wait, press, type, take a picture."""

from __future__ import annotations

import time
from collections.abc import Callable

from PySide6.QtCore import QEventLoop, Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QDialog, QPushButton, QWidget

from tests.ui.conftest import SCREENSHOTS


def pause(ms: int) -> None:
    """Let the window and the other threads work. Not QTest.qWait: it keeps Python's lock, so that a scan beside it starves."""
    loop = QEventLoop()
    QTimer.singleShot(ms, loop.quit)
    loop.exec()


def wait_for(holds: Callable[[], object], what: str, at_most_s: float = 30.0) -> None:
    """Let the window work until that holds."""
    deadline_s = time.monotonic() + at_most_s
    while not holds():
        assert time.monotonic() < deadline_s, f"waited {at_most_s:g} s for {what}"
        pause(20)


def click(widget: QWidget) -> None:
    """A click with the mouse in its middle."""
    assert widget.isVisible() and widget.isEnabled(), widget
    QTest.mouseClick(widget, Qt.MouseButton.LeftButton)


def press(widget: QWidget, key: Qt.Key) -> None:
    """A key while it has the focus."""
    widget.setFocus()
    QTest.keyClick(widget, key)


def shot(widget: QWidget, state: str) -> None:
    """A picture of the window among the test's artefacts (.cache/screenshots)."""
    pause(60)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    assert widget.grab().save(str(SCREENSHOTS / f"{state}.png"))


def in_dialog(act: Callable[[QDialog], None], at_most_s: float = 10.0) -> Callable[[], None]:
    """Act in the next dialog that opens, while its exec() blocks. Returns what to call afterwards: it raises what went wrong there."""
    deadline_s = time.monotonic() + at_most_s
    errors: list[BaseException] = []
    acted: list[bool] = []

    def look() -> None:
        dialog = QApplication.activeModalWidget()
        if not isinstance(dialog, QDialog):
            if time.monotonic() < deadline_s:
                QTimer.singleShot(30, look)
            return
        acted.append(True)
        try:
            act(dialog)
        except BaseException as error:  # noqa: BLE001 (raised where the test can see it)
            errors.append(error)
            dialog.reject()

    QTimer.singleShot(30, look)

    def check() -> None:
        if errors:
            raise errors[0]
        assert acted, "no dialog was opened"

    return check


def button_named(parent: QWidget, words: str) -> QPushButton:
    """The visible button with this text."""
    found = [b for b in parent.findChildren(QPushButton) if b.text() == words and b.isVisible()]
    assert len(found) == 1, (words, [b.text() for b in parent.findChildren(QPushButton) if b.isVisible()])
    return found[0]
