"""The second trace simulator: what its settings do, and what is true of its scans."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edge_models.simulate.oracle import LEAST_DB, oracle_db
from edge_models.simulate.simulated_scan import SimulatedScan
from edge_models.simulate.spectral_scan import Codec, Cover, SpectralScene, Target, spectral_scan

_SCENE = SpectralScene(seed=3, duration_s=12.0)


def _scan(**changes: Any) -> SimulatedScan:
    return spectral_scan(replace(_SCENE, **changes))


def _db(**changes: Any) -> float:
    scan = _scan(**changes)
    return oracle_db(scan.t_s, scan.skin_rgb, scan.true_wave)


def test_the_same_scene_gives_the_same_scan_and_another_seed_another() -> None:
    first, again, other = _scan(), _scan(), _scan(seed=4)
    assert np.array_equal(first.skin_rgb, again.skin_rgb)
    assert not np.array_equal(first.skin_rgb, other.skin_rgb)


def test_the_truth_has_the_rate_that_was_asked_for() -> None:
    assert _scan(start_per_min=91.0, duration_s=30.0).truth.mean_heart_rate() == pytest.approx(91.0, abs=1.5)


@pytest.mark.parametrize("skin_type", range(1, 7))
def test_a_still_person_has_a_pulse_that_darkens_green_most(skin_type: int) -> None:
    scan = _scan(skin_type=skin_type, sway=0.0, full_scale_e=1e9)
    t_s, wave = scan.t_s, scan.true_wave
    level = np.log(scan.skin_rgb)
    fits = [
        np.polyfit(
            wave - np.polyval(np.polyfit(t_s, wave, 3), t_s),
            level[:, c] - np.polyval(np.polyfit(t_s, level[:, c], 3), t_s),
            1,
        )[0]
        for c in range(3)
    ]
    assert fits[1] < fits[0] < 0, "blood takes more green light than red"
    assert 0.0003 < -fits[1] < 0.02


def test_darker_skin_is_darker_in_the_picture() -> None:
    levels = [_scan(skin_type=skin_type).skin_rgb[:, 1].mean() for skin_type in (1, 3, 6)]
    assert levels[0] > levels[1] > levels[2]


@pytest.mark.parametrize(
    ("mild", "hard"),
    [
        ({"perfusion": 1.0}, {"perfusion": 0.1}),
        ({"sway": 0.0}, {"sway": 0.2}),
        ({"screen_light": 0.0}, {"screen_light": 0.3}),
        ({"talking": 0.0}, {"talking": 2.0}),
        ({"brightness": 1.0}, {"brightness": 0.03}),
        ({"face_px": 200.0}, {"face_px": 40.0}),
        ({}, {"codec": Codec.H264, "strength": 4.0}),
        ({}, {"codec": Codec.MJPEG, "strength": 8.0}),
        ({}, {"exposure_steps": ((6.0, 0.8),)}),
        ({}, {"white_balance_steps": ((6.0, 1.05),), "exposure_steps": ((6.0, 1.05),)}),
        ({"duration_s": 40.0}, {"duration_s": 40.0, "shift": 0.3}),
        ({}, {"nod": 0.1, "nod_hz": 1.0}),
    ],
)
def test_each_trouble_hides_the_pulse(mild: dict[str, Any], hard: dict[str, Any]) -> None:
    assert _db(**mild) > _db(**hard) + 2.0


def test_the_lamp_shows_at_the_alias_of_the_frame_rate() -> None:
    scan = _scan(
        target=Target.PHOTOGRAPH, flicker_hz=100.0, fps=24.5, exposure_s=0.004, sway=0.0, duration_s=20.0
    )
    green = np.log(scan.skin_rgb[:, 1])
    power = np.abs(np.fft.rfft((green - green.mean()) * np.hanning(len(green)))) ** 2
    hz = np.fft.rfftfreq(len(green), 1 / 24.5)
    assert hz[np.argmax(power)] == pytest.approx(2.0, abs=0.1)  # 100 less 4 × 24.5


def test_frames_are_dropped_and_clocks_err_while_time_goes_on() -> None:
    scan = _scan(drop_fraction=0.3, clock_jitter_s=0.01, uneven_s=0.01)
    assert np.all(np.diff(scan.t_s) > 0) and scan.t_s[0] == 0.0
    assert scan.fps == pytest.approx(21.0, abs=2.5)


def test_a_mask_hides_skin_and_the_pulse_below_the_eyes() -> None:
    bare, masked = _scan(), _scan(cover=Cover.MASK)
    assert bare.samples[0].cells is not None and masked.samples[0].cells is not None
    assert np.abs(bare.samples[0].cells[:8] - masked.samples[0].cells[:8]).max() < 30.0
    assert np.abs(bare.samples[0].cells[12:] - masked.samples[0].cells[12:]).mean() > 10.0


@pytest.mark.parametrize("target", [t for t in Target if t is not Target.PERSON])
def test_nobody_has_no_pulse(target: Target) -> None:
    scan = _scan(target=target, screen_light=0.1)
    assert not scan.truth.has_pulse
    assert oracle_db(scan.t_s, scan.skin_rgb, scan.true_wave) == LEAST_DB
    assert (scan.samples[0].cells is None) == (target is Target.EMPTY)
