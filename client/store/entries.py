"""What a person reads off another device and types in, as it is kept: a cuff, an oximeter, a thermometer, scales.

Body of such an observation: {"schema": "health-helper/entry/1", "entered": true, "values": {name: number}, "note": text}. Whether
a value is plausible is asked where it is typed; here it is kept as it came.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from client.errors import BadInput
from client.language import marked, said
from client.store.observations import Kind, Line, Numbers, Observation, new_id, utc_offset_min

BODY_SCHEMA = "health-helper/entry/1"


@dataclass(frozen=True, slots=True)
class Value:
    """One number of a kind of entry. unit: not yet translated. optional: the device may not show it."""

    name: str
    unit: str
    optional: bool = False


_PRESSURE = marked("mmHg")
_PULSE = Value("pulse", marked("/min"), optional=True)
VALUES: Mapping[Kind, tuple[Value, ...]] = {
    Kind.BLOOD_PRESSURE: (Value("systolic", _PRESSURE), Value("diastolic", _PRESSURE), _PULSE),
    Kind.OXIMETER: (Value("spo2", marked("%")), _PULSE),
    Kind.TEMPERATURE: (Value("celsius", marked("°C")),),
    Kind.WEIGHT: (Value("kg", marked("kg")),),
}
"""What each kind of entry has, in the order in which it is asked for and shown."""


def to_observation(
    kind: Kind,
    values: Mapping[str, float | None],
    taken_at: datetime,
    person: str | None,
    *,
    note: str = "",
) -> Observation:
    """What is kept of an entry. values: by the names of VALUES[kind], None for what was not read. taken_at: with its zone.
    person: None for a guest. The identifier is new. Raises ValueError for names or numbers that can't be (our bug).
    """
    given = {name: value for name, value in values.items() if value is not None}
    known = VALUES.get(kind, ())
    needed = {value.name for value in known if not value.optional}
    if not needed or not needed <= given.keys() <= {value.name for value in known}:
        raise ValueError(f"{kind} has {[value.name for value in known]}, not {sorted(given)}")
    if not all(math.isfinite(value) for value in given.values()):
        raise ValueError("a value is not finite")
    return Observation(
        Line(
            id=new_id(),
            person=person,
            kind=kind,
            taken_at=taken_at,
            utc_offset_min=utc_offset_min(taken_at),
            numbers=Numbers(),  # those of a scan: a cuff's pulse is no point of the camera's trend
            simulated=False,
        ),
        body={"schema": BODY_SCHEMA, "entered": True, "values": given, "note": note},
    )


def values_of(observation: Observation) -> dict[str, float]:
    """The values of an entry by name, in the order of VALUES; what only a newer version knows is left out here and stays in the
    store. Raises BadInput for what is no entry of a version that can be read.
    """
    body = observation.body
    values = body.get("values")
    known = VALUES.get(Kind(observation.line.kind), ()) if observation.line.kind in set(Kind) else ()
    if body.get("schema") != BODY_SCHEMA or not isinstance(values, dict) or not known:
        raise BadInput(
            title=said("This was kept by another version of Health Helper and cannot be shown by this one"),
            remedy=said("Install the newest version; nothing is lost."),
        )
    return {
        value.name: float(values[value.name])
        for value in known
        if isinstance(values.get(value.name), int | float)
    }
