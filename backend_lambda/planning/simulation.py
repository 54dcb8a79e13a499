"""A discrete-event simulation of a deployment: a clinic day, the hour after an outage, and everybody at once.

Time 0 of a clinic day is midnight, of an outage the moment when the cloud is back, of a crowd its start. Everything drawn comes from the
seed, so a run can be repeated to the last digit. What an event takes is an assumption unless it says where it was measured (README.md,
"The cloud"); `Service`, `Population` and `stations.Limits` hold all of them.

Thinning: P. A. W. Lewis, G. S. Shedler, "Simulation of nonhomogeneous Poisson processes by thinning", Naval Research Logistics
Quarterly 26(3), 1979.
"""

from __future__ import annotations

import heapq
import math
from array import array
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, TypeAlias

import numpy as np
import simpy
from numpy.typing import NDArray

from backend_lambda.planning.demand import SIZES, WEEKS_PER_MONTH, Counts, Demand
from backend_lambda.planning.queueing import Floats, TokenBucket
from backend_lambda.planning.stations import Account, BackOff, Database, Function, Jitter, Limits, Refused

__all__ = [
    "Counts",
    "Result",
    "Scenario",
    "crowd",
    "day",
    "outage",
    "run",
    "sweep",
    "text",
]

Steps: TypeAlias = Generator[simpy.Event, Any, Any]
SEED = 1
HOUR_S = 3600.0
OPENS_S, CLOSES_S = 7 * HOUR_S, 19 * HOUR_S
CLINIC_DAYS_PER_WEEK = 5.0
_SHAPE = ((0.55, 9.5 * HOUR_S, 1.3 * HOUR_S), (0.30, 14.5 * HOUR_S, 1.5 * HOUR_S))


@dataclass(frozen=True, slots=True)
class Call:
    """A request to the API. transactions: the one that admits the device, and its own (auth/gate.py, services/).

    signatures: by KMS, within its last transaction.
    """

    name: str
    transactions: int = 2
    signatures: int = 0


TOKEN = Call("token", transactions=1, signatures=1)
HEARTBEAT = Call("heartbeat")
CONFIG = Call("config")
OBSERVATION = Call("observation")
READ = Call("read")
ANNOUNCE = Call("announce upload")
COMPLETE = Call("complete upload", transactions=3)
TURN = "chat turn"


@dataclass(frozen=True, slots=True)
class Population:
    """Who asks. A kiosk is on from 7 to 19; a laptop's app runs for its person's scan only, except in an outage (see there).

    people_per_kiosk, kiosk_share: of the scans. heartbeat_s, config_s: while the app runs; a token lasts 15 minutes (auth/tokens.py).
    laptop_s: how long the app is open for a scan. scan_s: sitting down to result. think_s: before a question, in the mean.
    tries: of somebody who waits for a chat's answer, before they give up; uploads never do.
    """

    people_per_kiosk: float = 100.0
    kiosk_share: float = 0.6
    heartbeat_s: float = 300.0
    config_s: float = 3600.0
    token_s: float = 900.0
    laptop_s: float = 1200.0
    scan_s: float = 60.0
    think_s: float = 40.0
    tries: int = 5


@dataclass(frozen=True, slots=True)
class Service:
    """What things take, seconds unless it says otherwise. Pairs are a median and the sigma of a log-normal.

    api_own_s: the API's work beside the database; with two transactions a call comes to about 60 ms (assumed; on loopback the whole
    call's 95th percentile is 8.3 ms [measured], Lambda has slower cores and longer ways). api_start_s: a SnapStart restore (AWS: "as low
    as sub-second"). start_s: an ordinary cold start: 0.32 s of imports [measured] and the sandbox. work_s: of a transaction on the
    database's processor (stations.Database). trips_s: its four messages there and back, through the proxy to another zone, at 1.5 ms [K].
    first_token_s: 0.70 to 0.81 s for Claude 3.5 Haiku on Bedrock, tokens_per_s: 65 (https://artificialanalysis.ai/models/claude-3-5-haiku/providers,
    read 2026-11-28; newer models are faster). knowledge_s: the search before it [K]. document_s: text of a PDF [assumed].
    upload_bits_per_s: of a clinic's line. signing_s: of a token, by KMS [K]. log_bytes: of a call, with metrics [assumed]. *_memory_gb: as in stacks/core.yaml.
    """

    api_own_s: float = 0.046
    api_start_s: tuple[float, float] = (0.5, 0.35)
    start_s: tuple[float, float] = (1.0, 0.3)
    work_s: float = 0.0009
    trips_s: float = 0.006
    first_token_s: tuple[float, float] = (0.75, 0.35)
    tokens_per_s: tuple[float, float] = (65.0, 0.2)
    knowledge_s: float = 0.3
    chat_own_s: float = 0.05
    document_s: tuple[float, float] = (3.0, 0.6)
    upload_bits_per_s: float = 10e6
    signing_s: float = 0.02
    log_bytes: float = 2_000.0
    api_memory_gb: float = 1769 / 1024
    chat_memory_gb: float = 1.0
    processing_memory_gb: float = 2.0


