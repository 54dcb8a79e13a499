"""A finished scan as one PDF page: values with intervals or reasons, the pulse wave, the course of the rate in the scan and over the
days before, how it was measured, what ties the page to the scan, what it is not.

PDF/A-3B with embedded letters (DejaVu Sans: Latin, Greek, Cyrillic, Hebrew, Arabic); signs that these do not have are
shown as U+FFFD. In a language written from right to left the page is mirrored. The same record gives the same bytes.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from html import escape
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np
import segno
from fpdf import FPDF, ViewerPreferences
from fpdf.enums import MethodReturnValue
from fpdf.fonts import CoreFont, TTFFont

from client.language import listing, marked, said
from client.records import ScanRecord, busiest_s, sanitised
from client.reports.contents import Dot
from client.reports.proof import code_text, digest, report_id
from client.reports.wording import (
    NOT_A_DEVICE,
    REASONS,
    SIMULATED,
    interval,
    is_remark,
    number,
    remedy,
    told_as,
    vital_name,
    why_not,
)
from client.weights import checked_path
from edge_models.types import Estimate, FloatArray

# Lengths are millimetres on A4, sizes of letters are points.
_PAGE, _LEFT, _TOP, _WIDTH, _BOTTOM = 210.0, 18.0, 14.0, 174.0, 286.0
_VALUES_AT, _WORDS_AT = 44.0, 80.0
_VALUE_AXIS, _ASIDE = 12.0, 2.0  # left of a chart; beside its first and last dot
_INK, _PALE, _RULE = (33, 37, 41), (95, 103, 111), (206, 212, 218)
_CURVE, _BAND, _WARNING = (190, 30, 45), (246, 214, 217), (255, 224, 130)
_LINE = 1.28
"""Height of a line over the size of its letters."""
_MM = 25.4 / 72.0
_SCALES = (1.0, 0.94, 0.88, 0.82, 0.76, 0.7, 0.64)
"""Letters get smaller in these steps until everything is on the page."""
_CHART_LEAST, _CHART_MOST = 13.0, 40.0
_CODE, _CODE_GAP = 23.0, 4.0
"""Side of the QR code, as small as a telephone still reads it off paper; what stays free beside it."""
_STEPS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0)
_LINES_MOST = 5
"""Between two lines of a chart, and how many there are at most."""
_DAY_S = 86_400.0
_WAVE_S = 10.0
"""Seconds of the pulse wave that are drawn: more cannot be told apart on a page."""
_SAME_SCAN = timedelta(seconds=1)
"""Closer than this is this scan itself, as the store has rounded its time."""
_EARLIER_MOST = 400
"""Earlier scans that are drawn, the newest ones."""
_WEEKS_MOST = 30
"""Lines for weeks; of more nobody can tell one from the next."""
_TYPED_MOST, _NOTE_MOST, _NOTES_MOST, _REASONS_MOST = 120, 240, 5, 4
"""Signs of a name or source, signs of a note, notes: what somebody typed must not push the rest off the page."""
_FONT = "report"
_RIGHT_TO_LEFT = frozenset({"ar", "he", "fa", "ur"})
_LEFT_TO_RIGHT = "\N{LEFT-TO-RIGHT MARK}"
_UNSEEN = frozenset("\u200c\u200d\u200e\u200f")
"""Invisible signs that are kept: joiners, which shape the letters beside them, and marks with which a translator says a direction."""


def render(
    record: ScanRecord,
    *,
    language: str = "en",
    name: str | None = None,
    utc_offset_min: int | None = None,
    history: Sequence[Dot] | None = None,
    scan_id: str | None = None,
    own: bool = True,
    record_number: str | None = None,
) -> bytes:
    """The page.

    language: BCP-47 code of the language that `client.language` speaks now ("es", "ar-EG"): for readers of the PDF, and
    for the direction of the page. name: whose scan it is, as typed. record_number: that the clinic knows them by. utc_offset_min: minutes that the person's clock is
    ahead of UTC; None: times are UTC. history: other scans of that person, in any order; drawn from two on, with this
    scan among them. scan_id: of the kept scan; None where it was not kept. own: for the person themself; else what may
    name somebody is left out: what the source is called (a recording is often called after who is in it), and notes on it.
    Raises EnvironmentFault when the letters are missing or not the listed ones.
    """
    with checked_path("report_font") as regular, checked_path("report_font_bold") as bold:
        title = said("Health Helper: result of a scan")
        pdf = new_document(title, record.taken_at, record.version, language, regular, bold)
        try:
            story = _Story(record, name, utc_offset_min, tuple(history or ()), scan_id, own, record_number)
            _fill_page(pdf, story, rtl=from_right_to_left(language))
            return bytes(pdf.output())
        finally:
            close_letters(pdf)


def from_right_to_left(language: str) -> bool:
    """Whether this language (BCP-47) is written so."""
    return language.replace("_", "-").partition("-")[0].lower() in _RIGHT_TO_LEFT


def new_document(
    title: str, made_at: datetime, version: str, language: str, regular: Path, bold: Path
) -> FPDF:
    """A PDF/A-3B with its letters and an empty page. made_at: what it says of the time it was made. The same arguments, the same bytes."""
    pdf = FPDF(format="A4", unit="mm", enforce_compliance="PDF/A-3B")
    pdf.set_margins(_LEFT, _TOP, _PAGE - _LEFT - _WIDTH)
    pdf.set_auto_page_break(auto=False)
    pdf.c_margin = 0.0
    pdf.alias_nb_pages("")  # else a name with "{nb}" in it would get the number of pages
    pdf.add_font(_FONT, "", regular)
    pdf.add_font(_FONT, "B", bold)
    pdf.set_title(title)
    pdf.set_lang(language)
    pdf.set_creation_date(made_at)
    pdf.set_xmp_metadata(_metadata(title, made_at, version, language))
    pdf.viewer_preferences = ViewerPreferences(display_doc_title=True)
    pdf.add_page()
    return pdf


def close_letters(pdf: FPDF) -> None:
    """Close the files of its letters; after `output`, or without it."""
    for font in pdf.fonts.values():
        if isinstance(font, TTFFont):
            font.close()


def _metadata(title: str, made_at: datetime, version: str, language: str) -> str:
    """What PDF/A asks for. Not left to fpdf2, which would put the time of writing into it: the same record, the same bytes."""
    when = made_at.astimezone(UTC).isoformat(timespec="seconds")
    return f"""<x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 xmlns:pdfaid="http://www.aiim.org/pdfa/ns/id/">
