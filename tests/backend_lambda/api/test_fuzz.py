"""Requests that nobody thought of: by the OpenAPI document (schemathesis), and without any sense. No answer is a fault of ours."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.core.transport import Response
from schemathesis.generation.modes import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from backend_lambda import openapi
from backend_lambda.routes import ROUTES, Route, Who
from tests.backend_lambda.callers import API, DeviceKey
from tests.backend_lambda.world import Kiosk, Reply, World
from tests.stand_ins.api_gateway_event import event

pytestmark = pytest.mark.slow
FEW = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.filter_too_much,
        HealthCheck.data_too_large,
    ],
)
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
SCHEMA = schemathesis.openapi.from_dict(openapi.document())
OPERATIONS: dict[str, Any] = {
    found.ok().label: found.ok() for found in SCHEMA.get_all_operations() if isinstance(found, Ok)
}


def signed(world: World, device: Kiosk, route: Route, path: str) -> dict[str, str]:
    if Who.DEVICE in route.who:
        return world.headers(device, route.method, path)
    if Who.KEY in route.who:
        return device.key.headers(route.method, API + path, world.clock.utc())
    if Who.ANYONE in route.who:
        return {}
    role = min(route.who)
    return {
        "Authorization": f"Bearer {world.person(role, None if role is Who.OPERATOR else device.clinic_id)}"
    }


def asked(world: World, device: Kiosk, route: Route, case: Case[Any]) -> Reply:
    """What schemathesis thought of, by somebody who may."""
    path = case.path.replace("{clinic_id}", str(device.clinic_id))
    for name, value in (case.path_parameters or {}).items():
        path = path.replace(f"{{{name}}}", str(value))
    query = [(name, text(value)) for name, value in (case.query or {}).items()]
    body = None if case.body is None or type(case.body).__name__ == "NotSet" else case.body
    data: Any = body if isinstance(body, bytes | str) else json.dumps(body) if route.has_body else None
    headers = {**signed(world, device, route, path)}
    if data is not None:
        headers["Content-Type"] = case.media_type or "application/json"
    made = event(route.method, "/x", headers=headers, query=query, body=data)
    return world.answer({**made, "path": path})


def text(value: object) -> str:
    return (value if isinstance(value, str) else json.dumps(value)).encode("utf-8", "replace").decode()


def takes_something(route: Route) -> bool:
    """Else nothing in a request could be wrong."""
    return (
        route.has_body or "<" in route.path or "observations" in route.path or route.operation == "list_audit"
    )


@pytest.mark.parametrize(
    ("route", "mode"),
    [
        pytest.param(route, mode, id=f"{route.name} {mode.value}")
        for route in ROUTES
        for mode in GenerationMode
        if mode is GenerationMode.POSITIVE or takes_something(route)
    ],
)
def test_the_document_is_kept_to(world: World, route: Route, mode: GenerationMode) -> None:
    device = world.kiosk()
    label = f"{route.method} {route.path.replace('<', '{').replace('>', '}')}"

    @FEW
    @given(OPERATIONS[label].as_strategy(generation_mode=mode))
    def ask(case: Case[Any]) -> None:
        reply = asked(world, device, route, case)
        request = requests.Request(route.method, API + "/").prepare()
        headers = {name: [value] for name, value in reply.headers.items()}
        response = Response(reply.status, headers, reply.body, request, 0.01, verify=True)
        case.validate_response(response, checks=list(CHECKS))

    ask()


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=30)
    | st.just(10**400)
    | st.just(2**63)
    | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=5),
    max_leaves=15,
)


@FEW
@given(data=st.data())
@pytest.mark.parametrize("route", [one for one in ROUTES if one.has_body], ids=lambda route: route.name)
def test_a_right_body_with_something_else_in_it(world: World, route: Route, data: st.DataObject) -> None:
    """Any JSON in any place of a body that is right otherwise: closer to what is believed than random bodies are."""
    from tests.backend_lambda.api.test_nothing_leaks import bodies

    device = world.kiosk()
    body = bodies(device)[route]
    for _ in range(data.draw(st.integers(1, 2))):
        inner: Any = body
        while isinstance(inner, dict | list) and inner:
            keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
            key = data.draw(st.sampled_from(keys))
            if not isinstance(inner[key], dict | list) or not inner[key] or data.draw(st.booleans()):
                inner[key] = data.draw(json_values)
                break
            inner = inner[key]
    path = route.path.replace("<clinic_id>", str(device.clinic_id)).replace("<share_id>", str(uuid4()))
    reply = world.send(route.method, path, headers=signed(world, device, route, path), body=json.dumps(body))
    assert reply.status < 500, (reply, world.log.getvalue().splitlines()[-1])


header_text = st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), max_size=60)


@FEW
@given(
    headers=st.dictionaries(
        st.sampled_from(
            ["Authorization", "DPoP", "dpop", "Content-Type", "Content-Length", "X-Request-Id", "Cookie"]
        ),
        header_text
        | st.sampled_from(["DPoP a.b.c", "Bearer a.b.c", "DPoP ", "application/json", "Bearer é"]),
    ),
    method=st.sampled_from(["GET", "POST", "DELETE", "PUT", "HEAD", ""]),
    path=st.sampled_from([route.path for route in ROUTES]) | st.text(max_size=30),
    query=st.lists(st.tuples(st.text(max_size=10), header_text), max_size=4),
    body=st.binary(max_size=80),
)
def test_requests_without_any_sense(
    world: World, headers: dict[str, str], method: str, path: str, query: list[tuple[str, str]], body: bytes
) -> None:
    path = path.replace("<clinic_id>", str(uuid4())).replace("<", "").replace(">", "")
    reply = world.answer({**event(method, "/", headers=headers, query=query, body=body), "path": path})
    assert 200 <= reply.status < 500


@FEW
@given(
    made=st.fixed_dictionaries(
        {},
        optional={
            "httpMethod": st.none() | st.sampled_from(["GET", "POST"]),
            "path": st.none() | st.sampled_from(["/v1/config", "/v1/token", "/v1/health", "/v1/shares/x"]),
            "headers": st.none() | st.dictionaries(header_text, header_text, max_size=3),
            "multiValueHeaders": st.none()
            | st.dictionaries(header_text, st.lists(header_text, max_size=3), max_size=3),
            "queryStringParameters": st.none() | st.dictionaries(header_text, header_text, max_size=3),
            "multiValueQueryStringParameters": st.none()
            | st.dictionaries(header_text, st.lists(header_text, max_size=3), max_size=3),
            "requestContext": st.none() | st.just({}) | st.just({"requestId": "\n"}),
            "body": st.none() | header_text,
            "isBase64Encoded": st.booleans(),
        },
    )
)
def test_events_without_any_sense(world: World, made: dict[str, Any]) -> None:
    assert 200 <= world.answer(made).status < 500


@FEW
@given(body=json_values)
def test_a_token_asked_for_with_any_json(world: World, body: Any) -> None:
    device = Kiosk(uuid4(), uuid4(), DeviceKey(), "", "")
    reply = world.with_key(
        device.key, "/v1/token", body if isinstance(body, dict) else {"refresh_token": body}
    )
    assert reply.status < 500
