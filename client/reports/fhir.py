"""What is kept of one person as FHIR R4B (4.3.0): one Bundle for a file, or one for a clinic's own server. Plain dicts; sends nothing.

- A value that was shown becomes an Observation; blood pressure's two become one with two components. What was withheld becomes none:
  the scan's DiagnosticReport says in words what was not shown and why. Simulated scans become nothing at all.
- The 95 % interval is HL7's extension quantity-confidenceInterval (FHIR Extensions Pack): who does not know it still has the value.
- Codes are LOINC's and UCUM's; what LOINC has none for (RMSSD, the method) is of a code system of our own that says so by its name.
- Identifiers are UUIDs made of the kept thing's and its name (RFC 9562, version 5): the same again is the same. References are to
  entries of the same Bundle. Words are English whatever language the window speaks: the same scan gives the same resource.
- Name, record number and titles are in the person's own file only; to a server goes the pseudonym, unless it is asked otherwise.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import string
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any, Final
from uuid import UUID, uuid5

from client.errors import HealthHelperError, Interrupted
from client.records import sanitised
from client.reports.contents import Consent, Document, Entry, Everything, Person, Scan, local
from client.reports.proof import digest
from client.reports.wording import NOT_A_DEVICE, REASONS, VITALS
from edge_models.types import Estimate

Resource = dict[str, Any]
VERSION: Final = "4.3.0"
MEDIA_TYPE: Final = "application/fhir+json"
NAMESPACE: Final = UUID("b0a2f6c4-43c1-4f0c-8a43-6a1f3a1b9d52")
"""Of all identifiers below. Another one would import everything a second time."""
LOINC: Final = "http://loinc.org"
UCUM: Final = "http://unitsofmeasure.org"
CATEGORY: Final = "http://terminology.hl7.org/CodeSystem/observation-category"
REPORT_CATEGORY: Final = "http://terminology.hl7.org/CodeSystem/v2-0074"
IDENTIFIER_TYPE: Final = "http://terminology.hl7.org/CodeSystem/v2-0203"
CONSENT_SCOPE: Final = "http://terminology.hl7.org/CodeSystem/consentscope"
ABSENT: Final = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
INTERVAL: Final = "http://hl7.org/fhir/StructureDefinition/quantity-confidenceInterval"
CONFIDENCE_PERCENT: Final = 95
LOCAL: Final = "urn:health-helper:local-codes"
RECORD_NUMBER: Final = "urn:health-helper:record-number"
PLAIN_URI: Final = "urn:ietf:rfc:3986"
REPORTS_MOST: Final = 50
"""Scans of a file that carry their page as a PDF, the newest ones: each takes a quarter of a second to draw, and 60 kB."""
_TEXT_MOST: Final = 500
_UNQUOTED: Final = frozenset(string.ascii_letters + string.digits + "-._~/")


@dataclass(frozen=True, slots=True)
class _Kind:
    """codings: system, code, what it is called there. units: as they are kept → UCUM's code."""

    codings: tuple[tuple[str, str, str], ...]
    units: Mapping[str, str]
    category: str = "vital-signs"


_RATE, _TIME = {"/min": "/min"}, {"ms": "ms"}
_PULSE = _Kind(((LOINC, "8867-4", "Heart rate"),), _RATE)
_KINDS: Final[Mapping[str, _Kind]] = {
    "heart_rate": _PULSE,
    "pulse": _PULSE,
    "respiratory_rate": _Kind(((LOINC, "9279-1", "Respiratory rate"),), _RATE),
    "sdnn": _Kind(
        ((LOINC, "80404-7", "R-R interval.standard deviation (Heart rate variability)"),), _TIME, "procedure"
    ),
    "rmssd": _Kind(
        ((LOCAL, "rmssd", "Root mean square of successive differences of pulse intervals"),),
        _TIME,
        "procedure",
    ),
    "spo2": _Kind(
        (
            (LOINC, "59408-5", "Oxygen saturation in Arterial blood by Pulse oximetry"),
            (LOINC, "2708-6", "Oxygen saturation in Arterial blood"),
        ),
        {"%": "%"},
    ),
    "celsius": _Kind(((LOINC, "8310-5", "Body temperature"),), {"°C": "Cel"}),
    "kg": _Kind(((LOINC, "29463-7", "Body weight"),), {"kg": "kg"}),
}
_PRESSURE: Final = _Kind(
    ((LOINC, "85354-9", "Blood pressure panel with all children optional"),), {"mmHg": "mm[Hg]"}
)
_PRESSURES: Final = {
    "systolic": (LOINC, "8480-6", "Systolic blood pressure"),
    "diastolic": (LOINC, "8462-4", "Diastolic blood pressure"),
}
_ENTERED: Final = (LOCAL, "entered-by-hand", "Read off another device and typed in")
_BY_CAMERA: Final = (LOCAL, "remote-photoplethysmography", "Remote photoplethysmography")


