"""The PDF: one page in every language, readable words, vector curves, marked when simulated."""

from __future__ import annotations

import itertools
import logging
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest

from client import weights
from client.errors import EnvironmentFault
from client.language import Sentence
from client.records import ScanRecord
from client.reports import pdf as report
from client.reports.pdf import render
from client.reports.proof import digest, verify
from client.reports.wording import REASONS
from edge_models.types import Quality, Reason, Trace, TrendPoint
from tests.client.cli.test_card import RECORD
from tests.client.pipeline.fakes import EMPTY, estimate, scan_result
from tests.client.reports.languages import ARABIC
from tests.client.reports.languages import in_a_long_language as in_a_long_language  # noqa: PLC0414 (a fixture)
from tests.client.reports.languages import in_arabic as in_arabic  # noqa: PLC0414 (a fixture)
from tests.client.reports.languages import in_language as in_language  # noqa: PLC0414 (a fixture)
from tests.client.reports.pages import (
    Piece,
    alternatives,
    drawing,
    metadata,
    objects,
    opened,
    page_count,
    pieces,
    words,
)

MARGIN_PT, RIGHT_PT, HEIGHT_PT = 51.0, 544.3, 841.9
HISTORY = tuple((datetime(2026, 11, day, 9, 0, tzinfo=UTC), 60.0 + day) for day in (15, 3, 8))
LONGEST = max(Reason, key=lambda reason: len(REASONS[reason].seen) + len(REASONS[reason].remedy))


def withheld(*reasons: Reason) -> ScanRecord:
    """A scan without any number."""
    vitals = {name: estimate(None, *reasons) for name in RECORD.result.vitals}
    limits = Quality(0.1, reasons, reasons[0])
    return replace(RECORD, result=scan_result(bvp=EMPTY, trend=(), vitals=vitals, quality=limits))


def in_order(page: bytes) -> None:
    """It is one page, nothing is written outside its margins, nothing over other words."""
    assert page_count(page) == 1
    found = pieces(page)
    for piece in found:
        assert 28.0 < piece.y < HEIGHT_PT - 28.0, piece
        assert piece.x > MARGIN_PT - 1.0 and piece.end_x < RIGHT_PT + 1.0, piece
    for one, other in itertools.combinations(found, 2):
        beside = one.end_x <= other.x + 0.1 or other.end_x <= one.x + 0.1
        assert beside or abs(one.y - other.y) > 0.85 * min(one.size, other.size), (one, other)


def piece_with(page: bytes, text: str) -> Piece:
    found = [piece for piece in pieces(page) if text in piece.text]
    assert found, text
    return found[0]


def test_it_is_one_page_with_every_value_interval_and_reason() -> None:
    pdf = render(RECORD)
    assert pdf.startswith(b"%PDF-")
    in_order(pdf)
    text = words(pdf)
    for expected in (
        "Heart rate 70 /min 95 % interval 68 to 72, confidence 90 %",
        "not shown: two ways of measuring disagreed",
        "Result of a scan, 2026-11-20 09:30 UTC",
        "Source: clip.mp4",
        "29.5 of 30.0 s counted, 900 frames, 30.0 frames per second, quality 91 %",
        "Version 1.2.3; heart rate by fake",
        "The header's frame rate is wrong.",
        "What it is not Not a medical device. It does not diagnose,",
        "a value that cannot be trusted is not shown. In an emergency call for help, whatever this says.",
    ):
        assert expected in text
    assert "SIMULATED" not in text


def test_the_simulated_are_marked() -> None:
    assert "SIMULATED" in words(render(replace(RECORD, simulated=True)))


def test_what_makes_a_value_less_sure_is_said() -> None:
    less = replace(RECORD, result=scan_result(estimate(70.0, Reason.MOTION)))
    assert "confidence 90 %; less sure because there was too much movement" in words(render(less))


def test_of_a_value_that_is_sure_a_reason_is_a_remark() -> None:
    sure = replace(estimate(70.0, Reason.TOO_NEAR), confidence=1.0)
    text = words(render(replace(RECORD, result=scan_result(sure))))
    assert "confidence 100 %. Remark: the face was too near." in text and "less sure" not in text


