"""`health-helper bench assistant`: what it says, writes and ends with, on small parts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from client.assistant.triage import Level
from client.evaluation import assistant, assistant_triage, word_net_fit
from client.evaluation.assistant import Found, Part
from client.evaluation.assistant_echo import Trial
from client.evaluation.assistant_triage import Sentence
from client.evaluation.assistant_voice import Measured
from tests.client.assistant.triaging import small_triage
from tests.client.cli.conftest import Said

FLAG = Sentence(
    "en-1",
    "en",
    "I have crushing pain in my chest and I cannot breathe",
    Level.EMERGENCY,
    "chest_pain",
    "plain",
)
BENIGN = Sentence("en-2", "en", "What time does the clinic open on Monday?", Level.NONE, None, "plain")
DEAF = Sentence("en-3", "en", "What time does the clinic open?", Level.EMERGENCY, "stroke", "plain")


def sentences(monkeypatch: pytest.MonkeyPatch, *some: Sentence) -> None:
    monkeypatch.setattr(assistant_triage, "sets", lambda: {"held_out": list(some)})
    monkeypatch.setattr(assistant, "shipped", small_triage)


def test_triage_is_told_and_written(
    command: Callable[..., Said], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sentences(monkeypatch, FLAG, BENIGN)
    file = tmp_path / "figures.json"
    said = command("bench", "assistant", "--part", "triage", "--json", str(file))
    assert said.status == 0, said.err
    assert "Triage, held_out set: 1 emergencies, 1 benign" in said.out
    assert "Targets missed: none." in said.out and "triage: no target missed" in said.err
    written = json.loads(file.read_text())
    assert written["schema"] == "health-helper/assistant/1"
    assert written["parts"]["triage"]["held_out"]["recall"]["count"] == 1
    assert FLAG.text not in file.read_text() and FLAG.text not in said.out


def test_a_missed_target_is_said_and_ends_with_1(
    command: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    sentences(monkeypatch, FLAG, DEAF)
    said = command("bench", "assistant", "--part", "triage")
    assert said.status == 1
    assert "Targets missed: triage: held_out set: recall 50.0 %" in said.out


def test_a_part_that_is_not_there_is_bad_input(command: Callable[..., Said]) -> None:
    said = command("bench", "assistant", "--part", "taste")
    assert said.status == 2 and "There is no part taste" in said.err and "echo" in said.err


def test_a_file_that_cannot_be_written_is_said(
    command: Callable[..., Said], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sentences(monkeypatch, FLAG)
    said = command("bench", "assistant", "--part", "triage", "--json", str(tmp_path / "nowhere" / "x.json"))
    assert said.status == 4 and "--json" in said.err


def test_all_parts_in_turn_with_plots(
    command: Callable[..., Said], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[tuple[Part, str, int]] = []

    def measured(part: Part, recordings: Path, trials: int, _clock: object, _tell: object) -> Found:
        asked.append((part, recordings.name, trials))
        heard = tuple(Measured("real", "white", level, "ours", 0.9, 1e-4) for level in (20.0, 0.0))
        runs = (Trial(1, "somebody", -9.0, 0.1), Trial(2, "somebody", -9.0, None))
        misses = ("too slow",) if part is Part.ECHO else ()
        return Found(
            part,
            f"## {part}",
            {},
            misses,
            heard if part is Part.VOICE else (),
            runs if part is Part.ECHO else (),
        )

    monkeypatch.setattr(assistant, "measured", measured)
    folder = tmp_path / "plots"
    said = command(
        "bench", "assistant", "--plots", str(folder), "--recordings", str(tmp_path), "--trials", "3"
    )
    assert said.status == 1 and "Targets missed: echo: too slow." in said.out
    assert asked == [(part, tmp_path.name, 3) for part in Part]
    assert {path.name for path in folder.iterdir()} == {"hearing.png", "interrupting.png"}


def test_the_second_reader_is_taught_from_sentences(
    command: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(word_net_fit, "ROUNDS", 1)
    sets = tmp_path / "sets"
    (sets / "teaching").mkdir(parents=True)
    ill, well = ("he cannot breathe", "she cannot wake"), ("what is a pulse", "I like tea")
    rows = [
        {"text": f"{text} {number}", "level": level, "language": "en"}
        for number in range(10)
        for level, texts in (("emergency", ill), ("none", well))
        for text in texts
    ]
    lines = "".join(f"{json.dumps(row)}\n" for row in rows)
    (sets / "teaching" / "en.jsonl").write_text(lines)
    (sets / "development.jsonl").write_text("")
    (sets / "validation.jsonl").write_text(lines)
    arguments = ("--sets", str(sets), "--out", str(tmp_path))
    said = command("bench", "teach", *arguments)
    assert said.status == 0 and said.out.startswith("en: 80 sentences; of those not yet learned from")
    assert {path.name for path in tmp_path.iterdir()} >= {"en.reader", "words.net"}
    assert command("bench", "teach", *arguments[:2], "--out", str(tmp_path / "no")).status == 4
    (sets / "teaching" / "en.jsonl").write_text("no json\n")
    assert command("bench", "teach", *arguments).status == 2


@pytest.mark.parametrize(("median_s", "status", "missed"), [(0.9, 0, "none"), (1.6, 1, "turn: 1.60 s")])
def test_figures_of_whole_turns_are_judged(
    median_s: float, status: int, missed: str, command: Callable[..., Said], tmp_path: Path
) -> None:
    figures = {"end_of_speech_to_first_word": {"median_s": median_s, "most_s": 1.9}, "turns": 3}
    reached = {"median_s": 0.55, "least_s": 0.5, "most_s": 0.6}
    figures |= {"stages_from_the_end_of_speech": {"the utterance has ended": reached}}
    (tmp_path / "turn.json").write_text(json.dumps(figures))
    said = command("bench", "assistant", "--turn", str(tmp_path / "turn.json"))
    assert said.status == status and f"Targets missed: {missed}" in said.out
    assert f"{median_s:.2f} s median" in said.out
    assert "- the utterance has ended: 0.55 s (0.50 to 0.60)" in said.out


@pytest.mark.parametrize(
    "content", ["", "[]", '{"turns": 3}', '{"turns": 3, "end_of_speech_to_first_word": {"median_s": "x"}}']
)
def test_what_holds_no_figures_is_told(content: str, command: Callable[..., Said], tmp_path: Path) -> None:
    (tmp_path / "turn.json").write_text(content)
    said = command("bench", "assistant", "--turn", str(tmp_path / "turn.json"))
    assert said.status == 2 and "holds no figures of a turn" in said.err
    assert command("bench", "assistant", "--turn", str(tmp_path / "none.json")).status == 2
