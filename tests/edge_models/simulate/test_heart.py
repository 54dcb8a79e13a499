"""The simulated heart: what is asked for is what the beats say."""

from __future__ import annotations

import numpy as np
import pytest

from edge_models.simulate.heart import default_variability_ms, make_truth


@pytest.mark.parametrize("rate_bpm", [40, 55, 72, 100, 144, 180])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_mean_rate_and_variability_of_the_beats_are_those_asked_for(rate_bpm: int, seed: int) -> None:
    truth = make_truth(
        np.random.default_rng(seed),
        duration_s=60.0,
        heart_rate_bpm=rate_bpm,
        sdnn_ms=30.0 * 72 / rate_bpm,
        rmssd_ms=26.0 * 72 / rate_bpm,
    )
    intervals_ms = 1000 * np.diff(truth.beats_s)  # the published formulas, written out again
    assert 60_000 / intervals_ms.mean() == pytest.approx(rate_bpm, abs=0.01)
    assert intervals_ms.std(ddof=1) == pytest.approx(30.0 * 72 / rate_bpm, rel=0.002)
    assert np.sqrt(np.mean(np.diff(intervals_ms) ** 2)) == pytest.approx(26.0 * 72 / rate_bpm, rel=0.002)
    assert truth.mean_heart_rate() == pytest.approx(60_000 / intervals_ms.mean())
    assert truth.sdnn_ms() == pytest.approx(intervals_ms.std(ddof=1))
    assert truth.rmssd_ms() == pytest.approx(np.sqrt(np.mean(np.diff(intervals_ms) ** 2)))


@pytest.mark.parametrize(("sdnn_ms", "rmssd_ms"), [(60, 20), (40, 40), (30, 42)])
def test_slow_respiratory_and_random_variability_can_each_dominate(sdnn_ms: float, rmssd_ms: float) -> None:
    truth = make_truth(
        np.random.default_rng(5),
        duration_s=90.0,
        heart_rate_bpm=65,
        sdnn_ms=sdnn_ms,
        rmssd_ms=rmssd_ms,
    )
    assert truth.sdnn_ms() == pytest.approx(sdnn_ms, rel=0.002)
    assert truth.rmssd_ms() == pytest.approx(rmssd_ms, rel=0.002)


def test_variability_that_no_rhythm_has_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot go with SDNN"):
        make_truth(np.random.default_rng(1), duration_s=60.0, heart_rate_bpm=70, sdnn_ms=20.0, rmssd_ms=60.0)


def test_intervals_follow_the_breath() -> None:
    truth = make_truth(
        np.random.default_rng(2),
        duration_s=120.0,
        heart_rate_bpm=70,
        breaths_per_min=15,
        sdnn_ms=40,
        rmssd_ms=42,
    )
    moments, intervals = truth.beats_s[:-1], truth.ibi_s - truth.ibi_s.mean()
    breath = np.sin(truth.breathing.phase_at(moments))
    assert np.corrcoef(breath, intervals)[0, 1] > 0.5


def test_a_ramp_goes_linearly_from_the_first_rate_to_the_last() -> None:
    truth = make_truth(
        np.random.default_rng(3),
        duration_s=60.0,
        heart_rate_bpm=60,
        heart_rate_end_bpm=120,
        sdnn_ms=0.0,
        rmssd_ms=0.0,
    )
    moments = np.array([5.0, 30.0, 55.0])
    assert truth.heart_rate(moments) == pytest.approx([65, 90, 115], abs=1.0)
    assert truth.mean_heart_rate() == pytest.approx(90, abs=1.0)
    assert truth.mean_heart_rate(0, 20) == pytest.approx(70, abs=1.5)


@pytest.mark.parametrize("rate_bpm", [40, 72, 160])
def test_the_wave_peaks_at_every_beat_and_nowhere_higher_between(rate_bpm: int) -> None:
    truth = make_truth(np.random.default_rng(4), duration_s=30.0, heart_rate_bpm=rate_bpm)
    t_s = np.arange(0, 30, 0.001)
    wave = truth.bvp(t_s)
    peaks = t_s[1:-1][(wave[1:-1] > wave[:-2]) & (wave[1:-1] >= wave[2:]) & (wave[1:-1] > 0.5)]
    beats = truth.beats_between(0.1, 29.9)
    peaks = peaks[(peaks >= 0.05) & (peaks <= 29.95)]
    nearest = np.abs(peaks[None, :] - beats[:, None]).min(axis=1)
    # The run-off leans on the peak a little; always by the same time, so intervals are not touched.
    assert nearest.max() < 0.03 * 60 / rate_bpm
    assert nearest.std() < 0.004
    assert peaks.size == pytest.approx(beats.size, abs=1)


def test_the_wave_is_scaled_and_has_no_mean() -> None:
    truth = make_truth(np.random.default_rng(4), duration_s=60.0, heart_rate_bpm=72)
    wave = truth.bvp(np.arange(0, 60, 0.01))
    assert abs(wave.mean()) < 0.03
    assert np.ptp(wave) == pytest.approx(2.0, rel=0.15)


