"""What the admission cache takes off PostgreSQL, and from which load on that is worth its price.

    .venv/bin/python .ci/cloud_cache.py [--requests 6000] [--rounds 3] [--rows 100000]

Starts a PostgreSQL (fsync on) and a Valkey or Redis server of its own, and sends what the API sends, as fast as two threads can:
admission by the database alone, admission beside the cache, and what a request does besides (a page of ten of a patient, a batch of
one). The rounds of the kinds take turns. What counts is the processor time of the server's processes for each request, those of its
autovacuum included: it does not depend on what else runs on this machine. Then prices (backend_lambda/planning/prices.toml) say which
size of the database each rate of requests needs with and without the cache. Linux only: it reads /proc.

A core here is taken for a core there, which it is not; the ratio of the two is what holds.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import random
import sys
import threading
import time
import tomllib
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from uuid import UUID, uuid4

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / ".ci")]

import psycopg  # noqa: E402
import valkey  # noqa: E402
from cloud_database import CLINICS, SystemClock, facts, fill, named, observation, quantiles_ms  # noqa: E402

from backend_lambda import wire  # noqa: E402
from backend_lambda.aws.admission_cache import ValkeyAdmission  # noqa: E402
from backend_lambda.aws.clients import Clients  # noqa: E402
from backend_lambda.store import admission, observations  # noqa: E402
from backend_lambda.store.admission import Verdict  # noqa: E402
from backend_lambda.store.database import Database  # noqa: E402
from tests.stand_ins.postgres import Postgres, Urls  # noqa: E402
from tests.stand_ins.valkey_server import ValkeyServer  # noqa: E402

THREADS = 2
LIMIT_PER_MINUTE = 1_000_000_000
SETTINGS = {"shared_buffers": "512MB", "max_wal_size": "4GB", "autovacuum_naptime": "5s"}
TICKS_PER_S = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
HOURS_PER_MONTH = 730.0
SECONDS_PER_MONTH = HOURS_PER_MONTH * 3600.0
WRITES = 0.5
"""Of requests: what else they do is a batch of one, else a page of ten."""
BUSY = 0.5
"""How much of a database's processors a load may use before the next size is taken."""
LEAST_GB = 0.1
"""Charged for in any case."""
COMMANDS = 5
"""Of a request: SET, MULTI, INCRBY, EXPIRE, EXEC; each is an ECPU."""
SIZES = {
    "db_t4g_micro": 0.2,
    "db_t4g_small": 0.4,
    "db_t4g_medium": 0.4,
    "db_t4g_large": 0.6,
    "db_m7g_large": 2.0,
    "db_m7g_xlarge": 4.0,
}
"""Processors that are there all the time: of the t4g their baseline (10, 20, 20, 30 % of two), from memory of AWS's tables."""


@dataclass
class Kind:
    """What is sent. Of all rounds: processor seconds of the servers, latencies, bytes of WAL."""

    name: str
    send: Callable[[random.Random], None]
    requests: int = 0
    database_s: float = 0.0
    cache_s: float = 0.0
    wal_bytes: int = 0
    latencies_s: list[float] = field(default_factory=list)
    rounds_ms: list[float] = field(default_factory=list)

    def database_ms(self) -> float:
        """A request's."""
        return self.database_s / self.requests * 1000


def processor_s(pid: int) -> float:
    """Of a process, all of its descendants, and those of them that have ended."""
    parents: dict[int, int] = {}
    used: dict[int, float] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(entry.name)] = int(fields[1])
        own = int(fields[11]) + int(fields[12])
        used[int(entry.name)] = (own + int(fields[13]) + int(fields[14])) / TICKS_PER_S
    family = {pid}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return sum(used[one] for one in family if one in used)


def proof() -> bytes:
    return os.urandom(32)


