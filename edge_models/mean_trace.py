"""A heart rate from one mean colour trace, as data sets give it: no regions, no background, no motion.

The matched filter, the harmonics, the prior and the path are those of a scan (`fusion`). What tells a person from a
photograph cannot be asked of one trace, so this is for comparing methods on recordings and never for a scan.
"""

from __future__ import annotations

import numpy as np

from edge_models.fusion import HOP_S, WINDOW_S, PulseFusion
from edge_models.regions import CUTOFF_HZ, GRID_RATE_HZ, TRACES, Traces, region_traces
from edge_models.signal.filters import without_baseline
from edge_models.signal.matched_filter import HIGHEST_PER_MIN, LOWEST_PER_MIN
from edge_models.signal.resample import even_grid, measured_fps, on_grid
from edge_models.types import Estimate, FloatArray, Reason
from edge_models.vitals.heart_rate import UNIT, mean_rate_per_min
from edge_models.vitals.spec import withheld

ALGORITHM = "matched-filter-mean-trace/1"
_SHOW_FROM_EVIDENCE = 4.8
_EVEN_EVIDENCE = 2.0
"""Evidence at which a rate is as likely wrong as right; a guess that nothing calibrated yet."""
_SHORTEST_S = 5.0
_COLUMNS = region_traces(("centre",))[:3]


def estimate(t_s: FloatArray, rgb: FloatArray, *, lowest_per_min: float, highest_per_min: float) -> Estimate:
    """The mean heart rate over a trace of 5 s or more; WINDOW_S and more are better.

    t_s: strictly increasing [shape=(n,)]. rgb: R, G, B in any positive unit [shape=(n, 3)]. The band may reach beyond
    what a scan looks for: time is then stretched, for hearts that beat faster than people's. Withheld where the
    trace is too short, nothing speaks for a pulse, or the rate falls outside the band.
    """
    if len(t_s) < 2:
        return withheld(UNIT, ALGORITHM, (Reason.TOO_SHORT,), 0.0)
    stretch = max(1.0, highest_per_min / HIGHEST_PER_MIN)
    at_s = (t_s - t_s[0]) * stretch
    length_s = float(at_s[-1]) + float(np.median(np.diff(at_s)))
    if length_s < _SHORTEST_S:
        return withheld(UNIT, ALGORITHM, (Reason.TOO_SHORT,), length_s / stretch)
    fusion = PulseFusion()
    per_step = max(1, round(measured_fps(at_s) / GRID_RATE_HZ))
    if per_step > 1:
        # More frames than the grid has steps: their mean, else their noise would fold into the band.
        whole = len(at_s) // per_step * per_step
        at_s = at_s[:whole].reshape(-1, per_step).mean(axis=1)
        rgb = rgb[:whole].reshape(-1, per_step, 3).mean(axis=1)
    gap_s = max(0.25, 2.5 / max(measured_fps(at_s), 1.0))
    starts_s = np.arange(0.0, max(length_s - WINDOW_S, 0.0) + 1e-6, HOP_S)
    for start_s in starts_s:
        grid_s = even_grid(float(start_s), float(start_s) + WINDOW_S, GRID_RATE_HZ)
        level, valid = on_grid(at_s, np.log(np.maximum(rgb, 1e-6)), grid_s, max_gap_s=gap_s)
        if not valid.any():  # nothing but a gap
            continue
        weight = valid.astype(np.float64)
        values = np.zeros((len(grid_s), TRACES))
        values[:, _COLUMNS] = without_baseline(
            level - level[valid].mean(axis=0), weight, rate_hz=GRID_RATE_HZ, cutoff_hz=CUTOFF_HZ
        )
        fusion.add(Traces(grid_s, values * weight[:, None], weight))
    fusion.read_again()
    track = fusion.track()
    if track is None:
        return withheld(UNIT, ALGORITHM, (Reason.TOO_SHORT,), length_s / stretch)
    wave_t_s, bvp, valid_wave = fusion.wave(track)
    rate, error = mean_rate_per_min(track, wave_t_s, bvp, valid_wave)
    rate, half = rate * stretch, 1.96 * error * stretch
    evidence = float(np.median(track.evidence))
    sure = float(1.0 / (1.0 + np.exp(-0.5 * (evidence - _EVEN_EVIDENCE))))
    lowest = max(lowest_per_min, LOWEST_PER_MIN * stretch)
    if evidence < _SHOW_FROM_EVIDENCE:
        return withheld(UNIT, ALGORITHM, (Reason.NO_PULSE,), length_s / stretch, sure)
    if not lowest <= rate <= highest_per_min:
        return withheld(UNIT, ALGORITHM, (Reason.IMPLAUSIBLE,), length_s / stretch, sure)
    return Estimate(rate, rate - half, rate + half, UNIT, sure, (), length_s / stretch, ALGORITHM)
