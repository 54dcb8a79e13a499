"""A finished scan as one PDF page: values with intervals or reasons, the pulse wave, the course of the rate.

Vector curves and the PDF's own fonts (Latin-1): signs that these do not have are shown as "?".
"""

from __future__ import annotations

import numpy as np
from fpdf import FPDF
from fpdf.enums import XPos, YPos

from client.records import ScanRecord, sanitised
from client.reports.wording import (
    NOT_A_DEVICE,
    REASONS,
    SIMULATED,
    interval,
    number,
    vital_name,
    why_not,
)
from edge_models.types import FloatArray

_LEFT, _WIDTH = 18.0, 174.0
_WORDS_AT = 84.0
_INK, _PALE, _RULE = (33, 37, 41), (108, 117, 125), (206, 212, 218)
_CURVE, _WARNING = (190, 30, 45), (255, 224, 130)
_WAVE_S = 10.0
"""Seconds of the pulse wave that are drawn: more cannot be told apart on a page."""


def render(record: ScanRecord) -> bytes:
    """The page. All lengths are millimetres on A4."""
    pdf = FPDF(format="A4", unit="mm")
    pdf.set_margins(_LEFT, 16.0)
    pdf.set_auto_page_break(auto=False)
    pdf.c_margin = 0.0
    pdf.set_creation_date(record.taken_at)
    pdf.set_title("Health Helper: result of a scan")
    pdf.set_creator(f"Health Helper {record.version}")
    pdf.add_page()
    _head(pdf, record)
    _vitals(pdf, record)
    _wave(pdf, record)
    _trend(pdf, record)
    _how(pdf, record)
    _foot(pdf)
    return bytes(pdf.output())


