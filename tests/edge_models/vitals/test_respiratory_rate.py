"""Breathing from chest and pulse: shown where both say the same, withheld otherwise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edge_models.scan import Measurement
from edge_models.signal.beats import detect
from edge_models.simulate.heart import make_truth
from edge_models.simulate.spectral_scan import SpectralScene, spectral_scan
from edge_models.types import Estimate, FloatArray, Reason
from edge_models.vitals import Signals, respiratory_rate

DURATION_S = 60.0
GRID_S = np.arange(round(DURATION_S * 30) + 1) / 30.0
HEART_RATE = Estimate(70.0, 69.0, 71.0, "/min", 0.95, (), DURATION_S, "test")


def _signals(
    breaths_per_min: float, rng: np.random.Generator, *, chest_per_min: float | None = None, seed: int = 1
) -> Signals:
    """A pulse that breathing modulates, and a chest that rises at the same rate (or at another)."""
    truth = make_truth(
        np.random.default_rng(seed),
        duration_s=DURATION_S,
        heart_rate_bpm=70.0,
        breaths_per_min=breaths_per_min,
    )
    bvp = truth.bvp(GRID_S) + 0.05 * rng.standard_normal(len(GRID_S))
    rate = np.full(len(GRID_S), 70.0)
    everywhere = np.ones(len(GRID_S), np.bool_)
    chest_t_s = np.sort(GRID_S + rng.uniform(-0.01, 0.01, len(GRID_S)))
    chest = truth.breathing.signal(chest_t_s)
    if chest_per_min is not None:
        chest = np.sin(2 * np.pi * chest_per_min / 60 * chest_t_s)
    drift = 0.02 * (chest_t_s / DURATION_S) ** 2
    return Signals(
        accepted_s=DURATION_S,
        track=None,
        t_s=GRID_S,
        bvp=bvp,
        rate_per_min=rate,
        valid=everywhere,
        beats=detect(GRID_S, bvp, rate, everywhere),
        heart_rate=HEART_RATE,
        chest_t_s=chest_t_s,
        chest_y=-0.01 * chest + drift + 0.002 * rng.standard_normal(len(GRID_S)),
        head_y=0.0005 * rng.standard_normal(len(GRID_S)),
        skin_tint=np.full(len(GRID_S), np.nan),
        room_tint=np.zeros(len(GRID_S)),
        obstacles=(),
        forbidding=(),
    )


@pytest.mark.parametrize("breaths_per_min", [8.0, 12.0, 16.0, 22.0])
def test_the_rate_of_a_breath_that_moves_chest_and_pulse_is_found(
    breaths_per_min: float, rng: np.random.Generator
) -> None:
    found = respiratory_rate.estimate(_signals(breaths_per_min, rng))
    assert found.value == pytest.approx(breaths_per_min, abs=1.0), found.reasons
    assert found.low is not None and found.high is not None
    assert found.low <= breaths_per_min <= found.high
    assert found.high - found.low < 6.0


def test_sources_that_disagree_withhold_the_rate(rng: np.random.Generator) -> None:
    found = respiratory_rate.estimate(_signals(12.0, rng, chest_per_min=20.0))
    assert found.value is None and found.reasons == (Reason.SOURCES_DISAGREE,)


def test_a_chest_that_does_not_move_withholds_the_rate(rng: np.random.Generator) -> None:
    signals = _signals(14.0, rng)
    noise: FloatArray = 0.002 * rng.standard_normal(len(GRID_S))
    found = respiratory_rate.estimate(replace(signals, chest_y=noise))
    assert found.value is None
    assert found.reasons[0] in {Reason.NO_BREATHING_SEEN, Reason.SOURCES_DISAGREE}


def test_a_chest_out_of_the_picture_withholds_the_rate(rng: np.random.Generator) -> None:
    signals = replace(_signals(14.0, rng), chest_y=np.full(len(GRID_S), np.nan))
    assert respiratory_rate.estimate(signals).reasons == (Reason.NO_BREATHING_SEEN,)


def test_without_a_pulse_there_is_no_breathing_rate(rng: np.random.Generator) -> None:
    hidden = Estimate(None, None, None, "/min", 0.1, (Reason.NO_PULSE,), DURATION_S, "test")
    found = respiratory_rate.estimate(replace(_signals(14.0, rng), heart_rate=hidden))
    assert found.value is None and found.reasons


def test_what_forbids_any_value_forbids_this_one(rng: np.random.Generator) -> None:
    why = (Reason.FRAME_RATE_UNTRUSTED,)
    found = respiratory_rate.estimate(replace(_signals(14.0, rng), obstacles=why, forbidding=why))
    assert found.value is None and found.reasons == why


def test_a_short_scan_says_so(rng: np.random.Generator) -> None:
    found = respiratory_rate.estimate(replace(_signals(14.0, rng), accepted_s=12.0))
    assert found.value is None and found.reasons == (Reason.TOO_SHORT,)


def test_holes_in_the_chest_s_motion_are_bridged(rng: np.random.Generator) -> None:
    signals = _signals(14.0, rng)
    chest = signals.chest_y.copy()
    chest[300:380] = np.nan
    chest[1200:1260] = np.nan
    found = respiratory_rate.estimate(replace(signals, chest_y=chest))
    assert found.value == pytest.approx(14.0, abs=1.0), found.reasons


def test_one_jump_of_the_body_does_not_make_a_rate(rng: np.random.Generator) -> None:
    signals = _signals(14.0, rng)
    chest = signals.chest_y.copy()
    chest[800:815] += 3.0  # the person reaches for a cup
    found = respiratory_rate.estimate(replace(signals, chest_y=chest))
    assert found.value is None or found.value == pytest.approx(14.0, abs=1.0)


def test_noise_in_place_of_everything_is_rarely_taken_for_breathing() -> None:
    shown = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        signals = _signals(14.0, rng, seed=seed)
        beats = signals.beats
        assert beats is not None
        random_beats = replace(beats, times_s=beats.times_s[0] + np.arange(len(beats.times_s)) * 0.857)
        flat = np.cos(2 * np.pi * (GRID_S - beats.times_s[0]) / 0.857)
        shown += (
            respiratory_rate.estimate(
                replace(
                    signals,
                    chest_y=0.002 * rng.standard_normal(len(GRID_S)),
                    beats=random_beats,
                    bvp=flat + 0.1 * rng.standard_normal(len(GRID_S)),
                )
            ).value
            is not None
        )
    assert shown <= 3


def _nodding(signals: Signals, *, nods_per_min: float, breathing: bool) -> Signals:
    """The head nods by 3 % of the face's width, takes the shoulders along by two thirds, and shades the skin."""
    nod = 0.03 * np.sin(2 * np.pi * nods_per_min / 60 * signals.chest_t_s)
    still = signals.chest_y if breathing else signals.chest_y[0] + 0.0 * signals.chest_y
    return replace(
        signals,
        chest_y=still + 2.0 / 3.0 * nod,
        head_y=signals.head_y + nod,
        skin_tint=0.1 * nod,
    )


