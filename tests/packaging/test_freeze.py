"""packaging/freeze.py and smoke_test.py: what goes into the frozen application, what stays out, how it is judged.

That it starts is shown by packaging/smoke_test.py itself, which needs a built one (.ci/run).
"""

from __future__ import annotations

import ast
import importlib.util
import os
import shutil
import struct
import zlib
from pathlib import Path, PurePosixPath
from types import ModuleType

import pytest

from client import config, vault, weights
from client.ui.translations import LANGUAGES

ROOT = Path(__file__).resolve().parents[2]


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"health_helper_{name}", ROOT / "packaging" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def freeze() -> ModuleType:
    return script("freeze")


@pytest.fixture(scope="module")
def smoke() -> ModuleType:
    return script("smoke_test")


# --- What goes in


def places(freeze: ModuleType) -> dict[str, Path]:
    """Where each file of data will lie in the application, and where it comes from."""
    return {
        str(PurePosixPath(folder) / Path(source).name): Path(source) for source, folder in freeze.data_files()
    }


def test_all_that_is_read_beside_the_code_goes_in_where_the_code_looks_for_it(freeze: ModuleType) -> None:
    """The folders in the application are those of the checkout, so that client.weights and the like find them."""
    wanted = [f"edge_models/weights/third_party/{entry.file_name}" for entry in weights.listed().values()]
    for pattern in ("edge_models/weights/*.*", "client/store/migrations/*", "assets/i18n/*"):
        wanted += [path.relative_to(ROOT).as_posix() for path in ROOT.glob(pattern) if path.is_file()]
    found = places(freeze)
    assert len(wanted) > 8
    assert {name: found.get(name) for name in wanted} == {name: ROOT / name for name in wanted}


def test_the_version_goes_in_and_no_folder_of_the_builder(freeze: ModuleType) -> None:
    own = {name: path for name, path in places(freeze).items() if name.startswith("health_helper-")}
    assert any(name.endswith("/METADATA") for name in own)
    assert not any(str(ROOT).encode() in path.read_bytes() for path in own.values())
    assert freeze.version() == config.version()


def test_terms_travel_with_every_package_that_has_a_file_of_them(freeze: ModuleType) -> None:
    named = {PurePosixPath(name).parts[1] for name in places(freeze) if name.startswith("licences/")}
    assert {"numpy", "opencv-python-headless", "onnxruntime", "sqlcipher3", "rich"} <= named
    assert not named & freeze.LEFT_OUT


def test_a_weight_that_is_missing_is_told_before_anything_is_built(
    freeze: ModuleType, tmp_path: Path
) -> None:
    for folder in ("edge_models/weights", "client/store/migrations", "requirements"):
        (tmp_path / folder).mkdir(parents=True)
    for file in ("LICENSE", "edge_models/weights/MODELS.toml", "requirements/app.txt"):
        shutil.copy(ROOT / file, tmp_path / file)
    with pytest.raises(FileNotFoundError, match=r"setup\.py setup"):
        freeze.data_files(tmp_path)


def test_every_trusted_key_store_goes_in(freeze: ModuleType) -> None:
    assert set(vault._TRUSTED) <= set(freeze.hidden_imports())
    assert all(importlib.util.find_spec(name.split(".")[0]) for name in freeze.hidden_imports())


def test_nothing_that_the_application_imports_is_left_out(freeze: ModuleType) -> None:
    """But for what the benchmark alone reads and draws with (dependency group bench), and the extra `speech`, which says that it is missing."""
    imported: set[str] = set()
    for path in [*(ROOT / "client").rglob("*.py"), *(ROOT / "edge_models").rglob("*.py")]:
        if "evaluation" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    imported |= {".".join(name.split(".")[:end]) for name in imported for end in (1, 2)}
    assert "PySide6.QtWidgets" in imported
    assert imported & set(freeze.EXCLUDED) == {"sherpa_onnx"}
    assert not {"PySide6.QtOpenGL", "PySide6.QtOpenGLWidgets"} & set(freeze.EXCLUDED)  # pyqtgraph's


def test_the_spec_is_python() -> None:
    compile(
        (ROOT / "packaging" / "health-helper.spec").read_text(encoding="utf-8"),
        "health-helper.spec",
        "exec",
    )


# --- What stays out


