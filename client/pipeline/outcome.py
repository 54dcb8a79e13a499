"""From the end of a scan to what is kept and handed on."""

from __future__ import annotations

from datetime import datetime

from client import config
from client.language import Sentence, marked
from client.pipeline.run import Outcome
from client.pipeline.session import EndedBy
from client.records import ScanRecord
from client.reports.wording import gave_up

STOPPED_EARLY = marked("Stopped before the end: this is what was measured until then.")


def to_record(outcome: Outcome, *, taken_at: datetime) -> ScanRecord:
    """The record of a scan, not yet saved. taken_at: UTC."""
    notes = list(outcome.facts.notes)
    if outcome.session.ended_by is EndedBy.PERSON:
        notes.insert(0, Sentence(STOPPED_EARLY))
    elif outcome.session.ended_by is EndedBy.HOPELESS:
        notes.insert(0, gave_up(outcome.result.quality.limiting_factor))
    if outcome.dropped_frames:
        notes.append(
            Sentence(
                marked("{count} frames were skipped: this machine was too slow for the source."),
                {"count": outcome.dropped_frames},
            )
        )
    return ScanRecord(
        source=outcome.facts.name,
        simulated=outcome.facts.simulated,
        result=outcome.result,
        notes=tuple(notes),
        cost=outcome.cost,
        saved=False,
        saved_reason=None,
        taken_at=taken_at,
        version=config.version(),
    )


def not_kept_because(record: ScanRecord) -> str | None:
    """The code of why a scan is never kept, or None where it may be."""
    if record.simulated:
        return "simulated"
    return "nothing_shown" if record.heart_rate.value is None else None
