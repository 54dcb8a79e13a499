"""How good a set of outcomes is: pure arithmetic, the same for every tool, group and cell of a table.

An error is what was said less what is true. "Shown" means that a number was given. Shares of shown values have shown
values as their whole; coverage has all clips with a pulse as its whole. A tool that failed on a clip showed nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.evaluation.outcomes import BREATHING, HEART_RATE, RMSSD, SDNN, WITHHELD, Outcome

FloatArray = NDArray[np.float64]

RIGHT_WITHIN_PER_MIN = 5.0
"""A confidence is the probability that the heart rate is right within so much (edge_models.types.Estimate)."""
FAR_OFF_PER_MIN = 10.0
CONFIDENT = 0.7
OCTAVE_SHARE = 0.05
"""An octave error lies within this share of half or of twice the truth."""
LONG_ENOUGH_FOR_VARIABILITY_S = 60.0
BAND_PER_MIN = 20
_CONFIDENCE_BINS = 10
_ORACLE_BIN_DB = 3.0
_LEAST_IN_BIN = 3
_Z = 1.959964


@dataclass(frozen=True, slots=True)
class Share:
    """count of whole, with the 95 % interval of Wilson (J. Am. Stat. Assoc. 1927); all None where whole is 0."""

    count: int
    whole: int

    @property
    def share(self) -> float | None:
        """0..1."""
        return self.count / self.whole if self.whole else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % of such intervals hold the true share, also near 0 and 1 and for few clips."""
        if not self.whole:
            return None
        n, p = self.whole, self.count / self.whole
        middle = p + _Z**2 / (2 * n)
        half = _Z * math.sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2))
        low, high = (middle - half) / (1 + _Z**2 / n), (middle + half) / (1 + _Z**2 / n)
        return max(0.0, low), min(1.0, high)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        low, high = self.interval or (None, None)
        return {
            "count": self.count,
            "of": self.whole,
            "share": _rounded(self.share, 4),
            "low": _rounded(low, 4),
            "high": _rounded(high, 4),
        }


@dataclass(frozen=True, slots=True)
class Pairs:
    """Values that were shown beside the truth, of clips that have one [shape=(shown,) each].

    owed: how many clips have a truth, shown or not. low, high, confidence: NaN where a tool does not give them.
    """

    owed: int
    said: FloatArray
    true: FloatArray
    low: FloatArray
    high: FloatArray
    confidence: FloatArray

    @property
    def error(self) -> FloatArray:
        """What was said less what is true."""
        return np.asarray(self.said - self.true, np.float64)

    def within(self, most: float) -> Share:
        """How many shown values err by at most this."""
        return Share(int(np.sum(np.abs(self.error) <= most)), self.said.size)

    @property
    def coverage(self) -> Share:
        """How many of those owed are shown."""
        return Share(self.said.size, self.owed)


def pairs(outcomes: Iterable[Outcome], vital: str = HEART_RATE) -> Pairs:
    """The pairs of one vital sign; clips without its truth are left out."""
    rows: list[tuple[float, ...]] = []
    owed = 0
    for outcome in outcomes:
        true = getattr(outcome.truth, vital)
        if true is None or not outcome.truth.has_pulse:
            continue
        if vital in (RMSSD, SDNN) and outcome.duration_s < LONG_ENOUGH_FOR_VARIABILITY_S:
            continue
        owed += 1
        said = outcome.vitals.get(vital, WITHHELD)
        if said.value is not None:
            known = (said.value, true, said.low, said.high, said.confidence)
            rows.append(tuple(math.nan if number is None else float(number) for number in known))
    columns = np.array(rows, np.float64).reshape(-1, 5).T
    return Pairs(owed, *columns)


def mean_absolute(error: FloatArray) -> float | None:
    """Mean absolute error; None of nothing."""
    return float(np.mean(np.abs(error))) if error.size else None


def root_mean_square(error: FloatArray) -> float | None:
    """Root of the mean squared error; None of nothing."""
    return float(np.sqrt(np.mean(error**2))) if error.size else None


def octave_errors(shown: Pairs) -> int:
    """Shown values within OCTAVE_SHARE of half or of twice the truth."""
    ratio = shown.said / shown.true
    return int(np.sum((np.abs(ratio / 0.5 - 1) <= OCTAVE_SHARE) | (np.abs(ratio / 2.0 - 1) <= OCTAVE_SHARE)))


def confidently_wrong(shown: Pairs) -> Share:
    """Shown with a confidence of at least CONFIDENT and off by more than FAR_OFF_PER_MIN, of all shown.

    A tool that gives no confidence stands behind every number: each counts as certain.
    """
    sure = np.where(np.isnan(shown.confidence), 1.0, shown.confidence) >= CONFIDENT
    return Share(int(np.sum(sure & (np.abs(shown.error) > FAR_OFF_PER_MIN))), shown.said.size)


