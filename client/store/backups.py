"""Backups of the database: when one is due, and how the database is put together again from them where its file is damaged.

A backup is a copy of the encrypted file, under the same key. With the journal that follows on it, it is the database again to the last
transaction that was said to be kept. Only where backup or journal are damaged too is anything taken out of the damaged file: what can
still be read there. A damaged file is never written to nor removed; it stays beside the new one.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from client import log
from client.language import said
from client.store import journal
from client.store.database import (
    BACKUPS_KEPT,
    SET_ASIDE,
    Database,
    StoreDamaged,
    StoreFault,
    backup_numbers,
    backup_path,
    connect,
    copy_pages,
    damage_note,
    damage_told,
    fault_of,
    flush,
    flush_folder,
    next_file,
    older_journals,
    private,
)
from client.store.journal import Journal, Position, Record
from client.store.sealing import SealBroken

BACK_UP_EVERY_HOURS = 24
LONGEST_JOURNAL_BYTES = 32_000_000
"""Putting the store together again takes seconds up to here, and so does reading the journal at the start."""
_CLOCKS_DIFFER = timedelta(hours=1)
"""So much the moment of a backup may lie ahead: the clock was set right meanwhile."""
_PART = ".next.part"
_POSITION = "journal_position"
_MOST_TRIES = 2_000
"""Rows that are asked for one by one where a table can't be read as a whole."""

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Healed:
    """What became of a damaged store. whole: all that was ever said to be kept is there; not so where backup or journal were damaged too.

    records: transactions out of the journal. rows: only found in the damaged file. from_backup: a backup was whole. kept_as: the name
    of the damaged file; "" where there was none any more.
    """

    whole: bool
    from_backup: bool
    records: int
    rows: int
    kept_as: str


def newest_at(path: Path) -> datetime | None:
    """When the newest backup of the database at `path` was made, UTC, as the clock was then; None where there is none."""
    for number in backup_numbers(path)[:1]:
        with contextlib.suppress(OSError, OverflowError, ValueError):
            return datetime.fromtimestamp(backup_path(path, number).stat().st_mtime, UTC)
    return None


def due(
    now: datetime, newest: datetime | None, journal_bytes: int, *, every_hours: int = BACK_UP_EVERY_HOURS
) -> bool:
    """Whether another backup is to be made. A clock that was set by years, either way, makes it due at once and never puts it off."""
    if newest is None or journal_bytes > LONGEST_JOURNAL_BYTES:
        return True
    age = now - newest
    return age < -_CLOCKS_DIFFER or age >= timedelta(hours=every_hours)


def make_if_due(
    database: Database, now: datetime, *, every_hours: int = BACK_UP_EVERY_HOURS, kept: int = BACKUPS_KEPT
) -> bool:
    """Make a backup if one is due; others may write meanwhile. Returns whether it was made. Raises StoreFault.

    All pages are read for it, and those that are damaged are met here at the latest: StoreDamaged, and the next opening mends them.
    """
    if not due(now, newest_at(database.path), database.journal_bytes(), every_hours=every_hours):
        return False
    database.back_up(kept=kept)
    with contextlib.suppress(OSError, OverflowError, ValueError):  # as the clock that judges it later sees it
        moment_s = now.timestamp()
        os.utime(backup_path(database.path, backup_numbers(database.path)[0]), (moment_s, moment_s))
    return True


def damaged(path: Path, key: bytes) -> list[Path]:
    """The backups of the database at `path` that are not whole; every page is looked at."""
    return [
        one
        for one in (backup_path(path, number) for number in backup_numbers(path))
        if not _is_whole(one, key)
    ]


def is_locked_with(path: Path, key: bytes) -> bool:
    """Whether the database at `path` opens with this key."""
    return _read_one(path, key, "SELECT count(*) FROM sqlite_schema") is not None


# Putting together


