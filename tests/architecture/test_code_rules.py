"""Rules that imports alone do not show: which functions may be called where, and what may be loaded at start."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

CAMERA_FUNCTIONS = {"VideoCapture", "VideoWriter"}
"""Of cv2: they open devices and files, so they belong to client.devices."""

OUTSIDE_WORLD = CAMERA_FUNCTIONS | {
    *("imread", "imreadmulti", "imwrite", "imwritemulti", "haveImageReader", "FileStorage"),
    *("imshow", "namedWindow", "waitKey", "destroyAllWindows"),
    *(
        "load",
        "loadtxt",
        "genfromtxt",
        "fromfile",
        "save",
        "savez",
        "savez_compressed",
        "savetxt",
        "tofile",
        "memmap",
    ),
    *("open", "print", "input", "eval", "exec", "breakpoint", "__import__"),
}
"""Of cv2, numpy and Python: files, windows, terminals; edge_models takes arrays and bytes instead."""

WALL_CLOCK = {"now", "utcnow", "today"}
"""Of datetime's classes, under whatever name: they ask the machine what time it is, which only client.clock does."""

PROGRAMS = {
    *("system", "popen", "startfile", "fork", "forkpty", "posix_spawn", "posix_spawnp"),
    *(f"{way}{how}" for way in ("exec", "spawn") for how in ("l", "le", "lp", "lpe", "v", "ve", "vp", "vpe")),
}
"""Of os: they start programs without importing subprocess, which the contract "processes" watches."""

HEAVY = {
    *("cv2", "onnxruntime", "httpx", "fpdf", "keyring", "sqlcipher3", "cryptography"),
    *("scipy", "h5py", "matplotlib", "PIL", "PySide6", "sounddevice"),
}
"""What a command that needs no camera must not pay for."""


