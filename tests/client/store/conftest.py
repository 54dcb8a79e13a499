"""A key store in memory, and stores made with it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from client.store.database import FILE_NAME, Database
from client.store.observations import Observations

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