def interval_coverage(shown: Pairs) -> Share:
    """How many of the intervals that are given hold the truth."""
    given = ~np.isnan(shown.low)
    inside = (shown.low <= shown.true) & (shown.true <= shown.high)
    return Share(int(np.sum(given & inside)), int(given.sum()))


def calibration(shown: Pairs) -> list[tuple[float, float, int]]:
    """(mean confidence, share right within RIGHT_WITHIN_PER_MIN, count) of every tenth of confidence that holds any."""
    given = ~np.isnan(shown.confidence)
    sure = shown.confidence[given]
    right = np.abs(shown.error[given]) <= RIGHT_WITHIN_PER_MIN
    place = np.minimum((sure * _CONFIDENCE_BINS).astype(int), _CONFIDENCE_BINS - 1)
    return [
        (float(sure[place == k].mean()), float(right[place == k].mean()), int(np.sum(place == k)))
        for k in range(_CONFIDENCE_BINS)
        if np.any(place == k)
    ]


def expected_calibration_error(shown: Pairs) -> float | None:
    """Mean distance of confidence and share right over ten bins, weighted by count (Guo et al., ICML 2017)."""
    bins = calibration(shown)
    total = sum(count for _, _, count in bins)
    return sum(abs(sure - right) * count for sure, right, count in bins) / total if total else None


def risk_coverage(shown: Pairs) -> list[tuple[float, float]]:
    """(coverage, mean absolute error) of the k most confident shown values, k = 1 … all shown.

    Ends where the tool stops showing: withheld clips have no value, so their risk is not known. A tool without
    confidences is one point.
    """
    if not shown.said.size:
        return []
    error = np.abs(shown.error)
    if np.isnan(shown.confidence).any():
        return [(shown.said.size / shown.owed, float(error.mean()))]
    order = np.argsort(-shown.confidence, kind="stable")
    risk = np.cumsum(error[order]) / np.arange(1, order.size + 1)
    # Equal confidences are shown together or not at all: only the last of them is a point.
    last = np.append(np.diff(shown.confidence[order]) != 0, True)
    return [(float((k + 1) / shown.owed), float(risk[k])) for k in np.flatnonzero(last)]


def limits_of_agreement(shown: Pairs) -> tuple[float, float, float] | None:
    """(bias, lower, upper 95 % limit) of Bland & Altman (Lancet 1986); None below two values."""
    if shown.said.size < 2:
        return None
    bias, spread = float(shown.error.mean()), float(shown.error.std(ddof=1))
    return bias, bias - _Z * spread, bias + _Z * spread


def first_live_s(outcome: Outcome) -> float | None:
    """The second of the first live value; None where none was shown."""
    return next((at_s for at_s, value, _, _ in outcome.live if value is not None), None)


