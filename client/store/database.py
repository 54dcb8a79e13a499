"""One encrypted SQLite file: opened, migrated, and its errors told in sentences.

Every page is encrypted and authenticated by SQLCipher with a random 32-byte key. What is committed survives kill -9 and a
power cut (write-ahead log, synchronous FULL); what is deleted is overwritten (secure_delete); nothing is spilt into
temporary files (temp_store MEMORY). Each migration is one transaction, with a copy of the file made before it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar

from client.errors import EnvironmentFault

FILE_NAME = "health-helper.db"
BUSY_MS = 5000
"""How long another process may hold the database before we say so."""

Row = tuple[Any, ...]


class StoreFault(EnvironmentFault):
    """The database can't be used; nothing in it was changed. code: for programs, as `saved_reason` of a scan's JSON."""

    code: ClassVar[str] = "store_failed"


class StoreDamaged(StoreFault):
    """The file is no database of ours any more."""

    code = "store_damaged"

    def __init__(self) -> None:
        super().__init__(
            title="The store on this device is damaged, so nothing can be kept or shown from it",
            remedy="Put back a backup of its whole folder. The damaged file is left as it is.",
        )


class WrongKey(StoreFault):
    """The file is whole and was encrypted with another key."""

    code = "store_wrong_key"

    def __init__(self) -> None:
        super().__init__(
            title="The store on this device was locked with another key than the one in this system's key store",
            remedy="Open it with its recovery key: health-helper recovery-key --restore. Nothing was changed.",
        )


class StoreNewer(StoreFault):
    """A newer version of the application has written it."""

    code = "store_newer"

    def __init__(self) -> None:
        super().__init__(
            title="The store on this device was written by a newer version of Health Helper",
            remedy="Install that version again, or a later one. Nothing was changed.",
        )


class StoreReadOnly(StoreFault):
    """It may be read and not written."""

    code = "store_read_only"

    def __init__(self) -> None:
        super().__init__(
            title="The store on this device may not be written to",
            remedy="Give yourself the right to write in its folder, or free it from another program, and try again.",
            retry=True,
        )


class DiskFull(StoreFault):
    """No room for what was to be kept."""

    code = "disk_full"

    def __init__(self) -> None:
        super().__init__(
            title="The disk is full, so this was not kept",
            remedy="Free some space and save again; what was kept before is safe.",
            retry=True,
        )


class StoreBusy(StoreFault):
    """Another process holds it."""

    code = "store_busy"

    def __init__(self) -> None:
        super().__init__(
            title="Another program is using the store on this device",
            remedy="Close the other window of Health Helper and try again.",
            retry=True,
        )


class StoreUnreadable(StoreFault):
    """The operating system gives an error."""

    def __init__(self, name: str) -> None:
        super().__init__(
            title=f"The store on this device could not be read or written ({name})",
            remedy="Check the disk and the rights of its folder and try again.",
            retry=True,
        )


class StoreUnavailable(StoreFault):
    """A library of ours is not installed."""

    code = "store_unavailable"

    def __init__(self) -> None:
        super().__init__(
            title="The library of the encrypted store (sqlcipher3) cannot be loaded",
            remedy="Run 'make setup' again (without make: 'python packaging/setup.py setup').",
        )


def check_library() -> None:
    """Raise StoreUnavailable where the encrypted database can't be opened at all; before anything is made."""
    try:
        from sqlcipher3 import dbapi2  # noqa: F401
    except ImportError:
        raise StoreUnavailable from None


