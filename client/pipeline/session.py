"""The course of a scan as a pure state machine: what happened goes in, the next state comes out.

    starting → positioning ⇄ measuring ⇄ paused
                   └────── stalled ──────┘        (and back, when frames come again)
    any of them → finishing → done
    any of them → failed

A live scan of which hardly anything counts is hopeless and finishes early: see `Session.hopeless`.

No threads, no clock: the moments are in the events.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from edge_models.types import Progress

STALL_LIMIT_S = 10.0
"""How long a silent source is waited for before the scan ends with what it has."""

PAUSE_AFTER_S = 1.0
"""How long the accepted signal may stand still before that is called a pause."""

HOPELESS_AFTER_S = 15.0
"""From when on a live scan may be given up."""

HOPEFUL_FROM_S = 5.0
"""Of which so much counted, a scan is not given up."""

PATIENCE_PER_COUNTED_S = 5.0
"""Each second that counts is waited for so long; a person who is just finding the place gets this much after each try."""

TOO_SLOW_FPS = 10.0
"""Below this no heart rate is ever shown; a test holds it against the engine."""

AT_MOST_TIMES = 3.0
"""A live scan takes so many times the wanted seconds at the most."""

_LONGEST_STEP_S = 1.0
"""A gap between two pictures is not the person's fault: no more of it counts as time in which one looked."""


class State(StrEnum):
    """Where a scan stands."""

    STARTING = "starting"
    POSITIONING = "positioning"
    MEASURING = "measuring"
    PAUSED = "paused"
    STALLED = "stalled"
    FINISHING = "finishing"
    DONE = "done"
    FAILED = "failed"


class EndedBy(StrEnum):
    """What ended the taking of frames."""

    GOAL = "goal"
    SOURCE = "source"
    STALL = "stall"
    PERSON = "person"
    HOPELESS = "hopeless"


@dataclass(frozen=True, slots=True)
class Goal:
    """When enough is measured.

    accepted_s: seconds of accepted signal that are enough, or None to go on to the end of the source.
    at_most_s: seconds of the source after which the scan ends in any case, or None for no limit.
    unless_hopeless: whether a scan of which hardly anything counts ends before that; files are read as asked for.
    """

    accepted_s: float | None = None
    at_most_s: float | None = None
    unless_hopeless: bool = False

    @classmethod
    def live(cls, good_s: float) -> Goal:
        """In front of a camera: so many seconds of good signal, in at most AT_MOST_TIMES as long."""
        return cls(accepted_s=good_s, at_most_s=AT_MOST_TIMES * good_s, unless_hopeless=True)


@dataclass(frozen=True, slots=True)
class Opened:
    """The source is open and the engine is ready."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A frame was measured."""

    progress: Progress


@dataclass(frozen=True, slots=True)
class Silent:
    """No frame came for a while; `now_s` is the clock's."""

    now_s: float


@dataclass(frozen=True, slots=True)
class SourceEnded:
    """The source has no more frames."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The person asked to end it."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The result is there."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Something was raised; there is no result."""


Event = Opened | Measured | Silent | SourceEnded | Stopped | Finished | Failed


@dataclass(frozen=True, slots=True)
class Session:
    """Everything that a display needs to know of a running scan.

    progress: what the engine said last. grew_at_s: the scan's second at which the accepted signal last grew.
    silent_since_s: the clock's second at which the source was first found silent, or None.
    looked_s: seconds in which there were pictures. patience_s: how long it is still waited for more that counts.
    """

    goal: Goal
    state: State = State.STARTING
    progress: Progress | None = None
    grew_at_s: float | None = None
    silent_since_s: float | None = None
    ended_by: EndedBy | None = None
    looked_s: float = 0.0
    patience_s: float = 0.0

    @property
    def hopeless(self) -> bool:
        """Whether nothing speaks for going on: 15 s were looked at, less than 5 s of them counted, and for a while
        nothing did; or all the time, and now, the pictures came too slowly for any heart rate.

        What counts and shows no pulse is not hopeless: of people with a weak one it may look so at 15 s.
        """
        progress = self.progress
        if progress is None or self.looked_s < HOPELESS_AFTER_S:
            return False
        lost = progress.accepted_s < HOPEFUL_FROM_S and self.patience_s <= 0.0
        slow = max(progress.measured_fps, progress.frames / self.looked_s) < TOO_SLOW_FPS
        return lost or slow

    @property
    def takes_frames(self) -> bool:
        """Whether frames still matter."""
        return self.state not in (State.FINISHING, State.DONE, State.FAILED)

    @property
    def share(self) -> float | None:
        """Accepted seconds of those wanted, 0 to 1: stands still while nothing counts; None for no known end."""
        wanted_s = self.goal.accepted_s or self.goal.at_most_s
        if wanted_s is None:
            return None
        return min(1.0, self.progress.accepted_s / wanted_s) if self.progress else 0.0


def update(session: Session, event: Event) -> Session:
    """The session after the event. A finished or failed one stays as it is."""
    if session.state in (State.DONE, State.FAILED):
        return session
    match event:
        case Failed():
            return replace(session, state=State.FAILED)
        case Finished():
            return replace(session, state=State.DONE)
        case Stopped():
            return replace(session, state=State.FINISHING, ended_by=session.ended_by or EndedBy.PERSON)
    if not session.takes_frames:
        return session
    match event:
        case Opened():
            return replace(session, state=State.POSITIONING)
        case SourceEnded():
            return replace(session, state=State.FINISHING, ended_by=EndedBy.SOURCE)
        case Silent(now_s):
            return _silent(session, now_s)
        case Measured(progress):
            return _measured(session, progress)


def _silent(session: Session, now_s: float) -> Session:
    since_s = now_s if session.silent_since_s is None else session.silent_since_s
    if now_s - since_s >= STALL_LIMIT_S:
        return replace(session, state=State.FINISHING, ended_by=EndedBy.STALL, silent_since_s=since_s)
    return replace(session, state=State.STALLED, silent_since_s=since_s)


def _measured(session: Session, progress: Progress) -> Session:
    before = session.progress
    counted_s = progress.accepted_s - (before.accepted_s if before else 0.0)
    step_s = min(progress.t_s - before.t_s, _LONGEST_STEP_S) if before else 0.0
    grew_at_s = progress.t_s if counted_s > 0.0 else session.grew_at_s
    if grew_at_s is None:
        state = State.POSITIONING
    elif progress.t_s - grew_at_s > PAUSE_AFTER_S:
        state = State.PAUSED
    else:
        state = State.MEASURING
    patience_s = session.patience_s + PATIENCE_PER_COUNTED_S * counted_s - step_s
    after = replace(
        session,
        state=state,
        progress=progress,
        grew_at_s=grew_at_s,
        silent_since_s=None,
        looked_s=session.looked_s + step_s,
        patience_s=min(max(patience_s, 0.0), PATIENCE_PER_COUNTED_S),
    )
    goal = session.goal
    enough = goal.accepted_s is not None and progress.accepted_s >= goal.accepted_s
    over = goal.at_most_s is not None and progress.t_s >= goal.at_most_s
    if enough or over:
        return replace(after, state=State.FINISHING, ended_by=EndedBy.GOAL)
    if goal.unless_hopeless and after.hopeless:
        return replace(after, state=State.FINISHING, ended_by=EndedBy.HOPELESS)
    return after
