"""The course of a scan, event by event."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import numpy as np
import pytest

from client.pipeline.session import (
    HOPELESS_AFTER_S,
    TOO_SLOW_FPS,
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
from edge_models.quality import MIN_FPS
from edge_models.signal.resample import measured_fps
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


LIVE = Goal(accepted_s=40.0, at_most_s=120.0, unless_hopeless=True)


def course(
    counts: Callable[[float], bool],
    *,
    seconds: float = 60.0,
    goal: Goal = LIVE,
    fps: Callable[[float], float] = lambda _: 30.0,
    silent: tuple[float, float] = (0.0, 0.0),
) -> Session:
    """A scan whose frame at second t counts where `counts(t)`; from silent[0] to silent[1] no frame comes."""
    session = after(Opened(), goal=goal)
    t_s, accepted_s, frames, counted = 0.0, 0.0, 0, False
    times_s: list[float] = []
    while t_s < seconds and session.takes_frames:
        frames += 1
        times_s.append(t_s)
        recent_s = [at_s for at_s in times_s if at_s >= t_s - 2.0]  # as the engine tells it
        moment = progress(t_s, accepted_s, frames=frames, measured_fps=measured_fps(np.array(recent_s)))
        session = update(session, Measured(moment))
        step_s = 1.0 / fps(t_s)
        if silent[0] <= t_s + step_s < silent[1]:
            step_s = silent[1] - t_s
        both = counted and counts(t_s + step_s)
        counted = counts(t_s + step_s)
        t_s += step_s
        accepted_s += min(step_s, 0.5) if both else 0.0
    return session


def ended_s(session: Session) -> float | None:
    """The second at which it was given up; None where it was not."""
    if session.ended_by is not EndedBy.HOPELESS:
        return None
    assert session.state is State.FINISHING and session.progress is not None
    return session.progress.t_s


def test_a_scan_of_which_nothing_counts_is_given_up_at_15_s() -> None:
    assert ended_s(course(lambda _: False)) == pytest.approx(15.0, abs=0.1)
    assert ended_s(course(lambda t_s: 3.0 < t_s < 6.0)) == pytest.approx(15.0, abs=0.1)


def test_what_is_read_as_asked_for_is_never_given_up() -> None:
    assert course(lambda _: False, goal=Goal()).takes_frames
    assert course(lambda _: False, goal=Goal(at_most_s=50.0)).ended_by is EndedBy.GOAL


@pytest.mark.parametrize("came_s", [10.0, 13.0, 14.0, 14.8])
def test_a_person_who_has_just_found_the_place_is_not_cut_off(came_s: float) -> None:
    session = course(lambda t_s: t_s >= came_s, seconds=90.0)
    assert session.ended_by is EndedBy.GOAL
    assert session.progress is not None and session.progress.accepted_s >= 40.0


def test_a_person_who_tries_again_and_again_is_waited_for() -> None:
    """A second that counts, then three in which the person moves."""
    assert course(lambda t_s: t_s > 12.0 and t_s % 4.0 < 1.2, seconds=60.0).takes_frames


def test_somebody_who_came_and_went_is_waited_for_a_few_seconds_more() -> None:
    assert ended_s(course(lambda t_s: 13.0 < t_s < 15.5)) == pytest.approx(20.5, abs=0.5)


def test_a_frame_that_counts_now_and_then_does_not_keep_it_going() -> None:
    """Something on the wall is a face for a moment, once a second."""
    assert ended_s(course(lambda t_s: t_s % 1.0 < 0.07)) == pytest.approx(15.0, abs=1.1)


def test_where_enough_counted_a_long_pause_is_waited_for() -> None:
    assert course(lambda t_s: t_s < 6.0 or t_s > 50.0).takes_frames


def test_pictures_that_come_too_slowly_for_any_heart_rate_are_given_up_at_15_s() -> None:
    assert ended_s(course(lambda _: True, fps=lambda _: 5.0)) == pytest.approx(15.0, abs=0.3)
    assert course(lambda _: True, fps=lambda _: 10.5).ended_by is EndedBy.GOAL


def test_a_camera_that_becomes_fast_enough_or_was_it_for_long_is_not_given_up() -> None:
    assert course(lambda _: True, fps=lambda t_s: 5.0 if t_s < 14.0 else 30.0).ended_by is EndedBy.GOAL
    assert course(lambda _: True, fps=lambda t_s: 30.0 if t_s < 20.0 else 5.0).ended_by is EndedBy.GOAL


def test_a_silence_of_the_source_is_not_the_persons_time() -> None:
    """Somebody sits well, nine seconds without a picture, somebody sits well again."""
    assert course(lambda _: True, silent=(4.0, 13.0), seconds=90.0).ended_by is EndedBy.GOAL
    assert ended_s(course(lambda _: False, silent=(4.0, 13.0))) == pytest.approx(23.0, abs=0.2)


def test_the_frame_rate_that_is_too_slow_is_the_engines() -> None:
    assert TOO_SLOW_FPS == MIN_FPS and HOPELESS_AFTER_S == 15.0
