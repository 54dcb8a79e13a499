"""How fast the cloud's PostgreSQL is: a million observations, reads and inserts at a fixed rate, then where the knee is.

    .venv/bin/python .ci/cloud_database.py [--rows 1000000] [--seconds 30] [--plot FILE]

Starts a server of its own with fsync on, migrates it, fills it, and sends what the API sends: a page of ten of a patient, and a
batch of one; each is a transaction with BEGIN, the clinic, the store's own statement and COMMIT. Open loop: requests begin at
times drawn beforehand (Poisson), whether or not earlier ones have been answered, and a latency counts from the time a request
should have begun; what is still waiting at the end counts as long as it has waited. Client and server share this machine.
Prints a table and what was missed; the exit status is 1 where something was.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import multiprocessing
import os
import platform
import random
import sys
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate, repeat, takewhile
from multiprocessing.connection import Connection
from pathlib import Path
from uuid import UUID, uuid4

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import psycopg  # noqa: E402

from backend_lambda import wire  # noqa: E402
from backend_lambda.store import observations  # noqa: E402
from backend_lambda.store.database import Database  # noqa: E402
from tests.stand_ins.postgres import Postgres, Urls  # noqa: E402

TARGET_P99_MS = 10.0
CLINICS = 20
OBSERVATIONS_EACH = 100
"""Of a patient: two scans a week for a year."""
WARM_UP_S = 3.0
GRACE_S = 3.0
KNEE_STEPS = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 16.0)
GIVE_UP_MS = 500.0
"""A 99th percentile beyond which higher rates show nothing more."""
SETTINGS = {"shared_buffers": "512MB", "max_wal_size": "4GB", "max_connections": "200"}
BASE = datetime(2026, 1, 1, tzinfo=UTC)

FILL = """
INSERT INTO observation (clinic_id, id, patient_id, device_id, taken_at, received_at, content_hash, body)
SELECT clinic, id, patient, device, taken_at, taken_at, sha256(body::bytea), body::json FROM (
    SELECT md5('clinic' || p %% %(clinics)s)::uuid AS clinic, md5('observation' || n)::uuid AS id,
        md5('patient' || p)::uuid AS patient, md5('device' || p %% %(clinics)s)::uuid AS device,
        %(base)s::timestamptz + n * interval '10 s' AS taken_at,
        replace(replace(%(body)s, '{id}', md5('observation' || n)::uuid::text), '{patient}', md5('patient' || p)::uuid::text) AS body
    FROM (SELECT n, abs(hashint8(n)::bigint) %% %(patients)s AS p FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n) AS drawn
) AS made
"""


def named(kind: str, n: int) -> UUID:
    """As md5(…)::uuid in FILL."""
    return UUID(hashlib.md5(f"{kind}{n}".encode()).hexdigest())


def observation(id_: UUID, patient_id: UUID) -> wire.Observation:
    """Of the size that a scan has."""
    vital = {
        "low": 59.25,
        "high": 64.5,
        "value": 61.5,
        "unit": "bpm",
        "confidence": 0.875,
        "window_s": 30.0,
        "algorithm": "median of POS and CHROM 1.2",
    }
    return wire.Observation.model_validate(
        {
            "id": id_,
            "patient_id": patient_id,
            "kind": "scan",
            "taken_at": BASE,
            "utc_offset_min": 60,
            "software_version": "1.4.0",
            "values": {
                "heart_rate": vital,
                "respiratory_rate": {**vital, "unit": "1/min"},
                "spo2": {"value": None, "unit": "%", "reasons": ["not_measured_by_camera"]},
            },
            "quality": {"score": 0.75, "reasons": ["motion"]},
            "facts": {"measured_fps": 29.97, "accepted_s": 31.5, "face_px": 212.0, "simulated": False},
        }
    )


# --- The load ----------------------------------------------------------------------------------------


class SystemClock:
    def utc(self) -> datetime:
        return datetime.now(UTC)

    def now_s(self) -> float:
        return time.monotonic()


@dataclass(frozen=True, slots=True)
class Load:
    """Rates: by second and process. at_s: monotonic, when it begins."""

    url: str
    patients: int
    reads_per_s: float
    inserts_per_s: float
    seconds: float
    threads: int
    parse: bool
    seed: int
    at_s: float


Latencies = dict[str, list[float]]


def arrivals(load: Load) -> list[tuple[float, str]]:
    """When which request begins, in seconds since the load began."""
    chance = random.Random(load.seed)
    drawn: list[tuple[float, str]] = []
    for kind, rate in (("read", load.reads_per_s), ("insert", load.inserts_per_s)):
        gaps = map(chance.expovariate, repeat(rate))
        drawn += [(at, kind) for at in takewhile(lambda at: at < load.seconds, accumulate(gaps))]
    return sorted(drawn)


class Sender:
    """One process's share of a load: threads that take the next request when its time has come."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._requests = arrivals(load)
        self._next = 0
        self._lock = threading.Lock()
        self._ready = threading.Barrier(load.threads)
        self.latencies: Latencies = {"read": [], "insert": [], "failed": [], "unfinished": []}

    def run(self) -> None:
        with closing(Database(self._load.url, clock=SystemClock())) as database:
            threads = [
                threading.Thread(target=self._work, args=(database, number))
                for number in range(self._load.threads)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        now_s = time.monotonic()
        for at, kind in self._requests[self._next :]:
            self.latencies[kind].append(now_s - self._load.at_s - at)
            self.latencies["unfinished"].append(0.0)

    def _work(self, database: Database, number: int) -> None:
        chance = random.Random(self._load.seed * 1000 + number)
        self._one(database, chance, "insert")
        with database.outside() as tx:  # all at once, so that each has a connection
            tx.ask("SELECT 1")
            self._ready.wait()
        self._one(database, chance, "read")
        ends_s = self._load.at_s + self._load.seconds + GRACE_S
        while True:
            with self._lock:
                if self._next == len(self._requests) or time.monotonic() > ends_s:
                    return
                at, kind = self._requests[self._next]
                self._next += 1
            begin_s = self._load.at_s + at
            if (wait_s := begin_s - time.monotonic()) > 0:
                time.sleep(wait_s)
            try:
                self._one(database, chance, kind)
            except Exception:  # noqa: BLE001 (counted; any is a miss)
                self.latencies["failed"].append(0.0)
            self.latencies[kind].append(time.monotonic() - begin_s)

    def _one(self, database: Database, chance: random.Random, kind: str) -> None:
        patient = chance.randrange(self._load.patients)
        clinic_id, patient_id = named("clinic", patient % CLINICS), named("patient", patient)
        if kind == "insert":
            now = datetime.now(UTC)
            one = observation(uuid4(), patient_id).model_copy(update={"taken_at": now})
            with database.clinic(clinic_id) as tx:
                (status,) = observations.add_many(tx, named("device", patient % CLINICS), [one], now)
            if status is not wire.ItemStatus.STORED:
                raise RuntimeError(status)
            return
        with database.clinic(clinic_id) as tx:
            if self._load.parse:
                found = len(observations.page(tx, patient_id, None, 10))
            else:
                found = len(tx.ask(observations.FIRST_PAGE, (patient_id, 10)))
        if found == 0:
            raise RuntimeError("a patient without observations")


def send(load: Load, results: Connection) -> None:
    """What a process does."""
    sender = Sender(load)
    begin_s = time.process_time()
    sender.run()
    results.send((sender.latencies, time.process_time() - begin_s))
    results.close()


# --- What was found ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Step:
    """asked, done: requests per second. cores: what the senders used of the machine."""

    asked: float
    done: float
    failed: int
    unfinished: int
    cores: float
    read_ms: tuple[float, float, float, float]
    insert_ms: tuple[float, float, float, float]

    def worst_p99_ms(self) -> float:
        return max(self.read_ms[2], self.insert_ms[2])


def quantiles_ms(latencies_s: list[float]) -> tuple[float, float, float, float]:
    """p50, p95, p99, max: the smallest that so many are not above."""
    ordered = sorted(latencies_s)
    if not ordered:
        return (math.nan,) * 4
    p50, p95, p99 = (
        ordered[min(math.ceil(part * len(ordered)), len(ordered)) - 1] * 1000 for part in (0.5, 0.95, 0.99)
    )
    return p50, p95, p99, ordered[-1] * 1000


def step(asked: argparse.Namespace, urls: Urls, factor: float, seconds: float) -> Step:
    """One rate, for so long."""
    context = multiprocessing.get_context("spawn")
    patients = max(asked.rows // OBSERVATIONS_EACH, CLINICS)
    begins_s = time.monotonic() + 2.0 + 0.1 * asked.threads
    running = []
    for number in range(asked.processes):
        load = Load(
            urls.api,
            patients,
            asked.reads * factor / asked.processes,
            asked.inserts * factor / asked.processes,
            seconds,
            asked.threads,
            asked.parse,
            int(factor * 100) * 10 + number,
            begins_s,
        )
        receiving, sending = context.Pipe(duplex=False)
        process = context.Process(target=send, args=(load, sending))
        process.start()
        sending.close()
        running.append((process, receiving))
    whole: Latencies = {}
    used_s = 0.0
    for process, receiving in running:
        latencies, cpu_s = receiving.recv()
        used_s += cpu_s
        for kind, values in latencies.items():
            whole.setdefault(kind, []).extend(values)
        process.join()
    requests = len(whole["read"]) + len(whole["insert"])
    done = requests - len(whole["unfinished"]) - len(whole["failed"])
    return Step(
        asked=(asked.reads + asked.inserts) * factor,
        done=done / seconds,
        failed=len(whole["failed"]),
        unfinished=len(whole["unfinished"]),
        cores=used_s / seconds,
        read_ms=quantiles_ms(whole["read"]),
        insert_ms=quantiles_ms(whole["insert"]),
    )


def fill(urls: Urls, rows: int) -> float:
    """Rows in the order of time, patients at random. Returns the seconds it took."""
    begin_s = time.monotonic()
    body = observations.canonical(observation(UUID(int=0), UUID(int=1)))
    body = body.replace(str(UUID(int=0)), "{id}").replace(str(UUID(int=1)), "{patient}")
    patients = max(rows // OBSERVATIONS_EACH, CLINICS)
    with psycopg.connect(urls.superuser, autocommit=True) as connection:
        for number in range(CLINICS):
            clinic_id, device_id = named("clinic", number), named("device", number)
            connection.execute(
                "INSERT INTO clinic (clinic_id, name, created_at, allows) VALUES (%s, 'Clinic', now(), '{}')",
                (clinic_id,),
            )
            connection.execute(
                "INSERT INTO device (clinic_id, id, name, thumbprint, public_key, software_version, enrolled_at)"
                " VALUES (%s, %s, '', '', '{}', '', now())",
                (clinic_id, device_id),
            )
        for first in range(1, rows + 1, 50_000):
            connection.execute(
                FILL,
                {
                    "clinics": CLINICS,
                    "patients": patients,
                    "base": BASE,
                    "body": body,
                    "first": first,
                    "last": min(first + 49_999, rows),
                },
            )
        connection.execute("VACUUM (ANALYZE) observation")
        connection.execute("CHECKPOINT")
    return time.monotonic() - begin_s


def facts(urls: Urls, folder: Path) -> list[str]:
    """Of server and machine."""
    with psycopg.connect(urls.superuser) as connection:
        ((version, rows, table, indexes),) = connection.execute(
            "SELECT version(), (SELECT count(*) FROM observation), pg_size_pretty(pg_table_size('observation')),"
            " pg_size_pretty(pg_indexes_size('observation'))"
        ).fetchall()
        names = ("fsync", "synchronous_commit", "shared_buffers", "max_wal_size", "wal_sync_method")
        shown = [f"{name}={connection.execute(f'SHOW {name}'.encode()).fetchall()[0][0]}" for name in names]
    memory = ""
    if hasattr(os, "sysconf"):
        memory = f", {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    load = f", load {os.getloadavg()[0]:.1f} before" if hasattr(os, "getloadavg") else ""
    p50, _, p99, _ = quantiles_ms(disk_s(folder))
    return [
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores{memory}{load}",
        f"Python {platform.python_version()}, psycopg {psycopg.__version__}",
        f"a flush of 8 KiB to this disk by itself: p50 {p50:.2f}, p99 {p99:.2f} ms",
        str(version).partition(" (")[0] + ": " + ", ".join(shown),
        f"{rows:,} observations, table {table}, indexes {indexes}",
    ]


def disk_s(folder: Path) -> list[float]:
    """How long the disk takes to keep 8 KiB, without PostgreSQL: no insert can be quicker."""
    took_s = []
    flush = getattr(os, "fdatasync", os.fsync)
    with (folder / "flushed").open("wb", buffering=0) as file:
        file.write(bytes(8192 * 300))
        flush(file.fileno())
        file.seek(0)
        for _ in range(300):
            begin_s = time.monotonic()
            file.write(bytes(8192))
            flush(file.fileno())
            took_s.append(time.monotonic() - begin_s)
    return took_s


def line(found: Step) -> str:
    cells = [f"{found.asked:8.0f}", f"{found.done:8.0f}"]
    cells += [f"{value:8.2f}" for value in (*found.read_ms, *found.insert_ms)]
    extra = f"  {found.cores:.2f} cores for sending"
    if found.failed or found.unfinished:
        extra += f", {found.failed} failed, {found.unfinished} unfinished"
    return " ".join(cells) + extra


def draw(steps: list[Step], where: Path, title: str) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 5), constrained_layout=True)
    rates = [one.asked for one in steps]
    for name, style in (("read_ms", "-"), ("insert_ms", "--")):
        for at, (part, colour) in enumerate(
            (("p50", "tab:green"), ("p95", "tab:orange"), ("p99", "tab:red"))
        ):
            values = [getattr(one, name)[at] for one in steps]
            label = f"{'read' if name == 'read_ms' else 'insert'} {part}"
            axes.plot(rates, values, style, color=colour, marker="o", markersize=3, label=label)
    axes.axhline(TARGET_P99_MS, color="black", linewidth=0.8, linestyle=":")
    axes.set(
        xlabel="requests per second, reads and inserts",
        ylabel="latency, ms",
        yscale="log",
        title=title,
    )
    axes.grid(visible=True, which="both", alpha=0.2)
    axes.legend(ncols=2, fontsize=8)
    figure.savefig(where, dpi=150)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--reads", type=float, default=500.0, help="per second")
    parser.add_argument("--inserts", type=float, default=100.0, help="per second")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument(
        "--knee-seconds", type=float, default=8.0, help="of each rate; 0: no search for the knee"
    )
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--threads", type=int, default=12, help="of each process: so many requests at once")
    parser.add_argument(
        "--parse", action="store_true", help="reads make objects of the rows, as the API does"
    )
    parser.add_argument("--plot", type=Path)
    asked = parser.parse_args()
    with Postgres(durable=True, extra=SETTINGS) as server:
        urls = server.migrated()
        took_s = fill(urls, asked.rows)
        told = facts(urls, server.folder)
        print(*told, sep="\n")
        print(f"filled in {took_s:.0f} s; page of 10 by patient, batches of 1, Poisson arrivals")
        print(
            "   asked     done read p50      p95      p99      max ins. p50      p95      p99      max   (per s; ms)"
        )
        step(asked, urls, 1.0, WARM_UP_S)
        first = step(asked, urls, 1.0, asked.seconds)
        print(line(first), flush=True)
        steps = []
        if asked.knee_seconds:
            for factor in KNEE_STEPS:
                steps.append(step(asked, urls, factor, asked.knee_seconds))
                print(line(steps[-1]), flush=True)
                if steps[-1].worst_p99_ms() > GIVE_UP_MS or steps[-1].unfinished:
                    break
    if steps:
        good = [one.asked for one in takewhile(lambda one: one.worst_p99_ms() <= TARGET_P99_MS, steps)]
        print(f"knee: p99 stays within {TARGET_P99_MS:.0f} ms up to {max(good, default=0):.0f} requests/s")
        if asked.plot:
            draw(steps, asked.plot, told[0].partition(";")[0])
    missed = [
        f"{kind} p99 {values[2]:.2f} ms > {TARGET_P99_MS:.0f} ms"
        for kind, values in (("read", first.read_ms), ("insert", first.insert_ms))
        if values[2] > TARGET_P99_MS
    ]
    if first.failed or first.unfinished:
        missed.append(f"{first.failed} failed, {first.unfinished} unfinished")
    print("missed: " + "; ".join(missed) if missed else "all targets met")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
