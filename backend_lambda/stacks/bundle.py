"""Makes the functions' bundles for AWS Lambda (python3.13 on arm64) on any machine, without Docker. `sam build` calls it by the Makefile beside it.

    python bundle.py build FUNCTION FOLDER  fills the empty FOLDER with what /var/task is to hold
    python bundle.py sizes FOLDER           the bundles in FOLDER (`sam build` makes .aws-sam/build) against Lambda's limits

A bundle is backend_lambda without planning/ and stacks/, and the packages of requirements/cloud.txt, each by its hash and as a wheel
for the function's machine, without what nothing here runs: botocore's descriptions of 400 services that are not asked, types, headers.
Packages are brought once for all functions and kept in .cache/bundles.

Two variables of the environment, both for who deploys:
LAMBDA_PYTHON    a CPython 3.13, where none is on the path. With one, a bundle holds bytecode; without, each cold start compiles anew,
                 for /var/task is read-only. Bytecode depends on Python's version, not on the machine (importlib, "MAGIC_NUMBER").
RDS_CERTIFICATES a file with Amazon RDS's root certificates, for a read replica: it becomes rds-global-bundle.pem.

Only the standard library, so that whatever Python has pip can run it. Exit status: 0; 1 when a bundle is not as it must be; 4 when this machine lacks something.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import io
import os
import re
import shutil
import ssl
import stat
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
BACKEND = ROOT / "backend_lambda"
LOCK = ROOT / "requirements" / "cloud.txt"
CACHE = ROOT / ".cache" / "bundles"
TASK = "/var/task"
PYTHON = (3, 13)

READS_FILES = "ProcessingFunction"
"""Its name in core.yaml. It looks into files that people send; only it has what reads PDFs."""
PDF_READER = "pypdf"

ZIPPED_BYTES, UNZIPPED_BYTES = 50 * 1024**2, 250 * 1024**2
"""Lambda's limits: uploaded directly (by S3 it may be larger), and unpacked. Source: AWS Lambda developer guide, "Lambda quotas"."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Of a function. platforms: wheels' names of it; these need a glibc of 2.28 at most, and Lambda's python3.13 has 2.34 (Amazon Linux 2023). elf: e_machine."""

    platforms: tuple[str, ...]
    elf: int


