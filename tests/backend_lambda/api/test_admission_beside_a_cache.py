"""Admission where a cache keeps proofs and counts requests: the same answers, and what happens when the cache is away or forgets."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

import psycopg
import pytest

from backend_lambda import app
from backend_lambda.app import SystemClock
from backend_lambda.auth import dpop
from backend_lambda.aws import admission_cache
from backend_lambda.errors import Code, unavailable
from backend_lambda.ports import AdmissionCache
from backend_lambda.store.database import Database
from tests.backend_lambda.conftest import SetClock
from tests.backend_lambda.world import Kiosk, World, settings
from tests.stand_ins.postgres import Urls
from tests.stand_ins.valkey_server import NoValkey, ValkeyServer

PATH = "/v1/config"


@dataclass
class MemoryCache:
    """As the port says. away: it does not answer."""

    away: bool = False
    proofs: set[bytes] = field(default_factory=set)
    counted: Counter[tuple[UUID, UUID, int]] = field(default_factory=Counter)

    def seen(self, proof: bytes) -> bool:
        self._check()
        known = proof in self.proofs
        self.proofs.add(proof)
        return known

    def count(self, clinic_id: UUID, asker_id: UUID, now: datetime, limit_per_minute: int) -> float | None:
        self._check()
        minute, into_s = divmod(now.timestamp(), 60)
        self.counted[clinic_id, asker_id, int(minute)] += 1
        return 60 - into_s if self.counted[clinic_id, asker_id, int(minute)] > limit_per_minute else None

    def _check(self) -> None:
        if self.away:
            raise unavailable(Code.STORE_UNAVAILABLE, "The cache does not answer.")


Use = Callable[..., World]


@pytest.fixture
def use(world: World) -> Use:
    """A function that does it: from now on the API has this cache, and a limit of its own."""

    def used(cache: AdmissionCache, **changes: int) -> World:
        world.settings = settings(**changes)
        ports = replace(world.fakes.ports(), admission_cache=cache)
        world.backend = app.Backend(world.settings, ports, world.database)
        world.patch.setattr(app, "backend", lambda: world.backend)
        return world

    return used


@pytest.fixture
def cache() -> MemoryCache:
    return MemoryCache()


@pytest.fixture
def kept(urls: Urls) -> Callable[[], int]:
    """How many proofs the database has kept, of all tests."""

    def count() -> int:
        with psycopg.connect(urls.superuser) as connection:
            ((number,),) = connection.execute("SELECT count(*) FROM proof_seen").fetchall()
        return int(number)

    return count


def failures(world: World) -> int:
    return sum(name == "cache_failed" for name, *_ in world.fakes.measures.added)


def replies(world: World, headers: dict[str, str], times: int = 1) -> list[str]:
    """Of each: its status where that is 200, else the problem's code."""
    found = [world.send("GET", PATH, headers=headers) for _ in range(times)]
    return [str(one.status) if one.status == 200 else one.code for one in found]


def test_the_database_is_only_read(
    use: Use, world: World, cache: MemoryCache, kept: Callable[[], int]
) -> None:
    device = world.kiosk()
    use(cache)
    before = kept()
    assert replies(world, world.headers(device, "GET", PATH), 3) == [
        "200",
        "proof_replayed",
        "proof_replayed",
    ]
    assert world.audit(device.clinic_id)[-1]["result"] == "proof_replayed"
    assert (kept(), len(cache.proofs)) == (before, 1)
    assert failures(world) == 0


def test_a_revoked_or_foreign_device_never_reaches_the_cache(
    use: Use, world: World, cache: MemoryCache
) -> None:
    device = world.kiosk()
    admin = world.person("clinic_admin", device.clinic_id)
    use(cache)
    path = f"/v1/clinics/{device.clinic_id}/devices/{device.id}/revoke"
    assert world.by(admin, "POST", path).status == 204
    assert replies(world, world.headers(device, "GET", PATH)) == ["device_revoked"]
    assert not cache.proofs
    assert not cache.counted


