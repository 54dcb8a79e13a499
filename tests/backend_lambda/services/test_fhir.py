"""FHIR R4 of the wire's observations: read with HL7's own classes, and what the classes do not see looked at by itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from fhir.resources.R4B.device import Device
from fhir.resources.R4B.observation import Observation
from fhir.resources.R4B.patient import Patient
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from backend_lambda.services import fhir
from backend_lambda.wire import StoredObservation

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "wire" / "StoredObservation.json"
CLINIC, OTHER = UUID(int=1), UUID(int=2)
HEART = {"value": 61.5, "low": 59.0, "high": 64.0, "unit": "/min", "confidence": 0.9, "algorithm": "POS 1.2", "window_s": 30.0}  # fmt: skip


def stored(values: dict[str, Any], **changes: Any) -> StoredObservation:
    return StoredObservation.model_validate(
        {
            "id": UUID(int=7),
            "patient_id": UUID(int=8),
            "device_id": UUID(int=9),
            "kind": "scan",
            "taken_at": datetime(2026, 11, 27, 23, 30, tzinfo=UTC),
            "received_at": datetime(2026, 11, 27, 23, 30, 5, tzinfo=UTC),
            "utc_offset_min": 60,
            "software_version": "1.4.0",
            "values": values,
            **changes,
        }
    )


CLASSES: dict[str, Any] = {"Observation": Observation, "Device": Device, "Patient": Patient}


def read(resource: dict[str, Any]) -> Any:
    """By HL7's classes, from the JSON that goes out. What they write back is what we wrote."""
    text = json.dumps(resource, allow_nan=False)
    found = CLASSES[resource["resourceType"]].model_validate_json(text)
    assert numbers(json.loads(found.model_dump_json())) == numbers(json.loads(text))
    return found


