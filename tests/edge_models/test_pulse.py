"""GREEN, CHROM, POS and PBV against slow transcriptions of the published formulas, and against a known pulse."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_models import pulse
from edge_models.signal.filters import band_pass
from edge_models.types import FloatArray

RATE_HZ = 30.0
T_S = np.arange(600) / RATE_HZ
BEATS_HZ = 1.2

METHODS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "green": pulse.green,
    "chrom": lambda rgb: pulse.chrom(rgb, rate_hz=RATE_HZ),
    "pos": lambda rgb: pulse.pos(rgb, rate_hz=RATE_HZ),
    "pbv": lambda rgb: pulse.pbv(rgb, rate_hz=RATE_HZ),
}


def _blood() -> FloatArray:
    """Volume of blood: a quick rise, a slow fall; zero mean."""
    wave = sum(
        (0.5**k * np.cos(2 * np.pi * BEATS_HZ * (k + 1) * T_S - 0.7 * k) for k in range(3)), np.zeros(600)
    )
    return np.asarray(wave - wave.mean())


def _skin(rng: np.random.Generator, *, specular: float = 0.0, brightness: float = 0.0) -> FloatArray:
    """Skin in the dichromatic model: more blood makes it darker; highlights add white; light multiplies all."""
    shine = np.cumsum(rng.standard_normal(600))
    shine = specular * (shine - shine.mean()) / shine.std()
    light = 1.0 + brightness * np.sin(2 * np.pi * 0.4 * T_S + 1.0)
    diffuse = np.array([170.0, 120.0, 95.0]) * (1 - 0.01 * _blood()[:, None] * pulse.BLOOD_RGB)
    return np.asarray(
        light[:, None] * (diffuse + 200.0 * shine[:, None]) + 0.02 * rng.standard_normal((600, 3))
    )


def _pulse_band(wave: FloatArray) -> FloatArray:
    return band_pass(wave, rate_hz=RATE_HZ, low_hz=0.7, high_hz=4.5)[60:-60]


def _likeness(first: FloatArray, second: FloatArray) -> float:
    return float(np.corrcoef(_pulse_band(first), _pulse_band(second))[0, 1])


def _pos_as_published(rgb: FloatArray) -> FloatArray:
    """Algorithm 1 of Wang et al. 2017, line by line, with its sliding window of 1.6 s."""
    n, length = len(rgb), 48
    projection = np.array([[0.0, 1.0, -1.0], [-2.0, 1.0, 1.0]])
    whole = np.zeros(n)
    for last in range(length - 1, n):
        first = last - length + 1
        window = rgb[first : last + 1].T
        normalised = np.diag(1 / window.mean(axis=1)) @ window
        s = projection @ normalised
        h = s[0] + np.std(s[0]) / np.std(s[1]) * s[1]
        whole[first : last + 1] += h - h.mean()
    return whole


def _chrom_as_published(rgb: FloatArray) -> FloatArray:
    """De Haan & Jeanne 2013, eqs. 13 to 15: Hann windows of 1.6 s that overlap by half, band-passed signals."""
    n, length = len(rgb), 48
    hann = np.hanning(length + 1)[:-1]
    whole = np.zeros(n)
    for first in range(0, n - length + 1, length // 2):
        window = rgb[first : first + length]
        r, g, b = (window / window.mean(axis=0)).T
        x, y = 3 * r - 2 * g, 1.5 * r + g - 1.5 * b
        x, y = x - x.mean(), y - y.mean()
        whole[first : first + length] += hann * (x - np.std(x) / np.std(y) * y)
    return whole


def test_green_is_the_green_level_upside_down(rng: np.random.Generator) -> None:
    rgb = _skin(rng)
    level = rgb[:, 1].mean()
    np.testing.assert_allclose(pulse.green(rgb), [(level - g) / level for g in rgb[:, 1]])


def test_pos_is_the_published_algorithm(rng: np.random.Generator) -> None:
    rgb = _skin(rng, specular=0.004, brightness=0.05)
    # Where 48 windows overlap, the published sum is 48 times our mean; its blood signal is negative in systole.
    np.testing.assert_allclose(
        METHODS["pos"](rgb)[48:-48], -_pos_as_published(rgb)[48:-48] / 48, rtol=1e-9, atol=1e-12
    )


def test_chrom_is_the_published_method_but_for_the_shape_of_its_windows(rng: np.random.Generator) -> None:
    rgb = _skin(rng, specular=0.002)
    ours, theirs = _pulse_band(METHODS["chrom"](rgb)), _pulse_band(_chrom_as_published(rgb))
    assert np.corrcoef(ours, theirs)[0, 1] > 0.98
    assert ours.std() / theirs.std() == pytest.approx(1.0, rel=0.1)


@pytest.mark.parametrize("name", METHODS)
def test_the_known_pulse_comes_back_with_systole_positive(name: str, rng: np.random.Generator) -> None:
    assert _likeness(METHODS[name](_skin(rng)), _blood()) > 0.97


def test_pbv_is_the_published_weights_in_sliding_windows(rng: np.random.Generator) -> None:
    """De Haan & van Leest 2014: weights that correlate with each colour as the signature says, window by window."""
    rgb = _skin(rng, specular=0.004, brightness=0.05)
    n, length = len(rgb), 48
    whole = np.zeros(n)
    for first in range(n - length + 1):
        window = rgb[first : first + length]
        c = (window / window.mean(axis=0) - 1.0).T
        q = c @ c.T + 1e-3 * np.trace(c @ c.T) * np.eye(3)
        weights = np.linalg.inv(q) @ pulse.BLOOD_RGB
        whole[first : first + length] -= weights @ c / (weights @ pulse.BLOOD_RGB)
    np.testing.assert_allclose(METHODS["pbv"](rgb)[48:-48], whole[48:-48] / 48, rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("name", ["chrom", "pos", "pbv"])
def test_highlights_and_light_that_bury_the_pulse_in_green_are_removed(
    name: str, rng: np.random.Generator
) -> None:
    rgb = _skin(rng, specular=0.04, brightness=0.05)
    assert _likeness(METHODS["green"](rgb), _blood()) < 0.9
    assert _likeness(METHODS[name](rgb), _blood()) > 0.97


@pytest.mark.parametrize("name", METHODS)
def test_every_second_of_the_wave_is_there_also_at_its_ends(name: str, rng: np.random.Generator) -> None:
    wave = METHODS[name](_skin(rng))
    assert wave.shape == (600,)
    sizes = [wave[k : k + 30].std() for k in range(0, 600, 30)]
    assert min(sizes) > 0.4 * max(sizes)


@given(scale=st.floats(0.05, 20.0), name=st.sampled_from(sorted(METHODS)))
def test_the_scale_of_the_levels_does_not_matter(scale: float, name: str) -> None:
    rgb = _skin(np.random.default_rng(1), specular=0.005)
    np.testing.assert_allclose(METHODS[name](scale * rgb), METHODS[name](rgb), atol=1e-9)


@given(gains=st.tuples(*[st.floats(0.3, 3.0)] * 3), name=st.sampled_from(sorted(METHODS)))
def test_the_colour_of_the_light_does_not_matter(gains: tuple[float, float, float], name: str) -> None:
    rgb = _skin(np.random.default_rng(2), specular=0.005)
    np.testing.assert_allclose(METHODS[name](rgb * np.array(gains)), METHODS[name](rgb), atol=1e-9)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("n", [2, 3, 30, 48, 49])
def test_short_and_constant_traces_give_a_flat_wave_and_no_error(name: str, n: int) -> None:
    wave = METHODS[name](np.full((n, 3), 120.0))
    assert wave.shape == (n,)
    np.testing.assert_allclose(wave, 0.0, atol=1e-9)
