"""A kept scan is the scan: its public JSON, its remarks and its wave come back."""

from __future__ import annotations

import json
import math
import struct
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from client import language
from client.errors import BadInput
from client.language import Sentence
from client.records import Cost, ScanRecord
from client.store.observations import Observations
from client.store.scans import taken_at_local, to_observation, to_record
from edge_models.types import Reason, Trace, TrendPoint
from tests.client.pipeline.fakes import estimate, scan_result
from tests.client.reports.languages import in_language as in_language  # noqa: PLC0414 (a fixture)

WAVE = Trace(1.5 + np.arange(600) / 30.0, np.sin(np.arange(600) / 5.0) * 1e-3)


def record(**changes: Any) -> ScanRecord:
    result = replace(scan_result(), bvp=WAVE)
    plain = ScanRecord(
        source="a clip.mp4",
        simulated=False,
        result=result,
        notes=(Sentence("The header's frame rate is wrong."),),
        cost=Cost(1.0, 2.0, 0.3, 0.4, 1.5, 3.0, None),
        saved=True,
        saved_reason=None,
        taken_at=datetime(2026, 3, 1, 12, 0, 0, 123000, tzinfo=UTC),
        version="0.1.0",
    )
    return replace(plain, **changes)


def test_it_comes_back_from_the_store(store: Observations) -> None:
    kept = to_observation(record(), person=None)
    store.save(kept)
    found = store.get(kept.line.id)
    assert found is not None
    back = to_record(found)
    assert back.to_json() == record().to_json()
    assert (back.notes, back.version, back.taken_at) == (record().notes, "0.1.0", record().taken_at)
    assert np.allclose(back.result.bvp.t_s, WAVE.t_s) and np.allclose(
        back.result.bvp.values, WAVE.values, atol=1e-9
    )
    assert kept.line.numbers.heart_rate == 70.0 and kept.line.numbers.rmssd is None


def test_remarks_are_kept_without_a_language(in_language: None) -> None:
    nested = Sentence("Because {why}, {count} times.", {"why": Sentence("it was dark"), "count": 3})
    kept = to_observation(record(notes=(Sentence("Plain."), nested)), person=None)
    body = json.loads(json.dumps(kept.body))
    assert "«" not in json.dumps(body, ensure_ascii=False)
    assert body["notes"] == ["Plain.", "Because it was dark, 3 times."]  # as an export is read
    back = to_record(replace(kept, body=body))
    assert [str(note) for note in back.notes] == ["«Plain.»", "«Because «it was dark», 3 times.»"]
    language.use(None)
    assert [str(note) for note in back.notes] == ["Plain.", "Because it was dark, 3 times."]


def test_remarks_that_were_kept_as_plain_text_are_shown() -> None:
    kept = to_observation(record(), person=None)
    body = json.loads(json.dumps(kept.body))
    del body["remarks"]
    body["notes"] = ["Se detuvo antes {x}.", "Times are the driver's own."]
    assert [str(note) for note in to_record(replace(kept, body=body)).notes] == body["notes"]


def test_a_scan_without_a_wave() -> None:
    kept = to_observation(record(result=scan_result()), person=None)
    assert len(to_record(replace(kept, wave=None)).result.bvp.values) == 0


def test_numbers_that_are_not_finite_are_not_kept_as_numbers() -> None:
    bad = replace(estimate(70.0), high=float("inf"))
    kept = to_observation(record(result=scan_result(heart_rate=bad)), person=None)
    assert kept.line.numbers.heart_rate is None
    json.dumps(kept.body, allow_nan=False)


def test_reasons_of_a_newer_version_are_left_out_of_what_is_shown_and_stay_kept() -> None:
    kept = to_observation(record(), person=None)
    body = json.loads(json.dumps(kept.body))
    body["scan"]["vitals"]["sdnn"]["reasons"] = ["of_a_newer_version"]
    body["scan"]["quality"]["limiting_factor"] = "of_a_newer_version"
    newer = replace(kept, body=body)
    shown = to_record(newer).result
    assert shown.vitals["sdnn"].reasons == (Reason.IMPLAUSIBLE,)
    assert shown.quality.limiting_factor is None
    assert newer.body["scan"]["vitals"]["sdnn"]["reasons"] == ["of_a_newer_version"]


def test_keys_of_a_newer_version_are_left_out_of_what_is_shown() -> None:
    kept = to_observation(
        record(result=replace(scan_result(), trend=(TrendPoint(1.0, 70.0, 69.0, 71.0),))), person=None
    )
    body = json.loads(json.dumps(kept.body))
    body["scan"]["cost"]["energy_j"] = 3.0
    body["scan"]["trend"][0]["confidence"] = 0.9
    body["scan"]["vitals"]["sdnn"]["more"] = 1
    assert to_record(replace(kept, body=body)).to_json() == to_record(kept).to_json()
    del body["scan"]["cost"]["wall_s"]
    with pytest.raises(BadInput, match="another version"):
        to_record(replace(kept, body=body))


@pytest.mark.parametrize(
    "wave",
    [
        b"",
        b"short",
        struct.pack("<dd", 0.0, 0.1),
        struct.pack("<ddf", 0.0, 0.1, 1.0),
        struct.pack("<ddff", 0.0, 0.1, 1.0, 2.0) + b"x",
        struct.pack("<ddff", 0.0, 0.0, 1.0, 2.0),
        struct.pack("<ddff", math.nan, 0.1, 1.0, 2.0),
        struct.pack("<ddff", 0.0, math.inf, 1.0, 2.0),
        struct.pack("<ddff", 0.0, 0.1, math.nan, 2.0),
    ],
)
def test_a_broken_wave_is_none(wave: bytes) -> None:
    kept = replace(to_observation(record(), person=None), wave=wave)
    back = to_record(kept)
    assert len(back.result.bvp.t_s) == len(back.result.bvp.values) == 0
    assert back.to_json() == record().to_json()


@pytest.mark.parametrize(
    "body", [{}, {"schema": "health-helper/kept-scan/2", "scan": {}}, {"schema": "health-helper/kept-scan/1"}]
)
def test_what_another_version_kept_gets_a_sentence(body: dict[str, object]) -> None:
    with pytest.raises(BadInput, match="another version"):
        to_record(replace(to_observation(record(), person=None), body=body))


def test_the_clock_of_the_place_is_kept() -> None:
    line = replace(to_observation(record(), person=None).line, utc_offset_min=-210)
    assert taken_at_local(line) == record().taken_at.replace(tzinfo=None) - timedelta(minutes=210)
