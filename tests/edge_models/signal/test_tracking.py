"""The most probable path: slow changes are followed, wrong starts left, lone outliers ignored."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from edge_models.signal.tracking import viterbi
from edge_models.types import FloatArray

STATES = np.arange(168)


def _hill(centres: FloatArray, height: float = 8.0) -> FloatArray:
    return np.asarray(height * np.exp(-0.5 * ((STATES[None, :] - centres[:, None]) / 3.0) ** 2))


def test_a_ramp_is_followed() -> None:
    centres = np.linspace(40, 100, 60)
    path = viterbi(_hill(centres), step_s=np.ones(59), change_per_sqrt_s=2.0)
    assert np.abs(path - centres).max() <= 2


def test_a_ramp_in_noise_is_followed_where_each_moment_alone_is_not(rng: np.random.Generator) -> None:
    centres = np.linspace(50, 90, 80)
    score = _hill(centres, 2.0) + rng.standard_normal((80, 168))
    path = viterbi(score, step_s=np.ones(79), change_per_sqrt_s=2.0)
    alone = np.abs(np.argmax(score, axis=1) - centres)
    assert np.mean(alone > 8) > 0.2
    assert np.mean(np.abs(path - centres) > 8) < 0.05


def test_a_wrong_start_is_left() -> None:
    score = _hill(np.full(20, 60.0))
    score[:3] = _hill(np.full(3, 120.0), 6.0)
    path = viterbi(score, step_s=np.ones(19), change_per_sqrt_s=2.0)
    assert np.all(path[4:] == 60)


def test_a_jump_is_made_where_both_sides_of_it_are_sure() -> None:
    score = _hill(np.repeat([120.0, 60.0], 10))
    path = viterbi(score, step_s=np.ones(19), change_per_sqrt_s=2.0)
    assert np.all(path[:10] == 120) and np.all(path[10:] == 60)


def test_a_lone_outlier_does_not_pull_the_path_away() -> None:
    score = _hill(np.full(20, 60.0))
    score[10] = _hill(np.array([120.0]), 12.0)[0]
    path = viterbi(score, step_s=np.ones(19), change_per_sqrt_s=2.0)
    assert np.all(path == 60)


def test_a_longer_pause_allows_a_larger_change() -> None:
    score = _hill(np.array([60.0, 66.0]), 4.0)
    near = viterbi(score, step_s=np.array([0.1]), change_per_sqrt_s=2.0)
    far = viterbi(score, step_s=np.array([30.0]), change_per_sqrt_s=2.0)
    assert abs(int(near[1] - near[0])) < 3
    assert far.tolist() == [60, 66]


def test_one_moment_gives_its_best_state() -> None:
    assert viterbi(_hill(np.array([33.0])), step_s=np.zeros(0), change_per_sqrt_s=2.0).tolist() == [33]


@pytest.mark.parametrize("seed", range(5))
def test_no_other_path_of_a_small_problem_is_better(seed: int) -> None:
    score = np.random.default_rng(seed).normal(0, 3, (4, 5))
    steps = np.array([1.0, 4.0, 0.5])

    def total(path: tuple[int, ...]) -> float:
        moves = [
            min(0.5 * ((b - a) / (1.5 * s**0.5)) ** 2, 8.0)
            for (a, b), s in zip(itertools.pairwise(path), steps, strict=True)
        ]
        return float(sum(score[k, i] for k, i in enumerate(path)) - sum(moves))

    best = max(itertools.product(range(5), repeat=4), key=total)
    assert tuple(viterbi(score, step_s=steps, change_per_sqrt_s=1.5).tolist()) == best
