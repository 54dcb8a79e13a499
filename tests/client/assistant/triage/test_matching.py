"""What the rules of a language find, and what takes it back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from client.assistant.triage.matching import Language

Judged = Callable[[str], str]


@pytest.mark.parametrize(
    "text",
    [
        "my chest hurts",
        "PAIN in the CHEST",
        "chset pain",
        "cheest pain",
        "chestpain",
        "che st pain",
        "paaaain in my chest",
        "can't breathe",
        "cant breath",
        "can t breathe",
        "icant breathe",
        "i am unable to breathe",
        "heart-attack",
        "overdosed",
        "overdsoed",
        "I want to die",
        "My chest. Such pain.",
    ],
)
def test_an_emergency_is_noticed(text: str, level: Judged) -> None:
    assert level(text) == "emergency"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a chest of drawers, what a pain",
        "the cheat hurts",
        "breathe, you can't lose",
        "my chest is fine and so is all of the rest of me, what a pain this queue is",
        "heart. attack",
        "my chest hurts, only joking",
    ],
)
def test_what_is_none_is_left_alone(text: str, level: Judged) -> None:
    assert level(text) == "none"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no chest pain", "none"),
        ("I don't have any chest pain", "none"),
        ("my chest has no pain", "none"),
        ("no chest pain or heart attack", "none"),
        ("the chest pain is gone", "none"),
        ("no, my chest hurts", "emergency"),
        ("no my chest hurts", "emergency"),
        ("no fever chest pain", "emergency"),
        ("no fever or chest pain", "none"),
        ("no idea why my chest hurts", "emergency"),
        ("not only chest pain", "emergency"),
        ("no swelling but chest pain", "emergency"),
        ("no swelling. chest pain", "emergency"),
        ("not that old, and chest pain", "emergency"),
        ("I don't want to die", "emergency"),
        ("Chest pain? No, I only wait.", "none"),
        ("Chest pain? None.", "none"),
        ("Chest pain? No idea.", "emergency"),
        ("Chest pain. No fever.", "emergency"),
        ("Chest pain? Yes.", "emergency"),
        ("no... chest pain", "emergency"),
        ("can't... breathe", "emergency"),
    ],
)
def test_negation_takes_back_what_it_reaches(text: str, expected: str, level: Judged) -> None:
    assert level(text) == expected


def test_the_negation_of_an_emergency_takes_nothing_else_back(level: Judged) -> None:
    assert level("he can't breathe chest pain") == "emergency"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I had a heart attack years ago", "none"),
        ("years ago, I had a heart attack", "none"),
        ("I had a heart attack last year and now again", "emergency"),
        ("I had a cold last year, my chest hurts", "emergency"),
        ("I had a cold last year and my chest hurts", "emergency"),
        ("I had a cold last year. My chest hurts", "emergency"),
        ("what are the symptoms of a heart attack", "none"),
        ("in the film he had a heart attack", "none"),
        ("in the film he sang, my chest hurts", "emergency"),
    ],
)
def test_the_past_and_the_general_are_elsewhere(text: str, expected: str, level: Judged) -> None:
    assert level(text) == expected


def test_the_first_rule_of_the_highest_level_names_the_category(small: Language) -> None:
    assert small.judge("calf swollen, can't breathe, chest pain").category == "chest_pain"
    assert small.judge("my calf is swollen")[:2] == ("urgent", "clot")


def test_a_part_may_be_nearer_than_its_reach_or_not_count(level: Judged) -> None:
    assert level("chest one two three four pain") == "emergency"
    assert level("chest one two three four five pain") == "none"


def test_symptoms_are_heard_and_negated(small: Language) -> None:
    assert small.has_symptom("I feel dizzy")
    assert not small.has_symptom("I am not dizzy")
    assert not small.has_symptom("hello")
