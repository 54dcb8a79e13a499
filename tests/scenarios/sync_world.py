"""What the tests of trouble in sync share: a computer with everything real but its clocks, its key store and its network, which a test
turns, closes and cuts; and a ledger of what the person was told is kept.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from client.app import kept_of, real_parts, run
from client.clock import SystemClock
from client.cloud import transport
from client.cloud.transport import Reply, Transport
from client.cloud.wire import ANSWER_BYTES
from client.parts import Kept
from client.pipeline.sync import SyncStatus, Uploader
from client.policy import Policy
from client.store.consents import CLOUD_VERSION, Subject
from client.store.database import FILE_NAME
from client.store.documents import Document, Purpose
from client.store.entries import to_observation
from client.store.observations import Kind
from client.store.opening import open_store
from client.ui.views.sync import Badge, badge, summary
from client.vault import VaultLocked, VaultMissing
from tests.stand_ins.local_cloud import DOCUMENTS, LocalCloud

DAY_S = 86_400.0
YEAR = timedelta(days=365)
STEPS_AT_MOST = 400
"""Of one sending: a uploader that never comes to rest is a failure, not a test that hangs."""
OBSERVATIONS, UPLOADS, TOKEN, CONFIG = "/v1/observations", "/v1/uploads", "/v1/token", "/v1/config"


class TurnedClock(SystemClock):
    """The machine's own, ahead by so much. wall: of the wall clock alone. slept_s: of the monotonic clock alone, which what waits for it jumps over."""

    def __init__(self) -> None:
        self.wall = timedelta(0)
        self.slept_s = 0.0

    def now_s(self) -> float:
        return super().now_s() + self.slept_s

    def utc(self) -> datetime:
        return super().utc() + self.wall


@dataclass
class Keyring:
    """A key store in memory. fault: of every call. write_fault: of those that change something."""

    kept: dict[str, bytes] = field(default_factory=dict)
    fault: type[VaultLocked | VaultMissing] | None = None
    write_fault: type[VaultLocked | VaultMissing] | None = None

    def read(self, name: str) -> bytes | None:
        if self.fault is not None:
            raise self.fault
        return self.kept.get(name)

    def write(self, name: str, secret: bytes) -> None:
        fault = self.fault or self.write_fault
        if fault is not None:
            raise fault
        self.kept[name] = secret

    def forget(self, name: str) -> None:
        fault = self.fault or self.write_fault
        if fault is not None:
            raise fault
        self.kept.pop(name, None)


@dataclass
class Wire:
    """The network of one computer. elsewhere: who answers instead of the server, by path (or None) → URL. before: each request, with its
    method and path; after: with what came, and gives what is handed on; both may raise. asked: method and path of each.
    """

    elsewhere: Callable[[str], str | None] = lambda _path: None
    before: Callable[[str, str], None] = lambda _method, _path: None
    after: Callable[[str, str, Reply], Reply] = lambda _method, _path, reply: reply
    asked: list[tuple[str, str]] = field(default_factory=list)

    def count(self, method: str, path: str) -> int:
        return self.asked.count((method, path))


def tapped(wire: Wire) -> type[Transport]:
    """The real transport, with the network `wire`."""

    class Tapped(Transport):
        def request(
            self,
            method: str,
            url: str,
            *,
            headers: Mapping[str, str] | None = None,
            body: bytes | None = None,
            most_bytes: int = ANSWER_BYTES,
            media_type: str = "application/json",
            answer_type: str | None = None,
        ) -> Reply:
            parts = urlsplit(url)
            wire.asked.append((method, parts.path))
            wire.before(method, parts.path)
            other = wire.elsewhere(parts.path)
            if other is not None:
                url = other + parts.path
            reply = super().request(
                method,
                url,
                headers=headers,
                body=body,
                most_bytes=most_bytes,
                media_type=media_type,
                answer_type=answer_type,
            )
            return wire.after(method, parts.path, reply)

        def put(self, url: str, *, headers: Mapping[str, str], chunks: Any, length_bytes: int) -> Reply:
            wire.asked.append(("PUT", "object"))
            wire.before("PUT", "object")
            url = wire.elsewhere("object") or url
            reply = super().put(url, headers=headers, chunks=chunks, length_bytes=length_bytes)
            return wire.after("PUT", "object", reply)

    return Tapped


