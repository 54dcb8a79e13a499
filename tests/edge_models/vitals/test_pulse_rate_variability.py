"""RMSSD and SDNN: the published definitions, real annotated beats, and the correction for beat jitter."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_models.signal.beats import Beats, rhythm
from edge_models.simulate.scene import Scene
from edge_models.types import Estimate, FloatArray, Reason, ScanResult
from edge_models.vitals import Signals
from edge_models.vitals import pulse_rate_variability as variability
from edge_models.vitals.pulse_rate_variability import (
    RMSSD,
    SDNN,
    rmssd_s,
    sdnn_s,
    without_jitter_and_its_range,
)
from tests.edge_models.staged import samples, staged_scan

# 800, 850, 790, 810 ms. Mean 812.5. Deviations −12.5, 37.5, −22.5, −2.5: squares 156.25, 1406.25, 506.25, 6.25, sum 2075.
# SDNN = √(2075 / 3) = 26.2996. Differences 50, −60, 20: squares 2500, 3600, 400, mean 2166.67. RMSSD = 46.5475.
_BY_HAND = [np.array([0.800, 0.850, 0.790, 0.810])]


def test_the_definitions_on_an_example_worked_by_hand() -> None:
    assert 1000 * sdnn_s(_BY_HAND) == pytest.approx(26.2996, abs=1e-3)
    assert 1000 * rmssd_s(_BY_HAND) == pytest.approx(46.5475, abs=1e-3)


def test_no_difference_is_taken_across_a_break() -> None:
    runs = [np.array([0.8, 0.9]), np.array([1.5, 1.4])]
    assert rmssd_s(runs) == pytest.approx(0.1)  # 0.9 → 1.5 would have added 0.6
    assert sdnn_s(runs) == pytest.approx(np.std([0.8, 0.9, 1.5, 1.4], ddof=1))


def test_too_few_intervals_have_no_variability() -> None:
    assert math.isnan(rmssd_s([])) and math.isnan(sdnn_s([]))
    assert math.isnan(rmssd_s([np.array([0.8])])) and math.isnan(sdnn_s([np.array([0.8])]))
    assert math.isnan(rmssd_s([np.array([0.8]), np.array([0.9])]))


@given(st.lists(st.floats(0.3, 2.0), min_size=3, max_size=50), st.floats(0.1, 10))
def test_both_scale_with_the_intervals_and_ignore_order_reversed(
    intervals: list[float], scale: float
) -> None:
    run = np.array(intervals)
    for measure in (rmssd_s, sdnn_s):
        assert measure([scale * run]) == pytest.approx(scale * measure([run]), abs=1e-9)
        assert measure([run[::-1]]) == pytest.approx(measure([run]), abs=1e-9)


def _annotated_beats(path: Path) -> tuple[list[int], list[int]]:
    """(sample, code) of every beat in a WFDB annotation file: 16-bit words, code in the top 6 bits, time step below.

    Codes 59 (a long step follows), 60 to 62 (fields without time) and 63 (text follows) are no annotations.
    """
    words = np.fromfile(path, "<u2").tolist()
    at, sample = 0, 0
    times: list[int] = []
    codes: list[int] = []
    while at < len(words) and words[at] != 0:
        code, step = words[at] >> 10, words[at] & 0x3FF
        at += 1
        if code == 59:
            sample += (words[at] << 16) + words[at + 1]
            at += 2
        elif code == 63:
            at += (step + 1) // 2
        elif code < 59:
            sample += step
            if code in {1, 5, 8}:  # normal, ventricular, atrial premature
                times.append(sample)
                codes.append(code)
    return times, codes


def _first_channel(path: Path) -> FloatArray:
    """The first of two channels in WFDB format 212: two 12-bit numbers in three bytes."""
    raw = np.fromfile(path, np.uint8).reshape(-1, 3).astype(np.int64)
    values = raw[:, 0] + ((raw[:, 1] & 0x0F) << 8)
    return np.where(values > 2047, values - 4096, values).astype(np.float64)


def _r_waves(ecg: FloatArray) -> list[int]:
    """R waves by the plainest method: steepest stretches, then the highest sample near them."""
    steepness = np.convolve(np.abs(np.gradient(ecg)), np.ones(15) / 15, "same")
    peaks: list[int] = []
    for at in np.flatnonzero(steepness > 0.35 * np.percentile(steepness, 99.5)):
        low = max(0, int(at) - 20)
        peak = low + int(np.argmax(ecg[low : at + 20]))
        if not peaks or peak - peaks[-1] > 90:
            peaks.append(peak)
        elif ecg[peak] > ecg[peaks[-1]]:
            peaks[-1] = peak
    return peaks


def _slow_sdnn(intervals: list[float]) -> float:
    mean = math.fsum(intervals) / len(intervals)
    return math.sqrt(math.fsum((x - mean) ** 2 for x in intervals) / (len(intervals) - 1))


def _slow_rmssd(intervals: list[float]) -> float:
    steps = [b - a for a, b in itertools.pairwise(intervals)]
    return math.sqrt(math.fsum(d * d for d in steps) / len(steps))


def test_the_annotated_record_100_of_mit_bih(shared_data: Callable[[str], Path]) -> None:
    times, codes = _annotated_beats(shared_data("contact-ppg/100.atr"))
    # As the database's own directory lists it: 2239 normal, 33 atrial premature, 1 ventricular premature.
    assert (codes.count(1), codes.count(8), codes.count(5)) == (2239, 33, 1)
    intervals = np.diff(np.array(times)) / 360.0
    assert sdnn_s([intervals]) == pytest.approx(_slow_sdnn(intervals.tolist()))
    assert rmssd_s([intervals]) == pytest.approx(_slow_rmssd(intervals.tolist()))


def test_premature_beats_of_record_100_are_known_by_their_times(shared_data: Callable[[str], Path]) -> None:
    times, codes = _annotated_beats(shared_data("contact-ppg/100.atr"))
    times_s, premature = np.array(times) / 360.0, np.array(codes) != 1
    interval_s = np.diff(times_s)
    around_s = [np.median(interval_s[max(0, i - 5) : i + 6]) for i in range(len(times_s))]
    steady, good = rhythm(times_s, np.array(around_s))
    assert not good[premature].any()
    assert not steady[premature[1:] | premature[:-1]].any()
    assert (~good & ~premature).sum() <= 3
    assert (~steady).sum() <= 4 * premature.sum() + 8  # with each the two intervals beside its own
    normal = ~(premature[1:] | premature[:-1])

    def runs(kept: NDArray[np.bool_]) -> list[FloatArray]:
        return Beats(times_s, good, kept, float(len(times_s)), 0.0).intervals_s()

    noted_ms, found_ms = 1000 * rmssd_s(runs(normal)), 1000 * rmssd_s(runs(steady))
    assert found_ms == pytest.approx(noted_ms, abs=4.0)
    assert 1000 * rmssd_s([interval_s]) > noted_ms + 20.0  # what taking them in would do


def test_the_ecg_itself_gives_the_same_variability_as_its_annotations(
    shared_data: Callable[[str], Path],
) -> None:
    times, _ = _annotated_beats(shared_data("contact-ppg/100.atr"))
    peaks = _r_waves(_first_channel(shared_data("contact-ppg/100.dat")))
    assert abs(len(peaks) - len(times)) <= 3
    found = [np.diff(np.array(peaks)) / 360.0]
    noted = [np.diff(np.array(times)) / 360.0]
    assert 1000 * sdnn_s(found) == pytest.approx(1000 * sdnn_s(noted), abs=2.0)
    assert 1000 * rmssd_s(found) == pytest.approx(1000 * rmssd_s(noted), abs=3.0)


def _plainly_corrected(value: float, jitter: float, *, differences: int) -> float:
    """An interval holds two beat errors (2σ²), a successive difference σ²·(1 + 4 + 1) = 6σ²."""
    return math.sqrt(max(0.0, value**2 - {1: 2.0, 2: 6.0}[differences] * jitter**2))


def test_jitter_of_beats_adds_what_the_correction_takes_away(rng: np.random.Generator) -> None:
    jitter_s = 0.012
    true_s = 0.85 + 0.04 * np.sin(np.arange(20000) / 3.0) + 0.02 * rng.standard_normal(20000)
    seen_s = np.diff(np.cumsum(true_s) + jitter_s * rng.standard_normal(20000))
    for measure, differences in ((sdnn_s, 1), (rmssd_s, 2)):
        true_value, seen = measure([true_s]), measure([seen_s])
        assert seen > 1.05 * true_value  # it matters
        assert _plainly_corrected(seen, jitter_s, differences=differences) == pytest.approx(
            true_value, rel=0.02
        )
        value, _, _ = without_jitter_and_its_range(seen, jitter_s, differences=differences, intervals=20000)
        assert value == pytest.approx(true_value, rel=0.02)


def test_a_small_variability_does_not_read_0_and_its_range_holds_it() -> None:
    value_errors, plain_errors, held = [], [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        true_s = 0.7 + 0.004 * rng.standard_normal(90)
        seen_s = np.diff(np.concatenate([[0.0], np.cumsum(true_s)]) + 0.005 * rng.standard_normal(91))
        truth, seen = rmssd_s([true_s]), rmssd_s([seen_s])
        guessed_s = 0.005 * float(np.exp(0.25 * rng.standard_normal()))
        value, low, high = without_jitter_and_its_range(seen, guessed_s, differences=2, intervals=90)
        plain_errors.append(_plainly_corrected(seen, guessed_s, differences=2) - truth)
        value_errors.append(value - truth)
        held.append(low <= truth <= high)
        assert 0.0 < value < seen and low <= value <= high
    assert np.mean(np.abs(value_errors)) < 0.8 * np.mean(np.abs(plain_errors))
    assert np.mean(held) > 0.9


@given(st.floats(0, 300), st.floats(0, 50), st.sampled_from([1, 2]), st.integers(2, 400))
def test_the_range_is_ordered_and_finite(value: float, jitter: float, differences: int, n: int) -> None:
    found, low, high = without_jitter_and_its_range(value, jitter, differences=differences, intervals=n)
    assert 0.0 <= low <= found <= high < math.inf


def _with_beats(beats: Beats | None, *, accepted_s: float = 90.0, pulse: bool = True) -> Signals:
    empty = np.zeros(0)
    shown = Estimate(70.0, 69.0, 71.0, "/min", 0.9, (), accepted_s, "test")
    hidden = Estimate(None, None, None, "/min", 0.1, (Reason.WEAK_PULSE,), accepted_s, "test")
    return Signals(
        accepted_s=accepted_s,
        track=None,
        t_s=empty,
        bvp=empty,
        rate_per_min=empty,
        valid=np.zeros(0, np.bool_),
        beats=beats,
        heart_rate=shown if pulse else hidden,
        chest_t_s=empty,
        chest_y=empty,
        head_y=empty,
        skin_tint=empty,
        room_tint=empty,
        obstacles=(),
        forbidding=(),
    )


def _regular(rng: np.random.Generator, *, n: int = 100, jitter_s: float = 0.002) -> Beats:
    times_s = np.cumsum(0.85 + 0.04 * rng.standard_normal(n))
    return Beats(times_s, np.ones(n, np.bool_), np.ones(n - 1, np.bool_), float(n), jitter_s)


def test_good_beats_give_values_with_intervals(rng: np.random.Generator) -> None:
    beats = _regular(rng)
    runs = beats.intervals_s()
    for spec, measure, differences in ((RMSSD, rmssd_s, 2), (SDNN, sdnn_s, 1)):
        found = spec.estimate(_with_beats(beats))
        assert found.value is not None and found.low is not None and found.high is not None
        assert found.value == pytest.approx(
            _plainly_corrected(1000 * measure(runs), 2.0, differences=differences)
        )
        assert 0.0 <= found.low < found.value < found.high
        assert found.unit == "ms"


def test_what_is_not_sure_enough_is_withheld_with_its_reason(rng: np.random.Generator) -> None:
    good = _regular(rng)
    few = replace(good, good=np.arange(100) < 80)
    cases = {
        Reason.TOO_SHORT: _with_beats(good, accepted_s=40.0),
        Reason.TOO_FEW_BEATS: _with_beats(few),
        Reason.BEATS_UNCERTAIN: _with_beats(replace(good, jitter_s=0.02)),
        Reason.WEAK_PULSE: _with_beats(good, pulse=False),
    }
    for spec in (RMSSD, SDNN):
        for reason, signals in cases.items():
            found = spec.estimate(signals)
            assert found.value is None and reason in found.reasons
        unknown = spec.estimate(_with_beats(replace(good, jitter_s=float("nan"))))
        assert unknown.value is None and Reason.BEATS_UNCERTAIN in unknown.reasons
        wild = replace(good, times_s=np.cumsum(rng.uniform(0.3, 2.0, 100)))
        assert spec.estimate(_with_beats(wild)).reasons == (Reason.IMPLAUSIBLE,)
        assert spec.estimate(_with_beats(None)).value is None


@pytest.fixture(scope="module")
def minute(face_net: bytes) -> tuple[ScanResult, float, float]:
    """A good scan of more than a minute; its true SDNN and RMSSD in ms."""
    setting = Scene(seed=4, duration_s=66.0, heart_rate_bpm=64.0, sdnn_ms=50.0, rmssd_ms=45.0)
    prepared, truth = samples(setting)
    return staged_scan(face_net, prepared).result(), truth.sdnn_ms(), truth.rmssd_ms()


@pytest.mark.slow
def test_a_minute_of_a_good_pulse_gives_the_true_variability(minute: tuple[ScanResult, float, float]) -> None:
    result, sdnn_ms, rmssd_ms = minute
    for name, truth in (("sdnn", sdnn_ms), ("rmssd", rmssd_ms)):
        found = result.vitals[name]
        assert found.value is not None, found.reasons
        assert found.value == pytest.approx(truth, rel=0.15)
        assert found.low is not None and found.high is not None
        assert found.low <= truth <= found.high
    assert result.accepted_s >= variability.MIN_ACCEPTED_S


@pytest.mark.slow
def test_a_minute_of_a_good_pulse_gives_its_breathing(minute: tuple[ScanResult, float, float]) -> None:
    found = minute[0].vitals["respiratory_rate"]
    assert found.value == pytest.approx(14.0, abs=1.0), found.reasons
