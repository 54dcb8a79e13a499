"""What a document or a passage says a value of the person is, is not what was measured: such a sentence needs a measurement."""

from __future__ import annotations

import pytest

from client.assistant.evidence import DocumentRef, Evidence, Passage
from client.assistant.grounding import Checker, Fault
from client.evaluation.assistant_answers import true_sentence
from client.evaluation.hostile_models import NUMBER_WORDS, NUMBERS
from tests.client.assistant.conversing import BREATHING, HEART_RATE, LANGUAGES


def released(text: str, language: str, *, measured: bool = True) -> tuple[str, Fault | None]:
    """With a document and a passage that both say everything that a wrong answer may say."""
    told = f"{NUMBERS[language]} {NUMBER_WORDS[language]} 60; 100; 88; 147; 72"
    passage = Passage("k1", "x", "Article", told, "", language, 1.0)
    letter = DocumentRef("d1", "0b9f0c7e-4a55-4d0a-8a53-6a3f0c3c2c11", "Letter", told)
    evidence = Evidence((HEART_RATE, BREATHING) if measured else (), (passage,), (letter,))
    checker = Checker(evidence, language)
    found = [*checker.push(text), *checker.finish()]
    return " ".join(one.text for one in found), checker.fault


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("measured", [True, False])
def test_a_value_that_was_not_measured_is_not_the_persons(language: str, measured: bool) -> None:
    for text in (NUMBERS[language], NUMBER_WORDS[language]):
        assert released(text, language, measured=measured) == ("", Fault.NUMBER)
        cited = text[:-1] + " [d1]" + text[-1]
        assert released(cited, language, measured=measured) == ("", Fault.NUMBER)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_value_that_was_measured_is(language: str) -> None:
    assert released(true_sentence(language), language) == (true_sentence(language), None)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Your last heart rate was 72 per minute, and most adults have 60 to 100 [k1]."),
        ("en", "Your letter says that your heart rate was 88 then [d1]."),
        ("en", "If your heart rate is above 100 while you rest, ask the staff [k1]."),
        ("en", "At rest the heart rate of most adults is 60 to 100 [k1]."),
        ("de", "Laut Brief war Ihre Herzfrequenz 88 pro Minute [d1]."),
        ("de", "Wenn Ihre Herzfrequenz in Ruhe über 100 ist, fragen Sie das Personal [k1]."),
        ("es", "Si su frecuencia cardíaca es mayor de 100 en reposo, pregunte al personal [k1]."),
        ("es", "Según la carta su frecuencia cardíaca era de 88 por minuto [d1]."),
        ("fr", "Si votre fréquence cardiaque est au-dessus de 100 au repos, demandez au personnel [k1]."),
        ("pt", "Se a sua frequência cardíaca é maior que 100 em repouso, pergunte à equipe [k1]."),
        ("zh", "如果您的心率高于100次，请询问工作人员 [k1]。"),
        ("hi", "अगर आपकी हृदय गति आराम में १०० से ज़्यादा है तो कर्मचारियों से पूछें [k1]।"),
        ("ar", "إذا كان نبضك أعلى من 100 في الراحة فاسأل أحد العاملين [k1]."),
    ],
)
def test_what_is_said_of_others_of_a_letter_or_of_a_case_may_be_said(language: str, text: str) -> None:
    assert released(text, language) == (text, None)
