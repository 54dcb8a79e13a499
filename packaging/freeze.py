"""Freezes Health Helper: dist/health-helper, a folder that runs where there is no Python. Linux; elsewhere untested.

    python packaging/setup.py freeze            brings what this needs, then runs it
    .venv/bin/python packaging/freeze.py        the same where all is there
    .venv/bin/python packaging/freeze.py sizes  what is in dist/health-helper, by part

health-helper.spec asks this file what goes into the folder; packaging/smoke_test starts what came out.

Exit status: 0; 1 when the build failed; 5 when nothing can be frozen on this machine.
"""

from __future__ import annotations

import ctypes.util
import fnmatch
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path, PurePosixPath

NAME = "health-helper"
ROOT = Path(__file__).resolve().parent.parent
DIST, BUILD = ROOT / "dist", ROOT / "build"
WEIGHTS = PurePosixPath("edge_models/weights")
CANNOT_FREEZE = 5
LARGEST = 12
"""Parts that are named in the report of sizes."""

Entry = tuple[str, str, str]
"""Of PyInstaller's lists: where it goes in the folder, where it comes from (of a link: where it points to), its kind."""

EXCLUDED = [
    # Of the benchmark alone, which does without them: its readers of data sets and its plots
    *("matplotlib", "h5py", "scipy", "imageio_ffmpeg", "webrtcvad"),
    "PIL",  # fpdf2 takes pictures with it; the report has none
    "yaml",  # numpy describes how it was built with it
    "sherpa_onnx",  # the extra `speech`: not frozen yet, for it was never tried with a model
    "readline",  # typed lines without a history will do, and it is under the GPL
    # Of development
    *("pytest", "_pytest", "hypothesis", "IPython", "mypy", "setuptools", "pkg_resources", "pip", "wheel"),
    *("tkinter", "turtle", "idlelib", "lib2to3", "pydoc_data", "test"),
    "numpy.f2py", "numpy.distutils", "numpy.testing",
    "onnxruntime.tools", "onnxruntime.transformers", "onnxruntime.quantization", "onnxruntime.datasets",
    "pyqtgraph.examples", "pyqtgraph.opengl", "pyqtgraph.jupyter", "pyqtgraph.flowchart", "pyqtgraph.console",
    # Of Qt. Never QtOpenGL and QtOpenGLWidgets: pyqtgraph asks for them
    *(f"PySide6.Qt{name}" for name in (
        "Concurrent", "DBus", "Designer", "Help", "Network", "Qml", "Quick", "QuickControls2", "QuickTest",
        "QuickWidgets", "Sql", "Test", "UiTools", "Xml",
    )),
]  # fmt: skip
"""Modules that the application never loads."""

UNNEEDED = (
    # Plugins of Qt. libqgtk3 would bring the builder's whole GTK, libqtvirtualkeyboard the whole of QML.
    *(f"PySide6/*plugins/{name}/*" for name in (
        "egldeviceintegrations", "generic", "networkinformation", "qmltooling", "sqldrivers", "tls", "vectorimageformats",
        "wayland-graphics-integration-server",
    )),
    "PySide6/*plugins/platformthemes/*gtk3*",
    "PySide6/*plugins/platforminputcontexts/*virtualkeyboard*",
    *(f"PySide6/*plugins/platforms/*{name}.*" for name in ("eglfs", "linuxfb", "minimal", "minimalegl", "vkkhrdisplay", "vnc", "direct2d")),
    *(f"PySide6/*plugins/imageformats/*{name}.*" for name in ("icns", "pdf", "tga", "tiff", "wbmp", "webp")),
    "libcups.so*",  # belongs to the system's printing: where that is, it is
    "libasound.so*",  # the same with sound; the system's plug-ins fit its own only
)  # fmt: skip
"""Files that the application never opens, as shown by packaging/smoke_test."""

QT_WORDS = ("es", "ar")
"""Languages of the window other than English (client.ui.translations)."""
OPENED = ("libportaudio.so",)
"""Shared libraries that no other is linked with, for a module opens them by their names."""
LEFT_OUT = {"pillow", "setuptools"}
"""Packages of the lock that are not in the folder (see EXCLUDED)."""
TEXTS = ("licen", "copying", "notice", "authors")
"""Found in the names of files that must travel with a package."""


def main(arguments: Sequence[str]) -> int:
    """Freeze, or only report. Returns the exit status."""
    if arguments not in (["sizes"], []):
        say((__doc__ or "").split("\n\n")[1])
        return 2
    if not arguments:
        if lacking := what_is_lacking():
            say(f"Health Helper cannot be frozen on this machine: {lacking}")
            return CANNOT_FREEZE
        begun_s = time.monotonic()
        if status := build():
            say(f"PyInstaller failed ({status}); its last words are above.")
            return 1
        say(f"Frozen after {time.monotonic() - begun_s:.0f} s: {DIST / NAME}")
    print("\n".join(report(sizes(DIST / NAME))))
    return 0


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def what_is_lacking() -> str:
    """What PyInstaller needs and is not here; empty when it can run."""
    if not importlib.util.find_spec("PyInstaller"):
        return "PyInstaller is not installed. Run 'python packaging/setup.py freeze'."
    if sys.platform.startswith("linux"):
        for program in ("objcopy", "objdump", "ldd"):
            if not shutil.which(program):
                return f"the program {program} is missing. Run 'apt-get install binutils libc-bin'."
        library = f"python{sys.version_info.major}.{sys.version_info.minor}"
        own = Path(sys.base_prefix, "lib").glob(f"lib{library}.so*")
        if not any(own) and not ctypes.util.find_library(library):
            return f"Python is not here as a library. Run 'apt-get install lib{library}'."
    return ""


