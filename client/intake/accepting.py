"""`accept`: from a path that somebody chose to bytes that the store may keep."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from client import log
from client.errors import BadInput, EnvironmentFault, HealthHelperError, Interrupted
from client.intake import apart
from client.intake.kinds import FIRST_BYTES, MediaType, media_type
from client.intake.limits import MAX_PAGES, MAX_PIXELS, MAX_READ_BYTES
from client.intake.refusals import Refused, sentence
from client.language import Sentence, marked, said

if TYPE_CHECKING:
    from edge_models.types import ByteArray

LONGEST_TITLE = 200
_CHUNK_BYTES = 1 << 16
_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Accepted:
    """Something that was handed in, checked and cleaned.

    media_type: "application/pdf", "image/png" or "image/jpeg". pages: of a PDF; a picture has one. title: for the person, of 1 to
    LONGEST_TITLE letters; it is never sent. notes: what was changed, for the person.
    """

    media_type: MediaType
    pages: int
    title: str
    data: bytes
    notes: tuple[Sentence, ...] = ()

    @property
    def length_bytes(self) -> int:
        """Of what is kept and sent."""
        return len(self.data)

    def chunks(self) -> Iterator[bytes]:
        """Its bytes, in pieces of 64 KiB."""
        for at in range(0, len(self.data), _CHUNK_BYTES):
            yield self.data[at : at + _CHUNK_BYTES]


def accept(
    path: Path,
    *,
    cancelled: Callable[[], bool] = lambda: False,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Accepted:
    """Read a file once and check it: its type by what is in it, its size, its pages, its pixels, what it would do.

    A picture is decoded and encoded anew, upright and with nothing but its pixels: no place, camera, thumbnail, comment or text, and
    nothing behind its end. A PNG stays one; where its pixels take more than 15 MB, it becomes a JPEG. A PDF stays as it is, byte for
    byte, with what it says about itself (author, program, dates): that is part of the document.

    A PDF is refused here for what the server would refuse it for, as far as its raw bytes, its object streams and pdfium tell.
    The server looks into each object too, and has a virus scanner: its verdict may be another, and it counts.

    cancelled: asked now and then. progress: bytes read so far, and how many there are. The whole file is in memory meanwhile
    (20 MB at most): so what is checked is what is kept, whatever happens to the file.
    Raises BadInput (what is wrong with it and what to do), EnvironmentFault (it cannot be read), Interrupted (cancelled).
    """
    name = title_of(path)
    try:
        data = _read(path, name, cancelled, progress)
        found = media_type(data[:FIRST_BYTES], name)
        if found is MediaType.PDF:
            pages = apart.ask({"do": "pdf"}, data, cancelled=cancelled).number("pages")
            return Accepted(found, pages, name, data)
        clean = apart.ask({"do": "picture", "media_type": str(found)}, data, cancelled=cancelled)
    except Refused as refused:
        raise _sentence(refused, name) from None
    except apart.Cancelled:
        raise interrupted() from None
    became = media_type(clean.data[:FIRST_BYTES], name)
    log.event("document_cleaned", was_bytes=len(data), bytes=len(clean.data))
    return Accepted(
        became, 1, name, clean.data, _notes(found, became, smaller=bool(clean.facts.get("smaller")))
    )


def accept_picture(pixels: ByteArray, title: str) -> Accepted:
    """A picture that was taken just now. pixels: uint8 BGR [shape=(height, width, 3)]. title: for the person.

    It is our own camera's, so it is encoded here, as JPEG. Raises BadInput where it has too many pixels.
    """
    from client.intake.picture import as_jpeg

    name = cleaned_title(title)
    try:
        clean = as_jpeg(pixels)
    except Refused as refused:
        raise _sentence(refused, name) from None
    return Accepted(
        clean.media_type, 1, name, clean.data, _notes(MediaType.JPEG, MediaType.JPEG, smaller=clean.smaller)
    )


def interrupted() -> Interrupted:
    """The person gave it up."""
    return Interrupted(
        title=said("Adding was cancelled"), remedy=said("Nothing of it was kept. Add it again if you like.")
    )


def title_of(path: Path) -> str:
    """What the person knows the file by: its name, without its folders."""
    return cleaned_title(path.name)


def cleaned_title(text: str) -> str:
    """As a list can show it: no line ends, nothing unseen, nothing that turns text round (which could hide an ending)."""
    kept = "".join(
        " " if letter.isspace() else letter
        for letter in text.encode(
            "utf-8", "replace"
        ).decode()  # a name that is no text has its odd bytes as halves
        if letter.isspace() or unicodedata.category(letter) not in {"Cc", "Cf", "Cs", "Co", "Cn"}
    )
    return " ".join(kept.split())[:LONGEST_TITLE].strip() or said("Document")


def _sentence(refused: Refused, name: str) -> BadInput:
    return sentence(refused.refusal, name, pages=MAX_PAGES, megapixels=MAX_PIXELS // 1_000_000)


def _notes(was: MediaType, became: MediaType, *, smaller: bool) -> tuple[Sentence, ...]:
    found = []
    if smaller:
        found.append(
            Sentence(
                marked(
                    "It was made smaller, so that it can be sent. Its text should still be legible: look at it."
                )
            )
        )
    if became is not was:
        found.append(Sentence(marked("It was too large as PNG and is kept as JPEG.")))
    return tuple(found)


# Reading


def _read(
    path: Path, name: str, cancelled: Callable[[], bool], progress: Callable[[int, int], None]
) -> bytes:
    """All of it, as it was at one moment."""
    try:
        # Before it is opened: opening alone makes some devices do something.
        _check_regular(path.stat(), name)
        with FileIO(str(path), "rb", opener=_opened) as file:
            return _read_open(file, name, cancelled, progress)
    except HealthHelperError:
        raise
    except OSError as error:
        raise _unreadable(name, error) from error
    except ValueError as error:  # a zero in its name
        raise BadInput(
            title=said("{name} is no name of a file", name=name), remedy=said("Choose a file.")
        ) from error


def _opened(path: str, flags: int) -> int:
    """Never waits for somebody at the other end, should it be another thing by now than it was."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))