@dataclass(slots=True)
class Scenario:
    """What one run was: everything in order of time. Times of the scenario's own clock, seconds.

    tried_s: every attempt at the API or a chat. refused_s: those that came to nothing, by reason. first_s, took_s: of what succeeded, by
    kind: when it was first tried, and how long until it was answered, tries and waits between them included. first_token_s: from the
    first try. lost: given up. backlog: (time, items still waiting). tokens: (time, of the model's quota). waits_s: by where.
    """

    name: str
    from_s: float
    to_s: float
    limits: Limits
    counts: Counts
    tried_s: Floats
    refused_s: dict[Refused, Floats]
    first_s: dict[str, Floats]
    took_s: dict[str, Floats]
    first_token_s: Floats
    functions: dict[str, Function]
    database: Database
    waits_s: dict[str, Floats]
    tokens: tuple[Floats, Floats]
    turns_s: Floats
    scans_s: Floats
    lost: int
    backlog: tuple[Floats, Floats]

    @property
    def retries(self) -> int:
        """Attempts beyond the first."""
        return self.tried_s.size - sum(times.size for times in self.first_s.values()) - self.lost

    @property
    def refusals(self) -> int:
        return sum(times.size for times in self.refused_s.values())

    @property
    def drained_s(self) -> float:
        """When the last item of a backlog was acknowledged; 0 without one."""
        return float(self.backlog[0][-1]) if self.backlog[0].size else 0.0

    def per_s(self, times_s: Floats, width_s: float = 1.0) -> tuple[Floats, Floats]:
        """Left edges of bins, and how many a second fell into each."""
        edges = np.arange(self.from_s, self.to_s + width_s, width_s)
        return edges[:-1], np.histogram(times_s, edges)[0] / width_s

    def peak_per_s(self, times_s: Floats, width_s: float = 1.0) -> float:
        """0 where there was nothing."""
        return float(self.per_s(times_s, width_s)[1].max(initial=0.0))

    def concurrency(self, name: str, at_s: Floats) -> Floats:
        """How many requests the function was at work on at these times."""
        return present(self.functions[name].begun_s, self.functions[name].ended_s, at_s)

    def peak_concurrency(self, name: str) -> int:
        return _most(self.functions[name].begun_s, self.functions[name].ended_s)

    def peak_of_all(self) -> int:
        """Of all functions together: what the account's quota is for."""
        begun = np.concatenate([np.frombuffer(one.begun_s) for one in self.functions.values()])
        ended = np.concatenate([np.frombuffer(one.ended_s) for one in self.functions.values()])
        return _most(begun, ended)

    @property
    def peak_connections(self) -> int:
        begun = np.frombuffer(self.database.asked_s) + np.frombuffer(self.database.connection_wait_s)
        return _most(begun, self.database.ended_s)

    def database_use(self, width_s: float = 60.0) -> float:
        """The busiest stretch of that length: share of the processors' time."""
        work_s = self.database.worked_s / max(1, len(self.database.asked_s))
        return self.peak_per_s(np.frombuffer(self.database.asked_s), width_s) * work_s / self.database.vcpus

    def peak_tokens_per_minute(self) -> float:
        edges = np.arange(self.from_s, self.to_s + 60.0, 60.0)
        return float(np.histogram(self.tokens[0], edges, weights=self.tokens[1])[0].max(initial=0.0))


@dataclass(slots=True)
class Result:
    """Of `run`: a day; an outage with the back-off that devices have, the same with one that does not draw, and with as many renewed
    tokens as are asked for; a crowd with the limits as deployed, and with raised ones.
    """

    demand: Demand
    seed: int
    ordinary: Scenario
    jitter: Scenario
    lockstep: Scenario
    unlimited: Scenario
    crowd: Scenario
    raised: Scenario

    def scenarios(self) -> tuple[Scenario, ...]:
        return (self.ordinary, self.jitter, self.lockstep, self.unlimited, self.crowd, self.raised)

    def month(self) -> Counts:
        """The ordinary day's counts, for as many days as a month of this demand has."""
        return self.ordinary.counts.times(CLINIC_DAYS_PER_WEEK * WEEKS_PER_MONTH)


RAISED = replace(
    Limits(),
    gateway_per_s=10_000.0,
    gateway_burst=5_000.0,
    token_per_s=500.0,
    token_burst=1_000.0,
    account_concurrency=5_000,
    api_concurrency=1_000,
    chat_concurrency=3_500,
    tokens_per_minute=90_000_000.0,
    vcpus=8,
    connections=2_000,
)
"""For 10,000 at once. That eight processors do four times the work of two was not measured."""


# --- Who comes when -------------------------------------------------------------------------------------------------


