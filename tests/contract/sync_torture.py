"""Clients and their cloud are killed at any moment, on a network that lies: is everything there, once, and as it was saved?

`run(kills)` is what `test_sync_torture` and `.ci/sync_torture.py` do. Devices live one life after the other (`sync_victim`), each ended with
SIGKILL while something chosen is under way. Meanwhile the API with S3 is killed and started again, PostgreSQL crashes, and between them and
the devices lies `FaultyProxy`. Then all troubles stop, each device sends what it still owes, and what PostgreSQL and S3 hold is compared
with what every device had told its person to have kept.

A key in S3 may have several versions, each of the same bytes: after a failed inspection the server writes a file anew so that there is an event.
Seeds repeat what is done and when it is aimed at; the moment that a kill hits is the machine's.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import psycopg

from backend_lambda import wire as server
from client.clock import SystemClock
from client.cloud import enrolment
from client.cloud.credentials import Credentials
from client.cloud.transport import Transport
from client.policy import Policy
from tests.contract.sync_victim import (
    BEGAN,
    OF_A_DEVICE_S,
    Life,
    digest,
    document,
    expected,
    observation,
    vault_of,
)
from tests.stand_ins.aws.s3 import Kept
from tests.stand_ins.cloud_process import ROOT, CloudProcess
from tests.stand_ins.faulty_proxy import FaultyProxy
from tests.stand_ins.local_cloud import DOCUMENTS
from tests.stand_ins.postgres import Postgres

AIMS = {
    "save": 4.0,
    "document": 2.0,
    "migration": 2.0,
    "upload": 4.0,
    "acknowledge": 3.0,
    "backup": 2.0,
    "delete": 1.0,
    "forget": 1.0,
}
"""What kills are aimed at, with their shares."""
LIVES_OF_A_DEVICE = 60
SIDE_BY_SIDE = 3
A_LIFE_S = 3.0
"""Where what is aimed at does not happen, it is killed anyway."""
DRAINED_WITHIN_S = 240.0
TOLD_EVERY_S = 10.0
SOMETHING_EVERY_S = 3.0


@dataclass
class Report:
    """hits: what was under way when a client was killed; one kill may hit several things. lost, doubled, corrupt: a sentence each."""

    kills: int = 0
    hits: Counter[str] = field(default_factory=Counter)
    cloud: Counter[str] = field(default_factory=Counter)
    troubles: Counter[str] = field(default_factory=Counter)
    observations: int = 0
    documents: int = 0
    forgotten: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    corrupt: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def right(self) -> bool:
        return not (self.lost or self.doubled or self.corrupt)

    def line(self) -> str:
        return f"{self.kills} kills: {len(self.lost)} lost, {len(self.doubled)} doubled, {len(self.corrupt)} corrupt"

    def lines(self) -> Iterator[str]:
        """All of it but the last line."""
        for kind in ("lost", "doubled", "corrupt", "notes"):
            found = getattr(self, kind)
            yield from (f"{kind}: {one}" for one in found[:20])
        yield f"killed within: {_listed(self.hits)}"
        yield f"the cloud: {_listed(self.cloud)}; the network: {_listed(self.troubles)}"
        yield (
            f"acknowledged to a person: {self.observations} observations and {self.documents} documents, beside {self.forgotten} people who were forgotten"
        )


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()) if count) or "nothing"


class Victims:
    """Children of one process that forks; one lives at a time. ledger: every line that a child says goes there too."""

    def __init__(self, home: Path) -> None:
        self._errors = (home / "errors").open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-c", "from tests.contract.sync_victim import serve; serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            cwd=home,
            env={
                **os.environ,
                "HOME": str(home),
                "TMPDIR": str(home),
                "PYTHONPATH": str(ROOT),
                "OPENBLAS_NUM_THREADS": "1",  # a process that forks has one thread
            },
        )
        assert self._process.stdout is not None and self._process.stdin is not None
        self._in, self._out = self._process.stdin, self._process.stdout.fileno()
        self._rest = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._in.close()
        self._process.wait(30)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._errors.close()

    def line(self, until_s: float) -> str | None:
        """None: the time is over."""
        while b"\n" not in self._rest:
            left_s = until_s - time.monotonic()
            if not select.select([self._out], [], [], max(0.0, left_s))[0]:
                return None
            piece = os.read(self._out, 65_536)
            if not piece:
                raise RuntimeError("the process that forks is gone")
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()

    def begin(self, life: Life) -> int:
        """Returns the child's number."""
        self._say(json.dumps(asdict(life)))
        early = b""
        while (line := self.line(time.monotonic() + 30.0)) is not None and not line.startswith("pid "):
            early += line.encode() + b"\n"  # the child may be faster than the one that has forked it
        assert line is not None
        self._rest = early + self._rest
        return int(line.removeprefix("pid "))

    def kill(self, pid: int) -> Iterator[str]:
        """Yields what it still said."""
        os.kill(pid, signal.SIGKILL)
        self._say(f"reap {pid}")
        while (line := self.line(time.monotonic() + 60.0)) != "ended":
            assert line is not None
            yield line

    def _say(self, words: str) -> None:
        self._in.write(words.encode() + b"\n")
        self._in.flush()