def _head(pdf: FPDF, record: ScanRecord) -> None:
    _line(pdf, "Health Helper", size=20, style="B", height=9)
    taken = record.taken_at.strftime("%Y-%m-%d %H:%M UTC")
    _line(pdf, f"Result of a scan, {taken}", size=10, colour=_PALE, height=6)
    pdf.ln(2)
    if record.simulated:
        pdf.set_fill_color(*_WARNING)
        pdf.set_font("helvetica", "B", 12)
        pdf.set_text_color(*_INK)
        pdf.cell(_WIDTH, 9, SIMULATED, fill=True, align="C", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        pdf.ln(3)


def _vitals(pdf: FPDF, record: ScanRecord) -> None:
    _heading(pdf, "Vital signs")
    for name, estimate_ in record.result.vitals.items():
        estimate = sanitised(estimate_)
        shown = number(estimate)
        y = pdf.get_y()
        _at(pdf, _LEFT, y, vital_name(name), size=11)
        _at(pdf, _LEFT + 52, y, shown or "--", size=13 if shown else 11, style="B" if shown else "")
        if shown:
            words = f"95 % interval {interval(estimate)}, confidence {estimate.confidence * 100.0:.0f} %"
            if estimate.reasons:
                words += f"; less sure because {REASONS[estimate.reasons[0]].seen}"
        else:
            words = (
                f"{why_not(name, estimate)}. {REASONS[estimate.reasons[0]].remedy}"
                if name == "heart_rate"
                else why_not(name, estimate)
            )
        pdf.set_font("helvetica", "", 10)
        pdf.set_text_color(*_PALE)
        pdf.set_xy(_LEFT + _WORDS_AT, y + 1.2)
        pdf.multi_cell(_WIDTH - _WORDS_AT, 4.6, _latin(words), align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        below = max(pdf.get_y() + 1.2, y + 8)
        pdf.set_draw_color(*_RULE)
        pdf.set_line_width(0.2)
        pdf.line(_LEFT, below, _LEFT + _WIDTH, below)
        pdf.set_y(below + 1)
    pdf.ln(4)


def _wave(pdf: FPDF, record: ScanRecord) -> None:
    trace = record.result.bvp
    _heading(pdf, f"Pulse wave ({_WAVE_S:.0f} s of it at most; no unit)")
    if trace.t_s.size < 2:
        _line(pdf, "None was found.", size=10, colour=_PALE, height=6)
        pdf.ln(4)
        return
    begin_s = _busiest_s(record.result.beats_s, float(trace.t_s[-1]))
    drawn = (trace.t_s >= begin_s) & (trace.t_s <= begin_s + _WAVE_S)
    _curve(pdf, [(trace.t_s[drawn], trace.values[drawn])], height=34.0, unit="", marks=False)


def _busiest_s(beats_s: tuple[float, ...], end_s: float) -> float:
    """Where the stretch to draw begins: the one with most beats found, the last of several, never after the end."""
    begins = [max(0.0, min(beat_s, end_s - _WAVE_S)) for beat_s in beats_s] or [max(0.0, end_s - _WAVE_S)]
    return max(begins, key=lambda begin_s: (sum(begin_s <= b <= begin_s + _WAVE_S for b in beats_s), begin_s))


def _trend(pdf: FPDF, record: ScanRecord) -> None:
    _heading(pdf, "Heart rate in the course of the scan (/min; gaps: withheld)")
    runs: list[tuple[FloatArray, FloatArray]] = []
    run: list[tuple[float, float]] = []
    for point in record.result.trend:
        if point.heart_rate is not None:
            run.append((point.t_s, point.heart_rate))
        elif run:
            runs.append(_columns(run))
            run = []
    if run:
        runs.append(_columns(run))
    if not runs:
        _line(pdf, "No heart rate was shown at any moment.", size=10, colour=_PALE, height=6)
        pdf.ln(4)
        return
    _curve(pdf, runs, height=34.0, unit="/min", marks=True)


def _columns(run: list[tuple[float, float]]) -> tuple[FloatArray, FloatArray]:
    table = np.asarray(run, dtype=np.float64)
    return table[:, 0], table[:, 1]


def _curve(
    pdf: FPDF, runs: list[tuple[FloatArray, FloatArray]], *, height: float, unit: str, marks: bool
) -> None:
    """Draw pieces of one curve in a frame with its time axis, and its value axis if it has a unit."""
    left, top, width = _LEFT + (12.0 if unit else 0.0), pdf.get_y() + 1.0, _WIDTH - (12.0 if unit else 0.0)
    times = np.concatenate([t_s for t_s, _ in runs])
    values = np.concatenate([v for _, v in runs])
    t_low, t_high = float(times.min()), max(float(times.max()), float(times.min()) + 1.0)
    low, high = float(values.min()), float(values.max())
    margin = max(3.0 if unit else 1e-6, 0.1 * (high - low))
    low, high = low - margin, high + margin
    pdf.set_draw_color(*_RULE)
    pdf.set_line_width(0.2)
    pdf.rect(left, top, width, height)
    pdf.set_draw_color(*_CURVE)
    pdf.set_line_width(0.35)
    for t_s, v in runs:
        x = left + (t_s - t_low) / (t_high - t_low) * width
        y = top + (high - v) / (high - low) * height
        corners = [(float(a), float(b)) for a, b in zip(x, y, strict=True)]
        if len(corners) > 1:
            pdf.polyline(corners)
        if marks:
            pdf.set_fill_color(*_CURVE)
            for corner_x, corner_y in corners:
                pdf.circle(corner_x, corner_y, 0.5, style="F")
    below = top + height + 0.5
    _at(pdf, left, below, f"{t_low:.0f} s", size=8, colour=_PALE)
    pdf.set_xy(left + width - 20, below)
    pdf.cell(20, 5, f"{t_high:.0f} s", align="R")
    if unit:
        _at(pdf, _LEFT, top - 1, f"{high:.0f}", size=8, colour=_PALE)
        _at(pdf, _LEFT, top + height - 4, f"{low:.0f}", size=8, colour=_PALE)
    pdf.set_xy(_LEFT, below + 8)


def _how(pdf: FPDF, record: ScanRecord) -> None:
    result = record.result
    _heading(pdf, "How it was measured")
    counted = (
        f"{result.accepted_s:.1f} of {result.duration_s:.1f} s counted, {result.frames} frames, "
        f"{result.measured_fps:.1f} frames per second, quality {result.quality.score * 100.0:.0f} %"
    )
    lines = [
        f"Source: {record.source}",
        counted,
        f"Version {record.version}; heart rate by {result.vitals['heart_rate'].algorithm}",
    ]
    if result.quality.limiting_factor is not None:
        lines.append(f"What limited it most: {REASONS[result.quality.limiting_factor].seen}.")
    if not record.simulated:  # the banner says more than the source's note
        lines += record.notes
    pdf.set_font("helvetica", "", 9)
    pdf.set_text_color(*_PALE)
    for line in lines:
        pdf.multi_cell(_WIDTH, 4.6, _latin(line), new_x=XPos.LMARGIN, new_y=YPos.NEXT, max_line_height=4.6)


def _foot(pdf: FPDF) -> None:
    pdf.set_xy(_LEFT, 272)
    pdf.set_draw_color(*_RULE)
    pdf.line(_LEFT, 271, _LEFT + _WIDTH, 271)
    pdf.set_font("helvetica", "", 9)
    pdf.set_text_color(*_INK)
    pdf.multi_cell(
        _WIDTH,
        4.6,
        f"{NOT_A_DEVICE} All values are estimates from the colour and movement of the picture, with their 95 % "
        "interval; a value that cannot be trusted is not shown. In an emergency call for help, whatever this says.",
    )


def _heading(pdf: FPDF, text: str) -> None:
    _line(pdf, text, size=11, style="B", height=7)


def _line(
    pdf: FPDF,
    text: str,
    *,
    size: float,
    height: float,
    style: str = "",
    colour: tuple[int, int, int] = _INK,
) -> None:
    pdf.set_font("helvetica", style, size)
    pdf.set_text_color(*colour)
    pdf.cell(_WIDTH, height, _latin(text), new_x=XPos.LMARGIN, new_y=YPos.NEXT)


def _at(
    pdf: FPDF,
    x: float,
    y: float,
    text: str,
    *,
    size: float,
    style: str = "",
    colour: tuple[int, int, int] = _INK,
) -> None:
    pdf.set_font("helvetica", style, size)
    pdf.set_text_color(*colour)
    pdf.set_xy(x, y)
    pdf.cell(0, 7 if size > 8 else 5, _latin(text))


def _latin(text: str) -> str:
    return text.encode("latin-1", "replace").decode("latin-1")
