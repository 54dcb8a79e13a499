"""`make cloud`: one line when it is ready, nothing left when it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.backend_lambda import kiosk as over_http
from tests.backend_lambda.kiosk import Kiosk

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("local-cloud"),
    pytest.mark.skipif(os.name != "posix", reason="ends on SIGTERM"),
]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_is_and_ends_clean(number: signal.Signals) -> None:
    with tempfile.TemporaryDirectory() as folder:  # not pytest's: PostgreSQL runs as nobody where we are root
        Path(folder).chmod(0o755)
        _started_and_ended(number, Path(folder))


def _started_and_ended(number: signal.Signals, folder: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.stand_ins.local_cloud"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        facts = json.loads(process.stdout.readline())
        assert facts["pid"] == process.pid and facts["url"].startswith("http://127.0.0.1:")
        assert over_http.ask("GET", f"{facts['url']}/v1/health").json["ready"]
        assert Kiosk(facts["url"]).enrol(facts["enrolment_code"]).status == 200
    finally:
        process.send_signal(number)
        rest, _ = process.communicate(timeout=30)
    assert (process.returncode, rest) == (0, "")  # one line and no more
    assert list(folder.iterdir()) == []
    with pytest.raises(OSError, match="refused"):
        over_http.ask("GET", f"{facts['url']}/v1/health")


@pytest.mark.parametrize("port", ["65536", "-1", "http"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.stand_ins.local_cloud", f"--port={port}"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2 and "must be a number from 0 to 65535" in done.stderr
