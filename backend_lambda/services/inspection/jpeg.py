"""JPEG (ITU-T T.81): its segments one after the other, up to an end of image that is the file's end."""

from __future__ import annotations

import re

from backend_lambda.services.inspection.findings import Limits, Reason, Refused
from backend_lambda.services.inspection.location import exif_says_where, xmp_says_where

MAGIC = b"\xff\xd8\xff"
_MAX_SEGMENTS = 10_000
_MAX_SCANS = 64
"""Progressive files have about ten; each costs a reader as much as the whole picture."""
_MAX_DECODED = 20
"""Scans times pixels, in pictures of the largest size."""
_FRAMES = {0xC0, 0xC1, 0xC2}
"""Baseline, extended and progressive with Huffman codes."""
_OTHER_FRAMES = {0xC3, *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xDC, 0xDE, 0xDF}
"""Lossless, hierarchical, arithmetic codes; a height that comes later."""
_TABLES = {0xC4, 0xCC, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)}
"""Huffman, arithmetic, quantisation, restarts, comments, applications."""
_MARKER = re.compile(rb"\xff++[^\x00\xd0-\xd7]")
"""As many 0xFF as one likes before it."""
_AFTER_CODES = re.compile(rb"\xff[^\xff\x00\xd0-\xd7]")
"""Ends coded data: neither a stuffed zero nor a restart. It looks at each byte once, however many 0xFF there are."""
_EXIF, _XMP, _MORE_XMP = (
    b"Exif\x00",
    b"http://ns.adobe.com/xap/1.0/\x00",
    b"http://ns.adobe.com/xmp/extension/\x00",
)
_MORE_XMP_HEADER = len(_MORE_XMP) + 32 + 4 + 4


def check(data: bytes, limits: Limits) -> None:
    """Raises Refused."""
    _walk(data, limits, whole=True)


def check_head(data: bytes, limits: Limits) -> None:
    """Only what comes before the first coded data: the size and the notes. Raises Refused."""
    _walk(data, limits, whole=False)


def _walk(data: bytes, limits: Limits, *, whole: bool) -> None:
    at, pixels, scans = 2, 0, 0
    more_xmp = bytearray()  # in pieces of 64 KB, so that a name may stand across two
    for _ in range(_MAX_SEGMENTS):
        at, marker = _marker(data, at)
        if marker == 0xD9:
            if not scans:
                raise Refused(Reason.DAMAGED)
            if at != len(data):
                raise Refused(Reason.TRAILING_DATA)
            _check_more_xmp(more_xmp)
            return
        length = int.from_bytes(data[at : at + 2], "big")
        body = data[at + 2 : at + length]
        if length < 2 or at + length > len(data):
            raise Refused(Reason.DAMAGED)
        at += length
        if marker in _FRAMES:
            if pixels:
                raise Refused(Reason.DAMAGED)
            pixels = _pixels(body, limits)
        elif marker in _OTHER_FRAMES:
            raise Refused(Reason.UNSUPPORTED)
        elif marker == 0xDA:
            scans += 1
            if not whole:
                _check_more_xmp(more_xmp)
                return
            if not pixels:
                raise Refused(Reason.DAMAGED)
            if scans > _MAX_SCANS or scans * pixels > _MAX_DECODED * limits.pixels:
                raise Refused(Reason.BOMB)
            coded = _AFTER_CODES.search(data, at)
            if coded is None:
                raise Refused(Reason.DAMAGED)
            at = coded.start()
        elif marker not in _TABLES:
            raise Refused(Reason.DAMAGED)
        elif marker == 0xE1:
            if body.startswith(_MORE_XMP):
                more_xmp += body[_MORE_XMP_HEADER:]
            _check_notes(body)
    raise Refused(Reason.TOO_COMPLEX)


def _check_more_xmp(more_xmp: bytearray) -> None:
    if xmp_says_where(bytes(more_xmp)):
        raise Refused(Reason.LOCATION)


def _marker(data: bytes, at: int) -> tuple[int, int]:
    """Where its segment begins, and which it is."""
    found = _MARKER.match(data, at)
    if found is None:
        raise Refused(Reason.DAMAGED)
    return found.end(), data[found.end() - 1]


def _pixels(frame: bytes, limits: Limits) -> int:
    if len(frame) < 6:
        raise Refused(Reason.DAMAGED)
    height, width, components = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big"), frame[5]
    if not height or components not in {1, 3, 4}:
        raise Refused(Reason.UNSUPPORTED)
    if not width or len(frame) != 6 + 3 * components:
        raise Refused(Reason.DAMAGED)
    if width * height > limits.pixels:
        raise Refused(Reason.TOO_MANY_PIXELS)
    return width * height


def _check_notes(body: bytes) -> None:
    if (body.startswith(_EXIF) and exif_says_where(body[len(_EXIF) + 1 :])) or (
        body.startswith((_XMP, _MORE_XMP)) and xmp_says_where(body)
    ):
        raise Refused(Reason.LOCATION)
