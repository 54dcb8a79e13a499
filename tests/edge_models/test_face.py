"""The tracker: the same cell is the same skin, faces are lost and found again, the chest is followed."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from edge_models.face import (
    BACKGROUND_COLS,
    BACKGROUND_ROWS,
    COLS,
    ROWS,
    FaceTracker,
    SkinSample,
    _area_mean,
    _box_means,
    _Picture,
)
from edge_models.nets import FaceNet
from edge_models.simulate.scene import Scene
from edge_models.types import Box, ByteArray, FloatArray, Frame
from tests.edge_models.conftest import Film

SIZE = (640, 480)
SKIN = (slice(2, 16), slice(3, 11))
"""Cells well inside the face."""


@pytest.fixture
def tracker(face_net: bytes) -> FaceTracker:
    return FaceTracker(FaceNet(face_net))


def _seen(
    portrait: ByteArray, dx: float = 0.0, dy: float = 0.0, roll_deg: float = 0.0, scale: float = 1.0
) -> ByteArray:
    """A camera's picture of the portrait, moved by (dx, dy) pixels, turned and scaled about the face."""
    matrix = cv2.getRotationMatrix2D((225.0, 130.0), roll_deg, scale)
    matrix[:, 2] += np.array([320 - 225 + dx, 240 - 130 - 60 + dy])
    return np.asarray(
        cv2.warpAffine(portrait, matrix, SIZE, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE),
        np.uint8,
    )


def _follow(tracker: FaceTracker, pictures: list[ByteArray], fps: float = 30.0) -> list[SkinSample]:
    return [tracker.update(Frame(picture, k / fps)) for k, picture in enumerate(pictures)]


def _cells(sample: SkinSample) -> FloatArray:
    assert sample.cells is not None
    return sample.cells.astype(np.float64)


def test_a_sample_has_the_shapes_and_the_colour_order_it_says(
    tracker: FaceTracker, portrait_bgr: ByteArray
) -> None:
    picture = _seen(portrait_bgr)
    sample = _follow(tracker, [picture])[0]
    assert sample.cells is not None and sample.face is not None
    assert sample.cells.shape == (ROWS, COLS, 3) and sample.cells.dtype == np.float32
    assert sample.background.shape == (BACKGROUND_ROWS, BACKGROUND_COLS, 3)
    assert sample.faces == 1 and sample.visible == 1.0
    red, _, blue = _cells(sample)[SKIN].reshape(-1, 3).mean(axis=0)
    assert red > blue + 20  # skin is red: R, G, B
    np.testing.assert_allclose(
        sample.background.mean(axis=(0, 1)), picture[:, :, ::-1].mean(axis=(0, 1)), atol=1.0
    )


def test_cells_stay_on_the_same_skin_while_the_face_moves(
    tracker: FaceTracker, portrait_bgr: ByteArray
) -> None:
    t_s = np.arange(60) / 30.0
    samples = _follow(
        tracker,
        [
            _seen(
                portrait_bgr,
                14 * np.sin(1.9 * t),
                8 * np.sin(2.7 * t),
                3 * np.sin(1.3 * t),
                1 + 0.03 * np.sin(t),
            )
            for t in t_s
        ],
    )
    assert {s.key for s in samples} == {samples[0].key}
    still = _cells(samples[0])[SKIN]
    moved = np.stack([_cells(s)[SKIN] for s in samples])
    residual = np.abs(moved - still).mean() / still.mean()
    # Without tracking, the same excursions through the same cells:
    fixed = FaceTracker(tracker._net)
    fixed.update(Frame(_seen(portrait_bgr), 0.0))
    drifted = np.stack(
        [
            _area(fixed, _seen(portrait_bgr, 14 * np.sin(1.9 * t), 8 * np.sin(2.7 * t), 3 * np.sin(1.3 * t)))
            for t in t_s
        ]
    )
    blind = np.abs(drifted - still).mean() / still.mean()
    assert residual < 0.006  # of the level; single cells of 7 × 9 pixels
    assert blind > 6 * residual


def _area(tracker: FaceTracker, picture: ByteArray) -> FloatArray:
    """The cells at the place where the tracker's grid was first laid."""
    return tracker._sample(_Picture(picture)).astype(np.float64)[SKIN]