@dataclass
class Ledger:
    """What the person was told is kept. observations: value by id. documents: bytes by id.

    not_sent: ids that the cloud need not have.
    """

    observations: dict[str, float] = field(default_factory=dict)
    documents: dict[str, bytes] = field(default_factory=dict)
    not_sent: set[str] = field(default_factory=set)


@dataclass
class Computer:
    """One device of a clinic of its own. `close` and `open` are the program's end and start; `crash` is an end without closing."""

    backend: LocalCloud
    folder: Path
    clinic_id: uuid.UUID
    policy: Policy = field(default_factory=lambda: Policy(backups_kept=3))
    clock: TurnedClock = field(default_factory=TurnedClock)
    keyring: Keyring = field(default_factory=Keyring)
    wire: Wire = field(default_factory=Wire)
    ledger: Ledger = field(default_factory=Ledger)
    person: str = ""
    _kept: Kept | None = None
    _next: int = 0

    # The program

    @property
    def kept(self) -> Kept:
        if self._kept is None:
            self._kept = self.opened()
        return self._kept

    def opened(self) -> Kept:
        """As the commands and the window get it."""
        return kept_of(open_store(self.folder, self.keyring), self.keyring, self.clock, self.policy)

    @property
    def uploader(self) -> Uploader:
        return self.kept.sync.uploader

    @property
    def status(self) -> SyncStatus:
        return self.uploader.status

    @property
    def path(self) -> Path:
        return self.folder / FILE_NAME

    def enrol(self) -> None:
        self.kept.enrol(self.backend.enrolment_code(self.clinic_id), self.backend.url)
        self.wire.asked.clear()

    def begin(self) -> None:
        """Enrolled, with a person who agrees."""
        self.enrol()
        self.person = self.kept.observations.add_person("Ada", now=self.clock.utc()).id
        self.kept.consents.record(self.person, Subject.CLOUD, CLOUD_VERSION, True, "en", self.clock.utc())

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def command(self, *words: str) -> int:
        """`health-helper …`, with the store closed before it and open by it. Returns its exit status."""
        self.close()
        parts = replace(real_parts(self.clock), store=self.opened)
        return run(parts, list(words))

    # What the person does

    def save(self, *, guest: bool = False) -> str:
        """A temperature. It is in the ledger once the store has said that it is kept."""
        self._next += 1
        celsius = 36.0 + self._next / 1000.0
        person = None if guest else self.person
        made = to_observation(Kind.TEMPERATURE, {"celsius": celsius}, self.clock.utc(), person)
        self.kept.observations.save(made, guest_agrees=guest)
        self.ledger.observations[made.line.id] = celsius
        return made.line.id

    def add(self, data: bytes | None = None, *, pieces: Iterator[bytes] | None = None) -> str:
        """A file, as `save`. data: JSON of some 200 kB where nothing is said. pieces: its bytes as they come."""
        if data is None:
            self._next += 1
            data = json.dumps(
                {"schema": "health-helper/scan/1", "no": self._next, "a": os.urandom(100_000).hex()}
            ).encode()
        made = self._added(data, pieces)
        self.ledger.documents[made.id] = data
        return made.id

    def _added(self, data: bytes, pieces: Iterator[bytes] | None) -> Document:
        return self.kept.documents.add(
            pieces or (data[at : at + 20_000] for at in range(0, len(data), 20_000)),
            person=self.person,
            purpose=Purpose.SCAN_RECORD if data.startswith(b"{") else Purpose.MEDICAL_REPORT,
            media_type="application/json" if data.startswith(b"{") else "application/pdf",
            title="a file",
            pages=None,
            now=self.clock.utc(),
        )

    # Sending

    def step(self) -> float:
        """One step of sending; a bug of ours that was met in it is raised."""
        wait_s = self.uploader.step()
        if self.uploader.bug is not None:
            raise self.uploader.bug
        return wait_s

    def rest(self, *, at_most_s: float = 2 * DAY_S, steps: int = STEPS_AT_MOST) -> float:
        """Send until nothing waits any more or is all refused, jumping over every wait. Returns how many seconds were waited in all."""
        waited_s = 0.0
        for _ in range(steps):
            wait_s = self.step()
            counts = self.status.counts
            if not counts.pending and not counts.sending and wait_s:
                return waited_s
            waited_s += wait_s
            self.clock.slept_s += wait_s
            assert waited_s <= at_most_s, (waited_s, self.status)
        raise AssertionError(f"not at rest after {steps} steps: {self.status}")

    def until_held_up(self, *, steps: int = 20) -> SyncStatus:
        """Steps, without waiting, until a fault is shown."""
        for _ in range(steps):
            wait_s = self.step()
            if self.status.fault is not None:
                return self.status
            self.clock.slept_s += wait_s
        raise AssertionError(f"nothing stands against it: {self.status}")

    def badge(self) -> Badge:
        found = badge(self.status, expected=True, was_enrolled=True, now=self.clock.utc())
        assert found is not None
        return found

    def summary(self) -> str:
        return summary(self.status, self.clock.utc())

    # Is everything there?

    def check_here(self) -> None:
        """All that was acknowledged to the person is in the store, byte for byte, or gone by themselves."""
        for id_, celsius in self.ledger.observations.items():
            found = self.kept.observations.get(id_)
            assert found is not None and found.body["values"] == {"celsius": celsius}, id_
        for id_, data in self.ledger.documents.items():
            assert b"".join(self.kept.documents.read(id_)) == data, id_
        assert self.kept.observations.count(self.person) == len(
            [one for one in self.ledger.observations if self._is_persons(one)]
        )

    def _is_persons(self, id_: str) -> bool:
        found = self.kept.observations.get(id_)
        return found is not None and found.line.person == self.person

    def check_cloud(self) -> None:
        """And in the cloud, each once, and nothing else."""
        with psycopg.connect(self.backend.urls.superuser) as connection:
            rows = connection.execute(
                "SELECT id::text, body FROM observation WHERE clinic_id = %s", (self.clinic_id,)
            ).fetchall()
            uploads = connection.execute(
                "SELECT id::text, object_key, length_bytes FROM upload WHERE clinic_id = %s",
                (self.clinic_id,),
            ).fetchall()
        wanted = {
            id_: celsius
            for id_, celsius in self.ledger.observations.items()
            if id_ not in self.ledger.not_sent
        }
        assert Counter(id_ for id_, _ in rows) == Counter(list(wanted))
        assert {id_: body["values"]["celsius"]["value"] for id_, body in rows} == wanted
        files = {id_: data for id_, data in self.ledger.documents.items() if id_ not in self.ledger.not_sent}
        assert Counter(id_ for id_, *_ in uploads) == Counter(list(files))
        for id_, key, length_bytes in uploads:
            bucket = self.backend.aws.s3.buckets[DOCUMENTS]
            versions = [one for one in bucket.versions.get(key, []) if one.content is not None]
            assert [hashlib.sha256(one.read()).digest() for one in versions] == [
                hashlib.sha256(files[id_]).digest()
            ], id_
            assert length_bytes == len(files[id_])

    def check(self) -> None:
        """Here and there; nothing waits and nothing was refused."""
        self.check_here()
        self.check_cloud()
        counts = self.kept.outbox.counts()
        assert (counts.pending, counts.sending, counts.parked) == (0, 0, 0)


@contextmanager
def computer(
    backend: LocalCloud, folder: Path, patch: pytest.MonkeyPatch, policy: Policy | None = None
) -> Iterator[Computer]:
    """Enrolled, with a person who agrees; closed at the end."""
    made = Computer(backend, folder, backend.add_clinic())
    if policy is not None:
        made.policy = policy
    patch.setattr(transport, "Transport", tapped(made.wire))
    try:
        made.begin()
        yield made
    finally:
        made.keyring.fault = None
        made.close()
