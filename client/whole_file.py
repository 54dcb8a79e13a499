"""A file that a person asked for: whole or not there, and for its owner only."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """What is written inside the `with` becomes the file of this name when it ends well, and nothing at all otherwise. It can be read
    by its owner only. Raises OSError.

    Under Linux it has no name until it is whole, where the disk can do that: after a kill nothing of it is left. Elsewhere a file with the
    ending .part is.
    """
    part = path.with_name(f".{_short(path.stem)}-{secrets.token_hex(4)}.part")
    handle, nameless = _new_file(part)
    try:
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if nameless:
                # Without a folder's descriptor, which an absolute path does not use, Python would link the link itself.
                os.link(f"/proc/self/fd/{file.fileno()}", part, src_dir_fd=file.fileno())
        part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


def _short(name: str) -> str:
    """A file system counts bytes, and takes 255 of them."""
    return os.fsencode(name)[:100].decode("utf-8", "ignore")


def _new_file(part: Path) -> tuple[int, bool]:
    """Open to read and write; whether it has no name yet, which /proc gives it later."""
    if sys.platform == "linux" and Path("/proc/self/fd").is_dir():
        with contextlib.suppress(OSError):  # not on every disk
            return os.open(part.parent, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600), True
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
    return os.open(part, flags, 0o600), False
