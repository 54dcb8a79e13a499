"""The face net finds a real face at every size and aspect, and nothing where there is none."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge_models.nets import FaceNet, session
from edge_models.types import Box, ByteArray

FACE = Box(178.0, 70.0, 90.0, 120.0)
"""Where the face is in the portrait, by eye."""


@pytest.fixture(scope="module")
def net(face_net: bytes) -> FaceNet:
    return FaceNet(face_net)


def _placed(portrait: ByteArray, width: int, height: int, size: int, x: int, y: int) -> ByteArray:
    """The portrait, scaled to size × size, at (x, y) of a grey picture."""
    picture = np.full((height, width, 3), 90, np.uint8)
    picture[y : y + size, x : x + size] = cv2.resize(portrait, (size, size), interpolation=cv2.INTER_AREA)
    return picture


def _overlap(first: Box, second: Box) -> float:
    """Intersection over union."""
    width = min(first.x + first.width, second.x + second.width) - max(first.x, second.x)
    height = min(first.y + first.height, second.y + second.height) - max(first.y, second.y)
    shared = max(0.0, width) * max(0.0, height)
    return shared / (first.area_px + second.area_px - shared)


@pytest.mark.parametrize(
    "width, height, size, x, y",
    [
        (512, 512, 512, 0, 0),
        (640, 480, 480, 80, 0),
        (640, 480, 300, 20, 150),
        (320, 240, 240, 40, 0),
        (1920, 1080, 900, 700, 100),
        (3840, 2160, 1800, 1900, 200),
        (720, 1280, 700, 10, 300),
        (1080, 1920, 1000, 40, 900),
        (1000, 300, 300, 650, 0),
    ],
)
def test_the_face_is_found_where_it_is_at_every_size_and_aspect(
    net: FaceNet, portrait_bgr: ByteArray, width: int, height: int, size: int, x: int, y: int
) -> None:
    found = net.detect(_placed(portrait_bgr, width, height, size, x, y))
    assert len(found) == 1
    box, score = found[0]
    scale = size / 512
    expected = Box(x + FACE.x * scale, y + FACE.y * scale, FACE.width * scale, FACE.height * scale)
    assert _overlap(box, expected) > 0.5
    assert 0.7 <= score <= 1.0


def test_the_net_gets_what_it_was_trained_on(net: FaceNet, portrait_bgr: ByteArray) -> None:
    picture = _placed(portrait_bgr, 320, 240, 240, 40, 0)
    by_hand = (picture[None, :, :, ::-1].astype(np.float32) - 127.0) / 128.0
    rows = net._session.run(None, {net._input_name: np.ascontiguousarray(by_hand)})[0][0]
    best = rows[rows[:, 1].argmax()]
    box, score = net.detect(picture)[0]
    assert score == pytest.approx(float(best[1]), abs=1e-5)
    np.testing.assert_allclose(
        [box.x, box.y, box.x + box.width, box.y + box.height], best[2:6] * [320, 240, 320, 240], atol=1e-3
    )


def test_two_people_are_two_faces_and_a_face_at_the_edge_of_the_picture_is_one(
    net: FaceNet, portrait_bgr: ByteArray
) -> None:
    two = np.hstack([portrait_bgr, portrait_bgr])
    found = net.detect(two)
    assert len(found) == 2
    assert abs(found[0][0].centre[0] - found[1][0].centre[0]) == pytest.approx(512, abs=40)
    assert len(net.detect(np.ascontiguousarray(portrait_bgr[:, 195:]))) <= 1


@pytest.mark.parametrize("size", [(240, 320), (480, 640), (2160, 3840), (16, 16), (1000, 16), (16, 2000)])
def test_a_picture_without_a_face_has_none(
    net: FaceNet, size: tuple[int, int], rng: np.random.Generator
) -> None:
    assert net.detect(np.zeros((*size, 3), np.uint8)) == []
    assert net.detect(np.full((*size, 3), 255, np.uint8)) == []
    assert net.detect(rng.integers(0, 256, (*size, 3), dtype=np.uint8)) == []


def test_a_picture_before_leaves_no_trace_in_the_next(net: FaceNet, portrait_bgr: ByteArray) -> None:
    wide = _placed(portrait_bgr, 640, 480, 480, 80, 0)
    tall = np.full((640, 200, 3), 90, np.uint8)
    net.detect(wide)
    assert net.detect(tall) == []  # narrower in the canvas: the rest of it must be grey again


def test_mirrored_views_and_slices_are_read_like_copies(net: FaceNet, portrait_bgr: ByteArray) -> None:
    view = portrait_bgr[::1, ::-1]
    assert net.detect(view) == net.detect(np.ascontiguousarray(view))


@pytest.mark.parametrize("weights", [b"", b"not a model", bytes(1000)])
def test_bytes_that_are_no_model_are_refused_with_a_value_error(weights: bytes) -> None:
    with pytest.raises(ValueError, match="no ONNX model"):
        FaceNet(weights)


def test_a_truncated_or_another_model_is_refused(face_net: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="no ONNX model"):
        FaceNet(face_net[: len(face_net) // 2])
    monkeypatch.setattr(FaceNet, "_WIDTH_PX", 640)
    with pytest.raises(ValueError, match="not the RFB-320 net"):
        FaceNet(face_net)


def test_a_session_keeps_to_one_thread(face_net: bytes) -> None:
    options = session(face_net).get_session_options()
    assert options.intra_op_num_threads == 1 and options.inter_op_num_threads == 1
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
