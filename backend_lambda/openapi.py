"""The API as an OpenAPI 3.1 document: what Powertools makes of the routes, with who may send them, how refusals look, and the chat."""

from __future__ import annotations

import json
from typing import Any, cast

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from backend_lambda import wire
from backend_lambda.routes import ROUTES, Operations, Route, Services, Who, resolver_of

_REF = "#/components/schemas/{model}"
_SECURITY: dict[Who, dict[str, list[str]]] = {
    Who.DEVICE: {"access_token": [], "proof": []},
    Who.OPERATOR: {"person": []},
    Who.CLINIC_ADMIN: {"person": []},
    Who.AUDITOR: {"person": []},
    Who.KEY: {"proof": []},
}
_SCHEMES = {
    "access_token": {
        "type": "http",
        "scheme": "DPoP",
        "description": "A device's access token, of POST /v1/token (RFC 9449).",
    },
    "proof": {
        "type": "apiKey",
        "in": "header",
        "name": "DPoP",
        "description": "A proof of possession for this method and URL, used once (RFC 9449).",
    },
    "person": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "An OIDC token with hh_role and, except for operators, hh_clinic.",
    },
}
_WHY = {
    400: "No JSON, or no text at all",
    401: "Not signed in, or not any more; the code says why",
    403: "Signed in as somebody who may not",
    404: "There is no such thing",
    405: "This path knows other methods",
    409: "Contradicts what is there",
    410: "Was there, and is gone",
    413: "Too large",
    415: "Of a media type that is not taken",
    422: "Does not fit its form; `fields` names what is wrong",
    429: "Too often, or the budget is spent; Retry-After says when",
    500: "Something is wrong on our side",
    503: "Something behind us does not answer; Retry-After says when",
    504: "Something behind us took too long",
}
_EVENTS: tuple[type[BaseModel], ...] = (
    wire.ChatStart,
    wire.ChatDelta,
    wire.ChatCitation,
    wire.ChatUrgency,
    wire.ChatDone,
    wire.ChatError,
)


def document() -> dict[str, Any]:
    """The whole of it."""
    resolver = resolver_of(Operations(cast("Services", None)))  # nothing is called, only looked at
    made = json.loads(resolver.get_openapi_json_schema(title="Health Helper", version="1"))
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        path = route.path.replace("<", "{").replace(">", "}")
        operation = made["paths"][path][route.method.lower()]
        paths.setdefault(path, {})[route.method.lower()] = _completed(route, operation)
    paths["/v1/chat"] = {"post": _chat()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Health Helper",
            "version": "1",
            "description": "What devices and administrators of a clinic ask of the cloud.",
        },
        "paths": paths,
        "components": {
            "securitySchemes": _SCHEMES,
            "responses": {f"Refused{status}": _refused(status) for status in _WHY},
            "schemas": _schemas(made["components"]["schemas"]),
        },
    }


def text() -> str:
    """As the file in the repository has it."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def _completed(route: Route, operation: dict[str, Any]) -> dict[str, Any]:
    operation["security"] = [] if route.who == {Who.ANYONE} else _security(route)
    found = {status: said for status, said in operation["responses"].items() if status not in {"422", "500"}}
    (success,) = found.values()
    if route.operation in {"revoke_device", "heartbeat", "withdraw_share"}:
        found = {"204": {"description": "Done"}}
    elif route.operation == "synthesis":
        found = {"200": _of_type("MP3", "audio/mpeg", {"type": "string", "contentEncoding": "base64"})}
    elif route.operation == "share_page":
        found = {"200": _of_type("A page", "text/html", {"type": "string"})}
    elif route.operation == "health":
        found = {"200": {**success, "description": "Ready"}, "503": {**success, "description": "Not ready"}}
    else:
        found = {"200": {**success, "description": "Done"}}
    operation["responses"] = {
        **found,
        **{str(one): _problem(one) for one in _refusals(route) if str(one) not in found},
    }
    operation.pop("description", None)
    return operation


def _security(route: Route) -> list[dict[str, list[str]]]:
    several: list[dict[str, list[str]]] = []
    for who in sorted(route.who):
        if _SECURITY[who] not in several:
            several.append(_SECURITY[who])
    return several


def _refusals(route: Route) -> list[int]:
    statuses = {400, 404, 405, 413, 422, 500, 503}
    if route.who != {Who.ANYONE}:
        statuses |= {401, 403}
        if route.operation != "enrol":
            statuses |= {429}
    if route.has_body:
        statuses |= {409, 410, 415}
    if route.operation in {"complete_upload", "download_upload"}:
        statuses |= {409}
    if route.path.startswith("/v1/speech"):
        statuses |= {504}
    return sorted(statuses)


def _problem(status: int) -> dict[str, Any]:
    return {"$ref": f"#/components/responses/Refused{status}"}


def _refused(status: int) -> dict[str, Any]:
    return _of_type(_WHY[status], "application/problem+json", {"$ref": _REF.format(model="Problem")})


def _of_type(description: str, media_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {media_type: {"schema": schema}}}


def _chat() -> dict[str, Any]:
    """Answered by the function that streams."""
    return {
        "summary": "Ask the assistant",
        "operationId": "chat",
        "security": [_SECURITY[Who.DEVICE]],
        "requestBody": {
            "content": {"application/json": {"schema": {"$ref": _REF.format(model="Chat")}}},
            "required": True,
        },
        "responses": {
            "200": {
                "description": "Server-sent events; the data of each is one of these, named by `event`",
                "content": {
                    "text/event-stream": {
                        "schema": {"type": "string"},
                        "x-events": [{"$ref": _REF.format(model=one.__name__)} for one in _EVENTS],
                    }
                },
            },
            **{str(one): _problem(one) for one in (400, 401, 403, 404, 409, 413, 422, 429, 500, 503, 504)},
        },
    }


def _schemas(made: dict[str, Any]) -> dict[str, Any]:
    """Powertools' own, except for its errors, and those that no signature names."""
    named: tuple[type[BaseModel], ...] = (wire.Observation, wire.Problem, wire.Chat)
    _, more = models_json_schema([(one, "validation") for one in named], ref_template=_REF)
    _, events = models_json_schema([(one, "serialization") for one in _EVENTS], ref_template=_REF)
    known = {
        name: schema
        for name, schema in made.items()
        if name not in {"HTTPValidationError", "ValidationError", "ResponseValidationError"}
    }
    return dict(sorted({**more["$defs"], **events["$defs"], **known}.items()))
