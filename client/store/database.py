"""One encrypted SQLite file: opened, migrated, and its errors told in sentences.

Every page is encrypted and authenticated by SQLCipher with a random 32-byte key. What is committed survives kill -9 and a
power cut (write-ahead log, synchronous FULL); what is deleted is overwritten (secure_delete); nothing is spilt into
temporary files (temp_store MEMORY) that is not encrypted too. Each migration is one transaction, with a copy of the file made before it.

The file is never the only copy: beside it lie a backup and the journal of all that was written since (client.store.journal), which
together are the same again; what is in neither was never said to be kept. What is forgotten for ever is forgotten in the log, in
the journal, in backups and copies too, now or, where somebody still reads, at a later opening.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from client import log
from client.config import repair
from client.errors import EnvironmentFault
from client.language import said
from client.store import journal
from client.store.journal import NOWHERE, Gap, Journal, Position, Record, Statement, TooLarge
from client.store.journal import flush as flush  # noqa: PLC0414 (also for those above)
from client.store.journal import flush_folder as flush_folder  # noqa: PLC0414
from client.store.journal import private as private  # noqa: PLC0414
from client.store.sealing import SealBroken

if TYPE_CHECKING:
    from filelock import BaseFileLock

FILE_NAME = "health-helper.db"
BUSY_MS = 5000
"""How long another process may hold the database before we say so."""
BACKUPS_KEPT = 3
_TO_FORGET = "to_forget"
"""A setting that is there from a `forget_later` until nothing of it is left in the log or in a copy. Its value: which one that was."""
_POSITION = "journal_position"
_BACKUPS, _BACKUP_END, _OLDER_JOURNAL_END = "backups", ".db", ".journal"
_PART_END, _SPARE_END, _NEXT_END = ".part", ".spare", ".next"
_WRITING_LOCK, _MAKING_LOCK, _DAMAGE_MET = "writing.lock", "making.lock", "damage-met"
SET_ASIDE = "damaged-"
"""How the names of damaged files begin that were replaced by what could be rebuilt."""

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
            remedy=said(
                "Close Health Helper and open it again: it then puts the store together again from its backup. The damaged file is kept."
            ),
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


class StoreRenewed(StoreFault):
    """The file was replaced while it was open here: mended, or locked with a new key. Nothing is written into the older one."""

    code = "store_renewed"

    def __init__(self) -> None:
        super().__init__(
            title=said("Another program has renewed the store on this device, so this was not kept"),
            remedy=said("Close Health Helper, open it again and save again."),
        )


class StoreClosed(StoreFault):
    """It was closed here: locked, or the program is about to end."""

    code = "store_closed"

    def __init__(self) -> None:
        super().__init__(
            title=said(
                "The store on this device was closed meanwhile, so nothing more can be kept or shown from it"
            ),
            remedy=said("Open it again and do this once more; what was kept before is safe."),
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

    def __init__(self, path: Path, key: bytes, *, is_copy: bool = False) -> None:
        """Open `path`, make it where it is not there, and bring it to this version. key: 32 bytes. is_copy: a backup or the like, which
        has neither journal nor backups of its own.

        Raises StoreDamaged also where the file is whole but older than its journal, for then something of it was lost.
        """
        self.path = path
        self._key = key
        self._lock = threading.RLock()
        self._forgetting = threading.Lock()
        self._damaged = False
        self._is_open = self._is_closed = False
        self._cannot_back_up = False
        self._was_too_large = False
        self._journal = None if is_copy else Journal(path.with_name(journal.FILE_NAME), key)
        self._write_lock: BaseFileLock | None = None
        self._patience_s = BUSY_MS / 1000.0
        _make_private(path)
        with self._told():
            self._check_length(key)
            self._connection = self._connected(path, key)
        try:
            with self._told():
                self._prepare()
                self._file = _identity(path)
                self._migrate(key)
                self._is_open = True
                self._catch_up()
                self._forget_now()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Whatever is asked afterwards raises StoreClosed. What was committed stays; may be called again."""
        with self._lock, contextlib.suppress(Exception):
            self._is_closed = True
            self._connection.close()

    def ask(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """The rows of a query. What is changed is changed in `changes`: only that is in the journal."""
        with self._lock, self._told():
            return list(self._connection.execute(sql, values))

    @contextmanager
    def changes(self) -> Iterator[Change]:
        """A transaction: everything in the block, or nothing of it. It is in the journal, on the disk, before it is in the database."""
        with self._lock, self._told(), self._alone():
            self._connection.execute("BEGIN IMMEDIATE")
            before: Position | None = None
            try:
                change = Change(self._connection)
                yield change
                if change.done and self._journal is not None:
                    before = self._position()
                    self._set_position(self._written_down(before, change.done))
                self._connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(Exception):  # a full disk may have rolled it back already
                    self._connection.execute("ROLLBACK")
                if before is not None and self._journal is not None:
                    with contextlib.suppress(Gap, OSError):  # then the next one cuts it off
                        self._journal.cut(before)
                raise
        if self._was_too_large:
            self._was_too_large = False
            with contextlib.suppress(
                StoreFault
            ):  # it is committed; without room the next opening tries again
                self.back_up()

    def forget_what_is_due(self) -> bool:
        """Write the database anew, empty the write-ahead log, make a new backup and journal and remove all that is older, where
        `Change.forget_later` asked for it.

        Returns whether nothing of what was asked for is due any more. Where others still read after BUSY_MS, or there is no room, it
        stays due, and the next opening tries again. Whoever saves meanwhile waits while it is written anew, some seconds for a GB.
        """
        with self._forgetting, self._told():
            asked = self.ask("SELECT value FROM setting WHERE name = ?", (_TO_FORGET,))
            if not asked:
                return True
            try:
                if not (self._written_anew() and self._copies_removed()):
                    return False
                if self._journal is not None:
                    self.back_up(forgetting=True)
            except (StoreBusy, DiskFull, StoreReadOnly, StoreUnreadable):
                log.event("forgetting_put_off")
                return False
            if self._journal is not None and any(
                copy.is_file() for copy in self.path.parent.glob(f"{SET_ASIDE}*")
            ):
                return False
            with (
                self.changes() as change
            ):  # not what somebody asked for meanwhile: that is not in what was done here
                change.do("DELETE FROM setting WHERE name = ? AND value = ?", (_TO_FORGET, asked[0][0]))
            return True

    def back_up(self, *, kept: int = BACKUPS_KEPT, forgetting: bool = False, is_alone: bool = False) -> None:
        """Make a backup and begin the journal anew. Others may write meanwhile. Every page is read, and what is damaged raises StoreDamaged.

        Wherever it ends, a backup with the journal that follows on it is there. kept: so many, the older ones are removed, also where the
        journal could not be begun anew after the new one was in its place; forgetting: all the others, with their journals, and damaged
        files that were set aside. is_alone: the caller holds the right to write, and can't wait
        for somebody else's backup.
        """
        folder = backups_folder(self.path)
        with self._lock, self._told(), self._alone():
            pass  # it is still the file that is open here
        with self._told(), _files_told(self.path):
            folder.mkdir(mode=0o700, exist_ok=True)
            newest = max(backup_numbers(self.path), default=0)
            with self._making(folder, is_alone=is_alone):
                end = _SPARE_END if is_alone else _PART_END
                part = folder / f"{os.getpid()}-{secrets.token_hex(4)}{end}"
                try:
                    start = self._copied(part)
                    with self._lock, self._alone():
                        if not is_alone:  # whoever makes one is alone: these are of the dead, and nobody else may ever look for them
                            _remove_spares(folder)
                        try:
                            number = self._put_in_place(part, start, forgetting=forgetting)
                        except Gap:  # what was written since is in no journal: once more, and nobody writes
                            part.unlink(missing_ok=True)
                            number = self._put_in_place(part, self._copied(part), forgetting=forgetting)
                except StoreDamaged:
                    self.note_damage()
                    raise
                except (Gap, OSError):
                    placed = max(backup_numbers(self.path), default=0)
                    if placed > newest:
                        # Or each further try would leave one more. One older at least stays, with its journal.
                        with contextlib.suppress(OSError):
                            _remove_older(self.path, placed - max(kept, 2) + 1, forgetting=False)
                    raise
                finally:
                    with contextlib.suppress(OSError):
                        part.unlink(missing_ok=True)
                    for end in ("-journal", "-wal", "-shm"):
                        with contextlib.suppress(OSError):
                            part.with_name(part.name + end).unlink(missing_ok=True)
            _remove_older(self.path, number - (1 if forgetting else kept) + 1, forgetting=forgetting)
        self._cannot_back_up = False
        log.event("backup_made", bytes=_size(backup_path(self.path, number)))

    def journal_bytes(self) -> int:
        """How long the journal has become since the last backup."""
        return 0 if self._journal is None else self._journal.size_bytes()

    def journal_is_whole(self) -> bool:
        """Whether every record since the last backup can be read and leads to what the database is now; looks at all of them."""
        if self._journal is None:
            return True
        with self._lock, self._told(), self._alone():
            start, here = self._journal.start(), self._position()
            try:
                records = [] if start is None else self._journal.after(start)
                for record in records:
                    self._journal.read(record)
            except (Gap, SealBroken, OSError):
                return False
            return start is not None and ([start, *(record.after for record in records)][-1] == here)

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

        if self._is_closed:
            raise StoreClosed
        try:
            yield
        except dbapi2.Error as error:
            if self._is_closed:  # in the middle of what does not hold the lock
                raise StoreClosed from None
            name = error_name(error)
            primary = "_".join(name.split("_")[:2])
            fault = self._FAULTS[primary]() if primary in self._FAULTS else None
            if isinstance(fault, StoreReadOnly) and self._damaged:
                fault = StoreDamaged()  # after a page that does not decrypt SQLCipher takes no more writes
            if isinstance(fault, StoreDamaged):
                self._damaged = True
                self.note_damage()
            if fault is not None:
                raise fault from None
            if primary in {"SQLITE_IOERR", "SQLITE_CANTOPEN"}:
                raise (DiskFull() if _is_full(self.path.parent) else StoreUnreadable(name)) from None
            raise  # a statement that can't be: a bug of ours
        except MemoryError:
            if not self._cannot_decrypt():
                raise
            self._damaged = True
            self.note_damage()
            raise StoreDamaged from None

    def _cannot_decrypt(self) -> bool:
        """Whether a page was met that does not decrypt. SQLCipher then refuses to encrypt any, for which SQLite knows only "out of memory"."""
        with contextlib.suppress(Exception):
            return bool(self._connection.execute("PRAGMA cipher_status").fetchall() == [("0",)])
        return False

    def note_damage(self) -> None:
        """So that the next opening looks at every page."""
        if self._is_open and self._journal is not None:
            with contextlib.suppress(OSError):
                damage_note(self.path).touch(mode=0o600)

    def _connected(self, path: Path, key: bytes) -> Any:
        return connect(path, key)

    def _check_length(self, key: bytes) -> None:
        """A file that was cut, and has a log with its first page in it, would open: its end is missed only when it is read."""
        if not _size(self.path.with_name(self.path.name + "-wal")) or not _size(self.path):
            return
        from sqlcipher3 import dbapi2

        with contextlib.closing(connect(self.path, key, read="immutable=1")) as alone:
            try:
                alone.execute("SELECT count(*) FROM sqlite_schema").fetchall()
            except dbapi2.DatabaseError:  # or it ended in the middle of writing the log back
                with contextlib.closing(self._connected(self.path, key)) as whole:
                    if whole.execute("PRAGMA quick_check").fetchall() != [("ok",)]:
                        raise StoreDamaged from None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else writes meanwhile, neither into the database nor into the journal, nor replaces the file. Raises StoreBusy, and StoreRenewed
        where that has been done.
        """
        if self._journal is None:
            yield
            return
        from filelock import FileLock, Timeout

        try:
            if self._write_lock is None:
                self._write_lock = FileLock(
                    self.path.with_name(_WRITING_LOCK), mode=0o600, thread_local=False
                )
            self._write_lock.acquire(timeout=self._patience_s, poll_interval=0.005)
        except Timeout:
            raise StoreBusy from None
        except (OSError, NotImplementedError) as error:  # the latter: a file system without locks (filelock)
            raise fault_of(error, self.path) from None
        try:
            if _identity(self.path) != self._file or next_file(self.path).exists():
                raise StoreRenewed  # what is written now would not be in the new one
            yield
        finally:
            self._write_lock.release()

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

    # Journal and backups

    def _position(self) -> Position:
        found = self._connection.execute("SELECT value FROM setting WHERE name = ?", (_POSITION,)).fetchall()
        return Position.parse(found[0][0]) if found else NOWHERE

    def _set_position(self, position: Position) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO setting (name, value) VALUES (?, ?)", (_POSITION, str(position))
        )

    def _written_down(self, before: Position, done: Sequence[Statement]) -> Position:
        """The position after a transaction that is about to be committed, and is in the journal now.

        A journal that can't be gone on with is begun anew. Where not even that can be done, the transaction is in the database alone:
        durable, as it would be without a journal, and the next opening makes a backup. Only a full disk is told: it may have room later.
        """
        if self._journal is None:
            return before
        try:
            try:
                return self._journal.append(before, done)
            except (Gap, FileNotFoundError):
                if self._cannot_back_up:
                    return before.unwritten()
                self._cannot_back_up = True  # tried once: it is as large as the store
                self.back_up(is_alone=True)
                return self._journal.append(before, done)
        except TooLarge:
            self._was_too_large = True
            return before.unwritten()
        except OSError as error:
            if error.errno in _FULL:
                raise DiskFull from None
        except (Gap, StoreBusy, DiskFull, StoreReadOnly, StoreUnreadable):
            pass
        log.event("journal_not_written")
        return before.unwritten()

    def _catch_up(self) -> None:
        """See to it that backup and journal are the same as the database."""
        if self._journal is None:
            return
        try:
            with contextlib.suppress(Gap, OSError):
                if not self._journal.after(self._position()):
                    return
            with self._alone():  # else it may only be somebody's who is just writing
                behind = self._behind()
                if behind is None:
                    self.back_up(is_alone=True)
                elif len(behind) > 1:
                    raise StoreDamaged
                elif behind:
                    self._do_again(behind[0])
        except (StoreBusy, DiskFull, StoreReadOnly, StoreUnreadable, StoreRenewed):
            log.event("journal_not_caught_up")  # what is kept can be read all the same

    def _behind(self) -> list[Record] | None:
        """What the journal has and the database has not; None where the journal does not know where the database is.

        A single record may be one that was to be committed when the process was killed. More than one: the log was lost, or the file
        is an older one.
        """
        assert self._journal is not None
        here, start = self._position(), self._journal.start()
        try:
            return self._journal.after(here)
        except OSError:
            return None
        except Gap:
            if start is not None and here.number < start.number:
                everything = journal.records([*older_journals(self.path), self._journal.path])
                if any(
                    record.after.number > here.number and self._journal.is_whole(record)
                    for record in everything
                ):
                    raise StoreDamaged from None
            return None

    def _do_again(self, record: Record) -> None:
        """What was written down and not committed. Nobody was told that it is kept; nor that it is not."""
        assert self._journal is not None
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            for sql, values in self._journal.read(record):
                self._connection.execute(sql, values).fetchall()
            self._set_position(record.after)
            self._connection.execute("COMMIT")
        except BaseException as error:
            with contextlib.suppress(Exception):
                self._connection.execute("ROLLBACK")
            if not isinstance(error, (SealBroken, OSError)):
                raise
            with contextlib.suppress(Gap, OSError):
                self._journal.cut(self._position())

    def _copied(self, part: Path) -> Position:
        """A copy of the database as it is at one moment, and its position.

        SQLite makes it, by a second connection: to open and close the file ourselves would end the locks that this process has on it.
        """
        private(part).close()
        with (
            contextlib.closing(self._connected(self.path, self._key)) as old,
            contextlib.closing(self._connected(part, self._key)) as new,
        ):
            old.execute("BEGIN")
            found = old.execute("SELECT value FROM setting WHERE name = ?", (_POSITION,)).fetchall()
            copy_pages(old, new)
        return Position.parse(found[0][0]) if found else NOWHERE

    def _put_in_place(self, part: Path, start: Position, *, forgetting: bool) -> int:
        """Make a copy the newest backup, and begin the journal there. Raises Gap and OSError; then the copy may be in its place
        already, and what is in the journals leads on from it as from the one before.
        """
        assert self._journal is not None
        here = (
            self._position()
        )  # where it was before this transaction: its own is set right before it is committed
        number = 1 + max(backup_numbers(self.path), default=0)
        if start != here and here not in [record.after for record in self._journal.after(start)]:
            raise Gap
        copy = backup_path(self.path, number)
        part.replace(copy)
        flush_folder(copy.parent)
        older = None if forgetting else copy.with_suffix(_OLDER_JOURNAL_END)
        if start == here:
            self._journal.begin_empty(start, older)
        else:
            self._journal.begin(start, older)
        return number

    @contextmanager
    def _making(self, folder: Path, *, is_alone: bool) -> Iterator[None]:
        """One backup at a time, and what those left that were killed in the middle is removed. Raises StoreBusy."""
        from filelock import FileLock, Timeout

        if is_alone:  # whoever makes one in turn may be waiting for us
            _remove_spares(folder)
            yield
            return
        lock = FileLock(folder / _MAKING_LOCK, mode=0o600)
        try:
            lock.acquire(timeout=self._patience_s, poll_interval=0.005)
        except (Timeout, NotImplementedError):  # the latter: a file system without locks (filelock)
            raise StoreBusy from None
        try:
            for left in folder.glob(f"*{_PART_END}*"):
                left.unlink(missing_ok=True)
            yield
        finally:
            lock.release()

    # Forgetting

    def _written_anew(self) -> bool:
        """Nothing is in the file but what is there: where SQLite has put the rows of a page in order, bytes of older ones stay between
        them, and secure_delete does not reach those. Nor is anything in the log. Returns whether it could be emptied.
        """
        with self._lock, self._told(), self._alone():
            if not self._log_emptied():  # somebody reads: not now
                return False
            self._connection.execute(
                "PRAGMA temp_store = FILE"
            )  # encrypted with our key; the memory may be less than the store
            try:
                self._connection.execute("VACUUM")
            finally:
                self._connection.execute("PRAGMA temp_store = MEMORY")
            return self._log_emptied()

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
        self._patience_s = 0.0
        with contextlib.suppress(StoreFault):  # what is kept can be read all the same
            self.forget_what_is_due()
        self._patience_s = BUSY_MS / 1000.0
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
                # No record leads here: what follows can't be done to a backup of an older version, so a new one is made.
                self._set_position(self._position().unwritten())
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
        with _files_told(self.path):
            try:
                private(part).close()
                with (
                    contextlib.closing(self._connected(self.path, key)) as old,
                    contextlib.closing(self._connected(part, key)) as new,
                ):
                    copy_pages(old, new)
                part.replace(copy)
                flush_folder(copy.parent)
            finally:
                with contextlib.suppress(OSError):
                    part.unlink()


class Change:
    """What may be done inside a transaction."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.done: list[Statement] = []
        """What changed anything, in order: for the journal."""

    def do(self, sql: str, values: Sequence[object] = ()) -> int:
        """Run one statement. Returns how many rows it changed.

        It is done again where the store is put together from a backup, and must do the same there: moments, random numbers and the
        like are values, never SQL's own. Values: str, bytes, int, float, None.
        """
        changed = int(self._connection.execute(sql, values).rowcount)
        if changed:
            self.done.append((sql, tuple(values)))
        return changed

    def ask(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """The rows of a query, with what this transaction changed. May also change something and return it (RETURNING): as `do`."""
        before = self._connection.total_changes
        rows = list(self._connection.execute(sql, values))
        if self._connection.total_changes != before:
            self.done.append((sql, tuple(values)))
        return rows

    def forget_later(self) -> None:
        """What this transaction deletes must also go from the log and the copies: noted with it, so that no kill -9 loses it."""
        self.do(
            "INSERT OR REPLACE INTO setting (name, value) VALUES (?, ?)", (_TO_FORGET, secrets.token_hex(8))
        )


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


def connect(path: Path, key: bytes, *, read: str | None = None) -> Any:
    """A connection to an encrypted file. read: for looking only, "mode=ro" or "immutable=1" (its log is then not looked at)."""
    from sqlcipher3 import dbapi2

    if len(key) != 32:
        raise ValueError(f"a key has 32 bytes, not {len(key)}")
    name = str(path) if read is None else f"{path.absolute().as_uri()}?{read}"
    connection = dbapi2.connect(
        name, isolation_level=None, check_same_thread=False, timeout=BUSY_MS / 1000.0, uri=read is not None
    )
    connection.execute("PRAGMA cipher_log_level = NONE")  # it would write to standard error
    connection.execute(f"PRAGMA key = \"x'{key.hex()}'\"")
    return connection


def error_name(error: Exception) -> str:
    """As SQLite names it, "SQLITE_FULL"; of what copying a database raises, only its words are there."""
    name = getattr(error, "sqlite_errorname", None) or ""
    return name or _NAMES.get(str(error), "")


_NAMES = {
    "database or disk is full": "SQLITE_FULL",
    "database disk image is malformed": "SQLITE_CORRUPT",
    "file is not a database": "SQLITE_NOTADB",
    "attempt to write a readonly database": "SQLITE_READONLY",
    "database is locked": "SQLITE_BUSY",
    "disk I/O error": "SQLITE_IOERR",
    "unable to open database file": "SQLITE_CANTOPEN",
}


@contextmanager
def damage_told() -> Iterator[None]:
    """For what only looks at a file, or writes one that does not count yet: where SQLite is not content, the file is damaged (StoreDamaged);
    but for a full disk (DiskFull).
    """
    from sqlcipher3 import dbapi2

    try:
        yield
    except dbapi2.Error as error:
        raise (DiskFull() if error_name(error) == "SQLITE_FULL" else StoreDamaged()) from None


def copy_pages(old: Any, new: Any) -> None:
    """All pages of one connection's database into another's, as they are at one moment. Raises StoreDamaged, and what the library raises.

    SQLite copies a page that does not decrypt as if it were empty, and says nothing; but SQLCipher then has its status.
    """
    old.backup(new)
    if old.execute("PRAGMA cipher_status").fetchall() == [("0",)]:
        raise StoreDamaged


def backups_folder(path: Path) -> Path:
    """Where the backups of a database lie. They are numbered, N.db; N.journal is the journal that was in use when N was made."""
    return path.with_name(_BACKUPS)


def backup_path(path: Path, number: int) -> Path:
    """The backup of this number."""
    return backups_folder(path) / f"{number:06d}{_BACKUP_END}"


def backup_numbers(path: Path) -> list[int]:
    """Of the backups that are there, the newest first."""
    return sorted(_numbered(path, _BACKUP_END), reverse=True)


def older_journals(path: Path) -> list[Path]:
    """The journals that led from one backup to the next, in order."""
    folder = backups_folder(path)
    return [
        folder / f"{number:06d}{_OLDER_JOURNAL_END}" for number in sorted(_numbered(path, _OLDER_JOURNAL_END))
    ]


def damage_note(path: Path) -> Path:
    """An empty file that is there while damage was met and not yet looked into."""
    return path.with_name(_DAMAGE_MET)


def writing_lock(path: Path) -> Path:
    """The file that is locked by whoever writes, or replaces the database."""
    return path.with_name(_WRITING_LOCK)


def next_file(path: Path) -> Path:
    """A whole database that is to be in the place of the one at `path`: while it is there, that is decided."""
    return path.with_name(path.name + _NEXT_END)


def _remove_spares(folder: Path) -> None:
    for left in folder.glob(f"*{_SPARE_END}*"):
        left.unlink(missing_ok=True)


def _numbered(path: Path, end: str) -> list[int]:
    try:
        return [int(one.stem) for one in backups_folder(path).glob(f"*{end}") if one.stem.isdecimal()]
    except OSError:
        return []


def _remove_older(path: Path, oldest: int, *, forgetting: bool) -> None:
    """What is older than a backup, with the journals that no kept one needs. forgetting: and damaged files that were set aside."""
    doomed = [backup_path(path, number) for number in backup_numbers(path) if number < oldest]
    doomed += [one for one in older_journals(path) if int(one.stem) <= oldest or forgetting]
    if forgetting:
        doomed += [one for one in path.parent.glob(f"{SET_ASIDE}*") if one.is_file()]
    for one in doomed:
        one.unlink(missing_ok=True)


def fault_of(error: Exception, path: Path) -> StoreFault:
    """The sentence for what the operating system says of a file of the store at `path`."""
    match getattr(error, "errno", None):
        case code if code in _FULL:
            return DiskFull()
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return StoreReadOnly()
        case _:
            return DiskFull() if _is_full(path.parent) else StoreUnreadable(type(error).__name__)


@contextmanager
def _files_told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise fault_of(error, path) from None


_FULL = {errno.ENOSPC, errno.EDQUOT}


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file this is; another one after it was replaced."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


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
