"""Whether it is the right person, by their record number: for the window and the terminal."""

from __future__ import annotations

from collections.abc import Iterable

from client.store.observations import Person, matches


def whose_number(typed: str, people: Iterable[Person]) -> Person | None:
    """Who on this device has this record number, however it was typed or scanned; None where nobody has."""
    return next((person for person in people if matches(person, typed)), None)


def must_read_number(person: Person | None, *, wanted: bool) -> bool:
    """Whether the record number has to be typed or scanned before something is saved. wanted: by the policy. person: None for a guest."""
    return wanted and person is not None and person.record_number is not None
