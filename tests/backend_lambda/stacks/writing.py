"""How a template is written, and what becomes of what it made."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tests.backend_lambda.stacks.reading import Broken, at, rule, several
from tests.backend_lambda.stacks.templates import Template, named

_STATEFUL = {
    "AWS::RDS::DBInstance": {"Snapshot", "Retain"},
    "AWS::S3::Bucket": {"Retain"},
    "AWS::KMS::Key": {"Retain"},
    "AWS::KMS::ReplicaKey": {"Retain"},
    "AWS::SecretsManager::Secret": {"Retain"},
    "AWS::S3Vectors::VectorBucket": {"Retain", "Delete"},
    "AWS::DynamoDB::Table": {"Retain"},
    "AWS::HealthLake::FHIRDatastore": {"Retain"},
    "AWS::Kinesis::Stream": {"Retain", "Delete"},
    "AWS::Route53::HostedZone": {"Retain"},
    "AWS::ElastiCache::ReplicationGroup": {"Delete", "Snapshot"},
    "AWS::ElastiCache::ServerlessCache": {"Delete", "Snapshot"},
}


@rule
def what_holds_data_is_kept(template: Template) -> Iterator[Broken]:
    """A deleted stack, or a changed property, must not delete what people have entrusted."""
    for one in template.of(*_STATEFUL):
        may = _STATEFUL[one.type] | ({"Delete"} if "SourceDBInstanceIdentifier" in one.properties else set())
        but_the_first_time = {"RetainExceptOnCreate"} if "Retain" in may else set()
        for policy, values in (("DeletionPolicy", may | but_the_first_time), ("UpdateReplacePolicy", may)):
            if one.body.get(policy) not in values:
                yield one.id, f"its {policy} is {one.body.get(policy)}"


_NAMED_BY_US = {
    "AWS::S3::Bucket": "BucketName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::SecretsManager::Secret": "Name",
    "AWS::S3Vectors::VectorBucket": "VectorBucketName",
    "AWS::DynamoDB::Table": "TableName",
    "AWS::Kinesis::Stream": "Name",
}


@rule
def a_second_try_finds_its_names_free(template: Template) -> Iterator[Broken]:
    """What a first deployment that failed leaves behind holds nothing, but its names, and the next one ends at "already exists"."""
    for one in template.of(*_NAMED_BY_US):
        if _NAMED_BY_US[one.type] in one.properties and one.body.get("DeletionPolicy") == "Retain":
            yield one.id, "is left behind by a deployment that failed: RetainExceptOnCreate"


_USES = re.compile(r'"Ref": "(\w+)"|\$\{(\w+)\}')
_SECRET = re.compile(r"(Password|Secret|Token|ApiKey|PrivateKey)$")


@rule
def parameters_are_described(template: Template) -> Iterator[Broken]:
    """Who deploys must know what to say, and is told at once what cannot be."""
    declared: Mapping[str, Mapping[str, Any]] = template.source.get("Parameters", {})
    rest = json.dumps(
        {key: part for key, part in template.source.items() if key not in {"Parameters", "Metadata"}}
    )
    used = {name for pair in _USES.findall(rest) for name in pair}
    grouped = [
        name
        for group in at(template.source, "Metadata.AWS::CloudFormation::Interface.ParameterGroups") or ()
        for name in group["Parameters"]
    ]
    for name, parameter in declared.items():
        if len(parameter.get("Description", "")) < 15:
            yield name, "is not described"
        is_checked_by_aws = "AWS::" in parameter["Type"]  # such as AWS::EC2::VPC::Id: it must exist
        if not is_checked_by_aws and not {"AllowedPattern", "AllowedValues", "MinValue"} & set(parameter):
            yield name, "takes anything"
        if "MinValue" in parameter and "MaxValue" not in parameter:
            yield name, "has no largest value"
        if (
            "Default" in parameter
            and parameter["Default"]
            and (_SECRET.search(name) or parameter.get("NoEcho"))
        ):
            yield name, "has a secret in the template"
        if name not in used:
            yield name, "is used by nobody"
        if grouped.count(name) != 1:
            yield name, "is not shown in one group of the console"
    for name in sorted(set(grouped) - set(declared)):
        yield name, "is shown, and is no parameter"


@rule
def the_template_says_what_it_is(template: Template) -> Iterator[Broken]:
    """And describes what comes out of it."""
    if (
        template.source.get("AWSTemplateFormatVersion") != "2010-09-09"
        or len(template.source.get("Description", "")) < 30
    ):
        yield "template", "does not say what it is"
    for name, output in template.outputs.items():
        if len(output.get("Description", "")) < 8:
            yield name, "is not described"


@rule
def nothing_refers_to_what_is_not_there(template: Template) -> Iterator[Broken]:
    """In this configuration CloudFormation would stop in the middle."""
    for broken in template.broken:
        yield broken.partition(" ")[0], broken
    for one in template.of():
        for needed in several(one.body.get("DependsOn")):
            if needed not in template.source["Resources"]:
                yield one.id, f"waits for {needed}, which there is not"


_TAGGED = {
    "AWS::KMS::Key", "AWS::KMS::ReplicaKey", "AWS::S3::Bucket", "AWS::SQS::Queue", "AWS::SNS::Topic", "AWS::Lambda::Function", "AWS::Logs::LogGroup",
    "AWS::IAM::Role", "AWS::RDS::DBInstance", "AWS::RDS::DBProxy", "AWS::SecretsManager::Secret", "AWS::WAFv2::WebACL", "AWS::CloudFront::Distribution",
    "AWS::CertificateManager::Certificate", "AWS::CloudWatch::Alarm", "AWS::Kinesis::Stream", "AWS::EC2::VPC", "AWS::EC2::Subnet", "AWS::EC2::SecurityGroup",
    "AWS::EC2::NatGateway", "AWS::ApiGateway::Stage", "AWS::ApiGateway::DomainName", "AWS::ElastiCache::ServerlessCache", "AWS::HealthLake::FHIRDatastore",
}  # fmt: skip


@rule
def everything_is_tagged(template: Template) -> Iterator[Broken]:
    """Costs are told apart by application and stage."""
    for one in template.of(*_TAGGED):
        found = one.properties.get("Tags", [])
        tags = found if isinstance(found, dict) else {tag["Key"]: tag["Value"] for tag in found}
        if tags.get("application") != "health-helper" or tags.get("stage") != template.given.get("Stage"):
            yield one.id, "is not tagged with application and stage"


@rule
def suppressions_have_reasons(template: Template) -> Iterator[Broken]:
    """A check that was switched off says why."""
    for one in template.of():
        metadata = one.body.get("Metadata") or {}
        for skip in at(metadata, "checkov.skip") or ():
            if not re.fullmatch(r"CKV2?_AWS_\d+", skip.get("id", "")) or len(skip.get("comment", "")) < 20:
                yield one.id, "switches a check of checkov off without a reason"
        for skip in at(metadata, "cdk_nag.rules_to_suppress") or ():
            if not str(skip.get("id", "")).startswith("HIPAA.Security-") or len(skip.get("reason", "")) < 20:
                yield one.id, "switches a check of cdk-nag off without a reason"


_LITERAL = {"MasterUserPassword", "SecretString", "Password", "AuthToken", "ApiKey"}


@rule
def no_secret_is_written_down(template: Template) -> Iterator[Broken]:
    """A template is read by many, and kept for ever."""
    for one in template.of():
        for name, value in _leaves(one.properties):
            if name in _LITERAL and isinstance(value, str) and not named(value) and "{{resolve:" not in value:
                yield one.id, f"has its {name} in the template"
            if isinstance(value, str) and re.search(
                r"AKIA[0-9A-Z]{16}|-----BEGIN|://[^/@:⟨ ]+:[^/@⟨ ]+@", value
            ):
                yield one.id, "has a secret in the template"


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    pairs: Iterable[tuple[str, Any]]
    if isinstance(value, Mapping):
        pairs = value.items()
    elif isinstance(value, Sequence) and not isinstance(value, str):
        pairs = ((name, part) for part in value)
    else:
        yield name, value
        return
    for key, part in pairs:
        yield from _leaves(part, str(key))
