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
