"""Part of the AWS stand-in, which is never shipped: the part of CBOR (RFC 8949) that AWS's rpc-v2-cbor speaks."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from datetime import datetime

_BREAK = object()


class BadCbor(ValueError):
    """No CBOR, or more of it than is spoken here."""


def encoded(value: object) -> bytes:
    if value is None or isinstance(value, bool):
        return {None: b"\xf6", True: b"\xf5", False: b"\xf4"}[value]
    if isinstance(value, int):
        return _head(0, value) if value >= 0 else _head(1, -1 - value)
    if isinstance(value, float):
        return b"\xfb" + struct.pack("!d", value)
    if isinstance(value, datetime):
        return b"\xc1" + encoded(value.timestamp())
    if isinstance(value, bytes):
        return _head(2, len(value)) + value
    if isinstance(value, str):
        raw = value.encode()
        return _head(3, len(raw)) + raw
    if isinstance(value, Mapping):
        return _head(5, len(value)) + b"".join(encoded(key) + encoded(item) for key, item in value.items())
    if isinstance(value, Sequence):
        return _head(4, len(value)) + b"".join(map(encoded, value))
    raise BadCbor(f"{type(value).__name__} has no form")


def _head(major: int, number: int) -> bytes:
    if number < 24:
        return bytes([major << 5 | number])
    for extra, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if number < 1 << 8 * size:
            return bytes([major << 5 | extra]) + number.to_bytes(size, "big")
    raise BadCbor("the number is too large")


def decoded(data: bytes) -> object:
    """Raises BadCbor. Tags are dropped."""
    value, rest = _item(data, 0)
    if rest != len(data) or value is _BREAK:
        raise BadCbor("something follows the value, or there is none")
    return value


def _take(data: bytes, at: int, size: int) -> bytes:
    if at + size > len(data):
        raise BadCbor("it ends too early")
    return data[at : at + size]


def _item(data: bytes, at: int, depth: int = 0) -> tuple[object, int]:
    if depth > 32:
        raise BadCbor("too deep")
    initial = _take(data, at, 1)[0]
    major, extra = initial >> 5, initial & 31
    at += 1
    if major == 7:
        return _simple(data, at, extra)
    number: int | None = extra
    if 24 <= extra <= 27:
        size = 1 << (extra - 24)
        number = int.from_bytes(_take(data, at, size), "big")
        at += size
    elif extra == 31 and 2 <= major <= 5:
        number = None
    elif extra > 27:
        raise BadCbor("reserved")
    if major in {0, 1}:
        assert number is not None
        return (number if major == 0 else -1 - number), at
    if major == 6:
        return _item(data, at, depth + 1)
    if major in {2, 3} and number is not None:
        return _text(major, _take(data, at, number)), at + number
    items: list[object] = []
    wanted = None if number is None else number * (2 if major == 5 else 1)
    while wanted is None or len(items) < wanted:
        item, at = _item(data, at, depth + 1)
        if item is _BREAK:
            if wanted is None:
                break
            raise BadCbor("a break where none may be")
        items.append(item)
    return _whole(major, items), at


def _simple(data: bytes, at: int, extra: int) -> tuple[object, int]:
    if extra == 31:
        return _BREAK, at
    if extra in {20, 21, 22, 23}:
        return {20: False, 21: True}.get(extra), at
    if extra in {25, 26, 27}:
        size, form = {25: (2, "!e"), 26: (4, "!f"), 27: (8, "!d")}[extra]
        return struct.unpack(form, _take(data, at, size))[0], at + size
    raise BadCbor("no simple value that is spoken here")


def _text(major: int, raw: bytes) -> object:
    if major == 2:
        return raw
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise BadCbor("no UTF-8") from error


def _whole(major: int, items: list[object]) -> object:
    if major == 4:
        return items
    if major == 5:
        if len(items) % 2 or not all(isinstance(key, str) for key in items[::2]):
            raise BadCbor("keys must be text, each with a value")
        return dict(zip(items[::2], items[1::2], strict=True))
    if not all(isinstance(item, bytes if major == 2 else str) for item in items):
        raise BadCbor("a piece of another kind")
    return (b"" if major == 2 else "").join(items)  # type: ignore[arg-type]