def kinds(database: Database, cache: ValkeyAdmission, patients: int) -> list[Kind]:
    """As auth/gate.py and the services do it."""

    def by_database(chance: random.Random) -> None:
        clinic_id, device_id = of(chance)
        with database.outside() as tx:
            found = admission.admit(
                tx,
                clinic_id=clinic_id,
                device_id=device_id,
                proof=proof(),
                now=datetime.now(UTC),
                limit_per_minute=LIMIT_PER_MINUTE,
            )
        assert found.verdict is Verdict.OK

    def by_cache(chance: random.Random) -> None:
        clinic_id, device_id = of(chance)
        digest = proof()
        with database.outside() as tx:
            found = admission.standing(tx, clinic_id=clinic_id, device_id=device_id, proof=digest)
        assert found is Verdict.OK
        assert not cache.seen(digest)
        assert cache.count(clinic_id, device_id, datetime.now(UTC), LIMIT_PER_MINUTE) is None

    def read(chance: random.Random) -> None:
        patient = chance.randrange(patients)
        with database.clinic(named("clinic", patient % CLINICS)) as tx:
            assert observations.page(tx, named("patient", patient), None, 10)

    def insert(chance: random.Random) -> None:
        patient = chance.randrange(patients)
        now = datetime.now(UTC)
        one = observation(uuid4(), named("patient", patient)).model_copy(update={"taken_at": now})
        with database.clinic(named("clinic", patient % CLINICS)) as tx:
            (status,) = observations.add_many(tx, named("device", patient % CLINICS), [one], now)
        assert status is wire.ItemStatus.STORED

    def of(chance: random.Random) -> tuple[UUID, UUID]:
        number = chance.randrange(DEVICES)
        return named("clinic", number % CLINICS), named("asking", number)

    return [
        Kind("admission, database", by_database),
        Kind("admission, cache", by_cache),
        Kind("page of ten", read),
        Kind("batch of one", insert),
    ]


DEVICES = 2_000
"""That ask, drawn evenly."""


def add_devices(urls: Urls) -> None:
    with psycopg.connect(urls.superuser) as connection:
        connection.cursor().executemany(
            "INSERT INTO device (clinic_id, id, name, thumbprint, public_key, software_version, enrolled_at)"
            " VALUES (%s, %s, '', '', '{}', '', now())",
            [(named("clinic", n % CLINICS), named("asking", n)) for n in range(DEVICES)],
        )


def wal(urls: Urls) -> int:
    with psycopg.connect(urls.superuser) as connection:
        ((found,),) = connection.execute("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn").fetchall()
    return int(found)


