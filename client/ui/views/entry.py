"""Readings that a person takes off another device and types in: what they consist of, and which numbers can be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from client.language import marked, said
from client.store.observations import Kind


@dataclass(frozen=True, slots=True)
class Field:
    """name: in what is kept. least, most: what can be typed; outside it is a slip of the finger, whatever the health."""

    name: str
    title: str
    unit: str
    least: float
    most: float
    decimals: int = 0
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Form:
    """One kind of reading."""

    title: str
    fields: tuple[Field, ...]


_PULSE = Field("pulse", marked("Pulse"), "/min", 20, 300, optional=True)
FORMS: Mapping[Kind, Form] = {
    Kind.BLOOD_PRESSURE: Form(
        marked("Blood pressure (cuff)"),
        (
            Field("systolic", marked("Upper (systolic)"), "mmHg", 50, 300),
            Field("diastolic", marked("Lower (diastolic)"), "mmHg", 20, 200),
            _PULSE,
        ),
    ),
    Kind.OXIMETER: Form(
        marked("Oximeter"), (Field("spo2", marked("Oxygen saturation"), "%", 50, 100), _PULSE)
    ),
    Kind.TEMPERATURE: Form(
        marked("Thermometer"), (Field("celsius", marked("Temperature"), "°C", 25, 45, decimals=1),)
    ),
    Kind.WEIGHT: Form(marked("Scales"), (Field("kg", marked("Weight"), "kg", 0.5, 500, decimals=1),)),
}
"""By kind, in the order in which they are offered."""


def values_of(kind: Kind, typed: Mapping[str, str]) -> tuple[dict[str, float], dict[str, str]]:
    """(the numbers by name, what is wrong by the field's name); the numbers are of use only where nothing is wrong."""
    numbers: dict[str, float] = {}
    wrong: dict[str, str] = {}
    for field in FORMS[kind].fields:
        text = typed.get(field.name, "").strip()
        if not text:
            if not field.optional:
                wrong[field.name] = said("{title}: type a number.", title=said(field.title))
            continue
        number = _number(text)
        if number is None or not field.least <= number <= field.most:
            wrong[field.name] = said(
                "{title}: type a number from {least} to {most}.",
                title=said(field.title),
                least=f"{field.least:g}",
                most=f"{field.most:g}",
            )
        else:
            numbers[field.name] = round(number, field.decimals)
    if not wrong and kind is Kind.BLOOD_PRESSURE and numbers["diastolic"] >= numbers["systolic"]:
        wrong["diastolic"] = said("The lower number must be below the upper one.")
    return numbers, wrong


def _number(text: str) -> float | None:
    """A number as people type it: comma or point, also in Arabic digits."""
    try:
        number = float(text.replace("٫", ".").replace(",", "."))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def words(kind: str, values: Mapping[str, float]) -> str:
    """A reading in one line ("128/82 mmHg, pulse 70 /min")."""
    known = next((k for k in FORMS if k == kind), None)
    if known is None:
        return kind
    shown = {
        f.name: f"{values[f.name]:.{f.decimals}f} {f.unit}" for f in FORMS[known].fields if f.name in values
    }
    pulse = shown.pop("pulse", None)
    if known is Kind.BLOOD_PRESSURE and {"systolic", "diastolic"} <= values.keys():
        shown = {"both": f"{values['systolic']:.0f}/{values['diastolic']:.0f} mmHg"}
    parts = list(shown.values())
    if pulse is not None:
        parts.append(said("pulse {pulse}", pulse=pulse))
    return ", ".join(parts)
