"""Thousands of devices that come back at once: does the backend see a spread arrival, or a storm of retries?

Each device is the real `client.pipeline.sync.Uploader` with its own chance and a clock that the simulation turns; only what it keeps (the
outbox, in memory) and what it asks (the service, below) are stand-ins. The service refuses as the stack's own limits do
(`backend_lambda/stacks/core.yaml`): tokens 100 a second with a burst of 200, all routes together 2,000 with 1,000, and one address 2,000
requests in five minutes, which are answered with Retry-After 300. Addresses are shared as clinics share them, up to 600 devices behind one.

Three mornings, watched for an hour:

- "service": the service was away for an hour, everybody waits for it, each in a pause of its own; it comes back at 0.
- "power": all computers start within the same second at 0, with what they owe.
- "lockstep": as "service", but with chance taken out of the client: each waits the longest that it could. That is what full jitter is
  for, and shows that the simulation can see a storm.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Final, cast

import numpy as np

from client.cloud import faults, wire
from client.evaluation.report import table
from client.pipeline.sync import SPREAD_S, Connection, Uploader
from client.store.outbox import Counts, Item, ItemKind, ItemState
from edge_models.types import FloatArray

SCHEMA = "health-helper/reconnect/1"
MORNINGS = ("service", "power", "lockstep")
AWAY_S = 3600.0
WATCHED_S = 3600.0
_TOKEN_S = 900.0
_REQUEST_S = 0.06
"""There and back with the service's work (assumed, as in the backend's own planning)."""
TOKENS_PER_S, _TOKENS_AT_ONCE = 100.0, 200.0
_ALL_PER_S, _ALL_AT_ONCE = 2_000.0, 1_000.0
_ADDRESS_MOST, _ADDRESS_S, _ADDRESS_AGAIN_S = 2_000, 300.0, 300.0
_ONE_ADDRESS_MOST = 600
_BUSY = 503
_START = datetime(2026, 1, 5, tzinfo=UTC)
_NOBODY: Final = "00000000-0000-4000-8000-000000000000"


class _Clock:
    """Of one device. at_s: seconds of the simulation, 0 when everything comes back."""

    def __init__(self, at_s: float) -> None:
        self.at_s = at_s

    def now_s(self) -> float:
        return self.at_s

    def process_cpu_s(self) -> float:
        return 0.0

    def thread_cpu_s(self) -> float:
        return 0.0

    def utc(self) -> datetime:
        return _START + timedelta(seconds=self.at_s)


class _Longest(Random):
    """No chance: always the upper end."""

    def uniform(self, a: float, b: float) -> float:
        del a
        return b


@dataclass
class _Bucket:
    """A token bucket: `per_s` a second, at_once saved up at most."""

    per_s: float
    at_once: float
    left: float = -1.0
    seen_s: float = 0.0

    def take(self, at_s: float) -> bool:
        if self.left < 0.0:
            self.left, self.seen_s = self.at_once, at_s
        self.left = min(self.at_once, self.left + self.per_s * max(0.0, at_s - self.seen_s))
        self.seen_s = max(self.seen_s, at_s)
        if self.left < 1.0:
            return False
        self.left -= 1.0
        return True


@dataclass
class _Service:
    """arrived_s: of every request that reached it or its firewall. refused_s: of those it did not serve."""

    back_at_s: float
    arrived_s: list[float] = field(default_factory=list)
    refused_s: list[float] = field(default_factory=list)
    _tokens: _Bucket = field(default_factory=lambda: _Bucket(TOKENS_PER_S, _TOKENS_AT_ONCE))
    _all: _Bucket = field(default_factory=lambda: _Bucket(_ALL_PER_S, _ALL_AT_ONCE))
    _by_address: dict[int, deque[float]] = field(default_factory=dict)

    def ask(self, at_s: float, address: int, *, token: bool) -> None:
        """Raises what the client would see."""
        self.arrived_s.append(at_s)
        try:
            self._ask(at_s, address, token=token)
        except faults.CloudFault:
            self.refused_s.append(at_s)
            raise

    def _ask(self, at_s: float, address: int, *, token: bool) -> None:
        if at_s < self.back_at_s:
            raise faults.ServerBusy(_BUSY)
        recent = self._by_address.setdefault(address, deque())
        while recent and recent[0] < at_s - _ADDRESS_S:
            recent.popleft()
        recent.append(at_s)
        if len(recent) > _ADDRESS_MOST:
            raise faults.RateLimited(_ADDRESS_AGAIN_S)
        if not self._all.take(at_s) or (token and not self._tokens.take(at_s)):
            raise faults.RateLimited(None)


class _Kept:
    """What one device owes: an outbox, observations and documents in memory."""

    def __init__(self, observations: int, documents: int) -> None:
        self._items = {
            name: Item(at, name, kind, _NOBODY, ItemState.PENDING, _START, 0, None)
            for at, (name, kind) in enumerate(
                [(f"o{k}", ItemKind.OBSERVATION) for k in range(observations)]
                + [(f"d{k}", ItemKind.DOCUMENT) for k in range(documents)]
            )
        }

    def enrolled(self) -> dict[str, str]:
        return {"device_id": _NOBODY, "clinic_id": _NOBODY}

    def recover(self) -> int:
        return 0

    def counts(self) -> Counts:
        return Counts(len(self._items), 0, 0, 0, None)

    def last_sent_at(self) -> datetime | None:
        return None

    def claim(self, kind: ItemKind, limit: int, *, but: Collection[str] = ()) -> list[Item]:
        found = [one for one in self._items.values() if one.kind == kind and one.id not in but]
        return found[:limit]

    def put_back(self, ids: Collection[str], reason: str | None, *, tried: bool = True) -> None:
        pass

    def acknowledge(self, ids: Collection[str], *, now: datetime) -> None:
        del now
        for one in ids:
            del self._items[one]

    def waiting_for_cloud(self) -> list[str]:
        return []

    def note_contact(self, now: datetime, code: str | None = None, status: int | None = None) -> None:
        """Nobody asks later."""

    def __len__(self) -> int:
        return len(self._items)


class _Cloud:
    """The service as one device asks it. Each request takes its time on the device's clock."""

    def __init__(self, service: _Service, clock: _Clock, address: int) -> None:
        self._service, self._clock, self._address = service, clock, address
        self._token_until_s = -1.0
        self.clock_offset_s = None

    def _ask(self) -> None:
        if self._clock.at_s >= self._token_until_s:
            self._one(token=True)
            self._token_until_s = self._clock.at_s + _TOKEN_S
        self._one(token=False)

    def _one(self, *, token: bool) -> None:
        self._clock.at_s += _REQUEST_S
        self._service.ask(self._clock.at_s, self._address, token=token)

    def config(self) -> wire.Config:
        self._ask()
        return wire.Config(_NOBODY, (), (), (), 0, 0, wire.MAX_OBSERVATIONS, 600, ())

    def heartbeat(self, _beat: wire.Heartbeat) -> None:
        self._ask()

    def send(self) -> None:
        self._ask()