def test_a_nodding_head_does_not_hide_the_breath(rng: np.random.Generator) -> None:
    nodding = _nodding(_signals(13.0, rng), nods_per_min=24.0, breathing=True)
    unseen = replace(nodding, skin_tint=np.full(len(GRID_S), np.nan))
    found = respiratory_rate.estimate(unseen)
    assert found.value == pytest.approx(13.0, abs=1.0), found.reasons
    shaded = respiratory_rate.estimate(nodding)
    assert shaded.value is None or shaded.value == pytest.approx(13.0, abs=1.0)


@pytest.mark.parametrize("nods_per_min", [9.0, 18.0, 24.0, 33.0])
def test_a_nodding_head_does_not_pass_for_breathing(nods_per_min: float, rng: np.random.Generator) -> None:
    nodding = _nodding(_signals(13.0, rng), nods_per_min=nods_per_min, breathing=False)
    noisy = replace(nodding, chest_y=nodding.chest_y + 0.001 * rng.standard_normal(len(GRID_S)))
    assert respiratory_rate.estimate(noisy).value is None


def test_a_nodding_person_of_the_second_simulator_reads_right() -> None:
    scan = spectral_scan(
        SpectralScene(seed=31, duration_s=30.0, breaths_per_min=14.0, nod=0.06, nod_hz=0.4, perfusion=1.5)
    )
    measurement = Measurement()
    for sample in scan.samples:
        measurement.take(sample, frame_size_px=scan.frame_size_px)
    found = measurement.result().vitals["respiratory_rate"]
    assert found.value == pytest.approx(scan.truth.respiratory_rate(), abs=1.0), found.reasons


def test_the_skin_s_colour_confirms_a_breath_where_no_beat_does(rng: np.random.Generator) -> None:
    signals = replace(_signals(32.0, rng), beats=None)
    assert respiratory_rate.estimate(signals).value is None
    tint = -0.5 * signals.chest_y + 0.002 * rng.standard_normal(len(GRID_S))
    found = respiratory_rate.estimate(replace(signals, skin_tint=tint))
    assert found.value == pytest.approx(32.0, abs=1.0), found.reasons


def test_a_breath_that_changes_its_rate_reads_its_mean(rng: np.random.Generator) -> None:
    signals = _signals(14.0, rng)
    t_s = signals.chest_t_s
    breaths = np.interp(
        t_s, [0.0, 20.0, 40.0, DURATION_S], [0.0, 4.4, 8.8, 8.8 + 5.6]
    )  # 13.2, then 16.8 /min
    wave = np.cos(2 * np.pi * breaths)
    found = respiratory_rate.estimate(replace(signals, chest_y=0.01 * wave, skin_tint=0.01 * wave))
    assert found.value == pytest.approx(60.0 * 14.4 / DURATION_S, abs=0.35), found.reasons


@pytest.mark.parametrize("breaths_per_min", [5.2, 5.8])
def test_turns_of_few_breaths_are_counted_at_their_own_times(breaths_per_min: float) -> None:
    """The kernel, two breaths long, would be longer than these 20 s."""
    t_s = np.arange(80) / 4.0
    speed = np.cos(2 * np.pi * breaths_per_min / 60 * t_s)
    near_hz = (breaths_per_min - 0.2) / 60
    found = 60 * respiratory_rate._mean_rate_hz(t_s, speed, near_hz)
    assert found == pytest.approx(breaths_per_min, abs=0.035)
