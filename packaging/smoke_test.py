#!/usr/bin/env python3
"""Starts the frozen application as somebody would who has just installed it. Linux; elsewhere untested.

    packaging/smoke_test.py [FOLDER] [--screenshot FILE]

FOLDER: what packaging/freeze.py made (default: dist/health-helper). It gets a home of its own, no key store (later: one of
its own, where GNOME Keyring is), and a display of its own (Xvfb). Only the standard library is needed. Where strace is,
every file that a scan and the window open is looked at: written only in that home, nothing read from this checkout,
nothing sent anywhere.

Exit status: 0 when all was right, 1 when something was not.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LINUX, WINDOWS = sys.platform.startswith("linux"), os.name == "nt"
TRUE_BPM, WITHIN_BPM = 72.0, 3.0
LIMIT_S = 120.0
ENDS_WITHIN_S = 5.0
"""After a polite kill."""
SECONDS = "20"
UNLOCK = "printf pw | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1; exec "
OPENED = re.compile(r'^\d+ +open(?:at)?\((?:[^,"]+, )?"([^"]*)", ([A-Z_|]+).*\) = (-?\d+)')
SENT = re.compile(r"^\d+ +connect\(.*sa_family=AF_INET6?\b.*")
NOT_KEPT = ("/dev/", "/proc/", "/sys/", "/memfd:")
"""Where writing leaves nothing behind."""


class Skipped(Exception):
    """A check needs what this machine lacks."""


class Wrong(Exception):
    """What is not as it must be."""


class Guest:
    """Somebody new to this computer: folders of their own, and the application started from there."""

    def __init__(self, application: Path, place: Path) -> None:
        self.program = application / ("health-helper.exe" if WINDOWS else "health-helper")
        self.application, self.home = application, place
        self.folders = {
            name: place / name for name in ("config", "data", "cache", "state", "run", "tmp", "work")
        }
        for folder in self.folders.values():
            folder.mkdir(mode=0o700)
        # Made from nothing: a CI or test variable of the builder would change what libraries do.
        kept = ("PATH", "SYSTEMROOT", "WINDIR", "COMSPEC")
        self.environment = {name: os.environ[name] for name in kept if name in os.environ} | {
            "HOME": str(place),
            "USERPROFILE": str(place),
            "WIN_PD_OVERRIDE_LOCAL_APPDATA": str(self.folders["config"]),
            "APPDATA": str(self.folders["config"]),
            **{f"XDG_{name.upper()}_HOME": str(self.folders[name]) for name in ("config", "data", "cache", "state")},
            "XDG_RUNTIME_DIR": str(self.folders["run"]),
            **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(self.folders["tmp"])),
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={self.folders['run'] / 'no-bus'}",
            "LC_ALL": "C.UTF-8",
        }  # fmt: skip

    def agree(self) -> None:
        """What the first page of the window asks, answered before."""
        if sys.platform == "darwin":
            folder = self.home / "Library" / "Application Support" / "health-helper"
        else:
            folder = self.folders["config"] / "health-helper"
        folder.mkdir(parents=True)
        (folder / "window.ini").write_text("[General]\nconsent=1\nlanguage=en\n", encoding="utf-8")

    def start(self, *arguments: str, before: Sequence[str] = (), **more: str) -> subprocess.Popen[str]:
        """The application with these arguments, in a session of its own. more: variables."""
        return subprocess.Popen(
            [*before, str(self.program), *arguments],
            cwd=self.folders["work"],
            env=self.environment | more,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=not WINDOWS,
        )

    def run(self, *arguments: str, before: Sequence[str] = (), **more: str) -> str:
        """Its standard output. Raises Wrong unless it ends well and in time."""
        return finish(self.start(*arguments, before=before, **more))


def finish(process: subprocess.Popen[str]) -> str:
    """The standard output of a process that must end well and in time."""
    try:
        output, errors = process.communicate(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        kill(process)
        output, errors = process.communicate()
        raise Wrong(f"did not end within {LIMIT_S:.0f} s; {errors.strip()[-1500:]}") from None
    if process.returncode or "bug of its own" in errors or "Traceback" in errors:
        raise Wrong(f"ended with {process.returncode}: {(output + errors).strip()[-2000:]}")
    return output


def kill(process: subprocess.Popen[str]) -> None:
    """With all that it started."""
    if WINDOWS:
        process.kill()
    else:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


# --- What it opens -----------------------------------------------------------------------------------


class Trace:
    """What strace saw of a run."""

    def __init__(self, guest: Guest, name: str) -> None:
        self._guest, self._file = guest, guest.home / f"{name}.strace"
        self.before: list[str] = []
        if LINUX and shutil.which("strace"):
            options = [
                "-D",
                "-f",
                "-qq",
                "-e",
                "trace=open,openat,connect",
                "-e",
                "signal=none",
                "-s",
                "4096",
            ]
            command = ["strace", *options, "-o", str(self._file)]
            if not subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
                self.before = command

    def judge(self) -> str:
        """A remark. Raises Wrong for what the application must not do."""
        if not self.before:
            return "without strace it was not seen which files it opens"
        home, own = f"{self._guest.home}/", f"{self._guest.application}/"
        opened = 0
        lines = self._file.read_text(encoding="utf-8", errors="replace").splitlines()
        for line in lines:
            if SENT.match(line):
                raise Wrong(f"asks the network: {line}")
            found = OPENED.match(line)
            if not found or int(found[3]) < 0:
                continue
            opened += 1
            path = os.path.normpath(self._guest.folders["work"] / found[1])
            writes = bool({"O_WRONLY", "O_RDWR", "O_CREAT"} & set(found[2].split("|")))
            if writes and not path.startswith((home, *NOT_KEPT)):
                raise Wrong(f"writes {path}")
            if not path.startswith((own, home)) and (path.startswith(f"{ROOT}/") or "site-packages" in path):
                raise Wrong(f"reads {path}, which only the builder has")
        if not opened:
            raise Wrong(f"strace saw nothing: {lines[:3]}")
        return f"{opened} files opened, none written elsewhere, no network"


def state_of(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file."""
    found = {}
    for path in folder.rglob("*"):
        told = path.lstat()
        found[str(path)] = (told.st_size, told.st_mtime_ns)
    return found


