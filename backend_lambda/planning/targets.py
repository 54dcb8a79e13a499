"""What the original document promised, and of each promise how it is met, measured or bounded: with the command or the source."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from backend_lambda.planning import availability, cost
from backend_lambda.planning.demand import SIZES, Demand

CLINIC_DAYS_PER_WEEK = 5.0
BUSIEST_HOUR = 0.19
"""Of a clinic day's scans: the height of the morning's peak in `simulation.scans_per_s`, whose shape is an assumption."""
TRANSACTIONS_PER_CALL = 2.0
"""The one that admits the device, and its own."""
STATEMENTS_PER_TRANSACTION = 4.0
"""BEGIN, the clinic, the store's own, COMMIT."""
KNEE_PER_S = 1_700.0
"""Transactions where the 99th percentile leaves 10 ms: README.md, two cores shared with other work [.ci/cloud_database.py]."""
PROMISED_QUERIES_PER_S = 100_000.0


class State(StrEnum):
    """How much of a promise is kept."""

    MEASURED = "measured here"
    BOUNDED = "bounded"
    OTHERWISE = "met another way"
    COMPUTED = "computed"
    MISSED = "not met"


@dataclass(frozen=True, slots=True)
class Target:
    """One promise. found: in numbers and words; source: the command that says so, or where it is written."""

    wanted: str
    state: State
    found: str
    source: str


def calls_per_s(demand: Demand) -> float:
    """Of the API, in the mean of the busiest hour."""
    scans_a_day = demand.people * demand.scans_per_person_week / CLINIC_DAYS_PER_WEEK
    return scans_a_day * BUSIEST_HOUR * demand.calls_per_scan / 3600.0


def queries_per_s(demand: Demand) -> float:
    """Statements at the database, in the mean of the busiest hour."""
    return calls_per_s(demand) * TRANSACTIONS_PER_CALL * STATEMENTS_PER_TRANSACTION


def cache_pays_calls_per_s() -> float:
    """Where PostgreSQL on two processors has no more transactions to give, so that a cache saves a larger one."""
    return KNEE_PER_S / TRANSACTIONS_PER_CALL


def cache_pays_people() -> float:
    """Who make so many calls in the busiest hour's mean."""
    ten = SIZES["10000"]
    return cache_pays_calls_per_s() / calls_per_s(ten) * ten.people