@pytest.mark.parametrize(
    "place, unneeded",
    [
        ("PySide6/Qt/plugins/platformthemes/libqgtk3.so", True),
        ("PySide6/Qt/plugins/platforms/libqeglfs.so", True),
        ("PySide6/Qt/plugins/platforms/libqminimal.so", True),
        ("PySide6/Qt/plugins/platforms/libqxcb.so", False),
        ("PySide6/Qt/plugins/platforms/libqwayland.so", False),
        ("PySide6\\plugins\\platforms\\qwindows.dll", False),
        ("PySide6\\plugins\\platforms\\qminimal.dll", True),
        ("PySide6/Qt/plugins/platforms/libqcocoa.dylib", False),
        ("PySide6/Qt/plugins/imageformats/libqsvg.so", False),
        ("PySide6/Qt/plugins/imageformats/libqtiff.so", True),
        ("PySide6/Qt/plugins/printsupport/libcupsprintersupport.so", False),
        ("libcups.so.2", True),
        ("libasound.so.2", True),
        ("libportaudio.so.2", False),
        ("libcrypto.so.3", False),
    ],
)
def test_plugins_that_no_window_opens(freeze: ModuleType, place: str, unneeded: bool) -> None:
    assert freeze.is_unneeded(place) is unneeded


def test_words_of_qt_for_the_languages_of_the_window_only(freeze: ModuleType) -> None:
    folder = "PySide6/Qt/translations"
    for code in ("es", "ar", "de", "en"):
        assert freeze.is_unneeded(f"{folder}/qtbase_{code}.qm") is (code not in LANGUAGES or code == "en")
    assert freeze.is_unneeded(f"{folder}/qt_help_es.qm")
    assert not freeze.is_unneeded("assets/i18n/es.ts")


def test_libraries_that_only_left_out_files_wanted_stay_out_too(freeze: ModuleType) -> None:
    entries = [
        ("PySide6/QtCore.abi3.so", "/s/QtCore.abi3.so", "EXTENSION"),
        (
            "_cffi_backend.so",
            "/s/_cffi_backend.so",
            "EXTENSION",
        ),  # nothing is linked with it: Python opens it
        ("PySide6/Qt/lib/libQt6Core.so.6", "/s/libQt6Core.so.6", "BINARY"),
        ("libQt6Core.so.6", "PySide6/Qt/lib/libQt6Core.so.6", "SYMLINK"),
        ("libicudata.so.73", "/s/libicudata.so.73", "BINARY"),
        ("PySide6/Qt/lib/libQt6Quick.so.6", "/s/libQt6Quick.so.6", "BINARY"),
        ("libgtk-3.so.0", "/s/libgtk-3.so.0", "BINARY"),
        ("libpython3.11.so.1.0", "/s/libpython3.11.so.1.0", "BINARY"),
        ("libportaudio.so.2", "/s/libportaudio.so.2", "BINARY"),  # nor with it: sounddevice opens it
        ("libjack.so.0", "/s/libjack.so.0", "BINARY"),
        ("onnxruntime/capi/libonnxruntime_providers_shared.so", "/s/providers.so", "BINARY"),
    ]
    links = {
        "/s/QtCore.abi3.so": {"libQt6Core.so.6", "libc.so.6"},
        "/s/libQt6Core.so.6": {"libicudata.so.73"},
        "/s/libportaudio.so.2": {"libjack.so.0", "libasound.so.2"},
        "/s/libgtk-3.so.0": {"libQt6Quick.so.6"},
    }
    gone = {"PySide6/Qt/lib/libQt6Quick.so.6", "libgtk-3.so.0"}
    assert [place for place, _, _ in freeze.reachable(entries, links)] == [
        place for place, _, _ in entries if place not in gone
    ]


@pytest.mark.parametrize(
    "target, leads", [("PySide6/Qt/lib/libQt6Core.so.6", True), ("PySide6/Qt/lib/libQt6Quick.so.6", False)]
)
def test_a_link_to_what_stays_out_stays_out(freeze: ModuleType, target: str, leads: bool) -> None:
    there = {"PySide6/Qt/lib/libQt6Core.so.6"}
    assert freeze._leads_somewhere(("libthing.so", target, "SYMLINK"), there) is leads
    assert freeze._leads_somewhere(("deep/er/libthing.so", f"../../{target}", "SYMLINK"), there) is leads


@pytest.mark.skipif(not shutil.which("objdump"), reason="objdump (binutils) is not installed")
def test_what_a_library_was_linked_with_is_read_out_of_it(freeze: ModuleType) -> None:
    import _sqlite3

    library = str(_sqlite3.__file__)
    assert any(name.startswith("libsqlite3") for name in freeze.needs([library])[library])


# --- How large it is