def resources(
    kept: Everything,
    *,
    report: Callable[[Scan], bytes] | None = None,
    url_of: Callable[[Document], str | None] | None = None,
) -> Iterator[Resource]:
    """All of one person, named, for a file of their own.

    report: makes a scan's page (PDF), for the newest REPORTS_MOST. url_of: where a document lies beside the file, or None. Reads each
    document once, for the hash that FHIR wants; one that can't be read has none.
    """
    yield _patient(kept.person, named=True)
    count = sum(1 for _ in kept.scans()) if report is not None else 0
    versions: set[str] = set()
    for number, scan in enumerate(kept.scans()):
        drawn = report if number >= count - REPORTS_MOST else None
        yield from _of_scan(kept.person, scan, drawn, versions)
    for entry in kept.entries():
        yield from _of_entry(kept.person, entry)
    for document in kept.documents:
        yield _document_reference(kept.person, document, url_of)
    newest = {consent.subject: consent.id for consent in sorted(kept.consents, key=lambda one: one.at)}
    for consent in kept.consents:
        yield _consent(kept.person, consent, newest=newest[consent.subject] == consent.id)


def pieces(
    kept: Everything,
    *,
    report: Callable[[Scan], bytes] | None = None,
    url_of: Callable[[Document], str | None] | None = None,
) -> Iterator[bytes]:
    """The JSON of a Bundle of all of it, resource by resource: it need not fit into memory. Arguments as `resources`."""
    head = {
        "resourceType": "Bundle",
        "id": _id("Bundle", kept.person.id, _instant(kept.made_at, kept.utc_offset_min)),
        "type": "collection",
        "timestamp": _instant(kept.made_at, kept.utc_offset_min),
    }
    yield _json(head)[:-1] + b',"entry":['
    for number, resource in enumerate(resources(kept, report=report, url_of=url_of)):
        entry = {"fullUrl": f"urn:uuid:{resource['id']}", "resource": resource}
        yield (b",\n" if number else b"\n") + _json(entry)
    yield b"\n]}\n"


def transaction(
    person: Person,
    scans: Iterable[Scan] = (),
    entries: Iterable[Entry] = (),
    *,
    report: Callable[[Scan], bytes] | None = None,
    named: bool = False,
) -> Resource:
    """For POST to the base address of a FHIR server. Sent again, it overwrites what it wrote (conditional update by identifier). The
    patient and the device are made only where they are missing: what the clinic has added to them stays.

    named: with name and record number. There is no `id` in what is sent: the server gives its own.
    """
    versions: set[str] = set()
    made = chain(
        [_patient(person, named=named)],
        chain.from_iterable(_of_scan(person, scan, report, versions) for scan in scans),
        chain.from_iterable(_of_entry(person, entry) for entry in entries),
    )
    return {"resourceType": "Bundle", "type": "transaction", "entry": [_written(one) for one in made]}


def _written(resource: Resource) -> Resource:
    kind = resource["resourceType"]
    first = resource["identifier"][0]
    search = f"identifier={first['system']}%7C{first['value']}"  # the bar between them; both are plain URNs
    request = (
        {"method": "POST", "url": kind, "ifNoneExist": search}
        if kind in {"Patient", "Device"}
        else {"method": "PUT", "url": f"{kind}?{search}"}
    )
    return {
        "fullUrl": f"urn:uuid:{resource['id']}",
        "resource": {name: value for name, value in resource.items() if name != "id"},
        "request": request,
    }


