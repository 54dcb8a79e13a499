"""A source that plays a script, an engine that counts, a clock that is turned by hand."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Self

import numpy as np

from client.devices.ports import SourceFacts
from client.errors import SourceStalled
from edge_models.types import (
    Estimate,
    Frame,
    Progress,
    Quality,
    Reason,
    ScanResult,
    Trace,
    TrendPoint,
)

PICTURE = np.zeros((4, 4, 3), dtype=np.uint8)
EMPTY = Trace(np.zeros(0), np.zeros(0))
FACTS = SourceFacts(name="script.mp4", live=False, simulated=False, header_fps=30.0, width_px=4, height_px=4)


def frames(count: int, fps: float = 30.0) -> list[Frame]:
    """Black frames at an even rate."""
    return [Frame(PICTURE, index / fps) for index in range(count)]


def estimate(value: float | None, *reasons: Reason, unit: str = "/min") -> Estimate:
    """An estimate ±2, or the reasons for none."""
    if value is None:
        return Estimate(None, None, None, unit, 0.0, reasons or (Reason.TOO_SHORT,), 30.0, "fake")
    return Estimate(value, value - 2.0, value + 2.0, unit, 0.9, reasons, 30.0, "fake")


def progress(t_s: float, accepted_s: float, **changes: object) -> Progress:
    """Progress with a heart rate of 70 unless told otherwise."""
    plain = Progress(t_s, accepted_s, round(t_s * 30.0) + 1, 30.0, None, None, estimate(70.0), EMPTY)
    return replace(plain, **changes)  # type: ignore[arg-type]


def scan_result(
    heart_rate: Estimate | None = None, *, seen_frames: int = 900, **changes: object
) -> ScanResult:
    """A result with a heart rate of 70, the other vital signs withheld."""
    t_s = np.arange(0.0, 30.0, 1.0 / 30.0)
    plain = ScanResult(
        duration_s=30.0,
        accepted_s=29.5,
        frames=seen_frames,
        measured_fps=30.0,
        vitals={
            "heart_rate": heart_rate or estimate(70.0),
            "respiratory_rate": estimate(None, Reason.SOURCES_DISAGREE),
            "rmssd": estimate(None, Reason.TOO_SHORT, unit="ms"),
            "sdnn": estimate(None, Reason.TOO_SHORT, unit="ms"),
        },
        beats_s=(0.41, 1.24),
        trend=(TrendPoint(10.0, 70.2, 68.0, 72.0), TrendPoint(11.0, None, None, None)),
        quality=Quality(0.91, (), None),
        bvp=Trace(t_s, np.sin(2.0 * np.pi * 70.0 / 60.0 * t_s)),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


@dataclass
class HandClock:
    """Time stands still until it is turned."""

    at_s: float = 100.0
    starts: datetime = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)

    def now_s(self) -> float:
        return self.at_s

    def process_cpu_s(self) -> float:
        return self.at_s / 2.0

    def thread_cpu_s(self) -> float:
        return self.at_s / 8.0

    def utc(self) -> datetime:
        return self.starts + timedelta(seconds=self.at_s - 100.0)


@dataclass
class Turn:
    """In a script: the clock goes on by so much."""

    seconds: float


@dataclass
class Hang:
    """In a script: the driver does not come back until the source is closed."""


class ScriptedSource:
    """A FrameSource that plays a script: frames, errors to raise, turns of the clock, a driver that hangs."""

    def __init__(
        self,
        script: Iterable[Frame | Exception | Turn | Hang],
        facts: SourceFacts = FACTS,
        *,
        clock: HandClock | None = None,
        grown: SourceFacts | None = None,
        open_error: Exception | None = None,
    ) -> None:
        self._script = iter(script)
        self._facts = facts
        self._clock = clock
        self._grown = grown
        self._open_error = open_error
        self.closed = threading.Event()
        self.reads = 0

    def open(self) -> SourceFacts:
        if self._open_error is not None:
            raise self._open_error
        return self._facts

    def read(self) -> Frame | None:
        self.reads += 1
        for item in self._script:
            if isinstance(item, Turn):
                assert self._clock is not None
                self._clock.at_s += item.seconds
            elif isinstance(item, Hang):
                self.closed.wait(20.0)
                return None
            elif isinstance(item, Exception):
                raise item
            else:
                return item
        return None

    def facts(self) -> SourceFacts:
        return self._grown or self._facts

    def close(self) -> None:
        self.closed.set()


@dataclass
class CountingEngine:
    """An Engine for which every frame counts, or none; it remembers what it was told to distrust."""

    answer: ScanResult | None = None
    pushed_s: list[float] = field(default_factory=list)
    distrusted: tuple[Reason, ...] | None = None
    fail_at: int | None = None
    gate: threading.Event | None = None
    counts: bool = True

    def push(self, frame: Frame) -> Progress:
        if self.gate is not None:
            self.gate.wait(20.0)
        if self.fail_at == len(self.pushed_s):
            raise ZeroDivisionError("a bug in the engine")
        self.pushed_s.append(frame.t_s)
        t_s = frame.t_s - self.pushed_s[0]
        return progress(t_s, t_s if self.counts else 0.0)

    def result(self, *, distrust: tuple[Reason, ...] = ()) -> ScanResult:
        self.distrusted = distrust
        return self.answer or scan_result(seen_frames=len(self.pushed_s))

    def make(self) -> Self:
        return self


def stalled() -> SourceStalled:
    """What a source raises that has nothing to give."""
    return SourceStalled(title="No picture came for 2 s", remedy="Check the cable.", retry=True)