<pdfaid:part>3</pdfaid:part><pdfaid:conformance>B</pdfaid:conformance>
<dc:title><rdf:Alt><rdf:li xml:lang="x-default">{escape(title)}</rdf:li></rdf:Alt></dc:title>
<dc:language><rdf:Bag><rdf:li>{escape(language)}</rdf:li></rdf:Bag></dc:language>
<xmp:CreatorTool>{escape(f"Health Helper {version}")}</xmp:CreatorTool>
<xmp:CreateDate>{when}</xmp:CreateDate><xmp:ModifyDate>{when}</xmp:ModifyDate>
</rdf:Description></rdf:RDF></x:xmpmeta>"""


@dataclass(frozen=True, slots=True)
class _Story:
    """All that the page tells; as the arguments of `render`."""

    record: ScanRecord
    name: str | None
    utc_offset_min: int | None
    history: tuple[Dot, ...]
    scan_id: str | None
    own: bool
    record_number: str | None

    def local(self, when: datetime) -> datetime:
        """On the person's clock; UTC where that is not known."""
        return when.astimezone(timezone(timedelta(minutes=self.utc_offset_min or 0)))


class Page:
    """Where the next thing goes, in which size and direction; or, while measuring, only how much room it takes.

    x counts from the margin at which a line of this language begins: left, or right.
    """

    def __init__(self, pdf: FPDF, *, rtl: bool, scale: float, chart_mm: float, measuring: bool) -> None:
        self.pdf = pdf
        self.rtl = rtl
        self.scale = scale
        self.chart_mm = chart_mm
        self.measuring = measuring
        self.y = _TOP
        self.charts = 0

    def whole(self, text: str) -> str:
        """A value that is put into a sentence, kept in one piece: from right to left, 2026-11-20 would be read as 20-11-2026."""
        strong = (unicodedata.bidirectional(sign) for sign in text)
        first = next((kind for kind in strong if kind in {"L", "R", "AL"}), "L")
        return f"{_LEFT_TO_RIGHT}{text}{_LEFT_TO_RIGHT}" if self.rtl and first == "L" else text

    def gap(self, millimetres: float) -> None:
        self.y += millimetres * self.scale

    def line(
        self, text: str, *, size: float, bold: bool = False, colour: tuple[int, int, int] = _INK
    ) -> None:
        """A paragraph over the whole width."""
        self.y += self.text(text, self.y, size=size, bold=bold, colour=colour)

    def heading(self, text: str) -> None:
        self.line(text, size=10.5, bold=True)
        self.gap(0.8)

    def text(
        self,
        text: str,
        y: float,
        *,
        size: float,
        x: float = 0.0,
        width: float | None = None,
        bold: bool = False,
        colour: tuple[int, int, int] = _INK,
        centred: bool = False,
    ) -> float:
        """Put a paragraph; returns its height. y is its upper edge."""
        width = _WIDTH - x if width is None else width
        left = _LEFT + (_WIDTH - x - width if self.rtl else x)
        align = "C" if centred else ("R" if self.rtl else "L")
        return self._put(text, left, y, width, align, size=size, bold=bold, colour=colour)

    def label(self, text: str, left: float, y: float, width: float, align: str) -> None:
        """A word at a chart, which lies the same way round in every language."""
        self._put(text, left, y, width, align, size=7.5, bold=False, colour=_PALE)

    def _put(
        self,
        text: str,
        left: float,
        y: float,
        width: float,
        align: str,
        *,
        size: float,
        bold: bool,
        colour: tuple[int, int, int],
    ) -> float:
        self.pdf.set_font(_FONT, "B" if bold else "", size * self.scale)
        self.pdf.set_text_color(*colour)
        drawn = _drawable(text, self.pdf.current_font)
        # A text of the page's own language begins at the page's own side even if its first word is a foreign one. What is
        # in other letters (a file's name, what a translator left out) has its own direction, found by its first letter.
        own_side = self.rtl and any(unicodedata.bidirectional(sign) in {"R", "AL"} for sign in drawn)
        self.pdf.set_text_shaping(direction="rtl" if own_side else ("ltr" if self.rtl else None))
        self.pdf.set_xy(left, y)
        height = self.pdf.multi_cell(
            width,
            size * self.scale * _MM * _LINE,
            drawn,
            align=align,
            dry_run=self.measuring,
            output=MethodReturnValue.HEIGHT,
        )
        assert isinstance(height, float | int)
        return float(height)

    def rule(self, y: float) -> None:
        if self.measuring:
            return
        self.pdf.set_draw_color(*_RULE)
        self.pdf.set_line_width(0.2)
        self.pdf.line(_LEFT, y, _LEFT + _WIDTH, y)

    def bar(self, height: float, colour: tuple[int, int, int]) -> None:
        """A coloured ground over the whole width, from here down."""
        if self.measuring:
            return
        self.pdf.set_fill_color(*colour)
        self.pdf.rect(_LEFT, self.y, _WIDTH, height, style="F")


