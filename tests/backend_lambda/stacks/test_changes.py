"""What one deployment changes into another: in the middle of an outage CloudFormation must not stop, nor make a database anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import pytest
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

from tests.backend_lambda.stacks import templates
from tests.backend_lambda.stacks.templates import Configuration, Template
from tests.backend_lambda.stacks.test_mutations import Change, of

_STEPS = {
    "the failover": ("core, standby", "core, promoted"),
    "a second region": ("core, production", "core, primary"),
    "a second region, copied to": ("core, primary", "core, primary and copies"),
}
_REASONS: Mapping[tuple[str, str], str] = {}
"""Resource and property that only sometimes mean a new one (conditionalCreateOnlyProperties) and here do not, and why."""

_ALSO_FIXED: Mapping[str, tuple[str, ...]] = {"AWS::Route53::RecordSet": ("SetIdentifier", "Failover")}
"""What a schema does not say: a record with another identifier is another record, and beside one without any Route 53 takes none."""


@cache
def _fixed(type_: str, region: str) -> tuple[str, ...]:
    """Properties that make CloudFormation make a resource anew, always or sometimes, such as "A/B". Nobody describes custom ones."""
    if type_.startswith("Custom::"):
        return ()
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema(region, type_).schema
    both = (*schema.get("createOnlyProperties", ()), *schema.get("conditionalCreateOnlyProperties", ()))
    return (*(str(path).removeprefix("/properties/") for path in both), *_ALSO_FIXED.get(type_, ()))


def _at(value: Any, steps: list[str]) -> Iterator[Any]:
    """All that lie there; "*": each of a list."""
    if not steps:
        yield value
    elif isinstance(value, list):
        for part in value:
            yield from _at(part, steps[1:] if steps[0] == "*" else steps)
    elif isinstance(value, Mapping) and steps[0] in value:
        yield from _at(value[steps[0]], steps[1:])


def made_anew(before: Template, after: Template) -> list[tuple[str, str]]:
    """Resource and property, of what is in both."""
    found = []
    for name, one in before.resources.items():
        other = after.resources.get(name)
        if other is None:
            continue
        if one.type != other.type:
            found.append((name, "Type"))
        for path in _fixed(one.type, before.configuration.region):
            was, is_ = ([*_at(side.properties, path.split("/"))] for side in (one, other))
            if was != is_:
                found.append((name, path))
    return found


def _template(name: str, change: Change | None = None) -> Template:
    if name == "core, primary and copies":
        known = next(one for one in templates.CONFIGURATIONS if str(one) == "core, primary")
        all_ = next(one for one in templates.CONFIGURATIONS if str(one) == "core, production, everything")
        keys = {key: all_.parameters[key] for key in ("OtherDataKeyArn", "OtherAuditKeyArn")}
        configuration = Configuration("core", "primary and copies", {**known.parameters, **keys})
    else:
        configuration = next(one for one in templates.CONFIGURATIONS if str(one) == name)
    source = templates.source(configuration)
    if change is not None:
        change(source)
    return templates.resolved(configuration, source)


@pytest.mark.parametrize("step", _STEPS)
def test_nothing_is_made_anew(step: str) -> None:
    before, after = (_template(name) for name in _STEPS[step])
    assert [one for one in made_anew(before, after) if one not in _REASONS] == []


@pytest.mark.parametrize("step", _STEPS)
def test_both_sides_are_judged(step: str) -> None:
    """A comparison of nothing finds nothing."""
    before, after = (_template(name) for name in _STEPS[step])
    assert before.given["RegionRole"] != after.given["RegionRole"] or "copies" in _STEPS[step][1]
    assert len(set(before.resources) & set(after.resources)) > 150
    assert _fixed("AWS::RDS::DBInstance", "eu-central-1")


_ONE_OF_TWO = {"Fn::If": ["HasFailover", {"Ref": "AWS::Region"}, {"Ref": "AWS::NoValue"}]}
_IF = {"Fn::If": ["IsStandby", {"Ref": "AWS::NoValue"}, True]}
_HARMS: dict[str, tuple[str, Change, tuple[str, str]]] = {
    "a database that says it is encrypted once it is promoted": ("the failover", of("Database", "StorageEncrypted", _IF), ("Database", "StorageEncrypted")),
    "a database that says its engine once it is promoted": ("the failover", of("Database", "Engine", {"Fn::If": ["IsStandby", {"Ref": "AWS::NoValue"}, "postgres"]}), ("Database", "Engine")),
    "a database that forgets its source": ("the failover", of("Database", "SourceDBInstanceIdentifier", {"Fn::If": ["IsStandby", {"Ref": "PrimaryDatabaseArn"}, {"Ref": "AWS::NoValue"}]}), ("Database", "SourceDBInstanceIdentifier")),
    "a record that becomes one of two": ("a second region", of("ApiRecord", "SetIdentifier", _ONE_OF_TWO), ("ApiRecord", "SetIdentifier")),
    "a bucket by the name of its role": ("a second region", of("DocumentsBucket", "BucketName", {"Fn::Sub": "health-helper-${RegionRole}"}), ("DocumentsBucket", "BucketName")),
    "a secret by the name of the other region": ("a second region", of("OwnerSecret", "Name", {"Fn::Sub": "owner-${OtherRegion}"}), ("OwnerSecret", "Name")),
}  # fmt: skip


@pytest.mark.parametrize("harm", _HARMS)
def test_what_is_made_anew_is_seen(harm: str) -> None:
    step, change, found = _HARMS[harm]
    before, after = (_template(name, change) for name in _STEPS[step])
    assert made_anew(before, after) == [found]


def test_every_reason_is_of_something_that_is_there() -> None:
    known = {(name, path) for step in _STEPS.values() for name, path in made_anew(*map(_template, step))}
    assert set(_REASONS) <= known


def test_what_is_compared_is_all_that_aws_says() -> None:
    """The schemas are those of AWS, as cfn-lint brings them along: of a database they name what a promotion changes."""
    assert {
        "StorageEncrypted",
        "Engine",
        "SourceDBInstanceIdentifier",
        "KmsKeyId",
        "DBInstanceIdentifier",
    } <= set(_fixed("AWS::RDS::DBInstance", "eu-central-1"))
    assert "BucketName" in _fixed("AWS::S3::Bucket", "eu-central-1")
