"""What the device itself answers to everyday questions: the paragraph that fits, a value only where one is asked for, or that it does not know."""

from __future__ import annotations

import time
import tomllib
from pathlib import Path

import pytest

from client.assistant import phrases
from client.assistant.answers import MOST_PASSAGES, answer
from client.assistant.evidence import Evidence, Passage
from client.assistant.knowledge import Knowledge, shipped
from tests.client.assistant.conversing import HEART_RATE, LANGUAGES

_HERE = Path(__file__).parent
EVERYDAY, LATER, OWN_VALUES = (
    tomllib.loads((_HERE / f"{name}_questions.toml").read_text(encoding="utf-8"))
    for name in ("everyday", "everyday_later", "own_value")
)
VALUE = ["value"]
MOST_MS = 500.0


@pytest.fixture(scope="module")
def ours() -> Knowledge:
    return shipped()


def paragraph(ours: Knowledge, passage: Passage, language: str) -> str:
    """The paragraph that a passage is a piece of, as "article:number"."""
    all_of = ours.article(passage.article, language).text.split("\n\n")
    number = next(at for at, one in enumerate(all_of) if passage.text in " ".join(one.split()))
    return f"{passage.article}:{number}"


def fits(ours: Knowledge, question: str, language: str, wanted: list[str]) -> bool:
    found = answer(question, language, Evidence((HEART_RATE,)), ours)
    if not wanted:
        return not found.known
    if wanted == VALUE:
        return "72" in found.text and "[v1]" in found.text
    shown = [
        paragraph(ours, one, language)
        for one in ours.search(question, language, MOST_PASSAGES)
        if one.text[:20] in found.text
    ]
    articles = {one.partition(":")[0] for one in wanted}
    return bool(shown) and shown[0].partition(":")[0] in articles and not set(wanted).isdisjoint(shown)


@pytest.mark.parametrize("language", LANGUAGES)
def test_everyday_questions_are_answered_by_what_fits(ours: Knowledge, language: str) -> None:
    assert len(EVERYDAY[language]) == 40
    wrong = [
        question
        for name, question in EVERYDAY[language].items()
        if not fits(ours, question, language, EVERYDAY["fits"][name])
    ]
    assert not wrong


@pytest.mark.parametrize("language", LANGUAGES)
def test_of_more_questions_nearly_all_are(ours: Knowledge, language: str) -> None:
    wrong = [
        question
        for name, question in LATER[language].items()
        if not fits(ours, question, language, LATER["fits"][name])
    ]
    assert len(wrong) <= 1, wrong


@pytest.mark.parametrize("kind", ["own", "own_later", "general", "general_later"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_that_nothing_was_measured_is_said_to_who_asks_for_their_own_value(
    ours: Knowledge, language: str, kind: str
) -> None:
    own = phrases.of(language)
    never = [own.templates["never"].format(name=name) for name in own.names.values()]
    questions = OWN_VALUES[language][kind]
    assert len(questions) >= 6
    said = {
        one: any(text in answer(one, language, Evidence(), ours).text for text in never) for one in questions
    }
    assert set(said.values()) == {kind.startswith("own")}, said


@pytest.mark.parametrize("language", LANGUAGES)
def test_only_who_asks_for_a_value_is_told_that_there_is_none(ours: Knowledge, language: str) -> None:
    own = phrases.of(language)
    never = [own.templates["never"].format(name=name) for name in own.names.values()]
    wrong = [
        question
        for set_of in (EVERYDAY, LATER)
        for name, question in set_of[language].items()
        if name not in {"my_pulse", "variability_good"}
        and any(text in answer(question, language, Evidence(), ours).text for text in never)
    ]
    assert not wrong


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("of", "name", "wanted"),
    [
        (EVERYDAY, "stop_pill", "medicines:2"),
        (EVERYDAY, "forgot_pill", "medicines:3"),
        (EVERYDAY, "ambulance", "emergency:0"),
        (LATER, "dizzy", "see-a-doctor:2"),
    ],
)
def test_what_may_not_be_missed_stands_first(
    ours: Knowledge, language: str, of: dict[str, dict[str, str]], name: str, wanted: str
) -> None:
    first = ours.search(of[language][name], language, 1)[0]
    assert paragraph(ours, first, language) == wanted


@pytest.mark.parametrize(
    ("language", "question"),
    [
        ("en", "show me my heart rate variability"),
        ("es", "¿cuál fue mi variabilidad de la frecuencia cardíaca?"),
        ("fr", "montrez-moi ma variabilité du pouls"),
        ("pt", "qual foi a minha variabilidade do pulso"),
        ("de", "wie war meine Herzratenvariabilität"),
        ("zh", "我的心率变异性是多少"),
        ("hi", "मेरी हृदय गति परिवर्तनशीलता कितनी थी"),
        ("ar", "أرني آخر تباين لنبضي"),
    ],
)
def test_variability_is_not_the_rate(language: str, question: str) -> None:
    own = phrases.of(language)
    text = answer(question, language, Evidence((HEART_RATE,))).text
    assert "[v1]" not in text
    assert own.templates["never"].format(name=own.names["rmssd"]) in text
    assert own.templates["never"].format(name=own.names["heart_rate"]) not in text


def test_what_no_camera_measures_is_not_talked_of_where_the_pulse_is_asked_about(ours: Knowledge) -> None:
    for language in LANGUAGES:
        text = answer(EVERYDAY[language]["fever_pulse"], language, Evidence(), ours).text
        assert phrases.of(language).templates["not_by_camera"] not in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_longest_answer_is_there_in_half_a_second(ours: Knowledge, language: str) -> None:
    answer(EVERYDAY[language]["my_pulse"], language, Evidence((HEART_RATE,)), ours)
    longest_ms = 0.0
    for question in EVERYDAY[language].values():
        begun_s = time.perf_counter()
        answer(question, language, Evidence((HEART_RATE,)), ours)
        longest_ms = max(longest_ms, 1000 * (time.perf_counter() - begun_s))
    assert longest_ms <= MOST_MS
