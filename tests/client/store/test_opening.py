"""A store is made, opened, restored and set aside; whatever the key store does, nothing is lost and nothing is in plain text."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from filelock import FileLock

from client.errors import BadInput
from client.store import opening
from client.store.database import (
    FILE_NAME,
    DiskFull,
    StoreBusy,
    StoreDamaged,
    StoreFault,
    StoreUnavailable,
    StoreUnreadable,
    WrongKey,
    migrations,
)
from client.store.observations import Observations
from client.store.opening import (
    RECOVERY_NAME,
    VAULT_ENTRY,
    KeyLost,
    StoreMissing,
    begin_anew,
    confirm_recovery_key,
    new_recovery_key,
    open_store,
    restore,
)
from client.store.recovery import RecoveryKey, WrongRecoveryKey
from client.vault import VaultFailed, VaultLocked, VaultMissing
from tests.client.store.conftest import MemoryVault, rights
from tests.client.store.victim import scan


def made(folder: Path, vault: MemoryVault) -> RecoveryKey:
    """A store with one entry, its recovery key confirmed."""
    opened = open_store(folder, vault)
    assert opened.needs_recovery_key
    with opened.database.changes() as change:
        change.do("INSERT INTO setting VALUES ('a', 'x')")
    key = new_recovery_key(folder, vault)
    confirm_recovery_key(folder, opened.database)
    opened.database.close()
    return key


def has_entry(folder: Path, vault: MemoryVault) -> bool:
    opened = open_store(folder, vault)
    found = opened.database.ask("SELECT value FROM setting WHERE name = 'a'") == [("x",)]
    opened.database.close()
    return found


def test_made_once_opened_ever_after(tmp_path: Path, vault: MemoryVault) -> None:
    folder = tmp_path / "a" / "b"
    made(folder, vault)
    assert has_entry(folder, vault)
    assert len(vault.kept[VAULT_ENTRY]) == 32


def needs_key(folder: Path, vault: MemoryVault) -> bool:
    opened = open_store(folder, vault)
    opened.database.close()
    return opened.needs_recovery_key


def test_a_recovery_key_is_in_force_only_once_confirmed_and_stays_so(
    tmp_path: Path, vault: MemoryVault
) -> None:
    first = made(tmp_path, vault)
    assert not needs_key(tmp_path, vault)
    second = new_recovery_key(tmp_path, vault)  # printed, and then the power went
    for _ in range(2):
        assert not needs_key(tmp_path, vault)
        restore(tmp_path, MemoryVault(), first).database.close()
    with pytest.raises(WrongRecoveryKey):
        restore(tmp_path, MemoryVault(), second)
    opened = open_store(tmp_path, vault)
    confirm_recovery_key(tmp_path, opened.database)
    opened.database.close()
    restore(tmp_path, MemoryVault(), second).database.close()
    with pytest.raises(WrongRecoveryKey):
        restore(tmp_path, MemoryVault(), first)


@pytest.mark.parametrize("content", [b"", b"{}", None])
def test_a_recovery_file_that_is_not_the_confirmed_one_is_noticed(
    tmp_path: Path, vault: MemoryVault, content: bytes | None
) -> None:
    made(tmp_path, vault)
    if content is None:
        (tmp_path / RECOVERY_NAME).unlink()
    else:
        (tmp_path / RECOVERY_NAME).write_bytes(content)
    assert needs_key(tmp_path, vault)
    assert has_entry(tmp_path, vault)


def content(folder: Path) -> dict[str, bytes]:
    """Of every file."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def without_copies(folder: Path) -> None:
    """No backup and no journal, as a store of an older version has none."""
    shutil.rmtree(folder / "backups")
    (folder / "health-helper.journal").unlink()


@pytest.mark.parametrize("left", ["nothing", "an empty file", "a log"])
@pytest.mark.parametrize("key", ["kept", "lost"])
def test_a_database_that_is_gone_is_never_replaced_by_an_empty_one(
    tmp_path: Path, vault: MemoryVault, left: str, key: str
) -> None:
    made(tmp_path, vault)
    without_copies(tmp_path)
    lose(tmp_path, left)
    before = content(tmp_path)
    with pytest.raises(StoreMissing if key == "kept" else KeyLost):
        open_store(tmp_path, vault if key == "kept" else MemoryVault())
    assert content(tmp_path) == before