def rebuild(path: Path, key: bytes) -> Healed:
    """Put the database at `path` together again and in the place of its damaged file, which is kept. Nobody else opens or writes it meanwhile.

    Raises StoreDamaged where there is nothing to be read anywhere, and StoreFault where it can't be written: then all is as it was.
    """
    part = path.with_name(path.name + _PART)
    try:
        healed = _rebuilt(path, key, part)
        with part.open("r+b") as file:
            flush(file)
        part.replace(next_file(path))
        flush_folder(path.parent)
        kept_as = put_next_in_place(path, keep=True)
        damage_note(path).unlink(missing_ok=True)
    except OSError as error:
        raise fault_of(error, path) from None
    finally:
        clean_up(path)
    log.event("store_rebuilt", whole=healed.whole, records=healed.records, rows=healed.rows)
    return Healed(healed.whole, healed.from_backup, healed.records, healed.rows, kept_as)


def clean_up(path: Path) -> None:
    """Remove what was begun beside the database at `path` and is of no use. Nobody else opens it meanwhile."""
    part = path.with_name(path.name + _PART)
    for end in ("", "-journal", "-wal", "-shm"):
        with contextlib.suppress(OSError):
            part.with_name(part.name + end).unlink(missing_ok=True)


def put_next_in_place(path: Path, *, keep: bool) -> str:
    """Put `next_file` in the place of the database. Where it is interrupted it is called again. keep: the older one stays beside it.

    Returns its name; "" where there is none. Raises OSError.
    """
    log_, index = (path.with_name(path.name + end) for end in ("-wal", "-shm"))
    aside = _aside(path)
    if keep and log_.exists() and log_.stat().st_size:
        log_.replace(aside.with_name(aside.name + "-wal"))
    log_.unlink(missing_ok=True)  # of the older file; SQLite would write it into the new one
    index.unlink(missing_ok=True)
    is_there = path.exists() and path.stat().st_size > 0
    if keep and is_there and not aside.exists():
        try:
            os.link(path, aside)
        except OSError:  # not every file system can
            path.replace(aside)
    flush_folder(path.parent)
    next_file(path).replace(path)
    flush_folder(path.parent)
    return aside.name if aside.exists() else ""


def _aside(path: Path) -> Path:
    """damaged-N, the first free one; the one that this file already has where this is done again."""
    number = 1
    while True:
        one = path.with_name(f"{SET_ASIDE}{number}")
        if not one.exists() or (path.exists() and one.samefile(path)):
            return one
        number += 1


def _rebuilt(path: Path, key: bytes, part: Path) -> Healed:
    written = Journal(path.with_name(journal.FILE_NAME), key)
    found = [
        record
        for record in journal.records([*older_journals(path), written.path])
        if written.is_whole(record)
    ]
    lost = _position_of(path, key)
    base, records = _from_backup(path, key, part, written, found)
    from_backup = base is not None
    is_itself = not from_backup and _from_itself(path, key, part)
    if not (from_backup or is_itself):
        private(part).close()
        Database(part, key, is_copy=True).close()
    if not from_backup:
        base = _position_of(part, key)
        records = _done_again(part, key, written, _chain(base, found)) if base is not None else 0
    reached = _position_of(part, key)
    last = max((record.after.number for record in found), default=-1)
    if reached is not None:
        is_whole = reached.number >= max(last, lost.number if lost else -1) and _ends_cleanly(written)
    else:
        is_whole = False
    rows = 0
    if not is_whole:
        since = reached.number if reached else -1
        records += _done_loosely(part, key, written, [one for one in found if one.after.number > since])
        is_newer = lost is not None and (reached is None or lost.number >= reached.number)
        rows = _taken_over(path, key, part, is_newer=is_newer)
        _mend_references(part, key)
        _go_on_from(part, key, max(last, since, lost.number if lost else -1))
    if not (from_backup or is_itself or records or rows) or not _is_whole(part, key):
        raise StoreDamaged
    return Healed(is_whole, from_backup, records, rows, "")


