"""Worker processes: everything comes back, a death costs one case, and a stop leaves nothing running."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from client.errors import EnvironmentFault
from client.evaluation.outcomes import OURS
from client.evaluation.selection import Grid, Selection, tasks
from client.evaluation.workers import Task, measured
from tests.client.evaluation import stand_in_grid

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Starts a worker with the tiny grid."""
    monkeypatch.chdir(ROOT)
    text = Selection(grid=Grid.ALL).to_text()
    return stand_in_grid.own_command("bench", "worker", "--folder", str(tmp_path), "--selection", text)


def wanted(monkeypatch: pytest.MonkeyPatch, *names: str) -> list[Task]:
    monkeypatch.setenv("STAND_IN_CASES", ",".join(names))
    return tasks(stand_in_grid.trace_cases(), ())


def test_every_case_comes_back_once_by_several_workers(
    command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = wanted(monkeypatch, "still-1", "photograph", "still-2")
    lines = {line.case: line for line in measured(asked, command=command, workers=2)}
    assert set(lines) == {"still-1", "photograph", "still-2"}
    assert {line.key for line in lines.values()} == {key for task in asked for key in task.keys.values()}
    (found,) = lines["still-1"].outcomes
    assert found.tool == OURS and found.failed is None and found.oracle_db == 9.0
    assert set(found.vitals) == {"heart_rate", "respiratory_rate", "rmssd", "sdnn"}
    assert found.live and found.cost["cpu_s"]
    assert lines["still-2"].outcomes[0].vitals == found.vitals


def test_a_case_that_breaks_or_kills_its_worker_is_put_down_and_the_others_go_on(
    command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = {
        line.case: line.outcomes[0]
        for line in measured(wanted(monkeypatch, "dies", "breaks", "photograph"), command=command, workers=1)
    }
    assert lines["breaks"].failed == "ZeroDivisionError: in the middle"
    assert lines["dies"].failed == "ended with status 9" and lines["dies"].truth.heart_rate == 72.0
    assert lines["photograph"].failed is None


def test_closing_ends_the_workers_in_the_middle_of_a_case(
    command: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started: list[subprocess.Popen[str]] = []

    class Counted(subprocess.Popen[str]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Counted)
    begun_s = time.monotonic()
    with closing(measured(wanted(monkeypatch, "photograph", "slow"), command=command, workers=1)) as lines:
        assert next(lines).case == "photograph"
        while not (tmp_path / "begun").exists():
            time.sleep(0.02)
    assert time.monotonic() - begun_s < 30
    assert started and all(
        process.returncode is not None for process in started
    )  # none is left, and none a zombie


def test_a_machine_that_is_not_ready_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = '{"fault": {"title": "No net", "remedy": "Fetch it."}}'
    command = [os.sys.executable, "-c", f"input(); print({answer!r})"]  # type: ignore[attr-defined]
    with pytest.raises(EnvironmentFault, match="No net"):
        list(measured(wanted(monkeypatch, "still-1"), command=command, workers=1))


def test_a_selection_comes_back_from_text() -> None:
    before = Selection(Grid.CI, subset=3, only="x", data=Path("a") / "b", layout="pure")
    assert Selection.from_text(before.to_text()) == before
