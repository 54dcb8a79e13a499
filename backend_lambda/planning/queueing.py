"""Closed forms of queueing theory: what the simulation is checked against, and what the capacity table is worked out with.

Rates are per second, times in seconds, loads in erlangs (arrivals per second × mean service time). Sources, by the names used below:

- Erlang: A. K. Erlang, "Solution of some problems in the theory of probabilities of significance in automatic telephone exchanges",
  1917; the recursion and the tail of the wait as in D. Gross, J. F. Shortle, J. M. Thompson, C. M. Harris, "Fundamentals of Queueing
  Theory", 4th edition, 2008, sections 2.3 to 2.5.
- Pollaczek–Khinchine: the same, section 5.1.
- Little: J. D. C. Little, "A proof for the queuing formula L = λW", Operations Research 9(3), 1961.
- Eick, Massey, Whitt: "The physics of the Mt/G/∞ queue", Operations Research 41(4), 1993, theorem 1.
- Cox: D. R. Cox, "Renewal Theory", 1962, section 5.2 (the time to the next renewal, long after the start).
- Cruz: R. L. Cruz, "A calculus for network delay, part I", IEEE Transactions on Information Theory 37(1), 1991 (a flow is bounded by
  burst + rate × time: what a token bucket lets through).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def erlang_b(servers: int, load: float) -> float:
    """The share of arrivals that find every server busy and are lost: M/G/c/c, whatever the distribution of service (Erlang).

    servers ≥ 0, load ≥ 0. Raises ValueError.
    """
    if servers < 0 or load < 0:
        raise ValueError(f"servers {servers} and load {load} must not be negative")
    blocking = 1.0
    for busy in range(1, servers + 1):
        blocking = load * blocking / (busy + load * blocking)
    return blocking if load > 0 else float(servers == 0)


def erlang_c(servers: int, load: float) -> float:
    """The share of arrivals that wait: M/M/c (Erlang). Raises ValueError where load ≥ servers: then the queue has no end."""
    _stable(servers, load)
    blocking = erlang_b(servers, load)
    return servers * blocking / (servers - load * (1.0 - blocking))


def mmc_wait_s(servers: int, arrivals_per_s: float, service_s: float) -> float:
    """The mean wait before service: M/M/c. Raises ValueError where it grows without end."""
    load = arrivals_per_s * service_s
    return erlang_c(servers, load) * service_s / (servers - load)


def mmc_sojourn_tail(servers: int, arrivals_per_s: float, service_s: float, longer_than_s: float) -> float:
    """The share that stays, wait and service, longer than that: M/M/c, first come first served (Gross et al., section 2.3)."""
    load = arrivals_per_s * service_s
    waits = erlang_c(servers, load)
    ends, drains = (
        1.0 / service_s,
        (servers - load) / service_s,
    )  # rates of the service, and of a wait that is there
    t = longer_than_s
    if math.isclose(ends, drains, rel_tol=1e-9):
        return (1.0 + waits * ends * t) * math.exp(-ends * t)
    both = (ends * math.exp(-drains * t) - drains * math.exp(-ends * t)) / (ends - drains)
    return (1.0 - waits) * math.exp(-ends * t) + waits * both


def mmc_sojourn_quantile_s(servers: int, arrivals_per_s: float, service_s: float, share: float) -> float:
    """What `share` (0 < share < 1) of the stays do not exceed, by bisection."""
    low_s, high_s = 0.0, service_s
    while mmc_sojourn_tail(servers, arrivals_per_s, service_s, high_s) > 1.0 - share:
        high_s *= 2.0
    for _ in range(80):
        middle_s = (low_s + high_s) / 2.0
        if mmc_sojourn_tail(servers, arrivals_per_s, service_s, middle_s) > 1.0 - share:
            low_s = middle_s
        else:
            high_s = middle_s
    return high_s


def mg1_wait_s(arrivals_per_s: float, service_s: float, squared_variation: float) -> float:
    """The mean wait before service: M/G/1 (Pollaczek–Khinchine). squared_variation: variance over squared mean, 0 for M/D/1, 1 for M/M/1.

    Raises ValueError where it grows without end.
    """
    load = arrivals_per_s * service_s
    _stable(1, load)
    return load * service_s * (1.0 + squared_variation) / (2.0 * (1.0 - load))


def little(arrivals_per_s: float, stay_s: float) -> float:
    """How many are there in the mean (Little)."""
    return arrivals_per_s * stay_s


def infinite_servers(
    arrivals_per_s: Callable[[Floats], Floats],
    survival: Callable[[Floats], Floats],
    at_s: Floats,
    *,
    longest_s: float,
    step_s: float,
) -> Floats:
    """Mean number in service at each time, ∫ λ(t − u)·(1 − F(u)) du: Mt/G/∞ (Eick, Massey, Whitt). Their number is Poisson.

    survival(u) = 1 − F(u), the share of services longer than u; longest_s: beyond which it counts as 0. Rule of the trapezium.
    """
    ages_s = np.arange(0.0, longest_s + step_s, step_s)
    weights = survival(ages_s) * step_s
    weights[[0, -1]] /= 2.0
    return np.array([float(arrivals_per_s(t - ages_s) @ weights) for t in at_s])


def poisson_quantile(mean: float, share: float) -> int:
    """The smallest number that a Poisson variable exceeds with no more than 1 − share. Raises ValueError."""
    if mean < 0 or not 0.0 < share < 1.0:
        raise ValueError(f"mean {mean} must not be negative, share {share} be between 0 and 1")
    if mean > 1e5:  # its normal limit; the sum below would take as many steps
        return math.ceil(mean + 6.0 * math.sqrt(mean))
    log_term, total, k = -mean, 0.0, 0
    while True:
        total += math.exp(log_term)
        if total >= share or k > mean + 40.0 * math.sqrt(
            mean + 1.0
        ):  # the sum stops short of 1 by its rounding
            return k
        k += 1
        log_term += math.log(mean / k) if mean > 0 else -math.inf


def servers_for_blocking(load: float, share: float) -> int:
    """The fewest servers that lose no more than `share` of the arrivals (Erlang B turned round)."""
    servers, blocking = 0, 1.0
    while blocking > share:
        servers += 1
        blocking = load * blocking / (servers + load * blocking)
    return servers


def bucket_passes(offered_per_s: float, refill_per_s: float, burst: float, seconds: float) -> float:
    """How much of an even flow a token bucket that was full lets through in that time (Cruz)."""
    return min(offered_per_s * seconds, burst + refill_per_s * seconds)


def bucket_empty_after_s(offered_per_s: float, refill_per_s: float, burst: float) -> float:
    """When a full bucket begins to refuse; inf where it never does."""
    surplus = offered_per_s - refill_per_s
    return burst / surplus if surplus > 0 else math.inf


def reconnects_per_s(devices: float, cap_s: float, after_s: float) -> float:
    """How many devices come back per second, `after_s` after the end of a long outage, where each waits a uniform time in (0, cap_s)
    between tries (full jitter at its cap): devices × (1 − x/cap) / (cap/2) (Cox).
    """
    return devices * 2.0 / cap_s * max(0.0, 1.0 - after_s / cap_s) if after_s >= 0 else 0.0


def cap_for_s(devices: float, transactions_per_device: float, transactions_per_s: float) -> float:
    """The smallest cap of the back-off with which devices that come back stay within what the database carries: the peak of the above."""
    return 2.0 * devices * transactions_per_device / transactions_per_s


@dataclass(slots=True)
class TokenBucket:
    """Full at first; refilled evenly, never above `burst`. Times given to `take` must not go back."""

    refill_per_s: float
    burst: float
    level: float = math.nan
    _at_s: float = 0.0

    def __post_init__(self) -> None:
        if math.isnan(self.level):
            self.level = self.burst

    def take(self, now_s: float, amount: float = 1.0) -> bool:
        """Whether it was there. A refusal takes nothing."""
        if self.level_at(now_s) < amount:
            return False
        self.level -= amount
        return True

    def draw(self, now_s: float, amount: float) -> None:
        """Taken, there or not: the level may go below zero. Negative: put back."""
        self.level = min(self.burst, self.level_at(now_s) - amount)

    def level_at(self, now_s: float) -> float:
        """What is in it now."""
        self.level = min(self.burst, self.level + (now_s - self._at_s) * self.refill_per_s)
        self._at_s = now_s
        return self.level


def _stable(servers: int, load: float) -> None:
    if servers < 1 or load < 0 or load >= servers:
        raise ValueError(f"load {load:g} must be below the number of servers, {servers}")