class Device:
    """One store with its key store, and the ledger: what its person was told, and what was only begun."""

    def __init__(self, number: int, folder: Path, seed: int, enrolled: dict[str, str]) -> None:
        self.number, self.folder, self.enrolled = number, folder, enrolled
        self.chance = random.Random(f"device {seed} {number}")
        self.seed = seed
        self.person = str(UUID(int=self.chance.getrandbits(128), version=4))
        self.old = 1 + number % 3
        self.steps = 0
        self.lives = 0
        self.saving: dict[int, str | None] = {}
        self.saved: set[int] = set()
        self.adding: dict[int, str | None] = {}
        self.added: dict[int, str] = {}
        self.visitors: set[str] = set()
        self.forgetting: set[str] = set()
        self.forgotten: set[str] = set()
        self.people: set[str] = set()
        self.has: dict[str, str] = {}
        self.holds: dict[str, str] = {}
        self.troubles: list[str] = []
        """What the client itself said that it must never have to say."""
        self.waiting: str | None = "it was never asked"
        """What was still owed when its time was over."""
        self._ledger = (folder / "ledger").open("a", encoding="utf-8")

    def life(self, kind: str, sabotage: str | None) -> Life:
        if kind == "migration":
            self.steps += 1
        if kind not in {"born", "drained"}:
            self.lives += 1
        return Life(
            kind,
            str(self.folder),
            self.number,
            self.lives,
            f"{self.seed} {self.number} {self.lives}",
            self.person,
            self.steps,
            self.old,
            self.enrolled,
            sabotage,
        )

    def read(self, line: str) -> None:
        """One line of a life."""
        self._ledger.write(line + "\n")
        what, _, rest = line.partition(" ")
        one, _, other = rest.partition(" ")
        match what:
            case "save":
                self.saving[int(one)] = None if other == "-" else other
            case "saved":
                self.saved.add(int(one))
            case "add":
                self.adding[int(one)] = None if other == "-" else other
            case "added":
                self.added[int(one)] = other
            case "visitor":
                self.visitors.add(one)
            case "forget":
                self.forgetting.add(one)
            case "forgotten":
                self.forgotten.add(one)
            case "person":
                self.people.add(one)
            case "has":
                if one in self.has:
                    self.troubles.append(f"{one} is in two lists of the store")
                self.has[one] = other
            case "holds":
                self.holds[one] = other
            case "damage" | "failed" | "healed" | "stays" | "bug":
                self.troubles.append(f"device {self.number}, life {self.lives}: {line}")
            case _:
                pass

    def note(self, words: str) -> None:
        """For whoever reads the ledger."""
        self._ledger.write(f"# {words}\n")
        self._ledger.flush()

    def close(self) -> None:
        self._ledger.close()


def enrolled(cloud: CloudProcess, folder: Path, many: int, seed: int) -> list[Device]:
    """So many devices of two clinics; the cloud starts for them. All at once: a code is good for ten minutes."""
    made = []
    for number, (_, code) in enumerate(cloud.start(clinics=2, codes=many)):
        place = folder / f"device-{number}"
        place.mkdir()
        transport = Transport(Policy(), SystemClock(), "1.0")
        try:
            found = enrolment.enrol(code, cloud.public_url, transport, Credentials(vault_of(place)))
        finally:
            transport.close()
        facts = {"url": found.url, "clinic_id": found.clinic_id, "device_id": found.device_id}
        made.append(Device(number, place, seed, facts))
    return made


def whole_life(
    device: Device, victims: Victims, kind: str, limit_s: float, sabotage: str | None = None
) -> None:
    """One that is let live until it says that it is over."""
    pid = victims.begin(device.life(kind, sabotage))
    until_s, line = time.monotonic() + limit_s, ""
    device.waiting = "it never came so far"
    while line != "over" and not line.startswith("failed"):
        line = victims.line(until_s) or "failed: its time is over"
        if line.startswith("waits "):
            device.waiting = line
        device.read(line)
    if line == "over":
        device.waiting = None
    for rest in victims.kill(pid):
        device.read(rest)


