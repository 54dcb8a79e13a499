"""All that is kept of one person in one file: for themself, for a doctor, for another system. Nothing of it is encrypted.

`.json` has everything as the store hands it out, `.csv` the numbers, `.fhir.json` what another system reads (client.reports.fhir), `.pdf` an
overview for people, `.zip` all four and the person's documents. Written piece by piece, whole or not at all.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import unicodedata
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import IO, BinaryIO, Final, TypeVar

from client.errors import HealthHelperError, Interrupted
from client.language import said
from client.reports import fhir
from client.reports.contents import Document, Everything, Scan, local
from client.reports.files import EXPORT, cells, check_target, fault
from client.whole_file import whole_file

T = TypeVar("T")
KINDS: Final = (".zip", ".fhir.json", ".pdf", ".json", ".csv")
"""Endings, the longer one of two that fit first."""
_ENDINGS: Final[Mapping[str, str]] = {
    "application/pdf": ".pdf",
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "application/json": ".json",
    "text/plain": ".txt",
}
_FOLDER: Final = "health-helper"
_NAME_MOST: Final = 60
_NAME_MOST_BYTES: Final = 150
_READ_ONLY_BY_OWNER: Final = 0o600 << 16
_EARLIEST: Final = (1980, 1, 1, 0, 0, 0)
"""ZIP knows no year before and none after 2107."""
_LATEST_YEAR: Final = 2107


@dataclass(frozen=True, slots=True)
class Exported:
    """left_out: documents that can't be read any more, by their titles; all the rest was written."""

    left_out: tuple[str, ...] = ()


def _nothing(_: float) -> None:
    """Nobody looks on."""


def _never() -> bool:
    return False


def kind_of(path: Path) -> str | None:
    """The ending of KINDS that the name has, or None."""
    return next((kind for kind in KINDS if path.name.lower().endswith(kind)), None)


def check(path: Path) -> None:
    """What would stop a file under this name; as client.reports.files.check_target."""
    check_target(path, KINDS, EXPORT)


def write(
    kept: Everything,
    path: Path,
    *,
    language: str = "en",
    report: Callable[[Scan], bytes] | None = None,
    progress: Callable[[float], None] = _nothing,
    cancelled: Callable[[], bool] = _never,
) -> Exported:
    """Write it, in the kind that its ending says; an older file of that name is replaced only by a whole new one.

    language: as client.reports.pdf.render. report: makes a scan's page, for FHIR. progress: called with 0 to 1, never less than before.
    cancelled: asked all the time; then Interrupted is raised and nothing has been written. Raises BadInput for an unknown ending,
    EnvironmentFault where the disk or the folder does not take it, and what reading raises.
    """
    check(path)
    kind = kind_of(path) or ""
    steps = _Steps(kept, kind, progress, cancelled)
    watched = steps.watched(kept)
    try:
        with whole_file(path) as file:
            if kind == ".zip":
                done = _zip(watched, file, language, report)
            else:
                file.writelines(steps.checked(_PIECES[kind](watched, language, report)))
                done = Exported()
            steps.check()
    except OSError as error:
        raise fault(path, error, EXPORT) from error
    progress(1.0)
    return done


class _Steps:
    """How far it is, and whether it is still wanted, at everything that is read."""

    def __init__(
        self, kept: Everything, kind: str, progress: Callable[[float], None], cancelled: Callable[[], bool]
    ) -> None:
        self._progress, self._cancelled = progress, cancelled
        passes = 4 if kind == ".zip" else 1
        documents = sum(document.length_bytes for document in kept.documents)
        self._whole = float(passes * max(1, kept.count) + 3.0 * documents / _STEP_BYTES * (kind == ".zip"))
        self._done = 0.0

    def check(self) -> None:
        if self._cancelled():
            raise Interrupted(
                title=said("The export was stopped"),
                remedy=said("Nothing was written; start it again whenever you like."),
            )

    def step(self, size: float = 1.0) -> None:
        self.check()
        self._done += size
        self._progress(min(0.99, self._done / self._whole))

    def each(self, things: Iterator[T]) -> Iterator[T]:
        for thing in things:
            self.step()
            yield thing

    def checked(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self.check()
            yield piece

    def watched(self, kept: Everything) -> Everything:
        def document(one: Document) -> Document:
            def read() -> Iterator[bytes]:
                for piece in one.read():
                    self.step(len(piece) / _STEP_BYTES)
                    yield piece

            return replace(one, read=read)

        def whole() -> Mapping[str, object]:
            self.step(kept.count)
            return kept.whole()

        return replace(
            kept,
            scans=lambda: self.each(kept.scans()),
            entries=lambda: self.each(kept.entries()),
            whole=whole,
            rows=lambda: self.each(kept.rows()),
            documents=tuple(map(document, kept.documents)),
        )


_STEP_BYTES: Final = 1_000_000.0
"""Of a document; as long as one observation takes."""
_PARTS: Final = 20_000
"""Of JSON at once: a number and its comma are two."""


def _json(
    kept: Everything, _language: str = "en", _report: Callable[[Scan], bytes] | None = None
) -> Iterator[bytes]:
    parts = json.JSONEncoder(allow_nan=False).iterencode(kept.whole())
    while piece := "".join(islice(parts, _PARTS)):
        yield piece.encode("ascii")
    yield b"\n"


def _csv(
    kept: Everything, _language: str = "en", _report: Callable[[Scan], bytes] | None = None
) -> Iterator[bytes]:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, kept.columns, lineterminator="\r\n")
    writer.writeheader()
    for row in kept.rows():
        yield text.getvalue().encode("utf-8")
        text.seek(0)
        text.truncate()
        writer.writerow(cells(row, kept.columns))
    yield text.getvalue().encode("utf-8")


