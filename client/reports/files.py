"""A report on the disk: the right kind for its ending, whole or not at all."""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import json
import os
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from client.errors import BadInput, EnvironmentFault
from client.records import ScanRecord


def _pdf(record: ScanRecord) -> bytes:
    from client.reports.pdf import render  # fpdf2 takes most of a second to import

    return render(record)


def _json(record: ScanRecord) -> bytes:
    return record.to_json_text().encode("ascii") + b"\n"


def _csv(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> bytes:
    """Numbers and codes only: what a person typed would have to be kept from being taken for a formula."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode("utf-8")


def _rows_json(rows: Sequence[Mapping[str, object]], _columns: Sequence[str]) -> bytes:
    return json.dumps(rows, allow_nan=False, indent=1).encode("ascii") + b"\n"


TABLES: Mapping[str, Callable[[Sequence[Mapping[str, object]], Sequence[str]], bytes]] = {
    ".json": _rows_json,
    ".csv": _csv,
}
"""The same for lists of what is kept."""


KINDS: Mapping[str, Callable[[ScanRecord], bytes]] = {".pdf": _pdf, ".json": _json}
"""Ending (lower case) → what makes the bytes. Adding a kind of report is a line here."""


def check_target(path: Path, kinds: Collection[str] = KINDS) -> None:
    """Raise what would stop a report under this name, before anybody sits still for it. kinds: endings that will do.

    BadInput for the name itself, EnvironmentFault for a folder that is missing or closed to us. What may still
    happen until then (a full disk) is found when it is written, and the result is shown all the same.
    """
    if path.suffix.lower() not in kinds:
        raise BadInput(
            title=f"A report cannot be written as {path.suffix or 'a file without an ending'}",
            remedy=f"Give a file name that ends in {' or '.join(kinds)}.",
        )
    if path.is_dir():
        raise BadInput(title=f"{path.name} is a folder", remedy="Give the name of a file for the report.")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise _fault(path, FileNotFoundError(errno.ENOENT, ""))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _fault(path, PermissionError(errno.EACCES, ""))


def write_report(record: ScanRecord, path: Path) -> None:
    """Write the report; an older file of that name is replaced only by a whole new one.

    Raises BadInput for an unknown ending, EnvironmentFault when the disk or the folder does not take it.
    The file can be read by its owner only.
    """
    check_target(path)
    content = KINDS[path.suffix.lower()](record)
    try:
        _replace(path, content)
    except OSError as error:
        raise _fault(path, error, " The result itself is shown above.") from error


def write_table(rows: Sequence[Mapping[str, object]], columns: Sequence[str], path: Path) -> None:
    """Write a list: all that is in `rows` as .json, their `columns` (numbers and codes) as .csv. Errors as write_report."""
    check_target(path, TABLES)
    content = TABLES[path.suffix.lower()](rows, columns)
    try:
        _replace(path, content)
    except OSError as error:
        raise _fault(path, error) from error


def _fault(path: Path, error: OSError, more: str = "") -> EnvironmentFault:
    return EnvironmentFault(
        title=f"The report {path.name} could not be written: {_what(error)}",
        remedy=f"{_remedy(error)}{more}",
        retry=True,
    )


def _replace(path: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem[:40]}-", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


def _what(error: OSError) -> str:
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return "the disk is full"
        case errno.EROFS | errno.EACCES | errno.EPERM:
            return "the folder may not be written to"
        case errno.ENOENT | errno.ENOTDIR:
            return "its folder does not exist"
        case _:
            return error.strerror or type(error).__name__


def _remedy(error: OSError) -> str:
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return "Free some space, or choose another disk with --report."
        case errno.ENOENT | errno.ENOTDIR:
            return "Make the folder, or choose another one with --report."
        case _:
            return "Choose a folder of your own with --report."
