"""Encrypted, durable, migrated in whole steps; whatever is wrong with the file gets a sentence and changes nothing."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from client.store import database as module
from client.store.database import (
    FILE_NAME,
    Database,
    DiskFull,
    StoreBusy,
    StoreClosed,
    StoreDamaged,
    StoreFault,
    StoreNewer,
    StoreReadOnly,
    StoreUnreadable,
    copy_before,
    migrations,
    statements,
)
from tests.client.store.conftest import KEY, rights

posix = pytest.mark.skipif(os.name != "posix", reason="rights, folders and fsync as POSIX has them")

NEXT = len(migrations()) + 1
"""The number of a step that follows ours."""


def put(database: Database, name: str, value: str = "x") -> None:
    with database.changes() as change:
        change.do("INSERT INTO setting (name, value) VALUES (?, ?)", (name, value))


def names(database: Database) -> list[str]:
    """Of what is kept, without where the journal is."""
    return [
        row[0]
        for row in database.ask("SELECT name FROM setting WHERE name <> 'journal_position' ORDER BY name")
    ]


def fill(path: Path) -> None:
    """A database that ends in pages with people."""
    with contextlib.closing(Database(path, KEY)) as made, made.changes() as change:
        for k in range(600):
            change.do(
                "INSERT INTO person (id, name, made_at) VALUES (?, ?, '2026')", (f"{k:200d}", f"Ada {k}")
            )


def people(database: Database) -> int:
    return len(database.ask("SELECT id, name FROM person"))


def test_nothing_on_the_disk_is_in_plain_text(database: Database, tmp_path: Path) -> None:
    put(database, "a", "Wilhelmina Quartz")
    written = b"".join(
        path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and not path.name.endswith("-shm")
    )
    assert len(written) > 8000
    for plain in (b"Wilhelmina", b"SQLite format", b"CREATE TABLE", b"setting"):
        assert plain not in written


def test_only_the_owner_may_read_the_file(database: Database) -> None:
    put(database, "a")
    if os.name == "posix":
        assert database.path.stat().st_mode & 0o077 == 0


def test_it_is_all_there_when_opened_again(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    first = Database(path, KEY)
    put(first, "a", "é, العربية")
    first.close()
    first.close()
    second = Database(path, KEY)
    assert second.ask("SELECT value FROM setting WHERE name = 'a'") == [("é, العربية",)]
    assert second.damage() == ()
    second.close()


def test_a_transaction_is_whole_or_not_at_all(database: Database) -> None:
    def half() -> None:
        with database.changes() as change:
            change.do("INSERT INTO setting VALUES ('a', 'x')")
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        half()
    assert names(database) == []
    put(database, "b")
    assert names(database) == ["b"]


def test_threads_take_turns(database: Database) -> None:
    def work(number: int) -> None:
        for k in range(20):
            put(database, f"{number} {k}")

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names(database)) == 80


@pytest.mark.parametrize("damage", ["first page", "middle", "short", "text", "other key"])
def test_a_file_that_is_none_is_told_and_left_as_it_is(tmp_path: Path, damage: str) -> None:
    path = tmp_path / FILE_NAME
    fill(path)
    whole = path.read_bytes()
    key = KEY
    if damage == "first page":
        path.write_bytes(bytes(100) + whole[100:])
    elif damage == "middle":
        path.write_bytes(whole[:-40_000] + bytes(5000) + whole[-35_000:])
    elif damage == "short":
        path.write_bytes(whole[:5000])
    elif damage == "text":
        path.write_bytes(b"this is no database\n" * 400)
    else:
        key = KEY[::-1]
    before = path.read_bytes()

    def use() -> None:
        with contextlib.closing(Database(path, key)) as opened:
            people(opened)

    with pytest.raises(StoreDamaged) as caught:
        use()
    assert "backup" in caught.value.remedy and caught.value.exit_status == 4
    assert path.read_bytes() == before


def test_damage_is_found_by_looking_at_every_page(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    fill(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-3000] + bytes(16) + whole[-2984:])
    opened = Database(path, KEY)
    assert opened.damage()
    opened.close()


def test_a_newer_file_is_told_and_not_touched(database: Database) -> None:
    database.ask("PRAGMA user_version = 999")
    with pytest.raises(StoreNewer):
        Database(database.path, KEY)
    assert database.ask("PRAGMA user_version") == [(999,)]


def test_whichever_page_is_damaged_writing_says_so(tmp_path: Path) -> None:
    """Where a damaged page is met while rows are put in their order, SQLite says "out of memory"."""
    path, met = tmp_path / FILE_NAME, 0

    def observe(opened: Database, name: str) -> None:
        sql = "INSERT INTO observation (id, kind, taken_at, utc_offset_min, body) VALUES (?, 'x', ?, 0, ?)"
        with opened.changes() as change:
            change.do(sql, (name, name, "x" * 1500))

    with contextlib.closing(Database(path, KEY)) as made:
        for k in range(100):
            observe(made, f"{k:03d}")
    whole = path.read_bytes()
    for place in range(2 * 4096, len(whole), 3 * 4096):
        copy = tmp_path / str(place) / FILE_NAME
        copy.parent.mkdir()
        copy.write_bytes(whole[: place + 100] + bytes(50) + whole[place + 150 :])
        try:
            with contextlib.closing(Database(copy, KEY, is_copy=True)) as opened:
                for k in range(0, 100, 7):
                    observe(opened, f"{k:03d}x")
        except StoreDamaged:
            met += 1
    assert met > 10


def test_after_damage_was_met_writing_says_damage_too(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    fill(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-3000] + bytes(16) + whole[-2984:])
    with contextlib.closing(Database(path, KEY)) as opened:
        with pytest.raises(StoreDamaged):
            people(opened)
        for _ in range(2):
            with pytest.raises(StoreDamaged):
                put(opened, "a")


@posix
@pytest.mark.parametrize("what", ["file", "folder", "both"])
def test_what_may_not_be_written_to(open_folder: Path, what: str) -> None:
    path = open_folder / FILE_NAME
    Database(path, KEY).close()
    path.chmod(0o666)  # so that only what is taken away stands in the way

    def use() -> None:
        with contextlib.closing(Database(path, KEY)) as opened:
            put(opened, "a")

    open_folder.chmod(0o777)
    taken = {"file": [path], "folder": [open_folder], "both": [path, open_folder]}[what]
    with rights(0o444, *taken), pytest.raises(StoreReadOnly):
        use()
    with contextlib.closing(Database(path, KEY)) as opened:
        assert names(opened) == []


@posix
def test_where_a_plain_fsync_is_not_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    asked: list[int] = []
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)  # as macOS has it
    monkeypatch.setattr(fcntl, "fcntl", lambda _, what: asked.append(what))
    with (tmp_path / "a").open("wb") as file:
        module.flush(file)
    assert asked == [51]


# Forgetting


def forget(database: Database) -> bool:
    with database.changes() as change:
        change.forget_later()
    return database.forget_what_is_due()


def test_nothing_is_forgotten_unasked(database: Database) -> None:
    copy_before(database.path, 2).touch()
    put(database, "a")
    assert database.forget_what_is_due()
    assert copy_before(database.path, 2).exists()


@pytest.mark.parametrize("again", ["the next time", "the next opening"])
def test_what_a_reader_kept_from_being_forgotten_is_forgotten_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: str
) -> None:
    monkeypatch.setattr(module, "BUSY_MS", 50)
    path = tmp_path / FILE_NAME
    writing, reading = Database(path, KEY), Database(path, KEY)
    put(writing, "a")
    copy_before(path, 2).touch()
    reading._connection.execute("BEGIN")
    names(reading)
    put(writing, "b", "x" * 100_000)
    log = path.with_name(FILE_NAME + "-wal")
    assert not forget(writing)
    Database(path, KEY).close()  # does not wait, and does not mind
    assert log.stat().st_size > 100_000
    reading.close()
    if again == "the next time":
        assert writing.forget_what_is_due()
    else:
        Database(path, KEY).close()
    assert log.stat().st_size < 10_000
    assert not copy_before(path, 2).exists()
    assert "to_forget" not in names(writing)
    writing.close()


def test_a_copy_that_cannot_be_removed_stays_to_be_forgotten(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_before(database.path, 2).touch()

    def in_use(*_: object, **__: object) -> None:
        raise PermissionError

    with monkeypatch.context() as windows:
        windows.setattr(Path, "unlink", in_use)
        assert not forget(database)
    assert database.forget_what_is_due()
    assert not copy_before(database.path, 2).exists()


def test_a_full_disk_keeps_what_was_and_says_so(database: Database) -> None:
    put(database, "before")
    pages = database.ask("PRAGMA page_count")[0][0]
    database.ask(f"PRAGMA max_page_count = {pages + 2}")  # as the disk would, SQLITE_FULL
    with pytest.raises(DiskFull) as caught:
        put(database, "large", "x" * 100_000)
    assert caught.value.retry
    assert names(database) == ["before"]
    database.ask("PRAGMA max_page_count = 1000000")
    put(database, "large", "x" * 100_000)
    assert names(database) == ["before", "large"]


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a small file system, as Linux does")
def test_a_real_full_disk(tmp_path: Path) -> None:
    """A folder on a file system of its own, 1 MB large, where this account may mount one."""
    place = tmp_path / "small"
    place.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True, check=False
    ).returncode:
        pytest.skip("this account may not mount a file system")
    try:
        opened = Database(place / FILE_NAME, KEY)
        put(opened, "before")
        with pytest.raises(DiskFull):
            put(opened, "large", "x" * 3_000_000)
        assert names(opened) == ["before"]
        opened.close()
        again = Database(place / FILE_NAME, KEY)
        assert names(again) == ["before"]
        again.close()
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_another_program_that_holds_it(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUSY_MS", 50)
    other = Database(database.path, KEY)
    with database.changes():
        with pytest.raises(StoreBusy):
            put(other, "a")
    put(other, "a")
    other.close()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreUnreadable):
        Database(tmp_path / "nowhere" / FILE_NAME, KEY)


def test_a_wrong_statement_is_our_bug(database: Database) -> None:
    with pytest.raises(Exception) as caught:
        database.ask("SELECT nothing FROM nowhere")
    assert not isinstance(caught.value, StoreFault)


def test_a_key_of_another_length_is_our_bug(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="32"):
        Database(tmp_path / FILE_NAME, b"short")


# Migrations


def with_steps(monkeypatch: pytest.MonkeyPatch, *more: str) -> None:
    steps = [*migrations(), *more]  # this module's name for it is not replaced
    monkeypatch.setattr(module, "migrations", lambda: steps)


def test_steps_are_applied_once_with_a_copy_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / FILE_NAME
    old = Database(path, KEY)
    put(old, "a")
    old.close()
    with_steps(monkeypatch, "CREATE TABLE more (x TEXT) STRICT;\nINSERT INTO more VALUES ('one; two');\n")
    for _ in range(2):
        new = Database(path, KEY)
        assert new.ask("SELECT x FROM more") == [("one; two",)]
        assert names(new) == ["a"]
        new.close()
    monkeypatch.undo()
    copy = Database(copy_before(path, NEXT), KEY, is_copy=True)  # the old program opens the copy
    assert names(copy) == ["a"]
    copy.close()
    assert copy_before(path, NEXT).stat().st_mode & 0o077 == 0


def test_the_copy_is_whole_though_others_read_and_part_is_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / FILE_NAME
    old, reading = Database(path, KEY), Database(path, KEY)
    reading._connection.execute("BEGIN")
    names(reading)
    put(old, "a")  # stays in the log as long as somebody reads what was before
    with_steps(monkeypatch, "CREATE TABLE more (x TEXT) STRICT;\n")
    new = Database(path, KEY)
    assert names(new) == ["a"] and names(reading) == []
    for opened in (old, reading, new):
        opened.close()
    monkeypatch.undo()
    copy = Database(copy_before(path, NEXT), KEY, is_copy=True)
    assert names(copy) == ["a"] and copy.damage() == ()
    copy.close()


@pytest.mark.skipif(sys.platform != "linux", reason="reads the kernel's list of locks")
def test_nothing_ends_the_locks_of_an_open_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """POSIX ends all of a process's locks on a file when it closes any handle of it; then another program may think it is alone."""
    path = tmp_path / FILE_NAME
    Database(path, KEY).close()

    def locks() -> int:
        return Path("/proc/locks").read_text(encoding="ascii").count(f":{path.stat().st_ino} ")

    with_steps(monkeypatch, "CREATE TABLE more (x TEXT) STRICT;\n")
    opened = Database(path, KEY)  # makes a copy
    assert copy_before(path, NEXT).exists() and locks() >= 1
    Database(path, KEY).close()
    assert locks() >= 1
    opened.close()
    assert locks() == 0


