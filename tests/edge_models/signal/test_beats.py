"""Beats against pulse waves whose beat times are known."""

from __future__ import annotations

import time

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_models.signal.beats import Beats, detect
from edge_models.signal.resample import even_grid, on_grid
from edge_models.simulate.heart import Truth, make_truth, pulse_wave
from edge_models.types import FloatArray
from edge_models.vitals.pulse_rate_variability import rmssd_s

DURATION_S = 60.0
GRID_S = even_grid(0.0, DURATION_S, 30.0)


def _truth(seed: int, rate_per_min: float, *, ectopics_per_min: float = 0.0) -> Truth:
    return make_truth(
        np.random.default_rng(seed),
        duration_s=DURATION_S,
        heart_rate_bpm=rate_per_min,
        ectopics_per_min=ectopics_per_min,
    )


def _detect(wave: FloatArray, rate_per_min: float, valid: NDArray[np.bool_] | None = None) -> Beats:
    everywhere = np.ones(len(wave), np.bool_)
    return detect(
        GRID_S[: len(wave)], wave, np.full(len(wave), rate_per_min), everywhere if valid is None else valid
    )


def _errors_s(beats: Beats, truth: Truth) -> FloatArray:
    """Each good beat's distance to the true one next to it, without the constant part, away from the ends."""
    times_s = beats.times_s[beats.good]
    times_s = times_s[(times_s > 1.0) & (times_s < DURATION_S - 1.0)]
    true_s = truth.all_beats_s
    errors_s = times_s - true_s[np.abs(times_s[:, None] - true_s[None, :]).argmin(axis=1)]
    return np.asarray(errors_s - errors_s.mean())


@pytest.mark.parametrize("fps", [15.0, 30.0])
@pytest.mark.parametrize("rate_per_min", [50.0, 72.0, 120.0, 160.0])
def test_beats_are_found_to_a_fraction_of_a_frame(fps: float, rate_per_min: float) -> None:
    truth = _truth(1, rate_per_min)
    t_s = np.arange(0.0, DURATION_S + 0.2, 1 / fps)
    wave, _ = on_grid(t_s, truth.bvp(t_s), GRID_S, max_gap_s=0.25)
    beats = _detect(wave, rate_per_min)
    assert abs(beats.good.sum() - len(truth.beats_s)) <= 2
    assert beats.good_share > 0.97
    assert _errors_s(beats, truth).std() < 0.005  # s; a frame lasts 0.033 or 0.067


@pytest.mark.parametrize("noise", [0.1, 0.2, 0.4])
@pytest.mark.parametrize("rate_per_min", [60.0, 100.0])
def test_the_jitter_is_known_to_a_factor_of_two(noise: float, rate_per_min: float) -> None:
    ratios = []
    for seed in range(5):
        truth = _truth(seed, rate_per_min)
        wave = truth.bvp(GRID_S) + noise * np.random.default_rng(seed).standard_normal(len(GRID_S))
        beats = _detect(wave, rate_per_min)
        ratios.append(beats.jitter_s / _errors_s(beats, truth).std())
    assert 0.5 < np.mean(ratios) < 2.0


def test_the_harmonics_of_a_clean_pulse_are_no_jitter() -> None:
    beats = _detect(_truth(2, 72.0).bvp(GRID_S), 72.0)
    assert beats.jitter_s < 0.003


def test_intervals_of_a_steady_rhythm_are_those_of_the_truth() -> None:
    truth = _truth(3, 66.0)
    runs = _detect(truth.bvp(GRID_S), 66.0).intervals_s()
    assert len(runs) == 1
    # One at each end is left out, and where the truth's ends fall is not asked.
    assert len(runs[0]) == pytest.approx(len(truth.ibi_s) - 2, abs=1)
    assert runs[0].mean() == pytest.approx(truth.ibi_s.mean(), rel=0.005)
    assert runs[0].std() == pytest.approx(truth.ibi_s.std(), rel=0.1)


