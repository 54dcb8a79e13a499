"""The scenarios, with few people: nothing is lost or counted twice, and what must follow does."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np
import pytest

from backend_lambda.planning import simulation
from backend_lambda.planning.demand import Counts, Demand
from backend_lambda.planning.simulation import HOUR_S, Population, Scenario, Service
from backend_lambda.planning.stations import BackOff, Jitter, Limits, Refused

FEW = Demand(people=1_000)


@pytest.fixture(scope="module")
def day() -> Scenario:
    return simulation.day(FEW)


def answered(scenario: Scenario) -> int:
    return sum(times.size for times in scenario.first_s.values())


def settled(scenario: Scenario) -> None:
    """Everything that began has ended, and every attempt is an answer or a refusal."""
    assert scenario.tried_s.size == answered(scenario) + scenario.refusals
    for function in scenario.functions.values():
        assert function.busy == 0
        assert len(function.begun_s) == len(function.ended_s)
    counts = scenario.counts
    throttled = sum(sum(one.refused.values()) for one in scenario.functions.values())
    assert counts.gateway_requests == counts.api_requests + counts.chat_requests + throttled
    assert counts.queue_messages == counts.processing_requests == counts.uploads


def test_a_day_is_the_demand(day: Scenario) -> None:
    settled(day)
    scans = day.scans_s.size
    assert scans == pytest.approx(FEW.people * FEW.scans_per_person_week / 5.0, rel=0.15)
    counts = day.counts
    assert counts.api_requests / scans == pytest.approx(FEW.calls_per_scan, rel=0.05)
    assert counts.chat_requests / scans == pytest.approx(FEW.turns_per_scan)
    assert counts.uploads / scans == pytest.approx(FEW.uploads_per_scan, abs=0.06)
    assert counts.input_tokens == counts.chat_requests * FEW.input_tokens_per_turn
    assert counts.output_tokens / counts.chat_requests == pytest.approx(FEW.output_tokens_per_turn, rel=0.05)
    assert counts.stored_bytes == counts.uploads * FEW.upload_bytes
    assert counts.kms_signatures == day.first_s["token"].size
    turns, calls = counts.chat_requests, counts.api_requests
    others = (
        3 * counts.uploads - counts.kms_signatures
    )  # a document is completed by three and worked on by two, a token takes one
    assert counts.database_requests == 2 * calls + 4 * turns + others
    assert day.retries == day.lost == 0


def test_a_day_pays_for_what_its_functions_did(day: Scenario) -> None:
    function = day.functions["chat"]
    assert day.counts.chat_gb_s == pytest.approx(function.busy_s * function.memory_gb)
    function = day.functions["API"]
    restoring_s = float(np.sum(np.frombuffer(function.cold_s)))
    assert day.counts.api_gb_s == pytest.approx((function.busy_s - restoring_s) * function.memory_gb)
    assert day.counts.snapstart_restores == function.starts


def test_a_call_takes_what_its_parts_take(day: Scenario) -> None:
    service = Service()
    took_s = day.took_s["read"]
    assert np.median(took_s) == pytest.approx(
        service.api_own_s + 2 * (service.trips_s + service.work_s), rel=0.1
    )
    assert np.quantile(day.first_token_s, 0.5) == pytest.approx(1.2, abs=0.2)


def test_the_same_seed_is_the_same_day_and_another_another() -> None:
    part = {"from_s": 9 * HOUR_S, "to_s": 9.2 * HOUR_S}
    first, again, other = (simulation.day(FEW, seed=seed, **part) for seed in (5, 5, 6))  # type: ignore[arg-type]
    np.testing.assert_array_equal(first.tried_s, again.tried_s)
    assert first.counts == again.counts != other.counts


def test_the_day_has_its_morning() -> None:
    rate = simulation.scans_per_s(FEW)
    times_s = np.arange(0.0, 24 * HOUR_S, 60.0)
    found = rate(times_s)
    assert found.sum() * 60.0 == pytest.approx(400.0, rel=1e-3)
    assert 9.2 < times_s[found.argmax()] / HOUR_S < 9.8
    assert found[times_s < simulation.OPENS_S].max() == found[times_s >= simulation.CLOSES_S].max() == 0.0


def test_thinning_follows_its_rate() -> None:
    rng = np.random.default_rng(1)
    times_s = simulation.thinned(lambda t: 10.0 + 10.0 * np.sin(t / 10.0), 0.0, 2_000.0, rng)
    assert np.all(np.diff(times_s) >= 0.0)
    rising = np.sin(times_s / 10.0) > 0.0
    assert rising.mean() == pytest.approx(
        0.5 + 1.0 / math.pi, abs=0.02
    )  # ∫(1 + sin) over half of a period, and over all of it


def test_fewer_calls_than_devices_make_by_themselves_are_refused() -> None:
    with pytest.raises(ValueError, match="fewer than"):
        simulation.reads_per_scan(Demand(people=100, calls_per_scan=5.0), Population())


@pytest.mark.parametrize("jitter", list(Jitter))
def test_devices_try_through_an_outage(jitter: Jitter) -> None:
    rng = np.random.default_rng(2)
    noticed_s = rng.uniform(0.0, 5.0, 1_000)
    next_s, failures = simulation.tries(noticed_s, BackOff(jitter=jitter), 4 * HOUR_S, rng)
    assert next_s.min() >= 4 * HOUR_S
    assert next_s.max() <= 4 * HOUR_S + 300.0
    assert failures.min() >= 47
    spread_s = float(np.ptp(next_s))
    assert spread_s > 200.0 if jitter is Jitter.FULL else spread_s < 5.0


def test_a_short_outage_has_not_reached_its_cap() -> None:
    next_s, failures = simulation.tries(
        np.zeros(3), BackOff(jitter=Jitter.NONE), 100.0, np.random.default_rng(3)
    )
    assert next_s.tolist() == [127.0] * 3  # 1 + 2 + 4 + … + 64
    assert failures.tolist() == [7] * 3


@pytest.fixture(scope="module")
def outages() -> dict[Jitter, Scenario]:
    limits = replace(Limits(), token_per_s=2.0, token_burst=4.0)
    return {
        jitter: simulation.outage(FEW, BackOff(jitter=jitter), limits=limits, window_s=600.0)
        for jitter in Jitter
    }


def test_after_an_outage_everything_arrives(outages: dict[Jitter, Scenario]) -> None:
    for scenario in outages.values():
        settled(scenario)
        assert scenario.lost == 0
        left = scenario.backlog[1]
        assert left[-1] == 0.0
        assert np.all(np.diff(left) < 0.0)
        assert left[0] > 1_010  # devices, and what was measured meanwhile


def test_without_jitter_they_come_all_at_once_and_much_later(outages: dict[Jitter, Scenario]) -> None:
    full, none = outages[Jitter.FULL], outages[Jitter.NONE]
    assert none.peak_per_s(none.tried_s) > 5.0 * full.peak_per_s(full.tried_s)
    assert none.drained_s > 5.0 * full.drained_s
    assert none.refusals > 5 * full.refusals
    assert set(full.refused_s) == {Refused.TOKENS}


def test_a_crowd_is_refused_with_the_usual_limits_and_served_with_raised_ones() -> None:
    usual = simulation.crowd(FEW, seconds=30.0, limits=replace(Limits(), chat_concurrency=20))
    settled_but_lost(usual)
    assert usual.lost > 300
    assert usual.peak_concurrency("chat") == 20
    raised = simulation.crowd(FEW, seconds=30.0, limits=simulation.RAISED)
    settled_but_lost(raised)
    assert raised.lost == 0
    assert raised.peak_concurrency("chat") > 150


def settled_but_lost(scenario: Scenario) -> None:
    assert scenario.tried_s.size == answered(scenario) + scenario.refusals
    assert scenario.retries == scenario.refusals - scenario.lost
    assert all(function.busy == 0 for function in scenario.functions.values())


def test_bedrocks_quota_is_not_overdrawn_for_long() -> None:
    limits = replace(simulation.RAISED, tokens_per_minute=300_000.0)
    scenario = simulation.crowd(FEW, seconds=120.0, limits=limits)
    assert scenario.refused_s[Refused.MODEL].size > 1_000
    assert scenario.lost > 500
    bound = 300_000.0 * (1.0 + scenario.turns_s.max() / 60.0)  # the bucket, and what comes into it
    in_flight = 300 * (5 * 800 - 800)  # what those at work may still take when it is empty
    assert scenario.tokens[1].sum() <= bound + in_flight


def test_a_quota_of_requests_is_kept() -> None:
    limits = replace(simulation.RAISED, requests_per_minute=60.0)
    scenario = simulation.crowd(FEW, seconds=60.0, limits=limits)
    asked = scenario.tokens[0][scenario.tokens[1] == FEW.input_tokens_per_turn + limits.max_tokens]
    assert asked.size <= 60.0 + scenario.turns_s.max()


def test_a_database_that_cannot_is_given_up_in_time() -> None:
    limits = replace(simulation.RAISED, connections=2, timeout_s=2.0, vcpus=1)
    scenario = simulation.crowd(
        FEW, seconds=10.0, turn_every_s=math.inf, limits=limits, service=Service(work_s=0.02)
    )
    settled_but_lost(scenario)
    assert scenario.refused_s[Refused.DATABASE].size > 100
    function = scenario.functions["API"]
    stay_s = np.sort(np.frombuffer(function.ended_s)).sum() - np.sort(np.frombuffer(function.begun_s)).sum()
    assert stay_s / len(function.begun_s) <= 2.3
    assert scenario.database.given_up > 0


def test_counts_can_be_scaled() -> None:
    counts = Counts(api_requests=2.0, output_tokens=3.0)
    assert counts.times(2.0) == Counts(api_requests=4.0, output_tokens=6.0)
    assert all(getattr(Counts().times(5.0), field.name) == 0.0 for field in fields(Counts))


@pytest.fixture(scope="module")
def result() -> simulation.Result:
    return simulation.run(Demand(people=200))


def test_a_month_has_as_many_days_as_weeks_have(result: simulation.Result) -> None:
    assert result.month().api_requests == pytest.approx(result.ordinary.counts.api_requests * 65.0 / 3.0)
    assert result.month().api_requests == pytest.approx(
        result.demand.calls_per_month, rel=0.35
    )  # of one day of 80 scans


def test_the_table_has_a_column_for_each_scenario(result: simulation.Result) -> None:
    lines = simulation.text(result).splitlines()
    assert {line.count("|") for line in lines} == {len(result.scenarios()) + 2}
    assert "no jitter" in lines[0]
