"""`health-helper bench` itself, on a tiny grid: results, resuming, stopping, and the table of the small fixed part."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from client.clock import SystemClock
from client.evaluation import grids, ledger, peers, regression, workers
from tests.client.cli.conftest import Bench, Said
from tests.client.evaluation import stand_in_grid
from tests.client.evaluation.fakes import GOOD, says, scripted_peer

ROOT = Path(__file__).resolve().parents[3]
TABLE = {
    "schema": regression.SCHEMA,
    "cells": {
        "traces/photograph": {
            "clips": 1,
            "with_pulse": 0,
            "shown": 0,
            "heart_rate_mae": None,
            "off_by_more_than_10": 0,
            "breathing_mae": None,
            "shown_without_pulse": 0,
            "failed": 0,
        }
    },
}


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, bench: Bench, tmp_path: Path) -> None:
    """The tiny grid in this process and in the workers, and a table beside it."""
    for name in ("trace_cases", "video_cases"):
        monkeypatch.setattr(grids, name, getattr(stand_in_grid, name))
    monkeypatch.setattr(
        grids, "ci_cases", lambda: [*stand_in_grid.video_cases(), *stand_in_grid.trace_cases()]
    )
    monkeypatch.setattr(workers, "own_command", stand_in_grid.own_command)
    monkeypatch.setattr(regression, "TABLE", tmp_path / "ci.json")
    monkeypatch.chdir(ROOT)
    bench.clock = SystemClock()


@pytest.fixture
def measure(tiny: None, command: Callable[..., Said], tmp_path: Path) -> Callable[..., Said]:
    """`measure("--grid", "all")`: the command with its results in a folder of this test."""

    def call(*arguments: str) -> Said:
        out, none = tmp_path / "results", tmp_path / "no-recordings"
        where = ["--out", str(out), "--recordings", str(none)]
        return command("bench", *where, "--workers", "2", "--no-plots", *arguments)

    return call


def test_everything_is_measured_and_written(measure: Callable[..., Said], tmp_path: Path) -> None:
    work = ROOT / ".cache" / "bench"
    before = set(work.glob("work-*"))  # of a run beside this one
    said = measure("--grid", "all")
    assert said.status == 0, said.err
    told = json.loads((tmp_path / "results" / "results.json").read_text("utf-8"))
    assert told["schema"] == "health-helper/bench/1"
    assert told["engine"] == ledger.engine_digest()
    traces = told["groups"]["traces"]["Health Helper"]
    assert traces["all"]["clips"] == 3 and traces["all"]["failed"] == 0
    assert traces["supported"]["heart_rate"]["coverage"]["of"] == 2
    assert traces["all"]["negatives"]["shown"]["of"] == 1
    assert set(traces["by"]["condition"]) == {"still", "photograph"}
    assert told["groups"]["video"]["Health Helper"]["all"]["negatives"]["shown"]["count"] == 0
    text = (tmp_path / "results" / "tables.md").read_text("utf-8")
    assert "## Against the targets" in text and text in said.out
    assert str(tmp_path) not in text and str(ROOT) not in text
    assert set(work.glob("work-*")) <= before


def test_what_is_done_is_not_done_again_and_the_text_is_the_same(
    measure: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert measure("--grid", "traces").status == 0
    first = (tmp_path / "results" / "tables.md").read_bytes()
    monkeypatch.setattr(workers, "own_command", lambda *_: ["no-such-program"])
    said = measure("--grid", "traces")
    assert said.status == 0 and "3 of 3 are measured already" in said.err
    assert (tmp_path / "results" / "tables.md").read_bytes() == first


def test_a_changed_engine_and_fresh_are_measured_anew(
    measure: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert measure("--grid", "traces", "--only", "photo").status == 0
    assert "measured already" not in measure("--grid", "traces", "--only", "photo", "--fresh").err
    monkeypatch.setattr("client.evaluation.selection.engine_digest", lambda: "another")
    monkeypatch.setattr(ledger, "engine_digest", lambda: "another")
    assert "measured already" not in measure("--grid", "traces", "--only", "photo").err
    assert len((tmp_path / "results" / "clips.jsonl").read_text("utf-8").splitlines()) == 1


def test_a_part_is_chosen_in_a_fixed_way_that_nests(measure: Callable[..., Said], tmp_path: Path) -> None:
    assert measure("--grid", "traces", "--subset", "1").status == 0
    said = measure("--grid", "traces", "--subset", "2")
    assert "1 of 2 are measured already" in said.err
    assert "1 of 1 are measured already" in measure("--grid", "traces", "--every", "3").err


def test_a_failed_clip_is_told_and_counts_as_not_shown(
    measure: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_CASES", "breaks,still-1")
    said = measure("--grid", "traces")
    assert said.status == 0 and "Failed: traces/breaks, Health Helper: ZeroDivisionError" in said.err
    told = json.loads((tmp_path / "results" / "results.json").read_text("utf-8"))
    assert told["groups"]["traces"]["Health Helper"]["failed"] == {
        "breaks": "ZeroDivisionError: in the middle"
    }


def test_peers_measure_the_same_clips_as_whole_processes_and_ours_beside_them(
    measure: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = scripted_peer(tmp_path, says(GOOD))
    monkeypatch.setattr(peers, "known", lambda: (peer,))
    monkeypatch.setenv("STAND_IN_PEER", str(tmp_path))
    said = measure("--grid", "all", "--peers")
    assert said.status == 0, said.err
    told = json.loads((tmp_path / "results" / "results.json").read_text("utf-8"))
    ours, theirs = told["groups"]["video"]["Health Helper"], told["groups"]["video"]["fake peer"]
    assert theirs["all"]["negatives"]["shown"]["count"] == 1  # it prints a number for noise
    assert ours["all"]["negatives"]["shown"]["count"] == 0
    for cost in (ours["cost"], theirs["cost"]):
        assert cost["process_cpu_s"] > 0 and cost["peak_rss_mb"] > 10 and cost["startup_cpu_s"] > 0
    assert set(told["groups"]["traces"]) == {"Health Helper"}
    assert "fake peer" in said.out
    assert "5 of 5 are measured already" in measure("--grid", "all", "--peers").err


def test_a_missing_peer_is_said_before_anything_is_measured(
    measure: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = scripted_peer(tmp_path, says(GOOD))
    peer.lock.write_text("another==1\n", "utf-8")
    monkeypatch.setattr(peers, "known", lambda: (peer,))
    said = measure("--grid", "all", "--peers")
    assert said.status == 4 and "install-peers" in said.err
    assert not (tmp_path / "results").exists()


def test_the_small_part_is_accepted_and_then_compared(measure: Callable[..., Said], tmp_path: Path) -> None:
    said = measure("--grid", "ci")
    assert said.status == 4 and "--grid ci --accept" in said.err
    assert measure("--grid", "ci", "--accept").status == 0
    said = measure("--grid", "ci")
    assert said.status == 0 and "No cell is worse than in ci.json" in said.err


def test_a_cell_that_got_worse_ends_it_with_one_and_its_name(
    measure: Callable[..., Said], tmp_path: Path
) -> None:
    assert measure("--grid", "ci", "--accept").status == 0
    table = json.loads((tmp_path / "ci.json").read_text("utf-8"))
    table["cells"]["traces/still"]["shown"] = 3
    (tmp_path / "ci.json").write_text(json.dumps(table), "utf-8")
    said = measure("--grid", "ci")
    assert said.status == 1 and "Worse: traces/still: " in said.err


def test_plots_are_drawn_where_they_can_be(
    measure: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert measure("--grid", "traces").status == 0
    monkeypatch.setattr("client.cli.bench.find_spec", lambda name: None)
    assert "make bench" not in measure("--grid", "traces").err
    assert not list((tmp_path / "results").glob("*.png"))
    monkeypatch.setattr("client.cli.bench.find_spec", lambda name: name)
    measure("--grid", "traces", "--plots")
    assert (tmp_path / "results" / "traces-by-condition.svg").is_file()


@pytest.mark.parametrize(
    "arguments", [["--grid", "none"], ["--grid", "everything"], ["--subset", "0"], ["--only", "no such clip"]]
)
def test_what_selects_nothing_is_refused(measure: Callable[..., Said], arguments: list[str]) -> None:
    assert measure(*arguments).status == 2


def test_a_file_in_place_of_the_folder_is_said(measure: Callable[..., Said], tmp_path: Path) -> None:
    (tmp_path / "results").write_text("x", "utf-8")
    said = measure("--grid", "traces")
    assert said.status == 4 and "--out" in said.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_keeps_what_is_done_and_the_next_run_goes_on(number: signal.Signals, tmp_path: Path) -> None:
    where = ["--out", str(tmp_path), "--recordings", str(tmp_path / "no")]
    arguments = ["bench", "--grid", "traces", "--no-plots", *where]
    process = subprocess.Popen(
        stand_in_grid.own_command(*arguments, "--workers", "1"),
        cwd=ROOT,
        env={**os.environ, "STAND_IN_CASES": "photograph,slow"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline_s = time.monotonic() + 60
    done = tmp_path / "clips.jsonl"
    while not (done.exists() and done.read_bytes().endswith(b"\n")) and time.monotonic() < deadline_s:
        time.sleep(0.02)  # the file is there before its line is
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, ""), err
    assert "Stopped before the end. The same command goes on from there." in err and "Traceback" not in err
    ended = subprocess.run(
        stand_in_grid.own_command(*arguments, "--only", "photo"),
        cwd=ROOT,
        env={**os.environ, "STAND_IN_CASES": "photograph,slow"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "1 of 1 are measured already" in ended.stderr


def test_cells_are_worse_only_beyond_the_tolerances() -> None:
    before = {**TABLE["cells"]["traces/photograph"], "with_pulse": 8, "shown": 8, "heart_rate_mae": 0.5}  # type: ignore[index]
    worse = regression._worse
    assert worse(before, before) == []
    assert worse(before, {**before, "shown": 7, "heart_rate_mae": 1.0}) == []
    assert worse(before, {**before, "shown": 6}) == ["6 of 8 shown, before 8"]
    assert len(worse(before, {**before, "heart_rate_mae": 1.01})) == 1
    assert (
        len(worse(before, {**before, "off_by_more_than_10": 1, "failed": 1, "shown_without_pulse": 1})) == 3
    )
    assert worse(before, {**before, "heart_rate_mae": 0.1, "shown": 8}) == []
    few = {**before, "with_pulse": 3, "shown": 3}
    assert len(worse(few, {**few, "shown": 2})) == 1
