"""What was written since the last backup, a record for each transaction, sealed and on the disk before the database has it.

A backup and the records that follow it are an exact copy of the database, so that neither the one nor the other is the only copy of
anything. A journal begins with a magic, and the position of the database when it began; a record is

    "HHJR"  number [8 bytes]  id of the one before [12]  bytes that follow [4]  sealed: nonce [12], statements, tag [16]

Its id is its nonce. It is sealed together with its number and the id of the one before, so that records can neither be changed,
exchanged nor left out, and those of another store follow on nothing of this one.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from client.store.sealing import NONCE_BYTES, SEALING_ADDS_BYTES, SealBroken, derive, seal, unseal

FILE_NAME = "health-helper.journal"
MAGIC = b"health-helper journal 1\n"
LONGEST_RECORD_BYTES = 64_000_000
"""What is larger is not written down, but a backup is made at once: an import of thousands is one transaction."""
_PURPOSE = b"health-helper store journal 1"
_MARK = b"HHJR"
_HEAD = struct.Struct(f">4sQ{NONCE_BYTES}sI")
_START = struct.Struct(f">{len(MAGIC)}sQ{NONCE_BYTES}s")
START_BYTES = _START.size

Statement = tuple[str, Sequence[object]]


class Gap(Exception):
    """The journal does not reach as far as the database: it was lost, cut or damaged, or is another one's."""


class TooLarge(Exception):
    """A transaction of more than LONGEST_RECORD_BYTES."""


@dataclass(frozen=True, slots=True)
class Position:
    """After which transaction a database is. number: they are counted from 1. id: of its record; of a database that no record
    led to, of its own.
    """

    number: int
    id: bytes

    def __str__(self) -> str:
        return f"{self.number} {self.id.hex()}"

    @classmethod
    def parse(cls, text: str) -> Position:
        """What `str` made. Raises ValueError."""
        number, _, name = text.partition(" ")
        found = cls(int(number), bytes.fromhex(name))
        if found.number < 0 or len(found.id) != NONCE_BYTES:
            raise ValueError("no position")
        return found

    def unwritten(self) -> Position:
        """The one after this, of which there is no record."""
        return Position(self.number + 1, secrets.token_bytes(NONCE_BYTES))


NOWHERE = Position(0, bytes(NONCE_BYTES))


@dataclass(frozen=True, slots=True)
class Record:
    """Where a record lies. begin, end: bytes from the file's beginning."""

    path: Path
    begin: int
    end: int
    before: bytes
    after: Position


