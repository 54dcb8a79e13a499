"""How long to wait before the next try: chance spreads those who failed together (M. Brooker, "Exponential Backoff and Jitter", 2015)."""

from __future__ import annotations

import math
from random import Random

BASE_S = 1.0
CAP_S = 300.0
LONGEST_RETRY_AFTER_S = 3_600.0
"""A server that says more is asked all the same after this: a mistake of it must not silence a device for months."""
LONGEST_SPREAD_S = 4 * CAP_S


def delay_s(
    tries: int,
    rng: Random,
    retry_after_s: float | None = None,
    *,
    base_s: float = BASE_S,
    cap_s: float = CAP_S,
) -> float:
    """Seconds until the next try. tries: how many failed so far, 0 or more.

    Without a word from the server: full jitter, evenly from 0 to min(cap, base · 2^tries).

    With retry_after_s: never sooner, and then evenly over a span. Everybody who was refused got the same number, so waiting just that
    long would bring the same crowd again; the span is the number itself at the first failure, so that those who were too many at once come
    over twice that time, and doubles with each further one, for then it was still too short, up to LONGEST_SPREAD_S.
    """
    doublings = min(max(tries, 0), 60)
    if retry_after_s is None or not 0 < retry_after_s < math.inf:
        return rng.uniform(0.0, min(cap_s, base_s * 2.0**doublings))
    least_s = min(retry_after_s, LONGEST_RETRY_AFTER_S)
    span_s = min(LONGEST_SPREAD_S, max(least_s, base_s) * 2.0 ** max(doublings - 1, 0))
    return least_s + rng.uniform(0.0, span_s)
