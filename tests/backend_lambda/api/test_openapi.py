"""The OpenAPI document in the repository is what the routes are, and what it says holds."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from backend_lambda import openapi
from backend_lambda.__main__ import main
from backend_lambda.routes import ROUTES, Who

COMMITTED = Path(openapi.__file__).parent / "openapi.json"
DOCUMENT: dict[str, Any] = openapi.document()


def test_the_document_in_the_repository_is_up_to_date() -> None:
    """If not: python -m backend_lambda openapi backend_lambda/openapi.json"""
    assert COMMITTED.read_text(encoding="utf-8") == openapi.text()


def test_the_command_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["openapi", str(tmp_path / "made.json")]) == 0
    assert (tmp_path / "made.json").read_text(encoding="utf-8") == openapi.text()
    assert main(["openapi"]) == 0
    assert capsys.readouterr().out == openapi.text()


def test_every_route_is_in_it_and_nothing_else_but_the_chat() -> None:
    said = {(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods}
    ours = {(route.method, route.path.replace("<", "{").replace(">", "}")) for route in ROUTES}
    assert said == ours | {("POST", "/v1/chat")}


def test_it_says_who_may() -> None:
    for route in ROUTES:
        operation = DOCUMENT["paths"][route.path.replace("<", "{").replace(">", "}")][route.method.lower()]
        schemes = [sorted(one) for one in operation["security"]]
        assert (["access_token", "proof"] in schemes) == (Who.DEVICE in route.who)
        assert (["proof"] in schemes) == (Who.KEY in route.who)
        assert (["person"] in schemes) == bool(route.who & {Who.OPERATOR, Who.CLINIC_ADMIN, Who.AUDITOR})
        assert (schemes == []) == (Who.ANYONE in route.who)
        assert operation["operationId"] == route.operation
        assert ("requestBody" in operation) == route.has_body


def test_every_reference_leads_somewhere() -> None:
    found = set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(DOCUMENT)))
    assert found
    for reference in found:
        _, *steps = reference.split("/")
        inner: Any = DOCUMENT
        for step in steps:
            inner = inner[step]


def test_no_refusal_is_left_in_powertools_form() -> None:
    assert "HTTPValidationError" not in openapi.text()
    for methods in DOCUMENT["paths"].values():
        for operation in methods.values():
            assert {"422", "500", "503"} <= set(operation["responses"])
