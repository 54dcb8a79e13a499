"""Every transaction is on the disk a second time, sealed, before it is committed; what was not committed is in neither place."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from client.store import journal
from client.store.database import (
    FILE_NAME,
    Database,
    DiskFull,
    StoreBusy,
    backup_numbers,
)
from client.store.journal import Gap, Journal, Position, records
from client.store.sealing import SealBroken
from tests.client.store.conftest import KEY
from tests.client.store.test_database import names, put

START = Position(7, bytes(range(12)))
ODD = ("é, العربية", b"\x00\xff", None, 2**62, -1, 0.1, 1e300, "", b"")


def made(folder: Path, count: int = 3) -> tuple[Journal, list[Position]]:
    """A journal with so many records, and the positions from its beginning on."""
    written = Journal(folder / "a.journal", KEY)
    written.begin_empty(START, None)
    positions = [START]
    for number in range(count):
        positions.append(written.append(positions[-1], [("INSERT …", (number, *ODD))]))
    return written, positions


def told(written: Journal, after: Position = START) -> list[object]:
    return [written.read(record)[0][1][0] for record in written.after(after)]


def test_what_is_written_down_is_read_again(tmp_path: Path) -> None:
    written, positions = made(tmp_path)
    again = Journal(written.path, KEY)
    assert [record.after for record in again.after(START)] == positions[1:]
    assert [again.read(record) for record in again.after(positions[1])] == [
        [("INSERT …", [number, *ODD])] for number in (1, 2)
    ]
    assert [record.after for record in records([written.path])] == positions[1:]
    assert again.append(positions[3], [("x", (3,))]).number == 11
    assert told(written, positions[2]) == [2, 3]
    assert Position.parse(str(positions[2])) == positions[2]


def test_what_was_not_committed_is_cut_off_by_what_comes_next(tmp_path: Path) -> None:
    written, positions = made(tmp_path)
    other = Journal(written.path, KEY)
    last = other.append(positions[1], [("x", (10,))])
    assert told(other) == [0, 10]
    with pytest.raises(Gap):  # it knew of one that is gone
        written.append(positions[3], [("x", (3,))])
    written.append(last, [("x", (11,))])
    assert told(other) == told(written) == [0, 10, 11]


def test_a_journal_of_any_length_is_read_as_far_as_it_is_whole(tmp_path: Path) -> None:
    written, positions = made(tmp_path)
    whole = written.path.read_bytes()
    ends = [record.end for record in written.after(START)]
    for length in range(len(whole)):
        written.path.write_bytes(whole[:length])
        again = Journal(written.path, KEY)
        if length < journal.START_BYTES:
            with pytest.raises(Gap):
                again.after(START)
            continue
        reached = sum(end <= length for end in ends)
        assert told(again) == list(range(reached))
        assert again.append(positions[reached], [("x", ("new",))]).number == 8 + reached
        assert told(again) == [*range(reached), "new"]


def test_no_byte_can_be_changed_unnoticed(tmp_path: Path) -> None:
    written, positions = made(tmp_path)
    whole = written.path.read_bytes()
    for place in range(journal.START_BYTES, len(whole)):
        written.path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        found = [record for record in records([written.path]) if written.is_whole(record)]
        assert len(found) == 2 and {record.after for record in found} < set(positions)


def test_records_are_neither_exchanged_nor_left_out_nor_of_another_key(tmp_path: Path) -> None:
    written, positions = made(tmp_path)
    whole = written.path.read_bytes()
    first, second, third = (whole[record.begin : record.end] for record in written.after(START))
    for order in ([second, first, third], [first, third], [first, first, second]):
        written.path.write_bytes(whole[: journal.START_BYTES] + b"".join(order))
        found = Journal(written.path, KEY).after(START)
        assert [record.after for record in found] == positions[1 : 1 + len(found)]
        assert len(found) < 2
    head = 4 + 8 + 12 + 4
    written.path.write_bytes(whole[: journal.START_BYTES] + first[:head] + second[head:])
    with pytest.raises(SealBroken):
        written.read(written.after(START)[0])
    written.path.write_bytes(whole)
    other = Journal(written.path, KEY[::-1])
    assert not any(other.is_whole(record) for record in other.after(START))


# With a database


def committed(database: Database) -> list[str]:
    """What its journal says, as far as it is what the database is."""
    assert database.journal_is_whole()
    written = Journal(database.path.with_name(journal.FILE_NAME), KEY)
    start = written.start()
    assert start is not None
    return [str(values[0]) for record in written.after(start) for _, values in written.read(record)]


def test_transactions_are_in_it_and_nothing_else(database: Database) -> None:
    put(database, "a")
    with database.changes() as change:
        assert change.ask("SELECT 1") == [(1,)]
    with database.changes() as change:
        assert change.do("DELETE FROM setting WHERE name = 'nobody'") == 0
    with contextlib.suppress(RuntimeError), database.changes() as change:
        change.do("INSERT INTO setting VALUES ('b', 'x')")
        raise RuntimeError
    with database.changes() as change:
        assert change.ask("INSERT INTO setting VALUES (?, 'x') RETURNING name", ("c",)) == [("c",)]
    assert committed(database) == ["a", "c"]


def test_what_cannot_be_committed_is_not_in_it(database: Database) -> None:
    put(database, "a")

    def refer_to_nothing() -> None:
        with database.changes() as change:
            change.ask("PRAGMA defer_foreign_keys = ON")  # then COMMIT is what fails
            change.do("INSERT INTO task VALUES ('t', 'no observation', 'x', 'y', NULL)")

    with pytest.raises(Exception, match="FOREIGN KEY"):
        refer_to_nothing()
    assert committed(database) == ["a"]
    put(database, "b")
    assert committed(database) == ["a", "b"]


def test_threads_and_processes_take_turns(tmp_path: Path) -> None:
    one, two = Database(tmp_path / FILE_NAME, KEY), Database(tmp_path / FILE_NAME, KEY)

    def work(database: Database, number: int) -> None:
        for k in range(15):
            put(database, f"{number} {k}")
            if k % 7 == number:
                database.back_up()

    threads = [threading.Thread(target=work, args=(base, n)) for n, base in enumerate((one, two, one, two))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    put(one, "last")
    assert len(names(two)) == 61
    assert one.journal_is_whole() and two.journal_is_whole()
    assert committed(two)[-1] == "last"
    one.close()
    two.close()


@pytest.mark.parametrize("loss", ["gone", "empty", "begins otherwise", "cut"])
def test_a_journal_that_was_lost_is_begun_anew_with_the_next_transaction(
    database: Database, loss: str
) -> None:
    put(database, "a")
    path = database.path.with_name(journal.FILE_NAME)
    spoil(path, loss)
    before = max(backup_numbers(database.path))
    put(database, "b")
    assert committed(database) == ["b"]
    assert max(backup_numbers(database.path)) == before + 1


def spoil(path: Path, loss: str) -> None:
    whole = path.read_bytes()
    if loss == "gone":
        path.unlink()
    else:
        path.write_bytes({"empty": b"", "begins otherwise": whole[1:], "cut": whole[:-1]}[loss])


@pytest.mark.parametrize("loss", ["gone", "empty", "begins otherwise", "cut"])
def test_a_journal_that_was_lost_is_begun_anew_at_the_next_opening(tmp_path: Path, loss: str) -> None:
    path = tmp_path / FILE_NAME
    with contextlib.closing(Database(path, KEY)) as first:
        put(first, "a")
    spoil(path.with_name(journal.FILE_NAME), loss)
    with contextlib.closing(Database(path, KEY)) as again:
        assert committed(again) == [] and names(again) == ["a"]
        put(again, "b")
        assert committed(again) == ["b"]


def test_what_is_written_down_and_not_committed_is_done_at_the_next_opening(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    with contextlib.closing(Database(path, KEY)) as first:
        put(first, "a")
        here = first._position()
    written = Journal(path.with_name(journal.FILE_NAME), KEY)
    written.append(here, [("INSERT INTO setting VALUES (?, 'x')", ("b",))])
    with contextlib.closing(Database(path, KEY)) as again:
        assert names(again) == committed(again) == ["a", "b"]


def test_a_transaction_too_large_for_it_is_kept_all_the_same(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "LONGEST_RECORD_BYTES", 1000)
    put(database, "a", "x" * 2000)
    assert names(database) == ["a"]
    assert len(backup_numbers(database.path)) == 2  # at once: until then it is in the database alone
    assert database.journal_is_whole()
    put(database, "b")
    assert committed(database) == ["b"]
    assert len(backup_numbers(database.path)) == 2


def test_without_room_for_a_new_backup_it_is_kept_in_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, tries = tmp_path / FILE_NAME, []

    def full(*_: object, **__: object) -> None:
        tries.append(1)
        raise DiskFull

    with contextlib.closing(Database(path, KEY)) as first:
        put(first, "a")
        path.with_name(journal.FILE_NAME).unlink()
        with monkeypatch.context() as small:
            small.setattr(Database, "_copied", full)
            put(first, "b")
            put(first, "c")
            assert len(tries) == 1  # it is as large as the store
    with contextlib.closing(Database(path, KEY)) as again:
        assert names(again) == ["a", "b", "c"] and committed(again) == []
        put(again, "d")
        assert committed(again) == ["d"]


@pytest.fixture
def small_place(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of its own, 1 MB large, where this account may mount one."""
    if sys.platform != "linux":
        pytest.skip("mounts a small file system, as Linux does")
    place = tmp_path / "small"
    place.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True, check=False
    ).returncode:
        pytest.skip("this account may not mount a file system")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place: Path, left: int) -> Path:
    """Leave so much room."""
    stat = os.statvfs(place)
    other = place / "other"
    other.write_bytes(bytes(max(0, stat.f_bavail * stat.f_frsize - left)))
    return other