class Journal:
    """The journal that is written to. Whoever calls `append`, `cut` or `begin` is alone with it."""

    def __init__(self, path: Path, key: bytes) -> None:
        """key: of the database, 32 bytes."""
        self.path = path
        self._key = derive(key, _PURPOSE)
        self._known: tuple[bytes, Position, int] | None = None
        """How the file begins, and where the record of a position ends: looked for only from there on."""

    def append(self, after: Position, done: Sequence[Statement]) -> Position:
        """Write down what was done after a position; it is on the disk when this returns. What stands behind that position was never
        committed and is cut off. Raises Gap, TooLarge, and OSError: then nothing was added.
        """
        plain = _encoded(done)
        number = after.number + 1
        sealed = seal(self._key, plain, _bound(number, after.id))
        with self.path.open("r+b") as file:
            begin = self._end_of(file, after)
            try:
                file.truncate(begin)
                file.seek(begin)
                file.write(_HEAD.pack(_MARK, number, after.id, len(sealed)) + sealed)
                flush(file)
            except BaseException:
                self._known = None
                with contextlib.suppress(OSError):
                    file.truncate(begin)
                raise
            made = Position(number, sealed[:NONCE_BYTES])
            self._known = (_beginning(file), made, file.seek(0, os.SEEK_END))
        return made

    def cut(self, after: Position) -> None:
        """Take away what stands behind a position: it was not committed. Raises Gap and OSError."""
        with self.path.open("r+b") as file:
            file.truncate(self._end_of(file, after))
            flush(file)

    def begin(self, start: Position, older: Path | None) -> None:
        """Begin anew after a position, with what stands behind it; the journal as it was becomes the file `older`, or is no more.
        Raises OSError, and Gap where there is no journal that has the position: see `begin_empty`.
        """
        with self.path.open("rb") as file:
            file.seek(self._end_of(file, start))
            rest = file.read()
        self._begin(start, rest, older)

    def begin_empty(self, start: Position, older: Path | None) -> None:
        """Begin anew where nothing stands behind the position. Raises OSError."""
        self._begin(start, b"", older)

    def _begin(self, start: Position, rest: bytes, older: Path | None) -> None:
        part = self.path.with_name(self.path.name + ".part")
        with private(part) as file:
            file.write(_START.pack(MAGIC, start.number, start.id) + rest)
            flush(file)
        self._known = None
        if older is not None:
            with contextlib.suppress(FileNotFoundError):
                self.path.replace(older)
                flush_folder(older.parent)
        part.replace(self.path)
        flush_folder(self.path.parent)

    def after(self, position: Position) -> list[Record]:
        """The records that stand behind a position, as far as they follow on each other. Raises Gap and OSError."""
        try:
            with self.path.open("rb") as file:
                end = self._end_of(file, position)
                return list(_following(self.path, file, position, end))
        except FileNotFoundError:
            raise Gap from None

    def start(self) -> Position | None:
        """Where it begins; None where that can't be read."""
        try:
            with self.path.open("rb") as file:
                return _start(_beginning(file))
        except OSError:
            return None

    def size_bytes(self) -> int:
        """0 where there is none."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def read(self, record: Record) -> list[Statement]:
        """What was done. Raises SealBroken and OSError."""
        with record.path.open("rb") as file:
            file.seek(record.begin)
            whole = file.read(record.end - record.begin)
        if len(whole) < _HEAD.size:
            raise SealBroken
        _, number, before, _ = _HEAD.unpack(whole[: _HEAD.size])
        return _decoded(unseal(self._key, whole[_HEAD.size :], _bound(number, before)))

    def is_whole(self, record: Record) -> bool:
        """Whether it can be read, and is of this store."""
        try:
            self.read(record)
        except (SealBroken, OSError):
            return False
        return True

    def _end_of(self, file: IO[bytes], position: Position) -> int:
        """The byte after what led to a position. Raises Gap."""
        beginning = _beginning(file)
        start = _start(beginning)
        if start is None:
            raise Gap
        reached, end = start, _START.size
        if (
            self._known is not None
            and self._known[0] == beginning
            and self._known[1].number <= position.number
        ):
            reached, end = self._known[1:]
        if reached == position and end <= file.seek(0, os.SEEK_END):
            return end
        for record in _following(self.path, file, reached, end):
            if record.after == position:
                self._known = (beginning, position, record.end)
                return record.end
        raise Gap


def records(paths: Iterable[Path]) -> Iterator[Record]:
    """All that look like records in these files, also behind damaged places. Whether they are whole, `Journal.read` says."""
    for path in paths:
        with contextlib.suppress(OSError):
            yield from _scattered(path)


def _scattered(path: Path) -> Iterator[Record]:
    content = path.read_bytes()  # as large as a journal gets: some tens of MB
    place = content.find(_MARK)
    while 0 <= place <= len(content) - _HEAD.size - SEALING_ADDS_BYTES:
        _, number, before, length = _HEAD.unpack_from(content, place)
        begin, end = place + _HEAD.size, place + _HEAD.size + length
        fits = length >= SEALING_ADDS_BYTES and end <= len(content)
        if fits:
            yield Record(path, place, end, before, Position(number, content[begin : begin + NONCE_BYTES]))
        goes_on = fits and content[end : end + len(_MARK)] in {b"", _MARK}
        place = content.find(_MARK, end if goes_on else begin)


def _following(path: Path, file: IO[bytes], position: Position, begin: int) -> Iterator[Record]:
    size = file.seek(0, os.SEEK_END)
    while begin + _HEAD.size + SEALING_ADDS_BYTES <= size:
        file.seek(begin)
        head = file.read(_HEAD.size + NONCE_BYTES)
        mark, number, before, length = _HEAD.unpack(head[: _HEAD.size])
        end = begin + _HEAD.size + length
        if (mark, number, before) != (_MARK, position.number + 1, position.id) or end > size:
            return
        position = Position(number, head[_HEAD.size :])
        yield Record(path, begin, end, before, position)
        begin = end


def _beginning(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read(_START.size)


def _start(beginning: bytes) -> Position | None:
    if len(beginning) != _START.size or not beginning.startswith(MAGIC):
        return None
    _, number, name = _START.unpack(beginning)
    return Position(number, name)


def _bound(number: int, before: bytes) -> bytes:
    return MAGIC + number.to_bytes(8, "big") + before


def _encoded(done: Sequence[Statement]) -> bytes:
    size = sum(len(value) for _, values in done for value in values if isinstance(value, (str, bytes)))
    if size > LONGEST_RECORD_BYTES:
        raise TooLarge
    return json.dumps([[sql, list(values)] for sql, values in done], default=_plain).encode()


def _plain(value: object) -> dict[str, str]:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"base64": base64.b64encode(value).decode("ascii")}
    raise TypeError(f"the database keeps no {type(value).__name__}")


def _decoded(plain: bytes) -> list[Statement]:
    return [(sql, [_value(value) for value in values]) for sql, values in json.loads(plain)]


def _value(value: Any) -> object:
    return base64.b64decode(value["base64"]) if isinstance(value, dict) else value


def private(path: Path) -> IO[bytes]:
    """A new empty file, or an older one emptied, that only its owner may read, open for writing. Raises OSError."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")


def flush(file: IO[bytes]) -> None:
    """What was written is on the disk when this returns. Raises OSError."""
    file.flush()
    os.fsync(file.fileno())
    if os.name == "posix":
        import fcntl

        full = getattr(fcntl, "F_FULLFSYNC", None)  # macOS: a plain fsync leaves it in the drive's own memory
        if full is not None:
            with contextlib.suppress(OSError):  # not every file system there can
                fcntl.fcntl(file.fileno(), full)


def flush_folder(folder: Path) -> None:
    """The names in a folder, as they are now, are on the disk when this returns. Raises OSError. Windows has no such call."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
