"""Part of the AWS stand-in, which is never shipped: requests and answers by AWS's own service models, as botocore carries them.

A request that does not fit the model is refused as AWS does. An answer of ours that does not fit it is our bug.
Spoken: rest-json, JSON 1.0 and 1.1, and rpc-v2-cbor.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

import botocore.session
from botocore.validate import ParamValidator

from tests.stand_ins.aws import cbor
from tests.stand_ins.aws.exchange import Answer, Refused, Request, decoded

Operation = Callable[[dict[str, Any]], Any]
"""Takes the parameters by their names in the model; returns the output likewise, or an Answer of its own."""


@cache
def _session() -> Any:
    return botocore.session.Session()


@cache
def model(service: str) -> Any:
    """As botocore carries it."""
    return _session().get_service_model(service)


class Service:
    """Some operations of one service."""

    def __init__(self, name: str, operations: Mapping[str, Operation]) -> None:
        self.name = name
        self._operations = operations
        self._paths = [
            (http["method"], _pattern(http["requestUri"]), operation)
            for operation in operations
            if (http := model(name).operation_model(operation).http)
        ]
        self._rpc = not model(name).metadata["protocols"][0].startswith("rest")

    def finds(self, request: Request) -> bool:
        """Whether the request is for one of these operations."""
        return self._found(request) is not None

    def _found(self, request: Request) -> tuple[str, dict[str, str]] | None:
        if self._rpc:
            name = request.headers.get("x-amz-target", "").rpartition(".")[2]
            if match := re.fullmatch(r"/service/\w+/operation/(\w+)", request.path):
                name = match[1]
            return (name, {}) if name in self._operations else None
        for method, pattern, operation in self._paths:
            if method == request.method and (match := pattern.fullmatch(request.path)):
                return operation, {name: decoded(value) for name, value in match.groupdict().items()}
        return None

    def answer(self, request: Request) -> Answer:
        found = self._found(request)
        if found is None:
            raise Refused(404, "UnknownOperationException", "The stand-in has no such operation.")
        operation, in_path = found
        shape = model(self.name).operation_model(operation)
        parameters = _parameters(request, shape.input_shape, in_path, is_cbor=_is_cbor(request))
        problem = invalid(parameters, shape.input_shape)
        if problem:
            raise Refused(400, "ValidationException", problem)
        output = self._operations[operation](parameters)
        return output if isinstance(output, Answer) else self._written(request, shape, output)

    def _written(self, request: Request, shape: Any, output: dict[str, Any]) -> Answer:
        fits(output, shape.output_shape)
        status = int(shape.http.get("responseCode", 200))
        if _is_cbor(request):
            headers = [("Content-Type", "application/cbor"), ("smithy-protocol", "rpc-v2-cbor")]
            return Answer(status, headers, cbor.encoded(output))
        headers = [("Content-Type", "application/json" if not self._rpc else "application/x-amz-json-1.1")]
        content = dict(output)
        members = shape.output_shape.members if shape.output_shape else {}
        for name, member in members.items():
            if member.serialization.get("location") == "header" and name in content:
                headers = [h for h in headers if h[0] != member.serialization["name"]]
                headers.append((member.serialization["name"], str(content.pop(name))))
        payload = shape.output_shape.serialization.get("payload") if shape.output_shape else None
        if payload:
            return Answer(status, headers, content[payload])
        return Answer(status, headers, json.dumps(_plain(content, shape.output_shape)).encode())

    def refusal(self, request: Request, refused: Refused) -> Answer:
        """As this service writes it."""
        if _is_cbor(request):
            body = cbor.encoded({"__type": f"com.amazonaws#{refused.code}", "message": refused.message})
            headers = [("Content-Type", "application/cbor"), ("smithy-protocol", "rpc-v2-cbor")]
            return Answer(refused.status, [*headers, *refused.headers], body)
        body = json.dumps({"__type": refused.code, "message": refused.message}).encode()
        headers = [("Content-Type", "application/json"), ("x-amzn-ErrorType", refused.code)]
        return Answer(refused.status, [*headers, *refused.headers], body)


def _is_cbor(request: Request) -> bool:
    return request.headers.get("smithy-protocol") == "rpc-v2-cbor"


def _pattern(uri: str) -> re.Pattern[str]:
    path = uri.partition("?")[0].rstrip("/")
    parts = re.split(r"\{(\w+)\+?\}", path)
    return re.compile(
        "".join(f"(?P<{part}>[^/]+)" if at % 2 else re.escape(part) for at, part in enumerate(parts)) + "/?"
    )


def _parameters(request: Request, shape: Any, in_path: Mapping[str, str], *, is_cbor: bool) -> dict[str, Any]:
    raw = request.body.read()
    try:
        content = (cbor.decoded(raw) if is_cbor else json.loads(raw)) if raw else {}
    except (ValueError, RecursionError) as error:
        raise Refused(400, "SerializationException", "The body cannot be read.") from error
    if not isinstance(content, dict):
        raise Refused(400, "SerializationException", "The body is no object.")
    found = _named(content, shape, is_cbor=is_cbor)
    assert isinstance(found, dict)
    for name, member in shape.members.items() if shape else ():
        where, key = member.serialization.get("location"), member.serialization.get("name", name)
        value: str | None = None
        if where == "uri":
            value = in_path.get(key)
        elif where == "querystring":
            value = request.asked(key)
        elif where == "header":
            value = request.headers.get(key.lower())
        if value is not None:
            found[name] = (
                int(value) if member.type_name in {"integer", "long"} and value.isdecimal() else value
            )
    return found


def _named(value: Any, shape: Any, *, is_cbor: bool) -> Any:
    """With the model's names for members, and bytes and times as themselves. What does not fit is left for the check."""
    if shape is None or getattr(shape, "is_document_type", False):
        return value
    kind = shape.type_name
    if kind == "structure" and isinstance(value, dict):
        names = {member.serialization.get("name", name): name for name, member in shape.members.items()}
        return {
            names.get(key, key): _named(
                item, shape.members[names[key]] if key in names else None, is_cbor=is_cbor
            )
            for key, item in value.items()
            if item is not None
        }
    if kind == "list" and isinstance(value, list):
        return [_named(item, shape.member, is_cbor=is_cbor) for item in value]
    if kind == "map" and isinstance(value, dict):
        return {key: _named(item, shape.value, is_cbor=is_cbor) for key, item in value.items()}
    if kind == "blob" and isinstance(value, str) and not is_cbor:
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError) as error:
            raise Refused(400, "SerializationException", "Bytes are not base64.") from error
    if kind == "timestamp" and isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    return value


