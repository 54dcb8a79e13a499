"""Locking the store with a new key: everything with it, nothing with the older one, and no way to be left with neither."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest

from client.store import backups, opening
from client.store.database import FILE_NAME, Database, DiskFull, StoreDamaged, StoreRenewed, copy_before
from client.store.observations import Observations
from client.store.opening import (
    NEXT_VAULT_ENTRY,
    RECOVERY_NAME,
    VAULT_ENTRY,
    KeyLost,
    confirm_recovery_key,
    new_recovery_key,
    open_store,
    restore,
    rotate_key,
)
from client.vault import VaultFailed, VaultLocked
from tests.client.store.conftest import MemoryVault
from tests.client.store.test_opening import made
from tests.client.store.victim import NOW, scan


@pytest.fixture
def filled(tmp_path: Path, vault: MemoryVault) -> Path:
    """A store with a recovery key, scans, backups, a copy made before a migration and a damaged file that was set aside."""
    folder = tmp_path / "store"
    made(folder, vault)
    with closing(open_store(folder, vault).database) as database:
        for number in range(5):
            Observations(database).save(scan(f"scan-{number}"))
        database.back_up()
        copy_before(database.path, 2).write_bytes(b"of an older version")
        (folder / "damaged-1").write_bytes(b"of an older damage")
        Observations(database).save(scan("scan-5"))
    return folder


def scans(folder: Path, vault: MemoryVault) -> int:
    with closing(open_store(folder, vault).database) as database:
        assert database.damage() == () and database.journal_is_whole()
        return Observations(database).count(None)


def test_everything_is_locked_with_the_new_key(filled: Path, vault: MemoryVault, tmp_path: Path) -> None:
    old = MemoryVault()
    old.kept = dict(vault.kept)
    rotate_key(filled, vault)
    assert vault.kept.keys() == {VAULT_ENTRY} and vault.kept != old.kept
    assert scans(filled, vault) == 6
    left = {one.relative_to(filled).as_posix() for one in filled.rglob("*") if one.suffix != ".lock"}
    assert left == {FILE_NAME, "backups", "backups/000004.db", "health-helper.journal", "key-id"}
    for one in (FILE_NAME, "backups/000004.db"):
        copy = Path(shutil.copy(filled / one, tmp_path / "copy"))
        with pytest.raises(StoreDamaged):
            Database(copy, old.kept[VAULT_ENTRY], is_copy=True)
        with closing(Database(copy, vault.kept[VAULT_ENTRY], is_copy=True)) as opened:
            assert Observations(opened).count(None) == 6
    (filled / FILE_NAME).unlink()
    assert scans(filled, vault) == 6


def test_the_older_recovery_key_opens_nothing_and_a_new_one_is_asked_for(
    tmp_path: Path, vault: MemoryVault
) -> None:
    key = made(tmp_path, vault)
    rotate_key(tmp_path, vault)
    assert not (tmp_path / RECOVERY_NAME).exists()
    with pytest.raises(Exception, match="no store with a recovery key"):
        restore(tmp_path, MemoryVault(), key)
    opened = open_store(tmp_path, vault)
    assert opened.needs_recovery_key
    newer = new_recovery_key(tmp_path, vault)
    confirm_recovery_key(tmp_path, opened.database)
    opened.database.close()
    restore(tmp_path, MemoryVault(), newer).database.close()
    assert not needs_key(tmp_path, vault)


def needs_key(folder: Path, vault: MemoryVault) -> bool:
    opened = open_store(folder, vault)
    opened.database.close()
    return opened.needs_recovery_key


def test_what_has_it_open_reads_on_and_writes_nothing_into_the_older_file(
    filled: Path, vault: MemoryVault
) -> None:
    with closing(open_store(filled, vault).database) as other:
        Observations(other).save(scan("scan-6"))
        rotate_key(filled, vault)
        assert Observations(other).count(None) == 7
        with pytest.raises(StoreRenewed):
            Observations(other).save(scan("scan-7"))
        with pytest.raises(StoreRenewed):
            other.back_up()
    assert scans(filled, vault) == 7


def test_what_has_it_open_writes_nothing_into_a_file_that_is_about_to_be_replaced(
    filled: Path, vault: MemoryVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: object, **__: object) -> str:
        raise Killed

    with closing(open_store(filled, vault).database) as other:
        with monkeypatch.context() as dying:
            dying.setattr(backups, "put_next_in_place", killed)
            with pytest.raises(Killed):
                rotate_key(filled, vault)
        with pytest.raises(StoreRenewed):  # the next opening would throw it away
            Observations(other).save(scan("scan-6"))
        assert Observations(other).count(None) == 6
    assert scans(filled, vault) == 6


def test_without_a_store_there_is_nothing_to_lock(tmp_path: Path, vault: MemoryVault) -> None:
    with pytest.raises(KeyLost):
        rotate_key(tmp_path, vault)
    vault.kept[VAULT_ENTRY] = bytes(32)
    with pytest.raises(KeyLost):
        rotate_key(tmp_path, vault)
    assert vault.kept.keys() == {VAULT_ENTRY}


def test_a_full_disk_leaves_the_older_key_in_force(
    filled: Path, vault: MemoryVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = dict(vault.kept)

    def full(*_: object) -> None:
        raise DiskFull

    with monkeypatch.context() as small:
        small.setattr("client.store.backups.copy_pages", full)
        with pytest.raises(DiskFull):
            rotate_key(filled, vault)
    assert vault.kept == before and not list(filled.glob("*.next*"))
    assert not needs_key(filled, vault) and scans(filled, vault) == 6


class FailingVault(MemoryVault):
    """Fails at the n-th thing it is asked."""

    def __init__(self, kept: dict[str, bytes], left: int) -> None:
        super().__init__()
        self.kept, self.left = kept, left

    def _check(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise VaultLocked


@pytest.mark.parametrize("left", range(1, 16))
def test_a_key_store_that_fails_in_the_middle_leaves_a_store_that_opens(
    filled: Path, vault: MemoryVault, left: int
) -> None:
    failing = FailingVault(vault.kept, left)
    try:
        rotate_key(filled, failing)
        is_told = False
    except (VaultLocked, VaultFailed):
        is_told = True
    assert is_told or failing.left > 0 or NEXT_VAULT_ENTRY in vault.kept
    assert scans(filled, vault) == 6
    assert vault.kept.keys() == {VAULT_ENTRY} and not (filled / opening._ROTATING_NAME).exists()
    (filled / FILE_NAME).unlink()
    assert scans(filled, vault) == 6


def test_damage_is_mended_before_it_is_locked_anew(filled: Path, vault: MemoryVault) -> None:
    content = bytearray((filled / FILE_NAME).read_bytes())
    (filled / FILE_NAME).write_bytes(content[:60_000])
    rotate_key(filled, vault)
    assert scans(filled, vault) == 6


def test_nothing_in_plain_text_and_neither_key(filled: Path, vault: MemoryVault) -> None:
    with closing(open_store(filled, vault).database) as database:
        Observations(database).add_person("Wilhelmina Marker", now=NOW)
    old = vault.kept[VAULT_ENTRY]
    rotate_key(filled, vault)
    for one in (one for one in filled.rglob("*") if one.is_file()):
        for plain in (b"Wilhelmina", b"scan-1", b"INSERT", old, vault.kept[VAULT_ENTRY]):
            assert plain not in one.read_bytes()