def _from_backup(
    path: Path, key: bytes, part: Path, written: Journal, found: Sequence[Record]
) -> tuple[Position | None, int]:
    """The newest whole backup and all that follows on it, in `part`. (None, 0) where there is none."""
    for number in backup_numbers(path):
        try:
            _copy(backup_path(path, number), key, part)
            start = _position_of(part, key)
            if start is not None:
                return start, _done_again(part, key, written, _chain(start, found))
        except (StoreDamaged, SealBroken):
            continue
    return None, 0


def _from_itself(path: Path, key: bytes, part: Path) -> bool:
    """The file itself, where every page of it is whole: it is only older than its journal."""
    if not path.exists() or not _is_whole(path, key, read="mode=ro"):
        return False
    try:
        _copy(path, key, part, read="mode=ro")
    except StoreDamaged:
        return False
    return True


def _copy(
    source: Path, key: bytes, part: Path, read: str = "immutable=1", new_key: bytes | None = None
) -> None:
    private(part).close()
    with damage_told():
        with (
            contextlib.closing(connect(source, key, read=read)) as old,
            contextlib.closing(connect(part, new_key or key)) as new,
        ):
            copy_pages(old, new)
            new.execute("PRAGMA journal_mode = DELETE")  # one file, and nothing beside it
            if new.execute("PRAGMA quick_check").fetchall() != [("ok",)]:
                raise StoreDamaged


def _chain(start: Position, found: Sequence[Record]) -> list[Record]:
    """What follows on a position, as far as each follows on the one before."""
    next_of = {(record.before, record.after.number): record for record in found}
    chain: list[Record] = []
    while (record := next_of.get((start.id, start.number + 1))) is not None:
        chain.append(record)
        start = record.after
    return chain


def _done_again(part: Path, key: bytes, written: Journal, chain: Sequence[Record]) -> int:
    """Do what the records say, up to the first that can't be read. Returns how many that were."""
    done = 0
    with damage_told(), contextlib.closing(connect(part, key)) as new:
        _quickly(new)
        new.execute("PRAGMA foreign_keys = ON")
        for record in chain:
            new.execute("BEGIN")
            try:
                for sql, values in written.read(record):
                    new.execute(sql, values).fetchall()
            except (SealBroken, OSError):
                new.execute("ROLLBACK")
                break
            _set_position(new, record.after)
            new.execute("COMMIT")
            done += 1
    return done


def _done_loosely(part: Path, key: bytes, written: Journal, found: Sequence[Record]) -> int:
    """What stands behind a gap: each transaction that can be done, though what was before it is missing."""
    done = 0
    with contextlib.closing(connect(part, key)) as new:
        _quickly(new)
        for record in sorted(found, key=lambda one: one.after.number):
            new.execute("BEGIN")
            try:
                with damage_told():
                    for sql, values in written.read(record):
                        new.execute(sql, values).fetchall()
                    new.execute("COMMIT")
                    done += 1
            except (SealBroken, OSError, StoreDamaged):
                new.execute("ROLLBACK")
    return done


def _ends_cleanly(written: Journal) -> bool:
    """Whether the journal is there and ends with a whole record, so that nothing tells that any more was in it."""
    start = written.start()
    if start is None:
        return False
    try:
        records = written.after(start)
    except (OSError, journal.Gap):
        return False
    end = records[-1].end if records else journal.START_BYTES
    return end == written.size_bytes()


def lock_anew(path: Path, key: bytes, new_key: bytes, but: Sequence[str]) -> None:
    """Write the database at `path`, locked with another key, as `next_file`. Nobody else writes meanwhile. but: settings that are left out.

    Raises StoreFault.
    """
    part = path.with_name(path.name + _PART)
    try:
        _copy(path, key, part, read="mode=rw", new_key=new_key)
        with damage_told(), contextlib.closing(connect(part, new_key)) as new:
            for name in but:
                new.execute("DELETE FROM setting WHERE name = ?", (name,))
        _go_on_from(part, new_key, (_position_of(path, key) or journal.NOWHERE).number)
        if not _is_whole(part, new_key):
            raise StoreDamaged
        with part.open("r+b") as file:
            flush(file)
        part.replace(next_file(path))
        flush_folder(path.parent)
    except OSError as error:
        raise fault_of(error, path) from None
    finally:
        clean_up(path)


