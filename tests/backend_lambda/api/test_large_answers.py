"""Answers stay below what Lambda takes, counted as it counts; nothing is left out because of it."""

from __future__ import annotations

import json
from datetime import timedelta
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest

from backend_lambda import handler
from backend_lambda.store import uploads
from tests.backend_lambda.store.making import upload
from tests.backend_lambda.world import Kiosk, World, observation
from tests.stand_ins.api_gateway import MAX_ANSWER_BYTES, ApiGateway
from tests.stand_ins.api_gateway_event import context, event

WIDE = "w" * 64
BUDGET = "backend_lambda.services.observations.ANSWER_BYTES"


def wide(patient: UUID) -> dict[str, Any]:
    """About 40 kB, with letters that JSON writes as six characters each."""
    value = {"value": None, "unit": "/min", "reasons": [WIDE] * 32, "algorithm": "é" * 80}
    values = {f"v{number:02}" + "v" * 61: value for number in range(16)}
    return observation(patient, values=values, quality={"score": 0.5, "reasons": [WIDE] * 32})


def add(world: World, device: Kiosk, sent: list[dict[str, Any]]) -> None:
    for at in range(0, len(sent), 20):
        batch = {"observations": sent[at : at + 20]}
        assert world.by(device, "POST", "/v1/observations", body=batch).status == 200


def payload_bytes(world: World, device: Kiosk, path: str, query: dict[str, str]) -> int:
    """What Lambda's runtime writes."""
    made = event("GET", path, headers=world.headers(device, "GET", path), query=query)
    return len(json.dumps(handler.lambda_handler(made, context()), ensure_ascii=False).encode())


def read(world: World, device: Kiosk, path: str, patient: UUID, **query: str) -> tuple[list[Any], list[Any]]:
    """Every page's observations and files, each page within the budget that holds."""
    from backend_lambda.services import observations

    found: list[Any] = []
    files: list[Any] = []
    cursor: str | None = None
    while True:
        asked = {"patient_id": str(patient), **query, **({"cursor": cursor} if cursor else {})}
        page = world.by(device, "GET", path, query=asked)
        assert page.status == 200
        assert len(json.dumps(page.body.decode())) <= observations.ANSWER_BYTES + 200
        found += page.json["observations"]
        files += page.json.get("uploads", [])
        assert cursor is None or cursor != page.json["next_cursor"]
        cursor = page.json["next_cursor"]
        if cursor is None:
            return found, files


@pytest.mark.parametrize("path", ["/v1/observations", "/v1/observations/export"])
def test_the_largest_observations_fit_a_page_at_a_time(world: World, path: str) -> None:
    device, patient = world.kiosk(), uuid4()
    sent = [wide(patient) for _ in range(200)]
    add(world, device, sent)
    query = {"patient_id": str(patient)} | ({} if path.endswith("export") else {"limit": "200"})
    size = payload_bytes(world, device, path, query)
    assert 4_000_000 < size < MAX_ANSWER_BYTES
    found, _ = read(world, device, path, patient, **({} if path.endswith("export") else {"limit": "200"}))
    assert sorted(one["id"] for one in found) == sorted(one["id"] for one in sent)
    assert len(found) == 200


def test_an_export_is_whole_whatever_fits(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the files alone fill pages: no budget leaves anything out, or tells it twice."""
    device, patient = world.kiosk(), uuid4()
    sent = [observation(patient) for _ in range(7)]
    add(world, device, sent)
    rows = [
        upload(patient, device.id, created_at=world.clock.utc() + timedelta(seconds=number // 2))
        for number in range(9)
    ]
    with world.database.clinic(device.clinic_id) as transaction:
        for row in rows:
            uploads.add(transaction, row)
    everything = read(world, device, "/v1/observations/export", patient)
    assert {one["id"] for one in everything[0]} == {one["id"] for one in sent}
    assert {one["id"] for one in everything[1]} == {str(row.id) for row in rows}
    for budget in range(1_000, 12_000, 611):
        monkeypatch.setattr(BUDGET, budget)
        assert read(world, device, "/v1/observations/export", patient) == everything


def test_one_thing_always_goes_in(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    device, patient = world.kiosk(), uuid4()
    add(world, device, [observation(patient) for _ in range(3)])
    monkeypatch.setattr(BUDGET, 1)
    cursor = None
    for left in (True, True, False):
        query = {"patient_id": str(patient), **({"cursor": cursor} if cursor else {})}
        for path in ("/v1/observations", "/v1/observations/export"):
            page = world.by(device, "GET", path, query=query).json
            assert len(page["observations"]) == 1
        cursor = world.by(device, "GET", "/v1/observations", query=query).json["next_cursor"]
        assert (cursor is not None) is left


@pytest.mark.parametrize("over", [0, 1])
def test_the_stand_in_gives_back_no_more_than_lambda(over: int) -> None:
    """Counted as JSON in which the body is a text: each of its quotes is two bytes there."""
    empty = {"statusCode": 200, "multiValueHeaders": {}, "body": ""}
    room = MAX_ANSWER_BYTES - len(json.dumps(empty))
    body = '"' * (room // 2) + "x" * (room % 2 + over)
    with ApiGateway(lambda *_: {**empty, "body": body}) as gateway:
        connection = HTTPConnection(urlsplit(gateway.url).netloc, timeout=30)
        connection.request("GET", "/v1/health")
        answer = connection.getresponse()
        got = answer.read()
        connection.close()
    assert (answer.status, len(got)) == ((502, len(got)) if over else (200, len(body)))
    assert gateway.faults == (["ResponseSizeTooLarge"] if over else [])
