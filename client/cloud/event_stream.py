"""Frames of AWS's event streams (vnd.amazon.eventstream), as Amazon Transcribe speaks them over a web socket.

A frame: total length, length of the headers, CRC-32 of these two; headers; payload; CRC-32 of all before. Numbers are big-endian (Amazon
Transcribe Developer Guide, "Event stream encoding").
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from client.cloud.forms import Unfit

MOST_BYTES = 1_000_000
_PRELUDE, _CRC, _STRING = 12, 4, 7
_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Of header values by their kind; those of 6 (bytes) and 7 (text) say their own."""


@dataclass(frozen=True, slots=True)
class Frame:
    """headers: those that are text."""

    headers: Mapping[str, str]
    payload: bytes = field(repr=False)


def encode(headers: Mapping[str, str], payload: bytes) -> bytes:
    """headers: names of 1 to 255 bytes, values of at most 65,535."""
    packed = b"".join(_header(name.encode(), value.encode()) for name, value in headers.items())
    prelude = struct.pack("!II", _PRELUDE + len(packed) + len(payload) + _CRC, len(packed))
    head = prelude + struct.pack("!I", zlib.crc32(prelude)) + packed + payload
    return head + struct.pack("!I", zlib.crc32(head))


def _header(name: bytes, value: bytes) -> bytes:
    return struct.pack("!B", len(name)) + name + struct.pack("!BH", _STRING, len(value)) + value


def decode(data: bytes) -> Frame:
    """One whole frame. Raises Unfit for anything else."""
    if not _PRELUDE + _CRC <= len(data) <= MOST_BYTES:
        raise Unfit("a frame")
    total, length, crc = struct.unpack_from("!III", data)
    if total != len(data) or crc != zlib.crc32(data[:8]):
        raise Unfit("a frame of its own length")
    if struct.unpack_from("!I", data, total - _CRC)[0] != zlib.crc32(data[:-_CRC]):
        raise Unfit("a frame that arrived whole")
    end = _PRELUDE + length
    if end > total - _CRC:
        raise Unfit("headers inside their frame")
    return Frame(_headers(data[_PRELUDE:end]), data[end : total - _CRC])


def _headers(data: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    try:
        while at < len(data):
            name_end = at + 1 + data[at]
            name, kind = data[at + 1 : name_end].decode(), data[name_end]
            at = name_end + 1
            if kind in {6, _STRING}:
                (size,) = struct.unpack_from("!H", data, at)
                at += 2
            else:
                size = _SIZES[kind]
            if at + size > len(data):
                raise Unfit("headers that end")
            if kind == _STRING:
                found[name] = data[at : at + size].decode()
            at += size
    except (IndexError, KeyError, struct.error, UnicodeDecodeError):
        raise Unfit("headers") from None
    return found
