"""Encrypted, durable, migrated in whole steps; whatever is wrong with the file gets a sentence and changes nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from client.store import database as module
from client.store.database import (
    FILE_NAME,
    Database,
    DiskFull,
    StoreBusy,
    StoreDamaged,
    StoreFault,
    StoreNewer,
    StoreReadOnly,
    StoreUnreadable,
    copy_before,
    migrations,
    statements,
)

KEY = bytes(range(32))
ROOT = Path(__file__).resolve().parents[3]


def put(database: Database, name: str, value: str = "x") -> None:
    with database.changes() as change:
        change.do("INSERT INTO setting (name, value) VALUES (?, ?)", (name, value))


def names(database: Database) -> list[str]:
    return [row[0] for row in database.ask("SELECT name FROM setting ORDER BY name")]


def test_nothing_on_the_disk_is_in_plain_text(database: Database, tmp_path: Path) -> None:
    put(database, "a", "Wilhelmina Quartz")
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir() if not path.name.endswith("-shm"))
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
    assert second.ask("SELECT value FROM setting") == [("é, العربية",)]
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
    made = Database(path, KEY)
    with made.changes() as change:
        for k in range(300):
            change.do("INSERT INTO setting VALUES (?, ?)", (f"{k:04d}", "x" * 200))
    made.forget_deleted_pages()
    made.close()
    whole = path.read_bytes()
    key = KEY
    if damage == "first page":
        path.write_bytes(bytes(100) + whole[100:])
    elif damage == "middle":
        path.write_bytes(whole[:40_000] + bytes(5000) + whole[45_000:])
    elif damage == "short":
        path.write_bytes(whole[:5000])
    elif damage == "text":
        path.write_bytes(b"this is no database\n" * 400)
    else:
        key = KEY[::-1]
    before = path.read_bytes()

    def use() -> None:
        with contextlib.closing(Database(path, key)) as opened:
            names(opened)

    with pytest.raises(StoreDamaged) as caught:
        use()
    assert "backup" in caught.value.remedy and caught.value.exit_status == 4
    assert path.read_bytes() == before


def test_damage_is_found_by_looking_at_every_page(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    made = Database(path, KEY)
    with made.changes() as change:
        for k in range(300):
            change.do("INSERT INTO setting VALUES (?, ?)", (f"{k:04d}", "x" * 200))
    made.forget_deleted_pages()
    made.close()
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


def test_a_file_that_may_not_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / FILE_NAME
    Database(path, KEY).close()
    opened = Database(path, KEY)
    opened.ask("PRAGMA query_only = ON")  # root may write whatever the file's rights say
    with pytest.raises(StoreReadOnly):
        put(opened, "a")
    opened.close()


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
    steps = [*migrations(), *more]
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
    copy = Database(copy_before(path, 2), KEY)  # the old program opens the copy
    assert names(copy) == ["a"]
    copy.close()


def test_no_copy_is_made_of_half_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / FILE_NAME
    old = Database(path, KEY)
    reading = Database(path, KEY)
    reading._connection.execute("BEGIN")
    names(reading)
    put(old, "a")  # stays in the log as long as somebody reads what was before
    with_steps(monkeypatch, "CREATE TABLE more (x TEXT) STRICT;\n")
    with pytest.raises(StoreBusy):
        Database(path, KEY)
    assert not copy_before(path, 2).exists()
    reading.close()
    new = Database(path, KEY)
    assert names(new) == ["a"]
    for opened in (old, new):
        opened.close()


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


def test_a_disk_too_full_for_the_copy_stops_before_the_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / FILE_NAME
    Database(path, KEY).close()
    with_steps(monkeypatch, "CREATE TABLE more (x TEXT) STRICT;\n")

    def no_room(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("client.store.database.shutil.copyfileobj", no_room)
    with pytest.raises(StoreFault):
        Database(path, KEY)
    monkeypatch.undo()
    again = Database(path, KEY)
    assert again.ask("PRAGMA user_version") == [(len(migrations()),)]
    again.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == [FILE_NAME]


def test_statements_are_taken_apart() -> None:
    sql = "-- a; b\nCREATE TABLE a (x TEXT); \nINSERT INTO a VALUES ('1;\n2');\nCREATE TRIGGER t AFTER INSERT ON a BEGIN\n DELETE FROM a;\nEND;\n"
    assert len(list(statements(sql))) == 3
    with pytest.raises(RuntimeError):
        list(statements("CREATE TABLE a (x"))


# Kill -9

WRITER = """
import sys
from pathlib import Path
from client.store.database import Database
database = Database(Path(sys.argv[1]), bytes(range(32)))
for k in range(int(sys.argv[2]), 100000):
    with database.changes() as change:
        change.do("INSERT INTO setting VALUES (?, 'first half')", (f"{k:06d}",))
        change.do("UPDATE setting SET value = 'whole' WHERE name = ?", (f"{k:06d}",))
    print(k, flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX")
@pytest.mark.slow
def test_kill_9_at_any_moment_of_saving_loses_nothing_that_was_said_to_be_kept(tmp_path: Path) -> None:
    path, kept = tmp_path / FILE_NAME, -1
    for turn in range(12):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(kept + 1)],
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.003 * turn)
        process.send_signal(signal.SIGKILL)
        said = [line for line in process.stdout.read().splitlines() if line.strip()]
        process.wait()
        process.stdout.close()
        database = Database(path, KEY)
        rows = database.ask("SELECT name, value FROM setting ORDER BY name")
        assert {value for _, value in rows} == {"whole"}
        assert [int(name) for name, _ in rows] == list(range(len(rows)))
        assert len(rows) - 1 >= int(said[-1] if said else kept + 1)
        assert database.damage() == ()
        kept = len(rows) - 1
        database.close()