def scans_per_s(demand: Demand) -> Callable[[Floats], Floats]:
    """Of a clinic day, by the time since midnight: a morning peak at 9:30, a smaller one at 14:30, and a floor from 7 to 19.

    An assumption: people come before and at the start of work, clinics call most of theirs into the morning, and break at noon. Two
    peaks, the first about noon or before, are what S. Karas found in a hospital (JACEP 6(10), 1977); most come between 8 and 20
    (https://www.jucm.com/patient-arrival-times-in-urgent-care/, read 2026-11-28). The week's scans fall on five days.
    """
    scans = demand.people * demand.scans_per_person_week / CLINIC_DAYS_PER_WEEK
    floor = 1.0 - sum(weight for weight, _, _ in _SHAPE)

    def density(t_s: Floats) -> Floats:
        found = np.full_like(t_s, floor / (CLOSES_S - OPENS_S))
        for weight, mean_s, deviation_s in _SHAPE:
            scaled = (t_s - mean_s) / deviation_s
            found += weight / (deviation_s * math.sqrt(2.0 * math.pi)) * np.exp(-0.5 * scaled * scaled)
        return np.where((t_s >= OPENS_S) & (t_s < CLOSES_S), found, 0.0)

    grid_s = np.linspace(OPENS_S, CLOSES_S - 1e-6, 12 * 240 + 1)
    whole = float(np.trapezoid(density(grid_s), grid_s))  # the bells' feet lie outside the day
    return lambda t_s: scans * density(np.asarray(t_s, float)) / whole


def thinned(
    rate_per_s: Callable[[Floats], Floats], from_s: float, to_s: float, rng: np.random.Generator
) -> Floats:
    """Times of a Poisson process with that rate (Lewis and Shedler). The rate's highest value is looked for every ten seconds."""
    grid_s = np.arange(from_s, to_s, min(10.0, (to_s - from_s) / 10))
    most_per_s = 1.05 * float(
        rate_per_s(grid_s).max(initial=0.0)
    )  # what lies between the grid's points is not higher than that
    drawn_s = rng.uniform(from_s, to_s, rng.poisson(most_per_s * (to_s - from_s)))
    kept = rng.random(drawn_s.size) * most_per_s < rate_per_s(drawn_s)
    return np.sort(drawn_s[kept])


def reads_per_scan(demand: Demand, who: Population) -> float:
    """Calls of a scan that are left when the others are taken off `calls_per_scan`: pages of results, and what staff look at.

    Raises ValueError where the others are more than all.
    """
    scans_a_day = demand.people * demand.scans_per_person_week / CLINIC_DAYS_PER_WEEK
    open_s = CLOSES_S - OPENS_S
    kiosk = open_s * (1.0 / who.heartbeat_s + 1.0 / who.config_s + 1.0 / who.token_s)
    laptop = math.ceil(who.laptop_s / who.token_s) + who.laptop_s / who.heartbeat_s + 1.0
    others = demand.people / who.people_per_kiosk * kiosk / scans_a_day + (1.0 - who.kiosk_share) * laptop
    left = demand.calls_per_scan - others - 1.0 - 2.0 * demand.uploads_per_scan
    if left < 0:
        raise ValueError(
            f"{demand.calls_per_scan:g} calls a scan are fewer than the devices' own, {others:.1f}, and its results"
        )
    return left


def chat_turns_per_s(demand: Demand, who: Population, service: Service) -> Callable[[Floats], Floats]:
    """Of a clinic day: a scan's questions come when it is over, each after some thought and the answer before. The mean delay stands for
    the delays, for the rate changes over hours.
    """
    scans = scans_per_s(demand)
    delays_s = [
        who.scan_s + (k + 1) * who.think_s + k * chat_stay_s(demand, service)
        for k in range(math.ceil(demand.turns_per_scan))
    ]
    share = demand.turns_per_scan / max(1, len(delays_s))
    return lambda t_s: share * np.sum([scans(t_s - delay_s) for delay_s in delays_s], axis=0)


def chat_stay_s(demand: Demand, service: Service) -> float:
    """A turn's mean time at work, in a warm sandbox and with no wait for the database."""
    first_s, sigma = service.first_token_s
    speed, spread = service.tokens_per_s
    written = _mean_capped_gamma(demand.output_tokens_per_turn, Limits().max_tokens)
    return (
        service.chat_own_s
        + service.knowledge_s
        + 4.0 * (service.trips_s + service.work_s)
        + first_s * math.exp(sigma * sigma / 2.0)
        + written / speed * math.exp(spread * spread / 2.0)
    )


def _mean_capped_gamma(mean: float, cap: float) -> float:
    """Of min(X, cap), X gamma with shape 4: ∫₀^cap P(X > x) dx, P the tail of an Erlang distribution."""
    x = np.linspace(0.0, cap, 4001)
    z = 4.0 * x / mean
    return float(np.trapezoid(np.exp(-z) * (1.0 + z + z**2 / 2.0 + z**3 / 6.0), x))


# --- The cloud ------------------------------------------------------------------------------------------------------