def _fhir(
    kept: Everything, _language: str = "en", report: Callable[[Scan], bytes] | None = None
) -> Iterator[bytes]:
    return fhir.pieces(kept, report=report)


def _pdf(
    kept: Everything, language: str = "en", _report: Callable[[Scan], bytes] | None = None
) -> Iterator[bytes]:
    from client.reports.overview import render  # fpdf2 takes most of a second to import

    yield render(kept, language=language)


_PIECES: Final[Mapping[str, Callable[[Everything, str, Callable[[Scan], bytes] | None], Iterable[bytes]]]] = {
    ".json": _json,
    ".csv": _csv,
    ".fhir.json": _fhir,
    ".pdf": _pdf,
}


def _zip(kept: Everything, file: BinaryIO, language: str, report: Callable[[Scan], bytes] | None) -> Exported:
    """A folder of everything. A document that is damaged is found before anything of it is written, and left out."""
    good = [document for document in kept.documents if _is_whole(document)]
    places = {document.id: f"documents/{name_of(document, n)}" for n, document in enumerate(good, 1)}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as folder:
        for kind, make in _PIECES.items():
            pieces = (
                fhir.pieces(kept, report=report, url_of=lambda one: places.get(one.id))
                if make is _fhir
                else make(kept, language, report)
            )
            with _member(folder, kept, f"everything{kind}") as member:
                member.writelines(pieces)
        for document in good:
            stored = document.media_type not in {"application/json", "text/plain"}
            with _member(folder, kept, places[document.id], stored=stored) as member:
                member.writelines(document.read())
    return Exported(tuple(one.title for one in kept.documents if one.id not in places))


@contextmanager
def _member(
    folder: zipfile.ZipFile, kept: Everything, name: str, *, stored: bool = False
) -> Iterator[IO[bytes]]:
    when = local(kept.made_at, kept.utc_offset_min)
    fits = _EARLIEST[0] <= when.year <= _LATEST_YEAR
    moment = (when.year, when.month, when.day, when.hour, when.minute, when.second) if fits else _EARLIEST
    info = zipfile.ZipInfo(f"{_FOLDER}/{name}", moment)
    info.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    info.external_attr = _READ_ONLY_BY_OWNER
    with folder.open(info, "w", force_zip64=True) as member:
        yield member


def _is_whole(document: Document) -> bool:
    """Whether it can be read from its first to its last byte, and is what it was."""
    digest, length = hashlib.sha256(), 0
    try:
        for piece in document.read():
            digest.update(piece)
            length += len(piece)
    except Interrupted:
        raise
    except HealthHelperError:
        return False
    return digest.hexdigest() == document.sha256 and length == document.length_bytes


def name_of(document: Document, number: int) -> str:
    """A file name made of its title that every system takes and that leads nowhere: letters, digits and spaces, after a number."""
    kept = (
        sign if unicodedata.category(sign)[0] in "LNM" else ("-" if sign in "-_./\\:" else " ")
        for sign in unicodedata.normalize("NFC", document.title)
    )
    ending = _ENDINGS.get(document.media_type, ".bin")
    title = " ".join("".join(kept).replace(f"-{ending[1:]}", "").split()).strip("- ")[:_NAME_MOST]
    short = title.encode("utf-8")[:_NAME_MOST_BYTES].decode("utf-8", "ignore").strip("- ")
    return f"{number:03d} {short}".rstrip() + ending
