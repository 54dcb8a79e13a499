"""What is kept of one person, as the history page shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from client.language import listing, marked, said
from client.reports.wording import UNITS, interval_text
from client.store.history import Trend
from client.store.observations import Kind, Line
from client.store.scans import taken_at_local
from client.ui.views import entry
from edge_models.types import FloatArray

LEFT_TO_RIGHT = "\u200e"
"""Before a date: between words from right to left its parts would change places."""
KINDS: Mapping[Kind, str] = {
    Kind.SCAN: marked("Scan"),
    **{kind: form.title for kind, form in entry.FORMS.items()},
}


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One line of the list. when: on the clock of the place where it was taken."""

    id: str
    when: str
    kind: str
    what: str
    is_scan: bool


@dataclass(frozen=True, slots=True)
class Series:
    """Points over days for a plot. at_s: seconds since 1970, UTC. low, high: the interval, or the value itself. unit: translated."""

    title: str
    at_s: FloatArray
    values: FloatArray
    low: FloatArray
    high: FloatArray
    unit: str


TRENDS: Mapping[str, str] = {
    "heart_rate": marked("Heart rate, /min"),
    "respiratory_rate": marked("Breathing rate, /min"),
    "rmssd": marked("Variability RMSSD, ms"),
    "sdnn": marked("Variability SDNN, ms"),
}
_UNITS: Mapping[str, str] = {"heart_rate": "/min", "respiratory_rate": "/min", "rmssd": "ms", "sdnn": "ms"}
SPANS_DAYS: Mapping[str, int | None] = {
    marked("7 days"): 7,
    marked("30 days"): 30,
    marked("1 year"): 365,
    marked("All"): None,
}


def row(line: Line, values: Mapping[str, float] | None = None) -> HistoryRow:
    """values: of a reading that was typed in."""
    kind = next((title for known, title in KINDS.items() if known == line.kind), None)
    return HistoryRow(
        id=line.id,
        when=f"{taken_at_local(line):%Y-%m-%d %H:%M}",
        kind=line.kind if kind is None else said(kind),
        what=_scan(line) if line.kind == Kind.SCAN else _typed(line.kind, values or {}),
        is_scan=line.kind == Kind.SCAN,
    )


def _typed(kind: str, values: Mapping[str, float]) -> str:
    """A reading, marked as what a person has read off another device; of a kind that only a newer version knows, nobody can tell."""
    words = entry.words(kind, values)
    return listing(part for part in (words, said("typed in")) if part) if kind in entry.FORMS else words


def _scan(line: Line) -> str:
    numbers = line.numbers
    parts = []
    if numbers.heart_rate is not None:
        beside = interval_text(numbers.heart_rate_low, numbers.heart_rate_high)
        parts.append(
            said("heart rate {rate} /min ({interval})", rate=f"{numbers.heart_rate:.0f}", interval=beside)
        )
    if numbers.respiratory_rate is not None:
        parts.append(said("breathing {rate} /min", rate=f"{numbers.respiratory_rate:.0f}"))
    if numbers.rmssd is not None:
        parts.append(said("RMSSD {value} ms", value=f"{numbers.rmssd:.0f}"))
    if numbers.sdnn is not None:
        parts.append(said("SDNN {value} ms", value=f"{numbers.sdnn:.0f}"))
    return listing(parts)


def series(trend: Trend, name: str) -> Series:
    """The course of one of TRENDS over scans, the oldest first."""
    values = trend.numbers[name]
    low, high = (
        (trend.numbers["heart_rate_low"], trend.numbers["heart_rate_high"])
        if name == "heart_rate"
        else (values, values)
    )
    shown = np.isfinite(values)
    low, high = np.where(np.isfinite(low), low, values), np.where(np.isfinite(high), high, values)
    unit = said(UNITS[_UNITS[name]])
    return Series(said(TRENDS[name]), trend.at_s[shown], values[shown], low[shown], high[shown], unit)


def thinned(found: Series, columns: int) -> Series:
    """For a plot so wide: in each of its columns the least and the greatest value at most, so that no extreme is lost."""
    count = len(found.at_s)
    if count <= 2 * columns:
        return found
    since_s = found.at_s - found.at_s[0]
    column = np.minimum((since_s / max(since_s[-1], 1e-3) * columns).astype(np.int64), columns - 1)
    first = np.flatnonzero(np.diff(column, prepend=-1))
    by_value = np.lexsort((found.values, column))
    kept = np.union1d(by_value[first], by_value[np.append(first[1:], count) - 1])
    return replace(
        found, at_s=found.at_s[kept], values=found.values[kept], low=found.low[kept], high=found.high[kept]
    )


def spoken(found: Series) -> str:
    """The plot in one line, for a screen reader."""
    if not len(found.values):
        return said("{title}: nothing to show yet", title=found.title)
    if len(found.values) == 1:
        return said("{title}: one scan, {value}", title=found.title, value=f"{found.values[0]:.0f}")
    return said(
        "{title}: {count} scans, from {least} to {most}, the newest {newest}",
        title=found.title,
        count=len(found.values),
        least=f"{min(found.values):.0f}",
        most=f"{max(found.values):.0f}",
        newest=f"{found.values[-1]:.0f}",
    )