def test_the_motion_reported_is_the_motion_made(tracker: FaceTracker, portrait_bgr: ByteArray) -> None:
    moves = [
        (0.0, 0.0, 0.0, 1.0),
        (4.0, 0.0, 0.0, 1.0),
        (9.0, -5.0, 0.0, 1.0),
        (9.0, -5.0, 2.0, 1.0),
        (0.0, 0.0, 0.0, 1.05),
    ]
    samples = _follow(tracker, [_seen(portrait_bgr, *move) for move in moves])
    first = samples[0].face
    assert first is not None
    for (dx, dy, roll_deg, scale), sample in zip(moves, samples, strict=True):
        x, y, roll, log_scale = sample.motion
        if scale == 1.0:
            assert x * first.width == pytest.approx(dx, abs=0.6)
            assert y * first.width == pytest.approx(dy, abs=0.6)
        assert np.rad2deg(roll) == pytest.approx(-roll_deg, abs=0.3)  # OpenCV turns the other way
        assert np.exp(log_scale) == pytest.approx(scale, abs=0.01)


def test_a_face_that_goes_is_lost_soon_and_found_again_with_a_new_key(
    tracker: FaceTracker, portrait_bgr: ByteArray
) -> None:
    here, wall = _seen(portrait_bgr), np.full((480, 640, 3), 110, np.uint8)
    samples = _follow(tracker, [here] * 15 + [wall] * 30 + [here] * 15)
    lost = next(k for k in range(15, 45) if samples[k].face is None)
    assert (lost - 15) / 30.0 < 0.7
    assert all(s.face is None and s.cells is None and np.isnan(s.chest_y) for s in samples[lost:45])
    found = next(k for k in range(45, 60) if samples[k].face is not None)
    assert (found - 45) / 30.0 < 0.35
    assert samples[-1].key > samples[0].key
    assert samples[44].faces == 0 and samples[-1].faces == 1


def test_a_face_that_jumps_gets_a_new_key_and_the_right_box(
    tracker: FaceTracker, portrait_bgr: ByteArray
) -> None:
    samples = _follow(tracker, [_seen(portrait_bgr, -120)] * 10 + [_seen(portrait_bgr, 130)] * 40)
    before, after = samples[5].face, samples[-1].face
    assert before is not None and after is not None
    assert after.centre[0] - before.centre[0] == pytest.approx(250, abs=15)
    assert samples[-1].key > samples[5].key


def test_a_face_half_out_of_the_picture_says_how_much_is_seen(
    tracker: FaceTracker, portrait_bgr: ByteArray
) -> None:
    samples = _follow(tracker, [_seen(portrait_bgr, 12.0 * k) for k in range(27)])
    inside = [s for s in samples if s.face is not None]
    assert inside[0].visible == 1.0
    assert all(0.0 <= s.visible <= 1.0 for s in inside)
    assert min(s.visible for s in inside) < 0.9
    for s in inside:
        assert s.face is not None
        assert s.visible == pytest.approx(min(1.0, (640 - s.face.x) / s.face.width), abs=0.01)


@pytest.mark.parametrize("shape", [(2160, 3840), (1080, 1920), (1280, 720)])
def test_large_pictures_give_boxes_in_their_own_pixels(
    tracker: FaceTracker, portrait_bgr: ByteArray, shape: tuple[int, int]
) -> None:
    height, width = shape
    side = min(shape)
    picture = np.full((height, width, 3), 90, np.uint8)
    picture[:side, :side] = cv2.resize(portrait_bgr, (side, side), interpolation=cv2.INTER_LINEAR)
    face = _follow(tracker, [picture])[0].face
    assert face is not None
    assert face.centre[0] == pytest.approx(223 / 512 * side, abs=0.05 * side)
    assert face.width == pytest.approx(90 / 512 * side, rel=0.3)


def test_a_new_size_of_picture_starts_a_new_search(tracker: FaceTracker, portrait_bgr: ByteArray) -> None:
    wide = _seen(portrait_bgr)
    shapes = [
        wide,
        cv2.resize(wide, (320, 240)),
        np.ascontiguousarray(wide[:, 100:540]),
        np.rot90(wide).copy(),
    ]
    keys = []
    for k, picture in enumerate(shapes):
        seen = [tracker.update(Frame(np.asarray(picture, np.uint8), k + step / 30.0)) for step in range(5)]
        keys.append(seen[-1].key if seen[-1].face is not None else -1)
    assert keys[0] < keys[1] < keys[2]