def test_a_scan_of_a_second_was_too_short_whatever_the_camera_gave() -> None:
    short = replace(estimate(None, Reason.TOO_FEW_FRAMES), window_s=0.97)
    limited = Quality(0.0, (Reason.TOO_FEW_FRAMES,), Reason.TOO_FEW_FRAMES)
    text = words(render(replace(RECORD, result=scan_result(short, quality=limited))))
    assert "Measure for longer: 7 s of good signal or more." in text
    assert "too few pictures" not in text and "other programs" not in text


def test_a_withheld_heart_rate_says_what_to_do() -> None:
    text = words(render(withheld(Reason.TOO_DARK)))
    assert "not shown: it was too dark. Switch on a light in front of you, or turn towards a window." in text


def test_the_curves_are_lines_not_pictures() -> None:
    pdf = render(RECORD)
    assert b"/Subtype /Image" not in pdf
    lines = re.findall(rb"-?[\d.]+ -?[\d.]+ l\b", drawing(pdf))
    assert len(lines) > 250  # ten seconds of the wave at 30 per second


def test_a_withheld_result_without_any_curve_has_a_page_too() -> None:
    result = scan_result(estimate(None, Reason.NO_FACE), bvp=EMPTY, trend=(), frames=0, duration_s=0.0)
    text = words(render(replace(RECORD, result=result)))
    assert "not shown: no face was seen" in text
    assert "None was found." in text
    assert "No heart rate was shown at any moment." in text


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Übung (1).mp4", "Übung (1).mp4"),
        ("Łódź−–—±.mp4", "Łódź−–—±.mp4"),
        ("U\u0308bung.mp4", "Übung.mp4"),  # composed: the font has the whole letter
        ("张伟.mp4", "��.mp4"),
        ("\N{STETHOSCOPE}.mp4", "�.mp4"),
        ("a\\b(c).mp4", "a\\b(c).mp4"),
        ("a\nb\tc.mp4", "a b c.mp4"),
        ("a\u202eb\u2066.mp4", "ab.mp4"),  # what would turn the direction unseen
        ("{nb} {name}.mp4", "{nb} {name}.mp4"),
        ("n" * 300 + ".mp4", "n" * 80),
    ],
)
def test_any_name_of_a_file_is_shown_as_far_as_there_are_letters(
    name: str, shown: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        pdf = render(replace(RECORD, source=name))
    in_order(pdf)
    assert f"Source: {shown}" in words(pdf)
    assert not caplog.records  # fpdf2 warns of letters that a font does not have


def test_odd_curves_are_survived() -> None:
    flat = Trace(np.arange(10) / 30.0, np.zeros(10))
    one = (TrendPoint(5.0, 70.0, 68.0, 72.0),)
    gaps = tuple(TrendPoint(float(s), 70.0 if s % 3 else None, None, None) for s in range(600))
    odd = (TrendPoint(5.0, float("nan"), None, None), TrendPoint(6.0, 70.0, None, None))
    for bvp, trend in ((flat, one), (RECORD.result.bvp, gaps), (flat, odd)):
        pdf = render(replace(RECORD, result=scan_result(bvp=bvp, trend=trend)))
        in_order(pdf)
        assert b"nan" not in drawing(pdf)


def test_many_notes_stay_on_the_page() -> None:
    note = "A note that is rather long and says a lot about the source. " * 3
    pdf = render(replace(RECORD, notes=(Sentence(note),) * 4))
    in_order(pdf)
    assert words(pdf).count("A note that is rather long") == 12
    more = render(replace(RECORD, notes=(Sentence("x" * 1000),) * 50))
    in_order(more)
    assert words(more).count("…") == 6  # five notes cut short, and a sign that there were more


# --- Whose, when, before -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offset_min", "shown"),
    [
        (None, "2026-11-20 09:30 UTC"),
        (0, "2026-11-20 09:30 UTC"),
        (60, "2026-11-20 10:30 UTC+01:00"),
        (345, "2026-11-20 15:15 UTC+05:45"),
        (-570, "2026-11-20 00:00 UTC-09:30"),
        (900, "2026-11-21 00:30 UTC+15:00"),
    ],
)
def test_the_time_is_that_of_the_persons_clock(offset_min: int | None, shown: str) -> None:
    assert f"Result of a scan, {shown} Vital" in words(render(RECORD, utc_offset_min=offset_min))


