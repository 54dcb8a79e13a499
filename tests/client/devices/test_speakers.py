"""The loudspeaker: plays at once, falls silent at once, and tells in one unbroken stream what it plays; with a PortAudio that is a script,
and once with the real one, where a sound server's microphone hears what it plays.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from types import SimpleNamespace

import numpy as np
import pytest

from client.devices import speakers as module
from client.devices.microphones import MicrophoneSound
from client.devices.portaudio import PortAudio
from client.devices.speakers import RATE_HZ, Loudspeaker
from client.errors import EnvironmentFault
from edge_models.types import FloatArray
from tests.stand_ins.fake_sound import FakeSound, FakeStream, PortAudioError, device
from tests.stand_ins.sound_server import sound_server

BLOCK = 512
PATIENCE_S = 60.0


@pytest.fixture
def portaudio() -> PortAudio:
    return PortAudio()


@pytest.fixture
def sound(monkeypatch: pytest.MonkeyPatch, portaudio: PortAudio) -> FakeSound:
    made = FakeSound(own_speaker=1)
    monkeypatch.setitem(sys.modules, "sounddevice", made)
    monkeypatch.setattr(module, "portaudio", portaudio)
    return made


def opened(sound: FakeSound, rate: int = 48_000) -> tuple[Loudspeaker, FakeStream]:
    sound.plugged = [device("Desk", rate=rate), device("default", rate=rate)]
    speaker = Loudspeaker()
    assert speaker.open() == "default"
    return speaker, sound.streams[-1]


def spoken(stream: FakeStream, blocks: int) -> FloatArray:
    return np.concatenate([stream.speak() for _ in range(blocks)])


def tone(length_s: float, rate_hz: int, hz: float = 440.0) -> FloatArray:
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(int(length_s * rate_hz)) / rate_hz)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("given", [16_000, 22_050, 24_000])
def test_what_is_given_is_played_at_the_rate_of_the_device(sound: FakeSound, rate: int, given: int) -> None:
    speaker, stream = opened(sound, rate)
    speaker.play(tone(0.5, given).astype(np.float32), given)
    assert speaker.waiting_s == pytest.approx(0.5, abs=0.01)
    heard = spoken(stream, 30)
    assert np.count_nonzero(np.abs(heard) > 1e-3) / rate == pytest.approx(0.5, abs=0.02)
    crossings = np.flatnonzero(np.diff(np.signbit(heard[: int(0.45 * rate)])))
    assert len(crossings) / 2 / 0.45 == pytest.approx(440.0, rel=0.02)
    assert speaker.waiting_s == 0.0
    speaker.close()


def test_sentences_follow_each_other_without_a_gap(sound: FakeSound) -> None:
    speaker, stream = opened(sound)
    for value in (0.1, 0.2, 0.3):
        speaker.play(np.full(1_000, value, np.float32), 48_000)
    heard = spoken(stream, 4)
    np.testing.assert_allclose(
        heard[:3_000], np.repeat(np.array([0.1, 0.2, 0.3], np.float32), 1_000), atol=1e-6
    )
    assert not heard[3_000:].any()
    speaker.close()


def test_stop_is_silence_within_a_block_and_does_not_crack(sound: FakeSound) -> None:
    speaker, stream = opened(sound)
    speaker.play(np.full(48_000, 0.8, np.float32), 48_000)
    spoken(stream, 5)
    speaker.stop()
    heard = spoken(stream, 10)
    assert not heard[int(0.005 * 48_000) :].any(), "silent after 5 ms"
    assert float(np.abs(np.diff(heard)).max()) < 0.05
    assert speaker.waiting_s == 0.0
    speaker.play(np.full(480, 0.5, np.float32), 48_000)
    assert spoken(stream, 1)[:480].min() == pytest.approx(0.5), "it can speak again"
    speaker.stop()
    speaker.stop()
    speaker.close()


def test_rubbish_is_made_harmless(sound: FakeSound) -> None:
    speaker, stream = opened(sound)
    speaker.play(np.array([np.nan, np.inf, -np.inf, 7.0, -7.0], np.float32), 48_000)
    speaker.play(np.zeros(0, np.float32), 22_050)
    heard = spoken(stream, 1)
    np.testing.assert_array_equal(heard[:5], [0.0, 1.0, -1.0, 1.0, -1.0])
    speaker.close()


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_what_is_played_is_one_unbroken_stream_beside_the_microphone(
    sound: FakeSound, rate: int, rng: np.random.Generator
) -> None:
    """Blocks of the loudspeaker come unevenly beside those of 32 ms, and nothing is missing or twice."""
    speaker, stream = opened(sound, rate)
    noise = np.convolve(rng.standard_normal(8 * RATE_HZ), np.ones(8) / 8, "same").astype(np.float32) * 0.2
    speaker.play(noise, RATE_HZ)
    told: list[FloatArray] = []
    out = 0
    due_s = 0.0
    for _ in range(220):
        due_s += 0.032
        while out * 0.02 < due_s + rng.choice([-0.02, 0.0, 0.02]):
            stream.speak()
            out += 1
        told.append(speaker.played(BLOCK).astype(np.float64))
    left = np.concatenate(told)
    first = int(np.flatnonzero(np.abs(left) > 1e-4)[0])
    whole = left[first + 5 * RATE_HZ // 2 :].astype(np.float64)
    lags = [
        int(np.argmax(np.correlate(noise[: 7 * RATE_HZ], whole[at : at + 4_000], "valid"))) - at
        for at in range(0, len(whole) - 8_000, 8_000)
    ]
    assert len(lags) > 4 and len(set(lags)) == 1, "one constant lag"
    beside = noise[lags[0] : lags[0] + len(whole)]
    assert np.corrcoef(whole[: len(beside)], beside)[0, 1] > (0.9 if rate == 8_000 else 0.99)
    speaker.close()


def beside_a_device(speaker: Loudspeaker, stream: FakeStream, asks_ahead: Sequence[int]) -> FloatArray:
    """What it tells with each 32 ms of a microphone, while the device plays on without a gap. asks_ahead: for each of them, how many blocks of
    20 ms the device has asked for before it has to.
    """
    told, asked = [], 0
    for at, ahead in enumerate(asks_ahead):
        wanted = -(-(at + 1) * BLOCK // (RATE_HZ // 50)) + ahead
        for _ in range(wanted - asked):
            stream.speak()
        asked = max(asked, wanted)
        told.append(speaker.played(BLOCK))
    return np.concatenate(told).astype(np.float64)


def leads(told: FloatArray, sound: FloatArray) -> list[int]:
    """By how many samples what is told comes before it is heard, where what is heard is the sound itself; for each half second."""
    half, found = RATE_HZ // 2, []
    for at in range(RATE_HZ, len(told) - half, half):
        begins = at - RATE_HZ
        cross = np.correlate(sound[begins : at + RATE_HZ + half], told[at : at + half], "valid")
        best = int(np.argmax(cross))
        beside = sound[begins + best : begins + best + half]
        assert np.corrcoef(beside, told[at : at + half])[0, 1] > 0.99, (
            "nothing is missing, and nothing is twice"
        )
        found.append(begins + best - at)
    return found


def test_a_device_that_is_held_up_moves_nothing(sound: FakeSound, rng: np.random.Generator) -> None:
    """A processor that is busy: it asks for each block as late as it can, for seconds. What is told of our voice then, and not before, must neither
    have holes nor come later than it is heard: the rest of it would be taken for somebody who speaks.
    """
    speaker, stream = opened(sound)
    noise = np.convolve(rng.standard_normal(12 * RATE_HZ), np.ones(8) / 8, "same") * 0.2
    speaker.play(noise.astype(np.float32), RATE_HZ)
    ahead = [3] * 60 + [int(one) for one in rng.integers(0, 2, 150)] + [3] * 60
    moves = speaker.moves
    found = leads(beside_a_device(speaker, stream, ahead), noise)
    assert len(found) > 10 and len(set(found)) == 1 and found[0] >= 0, found
    assert speaker.moves == moves
    speaker.close()


def test_a_listener_that_is_held_up_moves_nothing(sound: FakeSound, rng: np.random.Generator) -> None:
    """It reads the sound that waits for it faster afterwards, and each block finds beside it what was played then."""
    speaker, stream = opened(sound)
    noise = np.convolve(rng.standard_normal(12 * RATE_HZ), np.ones(8) / 8, "same") * 0.2
    speaker.play(noise.astype(np.float32), RATE_HZ)
    told, asked = [], 0
    for at in range(250):
        held_up_until = 130 if 100 <= at < 130 else at  # for about a second
        wanted = -(-(held_up_until + 1) * BLOCK // (RATE_HZ // 50)) + 2
        for _ in range(wanted - asked):
            stream.speak()
        asked = max(asked, wanted)
        told.append(speaker.played(BLOCK))
    found = leads(np.concatenate(told).astype(np.float64), noise)
    assert len(found) > 10 and len(set(found)) == 1 and found[0] >= 0, found
    speaker.close()


def test_sound_that_a_microphone_loses_moves_what_is_told_and_that_is_known(
    sound: FakeSound, rng: np.random.Generator
) -> None:
    speaker, stream = opened(sound)
    noise = np.convolve(rng.standard_normal(16 * RATE_HZ), np.ones(8) / 8, "same") * 0.2
    speaker.play(noise.astype(np.float32), RATE_HZ)
    beside_a_device(speaker, stream, [2] * 80)
    moves = speaker.moves
    spoken(stream, 10)  # 0.2 s of which nothing is heard
    told, asked = [], 0
    for at in range(200):
        wanted = -(-(at + 1) * BLOCK // (RATE_HZ // 50)) + 2
        for _ in range(wanted - asked):
            stream.speak()
        asked = wanted
        told.append(speaker.played(BLOCK))
    assert speaker.moves == moves + 1
    begins = 80 * BLOCK + 10 * 320
    assert (
        min(leads(np.concatenate(told)[100 * BLOCK :].astype(np.float64), noise[begins + 100 * BLOCK :])) >= 0
    )
    speaker.close()


def test_a_device_that_had_no_sound_in_time_makes_a_move(sound: FakeSound) -> None:
    speaker, _ = opened(sound)
    block = np.zeros((960, 1), np.float32)
    moves = speaker.moves
    speaker._speak(block, 960, None, SimpleNamespace(output_underflow=False))
    assert speaker.moves == moves
    speaker._speak(block, 960, None, SimpleNamespace(output_underflow=True))
    assert speaker.moves == moves + 1
    speaker.close()


def test_what_a_device_throws_away_that_had_no_sound_in_time_is_not_told_later_than_what_follows_is_heard(
    sound: FakeSound, rng: np.random.Generator
) -> None:
    """PortAudio asks for one block after the other until the device runs again, and none of these is heard: here 0.4 s of them."""
    speaker, stream = opened(sound)
    noise = np.convolve(rng.standard_normal(12 * RATE_HZ), np.ones(8) / 8, "same") * 0.2
    speaker.play(noise.astype(np.float32), RATE_HZ)
    beside_a_device(speaker, stream, [2] * 80)
    for _ in range(20):
        speaker._speak(np.zeros((960, 1), np.float32), 960, None, SimpleNamespace(output_underflow=True))
    told = beside_a_device(speaker, stream, [2] * 100)
    begins = (-(-80 * BLOCK // 320) + 2 + 20) * 320
    found = leads(told, noise[begins:])
    assert len(found) > 3 and min(found) >= 0, found
    speaker.close()


def test_silence_that_was_told_is_played_before_what_comes_after_it(
    sound: FakeSound, rng: np.random.Generator
) -> None:
    """The device asks late, and meanwhile somebody lets it speak: what it plays is as it was told, after the same time as before."""
    speaker, stream = opened(sound)
    noise = (np.convolve(rng.standard_normal(RATE_HZ), np.ones(8) / 8, "same") * 0.2).astype(np.float32)
    heard, told = [], []
    for at in range(140):
        if at in {
            10,
            80,
        }:  # the second time just after silence was told that the device has not asked for yet
            speaker.play(noise, RATE_HZ)
        if at not in {78, 79}:
            heard += [stream.speak() for _ in range(5 if at == 80 else 1 if at % 5 in {0, 2} else 2)]
        told.append(speaker.played(BLOCK))
    places = []
    for stream_of in (np.concatenate(heard)[::3], np.concatenate(told)):
        cross = np.correlate(stream_of.astype(np.float64), noise.astype(np.float64), "valid")
        middle = len(cross) // 2
        places.append((int(np.argmax(cross[:middle])), middle + int(np.argmax(cross[middle:]))))
    assert places[0][1] - places[0][0] == places[1][1] - places[1][0], places
    speaker.close()


def test_a_microphone_that_begins_is_told_nothing_of_before(sound: FakeSound) -> None:
    speaker, stream = opened(sound)
    speaker.play(np.full(48_000, 0.5, np.float32), 48_000)
    speaker.played(BLOCK)
    spoken(stream, 50)
    moves = speaker.moves
    assert speaker.played(0).shape == (0,)
    assert speaker.moves == moves + 1
    assert not speaker.played(BLOCK).any()
    spoken(stream, 2)
    speaker.play(np.full(48_000, -0.5, np.float32), 48_000)
    assert not (speaker.played(BLOCK) > 0.3).any()
    speaker.close()


def test_whoever_asks_late_is_brought_up_to_now(sound: FakeSound) -> None:
    speaker, stream = opened(sound)
    for at in range(150):
        speaker.play(np.full(960, at / 200, np.float32), 48_000)
    spoken(stream, 150)
    newest = [speaker.played(BLOCK) for _ in range(3)]
    assert float(np.concatenate(newest).max()) > 145 / 200 - 0.1
    assert float(newest[0].min()) > 0.6, "not what was played three seconds ago"
    speaker.close()


def test_before_anything_is_played_there_is_silence(sound: FakeSound) -> None:
    speaker, stream = opened(sound)
    assert speaker.played(BLOCK).shape == (BLOCK,)
    spoken(stream, 20)
    assert not speaker.played(BLOCK).any()
    speaker.close()


def test_one_that_is_not_there_says_what_to_do(sound: FakeSound) -> None:
    sound.own_speaker = -1
    with pytest.raises(EnvironmentFault, match="No loudspeaker was found") as told:
        Loudspeaker().open()
    assert "only shown" in told.value.remedy


@pytest.mark.parametrize("when", ["refuses", "refuses_start"])
def test_one_that_can_not_be_opened_leaves_nothing_open(
    sound: FakeSound, portaudio: PortAudio, when: str
) -> None:
    setattr(sound, when, PortAudioError("busy", -9985))
    speaker = Loudspeaker()
    with pytest.raises(EnvironmentFault, match="can't be opened"):
        speaker.open()
    assert all(stream.closed for stream in sound.streams)
    assert portaudio.streams == 0
    speaker.close()


def test_one_that_is_unplugged_says_so_when_it_shall_speak(sound: FakeSound) -> None:
    speaker, stream = opened(sound)
    speaker.play(np.full(48_000, 0.1, np.float32), 48_000)
    stream.die()
    with pytest.raises(EnvironmentFault, match="unplugged"):
        speaker.play(np.zeros(10, np.float32), 16_000)
    assert speaker.waiting_s == 0.0, "nobody waits for what is never heard"
    speaker.stop()
    speaker.close()


def test_closing_is_safe_twice_and_before_opening(sound: FakeSound, portaudio: PortAudio) -> None:
    Loudspeaker().close()
    speaker, stream = opened(sound)
    speaker.play(np.full(4_800, 0.1, np.float32), 48_000)
    speaker.close()
    speaker.close()
    assert stream.closed and speaker.waiting_s == 0.0
    assert portaudio.streams == 0


# With the real PortAudio


@pytest.fixture
def pair() -> Iterator[tuple[Loudspeaker, MicrophoneSound]]:
    with sound_server():
        speaker, microphone = Loudspeaker(), MicrophoneSound()
        speaker.open()
        microphone.open()
        try:
            yield speaker, microphone
        finally:
            microphone.close()
            speaker.close()


def beside(pair: tuple[Loudspeaker, MicrophoneSound], seconds: float) -> tuple[FloatArray, FloatArray]:
    """What the microphone hears and what the loudspeaker says it plays, block by block [shape=(n,) each]."""
    speaker, microphone = pair
    heard, played = [], []
    for _ in range(int(seconds / 0.032)):
        block = microphone.read()
        assert block is not None
        heard.append(block.samples)
        played.append(speaker.played(BLOCK))
    return np.concatenate(heard).astype(np.float64), np.concatenate(played).astype(np.float64)


def lag_of(heard: FloatArray, played: FloatArray) -> int:
    """By how many samples what is heard comes later."""
    size = 2 * len(heard)
    cross = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(played, size)), size)
    best = int(np.argmax(cross))
    return best if best < len(heard) else best - size


def later_by(sound: FloatArray, part: float) -> FloatArray:
    """The same by a part of a sample later."""
    turns = np.fft.rfft(sound) * np.exp(-2j * np.pi * np.fft.rfftfreq(len(sound)) * part)
    return np.fft.irfft(turns, len(sound))


def unmoved(
    pair: tuple[Loudspeaker, MicrophoneSound], seconds: float, voice: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """As `beside`, of a time in which the loudspeaker had sound in time, by its own word: a machine that is held up makes it move, and says so."""
    speaker, _ = pair
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        if speaker.waiting_s < seconds + 2.0:
            speaker.play(voice.astype(np.float32), RATE_HZ)
        moves = speaker.moves
        found = beside(pair, seconds)
        if speaker.moves == moves:
            return found
        assert time.monotonic() < deadline_s, "it is moved all the time"


@pytest.mark.parametrize("part", [0.0, 0.25, 0.5, 0.75])
def test_what_is_heard_a_part_of_a_sample_later_is_the_same(part: float, rng: np.random.Generator) -> None:
    """A device that begins again after it had no sound begins between two samples of ours."""
    sound = np.convolve(rng.standard_normal(RATE_HZ), np.ones(6) / 6, "same")
    heard = later_by(sound, part)
    assert best_likeness(heard, sound) > 0.99
    assert best_likeness(np.roll(heard, 40), sound) < 0.5, "of another time"
    heard[4_000:4_480] = 0.0
    assert best_likeness(heard, sound) < 0.99, "with a hole of 30 ms"


def best_likeness(heard: FloatArray, played: FloatArray) -> float:
    """The greatest correlation within a sample of each other: a lag need not be a whole number of them."""
    parts = np.arange(-16, 17) / 16
    return max(float(np.corrcoef(heard, later_by(played, part))[0, 1]) for part in parts)


@pytest.mark.slow
def test_what_is_played_is_heard_at_one_lag_and_stops_at_once(
    pair: tuple[Loudspeaker, MicrophoneSound], rng: np.random.Generator
) -> None:
    speaker, _ = pair
    beside(pair, 1.0)  # both streams have begun
    voice = np.convolve(rng.standard_normal(12 * RATE_HZ), np.ones(6) / 6, "same") * 0.1
    speaker.play(voice.astype(np.float32), RATE_HZ)
    beside(pair, 1.5)
    heard, played = unmoved(pair, 4.0, voice)
    lag = lag_of(heard, played)
    assert 0 <= lag < 0.32 * RATE_HZ, "in the reach of the echo canceller, and never before it is told"
    for at in range(0, len(heard) - 2 * RATE_HZ, RATE_HZ):  # the same lag all the time
        one, other = heard[at + lag : at + lag + RATE_HZ], played[at : at + RATE_HZ]
        assert best_likeness(one, other) > 0.99
    began_s = time.monotonic()
    speaker.stop()
    assert speaker.waiting_s < 0.02
    last_s = began_s
    silent = 0
    while silent < 15:
        block, _ = beside(pair, 0.033)
        if float(np.sqrt(np.mean(block**2))) > 1e-3:
            last_s, silent = time.monotonic(), 0
        else:
            silent += 1
        assert time.monotonic() - began_s < 5.0
    assert last_s - began_s < 0.2