# --- The display -------------------------------------------------------------------------------------


class Display:
    """A screen that nobody sees. name: for the variable DISPLAY."""

    def __init__(self, name: str, memory: Path) -> None:
        self.name, self._memory = name, memory

    def picture(self) -> tuple[int, int, bytes]:
        """Width, height and the pixels (RGB) that it shows now: its memory is a file in the format of xwd."""
        content = self._memory.read_bytes()
        head = struct.unpack(">25I", content[:100])
        width, height, line, masks = head[4], head[5], head[12], head[14:17]
        begin = head[0] + 12 * head[19]
        if head[11] != 32 or masks != (0xFF0000, 0xFF00, 0xFF) or head[7] != 0:
            raise Skipped(f"this display's pixels are of another kind: {head}")
        rows = []
        for top in range(height):
            row = content[begin + top * line :][: 4 * width]
            pixels = bytearray(3 * width)
            pixels[0::3], pixels[1::3], pixels[2::3] = row[2::4], row[1::4], row[0::4]
            rows.append(bytes(pixels))
        return width, height, b"".join(rows)

    def colours(self) -> int:
        """How many different ones there are: a handful where no window is drawn."""
        width, _, pixels = self.picture()
        lines = [pixels[begin : begin + 3 * width] for begin in range(0, len(pixels), 3 * width * 7)]
        return len({line[k : k + 3] for line in lines for k in range(0, 3 * width, 21)})


