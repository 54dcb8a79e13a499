"""What the engine's tests share: the portrait, and rendered scenes that are filmed and measured once per session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import pytest

from edge_models.scan import Scan
from edge_models.simulate import scene
from edge_models.simulate.scene import Scene
from edge_models.types import ByteArray, Frame, Progress, ScanResult


@dataclass(frozen=True, slots=True)
class Measured:
    """A scan of some frames: what it said after each, and at its end."""

    progress: list[Progress]
    result: ScanResult


Film = Callable[[Scene], list[Frame]]
Measure = Callable[[list[Frame]], Measured]
MeasureScene = Callable[[Scene], Measured]


@pytest.fixture(scope="session")
def portrait_bgr(astronaut_png: bytes) -> ByteArray:
    """A real face, 512×512 BGR."""
    picture = cv2.imdecode(np.frombuffer(astronaut_png, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return np.asarray(picture, np.uint8)


@pytest.fixture(scope="session")
def film(portrait_bgr: ByteArray) -> Film:
    """The frames of a scene, rendered once per session."""
    kept: dict[Scene, list[Frame]] = {}

    def filmed(setting: Scene) -> list[Frame]:
        if setting not in kept:
            kept[setting] = list(scene.render(setting, portrait_bgr))
        return kept[setting]

    return filmed


@pytest.fixture(scope="session")
def measure(face_net: bytes) -> Measure:
    """A fresh scan of these frames."""

    def measured(frames: list[Frame]) -> Measured:
        scan = Scan(face_net)
        return Measured([scan.push(frame) for frame in frames], scan.result())

    return measured


@pytest.fixture(scope="session")
def measure_scene(portrait_bgr: ByteArray, measure: Measure) -> MeasureScene:
    """A scan of a scene, rendered and measured once per session; its frames are not kept."""
    kept: dict[Scene, Measured] = {}

    def measured(setting: Scene) -> Measured:
        if setting not in kept:
            kept[setting] = measure(list(scene.render(setting, portrait_bgr)))
        return kept[setting]

    return measured
