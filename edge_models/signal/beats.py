"""Beats of a pulse wave, to a fraction of a frame, and how far they can be trusted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_models.signal.filters import band_pass
from edge_models.types import FloatArray

_UPSAMPLING = 8
_STEADY = 0.2
"""An interval further than this from the local median is no part of the rhythm: the usual 20 % (Malik et al.,
Eur. Heart J. 1989). The band-pass draws an early beat towards its neighbours, so a wider limit would let it in."""


@dataclass(frozen=True, slots=True)
class Beats:
    """times_s: [shape=(n,)], increasing. good: [shape=(n,)], beats that fit a neighbour.

    steady: [shape=(n - 1,)], intervals that fit the local rhythm: no beat lost between, none too early.
    expected: how many beats the rate asks for in that time. jitter_s: standard deviation of a beat's time
    that noise alone would cause, NaN where it cannot be told.
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
    """Systolic peaks of `bvp` [shape=(n,)] on an even grid, guided by the tracked rate [shape=(n,)].

    The wave is band-passed around the rate and its second harmonic, upsampled by FFT, and each maximum is
    refined by a parabola. Where two maxima stand closer than 0.55 periods the higher one is the beat.
    valid: [shape=(n,)], False where the wave is made up; beats there are dropped.
    """
    nothing = Beats(np.zeros(0), np.zeros(0, np.bool_), np.zeros(0, np.bool_), 0.0, float("nan"))
    n = len(bvp)
    if n < 60:
        return nothing
    rate_hz = 1.0 / float(t_s[1] - t_s[0])
    low_hz, high_hz = 0.6 * float(rate_per_min.min()) / 60, 2.4 * float(rate_per_min.max()) / 60
    clean = band_pass(bvp, rate_hz=rate_hz, low_hz=low_hz, high_hz=min(high_hz, 0.45 * rate_hz))
    fine = _upsample(clean)
    fine_rate_hz = rate_hz * _UPSAMPLING
    maxima = np.flatnonzero((fine[1:-1] > fine[:-2]) & (fine[1:-1] >= fine[2:]) & (fine[1:-1] > 0)) + 1
    period = np.interp(maxima / _UPSAMPLING, np.arange(n), 60.0 / rate_per_min)
    kept: list[int] = []
    for i in np.argsort(-fine[maxima]):
        here = maxima[i]
        if all(abs(here - maxima[j]) > 0.55 * period[i] * fine_rate_hz for j in kept):
            kept.append(int(i))
    kept.sort()
    peaks = maxima[kept]
    left, middle, right = fine[peaks - 1], fine[peaks], fine[peaks + 1]
    bend = left - 2 * middle + right
    shift = np.where(bend < 0, 0.5 * (left - right) / np.where(bend < 0, bend, -1.0), 0.0)
    times_s = t_s[0] + (peaks + shift) / fine_rate_hz
    # Near an edge half of the beat is missing, and what the filter puts there is a mirror image.
    margin = 0.4 * period[kept]
    at = np.clip(np.round((times_s - t_s[0]) * rate_hz).astype(np.int64), 0, n - 1)
    inside = valid[at] & (times_s - t_s[0] > margin) & (t_s[-1] - times_s > margin)
    times_s, period_at = times_s[inside], period[kept][inside]
    if len(times_s) < 3:
        return nothing

    # An early beat fits neither neighbour; a beat beside a hole or an early beat fits its other one.
    interval = np.diff(times_s)
    smooth = np.array([np.median(interval[max(0, i - 4) : i + 5]) for i in range(len(interval))])
    fits = np.abs(interval / smooth - 1.0) < _STEADY
    fits &= np.abs(interval / (0.5 * (period_at[1:] + period_at[:-1])) - 1.0) < 0.35
    good = np.concatenate([[False], fits]) | np.concatenate([fits, [False]])
    expected = float((valid * rate_per_min).sum() / 60.0 / rate_hz)
    return Beats(times_s, good, fits, max(expected - 1.0, 1.0), _jitter_s(bvp, clean, rate_hz, high_hz))


def _upsample(values: FloatArray) -> FloatArray:
    """Band-limited interpolation by _UPSAMPLING, ends mirrored so that the FFT sees no jump."""
    n = len(values)
    mirrored = np.concatenate([values, values[::-1]])
    spectrum = np.fft.rfft(mirrored)
    longer = np.zeros(len(mirrored) * _UPSAMPLING // 2 + 1, np.complex128)
    longer[: len(spectrum)] = spectrum
    return np.asarray(np.fft.irfft(longer, len(mirrored) * _UPSAMPLING)[: n * _UPSAMPLING] * _UPSAMPLING)


def _jitter_s(bvp: FloatArray, clean: FloatArray, rate_hz: float, high_hz: float) -> float:
    """Timing error of a peak in white noise: σ_t = σ(dx/dt) / |d²x/dt²| at the peak.

    The noise inside the band is taken to be as strong per hertz as just above it. The pulse's higher harmonics
    stand there as lines, so its level is the median of the spectrum: ln 2 of the mean for noise.
    """
    top_hz = min(0.48 * rate_hz, high_hz + 4.0)
    if top_hz < high_hz + 1.0:
        return float("nan")
    taper = np.hanning(len(bvp) + 2)[1:-1]
    frequency_hz = np.fft.rfftfreq(len(bvp), 1.0 / rate_hz)
    spectrum = np.abs(np.fft.rfft((bvp - bvp.mean()) * taper)) ** 2 * 2.0 / (rate_hz * (taper**2).sum())
    outside = (frequency_hz > high_hz * 1.15) & (frequency_hz < top_hz)
    density = float(np.median(spectrum[outside])) / np.log(2.0)
    # ∫ (2πf)² N df over the band of the clean wave
    slope_variance = density * (2 * np.pi) ** 2 * high_hz**3 / 3.0
    bend = np.gradient(np.gradient(clean)) * rate_hz**2
    peaks = np.flatnonzero((clean[1:-1] > clean[:-2]) & (clean[1:-1] >= clean[2:]) & (clean[1:-1] > 0)) + 1
    if not len(peaks):
        return float("nan")
    typical = float(np.median(np.abs(bend[peaks])))
    return float(np.sqrt(slope_variance) / typical) if typical > 0 else float("nan")
