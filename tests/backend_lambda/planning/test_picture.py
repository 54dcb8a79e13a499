"""The picture says what the templates say: nothing that is not there, and something else when they change."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest

from backend_lambda.planning import picture


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    return picture.read(picture.STACKS / "core.yaml")


def arrows(template: dict[str, Any], kind: str = "[-.]") -> set[tuple[str, str]]:
    """Of all pictures. kind: "-": always there, "[.]": dashed."""
    drawn = "\n".join(picture.pictures(template).values())
    return {(found[1], found[2]) for found in re.finditer(rf"^  (\w+) -{kind}.*?(\w+)$", drawn, re.MULTILINE)}


def test_every_end_of_an_arrow_is_drawn_and_nothing_else(template: dict[str, Any]) -> None:
    for drawn in picture.pictures(template).values():
        defined = re.findall(r"^ +(\w+)[\[({]", drawn, re.MULTILINE)
        lines = re.findall(r"^  (\w+) -[-.].*?(\w+)$", drawn, re.MULTILINE)
        assert len(defined) == len(set(defined))
        assert {end for line in lines for end in line} == set(defined)
        assert len(lines) == len(set(lines)) >= 8  # one arrow from one to another
        assert len(defined) < 20


def test_each_arrow_is_in_one_picture(template: dict[str, Any]) -> None:
    drawn = "\n".join(picture.pictures(template).values())
    lines = re.findall(r"^  (\w+) -[-.].*?(\w+)$", drawn, re.MULTILINE)
    assert len(lines) == len(set(lines)) > 30
    assert "PrimaryOwnerSecretArn" not in drawn
    assert "ApiFunction -->|reads, writes| DocumentsBucket" in drawn


def test_what_a_setting_brings_is_dashed_and_nothing_else_is(template: dict[str, Any]) -> None:
    dashed, always = arrows(template, "[.]"), arrows(template, "-")
    assert not dashed & always
    assert {
        ("Firewall", "Api"),
        ("MalwareScanPlan", "DocumentsBucket"),
        ("Knowledge", "ArticlesBucket"),
        ("Database", "DatabaseReplica"),
        ("ChatFunction", "Filter"),
        ("ApiFunction", "Polly"),
    } <= dashed
    assert {
        ("Devices", "Api"),
        ("EveryHour", "AuditHeadsFunction"),
        ("OwnerSecret", "RotationFunction"),
        ("ApiFunction", "Proxy"),
        ("ProcessingFunction", "DocumentsBucket"),
    } <= always
    changed = copy.deepcopy(template)
    changed["Resources"]["EveryHour"]["Condition"] = "HasKnowledge"
    assert ("EveryHour", "AuditHeadsFunction") in arrows(changed, "[.]")


def test_the_text_has_a_heading_for_each_and_a_legend() -> None:
    found = picture.text()
    assert re.findall(r"^#### (.+)$", found, re.MULTILINE) == list(picture._ABOUT)
    assert found.count("```mermaid\n") == 3 and "Dashed:" in found.rpartition("```")[2]


def test_the_ways_that_matter(template: dict[str, Any]) -> None:
    found = arrows(template)
    assert {
        ("Devices", "Api"),
        ("Firewall", "Api"),
        ("Api", "ApiFunction"),
        ("Api", "ChatFunction"),
        ("ApiFunction", "Proxy"),
        ("Proxy", "Database"),
        ("DocumentsBucket", "ArrivalsQueue"),
        ("ArrivalsQueue", "ProcessingFunction"),
        ("ChatFunction", "Bedrockmodel"),
        ("AuditHeadsFunction", "AuditBucket"),
        ("OwnerSecret", "RotationFunction"),
    } <= found


def test_what_is_not_allowed_is_not_drawn(template: dict[str, Any]) -> None:
    found = arrows(template)
    for arrow in (
        ("ChatFunction", "AuditBucket"),
        ("ProcessingFunction", "Bedrockmodel"),
        ("ApiFunction", "AuditBucket"),
        ("RotationFunction", "Proxy"),
        ("ProcessingFunction", "KMSsigningkey"),
    ):
        assert arrow not in found


def test_a_right_that_is_taken_away_takes_its_arrow_along(template: dict[str, Any]) -> None:
    changed = copy.deepcopy(template)
    del changed["Resources"]["ChatPolicy"]
    before, after = arrows(template), arrows(changed)
    assert {target for source, target in before - after if source == "ChatFunction"} >= {
        "Bedrockmodel",
        "Proxy",
    }
    assert after < before


def test_functions_stand_in_their_subnets(template: dict[str, Any]) -> None:
    drawn = picture.pictures(template)
    isolated = drawn["Documents"].partition('["isolated"]')[2].partition("  end")[0]
    assert "ProcessingFunction" in isolated and "Proxy" in isolated
    requests = drawn["Requests and answers"].partition('["isolated"]')[2].partition("  end")[0]
    assert "Database" in requests and "ApiFunction" not in requests