# What can be read of a damaged file


@dataclass(slots=True)
class _Found:
    """The primary keys of the rows of a table that could be read. whole: those are all."""

    keys: set[Row] = field(default_factory=set)
    whole: bool = False


def _taken_over(path: Path, key: bytes, part: Path, *, is_newer: bool) -> int:
    """Put the rows that can be read out of a damaged file among those that are there. is_newer: where both have one, the damaged file's
    counts; and what is not in a table that can be read to its end was deleted. Returns how many were new.
    """
    if not path.exists():
        return 0
    new_rows = 0
    verb = "REPLACE" if is_newer else "IGNORE"
    with contextlib.closing(connect(part, key)) as new:
        _quickly(new)
        for table, columns, keys in _tables(new):
            before, found = _count(new, table), _Found()
            places = ", ".join("?" * len(columns))
            sql = f"INSERT OR {verb} INTO {table} ({', '.join(columns)}) VALUES ({places})"  # noqa: S608 (names of our schema)
            new.execute("BEGIN")
            for row in _rows(path, key, table, columns, keys, found):
                if table != "setting" or row[0] != _POSITION:
                    with contextlib.suppress(StoreDamaged), damage_told():
                        new.execute(sql, row)
            new_rows += max(0, _count(new, table) - before)
            if is_newer and found.whole:
                _delete_others(new, table, keys, found.keys)
            new.execute("COMMIT")
    return new_rows


def _delete_others(connection: Any, table: str, keys: Sequence[str], there: set[Row]) -> None:
    where = " AND ".join(f"{one} = ?" for one in keys)
    for name in connection.execute(f"SELECT {', '.join(keys)} FROM {table}").fetchall():  # noqa: S608 (names of our schema)
        if tuple(name) not in there:
            connection.execute(f"DELETE FROM {table} WHERE {where}", name)  # noqa: S608


def _count(connection: Any, table: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 (a name of our schema)


def _tables(connection: Any) -> list[tuple[str, list[str], list[str]]]:
    """Name, columns and primary key of every table."""
    names = [
        row[0]
        for row in connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        )
    ]
    found = []
    for name in names:
        facts = connection.execute(f"PRAGMA table_info({name})").fetchall()
        keys = [fact[1] for fact in sorted(facts, key=lambda fact: fact[5]) if fact[5]]
        found.append((name, [fact[1] for fact in facts], keys))
    return found


def _rows(
    path: Path, key: bytes, table: str, columns: Sequence[str], keys: Sequence[str], found: _Found
) -> Iterator[Row]:
    """All rows of a table that can be read: from its beginning, from its end, and those between that an index still names."""
    names = ", ".join(columns)
    places = [list(columns).index(one) for one in keys]
    for way in ("ASC", "DESC"):
        by = ", ".join(f"{one} {way}" for one in keys)
        reader = _reader(path, key, f"SELECT {names} FROM {table} ORDER BY {by}")  # noqa: S608 (names of our schema)
        with contextlib.suppress(StoreDamaged):
            for row in reader:
                name = tuple(row[place] for place in places)
                if name not in found.keys:
                    found.keys.add(name)
                    yield row
            found.whole = True
            return
    where = " AND ".join(f"{one} = ?" for one in keys)
    for name in sorted(_named(path, key, table, keys) - found.keys)[:_MOST_TRIES]:
        with contextlib.suppress(StoreDamaged):
            yield from _reader(path, key, f"SELECT {names} FROM {table} WHERE {where}", name)  # noqa: S608


def _named(path: Path, key: bytes, table: str, keys: Sequence[str]) -> set[Row]:
    """The primary keys that the indexes of a table still give."""
    found: set[Row] = set()
    indexes: list[Row] = []
    sql = "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = ? AND sql > ''"
    with contextlib.suppress(StoreDamaged):
        indexes = list(_reader(path, key, sql, (table,)))
    for index, made in indexes:
        _, where, only = made.rpartition(" WHERE ")
        asked = f"SELECT {', '.join(keys)} FROM {table} INDEXED BY {index}{where}{only if where else ''}"  # noqa: S608
        with contextlib.suppress(StoreDamaged):
            found.update(_reader(path, key, asked))
    return found


