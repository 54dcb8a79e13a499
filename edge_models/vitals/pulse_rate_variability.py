"""RMSSD and SDNN of pulse intervals (Task Force of ESC and NASPE, Circulation 1996), corrected for beat jitter.

Called pulse-rate variability: the intervals are of the pulse at the face, not of the ECG.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import NormalDist

import numpy as np

from edge_models.types import Estimate, FloatArray, Reason
from edge_models.vitals.spec import ROUNDING_S, Signals, VitalSpec, withheld

UNIT = "ms"
ALGORITHM = "time-domain-jitter-corrected/2"
MIN_ACCEPTED_S = 60.0
MIN_GOOD_SHARE = 0.95
MAX_JITTER_S = 0.008
_DOUBT_OF_JITTER = 0.6
"""Standard error of the square of an estimated jitter, as a part of it: its own is off by about 30 % on the simulator."""
_HIGHEST_MS = 300.0


def rmssd_s(runs: list[FloatArray]) -> float:
    """Root mean square of successive differences of intervals, in the unit of `runs`; NaN below one difference."""
    differences = np.concatenate([np.diff(run) for run in runs]) if runs else np.zeros(0)
    return float(np.sqrt(np.mean(differences**2))) if len(differences) else float("nan")


def sdnn_s(runs: list[FloatArray]) -> float:
    """Standard deviation (n − 1) of all intervals, in the unit of `runs`; NaN below two intervals."""
    intervals = np.concatenate(runs) if runs else np.zeros(0)
    return float(np.std(intervals, ddof=1)) if len(intervals) > 1 else float("nan")


def _added(jitter: float, differences: int) -> float:
    """Variance that independent beat errors add: 2σ² to an interval, σ²·(1 + 4 + 1) = 6σ² to a successive difference."""
    return (2.0 if differences == 1 else 6.0) * jitter**2


def without_jitter_and_its_range(
    value: float, jitter: float, *, differences: int, intervals: int
) -> tuple[float, float, float]:
    """(the deviation that `value` stands for, low, high of its 95 % range) in the unit of `value`; never below 0.

    What is left of the square is known to a normal error, and whatever is negative of it is 0: the value is what that
    comes to on average, so that a small variability does not read 0 wherever the jitter was guessed a little too large.
    The range is that of the normal distribution above 0. differences: how many times the beat times
    were differenced, 1 or 2. intervals: how many, at least 2.
    """
    added = min(_added(jitter, differences), value**2)  # no jitter is larger than all that was seen
    rest = value**2 - added
    # Successive differences share a beat: fewer of them are independent, and a beat that leans on another counts twice.
    spread = float(np.sqrt(2.0 * differences**2 / max(intervals - 1, 1)))
    found = float(np.sqrt(_mean_of_positive(rest, added * float(np.hypot(_DOUBT_OF_JITTER, spread)))))
    low, high = _range_above_zero(rest, float(np.hypot(value**2 * spread, _DOUBT_OF_JITTER * added)))
    return found, min(float(np.sqrt(low)), found), max(float(np.sqrt(high)), found)


def _mean_of_positive(middle: float, error: float) -> float:
    """Mean of max(0, x) for a normal x; middle: not negative."""
    if error <= 1e-12 * middle:
        return middle
    standing, normal = middle / error, NormalDist()
    return error * (standing * normal.cdf(standing) + normal.pdf(standing))


def _range_above_zero(middle: float, error: float) -> tuple[float, float]:
    """(2.5 %, 97.5 % point) of a normal distribution cut off below 0; middle: not negative, error: uncut."""
    if error <= 1e-12 * middle:
        return middle, middle
    standing, normal = middle / error, NormalDist()
    above = normal.cdf(standing)
    low, high = (standing - normal.inv_cdf(above * part) for part in (0.975, 0.025))
    return error * max(low, 0.0), error * high


def _estimator(
    measure: Callable[[list[FloatArray]], float], differences: int
) -> Callable[[Signals], Estimate]:
    def estimate(signals: Signals) -> Estimate:
        rate, beats = signals.heart_rate, signals.beats
        if rate is None or rate.value is None or beats is None:
            why = rate.reasons if rate is not None and rate.reasons else (Reason.NO_PULSE,)
            return withheld(UNIT, ALGORITHM, why, signals.accepted_s)
        reasons: list[Reason] = []
        if signals.accepted_s < MIN_ACCEPTED_S - ROUNDING_S:
            reasons.append(Reason.TOO_SHORT)
        if beats.good_share < MIN_GOOD_SHARE:
            reasons.append(Reason.TOO_FEW_BEATS)
        if not beats.jitter_s <= MAX_JITTER_S:  # also where it is NaN
            reasons.append(Reason.BEATS_UNCERTAIN)
        if reasons:
            return withheld(UNIT, ALGORITHM, tuple(reasons), signals.accepted_s)
        runs = beats.intervals_s()
        raw_ms = 1000.0 * measure(runs)
        if not raw_ms <= _HIGHEST_MS:  # also where it is NaN
            return withheld(UNIT, ALGORITHM, (Reason.IMPLAUSIBLE,), signals.accepted_s)
        value, low, high = without_jitter_and_its_range(
            raw_ms, 1000.0 * beats.jitter_s, differences=differences, intervals=sum(map(len, runs))
        )
        return Estimate(
            value,
            low,
            high,
            UNIT,
            rate.confidence,
            (),
            signals.accepted_s,
            ALGORITHM,
        )

    return estimate


RMSSD = VitalSpec("rmssd", MIN_ACCEPTED_S, _estimator(rmssd_s, 2))
SDNN = VitalSpec("sdnn", MIN_ACCEPTED_S, _estimator(sdnn_s, 1))
