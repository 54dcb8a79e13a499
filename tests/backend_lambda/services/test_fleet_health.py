"""Health by part: a part that fails or hangs is not ready, and takes nobody with it."""

from __future__ import annotations

import threading

import pytest

from backend_lambda.errors import Code, unavailable
from backend_lambda.ports import ObjectFacts
from backend_lambda.services import fleet, prompt
from backend_lambda.services.fleet import Fleet
from backend_lambda.store.database import Database
from tests.backend_lambda.conftest import SetClock
from tests.backend_lambda.fakes import FakeObjects, Fakes
from tests.backend_lambda.world import settings


def made(database: Database, fakes: Fakes) -> Fleet:
    return Fleet(database, fakes.ports(), settings(), version="1", uploads=[])


def ready(found: Fleet) -> dict[str, bool]:
    health = found.health()
    assert health.ready == all(part.ready for part in health.parts)
    return {part.name: part.ready for part in health.parts}


def test_each_part_fails_by_itself(api: Database, clock: SetClock) -> None:
    fakes = Fakes(clock)
    assert ready(made(api, fakes)) == {"store": True, "objects": True, "signer": True}
    fakes.signer.fault = unavailable(Code.INTERNAL, "KMS does not answer")
    assert ready(made(api, fakes)) == {"store": True, "objects": True, "signer": False}
    fakes.signer.fault = None
    fakes.documents.fault = unavailable(Code.OBJECTS_UNAVAILABLE, "S3 does not answer")
    assert ready(made(api, fakes)) == {"store": True, "objects": False, "signer": True}
    gone = Database("postgresql://x:y@127.0.0.1:9/gone", clock=clock)
    fakes.documents.fault = None
    assert ready(made(gone, fakes)) == {"store": False, "objects": True, "signer": True}


def test_a_part_that_hangs_is_not_waited_for(
    api: Database, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go = threading.Event()

    class Hanging(FakeObjects):
        def head(self, key: str) -> ObjectFacts | None:
            let_go.wait(30)
            return super().head(key)

    monkeypatch.setattr(fleet, "PART_MAY_TAKE_S", 0.3)
    fakes = Fakes(clock)
    fakes.documents = Hanging(clock)
    try:
        assert ready(made(api, fakes)) == {"store": True, "objects": False, "signer": True}
    finally:
        let_go.set()


def test_the_parts_are_not_asked_by_everybody_who_asks(api: Database, clock: SetClock) -> None:
    fakes = Fakes(clock)
    found = made(api, fakes)
    assert found.health().ready
    fakes.signer.fault = unavailable(Code.INTERNAL, "KMS does not answer")
    clock.go(4.9)
    assert found.health().ready
    clock.go(0.1)
    assert not found.health().ready


def test_a_fault_of_ours_in_a_probe_is_no_readiness(
    api: Database, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    fakes = Fakes(clock)
    fakes.signer.fault = ValueError("ours")
    assert ready(made(api, fakes)) == {"store": True, "objects": True, "signer": False}


def test_the_languages_are_the_assistants() -> None:
    assert set(fleet.LANGUAGES) == set(prompt._LANGUAGES)
