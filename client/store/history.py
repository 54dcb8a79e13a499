"""What one showing of a person's history reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime

import numpy as np

from client.errors import BadInput
from client.store.entries import values_of
from client.store.observations import Kind, Line, Numbers, Observation, Observations
from edge_models.types import FloatArray

NUMBERS = tuple(field.name for field in fields(Numbers))


@dataclass(frozen=True, slots=True)
class Trend:
    """Scans of one person, the oldest first. at_s: seconds since 1970, UTC. numbers: by the fields of Numbers, NaN where there is none.

    of: what it was read for; it holds as long as that is the same.
    """

    at_s: FloatArray
    numbers: Mapping[str, FloatArray]
    of: tuple[object, ...] = ()


NO_TREND = Trend(np.zeros(0), {name: np.zeros(0) for name in NUMBERS})


@dataclass(frozen=True, slots=True)
class Reading:
    """lines: one page of the list. typed: by the line's identifier, the values of those that somebody typed in. trend: of the span."""

    lines: list[Line]
    typed: Mapping[str, Mapping[str, float]]
    trend: Trend


def read(
    kept: Observations,
    person: str | None,
    start: datetime | None,
    *,
    before: Line | None = None,
    known: Trend = NO_TREND,
) -> Reading:
    """One page, from the line that follows `before`, and the trend from `start` on (None: all). known: the trend that was read last;
    read again only for another person or span, or where something was kept or deleted since.
    """
    lines = kept.lines(person, before=before)
    typed = kept.wholes([line.id for line in lines if line.kind != Kind.SCAN])
    of = (person, start, kept.stamp())
    trend = known if known.of == of else _trend(kept, person, start, of)
    return Reading(lines, {one.line.id: _values(one) for one in typed}, trend)


def _trend(kept: Observations, person: str | None, start: datetime | None, of: tuple[object, ...]) -> Trend:
    times, rows = kept.numbers(person, start)
    at_s = np.array(times, "datetime64[ms]").astype(np.float64) / 1e3
    columns = np.array(rows, np.float64).reshape(len(rows), len(NUMBERS)).T
    return Trend(at_s, dict(zip(NUMBERS, columns, strict=True)), of)


def _values(whole: Observation) -> dict[str, float]:
    try:
        return values_of(whole)
    except BadInput:
        return {}  # of a newer version: it is listed, with no numbers
