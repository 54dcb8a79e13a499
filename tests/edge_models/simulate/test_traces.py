"""Traces: the same truth and the same physics as rendered frames, without pictures."""

from __future__ import annotations

import dataclasses
from typing import Any

import cv2
import numpy as np
import pytest

from edge_models.simulate import scene
from edge_models.simulate.scene import Scene, SceneKind
from edge_models.simulate.traces import traces
from edge_models.types import FloatArray


def _still(**knobs: Any) -> Scene:
    """A scene in which nothing moves but what the knobs move."""
    return Scene(**({"motion_px": 0.0, "sway_deg": 0.0, "breath_px": 0.0} | knobs))


def _slope(wave: FloatArray, colours: FloatArray) -> FloatArray:
    centred = wave - wave.mean()
    return np.asarray(centred @ (colours - colours.mean(axis=0)) / (centred @ centred))


def test_shapes_times_and_truth_are_those_of_the_scene() -> None:
    setting = Scene(duration_s=10, drop_fraction=0.1, jitter_s=0.003, seed=2)
    made = traces(setting, patches=7, background_patches=3)
    n = made.t_s.size
    assert made.skin.shape == (n, 7, 3)
    assert made.background.shape == (n, 3, 3)
    assert np.array_equal(made.t_s, scene.timeline(setting).t_s)
    assert np.array_equal(made.truth.beats_s, scene.truth(setting).beats_s)


def test_the_pulse_is_in_the_skin_with_its_strength_and_not_in_the_background() -> None:
    setting = _still(duration_s=30, seed=3, full_scale_e=60_000)
    made = traces(setting)
    wave = made.truth.bvp(made.t_s)
    green = np.array(
        [-_slope(wave, made.skin[:, k])[1] / made.skin[:, k, 1].mean() for k in range(made.strength.size)]
    )
    assert np.corrcoef(green, made.strength)[0, 1] > 0.95
    assert 0.002 < green.mean() < 0.005  # of the wave's unit, which is half of peak to peak
    for k in range(made.background.shape[1]):
        assert (
            abs(_slope(wave, made.background[:, k])[1] / made.background[:, k, 1].mean())
            < 0.02 * green.mean()
        )


def test_colours_come_in_the_order_red_green_blue() -> None:
    made = traces(_still(duration_s=20, seed=3), patches=1)
    wave = made.truth.bvp(made.t_s)
    red, green, blue = -_slope(wave, made.skin[:, 0]) / made.skin[:, 0].mean(axis=0)
    assert green > blue > red > 0
    assert np.all(np.diff(made.skin[:, 0].mean(axis=0)) < 0)  # skin is red first, blue last


@pytest.mark.parametrize(
    "kind", [kind for kind in SceneKind if kind not in {SceneKind.PERSON, SceneKind.LEAVES}]
)
def test_no_knob_of_the_heart_changes_the_trace_of_a_negative(kind: SceneKind) -> None:
    quiet = Scene(kind=kind, duration_s=5, pulse_green_pp=0.0, heart_rate_bpm=50)
    loud = dataclasses.replace(quiet, pulse_green_pp=0.1, heart_rate_bpm=150)
    assert np.array_equal(traces(quiet).skin, traces(loud).skin)
    assert not traces(loud).strength.any()
    assert not traces(loud).truth.has_pulse


def test_after_leaving_there_is_no_pulse() -> None:
    setting = _still(kind=SceneKind.LEAVES, duration_s=30, leave_at_s=15, pulse_green_pp=0.1)
    made = traces(setting)
    wave = made.truth.bvp(made.t_s)
    there, gone = made.t_s <= 15, made.t_s > 15
    assert abs(_slope(wave[there], made.skin[there, 0])[1]) > 20 * abs(
        _slope(wave[gone], made.skin[gone, 0])[1]
    )


def test_traces_and_frames_agree_on_the_pulse_of_skin(astronaut_png: bytes) -> None:
    picture = cv2.imdecode(np.frombuffer(astronaut_png, dtype=np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    setting = _still(duration_s=12, seed=4, width_px=320, height_px=320)
    made = traces(setting)
    wave = made.truth.bvp(made.t_s)
    per_strength = [
        _slope(wave, made.skin[:, k]) / made.skin[:, k].mean(axis=0) / made.strength[k] for k in range(12)
    ]
    cheek = np.array(
        [
            f.image[127:152, 191:223, ::-1].mean(axis=(0, 1))
            for f in scene.render(setting, np.asarray(picture, np.uint8))
        ]
    )
    seen = _slope(wave, cheek) / cheek.mean(axis=0)
    assert seen == pytest.approx(np.mean(per_strength, axis=0), rel=0.15)


def test_the_same_scene_gives_the_same_traces() -> None:
    setting = Scene(duration_s=5, seed=9, screen_light=0.2, talking=1.0, nod_px=4.0)
    assert np.array_equal(traces(setting).skin, traces(setting).skin)
    assert not np.array_equal(traces(setting).skin, traces(dataclasses.replace(setting, seed=8)).skin)


def test_motion_leaks_into_the_traces_as_much_as_tracking_leaves() -> None:
    setting = Scene(duration_s=30, seed=5, pulse_green_pp=0.0, motion_px=10.0)
    loose, tight = (traces(setting, tracking_error=error).skin.std(axis=0).mean() for error in (0.5, 0.0))
    assert loose > 1.2 * tight


def test_values_are_code_values_even_in_glaring_light() -> None:
    made = traces(Scene(duration_s=5, brightness=3.0))
    assert made.skin.max() <= 255.0
    assert made.skin.min() >= 0.0
    assert np.isfinite(made.skin).all()


def test_no_patches_are_refused() -> None:
    with pytest.raises(ValueError, match="patch"):
        traces(Scene(), patches=0)
