"""What has been measured already: a file of JSON lines that only grows, so that a stopped run goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import edge_models
from client.errors import EnvironmentFault
from client.evaluation.outcomes import Outcome

FORMAT = 1
"""Counts up when the way of measuring changes, so that older lines no longer count."""
_ENGINE = Path(edge_models.__file__).parent


def source_digest(folder: Path, *, without: tuple[str, ...] = ()) -> str:
    """Of all Python files and lists of weights in a folder, names included; `without` names folders in it."""
    digest = hashlib.sha256()
    for path in sorted([*folder.rglob("*.py"), *folder.rglob("*.toml")]):
        place = path.relative_to(folder)
        if place.parts[0] not in without:
            digest.update(f"{place.as_posix()}\0".encode())
            digest.update(path.read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()[:20]


def engine_digest() -> str:
    """Of everything that measures: edge_models without the simulator. A change of it means measuring anew."""
    return source_digest(_ENGINE, without=("simulate", "training"))


def simulator_digest() -> str:
    """Of everything that makes the simulated clips."""
    return source_digest(_ENGINE / "simulate")


@dataclass(frozen=True, slots=True)
class Line:
    """One job on one case, done. key: what its outcomes depend on: the input, and the tool's version."""

    group: str
    case: str
    job: str
    key: str
    outcomes: tuple[Outcome, ...]

    @property
    def place(self) -> tuple[str, str, str]:
        """Which job it is, whatever the versions."""
        return self.group, self.case, self.job

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "format": FORMAT,
            "group": self.group,
            "case": self.case,
            "job": self.job,
            "key": self.key,
            "outcomes": [outcome.to_json() for outcome in self.outcomes],
        }

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Line:
        """Raises KeyError, TypeError or ValueError for anything but what `to_json` gives."""
        if said["format"] != FORMAT:
            raise ValueError(f"format {said['format']}")
        outcomes = tuple(Outcome.from_json(outcome) for outcome in said["outcomes"])
        return cls(said["group"], said["case"], said["job"], said["key"], outcomes)


class Ledger:
    """The file of one folder of results. A half-written last line (a cut power cord) is dropped."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def done(self, is_current: Callable[[Line], bool]) -> dict[tuple[str, str, str], Line]:
        """Every line that still counts. The others are taken out of the file, so that it does not grow for ever."""
        lines: dict[tuple[str, str, str], Line] = {}
        stale = False
        try:
            with self._path.open(encoding="utf-8") as file:
                for text in file:
                    try:
                        line = Line.from_json(json.loads(text))
                    except (ValueError, KeyError, TypeError):
                        stale = True
                        continue
                    if is_current(line):
                        lines[line.place] = line
                    else:
                        stale = True
        except FileNotFoundError:
            return {}
        if stale:
            self._rewrite(lines.values())
        return lines

    def _rewrite(self, lines: Iterable[Line]) -> None:
        beside = self._path.with_suffix(".part")
        with beside.open("w", encoding="utf-8") as file:
            file.writelines(_text(line) for line in lines)
        beside.replace(self._path)

    def add(self, line: Line) -> None:
        """Put a line down at once. Raises EnvironmentFault where that is not possible."""
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(_text(line))
        except OSError as error:
            raise EnvironmentFault(
                title=f"The results could not be written ({error.strerror})",
                remedy="Free some space or choose another folder with --out.",
            ) from error

    def forget(self) -> None:
        """Nothing has been measured."""
        self._path.unlink(missing_ok=True)


def _text(line: Line) -> str:
    return json.dumps(line.to_json(), ensure_ascii=True, allow_nan=False) + "\n"
