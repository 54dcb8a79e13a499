"""PDFs that are handed in (ISO 32000-2): checked as far as can be told cheaply, counted and drawn by pdfium.

The server reads every object (and has more time); here the raw bytes and the object streams are searched for the same names, and
pdfium says what it knows. Runs in a process of its own only: see `apart`.
"""

from __future__ import annotations

import ctypes
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pypdfium2
import pypdfium2.raw

from client.intake.limits import MAX_PAGES
from client.intake.refusals import Refusal, Refused

pdfium: Any = pypdfium2  # it says that it has types, and few of its functions do
pdfium_c: Any = pypdfium2.raw
LONGEST_PX = 4_096
"""Of a page that is drawn: 16 million pixels at most, whatever size the page says it has."""
_SPACE = b" \t\r\n\f\x00"
_END = re.compile(rb"startxref[\s\x00]*\d{1,12}[\s\x00]*(?:%%EOF[\s\x00]*)+\Z")
_END_WITHIN = 2_048
_NAME = re.compile(rb"/((?:[A-Za-z0-9]|#[0-9A-Fa-f]{2}){3,60})(?![A-Za-z0-9#])")
_ESCAPE = re.compile(rb"#([0-9A-Fa-f]{2})")
_ACTIVE_NAMES = {
    *(b"JavaScript", b"Launch", b"EmbeddedFile", b"EmbeddedFiles", b"RichMedia", b"XFA", b"SubmitForm"),
    *(b"ImportData", b"GoToE"),
}
_ACTIVE_KINDS = re.compile(
    rb"/S[\s\x00]*/(?:GoToR|Rendition|Movie|Sound|RichMediaExecute|GoTo3DView)(?![A-Za-z0-9])"
    rb"|/Subtype[\s\x00]*/(?:Movie|Sound|Screen|FileAttachment|3D)(?![A-Za-z0-9])"
)
_CALLS_WHEN_OPENED = re.compile(
    rb"/OpenAction[\s\x00]*<<[^>]{0,400}?/URI[\s\x00]*[(<]"
    rb"|/(?:A|#41){2}[\s\x00]*<<[\s\x00]*/(?:[OCEXDUKFV]|Fo|Bl|P[OCVI]|W[CSP]|D[SP])[\s\x00]*(?:<<|\d)"
)
_ENCRYPTED = re.compile(rb"/Encrypt[\s\x00]*(?:<<|\d)")
_OBJECT_STREAM = re.compile(rb"/ObjStm\b[^\x80-\xff]{0,400}?stream\r?\n")
_OBJECT_STREAMS_BYTES = 20_000_000
_MARKUP = re.compile(rb"<(?i:html|script|iframe|!doctype\s+html)[\s>/]|<\?(?i:php)\s")
_OTHER_FILES = (
    b"Rar!\x1a\x07",
    b"7z\xbc\xaf\x27\x1c",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    b"MSCF\x00\x00\x00\x00",
)
_ELF = re.compile(rb"\x7fELF[\x01\x02][\x01\x02]\x01")
_PDF = re.compile(rb"%PDF-\d\.\d")
_ZIP_METHODS = {0, 8, 9, 12, 14, 93, 95, 98, 99}


@dataclass(frozen=True, slots=True)
class Drawn:
    """A page. pixels: BGR, 3 bytes each, row by row without gaps. pages: of the whole document."""

    width_px: int
    height_px: int
    pixels: bytes
    pages: int


def checked_pages(data: bytes) -> int:
    """How many pages it has. Raises Refused."""
    if _has_other_file(data):
        raise Refused(Refusal.POLYGLOT)
    _check_end(data)
    if _acts(data) or any(_acts(part) for part in _object_streams(data)):
        raise Refused(Refusal.ACTIVE_CONTENT)
    document = _opened(data)
    try:
        pages = len(document)
        if pages > MAX_PAGES:
            raise Refused(Refusal.TOO_MANY_PAGES)
        if not pages:
            raise Refused(Refusal.DAMAGED)
        if (
            pdfium_c.FPDFDoc_GetJavaScriptActionCount(document) > 0
            or pdfium_c.FPDFDoc_GetAttachmentCount(document) > 0
            or pdfium_c.FPDF_GetFormType(document)
            in {pdfium_c.FORMTYPE_XFA_FULL, pdfium_c.FORMTYPE_XFA_FOREGROUND}
        ):
            raise Refused(Refusal.ACTIVE_CONTENT)
        _page(document, 0).close()
        return pages
    finally:
        document.close()


