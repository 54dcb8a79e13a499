"""Hearing is measured as it is said: labels, levels, areas and delays, by hand; and the real net with little sound."""

from __future__ import annotations

import json

import numpy as np
import pytest

from client import weights
from client.clock import SystemClock
from client.evaluation import assistant_voice, foreign, sounds
from client.evaluation.assistant_voice import (
    OURS,
    WEBRTC,
    Measured,
    auc,
    by_ours,
    markdown,
    measured,
    misses,
    mixed,
    to_json,
    track,
)
from client.evaluation.sounds import RATE_HZ, Voice
from edge_models.nets import SpeechNet
from edge_models.speech import BLOCK, BLOCK_S
from edge_models.types import Float32Array


@pytest.fixture
def voices(rng: np.random.Generator) -> list[Voice]:
    """Two that hiss for a second, each with silence around it."""
    hiss = rng.standard_normal(RATE_HZ) * 0.1
    silent = np.zeros(RATE_HZ // 2)
    return [Voice(name, np.concatenate((silent, hiss, silent)), real=False) for name in ("one", "two")]


def test_labels_are_of_the_clean_sound(voices: list[Voice], rng: np.random.Generator) -> None:
    made = track("hiss", voices, rng)
    assert len(made.truth) * BLOCK == len(made.samples)
    powers = sounds.powers_of(made.samples, BLOCK)
    assert powers[made.truth == 1].min() > 100 * powers[made.truth == 0].max()
    assert np.count_nonzero(made.truth == 1) == pytest.approx(2 * RATE_HZ / BLOCK, abs=4)
    assert len(made.begins_s) == len(made.ends_s) == 2
    for begin_s, end_s in zip(made.begins_s, made.ends_s, strict=True):
        assert end_s - begin_s == pytest.approx(1.0, abs=2 * BLOCK_S)
        assert made.truth[round(begin_s / BLOCK_S)] == 1 and made.truth[round(begin_s / BLOCK_S) - 1] != 1
        assert made.truth[round(end_s / BLOCK_S) - 1] == 1 and made.truth[round(end_s / BLOCK_S)] != 1


def test_noise_is_as_far_below_speech_as_is_said(voices: list[Voice], rng: np.random.Generator) -> None:
    made = track("hiss", voices, rng)
    assert mixed(made, "clean", None, voices) is made.samples
    for level_db in (20.0, 0.0, -5.0):
        noise = mixed(made, "white", level_db, voices) - made.samples
        assert 10 * np.log10(sounds.active_power(made.samples) / np.mean(noise**2)) == pytest.approx(
            level_db, abs=0.5
        )
    one, two = (mixed(made, "pink", 10.0, voices) for _ in range(2))
    np.testing.assert_array_equal(one, two)


def test_the_area_is_that_of_the_roc_curve() -> None:
    truth = np.array([1, 1, 0, 0, -1], np.int8)
    assert auc(np.array([0.9, 0.8, 0.2, 0.1, 0.0]), truth) == 1.0
    assert auc(np.array([0.1, 0.2, 0.8, 0.9, 1.0]), truth) == 0.0
    assert auc(np.array([0.5, 0.5, 0.5, 0.5, 0.9]), truth) == 0.5
    assert auc(np.array([0.9, 0.4, 0.6, 0.1, 0.9]), truth) == 0.75
    assert np.isnan(auc(np.array([1.0, 0.5]), np.array([1, -1], np.int8)))


class Scripted(SpeechNet):
    """Says what a list says, late by some blocks."""

    def __init__(self, truth: np.ndarray, late: int) -> None:  # no weights are loaded
        self._says = np.roll(truth == 1, late).tolist()
        self._at = 0

    def reset(self) -> None:
        self._at = 0

    def probability(self, _block: Float32Array) -> float:
        self._at += 1
        return 0.95 if self._says[self._at - 1] else 0.02


@pytest.mark.parametrize("late", [0, 3])
def test_delays_are_those_of_the_net_and_the_segmenter(
    voices: list[Voice], rng: np.random.Generator, late: int
) -> None:
    made = track("hiss", voices, rng)
    found = by_ours(made, "clean", None, made.samples, Scripted(made.truth, late), SystemClock())
    assert found.onsets_s == pytest.approx([(3 + late) * BLOCK_S] * 2), "the third block of speech"
    assert found.ends_s == pytest.approx([(1 + late) * BLOCK_S] * 2)
    assert found.utterances_s == pytest.approx([(14 + late) * BLOCK_S] * 2, abs=1e-6)
    assert found.missed == 0
    assert found.auc == pytest.approx(1.0) or late


def test_a_piece_that_is_not_heard_is_counted(voices: list[Voice], rng: np.random.Generator) -> None:
    made = track("hiss", voices, rng)
    deaf = Scripted(np.zeros_like(made.truth), 0)
    found = by_ours(made, "clean", None, made.samples, deaf, SystemClock())
    assert found.missed == 2 and found.onsets_s == found.ends_s == found.utterances_s == ()


@pytest.mark.skipif(not sounds.can_speak(), reason="there is no espeak-ng (Debian's package)")
def test_the_real_net_beside_webrtc(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assistant_voice, "LEVELS_DB", (None, 10.0, 0.0))
    voices = assistant_voice.synthetic()[:2]
    told: list[str] = []
    tracks = [(track("synthetic", voices, rng), voices)]
    found = measured(tracks, weights.load("speech_silero"), SystemClock(), ("white", "babble"), told.append)
    assert len(found) == 10 and told[-1].endswith("5 of 5")
    clean = {one.tool: one for one in found if one.level_db is None}
    assert clean[OURS].auc > 0.98 and clean[WEBRTC].auc > 0.9
    ours = [one for one in found if one.tool == OURS and one.noise != "babble"]
    assert all(one.auc > 0.95 for one in ours)
    assert all(0.0 < one.cpu_s < 0.02 for one in found)
    text = markdown(found)
    assert "babble: ours / webrtcvad (not judged)" in text and "nan" not in text
    json.dumps(to_json(found), allow_nan=False)


def test_webrtc_hears_nothing_in_silence() -> None:
    assert not foreign.webrtc_speech(np.zeros(RATE_HZ)).any()
    assert len(foreign.webrtc_speech(np.zeros(RATE_HZ + 100))) == 100


def _one(
    level_db: float | None, area: float, cpu_s: float = 1e-4, whole_s: float = 0.6, noise: str = "white"
) -> Measured:
    return Measured("real", noise, level_db, OURS, area, cpu_s, (0.1,), (0.1,), (whole_s,), 0)


def test_every_target_that_is_missed_is_said() -> None:
    good = [_one(None, 1.0, noise="clean"), _one(10.0, 0.99), _one(0.0, 0.97)]
    assert misses(good) == []
    told = " ".join(misses([_one(10.0, 0.98, 1e-3, 0.8), _one(0.0, 0.9, 1e-3)]))
    assert "at 10 dB 0.980" in told and "at 0 dB 0.900" in told and "3.1 % of a core" in told
    assert "utterance 790 ms after" in told or "utterance 800 ms after" in told
    assert misses([*good, _one(0.0, 0.3, noise="babble")]) == []