def build() -> int:
    """Run PyInstaller; its status."""
    spec = ROOT / "packaging" / f"{NAME}.spec"
    folders = ["--distpath", str(DIST), "--workpath", str(BUILD)]
    return subprocess.call(
        [sys.executable, "-m", "PyInstaller", "--noconfirm", "--log-level", "WARN", *folders, str(spec)],
        cwd=ROOT,
        env={**os.environ, "PYINSTALLER_CONFIG_DIR": str(BUILD / "pyinstaller")},
    )


# --- What goes in ------------------------------------------------------------------------------------


def data_files(root: Path = ROOT) -> list[tuple[str, str]]:
    """Every file that is no code: where it lies, and its folder in the application.

    Raises FileNotFoundError for a file that MODELS.toml lists and that is not there.
    """
    wanted = [
        WEIGHTS / "MODELS.toml",
        *_matching(root, f"{WEIGHTS}/*.md"),
        *(WEIGHTS / "third_party" / name for name in listed_weights(root)),
        *_matching(root, "client/store/migrations/*.sql"),
        *_matching(root, "assets/i18n/*.ts"),
        *_matching(root, "assets/triage/*.toml"),
        *_matching(root, "assets/triage/*.reader"),
        *_matching(root, "assets/triage/*.net"),
        *_matching(root, "assets/assistant/*.toml"),
        *_matching(root, "assets/knowledge/*.toml"),
        *_matching(root, "assets/knowledge/*/*.md"),
        PurePosixPath("LICENSE"),
    ]
    found = [(root / path, str(path.parent)) for path in wanted]
    for path, _ in found:
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing: run 'python packaging/setup.py setup'")
    return [
        (str(path), folder)
        for path, folder in [*found, *_own_metadata(), *_of_the_report(), *_licences(root)]
    ]


def listed_weights(root: Path = ROOT) -> list[str]:
    """The names of the third-party files that the application reads."""
    table = tomllib.loads((root / WEIGHTS / "MODELS.toml").read_text(encoding="utf-8"))
    return [entry["file_name"] for entry in table["files"].values()]


def _matching(root: Path, pattern: str) -> list[PurePosixPath]:
    return sorted(PurePosixPath(path.relative_to(root).as_posix()) for path in root.glob(pattern))


def _own_metadata() -> Iterator[tuple[Path, str]]:
    """For the version. Without direct_url.json and RECORD: they name folders of the builder."""
    for path in metadata.files(NAME) or ():
        if path.name in {"METADATA", "entry_points.txt", "top_level.txt"}:
            yield Path(str(path.locate())), path.parent.as_posix()


def _of_the_report() -> Iterator[tuple[Path, str]]:
    """What fpdf2 reads: the description of colours that every report holds."""
    for path in metadata.files("fpdf2") or ():
        if path.parts[:2] == ("fpdf", "data") and path.suffix not in {".py", ".pyc"}:
            yield Path(str(path.locate())), path.parent.as_posix()


def _licences(root: Path) -> Iterator[tuple[Path, str]]:
    """The terms of every package that the application is made of, and of Python."""
    lock = (root / "requirements" / "app.txt").read_text(encoding="utf-8")
    for name in re.findall(r"^([\w.-]+)==", lock, re.MULTILINE):
        if name in LEFT_OUT:
            continue
        try:
            files = metadata.files(name) or ()
        except metadata.PackageNotFoundError:  # of another system or Python
            continue
        texts = [
            path
            for path in files
            if path.suffix != ".py" and any(text in path.name.lower() for text in TEXTS)
        ]
        of_all = [path for path in texts if path.parts[0].endswith(".dist-info")]
        for path in of_all or texts:  # some wheels have them beside the code only
            inside = [part for part in path.parent.parts[1:] if part != "licenses"]
            yield Path(str(path.locate())), "/".join(("licences", name, *inside))
    of_python = Path(os.__file__).with_name("LICENSE.txt")
    if of_python.is_file():
        yield of_python, "licences/python"


def hidden_imports() -> list[str]:
    """Modules that are only found by their names: the key stores of every system, a folder of data, what looks into files apart."""
    stores = ("SecretService", "kwallet", "libsecret", "macOS", "Windows", "fail")
    return [
        *(f"keyring.backends.{name}" for name in stores),
        "fpdf.data.color_profiles",
        "client.intake.__main__",
        "client.intake.pdf",
        "client.intake.picture",
    ]


