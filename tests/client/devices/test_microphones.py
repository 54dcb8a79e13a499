"""Microphones: how they are listed, what one says of itself, and every trouble with its sentence; with a PortAudio that is a script."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.devices import microphones as module
from client.devices.microphones import Microphone, may_not_listen, microphones
from client.devices.portaudio import PortAudio
from client.errors import EnvironmentFault, SourceStalled
from tests.client.pipeline.fakes import HandClock
from tests.stand_ins.fake_sound import RATE, FakeSound, PortAudioError, device

ROOT = Path(__file__).resolve().parents[3]
BLOCK = RATE // 10


def tone(amplitude: float) -> Any:
    """A tenth of a second of a sine of 1 kHz. amplitude: of full scale, 0 to 1."""
    return amplitude * np.sin(2 * np.pi * 1000.0 * np.arange(BLOCK) / RATE)


@pytest.fixture
def sound(monkeypatch: pytest.MonkeyPatch) -> FakeSound:
    made = FakeSound()
    monkeypatch.setitem(sys.modules, "sounddevice", made)
    monkeypatch.setattr(module, "portaudio", PortAudio())
    monkeypatch.setattr(module, "may_not_listen", lambda: False)
    return made


def opened(sound: FakeSound, wanted: str = "") -> tuple[Microphone, HandClock]:
    clock = HandClock()
    made = Microphone(wanted, clock=clock)
    made.open()
    return made, clock


# Listing


def test_an_id_holds_no_number_of_a_card_and_no_index(sound: FakeSound) -> None:
    before = microphones()
    sound.plugged = [device("Phone: Webcam (hw:0,0)"), device("Desk: USB Audio (hw:3,0)"), device("default")]
    after = microphones()
    assert [one.id for one in before] == ["ALSA: Desk: USB Audio"]
    assert [one.id for one in after] == ["ALSA: Phone: Webcam", "ALSA: Desk: USB Audio"]
    assert (before[0].index, after[1].index) == (0, 1) and after[1].name == "Desk: USB Audio"


def test_what_is_plugged_in_later_is_seen_for_portaudio_is_started_again(sound: FakeSound) -> None:
    assert len(microphones()) == 1
    sound.plugged.insert(0, device("Headset: USB Audio (hw:2,0)"))
    assert len(microphones()) == 2
    microphone, _ = opened(sound)
    starts = sound.starts
    assert len(microphones()) == 2 and sound.starts == starts  # not while one of them is open
    microphone.close()
    microphones()
    assert sound.starts == starts + 1


def test_two_that_are_called_the_same_are_told_apart(sound: FakeSound) -> None:
    sound.plugged = [device("USB: Audio (hw:1,0)"), device("USB: Audio (hw:2,0)"), device("default")]
    assert [one.id for one in microphones()] == ["ALSA: USB: Audio", "ALSA: USB: Audio #2"]
    assert len({one.name for one in microphones()}) == 2


def test_speakers_and_ways_to_the_same_are_not_listed(sound: FakeSound) -> None:
    names = ("HDMI (hw:0,3)", "sysdefault", "upmix", "pulse", "Laptop (hw:0,0)", "default")
    sound.plugged = [device(name, inputs=0 if "HDMI" in name else 32) for name in names]
    assert [(one.name, one.id) for one in microphones()] == [
        ("PulseAudio", "ALSA: pulse"),
        ("Laptop", "ALSA: Laptop"),
    ]


def test_windows_lists_each_once_and_other_systems_all(sound: FakeSound) -> None:
    sound.ways = ["MME", "Windows WASAPI", "Windows WDM-KS"]
    sound.plugged = [
        device("Headset Microphone (Realtek Hi", 0),
        device("Headset Microphone (Realtek High)", 1),
    ]
    sound.plugged += [device("Headset Microphone ()", 2), device("Input (Array)", 1)]
    assert [one.index for one in microphones()] == [1, 3]
    sound.ways, sound.plugged = (
        ["Core Audio"],
        [device("MacBook Pro Microphone"), device("Speakers", inputs=0)],
    )
    assert [one.id for one in microphones()] == ["Core Audio: MacBook Pro Microphone"]


def test_the_system_s_own_is_listed_where_it_is_all_there_is(sound: FakeSound) -> None:
    sound.plugged, sound.own = [device("mine"), device("default")], 1
    assert [one.id for one in microphones()] == ["ALSA: default"]
    sound.plugged, sound.own = [], -1
    assert microphones() == ()


# Hearing


@pytest.mark.parametrize("amplitude", [1.0, 0.5, 0.1, 0.001])
def test_a_sine_has_the_level_of_its_amplitude(sound: FakeSound, amplitude: float) -> None:
    microphone, _ = opened(sound)
    assert microphone.level() is None
    sound.streams[0].hear(tone(amplitude))
    level = microphone.level()
    assert level is not None and not level.only_zeros
    assert level.dbfs == pytest.approx(20.0 * math.log10(amplitude), abs=0.01)


def test_only_zeros_are_told_after_a_second_and_forgotten_at_the_first_sound(sound: FakeSound) -> None:
    microphone, _ = opened(sound)
    told = []
    for _ in range(11):
        sound.streams[0].hear(np.zeros(BLOCK))
        told.append(microphone.level())
    assert [one is not None and one.only_zeros for one in told] == [False] * 9 + [True] * 2
    assert told[-1] is not None and told[-1].dbfs == -200.0
    whisper = np.zeros(BLOCK)
    whisper[7] = 1e-9
    sound.streams[0].hear(whisper)
    level = microphone.level()
    assert level is not None and not level.only_zeros and -200.0 <= level.dbfs < -150.0


@pytest.mark.parametrize("sample", [math.nan, math.inf, 1e30, 1e-30])
def test_a_driver_that_sends_rubbish_breaks_nothing(sound: FakeSound, sample: float) -> None:
    microphone, _ = opened(sound)
    sound.streams[0].hear(np.full(BLOCK, sample))
    assert microphone.level() is not None


def test_only_the_newest_block_counts_and_none_is_kept(sound: FakeSound) -> None:
    microphone, _ = opened(sound)
    for amplitude in (0.5, 0.1):
        sound.streams[0].hear(tone(amplitude))
    level = microphone.level()
    assert level is not None and level.dbfs == pytest.approx(-20.0, abs=0.01)
    kept = [value for value in vars(microphone).values() if isinstance(value, (np.ndarray, list, bytes))]
    assert kept == []


def test_the_chosen_one_is_opened_and_by_default_the_system_s_own(sound: FakeSound) -> None:
    opened(sound)[0].close()
    chosen, _ = opened(sound, "ALSA: Desk: USB Audio")
    assert [stream.wanted["device"] for stream in sound.streams] == [1, 0]
    assert {stream.wanted["channels"] for stream in sound.streams} == {1}
    chosen.close()
    assert all(stream.closed for stream in sound.streams) and vars(module)["portaudio"].streams == 0


# Trouble


def fault_of(wanted: str = "") -> EnvironmentFault:
    with pytest.raises(EnvironmentFault) as told:
        Microphone(wanted).open()
    assert not told.value.title.endswith(".") and told.value.remedy.endswith(".")
    assert vars(module)["portaudio"].streams == 0
    return told.value


@pytest.mark.parametrize("when", ["refuses", "refuses_start"])
@pytest.mark.parametrize(
    ("number", "words"),
    [(-9985, "used by another program"), (-9997, "can't be opened"), (-9999, "can't be opened")],
)
def test_one_that_can_not_be_opened_says_why(sound: FakeSound, when: str, number: int, words: str) -> None:
    setattr(sound, when, PortAudioError("Error opening InputStream: …", number))
    assert words in fault_of("ALSA: Desk: USB Audio").title
    assert all(stream.closed for stream in sound.streams)


def test_one_that_is_not_there_any_more_is_named(sound: FakeSound) -> None:
    assert fault_of("ALSA: Headset").title == "Headset is not there"


def test_no_microphone_and_no_right_to_one_are_told_apart(
    sound: FakeSound, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound.plugged, sound.own = [], -1
    assert "No microphone" in fault_of().title
    monkeypatch.setattr(module, "may_not_listen", lambda: True)
    assert "usermod -aG audio" in fault_of().remedy
    with pytest.raises(EnvironmentFault, match="may not use"):
        microphones()


def test_whether_this_account_may_listen_is_asked_of_the_cards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not may_not_listen(tmp_path)
    (tmp_path / "pcmC0D0p").touch()  # plays only
    assert not may_not_listen(tmp_path)
    (tmp_path / "pcmC0D0c").touch()
    assert not may_not_listen(tmp_path)
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert may_not_listen(tmp_path)


def test_one_that_is_unplugged_says_so(sound: FakeSound) -> None:
    microphone, _ = opened(sound)
    sound.streams[0].hear(tone(0.1))
    sound.streams[0].die()
    with pytest.raises(EnvironmentFault, match="unplugged"):
        microphone.level()
    microphone.close()
    assert microphone.level() is None


def test_one_that_sends_nothing_is_waited_for_longer_at_first(sound: FakeSound) -> None:
    microphone, clock = opened(sound)
    clock.at_s += 4.9
    assert microphone.level() is None
    clock.at_s += 0.2
    with pytest.raises(SourceStalled, match="sends nothing"):
        microphone.level()
    sound.streams[0].hear(tone(0.1))  # it has come after all
    assert microphone.level() is not None
    clock.at_s += 1.6
    with pytest.raises(SourceStalled):
        microphone.level()


def test_a_sound_system_that_fails_says_so(sound: FakeSound) -> None:
    sound.fails = PortAudioError("PortAudio not initialized", -10000)
    with pytest.raises(EnvironmentFault, match="can't be used"):
        microphones()
    sound.fails = None
    assert len(microphones()) == 1


def test_a_sound_system_that_hangs_keeps_nobody_waiting_for_ever(
    sound: FakeSound, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def hang() -> list[Any]:
        asked.set()
        go_on.wait(10)
        return [{"name": "ALSA"}]

    monkeypatch.setattr(sound, "query_hostapis", hang)
    hanging = threading.Thread(target=microphones)
    hanging.start()
    asked.wait(5)
    with pytest.raises(EnvironmentFault, match="does not answer"), vars(module)["portaudio"].asked(0.05):
        pass
    go_on.set()
    hanging.join(5)


def test_opening_after_closing_opens_nothing(sound: FakeSound) -> None:
    microphone = Microphone()
    microphone.close()
    microphone.open()
    assert sound.streams == [] and microphone.level() is None


WITHOUT = """
import ctypes.util
ctypes.util.find_library = lambda name: None
from client.devices.microphones import Microphone, microphones
from client.errors import EnvironmentFault
for ask in (microphones, Microphone().open):
    try:
        ask()
    except EnvironmentFault as fault:
        print(f"{fault.title}. {fault.remedy}")
"""


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the wheels of other systems bring PortAudio"
)
def test_without_portaudio_it_says_what_to_install() -> None:
    """The real sounddevice, in an interpreter that finds no PortAudio."""
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert ran.stdout.count("PortAudio is missing") == ran.stdout.count("libportaudio2") == 2


def test_without_sounddevice_it_says_how_to_repair(sound: FakeSound, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(EnvironmentFault, match="sounddevice can't be loaded"):
        microphones()
