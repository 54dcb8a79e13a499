"""A short week without a network, by the same script as the long one: all of it arrives, and what it costs is told."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("local-cloud"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="its memory and cost are read in /proc"),
]


def test_a_short_week_arrives() -> None:
    script = ROOT / ".ci" / "offline_week.py"
    done = subprocess.run(
        [sys.executable, str(script), "--scans", "20", "--documents", "3", "--no-window"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.stdout, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["lost"], found["parked"], found["missed"]) == (0, 0, []), done.stderr
    assert done.returncode == 0
    assert 0.0 < found["observations_s"] <= found["sync_s"] < 60.0
    assert 0.0 < found["memory_offline_mb"] <= found["memory_peak_mb"]
