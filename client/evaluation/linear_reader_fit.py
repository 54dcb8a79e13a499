"""Fits the linear model of triage's second reader (client/assistant/triage/linear_reader.py) from sentences.

Logistic regression with a quadratic penalty, fitted by full gradients with momentum: no chance in it, and the same on every machine up to the
rounding to bytes at the end.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from client.assistant.triage.linear_reader import BITS, RARITY_STEPS, SCHEMA, SHORTEST, signs

Array = NDArray[np.float64]
_ROUNDS = 600
_PENALTY = 3e-5
_STEP = 2.0
"""Rows are of length 1 at most and each counts so that all are 1 together: the loss bends by no more than 1/4 in the weights, and in the bias."""


@dataclass(frozen=True, slots=True)
class _Rows:
    """A sparse matrix by rows. rarity: of each place, in steps (see linear_reader); values: rarities over the row's size."""

    rows: int
    places: NDArray[np.int64]
    values: Array
    of_row: NDArray[np.int64]
    rarity: NDArray[np.uint8]

    def times(self, weights: Array) -> Array:
        return np.bincount(self.of_row, weights[self.places] * self.values, self.rows).astype(np.float64)

    def back(self, errors: Array) -> Array:
        return np.bincount(self.places, errors[self.of_row] * self.values, 1 << BITS).astype(np.float64)


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


@dataclass(frozen=True, slots=True)
class Weights:
    """each: of each place. rarity: of each, in steps."""

    each: Array
    bias: float
    rarity: NDArray[np.uint8]
    unspaced: bool


def fitted(words: Sequence[Sequence[str]], emergencies: Sequence[bool], *, unspaced: bool) -> Weights:
    """words: of each sentence, as the language reads them; emergencies: what each is.

    Nesterov's accelerated gradient. Emergencies and harmless sentences count alike, however many there are of each.
    """
    wanted = np.array(emergencies, np.float64)
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
    return Weights(weights * rows.rarity / RARITY_STEPS, bias, rows.rarity, unspaced)


def file_of(weights: Weights, facts: Mapping[str, float | str]) -> bytes:
    """What LinearReader reads. facts: what else its first line says."""
    scale = max(float(np.abs(weights.each).max()) / 127.0, 1e-12)
    head = {"schema": SCHEMA, "unspaced": weights.unspaced, "scale": scale, "bias": weights.bias, **facts}
    signed = np.round(weights.each / scale).astype(np.int8)
    return json.dumps(head).encode() + b"\n" + signed.tobytes() + weights.rarity.tobytes()