def _fill_page(pdf: FPDF, story: _Story, *, rtl: bool) -> None:
    """Draw everything, in the largest letters with which it fits; the charts take what is left."""
    spare, charts, scale = 0.0, 0, 1.0
    for scale in _SCALES:
        tried = Page(pdf, rtl=rtl, scale=scale, chart_mm=_CHART_LEAST, measuring=True)
        spare, charts = _fill(tried, story), tried.charts
        if spare >= 0.0:
            break
    chart_mm = min(_CHART_MOST, _CHART_LEAST + max(0.0, spare) / max(1, charts))
    _fill(Page(pdf, rtl=rtl, scale=scale, chart_mm=chart_mm, measuring=False), story)


def _fill(page: Page, story: _Story) -> float:
    """Draw or measure everything from top to bottom. Returns the millimetres left over, negative where they are lacking."""
    record = story.record
    _head(page, story)
    _vitals(page, record)
    _wave(page, record)
    _trend(page, record)
    _history(page, story)
    _how(page, story)
    return _foot(page)


def _head(page: Page, story: _Story) -> None:
    page.line("Health Helper", size=18, bold=True)
    if story.name is not None:
        page.line(shortened(story.name, _TYPED_MOST), size=11)
    if story.record_number:
        shown = page.whole(shortened(story.record_number, _TYPED_MOST))
        page.line(said("Record number {number}", number=shown), size=9.5)
    when = page.whole(f"{story.local(story.record.taken_at):%Y-%m-%d %H:%M} {zone(story.utc_offset_min)}")
    page.line(said("Result of a scan, {when}", when=when), size=9.5, colour=_PALE)
    page.gap(3)
    if story.record.simulated:
        page.bar(8.0 * page.scale, _WARNING)
        page.text(said(SIMULATED), page.y + 1.7 * page.scale, size=10.5, bold=True, centred=True)
        page.gap(11)


