"""One real PostgreSQL server for a session of tests. Tests share a database and keep apart by clinics of their own; those that need
a database for themselves (to tamper with it, to stop its server) ask for one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from backend_lambda.store import clinics, devices
from backend_lambda.store.database import Database
from backend_lambda.wire import Feature
from tests.stand_ins.postgres import NoPostgres, Postgres, Urls


class SetClock:
    """Stands still until it is told to go on."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 27, 12, 0, 0, tzinfo=UTC)
        self.monotonic_s = 1000.0

    def utc(self) -> datetime:
        return self.time

    def now_s(self) -> float:
        return self.monotonic_s

    def go(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
        self.monotonic_s += seconds


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server, up and running. Without one installed: skipped on a developer's machine, failed in CI."""
    try:
        server = Postgres()
    except NoPostgres as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"{error}")
    with server:
        yield server


@pytest.fixture(scope="session")
def urls(postgres: Postgres) -> Urls:
    """A migrated database that tests share: leave nothing in it that belongs to no clinic of your own."""
    return postgres.migrated()


@pytest.fixture
def own_urls(postgres: Postgres) -> Iterator[Urls]:
    """A migrated database for one test alone."""
    made = postgres.migrated()
    yield made
    postgres.drop(made.api.rpartition("/")[2])


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def connected(clock: SetClock) -> Iterator[Callable[[str], Database]]:
    """`connected(url)`: a Database that is closed after the test."""
    with ExitStack() as stack:
        yield lambda url: stack.enter_context(closing(Database(url, clock=clock)))


@pytest.fixture
def api(urls: Urls, connected: Callable[[str], Database]) -> Database:
    """The shared database as the API function signs in to it."""
    return connected(urls.api)


@pytest.fixture
def chat(urls: Urls, connected: Callable[[str], Database]) -> Database:
    return connected(urls.chat)


@pytest.fixture
def processing(urls: Urls, connected: Callable[[str], Database]) -> Database:
    return connected(urls.processing)


@pytest.fixture
def auditor(urls: Urls, connected: Callable[[str], Database]) -> Database:
    return connected(urls.auditor)


@pytest.fixture
def clinic_id(api: Database, clock: SetClock) -> UUID:
    """A new clinic that may use everything."""
    made = uuid4()
    with api.outside() as tx:
        assert clinics.add(tx, made, "Clinic", clock.utc(), allows=Feature)
    return made


@pytest.fixture
def device_id(api: Database, clinic_id: UUID, clock: SetClock) -> UUID:
    """A new device of that clinic."""
    made = uuid4()
    with api.clinic(clinic_id) as tx:
        devices.add(
            tx,
            device_id=made,
            name="Kiosk",
            thumbprint="t" * 43,
            public_key={"kty": "EC", "crv": "P-256", "x": "x" * 43, "y": "y" * 43},
            software_version="1.0",
            now=clock.utc(),
        )
    return made
