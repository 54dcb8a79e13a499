"""Nobody is measured who has not agreed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from client.parts import Demo, DemoScene, WindowChoice
from client.ui.shelf import Closed
from client.ui.window import Window
from tests.ui.conftest import Room
from tests.ui.looking import click, pause, press, wait_for
from tests.ui.scripted import with_camera


@pytest.mark.parametrize("key", [Qt.Key.Key_1, Qt.Key.Key_2, Qt.Key.Key_3, Qt.Key.Key_4, Qt.Key.Key_5])
def test_no_key_leads_past_the_first_page(room: Room, key: Qt.Key) -> None:
    window = room.start(consent=0).window
    window.activateWindow()
    pause(50)
    QTest.keyClick(window, key, Qt.KeyboardModifier.ControlModifier)
    pause(50)
    assert window.pages.currentWidget() is window.welcome and not window.bar.isVisible()


@pytest.mark.parametrize(
    "go",
    [
        Window.go_to_scan,
        Window.go_to_history,
        Window.go_to_documents,
        Window.go_to_settings,
        Window.go_to_sync,
        Window.go_to_tasks,
        Window.begin,
    ],
)
def test_nothing_in_the_program_does_either(room: Room, go: Callable[[Window], None]) -> None:
    with_camera(room)
    running = room.start(consent=0)
    go(running.window)
    assert running.window.pages.currentWidget() is running.window.welcome
    assert not running.window.scan.running and isinstance(running.shelf.state, Closed)


def test_begin_waits_for_the_agreement(room: Room) -> None:
    with_camera(room)
    room.choice = WindowChoice(source=room.choice.source, goal=room.choice.goal, begin=True)
    window = room.start(consent=0).window
    pause(100)
    assert window.pages.currentWidget() is window.welcome and not window.scan.running
    for box in (window.welcome.adult, window.welcome.understood, window.welcome.consents):
        press(box, Qt.Key.Key_Space)
    click(window.welcome.go_on)
    assert window.scan.running and window.pages.currentWidget() is window.scan
    window.scan.cancel()
    wait_for(lambda: not window.scan.running, "the end")
    assert window.bar.isVisible() and window.bar.isEnabled()


def test_the_keys_work_once_it_is_there(room: Room) -> None:
    window = room.start().window
    window.activateWindow()
    pause(50)
    QTest.keyClick(window, Qt.Key.Key_4, Qt.KeyboardModifier.ControlModifier)
    wait_for(lambda: window.pages.currentWidget() is window.settings, "the settings")


def test_a_simulated_person_need_not_agree(room: Room) -> None:
    def source() -> Any:
        return room.parts.demo(Demo(DemoScene.PERSON, 72.0, 4.0, real_time=True))

    room.choice = WindowChoice(source=source, simulated=True, begin=True)
    window = room.start(consent=0).window
    wait_for(lambda: window.scan.running, "the scan")
    assert window.pages.currentWidget() is window.scan and not window.bar.isVisible()
    window.scan.cancel()
    wait_for(lambda: not window.scan.running, "the end")
    assert not window.bar.isEnabled()
