"""Other kinds of files inside a file.

A signature of four bytes stands by chance in every fiftieth random file of 20 MB, so what follows it is checked too: a find that
is none should be rarer than one in a million files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_MARKUP = re.compile(rb"<(?i:html|script|iframe|!doctype\s+html)[\s>/]|<\?(?i:php)\s")
_LONG = (
    b"Rar!\x1a\x07",
    b"7z\xbc\xaf\x27\x1c",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",  # OLE2: old Office, MSI
    b"MSCF\x00\x00\x00\x00",
)
_ELF = re.compile(rb"\x7fELF[\x01\x02][\x01\x02]\x01")
_PDF = re.compile(rb"%PDF-\d\.\d")
_ZIP_METHODS = {0, 8, 9, 12, 14, 93, 95, 98, 99}
_MAX_PE_OFFSET = 0x1000


def foreign(data: bytes) -> bool:
    """Whether another kind of file begins anywhere behind the first byte."""
    return (
        _MARKUP.search(data, 1) is not None
        or _PDF.search(data, 1) is not None
        or _ELF.search(data, 1) is not None
        or any(data.find(signature, 1) > 0 for signature in _LONG)
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
    """A local file header: a version that exists, a method that exists, a name."""
    return (
        len(data) - at >= 30
        and data[at + 4] <= 63
        and data[at + 5] <= 20
        and _u16(data, at + 8) in _ZIP_METHODS
        and 0 < _u16(data, at + 26) <= 1024
    )


def _is_zip_end(data: bytes, at: int) -> bool:
    """An end of central directory: one disk, all entries on it."""
    return (
        len(data) - at >= 22
        and data[at + 4 : at + 8] == bytes(4)
        and _u16(data, at + 8) == _u16(data, at + 10)
    )


def _is_program(data: bytes, at: int) -> bool:
    """An MZ header that leads to a PE header."""
    to = int.from_bytes(data[at + 0x3C : at + 0x40], "little")
    return 0x40 <= to <= _MAX_PE_OFFSET and data[at + to : at + to + 4] == b"PE\x00\x00"