MACHINES = {
    name: Machine(
        tuple(f"{family}_{name}" for family in ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")),
        elf,
    )
    for name, elf in (("aarch64", 183), ("x86_64", 62))
}  # fmt: skip

OWN_FILES = frozenset({".py", ".sql", ".json", ".html"})
OWN_PROGRAMS = frozenset({PurePosixPath("streaming/start")})
NOT_OWN = frozenset({"planning", "stacks", "tests", "__pycache__"})
"""Folders of backend_lambda that never leave the repository."""
NOT_RUN = frozenset({".pyi", ".typed", ".h", ".c", ".pyx", ".pxd", ".pyc", ".exe"})
"""Of packages: types, headers, another Python's bytecode."""
OWN = PurePosixPath("backend_lambda")
CERTIFICATES = PurePosixPath("botocore/cacert.pem")
"""What RDS Proxy's certificate is checked against: it is AWS Certificate Manager's (Amazon RDS user guide, "Using TLS/SSL with RDS Proxy")."""
AMAZON_ROOTS = frozenset(f"Amazon Root CA {number}" for number in (1, 2, 3, 4))
"""That sign for it. Source: www.amazontrust.com/repository, from memory."""
FOREIGN_SETTINGS = (
    "PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_REQUIRE_VIRTUALENV", "PIP_CONSTRAINT", "PIP_NO_BINARY",
    "PIP_PLATFORM", "PIP_PYTHON_VERSION", "PIP_ABI", "PIP_IMPLEMENTATION",
)  # fmt: skip
"""A person's own, that would send the packages elsewhere or bring others."""
EPOCH_S = 315_532_800
"""1 January 1980, where zip's calendar begins: every file's time, so that two builds are alike."""


class Fault(Exception):
    """A bundle cannot be made: why, and what to do. status: the exit status."""

    def __init__(self, text: str, status: int = 4) -> None:
        super().__init__(text)
        self.status = status


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(prog="bundle.py", description=(__doc__ or "").split("\n", 1)[0])
    commands = parser.add_subparsers(required=True, dest="command")
    build_it = commands.add_parser("build", help="make one function's bundle")
    build_it.add_argument("function", help="its name in the template")
    build_it.add_argument("folder", type=Path)
    build_it.add_argument("--machine", choices=sorted(MACHINES), default="aarch64", help="default: aarch64")
    commands.add_parser("sizes", help="the bundles in a folder").add_argument("folder", type=Path)
    given = parser.parse_args(arguments)
    try:
        if given.command == "sizes":
            return sizes(given.folder)
        build(given.function, given.folder, given.machine)
    except Fault as fault:
        say(f"bundle: {fault}")
        return fault.status
    return 0


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# --- What goes in ------------------------------------------------------------------------------------


def services(source: str) -> frozenset[str]:
    """AWS's services that are asked: the keys of `_MANNERS`. source: of backend_lambda/aws/clients.py, the only one that makes clients.

    Read, not imported: botocore may be missing here.
    """
    for node in ast.parse(source).body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "_MANNERS":
            table = node.value
            if isinstance(table, ast.Dict) and None not in table.keys:
                return frozenset(ast.literal_eval(key) for key in table.keys if key is not None)
    raise Fault("aws/clients.py has no table _MANNERS any more that could be read")


def is_kept(path: PurePosixPath, asked: Collection[str]) -> bool:
    """Whether a file of a package is of use in the cloud. path: from site-packages on. asked: `services`."""
    top, name = path.parts[0], path.name
    if path.suffix in NOT_RUN or "__pycache__" in path.parts or top == "bin":
        return False
    if top.endswith(
        ".dist-info"
    ):  # what scanners and lawyers ask for: name, version, licences, what is linked in
        return (
            name == "METADATA"
            or name.startswith(("LICENSE", "NOTICE", "AUTHORS"))
            or path.parts[1] == "sboms"
        )
    if path.parts[:2] == ("botocore", "data") and len(path.parts) > 3:
        return path.parts[2] in asked and not name.startswith("examples-")
    return True


def is_pdf_reader(path: PurePosixPath) -> bool:
    return re.fullmatch(rf"{PDF_READER}(-.*\.dist-info)?", path.parts[0]) is not None


def own_files(backend: Path) -> list[PurePosixPath]:
    """Files of backend_lambda that run in the cloud, from it on. Raises Fault for one of a kind that is not known here."""
    found, strange = [], []
    for path in files(backend):
        if path.parts[0] in NOT_OWN or "__pycache__" in path.parts or path.suffix == ".md":
            continue
        if path.suffix in OWN_FILES or path in OWN_PROGRAMS:
            found.append(path)
        else:
            strange.append(str(path))
    if strange:
        raise Fault(
            f"Does this belong into a bundle? {', '.join(strange)}. If so, name its kind in bundle.py", 1
        )
    return found


def files(folder: Path) -> Iterator[PurePosixPath]:
    """All below, in order, from it on; none whose name, or whose folder's, begins with a dot. Links are files."""
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        inside = Path(here).relative_to(folder)
        yield from (PurePosixPath(inside / name) for name in sorted(names) if not name.startswith("."))


def certificates(path: Path) -> bytes:
    """The file's bytes. Raises Fault unless it holds certificates of authorities, and nothing else."""
    try:
        text = path.read_text("ascii")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=text)
    except (OSError, ValueError, ssl.SSLError) as error:
        raise Fault(f"RDS_CERTIFICATES={path}: no file with certificates ({error})") from None
    held = context.cert_store_stats()
    if "PRIVATE KEY" in text or not held["x509_ca"] or held["x509"] != held["x509_ca"] or held["crl"]:
        raise Fault(f"RDS_CERTIFICATES={path}: holds something else than authorities' certificates")
    return text.encode()


