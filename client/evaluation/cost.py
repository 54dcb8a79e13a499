"""What measuring a video costs, as whole processes: our own command and the peers', in turn, on the same file.

Machines are shared and speed changes from minute to minute: so every round runs each tool once (A B A B), ratios are
taken within a round, and medians are told.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Protocol

from client.clock import Clock
from client.errors import BadInput, EnvironmentFault
from client.evaluation.peers import ROOT, Peer
from client.evaluation.process import Ended, run_to_end

SCHEMA = "health-helper/bench-cost/1"
OURS = "Health Helper"


@dataclass(frozen=True, slots=True)
class Run:
    """One whole process. Processor seconds are user and system, children included; None: not told.

    startup_cpu_s: until the first frame was asked for (a peer: until it was imported). decode_cpu_s: reading frames.
    measure_cpu_s: all the rest of the process (a peer's: reading included). peak_rss_mb: 10^6 bytes at most at once,
    of the main process. heart_rate: /min, None where it was withheld.
    """

    tool: str
    cpu_s: float
    wall_s: float
    startup_cpu_s: float
    decode_cpu_s: float | None
    measure_cpu_s: float
    peak_rss_mb: float | None
    heart_rate: float | None


class Tool(Protocol):
    """Something that measures a video as a process of its own."""

    @property
    def name(self) -> str:
        """As shown in the table."""

    def command(self, video: Path) -> list[str]:
        """What to run. Raises EnvironmentFault where it is not there."""

    def read(self, ended: Ended) -> Run:
        """What the process said of itself. Raises BadInput or EnvironmentFault where it failed."""


@dataclass(frozen=True, slots=True)
class OwnScan:
    """`health-helper scan` of this installation."""

    name: str = OURS

    def command(self, video: Path) -> list[str]:
        """The command that a person would type, by this interpreter."""
        return [sys.executable, "-m", "client", "scan", "--video", str(video), "--json", "--no-save"]

    def read(self, ended: Ended) -> Run:
        """From the JSON of the scan; a heart rate that is honestly not shown (status 3) is a result."""
        if ended.status == BadInput.exit_status:
            raise BadInput(
                title=f"The clip cannot be measured: {ended.last_words}", remedy="Give another with --clip."
            )
        if ended.status not in (0, 3):
            raise _failed(self.name, ended)
        said = _json(self.name, ended)
        cost = said["cost"]
        return Run(
            tool=self.name,
            cpu_s=ended.cpu_s,
            wall_s=ended.wall_s,
            startup_cpu_s=cost["startup_cpu_s"],
            decode_cpu_s=cost["decode_cpu_s"],
            measure_cpu_s=ended.cpu_s - cost["startup_cpu_s"] - cost["decode_cpu_s"],
            peak_rss_mb=cost["peak_rss_mb"],
            heart_rate=said["vitals"]["heart_rate"]["value"],
        )


@dataclass(frozen=True, slots=True)
class PeerTool:
    """A peer behind its runner."""

    peer: Peer

    @property
    def name(self) -> str:
        """The peer's."""
        return self.peer.name

    def command(self, video: Path) -> list[str]:
        """Its runner in its own environment."""
        return self.peer.command(video)

    def read(self, ended: Ended) -> Run:
        """From the runner's JSON."""
        if ended.status:
            raise _failed(self.name, ended)
        said = _json(self.name, ended)
        return Run(
            tool=self.name,
            cpu_s=ended.cpu_s,
            wall_s=ended.wall_s,
            startup_cpu_s=said["startup_cpu_s"],
            decode_cpu_s=None,
            measure_cpu_s=ended.cpu_s - said["startup_cpu_s"],
            peak_rss_mb=said["peak_rss_mb"],
            heart_rate=said["heart_rate"],
        )


def in_turn(tools: Sequence[Tool], video: Path, rounds: int, clock: Clock) -> Iterator[Run]:
    """Each tool once, and again, `rounds` times; every run is told as soon as it has ended."""
    commands = [(tool, tool.command(video)) for tool in tools]  # what is missing is said before anything runs
    for _ in range(rounds):
        for tool, command in commands:
            yield tool.read(run_to_end(command, clock=clock, folder=ROOT))


@dataclass(frozen=True, slots=True)
class Comparison:
    """The runs in the order they were made, whole rounds of the same tools.

    clip: its file name and what is known of it. truth_bpm: the true heart rate, /min; None where nobody knows.
    """

    clip: str
    truth_bpm: float | None
    runs: tuple[Run, ...]

    @property
    def tools(self) -> tuple[str, ...]:
        """Names, in the order of their first run."""
        return tuple(dict.fromkeys(run.tool for run in self.runs))

    def of(self, tool: str) -> tuple[Run, ...]:
        """That tool's runs, one a round."""
        return tuple(run for run in self.runs if run.tool == tool)

    def middle(self, tool: str, field: str) -> float | None:
        """The median of a field over that tool's runs; None where no run tells it."""
        told = [value for run in self.of(tool) if (value := getattr(run, field)) is not None]
        return median(told) if told else None

    def cpu_ratios(self, tool: str) -> tuple[float, ...]:
        """Our processor seconds over that tool's, one ratio a round."""
        return tuple(
            ours.cpu_s / other.cpu_s for ours, other in zip(self.of(OURS), self.of(tool), strict=True)
        )

    def rows(self) -> list[tuple[str, ...]]:
        """The table: a heading row, then a row per quantity; the first cell names it, then one per tool."""
        rounds = len(self.of(self.tools[0]))
        truth = "" if self.truth_bpm is None else f" (truth {self.truth_bpm:.1f})"

        def row(title: str, field: str, places: int) -> tuple[str, ...]:
            return (title, *(_number(self.middle(tool, field), places) for tool in self.tools))

        def ratio(tool: str) -> str:
            if tool == OURS:
                return "1"
            ratios = self.cpu_ratios(tool)
            return f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"

        table = [
            (f"median of {rounds}, run in turn", *self.tools),
            row("processor time, whole process, s", "cpu_s", 2),
            row("· start-up", "startup_cpu_s", 2),
            row("· decoding", "decode_cpu_s", 2),
            row("· measuring (and decoding where not told apart)", "measure_cpu_s", 2),
            row("time on the wall, s", "wall_s", 1),
            row("peak memory, MB", "peak_rss_mb", 0),
            row(f"heart rate, /min{truth}", "heart_rate", 1),
        ]
        if len(self.tools) > 1:
            title = f"processor time of {OURS} over this one's, median of the rounds (range)"
            table.append((title, *(ratio(tool) for tool in self.tools)))
        return table

    def to_json(self) -> dict[str, object]:
        """Everything, as plain values."""
        fields = ("cpu_s", "startup_cpu_s", "decode_cpu_s", "measure_cpu_s", "wall_s", "peak_rss_mb")
        return {
            "schema": SCHEMA,
            "clip": self.clip,
            "truth_bpm": self.truth_bpm,
            "median": {
                tool: {field: self.middle(tool, field) for field in (*fields, "heart_rate")}
                for tool in self.tools
            },
            "cpu_ratio": {
                tool: {"median": median(self.cpu_ratios(tool)), "rounds": self.cpu_ratios(tool)}
                for tool in self.tools
                if tool != OURS
            },
            "runs": [asdict(run) for run in self.runs],
        }


def _number(value: float | None, places: int) -> str:
    return "–" if value is None else f"{value:.{places}f}"


def _json(name: str, ended: Ended) -> dict[str, Any]:
    """The last line of output: a peer may chat before it."""
    lines = ended.output.strip().splitlines()
    try:
        said = json.loads(lines[-1]) if lines else None
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise _failed(name, ended)
    return said


def _failed(name: str, ended: Ended) -> EnvironmentFault:
    return EnvironmentFault(
        title=f"{name} failed with status {ended.status}: {ended.last_words}",
        remedy="Measure the clip with it alone to see why; without --peers it is left out.",
    )
