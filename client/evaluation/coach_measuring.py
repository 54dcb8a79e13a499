"""How well the coach sees: what was found and what was said in each clip of its grid, and the table of it.

A fault counts as found when it is among what the coach found within two seconds of its onset. A hint counts as right
when the provoked fault is said within two seconds; or when it is found and what was said first is another fault that
the clip truly has. A good clip has a false prompt when anything at all is said in it, at any moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from client.evaluation import coach_grid
from client.evaluation.coach_grid import FOUND_WITHIN_S, CoachClip, Part
from client.evaluation.report import table
from client.pipeline.run import Engine
from edge_models.types import ByteArray, Frame, Reason

SCHEMA = "health-helper/coach/1"
LEAST_RECALL, MOST_FALSE = 0.95, 0.02


@dataclass(frozen=True, slots=True)
class Seen:
    """What the coach made of a clip. All moments in seconds from the onset, in good clips from the start.

    found_s: when the provoked fault was first found, None if never. said: the hints in the order of the first time they
    were said, with that time, from the onset on. early: hints before it. found: all that was ever found from the onset on.
    """

    clip: CoachClip
    found_s: float | None
    said: tuple[tuple[float, Reason], ...]
    early: tuple[Reason, ...]
    found: tuple[Reason, ...]

    @property
    def in_time(self) -> bool:
        """Whether the provoked fault was found in time."""
        return self.found_s is not None and self.found_s <= FOUND_WITHIN_S

    @property
    def hint_is_right(self) -> bool:
        """See the head of this module."""
        told = [reason for at_s, reason in self.said if at_s <= FOUND_WITHIN_S]
        return self.clip.fault in told or (self.in_time and bool(told) and told[0] in self.clip.also)

    @property
    def false_prompt(self) -> bool:
        """Whether something was said that is not so."""
        true = {self.clip.fault, *self.clip.also}
        return bool(self.early) or any(reason not in true for _, reason in self.said)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "clip": self.clip.name,
            "fault": self.clip.fault,
            "found_s": None if self.found_s is None else round(self.found_s, 3),
            "said": [[round(at_s, 3), reason] for at_s, reason in self.said],
            "early": list(self.early),
            "found": list(self.found),
            "in_time": self.in_time if self.clip.fault else None,
            "hint_is_right": self.hint_is_right if self.clip.fault else None,
            "false_prompt": self.false_prompt,
        }


def seen(clip: CoachClip, frames: Iterable[Frame], engine: Engine) -> Seen:
    """What a fresh engine makes of the clip's frames."""
    found_s: float | None = None
    said: dict[Reason, float] = {}
    early: list[Reason] = []
    found: dict[Reason, None] = {}
    for frame in frames:
        progress = engine.push(frame)
        since_s = frame.t_s - clip.onset_s
        hint = progress.hint
        if since_s < 0:
            if hint is not None and hint not in early:
                early.append(hint)
            continue
        if hint is not None and hint not in early:
            said.setdefault(hint, since_s)
        found.update(dict.fromkeys(progress.faults))
        if found_s is None and clip.fault in progress.faults:
            found_s = since_s
    return Seen(clip, found_s, tuple((at_s, r) for r, at_s in said.items()), tuple(early), tuple(found))


def measured(part: Part, portrait: ByteArray, engine: Callable[[], Engine]) -> Iterator[Seen]:
    """Every clip of the part, one after the other. portrait: uint8 BGR [shape=(512, 512, 3)]."""
    for clip in coach_grid.clips(part):
        yield seen(clip, clip.frames(portrait), engine())


def _share(hits: Sequence[bool]) -> float:
    return sum(hits) / len(hits)


def _percent(hits: Sequence[bool]) -> str:
    return f"{_share(hits):.0%} ({sum(hits)} of {len(hits)})".replace("%", " %")


def markdown(part: Part, outcomes: Sequence[Seen]) -> str:
    """One row a fault, one for the good clips, and what went wrong by name. No dates, no places."""
    rows, short = [], []
    for fault in coach_grid.FAULTS:
        members = [o for o in outcomes if o.clip.fault is fault]
        if not members:
            continue
        times_s = sorted(o.found_s for o in members if o.found_s is not None)
        found, right = [o.in_time for o in members], [o.hint_is_right for o in members]
        if min(_share(found), _share(right)) < LEAST_RECALL:
            short.append(fault.value)
        rows.append(
            [
                fault.value,
                str(len(members)),
                _percent(found),
                f"{times_s[len(times_s) // 2]:.1f}" if times_s else "–",
                _percent(right),
                _percent([any(r is fault for at_s, r in o.said if at_s <= FOUND_WITHIN_S) for o in members]),
                _percent([o.false_prompt for o in members]),
            ]
        )
    good = [o for o in outcomes if o.clip.fault is None]
    told = (
        f"Part of the grid: {part} ({len(outcomes)} rendered clips; thresholds were set on the part {Part.TUNE}). "
        f"The rule for masks was changed after the part {Part.JUDGE} had been looked at once (covered was 9 of 12 "
        "then). "
        f"Found: the provoked fault is among what is found within {FOUND_WITHIN_S:g} s of its onset. Hint right: "
        "it is said in that time, or it is found and what was said first is another fault that the clip truly has "
        "(moving on the way to the edge, outside the picture when near). Said itself: the provoked fault and no "
        "other counts. Wrong hint: something is said, before the onset or after it, that the clip does not have."
    )
    text = [
        "# What the coach sees",
        told,
        table(
            ["fault", "clips", "found in 2 s", "median s", "hint right", "said itself", "wrong hint"], rows
        ),
    ]
    if good:
        false = [o.false_prompt for o in good]
        text.append(
            f"Good clips with a false prompt: {_percent(false)}; wanted at most {100 * MOST_FALSE:.0f} %."
        )
        if _share(false) > MOST_FALSE:
            short.append("good clips")
    text.append(
        f"Short of what is wanted ({100 * LEAST_RECALL:.0f} % found and hinted, {100 * MOST_FALSE:.0f} % false): "
        f"{', '.join(short) or 'nothing'}."
    )
    if failed := [line for o in outcomes if (line := _failure(o)) is not None]:
        text += ["## What went wrong, clip by clip", "\n".join(f"- {line}" for line in failed)]
    return "\n\n".join(text) + "\n"


def _failure(outcome: Seen) -> str | None:
    clip = outcome.clip
    told = ", ".join(f"{reason} at {at_s:.1f} s" for at_s, reason in outcome.said) or "nothing"
    if outcome.early:
        told += f", before the onset {', '.join(outcome.early)}"
    if clip.fault is not None and not outcome.in_time:
        return f"{clip.name}: not found; said: {told}"
    if clip.fault is not None and not outcome.hint_is_right:
        return f"{clip.name}: found, the hint is wrong; said: {told}"
    return f"{clip.name}: wrong hint; said: {told}" if outcome.false_prompt else None


def to_json(part: Part, outcomes: Sequence[Seen]) -> dict[str, Any]:
    """Everything, as plain values."""
    return {"schema": SCHEMA, "part": part, "clips": [outcome.to_json() for outcome in outcomes]}
