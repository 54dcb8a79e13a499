"""Which quotas and sizes a deployment needs: worked out by closed forms from the busiest moment, and simulated beside it.

A cell of the table holds what is required so that no more than one arrival in 10,000 finds too little, then in brackets the most that a
simulated run had at once. AWS's defaults with the page they are from, read as stored copies on 2026-11-28; [K]: from memory, check.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from backend_lambda.planning import queueing, simulation
from backend_lambda.planning.demand import SIZES, Demand
from backend_lambda.planning.simulation import HOUR_S, Population, Scenario, Service
from backend_lambda.planning.stations import BackOff, Limits

SHARE = 0.9999
KNEE_PER_S = 1_700.0
"""Transactions a second on two processors at which the 99th percentile leaves 10 ms: measured (README.md, "The cloud")."""
TARGET_S = 0.010
_PAGE = "https://docs.aws.amazon.com/"


@dataclass(frozen=True, slots=True)
class Load:
    """The busiest moment of something, in the mean. cold_*: of the requests, those a second that find no warm sandbox at first."""

    api_per_s: float
    chat_per_s: float
    documents_per_s: float
    tokens_per_s: float
    cold_api_per_s: float = 0.0
    cold_chat_per_s: float = 0.0


def ordinary(demand: Demand, who: Population | None = None, at_s: float | None = None) -> Load:
    """A clinic day at the top of its morning, or at that time of it."""
    who = who or Population()
    times_s = np.arange(8 * HOUR_S, 12 * HOUR_S, 30.0) if at_s is None else np.array([at_s])
    scans = float(simulation.scans_per_s(demand)(times_s).max())
    kiosks = demand.people / who.people_per_kiosk
    laptops = scans * (1.0 - who.kiosk_share)
    tokens = kiosks / who.token_s + laptops * math.ceil(who.laptop_s / who.token_s)
    others = kiosks * (1.0 / who.heartbeat_s + 1.0 / who.config_s) + laptops * (
        1.0 + who.laptop_s / who.heartbeat_s
    )
    own = scans * (1.0 + 2.0 * demand.uploads_per_scan + simulation.reads_per_scan(demand, who))
    return Load(
        api_per_s=tokens + others + own,
        chat_per_s=scans * demand.turns_per_scan,
        documents_per_s=scans * demand.uploads_per_scan,
        tokens_per_s=tokens,
    )


def reconnect(demand: Demand, back_off: BackOff, who: Population | None = None, hours: float = 4.0) -> Load:
    """The first moment after an outage from 8 on, as simulation.outage has it, with the day that goes on; every sandbox is cold."""
    who = who or Population()
    devices = demand.people * (1.0 + 1.0 / who.people_per_kiosk)
    times_s = np.linspace(8 * HOUR_S, (8 + hours) * HOUR_S, 961)
    scans = float(np.trapezoid(simulation.scans_per_s(demand)(times_s), times_s))
    back_per_s = queueing.reconnects_per_s(devices, back_off.cap_s, 0.0)
    waiting = (
        scans * (1.0 - who.kiosk_share + 2.0 * demand.uploads_per_scan)
    ) / devices  # batches of laptops, and documents
    beside = ordinary(demand, who, (8 + hours) * HOUR_S)
    return Load(
        api_per_s=back_per_s * (3.0 + waiting) + beside.api_per_s,
        chat_per_s=beside.chat_per_s,
        documents_per_s=back_per_s * scans * demand.uploads_per_scan / devices + beside.documents_per_s,
        tokens_per_s=back_per_s + beside.tokens_per_s,
        cold_api_per_s=back_per_s,
    )


def together(demand: Demand, who: Population | None = None) -> Load:
    """Everybody at once, a call in 10 s and a turn in 30 s each, and 100 places that scan without a pause, onto a cold cloud."""
    who = who or Population()
    calls = demand.people / 10.0 + 100.0 / who.scan_s * demand.calls_per_scan
    turns = demand.people / 30.0 + 100.0 / who.scan_s * demand.turns_per_scan
    return Load(calls, turns, 0.0, 0.0, cold_api_per_s=calls, cold_chat_per_s=turns)


@dataclass(frozen=True, slots=True)
class Quota:
    """default: AWS's, or what stacks/core.yaml sets; None: nothing limits it. simulated: the same out of a run, or None."""

    name: str
    default: float | None
    source: str
    required: Callable[[Load, Demand], float]
    simulated: Callable[[Scenario], float] | None


