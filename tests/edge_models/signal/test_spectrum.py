"""Spectra at any frequency: energy, place and height are those of the sine that went in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_models.signal.spectrum import fourier_matrix, peak, power, sine_tapers


@given(st.integers(4, 400), st.integers(1, 4))
def test_tapers_are_orthonormal(n: int, count: int) -> None:
    tapers = sine_tapers(n, count)
    assert tapers.shape == (count, n)
    np.testing.assert_allclose(tapers @ tapers.T, np.eye(count), atol=1e-9)


def test_the_fourier_matrix_is_the_discrete_fourier_transform(rng: np.random.Generator) -> None:
    values = rng.standard_normal(64)
    t_s = np.arange(64) / 30.0
    frequency_hz = np.asarray(np.fft.rfftfreq(64, 1 / 30.0), np.float64)
    difference = fourier_matrix(t_s, frequency_hz) @ values - np.fft.rfft(values)
    assert np.abs(difference).max() < 1e-9


@pytest.mark.parametrize("amplitude", [0.5, 3.0])
@pytest.mark.parametrize("frequency_hz", [0.9, 1.234, 2.717])
def test_the_power_of_a_sine_is_a_quarter_of_its_amplitude_squared(
    amplitude: float, frequency_hz: float
) -> None:
    t_s = np.arange(600) / 30.0
    wave = 50.0 + amplitude * np.sin(2 * np.pi * frequency_hz * t_s + 0.3)
    found = power(wave, rate_hz=30.0, frequency_hz=np.array([frequency_hz, frequency_hz + 0.5]))
    assert found[0] == pytest.approx(amplitude**2 / 4, rel=0.01)
    assert found[1] < 1e-3 * found[0]


@given(st.floats(0.8, 3.0), st.floats(0, 6.28))
def test_a_peak_between_the_points_of_the_grid_is_found(frequency_hz: float, phase: float) -> None:
    t_s = np.arange(600) / 30.0
    grid_hz = np.arange(0.5, 3.5, 1 / 60)  # 1 per minute
    spectrum = power(np.sin(2 * np.pi * frequency_hz * t_s + phase), rate_hz=30.0, frequency_hz=grid_hz)
    found_hz, height = peak(grid_hz, spectrum)
    assert abs(found_hz - frequency_hz) * 60 < 0.15  # the grid alone is off by up to 0.5 per minute
    assert height == pytest.approx(0.25, rel=0.03)


def test_a_parabola_s_own_peak_is_exact() -> None:
    x = np.arange(0.0, 5.0, 0.5)
    found, height = peak(x, 7.0 - (x - 2.37) ** 2)
    assert found == pytest.approx(2.37)
    assert height == pytest.approx(7.0)


@pytest.mark.parametrize("rising", [True, False])
def test_at_an_end_of_the_grid_the_end_itself_is_the_answer(rising: bool) -> None:
    x = np.linspace(1.0, 2.0, 11)
    assert peak(x, x if rising else -x) == ((2.0, 2.0) if rising else (1.0, -1.0))
