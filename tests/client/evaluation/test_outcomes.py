"""Outcomes on their way through a file."""

from __future__ import annotations

import json

import pytest

from client.evaluation.outcomes import Outcome, Reading, Truth
from edge_models.types import Estimate, Reason
from tests.client.evaluation.outcome_maker import outcome


def test_an_outcome_comes_back_from_json_as_it_was() -> None:
    truth = Truth(True, 72.0, 14.0, 30.0, None, live=((10.0, 71.5), (11.0, 72.0)))
    before = outcome(
        71.0,
        72.0,
        truth=truth,
        live=((1.0, None, None, None), (2.0, 71.0, 70.0, 72.0)),
        axes={"skin_type": "II"},
        oracle_db=3.5,
        supported=True,
        cost={"cpu_s": 1.5},
    )
    assert Outcome.from_json(json.loads(json.dumps(before.to_json()))) == before


@pytest.mark.parametrize("said", [{}, {"case": "c"}, {**outcome(1.0, 1.0).to_json(), "more": 1}])
def test_something_else_is_refused(said: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError)):
        Outcome.from_json(said)


def test_a_number_that_is_not_finite_is_none() -> None:
    estimate = Estimate(float("inf"), 0.0, float("inf"), "/min", 0.9, (Reason.WEAK_PULSE,), 30.0, "x")
    assert Reading.of(estimate) == Reading(None, None, None, 0.9, ("weak_pulse",))