def _breathing(portrait: ByteArray, shifts_px: FloatArray) -> list[ByteArray]:
    """A still head; everything below the chin goes up and down."""
    still = _seen(portrait)
    frames = []
    for shift in shifts_px:
        moved = cv2.warpAffine(
            still,
            np.array([[1.0, 0, 0], [0, 1.0, shift]]),
            SIZE,
            flags=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        )
        both = still.copy()
        both[258:] = moved[258:]
        frames.append(np.asarray(both, np.uint8))
    return frames


def test_the_chest_follows_a_known_rise_and_fall(tracker: FaceTracker, portrait_bgr: ByteArray) -> None:
    t_s = np.arange(150) / 30.0
    true_px = 2.0 * np.sin(2 * np.pi * 0.25 * t_s)
    samples = _follow(tracker, _breathing(portrait_bgr, true_px))
    face = samples[0].face
    assert face is not None
    seen_px = np.array([s.chest_y for s in samples]) * face.width
    assert np.corrcoef(seen_px, true_px)[0, 1] > 0.98
    assert np.polyfit(true_px, seen_px, 1)[0] == pytest.approx(1.0, abs=0.3)  # down is positive
    assert max(abs(s.motion[1]) for s in samples) * face.width < 0.8  # the head did not move


def test_a_deep_breath_of_many_pixels_is_followed_too(tracker: FaceTracker, portrait_bgr: ByteArray) -> None:
    true_px = np.concatenate([np.linspace(0, 14, 45), np.linspace(14, 0, 45)])
    samples = _follow(tracker, _breathing(portrait_bgr, true_px))
    face = samples[0].face
    assert face is not None
    seen_px = np.array([s.chest_y for s in samples]) * face.width
    assert seen_px[44] == pytest.approx(14, rel=0.3)
    assert abs(seen_px[-1]) < 2.0  # it comes back to where it was


def test_without_a_chest_in_the_picture_there_is_no_chest_motion(
    tracker: FaceTracker, portrait_bgr: ByteArray
) -> None:
    near = np.ascontiguousarray(portrait_bgr[40:200, 130:330])
    sample = _follow(tracker, [np.asarray(cv2.resize(near, (400, 320)), np.uint8)])[0]
    assert sample.face is not None and np.isnan(sample.chest_y)


def test_the_pulse_is_in_the_cells_to_a_fraction_of_a_grey_level(tracker: FaceTracker, film: Film) -> None:
    frames = film(Scene(seed=7, duration_s=8.0, width_px=320, height_px=240, face_width_px=100.0))
    cells = np.stack(
        [_cells(tracker.update(frame))[SKIN].reshape(-1, 3).mean(axis=0) for frame in frames[:180]]
    )
    green = cells[:, 1] - np.convolve(cells[:, 1], np.ones(31) / 31, "same")
    assert 0.03 < green[20:-20].std() < 1.0  # grey levels: there, and smaller than one


def test_blank_and_tiny_pictures_are_no_trouble(tracker: FaceTracker) -> None:
    make: list[Callable[[tuple[int, int]], ByteArray]] = [
        lambda shape: np.zeros((*shape, 3), np.uint8),
        lambda shape: np.full((*shape, 3), 255, np.uint8),
    ]
    for k, shape in enumerate([(16, 16), (17, 640), (640, 17), (16, 9000), (9000, 16)]):
        for m, fill in enumerate(make):
            assert tracker.update(Frame(fill(shape), k + m / 10)).face is None


class _CountedNet(FaceNet):
    """The face net, and when it was asked (how many frames had been seen)."""

    def __init__(self, weights: bytes) -> None:
        super().__init__(weights)
        self.frame = 0
        self.asked: list[int] = []

    def detect(self, image: ByteArray) -> list[tuple[Box, float]]:
        self.asked.append(self.frame)
        return super().detect(image)


def test_the_net_confirms_once_a_second_and_is_asked_at_once_when_the_points_are_lost(
    face_net: bytes, portrait_bgr: ByteArray
) -> None:
    net = _CountedNet(face_net)
    tracker = FaceTracker(net)
    here, wall = _seen(portrait_bgr), np.full((480, 640, 3), 110, np.uint8)
    # Somebody far behind goes through the picture.
    busy = [here.copy() for _ in range(95)]
    for k, picture in enumerate(busy):
        picture[60:120, 5 * k : 5 * k + 60] = 30
    for net.frame, picture in enumerate(busy + [wall] * 10):
        tracker.update(Frame(picture, net.frame / 30.0))
    assert net.asked[:4] == pytest.approx([0, 30, 60, 90], abs=2)
    assert net.asked[4] == 95  # the first frame without the face
    assert net.asked[5] - net.asked[4] <= 7


