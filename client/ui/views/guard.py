"""Whose result this is, when to ask again before it is saved under a name, and how long nobody was there."""

from __future__ import annotations

from dataclasses import dataclass

from client.clock import Clock
from client.pipeline.right_person import must_read_number as must_read_number  # noqa: PLC0414 (as in the terminal)
from client.pipeline.right_person import whose_number as whose_number  # noqa: PLC0414

STALE_AFTER_S = 600.0
"""A choice that old may be another person's, who has gone since."""
_ASLEEP_FROM_S = 1.0


class Passing:
    """Seconds that pass while the computer sleeps too: monotonic clocks (Linux, macOS) stand still then.

    A wall clock that is set forward counts as sleep: what watches over somebody's results then acts early, never late.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._at_s, self._utc = clock.now_s(), clock.utc()
        self._slept_s = 0.0

    def now_s(self) -> float:
        """Seconds since an arbitrary moment; never steps back. To be asked every few seconds."""
        now_s, utc = self._clock.now_s(), self._clock.utc()
        asleep_s = (utc - self._utc).total_seconds() - (now_s - self._at_s)
        self._at_s, self._utc = now_s, utc
        if asleep_s > _ASLEEP_FROM_S:
            self._slept_s += asleep_s
        return now_s + self._slept_s


@dataclass(frozen=True, slots=True)
class Choice:
    """For whom is measured. person: an identifier, or None for a guest. chosen_at_s: as Passing counts."""

    person: str | None
    chosen_at_s: float


def must_ask(choice: Choice, *, started_s: float, last_saved: str | None, now_s: float) -> bool:
    """Whether the person has to say that it is them before a result is saved under their name.

    started_s: when the scan began. last_saved: for whom something was saved last while this window was open, or None. A guest's
    result can be saved for no wrong person. Else it is asked when the name was chosen after the scan had begun, long ago, or when the last one saved here
    was somebody else's.
    """
    if choice.person is None:
        return False
    changed = choice.chosen_at_s > started_s
    stale = now_s - choice.chosen_at_s > STALE_AFTER_S
    another = last_saved is not None and last_saved != choice.person
    return changed or stale or another
