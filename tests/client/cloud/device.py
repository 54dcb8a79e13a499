"""What the tests of the device's side of the cloud share: a key store in memory, a clock that is wrong, a network that loses answers."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from client.clock import SystemClock
from client.cloud import enrolment, faults, wire
from client.cloud.credentials import Credentials, Entry, Key
from client.cloud.service import Cloud
from client.cloud.transport import Reply, TimeLimits, Transport
from client.policy import Policy
from client.vault import VaultLocked
from tests.stand_ins.local_cloud import LocalCloud


@dataclass
class MemoryVault:
    """locked: neither read nor written. read_only: only not written."""

    kept: dict[str, bytes] = field(default_factory=dict)
    locked: bool = False
    read_only: bool = False
    writes: int = 0

    def read(self, name: str) -> bytes | None:
        if self.locked:
            raise VaultLocked
        return self.kept.get(name)

    def write(self, name: str, secret: bytes) -> None:
        if self.locked or self.read_only:
            raise VaultLocked
        self.writes += 1
        self.kept[name] = secret

    def forget(self, name: str) -> None:
        if self.locked or self.read_only:
            raise VaultLocked
        self.kept.pop(name, None)


class MovedClock(SystemClock):
    """wall: the wall clock is ahead by so much. at_s: the monotonic one too."""

    def __init__(self, wall: timedelta = timedelta(0)) -> None:
        self.wall = wall
        self.at_s = 0.0

    def now_s(self) -> float:
        return super().now_s() + self.at_s

    def utc(self) -> datetime:
        return super().utc() + self.wall


class Line(Transport):
    """Counts what is asked by path. loses: of these paths the answer is lost; cuts: of these nothing arrives. before: called ahead of each."""

    def __init__(self, clock: SystemClock | None = None, limits: TimeLimits | None = None) -> None:
        super().__init__(Policy(), clock or SystemClock(), "1.0", limits=limits)
        self.asked: list[str] = []
        self.loses: set[str] = set()
        self.cuts: set[str] = set()
        self.before: Callable[[str], None] = lambda _path: None

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        most_bytes: int = wire.ANSWER_BYTES,
        media_type: str = "application/json",
        answer_type: str | None = None,
    ) -> Reply:
        path = urlsplit(url).path
        self.asked.append(path)
        self.before(path)
        if path in self.cuts:
            broken = faults.ConnectionBroken()
            broken.reached = False
            raise broken
        reply = super().request(
            method,
            url,
            headers=headers,
            body=body,
            most_bytes=most_bytes,
            media_type=media_type,
            answer_type=answer_type,
        )
        if path in self.loses:
            raise faults.ConnectionBroken
        return reply

    def count(self, path: str) -> int:
        return self.asked.count(path)


TOKEN, ENROL = "/v1/token", "/v1/devices/enrol"


@dataclass
class Device:
    """One that is enrolled with a clinic of the local cloud."""

    backend: LocalCloud
    clinic_id: uuid.UUID
    line: Line
    vault: MemoryVault
    credentials: Credentials
    cloud: Cloud

    def killed(self) -> Credentials:
        """What a new process finds: only what the key store has."""
        return Credentials(self.vault)

    def entry(self) -> Entry:
        found = Entry.read(self.vault.kept["device"])
        assert found is not None
        return found

    def revoke(self) -> None:
        device_id = self.entry().device_id
        from backend_lambda import handler
        from tests.stand_ins.api_gateway import BufferedContext, proxy_event

        token = self.backend.admin_token("clinic_admin", self.clinic_id)
        path = f"/v1/clinics/{self.clinic_id}/devices/{device_id}/revoke"
        event = proxy_event("POST", path, [("Authorization", f"Bearer {token}")], b"", "127.0.0.1", "r")
        assert handler.lambda_handler(event, BufferedContext("r"))["statusCode"] == 204


def enrolled(backend: LocalCloud, clock: SystemClock | None = None) -> Device:
    """Close its `line` at the end."""
    clinic_id = backend.add_clinic()
    line, vault = Line(clock), MemoryVault()
    credentials = Credentials(vault)
    enrolment.enrol(backend.enrolment_code(clinic_id), backend.url, line, credentials)
    line.asked.clear()
    return Device(backend, clinic_id, line, vault, credentials, Cloud(line, credentials))


def an_entry(url: str, **changes: Any) -> Entry:
    """Of nobody."""
    facts: dict[str, Any] = {
        "url": url,
        "clinic_id": str(uuid.uuid4()),
        "device_id": str(uuid.uuid4()),
        "key": Key().raw,
        "refresh_token": os.urandom(16).hex(),
        "refresh_expires_at": datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC),
    }
    return Entry(**{**facts, **changes})


def tokens(**changes: Any) -> dict[str, Any]:
    """An answer of /v1/token."""
    return {
        "access_token": "access",
        "token_type": "DPoP",
        "expires_in_s": 900,
        "refresh_token": os.urandom(16).hex(),
        "refresh_expires_at": "2031-01-02T03:04:05Z",
        **changes,
    }
