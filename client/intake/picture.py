"""Pictures that are handed in: their header is read by our own few lines, and only then are they decoded and encoded anew.

What is not pixels is gone then: EXIF with place, time, serial numbers and thumbnail, XMP, IPTC, comments, texts, colour profiles (a
picture of a wide gamut looks a little paler), and whatever follows the picture's end. Its orientation is applied.
JPEG: ITU-T T.81. PNG: ISO/IEC 15948. EXIF: CIPA DC-008.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass

import cv2
import numpy as np

from client.intake.kinds import MediaType
from client.intake.limits import MAX_BYTES, MAX_PIXELS, MAX_SHRUNK_PIXELS
from client.intake.refusals import Refusal, Refused
from edge_models.types import ByteArray

JPEG_QUALITIES = (92, 85)
"""With full colour resolution. At 85 letters 14 px high still have no visible ringing; only below does text suffer."""
_FULL_COLOUR = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
_SMALLER = 0.84
"""Of width and height, each time, at most: 0.7 of the pixels."""
_PNG_LEVEL = 6
_MAX_PARTS = 20_000
_MAX_SCANS = 64
_MAX_DECODED_PIXELS = 20 * MAX_PIXELS
"""Scans times pixels of a progressive JPEG: each scan costs a reader as much as the whole picture."""
_PLAIN_FRAMES = {0xC0, 0xC1, 0xC2}
_OTHER_FRAMES = {0xC3, *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xDC, 0xDE, 0xDF}
_MARKER = re.compile(rb"\xff++[^\x00\xd0-\xd7]")
_AFTER_CODES = re.compile(rb"\xff[^\xff\x00\xd0-\xd7]")
_ORIENTATION = 0x0112
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_DEPTHS = {0: {1, 2, 4, 8, 16}, 2: {8, 16}, 3: {1, 2, 4, 8}, 4: {8, 16}, 6: {8, 16}}
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_STRIP_ROWS = 256


@dataclass(frozen=True, slots=True)
class Header:
    """orientation: as EXIF counts, 1 (upright) to 8. see_through: parts of it may be transparent."""

    width_px: int
    height_px: int
    orientation: int = 1
    see_through: bool = False

    @property
    def pixels(self) -> int:
        """How many it has."""
        return self.width_px * self.height_px


@dataclass(frozen=True, slots=True)
class Clean:
    """smaller: it has fewer pixels than what was handed in."""

    media_type: MediaType
    data: bytes
    smaller: bool


def cleaned(data: bytes, media_type: MediaType) -> Clean:
    """The same picture with nothing but its pixels. media_type: PNG or JPEG. Raises Refused."""
    header = jpeg_header(data) if media_type is MediaType.JPEG else png_header(data)
    image, smaller = _decoded(data, header, shrinks=media_type is MediaType.JPEG)
    image = _without_colour(_upright(image, header.orientation))
    if media_type is MediaType.PNG and len(data) <= MAX_BYTES[MediaType.PNG]:
        made = _encoded(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, _PNG_LEVEL])
        if len(made) <= MAX_BYTES[MediaType.PNG]:
            return Clean(MediaType.PNG, made, smaller)
    return _fitting_jpeg(image, smaller=smaller)


def as_jpeg(image: ByteArray) -> Clean:
    """image: uint8 BGR [shape=(height, width, 3)]. Raises Refused."""
    if image.shape[0] * image.shape[1] > MAX_PIXELS:
        raise Refused(Refusal.TOO_MANY_PIXELS)
    return _fitting_jpeg(_without_colour(image), smaller=False)


def small(data: bytes, longest_px: int) -> ByteArray:
    """A picture that `cleaned` has made, to be looked at: uint8 BGR [shape=(height, width, 3)]. Raises Refused."""
    header = jpeg_header(data) if data.startswith(b"\xff\xd8") else png_header(data)
    longest = max(header.width_px, header.height_px)
    flag = cv2.IMREAD_COLOR
    for factor, reduced in (
        (8, cv2.IMREAD_REDUCED_COLOR_8),
        (4, cv2.IMREAD_REDUCED_COLOR_4),
        (2, cv2.IMREAD_REDUCED_COLOR_2),
    ):
        if longest >= factor * longest_px:
            flag = reduced
            break
    image = _decode(data, flag)
    scale = longest_px / max(image.shape[:2])
    if scale >= 1.0:
        return image
    return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


# Headers


def jpeg_header(data: bytes) -> Header:
    """Read from one segment to the next up to the end of the picture. Raises Refused; what follows the end does not matter."""
    at, scans, orientation = 2, 0, 1
    size: tuple[int, int] | None = None
    for _ in range(_MAX_PARTS):
        found = _MARKER.search(data, at)
        if found is None:
            raise Refused(Refusal.DAMAGED)
        at, marker = found.end(), data[found.end() - 1]
        if marker == 0xD9:
            if size is None or not scans:
                raise Refused(Refusal.DAMAGED)
            return Header(*size, orientation)
        length = int.from_bytes(data[at : at + 2], "big")
        if length < 2 or at + length > len(data):
            raise Refused(Refusal.DAMAGED)
        body = data[at + 2 : at + length]
        at += length
        if marker in _PLAIN_FRAMES:
            if size is not None:
                raise Refused(Refusal.DAMAGED)
            size = _jpeg_size(body)
        elif marker in _OTHER_FRAMES:
            raise Refused(Refusal.UNSUPPORTED)
        elif marker == 0xDA:
            scans += 1
            if size is None:
                raise Refused(Refusal.DAMAGED)
            if scans > _MAX_SCANS or (scans > 1 and scans * size[0] * size[1] > _MAX_DECODED_PIXELS):
                raise Refused(Refusal.BOMB)
            coded = _AFTER_CODES.search(data, at)
            if coded is None:
                raise Refused(Refusal.DAMAGED)
            at = coded.start()
        elif marker == 0xE1 and body.startswith(b"Exif\x00") and orientation == 1:
            orientation = exif_orientation(body[6:])
    raise Refused(Refusal.TOO_COMPLEX)


def _jpeg_size(frame: bytes) -> tuple[int, int]:
    if len(frame) < 6:
        raise Refused(Refusal.DAMAGED)
    height, width, components = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big"), frame[5]
    if not height or components not in {1, 3, 4}:
        raise Refused(Refusal.UNSUPPORTED)
    if not width:
        raise Refused(Refusal.DAMAGED)
    if width * height > MAX_SHRUNK_PIXELS:
        raise Refused(Refusal.TOO_MANY_PIXELS)
    return width, height


def png_header(data: bytes) -> Header:
    """Every chunk by its checksum up to the last, and exactly as many pixels as the first says. Raises Refused."""
    header: Header | None = None
    wanted = came = 0
    unpacker = zlib.decompressobj()
    at, orientation, see_through = 8, 1, False
    for _ in range(_MAX_PARTS):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 8 + length
        if end + 4 > len(data) or zlib.crc32(memoryview(data)[at + 4 : end]) != int.from_bytes(
            data[end : end + 4], "big"
        ):
            raise Refused(Refusal.DAMAGED)
        body = data[at + 8 : end]
        at = end + 4
        if header is None:
            if kind != b"IHDR":
                raise Refused(Refusal.DAMAGED)
            header, wanted = _png_start(body)
        elif kind == b"IDAT":
            came += _inflated(unpacker, body, wanted - came)
        elif kind == b"IEND":
            if came != wanted or not unpacker.eof:
                raise Refused(Refusal.DAMAGED)
            return Header(header.width_px, header.height_px, orientation, see_through or header.see_through)
        elif kind == b"tRNS":
            see_through = True
        elif kind == b"eXIf":
            orientation = exif_orientation(body)
        elif kind == b"acTL":
            raise Refused(Refusal.UNSUPPORTED)
    raise Refused(Refusal.TOO_COMPLEX)


def _png_start(body: bytes) -> tuple[Header, int]:
    """And how many bytes the pixels take unpacked, each row with its filter's byte."""
    if len(body) != 13:
        raise Refused(Refusal.DAMAGED)
    width, height = int.from_bytes(body[:4], "big"), int.from_bytes(body[4:8], "big")
    depth, colour, compression, filters, interlace = body[8:]
    if depth not in _DEPTHS.get(colour, set()) or compression or filters or interlace > 1:
        raise Refused(Refusal.DAMAGED)
    if not width or not height:
        raise Refused(Refusal.DAMAGED)
    if width * height > MAX_PIXELS:
        raise Refused(Refusal.TOO_MANY_PIXELS)
    bits, total = depth * _SAMPLES[colour], 0
    for left, top, right, down in _ADAM7 if interlace else ((0, 0, 1, 1),):
        columns, rows = -(-(width - left) // right), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            total += rows * (1 + -(-columns * bits // 8))
    return Header(width, height, see_through=colour in {4, 6}), total


def _inflated(unpacker: zlib._Decompress, packed: bytes, at_most: int) -> int:
    """How many bytes came; none of them is kept. Raises Refused for more, and for what cannot be unpacked."""
    came, waiting = 0, packed
    try:
        while waiting and not unpacker.eof:
            piece = len(unpacker.decompress(waiting, 1 << 18))
            came += piece
            waiting = unpacker.unconsumed_tail
            if came > at_most:
                raise Refused(Refusal.BOMB)
    except zlib.error:
        raise Refused(Refusal.DAMAGED) from None
    return came


def exif_orientation(tiff: bytes) -> int:
    """1 to 8; 1 where it says nothing, or nothing that can be followed. tiff: from its byte order on."""
    order = {b"II*\x00": "little", b"MM\x00*": "big"}.get(tiff[:4])
    if order is None:
        return 1
    little = order == "little"

    def number(at: int, count: int) -> int:
        return int.from_bytes(tiff[at : at + count], "little" if little else "big")

    first = number(4, 4)
    for entry in range(first + 2, min(first + 2 + 12 * number(first, 2), len(tiff) - 11), 12):
        if number(entry, 2) == _ORIENTATION:
            value = number(entry + 8, 2)
            return value if 1 <= value <= 8 else 1
    return 1


# Pixels


def _decoded(data: bytes, header: Header, *, shrinks: bool) -> tuple[ByteArray, bool]:
    """uint8 BGR, not turned yet; and whether it has fewer pixels than the file."""
    if header.pixels > MAX_PIXELS:
        if not shrinks:
            raise Refused(Refusal.TOO_MANY_PIXELS)
        half = header.pixels <= 4 * MAX_PIXELS
        return _decode(data, cv2.IMREAD_REDUCED_COLOR_2 if half else cv2.IMREAD_REDUCED_COLOR_4), True
    if header.see_through:
        return _on_white(_decode_any(data, cv2.IMREAD_UNCHANGED)), False
    return _decode(data, cv2.IMREAD_COLOR), False


def _decode(data: bytes, flag: int) -> ByteArray:
    return np.asarray(_decode_any(data, flag | cv2.IMREAD_IGNORE_ORIENTATION), np.uint8)


def _decode_any(data: bytes, flag: int) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    except cv2.error:
        image = None
    if image is None or not image.size:
        raise Refused(Refusal.DAMAGED)
    return np.asarray(image)


def _on_white(image: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> ByteArray:
    """As on paper. Written in strips, for it may have 40 million pixels of 16 bits."""
    if image.ndim == 2:
        image = image[:, :, None]
    wide = image.dtype == np.uint16
    made = np.empty((*image.shape[:2], 3), np.uint8)
    for top in range(0, image.shape[0], _STRIP_ROWS):
        strip = image[top : top + _STRIP_ROWS].astype(np.uint32)
        if wide:
            strip = strip // 257
        if strip.shape[2] in {2, 4}:
            alpha = strip[:, :, -1:]
            strip = (strip[:, :, :-1] * alpha + 255 * (255 - alpha) + 127) // 255
        made[top : top + _STRIP_ROWS] = strip  # a grey one spreads over the three colours
    return made


def _upright(image: ByteArray, orientation: int) -> ByteArray:
    if orientation >= 5:
        image = np.asarray(cv2.transpose(image), np.uint8)
    code = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}.get(orientation)
    return image if code is None else np.asarray(cv2.flip(image, code), np.uint8)


def _without_colour(image: ByteArray) -> ByteArray:
    """One channel [shape=(height, width)] where all three are the same: a third of the bytes."""
    if image.ndim == 2:
        return image
    same = bool((image[::16, :, 0] == image[::16, :, 2]).all()) and bool(
        (image[:, :, 0] == image[:, :, 1]).all() and (image[:, :, 0] == image[:, :, 2]).all()
    )
    return np.ascontiguousarray(image[:, :, 0]) if same else image


def _fitting_jpeg(image: ByteArray, *, smaller: bool) -> Clean:
    """As large as fits: first with the better quality, then with the lesser, then with fewer pixels."""
    good, enough = JPEG_QUALITIES
    limit_bytes = MAX_BYTES[MediaType.JPEG]
    made = _jpeg(image, good)
    if len(made) > limit_bytes:
        made = _jpeg(image, enough)
    while len(made) > limit_bytes:
        scale = min(_SMALLER, (limit_bytes / len(made)) ** 0.5)
        image, smaller = (
            np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8),
            True,
        )
        made = _jpeg(image, enough)
    return Clean(MediaType.JPEG, made, smaller)


def _jpeg(image: ByteArray, quality: int) -> bytes:
    return _encoded(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality, *_FULL_COLOUR])


def _encoded(ending: str, image: ByteArray, options: list[int]) -> bytes:
    try:
        done, made = cv2.imencode(ending, image, options)
    except cv2.error:
        done, made = False, np.zeros(0, np.uint8)
    if not done:  # a JPEG has at most 65,535 px on a side
        raise Refused(Refusal.TOO_MANY_PIXELS)
    return np.asarray(made, np.uint8).tobytes()
