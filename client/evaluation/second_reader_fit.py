"""Teaches triage's second reader: from sentences to weights, and with which threshold it may speak.

Logistic regression with a quadratic penalty, fitted by full gradients with momentum: no chance in it, and the same on every machine up to the
rounding to bytes at the end. The threshold is chosen on sentences that were not learned from (five parts in turn): so that of the harmless ones
about `false_alarms` are taken for an emergency.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from client.assistant.triage import Triage
from client.assistant.triage.second_reader import BITS, RARITY_STEPS, SCHEMA, SHORTEST, SecondReader, signs
from client.errors import BadInput
from client.language import said

Array = NDArray[np.float64]
FALSE_ALARMS = 0.02
UNSPACED = {"zh"}
_PARTS = 5
_ROUNDS = 600
_PENALTY = 3e-5
_STEP = 2.0
"""Rows are of length 1 at most and each counts so that all are 1 together: the loss bends by no more than 1/4 in the weights, and in the bias."""
_SEED = 20261128


@dataclass(frozen=True, slots=True)
class Taught:
    """content: the file. threshold: chosen. recall, false_alarms: on sentences that were not learned from, of the reader alone; sentences: how many."""

    content: bytes
    threshold: float
    recall: float
    false_alarms: float
    sentences: int


@dataclass(frozen=True, slots=True)
class _Rows:
    """A sparse matrix by rows. rarity: of each place, in steps (see second_reader); values: rarities over the row's size."""

    rows: int
    places: NDArray[np.int64]
    values: Array
    of_row: NDArray[np.int64]
    rarity: NDArray[np.uint8]

    def times(self, weights: Array) -> Array:
        return np.bincount(self.of_row, weights[self.places] * self.values, self.rows).astype(np.float64)

    def back(self, errors: Array) -> Array:
        return np.bincount(self.places, errors[self.of_row] * self.values, 1 << BITS).astype(np.float64)


def teach(
    words: Sequence[Sequence[str]],
    emergencies: Sequence[bool],
    *,
    unspaced: bool,
    false_alarms: float = FALSE_ALARMS,
) -> Taught:
    """words: of each sentence, as the language reads them. emergencies: what each is. false_alarms: share of harmless ones that may be taken
    for an emergency.
    """
    wanted = np.array(emergencies, np.float64)
    order = np.random.default_rng(_SEED).permutation(len(words))
    scores = np.empty(len(words))
    for part in range(_PARTS):
        left_out = order[part::_PARTS]
        rest = np.setdiff1d(order, left_out)
        found = _fitted([words[at] for at in rest], wanted[rest], unspaced=unspaced)
        reader = SecondReader(_file(*found, unspaced=unspaced, threshold=0.0, taught_with=""))
        scores[left_out] = [reader.score(words[at]) for at in left_out]
    harmless = np.sort(scores[wanted == 0])[::-1]
    threshold = float(harmless[min(len(harmless) - 1, math.floor(false_alarms * len(harmless)))]) + 1e-6
    found = _fitted(words, wanted, unspaced=unspaced)
    taught_with = hashlib.sha256("\n".join(sorted(" ".join(one) for one in words)).encode()).hexdigest()
    return Taught(
        _file(*found, unspaced=unspaced, threshold=threshold, taught_with=taught_with),
        threshold,
        float(np.mean(scores[wanted == 1] >= threshold)),
        float(np.mean(scores[wanted == 0] >= threshold)),
        len(words),
    )


def _rows(words: Sequence[Sequence[str]], *, unspaced: bool) -> _Rows:
    found = [sorted(signs(one, unspaced=unspaced)) for one in words]
    places = np.array([place for one in found for place in one], np.int64)
    of_row = np.repeat(np.arange(len(found)), [len(one) for one in found])
    often = np.bincount(places, minlength=1 << BITS)
    rarity = np.log(len(found) / np.maximum(1, often)) + 1.0
    steps = np.clip(np.round(rarity * RARITY_STEPS), 1, 255).astype(np.uint8)
    each = steps[places] / RARITY_STEPS
    size = np.maximum(SHORTEST, np.sqrt(np.bincount(of_row, each * each, len(found))))
    return _Rows(len(found), places, each / size[of_row], of_row, steps)


def _fitted(
    words: Sequence[Sequence[str]], wanted: Array, *, unspaced: bool
) -> tuple[Array, float, NDArray[np.uint8]]:
    """Nesterov's accelerated gradient. Emergencies and harmless sentences count alike, however many there are of each."""
    rows = _rows(words, unspaced=unspaced)
    each = np.where(wanted == 1, 0.5 / max(1.0, wanted.sum()), 0.5 / max(1.0, (1 - wanted).sum()))
    weights, ahead, bias, bias_ahead = np.zeros(1 << BITS), np.zeros(1 << BITS), 0.0, 0.0
    for round_ in range(_ROUNDS):
        chance = 1.0 / (1.0 + np.exp(-(rows.times(ahead) + bias_ahead)))
        errors = each * (chance - wanted)
        new = ahead - _STEP * (rows.back(errors) + _PENALTY * ahead)
        new_bias = bias_ahead - _STEP * float(errors.sum())
        push = round_ / (round_ + 3.0)
        ahead, bias_ahead = new + push * (new - weights), new_bias + push * (new_bias - bias)
        weights, bias = new, new_bias
    return weights * rows.rarity / RARITY_STEPS, bias, rows.rarity


def _file(
    weights: Array,
    bias: float,
    rarity: NDArray[np.uint8],
    *,
    unspaced: bool,
    threshold: float,
    taught_with: str,
) -> bytes:
    scale = max(float(np.abs(weights).max()) / 127.0, 1e-12)
    head = {
        "schema": SCHEMA,
        "unspaced": unspaced,
        "scale": scale,
        "bias": bias,
        "threshold": threshold,
        "taught_with": taught_with,
    }
    signed = np.round(weights / scale).astype(np.int8)
    return json.dumps(head).encode() + b"\n" + signed.tobytes() + rarity.tobytes()


@dataclass(frozen=True, slots=True)
class Sentence:
    """Of a set. level: as a verdict's."""

    text: str
    level: str


def sentences(file: Path, language: str) -> list[Sentence]:
    """Of one language in a set (JSON Lines; a set without languages is of one). Raises BadInput for what is no set."""
    found: list[Sentence] = []
    try:
        for line in file.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if row.get("language", language) == language:
                found.append(Sentence(str(row["text"]), str(row["level"])))
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise BadInput(
            title=said("{file} cannot be read as sentences", file=file.name),
            remedy=said("Each line is an object with text and level."),
        ) from error
    return found


def teach_language(triage: Triage, language: str, sets: Path) -> Taught:
    """sets: the folder with development.jsonl and teaching/LANGUAGE.jsonl. The held-out set is never learned from."""
    found = [
        *sentences(sets / "development.jsonl", language),
        *sentences(sets / "teaching" / f"{language}.jsonl", language),
    ]
    return teach(
        [triage.words(one.text, language) for one in found],
        [one.level != "none" for one in found],
        unspaced=language in UNSPACED,
    )
