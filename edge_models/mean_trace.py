"""A heart rate from one mean colour trace, as data sets give it: no regions, no background, no motion.

A single trace has too few neighbours for the noise model of a scan (`fusion`). So four projections of short windows take
the changing light out first (POS, CHROM and PBV as in `pulse`). In each, every rate of the band is held against
the noise that the rest of the spectrum shows around it, and the four logarithms of how much likelier a pulse is than none
are averaged: what one projection lets through, the others mostly do not. Windows of longer traces are joined by the most
probable path.

What tells a person from a photograph cannot be asked of one trace, so this is for comparing methods on recordings and
never for a scan. Constants were chosen by simulated traces of both simulators, at 45 to 250 /min; what they do on the
recordings was seen beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_models import pulse
from edge_models.signal.filters import without_baseline
from edge_models.signal.resample import even_grid, measured_fps, on_grid
from edge_models.signal.spectrum import fourier_matrix, peak, sine_tapers
from edge_models.signal.tracking import viterbi
from edge_models.types import Estimate, FloatArray, Reason
from edge_models.vitals.spec import withheld

ALGORITHM = "fused-projections-mean-trace/2"
UNIT = "/min"
_RATE_HZ = 30.0
_CUTOFF_HZ = 0.5
_SHORTEST_S, _WINDOW_S, _HOP_S = 5.0, 10.0, 1.0
_LEAST_SHARE = 0.9
"""Of a window that must be there; else it is left out."""
_SEEN_OF_FRAME_RATE = 0.45
"""The highest frequency that is asked, as a part of the frame rate: a little below half of it."""
_LONG_PBV_S = 3.0
_LOUDNESS_HZ = 0.234
"""Loudness is what is slower than this: a bell of 0.8 s, the standard deviation."""

_TAPERS = 2
_HALF_LINE = 0.7 * (_TAPERS + 1) / 2.0
"""Half the width of a line in the tapered spectrum, in units of 1 / length: so near a rate nothing is noise."""
_NOISE_OCTAVES = 0.87
"""Standard deviation of the bell in which noise is learnt around a rate."""
_SLOPE_BELIEVED = 0.5
"""Of the slope of log power over log frequency. A pulse and its harmonics make it steeper than the noise is."""
_FLOOR, _CEILING = 0.9, 1.3
"""Noise is learnt between these multiples of the band's ends."""
_EXPECTED_POWER = (3.0, 10.0, 30.0)
"""Of a pulse, over noise; its size is not known, so the three are averaged."""
_INDEPENDENT_S = 4.5
_CHANGE_PER_SQRT_S = 2.0
_REACH_PER_MIN, _FINE_PER_MIN = 8.0, 0.25

_CONFIDENCE = (-1.8, 0.86)
"""Of a logistic in the evidence: that the rate is right within 5 /min, on simulated traces with and without a pulse."""
_SHOW_FROM_CONFIDENCE = 0.8
_RATE_FLOOR_PER_MIN = 0.5
_ERROR_OF_LINE = 0.45
"""Standard error of a rate as a part of 1 / length, at evidence 1. With the floor, 95 % of the intervals hold the truth on
simulated traces of 5 to 10 s."""


@dataclass(frozen=True, slots=True)
class _Window:
    """One window: its centre, evidence per rate of the band, and the wave [shape=(n,)] on the even grid."""

    t_s: float
    evidence: FloatArray
    wave: FloatArray