def _api_stay_s(service: Service) -> float:
    return service.api_own_s + 2.0 * (service.trips_s + service.work_s)


def _median_mean_s(median_sigma: tuple[float, float]) -> float:
    median, sigma = median_sigma
    return median * math.exp(sigma * sigma / 2.0)


def api_concurrency(load: Load, _: Demand) -> float:
    """Its number at work is Poisson (Mt/G/∞); and Lambda lets through ten requests a second for each."""
    service = Service()
    mean = load.api_per_s * _api_stay_s(service) + load.tokens_per_s * service.signing_s
    mean += load.cold_api_per_s * _median_mean_s(service.api_start_s)
    return max(queueing.poisson_quantile(mean, SHARE), math.ceil(load.api_per_s / Limits().rate_per_sandbox))


def chat_concurrency(load: Load, demand: Demand) -> float:
    """As the API's."""
    service = Service()
    mean = load.chat_per_s * simulation.chat_stay_s(demand, service)
    return queueing.poisson_quantile(mean + load.cold_chat_per_s * _median_mean_s(service.start_s), SHARE)


def documents(load: Load, _: Demand) -> float:
    """At work at once, had they no queue."""
    return queueing.poisson_quantile(
        load.documents_per_s * (_median_mean_s(Service().document_s) + 1.0), SHARE
    )


def account_concurrency(load: Load, demand: Demand) -> float:
    """The three, and the 100 that AWS keeps for functions without a reservation; no less than the template's two reservations."""
    api, chat = api_concurrency(load, demand), chat_concurrency(load, demand)
    return (
        max(api, Limits().api_concurrency)
        + max(chat, Limits().chat_concurrency)
        + max(100.0, documents(load, demand))
    )


def requests_per_s(load: Load, _: Demand) -> float:
    return queueing.poisson_quantile(load.api_per_s + load.chat_per_s, SHARE)


def model_tokens_per_minute(load: Load, demand: Demand) -> float:
    """Of the quota: an output token takes five."""
    turn = demand.input_tokens_per_turn + Limits().output_burndown * demand.output_tokens_per_turn
    return queueing.poisson_quantile(60.0 * load.chat_per_s, SHARE) * turn


def transactions_per_s(load: Load, _: Demand) -> float:
    """Two of a call, but one of a renewed token; four of a turn; and three more of a document."""
    return 2.0 * load.api_per_s - load.tokens_per_s + 4.0 * load.chat_per_s + 3.0 * load.documents_per_s


def database_connections(load: Load, demand: Demand) -> float:
    """Taken at once, with a database of the smallest class that is large enough."""
    per_s = transactions_per_s(load, demand)
    service, vcpus = Service(), processors(per_s)
    stay_s = (
        service.trips_s
        + service.work_s
        + (queueing.mmc_wait_s(vcpus, per_s, service.work_s) if per_s else 0.0)
    )
    return queueing.poisson_quantile(per_s * stay_s + load.tokens_per_s * service.signing_s, SHARE)


def processors(transactions: float) -> int:
    """The fewest that keep the 99th percentile within 10 ms. Measured with two; more are believed to carry in proportion."""
    work_s, vcpus = Service().work_s, 2
    while (
        transactions * work_s >= vcpus
        or queueing.mmc_sojourn_quantile_s(vcpus, transactions, work_s, 0.99) > TARGET_S
    ):
        vcpus *= 2
    return vcpus


