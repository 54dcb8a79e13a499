"""What is required, by closed forms, and beside runs."""

from __future__ import annotations

import pytest

from backend_lambda.planning import capacity, simulation
from backend_lambda.planning.capacity import QUOTAS, Row
from backend_lambda.planning.demand import SIZES, Demand
from backend_lambda.planning.simulation import HOUR_S
from backend_lambda.planning.stations import BackOff

NAMES = {quota.name: quota for quota in QUOTAS}


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return capacity.table(simulated=False)


def cell(rows: list[Row], load: str, quota: str) -> Row:
    return next(row for row in rows if row.load == load and row.quota == quota)


def test_every_load_has_every_quota(rows: list[Row]) -> None:
    assert len(rows) == 6 * len(QUOTAS)
    assert all(row.simulated is None for row in rows)
    assert all(row.source for row in rows)


def test_an_ordinary_day_of_ten_thousand_needs_nothing_raised(rows: list[Row]) -> None:
    assert not [row for row in rows if row.load == "10,000, a day" and (row.factor or 0.0) > 1.0]


def test_all_at_once_need_what_littles_law_says(rows: list[Row]) -> None:
    chat = cell(rows, "10,000 at once", "· of the chat (ChatConcurrency)")
    assert 333.0 * 5.8 < chat.required < 333.0 * 8.0  # the stay, and a cold start
    tokens = cell(rows, "10,000 at once", "Bedrock, tokens/min of Claude Haiku 4.5")
    assert tokens.required == pytest.approx(60.0 * 336.7 * (1_500 + 5 * 300), rel=0.05)
    assert tokens.factor == pytest.approx(12.4, abs=0.3)


def test_more_people_need_more(rows: list[Row]) -> None:
    for quota in NAMES:
        few, many = (cell(rows, load, quota).required for load in ("10,000, a day", "100,000, a day"))
        assert few <= many, quota


def test_a_quota_that_does_not_exist_has_no_factor(rows: list[Row]) -> None:
    assert cell(rows, "10,000, a day", "Bedrock, requests/min").factor is None


@pytest.mark.parametrize("people", [2_000, 10_000])
def test_a_morning_is_within_what_is_required(people: int) -> None:
    demand = Demand(people=people)
    load = capacity.ordinary(demand)
    scenario = simulation.day(demand, from_s=9 * HOUR_S, to_s=10 * HOUR_S)
    for name in (
        "· of the chat (ChatConcurrency)",
        "· of the API (ApiConcurrency)",
        "PostgreSQL, connections",
    ):
        quota = NAMES[name]
        assert quota.simulated is not None
        assert quota.simulated(scenario) <= quota.required(load, demand) + 2, (
            name
        )  # an hour has more moments than 10,000
    assert scenario.tried_s.size / HOUR_S == pytest.approx(load.api_per_s + load.chat_per_s, rel=0.12)


def test_a_return_is_as_the_closed_form_says() -> None:
    demand = Demand(people=3_000)
    load = capacity.reconnect(demand, BackOff())
    limits = simulation.RAISED
    scenario = simulation.outage(demand, BackOff(), limits=limits, window_s=60.0)
    first = scenario.tried_s[scenario.tried_s < 10.0].size / 10.0
    assert first == pytest.approx(load.api_per_s + load.chat_per_s, rel=0.12)
    assert scenario.peak_concurrency("API") <= capacity.api_concurrency(load, demand) + 2


def test_processors_are_those_that_keep_ten_milliseconds() -> None:
    assert capacity.processors(0.0) == capacity.processors(1_700.0) == 2
    assert capacity.processors(1_800.0) == 4
    assert capacity.processors(4_300.0) == 8


def test_connections_of_a_class_are_those_of_the_formula() -> None:
    assert capacity.connections_of("db.t4g.micro") == 112
    assert capacity.connections_of("db.m7g.large") == 901
    assert capacity.connections_of("db.m7g.8xlarge") == 5_000


def test_the_smallest_class() -> None:
    assert capacity.smallest_class(0.0, 0.0) == "db.t4g.medium"
    assert capacity.smallest_class(0.0, 500.0) == "db.m7g.large"
    assert capacity.smallest_class(4_300.0, 60.0) == "db.m7g.2xlarge"
    with pytest.raises(ValueError, match="more than the largest"):
        capacity.smallest_class(1e6, 0.0)


def test_the_table_in_words(rows: list[Row]) -> None:
    told = capacity.text(rows)
    table = told.split("\n\n")[0].splitlines()
    assert len(table) == 2 + len(QUOTAS) + 1
    assert {line.count("|") for line in table} == {10}
    assert "**62.2 M, ×12.4**" in told
    assert "one address" in told


def test_with_runs_beside() -> None:
    rows = capacity.table({"development": SIZES["development"]})
    seen = [row for row in rows if row.simulated is not None]
    assert len(seen) == 2 * (len(QUOTAS) - 2)  # nothing of Transcribe and S3 is simulated
    chat = cell(rows, "10,000 at once", "· of the chat (ChatConcurrency)")
    assert chat.simulated == pytest.approx(chat.required, rel=0.15)
