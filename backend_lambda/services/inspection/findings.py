"""The values that go in and out of an inspection."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why a file is in quarantine. Part of the wire format (`Upload.reason`): a word is never used for something else."""

    NOT_AS_DECLARED = "not_as_declared"
    """Length, type or SHA-256 are not those that were said before the upload."""
    NOT_THIS_TYPE = "not_this_type"
    """It does not begin as a file of its type does."""
    DAMAGED = "damaged"
    """It breaks the rules of its type: cut off, a wrong checksum, a part that cannot be read."""
    UNSUPPORTED = "unsupported"
    """A rare kind of its type that nobody here needs (lossless JPEG …)."""
    TRAILING_DATA = "trailing_data"
    """Something follows where the file should end."""
    POLYGLOT = "polyglot"
    """Another kind of file is inside or around it."""
    ENCRYPTED = "encrypted"
    ACTIVE_CONTENT = "active_content"
    """It would do something when it is opened: scripts, programs, forms that send, files within."""
    BOMB = "bomb"
    """It grows beyond measure when it is unpacked."""
    TOO_COMPLEX = "too_complex"
    """Looking at it costs more than any honest file does."""
    TOO_MANY_PAGES = "too_many_pages"
    TOO_MANY_PIXELS = "too_many_pixels"
    LOCATION = "location"
    """A picture says where it was taken. It is to be taken out before it is sent; it is not kept here."""
    UNKNOWN_SCHEMA = "unknown_schema"
    """JSON that is none of ours."""
    MALWARE = "malware"


@dataclass(frozen=True, slots=True)
class Limits:
    """pages: of a PDF. pixels: of one picture, also of one in a PDF. characters: of the text that is kept. json_depth: levels."""

    pages: int = 200
    pixels: int = 40_000_000
    characters: int = 200_000
    json_depth: int = 32


LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Finding:
    """reason: None where nothing speaks against the file; then pages and text are what it has.

    pages: of a PDF. text: of a PDF, without letters that are not drawn, off the page or too small to see; those behind a picture are
    kept, and it is said. A colour that hides them is not looked at. text_complete: False where some of it could not be had or is over
    the limit.
    """

    reason: Reason | None = None
    pages: int | None = None
    text: str = ""
    text_complete: bool = True


class Refused(Exception):
    """Something speaks against the file. Raised inside the inspection only; `inspect` makes a finding of it."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(str(reason))
        self.reason = reason