def test_the_name_is_shown_where_it_is_known() -> None:
    assert words(render(RECORD, name="Ada Łukasz")).startswith("Health Helper Ada Łukasz Result of a scan")
    assert words(render(RECORD)).startswith("Health Helper Result of a scan")


def test_a_very_long_name_stays_on_the_page() -> None:
    for name in ("N" * 300, "very long name " * 30):
        pdf = render(RECORD, name=name, history=HISTORY)
        in_order(pdf)
        assert "…" in words(pdf)


def test_an_arabic_name_is_joined_and_turned_on_an_english_page() -> None:
    name = "فاطمة 2"
    pdf = render(RECORD, name=name)
    piece = piece_with(pdf, "2 ةمطاف")  # as it is drawn, from the left
    assert piece.x == pytest.approx(MARGIN_PT, abs=0.1)
    assert "\N{REPLACEMENT CHARACTER}" not in piece.text
    alone = render(RECORD, name="ا ب")
    joined = render(RECORD, name="بب")  # its first letter is drawn otherwise than its last one
    assert len(set(piece_with(joined, "بب").glyphs)) == 2
    assert page_count(alone) == 1


def test_earlier_scans_are_a_chart_over_days() -> None:
    pdf = render(RECORD, history=HISTORY)
    in_order(pdf)
    assert (
        "Heart rate over time (/min; pale: 95 % interval; upright lines: weeks) 2026-11-03 2026-11-20"
        in words(pdf)
    )
    assert alternatives(pdf)[2] == (
        "The heart rates of 4 scans from 2026-11-03 to 2026-11-20: between 63 and 75 per minute."
    )


def test_days_are_those_of_the_persons_clock() -> None:
    late = [(datetime(2026, 11, day, 23, 30, tzinfo=UTC), 70.0) for day in (3, 8)]
    assert "2026-11-04 2026-11-20" in words(render(RECORD, history=late, utc_offset_min=60))


def test_one_day_is_told_by_its_hours() -> None:
    today = [(RECORD.taken_at - timedelta(hours=hours), 70.0) for hours in (1, 2)]
    assert "2026-11-20 07:30 2026-11-20 09:30" in words(render(RECORD, history=today))


@pytest.mark.parametrize(
    "history",
    [
        (),
        HISTORY[:1],
        (HISTORY[0], (RECORD.taken_at, 70.0)),  # this scan itself is no other one
        (HISTORY[0], (RECORD.taken_at + timedelta(microseconds=900), 70.0)),  # as the store has rounded it
        (HISTORY[0], (HISTORY[1][0], float("nan"))),
    ],
)
def test_fewer_than_two_earlier_scans_are_no_chart(history: tuple[tuple[datetime, float], ...]) -> None:
    pdf = render(RECORD, history=history)
    assert "over time" not in words(pdf)
    assert pdf == render(RECORD)


def test_a_simulated_scan_is_no_dot_among_real_ones() -> None:
    pdf = render(replace(RECORD, simulated=True), history=HISTORY)
    assert "The heart rates of 3 scans" in alternatives(pdf)[2]


def test_years_of_scans_stay_a_small_file() -> None:
    many = [(RECORD.taken_at - timedelta(hours=5 * index), 70.0 + index % 9) for index in range(5000)]
    pdf = render(RECORD, history=many)
    in_order(pdf)
    assert len(pdf) < 150_000


def test_the_interval_of_each_scan_is_drawn_where_it_is_known() -> None:
    known = [(when, value, value - 4.0, value + 9.0) for when, value in HISTORY]
    plain, banded = render(RECORD, history=HISTORY), render(RECORD, history=known)
    in_order(banded)
    upright = [len(re.findall(rb"([\d.]+) [\d.]+ m \1 [\d.]+ l S", drawing(pdf))) for pdf in (plain, banded)]
    assert upright[0] + 3 == upright[1]


def test_weeks_are_lines_on_mondays_of_the_persons_clock() -> None:
    first, last = datetime(2026, 11, 4, 23, 0, tzinfo=UTC), datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
    assert report._weeks_s(first, last) == [4 * 86_400 + 3_600, 11 * 86_400 + 3_600]
    assert report._weeks_s(first, first + timedelta(days=4)) == []
    assert report._weeks_s(first, first + timedelta(days=4000)) == []