def test_the_spectrum_of_the_wave_peaks_at_the_rate() -> None:
    truth = make_truth(np.random.default_rng(6), duration_s=60.0, heart_rate_bpm=72, sdnn_ms=10, rmssd_ms=9)
    t_s = np.arange(0, 60, 1 / 30)
    power = np.abs(np.fft.rfft(truth.bvp(t_s) * np.hanning(t_s.size))) ** 2
    peak_hz = np.fft.rfftfreq(t_s.size, 1 / 30)[int(power.argmax())]
    assert peak_hz * 60 == pytest.approx(72, abs=1.0)


def test_an_ectopic_beat_is_early_weak_and_followed_by_a_pause() -> None:
    truth = make_truth(
        np.random.default_rng(7),
        duration_s=60.0,
        heart_rate_bpm=70,
        sdnn_ms=5,
        rmssd_ms=5,
        ectopics_per_min=3,
    )
    early = np.flatnonzero(truth.ectopic)
    assert early.size == 3
    intervals = np.diff(truth.all_beats_s)
    usual = np.median(intervals)
    assert intervals[early - 1] == pytest.approx(0.7 * usual, rel=0.1)
    assert intervals[early] == pytest.approx(1.3 * usual, rel=0.1)
    assert truth.early_s == pytest.approx(truth.all_beats_s[early])
    normal = [k for k in range(len(intervals)) if not truth.ectopic[k] and not truth.ectopic[k + 1]]
    inside = [k for k in normal if truth.all_beats_s[k] >= 0 and truth.all_beats_s[k + 1] <= 60.0]
    assert truth.sdnn_ms() == pytest.approx(1000 * intervals[inside].std(ddof=1))
    assert truth.sdnn_ms() < 10.0 < 1000 * truth.ibi_s.std(ddof=1)
    assert truth.rmssd_ms() < 10.0
    assert np.all(truth.bvp(truth.all_beats_s[early]) < 0.8 * truth.bvp(truth.all_beats_s[early - 1]))


def test_breathing_has_the_rate_asked_for() -> None:
    truth = make_truth(np.random.default_rng(8), duration_s=60.0, heart_rate_bpm=70, breaths_per_min=13)
    assert truth.respiratory_rate() == pytest.approx(13, abs=0.7)
    t_s = np.arange(0, 60, 0.05)
    signal = truth.breathing.signal(t_s)
    rises = np.count_nonzero((signal[1:] > 0) & (signal[:-1] <= 0))
    assert rises == pytest.approx(truth.respiratory_rate(), abs=1)
    assert np.abs(signal).max() <= 1.0


def test_who_has_no_pulse_has_no_rate() -> None:
    truth = make_truth(np.random.default_rng(9), duration_s=10.0, heart_rate_bpm=70, has_pulse=False)
    assert truth.beats_s.size == 0
    assert not truth.bvp(np.arange(0, 10, 0.1)).any()
    for ask in (truth.mean_heart_rate, truth.sdnn_ms, truth.rmssd_ms, truth.respiratory_rate):
        with pytest.raises(ValueError):
            ask()
    with pytest.raises(ValueError):
        truth.heart_rate(np.zeros(1))


def test_beats_depend_on_the_seed_and_on_nothing_else() -> None:
    first, again, other = (
        make_truth(np.random.default_rng(seed), duration_s=20.0, heart_rate_bpm=70) for seed in (1, 1, 2)
    )
    assert np.array_equal(first.all_beats_s, again.all_beats_s)
    assert not np.array_equal(first.all_beats_s, other.all_beats_s)


def test_the_breath_is_in_the_height_of_the_beats() -> None:
    truth = make_truth(np.random.default_rng(4), duration_s=60.0, heart_rate_bpm=72)
    peaks = truth.bvp(truth.beats_s)
    assert np.corrcoef(peaks, truth.breathing.signal(truth.beats_s))[0, 1] > 0.9


@pytest.mark.parametrize("rate_bpm", [35, 72, 190])
@pytest.mark.parametrize("seed", range(10))
def test_usual_variability_is_reached_at_every_rate_and_breath(rate_bpm: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = make_truth(
        rng, duration_s=60.0, heart_rate_bpm=rate_bpm, breaths_per_min=float(rng.uniform(6, 30))
    )
    assert truth.mean_heart_rate() == pytest.approx(rate_bpm, abs=0.01)
    sdnn_ms, rmssd_ms = default_variability_ms(rate_bpm)
    assert truth.sdnn_ms() == pytest.approx(sdnn_ms, rel=0.002)
    assert truth.rmssd_ms() == pytest.approx(rmssd_ms, rel=0.002)


@pytest.mark.parametrize("duration_s", [0.5, 1.0, 2.0, 5.0])
def test_even_a_very_short_recording_is_covered_by_beats(duration_s: float) -> None:
    truth = make_truth(np.random.default_rng(1), duration_s=duration_s, heart_rate_bpm=45)
    assert truth.all_beats_s[0] < -1.0
    assert truth.all_beats_s[-1] > duration_s + 1.0