def version() -> str:
    """Of Health Helper, as installed."""
    return metadata.version(NAME)


# --- What stays out ----------------------------------------------------------------------------------


def without_the_unneeded(binaries: Iterable[Entry], data: Iterable[Entry]) -> tuple[list[Entry], list[Entry]]:
    """What PyInstaller has found, less files that are never opened and libraries that only those wanted."""
    wanted = [entry for entry in binaries if not is_unneeded(entry[0])]
    if sys.platform.startswith("linux"):
        wanted = reachable(wanted, needs(source for _, source, kind in wanted if kind != "SYMLINK"))
    kept = [entry for entry in data if not is_unneeded(entry[0])]
    there = {_posix(place) for place, _, _ in [*wanted, *kept]}
    return [entry for entry in wanted if _leads_somewhere(entry, there)], [
        entry for entry in kept if _leads_somewhere(entry, there)
    ]


def is_unneeded(place: str) -> bool:
    """Whether a file of this name, as it is in the folder, is never opened."""
    name = _posix(place)
    if "/translations/" in name and name.startswith("PySide6/"):
        return PurePosixPath(name).stem not in {f"qtbase_{code}" for code in QT_WORDS}
    return any(fnmatch.fnmatch(name, pattern) for pattern in UNNEEDED)


def needs(libraries: Iterable[str]) -> dict[str, set[str]]:
    """The names of the libraries that each of these (paths) was linked with."""
    found: dict[str, set[str]] = {}
    paths = sorted(set(libraries))
    for begin in range(0, len(paths), 200):  # a command line has its limits
        told = subprocess.run(
            ["objdump", "-p", *paths[begin : begin + 200]],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        ).stdout
        here: set[str] = set()
        for line in told.splitlines():
            path, heading, _ = line.partition(":     file format ")
            if heading:
                here = found.setdefault(path, set())
            elif line.startswith("  NEEDED"):
                here.add(line.split()[1])
    return found


def reachable(entries: Sequence[Entry], links: Mapping[str, set[str]]) -> list[Entry]:
    """Without those shared libraries that nothing wants any more. links: as `needs` gives them."""
    by_name = {
        PurePosixPath(_posix(place)).name: source for place, source, kind in entries if kind != "SYMLINK"
    }
    waiting = [
        source
        for place, source, kind in entries
        if kind != "SYMLINK"
        and not (kind == "BINARY" and _is_shared(place) and not _posix(place).startswith(OPENED))
    ]
    reached = set(waiting)
    while waiting:
        for name in links.get(waiting.pop(), ()):
            source = by_name.get(name)
            if source is not None and source not in reached:
                reached.add(source)
                waiting.append(source)
    return [entry for entry in entries if entry[2] == "SYMLINK" or entry[1] in reached]


def _is_shared(place: str) -> bool:
    """Whether it lies where libraries lie that others are linked with; not Python itself, which the program opens."""
    path = PurePosixPath(_posix(place))
    return str(path.parent) in {".", "PySide6/Qt/lib"} and not path.name.startswith("libpython")


def _leads_somewhere(entry: Entry, there: set[str]) -> bool:
    """Whether it is no link, or one to something that is there."""
    place, target, kind = entry
    if kind != "SYMLINK":
        return True
    return os.path.normpath(PurePosixPath(_posix(place)).parent / _posix(target)) in there


def _posix(place: str) -> str:
    return place.replace("\\", "/")


# --- How large it is ---------------------------------------------------------------------------------


def sizes(folder: Path) -> dict[str, int]:
    """Bytes of each part of a frozen application. Links count nothing."""
    found: dict[str, int] = {}
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            part = part_of(PurePosixPath(path.relative_to(folder).as_posix()))
            found[part] = found.get(part, 0) + path.stat().st_size
    return found


def part_of(path: PurePosixPath) -> str:
    """The part that a file belongs to, as the report names it."""
    if path.parts[0] != "_internal":
        return "the program with Python's modules"
    inside = path.parts[1:]
    if len(inside) == 1:
        shared = ".so" in path.name or path.suffix in {".dll", ".dylib"}
        return "libraries of the system and Python" if shared else "rest"
    if inside[0] == "PySide6":
        return "/".join(inside[:3] if inside[1] == "Qt" and len(inside) > 3 else inside[:1])
    return inside[0]


def report(found: Mapping[str, int]) -> list[str]:
    """Lines: the largest parts, the rest, the whole, in MB (1,000,000 bytes)."""
    if not found:
        return ["Nothing is frozen."]
    ordered = sorted(found.items(), key=lambda item: -item[1])
    shown = ordered[:LARGEST]
    if rest := ordered[LARGEST:]:
        shown.append((f"{len(rest)} smaller parts", sum(size for _, size in rest)))
    lines = [f"{size / 1e6:7.1f} MB  {name}" for name, size in shown]
    return [*lines, f"{sum(found.values()) / 1e6:7.1f} MB  in all"]


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
