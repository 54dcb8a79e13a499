"""Speech, noise and rooms of the benchmark: at the level and the rate that they are said to have, and the same for the same chance."""

from __future__ import annotations

import io
import shutil
import wave
from pathlib import Path

import numpy as np
import pytest

from client.errors import BadInput, EnvironmentFault
from client.evaluation import sounds
from client.evaluation.sounds import NOISES, RATE_HZ, Voice
from edge_models.types import FloatArray


def tone(rate_hz: int, hz: float = 440.0, length_s: float = 1.0) -> FloatArray:
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(int(length_s * rate_hz)) / rate_hz)


def as_wav(samples: FloatArray, rate_hz: int, channels: int = 1, width: int = 2) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writing:
        writing.setnchannels(channels)
        writing.setsampwidth(width)
        writing.setframerate(rate_hz)
        writing.writeframes(np.repeat(np.round(samples * 32768), channels).astype("<i2").tobytes())
    return file.getvalue()


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 48_000])
def test_a_tone_is_the_same_tone_at_16_khz(rate: int) -> None:
    found = sounds.wav(as_wav(tone(rate), rate, channels=2), "tone")
    assert len(found) == pytest.approx(RATE_HZ, abs=2)
    inner = slice(1_000, 15_000)
    np.testing.assert_allclose(found[inner], tone(RATE_HZ)[: len(found)][inner], atol=5e-3)


def test_what_is_too_high_for_16_khz_is_gone() -> None:
    left = sounds.resampled(tone(48_000, hz=11_000.0), 48_000)[1_000:-1_000]
    assert 20 * np.log10(np.abs(left).max() / 0.5) < -50.0


@pytest.mark.parametrize("data", [b"", b"RIFF", b"<html>", as_wav(tone(8_000), 8_000, width=1)])
def test_what_is_no_wav_of_16_bits_is_bad_input(data: bytes) -> None:
    with pytest.raises(BadInput, match=r"x\.wav"):
        sounds.wav(data, "x.wav")


def test_recordings_are_cut_in_pauses_and_faint_pieces_are_left_out(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    loud, faint, pause = (
        rng.standard_normal(3 * RATE_HZ) * 0.1,
        rng.standard_normal(2 * RATE_HZ) * 1e-3,
        np.zeros(RATE_HZ),
    )
    whole = np.concatenate((loud, pause, loud, pause, faint, pause))
    (tmp_path / "one.wav").write_bytes(as_wav(whole, RATE_HZ))
    found = sounds.recordings(tmp_path)
    assert [one.name for one in found] == ["one 1", "one 2"]
    assert all(one.real and 2.5 < len(one.samples) / RATE_HZ < 5.0 for one in found)
    assert sounds.recordings(tmp_path / "nowhere") == []


def test_speech_is_measured_where_it_is_loud(rng: np.random.Generator) -> None:
    half = np.concatenate((rng.standard_normal(RATE_HZ) * 0.1, np.zeros(9 * RATE_HZ)))
    assert 10 * np.log10(sounds.active_power(half)) == pytest.approx(-20.0, abs=0.3)
    assert 10 * np.log10(sounds.active_power(sounds.at_level(half, -33.0))) == pytest.approx(-33.0, abs=0.3)
    assert not sounds.at_level(np.zeros(1_000), -20.0).any()


@pytest.mark.parametrize("kind", NOISES)
def test_noise_has_the_power_of_one_and_is_the_same_for_the_same_chance(kind: str) -> None:
    talkers = [Voice("a tone", tone(RATE_HZ), real=False)]
    one, two = (sounds.noise(kind, 2 * RATE_HZ, np.random.default_rng(3), talkers) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert len(one) == 2 * RATE_HZ and float(np.mean(one**2)) == pytest.approx(1.0)


def test_pink_and_brown_fall_with_frequency() -> None:
    def per_octave_db(kind: str) -> float:
        power = np.abs(np.fft.rfft(sounds.noise(kind, 1 << 17, np.random.default_rng(1)))) ** 2
        hz = np.fft.rfftfreq(1 << 17, 1 / RATE_HZ)
        low, high = (10 * np.log10(power[(hz > at) & (hz < 2 * at)].mean()) for at in (200, 3_200))
        return float(high - low) / 4

    assert per_octave_db("white") == pytest.approx(0.0, abs=0.3)
    assert per_octave_db("pink") == pytest.approx(-3.0, abs=0.3)
    assert per_octave_db("brown") == pytest.approx(-6.0, abs=0.3)


def test_there_is_no_other_noise(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match="no noise"):
        sounds.noise("another", 100, rng)


def test_a_room_is_late_and_dies_away(rng: np.random.Generator) -> None:
    way = sounds.room(0.3, 0.1, rng)
    assert not way[: int(0.1 * RATE_HZ)].any()
    late = way[int(0.1 * RATE_HZ) :]
    first, last = np.mean(late[1:500] ** 2), np.mean(late[-500:] ** 2)
    assert 10 * np.log10(last / first) == pytest.approx(-54.0, abs=4.0)
    impulse = np.zeros(RATE_HZ)
    impulse[0] = 1.0
    np.testing.assert_allclose(sounds.heard_through(impulse, way)[: len(way)], way, atol=1e-9)


@pytest.mark.skipif(not sounds.can_speak(), reason="there is no espeak-ng (Debian's package)")
def test_espeak_speaks_and_says_which_voice_it_does_not_know() -> None:
    said = sounds.spoken("One two three.", "en-us+f3")
    assert 0.5 < len(said) / RATE_HZ < 5.0 and float(np.abs(said).max()) > 0.05
    with pytest.raises(EnvironmentFault, match="does not speak as nobody"):
        sounds.spoken("One.", "nobody")


def test_without_espeak_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    assert not sounds.can_speak()
    with pytest.raises(EnvironmentFault, match="espeak-ng is not installed"):
        sounds.spoken("One.", "en")