def targets() -> list[Target]:
    """In the document's order."""
    ten = SIZES["10000"]
    record = availability.of(availability.WAYS["record"])
    failover = availability.Failover()
    two = availability.with_second_region(record, failover)
    longest_s = availability.longest_switch_s(record, failover)
    per_s, queries = calls_per_s(ten), queries_per_s(ten)
    machines = PROMISED_QUERIES_PER_S / (KNEE_PER_S * STATEMENTS_PER_TRANSACTION)
    concurrent = PROMISED_QUERIES_PER_S / queries * ten.people
    return [
        Target(
            "API below 200 ms",
            State.MEASURED,
            "95th percentile 8.3 ms at 100 requests/s on loopback, on two shared cores. On AWS the way there, API Gateway, Lambda and a "
            "zone's distance to PostgreSQL come on top: not measured. An alarm "
            "watches the 95th percentile there",
            ".venv/bin/python .ci/cloud_speed.py (README, The cloud)",
        ),
        Target(
            "AI below 2 s",
            State.BOUNDED,
            "to the first token: streaming adds 12 ms (95th percentile) to the model's own, which nobody here could measure. A simulated day "
            "of 10,000 people, with what was published for an older Haiku, has 1.1 s in the median, 1.8 s at the 95th percentile and 2.2 s at "
            "the 99th; the metric ai_time_to_first_token says what it is. A whole answer takes longer, and is read while it comes",
            ".venv/bin/python .ci/cloud_speed.py; python -m backend_lambda.planning simulate",
        ),
        Target(
            "a video frame below 100 ms",
            State.MEASURED,
            "on the device, never in the cloud: a picture every 32 ms, 95th percentile 39 ms in the worst of 45 scans",
            ".venv/bin/python .ci/window_speed.py --minutes 30 (README, The window)",
        ),
        Target(
            "CDN below 50 ms",
            State.BOUNDED,
            "CloudFront serves installers, updates and the download page and nothing that anybody waits for in a scan. Its latency "
            "depends on where one is and was not measured",
            "stacks/edge.yaml",
        ),
        Target(
            "database below 10 ms",
            State.MEASURED,
            "99th percentile of reads 2.5 ms, of inserts 4.5 ms with 1,000,000 rows at 500 + 100 a second on loopback. Proxy and another "
            "zone add some ms each way (from memory)",
            ".venv/bin/python .ci/cloud_database.py (README, The cloud)",
        ),
        Target(
            "99.99 % (4.4 min a month)",
            State.MISSED,
            f"one region in series promises {record:.2%} ({availability.minutes_off(record):.0f} min); with a second one that somebody "
            f"switches to within {failover.switch_s / 60:.0f} min {two:.2%} ({availability.minutes_off(two):.0f} min); 99.99 % would need "
            f"the switch within {longest_s / 60:.1f} min. Scans, reports and triage work without the cloud, and records wait for it",
            "python -m backend_lambda.planning availability",
        ),
        Target(
            "from 1 to 10,000 users",
            State.COMPUTED,
            f"10,000 people with two scans a week are {per_s:.1f} calls/s in the busiest hour. What a day, the hour after an outage and "
            "10,000 at once need of the quotas: simulated, and checked against closed forms",
            "python -m backend_lambda.planning simulate; … capacity",
        ),
        Target(
            "100 scan streams",
            State.OTHERWISE,
            "a scan is measured where the camera is; no stream reaches the cloud, so a hundred are a hundred devices, and any other number "
            "too. The cloud gets 12 kB of numbers of each",
            "import contract edge-pure; python -m backend_lambda.planning simulate",
        ),
        Target(
            "100,000 queries/s",
            State.MISSED,
            f"one PostgreSQL does not do it: on two shared cores the knee is at about {KNEE_PER_S:,.0f} requests/s of "
            f"{STATEMENTS_PER_TRANSACTION:.0f} statements, so it would take {machines:.0f} of those machines, split by clinic (every row "
            f"has its clinic), and replicas for what may be read late. Nor is it needed: 10,000 people ask for {queries:.0f} statements/s "
            f"in the busiest hour; so many queries are {concurrent / 1e6:.0f} million people",
            ".venv/bin/python .ci/cloud_database.py; backend_lambda/planning/targets.py",
        ),
        *(_priced(name, size) for name, size in cost.PROMISED.items()),
    ]


def _priced(name: str, size: cost.Size) -> Target:
    bill = cost.estimate(size.demand, size.options)
    fits = bill.usd <= size.most_usd
    turns = cost.turns_that_fit(size.demand, size.options, size.most_usd)
    who = f"{size.demand.people:,} people"
    told = (
        f"{who}: ${bill.usd:,.0f} with {size.options.model} and {size.demand.turns_per_scan:g} questions a scan, of which the model "
        f"{bill.model_share:.0%}"
    )
    if not fits:
        told += f"; the budget pays for {turns:.1f} questions a scan"
        cheaper = [
            f"{model} ${other.usd:,.0f}"
            for model in cost.models()
            if (other := cost.estimate(size.demand, replace(size.options, model=model))).usd <= size.most_usd
        ]
        told += f", or for {size.demand.turns_per_scan:g} with " + (", ".join(cheaper) or "no model")
    return Target(
        f"${size.least_usd:,.0f} to {size.most_usd:,.0f} a month ({name if name == 'development' else who})",
        State.COMPUTED if fits else State.MISSED,
        told,
        "python -m backend_lambda.planning cost --sizes",
    )


def markdown() -> str:
    """What the operators' guide says of them."""
    from backend_lambda.planning import told

    return told.targets_table().markdown()
