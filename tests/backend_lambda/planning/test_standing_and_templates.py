"""What the cost takes to stand there is what the templates create: who adds an alarm is told to count it (`cost.STANDING`)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backend_lambda.planning import cost
from backend_lambda.planning.cost import Options, settled
from tests.backend_lambda.stacks import templates


def _template(stack: str, **parameters: str) -> templates.Template:
    usual = next(one for one in templates.CONFIGURATIONS if str(one) == f"{stack}, production")
    configuration = replace(usual, parameters={**usual.parameters, **parameters})
    return templates.resolved(
        configuration, templates._read(stack)
    )  # SAM is not written out: nothing here needs it


def _counted(template: templates.Template) -> dict[str, int]:
    kinds = {
        "nat_gateways": ("AWS::EC2::NatGateway",),
        "kms_keys": ("AWS::KMS::Key", "AWS::KMS::ReplicaKey"),
        "secrets": ("AWS::SecretsManager::Secret",),
        "web_acls": ("AWS::WAFv2::WebACL",),
        "alarms": ("AWS::CloudWatch::Alarm",),
        "dashboards": ("AWS::CloudWatch::Dashboard",),
        "queues": ("AWS::Lambda::EventSourceMapping",),
    }
    found = {name: len(template.of(*types)) for name, types in kinds.items()}
    rules = [rule for one in template.of("AWS::WAFv2::WebACL") for rule in one.properties["Rules"]]
    return {**found, "waf_rules": len(rules)}


@pytest.mark.parametrize(
    ("standing", "stack", "parameters"),
    [
        (cost.STANDING["dev"], "core", {"Stage": "dev", "DomainName": "", "HostedZoneId": ""}),
        (cost.STANDING["production"], "core", {}),
        (cost.EDGE, "edge", {}),
    ],
    ids=["dev", "production", "edge"],
)
def test_what_stands_there_is_what_the_templates_create(
    standing: cost.Standing, stack: str, parameters: dict[str, str]
) -> None:
    found = _counted(_template(stack, **parameters))
    assert {name: getattr(standing, name) for name in found} == found


@pytest.mark.parametrize("stage", ["dev", "production"])
def test_memory_and_zones_are_the_templates(stage: cost.Stage) -> None:
    template = _template("core", Stage=stage)
    memory = {one.id: one.properties["MemorySize"] for one in template.of("AWS::Serverless::Function")}
    standing = cost.STANDING[stage]
    assert standing.api_memory_mb == memory["ApiFunction"]
    assert standing.chat_memory_mb == memory["ChatFunction"]
    assert standing.processing_memory_mb == memory["ProcessingFunction"]
    (database,) = template.of("AWS::RDS::DBInstance")
    assert database.properties["MultiAZ"] is cost.DATABASES[stage][1]


def test_endpoints_are_the_templates() -> None:
    parameters = {"InterfaceEndpoints": "true", "TextRecognition": "true", "MedicalEntities": "true"}
    template = _template("core", **parameters)
    interfaces = [
        one
        for one in template.of("AWS::EC2::VPCEndpoint")
        if one.properties["VpcEndpointType"] == "Interface"
    ]
    wanted = settled(Options(text_recognition=True, medical_entities=True))
    assert sorted(one.properties["ServiceName"].rpartition(".")[2] for one in interfaces) == sorted(
        wanted.endpoints
    )
    assert {len(one.properties["SubnetIds"]) for one in interfaces} == {wanted.endpoint_zones}
