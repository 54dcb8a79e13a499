"""Teaches triage's second reader: from sentences to the weights of its linear models and of its net, how much each counts, and when it may speak.

Twice: first without the sentences of `validation.jsonl`, whose authors wrote none of the others; on these it is chosen how much the linear model, the net
and a hint of the rules count, and from which sum on it speaks (so that of the harmless ones about FALSE_ALARMS are taken for an emergency, by the rules
or by it). Then again with all of them. The exam (`held_out.jsonl`) is read by nothing here.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from client.assistant.triage import CATEGORIES, Level, Triage
from client.assistant.triage.linear_reader import LinearReader
from client.assistant.triage.matching import Part
from client.assistant.triage.second_reader import scores
from client.assistant.triage.word_net import WordNet
from client.errors import BadInput
from client.evaluation import linear_reader_fit, word_net_fit
from client.language import said

FALSE_ALARMS = 0.044
NO_CATEGORY = "none"
UNSPACED = {"zh"}
NET, LINEAR = "words.net", "{language}.reader"
_OFFSET_PENALTY = 4.0
"""So many sentences' worth of doubt that a language differs from the others."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """Of a set. category: None for a harmless one, and where it is not known."""

    text: str
    emergency: bool
    category: str | None


@dataclass(frozen=True, slots=True)
class Read:
    """A sentence as the rules and readers see it. decided: by the rules alone; hint: theirs."""

    sentence: Sentence
    parts: Sequence[Part]
    decided: bool
    hint: bool


@dataclass(frozen=True, slots=True)
class Weighing:
    """How much a natural unit of each counts, and for each language the sum from which on it suspects."""

    linear: float
    net: float
    hint: float
    thresholds: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Taught:
    """files: by their names. recall, false_alarms: of each language on the sentences of validation.jsonl, with the rules, before they were learned
    from too; sentences: how many were learned from in the end.
    """

    files: Mapping[str, bytes]
    recall: Mapping[str, float]
    false_alarms: Mapping[str, float]
    sentences: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Models:
    linear: Mapping[str, linear_reader_fit.Weights]
    net: bytes
    taught_with: str


def sentences(file: Path, language: str) -> list[Sentence]:
    """Of one language in a set (JSON Lines; a set without languages is of one). Raises BadInput for what is no set."""
    found: list[Sentence] = []
    try:
        for line in file.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if row.get("language", language) == language:
                category = row.get("category")
                found.append(
                    Sentence(
                        str(row["text"]),
                        row["level"] != Level.NONE.value,
                        category if category in CATEGORIES else None,
                    )
                )
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise BadInput(
            title=said("{file} cannot be read as sentences", file=file.name),
            remedy=said("Each line is an object with text and level."),
        ) from error
    return found


def read(triage: Triage, language: str, found: Sequence[Sentence]) -> list[Read]:
    """What the rules and readers of a language see in each."""
    seen = []
    for one in found:
        look = triage.look(one.text, language)
        finding = look.finding()
        seen.append(
            Read(
                one,
                look.parts(),
                finding.level is Level.EMERGENCY,
                finding.hint is not None,
            )
        )
    return [one for one in seen if one.parts[0].words]


def teach(triage: Triage, sets: Path, told: Callable[[float], None] = lambda _share: None) -> Taught:
    """sets: the folder with development.jsonl, validation.jsonl and teaching/LANGUAGE.jsonl. told: hears which share of the way is done."""
    languages = [one for one in triage.languages if (sets / "teaching" / f"{one}.jsonl").is_file()]
    if not languages:
        raise BadInput(
            title="There are no sentences to teach with",
            remedy="Choose a folder with teaching/LANGUAGE.jsonl in it.",
        )
    lessons = {
        one: read(
            triage,
            one,
            [
                *sentences(sets / "development.jsonl", one),
                *sentences(sets / "teaching" / f"{one}.jsonl", one),
            ],
        )
        for one in languages
    }
    checks = {one: read(triage, one, sentences(sets / "validation.jsonl", one)) for one in languages}
    told(0.05)
    first = models(lessons, lambda share: told(0.05 + 0.45 * share))
    weighing, sums = weighed(first, checks)
    both = {one: [*lessons[one], *checks[one]] for one in languages}
    last = models(both, lambda share: told(0.5 + 0.5 * share))
    alarms = {
        one: np.array([row.decided for row in checks[one]]) | (sums[one] >= weighing.thresholds[one])
        for one in languages
    }
    ill = {one: np.array([row.sentence.emergency for row in checks[one]], bool) for one in languages}
    return Taught(
        files_of(last, weighing),
        {one: float(alarms[one][ill[one]].mean()) for one in languages},
        {one: float(alarms[one][~ill[one]].mean()) for one in languages},
        {one: len(both[one]) for one in languages},
    )