@contextmanager
def display(place: Path) -> Iterator[Display | None]:
    """Xvfb with a number of its own choice. None where windows need none. Raises Skipped where it is missing."""
    if not LINUX:
        yield None
        return
    if not shutil.which("Xvfb"):
        raise Skipped("there is no Xvfb (Debian's package xvfb)")
    place.mkdir()
    end, begin = os.pipe()
    command = [
        "Xvfb",
        "-displayfd",
        str(begin),
        "-screen",
        "0",
        "1280x900x24",
        "-nolisten",
        "tcp",
        "-fbdir",
        str(place),
    ]
    with subprocess.Popen(
        command, pass_fds=(begin,), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        os.close(begin)
        try:
            with os.fdopen(end) as answer:
                number = answer.readline().strip()
            if not number:
                raise Wrong("Xvfb did not start")
            yield Display(f":{number}", place / "Xvfb_screen0")
        finally:
            server.terminate()


def write_png(path: Path, width: int, height: int, pixels: bytes) -> None:
    """A picture (RGB), readable everywhere."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    rows = b"".join(b"\0" + pixels[begin : begin + 3 * width] for begin in range(0, len(pixels), 3 * width))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows, 6)), chunk(b"IEND", b""))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


# --- The checks --------------------------------------------------------------------------------------


def check_version(guest: Guest) -> str:
    said = guest.run("--version").strip()
    if not re.fullmatch(r"health-helper \d+\.\d+\.\d+\S*", said):
        raise Wrong(f"says {said!r}")
    return said


def check_doctor(guest: Guest) -> str:
    """A camera, a key store may be missing: that is a warning. What it finds broken is the application's fault here."""
    checks = {check["name"]: check for check in json.loads(guest.run("doctor", "--json"))["checks"]}
    for name in ("system", "weights", "engine"):
        if checks[name]["state"] != "ok":
            raise Wrong(f"{checks[name]}")
    if LINUX and "PortAudio" in checks["microphone"]["says"]:
        raise Wrong(f"{checks['microphone']}")
    if LINUX and "none was found" not in checks["keyring"]["says"]:
        raise Wrong(f"there is no key store here, and it says {checks['keyring']}")
    return "; ".join(f"{name} {check['state']}" for name, check in checks.items())


def check_scan(guest: Guest) -> str:
    report = guest.folders["work"] / "report.pdf"
    trace = Trace(guest, "scan")
    flags = ("--demo", "--seconds", SECONDS, "--json", "--no-save", "--report", str(report))
    said = rate(guest.run("scan", *flags, before=trace.before))
    if not report.read_bytes().startswith(b"%PDF"):
        raise Wrong("the report is no PDF")
    return f"{said}; a report of {report.stat().st_size // 1000} kB; {trace.judge()}"


def check_video(guest: Guest) -> str:
    """A simulated clip written to a file and read from it, by a benchmark that starts the application again."""
    said = json.loads(guest.run("bench", "cost", "--runs", "1", "--json"))
    return near(said["median"]["Health Helper"]["heart_rate"]) + f" from {said['clip'].rpartition(', ')[2]}"


def check_bench(guest: Guest) -> str:
    """The grids need the checkout; the application says so."""
    process = guest.start("bench", "--grid", "ci")
    output, errors = process.communicate(timeout=LIMIT_S)
    if process.returncode != 4 or output or not errors.startswith("Error: ") or errors.count("\n") != 1:
        raise Wrong(f"ended with {process.returncode}: {output}{errors}")
    return errors.strip()


def check_window(guest: Guest, screenshot: Path | None) -> str:
    trace = Trace(guest, "window")
    with display(guest.home / "screen") as screen:
        process = guest.start(
            *("window", "--demo", "--seconds", SECONDS, "--begin", "--end-after-result"),
            before=trace.before,
            **({"DISPLAY": screen.name} if screen else {}),
        )
        colours, begun_s = 0, time.monotonic()
        reader = Reader(process)
        while screen and process.poll() is None and time.monotonic() - begun_s < LIMIT_S:
            time.sleep(2.0)
            now = screen.colours()
            if now >= colours and process.poll() is None:
                colours = now
                if screenshot:
                    write_png(screenshot, *screen.picture())
        output = reader.finish()
    said = rate(output)
    if screen and colours < 50:
        raise Wrong(f"the window shows {colours} colours: there is no picture in it")
    shown = f"; at most {colours} colours on the screen" if screen else ""
    return f"{said}{shown}; {trace.judge()}"


class Reader:
    """Reads what a process says while somebody does something else."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process, self._output = process, ""
        self._fault: Wrong | None = None
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        try:
            self._output = finish(self._process)
        except Wrong as fault:
            self._fault = fault

    def finish(self) -> str:
        """Its standard output. Raises Wrong as `finish`."""
        self._thread.join()
        if self._fault:
            raise self._fault
        return self._output


def check_killed_scan(guest: Guest) -> str:
    if WINDOWS:
        raise Skipped("there are no polite kills")
    process = guest.start("scan", "--demo", "--seconds", "600", "--json", "--no-save")
    assert process.stderr
    patience = threading.Timer(LIMIT_S, kill, [process])
    patience.start()
    for line in process.stderr:
        if "measuring" in line:
            break
    patience.cancel()
    return end_politely(process, {130})


def check_killed_window(guest: Guest) -> str:
    if WINDOWS:
        raise Skipped("there are no polite kills")
    with display(guest.home / "second-screen") as screen:
        process = guest.start(
            *("window", "--demo", "--seconds", "60", "--begin"),
            **({"DISPLAY": screen.name} if screen else {}),
        )
        begun_s = time.monotonic()
        while screen and screen.colours() < 50 and time.monotonic() - begun_s < LIMIT_S:
            time.sleep(0.5)
        time.sleep(3.0)
        return end_politely(process, {0, 130, -signal.SIGTERM})


def end_politely(process: subprocess.Popen[str], statuses: set[int]) -> str:
    """SIGTERM: it must end soon, as promised, and leave no process behind."""
    if process.poll() is not None:
        raise Wrong(f"had ended before, with {finish(process)}")
    process.terminate()
    told_s = time.monotonic()
    try:
        _, errors = process.communicate(timeout=ENDS_WITHIN_S)
    except subprocess.TimeoutExpired:
        kill(process)
        process.communicate()
        raise Wrong(f"did not end within {ENDS_WITHIN_S:.0f} s after SIGTERM") from None
    took_s = time.monotonic() - told_s
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    else:
        raise Wrong("left processes behind")
    if process.returncode not in statuses or "Traceback" in errors:
        raise Wrong(f"ended with {process.returncode}, not {sorted(statuses)}: {errors[-1000:]}")
    return f"ended {took_s:.1f} s after SIGTERM with {process.returncode}"


def check_store(guest: Guest) -> str:
    """Somebody is kept in the encrypted store, whose key lies in a real key store."""
    if not (shutil.which("dbus-run-session") and shutil.which("gnome-keyring-daemon")):
        raise Skipped("there is no GNOME Keyring (Debian's packages dbus and gnome-keyring)")
    before = ["dbus-run-session", "--", "sh", "-c", f'{UNLOCK}"$@"', "sh"]
    guest.run("people", "--add", "Ada", before=before)
    listed = guest.run("people", before=before)
    files = [path for path in guest.folders["data"].rglob("*.db") if path.is_file()]
    if "Ada" not in listed or not files:
        raise Wrong(f"who was added is not there: {listed} {files}")
    if files[0].read_bytes()[:15] == b"SQLite format 3":
        raise Wrong("the store is not encrypted")
    return f"kept and found again; {files[0].name} is encrypted"


def rate(output: str) -> str:
    """Of a scan's JSON, which must be all that was said."""
    return near(json.loads(output)["vitals"]["heart_rate"]["value"])


def near(value: Any) -> str:
    """The heart rate. Raises Wrong where it is not that of the simulated person."""
    if not isinstance(value, float) or abs(value - TRUE_BPM) > WITHIN_BPM:
        raise Wrong(f"reads {value} /min, not {TRUE_BPM:g}")
    return f"reads {value:.1f} /min"


def main(arguments: Sequence[str]) -> int:
    """All checks, also after one failed. Returns the exit status."""
    reading = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    reading.add_argument("folder", nargs="?", type=Path, default=ROOT / "dist" / "health-helper")
    reading.add_argument("--screenshot", type=Path, help="keep a picture of the window in this PNG file")
    chosen = reading.parse_args(arguments)
    application = chosen.folder.resolve()
    if not application.is_dir():
        print(f"{application} is missing: run 'python packaging/setup.py freeze'", file=sys.stderr)
        return 1
    begun_s, wrong, before = time.monotonic(), 0, state_of(application)
    with tempfile.TemporaryDirectory(
        prefix="health-helper smoke "
    ) as place:  # a name with spaces, as they occur
        guest = Guest(application, Path(place).resolve())
        guest.agree()
        checks: list[tuple[str, Callable[[], str]]] = [
            ("version", lambda: check_version(guest)),
            ("doctor", lambda: check_doctor(guest)),
            ("scan", lambda: check_scan(guest)),
            ("window", lambda: check_window(guest, chosen.screenshot)),
            ("killed scan", lambda: check_killed_scan(guest)),
            ("killed window", lambda: check_killed_window(guest)),
            ("video file", lambda: check_video(guest)),
            ("benchmark", lambda: check_bench(guest)),
            ("key store", lambda: check_store(guest)),
            ("application as before", lambda: unchanged(before, application)),
            ("home", lambda: only_known(guest)),
        ]
        for name, check in checks:
            since_s = time.monotonic()
            try:
                verdict, remark = "right", check()
            except Skipped as skipped:
                verdict, remark = "SKIPPED", str(skipped)
            except (Wrong, OSError, ValueError, KeyError) as fault:
                verdict, remark = (
                    "WRONG",
                    f"{fault}" if isinstance(fault, Wrong) else f"{type(fault).__name__}: {fault}",
                )
                wrong += 1
            print(f"{verdict:7}  {time.monotonic() - since_s:5.1f} s  {name}: {remark}", flush=True)
    print(f"smoke test: {wrong} wrong, {time.monotonic() - begun_s:.0f} s")
    return 1 if wrong else 0


def unchanged(before: dict[str, tuple[int, int]], application: Path) -> str:
    """The application must not write into its own folder."""
    now = state_of(application)
    if changed := sorted(path for path in now.keys() | before.keys() if now.get(path) != before.get(path)):
        raise Wrong(f"changed: {', '.join(changed[:5])}")
    return f"{len(now)} files"


def only_known(guest: Guest) -> str:
    """What was left in the home is ours or belongs to the desktop's own libraries."""
    known = ("health-helper", "fontconfig", "mesa_shader_cache", "qtshadercache", "keyrings", "dconf")
    found = {}
    for name in ("config", "data", "cache", "state"):
        for path in guest.folders[name].iterdir():
            found[path.name] = path
    hidden = [path.name for path in guest.home.iterdir() if path.name.startswith(".")]
    if strange := [
        *(name for name in found if not name.startswith(known)),
        *hidden,
        *(path.name for path in guest.folders["tmp"].iterdir()),
    ]:
        raise Wrong(f"something that is none of ours: {strange}")
    return f"holds {', '.join(sorted(found))}"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
