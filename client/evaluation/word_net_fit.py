"""Fits the net of triage's second reader (client/assistant/triage/word_net.py) from sentences, with numpy alone.

Gradients are worked out by hand: they are few, and a framework for them would be the largest part of the development setup by far. A test compares
them with differences. Adam with decoupled decay (Loshchilov & Hutter 2019) and one warm-up and cool-down of its step (Smith & Topin 2019). The same
sentences give the same net up to the rounding of the machine's sums.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from client.assistant.triage.matching import Noted
from client.assistant.triage.word_net import (
    BITS,
    LONGEST,
    SCHEMA,
    SIZES,
    WIDTHS,
    Array,
    arrays_of,
    word_signs,
)

ROUNDS = 9
_BATCH = 64
_STEP = 2e-3
_DECAY = 0.01
_WARM = 0.1
_DROPPED_WORDS, _DROPPED = 0.12, 0.3
"""Shares of words that are left out, and of numbers that are set to nothing, while it learns: so that it leans on no single one."""
_CATEGORY_COUNTS = 0.3
_SURE = 0.98
"""An emergency is taught as so likely, a harmless sentence as so unlikely: some sentences are labelled wrongly."""
_MOST_AT_ONCE = 5.0
_SEED = 20261128


@dataclass(frozen=True, slots=True)
class Lesson:
    """A sentence. category: its index, −1 for an emergency of no known one."""

    words: tuple[Noted, ...]
    language: int
    emergency: bool
    category: int


@dataclass
class Weights:
    """table: 2¹⁶ × numbers of a word. arrays: see `arrays_of`."""

    table: Array
    arrays: dict[str, Array]


@dataclass(frozen=True, slots=True)
class Batch:
    """signs: places of the table, of all words in a row; begins: where each word's begin; at: in which text and place each word stands."""

    signs: NDArray[np.int64]
    begins: NDArray[np.int64]
    counts: NDArray[np.int64]
    texts: NDArray[np.int64]
    places: NDArray[np.int64]
    there: NDArray[np.bool_]
    languages: NDArray[np.int64]
    emergencies: Array
    categories: NDArray[np.int64]


_signs = lru_cache(maxsize=200_000)(word_signs)
"""Of taught sentences, which are nobody's."""


def batch_of(lessons: Sequence[Lesson], words: Sequence[Sequence[Noted]]) -> Batch:
    """words: of each lesson, those that are not left out (at least one)."""
    longest = max(len(one) for one in words)
    found = [_signs(word) for one in words for word in one]
    counts = np.array([len(one) for one in found])
    return Batch(
        np.array([place for one in found for place in one]),
        np.concatenate(([0], np.cumsum(counts)[:-1])),
        counts,
        np.repeat(np.arange(len(words)), [len(one) for one in words]),
        np.concatenate([np.arange(len(one)) for one in words]),
        np.arange(longest)[None] < np.array([len(one) for one in words])[:, None],
        np.array([one.language for one in lessons]),
        np.array([one.emergency for one in lessons], np.float32),
        np.array([one.category for one in lessons]),
    )


def _kept(shape: tuple[int, ...], rng: np.random.Generator | None) -> Array:
    """Factors that set a share of numbers to nothing and make up for it in the others."""
    if rng is None:
        return np.ones(shape, np.float32)
    return (rng.random(shape, np.float32) >= _DROPPED).astype(np.float32) / np.float32(1 - _DROPPED)


