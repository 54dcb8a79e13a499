"""Part of the AWS stand-in, which is for tests and the local cloud only and is never shipped: a request, its body and its answer."""

from __future__ import annotations

import hashlib
import os
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote_to_bytes

IN_MEMORY_BYTES = 1_000_000
"""A larger body lies in a file."""


def decoded(text: str) -> str:
    """Percent-decoded; "+" is a plus. What is no UTF-8 is kept as surrogates, so that two different paths stay different."""
    return unquote_to_bytes(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


class Body:
    """The bytes of a request, taken in piece by piece, with their sums."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pieces: list[bytes] = []
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5()
        self.crc32 = 0
        self.size = 0
        self.path: Path | None = None

    def take(self, pieces: Iterator[bytes]) -> None:
        for piece in pieces:
            self._sha256.update(piece)
            self._md5.update(piece)
            self.crc32 = zlib.crc32(piece, self.crc32)
            self.size += len(piece)
            self._pieces.append(piece)
            if sum(map(len, self._pieces)) > IN_MEMORY_BYTES:
                self._spill()
        if self.path is not None:
            self._spill()

    def _spill(self) -> None:
        if self.path is None:
            handle, name = tempfile.mkstemp(dir=self._folder)
            os.close(handle)
            self.path = Path(name)
        with self.path.open("ab") as file:
            file.writelines(self._pieces)
        self._pieces.clear()

    @property
    def sha256(self) -> bytes:
        return self._sha256.digest()

    @property
    def md5(self) -> bytes:
        return self._md5.digest()

    def read(self) -> bytes:
        return self.path.read_bytes() if self.path else b"".join(self._pieces)

    def keep(self) -> bytes | Path:
        """The bytes, or the file, which from now on is the caller's to remove."""
        kept: bytes | Path = self.path or b"".join(self._pieces)
        self.path = None
        self._pieces = []
        return kept

    def discard(self) -> None:
        if self.path is not None:
            self.path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. target: path and query as they were sent. headers: names in small letters, repeated ones joined by ","."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: Body

    @property
    def path(self) -> str:
        """As sent, still encoded."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> list[tuple[str, str]]:
        """Decoded, in order. A name without "=" has an empty value."""
        raw = self.target.partition("?")[2]
        parts = (part.partition("=") for part in raw.split("&") if part)
        return [(decoded(name), decoded(value)) for name, _, value in parts]

    def asked(self, name: str) -> str | None:
        """The first value of a query parameter; None: it is not there."""
        return next((value for key, value in self.query if key == name), None)


@dataclass(frozen=True, slots=True)
class Answer:
    """body: bytes, a file, or pieces that go out as they come (chunked)."""

    status: int
    headers: Sequence[tuple[str, str]] = ()
    body: bytes | Path | Iterator[bytes] = field(default=b"")


class Cut(Exception):
    """Raised by the pieces of an answer: the connection breaks here, without an end."""


class Refused(Exception):
    """The service says no. code: as AWS names it."""

    def __init__(self, status: int, code: str, message: str, headers: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code, self.message, self.headers = status, code, message, headers
