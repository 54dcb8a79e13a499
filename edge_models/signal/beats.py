"""Beats of a pulse wave, to a fraction of a frame, and how far they can be trusted."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_models.signal.filters import band_pass
from edge_models.types import FloatArray

_UPSAMPLING = 8
_STEADY = 0.2
"""An interval further than this from the local median is no part of the rhythm: the usual 20 % (Malik et al.,
Eur. Heart J. 1989)."""
_EARLY = 0.12
"""A beat that comes early by this part and is followed by a pause as long is premature, though both intervals
are within 20 %: the wave of the beat before runs into it and draws it back."""
_EARLY_SPREADS = 4.0
"""And by so many times what successive intervals usually differ by: the breath alone makes some hearts skip so."""
_PEAK_ORDERS, _SHAPE_ORDERS = 2.4, 3.4
"""Highest frequency in multiples of the rate: where peaks are looked for, and where the shape of a beat is compared."""
_BEFORE, _AFTER = 0.25, 0.4
"""The part of a beat that is compared, in periods before and after its peak; longer ones reach into the next beat,
which draws successive beats together."""
_SHAPE_POINTS = 40
_MOST_SHIFT = 0.1
_ROUNDS = 3
_ORDER_POINTS = 24
_FEWEST_FOR_SHAPE = 12
_SHARE_OF_DIFFERENCE = 0.5
"""Of what a beat's peak and its whole shape differ by: chosen on the first simulator with true beats beside them."""
_QUIET_ORDERS = ((1.3, 1.7), (2.3, 2.7))
"""Between the pulse's own lines, in multiples of the heart's momentary rate."""


@dataclass(frozen=True, slots=True)
class Beats:
    """times_s: [shape=(n,)], increasing. good: [shape=(n,)], beats that fit a neighbour.

    steady: [shape=(n - 1,)], intervals that fit the local rhythm: no beat lost between, none too early.
    expected: how many beats the rate asks for in that time. jitter_s: standard deviation of a beat's time
    that noise and a changing wave cause, NaN where it cannot be told.
    """

    times_s: FloatArray
    good: NDArray[np.bool_]
    steady: NDArray[np.bool_]
    expected: float
    jitter_s: float

    @property
    def good_share(self) -> float:
        """Good beats over expected beats, 0..1."""
        return float(min(1.0, self.good.sum() / self.expected)) if self.expected > 0 else 0.0

    def intervals_s(self) -> list[FloatArray]:
        """Inter-beat intervals that fit the rhythm, one array per unbroken run of them.

        Never one across a lost beat or a hole in the signal, though the beats on both sides are good.
        """
        interval_s = np.diff(self.times_s)
        breaks = np.flatnonzero(np.diff(np.concatenate([[False], self.steady, [False]])))
        return [interval_s[start:end] for start, end in zip(breaks[::2], breaks[1::2], strict=True)]