# --- Making one --------------------------------------------------------------------------------------


def build(function: str, folder: Path, machine: str) -> None:
    """Fills the folder, which must be empty or not there. Raises Fault."""
    began_s = time.monotonic()
    if folder.exists() and any(folder.iterdir()):
        raise Fault(f"{folder} is not empty. Give another, or empty it")
    given = os.environ.get("RDS_CERTIFICATES", "")
    roots = certificates(Path(given)) if given else None
    compiler = bytecode_compiler()
    asked = services((BACKEND / "aws" / "clients.py").read_text("utf-8"))
    assemble(packages(machine, asked, compiler), BACKEND, folder, asked, with_pdf=function == READS_FILES)
    if roots is not None:
        (folder / "rds-global-bundle.pem").write_bytes(roots)
    if compiler:
        compile_folder(compiler[0], folder / OWN, f"{TASK}/{OWN}")
    make_alike(folder)
    wrong = flaws(folder, MACHINES[machine])
    if wrong:
        raise Fault(f"{function}'s bundle is not as it must be: {'; '.join(wrong)}", 1)
    say(f"{function}: {weight(folder) / 1e6:.1f} MB in {folder} ({time.monotonic() - began_s:.1f} s)")


def assemble(site: Path, backend: Path, folder: Path, asked: Collection[str], *, with_pdf: bool) -> None:
    """Copies what is needed of packages (site: as a site-packages) and of backend_lambda. Raises Fault."""
    for path in files(site):
        # Bytecode in .cache/bundles is of the right Python; an environment's own is left there by is_kept.
        compiled = path.suffix == ".pyc" and (site / COMPILED).is_file()
        if (compiled or is_kept(path, asked)) and (with_pdf or not is_pdf_reader(path)):
            copy(site / path, folder / path)
    for path in own_files(backend):
        copy(backend / path, folder / OWN / path)


def copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


COMPILED = ".compiled"
"""In a folder of packages: they are trimmed, and their bytecode is a bundle's."""


def packages(machine: str, asked: Collection[str], compiler: tuple[str, str] | None) -> Path:
    """A folder with the locked packages, trimmed and compiled: made when one of these, the lock, or this file has changed."""
    made_from = "\n".join(
        [machine, *sorted(asked), compiler[1] if compiler else "", LOCK.read_text("utf-8"), Path(__file__).read_text("utf-8")]
    )  # fmt: skip
    folder = CACHE / f"{machine}-{hashlib.sha256(made_from.encode()).hexdigest()[:16]}"
    if folder.is_dir():
        return folder
    CACHE.mkdir(parents=True, exist_ok=True)
    for old in CACHE.glob(f"{machine}-*"):
        shutil.rmtree(old, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="making-", dir=CACHE) as temporary:
        site = Path(temporary, "site")
        install(MACHINES[machine], site)
        for path in [path for path in files(site) if not is_kept(path, asked)]:
            (site / path).unlink()
        for here, folders, names in os.walk(site, topdown=False):
            if not folders and not names:
                Path(here).rmdir()
        if compiler:
            compile_folder(compiler[0], site, TASK)
            (site / COMPILED).touch()
        try:
            site.replace(folder)
        except OSError:
            if not folder.is_dir():  # else a build beside this one was first
                raise
    return folder


def install(machine: Machine, folder: Path) -> None:
    """The locked packages, wheels only and each by its hash, for the machine that they will run on."""
    version = f"{PYTHON[0]}.{PYTHON[1]}"
    abi = f"cp{PYTHON[0]}{PYTHON[1]}"
    run(
        [
            *(
                sys.executable,
                "-I",
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-input",
                "--disable-pip-version-check",
            ),
            *(
                "--require-hashes",
                "--no-deps",
                "--only-binary=:all:",
                "--no-compile",
                "--target",
                str(folder),
            ),
            *("--implementation", "cp", "--python-version", version, "--abi", abi, "--abi", "abi3"),
            *(part for platform in machine.platforms for part in ("--platform", platform)),
            *("--requirement", str(LOCK)),
        ],
        "The locked packages could not be brought. Check the network and try again",
    )