def _patient(person: Person, *, named: bool) -> Resource:
    made: Resource = {
        "resourceType": "Patient",
        "id": _id("Patient", person.id),
        "identifier": [{"system": PLAIN_URI, "value": f"urn:uuid:{person.id}"}],
    }
    if named and (number := _text(person.record_number)):
        kind = _concept((IDENTIFIER_TYPE, "MR", "Medical record number"))
        made["identifier"].append({"type": kind, "system": RECORD_NUMBER, "value": number})
    if named and (name := _text(person.name)):
        made["name"] = [{"text": name}]
    return made


def _device(version: str) -> Resource:
    """The software that measured. Another version is another resource, so that what it has measured keeps its version."""
    made: Resource = {
        "resourceType": "Device",
        **_named("Device", version),
        "deviceName": [{"name": "Health Helper", "type": "user-friendly-name"}],
        "type": {"text": "A computer with a camera that runs Health Helper. Not a medical device."},
    }
    if version:
        made["version"] = [{"type": {"text": "software"}, "value": version}]
    return made


def _of_scan(
    person: Person, scan: Scan, report: Callable[[Scan], bytes] | None, versions: set[str]
) -> Iterator[Resource]:
    """The device where it was not yet told of (versions: those that were), what was shown, and the report on it."""
    record = scan.record
    if record.simulated:
        return
    version = _text(record.version) or ""
    if version not in versions:
        versions.add(version)
        yield _device(version)
    results = []
    for name, estimate_ in sorted(record.result.vitals.items()):
        estimate = sanitised(estimate_)
        kind = _KINDS.get(name)
        quantity = None if kind is None else _quantity(estimate.value, estimate.unit, kind)
        if kind is None or quantity is None:
            continue
        bounds = (_number(estimate.low), _number(estimate.high))
        if None not in bounds:
            quantity["extension"] = [_interval(bounds, quantity)]
        observation = {
            **_observation(person, scan.id, name, kind, _when(record.taken_at, scan.utc_offset_min)),
            "valueQuantity": quantity,
            "method": _method(estimate),
            "device": _reference("Device", version),
            "note": [{"text": _note(scan, estimate)}],
        }
        results.append({"reference": f"urn:uuid:{observation['id']}"})
        yield observation
    yield _diagnostic_report(person, scan, results, report)


def _of_entry(person: Person, entry: Entry) -> Iterator[Resource]:
    """What was typed in was measured by another device, of which nothing is known: none is named."""
    when = _when(entry.taken_at, entry.utc_offset_min)
    method = {"method": _concept(_ENTERED)}
    for name, value in sorted(entry.values.items()):
        kind = _KINDS.get(name)
        quantity = None if kind is None else _quantity(value, entry.units.get(name, ""), kind)
        if kind is not None and quantity is not None:
            yield {
                **_observation(person, entry.id, name, kind, when),
                "valueQuantity": quantity,
                **method,
            }
    pressures = {
        name: _quantity(entry.values.get(name), entry.units.get(name, ""), _PRESSURE) for name in _PRESSURES
    }
    if any(pressures.values()):
        yield {
            **_observation(person, entry.id, "blood_pressure", _PRESSURE, when),
            "component": [_component(_PRESSURES[name], quantity) for name, quantity in pressures.items()],
            **method,
        }


def _component(coding: tuple[str, str, str], quantity: Resource | None) -> Resource:
    """HL7's profile wants both pressures: of one that nobody typed in it is said that it is not known."""
    if quantity is None:
        return {"code": _concept(coding), "dataAbsentReason": _concept((ABSENT, "unknown", "Unknown"))}
    return {"code": _concept(coding), "valueQuantity": quantity}


def _observation(person: Person, kept_id: str, name: str, kind: _Kind, when: str) -> Resource:
    """All but the value itself."""
    made = _named("Observation", kept_id, name)
    made["identifier"].append({"system": PLAIN_URI, "value": f"urn:uuid:{kept_id}"})
    return {
        "resourceType": "Observation",
        **made,
        "status": "final",
        "category": [_concept((CATEGORY, kind.category, ""))],
        "code": _concept(*kind.codings),
        "subject": _reference("Patient", person.id),
        "effectiveDateTime": when,
    }