@pytest.mark.parametrize("low, high", [(35.0, 36.1), (60.0, 66.0), (40.0, 180.0), (-1e9, 1e9), (70.0, 70.1)])
def test_lines_of_a_chart_are_few_and_inside(low: float, high: float) -> None:
    levels = report._levels(low, high)
    assert len(levels) <= 5 and all(low <= level <= high for level in levels)
    assert levels or high - low < 0.2


# --- What ties it to the scan ------------------------------------------------------------------------


def picture(pdf: bytes, page: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """The page as it is printed, in shades of grey."""
    with opened(pdf) as document:
        image = document[page].render(scale=3.0, grayscale=True).to_numpy().copy()
    return np.ascontiguousarray(image.reshape(image.shape[:2]))


@pytest.mark.usefixtures("in_arabic")
@pytest.mark.parametrize("language", ["en", "ar"])
def test_the_code_on_the_page_is_that_of_the_scan(language: str) -> None:
    scan_id = "0b9c1f6e-7d2e-4bb2-8f36-1d0a4a1f2c3d"
    pdf = render(RECORD, language=language, name="Ada", history=HISTORY, scan_id=scan_id)
    read, _, _ = cv2.QRCodeDetector().detectAndDecode(picture(pdf))
    assert read == f"health-helper:scan:{scan_id}:{digest(RECORD)}"
    assert verify(read, RECORD, scan_id)
    assert digest(RECORD) in words(pdf) and scan_id in words(pdf)
    assert read in alternatives(pdf)[-1]


# --- As a document -----------------------------------------------------------------------------------


def test_it_is_a_pdf_for_archives_in_its_language_with_a_title() -> None:
    pdf = render(RECORD, language="es")
    assert b"/Lang (es)" in pdf
    assert b"/DisplayDocTitle true" in pdf
    assert b"/OutputIntents" in pdf and b"/Info " not in pdf.rpartition(b"trailer")[2]
    about = metadata(pdf)
    assert "<pdfaid:part>3</pdfaid:part><pdfaid:conformance>B</pdfaid:conformance>" in about
    assert ">Health Helper: result of a scan<" in about
    assert "<xmp:CreateDate>2026-11-20T09:30:00+00:00</xmp:CreateDate>" in about


def test_its_letters_travel_with_it() -> None:
    fonts = [head for head, _ in objects(render(RECORD)).values() if b"/Type /FontDescriptor" in head]
    assert len(fonts) == 2
    assert all(b"/FontFile2" in font and b"DejaVuSans" in font for font in fonts)


def test_the_same_record_gives_the_same_bytes() -> None:
    first, second = (render(RECORD, language="es", name="Ada", history=HISTORY) for _ in range(2))
    assert first == second


def test_curves_are_described_for_those_who_cannot_see_them() -> None:
    assert alternatives(render(RECORD))[:2] == [
        "The pulse wave from second 0 to second 10 of the scan.",
        "The heart rate from second 10 to second 10 of the scan: between 70 and 70 per minute.",
    ]


def test_without_its_letters_there_is_a_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "MODELS.toml").write_bytes(weights.folder().joinpath("MODELS.toml").read_bytes())
    monkeypatch.setattr("client.weights.folder", lambda: tmp_path)
    with pytest.raises(EnvironmentFault, match=r"DejaVuSans\.ttf .* is missing.*make setup"):
        render(RECORD)


# --- Languages ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("in_language")
def test_every_word_of_the_app_goes_through_the_persons_language() -> None:
    less = scan_result(estimate(70.0, Reason.MOTION), quality=Quality(0.5, (Reason.MOTION,), Reason.MOTION))
    for record in (replace(RECORD, result=less), withheld(Reason.NO_FACE)):
        pdf = render(replace(record, notes=()), history=HISTORY)
        text = words(pdf)
        inside = re.sub(r"«[^«»]*»", "", re.sub(r"«[^«»]*»", "", re.sub(r"«[^«»]*»", "", text)))
        left = set(inside.split())
        assert all(re.fullmatch(r"[\d:-]+|Health|Helper", word) for word in left), left
        assert all(words_.startswith("«") for words_ in alternatives(pdf))
        assert "«Health Helper: result of a scan»" in metadata(pdf)


@pytest.mark.usefixtures("in_language")
def test_remarks_are_in_the_language_of_the_report() -> None:
    note = Sentence("The camera failed and was opened again ({count} ×).", {"count": 2})
    assert "«The camera failed and was opened again (2 ×).»" in words(render(replace(RECORD, notes=(note,))))