def test_a_step_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / FILE_NAME
    old = Database(path, KEY)
    put(old, "a")
    old.close()
    with_steps(monkeypatch, "CREATE TABLE more (x TEXT) STRICT;\nINSERT INTO nowhere VALUES (1);\n")
    with pytest.raises(Exception, match="nowhere"):
        Database(path, KEY)
    monkeypatch.undo()
    again = Database(path, KEY)
    assert names(again) == ["a"]
    assert again.ask("SELECT name FROM sqlite_schema WHERE name = 'more'") == []
    again.close()


def test_a_copy_that_cannot_be_made_stops_before_the_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / FILE_NAME
    Database(path, KEY).close()
    with_steps(monkeypatch, "CREATE TABLE more (x TEXT) STRICT;\n")
    in_the_way = copy_before(path, NEXT).with_suffix(f".before-{NEXT:04d}.part")
    in_the_way.mkdir()
    with pytest.raises(StoreUnreadable):
        Database(path, KEY)
    in_the_way.rmdir()
    monkeypatch.undo()
    again = Database(path, KEY)
    assert again.ask("PRAGMA user_version") == [(len(migrations()),)]
    again.close()
    beside = {"backups", "health-helper.journal", "writing.lock"}
    assert {p.name for p in tmp_path.iterdir()} == {FILE_NAME} | beside