class _Cloud:
    """Everything between a device and an answer, on simpy's clock; and a log of it."""

    def __init__(
        self, demand: Demand, service: Service, limits: Limits, seed: int, start_s: float = 0.0
    ) -> None:
        self.env = simpy.Environment(initial_time=start_s)
        self.demand, self.service, self.limits = demand, service, limits
        self.random = Random(seed)
        self.counts = Counts()
        account = Account(limits.account_concurrency - limits.api_concurrency - limits.chat_concurrency)

        def function(memory_gb: float, start: tuple[float, float], reserved: int | None) -> Function:
            return Function(memory_gb, lambda: self._drawn(start), limits, account, reserved)

        self.api = function(service.api_memory_gb, service.api_start_s, limits.api_concurrency)
        self.chat = function(service.chat_memory_gb, service.start_s, limits.chat_concurrency)
        self.processing = function(service.processing_memory_gb, service.start_s, None)
        self.database = Database(limits.connections, limits.vcpus, service.trips_s)
        self._gateway = TokenBucket(limits.gateway_per_s, limits.gateway_burst)
        self._renewals = TokenBucket(limits.token_per_s, limits.token_burst)
        self._tokens = TokenBucket(limits.tokens_per_minute / 60.0, limits.tokens_per_minute)
        self._turns = TokenBucket(limits.requests_per_minute / 60.0, limits.requests_per_minute)
        self._queue = simpy.Resource(self.env, limits.processing_concurrency)
        self.tried_s = array("d")
        self.refused_s: dict[Refused, array[float]] = {}
        self.first_s: dict[str, array[float]] = {}
        self.took_s: dict[str, array[float]] = {}
        self.first_token_s = array("d")
        self.token_times_s, self.token_amounts = array("d"), array("d")
        self.turns_s = array("d")
        self.between_s = array("d")
        self.queued_s = array("d")
        self.scans_s = array("d")
        self.lost = 0
        self.backlog_s, self.backlog_left = array("d"), array("d")

    # What devices do

    def deliver(self, call: Call, back_off: BackOff, tries: int = 0, failures: int = 0) -> Steps:
        """Until it is acknowledged; or `tries` times, where not 0. failures: in a row, before."""
        began_s = self.env.now
        while (yield from self._answer(call)) is not None:
            failures += 1
            if failures == tries:
                self.lost += 1
                return
            yield from self._wait(back_off, failures)
        self._done(call.name, began_s)

    def ask(self, back_off: BackOff, tries: int) -> Steps:
        """A turn of a chat; its person gives up after `tries`."""
        began_s, failures = self.env.now, 0
        while (yield from self._talk(began_s)) is not None:
            failures += 1
            if failures == tries:
                self.lost += 1
                return
            yield from self._wait(back_off, failures)
        self._done(TURN, began_s)

    def upload(self, back_off: BackOff) -> Steps:
        """Announced, sent to S3 itself, completed; then it is worked on from the queue."""
        yield from self.deliver(ANNOUNCE, back_off)
        yield self.env.timeout(8.0 * self.demand.upload_bytes / self.service.upload_bits_per_s)
        self.counts.uploads += 1
        self.counts.stored_bytes += self.demand.upload_bytes
        yield from self.deliver(COMPLETE, back_off)
        self.env.process(self._process())

    def item_done(self, items: int = 1) -> None:
        """Of the backlog."""
        self.backlog_s.append(self.env.now)
        self.backlog_left.append(self.backlog_left[-1] - items)

    # What the cloud does

    def _answer(self, call: Call) -> Steps:
        """None, or why not."""
        env, function = self.env, self.api
        began_s = env.now
        start_s = self._begin(function, self._renewals if call is TOKEN else None)
        if isinstance(start_s, Refused):
            return start_s
        self.counts.api_requests += 1
        if start_s:
            self.counts.snapstart_restores += 1
            self.counts.snapstart_restored_gb += function.memory_gb
        until_s = began_s + self.limits.timeout_s
        own_s = self.random.gammavariate(4.0, self.service.api_own_s / 4.0)
        yield env.timeout(start_s + own_s / 2.0)
        kept_s = call.signatures * self.service.signing_s
        refused = yield from self._transactions(call.transactions, until_s, kept_s)
        if refused is None:
            self.counts.kms_signatures += call.signatures
            yield env.timeout(own_s / 2.0)
        function.end(env.now, began_s)
        self.counts.api_gb_s += (env.now - began_s - start_s) * function.memory_gb
        return self._refuse(refused)

    def _talk(self, first_s: float) -> Steps:
        env, function, service = self.env, self.chat, self.service
        began_s = env.now
        start_s = self._begin(function)
        if isinstance(start_s, Refused):
            return start_s
        self.counts.chat_requests += 1
        until_s = began_s + self.limits.timeout_s
        yield env.timeout(start_s + service.chat_own_s)
        refused = yield from self._transactions(2, until_s)  # admission; may this clinic ask
        if refused is None:
            yield env.timeout(service.knowledge_s)
            refused = yield from self._transactions(1, until_s)  # tokens are held
        if refused is None:
            refused = yield from self._model(first_s)
            yield from self._transactions(1, math.inf)  # what was used, and the audit
        function.end(env.now, began_s)
        self.counts.chat_gb_s += (env.now - began_s) * function.memory_gb
        return self._refuse(refused)

    def _model(self, first_s: float) -> Steps:
        env, demand, limits = self.env, self.demand, self.limits
        held = demand.input_tokens_per_turn + limits.max_tokens
        if not (self._tokens.level_at(env.now) >= held and self._turns.take(env.now)):
            return Refused.MODEL
        self._tokens.draw(env.now, held)
        self._took(held)
        yield env.timeout(self._drawn(self.service.first_token_s))
        self.first_token_s.append(env.now - first_s)
        written = min(
            limits.max_tokens,
            max(1, round(self.random.gammavariate(4.0, demand.output_tokens_per_turn / 4.0))),
        )
        yield env.timeout(written / self._drawn(self.service.tokens_per_s))
        more = limits.output_burndown * written - limits.max_tokens
        self._tokens.draw(env.now, more)
        self._took(more)
        self.turns_s.append(env.now)
        self.counts.input_tokens += demand.input_tokens_per_turn
        self.counts.output_tokens += written
        return None

    def _transactions(self, many: int, until_s: float, kept_s: float = 0.0) -> Steps:
        env = self.env
        for _ in range(many):
            patience_s = until_s - env.now
            work_s = self.random.expovariate(1.0 / self.service.work_s)
            ends_s = self.database.ask(env.now, work_s, patience_s, kept_s)
            if (
                ends_s is None or ends_s > until_s
            ):  # the function's time is up; what the database began it ends
                yield env.timeout(max(0.0, patience_s))
                return Refused.DATABASE
            self.counts.database_requests += 1
            yield env.timeout(ends_s - env.now)
        return None

    def _process(self) -> Steps:
        env, function = self.env, self.processing
        self.counts.queue_messages += 1
        asked_s = env.now
        with self._queue.request() as place:
            yield place
            self.queued_s.append(env.now - asked_s)
            while isinstance(start_s := function.begin(env.now), Refused):  # SQS gives it again
                yield env.timeout(1.0)
            began_s = env.now
            self.counts.processing_requests += 1
            yield env.timeout(start_s + self._drawn(self.service.document_s))
            yield from self._transactions(2, math.inf)
            function.end(env.now, began_s)
            self.counts.processing_gb_s += (env.now - began_s) * function.memory_gb
            self.counts.log_bytes += self.service.log_bytes

    def _begin(self, function: Function, route: TokenBucket | None = None) -> float | Refused:
        now_s = self.env.now
        self.tried_s.append(now_s)
        if route is not None and not route.take(now_s):
            self._refuse(Refused.TOKENS)
            return Refused.TOKENS
        if not self._gateway.take(now_s):
            self._refuse(Refused.GATEWAY)
            return Refused.GATEWAY
        self.counts.gateway_requests += 1
        self.counts.log_bytes += self.service.log_bytes
        start_s = function.begin(now_s)
        if isinstance(start_s, Refused):
            self._refuse(start_s)
        return start_s

    def _refuse(self, why: Refused | None) -> Refused | None:
        if why is not None:
            self.refused_s.setdefault(why, array("d")).append(self.env.now)
        return why

    def _wait(self, back_off: BackOff, failures: int) -> Steps:
        wait_s = back_off.wait_s(failures, self.random.random())
        self.between_s.append(wait_s)
        yield self.env.timeout(wait_s)

    def _done(self, name: str, began_s: float) -> None:
        self.first_s.setdefault(name, array("d")).append(began_s)
        self.took_s.setdefault(name, array("d")).append(self.env.now - began_s)

    def _took(self, tokens: float) -> None:
        self.token_times_s.append(self.env.now)
        self.token_amounts.append(tokens)

    def _drawn(self, median_sigma: tuple[float, float]) -> float:
        median, sigma = median_sigma
        return median * math.exp(self.random.gauss(0.0, sigma))

    def spread(self, times_s: Sequence[float] | Floats, make: Callable[[], Steps]) -> Steps:
        """Begins a process of its own at each of these times, which rise."""
        env = self.env
        for at_s in times_s:
            if at_s > env.now:
                yield env.timeout(float(at_s) - env.now)
            env.process(make())

    def told(self, name: str, from_s: float, to_s: float) -> Scenario:
        """What was, as arrays."""
        functions = {"API": self.api, "chat": self.chat, "processing": self.processing}
        cold = [np.frombuffer(one.cold_s) for one in functions.values()]
        return Scenario(
            name=name,
            from_s=from_s,
            to_s=to_s,
            limits=self.limits,
            counts=self.counts,
            tried_s=np.array(self.tried_s),
            refused_s={why: np.array(times) for why, times in sorted(self.refused_s.items())},
            first_s={kind: np.array(times) for kind, times in sorted(self.first_s.items())},
            took_s={kind: np.array(times) for kind, times in sorted(self.took_s.items())},
            first_token_s=np.array(self.first_token_s),
            functions=functions,
            database=self.database,
            waits_s={
                "a sandbox's start": np.concatenate(cold),
                "a database connection": np.array(self.database.connection_wait_s),
                "the database's processor": np.array(self.database.processor_wait_s),
                "the queue of documents": np.array(self.queued_s),
                "between two tries": np.array(self.between_s),
            },
            tokens=(np.array(self.token_times_s), np.array(self.token_amounts)),
            turns_s=np.array(self.turns_s),
            scans_s=np.array(self.scans_s),
            lost=self.lost,
            backlog=(np.array(self.backlog_s), np.array(self.backlog_left)),
        )


