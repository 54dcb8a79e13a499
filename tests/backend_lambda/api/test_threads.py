"""Many at once in one process, as the local cloud's server has it: nobody gets what another asked for."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest
from aws_lambda_powertools.event_handler.api_gateway import Route as PowertoolsRoute

from tests.backend_lambda.world import Kiosk, World, observation


@pytest.fixture(autouse=True)
def threads_that_take_turns_all_the_time() -> Iterator[None]:
    """Else a request is mostly over before another thread has its turn."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_requests_that_run_at_once_are_not_mixed_up(world: World) -> None:
    devices = [world.kiosk() for _ in range(6)]
    patients = [uuid4() for _ in devices]
    start = threading.Barrier(len(devices))

    def work(number: int) -> None:
        device, patient = devices[number], patients[number]
        sent: set[str] = set()
        start.wait()
        for _ in range(15):
            one = observation(patient)
            sent.add(one["id"])
            stored = world.by(device, "POST", "/v1/observations", body={"observations": [one]})
            assert stored.json["results"] == [{"at": 0, "id": one["id"], "status": "stored", "fields": []}]
            assert world.by(device, "GET", "/v1/config").json["clinic_id"] == str(device.clinic_id)
            query = {"patient_id": str(patient)}
            page = world.by(device, "GET", "/v1/observations", query=query).json["observations"]
            assert {found["id"] for found in page} == sent

    with ThreadPoolExecutor(len(devices)) as pool:
        list(pool.map(work, range(len(devices))))


def test_the_first_requests_of_a_process_may_come_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Powertools puts a route together at its first request: by two at once its function would be called more than once."""
    put_together = PowertoolsRoute._build_middleware_stack

    def slowly(route: PowertoolsRoute, *arguments: Any, **named: Any) -> None:
        time.sleep(0.5)
        put_together(route, *arguments, **named)

    monkeypatch.setattr(PowertoolsRoute, "_build_middleware_stack", slowly)
    device = world.kiosk()
    beat = {"software_version": "1", "system": "", "waiting": 0, "parked": 0, "oldest_waiting_s": None}
    start = threading.Barrier(8)

    def ask(_: int) -> int:
        start.wait()
        return world.by(device, "POST", "/v1/heartbeat", body=beat).status

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(8))) == [204] * 8
    assert len([one for one in world.fakes.measures.added if one[0] == "sync_age"]) == 8


def both(world: World, device: Kiosk, first: UUID | None, second: UUID | None) -> list[str | None]:
    """Two use the same refresh token at once: the new tokens, None for who was refused."""
    start = threading.Barrier(2)

    def use(request_id: UUID | None) -> str | None:
        start.wait()
        reply = world.refresh(device, request_id=request_id)
        assert reply.status in {200, 401}
        return str(reply.json["refresh_token"]) if reply.status == 200 else None

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(use, (first, second)))


def test_of_two_with_the_same_refresh_token_one_is_a_thief(world: World) -> None:
    device = world.kiosk()
    tokens = both(world, device, uuid4(), uuid4())
    assert tokens.count(None) == 1
    for token in (*tokens, device.refresh_token):
        if token is not None:
            assert world.refresh(device, token).code == "device_revoked"


def test_with_the_same_request_all_get_the_same_token(world: World) -> None:
    device, asked = world.kiosk(), uuid4()
    start = threading.Barrier(6)

    def use(_: int) -> Any:
        start.wait()
        return world.refresh(device, request_id=asked).json["refresh_token"]

    with ThreadPoolExecutor(6) as pool:
        (token,) = set(pool.map(use, range(6)))
    assert world.refresh(device, token).status == 200
