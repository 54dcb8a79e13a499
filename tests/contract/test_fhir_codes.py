"""What the client writes as FHIR and what the cloud makes of the wire say the same of the same number: codes, units, systems."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest

from backend_lambda.services import fhir as of_cloud
from backend_lambda.wire import StoredObservation
from client.reports import fhir as of_client
from client.reports.contents import Entry
from tests.client.reports.kept import ENTRIES, PERSON, scan

CLINIC = UUID(int=1)
SAME = ("code", "category", "method", "component", "dataAbsentReason")
"""What of an Observation has a code in it, beside its value."""


def of_one(values: Mapping[str, Any], **changes: Any) -> dict[str, dict[str, Any]]:
    """The cloud's Observations, by what they are a code for."""
    stored = StoredObservation.model_validate(
        {
            "id": UUID(int=7),
            "patient_id": UUID(int=8),
            "device_id": UUID(int=9),
            "kind": "scan",
            "taken_at": "2026-11-27T23:30:00Z",
            "received_at": "2026-11-27T23:30:05Z",
            "utc_offset_min": 60,
            "software_version": "1.4.0",
            "values": values,
            **changes,
        }
    )
    return by_code(of_cloud.observations(CLINIC, stored))


def by_code(resources: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        one["code"]["coding"][0]["code"]: one for one in resources if one["resourceType"] == "Observation"
    }


def units(resource: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Of its value, of its interval, of its components."""
    found = []
    for one in [resource, *resource.get("component", [])]:
        value = one.get("valueQuantity")
        if value is not None:
            ends = [end for each in value.get("extension", []) for end in each["extension"]]
            ranges = [end["valueRange"] for end in ends if "valueRange" in end]
            every = [value, *(bound for range_ in ranges for bound in range_.values())]
            found += [(each["unit"], each["system"], each["code"]) for each in every]
    return found


def agree(here: dict[str, dict[str, Any]], there: dict[str, dict[str, Any]]) -> None:
    assert here.keys() == there.keys()
    for code, ours in here.items():
        theirs = there[code]
        assert {name: ours.get(name) for name in SAME} == {name: theirs.get(name) for name in SAME}
        assert units(ours) == units(theirs) != []


@pytest.mark.parametrize(
    "name", ["LOINC", "UCUM", "CATEGORY", "ABSENT", "INTERVAL", "CONFIDENCE_PERCENT", "LOCAL", "PLAIN_URI"]
)
def test_the_systems_are_the_same(name: str) -> None:
    assert getattr(of_client, name) == getattr(of_cloud, name)


def test_every_number_has_the_same_codes_and_category() -> None:
    assert of_client._KINDS.keys() == of_cloud._KINDS.keys()
    for name, ours in {**of_client._KINDS, "": of_client._PRESSURE}.items():
        theirs = of_cloud._KINDS[name] if name else of_cloud._PRESSURE
        assert ours.codings == theirs.codings, name
        assert ours.category == theirs.category, name
        assert ours.units.items() <= theirs.units.items(), f"{name}: in what unit the client keeps it"
        assert set(ours.units.values()) == set(theirs.units.values()), name
    assert of_client._PRESSURES == of_cloud._PRESSURES


def test_a_scan_is_told_alike() -> None:
    kept = scan()
    ours = by_code(list(of_client._of_scan(PERSON, kept, None, set())))
    vitals = kept.record.result.vitals
    values = {
        name: {
            "value": one.value,
            "low": one.low,
            "high": one.high,
            "unit": one.unit,
            "reasons": [str(reason) for reason in one.reasons],
            "algorithm": one.algorithm,
        }
        for name, one in vitals.items()
    }
    assert len(ours) == 3 and all("extension" in one["valueQuantity"] for one in ours.values())
    agree(ours, of_one(values))


@pytest.mark.parametrize(
    "entry",
    [
        *ENTRIES,
        Entry("x", "blood_pressure", ENTRIES[0].taken_at, 0, {"systolic": 121.0}, {"systolic": "mmHg"}),
    ],
    ids=lambda entry: "+".join(entry.values),
)
def test_what_was_typed_in_is_told_alike(entry: Entry) -> None:
    values = {name: {"value": value, "unit": entry.units[name]} for name, value in entry.values.items()}
    agree(
        by_code(list(of_client._of_entry(PERSON, entry))),
        of_one(values, kind=entry.kind, entered=True),
    )
