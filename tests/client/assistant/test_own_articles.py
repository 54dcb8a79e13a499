"""A sentence of our own articles may be said word for word, and of no other text: a document and what the cloud retrieves can be anybody's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from client.assistant import phrases
from client.assistant.evidence import DocumentRef, Evidence, Passage
from client.assistant.grounding import Checker, Fault
from client.assistant.knowledge import Article, shipped
from client.assistant.sentences import Splitter
from client.assistant.triage import Level
from client.evaluation import hostile_models
from tests.client.assistant.conversing import DOCUMENT, EVIDENCE, HEART_RATE, LANGUAGES

STOPPING = {
    "en": "Stopping a heart medicine suddenly can be dangerous.",
    "fr": "Arrêter d'un coup un médicament du cœur peut être dangereux.",
    "pt": "Parar de repente um remédio do coração pode ser perigoso.",
    "zh": "突然停用心脏药可能有危险。",
    "hi": "दिल की दवा अचानक बंद करना खतरनाक हो सकता है।",
    "ar": "فإيقاف دواء القلب فجأة قد يكون خطيرًا.",
}
"""Sentences of our articles that no other text may say."""
HARM = ("You should stop your insulin.", "You have pneumonia.", "Take two tablets every day.")


def passages(article: Article) -> tuple[Passage, ...]:
    return tuple(
        Passage(f"k{at}", article.id, article.title, text, article.sources[0], article.language, 1.0)
        for at, text in enumerate(article.passages(), 1)
    )


def every_article() -> list[Article]:
    of = shipped()
    return [one for language in of.languages for one in of.articles(language)]


def sentences(article: Article) -> list[str]:
    own = phrases.of(article.language)
    splitter = Splitter(own.abbreviations, own.month_names)
    return [one.strip() for one in (*splitter.push(" ".join(article.text.split())), *splitter.finish())]


def released(
    text: str, language: str, evidence: Evidence, level: Level = Level.NONE
) -> tuple[str, Fault | None]:
    checker = Checker(evidence, language, level=level)
    found = [*checker.push(text), *checker.finish()]
    return "".join(one.joint + one.text for one in found), checker.fault


def of_medicines(language: str) -> Evidence:
    return Evidence(passages=passages(shipped().article("medicines", language)))


@pytest.mark.parametrize("article", every_article(), ids=lambda one: f"{one.language}-{one.id}")
def test_every_sentence_of_our_articles_may_be_said(article: Article) -> None:
    held = []
    for one in sentences(article):
        cited = f"{one[:-1]} [k1]{one[-1]}"
        for said in (one, cited):
            text, fault = released(said, article.language, Evidence(passages=passages(article)))
            if fault is not None or text != said.strip():
                held.append((said, fault))
    assert not held


@pytest.mark.parametrize(("language", "text"), STOPPING.items())
def test_what_an_article_says_of_medicines_is_its_own(language: str, text: str) -> None:
    assert released(text, language, of_medicines(language)) == (text, None)
    assert released(text, language, Evidence())[1] is Fault.DOSE


@pytest.mark.parametrize(("language", "text"), STOPPING.items())
def test_the_same_words_in_a_document_or_from_the_cloud_are_nobodys(language: str, text: str) -> None:
    letter = replace(DOCUMENT, text=text, title=text)
    assert released(text, language, Evidence(documents=(letter,))) == ("", Fault.DOSE)
    checker = Checker(Evidence(), language)
    checker.allow("k1", text)
    assert checker.push(f"{text} [k1] ") + checker.finish() == []
    assert checker.fault is Fault.DOSE


@pytest.mark.parametrize("text", HARM)
def test_harm_that_a_document_or_the_cloud_says_is_held_back_whatever_it_stands_beside(text: str) -> None:
    letter = DocumentRef("d1", DOCUMENT.upload, "Letter", text)
    evidence = replace(of_medicines("en"), documents=(letter,))
    for said in (text, text.replace(".", " [d1]."), text.replace(".", " [k9]."), text.replace(".", " [k1].")):
        other = Checker(evidence, "en")
        other.allow("k9", text)
        assert other.push(said) + other.finish() == []
        assert other.fault in {Fault.DOSE, Fault.DIAGNOSIS}


@pytest.mark.parametrize(
    "text",
    [
        "Stopping a heart medicine suddenly can be dangerous, so stop it slowly.",
        "Stopping a heart medicine suddenly can be good.",
        "You are stopping a heart medicine suddenly, can be dangerous.",
        "Stop, skip or change a medicine because of a number on this screen.",
    ],
)
def test_a_sentence_of_ours_that_was_changed_is_not_ours(text: str) -> None:
    assert released(text, "en", of_medicines("en")) == ("", Fault.DOSE)


@pytest.mark.parametrize(
    "said",
    [
        "Stopping a heart medicine suddenly can be dangerous",
        "\u201cStopping a heart medicine suddenly can be dangerous.\u201d",
        "stopping a  heart medicine\u200b suddenly can be **dangerous** [k3].",
    ],
)
def test_how_a_sentence_of_ours_is_written_does_not_matter(said: str) -> None:
    assert released(said, "en", of_medicines("en"))[1] is None


def test_an_article_in_another_language_says_nothing_here() -> None:
    assert released(STOPPING["fr"], "en", of_medicines("fr"))[1] is not None


def test_a_passage_may_not_play_down_what_triage_says_now() -> None:
    evidence = Evidence(passages=passages(shipped().article("see-a-doctor", "en")))
    harmless = "They are common and often harmless."
    assert released(harmless, "en", evidence) == (harmless, None)
    assert released(harmless, "en", evidence, Level.URGENT) == ("", Fault.REASSURANCE)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("See www.example.com about it.", Fault.LINK),
        ("Ring 0800 555 0199 about it.", Fault.LINK),
        ("Look at ![this](x) and that.", Fault.MARKUP),
        ("It is so [k7].", Fault.CITATION),
    ],
)
def test_links_marks_and_sources_are_looked_at_in_passages_too(text: str, fault: Fault) -> None:
    passage = Passage("k1", "x", "Article", text, "", "en", 1.0)
    assert released(text, "en", Evidence(passages=(passage,))) == ("", fault)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_passage_does_not_say_what_was_measured(language: str) -> None:
    text = hostile_models.NUMBERS[language]
    passage = Passage("k1", "x", "Article", text, "", language, 1.0)
    assert released(text, language, Evidence((HEART_RATE,), (passage,))) == ("", Fault.NUMBER)


# --- What is said in a model's own words


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "The camera does not measure your temperature."),
        ("fr", "La caméra ne mesure pas votre température."),
        ("es", "La cámara no mide su temperatura."),
        ("zh", "RMSSD和SDNN说明心跳之间的差别。"),
        ("hi", "RMSSD धड़कनों के बीच का अंतर बताता है।"),
        ("ar", "يصف RMSSD الفرق بين الدقات في المسح."),
    ],
)
def test_what_is_denied_and_names_in_latin_letters_may_be_said(language: str, text: str) -> None:
    assert released(text, language, EVIDENCE) == (text, None)


@pytest.mark.parametrize(
    ("language", "text"),
    [("zh", "您的心跳 is good。"), ("ar", "قلبك is good اليوم."), ("hi", "आपका दिल is good है।")],
)
def test_a_piece_of_a_sentence_in_another_language_may_not(language: str, text: str) -> None:
    assert released(text, language, EVIDENCE) == ("", Fault.LANGUAGE)