# --- Scenarios ------------------------------------------------------------------------------------------------------


def day(
    demand: Demand,
    *,
    seed: int = SEED,
    from_s: float = OPENS_S,
    to_s: float = CLOSES_S,
    limits: Limits | None = None,
    service: Service | None = None,
    who: Population | None = None,
    back_off: BackOff | None = None,
) -> Scenario:
    """A clinic day, or a part of it: what began between these times, to its end."""
    limits, service, who = limits or Limits(), service or Service(), who or Population()
    cloud = _Cloud(demand, service, limits, seed, from_s)
    _ordinary(cloud, who, back_off or BackOff(), np.random.default_rng([seed, 1]), from_s, to_s, 0.0)
    cloud.env.run()
    return cloud.told("a clinic day", from_s, to_s)


def outage(
    demand: Demand,
    back_off: BackOff,
    *,
    seed: int = SEED,
    from_s: float = 8 * HOUR_S,
    hours: float = 4.0,
    notice_s: float = 5.0,
    batch: int = 20,
    window_s: float = 1800.0,
    limits: Limits | None = None,
    service: Service | None = None,
    who: Population | None = None,
) -> Scenario:
    """The cloud was away from `from_s` of a clinic day for `hours`; time 0 is its return. The worst case: each person's laptop is on, and
    the kiosks, all notice within `notice_s` (their connections are cut at once), and all have something to say when it is back.

    Each device tries by `back_off` through the outage; then it renews its token, asks for its configuration, sends a heartbeat, then
    its waiting observations in batches, then its documents. `window_s`: for so long the ordinary day goes on beside it.
    """
    limits, service, who = limits or Limits(), service or Service(), who or Population()
    rng = np.random.default_rng([seed, 2])
    cloud = _Cloud(demand, service, limits, seed)
    kiosks = max(1, round(demand.people / who.people_per_kiosk))
    devices = kiosks + demand.people
    ends_s = hours * HOUR_S
    next_s, failures = tries(rng.uniform(0.0, notice_s, devices), back_off, ends_s, rng)
    scans = thinned(scans_per_s(demand), from_s, from_s + ends_s, rng).size
    at_kiosk = rng.random(scans) < who.kiosk_share
    place = np.where(at_kiosk, rng.integers(0, kiosks, scans), kiosks + rng.integers(0, demand.people, scans))
    observations = np.bincount(place, minlength=devices)
    documents = np.bincount(place[rng.random(scans) < demand.uploads_per_scan], minlength=devices)
    cloud.backlog_s.append(0.0)
    cloud.backlog_left.append(float(observations.sum() + documents.sum() + devices))

    def device(which: int) -> Steps:
        yield cloud.env.timeout(float(next_s[which]) - ends_s)
        yield from cloud.deliver(TOKEN, back_off, failures=int(failures[which]))
        for call in (CONFIG, HEARTBEAT):
            yield from cloud.deliver(call, back_off)
        cloud.item_done()
        left = int(observations[which])
        while left:
            some = min(batch, left)
            yield from cloud.deliver(Call("batch of observations", transactions=1 + some), back_off)
            cloud.item_done(some)
            left -= some
        for _ in range(int(documents[which])):
            yield from cloud.upload(back_off)
            cloud.item_done()

    for which in range(devices):
        cloud.env.process(device(which))
    back_s = from_s + ends_s
    _ordinary(cloud, who, back_off, rng, back_s, back_s + window_s, back_s)
    cloud.env.run()
    return cloud.told(f"after an outage, {back_off.jitter}", 0.0, max(window_s, cloud.backlog_s[-1]))