def invalid(value: Any, shape: Any) -> str:
    """What of it does not fit the model; "" if all does."""
    if shape is None:
        return ""
    report = ParamValidator().validate(value, shape)
    if report.has_errors():
        return str(report.generate_report())
    return "; ".join(_beyond(value, shape, shape.name))


def _beyond(value: Any, shape: Any, where: str) -> list[str]:
    """What botocore itself lets through: words that the model does not list, and more than it allows."""
    if getattr(shape, "is_document_type", False):
        return []
    found: list[str] = []
    most = shape.metadata.get("max")
    if most is not None and (value if isinstance(value, int | float) else len(value)) > most:
        found.append(f"{where} is more than {most}")
    if shape.type_name == "structure":
        inner = [(item, shape.members[name], f"{where}.{name}") for name, item in value.items()]
    elif shape.type_name == "list":
        inner = [(item, shape.member, f"{where}[]") for item in value]
    elif shape.type_name == "map":
        inner = [(item, shape.value, f"{where}{{}}") for item in value.values()]
    else:
        inner = []
        words = getattr(shape, "enum", None)
        if words and value not in words:
            found.append(f"{where} is none of {words}")
    return found + [problem for one in inner for problem in _beyond(*one)]


def fits(output: Mapping[str, Any], shape: Any) -> None:
    """Raises AssertionError where an answer of the stand-in is not as the model says."""
    if shape is None:
        assert not output
        return
    streaming = shape.serialization.get("payload")
    content = {name: value for name, value in output.items() if name != streaming}
    report = ParamValidator().validate(content, shape)
    problems = [] if not report.has_errors() else [str(report.generate_report())]
    assert not [problem for problem in problems if not (streaming and f'"{streaming}"' in problem)], problems


def _plain(value: Any, shape: Any) -> Any:
    """As JSON carries it."""
    if shape is None or getattr(shape, "is_document_type", False):
        return value
    kind = shape.type_name
    if kind == "structure":
        return {
            shape.members[name].serialization.get("name", name): _plain(item, shape.members[name])
            for name, item in value.items()
        }
    if kind == "list":
        return [_plain(item, shape.member) for item in value]
    if kind == "map":
        return {key: _plain(item, shape.value) for key, item in value.items()}
    if kind == "blob":
        return base64.b64encode(value).decode()
    if kind == "timestamp":
        is_iso = shape.serialization.get("timestampFormat") == "iso8601"
        return value.strftime("%Y-%m-%dT%H:%M:%SZ") if is_iso else value.timestamp()
    return value
