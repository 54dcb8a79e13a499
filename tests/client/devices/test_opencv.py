from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from client.devices.opencv import coarse, is_black, sealed

ROOT = Path(__file__).parents[3]


def _run(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        check=True,
    )


def test_opencv_says_nothing_on_its_own_even_of_a_camera_that_is_not_there() -> None:
    ran = _run(
        "from client.devices.opencv import prepare_opencv\n"
        "prepare_opencv()\n"
        "import cv2\n"
        "assert not cv2.VideoCapture(63).isOpened()\n"
        "assert not cv2.VideoCapture('/none.mp4', cv2.CAP_FFMPEG).isOpened()\n"
    )
    assert (ran.stdout, ran.stderr) == ("", "")


def test_a_setting_of_the_environment_is_left_as_it_is() -> None:
    program = (
        "import os; from client.devices.opencv import prepare_opencv\n"
        "prepare_opencv(); print(os.environ['OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT'])"
    )
    assert _run(program, OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT="7").stdout.strip() == "7"
    assert _run(program).stdout.strip() == "1"


@pytest.mark.parametrize("module", ["ports", "opencv", "relay", "simulated", "video_file", "camera"])
def test_importing_an_adapter_loads_neither_opencv_nor_httpx(module: str) -> None:
    loaded = _run(f"import client.devices.{module}, sys; print(*sys.modules)").stdout.split()
    assert "cv2" not in loaded and "httpx" not in loaded


def test_black_is_what_a_covered_lens_shows_and_a_dim_face_is_not() -> None:
    chance = np.random.default_rng(0)
    covered = chance.integers(0, 6, (480, 640, 3), dtype=np.uint8)
    dim = covered.copy()
    dim[120:360, 220:420] += 60  # a face at a monitor's light fills a sixth of the picture
    assert is_black(covered) and not is_black(dim)


def test_a_sealed_picture_cannot_be_written_to_and_is_no_copy() -> None:
    image = np.zeros((9, 17, 3), np.uint8)
    closed = sealed(image)
    assert closed is image and not closed.flags.writeable
    assert coarse(closed).shape == (2, 3)