def numbers(value: Any) -> Any:
    """The classes write decimals as text."""
    if isinstance(value, dict):
        return {key: numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [numbers(item) for item in value]
    if isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?([eE][+-]?\d+)?", value):
        return float(value)
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT[0-9:.]+(Z|[+-]\d\d:\d\d)", value):
        return datetime.fromisoformat(value)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def one(values: dict[str, Any], **changes: Any) -> dict[str, Any]:
    (found,) = fhir.observations(CLINIC, stored(values, **changes))
    read(found)
    return found


def walked(value: Any) -> Iterator[Any]:
    yield value
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from walked(item)


def test_a_heart_rate_of_a_scan() -> None:
    found = one({"heart_rate": HEART})
    assert found["code"]["coding"] == [
        {"system": "http://loinc.org", "code": "8867-4", "display": "Heart rate"}
    ]
    assert found["status"] == "final"
    assert found["category"][0]["coding"][0]["code"] == "vital-signs"
    assert found["effectiveDateTime"] == "2026-11-28T00:30:00.000+01:00", "the wall's clock"
    quantity = found["valueQuantity"]
    assert (quantity["value"], quantity["system"], quantity["code"]) == (
        61.5,
        "http://unitsofmeasure.org",
        "/min",
    )
    (interval,) = quantity["extension"]
    assert interval["url"] == "http://hl7.org/fhir/StructureDefinition/quantity-confidenceInterval"
    inner = {part["url"]: part for part in interval["extension"]}
    assert inner["confidence"]["valueDecimal"] == 95
    assert [inner["interval"]["valueRange"][end]["value"] for end in ("low", "high")] == [59.0, 64.0]
    assert inner["interval"]["valueRange"]["low"]["code"] == "/min"
    assert found["method"]["text"] == "Estimate by remote photoplethysmography with a camera (POS 1.2)"
    assert found["note"][0]["text"] == "Confidence 0.90 of 1. Over 30 s."
    device = fhir.device(CLINIC, UUID(int=9), "1.4.0")
    assert found["device"]["reference"] == f"Device/{device['id']}"
    assert read(device).version[0].value == "1.4.0"


def test_the_wire_s_own_example() -> None:
    example = StoredObservation.model_validate_json(GOLDEN.read_text(encoding="utf-8"))
    (found,) = fhir.observations(CLINIC, example)  # the respiratory rate was not shown
    read(found)
    assert found["code"]["coding"][0]["code"] == "8867-4"
    assert "dim_light" in found["note"][0]["text"]


@pytest.mark.parametrize(
    "name, unit, system, code, ucum",
    [
        ("heart_rate", "bpm", fhir.LOINC, "8867-4", "/min"),
        ("respiratory_rate", "/min", fhir.LOINC, "9279-1", "/min"),
        ("respiratory_rate", "1/min", fhir.LOINC, "9279-1", "/min"),
        ("sdnn", "ms", fhir.LOINC, "80404-7", "ms"),
        ("rmssd", "ms", fhir.LOCAL, "rmssd", "ms"),
        ("pulse", "/min", fhir.LOINC, "8867-4", "/min"),
        ("spo2", "%", fhir.LOINC, "59408-5", "%"),
        ("celsius", "°C", fhir.LOINC, "8310-5", "Cel"),
        ("kg", "kg", fhir.LOINC, "29463-7", "kg"),
    ],
)
def test_codes(name: str, unit: str, system: str, code: str, ucum: str) -> None:
    found = one({name: {"value": 40.0, "unit": unit}})
    assert found["code"]["coding"][0]["system"] == system
    assert found["code"]["coding"][0]["code"] == code
    assert found["valueQuantity"] == {"value": 40.0, "unit": ucum, "system": fhir.UCUM, "code": ucum}


def test_blood_pressure_is_one_observation_with_two_parts() -> None:
    values = {"systolic": {"value": 121.0, "unit": "mmHg"}, "diastolic": {"value": 79.0, "unit": "mmHg"}}
    found = one(values, kind="blood_pressure", entered=True)
    assert found["code"]["coding"][0]["code"] == "85354-9"
    assert "valueQuantity" not in found
    parts = {part["code"]["coding"][0]["code"]: part["valueQuantity"] for part in found["component"]}
    assert {code: part["value"] for code, part in parts.items()} == {"8480-6": 121.0, "8462-4": 79.0}
    assert {part["code"] for part in parts.values()} == {"mm[Hg]"}


def test_half_a_blood_pressure_says_what_is_missing() -> None:
    found = one({"systolic": {"value": 121.0, "unit": "mmHg"}, "diastolic": {"value": None, "unit": "mmHg", "reasons": ["not_read"]}}, entered=True)  # fmt: skip
    missing = found["component"][1]
    assert missing["dataAbsentReason"]["coding"][0]["code"] == "unknown"
    assert "valueQuantity" not in missing


def test_what_was_typed_in_names_no_device_of_ours() -> None:
    found = one({"celsius": {"value": 36.6, "unit": "°C"}}, kind="temperature", entered=True)
    assert "device" not in found
    assert found["method"]["coding"][0]["code"] == "entered-by-hand"
    assert "photoplethysmography" not in json.dumps(found)


@pytest.mark.parametrize(
    "values, changes",
    [
        ({"heart_rate": {"value": None, "unit": "/min", "reasons": ["motion"]}}, {}),
        ({"heart_rate": HEART}, {"facts": {"simulated": True}}),
        ({"heart_rate": HEART}, {"facts": {"simulated": 1.0}}),
        ({"heart_rate": {"value": 1.1, "unit": "Hz"}}, {}),
        ({"celsius": {"value": 97.0, "unit": "°F"}}, {}),
        ({"perfusion": {"value": 1.0, "unit": "%"}}, {}),
        ({"systolic": {"value": None, "unit": "mmHg", "reasons": ["not_read"]}}, {}),
        ({}, {}),
    ],
    ids=str,
)
def test_what_becomes_nothing(values: dict[str, Any], changes: dict[str, Any]) -> None:
    assert fhir.observations(CLINIC, stored(values, **changes)) == []


def test_the_same_again_is_the_same_and_no_clinic_can_write_over_another_s() -> None:
    values = {"heart_rate": HEART, "rmssd": {"value": 40.0, "unit": "ms"}}
    first, again = (fhir.observations(CLINIC, stored(values)) for _ in range(2))
    other = fhir.observations(OTHER, stored(values))
    assert first == again
    ids = [one["id"] for one in [*first, *other]]
    assert len(set(ids)) == 4
    assert fhir.patient(CLINIC, UUID(int=8))["id"] != fhir.patient(OTHER, UUID(int=8))["id"]
    assert {one["meta"]["tag"][0]["code"] for one in first} == {str(CLINIC)}


def test_identifiers_do_not_change_from_version_to_version() -> None:
    """Others would be imported a second time, beside the old ones."""
    (found,) = fhir.observations(CLINIC, stored({"heart_rate": HEART}))
    assert [found["id"], fhir.patient_id(CLINIC, UUID(int=8)), fhir.device_id(CLINIC, UUID(int=9), "1")] == [
        "e7434eec-a920-5cce-bfab-d141230a7e46",
        "f49216fc-9086-53b6-b79c-2fe980859ba5",
        "939ab5f8-6170-57ae-92d0-2dddf932c272",
    ]


def test_a_patient_is_a_pseudonym_and_nothing_else() -> None:
    found = fhir.patient(CLINIC, UUID(int=8))
    read(found)
    assert set(found) == {"resourceType", "id", "meta", "identifier"}
    assert found["identifier"] == [{"system": "urn:ietf:rfc:3986", "value": UUID(int=8).urn}]


@pytest.mark.parametrize("offset_min, shown", [(14 * 60, "+14:00"), (-14 * 60, "-14:00"), (14 * 60 + 1, "+00:00"), (-18 * 60, "+00:00")])  # fmt: skip
def test_times_stay_within_what_fhir_knows(offset_min: int, shown: str) -> None:
    assert one({"heart_rate": HEART}, utc_offset_min=offset_min)["effectiveDateTime"].endswith(shown)


@pytest.mark.parametrize(
    "taken_at", [datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, 23, 59, tzinfo=UTC)]
)
@pytest.mark.parametrize("offset_min", [-14 * 60, 14 * 60])
def test_the_ends_of_the_calendar(taken_at: datetime, offset_min: int) -> None:
    found = one({"heart_rate": HEART}, taken_at=taken_at, utc_offset_min=offset_min)
    assert re.match(r"\d{4}-", found["effectiveDateTime"])


