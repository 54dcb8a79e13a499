"""How fast and how light the window is: start to usable, drawing during a scan, doing nothing, memory over a loop of scans.

    .venv/bin/python .ci/window_speed.py [--minutes 30] [--plot FILE]

On a display of its own (Xvfb; on other systems, and with --here, the one that is there). Prints a table and what was missed;
the exit status is 1 where something was. The simulated person is computed in the same process: a camera costs less.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
PROGRAM = ROOT / ".venv" / "bin" / "health-helper"
TARGETS = {
    "start to usable window, second start, s": 3.0,
    "interval between pictures during a scan, 95th percentile, ms": 50.0,
    "processor while idle, %": 1.0,
    "memory gained after the first three scans, MB": 30.0,
}
IDLE_S = 30.0
SCAN_S = 40.0
LEAST_SCANS = 4


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--here", action="store_true")
    asked = parser.parse_args()
    display = None if asked.here or not shutil.which("Xvfb") else _display()
    try:
        with tempfile.TemporaryDirectory(prefix="health-helper-") as home:
            os.environ["XDG_CONFIG_HOME"] = os.environ["XDG_DATA_HOME"] = home
            os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.fail.Keyring"
            folder = Path(home) / "health-helper"
            folder.mkdir()
            (folder / "window.ini").write_text("[General]\nconsent=1\nlanguage=en\nlock_after_min=0\n")
            found = dict(_started(), **_loop(asked.minutes, asked.plot))
    finally:
        if display is not None:
            display.terminate()
            display.wait()
    print(
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    )
    missed = []
    for name, value in found.items():
        limit = TARGETS.get(name)
        print(f"{name:64} {value:8.2f}" + (f"   (at most {limit:g})" if limit is not None else ""))
        if limit is not None and not value <= limit:
            missed.append(name)
    for name in missed:
        print(f"missed: {name}")
    return 1 if missed else 0


def _display() -> subprocess.Popen[bytes]:
    end, begin = os.pipe()
    process = subprocess.Popen(
        ["Xvfb", "-displayfd", str(begin), "-screen", "0", "1280x1024x24", "-nolisten", "tcp"],
        pass_fds=(begin,),
        stderr=subprocess.DEVNULL,
    )
    os.close(begin)
    with os.fdopen(end) as answer:
        os.environ["DISPLAY"] = f":{answer.readline().strip()}"
    os.environ["QT_QPA_PLATFORM"] = "xcb"
    return process


def _started() -> dict[str, float]:
    """Two starts; from the command to the first drawn window. Then nothing is done for a while."""
    taken_s, idle = [], 0.0
    for turn in range(2):
        began_s = time.perf_counter()
        process = subprocess.Popen(
            [str(PROGRAM), "window", "--demo", "--verbose"], stderr=subprocess.PIPE, text=True
        )
        assert process.stderr is not None
        for line in process.stderr:
            if '"window_usable"' in line:
                break
        taken_s.append(time.perf_counter() - began_s)
        if turn:
            time.sleep(3.0)
            before_s = _cpu_s(process.pid)
            time.sleep(IDLE_S)
            idle = 100.0 * (_cpu_s(process.pid) - before_s) / IDLE_S
        process.terminate()
        process.wait()
    return {
        "start to usable window, first start, s": taken_s[0],
        "start to usable window, second start, s": taken_s[1],
        "processor while idle, %": idle,
    }


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _loop(minutes: float, plot: Path | None) -> dict[str, float]:
    """Scan after scan in one window, as on a kiosk; pictures of a simulated person, each result discarded."""
    import logging

    from PySide6.QtCore import QEventLoop, QTimer

    from client import config, log
    from client.app import real_parts
    from client.clock import SystemClock
    from client.parts import Demo, DemoScene, WindowChoice
    from client.pipeline.session import Goal
    from client.ui.preferences import PreferencesFile
    from client.ui.start import Application, make_app

    paces: list[dict[str, float]] = []

    class Paces(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage() == "scan_drawn":
                paces.append(getattr(record, "fields", {}))

    log.start(verbose=True)
    logging.getLogger("health_helper").handlers = [Paces()]

    def pause(ms: int) -> None:
        """Not QTest.qWait: it keeps Python's lock, so that a scan beside it starves."""
        loop = QEventLoop()
        QTimer.singleShot(ms, loop.quit)
        loop.exec()

    parts = real_parts(SystemClock())
    choice = WindowChoice(
        source=lambda: parts.demo(Demo(DemoScene.PERSON, 72.0, SCAN_S, real_time=True)),
        goal=Goal(at_most_s=SCAN_S),
    )
    running = Application(make_app(), parts, choice, PreferencesFile(config.preferences_file()))
    running.show()
    began_s = time.perf_counter()
    memory: list[tuple[float, float]] = []
    while time.perf_counter() - began_s < 60.0 * minutes or len(memory) < LEAST_SCANS:
        running.window.begin()
        while running.window.scan.running:
            pause(200)
        pause(300)
        lines = Path("/proc/self/status").read_text().splitlines()
        rss_kb = next(int(line.split()[1]) for line in lines if "VmRSS" in line)
        memory.append(((time.perf_counter() - began_s) / 60.0, rss_kb / 1000.0))
        print(f"scan {len(memory)}: {memory[-1][1]:.0f} MB", file=sys.stderr, flush=True)
        running.window.go_to_scan()
    running.window.close()
    running.end()
    if plot is not None:
        _draw(memory, plot)
    worst = max(pace["interval_ms_p95"] for pace in paces)
    return {
        "scans in the loop": float(len(memory)),
        "interval between pictures during a scan, median, ms": paces[-1]["interval_ms_p50"],
        "interval between pictures during a scan, 95th percentile, ms": worst,
        "memory after the third scan, MB": memory[2][1],
        "memory gained after the first three scans, MB": memory[-1][1] - memory[2][1],
    }


def _draw(memory: list[tuple[float, float]], file: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7.0, 2.6))
    axes.plot(*zip(*memory, strict=True), marker="o", markersize=3, color="#0a5c8f")
    axes.set_ylim(0.0, 1.3 * max(mb for _, mb in memory))
    axes.set_xlabel("minutes of scans, one after another")
    axes.set_ylabel("memory, MB")
    figure.savefig(file, dpi=110, bbox_inches="tight")
    json.dump(memory, sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