def test_no_interval_spans_a_hole_in_the_signal() -> None:
    truth = _truth(4, 72.0)
    valid = (GRID_S < 20.0) | (GRID_S > 25.0)
    beats = _detect(np.where(valid, truth.bvp(GRID_S), 0.0), 72.0, valid)
    assert not ((beats.times_s > 20.05) & (beats.times_s < 24.95)).any()
    runs = beats.intervals_s()
    assert len(runs) == 2
    assert np.concatenate(runs).max() < 1.2
    assert beats.good_share > 0.93  # the hole is not held against the beats around it


@pytest.mark.parametrize("holes_s", [(37.0,), (20.0, 50.0)])
def test_a_hole_spoils_neither_the_jitter_nor_the_variability(holes_s: tuple[float, ...]) -> None:
    grid_s = even_grid(0.0, 75.0, 30.0)
    rate_per_min = np.full(len(grid_s), 60.0)
    valid = np.all([(grid_s <= hole_s) | (grid_s >= hole_s + 2.0) for hole_s in holes_s], axis=0)
    for seed in range(6):
        truth = make_truth(
            np.random.default_rng(seed), duration_s=75.0, heart_rate_bpm=60.0, sdnn_ms=20.0, rmssd_ms=12.0
        )
        found = detect(grid_s, truth.bvp(grid_s) * valid, rate_per_min, valid)
        whole = detect(grid_s, truth.bvp(grid_s), rate_per_min, np.ones(len(grid_s), np.bool_))
        assert found.jitter_s < 0.003
        assert 1000 * rmssd_s(found.intervals_s()) == pytest.approx(
            1000 * rmssd_s(whole.intervals_s()), abs=1.5
        )


@pytest.mark.parametrize("hole", [False, True])
def test_what_beats_cost_does_not_grow_with_the_square_of_the_wave(
    hole: bool, rng: np.random.Generator
) -> None:
    """Noise is full of maxima, and the filters leave a small wave in a long hole."""

    def cost_s(n: int) -> float:
        grid_s = np.arange(n) / 30.0
        valid = (grid_s < 60.0) | (grid_s > grid_s[-1] - 60.0) if hole else np.ones(n, np.bool_)
        wave = rng.standard_normal(n) * valid
        costs_s = []
        for _ in range(3):
            began_s = time.process_time()
            detect(grid_s, wave, np.full(n, 72.0), valid)
            costs_s.append(time.process_time() - began_s)
        return min(costs_s)

    short_s, long_s = cost_s(1 << 14), cost_s(1 << 16)
    assert long_s < 8 * short_s, (short_s, long_s)  # four times the wave; by its square sixteen times


def test_a_lost_beat_breaks_the_run_and_lowers_the_share() -> None:
    truth = _truth(5, 60.0)
    beats = truth.all_beats_s
    lost = beats[20]
    wave = truth.bvp(GRID_S) * (1 - np.exp(-0.5 * ((GRID_S - lost) / 0.25) ** 4))
    found = _detect(wave - 0.8 * np.exp(-0.5 * ((GRID_S - lost) / 0.2) ** 2), 60.0)
    assert np.concatenate(found.intervals_s()).max() < 1.4
    whole = _detect(truth.bvp(GRID_S), 60.0)
    assert len(np.concatenate(found.intervals_s())) < len(np.concatenate(whole.intervals_s()))


@pytest.mark.parametrize("rate_per_min", [60.0, 90.0])
def test_early_beats_are_kept_out_of_the_rhythm(rate_per_min: float) -> None:
    found, normal, spoilt = [], [], []
    for seed in range(6):
        truth = _truth(seed, rate_per_min, ectopics_per_min=4.0)
        assert truth.ectopic.sum() == 4
        found.append(np.concatenate(_detect(truth.bvp(GRID_S), rate_per_min).intervals_s()).std())
        normal.append(_truth(seed, rate_per_min).ibi_s.std())
        spoilt.append(truth.ibi_s.std())
    assert np.mean(spoilt) > 2 * np.mean(normal)  # taken in, they would more than double the variation
    assert np.mean(found) == pytest.approx(np.mean(normal), rel=0.2)