def loss_and_gradients(
    weights: Weights, batch: Batch, rng: np.random.Generator | None = None
) -> tuple[float, dict[str, Array], NDArray[np.int64], Array]:
    """The mean loss of a batch; of each array its gradient; which rows of the table it touches, and their gradients. rng: for what is left out."""
    arrays, texts = weights.arrays, len(batch.languages)
    # Forward: as in word_net, for many texts at once and with what the way back needs kept
    words = np.add.reduceat(weights.table[batch.signs], batch.begins) / batch.counts[:, None].astype(
        np.float32
    )
    vectors = np.zeros((*batch.there.shape, words.shape[1]), np.float32)
    vectors[batch.texts, batch.places] = words
    keep = _kept(vectors.shape, rng)
    vectors = (vectors * keep + arrays["language"][batch.languages][:, None]) * batch.there[:, :, None]
    size = np.sqrt(batch.there.sum(1, keepdims=True)).astype(np.float32)
    count = batch.there.shape[1]
    half = max(WIDTHS) // 2
    padded = np.zeros((texts, count + 2 * half, words.shape[1]), np.float32)
    padded[:, half : half + count] = vectors
    fits: dict[int, Array] = {}
    for width in WIDTHS:
        begin = half - width // 2
        found = arrays[f"bias{width}"] + sum(
            padded[:, begin + at : begin + at + count] @ arrays[f"run{width}"][at] for at in range(width)
        )
        fits[width] = (np.maximum(found, 0) * batch.there[:, :, None]).astype(np.float32)
    best = {width: one.argmax(1) for width, one in fits.items()}
    summed = np.concatenate(
        [one.max(1) for one in fits.values()] + [one.sum(1) / size for one in fits.values()], 1
    )
    keep_features = _kept(summed.shape, rng)
    read = summed * keep_features
    out = read @ arrays["out"] + arrays["out_bias"]
    # Losses: whether it is an emergency, and which
    wanted = batch.emergencies * (2 * _SURE - 1) + (1 - _SURE)
    first = out[:, 0]
    loss = float(np.mean(np.logaddexp(0, first) - wanted * first))
    grad_out = np.zeros_like(out)
    grad_out[:, 0] = (1 / (1 + np.exp(-first)) - wanted) / texts
    known = batch.categories >= 0
    if known.any():
        kinds = out[known, 1:] - out[known, 1:].max(1, keepdims=True)
        shares = np.exp(kinds) / np.exp(kinds).sum(1, keepdims=True)
        rows = np.arange(len(kinds))
        right = batch.categories[known]
        loss -= _CATEGORY_COUNTS * float(np.mean(np.log(shares[rows, right] + 1e-12)))
        shares[rows, right] -= 1
        grad_out[known, 1:] = _CATEGORY_COUNTS * shares / len(kinds)
    # Back
    grads: dict[str, Array] = {"out": read.T @ grad_out, "out_bias": grad_out.sum(0)}
    grad_features = (grad_out @ arrays["out"].T) * keep_features
    runs = SIZES["runs"]
    grad_padded = np.zeros_like(padded)
    who, which = np.arange(texts)[:, None], np.arange(runs)[None]
    for number, width in enumerate(WIDTHS):
        of_best = grad_features[:, number * runs : (number + 1) * runs]
        of_sum = grad_features[:, (len(WIDTHS) + number) * runs :][:, :runs] / size
        grad = np.repeat(of_sum[:, None], count, 1)
        grad[who, best[width], which] += of_best
        grad *= fits[width] > 0
        flat = grad.reshape(-1, runs)
        grads[f"bias{width}"] = flat.sum(0)
        begin = half - width // 2
        of_run = np.empty_like(arrays[f"run{width}"])
        for at in range(width):
            part = padded[:, begin + at : begin + at + count].reshape(-1, words.shape[1])
            of_run[at] = part.T @ flat
            grad_padded[:, begin + at : begin + at + count] += grad @ arrays[f"run{width}"][at].T
        grads[f"run{width}"] = of_run
    grad_vectors = grad_padded[:, half : half + count] * batch.there[:, :, None]
    of_language = np.zeros_like(arrays["language"])
    np.add.at(of_language, batch.languages, grad_vectors.sum(1))
    grads["language"] = of_language
    of_words = (grad_vectors * keep)[batch.texts, batch.places] / batch.counts[:, None].astype(np.float32)
    order = np.argsort(batch.signs, kind="stable")
    rows, begins = np.unique(batch.signs[order], return_index=True)
    of_signs = np.repeat(of_words, batch.counts, 0)[order]
    return loss, grads, rows, np.add.reduceat(of_signs, begins)


def started(languages: int, categories: int, rng: np.random.Generator) -> Weights:
    """Before it has learned anything."""
    arrays: dict[str, Array] = {}
    for name, shape in arrays_of(languages, categories).items():
        inputs = int(np.prod(shape[:-1]))
        bound = 1 / np.sqrt(inputs) if name.startswith("run") or name == "out" else 0.0
        arrays[name] = rng.uniform(-bound, bound, shape).astype(np.float32)
    table = rng.normal(0, 0.3, (1 << BITS, SIZES["word"])).astype(np.float32)
    return Weights(table, arrays)


