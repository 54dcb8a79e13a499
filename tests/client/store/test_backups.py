"""When a backup is due, that it is whole, and that with its journal it is the database again."""

from __future__ import annotations

import contextlib
import errno
import shutil
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from client.store import backups, journal
from client.store import database as module
from client.store.backups import due, make_if_due, newest_at
from client.store.database import (
    FILE_NAME,
    Database,
    DiskFull,
    StoreDamaged,
    StoreUnreadable,
    backup_numbers,
    backup_path,
    copy_before,
    migrations,
    older_journals,
)
from client.store.journal import Position
from client.store.opening import open_store
from tests.client.store.conftest import KEY, MemoryVault
from tests.client.store.test_database import names, put

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
YEAR = timedelta(days=365)


@pytest.mark.parametrize(
    ("age", "is_due"),
    [
        (0 * HOUR, False),
        (23 * HOUR, False),
        (24 * HOUR, True),
        (-0.5 * HOUR, False),  # the clock was set right
        (-2 * HOUR, True),
        (10 * YEAR, True),
        (-10 * YEAR, True),
        (-1900 * YEAR, True),
    ],
)
def test_no_clock_puts_a_backup_off(age: timedelta, is_due: bool) -> None:
    assert due(NOW, NOW - age, 0) is is_due


def test_a_long_journal_and_no_backup_make_one_due() -> None:
    assert due(NOW, None, 0)
    assert due(NOW, NOW, 32_000_001) and not due(NOW, NOW, 32_000_000)
    assert due(NOW, NOW - HOUR, 0, every_hours=1)


def test_a_clock_that_jumps_years_both_ways_makes_one_backup_each_time(database: Database) -> None:
    for now in (NOW, NOW + 10 * YEAR, NOW, NOW - 30 * YEAR, NOW):
        assert make_if_due(database, now)
        assert newest_at(database.path) == now
        for hours in (0, 1, 23):
            assert not make_if_due(database, now + hours * HOUR)
    assert make_if_due(database, NOW + 25 * HOUR)


def test_the_newest_are_kept_and_what_they_need(database: Database) -> None:
    for number in range(6):
        put(database, f"{number}")
        database.back_up(kept=3)
    assert backup_numbers(database.path) == [7, 6, 5]
    assert [one.name for one in older_journals(database.path)] == ["000006.journal", "000007.journal"]
    database.back_up(kept=1)
    assert backup_numbers(database.path) == [8] and older_journals(database.path) == []


def test_only_the_owner_may_read_them(database: Database) -> None:
    put(database, "a")
    database.back_up()
    folder = database.path.with_name("backups")
    for one in (*folder.iterdir(), folder, database.path.with_name("health-helper.journal")):
        assert one.stat().st_mode & 0o077 == 0 or one.suffix == ".lock"