def drawn(data: bytes, page: int, longest_px: int) -> Drawn:
    """page: from 0. longest_px: of its longer side, at most LONGEST_PX. Raises Refused, IndexError for a page that is not there."""
    document = _opened(data)
    try:
        pages = len(document)
        if not 0 <= page < pages:
            raise IndexError(page)
        one = _page(document, page)
        width_pt, height_pt = one.get_size()
        # A page may be a mile long and a hair wide: the longer side decides, the other has a pixel at least.
        scale = min(longest_px, LONGEST_PX) / max(width_pt, height_pt, 1e-3)
        width, height = max(1, round(width_pt * scale)), max(1, round(height_pt * scale))
        bitmap = pdfium.PdfBitmap.new_native(width, height, pdfium_c.FPDFBitmap_BGR)
        bitmap.fill_rect((255, 255, 255, 255), 0, 0, width, height)
        pdfium_c.FPDF_RenderPageBitmap(bitmap, one, 0, 0, width, height, 0, pdfium_c.FPDF_ANNOT)
        rows = ctypes.string_at(bitmap.buffer, bitmap.stride * height)
        pixels = b"".join(rows[at : at + 3 * width] for at in range(0, len(rows), bitmap.stride))
        return Drawn(width, height, pixels, pages)
    finally:
        document.close()


def _opened(data: bytes) -> Any:
    try:
        document = pdfium.PdfDocument(data)
    except pdfium.PdfiumError as error:
        code = getattr(error, "err_code", None)
        locked = code in {pdfium_c.FPDF_ERR_PASSWORD, pdfium_c.FPDF_ERR_SECURITY}
        raise Refused(Refusal.ENCRYPTED if locked or _ENCRYPTED.search(data) else Refusal.DAMAGED) from None
    if (
        pdfium_c.FPDF_GetSecurityHandlerRevision(document) >= 0
    ):  # it opens without a password, and is encrypted
        document.close()
        raise Refused(Refusal.ENCRYPTED)
    return document


def _page(document: Any, at: int) -> Any:
    try:
        return document[at]
    except pdfium.PdfiumError:
        raise Refused(Refusal.DAMAGED) from None


def _check_end(data: bytes) -> None:
    end = data.rfind(b"%%EOF")
    if end < 0:
        raise Refused(Refusal.DAMAGED)
    if data[end + 5 :].strip(_SPACE):
        raise Refused(Refusal.TRAILING_DATA)
    if not _END.search(data, max(0, len(data.rstrip(_SPACE)) - _END_WITHIN)):
        raise Refused(Refusal.TRAILING_DATA if b"startxref" in data else Refusal.DAMAGED)


def _acts(data: bytes) -> bool:
    """Names may be written with #xx for any letter."""
    for found in _NAME.finditer(data):
        name = found.group(1)
        if b"#" in name:
            name = _ESCAPE.sub(lambda digits: bytes.fromhex(digits.group(1).decode()), name)
        if name in _ACTIVE_NAMES:
            return True
    return _ACTIVE_KINDS.search(data) is not None or _CALLS_WHEN_OPENED.search(data) is not None


def _object_streams(data: bytes) -> Iterator[bytes]:
    """Objects packed together, unpacked; of those that are packed in the usual way."""
    left = _OBJECT_STREAMS_BYTES
    for found in _OBJECT_STREAM.finditer(data):
        unpacker = zlib.decompressobj()
        try:
            part = unpacker.decompress(memoryview(data)[found.end() :], left + 1)
        except zlib.error:
            continue
        left -= len(part)
        if left < 0:
            raise Refused(Refusal.BOMB)
        yield part


def _has_other_file(data: bytes) -> bool:
    """Whether another kind of file begins anywhere behind the first byte; each find is looked at twice, for four bytes come by chance."""
    return (
        _MARKUP.search(data, 1) is not None
        or _PDF.search(data, 1) is not None
        or _ELF.search(data, 1) is not None
        or any(data.find(signature, 1) > 0 for signature in _OTHER_FILES)
        or any(_is_zip_entry(data, at) for at in _places(data, b"PK\x03\x04"))
        or any(_is_zip_end(data, at) for at in _places(data, b"PK\x05\x06"))
        or any(_is_program(data, at) for at in _places(data, b"MZ"))
    )


def _places(data: bytes, signature: bytes) -> Iterator[int]:
    at = data.find(signature, 1)
    while at >= 0:
        yield at
        at = data.find(signature, at + 1)


def _u16(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "little")


def _is_zip_entry(data: bytes, at: int) -> bool:
    return (
        len(data) - at >= 30
        and data[at + 4] <= 63
        and data[at + 5] <= 20
        and _u16(data, at + 8) in _ZIP_METHODS
        and 0 < _u16(data, at + 26) <= 1024
    )


def _is_zip_end(data: bytes, at: int) -> bool:
    return (
        len(data) - at >= 22
        and data[at + 4 : at + 8] == bytes(4)
        and _u16(data, at + 8) == _u16(data, at + 10)
    )


def _is_program(data: bytes, at: int) -> bool:
    to = int.from_bytes(data[at + 0x3C : at + 0x40], "little")
    return 0x40 <= to <= 0x1000 and data[at + to : at + to + 4] == b"PE\x00\x00"
