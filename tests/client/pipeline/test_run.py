"""The threads of a scan with scripted sources: what goes in comes out, whatever goes wrong."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest

from client.clock import SystemClock
from client.devices.ports import SourceFacts
from client.errors import BadInput, EnvironmentFault, Interrupted
from client.language import Sentence
from client.pipeline.run import Engine, Outcome, ScanRun
from client.pipeline.session import EndedBy, Goal, State
from edge_models.types import Frame, Quality, Reason
from tests.client.pipeline.fakes import (
    FACTS,
    CountingEngine,
    HandClock,
    Hang,
    ScriptedSource,
    Turn,
    estimate,
    frames,
    scan_result,
    stalled,
)

LIVE = replace(FACTS, live=True)
Script = Frame | Exception | Turn | Hang
A_SECOND_S = 2.0
"""A second, and another for a busy machine; waiting for a source's last facts takes 2.5 s, for a driver 20 s."""
LONG_SILENCE: list[Script] = [item for _ in range(30) for item in (stalled(), Turn(2.0))]


def finished(
    source: ScriptedSource, engine: CountingEngine, goal: Goal | None = None, clock: HandClock | None = None
) -> Outcome:
    run = ScanRun(source, engine.make, goal=goal or Goal(), clock=clock or SystemClock())
    with run:
        assert run.wait(20.0)
    return run.outcome()


def test_every_frame_of_a_file_is_measured_in_order() -> None:
    engine = CountingEngine()
    source = ScriptedSource(frames(300))
    outcome = finished(source, engine)
    assert engine.pushed_s == [frame.t_s for frame in frames(300)]
    assert outcome.dropped_frames == 0
    assert outcome.session.state is State.DONE
    assert outcome.session.ended_by is EndedBy.SOURCE
    assert source.closed.is_set()


def test_a_limit_in_seconds_ends_a_file_at_the_same_frame_every_time() -> None:
    for _ in range(5):
        engine = CountingEngine()
        outcome = finished(ScriptedSource(frames(900)), engine, Goal(at_most_s=2.0))
        assert len(engine.pushed_s) == 61
        assert outcome.session.ended_by is EndedBy.GOAL


def test_a_slow_engine_drops_the_oldest_live_frames_and_counts_them() -> None:
    engine = CountingEngine(gate=threading.Event())
    assert engine.gate is not None
    source = ScriptedSource(frames(50), LIVE)
    run = ScanRun(source, engine.make, goal=Goal(), clock=SystemClock())
    with run:
        while source.reads < 51:
            time.sleep(0.002)
        engine.gate.set()
        assert run.wait(20.0)
    outcome = run.outcome()
    assert outcome.dropped_frames > 0
    assert engine.pushed_s[-1] == frames(50)[-1].t_s
    assert len(engine.pushed_s) + outcome.dropped_frames >= 50


def test_what_the_source_says_against_itself_at_its_end_reaches_the_result() -> None:
    engine = CountingEngine()
    grown = replace(FACTS, warnings=(Reason.FRAME_RATE_UNTRUSTED,), notes=(Sentence("The header is wrong."),))
    outcome = finished(ScriptedSource(frames(10), grown=grown), engine)
    assert engine.distrusted == (Reason.FRAME_RATE_UNTRUSTED,)
    assert outcome.facts.notes == (Sentence("The header is wrong."),)


def test_a_file_without_a_frame_still_has_a_result() -> None:
    assert finished(ScriptedSource([]), CountingEngine()).result.frames == 0


def test_a_short_stall_is_survived() -> None:
    clock = HandClock()
    script: list[Script] = [*frames(30), stalled(), Turn(2.0), stalled(), *frames(60)[30:]]
    engine = CountingEngine()
    outcome = finished(ScriptedSource(script, LIVE, clock=clock), engine, clock=clock)
    assert outcome.session.ended_by is EndedBy.SOURCE
    assert outcome.result.quality.reasons == ()
    assert engine.pushed_s[-1] == pytest.approx(59 / 30)


