"""The parts of the simulation, and the whole of it, against the closed forms of queueing.py.

Every figure is of 20 replications with seeds of their own, beside its 99 % confidence interval; of so many checks one in a hundred misses
by chance, so another seed than the default may.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

import numpy as np

from backend_lambda.planning import queueing, simulation
from backend_lambda.planning.demand import SIZES, Demand
from backend_lambda.planning.queueing import Floats, TokenBucket
from backend_lambda.planning.simulation import HOUR_S, SEED, Population, Service
from backend_lambda.planning.stations import Account, BackOff, Database, Function, Limits, Refused


@dataclass(frozen=True, slots=True)
class Check:
    """formula, simulated: the same thing twice. half_width: of simulated's 99 % confidence interval, over the replications."""

    name: str
    formula: float
    simulated: float
    half_width: float
    source: str

    @property
    def agrees(self) -> bool:
        return abs(self.formula - self.simulated) <= self.half_width


REPLICATIONS = 20
_STUDENT_99 = 2.861
"""Of 19 degrees of freedom, two-sided."""


def checks(seed: int = SEED) -> list[Check]:
    """The parts, and the whole, against queueing.py. Some seconds."""
    return [
        _replicated(
            "M/M/2, mean wait, ms", 1e3 * queueing.mmc_wait_s(2, 1500.0, 0.0009), _mm2, seed, "Erlang C"
        ),
        _replicated(
            "M/D/1, mean wait, ms",
            1e3 * queueing.mg1_wait_s(700.0, 0.001, 0.0),
            _md1,
            seed,
            "Pollaczek–Khinchine",
        ),
        _replicated(
            "M/G/1, log-normal, mean wait, ms",
            1e3 * queueing.mg1_wait_s(500.0, 0.001, math.expm1(0.64)),
            _mg1,
            seed,
            "Pollaczek–Khinchine",
        ),
        _replicated("M/G/5/5, lost, %", 100.0 * queueing.erlang_b(5, 3.0), _lost, seed, "Erlang B"),
        _replicated(
            "token bucket, passed",
            queueing.bucket_passes(900.0, 500.0, 1000.0, 20.0),
            _bucket,
            seed,
            "Cruz",
            apart=1.0,  # less than a token is left over, or was full
        ),
        _replicated("scans from 9 to 10", _scans_from_9(), _thinned_from_9, seed, "Lewis and Shedler"),
        _replicated(
            "chat at work from 9 to 10, mean", _chat_from_9(), _chat_at_work, seed, "Eick, Massey, Whitt"
        ),
        _replicated(
            "1,200 transactions/s through the whole, mean wait, ms",
            1e3 * queueing.mmc_wait_s(2, 1200.0, 0.0009),
            _whole_wait,
            seed,
            "Erlang C; Baskett, Chandy, Muntz, Palacios, J. ACM 22(2), 1975",
        ),
        _replicated(
            "devices back within a minute",
            sum(queueing.reconnects_per_s(10_100, 300.0, s + 0.5) for s in range(60)),
            _back_within_a_minute,
            seed,
            "Cox",
        ),
        *_littles(seed),
    ]


def _replicated(
    name: str, formula: float, one: Callable[[int], float], seed: int, source: str, *, apart: float = 0.0
) -> Check:
    """apart: by how much the two may differ besides, for a reason that is known."""
    found = np.array([one(seed * 1000 + k) for k in range(REPLICATIONS)])
    half = _STUDENT_99 * float(found.std(ddof=1)) / math.sqrt(REPLICATIONS) + apart
    return Check(name, formula, float(found.mean()), half, source)


def _station_wait_ms(
    servers: int, arrivals_per_s: float, work: Callable[[np.random.Generator, int], Floats], seed: int
) -> float:
    rng, many = np.random.default_rng([seed, 4]), 30_000
    database = Database(servers, servers, 0.0)
    for at_s, work_s in zip(
        np.cumsum(rng.exponential(1.0 / arrivals_per_s, many)), work(rng, many), strict=True
    ):
        database.ask(float(at_s), float(work_s))
    return 1e3 * float(np.mean(np.frombuffer(database.connection_wait_s)[3_000:]))  # the first found it empty


def _mm2(seed: int) -> float:
    return _station_wait_ms(2, 1500.0, lambda rng, many: rng.exponential(0.0009, many), seed)


def _md1(seed: int) -> float:
    return _station_wait_ms(1, 700.0, lambda _, many: np.full(many, 0.001), seed)


def _mg1(seed: int) -> float:
    return _station_wait_ms(1, 500.0, lambda rng, many: 0.001 * rng.lognormal(-0.32, 0.8, many), seed)


def _lost(seed: int) -> float:
    random = Random(seed)
    function = Function(1.0, lambda: 0.0, Limits(warm_s=math.inf), Account(0), reserved=5)
    asked, now_s, work = 0, 0.0, list[tuple[float, float]]()
    while now_s < 3000.0:
        now_s += random.expovariate(3.0)
        while work and work[0][0] <= now_s:
            function.end(*heapq.heappop(work))
        asked += 1
        if not isinstance(function.begin(now_s), Refused):
            heapq.heappush(work, (now_s + random.lognormvariate(-0.125, 0.5), now_s))  # a mean of 1 s
    return 100.0 * sum(function.refused.values()) / asked


