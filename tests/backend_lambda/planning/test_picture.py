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


def arrows(drawn: str) -> set[tuple[str, str]]:
    return {(found[1], found[2]) for found in re.finditer(r"^  (\w+) -[-.].*?(\w+)$", drawn, re.MULTILINE)}


def test_every_end_of_an_arrow_is_drawn(template: dict[str, Any]) -> None:
    drawn = picture.mermaid(template)
    defined = set(re.findall(r"^ +(\w+)[\[({]", drawn, re.MULTILINE))
    ends = {end for arrow in arrows(drawn) for end in arrow}
    assert ends <= defined
    assert len(ends) > 20


def test_the_ways_that_matter(template: dict[str, Any]) -> None:
    found = arrows(picture.mermaid(template))
    assert {
        ("Devices", "Firewall"),
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
    found = arrows(picture.mermaid(template))
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
    before, after = arrows(picture.mermaid(template)), arrows(picture.mermaid(changed))
    assert {target for source, target in before - after if source == "ChatFunction"} >= {
        "Bedrockmodel",
        "Proxy",
    }
    assert after < before


def test_functions_stand_in_their_subnets(template: dict[str, Any]) -> None:
    drawn = picture.mermaid(template)
    isolated = drawn.partition("no way out")[2].partition("  end")[0]
    assert "ProcessingFunction" in isolated
    assert "Database" in isolated
    assert "ApiFunction" not in isolated
