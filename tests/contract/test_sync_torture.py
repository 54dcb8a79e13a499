"""A short torture finds nothing wrong, and each way of breaking the client is found. `make torture N=1000` is the long one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.contract.sync_torture import run
from tests.stand_ins.faulty_proxy import Trouble

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("local-cloud"),
    pytest.mark.skipif(os.name != "posix", reason="kill -9 and fork are POSIX"),
]


def test_nothing_is_lost_doubled_or_corrupt(tmp_path: Path) -> None:
    report = run(16, folder=tmp_path)
    assert report.line() == "16 kills: 0 lost, 0 doubled, 0 corrupt", list(report.lines())
    assert report.right and not report.notes
    assert report.observations > 30 and report.documents > 3
    assert report.hits.total() - report.hits["nothing"] >= 4  # kills hit something
    assert set(report.troubles) <= set(Trouble) and len(report.troubles) >= 3


@pytest.mark.parametrize("sabotage", ["lost", "doubled", "corrupt"])
def test_a_client_that_is_broken_is_found(sabotage: str, tmp_path: Path) -> None:
    report = run(6, seed=3, sabotage=sabotage, folder=tmp_path)
    assert getattr(report, sabotage) and not report.right
    counts = [len(report.lost), len(report.doubled), len(report.corrupt)]
    assert report.line() == "6 kills: {} lost, {} doubled, {} corrupt".format(*counts)
    assert any(str(tmp_path) in note for note in report.notes)  # what there is to look at
    assert list(tmp_path.glob("device-*/ledger"))