def test_others_write_while_a_backup_is_made(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    copied = Database._copied
    put(database, "before")

    def slowly(self: Database, part: Path) -> object:
        start = copied(self, part)
        writer = threading.Thread(target=put, args=(database, "meanwhile"))  # needs neither lock
        writer.start()
        writer.join()
        return start

    monkeypatch.setattr(Database, "_copied", slowly)
    database.back_up()
    monkeypatch.undo()
    assert database.journal_is_whole()
    database.path.unlink()
    vault = MemoryVault()
    vault.kept["database-key"] = KEY
    database.close()
    with contextlib.closing(open_store(database.path.parent, vault).database) as again:
        assert names(again) == ["before", "meanwhile"]


def test_what_was_left_of_a_backup_is_removed_by_the_next(database: Database) -> None:
    left = database.path.with_name("backups") / "1-abc.part"
    left.write_bytes(b"half")
    database.back_up()
    assert not left.exists() and backup_numbers(database.path) == [2, 1]


def test_what_was_left_by_one_that_was_alone_is_removed_too(database: Database) -> None:
    left = database.path.with_name("backups") / "1-abc.spare"
    left.write_bytes(b"all of it, with what is to be forgotten")
    database.back_up()
    assert not left.exists()


def test_a_backup_of_a_damaged_store_is_none_and_the_damage_is_noted(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    with contextlib.closing(Database(path, KEY)) as made:
        for number in range(60):
            put(made, f"{number:04d}", "x" * 3000)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with contextlib.closing(Database(path, KEY)) as opened:
        before = backup_numbers(path)
        with pytest.raises(StoreDamaged):
            opened.back_up()
        assert backup_numbers(path) == before
    vault = MemoryVault()
    vault.kept["database-key"] = KEY
    opened_again = open_store(tmp_path, vault)
    with contextlib.closing(opened_again.database) as mended:
        assert opened_again.healed is not None and opened_again.healed.whole
        assert len(names(mended)) == 60 and mended.damage() == ()


def test_damaged_backups_are_found(database: Database) -> None:
    put(database, "a")
    database.back_up()
    assert backups.damaged(database.path, KEY) == []
    one = backup_path(database.path, 2)
    content = bytearray(one.read_bytes())
    content[-100] ^= 1
    one.write_bytes(content)
    assert backups.damaged(database.path, KEY) == [one]
    assert set(backups.damaged(database.path, KEY[::-1])) == {one, backup_path(database.path, 1)}


@pytest.mark.parametrize("kept", [1, 2, 3])
@pytest.mark.parametrize("forgetting", [False, True])
def test_where_the_journal_can_not_be_begun_anew_no_heap_of_backups_grows(
    database: Database, monkeypatch: pytest.MonkeyPatch, kept: int, forgetting: bool
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "")

    with monkeypatch.context() as no_room:
        no_room.setattr(journal.Journal, "_begin", full)
        for number in range(5):
            put(database, f"{number}")
            with pytest.raises(DiskFull):
                database.back_up(kept=kept, forgetting=forgetting)
            assert len(backup_numbers(database.path)) <= max(kept, 2)
    put(database, "last")
    # The newest of them, with the journal that nobody could begin anew, is the database again; and so is the one before.
    newest = backup_numbers(database.path)[0]
    vault = MemoryVault()
    vault.kept["database-key"] = KEY
    database.close()
    for lost in (database.path, backup_path(database.path, newest)):
        lost.unlink()
        database.path.unlink(missing_ok=True)
        opened = open_store(database.path.parent, vault)
        with contextlib.closing(opened.database) as again:
            assert opened.healed is not None and opened.healed.whole
            assert names(again) == ["0", "1", "2", "3", "4", "last"]


# Forgetting


def everything(folder: Path) -> list[Path]:
    return [one for one in folder.rglob("*") if one.is_file() and one.suffix != ".lock"]


def test_what_is_forgotten_is_in_no_backup_journal_or_copy(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    with contextlib.closing(Database(path, KEY)) as database:
        put(database, "to be forgotten")
        database.back_up()
        put(database, "kept")
        database.back_up()
        copy_before(path, 2).write_bytes(b"of an older version")
        (tmp_path / "damaged-1").write_bytes(b"of an older damage")
        before = {one: one.read_bytes() for one in everything(tmp_path / "backups")}
        with database.changes() as change:
            change.do("DELETE FROM setting WHERE name = 'to be forgotten'")
            change.forget_later()
        assert database.forget_what_is_due()
        left = {one.relative_to(tmp_path).as_posix() for one in everything(tmp_path)}
        assert not set(before) & {tmp_path / one for one in left}
        assert {one for one in left if not one.endswith(("-wal", "-shm"))} == {
            FILE_NAME,
            "health-helper.journal",
            "backups/000004.db",
        }
        assert database.journal_is_whole()
    path.unlink()
    vault = MemoryVault()
    vault.kept["database-key"] = KEY
    with contextlib.closing(open_store(tmp_path, vault).database) as again:
        assert names(again) == ["kept"]


def test_what_another_asks_to_be_forgotten_meanwhile_stays_due(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup of before that, and a journal with it, are the newest now: whoever forgot it must not be told that nothing is due."""

    def forget(who: Database, name: str) -> None:
        with who.changes() as change:
            change.do("DELETE FROM setting WHERE name = ?", (name,))
            change.forget_later()

    put(database, "ours")
    forget(database, "ours")
    with contextlib.closing(Database(database.path, KEY)) as other:
        put(database, "to be forgotten")
        forget(database, "nothing yet")
        copied = Database._copied

        def meanwhile(self: Database, part: Path) -> Position:
            position = copied(self, part)
            if self is database:
                put(other, "theirs")
                forget(other, "theirs")
            return position

        with monkeypatch.context() as slow:
            slow.setattr(Database, "_copied", meanwhile)
            assert database.forget_what_is_due()
        assert "theirs" in in_journal(other)
        assert other.forget_what_is_due()
        assert "theirs" not in in_journal(other) and "to_forget" not in names(other)


def in_journal(database: Database) -> str:
    assert database._journal is not None
    return str([database._journal.read(one) for one in journal.records([database._journal.path])])


def test_what_there_is_no_room_to_forget_is_forgotten_later(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(database, "a")

    def full(*_: object, **__: object) -> None:
        raise module.DiskFull

    with database.changes() as change:
        change.do("DELETE FROM setting WHERE name = 'a'")
        change.forget_later()
    with monkeypatch.context() as small:
        small.setattr(Database, "back_up", full)
        assert not database.forget_what_is_due()
    assert "to_forget" in names(database)
    Database(database.path, KEY).close()
    assert names(database) == [] and backup_numbers(database.path) == [2]


# Migrations


@pytest.mark.parametrize("made_at", range(1, len(migrations())))
@pytest.mark.parametrize("with_journal", [True, False])
def test_a_store_of_every_older_version_opens_with_a_copy_before_each_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made_at: int, with_journal: bool
) -> None:
    path, steps, vault = tmp_path / FILE_NAME, migrations(), MemoryVault()
    vault.kept["database-key"] = KEY
    with monkeypatch.context() as older:
        older.setattr(module, "migrations", lambda: steps[:made_at])
        with contextlib.closing(Database(path, KEY)) as made:
            with made.changes() as change:
                change.do("INSERT INTO person (id, name, made_at) VALUES ('ada', 'Ada', '2026')")
                change.do(
                    "INSERT INTO observation (id, person, kind, taken_at, utc_offset_min, body)"
                    " VALUES ('1', 'ada', 'scan', '2026', 0, '{}')"
                )
            put(made, "a")
        if not with_journal:  # as the versions before had none
            with contextlib.closing(Database(path, KEY, is_copy=True)) as bare:
                bare.ask("DELETE FROM setting WHERE name = 'journal_position'")
            shutil.rmtree(tmp_path / "backups")
            path.with_name("health-helper.journal").unlink()
    opened = open_store(tmp_path, vault)
    with contextlib.closing(opened.database) as database:
        assert database.ask("PRAGMA user_version") == [(len(steps),)] and opened.healed is None
        assert names(database) == ["a"] and database.ask("SELECT id, person FROM observation") == [
            ("1", "ada")
        ]
        put(database, "b")
        assert database.journal_is_whole()
    for step in range(made_at + 1, len(steps) + 1):
        assert copy_before(path, step).exists()
    path.unlink()
    again = open_store(tmp_path, vault)
    with contextlib.closing(again.database) as mended:
        assert again.healed is not None and again.healed.whole
        assert names(mended) == ["a", "b"] and mended.ask("SELECT id FROM observation") == [("1",)]
        assert mended.ask("PRAGMA user_version") == [(len(steps),)]


def test_a_backups_folder_that_is_a_file_stops_no_saving(tmp_path: Path) -> None:
    (tmp_path / "backups").touch()
    with contextlib.closing(Database(tmp_path / FILE_NAME, KEY)) as database:
        put(database, "a")
        assert names(database) == ["a"]
        with pytest.raises(StoreUnreadable):
            database.back_up()
        (tmp_path / "backups").unlink()
        database.back_up()
        put(database, "b")
        assert database.journal_is_whole()
