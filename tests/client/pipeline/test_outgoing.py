"""What the cloud is sent of what is kept: the numbers and nothing that names anybody."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend_lambda import wire as server
from client.cloud.forms import Unfit
from client.cloud.wire import ObservationBatch
from client.errors import BadInput
from client.language import Sentence
from client.pipeline.outgoing import to_wire
from client.records import Cost, ScanRecord
from client.store import entries, scans
from client.store.observations import Kind, Line, Numbers, Observation, new_id
from edge_models.types import Estimate, Quality, Reason, Trace
from edge_models.vitals import VITALS
from tests.client.pipeline.fakes import scan_result

PATIENT = "3d2f1b8c-5c1e-4f6a-9d7e-1a2b3c4d5e03"
CANARY = "Zoë Canary-Quill"
TAKEN_AT = datetime(2026, 11, 27, 11, 59, 0, 123_000, tzinfo=UTC)


def record(**changes: Any) -> ScanRecord:
    plain = ScanRecord(
        source="clip.mp4",
        simulated=False,
        result=scan_result(),
        notes=(),
        cost=Cost(1.0, 2.0, 0.3, 0.4, 1.5, 3.0, None),
        saved=True,
        saved_reason=None,
        taken_at=TAKEN_AT,
        version="0.1.0",
    )
    return replace(plain, **changes)


def scan(**changes: Any) -> Observation:
    return scans.to_observation(record(**changes), person=None)


def with_body(kept: Observation, **changes: Any) -> Observation:
    return replace(kept, body={**kept.body, **changes})


def with_scan(kept: Observation, **changes: Any) -> Observation:
    return with_body(kept, scan={**kept.body["scan"], **changes})


def sent(kept: Observation) -> dict[str, Any]:
    """As JSON that the server's own model takes."""
    body = json.loads(ObservationBatch((to_wire(kept, patient_id=PATIENT),)).body())["observations"][0]
    server.Observation.model_validate(body)
    assert isinstance(body, dict)
    return body


def test_a_scan_is_sent_with_its_values_and_reasons() -> None:
    kept = scan()
    body = sent(kept)
    assert body["id"] == kept.line.id and body["patient_id"] == PATIENT and body["kind"] == "scan"
    assert body["taken_at"] == "2026-11-27T11:59:00.123000Z" and body["entered"] is False
    assert body["utc_offset_min"] == kept.line.utc_offset_min and body["software_version"] == "0.1.0"
    assert set(body["values"]) == set(kept.body["scan"]["vitals"]) == {spec.name for spec in VITALS}
    assert body["values"]["heart_rate"] == {
        "value": 70.0,
        "low": 68.0,
        "high": 72.0,
        "unit": "/min",
        "confidence": 0.9,
        "reasons": [],
        "window_s": 30.0,
        "algorithm": "fake",
    }
    assert body["values"]["rmssd"]["value"] is None and body["values"]["rmssd"]["reasons"] == ["too_short"]
    assert body["quality"] == {"score": 0.91, "reasons": [], "limiting_factor": None}
    assert body["facts"] == {
        "duration_s": 30.0,
        "accepted_s": 29.5,
        "frames": 900,
        "measured_fps": 30.0,
        "simulated": False,
    }


@pytest.mark.parametrize("kind", entries.VALUES)
def test_an_entry_is_sent_with_its_units(kind: Kind) -> None:
    values = {value.name: 37.25 + at for at, value in enumerate(entries.VALUES[kind])}
    body = sent(entries.to_observation(kind, values, TAKEN_AT, None, note=CANARY))
    assert body["kind"] == kind and body["entered"] is True
    assert body["quality"] is None and body["facts"] == {} and body["software_version"] == ""
    assert {name: one["value"] for name, one in body["values"].items()} == values
    assert {name: one["unit"] for name, one in body["values"].items()} == {
        value.name: value.unit for value in entries.VALUES[kind]
    }
    assert all(one["low"] is None and one["confidence"] is None for one in body["values"].values())


def test_what_was_not_read_off_is_not_sent() -> None:
    values = {"spo2": 97.0, "pulse": None}
    assert set(sent(entries.to_observation(Kind.OXIMETER, values, TAKEN_AT, None))["values"]) == {"spo2"}