def run(kind: Kind, requests: int, urls: Urls, database_pid: int, cache_pid: int, seed: int) -> None:
    """One round."""
    begun = (processor_s(database_pid), processor_s(cache_pid), wal(urls))
    took: list[list[float]] = [[] for _ in range(THREADS)]

    def work(number: int) -> None:
        chance = random.Random(seed * 100 + number)
        for _ in range(requests // THREADS):
            begin_s = time.perf_counter()
            kind.send(chance)
            took[number].append(time.perf_counter() - begin_s)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done = sum(map(len, took))
    if done != requests // THREADS * THREADS:
        raise RuntimeError("requests failed")
    used_s = processor_s(database_pid) - begun[0]
    kind.requests += done
    kind.database_s += used_s
    kind.cache_s += processor_s(cache_pid) - begun[1]
    kind.wal_bytes += wal(urls) - begun[2]
    kind.rounds_ms.append(used_s / done * 1000)
    for part in took:
        kind.latencies_s += part


def kept(port: int) -> tuple[int, int]:
    """Keys and bytes of the cache."""
    with valkey.Valkey(port=port) as client:
        return int(client.dbsize()), int(client.info("memory")["used_memory"])


def line(kind: Kind) -> str:
    p50, _, p99, _ = quantiles_ms(kind.latencies_s)
    return (
        f"{kind.name:22} {kind.database_ms():8.3f} {min(kind.rounds_ms):8.3f} {max(kind.rounds_ms):8.3f}"
        f" {kind.cache_s / kind.requests * 1000:8.3f} {kind.wal_bytes / kind.requests:8.0f} {p50:8.2f} {p99:8.2f}"
    )


# --- What it is worth --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Worth:
    """prices: by their names in prices.toml. proof_bytes: of a proof in the cache, with all that Valkey keeps beside it."""

    prices: dict[str, float]
    proof_bytes: float

    def database_usd(self, rate: float, request_ms: float) -> tuple[str, float]:
        """The cheapest Multi-AZ size that carries the rate, a month; "": none of those that are known here."""
        needs = rate * request_ms / 1000 / BUSY
        fit = [(self.prices[f"rds_multi_{name}"], name) for name, cores in SIZES.items() if cores >= needs]
        if not fit:
            return "", math.inf
        usd, name = min(fit)
        return name, usd * HOURS_PER_MONTH

    def cache_usd(self, rate: float) -> float:
        """Serverless, a month: what it keeps and what it does."""
        kept_gb = max(LEAST_GB, rate * 25 * 60 * self.proof_bytes / 1e9)
        work = rate * SECONDS_PER_MONTH * COMMANDS / 1e6
        keeping = kept_gb * self.prices["cache_serverless"] * HOURS_PER_MONTH
        return keeping + work * self.prices["cache_serverless_work"]

    def by_rate(self, without_ms: float, with_ms: float) -> list[str]:
        """From one rate on to the next at which a size changes. The rate is that of the busiest minutes for the database, and taken for
        the month's average for the cache's work, which makes the cache dearer than it is.
        """
        edges = sorted(
            {1.0, *(BUSY * cores / ms * 1000 for cores in SIZES.values() for ms in (without_ms, with_ms))}
        )
        told = []
        for begin, end in pairwise(edges):
            rate = (begin + end) / 2
            alone, beside = self.database_usd(rate, without_ms), self.database_usd(rate, with_ms)
            if math.isinf(alone[1]):
                break
            whole = beside[1] + self.cache_usd(rate)
            told.append(
                f"{begin:7.0f} to {end:5.0f}   {alone[0][3:]:10} {alone[1]:6.0f} $   {beside[0][3:]:10} {whole:6.0f} $"
                f"   {'saves' if alone[1] > whole else 'costs'} {abs(alone[1] - whole):4.0f} $"
            )
        return told


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=6_000, help="of each kind, in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=100_000)
    asked = parser.parse_args()
    if platform.system() != "Linux":
        print("only Linux tells the processor time of a server's processes")
        return 2
    with Postgres(durable=True, extra=SETTINGS) as server, ValkeyServer() as cache_server:
        urls = server.migrated()
        fill(urls, asked.rows)
        add_devices(urls)
        print(*facts(urls, server.folder), sep="\n")
        patients = max(asked.rows // 100, CLINICS)
        cache = ValkeyAdmission(cache_server.url, SystemClock(), Clients("eu-central-1"), is_local=True)
        first_line = (server.folder / "data" / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0]
        pids = int(first_line), cache_server.pid
        with closing(Database(urls.api, clock=SystemClock())) as database, closing(cache):
            sent = kinds(database, cache, patients)
            for kind in sent:  # connections, plans and pages
                run(Kind(kind.name, kind.send), 200, urls, *pids, 0)
            empty = kept(cache_server.port)
            for number in range(asked.rounds):
                for kind in sent:
                    run(kind, asked.requests, urls, *pids, number + 1)
            full = kept(cache_server.port)
    print(f"{asked.rounds} rounds of {asked.requests} requests of each kind, {THREADS} threads; by request:")
    print("                       PostgreSQL  least     most    cache      WAL      p50      p99")
    print("                           ms       ms       ms       ms    bytes       ms       ms")
    for kind in sent:
        print(line(kind))
    proof_bytes = (full[1] - empty[1]) / (full[0] - empty[0])
    print(f"the cache keeps a proof in {proof_bytes:.0f} bytes")
    by_database, by_cache, read, insert = (kind.database_ms() for kind in sent)
    besides = (1 - WRITES) * read + WRITES * insert
    without_ms, with_ms = by_database + besides, by_cache + besides
    print(
        f"a whole request: {without_ms:.3f} ms of PostgreSQL's processor without the cache, {with_ms:.3f} with it"
        f" ({1 - with_ms / without_ms:.0%} less); {1000 / without_ms:.0f} and {1000 / with_ms:.0f} requests/s by core"
    )
    file = ROOT / "backend_lambda" / "planning" / "prices.toml"
    priced = tomllib.loads(file.read_text(encoding="utf-8"))["price"]
    worth = Worth({name: one["usd"] for name, one in priced.items()}, proof_bytes)
    print("requests/s         database alone      with the cache       a month")
    print(*worth.by_rate(without_ms, with_ms), sep="\n")
    print("the same if the cache kept the devices' standing too, so that a revocation would be seen late:")
    print(*worth.by_rate(without_ms, besides), sep="\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
