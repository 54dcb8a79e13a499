"""The contract of `client.devices.ports.LevelSource`, held to every adapter."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from client.devices import microphones
from client.devices.microphones import Microphone
from client.devices.portaudio import PortAudio
from client.devices.ports import Level, LevelSource
from client.errors import EnvironmentFault
from tests.stand_ins.fake_microphone import FakeMicrophone
from tests.stand_ins.fake_sound import FakeSound
from tests.stand_ins.sound_server import sound_server

GONE = EnvironmentFault(title="It is gone", remedy="Plug it in again.")
Make = Callable[[str], LevelSource]
"""Of a source with that id; "nowhere" is none."""


class Heard(FakeSound):
    """A PortAudio whose streams hear something as soon as they are opened."""

    def InputStream(self, **wanted: object) -> object:  # type: ignore[override]  # noqa: N802 (sounddevice's name)
        stream = super().InputStream(**wanted)
        stream.hear(np.full(4800, 0.1))
        return stream


def _scripted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    monkeypatch.setitem(sys.modules, "sounddevice", Heard())
    monkeypatch.setattr(microphones, "portaudio", PortAudio())
    yield Microphone


def _played(_monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    with sound_server():
        yield Microphone


def _told(_monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    heard = Level(-20.0, only_zeros=False)
    yield lambda wanted: FakeMicrophone(heard, GONE if wanted == "nowhere" else None)


@pytest.fixture(params=[_told, _scripted, pytest.param(_played, marks=pytest.mark.slow)])
def make(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    yield from request.param(monkeypatch)


def newest(source: LevelSource) -> Level:
    deadline_s = time.monotonic() + 10.0
    while (level := source.level()) is None:
        assert time.monotonic() < deadline_s, "nothing was heard"
        time.sleep(0.02)
    return level


def test_a_life(make: Make) -> None:
    source = make("")
    assert source.level() is None
    source.open()
    level = newest(source)
    assert math.isfinite(level.dbfs) and -200.0 <= level.dbfs <= 3.1  # a square wave of full scale has 3.01
    source.close()
    assert source.level() is None
    source.close()


def test_asking_does_not_wait(make: Make) -> None:
    source = make("")
    source.open()
    newest(source)
    began_s = time.perf_counter()
    for _ in range(100):
        source.level()
    assert time.perf_counter() - began_s < 0.1
    source.close()


def test_closing_before_opening_is_nothing(make: Make) -> None:
    source = make("")
    source.close()
    assert source.level() is None


def test_another_can_be_opened_afterwards(make: Make) -> None:
    for _ in range(2):
        source = make("")
        source.open()
        newest(source)
        source.close()


def test_one_that_can_not_be_opened_says_what_to_do(make: Make) -> None:
    source = make("nowhere")
    with pytest.raises(EnvironmentFault) as told:
        source.open()
    assert told.value.title and not told.value.title.endswith(".") and told.value.remedy.endswith(".")
    assert source.level() is None
    source.close()
