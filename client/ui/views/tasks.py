"""What staff should look at, as a list shows it and as the person who was measured is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from client.language import listing, said
from client.store.observations import Kind
from client.store.tasks import Task, sentence
from client.ui.views.history import KINDS


@dataclass(frozen=True, slots=True)
class TaskRow:
    """One line. when: on this computer's clock. whose: a name, or the word for a guest. what: the reading, and what of it."""

    id: str
    when: str
    whose: str
    what: str


def row(task: Task, name_of: Callable[[str], str]) -> TaskRow:
    """name_of: the name of a person on this device; "" where there is none."""
    kind = next((said(title) for known, title in KINDS.items() if known == task.kind), task.kind)
    what = sentence(task.reason)
    whose = said("Guest") if task.person is None else name_of(task.person) or said("Somebody")
    return TaskRow(
        id=task.id,
        when=f"{task.taken_at.astimezone():%Y-%m-%d %H:%M}",
        whose=whose,
        what=f"{kind}: {what}." if kind else f"{what}.",
    )


def told(tasks: Sequence[Task]) -> str:
    """What the person is told at once: what was seen, and what to do. No diagnosis. "" where there is no task."""
    if not tasks:
        return ""
    why = listing(dict.fromkeys(sentence(task.reason) for task in tasks))
    words = said(
        "One value is outside the range for which nobody has to look: {why}. That is no diagnosis. Please show it to the staff, "
        "or to a nurse or doctor. If you feel unwell, tell somebody near you or call for help at once.",
        why=why,
    )
    if any(task.kind == Kind.SCAN for task in tasks):
        words += " " + said("It may help to sit still for five minutes and to measure again.")
    return words


def count_words(count: int) -> str:
    """On the button that leads to them."""
    return said("For staff ({count})", count=count)
