"""What the settings show of a microphone that is tried: how long the bar is, and what that means."""

from __future__ import annotations

from dataclasses import dataclass

from client.devices.ports import Level
from client.language import marked, said

LEAST_DBFS, QUIET_DBFS, LOUD_DBFS = -70.0, -50.0, -3.0
"""dB, a sine of full scale at 0. Left end of the bar; below: hardly anything; above: it distorts. Speech at arm's length is about −30."""
_HOLD_S = 2.0
"""What was loud stays loud for so long, for speech has pauses."""

ONLY_SILENCE = marked(
    "The microphone gives only silence. Switch it on (a key or a switch at it), raise its level in the system's sound "
    "settings, and allow this program to use it there."
)
QUIET = marked(
    "Hardly anything is heard. Speak; if that changes nothing, raise its level in the system's sound settings."
)
HEARD = marked("Something is heard. If that is your voice, it works.")
LOUD = marked("Too loud. Lower its level in the system's sound settings, or move it away.")


@dataclass(frozen=True, slots=True)
class MeterView:
    """share, loudest_share: of the bar, 0 to 1; now, and of the last two seconds. level, words: in the person's language."""

    share: float
    loudest_share: float
    level: str
    words: str


class Hearing:
    """Remembers the last two seconds of levels."""

    def __init__(self) -> None:
        self._last: list[tuple[float, float]] = []

    def view(self, level: Level, now_s: float) -> MeterView:
        """What is shown of this level at that second of the clock."""
        self._last = [(at_s, dbfs) for at_s, dbfs in self._last if now_s - at_s < _HOLD_S]
        self._last.append((now_s, level.dbfs))
        loudest = max(dbfs for _, dbfs in self._last)
        if level.only_zeros:
            words = ONLY_SILENCE
        elif loudest < QUIET_DBFS:
            words = QUIET
        else:
            words = HEARD if loudest < LOUD_DBFS else LOUD
        shown = said("{level} dB", level=f"{max(LEAST_DBFS, level.dbfs):.0f}".replace("-", "−"))
        return MeterView(_share(level.dbfs), _share(loudest), shown, said(words))


def _share(dbfs: float) -> float:
    return min(1.0, max(0.0, 1.0 - dbfs / LEAST_DBFS))
