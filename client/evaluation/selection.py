"""What a run of the benchmark measures: which grids, how much of them, whose recordings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path

from client.errors import BadInput
from client.evaluation.cases import OUR_COMMAND, Case
from client.evaluation.ledger import engine_digest
from client.evaluation.outcomes import OURS
from client.evaluation.peers import Peer
from client.evaluation.workers import Task


class Grid(StrEnum):
    """Which simulated clips."""

    TRACES = "traces"
    VIDEO = "video"
    CI = "ci"
    """A small fixed part of both."""
    ALL = "all"
    NONE = "none"
    """Only recordings or a data set."""


@dataclass(frozen=True, slots=True)
class Selection:
    """subset: so many of each group; every: one in so many; both in a fixed order by chance that nests.

    only: a part of the names. recordings: a folder with the real recordings. data, layout: somebody's data set.
    """

    grid: Grid
    subset: int | None = None
    every: int | None = None
    only: str | None = None
    recordings: Path | None = None
    data: Path | None = None
    layout: str | None = None

    def to_text(self) -> str:
        """For a worker's command line."""
        plain = {
            name: str(value) if isinstance(value, Path) else value for name, value in asdict(self).items()
        }
        return json.dumps(plain)

    @classmethod
    def from_text(cls, text: str) -> Selection:
        """What `to_text` gave."""
        said = json.loads(text)
        paths = {name: Path(said[name]) if said[name] else None for name in ("recordings", "data")}
        return cls(**{**said, **paths, "grid": Grid(said["grid"])})

    def told(self) -> dict[str, object]:
        """For the results: without folders of this machine."""
        return {
            "grid": str(self.grid),
            "subset": self.subset,
            "every": self.every,
            "only": self.only,
            "layout": self.layout,
        }


def collect(selection: Selection) -> list[Case]:
    """Every case that is selected, the slow ones first. Raises BadInput for a folder that does not fit its layout."""
    from client.evaluation import grids, layouts, recordings

    cases: list[Case] = []
    if selection.grid in (Grid.VIDEO, Grid.ALL):
        cases += grids.video_cases()
    if selection.grid in (Grid.TRACES, Grid.ALL):
        cases += grids.trace_cases()
    if selection.grid is Grid.CI:
        cases += grids.ci_cases()
    if selection.recordings is not None and selection.grid is not Grid.CI:
        cases += recordings.cases(selection.recordings)
    if selection.data is not None:
        cases += layouts.cases(selection.data, selection.layout)
    cases = [
        case for case in cases if selection.only is None or selection.only in f"{case.group}/{case.name}"
    ]
    if not cases:
        raise BadInput(title="Nothing is selected", remedy="Choose another --grid, --only or --data.")
    return sorted(_part(cases, selection), key=lambda case: -case.effort)


def _part(cases: Iterable[Case], selection: Selection) -> list[Case]:
    groups: dict[str, list[Case]] = {}
    for case in cases:
        groups.setdefault(case.group, []).append(case)
    chosen: list[Case] = []
    for members in groups.values():
        drawn = sorted(members, key=_by_lot)
        if selection.every is not None:
            drawn = drawn[: max(1, len(drawn) // selection.every)]
        if selection.subset is not None:
            drawn = drawn[: selection.subset]
        wanted = {case.name for case in drawn}
        chosen += [case for case in members if case.name in wanted]
    return chosen


def _by_lot(case: Case) -> str:
    return hashlib.sha256(case.name.encode()).hexdigest()


def tasks(cases: Iterable[Case], peers: Iterable[Peer]) -> list[Task]:
    """Every case with its jobs: ours; with peers, every video by whole programs, ours among them."""
    peers = tuple(peers)
    engine = engine_digest()
    found = []
    for case in cases:
        versions = {OURS: engine}
        if case.is_video and peers:
            versions = {OUR_COMMAND: f"{engine} as a process", **{peer.name: peer.digest() for peer in peers}}
        print_ = case.fingerprint()
        found.append(Task(case, {job: f"{print_} {version}" for job, version in versions.items()}))
    return found


def without_done(wanted: Iterable[Task], done: Iterable[tuple[str, str, str]]) -> list[Task]:
    """What remains to be done."""
    finished = set(done)
    left = [
        replace(
            task,
            keys={
                job: key
                for job, key in task.keys.items()
                if (task.case.group, task.case.name, job) not in finished
            },
        )
        for task in wanted
    ]
    return [task for task in left if task.keys]
