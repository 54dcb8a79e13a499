"""FHIR of what is kept: read with HL7's classes (R4B) and a second time with SMART's, and what neither sees looked at by itself."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle
from fhirclient.models.bundle import Bundle as SmartBundle
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.errors import EnvironmentFault
from client.records import ScanRecord
from client.reports import fhir
from client.reports.contents import Entry, Everything, Person
from edge_models.types import Estimate, Quality, Reason
from tests.client.cli.test_card import RECORD
from tests.client.pipeline.fakes import estimate, scan_result
from tests.client.reports.kept import AT, PERSON, WHOLE, document, entry, everything, scan


def read(kept: Everything, **how: Any) -> dict[str, Any]:
    """The file's Bundle, after both readers have taken it and every reference was found in it."""
    text = b"".join(fhir.pieces(kept, **how))
    bundle: dict[str, Any] = json.loads(text, parse_constant=pytest.fail)
    checked(bundle)
    return bundle


def checked(bundle: dict[str, Any]) -> None:
    assert len(Bundle.model_validate_json(json.dumps(bundle)).entry or ()) == len(bundle["entry"])
    SmartBundle(bundle, strict=True)
    here = [one["fullUrl"] for one in bundle["entry"]]
    assert len(set(here)) == len(here)
    wanted = {
        value["reference"] for value in walked(bundle) if isinstance(value, dict) and "reference" in value
    }
    assert wanted <= set(here)


def walked(value: Any) -> Iterator[Any]:
    yield value
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from walked(item)


