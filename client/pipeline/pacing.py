"""When something may be tried again: full jitter by the monotonic clock, in memory only.

No wall clock decides, so none that was set stops sending; after a restart everything may be tried at once.
"""

from __future__ import annotations

from random import Random

from client.clock import Clock
from client.cloud.backoff import delay_s

_AT_MOST = 60
"""Failures that are counted; the delay has long stopped growing."""


class Pacing:
    """One pause for everything, which grows with each failure until something passes, and a rest for each thing that failed by itself.

    Each failure makes the pause longer, also one that is about a single thing: where that is the only trouble, the next one passes and
    the pause is over; where nothing passes, nobody is asked more often than full jitter allows.
    """

    def __init__(self, clock: Clock, rng: Random) -> None:
        self._clock, self._rng = clock, rng
        self._failures = 0
        self._until_s = clock.now_s()
        self._rests: dict[str, float] = {}

    def failed(self, retry_after_s: float | None = None) -> None:
        """A request came to nothing; retry_after_s: of everything, as the server said."""
        self.pause(delay_s(self._failures, self._rng, retry_after_s))
        self._failures = min(self._failures + 1, _AT_MOST)

    def passed(self) -> None:
        """A request was answered."""
        self._failures = 0

    def pause(self, seconds: float) -> None:
        """Nothing for so long."""
        self._until_s = max(self._until_s, self._clock.now_s() + seconds)

    def shorten(self, seconds: float) -> None:
        """The pause lasts so long at most, and the next failure counts as the first: something has changed."""
        self._failures = 0
        self._until_s = min(self._until_s, self._clock.now_s() + seconds)

    def rest(self, name: str, seconds: float) -> None:
        """That one not for so long."""
        self._rests[name] = self._clock.now_s() + seconds

    def rest_after(self, name: str, tries: int, retry_after_s: float | None) -> None:
        """As `rest`, after it has failed. tries: how often, 1 or more."""
        self.rest(name, delay_s(tries - 1, self._rng, retry_after_s))

    def clear(self) -> None:
        """Everything may be tried now: somebody asked for it."""
        self._failures, self._until_s = 0, self._clock.now_s()
        self._rests.clear()

    @property
    def pause_s(self) -> float:
        """Seconds that the pause still lasts, or 0."""
        return max(0.0, self._until_s - self._clock.now_s())

    def resting(self) -> set[str]:
        """Those that may not be tried yet."""
        now_s = self._clock.now_s()
        self._rests = {name: until_s for name, until_s in self._rests.items() if until_s > now_s}
        return set(self._rests)

    def first_rested_s(self) -> float | None:
        """Seconds until the first of them may; None: nothing rests."""
        if not self.resting():
            return None
        return min(self._rests.values()) - self._clock.now_s()

    def between(self, least_s: float, most_s: float) -> float:
        """A time by chance, so that many devices do not come at once."""
        return self._rng.uniform(least_s, most_s)
