"""The contract of `client.devices.ports.SoundSource`, held to the microphone: blocks of 32 ms at 16 kHz, whatever the device's own rate."""

from __future__ import annotations

import sys
import threading
import time

import numpy as np
import pytest

from client.devices import microphones as module
from client.devices.microphones import BLOCK, RATE_HZ, MicrophoneSound
from client.devices.portaudio import PortAudio
from client.devices.ports import SoundBlock, SoundSource
from client.errors import EnvironmentFault, SourceStalled
from edge_models.types import FloatArray
from tests.client.pipeline.fakes import HandClock
from tests.stand_ins.fake_sound import FakeSound, FakeStream, PortAudioError, device
from tests.stand_ins.sound_server import sound_server

RATES = [8_000, 44_100, 48_000]


@pytest.fixture
def portaudio() -> PortAudio:
    return PortAudio()


@pytest.fixture
def sound(monkeypatch: pytest.MonkeyPatch, portaudio: PortAudio) -> FakeSound:
    made = FakeSound()
    monkeypatch.setitem(sys.modules, "sounddevice", made)
    monkeypatch.setattr(module, "portaudio", portaudio)
    monkeypatch.setattr(module, "may_not_listen", lambda: False)
    return made


def opened(sound: FakeSound, rate: int = 48_000) -> tuple[MicrophoneSound, FakeStream, HandClock]:
    sound.plugged = [device("Desk", rate=rate), device("default", rate=rate)]
    clock = HandClock()
    source: SoundSource
    source = made = MicrophoneSound(clock=clock)
    assert source.open() == "The system's own microphone"
    return made, sound.streams[-1], clock


def hear(stream: FakeStream, samples: FloatArray, clock: HandClock) -> None:
    """In the device's own blocks, each when it is over."""
    size, rate = stream.wanted["blocksize"], stream.wanted["samplerate"]
    for at in range(0, len(samples) - size + 1, size):
        clock.at_s += size / rate
        stream.hear(samples[at : at + size])


def waiting(source: MicrophoneSound, many: int) -> list[SoundBlock]:
    found = []
    for _ in range(many):
        block = source.read()
        assert block is not None
        found.append(block)
    return found


@pytest.mark.parametrize("rate", RATES)
def test_a_tone_comes_out_as_it_went_in_at_16_khz(sound: FakeSound, rate: int) -> None:
    source, stream, clock = opened(sound, rate)
    began_s = clock.at_s
    hear(stream, 0.5 * np.sin(2 * np.pi * 1000.0 * np.arange(rate) / rate), clock)
    blocks = waiting(source, 28)
    assert all(one.samples.shape == (BLOCK,) and one.samples.dtype == np.float32 for one in blocks)
    whole = np.concatenate([one.samples for one in blocks])[2_000:]
    spectrum = np.abs(np.fft.rfft(whole * np.hanning(len(whole))))
    assert float(np.argmax(spectrum)) * RATE_HZ / len(whole) == pytest.approx(1000.0, abs=3.0)
    assert float(np.sqrt(np.mean(whole**2))) == pytest.approx(0.5 / np.sqrt(2), rel=0.02)
    times_s = [one.t_s for one in blocks]
    steps_s = np.diff(times_s)
    assert (steps_s > 0).all() and float(np.mean(steps_s)) == pytest.approx(0.032, abs=0.002)
    assert times_s[-1] - began_s == pytest.approx(28 * 0.032, abs=0.06), "when it was recorded"
    source.close()


