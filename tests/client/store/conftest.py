"""A key store in memory, and stores made with it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from client.app import kept_of
from client.clock import SystemClock
from client.parts import Kept
from client.policy import Policy
from client.store.database import FILE_NAME, Database
from client.store.observations import Observations
from client.store.opening import open_store
from client.vault import Vault

KEY = bytes(range(32))
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class MemoryVault:
    """Keeps secrets for one test; `fault` is raised by whatever is asked while it is set."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.fault: Exception | None = None

    def _check(self) -> None:
        if self.fault is not None:
            raise self.fault

    def read(self, name: str) -> bytes | None:
        self._check()
        return self.kept.get(name)

    def write(self, name: str, secret: bytes) -> None:
        self._check()
        self.kept[name] = secret

    def forget(self, name: str) -> None:
        self._check()
        self.kept.pop(name, None)


def kept_in(folder: Path, vault: Vault) -> Kept:
    """The store of this folder, open, as the commands and the window get it. What is due once a day is not done by itself."""
    return replace(kept_of(open_store(folder, vault), vault, SystemClock(), Policy()), chores=lambda: None)


@contextmanager
def rights(mode: int, *paths: Path) -> Iterator[None]:
    """These paths with these rights, and this process without root's: they count for it too. What is inside `tmp_path` of pytest can
    then not be reached at all by a process that was root; `open_folder` can.
    """
    before = {path: path.stat().st_mode for path in paths}
    for path in paths:
        path.chmod(mode | (0o111 if path.is_dir() and mode else 0))
    was_root = os.geteuid() == 0
    if was_root:
        os.seteuid(65534)  # "nobody"
    try:
        yield
    finally:
        if was_root:
            os.seteuid(0)
        for path, old in before.items():
            path.chmod(old)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """An empty folder that every account may look into."""
    with tempfile.TemporaryDirectory(prefix="health-helper-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def vault() -> MemoryVault:
    return MemoryVault()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / FILE_NAME, KEY)
    yield opened
    opened.close()


@pytest.fixture
def store(database: Database) -> Observations:
    return Observations(database)
