"""One encrypted SQLite file: opened, migrated, and its errors told in sentences.

Every page is encrypted and authenticated by SQLCipher with a random 32-byte key. What is committed survives kill -9 and a
power cut (write-ahead log, synchronous FULL); what is deleted is overwritten (secure_delete); nothing is spilt into
temporary files (temp_store MEMORY). Each migration is one transaction, with a copy of the file made before it. What is forgotten for
ever is forgotten in the log and in those copies too, now or, where somebody still reads, at a later opening.
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
from typing import IO, Any, ClassVar

from client.config import repair
from client.errors import EnvironmentFault
from client.language import said

FILE_NAME = "health-helper.db"
BUSY_MS = 5000
"""How long another process may hold the database before we say so."""
_TO_FORGET = "to_forget"
"""A setting that is there from a `forget_later` until nothing of it is left in the log or in a copy."""

Row = tuple[Any, ...]


class StoreFault(EnvironmentFault):
    """The database can't be used; nothing in it was changed. code: for programs, as `saved_reason` of a scan's JSON."""

    code: ClassVar[str] = "store_failed"


class StoreDamaged(StoreFault):
    """The file is no database of ours any more."""

    code = "store_damaged"

    def __init__(self) -> None:
        super().__init__(
            title=said("The store on this device is damaged, so nothing can be kept or shown from it"),
            remedy=said("Put back a backup of its whole folder. The damaged file is left as it is."),
        )


class WrongKey(StoreFault):
    """The file is whole and was encrypted with another key."""

    code = "store_wrong_key"

    def __init__(self) -> None:
        super().__init__(
            title=said(
                "The store on this device was locked with another key than the one in this system's key store"
            ),
            remedy=said(
                "Open it with its recovery key: health-helper recovery-key --restore. Nothing was changed."
            ),
        )


class StoreNewer(StoreFault):
    """A newer version of the application has written it."""

    code = "store_newer"

    def __init__(self) -> None:
        super().__init__(
            title=said("The store on this device was written by a newer version of Health Helper"),
            remedy=said("Install that version again, or a later one. Nothing was changed."),
        )


class StoreReadOnly(StoreFault):
    """It may be read and not written."""

    code = "store_read_only"

    def __init__(self) -> None:
        super().__init__(
            title=said("The store on this device may not be written to"),
            remedy=said(
                "Give yourself the right to write in its folder, or free it from another program, and try again."
            ),
            retry=True,
        )


class DiskFull(StoreFault):
    """No room for what was to be kept."""

    code = "disk_full"

    def __init__(self) -> None:
        super().__init__(
            title=said("The disk is full, so this was not kept"),
            remedy=said("Free some space and save again; what was kept before is safe."),
            retry=True,
        )


class StoreBusy(StoreFault):
    """Another process holds it."""

    code = "store_busy"

    def __init__(self) -> None:
        super().__init__(
            title=said("Another program is using the store on this device"),
            remedy=said("Close the other window of Health Helper and try again."),
            retry=True,
        )


class StoreUnreadable(StoreFault):
    """The operating system gives an error."""

    def __init__(self, name: str) -> None:
        super().__init__(
            title=said("The store on this device could not be read or written ({kind})", kind=name),
            remedy=said("Check the disk and the rights of its folder and try again."),
            retry=True,
        )


class StoreUnavailable(StoreFault):
    """A library of ours is not installed."""

    code = "store_unavailable"

    def __init__(self) -> None:
        super().__init__(
            title=said("The library of the encrypted store (sqlcipher3) cannot be loaded"),
            remedy=repair(),
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
        self._damaged = False
        _make_private(path)
        with self._told():
            self._connection = self._connected(path, key)
        try:
            with self._told():
                self._prepare()
                self._migrate(key)
                self._forget_now()
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

    def forget_what_is_due(self) -> bool:
        """Empty the write-ahead log and remove the copies made before migrations, where `Change.forget_later` asked for it.

        Returns whether nothing is due any more. Where others still read after BUSY_MS it stays due, and the next opening tries again.
        """
        with self._lock, self._told():
            if not self._connection.execute("SELECT 1 FROM setting WHERE name = ?", (_TO_FORGET,)).fetchall():
                return True
            if not (self._log_emptied() and self._copies_removed()):
                return False
            self._connection.execute("DELETE FROM setting WHERE name = ?", (_TO_FORGET,))
            return True

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
            fault = self._FAULTS[primary]() if primary in self._FAULTS else None
            if isinstance(fault, StoreReadOnly) and self._damaged:
                fault = StoreDamaged()  # after a page that does not decrypt SQLCipher takes no more writes
            self._damaged |= isinstance(fault, StoreDamaged)
            if fault is not None:
                raise fault from None
            if primary in {"SQLITE_IOERR", "SQLITE_CANTOPEN"}:
                raise (DiskFull() if _is_full(self.path.parent) else StoreUnreadable(name)) from None
            raise  # a statement that can't be: a bug of ours

    def _connected(self, path: Path, key: bytes) -> Any:
        from sqlcipher3 import dbapi2

        if len(key) != 32:
            raise ValueError(f"a key has 32 bytes, not {len(key)}")
        connection = dbapi2.connect(
            str(path), isolation_level=None, check_same_thread=False, timeout=BUSY_MS / 1000.0
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
            "fullfsync = ON",  # macOS: a plain fsync leaves it in the drive's own memory
            "checkpoint_fullfsync = ON",
        ):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.execute(
            "SELECT count(*) FROM sqlite_schema"
        )  # the first page is read with the key here

    # Forgetting

    def _log_emptied(self) -> bool:
        (busy, *_), *_ = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return not busy

    def _copies_removed(self) -> bool:
        for copy in self.path.parent.glob(f"{self.path.name}.before-*"):
            try:
                copy.unlink(missing_ok=True)
            except OSError:
                return False
        return True

    def _forget_now(self) -> None:
        """What could not be forgotten when it was asked for, tried again without waiting for anybody."""
        self._connection.execute("PRAGMA busy_timeout = 0")
        with contextlib.suppress(StoreFault):  # what is kept can be read all the same
            self.forget_what_is_due()
        self._connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")

    # Migrations

    def _version(self) -> int:
        return int(self._connection.execute("PRAGMA user_version").fetchone()[0])

    def _migrate(self, key: bytes) -> None:
        steps = migrations()
        if self._version() > len(steps):
            raise StoreNewer
        if self._version() == len(steps):
            return
        self._connection.execute("PRAGMA foreign_keys = OFF")  # a table that others refer to may be made anew
        is_new = self._version() == 0
        for number, sql in enumerate(steps, start=1):
            if self._version() < number:
                self._step(number, sql, None if is_new else key)
        self._connection.execute("PRAGMA foreign_keys = ON")

    def _step(self, number: int, sql: str, copied_with: bytes | None) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            if self._version() < number:  # another process may have been faster
                if copied_with is not None:
                    self._copy(number, copied_with)
                for statement in statements(sql):
                    self._connection.execute(statement)
                self._check_references(number)
                self._connection.execute(f"PRAGMA user_version = {number}")
            self._connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(Exception):
                self._connection.execute("ROLLBACK")
            raise

    def _check_references(self, number: int) -> None:
        if self._connection.execute("PRAGMA foreign_key_check").fetchall():
            raise RuntimeError(f"migration {number} leaves references to what is not there")

    def _copy(self, number: int, key: bytes) -> None:
        """The store as it is before a migration, whole or not there. Nothing changes it meanwhile: we hold the only right to write.

        SQLite makes it, by a second connection: to open and close the file ourselves would end the locks that this process has on it.
        """
        copy = copy_before(self.path, number)
        part = copy.with_name(copy.name + ".part")
        try:
            private(part).close()
            with (
                contextlib.closing(self._connected(self.path, key)) as old,
                contextlib.closing(self._connected(part, key)) as new,
            ):
                old.backup(new)
            part.replace(copy)
            flush_folder(copy.parent)
        except OSError as error:
            raise (
                DiskFull() if _is_full(self.path.parent) else StoreUnreadable(type(error).__name__)
            ) from None
        finally:
            with contextlib.suppress(OSError):
                part.unlink()


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

    def forget_later(self) -> None:
        """What this transaction deletes must also go from the log and the copies: noted with it, so that no kill -9 loses it."""
        self.do("INSERT OR REPLACE INTO setting (name, value) VALUES (?, '')", (_TO_FORGET,))


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


def _make_private(path: Path) -> None:
    """An empty file that only its owner may read, where there is none; SQLite gives its log the same rights."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return  # not opened: closing it again would end the locks that this process may have on it
    except PermissionError:
        raise StoreReadOnly from None
    except OSError as error:
        raise (DiskFull() if error.errno == errno.ENOSPC else StoreUnreadable(type(error).__name__)) from None


def _is_full(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < 1_000_000
    except OSError:
        return False