def test_a_source_that_stays_silent_ends_the_scan_with_what_was_measured_and_says_so() -> None:
    clock = HandClock()
    script: list[Script] = [*frames(2), *LONG_SILENCE]
    outcome = finished(ScriptedSource(script, LIVE, clock=clock), CountingEngine(), clock=clock)
    assert outcome.session.ended_by is EndedBy.STALL
    assert outcome.result.frames == 2
    assert outcome.result.quality.reasons == (Reason.SOURCE_STALLED,)
    assert outcome.result.quality.limiting_factor is Reason.SOURCE_STALLED


def test_a_scan_that_was_given_up_says_first_what_made_it_too_short() -> None:
    answer = scan_result(
        estimate(None, Reason.TOO_SHORT, Reason.TOO_DARK),
        quality=Quality(0.0, (Reason.TOO_DARK, Reason.TOO_SHORT), Reason.TOO_DARK),
    )
    engine = CountingEngine(answer=answer, counts=False)
    outcome = finished(ScriptedSource(frames(900)), engine, Goal(at_most_s=20.0, unless_hopeless=True))
    assert outcome.session.ended_by is EndedBy.HOPELESS
    assert outcome.session.state is State.DONE
    assert engine.pushed_s[-1] == pytest.approx(15.0, abs=0.1)
    vitals = outcome.result.vitals
    assert vitals["heart_rate"].reasons == (Reason.TOO_DARK, Reason.TOO_SHORT)
    assert vitals["rmssd"].reasons[0] is Reason.TOO_DARK
    full = finished(ScriptedSource(frames(900)), CountingEngine(answer=answer, counts=False))
    assert full.session.ended_by is EndedBy.SOURCE and full.result is answer


def test_a_source_that_never_sent_a_frame_is_the_environments_fault() -> None:
    clock = HandClock()
    with pytest.raises(EnvironmentFault, match="no picture"):
        finished(ScriptedSource(LONG_SILENCE, LIVE, clock=clock), CountingEngine(), clock=clock)


def test_a_driver_that_never_comes_back_is_noticed_without_its_help() -> None:
    clock = HandClock()
    run = ScanRun(ScriptedSource([*frames(3), Hang()], LIVE), CountingEngine().make, goal=Goal(), clock=clock)
    with run:
        seen = set()
        deadline_s = time.monotonic() + 20.0
        while not run.wait(0.02) and time.monotonic() < deadline_s:
            clock.at_s += 0.3
            seen.add(run.view().session.state)
    outcome = run.outcome()
    assert State.STALLED in seen
    assert outcome.session.ended_by is EndedBy.STALL
    assert outcome.result.frames == 3


@pytest.mark.parametrize(
    "error",
    [
        BadInput(title="Not a video", remedy="Give another."),
        EnvironmentFault(title="No camera", remedy="Plug one in."),
        RuntimeError("a bug in the source"),
    ],
)
def test_what_opening_raises_reaches_the_caller_as_it_was(error: Exception) -> None:
    source = ScriptedSource([], open_error=error)
    with pytest.raises(type(error)) as caught:
        finished(source, CountingEngine())
    assert caught.value is error
    assert source.closed.is_set()


def test_what_reading_raises_reaches_the_caller() -> None:
    source = ScriptedSource([*frames(3), ValueError("a bug in the source")])
    with pytest.raises(ValueError, match="a bug in the source"):
        finished(source, CountingEngine())


def test_a_bug_in_the_engine_reaches_the_caller_and_ends_the_reading() -> None:
    source = ScriptedSource(frames(10_000))
    with pytest.raises(ZeroDivisionError):
        finished(source, CountingEngine(fail_at=5))
    assert source.closed.is_set()
    assert source.reads < 100


def test_an_engine_that_cannot_be_made_ends_the_scan_before_a_frame_is_read() -> None:
    def make() -> Engine:
        raise EnvironmentFault(title="The weights are missing", remedy="Run make setup.")

    source = ScriptedSource(frames(10))
    run = ScanRun(source, make, goal=Goal(), clock=SystemClock())
    with run:
        assert run.wait(20.0)
    with pytest.raises(EnvironmentFault, match="weights"):
        run.outcome()
    assert source.reads == 0


def no_thread_of_a_scan_runs() -> bool:
    return not [thread for thread in threading.enumerate() if thread.name in ("capture", "measure")]


