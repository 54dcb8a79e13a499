"""Lost answers, crashes and refusals: what was acknowledged is there once. `.ci/cloud_torture.py` does it ten thousand times."""

from __future__ import annotations

import pytest

from tests.contract.cloud_torture import run

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("local-cloud")]


def test_nothing_is_lost_or_doubled() -> None:
    report = run(600)
    assert report.wrong == [] and report.requests >= 600
    assert report.observations > 100 and report.files > 3
    assert report.answers_lost > 100 and report.faults["database"] >= 1
    assert report.statuses[503] > 0  # the faults were felt
