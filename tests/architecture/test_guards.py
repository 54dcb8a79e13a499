"""The guards of tests/conftest.py do catch what they are there for."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]

LEAKS_A_THREAD = """
import threading

ended = threading.Event()

def test_leaks():
    threading.Thread(target=ended.wait, name="forgotten", daemon={daemon}).start()

def test_is_not_blamed():
    pass

def teardown_module():
    ended.set()
"""

STOPS_ITS_THREAD = """
import threading

def test_ends():
    ended = threading.Event()
    threading.Thread(target=ended.wait, args=(0.2,), name="ending").start()
"""


HANGS = """
import time

import pytest

@pytest.mark.timeout(1)
def test_hangs():
    time.sleep(50)

def test_is_not_lost():
    pass
"""


def run_alone(folder: Path, test: str, *options: str) -> str:
    """Pytest's output for one file of tests beside a copy of our conftest, in an interpreter of its own."""
    shutil.copy(ROOT / "tests" / "conftest.py", folder)
    (folder / "test_it.py").write_text(test, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:randomly",
        "-p",
        "no:cacheprovider",
        *options,
        str(folder),
    ]
    return subprocess.run(
        [*command, "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    ).stdout


@pytest.mark.parametrize("daemon, workers", [(True, "-n0"), (False, "-n0"), (True, "-n2")])
def test_a_test_that_leaves_a_thread_fails_and_names_it(tmp_path: Path, daemon: bool, workers: str) -> None:
    output = run_alone(tmp_path, LEAKS_A_THREAD.format(daemon=daemon), workers, "--dist=loadfile")
    assert "left running: forgotten" in output, output
    assert "2 passed, 1 error" in output, output


def test_a_thread_that_ends_soon_is_no_leak(tmp_path: Path) -> None:
    output = run_alone(tmp_path, STOPS_ITS_THREAD)
    assert "1 passed" in output and "error" not in output, output


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_a_test_that_hangs_fails_and_the_others_go_on(tmp_path: Path, workers: str) -> None:
    output = run_alone(tmp_path, HANGS, workers, "--dist=loadfile")
    assert "Timeout (>1.0s)" in output, output
    assert "1 failed, 1 passed" in output, output


def test_an_unclosed_file_is_a_failure(tmp_path: Path) -> None:
    output = run_alone(tmp_path, "import gc\ndef test_forgets():\n    open(__file__)\n    gc.collect()\n")
    assert "ResourceWarning" in output and "passed" not in output.splitlines()[-1], output


@pytest.mark.parametrize("address", [("192.0.2.1", 9), ("2001:db8::1", 9)])  # documentation addresses
def test_a_connection_beyond_this_machine_is_refused(address: tuple[str, int]) -> None:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.socket(family) as connection:
        connection.settimeout(0.1)
        with pytest.raises(AssertionError, match=r"socket\.connect"):
            connection.connect(address)


def test_a_datagram_beyond_this_machine_is_refused() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
        with pytest.raises(AssertionError, match=r"socket\.sendto"):
            connection.sendto(b"x", ("192.0.2.1", 9))


def test_a_look_up_of_a_name_is_refused() -> None:
    with pytest.raises(AssertionError, match=r"socket\.getaddrinfo"):
        socket.getaddrinfo("host.invalid", 80)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_loopback_is_open(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection((host, server.getsockname()[1]), timeout=5):
            pass


def test_chance_is_the_same_on_every_run(rng: np.random.Generator) -> None:
    assert rng.integers(1000, size=3).tolist() == [495, 359, 360]
