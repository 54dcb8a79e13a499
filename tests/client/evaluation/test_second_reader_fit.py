"""Teaching the second reader: what is learned is learned from the sentences, what is chosen from others, and the gradients are right."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from client.assistant.triage import Triage, shipped
from client.assistant.triage.linear_reader import LinearReader
from client.assistant.triage.matching import Noted
from client.assistant.triage.word_net import WordNet
from client.errors import BadInput
from client.evaluation import linear_reader_fit, second_reader_fit, word_net_fit
from client.evaluation.second_reader_fit import Sentence, sentences, teach
from client.evaluation.word_net_fit import Lesson, batch_of, file_of, fitted, loss_and_gradients, started

ILL = ["he cannot speak", "she cannot breathe", "he cannot wake", "my arm cannot move", "I cannot see"]
WELL = ["he can speak", "the weather is fine", "thank you very much", "what is a pulse", "I like tea"]


def lessons() -> list[Lesson]:
    return [
        Lesson(
            tuple(Noted(word, ("not",) * (word == "cannot")) for word in text.split()), 0, text in ILL, kind
        )
        for text, kind in [(one, 0) for one in ILL] + [(one, 1) for one in WELL]
    ]


def test_the_linear_model_tells_what_it_was_taught_from_what_it_was_not() -> None:
    words = [f"{one} {number}".split() for number in range(4) for one in (*ILL, *WELL)]
    wanted = [*([True] * len(ILL)), *([False] * len(WELL))] * 4
    found = linear_reader_fit.fitted(words, wanted, unspaced=False)
    reader = LinearReader(linear_reader_fit.file_of(found, {}))
    assert reader.score(["help", "she", "cannot", "swallow"]) > 0
    assert reader.score(["I", "like", "coffee", "very", "much"]) < 0
    again = linear_reader_fit.fitted(words, wanted, unspaced=False)
    assert linear_reader_fit.file_of(again, {}) == linear_reader_fit.file_of(found, {})


def test_the_nets_gradients_are_those_of_its_loss() -> None:
    """In double precision, at the place where each is greatest, against differences."""
    weights = started(1, 2, np.random.default_rng(3))
    weights.table = weights.table.astype(np.float64)
    weights.arrays = {name: one.astype(np.float64) for name, one in weights.arrays.items()}
    some = lessons()[3:8]
    batch = batch_of(some, [one.words for one in some])
    _, grads, rows, of_rows = loss_and_gradients(weights, batch)
    step = 1e-4
    places = [
        (weights.arrays[name], np.unravel_index(np.abs(one).argmax(), one.shape), one)
        for name, one in grads.items()
    ]
    row, column = np.unravel_index(np.abs(of_rows).argmax(), of_rows.shape)
    for array, place, grad in [
        *((array, place, float(grad[place])) for array, place, grad in places),
        (weights.table, (rows[row], column), float(of_rows[row, column])),
    ]:
        kept = array[place]
        array[place] = kept + step
        above = loss_and_gradients(weights, batch)[0]
        array[place] = kept - step
        below = loss_and_gradients(weights, batch)[0]
        array[place] = kept
        assert grad == pytest.approx((above - below) / (2 * step), rel=0.05, abs=1e-5)
        assert grad != 0


def test_the_net_learns_and_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_net_fit, "_BATCH", 10)
    heard: list[float] = []
    weights = fitted(lessons() * 6, 1, 2, rounds=25, told=heard.append)
    net = WordNet(file_of(weights, ["en"], ["stroke", "none"], ""))
    for one in lessons():
        score, shares = net.read(one.words, "en")
        assert (score > 0) is one.emergency
        assert (shares["stroke"] > 0.5) is one.emergency
    assert heard == sorted(heard) and heard[-1] <= 1
    assert net.read([Noted("she"), Noted("cannot", ("not",)), Noted("swallow")], "en")[0] > 0
    assert net.read([Noted("she")], "xx")[0] == -np.inf, "a language that it does not know"


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    (tmp_path / "teaching").mkdir()
    rows = [
        {"text": f"{text} {number}", "level": level, "category": "stroke" if level == "emergency" else None}
        for number in range(6)
        for level, texts in (("emergency", ILL), ("none", WELL))
        for text in texts
    ]
    lines = "".join(f"{json.dumps(row)}\n" for row in rows)
    (tmp_path / "teaching" / "en.jsonl").write_text(lines)
    (tmp_path / "development.jsonl").write_text('{"text": "hola", "level": "none", "language": "es"}\n')
    checked = [{**row, "text": f"and {row['text']}", "language": "en"} for row in rows]
    (tmp_path / "validation.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in checked))
    return tmp_path


@pytest.fixture(scope="module")
def triage() -> Triage:
    return shipped()


def test_taught_files_are_read_and_only_of_the_languages_that_have_sentences(
    sets: Path, triage: Triage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(word_net_fit, "ROUNDS", 3)
    taught = teach(triage, sets)
    assert set(taught.files) == {"words.net", "en.reader"}
    assert taught.sentences == {"en": 120}, "both sets in the end"
    assert taught.recall["en"] == 1.0 and taught.false_alarms["en"] <= 0.05
    folder = sets / "made"
    folder.mkdir()
    for name, content in taught.files.items():
        (folder / name).write_bytes(content)
    (folder / "en.toml").write_bytes(triage._content("en.toml"))
    own = Triage(folder)
    assert own.judge("and she cannot breathe 3", "en").level.value == "emergency"
    assert own.judge("I like tea", "en").level.value == "none"


def test_of_the_harmless_so_many_are_alarms_as_was_asked() -> None:
    sums, left = np.arange(1000.0), np.ones(1000, bool)
    level = second_reader_fit._threshold(sums, left)
    assert (sums >= level).sum() == round(1000 * second_reader_fit.FALSE_ALARMS)
    left[:3] = False
    level = second_reader_fit._threshold(sums, left)
    assert (sums[left] >= level).sum() == round(1000 * second_reader_fit.FALSE_ALARMS) - 3, (
        "those that the rules take count"
    )


def test_a_set_that_is_none_and_a_folder_without_one_are_told(
    sets: Path, triage: Triage, tmp_path: Path
) -> None:
    assert sentences(sets / "development.jsonl", "es") == [Sentence("hola", False, None)]
    (sets / "teaching" / "en.jsonl").write_text("no json\n")
    with pytest.raises(BadInput, match="cannot be read as sentences"):
        teach(triage, sets)
    (sets / "teaching" / "en.jsonl").unlink()
    with pytest.raises(BadInput, match="no sentences to teach with"):
        teach(triage, sets)
