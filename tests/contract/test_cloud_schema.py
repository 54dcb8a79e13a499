"""schemathesis asks the local cloud everything that the OpenAPI allows, and what it does not: no answer is a 5xx or off the document."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings

from tests.backend_lambda.kiosk import Kiosk
from tests.stand_ins.local_cloud import LocalCloud

DOCUMENT = json.loads(
    (Path(__file__).resolve().parents[2] / "backend_lambda" / "openapi.json").read_text("utf-8")
)
OPERATIONS = [
    (method.upper(), path)
    for path, item in DOCUMENT["paths"].items()
    for method in item
    if method in {"get", "post", "put", "delete", "patch"}
]
EXAMPLES = 25
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("local-cloud")]


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    often = {f"{what}_per_minute": "100000" for what in ("requests", "questions", "speech")}
    with LocalCloud(settings=often) as made:
        yield made
        assert made.gateway.faults == [] and made.aws.failures == []


@pytest.fixture(scope="module")
def device(cloud: LocalCloud) -> Kiosk:
    made = Kiosk(cloud.url)
    assert made.enrol(cloud.enrolment_code(cloud.add_clinic())).status == 200
    assert made.renew().status == 200
    return made


@pytest.fixture(scope="module")
def people(cloud: LocalCloud) -> list[str]:
    clinic_id = cloud.add_clinic()
    return [cloud.admin_token(role, clinic_id) for role in ("clinic_admin", "auditor")] + [
        cloud.admin_token("operator")
    ]


@pytest.mark.parametrize("method, path", OPERATIONS)
def test_no_request_is_answered_with_our_own_mistake(
    cloud: LocalCloud, device: Kiosk, people: list[str], method: str, path: str
) -> None:
    operation = schemathesis.openapi.from_dict(DOCUMENT)[path][method]
    security = {name for one in operation.definition.raw.get("security", [{}]) for name in one}

    @given(case=operation.as_strategy())
    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def ask(case: Any) -> None:
        for headers in _signed(case, device, people, security, method):
            response = case.call(base_url=cloud.url, headers=headers)
            assert response.status_code < 500, (case.path_parameters, case.body, response.content)
            assert response.headers["x-request-id"]

    ask()


def _signed(
    case: Any, device: Kiosk, people: list[str], security: set[str], method: str
) -> Iterator[dict[str, str]]:
    """As each of those who may ask, and as nobody."""
    yield {}
    if "person" in security:
        yield from ({"Authorization": f"Bearer {token}"} for token in people)
    if security & {"proof", "access_token"}:
        headers = device.headers(method, case.formatted_path)
        yield {name: value for name, value in headers.items() if name != "Content-Type"}
