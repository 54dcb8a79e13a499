"""A week without a network: 1,000 scans and 200 documents are kept; then the network comes back. `make offline-week` starts it.

    .venv/bin/python .ci/offline_week.py [--scans 1000] [--documents 200] [--seed 1] [--no-window] [--plot]

The cloud (real handlers, real PostgreSQL, a stand-in for S3) runs in other processes on loopback. Measured: seconds from the connection to
an empty outbox; the client's memory meanwhile; and, with a second device, how evenly the real window (on a display of its own) draws a
simulated scan, first offline and then while everything is sent; there the cloud's processes, which no device has beside it, are asked to
leave the processor to others. Says what each process has cost, so that it can be seen who waits
for whom. --plot draws memory and outbox into assets/offline/week.png. The last line is a summary as JSON; the exit status is 1 where a
target is missed.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
PICTURE = ROOT / "assets" / "offline" / "week.png"
SYNC_S, MEMORY_MB, FRAME_MS = 60.0, 25.0, 100.0
"""At most: until the outbox is empty; gained between the first and the last quarter; 95th percentile between two pictures."""
OFFLINE_S = 5.0
SAMPLE_S = 0.1
SCAN_S = 30.0
GIVES_UP_S = 600.0
_TICKS = os.sysconf("SC_CLK_TCK")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make offline-week")
    parser.add_argument("--scans", type=int, default=1000)
    parser.add_argument("--documents", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-window", action="store_true", help="only the client without its window")
    parser.add_argument("--plot", action="store_true")
    parser.add_argument("--device", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--as", dest="role", choices=("keeper", "client", "window"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if os.name != "posix":
        print("This needs kill -9, fork and /proc of POSIX.", file=sys.stderr)
        return 4
    logging.disable(logging.INFO)
    match asked.role:
        case "keeper":
            return _keep(asked)
        case "client":
            return _client()
        case "window":
            return _window()
    return _measure(asked)


# --- The one that measures


def _measure(asked: argparse.Namespace) -> int:
    from tests.stand_ins.cloud_process import CloudProcess
    from tests.stand_ins.postgres import Postgres

    with tempfile.TemporaryDirectory(prefix="health-helper-week-") as name:
        folder = Path(name)
        (folder / "cloud").mkdir()
        with (
            Postgres(durable=True) as postgres,
            CloudProcess(
                folder / "cloud", postgres.migrated(), settings={"requests_per_minute": "1000000"}
            ) as cloud,
        ):
            homes = [folder / role for role in ("client", *([] if asked.no_window else ["window"]))]
            for home, (_, code) in zip(homes, cloud.start(clinics=1, codes=len(homes)), strict=True):
                _enrol(home, code, f"http://127.0.0.1:{cloud.port}")
            cloud.kill()
            for at, home in enumerate(homes):
                began_s = time.monotonic()
                numbers = (f"--{name}={getattr(asked, name)}" for name in ("scans", "documents", "seed"))
                subprocess.run(
                    _command("keeper", f"--device={at}", *numbers), env=_environment(home), check=True
                )
                _tell(f"{home.name}: kept offline in {time.monotonic() - began_s:.0f} s")
            plain = _run(homes[0], "client", cloud, postgres, os.environ)
            found = _of_client(plain)
            if len(homes) > 1:
                cloud.kill()
                cloud.nice = 10  # what is in the cloud takes only the time that the device leaves
                with _display() as display:
                    found |= _of_window(_run(homes[1], "window", cloud, postgres, display))
            found["lost"] = _missing(cloud, len(homes), asked)
    if asked.plot:
        _draw(plain["samples"], found, asked.scans, asked.documents)
    missed = [
        name
        for name, limit in (
            ("sync_s", SYNC_S),
            ("memory_gained_mb", MEMORY_MB),
            ("window_frame_p95_ms", FRAME_MS),
            ("lost", 0),
        )
        if name in found and not found[name] <= limit
    ]
    for name, value in found.items():
        print(f"{name:28} {value}")
    print(json.dumps({**found, "missed": missed}))
    return 1 if missed else 0


def _tell(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def _command(role: str, *more: str) -> list[str]:
    return [sys.executable, str(Path(__file__).resolve()), "--as", role, *more]


def _environment(home: Path) -> dict[str, str]:
    homes = ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")
    return {
        **os.environ,
        **dict.fromkeys(homes, str(home)),
        "PYTHONPATH": str(ROOT),
        "PYTHON_KEYRING_BACKEND": "tests.stand_ins.file_keyring.FileKeyring",
        "KEYS_OF_THE_TEST": str(home / "keys.json"),
    }


def _enrol(home: Path, code: str, url: str) -> None:
    home.mkdir(mode=0o700)
    command = [sys.executable, "-m", "client", "enrol", code, "--url", url]
    done = subprocess.run(command, env=_environment(home), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the device could not be enrolled: {done.stderr}")


def _run(home: Path, role: str, cloud: Any, postgres: Any, display: Any) -> dict[str, Any]:
    """A client that begins offline. Its samples, each (seconds, MB, waiting); when the cloud came; what all have cost."""
    before = _cost_s(postgres)
    process = subprocess.Popen(
        _command(role),
        env={**_environment(home), **{name: display[name] for name in _DISPLAY if name in display}},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    samples: list[tuple[float, float, int]] = []
    result: dict[str, Any] = {}
    connected_s = 0.0
    for line in process.stdout:
        said = json.loads(line)
        if "sample" in said:
            samples.append(tuple(said["sample"]))
        elif "connect" in said:
            cloud.start()
            connected_s = time.monotonic()
            process.stdin.write("connected\n")
            process.stdin.flush()
        else:
            result = said
    if process.wait() or not result:
        raise SystemExit(f"the {role} ended with {process.returncode}")
    after = _cost_s(postgres)
    cost = _of_process(cloud.pid)
    return {
        **result,
        "samples": samples,
        "connected_s": connected_s,
        "database_cpu_s": after - before,
        "cloud_cpu_s": cost[0],
        "inspections_cpu_s": cost[1],
    }


def _of_process(pid: int) -> tuple[float, float]:
    """Processor seconds of a process, and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS, (int(fields[13]) + int(fields[14])) / _TICKS


