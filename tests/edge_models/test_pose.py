"""How tilted a head is, from one picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge_models.nets import FaceNet
from edge_models.pose import roll
from edge_models.simulate import scene
from edge_models.simulate.scene import Scene
from edge_models.types import Box, ByteArray

BIAS_DEG = 4.0
"""The person of the portrait holds her head so."""


def _turned(picture: ByteArray, clockwise_deg: float) -> ByteArray:
    height, width = picture.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, 0.43 * height), -clockwise_deg, 1.0)
    return np.asarray(
        cv2.warpAffine(picture, turn, (width, height), borderMode=cv2.BORDER_REPLICATE), np.uint8
    )


@pytest.fixture(scope="module")
def faces(portrait_bgr: ByteArray, face_net: bytes) -> tuple[list[ByteArray], FaceNet]:
    settings = [
        Scene(seed=t, skin_type=t, duration_s=0.5, width_px=320, height_px=240, face_width_px=100.0)
        for t in (1, 4, 6)
    ]
    return [next(iter(scene.render(s, portrait_bgr))).image for s in settings], FaceNet(face_net)


@pytest.mark.parametrize("lit_from_the_side", [False, True])
@pytest.mark.parametrize("tilt_deg", [-35.0, -20.0, -10.0, 0.0, 10.0, 20.0, 35.0])
def test_the_tilt_is_right_to_a_few_degrees(
    faces: tuple[list[ByteArray], FaceNet], tilt_deg: float, lit_from_the_side: bool
) -> None:
    pictures, net = faces
    for picture in pictures:
        turned = _turned(picture, tilt_deg)
        if lit_from_the_side:
            gain = np.linspace(1.0, 0.4, turned.shape[1])[None, :, None]
            turned = (turned * gain).astype(np.uint8)
        found = roll(turned, net.detect(turned)[0][0])
        assert found is not None
        assert np.rad2deg(found) == pytest.approx(tilt_deg + BIAS_DEG, abs=5.0)


def test_what_has_no_axis_has_no_tilt(rng: np.random.Generator) -> None:
    box = Box(10.0, 10.0, 80.0, 100.0)
    noise = rng.integers(0, 255, (120, 100, 3), dtype=np.uint8)
    assert roll(np.full((120, 100, 3), 90, np.uint8), box) is None
    assert roll(noise, Box(10.0, 10.0, 12.0, 15.0)) is None  # too small to tell
