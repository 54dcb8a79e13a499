"""`health-helper scan` on scripted sources: flags, what goes to which stream, exit statuses."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from client.clock import SystemClock
from client.errors import BadInput, EnvironmentFault
from client.language import Sentence
from client.parts import CameraEntry, Demo, DemoScene, Kept
from client.pipeline.run import ScanRun
from client.store.database import StoreDamaged
from client.store.observations import Observation, Observations
from edge_models.types import Quality, Reason
from tests.client.cli.conftest import Bench, Said
from tests.client.pipeline.fakes import (
    FACTS,
    CountingEngine,
    Hang,
    ScriptedSource,
    estimate,
    frames,
    scan_result,
)
from tests.client.store.conftest import MemoryVault, kept_in

ROOT = Path(__file__).resolve().parents[3]
GOLDEN = ROOT / "tests" / "golden" / "scan.json"
Command = Callable[..., Said]
A_SECOND_S = 2.0
"""A second, and another for a busy machine; a driver that hangs would be waited for 20 s."""


def shape(value: object) -> object:
    """The same object with a word for the kind of each value; a list is its first element's shape."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value[:1]]
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return "number"
    return "null" if value is None else "text"


def test_the_json_has_exactly_the_keys_and_kinds_of_the_contract(command: Command) -> None:
    said = command("scan", "--video", "a.mp4", "--json")
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    printed = json.loads(said.out)
    assert list(printed) == list(golden), "keys, and their order"
    assert shape(printed) == shape(golden)
    assert printed["schema"] == golden["schema"]


def test_the_json_keeps_the_values_of_the_result(command: Command) -> None:
    printed = json.loads(command("scan", "--video", "a.mp4", "--json").out)
    assert printed["source"] == "script.mp4"
    assert printed["vitals"]["heart_rate"] == {
        "value": 70.0,
        "low": 68.0,
        "high": 72.0,
        "unit": "/min",
        "confidence": 0.9,
        "reasons": [],
        "window_s": 30.0,
        "algorithm": "fake",
    }
    assert printed["vitals"]["rmssd"]["value"] is None
    assert printed["vitals"]["rmssd"]["reasons"] == ["too_short"]
    assert printed["trend"][1] == {"t_s": 11.0, "heart_rate": None, "low": None, "high": None}
    assert printed["frames"] == 90


def test_with_json_standard_output_holds_one_object_and_nothing_else(command: Command) -> None:
    said = command("scan", "--video", "a.mp4", "--json", "--verbose")
    assert said.out.count("\n") == 1
    assert isinstance(json.loads(said.out), dict)
    assert "70 /min" in said.err
    assert "medical device" in said.err


def test_without_json_the_card_is_the_output(command: Command) -> None:
    said = command("scan", "--video", "a.mp4")
    assert said.status == 0
    assert "70 /min" in said.out
    assert "68 to 72" in said.out
    assert "Not a medical device" in said.out
    assert "70 /min" not in said.err.replace("70 (68 to 72) /min", "")


def test_a_withheld_heart_rate_ends_with_3_and_says_why_and_what_to_do(
    command: Command, bench: Bench
) -> None:
    bench.engine = CountingEngine(answer=scan_result(estimate(None, Reason.TOO_DARK)))
    said = command("scan", "--video", "a.mp4")
    assert said.status == 3
    assert "it was too dark" in said.out
    assert "Switch on a light" in said.out
    printed = json.loads(command("scan", "--video", "a.mp4", "--json").out)
    assert printed["vitals"]["heart_rate"]["reasons"] == ["too_dark"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BadInput(title="That is no video", remedy="Give another."), 2),
        (EnvironmentFault(title="The camera is taken", remedy="Close the other program."), 4),
    ],
)
def test_the_worlds_fault_is_one_line_with_a_remedy_and_no_json(
    command: Command, bench: Bench, error: BadInput, status: int
) -> None:
    bench.source = ScriptedSource([], open_error=error)
    said = command("scan", "--video", "a.mp4", "--json")
    assert said.status == status
    assert said.out == ""
    last = said.err.strip().splitlines()[-1]
    assert last == f"Error: {error.title}. {error.remedy}"
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--seconds", "nan", "--demo"),
        ("--seconds", "-3", "--demo"),
        ("--seconds", "0", "--demo"),
        ("--seconds", "inf", "--demo"),
        ("--seconds", "1e9", "--demo"),
        ("--seconds", "soon", "--demo"),
        ("--demo-bpm", "nan", "--demo"),
        ("--demo-bpm", "500", "--demo"),
        ("--demo-bpm", "72"),
        ("--demo-scene", "person"),
        ("--demo-scene", "a dog", "--demo"),
        ("--demo", "--video", "a.mp4"),
        ("--camera", "0", "--url", "http://localhost/"),
        ("--demo", "--report", "result.docx"),
        ("--demo", "--report", "result"),
        ("--unknown",),
        ("extra",),
        (),
    ],
)
def test_a_command_line_that_makes_no_sense_is_refused_before_anything_is_opened(
    command: Command, bench: Bench, arguments: tuple[str, ...]
) -> None:
    said = command("scan", *arguments)
    assert said.status == 2
    assert said.out == ""
    assert said.err.strip()
    assert bench.engine.pushed_s == []