def test_sizes_are_told_by_part_the_largest_first_and_links_count_nothing(
    freeze: ModuleType, tmp_path: Path
) -> None:
    def put(place: str, size: int) -> None:
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size))

    put("health-helper", 1_000_000)
    put("_internal/libssl.so.3", 500_000)
    put("_internal/base_library.zip", 100_000)
    put("_internal/PySide6/Qt/lib/libQt6Core.so.6", 3_000_000)
    put("_internal/PySide6/QtCore.abi3.so", 2_000_000)
    for number in range(20):
        put(f"_internal/package{number}/a.so", 10_000)
    if os.name != "nt":
        (tmp_path / "_internal" / "libQt6Core.so.6").symlink_to("PySide6/Qt/lib/libQt6Core.so.6")
    lines = freeze.report(freeze.sizes(tmp_path))
    assert [line.split(maxsplit=2)[::2] for line in lines[:5]] == [
        ["3.0", "PySide6/Qt/lib"],
        ["2.0", "PySide6"],
        ["1.0", "the program with Python's modules"],
        ["0.5", "libraries of the system and Python"],
        ["0.1", "rest"],
    ]
    assert len(lines) == freeze.LARGEST + 2
    assert lines[-2].split() == ["0.1", "MB", "13", "smaller", "parts"]
    assert lines[-1].split() == ["6.8", "MB", "in", "all"]
    assert freeze.report({}) == ["Nothing is frozen."]


# --- How it is judged


@pytest.mark.parametrize("value", [None, 68.9, 75.1, "72", 144.0])
def test_a_rate_that_is_not_that_of_the_simulated_person_is_wrong(smoke: ModuleType, value: object) -> None:
    assert smoke.near(70.2) == "reads 70.2 /min"
    with pytest.raises(smoke.Wrong):
        smoke.near(value)


@pytest.mark.parametrize(
    "line, fault",
    [
        ('7 openat(AT_FDCWD, "{home}/data/a", O_WRONLY|O_CREAT|O_CLOEXEC, 0644) = 3', None),
        ('7 openat(AT_FDCWD, "/etc/ld.so.cache", O_RDONLY|O_CLOEXEC) = 3', None),
        ('7 openat(AT_FDCWD, "/dev/null", O_RDWR|O_CLOEXEC) = 3', None),
        ('7 openat(AT_FDCWD, "{app}/_internal/client/a.sql", O_RDONLY) = 3', None),
        ('7 openat(AT_FDCWD, "/elsewhere/.cache/a", O_RDWR|O_CREAT, 0600) = -1 EACCES (Permission denied)', None),
        ('7 openat(AT_FDCWD, "/elsewhere/.cache/a", O_RDWR|O_CREAT, 0600) = 3', "writes /elsewhere/.cache/a"),
        ('7 openat(AT_FDCWD, "../../elsewhere", O_WRONLY) = 3', "writes .*elsewhere"),
        ('7 openat(AT_FDCWD, "{root}/client/a.sql", O_RDONLY) = 3', "only the builder has"),
        ('7 openat(AT_FDCWD, "/usr/lib/python3/site-packages/a.py", O_RDONLY) = 3', "only the builder has"),
        ("7 connect(5, {{sa_family=AF_INET, sin_port=htons(443)}}, 16) = 0", "network"),
        ('7 connect(5, {{sa_family=AF_UNIX, sun_path="/tmp/.X11-unix/X1"}}, 20) = 0', None),
    ],
)  # fmt: skip
def test_what_strace_saw(smoke: ModuleType, tmp_path: Path, line: str, fault: str | None) -> None:
    home, app = tmp_path / "home", tmp_path / "app"
    home.mkdir()
    guest = smoke.Guest(app, home)
    trace = smoke.Trace(guest, "run")
    trace.before = ["strace"]
    first = '7 openat(AT_FDCWD, "/etc/passwd", O_RDONLY) = 3\n'
    (home / "run.strace").write_text(first + line.format(home=home, app=app, root=ROOT) + "\n")
    if fault is None:
        assert "none written elsewhere" in trace.judge()
    else:
        with pytest.raises(smoke.Wrong, match=fault):
            trace.judge()


def test_the_picture_of_a_display_is_read_and_written(smoke: ModuleType, tmp_path: Path) -> None:
    """Two lines of three pixels as Xvfb keeps them: a head, a table of colours, blue first, lines padded."""
    head = [100, 7, 2, 24, 3, 2, 0, 0, 32, 0, 32, 32, 16, 4, 0xFF0000, 0xFF00, 0xFF, 8, 1, 1, 3, 2, 0, 0, 0]
    red, green, blue = b"\0\0\xff\0", b"\0\xff\0\0", b"\xff\0\0\0"
    line = red + green + blue + bytes(4)
    memory = tmp_path / "screen"
    memory.write_bytes(struct.pack(">25I", *head) + bytes(12) + line + line)
    width, height, pixels = smoke.Display(":0", memory).picture()
    assert (width, height, pixels) == (3, 2, b"\xff\0\0\0\xff\0\0\0\xff" * 2)
    smoke.write_png(tmp_path / "new" / "a.png", width, height, pixels)
    content = (tmp_path / "new" / "a.png").read_bytes()
    begin = content.index(b"IDAT") + 4
    length = struct.unpack(">I", content[begin - 8 : begin - 4])[0]
    assert zlib.decompress(content[begin : begin + length]) == (b"\0" + pixels[:9]) * 2
