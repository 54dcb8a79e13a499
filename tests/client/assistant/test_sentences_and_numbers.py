"""Texts taken apart: into sentences as they come, and into the numbers that stand in them."""

from __future__ import annotations

import pytest

from client.assistant import phrases
from client.assistant.numbers import digits_in, with_digits, words_in
from client.assistant.sentences import Splitter, cleaned


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("It is 72.1 now. Good.", ["It is 72.1 now.", " Good."]),
        ("Ask, e.g. your doctor. Yes!", ["Ask, e.g. your doctor.", " Yes!"]),
        ("1. Sit down.\n2. Rest.", ["1. Sit down.", "\n2. Rest."]),
        ("So it is [v1]. And more. [k1] Then.", ["So it is [v1].", " And more. [k1]", " Then."]),
        ("Am 5. Oktober war es so. Gut.", ["Am 5. Oktober war es so.", " Gut."]),
        ("你好。很好！", ["你好。", "很好！"]),
        ("नमस्ते। ठीक है।", ["नमस्ते।", " ठीक है।"]),
        ("هل هذا جيد؟ نعم.", ["هل هذا جيد؟", " نعم."]),
        ("See ![x](y) now.", ["See ![x](y) now."]),
        ("No end", ["No end"]),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 100])
def test_sentences_end_where_they_end(text: str, sentences: list[str], size: int) -> None:
    splitter = Splitter(["e.g."], ["Oktober"])
    found = [one for at in range(0, len(text), size) for one in splitter.push(text[at : at + size])]
    assert [*found, *splitter.finish()] == sentences


def test_nothing_of_a_sentence_comes_before_its_end_is_sure() -> None:
    splitter = Splitter()
    assert splitter.push("It is 72.") == []
    assert splitter.push("1 now.") == []
    assert splitter.push(" [v1") == []
    assert splitter.push("] So") == ["It is 72.1 now. [v1]"]


def test_cleaning_keeps_letters_and_punctuation_only() -> None:
    assert cleaned("**a** \u202eb\u200bc\x00 \U0001f600\uff17，好") == "a bc 7，好"
    assert cleaned("e" + "\u0301\u0302\u0303\u0304\u0305\u0306") == "\u00e9\u0302\u0303"


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("72.1 and 1,047 and 60-100", [72.1, 1047, 60, 100]),
        ("٧٢٫٥ ७२ ７２", [72.5, 72, 72]),
        ("⁷² ½", [72, 1, 2]),
        ("SpO2 and B12", []),
        ("72bpm 5th", [72, 5]),
        ("10 000 steps", [10000]),
        ("HR73x7", [None, 73, 7]),
        ("1.2.3", [None]),
        ("LXXII", [72]),
        ("it is -3", [-3]),
    ],
)
def test_digits_are_read_in_every_script(text: str, values: list[float | None]) -> None:
    assert [one.value for one in digits_in(with_digits(text), decimal_comma=False)] == values


def test_the_decimal_sign_is_the_languages() -> None:
    assert [one.value for one in digits_in("72,1 1.047 1.047,5 0,125", decimal_comma=True)] == [
        72.1,
        1047,
        1047.5,
        0.125,
    ]


@pytest.mark.parametrize(
    ("language", "text", "values"),
    [
        ("en", "one hundred and thirty, seventy-two, a dozen", [130, 72, 12]),
        ("en", "seven two", [None]),
        ("es", "ciento treinta y dos y nada más", [132]),
        ("fr", "soixante-douze, quatre-vingt-dix-sept, soixante et onze", [72, 97, 71]),
        ("de", "zweiundsiebzig, hundertsiebenundvierzig, einhundertfünf", [72, 147, 105]),
        ("pt", "cento e quarenta e sete", [147]),
        ("zh", "七十二，一百零五，一百四十七，十分好，千万", [72, 105, 147]),
        ("hi", "बहत्तर, एक सौ सैंतालीस", [72, 147]),
        ("ar", "اثنان وسبعون، مئة وسبعة وأربعون", [72, 147]),
    ],
)
def test_number_words_are_read(language: str, text: str, values: list[float | None]) -> None:
    assert [one.value for one in words_in(text, phrases.of(language))] == values
