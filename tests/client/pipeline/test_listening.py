"""The ears: utterances, our own voice, the button, and microphones that are silent, hang or were unplugged."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest

from client.devices.ports import Level, SoundBlock
from client.pipeline import listening as module
from client.pipeline.listening import BargedIn, Listener, NothingHeard, Overheard, SpeechOdds
from edge_models.speech import Began, Continued, Ended
from edge_models.types import Float32Array
from tests.client.pipeline.fakes import HandClock
from tests.client.pipeline.talk_fakes import (
    BLOCK_S,
    CodedOdds,
    Room,
    eventually,
    fault,
    stalled,
)


@dataclass
class Own:
    """Our voice as the test has it. ends_s: when it was last heard."""

    clock: HandClock
    began_s: float | None = None
    ended_s: float = float("-inf")
    stops: bool = True
    interrupted: int = 0
    asked: int = 0
    moves: int = 0
    sound: Float32Array = field(default_factory=lambda: np.zeros(512, np.float32))

    def playing_s(self, now_s: float) -> float | None:
        return None if self.began_s is None else now_s - self.began_s

    def silent_s(self, now_s: float) -> float:
        return 0.0 if self.began_s is not None else now_s - self.ended_s

    def played(self, n: int) -> Float32Array:
        self.asked += n > 0
        return self.sound[:n]

    def interrupt(self) -> bool:
        self.interrupted += 1
        if self.stops:
            self.began_s, self.ended_s = None, self.clock.now_s()
        return self.stops


class Ears:
    """A listener in a room, and what it has told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "_AGAIN_S", (0.01, 0.01, 0.01))
        self.clock = HandClock()
        self.room, self.own, self.odds = Room(self.clock), Own(self.clock), CodedOdds()
        self.told: list[Overheard] = []
        self.loads: list[Exception] = []
        self.listener = Listener(self.room.microphone, self._load, self.own, self.clock, self.told.append)

    def _load(self) -> SpeechOdds:
        if self.loads:
            raise self.loads.pop()
        return self.odds

    def open(self, *, hands_free: bool = True) -> None:
        self.listener.listen(hands_free=hands_free)
        self.room.hear(0.0, 3)

    def kinds(self) -> list[str]:
        """What was told, without how an utterance goes on."""
        return [type(one.what).__name__ for one in self.told if not isinstance(one.what, Continued)]

    def ended(self) -> Ended:
        return next(one.what for one in reversed(self.told) if isinstance(one.what, Ended))


@pytest.fixture
def ears(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ears]:
    made = Ears(monkeypatch)
    yield made
    assert made.listener.end(2.0)


def test_an_utterance_is_told_while_it_is_said_and_at_its_end(ears: Ears) -> None:
    ears.open()
    ears.room.hear(0.95, 20)
    spoken_until_s = ears.clock.at_s
    ears.room.hear(0.0, 17)
    assert ears.kinds() == ["Began", "Ended"]
    ended = ears.ended()
    assert not ended.short and ended.t_s == pytest.approx(spoken_until_s, abs=2 * BLOCK_S)
    assert ended.told_s - ended.t_s <= 0.7
    pushed = [one.what.samples for one in ears.told if isinstance(one.what, (Began, Continued))]
    assert sum(map(len, pushed)) >= len(ended.samples) >= 20 * 512
    assert not ears.told[0].over_voice
    assert ears.own.asked == 40, "the echo's reference is one stream beside the microphone's"


def test_somebody_stops_our_voice_with_the_first_block_and_is_heard_from_the_beginning(ears: Ears) -> None:
    ears.open()
    ears.own.began_s = ears.clock.at_s - 5.0
    ears.own.sound = np.random.default_rng(3).normal(0.0, 0.001, 512).astype(np.float32)
    ears.room.hear(0.0, 20)
    assert ears.told == []
    began_s = ears.clock.at_s
    ears.room.hear(0.95, 20)
    ears.room.hear(0.0, 17)
    barged = ears.told[0].what
    assert isinstance(barged, BargedIn) and barged.t_s - began_s <= 2.5 * BLOCK_S
    assert ears.kinds() == ["BargedIn", "Began", "Ended"] and ears.own.interrupted == 1
    assert all(one.over_voice for one in ears.told)
    assert len(ears.ended().samples) >= 19 * 512


