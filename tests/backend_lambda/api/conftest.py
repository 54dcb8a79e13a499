"""The API function with a real store."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from backend_lambda import app, handler
from backend_lambda.store.database import Database
from tests.backend_lambda.callers import ISSUER
from tests.backend_lambda.conftest import SetClock
from tests.backend_lambda.fakes import Fakes
from tests.backend_lambda.world import OIDC, World, settings


@pytest.fixture
def world(api: Database, clock: SetClock) -> Iterator[World]:
    fakes = Fakes(clock)
    fakes.key_sets.keys[ISSUER, OIDC.key_id] = OIDC.pem()
    log = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(handler.logger.registered_handler, "stream", log)
        made = settings()
        backend = app.Backend(made, fakes.ports(), api)
        patch.setattr(app, "backend", lambda: backend)
        yield World(api, clock, fakes, log, made, backend, patch)
