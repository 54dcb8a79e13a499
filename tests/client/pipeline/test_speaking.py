"""Our voice: one sentence after the other, silent at once, and never stuck where something does not work."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence

import pytest

from client.devices.ports import Voice
from client.pipeline.speaking import Sentence, Speaker
from client.pipeline.talk_state import Highlight
from tests.client.pipeline.fakes import HandClock
from tests.client.pipeline.talk_fakes import Box, FakeVoice, eventually, fault


class Mouth:
    """A speaker, its voices and its loudspeaker."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.box, self.voice, self.clinics = Box(self.clock), FakeVoice(), FakeVoice("the clinic's voice")
        self.boxes = 0
        self.speaker = Speaker(self._box, self._voices, "en", self.clock)

    def _box(self) -> Box:
        self.boxes += 1
        return self.box

    def _voices(self, firm: bool) -> Sequence[Voice]:
        return [self.voice] if firm else [self.clinics, self.voice]

    def say(self, *texts: str, firm: bool = False) -> None:
        self.speaker.say([Sentence(text, Highlight(0, at), firm) for at, text in enumerate(texts)])

    def at(self) -> int | None:
        found = self.speaker.highlight
        return None if found is None else found.sentence


@pytest.fixture
def mouth() -> Iterator[Mouth]:
    made = Mouth()
    yield made
    assert made.speaker.end(2.0)


def test_the_highlight_is_what_is_heard_and_one_sentence_is_made_ahead(mouth: Mouth) -> None:
    mouth.say("One.", " ", "Two.", "Three.", "Four.")
    eventually(lambda: len(mouth.box.given) == 2)
    assert mouth.clinics.said == ["One.", "Two."] and mouth.at() == 0
    mouth.clock.at_s += 0.9
    assert mouth.at() == 0 and mouth.speaker.playing_s(mouth.clock.at_s) == pytest.approx(0.9)
    mouth.clock.at_s += 0.2
    assert mouth.at() == 2, "a blank one is none"
    eventually(lambda: len(mouth.box.given) == 3)
    mouth.clock.at_s += 1.0
    assert mouth.at() == 3
    eventually(lambda: len(mouth.box.given) == 4)
    mouth.clock.at_s += 2.0
    eventually(lambda: not mouth.speaker.speaking)
    assert mouth.at() is None and mouth.speaker.playing_s(mouth.clock.at_s) is None
    assert mouth.speaker.silent_s(mouth.clock.at_s + 1.0) == pytest.approx(1.0)
    assert mouth.speaker.said_lately(mouth.clock.at_s) == ["One.", "Two.", "Three.", "Four."]
    assert mouth.speaker.said_lately(mouth.clock.at_s + 16.0) == []
    assert mouth.box.opened == 1 and mouth.speaker.voice == "the clinic's voice"


def test_it_was_never_heard_before_it_speaks(mouth: Mouth) -> None:
    assert mouth.speaker.silent_s(mouth.clock.at_s) == float("inf")
    assert mouth.speaker.playing_s(mouth.clock.at_s) is None
    assert not mouth.speaker.played(512).any()
    assert not mouth.speaker.interrupt()


def test_it_is_silent_at_once_and_the_rest_is_not_said(mouth: Mouth) -> None:
    mouth.say("One.", "Two.", "Three.")
    eventually(lambda: len(mouth.box.given) == 2)
    mouth.clock.at_s += 0.5
    assert mouth.speaker.interrupt()
    assert mouth.box.waiting_s == 0.0 and mouth.at() is None and not mouth.speaker.speaking
    assert mouth.speaker.said_lately(mouth.clock.at_s) == ["One."], "what was begun"
    mouth.say("Four.")
    eventually(lambda: mouth.clinics.said[-1] == "Four.")
    assert "Three." not in mouth.clinics.said


def test_what_is_being_made_while_it_is_stopped_is_not_heard(mouth: Mouth) -> None:
    mouth.clinics.gate = threading.Event()
    mouth.say("One.")
    eventually(lambda: mouth.speaker._making is not None)
    mouth.speaker.stop()
    mouth.clinics.gate.set()
    mouth.say("Two.")
    eventually(lambda: mouth.clinics.said == ["One.", "Two."])
    eventually(lambda: len(mouth.box.given) == 1)
    assert mouth.at() == 0