def bytecode_compiler() -> tuple[str, str] | None:
    """A CPython of the functions' version, and which it is. None: there is none here. Raises Fault where LAMBDA_PYTHON names another."""
    given = os.environ.get("LAMBDA_PYTHON", "")
    for candidate in [given] if given else [sys.executable, shutil.which(f"python{PYTHON[0]}.{PYTHON[1]}")]:
        if not candidate:
            continue
        ask = "import platform, sys; print(sys.implementation.name, platform.python_version())"
        try:
            told = subprocess.run([candidate, "-I", "-c", ask], capture_output=True, text=True, check=False)
        except OSError:
            continue
        if re.fullmatch(rf"cpython {PYTHON[0]}\.{PYTHON[1]}\.\d+\s*", told.stdout):
            return candidate, told.stdout.strip()
    if given:
        raise Fault(f"LAMBDA_PYTHON={given} is not CPython {PYTHON[0]}.{PYTHON[1]}")
    say(
        "No Python 3.13 here: the bundle holds no bytecode, so that each cold start compiles anew. See LAMBDA_PYTHON in bundle.py."
    )
    return None


def compile_folder(python: str, folder: Path, shown_as: str) -> None:
    """Bytecode that is taken as it is, whatever time the source has. shown_as: the folder's name in it, wherever it is made."""
    where = str(folder.resolve())
    run(
        [
            *(
                python,
                "-I",
                "-m",
                "compileall",
                "-q",
                "-f",
                "-j",
                "0",
                "--invalidation-mode",
                "unchecked-hash",
            ),
            *("-s", where, "-p", shown_as, where),
        ],
        "A module could not be compiled",
    )


