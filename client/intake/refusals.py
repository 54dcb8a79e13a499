"""Why something is not taken, and what its owner can do: the sentences for it.

The words of `Refusal` are those of the server's inspection where it would say the same, so that nothing is sent only to be refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from client.errors import BadInput
from client.language import marked, said


class Refusal(StrEnum):
    """Passed between the two processes. The comment says which files it is for."""

    DAMAGED = "damaged"
    """It breaks the rules of its type: cut off, a wrong checksum, a part that cannot be read."""
    UNSUPPORTED = "unsupported"
    """A rare kind of its type: a moving PNG, a lossless JPEG."""
    TRAILING_DATA = "trailing_data"
    """Something follows where a PDF should end. (What follows a picture is left out of the new one.)"""
    POLYGLOT = "polyglot"
    """Another kind of file is inside or around a PDF."""
    ENCRYPTED = "encrypted"
    ACTIVE_CONTENT = "active_content"
    BOMB = "bomb"
    """It grows beyond measure when it is unpacked."""
    TOO_COMPLEX = "too_complex"
    """Looking at it took more time or memory than any honest file does, or ended the process that looked."""
    TOO_MANY_PAGES = "too_many_pages"
    TOO_MANY_PIXELS = "too_many_pixels"


class Refused(Exception):
    """Raised where a file is looked at; the process that asked makes a sentence of it."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


_PRINT_IT = marked("Open it where you have it from, print it into a new PDF, and hand that in.")
_SAVE_ANEW = marked("Open it in another program, save or print it anew, and hand that in.")
_SENTENCES: Mapping[Refusal, tuple[str, str]] = {
    Refusal.DAMAGED: (
        marked("{name} is damaged or cut off"),
        marked("Copy it again from where you have it, or save it anew."),
    ),
    Refusal.UNSUPPORTED: (
        marked("{name} is of a rare kind that is not read here"),
        marked("Open it in another program and save it as an ordinary PNG or JPEG."),
    ),
    Refusal.TRAILING_DATA: (marked("{name} has something behind its end"), _PRINT_IT),
    Refusal.POLYGLOT: (marked("{name} has another kind of file inside it"), _PRINT_IT),
    Refusal.ENCRYPTED: (
        marked("{name} is locked with a password or against changes"),
        marked("Open it with its password, save or print it without one, and hand that in."),
    ),
    Refusal.ACTIVE_CONTENT: (
        marked(
            "{name} would do something when it is opened: a script, a program, a form that sends, or a file within it"
        ),
        _PRINT_IT,
    ),
    Refusal.BOMB: (marked("{name} grows beyond measure when it is unpacked"), _SAVE_ANEW),
    Refusal.TOO_COMPLEX: (marked("{name} is too complicated to be looked at safely"), _SAVE_ANEW),
    Refusal.TOO_MANY_PAGES: (
        marked("{name} has more than {pages} pages"),
        marked("Hand in the pages that matter, in several files."),
    ),
    Refusal.TOO_MANY_PIXELS: (
        marked("{name} has more than {pixels} million pixels"),
        marked("Make it smaller in a picture program, or photograph it again at a lower resolution."),
    ),
}


def sentence(refusal: Refusal, name: str, *, pages: int, megapixels: int) -> BadInput:
    """name: of the file. pages, megapixels: the most that are taken."""
    title, remedy = _SENTENCES[refusal]
    return BadInput(title=said(title, name=name, pages=pages, pixels=megapixels), remedy=said(remedy))