class _Device(Uploader):
    """The uploader with what it would read off the disk left out: what goes into a request, not when it is made."""

    def __init__(self, kept: _Kept, cloud: _Cloud, clock: _Clock, rng: Random) -> None:
        super().__init__(
            cast("Any", kept),
            cast("Any", kept),
            cast("Any", kept),
            connect=lambda: Connection(cast("Any", cloud), lambda: None),
            enrolment=kept.enrolled,
            folder=Path(),
            clock=clock,
            rng=rng,
            version="",
            system="",
            spread_s=SPREAD_S,
        )
        self.kept, self.cloud = kept, cloud

    def _holds(self) -> bool:
        return True

    def _batch(self, items: Sequence[Item]) -> Any:
        return [(item, None) for item in items], {item.id: None for item in items}

    def _send_observations(self, _cloud: Any) -> bool:
        items = self.kept.claim(ItemKind.OBSERVATION, self._limit)
        if not items:
            return False
        with self._claimed(items):
            self.cloud.send()
            self._acknowledge([item.id for item in items])
        return True

    def _send_document(self, _cloud: Any) -> bool:
        """Announced, put elsewhere, completed: two requests to the API."""
        items = self.kept.claim(ItemKind.DOCUMENT, 1)
        if not items:
            return False
        with self._claimed(items):
            self.cloud.send()
            self.cloud.send()
            self._acknowledge([items[0].id])
        return True


