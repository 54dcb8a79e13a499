"""What a rule is, and how rules read a template."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.backend_lambda.stacks.templates import Resource, Template, named

REPOSITORY = Path(__file__).parents[3]
SEVEN_YEARS_DAYS = 2557
"""One more than the six of § 164.316(b)(2), and a retention that CloudWatch knows."""


@dataclass(frozen=True, slots=True)
class Finding:
    """rule: its name. resource: a logical id, or "template"."""

    rule: str
    resource: str
    what: str


Broken = tuple[str, str]
"""Who, and what."""
RULES: dict[str, Callable[[Template], Iterator[Broken]]] = {}


def rule(check: Callable[[Template], Iterator[Broken]]) -> Callable[[Template], Iterator[Broken]]:
    """Its name is the function's, its reason the function's docstring."""
    RULES[check.__name__] = check
    return check


def several(value: Any) -> list[Any]:
    """A policy may have one thing where it may have many."""
    return value if isinstance(value, list) else [] if value is None else [value]


def statements(document: Any) -> list[Mapping[str, Any]]:
    document = json.loads(document) if isinstance(document, str) else document
    return several((document or {}).get("Statement"))


_IDENTITY = ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::RolePolicy", "AWS::IAM::Role")
_OF_RESOURCES = {
    "AWS::S3::BucketPolicy": "PolicyDocument",
    "AWS::SQS::QueuePolicy": "PolicyDocument",
    "AWS::SNS::TopicPolicy": "PolicyDocument",
    "AWS::SecretsManager::ResourcePolicy": "ResourcePolicy",
    "AWS::EC2::VPCEndpoint": "PolicyDocument",
    "AWS::Logs::ResourcePolicy": "PolicyDocument",
    "AWS::S3Vectors::VectorBucketPolicy": "Policy",
    "AWS::Kinesis::ResourcePolicy": "ResourcePolicy",
    "AWS::Events::EventBusPolicy": "Statement",
    "AWS::Events::EventBus": "Policy",
    "AWS::ApiGateway::RestApi": "Policy",
}
KEYS = ("AWS::KMS::Key", "AWS::KMS::ReplicaKey")


def of_identities(template: Template) -> Iterator[tuple[Resource, Mapping[str, Any]]]:
    """Statements of what roles may do."""
    for one in template.of(*_IDENTITY):
        documents = [policy["PolicyDocument"] for policy in one.properties.get("Policies", ())]
        for document in [*documents, one.properties.get("PolicyDocument")]:
            for statement in statements(document):
                yield one, statement


def of_resources(template: Template) -> Iterator[tuple[Resource, Mapping[str, Any]]]:
    """Statements of who may do something with a resource; those of keys are apart."""
    for one in template.of(*_OF_RESOURCES):
        found = one.properties.get(_OF_RESOURCES[one.type])
        if one.type == "AWS::Events::EventBusPolicy":
            found = {"Statement": found}
        for statement in statements(found):
            yield one, statement


def of_keys(template: Template) -> Iterator[tuple[Resource, Mapping[str, Any]]]:
    for one in template.of(*KEYS):
        for statement in statements(one.properties.get("KeyPolicy")):
            yield one, statement


def allows(statement: Mapping[str, Any]) -> bool:
    return bool(statement.get("Effect") == "Allow")


def condition_keys(statement: Mapping[str, Any]) -> set[str]:
    return {key.lower() for test in statement.get("Condition", {}).values() for key in test}


def policies_of(template: Template, role: Resource) -> list[Mapping[str, Any]]:
    """What a role may do, whoever says it."""
    found = []
    for one, statement in of_identities(template):
        holders = [*several(one.properties.get("Roles")), *several(one.properties.get("RoleName"))]
        if one.id == role.id or (one.type != "AWS::IAM::Role" and role.id in named(holders)):
            found.append(statement)
    return found


def is_anybody(principal: Any) -> bool:
    if isinstance(principal, dict):
        return any(
            is_anybody(part)
            for kind, part in principal.items()
            if kind in {"AWS", "Service", "CanonicalUser"}
        )
    return any(part == "*" for part in several(principal))


@cache
def _reference() -> Mapping[str, Any]:
    """AWS's service authorization reference, as cfn-lint brings it along."""
    found = importlib.util.find_spec("cfnlint")
    assert found is not None
    assert found.origin is not None
    path = Path(found.origin).parent / "data" / "AdditionalSpecs" / "Policies.json"
    reference: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return reference


def known_action(action: str) -> Mapping[str, Any] | None:
    """None: AWS has no such action."""
    service, _, name = action.partition(":")
    actions: Mapping[str, Mapping[str, Any]] = _reference().get(service, {}).get("Actions", {})
    return actions.get(name.lower())


def at(value: Any, path: str) -> Any:
    """What lies there; None: nothing does."""
    for step in path.split("."):
        if isinstance(value, list):
            value = value[int(step)] if int(step) < len(value) else None
        elif isinstance(value, Mapping):
            value = value.get(step)
        else:
            return None
    return value


def variables(function: Resource) -> Mapping[str, Any]:
    return at(function.properties, "Environment.Variables") or {}
