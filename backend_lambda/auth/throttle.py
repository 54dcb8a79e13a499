"""What is told at most once in a while: whoever is refused must not be able to fill the audit by asking again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable

DENIALS_EVERY_S = 60.0


class Throttle:
    """Of one process; safe to share between threads. now_s: monotonic seconds."""

    def __init__(self, now_s: Callable[[], float], every_s: float = DENIALS_EVERY_S) -> None:
        self._now_s, self._every_s = now_s, every_s
        self._lock = threading.Lock()
        self._told_s: dict[Hashable, float] = {}

    def lets(self, what: Hashable) -> bool:
        """True: not told in the last every_s, and taken as told now."""
        now_s = self._now_s()
        with self._lock:
            self._told_s = {one: at_s for one, at_s in self._told_s.items() if now_s - at_s < self._every_s}
            if what in self._told_s:
                return False
            self._told_s[what] = now_s
            return True
