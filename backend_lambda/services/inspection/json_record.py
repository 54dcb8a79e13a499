"""JSON of ours (RFC 8259, UTF-8): one object that names its schema."""

from __future__ import annotations

import json
import re
from typing import Never

from backend_lambda.services.inspection.findings import Limits, Reason, Refused

_SCHEMA = re.compile(r"health-helper/[a-z][a-z0-9_-]{0,63}/[1-9][0-9]{0,3}")
_STRUCTURE = re.compile(rb'["\[\]{}]')
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)


def check(data: bytes, limits: Limits) -> None:
    """Raises Refused."""
    _check_depth(data, limits.json_depth)
    try:
        record = json.loads(data.decode("utf-8"), object_pairs_hook=_each_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:  # also wrong UTF-8, and integers of thousands of digits
        raise Refused(Reason.DAMAGED) from error
    schema = record.get("schema") if isinstance(record, dict) else None
    if not isinstance(schema, str) or not _SCHEMA.fullmatch(schema):
        raise Refused(Reason.UNKNOWN_SCHEMA)


def _check_depth(data: bytes, limit: int) -> None:
    """Before anything is built of it."""
    depth, at = 0, 0
    while (found := _STRUCTURE.search(data, at)) is not None:
        at = found.end()
        if (sign := found.group()) == b'"':
            string = _STRING.match(data, found.start())
            if string is None:
                raise Refused(Reason.DAMAGED)
            at = string.end()
        elif sign in b"[{":
            depth += 1
            if depth > limit:
                raise Refused(Reason.TOO_COMPLEX)
        else:
            depth -= 1


def _each_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):  # two readers may each take another one of them
        raise Refused(Reason.DAMAGED)
    return found


def _no_number(_name: str) -> Never:
    raise Refused(Reason.DAMAGED)  # NaN and Infinity are no JSON
