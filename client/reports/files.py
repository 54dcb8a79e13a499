"""A report on the disk: the right kind for its ending, whole or not at all."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Protocol, TypedDict, Unpack

from client.errors import BadInput, EnvironmentFault
from client.language import marked, said
from client.records import ScanRecord
from client.reports.contents import Dot
from client.whole_file import whole_file


class How(TypedDict, total=False):
    """What a report for people says beside the scan itself; see client.reports.pdf.render. Data (.json) has none of it."""

    language: str
    name: str | None
    utc_offset_min: int | None
    history: Sequence[Dot] | None
    scan_id: str | None
    record_number: str | None


class _Maker(Protocol):
    """Makes the bytes of a report."""

    def __call__(self, record: ScanRecord, /, **how: Unpack[How]) -> bytes: ...


def _pdf(record: ScanRecord, /, **how: Unpack[How]) -> bytes:
    from client.reports.pdf import render  # fpdf2 takes most of a second to import

    return render(record, **how)


def _json(record: ScanRecord, /, **_how: Unpack[How]) -> bytes:
    return record.to_json_text().encode("ascii") + b"\n"


_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]*")


def cells(row: Mapping[str, object], columns: Sequence[str]) -> dict[str, object]:
    """A row of a .csv: numbers and codes only. What a person typed would have to be kept from being taken for a formula; text that is
    no code (of a newer version, of a damaged store) is left out.
    """
    return {
        column: "" if isinstance(value, str) and not _CODE.fullmatch(value) else value
        for column in columns
        if (value := row.get(column)) is None or isinstance(value, str | int | float)
    }


def _csv(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(cells(row, columns) for row in rows)
    return text.getvalue().encode("utf-8")


def _rows_json(rows: Sequence[Mapping[str, object]], _columns: Sequence[str]) -> bytes:
    return json.dumps(rows, allow_nan=False, indent=1).encode("ascii") + b"\n"


TABLES: Mapping[str, Callable[[Sequence[Mapping[str, object]], Sequence[str]], bytes]] = {
    ".json": _rows_json,
    ".csv": _csv,
}
"""The same for lists of what is kept."""


KINDS: Mapping[str, _Maker] = {".pdf": _pdf, ".json": _json}
"""Ending (lower case) → what makes the bytes. Adding a kind of report is a line here."""


@dataclass(frozen=True, slots=True)
class Noun:
    """What a file is called in what is said of it. In English, with places for {ending}; none; {name} and {why}; none."""

    ending: str
    no_ending: str
    not_written: str
    needs_name: str


REPORT = Noun(
    marked("A report cannot be written as {ending}"),
    marked("A report cannot be written as a file without an ending"),
    marked("The report {name} could not be written: {why}"),
    marked("Give the name of a file for the report."),
)
EXPORT = Noun(
    marked("An export cannot be written as {ending}"),
    marked("An export cannot be written as a file without an ending"),
    marked("The export {name} could not be written: {why}"),
    marked("Give the name of a file for the export."),
)


def check_target(path: Path, kinds: Collection[str] = KINDS, noun: Noun = REPORT) -> None:
    """Raise what would stop a file under this name, before anybody sits still for it. kinds: endings that will do.

    BadInput for the name itself, EnvironmentFault for a folder that is missing or closed to us. What may still
    happen until then (a full disk) is found when it is written, and the result is shown all the same.
    """
    name = path.name.lower()
    if name in kinds or not any(name.endswith(kind) for kind in kinds):
        raise BadInput(
            title=said(noun.ending, ending=path.suffix) if path.suffix else said(noun.no_ending),
            remedy=said(
                "Give a file name that ends in {endings}.",
                endings=reduce(lambda one, other: said("{one} or {other}", one=one, other=other), kinds),
            ),
        )
    if path.is_dir():
        raise BadInput(
            title=said("{name} is a folder", name=path.name),
            remedy=said(noun.needs_name),
        )
    folder = path.absolute().parent
    if not folder.is_dir():
        raise fault(path, FileNotFoundError(errno.ENOENT, ""), noun)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise fault(path, PermissionError(errno.EACCES, ""), noun)


def check_free(path: Path) -> None:
    """Raise BadInput where something of this name is there already: for commands, which ask nobody before they replace it."""
    if os.path.lexists(path):
        raise BadInput(
            title=said("{name} is there already", name=path.name),
            remedy=said("Give another name, or --force to replace it."),
        )


def write_report(record: ScanRecord, path: Path, **how: Unpack[How]) -> None:
    """Write the report; an older file of that name is replaced only by a whole new one.

    Raises BadInput for an unknown ending, EnvironmentFault when the disk or the folder does not take it, or when
    the letters of the PDF are missing.
    The file can be read by its owner only.
    """
    check_target(path)
    content = KINDS[path.suffix.lower()](record, **how)
    try:
        _replace(path, content)
    except OSError as error:
        raise fault(path, error, REPORT) from error


def write_table(rows: Sequence[Mapping[str, object]], columns: Sequence[str], path: Path) -> None:
    """Write a list: all that is in `rows` as .json, their `columns` (numbers and codes) as .csv. Errors as write_report."""
    check_target(path, TABLES, EXPORT)
    content = TABLES[path.suffix.lower()](rows, columns)
    try:
        _replace(path, content)
    except OSError as error:
        raise fault(path, error, EXPORT) from error


def fault(path: Path, error: OSError, noun: Noun) -> EnvironmentFault:
    """What the system refused, in words."""
    return EnvironmentFault(
        title=said(noun.not_written, name=path.name, why=_what(error, path.absolute().parent)),
        remedy=_remedy(error),
        retry=True,
    )


def _replace(path: Path, content: bytes) -> None:
    with whole_file(path) as file:
        file.write(content)


def _what(error: OSError, folder: Path) -> str:
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return said("the disk is full")
        case errno.EROFS | errno.EACCES | errno.EPERM:
            return said("the folder {folder} may not be written to", folder=folder)
        case errno.ENOENT | errno.ENOTDIR:
            return said("its folder {folder} does not exist", folder=folder)
        case _:
            return error.strerror or type(error).__name__


def _remedy(error: OSError) -> str:
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return said("Free some space, or choose another disk.")
        case errno.ENOENT | errno.ENOTDIR:
            return said("Make the folder, or choose another one.")
        case _:
            return said("Choose a folder of your own.")
