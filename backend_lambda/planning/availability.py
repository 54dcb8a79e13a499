"""How much of a month each thing that people want works, worked out of what AWS promises (`sla.toml`), in one region and in two.

Everything a request needs stands in series, so its availability is the product of theirs; that they fail independently of each other is
an assumption, and the worst case: failures that coincide cost less. The second region waits for the first to fail (one PostgreSQL
writer), so what counts there is how long the switch takes against how long outages last.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Literal

HOURS_PER_MONTH = 730.0
MINUTES_PER_MONTH = HOURS_PER_MONTH * 60.0
PROMISED = 0.9999
"""Of the original document."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """What is promised of one service. percent: 0 to 100. See the head of sla.toml."""

    name: str
    what: str
    percent: float
    source: str
    read: date
    found: Literal["own", "list", "third", "memory"]
    checked: bool
    as_of: date | None = None
    no_promise: bool = False
    note: str = ""

    @property
    def availability(self) -> float:
        """0 to 1."""
        return self.percent / 100.0


@cache
def agreements() -> dict[str, Agreement]:
    """By name."""
    rows = tomllib.loads((Path(__file__).parent / "sla.toml").read_text(encoding="utf-8"))["agreement"]
    return {name: Agreement(name=name, **row) for name, row in rows.items()}


@dataclass(frozen=True, slots=True)
class Way:
    """Something that people want of the cloud, and all that it needs. moves: whether a second region can take it over."""

    what: str
    needs: tuple[str, ...]
    moves: bool = True


_API = ("route53", "waf", "api_gateway", "lambda", "rds_proxy", "rds_multi", "kms")

WAYS = {
    "record": Way("a record is accepted", _API),
    "answer": Way("the assistant answers", (*_API, "endpoints", "bedrock")),
    "upload": Way("a document is taken", (*_API, "s3")),
    "sign-in": Way("somebody of the clinic signs in and reads", (*_API, "cognito")),
    "download": Way("an installer or update is fetched", ("route53", "cloudfront", "s3"), moves=False),
}
"""Without what the code does without: a question is answered without articles where the knowledge base is silent (services/chat.py)."""

DEV: dict[str, str | None] = {"rds_multi": "rds_single", "waf": None, "endpoints": None}
"""What stands in the place of what, in dev; None: nothing does."""


def series(parts: Iterable[float]) -> float:
    """Of what needs all of these."""
    return math.prod(parts)


def of(way: Way, *, dev: bool = False) -> float:
    """Availability in one region, 0 to 1."""
    names = [DEV.get(name, name) for name in way.needs] if dev else way.needs
    return series(agreements()[name].availability for name in names if name is not None)


def minutes_off(availability: float) -> float:
    """In a month."""
    return (1.0 - availability) * MINUTES_PER_MONTH


@dataclass(frozen=True, slots=True)
class Failover:
    """How the second region takes over, seconds, and what outages are like: all assumptions, to be replaced by an exercise's times.

    detection_s: three failed health checks, 30 s apart. decision_s: somebody decides, for promoting a replica cannot be undone.
    promotion_s: the replica becomes a writer, and the stack is updated (RegionRole promoted). names_s: Route 53's record is believed
    elsewhere for so long. outage_s: the mean length of an outage; lengths are exponential. both: the chance that the second region is
    off too while the first one is; None: independent of each other, as often as the first.
    """

    detection_s: float = 90.0
    decision_s: float = 900.0
    promotion_s: float = 900.0
    names_s: float = 60.0
    outage_s: float = 3_600.0
    both: float | None = None

    @property
    def switch_s(self) -> float:
        return self.detection_s + self.decision_s + self.promotion_s + self.names_s


def with_second_region(availability: float, failover: Failover) -> float:
    """An outage of length L is felt for min(L, switch): in the mean outage × (1 - e^(-switch/outage)). What is left of it is felt only
    where the second region is off too.
    """
    off = 1.0 - availability
    both = off if failover.both is None else failover.both
    felt = -math.expm1(-failover.switch_s / failover.outage_s)
    return 1.0 - off * (felt + (1.0 - felt) * both)


def longest_switch_s(availability: float, failover: Failover, wanted: float = PROMISED) -> float:
    """How long the switch may take for that to be kept; inf where any time will do, 0 where none is short enough."""
    off, allowed = 1.0 - availability, 1.0 - wanted
    if off <= allowed:
        return math.inf
    both = off if failover.both is None else failover.both
    felt = (allowed / off - both) / (1.0 - both) if both < 1.0 else 0.0
    return -failover.outage_s * math.log1p(-felt) if felt > 0.0 else 0.0


def late(availability: float, within_s: float, outage_s: float, tail: float | None = None) -> float:
    """The chance that a record, made at any moment, is still waiting in its device's outbox after so long because of the cloud.

    It is made during an outage with 1 - availability, and then waits for the rest of that. tail None: outages are exponential, so the
    rest is too. Otherwise lengths have a Pareto tail of that exponent (Lomax) with the same mean, of which the rest is Lomax with one
    less: few, but long ones. Raises ValueError for a tail of 1 or less, of which no mean exists.
    """
    off = 1.0 - availability
    if tail is None:
        return off * math.exp(-within_s / outage_s)
    if tail <= 1.0:
        raise ValueError(f"a tail of {tail} has no mean")
    scale_s = outage_s * (tail - 1.0)
    return off * math.pow(1.0 + within_s / scale_s, 1.0 - tail)


@dataclass(frozen=True, slots=True)
class Offline:
    """Something that the device does by itself, and what shows it. It works as often as the device does, whatever the cloud does."""

    what: str
    shown_by: str


ON_THE_DEVICE = (
    Offline(
        "a scan, its result, why a value is not shown",
        "no module that measures may open a socket (import contract edge-pure); all of it runs today without any cloud",
    ),
    Offline(
        "history, what is typed in, the report, the export",
        "one encrypted file on the device (README, What is kept)",
    ),
    Offline(
        "triage: red flags in a question",
        "by design the device's verdict comes first; the cloud may raise it, never lower it (DECISIONS 26). Comes with the assistant",
    ),
    Offline(
        "a record waits until it is accepted",
        "what is sent again and again is there once: 10,360 requests with lost answers and crashes, none lost or doubled "
        "(.ci/cloud_torture.py). The app's own sender is still to come",
    ),
)
"""Of these the cloud's availability is no factor."""


def markdown() -> str:
    """What the operators' guide says of it."""
    from backend_lambda.planning import told

    return "\n".join(table.markdown() for table in told.availability_tables())