def _diagnostic_report(
    person: Person, scan: Scan, results: list[Resource], report: Callable[[Scan], bytes] | None
) -> Resource:
    made = {
        "resourceType": "DiagnosticReport",
        **_named("DiagnosticReport", scan.id),
        "status": "final",
        "category": [_concept((REPORT_CATEGORY, "OTH", "Other"))],
        "code": {
            **_concept((LOCAL, "camera-scan", "Scan of vital signs by camera")),
            "text": "Vital signs by camera (remote photoplethysmography)",
        },
        "subject": _reference("Patient", person.id),
        "effectiveDateTime": _when(scan.record.taken_at, scan.utc_offset_min),
        "conclusion": _conclusion(scan),
    }
    if results:
        made["result"] = results
    if report is not None:
        page = report(scan)
        made["presentedForm"] = [
            {
                "contentType": "application/pdf",
                "data": base64.b64encode(page).decode("ascii"),
                "size": len(page),
                "hash": base64.b64encode(hashlib.sha1(page, usedforsecurity=False).digest()).decode("ascii"),
                "title": "Report of the scan",
                "creation": _when(scan.record.taken_at, scan.utc_offset_min),
            }
        ]
    return made


def _conclusion(scan: Scan) -> str:
    """Words of fixed lists and numbers: nothing that somebody has written. It says what was withheld; it judges nothing."""
    withheld = []
    for name, estimate_ in sorted(scan.record.result.vitals.items()):
        estimate = sanitised(estimate_)
        if estimate.value is None:
            why = ", ".join(REASONS[reason].seen for reason in dict.fromkeys(estimate.reasons))
            withheld.append(f"{VITALS.get(name, name)} ({why})")
    told = f"Not shown: {'; '.join(withheld)}. " if withheld else "All values were shown. "
    score = _number(scan.record.result.quality.score)
    quality = "" if score is None else f"Signal quality {score:.2f} of 1. "
    return f"{told}{quality}SHA-256 of the scan: {digest(scan.record)}. {NOT_A_DEVICE}"


def _document_reference(
    person: Person, document: Document, url_of: Callable[[Document], str | None] | None
) -> Resource:
    made = _named("DocumentReference", document.id)
    digest_ = base64.urlsafe_b64encode(bytes.fromhex(document.sha256)).decode("ascii").rstrip("=")
    made["identifier"].append({"system": PLAIN_URI, "value": f"ni:///sha-256;{digest_}"})  # RFC 6920
    attachment: Resource = {"contentType": document.media_type, "size": document.length_bytes}
    if (sha1 := _sha1(document)) is not None:
        attachment["hash"] = base64.b64encode(sha1).decode("ascii")
    if title := _text(document.title):
        attachment["title"] = title
    if url_of is not None and (url := url_of(document)) is not None:
        attachment["url"] = _quoted(url)
    return {
        "resourceType": "DocumentReference",
        **made,
        "status": "current",
        "type": {"text": document.purpose.replace("_", " ").strip() or "document"},
        "subject": _reference("Patient", person.id),
        "date": _instant(document.added_at, document.utc_offset_min),
        "content": [{"attachment": attachment}],
    }


def _sha1(document: Document) -> bytes | None:
    """For FHIR's Attachment.hash; the hash to trust is the SHA-256 beside it. None: the document can't be read, or is another one."""
    sha1, sha256 = hashlib.sha1(usedforsecurity=False), hashlib.sha256()
    try:
        for piece in document.read():
            sha1.update(piece)
            sha256.update(piece)
    except Interrupted:
        raise
    except HealthHelperError:
        return None
    return sha1.digest() if sha256.hexdigest() == document.sha256 else None


