"""From a folder and a key store to an open store: made, opened, restored.

Beside the database lie `key-id` (a name of its key that says nothing of it) and, once a recovery key was confirmed, `recovery.json`, the
database's key encrypted with it. Nothing here is ever overwritten by a new store: what can't be opened is told and left as it is.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from client.errors import BadInput
from client.language import listing, said
from client.store.database import (
    BUSY_MS,
    FILE_NAME,
    Database,
    DiskFull,
    StoreBusy,
    StoreDamaged,
    StoreFault,
    StoreReadOnly,
    StoreUnreadable,
    WrongKey,
    check_library,
    flush,
    flush_folder,
    private,
)
from client.store.recovery import DATABASE_KEY_BYTES, RecoveryKey, key_id
from client.vault import Vault, VaultFailed

RECOVERY_NAME, KEY_ID_NAME = "recovery.json", "key-id"
VAULT_ENTRY = "database-key"
_LOCK_NAME = "opening.lock"
_CONFIRMED = "recovery_file_sha256"


class KeyLost(WrongKey):
    """There is a database, and the key store has no key for it: another computer, another account, a new key store."""

    code = "store_key_lost"


class StoreMissing(StoreFault):
    """There was a store in this folder, and its database is gone or empty."""

    code = "store_missing"

    def __init__(self) -> None:
        super().__init__(
            title=said("The store on this device is missing its database"),
            remedy=said(
                "Put back a backup of its whole folder. To start a new store instead, remove the file {name} from it.",
                name=KEY_ID_NAME,
            ),
        )


@dataclass(frozen=True, slots=True)
class Opened:
    """An open database. needs_recovery_key: nobody has confirmed to have one on paper that opens this store."""

    database: Database
    needs_recovery_key: bool


def open_store(folder: Path, vault: Vault) -> Opened:
    """Open the store in `folder`, or make one where there never was one.

    Raises VaultFault and StoreFault, each in its kinds. Whenever it is interrupted, the next call goes on from there.
    """
    check_library()
    path = folder / FILE_NAME
    key = _key(vault)  # a key store in trouble is told before a folder is made
    if _was_made(path) and key is None:
        raise KeyLost
    with _alone(folder):  # two programs that start together must not make two keys
        key = _key(vault)
        if key is None:
            if _was_made(path):
                raise KeyLost
            key = secrets.token_bytes(DATABASE_KEY_BYTES)
            vault.write(VAULT_ENTRY, key)
        if _was_made(path) and not _size(path):
            raise StoreMissing
        database = _opened(path, key)
        try:
            return Opened(database, _needs_recovery_key(folder, database))
        except BaseException:
            database.close()
            raise


def new_recovery_key(folder: Path, vault: Vault) -> RecoveryKey:
    """One to be shown. It is in force, instead of an older one, from confirm_recovery_key on."""
    key = _key(vault)
    if key is None:
        raise KeyLost
    made = RecoveryKey.new()
    with _alone(folder):
        _write(_unconfirmed(folder), made.wrap(key))
    return made


def confirm_recovery_key(folder: Path, database: Database) -> None:
    """The newest one was shown and is on paper. An older one opens only older copies of recovery.json.

    The database decides which is in force: where this ends before the file is in its place, the next opening puts it there.
    """
    with _alone(folder):
        name = _sha256(_unconfirmed(folder))
        if name is None:
            raise StoreUnreadable(_unconfirmed(folder).name)
        with database.changes() as change:
            change.do("INSERT OR REPLACE INTO setting (name, value) VALUES (?, ?)", (_CONFIRMED, name))
        _put_in_force(folder)


def restore(folder: Path, vault: Vault, recovery_key: RecoveryKey) -> Database:
    """Open a store whose key this system's key store does not have, and give the key to it. The folder may come from another computer.

    Raises WrongRecoveryKey, and BadInput where the folder holds no store.
    """
    check_library()
    path, recovery_path = folder / FILE_NAME, folder / RECOVERY_NAME
    if not _size(path) or not _size(recovery_path):
        raise BadInput(
            title=said(
                "There is no store with a recovery key in this folder ({names})",
                names=listing([FILE_NAME, RECOVERY_NAME]),
            ),
            remedy=said("Copy the whole folder from the backup or the old computer and try again."),
        )
    try:
        file = recovery_path.read_bytes()
    except OSError as error:
        raise StoreUnreadable(type(error).__name__) from None
    key = recovery_key.unwrap(file)
    with _alone(folder):
        database = _opened(path, key)
        try:
            vault.write(VAULT_ENTRY, key)  # last: until then nothing is changed
        except BaseException:
            database.close()
            raise
    return database


def needs_recovery_key(folder: Path, database: Database) -> bool:
    """Whether nobody has confirmed to have one on paper that opens this store, which is open. For a restored one: its recovery file may
    be an older one than the database knows.
    """
    with _alone(folder):
        return _needs_recovery_key(folder, database)


def _key(vault: Vault) -> bytes | None:
    key = vault.read(VAULT_ENTRY)
    if key is not None and len(key) != DATABASE_KEY_BYTES:
        raise VaultFailed(said("an entry that is not ours"))
    return key


def _was_made(path: Path) -> bool:
    """Whether this folder ever held a store: a first start has none of its files."""
    beside = (path, path.with_name(path.name + "-wal"), path.with_name(KEY_ID_NAME))
    return any(_size(one) for one in beside)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise StoreUnreadable(type(error).__name__) from None


def _opened(path: Path, key: bytes) -> Database:
    """A file that does not open is damaged, unless what lies beside it says that its key is another one."""
    name = path.with_name(KEY_ID_NAME)
    try:
        database = Database(path, key)
    except StoreDamaged:
        with contextlib.suppress(OSError):
            if name.read_bytes().strip() not in {b"", key_id(key).encode("ascii")}:
                raise WrongKey from None
        raise
    try:
        if not _size(name):
            _write(name, key_id(key).encode("ascii"))
    except BaseException:
        database.close()
        raise
    return database


def _needs_recovery_key(folder: Path, database: Database) -> bool:
    confirmed = [
        value for (value,) in database.ask("SELECT value FROM setting WHERE name = ?", (_CONFIRMED,))
    ]
    if not confirmed:
        return True
    if [_sha256(_unconfirmed(folder))] == confirmed:
        with contextlib.suppress(StoreFault):  # what is kept can be read all the same
            _put_in_force(folder)
    return [_sha256(folder / RECOVERY_NAME)] != confirmed


def _put_in_force(folder: Path) -> None:
    try:
        _unconfirmed(folder).replace(folder / RECOVERY_NAME)
        flush_folder(folder)
    except OSError as error:
        raise _fault(error) from None


def _sha256(path: Path) -> str | None:
    """Of what is in a file; None where it can't be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def _unconfirmed(folder: Path) -> Path:
    return folder / (RECOVERY_NAME + ".new")


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """No other program makes, opens or migrates the store of this folder meanwhile. Raises StoreBusy after BUSY_MS."""
    from filelock import FileLock, Timeout

    try:
        if not folder.exists():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            flush_folder(folder.parent)
        lock = FileLock(folder / _LOCK_NAME, mode=0o600)
        lock.acquire(timeout=BUSY_MS / 1000.0)
    except Timeout:
        raise StoreBusy from None
    except (OSError, NotImplementedError) as error:
        raise _fault(error) from None
    try:
        yield
    finally:
        lock.release()


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all, readable by its owner only."""
    part = path.with_name(path.name + ".part")
    try:
        with private(part) as file:
            file.write(content)
            flush(file)
        part.replace(path)
        flush_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise _fault(error) from None


def _fault(error: Exception) -> StoreFault:
    match getattr(error, "errno", None):
        case errno.ENOSPC | errno.EDQUOT:
            return DiskFull()
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return StoreReadOnly()
        case _:
            return StoreUnreadable(type(error).__name__)
