"""A tiny grid in place of the simulator's, and a program that is our command with it: workers start with it too.

    python -m tests.client.evaluation.stand_in_grid bench worker …

The traces are skin samples of a face whose cells all pulse alike, or do not; what is said of them is the engine's
business. "breaks" raises, "dies" kills its worker, "slow" takes a minute.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from client.evaluation import grids, peers
from client.evaluation.cases import (
    Case,
    PreparedTrace,
    TraceCase,
    VideoCase,
    VideoTruth,
    Workshop,
    fingerprint_of,
)
from client.evaluation.outcomes import OURS, Outcome, Truth
from edge_models.face import BACKGROUND_COLS, BACKGROUND_ROWS, COLS, ROWS, SkinSample
from edge_models.types import Box
from tests.client.evaluation.fakes import existing_peer
from tests.stand_ins.clips import pictures, write_clip

NAMES = ("still-1", "still-2", "photograph")


def prepared(name: str) -> PreparedTrace:
    """Nine seconds of a face."""
    alive = name.startswith("still")
    return PreparedTrace(
        samples=list(_samples(alive=alive)),
        size_px=(640, 480),
        duration_s=9.0,
        truth=Truth(has_pulse=alive, heart_rate=72.0 if alive else None),
        oracle_db=9.0 if alive else None,
        supported=True if alive else None,
    )


def _samples(*, alive: bool) -> Iterator[SkinSample]:
    rng = np.random.default_rng(0)
    for k in range(9 * 15):
        wave = 0.6 * np.sin(2 * np.pi * 1.2 * k / 15) if alive else 0.0
        noise = 0.05 * rng.standard_normal((ROWS, COLS, 3))
        yield SkinSample(
            t_s=k / 15,
            face=Box(230.0, 120.0, 170.0, 200.0),
            faces=1,
            cells=(np.array([150.0, 110.0, 90.0]) - wave * np.array([0.4, 1.0, 0.6]) + noise).astype(
                np.float32
            ),
            background=np.full((BACKGROUND_ROWS, BACKGROUND_COLS, 3), 90.0, np.float32),
            motion=(0.0, 0.0, 0.0, 0.0),
            chest_y=float("nan"),
            key=0,
            visible=1.0,
        )


@dataclass(frozen=True)
class Trouble:
    """A case that goes wrong in a way of its own."""

    name: str
    group: str = "traces"
    effort: float = 1.0
    is_video: bool = False

    def fingerprint(self) -> str:
        """Of its name."""
        return fingerprint_of(self.name)

    def measure(self, jobs: Sequence[str], workshop: Workshop) -> Iterator[tuple[str, list[Outcome]]]:
        """See the module's text."""
        if self.name == "dies":
            os._exit(9)
        if self.name == "slow":
            (workshop.folder / "begun").touch()
            threading.Event().wait(60.0)
        yield OURS, self.failure(OURS, "ended")

    def failure(self, job: str, why: str) -> list[Outcome]:
        """With a truth."""
        return [Outcome(self.name, self.group, OURS, 9.0, {}, Truth(True, 72.0), failed=why)]


def trace_cases() -> list[Case]:
    """Three traces, or what an environment variable names."""
    names = os.environ.get("STAND_IN_CASES", ",".join(NAMES)).split(",")
    found: list[Case] = []
    for name in names:
        if name in ("dies", "slow"):
            found.append(Trouble(name))
        elif name == "breaks":
            found.append(
                TraceCase(name, "traces", {}, name, lambda: prepared("still") if _second() else _raise())
            )
        else:
            axes = {"condition": name.split("-")[0]}
            found.append(TraceCase(name, "traces", axes, name, partial(prepared, name)))
    return found


_calls = 0


def _second() -> bool:
    """The first call is the measuring, the second asks for the truth of what failed."""
    global _calls  # noqa: PLW0603 (a script of the tests)
    _calls += 1
    return _calls % 2 == 0


def _raise() -> PreparedTrace:
    raise ZeroDivisionError("in the middle")


def video_cases() -> list[Case]:
    """One second without a face."""

    def make(folder: Path, workshop: Workshop) -> Path:
        return write_clip(folder / "clip.mkv", pictures(30), fps=30.0)

    def judge() -> VideoTruth:
        return VideoTruth(1.0, Truth(has_pulse=False))

    return [VideoCase("noise", "video", {"condition": "noise"}, "noise/1", make, judge)]


def stand_in() -> None:
    """Put the tiny grid in place."""
    grids.trace_cases = trace_cases
    grids.video_cases = video_cases
    grids.ci_cases = lambda: [*video_cases(), *trace_cases()]
    if folder := os.environ.get("STAND_IN_PEER"):
        peer = existing_peer(Path(folder))
        peers.known = lambda: (peer,)


def own_command(*arguments: str) -> list[str]:
    """In place of client.evaluation.workers.own_command."""
    return [sys.executable, "-m", "tests.client.evaluation.stand_in_grid", *arguments]


if __name__ == "__main__":
    from client.__main__ import main
    from client.evaluation import workers

    stand_in()
    workers.own_command = own_command
    sys.exit(main())