def zone(utc_offset_min: int | None) -> str:
    """The clock that a time is told by ("UTC", "UTC+05:30"), the same in every language."""
    if not utc_offset_min:
        return "UTC"
    hours, minutes = divmod(abs(utc_offset_min), 60)
    return f"UTC{'+' if utc_offset_min > 0 else '-'}{hours:02d}:{minutes:02d}"


def _vitals(page: Page, record: ScanRecord) -> None:
    page.heading(said("Vital signs"))
    for name, estimate_ in record.result.vitals.items():
        estimate = sanitised(estimate_)
        shown = number(estimate)
        top = page.y
        heights = (
            page.text(vital_name(name), top, size=10, width=_VALUES_AT - 3),
            page.text(
                shown or "--",
                top - (0.4 if shown else 0.0) * page.scale,
                size=11.5 if shown else 10,
                x=_VALUES_AT,
                width=_WORDS_AT - _VALUES_AT - 2,
                bold=shown is not None,
            ),
            page.text(_about(name, estimate), top + 0.4 * page.scale, size=9, x=_WORDS_AT, colour=_PALE),
        )
        page.y = top + max(heights)
        page.gap(1.3)
        page.rule(page.y)
        page.gap(1.3)
    page.gap(2.5)


def _about(name: str, estimate: Estimate) -> str:
    """How sure a value is, or why there is none; for a heart rate also what to do."""
    reason = estimate.reasons[0] if estimate.reasons else None
    if estimate.value is None:
        why = why_not(name, estimate)
        if name == "heart_rate" and reason is not None:
            what = remedy(told_as(reason, name, estimate), name, estimate)
            return said("{why}. {remedy}", why=why, remedy=what)
        return why
    limits, sure = interval(estimate), f"{estimate.confidence * 100.0:.0f}"
    if reason is None:
        return said("95 % interval {interval}, confidence {percent} %", interval=limits, percent=sure)
    if is_remark(estimate):
        return said(
            "95 % interval {interval}, confidence {percent} %. Remark: {why}.",
            interval=limits,
            percent=sure,
            why=said(REASONS[reason].seen),
        )
    return said(
        "95 % interval {interval}, confidence {percent} %; less sure because {why}",
        interval=limits,
        percent=sure,
        why=said(REASONS[reason].seen),
    )