def signatures_per_s(load: Load, _: Demand) -> float:
    return queueing.poisson_quantile(load.tokens_per_s, SHARE)


def transcribed(load: Load, _: Demand) -> float:
    """Streams at once, were every question heard by the cloud for ten seconds."""
    return queueing.poisson_quantile(10.0 * load.chat_per_s, SHARE)


def new_sandboxes(load: Load, demand: Demand) -> float:
    """Of the function that needs more, in ten seconds: all of them onto a cold cloud. A day's come over minutes."""
    if not load.cold_api_per_s:
        return 0.0
    return max(api_concurrency(load, demand), chat_concurrency(load, demand))


def _most_starts(scenario: Scenario) -> float:
    found = 0.0
    for function in scenario.functions.values():
        begun_s = np.frombuffer(function.begun_s)[np.frombuffer(function.cold_s) > 0.0]
        found = max(found, 10.0 * scenario.peak_per_s(begun_s, 10.0))
    return found


def uploads_per_s(load: Load, _: Demand) -> float:
    return queueing.poisson_quantile(load.documents_per_s, SHARE)


CLASSES: Mapping[str, tuple[int, float]] = {
    "db.t4g.micro": (2, 1.0),
    "db.t4g.small": (2, 2.0),
    "db.t4g.medium": (2, 4.0),
    "db.m7g.large": (2, 8.0),
    "db.m7g.xlarge": (4, 16.0),
    "db.m7g.2xlarge": (8, 32.0),
    "db.m7g.4xlarge": (16, 64.0),
    "db.m7g.8xlarge": (32, 128.0),
}
"""Processors and GiB of memory [K: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Concepts.DBInstanceClass.html]. A t class has
full speed only while its credits last."""


def connections_of(name: str) -> int:
    """PostgreSQL's max_connections by default: LEAST(memory / 9,531,392, 5,000); the memory counted is a little less than the class has,
    so no more than this (https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Limits.html).
    """
    return min(5_000, int(CLASSES[name][1] * 2**30 / 9_531_392))


def smallest_class(transactions: float, connections: float) -> str:
    """From db.t4g.medium on, for below it nothing is left for the cache. Raises ValueError where none is large enough."""
    for name, (vcpus, memory_gib) in CLASSES.items():
        enough = vcpus >= processors(transactions) and 0.9 * connections_of(name) >= connections
        if memory_gib >= 4.0 and enough:
            return name
    raise ValueError(f"{transactions:,.0f} transactions/s are more than the largest class carries")


