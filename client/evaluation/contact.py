"""What is true of a filmed person, from a sensor on the body: the reference waves and rates that data sets bring."""

from __future__ import annotations

import numpy as np

from client.evaluation.outcomes import LIVE_TRUTH_S, Truth, live_truth
from edge_models.signal.beats import detect
from edge_models.signal.filters import band_pass
from edge_models.signal.resample import even_grid, on_grid
from edge_models.signal.spectrum import peak, power
from edge_models.types import FloatArray
from edge_models.vitals.pulse_rate_variability import rmssd_s, sdnn_s

PULSE_BAND_PER_MIN = (35.0, 200.0)
BREATH_BAND_PER_MIN = (5.0, 40.0)
_GRID_HZ = 50.0
_WINDOW_S, _HOP_S = 10.0, 2.0
_STEP_PER_MIN = 0.5
_LEAST_GOOD_BEATS = 0.95


def peak_rate_per_min(wave: FloatArray, rate_hz: float, band_per_min: tuple[float, float]) -> float:
    """The highest peak of the Hann-tapered spectrum of a wave [shape=(n,)] at an even rate, /min."""
    low, high = (edge / 60.0 for edge in band_per_min)
    wave = band_pass(wave - wave.mean(), rate_hz=rate_hz, low_hz=low, high_hz=min(high, 0.45 * rate_hz))
    # A parabola through three points refines the peak, which a window of 10 s makes 12 /min wide.
    frequency_hz = np.arange(band_per_min[0], band_per_min[1], _STEP_PER_MIN) / 60.0
    return round(60.0 * peak(frequency_hz, power(wave, rate_hz=rate_hz, frequency_hz=frequency_hz))[0], 3)


def from_rates(t_s: FloatArray, rate_per_min: FloatArray) -> Truth:
    """From an oximeter's own rates at t_s [shape=(n,)] since the first frame; what is 0 or not finite is no rate."""
    known = np.isfinite(rate_per_min) & (rate_per_min > 0) & (t_s >= 0)
    t_s, rate_per_min = t_s[known], rate_per_min[known]
    if not t_s.size:
        raise ValueError("the reference holds no rate")
    seconds = range(int(LIVE_TRUTH_S), int(t_s[-1]) + 1)
    behind = {at_s: (t_s > at_s - LIVE_TRUTH_S) & (t_s <= at_s) for at_s in seconds}
    live = tuple((float(s), round(float(rate_per_min[m].mean()), 3)) for s, m in behind.items() if m.any())
    return Truth(has_pulse=True, heart_rate=round(float(rate_per_min.mean()), 3), live=live)


def from_wave(t_s: FloatArray, wave: FloatArray, breath: FloatArray | None = None) -> Truth:
    """From a contact pulse wave [shape=(n,)] at t_s, and a breathing wave at the same times where there is one.

    Beats are found by the engine's own beat detector, led by the spectrum's peak in windows of 10 s. Variability is
    told where at least 95 % of the beats were found; a finger's pulse sensor sees the pulse's, not the heart's.
    Raises ValueError below 10 s, or where no beats are found.
    """
    grid_s = even_grid(float(t_s[0]), float(t_s[-1]), _GRID_HZ)
    if grid_s[-1] - grid_s[0] < _WINDOW_S:
        raise ValueError("the reference is shorter than 10 s")
    even, valid = on_grid(t_s, wave - wave.mean(), grid_s, max_gap_s=0.5)
    length = round(_WINDOW_S * _GRID_HZ)
    starts = np.arange(0, len(even) - length + 1, round(_HOP_S * _GRID_HZ))
    rates = [peak_rate_per_min(even[s : s + length], _GRID_HZ, PULSE_BAND_PER_MIN) for s in starts]
    beats = detect(grid_s, even, np.interp(grid_s, grid_s[starts] + _WINDOW_S / 2, rates), valid)
    intervals = beats.intervals_s()
    if not intervals:
        raise ValueError("the reference holds no beats")
    clean = beats.good_share >= _LEAST_GOOD_BEATS
    return Truth(
        has_pulse=True,
        heart_rate=round(60.0 / float(np.concatenate(intervals).mean()), 3),
        respiratory_rate=None if breath is None else _breaths_per_min(t_s, breath),
        rmssd=round(1000 * rmssd_s(intervals), 2) if clean else None,
        sdnn=round(1000 * sdnn_s(intervals), 2) if clean else None,
        live=live_truth([float(b) for b in beats.times_s[beats.good]], float(t_s[-1])),
    )


def _breaths_per_min(t_s: FloatArray, breath: FloatArray) -> float:
    grid_s = even_grid(float(t_s[0]), float(t_s[-1]), 8.0)
    even, _ = on_grid(t_s, breath, grid_s, max_gap_s=2.0)
    return peak_rate_per_min(even, 8.0, BREATH_BAND_PER_MIN)