@pytest.mark.parametrize("rate", RATES)
def test_nothing_is_lost_or_twice(sound: FakeSound, rate: int, rng: np.random.Generator) -> None:
    """What is heard again after resampling by other means is the same, everywhere at the same lag."""
    source, stream, clock = opened(sound, rate)
    slow = np.convolve(rng.standard_normal(rate * 3 // 2), np.hanning(rate // 500), "same")
    slow = 0.3 * slow / np.abs(slow).max()
    hear(stream, slow, clock)
    whole = np.concatenate([one.samples for one in waiting(source, 40)]).astype(np.float64)
    at = np.arange(len(whole)) * rate / RATE_HZ
    lags = np.arange(-400, 401)
    inner = slice(1_000, len(whole) - 1_000)
    errors = [
        np.abs(np.interp(at - lag * rate / RATE_HZ, np.arange(len(slow)), slow)[inner] - whole[inner]).max()
        for lag in lags
    ]
    assert min(errors) < 0.03
    source.close()


def test_whoever_reads_slowly_loses_the_oldest(sound: FakeSound) -> None:
    source, stream, clock = opened(sound)
    size = stream.wanted["blocksize"]
    for at in range(150):  # 3 s; 2 s are kept
        clock.at_s += 0.02
        stream.hear(np.full(size, at / 200.0))
    blocks = waiting(source, 60)
    assert source.lost_s == pytest.approx(1.0)
    assert float(blocks[2].samples.mean()) > 49 / 200
    assert float(blocks[-1].samples.mean()) > 140 / 200, "the newest is there"
    source.close()


def test_zeros_are_sound_and_the_level_says_that_they_are_only_zeros(sound: FakeSound) -> None:
    source, stream, clock = opened(sound)
    hear(stream, np.zeros(60_000), clock)
    assert not any(one.samples.any() for one in waiting(source, 30))
    level = source.level()
    assert level is not None and level.only_zeros
    source.close()
    assert source.level() is None


def test_nothing_for_a_while_is_told_and_it_can_go_on(sound: FakeSound) -> None:
    source, stream, clock = opened(sound)
    clock.at_s += 6.0
    with pytest.raises(SourceStalled, match="sends nothing"):
        source.read()
    assert source.level() is None, "level does not raise"
    hear(stream, np.full(4_800, 0.1), clock)
    assert source.read() is not None
    source.close()


def test_one_that_is_unplugged_is_told_after_what_it_had_sent(sound: FakeSound) -> None:
    source, stream, clock = opened(sound)
    hear(stream, np.full(9_600, 0.1), clock)
    stream.die()
    waiting(source, 5)
    with pytest.raises(EnvironmentFault, match="was unplugged"):
        source.read()
    assert source.level() is None
    source.close()
    assert source.read() is None


def test_one_that_can_not_be_opened_leaves_nothing_open(sound: FakeSound, portaudio: PortAudio) -> None:
    sound.refuses_start = PortAudioError("busy", -9985)
    source = MicrophoneSound()
    with pytest.raises(EnvironmentFault, match="used by another program"):
        source.open()
    assert portaudio.streams == 0
    source.close()


def test_closing_ends_a_read_that_waits_and_is_safe_twice(sound: FakeSound) -> None:
    source, _, _ = opened(sound)
    found: list[SoundBlock | None] = []
    reader = threading.Thread(target=lambda: found.append(source.read()))
    reader.start()
    time.sleep(0.05)
    source.close()
    reader.join(2.0)
    assert not reader.is_alive() and found == [None]
    source.close()
    assert source.read() is None and source.level() is None


def test_closing_before_opening_is_nothing(sound: FakeSound) -> None:
    source = MicrophoneSound()
    source.close()
    assert source.read() is None
    source.open()
    assert source.read() is None and sound.streams == []


def test_what_was_heard_is_gone_after_close(sound: FakeSound) -> None:
    source, stream, clock = opened(sound)
    hear(stream, np.full(48_000, 0.1), clock)
    source.read()
    source.close()
    assert not source._waiting and not len(source._left)


def test_what_it_hears_is_not_printed(sound: FakeSound) -> None:
    source, stream, clock = opened(sound)
    hear(stream, np.full(9_600, 0.25), clock)
    assert "0.25" not in repr(source.read())
    source.close()


@pytest.mark.slow
def test_the_real_one_hears_what_is_played() -> None:
    with sound_server() as server:
        server.play(0.5)
        source = MicrophoneSound()
        source.open()
        for _ in range(300):
            block = source.read()
            assert block is not None
            if float(np.abs(block.samples).max()) > 0.4:
                break
        whole = np.concatenate([one.samples for one in waiting(source, 31)])
        spectrum = np.abs(np.fft.rfft(whole * np.hanning(len(whole))))
        assert float(np.argmax(spectrum)) * RATE_HZ / len(whole) == pytest.approx(1000.0, abs=3.0)
        assert source.lost_s == 0.0
        source.close()