def test_our_own_voice_in_the_microphone_is_nobody(ears: Ears) -> None:
    ears.open()
    rng = np.random.default_rng(7)
    ears.own.began_s = ears.clock.at_s
    microphone = ears.room.now()
    for _ in range(60):
        ears.clock.at_s += BLOCK_S
        ears.own.sound = rng.normal(0.0, 0.1, 512).astype(np.float32)
        microphone.give(SoundBlock(0.5 * ears.own.sound, ears.clock.at_s))
        eventually(lambda: microphone.idle)
    assert ears.told == [] and ears.own.interrupted == 0


@pytest.mark.parametrize("moved_by", [-640, 1600])
def test_our_own_voice_is_nobody_where_it_comes_after_another_time(ears: Ears, moved_by: int) -> None:
    """A device had no sound in time, or sound was lost. What was learned of the echo before would leave it as loud as somebody who speaks."""
    ears.open()
    sound = np.random.default_rng(7).normal(0.0, 0.1, 400 * 512).astype(np.float32)
    ears.own.began_s = ears.clock.at_s
    microphone, late = ears.room.now(), 1280
    for at in range(10, 180):
        if at == 120:
            late += moved_by
            ears.own.moves += 1
        ears.clock.at_s += BLOCK_S
        ears.own.sound = sound[at * 512 : (at + 1) * 512]
        microphone.give(SoundBlock(0.3 * sound[at * 512 - late : (at + 1) * 512 - late], ears.clock.at_s))
        eventually(lambda: microphone.idle)
    assert ears.told == [] and ears.own.interrupted == 0


def test_sound_that_waited_is_taken_for_what_it_was_when_it_was_heard(ears: Ears) -> None:
    """The processor was busy, and our voice has ended long before its last words are read."""
    ears.open()
    ears.own.began_s = ears.clock.at_s - 5.0
    ears.own.sound = np.random.default_rng(7).normal(0.0, 0.1, 512).astype(np.float32)
    heard_s = ears.clock.at_s
    ears.clock.at_s += 1.5
    ears.own.began_s, ears.own.ended_s = None, heard_s + 0.5
    microphone = ears.room.now()
    for at in range(1, 20):
        microphone.give(SoundBlock((0.5 + 0.95) / 2.0 * ears.own.sound, heard_s + at * BLOCK_S))
        eventually(lambda: microphone.idle)
    assert ears.told == []


def test_the_echo_after_our_voice_is_nobody_and_later_everybody_is(ears: Ears) -> None:
    ears.open()
    ears.own.ended_s = ears.clock.at_s
    ears.room.hear(0.02, 14)  # too quiet to be anybody
    assert ears.told == []
    ears.room.hear(0.95, 10)
    assert ears.kinds() == ["Began"] and ears.told[0].over_voice, "less than 2 s after it"
    ears.room.hear(0.0, 17)
    ears.clock.at_s += 3.0
    ears.room.hear(0.95, 10)
    assert not ears.told[-1].over_voice


def test_what_must_be_heard_goes_on_and_so_does_whoever_speaks(ears: Ears) -> None:
    ears.open()
    ears.own.stops = False
    ears.own.began_s = ears.clock.at_s - 5.0
    ears.room.hear(0.95, 12)
    ears.room.hear(0.0, 17)
    assert ears.kinds() == ["Began", "Ended"] and ears.own.interrupted > 0


def test_with_a_button_only_what_is_said_while_it_is_down(ears: Ears) -> None:
    ears.open(hands_free=False)
    ears.room.hear(0.95, 10)
    assert ears.told == []
    ears.listener.hold(down=True)
    ears.room.hear(0.0, 30)
    ears.room.hear(0.95, 10)
    ears.listener.hold(down=False)
    ears.room.hear(0.95, 1)  # was said before, and comes late
    ears.room.hear(0.95, 10)
    assert ears.kinds() == ["Began", "Ended"]
    assert 21 * 512 <= len(ears.ended().samples) <= 23 * 512, "with 0.35 s before it"
    ears.told.clear()
    ears.listener.hold(down=True)
    ears.room.hear(0.95, 20)
    ears.room.hear(0.0, 30)
    ears.listener.hold(down=False)
    ears.room.hear(0.0, 1)
    assert len(ears.ended().samples) <= 27 * 512, "0.2 s after it"


def test_a_button_without_a_word(ears: Ears) -> None:
    ears.open(hands_free=False)
    ears.listener.hold(down=True)
    ears.room.hear(0.0, 10)
    ears.listener.hold(down=False)
    ears.room.hear(0.0, 1)
    assert [one.what for one in ears.told] == [NothingHeard()]
    ears.listener.hold(down=True)
    ears.room.hear(0.95, 1)
    ears.listener.hold(down=False)
    ears.room.hear(0.0, 1)
    assert ears.ended().short