def _cost_s(postgres: Any) -> float:
    """Of the server with all its processes."""
    server = postgres.pid
    total_s = sum(_of_process(server))
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with suppress(OSError, IndexError):
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == server:
                    total_s += sum(_of_process(int(folder.name)))
    return total_s


def _of_client(run: dict[str, Any]) -> dict[str, Any]:
    sync_s = run["empty_s"] - run["connected_s"]
    during = [mb for at_s, mb, _ in run["samples"] if at_s >= run["connected_s"]]
    quarter = max(1, len(during) // 4)
    first, last = during[:quarter], during[-quarter:]
    return {
        "sync_s": round(sync_s, 1),
        "parked": run["parked"],
        "observations_s": round(run["observations_s"] - run["connected_s"], 1),
        "memory_offline_mb": round(
            _median([mb for at_s, mb, _ in run["samples"] if at_s < run["connected_s"]]), 1
        ),
        "memory_first_quarter_mb": round(_median(first), 1),
        "memory_last_quarter_mb": round(_median(last), 1),
        "memory_gained_mb": round(_median(last) - _median(first), 1),
        "memory_peak_mb": round(run["peak_mb"], 1),
        "waiting_for_answers_s": round(run["answers_s"], 1),
        "client_cpu_s": round(run["cpu_s"], 1),
        "cloud_cpu_s": round(run["cloud_cpu_s"], 1),
        "inspections_cpu_s": round(run["inspections_cpu_s"], 1),
        "database_cpu_s": round(run["database_cpu_s"], 1),
    }


def _of_window(run: dict[str, Any]) -> dict[str, Any]:
    return {
        "window_sync_s": round(run["empty_s"] - run["connected_s"], 1),
        "window_parked": run["parked"],
        "window_frame_p50_ms": round(run["during"]["interval_ms_p50"], 1),
        "window_frame_p95_ms": round(run["during"]["interval_ms_p95"], 1),
        "window_frame_p95_offline_ms": round(run["offline"]["interval_ms_p95"], 1),
        "window_memory_peak_mb": round(run["peak_mb"], 1),
    }


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def _missing(cloud: Any, devices: int, asked: argparse.Namespace) -> int:
    """How many things are not in PostgreSQL, or twice, or a file not in S3."""
    import psycopg

    from tests.stand_ins.aws.s3 import Kept
    from tests.stand_ins.local_cloud import DOCUMENTS

    with psycopg.connect(cloud.urls.superuser) as connection:
        [(observations,)] = connection.execute("SELECT count(*) FROM observation").fetchall()
        keys = [key for (key,) in connection.execute("SELECT object_key FROM upload")]
    bucket = Kept(cloud.folder / "s3").buckets()[DOCUMENTS]
    files = sum(1 for key in keys if key in bucket.versions)
    missing = abs(devices * asked.scans - int(observations)) + abs(devices * asked.documents - files)
    return int(missing)


_DISPLAY = ("DISPLAY", "QT_QPA_PLATFORM")


@contextmanager
def _display() -> Iterator[dict[str, str]]:
    """Xvfb's own; without that program the one that is there."""
    if not shutil.which("Xvfb"):
        yield dict(os.environ)
        return
    end, begin = os.pipe()
    process = subprocess.Popen(
        ["Xvfb", "-displayfd", str(begin), "-screen", "0", "1280x1024x24", "-nolisten", "tcp"],
        pass_fds=(begin,),
        stderr=subprocess.DEVNULL,
    )
    os.close(begin)
    try:
        with os.fdopen(end) as answer:
            yield {"DISPLAY": f":{answer.readline().strip()}", "QT_QPA_PLATFORM": "xcb"}
    finally:
        process.terminate()
        process.wait()


def _draw(samples: list[tuple[float, float, int]], found: dict[str, Any], scans: int, documents: int) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    begin_s = samples[0][0]
    at_s = [one[0] - begin_s for one in samples]
    figure, (memory, waiting) = plt.subplots(2, 1, figsize=(7.0, 4.0), sharex=True)
    memory.plot(at_s, [one[1] for one in samples], color="#0a5c8f")
    memory.set_ylim(0.0, 1.3 * max(one[1] for one in samples))
    memory.set_ylabel("memory, MB")
    memory.set_title(
        f"{scans} scans and {documents} documents after a week offline: sent in {found['sync_s']:.0f} s",
        fontsize=10,
    )
    waiting.plot(at_s, [one[2] for one in samples], color="#8f3a0a")
    waiting.set_ylabel("waiting to be sent")
    waiting.set_xlabel("seconds; the network comes back where the lower line begins to fall")
    waiting.set_ylim(0.0)
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE, dpi=110, bbox_inches="tight")


