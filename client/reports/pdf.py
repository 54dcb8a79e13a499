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
_LINES_MOST = 4
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
) -> bytes:
    """The page.

    language: BCP-47 code of the language that `client.language` speaks now ("es", "ar-EG"): for readers of the PDF, and
    for the direction of the page. name: whose scan it is, as typed. utc_offset_min: minutes that the person's clock is
    ahead of UTC; None: times are UTC. history: other scans of that person, in any order; drawn from two on, with this
    scan among them. scan_id: of the kept scan; None where it was not kept.
    Raises EnvironmentFault when the letters are missing or not the listed ones.
    """
    with checked_path("report_font") as regular, checked_path("report_font_bold") as bold:
        title = said("Health Helper: result of a scan")
        pdf = new_document(title, record.taken_at, record.version, language, regular, bold)
        try:
            story = _Story(record, name, utc_offset_min, tuple(history or ()), scan_id)
            _fill_page(pdf, story, rtl=from_right_to_left(language))
        except BaseException:
            close_letters(pdf)
            raise
        return finished(pdf)


def from_right_to_left(language: str) -> bool:
    """Whether this language (BCP-47) is written so."""
    return language.replace("_", "-").partition("-")[0].lower() in _RIGHT_TO_LEFT


def new_document(
    title: str, made_at: datetime, version: str, language: str, regular: Path, bold: Path
) -> FPDF:
    """An empty PDF/A-3B with its letters and its first page. The same arguments, the same bytes."""
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


def finished(pdf: FPDF) -> bytes:
    """The document. Its letters' files are closed, whether it could be made or not."""
    try:
        return bytes(pdf.output())
    finally:
        close_letters(pdf)


def close_letters(pdf: FPDF) -> None:
    """Close the files of its letters."""
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
