"""Brings a database to the newest form: plain SQL files, each applied once, in one transaction, by one runner at a time.

Run by the tables' owner, which is no superuser and may make roles; never by a function that serves.
"""

from __future__ import annotations

import hashlib
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final

import psycopg

MIGRATIONS: Final[Traversable] = resources.files("backend_lambda") / "migrations"
_LOCK = 4_803_911_260
"""Any number, the same in all versions."""


class MigrationRefused(Exception):
    """The files are not those that made this database; nothing was changed."""


def migrate(url: str, folder: Traversable = MIGRATIONS) -> list[str]:
    """Names of the files that were applied now, in order; none: the database is up to date.

    Waits for another runner. All or nothing. Raises MigrationRefused: a file was edited after it was applied, is gone, or comes
    before one that was applied; psycopg.Error: a file fails or the database does not answer.
    """
    files = {
        entry.name: entry.read_bytes()
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".sql")
    }
    with psycopg.connect(url, connect_timeout=10, prepare_threshold=None) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
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
        if name not in files:
            raise MigrationRefused(f"{name} was applied and is not among the files: they are older")
        if _sha256(files[name]) != sha256:
            raise MigrationRefused(f"{name} was edited after it was applied")
    late = [name for name in files if name not in applied and name < max(applied, default="")]
    if late:
        raise MigrationRefused(f"{late[0]} is new and comes before one that was applied")


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
