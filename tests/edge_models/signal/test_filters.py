"""Filters without phase: baselines go, pulses stay where they are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_models.signal.filters import band_pass, without_baseline
from edge_models.types import FloatArray

RATE_HZ = 30.0
T_S = np.arange(900) / RATE_HZ
INNER = slice(90, -90)
"""Away from the ends, where every filter has less to go on."""


def _gain(filtered: FloatArray, frequency_hz: float) -> complex:
    """Complex gain at one frequency for an input of cos(2πft)."""
    t_s = T_S[INNER]
    return complex(2 * np.mean(filtered[INNER] * np.exp(-2j * np.pi * frequency_hz * t_s)))


@pytest.mark.parametrize(
    "frequency_hz, least, most", [(0.1, 0.0, 0.07), (0.5, 0.45, 0.55), (2.0, 0.99, 1.01)]
)
def test_the_baseline_goes_by_half_at_its_cutoff_and_the_pulse_stays(
    frequency_hz: float, least: float, most: float
) -> None:
    wave = np.cos(2 * np.pi * frequency_hz * T_S)
    gain = _gain(without_baseline(wave, np.ones(900), rate_hz=RATE_HZ, cutoff_hz=0.5), frequency_hz)
    assert least <= gain.real <= most
    assert abs(gain.imag) < 0.02  # no phase: a shifted beat would be a wrong interval


def test_samples_without_weight_count_for_nothing_and_come_back_as_zero(rng: np.random.Generator) -> None:
    wave = np.cos(2 * np.pi * 1.3 * T_S)
    weight = np.ones(900)
    weight[400:460] = 0
    spoilt = wave.copy()
    spoilt[400:460] = 1e6 * rng.standard_normal(60)
    clean = without_baseline(wave, weight, rate_hz=RATE_HZ, cutoff_hz=0.5)
    np.testing.assert_allclose(
        without_baseline(spoilt, weight, rate_hz=RATE_HZ, cutoff_hz=0.5), clean, atol=1e-6
    )
    np.testing.assert_array_equal(clean[400:460], 0.0)
    # Beside the hole the pulse is as it was but for the local mean, which sees half a beat more or less there.
    assert np.abs(clean - wave)[INNER][weight[INNER] > 0].max() < 0.35


def test_a_constant_leaves_nothing_even_beside_holes() -> None:
    weight = np.ones(900)
    weight[300:420] = 0
    out = without_baseline(np.full((900, 2), 123.0), weight, rate_hz=RATE_HZ, cutoff_hz=0.5)
    assert np.abs(out).max() < 1e-4


@pytest.mark.parametrize(
    "frequency_hz, expected",
    [
        (0.5, 0.0),
        (0.89, 0.0),
        (1.0, 0.5),
        (1.11, 1.0),
        (2.0, 1.0),
        (2.69, 1.0),
        (3.0, 0.5),
        (3.31, 0.0),
        (6.0, 0.0),
    ],
)
def test_the_band_pass_has_its_edges_where_it_says(frequency_hz: float, expected: float) -> None:
    wave = np.cos(2 * np.pi * frequency_hz * T_S)
    gain = _gain(band_pass(wave, rate_hz=RATE_HZ, low_hz=1.0, high_hz=3.0), frequency_hz)
    assert gain.real == pytest.approx(expected, abs=0.08)
    assert abs(gain.imag) < 0.05


def test_the_first_and_last_beat_keep_their_place() -> None:
    wave = np.cos(2 * np.pi * 1.2 * T_S)
    out = band_pass(wave, rate_hz=RATE_HZ, low_hz=0.7, high_hz=3.0)
    assert abs(int(np.argmax(out[:15])) - 0) <= 2
    assert np.corrcoef(out[:60], wave[:60])[0, 1] > 0.95


@pytest.mark.parametrize(
    "low_hz, high_hz", [(0.0, 1.0), (-1.0, 1.0), (2.0, 2.0), (3.0, 1.0), (float("nan"), 1.0)]
)
def test_an_impossible_band_is_refused(low_hz: float, high_hz: float) -> None:
    with pytest.raises(ValueError, match="low_hz"):
        band_pass(T_S, rate_hz=RATE_HZ, low_hz=low_hz, high_hz=high_hz)


@given(st.integers(0, 200), st.floats(0.3, 2.0), st.floats(0.1, 8.0))
def test_any_length_goes_through_with_its_length(n: int, low_hz: float, width_hz: float) -> None:
    out = band_pass(
        np.arange(n, dtype=np.float64) % 7.0, rate_hz=RATE_HZ, low_hz=low_hz, high_hz=low_hz + width_hz
    )
    assert out.shape == (n,) and np.isfinite(out).all()