@dataclass(frozen=True, slots=True)
class _Run:
    """A piece of a curve. t_s, values: [shape=(n,)]. low, high: the bounds of its interval, or None."""

    t_s: FloatArray
    values: FloatArray
    low: FloatArray | None = None
    high: FloatArray | None = None


def _wave(page: Page, record: ScanRecord) -> None:
    trace = record.result.bvp
    page.heading(said("Pulse wave ({seconds} s of it at most; no unit)", seconds=f"{_WAVE_S:.0f}"))
    if trace.t_s.size < 2:
        _none(page, said("None was found."))
        return
    begin_s = busiest_s(record.result.beats_s, float(trace.t_s[-1]), _WAVE_S)
    drawn = (trace.t_s >= begin_s) & (trace.t_s <= begin_s + _WAVE_S)
    times, values = trace.t_s[drawn], trace.values[drawn]
    first, last = float(times[0]), float(times[-1])
    _curve(
        page,
        [_Run(times, values)],
        ends=(_seconds(first), _seconds(last)),
        described=said(
            "The pulse wave from second {first} to second {last} of the scan.",
            first=f"{first:.0f}",
            last=f"{last:.0f}",
        ),
    )


def _trend(page: Page, record: ScanRecord) -> None:
    page.heading(said("Heart rate in the course of the scan (/min; pale: 95 % interval; gaps: withheld)"))
    runs: list[_Run] = []
    run: list[_Point] = []
    for point in record.result.trend:
        if point.heart_rate is not None and math.isfinite(point.heart_rate):
            run.append((point.t_s, point.heart_rate, point.low, point.high))
        elif run:
            runs.append(_run(run))
            run = []
    if run:
        runs.append(_run(run))
    if not runs:
        _none(page, said("No heart rate was shown at any moment."))
        return
    first, last = float(runs[0].t_s[0]), float(runs[-1].t_s[-1])
    low, high = _range(runs)
    _curve(
        page,
        runs,
        ends=(_seconds(first), _seconds(max(last, first + 1.0))),
        described=said(
            "The heart rate from second {first} to second {last} of the scan: between {low} and {high} per minute.",
            first=f"{first:.0f}",
            last=f"{last:.0f}",
            low=f"{low:.0f}",
            high=f"{high:.0f}",
        ),
        lines=True,
        margin=3.0,
        dots=0.5,
    )


OF_HEART_RATES = marked(
    "The heart rates of {count} scans from {first} to {last}: between {low} and {high} per minute."
)


def _history(page: Page, story: _Story) -> None:
    """The heart rates of other scans and of this one, a dot each, over days."""
    taken_at, rate = story.record.taken_at, story.record.heart_rate
    others = [dot for dot in story.history if math.isfinite(dot[1]) and abs(dot[0] - taken_at) > _SAME_SCAN]
    if len(others) < 2:
        return
    dots = sorted(others, key=itemgetter(0))[-_EARLIER_MOST:]
    if rate.value is not None and not story.record.simulated:
        dots = sorted([*dots, (taken_at, rate.value, rate.low, rate.high)], key=itemgetter(0))
    page.heading(said("Heart rate over time (/min; pale: 95 % interval; upright lines: weeks)"))
    over_days(page, dots, story.local, described=OF_HEART_RATES)


