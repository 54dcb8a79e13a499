"""The whole path of the app, in this process: real command, real adapters, real engine, simulated pictures."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import pytest

from client.app import real_parts, run
from client.clock import SystemClock
from client.parts import Parts
from edge_models.simulate.scene import Scene, render
from edge_models.types import ByteArray, Frame

BPM = 72.0


@dataclass(frozen=True)
class Said:
    """What a command ended with. `json` is what it printed, if it kept the contract."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one object on standard output."""
        answer: dict[str, Any] = json.loads(self.out)
        return answer

    @property
    def reasons(self) -> list[str]:
        """Why there is no heart rate."""
        reasons: list[str] = self.json["vitals"]["heart_rate"]["reasons"]
        return reasons

    @property
    def error(self) -> str:
        """The last line on standard error: the sentence with its remedy."""
        return self.err.strip().splitlines()[-1]


Scan = Callable[..., Said]


@pytest.fixture
def scan(capsys: pytest.CaptureFixture[str]) -> Scan:
    """`scan("--video", path)`: the shipped app, with --json --no-save. Keyword arguments replace parts of it."""

    def call(*arguments: object, **replaced: object) -> Said:
        parts: Parts = replace(real_parts(SystemClock()), **replaced)  # type: ignore[arg-type]
        words = [str(argument) for argument in arguments]
        status = run(parts, ["scan", *words, "--json", "--no-save"])
        captured = capsys.readouterr()
        return Said(status, captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def face_bgr(astronaut_png: bytes) -> ByteArray:
    """A real face."""
    picture = cv2.imdecode(np.frombuffer(astronaut_png, dtype=np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(picture, dtype=np.uint8)


@pytest.fixture(scope="session")
def film(face_bgr: ByteArray) -> Callable[..., list[Frame]]:
    """`film(fps=15.0)`: a small simulated person with a pulse of 72 for 12 s, or what the arguments say."""

    def make(**scene: Any) -> list[Frame]:
        plain: dict[str, Any] = {
            "heart_rate_bpm": BPM,
            "duration_s": 12.0,
            "width_px": 320,
            "height_px": 240,
            "face_width_px": 110.0,
            "seed": 3,
        }
        return list(render(Scene(**(plain | scene)), face_bgr))

    return make


@pytest.fixture(scope="session")
def person(film: Callable[..., list[Frame]]) -> list[Frame]:
    """The small simulated person at 30 frames per second."""
    return film()
