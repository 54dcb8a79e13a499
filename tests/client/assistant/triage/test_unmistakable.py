"""The plainest words decide by rules alone, whatever stands beside them: no weights are asked, and nothing lowers them."""

from __future__ import annotations

import pytest

from client.assistant.triage import Level, Triage, shipped
from tests.client.assistant.triage.unmistakable import PLAYED_DOWN, UNMISTAKABLE


@pytest.fixture(scope="module")
def triage() -> Triage:
    return shipped()


@pytest.mark.parametrize("language", UNMISTAKABLE)
def test_a_rule_decides_each(language: str, triage: Triage) -> None:
    rules = triage._language(language)
    missed = [text for text in UNMISTAKABLE[language] if rules.judge(text).level is not Level.EMERGENCY]
    assert missed == []


@pytest.mark.parametrize("language", UNMISTAKABLE)
def test_what_plays_it_down_lowers_none(language: str, triage: Triage) -> None:
    rules = triage._language(language)
    lowered = [
        said
        for text in UNMISTAKABLE[language]
        for less in PLAYED_DOWN[language]
        for said in (f"{less}, {text}", f"{text}, {less}", f"{text}. {less}.", f"{less}. {text}.")
        if rules.judge(said).level is not Level.EMERGENCY
    ]
    assert lowered == []


def test_every_language_says_the_same_and_has_patterns_that_decide(triage: Triage) -> None:
    assert set(UNMISTAKABLE) == set(PLAYED_DOWN) == set(triage.languages)
    assert len({len(texts) for texts in UNMISTAKABLE.values()}) == 1
    for language in triage.languages:
        rules = triage._language(language).data.rules
        decide = {rule.category for rule in rules if rule.when and rule.level is Level.EMERGENCY}
        assert {"suicide", "breathing", "chest_pain", "stroke", "poisoning", "fainting", "seizure"} <= decide


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "need an ambulance now"),
        ("es", "llame a una ambulancia por favor"),
        ("fr", "appelez une ambulance"),
        ("de", "rufen Sie einen Krankenwagen"),
        ("pt", "preciso de uma ambulância"),
        ("zh", "快叫救护车"),
        ("hi", "एम्बुलेंस बुलाओ"),
        ("ar", "اتصلوا بالإسعاف"),
        ("hi", "मेरी माँ बेहोश है"),
    ],
)
def test_who_asks_for_an_ambulance_needs_one(language: str, text: str, triage: Triage) -> None:
    assert triage._language(language).judge(text).level is Level.EMERGENCY


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Ich will nicht mehr leben"),
        ("en", "Me duele mucho el pecho"),
        ("es", "J'ai une douleur forte à la poitrine"),
        ("es", "He is having a seizure"),
        ("es", "Estou com dor forte no peito"),
    ],
)
def test_another_language_than_was_set_is_heard(language: str, text: str, triage: Triage) -> None:
    assert triage.judge(text, language).level is Level.EMERGENCY


@pytest.mark.parametrize(
    ("language", "text"),
    [("en", "hello " * 60), ("fr", "bonjour " * 100), ("zh", "你好" * 500), ("ar", "مرحبا " * 300)],
)
def test_the_same_over_and_over_says_no_more_than_twice(language: str, text: str, triage: Triage) -> None:
    assert triage.judge(text, language).level is Level.NONE