def over_days(
    page: Page,
    dots: Sequence[Dot],
    local: Callable[[datetime], datetime],
    *,
    described: str,
    margin: float = 3.0,
) -> None:
    """Numbers over days. dots: the oldest first, one at least. local: a moment on the person's clock. described: for those who cannot
    see it, English with places for {count}, {first}, {last}, {low} and {high}. margin: as `_curve`.
    """
    first, last = dots[0][0], dots[-1][0]
    days = local(last).date() != local(first).date()
    shown = [f"{local(when):%Y-%m-%d}" if days else f"{local(when):%Y-%m-%d %H:%M}" for when in (first, last)]
    runs = [
        _run([((dot[0] - first).total_seconds(), dot[1], *(dot[2:] if len(dot) == 4 else (None, None)))])
        for dot in dots
    ]
    low, high = _range(runs)
    _curve(
        page,
        runs,
        ends=(shown[0], shown[1]),
        described=said(
            described,
            count=len(dots),
            first=shown[0],
            last=shown[1],
            low=f"{low:.0f}",
            high=f"{high:.0f}",
        ),
        lines=True,
        margin=margin,
        dots=0.7,
        upright_s=_weeks_s(local(first), local(last)),
    )


def _weeks_s(first: datetime, last: datetime) -> list[float]:
    """The seconds from `first` to each Monday, 0 o'clock, before `last`."""
    midnight = first.replace(hour=0, minute=0, second=0, microsecond=0)
    monday = midnight + timedelta(days=7 - midnight.weekday())
    count = max(0, math.ceil((last - monday) / timedelta(days=7)))
    if count > _WEEKS_MOST:
        return []
    return [(monday - first).total_seconds() + 7.0 * _DAY_S * week for week in range(count)]


def _none(page: Page, words: str) -> None:
    page.line(words, size=9, colour=_PALE)
    page.gap(4)


def _seconds(seconds: float) -> str:
    return said("{seconds} s", seconds=f"{seconds:.0f}")


_Point = tuple[float, float, float | None, float | None]


def _run(points: Sequence[_Point]) -> _Run:
    """With its interval only where all of its bounds are numbers."""
    bounds = [bound for point in points for bound in point[2:]]
    times, values = (np.array([point[at] for point in points], dtype=np.float64) for at in (0, 1))
    if not all(bound is not None and math.isfinite(bound) for bound in bounds):
        return _Run(times, values)
    low, high = (np.array([point[at] for point in points], dtype=np.float64) for at in (2, 3))
    return _Run(times, values, low, high)


def _range(runs: Sequence[_Run], *, whole: bool = False) -> tuple[float, float]:
    """The least and the greatest value. whole: with the intervals."""
    parts = [run.values for run in runs]
    if whole:
        parts += [bound for run in runs for bound in (run.low, run.high) if bound is not None]
    values = np.concatenate(parts)
    return float(values.min()), float(values.max())


def _levels(low: float, high: float) -> list[float]:
    """Round numbers between two, _LINES_MOST at most, for the lines of a chart."""
    step = next((step for step in _STEPS if (high - low) / step <= _LINES_MOST), high - low)
    first = math.ceil(low / step)
    return [number * step for number in range(first, math.floor(high / step) + 1)][:_LINES_MOST]