# --- Whoever keeps things for a week, in the device's home


def _keep(asked: argparse.Namespace) -> int:
    """As the application does it: the same store, the same functions."""
    from client.app import real_parts
    from client.clock import SystemClock
    from client.store.consents import Subject
    from tests.contract.sync_victim import observation

    chance = random.Random(f"{asked.seed} {asked.device}")
    with real_parts(SystemClock()).store() as kept:
        now = datetime.now(UTC)
        people = [kept.observations.add_person(f"Somebody {at}", now=now).id for at in range(20)]
        for person in people:
            kept.consents.record(person, Subject.CLOUD, 1, True, "en", now)
        for number in range(asked.scans):
            # Two of three of these numbers are scans; the others would be typed in.
            at = number + number // 2
            kept.observations.save(
                observation(asked.device, at, chance.choice([*people, None])), guest_agrees=True
            )
        for _ in range(asked.documents):
            size = int(50_000 * 40.0 ** chance.random())  # 50 KB to 2 MB
            kept.documents.add(
                _picture(chance, size),
                person=chance.choice(people),
                purpose="medical_report",
                media_type="image/png",
                title="From home",
                pages=None,
                now=now,
            )
    return 0


def _long(scan: Any) -> Any:
    """With as many points of its trend as make 20 KB."""
    points = [{"t_s": at / 4, "heart_rate": 70.0 + at / 100, "low": 68.0, "high": 72.0} for at in range(270)]
    return replace(scan, body={**scan.body, "scan": {**scan.body["scan"], "trend": points}})


def _picture(chance: random.Random, size: int) -> Iterator[bytes]:
    from tests.contract.sync_victim import png

    data = png(chance, size)
    for at in range(0, len(data), 65_536):
        yield data[at : at + 65_536]


# --- The client


def _say(**words: Any) -> None:
    os.write(_told, json.dumps(words).encode() + b"\n")


_told = 1


class _Samples:
    """Of this process's memory and of what waits, from a thread of its own. empty_s, observations_s: when nothing was left."""

    def __init__(self, sync: Any) -> None:
        self._sync = sync
        self._ended = threading.Event()
        self.connected = threading.Event()
        self.empty = threading.Event()
        self.parked = 0
        self.empty_s = 0.0
        self.observations_s = 0.0
        self._thread = threading.Thread(target=self._run, name="samples", daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(SAMPLE_S):
            counts = self._sync().counts
            waiting, self.parked = counts.pending + counts.sending, counts.parked
            now_s = time.monotonic()
            _say(sample=(now_s, _rss_mb(), waiting))
            if self.connected.is_set() and not self.observations_s and waiting <= _documents_there:
                self.observations_s = now_s
            if self.connected.is_set() and not waiting and not self.empty_s:
                self.empty_s = now_s
                self.empty.set()


_documents_there = 0


def _rss_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if "VmRSS" in line) / 1000.0


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000.0


