"""`health-helper bench`: what it says, on real processes and small clips."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from client.evaluation import coach_grid, peers, random_scans
from edge_models.simulate.scene import Scene, SceneKind
from edge_models.types import Frame, Reason
from tests.client.cli.conftest import Bench, Said
from tests.client.evaluation.fakes import GOOD, says, scripted_peer
from tests.client.pipeline.fakes import ScriptedSource
from tests.stand_ins.clips import pictures, write_clip

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A second of video without a face."""
    return write_clip(tmp_path / "clip.mkv", pictures(30), fps=30.0)


@pytest.fixture
def fake_peer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The only known peer is a script."""
    peer = scripted_peer(tmp_path, says(GOOD))
    monkeypatch.setattr(peers, "known", lambda: (peer,))


def test_a_clip_that_is_given_is_measured_and_none_is_simulated(
    bench: Bench, command: Callable[..., Said], clip: Path
) -> None:
    said = command("bench", "cost", "--clip", str(clip), "--runs", "2", "--json")
    told = json.loads(said.out)
    assert (said.status, told["clip"], told["truth_bpm"]) == (0, "clip.mkv", None)
    assert [run["tool"] for run in told["runs"]] == ["Health Helper", "Health Helper"]
    assert "2 of 2  Health Helper:" in said.err
    assert bench.asked == []


def test_the_simulated_clip_is_made_once_for_all_runs_and_taken_away(
    bench: Bench,
    command: Callable[..., Said],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    fake_peer: None,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    bench.source = ScriptedSource([Frame(image, k / 30) for k, image in enumerate(pictures(30))])
    said = command("bench", "cost", "--peers", "--runs", "2", "--json")
    told = json.loads(said.out)
    assert said.status == 0, said.err
    assert [run["tool"] for run in told["runs"]] == ["Health Helper", "fake peer"] * 2
    assert told["truth_bpm"] == 72.0
    assert len(bench.asked) == 1
    assert list((tmp_path / "temporary").iterdir()) == []


def test_the_table_is_markdown_with_both_names(
    command: Callable[..., Said], clip: Path, fake_peer: None
) -> None:
    said = command("bench", "cost", "--peers", "--clip", str(clip), "--runs", "1")
    lines = [line for line in said.out.splitlines() if line.startswith("|")]
    assert said.status == 0
    assert "Health Helper" in lines[0] and "fake peer" in lines[0]
    assert set(lines[1]) <= set("|-: ")
    assert len({line.count("|") for line in lines}) == 1
    assert any("70.5" in line and "–" in line for line in lines if "heart rate" in line)


def test_a_missing_peer_is_said_before_a_clip_is_made(
    bench: Bench, command: Callable[..., Said], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(peers, "ROOT", tmp_path)
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "peers-vitallens.txt").write_text("x==1\n")
    said = command("bench", "cost", "--peers")
    assert said.status == 4 and bench.asked == []
    assert said.err == (
        "Error: vitallens 0.6.2 POS is not installed for the comparison. "
        "Run 'health-helper bench install-peers' and try again.\n"
    )


@pytest.mark.parametrize("arguments", [["--runs", "0"], ["--runs", "101"], ["--clip", "not-there.mp4"]])
def test_what_cannot_be_measured_is_refused(command: Callable[..., Said], arguments: list[str]) -> None:
    assert command("bench", "cost", *arguments).status == 2


def test_a_clip_that_is_no_video_is_bad_input(command: Callable[..., Said], tmp_path: Path) -> None:
    (tmp_path / "notes.mp4").write_text("no video")
    said = command("bench", "cost", "--clip", str(tmp_path / "notes.mp4"), "--runs", "1")
    assert said.status == 2 and "The clip cannot be measured" in said.err


def test_the_coach_is_measured_on_every_clip_of_the_part_that_is_named(
    command: Callable[..., Said], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    small = Scene(duration_s=0.5, width_px=96, height_px=72, face_width_px=30.0)
    asked = []

    def clips(part: coach_grid.Part) -> list[coach_grid.CoachClip]:
        asked.append(part)
        return [
            coach_grid.CoachClip("far 00: small", Reason.TOO_FAR, small, small),
            coach_grid.CoachClip("good 00: small", None, small, small),
        ]

    monkeypatch.setattr(coach_grid, "clips", clips)
    said = command("bench", "coach", "--part", "tune", "--out", str(tmp_path / "new"))
    assert (said.status, asked) == (0, [coach_grid.Part.TUNE]), said.err
    assert said.out == (tmp_path / "new" / "coach.md").read_text(encoding="utf-8")
    assert "0 % (0 of 1)" in said.out and "far 00: small: not found" in said.out
    told = json.loads((tmp_path / "new" / "coach.json").read_text(encoding="utf-8"))
    assert told["part"] == "tune" and [c["false_prompt"] for c in told["clips"]] == [False, False]


def test_a_part_of_the_coach_s_grid_that_is_not_there_is_bad_input(command: Callable[..., Said]) -> None:
    said = command("bench", "coach", "--part", "both")
    assert said.status == 2 and "Choose one of tune, judge." in said.err


def test_a_folder_that_cannot_be_made_is_said(
    command: Callable[..., Said], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(coach_grid, "clips", lambda _: [])
    (tmp_path / "file").write_text("in the way")
    assert command("bench", "coach", "--out", str(tmp_path / "file" / "new")).status == 4


def test_the_confidence_is_fitted_and_judged_on_simulated_scans(
    command: Callable[..., Said], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    short = Scene(duration_s=10.0)
    screen = replace(short, kind=SceneKind.PHOTOGRAPH, screen_light=0.05)

    def nobody(number: int) -> tuple[str, Scene]:
        # Photographs that nothing but the confidence keeps from being shown, so that there is something to fit.
        return "before a screen", replace(screen, seed=(47, 54, 27)[number % 3])

    monkeypatch.setattr(random_scans, "person", lambda number: ("still", replace(short, seed=number)))
    monkeypatch.setattr(random_scans, "nobody", nobody)
    said = command("bench", "confidence", "--scans", "3", "--out", str(tmp_path / "new"))
    assert said.status == 0, said.err
    assert said.out == (tmp_path / "new" / "confidence.md").read_text(encoding="utf-8")
    assert "Written: confidence.md, confidence.json" in said.err
    told = json.loads((tmp_path / "new" / "confidence.json").read_text(encoding="utf-8"))
    assert told["scans"]["people"] == 3 and len(told["weights"]) == 8
    assert [asked["weights"] for asked in told["asked"]] == ["fitted, five-fold", "fitted", "in use"]
    in_use = told["asked"][2]["thresholds"]["0.9"]["final"]
    assert (in_use["right"]["count"], in_use["right"]["of"]) == (3, 3)
    assert (in_use["wrong"]["of"], in_use["nobodies"]["count"], in_use["nobodies"]["of"]) == (3, 0, 3)


def test_a_folder_that_cannot_be_made_is_said_before_a_scan_is_simulated(
    command: Callable[..., Said], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(random_scans, "person", lambda _: pytest.fail("a scan was simulated"))
    (tmp_path / "file").write_text("in the way")
    assert command("bench", "confidence", "--out", str(tmp_path / "file" / "new")).status == 4


def test_too_few_scans_for_a_fit_are_refused(
    command: Callable[..., Said], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    short = Scene(duration_s=10.0)
    monkeypatch.setattr(random_scans, "person", lambda number: ("still", replace(short, seed=number)))
    monkeypatch.setattr(random_scans, "nobody", lambda number: ("still", replace(short, seed=number)))
    said = command("bench", "confidence", "--scans", "1", "--out", str(tmp_path))
    assert said.status == 2 and "--scans" in said.err
    assert list(tmp_path.iterdir()) == []


def test_peers_that_are_there_are_not_installed_again(command: Callable[..., Said], fake_peer: None) -> None:
    said = command("bench", "install-peers")
    assert said.status == 0 and "fake: is installed already" in said.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_a_polite_kill_end_it_within_seconds(number: signal.Signals, tmp_path: Path) -> None:
    """While the clip is simulated: the temporary folder goes, nothing is printed but one line."""
    process = subprocess.Popen(
        [sys.executable, "-m", "client", "bench", "cost"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline_s = time.monotonic() + 60
    while not list(tmp_path.glob("health-helper-*/*")) and time.monotonic() < deadline_s:
        time.sleep(0.02)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, ""), err
    assert "Traceback" not in err and "Stopped before the end" in err
    assert list(tmp_path.iterdir()) == []
