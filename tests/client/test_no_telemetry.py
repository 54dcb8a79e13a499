"""Nothing that we load tells anybody what it runs on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

LOOK = """
from client import weights
from edge_models.nets import session
session(weights.load("face_rfb_320"))
"""


def test_onnx_runtime_writes_no_identity_and_no_queue(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ORT_", "XDG_"))}
    done = subprocess.run(
        [sys.executable, "-c", LOOK],
        env=environment | {"HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.rglob("*")] == []


def test_without_a_display_the_window_says_so(tmp_path: Path) -> None:
    environment = {
        k: v for k, v in os.environ.items() if k not in {"DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"}
    }
    if not sys.platform.startswith("linux"):
        return  # a display is always there
    done = subprocess.run(
        [sys.executable, "-m", "client", "window"],
        env=environment | {"HOME": str(tmp_path)},
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 4 and "no display" in done.stderr
