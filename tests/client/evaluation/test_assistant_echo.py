"""Trials of interrupting: laid out as is said, judged as is said, and a few of them for real."""

from __future__ import annotations

import json

import numpy as np
import pytest

from client import weights
from client.evaluation import assistant_echo, sounds
from client.evaluation.assistant_echo import (
    LOUDSPEAKER_S,
    Cast,
    Heard,
    Part,
    Scene,
    Trial,
    judged,
    markdown,
    misses,
    scene,
    to_json,
)
from client.evaluation.sounds import RATE_HZ, Voice
from edge_models.speech import BLOCK_S, BargeInRules

SPEAKS = pytest.mark.skipif(not sounds.can_speak(), reason="there is no espeak-ng (Debian's package)")


@pytest.fixture
def cast(rng: np.random.Generator) -> Cast:
    def hiss(length_s: float) -> Voice:
        return Voice("hiss", rng.standard_normal(int(length_s * RATE_HZ)) * 0.1, real=False)

    return Cast((hiss(3.0),), (hiss(2.0),))


def test_a_trial_is_as_loud_as_it_says(cast: Cast) -> None:
    for seed in range(8):
        one = scene(cast, seed)
        assert len(one.played) == len(one.heard) == 8 * RATE_HZ
        assert 3.0 <= one.begins_s <= 5.0 and -20.0 <= one.level_db <= -6.0
        begins = int(one.begins_s * RATE_HZ)
        alone, both = one.heard[RATE_HZ:begins], one.heard[begins + 800 : begins + RATE_HZ]
        apart_db = 10 * np.log10(np.mean(both**2) / np.mean(alone**2))
        assert apart_db > 5.0, "a person who is 6 to 20 dB louder than us"
        np.testing.assert_array_equal(one.heard, scene(cast, seed).heard)


def heard(t_s: float, rises_db: float) -> Heard:
    return Heard(t_s, 0.0, -30.0, rises_db, -80.0)


def test_time_counts_from_the_first_sound_to_silence() -> None:
    made = Scene(np.zeros(1), np.zeros(1), 4.0, -10.0, "somebody")
    rules = BargeInRules()
    ears = [heard(at * BLOCK_S, 0.0 if at * BLOCK_S < 4.08 else 40.0) for at in range(1, 200)]
    found = judged(made, 7, ears, rules)
    assert found.after_s == pytest.approx(128 * BLOCK_S - 4.0 + LOUDSPEAKER_S)
    assert found.stopped and not found.by_itself
    assert judged(made, 7, [heard(2.5, 40.0)], rules).by_itself
    assert judged(made, 7, [heard(4.5, 0.0)], rules).after_s is None
    late = judged(made, 7, [heard(4.5, 40.0)], rules)
    assert not late.stopped and not late.by_itself


def test_the_person_begins_with_the_first_20_ms_that_can_be_heard(rng: np.random.Generator) -> None:
    quiet = rng.standard_normal(RATE_HZ) * 1e-4
    loud = rng.standard_normal(RATE_HZ) * 0.1
    found = assistant_echo._onset(np.concatenate((quiet, loud)))
    assert found == pytest.approx(RATE_HZ, abs=330)


def test_what_is_told() -> None:
    good = [Trial(at, "somebody", -8.0 - at % 10, 0.1) for at in range(40)]
    assert misses(good) == []
    bad = [
        *good,
        *(Trial(50 + at, "somebody", -8.0, after_s) for at, after_s in enumerate((-1.0, 0.3, None))),
    ]
    told = " ".join(misses(bad))
    assert "40 of 43" in told and "by its own voice: 1" in told
    text = markdown(bad)
    assert "−10 to −6" in text and "nan" not in text
    assert json.loads(json.dumps(to_json(bad)))["trials"][-1]["after_s"] is None
    assert "–" in markdown([Trial(1, "somebody", -8.0, None)])


@SPEAKS
def test_the_parts_have_other_people_and_other_chance() -> None:
    real = [Voice(f"recording {at}", np.full(RATE_HZ, 0.1), real=True) for at in range(4)]
    tune, judge = (assistant_echo.cast(part, real) for part in Part)
    assert not {one.name for one in tune.people} & {one.name for one in judge.people}
    assert len(tune.own) == 8, "each language that we ship"


@SPEAKS
def test_a_few_for_real() -> None:
    told: list[str] = []
    found = assistant_echo.trials(
        assistant_echo.cast(Part.TUNE, []), weights.load("speech_silero"), Part.TUNE, 4, tell=told.append
    )
    assert told[-1] == "interrupting: 4 of 4"
    assert not any(one.by_itself for one in found)
    assert sum(one.stopped for one in found) >= 3