@dataclass(frozen=True, slots=True)
class Morning:
    """What came of one. Seconds count from the return. arrived: requests in each second; refused: of them. done_s: when each device had
    sent everything, inf where it had not. needed: requests had none been refused; asked: all of them, both after the return.
    """

    name: str
    devices: int
    arrived: FloatArray
    refused: FloatArray
    done_s: FloatArray
    needed: int
    asked: int

    @property
    def peak_per_s(self) -> float:
        """Most requests in one second."""
        return float(self.arrived.max())


def morning(name: str, devices: int, *, seed: int = 1) -> Morning:
    """Simulate one of MORNINGS."""
    rng = Random(seed)
    service = _Service(back_at_s=0.0)
    addresses = _addresses(devices, rng)
    heap: list[tuple[float, int]] = []
    made: list[tuple[_Device, _Clock]] = []
    for at in range(devices):
        begins_s = {
            "service": rng.uniform(-AWAY_S, -AWAY_S + 60.0),
            "power": rng.uniform(0.0, 1.0),
            "lockstep": -AWAY_S,  # they lost it in the same second
        }[name]
        clock = _Clock(begins_s)
        own = _Longest(seed) if name == "lockstep" else Random(rng.getrandbits(64))
        cloud = _Cloud(service, clock, addresses[at])
        device = _Device(_Kept(20, int(rng.random() < 0.2)), cloud, clock, own)
        made.append((device, clock))
        heapq.heappush(heap, (clock.at_s, at))
    done_s = np.full(devices, np.inf)
    while heap:
        at_s, at = heapq.heappop(heap)
        device, clock = made[at]
        clock.at_s = at_s
        wait_s = device.step()
        if device.bug is not None:
            raise device.bug
        if not len(device.kept) and not np.isfinite(done_s[at]):
            done_s[at] = clock.at_s
        next_s = clock.at_s + max(wait_s, 0.001)
        if next_s < WATCHED_S and not np.isfinite(done_s[at]):
            heapq.heappush(heap, (next_s, at))
    seconds = np.arange(0.0, WATCHED_S + 1.0)
    arrived, _ = np.histogram(service.arrived_s, seconds)
    refused, _ = np.histogram(service.refused_s, seconds)
    return Morning(
        name,
        devices,
        arrived.astype(np.float64),
        refused.astype(np.float64),
        done_s,
        needed=int(arrived.sum() - refused.sum()),
        asked=int(arrived.sum()),
    )


def _addresses(devices: int, rng: Random) -> list[int]:
    """Many small clinics and few large ones."""
    found: list[int] = []
    number = 0
    while len(found) < devices:
        size = min(_ONE_ADDRESS_MOST, max(1, round(rng.paretovariate(0.9))))
        found += [number] * size
        number += 1
    return found[:devices]


def markdown(mornings: Sequence[Morning]) -> str:
    """As a table."""
    rows = []
    for one in mornings:
        finished = one.done_s[np.isfinite(one.done_s)]
        p50, p99 = np.percentile(finished, [50, 99]) if finished.size else (np.nan, np.nan)
        rows.append(
            [
                one.name,
                f"{one.devices:,}",
                f"{one.peak_per_s:,.0f}",
                f"{one.peak_per_s / one.devices:.1%}",
                f"{one.asked:,}",
                f"{one.asked / max(one.needed, 1):.2f}",
                f"{p50:,.0f}",
                f"{p99:,.0f}",
                f"{one.devices - finished.size:,}",
            ]
        )
    heading = [
        "morning",
        "devices",
        "most in one second",
        "of all devices",
        "requests",
        "for each that was needed",
        "all sent, median, s",
        "99th percentile, s",
        "not within the hour",
    ]
    return table(heading, rows) + "\n"


def to_json(mornings: Sequence[Morning]) -> Mapping[str, object]:
    """The same for programs, with the requests of each second."""
    return {
        "schema": SCHEMA,
        "mornings": [
            {
                "name": one.name,
                "devices": one.devices,
                "asked": one.asked,
                "needed": one.needed,
                "arrived_per_s": [int(count) for count in one.arrived],
                "refused_per_s": [int(count) for count in one.refused],
            }
            for one in mornings
        ],
    }
