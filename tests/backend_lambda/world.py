"""The whole API function, from the event to the answer, over a real PostgreSQL and ports in memory."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest

from backend_lambda import app, handler
from backend_lambda.settings import Settings
from backend_lambda.store.database import Database
from backend_lambda.wire import Feature
from tests.backend_lambda.callers import API, AUDIENCE, ISSUER, DeviceKey, Issuer
from tests.backend_lambda.conftest import SetClock
from tests.backend_lambda.fakes import Fakes
from tests.stand_ins.api_gateway_event import context, event

OIDC = Issuer()
"""Making an RSA key takes longer than most tests."""


def settings(**changes: Any) -> Settings:
    facts: dict[str, Any] = {
        "stage": "local",
        "region": "eu-central-1",
        "public_url": API,
        "database_url": "postgresql://not-used",
        "signing_key_id": "test-key",
        "oidc_issuers": ISSUER,
        "oidc_audience": AUDIENCE,
        "documents_bucket": "documents",
        "audit_bucket": "audit",
        "model_ids": "model-a,model-b",
        "requests_per_minute": 10_000,
        **changes,
    }
    return Settings.model_validate(facts)


@dataclass(frozen=True)
class Reply:
    """headers: names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """Of a problem."""
        assert self.headers["content-type"] == "application/problem+json", self.body
        return str(self.json["code"])


@dataclass
class Kiosk:
    """An enrolled device, as it knows itself."""

    clinic_id: UUID
    id: UUID
    key: DeviceKey
    token: str
    refresh_token: str


@dataclass
class World:
    """One API function and everybody who asks it."""

    database: Database
    clock: SetClock
    fakes: Fakes
    log: io.StringIO
    settings: Settings
    backend: app.Backend
    patch: pytest.MonkeyPatch

    def send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        query: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        body: object = None,
    ) -> Reply:
        """As it is."""
        return self.answer(event(method, path, headers=headers, query=query, body=body))

    def answer(self, made: dict[str, Any]) -> Reply:
        """Of an event, with what API Gateway asks of every answer checked."""
        answered = handler.lambda_handler(made, context())
        assert set(answered) <= {"statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded"}
        json.dumps(answered)
        body = answered["body"]
        return Reply(
            answered["statusCode"],
            {name.lower(): ", ".join(values) for name, values in answered["multiValueHeaders"].items()},
            base64.b64decode(body) if answered["isBase64Encoded"] else body.encode(),
        )

    def by(
        self,
        who: Kiosk | str,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        body: object = None,
    ) -> Reply:
        """As a device with a new proof, or as a person with this token."""
        return self.send(method, path, headers=self.headers(who, method, path), query=query, body=body)

    def headers(self, who: Kiosk | str, method: str, path: str) -> dict[str, str]:
        if isinstance(who, str):
            return {"Authorization": f"Bearer {who}"}
        return who.key.headers(method, API + path, self.clock.utc(), who.token)

    def person(self, role: str, clinic_id: UUID | None = None) -> str:
        """A token of somebody of the clinic."""
        return OIDC.token(self.clock.utc(), role, clinic_id)

    def clinic(self) -> UUID:
        """A new one that may use everything."""
        made = uuid4()
        body = {"id": str(made), "name": "Clinic", "allows": list(Feature)}
        reply = self.by(self.person("operator"), "POST", "/v1/clinics", body=body)
        assert reply.status == 200, reply
        return made

    def code(self, clinic_id: UUID) -> str:
        reply = self.by(
            self.person("clinic_admin", clinic_id),
            "POST",
            f"/v1/clinics/{clinic_id}/enrolment-codes",
            body={"device_name": "Front desk"},
        )
        assert reply.status == 200, reply
        return str(reply.json["code"])

    def kiosk(self, clinic_id: UUID | None = None) -> Kiosk:
        """A new device, enrolled and with a token."""
        device = self.kiosk_without_token(clinic_id)
        reply = self.refresh(device)
        assert reply.status == 200, reply
        device.token, device.refresh_token = reply.json["access_token"], reply.json["refresh_token"]
        return device

    def kiosk_without_token(self, clinic_id: UUID | None = None) -> Kiosk:
        clinic_id = clinic_id or self.clinic()
        key = DeviceKey()
        enrolled = self.with_key(
            key,
            "/v1/devices/enrol",
            {"code": self.code(clinic_id), "public_key": key.jwk, "software_version": "1.0"},
        )
        assert enrolled.status == 200, enrolled
        return Kiosk(clinic_id, UUID(enrolled.json["device_id"]), key, "", enrolled.json["refresh_token"])

    def with_key(self, key: DeviceKey, path: str, body: object) -> Reply:
        """With a proof alone."""
        return self.send("POST", path, headers=key.headers("POST", API + path, self.clock.utc()), body=body)

    def refresh(self, device: Kiosk, token: str | None = None, request_id: UUID | None = None) -> Reply:
        body: dict[str, Any] = {"refresh_token": token or device.refresh_token}
        if request_id is not None:
            body["request_id"] = str(request_id)
        return self.with_key(device.key, "/v1/token", body)

    def audit(self, clinic_id: UUID) -> list[dict[str, Any]]:
        """All entries so far, read past the API."""
        from backend_lambda.store import audit

        with self.database.clinic(clinic_id) as transaction:
            return [one.model_dump() for one in audit.page(transaction, 0, 10_000)]

    def use(self, settings: Settings) -> None:
        """From now on the function runs with these."""
        self.settings = settings
        self.backend = app.Backend(settings, self.fakes.ports(), self.database)
        self.patch.setattr(app, "backend", lambda: self.backend)


def observation(patient_id: UUID | str, **changes: Any) -> dict[str, Any]:
    """As a device sends it."""
    return {
        "id": str(uuid4()),
        "patient_id": str(patient_id),
        "kind": "scan",
        "taken_at": "2026-11-27T11:59:00Z",
        "utc_offset_min": 60,
        "software_version": "1.0",
        "values": {
            "heart_rate": {"value": 61.5, "low": 59.0, "high": 64.0, "unit": "/min", "confidence": 0.9},
            "respiratory_rate": {"value": None, "unit": "/min", "reasons": ["too_short"]},
        },
        "quality": {"score": 0.8, "reasons": [], "limiting_factor": None},
        "facts": {"measured_fps": 29.97, "simulated": True},
        **changes,
    }
