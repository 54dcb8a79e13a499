"""A running scan as the scan page shows it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from client.language import marked, said
from client.pipeline.coaching import hint, live_heart_rate
from client.pipeline.run import View
from client.pipeline.session import Session, State
from client.reports.wording import interval
from edge_models.types import Trace

NOTHING = "–"


class Guide(StrEnum):
    """How the outline for the face looks: nothing known yet, as it should be, to be put right."""

    NEUTRAL = "neutral"
    GOOD = "good"
    ADJUST = "adjust"


@dataclass(frozen=True, slots=True)
class ScanView:
    """heading: where the scan stands. hint: the one thing to do, or a word of encouragement.

    rate, interval: the live heart rate, /min, and its 95 % interval in words; "–" and "" where it is withheld.
    share: of the wanted seconds, 0 to 1; it stands still while the picture is bad; None: no known end. seconds: the same in words.
    """

    heading: str
    hint: str
    rate: str
    interval: str
    share: float | None
    seconds: str
    paused: bool
    simulated: bool
    wave: Trace
    status: str


def scan_view(view: View) -> ScanView:
    """What to show of this moment."""
    session, facts = view.session, view.facts
    rate = live_heart_rate(view)
    progress = session.progress
    silent = progress is None or session.state is State.STALLED
    return ScanView(
        heading=said(_HEADINGS[session.state]),
        hint=hint(view) or said("Good. Hold still and breathe calmly."),
        rate=NOTHING if rate is None or rate.value is None else f"{rate.value:.0f}",
        interval="" if rate is None else said("95 % interval {interval}", interval=interval(rate)),
        share=session.share,
        seconds=_seconds(session),
        paused=session.state in (State.PAUSED, State.STALLED),
        simulated=bool(facts and facts.simulated),
        wave=Trace(np.zeros(0), np.zeros(0)) if silent or progress is None else progress.bvp,
        status=_status(view),
    )


_HEADINGS = {
    State.STARTING: marked("Starting"),
    State.POSITIONING: marked("Find your place"),
    State.MEASURING: marked("Measuring"),
    State.PAUSED: marked("Paused"),
    State.STALLED: marked("Waiting for the camera"),
    State.FINISHING: marked("Almost done"),
    State.DONE: marked("Done"),
    State.FAILED: marked("Not finished"),
}


def is_mirrored(view: View) -> bool:
    """Whether the picture is shown as a mirror (a camera), or as it is (a recording)."""
    facts = view.facts
    return bool(facts and facts.live and not facts.simulated)


def guide(view: View) -> Guide:
    """How the outline looks now."""
    progress = view.session.progress
    if progress is None or view.session.state in (State.STARTING, State.STALLED):
        return Guide.NEUTRAL
    if progress.hint is not None or progress.face is None:
        return Guide.ADJUST
    return Guide.GOOD


def _seconds(session: Session) -> str:
    accepted_s = session.progress.accepted_s if session.progress else 0.0
    wanted_s = session.goal.accepted_s or session.goal.at_most_s
    if wanted_s is None:
        return said("{seconds} s counted", seconds=f"{accepted_s:.0f}")
    left_s = max(0.0, wanted_s - accepted_s)
    return said("{seconds} s left", seconds=f"{left_s:.0f}")


def _status(view: View) -> str:
    progress = view.session.progress
    parts = [view.facts.name] if view.facts else []
    if progress is not None:
        parts.append(said("{fps} pictures per second", fps=f"{progress.measured_fps:.0f}"))
    return " · ".join(parts)
