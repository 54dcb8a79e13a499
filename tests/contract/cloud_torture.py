"""Devices that send, lose answers and send again while what is behind the API goes and comes back: is everything there, once?

`run(requests)` is what `test_cloud_loses_nothing` and `.ci/cloud_torture.py` do. A third of all answers is thrown away unread, as a
network that breaks does; the database crashes and starts again, the object store and the key service refuse for a while, clocks
jump by up to ten minutes. Each device goes on with a thing until it is acknowledged. Then the database and the buckets are compared
with what was sent.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import random
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import psycopg

from tests.backend_lambda import kiosk as over_http
from tests.backend_lambda.kiosk import Kiosk, Reply, observation
from tests.stand_ins.aws.faults import Fault, Kind
from tests.stand_ins.local_cloud import DOCUMENTS, LocalCloud

ANSWERS_LOST = 0.3
PAUSE_S, LONGEST_PAUSE_S = 0.02, 0.5
GIVES_UP_S = 60.0


@dataclass
class Report:
    """statuses: of all answers that were read. wrong: what is lost, doubled or changed, in words."""

    requests: int = 0
    answers_lost: int = 0
    observations: int = 0
    files: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def line(self) -> str:
        return (
            f"{self.requests} requests, {self.answers_lost} answers lost, {sum(self.faults.values())} faults: "
            f"{self.observations} observations and {self.files} files, {len(self.wrong)} wrong"
        )


class _Device:
    """Sends things until they are acknowledged. sent: what was acknowledged, by id."""

    def __init__(self, cloud: LocalCloud, clinic_id: uuid.UUID, rng: random.Random, report: Report) -> None:
        self.kiosk = Kiosk(cloud.url)
        self.clinic_id, self._rng, self._report = clinic_id, rng, report
        self.observations: dict[str, dict[str, Any]] = {}
        self.files: dict[str, bytes] = {}
        assert self.kiosk.enrol(cloud.enrolment_code(clinic_id)).status == 200
        self._until(self._renewed)

    def work(self, enough: threading.Event, failed: list[BaseException]) -> None:
        try:
            while not enough.is_set():
                if self._rng.random() < 0.02:
                    self.kiosk.offset_s = self._rng.uniform(-590.0, 590.0)
                match self._rng.random():
                    case chance if chance < 0.8:
                        self._observe()
                    case chance if chance < 0.9:
                        self._until(self._renewed)
                    case _:
                        self._send_file()
        except BaseException as error:  # noqa: BLE001 (told by the one who waits for this thread)
            failed.append(error)

    def _observe(self) -> None:
        batch = [observation(self.kiosk.patient_id) for _ in range(self._rng.choice((1, 1, 2, 5)))]
        body = {"observations": batch}

        def stored() -> bool:
            reply = self._ask("POST", "/v1/observations", body)
            if reply is None or reply.status != 200:
                return False
            return all(one["status"] in {"stored", "already_stored"} for one in reply.json["results"])

        self._until(stored)
        self.observations |= {one["id"]: one for one in batch}

    def _send_file(self) -> None:
        made = str(uuid.uuid4())
        data = json.dumps({"schema": "health-helper/scan/1", "id": made}).encode()
        body = {
            "id": made,
            "patient_id": self.kiosk.patient_id,
            "purpose": "scan_record",
            "media_type": "application/json",
            "length_bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
        }

        def there() -> bool:
            reply = self._ask("POST", "/v1/uploads", body)
            if reply is None or reply.status != 200:
                return False
            if reply.json["url"] is not None:
                status = over_http.ask("PUT", reply.json["url"], reply.json["headers"], data).status
                self._report.statuses[status] += 1
                if status not in {200, 412}:  # 412: it is there already
                    return False
            done = self._ask("POST", f"/v1/uploads/{made}/complete")
            return done is not None and done.status == 200

        self._until(there)
        self.files[made] = data

    def _renewed(self) -> bool:
        """With one request_id until an answer comes, as a device does that has lost one."""
        body = {"refresh_token": self.kiosk.refresh_token, "request_id": str(uuid.uuid4())}

        def renewed() -> bool:
            reply = self._ask("POST", "/v1/token", body, signed_in=False)
            if reply is None or reply.status != 200:
                return False
            self.kiosk.token = reply.json["access_token"]
            self.kiosk.refresh_token = reply.json["refresh_token"]
            return True

        self._until(renewed)
        return True

    def _ask(self, method: str, path: str, body: object = None, *, signed_in: bool = True) -> Reply | None:
        """None: the answer was lost."""
        self._report.requests += 1
        try:
            reply = self.kiosk.ask(method, path, body, signed_in=signed_in)
        except (OSError, http.client.HTTPException):
            self._report.answers_lost += 1
            return None
        if self._rng.random() < ANSWERS_LOST:
            self._report.answers_lost += 1
            return None
        self._report.statuses[reply.status] += 1
        if reply.status == 401 and reply.json["code"] == "clock_skew":
            ours = parsedate_to_datetime(reply.headers["date"])
            self.kiosk.offset_s = (ours - datetime.now(ours.tzinfo)).total_seconds()
        elif reply.status not in {200, 503}:
            raise AssertionError(f"{method} {path}: {reply.status} {reply.body!r}")
        return reply

    def _until(self, done: Any) -> None:
        until_s, pause_s = time.monotonic() + GIVES_UP_S, PAUSE_S
        while not done():
            if time.monotonic() > until_s:
                raise AssertionError("not acknowledged in a minute")
            time.sleep(pause_s * self._rng.random())
            pause_s = min(2.0 * pause_s, LONGEST_PAUSE_S)


def run(requests: int, *, seed: int = 1, devices: int = 6, faults_every_s: float = 1.5) -> Report:
    """At least so many requests of so many devices of two clinics."""
    report, rng = Report(), random.Random(seed)
    with LocalCloud(durable=True, settings={"requests_per_minute": "100000"}) as cloud:
        clinics = [cloud.add_clinic(), cloud.add_clinic()]
        made = [
            _Device(cloud, clinics[at % 2], random.Random(seed * 1000 + at), report) for at in range(devices)
        ]
        enough, failed = threading.Event(), list[BaseException]()
        threads = [
            threading.Thread(target=one.work, args=(enough, failed), name=f"device-{at}")
            for at, one in enumerate(made)
        ]
        for thread in threads:
            thread.start()
        try:
            while report.requests < requests and not failed and any(thread.is_alive() for thread in threads):
                time.sleep(faults_every_s * rng.uniform(0.5, 1.5))
                _trouble(cloud, rng, report)
        finally:
            enough.set()
            for thread in threads:
                thread.join()
        if failed:
            raise failed[0]
        _compare(cloud, made, report)
        report.wrong += cloud.gateway.faults
    return report


def _trouble(cloud: LocalCloud, rng: random.Random, report: Report) -> None:
    kind = rng.choice(("database", "s3", "kms"))
    report.faults[kind] += 1
    if kind == "database":
        cloud.postgres.stop(crash=True)
        time.sleep(rng.uniform(0.0, 0.3))
        cloud.postgres.start()
        return
    cloud.aws.faults.set(kind, Fault(Kind.UNAVAILABLE))
    time.sleep(rng.uniform(0.05, 0.3))
    cloud.aws.faults.clear()


def _compare(cloud: LocalCloud, devices: list[_Device], report: Report) -> None:
    """A retry that was acknowledged late may have stored things that nobody counts as sent: only those in flight at the end."""
    sent = {name: one for device in devices for name, one in device.observations.items()}
    files = {name: data for device in devices for name, data in device.files.items()}
    report.observations, report.files = len(sent), len(files)
    with psycopg.connect(cloud.urls.superuser) as connection:
        rows = connection.execute("SELECT id::text, patient_id::text, body FROM observation").fetchall()
        uploads = connection.execute("SELECT id::text, object_key FROM upload").fetchall()
    kept = Counter(name for name, _, _ in rows)
    bodies = {name: (patient, body) for name, patient, body in rows}
    for name, one in sent.items():
        if kept[name] != 1:
            report.wrong.append(f"observation {name} is there {kept[name]} times")
        elif (bodies[name][0], bodies[name][1]["values"]["heart_rate"]["value"]) != (one["patient_id"], 72.1):
            report.wrong.append(f"observation {name} is another")
    keys: dict[str, str] = dict(uploads)
    for name, data in files.items():
        newest = None if name not in keys else cloud.aws.s3.newest(DOCUMENTS, keys[name])
        if newest is None or newest.read() != data:
            report.wrong.append(f"file {name} is not there")
        if [one for one, _ in uploads].count(name) != 1:
            report.wrong.append(f"file {name} is announced twice")
