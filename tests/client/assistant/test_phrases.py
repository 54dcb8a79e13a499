"""The assistant's data: complete in every language, and sayings of ours that pass our own checks."""

from __future__ import annotations

import pytest

from client import config
from client.assistant import phrases
from client.assistant.grounding import Fault
from client.assistant.phrases import parsed
from client.assistant.triage import shipped
from client.errors import EnvironmentFault
from edge_models.types import Reason
from edge_models.vitals import VITALS
from tests.client.assistant.conversing import LANGUAGES, checked


def test_there_are_data_for_the_languages_of_triage() -> None:
    assert phrases.languages() == LANGUAGES
    assert set(shipped().languages) <= set(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_is_complete(language: str) -> None:
    own, english = phrases.of(language), phrases.of("en")
    assert own.language == language
    assert set(own.reasons) == {str(one) for one in Reason}
    assert {spec.name for spec in VITALS} <= set(own.names)
    assert set(own.names) == set(english.names)
    assert set(own.templates) == set(english.templates)
    assert set(own.vitals) == set(english.vitals)
    assert set(own.unit_names) == set(english.unit_names)
    assert len(own.month_names) == 12
    faults = {rule.fault for rule in own.rules}
    assert faults >= {"dose", "diagnosis", "reassurance", "camera", "leak"}
    assert all(Fault(one) for one in faults)


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_we_say_ourselves_passes(language: str) -> None:
    own = phrases.of(language)
    free = [text for text in own.templates.values() if "{" not in text]
    for text in (*free, *own.reasons.values()):
        assert checked(text, language) == (text, None)


def test_a_code_with_a_region_is_its_language_and_one_without_data_is_english() -> None:
    assert phrases.of("pt-BR").language == "pt"
    assert phrases.of("zh_TW").language == "zh"
    assert phrases.of("sv").language == "en"


@pytest.mark.parametrize("content", [b"\xff", b"language = 1", b"language = 'en'", b"["])
def test_a_broken_file_is_told_of(content: bytes) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        parsed(content)


def test_a_missing_folder_is_told_of(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setattr(config, "assets", lambda: tmp_path)
    with pytest.raises(EnvironmentFault):
        phrases.languages()


def test_the_files_say_that_nobody_clinical_has_looked_at_them() -> None:
    for language in LANGUAGES:
        text = config.assets().joinpath("assistant", f"{language}.toml").read_text("utf-8")
        assert 'review = "not clinically reviewed"' in text
