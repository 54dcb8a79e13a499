"""The grid of rendered clips is fixed, and its oracle sees the pulse that is in the decoded pictures."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

import cv2
import numpy as np
import pytest

from client import weights
from client.app import DEMO_FACE
from client.evaluation import grids, video_grid
from client.evaluation.cases import VideoCase, VideoTruth
from client.evaluation.outcomes import Truth
from edge_models.simulate import scene
from edge_models.simulate.portrait import Cover
from edge_models.simulate.scene import Scene, SceneKind
from edge_models.types import ByteArray

KNOWN = VideoTruth(8.0, Truth(has_pulse=True))


@pytest.fixture(scope="module")
def face() -> ByteArray:
    picture = np.frombuffer(weights.load(DEMO_FACE), dtype=np.uint8)
    return np.asarray(cv2.imdecode(picture, cv2.IMREAD_COLOR), np.uint8)


def test_the_grid_is_as_large_as_it_says_and_every_case_is_its_own() -> None:
    everything = list(video_grid.settings())
    assert Counter(s.axes["kind"] for s in everything) == {"pulse": 120, "none": 48}
    assert len({s.name for s in everything}) == 168
    assert len({s.scene.seed for s in everything}) == 168
    assert {s.scene.skin_type for s in everything} == {1, 2, 3, 4, 5, 6}
    assert all(s.scene.has_person == (s.axes["kind"] == "pulse") for s in everything)
    assert [s.scene for s in video_grid.settings()] == [s.scene for s in everything]


def test_every_case_has_a_truth_of_its_kind() -> None:
    cases = grids.video_cases()
    assert len({case.fingerprint() for case in cases}) == 168
    rates = []
    for case in cases:
        assert isinstance(case, VideoCase)
        known = case.judge().truth
        assert known.has_pulse == (known.heart_rate is not None)
        if known.heart_rate is not None:
            rates.append(known.heart_rate)
    assert min(rates) < 50
    assert max(rates) > 165


@pytest.mark.parametrize(
    ("changes", "supported"),
    [
        ({}, True),
        ({"cover": Cover.MASK}, True),
        ({"pulse_green_pp": 0.0}, False),
        ({"face_width_px": 90.0}, False),
        ({"fps": 12.0}, False),
    ],
)
def test_the_oracle_looks_at_the_skin_in_the_pictures(
    changes: dict[str, Any], supported: bool, face: ByteArray
) -> None:
    plain: dict[str, Any] = {"duration_s": 8.0, "pulse_green_pp": 0.03, "motion_px": 0.1, "sway_deg": 0.0}
    setting = Scene(**(plain | changes))
    judged = video_grid.judged(setting, KNOWN, scene.render(setting, face))
    assert judged.supported is supported
    assert judged.oracle_db is not None
    if "pulse_green_pp" not in changes:
        assert judged.oracle_db > 3


def test_nobody_is_supported_where_nobody_lives() -> None:
    setting = Scene(kind=SceneKind.REPLAYED)
    assert video_grid.judged(setting, KNOWN, iter(())) == dataclasses.replace(KNOWN, supported=False)