def lose(folder: Path, left: str) -> None:
    (folder / FILE_NAME).unlink()
    if left == "an empty file":
        (folder / FILE_NAME).touch()
    elif left == "a log":
        (folder / f"{FILE_NAME}-wal").write_bytes(b"what was saved last")


@pytest.mark.parametrize("left", ["nothing", "an empty file", "a log"])
def test_a_database_that_is_gone_comes_back_from_its_backup(
    tmp_path: Path, vault: MemoryVault, left: str
) -> None:
    made(tmp_path, vault)
    lose(tmp_path, left)
    before = content(tmp_path)
    with pytest.raises(KeyLost):
        open_store(tmp_path, MemoryVault())
    assert content(tmp_path) == before
    opened = open_store(tmp_path, vault)
    opened.database.close()
    assert opened.healed is not None and opened.healed.whole and opened.healed.records == 2
    assert not opened.needs_recovery_key
    assert has_entry(tmp_path, vault)
    if left == "a log":
        assert (tmp_path / "damaged-1-wal").read_bytes() == b"what was saved last"


def test_a_database_older_than_every_backup_is_not_taken_for_the_newest(
    tmp_path: Path, vault: MemoryVault
) -> None:
    """Somebody puts back a copy of this one file: what was kept since is in the backups, and must not be pushed out of them."""
    made(tmp_path, vault)
    path = tmp_path / FILE_NAME
    older = path.read_bytes()
    with closing(open_store(tmp_path, vault).database) as database:
        for number in range(4):
            Observations(database).save(scan(f"scan-{number}"))
            database.back_up(kept=2)
        Observations(database).save(scan("scan-4"))
    path.write_bytes(older)
    opened = open_store(tmp_path, vault)
    with closing(opened.database) as database:
        assert opened.healed is not None and opened.healed.whole
        assert Observations(database).count(None) == 5
    assert (tmp_path / opened.healed.kept_as).read_bytes() == older


def test_an_entry_of_another_length_is_none_of_ours(tmp_path: Path, vault: MemoryVault) -> None:
    vault.kept[VAULT_ENTRY] = b"short"
    with pytest.raises(VaultFailed):
        open_store(tmp_path, vault)
    assert list(tmp_path.iterdir()) == []


