"""A second heart, on another model than `heart`: integral pulse frequency modulation.

The heart's own rhythm 1/T(t) · (1 + m(t)) is integrated, and each whole number reached is a beat (Mateo and Laguna,
IEEE TBME 47, 2000). m is what the autonomic nerves do: the breath, a wave near 0.1 Hz, and 1/f noise. The wave of a
beat is a sum of two log-normal bumps, the second the dicrotic wave; heights follow the breath and slow vasomotion.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from edge_models.simulate.known_beats import KnownBeats
from edge_models.types import FloatArray

_GRID_HZ = 100.0
_MARGIN_S = 6.0
_PEAK_S, _PEAK_AT_INTERVAL_S = 0.19, 0.85
"""From a beat's foot to its systolic peak, at that interval between beats; goes with the root of the interval."""


class Course(StrEnum):
    """How the mean rate goes from its start to its end."""

    STEADY = "steady"
    RAMP = "ramp"
    """In a straight line over the whole scan."""
    STEP = "step"
    """In some seconds in the middle of the scan, as after standing up or at rest after stairs."""


@dataclass(frozen=True, slots=True, eq=False)
class HeartTruth(KnownBeats):
    """Beats, breath and wave of one person; the class behind `simulated_scan.Truth` here.

    feet_s, heights: of every beat, also beyond the scan's ends [shape=(k,)]. local_s: smoothed interval at each beat.
    breath_phase: radians on `grid_s` [shape=(g,)], 2π a breath. notch: (delay as a part of the local interval, height,
    width) of the dicrotic wave. norm: (mean, half range) of the raw wave within the scan. ectopic: which beats are
    premature [shape=(k,)].
    """

    duration_s: float
    has_pulse: bool
    feet_s: FloatArray
    heights: FloatArray
    local_s: FloatArray
    width: float
    notch: tuple[float, float, float]
    norm: tuple[float, float]
    grid_s: FloatArray
    breath_phase: FloatArray
    ectopic: NDArray[np.bool_]

    @property
    def peaks_s(self) -> FloatArray:
        """Systolic peaks of all beats [shape=(k,)], seconds."""
        return np.asarray(self.feet_s + _delay(self.local_s))

    @property
    def early_s(self) -> FloatArray:
        """The premature ones of `peaks_s` [shape=(e,)], seconds."""
        return np.asarray(self.peaks_s[self.ectopic])

    def peaks_and_end_s(self) -> tuple[FloatArray, float]:
        """(`peaks_s`, the scan's end)."""
        return self.peaks_s, self.duration_s

    def respiratory_rate(self, start_s: float = 0.0, stop_s: float | None = None) -> float:
        """Mean breaths per minute from start_s to stop_s."""
        if not self.has_pulse:
            raise ValueError("nobody breathes here")
        stop = self.duration_s if stop_s is None else stop_s
        first, last = np.interp([start_s, stop], self.grid_s, self.breath_phase)
        return float((last - first) / (2 * np.pi) * 60 / (stop - start_s))

    def bvp(self, t_s: FloatArray) -> FloatArray:
        """The pulse wave at t_s [shape=(n,)], about ±1; up is more blood. Zero without a pulse."""
        if not self.has_pulse:
            return np.zeros(np.shape(t_s))
        middle, half = self.norm
        return np.asarray((_raw_wave(t_s, self) - middle) / half)

    def breath(self, t_s: FloatArray) -> FloatArray:
        """Volume of the chest at t_s [shape=(n,)], about ±1, up is in; breathing out takes longer. Zero without pulse."""
        if not self.has_pulse:
            return np.zeros(np.shape(t_s))
        phase = np.interp(t_s, self.grid_s, self.breath_phase)
        return np.asarray(np.cos(phase + 0.45 * np.sin(phase)))


def _delay(local_s: FloatArray) -> FloatArray:
    return np.asarray(_PEAK_S * np.sqrt(local_s / _PEAK_AT_INTERVAL_S))


def _raw_wave(t_s: FloatArray, heart: HeartTruth) -> FloatArray:
    """Sum over the beats near each moment of log-normal bumps, each with its mode at the beat's systolic peak."""
    nearest = np.searchsorted(heart.feet_s, t_s, side="right") - 1
    part, height, width = heart.notch
    delay = _delay(heart.local_s)
    total = np.zeros(np.shape(t_s))
    for back in range(5):
        index = nearest - back
        there = index >= 0
        index = np.maximum(index, 0)
        since = np.maximum(t_s - heart.feet_s[index], 1e-4)
        mode = delay[index]
        bump = np.exp(-0.5 * (np.log(since / mode) / heart.width) ** 2)
        second = mode + part * heart.local_s[index]
        bump += height * np.exp(-0.5 * (np.log(since / second) / width) ** 2)
        total += np.where(there, heart.heights[index] * bump, 0.0)
    return total


def coloured_noise(
    rng: np.random.Generator, count: int, *, rate_hz: float, low_hz: float, high_hz: float, slope: float
) -> FloatArray:
    """Noise with a power of 1/f^slope between two frequencies, standard deviation about 1 [shape=(count,)].

    Made in the frequency domain on twice the length, so that its ends do not meet.
    """
    size = 1 << int(np.ceil(np.log2(max(2 * count, 8))))
    hz = np.fft.rfftfreq(size, 1 / rate_hz)
    gain = np.where((hz >= low_hz) & (hz <= high_hz), np.maximum(hz, low_hz) ** (-slope / 2), 0.0)
    spectrum = gain * (rng.standard_normal(len(hz)) + 1j * rng.standard_normal(len(hz)))
    noise = np.fft.irfft(spectrum, size)
    power = 2 * np.sum(gain**2) * 2 / size**2
    return np.asarray(noise[:count] / np.sqrt(max(power, 1e-300)))