def crowd(
    demand: Demand,
    *,
    seed: int = SEED,
    seconds: float = 90.0,
    streams: int = 100,
    call_every_s: float = 10.0,
    turn_every_s: float = 30.0,
    limits: Limits | None = None,
    service: Service | None = None,
    who: Population | None = None,
    back_off: BackOff | None = None,
) -> Scenario:
    """All people at once, each with a call in `call_every_s` and a turn of a chat in `turn_every_s`, in the mean, onto a cloud that is
    cold; and beside them `streams` places that scan without a pause. A scan is measured on the device: a stream is its calls.
    """
    limits, service, who = limits or Limits(), service or Service(), who or Population()
    back_off = back_off or BackOff(base_s=1.0, cap_s=30.0)
    rng = np.random.default_rng([seed, 3])
    cloud = _Cloud(demand, service, limits, seed)
    calls = demand.people / call_every_s + streams / who.scan_s * demand.calls_per_scan
    turns = demand.people / turn_every_s + streams / who.scan_s * demand.turns_per_scan
    for rate_per_s, make in (
        (calls, lambda: cloud.deliver(OBSERVATION, back_off, who.tries)),
        (turns, lambda: cloud.ask(back_off, who.tries)),
    ):
        times_s = np.sort(rng.uniform(0.0, seconds, rng.poisson(rate_per_s * seconds)))
        cloud.env.process(cloud.spread(times_s, make))
    cloud.env.run()
    return cloud.told("a crowd", 0.0, seconds)


