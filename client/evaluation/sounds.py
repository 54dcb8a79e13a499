"""Speech, noise and rooms for the benchmarks of what the assistant hears: 16 kHz, one channel, full scale ±1, nothing written anywhere.

Speech is what recordings there are (a folder of WAV files, with no labels of their own) and what espeak-ng says, where it is installed.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import wave
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from client.errors import BadInput, EnvironmentFault
from edge_models.types import FloatArray

RATE_HZ = 16_000
NOISES = ("white", "pink", "brown", "hum", "clicks", "music", "babble")
"""Kinds of noise; babble is other people's speech, which a net for speech rightly hears."""
_FRAME = 320
"""20 ms: in these powers are measured."""
_TAPS = 24
"""Of the resampling filter, to each side, in periods of the lower rate."""
_CUTOFF = 0.94
_MOST_S = 180.0
_PAUSE_DB, _PAUSE_S, _PIECE_S = -30.0, 0.2, (1.5, 12.0)
_ACTIVE_DB = -25.0
_FAINT_DB = -15.0
_ESPEAK_WITHIN_S = 20.0
_NAME = "espeak-ng"


@dataclass(frozen=True, slots=True)
class Voice:
    """Somebody's sound: name, for tables; samples [shape=(n,)]; real: recorded, not synthetic."""

    name: str
    samples: FloatArray = field(repr=False)
    real: bool


def resampled(samples: FloatArray, rate_hz: int) -> FloatArray:
    """From rate_hz to 16 kHz, by a windowed sinc [shape=(n,) to (n · 16000 / rate_hz,)]."""
    if rate_hz == RATE_HZ or not len(samples):
        return samples
    band = _CUTOFF * min(1.0, RATE_HZ / rate_hz)
    reach = int(np.ceil(_TAPS / min(1.0, RATE_HZ / rate_hz)))
    at = np.arange(int(len(samples) * RATE_HZ / rate_hz)) * (rate_hz / RATE_HZ)
    padded = np.concatenate((np.zeros(reach), samples, np.zeros(reach + 1)))
    nearest = np.floor(at).astype(np.int64)
    found = np.zeros(len(at))
    for tap in range(-reach + 1, reach + 1):
        distance = at - nearest - tap
        weight = band * np.sinc(band * distance) * (0.5 + 0.5 * np.cos(np.pi * distance / (reach + 1)))
        found += padded[nearest + tap + reach] * weight
    return found