def test_without_a_source_the_first_camera_is_taken(command: Command, bench: Bench) -> None:
    bench.found = (CameraEntry("2", "Desk"), CameraEntry("5", "Door"))
    bench.source = ScriptedSource(frames(90), replace(FACTS, live=True))
    assert command("scan").status == 0
    assert bench.asked == ["2"]


def test_no_camera_and_no_source_says_which_sources_there_are(command: Command) -> None:
    said = command("scan")
    assert said.status == 2
    for way in ("--video", "--url", "--demo"):
        assert way in said.err


def test_a_camera_measures_until_enough_signal_counted(command: Command, bench: Bench) -> None:
    bench.source = ScriptedSource(frames(4000))
    assert command("scan", "--camera", "0", "--seconds", "2").status == 0
    assert bench.engine.pushed_s[-1] == pytest.approx(2.0)  # on this engine every second counts


def test_a_file_is_read_to_its_end_or_for_the_seconds_asked_for(command: Command, bench: Bench) -> None:
    command("scan", "--video", "a.mp4")
    assert len(bench.engine.pushed_s) == 90
    bench.engine = CountingEngine()
    bench.source = ScriptedSource(frames(90))
    command("scan", "--video", "a.mp4", "--seconds", "1")
    assert len(bench.engine.pushed_s) == 31


def test_the_demo_is_what_was_asked_for_and_as_fast_as_it_can_where_nobody_looks_on(
    command: Command, bench: Bench
) -> None:
    command("scan", "--demo", "--demo-bpm", "120", "--demo-scene", "leaves", "--seconds", "12")
    command("scan", "--demo")
    assert bench.asked == [
        Demo(DemoScene.LEAVES, 120.0, 12.0, real_time=False),
        Demo(DemoScene.PERSON, 72.0, 40.0, real_time=False),
    ]


@pytest.mark.parametrize(
    ("arguments", "watched", "seconds"),
    [
        (("--camera", "0"), False, 15.0),
        (("--url", "http://localhost/"), False, 15.0),
        (("--url", "http://localhost/", "--seconds", "18"), False, 15.0),
        (("--demo", "--seconds", "20"), True, 15.0),
        (("--demo", "--seconds", "20"), False, 20.0),
        (("--demo", "--seconds", "20", "--json"), True, 20.0),
        (("--video", "a.mp4"), True, 29.9),
    ],
)
def test_only_what_takes_a_persons_time_is_given_up(
    command: Command,
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    watched: bool,
    seconds: float,
) -> None:
    """watched: somebody looks at a terminal, so that the demo runs at a camera's pace."""
    nobody = scan_result(
        estimate(None, Reason.NO_FACE), quality=Quality(0.0, (Reason.NO_FACE,), Reason.NO_FACE)
    )
    bench.engine = CountingEngine(answer=nobody, counts=False)
    bench.source = ScriptedSource(frames(300, fps=10.0))
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: watched, raising=False)
    said = command("scan", *arguments)
    assert said.status == 3
    assert bench.engine.pushed_s[-1] == pytest.approx(seconds, abs=0.11)
    early = seconds == 15.0
    assert ("Ended early, because going on would not have helped: no face was seen." in said.err) is early


def test_what_is_simulated_is_marked_on_the_card_in_the_json_and_in_the_report(
    command: Command, bench: Bench, tmp_path: Path
) -> None:
    bench.source = ScriptedSource(frames(90), replace(FACTS, simulated=True))
    path = tmp_path / "result.json"
    said = command("scan", "--demo", "--json", "--report", str(path))
    assert json.loads(said.out)["simulated"] is True
    assert json.loads(path.read_text(encoding="ascii"))["simulated"] is True
    assert "SIMULATED - no person was measured" in said.err


