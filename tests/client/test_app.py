"""The command as a process: what it loads, how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from client.pipeline.memory import _from_proc, peak_rss_mb
from edge_models.simulate.scene import SceneKind

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("cv2", "onnxruntime", "httpx", "fpdf", "scipy", "keyring", "PySide6")


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_help_and_the_import_of_the_command_load_nothing_heavy() -> None:
    code = (
        "import sys, json\n"
        "import client.__main__, client.app\n"
        "from client.clock import SystemClock\n"
        "status = client.app.run(client.app.real_parts(SystemClock()), ['scan', '--help'])\n"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "print(json.dumps([status, loaded]), file=sys.stderr)\n"
    )
    ended = python("-c", code)
    assert json.loads(ended.stderr.splitlines()[-1]) == [0, []]


def test_without_a_command_it_shows_its_help_and_says_that_this_is_a_usage_error() -> None:
    ended = python("-m", "client")
    assert ended.returncode == 2
    assert "scan" in ended.stdout + ended.stderr


def test_the_version_is_told() -> None:
    ended = python("-m", "client", "--version")
    assert ended.returncode == 0
    assert ended.stdout.startswith("health-helper ")


def test_our_own_bug_ends_with_1_and_a_traceback_without_paths() -> None:
    code = (
        "import sys\n"
        "import client.app\n"
        "def broken():\n"
        "    raise RuntimeError('a bug at /home/anna')\n"
        "client.app._engine = broken\n"
        "sys.argv = ['health-helper', 'scan', '--demo', '--seconds', '1', '--json']\n"
        "sys.exit(client.app.main())\n"
    )
    ended = python("-c", code)
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert "RuntimeError: a bug at <path>" in ended.stderr
    assert "client/pipeline/run.py" in ended.stderr
    assert "anna" not in ended.stderr
    assert str(ROOT) not in ended.stderr


def test_a_terminal_that_knows_only_ascii_is_survived(tmp_path: Path) -> None:
    film = tmp_path / "Müller ♥.mp4"
    film.write_bytes(b"")
    ended = python("-m", "client", "scan", "--video", str(film), PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert ended.returncode == 2
    assert ".mp4 is empty" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_scenes_of_the_demo_are_scenes_of_the_simulator() -> None:
    from client.cli.parts import DemoScene

    assert {scene.value for scene in DemoScene} <= {kind.value for kind in SceneKind}


def test_the_peak_of_memory_is_plausible_or_not_told(tmp_path: Path) -> None:
    peak_mb = peak_rss_mb()
    assert peak_mb is None or 10.0 < peak_mb < 10_000.0
    assert _from_proc(tmp_path / "missing") is None
    status = tmp_path / "status"
    status.write_text("Name:\tpython\nVmHWM:\t  200000 kB\n", encoding="ascii")
    assert _from_proc(status) == pytest.approx(204.8)


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to one process")
def test_ctrl_c_while_the_command_is_still_loading_ends_it_quietly() -> None:
    code = (
        "import builtins, os, signal, sys\n"
        "import client.__main__ as command\n"
        "real = builtins.__import__\n"
        "def slow(name, *rest):\n"
        "    if name == 'client.app':\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "    return real(name, *rest)\n"
        "builtins.__import__ = slow\n"
        "sys.exit(command.main())\n"
    )
    ended = python("-c", code)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")
