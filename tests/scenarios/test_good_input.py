"""What is good input gives a right heart rate, from whichever source it comes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
import pytest

from client.app import real_parts
from client.clock import SystemClock
from client.pipeline.run import ScanRun
from client.pipeline.session import Goal
from edge_models.types import Estimate, Frame
from tests.scenarios.conftest import BPM, Scan
from tests.stand_ins import clips
from tests.stand_ins.mjpeg_server import Behaviour, MjpegServer

ROOT = Path(__file__).resolve().parents[2]
Film = Callable[..., list[Frame]]


def test_a_file_shows_the_true_rate_its_beats_and_what_it_cost(
    scan: Scan, tmp_path: Path, person: list[Frame]
) -> None:
    path = clips.write_clip(tmp_path / "clip.mkv", [frame.image for frame in person], fps=30)
    said = scan("--video", path)
    assert said.status == 0
    rate = said.json["vitals"]["heart_rate"]
    assert rate["value"] == pytest.approx(BPM, abs=2.0)
    assert rate["low"] <= rate["value"] <= rate["high"]
    assert said.json["frames"] == len(person)
    assert said.json["source"] == "clip.mkv"
    assert said.json["simulated"] is False
    assert 8 <= len(said.json["beats_s"]) <= 16
    cost = said.json["cost"]
    assert cost["startup_cpu_s"] + cost["decode_cpu_s"] <= cost["cpu_s"]
    assert 0.0 < cost["frame_ms_p50"] <= cost["frame_ms_p95"]
    assert cost["wall_s"] > 0.0
    assert f"{rate['value']:.0f} /min" in said.err


def test_the_demo_shows_the_rate_that_was_asked_for_and_is_marked(scan: Scan, tmp_path: Path) -> None:
    said = scan("--demo", "--demo-bpm", "96", "--seconds", "15", "--report", tmp_path / "demo.pdf")
    assert said.status == 0
    assert said.json["vitals"]["heart_rate"]["value"] == pytest.approx(96.0, abs=2.0)
    assert said.json["simulated"] is True
    assert "SIMULATED" in said.err
    assert (tmp_path / "demo.pdf").read_bytes().startswith(b"%PDF-")


@pytest.mark.parametrize("scene", ["photograph", "empty_room"])
def test_what_has_no_pulse_shows_none(scan: Scan, scene: str) -> None:
    said = scan("--demo", "--demo-scene", scene, "--seconds", "12")
    assert said.status == 3
    assert said.json["vitals"]["heart_rate"]["value"] is None
    assert said.json["beats_s"] == []


def test_a_real_face_reads_what_was_published_with_it(scan: Scan, shared_data: Callable[[str], Path]) -> None:
    said = scan("--video", shared_data("face-clips/evm-face-53bpm.mp4"))
    assert said.status == 0
    assert said.json["vitals"]["heart_rate"]["value"] == pytest.approx(53.0, abs=3.0)


def measured(run: ScanRun) -> Estimate:
    assert run.wait(60.0)
    return run.outcome().result.vitals["heart_rate"]


@pytest.mark.slow
def test_a_stream_reads_the_same_as_the_file_at_30_at_15_and_at_an_uneven_rate(
    film: Film, person: list[Frame], tmp_path: Path
) -> None:
    """Three cameras over real sockets at their own pace, at once; and the same pictures as files."""
    parts = real_parts(SystemClock())
    films = {"30": person, "15": film(fps=15.0), "uneven": film(timing="uneven")}
    rates: dict[str, dict[str, Estimate]] = {"file": {}, "stream": {}}
    streams: dict[str, ScanRun] = {}
    with ExitStack() as stack:
        for name, frames in films.items():
            quality = [cv2.IMWRITE_JPEG_QUALITY, 95]
            served = [(f.t_s, cv2.imencode(".jpg", f.image, quality)[1].tobytes()) for f in frames]
            path = tmp_path / f"{name}.mkv"
            decoded = [
                np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), dtype=np.uint8)
                for _, jpeg in served
            ]
            clips.write_timed_clip(path, decoded, [f.t_s for f in frames], header_fps=len(frames) / 12.0)
            with ScanRun(parts.video(path), parts.engine, goal=Goal(), clock=parts.clock) as run:
                rates["file"][name] = measured(run)
            server = stack.enter_context(MjpegServer(served, Behaviour(stamps=name == "uneven")))
            source = parts.url(server.url)
            streams[name] = ScanRun(source, parts.engine, goal=Goal(), clock=parts.clock)
        for run in streams.values():
            stack.enter_context(run)
        for name, run in streams.items():
            rates["stream"][name] = measured(run)
    for name in films:
        file, stream = rates["file"][name].value, rates["stream"][name].value
        assert file is not None, f"{name}: {rates['file'][name].reasons}"
        assert stream is not None, f"{name}: {rates['stream'][name].reasons}"
        assert file == pytest.approx(BPM, abs=2.0), name
        assert stream == pytest.approx(file, abs=1.5), name


@pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals are POSIX's")
def test_ctrl_c_in_a_terminal_ends_the_live_display_with_130_and_gives_the_cursor_back() -> None:
    import pty

    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "client", "scan", "--demo"],
        cwd=ROOT,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"},
    )
    os.close(theirs)
    shown = b""
    try:
        deadline_s = time.monotonic() + 30.0
        while b"frames/s" not in shown and time.monotonic() < deadline_s:
            shown += os.read(ours, 65536)
        child.send_signal(signal.SIGINT)
        asked_s = time.monotonic()
        while True:
            try:
                more = os.read(ours, 65536)
            except OSError:  # Linux says so when the other side is closed
                break
            if not more:
                break
            shown += more
        out, _ = child.communicate(timeout=10.0)
        took_s = time.monotonic() - asked_s
    finally:
        child.kill()
        child.wait(10.0)
        os.close(ours)
    assert child.returncode == 130
    assert took_s < 5.0, (
        "a second to end, and the interpreter's own end on a busy machine; the demo lasts 40 s"
    )
    assert out == b""
    assert b"SIMULATED" in shown
    assert shown.rfind(b"\x1b[?25h") > shown.rfind(b"\x1b[?25l")
    assert b"Stopped before the end" in shown


def test_the_shape_of_a_real_scan_is_the_golden_one(scan: Scan) -> None:
    from tests.client.cli.test_scan import GOLDEN

    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    printed = scan("--demo", "--seconds", "11").json
    assert list(printed) == list(golden)
    assert printed["vitals"].keys() == golden["vitals"].keys()
    for name, vital in golden["vitals"].items():
        assert list(printed["vitals"][name]) == list(vital)
        assert printed["vitals"][name]["unit"] == vital["unit"]
    for part in ("quality", "cost"):
        assert list(printed[part]) == list(golden[part])
    assert list(printed["trend"][0]) == list(golden["trend"][0])
