"""All that is kept of one person as a PDF for people: numbers over days and weeks, then tables of scans, readings, documents and
consents, on as many pages as it takes. PDF/A-3B as the report of a scan (client.reports.pdf), mirrored where the language is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from client.language import marked, said
from client.records import sanitised
from client.reports.contents import Consent, Document, Dot, Entry, Everything, Scan, local
from client.reports.pdf import (
    OF_HEART_RATES,
    Page,
    close_letters,
    from_right_to_left,
    new_document,
    over_days,
    shortened,
    zone,
)
from client.reports.wording import NOT_A_DEVICE, interval, number, vital_name
from client.weights import checked_path

_TOP, _BOTTOM, _WIDTH = 14.0, 280.0, 174.0
_CHART: Final = 30.0
_INK, _PALE = (33, 37, 41), (95, 103, 111)
_MM: Final = 25.4 / 72.0
_SIZE: Final = 8.0
_TITLE_MOST: Final = 90
_DOTS_MOST: Final = 400
_CELL_GAP: Final = 2.0
_MOST_LINES_MM: Final = 60.0
"""No row is higher: a title has 200 signs at most."""
OF_NUMBERS = marked("{count} values from {first} to {last}: between {low} and {high}.")
READINGS: Final[Mapping[str, str]] = {
    "blood_pressure": marked("Blood pressure"),
    "oximeter": marked("Oximeter"),
    "temperature": marked("Temperature"),
    "weight": marked("Weight"),
}
SUBJECTS: Final[Mapping[str, str]] = {
    "measuring": marked("Measuring"),
    "cloud": marked("Sending to the clinic's cloud"),
}


@dataclass(frozen=True, slots=True)
class _Series:
    """What is drawn over days. title: not yet translated. margin: as client.reports.pdf.over_days."""

    title: str
    described: str = OF_NUMBERS
    margin: float = 3.0


_SERIES: Final[Mapping[str, _Series]] = {
    "heart_rate": _Series(
        marked("Heart rate by camera (/min; pale: 95 % interval; upright lines: weeks)"), OF_HEART_RATES
    ),
    "respiratory_rate": _Series(marked("Breathing rate by camera (/min; pale: 95 % interval)")),
    "systolic": _Series(marked("Blood pressure, upper value (mmHg, typed in)")),
    "diastolic": _Series(marked("Blood pressure, lower value (mmHg, typed in)")),
    "spo2": _Series(marked("Oxygen saturation (%, typed in)"), margin=1.0),
    "celsius": _Series(marked("Temperature (°C, typed in)"), margin=0.3),
    "kg": _Series(marked("Weight (kg, typed in)"), margin=0.5),
}


def render(kept: Everything, *, language: str = "en") -> bytes:
    """The document. language: as client.reports.pdf.render, with the same errors; raises also what reading of what is kept raises."""
    with checked_path("report_font") as regular, checked_path("report_font_bold") as bold:
        title = said("Health Helper: all that is kept")
        pdf = new_document(title, kept.made_at, kept.version, language, regular, bold)
        try:
            rtl = from_right_to_left(language)
            put, measured = (
                Page(pdf, rtl=rtl, scale=1.0, chart_mm=_CHART, measuring=measuring)
                for measuring in (False, True)
            )
            flow = _Flow(put, measured)
            _fill(flow, kept)
            flow.number_pages()
            return bytes(pdf.output())
        finally:
            close_letters(pdf)


class _Flow:
    """Pages that follow each other. Where there is no room for the next thing, it begins on a new one."""

    def __init__(self, page: Page, ruler: Page) -> None:
        self.page, self._ruler = page, ruler

    def need(self, millimetres: float) -> bool:
        """Whether a new page was begun because there was no room for so much."""
        if self.page.y + millimetres <= _BOTTOM:
            return False
        self.page.pdf.add_page()
        self.page.y = _TOP
        return True

    def heading(self, text: str, *, with_mm: float = 20.0) -> None:
        """with_mm: what must be on the same page."""
        self.page.gap(3.0)
        self.need(8.0 + with_mm)
        self.page.heading(text)

    def row(self, cells: Sequence[str], widths: Sequence[float], *, bold: bool = False) -> float:
        """Side by side; returns the height."""
        return self._put(self.page, cells, widths, bold=bold)

    def height(self, cells: Sequence[str], widths: Sequence[float]) -> float:
        """Of a row that is not put yet."""
        return self._put(self._ruler, cells, widths, bold=False)

    def _put(self, page: Page, cells: Sequence[str], widths: Sequence[float], *, bold: bool) -> float:
        at, heights = 0.0, [_SIZE * _MM]
        for cell, width in zip(cells, widths, strict=True):
            if cell:
                heights.append(page.text(cell, page.y, size=_SIZE, x=at, width=width - _CELL_GAP, bold=bold))
            at += width
        return max(heights)

    def table(self, titles: Sequence[str], widths: Sequence[float], rows: Iterator[Sequence[str]]) -> None:
        """With its titles again on every page."""
        self._titles(titles, widths)
        for cells in rows:
            height = min(self.height(cells, widths), _MOST_LINES_MM)
            if self.need(height + 2.0):
                self._titles(titles, widths)
            self.row(cells, widths)
            self.page.y += height + 0.7
            self.page.rule(self.page.y)
            self.page.y += 0.7

    def _titles(self, titles: Sequence[str], widths: Sequence[float]) -> None:
        self.page.y += self.row(titles, widths, bold=True) + 0.7
        self.page.rule(self.page.y)
        self.page.y += 0.7

    def number_pages(self) -> None:
        """On each, of how many: so that one that is lacking is missed."""
        count = self.page.pdf.pages_count
        for each in range(1, count + 1):
            self.page.pdf.page = each
            # Another letter first: one that was chosen on another page is not chosen on this one.
            self.page.pdf.set_font("report", "B", 1.0)
            self.page.pdf.set_font("report", "", _SIZE)
            words = said("Page {number} of {count}", number=each, count=count)
            self.page.text(words, _BOTTOM + 4.0, size=_SIZE, colour=_PALE, centred=True)


def _fill(flow: _Flow, kept: Everything) -> None:
    page = flow.page
    page.line("Health Helper", size=18, bold=True)
    if kept.person.name:
        page.line(shortened(kept.person.name, _TITLE_MOST), size=11)
    if kept.person.record_number:
        shown = page.whole(kept.person.record_number)
        page.line(said("Record number {number}", number=shown), size=9.5)
    offset = kept.utc_offset_min
    when = page.whole(f"{local(kept.made_at, offset):%Y-%m-%d %H:%M} {zone(offset)}")
    page.line(said("All that is kept on this device, {when}", when=when), size=9.5, colour=_PALE)
    page.line(said("Version {version}", version=page.whole(kept.version)), size=8.0, colour=_PALE)
    page.gap(1.5)
    values = said(
        "All values by camera are estimates from the colour and movement of the picture, with their 95 % interval; "
        "a value that could not be trusted is not shown. Times are those of the place where it was measured."
    )
    page.line(f"{said(NOT_A_DEVICE)} {values}", size=8.5)
    _series(flow, kept)
    _scans(flow, kept)
    _readings(flow, kept)
    _documents(flow, kept.documents)
    _consents(flow, kept.consents)


def _series(flow: _Flow, kept: Everything) -> None:
    """Of what there are two values at least."""
    found: dict[str, list[Dot]] = {name: [] for name in _SERIES}
    for scan in kept.scans():
        if scan.record.simulated:
            continue
        for name in ("heart_rate", "respiratory_rate"):
            estimate = scan.record.result.vitals.get(name)
            if estimate is None or (value := sanitised(estimate).value) is None:
                continue
            found[name].append((scan.record.taken_at, value, estimate.low, estimate.high))
    for entry in kept.entries():
        for name, value in entry.values.items():
            if name in found and math.isfinite(value):
                found[name].append((entry.taken_at, value))

    def on_this_clock(moment: datetime) -> datetime:
        return local(moment, kept.utc_offset_min)

    for name, series in _SERIES.items():
        dots = sorted(found[name], key=lambda dot: dot[0])[-_DOTS_MOST:]
        if len(dots) > 1:
            flow.heading(said(series.title), with_mm=_CHART + 8.0)
            over_days(flow.page, dots, on_this_clock, described=series.described, margin=series.margin)


def _table(
    flow: _Flow,
    title: str,
    columns: Sequence[tuple[str, float]],
    rows: Callable[[], Iterator[Sequence[str]]],
) -> None:
    """Nothing where there is no row."""
    begun = rows()
    first = next(begun, None)
    if first is None:
        return

    def all_rows() -> Iterator[Sequence[str]]:
        yield first
        yield from begun

    flow.heading(title)
    flow.table([name for name, _ in columns], [width for _, width in columns], all_rows())


def _scans(flow: _Flow, kept: Everything) -> None:
    whole = flow.page.whole
    names = ("heart_rate", "respiratory_rate", "rmssd", "sdnn")
    columns = [
        (said("When"), 38.0),
        *((vital_name(name), 29.0) for name in names),
        (said("Quality"), 20.0),
    ]

    def row(scan: Scan) -> Sequence[str]:
        record = scan.record
        cells = []
        for name in names:
            estimate = record.result.vitals.get(name)
            estimate = None if estimate is None else sanitised(estimate)
            shown = None if estimate is None else number(estimate)
            if estimate is None or shown is None:
                cells.append(said("not shown"))
            else:
                cells.append(f"{shown} ({whole(interval(estimate) or '')})")
        quality = f"{record.result.quality.score * 100.0:.0f} %"
        simulated = said("simulated") if record.simulated else ""
        return [_when(record.taken_at, scan.utc_offset_min, whole), *cells, simulated or quality]

    _table(flow, said("Scans by camera"), columns, lambda: map(row, kept.scans()))


def _readings(flow: _Flow, kept: Everything) -> None:
    whole = flow.page.whole
    columns = [(said("When"), 36.0), (said("What"), 50.0), (said("Values"), 88.0)]

    def row(entry: Entry) -> Sequence[str]:
        shown: dict[str, list[str]] = {}  # 121/79 mmHg, 64 /min
        for name, value in entry.values.items():
            shown.setdefault(entry.units.get(name, ""), []).append(f"{value:g}")
        values = ", ".join(
            f"{'/'.join(numbers)} {said(unit) if unit else ''}" for unit, numbers in shown.items()
        )
        name = said(READINGS[entry.kind]) if entry.kind in READINGS else entry.kind.replace("_", " ")
        return [_when(entry.taken_at, entry.utc_offset_min, whole), name, whole(values)]

    _table(flow, said("Readings that were typed in"), columns, lambda: map(row, kept.entries()))


def _documents(flow: _Flow, documents: Sequence[Document]) -> None:
    whole = flow.page.whole
    columns = [(said("When"), 36.0), (said("Title"), 52.0), (said("Size"), 18.0), ("SHA-256", 68.0)]

    def row(one: Document) -> Sequence[str]:
        size = said("{size} kB", size=f"{one.length_bytes / 1000.0:.0f}")
        title = shortened(one.title, _TITLE_MOST)
        return [_when(one.added_at, one.utc_offset_min, whole), title, size, one.sha256]

    _table(flow, said("Documents"), columns, lambda: map(row, documents))


def _consents(flow: _Flow, consents: Sequence[Consent]) -> None:
    whole = flow.page.whole
    columns = [
        (said("When"), 36.0),
        (said("What for"), 70.0),
        (said("Answer"), 40.0),
        (said("Version"), 28.0),
    ]

    def row(one: Consent) -> Sequence[str]:
        subject = said(SUBJECTS[one.subject]) if one.subject in SUBJECTS else one.subject.replace("_", " ")
        answer = said("agreed") if one.given else said("not agreed, or taken back")
        return [_when(one.at, one.utc_offset_min, whole), subject, answer, str(one.version)]

    _table(flow, said("Consents"), columns, lambda: map(row, consents))


def _when(moment: datetime, offset_min: int, whole: Callable[[str], str]) -> str:
    return whole(f"{local(moment, offset_min):%Y-%m-%d %H:%M} {zone(offset_min)}")