def estimate(t_s: FloatArray, rgb: FloatArray, *, lowest_per_min: float, highest_per_min: float) -> Estimate:
    """The mean heart rate over a trace of 5 s or more; 10 s and more are better.

    t_s: strictly increasing [shape=(n,)]. rgb: R, G, B in any positive unit [shape=(n, 3)]. The band, /min, may
    reach beyond what a scan looks for; rates above 27 times the frame rate are left out of it, because such a trace
    can't show them: a heart that fast would be read as its alias. Withheld where the trace is too short, where the frame rate leaves less of the band than a pulse
    and the noise beside it need, or where the rate is not right within 5 /min at a probability of 0.8 or more.
    """
    length_s = float(t_s[-1] - t_s[0]) + float(np.median(np.diff(t_s))) if len(t_s) > 1 else 0.0
    if length_s < _SHORTEST_S - 1e-6:
        return withheld(UNIT, ALGORITHM, (Reason.TOO_SHORT,), length_s)
    fps = measured_fps(t_s)
    highest_seen_per_min = _SEEN_OF_FRAME_RATE * 60.0 * min(_RATE_HZ, fps)
    window_s = min(_WINDOW_S, float(t_s[-1] - t_s[0]))
    # Above the lowest rate there must be room for two half lines: then every candidate has noise beside it.
    if highest_seen_per_min < lowest_per_min + 2.0 * _HALF_LINE * 60.0 / window_s:
        return withheld(UNIT, ALGORITHM, (Reason.LOW_FRAME_RATE,), length_s)
    candidates = np.arange(lowest_per_min, min(highest_per_min, np.floor(highest_seen_per_min)) + 1.0)
    windows = _windows(t_s - t_s[0], rgb, length_s, fps, candidates, highest_seen_per_min)
    if not windows:  # nothing but gaps
        return withheld(UNIT, ALGORITHM, (Reason.TOO_SHORT,), length_s)
    score = np.stack([window.evidence for window in windows])
    share = min(1.0, _HOP_S / _INDEPENDENT_S) if len(windows) > 1 else 1.0
    steps_s = np.diff([window.t_s for window in windows])
    path = viterbi(share * score, step_s=steps_s, change_per_sqrt_s=_CHANGE_PER_SQRT_S)
    rate = float(
        np.mean([_refined_per_min(w.wave, candidates[i]) for w, i in zip(windows, path, strict=True)])
    )
    evidence = float(np.median(score[np.arange(len(path)), path]))
    sure = float(1.0 / (1.0 + np.exp(-(_CONFIDENCE[0] + _CONFIDENCE[1] * evidence))))
    if sure < _SHOW_FROM_CONFIDENCE:
        return withheld(UNIT, ALGORITHM, (Reason.NO_PULSE,), length_s, sure)
    if not lowest_per_min <= rate <= highest_per_min:
        return withheld(UNIT, ALGORITHM, (Reason.IMPLAUSIBLE,), length_s, sure)
    line_per_min = 60.0 / (len(windows[0].wave) / _RATE_HZ)
    half = 1.96 * float(
        np.hypot(_RATE_FLOOR_PER_MIN, _ERROR_OF_LINE * line_per_min / np.sqrt(max(evidence, 1.0)))
    )
    return Estimate(rate, rate - half, rate + half, UNIT, sure, (), length_s, ALGORITHM)


def _windows(
    t_s: FloatArray,
    rgb: FloatArray,
    length_s: float,
    fps: float,
    candidates: FloatArray,
    highest_seen_per_min: float,
) -> list[_Window]:
    per_step = max(1, round(fps / _RATE_HZ))
    if per_step > 1:
        # More frames than the grid has steps: their mean, else their noise would fold into the band.
        whole = len(t_s) // per_step * per_step
        t_s = t_s[:whole].reshape(-1, per_step).mean(axis=1)
        rgb = rgb[:whole].reshape(-1, per_step, 3).mean(axis=1)
    gap_s = max(0.25, 2.5 / max(fps, 1.0))
    found = []
    for start_s in np.arange(0.0, max(length_s - _WINDOW_S, 0.0) + 1e-6, _HOP_S):
        grid_s = even_grid(float(start_s), min(float(start_s) + _WINDOW_S, float(t_s[-1])), _RATE_HZ)
        level, valid = on_grid(t_s, np.maximum(rgb, 1e-6), grid_s, max_gap_s=gap_s)
        if valid.mean() < _LEAST_SHARE:
            continue
        waves = _waves(level)
        evidence = np.mean([_evidence(wave, candidates, highest_seen_per_min) for wave in waves], axis=0)
        # The long windows of the fourth help to find a pulse, but a strong one cancels itself most in them.
        found.append(_Window(float(grid_s[0] + grid_s[-1]) / 2.0, evidence, np.sum(waves[:3], axis=0)))
    return found


