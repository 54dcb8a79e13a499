"""Files for the inspection, made in code: honest ones, and the parts that hostile ones are put together of."""

from __future__ import annotations

import hashlib
import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache

from fpdf import FPDF
from pypdf import PdfReader, PdfWriter

from backend_lambda.services.inspection import LIMITS, Finding, Limits, Reason, inspect

PDF, PNG, JPEG, JSON = "application/pdf", "image/png", "image/jpeg", "application/json"


def found(data: bytes, media_type: str, limits: Limits = LIMITS) -> Finding:
    """What the inspection says, given the file's right hash."""
    return inspect(data, media_type, hashlib.sha256(data).hexdigest(), limits)


def reason(data: bytes, media_type: str, limits: Limits = LIMITS) -> Reason | None:
    return found(data, media_type, limits).reason


# --- PDF ---------------------------------------------------------------------------------------------


@cache
def report(pages: int = 2, text: str = "Blood pressure 120/80 mmHg") -> bytes:
    """By fpdf2, as the application makes its own."""
    made = FPDF()
    for _ in range(pages):
        made.add_page()
        made.set_font("helvetica", size=12)
        made.cell(0, 8, text)
    return bytes(made.output())


def rewritten(change: Callable[[PdfWriter], object], source: bytes | None = None) -> bytes:
    """Read by pypdf, changed, written again."""
    writer = PdfWriter(clone_from=io.BytesIO(report() if source is None else source))
    change(writer)
    written = io.BytesIO()
    writer.write(written)
    return written.getvalue()


def updated(source: bytes) -> bytes:
    """With one incremental update, as signing or annotating programs write."""
    writer = PdfWriter(fileobj=io.BytesIO(source), incremental=True)
    writer.add_metadata({"/Title": "Again"})
    written = io.BytesIO()
    writer.write(written)
    assert written.getvalue().startswith(source)
    return written.getvalue()


def stream(data: bytes, entries: bytes = b"") -> bytes:
    return b"<</Length %d %s>>stream\n%s\nendstream" % (len(data), entries, data)


def flat(data: bytes, entries: bytes = b"") -> bytes:
    return stream(zlib.compress(data, 9), b"/Filter/FlateDecode " + entries)


def from_objects(
    objects: Mapping[int, bytes], trailer: bytes = b"", before: bytes = b"", hidden: bytes = b""
) -> bytes:
    """A file with a cross-reference table. Object 1 is the catalog. hidden: written where no table knows it."""
    out = bytearray(b"%PDF-1.7\n" + before)
    places = {}
    for number, body in objects.items():
        places[number] = len(out)
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    out += hidden
    table = len(out)
    size = max(objects) + 1
    out += b"xref\n0 %d\n0000000000 65535 f \n" % size
    for number in range(1, size):
        out += b"%010d 00000 n \n" % places[number] if number in places else b"0000000000 00000 f \n"
    out += b"trailer\n<</Size %d/Root 1 0 R%s>>\nstartxref\n%d\n%%%%EOF\n" % (size, trailer, table)
    return bytes(out)


HELLO = b"BT /F1 12 Tf 72 700 Td (Hello) Tj ET"


def one_page(
    content: bytes | None = None,
    *,
    more: Mapping[int, bytes] | None = None,
    catalog: bytes = b"",
    page: bytes = b"",
    resources: bytes = b"/Font<</F1 5 0 R>>",
    trailer: bytes = b"",
    before: bytes = b"",
    hidden: bytes = b"",
) -> bytes:
    """content: object 4 as it is. more: objects from 6 on."""
    return from_objects(
        {
            1: b"<</Type/Catalog/Pages 2 0 R%s>>" % catalog,
            2: b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
            3: b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R"
            b"/Resources<<%s>>%s>>" % (resources, page),
            4: stream(HELLO) if content is None else content,
            5: b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
            **(more or {}),
        },
        trailer,
        before,
        hidden,
    )