def detect(t_s: FloatArray, bvp: FloatArray, rate_per_min: FloatArray, valid: NDArray[np.bool_]) -> Beats:
    """Beats of `bvp` [shape=(n,)] on an even grid, guided by the tracked rate [shape=(n,)].

    The wave is band-passed around the rate and its second harmonic and upsampled by FFT; where two maxima stand closer
    than 0.55 periods the higher one is the beat. Then every beat is shifted to where the scan's own mean beat,
    with the third harmonic, fits it best: that takes in its flanks, which say more of its time than its flat top.
    valid: [shape=(n,)], False where the wave is made up; beats there are dropped.
    """
    nothing = Beats(np.zeros(0), np.zeros(0, np.bool_), np.zeros(0, np.bool_), 0.0, float("nan"))
    n = len(bvp)
    if n < 60:
        return nothing
    rate_hz = 1.0 / float(t_s[1] - t_s[0])
    low_hz, top_hz = 0.6 * float(rate_per_min.min()) / 60, float(rate_per_min.max()) / 60

    def fine_wave(orders: float) -> FloatArray:
        high_hz = min(orders * top_hz, 0.45 * rate_hz)
        return _upsample(band_pass(bvp, rate_hz=rate_hz, low_hz=low_hz, high_hz=high_hz))

    fine = fine_wave(_PEAK_ORDERS)
    fine_rate_hz = rate_hz * _UPSAMPLING
    maxima = np.flatnonzero((fine[1:-1] > fine[:-2]) & (fine[1:-1] >= fine[2:]) & (fine[1:-1] > 0)) + 1
    maxima = maxima[valid[np.minimum(np.round(maxima / _UPSAMPLING).astype(np.int64), n - 1)]]
    period = np.interp(maxima / _UPSAMPLING, np.arange(n), 60.0 / rate_per_min)
    kept: list[int] = []
    for i in np.argsort(-fine[maxima]):
        place = bisect_left(kept, i)  # only the nearest on either side can be too close
        if all(
            abs(maxima[i] - maxima[j]) > 0.55 * period[i] * fine_rate_hz
            for j in kept[max(0, place - 1) : place + 1]
        ):
            kept.insert(place, int(i))
    peak_s = maxima[kept] / fine_rate_hz
    # Near an edge half of the beat is missing, and what the filter puts there is a mirror image.
    margin_s = 0.4 * period[kept]
    inside = (peak_s > margin_s) & ((n - 1) / rate_hz - peak_s > margin_s)
    peak_s, period_s = peak_s[inside], period[kept][inside]
    if len(peak_s) < 3:
        return nothing
    beat_s, shifter, step_s = _fitted(fine_wave(_SHAPE_ORDERS), fine_rate_hz, peak_s, period_s)
    fits, good = rhythm(beat_s, period_s)
    # Within a period of an end the mirror image still shifts a beat by some hundredths of a second, and so do the
    # zeros of a hole.
    ends_s = _ends(valid) / rate_hz
    shifted = np.abs(beat_s[:, None] - ends_s).min(axis=1) < period_s
    fits &= ~(shifted[1:] | shifted[:-1])
    runs = np.flatnonzero(np.diff(np.concatenate([[False], ~shifted, [False]]))).reshape(-1, 2)
    first, after = max(runs, key=lambda run: run[1] - run[0], default=(0, 0))
    noise_s = _noise_of_a_beat_s(bvp, rate_hz, beat_s[first:after], shifter, step_s)
    # What is no noise between the lines, a lamp's own line or a shape that changes, shifts the two differently.
    sound = good & ~shifted
    apart_s = float(np.std((beat_s - peak_s)[sound])) if sound.any() else float("nan")
    expected = float((valid * rate_per_min).sum() / 60.0 / rate_hz)
    jitter_s = float(np.hypot(noise_s, _SHARE_OF_DIFFERENCE * apart_s))
    return Beats(t_s[0] + beat_s, good, fits, max(expected - 1.0, 1.0), jitter_s)


def _ends(valid: NDArray[np.bool_]) -> NDArray[np.int64]:
    """First and last sample of every stretch that is valid [shape=(2 · stretches,)]."""
    stretches = np.flatnonzero(np.diff(np.concatenate([[False], valid, [False]]))).reshape(-1, 2)
    return np.asarray((stretches - [0, 1]).ravel())