def of_kind(bundle: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [one["resource"] for one in bundle["entry"] if one["resource"]["resourceType"] == kind]


def by_code(bundle: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["code"]["coding"][0]["code"]: one for one in of_kind(bundle, "Observation")}


def one_scan(record: ScanRecord) -> dict[str, Any]:
    return read(everything(scans=(scan(1, record),), entries=(), documents=(), consents=()))


def test_all_of_a_person_in_one_bundle() -> None:
    bundle = read(everything())
    assert bundle["type"] == "collection"
    kinds = [one["resource"]["resourceType"] for one in bundle["entry"]]
    assert kinds[0] == "Patient"
    counts = {kind: kinds.count(kind) for kind in set(kinds)}
    assert counts == {
        "Patient": 1,
        "Device": 1,
        "Observation": 2 * 3 + 5,
        "DiagnosticReport": 2,
        "DocumentReference": 1,
        "Consent": 2,
    }
    (patient,) = of_kind(bundle, "Patient")
    assert patient["name"] == [{"text": "Ada Łukasz"}]
    assert [one["value"] for one in patient["identifier"]] == [f"urn:uuid:{PERSON.id}", "R-0815"]
    assert {one["status"] for one in of_kind(bundle, "Consent")} == {"inactive", "rejected"}
    (device,) = of_kind(bundle, "Device")
    assert device["version"][0]["value"] == "1.2.3"


def test_a_value_that_was_shown_has_its_interval() -> None:
    found = by_code(one_scan(scan().record))["8867-4"]
    quantity = found["valueQuantity"]
    assert (quantity["value"], quantity["system"], quantity["code"]) == (61.5, fhir.UCUM, "/min")
    (interval,) = quantity["extension"]
    assert interval["url"] == "http://hl7.org/fhir/StructureDefinition/quantity-confidenceInterval"
    parts = {part["url"]: part for part in interval["extension"]}
    assert parts["confidence"]["valueDecimal"] == 95
    assert [parts["interval"]["valueRange"][end]["value"] for end in ("low", "high")] == [59.5, 63.5]
    assert "extension" not in parts["interval"]["valueRange"]["low"]
    assert found["effectiveDateTime"] == "2026-11-15T15:00:00.000+05:30"
    assert found["note"][0]["text"] == (
        "Confidence 0.90 of 1. Signal quality 0.80 of 1. Remarks: there was too much movement. Over 30 s."
    )


def test_what_was_withheld_is_told_in_words_and_is_no_observation() -> None:
    bundle = one_scan(scan().record)
    assert set(by_code(bundle)) == {"8867-4", "9279-1", "rmssd"}
    assert "dataAbsentReason" not in json.dumps(bundle)
    (report,) = of_kind(bundle, "DiagnosticReport")
    assert len(report["result"]) == 3
    assert (
        "Not shown: Variability SDNN (there was too little usable signal, the single" in report["conclusion"]
    )
    assert "Not a medical device." in report["conclusion"]


def test_a_scan_without_any_value_is_a_report_without_results() -> None:
    vitals = {name: estimate(None, Reason.TOO_DARK) for name in RECORD.result.vitals}
    bundle = one_scan(replace(RECORD, result=scan_result(vitals=vitals)))
    (report,) = of_kind(bundle, "DiagnosticReport")
    assert "result" not in report and "it was too dark" in report["conclusion"]
    assert not of_kind(bundle, "Observation")


def test_a_simulated_scan_becomes_nothing() -> None:
    bundle = one_scan(replace(RECORD, simulated=True))
    assert [one["resource"]["resourceType"] for one in bundle["entry"]] == ["Patient"]


@pytest.mark.parametrize(
    "kind, values, code, ucum",
    [
        ("oximeter", {"spo2": 97.0}, "59408-5", "%"),
        ("oximeter", {"pulse": 64.0}, "8867-4", "/min"),
        ("temperature", {"celsius": 36.6}, "8310-5", "Cel"),
        ("weight", {"kg": 71.25}, "29463-7", "kg"),
    ],
)
def test_codes_of_what_was_typed_in(kind: str, values: dict[str, float], code: str, ucum: str) -> None:
    found = by_code(read(everything(scans=(), entries=(entry(kind, values),))))[code]
    assert found["valueQuantity"] == {
        "value": next(iter(values.values())),
        "unit": ucum,
        "system": fhir.UCUM,
        "code": ucum,
    }
    assert "device" not in found and found["method"]["coding"][0]["code"] == "entered-by-hand"


def test_a_blood_pressure_is_one_observation_with_two_parts() -> None:
    found = by_code(read(everything(scans=())))["85354-9"]
    parts = {part["code"]["coding"][0]["code"]: part["valueQuantity"] for part in found["component"]}
    assert {code: part["value"] for code, part in parts.items()} == {"8480-6": 121.0, "8462-4": 79.0}
    assert {part["code"] for part in parts.values()} == {"mm[Hg]"}
    assert "valueQuantity" not in found


def test_the_newest_scans_carry_their_page() -> None:
    scans = tuple(scan(number) for number in range(fhir.REPORTS_MOST + 1, 0, -1))
    bundle = read(everything(scans=scans), report=lambda one: one.id.encode())
    reports = of_kind(bundle, "DiagnosticReport")
    assert ["presentedForm" in one for one in reports] == [False, *[True] * fhir.REPORTS_MOST]
    (form,) = reports[-1]["presentedForm"]
    page = base64.b64decode(form["data"])
    assert page == scans[-1].id.encode()
    assert base64.b64decode(form["hash"]) == hashlib.sha1(page).digest() and form["size"] == len(page)


def test_a_document_is_told_of_with_both_hashes() -> None:
    (found,) = of_kind(read(everything(), url_of=lambda one: f"documents/{one.id}.pdf"), "DocumentReference")
    attachment = found["content"][0]["attachment"]
    assert base64.b64decode(attachment["hash"]) == hashlib.sha1(WHOLE).digest()
    assert attachment["size"] == len(WHOLE) and attachment["title"] == "Letter"
    assert attachment["url"].startswith("documents/")
    name = found["identifier"][1]["value"].removeprefix("ni:///sha-256;")
    assert base64.urlsafe_b64decode(name + "==") == hashlib.sha256(WHOLE).digest()


def test_the_same_again_is_the_same_text() -> None:
    assert b"".join(fhir.pieces(everything())) == b"".join(fhir.pieces(everything()))
    first = {one["id"] for one in fhir.resources(everything()) if "id" in one}
    other = {
        one["id"] for one in fhir.resources(everything(person=Person("11111111-0000-4000-8000-000000000000")))
    }
    assert first - other, "another person's patient is another one"


def test_identifiers_do_not_change_from_version_to_version() -> None:
    """Others would be imported a second time, beside the old ones."""
    found = by_code(one_scan(scan().record))
    assert found["8867-4"]["id"] == "1de95a7d-64ca-5bd9-89cb-4d7ec7fd880f"


def test_to_a_server_goes_the_pseudonym_and_what_is_sent_again_overwrites() -> None:
    sent = fhir.transaction(PERSON, [scan()], [entry("weight", {"kg": 70.0})], report=lambda _: b"%PDF")
    checked(sent)
    assert sent == fhir.transaction(
        PERSON, [scan()], [entry("weight", {"kg": 70.0})], report=lambda _: b"%PDF"
    )
    text = json.dumps(sent)
    assert "Ada" not in text and "R-0815" not in text and RECORD.source not in text
    searches = []
    for one in sent["entry"]:
        assert "id" not in one["resource"]
        request, first = one["request"], one["resource"]["identifier"][0]["value"]
        kind = one["resource"]["resourceType"]
        if kind in {"Patient", "Device"}:
            assert request["method"] == "POST" and request["url"] == kind
            searches.append(request["ifNoneExist"])
        else:
            assert request["method"] == "PUT" and request["url"].startswith(f"{kind}?identifier=")
            searches.append(request["url"].partition("?")[2])
        assert searches[-1] == f"identifier=urn:ietf:rfc:3986%7C{first}"
    assert len(set(searches)) == len(searches), "each finds one resource"
    assert "Ada" in json.dumps(fhir.transaction(PERSON, named=True))


def test_a_document_that_cannot_be_read_has_no_hash_of_its_bytes() -> None:
    def damaged() -> Iterator[bytes]:
        yield b"x"
        raise EnvironmentFault(title="damaged", remedy="Add it again.")

    (found,) = of_kind(read(everything(documents=(document(read=damaged),))), "DocumentReference")
    assert "hash" not in found["content"][0]["attachment"]


def test_what_a_person_typed_cannot_break_it() -> None:
    person = replace(PERSON, name="\ud800A\x00d\u2028a", record_number="\x01")
    bundle = read(everything(person=person, documents=(document(title="\x07"),)))
    (patient,) = of_kind(bundle, "Patient")
    assert patient["name"] == [{"text": "A d a"}] and len(patient["identifier"]) == 1


FLOATS = st.one_of(st.floats(allow_nan=True, allow_infinity=True), st.floats(0.0, 300.0))
REASONS = st.lists(st.sampled_from(list(Reason)), max_size=5)


@st.composite
def estimates(draw: st.DrawFn) -> Estimate:
    unit = draw(st.sampled_from(["/min", "ms", "%", "furlong", ""]))
    reasons = tuple(draw(REASONS))
    window_s = draw(st.floats(0.0, 1e6))
    algorithm = draw(st.text(max_size=8))
    if draw(st.booleans()):
        finite = st.floats(-1e4, 1e4) | st.floats(allow_nan=False)
        low, value, high = sorted(draw(st.tuples(finite, finite, finite)))
        return Estimate(value, low, high, unit, draw(st.floats(0.0, 1.0)), reasons, window_s, algorithm)
    return Estimate(None, None, None, unit, 0.0, (*reasons, Reason.NO_PULSE), window_s, algorithm)


NAMES = st.sampled_from(["heart_rate", "respiratory_rate", "rmssd", "sdnn", "spo2", "something_new"])
TIMES = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 (hypothesis wants them so)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    vitals=st.dictionaries(NAMES, estimates(), max_size=6),
    score=st.floats(0.0, 1.0),
    reasons=REASONS,
    taken_at=TIMES,
    offset_min=st.integers(-2000, 2000),
    version=st.text(max_size=6),
    typed=st.dictionaries(
        st.sampled_from(["systolic", "diastolic", "pulse", "spo2", "celsius", "kg", "new"]), FLOATS
    ),
    units=st.sampled_from(["mmHg", "/min", "°C", "kg", "%", "stone"]),
)
def test_whatever_is_kept_it_is_fhir_and_tells_what_was_shown(
    vitals: dict[str, Estimate],
    score: float,
    reasons: list[Reason],
    taken_at: datetime,
    offset_min: int,
    version: str,
    typed: dict[str, float],
    units: str,
) -> None:
    vitals = {"heart_rate": estimate(None, Reason.NO_FACE), **vitals}
    result = scan_result(vitals=vitals, quality=Quality(score, tuple(reasons), None))
    record = replace(RECORD, result=result, taken_at=taken_at, version=version)
    one = replace(scan(1, record), utc_offset_min=offset_min)
    read_in = Entry(entry("x", {}).id, "x", taken_at, offset_min, typed, dict.fromkeys(typed, units))
    kept = everything(scans=(one,), entries=(read_in,), made_at=AT)
    bundle = read(kept)
    checked(fhir.transaction(PERSON, [one], [read_in]))
    by_scan = [found for found in of_kind(bundle, "Observation") if "device" in found]
    shown = {
        name
        for name, of in vitals.items()
        if of.value is not None and all(map(math.isfinite, (of.value, of.low or 0.0, of.high or 0.0)))
    }
    assert len(by_scan) <= len(shown)
    for value in walked(bundle):
        if isinstance(value, dict) and "valueRange" in value:
            ends = value["valueRange"]
            assert ends["low"]["value"] <= ends["high"]["value"]
        if isinstance(value, str):
            assert value.strip() and not re.search(r"[\x00-\x08]", value)
