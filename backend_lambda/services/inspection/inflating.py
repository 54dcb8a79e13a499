"""Unpacking zlib without keeping what comes out, in small pieces."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Protocol

_IN, _OUT = 1 << 14, 1 << 18
"""What is fed at once is small: zlib copies what it has not used yet, each time."""


class Unpacker(Protocol):
    """`zlib.decompressobj()`, whose class has no name to write."""

    @property
    def unconsumed_tail(self) -> bytes: ...

    @property
    def unused_data(self) -> bytes: ...

    @property
    def eof(self) -> bool: ...

    def decompress(self, data: bytes | memoryview, max_length: int = ..., /) -> bytes: ...


def inflated(unpacker: Unpacker, packed: bytes | memoryview) -> Iterator[int]:
    """How many bytes came, piece by piece, until this much is used up or the stream ends. Raises zlib.error."""
    view = memoryview(packed)
    for at in range(0, len(view), _IN):
        if unpacker.eof:  # one byte is enough to show that something follows
            unpacker.decompress(view[at : at + 1])
            return
        waiting: bytes | memoryview = view[at : at + _IN]
        while True:
            came = len(unpacker.decompress(waiting, _OUT))
            yield came
            waiting = unpacker.unconsumed_tail
            if not waiting and came < _OUT:  # also at the stream's end
                break


def inflated_bytes(packed: bytes, at_most: int) -> int | None:
    """How long the stream is, unpacked; None: longer. What is broken ends there, as readers take it."""
    total = 0
    unpacker = zlib.decompressobj()
    try:
        for came in inflated(unpacker, packed):
            total += came
            if total > at_most:
                return None
    except zlib.error:
        pass
    return total


def unpacked(packed: bytes, at_most: int) -> bytes:
    """What `inflated_bytes` counts."""
    unpacker = zlib.decompressobj()
    try:
        return unpacker.decompress(packed, at_most)
    except zlib.error:
        return b""
