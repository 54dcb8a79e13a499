"""One file of one type."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from backend_lambda.services.inspection import jpeg, json_record, png
from backend_lambda.services.inspection.findings import LIMITS, Finding, Limits, Reason, Refused
from backend_lambda.services.inspection.signatures import foreign

_BEGINNINGS: dict[str, Callable[[bytes], bool]] = {
    "application/pdf": lambda data: data.startswith(b"%PDF-"),
    "image/png": lambda data: data.startswith(png.MAGIC),
    "image/jpeg": lambda data: data.startswith(jpeg.MAGIC),
    "application/json": lambda data: data.lstrip(b" \t\r\n").startswith(b"{"),
}
_PDF_HEADER_WITHIN = 1024
"""Readers look for the header so far into a file."""


def inspect(data: bytes, media_type: str, sha256: str, limits: Limits = LIMITS) -> Finding:
    """media_type: "application/pdf", "image/png", "image/jpeg" or "application/json". sha256: that the file must have, hexadecimal.

    Never raises for anything that is in the file; pypdf is loaded for a PDF only.
    """
    try:
        return _inspected(data, media_type, sha256, limits)
    except Refused as refused:
        return Finding(refused.reason)
    except (RecursionError, MemoryError):
        return Finding(Reason.TOO_COMPLEX)


def _inspected(data: bytes, media_type: str, sha256: str, limits: Limits) -> Finding:
    if hashlib.sha256(data).hexdigest() != sha256:
        raise Refused(Reason.NOT_AS_DECLARED)
    _check_beginning(data, media_type)
    if foreign(data):
        raise Refused(Reason.POLYGLOT)
    if media_type == "application/pdf":
        from backend_lambda.services.inspection.pdf import inspect_pdf

        return inspect_pdf(data, limits)
    if media_type == "image/png":
        png.check(data, limits)
    elif media_type == "image/jpeg":
        jpeg.check(data, limits)
    else:
        json_record.check(data, limits)
    return Finding()


def _check_beginning(data: bytes, media_type: str) -> None:
    if not _BEGINNINGS[media_type](data):
        late = media_type == "application/pdf" and b"%PDF-" in data[:_PDF_HEADER_WITHIN]
        raise Refused(Reason.POLYGLOT if late else Reason.NOT_THIS_TYPE)
