"""The wire's observations as resources of FHIR R4, for whoever reads FHIR: plain dicts. Pure; asks nothing, keeps nothing.

What becomes of what:

- A value that was shown becomes one Observation; blood pressure's two become one with two components, as FHIR's profile of it wants. What
  was not shown, what was simulated, what has no code here and what is in a unit that is not known here becomes nothing.
- The 95 % interval is HL7's extension `quantity-confidenceInterval` on the quantity (FHIR Extensions Pack 5.x, published for R4 too):
  a reader who does not know it still has the value. `referenceRange` would say what is normal, `component` would make two more
  measurements of it, `iso21090-uncertainty` is a standard deviation, which nobody has computed.
- Codes are LOINC's and UCUM's. LOINC has none for RMSSD that we could find (80404-7 is SDNN), and SNOMED CT's for the method could not be
  looked up: those two are of a code system of our own, which says so by its name.
- Identifiers are UUIDs made of the clinic's, the thing's and its name (RFC 9562, version 5): the same again overwrites, and no clinic
  can write over another's. Patients are their pseudonyms and nothing else. Each resource is tagged with its clinic.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta, timezone
from typing import Any, Final
from uuid import UUID, uuid5

from backend_lambda.wire import StoredObservation, Value

Resource = dict[str, Any]
NAMESPACE: Final = UUID("5f1c6a3e-7a52-4b0f-9d0b-4a2f1e6c8d17")
"""Of all identifiers below. Another one would import everything a second time."""
LOINC: Final = "http://loinc.org"
UCUM: Final = "http://unitsofmeasure.org"
CATEGORY: Final = "http://terminology.hl7.org/CodeSystem/observation-category"
ABSENT: Final = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
INTERVAL: Final = "http://hl7.org/fhir/StructureDefinition/quantity-confidenceInterval"
CONFIDENCE_PERCENT: Final = 95
"""Of `low` and `high`, as the wire has them."""
LOCAL: Final = "urn:health-helper:local-codes"
CLINIC: Final = "urn:health-helper:clinic"
PLAIN_URI: Final = "urn:ietf:rfc:3986"
_FARTHEST_MIN = 14 * 60
"""FHIR's times know no place farther from UTC."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """codings: system, code, what it is called there. units: as the wire may say them → UCUM's code."""

    codings: tuple[tuple[str, str, str], ...]
    units: Mapping[str, str]
    category: str = "vital-signs"


_RATE = {"/min": "/min", "1/min": "/min", "bpm": "/min"}
_TIME = {"ms": "ms"}
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
    "celsius": _Kind(((LOINC, "8310-5", "Body temperature"),), {"°C": "Cel", "Cel": "Cel"}),
    "kg": _Kind(((LOINC, "29463-7", "Body weight"),), {"kg": "kg"}),
}
_PRESSURE: Final = _Kind(
    ((LOINC, "85354-9", "Blood pressure panel with all children optional"),),
    {"mmHg": "mm[Hg]", "mm[Hg]": "mm[Hg]"},
)
_PRESSURES: Final = {
    "systolic": (LOINC, "8480-6", "Systolic blood pressure"),
    "diastolic": (LOINC, "8462-4", "Diastolic blood pressure"),
}


def patient_id(clinic_id: UUID, patient: UUID) -> str:
    """Of the Patient resource, for references and for whoever has to delete it."""
    return _id("Patient", clinic_id, patient)


def patient(clinic_id: UUID, patient: UUID) -> Resource:
    """Its pseudonym and its clinic: nothing else is known here."""
    return {
        "resourceType": "Patient",
        "id": patient_id(clinic_id, patient),
        "meta": _meta(clinic_id),
        "identifier": [{"system": PLAIN_URI, "value": patient.urn}],
    }


def device_id(clinic_id: UUID, device: UUID, software_version: str) -> str:
    """Of the Device resource."""
    return _id("Device", clinic_id, device, software_version)


def device(clinic_id: UUID, device: UUID, software_version: str) -> Resource:
    """A device as it was with this software: another version is another resource, so that what it has measured keeps its version."""
    made: Resource = {
        "resourceType": "Device",
        "id": device_id(clinic_id, device, software_version),
        "meta": _meta(clinic_id),
        "identifier": [{"system": PLAIN_URI, "value": device.urn}],
        "type": {"text": "A computer with a camera that runs Health Helper. Not a medical device."},
    }
    if software_version.strip():
        made["version"] = [{"type": {"text": "software"}, "value": software_version.strip()}]
    return made


def observations(clinic_id: UUID, stored: StoredObservation) -> list[Resource]:
    """What of it was shown and can be said in FHIR; nothing of a simulated scan."""
    return [] if stored.facts.get("simulated") else list(_each(clinic_id, stored))


def _each(clinic_id: UUID, stored: StoredObservation) -> Iterator[Resource]:
    for name, value in sorted(stored.values.items()):
        kind = _KINDS.get(name)
        if kind is None or (quantity := _quantity(value, kind)) is None:
            continue
        yield {**_common(clinic_id, stored, name, kind, value), "valueQuantity": quantity}
    components = {
        name: _quantity(stored.values[name], _PRESSURE) if name in stored.values else None
        for name in _PRESSURES
    }
    if any(components.values()):
        value = next(stored.values[name] for name, quantity in components.items() if quantity)
        yield {
            **_common(clinic_id, stored, "blood_pressure", _PRESSURE, value),
            "component": [
                _component(coding, components[name])  # the profile wants both: the missing one says so
                for name, coding in _PRESSURES.items()
            ],
        }


def _component(coding: tuple[str, str, str], quantity: Resource | None) -> Resource:
    if quantity is None:
        return {
            "code": _concept(coding),
            "dataAbsentReason": _concept((ABSENT, "unknown", "Unknown")),
        }
    return {"code": _concept(coding), "valueQuantity": quantity}


def _common(clinic_id: UUID, stored: StoredObservation, name: str, kind: _Kind, value: Value) -> Resource:
    """All but the value itself."""
    made: Resource = {
        "resourceType": "Observation",
        "id": _id("Observation", clinic_id, stored.id, name),
        "meta": _meta(clinic_id),
        "identifier": [{"system": PLAIN_URI, "value": stored.id.urn}],
        "status": "final",
        "category": [_concept((CATEGORY, kind.category, ""))],
        "code": _concept(*kind.codings),
        "subject": {"reference": f"Patient/{patient_id(clinic_id, stored.patient_id)}"},
        "effectiveDateTime": _local_time(stored),
        "issued": stored.received_at.isoformat(timespec="milliseconds"),
        "method": _method(value, entered=stored.entered),
    }
    if not stored.entered:  # what was typed in was measured by another device, of which nothing is known
        made["device"] = {
            "reference": f"Device/{device_id(clinic_id, stored.device_id, stored.software_version)}"
        }
    if note := _note(stored, value):
        made["note"] = [{"text": note}]
    return made


def _quantity(value: Value, kind: _Kind) -> Resource | None:
    """None: not shown, or in a unit that is not known here."""
    code = kind.units.get(value.unit)
    if value.value is None or code is None:
        return None

    def plain(number: float) -> Resource:
        return {"value": number, "unit": code, "system": UCUM, "code": code}

    made = plain(value.value)
    if value.low is not None and value.high is not None:
        interval = {"low": plain(value.low), "high": plain(value.high)}
        made["extension"] = [
            {
                "url": INTERVAL,
                "extension": [
                    {"url": "confidence", "valueDecimal": CONFIDENCE_PERCENT},
                    {"url": "interval", "valueRange": interval},
                ],
            }
        ]
    return made


def _method(value: Value, *, entered: bool) -> Resource:
    if entered:
        return _concept((LOCAL, "entered-by-hand", "Read off another device and typed in"))
    made = _concept((LOCAL, "remote-photoplethysmography", "Remote photoplethysmography"))
    made["text"] = "Estimate by remote photoplethysmography with a camera" + (
        f" ({value.algorithm.strip()})" if value.algorithm.strip() else ""
    )
    return made


def _note(stored: StoredObservation, value: Value) -> str:
    """What a reader should know before trusting it. Words of fixed lists and numbers, nothing that somebody has written."""
    parts = []
    if value.confidence is not None:
        parts.append(f"Confidence {value.confidence:.2f} of 1.")
    if stored.quality is not None and stored.quality.score is not None:
        parts.append(f"Signal quality {stored.quality.score:.2f} of 1.")
    reasons = [*value.reasons, *(stored.quality.reasons if stored.quality else ())]
    if reasons:
        parts.append(f"Remarks: {', '.join(dict.fromkeys(reasons))}.")
    if value.window_s:
        parts.append(f"Over {value.window_s:g} s.")
    return " ".join(parts)


def _local_time(stored: StoredObservation) -> str:
    """As the clock on the wall had it."""
    offset_min = stored.utc_offset_min if abs(stored.utc_offset_min) <= _FARTHEST_MIN else 0
    place = timezone(timedelta(minutes=offset_min))
    return stored.taken_at.astimezone(place).isoformat(timespec="milliseconds")


def _concept(*codings: tuple[str, str, str]) -> Resource:
    return {
        "coding": [
            {"system": system, "code": code, **({"display": display} if display else {})}
            for system, code, display in codings
        ]
    }


def _meta(clinic_id: UUID) -> Resource:
    return {"tag": [{"system": CLINIC, "code": str(clinic_id)}]}


def _id(*parts: object) -> str:
    return str(uuid5(NAMESPACE, "|".join(map(str, parts))))
