"""What a refusal may say of a request: which of our own fields are wrong, never a value, nor a name that the sender made up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

from pydantic import BaseModel

from backend_lambda import wire

UNKNOWN = "?"
_PARAMETERS = frozenset(
    {"body", "query", "path", "limit", "cursor", "clinic_id", "device_id", "upload_id", "share_id"}
)


@cache
def ours() -> frozenset[str]:
    """Every field of the wire format and every parameter of a path or query."""
    models = [
        value for value in vars(wire).values() if isinstance(value, type) and issubclass(value, BaseModel)
    ]
    return _PARAMETERS.union(*(model.model_fields for model in models))


def names(places: Iterable[Sequence[int | str]]) -> list[str]:
    """places: pydantic's `loc`. Each as "values.0.unit", cut off where it is not ours, once."""
    return sorted({_name(place) for place in places})


def _name(place: Sequence[int | str]) -> str:
    said: list[str] = []
    for part in place:
        if not isinstance(part, int) and part not in ours():
            break
        said.append(str(part))
    return ".".join(said) or UNKNOWN
