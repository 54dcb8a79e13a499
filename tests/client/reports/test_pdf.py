"""The PDF: one page, readable words, vector curves, marked when simulated."""

from __future__ import annotations

import re
import zlib
from dataclasses import replace

import numpy as np
import pytest

from client.reports.pdf import render
from edge_models.types import Reason, Trace, TrendPoint
from tests.client.cli.test_card import RECORD
from tests.client.pipeline.fakes import EMPTY, estimate, scan_result


def streams(pdf: bytes) -> str:
    """The unpacked page contents."""
    packed = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)
    out = []
    for content in packed:
        try:
            out.append(zlib.decompress(content).decode("latin-1"))
        except zlib.error:
            continue
    return "\n".join(out)


def words(pdf: bytes) -> str:
    """Every shown text, in order."""
    shown = re.findall(r"\(((?:\\.|[^\\()])*)\)\s*Tj", streams(pdf))
    return " ".join(re.sub(r"\\(.)", r"\1", text) for text in shown)


def test_it_is_one_page_with_every_value_interval_and_reason() -> None:
    pdf = render(RECORD)
    assert pdf.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type /Page\b(?!s)", pdf)) == 1
    text = words(pdf)
    for expected in (
        "Heart rate",
        "70 /min",
        "68 to 72",
        "not shown: two ways of measuring disagreed",
        "2026-11-20 09:30 UTC",
        "clip.mp4",
        "1.2.3",
        "Not a medical device",
        "The header's frame rate is wrong.",
    ):
        assert expected in text
    assert "SIMULATED" not in text


def test_the_simulated_are_marked() -> None:
    assert "SIMULATED" in words(render(replace(RECORD, simulated=True)))


def test_the_curves_are_lines_not_pictures() -> None:
    pdf = render(RECORD)
    assert b"/Subtype /Image" not in pdf
    assert (
        len(re.findall(r"-?[\d.]+ -?[\d.]+ l\b", streams(pdf))) > 250
    )  # ten seconds of the wave at 30 per second


def test_a_withheld_result_without_any_curve_has_a_page_too() -> None:
    result = scan_result(estimate(None, Reason.NO_FACE), bvp=EMPTY, trend=(), frames=0, duration_s=0.0)
    text = words(render(replace(RECORD, result=result)))
    assert "not shown: no face was seen" in text
    assert "None was found." in text
    assert "No heart rate was shown at any moment." in text


@pytest.mark.parametrize(
    "name", ["Übung (1).mp4", "张伟.mp4", "a\\b(c).mp4", "n" * 300 + ".mp4", "\N{GRINNING FACE}.mp4"]
)
def test_any_name_of_a_file_is_survived(name: str) -> None:
    assert render(replace(RECORD, source=name)).startswith(b"%PDF-")


def test_odd_curves_are_survived() -> None:
    flat = Trace(np.arange(10) / 30.0, np.zeros(10))
    one = (TrendPoint(5.0, 70.0, 68.0, 72.0),)
    gaps = tuple(TrendPoint(float(s), 70.0 if s % 3 else None, None, None) for s in range(600))
    for bvp, trend in ((flat, one), (RECORD.result.bvp, gaps)):
        pdf = render(replace(RECORD, result=scan_result(bvp=bvp, trend=trend)))
        assert len(re.findall(rb"/Type /Page\b(?!s)", pdf)) == 1


def test_many_notes_stay_on_the_page() -> None:
    pdf = render(
        replace(RECORD, notes=("A note that is rather long and says a lot about the source. " * 3,) * 4)
    )
    assert len(re.findall(rb"/Type /Page\b(?!s)", pdf)) == 1