def test_in_a_room_where_nothing_changes_the_net_confirms_every_three_seconds_until_something_does(
    face_net: bytes, portrait_bgr: ByteArray
) -> None:
    net = _CountedNet(face_net)
    tracker = FaceTracker(net)
    here = _seen(portrait_bgr)
    joined = here.copy()
    joined[30:110, 20:85] = cv2.resize(portrait_bgr[85:175, 185:265], (65, 80))  # a second, smaller face
    samples = []
    for net.frame, picture in enumerate([here] * 200 + [joined] * 40):
        samples.append(tracker.update(Frame(picture, net.frame / 30.0)))
    assert net.asked == pytest.approx(
        [0, 30, 60, 150, 200], abs=2
    )  # the first three look for the tilt as well
    assert samples[-1].faces == 2


def test_a_face_that_moves_faster_than_a_close_look_reaches_keeps_its_key(
    tracker: FaceTracker, portrait_bgr: ByteArray
) -> None:
    moves = [0.0, 0.0, 22.0, 44.0, 22.0, 0.0]
    samples = _follow(tracker, [_seen(portrait_bgr, move) for move in moves])
    first = samples[0].face
    assert first is not None
    assert {s.key for s in samples} == {samples[0].key}
    assert [s.motion[0] * first.width for s in samples] == pytest.approx(moves, abs=0.6)


def test_box_means_take_the_pixels_at_their_edges_in_part(rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    fine = np.repeat(np.repeat(image[:, :, ::-1].astype(np.float64), 20, axis=0), 20, axis=1)  # of 1/20 pixel
    centre = np.array([[10.25 + 8.1j, 20.0 + 30.55j]])
    means = _box_means(image, centre, (6.4, 5.5))
    assert means.shape == (1, 2, 3) and means.dtype == np.float32
    for mean, place in zip(means[0], centre[0], strict=True):
        x0, x1 = round((place.real - 3.2) * 20), round((place.real + 3.2) * 20)
        y0, y1 = round((place.imag - 2.75) * 20), round((place.imag + 2.75) * 20)
        np.testing.assert_allclose(mean, fine[y0:y1, x0:x1].mean(axis=(0, 1)), rtol=1e-5)


def test_box_means_outside_the_picture_are_its_edge(rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    means = _box_means(
        image, np.array([-9.0 + 20j, 70.0 + 20j, 25.0 - 8j, 25.0 + 90j, 0.0 + 20j]), (6.0, 4.0)
    )
    colour = image[:, :, ::-1].astype(np.float64)
    expected = [
        colour[18:22, 0].mean(axis=0),
        colour[18:22, -1].mean(axis=0),
        colour[0, 22:28].mean(axis=0),
        colour[-1, 22:28].mean(axis=0),
        colour[18:22, :3].mean(axis=(0, 1)),  # half in: what is there
    ]
    np.testing.assert_allclose(means, expected, rtol=1e-5)


def test_the_mean_of_an_area_is_exact(rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (100, 130, 3), dtype=np.uint8)
    mean = _area_mean(image, 16, 12)
    # of 1/12 and 1/16 pixel: a cell is 100 by 130 of them
    fine = np.repeat(np.repeat(image[:, :, ::-1].astype(np.float64), 12, axis=0), 16, axis=1)
    np.testing.assert_allclose(mean, fine.reshape(12, 100, 16, 130, 3).mean(axis=(1, 3)), rtol=1e-5)


def test_near_faces_are_read_in_fewer_pixels_with_the_same_colours(
    tracker: FaceTracker, portrait_bgr: ByteArray
) -> None:
    picture = np.asarray(cv2.resize(portrait_bgr, (1024, 1024), interpolation=cv2.INTER_LINEAR), np.uint8)
    sample = tracker.update(Frame(picture, 0.0))
    face = sample.face
    assert face is not None and face.width > 18 * COLS * 0.6
    row, col = 9, 7
    x, y = face.x + face.width * (col + 0.5) / COLS, face.y + face.height * (row + 0.5) / ROWS
    half_x, half_y = face.width / COLS / 2, face.height / ROWS / 2
    by_hand = picture[round(y - half_y) : round(y + half_y), round(x - half_x) : round(x + half_x), ::-1]
    np.testing.assert_allclose(_cells(sample)[row, col], by_hand.mean(axis=(0, 1)), atol=1.5)
