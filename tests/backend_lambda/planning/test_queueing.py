"""The closed forms: against what they become in simple cases, against sums, scipy, and what was measured."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from backend_lambda.planning import queueing
from backend_lambda.planning.queueing import TokenBucket

LOADS = st.floats(0.01, 40.0)


@given(st.integers(0, 60), LOADS)
def test_erlang_b_is_its_sum(servers: int, load: float) -> None:
    terms = [servers_k * math.log(load) - math.lgamma(servers_k + 1) for servers_k in range(servers + 1)]
    whole = sum(math.exp(term) for term in terms)
    assert queueing.erlang_b(servers, load) == pytest.approx(math.exp(terms[-1]) / whole, rel=1e-9)


def test_erlang_b_without_load_loses_nobody_where_there_is_a_server() -> None:
    assert queueing.erlang_b(3, 0.0) == 0.0
    assert queueing.erlang_b(0, 0.0) == 1.0
    assert queueing.erlang_b(10, 5.0) == pytest.approx(0.01838, abs=1e-5)  # of printed tables


@given(st.floats(0.01, 0.99))
def test_one_server_waits_as_in_every_textbook(load: float) -> None:
    assert queueing.erlang_c(1, load) == pytest.approx(load)
    wait_s = load / (1.0 - load)
    assert queueing.mmc_wait_s(1, load, 1.0) == pytest.approx(wait_s)
    assert queueing.mg1_wait_s(load, 1.0, 1.0) == pytest.approx(wait_s)
    assert queueing.mg1_wait_s(load, 1.0, 0.0) == pytest.approx(wait_s / 2.0)
    assert queueing.mmc_sojourn_quantile_s(1, load, 1.0, 0.99) == pytest.approx(
        math.log(100.0) / (1.0 - load), rel=1e-6
    )


@given(st.integers(1, 20), st.floats(0.05, 0.95), st.floats(0.0, 30.0))
def test_the_tail_of_a_stay_falls_from_one_and_has_the_mean(servers: int, share: float, t_s: float) -> None:
    arrivals = servers * share
    tail = queueing.mmc_sojourn_tail(servers, arrivals, 1.0, t_s)
    assert queueing.mmc_sojourn_tail(servers, arrivals, 1.0, 0.0) == pytest.approx(1.0)
    assert -1e-12 <= queueing.mmc_sojourn_tail(servers, arrivals, 1.0, t_s + 1.0) <= tail <= 1.0 + 1e-12
    grid_s = np.linspace(0.0, 40.0 / (servers - arrivals) + 40.0, 20_001)
    mean_s = np.trapezoid(
        [queueing.mmc_sojourn_tail(servers, arrivals, 1.0, at) for at in grid_s[::20]], grid_s[::20]
    )
    assert mean_s == pytest.approx(1.0 + queueing.mmc_wait_s(servers, arrivals, 1.0), rel=0.02)


def test_a_stay_whose_two_rates_are_the_same() -> None:
    near = queueing.mmc_sojourn_tail(2, 1.0 + 1e-7, 1.0, 2.0)
    assert queueing.mmc_sojourn_tail(2, 1.0, 1.0, 2.0) == pytest.approx(near, rel=1e-5)


@pytest.mark.parametrize("load", [1.0, 1.5, -0.1])
def test_a_queue_without_an_end_is_refused(load: float) -> None:
    with pytest.raises(ValueError, match="below the number of servers"):
        queueing.erlang_c(1, load)
    with pytest.raises(ValueError, match="below the number of servers"):
        queueing.mg1_wait_s(load, 1.0, 1.0)


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        queueing.erlang_b(-1, 1.0)
    with pytest.raises(ValueError, match="negative"):
        queueing.poisson_quantile(-1.0, 0.5)
    with pytest.raises(ValueError, match="between"):
        queueing.poisson_quantile(1.0, 1.0)


def test_infinite_servers_follow_a_wave_as_eick_massey_and_whitt_say() -> None:
    """λ(t) = 10 + 5 sin(ωt), exponential stays of 1 s: 10 + 5·(sin ωt − ω cos ωt)/(1 + ω²), their equation 15."""
    omega = 0.7
    at_s = np.linspace(100.0, 120.0, 41)
    found = queueing.infinite_servers(
        lambda t: 10.0 + 5.0 * np.sin(omega * t), lambda u: np.exp(-u), at_s, longest_s=30.0, step_s=0.01
    )
    expected = 10.0 + 5.0 * (np.sin(omega * at_s) - omega * np.cos(omega * at_s)) / (1.0 + omega**2)
    np.testing.assert_allclose(found, expected, rtol=1e-3)


@given(st.floats(0.0, 2000.0), st.floats(0.5, 0.99999))
def test_quantiles_of_poisson_are_scipys(mean: float, share: float) -> None:
    assert queueing.poisson_quantile(mean, share) == pytest.approx(
        max(0, stats.poisson.ppf(share, mean)), abs=1
    )


def test_a_large_poisson_is_nearly_normal() -> None:
    assert queueing.poisson_quantile(1e6, 0.9999) == pytest.approx(stats.poisson.ppf(0.9999, 1e6), rel=0.01)


@given(LOADS, st.floats(1e-5, 0.9))
def test_fewest_servers_are_the_fewest(load: float, share: float) -> None:
    servers = queueing.servers_for_blocking(load, share)
    assert queueing.erlang_b(servers, load) <= share
    assert servers == 0 or queueing.erlang_b(servers - 1, load) > share


@given(st.lists(st.floats(0.0, 0.5), max_size=200), st.floats(0.1, 20.0), st.integers(1, 20))
def test_a_bucket_never_lets_more_through_than_its_bound(
    gaps_s: list[float], refill: float, burst: int
) -> None:
    bucket, passed = TokenBucket(refill, float(burst)), 0
    now_s = 0.0
    for gap_s in gaps_s:
        now_s += gap_s
        passed += bucket.take(now_s)
    assert passed <= burst + refill * now_s + 1e-6


def test_a_bucket_refuses_from_when_the_formula_says() -> None:
    bucket = TokenBucket(500.0, 1000.0)
    refused_s = next(k / 900.0 for k in range(10_000) if not bucket.take(k / 900.0))
    assert refused_s == pytest.approx(queueing.bucket_empty_after_s(900.0, 500.0, 1000.0), rel=0.01)
    assert math.isinf(queueing.bucket_empty_after_s(400.0, 500.0, 1000.0))
    assert queueing.bucket_passes(400.0, 500.0, 1000.0, 10.0) == 4000.0


def test_a_bucket_can_be_overdrawn_and_given_back() -> None:
    bucket = TokenBucket(1.0, 10.0)
    bucket.draw(0.0, 15.0)
    assert not bucket.take(4.0)
    bucket.draw(4.0, -100.0)
    assert bucket.level_at(4.0) == 10.0


def test_devices_that_come_back_are_all_devices() -> None:
    after_s = np.linspace(0.0, 400.0, 4001)
    rates = [queueing.reconnects_per_s(10_100, 300.0, s) for s in after_s]
    assert np.trapezoid(rates, after_s) == pytest.approx(10_100, rel=1e-3)
    assert queueing.reconnects_per_s(10_100, 300.0, -1.0) == 0.0
    cap_s = queueing.cap_for_s(10_100, 6.4, 1700.0)
    assert 6.4 * queueing.reconnects_per_s(10_100, cap_s, 0.0) == pytest.approx(1700.0)


def test_little() -> None:
    assert queueing.little(333.0, 6.0) == 1998.0


def test_two_processors_of_0_9_ms_have_both_measured_points() -> None:
    """README.md, "The cloud": p99 of inserts 4.5 ms at 600 requests a second; 10 ms is left at about 1,700."""
    assert queueing.mmc_sojourn_quantile_s(2, 600.0, 0.0009, 0.99) == pytest.approx(0.0045, rel=0.1)
    assert queueing.mmc_sojourn_quantile_s(2, 1700.0, 0.0009, 0.99) < 0.010
    assert queueing.mmc_sojourn_quantile_s(2, 1800.0, 0.0009, 0.99) > 0.010
