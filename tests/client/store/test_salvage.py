"""Whatever is damaged, what was said to be kept is there after the next opening, and the damaged file is kept beside it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from client.store.backups import Healed
from client.store.database import FILE_NAME, Database, StoreDamaged, StoreRenewed, damage_note
from client.store.observations import Observations
from client.store.opening import open_store, tell
from tests.client.store.conftest import MemoryVault
from tests.client.store.victim import NOW, scan

COUNT = 60
"""Scans in the store, half of them kept after the last backup."""


def name_of(number: int) -> str:
    return f"scan-{number}"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, MemoryVault]:
    """A store with scans of two people and the guest, closed."""
    folder, vault = tmp_path_factory.mktemp("made") / "store", MemoryVault()
    with closing(open_store(folder, vault).database) as database:
        store = Observations(database)
        for number in range(COUNT):
            store.save(scan(name_of(number)))
            if number == COUNT // 2:
                database.back_up()
        store.add_person("Wilhelmina Quartz", now=NOW)
        store.delete(name_of(3), now=NOW)
    return folder, vault


@pytest.fixture
def store(made: tuple[Path, MemoryVault], tmp_path: Path) -> tuple[Path, MemoryVault]:
    """The same, to be damaged."""
    folder, vault = made
    return Path(shutil.copytree(folder, tmp_path / "store")), vault


def opened_whole(folder: Path, vault: MemoryVault) -> Healed | None:
    """Open it, read all, open it once more where damage was met. All that was kept is there. Returns how it was mended."""
    for _ in range(2):
        opened = open_store(folder, vault)
        try:
            if opened.database.damage():
                opened.database.note_damage()  # as a backup would, for it reads what nobody asks for
                continue
            _check(opened.database)
        except StoreDamaged:
            continue
        finally:
            opened.database.close()
        return opened.healed
    raise AssertionError("it was opened twice, and is still damaged")


def _check(database: Database) -> None:
    store = Observations(database)
    lines = store.between(None, None, None)
    assert [line.id for line in lines] == [name_of(number) for number in range(COUNT) if number != 3]
    for found in store.wholes([line.id for line in lines]):
        assert found == scan(found.line.id)
    assert [person.name for person in store.people()] == ["Wilhelmina Quartz"]
    assert store.restore(name_of(3)) and store.delete(name_of(3), now=NOW)
    assert database.damage() == () and database.journal_is_whole()


def copies(made: tuple[Path, MemoryVault], tmp_path: Path, count: int) -> Iterator[Path]:
    for _ in range(count):
        shutil.rmtree(tmp_path / "one", ignore_errors=True)
        yield Path(shutil.copytree(made[0], tmp_path / "one"))


def test_a_file_that_was_cut_anywhere_loses_nothing(
    made: tuple[Path, MemoryVault], tmp_path: Path, rng: np.random.Generator
) -> None:
    size = (made[0] / FILE_NAME).stat().st_size
    lengths = [0, 1, 15, 16, 100, 4095, 4096, 4097, size - 1, *rng.integers(0, size, 191)]
    for folder, length in zip(copies(made, tmp_path, 200), lengths, strict=True):
        with (folder / FILE_NAME).open("r+b") as file:
            file.truncate(int(length))
        healed = opened_whole(folder, made[1])
        assert healed is not None and healed.whole and healed.from_backup and healed.records >= COUNT // 2
        assert healed.kept_as == ("damaged-1" if length else "")
        if length:
            assert (folder / "damaged-1").stat().st_size == length


def test_bits_that_were_changed_anywhere_lose_nothing(
    made: tuple[Path, MemoryVault], tmp_path: Path, rng: np.random.Generator
) -> None:
    mended = 0
    for folder in copies(made, tmp_path, 60):
        flip(folder / FILE_NAME, rng)
        healed = opened_whole(folder, made[1])
        assert healed is None or healed.whole
        mended += healed is not None
    assert mended > 30  # the others hit what is of no use


def flip(path: Path, rng: np.random.Generator) -> None:
    content = bytearray(path.read_bytes())
    content[rng.integers(len(content))] ^= 1 << rng.integers(8)
    path.write_bytes(content)


@pytest.fixture
def running(store: tuple[Path, MemoryVault], tmp_path: Path) -> tuple[Path, MemoryVault]:
    """A store as it is when the power goes: the last transactions are in its log."""
    folder, vault = store
    gone = tmp_path / "gone"
    with closing(open_store(folder, vault).database) as database:
        with database.changes() as change:
            for number in range(40):
                change.do("INSERT INTO setting VALUES (?, ?)", (f"x{number:03d}", "y" * 2000))
        for number in range(3):
            with database.changes() as change:
                change.do("DELETE FROM setting WHERE name LIKE ?", (f"x{number}%",))
        shutil.copytree(folder, gone)
    assert (gone / f"{FILE_NAME}-wal").stat().st_size > 100_000
    return gone, vault


@pytest.mark.parametrize("damage", ["none", "missing", "cut", "changed", "of another"])
def test_a_log_that_is_lost_loses_nothing(
    running: tuple[Path, MemoryVault], rng: np.random.Generator, damage: str
) -> None:
    folder, vault = running
    log = folder / f"{FILE_NAME}-wal"
    size = log.stat().st_size
    if damage == "missing":
        log.unlink()
    elif damage == "cut":
        os.truncate(log, size // 2)
    elif damage == "changed":
        flip(log, rng)
    elif damage == "of another":
        log.write_bytes(os.urandom(size))
    (folder / f"{FILE_NAME}-shm").unlink(missing_ok=True)
    healed = opened_whole(folder, vault)
    assert (healed is None) is (damage == "none") or damage == "changed"
    assert healed is None or healed.whole


def test_a_file_that_was_cut_while_its_log_is_whole(
    running: tuple[Path, MemoryVault], tmp_path: Path, rng: np.random.Generator
) -> None:
    folder, vault = running
    size = (folder / FILE_NAME).stat().st_size
    for length in (0, 1, 5000, *rng.integers(0, size, 12)):
        one = tmp_path / "one"
        shutil.rmtree(one, ignore_errors=True)
        shutil.copytree(folder, one)
        os.truncate(one / FILE_NAME, int(length))
        healed = opened_whole(one, vault)
        assert healed is not None and healed.whole


@pytest.mark.parametrize("length_of", [0, 1, 0.5, 0.99])
def test_a_damaged_journal_alone_loses_nothing(store: tuple[Path, MemoryVault], length_of: float) -> None:
    folder, vault = store
    path = folder / "health-helper.journal"
    os.truncate(path, int(length_of * path.stat().st_size))
    assert opened_whole(folder, vault) is None
    (folder / FILE_NAME).unlink()  # nor with a second damage afterwards
    healed = opened_whole(folder, vault)
    assert healed is not None and healed.whole


@pytest.mark.parametrize("what", ["newest backup", "newest backup is gone", "older backup", "older journal"])
def test_a_damaged_database_and_a_damaged_backup_lose_nothing(
    store: tuple[Path, MemoryVault], rng: np.random.Generator, what: str
) -> None:
    folder, vault = store
    one = {
        "newest backup": "000002.db",
        "newest backup is gone": "000002.db",
        "older backup": "000001.db",
        "older journal": "000002.journal",
    }[what]
    if "gone" in what:
        (folder / "backups" / one).unlink()
    else:
        os.truncate(folder / "backups" / one, 20_000)
    os.truncate(folder / FILE_NAME, 50_000)
    healed = opened_whole(folder, vault)
    assert healed is not None and healed.whole
    assert (healed.records > COUNT) is ("newest" in what)


def test_without_backup_and_journal_what_can_be_read_is_kept(
    store: tuple[Path, MemoryVault], rng: np.random.Generator
) -> None:
    folder, vault = store
    shutil.rmtree(folder / "backups")
    (folder / "health-helper.journal").unlink()
    content = bytearray((folder / FILE_NAME).read_bytes())
    place = len(content) // 2
    content[place : place + 9000] = bytes(9000)
    (folder / FILE_NAME).write_bytes(content)
    opened = open_store(folder, vault)  # met when it makes a backup, for there is none
    assert opened.healed is not None and not opened.healed.whole and not opened.healed.from_backup
    with closing(opened.database) as database:
        kept = Observations(database)
        found = kept.between(None, None, None)
        assert COUNT * 0.7 < len(found) < COUNT
        for one in kept.wholes([line.id for line in found]):
            assert one == scan(one.line.id)
        assert database.damage() == () and database.journal_is_whole()
        assert database.ask("PRAGMA foreign_key_check") == []
    assert (folder / opened.healed.kept_as).read_bytes() == content
    assert "could be read" in tell(opened.healed)


def test_rows_that_only_the_damaged_file_has_are_taken_over_with_what_was_deleted(
    store: tuple[Path, MemoryVault],
) -> None:
    """Journal lost, and the last page damaged: what is newer than the backup is in the damaged file alone."""
    folder, vault = store
    (folder / "health-helper.journal").unlink()
    content = bytearray((folder / FILE_NAME).read_bytes())
    with closing(Database(folder / FILE_NAME, vault.kept["database-key"], is_copy=True)) as looked_at:
        root = looked_at.ask("SELECT rootpage FROM sqlite_schema WHERE name = 'task'")[0][0]
    content[4096 * (root - 1) + 100] ^= 1
    (folder / FILE_NAME).write_bytes(content)
    damage_note(folder / FILE_NAME).touch()
    opened = open_store(folder, vault)
    with closing(opened.database) as database:
        _check(database)
    assert opened.healed is not None and not opened.healed.whole
    assert opened.healed.from_backup and opened.healed.rows >= COUNT // 2 - 2


def test_somebody_whose_row_is_lost_still_has_what_is_theirs(
    store: tuple[Path, MemoryVault],
) -> None:
    folder, vault = store
    with closing(open_store(folder, vault).database) as database:
        person = Observations(database).people()[0].id
        with database.changes() as change:
            change.do("UPDATE observation SET person = ? WHERE id = ?", (person, name_of(7)))
        root = database.ask("SELECT rootpage FROM sqlite_schema WHERE name = 'person'")[0][0]
    shutil.rmtree(folder / "backups")
    (folder / "health-helper.journal").unlink()
    content = bytearray((folder / FILE_NAME).read_bytes())
    content[4096 * (root - 1) + 100] ^= 1
    (folder / FILE_NAME).write_bytes(content)
    damage_note(folder / FILE_NAME).touch()
    opened = open_store(folder, vault)
    with closing(opened.database) as database:
        (found,) = Observations(database).people()
        assert found.id == person and found.name == "Name lost (1)"
        assert [line.id for line in Observations(database).lines(person)] == [name_of(7)]


def test_a_damage_that_was_none_changes_nothing(store: tuple[Path, MemoryVault]) -> None:
    folder, vault = store
    damage_note(folder / FILE_NAME).touch()
    assert opened_whole(folder, vault) is None
    assert not damage_note(folder / FILE_NAME).exists() and not (folder / "damaged-1").exists()


def test_no_room_for_mending_leaves_all_as_it_was(
    store: tuple[Path, MemoryVault], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, vault = store
    os.truncate(folder / FILE_NAME, 50_000)
    before = {one: one.read_bytes() for one in folder.rglob("*") if one.is_file()}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as small:
        small.setattr("client.store.backups.flush", full)
        with pytest.raises(Exception, match="disk is full"):
            open_store(folder, vault)
    after = {one: one.read_bytes() for one in folder.rglob("*") if one.is_file()}
    beside = {one for one in after if one.suffix == ".lock" or one.name.endswith("-shm") or not after[one]}
    assert {one: after[one] for one in after.keys() - beside}.items() <= before.items()
    assert before.keys() <= after.keys()
    healed = opened_whole(folder, vault)
    assert healed is not None and healed.whole


def test_each_damaged_file_is_kept_until_something_is_forgotten_for_ever(
    store: tuple[Path, MemoryVault],
) -> None:
    folder, vault = store
    for number in (1, 2, 3):
        os.truncate(folder / FILE_NAME, 10_000 * number)
        healed = opened_whole(folder, vault)
        assert healed is not None and healed.kept_as == f"damaged-{number}"
    assert [(folder / f"damaged-{n}").stat().st_size for n in (1, 2, 3)] == [10_000, 20_000, 30_000]
    with closing(open_store(folder, vault).database) as database:
        with database.changes() as change:
            change.forget_later()
        assert database.forget_what_is_due()
    assert list(folder.glob("damaged-*")) == []


def test_who_has_the_damaged_file_open_writes_nothing_into_it(store: tuple[Path, MemoryVault]) -> None:
    folder, vault = store
    with closing(open_store(folder, vault).database) as other:
        damage_note(folder / FILE_NAME).touch()
        content = bytearray((folder / FILE_NAME).read_bytes())
        content[len(content) // 2] ^= 1
        (folder / FILE_NAME).write_bytes(content)
        healed = opened_whole(folder, vault)
        assert healed is not None and healed.whole
        with pytest.raises(StoreRenewed):
            Observations(other).save(scan("scan-500"))
    assert opened_whole(folder, vault) is None


def test_nothing_is_in_plain_text_anywhere_afterwards(store: tuple[Path, MemoryVault]) -> None:
    folder, vault = store
    with closing(open_store(folder, vault).database) as database:
        database.back_up()
        Observations(database).add_person("Wilhelmina Marker", now=NOW)
        os.truncate(folder / FILE_NAME, 50_000)
    opened = open_store(folder, vault)
    opened.database.close()
    assert opened.healed is not None
    files = [one for one in folder.rglob("*") if one.is_file()]
    assert len(files) > 6
    for one in files:
        for plain in (b"Wilhelmina", b"scan-1", b"INSERT INTO", b"observation", vault.kept["database-key"]):
            assert plain not in one.read_bytes()
