"""Whether a picture's notes say where it was taken: EXIF (TIFF 6.0 with the GPS directory of CIPA DC-008) and XMP."""

from __future__ import annotations

import struct
from typing import Literal

from backend_lambda.services.inspection.findings import Reason, Refused

_EXIF_POINTER, _GPS_POINTER = 0x8769, 0x8825
_PLACE = {0x01, 0x02, 0x03, 0x04, 0x13, 0x14, 0x15, 0x16, 0x1B, 0x1C}
"""Latitude and longitude of here and of the destination, the method, the area's name."""
_MAX_DIRECTORIES = 16
_XMP = (b"GPSLatitude", b"GPSLongitude", b"GPSDestLatitude", b"GPSDestLongitude", b"GPSAreaInformation")
Order = Literal["little", "big"]


def xmp_says_where(packet: bytes) -> bool:
    """Also in UTF-16, where every letter has a zero beside it."""
    plain = packet.replace(b"\x00", b"")
    return any(name in plain for name in _XMP)


def exif_says_where(tiff: bytes) -> bool:
    """tiff: from its byte order on. Raises Refused for one that cannot be followed: nobody could tell then."""
    if tiff[:4] == b"II*\x00":
        order: Order = "little"
    elif tiff[:4] == b"MM\x00*":
        order = "big"
    else:
        raise Refused(Reason.DAMAGED)
    waiting = [int.from_bytes(tiff[4:8], order)]
    for _ in range(_MAX_DIRECTORIES):
        if not waiting:
            return False
        tags, following = _directory(tiff, waiting.pop(), order)
        if _GPS_POINTER in tags:
            place, _ = _directory(tiff, tags[_GPS_POINTER], order)
            if not _PLACE.isdisjoint(place):
                return True
        if _EXIF_POINTER in tags:
            waiting.append(tags[_EXIF_POINTER])
        if following:
            waiting.append(following)
    raise Refused(Reason.DAMAGED)


def _directory(tiff: bytes, at: int, order: Order) -> tuple[dict[int, int], int]:
    """Tags with their values as an offset, and where the next directory is (0: nowhere)."""
    count = int.from_bytes(tiff[at : at + 2], order)
    end = at + 2 + 12 * count
    if at < 8 or end > len(tiff):
        raise Refused(Reason.DAMAGED)
    sign = "<" if order == "little" else ">"
    entries = struct.iter_unpack(f"{sign}HHII", tiff[at + 2 : end])
    # some writers leave the last four bytes out
    return {tag: value for tag, _, _, value in entries}, int.from_bytes(tiff[end : end + 4], order)