def _bucket(seed: int) -> float:
    """An even flow, begun at a moment drawn."""
    bucket, first_s = TokenBucket(500.0, 1000.0), Random(seed).uniform(0.0, 1.0 / 900.0)
    return float(sum(bucket.take(first_s + k / 900.0) for k in range(900 * 20)))


_NINE_S, _TEN_S = 9 * HOUR_S, 10 * HOUR_S


def _scans_from_9() -> float:
    times_s = np.linspace(_NINE_S, _TEN_S, 3601)
    return float(np.trapezoid(simulation.scans_per_s(SIZES["10000"])(times_s), times_s))


def _thinned_from_9(seed: int) -> float:
    times_s = simulation.thinned(
        simulation.scans_per_s(SIZES["10000"]),
        simulation.OPENS_S,
        simulation.CLOSES_S,
        np.random.default_rng([seed, 6]),
    )
    return float(((times_s >= _NINE_S) & (times_s < _TEN_S)).sum())


def _chat_from_9() -> float:
    demand, service = SIZES["10000"], Service()
    rate, times_s = (
        simulation.chat_turns_per_s(demand, Population(), service),
        np.linspace(_NINE_S, _TEN_S, 241),
    )
    # A Poisson process through ∞ servers: with a rate that changes this slowly, what counts of the stay is its mean, and when it began.
    stay_s = simulation.chat_stay_s(demand, service)
    found = queueing.infinite_servers(
        rate, lambda u: np.exp(-u / stay_s), times_s, longest_s=20.0 * stay_s, step_s=stay_s / 50.0
    )
    return float(found.mean())


def _chat_at_work(seed: int) -> float:
    scenario = simulation.day(SIZES["10000"], seed=seed, from_s=8.85 * HOUR_S, to_s=_TEN_S)
    return float(scenario.concurrency("chat", np.arange(_NINE_S, _TEN_S, 0.5)).mean())


def _whole_wait(seed: int) -> float:
    limits = replace(simulation.RAISED, vcpus=Limits().vcpus)
    scenario = simulation.crowd(
        Demand(people=6_000), seed=seed, seconds=20.0, streams=0, turn_every_s=math.inf, limits=limits
    )
    asked_s = np.frombuffer(scenario.database.asked_s)
    settled = (asked_s > 4.0) & (asked_s < 20.0)
    return 1e3 * float(np.frombuffer(scenario.database.processor_wait_s)[settled].mean())


def _back_within_a_minute(seed: int) -> float:
    rng = np.random.default_rng([seed, 7])
    next_s, _ = simulation.tries(rng.uniform(0.0, 5.0, 10_100), BackOff(), 4 * HOUR_S, rng)
    return float((next_s < 4 * HOUR_S + 60.0).sum())


def _littles(seed: int) -> list[Check]:
    """L = λW in each station of the whole: L counted at moments drawn, λ and W from what came and went. half_width: of the counting."""
    scenario = simulation.day(SIZES["10000"], seed=seed, from_s=8.6 * HOUR_S, to_s=10.2 * HOUR_S)
    database = scenario.database
    stations = {name: (one.begun_s, one.ended_s) for name, one in scenario.functions.items()}
    stations["database"] = (database.asked_s, database.ended_s)
    rng, found = np.random.default_rng([seed, 8]), []
    for name, (begun, ended) in stations.items():
        begun_s, ended_s = np.sort(np.asarray(begun)), np.sort(np.asarray(ended))
        within = (begun_s >= _NINE_S) & (begun_s < _TEN_S)
        stay_s = float(ended_s.sum() - begun_s.sum()) / begun_s.size  # of all: the sum needs no pairs
        formula = queueing.little(float(within.sum()) / HOUR_S, stay_s)
        counted = simulation.present(begun_s, ended_s, rng.uniform(_NINE_S, _TEN_S, 40_000))
        blocks = counted.reshape(REPLICATIONS, -1).mean(axis=1)
        half = _STUDENT_99 * float(blocks.std(ddof=1)) / math.sqrt(REPLICATIONS)
        half += 2.58 * formula / math.sqrt(begun_s.size)  # the stay's mean is of more than this hour
        found.append(Check(f"L and λW: {name}", formula, float(counted.mean()), half, "Little"))
    return found


def text(found: Sequence[Check]) -> str:
    """A table in Markdown."""
    lines = ["| what | closed form | simulated, 99 % interval | agrees | source |", "|---|--:|--:|---|---|"]
    lines += [
        f"| {one.name} | {one.formula:.5g} | {one.simulated:.5g} ± {one.half_width:.2g} | {'yes' if one.agrees else 'NO'} | {one.source} |"
        for one in found
    ]
    return "\n".join(lines) + "\n"
