"""A finished scan as the result page shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from client.language import marked, said
from client.pipeline.outcome import not_kept_because
from client.records import ScanRecord, sanitised
from client.reports.wording import (
    REASONS,
    interval,
    is_remark,
    lacks,
    remedy,
    saved_words,
    told_as,
    vital_name,
    why_not,
)
from edge_models.types import Estimate


@dataclass(frozen=True, slots=True)
class Row:
    """One vital sign. value: "72", or "–" where it is withheld. beside: the interval, or why it is not shown and what to do.

    meaning: what it is and what influences it.
    """

    name: str
    title: str
    value: str
    unit: str
    shown: bool
    beside: str
    meaning: str

    @property
    def spoken(self) -> str:
        """All of it in one line, for a screen reader."""
        value = f"{self.value} {self.unit}" if self.shown else ""
        return ". ".join(part for part in (self.title, value, self.beside) if part)


@dataclass(frozen=True, slots=True)
class ResultView:
    """heading, sub: what came of the scan. rows: every vital sign. remarks: what else is to be known.

    why_not_saved: why this can't be saved at all, or None.
    """

    heading: str
    sub: str
    rows: tuple[Row, ...]
    remarks: tuple[str, ...]
    why_not_saved: str | None
    simulated: bool


SHORTEST_S = 30
"""The shortest scan that the settings offer: what needs more may be missing because of them."""
MEANINGS: Mapping[str, str] = {
    "heart_rate": marked(
        "How often the heart beats. Moving, talking, excitement, warmth, coffee, fever and medicines change it."
    ),
    "respiratory_rate": marked("How often you breathe. Talking, moving and attention to it change it."),
    "rmssd": marked(
        "How much the time between two beats changes from beat to beat. It differs widely between people; "
        "age, rest, breathing and training change it. Compare it with your own earlier ones only."
    ),
    "sdnn": marked(
        "How much the time between beats varies over the whole scan. It grows with the length of the scan. "
        "Compare it with your own earlier ones only."
    ),
}


def result_view(record: ScanRecord) -> ResultView:
    """What to show of a scan."""
    rate = record.heart_rate
    limiting = record.result.quality.limiting_factor
    if rate.value is not None:
        heading = said("Your heart rate is {rate} per minute", rate=f"{rate.value:.0f}")
        sub = said(
            "{counted} s of {all} s counted. Confidence {percent} %.",
            counted=f"{record.result.accepted_s:.0f}",
            all=f"{record.result.duration_s:.0f}",
            percent=f"{rate.confidence * 100.0:.0f}",
        )
    else:
        heading = said("No heart rate is shown")
        first = limiting if limiting in rate.reasons else rate.reasons[0]
        first = told_as(first, "heart_rate", rate)
        sub = said(
            "Because {why}. {remedy}",
            why=said(REASONS[first].seen),
            remedy=remedy(first, "heart_rate", rate),
        )
    reason = not_kept_because(record)
    return ResultView(
        heading=heading,
        sub=sub,
        rows=tuple(row(name, sanitised(found)) for name, found in record.result.vitals.items()),
        remarks=() if record.simulated else tuple(str(note) for note in record.notes),
        why_not_saved=None if reason is None else saved_words(reason),
        simulated=record.simulated,
    )


def row(name: str, found: Estimate) -> Row:
    """One vital sign."""
    shown = found.value is not None
    if shown:
        beside = said("95 % interval {interval}", interval=interval(found))
        if found.reasons and is_remark(found):
            beside = said("{interval}. Remark: {why}.", interval=beside, why=_seen(found))
        elif found.reasons:
            beside = said("{interval}; less sure because {why}", interval=beside, why=_seen(found))
    else:
        beside = why_not(name, found)
        beside = f"{beside[:1].upper()}{beside[1:]}."
        needed_s = lacks(name, found)
        if needed_s is not None and needed_s > SHORTEST_S:
            setting = said("Good signal that a scan takes")
            beside += " " + said("To measure for longer: Settings, “{setting}”.", setting=setting)
    return Row(
        name=name,
        title=vital_name(name),
        value=f"{found.value:.0f}" if found.value is not None else "–",
        unit=said(found.unit),
        shown=shown,
        beside=beside,
        meaning=said(MEANINGS[name]) if name in MEANINGS else "",
    )


def _seen(found: Estimate) -> str:
    return said(REASONS[found.reasons[0]].seen)
