"""Whose turn it is, in every language that there are words for."""

from __future__ import annotations

import pytest

from client.pipeline.turn_taking import (
    ROOM,
    STOP,
    asks_for_room,
    is_only_room,
    is_our_own,
    is_question,
    is_stop,
    patience_s,
)
from tests.client.assistant.conversing import LANGUAGES

OURS = ["Your heart rate was 72 per minute.", "You can ask a nurse about your pulse, or a doctor."]


def test_there_are_words_for_every_language() -> None:
    assert set(STOP) == set(ROOM) == set(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_word_works_alone_and_with_punctuation(language: str) -> None:
    for word in STOP[language]:
        assert is_stop(word, language) and is_stop(f"{word.upper()}! {word}.", f"{language}-XX")
        assert is_stop("Stop.", language), "in English everywhere"
        assert not asks_for_room(word, language)
    for word in ROOM[language]:
        assert asks_for_room(word, language) and is_only_room(f" {word} …", language)
        assert not is_stop(word, language)


@pytest.mark.parametrize(
    "text",
    ["", "my heart does not stop", "stop my medicine", "when should I stop walking", "parar", "stop " * 13],
)
def test_what_only_has_a_stop_word_in_it_is_said_to_us(text: str) -> None:
    assert not is_stop(text, "en")


def test_more_than_a_wish_for_room_is_not_only_that() -> None:
    assert asks_for_room("It hurts here, one moment", "en") and not is_only_room(
        "It hurts here, one moment", "en"
    )
    assert not asks_for_room("I had to wait for the bus", "en")
    assert patience_s("It hurts here, hold on", "en", after_our_question=False) == 6.0
    assert patience_s("yes", "en", after_our_question=True) == 1.6
    assert patience_s("yes", "en", after_our_question=False) == 0.7


@pytest.mark.parametrize(
    "text", ["Does it hurt?", "Does it hurt? [k1]", "¿Le duele?", "疼吗？", "هل يؤلمك؟ ", "Is it “so”?”"]
)
def test_a_question_of_ours_is_known(text: str) -> None:
    assert is_question(text)
    assert not is_question(f"{text} Tell me.") and not is_question("")


@pytest.mark.parametrize(
    "heard",
    [
        "ask a nurse about your pulse",
        "your heart rate was 72",
        "rate was 72 per minute you can ask",
        "ask the nurse about your pulse",
    ],
)
def test_a_piece_of_what_we_said_is_ours(heard: str) -> None:
    assert is_our_own(heard, OURS)


@pytest.mark.parametrize(
    "heard",
    [
        "",
        "yes",
        "a nurse",
        "what is my heart rate",
        "I have chest pain",
        "ask my wife about the other thing",
        "can you say that again please",
    ],
)
def test_what_somebody_else_says_is_not(heard: str) -> None:
    assert not is_our_own(heard, OURS)


def test_a_whole_short_sentence_of_ours_is_ours() -> None:
    assert is_our_own("hello.", ["Hello."]) and is_our_own("您可以问护士", ["您可以问护士。"])
    assert not is_our_own("hello", [])
