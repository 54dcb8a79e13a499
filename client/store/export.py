"""All that is kept of one person as plain rows, for a file that leaves the store."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from datetime import UTC

from client.errors import BadInput
from client.store import observations
from client.store.entries import VALUES, values_of
from client.store.observations import Line, Observation, Observations
from client.store.scans import wave_of

ENTERED = tuple(dict.fromkeys(f"entered_{value.name}" for values in VALUES.values() for value in values))
"""What was typed in: systolic and diastolic in mmHg, pulse in /min, spo2 in %, celsius, kg."""
COLUMNS = (
    *(name for name in observations.COLUMNS if name != "person"),
    *ENTERED,
)  # all rows are of one person


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
        "taken_at": line.taken_at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "utc_offset_min": line.utc_offset_min,
        **asdict(line.numbers),
        "simulated": line.simulated,
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