QUOTAS = (
    Quota(
        "API Gateway, requests/s of the account",
        10_000,
        _PAGE + "apigateway/latest/developerguide/limits.html (2,500 in some regions)",
        requests_per_s,
        lambda x: x.peak_per_s(x.tried_s),
    ),
    Quota(
        "· of the stage",
        Limits().gateway_per_s,
        "stacks/core.yaml, MethodSettings",
        requests_per_s,
        lambda x: x.peak_per_s(x.tried_s),
    ),
    Quota(
        "· of /v1/token",
        Limits().token_per_s,
        "stacks/core.yaml, MethodSettings",
        signatures_per_s,
        lambda x: x.peak_per_s(x.first_s.get("token", np.empty(0))),
    ),
    Quota(
        "Lambda, concurrency of the account",
        Limits().account_concurrency,
        _PAGE + "lambda/latest/dg/gettingstarted-limits.html",
        account_concurrency,
        lambda x: x.peak_of_all(),
    ),
    Quota(
        "· of the API (ApiConcurrency)",
        Limits().api_concurrency,
        "stacks/core.yaml",
        api_concurrency,
        lambda x: x.peak_concurrency("API"),
    ),
    Quota(
        "· of the chat (ChatConcurrency)",
        Limits().chat_concurrency,
        "stacks/core.yaml",
        chat_concurrency,
        lambda x: x.peak_concurrency("chat"),
    ),
    Quota(
        "· of documents, from SQS (they wait there)",
        Limits().processing_concurrency,
        "stacks/core.yaml; AWS's is 1,000: " + _PAGE + "lambda/latest/dg/services-sqs-scaling.html",
        documents,
        lambda x: x.peak_concurrency("processing"),
    ),
    Quota(
        "Lambda, new sandboxes of a function in 10 s",
        Limits().scaling_burst,
        _PAGE + "lambda/latest/dg/scaling-behavior.html",
        new_sandboxes,
        _most_starts,
    ),
    Quota(
        "Bedrock, tokens/min of Claude Haiku 4.5",
        Limits().tokens_per_minute,
        "Service Quotas, L-58BE175A, as accounts read it; new ones may have less, even none. Output counts fivefold: "
        + _PAGE
        + "bedrock/latest/userguide/quotas-token-burndown.html",
        model_tokens_per_minute,
        lambda x: x.peak_tokens_per_minute(),
    ),
    Quota(
        "Bedrock, requests/min",
        None,
        "no quota any more since May 2026: " + _PAGE + "bedrock/latest/userguide/quotas-runtime.html",
        lambda load, _: queueing.poisson_quantile(60.0 * load.chat_per_s, SHARE),
        lambda x: 60.0 * x.peak_per_s(x.turns_s, 60.0),
    ),
    Quota(
        "PostgreSQL, transactions/s in 10 s",
        KNEE_PER_S,
        "two processors, measured",
        transactions_per_s,
        lambda x: x.peak_per_s(np.frombuffer(x.database.asked_s), 10.0),
    ),
    Quota(
        "PostgreSQL, connections",
        Limits().connections,
        "90 % of db.t4g.medium's: " + _PAGE + "AmazonRDS/latest/UserGuide/CHAP_Limits.html",
        database_connections,
        lambda x: x.peak_connections,
    ),
    Quota(
        "KMS, signatures/s (ECC)",
        300,
        _PAGE + "kms/latest/developerguide/requests-per-second.html, an older copy; more today [K]",
        signatures_per_s,
        lambda x: x.peak_per_s(x.first_s.get("token", np.empty(0))),
    ),
    Quota(
        "Transcribe, streams, if every question were heard by it",
        25,
        _PAGE + "general/latest/gr/transcribe.html",
        transcribed,
        None,
    ),
    Quota(
        "S3, PUT/s of a prefix",
        3_500,
        _PAGE + "AmazonS3/latest/userguide/optimizing-performance.html",
        uploads_per_s,
        None,
    ),
)


@dataclass(frozen=True, slots=True)
class Row:
    """A quota for one load. factor: how many times the default is needed; no more than 1 where it is enough, None where nothing limits it."""

    load: str
    quota: str
    required: float
    simulated: float | None
    default: float | None
    source: str

    @property
    def factor(self) -> float | None:
        return None if self.default is None else self.required / self.default


def table(
    sizes: Mapping[str, Demand] = SIZES, *, seed: int = simulation.SEED, simulated: bool = True
) -> list[Row]:
    """Every quota for a clinic day of every size, for the return after an outage of all but the first, and for a crowd of 10,000."""
    wide = replace(
        simulation.RAISED,
        token_per_s=5_000.0,
        token_burst=5_000.0,
        api_concurrency=2_000,
        account_concurrency=9_000,
        processing_concurrency=1_000,
        vcpus=32,
    )
    loads: list[tuple[str, Demand, Load, Callable[[Demand], Scenario]]] = []
    for name, demand in sizes.items():
        loads.append(
            (f"{_named(name)}, a day", demand, ordinary(demand), lambda demand: _morning(demand, seed))
        )
    for name, demand in list(sizes.items())[1:]:
        load = reconnect(demand, BackOff())
        loads.append(
            (f"{_named(name)}, after an outage", demand, load, lambda demand: _returned(demand, seed, wide))
        )
    many = Demand(people=10_000)
    loads.append(("10,000 at once", many, together(many), lambda demand: _crowded(demand, seed)))
    rows = []
    for name, demand, load, make in loads:
        scenario = make(demand) if simulated else None
        for quota in QUOTAS:
            seen = quota.simulated(scenario) if quota.simulated and scenario else None
            rows.append(
                Row(name, quota.name, quota.required(load, demand), seen, quota.default, quota.source)
            )
    return rows


