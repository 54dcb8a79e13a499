"""Whose result this is, and when to ask again before it is saved under a name."""

from __future__ import annotations

from dataclasses import dataclass

STALE_AFTER_S = 600.0
"""A choice that old may be another person's, who has gone since."""


@dataclass(frozen=True, slots=True)
class Choice:
    """For whom is measured. person: an identifier, or None for a guest. chosen_at_s: by the monotonic clock."""

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