def run(demand: Demand = SIZES["10000"], seed: int = SEED) -> Result:
    """All of them. With 10,000 people: about 10 s on one core."""
    free = replace(Limits(), token_per_s=1_000.0, token_burst=1_000.0)
    result = Result(
        demand=demand,
        seed=seed,
        ordinary=day(demand, seed=seed),
        jitter=outage(demand, BackOff(), seed=seed),
        lockstep=outage(demand, BackOff(jitter=Jitter.NONE), seed=seed),
        unlimited=outage(demand, BackOff(), seed=seed, limits=free),
        crowd=crowd(demand, seed=seed),
        raised=crowd(demand, seed=seed, limits=RAISED),
    )
    result.unlimited.name += ", tokens not limited"
    result.crowd.name += ", as deployed"
    result.raised.name += ", quotas raised"
    return result


def tries(
    noticed_s: Floats, back_off: BackOff, ends_s: float, rng: np.random.Generator
) -> tuple[Floats, NDArray[np.int64]]:
    """When each device that noticed an outage at these times first tries again after its end, at `ends_s` of the same clock; and how
    often it failed before.
    """
    next_s, failures = noticed_s.copy(), np.zeros(noticed_s.size, np.int64)
    failed, waiting = 0, next_s < ends_s
    while waiting.any():
        failed += 1
        longest_s = back_off.longest_s(failed)
        waits_s = rng.uniform(0.0, longest_s, waiting.sum()) if back_off.jitter is Jitter.FULL else longest_s
        next_s[waiting] += waits_s
        failures[waiting] = failed
        waiting = next_s < ends_s
    return next_s, failures


def _ordinary(
    cloud: _Cloud,
    who: Population,
    back_off: BackOff,
    rng: np.random.Generator,
    from_s: float,
    to_s: float,
    zero_s: float,
) -> None:
    """Begins what a clinic day brings between these times of the day; zero_s: the day's time at the cloud's time 0."""
    demand, random = cloud.demand, cloud.random
    reads = reads_per_scan(demand, who)

    def running(calls: Sequence[tuple[Call, float]], until_s: float) -> Steps:
        """What the app does by itself from now on, each call at a moment of its own in its period."""
        turns = [(cloud.env.now + every_s * random.random(), at) for at, (_, every_s) in enumerate(calls)]
        heapq.heapify(turns)
        while turns[0][0] < until_s:
            at_s, which = turns[0]
            call, every_s = calls[which]
            heapq.heapreplace(turns, (at_s + every_s, which))
            yield cloud.env.timeout(max(0.0, at_s - cloud.env.now))
            yield from cloud.deliver(call, back_off)

    def laptop() -> Steps:
        """Opened for one scan."""
        opened_s = cloud.env.now
        for call in (TOKEN, CONFIG):
            yield from cloud.deliver(call, back_off)
        cloud.env.process(running([(HEARTBEAT, who.heartbeat_s)], opened_s + who.laptop_s))
        for _ in range(math.ceil(who.laptop_s / who.token_s) - 1):
            yield cloud.env.timeout(who.token_s)
            yield from cloud.deliver(TOKEN, back_off)

    def chat() -> Steps:
        for _ in range(_whole(demand.turns_per_scan, random)):
            yield cloud.env.timeout(random.expovariate(1.0 / who.think_s))
            yield from cloud.ask(back_off, who.tries)

    def looks() -> Steps:
        for _ in range(_whole(reads, random)):
            yield cloud.env.timeout(random.expovariate(1.0 / who.think_s))
            yield from cloud.deliver(READ, back_off)

    def scan() -> Steps:
        cloud.scans_s.append(cloud.env.now)
        if random.random() >= who.kiosk_share:
            cloud.env.process(laptop())
        yield cloud.env.timeout(who.scan_s)
        cloud.env.process(looks())
        cloud.env.process(chat())
        yield from cloud.deliver(OBSERVATION, back_off)
        if random.random() < demand.uploads_per_scan:
            yield from cloud.upload(back_off)

    kiosk = [(HEARTBEAT, who.heartbeat_s), (CONFIG, who.config_s), (TOKEN, who.token_s)]
    for _ in range(round(demand.people / who.people_per_kiosk)):
        cloud.env.process(running(kiosk, to_s - zero_s))
    times_s = thinned(scans_per_s(demand), from_s, to_s, rng) - zero_s
    cloud.env.process(cloud.spread(times_s, scan))


