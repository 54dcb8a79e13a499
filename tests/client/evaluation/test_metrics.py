"""The figures of the benchmark, against values worked out by hand and properties that must hold."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.evaluation import metrics
from client.evaluation.metrics import Share, pairs
from client.evaluation.outcomes import Outcome, Reading, Truth, live_truth
from tests.client.evaluation.outcome_maker import outcome


def live(*values: float | None) -> tuple[tuple[float, float | None, float | None, float | None], ...]:
    """A reading a second from the first second on."""
    return tuple((float(k), v, v, v) for k, v in enumerate(values, start=1))


def test_errors_are_of_what_was_shown_and_coverage_of_what_was_owed() -> None:
    shown = pairs([outcome(70.0, 73.0), outcome(84.0, 80.0), outcome(None, 60.0), outcome(99.0, None)])
    assert shown.owed == 3 and shown.coverage == Share(2, 3)
    assert metrics.mean_absolute(shown.error) == 3.5
    assert metrics.root_mean_square(shown.error) == pytest.approx(math.sqrt(12.5))
    assert (shown.within(3.0), shown.within(5.0)) == (Share(1, 2), Share(2, 2))


def test_of_nothing_shown_there_is_no_error() -> None:
    nothing = pairs([outcome(None, 60.0)])
    assert metrics.mean_absolute(nothing.error) is None and metrics.root_mean_square(nothing.error) is None
    assert nothing.within(3.0).share is None and metrics.expected_calibration_error(nothing) is None
    assert metrics.risk_coverage(nothing) == [] and metrics.limits_of_agreement(nothing) is None
    assert metrics.summary([])["heart_rate"]["mae"] is None


def test_wilson_gives_the_textbook_interval_and_stays_inside_at_the_ends() -> None:
    # Newcombe, Stat. Med. 1998
    assert Share(81, 263).interval == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert Share(0, 10).interval == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert Share(0, 0).interval is None


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_share(counts: tuple[int, int]) -> None:
    low, high = Share(*counts).interval or (1.0, 0.0)
    assert 0.0 <= low <= counts[0] / counts[1] + 1e-12 and counts[0] / counts[1] - 1e-12 <= high <= 1.0


def test_octave_errors_are_near_half_and_twice_only() -> None:
    said = [36.0, 34.3, 37.7, 144.0, 151.0, 137.0, 72.0, 34.1, 152.0, 108.0]
    assert metrics.octave_errors(pairs([outcome(s, 72.0) for s in said])) == 6


def test_confidently_wrong_needs_both_and_a_tool_without_doubt_has_no_excuse() -> None:
    rows = [
        outcome(90.0, 72.0, confidence=0.7),
        outcome(90.0, 72.0, confidence=0.69),
        outcome(82.0, 72.0, confidence=0.99),
    ]
    assert metrics.confidently_wrong(pairs(rows)) == Share(1, 3)
    assert metrics.confidently_wrong(pairs([outcome(90.0, 72.0, confidence=None)])) == Share(1, 1)


def test_intervals_count_only_where_they_are_given() -> None:
    rows = [outcome(70.0, 72.0), outcome(69.9, 72.0), outcome(70.0, 72.0, half=None)]
    assert metrics.interval_coverage(pairs(rows)) == Share(1, 2)


def test_calibration_error_is_the_distance_of_confidence_and_right_within_five() -> None:
    # Nine of ten right at 0.95, and one of two at 0.75.
    rows = [outcome(72.0 if k else 80.0, 72.0, confidence=0.95) for k in range(10)]
    rows += [outcome(72.0, 72.0, confidence=0.75), outcome(77.1, 72.0, confidence=0.75)]
    assert metrics.calibration(pairs(rows)) == [(0.75, 0.5, 2), (pytest.approx(0.95), 0.9, 10)]
    expected = (2 * 0.25 + 10 * 0.05) / 12
    assert metrics.expected_calibration_error(pairs(rows)) == pytest.approx(expected)


def test_a_certain_and_right_tool_is_calibrated() -> None:
    assert metrics.expected_calibration_error(pairs([outcome(72.0, 72.0, confidence=1.0)])) == 0.0


def test_risk_coverage_goes_from_the_surest_to_all_that_is_shown() -> None:
    rows = [
        outcome(74.0, 72.0, confidence=0.9),
        outcome(72.0, 72.0, confidence=0.99),
        outcome(82.0, 72.0, confidence=0.8),
        outcome(None, 72.0, confidence=0.1),
    ]
    assert metrics.risk_coverage(pairs(rows)) == [(0.25, 0.0), (0.5, 1.0), (0.75, 4.0)]


def test_equal_confidences_are_one_point_and_no_confidence_is_one_point() -> None:
    rows = [outcome(72.0, 72.0, confidence=0.9), outcome(82.0, 72.0, confidence=0.9)]
    assert metrics.risk_coverage(pairs(rows)) == [(1.0, 5.0)]
    rows = [outcome(72.0, 72.0, confidence=None), outcome(82.0, 72.0, confidence=None)]
    assert metrics.risk_coverage(pairs(rows)) == [(1.0, 5.0)]


def test_limits_of_agreement() -> None:
    bias, low, high = metrics.limits_of_agreement(pairs([outcome(71.0, 72.0), outcome(75.0, 72.0)])) or (
        0,
        0,
        0,
    )
    assert bias == 1.0
    assert high - bias == pytest.approx(1.96 * math.sqrt(8.0), rel=1e-4) == bias - low


def test_the_first_live_value_and_live_errors() -> None:
    truth = Truth(has_pulse=True, heart_rate=72.0, live=((1.0, 72.0), (2.0, 72.0), (4.0, 80.0)))
    clip = outcome(72.0, 72.0, truth=truth, live=live(None, 75.0, 75.0, 75.0))
    assert metrics.first_live_s(clip) == 2.0
    assert metrics.live_errors([clip]).tolist() == [3.0, -5.0]  # at second 3 nobody knows the truth
    said = metrics.summary([clip])["live"]
    assert said["first_s_median"] == 2.0 and said["mae"] == 4.0
    assert said["seconds_shown"]["count"] == 3 and said["seconds_shown"]["of"] == 4


def test_negatives_count_what_they_show_at_the_end_and_while_it_runs() -> None:
    rows = [outcome(None, None, live=live(None, 60.0, 61.0)), outcome(88.0, None, live=live(None))]
    found = metrics.summary(rows)["negatives"]
    assert found["shown"]["count"] == 1 and found["shown"]["of"] == 2
    assert found["live_shown"]["count"] == 1 and found["live_seconds"] == 2
    assert metrics.summary(rows)["heart_rate"]["coverage"]["of"] == 0


def test_variability_is_owed_from_a_minute_on() -> None:
    def clip(duration_s: float) -> Outcome:
        truth = Truth(has_pulse=True, heart_rate=72.0, rmssd=30.0)
        return outcome(
            72.0, 72.0, truth=truth, duration_s=duration_s, vitals={"rmssd": Reading(36.0, 30.0, 42.0)}
        )

    assert pairs([clip(59.0)], "rmssd").owed == 0
    found = metrics.summary([clip(60.0), clip(40.0)])["rmssd"]
    assert found["mae"] == 6.0 and found["coverage"]["of"] == 1


def test_a_failed_tool_showed_nothing_and_is_told() -> None:
    found = metrics.summary([outcome(None, 72.0, vitals={}, failed="it fell over")])
    assert found["failed"] == 1 and found["heart_rate"]["coverage"]["share"] == 0.0


def test_bands_and_levels_are_in_order() -> None:
    rows = [
        outcome(1.0, rate, axes={"fps": fps}) for rate, fps in [(121.0, "30"), (45.0, "9"), (40.0, "100")]
    ]
    assert list(metrics.by_axis(rows, "rate_band")) == ["40–60", "120–140"]
    assert list(metrics.by_axis(rows, "fps")) == ["9", "30", "100"]
    assert metrics.by_axis(rows, "no_such_axis") == {}


def test_the_gap_is_taken_at_equal_signal() -> None:
    """Type VI has weaker signals here, and shows less for that reason only: there is no gap at equal signal."""
    rng = np.random.default_rng(1)
    rows = []
    for skin, strong in (("I", 0.8), ("VI", 0.2)):
        for _ in range(400):
            is_strong = rng.random() < strong
            shown = rng.random() < (0.9 if is_strong else 0.3)
            rows.append(
                outcome(
                    72.0 if shown else None,
                    72.0,
                    axes={"skin_type": skin},
                    oracle_db=10.0 if is_strong else -2.0,
                )
            )
    cells = metrics.by_axis(rows, "skin_type")
    plain = abs((pairs(cells["I"]).coverage.share or 0) - (pairs(cells["VI"]).coverage.share or 0))
    gap = metrics.gap_at_equal_signal(rows, "skin_type", lambda p: p.coverage.share)
    assert plain > 0.25 and gap is not None and gap < 0.07


def test_a_real_gap_is_seen_and_cells_that_cannot_be_compared_are_not() -> None:
    rows = [
        outcome(72.0 + off, 72.0, axes={"skin_type": skin}, oracle_db=5.0)
        for skin, off in (("I", 0.0), ("VI", 2.0))
        for _ in range(5)
    ]
    gap = metrics.gap_at_equal_signal(rows, "skin_type", lambda p: metrics.mean_absolute(p.error))
    assert gap == pytest.approx(2.0)
    apart = [
        outcome(72.0, 72.0, axes={"skin_type": s}, oracle_db=db) for s, db in (("I", 0.0), ("VI", 9.0))
    ] * 5
    assert metrics.gap_at_equal_signal(apart, "skin_type", lambda p: p.coverage.share) is None


def test_live_truth_is_the_mean_over_the_seconds_before() -> None:
    beats = np.concatenate([np.arange(0.0, 10.0, 1.0), np.arange(10.0, 30.0, 0.5)])
    known = dict(live_truth(list(beats), 30.0))
    assert known[10.0] == pytest.approx(60.0) and known[30.0] == pytest.approx(120.0)
    assert 60.0 < known[15.0] < 120.0 and 1.0 not in known