def _consent(person: Person, consent: Consent, *, newest: bool) -> Resource:
    """The newest of a subject holds."""
    status = "active" if consent.given else "rejected"
    return {
        "resourceType": "Consent",
        **_named("Consent", consent.id),
        "status": status if newest else "inactive",
        "scope": _concept((CONSENT_SCOPE, "patient-privacy", "Privacy Consent")),
        "category": [_concept((LOINC, "59284-0", "Consent Document"))],
        "patient": _reference("Patient", person.id),
        "dateTime": _when(consent.at, consent.utc_offset_min),
        "policyRule": {
            "text": f"Health Helper, consent to: {_text(consent.subject) or 'unknown'}, version {consent.version}"
        },
        "provision": {"type": "permit" if consent.given else "deny"},
    }


def _quantity(value: float | None, unit: str, kind: _Kind) -> Resource | None:
    """None: not shown, not finite, or in a unit that is not known here."""
    code, number = kind.units.get(unit), _number(value)
    if number is None or code is None:
        return None
    return {"value": number, "unit": code, "system": UCUM, "code": code}


def _interval(bounds: tuple[float | None, ...], quantity: Resource) -> Resource:
    low, high = ({**quantity, "value": bound} for bound in bounds)
    return {
        "url": INTERVAL,
        "extension": [
            {"url": "confidence", "valueDecimal": CONFIDENCE_PERCENT},
            {"url": "interval", "valueRange": {"low": low, "high": high}},
        ],
    }


def _method(estimate: Estimate) -> Resource:
    algorithm = _text(estimate.algorithm)
    told = "Estimate by remote photoplethysmography with a camera"
    return {**_concept(_BY_CAMERA), "text": f"{told} ({algorithm})" if algorithm else told}


def _note(scan: Scan, estimate: Estimate) -> str:
    """What a reader should know before trusting it."""
    parts = [f"Confidence {estimate.confidence:.2f} of 1."]
    score = _number(scan.record.result.quality.score)
    if score is not None:
        parts.append(f"Signal quality {score:.2f} of 1.")
    reasons = dict.fromkeys([*estimate.reasons, *scan.record.result.quality.reasons])
    if reasons:
        parts.append(f"Remarks: {', '.join(REASONS[reason].seen for reason in reasons)}.")
    if math.isfinite(estimate.window_s) and estimate.window_s > 0.0:
        parts.append(f"Over {estimate.window_s:.0f} s.")
    return " ".join(parts)


def _named(kind: str, *parts: str) -> Resource:
    """Its identifier, twice: as this Bundle refers to it, and as a server finds it again."""
    made = _id(kind, *parts)
    return {"id": made, "identifier": [{"system": PLAIN_URI, "value": f"urn:uuid:{made}"}]}


def _reference(kind: str, *parts: str) -> Resource:
    return {"reference": f"urn:uuid:{_id(kind, *parts)}"}


def _id(*parts: str) -> str:
    return str(uuid5(NAMESPACE, "|".join(parts)))


def _concept(*codings: tuple[str, str, str]) -> Resource:
    return {
        "coding": [
            {"system": system, "code": code, **({"display": display} if display else {})}
            for system, code, display in codings
        ]
    }


def _number(value: float | None) -> float | None:
    """With two decimals, as the scan's own JSON has it."""
    return round(value, 2) if value is not None and math.isfinite(value) else None


def _text(text: str | None) -> str | None:
    """What FHIR takes for a string: no control characters, not empty, without half of a sign."""
    plain = "".join(
        " " if unicodedata.category(sign) in {"Cc", "Cs", "Zl", "Zp"} else sign for sign in text or ""
    )
    return " ".join(plain.split())[:_TEXT_MOST].strip() or None


def _when(moment: datetime, utc_offset_min: int) -> str:
    """On the clock of its place."""
    return local(moment, utc_offset_min).isoformat(timespec="milliseconds")


_instant = _when


def _quoted(path: str) -> str:
    """A relative path as a URL (RFC 3986)."""
    return "".join(chr(byte) if chr(byte) in _UNQUOTED else f"%{byte:02X}" for byte in path.encode("utf-8"))


def _json(value: Resource) -> bytes:
    return json.dumps(value, allow_nan=False, ensure_ascii=True, separators=(",", ":")).encode("ascii")
