"""The second reader: what it reads, that it only raises, and that it can be taught."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.assistant.triage import Level, Triage, shipped
from client.assistant.triage.second_reader import BITS, SCHEMA, BadReader, SecondReader, pieces, signs
from client.evaluation.second_reader_fit import teach

ILL = ["he cannot speak", "she cannot breathe", "he cannot wake", "my arm cannot move", "I cannot see"]
WELL = ["he can speak", "the weather is fine", "thank you very much", "what is a pulse", "I like tea"]


def taught() -> SecondReader:
    sentences = [*ILL, *WELL] * 4
    words = [f"{one} {number}".split() for number, one in enumerate(sentences)]
    return SecondReader(teach(words, [one in ILL for one in sentences], unspaced=False).content)


def test_it_tells_what_it_was_taught_from_what_it_was_not() -> None:
    reader = taught()
    assert reader.suspects(["help", "she", "cannot", "swallow"])
    assert not reader.suspects(["I", "like", "coffee", "very", "much"])


def test_the_same_sentences_teach_the_same() -> None:
    words = [one.split() for one in [*ILL, *WELL]]
    wanted = [True] * len(ILL) + [False] * len(WELL)
    assert teach(words, wanted, unspaced=False).content == teach(words, wanted, unspaced=False).content


def test_one_sentence_in_the_midst_of_a_long_story_is_seen() -> None:
    reader = taught()
    story = [
        "what",
        "is",
        "a",
        "pulse",
        "and",
        "thank",
        "you",
        "I",
        "like",
        "tea",
        "and",
        "the",
        "weather",
        "is",
        "fine",
    ] * 6
    alone = reader.score(["she", "cannot", "breathe"])
    inside = reader.score([*story, *["she", "cannot", "breathe"], *story])
    assert inside > reader.score(story)
    assert alone > reader.score(story)


@given(st.lists(st.text(max_size=12), max_size=80), st.booleans())
def test_any_words_have_places_and_a_score(words: list[str], unspaced: bool) -> None:
    assert all(0 <= place < 1 << BITS for place in signs(words, unspaced=unspaced))
    assert next(iter(pieces(words))) == words
    head = {"schema": SCHEMA, "unspaced": unspaced, "scale": 0.1, "bias": -1.0, "threshold": 0.0}
    reader = SecondReader(json.dumps(head).encode() + b"\n" + bytes(2 << BITS))
    assert reader.score(words) == -1.0


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}\n",
        b"no json\n" + bytes(2 << BITS),
        json.dumps({"schema": "other", "unspaced": False, "scale": 1, "bias": 0, "threshold": 0}).encode()
        + b"\n"
        + bytes(2 << BITS),
        json.dumps({"schema": SCHEMA, "unspaced": False, "scale": 1, "bias": 0, "threshold": 0}).encode()
        + b"\n"
        + bytes(10),
        b'{"schema": "health-helper/second-reader/1", "unspaced": false, "scale": NaN, "bias": 0, "threshold": 0}\n'
        + bytes(2 << BITS),
    ],
)
def test_what_are_no_weights_is_refused(content: bytes) -> None:
    with pytest.raises(BadReader):
        SecondReader(content)


@pytest.fixture(scope="module")
def triage() -> Triage:
    return shipped()


@pytest.mark.parametrize("language", ["en", "es", "fr", "de", "pt", "zh", "hi", "ar"])
def test_every_language_has_one_and_it_only_raises(triage: Triage, language: str) -> None:
    assert triage._reader(language) is not None
    text = "72"
    with_it = triage.judge(text, language).level
    assert with_it is Level.NONE
