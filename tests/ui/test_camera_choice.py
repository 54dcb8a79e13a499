"""The camera in the settings: listed whenever they are shown, by a thread that may hang."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from client.errors import EnvironmentFault
from client.parts import CameraEntry
from client.ui.pages import camera as page
from client.ui.pages.camera import CameraChoice
from client.ui.preferences import PreferencesFile
from client.ui.window import Window
from tests.client.pipeline.fakes import Hang, ScriptedSource
from tests.ui.conftest import Room
from tests.ui.looking import click, shot, wait_for

DESK, LID = CameraEntry("usb-Desk-index0", "Desk camera"), CameraEntry("pci-Lid-index0", "Lid camera")


@dataclass
class Plugged:
    """What is plugged in, and in which threads somebody looked."""

    cameras: list[CameraEntry] = field(default_factory=lambda: [DESK])
    threads: list[threading.Thread] = field(default_factory=list)
    answers: threading.Event = field(default_factory=threading.Event)

    def listed(self) -> Sequence[CameraEntry]:
        self.threads.append(threading.current_thread())
        self.answers.wait(20.0)
        return list(self.cameras)


@pytest.fixture
def plugged(room: Room) -> Plugged:
    made = Plugged()
    made.answers.set()
    room.parts = replace(room.parts, cameras=made.listed)
    return made


def settings(room: Room, **preferences: object) -> tuple[Window, CameraChoice]:
    """The settings' page with its cameras listed."""
    window: Window = room.start(**preferences).window
    window.go_to_settings()
    choice = window.settings.camera
    wait_for(lambda: choice._listed is None, "the list")
    return window, choice


def names(choice: CameraChoice) -> list[str]:
    return [choice.box.itemText(at) for at in range(choice.box.count())]


def test_one_that_is_plugged_in_later_is_found_when_the_page_is_shown_again(
    room: Room, plugged: Plugged
) -> None:
    plugged.cameras = []
    window, choice = settings(room)
    assert "No camera was found" in choice.words.text() and not choice.try_it.isEnabled()
    plugged.cameras = [DESK, LID]
    window.go_to_scan()
    window.go_to_settings()
    wait_for(lambda: names(choice) == ["The first one", DESK.name, LID.name], "the list again")
    assert not choice.words.isVisible() and choice.try_it.isEnabled()
    assert not any(one is threading.main_thread() for one in plugged.threads)
    wait_for(lambda: not choice._timer.isActive(), "rest")


def test_nothing_is_listed_before_the_page_is_shown(room: Room, plugged: Plugged) -> None:
    window = room.start().window
    assert plugged.threads == [] and not window.settings.camera.try_it.isEnabled()


def test_a_chosen_one_that_is_gone_stays_chosen(room: Room, plugged: Plugged) -> None:
    window, choice = settings(room, camera=LID.id)
    assert choice.box.currentText() == f"{LID.id} (not there now)"
    shot(window, "settings-camera-gone")
    plugged.cameras = [DESK, LID]
    window.go_to_scan()
    window.go_to_settings()
    wait_for(lambda: choice.box.currentText() == LID.name, "it again")
    choice.box.setCurrentIndex(1)
    choice.box.activated.emit(1)
    assert PreferencesFile(room.folder / "window.ini").load().camera == DESK.id


def test_a_driver_that_hangs_does_not_make_the_window_wait(room: Room, plugged: Plugged) -> None:
    plugged.answers.clear()
    window: Window = room.start().window
    window.go_to_settings()
    wait_for(lambda: plugged.threads, "somebody who looks")
    assert not window.settings.camera.try_it.isEnabled()
    began_s = time.monotonic()
    window.go_to_scan()
    assert time.monotonic() - began_s < 0.6 and window.pages.currentWidget() is window.scan
    plugged.answers.set()
    wait_for(lambda: not plugged.threads[0].is_alive(), "the thread")


def test_why_they_can_not_be_listed_is_told(room: Room) -> None:
    def cameras() -> Sequence[CameraEntry]:
        raise EnvironmentFault(title="OpenCV is damaged", remedy="Install it again.")

    room.parts = replace(room.parts, cameras=cameras)
    _window, choice = settings(room)
    assert choice.words.text() == "OpenCV is damaged. Install it again." and not choice.try_it.isEnabled()


def test_the_screen_reader_is_told_of_a_fault_once(
    room: Room, plugged: Plugged, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(page, "announce", lambda _widget, words: told.append(words))

    fault = EnvironmentFault(title="It is in use", remedy="Close the other program.")
    broken = ScriptedSource([], open_error=fault)
    room.parts = replace(room.parts, camera=lambda _camera: broken)
    window, choice = settings(room)
    window.settings.ensureWidgetVisible(choice.try_it)
    click(choice.try_it)
    wait_for(lambda: "in use" in choice.words.text(), "the reason")
    wait_for(lambda: told, "it told")
    assert told == ["It is in use. Close the other program."]


def test_a_window_that_is_hidden_lets_go_of_the_camera(room: Room, plugged: Plugged) -> None:
    source = ScriptedSource([Hang()])
    room.parts = replace(room.parts, camera=lambda _camera: source)
    window, choice = settings(room)
    window.settings.ensureWidgetVisible(choice.try_it)
    click(choice.try_it)
    wait_for(lambda: source.reads, "a picture wanted")
    window.hide()
    wait_for(source.closed.is_set, "the end", at_most_s=2.0)
    assert choice.try_it.text() == "Show its picture"


@pytest.mark.parametrize(
    ("preferences", "box", "words"),
    [
        ({"lock_after_min": 7}, "lock", "after 7 min"),
        ({"seconds": 45}, "seconds", "45 s"),
        ({"text_percent": 130}, "text_size", "130 %"),
        ({"theme": "pink"}, "theme", "As the system"),
    ],
)
def test_what_holds_is_shown_even_if_it_is_not_offered(
    room: Room, plugged: Plugged, preferences: dict[str, object], box: str, words: str
) -> None:
    window, _choice = settings(room, **preferences)
    assert getattr(window.settings, box).currentText() == words
