"""A device and a person that ask the local cloud over real HTTP, with nothing of the backend's own code."""

from __future__ import annotations

import http.client
import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from tests.backend_lambda.callers import DeviceKey


@dataclass(frozen=True)
class Reply:
    """headers: names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes | None = None) -> Reply:
    """One request on a connection of its own."""
    parts = urlsplit(url)
    with closing(http.client.HTTPConnection(parts.netloc, timeout=30)) as connection:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target, body, dict(headers or {}))
        answer = connection.getresponse()
        return Reply(
            answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        )


@dataclass
class Person:
    """Signed in by OIDC."""

    url: str
    token: str

    def ask(self, method: str, path: str, body: object = None, query: str = "") -> Reply:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        return ask(
            method, self.url + path + query, headers, None if body is None else json.dumps(body).encode()
        )


@dataclass
class Kiosk:
    """A device. offset_s: how wrong its clock is."""

    url: str
    key: DeviceKey = field(default_factory=DeviceKey)
    token: str = ""
    refresh_token: str = ""
    device_id: str = ""
    offset_s: float = 0.0
    patient_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def enrol(self, code: str) -> Reply:
        body = {"code": code, "public_key": self.key.jwk, "software_version": "1.0"}
        reply = self.ask("POST", "/v1/devices/enrol", body, signed_in=False)
        if reply.status < 300:
            self.device_id, self.refresh_token = reply.json["device_id"], reply.json["refresh_token"]
        return reply

    def renew(self) -> Reply:
        body = {"refresh_token": self.refresh_token, "request_id": str(uuid.uuid4())}
        reply = self.ask("POST", "/v1/token", body, signed_in=False)
        if reply.status == 200:
            self.token, self.refresh_token = reply.json["access_token"], reply.json["refresh_token"]
        return reply

    def headers(self, method: str, path: str, *, signed_in: bool = True) -> dict[str, str]:
        at = datetime.fromtimestamp(datetime.now(UTC).timestamp() + self.offset_s, UTC)
        token = self.token if signed_in else None
        return self.key.headers(method, self.url + path, at, token) | {"Content-Type": "application/json"}

    def ask(
        self, method: str, path: str, body: object = None, query: str = "", *, signed_in: bool = True
    ) -> Reply:
        data = None if body is None else json.dumps(body).encode()
        return ask(method, self.url + path + query, self.headers(method, path, signed_in=signed_in), data)

    def stream(self, body: object) -> Iterator[dict[str, Any]]:
        """The events of a chat as they come."""
        parts = urlsplit(self.url)
        with closing(http.client.HTTPConnection(parts.netloc, timeout=30)) as connection:
            connection.request(
                "POST", "/v1/chat", json.dumps(body).encode(), self.headers("POST", "/v1/chat")
            )
            answer = connection.getresponse()
            if answer.status != 200:
                raise Refused(
                    Reply(
                        answer.status,
                        {name.lower(): value for name, value in answer.getheaders()},
                        answer.read(),
                    )
                )
            assert answer.getheader("Content-Type") == "text/event-stream; charset=utf-8"
            name = ""
            while line := answer.readline().decode().rstrip("\n"):
                kind, _, value = line.partition(": ")
                if kind == "event":
                    name = value
                    continue
                assert kind == "data"
                event = json.loads(value)
                assert event["event"] == name
                yield event
                assert answer.readline() == b"\n"


class Refused(Exception):
    """A stream was refused before it began."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"{reply.status} {reply.body!r}")
        self.reply = reply


def observation(patient_id: str, **more: Any) -> dict[str, Any]:
    """A scan as the app sends it."""
    return {
        "id": str(uuid.uuid4()),
        "patient_id": patient_id,
        "kind": "scan",
        "taken_at": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "utc_offset_min": 60,
        "software_version": "1.0",
        "values": {
            "heart_rate": {"value": 72.1, "low": 71.0, "high": 73.2, "unit": "/min", "confidence": 0.97},
            "respiratory_rate": {"value": None, "unit": "/min", "reasons": ["too_short"]},
        },
        **more,
    }


def question(patient_id: str, **more: Any) -> dict[str, Any]:
    """A chat's body."""
    return {
        "conversation_id": str(uuid.uuid4()),
        "patient_id": patient_id,
        "language": "en",
        "turns": [{"role": "person", "text": "Is my pulse all right?"}],
        "triage": {"level": "none"},
        **more,
    }
