"""A copy of a kept document, in a file that the person chose. It is not encrypted."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from client.errors import EnvironmentFault
from client.language import said


def write_copy(chunks: Iterable[bytes], path: Path) -> None:
    """Whole or not at all: what was there before stays until the copy is complete.

    chunks: what they raise (a damaged document) is passed on. Raises EnvironmentFault where it cannot be written.
    """
    part = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise EnvironmentFault(
            title=said(
                "{name} could not be written ({why})",
                name=path.name,
                why=error.strerror or type(error).__name__,
            ),
            remedy=said("Choose another folder, or make room on its disk."),
        ) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
