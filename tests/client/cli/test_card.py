"""The finished scan on the terminal."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from rich.console import Console

from client.cli.card import show
from client.language import Sentence
from client.records import Cost, ScanRecord
from client.reports.wording import REASONS
from edge_models.types import Quality, Reason
from tests.client.pipeline.fakes import estimate, scan_result

RECORD = ScanRecord(
    source="clip.mp4",
    simulated=False,
    result=scan_result(),
    notes=(Sentence("The header's frame rate is wrong."),),
    cost=Cost(1.0, 1.0, 0.5, 0.2, 1.0, 2.0, 100.0),
    saved=False,
    saved_reason="no_save",
    taken_at=datetime(2026, 11, 20, 9, 30, tzinfo=UTC),
    version="1.2.3",
)


def text_of(record: ScanRecord, columns: int = 84, encoding: str = "utf-8") -> str:
    buffer = io.BytesIO()
    file = io.TextIOWrapper(buffer, encoding=encoding, errors="strict", write_through=True)
    show(record, Console(file=file, width=columns, color_system=None))
    return buffer.getvalue().decode(encoding)


def joined(text: str) -> str:
    """The words without frames and line breaks."""
    return " ".join(text.replace("│", " ").split())


def test_every_vital_sign_has_its_interval_or_its_reason() -> None:
    text = joined(text_of(RECORD))
    assert "Heart rate 70 /min 95 % interval 68 to 72" in text
    assert "Breathing rate -- not shown: two ways of measuring disagreed" in text
    assert "Variability RMSSD -- not shown: it needs 60 s of good signal" in text
    assert "The header's frame rate is wrong." in text
    assert "Not saved: you asked for that." in text
    assert "Not a medical device" in text


@pytest.mark.parametrize("reason", list(Reason))
def test_a_withheld_heart_rate_says_why_and_what_to_do(reason: Reason) -> None:
    text = joined(text_of(replace(RECORD, result=scan_result(estimate(None, reason)))))
    assert f"No heart rate: {REASONS[reason].seen}." in text
    assert REASONS[reason].remedy in text


def test_the_same_reason_is_not_said_twice() -> None:
    text = joined(text_of(replace(RECORD, result=scan_result(estimate(None, Reason.TOO_SHORT)))))
    assert text.count(REASONS[Reason.TOO_SHORT].seen) == 1
    assert "for the same reason" in text


def test_what_limits_a_shown_value_is_said() -> None:
    limited = scan_result(
        estimate(70.0, Reason.MOTION), quality=Quality(0.5, (Reason.MOTION,), Reason.LIGHT_CHANGES)
    )
    text = joined(text_of(replace(RECORD, result=limited)))
    assert f"68 to 72; less sure because {REASONS[Reason.MOTION].seen}" in text
    assert f"What limited it most: {REASONS[Reason.LIGHT_CHANGES].seen}." in text


def test_of_a_value_that_is_sure_a_reason_is_a_remark() -> None:
    sure = replace(estimate(70.0, Reason.TOO_NEAR), confidence=1.0)
    text = joined(text_of(replace(RECORD, result=scan_result(sure))))
    assert "68 to 72. Remark: the face was too near." in text and "less sure" not in text


def test_a_scan_of_a_second_was_too_short_whatever_the_camera_gave() -> None:
    short = replace(estimate(None, Reason.TOO_FEW_FRAMES), window_s=0.97)
    limited = Quality(0.0, (Reason.TOO_FEW_FRAMES,), Reason.TOO_FEW_FRAMES)
    text = joined(text_of(replace(RECORD, result=scan_result(short, quality=limited))))
    assert "No heart rate: there was too little usable signal. Measure for longer: 7 s of good signal" in text
    assert "too few pictures" not in text and "other programs" not in text


def test_the_simulated_are_marked() -> None:
    assert "SIMULATED" in text_of(replace(RECORD, simulated=True))
    assert "SIMULATED" not in text_of(RECORD)


@pytest.mark.parametrize("columns", [20, 40, 49, 50, 80, 160])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_it_fits_every_terminal(columns: int, encoding: str) -> None:
    text = text_of(replace(RECORD, simulated=True), columns, encoding)
    assert max(len(line) for line in text.splitlines()) <= columns
    assert "70 /min" in text
