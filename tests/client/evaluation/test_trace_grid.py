"""The fixed grid of traces: its size, its balance, and that it stays what it is."""

from __future__ import annotations

from collections import Counter

import pytest

from client.evaluation import grids, trace_grid
from client.evaluation.trace_grid import TraceSetting


@pytest.fixture(scope="module")
def settings() -> list[TraceSetting]:
    return list(trace_grid.settings())


def _people(settings: list[TraceSetting]) -> list[TraceSetting]:
    return [s for s in settings if s.axes["kind"] == "pulse"]


def test_there_are_enough_people_and_nobodies_all_with_their_own_name_and_seed(
    settings: list[TraceSetting],
) -> None:
    assert len(_people(settings)) >= 6000
    assert len(settings) - len(_people(settings)) >= 1000
    assert len({s.name for s in settings}) == len({s.scene.seed for s in settings}) == len(settings)


def test_skin_types_are_even_and_rates_fill_the_band(settings: list[TraceSetting]) -> None:
    people = _people(settings)
    assert len(set(Counter(s.scene.skin_type for s in people).values())) == 1
    rates = [s.scene.start_per_min for s in people]
    bands = Counter(int((rate - 40) // 20) for rate in rates if 40 <= rate < 180)
    assert len(bands) == 7 and max(bands.values()) < 1.1 * min(bands.values())
    assert min(rates) < 36 and max(rates) > 189


def test_a_tenth_is_long_enough_for_pulse_rate_variability(settings: list[TraceSetting]) -> None:
    assert sum(s.scene.duration_s > 60 for s in _people(settings)) >= 500


def test_the_part_for_every_change_is_small_and_has_every_condition(settings: list[TraceSetting]) -> None:
    assert {case.name for case in grids.ci_cases()} == trace_grid.CI_NAMES
    chosen = [s for s in settings if s.name in trace_grid.CI_NAMES]
    assert 40 <= len(chosen) <= 80
    assert {s.axes["condition"] for s in chosen} == {s.axes["condition"] for s in settings}


def test_a_case_stays_what_it_was(settings: list[TraceSetting]) -> None:
    """Judged cases are fixed: another setting under an old name would make old tables untrue."""
    case = next(s for s in settings if s.name == "b dim 5 13")
    assert (case.scene.seed, case.scene.start_per_min, case.scene.brightness) == (2013, 54.34, 0.08)
