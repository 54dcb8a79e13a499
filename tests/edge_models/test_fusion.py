"""What all windows say together: honest in noise, sure of the octave, right about size and sign."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_models.fusion import PulseFusion, PulseTrack, refined_rate_per_min
from edge_models.regions import GRID_RATE_HZ, SIGNATURE, TRACES, Traces
from edge_models.signal.matched_filter import TAPERS
from edge_models.types import FloatArray
from edge_models.vitals import heart_rate

SAMPLES = 301
NOISE = 1.2e-3
"""Standard deviation per sample of a log colour of a region: about what a webcam gives."""


def _fused(values: NDArray[np.float64], blue_to_green: float = 0.7) -> PulseFusion:
    """Windows of ten seconds, one a second, over traces on the grid."""
    fusion = PulseFusion()
    for first in range(0, len(values) - SAMPLES + 1, 30):
        t_s = (first + np.arange(SAMPLES)) / GRID_RATE_HZ
        piece = values[first : first + SAMPLES]
        fusion.add(Traces(t_s, piece, np.ones(SAMPLES), blue_to_green))
    return fusion


def _track(fusion: PulseFusion) -> PulseTrack:
    track = fusion.track()
    assert track is not None
    return track


def _wave(rate_per_min: float, n: int, *, harmonic: float = 0.4) -> FloatArray:
    phase = 2 * np.pi * rate_per_min / 60 * np.arange(n) / GRID_RATE_HZ
    return np.asarray(np.cos(phase) + harmonic * np.cos(2 * phase - 1.0))


def test_without_windows_there_is_no_track() -> None:
    assert PulseFusion().track() is None


def test_noise_is_hardly_ever_taken_for_a_pulse() -> None:
    powers, shown = [], 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        light = NOISE * rng.standard_normal((750, 1)) * np.concatenate([np.ones(21), np.zeros(4)])
        fusion = _fused(NOISE * rng.standard_normal((750, TRACES)) + light)
        powers += [reading.whole[0].power_over_noise for _, _, reading in fusion._windows]
        sure, reasons = heart_rate.confidence(_track(fusion))
        shown += sure >= heart_rate.SHOW_FROM_CONFIDENCE and not reasons
    assert TAPERS * 0.7 < np.mean(powers) < TAPERS * 2.2
    assert shown == 0


@pytest.mark.parametrize("rate_per_min", [42.0, 55.0, 72.0, 95.0, 130.0, 190.0])
@pytest.mark.parametrize("harmonic", [0.0, 0.5, 0.9])
def test_the_fundamental_is_chosen_and_not_its_double_or_half(rate_per_min: float, harmonic: float) -> None:
    rng = np.random.default_rng(1)
    pulse = 0.002 * _wave(rate_per_min, 450, harmonic=harmonic)
    track = _track(_fused(NOISE * rng.standard_normal((450, TRACES)) + pulse[:, None] * SIGNATURE))
    # Power is capped, so a strong pulse has a plateau as wide as the window's resolution; the wave refines it.
    assert np.median(np.abs(track.rate_per_min - rate_per_min)) <= 6.0
    assert heart_rate.confidence(track)[0] > 0.8


def test_the_wave_has_the_size_and_sign_of_the_pulse(rng: np.random.Generator) -> None:
    pulse = 0.003 * _wave(72.0, 600)
    fusion = _fused(NOISE * rng.standard_normal((600, TRACES)) + pulse[:, None] * SIGNATURE)
    track = _track(fusion)
    t_s, bvp, valid = fusion.wave(track)
    assert valid.all() and len(bvp) == len(t_s)
    true = np.interp(t_s, np.arange(600) / GRID_RATE_HZ, pulse)
    assert np.corrcoef(bvp, true)[0, 1] > 0.9
    assert np.polyfit(true, bvp, 1)[0] == pytest.approx(1.0, abs=0.15)


def test_a_pulse_in_half_of_the_face_is_not_agreed_on(rng: np.random.Generator) -> None:
    half = SIGNATURE.copy()
    half[:9] = 0.0  # nothing on the forehead and the left cheek
    whole = NOISE * rng.standard_normal((450, TRACES))
    pulse = 0.003 * _wave(80.0, 450)[:, None]
    everywhere = _track(_fused(whole + pulse * SIGNATURE))
    partly = _track(_fused(whole + pulse * half))
    assert everywhere.coherence > 0.8
    assert partly.coherence < everywhere.coherence - 0.2


def test_blue_upside_down_is_blood_where_hardly_any_blue_is_left_and_nothing_else_is(
    rng: np.random.Generator,
) -> None:
    seen = np.concatenate([np.tile([-0.3, -0.5, 0.8], 6), np.zeros(7)])
    values = NOISE * rng.standard_normal((600, TRACES)) + 0.004 * _wave(84.0, 600)[:, None] * seen
    dark, light = _track(_fused(values, 0.3)), _track(_fused(values, 0.9))
    sure, reasons = heart_rate.confidence(dark)
    assert sure >= heart_rate.SHOW_FROM_CONFIDENCE and not reasons
    assert dark.colour_known < light.colour_known == 1.0
    assert heart_rate.confidence(light)[1] and light.likeness < dark.likeness - 0.1


@pytest.mark.parametrize(
    "colour", [(1.0, 1.0, -4.0), (1.0, 1.0, -1.0), (0.2, 0.1, -1.0), (0.3, 0.3, -1.0), (1.0, 1.0, 0.3)]
)
def test_a_warm_light_on_the_face_alone_is_no_blood_however_little_blue_is_left(
    colour: tuple[float, float, float], rng: np.random.Generator
) -> None:
    shape = np.concatenate([np.tile(colour, 6), np.zeros(7)])
    values = NOISE * rng.standard_normal((600, TRACES)) + 0.004 * _wave(84.0, 600)[:, None] * shape
    for left in (0.2, 0.3, 0.4):
        sure, reasons = heart_rate.confidence(_track(_fused(values, left)))
        assert sure < heart_rate.SHOW_FROM_CONFIDENCE or reasons


def test_a_half_that_is_covered_is_not_asked_for_its_colour(rng: np.random.Generator) -> None:
    shape = SIGNATURE.copy()
    shape[[*range(6, 12), *range(15, 18)]] = 0.0  # nothing below a mask: cheeks and chin
    noise = NOISE * rng.standard_normal((600, TRACES))
    wave = 0.004 * _wave(84.0, 600)[:, None]
    assert _track(_fused(noise + wave * shape)).likeness > 0.9
    wrong = shape.copy()
    wrong[0:15:3] *= -1.0  # as covered, and red upside down
    assert _track(_fused(noise + wave * wrong)).likeness < 0.8


@pytest.mark.parametrize("colour", [(1.0, 1.0, 1.0), (1.0, 0.5, 0.3)])
def test_a_periodic_light_on_face_and_wall_is_withheld(colour: tuple[float, float, float]) -> None:
    rng = np.random.default_rng(2)
    shape = np.concatenate([np.tile(colour, 7), np.zeros(4)])
    values = NOISE * rng.standard_normal((600, TRACES)) + 0.01 * _wave(78.0, 600)[:, None] * shape
    sure, reasons = heart_rate.confidence(_track(_fused(values)))
    assert sure < heart_rate.SHOW_FROM_CONFIDENCE or reasons


def test_a_copy_goes_its_own_way(rng: np.random.Generator) -> None:
    fusion = _fused(NOISE * rng.standard_normal((400, TRACES)))
    before = len(fusion)
    other = fusion.copy()
    other.read_again()
    t_s = 20.0 + np.arange(SAMPLES) / GRID_RATE_HZ
    other.add(Traces(t_s, np.zeros((SAMPLES, TRACES)), np.ones(SAMPLES), 0.7))
    assert len(other) == before + 1 and len(fusion) == before


@pytest.mark.parametrize("rate_per_min", [48.3, 71.6, 133.4])
def test_a_window_s_rate_is_refined_to_a_tenth(rate_per_min: float, rng: np.random.Generator) -> None:
    t_s = np.arange(301) / GRID_RATE_HZ
    wave = _wave(rate_per_min, 301) + 0.1 * rng.standard_normal(301)
    found = refined_rate_per_min(t_s, wave, centre_s=5.0, near_per_min=round(rate_per_min) + 2.0)
    assert found == pytest.approx(rate_per_min, abs=0.25)
