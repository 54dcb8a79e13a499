"""From a folder and a key store to an open store: made, opened, restored, set aside.

Two files lie in the folder: the database, and `recovery.json`, its key encrypted with the recovery key. Neither is ever
overwritten by a new store: what can't be opened is told, and moved aside only when the person asks.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from client.errors import BadInput
from client.store.database import (
    BUSY_MS,
    FILE_NAME,
    Database,
    DiskFull,
    StoreBusy,
    StoreDamaged,
    StoreReadOnly,
    StoreUnreadable,
    WrongKey,
)
from client.store.recovery import DATABASE_KEY_BYTES, RecoveryKey, key_id, key_id_of
from client.store.vault import Vault

RECOVERY_NAME = "recovery.json"
_LOCK_NAME = "opening.lock"
VAULT_ENTRY = "database-key"
_BESIDE = ("", "-wal", "-shm")
_CONFIRMED = "recovery_key_confirmed"


class KeyLost(WrongKey):
    """There is a database, and the key store has no key for it: another computer, another account, a new key store."""

    code = "store_key_lost"


@dataclass(frozen=True, slots=True)
class Opened:
    """An open database. recovery_key: to be shown once, where the person has not confirmed one yet."""

    database: Database
    recovery_key: RecoveryKey | None


def open_store(folder: Path, vault: Vault) -> Opened:
    """Open the store in `folder`, or make one where there is none.

    Raises VaultMissing, VaultLocked, VaultFailed, KeyLost, WrongKey and the kinds of StoreFault. Whenever it is interrupted, the next
    call goes on from there.
    """
    path, recovery_path = folder / FILE_NAME, folder / RECOVERY_NAME
    key = vault.read(VAULT_ENTRY)  # a key store in trouble is told before a folder is made
    if key is None and _holds_something(path):
        raise KeyLost
    with _alone(folder):  # two programs that start together must not make two keys
        key = vault.read(VAULT_ENTRY)
        if key is None:
            if _holds_something(path):
                raise KeyLost
            key = secrets.token_bytes(DATABASE_KEY_BYTES)
            vault.write(VAULT_ENTRY, key)
        database = _opened(path, recovery_path, key)
        try:
            return Opened(database, _unconfirmed(database, recovery_path, key))
        except BaseException:
            database.close()
            raise


def confirm_recovery_key(database: Database) -> None:
    """The person has it on paper; it is not shown again."""
    with database.changes() as change:
        change.do("INSERT OR REPLACE INTO setting (name, value) VALUES (?, ?)", (_CONFIRMED, "yes"))


def new_recovery_key(folder: Path, vault: Vault, database: Database) -> RecoveryKey:
    """Another recovery key instead of the old one, which opens nothing any more."""
    key = vault.read(VAULT_ENTRY)
    if key is None:
        raise KeyLost
    with database.changes() as change:
        change.do("DELETE FROM setting WHERE name = ?", (_CONFIRMED,))
    made = _unconfirmed(database, folder / RECOVERY_NAME, key)
    assert made is not None
    return made


def restore(folder: Path, vault: Vault, recovery_key: RecoveryKey) -> Database:
    """Open a store whose key this system's key store does not have, and give the key to it. The folder may come from another computer.

    Raises WrongRecoveryKey, and BadInput where the folder holds no store.
    """
    path, recovery_path = folder / FILE_NAME, folder / RECOVERY_NAME
    if not path.is_file() or not recovery_path.is_file():
        raise BadInput(
            title=f"There is no store in this folder ({FILE_NAME} and {RECOVERY_NAME})",
            remedy="Copy both files from the backup or the old computer into it and try again.",
        )
    try:
        file = recovery_path.read_bytes()
    except OSError as error:
        raise StoreUnreadable(type(error).__name__) from None
    key = recovery_key.unwrap(file)
    database = _opened(path, recovery_path, key)
    try:
        vault.write(VAULT_ENTRY, key)  # last: until then nothing is changed
    except BaseException:
        database.close()
        raise
    return database


def set_aside(folder: Path, vault: Vault, *, now: datetime) -> Path:
    """Move a store that can't be opened into a folder of its own, so that a new one may be made. Returns that folder.

    The key in the key store is forgotten: with its recovery key the old store can still be opened.
    """
    target = folder / f"set-aside-{now:%Y%m%dT%H%M%SZ}"
    try:
        target.mkdir(mode=0o700)
        for name in [*(FILE_NAME + suffix for suffix in _BESIDE), RECOVERY_NAME]:
            with contextlib.suppress(FileNotFoundError):
                (folder / name).rename(target / name)
    except OSError as error:
        raise StoreUnreadable(type(error).__name__) from None
    vault.forget(VAULT_ENTRY)
    return target


def _opened(path: Path, recovery_path: Path, key: bytes) -> Database:
    """A file that does not open is damaged, unless what lies beside it says that its key is another one."""
    try:
        return Database(path, key)
    except StoreDamaged:
        with contextlib.suppress(OSError, BadInput):
            if key_id_of(recovery_path.read_bytes()) != key_id(key):
                raise WrongKey from None
        raise


def _unconfirmed(database: Database, recovery_path: Path, key: bytes) -> RecoveryKey | None:
    """A new recovery key, its file written, as long as nobody has said to have one on paper; else None."""
    if recovery_path.exists() and database.ask("SELECT 1 FROM setting WHERE name = ?", (_CONFIRMED,)):
        return None
    made = RecoveryKey.new()
    _write(recovery_path, made.wrap(key))
    return made


def _holds_something(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """No other program makes, opens or migrates the store of this folder meanwhile. Raises StoreBusy after BUSY_MS."""
    from filelock import FileLock, Timeout

    _private(folder)
    lock = FileLock(folder / _LOCK_NAME, mode=0o600)
    try:
        lock.acquire(timeout=BUSY_MS / 1000.0)
    except Timeout:
        raise StoreBusy from None
    except OSError as error:
        raise (
            StoreReadOnly()
            if error.errno in {errno.EACCES, errno.EROFS}
            else StoreUnreadable(type(error).__name__)
        ) from None
    try:
        yield
    finally:
        lock.release()


def _private(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreUnreadable(type(error).__name__) from None


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all, readable by its owner only."""
    part = path.with_name(path.name + ".part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise (DiskFull() if error.errno == errno.ENOSPC else StoreUnreadable(type(error).__name__)) from None