@pytest.mark.parametrize("early", [0.18, 0.22, 0.3])
def test_a_slightly_early_beat_with_its_pause_is_no_rhythm_either(early: float) -> None:
    truth = _truth(6, 75.0)
    beats_s, heights = truth.all_beats_s.copy(), truth.heights.copy()
    moved = [20, 40, 60]
    for k in moved:
        beats_s[k] -= early * (beats_s[k] - beats_s[k - 1])
        heights[k] *= 0.6
    found = _detect(pulse_wave(GRID_S, beats_s, heights), 75.0)
    for k in moved:
        i = int(np.abs(found.times_s - beats_s[k]).argmin())
        assert not found.good[i] and not found.steady[i - 1] and not found.steady[i]
    assert found.good_share > 0.94
    kept = np.concatenate(found.intervals_s())
    assert kept.std() == pytest.approx(truth.ibi_s.std(), rel=0.15)


def test_a_breath_that_moves_the_rhythm_strongly_is_no_early_beat() -> None:
    truth = make_truth(
        np.random.default_rng(9), duration_s=DURATION_S, heart_rate_bpm=55.0, sdnn_ms=70.0, rmssd_ms=60.0
    )
    assert _detect(truth.bvp(GRID_S), 55.0).good_share > 0.97


@pytest.mark.parametrize("rate_per_min", [60.0, 100.0, 150.0])
def test_the_jitter_of_noise_is_known_to_two_fifths(rate_per_min: float) -> None:
    ratios = []
    for seed in range(6):
        truth = _truth(seed, rate_per_min)
        wave = truth.bvp(GRID_S) + 0.3 * np.random.default_rng(seed).standard_normal(len(GRID_S))
        beats = _detect(wave, rate_per_min)
        ratios.append(beats.jitter_s / _errors_s(beats, truth).std())
    assert 1 / 1.4 < np.mean(ratios) < 1.4


def test_a_line_of_a_lamp_that_moves_the_beats_counts_as_jitter() -> None:
    truth = _truth(10, 150.0)
    lamp = 0.5 * np.sin(2 * np.pi * 5.6 * GRID_S)
    beats = _detect(truth.bvp(GRID_S) + lamp, 150.0)
    assert beats.jitter_s > 0.5 * _errors_s(beats, truth).std()


def test_noise_is_no_rhythm(rng: np.random.Generator) -> None:
    beats = _detect(rng.standard_normal(len(GRID_S)), 72.0)
    clean = _detect(_truth(7, 72.0).bvp(GRID_S), 72.0)
    assert beats.jitter_s > 5 * clean.jitter_s
    assert beats.good_share < 0.9


def test_a_rate_that_changes_is_followed() -> None:
    truth = make_truth(
        np.random.default_rng(8), duration_s=DURATION_S, heart_rate_bpm=60.0, heart_rate_end_bpm=110.0
    )
    rate = np.interp(GRID_S, [0.0, DURATION_S], [60.0, 110.0])
    beats = detect(GRID_S, truth.bvp(GRID_S), rate, np.ones(len(GRID_S), np.bool_))
    assert beats.good_share > 0.97
    assert abs(len(beats.times_s) - len(truth.beats_s)) <= 2


@pytest.mark.parametrize("n", [0, 1, 30, 59, 60, 61, 75])
def test_short_and_flat_waves_give_no_beats_and_no_error(n: int) -> None:
    beats = _detect(np.zeros(n), 72.0)
    assert len(beats.times_s) == 0 and beats.good_share == 0.0 and beats.intervals_s() == []


@pytest.mark.parametrize(
    "steady, expected",
    [
        ([True, True, True], [[1.0, 1.1, 0.9]]),
        ([True, False, True], [[1.0], [0.9]]),
        ([False, False, True], [[0.9]]),
        ([False, False, False], []),
    ],
)
def test_runs_are_cut_at_every_interval_that_does_not_fit(
    steady: list[bool], expected: list[list[float]]
) -> None:
    beats = Beats(np.array([0.0, 1.0, 2.1, 3.0]), np.ones(4, np.bool_), np.array(steady), 3.0, 0.0)
    assert [run.round(6).tolist() for run in beats.intervals_s()] == expected
