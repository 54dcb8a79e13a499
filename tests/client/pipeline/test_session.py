"""The course of a scan, event by event."""

from __future__ import annotations

from functools import reduce

import pytest

from client.pipeline.session import (
    EndedBy,
    Event,
    Failed,
    Finished,
    Goal,
    Measured,
    Opened,
    Session,
    Silent,
    SourceEnded,
    State,
    Stopped,
    update,
)
from tests.client.pipeline.fakes import progress


def after(*events: Event, goal: Goal | None = None) -> Session:
    return reduce(update, events, Session(goal or Goal()))


def test_a_scan_starts_positions_measures_and_is_done() -> None:
    states = [Session(Goal()).state]
    session = Session(Goal())
    for event in (
        Opened(),
        Measured(progress(0.0, 0.0)),
        Measured(progress(0.1, 0.1)),
        SourceEnded(),
        Finished(),
    ):
        session = update(session, event)
        states.append(session.state)
    assert states == [
        State.STARTING,
        State.POSITIONING,
        State.POSITIONING,
        State.MEASURING,
        State.FINISHING,
        State.DONE,
    ]
    assert session.ended_by is EndedBy.SOURCE


def test_it_pauses_when_nothing_counts_for_a_second_and_goes_on_when_something_does() -> None:
    session = after(Opened(), Measured(progress(1.0, 1.0)), Measured(progress(1.9, 1.0)))
    assert session.state is State.MEASURING
    session = update(session, Measured(progress(2.1, 1.0)))
    assert session.state is State.PAUSED
    assert update(session, Measured(progress(2.2, 1.1))).state is State.MEASURING


def test_it_keeps_positioning_as_long_as_nothing_ever_counted() -> None:
    session = after(Opened(), *(Measured(progress(second, 0.0)) for second in range(20)))
    assert session.state is State.POSITIONING


def test_a_silent_source_is_said_and_a_frame_ends_the_silence() -> None:
    session = after(Opened(), Measured(progress(1.0, 1.0)), Silent(50.0), Silent(55.0))
    assert session.state is State.STALLED
    session = update(session, Measured(progress(6.0, 1.03)))
    assert session.state is State.MEASURING
    assert update(session, Silent(62.0)).state is State.STALLED  # the first silence is forgotten


def test_ten_silent_seconds_end_it() -> None:
    session = after(Opened(), Measured(progress(1.0, 1.0)), Silent(50.0), Silent(59.9))
    assert session.takes_frames
    session = update(session, Silent(60.0))
    assert session.state is State.FINISHING
    assert session.ended_by is EndedBy.STALL


def test_enough_accepted_signal_ends_it_and_paused_time_does_not_count() -> None:
    goal = Goal(accepted_s=10.0, at_most_s=30.0)
    assert after(Opened(), Measured(progress(20.0, 9.9)), goal=goal).takes_frames
    session = after(Opened(), Measured(progress(20.0, 10.0)), goal=goal)
    assert session.state is State.FINISHING
    assert session.ended_by is EndedBy.GOAL


def test_the_upper_bound_ends_it_even_if_nothing_counts() -> None:
    session = after(Opened(), Measured(progress(30.0, 0.0)), goal=Goal(accepted_s=10.0, at_most_s=30.0))
    assert session.state is State.FINISHING


@pytest.mark.parametrize("end", [Finished(), Failed()])
def test_what_is_over_stays_over(end: Event) -> None:
    session = after(Opened(), end)
    for event in (Opened(), Measured(progress(1.0, 1.0)), Silent(1.0), SourceEnded(), Stopped(), Finished()):
        assert update(session, event) == session


def test_once_it_finishes_later_frames_change_nothing() -> None:
    session = after(Opened(), SourceEnded())
    assert update(session, Measured(progress(1.0, 1.0))) == session
    assert update(session, Silent(1.0)) == session


def test_the_person_may_stop_it_at_any_moment_and_that_is_remembered() -> None:
    for events in ((), (Opened(),), (Opened(), Silent(1.0))):
        session = after(*events, Stopped())
        assert session.state is State.FINISHING
        assert session.ended_by is EndedBy.PERSON


def test_the_share_follows_the_accepted_seconds_or_is_unknown() -> None:
    measured = Measured(progress(12.0, 5.0))
    assert after(Opened(), measured, goal=Goal(accepted_s=20.0, at_most_s=60.0)).share == pytest.approx(0.25)
    assert after(Opened(), measured, goal=Goal(at_most_s=50.0)).share == pytest.approx(0.1)
    assert after(Opened(), measured).share is None
    assert Session(Goal(accepted_s=20.0)).share == 0.0
