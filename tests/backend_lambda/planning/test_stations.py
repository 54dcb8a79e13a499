"""The parts that refuse or queue, each by itself."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest
import simpy

from backend_lambda.auth import tokens
from backend_lambda.planning.simulation import Population, Service
from backend_lambda.planning.stations import Account, BackOff, Database, Function, Jitter, Limits, Refused
from backend_lambda.services import chat

CORE = Path(__file__).parents[3] / "backend_lambda" / "stacks" / "core.yaml"


def function(
    limits: Limits | None = None, *, reserved: int | None = 3, account: Account | None = None
) -> Function:
    return Function(1.0, lambda: 0.5, limits or Limits(), account or Account(100), reserved)


def test_a_sandbox_is_used_again_until_it_has_been_idle_too_long() -> None:
    one = function(Limits(warm_s=60.0))
    assert one.begin(0.0) == 0.5
    one.end(1.0, 0.0)
    assert one.begin(60.0) == 0.0
    one.end(61.0, 60.0)
    assert one.begin(122.0) == 0.5
    assert (one.starts, one.busy, one.busy_s) == (2, 1, 2.0)


def test_more_than_are_reserved_are_refused() -> None:
    one = function()
    assert [one.begin(0.0) for _ in range(4)] == [0.5, 0.5, 0.5, Refused.CONCURRENCY]
    one.end(1.0, 0.0)
    assert one.begin(1.0) == 0.0
    assert one.refused == {Refused.CONCURRENCY: 1}


def test_without_a_reservation_the_account_is_shared() -> None:
    account = Account(2)
    first, second = function(reserved=None, account=account), function(reserved=None, account=account)
    assert first.begin(0.0) == second.begin(0.0) == 0.5
    assert first.begin(0.0) is Refused.CONCURRENCY
    second.end(1.0, 0.0)
    assert first.begin(1.0) == 0.5


def test_new_sandboxes_come_no_faster_than_lambda_makes_them() -> None:
    one = function(Limits(scaling_burst=2.0, scaling_per_s=1.0), reserved=10)
    assert [one.begin(0.0) for _ in range(3)] == [0.5, 0.5, Refused.SCALING]
    assert one.begin(1.0) == 0.5


def test_each_unit_of_concurrency_has_ten_requests_a_second() -> None:
    one = function(reserved=1)
    for k in range(10):
        assert one.begin(0.0) == (0.0 if k else 0.5)
        one.end(0.0, 0.0)
    assert one.begin(0.0) is Refused.RATE
    assert one.begin(0.1) == 0.0


def test_a_transaction_waits_for_a_connection_then_for_a_processor() -> None:
    database = Database(connections=2, vcpus=1, trips_s=1.0)
    assert [database.ask(0.0, 10.0) for _ in range(3)] == [11.0, 21.0, 31.0 + 0.0]
    assert list(database.connection_wait_s) == [0.0, 0.0, 11.0]
    assert list(database.processor_wait_s) == [0.0, 10.0, 9.0]


def test_a_connection_can_be_kept_when_the_work_is_done() -> None:
    database = Database(connections=1, vcpus=1, trips_s=0.0)
    assert database.ask(0.0, 1.0, kept_s=5.0) == 6.0
    assert database.ask(0.0, 1.0) == 7.0
    assert database.worked_s == 2.0


def test_who_gets_no_connection_in_time_leaves_no_trace() -> None:
    database = Database(connections=1, vcpus=1, trips_s=0.0)
    assert database.ask(0.0, 10.0) == 10.0
    assert database.ask(1.0, 5.0, patience_s=8.9) is None
    assert database.ask(2.0, 5.0, patience_s=8.0) == 15.0
    assert database.given_up == 1 and database.worked_s == 15.0


def test_the_database_is_what_simpys_resources_are() -> None:
    """The short way (Kiefer and Wolfowitz) against the long one: a process for each, in two resources."""
    random, env = Random(3), simpy.Environment()
    work = [(random.expovariate(1.9), random.expovariate(1.0)) for _ in range(2_000)]
    pool, processors = simpy.Resource(env, 4), simpy.Resource(env, 2)
    slow: dict[int, float] = {}

    def one(which: int, work_s: float) -> simpy.events.ProcessGenerator:
        with pool.request() as connection:
            yield connection
            yield env.timeout(0.3)
            with processors.request() as processor:
                yield processor
                yield env.timeout(work_s)
            slow[which] = env.now

    def all_of_them() -> simpy.events.ProcessGenerator:
        for which, (gap_s, work_s) in enumerate(work):
            yield env.timeout(gap_s)
            env.process(one(which, work_s))

    env.process(all_of_them())
    env.run()
    database, now_s = Database(4, 2, 0.3), 0.0
    for which, (gap_s, work_s) in enumerate(work):
        now_s += gap_s
        assert database.ask(now_s, work_s) == pytest.approx(slow[which], abs=1e-6)


def test_back_off() -> None:
    full = BackOff(base_s=2.0, cap_s=60.0)
    assert [full.longest_s(n) for n in (1, 2, 3, 5, 6, 500)] == [2.0, 4.0, 8.0, 32.0, 60.0, 60.0]
    assert full.wait_s(3, 0.25) == 2.0
    assert BackOff(base_s=2.0, cap_s=60.0, jitter=Jitter.NONE).wait_s(3, 0.25) == 8.0
    assert BackOff(base_s=2.0, cap_s=60.0, retry_after_s=30.0).wait_s(3, 0.25) == 32.0


def test_the_limits_are_those_of_the_template_and_the_code() -> None:
    """A figure of the simulation is of what is deployed: who changes the one has to change the other, and draw the plots again."""
    core, limits = CORE.read_text(), Limits()

    def found(pattern: str) -> tuple[float, ...]:
        match = re.search(pattern, core, re.DOTALL)
        assert match, pattern
        return tuple(float(part) for part in match.groups())

    assert found(r"\n  ApiConcurrency:\n    Type: Number\n    Default: (\d+)") == (limits.api_concurrency,)
    assert found(r"\n  ChatConcurrency:\n    Type: Number\n    Default: (\d+)") == (limits.chat_concurrency,)
    assert found(
        r'ResourcePath: "/\*".*?RateLimit: !If \[IsProduction, (\d+), \d+\], ThrottlingBurstLimit: !If \[IsProduction, (\d+),'
    ) == (
        limits.gateway_per_s,
        limits.gateway_burst,
    )
    assert found(r'ResourcePath: "/~1v1~1token".*?RateLimit: (\d+), ThrottlingBurstLimit: (\d+)\}') == (
        limits.token_per_s,
        limits.token_burst,
    )
    assert found(r"MaximumConcurrency: (\d+)") == (limits.processing_concurrency,)
    assert found(r"\nGlobals:\n.*?Timeout: (\d+)") == (limits.timeout_s,)
    api_mb, chat_mb = found(r"production: \{ApiMemory: (\d+), ChatMemory: (\d+)")
    assert (api_mb / 1024, chat_mb / 1024) == (Service().api_memory_gb, Service().chat_memory_gb)
    (processing_mb,) = found(r"\n  ProcessingFunction:\n.*?MemorySize: (\d+)")
    assert processing_mb / 1024 == Service().processing_memory_gb
    assert limits.max_tokens == chat.MAX_TOKENS
    assert Population().token_s == tokens.LIFETIME_S
