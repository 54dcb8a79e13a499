"""What the firewall before the API refuses: its statements, put to requests as the API gets them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from tests.backend_lambda.stacks.reading import Broken, at, rule
from tests.backend_lambda.stacks.templates import Resource, Template

_ABROAD = "AQ"
"""No clinic is there. Route 53 asks for the health from all over the world."""
_CHANGES: Mapping[str, Callable[[str], str]] = {
    "NONE": str,
    "LOWERCASE": str.lower,
    "URL_DECODE": unquote,
    "NORMALIZE_PATH": posixpath.normpath,
}
_BEFORE = ("", "/live")
"""With a name of its own the API's paths begin at once, else with the stage."""


@dataclass(frozen=True, slots=True)
class Request:
    path: str
    country: str = _ABROAD


def matches(statement: Mapping[str, Any], request: Request) -> bool:
    """Whether a statement is for a request; one that counts is for what it counts. Raises ValueError for one that is not known here."""
    ((kind, facts),) = statement.items()
    match kind:
        case "AndStatement":
            return all(matches(one, request) for one in facts["Statements"])
        case "OrStatement":
            return any(matches(one, request) for one in facts["Statements"])
        case "NotStatement":
            return not matches(facts["Statement"], request)
        case "GeoMatchStatement":
            return request.country in facts["CountryCodes"]
        case "RateBasedStatement":
            return "ScopeDownStatement" not in facts or matches(facts["ScopeDownStatement"], request)
        case "RegexMatchStatement" if facts["FieldToMatch"] == {"UriPath": {}}:
            path = request.path
            for change in sorted(facts["TextTransformations"], key=lambda one: int(one["Priority"])):
                path = _CHANGES[change["Type"]](path)
            return re.search(facts["RegexString"], path) is not None
    raise ValueError(f"{kind} is not known here")


def _refusing(wall: Resource, kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Names and statements of what refuses, where such a statement is somewhere in it."""
    for one in wall.properties["Rules"]:
        if "Block" in one.get("Action", {}) and f"'{kind}'" in repr(one["Statement"]):
            yield one["Name"], one["Statement"]


def _walls(template: Template) -> list[Resource]:
    """Those before an API."""
    return template.of("AWS::WAFv2::WebACL") if template.of("AWS::ApiGateway::RestApi") else []


@rule
def an_emergency_does_not_wait_for_records(template: Template) -> Iterator[Broken]:
    """A clinic is one address: hundreds of devices that come back after an outage must not shut the chat, which is who calls for help.
    Nor may the chat be asked without end.
    """
    for wall in _walls(template):
        counting = dict(_refusing(wall, "RateBasedStatement"))
        for before in _BEFORE:
            asking = Request(f"{before}/v1/chat")
            for_it = {name: one for name, one in counting.items() if matches(one, asking)}
            if not for_it:
                yield wall.id, f"lets one address ask {asking.path} without end"
            for name, one in for_it.items():
                if matches(one, Request(f"{before}/v1/observations")):
                    yield wall.id, f"{name} counts records as questions"


@rule
def a_path_in_disguise_is_counted(template: Template) -> Iterator[Broken]:
    """API Gateway takes %65nrol for enrol."""
    for wall in _walls(template):
        for name, one in _refusing(wall, "RateBasedStatement"):
            for plain, disguised in (
                ("/live/v1/devices/enrol", "/live/v1/devices/%65nrol"),
                ("/live/v1/chat", "/live/v1/token/../ch%61t"),
            ):
                if matches(one, Request(plain)) != matches(one, Request(disguised)):
                    yield wall.id, f"{name} does not know {plain} in {disguised}"


@rule
def health_is_told_to_all_the_world(template: Template) -> Iterator[Broken]:
    """Route 53 asks from its own countries. Refused, it takes this region for broken, and a failover does nothing. All else stays closed."""
    for wall in _walls(template):
        for name, one in _refusing(wall, "GeoMatchStatement"):
            for check in template.of("AWS::Route53::HealthCheck"):
                path = str(at(check.properties, "HealthCheckConfig.ResourcePath"))
                if matches(one, Request(path)):
                    yield wall.id, f"{name} refuses {path} to Route 53"
            for before in _BEFORE:
                for path in ("/v1/token", "/v1/health/x", "/v1/chat"):
                    if not matches(one, Request(before + path)):
                        yield wall.id, f"{name} lets {before + path} through from anywhere"
