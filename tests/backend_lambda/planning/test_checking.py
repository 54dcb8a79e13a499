"""That simulation and closed forms agree, and that they would not if one of them were wrong."""

from __future__ import annotations

import pytest

from backend_lambda.planning import checking, queueing
from backend_lambda.planning.checking import Check


@pytest.fixture(scope="module")
def found() -> list[Check]:
    return checking.checks()


def test_every_check_agrees(found: list[Check]) -> None:
    assert len(found) == 13
    assert not [one for one in found if not one.agrees]


def test_the_intervals_are_narrow_enough_to_say_something(found: list[Check]) -> None:
    assert not [one for one in found if one.source != "Little" and one.half_width > 0.05 * one.formula]
    assert not [
        one for one in found if one.half_width > 0.25 * one.formula
    ]  # a sixth of one document is at work in the mean


@pytest.mark.parametrize("wrong", [0.9, 1.1])
def test_a_tenth_off_is_seen(found: list[Check], wrong: float) -> None:
    for one in found[:9]:
        assert not Check(one.name, wrong * one.formula, one.simulated, one.half_width, one.source).agrees, (
            one.name
        )


def test_a_queue_with_the_wrong_work_is_seen() -> None:
    formula = 1e3 * queueing.mmc_wait_s(2, 1500.0, 0.00095)
    one = checking._replicated("wrong", formula, checking._mm2, 1, "none")
    assert not one.agrees


def test_the_table_says_what_does_not_agree(found: list[Check]) -> None:
    told = checking.text([*found, Check("wrong", 1.0, 2.0, 0.5, "none")])
    assert told.count("| yes |") == 13
    assert told.count("| NO |") == 1