def test_a_button_that_is_held_for_ever(ears: Ears, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_HELD_MOST_S", 1.0)
    ears.open(hands_free=False)
    ears.listener.hold(down=True)
    ears.room.hear(0.95, 40)
    assert ears.ended().cut


def test_silence_that_is_none_is_explained(ears: Ears) -> None:
    ears.open()
    ears.room.level = Level(-200.0, only_zeros=True)
    ears.room.hear(0.0, 1)
    assert "perfect silence" in ears.listener.microphone.trouble
    ears.room.level = Level(-50.0, only_zeros=False)
    ears.room.hear(0.0, 1)
    assert ears.listener.microphone.trouble == "" and ears.listener.microphone.loudness == ears.room.level


def test_a_microphone_that_hangs_is_told_and_opened_anew(ears: Ears) -> None:
    ears.open()
    ears.room.hear(0.95, 10)
    first = ears.room.now()
    first.give(stalled())
    eventually(lambda: "sends nothing" in ears.listener.microphone.trouble)
    assert first.is_open
    ears.room.hear(0.0, 1)
    assert ears.listener.microphone.trouble == ""
    for _ in range(3):
        first.give(stalled())
    eventually(lambda: len(ears.room.microphones) == 2 and ears.room.open)
    eventually(lambda: not ears.room.microphones[0].is_open)
    assert ears.ended().short, "what was being said is not all of it"
    ears.room.hear(0.0, 3)
    ears.room.speech()
    assert not ears.ended().short


def test_one_that_is_unplugged_is_told_and_used_once_it_is_back(ears: Ears) -> None:
    ears.open()
    ears.room.refuses = fault("It is not there")
    ears.room.now().give(fault("It was unplugged"))
    eventually(lambda: "not there" in ears.listener.microphone.trouble)
    assert ears.listener.microphone.name == ""
    eventually(lambda: len(ears.room.microphones) > 3)
    ears.room.refuses = None
    ears.room.hear(0.0, 1)
    assert ears.listener.microphone.trouble == "" and ears.listener.microphone.name == "Desk microphone"


def test_a_source_that_ends_is_not_opened_again(ears: Ears) -> None:
    ears.open()
    ears.room.now().give(None)
    eventually(lambda: ears.listener.microphone.ended)
    assert len(ears.room.microphones) == 1 and not ears.room.open


@pytest.mark.parametrize("bug", [False, True])
def test_without_a_net_nobody_listens(ears: Ears, monkeypatch: pytest.MonkeyPatch, *, bug: bool) -> None:
    shown: list[object] = []
    monkeypatch.setattr(threading, "excepthook", shown.append)
    ears.loads = [ZeroDivisionError() if bug else fault("The net is missing")]
    ears.listener.listen(hands_free=True)
    if bug:
        eventually(lambda: ears.listener.microphone.ended)
        assert len(shown) == 1 and "Typing works" in ears.listener.microphone.trouble
        assert not ears.room.microphones
    else:
        ears.room.hear(0.0, 1)  # it is there the next time
        assert not shown


def test_at_rest_the_device_is_closed_even_where_it_hangs(ears: Ears) -> None:
    ears.open()
    ears.listener.rest()
    eventually(lambda: not ears.room.open and ears.listener.microphone.name == "")
    ears.listener.listen(hands_free=True)
    microphone = ears.room.now()
    microphone.hangs = True
    time.sleep(0.02)
    ears.listener.rest()
    eventually(lambda: not microphone.is_open)


def test_what_was_heard_before_is_forgotten(ears: Ears) -> None:
    ears.open()
    ears.room.hear(0.95, 10)
    ears.listener.forget()
    ears.room.hear(0.0, 17)
    assert ears.kinds() == ["Began", "Ended"] and ears.ended().short
    ears.room.speech()
    assert ears.kinds() == ["Began", "Ended", "Began", "Ended"]
    assert len(ears.ended().samples) <= 36 * 512


def test_off_and_on_again_at_once_is_on(ears: Ears) -> None:
    ears.open()
    ears.listener.rest()
    ears.listener.listen(hands_free=True)
    eventually(lambda: len(ears.room.microphones) == 2 and ears.room.open, lambda: ears.listener.microphone)
    assert not ears.listener.microphone.ended and not ears.room.microphones[0].is_open


def test_what_is_forgotten_while_it_is_said_has_an_end(ears: Ears) -> None:
    ears.open()
    ears.room.hear(0.95, 20)
    ears.listener.forget()
    ears.room.hear(0.0, 1)
    assert ears.kinds() == ["Began", "Ended"] and ears.ended().short and not len(ears.ended().samples)
