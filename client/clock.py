"""Time and processor time. The one place of the application that asks the machine what time it is."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What the pipeline needs to know of time; tests hand in one that they turn by hand."""

    def now_s(self) -> float:
        """Monotonic seconds since an arbitrary moment; never steps, not even when the wall clock is set."""

    def process_cpu_s(self) -> float:
        """Processor seconds of the whole process since it started, all threads together."""

    def thread_cpu_s(self) -> float:
        """Processor seconds of the calling thread."""

    def utc(self) -> datetime:
        """The wall clock, with its time zone (UTC)."""


class SystemClock:
    """The machine's own clocks."""

    def now_s(self) -> float:
        return time.perf_counter()

    def process_cpu_s(self) -> float:
        return time.process_time()

    def thread_cpu_s(self) -> float:
        return time.thread_time()

    def utc(self) -> datetime:
        return datetime.now(UTC)


_CLOCKS_DIFFER = timedelta(minutes=1)


def lies_ahead(at: datetime, now: datetime) -> bool:
    """Whether a moment that was noted as past lies ahead: the clock was wrong then, or is now."""
    return at - now > _CLOCKS_DIFFER
