"""The record of a scan as JSON: finite, complete, rounded."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from client.records import sanitised
from edge_models.types import Estimate, Reason, TrendPoint
from tests.client.cli.test_card import RECORD
from tests.client.pipeline.fakes import estimate, scan_result


@pytest.mark.parametrize("odd", [math.inf, -math.inf])
def test_an_estimate_that_is_not_finite_becomes_none_with_a_reason(odd: float) -> None:
    low, high = min(odd, 60.0), max(odd, 80.0)
    strange = Estimate(70.0, low, high, "/min", 0.9, (), 30.0, "fake")
    shown = sanitised(strange)
    assert (shown.value, shown.low, shown.high) == (None, None, None)
    assert Reason.IMPLAUSIBLE in shown.reasons
    assert sanitised(estimate(70.0)) == estimate(70.0)


def test_no_number_in_the_json_is_ever_infinite_or_nan() -> None:
    strange = scan_result(
        Estimate(70.0, 60.0, math.inf, "/min", 0.9, (), 30.0, "fake"),
        trend=(TrendPoint(1.0, math.nan, 60.0, 80.0),),
        beats_s=(0.4, math.nan),
        measured_fps=math.nan,
    )
    record = replace(RECORD, result=strange)
    printed = json.loads(record.to_json_text(), parse_constant=pytest.fail)
    assert printed["vitals"]["heart_rate"]["reasons"] == ["implausible"]
    assert printed["trend"] == [{"t_s": 1.0, "heart_rate": None, "low": None, "high": None}]
    assert printed["beats_s"] == [0.4]
    assert record.heart_rate.value is None


def test_the_json_is_ascii_and_one_line_whatever_the_source_is_called() -> None:
    text = replace(RECORD, source="Müller\n张.mp4").to_json_text()
    assert text.isascii()
    assert "\n" not in text
    assert json.loads(text)["source"] == "Müller\n张.mp4"
