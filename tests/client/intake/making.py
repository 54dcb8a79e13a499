"""Files that somebody hands in, made in code: honest ones and others."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from functools import cache

import cv2
import numpy as np
from fpdf import FPDF
from pypdf import PdfReader, PdfWriter

from edge_models.types import ByteArray

PLACE = b"\x00\x00\x00\x34\x00\x00\x00\x01"  # 52°, as EXIF writes a rational
SECRETS = (
    b"SERIAL-4711",
    b"Hauptstrasse",
    b"GPS",
    b"Exif",
    b"http://ns.adobe.com",
    b"THUMBNAIL",
    b"Photoshop",
    b"TRAILING",
    PLACE,
)
"""What must not be left of a picture."""


def scene(height: int = 120, width: int = 180) -> ByteArray:
    """Red in the upper left, green in the upper right, blue in the lower left, grey elsewhere. [shape=(height, width, 3)]"""
    image = np.full((height, width, 3), 128, np.uint8)
    image[: height // 3, : width // 3] = (20, 20, 230)
    image[: height // 3, -(width // 3) :] = (20, 230, 20)
    image[-(height // 3) :, : width // 3] = (230, 20, 20)
    return image


def decoded(data: bytes) -> ByteArray:
    """uint8 BGR."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    assert image is not None
    return np.asarray(image, np.uint8)


def encoded(image: ByteArray, ending: str, *options: int) -> bytes:
    """ending: ".png" or ".jpg"."""
    return np.asarray(cv2.imencode(ending, image, options)[1], np.uint8).tobytes()


def exif(orientation: int = 1, order: str = ">") -> bytes:
    """A TIFF block: orientation, the camera's serial number, where it was taken, and a thumbnail."""
    start = b"MM\x00*" if order == ">" else b"II*\x00"

    def entry(tag: int, kind: int, count: int, value: bytes) -> bytes:
        return struct.pack(f"{order}HHI", tag, kind, count) + value.ljust(4, b"\x00")

    place, serial = 8 + 2 + 12 * 3 + 4, 8 + 2 + 12 * 3 + 4 + 2 + 12 + 4
    first = struct.pack(f"{order}H", 3)
    first += entry(0x0112, 3, 1, struct.pack(f"{order}H", orientation))
    first += entry(0x8825, 4, 1, struct.pack(f"{order}I", place))
    first += entry(0xA431, 2, 12, struct.pack(f"{order}I", serial))
    where = struct.pack(f"{order}H", 1) + entry(2, 5, 1, struct.pack(f"{order}I", serial + 12))
    return (
        start + struct.pack(f"{order}I", 8) + first + bytes(4) + where + bytes(4)
        + b"SERIAL-4711\x00" + PLACE + b"THUMBNAIL"
    )  # fmt: skip


def segment(marker: int, body: bytes) -> bytes:
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body


def telltale_jpeg(orientation: int = 1, order: str = ">", image: ByteArray | None = None) -> bytes:
    """With everything in it that a phone and a picture program leave behind, and a video behind its end."""
    plain = encoded(scene() if image is None else image, ".jpg", cv2.IMWRITE_JPEG_QUALITY, 95)
    notes = segment(0xE1, b"Exif\x00\x00" + exif(orientation, order))
    notes += segment(0xE1, b"http://ns.adobe.com/xap/1.0/\x00<x exif:GPSLatitude='52,31N'/>")
    notes += segment(0xED, b"Photoshop 3.0\x008BIM\x04\x04Hauptstrasse")
    notes += segment(0xFE, b"taken at Hauptstrasse")
    return plain[:2] + notes + plain[2:] + b"TRAILING ftypmp42"


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def telltale_png(orientation: int = 1, image: ByteArray | None = None) -> bytes:
    """With texts, EXIF, and something behind its end."""
    plain = encoded(scene() if image is None else image, ".png")
    notes = chunk(b"tEXt", b"Comment\x00taken at Hauptstrasse")
    notes += chunk(b"iTXt", b"XML:com.adobe.xmp\x00\x00\x00\x00\x00<x exif:GPSLatitude='52,31N'/>")
    notes += chunk(b"zTXt", b"Author\x00\x00" + zlib.compress(b"SERIAL-4711"))
    notes += chunk(b"eXIf", exif(orientation))
    return plain[:33] + notes + plain[33:] + b"TRAILING"


def png_of(width: int, height: int, packed: bytes, *, depth: int = 8, colour: int = 2) -> bytes:
    """A header that says what it likes, with these packed pixels."""
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


@cache
def report(pages: int = 2) -> bytes:
    """A PDF, by fpdf2, as the application makes its own; the same each time (it has the time in it)."""
    made = FPDF()
    for page in range(pages):
        made.add_page()
        made.set_font("helvetica", size=12)
        made.cell(0, 8, f"Blood pressure 120/80 mmHg, page {page + 1}")
    return bytes(made.output())


def rewritten(change: Callable[[PdfWriter], object]) -> bytes:
    """A PDF, read by pypdf, changed, written again."""
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(report())))
    change(writer)
    written = io.BytesIO()
    writer.write(written)
    return written.getvalue()
