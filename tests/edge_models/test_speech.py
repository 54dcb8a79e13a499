"""From probabilities to utterances, and from what is left of an echo to an interruption: state machines, with numbers by hand."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_models.speech import (
    BLOCK,
    BLOCK_S,
    BargeIn,
    BargeInRules,
    Began,
    Continued,
    Ended,
    Segmenter,
    SegmentRules,
    SpeechEvent,
)
from edge_models.types import Float32Array

E = TypeVar("E", Began, Continued, Ended)
RULES = SegmentRules()
HANGOVER = round(RULES.hangover_s / BLOCK_S)
BEFORE = round(RULES.before_s / BLOCK_S)
AFTER = round(RULES.after_s / BLOCK_S)
SPEECH, WEAK, SILENCE = 0.9, 0.4, 0.1
"""WEAK lies between the two thresholds."""


def block(number: int) -> Float32Array:
    """The number of the block in each of its samples."""
    return np.full(BLOCK, number, np.float32)


def heard(
    probabilities: Iterable[float], segmenter: Segmenter | None = None, first: int = 1
) -> list[tuple[int, SpeechEvent]]:
    """Every event with the number of the block that it came with; block n ends at n · 32 ms."""
    used = segmenter or Segmenter()
    return [
        (number, event)
        for number, probability in enumerate(probabilities, first)
        for event in used.push(block(number), number * BLOCK_S, probability)
    ]


def numbers(samples: Float32Array) -> list[int]:
    """Of which blocks this sound is made."""
    assert len(samples) % BLOCK == 0
    return [int(one) for one in samples[::BLOCK]]


def only(events: Sequence[tuple[int, SpeechEvent]], kind: type[E]) -> list[tuple[int, E]]:
    return [(number, event) for number, event in events if isinstance(event, kind)]


def test_an_utterance_has_what_came_before_it_and_a_little_after() -> None:
    events = heard([SILENCE] * 30 + [SPEECH] * 40 + [SILENCE] * 30)
    (began_at, began), (ended_at, ended) = only(events, Began)[0], only(events, Ended)[0]
    assert began_at == 33, "the third block of speech"
    assert began.t_s == pytest.approx(30 * BLOCK_S)
    assert numbers(began.samples) == list(range(31 - BEFORE, 34))
    assert ended_at == 70 + HANGOVER
    assert ended.t_s == pytest.approx(70 * BLOCK_S) and ended.told_s == pytest.approx(ended_at * BLOCK_S)
    assert numbers(ended.samples) == list(range(31 - BEFORE, 71 + AFTER))
    assert not ended.cut and not ended.short
    assert ended.told_s - ended.t_s < 0.5


def test_a_weak_syllable_ends_nothing_and_begins_nothing() -> None:
    assert heard([WEAK] * 100) == []
    events = heard([SPEECH] * 10 + [WEAK] * 60 + [SILENCE] * 20)
    assert len(only(events, Ended)) == 1
    assert only(events, Ended)[0][0] == 70 + HANGOVER


def test_two_blocks_of_four_are_nobody() -> None:
    assert heard([SPEECH, SPEECH, SILENCE, SILENCE] * 30) == []
    assert len(only(heard([SPEECH, SILENCE, SPEECH, SPEECH]), Began)) == 1


def test_a_pause_shorter_than_the_hangover_is_part_of_the_utterance() -> None:
    events = heard([SPEECH] * 10 + [SILENCE] * (HANGOVER - 1) + [SPEECH] * 10 + [SILENCE] * 30)
    assert len(only(events, Began)) == len(only(events, Ended)) == 1


def test_a_click_is_no_utterance() -> None:
    (_, ended), *_ = only(heard([SPEECH] * 4 + [SILENCE] * 30), Ended)
    assert ended.short
    (_, ended), *_ = only(heard([SPEECH] * 8 + [SILENCE] * 30), Ended)
    assert not ended.short


def test_what_is_too_long_is_cut_and_goes_on_without_a_gap() -> None:
    rules = SegmentRules(longest_s=100 * BLOCK_S)
    events = heard([SPEECH] * 250 + [SILENCE] * 30, Segmenter(rules))
    ends = [event for _, event in only(events, Ended)]
    assert [one.cut for one in ends] == [True, True, False]
    pieces = [numbers(one.samples) for one in ends]
    assert list(itertools.chain(*pieces)) == list(range(1, 251 + AFTER)), "no block twice, none lost"
    assert not any(one.short for one in ends)


def test_a_short_rest_of_what_was_cut_is_no_click() -> None:
    rules = SegmentRules(longest_s=100 * BLOCK_S)
    ends = [event for _, event in only(heard([SPEECH] * 103 + [SILENCE] * 30, Segmenter(rules)), Ended)]
    assert [one.cut for one in ends] == [True, False]
    assert list(itertools.chain(*(numbers(one.samples) for one in ends)))[:103] == list(range(1, 104))


def test_after_a_cut_silence_is_the_end() -> None:
    rules = SegmentRules(longest_s=20 * BLOCK_S)
    events = heard([SPEECH] * 20 + [SILENCE] * 60, Segmenter(rules))
    assert [event.cut for _, event in only(events, Ended)] in ([True], [True, False])
    assert not isinstance(events[-1][1], Began)


def test_somebody_who_begins_again_at_once_loses_nothing() -> None:
    events = heard([SPEECH] * 20 + [SILENCE] * HANGOVER + [SPEECH] * 20 + [SILENCE] * 30)
    first, second = (numbers(event.samples) for _, event in only(events, Ended))
    assert first + second == list(range(1, 41 + HANGOVER + AFTER)), "what the first left over is the second's"


def test_reset_forgets_all_of_it() -> None:
    segmenter = Segmenter()
    heard([SILENCE] * 20 + [SPEECH] * 20, segmenter)
    assert segmenter.speaking
    segmenter.reset()
    events = heard([SILENCE] * 2 + [SPEECH] * 10 + [SILENCE] * 30, segmenter, first=100)
    assert numbers(only(events, Began)[0][1].samples) == list(range(100, 105))


def test_samples_are_not_printed() -> None:
    (_, began), *_ = only(heard([SPEECH] * 5), Began)
    assert "array" not in repr(began)


probabilities = st.lists(
    st.one_of(st.floats(0.0, 1.0), st.sampled_from([0.0, 0.35, 0.5, 1.0])), min_size=1, max_size=300
)
runs = st.lists(
    st.tuples(st.sampled_from([SPEECH, WEAK, SILENCE]), st.integers(1, 40)), min_size=1, max_size=20
).map(lambda parts: [probability for probability, times in parts for _ in range(times)])


@given(st.one_of(probabilities, runs), st.integers(10, 60))
def test_no_sample_is_twice_or_lost_in_an_utterance(given_: list[float], longest: int) -> None:
    rules = SegmentRules(longest_s=longest * BLOCK_S)
    events = heard(given_, Segmenter(rules))
    streamed: list[int] = []
    last = 0
    for number, event in events:
        match event:
            case Began(t_s=t_s, samples=samples):
                assert streamed == [], "one after the other"
                streamed = numbers(samples)
                assert streamed[-1] == number and 0.0 <= t_s < number * BLOCK_S
                assert streamed[0] > last, "nothing of the one before"
            case Continued(samples=samples):
                streamed += numbers(samples)
                assert streamed[-1] == number
            case Ended(samples=samples, t_s=t_s, told_s=told_s, cut=cut):
                whole = numbers(samples)
                assert whole == list(range(whole[0], whole[0] + len(whole)))
                assert whole == streamed[: len(whole)] or whole[:-1] == streamed
                assert t_s <= told_s + 1e-9
                assert len(whole) <= max(longest, BEFORE + RULES.begins_of)
                assert not cut or len(whole) >= min(longest, len(whole))
                streamed, last = [], whole[-1]


@given(st.one_of(probabilities, runs))
def test_it_is_the_same_however_often_it_is_asked(given_: list[float]) -> None:
    segmenter = Segmenter()
    one = [type(event) for _, event in heard(given_, segmenter)]
    segmenter.reset()
    assert one == [type(event) for _, event in heard(given_, segmenter)]


# Interrupting


BARGE = BargeInRules()
LATER_S = BARGE.known_s + 1.0


def interrupts(
    probability: float,
    rises_db: float,
    *,
    left_db: float = -30.0,
    t_s: float = LATER_S,
    noise_db: float = -70.0,
) -> list[bool]:
    """Of three such blocks one after the other."""
    barge_in = BargeIn()
    return [
        barge_in.interrupts(probability, left_db, rises_db, t_s + at * BLOCK_S, noise_db) for at in range(3)
    ]


def test_somebody_interrupts() -> None:
    assert interrupts(0.0, BARGE.sudden_db) == [True] * 3, "whatever the net says of it yet"
    assert interrupts(BARGE.likely, BARGE.over_db) == [False, True, True], "one block may be chance"


def test_our_own_voice_does_not() -> None:
    assert interrupts(1.0, BARGE.over_db - 0.1) == [False] * 3
    assert interrupts(BARGE.likely - 0.01, BARGE.sudden_db - 0.1) == [False] * 3
    assert interrupts(1.0, 60.0, left_db=BARGE.audible_db - 0.1) == [False] * 3, "too faint to be anybody"
    assert interrupts(1.0, 60.0, t_s=0.0) == [False] * 3, "its echo is not known yet"


def test_at_first_more_is_asked_for() -> None:
    early_s = BARGE.settles_s + 0.1
    assert interrupts(0.0, BARGE.sudden_db, t_s=early_s) == [False] * 3
    assert interrupts(0.0, BARGE.sudden_db + BARGE.first_db, t_s=early_s) == [True] * 3


def test_the_noise_of_the_room_is_nobody() -> None:
    """In our own pauses it is far above the echo, and the net may take it for speech."""
    assert interrupts(1.0, 50.0, left_db=-40.0, noise_db=-42.0) == [False] * 3
    assert interrupts(1.0, 50.0, left_db=-40.0, noise_db=-40.0 - BARGE.over_noise_db)[0]


def test_blocks_that_do_not_follow_each_other_are_not_two() -> None:
    barge_in = BargeIn()
    told = [
        barge_in.interrupts(probability, -30.0, BARGE.over_db, LATER_S)
        for probability in (0.9, 0.1, 0.9, 0.1, 0.9, 0.9)
    ]
    assert told == [False] * 5 + [True]


def test_when_our_voice_begins_anew_so_does_the_count() -> None:
    barge_in = BargeIn()
    assert not barge_in.interrupts(0.9, -30.0, BARGE.over_db, LATER_S)
    assert not barge_in.interrupts(0.9, -30.0, BARGE.over_db, 0.0)
    assert not barge_in.interrupts(0.9, -30.0, BARGE.over_db, LATER_S)


@pytest.mark.parametrize("at", range(4))
def test_what_is_no_number_is_nobody(at: int) -> None:
    told = [0.9, -30.0, BARGE.over_db, LATER_S]
    told[at] = float("nan")
    barge_in = BargeIn()
    assert not any(barge_in.interrupts(*told) for _ in range(3))
