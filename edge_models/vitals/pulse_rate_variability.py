"""RMSSD and SDNN of pulse intervals (Task Force of ESC and NASPE, Circulation 1996), corrected for beat jitter.

Called pulse-rate variability: the intervals are of the pulse at the face, not of the ECG.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edge_models.types import Estimate, FloatArray, Reason
from edge_models.vitals.spec import Signals, VitalSpec, withheld

UNIT = "ms"
ALGORITHM = "time-domain-jitter-corrected/1"
MIN_ACCEPTED_S = 60.0
MIN_GOOD_SHARE = 0.95
MAX_JITTER_S = 0.008


def rmssd_s(runs: list[FloatArray]) -> float:
    """Root mean square of successive differences of intervals, in the unit of `runs`; NaN below one difference."""
    differences = np.concatenate([np.diff(run) for run in runs]) if runs else np.zeros(0)
    return float(np.sqrt(np.mean(differences**2))) if len(differences) else float("nan")


def sdnn_s(runs: list[FloatArray]) -> float:
    """Standard deviation (n − 1) of all intervals, in the unit of `runs`; NaN below two intervals."""
    intervals = np.concatenate(runs) if runs else np.zeros(0)
    return float(np.std(intervals, ddof=1)) if len(intervals) > 1 else float("nan")


def without_jitter(value: float, jitter: float, *, differences: int) -> float:
    """`value` less the variance that independent beat errors of deviation `jitter` add; never below 0.

    An interval holds two beat errors (2σ²), a successive difference σ²·(1 + 4 + 1) = 6σ²;
    differences: how many times the beat times were differenced, 1 or 2.
    """
    added = (2.0 if differences == 1 else 6.0) * jitter**2
    return float(np.sqrt(max(0.0, value**2 - added)))


def _estimator(
    measure: Callable[[list[FloatArray]], float], differences: int
) -> Callable[[Signals], Estimate]:
    def estimate(signals: Signals) -> Estimate:
        rate, beats = signals.heart_rate, signals.beats
        if rate is None or rate.value is None or beats is None:
            why = rate.reasons if rate is not None and rate.reasons else (Reason.NO_PULSE,)
            return withheld(UNIT, ALGORITHM, why, signals.accepted_s)
        reasons: list[Reason] = []
        if signals.accepted_s < MIN_ACCEPTED_S:
            reasons.append(Reason.TOO_SHORT)
        if beats.good_share < MIN_GOOD_SHARE:
            reasons.append(Reason.TOO_FEW_BEATS)
        if not beats.jitter_s <= MAX_JITTER_S:  # also where it is NaN
            reasons.append(Reason.BEATS_UNCERTAIN)
        if reasons:
            return withheld(UNIT, ALGORITHM, tuple(reasons), signals.accepted_s)
        raw_ms = 1000.0 * measure(beats.intervals_s())
        jitter_ms = 1000.0 * beats.jitter_s
        value = without_jitter(raw_ms, jitter_ms, differences=differences)
        if not np.isfinite(value) or value > _HIGHEST_MS:
            return withheld(UNIT, ALGORITHM, (Reason.IMPLAUSIBLE,), signals.accepted_s)
        # Sampling error of a deviation from n intervals, and what half the jitter estimate would change.
        n = sum(len(run) for run in beats.intervals_s())
        sampling = value / np.sqrt(2.0 * max(n - 1.0, 1.0))
        unsure = abs(raw_ms - without_jitter(raw_ms, 1.5 * jitter_ms, differences=differences)) / 2.0
        half = 1.96 * float(np.hypot(sampling, unsure))
        return Estimate(
            value,
            max(0.0, value - half),
            value + half,
            UNIT,
            rate.confidence,
            (),
            signals.accepted_s,
            ALGORITHM,
        )

    return estimate


_HIGHEST_MS = 300.0
RMSSD = VitalSpec("rmssd", MIN_ACCEPTED_S, _estimator(rmssd_s, 2))
SDNN = VitalSpec("sdnn", MIN_ACCEPTED_S, _estimator(sdnn_s, 1))