def test_nothing_is_saved_where_nobody_wants_it_and_the_store_is_not_asked(
    command: Command, bench: Bench
) -> None:
    def never() -> Kept:
        raise AssertionError("the store was opened")

    bench.store = never
    said = command("scan", "--video", "a.mp4", "--json", "--no-save")
    assert (json.loads(said.out)["saved"], json.loads(said.out)["saved_reason"]) == (False, "no_save")
    assert "Not saved" in said.err
    bench.source = ScriptedSource(frames(90), replace(FACTS, simulated=True))
    said = command("scan", "--demo", "--json")
    assert (json.loads(said.out)["saved"], json.loads(said.out)["saved_reason"]) == (False, "simulated")


def test_without_a_key_store_the_scan_is_shown_and_the_reason_said(command: Command) -> None:
    said = command("scan", "--video", "a.mp4", "--json")
    assert said.status == 0
    printed = json.loads(said.out)
    assert (printed["saved"], printed["saved_reason"]) == (False, "keyring_missing")
    assert printed["vitals"]["heart_rate"]["value"] is not None
    assert "no key store" in said.err


@pytest.mark.parametrize("kept_first", [False, True])
def test_a_save_that_meets_damage_is_done_once_more_and_keeps_one(
    command: Command, bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kept_first: bool
) -> None:
    vault, save, tries = MemoryVault(), Observations.save, []

    def damaged_once(self: Observations, made: Observation, **more: Any) -> None:
        tries.append(made.line.id)
        if len(tries) > 1 or kept_first:
            save(self, made, **more)
        if len(tries) == 1:
            raise StoreDamaged

    monkeypatch.setattr(Observations, "save", damaged_once)
    bench.store = lambda: kept_in(tmp_path / "store", vault)
    said = command("scan", "--video", "a.mp4", "--json")
    assert (json.loads(said.out)["saved"], len(tries), len(set(tries))) == (True, 2, 1)
    with kept_in(tmp_path / "store", vault) as kept:
        assert kept.observations.count(None) == 1


def test_skipped_frames_are_owned_up_to(command: Command, bench: Bench) -> None:
    bench.engine = CountingEngine(gate=threading.Event())
    source = ScriptedSource(frames(50), replace(FACTS, live=True))
    bench.source = source
    gate = bench.engine.gate
    assert gate is not None

    def open_when_all_is_read() -> None:
        while source.reads < 51:
            time.sleep(0.002)
        gate.set()

    opener = threading.Thread(target=open_when_all_is_read)
    opener.start()
    said = command("scan", "--url", "http://localhost/")
    opener.join(5.0)
    assert "frames were skipped" in said.out


def test_notes_of_the_source_are_shown(command: Command, bench: Bench) -> None:
    bench.source = ScriptedSource(frames(90), grown=replace(FACTS, notes=(Sentence("The header lies."),)))
    assert "The header lies." in command("scan", "--video", "a.mp4").out


def test_a_report_is_written_and_named_without_its_folder(command: Command, tmp_path: Path) -> None:
    said = command("scan", "--video", "a.mp4", "--json", "--report", str(tmp_path / "result.json"))
    assert said.status == 0
    assert json.loads((tmp_path / "result.json").read_text(encoding="ascii")) == json.loads(said.out)
    assert "Report written: result.json" in said.err
    assert str(tmp_path) not in said.err


def test_a_report_into_a_missing_folder_is_refused_before_anybody_sits_still(
    command: Command, bench: Bench, tmp_path: Path
) -> None:
    said = command("scan", "--video", "a.mp4", "--json", "--report", str(tmp_path / "nowhere" / "result.pdf"))
    assert said.status == 4
    assert said.out == ""
    assert f"its folder {tmp_path / 'nowhere'} does not exist" in said.err


def test_a_report_whose_folder_goes_away_ends_with_4_and_the_result_is_shown_all_the_same(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "client.reports.files._replace", lambda path, content: (_ for _ in ()).throw(FileNotFoundError(2, ""))
    )
    said = command("scan", "--video", "a.mp4", "--json", "--report", str(tmp_path / "result.pdf"))
    assert said.status == 4
    assert json.loads(said.out)["vitals"]["heart_rate"]["value"] == 70.0
    assert f"its folder {tmp_path} does not exist" in said.err