def python_files(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def uses(source: str, names: set[str]) -> Iterator[str]:
    """Where a name is called, read as an attribute, or imported: "name, line n"."""
    for node in ast.walk(ast.parse(source)):
        found: set[str] = set()
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id in {"cv2", "np", "numpy", "os", "io"} or node.attr in {"tofile", "VideoCapture"}:
                found = {node.attr}
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            found = {node.func.id}
        elif isinstance(node, ast.ImportFrom) and node.module in {"cv2", "numpy", "builtins", "os"}:
            found = {alias.name for alias in node.names}
        yield from (f"{name}, line {getattr(node, 'lineno', '?')}" for name in found & names)


def test_only_the_devices_open_cameras_and_videos() -> None:
    found = {
        str(path.relative_to(ROOT)): list(uses(path.read_text(encoding="utf-8"), CAMERA_FUNCTIONS))
        for path in python_files("client", "edge_models")
    }
    assert {
        path for path, where in found.items() if where and not path.startswith("client/devices/")
    } == set()
    assert any(where for path, where in found.items() if path.startswith("client/devices/"))


def test_edge_models_reaches_for_nothing_outside() -> None:
    found = {
        str(path.relative_to(ROOT)): where
        for path in python_files("edge_models")
        if (where := list(uses(path.read_text(encoding="utf-8"), OUTSIDE_WORLD)))
    }
    assert found == {}


@pytest.mark.parametrize(
    "line",
    [
        "import cv2; c = cv2.VideoCapture(0)",
        "import cv2; make = cv2.VideoCapture",
        "from cv2 import VideoCapture",
        "import cv2; cv2.imwrite('x.png', p)",
        "import numpy as np; np.save('x', a)",
        "a.tofile('x')",
        "open('x')",
        "print(1)",
    ],
)
def test_the_rule_above_sees_what_it_forbids(line: str) -> None:
    assert list(uses(line, OUTSIDE_WORLD))


def asks_the_time(source: str) -> list[str]:
    """Where the wall clock is read: "now, line n"."""
    return [
        f"{node.attr}, line {node.lineno}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and node.attr in WALL_CLOCK
    ]


def test_only_the_clock_asks_what_time_it_is() -> None:
    found = {
        str(path.relative_to(ROOT))
        for path in python_files("client", "edge_models")
        if asks_the_time(path.read_text(encoding="utf-8"))
    }
    assert found == {"client/clock.py"}


@pytest.mark.parametrize(
    "line",
    [
        "from datetime import UTC, datetime; t = datetime.now(UTC)",
        "import datetime; t = datetime.datetime.utcnow()",
        "import datetime as d; t = d.date.today()",
        "from datetime import datetime as moment; ask = moment.now",
    ],
)
def test_the_rule_of_the_clock_sees_what_it_forbids(line: str) -> None:
    assert asks_the_time(line)


def test_programs_are_started_by_nothing_but_subprocess() -> None:
    found = {
        str(path.relative_to(ROOT)): where
        for path in python_files("client", "edge_models")
        if (where := list(uses(path.read_text(encoding="utf-8"), PROGRAMS)))
    }
    assert found == {}


@pytest.mark.parametrize(
    "line", ["import os; os.system('x')", "from os import popen", "import os; f = os.execv"]
)
def test_the_rule_of_programs_sees_what_it_forbids(line: str) -> None:
    assert list(uses(line, PROGRAMS))


def test_packaging_is_no_package() -> None:
    assert not (ROOT / "packaging" / "__init__.py").exists(), (
        "it would hide the library `packaging` from pytest"
    )


def loaded_after(code: str) -> set[str]:
    """Which of HEAVY a fresh interpreter has loaded after running the code."""
    report = f"import json, sys; print('\\n' + json.dumps(sorted(set(sys.modules) & set({sorted(HEAVY)}))))"
    ran = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(json.loads(ran.stdout.splitlines()[-1]))


def command(*arguments: str) -> str:
    return f"import sys; sys.argv = ['health-helper', *{list(arguments)}]; from client.__main__ import main; main()"


def test_starting_the_program_loads_nothing_heavy() -> None:
    assert loaded_after("import client.__main__") == set()


@pytest.mark.parametrize(
    "arguments", [["--help"], ["scan", "--help"], ["doctor", "--help"], ["bench", "--help"]]
)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    assert loaded_after(command(*arguments)) == set()


@pytest.mark.parametrize(
    "code",
    [command("cameras"), "import client.ui.start, client.devices.microphones", "import client.cli.doctor"],
)
def test_what_hears_nothing_loads_no_sound(code: str) -> None:
    """Loading sounddevice starts PortAudio, which looks at every device."""
    assert "sounddevice" not in loaded_after(code)


def test_the_probe_sees_what_is_heavy() -> None:
    assert "cv2" in loaded_after("import cv2")


UNTRANSLATED = ("client/evaluation/", "client/cli/bench.py", "client/devices/clip_writer.py", "client/app.py")
"""The benchmark's, for those who develop this; and of the start, where no language is known yet."""


def plain_words(source: str) -> list[str]:
    """Where a fault gets a title or a remedy as it is, past client.language: "title, line n"."""
    return [
        f"{keyword.arg}, line {keyword.value.lineno}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and {"title", "remedy"} <= {str(k.arg) for k in node.keywords}
        for keyword in node.keywords
        if keyword.arg in {"title", "remedy"}
        for part in (
            [keyword.value.body, keyword.value.orelse]
            if isinstance(keyword.value, ast.IfExp)
            else [keyword.value]
        )
        if isinstance(part, ast.JoinedStr | ast.Constant | ast.BinOp)
    ]


def test_what_a_fault_says_can_be_translated() -> None:
    found = {
        name: where
        for path in python_files("client")
        if not (name := path.relative_to(ROOT).as_posix()).startswith(UNTRANSLATED)
        if (where := plain_words(path.read_text(encoding="utf-8")))
    }
    assert found == {}


@pytest.mark.parametrize(
    "words", ["'It is gone'", "f'{name} is gone'", "name + ' is gone'", "said('Gone') if new else 'Old'"]
)
def test_the_rule_of_faults_sees_what_it_forbids(words: str) -> None:
    assert plain_words(f"raise BadInput(title={words}, remedy=said('Look for it.'))")
    assert plain_words(f"raise BadInput(title=said('It is gone'), remedy={words})")
    assert not plain_words("raise BadInput(title=said('It is gone'), remedy=said('Look for it.'))")