REBUILT = """
CREATE TABLE new_person (id TEXT PRIMARY KEY, name TEXT NOT NULL, made_at TEXT NOT NULL, deleted_at TEXT, record_number TEXT) STRICT;
INSERT INTO new_person SELECT * FROM person;
DROP TABLE person;
ALTER TABLE new_person RENAME TO person;
"""


def test_a_table_that_others_refer_to_may_be_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / FILE_NAME
    with contextlib.closing(Database(path, KEY)) as old, old.changes() as change:
        change.do("INSERT INTO person (id, name, made_at) VALUES ('ada', 'Ada', '2026')")
        change.do(
            "INSERT INTO observation (id, person, kind, taken_at, utc_offset_min, body) VALUES ('1', 'ada', 'scan', '2026', 0, '{}')"
        )
    with_steps(monkeypatch, REBUILT)
    with contextlib.closing(Database(path, KEY)) as new:
        assert new.ask("SELECT person.name FROM observation JOIN person ON person.id = person") == [("Ada",)]
        assert new.ask("PRAGMA foreign_keys") == [(1,)]
        with pytest.raises(Exception, match="FOREIGN KEY"), new.changes() as change:
            change.do("DELETE FROM person")
    with_steps(monkeypatch, REBUILT, "DELETE FROM person;\n")
    with pytest.raises(RuntimeError, match=f"migration {NEXT + 1}"):
        Database(path, KEY)
    with_steps(monkeypatch, REBUILT)
    with contextlib.closing(Database(path, KEY)) as new:
        assert new.ask("SELECT name FROM person") == [("Ada",)]


