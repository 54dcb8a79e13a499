"""client.cloud.backoff: waits that spread a crowd, within their bounds for whatever comes."""

from __future__ import annotations

import math
from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from client.cloud.backoff import (
    BASE_S,
    CAP_S,
    LONGEST_RETRY_AFTER_S,
    LONGEST_SPREAD_S,
    delay_s,
)

tries = st.integers(0, 10**9)
seeds = st.integers(0, 2**32)


@given(tries, seeds)
def test_full_jitter_stays_within_its_doubling_span_and_the_cap(count: int, seed: int) -> None:
    span_s = min(CAP_S, BASE_S * 2.0 ** min(count, 60))
    assert 0.0 <= delay_s(count, Random(seed)) <= span_s


@given(tries, seeds, st.floats(allow_nan=True, allow_infinity=True))
def test_whatever_the_server_says_the_wait_is_finite_and_never_sooner(
    count: int, seed: int, told_s: float
) -> None:
    waited_s = delay_s(count, Random(seed), told_s)
    assert 0.0 <= waited_s <= LONGEST_RETRY_AFTER_S + LONGEST_SPREAD_S
    if math.isfinite(told_s):
        assert waited_s >= min(told_s, LONGEST_RETRY_AFTER_S)


@given(seeds, st.floats(1.0, 1000.0))
def test_the_span_after_a_word_of_the_server_grows_with_the_failures(seed: int, told_s: float) -> None:
    over_s = [delay_s(count, Random(seed), told_s) - told_s for count in range(1, 12)]
    assert all(later >= sooner - 1e-9 for sooner, later in pairwise(over_s))


def test_a_thousand_that_were_refused_together_come_back_spread() -> None:
    """Firewall and gateway tell everybody 300 s: no tenth of the following 300 s gets more than its share and a half."""
    rng = Random(7)
    came_s = sorted(delay_s(1, rng, 300.0) for _ in range(1000))
    tenths = [sum(300.0 + 30.0 * n <= one < 330.0 + 30.0 * n for one in came_s) for n in range(10)]
    assert sum(tenths) == 1000 and max(tenths) < 150 and min(tenths) > 50


def test_the_first_waits_are_spread_from_nothing_on() -> None:
    rng = Random(7)
    waits_s = [delay_s(6, rng) for _ in range(1000)]
    assert min(waits_s) < 1.0 and max(waits_s) > 63.0 and 29.0 < sum(waits_s) / 1000 < 35.0