def live_errors(outcomes: Iterable[Outcome]) -> FloatArray:
    """Errors of all live values against the true mean of the seconds before them."""
    errors = []
    for outcome in outcomes:
        true = dict(outcome.truth.live)
        errors += [v - true[at_s] for at_s, v, _, _ in outcome.live if v is not None and at_s in true]
    return np.array(errors, np.float64)


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Everything about these outcomes of one tool, as plain values. Rates in /min, variability in ms, times in s."""
    alive = [outcome for outcome in outcomes if outcome.truth.has_pulse]
    return {
        "clips": len(outcomes),
        "failed": sum(outcome.failed is not None for outcome in outcomes),
        "heart_rate": _heart_rate(pairs(alive)),
        "live": _live(alive),
        "respiratory_rate": _other(pairs(alive, BREATHING)),
        "rmssd": _other(pairs(alive, RMSSD)),
        "sdnn": _other(pairs(alive, SDNN)),
        "negatives": _negatives([outcome for outcome in outcomes if not outcome.truth.has_pulse]),
    }


def _heart_rate(shown: Pairs) -> dict[str, Any]:
    agreement = limits_of_agreement(shown) or (None, None, None)
    return {
        "coverage": shown.coverage.to_json(),
        "mae": _rounded(mean_absolute(shown.error)),
        "rmse": _rounded(root_mean_square(shown.error)),
        "within_3": shown.within(3.0).to_json(),
        "within_5": shown.within(5.0).to_json(),
        "within_10": shown.within(FAR_OFF_PER_MIN).to_json(),
        "off_by_more_than_10": Share(
            int(np.sum(np.abs(shown.error) > FAR_OFF_PER_MIN)), shown.said.size
        ).to_json(),
        "octave_errors": Share(octave_errors(shown), shown.said.size).to_json(),
        "confidently_wrong": confidently_wrong(shown).to_json(),
        "interval_coverage": interval_coverage(shown).to_json(),
        "ece": _rounded(expected_calibration_error(shown), 4),
        "bias": _rounded(agreement[0]),
        "limits_of_agreement": [_rounded(agreement[1]), _rounded(agreement[2])],
    }


def _live(alive: Sequence[Outcome]) -> dict[str, Any]:
    told = [outcome for outcome in alive if outcome.live]
    first = [at_s for outcome in told if (at_s := first_live_s(outcome)) is not None]
    errors = live_errors(told)
    readings = sum(len(outcome.live) for outcome in told)
    values = sum(value is not None for outcome in told for _, value, _, _ in outcome.live)
    return {
        "clips_with_a_live_value": Share(len(first), len(told)).to_json(),
        "first_s_median": _rounded(float(np.median(first)) if first else None),
        "first_s_p95": _rounded(float(np.percentile(first, 95)) if first else None),
        "seconds_shown": Share(values, readings).to_json(),
        "mae": _rounded(mean_absolute(errors)),
        "off_by_more_than_10": Share(int(np.sum(np.abs(errors) > FAR_OFF_PER_MIN)), errors.size).to_json(),
    }


def _other(shown: Pairs) -> dict[str, Any]:
    return {
        "coverage": shown.coverage.to_json(),
        "mae": _rounded(mean_absolute(shown.error)),
        "rmse": _rounded(root_mean_square(shown.error)),
        "bias": _rounded(float(shown.error.mean()) if shown.error.size else None),
        "interval_coverage": interval_coverage(shown).to_json(),
    }


def _negatives(without: Sequence[Outcome]) -> dict[str, Any]:
    shown = sum(outcome.heart_rate.value is not None for outcome in without)
    live_s = [sum(value is not None for _, value, _, _ in outcome.live) for outcome in without]
    return {
        "shown": Share(shown, len(without)).to_json(),
        "breathing_shown": sum(
            outcome.vitals.get(BREATHING, WITHHELD).value is not None for outcome in without
        ),
        "live_shown": Share(sum(seconds > 0 for seconds in live_s), len(without)).to_json(),
        "live_seconds": sum(live_s),  # one reading a second
    }


def rate_band(rate_per_min: float) -> str:
    """The band of BAND_PER_MIN in which a rate lies, as "60–80"."""
    low = int(rate_per_min // BAND_PER_MIN) * BAND_PER_MIN
    return f"{low}–{low + BAND_PER_MIN}"


def by_axis(outcomes: Iterable[Outcome], axis: str) -> dict[str, list[Outcome]]:
    """The outcomes of each level of an axis, levels in order; "rate_band" is taken from the truth. Others are left out."""
    cells: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        if axis == "rate_band":
            rate = outcome.truth.heart_rate if outcome.truth.has_pulse else None
            level = None if rate is None else rate_band(rate)
        else:
            level = outcome.axes.get(axis)
        if level is not None:
            cells.setdefault(level, []).append(outcome)
    return dict(sorted(cells.items(), key=lambda item: _natural(item[0])))


def _natural(level: str) -> tuple[float, str]:
    """Numbers in front are ordered as numbers."""
    digits = ""
    for letter in level:
        if not (letter.isdigit() or letter == "."):
            break
        digits += letter
    return (float(digits) if digits.strip(".") else math.inf, level)


def gap_at_equal_signal(
    outcomes: Iterable[Outcome], axis: str, value: Callable[[Pairs], float | None]
) -> float | None:
    """The largest difference of `value` between the levels of an axis, all weighted to the same oracle signal.

    Direct standardisation: `value` is taken within bins of 3 dB in which every level has at least three clips, and
    averaged over the bins with the same weights for every level. None where no bin holds all levels.
    """
    cells: dict[int, dict[str, list[Outcome]]] = {}
    levels: set[str] = set()
    for outcome in outcomes:
        level = outcome.axes.get(axis)
        if level is None or outcome.oracle_db is None or not outcome.truth.has_pulse:
            continue
        levels.add(level)
        place = math.floor(outcome.oracle_db / _ORACLE_BIN_DB)
        cells.setdefault(place, {}).setdefault(level, []).append(outcome)
    totals, weight = dict.fromkeys(sorted(levels), 0.0), 0
    for cell in cells.values():
        if any(len(cell.get(level, ())) < _LEAST_IN_BIN for level in levels):
            continue
        found = {level: value(pairs(cell[level])) for level in levels}
        if any(number is None for number in found.values()):
            continue
        count = sum(len(members) for members in cell.values())
        weight += count
        for level, number in found.items():
            assert number is not None
            totals[level] += count * number
    if not weight or len(levels) < 2:
        return None
    return (max(totals.values()) - min(totals.values())) / weight


def at(values: Mapping[str, Any], path: str) -> Any:
    """The entry of a summary under a path with dots, as "heart_rate.coverage.share"."""
    found: Any = values
    for name in path.split("."):
        found = found[name]
    return found


def _rounded(value: float | None, places: int = 3) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, places)