def _reader(path: Path, key: bytes, sql: str, values: Sequence[object] = ()) -> Iterator[Row]:
    """Rows, until one can't be read: StoreDamaged. Each on a connection of its own, for one that met damage reads nothing more."""
    with damage_told(), contextlib.closing(connect(path, key, read="mode=ro")) as old:
        old.execute("PRAGMA writable_schema = ON")  # else a file that was cut is not read at all
        yield from old.execute(sql, values)


def _mend_references(part: Path, key: bytes) -> None:
    """Nothing refers to what is not there: somebody whose row is lost is there without a name; what else is referred to is left out."""
    with contextlib.closing(connect(part, key)) as new:
        _quickly(new)
        new.execute("BEGIN")
        for table, facts in _references(new):
            for _, _, parent, column, target, *_ in facts:
                lost = f"{column} IS NOT NULL AND {column} NOT IN (SELECT {target} FROM {parent})"  # noqa: S608 (names of our schema)
                if parent == "person":
                    names = new.execute(f"SELECT DISTINCT {column} FROM {table} WHERE {lost}").fetchall()  # noqa: S608
                    for number, (name,) in enumerate(names, start=1):
                        new.execute(
                            "INSERT INTO person (id, name, made_at) VALUES (?, ?, ?)",
                            (
                                name,
                                said("Name lost ({number})", number=number),
                                "1970-01-01T00:00:00.000+00:00",
                            ),
                        )
                elif any(
                    fact[1] == column and fact[3] for fact in new.execute(f"PRAGMA table_info({table})")
                ):
                    new.execute(f"DELETE FROM {table} WHERE {lost}")  # noqa: S608
                else:
                    new.execute(f"UPDATE {table} SET {column} = NULL WHERE {lost}")  # noqa: S608
        new.execute("COMMIT")


def _references(connection: Any) -> list[tuple[str, list[Row]]]:
    return [
        (table, connection.execute(f"PRAGMA foreign_key_list({table})").fetchall())
        for table, _, _ in _tables(connection)
    ]


def _go_on_from(part: Path, key: bytes, number: int) -> None:
    """No record leads to what was put together: the opening makes a backup of it."""
    with contextlib.closing(connect(part, key)) as new:
        _set_position(new, Position(max(number, 0), b"").unwritten())


def _set_position(connection: Any, position: Position) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO setting (name, value) VALUES (?, ?)", (_POSITION, str(position))
    )


def _position_of(path: Path, key: bytes) -> Position | None:
    found = _read_one(path, key, f"SELECT value FROM setting WHERE name = '{_POSITION}'")  # noqa: S608
    if found is None:
        return None
    try:
        return Position.parse(found)
    except ValueError:
        return None


def _read_one(path: Path, key: bytes, sql: str) -> Any:
    """The first column of the first row; None where that can't be read."""
    with contextlib.suppress(StoreFault, OSError):
        if path.stat().st_size:
            for row in _reader(path, key, sql):
                return row[0]
    return None


def _is_whole(path: Path, key: bytes, read: str = "immutable=1") -> bool:
    """Every page decrypts, and all stand together."""
    try:
        with damage_told(), contextlib.closing(connect(path, key, read=read)) as one:
            if one.execute("PRAGMA cipher_integrity_check").fetchall():
                return False
            return bool(one.execute("PRAGMA quick_check").fetchall() == [("ok",)])
    except StoreFault:
        return False


def _quickly(connection: Any) -> None:
    """Nothing of this file counts before it is whole and flushed."""
    for pragma in ("journal_mode = MEMORY", "synchronous = OFF", "temp_store = MEMORY", "secure_delete = ON"):
        connection.execute(f"PRAGMA {pragma}")
