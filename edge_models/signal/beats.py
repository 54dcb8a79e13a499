"""Beats of a pulse wave, to a fraction of a frame, and how far they can be trusted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_models.signal.filters import band_pass
from edge_models.types import FloatArray

_UPSAMPLING = 8


@dataclass(frozen=True, slots=True)
class Beats:
    """times_s: [shape=(n,)], increasing. good: [shape=(n,)], beats that fit their neighbours.

    expected: how many beats the rate asks for in that time. jitter_s: standard deviation of a beat's time
    that noise alone would cause, NaN where it cannot be told.
    """

    times_s: FloatArray
    good: NDArray[np.bool_]
    expected: float
    jitter_s: float

    @property
    def good_share(self) -> float:
        """Good beats over expected beats, 0..1."""
        return float(min(1.0, self.good.sum() / self.expected)) if self.expected > 0 else 0.0

    def intervals_s(self) -> list[FloatArray]:
        """Inter-beat intervals between successive good beats, one array per unbroken run."""
        runs: list[FloatArray] = []
        start: int | None = None
        for i, good in enumerate([*self.good.tolist(), False]):
            if good and start is None:
                start = i
            elif not good and start is not None:
                if i - start >= 2:
                    runs.append(np.diff(self.times_s[start:i]))
                start = None
        return runs


def detect(t_s: FloatArray, bvp: FloatArray, rate_per_min: FloatArray, valid: NDArray[np.bool_]) -> Beats:
    """Systolic peaks of `bvp` [shape=(n,)] on an even grid, guided by the tracked rate [shape=(n,)].

    The wave is band-passed around the rate and its second harmonic, upsampled by FFT, and each maximum is
    refined by a parabola. Where two maxima stand closer than 0.55 periods the higher one is the beat.
    valid: [shape=(n,)], False where the wave is made up; beats there are dropped.
    """
    nothing = Beats(np.zeros(0), np.zeros(0, np.bool_), 0.0, float("nan"))
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
    inside = valid[np.clip(np.round((times_s - t_s[0]) * rate_hz).astype(np.int64), 0, n - 1)]
    times_s, period_at = times_s[inside], period[kept][inside]
    if len(times_s) < 3:
        return nothing

    # A beat is good when at least one neighbouring interval, and no other, contradicts the local rhythm.
    interval = np.diff(times_s)
    smooth = np.array([np.median(interval[max(0, i - 4) : i + 5]) for i in range(len(interval))])
    fits = np.abs(interval / smooth - 1.0) < 0.25
    fits &= np.abs(interval / (0.5 * (period_at[1:] + period_at[:-1])) - 1.0) < 0.35
    good = np.concatenate([[False], fits]) | np.concatenate([fits, [False]])
    good &= np.concatenate([[True], fits]) | np.concatenate([fits, [True]])
    expected = float((valid * rate_per_min).sum() / 60.0 / rate_hz)
    return Beats(times_s, good, max(expected - 1.0, 1.0), _jitter_s(bvp, clean, rate_hz, high_hz))


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

    The noise inside the band is taken to be as strong per hertz as just above it, where no pulse is.
    """
    top_hz = min(0.48 * rate_hz, high_hz + 4.0)
    if top_hz < high_hz + 1.0:
        return float("nan")
    outside = band_pass(bvp, rate_hz=rate_hz, low_hz=high_hz * 1.15, high_hz=top_hz)
    density = float(outside.var()) / max(top_hz - high_hz * 1.15, 0.1)
    # ∫ (2πf)² N df over the band of the clean wave
    slope_variance = density * (2 * np.pi) ** 2 * high_hz**3 / 3.0
    bend = np.gradient(np.gradient(clean)) * rate_hz**2
    peaks = np.flatnonzero((clean[1:-1] > clean[:-2]) & (clean[1:-1] >= clean[2:]) & (clean[1:-1] > 0)) + 1
    if not len(peaks):
        return float("nan")
    typical = float(np.median(np.abs(bend[peaks])))
    return float(np.sqrt(slope_variance) / typical) if typical > 0 else float("nan")