def test_a_bug_is_not_swallowed(command: Command, bench: Bench) -> None:
    bench.engine = CountingEngine(fail_at=3)
    with pytest.raises(ZeroDivisionError):
        command("scan", "--video", "a.mp4")


def interrupted(
    command: Command, bench: Bench, number: signal.Signals, *, live: bool, arguments: tuple[str, ...]
) -> tuple[Said, float]:
    """A scan that gets a signal once frames are measured and hangs in its driver, and the seconds until its end."""
    bench.clock = SystemClock()
    source = ScriptedSource([*frames(30), Hang()], replace(FACTS, live=live))
    bench.source, bench.engine = source, CountingEngine()
    sent_s: list[float] = []

    def interrupt() -> None:
        until_s = time.monotonic() + 10.0
        while (source.reads < 31 or len(bench.engine.pushed_s) < 2) and time.monotonic() < until_s:
            time.sleep(0.005)
        time.sleep(0.05)  # what still waits in the queue is measured
        sent_s.append(time.monotonic())
        os.kill(os.getpid(), number)

    sender = threading.Thread(target=interrupt)
    sender.start()
    said = command("scan", *arguments)
    took_s = time.monotonic() - sent_s[0]
    sender.join(5.0)
    return said, took_s


needs_signals = pytest.mark.skipif(
    os.name == "nt", reason="Windows sends no SIGINT to its own process in a test"
)


@needs_signals
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_file_with_130_within_a_second_and_prints_no_result(
    command: Command, bench: Bench, number: signal.Signals
) -> None:
    before = signal.getsignal(number)
    said, took_s = interrupted(command, bench, number, live=False, arguments=("--video", "a.mp4", "--json"))
    assert said.status == 130
    assert took_s < A_SECOND_S
    assert said.out == ""
    assert "Stopped before the end. Nothing was kept" in said.err
    assert signal.getsignal(number) is before


@needs_signals
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("source", [("--camera", "0"), ("--url", "http://localhost/")], ids=["camera", "url"])
def test_a_signal_ends_a_live_source_with_130_within_a_second_and_prints_what_was_measured(
    command: Command, bench: Bench, number: signal.Signals, source: tuple[str, str], tmp_path: Path
) -> None:
    report = tmp_path / "result.json"
    said, took_s = interrupted(
        command, bench, number, live=True, arguments=(*source, "--json", "--report", str(report))
    )
    assert said.status == 130
    assert took_s < A_SECOND_S
    assert json.loads(said.out)["frames"] == len(bench.engine.pushed_s)
    assert json.loads(said.out) == json.loads(report.read_text(encoding="ascii"))
    assert "70 /min" in said.err and "what was measured until then" in said.err
    plain, _ = interrupted(command, bench, number, live=True, arguments=source)
    assert plain.status == 130 and "70 /min" in plain.out and "until then" in plain.out


@needs_signals
def test_nothing_that_takes_a_lock_runs_in_a_signal_handler(
    command: Command, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The main thread spends its time waiting on a lock; a handler that wants the same one would hang for ever."""
    stop = ScanRun.stop
    waiting: list[bool] = []

    def looked_at(run: ScanRun) -> None:
        waiting.append(any(place.name == "wait" for place in traceback.extract_stack()))
        stop(run)

    monkeypatch.setattr(ScanRun, "stop", looked_at)
    said, _ = interrupted(command, bench, signal.SIGINT, live=True, arguments=("--camera", "0"))
    assert said.status == 130
    assert waiting == [False]


def test_the_help_says_that_a_stream_does_not_end_by_itself(command: Command) -> None:
    said = command("scan", "--help")
    words = " ".join(re.sub(r"[^\w\s.,:;-]", " ", said.out).split())
    assert "never ends by itself" in words
    assert "Ctrl-C in front of a camera or a stream shows what was measured" in words


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_behind_standard_output_is_the_environments_fault() -> None:
    with Path("/dev/full").open("w", encoding="ascii") as full:
        ended = subprocess.run(
            [
                sys.executable,
                "-m",
                "client",
                "scan",
                "--demo",
                "--demo-scene",
                "empty_room",
                "--seconds",
                "1",
                "--json",
            ],
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    assert ended.returncode == 4
    assert "Error: The output could not be written (No space left on device)." in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "Exception ignored" not in ended.stderr
