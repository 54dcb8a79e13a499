"""The microphone in the settings: listed when they are shown, opened when somebody presses, closed however they are left."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from PySide6.QtGui import QAccessible
from PySide6.QtWidgets import QComboBox

from client.app import real_parts
from client.devices.ports import Level
from client.errors import EnvironmentFault, SourceStalled
from client.parts import MicrophoneEntry
from client.ui.pages import microphone as page
from client.ui.pages.microphone import MicrophoneChoice
from client.ui.preferences import PreferencesFile
from client.ui.shelf import Closed, Open
from client.ui.views.microphone import HEARD, LOUD, ONLY_SILENCE, QUIET
from client.ui.window import Window
from tests.stand_ins.fake_microphone import FakeMicrophone
from tests.stand_ins.sound_server import sound_server
from tests.ui.conftest import Room
from tests.ui.looking import click, pause, shot, wait_for

DESK, HEADSET = MicrophoneEntry("ALSA: Desk", "Desk microphone"), MicrophoneEntry("ALSA: USB", "Headset")
SPEECH = Level(-28.0, only_zeros=False)
GONE = EnvironmentFault(title="The headset was unplugged", remedy="Plug it in again.")


@pytest.fixture
def heard() -> FakeMicrophone:
    return FakeMicrophone(SPEECH)


@pytest.fixture
def asked(room: Room, heard: FakeMicrophone) -> list[str]:
    """How often the microphones were listed; there are two."""
    listed: list[str] = []

    def microphones() -> Sequence[MicrophoneEntry]:
        listed.append("listed")
        return [DESK, HEADSET]

    room.parts = replace(room.parts, microphones=microphones, microphone_level=heard.make)
    return listed


def settings(room: Room, **preferences: object) -> tuple[Any, Window, MicrophoneChoice]:
    """The settings' page with its microphones listed."""
    running = room.start(**preferences)
    wait_for(lambda: isinstance(running.shelf.state, Open), "an open store")
    window: Window = running.window
    window.go_to_settings()
    choice = window.settings.microphone
    wait_for(lambda: choice._listed is None, "the list")
    window.settings.ensureWidgetVisible(choice)
    return running, window, choice


def begin(window: Window, choice: MicrophoneChoice) -> None:
    window.settings.ensureWidgetVisible(choice.try_it)
    pause(30)
    click(choice.try_it)


def select(box: QComboBox, at: int) -> None:
    """As somebody who chooses that line."""
    box.setCurrentIndex(at)
    box.activated.emit(at)


def test_nothing_is_listed_before_the_page_is_shown_and_nothing_opened_before_the_button(
    room: Room, asked: list[str], heard: FakeMicrophone
) -> None:
    running = room.start()
    wait_for(lambda: isinstance(running.shelf.state, Open), "an open store")
    assert asked == []
    window = running.window
    window.go_to_settings()
    choice = window.settings.microphone
    wait_for(lambda: choice.box.count() == 3, "the list")
    assert [choice.box.itemText(at) for at in range(3)] == ["The system's own", DESK.name, HEADSET.name]
    pause(200)
    assert heard.wanted == [] and not choice._timer.isActive() and not choice.meter.isVisible()
    window.go_to_scan()
    window.go_to_settings()
    wait_for(lambda: len(asked) == 2, "the list again")  # something may have been plugged in


def test_the_chosen_one_is_kept_and_used(room: Room, asked: list[str], heard: FakeMicrophone) -> None:
    _running, window, choice = settings(room)
    begin(window, choice)
    wait_for(lambda: heard.is_open, "the system's own")
    select(choice.box, 2)
    assert PreferencesFile(room.folder / "window.ini").load().microphone == HEADSET.id
    wait_for(lambda: not heard.is_open, "the other one let go")
    begin(window, choice)
    wait_for(lambda: heard.is_open, "the chosen one")
    assert heard.wanted == ["", HEADSET.id]
    click(choice.try_it)
    wait_for(lambda: not heard.is_open, "the end")
    assert choice.try_it.text() == "Try it" and not choice.meter.isVisible() and not choice.words.isVisible()
    _again, _window, choice = settings(room)
    assert choice.box.currentText() == HEADSET.name