@pytest.mark.parametrize(
    "kept", [scan(), entries.to_observation(Kind.WEIGHT, {"kg": 70.0}, TAKEN_AT, None)], ids=["scan", "entry"]
)
def test_it_is_the_same_each_time(kept: Observation) -> None:
    """Also after the store has had it as text, and an update: sent again as something else, the server would call it a conflict."""
    again = replace(kept, body=json.loads(json.dumps(kept.body)))
    assert sent(again) == sent(kept)


# --- Nothing that names anybody ----------------------------------------------------------------------

_names = st.sampled_from(
    [CANARY, f"/home/{CANARY}/clip.mp4", f"http://{CANARY}@camera", f"{CANARY}\n", f"C:\\{CANARY}"]
)
_reasons = st.lists(st.sampled_from(Reason), min_size=1, max_size=4, unique=True).map(tuple)


@st.composite
def _estimates(draw: st.DrawFn, unit: str) -> Estimate:
    reasons = draw(_reasons)
    window_s = draw(st.floats(0, 600))
    if draw(st.booleans()):
        return Estimate(None, None, None, unit, draw(st.floats(0, 1)), reasons, window_s, "any/1")
    value = draw(st.floats(20, 250) | st.just(float("nan")) | st.just(float("inf")))
    down, up = draw(st.floats(0, 9)), draw(st.floats(0, 9))
    if value != value:  # noqa: PLR0124 (NaN): `Estimate` itself takes none, what is kept could still have come from one
        value = 70.0
    return Estimate(value, value - down, value + up, unit, draw(st.floats(0, 1)), reasons, window_s, "any/1")


@st.composite
def kept_scans(draw: st.DrawFn) -> Observation:
    name = draw(_names)
    units = {"heart_rate": "/min", "respiratory_rate": "/min", "rmssd": "ms", "sdnn": "ms"}
    result = scan_result(
        vitals={vital: draw(_estimates(unit)) for vital, unit in units.items()},
        quality=Quality(draw(st.floats(0, 1)), draw(_reasons), draw(st.none() | st.sampled_from(Reason))),
        measured_fps=draw(st.floats(0, 240) | st.just(float("nan"))),
        bvp=Trace(scan_result().bvp.t_s, scan_result().bvp.values),
    )
    kept = scans.to_observation(
        record(
            source=name,
            simulated=draw(st.booleans()),
            result=result,
            notes=(
                Sentence(f"A note on {name}"),
                Sentence("{who} was here", {"who": name}),
                Sentence("{more}", {"more": Sentence("{who}", {"who": name})}),
            ),
            saved_reason=name,
            version=draw(st.sampled_from(["0.1.0", "unknown"])),
        ),
        person=name,
    )
    more = {"source": name, "comment": name, name: name}
    return with_scan(with_body(kept, person=name, **more), person=name, patient={"name": name}, **more)


@st.composite
def kept_entries(draw: st.DrawFn) -> Observation:
    kind = draw(st.sampled_from(list(entries.VALUES)))
    name = draw(_names)
    values = {value.name: draw(st.floats(-1e6, 1e6)) for value in entries.VALUES[kind]}
    kept = entries.to_observation(kind, values, TAKEN_AT, name, note=name)
    return with_body(kept, values={**kept.body["values"], name: 1.0, "remark": name}, doctor=name)


@given(kept_scans() | kept_entries())
def test_no_name_no_note_and_no_source_is_ever_sent(kept: Observation) -> None:
    assert "Canary" in json.dumps(kept.body)
    body = sent(kept)
    text = json.dumps(body, ensure_ascii=False)
    assert "Canary" not in text and "Zo" not in text and "Quill" not in text and "clip" not in text
    assert set(body) == set(server.Observation.model_fields)


_anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _names | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(_names | st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
_SPOILABLE = (
    "duration_s",
    "accepted_s",
    "frames",
    "measured_fps",
    "vitals",
    "quality",
    "schema",
    "simulated",
    "source",
)


@given(st.sampled_from(_SPOILABLE), _anything)
def test_a_kept_scan_that_somebody_spoilt_is_sent_without_it_or_not_at_all(name: str, new: Any) -> None:
    _sent_clean_or_not(with_scan(scan(), **{name: new}))


@given(
    st.sampled_from(["value", "low", "high", "unit", "confidence", "reasons", "window_s", "algorithm"]),
    _anything,
)
def test_a_spoilt_vital_sign_is_sent_without_it_or_not_at_all(name: str, new: Any) -> None:
    vitals: Mapping[str, Any] = scan().body["scan"]["vitals"]
    _sent_clean_or_not(
        with_scan(scan(), vitals={**vitals, "heart_rate": {**vitals["heart_rate"], name: new}})
    )


@given(st.sampled_from(["schema", "scan", "version", "values", "notes", "note"]), _anything, st.booleans())
def test_a_spoilt_body_is_sent_without_it_or_not_at_all(name: str, new: Any, of_scan: bool) -> None:
    kept = scan() if of_scan else entries.to_observation(Kind.WEIGHT, {"kg": 70.0}, TAKEN_AT, None)
    _sent_clean_or_not(with_body(kept, **{name: new}))


def _sent_clean_or_not(kept: Observation) -> None:
    try:
        said = json.dumps(sent(kept), ensure_ascii=False)
    except BadInput as fault:
        said = str(fault)
    assert "Canary" not in said


# --- Of other versions -------------------------------------------------------------------------------


def test_codes_of_a_newer_version_are_sent_as_they_are() -> None:
    vitals = scan().body["scan"]["vitals"]
    newer = {
        **vitals,
        "heart_rate": {**vitals["heart_rate"], "reasons": ["cosmic_rays", "Jane Roe", 5]},
        "glucose": vitals["rmssd"],
    }
    body = sent(
        with_scan(
            scan(), vitals=newer, quality={"score": 2.0, "reasons": ["moon"], "limiting_factor": "moon"}
        )
    )
    assert body["values"]["heart_rate"]["reasons"] == ["cosmic_rays"]
    assert body["values"]["glucose"]["reasons"] == ["too_short"]
    assert body["quality"] == {"score": None, "reasons": ["moon"], "limiting_factor": "moon"}


def test_a_value_that_contradicts_itself_is_withheld() -> None:
    vitals = scan().body["scan"]["vitals"]
    for change in ({"low": 71.0}, {"high": None}, {"value": None}, {"value": "70"}):
        body = sent(with_scan(scan(), vitals={**vitals, "heart_rate": {**vitals["heart_rate"], **change}}))
        rate = body["values"]["heart_rate"]
        assert rate["value"] is None and rate["low"] is None and rate["reasons"] == ["implausible"]
    shaken = {**vitals["heart_rate"], "low": 71.0, "reasons": ["motion"]}
    rate = sent(with_scan(scan(), vitals={**vitals, "heart_rate": shaken}))["values"]["heart_rate"]
    assert rate["value"] is None and rate["reasons"] == ["implausible", "motion"]


def _line(kind: str) -> Line:
    return Line(new_id(), None, kind, TAKEN_AT, 60, Numbers(), simulated=False)


@pytest.mark.parametrize(
    "kept",
    [
        Observation(_line("scan"), {}),
        Observation(_line("scan"), {"schema": "health-helper/kept-scan/2", "scan": {}}),
        Observation(_line("scan"), {"schema": scans.BODY_SCHEMA, "scan": {"schema": "health-helper/scan/2"}}),
        Observation(_line("weight"), {"schema": scans.BODY_SCHEMA, "scan": scan().body["scan"]}),
        Observation(_line("glucose"), {"schema": entries.BODY_SCHEMA, "values": {"mmol": 5.0}}),
        Observation(_line("weight"), {"schema": entries.BODY_SCHEMA, "values": {"stones": 11.0}}),
        Observation(_line("weight"), {"schema": entries.BODY_SCHEMA, "values": {"kg": 10**400}}),
        replace(scan(), line=replace(scan().line, utc_offset_min=24 * 60)),
        replace(
            scan(),
            line=replace(scan().line, id="7"),
        ),
    ],
)
def test_what_cannot_be_read_is_not_sent(kept: Observation) -> None:
    with pytest.raises(BadInput, match=r"another version .* cannot be sent by this one"):
        to_wire(kept, patient_id=PATIENT)


def test_a_patient_is_a_pseudonym() -> None:
    with pytest.raises(Unfit):
        to_wire(scan(), patient_id=CANARY)