def _morning(demand: Demand, seed: int) -> Scenario:
    return simulation.day(demand, seed=seed, from_s=8.5 * HOUR_S, to_s=10.5 * HOUR_S)


def _returned(demand: Demand, seed: int, limits: Limits) -> Scenario:
    return simulation.outage(demand, BackOff(), seed=seed, window_s=600.0, limits=limits)


def _crowded(demand: Demand, seed: int) -> Scenario:
    return simulation.crowd(demand, seed=seed, limits=simulation.RAISED)


def text(rows: list[Row]) -> str:
    """The same in Markdown: quotas down, loads across; bold, with the factor, where the default is too little. Below it, databases."""
    loads = list(dict.fromkeys(row.load for row in rows))
    quotas = list(dict.fromkeys(row.quota for row in rows))
    cells = {(row.quota, row.load): row for row in rows}
    lines = [
        "| | default | " + " | ".join(loads) + " | default from |",
        "|---|--:|" + "--:|" * len(loads) + "---|",
    ]
    for quota in quotas:
        first = cells[quota, loads[0]]
        default = "–" if first.default is None else _short(first.default)
        told = " | ".join(_cell(cells[quota, load]) for load in loads)
        lines.append(f"| {quota} | {default} | {told} | {first.source} |")
    smallest = []
    for load in loads:
        transactions = cells["PostgreSQL, transactions/s in 10 s", load].required
        connections = cells["PostgreSQL, connections", load].required
        smallest.append(smallest_class(transactions, connections))
    lines.append(
        "| · smallest class, db.t4g.medium or larger | | "
        + " | ".join(smallest)
        + " | more than two processors: not measured |"
    )
    lines += ["", *_sentences()]
    return "\n".join(lines) + "\n"


def _sentences(cap_s: float = BackOff().cap_s) -> list[str]:
    told = []
    for people in (10_000, 100_000):
        demand, devices = Demand(people=people), people * (1.0 + 1.0 / Population().people_per_kiosk)
        load = reconnect(demand, BackOff())
        of_device = transactions_per_s(load, demand) / queueing.reconnects_per_s(devices, cap_s, 0.0)
        least_s = queueing.cap_for_s(devices, of_device, KNEE_PER_S)
        told.append(f"{people:,} people: {least_s:,.0f} s")
    cap = (
        f"The smallest cap of the back-off with which devices come back within what two processors carry: {'; '.join(told)}; "
        f"it is {cap_s:,.0f} s."
    )
    address = (
        f"No more than {one_address():,} devices may come back behind one address, or the firewall refuses some "
        f"({WAF_REQUESTS:,} requests in five minutes)."
    )
    return [cap, address]


WAF_REQUESTS = 2_000
"""From one address in five minutes: stacks/core.yaml, Firewall."""


def one_address() -> int:
    """Devices of one site that may come back together after an outage: each asks for about as much as `reconnect` says."""
    demand = Demand(people=10_000)
    load, beside = reconnect(demand, BackOff()), ordinary(demand, at_s=12 * HOUR_S)
    devices_per_s = load.cold_api_per_s
    return int(WAF_REQUESTS / ((load.api_per_s - beside.api_per_s) / devices_per_s))


def _named(size: str) -> str:
    return f"{int(size):,}" if size.isdigit() else size


def _cell(row: Row) -> str:
    told = _short(row.required) + ("" if row.simulated is None else f" ({_short(row.simulated)})")
    if row.factor is not None and row.factor > 1.0:
        return f"**{told}, ×{row.factor:.1f}**"
    return told


def _short(value: float) -> str:
    return f"{value / 1e6:.3g} M" if value >= 1e6 else f"{value:,.0f}"