@pytest.mark.parametrize(
    ("dbfs", "zeros", "words"),
    [(-28.0, False, HEARD), (-65.0, False, QUIET), (-1.0, False, LOUD), (-200.0, True, ONLY_SILENCE)],
)
def test_it_says_what_is_heard_and_shows_how_loud(
    room: Room, asked: list[str], heard: FakeMicrophone, dbfs: float, zeros: bool, words: str
) -> None:
    heard.hears = Level(dbfs, only_zeros=zeros)
    _running, window, choice = settings(room)
    begin(window, choice)
    wait_for(lambda: choice.words.text() == words, words)
    meter = QAccessible.queryAccessibleInterface(choice.meter)
    assert meter.role() is QAccessible.Role.ProgressBar
    assert meter.text(QAccessible.Text.Name) == "Level of the microphone"
    assert meter.text(QAccessible.Text.Description) == f"{max(dbfs, -70.0):.0f} dB".replace("-", "−")
    assert choice.meter.value() == round(100 * (1 + max(dbfs, -70.0) / 70))
    assert choice.meter.isVisible() and choice.try_it.text() == "Stop"


def test_the_screen_reader_is_told_each_thing_once_and_values_now_and_then(
    room: Room, asked: list[str], heard: FakeMicrophone, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(page, "announce", lambda _widget, words: told.append(words))
    _running, window, choice = settings(room)
    values: list[int] = []
    choice.meter.valueChanged.connect(values.append)
    begin(window, choice)
    until_s = time.monotonic() + 1.0
    while time.monotonic() < until_s:
        for dbfs in (-30.0, -20.0, -35.0):
            heard.hears = Level(dbfs, only_zeros=False)
            pause(60)
    heard.hears = Level(-200.0, only_zeros=True)
    wait_for(lambda: choice.words.text() == ONLY_SILENCE, "the silence")
    heard.hears = SPEECH
    wait_for(lambda: choice.words.text() == HEARD, "the speech again")
    assert told == ["The microphone is being opened …", HEARD, ONLY_SILENCE]
    assert len(values) <= 2


@pytest.mark.parametrize("when", ["at once", "later"])
def test_a_fault_is_told_and_ends_the_try(
    room: Room, asked: list[str], heard: FakeMicrophone, when: str
) -> None:
    if when == "at once":
        heard.refuses = GONE
    _running, window, choice = settings(room)
    begin(window, choice)
    if when == "later":
        wait_for(lambda: choice.words.text() == HEARD, "the speech")
        heard.hears = GONE
    wait_for(lambda: "unplugged" in choice.words.text(), "the reason")
    assert GONE.remedy in choice.words.text() and choice.try_it.text() == "Try it"
    wait_for(lambda: not heard.is_open, "the end")
    shot(window, f"microphone-fault-{when.replace(' ', '-')}")
    heard.refuses, heard.hears = None, SPEECH
    click(choice.try_it)
    wait_for(lambda: choice.words.text() == HEARD, "the speech")


def test_one_that_sends_nothing_is_waited_for(room: Room, asked: list[str], heard: FakeMicrophone) -> None:
    heard.hears = SourceStalled(title="The headset sends nothing", remedy="Plug it out and in again.")
    _running, window, choice = settings(room)
    begin(window, choice)
    wait_for(lambda: "sends nothing" in choice.words.text(), "the trouble")
    assert heard.is_open and choice.try_it.text() == "Stop"
    heard.hears = SPEECH
    wait_for(lambda: choice.words.text() == HEARD, "the speech")


def leave(running: Any, window: Window) -> None:
    del running
    window.go_to_scan()


def lock(running: Any, window: Window) -> None:
    window._preferences.lock_after_min = 2
    window._used_at_s -= 121.0
    window._lock_if_idle()
    wait_for(lambda: isinstance(running.shelf.state, Closed), "the lock")


def close(running: Any, window: Window) -> None:
    del running
    window.close()


def hide(running: Any, window: Window) -> None:
    del running
    window.hide()


def other_language(running: Any, window: Window) -> None:
    select(window.settings.language, window.settings.language.findData("ar"))
    wait_for(lambda: running.window is not window, "the window made anew")


def a_minute(running: Any, window: Window) -> None:
    del running
    window.settings.microphone._began_s -= 60.0
    wait_for(lambda: "after a minute" in window.settings.microphone.words.text(), "the end by itself")


@pytest.mark.parametrize("go", [leave, lock, close, hide, other_language, a_minute])
def test_however_it_is_left_nothing_listens_any_more(
    room: Room, asked: list[str], heard: FakeMicrophone, go: Callable[[Any, Window], None]
) -> None:
    running, window, choice = settings(room)
    begin(window, choice)
    wait_for(lambda: choice.words.text() == HEARD, "the speech")
    go(running, window)
    wait_for(lambda: not heard.is_open, "the end", at_most_s=1.0)


def test_the_camera_is_no_reason_to_stop(room: Room, asked: list[str], heard: FakeMicrophone) -> None:
    _running, window, choice = settings(room)
    begin(window, choice)
    wait_for(lambda: choice.words.text() == HEARD, "the speech")
    window.settings.camera.box.activated.emit(0)
    pause(100)
    assert heard.is_open


def test_a_sound_system_that_hangs_does_not_make_the_window_wait(
    room: Room, asked: list[str], heard: FakeMicrophone
) -> None:
    heard.answers = threading.Event()
    _running, window, choice = settings(room)
    worker = choice._worker
    assert worker is not None
    begin(window, choice)
    pause(100)
    assert "being opened" in choice.words.text()
    began_s = time.monotonic()
    window.go_to_scan()
    assert time.monotonic() - began_s < 0.6
    assert window.pages.currentWidget() is window.scan
    heard.answers.set()  # it answers after all: what was opened is closed again
    wait_for(lambda: not worker._thread.is_alive(), "the thread")
    assert heard.opened == 1 and not heard.is_open


def test_none_at_all_is_told(room: Room) -> None:
    _running, window, choice = settings(room)
    assert "No microphone was found" in choice.words.text() and not choice.try_it.isEnabled()
    shot(window, "microphone-none")


def test_why_they_can_not_be_listed_is_told(room: Room) -> None:
    def microphones() -> Sequence[MicrophoneEntry]:
        raise EnvironmentFault(title="The library PortAudio is missing", remedy="Install it.")

    room.parts = replace(room.parts, microphones=microphones)
    _running, _window, choice = settings(room)
    assert choice.words.text() == "The library PortAudio is missing. Install it."


def test_a_chosen_one_that_is_not_there_stays_chosen(
    room: Room, asked: list[str], heard: FakeMicrophone
) -> None:
    _running, window, choice = settings(room, microphone="ALSA: Phone: Webcam")
    assert choice.box.currentText() == "Phone: Webcam (not there now)"
    begin(window, choice)
    wait_for(lambda: heard.wanted == ["ALSA: Phone: Webcam"], "that one")


@pytest.mark.parametrize(
    ("state", "language", "theme", "percent"),
    [
        ("light", "en", "light", 100),
        ("dark", "en", "dark", 100),
        ("ar", "ar", "light", 100),
        ("200", "en", "dark", 200),
    ],
)
def test_the_bar_grows_from_where_the_line_begins(
    room: Room, asked: list[str], heard: FakeMicrophone, state: str, language: str, theme: str, percent: int
) -> None:
    _running, window, choice = settings(room, language=language, theme=theme, text_percent=percent)
    begin(window, choice)
    wait_for(lambda: choice.meter._share > 0.0, "a level")
    window.settings.ensureWidgetVisible(choice.words)
    window.settings.ensureWidgetVisible(choice.try_it)
    shot(window, f"microphone-{state}")
    image = choice.meter.grab().toImage()
    middle, length = image.height() // 2, image.width()
    share = 1.0 - 28.0 / 70.0
    filled = [image.pixelColor(x, middle).name() for x in range(8, round(share * length) - 8)]
    empty = [image.pixelColor(x, middle).name() for x in range(round(share * length) + 8, length - 8)]
    if language == "ar":
        filled, empty = (
            [image.pixelColor(length - 1 - x, middle).name() for x in range(8, round(share * length) - 8)],
            [
                image.pixelColor(length - 1 - x, middle).name()
                for x in range(round(share * length) + 8, length - 8)
            ],
        )
    assert len(set(filled)) == len(set(empty)) == 1 and filled[0] != empty[0]


@pytest.mark.slow
def test_a_tone_of_a_real_sound_server_moves_the_bar(room: Room) -> None:
    """The shipped parts, through PortAudio; silent at first, then −20 dB."""
    with sound_server() as server:
        shipped = real_parts(room.parts.clock)
        room.parts = replace(
            room.parts, microphones=shipped.microphones, microphone_level=shipped.microphone_level
        )
        _running, window, choice = settings(room)
        assert choice.box.findText("PulseAudio") == 1
        begin(window, choice)
        wait_for(lambda: choice.words.text() == ONLY_SILENCE, "the silence")
        shot(window, "microphone-silence")
        server.play(0.1)
        wait_for(lambda: choice.meter._share == pytest.approx(1.0 - 20.0 / 70.0, abs=0.01), "the tone")
        assert choice.words.text() == HEARD
        server.end()
        wait_for(lambda: "stopped" in choice.words.text(), "the end")
        began_s = time.monotonic()
        window.go_to_scan()
        assert time.monotonic() - began_s < 0.6
