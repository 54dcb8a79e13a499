"""Reading aloud in the settings: voices listed when they are shown, a sentence when somebody presses, silence however they are left."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAccessible
from PySide6.QtTest import QTest

from client.devices.ports import Manner
from client.errors import EnvironmentFault
from client.parts import VoiceEntry
from client.ui.pages.voice import VoiceChoice
from client.ui.preferences import PreferencesFile
from client.ui.shelf import Open
from client.ui.window import Window
from tests.ui.conftest import Room
from tests.ui.fake_talk import with_talks
from tests.ui.looking import click, pause, shot, wait_for
from tests.ui.test_microphone import select

AMERICAN, SCOTTISH = VoiceEntry("gmw/en-US", "English (America)"), VoiceEntry("gmw/sco", "English (Scotland)")


@dataclass
class Readers:
    """Whatever was read, and how; a test says when it ends. lists: which languages were asked for."""

    read_as: list[tuple[str, Manner]] = field(default_factory=list)
    lists: list[str] = field(default_factory=list)
    found: Sequence[VoiceEntry] | EnvironmentFault = (AMERICAN, SCOTTISH)
    reading: bool = False
    trouble: str = ""
    closed: int = 0

    def voices(self, language: str) -> Sequence[VoiceEntry]:
        self.lists.append(language)
        if isinstance(self.found, EnvironmentFault):
            raise self.found
        return self.found

    def make(self, language: str, manner: Callable[[], Manner]) -> Readers:
        self.manner = manner
        return self

    def read(self, text: str) -> None:
        self.read_as.append((text, self.manner()))
        self.reading = True

    def close(self) -> None:
        self.closed += 1
        self.reading = False


@pytest.fixture
def readers(room: Room) -> Readers:
    made = Readers()
    room.parts = replace(room.parts, voices=made.voices, reader=made.make)
    return made


def settings(room: Room, **preferences: object) -> tuple[Any, Window, VoiceChoice]:
    running = room.start(**preferences)
    wait_for(lambda: isinstance(running.shelf.state, Open), "an open store")
    window: Window = running.window
    window.go_to_settings()
    choice = window.settings.voice
    wait_for(lambda: choice._listed is None, "the list")
    window.settings.ensureWidgetVisible(choice.try_it)
    pause(30)
    return running, window, choice


def test_a_voice_and_a_speed_are_chosen_tried_and_kept(room: Room, readers: Readers) -> None:
    talks = with_talks(room)
    _running, window, choice = settings(room)
    window.go_to_chat()
    assert talks.manner() == Manner()
    window.go_to_settings()
    wait_for(lambda: choice._listed is None and choice.box.count() == 3, "the list")
    window.settings.ensureWidgetVisible(choice.try_it)
    pause(30)
    assert [choice.box.itemText(at) for at in range(3)] == [
        "The system's choice",
        AMERICAN.name,
        SCOTTISH.name,
    ]
    select(choice.box, 2)
    select(choice.speed, choice.speed.findData(80))
    wanted = Manner("gmw/sco", 80)
    assert talks.manner() == wanted, "a conversation under way reads so from now on"
    kept = PreferencesFile(room.folder / "window.ini").load()
    assert (kept.voice, kept.speech_percent) == ("gmw/sco", 80)
    click(choice.try_it)
    [(text, manner)] = readers.read_as
    assert "read aloud" in text and manner == wanted and choice.try_it.text() == "Stop"
    shot(window, "settings-voice")
    click(choice.try_it)
    assert readers.closed == 1 and choice.try_it.text() == "Try it"
    click(choice.try_it)
    readers.reading = False
    wait_for(lambda: choice.try_it.text() == "Try it", "its end")
    click(choice.try_it)
    window.go_to_history()
    assert not readers.reading and choice._reader is None


def test_a_conversation_that_goes_on_keeps_no_window_that_was_made_anew(room: Room, readers: Readers) -> None:
    talks = with_talks(room)
    running, window, _choice = settings(room)
    window.go_to_chat()
    window.go_to_scan()
    before = weakref.ref(window)
    del window, _choice
    running.rebuild()
    running.preferences.speech_percent = 150
    assert talks.manner() == Manner("", 150)
    pause(100)
    gc.collect()
    assert before() is None


def test_it_is_done_by_keyboard_and_has_names(room: Room, readers: Readers) -> None:
    _running, window, choice = settings(room, voice=SCOTTISH.id, speech_percent=90)
    assert choice.box.currentText() == SCOTTISH.name and choice.speed.currentText() == "90 %"
    assert [one.accessibleName() for one in (choice.speed, choice.box, choice.try_it)] == [
        "Speed of reading aloud",
        "Voice",
        "Try how it is read aloud",
    ]
    window.activateWindow()
    wait_for(window.isActiveWindow, "the window in front")
    choice.speed.setFocus()
    QTest.keyClick(choice.speed, Qt.Key.Key_Down)
    assert readers.read_as == []
    QTest.keyClick(choice.speed, Qt.Key.Key_Tab)
    assert choice.box.hasFocus()
    QTest.keyClick(choice.box, Qt.Key.Key_Tab)
    assert choice.try_it.hasFocus()
    QTest.keyClick(choice.try_it, Qt.Key.Key_Space)
    [(_text, manner)] = readers.read_as
    assert manner == Manner(SCOTTISH.id, 100)
    interface = QAccessible.queryAccessibleInterface(choice.try_it)
    assert interface.text(QAccessible.Text.Name) == "Stop reading"


def test_what_stands_against_it_is_told(room: Room, readers: Readers) -> None:
    readers.found = EnvironmentFault(title="Nothing can read", remedy="Install it.")
    _running, window, choice = settings(room, voice=SCOTTISH.id)
    assert choice.words.text() == "Nothing can read. Install it."
    click(choice.try_it)
    readers.trouble, readers.reading = "The loudspeaker is busy.", False
    wait_for(lambda: choice.words.text() == "The loudspeaker is busy.", "the word")
    window.go_to_history()
    readers.found = ()
    window.go_to_settings()
    wait_for(lambda: "no voice" in choice.words.text(), "the word")
    assert window._preferences.voice == SCOTTISH.id, (
        "of another language perhaps: it stays chosen for that one"
    )
    assert readers.lists == ["en", "en"]


def test_numbers_that_make_no_sense_are_none(room: Room) -> None:
    (room.folder / "window.ini").write_text("[General]\nspeech_percent=1000\nvoice=x\n")
    kept = PreferencesFile(room.folder / "window.ini").load()
    assert (kept.speech_percent, kept.voice) == (200, "x")