def wav(data: bytes, name: str) -> FloatArray:
    """A WAV file of 16 bits, its first channel at 16 kHz. Raises BadInput for another."""
    try:
        with wave.open(io.BytesIO(data)) as file:
            rate, channels, width = file.getframerate(), file.getnchannels(), file.getsampwidth()
            # One that was written to a pipe has no true length in its head
            raw = file.readframes(min(file.getnframes(), round(_MOST_S * rate)))
    except (wave.Error, EOFError) as error:
        raise _not_wav(name) from error
    if width != 2 or not 4_000 <= rate <= 192_000:
        raise _not_wav(name)
    whole = np.frombuffer(raw[: len(raw) // (2 * channels) * 2 * channels], "<i2").reshape(-1, channels)
    return resampled(whole[:, 0].astype(np.float64) / 32768.0, rate)


def _not_wav(name: str) -> BadInput:
    return BadInput(title=f"{name} is no WAV file of 16 bits", remedy="Convert it, or take it away.")


def recordings(folder: Path) -> list[Voice]:
    """What people said in the folder's WAV files, piece by piece, cut in pauses; nothing where there is no such folder."""
    found = []
    for path in sorted(folder.rglob("*.wav")):
        pieces = list(_pieces(wav(path.read_bytes(), path.name)))
        found += [Voice(f"{path.stem} {at}", piece, real=True) for at, piece in enumerate(pieces, 1)]
    return found


def _pieces(samples: FloatArray) -> Iterator[FloatArray]:
    whole = active_power(samples)
    yield from (one for one in _parts(samples) if active_power(one) > whole * 10 ** (_FAINT_DB / 10))


def _parts(samples: FloatArray) -> Iterator[FloatArray]:
    """Parts between pauses, none shorter than 1.5 s or much longer than 12 s, but those in which hardly anything is heard."""
    powers = powers_of(samples, _FRAME)
    if not powers.any():
        return
    quiet = powers < np.percentile(powers, 90) * 10 ** (_PAUSE_DB / 10)
    begin = run = 0
    for at, silent in enumerate(quiet):
        run = run + 1 if silent else 0
        length_s = (at - begin) * _FRAME / RATE_HZ
        if (run >= _PAUSE_S * RATE_HZ / _FRAME and length_s >= _PIECE_S[0]) or length_s >= _PIECE_S[1]:
            cut = at - run // 2
            yield samples[begin * _FRAME : cut * _FRAME]
            begin = cut
    if (len(quiet) - begin) * _FRAME / RATE_HZ >= _PIECE_S[0]:
        yield samples[begin * _FRAME :]


def can_speak() -> bool:
    """Whether espeak-ng is installed."""
    return shutil.which(_NAME) is not None


def spoken(text: str, voice: str, words_per_minute: int = 165, pitch: int = 50) -> FloatArray:
    """By espeak-ng. voice: as it names them ("en-us+f3"). Raises EnvironmentFault where it is not installed or does not know the voice."""
    program = shutil.which(_NAME)
    if program is None:
        raise EnvironmentFault(
            title="espeak-ng is not installed, so there are no synthetic voices",
            remedy="Install it (Debian: apt-get install espeak-ng), or give recordings.",
        )
    command = [program, "-v", voice, "-s", str(words_per_minute), "-p", str(pitch), "--stdin", "--stdout"]
    # A list of our own words; the text goes in through the pipe
    ended = subprocess.run(  # noqa: S603
        command, input=text.encode(), capture_output=True, timeout=_ESPEAK_WITHIN_S, check=False
    )
    if ended.returncode != 0 or not ended.stdout:
        raise EnvironmentFault(
            title=f"espeak-ng does not speak as {voice}", remedy="Install the whole package espeak-ng-data."
        )
    return wav(ended.stdout, voice)


def powers_of(samples: FloatArray, frame: int) -> FloatArray:
    """Mean power of each whole frame [shape=(n // frame,)]."""
    return np.asarray(np.mean(samples[: len(samples) // frame * frame].reshape(-1, frame) ** 2, axis=1))


def active_power(samples: FloatArray) -> float:
    """Mean power where somebody speaks: of frames of 20 ms within 25 dB of the 90th percentile; 0 for silence."""
    powers = powers_of(samples, _FRAME)
    if not powers.any():
        return 0.0
    return float(powers[powers > np.percentile(powers, 90) * 10 ** (_ACTIVE_DB / 10)].mean())


def at_level(samples: FloatArray, dbfs: float) -> FloatArray:
    """So loud where somebody speaks, dB of full scale (mean square 1)."""
    power = active_power(samples)
    return samples * np.sqrt(10 ** (dbfs / 10) / power) if power else samples


def noise(
    kind: str, samples: int, rng: np.random.Generator, talkers: list[Voice] | None = None
) -> FloatArray:
    """Of mean power 1 [shape=(samples,)]. kind: of NOISES. talkers: for babble, six of them at once."""
    made = _noise(kind, samples, rng, talkers or [])
    return np.asarray(made / np.sqrt(np.mean(made**2) + 1e-30))


def _noise(kind: str, samples: int, rng: np.random.Generator, talkers: list[Voice]) -> FloatArray:
    t_s = np.arange(samples) / RATE_HZ
    match kind:
        case "white":
            return rng.standard_normal(samples)
        case "pink" | "brown":
            spectrum = np.fft.rfft(rng.standard_normal(samples))
            frequency = np.fft.rfftfreq(samples, 1 / RATE_HZ)
            slope = 0.5 if kind == "pink" else 1.0
            spectrum *= np.where(frequency < 20.0, 0.0, np.maximum(frequency, 20.0) ** -slope)
            return np.fft.irfft(spectrum, samples)
        case "hum":  # of the mains and its overtones, a fan under it
            first = rng.choice([50.0, 60.0])
            tones = [np.sin(2 * np.pi * first * k * t_s + rng.uniform(0, 7)) / k for k in range(1, 13)]
            return np.asarray(np.sum(tones, axis=0) + 0.1 * rng.standard_normal(samples))
        case "clicks":  # of keys and doors: short bursts that ring
            return _bursts(samples, rng) + 1e-3 * rng.standard_normal(samples)
        case "music":
            return _music(samples, rng)
        case "babble":
            made = np.zeros(samples)
            for _ in range(6):
                talker = talkers[int(rng.integers(len(talkers)))].samples
                whole = np.tile(at_level(talker, -20.0), samples // len(talker) + 2)
                begin = int(rng.integers(len(talker)))
                made += whole[begin : begin + samples]
            return made
    raise ValueError(f"there is no noise {kind}")


def _bursts(samples: int, rng: np.random.Generator) -> FloatArray:
    made = np.zeros(samples)
    length = int(0.05 * RATE_HZ)
    t_s = np.arange(length) / RATE_HZ
    for at in np.flatnonzero(rng.random(samples) < 4.0 / RATE_HZ):
        ring = np.sin(2 * np.pi * rng.uniform(800, 5000) * t_s) + rng.standard_normal(length)
        burst = rng.uniform(0.2, 1.0) * ring * np.exp(-t_s / rng.uniform(0.003, 0.015))
        made[at : at + length] += burst[: samples - at]
    return made


def _music(samples: int, rng: np.random.Generator) -> FloatArray:
    """Chords of a scale with overtones, and a beat."""
    made = np.zeros(samples)
    step = int(0.25 * RATE_HZ)
    t_s = np.arange(2 * step) / RATE_HZ
    scale = 220.0 * 2 ** (np.array([0, 2, 4, 7, 9, 12, 14, 16]) / 12)
    for at in range(0, samples, step):
        note = np.zeros(len(t_s))
        for pitch in rng.choice(scale, 3):
            for overtone in range(1, 6):
                note += np.sin(2 * np.pi * pitch * overtone * t_s) / overtone**1.5
        note *= np.exp(-t_s / 0.2)
        if (at // step) % 2 == 0:
            note += rng.standard_normal(len(t_s)) * np.exp(-t_s / 0.02)
        made[at : at + len(t_s)] += note[: samples - at]
    return made


def room(t60_s: float, delay_s: float, rng: np.random.Generator) -> FloatArray:
    """From a loudspeaker to a microphone beside it: the direct sound, then what dies away by 60 dB in t60_s [shape=(n,)]."""
    length = int(t60_s * RATE_HZ)
    late = rng.standard_normal(length) * 10.0 ** (-3.0 * np.arange(length) / length)
    late[0] = np.abs(late).max() * rng.uniform(2.0, 4.0)
    return np.concatenate((np.zeros(int(delay_s * RATE_HZ)), late))


def heard_through(samples: FloatArray, way: FloatArray) -> FloatArray:
    """What comes of a sound through a room, as long as it [shape=(n,)]."""
    size = 1 << (len(samples) + len(way) - 1).bit_length()
    whole = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(way, size), size)
    return whole[: len(samples)]