@pytest.mark.usefixtures("in_a_long_language")
@pytest.mark.parametrize("reason", [LONGEST, Reason.TOO_SHORT])
def test_a_language_with_longer_words_has_room(reason: Reason) -> None:
    note = "A note that is rather long and says a lot about the source. " * 3
    record = replace(withheld(reason), notes=(Sentence(note),) * 4, source="n" * 300)
    in_order(render(record, name="very long name " * 30, history=HISTORY))
    shown = {name: estimate(188.0, LONGEST) for name in RECORD.result.vitals}
    shown_all = replace(record, result=scan_result(vitals=shown, quality=Quality(0.1, (), LONGEST)))
    in_order(render(shown_all, name="very long name " * 30, history=HISTORY))
    in_order(render(replace(shown_all, simulated=True), history=HISTORY))


@pytest.mark.usefixtures("in_a_long_language")
def test_letters_get_smaller_where_there_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_CHART_LEAST", 34.0)
    record = replace(RECORD, notes=(Sentence("A note that says a lot. " * 10),) * 4)
    pdf = render(record, name="Ada", history=HISTORY)
    in_order(pdf)
    assert max(piece.size for piece in pieces(pdf)) < 18.0


@pytest.mark.usefixtures("in_arabic")
@pytest.mark.parametrize("language", ["ar", "ar-EG", "AR"])
def test_a_language_from_right_to_left_has_its_page_mirrored(language: str) -> None:
    pdf = render(RECORD, language=language, name="Ada", history=HISTORY)
    in_order(pdf)
    label, value = (piece_with(pdf, shown[::-1]) for shown in (ARABIC["Heart rate"], "في الدقيقة"))
    assert label.end_x == pytest.approx(RIGHT_PT, abs=1.0)
    assert label.x > value.end_x
    assert value.text.endswith(" 70")
    assert value.x > piece_with(pdf, "95 % interval").end_x
    assert piece_with(pdf, "Ada").x > 300.0
    begin, end = (piece for piece in pieces(pdf) if piece.text in {"2026-11-03", "2026-11-20"})
    assert begin.x < end.x, "time runs from left to right"
    text = words(pdf)
    assert "2026-11-20 09:30 UTC\N{LEFT-TO-RIGHT MARK} ،صحف ةجيتن" in text  # a date is not turned
    assert "ريغت RMSSD" in text  # a sentence begins at the right, even with a Latin word
    assert ".ريرقتلا اذه لاق امهم" in text  # the full stop stands at the left


def test_a_foreign_language_from_left_to_right_is_not_mirrored() -> None:
    pdf = render(RECORD, language="es", name="Ada")
    assert piece_with(pdf, "Heart rate").x == piece_with(pdf, "Ada").x == pytest.approx(MARGIN_PT, abs=0.1)


@pytest.mark.parametrize("language", ["en", "ar"])
def test_time_runs_from_left_to_right_in_every_language(language: str) -> None:
    rising = Trace(np.arange(90) / 30.0, np.arange(90) / 90.0)
    pdf = render(replace(RECORD, result=scan_result(bvp=rising, trend=(), beats_s=())), language=language)
    curve = drawing(pdf).partition(b" BDC")[2].partition(b"EMC")[0]
    x, y = np.array(re.findall(rb"([\d.]+) ([\d.]+) [ml]\b", curve), dtype=np.float64).T
    assert x.size == 90
    assert np.all(np.diff(x) > 0) and np.all(np.diff(y) > 0)


def test_the_record_number_stands_under_the_name_where_it_is_known() -> None:
    pdf = render(RECORD, name="Ada", record_number="R-0815")
    assert words(pdf).startswith("Health Helper Ada Record number R-0815 Result of a scan")
    in_order(pdf)
    assert "Record number" not in words(render(RECORD, name="Ada"))
    in_order(render(RECORD, name="very long name " * 30, record_number="9" * 40, history=HISTORY))


def test_a_record_number_is_read_in_its_own_order_from_right_to_left(in_arabic: None) -> None:
    pdf = render(RECORD, language="ar", name="Ada", record_number="2026-11 A")
    assert "2026-11 A" in words(pdf)
    in_order(pdf)
