"""Breathing rate from two sources that must agree: the chest's motion, and what breathing does to the blood in the face.

Breathing lifts the chest, and changes the pulse's strength (AM), its rhythm (FM) and how much blood the skin holds (BW)
(Charlton et al., "Breathing rate estimation from the electrocardiogram and photoplethysmogram: a review",
IEEE Rev. Biomed. Eng. 2018). A head that nods or sways takes the shoulders along: what the chest shares with
the head is no breath.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from edge_models.signal.beats import Beats
from edge_models.signal.resample import even_grid, on_grid
from edge_models.signal.spectrum import peak, power
from edge_models.types import Estimate, FloatArray, Reason
from edge_models.vitals.spec import ROUNDING_S, Signals, VitalSpec, withheld

UNIT = "/min"
ALGORITHM = "chest-motion-and-pulse-modulation/2"
LOWEST_PER_MIN, HIGHEST_PER_MIN = 5.0, 40.0
MIN_ACCEPTED_S = 25.0
MAX_DISAGREEMENT_PER_MIN = 2.0

_GRID_RATE_HZ = 4.0
_BAND_HZ: FloatArray = np.arange(LOWEST_PER_MIN, HIGHEST_PER_MIN + 0.1, 0.2) / 60.0
_MIN_PROMINENCE = 6.0
_MOST_PROMINENCE = 40.0
"""Of one modulation: a single line, of a lamp as of a breath, must not outvote the others whatever its height."""
_BEATS_A_BREATH = 2.2
"""A breath that is sampled by fewer beats shows at a wrong rate."""
_MOST_TINT = 2.0
_ERROR_FLOOR_PER_MIN = 0.2
"""Twice what is left on simulated chests, which are seen more clearly than real ones."""
_PERIODS_OF_PHASE = 2.0


def _speeds(t_s: FloatArray, *values: FloatArray) -> tuple[FloatArray, list[FloatArray]] | None:
    """(t_s, changes per second of each of `values`) on one even grid; None below 20 s or 12 moments with all values.

    Of the speed, because a body also wanders, the more the slower (about 1/f²), and that is no breath. Jumps, of a body
    that shifts or of a camera's white balance, are cut to four times what is usual.
    """
    known = np.all([np.isfinite(v) for v in values], axis=0)
    if known.sum() < 12 or t_s[known][-1] - t_s[known][0] < 20.0:
        return None
    grid_s = even_grid(float(t_s[known][0]), float(t_s[known][-1]), _GRID_RATE_HZ)
    even, _ = on_grid(t_s[known], np.stack(values, axis=1)[known], grid_s, max_gap_s=5.0)
    speed = np.diff(even, axis=0) * _GRID_RATE_HZ
    speed -= np.median(speed, axis=0)
    limit = 4.0 * 1.4826 * np.median(np.abs(speed), axis=0) + 1e-12
    return grid_s[1:] - 0.5 / _GRID_RATE_HZ, list(np.clip(speed, -limit, limit).T)


def _without(speed: FloatArray, shared: FloatArray, *, least: float, most: float) -> FloatArray:
    """`speed` less what it shares with another one, by least squares with a factor from least to most."""
    size = float(shared @ shared)
    factor = float(np.clip(speed @ shared / size, least, most)) if size > 0 else 0.0
    return np.asarray(speed - factor * shared)


def _spectrum(speed: FloatArray) -> FloatArray:
    """Power over the breathing band, scaled to a median of 1; 0 for what does not move."""
    place = np.arange(len(speed), dtype=np.float64)
    level = speed - np.polynomial.Polynomial.fit(place, speed, 1)(place)
    density = power(level, rate_hz=_GRID_RATE_HZ, frequency_hz=_BAND_HZ)
    middle = float(np.median(density))
    return np.asarray(density / middle) if middle > 0 else np.zeros(len(_BAND_HZ))


def _of_beats(beats: Beats, t_s: FloatArray, bvp: FloatArray) -> list[FloatArray]:
    """Spectra of the pulse's strength and of its rhythm, as far as the beats are dense enough to tell."""
    if beats.good.sum() < 12:
        return []
    times_s = beats.times_s[beats.good]
    interval_s = np.diff(times_s)
    typical_s = float(np.median(interval_s))
    whole = interval_s < 1.6 * typical_s
    height = np.interp(times_s, t_s, bvp)
    trough = np.array([bvp[(t_s > a) & (t_s < b)].min(initial=np.inf) for a, b in pairwise(times_s)])
    strength = np.where(whole & np.isfinite(trough), height[1:] - trough, np.nan)
    rhythm = np.where(whole, interval_s, np.nan)
    found = [_speeds(times_s[1:], strength), _speeds(times_s[1:] - interval_s / 2, rhythm)]
    dense = 1.0 / (_BEATS_A_BREATH * typical_s) > _BAND_HZ
    return [np.where(dense, _spectrum(f[1][0]), 0.0) for f in found if f is not None]