@pytest.mark.parametrize(
    ("script", "facts"), [(frames(100_000), FACTS), ([*frames(3), Hang()], FACTS), ([Hang()], LIVE)]
)
def test_stopping_a_file_or_before_anything_counts_ends_everything_within_a_second(
    script: list[Script], facts: SourceFacts
) -> None:
    source = ScriptedSource(script, facts)
    run = ScanRun(source, CountingEngine().make, goal=Goal(), clock=SystemClock())
    with run:
        run.wait(0.05)
        asked_s = time.monotonic()
        run.stop()
        assert run.wait(0.0)
    assert time.monotonic() - asked_s < A_SECOND_S
    assert source.closed.is_set()
    assert no_thread_of_a_scan_runs()
    with pytest.raises(Interrupted):
        run.outcome()


def counting(run: ScanRun) -> bool:
    """Wait until some signal counts."""
    until_s = time.monotonic() + 10.0
    while time.monotonic() < until_s:
        progress = run.view().session.progress
        if progress is not None and progress.accepted_s > 0:
            return True
        run.wait(0.005)
    return False


@pytest.mark.parametrize("script", [frames(1_000_000), [*frames(3), Hang()]], ids=["sends", "hangs"])
def test_stopping_a_live_source_ends_it_within_a_second_with_what_was_measured(script: list[Script]) -> None:
    source = ScriptedSource(script, LIVE)
    engine = CountingEngine()
    run = ScanRun(source, engine.make, goal=Goal(), clock=SystemClock())
    with run:
        assert counting(run)
        asked_s = time.monotonic()
        run.stop()
        assert run.wait(A_SECOND_S)
        outcome = run.outcome()
    assert time.monotonic() - asked_s < A_SECOND_S
    assert outcome.session.ended_by is EndedBy.PERSON
    assert outcome.session.state is State.DONE
    assert outcome.result.frames == len(engine.pushed_s) > 1
    assert source.closed.is_set()
    assert no_thread_of_a_scan_runs()


def test_stopping_twice_does_not_wait_for_a_result() -> None:
    run = ScanRun(
        ScriptedSource([*frames(3), Hang()], LIVE), CountingEngine().make, goal=Goal(), clock=SystemClock()
    )
    with run:
        assert counting(run)
        run.stop()
        run.stop()
        assert run.wait(0.0)
    with pytest.raises(Interrupted):
        run.outcome()


def test_what_a_source_says_against_itself_meanwhile_is_seen_before_the_end() -> None:
    clock = HandClock()
    grown = replace(FACTS, warnings=(Reason.FRAME_RATE_UNTRUSTED,))
    script: list[Script] = [*frames(3), Turn(1.5), *frames(5)[3:], Hang()]
    run = ScanRun(
        ScriptedSource(script, clock=clock, grown=grown), CountingEngine().make, goal=Goal(), clock=clock
    )
    with run:
        until_s = time.monotonic() + 10.0
        while (facts := run.view().facts) in (None, FACTS) and time.monotonic() < until_s:
            run.wait(0.005)
    assert facts == grown


def test_the_cost_is_split_at_the_first_frame_asked_for() -> None:
    clock = HandClock()
    script = [item for frame in frames(5) for item in (Turn(1.0), frame)]
    run = ScanRun(
        ScriptedSource(script, clock=clock),
        CountingEngine().make,
        goal=Goal(),
        clock=clock,
        started_s=90.0,
        peak_rss_mb=lambda: 123.0,
    )
    with run:
        assert run.wait(20.0)
    cost = run.outcome().cost
    assert cost.startup_cpu_s == pytest.approx(
        50.0
    )  # half of what the hand clock shows before the first turn
    assert cost.decode_cpu_s == pytest.approx(5.0 / 2.0 - 2.0 * 5.0 / 8.0)  # less measuring and looking on
    assert cost.cpu_s == pytest.approx(105.0 / 2.0)
    assert cost.wall_s == pytest.approx(15.0)
    assert cost.peak_rss_mb == 123.0
    assert 0.0 <= cost.frame_ms_p50 <= cost.frame_ms_p95


def test_a_result_is_handed_on_as_the_engine_gave_it() -> None:
    answer = scan_result()
    assert finished(ScriptedSource(frames(3)), CountingEngine(answer=answer)).result is answer