def make_heart(
    rng: np.random.Generator,
    *,
    duration_s: float,
    start_per_min: float,
    end_per_min: float,
    course: Course = Course.STEADY,
    variability: float = 1.0,
    ectopics_per_min: float = 0.0,
    breaths_per_min: float = 14.0,
    has_pulse: bool = True,
) -> HeartTruth:
    """A heart for duration_s seconds.

    The integrated rate over the scan is the mean of the course, whatever the variability. variability: 1 is usual at rest (an interval's
    standard deviation of about 4 % at 60 /min, falling as the heart goes faster). ectopics_per_min: premature beats
    with a full pause after them. has_pulse False: nobody; all of it is empty.
    """
    grid_s = np.arange(-_MARGIN_S, duration_s + _MARGIN_S, 1 / _GRID_HZ)
    inside = (grid_s >= 0) & (grid_s <= duration_s)
    if not has_pulse:
        none = np.zeros(0)
        return HeartTruth(
            duration_s,
            False,
            none,
            none,
            none,
            0.5,
            (0.3, 0.3, 0.3),
            (0.0, 1.0),
            grid_s,
            none,
            np.zeros(0, np.bool_),
        )

    def noise(low_hz: float, high_hz: float, slope: float) -> FloatArray:
        made = coloured_noise(rng, len(grid_s), rate_hz=_GRID_HZ, low_hz=low_hz, high_hz=high_hz, slope=slope)
        return np.asarray(made - made[inside].mean())

    breath_hz = breaths_per_min / 60 * np.maximum(1 + 0.06 * noise(0.01, 0.08, 1.0), 0.3)
    breath_hz *= breaths_per_min / 60 / breath_hz[inside].mean()
    breath_phase = 2 * np.pi * (np.cumsum(breath_hz) / _GRID_HZ + rng.uniform())
    size = 0.04 * variability * (60 / max(0.5 * (start_per_min + end_per_min), 30.0)) ** 0.9
    shares = rng.dirichlet([4.0, 3.0, 2.0]) ** 0.5
    sinus = np.cos(breath_phase - 0.8)
    sinus *= np.sqrt(2) / (1 + (breaths_per_min / 60 / 0.35) ** 2)  # a fast breath moves the heart less
    moved = size * (
        shares[0] * sinus + shares[1] * noise(0.06, 0.14, 0.0) + shares[2] * noise(0.02, 0.5, 1.0)
    )
    moved -= moved[inside].mean()

    if course is Course.RAMP:
        place = np.clip(grid_s / duration_s, 0, 1)
    elif course is Course.STEP:
        moment_s, length_s = duration_s * rng.uniform(0.35, 0.6), rng.uniform(2.0, 6.0)
        place = 1 / (1 + np.exp(-np.clip((grid_s - moment_s) / (0.25 * length_s), -50, 50)))
    else:
        place = np.zeros(len(grid_s))
    base_hz = (start_per_min + (end_per_min - start_per_min) * place) / 60
    rate_hz = base_hz * np.maximum(1 + moved, 0.3)
    rate_hz *= base_hz[inside].mean() / rate_hz[inside].mean()
    integral = np.cumsum(rate_hz) / _GRID_HZ + rng.uniform()
    feet_s = np.interp(np.arange(np.ceil(integral[0]), np.floor(integral[-1]) + 1), integral, grid_s)

    feet_s, heights = _with_ectopics(rng, feet_s, duration_s, ectopics_per_min)
    ectopic = heights < 1.0
    slow = noise(0.02, 0.12, 0.5)
    heights = heights * np.exp(
        rng.uniform(0.02, 0.12) * np.cos(np.interp(feet_s, grid_s, breath_phase) + rng.uniform(0, 6))
        + rng.uniform(0.03, 0.15) * np.interp(feet_s, grid_s, slow)
    )
    made = HeartTruth(
        duration_s=duration_s,
        has_pulse=True,
        feet_s=feet_s,
        heights=heights,
        local_s=_smooth(np.interp(feet_s, grid_s, 1 / base_hz)),
        width=float(rng.uniform(0.42, 0.62)),
        notch=(float(rng.uniform(0.2, 0.34)), float(rng.uniform(0.1, 0.55)), float(rng.uniform(0.18, 0.35))),
        norm=(0.0, 1.0),
        grid_s=grid_s,
        breath_phase=breath_phase,
        ectopic=ectopic,
    )
    raw = _raw_wave(grid_s[inside], made)
    low, high = np.percentile(raw, [4, 96])
    object.__setattr__(made, "norm", (float(raw.mean()), float(high - low) / 2))
    return made


def _smooth(values: FloatArray) -> FloatArray:
    padded = np.pad(values, 3, mode="edge")
    return np.convolve(padded, np.ones(7) / 7, mode="valid")


def _with_ectopics(
    rng: np.random.Generator, feet_s: FloatArray, duration_s: float, per_min: float
) -> tuple[FloatArray, FloatArray]:
    heights = np.ones(len(feet_s))
    places: NDArray[np.int64] = np.flatnonzero((feet_s > 1.5) & (feet_s < duration_s - 1.5))[1::3]
    chosen = rng.permutation(places)[: round(per_min * duration_s / 60)]
    early = feet_s.copy()
    early[chosen] -= rng.uniform(0.2, 0.4, len(chosen)) * (feet_s[chosen] - feet_s[chosen - 1])
    heights[chosen] = rng.uniform(0.3, 0.7, len(chosen))
    heights[chosen + 1] = 1.2
    return early, heights