def shown(unit: str, reasons: list[str], algorithm: str) -> dict[str, Any]:
    return {"unit": unit, "reasons": reasons, "algorithm": algorithm}


LABELS = st.text(" aZ09.,:+/()%°-éж", max_size=80)
VALUES = st.builds(
    lambda value, spread, unit, reasons, algorithm: (
        {"value": None, "unit": unit, "reasons": reasons or ["motion"]}
        if value is None
        else {
            "value": value,
            "low": value - spread,
            "high": value + spread,
            "unit": unit,
            "reasons": reasons,
            "algorithm": algorithm,
        }
    ),
    st.none() | st.floats(-1e6, 1e6, allow_nan=False),
    st.floats(0, 1e3),
    st.sampled_from(["/min", "1/min", "bpm", "ms", "%", "mmHg", "°C", "kg", "", "Hz"]),
    st.lists(st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True), max_size=3),
    LABELS,
)
NAMES = st.sampled_from([*fhir._KINDS, *fhir._PRESSURES, "unheard_of"])


@hypothesis_settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    values=st.dictionaries(NAMES, VALUES, max_size=8),
    entered=st.booleans(),
    offset_min=st.integers(-18 * 60, 18 * 60),
    version=LABELS,
)
def test_whatever_the_wire_lets_in_hl7_s_classes_can_read(
    values: dict[str, Any], *, entered: bool, offset_min: int, version: str
) -> None:
    source = stored(values, entered=entered, utc_offset_min=offset_min, software_version=version)
    made = fhir.observations(CLINIC, source)
    for resource in [
        *made,
        fhir.patient(CLINIC, source.patient_id),
        fhir.device(CLINIC, source.device_id, version),
    ]:
        text = json.dumps(resource, allow_nan=False)
        CLASSES[resource["resourceType"]].model_validate_json(text)
        assert re.fullmatch(r"[A-Za-z0-9.-]{1,64}", resource["id"])
        assert not [part for part in walked(resource) if part in ("", {}, [], None)], (
            "FHIR has no empty things"
        )
    ids = [resource["id"] for resource in made]
    assert len(set(ids)) == len(ids)


def test_ids_of_other_things_differ() -> None:
    assert len({fhir.patient_id(CLINIC, uuid4()) for _ in range(100)}) == 100