class _Torture:
    def __init__(
        self, kills: int, seed: int, folder: Path, sabotage: str | None, told: Callable[[str], None]
    ) -> None:
        self._wanted, self._seed, self._folder = kills, seed, folder
        self._sabotage, self._told = sabotage, told
        self.report = Report()
        self._lock = threading.Lock()
        self._aimed: Counter[str] = Counter()
        self._took_s: dict[str, float] = {}
        """How long each thing takes, as seen of late."""
        self._failed: list[BaseException] = []
        self._quiet_until_s = time.monotonic() + SOMETHING_EVERY_S
        """Nothing happens to the cloud before."""

    def run(self) -> Report:
        chance = random.Random(f"cloud {self._seed}")
        clouds = self._folder / "cloud"
        clouds.mkdir()
        with (
            Postgres(durable=True) as postgres,
            CloudProcess(clouds, postgres.migrated(), settings={"requests_per_minute": "1000000"}) as cloud,
            FaultyProxy(
                {"api": cloud.port, "s3": cloud.aws_port}, random.Random(f"network {self._seed}")
            ) as proxy,
        ):
            cloud.public_url, cloud.aws_public_url = proxy.url("api"), proxy.url("s3")
            many = max(min(SIDE_BY_SIDE, self._wanted), -(-self._wanted // LIVES_OF_A_DEVICE))
            devices = enrolled(cloud, self._folder, many, self._seed)
            proxy.troubles.set()
            self._each(devices, self._lived, lambda: self._disturb(cloud, postgres, chance))
            proxy.troubles.clear()
            if cloud.pid is None:
                cloud.start()
            postgres.start()
            self._told(f"{self.report.kills} kills; now all that is owed is sent")
            self._each(devices, self._drain, lambda: None)
            self.report.troubles.update({str(kind): count for kind, count in proxy.counts.items()})
            cloud.kill()
            with psycopg.connect(cloud.urls.superuser) as connection:
                compare(self.report, devices, connection, clouds)
        for device in devices:
            device.close()
        return self.report

    # --- Devices

    def _each(
        self, devices: list[Device], work: Callable[[Device, Victims], None], meanwhile: Callable[[], None]
    ) -> None:
        """Some devices at a time; what is done meanwhile is this thread's: a server ends with the thread that began it."""
        left = list(devices)

        def take() -> None:
            try:
                with Victims(self._folder) as victims:
                    while True:
                        with self._lock:
                            if not left or self._failed:
                                return
                            device = left.pop(0)
                        work(device, victims)
            except BaseException as error:  # noqa: BLE001 (told by the one who waits)
                self._failed.append(error)

        threads = [
            threading.Thread(target=take, name=f"devices-{at}")
            for at in range(min(SIDE_BY_SIDE, len(devices)))
        ]
        for thread in threads:
            thread.start()
        told_s = time.monotonic()
        while any(thread.is_alive() for thread in threads):
            meanwhile()
            time.sleep(0.1)
            if time.monotonic() - told_s > TOLD_EVERY_S:
                told_s = time.monotonic()
                self._told(f"{self.report.kills} kills, within: {_listed(self.report.hits)}")
        if self._failed:
            raise self._failed[0]

    def _lived(self, device: Device, victims: Victims) -> None:
        whole_life(device, victims, "born", 120.0)
        share = -(-self._wanted // max(1, -(-self._wanted // LIVES_OF_A_DEVICE), SIDE_BY_SIDE))
        for _ in range(share):
            with self._lock:
                if self.report.kills >= self._wanted:
                    return
                self.report.kills += 1
                aim = min(AIMS, key=lambda one: (self._aimed[one] / AIMS[one], one))
                self._aimed[aim] += 1
            self._one_life(device, victims, aim)

    def _one_life(self, device: Device, victims: Victims, aim: str) -> None:
        """From its beginning to its end by SIGKILL, somewhere within what it is aimed at."""
        turn = device.chance.randint(1, 3) if aim in {"save", "upload"} else 1
        life = device.life(aim, self._sabotage)
        device.note(f"life {life.number}, aimed at {aim}")
        pid = victims.begin(life)
        open_: Counter[str] = Counter()
        began_s: dict[str, float] = {}
        until_s = time.monotonic() + A_LIFE_S

        def heard(line: str) -> str | None:
            device.read(line)
            sign, _, what = line.partition(" ")
            if sign == "+":
                open_[what] += 1
                began_s[what] = time.monotonic()
                return what
            if sign == "-":
                open_[what] -= 1
                took_s = time.monotonic() - began_s[what]
                self._took_s[what] = 0.8 * self._took_s.get(what, took_s) + 0.2 * took_s
            return None

        while turn and (line := victims.line(until_s)) is not None:
            turn -= heard(line) == aim
        after_s = time.monotonic() + device.chance.uniform(0.0, 0.9 * self._took_s.get(aim, 0.02))
        while (left_s := after_s - time.monotonic()) > 0.0:
            time.sleep(min(left_s, 0.5))  # what it says meanwhile waits in the pipe
        for line in victims.kill(pid):
            heard(line)
        hit = [what for what, count in open_.items() if count > 0]
        device.note(f"killed, aimed at {aim}, within {', '.join(hit) or 'nothing'}")
        with self._lock:
            self.report.hits.update(hit or ["nothing"])
            if aim not in hit:
                self._aimed[aim] -= 0 if device.chance.random() < 0.5 else 1  # once more, but not for ever

    def _drain(self, device: Device, victims: Victims) -> None:
        whole_life(device, victims, "drained", DRAINED_WITHIN_S, self._sabotage)

    # --- The cloud

    def _disturb(self, cloud: CloudProcess, postgres: Postgres, chance: random.Random) -> None:
        """Called often; the first to go is the API."""
        if time.monotonic() < self._quiet_until_s:
            return
        if not self.report.cloud or chance.random() < 0.6:
            cloud.kill()
            time.sleep(chance.uniform(0.0, 0.5))
            cloud.start()
            self.report.cloud["killed"] += 1
        else:
            postgres.stop(crash=True)
            time.sleep(chance.uniform(0.0, 0.5))
            postgres.start()
            self.report.cloud["database crashed"] += 1
        self._quiet_until_s = time.monotonic() + SOMETHING_EVERY_S * chance.uniform(0.3, 1.7)


# --- Comparing


def compare(report: Report, devices: list[Device], connection: psycopg.Connection, clouds: Path) -> None:
    """Everything, after each device has lived its life "drained". clouds: where S3's objects lie."""
    rows: dict[str, list[tuple[str, str, datetime, str]]] = {}
    for device_id, *row in connection.execute(
        "SELECT device_id::text, id::text, patient_id::text, taken_at, body::text FROM observation"
    ):
        rows.setdefault(device_id, []).append((row[0], row[1], row[2], row[3]))
    uploads: dict[str, list[tuple[str, str, str, str, str]]] = {}
    for device_id, *row in connection.execute(
        "SELECT device_id::text, id::text, patient_id::text, encode(sha256, 'hex'), object_key, state FROM upload"
    ):
        uploads.setdefault(device_id, []).append((row[0], row[1], row[2], row[3], row[4]))
    versions = Kept(clouds / "s3").buckets().get(DOCUMENTS)
    objects = {} if versions is None else versions.versions
    known = {key.partition("/")[2] for found in uploads.values() for _, _, _, key, _ in found}
    strangers = set(rows) | set(uploads)
    for device in devices:
        name = device.enrolled["device_id"]
        strangers.discard(name)
        for trouble in device.troubles:
            (report.notes if " healed" in trouble else report.corrupt).append(trouble)
        if device.waiting is not None:
            report.lost.append(f"device {device.number} still owes something: {device.waiting}")
        _compare_observations(report, device, rows.get(name, []))
        _compare_documents(report, device, uploads.get(name, []), objects)
        report.forgotten += len(device.forgotten)
    report.corrupt += [f"a device {name} that nobody knows has sent something" for name in strangers]
    report.corrupt += [
        "a file lies in S3 that nobody announced"
        for key, found in objects.items()
        if key.startswith(("c/", "q/"))
        and key.partition("/")[2] not in known
        and found[-1].content is not None
    ]


def _is_forgotten(device: Device, person: str | None) -> bool:
    """Also where only the store knows that it had come that far."""
    return person in device.forgotten or (person in device.forgetting and person not in device.people)


def _compare_observations(report: Report, device: Device, rows: list[tuple[str, str, datetime, str]]) -> None:
    found: dict[int, list[tuple[str, str, str]]] = {}
    for id_, patient, taken_at, body in rows:
        number = round((taken_at - BEGAN).total_seconds()) - device.number * OF_A_DEVICE_S
        found.setdefault(number, []).append((id_, patient, body))
    for number in sorted(found.keys() - device.saving.keys()):
        report.corrupt.append(
            f"device {device.number}: observation {number} is in the cloud and was never saved"
        )
    guests = [rows[0][1] for number, rows in found.items() if device.saving.get(number, "") is None]
    report.corrupt += [
        f"device {device.number}: two guests are one patient"
        for count in Counter(guests).values()
        if count > 1
    ]
    for number, person in device.saving.items():
        there = found.get(number, [])
        what = f"device {device.number}: observation {number}"
        kept = observation(device.number, number, person)
        here = device.has.get(kept.line.id)
        if _is_forgotten(device, person):
            if there or here:
                report.corrupt.append(f"{what} is of somebody who was forgotten, and is still there")
            continue
        report.observations += number in device.saved
        if here is None and number in device.saved:
            report.lost.append(f"{what} is not in the store")
        if here is not None and here != digest(kept):
            report.corrupt.append(f"{what} is another in the store")
        if not there and (number in device.saved or here is not None):
            report.lost.append(f"{what} is not in the cloud")
        if len(there) > 1:
            report.doubled.append(f"{what} is in the cloud {len(there)} times")
        for id_, patient, body in there:
            if here is None:
                report.corrupt.append(f"{what} is in the cloud and not in the store")
            if (id_, patient) != (kept.line.id, person or patient) or body != _stored(
                expected(device.number, number, patient)
            ):
                report.corrupt.append(f"{what} is another in the cloud")


def _stored(sent: dict[str, Any]) -> str:
    """As the API writes down what it takes."""
    body = server.Observation.model_validate(sent).model_dump(mode="json", exclude_defaults=True)
    body["taken_at"] = datetime.fromisoformat(sent["taken_at"]).isoformat(timespec="microseconds")
    return json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _compare_documents(
    report: Report, device: Device, uploads: list[tuple[str, str, str, str, str]], objects: dict[str, Any]
) -> None:
    by_id = {one[0]: one for one in uploads}
    hashes = Counter(one[2] for one in uploads)
    known: dict[str, tuple[int, str | None]] = {}
    for number, person in device.adding.items():
        known[hashlib.sha256(document(device.number, number)[2]).hexdigest()] = number, person
    for id_, patient, sha256, key, state in uploads:
        what = f"device {device.number}: document {id_}"
        if sha256 not in known:
            report.corrupt.append(f"{what} was never added as it is in the cloud")
            continue
        _, person = known[sha256]
        if _is_forgotten(device, person):
            report.corrupt.append(f"{what} is of somebody who was forgotten, and is still in the cloud")
            continue
        if patient != (person or patient) or device.holds.get(id_) != sha256:
            report.corrupt.append(f"{what} is another in the cloud than in the store")
        contents = [one.read() for one in objects.get(key, []) if one.content is not None]
        report.cloud["files that the cloud itself wrote anew"] += max(0, len(contents) - 1)
        if not contents:
            report.lost.append(f"{what} is announced ({state}) and not in S3")
        elif any(hashlib.sha256(content).hexdigest() != sha256 for content in contents):
            report.corrupt.append(f"{what} is another in S3")
        if state == "quarantined":
            report.corrupt.append(f"{what} is in quarantine")
    for sha256, count in hashes.items():
        if count > 1:
            report.doubled.append(
                f"device {device.number}: document {known.get(sha256)} is there {count} times"
            )
    for number, id_ in device.added.items():
        person = device.adding[number]
        what = f"device {device.number}: document {number}"
        if _is_forgotten(device, person):
            if id_ in device.holds:
                report.corrupt.append(f"{what} is of somebody who was forgotten, and is still in the store")
            continue
        report.documents += 1
        if id_ not in device.holds:
            report.lost.append(f"{what} is not in the store")
        elif device.holds[id_] != hashlib.sha256(document(device.number, number)[2]).hexdigest():
            report.corrupt.append(f"{what} is another in the store")
        if id_ not in by_id:
            report.lost.append(f"{what} is not in the cloud")
    for id_ in device.holds.keys() - by_id.keys() - set(device.added.values()):
        report.lost.append(f"device {device.number}: document {id_} is in the store and not in the cloud")


def run(
    kills: int,
    *,
    seed: int = 1,
    sabotage: str | None = None,
    folder: Path | None = None,
    told: Callable[[str], None] = lambda _words: None,
) -> Report:
    """folder: where everything lies, and stays; None: a new one, which stays only where something is wrong, and is named in the report.
    told: hears how it goes on. sabotage: how the client is broken on purpose ("lost", "doubled", "corrupt").
    """
    place = Path(tempfile.mkdtemp(prefix="health-helper-torture-")) if folder is None else folder
    report = _Torture(kills, seed, place, sabotage, told).run()
    if not report.right:
        report.notes.append(f"ledgers, stores and what S3 holds stay in {place}")
    elif folder is None:
        shutil.rmtree(place)
    return report
