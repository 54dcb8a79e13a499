"""The device's own answer: from measurements and articles, with citations, or that it does not know."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from datetime import timedelta

import pytest

from client.assistant import answers, phrases
from client.assistant.answers import answer, extract, told
from client.assistant.evidence import Evidence
from tests.client.assistant.conversing import (
    BREATHING,
    EVIDENCE,
    HEART_RATE,
    LANGUAGES,
    PASSAGE,
    Shelf,
    checked,
)

FACTS = Evidence((HEART_RATE, BREATHING))
ASKED = {
    "en": "What was my heart rate and my breathing rate?",
    "es": "¿Cuál fue mi pulso y mi respiración?",
    "fr": "Quel était mon pouls, et ma respiration ?",
    "de": "Wie war mein Puls und meine Atmung?",
    "pt": "Qual foi o meu pulso e a minha respiração?",
    "zh": "我的心率和呼吸怎么样？",
    "hi": "मेरी धड़कन और साँस कैसी थी?",
    "ar": "كم كان نبضي ومعدل التنفس؟",
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_values_are_told_with_interval_and_time_and_what_was_not_shown_with_its_reason(language: str) -> None:
    found = answer(ASKED[language], language, FACTS)
    assert found.known
    assert {one.id for one in found.citations} == {"v1", "v2"}
    assert {one.uri for one in found.citations} == {"fact:heart_rate", "fact:respiratory_rate"}
    first, second = found.text.split("\n")
    assert {"72", "70", "74", "14:30", "2025"} <= set(re.findall(r"[0-9:]+", first))
    assert phrases.of(language).reasons["too_dark"] in second
    assert checked(found.text, language) == (found.text, None)


def test_the_newest_measurement_is_told() -> None:
    older = replace(HEART_RATE, id="v2", taken_at=HEART_RATE.taken_at - timedelta(days=3), value=99.0)
    assert "[v1]" in answer("my pulse?", "en", Evidence((older, HEART_RATE)).numbered()).text.replace(
        "[v2]", "[v1]"
    )
    assert "99" not in answer("my pulse?", "en", Evidence((older, HEART_RATE))).text


def test_all_of_a_scan_is_told_where_it_is_asked_for() -> None:
    text = answer("What are my results?", "en", FACTS).text
    assert "heart rate was 72" in text
    assert "breathing rate" in text
    assert "No measurement of your pulse-rate variability (RMSSD) is here yet." in text


def test_a_narrow_interval_has_a_decimal_in_the_sign_of_the_language() -> None:
    fact = replace(HEART_RATE, low=71.8, high=72.3)
    assert "71.8 to 72.3" in told(fact, "en")
    assert "71,8 bis 72,3" in told(fact, "de")
    assert "(" not in told(replace(fact, low=None), "en")


def test_an_unknown_vital_sign_and_reason_are_told_as_they_are() -> None:
    assert "skin temperature was 72" in told(replace(HEART_RATE, name="skin_temperature"), "en")
    assert "not sure enough" in told(replace(BREATHING, reasons=("of_tomorrow",)), "en")


def test_articles_are_quoted_and_cited() -> None:
    shelf = Shelf(replace(PASSAGE, id="x"))
    found = answer("what is a usual pulse", "en", Evidence(), shelf)
    assert "At rest most adults have 60 to 100 beats per minute. Sport lowers it. [k1]" in found.text
    assert found.citations[-1].uri == "article:heart-rate"
    assert shelf.asked == [("what is a usual pulse", "en")]
    given = answer("what is a usual pulse", "en", EVIDENCE, shelf)
    assert len(shelf.asked) == 1, "what was found before is not looked for again"
    assert "[k1]" in given.text


def test_a_long_passage_ends_with_a_sentence_and_without_markup() -> None:
    passage = replace(PASSAGE, text="## Title\n" + "This is **one** of many sentences. " * 40)
    text = extract(passage, phrases.of("en"))
    assert len(text) <= answers.MOST_PASSAGE_CHARACTERS + 40
    assert text.endswith("sentences.")
    assert "#" not in text
    assert "*" not in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_not_known_is_said_and_who_would(language: str) -> None:
    own = phrases.of(language)
    found = answer("xyzzy", language, FACTS)
    assert not found.known
    assert found.text == f"{own.templates['evidence_missing']}\n{own.templates['who']}"
    assert found.citations == ()


def test_what_no_camera_measures_is_said() -> None:
    assert "not measured by a camera" in answer("What is my blood pressure?", "en", FACTS).text


def test_a_greeting_is_returned_and_an_emergency_comes_first() -> None:
    assert answer("Hello", "en", FACTS).text == phrases.of("en").templates["greeting"]
    assert answer("my pulse", "en", FACTS, safety="Call now.").text.startswith("Call now.\n")
    nothing_else = answer("xyzzy", "en", FACTS, safety="Call now.")
    assert not nothing_else.known
    assert nothing_else.text == f"Call now.\n{phrases.of('en').templates['who']}"


def test_an_answer_takes_no_time() -> None:
    answer(ASKED["en"], "en", EVIDENCE)
    begin_s = time.perf_counter()
    for _ in range(20):
        answer(ASKED["en"], "en", EVIDENCE)
    assert (time.perf_counter() - begin_s) / 20 <= 0.05