def with_object_streams(packed: Mapping[int, bytes], *, known: bool = True) -> bytes:
    """One page, and these objects inside an object stream (PDF 1.5). known: the cross-reference stream tells of them."""
    inside = b"".join(body + b" " for body in packed.values())
    index, at = b"", 0
    for number, body in packed.items():
        index += b"%d %d " % (number, at)
        at += len(body) + 1
    plain = {
        1: b"<</Type/Catalog/Pages 2 0 R>>",
        2: b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        3: b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>",
        4: flat(index + inside, b"/Type/ObjStm/N %d/First %d" % (len(packed), len(index))),
    }
    out = bytearray(b"%PDF-1.7\n")
    rows = {0: (0, 0, 255)}
    for number, body in plain.items():
        rows[number] = (1, len(out), 0)
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    if known:
        rows |= {number: (2, 4, place) for place, number in enumerate(packed)}
    table = max(rows) + 1
    place = len(out)
    rows[table] = (1, place, 0)
    data = b"".join(struct.pack(">BIB", *rows.get(number, (0, 0, 0))) for number in range(table + 1))
    out += b"%d 0 obj\n%s\nendobj\nstartxref\n%d\n%%%%EOF\n" % (
        table,
        flat(data, b"/Type/XRef/W[1 4 1]/Size %d/Root 1 0 R" % (table + 1)),
        place,
    )
    made = bytes(out)
    assert len(PdfReader(io.BytesIO(made)).pages) == 1
    return made


# --- Pictures ----------------------------------------------------------------------------------------


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    width: int = 7,
    height: int = 5,
    *,
    depth: int = 8,
    colour: int = 2,
    interlace: int = 0,
    pixels: bytes | None = None,
    packed: bytes | None = None,
    before: Sequence[bytes] = (),
    pieces: int = 1,
    after: Sequence[bytes] = (),
) -> bytes:
    """before, after: chunks around the pixels. pixels: rows with their filter's byte. packed: they, as they stand in the file."""
    if packed is None:
        samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
        row = bytes(1 + -(-width * samples * depth // 8))
        packed = zlib.compress(row * height if pixels is None else pixels)
    step = -(-len(packed) // pieces)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)),
            *before,
            *(chunk(b"IDAT", packed[at : at + step]) for at in range(0, len(packed), step)),
            *after,
            chunk(b"IEND", b""),
        ]
    )


def segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


SCAN = segment(0xDA, bytes([1, 1, 0x00, 0, 63, 0])) + b"\x3f"
"""One grey block of eight times eight: no difference, end of block, filled with ones."""


def jpeg(
    *,
    width: int = 8,
    height: int = 8,
    frame: int = 0xC0,
    notes: Sequence[bytes] = (),
    scans: bytes = SCAN,
    end: bytes = b"\xff\xd9",
) -> bytes:
    """The smallest there is: baseline, grey, tables with one code each. notes: segments in front."""
    tables = [
        segment(0xDB, b"\x00" + bytes([1] * 64)),
        segment(frame, struct.pack(">BHHB", 8, height, width, 1) + bytes([1, 0x11, 0])),
        segment(0xC4, b"\x00" + bytes([1] + [0] * 15) + b"\x00"),
        segment(0xC4, b"\x10" + bytes([1] + [0] * 15) + b"\x00"),
    ]
    return b"\xff\xd8" + b"".join([*notes, *tables]) + scans + end


def tiff(
    *, place: bool, order: str = "<", tags: Sequence[int] = (1, 2, 3, 4), through_exif: bool = False
) -> bytes:
    """EXIF with a camera's name and, if wanted, where it was. through_exif: the pointer stands in the second directory."""

    def directory(*entries: tuple[int, int, int, int]) -> bytes:
        packed = b"".join(struct.pack(f"{order}HHII", *entry) for entry in entries)
        return struct.pack(f"{order}H", len(entries)) + packed + bytes(4)

    header = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8)
    model = (0x0110, 2, 4, 0x20202020)
    if not place:
        return header + directory(model)
    gps = directory(*((tag, 2, 2, 0) for tag in tags))
    if through_exif:
        first = directory(model, (0x8769, 4, 1, 8 + 30))
        second = directory((0x8825, 4, 1, 8 + 30 + 18))
        return header + first + second + gps
    return header + directory(model, (0x8825, 4, 1, 8 + 30)) + gps


def exif(data: bytes) -> bytes:
    return segment(0xE1, b"Exif\x00\x00" + data)


# --- Others ------------------------------------------------------------------------------------------


@cache
def archive() -> bytes:
    """A ZIP with one file in it."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as inside:
        inside.writestr("run.class", b"\xca\xfe\xba\xbe")
    return made.getvalue()


def program() -> bytes:
    """As much of a Windows program as makes it one."""
    return b"MZ" + bytes(58) + struct.pack("<I", 0x80) + bytes(0x40) + b"PE\x00\x00" + b"\x64\x86" + bytes(18)


RECORD = (
    b'{"schema": "health-helper/scan/1", "vitals": {"heart_rate": {"value": 72.1}}, "beats_s": [0.41, 1.24]}'
)
GOOD: dict[str, bytes] = {PDF: report(), PNG: png(), JPEG: jpeg(), JSON: RECORD}
