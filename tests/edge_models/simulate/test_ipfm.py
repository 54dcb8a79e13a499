"""The second heart: its beats, its wave and its breath are what is asked of it."""

from __future__ import annotations

import numpy as np
import pytest

from edge_models.simulate.ipfm import Course, HeartTruth, coloured_noise, make_heart


def _heart(
    seed: int = 0,
    *,
    start: float = 72.0,
    end: float | None = None,
    course: Course = Course.STEADY,
    variability: float = 1.0,
    ectopics: float = 0.0,
    breaths: float = 14.0,
) -> HeartTruth:
    return make_heart(
        np.random.default_rng(seed),
        duration_s=60.0,
        start_per_min=start,
        end_per_min=start if end is None else end,
        course=course,
        variability=variability,
        ectopics_per_min=ectopics,
        breaths_per_min=breaths,
    )


@pytest.mark.parametrize("per_min", [36.0, 50.0, 72.0, 120.0, 188.0])
def test_the_mean_rate_is_the_one_asked_for(per_min: float) -> None:
    for seed in range(3):
        assert _heart(seed, start=per_min).mean_heart_rate() == pytest.approx(per_min, rel=0.03)


@pytest.mark.parametrize("course", [Course.RAMP, Course.STEP])
def test_a_rate_that_changes_begins_and_ends_where_it_should(course: Course) -> None:
    heart = _heart(start=70.0, end=110.0, course=course, variability=0.2)
    assert heart.mean_heart_rate(0.0, 8.0) == pytest.approx(70.0, abs=5.0)
    assert heart.mean_heart_rate(52.0, 60.0) == pytest.approx(110.0, abs=5.0)


def test_more_variability_is_more_and_a_fast_heart_varies_less() -> None:
    def sdnn(*, start: float = 72.0, variability: float = 1.0) -> float:
        hearts = [_heart(seed, start=start, variability=variability) for seed in range(6)]
        return float(np.mean([heart.sdnn_ms() for heart in hearts]))

    assert sdnn(variability=2.0) > 1.5 * sdnn(variability=1.0) > 2.0 * sdnn(variability=0.3)
    assert sdnn(start=150.0) < 0.5 * sdnn(start=60.0)


def test_an_ectopic_beat_is_early_and_followed_by_a_pause() -> None:
    calm, uneasy = _heart(3, variability=0.2), _heart(3, variability=0.2, ectopics=4.0)

    def taken_in(heart: HeartTruth) -> float:
        return float(1000 * np.sqrt(np.mean(np.diff(np.diff(heart.beats_s)) ** 2)))

    assert taken_in(uneasy) > 3.0 * taken_in(calm)
    assert uneasy.early_s.size == 4 and np.isin(uneasy.early_s, uneasy.beats_s).all()
    assert uneasy.rmssd_ms() == pytest.approx(calm.rmssd_ms(), rel=0.25)  # between normal beats
    assert uneasy.sdnn_ms() == pytest.approx(calm.sdnn_ms(), rel=0.25)
    intervals = np.diff(uneasy.beats_s)
    short = int(intervals.argmin())
    assert intervals[short] < 0.85 * np.median(intervals) < intervals[short + 1]


def test_the_wave_peaks_at_the_beats_and_its_size_is_about_one() -> None:
    heart = _heart(1, variability=0.5)
    t_s = np.arange(2.0, 58.0, 0.01)
    wave = heart.bvp(t_s)
    tops = t_s[1:-1][(wave[1:-1] > wave[:-2]) & (wave[1:-1] > wave[2:]) & (wave[1:-1] > 0.5)]
    beats = heart.beats_s[(heart.beats_s > 2.5) & (heart.beats_s < 57.5)]
    assert np.abs(tops[:, None] - beats[None]).min(axis=0).max() < 0.05
    assert 0.7 < np.percentile(np.abs(wave), 98) < 1.8


def test_the_breath_has_its_rate() -> None:
    for breaths in (6.0, 14.0, 30.0):
        heart = _heart(breaths=breaths)
        assert heart.respiratory_rate() == pytest.approx(breaths, rel=0.05)
        above = heart.breath(np.arange(0.0, 60.0, 0.05)) > 0
        assert np.count_nonzero(above[1:] & ~above[:-1]) == pytest.approx(breaths, abs=2)


def test_without_a_pulse_there_is_nothing() -> None:
    nobody = make_heart(
        np.random.default_rng(0), duration_s=20.0, start_per_min=70.0, end_per_min=70.0, has_pulse=False
    )
    assert not nobody.bvp(np.arange(0.0, 20.0, 0.1)).any() and len(nobody.beats_s) == 0
    for ask in (nobody.mean_heart_rate, nobody.respiratory_rate, nobody.rmssd_ms):
        with pytest.raises(ValueError):
            ask()


def test_the_same_seed_is_the_same_heart() -> None:
    np.testing.assert_array_equal(_heart(5).beats_s, _heart(5).beats_s)
    assert not np.array_equal(_heart(5).beats_s, _heart(6).beats_s)


def test_noise_has_its_band_and_its_size() -> None:
    noise = coloured_noise(np.random.default_rng(2), 60000, rate_hz=100.0, low_hz=0.1, high_hz=2.0, slope=1.0)
    power = np.abs(np.fft.rfft(noise * np.hanning(len(noise)))) ** 2
    hz = np.fft.rfftfreq(len(noise), 0.01)
    assert noise.std() == pytest.approx(1.0, rel=0.15)
    assert power[hz > 3.0].sum() < 1e-3 * power.sum()
    low, high = power[(hz > 0.15) & (hz < 0.3)].mean(), power[(hz > 1.2) & (hz < 1.9)].mean()
    assert low / high == pytest.approx(7.0, rel=0.5)  # 1/f between 0.22 and 1.55 Hz
