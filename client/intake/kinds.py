"""What a file is, by its first bytes; never by its name."""

from __future__ import annotations

from enum import StrEnum

from client.errors import BadInput
from client.language import marked, said

FIRST_BYTES = 1024
"""So many are enough to tell; a PDF's header is looked for so far by its readers."""


class MediaType(StrEnum):
    """What is taken. As on the wire."""

    PDF = "application/pdf"
    PNG = "image/png"
    JPEG = "image/jpeg"


_SAVE_AS_PICTURE = marked("Open it in a picture program, save it as JPEG or PNG, and hand that in.")
_SAVE_AS_PDF = marked("Open it in its program, save or print it as PDF, and hand that in.")
_ONLY = marked("Hand in a PDF, a JPEG or a PNG.")
_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_FOREIGN: tuple[tuple[bytes, str, str], ...] = (
    (b"GIF87a", marked("a GIF picture"), _SAVE_AS_PICTURE),
    (b"GIF89a", marked("a GIF picture"), _SAVE_AS_PICTURE),
    (b"II*\x00", marked("a TIFF picture"), _SAVE_AS_PICTURE),
    (b"MM\x00*", marked("a TIFF picture"), _SAVE_AS_PICTURE),
    (b"II+\x00", marked("a TIFF picture"), _SAVE_AS_PICTURE),
    (b"MM\x00+", marked("a TIFF picture"), _SAVE_AS_PICTURE),
    (b"BM", marked("a BMP picture"), _SAVE_AS_PICTURE),
    (b"\xff\x0a", marked("a JPEG XL picture"), _SAVE_AS_PICTURE),
    (b"\x00\x00\x00\x0cJXL ", marked("a JPEG XL picture"), _SAVE_AS_PICTURE),
    (b"\x00\x00\x00\x0cjP  ", marked("a JPEG 2000 picture"), _SAVE_AS_PICTURE),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", marked("an office document (Word, Excel …)"), _SAVE_AS_PDF),
    (b"{\\rtf", marked("a text document (RTF)"), _SAVE_AS_PDF),
    (b"PK\x03\x04", marked("a ZIP archive"), marked("Unpack it and hand in the files that are in it.")),
    (b"PK\x05\x06", marked("a ZIP archive"), _ONLY),
    (b"7z\xbc\xaf\x27\x1c", marked("an archive"), marked("Unpack it and hand in the files that are in it.")),
    (b"Rar!\x1a\x07", marked("an archive"), marked("Unpack it and hand in the files that are in it.")),
    (b"\x1f\x8b", marked("an archive"), marked("Unpack it and hand in the files that are in it.")),
    (b"MZ", marked("a program"), _ONLY),
    (b"\x7fELF", marked("a program"), _ONLY),
    (b"\xcf\xfa\xed\xfe", marked("a program"), _ONLY),
    (b"\xca\xfe\xba\xbe", marked("a program"), _ONLY),
    (b"#!", marked("a program"), _ONLY),
    (b"%!PS", marked("a PostScript document"), _SAVE_AS_PDF),
)


def media_type(first: bytes, name: str) -> MediaType:
    """first: the first FIRST_BYTES of a file, fewer of a shorter one. Raises BadInput with a sentence for what it is instead."""
    if first.startswith(b"%PDF-"):
        return MediaType.PDF
    if first.startswith(b"\x89PNG\r\n\x1a\n"):
        return MediaType.PNG
    if first.startswith(b"\xff\xd8\xff"):
        return MediaType.JPEG
    if not first:
        raise BadInput(
            title=said("{name} is empty", name=name),
            remedy=said("Copy it again from where you have it."),
        )
    what, remedy = _foreign(first)
    raise BadInput(
        title=said("{name} is no PDF, JPEG or PNG but {what}", name=name, what=said(what))
        if what
        else said("{name} is no PDF, JPEG or PNG", name=name),
        remedy=said(remedy),
    )


def _foreign(first: bytes) -> tuple[str, str]:
    """What it is, marked; "" where nobody knows. And what to do."""
    if first[4:8] == b"ftyp":
        if first[8:12] in _HEIC:
            return marked("a HEIC picture, as iPhones make them"), _SAVE_AS_PICTURE
        if first[8:12] in {b"avif", b"avis"}:
            return marked("an AVIF picture"), _SAVE_AS_PICTURE
        return marked("a video"), _ONLY
    if first[:4] == b"RIFF" and first[8:12] == b"WEBP":
        return marked("a WebP picture"), _SAVE_AS_PICTURE
    if first[128:132] == b"DICM":
        return marked("a medical picture (DICOM)"), _SAVE_AS_PICTURE
    if first.startswith(b"PK\x03\x04") and any(
        part in first
        for part in (b"[Content_Types].xml", b"_rels/", b"word/", b"vnd.oasis.opendocument", b"docProps/")
    ):
        return marked("an office document (Word, Excel …)"), _SAVE_AS_PDF
    for beginning, what, remedy in _FOREIGN:
        if first.startswith(beginning):
            return what, remedy
    if b"%PDF-" in first:
        return marked("something else in front of a PDF"), _SAVE_AS_PDF
    if _is_text(first):
        return marked("text"), _SAVE_AS_PDF
    return "", _ONLY


def _is_text(first: bytes) -> bool:
    if first.startswith((b"\xff\xfe", b"\xfe\xff")):  # UTF-16, as Windows' editor writes it
        return True
    try:
        words = first[:-3].decode() if len(first) == FIRST_BYTES else first.decode()  # a letter may be cut
    except UnicodeDecodeError:
        return False
    return all(letter.isprintable() or letter in "\r\n\t\f\ufeff" for letter in words)