def run(command: Sequence[str], fault: str) -> None:
    """Raises Fault with the end of what it wrote."""
    clean = {name: value for name, value in os.environ.items() if name not in FOREIGN_SETTINGS}
    done = subprocess.run(
        command, env=clean, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        say("\n".join((done.stdout + done.stderr).splitlines()[-15:]))
        raise Fault(fault)


def make_alike(folder: Path) -> None:
    """The same rights and times in every build: everybody reads (Lambda's user is not the builder), nobody writes but the owner."""
    programs = {OWN / path for path in OWN_PROGRAMS}
    for here, folders, names in os.walk(folder, topdown=False):
        for path in [*(Path(here, name) for name in (*folders, *names)), Path(here)]:
            is_program = PurePosixPath(path.relative_to(folder)) in programs
            path.chmod(0o755 if path.is_dir() or is_program else 0o644)
            os.utime(path, (EPOCH_S, EPOCH_S))


# --- Looking at one ----------------------------------------------------------------------------------


def flaws(folder: Path, machine: Machine) -> list[str]:
    """What is wrong with a bundle; none: it may be deployed."""
    paths = [PurePosixPath(one.relative_to(folder)) for one in sorted(folder.rglob("*"))]
    found = [f"{path} {wrong}" for path in paths if (wrong := _flaw(folder / path, path, machine))]
    needed = (CERTIFICATES, OWN / "handler.py", *(OWN / path for path in OWN_PROGRAMS))
    found += [f"{path} is missing" for path in needed if path not in paths]
    if CERTIFICATES in paths and (lacking := AMAZON_ROOTS - authorities(folder / CERTIFICATES)):
        found.append(f"{CERTIFICATES} lacks {', '.join(sorted(lacking))}")
    if weight(folder) > UNZIPPED_BYTES:
        found.append(f"{weight(folder) / 1e6:.0f} MB are more than Lambda takes")
    return found


def _flaw(full: Path, path: PurePosixPath, machine: Machine) -> str:
    if full.is_symlink():
        return "is a link"
    if path.parts[0] in {"tests", "client", "edge_models"} or (
        path.parent == OWN and path.name in NOT_OWN - {"__pycache__"}
    ):
        return "never leaves the repository"
    if full.is_dir():
        return ""
    if path.suffix in NOT_RUN - {".pyc"} or path.name == ".env" or path.suffix in {".env", ".key"}:
        return "has nothing to do here"
    if re.search(r"\.so(\.|$)", path.name) and elf_machine(full) != machine.elf:
        return "is not for this machine"
    is_program = path.is_relative_to(OWN) and path.relative_to(OWN) in OWN_PROGRAMS
    if is_program and stat.S_IMODE(full.stat().st_mode) != 0o755:
        return "cannot be started by Lambda's user"
    return ""


def authorities(path: Path) -> set[str]:
    """The names of those whose certificates the file holds."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(path)
    subjects: Any = [one["subject"] for one in context.get_ca_certs()]  # of parts, of pairs
    return {
        str(value) for subject in subjects for part in subject for name, value in part if name == "commonName"
    }


def elf_machine(path: Path) -> int:
    """e_machine of a 64-bit little-endian ELF file; 0 for anything else."""
    with path.open("rb") as file:
        head = file.read(20)
    return int.from_bytes(head[18:20], "little") if head[:6] == b"\x7fELF\2\1" and len(head) == 20 else 0


def weight(folder: Path) -> int:
    """Bytes of all files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def zipped(folder: Path) -> bytes:
    """As `sam deploy` packs it: deflated at zlib's usual level."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            archive.writestr(
                zipfile.ZipInfo(path.relative_to(folder).as_posix()), path.read_bytes(), zipfile.ZIP_DEFLATED
            )
    return buffer.getvalue()


def digest(folder: Path) -> str:
    """Of names and contents."""
    seen = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        data = path.read_bytes()
        seen.update(f"{path.relative_to(folder).as_posix()}\0{len(data)}\0".encode() + data)
    return seen.hexdigest()


def sizes(folder: Path) -> int:
    """Prints a table. Returns 1 where a limit is passed. Raises Fault where there are no bundles."""
    bundles = sorted(path.parent for path in folder.glob("*/backend_lambda") if path.is_dir())
    if not bundles:
        raise Fault(f"No bundles in {folder}. Run sam build first")
    known: dict[str, tuple[str, int]] = {}
    status, all_compiled = 0, True
    print(f"{'bundle':20} {'unzipped MB':>12} {'zipped MB':>10} {'files':>6}  bytecode  contents")
    for bundle in bundles:
        content, unzipped = digest(bundle), weight(bundle)
        first, packed = known.setdefault(content, (bundle.name, 0))
        if not packed:
            packed = len(zipped(bundle))
            known[content] = first, packed
        is_compiled = (
            next((bundle / "backend_lambda" / "__pycache__").glob("handler.*.pyc"), None) is not None
        )
        all_compiled &= is_compiled
        same = content[:12] if first == bundle.name else f"as {first}"
        count = sum(1 for path in bundle.rglob("*") if path.is_file())
        print(
            f"{bundle.name:20} {unzipped / 1e6:12.1f} {packed / 1e6:10.1f} {count:6}  {'yes' if is_compiled else 'no':8}  {same}"
        )
        status |= unzipped > UNZIPPED_BYTES or packed > ZIPPED_BYTES
    print(f"{'Lambda takes':20} {UNZIPPED_BYTES / 1e6:12.1f} {ZIPPED_BYTES / 1e6:10.1f}")
    if not all_compiled:
        sys.stdout.flush()
        say("Without bytecode each cold start compiles anew. LAMBDA_PYTHON names a CPython 3.13.")
    return int(status)


if __name__ == "__main__":
    raise SystemExit(main())