def _read_open(
    file: FileIO, name: str, cancelled: Callable[[], bool], progress: Callable[[int, int], None]
) -> bytes:
    before = os.fstat(file.fileno())
    _check_regular(before, name)
    data = bytearray(file.read(FIRST_BYTES) or b"")
    limit_bytes = MAX_READ_BYTES[media_type(bytes(data), name)]
    if before.st_size > limit_bytes:
        raise BadInput(
            title=said(
                "{name} has {size} MB; at most {limit} MB are taken",
                name=name,
                size=f"{before.st_size / 1e6:.1f}",
                limit=limit_bytes // 1_000_000,
            ),
            remedy=said("Save it smaller, or hand in the pages that matter."),
        )
    progress(len(data), before.st_size)
    while len(data) <= before.st_size and (piece := file.read(_READ_BYTES)):
        if cancelled():
            raise interrupted()
        data += piece
        progress(min(len(data), before.st_size), before.st_size)
    after = os.fstat(file.fileno())
    if len(data) != before.st_size or (after.st_size, after.st_mtime_ns) != (
        before.st_size,
        before.st_mtime_ns,
    ):
        raise BadInput(
            title=said("{name} changed while it was read", name=name),
            remedy=said("Wait until it is written completely, and add it again."),
            retry=True,
        )
    return bytes(data)


def _check_regular(status: os.stat_result, name: str) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise BadInput(
            title=said("{name} is a folder", name=name), remedy=said("Choose the files that are in it.")
        )
    if not stat.S_ISREG(status.st_mode):
        raise BadInput(
            title=said("{name} is no file but a device or a connection", name=name),
            remedy=said("Choose a file."),
        )


def _unreadable(name: str, error: OSError) -> HealthHelperError:
    if isinstance(error, FileNotFoundError):
        return BadInput(
            title=said("{name} is not there", name=name),
            remedy=said("Check its name and whether its disk is connected."),
        )
    if isinstance(error, PermissionError):
        return EnvironmentFault(
            title=said("{name} may not be read", name=name),
            remedy=said("Ask whoever it belongs to, or copy it to a folder of yours."),
        )
    return EnvironmentFault(
        title=said("{name} could not be read ({why})", name=name, why=error.strerror or type(error).__name__),
        remedy=said("Check its disk or connection and try again."),
        retry=True,
    )
