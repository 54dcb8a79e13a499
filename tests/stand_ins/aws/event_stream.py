"""Part of the AWS stand-in, which is never shipped: frames of AWS's event streams (vnd.amazon.eventstream), as bytes.

A frame: total length, length of the headers, CRC-32 of these two; headers; payload; CRC-32 of all before. Numbers are big-endian.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping

_STRING = 7


def frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Header values are strings; names have 1 to 255 bytes, values at most 65 535."""
    packed = b"".join(
        struct.pack("!B", len(raw_name)) + raw_name + struct.pack("!BH", _STRING, len(raw_value)) + raw_value
        for raw_name, raw_value in ((name.encode(), value.encode()) for name, value in headers.items())
    )
    prelude = struct.pack("!II", 16 + len(packed) + len(payload), len(packed))
    head = prelude + struct.pack("!I", zlib.crc32(prelude)) + packed + payload
    return head + struct.pack("!I", zlib.crc32(head))


def event(kind: str, content: object) -> bytes:
    """One event with JSON."""
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return frame(headers, json.dumps(content).encode())


def exception(kind: str, message: str) -> bytes:
    """An exception that the service's model names, in mid-stream."""
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return frame(headers, json.dumps({"message": message}).encode())
