"""From what is kept on this device to what the cloud is sent of it.

Here, because the store and the cloud do not know each other. What is sent is listed, not what is left out: numbers with their interval
or reasons, units, and figures of the scan. A name, a note, a remark or the source of a scan is none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from client.cloud import forms, wire
from client.cloud.forms import Form, T, Unfit
from client.errors import BadInput
from client.language import said
from client.records import SCHEMA
from client.store import entries, scans
from client.store.observations import Kind, Observation
from edge_models.types import Reason

FIGURES = ("duration_s", "accepted_s", "frames", "measured_fps")
"""Of a scan's JSON. What it cost tells of the computer, and a heartbeat does that."""
_MOST_REASONS = 32


def to_wire(kept: Observation, *, patient_id: str) -> wire.Observation:
    """The same each time: sent twice, it is no other observation. patient_id: what stands for the person there; also each time the same.

    Codes that only a newer version knows are sent as they are. Raises BadInput for what is of a version that this one cannot read,
    Unfit for another patient_id than a UUID (our bug).
    """
    forms.identifier(patient_id)
    schema = kept.body.get("schema")
    try:
        if schema == scans.BODY_SCHEMA and kept.line.kind == Kind.SCAN:
            found = _of_scan(kept, patient_id)
        elif schema == entries.BODY_SCHEMA:
            found = _of_entry(kept, patient_id)
        else:
            raise Unfit("a scan or an entry")  # noqa: TRY301 (told as all that cannot be read)
        found.to_json()  # whatever does not fit is noticed here, not in the middle of a batch
    except (Unfit, BadInput, OverflowError):
        raise _of_another_version() from None
    return found


def _of_scan(kept: Observation, patient_id: str) -> wire.Observation:
    scan = kept.body.get("scan")
    if not isinstance(scan, dict) or scan.get("schema") != SCHEMA or not isinstance(scan.get("vitals"), dict):
        raise Unfit("a scan")
    figures = {
        name: figure for name in FIGURES if (figure := _fit(forms.number(), scan.get(name))) is not None
    }
    return wire.Observation(
        id=kept.line.id,
        patient_id=patient_id,
        kind=str(kept.line.kind),
        taken_at=kept.line.taken_at,
        utc_offset_min=kept.line.utc_offset_min,
        entered=False,
        software_version=_fit(forms.label, kept.body.get("version")) or "",
        values={name: _vital(vital) for name, vital in scan["vitals"].items()},
        quality=_quality(scan.get("quality")),
        facts={**figures, "simulated": kept.line.simulated},
    )


def _of_entry(kept: Observation, patient_id: str) -> wire.Observation:
    values = entries.values_of(kept)
    if not values:  # all that was typed in is of a kind that only a newer version knows
        raise Unfit("an entry")
    units = {value.name: value.unit for value in entries.VALUES[Kind(kept.line.kind)]}
    return wire.Observation(
        id=kept.line.id,
        patient_id=patient_id,
        kind=str(kept.line.kind),
        taken_at=kept.line.taken_at,
        utc_offset_min=kept.line.utc_offset_min,
        entered=True,
        # Not this version's: after an update the same entry would be sent as another one.
        software_version=_fit(forms.label, kept.body.get("version")) or "",
        values={
            name: wire.Value(value, None, None, units[name], None, (), None, "")
            for name, value in values.items()
        },
        quality=None,
        facts={},
    )


def _vital(vital: Any) -> wire.Value:
    """Withheld where it contradicts itself."""
    if not isinstance(vital, dict):
        raise Unfit("a vital sign")
    value, low, high = (_fit(forms.number(), vital.get(name)) for name in ("value", "low", "high"))
    reasons = _reasons(vital)
    if value is None or low is None or high is None or not low <= value <= high:
        if value is not None or not reasons:
            reasons = (str(Reason.IMPLAUSIBLE), *reasons)[:_MOST_REASONS]
        value = low = high = None
    return wire.Value(
        value,
        low,
        high,
        unit=_fit(forms.unit, vital.get("unit")) or "",
        confidence=_fit(forms.number(0.0, 1.0), vital.get("confidence")),
        reasons=reasons,
        window_s=_fit(forms.number(0.0, 86_400.0), vital.get("window_s")),
        algorithm=_fit(forms.label, vital.get("algorithm")) or "",
    )


def _quality(quality: Any) -> wire.Quality | None:
    if not isinstance(quality, dict):
        return None
    return wire.Quality(
        score=_fit(forms.number(0.0, 1.0), quality.get("score")),
        reasons=_reasons(quality),
        limiting_factor=_fit(forms.word, quality.get("limiting_factor")),
    )


def _reasons(said_of: Mapping[str, Any]) -> tuple[str, ...]:
    """Its codes; what is no code is no reason that anybody could read."""
    reasons = said_of.get("reasons")
    if not isinstance(reasons, list):
        return ()
    return tuple(reason for reason in reasons if _fit(forms.word, reason))[:_MOST_REASONS]


def _fit(form: Form[T], value: Any) -> T | None:
    try:
        return form(value)
    except Unfit:
        return None


def _of_another_version() -> BadInput:
    return BadInput(
        title=said("This was kept by another version of Health Helper and cannot be sent by this one"),
        remedy=said("Install the newest version; nothing is lost."),
    )
