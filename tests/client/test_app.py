"""The command as a process: what it loads, how it ends."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from client import app, config
from client.clock import SystemClock
from client.errors import BadInput
from client.pipeline.memory import _from_proc, peak_rss_mb
from client.store.database import DiskFull
from client.store.observations import KEEP_DELETED_DAYS, Observations
from edge_models.simulate.scene import SceneKind
from tests.client.pipeline.fakes import HandClock
from tests.client.store.conftest import MemoryVault

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
        "    raise RuntimeError('a bug with Anna Mueller')\n"
        "client.app._engine = broken\n"
        "sys.argv = ['health-helper', 'scan', '--demo', '--seconds', '1', '--json']\n"
        "sys.exit(client.app.main())\n"
    )
    ended = python("-c", code)
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert "\nRuntimeError\n" in ended.stderr
    assert "client/pipeline/run.py" in ended.stderr
    assert "Anna" not in ended.stderr and "Mueller" not in ended.stderr
    assert str(ROOT) not in ended.stderr


def test_a_terminal_that_knows_only_ascii_is_survived(tmp_path: Path) -> None:
    film = tmp_path / "Müller ♥.mp4"
    film.write_bytes(b"")
    ended = python("-m", "client", "scan", "--video", str(film), PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert ended.returncode == 2
    assert ".mp4 is empty" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_scenes_of_the_demo_are_scenes_of_the_simulator() -> None:
    from client.parts import DemoScene

    assert {scene.value for scene in DemoScene} <= {kind.value for kind in SceneKind}


def test_the_peak_of_memory_is_plausible_or_not_told(tmp_path: Path) -> None:
    peak_mb = peak_rss_mb()
    assert peak_mb is None or 10.0 < peak_mb < 10_000.0
    assert _from_proc(tmp_path / "missing") is None
    status = tmp_path / "status"
    status.write_text("Name:\tpython\nVmHWM:\t  200000 kB\n", encoding="ascii")
    assert _from_proc(status) == pytest.approx(204.8)


needs_a_shell = pytest.mark.skipif(
    not (Path("/dev/full").exists() and Path("/bin/sh").exists()),
    reason="no /dev/full or /bin/sh on this system",
)
NO_VIDEO = "scan --demo --demo-scene empty_room --seconds 1"


def shell(line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "-c", line.replace("health-helper", f"{shlex.quote(sys.executable)} -m client")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@needs_a_shell
@pytest.mark.parametrize("command", ["cameras", "doctor --json", "doctor", "--version", "--help", NO_VIDEO])
def test_a_full_disk_behind_the_output_is_one_line_and_4(command: str) -> None:
    ended = shell(f"health-helper {command} >/dev/full")
    assert ended.returncode == 4
    said = ended.stderr.strip().splitlines()[-1]
    assert said.startswith("Error: The output could not be written (No space left on device). ")
    for word in ("Traceback", "bug", "Exception ignored"):
        assert word not in ended.stderr


@needs_a_shell
def test_an_output_that_is_closed_is_one_line_and_4() -> None:
    ended = shell("health-helper cameras >&-")
    assert ended.returncode == 4
    assert ended.stderr.startswith("Error: The output could not be written")


@needs_a_shell
@pytest.mark.parametrize("command", [f"{NO_VIDEO} --json", "scan --video none.mp4", "scan --no-such-flag"])
def test_a_full_disk_behind_the_errors_is_4_and_quiet(command: str) -> None:
    ended = shell(f"health-helper {command} 2>/dev/full")
    assert (ended.returncode, ended.stdout) == (4, "")


@needs_a_shell
@pytest.mark.parametrize("command", ["cameras", "doctor --json", f"{NO_VIDEO} --json"])
def test_a_reader_that_went_away_ends_it_quietly(command: str) -> None:
    ended = shell(f"(health-helper {command}; echo $? >&2) | true")
    assert ended.stderr.splitlines()[-1] == "141"
    for word in ("Traceback", "bug", "Error", "Exception ignored"):
        assert word not in ended.stderr


def test_an_error_of_the_system_that_is_not_the_outputs_stays_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> list[object]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("client.app._cameras", broken)
    with pytest.raises(OSError, match="No space left"):
        app.run(app.real_parts(SystemClock()), ["cameras"])


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


def test_garbage_is_looked_for_again_once_the_command_begins() -> None:
    code = (
        "import gc, sys\n"
        "import client.__main__ as command, client.app\n"
        "client.app.main = lambda: 10 + gc.isenabled()\n"
        "sys.exit(command.main())\n"
    )
    assert python("-c", code).returncode == 11


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the application as it is shipped keeps its store, with the key in memory."""
    vault = MemoryVault()
    monkeypatch.setattr(app, "SystemVault", lambda: vault)
    monkeypatch.setattr(config, "store_folder", lambda: tmp_path / "store")
    return tmp_path / "store"


@pytest.mark.parametrize("arguments", [("people",), ("history",), ("export", "all.json")])
def test_whatever_opens_the_store_forgets_what_was_deleted_a_month_ago(
    folder: Path, arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    clock = HandClock()
    parts = app.real_parts(clock)
    with parts.store() as kept:
        anna = kept.observations.add_person("Anna", now=clock.utc()).id
        kept.observations.delete_person(anna, now=clock.utc())
    clock.at_s += timedelta(days=KEEP_DELETED_DAYS).total_seconds()
    assert app.run(parts, arguments) == 0
    with parts.store() as kept:
        kept.observations.restore_person(anna)  # on the last day it can still be put back
        kept.observations.delete_person(anna, now=clock.utc())
    clock.at_s += timedelta(days=KEEP_DELETED_DAYS, seconds=1).total_seconds()
    (tmp_path / "all.json").unlink(missing_ok=True)  # nothing is exported over
    assert app.run(parts, arguments) == 0
    with parts.store() as kept, pytest.raises(BadInput):
        kept.observations.restore_person(anna)


def test_what_can_not_be_forgotten_now_does_not_keep_the_store_closed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_observations: Observations, *, now: datetime) -> int:
        raise DiskFull

    monkeypatch.setattr(Observations, "purge_old", full)
    assert app.run(app.real_parts(HandClock()), ["people"]) == 0


def test_a_store_that_is_restored_forgets_too(folder: Path) -> None:
    clock = HandClock()
    parts = app.real_parts(clock)
    with parts.store() as kept:
        typed = kept.new_recovery_key()
        kept.confirm_recovery_key()
        anna = kept.observations.add_person("Anna", now=clock.utc()).id
        kept.observations.delete_person(anna, now=clock.utc())
    clock.at_s += timedelta(days=KEEP_DELETED_DAYS, seconds=1).total_seconds()
    with parts.restore_store(typed) as kept, pytest.raises(BadInput):
        kept.observations.restore_person(anna)
