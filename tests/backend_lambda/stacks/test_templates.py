"""The resolver, against small templates whose values are plain to see."""

from __future__ import annotations

from typing import Any

import pytest

from tests.backend_lambda.stacks import templates
from tests.backend_lambda.stacks.templates import Configuration, Template


def resolved(properties: object, **more: Any) -> Template:
    source = {
        "Parameters": {
            "Stage": {"Type": "String", "Default": "dev"},
            "Countries": {"Type": "CommaDelimitedList", "Default": "DE,AT"},
        },
        "Mappings": {"Sizes": {"dev": {"Days": 7}}},
        "Conditions": {
            "IsDev": {"Fn::Equals": [{"Ref": "Stage"}, "dev"]},
            "IsNot": {"Fn::Not": [{"Condition": "IsDev"}]},
            "Both": {"Fn::And": [{"Condition": "IsDev"}, {"Condition": "IsNot"}]},
            "Either": {"Fn::Or": [{"Condition": "IsDev"}, {"Condition": "IsNot"}]},
        },
        "Resources": {
            "It": {"Type": "AWS::Some::Thing", "Properties": properties},
            "Gone": {"Type": "AWS::Some::Thing", "Condition": "IsNot", "Properties": {}},
            "Other": {"Type": "AWS::Some::Thing", "Condition": "Either", "Properties": {}},
        },
        **more,
    }
    return templates.resolved(Configuration("small", "dev", {}), source)


@pytest.mark.parametrize(
    "node, value",
    [
        ({"Ref": "Stage"}, "dev"),
        ({"Ref": "Countries"}, ["DE", "AT"]),
        ({"Ref": "AWS::Region"}, "eu-central-1"),
        ({"Ref": "Other"}, "⟨Other⟩"),
        ({"Fn::GetAtt": ["Other", "Arn"]}, "⟨Other.Arn⟩"),
        ({"Fn::GetAtt": "Other.Endpoint.Address"}, "⟨Other.Endpoint.Address⟩"),
        ({"Fn::Sub": "${Other.Arn}/${Stage}/${!Kept}"}, "⟨Other.Arn⟩/dev/${Kept}"),
        ({"Fn::Sub": ["${A}-${Stage}", {"A": {"Ref": "Other"}}]}, "⟨Other⟩-dev"),
        ({"Fn::Join": ["-", [{"Ref": "Stage"}, "x"]]}, "dev-x"),
        ({"Fn::Select": [1, {"Ref": "Countries"}]}, "AT"),
        ({"Fn::Select": ["1", {"Fn::Split": [":", "a:b"]}]}, "b"),
        ({"Fn::Select": [6, {"Fn::Split": [":", {"Fn::GetAtt": "Other.Arn"}]}]}, "⟨Other.Arn⟩[6]"),
        ({"Fn::FindInMap": ["Sizes", {"Ref": "Stage"}, "Days"]}, 7),
        ({"Fn::If": ["IsDev", 1, {"Ref": "Nothing"}]}, 1),
        ({"Fn::If": ["Both", 1, 2]}, 2),
        ([1, {"Ref": "AWS::NoValue"}, 2], [1, 2]),
        ({"a": {"Fn::If": ["IsNot", 1, {"Ref": "AWS::NoValue"}]}, "b": 2}, {"b": 2}),
        ({"Condition": {"StringEquals": {"a": "b"}}}, {"Condition": {"StringEquals": {"a": "b"}}}),
    ],
)
def test_functions(node: object, value: object) -> None:
    template = resolved({"value": node})
    assert template.resources["It"].properties == {"value": value}
    assert template.broken == ()


def test_conditions_take_resources_away() -> None:
    template = resolved({})
    assert set(template.resources) == {"It", "Other"}


def test_a_reference_to_what_is_gone_is_told() -> None:
    assert resolved({"value": {"Ref": "Gone"}}).broken == ("It refers to Gone",)
    assert resolved({"value": {"Fn::Sub": "${Gone.Arn}"}}).broken == ("It refers to Gone",)


def test_what_is_not_known_is_an_error() -> None:
    with pytest.raises(ValueError, match="Fn::Transform"):
        resolved({"value": {"Fn::Transform": {"Name": "AWS::Include"}}})
    with pytest.raises(ValueError, match="no such parameter"):
        templates.resolved(Configuration("small", "dev", {"Unknown": 1}), {"Resources": {}})
    with pytest.raises(ValueError, match="not given"):
        templates.resolved(
            Configuration("small", "dev", {}), {"Parameters": {"A": {"Type": "String"}}, "Resources": {}}
        )


def test_sam_is_written_out() -> None:
    """Versions, aliases, stages: what the rules judge is what CloudFormation would get."""
    types = {one.type for one in templates.template("core, production").of()}
    assert not {one for one in types if one.startswith("AWS::Serverless::")}
    assert {
        "AWS::Lambda::Function",
        "AWS::Lambda::Version",
        "AWS::Lambda::Alias",
        "AWS::ApiGateway::Stage",
    } <= types
