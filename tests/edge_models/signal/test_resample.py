"""Uneven samples to an even grid: time comes from timestamps, holes are not made up, nothing is aliased away."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_models.signal.resample import even_grid, measured_fps, on_grid
from edge_models.types import FloatArray


def _times(steps: list[float]) -> FloatArray:
    return np.cumsum(np.array(steps))


def test_the_measured_rate_is_that_of_the_median_interval() -> None:
    assert measured_fps(np.arange(10) / 25.0) == pytest.approx(25.0)
    lost = np.delete(np.arange(300) / 30.0, np.arange(50, 250, 7))  # frames that never came
    assert measured_fps(lost) == pytest.approx(30.0)


def test_no_rate_is_measured_below_two_samples_or_without_time() -> None:
    assert measured_fps(np.zeros(0)) == 0.0
    assert measured_fps(np.array([3.0])) == 0.0
    assert measured_fps(np.array([3.0, 3.0])) == 0.0


@given(st.floats(-50, 50), st.floats(0, 40), st.sampled_from([4.0, 30.0]))
def test_a_grid_stands_on_multiples_of_its_step_inside_its_ends(
    start_s: float, length_s: float, rate_hz: float
) -> None:
    grid_s = even_grid(start_s, start_s + length_s, rate_hz)
    np.testing.assert_allclose(grid_s * rate_hz, np.round(grid_s * rate_hz), atol=1e-6)
    assert np.all(grid_s >= start_s - 1e-6) and np.all(grid_s <= start_s + length_s + 1e-6)
    assert abs(len(grid_s) - length_s * rate_hz) <= 1.0 + 1e-6  # not a point missing at either end


@given(
    st.lists(st.floats(0.005, 0.2), min_size=2, max_size=60),
    st.floats(-3, 3),
    st.floats(-100, 100),
)
def test_a_straight_line_comes_back_whatever_the_camera_s_times(
    steps: list[float], slope: float, offset: float
) -> None:
    t_s = _times(steps)
    grid_s = even_grid(float(t_s[0]), float(t_s[-1]), 30.0)
    values, valid = on_grid(t_s, offset + slope * t_s, grid_s, max_gap_s=1.0)
    # Averaging several samples a step shortens the ends by less than a step.
    inside = (grid_s > t_s[0] + 0.1) & (grid_s < t_s[-1] - 0.1)
    np.testing.assert_allclose(values[inside], (offset + slope * grid_s)[inside], atol=1e-6)
    assert valid[inside].all()


@given(st.lists(st.floats(0.005, 0.6), min_size=2, max_size=80), st.integers(0, 2**31))
def test_values_on_the_grid_never_leave_the_range_of_the_samples(steps: list[float], seed: int) -> None:
    t_s = _times(steps)
    values = np.random.default_rng(seed).normal(size=(len(t_s), 2))
    out, valid = on_grid(t_s, values, even_grid(0.0, 20.0, 30.0), max_gap_s=0.25)
    assert out.shape == (601, 2) and valid.shape == (601,)
    assert np.isfinite(out).all()
    assert np.all(out >= values.min(axis=0) - 1e-9) and np.all(out <= values.max(axis=0) + 1e-9)


def test_a_sine_filmed_at_uneven_times_keeps_its_frequency(rng: np.random.Generator) -> None:
    t_s = np.cumsum(rng.uniform(0.5, 1.5, 600) / 30.0)
    grid_s = even_grid(1.0, 19.0, 30.0)
    values, _ = on_grid(t_s, np.sin(2 * np.pi * 1.2 * t_s), grid_s, max_gap_s=0.25)
    assert np.abs(values - np.sin(2 * np.pi * 1.2 * grid_s)).max() < 0.04


@pytest.mark.parametrize("fps", [15.0, 30.0, 60.0, 120.0])
def test_a_hole_is_marked_and_a_short_one_bridged_at_every_frame_rate(fps: float) -> None:
    t_s = np.arange(round(10 * fps)) / fps
    for offset in range(4):  # wherever the hole falls in the groups that are averaged
        first = round(4 * fps) + offset
        hole = t_s[(np.arange(len(t_s)) < first) | (t_s >= t_s[first] + 0.4)]
        grid_s = even_grid(0.5, 9.0, 30.0)
        _, valid = on_grid(hole, hole.copy(), grid_s, max_gap_s=0.3)
        middle = (grid_s > t_s[first] + 0.07) & (grid_s < t_s[first] + 0.33)
        assert not valid[middle].any()
        _, bridged = on_grid(hole, hole.copy(), grid_s, max_gap_s=0.6)
        assert bridged.all()


def test_beyond_the_samples_the_grid_is_not_believed() -> None:
    t_s = np.arange(2.0, 4.0, 1 / 30)
    grid_s = even_grid(0.0, 6.0, 30.0)
    values, valid = on_grid(t_s, t_s.copy(), grid_s, max_gap_s=0.25)
    assert not valid[grid_s < 1.95].any() and not valid[grid_s > 4.02].any()
    assert valid[(grid_s >= 2.0) & (grid_s <= 3.95)].all()
    assert values[0] == pytest.approx(2.0)  # the nearest sample is held, nothing is extrapolated
    assert values[-1] == pytest.approx(t_s[-1])


def test_sixty_frames_a_second_are_averaged_and_not_thinned(rng: np.random.Generator) -> None:
    t_s = np.arange(3600) / 60.0
    noise = rng.standard_normal(3600)
    values, _ = on_grid(t_s, noise, even_grid(0.5, 59.0, 30.0), max_gap_s=0.25)
    # Thinning keeps a variance of 1; the mean of two has 1/2, and less where the grid falls between two means.
    assert 0.2 < values.var() < 0.55


def test_averaging_does_not_shift_in_time() -> None:
    t_s = np.arange(1200) / 120.0
    grid_s = even_grid(1.0, 9.0, 30.0)
    values, _ = on_grid(t_s, np.sin(2 * np.pi * t_s), grid_s, max_gap_s=0.25)
    lag = np.angle(np.sum(values * np.exp(-2j * np.pi * grid_s)) * 1j) / (2 * np.pi)
    assert abs(lag) < 0.002  # seconds of a 1 Hz wave


def test_a_single_sample_is_held_and_believed_only_where_it_is() -> None:
    grid_s = even_grid(0.0, 1.0, 30.0)
    values, valid = on_grid(np.array([0.5]), np.array([[7.0, 8.0]]), grid_s, max_gap_s=0.25)
    assert values.shape == (31, 2)
    np.testing.assert_array_equal(values[:, 1], 8.0)
    assert 1 <= valid.sum() <= 3 and valid[15]


def test_without_samples_nothing_is_believed() -> None:
    values, valid = on_grid(np.zeros(0), np.zeros((0, 3)), even_grid(0.0, 1.0, 30.0), max_gap_s=0.25)
    assert values.shape == (31, 3) and not valid.any()
