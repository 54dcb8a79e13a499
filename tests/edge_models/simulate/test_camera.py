"""The simulated camera: times, lamps, noise and code values."""

from __future__ import annotations

import numpy as np
import pytest

from edge_models.simulate import camera
from edge_models.simulate.camera import Digitiser, Sensor, Timing


def _times(seed: int = 1, **knobs: object) -> np.ndarray:
    settings: dict[str, object] = {"fps": 30.0, "duration_s": 20.0} | knobs
    return camera.frame_times(np.random.default_rng(seed), **settings)  # type: ignore[arg-type]


def test_a_steady_camera_has_even_times() -> None:
    times = _times()
    assert times == pytest.approx(np.arange(600) / 30)


def test_a_halving_camera_has_half_the_rate_in_the_second_half() -> None:
    times = _times(timing=Timing.HALVING)
    steps = np.diff(times)
    assert steps[times[1:] < 10] == pytest.approx(1 / 30)
    assert steps[times[:-1] >= 10] == pytest.approx(2 / 30)
    assert times[-1] > 19.9


def test_an_uneven_camera_has_the_mean_rate_and_no_two_equal_steps() -> None:
    times = _times(timing=Timing.UNEVEN)
    steps = np.diff(times)
    assert 1 / steps.mean() == pytest.approx(30, rel=0.03)
    assert steps.min() >= 0.5 / 30 - 1e-9
    assert steps.max() <= 1.5 / 30 + 1e-9
    assert steps.std() > 0.2 / 30


@pytest.mark.parametrize("timing", list(Timing))
@pytest.mark.parametrize("jitter_s", [0.0, 0.004, 0.5])
@pytest.mark.parametrize("drop_fraction", [0.0, 0.2])
def test_times_rise_strictly_within_the_recording_however_bad_the_camera(
    timing: Timing, jitter_s: float, drop_fraction: float
) -> None:
    times = _times(timing=timing, jitter_s=jitter_s, drop_fraction=drop_fraction)
    assert np.all(np.diff(times) > 0)
    assert times[0] >= 0
    assert times[-1] < 20


def test_jitter_and_drops_have_the_size_asked_for() -> None:
    jittered = _times(jitter_s=0.003)
    assert np.std(jittered - np.arange(jittered.size) / 30) == pytest.approx(0.003, rel=0.15)
    dropped = _times(drop_fraction=0.2, duration_s=200.0)
    assert 1 - dropped.size / 6000 == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize(("duration_s", "fps"), [(0.5, 1.0), (0.5, 5.0), (1.0, 3.0)])
@pytest.mark.parametrize("timing", list(Timing))
def test_a_recording_of_one_or_two_frames_is_possible(duration_s: float, fps: float, timing: Timing) -> None:
    times = _times(duration_s=duration_s, fps=fps, timing=timing, jitter_s=0.01, drop_fraction=0.5)
    assert times.size >= 1


@pytest.mark.parametrize(
    ("flicker_hz", "fps", "alias_hz"), [(120, 29.97, 0.12), (120, 29.4, 2.4), (100, 24.5, 2.0), (100, 30, 10)]
)
def test_flicker_is_seen_at_its_alias(flicker_hz: float, fps: float, alias_hz: float) -> None:
    assert camera.flicker_alias_hz(flicker_hz, fps) == pytest.approx(alias_hz, abs=1e-6)
    t_s = np.arange(int(60 * fps)) / fps
    light = camera.lamp_flicker(t_s, flicker_hz=flicker_hz, depth=0.2, exposure_s=0.004, phase=1.0)
    power = np.abs(np.fft.rfft((light - 1) * np.hanning(t_s.size), 8 * t_s.size)) ** 2
    seen_hz = np.fft.rfftfreq(8 * t_s.size, 1 / fps)[int(power.argmax())]
    assert seen_hz == pytest.approx(alias_hz, abs=0.02)


def test_an_exposure_of_whole_periods_sees_no_flicker() -> None:
    t_s = np.arange(300) / 29.4
    whole = camera.lamp_flicker(t_s, flicker_hz=100, depth=0.5, exposure_s=0.02, phase=0.3)
    short = camera.lamp_flicker(t_s, flicker_hz=100, depth=0.5, exposure_s=0.001, phase=0.3)
    assert np.ptp(whole) < 1e-12
    assert np.ptp(short) > 0.9


