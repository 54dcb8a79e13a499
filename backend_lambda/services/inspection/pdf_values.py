"""Values in what pypdf has read, where any may be missing, of another kind, or lead nowhere."""

from __future__ import annotations

from typing import Any

from pypdf.errors import LimitReachedError
from pypdf.generic import ArrayObject, DictionaryObject, NameObject, NumberObject


def followed(value: Any) -> Any:
    """To where it leads; None: nothing that can be read."""
    try:
        return value.get_object()
    except (LimitReachedError, RecursionError, MemoryError):
        raise
    except Exception:  # noqa: BLE001  (pypdf raises all sorts; an object that cannot be read is none)
        return None


def value_of(found: Any, key: str) -> Any:
    """What stands there in a dictionary, followed to where it leads; None: nothing that can be read."""
    if not isinstance(found, DictionaryObject):
        return None
    try:
        return found[key] if key in found else None  # noqa: SIM401  (get() would not follow it)
    except (LimitReachedError, RecursionError, MemoryError):
        raise
    except Exception:  # noqa: BLE001  (as in `followed`)
        return None


def name_of(found: Any, key: str) -> str:
    """Empty where there is none."""
    value = value_of(found, key)
    return str(value) if isinstance(value, NameObject) else ""


def number_of(found: Any, key: str) -> int:
    """0 where there is none."""
    value = value_of(found, key)
    return max(0, int(value)) if isinstance(value, NumberObject) else 0


def numbers_of(values: Any, count: int) -> list[float] | None:
    """None: not so many, or others among them."""
    parts = list(list.__iter__(values)) if isinstance(values, list) else []
    parts = [followed(one) for one in parts] if isinstance(values, ArrayObject) else parts
    if len(parts) != count or not all(isinstance(one, (int, float)) for one in parts):
        return None
    return [float(one) for one in parts]
