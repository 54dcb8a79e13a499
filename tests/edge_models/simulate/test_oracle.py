"""The oracle's signal-to-noise: right for a known mixture, lower in more noise, nothing where nobody is."""

from __future__ import annotations

import numpy as np
import pytest

from edge_models.simulate.oracle import LEAST_DB, oracle_db, supported
from edge_models.types import FloatArray

T_S = np.arange(0.0, 40.0, 1 / 30.0)
WAVE: FloatArray = np.asarray(np.sin(2 * np.pi * 1.2 * T_S), np.float64)


def _skin(pulse: float, noise: float, seed: int = 0) -> FloatArray:
    """Code values of a skin trace whose green holds less light with more blood."""
    rng = np.random.default_rng(seed)
    logs = np.log(120.0) - pulse * WAVE + noise * rng.standard_normal(len(T_S))
    return np.asarray(np.exp(np.stack([logs, logs, logs], axis=1)), np.float64)


def test_a_known_mixture_has_the_ratio_that_can_be_computed() -> None:
    # White noise of sd s has s²·(4 − 0.6)/15 of its power in 0.6 to 4 Hz; the sine has a²/2.
    pulse, noise = 0.002, 0.004
    expected = 10 * np.log10(pulse**2 / 2 / (noise**2 * 3.4 / 15))
    found = np.mean([oracle_db(T_S, _skin(pulse, noise, seed), WAVE) for seed in range(8)])
    assert found == pytest.approx(expected, abs=0.5)


def test_more_noise_is_less_signal_to_noise() -> None:
    found = [oracle_db(T_S, _skin(0.002, noise), WAVE) for noise in (0.001, 0.003, 0.01, 0.05)]
    assert found == sorted(found, reverse=True) and found[0] - found[-1] > 20


def test_light_that_grows_with_blood_is_no_pulse_and_nobody_has_none() -> None:
    assert oracle_db(T_S, _skin(-0.01, 0.001), WAVE) < oracle_db(T_S, _skin(0.01, 0.001), WAVE) - 5
    assert oracle_db(T_S, _skin(0.002, 0.004), np.zeros(len(T_S))) == LEAST_DB


def test_what_is_supported() -> None:
    assert supported(0.1, face_px=120.0, fps=30.0)
    assert not supported(-0.1, face_px=120.0, fps=30.0)
    assert not supported(5.0, face_px=80.0, fps=30.0)
    assert not supported(5.0, face_px=120.0, fps=12.0)


def test_shapes_that_do_not_agree_and_short_traces_are_refused() -> None:
    with pytest.raises(ValueError, match="shapes"):
        oracle_db(T_S, _skin(0.002, 0.001)[:-1], WAVE)
    with pytest.raises(ValueError, match="5 s"):
        oracle_db(T_S[:60], _skin(0.002, 0.001)[:60], WAVE[:60])
