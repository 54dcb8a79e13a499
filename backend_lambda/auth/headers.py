"""A request's headers, whatever case they came in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MAX_HEADER_CHARACTERS = 8_192
"""Of one header that is looked at; API Gateway lets through 10,240 bytes of all together."""


def of(event: Mapping[str, Any]) -> dict[str, str]:
    """Of an API Gateway REST proxy event: names in lower case, repeated ones joined by ", " as HTTP does.

    The event's plain `headers` holds only the last of repeated ones: a second proof would be hidden in it.
    """
    found: dict[str, list[str]] = {}
    several: Mapping[str, Sequence[str]] = event.get("multiValueHeaders") or {}
    for name, values in several.items():
        found.setdefault(name.lower(), []).extend(values)
    single: Mapping[str, str] = event.get("headers") or {}
    for name, value in single.items():
        found.setdefault(name.lower(), [value])
    return {name: ", ".join(str(value) for value in values) for name, values in found.items()}


def lowered(headers: Mapping[str, str]) -> dict[str, str]:
    """The same with names in lower case; two that differ in case only are repeated ones."""
    return of({"multiValueHeaders": _grouped(headers)})


def _grouped(headers: Mapping[str, str]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for name, value in headers.items():
        grouped.setdefault(name.lower(), []).append(value)
    return grouped