@pytest.mark.parametrize("left", [0, 4096, 8192, 16384, 32768])
def test_a_disk_that_fills_up_keeps_what_was_and_says_so(small_place: Path, left: int) -> None:
    path = small_place / FILE_NAME
    with contextlib.closing(Database(path, KEY)) as opened:
        put(opened, "before")
        other = fill(small_place, left)
        kept = ["before"]

        def go_on() -> None:
            for number in range(1000):
                put(opened, f"while {number:04d}", "x" * 1000)
                kept.append(f"while {number:04d}")

        with pytest.raises(DiskFull):
            go_on()
        assert names(opened) == kept == committed(opened)
        other.unlink()
        put(opened, "~after")
        assert names(opened) == [*kept, "~after"] == committed(opened)
    with contextlib.closing(Database(path, KEY)) as again:
        assert names(again) == [*kept, "~after"]


def there(folder: Path) -> list[str]:
    """The files, but for the locks."""
    return sorted(one.name for one in folder.rglob("*") if one.is_file() and one.suffix != ".lock")


def test_a_backup_for_which_there_is_no_room_leaves_nothing(small_place: Path) -> None:
    path = small_place / FILE_NAME
    with contextlib.closing(Database(path, KEY)) as opened:
        for number in range(20):
            put(opened, f"{number:04d}", "x" * 1000)
        fill(small_place, 50_000)
        before = there(small_place)
        with pytest.raises(DiskFull):
            opened.back_up()
        assert there(small_place) == before
        assert len(committed(opened)) == 20


# Several programs


def test_a_writer_that_hangs_elsewhere_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.store.database.BUSY_MS", 50)
    one, two = Database(tmp_path / FILE_NAME, KEY), Database(tmp_path / FILE_NAME, KEY)
    with one.changes() as change:
        change.do("INSERT INTO setting VALUES (?, 'x')", ("a",))
        with pytest.raises(StoreBusy):
            put(two, "b")
        Database(tmp_path / FILE_NAME, KEY).close()  # does not wait, and does not mind
    assert committed(two) == ["a"]
    one.close()
    two.close()
