"""Migrations: once, in order, all or nothing, by one runner, and never from files that were edited."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from backend_lambda.store.migrate import MIGRATIONS, MigrationRefused, NewerDatabase, as_owner, migrate
from tests.stand_ins.postgres import Postgres, Urls

OURS = sorted(entry.name for entry in MIGRATIONS.iterdir() if entry.name.endswith(".sql"))


@pytest.fixture
def empty(postgres: Postgres, request: pytest.FixtureRequest) -> Iterator[Urls]:
    name = "empty_for_a_test"
    yield postgres.empty(name)
    postgres.drop(name)


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.sql").write_text(text, encoding="utf-8")
    return folder


def ask(urls: Urls, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(urls.superuser) as connection:
        return connection.execute(query.encode()).fetchall()


def test_ours(empty: Urls) -> None:
    assert len(OURS) >= 2
    assert migrate(empty.owner) == OURS
    assert migrate(empty.owner) == []
    assert ask(empty, "SELECT name FROM schema_migration ORDER BY 1") == [(name,) for name in OURS]
    assert ask(empty, "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'") == [
        ("owner_login",)
    ]


def test_two_runners_at_once(empty: Urls) -> None:
    """The second waits for the first and finds nothing to do."""
    applied: list[list[str]] = []
    start = threading.Barrier(2)

    def run() -> None:
        start.wait()
        applied.append(migrate(empty.owner))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(applied) == [[], OURS]


def test_a_runner_waits_for_one_that_works(empty: Urls, tmp_path: Path) -> None:
    """While one is in the middle of its files, another has to have applied nothing, however long that takes."""
    write(tmp_path, a="SELECT pg_sleep(0.5); CREATE TABLE made (at timestamptz DEFAULT clock_timestamp())")
    order: list[str] = []

    def run(name: str) -> None:
        order.extend(f"{name} {one}" for one in migrate(empty.owner, tmp_path))

    threads = [threading.Thread(target=run, args=(name,)) for name in ("first", "second", "third")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(order) == 1


def test_a_new_file_is_applied_alone(empty: Urls, tmp_path: Path) -> None:
    write(tmp_path, **{"0001_a": "CREATE TABLE a (x int)"})
    assert migrate(empty.owner, tmp_path) == ["0001_a.sql"]
    write(tmp_path, **{"0002_b": "ALTER TABLE a ADD y int; INSERT INTO a VALUES (1, 2)"})
    (tmp_path / "notes.txt").write_text("no migration", encoding="utf-8")
    assert migrate(empty.owner, tmp_path) == ["0002_b.sql"]
    assert ask(empty, "SELECT * FROM a") == [(1, 2)]


@pytest.mark.parametrize(
    "change, said",
    [
        ({"0001_a": "CREATE TABLE a (x bigint)"}, "0001_a.sql was edited"),
        ({"0001_a": "CREATE TABLE a (x int) "}, "0001_a.sql was edited"),
        ({"0000_z": "CREATE TABLE z (x int)"}, "0000_z.sql is new and comes before"),
        (None, "0001_a.sql was applied and is not among"),
    ],
)
def test_other_files_than_those_that_made_it(
    empty: Urls, tmp_path: Path, change: dict[str, str] | None, said: str
) -> None:
    write(tmp_path, **{"0001_a": "CREATE TABLE a (x int)"})
    migrate(empty.owner, tmp_path)
    if change is None:
        (tmp_path / "0001_a.sql").rename(tmp_path / "0001_b.sql")
    else:
        write(tmp_path, **change)
    write(tmp_path, **{"0002_c": "CREATE TABLE c (x int)"})
    with pytest.raises(MigrationRefused, match=said):
        migrate(empty.owner, tmp_path)
    assert ask(empty, "SELECT to_regclass('c') IS NULL, to_regclass('z') IS NULL") == [(True, True)]


def test_files_of_an_older_version_are_told_from_others(empty: Urls, tmp_path: Path) -> None:
    """A deployment that was rolled back finds them; nothing is wrong with the database then."""
    write(tmp_path, **{"0001_a": "CREATE TABLE a (x int)", "0002_b": "CREATE TABLE b (x int)"})
    migrate(empty.owner, tmp_path)
    (tmp_path / "0002_b.sql").unlink()
    with pytest.raises(NewerDatabase, match=r"0002_b\.sql was applied and is not among"):
        migrate(empty.owner, tmp_path)
    write(tmp_path, **{"0003_c": "CREATE TABLE c (x int)"})
    with pytest.raises(MigrationRefused) as refused:
        migrate(empty.owner, tmp_path)
    assert type(refused.value) is MigrationRefused, "one of both sides: no older version of this one"
    (tmp_path / "0003_c.sql").unlink()
    write(tmp_path, **{"0001_a": "CREATE TABLE a (x bigint)"})
    with pytest.raises(MigrationRefused, match=r"0001_a\.sql was edited"):
        migrate(empty.owner, tmp_path)
    (tmp_path / "0001_a.sql").unlink()
    with pytest.raises(MigrationRefused) as refused:
        migrate(empty.owner, tmp_path)
    assert type(refused.value) is MigrationRefused, "without any file: a bundle that lacks them"
    assert ask(empty, "SELECT to_regclass('c') IS NULL") == [(True,)]


def test_a_password_that_is_asked_for(empty: Urls) -> None:
    parts = urlsplit(empty.owner)
    bare = parts._replace(netloc=f"{parts.username}@{parts.hostname}:{parts.port}").geturl()
    asked: list[str] = []

    def password() -> str:
        asked.append("once")
        return str(parts.password)

    with pytest.raises(psycopg.OperationalError):
        migrate(bare)
    assert migrate(bare, password=password) == OURS
    assert asked == ["once"]


@pytest.mark.parametrize("sleeps", [1, 40])
def test_it_ends_in_time_and_leaves_nothing(empty: Urls, tmp_path: Path, sleeps: int) -> None:
    """One long statement is ended by the server; many, each shorter than the time, by the connection's end."""
    text = "CREATE TABLE a (x int);" + f"SELECT pg_sleep({8 / sleeps});" * sleeps
    write(tmp_path, **{"0001_a": text})
    began_s = time.monotonic()
    with pytest.raises(psycopg.OperationalError):
        migrate(empty.owner, tmp_path, may_take_s=0.8)
    assert 0.7 < time.monotonic() - began_s < 4.0
    assert ask(empty, "SELECT to_regclass('a') IS NULL") == [(True,)]
    write(tmp_path, **{"0001_a": "CREATE TABLE a (x int)"})
    assert migrate(empty.owner, tmp_path, may_take_s=20.0) == ["0001_a.sql"]
    if sys.platform == "linux":
        assert time.monotonic() - began_s < 6.0, "the server has noticed, and holds the lock no longer"


def test_it_waits_no_longer_than_it_may_for_another(empty: Urls) -> None:
    with as_owner(empty.owner), pytest.raises(psycopg.errors.QueryCanceled):
        migrate(empty.owner, may_take_s=0.3)


def test_all_or_nothing(empty: Urls, tmp_path: Path) -> None:
    write(tmp_path, **{"0001_a": "CREATE TABLE a (x int)", "0002_b": "CREATE TABLE b (x int); SELECT 1 / 0"})
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(empty.owner, tmp_path)
    assert ask(empty, "SELECT to_regclass('a') IS NULL, to_regclass('b') IS NULL") == [(True, True)]
    write(tmp_path, **{"0002_b": "CREATE TABLE b (x int)"})
    assert migrate(empty.owner, tmp_path) == ["0001_a.sql", "0002_b.sql"]


def test_a_second_database_of_the_same_server(postgres: Postgres, empty: Urls, urls: Urls) -> None:
    """Roles belong to the server: those of another database are used as they are."""
    assert migrate(empty.owner) == OURS
    with psycopg.connect(empty.api) as connection:
        assert connection.execute("SELECT count(*) FROM observation").fetchall() == [(0,)]
