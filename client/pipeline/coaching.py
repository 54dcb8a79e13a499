"""What to say to the person during a scan: pure functions of a View, the same for the terminal and the window."""

from __future__ import annotations

from client.language import said
from client.pipeline.run import View
from client.pipeline.session import State
from client.reports.wording import REASONS
from edge_models.types import Estimate, Reason


def live_heart_rate(view: View) -> Estimate | None:
    """The live heart rate if it may be shown now: fresh, from a trusted source that sends, and not withheld."""
    session = view.session
    if view.facts is not None and view.facts.warnings:
        return None
    if session.state in (State.STARTING, State.STALLED, State.FAILED) or session.progress is None:
        return None
    estimate = session.progress.heart_rate
    return estimate if estimate is not None and estimate.value is not None else None


def hint(view: View) -> str | None:
    """The one thing to say now: to a person in front of a camera what to do, of a recording what is wrong."""
    session = view.session
    live = bool(view.facts and view.facts.live and not view.facts.simulated)
    match session.state:
        case State.STARTING:
            return said("Starting: getting the picture and the measurement ready.")
        case State.STALLED:
            return said("No picture comes: check cable or network. Waiting up to 10 s.")
        case State.FINISHING | State.DONE:
            return said("Working out the result.")
        case _:
            reason = _hint_reason(view)
    if reason is None:
        return None
    if reason is Reason.TOO_SHORT:
        return said("Looking for the pulse; the first number takes about ten seconds.")
    if live:
        return said(REASONS[reason].remedy)
    seen = said(REASONS[reason].seen)
    return f"{seen[0].upper()}{seen[1:]}."


def _hint_reason(view: View) -> Reason | None:
    """Why the source is not trusted; what the engine wants to say now; why it shows no heart rate yet."""
    if view.facts is not None and view.facts.warnings:
        return view.facts.warnings[0]
    progress = view.session.progress
    if progress is None or progress.hint is not None:
        return progress.hint if progress else None
    estimate = progress.heart_rate
    if estimate is None:
        return Reason.TOO_SHORT
    return estimate.reasons[0] if estimate.value is None else None