class Database:
    """An open store. One connection behind one lock, so that any thread may use it.

    Raises StoreFault (one of its kinds) from every method; after one, nothing of the transaction is there.
    """

    _FAULTS: ClassVar[Mapping[str, Callable[[], StoreFault]]] = {
        "SQLITE_NOTADB": StoreDamaged,
        "SQLITE_CORRUPT": StoreDamaged,
        "SQLITE_READONLY": StoreReadOnly,
        "SQLITE_PERM": StoreReadOnly,
        "SQLITE_FULL": DiskFull,
        "SQLITE_BUSY": StoreBusy,
        "SQLITE_LOCKED": StoreBusy,
    }

    def __init__(self, path: Path, key: bytes) -> None:
        """Open `path`, make it where it is not there, and bring it to this version. key: 32 bytes."""
        self.path = path
        self._lock = threading.RLock()
        _make_private(path)
        with self._told():
            self._connection = self._connected(key)
        try:
            with self._told():
                self._prepare()
                self._migrate()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Nothing may be asked afterwards. What was committed stays; may be called again."""
        with self._lock, contextlib.suppress(Exception):
            self._connection.close()

    def ask(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """The rows of a query."""
        with self._lock, self._told():
            return list(self._connection.execute(sql, values))

    @contextmanager
    def changes(self) -> Iterator[Change]:
        """A transaction: everything in the block, or nothing of it."""
        with self._lock, self._told():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield Change(self._connection)
                self._connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(Exception):  # a full disk may have rolled it back already
                    self._connection.execute("ROLLBACK")
                raise

    def forget_deleted_pages(self) -> None:
        """Empty the write-ahead log and remove the copies made before migrations: what was overwritten is nowhere else."""
        self.ask("PRAGMA wal_checkpoint(TRUNCATE)")
        for copy in self.path.parent.glob(f"{self.path.name}.before-*"):
            with contextlib.suppress(OSError):
                copy.unlink()

    def damage(self) -> tuple[str, ...]:
        """What is wrong with the file, every page looked at; empty when it is whole."""
        found = self.ask("PRAGMA cipher_integrity_check")
        if not found:  # a page that does not decrypt would only be met again
            found = [row for row in self.ask("PRAGMA quick_check") if row != ("ok",)]
        return tuple(str(row[0]) for row in found)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """The library's errors become sentences; its words, which may hold data, are left behind."""
        from sqlcipher3 import dbapi2

        try:
            yield
        except dbapi2.Error as error:
            name = getattr(error, "sqlite_errorname", None) or ""
            primary = "_".join(name.split("_")[:2])
            if primary in self._FAULTS:
                fault = self._FAULTS[primary]()
                raise fault from None
            if primary in {"SQLITE_IOERR", "SQLITE_CANTOPEN"}:
                raise (DiskFull() if _is_full(self.path.parent) else StoreUnreadable(name)) from None
            raise  # a statement that can't be: a bug of ours

    def _connected(self, key: bytes) -> Any:
        from sqlcipher3 import dbapi2

        if len(key) != 32:
            raise ValueError(f"a key has 32 bytes, not {len(key)}")
        connection = dbapi2.connect(
            str(self.path), isolation_level=None, check_same_thread=False, timeout=BUSY_MS / 1000.0
        )
        connection.execute("PRAGMA cipher_log_level = NONE")  # it would write to standard error
        connection.execute(f"PRAGMA key = \"x'{key.hex()}'\"")
        return connection

    def _prepare(self) -> None:
        for pragma in (
            "foreign_keys = ON",
            "temp_store = MEMORY",
            "secure_delete = ON",
            "trusted_schema = OFF",
            "journal_mode = WAL",
            "synchronous = FULL",
        ):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.execute(
            "SELECT count(*) FROM sqlite_schema"
        )  # the first page is read with the key here

    # Migrations

    def _version(self) -> int:
        return int(self._connection.execute("PRAGMA user_version").fetchone()[0])

    def _migrate(self) -> None:
        steps = migrations()
        if self._version() > len(steps):
            raise StoreNewer
        for number, sql in enumerate(steps, start=1):
            if self._version() >= number:
                continue
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                if self._version() < number:  # another process may have been faster
                    if number > 1:
                        self._copy(number)
                    for statement in statements(sql):
                        self._connection.execute(statement)
                    self._connection.execute(f"PRAGMA user_version = {number}")
                self._connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(Exception):
                    self._connection.execute("ROLLBACK")
                raise

    def _copy(self, number: int) -> None:
        """The file as it is before a migration, whole or not there. Nothing changes it meanwhile: the log was emptied and
        we hold the only right to write.
        """
        log = self.path.with_name(self.path.name + "-wal")
        if log.exists() and log.stat().st_size > 0:
            raise StoreBusy  # somebody still reads, so it could not be emptied: the file alone would be incomplete
        copy = copy_before(self.path, number)
        part = copy.with_name(copy.name + ".part")
        try:
            with self.path.open("rb") as old, part.open("wb") as new:
                shutil.copyfileobj(old, new)
                new.flush()
                os.fsync(new.fileno())
            part.replace(copy)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise (
                DiskFull() if _is_full(self.path.parent) else StoreUnreadable(type(error).__name__)
            ) from None


class Change:
    """What may be done inside a transaction."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def do(self, sql: str, values: Sequence[object] = ()) -> int:
        """Run one statement. Returns how many rows it changed."""
        return int(self._connection.execute(sql, values).rowcount)

    def ask(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """The rows of a query, with what this transaction changed."""
        return list(self._connection.execute(sql, values))


def migrations() -> list[str]:
    """The SQL of every step, in order; the n-th brings the database to version n."""
    folder = resources.files("client.store") / "migrations"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    for number, name in enumerate(names, start=1):
        if not name.startswith(f"{number:04d}_"):
            raise RuntimeError(f"migration {number} is missing: {name} stands in its place")
    return [(folder / name).read_text(encoding="utf-8") for name in names]


def statements(sql: str) -> Iterator[str]:
    """The single statements of a script."""
    import sqlite3

    begun = ""
    for line in sql.splitlines(keepends=True):
        begun += line
        if sqlite3.complete_statement(begun):
            yield begun
            begun = ""
    if begun.strip():
        raise RuntimeError("a migration ends in the middle of a statement")


def copy_before(path: Path, number: int) -> Path:
    """Where the copy made before a migration lies."""
    return path.with_name(f"{path.name}.before-{number:04d}")


def _make_private(path: Path) -> None:
    """An empty file that only its owner may read, where there is none; SQLite gives its log the same rights."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except PermissionError:
        raise StoreReadOnly from None
    except OSError as error:
        raise (DiskFull() if error.errno == errno.ENOSPC else StoreUnreadable(type(error).__name__)) from None


def _is_full(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < 1_000_000
    except OSError:
        return False