def _whole(mean: float, random: Random) -> int:
    """A whole number with that mean, one of the two beside it."""
    return math.floor(mean) + (random.random() < mean - math.floor(mean))


def present(begun_s: Sequence[float] | Floats, ended_s: Sequence[float] | Floats, at_s: Floats) -> Floats:
    come = np.searchsorted(np.sort(np.asarray(begun_s)), at_s, side="right")
    gone = np.searchsorted(np.sort(np.asarray(ended_s)), at_s, side="right")
    return (come - gone).astype(float)


def _most(begun_s: Sequence[float] | Floats, ended_s: Sequence[float] | Floats) -> int:
    begun = np.sort(np.asarray(begun_s))
    return int(present(begun, np.asarray(ended_s), begun).max(initial=0.0))


# --- In words -------------------------------------------------------------------------------------------------------


def text(result: Result) -> str:
    """A table in Markdown, a column for each scenario."""
    rows: list[tuple[str, Callable[[Scenario], str]]] = [
        ("attempts at API and chat", lambda x: f"{x.tried_s.size:,}"),
        (
            "· the busiest second, and ten seconds, per second",
            lambda x: f"{x.peak_per_s(x.tried_s):,.0f}; {x.peak_per_s(x.tried_s, 10.0):,.0f}",
        ),
        ("refused; tried again; given up", lambda x: f"{x.refusals:,}; {x.retries:,}; {x.lost:,}"),
        (
            "· refused by",
            lambda x: ", ".join(f"{why} {times.size:,}" for why, times in x.refused_s.items()) or "–",
        ),
        (
            "at work at once, at most: API; chat; documents",
            lambda x: "; ".join(str(x.peak_concurrency(name)) for name in x.functions),
        ),
        (
            "sandboxes started: API; chat; documents",
            lambda x: "; ".join(str(one.starts) for one in x.functions.values()),
        ),
        (
            "a call, answered the first time or later: 50th, 95th, 99th percentile, s",
            lambda x: _percentiles(_calls(x)),
        ),
        ("a turn's first token", lambda x: _percentiles(x.first_token_s)),
        *(
            (f"waited for {where}" if not where.startswith("between") else f"waited {where}", _waits(where))
            for where in result.ordinary.waits_s
        ),
        (
            "database: transactions/s in the busiest 10 s; use of its processors",
            lambda x: (
                f"{x.peak_per_s(np.frombuffer(x.database.asked_s), 10.0):,.0f}; {x.database_use(10.0):.0%}"
            ),
        ),
        ("database connections at once", lambda x: str(x.peak_connections)),
        (
            "turns in the busiest minute; tokens of Bedrock's quota, millions",
            lambda x: f"{60 * x.peak_per_s(x.turns_s, 60.0):,.0f}; {x.peak_tokens_per_minute() / 1e6:.2f}",
        ),
        ("all that waited is there after, s", lambda x: f"{x.drained_s:,.0f}" if x.backlog[0].size else "–"),
    ]
    scenarios = result.scenarios()
    lines = ["| | " + " | ".join(one.name for one in scenarios) + " |", "|---|" + "--:|" * len(scenarios)]
    lines += [f"| {name} | " + " | ".join(show(one) for one in scenarios) + " |" for name, show in rows]
    return "\n".join(lines) + "\n"


def sweep(demand: Demand = SIZES["10000"], seed: int = SEED) -> str:
    """What decides how an outage ends: the rate of tokens that the template lets through, and the back-off. A table in Markdown."""
    lines = [
        "| tokens/s | back-off up to, s | jitter | busiest second | refused | at work at once: API | all is there after, s |",
        "|--:|--:|---|--:|--:|--:|--:|",
    ]
    for token_per_s in (20.0, 100.0, 500.0):
        limits = replace(Limits(), token_per_s=token_per_s, token_burst=2.0 * token_per_s)
        for cap_s, jitter in (
            (60.0, Jitter.FULL),
            (300.0, Jitter.FULL),
            (900.0, Jitter.FULL),
            (300.0, Jitter.NONE),
        ):
            one = outage(demand, BackOff(cap_s=cap_s, jitter=jitter), seed=seed, limits=limits)
            lines.append(
                f"| {token_per_s:.0f} | {cap_s:.0f} | {'full' if jitter is Jitter.FULL else 'none'} | {one.peak_per_s(one.tried_s):,.0f} "
                f"| {one.refusals:,} | {one.peak_concurrency('API')} | {one.drained_s:,.0f} |"
            )
    return "\n".join(lines) + "\n"


def _calls(scenario: Scenario) -> Floats:
    found = [took for kind, took in scenario.took_s.items() if kind != TURN]
    return np.concatenate(found) if found else np.empty(0)


def _waits(where: str) -> Callable[[Scenario], str]:
    return lambda scenario: _percentiles(scenario.waits_s[where])


def _percentiles(seconds: Floats) -> str:
    if not seconds.size:
        return "–"
    return "; ".join(f"{value:.3g}" for value in np.percentile(seconds, (50, 95, 99)))
