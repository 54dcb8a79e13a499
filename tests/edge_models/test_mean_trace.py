"""A heart rate from one mean colour trace."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_models import mean_trace, pulse
from edge_models.pulse import BLOOD_RGB
from edge_models.signal.spectrum import power
from edge_models.simulate.scene import Scene
from edge_models.simulate.traces import traces
from edge_models.types import FloatArray, Reason


def _trace(
    rate_per_min: float, *, seconds: float, fps: float, size: float = 0.01, seed: int = 1
) -> tuple[FloatArray, NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    t_s = np.arange(round(seconds * fps)) / fps
    turn = 2 * np.pi * rate_per_min / 60 * t_s
    wave = np.cos(turn) + 0.3 * np.cos(2 * turn - 0.7)
    light = 0.01 * np.sin(2 * np.pi * 0.15 * t_s) + 0.002 * rng.standard_normal(len(t_s))
    noise = 0.0008 * rng.standard_normal((len(t_s), 3))
    level = light[:, None] - size * wave[:, None] * BLOOD_RGB / np.linalg.norm(BLOOD_RGB) + noise
    return t_s, np.array([150.0, 110.0, 80.0]) * np.exp(level)


@pytest.mark.parametrize(
    ("rate_per_min", "seconds", "fps", "band"),
    [
        (47.0, 12.0, 30.0, (40.0, 200.0)),
        (97.0, 10.0, 28.65, (40.0, 200.0)),
        (168.0, 20.0, 15.0, (40.0, 200.0)),
        (221.0, 5.0, 50.0, (40.0, 250.0)),
        (131.0, 8.5, 100.0, (40.0, 250.0)),
    ],
)
def test_a_clear_pulse_is_read_also_beyond_what_a_scan_looks_for(
    rate_per_min: float, seconds: float, fps: float, band: tuple[float, float]
) -> None:
    t_s, rgb = _trace(rate_per_min, seconds=seconds, fps=fps)
    found = mean_trace.estimate(t_s, rgb, lowest_per_min=band[0], highest_per_min=band[1])
    assert found.value == pytest.approx(rate_per_min, abs=2.5)
    assert found.value is not None and found.low is not None and found.high is not None
    assert found.low < found.value < found.high


def test_noise_and_light_alone_are_withheld() -> None:
    for seed in range(12):
        t_s, rgb = _trace(80.0, seconds=10.0, fps=30.0, size=0.0, seed=seed)
        assert mean_trace.estimate(t_s, rgb, lowest_per_min=40.0, highest_per_min=200.0).value is None


def test_a_few_seconds_are_too_short() -> None:
    t_s, rgb = _trace(80.0, seconds=4.0, fps=30.0)
    assert mean_trace.estimate(t_s, rgb, lowest_per_min=40.0, highest_per_min=200.0).reasons == (
        Reason.TOO_SHORT,
    )


@pytest.mark.parametrize("seconds", [6.0, 8.0, 10.0, 20.0, 40.0])
@pytest.mark.parametrize("fps", [0.5, 1.0, 1.5])
def test_frames_too_rare_for_the_band_are_the_reason_and_no_error(fps: float, seconds: float) -> None:
    t_s, rgb = _trace(50.0, seconds=seconds, fps=fps)
    with np.errstate(divide="raise", invalid="raise"):
        found = mean_trace.estimate(t_s, rgb, lowest_per_min=40.0, highest_per_min=240.0)
    assert found.value is None and found.reasons == (Reason.LOW_FRAME_RATE,)


@pytest.mark.parametrize("fps", [2.0, 2.25, 2.5, 3.0])
@pytest.mark.parametrize("seconds", [5.0, 6.0, 7.0, 8.0, 9.0, 12.0])
def test_just_enough_frames_divide_nothing_by_zero(fps: float, seconds: float) -> None:
    t_s, rgb = _trace(50.0, seconds=seconds, fps=fps)
    with np.errstate(divide="raise", invalid="raise"):
        found = mean_trace.estimate(t_s, rgb, lowest_per_min=40.0, highest_per_min=240.0)
    assert (found.value is None) == bool(found.reasons)
    assert found.value is None or abs(found.value - 50.0) < 5.0


def test_rates_that_the_frames_cannot_show_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[FloatArray] = []
    whole = mean_trace._evidence

    def noted(wave: FloatArray, candidates: FloatArray, highest_seen_per_min: float) -> FloatArray:
        asked.append(candidates)
        return whole(wave, candidates, highest_seen_per_min)

    monkeypatch.setattr(mean_trace, "_evidence", noted)
    for fps, highest_per_min in ((5.0, 135.0), (30.0, 240.0)):
        asked.clear()
        t_s, rgb = _trace(80.0, seconds=10.0, fps=fps)
        found = mean_trace.estimate(t_s, rgb, lowest_per_min=40.0, highest_per_min=240.0)
        assert found.value == pytest.approx(80.0, abs=2.5)
        assert asked
        for candidates in asked:
            assert highest_per_min - 1.0 <= candidates[-1] <= highest_per_min


def test_a_trace_with_a_long_gap_is_read_around_it_and_a_single_frame_is_none() -> None:
    t_s, rgb = _trace(80.0, seconds=40.0, fps=30.0)
    there = (t_s < 12.0) | (t_s > 27.0)
    found = mean_trace.estimate(t_s[there], rgb[there], lowest_per_min=40.0, highest_per_min=200.0)
    assert found.value == pytest.approx(80.0, abs=2.5)
    assert mean_trace.estimate(t_s[:1], rgb[:1], lowest_per_min=40.0, highest_per_min=200.0).value is None


def test_a_rate_outside_the_band_is_not_told() -> None:
    t_s, rgb = _trace(150.0, seconds=15.0, fps=30.0)
    found = mean_trace.estimate(t_s, rgb, lowest_per_min=40.0, highest_per_min=120.0)
    assert found.value is None and found.reasons == (Reason.NO_PULSE,)  # none in the band
    wide = mean_trace.estimate(t_s, rgb, lowest_per_min=40.0, highest_per_min=200.0)
    assert wide.value == pytest.approx(150.0, abs=2.5)


def test_what_is_shown_of_hard_simulated_traces_is_right_where_pos_errs_often() -> None:
    """Moving faces, little pulse, fast hearts, 5 s at 50 fps: the conditions of the recordings of monkeys."""
    shown, right, right_by_pos = 0, 0, 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        setting = Scene(
            seed=7700 + seed,
            duration_s=6.0,
            fps=50.0,
            heart_rate_bpm=float(rng.uniform(100.0, 195.0)),
            motion_px=float(np.exp(rng.uniform(np.log(0.5), np.log(12.0)))),
            pulse_green_pp=float(np.exp(rng.uniform(np.log(0.003), np.log(0.015)))),
            face_width_px=float(rng.uniform(60.0, 200.0)),
            skin_type=int(rng.integers(1, 7)),
            brightness=0.4,
            screen_light=float(rng.choice([0.0, 0.1, 0.25])),
        )
        made = traces(setting, patches=6, tracking_error=0.2)
        inside = made.t_s < 5.0
        rgb = made.skin[inside].mean(axis=1)
        true = float(made.truth.heart_rate(np.linspace(0.0, 5.0, 200)).mean())
        found = mean_trace.estimate(made.t_s[inside], rgb, lowest_per_min=40.0, highest_per_min=250.0)
        shown += found.value is not None
        right += found.value is not None and abs(found.value - true) < 5.0
        band = np.arange(40.0, 251.0)
        of_pos = power(pulse.pos(rgb, rate_hz=50.0), rate_hz=50.0, frequency_hz=band / 60.0)
        right_by_pos += abs(float(band[np.argmax(of_pos)]) - true) < 5.0
    assert right >= shown - 1
    assert right >= 20
    assert right > right_by_pos  # though POS answers every time
