"""The matched filter against simulated noise: honest where there is no pulse, sensitive where there is one."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_models.signal.matched_filter import (
    HARMONIC,
    HIGHEST_PER_MIN,
    LOWEST_PER_MIN,
    NOTHING_REMEMBERED,
    RATES_PER_MIN,
    TAPERS,
    Analyser,
    Noise,
    PulseEvidence,
    WindowSpectrum,
    evidence,
    filter_weights,
    pooled_noise,
    unexplained,
)
from edge_models.types import FloatArray

RATE_HZ = 30.0
SAMPLES = 301
T_S = np.arange(SAMPLES) / RATE_HZ
REGIONS = 4
BLOOD = np.array([0.33, 0.77, 0.53]) / np.linalg.norm([0.33, 0.77, 0.53])
SIGNATURE = np.concatenate([np.tile(BLOOD, REGIONS), np.zeros(2)])
"""Four regions × RGB, then two references without a pulse."""
COUNT = len(SIGNATURE)
ALL = np.arange(COUNT)
WINDOWS = 24
MEMORY_S = 1e6


@pytest.fixture(scope="module")
def analyser() -> Analyser:
    return Analyser(samples=SAMPLES, rate_hz=RATE_HZ, noise_floor=np.zeros(COUNT))


def _mixing(rng: np.random.Generator) -> FloatArray:
    """Noise that traces share (light on all skin, neighbouring regions), with very different sizes."""
    return np.asarray(
        (np.eye(COUNT) + 0.15 * rng.standard_normal((COUNT, COUNT))) * rng.uniform(0.3, 3.0, COUNT)
    )


def _spectra(analyser: Analyser, traces: list[NDArray[np.float64]]) -> list[WindowSpectrum]:
    return [_spectrum(analyser, x, np.ones(SAMPLES), 10.0 * k) for k, x in enumerate(traces)]


def _spectrum(
    analyser: Analyser, traces: NDArray[np.float64], weight: FloatArray, t_s: float
) -> WindowSpectrum:
    return analyser.spectrum(analyser.coefficients(traces, weight), weight, t_s=t_s)


def _pooled(windows: list[WindowSpectrum]) -> list[Noise]:
    """The noise of each window among all of them, all weighing alike."""
    before, forward = NOTHING_REMEMBERED, []
    for window in windows:
        forward.append(before)
        before = before.with_window(window, memory_s=MEMORY_S)
    after, pooled = NOTHING_REMEMBERED, []
    for window in reversed(windows):
        pooled.append(pooled_noise(window, forward.pop(), after, memory_s=MEMORY_S))
        after = after.with_window(window, memory_s=MEMORY_S)
    return pooled[::-1]


def _read(windows: list[WindowSpectrum], columns: NDArray[np.int64] = ALL) -> list[PulseEvidence]:
    return [
        evidence(w, noise, SIGNATURE[None], columns)[0]
        for w, noise in zip(windows, _pooled(windows), strict=True)
    ]


def _wave(per_min: float, phase: float = 0.0) -> FloatArray:
    return np.asarray(np.cos(2 * np.pi * per_min / 60 * T_S + phase))


def _at(per_min: float) -> int:
    return round(per_min - LOWEST_PER_MIN)


def test_noise_alone_has_the_power_it_is_said_to_have(analyser: Analyser, rng: np.random.Generator) -> None:
    mixing = _mixing(rng)
    windows = _spectra(analyser, [rng.standard_normal((SAMPLES, COUNT)) @ mixing for _ in range(WINDOWS)])
    power = np.stack([found.power_over_noise for found in _read(windows)])
    assert power.mean() == pytest.approx(TAPERS, rel=0.1)
    # The sum of two exponential powers exceeds 6.64 in one case of a hundred (Gamma distribution of shape 2).
    assert 0.003 < (power > 6.64).mean() < 0.025
    rest = [
        unexplained(w, n, SIGNATURE, at)
        for w, n in zip(windows, _pooled(windows), strict=True)
        for at in range(0, len(RATES_PER_MIN), 7)
    ]
    assert np.mean(rest) == pytest.approx(1.0, rel=0.1)


def test_coloured_noise_is_whitened_where_it_changes_slowly(
    analyser: Analyser, rng: np.random.Generator
) -> None:
    white = rng.standard_normal((WINDOWS, SAMPLES + 40, COUNT))
    pink = [np.apply_along_axis(np.convolve, 0, w, 0.93 ** np.arange(40), "valid")[:SAMPLES] for w in white]
    power = np.stack([found.power_over_noise for found in _read(_spectra(analyser, pink))])
    low, high = power[:, : _at(70)].mean(), power[:, _at(140) :].mean()
    assert low == pytest.approx(TAPERS, rel=0.3) and high == pytest.approx(TAPERS, rel=0.2)


def test_a_pulse_is_found_where_it_is_and_has_its_size(analyser: Analyser, rng: np.random.Generator) -> None:
    size = 0.4
    pulse = size * _wave(97.0)[:, None] * SIGNATURE
    windows = _spectra(analyser, [rng.standard_normal((SAMPLES, COUNT)) + pulse for _ in range(WINDOWS)])
    for found in _read(windows):
        assert (
            abs(RATES_PER_MIN[int(np.argmax(found.power_over_noise))] - 97.0) <= 4.0
        )  # a window resolves 6 per minute
    amplitude = np.mean([(np.abs(f.amplitude[_at(97)]) ** 2).sum() for f in _read(windows)])
    assert 2.0 * np.sqrt(amplitude / SAMPLES) == pytest.approx(size, rel=0.15)


def test_more_regions_see_a_weak_pulse_better(analyser: Analyser, rng: np.random.Generator) -> None:
    pulse = 0.25 * _wave(72.0)[:, None] * SIGNATURE
    windows = _spectra(analyser, [rng.standard_normal((SAMPLES, COUNT)) + pulse for _ in range(WINDOWS)])
    references = np.array([COUNT - 2, COUNT - 1])
    one = np.mean(
        [f.power_over_noise[_at(72)] for f in _read(windows, np.concatenate([ALL[:3], references]))]
    )
    four = np.mean([f.power_over_noise[_at(72)] for f in _read(windows)])
    # Power over noise, less the noise's own share, grows with the number of independent regions.
    assert (four - TAPERS) / (one - TAPERS) == pytest.approx(REGIONS, rel=0.35)


def test_a_light_that_reaches_the_references_is_cancelled_and_the_pulse_beside_it_stays(
    analyser: Analyser, rng: np.random.Generator
) -> None:
    light = np.concatenate([np.tile([0.4, 0.8, 0.5], REGIONS), [1.0, 0.6]])  # nearly the blood's colour

    def window(k: int) -> NDArray[np.float64]:
        # A lamp that wanders between 95 and 125 per minute, and a weaker pulse at 70.
        lamp = np.cos(2 * np.pi * np.cumsum(np.interp(T_S, [0, 5, 10], [95, 125, 95]) / 60) / RATE_HZ + k)
        clean = 2.0 * lamp[:, None] * light + 0.5 * _wave(70.0, k)[:, None] * SIGNATURE
        return np.asarray(clean + 0.5 * rng.standard_normal((SAMPLES, COUNT)))

    windows = _spectra(analyser, [window(k) for k in range(WINDOWS)])
    blind = np.mean([f.power_over_noise for f in _read(windows, ALL[:-2])], axis=0)
    seeing = np.mean([f.power_over_noise for f in _read(windows)], axis=0)
    lamp = slice(_at(100), _at(120))
    assert seeing[lamp].max() < 3.0 * TAPERS
    assert seeing[_at(70)] > 5 * seeing[lamp].max()
    assert seeing[_at(70)] > 0.9 * blind[_at(70)]


def test_absent_traces_count_for_nothing(analyser: Analyser, rng: np.random.Generator) -> None:
    full = [rng.standard_normal((SAMPLES, COUNT)) + _wave(80.0)[:, None] * SIGNATURE for _ in range(6)]
    gone = np.array([3, 4, 5, COUNT - 1])
    covered = [x.copy() for x in full]
    for x in covered:
        x[:, gone] = 0.0
    with_holes = _read(_spectra(analyser, covered))
    without = _read(_spectra(analyser, full), np.setdiff1d(ALL, gone))
    for a, b in zip(with_holes, without, strict=True):
        np.testing.assert_allclose(a.power_over_noise, b.power_over_noise, rtol=2e-3)


def test_without_a_trace_that_could_carry_a_pulse_there_is_no_evidence(
    analyser: Analyser, rng: np.random.Generator
) -> None:
    x = np.zeros((SAMPLES, COUNT))
    x[:, -2:] = rng.standard_normal((SAMPLES, 2))
    found = _read(_spectra(analyser, [x]))[0]
    assert not found.power_over_noise.any()
    (window,) = _spectra(analyser, [x])
    assert unexplained(window, _pooled([window])[0], np.zeros(COUNT), 30) == 1.0


def test_half_a_window_counts_half_and_is_not_louder(analyser: Analyser, rng: np.random.Generator) -> None:
    weight = (T_S < 5.0).astype(np.float64)
    noise = [rng.standard_normal((SAMPLES, COUNT)) for _ in range(WINDOWS)]
    windows = [_spectrum(analyser, x, weight, 10.0 * k) for k, x in enumerate(noise)]
    assert windows[0].weight == pytest.approx(0.5, abs=0.01)
    whole = np.mean([np.abs(w.coefficients) ** 2 for w in _spectra(analyser, noise)])
    assert np.mean([np.abs(w.coefficients) ** 2 for w in windows]) == pytest.approx(float(whole), rel=0.05)


@pytest.mark.parametrize("per_min", [58, 72, 110, 170, 204])
def test_the_harmonic_stands_where_its_index_says(
    analyser: Analyser, rng: np.random.Generator, per_min: int
) -> None:
    wave = _wave(per_min) + 0.8 * _wave(2 * per_min, 1.0)
    x = [0.3 * rng.standard_normal((SAMPLES, COUNT)) + wave[:, None] * SIGNATURE for _ in range(4)]
    found = _read(_spectra(analyser, x))[0]
    assert found.power_over_noise[HARMONIC[_at(per_min)]] > 20 * TAPERS
    others = np.delete(HARMONIC, [i for i in range(len(HARMONIC)) if abs(i - _at(per_min)) < 8])
    quiet = others[np.abs(np.minimum(others + LOWEST_PER_MIN, HIGHEST_PER_MIN) - per_min) > 14]
    assert np.median(found.power_over_noise[quiet]) < 4 * TAPERS


def test_filter_weights_pass_the_pulse_whole_and_the_noise_least(rng: np.random.Generator) -> None:
    mixing = _mixing(rng)
    covariance = mixing.T @ mixing
    active = np.ones(COUNT, np.bool_)
    active[[1, 7]] = False
    weights = filter_weights(covariance, SIGNATURE, active)
    assert weights @ SIGNATURE == pytest.approx(1.0)
    np.testing.assert_array_equal(weights[~active], 0.0)
    assert not filter_weights(covariance, SIGNATURE, np.zeros(COUNT, np.bool_)).any()
    best = weights @ covariance @ weights
    for _ in range(50):  # any other weights that pass the pulse let more noise through
        other = weights + 0.3 * np.abs(weights).max() * rng.standard_normal(COUNT) * active
        other = other / (other @ SIGNATURE)
        assert other @ covariance @ other > best


def test_only_the_pulse_s_own_colour_explains_what_is_there(
    analyser: Analyser, rng: np.random.Generator
) -> None:
    white = np.concatenate([np.ones(3 * REGIONS), np.zeros(2)]) / np.sqrt(3.0)
    rest = []
    for colour in (SIGNATURE, white):
        x = [0.3 * rng.standard_normal((SAMPLES, COUNT)) + _wave(90.0)[:, None] * colour for _ in range(4)]
        windows = _spectra(analyser, x)
        rest.append(unexplained(windows[1], _pooled(windows)[1], SIGNATURE, _at(90)))
    assert rest[0] < 3.0 and rest[1] > 10.0


def test_what_is_remembered_fades_and_noise_of_another_time_does_not_count(
    analyser: Analyser, rng: np.random.Generator
) -> None:
    quiet, loud = (
        _spectrum(analyser, size * rng.standard_normal((SAMPLES, COUNT)), np.ones(SAMPLES), t_s)
        for size, t_s in ((1.0, 0.0), (10.0, 60.0))
    )
    memory = NOTHING_REMEMBERED.with_window(loud, memory_s=8.0)
    near = pooled_noise(quiet, memory, memory_s=1e6).covariance
    far = pooled_noise(quiet, memory, memory_s=8.0).covariance
    alone = pooled_noise(quiet, NOTHING_REMEMBERED, memory_s=8.0).covariance
    assert np.trace(near[20]) > 10 * np.trace(alone[20])
    assert np.trace(far[20]) < 1.2 * np.trace(alone[20])


def test_a_trace_that_comes_and_goes_leaves_a_covariance(
    analyser: Analyser, rng: np.random.Generator
) -> None:
    light = rng.standard_normal((6, SAMPLES, 1)) @ np.ones((1, COUNT))
    traces = light + 1e-3 * rng.standard_normal((6, SAMPLES, COUNT))
    for k in (0, 2, 4):
        traces[k, :, 3:6] = 0.0
    windows = _spectra(analyser, list(traces))
    for noise in _pooled(windows):
        for covariance in noise.covariance:
            smallest, largest = np.linalg.eigvalsh(covariance.astype(np.float64))[[0, -1]]
            assert smallest > -1e-6 * largest
    for found in _read(windows):
        assert (found.power_over_noise >= 0).all()
