"""Breathing rate from two sources that must agree: the chest's motion, and what breathing does to the pulse.

Breathing moves the chest, and changes the pulse's strength (AM) and its rhythm (FM)
(Charlton et al., "Breathing rate estimation from the electrocardiogram and photoplethysmogram: a review",
IEEE Rev. Biomed. Eng. 2018).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from edge_models.signal.resample import even_grid, on_grid
from edge_models.signal.spectrum import peak, power
from edge_models.types import Estimate, FloatArray, Reason
from edge_models.vitals.spec import Signals, VitalSpec, withheld

UNIT = "/min"
ALGORITHM = "chest-motion-and-pulse-modulation/1"
LOWEST_PER_MIN, HIGHEST_PER_MIN = 5.0, 40.0
MIN_ACCEPTED_S = 25.0
MAX_DISAGREEMENT_PER_MIN = 2.0

_GRID_RATE_HZ = 4.0
_BAND_HZ: FloatArray = np.arange(LOWEST_PER_MIN, HIGHEST_PER_MIN + 0.1, 0.2) / 60.0
_MIN_PROMINENCE = 4.0


def _spectrum(t_s: FloatArray, values: FloatArray) -> FloatArray | None:
    """Power of the speed of `values` over the breathing band, scaled to a median of 1; None below 20 s.

    Of the speed, because a body also wanders, the more the slower (about 1/f²), and that is no breath.
    """
    known = np.isfinite(values)
    if known.sum() < 20 or t_s[known][-1] - t_s[known][0] < 20.0:
        return None
    grid_s = even_grid(float(t_s[known][0]), float(t_s[known][-1]), _GRID_RATE_HZ)
    even, _ = on_grid(t_s[known], values[known], grid_s, max_gap_s=5.0)
    line = np.polynomial.Polynomial.fit(grid_s, even, 2)
    even = even - line(grid_s)
    limit = 4.0 * 1.4826 * float(np.median(np.abs(even))) + 1e-12
    density = power(np.clip(even, -limit, limit), rate_hz=_GRID_RATE_HZ, frequency_hz=_BAND_HZ) * _BAND_HZ**2
    middle = float(np.median(density))
    return np.asarray(density / middle) if middle > 0 else None


def _modulation(signals: Signals) -> FloatArray | None:
    """Mean of the spectra of the pulse's strength and of its rhythm, each with its median at 1."""
    beats = signals.beats
    if beats is None or beats.good.sum() < 12:
        return None
    times_s = beats.times_s[beats.good]
    interval_s = np.diff(times_s)
    whole = interval_s < 1.6 * np.median(interval_s)
    height = np.interp(times_s, signals.t_s, signals.bvp)
    trough = np.array(
        [signals.bvp[(signals.t_s > a) & (signals.t_s < b)].min(initial=np.inf) for a, b in pairwise(times_s)]
    )
    strength = np.where(whole & np.isfinite(trough), height[1:] - trough, np.nan)
    rhythm = np.where(whole, interval_s, np.nan)
    parts = [_spectrum(times_s[1:], strength), _spectrum(times_s[1:] - interval_s / 2, rhythm)]
    known = [p for p in parts if p is not None]
    return np.asarray(np.mean(known, axis=0)) if known else None


def estimate(signals: Signals) -> Estimate:
    """The mean breathing rate over the scan where both sources show the same rate; otherwise the reason."""
    window_s = signals.accepted_s
    if signals.forbidding:
        return withheld(UNIT, ALGORITHM, signals.obstacles, window_s)
    if window_s < MIN_ACCEPTED_S:
        return withheld(UNIT, ALGORITHM, (Reason.TOO_SHORT,), window_s)
    chest = _spectrum(signals.chest_t_s, signals.chest_y)
    shown_pulse = signals.heart_rate is not None and signals.heart_rate.value is not None
    modulation = _modulation(signals) if shown_pulse else None
    if chest is None or modulation is None:
        return withheld(UNIT, ALGORITHM, (Reason.NO_BREATHING_SEEN,), window_s)
    chest_hz, chest_height = peak(_BAND_HZ, chest)
    # The modulations are weak: they are asked whether they confirm the chest, near its rate.
    near = np.abs(_BAND_HZ - chest_hz) <= MAX_DISAGREEMENT_PER_MIN / 60.0
    pulse_hz, _ = peak(_BAND_HZ, modulation)
    confirmed = float(modulation[near].max()) / float(np.percentile(modulation, 90))
    prominence = min(1.0, chest_height / 20.0) * min(1.0, confirmed)
    if chest_height < _MIN_PROMINENCE:
        return withheld(UNIT, ALGORITHM, (Reason.NO_BREATHING_SEEN,), window_s, 0.3 * prominence)
    if abs(pulse_hz - chest_hz) > MAX_DISAGREEMENT_PER_MIN / 60.0:
        return withheld(UNIT, ALGORITHM, (Reason.SOURCES_DISAGREE,), window_s, 0.5 * prominence)
    rate = 60.0 * chest_hz
    if not LOWEST_PER_MIN < rate < HIGHEST_PER_MIN:
        return withheld(UNIT, ALGORITHM, (Reason.IMPLAUSIBLE,), window_s)
    # Resolution of the window, narrowed by how far the peak stands out, and what the sources differ by.
    half = 1.96 * float(np.hypot(60.0 / window_s / np.sqrt(chest_height), 30.0 * abs(pulse_hz - chest_hz)))
    half = max(half, 0.4)
    return Estimate(
        rate, max(0.0, rate - half), rate + half, UNIT, 0.7 + 0.25 * prominence, (), window_s, ALGORITHM
    )


SPEC = VitalSpec("respiratory_rate", MIN_ACCEPTED_S, estimate)
