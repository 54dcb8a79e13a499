"""The installed command under rough handling: every scan must end as the contract says, whatever happens to it.

    .venv/bin/python .ci/torture.py

Rates and scenes of the demo, Ctrl-C at odd moments, two scans at once, video files with damage. Each must end with the right exit status in time; status 1 (our bug) and a traceback are never right.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

COMMAND = Path(sys.executable).parent / "health-helper"
LIMIT_S = 180.0
ENDS_WITHIN_S = 5.0
"""After Ctrl-C, on a busy machine."""


class Tally:
    """What was right and what was not."""

    def __init__(self) -> None:
        self.right = 0
        self.wrong = 0

    def note(self, what: str, problem: str | None, begun_s: float) -> None:
        self.right, self.wrong = self.right + (problem is None), self.wrong + (problem is not None)
        print(
            f"{'right' if problem is None else 'WRONG'}  {time.monotonic() - begun_s:5.1f} s  {what}",
            flush=True,
        )
        if problem:
            print(f"       {problem}", flush=True)


def start(*flags: str) -> subprocess.Popen[str]:
    command = [str(COMMAND), "scan", *flags, "--json", "--no-save"]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )


def end(process: subprocess.Popen[str], statuses: set[int]) -> tuple[dict[str, Any] | None, str | None]:
    """The JSON object where there must be one, and what is wrong, if anything is."""
    try:
        output, errors = process.communicate(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return None, f"did not end within {LIMIT_S:.0f} s"
    if process.returncode not in statuses or "Traceback" in errors:
        said = _reasons(output) if process.returncode == 3 else errors.strip()[-500:]
        return None, f"ended with {process.returncode}, not {sorted(statuses)}: {said}"
    if process.returncode not in {0, 3}:
        return None, f"standard output is not empty: {output[:80]}" if output else None
    try:
        return json.loads(output), None
    except json.JSONDecodeError as error:
        return None, f"standard output is not one JSON object: {error}"


def _reasons(output: str) -> str:
    try:
        return str(json.loads(output)["vitals"]["heart_rate"])
    except (ValueError, KeyError):
        return output[:500]


def rates(tally: Tally) -> None:
    """A simulated heart is read within 1 /min."""
    for bpm in (50, 72, 120, 160):
        begun_s = time.monotonic()
        result, problem = end(start("--demo", "--demo-bpm", str(bpm)), {0})
        if result:
            value = result["vitals"]["heart_rate"]["value"]
            problem = None if value is not None and abs(value - bpm) <= 1 else f"reads {value}"
        tally.note(f"demo at {bpm} /min", problem, begun_s)


def scenes(tally: Tally) -> None:
    """Where there is no living person there is no number."""
    for scene in ("photograph", "moved_photograph", "empty_room"):
        begun_s = time.monotonic()
        result, problem = end(start("--demo", "--demo-scene", scene, "--seconds", "20"), {3})
        if result:
            rate = result["vitals"]["heart_rate"]
            problem = None if rate["value"] is None and rate["reasons"] else f"reads {rate}"
        tally.note(f"demo of a {scene.replace('_', ' ')}", problem, begun_s)


def interruptions(tally: Tally, chance: random.Random) -> None:
    """Ctrl-C ends a scan at any moment, soon, with 130."""
    for _ in range(6):
        begun_s = time.monotonic()
        after_s = chance.uniform(1.5, 6.0)  # not before Python itself is up
        process = start("--demo", "--seconds", "600")
        time.sleep(after_s)
        process.send_signal(signal.SIGINT)
        told_s = time.monotonic()
        _, problem = end(process, {130})
        took_s = time.monotonic() - told_s
        if not problem and took_s > ENDS_WITHIN_S:
            problem = f"took {took_s:.1f} s to end"
        tally.note(f"Ctrl-C after {after_s:.1f} s, ended {took_s:.1f} s later", problem, begun_s)


def together(tally: Tally) -> None:
    """Two scans at once do not disturb each other."""
    begun_s = time.monotonic()
    both = [start("--demo", "--demo-bpm", str(bpm)) for bpm in (60, 90)]
    results = [end(process, {0}) for process in both]
    problem = next((problem for _, problem in results if problem), None)
    if not problem:
        values = [result["vitals"]["heart_rate"]["value"] for result, _ in results if result]
        problem = None if np.allclose(values, [60, 90], atol=1) else f"read {values}"
    tally.note("two scans at once", problem, begun_s)


def damaged_files(tally: Tally, chance: random.Random, folder: Path) -> None:
    """A damaged video is refused with 2 or measured as far as it goes; it is never our bug."""
    whole = folder / "whole.avi"
    writer = cv2.VideoWriter(str(whole), cv2.VideoWriter.fourcc(*"MJPG"), 30.0, (160, 120))
    picture = np.random.default_rng(1).integers(0, 255, (120, 160, 3), np.uint8)
    for shift in range(90):
        writer.write(np.roll(picture, shift, axis=1))
    writer.release()
    content = whole.read_bytes()
    for number in range(8):
        spoilt = bytearray(content)
        if number % 2:
            what = "cut"
            spoilt = spoilt[: chance.randrange(len(spoilt))]
        else:
            what = "overwritten in 40 places"
            for _ in range(40):
                spoilt[chance.randrange(len(spoilt))] = chance.randrange(256)
        path = folder / f"spoilt-{number}.avi"
        path.write_bytes(spoilt)
        begun_s = time.monotonic()
        _, problem = end(start("--video", str(path)), {2, 3})
        tally.note(f"a video {what} ({len(spoilt)} bytes left)", problem, begun_s)


def main() -> int:
    seed = int(os.environ.get("TORTURE_SEED", random.randrange(10**6)))
    print(f"TORTURE_SEED={seed} repeats this", flush=True)
    chance, tally = random.Random(seed), Tally()
    rates(tally)
    scenes(tally)
    if os.name != "nt":  # there is no SIGINT to send to a child there
        interruptions(tally, chance)
    together(tally)
    with tempfile.TemporaryDirectory(prefix="health-helper-torture-") as folder:
        damaged_files(tally, chance, Path(folder))
    print(f"torture: {tally.right} right, {tally.wrong} wrong")
    return 1 if tally.wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
