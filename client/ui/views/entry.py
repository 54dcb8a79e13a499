"""Readings that a person takes off another device and types in: what they consist of, and which numbers can be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from client.language import listing, marked, said
from client.store.entries import VALUES
from client.store.observations import Kind


@dataclass(frozen=True, slots=True)
class Field:
    """One number of a form. name, unit, optional: as the store has them. least, most: what can be typed; outside it is a slip of the
    finger, whatever the health. title, unit: not yet translated.
    """

    name: str
    unit: str
    optional: bool
    title: str
    least: float
    most: float
    decimals: int = 0


@dataclass(frozen=True, slots=True)
class Form:
    """One kind of reading. title: not yet translated."""

    title: str
    fields: tuple[Field, ...]


_TITLES: Mapping[Kind, str] = {
    Kind.BLOOD_PRESSURE: marked("Blood pressure (cuff)"),
    Kind.OXIMETER: marked("Oximeter"),
    Kind.TEMPERATURE: marked("Thermometer"),
    Kind.WEIGHT: marked("Scales"),
}
_TYPED: Mapping[str, tuple[str, float, float, int]] = {
    "systolic": (marked("Upper (systolic)"), 50, 300, 0),
    "diastolic": (marked("Lower (diastolic)"), 20, 200, 0),
    "spo2": (marked("Oxygen saturation"), 50, 100, 0),
    "celsius": (marked("Temperature"), 25, 45, 1),
    "kg": (marked("Weight"), 0.5, 500, 1),
    "pulse": (marked("Pulse"), 20, 300, 0),
}
"""By the store's name of a value: title, least, most, decimals."""
FORMS: Mapping[Kind, Form] = {
    kind: Form(_TITLES[kind], tuple(Field(v.name, v.unit, v.optional, *_TYPED[v.name]) for v in VALUES[kind]))
    for kind in VALUES
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
    fields = FORMS[known].fields
    shown = {f.name: _with_unit(f"{values[f.name]:.{f.decimals}f}", f) for f in fields if f.name in values}
    pulse = shown.pop("pulse", None)
    if known is Kind.BLOOD_PRESSURE and {"systolic", "diastolic"} <= values.keys():
        shown = {"both": _with_unit(f"{values['systolic']:.0f}/{values['diastolic']:.0f}", fields[0])}
    parts = list(shown.values())
    if pulse is not None:
        parts.append(said("pulse {pulse}", pulse=pulse))
    return listing(parts)


def _with_unit(value: str, field: Field) -> str:
    return said("{value} {unit}", value=value, unit=said(field.unit))