def _quiet() -> None:
    """Standard output is for the one that measures."""
    global _told  # noqa: PLW0603 (where standard output was)
    _told = os.dup(1)
    os.dup2(2, 1)


def _count_documents(kept: Any) -> None:
    global _documents_there  # noqa: PLW0603 (for the thread that samples)
    _documents_there = sum(
        len(kept.documents.list(person)) for person in (None, *(one.id for one in kept.observations.people()))
    )


def _client() -> int:
    from client.app import real_parts
    from client.clock import SystemClock

    _quiet()
    answers_s = _waiting_for_answers()
    kept = real_parts(SystemClock()).store()
    _count_documents(kept)
    kept.sync.start()
    samples = _Samples(lambda: kept.sync.status)
    time.sleep(OFFLINE_S)
    cpu_s = time.process_time()
    _say(connect=time.monotonic())
    sys.stdin.readline()
    samples.connected.set()
    kept.sync.try_now()  # as when the system says that there is a network
    done = samples.empty.wait(GIVES_UP_S)
    cpu_s = time.process_time() - cpu_s
    samples.end()
    kept.close()
    _say(
        empty_s=samples.empty_s,
        observations_s=samples.observations_s,
        cpu_s=cpu_s,
        peak_mb=_peak_mb(),
        parked=samples.parked,
        answers_s=sum(answers_s),
    )
    return 0 if done else 1


def _waiting_for_answers() -> list[float]:
    """Gets the seconds of each request from now on: what others cost the client, and what it takes to send."""
    from client.cloud.transport import Transport

    taken_s: list[float] = []

    def timed(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            began_s = time.perf_counter()
            try:
                return real(*given, **named)
            finally:
                taken_s.append(time.perf_counter() - began_s)

        return call

    for name in ("request", "put"):
        patch.object(Transport, name, timed(getattr(Transport, name))).start()  # to the end of this process
    return taken_s


def _window() -> int:
    """Two simulated scans in the real window: one offline, one while everything is sent."""
    from PySide6.QtCore import QEventLoop, QTimer

    from client import config, log
    from client.app import real_parts
    from client.clock import SystemClock
    from client.parts import Demo, DemoScene, WindowChoice
    from client.pipeline.session import Goal
    from client.ui.preferences import CONSENT_VERSION, PreferencesFile
    from client.ui.shelf import Open
    from client.ui.start import Application, make_app

    _quiet()
    logging.disable(logging.NOTSET)
    paces: list[dict[str, float]] = []

    class Paces(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage() == "scan_drawn":
                paces.append(getattr(record, "fields", {}))

    log.start(verbose=True)
    logging.getLogger("health_helper").handlers = [Paces()]

    def pause(ms: int) -> None:
        """Not QTest.qWait: it keeps Python's lock."""
        loop = QEventLoop()
        QTimer.singleShot(ms, loop.quit)
        loop.exec()

    file = PreferencesFile(config.preferences_file())
    wanted = file.load()
    wanted.consent, wanted.language, wanted.lock_after_min = CONSENT_VERSION, "en", 0
    file.save(wanted)
    parts = real_parts(SystemClock())
    choice = WindowChoice(
        source=lambda: parts.demo(Demo(DemoScene.PERSON, 72.0, SCAN_S, real_time=True)),
        goal=Goal(at_most_s=SCAN_S),
    )
    running = Application(make_app(), parts, choice, file)
    running.show()
    while not isinstance(running.shelf.state, Open):
        pause(50)
    samples = _Samples(lambda: running.shelf.sync_status)

    def scan() -> dict[str, float]:
        running.window.go_to_scan()
        running.window.begin()
        while running.window.scan.running:
            pause(100)
        pause(500)
        return paces[-1]

    offline = scan()
    cpu_s = time.process_time()
    _say(connect=time.monotonic())
    sys.stdin.readline()
    samples.connected.set()
    running.shelf.try_sync_now()
    during = [scan()]
    began_s = time.monotonic()
    while not samples.empty.is_set() and time.monotonic() - began_s < GIVES_UP_S:
        pause(200)
    samples.end()
    running.window.close()
    running.end()
    _say(
        empty_s=samples.empty_s,
        observations_s=samples.observations_s,
        cpu_s=time.process_time() - cpu_s,
        peak_mb=_peak_mb(),
        parked=samples.parked,
        offline=offline,
        during=during[0],
    )
    return 0 if samples.empty.is_set() else 1


if __name__ == "__main__":
    sys.exit(main())
