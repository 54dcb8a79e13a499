"""Answers that somebody spoilt: any place of a JSON gets any other value, or goes, or comes twice."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

SECRET = "Jane Roe, 12 Elm St"
"""Stands for what must be in no message."""

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**53 + 1, -(2**63), 10**90, -1, 0, 1e308, -1e308, 5e-324, 0.5, -0.0]),
    st.floats(),  # NaN and Infinity among them, which Python writes as such
    st.text(max_size=40),
    st.sampled_from(
        [
            *("", "\ud800", "\x00", "a" * 10_000, SECRET, "NaN", "DPoP\r\nX-Evil: 1"),
            *("2026-02-30T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "٢٠٢٦-01-01"),
            *("http://example.org/", "javascript:alert(1)", "https://u:p@example.org/", "file:///etc/passwd"),
        ]
    ),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
)


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """All that can be spoilt, the whole among it."""
    found = [path]
    if isinstance(value, dict):
        for name, one in value.items():
            found += places(one, (*path, name))
    elif isinstance(value, list):
        for at, one in enumerate(value):
            found += places(one, (*path, at))
    return found


def changed(value: Any, path: tuple[str | int, ...], new: Any, how: str) -> Any:
    """A copy with something else there; how: "set", "drop" (the field is gone) or "more" (another field, or a thousand of the same)."""
    if not path:
        if how == "more" and isinstance(value, list):
            return value * 1000
        return {**value, SECRET: new} if how == "more" and isinstance(value, dict) else new
    head, *rest = path
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    if how == "drop" and not rest:
        del copy[head]
    else:
        copy[head] = changed(copy[head], tuple(rest), new, how)
    return copy


@st.composite
def spoilt(draw: st.DrawFn, golden: Any) -> bytes:
    """Up to three changes, then perhaps the bytes too."""
    value = golden
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(value)))
        value = changed(value, path, draw(ODD), draw(st.sampled_from(["set", "set", "drop", "more"])))
    data = json.dumps(value).encode()
    match draw(st.sampled_from(["whole", "whole", "whole", "cut", "byte", "twice"])):
        case "cut":
            data = data[: draw(st.integers(0, len(data)))]
        case "byte":
            at = draw(st.integers(0, max(0, len(data) - 1)))
            data = data[:at] + draw(st.binary(min_size=1, max_size=3)) + data[at + 1 :]
        case "twice":
            data = data + data
    return data
