"""Triage is measured as it is said: recall, false alarms, intervals, and what is missed; no sentence is told again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from client.assistant.triage import Level
from client.errors import EnvironmentFault
from client.evaluation import assistant_triage
from client.evaluation.assistant_triage import Judged, Sentence, figures, judged, misses, sets
from tests.client.assistant.triaging import small_triage
from tests.client.pipeline.fakes import HandClock

FLAG = Sentence("f", "en", "pain in my chest", Level.EMERGENCY, "chest_pain", "plain")
UNHEARD = Sentence("u", "es", "me duele", Level.EMERGENCY, "chest_pain", "plain")
BENIGN = Sentence("b", "en", "the weather", Level.NONE, None, "look_alike")
ALARM = Sentence("a", "en", "a feverish debate", Level.NONE, None, "figurative")
SOON = Sentence("s", "en", "I am feverish", Level.URGENT, "sepsis", "plain")


def line(**more: object) -> str:
    return json.dumps(
        {"id": "x", "language": "en", "text": "words", "level": "none", "category": None, "style": "plain"}
        | more
    )


def found(*sentences: Sentence) -> list[Judged]:
    return judged(sentences, small_triage(), HandClock())


def test_what_is_noticed_and_what_is_a_false_alarm() -> None:
    of = figures(found(FLAG, UNHEARD, BENIGN, ALARM, SOON))
    assert (of.recall.count, of.recall.whole) == (1, 2)
    assert (of.false.count, of.false.whole) == (1, 2)
    assert (of.urgent.count, of.urgent.whole) == (1, 1)
    assert (of.right_category.count, of.right_category.whole) == (1, 1)


def test_an_emergency_that_comes_out_as_urgent_is_missed() -> None:
    flag = Sentence("f", "en", "feverish", Level.EMERGENCY, "sepsis", "plain")
    assert figures(found(flag)).recall.count == 0


def test_every_target_that_is_missed_is_said() -> None:
    assert misses(found(FLAG, BENIGN, SOON)) == []
    told = " ".join(misses(found(FLAG, UNHEARD, ALARM)))
    assert "recall 50.0 %" in told and "recall in es 0.0 %" in told and "false alarms 100.0 %" in told
    slow = Judged(FLAG, Level.EMERGENCY, "chest_pain", 201.0)
    assert misses([slow]) == ["201 ms for a sentence"]


def test_a_slow_sentence_is_judged_again_and_the_shortest_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    takes_s = iter([0.0, 0.3, 10.0, 10.1, 20.0, 20.2])
    clock = HandClock()
    monkeypatch.setattr(clock, "now_s", lambda: next(takes_s))
    (one,) = judged([FLAG], small_triage(), clock)
    assert one.took_ms == pytest.approx(100.0)


def test_the_tables_have_every_axis_and_no_sentence() -> None:
    whole = {"held_out": found(FLAG, UNHEARD, BENIGN, ALARM)}
    text, values = assistant_triage.markdown(whole), json.dumps(assistant_triage.to_json(whole))
    for word in ("held_out", "language", "category", "style", "look_alike", "Missed: u.", "False alarms: a."):
        assert word in text
    for one in (FLAG, UNHEARD, BENIGN, ALARM):
        assert one.text not in text and one.text not in values
    assert "nan" not in text


def test_what_was_used_once_is_told_first(tmp_path: Path) -> None:
    (tmp_path / "development.jsonl").write_text(line(id="d") + "\n\n")
    assert list(sets(tmp_path)) == ["development"]
    (tmp_path / "held_out.jsonl").write_text(line(id="h", level="emergency", category="stroke") + "\n")
    read = sets(tmp_path)
    assert list(read) == ["held_out", "development"]
    assert read["held_out"][0].level is Level.EMERGENCY


@pytest.mark.parametrize("broken", ["{", "[]", '{"id": "x"}', line(level="dire"), "3"])
def test_a_line_that_is_not_as_agreed_is_named_by_its_number(tmp_path: Path, broken: str) -> None:
    (tmp_path / "held_out.jsonl").write_text(line() + "\n" + broken + "\n")
    with pytest.raises(EnvironmentFault, match="Line 2 of held_out"):
        sets(tmp_path)


def test_without_sentences_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match="no sentences"):
        sets(tmp_path)


def test_the_sets_that_are_shipped_are_large_enough_and_name_nobody_twice() -> None:
    whole = [one for some in sets().values() for one in some]
    assert sum(one.level is Level.EMERGENCY for one in whole) >= 600
    assert sum(one.level is Level.NONE for one in whole) >= 600
    assert {one.language for one in whole} == {"ar", "de", "en", "es", "fr", "hi", "pt", "zh"}
    assert {"plain", "spoken", "minimising", "pressure", "typos", "recogniser"} <= {
        one.style for one in whole
    }
    for some in sets().values():
        assert len({one.id for one in some}) == len(some)
