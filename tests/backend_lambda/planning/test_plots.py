"""Every plot is drawn, and twice the same; those of the README are there."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend_lambda.planning import plots, simulation
from backend_lambda.planning.demand import Demand

COMMITTED = Path(__file__).parents[3] / "assets" / "planning"
MOST_BYTES = 150_000


@pytest.fixture(scope="module")
def result() -> simulation.Result:
    return simulation.run(Demand(people=300), seed=2)


def test_all_are_drawn_and_twice_the_same(result: simulation.Result, tmp_path: Path) -> None:
    first = plots.draw(result, tmp_path / "new" / "first")
    again = plots.draw(result, tmp_path / "again")
    assert [path.name for path in first] == [f"{name}.png" for name in plots._PLOTS]
    for one, other in zip(first, again, strict=True):
        data = one.read_bytes()
        assert data.startswith(b"\x89PNG")
        assert 10_000 < len(data) < MOST_BYTES
        assert data == other.read_bytes()


def test_the_readmes_are_there_and_small() -> None:
    assert {path.name for path in COMMITTED.glob("*.png")} == {f"{name}.png" for name in plots._PLOTS}
    assert all(path.stat().st_size < MOST_BYTES for path in COMMITTED.glob("*.png"))
