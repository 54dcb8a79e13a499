"""PNG (ISO/IEC 15948): every chunk by its checksum, and exactly as many pixels as the header says."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from backend_lambda.services.inspection.findings import Limits, Reason, Refused
from backend_lambda.services.inspection.inflating import inflated
from backend_lambda.services.inspection.location import exif_says_where, xmp_says_where

MAGIC = b"\x89PNG\r\n\x1a\n"
_MAX_CHUNKS = 20_000
_MAX_NOTE_BYTES = 4_000_000
"""Of a compressed note or colour profile, unpacked."""
_MOVING = {b"acTL", b"fcTL", b"fdAT"}
"""Animations: pictures beside the one that is looked at."""
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Per pixel, by colour type."""
_DEPTHS = {0: {1, 2, 4, 8, 16}, 2: {8, 16}, 3: {1, 2, 4, 8}, 4: {8, 16}, 6: {8, 16}}
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Interlacing: first column, first row, steps between columns, between rows."""


def check(data: bytes, limits: Limits) -> None:
    """Raises Refused."""
    header: bytes | None = None
    pixels = 0
    packed: list[memoryview] = []
    pixels_ended = palette = False
    for kind, body in _chunks(data):
        if header is None:
            if kind != b"IHDR":
                raise Refused(Reason.DAMAGED)
            header = bytes(body)
            pixels = _unpacked_bytes(header, limits)
        elif kind == b"IDAT":
            if pixels_ended:
                raise Refused(Reason.DAMAGED)
            packed.append(body)
        else:
            pixels_ended = bool(packed)
            palette = palette or kind == b"PLTE"
            _check_other(kind, body)
    if header is None or not packed or (header[9] == 3 and not palette):
        raise Refused(Reason.DAMAGED)
    _unpack(packed, pixels)


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """All but IEND, which must be the last."""
    whole = memoryview(data)
    at = len(MAGIC)
    for _ in range(_MAX_CHUNKS):
        length = int.from_bytes(data[at : at + 4], "big")
        kind = data[at + 4 : at + 8]
        end = at + 8 + length
        if end + 4 > len(data) or not kind.isalpha():
            raise Refused(Reason.DAMAGED)
        if zlib.crc32(whole[at + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            raise Refused(Reason.DAMAGED)
        if kind == b"IEND":
            if length:
                raise Refused(Reason.DAMAGED)
            if end + 4 != len(data):
                raise Refused(Reason.TRAILING_DATA)
            return
        yield kind, whole[at + 8 : end]
        at = end + 4
    raise Refused(Reason.TOO_COMPLEX)


def _unpacked_bytes(header: bytes, limits: Limits) -> int:
    """How many bytes the pixels take, each row with its filter's byte."""
    if len(header) != 13:
        raise Refused(Reason.DAMAGED)
    width, height = int.from_bytes(header[:4], "big"), int.from_bytes(header[4:8], "big")
    depth, colour, compression, filters, interlace = header[8:]
    if depth not in _DEPTHS.get(colour, ()) or compression or filters or interlace > 1:
        raise Refused(Reason.DAMAGED)
    if not width or not height:
        raise Refused(Reason.DAMAGED)
    if width * height > limits.pixels:
        raise Refused(Reason.TOO_MANY_PIXELS)
    bits = depth * _SAMPLES[colour]
    total = 0
    for left, top, right, down in _ADAM7 if interlace else ((0, 0, 1, 1),):
        columns, rows = -(-(width - left) // right), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            total += rows * (1 + -(-columns * bits // 8))
    return total


def _unpack(packed: list[memoryview], wanted: int) -> None:
    """Counts what comes out and keeps none of it."""
    came = 0
    try:
        unpacker = zlib.decompressobj()
        for body in packed:
            if unpacker.eof:
                raise Refused(Reason.TRAILING_DATA)
            for piece in inflated(unpacker, body):
                came += piece
                if came > wanted:
                    raise Refused(Reason.BOMB)
            if unpacker.unused_data:
                raise Refused(Reason.TRAILING_DATA)
    except zlib.error as error:
        raise Refused(Reason.DAMAGED) from error
    if came != wanted or not unpacker.eof:
        raise Refused(Reason.DAMAGED)


def _check_other(kind: bytes, body: memoryview) -> None:
    if kind[:1].isupper() and kind != b"PLTE":  # a reader that does not know it may not go on
        raise Refused(Reason.DAMAGED)
    if kind in _MOVING:
        raise Refused(Reason.UNSUPPORTED)
    note = bytes(body)
    if kind == b"eXIf":
        if exif_says_where(note):
            raise Refused(Reason.LOCATION)
    elif kind == b"iCCP":
        _note(note.partition(b"\x00")[2][1:])
    elif kind in {b"tEXt", b"zTXt", b"iTXt"}:
        _check_text(kind, note)


def _check_text(kind: bytes, note: bytes) -> None:
    """XMP, or EXIF as hexadecimal digits (ImageMagick's "Raw profile type")."""
    keyword, _, text = note.partition(b"\x00")
    if kind == b"zTXt":
        text = _note(text[1:])
    elif kind == b"iTXt":
        compressed = text[:1] == b"\x01"
        _, _, rest = text[2:].partition(b"\x00")  # language
        _, _, text = rest.partition(b"\x00")  # translated keyword
        if compressed:
            text = _note(text)
    if xmp_says_where(text):
        raise Refused(Reason.LOCATION)
    if keyword.startswith(b"Raw profile type"):
        digits = b"".join(text.split(b"\n")[3:]) if text.startswith(b"\n") else text
        try:
            profile = bytes.fromhex(digits.decode("ascii", "replace").replace(" ", ""))
        except ValueError as error:
            raise Refused(Reason.DAMAGED) from error
        at = profile.find(b"Exif\x00\x00")
        if xmp_says_where(profile) or (at >= 0 and exif_says_where(profile[at + 6 :])):
            raise Refused(Reason.LOCATION)


def _note(packed: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(packed, _MAX_NOTE_BYTES)
    except zlib.error as error:
        raise Refused(Reason.DAMAGED) from error
    if not unpacker.eof:
        raise Refused(Reason.BOMB if len(text) >= _MAX_NOTE_BYTES else Reason.DAMAGED)
    if unpacker.unused_data:
        raise Refused(Reason.TRAILING_DATA)
    return text
