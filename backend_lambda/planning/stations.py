"""The parts of the cloud that refuse or queue: Lambda, PostgreSQL behind its proxy, and what they are given. No process of its own: simulation.py has those.

Sources: the page's address and the day a stored copy of it was read; [K]: from memory, check it; [measured]: README.md, "The cloud".

- Lambda's scaling: https://docs.aws.amazon.com/lambda/latest/dg/scaling-behavior.html (2026-11-28).
- Lambda's quotas: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html and …/lambda-concurrency.html (2026-11-28).
- API Gateway's: https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html (2026-11-28).
- Bedrock's: https://docs.aws.amazon.com/bedrock/latest/userguide/quotas-runtime.html and …/quotas-token-burndown.html (2026-11-28).
- RDS: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Limits.html (2026-11-28).
- SQS and Lambda: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html (2026-11-28).
"""

from __future__ import annotations

import heapq
import math
from array import array
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from backend_lambda.planning.queueing import TokenBucket


class Refused(StrEnum):
    """Why an attempt came to nothing; it is tried again."""

    GATEWAY = "API Gateway's rate"
    TOKENS = "API Gateway's rate of tokens"
    RATE = "Lambda's requests a second"
    CONCURRENCY = "Lambda's concurrency"
    SCALING = "Lambda's scaling rate"
    DATABASE = "no database in time"
    MODEL = "Bedrock's tokens"


@dataclass(frozen=True, slots=True)
class Limits:
    """Quotas and sizes: AWS's defaults and those of stacks/core.yaml's production stage.

    gateway_*, token_*: of the stage and of its route that renews tokens, requests per second and the bucket; the account allows 10,000 and
    5,000. account_concurrency, scaling_*: Lambda; scaling is per function.
    rate_per_sandbox: synchronous requests a second that one unit of concurrency allows. *_concurrency: reserved in core.yaml;
    processing_concurrency: of its queue. warm_s: how long an idle sandbox is kept [AWS publishes nothing; 5 minutes is on the safe side, K].
    timeout_s: of a function. tokens_per_minute: of the model, Claude Haiku 4.5 through a regional profile (quota L-58BE175A, as an account
    read it; new accounts may have less, even none). output_burndown: what an output token takes of that quota (5 for Claude 4.7 and
    earlier). max_tokens: reserved when a turn begins (MAX_TOKENS of services/chat.py). requests_per_minute: none since May 2026.
    connections: of the proxy to PostgreSQL, 90 % of what db.t4g.medium (4 GiB) has at most. vcpus: of that, as was measured with.
    """

    gateway_per_s: float = 2_000.0
    gateway_burst: float = 1_000.0
    token_per_s: float = 100.0
    token_burst: float = 200.0
    account_concurrency: int = 1_000
    scaling_burst: float = 1_000.0
    scaling_per_s: float = 100.0
    rate_per_sandbox: float = 10.0
    api_concurrency: int = 200
    chat_concurrency: int = 200
    processing_concurrency: int = 20
    warm_s: float = 300.0
    timeout_s: float = 29.0
    tokens_per_minute: float = 5_000_000.0
    requests_per_minute: float = math.inf
    output_burndown: float = 5.0
    max_tokens: int = 800
    connections: int = 405
    vcpus: int = 2


@dataclass(slots=True)
class Account:
    """What functions without a reservation share."""

    free: int