def _modulation(signals: Signals) -> FloatArray | None:
    """Mean of the spectra of all that breathing changes in the face's blood; a clear one counts more than a flat one."""
    known = [] if signals.beats is None else _of_beats(signals.beats, signals.t_s, signals.bvp)
    tint = _speeds(signals.chest_t_s, signals.skin_tint, signals.room_tint)
    if tint is not None:  # light that changes its colour changes that of the room as well
        skin, room = tint[1]
        known.append(_spectrum(_without(skin, room, least=-_MOST_TINT, most=_MOST_TINT)))
    if not known:
        return None
    return np.asarray(np.mean([s * min(1.0, _MOST_PROMINENCE / max(s.max(), 1.0)) for s in known], axis=0))


def _mean_rate_hz(t_s: FloatArray, speed: FloatArray, near_hz: float) -> float:
    """Breaths per second from the first to the last of them: the turns of phase around near_hz.

    A breath wanders by a tenth; a spectral peak leans to the steadiest stretch, counted turns do not.
    """
    # A longer kernel than the trace would make the product as long as the kernel, out of step with t_s.
    length = min(int(_PERIODS_OF_PHASE * _GRID_RATE_HZ / near_hz), len(speed) - 2) | 1
    turned = np.convolve(
        speed * np.exp(-2j * np.pi * near_hz * t_s), np.hanning(length + 2)[1:-1], mode="same"
    )
    phase = np.unwrap(np.angle(turned))
    edge = max(1, length // 4)
    return float(near_hz + (phase[-edge - 1] - phase[edge]) / (2 * np.pi * (t_s[-edge - 1] - t_s[edge])))


def estimate(signals: Signals) -> Estimate:
    """The mean breathing rate over the scan where both sources show the same rate; otherwise the reason."""
    window_s = signals.accepted_s
    if signals.forbidding:
        return withheld(UNIT, ALGORITHM, signals.obstacles, window_s)
    if window_s < MIN_ACCEPTED_S - ROUNDING_S:
        return withheld(UNIT, ALGORITHM, (Reason.TOO_SHORT,), window_s)
    moved = _speeds(signals.chest_t_s, signals.chest_y, signals.head_y)
    shown_pulse = signals.heart_rate is not None and signals.heart_rate.value is not None
    modulation = _modulation(signals) if shown_pulse else None
    if moved is None or modulation is None:
        return withheld(UNIT, ALGORITHM, (Reason.NO_BREATHING_SEEN,), window_s)
    t_s, (chest, head) = moved
    # Shoulders follow a head in part or as a whole, never against it or further.
    breath = _without(chest, head, least=0.0, most=1.0)
    chest_hz, chest_height = peak(_BAND_HZ, _spectrum(breath))
    pulse_hz, pulse_height = peak(_BAND_HZ, modulation)
    prominence = min(1.0, chest_height / 20.0) * min(1.0, pulse_height / 10.0)
    if chest_height < _MIN_PROMINENCE:
        return withheld(UNIT, ALGORITHM, (Reason.NO_BREATHING_SEEN,), window_s, 0.3 * prominence)
    rate = 60.0 * _mean_rate_hz(t_s, breath, chest_hz)
    apart = max(abs(60.0 * pulse_hz - 60.0 * chest_hz), abs(rate - 60.0 * chest_hz))
    if apart > MAX_DISAGREEMENT_PER_MIN:
        return withheld(UNIT, ALGORITHM, (Reason.SOURCES_DISAGREE,), window_s, 0.5 * prominence)
    if not LOWEST_PER_MIN < rate < HIGHEST_PER_MIN:
        return withheld(UNIT, ALGORITHM, (Reason.IMPLAUSIBLE,), window_s)
    # Half a turn of phase over the window, narrowed by how far the peak stands out.
    half = 1.96 * float(np.hypot(30.0 / window_s / np.sqrt(chest_height), _ERROR_FLOOR_PER_MIN))
    return Estimate(
        rate, max(0.0, rate - half), rate + half, UNIT, 0.7 + 0.25 * prominence, (), window_s, ALGORITHM
    )


SPEC = VitalSpec("respiratory_rate", MIN_ACCEPTED_S, estimate)
