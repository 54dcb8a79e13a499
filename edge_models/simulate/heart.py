"""A heart and a breath with exact truth: beat times, the pulse wave at any moment, the breathing signal.

Beats follow a rate that may ramp; around it the intervals vary with breathing (respiratory sinus arrhythmia),
slowly (0.03 to 0.12 Hz, baroreflex and below) and at random, as in the usual picture of heart-rate variability
(Task Force of the ESC and NASPE, Circulation 1996;93:1043). The mix of the three is solved for, so that SDNN and
RMSSD of the beats that fall into the recording are those asked for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from edge_models.simulate.known_beats import KnownBeats
from edge_models.types import FloatArray

_MARGIN_BEATS = 4
_BREATH_IN_HEIGHT = 0.08
"""Beats are stronger or weaker with the breath by this part (amplitude modulation; a round number)."""
# The kernel of one beat, in units of the smoothed beat interval: (centre after the systolic peak, width, height).
# Systolic peak, its run-off, dicrotic wave: a plain picture of a facial reflection pulse, not a fit to data.
_WAVES = ((0.0, 0.105, 1.0), (0.16, 0.13, 0.45), (0.40, 0.11, 0.34))


@dataclass(frozen=True, slots=True)
class Breathing:
    """A breath whose rate wavers a little. rate_per_min: mean; waver: phase excursion in radians."""

    rate_per_min: float
    waver: float
    waver_hz: float
    phase: float

    def phase_at(self, t_s: FloatArray) -> FloatArray:
        """Phase in radians at t_s [shape=(n,)]; 2π a breath."""
        base = 2 * np.pi * self.rate_per_min / 60 * t_s + self.phase
        return np.asarray(base + self.waver * np.sin(2 * np.pi * self.waver_hz * t_s + 3 * self.phase))

    def signal(self, t_s: FloatArray) -> FloatArray:
        """Volume of the chest at t_s [shape=(n,)], dimensionless, about ±1; up is in. Out takes longer than in."""
        phase = self.phase_at(t_s)
        return np.asarray(np.sin(phase + 0.25 * np.sin(phase)))

    def rate_between(self, start_s: float, stop_s: float) -> float:
        """Mean breaths per minute from start_s to stop_s."""
        start, stop = self.phase_at(np.array([start_s, stop_s], dtype=np.float64))
        return float((stop - start) / (2 * np.pi) * 60 / (stop_s - start_s))


@dataclass(frozen=True, slots=True)
class Truth(KnownBeats):
    """What is true of a simulated scene. `has_pulse` is False where nobody alive is in the picture.

    all_beats_s: every systolic peak in seconds [shape=(k,)], some before 0 and after `duration_s`, so that the
        wave is whole at both ends. ectopic: bool [shape=(k,)], True for a premature beat.
    heights: of the beats [shape=(k,)], 1 for a normal one in the middle of a breath. visible_until_s: when the person leaves (else duration_s).
    Methods raise ValueError where there is no pulse or too few beats; `bvp` is zero where there is no pulse.
    """

    duration_s: float
    has_pulse: bool
    visible_until_s: float
    all_beats_s: FloatArray
    ectopic: np.ndarray[tuple[int], np.dtype[np.bool_]]
    heights: FloatArray
    breathing: Breathing

    def peaks_and_end_s(self) -> tuple[FloatArray, float]:
        """(`all_beats_s`, `visible_until_s`)."""
        return self.all_beats_s, self.visible_until_s

    @property
    def early_s(self) -> FloatArray:
        """The premature ones of `all_beats_s` [shape=(e,)], seconds."""
        return np.asarray(self.all_beats_s[self.ectopic])

    @property
    def ibi_s(self) -> FloatArray:
        """Intervals between `beats_s` [shape=(m - 1,)], seconds."""
        return np.diff(self.beats_s)

    def respiratory_rate(self, start_s: float = 0.0, stop_s: float | None = None) -> float:
        """Mean breaths per minute from start_s to stop_s (default: all)."""
        if not self.has_pulse:
            raise ValueError("nobody breathes in this scene")
        return self.breathing.rate_between(start_s, self.visible_until_s if stop_s is None else stop_s)

    def bvp(self, t_s: FloatArray) -> FloatArray:
        """Blood volume pulse at t_s [shape=(n,)], zero mean, peak to peak 2 for a regular rhythm; up is more blood.

        The light that comes back from skin falls as this rises.
        """
        if not self.has_pulse:
            return np.zeros(np.shape(t_s))
        return pulse_wave(t_s, self.all_beats_s, self.heights)


def pulse_wave(t_s: FloatArray, beats_s: FloatArray, heights: FloatArray) -> FloatArray:
    """Sum of one kernel per beat at t_s [shape=(n,)]; each peaks at its beat, so intervals of peaks are those of beats.

    The kernel's width follows the smoothed interval, not the single one: a late beat does not move its own peak.
    """
    local = _smoothed_interval(beats_s)
    mean, half_range = _regular_mean_and_half_range()
    nearest = np.searchsorted(beats_s, t_s)
    total = np.zeros(np.shape(t_s))
    for offset in range(-3, 3):
        index = nearest + offset
        inside = (index >= 0) & (index < beats_s.size)
        index = np.clip(index, 0, beats_s.size - 1)
        phase = (t_s - beats_s[index]) / local[index]
        total += np.where(inside, heights[index] * _kernel(phase), 0.0)
    return np.asarray((total - mean) / half_range)


def _kernel(phase: FloatArray) -> FloatArray:
    total = np.zeros(np.shape(phase))
    for centre, width, height in _WAVES:
        total += height * np.exp(-0.5 * ((phase - centre) / width) ** 2)
    return total


@lru_cache(maxsize=1)
def _regular_mean_and_half_range() -> tuple[float, float]:
    phase = np.linspace(0, 1, 400, endpoint=False)
    wave = sum((_kernel(phase + k) for k in range(-3, 4)), start=np.zeros(phase.size))
    return float(wave.mean()), float(np.ptp(wave) / 2)


def _smoothed_interval(beats_s: FloatArray) -> FloatArray:
    intervals = np.diff(beats_s)
    width = min(7, intervals.size)
    padded = np.pad(intervals, (width // 2, width - 1 - width // 2), mode="edge")
    smooth = np.convolve(padded, np.ones(width) / width, mode="valid")
    return np.concatenate([smooth[:1], (smooth[1:] + smooth[:-1]) / 2, smooth[-1:]])


def make_breathing(rng: np.random.Generator, rate_per_min: float) -> Breathing:
    """A breath at rate_per_min on the whole, with a slow waver of about ±5 % of the rate."""
    waver_hz = float(rng.uniform(0.015, 0.03))
    return Breathing(
        rate_per_min, 0.05 * rate_per_min / 60 / waver_hz, waver_hz, float(rng.uniform(0, 2 * np.pi))
    )


def default_variability_ms(heart_rate_bpm: float) -> tuple[float, float]:
    """(SDNN, RMSSD) in ms of a resting adult at this rate: less as the heart goes faster. A plausible curve, no fit."""
    scale = (72 / heart_rate_bpm) ** 1.5
    return 36.0 * scale, 34.0 * scale


def make_beats(
    rng: np.random.Generator,
    breathing: Breathing,
    *,
    duration_s: float,
    start_bpm: float,
    end_bpm: float,
    sdnn_ms: float,
    rmssd_ms: float,
    exact: bool = True,
) -> FloatArray:
    """Beat times in seconds that cover [0, duration_s] with a margin of some beats on both sides.

    Without a ramp, over the intervals inside the recording: mean rate, SDNN and RMSSD are those asked for
    (to rounding; RMSSD to 0.1 %). With a ramp the variation is laid on top of it, and
    the instantaneous rate goes linearly from start_bpm to end_bpm.
    exact: raise ValueError where no mix of the parts has this RMSSD for this SDNN; else take the nearest there is.
    Fewer than five beats are left without variation.
    """
    steady = _steady_beats(rng, duration_s, start_bpm, end_bpm)
    inside = (steady >= 0) & (steady <= duration_s)
    if np.count_nonzero(inside) < 5 or sdnn_ms == 0:
        return steady
    first, last = int(np.argmax(inside)), int(steady.size - 1 - np.argmax(inside[::-1]))
    window = slice(first, last)  # intervals k .. k+1 with both ends inside
    moments = steady[:-1]
    sinus = np.sin(breathing.phase_at(moments))
    white = rng.standard_normal(moments.size)
    slow = np.zeros(moments.size)
    for hz in (0.03, 0.05, 0.08, 0.11):
        slow += np.sin(2 * np.pi * (hz * moments + rng.uniform())) * (0.03 / hz)
    parts = [
        _standard(part, window)
        for part in (slow, _standard(sinus, window) + 0.5 * _standard(white, window), white)
    ]
    deviation = _mix(parts, window, sdnn_ms / 1000, rmssd_ms / 1000, exact=exact)
    # Only inside the recording: the deviations sum to zero there, so no beat slips in or out at its ends.
    varied = steady.copy()
    varied[first + 1 : last] += np.cumsum(deviation[window])[:-1]
    return varied


def _steady_beats(
    rng: np.random.Generator, duration_s: float, start_bpm: float, end_bpm: float
) -> FloatArray:
    """Beats without variation; the rate ramps within [0, duration_s] and stands still outside."""
    before_s, after_s = (_MARGIN_BEATS + 1) * 60 / start_bpm, (_MARGIN_BEATS + 1) * 60 / end_bpm
    count = int((duration_s + before_s + after_s) * 50) + 2
    grid = np.linspace(-before_s, duration_s + after_s, count)
    rate_hz = (start_bpm + (end_bpm - start_bpm) * np.clip(grid / duration_s, 0, 1)) / 60
    phase = np.concatenate([[0.0], np.cumsum((rate_hz[1:] + rate_hz[:-1]) / 2 * np.diff(grid))])
    offset = float(rng.uniform(0.2, 0.8))
    return np.interp(np.arange(math.floor(phase[-1] - offset) + 1) + offset, phase, grid)


def _standard(part: FloatArray, window: slice) -> FloatArray:
    return np.asarray((part - part[window].mean()) / max(float(part[window].std(ddof=1)), 1e-12))


def _mix(parts: list[FloatArray], window: slice, sdnn_s: float, rmssd_s: float, *, exact: bool) -> FloatArray:
    """The mix of slow → respiratory → white parts whose SD and RMSSD in the window are those asked for."""

    def blend(step: float) -> FloatArray:
        low = min(int(step), len(parts) - 2)
        angle = (step - low) * np.pi / 2
        return sdnn_s * _standard(np.cos(angle) * parts[low] + np.sin(angle) * parts[low + 1], window)

    def rmssd(step: float) -> float:
        return float(np.sqrt(np.mean(np.diff(blend(step)[window]) ** 2)))

    steps = np.linspace(0, len(parts) - 1, 65)
    values = np.array([rmssd(float(step)) for step in steps])
    above = np.flatnonzero((values[1:] >= rmssd_s) & (values[:-1] <= rmssd_s))
    if above.size == 0 and not exact:
        return blend(float(steps[int(np.abs(values - rmssd_s).argmin())]))
    if above.size == 0:
        raise ValueError(
            f"RMSSD of {1000 * rmssd_s:.1f} ms cannot go with SDNN of {1000 * sdnn_s:.1f} ms here: "
            f"{1000 * values.min():.1f} to {1000 * values.max():.1f} ms can"
        )
    low, high = float(steps[above[0]]), float(steps[above[0] + 1])
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if rmssd(middle) < rmssd_s else (low, middle)
    return blend((low + high) / 2)


def make_truth(
    rng: np.random.Generator,
    *,
    duration_s: float,
    heart_rate_bpm: float,
    heart_rate_end_bpm: float | None = None,
    sdnn_ms: float | None = None,
    rmssd_ms: float | None = None,
    ectopics_per_min: float = 0.0,
    breaths_per_min: float = 14.0,
    visible_until_s: float | None = None,
    has_pulse: bool = True,
) -> Truth:
    """A heart and a breath for duration_s seconds. None for SDNN or RMSSD: what is usual at this rate, or as near as so few beats can come.

    An ectopic beat comes 30 % early, is weaker, and is followed by a full compensatory pause and a stronger beat.
    """
    end_bpm = heart_rate_bpm if heart_rate_end_bpm is None else heart_rate_end_bpm
    both_asked_for = sdnn_ms is not None and rmssd_ms is not None
    usual_sdnn, usual_rmssd = default_variability_ms((heart_rate_bpm + end_bpm) / 2)
    breathing = make_breathing(rng, breaths_per_min)
    if sdnn_ms is None:
        sdnn_ms = usual_sdnn if rmssd_ms is None else rmssd_ms * usual_sdnn / usual_rmssd
    if rmssd_ms is None:
        rmssd_ms = sdnn_ms * usual_rmssd / usual_sdnn
    beats = make_beats(
        rng,
        breathing,
        duration_s=duration_s,
        start_bpm=heart_rate_bpm,
        end_bpm=end_bpm,
        sdnn_ms=sdnn_ms,
        rmssd_ms=rmssd_ms,
        exact=both_asked_for,
    )
    beats, ectopic, heights = _with_ectopics(rng, beats, duration_s, ectopics_per_min)
    heights = heights * (1 + _BREATH_IN_HEIGHT * breathing.signal(beats))
    return Truth(
        duration_s=duration_s,
        has_pulse=has_pulse,
        visible_until_s=duration_s if visible_until_s is None else min(visible_until_s, duration_s),
        all_beats_s=beats if has_pulse else np.zeros(0),
        ectopic=ectopic if has_pulse else np.zeros(0, dtype=np.bool_),
        heights=heights if has_pulse else np.zeros(0),
        breathing=breathing,
    )


def _with_ectopics(
    rng: np.random.Generator, beats: FloatArray, duration_s: float, per_min: float
) -> tuple[FloatArray, np.ndarray[tuple[int], np.dtype[np.bool_]], FloatArray]:
    ectopic = np.zeros(beats.size, dtype=np.bool_)
    heights = np.ones(beats.size)
    wanted = round(per_min * duration_s / 60)
    # Never the first beats, never two in a row: every ectopic has a normal beat before and after it.
    candidates = np.flatnonzero((beats > 1.0) & (beats < duration_s - 1.0))[::2]
    chosen = rng.permutation(candidates)[:wanted]
    moved = beats.copy()
    moved[chosen] -= 0.3 * (beats[chosen] - beats[chosen - 1])
    ectopic[chosen] = True
    heights[chosen] = 0.6
    heights[chosen + 1] = 1.15
    return moved, ectopic, heights
