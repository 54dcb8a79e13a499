"""Time that passes while nobody is there; a file's name as it was chosen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.ui.views.files import path_as_chosen
from client.ui.views.guard import Passing
from tests.client.pipeline.fakes import HandClock

REPORT, DATA = "Report (*.pdf)", "Data (*.json)"
BOTH = f"{REPORT};;{DATA}"


@dataclass
class Laptop(HandClock):
    """A wall clock that may be set, or go on alone."""

    set_s: float = 0.0

    def utc(self) -> datetime:
        return super().utc() + timedelta(seconds=self.set_s)


def test_time_passes_while_the_computer_sleeps() -> None:
    clock = Laptop()
    passing = Passing(clock)
    assert passing.now_s() == clock.now_s()
    clock.at_s += 5.0
    clock.set_s += 3600.0
    assert passing.now_s() == pytest.approx(100.0 + 5.0 + 3600.0)


def test_a_clock_that_is_set_back_hides_no_sleep() -> None:
    clock = Laptop()
    passing = Passing(clock)
    clock.set_s -= 7200.0
    assert passing.now_s() == 100.0
    clock.set_s += 600.0  # asleep
    assert passing.now_s() == pytest.approx(700.0)


@given(st.lists(st.tuples(st.floats(0.0, 1e4), st.floats(-1e6, 1e6)), max_size=20))
def test_it_never_steps_back_nor_stands_still(steps: list[tuple[float, float]]) -> None:
    clock = Laptop()
    passing = Passing(clock)
    for awake_s, set_s in steps:
        before_s = passing.now_s()
        clock.at_s += awake_s
        clock.set_s += set_s
        assert passing.now_s() >= before_s + awake_s - 1e-6


@pytest.mark.parametrize(
    ("typed", "kind", "name"),
    [
        ("a.pdf", REPORT, "a.pdf"),
        ("a", REPORT, "a.pdf"),
        ("a", DATA, "a.json"),
        ("a.pdf", DATA, "a.json"),  # as it was suggested; the kind was chosen
        ("a.json", REPORT, "a.json"),  # typed, with the suggested kind left as it was
        ("A.PDF", REPORT, "A.PDF"),
        ("of.monday", REPORT, "of.monday.pdf"),
        ("of.monday", DATA, "of.monday.json"),
        ("a", "", "a.pdf"),  # a system whose dialog says nothing of kinds
        ("a", BOTH, "a.pdf"),
        ("Ana.María", "تقرير (*.pdf)", "Ana.María.pdf"),
    ],
)
def test_the_name_of_a_file_has_the_ending_of_the_chosen_kind(typed: str, kind: str, name: str) -> None:
    assert path_as_chosen(f"/home/{typed}", kind, BOTH) == Path("/home") / name


KINDS = "All (*.zip);;Table (*.csv);;Data (*.json);;FHIR (*.fhir.json)"


@pytest.mark.parametrize(
    ("typed", "kind", "name"),
    [
        ("a.zip", "FHIR (*.fhir.json)", "a.fhir.json"),
        ("a", "FHIR (*.fhir.json)", "a.fhir.json"),
        ("a.fhir.json", "All (*.zip)", "a.fhir.json"),
        ("a.fhir.json", "Data (*.json)", "a.fhir.json"),
        ("a.json", "Data (*.json)", "a.json"),
        (".zip", "All (*.zip)", ".zip.zip"),
    ],
)
def test_an_ending_can_have_two_parts(typed: str, kind: str, name: str) -> None:
    assert path_as_chosen(f"/home/{typed}", kind, KINDS) == Path("/home") / name