def _curve(
    page: Page,
    runs: Sequence[_Run],
    *,
    ends: tuple[str, str],
    described: str,
    lines: bool = False,
    margin: float = 1e-6,
    dots: float = 0.0,
    upright_s: Sequence[float] = (),
) -> None:
    """Draw pieces of one curve in a frame with its time axis.

    ends: words below the left and the right end. described: for those who cannot see it. lines: with the axis of its values.
    margin: what stays free above and below them at least, in their unit. dots: radius of the mark on every value, 0 for none.
    upright_s: where lines across the chart are.

    Time goes from left to right in every language: charts of measurements are read so in Arabic and Hebrew too.
    """
    page.charts += 1
    inset, aside = (_VALUE_AXIS if lines else 0.0), (_ASIDE if dots else 0.0)
    left, top, width, height = _LEFT + inset, page.y, _WIDTH - inset, page.chart_mm
    label_mm = 7.5 * page.scale * _MM * _LINE
    page.y = top + height + 0.5 + label_mm
    page.gap(3)
    if page.measuring:
        return
    times = np.concatenate([run.t_s for run in runs])
    t_low, t_high = float(times.min()), max(float(times.max()), float(times.min()) + 1.0)
    low, high = _range(runs, whole=True)
    margin = max(margin, 0.1 * (high - low))
    low, high = low - margin, high + margin
    levels = _levels(low, high) if lines else []
    pdf = page.pdf

    def across(t_s: float) -> float:
        return left + aside + (t_s - t_low) / (t_high - t_low) * (width - 2.0 * aside)

    def down(value: float) -> float:
        return top + (high - value) / (high - low) * height

    # Its only public way to an alternative text is a picture; these are lines, sharp at every size.
    with pdf._marked_sequence(alt_text=described):  # noqa: SLF001
        for run in runs:
            _band(pdf, run, across, down)
        pdf.set_draw_color(*_RULE)
        pdf.set_line_width(0.15)
        for level in levels:
            pdf.line(left, down(level), left + width, down(level))
        for t_s in upright_s:
            pdf.line(across(t_s), top, across(t_s), top + height)
        pdf.set_line_width(0.2)
        pdf.rect(left, top, width, height)
        pdf.set_draw_color(*_CURVE)
        pdf.set_fill_color(*_CURVE)
        pdf.set_line_width(0.35)
        for run in runs:
            corners = [(across(float(a)), down(float(b))) for a, b in zip(run.t_s, run.values, strict=True)]
            if len(corners) > 1:
                pdf.polyline(corners)
            if dots:
                for corner_x, corner_y in corners:
                    pdf.circle(corner_x, corner_y, dots, style="F")
    below = top + height + 0.5
    page.label(ends[0], left, below, width / 2, "L")
    page.label(ends[1], left + width / 2, below, width / 2, "R")
    for level in levels:
        page.label(f"{level:.6g}", _LEFT, down(level) - label_mm / 2.0, inset - 1.5, "R")


def _band(pdf: FPDF, run: _Run, across: Callable[[float], float], down: Callable[[float], float]) -> None:
    """The interval, behind the curve; of a single value an upright bar. Plain colour: in an archive nothing shines through."""
    if run.low is None or run.high is None:
        return
    if run.t_s.size == 1:
        x = across(float(run.t_s[0]))
        pdf.set_draw_color(*_BAND)
        pdf.set_line_width(1.2)
        pdf.line(x, down(float(run.high[0])), x, down(float(run.low[0])))
        return
    upper = [(across(float(a)), down(float(b))) for a, b in zip(run.t_s, run.high, strict=True)]
    lower = [(across(float(a)), down(float(b))) for a, b in zip(run.t_s, run.low, strict=True)]
    pdf.set_fill_color(*_BAND)
    pdf.polygon([*upper, *reversed(lower)], style="F")