def test_statements_are_taken_apart() -> None:
    sql = "-- a; b\nCREATE TABLE a (x TEXT); \nINSERT INTO a VALUES ('1;\n2');\nCREATE TRIGGER t AFTER INSERT ON a BEGIN\n DELETE FROM a;\nEND;\n"
    assert len(list(statements(sql))) == 3
    with pytest.raises(RuntimeError):
        list(statements("CREATE TABLE a (x"))


# Closed


def test_after_it_was_closed_whatever_is_asked_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = Database(tmp_path / FILE_NAME, KEY)
    monkeypatch.setattr(Database, "_copied", lambda *_: pytest.fail("a closed store is copied"))
    closed.close()
    closed.close()
    for use in (
        lambda: names(closed),
        lambda: put(closed, "a"),
        closed.damage,
        closed.back_up,
        closed.journal_is_whole,
        closed.forget_what_is_due,
    ):
        with pytest.raises(StoreClosed) as met:
            use()
        assert "was closed" in met.value.title and "Open it again" in met.value.remedy
    monkeypatch.undo()
    with contextlib.closing(Database(tmp_path / FILE_NAME, KEY)) as again:
        assert names(again) == [] and again.damage() == ()


def test_closed_in_the_middle_of_a_backup_says_so_too(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = Database._copied

    def closed_meanwhile(self: Database, part: Path) -> object:
        start = copied(self, part)
        self.close()
        return start

    monkeypatch.setattr(Database, "_copied", closed_meanwhile)
    before = module.backup_numbers(database.path)
    with pytest.raises(StoreClosed):
        database.back_up()
    assert module.backup_numbers(database.path) == before
    assert not list(database.path.with_name("backups").glob("*.part"))