def test_too_many(use: Use, world: World, cache: MemoryCache) -> None:
    device = world.kiosk()
    use(cache, requests_per_minute=3)
    found = [world.by(device, "GET", PATH) for _ in range(5)]
    assert [one.status for one in found] == [200, 200, 200, 429, 429]
    assert 0 < float(found[-1].headers["retry-after"]) <= 60


def test_while_the_cache_is_away_the_database_does_it(
    use: Use, world: World, cache: MemoryCache, kept: Callable[[], int]
) -> None:
    device = world.kiosk()
    use(cache)
    cache.away = True
    before = kept()
    assert replies(world, world.headers(device, "GET", PATH), 2) == ["200", "proof_replayed"]
    assert kept() == before + 1
    assert failures(world) == 1, "the second one was known to the database before the cache was asked"


def test_what_came_in_while_it_was_away_is_known_when_it_is_back(
    use: Use, world: World, cache: MemoryCache
) -> None:
    device = world.kiosk()
    use(cache)
    headers = world.headers(device, "GET", PATH)
    cache.away = True
    assert replies(world, headers) == ["200"]
    cache.away = False
    assert replies(world, headers) == ["proof_replayed"]


def test_what_only_the_cache_has_seen_can_be_sent_once_more_while_it_is_away_and_fresh(
    use: Use, world: World, cache: MemoryCache
) -> None:
    """The price of going on without it. It has a bound, and is measured."""
    device = world.kiosk()
    use(cache)
    headers, late = (world.headers(device, "GET", PATH) for _ in range(2))
    assert replies(world, headers) == ["200"]
    assert replies(world, late) == ["200"]
    cache.away = True
    assert replies(world, headers, 3) == ["200", "proof_replayed", "proof_replayed"]
    assert failures(world) == 1
    world.clock.go(dpop.FRESH_S + 1)
    assert replies(world, late) == ["clock_skew"]


def test_a_cache_that_fails_between_its_two_answers(use: Use, world: World, cache: MemoryCache) -> None:
    """It has kept the proof: the database, which has not, lets the request in."""
    device = world.kiosk()
    use(cache)
    seen = cache.seen

    def then_gone(proof: bytes) -> bool:
        found = seen(proof)
        cache.away = True
        return found

    world.patch.setattr(cache, "seen", then_gone)
    headers = world.headers(device, "GET", PATH)
    assert replies(world, headers, 2) == ["200", "proof_replayed"]


def test_renewals_and_enrolments_stay_with_the_database(use: Use, world: World, cache: MemoryCache) -> None:
    """One in fifteen minutes of each device, in a transaction that writes anyway."""
    use(cache)
    device: Kiosk = world.kiosk()
    assert world.refresh(device).status == 200
    assert not cache.proofs


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    try:
        made = ValkeyServer()
    except NoValkey as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"{error}")
    with made:
        yield made


def test_with_a_real_server_that_dies(use: Use, world: World, server: ValkeyServer) -> None:
    """As the composition root puts it together, by HH_CACHE_URL."""
    device = world.kiosk()
    for name in ("CONNECTING_MAY_TAKE_S", "ANSWERING_MAY_TAKE_S"):
        world.patch.setattr(admission_cache, name, 10.0)  # all tests at once are slower than a cache may be
    found = settings(cache_url=server.url)
    made = app._cache_of(found, SystemClock())
    assert isinstance(made, admission_cache.ValkeyAdmission)
    with closing(made):
        use(made)
        assert replies(world, world.headers(device, "GET", PATH), 2) == ["200", "proof_replayed"]
        server.stop()
        assert replies(world, world.headers(device, "GET", PATH), 2) == ["200", "proof_replayed"]
        assert failures(world) == 1


def test_without_a_cache_its_client_is_not_imported(clock: SetClock, api: Database) -> None:
    """A cold start without one costs what it did before."""
    code = (
        "import sys\n"
        "from tests.backend_lambda.world import settings\n"
        "from backend_lambda import app\n"
        "assert app.ports_of(settings()).admission_cache is None\n"
        "assert 'valkey' not in sys.modules\n"
        "assert app.ports_of(settings(cache_url='redis://127.0.0.1:1/')).admission_cache is not None\n"
        "assert 'valkey' in sys.modules\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert (ran.returncode, ran.stderr) == (0, "")
