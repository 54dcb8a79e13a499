"""What is kept of one person, as the history page shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from client.language import listing, marked, said
from client.reports.wording import interval_text
from client.store.observations import Kind, Line
from client.store.scans import taken_at_local
from client.ui.views import entry

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
    """Points over days for a plot. at_s: seconds since 1970, UTC. low, high: the interval, or the value itself."""

    title: str
    at_s: tuple[float, ...]
    values: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


TRENDS: Mapping[str, str] = {
    "heart_rate": marked("Heart rate, /min"),
    "respiratory_rate": marked("Breathing rate, /min"),
    "rmssd": marked("Variability RMSSD, ms"),
    "sdnn": marked("Variability SDNN, ms"),
}
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
        what=_scan(line) if line.kind == Kind.SCAN else entry.words(line.kind, values or {}),
        is_scan=line.kind == Kind.SCAN,
    )


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


def series(lines: Sequence[Line], name: str) -> Series:
    """The course of one of TRENDS over scans, the oldest first. lines: the oldest first."""
    points = []
    for line in lines:
        value = getattr(line.numbers, name)
        if line.kind != Kind.SCAN or value is None:
            continue
        low = line.numbers.heart_rate_low if name == "heart_rate" else None
        high = line.numbers.heart_rate_high if name == "heart_rate" else None
        points.append(
            (line.taken_at.timestamp(), value, value if low is None else low, value if high is None else high)
        )
    at_s, values, lows, highs = zip(*points, strict=True) if points else ((), (), (), ())
    return Series(said(TRENDS[name]), at_s, values, lows, highs)


def spoken(found: Series) -> str:
    """The plot in one line, for a screen reader."""
    if not found.values:
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
