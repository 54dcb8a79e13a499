"""The command as a process: what it loads, how it ends."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from client import app, config
from client.clock import SystemClock
from client.errors import BadInput
from client.parts import Parts
from client.pipeline import membership
from client.pipeline.memory import _from_proc, peak_rss_mb
from client.store.backups import newest_at
from client.store.database import FILE_NAME, DiskFull
from client.store.forgetting import Forgetting
from client.store.observations import KEEP_DELETED_DAYS
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


def opened_again(parts: Parts, clock: HandClock) -> None:
    """On another day: nothing is purged by a clock that only one opening has seen."""
    with parts.store():
        pass
    clock.at_s += timedelta(days=1).total_seconds()


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
    clock.at_s += timedelta(days=KEEP_DELETED_DAYS - 1).total_seconds()
    opened_again(parts, clock)
    assert app.run(parts, arguments) == 0
    with parts.store() as kept:
        kept.observations.restore_person(anna)  # on the last day it can still be put back
        kept.observations.delete_person(anna, now=clock.utc())
    clock.at_s += timedelta(days=KEEP_DELETED_DAYS, seconds=1).total_seconds()
    opened_again(parts, clock)
    (tmp_path / "all.json").unlink(missing_ok=True)  # nothing is exported over
    assert app.run(parts, arguments) == 0
    with parts.store() as kept, pytest.raises(BadInput):
        kept.observations.restore_person(anna)


@pytest.mark.parametrize("broken", ["purge_old", "retention"])
def test_what_can_not_be_forgotten_now_does_not_keep_the_store_closed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def full(*_: object) -> int:
        raise DiskFull

    monkeypatch.setattr(Forgetting, broken, full)
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
    opened_again(parts, clock)
    with parts.restore_store(typed):
        pass
    with parts.restore_store(typed) as kept, pytest.raises(BadInput):
        kept.observations.restore_person(anna)


def test_a_backup_is_made_once_a_day(folder: Path) -> None:
    clock = HandClock()
    parts = app.real_parts(clock)
    database = folder / FILE_NAME
    assert app.run(parts, ["people", "--add", "Ada"]) == 0
    first = newest_at(database)
    assert first is not None and abs(first - clock.utc()) < timedelta(seconds=1)
    clock.at_s += timedelta(hours=23).total_seconds()
    assert app.run(parts, ["people"]) == 0
    assert newest_at(database) == first
    clock.at_s += timedelta(hours=2).total_seconds()
    assert app.run(parts, ["people"]) == 0
    assert newest_at(database) != first


def test_chores_are_left_out_where_a_command_failed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[object] = []
    monkeypatch.setattr(Forgetting, "purge_old", lambda *_: done.append(1))
    parts = app.real_parts(HandClock())
    assert app.run(parts, ["people", "--delete", "Nobody", "--yes"]) == 2 and done == []
    assert app.run(parts, ["people"]) == 0 and done == [1]


def test_a_store_that_was_damaged_says_that_it_was_mended(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = app.real_parts(HandClock())
    assert app.run(parts, ["people", "--add", "Ada"]) == 0
    (folder / FILE_NAME).write_bytes(b"nonsense" * 1000)
    capsys.readouterr()
    assert app.run(parts, ["people"]) == 0
    said = capsys.readouterr()
    assert "Ada" in said.out and "nothing is lost" in said.err
    assert app.run(parts, ["people"]) == 0
    assert "damaged" not in capsys.readouterr().err  # once


def test_the_policy_is_read_once_and_a_wrong_one_stops_what_needs_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "policy.toml"
    monkeypatch.setattr(config, "policy_file", lambda: file)
    file.write_text("keep_deleted_days = 7\n", encoding="utf-8")
    parts = app.real_parts(HandClock())
    with parts.store() as kept:
        assert kept.policy.keep_deleted_days == 7
    file.write_text("keep_deleted_weeks = 7\n", encoding="utf-8")
    with parts.store() as kept:
        assert kept.policy.keep_deleted_days == 7
    assert app.run(app.real_parts(HandClock()), ["people"]) == 4
    assert "keep_deleted_weeks" in capsys.readouterr().err


def test_nothing_of_the_network_is_loaded_for_what_is_kept_here(tmp_path: Path) -> None:
    heavy = ("httpx", "jwt", "truststore", "fpdf", "cv2", "onnxruntime", "PySide6", "pypdfium2")
    code = (
        "import json, pathlib, sys\n"
        "from client import app, config\n"
        "from client.clock import SystemClock\n"
        "from tests.client.store.conftest import MemoryVault\n"
        "vault = MemoryVault()\n"
        "app.SystemVault = lambda: vault\n"
        f"config.store_folder = lambda: pathlib.Path({str(tmp_path / 'store')!r})\n"
        "loaded = set()\n"
        "for line in ('people --add Ada', 'history', 'sync --status', 'sync --once', 'tasks list', 'documents list'):\n"
        "    app.run(app.real_parts(SystemClock()), line.split())\n"
        f"    loaded |= {{name for name in {heavy!r} if name in sys.modules}}\n"
        "print(json.dumps(sorted(loaded)), file=sys.stderr)\n"
    )
    assert json.loads(python("-c", code).stderr.splitlines()[-1]) == []


def test_the_entry_of_the_key_store_is_known_by_one_name() -> None:
    from client.cloud import credentials

    assert credentials.ENTRY == membership.ENTRY