class _Adam:
    """Of the table only the rows that a batch touches are moved."""

    def __init__(self, weights: Weights) -> None:
        self._weights, self._count = weights, 0
        self._first = {name: np.zeros_like(one) for name, one in weights.arrays.items()}
        self._second = {name: np.zeros_like(one) for name, one in weights.arrays.items()}
        self._table_first, self._table_second = np.zeros_like(weights.table), np.zeros_like(weights.table)

    def move(self, step: float, grads: dict[str, Array], rows: NDArray[np.int64], of_rows: Array) -> None:
        self._count += 1
        size = float(
            np.sqrt(
                sum(float((one * one).sum()) for one in grads.values()) + float((of_rows * of_rows).sum())
            )
        )
        less = np.float32(min(1.0, 1.0 / (size + 1e-6)))
        for name, grad in grads.items():
            array = self._weights.arrays[name]
            array *= np.float32(1 - step * _DECAY)
            array -= self._moved(step, grad * less, self._first[name], self._second[name])
        first, second = self._table_first[rows], self._table_second[rows]
        self._weights.table[rows] -= self._moved(step, of_rows * less, first, second)
        self._table_first[rows], self._table_second[rows] = first, second

    def _moved(self, step: float, grad: Array, first: Array, second: Array) -> Array:
        first += np.float32(0.1) * (grad - first)
        second += np.float32(0.001) * (grad * grad - second)
        up = np.float32(step / (1 - 0.9**self._count))
        root = np.sqrt(second / np.float32(1 - 0.999**self._count)) + np.float32(1e-8)
        return np.asarray(up * first / root, np.float32)


def _step_at(share: float) -> float:
    """Of the greatest step, at a share of the whole way."""
    if share < _WARM:
        return _STEP * (0.04 + 0.96 * (1 - math.cos(math.pi * share / _WARM)) / 2)
    return _STEP * (1 + math.cos(math.pi * (share - _WARM) / (1 - _WARM))) / 2 + 1e-6


def fitted(
    lessons: Sequence[Lesson],
    languages: int,
    categories: int,
    *,
    rounds: int | None = None,
    told: Callable[[float], None] = lambda _share: None,
) -> Weights:
    """rounds: of all lessons (ROUNDS). told: hears which share of the way is done."""
    rounds = ROUNDS if rounds is None else rounds
    rng = np.random.default_rng(_SEED)
    weights = started(languages, categories, rng)
    adam = _Adam(weights)
    lessons = [one for one in lessons if one.words]
    lengths = np.array([len(one.words) for one in lessons])
    steps = max(1, rounds * max(1, len(lessons) // _BATCH))
    done = 0
    for _ in range(rounds):
        # Texts of about the same length together: little is counted for nothing
        order = np.argsort(lengths + rng.random(len(lessons)) * 6)
        batches = [order[at : at + _BATCH] for at in range(0, len(order), _BATCH)]
        for number in rng.permutation(len(batches)):
            chosen = [lessons[at] for at in batches[number]]
            words = [_some(one.words[:LONGEST], rng) for one in chosen]
            _, grads, rows, of_rows = loss_and_gradients(weights, batch_of(chosen, words), rng)
            adam.move(_step_at(min(1.0, done / steps)), grads, rows, of_rows)
            done += 1
            if done % 50 == 0:
                told(min(1.0, done / steps))
    return weights


def _some(words: Sequence[Noted], rng: np.random.Generator) -> Sequence[Noted]:
    kept = rng.random(len(words)) >= _DROPPED_WORDS
    return [word for word, here in zip(words, kept, strict=True) if here] or words[:1]


def file_of(weights: Weights, languages: Sequence[str], categories: Sequence[str], taught_with: str) -> bytes:
    """What WordNet reads."""
    scale = max(float(np.abs(weights.table).max()) / 127.0, 1e-12)
    head = {
        "schema": SCHEMA,
        "languages": list(languages),
        "categories": list(categories),
        "scale": scale,
        "taught_with": taught_with,
    }
    table = np.round(weights.table / scale).astype(np.int8)
    arrays = b"".join(
        weights.arrays[name].astype("<f2").tobytes() for name in arrays_of(len(languages), len(categories))
    )
    return json.dumps(head).encode() + b"\n" + table.tobytes() + arrays