def _how(page: Page, story: _Story) -> None:
    """How it was measured, and beside it the code that ties the page to the scan."""
    record, result = story.record, story.record.result
    page.heading(said("How it was measured"))
    lines = [
        said("Method: remote photoplethysmography (a camera sees the pulse in the colour of the skin)"),
        *(
            [said("Source: {source}", source=page.whole(shortened(record.source, _TYPED_MOST)))]
            if story.own
            else []
        ),
        said(
            "{counted} of {whole} s counted, {frames} frames, {rate} frames per second, quality {percent} %",
            counted=f"{result.accepted_s:.1f}",
            whole=f"{result.duration_s:.1f}",
            frames=result.frames,
            rate=f"{result.measured_fps:.1f}",
            percent=f"{result.quality.score * 100.0:.0f}",
        ),
        said(
            "Version {version}; heart rate by {algorithm}",
            version=page.whole(record.version),
            algorithm=page.whole(result.vitals["heart_rate"].algorithm),
        ),
    ]
    others = {
        estimate.algorithm
        for name, estimate in result.vitals.items()
        if name != "heart_rate" and estimate.algorithm
    }
    if others:
        lines.append(
            said("The other values by {algorithms}", algorithms=listing(map(page.whole, sorted(others))))
        )
    limit = result.quality.limiting_factor
    if limit is not None:
        told = told_as(limit, "heart_rate", record.heart_rate)
        lines.append(said("What limited it most: {why}.", why=said(REASONS[told].seen)))
    rest = [reason for reason in dict.fromkeys(result.quality.reasons) if reason is not limit]
    if rest:
        seen = listing(said(REASONS[reason].seen) for reason in rest[:_REASONS_MOST])
        lines.append(said("Also seen: {reasons}.", reasons=seen))
    if story.own and not record.simulated:  # the banner says more than the source's note
        lines += [shortened(str(note), _NOTE_MOST) for note in record.notes[:_NOTES_MOST]]
        lines += ["…"] * (len(record.notes) > _NOTES_MOST)
    lines += [
        said("Report {id}", id=page.whole(report_id(record, story.scan_id))),
        said("SHA-256 of the scan: {sha256}", sha256=page.whole(digest(record))),
        said(
            "The code says both: with them whoever has the scan can see that its numbers are those of this page. "
            "They do not show who was measured."
        ),
    ]
    top = page.y
    width = _WIDTH - _CODE - _CODE_GAP
    for line in lines:
        page.y += page.text(line, page.y, size=8.0, width=width, colour=_PALE)
    page.y = max(page.y, top + _CODE)
    _code(page, code_text(record, story.scan_id), top)
    page.gap(3)


def _code(page: Page, text: str, top: float) -> None:
    """The QR code at the end of the lines. Drawn, so that it is sharp on paper; black, which every reader wants."""
    if page.measuring:
        return
    rows = [list(map(bool, row)) for row in segno.make_qr(text, error="m").matrix]
    side = _CODE / len(rows)
    left = _LEFT if page.rtl else _LEFT + _WIDTH - _CODE
    pdf = page.pdf
    pdf.set_fill_color(0, 0, 0)
    with pdf._marked_sequence(alt_text=said("QR code: {text}", text=text)):  # noqa: SLF001 (as in _curve)
        for number, row in enumerate(rows):
            at = 0
            for dark, run in groupby(row):
                count = len(list(run))
                if dark:
                    # A little too high, so that no hairline is left between two rows.
                    pdf.rect(left + at * side, top + number * side, count * side, side * 1.02, style="F")
                at += count


def _foot(page: Page) -> float:
    """At the bottom. Returns the millimetres between it and what is above, negative where they overlap."""
    room = Page(page.pdf, rtl=page.rtl, scale=page.scale, chart_mm=page.chart_mm, measuring=True)
    room.y = 0.0
    _what_it_is_not(room)
    spare = _BOTTOM - room.y - page.y
    page.y = _BOTTOM - room.y
    _what_it_is_not(page)
    return spare


def _what_it_is_not(page: Page) -> None:
    page.rule(page.y)
    page.gap(1.5)
    page.heading(said("What it is not"))
    values = said(
        "All values are estimates from the colour and movement of the picture, with their 95 % interval; "
        "a value that cannot be trusted is not shown."
    )
    page.line(f"{said(NOT_A_DEVICE)} {values}", size=8.5)
    page.line(said("In an emergency call for help, whatever this says."), size=8.5, bold=True)


def shortened(text: str, most: int) -> str:
    """At most so many signs; an ellipsis for the rest."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _drawable(text: str, font: CoreFont | TTFFont | None) -> str:
    """The text as this font can draw it: composed, on one line, without signs that turn its direction unseen."""
    known = font.cmap if isinstance(font, TTFFont) else {}
    drawn = []
    for sign in unicodedata.normalize("NFC", text):
        match unicodedata.category(sign):
            case "Cc" | "Zl" | "Zp":
                drawn.append(" ")
            case "Cf" if sign not in _UNSEEN:
                continue
            case _:
                drawn.append(sign if ord(sign) in known else "\N{REPLACEMENT CHARACTER}")
    return "".join(drawn)
