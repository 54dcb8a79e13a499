"""A program run to its end: what it cost, children included, and that nothing of it is left when the wait ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from client.clock import SystemClock
from client.errors import EnvironmentFault
from client.evaluation.peers import ROOT
from client.evaluation.process import Ended, run_to_end

BURN = "import time\nwhile time.process_time() < 0.4: pass\n"
PARENT = "import subprocess, sys\nsubprocess.run([sys.executable, '-S', '-c', {burn!r}])\n"


def python(code: str, *, limit_s: float = 30.0) -> Ended:
    return run_to_end([sys.executable, "-S", "-c", code], clock=SystemClock(), limit_s=limit_s)


def test_status_output_and_errors_are_kept() -> None:
    ended = python("import sys; print('out'); print('first\\nlast', file=sys.stderr); sys.exit(7)")
    assert (ended.status, ended.output, ended.last_words) == (7, "out\n", "last")


def test_more_output_than_a_pipe_holds_does_not_block() -> None:
    assert len(python("print('x' * 1_000_000)").output) == 1_000_001


def test_processor_time_of_children_counts_and_waiting_does_not() -> None:
    assert python(PARENT.format(burn=BURN)).cpu_s >= 0.4
    waiting = python("import time; time.sleep(0.4)")
    assert waiting.wall_s >= 0.4 and waiting.cpu_s < 0.4


def test_a_program_that_is_not_there_is_told() -> None:
    with pytest.raises(EnvironmentFault, match="/no/such/program could not be started"):
        run_to_end(["/no/such/program"], clock=SystemClock())


def test_a_program_gets_the_persons_environment_and_not_the_settings_of_our_own_process() -> None:
    inner = (
        "import os; print(*(os.environ.get(n) for n in ('OPENBLAS_NUM_THREADS', 'VECLIB_MAXIMUM_THREADS')))"
    )
    code = (
        "import sys, client.__main__ as command, client.app\n"
        "from client.clock import SystemClock\n"
        "def bench():\n"
        "    from client.devices.opencv import prepare_opencv\n"
        "    from client.evaluation.process import run_to_end\n"
        "    prepare_opencv()\n"
        f"    print(run_to_end([sys.executable, '-S', '-c', {inner!r}], clock=SystemClock()).output, end='')\n"
        "    opencv = 'import os; print(*(n for n in os.environ if n.startswith(\"OPENCV\")))'\n"
        "    print(run_to_end([sys.executable, '-S', '-c', opencv], clock=SystemClock()).output, end='')\n"
        "    return 0\n"
        "client.app.main = bench\n"
        "sys.exit(command.main())\n"
    )
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("OPENCV") and name != "VECLIB_MAXIMUM_THREADS"
    }
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**environment, "OPENBLAS_NUM_THREADS": "3"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert ended.stdout == "3 None\n\n"


WITH_CHILD = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"])
open({pids!r}, "w").write(f"{{os.getpid()}} {{child.pid}}")
time.sleep(60)
"""


def is_running(pid: int) -> bool:
    """Whether it still runs; one that nobody reaped yet (Z) does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def all_end(pids: list[int]) -> bool:
    deadline_s = time.monotonic() + 5
    while any(is_running(pid) for pid in pids):
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.01)
    return True


def test_a_program_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    with pytest.raises(EnvironmentFault, match="did not end within 1 s"):
        python(WITH_CHILD.format(pids=str(pids)), limit_s=1.0)
    assert all_end([int(pid) for pid in pids.read_text().split()])


def test_ctrl_c_ends_the_program_and_its_children(tmp_path: Path) -> None:
    pids = tmp_path / "pids"

    def interrupt() -> None:
        while not (pids.exists() and len(pids.read_text().split()) == 2):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    other = threading.Thread(target=interrupt)
    other.start()
    with pytest.raises(KeyboardInterrupt):
        python(WITH_CHILD.format(pids=str(pids)))
    other.join()
    assert all_end([int(pid) for pid in pids.read_text().split()])
