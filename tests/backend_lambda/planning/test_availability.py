"""Availability, against figures worked out by hand and outages that are drawn."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend_lambda.planning import availability
from backend_lambda.planning.availability import (
    PROMISED,
    WAYS,
    Failover,
    agreements,
    late,
    longest_switch_s,
    minutes_off,
    of,
    series,
    with_second_region,
)

SHARES = st.floats(0.9, 1.0)
SECONDS = st.floats(1.0, 1e6)
HOUR_S = 3_600.0
DAY_S = 86_400.0


def test_a_record_in_one_region() -> None:
    # Five of 99.95 %, the keys' 99.999 %, and the names' 100 %
    by_hand = 0.9995 * 0.9995 * 0.9995 * 0.9995 * 0.9995 * 0.99999
    assert of(WAYS["record"]) == pytest.approx(by_hand)
    assert minutes_off(of(WAYS["record"])) == pytest.approx(109.8, abs=0.1)


def test_an_answer_in_one_region() -> None:
    assert of(WAYS["answer"]) == pytest.approx(0.9995**6 * 0.999 * 0.99999)


def test_dev_has_one_zone_and_no_firewall() -> None:
    assert of(WAYS["record"], dev=True) == pytest.approx(0.9995**3 * 0.995 * 0.99999)


def test_what_was_promised_is_four_minutes_and_a_half() -> None:
    assert minutes_off(PROMISED) == pytest.approx(4.38)
    assert minutes_off(1.0) == 0.0


def test_no_way_keeps_what_was_promised_in_one_region() -> None:
    assert all(of(way) < PROMISED for way in WAYS.values())


def test_nor_does_a_second_region_that_somebody_switches_to() -> None:
    assert all(with_second_region(of(way), Failover()) < PROMISED for way in WAYS.values())


@given(st.lists(SHARES, min_size=1))
def test_a_series_is_no_better_than_its_worst(parts: list[float]) -> None:
    assert 0.0 <= series(parts) <= min(parts)


@given(st.lists(SHARES), st.lists(SHARES))
def test_a_series_of_series(one: list[float], two: list[float]) -> None:
    assert series([series(one), series(two)]) == pytest.approx(series([*one, *two]))


# --- The second region


def test_a_switch_as_long_as_the_mean_outage() -> None:
    # 1 - 1/e of an outage is felt
    failover = Failover(HOUR_S, 0.0, 0.0, 0.0, outage_s=HOUR_S, both=0.0)
    assert with_second_region(0.99, failover) == pytest.approx(1.0 - 0.01 * 0.632121, abs=1e-7)


def test_a_switch_at_once_leaves_what_both_share() -> None:
    at_once = Failover(0.0, 0.0, 0.0, 0.0)
    assert with_second_region(0.99, at_once) == pytest.approx(1.0 - 0.01 * 0.01)
    assert with_second_region(0.99, replace(at_once, both=1.0)) == pytest.approx(0.99)


@given(SHARES, SECONDS, SECONDS, st.floats(0.0, 1.0))
def test_a_second_region_never_makes_it_worse(
    one: float, switch_s: float, outage_s: float, both: float
) -> None:
    failover = Failover(switch_s, 0.0, 0.0, 0.0, outage_s=outage_s, both=both)
    assert one - 1e-12 <= with_second_region(one, failover) <= 1.0
    slower = replace(failover, decision_s=switch_s)
    assert with_second_region(one, slower) <= with_second_region(one, failover) + 1e-12


@given(st.floats(0.99, 0.9998), st.floats(60.0, 1e5), st.floats(0.0, 0.005))
def test_the_longest_switch_keeps_just_what_is_wanted(one: float, outage_s: float, both: float) -> None:
    failover = Failover(outage_s=outage_s, both=both)
    longest_s = longest_switch_s(one, failover)
    assert 0.0 < longest_s < math.inf
    found = with_second_region(one, Failover(longest_s, 0.0, 0.0, 0.0, outage_s=outage_s, both=both))
    assert found == pytest.approx(PROMISED, abs=1e-9)


def test_no_switch_is_short_enough_where_both_fail_together() -> None:
    assert longest_switch_s(0.9975, Failover(both=0.05)) == 0.0
    assert longest_switch_s(0.9975, Failover(both=1.0)) == 0.0
    assert longest_switch_s(0.99995, Failover()) == math.inf


def test_drawn_outages_are_felt_as_the_formula_says() -> None:
    random, mean_s, switch_s = Random(7), HOUR_S, 1_950.0
    lengths = [random.expovariate(1.0 / mean_s) for _ in range(200_000)]
    felt = sum(min(length, switch_s) for length in lengths) / sum(lengths)
    failover = Failover(switch_s, 0.0, 0.0, 0.0, outage_s=mean_s, both=0.0)
    assert (1.0 - with_second_region(0.99, failover)) / 0.01 == pytest.approx(felt, rel=0.01)


# --- The outbox


def test_late_by_hand() -> None:
    assert late(0.99, 0.0, HOUR_S) == pytest.approx(0.01)
    assert late(0.99, HOUR_S, HOUR_S) == pytest.approx(0.01 / math.e)
    assert late(0.99, HOUR_S, HOUR_S, 2.0) == pytest.approx(
        0.005
    )  # the rest of it is longer than its scale, here an hour
    assert late(0.99, DAY_S, HOUR_S, 1.5) == pytest.approx(0.01 / 7.0)  # 1 + 24 h / 0.5 h is 49


@given(SHARES, SECONDS, SECONDS, st.one_of(st.none(), st.floats(1.01, 10.0)))
def test_late_falls_with_patience(one: float, within_s: float, outage_s: float, tail: float | None) -> None:
    found = late(one, within_s, outage_s, tail)
    assert 0.0 <= found <= (1.0 - one) * (1 + 1e-12)
    assert late(one, 2.0 * within_s, outage_s, tail) <= found


@pytest.mark.parametrize("tail", [1.0, 0.5])
def test_a_tail_without_a_mean_is_refused(tail: float) -> None:
    with pytest.raises(ValueError, match="no mean"):
        late(0.99, HOUR_S, HOUR_S, tail)


def test_drawn_outages_with_long_ones_wait_as_the_formula_says() -> None:
    """What is left of the outage that covers a moment: the longer it is, the likelier it covers it."""
    random, tail, mean_s, within_s = Random(11), 4.0, HOUR_S, 2 * HOUR_S
    scale_s = mean_s * (tail - 1.0)
    lengths = [scale_s * (random.random() ** (-1.0 / tail) - 1.0) for _ in range(400_000)]
    covering = sum(max(length - within_s, 0.0) for length in lengths) / sum(lengths)
    assert late(0.99, within_s, mean_s, tail) / 0.01 == pytest.approx(covering, rel=0.05)


# --- Agreements


@pytest.mark.parametrize("agreement", agreements().values(), ids=lambda one: one.name)
def test_every_agreement_says_where_it_is_from(agreement: availability.Agreement) -> None:
    assert 90.0 < agreement.percent <= 100.0
    assert agreement.source.startswith("https://")
    assert not agreement.checked or agreement.found in {"own", "list"}
    assert not (agreement.no_promise and agreement.checked)


def test_every_agreement_is_used() -> None:
    needed = {name for way in WAYS.values() for name in way.needs}
    assert needed | {name for name in availability.DEV.values() if name} == set(agreements())


def test_nothing_on_the_device_needs_the_cloud() -> None:
    assert all(one.what and one.shown_by for one in availability.ON_THE_DEVICE)