def rhythm(times_s: FloatArray, period_s: FloatArray) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(intervals that belong to the rhythm [shape=(n − 1,)], beats that do [shape=(n,)]).

    times_s: of at least 2 beats, increasing. period_s: what the tracked rate says of the interval at each [shape=(n,)].
    An early beat fits neither neighbour; a beat beside a hole or an early beat fits its other one.
    """
    interval_s = np.diff(times_s)
    smooth_s = np.array([np.median(interval_s[max(0, i - 4) : i + 5]) for i in range(len(interval_s))])
    off = interval_s / smooth_s - 1.0
    fits = np.abs(off) < _STEADY
    fits &= np.abs(interval_s / (0.5 * (period_s[1:] + period_s[:-1])) - 1.0) < 0.35
    usual = 1.4826 * float(np.median(np.abs(np.diff(off)))) if len(off) > 1 else 0.0
    longer = off[1:] - off[:-1]
    early = np.flatnonzero(
        (longer > max(2 * _EARLY, _EARLY_SPREADS * usual)) & (np.minimum(-off[:-1], off[1:]) > _EARLY / 2)
    )
    good = np.concatenate([[False], fits]) | np.concatenate([fits, [False]])
    for i in early:  # the waves of the early beat and of the one after it lie over their neighbours
        fits[max(0, i - 1) : i + 3] = False
        good[i + 1] = False
    return fits, good


def _fitted(
    fine: FloatArray, fine_rate_hz: float, peak_s: FloatArray, period_s: FloatArray
) -> tuple[FloatArray, FloatArray, float]:
    """(times of the beats moved to where their mean shape fits best, the weights that say how far, their step in seconds).

    peak_s: seconds since the wave's first sample. A beat is level + size · shape(t − shift), linear in a small shift:
    level, size and size · shift follow from one least-squares fit, with the same weights for every beat.
    """
    part = np.linspace(-_BEFORE, _AFTER, _SHAPE_POINTS)
    typical_s = float(np.median(period_s))
    step_s = float(part[1] - part[0]) * typical_s
    at_s = np.arange(len(fine)) / fine_rate_hz
    times_s, shifter = peak_s, np.zeros(_SHAPE_POINTS)
    for _ in range(_ROUNDS):
        beats = np.interp(times_s[:, None] + period_s[:, None] * part, at_s, fine)
        centred = beats - beats.mean(axis=1, keepdims=True)
        shape = np.median(centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-20), axis=0)
        columns = np.stack([np.ones(_SHAPE_POINTS), shape, np.gradient(shape, part)], axis=1)
        solved = beats @ np.linalg.pinv(columns).T
        size = float(np.median(solved[:, 1]))
        if size <= 0.0:
            return peak_s, shifter, step_s
        shift = -solved[:, 2] / np.maximum(solved[:, 1], 0.2 * size)
        moved_s = times_s + np.clip(shift, -0.03, 0.03) * period_s
        reach_s = _MOST_SHIFT * period_s
        times_s = np.clip(moved_s, peak_s - reach_s, peak_s + reach_s)
        shifter = -np.linalg.pinv(columns)[2] * typical_s / size
    return times_s, shifter, step_s


def _upsample(values: FloatArray) -> FloatArray:
    """Band-limited interpolation by _UPSAMPLING, ends mirrored so that the FFT sees no jump."""
    n = len(values)
    mirrored = np.concatenate([values, values[::-1]])
    spectrum = np.fft.rfft(mirrored)
    longer = np.zeros(len(mirrored) * _UPSAMPLING // 2 + 1, np.complex128)
    longer[: len(spectrum)] = spectrum
    return np.asarray(np.fft.irfft(longer, len(mirrored) * _UPSAMPLING)[: n * _UPSAMPLING] * _UPSAMPLING)


def _noise_of_a_beat_s(
    bvp: FloatArray, rate_hz: float, times_s: FloatArray, shifter: FloatArray, step_s: float
) -> float:
    """Standard deviation of a beat's time that the wave's noise causes, NaN for too few beats.

    The wave is laid out in beats instead of seconds, where all that the heart does stands in lines at whole numbers,
    however its rhythm varies; between the lines there is noise alone. Its level is the median there, ln 2 of the
    mean for noise. times_s: since the first sample, of beats without a hole between them, whose zeros would pass for
    a quiet wave and whose edges for noise. shifter: seconds of shift by one unit of the wave, at points
    step_s apart: the noise that its frequency response lets through is the beat's.
    """
    if len(times_s) < _FEWEST_FOR_SHAPE or not shifter.any():
        return float("nan")
    interval_s = np.diff(times_s)
    period_s = float(np.median(interval_s))
    order = np.concatenate([[0.0], np.cumsum(np.maximum(np.round(interval_s / period_s), 1.0))])
    grid = np.arange(0.0, order[-1], 1.0 / _ORDER_POINTS)
    fine = _upsample(bvp)
    wave = np.interp(np.interp(grid, order, times_s), np.arange(len(fine)) / (rate_hz * _UPSAMPLING), fine)
    taper = np.hanning(len(wave) + 2)[1:-1]
    spectrum = np.abs(np.fft.rfft((wave - wave.mean()) * taper)) ** 2
    density = spectrum * 2.0 * period_s / (_ORDER_POINTS * (taper**2).sum())
    orders = np.fft.rfftfreq(len(wave), 1.0 / _ORDER_POINTS)
    quiet = [
        float(np.median(density[(orders > low) & (orders < high)])) / np.log(2.0)
        for low, high in _QUIET_ORDERS
    ]
    frequency_hz = np.linspace(0.6, _SHAPE_ORDERS, 60) / period_s
    noise = np.interp(frequency_hz * period_s, np.mean(_QUIET_ORDERS, axis=1), quiet)
    response = np.exp(-2j * np.pi * np.outer(frequency_hz, np.arange(len(shifter)) * step_s)) @ shifter
    step_hz = float(frequency_hz[1] - frequency_hz[0])
    return float(np.sqrt((noise * np.abs(response) ** 2).sum() * step_hz))