def test_without_the_library_nothing_is_made(
    tmp_path: Path, vault: MemoryVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sqlcipher3", None)
    with pytest.raises(StoreUnavailable):
        open_store(tmp_path, vault)
    assert not vault.kept and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fault", [VaultMissing(), VaultLocked(), VaultFailed("Oops")])
def test_without_a_key_store_nothing_is_made(tmp_path: Path, vault: MemoryVault, fault: Exception) -> None:
    vault.fault = fault
    folder = tmp_path / "store"
    with pytest.raises(type(fault)):
        open_store(folder, vault)
    assert not list(tmp_path.rglob("*.db"))


class ForgetfulVault(MemoryVault):
    """Finds out that what it was told is not there."""

    def write(self, name: str, secret: bytes) -> None:
        raise VaultFailed("it does not give back what it was told")


def test_a_key_store_that_takes_nothing_leaves_no_database(tmp_path: Path) -> None:
    with pytest.raises(VaultFailed):
        open_store(tmp_path, ForgetfulVault())
    assert not (tmp_path / FILE_NAME).exists()


def test_a_lost_key_is_told_and_the_recovery_key_opens(tmp_path: Path, vault: MemoryVault) -> None:
    recovery_key = made(tmp_path, vault)
    before = (tmp_path / FILE_NAME).read_bytes()
    empty = MemoryVault()
    with pytest.raises(KeyLost):
        open_store(tmp_path, empty)
    assert (tmp_path / FILE_NAME).read_bytes() == before and not empty.kept
    with pytest.raises(WrongRecoveryKey):
        restore(tmp_path, empty, RecoveryKey.new())
    assert not empty.kept
    restore(tmp_path, empty, RecoveryKey.from_text(recovery_key.to_text())).database.close()
    assert has_entry(tmp_path, empty)


def test_moving_to_a_new_computer(tmp_path: Path, vault: MemoryVault) -> None:
    old, new, there = tmp_path / "old", tmp_path / "new", MemoryVault()
    recovery_key = made(old, vault)
    with pytest.raises(BadInput, match="no store"):
        restore(new, there, recovery_key)
    shutil.copytree(old, new)
    restore(new, there, recovery_key).database.close()
    assert has_entry(new, there) and has_entry(old, vault)


def test_moving_a_damaged_store_says_what_became_of_it(tmp_path: Path, vault: MemoryVault) -> None:
    recovery_key = made(tmp_path, vault)
    path = tmp_path / FILE_NAME
    path.write_bytes(bytes(path.stat().st_size))
    opened = restore(tmp_path, MemoryVault(), recovery_key)
    opened.database.close()
    assert opened.healed is not None and opened.healed.whole and opened.healed.kept_as == "damaged-1"
    assert not opened.needs_recovery_key


def test_a_key_of_another_store_is_no_damage(tmp_path: Path, vault: MemoryVault) -> None:
    made(tmp_path / "one", vault)
    other = MemoryVault()
    made(tmp_path / "two", other)
    with pytest.raises(WrongKey) as caught:
        open_store(tmp_path / "one", other)
    assert "recovery key" in caught.value.remedy
    assert has_entry(tmp_path / "one", vault)


def test_a_damaged_store_without_a_backup_is_damage(tmp_path: Path, vault: MemoryVault) -> None:
    made(tmp_path, vault)
    without_copies(tmp_path)
    (tmp_path / FILE_NAME).write_bytes(b"nonsense" * 1000)
    before = content(tmp_path)
    with pytest.raises(StoreDamaged):
        open_store(tmp_path, vault)
    assert content(tmp_path) == before


def test_a_key_without_a_database_is_a_start_that_was_interrupted(tmp_path: Path, vault: MemoryVault) -> None:
    vault.kept[VAULT_ENTRY] = bytes(range(32))
    assert not has_entry(tmp_path, vault)
    assert vault.kept[VAULT_ENTRY] == bytes(range(32))


def test_only_the_owner_may_read_the_recovery_file(tmp_path: Path, vault: MemoryVault) -> None:
    made(tmp_path, vault)
    assert (tmp_path / RECOVERY_NAME).stat().st_mode & 0o077 == 0


@pytest.mark.skipif(os.name != "posix", reason="rights as POSIX has them")
def test_a_folder_that_may_not_be_looked_into(open_folder: Path, vault: MemoryVault) -> None:
    folder = open_folder / "store"
    made(folder, vault)
    for known in (vault, MemoryVault()):
        with rights(0o000, folder), pytest.raises(StoreUnreadable):
            open_store(folder, known)
    with rights(0o000, folder), pytest.raises(StoreUnreadable):
        restore(folder, vault, RecoveryKey.new())
    assert has_entry(folder, vault)


def test_a_folder_that_is_a_file(tmp_path: Path, vault: MemoryVault) -> None:
    (tmp_path / "store").touch()
    with pytest.raises(StoreUnreadable):
        open_store(tmp_path / "store", vault)


def test_a_recovery_key_that_the_database_does_not_take_leaves_the_older_one(
    tmp_path: Path, vault: MemoryVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = made(tmp_path, vault)
    opened = open_store(tmp_path, vault)
    new_recovery_key(tmp_path, vault)
    with monkeypatch.context() as full:
        full.setattr(opened.database, "changes", _full)
        with pytest.raises(DiskFull):
            confirm_recovery_key(tmp_path, opened.database)
    opened.database.close()
    assert not needs_key(tmp_path, vault)
    restore(tmp_path, MemoryVault(), first).database.close()


def test_a_recovery_key_whose_file_did_not_get_into_its_place_gets_there(
    tmp_path: Path, vault: MemoryVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path, vault)
    opened = open_store(tmp_path, vault)
    second = new_recovery_key(tmp_path, vault)
    with monkeypatch.context() as held:
        held.setattr(Path, "replace", _full)
        with pytest.raises(StoreFault):
            confirm_recovery_key(tmp_path, opened.database)
    opened.database.close()
    assert not needs_key(tmp_path, vault)
    restore(tmp_path, MemoryVault(), second).database.close()


def test_nothing_to_confirm(tmp_path: Path, vault: MemoryVault) -> None:
    opened = open_store(tmp_path, vault)
    with pytest.raises(StoreUnreadable):
        confirm_recovery_key(tmp_path, opened.database)
    opened.database.close()
    assert needs_key(tmp_path, vault)


@pytest.mark.skipif(os.name != "posix", reason="folders are flushed on POSIX")
def test_what_is_written_beside_the_database_is_on_the_disk_before_anything_depends_on_it(
    tmp_path: Path, vault: MemoryVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    flush, replace = os.fsync, Path.replace

    def fsync(handle: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        flush(handle)

    def renamed(self: Path, target: Path) -> Path:
        moved = replace(self, target)
        done.append("rename")
        return moved

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", renamed)
    opened = open_store(tmp_path / "store", vault)
    backup = ["rename", "folder"]  # SQLite flushes the file itself
    begun = ["file", "rename", "folder"]
    assert done == ["folder", *backup, *begun, *begun]  # its own; backup, journal; the name of the key
    done.clear()
    new_recovery_key(tmp_path / "store", vault)
    assert done == ["file", "rename", "folder"]
    done.clear()
    confirm_recovery_key(tmp_path / "store", opened.database)
    assert done == ["file", "rename", "folder"]  # it is in the journal that it is confirmed
    opened.database.close()
    done.clear()
    steps = [*migrations(), "CREATE TABLE more (x TEXT) STRICT;\n"]
    monkeypatch.setattr("client.store.database.migrations", lambda: steps)
    open_store(tmp_path / "store", vault).database.close()
    older = ["rename", "folder"]
    assert done == [*backup, *backup, "file", *older, "rename", "folder"]  # the copy before; backup, journal


def _full(*_: object) -> None:
    raise DiskFull


class SlowVault(MemoryVault):
    """Takes a while to look, so that two who start together both look before either writes."""

    def read(self, name: str) -> bytes | None:
        found = super().read(name)
        time.sleep(0.1)
        return found


def test_two_that_start_together_make_one_key_and_one_store(tmp_path: Path) -> None:
    vault, kept = SlowVault(), []

    def start(number: int) -> None:
        opened = open_store(tmp_path, vault)
        with opened.database.changes() as change:
            change.do("INSERT INTO setting VALUES (?, 'x')", (f"by {number}",))
        kept.append(vault.kept[VAULT_ENTRY])
        opened.database.close()

    threads = [threading.Thread(target=start, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(kept) == 4 and len(set(kept)) == 1
    opened = open_store(tmp_path, vault)
    assert opened.database.ask("SELECT count(*) FROM setting WHERE name LIKE 'by %'") == [(4,)]
    opened.database.close()


def test_a_start_that_hangs_elsewhere_is_not_waited_for_for_ever(
    tmp_path: Path, vault: MemoryVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "BUSY_MS", 50)
    with FileLock(tmp_path / "opening.lock"), pytest.raises(StoreBusy):
        open_store(tmp_path, vault)
    assert not vault.kept


# Begun anew

TODAY = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)
ASIDE = "set-aside-2026-03-01"


def filled(folder: Path, vault: MemoryVault) -> tuple[RecoveryKey, dict[str, bytes]]:
    """A store with a scan, a document's file and backups; its recovery key, and what lies in its folder but locks."""
    key = made(folder, vault)
    with closing(open_store(folder, vault).database) as database:
        Observations(database).save(scan("scan-1"))
        database.back_up()
    (folder / "documents").mkdir()
    (folder / "documents" / "1.sealed").write_bytes(b"sealed")
    return key, {name: what for name, what in content(folder).items() if not name.endswith(".lock")}


def set_aside(folder: Path, name: str = ASIDE) -> dict[str, bytes]:
    return {name_: what for name_, what in content(folder / name).items() if not name_.endswith(".lock")}


@pytest.mark.parametrize("key", ["lost", "another"])
def test_a_store_that_no_key_opens_is_set_aside_whole_and_a_new_one_begun(
    tmp_path: Path, vault: MemoryVault, key: str
) -> None:
    folder = tmp_path / "store"
    recovery_key, before = filled(folder, vault)
    other = MemoryVault()
    if key == "another":
        made(tmp_path / "other", other)
    had = dict(other.kept)
    opened = begin_anew(folder, other, TODAY)
    with closing(opened.database) as database:
        assert opened.set_aside == ASIDE and opened.needs_recovery_key and opened.healed is None
        assert Observations(database).count(None) == 0
        Observations(database).save(scan("scan-2"))
    assert had.items() <= other.kept.items(), "a key that is there may open something else"
    assert set_aside(folder) == before
    # It stays a store of its own, for whoever finds the key.
    again = restore(folder / ASIDE, MemoryVault(), recovery_key)
    with closing(again.database) as database:
        assert Observations(database).count(None) == 1
    opened = open_store(folder, other)
    with closing(opened.database) as database:
        assert opened.set_aside == "" and Observations(database).count(None) == 1


def test_a_store_that_opens_is_never_set_aside(tmp_path: Path, vault: MemoryVault) -> None:
    filled(tmp_path, vault)
    opened = begin_anew(tmp_path, vault, TODAY)
    with closing(opened.database) as database:
        assert opened.set_aside == "" and Observations(database).count(None) == 1
    assert not list(tmp_path.glob("set-aside-*"))


def test_nor_where_the_key_store_is_only_locked(tmp_path: Path, vault: MemoryVault) -> None:
    filled(tmp_path, vault)
    before, vault.fault = content(tmp_path), VaultLocked()
    with pytest.raises(VaultLocked):
        begin_anew(tmp_path, vault, TODAY)
    vault.fault = None
    assert content(tmp_path) == before and has_entry(tmp_path, vault)


def test_what_can_not_be_mended_is_set_aside_too(tmp_path: Path, vault: MemoryVault) -> None:
    made(tmp_path, vault)
    without_copies(tmp_path)
    (tmp_path / FILE_NAME).write_bytes(b"nonsense" * 1000)
    begin_anew(tmp_path, vault, TODAY).database.close()
    assert (tmp_path / ASIDE / FILE_NAME).read_bytes() == b"nonsense" * 1000
    assert not has_entry(tmp_path, vault)


def test_a_second_one_of_the_same_day_has_a_name_of_its_own(tmp_path: Path, vault: MemoryVault) -> None:
    _, first = filled(tmp_path, vault)
    begin_anew(tmp_path, MemoryVault(), TODAY).database.close()
    begin_anew(tmp_path, MemoryVault(), TODAY).database.close()
    begin_anew(tmp_path, MemoryVault(), TODAY + timedelta(days=1)).database.close()
    assert {one.name for one in tmp_path.glob("set-aside-*")} == {ASIDE, f"{ASIDE}-2", "set-aside-2026-03-02"}
    assert set_aside(tmp_path) == first
    assert all((one / FILE_NAME).stat().st_size for one in tmp_path.glob("set-aside-*"))


def _interrupted_after(moves: int) -> Callable[[Path, Path], Path]:
    """Path.replace, that is killed once so many things were set aside."""
    done, replace = 0, Path.replace

    def interrupted(self: Path, target: Path) -> Path:
        nonlocal done
        if target.parent.name == ASIDE:
            if done == moves:
                raise KeyboardInterrupt
            done += 1
        return replace(self, target)

    return interrupted


def test_interrupted_anywhere_it_is_finished_by_the_next_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left half here and half there, and nothing that was set aside comes back by itself."""
    moves = 0
    while True:
        folder, vault, empty = tmp_path / str(moves), MemoryVault(), MemoryVault()
        recovery_key, before = filled(folder, vault)
        with monkeypatch.context() as killed:
            killed.setattr(Path, "replace", _interrupted_after(moves))
            try:
                begin_anew(folder, empty, TODAY).database.close()
            except KeyboardInterrupt:
                pass
            else:
                break
        if moves % 2:
            with pytest.raises(BadInput, match="no store"):
                restore(folder, MemoryVault(), recovery_key)
        opened = open_store(folder, empty)
        opened.database.close()
        assert (opened.set_aside == ASIDE) is not bool(moves % 2)
        assert set_aside(folder) == before
        restore(folder / ASIDE, MemoryVault(), recovery_key).database.close()
        moves += 1
    assert moves >= 6  # database, backups, journal, documents, two small files


def test_a_note_that_leads_elsewhere_is_not_followed(tmp_path: Path, vault: MemoryVault) -> None:
    made(tmp_path / "store", vault)
    (tmp_path / "store" / "beginning-anew").write_text("../elsewhere")
    with pytest.raises(StoreUnreadable):
        open_store(tmp_path / "store", vault)
    assert not (tmp_path / "elsewhere").exists() and (tmp_path / "store" / FILE_NAME).exists()
