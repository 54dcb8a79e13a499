"""Brings a database to the newest form: plain SQL files, each applied once, in one transaction, by one runner at a time.

Run by the tables' owner, which is no superuser and may make roles; never by a function that serves.
A deployment that is rolled back runs its older files on the newer database: a file may add, and takes away only what the version
before it does not use any more.
"""

from __future__ import annotations

import hashlib
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, Final

import psycopg

MIGRATIONS: Final[Traversable] = resources.files("backend_lambda") / "migrations"
_LOCK = 4_803_911_260
"""Any number, the same in all versions."""
_CONNECTING_MAY_TAKE_S = 10
_CUT_LATER_S = 1.0
_GIVES_UP_WITH_US = (
    "SELECT set_config('client_connection_check_interval', '1s', true) WHERE version() NOT LIKE '%Visual C%'"
)
"""Else the server goes on with a file, and keeps the lock, when nobody waits for it any more. PostgreSQL for Windows cannot."""
Connection = psycopg.Connection[tuple[Any, ...]]


class MigrationRefused(Exception):
    """The files are not those that made this database; nothing was changed."""


class NewerDatabase(MigrationRefused):
    """All of these files were applied as they are, and later ones too: the files are of an older version."""


@contextmanager
def as_owner(
    url: str, *, password: Callable[[], str] | None = None, may_take_s: float | None = None
) -> Iterator[Connection]:
    """One transaction of the owner's, which waits for any other of its kind in this database. COMMIT at the end.

    password: asked once; None: the URL's. may_take_s: until the end of COMMIT, then the server gives up the statement that runs, and
    a second later the connection is cut; None: as long as it takes. Raises psycopg.Error.
    """
    ends_s = time.monotonic() + (may_take_s or 0.0)
    secret: dict[str, Any] = {} if password is None else {"password": password()}
    connecting_s = min(_CONNECTING_MAY_TAKE_S, math.ceil(may_take_s or _CONNECTING_MAY_TAKE_S))
    connection = psycopg.connect(url, connect_timeout=connecting_s, prepare_threshold=None, **secret)
    left_s = None if may_take_s is None else max(ends_s - time.monotonic(), 0.001)
    with _cut_after(connection, left_s), connection:
        if left_s is not None:
            limit_ms = str(math.ceil(left_s * 1000))
            connection.execute("SELECT set_config('statement_timeout', %s, true)", (limit_ms,))
            connection.execute(_GIVES_UP_WITH_US)
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        yield connection
        connection.commit()  # leaving a connection that was lost would say nothing


@contextmanager
def _cut_after(connection: Connection, seconds: float | None) -> Iterator[None]:
    """The server's own limit is for each statement, and a file has many. A request to cancel may not get through a proxy."""
    if seconds is None:
        yield
        return
    timer = threading.Timer(seconds + _CUT_LATER_S, _cut, (connection,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _cut(connection: Connection) -> None:
    """Wakes the thread that waits for an answer: for it the server has gone away, and the server rolls back."""
    with suppress(psycopg.Error, OSError):
        with socket.fromfd(connection.fileno(), socket.AF_INET, socket.SOCK_STREAM) as line:
            line.shutdown(socket.SHUT_RDWR)


def migrate(
    url: str,
    folder: Traversable = MIGRATIONS,
    *,
    password: Callable[[], str] | None = None,
    may_take_s: float | None = None,
) -> list[str]:
    """Names of the files that were applied now, in order; none: the database is up to date. password, may_take_s: see `as_owner`.

    Waits for another runner. All or nothing. Raises MigrationRefused: a file was edited after it was applied, is gone, or comes
    before one that was applied; NewerDatabase; psycopg.Error: a file fails or the database does not answer.
    """
    files = {
        entry.name: entry.read_bytes()
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".sql")
    }
    with as_owner(url, password=password, may_take_s=may_take_s) as connection:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migration"
            " (name text PRIMARY KEY, sha256 bytea NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        applied: dict[str, bytes] = dict(
            connection.execute("SELECT name, sha256 FROM schema_migration").fetchall()
        )
        _refuse(files, applied)
        new = [name for name in files if name not in applied]
        for name in new:
            connection.execute(files[name])
            connection.execute(
                "INSERT INTO schema_migration (name, sha256) VALUES (%s, %s)", (name, _sha256(files[name]))
            )
    return new


def _refuse(files: dict[str, bytes], applied: dict[str, bytes]) -> None:
    for name, sha256 in applied.items():
        if name in files and _sha256(files[name]) != sha256:
            raise MigrationRefused(f"{name} was edited after it was applied")
    gone = sorted(applied.keys() - files.keys())
    if gone:
        is_older = bool(files) and files.keys() <= applied.keys() and gone[0] > max(files)
        told = f"{gone[0]} was applied and is not among the files: they are older"
        raise NewerDatabase(told) if is_older else MigrationRefused(told)
    late = [name for name in files if name not in applied and name < max(applied, default="")]
    if late:
        raise MigrationRefused(f"{late[0]} is new and comes before one that was applied")


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
