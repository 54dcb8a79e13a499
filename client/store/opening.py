"""From a folder and a key store to an open store: made, opened, mended, restored, locked with a new key, begun anew.

Beside the database lie `key-id` (a name of its key that says nothing of it) and, once a recovery key was confirmed, `recovery.json`, the
database's key encrypted with it. Nothing here is ever overwritten by a new store: what is damaged is put together again beside it
(client.store.backups) and kept, what can't be opened is told and left as it is, until somebody wants a new store instead: then it is set
aside under the day's name.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from client.errors import BadInput
from client.language import listing, said
from client.store import backups
from client.store.backups import Healed
from client.store.database import (
    BUSY_MS,
    FILE_NAME,
    Database,
    StoreBusy,
    StoreDamaged,
    StoreFault,
    StoreUnreadable,
    WrongKey,
    backup_numbers,
    check_library,
    damage_note,
    fault_of,
    flush,
    flush_folder,
    next_file,
    private,
    writing_lock,
)
from client.store.recovery import DATABASE_KEY_BYTES, RecoveryKey, key_id
from client.vault import Vault, VaultFailed, VaultFault

RECOVERY_NAME, KEY_ID_NAME = "recovery.json", "key-id"
VAULT_ENTRY, NEXT_VAULT_ENTRY = "database-key", "database-key-next"
_LOCK_NAME, _ROTATING_NAME, _ANEW_NAME = "opening.lock", "new-key", "beginning-anew"
_ASIDE = "set-aside-"
_ASIDE_NAME = re.compile(rf"{_ASIDE}[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}(-[0-9]+)?")
_SMALLEST_BYTES = 4096
"""A page of a database."""
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
    """An open database. needs_recovery_key: nobody has confirmed to have one on paper that opens this store. healed: it was damaged, and
    was put together again by this opening. set_aside: the name of the folder beside it into which this opening has put an older store; ""
    where there was none.
    """

    database: Database
    needs_recovery_key: bool
    healed: Healed | None = None
    set_aside: str = ""


@dataclass(frozen=True, slots=True)
class Repaired:
    """What `repair` found and did, a sentence each. whole: nothing is damaged any more, and nothing is known to be lost."""

    lines: tuple[str, ...]
    whole: bool


def open_store(folder: Path, vault: Vault) -> Opened:
    """Open the store in `folder`, or make one where there never was one.

    What is damaged is put together again first. Raises VaultFault and StoreFault, each in its kinds. Whenever it is interrupted, the next
    call goes on from there.
    """
    check_library()
    path = folder / FILE_NAME
    key = _key(vault)  # a key store in trouble is told before a folder is made
    if _was_made(path) and key is None and not _is_there(folder / _ANEW_NAME):
        raise KeyLost
    with _alone(folder):  # two programs that start together must not make two keys
        return _open(folder, vault)


def _open(folder: Path, vault: Vault) -> Opened:
    path = folder / FILE_NAME
    aside = _go_on_setting_aside(folder)
    _go_on_rotating(folder, vault)
    key = _key(vault)
    if key is None:
        if _was_made(path):
            raise KeyLost
        key = secrets.token_bytes(DATABASE_KEY_BYTES)
        vault.write(VAULT_ENTRY, key)
    database, healed = _opened(path, key)
    try:
        return Opened(database, _needs_recovery_key(folder, database), healed, aside)
    except BaseException:
        database.close()
        raise


def begin_anew(folder: Path, vault: Vault, now: datetime) -> Opened:
    """A new store in the place of one that nothing opens any more: its key is in no key store and on no paper, or what is there can't be
    mended. Where it opens after all, that one, and nothing else is done.

    Of the older one nothing is deleted: with its backups and documents it is set aside in a folder beside the new one, named by the day
    ("set-aside-2026-03-01"), which is a store of its own to whoever finds its recovery key. now: UTC. A key that the key store has stays in
    it and is the new store's. Wherever it is interrupted the next opening goes on from there. Raises VaultFault and StoreFault.
    """
    check_library()
    _key(vault)
    with _alone(folder):
        try:
            return _open(folder, vault)
        except (WrongKey, StoreDamaged, StoreMissing):
            _write(folder / _ANEW_NAME, _free_aside(folder, now).encode("ascii"))
        return _open(folder, vault)


def tell_set_aside(name: str) -> str:
    """That a store was begun anew, for the person. name: of the folder with the older one."""
    return said(
        "A new store has been begun. The older one, which could not be opened, is kept as it was in the folder {name}.",
        name=name,
    )


def _free_aside(folder: Path, now: datetime) -> str:
    day, number = f"{_ASIDE}{now:%Y-%m-%d}", 1
    name = day
    while _is_there(folder / name):
        number += 1
        name = f"{day}-{number}"
    return name


def _go_on_setting_aside(folder: Path) -> str:
    """Do, or finish, what `begin_anew` has noted: all but locks, and what was set aside before, goes into the folder of that name. Returns
    its name; "" where nothing was noted.
    """
    note = folder / _ANEW_NAME
    if not _is_there(note):
        return ""
    try:
        name = note.read_bytes().decode("ascii", "replace").strip()
        if not _ASIDE_NAME.fullmatch(name):
            raise StoreUnreadable(note.name)
        aside = folder / name
        with _nobody_writes(folder / FILE_NAME):
            aside.mkdir(mode=0o700, exist_ok=True)
            for one in sorted(folder.iterdir()):
                is_ours = one == note or one.name.startswith(_ASIDE) or one.suffix == ".lock"
                if not is_ours:
                    one.replace(aside / one.name)
            flush_folder(aside)
            flush_folder(folder)
            note.unlink()
            flush_folder(folder)
    except OSError as error:
        raise fault_of(error, note) from None
    return name


def rotate_key(folder: Path, vault: Vault) -> None:
    """Lock the store with a new random key, with its backups and its journal. The recovery key on paper opens it no longer: needs_recovery_key
    is true from here on. Nobody needs to have closed it, but what others have open can't be written to any more (StoreRenewed).

    Wherever it is interrupted the next opening goes on from there: with the new key once the new file is whole, else with the older one.
    Raises VaultFault and StoreFault; then the older key holds.
    """
    check_library()
    path = folder / FILE_NAME
    with _alone(folder):
        if _key(vault) is None or not _was_made(path):
            raise KeyLost
        _open(folder, vault).database.close()
        key = _key(vault)
        assert key is not None
        _write(folder / _ROTATING_NAME, b"1")  # before there is a second key, so that it is looked for
        new_key = secrets.token_bytes(DATABASE_KEY_BYTES)
        try:
            vault.write(NEXT_VAULT_ENTRY, new_key)
            with _nobody_writes(path):
                backups.lock_anew(path, key, new_key, (_CONFIRMED,))
                backups.put_next_in_place(path, keep=False)
        except Exception:
            with contextlib.suppress(VaultFault, StoreFault):
                _go_on_rotating(folder, vault)
            raise
        _go_on_rotating(folder, vault)


def _go_on_rotating(folder: Path, vault: Vault) -> None:
    """Finish what `rotate_key` began, or take it back where the new file is not there yet."""
    path, note = folder / FILE_NAME, folder / _ROTATING_NAME
    if not _is_there(note):
        return
    new_key = vault.read(NEXT_VAULT_ENTRY)
    try:
        if new_key is not None:
            with _nobody_writes(path):
                if _is_there(next_file(path)):
                    backups.put_next_in_place(path, keep=False)
            if backups.is_locked_with(path, new_key):
                _put_key_in_force(folder, vault, new_key)
            vault.forget(NEXT_VAULT_ENTRY)
        note.unlink(missing_ok=True)
        flush_folder(folder)
    except OSError as error:
        raise fault_of(error, path) from None


def _put_key_in_force(folder: Path, vault: Vault, key: bytes) -> None:
    path = folder / FILE_NAME
    vault.write(VAULT_ENTRY, key)
    _write(folder / KEY_ID_NAME, key_id(key).encode("ascii"))
    for old in (folder / RECOVERY_NAME, _unconfirmed(folder)):
        old.unlink(missing_ok=True)
    with contextlib.closing(Database(path, key)) as database:
        with database.changes() as change:
            change.forget_later()  # what is locked with the older key: backups, journals, copies
        database.forget_what_is_due()


def repair(
    folder: Path, vault: Vault, damaged_documents: Callable[[Database], Sequence[str]] = lambda _: ()
) -> Repaired:
    """Look at every byte of the store in `folder` and mend what can be mended. damaged_documents: the titles or names of those files that
    can't be read.

    Raises VaultFault, and StoreFault where it can't be opened nor mended.
    """
    if not _was_made(folder / FILE_NAME):
        return Repaired((said("Nothing is kept on this device yet."),), whole=True)
    lines, opened = [], open_store(folder, vault)
    healed = opened.healed
    if healed is None and opened.database.damage():
        opened.database.note_damage()
        opened.database.close()
        opened = open_store(folder, vault)
        healed = opened.healed
    database = opened.database
    with contextlib.closing(database):
        lines.append(said("Database: every page is whole.") if healed is None else tell(healed))
        key = _key(vault)
        broken = backups.damaged(database.path, key) if key is not None else []
        journal_is_whole = database.journal_is_whole()
        if broken or not journal_is_whole:
            if broken:
                lines.append(
                    said("Backups: {number} were damaged and have been removed.", number=len(broken))
                )
            if not journal_is_whole:
                lines.append(said("Journal: it was damaged; it has been begun anew."))
            database.back_up()
            lines.append(said("A new backup has been made."))
            for one in broken:
                with contextlib.suppress(OSError):
                    one.unlink(missing_ok=True)
        else:
            lines.append(said("Backups and journal: whole."))
        documents = list(damaged_documents(database))
        if documents:
            lines.append(
                said(
                    "Documents: {number} can't be read any more: {names}. Add them again.",
                    number=len(documents),
                    names=listing(documents),
                )
            )
    return Repaired(tuple(lines), whole=not documents and (healed is None or healed.whole))


def tell(healed: Healed) -> str:
    """What was done to a damaged store, for the person."""
    if healed.whole:
        return said(
            "The store was damaged and has been put together again from its backup; nothing is lost. The damaged file is kept as {name}.",
            name=healed.kept_as or "-",
        )
    return said(
        "The store was damaged, and so was its backup. What could be read has been put together again; look through what is missing."
        " The damaged file is kept as {name}.",
        name=healed.kept_as or "-",
    )


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


def restore(folder: Path, vault: Vault, recovery_key: RecoveryKey) -> Opened:
    """Open a store whose key this system's key store does not have, and give the key to it. The folder may come from another computer.

    Raises WrongRecoveryKey, and BadInput where the folder holds no store.
    """
    check_library()
    path, recovery_path = folder / FILE_NAME, folder / RECOVERY_NAME
    if _is_there(folder / _ANEW_NAME):  # half of it is set aside already
        with _alone(folder):
            _go_on_setting_aside(folder)
    if not _was_made(path) or not _size(recovery_path):
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
        database, healed = _opened(path, key)
        try:
            opened = Opened(database, _needs_recovery_key(folder, database), healed)
            vault.write(VAULT_ENTRY, key)  # last: until then nothing is changed
        except BaseException:
            database.close()
            raise
    return opened


def _key(vault: Vault) -> bytes | None:
    key = vault.read(VAULT_ENTRY)
    if key is not None and len(key) != DATABASE_KEY_BYTES:
        raise VaultFailed(said("an entry that is not ours"))
    return key


def _was_made(path: Path) -> bool:
    """Whether this folder ever held a store: a first start has none of its files."""
    beside = (path, path.with_name(path.name + "-wal"), path.with_name(KEY_ID_NAME))
    return any(_size(one) for one in beside) or bool(backup_numbers(path))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise StoreUnreadable(type(error).__name__) from None


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StoreUnreadable(type(error).__name__) from None
    return True


def _opened(path: Path, key: bytes) -> tuple[Database, Healed | None]:
    """The database, mended where it has to be. A file that does not open is damaged, unless what lies beside it says that its key is
    another one.
    """
    name, healed = path.with_name(KEY_ID_NAME), None
    backups.clean_up(path)
    if _is_there(next_file(path)):  # it was being mended
        with _nobody_writes(path):
            backups.put_next_in_place(path, keep=True)
    if _was_made(path) and _size(path) < _SMALLEST_BYTES:  # SQLite would begin an empty one in it
        if not backup_numbers(path):
            raise StoreDamaged if _size(path) else StoreMissing
        healed = _healed(path, key)
    try:
        database = _looked_through(path, key)
    except StoreDamaged:
        healed = _healed(path, key)
        database = Database(path, key)
    try:
        if not _size(name):
            _write(name, key_id(key).encode("ascii"))
    except BaseException:
        database.close()
        raise
    return database, healed


def _looked_through(path: Path, key: bytes) -> Database:
    """Open it, and look at every page where damage was met the last time. Raises StoreDamaged."""
    database = Database(path, key)
    try:
        if _is_there(damage_note(path)):
            if database.damage():
                raise StoreDamaged  # noqa: TRY301
            damage_note(path).unlink(missing_ok=True)
    except BaseException as error:
        database.close()
        if isinstance(error, OSError):
            raise fault_of(error, path) from None
        raise
    return database


def _healed(path: Path, key: bytes) -> Healed:
    with contextlib.suppress(OSError):
        if path.with_name(KEY_ID_NAME).read_bytes().strip() not in {b"", key_id(key).encode("ascii")}:
            raise WrongKey from None
    with _nobody_writes(path):
        return backups.rebuild(path, key)


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
        raise fault_of(error, folder / RECOVERY_NAME) from None


def _sha256(path: Path) -> str | None:
    """Of what is in a file; None where it can't be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def _unconfirmed(folder: Path) -> Path:
    return folder / (RECOVERY_NAME + ".new")


def _alone(folder: Path) -> contextlib.AbstractContextManager[None]:
    """No other program makes, opens or migrates the store of this folder meanwhile. Raises StoreBusy after BUSY_MS."""
    return _locked(folder / _LOCK_NAME)


def _nobody_writes(path: Path) -> contextlib.AbstractContextManager[None]:
    """Neither into the database at `path` nor into its journal. Raises StoreBusy after BUSY_MS."""
    return _locked(writing_lock(path))


@contextlib.contextmanager
def _locked(name: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    try:
        if not name.parent.exists():
            name.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            flush_folder(name.parent.parent)
        lock = FileLock(name, mode=0o600)
        lock.acquire(timeout=BUSY_MS / 1000.0)
    except Timeout:
        raise StoreBusy from None
    except (OSError, NotImplementedError) as error:  # the latter: a file system without locks (filelock)
        raise fault_of(error, name) from None
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
        raise fault_of(error, path) from None
