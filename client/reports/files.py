"""A report on the disk: the right kind for its ending, whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from client.errors import BadInput, EnvironmentFault
from client.records import ScanRecord


def _pdf(record: ScanRecord) -> bytes:
    from client.reports.pdf import render  # fpdf2 takes most of a second to import

    return render(record)


def _json(record: ScanRecord) -> bytes:
    return record.to_json_text().encode("ascii") + b"\n"


KINDS: Mapping[str, Callable[[ScanRecord], bytes]] = {".pdf": _pdf, ".json": _json}
"""Ending (lower case) → what makes the bytes. Adding a kind of report is a line here."""


def check_target(path: Path) -> None:
    """Raise BadInput if no report can be written under this name; asks nothing that may change until then."""
    if path.suffix.lower() not in KINDS:
        raise BadInput(
            title=f"A report cannot be written as {path.suffix or 'a file without an ending'}",
            remedy=f"Give a file name that ends in {' or '.join(KINDS)}.",
        )
    if path.is_dir():
        raise BadInput(title=f"{path.name} is a folder", remedy="Give the name of a file for the report.")


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
        raise EnvironmentFault(
            title=f"The report {path.name} could not be written: {_what(error)}",
            remedy=f"{_remedy(error)} The result itself is shown above.",
            retry=True,
        ) from error


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