def _waves(rgb: FloatArray) -> list[FloatArray]:
    """POS, CHROM, and PBV in short and long windows, each of even loudness."""
    projected = (
        pulse.pos(rgb, rate_hz=_RATE_HZ),
        pulse.chrom(rgb, rate_hz=_RATE_HZ),
        pulse.pbv(rgb, rate_hz=_RATE_HZ),
        pulse.pbv(rgb, rate_hz=_RATE_HZ, window_s=_LONG_PBV_S),
    )
    return [_even_loudness(wave) for wave in projected]


def _even_loudness(wave: FloatArray) -> FloatArray:
    """A wave without baseline, and as loud at every moment as at any other: a jerk must not outvote the rest."""
    everywhere = np.ones(len(wave))
    wave = without_baseline(wave, everywhere, rate_hz=_RATE_HZ, cutoff_hz=_CUTOFF_HZ)
    power = wave**2
    near = power - without_baseline(power, everywhere, rate_hz=_RATE_HZ, cutoff_hz=_LOUDNESS_HZ)
    wave = wave / np.sqrt(np.maximum(near, max(1e-6 * float(power.mean()), 1e-20)))
    return np.asarray(wave / max(float(wave.std()), 1e-12), np.float64)


def _evidence(wave: FloatArray, candidates: FloatArray, highest_seen_per_min: float) -> FloatArray:
    """Log of how much likelier the spectrum is with a pulse at each candidate, /min, than without.

    Noise is the power of the other frequencies, weighted by how near they are, along half the spectrum's own slope.
    It is learnt from few independent values, so power over noise has heavier tails than an exponential: that of a
    ratio (F distribution). Frequencies near the candidate and its harmonics teach nothing. Harmonics add
    nothing to the evidence: in windows this short they raised more noise than pulses on simulated traces.
    """
    length_s = len(wave) / _RATE_HZ
    low = _FLOOR * candidates[0]
    high = min(_CEILING * candidates[-1], highest_seen_per_min)
    frequency = np.arange(np.ceil(low), np.floor(high) + 1.0)
    tapered = sine_tapers(len(wave), _TAPERS) * wave
    seconds = np.arange(len(wave)) / _RATE_HZ

    def power(per_min: FloatArray) -> FloatArray:
        return np.asarray((np.abs(fourier_matrix(seconds, per_min / 60.0) @ tapered.T) ** 2).sum(axis=1))

    around = power(frequency) / _TAPERS + 1e-12
    slope = _SLOPE_BELIEVED * float(np.polyfit(np.log(frequency), np.log(around), 1)[0])
    apart = np.log(frequency)[None, :] - np.log(candidates)[:, None]
    weight = np.exp(-0.5 * (apart / (_NOISE_OCTAVES * np.log(2.0))) ** 2)
    for harmonic in (1, 2, 3):
        distance = np.abs(frequency[None, :] - harmonic * candidates[:, None])
        weight *= distance > _HALF_LINE * 60.0 / length_s
    total = weight.sum(axis=1) + 1e-9
    noise = (weight * np.exp(-slope * apart)) @ around / total
    independent = 2.0 * total * length_s / 60.0
    over_noise = power(candidates) / noise
    ratios = [
        (independent / 2.0 + _TAPERS)
        * (np.log1p(2.0 * over_noise / independent) - np.log1p(2.0 * over_noise / (1.0 + size) / independent))
        - _TAPERS * np.log1p(size)
        for size in _EXPECTED_POWER
    ]
    return np.asarray(np.logaddexp.reduce(ratios, axis=0) - np.log(len(ratios)), np.float64)


def _refined_per_min(wave: FloatArray, near_per_min: float) -> float:
    """The rate near a candidate at which a tapered wave has most power, fundamental and harmonic together.

    A sine for taper: what is wanted is the mean rate of the whole trace, and a Hann window would ask its middle.
    """
    offsets = np.arange(-_REACH_PER_MIN, _REACH_PER_MIN + 1e-9, _FINE_PER_MIN)
    taper = sine_tapers(len(wave), 1)[0]
    segment = (wave - np.average(wave, weights=taper)) * taper
    around = fourier_matrix(np.arange(len(wave)) / _RATE_HZ, (near_per_min + offsets) / 60.0)
    return peak(near_per_min + offsets, np.abs(around @ segment) ** 2 + np.abs(around**2 @ segment) ** 2)[0]