def test_automatics_step_when_told_and_hold() -> None:
    t_s = np.arange(0, 10, 0.1)
    gains = camera.automatic_gains(
        t_s, exposure_steps=((3.0, 1.2), (6.0, 0.9)), white_balance_steps=((5.0, 0.1),)
    )
    assert gains[20] == pytest.approx([1, 1, 1])
    assert gains[40] == pytest.approx([1.2, 1.2, 1.2])
    assert gains[90] == pytest.approx([0.9 * 0.9, 0.9, 0.9 * 1.1])


def test_screen_light_changes_colour_about_its_level() -> None:
    t_s = np.arange(0, 120, 0.1)
    light = camera.screen_light(np.random.default_rng(2), t_s, level=0.3, duration_s=120)
    assert light.mean() == pytest.approx(0.3, rel=0.25)
    assert light.min() > 0
    assert np.all(light.std(axis=0) > 0.05)
    assert np.atleast_2d(np.corrcoef(light.T))[0, 2] < 0.95


def test_code_and_light_are_inverse() -> None:
    light = np.linspace(0.001, 1, 50)
    assert camera.to_light(camera.to_code(light)) == pytest.approx(light, rel=1e-4)


@pytest.mark.parametrize("level", [40.0, 128.0, 220.3])
def test_pictures_have_the_mean_and_the_noise_of_the_sensor(level: float) -> None:
    sensor = Sensor(6000, 6)
    digitiser = Digitiser(np.random.default_rng(3), sensor, 120, 160)
    flat = np.full((120, 160, 3), level, dtype=np.float32)
    stack = np.stack([digitiser.digitise(flat) for _ in range(20)]).astype(float)
    assert stack.mean() == pytest.approx(level, abs=0.02)
    # The LUT knows the level to a code value; rounding adds 1/12 of variance.
    expected = np.sqrt(sensor.noise_in_code(np.array([round(level)]))[0] ** 2 + 1 / 12)
    assert stack.std() == pytest.approx(expected, rel=0.01)


def test_noise_in_code_is_noise_in_light_through_the_gamma_curve() -> None:
    sensor = Sensor(6000, 6)
    rng = np.random.default_rng(4)
    for level in (60.0, 150.0, 230.0):
        electrons = (level / 255) ** camera.GAMMA * sensor.full_scale_e
        counted = rng.poisson(electrons, 200_000) + rng.normal(0, sensor.read_e, 200_000)
        code = camera.to_code(counted / sensor.full_scale_e)
        assert code.std() == pytest.approx(sensor.noise_in_code(np.array([level]))[0], rel=0.02)


def test_noise_has_no_period_in_the_pulse_band() -> None:
    # The mean of a patch over 60 s must be white: no line may stand out as noise that comes back would.
    digitiser = Digitiser(np.random.default_rng(5), Sensor(6000, 6), 120, 160)
    flat = np.full((120, 160, 3), 150.4, dtype=np.float32)
    means = np.array([digitiser.digitise(flat)[40:80, 60:100, 1].mean() for _ in range(1800)])
    power = np.abs(np.fft.rfft(means - means.mean())) ** 2
    band = power[(np.fft.rfftfreq(1800, 1 / 30) >= 0.6) & (np.fft.rfftfreq(1800, 1 / 30) <= 4)]
    # Of 205 exponential powers the largest stays below 13 times the mean in 999 of 1000 draws.
    assert band.max() / band.mean() < 13
    assert band.mean() == pytest.approx(power[1:].mean(), rel=0.3)
    expected = np.sqrt((Sensor(6000, 6).noise_in_code(np.array([150]))[0] ** 2 + 1 / 12) / 1600)
    assert means.std() == pytest.approx(expected, rel=0.15)


def test_compression_costs_detail_and_more_at_lower_quality() -> None:
    picture = np.random.default_rng(6).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    fine, coarse = camera.compressed(picture, 95), camera.compressed(picture, 20)
    errors = [np.abs(image.astype(float) - picture).mean() for image in (fine, coarse)]
    assert 0 < errors[0] < errors[1]