def test_what_has_to_be_heard_is_by_this_devices_voice_and_nobody_interrupts_it(mouth: Mouth) -> None:
    mouth.say("Call 112.", firm=True)
    eventually(lambda: mouth.at() == 0)
    assert mouth.voice.said == ["Call 112."] and mouth.clinics.said == []
    assert not mouth.speaker.interrupt() and mouth.at() == 0
    mouth.speaker.stop()
    assert mouth.at() is None


def test_where_one_voice_fails_the_next_speaks_and_it_rests(mouth: Mouth) -> None:
    mouth.clinics.fails = fault()
    mouth.say("One.")
    eventually(lambda: mouth.voice.said == ["One."])
    mouth.clinics.fails = None
    mouth.say("Two.")
    eventually(lambda: mouth.voice.said == ["One.", "Two."])
    mouth.clock.at_s += 61.0
    eventually(lambda: not mouth.speaker.speaking)
    mouth.say("Three.")
    eventually(lambda: mouth.clinics.said == ["Three."])


def test_without_any_voice_it_says_why_and_works_later(mouth: Mouth) -> None:
    mouth.clinics.fails = mouth.voice.fails = fault()
    mouth.say("One.", "Two.")
    eventually(lambda: "read this aloud" in mouth.speaker.trouble)
    assert not mouth.speaker.speaking and mouth.speaker.voice == ""
    mouth.voice.fails = None
    mouth.say("Three.")
    eventually(lambda: mouth.voice.said == ["Three."] and mouth.at() == 0)
    assert mouth.speaker.trouble == ""


def test_a_loudspeaker_that_is_gone_is_told_and_opened_anew(mouth: Mouth) -> None:
    mouth.box.refuses = fault("No loudspeaker was found")
    mouth.say("One.")
    eventually(lambda: "No loudspeaker" in mouth.speaker.trouble)
    mouth.box.refuses = None
    mouth.say("Two.")
    eventually(lambda: mouth.at() == 0)
    mouth.box.breaks = fault("It was unplugged")
    mouth.say("Three.", "Four.")
    eventually(lambda: "unplugged" in mouth.speaker.trouble and not mouth.speaker.speaking)
    assert mouth.box.closed == 2, "it was tried once more"
    mouth.box.breaks = None
    mouth.say("Five.")
    eventually(lambda: mouth.at() == 0)
    assert mouth.box.opened == 3 and mouth.speaker.trouble == ""


def test_a_bug_of_ours_is_shown_and_it_goes_on(mouth: Mouth, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[object] = []
    monkeypatch.setattr(threading, "excepthook", shown.append)
    mouth.clinics.fails = ZeroDivisionError()
    mouth.say("One.")
    eventually(lambda: "bug" in mouth.speaker.trouble)
    assert len(shown) == 1
    mouth.clinics.fails = None
    mouth.say("Two.")
    eventually(lambda: mouth.at() == 0)


def test_after_its_end_nothing_is_said_and_the_device_is_closed(mouth: Mouth) -> None:
    mouth.say("One.")
    eventually(lambda: mouth.at() == 0)
    assert mouth.speaker.end(2.0)
    mouth.say("Two.")
    assert mouth.box.closed == 1 and mouth.clinics.said == ["One."] and not mouth.speaker.speaking


def test_a_loudspeaker_that_was_unplugged_before_is_opened_anew_for_the_same_sentence(mouth: Mouth) -> None:
    mouth.say("One.")
    eventually(lambda: len(mouth.box.given) == 1)
    mouth.clock.at_s += 2.0
    broken, mouth.box = mouth.box, Box(mouth.clock)
    broken.breaks = fault()
    mouth.say("Call 112.", "Sit down.", firm=True)
    eventually(lambda: len(mouth.box.given) == 2)
    assert broken.closed == 1 and mouth.voice.said == ["Call 112.", "Sit down."] and not mouth.speaker.trouble


def test_the_thread_holds_nothing_of_what_was_said(mouth: Mouth) -> None:
    """It waits for the next, maybe for hours."""
    mouth.say("One.")
    eventually(lambda: len(mouth.box.given) == 1)
    mouth.speaker.forget()

    def held() -> list[object]:
        frame = sys._current_frames().get(mouth.speaker._thread.ident or 0)
        found: list[object] = []
        while frame is not None:
            for one in frame.f_locals.values():
                found += one if isinstance(one, tuple) else [one]
            frame = frame.f_back
        return [one for one in found if isinstance(one, Sentence)]

    eventually(lambda: not held(), held)