@dataclass(slots=True)
class Function:
    """A Lambda function: a sandbox for each request at work; idle ones are used again, the last used first [K].

    reserved: its own share of the account's concurrency, or None. start_s: draws how long a new sandbox takes. The log holds every
    change of the number at work, and every start.
    """

    memory_gb: float
    start_s: Callable[[], float]
    limits: Limits
    account: Account
    reserved: int | None = None
    busy: int = 0
    busy_s: float = 0.0
    starts: int = 0
    refused: dict[Refused, int] = field(default_factory=dict)
    begun_s: array[float] = field(default_factory=lambda: array("d"))
    ended_s: array[float] = field(default_factory=lambda: array("d"))
    cold_s: array[float] = field(default_factory=lambda: array("d"))
    _idle: deque[float] = field(default_factory=deque)
    _scaling: TokenBucket = field(init=False)
    _rate: TokenBucket = field(init=False)

    def __post_init__(self) -> None:
        self._scaling = TokenBucket(self.limits.scaling_per_s, self.limits.scaling_burst)
        most_per_s = self.limits.rate_per_sandbox * (self.reserved or self.limits.account_concurrency)
        self._rate = TokenBucket(most_per_s, most_per_s)

    def begin(self, now_s: float) -> float | Refused:
        """How long until the handler runs (0 in a warm sandbox), or why not."""
        if not self._rate.take(now_s):
            return self._refuse(Refused.RATE)
        if self.busy >= self.reserved if self.reserved is not None else self.account.free <= 0:
            return self._refuse(Refused.CONCURRENCY)
        idle = self._idle
        while idle and idle[0] < now_s - self.limits.warm_s:
            idle.popleft()
        start_s = 0.0
        if idle:
            idle.pop()
        elif not self._scaling.take(now_s):
            return self._refuse(Refused.SCALING)
        else:
            self.starts += 1
            start_s = self.start_s()
        self.busy += 1
        if self.reserved is None:
            self.account.free -= 1
        self.begun_s.append(now_s)
        self.cold_s.append(start_s)
        return start_s

    def end(self, now_s: float, began_s: float) -> None:
        """The sandbox is idle from now on."""
        self.busy -= 1
        if self.reserved is None:
            self.account.free += 1
        self.busy_s += now_s - began_s
        self.ended_s.append(now_s)
        self._idle.append(now_s)

    def _refuse(self, why: Refused) -> Refused:
        self.refused[why] = self.refused.get(why, 0) + 1
        return why


@dataclass(slots=True)
class Database:
    """PostgreSQL with `vcpus` servers, behind a pool of connections; both first come, first served.

    A transaction takes a connection, spends `trips_s` on the way (its messages there and back), and works on a processor. When it ends is
    known as soon as it comes (Kiefer and Wolfowitz: the least of the times at which a server is free), so no event is needed for it.
    With 0.9 ms of exponential work on two processors this queue has both of the measured points: a 99th percentile of 4.3 ms at 600
    transactions a second (4.5 measured), and of 10 ms at about 1,750 (1,700 measured). On other processors nothing was measured.
    """

    connections: int
    vcpus: int
    trips_s: float
    asked_s: array[float] = field(default_factory=lambda: array("d"))
    connection_wait_s: array[float] = field(default_factory=lambda: array("d"))
    processor_wait_s: array[float] = field(default_factory=lambda: array("d"))
    ended_s: array[float] = field(default_factory=lambda: array("d"))
    worked_s: float = 0.0
    given_up: int = 0
    _pool: list[float] = field(default_factory=list)
    _processors: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._pool, self._processors = [0.0] * self.connections, [0.0] * self.vcpus

    def ask(
        self, now_s: float, work_s: float, patience_s: float = math.inf, kept_s: float = 0.0
    ) -> float | None:
        """When the transaction ends; None: no connection came within `patience_s`, which has then to be waited.

        kept_s: for so long it keeps its connection after its work.
        """
        begins_s = max(now_s, self._pool[0])
        if begins_s - now_s > patience_s:
            self.given_up += 1
            return None
        there_s = begins_s + self.trips_s
        works_s = max(there_s, self._processors[0])
        worked_s = works_s + work_s
        ends_s = worked_s + kept_s
        heapq.heapreplace(self._pool, ends_s)
        heapq.heapreplace(self._processors, worked_s)
        self.asked_s.append(now_s)
        self.connection_wait_s.append(begins_s - now_s)
        self.processor_wait_s.append(works_s - there_s)
        self.ended_s.append(ends_s)
        self.worked_s += work_s
        return ends_s


class Jitter(StrEnum):
    """How a wait between two tries is drawn from its longest."""

    FULL = "full jitter"
    NONE = "no jitter"


@dataclass(frozen=True, slots=True)
class BackOff:
    """A device's wait after the n-th failure in a row: U(0, min(cap, base × 2ⁿ)) with full jitter, the whole of it without.

    M. Brooker, "Exponential backoff and jitter", https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/ [K].
    retry_after_s: what a 429 says; then the wait is no shorter (0: it says nothing, as API Gateway's does not by itself [K]).
    """

    base_s: float = 1.0
    cap_s: float = 300.0
    jitter: Jitter = Jitter.FULL
    retry_after_s: float = 0.0

    def longest_s(self, failures: int) -> float:
        """Before the try after `failures` ≥ 1 of them."""
        return min(self.cap_s, self.base_s * 2.0 ** min(failures - 1, 60))

    def wait_s(self, failures: int, uniform: float) -> float:
        """uniform: drawn from (0, 1)."""
        longest_s = self.longest_s(failures)
        return self.retry_after_s + (longest_s * uniform if self.jitter is Jitter.FULL else longest_s)
