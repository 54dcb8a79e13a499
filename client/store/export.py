"""All that is kept of one person as plain values, for a file that leaves the store."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime

from client.errors import BadInput
from client.language import said
from client.store import observations
from client.store.consents import Consent, Consents
from client.store.documents import Document, Documents
from client.store.entries import VALUES, values_of
from client.store.moments import text_of
from client.store.observations import Line, Observation, Observations
from client.store.scans import wave_of
from client.store.tasks import Task, Tasks

SCHEMA = "health-helper/everything/1"

ENTERED = tuple(dict.fromkeys(f"entered_{value.name}" for values in VALUES.values() for value in values))
"""What was typed in: systolic and diastolic in mmHg, pulse in /min, spo2 in %, celsius, kg."""
COLUMNS = (
    *(name for name in observations.COLUMNS if name != "person"),
    *ENTERED,
)  # all rows are of one person


def everything(
    kept: Observations, documents: Documents, consents: Consents, tasks: Tasks, person: str | None
) -> dict[str, object]:
    """All that this device has of a person (None: of its guests), as values of JSON:

        {"schema": SCHEMA,
         "person": {"id", "name", "record_number", "made_at"}, or null for guests,
         "observations": rows(…, whole=True), the oldest first,
         "documents": [{"id", "observation", "purpose", "title", "media_type", "length_bytes", "sha256", "pages", "added_at",
                        "utc_offset_min", "cloud_state", "cloud_reason"}], the oldest first,
         "consents": [{"subject", "version", "given", "language", "at", "utc_offset_min"}], the oldest first,
         "tasks": [{"id", "observation" (null: somebody asked for help), "reason", "made_at", "done_at"}], the oldest first}

    Moments: ISO 8601 in UTC. Keys are never removed nor get another meaning; there may be more. The documents' bytes are theirs to read.
    Raises BadInput where there is no such person.
    """
    found = next((one for one in kept.people() if one.id == person), None)
    if person is not None and found is None:
        raise BadInput(title=said("This person is not on this device"), remedy=said("Choose another one."))
    return {
        "schema": SCHEMA,
        "person": None
        if found is None
        else {
            "id": found.id,
            "name": found.name,
            "record_number": found.record_number,
            "made_at": text_of(found.made_at),
        },
        "observations": rows(kept, person, whole=True),
        "documents": [_plain(one, but={"person"}) for one in reversed(documents.list(person))],
        "consents": [_plain(one, but={"id", "person"}) for one in consents.all(person)],
        "tasks": [_plain(one, but={"person", "kind", "taken_at"}) for one in tasks.of(person)],
    }


def rows(kept: Observations, person: str | None, *, whole: bool) -> list[dict[str, object]]:
    """The oldest first, with what was typed in. whole: with the body of each (JSON) and a scan's pulse wave: the second of its
    first sample, the seconds between two, and its values.
    """
    lines = kept.between(person, None, None)
    found = [row(line) for line in lines]
    for made, line in zip(found, lines, strict=True):
        is_entry = line.kind in VALUES
        observation = kept.get(line.id) if whole or is_entry else None
        if whole:
            made["body"] = None if observation is None else observation.body
            made["wave"] = None if observation is None else _wave(observation)
        if observation is not None and is_entry:
            with suppress(BadInput):  # of a newer version: its body has them
                made.update({f"entered_{name}": value for name, value in values_of(observation).items()})
    return found


def row(line: Line) -> dict[str, object]:
    """One line as plain values."""
    return {
        "id": line.id,
        "kind": str(line.kind),
        "taken_at": text_of(line.taken_at),
        "utc_offset_min": line.utc_offset_min,
        **asdict(line.numbers),
        "simulated": line.simulated,
    }


def _plain(one: Document | Consent | Task, *, but: Collection[str]) -> dict[str, object]:
    return {
        name: text_of(value) if isinstance(value, datetime) else value
        for name, value in asdict(one).items()
        if name not in but
    }


def _wave(observation: Observation) -> dict[str, object] | None:
    wave = wave_of(observation)
    if not len(wave.t_s):
        return None
    return {
        "first_s": round(float(wave.t_s[0]), 6),
        "step_s": round(float(wave.t_s[1] - wave.t_s[0]), 9),
        "values": [float(f"{value:.7g}") for value in wave.values],  # as many digits as the store has
    }
