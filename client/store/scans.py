"""A scan as it is kept: the public JSON, the remarks and the version beside it, and the pulse wave as bytes."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any, cast

import numpy as np

from client.errors import BadInput
from client.language import Sentence, said
from client.records import SCHEMA, Cost, ScanRecord, sanitised
from client.store.observations import Kind, Line, Numbers, Observation, Observations, new_id, utc_offset_min
from edge_models.types import Estimate, Quality, Reason, ScanResult, Trace, TrendPoint

BODY_SCHEMA = "health-helper/kept-scan/1"
REPORT_DAYS = 90
"""How far back the trend of a report goes."""
_WAVE_HEAD = struct.Struct("<dd")
"""Seconds of the first sample and between two; float32 samples follow, little-endian."""
_NO_WAVE = Trace(np.zeros(0), np.zeros(0))


def to_observation(record: ScanRecord, *, person: str | None) -> Observation:
    """What is kept of a scan. person: None for a guest. The identifier is new."""
    vitals = {
        name: record.result.vitals[name] for name in ("heart_rate", "respiratory_rate", "rmssd", "sdnn")
    }
    rate = record.heart_rate
    return Observation(
        Line(
            id=new_id(),
            person=person,
            kind=Kind.SCAN,
            taken_at=record.taken_at,
            utc_offset_min=utc_offset_min(record.taken_at),
            numbers=Numbers(
                heart_rate=rate.value,
                heart_rate_low=rate.low,
                heart_rate_high=rate.high,
                respiratory_rate=_finite(vitals["respiratory_rate"]),
                rmssd=_finite(vitals["rmssd"]),
                sdnn=_finite(vitals["sdnn"]),
            ),
            simulated=record.simulated,
        ),
        body={
            "schema": BODY_SCHEMA,
            "scan": record.to_json(),
            "notes": [note.english for note in record.notes],
            "remarks": [_kept(note) for note in record.notes],
            "version": record.version,
        },
        wave=_wave_bytes(record.result.bvp),
    )


def to_record(observation: Observation) -> ScanRecord:
    """The scan again, for a report. Numbers are rounded as in the public JSON; what only a newer version knows (a reason, a further
    key) is left out here and stays in the store. Raises BadInput for what is no scan of a version that can be read.
    """
    body = observation.body
    scan = body.get("scan")
    if body.get("schema") != BODY_SCHEMA or not isinstance(scan, dict) or scan.get("schema") != SCHEMA:
        raise _of_another_version()
    try:
        return ScanRecord(
            source=scan["source"],
            simulated=scan["simulated"],
            result=ScanResult(
                duration_s=scan["duration_s"],
                accepted_s=scan["accepted_s"],
                frames=scan["frames"],
                measured_fps=scan["measured_fps"],
                vitals={name: _estimate(said) for name, said in scan["vitals"].items()},
                beats_s=tuple(scan["beats_s"]),
                trend=tuple(TrendPoint(**_known(TrendPoint, point)) for point in scan["trend"]),
                quality=_quality(scan["quality"]),
                bvp=wave_of(observation),
            ),
            notes=_notes(body),
            cost=Cost(**_known(Cost, scan["cost"])),
            saved=True,
            saved_reason=None,
            taken_at=observation.line.taken_at,
            version=body["version"],
        )
    except KeyError:  # a key that this version must have and that one had not
        raise _of_another_version() from None


def wave_of(observation: Observation) -> Trace:
    """The pulse wave of a scan; empty where none was kept, or what was kept is none."""
    wave = observation.wave or b""
    samples, rest = divmod(len(wave) - _WAVE_HEAD.size, 4)
    if samples < 2 or rest:
        return _NO_WAVE
    first_s, step_s = _WAVE_HEAD.unpack_from(wave)
    values = np.frombuffer(wave, "<f4", offset=_WAVE_HEAD.size).astype(np.float64)
    if not (math.isfinite(first_s) and 0.0 < step_s < math.inf and np.all(np.isfinite(values))):
        return _NO_WAVE
    return Trace(cast("Any", first_s + step_s * np.arange(samples)), cast("Any", values))


def earlier_heart_rates(
    kept: Observations, person: str | None, until: datetime
) -> list[tuple[datetime, float]]:
    """(moment, heart rate, /min) of the person's scans in the REPORT_DAYS up to that moment, the oldest first: for a report."""
    lines = kept.between(person, until - timedelta(days=REPORT_DAYS), until + timedelta(seconds=1))
    return [
        (line.taken_at, line.numbers.heart_rate)
        for line in lines
        if line.kind == Kind.SCAN and line.numbers.heart_rate is not None
    ]


def taken_at_local(line: Line) -> datetime:
    """When it was there: the moment on the clock of the place where it was taken, without a zone."""
    return (line.taken_at + timedelta(minutes=line.utc_offset_min)).replace(tzinfo=None)


def _kept(note: Sentence) -> dict[str, Any]:
    """Without a language. "notes" beside it has the same in English, as the first versions kept it and as an export is read."""
    values = {
        name: _kept(value) if isinstance(value, Sentence) else value for name, value in note.values.items()
    }
    return {"text": note.text, "values": values}


def _notes(body: Mapping[str, Any]) -> tuple[Sentence, ...]:
    if "remarks" not in body:
        return tuple(Sentence(text) for text in body["notes"])
    return tuple(map(_sentence, body["remarks"]))


def _sentence(kept: Mapping[str, Any]) -> Sentence:
    values = {
        name: _sentence(value) if isinstance(value, dict) else value for name, value in kept["values"].items()
    }
    return Sentence(kept["text"], values)


def _finite(estimate: Estimate) -> float | None:
    return sanitised(estimate).value


def _estimate(said: Mapping[str, Any]) -> Estimate:
    reasons = _reasons(said["reasons"])
    if said["value"] is None and not reasons:
        reasons = (Reason.IMPLAUSIBLE,)  # all its reasons are of a newer version
    return Estimate(
        said["value"],
        said["low"],
        said["high"],
        said["unit"],
        said["confidence"],
        reasons,
        said["window_s"],
        said["algorithm"],
    )


def _quality(said: Mapping[str, Any]) -> Quality:
    limiting = _reasons([said["limiting_factor"]] if said["limiting_factor"] else [])
    return Quality(said["score"], _reasons(said["reasons"]), limiting[0] if limiting else None)


def _reasons(said: list[str]) -> tuple[Reason, ...]:
    known = set(map(str, Reason))
    return tuple(Reason(reason) for reason in said if reason in known)


def _wave_bytes(wave: Trace) -> bytes | None:
    if len(wave.t_s) < 2:
        return None
    return _WAVE_HEAD.pack(wave.t_s[0], wave.t_s[1] - wave.t_s[0]) + wave.values.astype("<f4").tobytes()


def _known(kind: type[Cost | TrendPoint], said: Mapping[str, Any]) -> dict[str, Any]:
    """Of what was said, the fields that this version has. Raises KeyError where one is missing."""
    return {field.name: said[field.name] for field in fields(kind)}


def _of_another_version() -> BadInput:
    return BadInput(
        title=said("This was kept by another version of Health Helper and cannot be shown by this one"),
        remedy=said("Install the newest version; nothing is lost."),
    )