def models(lessons: Mapping[str, Sequence[Read]], told: Callable[[float], None]) -> Models:
    """One linear model of each language, one net of all."""
    languages = list(lessons)
    linear = {}
    for number, one in enumerate(languages):
        linear[one] = linear_reader_fit.fitted(
            [row.parts[0].words for row in lessons[one]],
            [row.sentence.emergency for row in lessons[one]],
            unspaced=one in UNSPACED,
        )
        told(0.2 * (number + 1) / len(languages))
    categories = [*CATEGORIES, NO_CATEGORY]
    every = [
        word_net_fit.Lesson(
            tuple(row.parts[0].noted), number, row.sentence.emergency, _index(row.sentence, categories)
        )
        for number, one in enumerate(languages)
        for row in lessons[one]
    ]
    weights = word_net_fit.fitted(
        every, len(languages), len(categories), told=lambda share: told(0.2 + 0.8 * share)
    )
    texts = sorted(f"{one} {row.sentence.text}" for one in languages for row in lessons[one])
    taught_with = hashlib.sha256("\n".join(texts).encode("utf-8", "surrogatepass")).hexdigest()
    return Models(linear, word_net_fit.file_of(weights, languages, categories, taught_with), taught_with)


def _index(sentence: Sentence, categories: Sequence[str]) -> int:
    if not sentence.emergency:
        return categories.index(NO_CATEGORY)
    return -1 if sentence.category is None else categories.index(sentence.category)


def weighed(
    found: Models, checks: Mapping[str, Sequence[Read]]
) -> tuple[Weighing, dict[str, NDArray[np.float64]]]:
    """How much each counts: a logistic model over the linear model's and the net's units and the hint, with a small offset for each language. Gives
    also the sums of each sentence.
    """
    net = WordNet(found.net)
    languages = list(checks)
    rows, ill, decided, whose = [], [], [], []
    for number, one in enumerate(languages):
        linear = LinearReader(linear_reader_fit.file_of(found.linear[one], {}))
        for row in checks[one]:
            rows.append([*scores(linear, net, one, row.parts)[:2], float(row.hint)])
            ill.append(row.sentence.emergency)
            decided.append(row.decided)
            whose.append(number)
    given, wanted = np.array(rows, np.float64).reshape(-1, 3), np.array(ill, bool)
    of = np.array(whose, np.int64)
    left = ~np.array(decided, bool)
    weights, offsets = _logistic(given[left], wanted[left], of[left], len(languages))
    sums = given @ weights
    level = _threshold((sums + offsets[of])[~wanted], left[~wanted])
    thresholds = {one: level - float(offsets[number]) for number, one in enumerate(languages)}
    return (
        Weighing(float(weights[0]), float(weights[1]), float(weights[2]), thresholds),
        {one: sums[of == number] for number, one in enumerate(languages)},
    )


def _threshold(sums: NDArray[np.float64], left: NDArray[np.bool_]) -> float:
    """So that of all harmless sentences FALSE_ALARMS are alarms, those counted that the rules decided (not `left`)."""
    more = math.floor(FALSE_ALARMS * len(sums)) - int((~left).sum())
    ordered = np.sort(sums[left])[::-1]
    if not len(ordered):
        return 0.0
    return float(ordered[min(max(0, more), len(ordered) - 1)]) + 1e-6


def _logistic(
    given: NDArray[np.float64], wanted: NDArray[np.bool_], of: NDArray[np.int64], languages: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Newton's method; weights and each language's offset."""
    table = np.hstack([given, np.ones((len(given), 1)), np.eye(languages)[of]])
    penalty = np.diag([0.01] * given.shape[1] + [1e-6] + [_OFFSET_PENALTY] * languages)
    found = np.zeros(table.shape[1])
    for _ in range(50):
        chance = 1.0 / (1.0 + np.exp(-np.clip(table @ found, -30, 30)))
        bend = table.T @ (table * (chance * (1 - chance) + 1e-9)[:, None]) + penalty
        step = np.linalg.solve(bend, table.T @ (wanted - chance) - penalty @ found)
        found = found + step
        if float(np.abs(step).max()) < 1e-8:
            break
    return found[: given.shape[1]], found[given.shape[1] + 1 :] + found[given.shape[1]]


def files_of(found: Models, weighing: Weighing) -> dict[str, bytes]:
    """What the second reader reads, by the names of its files."""
    files = {NET: found.net}
    for one, weights in found.linear.items():
        facts: dict[str, float | str] = {
            "linear": weighing.linear,
            "net": weighing.net,
            "hint": weighing.hint,
            "threshold": weighing.thresholds[one],
            "taught_with": found.taught_with,
        }
        files[LINEAR.format(language=one)] = linear_reader_fit.file_of(weights, facts)
    return files
