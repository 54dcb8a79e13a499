"""Frame → skin map: find the face, follow it to a fraction of a pixel, and average it into small cells.

The net says where a face is a few times a second; in between, corner points of the face are followed from
a fixed key picture (never from frame to frame, so nothing drifts), and a similarity transform carries the
cell grid along. A cell is always the same piece of skin, which is what makes a change of half a grey level visible.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_models.nets import FaceNet
from edge_models.types import Box, ByteArray, Float32Array, FloatArray, Frame

ROWS, COLS = 18, 14
"""The cell grid laid over the face box: row 0 at the hair line, column 0 at the picture's left."""
BACKGROUND_ROWS, BACKGROUND_COLS = 12, 16
"""The cell grid laid over the whole frame."""

_DETECT_EVERY_S = 0.5
_SEARCH_EVERY_S = 0.2
_MISSES_UNTIL_LOST = 2
_SMALL_PX = 320
_LARGEST_PX = 1280
_MAX_POINTS = 50
_KEY_REACH = 0.35
"""How far the face may move from where the key picture shows it, in face widths, before a new key is taken."""
_MIN_POINTS = 12
_MIN_INLIERS = 0.5
_MAX_RESIDUAL_PX = 1.0
_CHEST_SIZE = (64, 32)
_MOST_PX_PER_CELL = 9
"""Of a larger face fewer pixels are read than it has: beyond this, noise is no longer what limits a cell."""


@dataclass(frozen=True, slots=True)
class SkinSample:
    """What one frame gives to the measurement.

    face: in pixels of the frame, None when no face is followed. faces: how many the net saw last.
    cells: float32 [shape=(ROWS, COLS, 3)], mean R, G, B of each cell, 0..255; None without a face.
    background: float32 [shape=(BACKGROUND_ROWS, BACKGROUND_COLS, 3)], R, G, B of the whole frame.
    motion: (x, y, roll, log scale) of the face since it was found; x and y in face widths, roll in radians.
    chest_y: vertical place of the chest in face widths, positive downwards; NaN where no chest is seen.
    key: counts up whenever the grid was laid anew; cells of different keys are different pieces of skin.
    visible: share of the face box inside the frame, 0..1.
    """

    t_s: float
    face: Box | None
    faces: int
    cells: Float32Array | None
    background: Float32Array
    motion: tuple[float, float, float, float]
    chest_y: float
    key: int
    visible: float


class FaceTracker:
    """Turns frames of one source, in order, into skin samples."""

    def __init__(self, net: FaceNet) -> None:
        self._net = net
        self._size_px = (0, 0)
        self._next_detection_s = -np.inf
        self._misses = 0
        self._faces = 0
        self._key = 0
        self._box: Box | None = None  # where the grid was laid, in pixels of the working frame
        self._grey: ByteArray = np.zeros((1, 1), np.uint8)  # key picture, the part around the face
        self._key_area = (slice(0, 1), slice(0, 1))
        self._corner = 0.0 + 0.0j  # of that part in the small picture
        self._points: NDArray[np.float32] = np.zeros((0, 1, 2), np.float32)  # in that part
        self._key_to_box = (1.0 + 0.0j, 0.0 + 0.0j)  # similarity from the first box to the key picture
        self._similarity = (1.0 + 0.0j, 0.0 + 0.0j)  # from the first box to the current frame
        self._chest = _Chest()

    def update(self, frame: Frame) -> SkinSample:
        """The skin sample of the next frame."""
        shrink = -(-max(frame.image.shape[:2]) // _LARGEST_PX)
        image = _shrunk(frame.image, shrink)  # a 4K frame holds more pixels than the skin needs
        height, width = image.shape[:2]
        if self._size_px != (width, height):  # another camera mode: nothing known about places holds any more
            self._size_px = (width, height)
            self._box, self._misses, self._chest = None, 0, _Chest()
            self._next_detection_s = frame.t_s
        factor = -(-max(height, width) // _SMALL_PX)
        small = _shrunk(image, factor)
        scale = 1.0 / factor
        grey: ByteArray = np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.uint8)
        background = _area_mean(small, BACKGROUND_COLS, BACKGROUND_ROWS)

        if self._box is not None and not self._follow(grey, scale):
            self._next_detection_s = frame.t_s
        if frame.t_s >= self._next_detection_s:
            self._look(small, grey, scale)
            pause_s = _DETECT_EVERY_S if self._box is not None and not self._misses else _SEARCH_EVERY_S
            self._next_detection_s = frame.t_s + pause_s
        if self._box is None:
            empty = (0.0, 0.0, 0.0, 0.0)
            return SkinSample(frame.t_s, None, self._faces, None, background, empty, np.nan, self._key, 0.0)

        rotation, shift = self._similarity
        face = self._current_box()
        cells = self._sample(image)
        chest_y = self._chest.follow(grey, face, scale)
        inside_x = min(face.x + face.width, width) - max(face.x, 0.0)
        inside_y = min(face.y + face.height, height) - max(face.y, 0.0)
        visible = max(0.0, inside_x) * max(0.0, inside_y) / face.area_px
        start = complex(*self._box.centre)
        moved = (rotation * start + shift - start) / self._box.width
        motion = (moved.real, moved.imag, float(np.angle(rotation)), float(np.log(abs(rotation))))
        full = Box(face.x * shrink, face.y * shrink, face.width * shrink, face.height * shrink)
        return SkinSample(
            frame.t_s, full, self._faces, cells, background, motion, chest_y, self._key, min(1.0, visible)
        )

    def _current_box(self) -> Box:
        assert self._box is not None
        rotation, shift = self._similarity
        centre = rotation * complex(*self._box.centre) + shift
        width, height = self._box.width * abs(rotation), self._box.height * abs(rotation)
        return Box(centre.real - width / 2, centre.imag - height / 2, width, height)

    def _look(self, small: ByteArray, grey: ByteArray, scale: float) -> None:
        """Ask the net; start, confirm, move or lose the face."""
        found = [
            Box(box.x / scale, box.y / scale, box.width / scale, box.height / scale)
            for box, _ in self._net.detect(small)
        ]
        self._faces = len(found)
        if not found:
            self._misses += 1
            if self._misses >= _MISSES_UNTIL_LOST:
                self._box = None
            return
        self._misses = 0
        if self._box is not None:
            now = self._current_box()
            nearest = min(found, key=lambda box: abs(complex(*box.centre) - complex(*now.centre)))
            distance = abs(complex(*nearest.centre) - complex(*now.centre)) / now.width
            if distance < 0.2 and 0.75 < nearest.width / now.width < 1.33:
                if len(self._points) < _MIN_POINTS:
                    self._set_key(grey, scale)
                return
        self._box = max(found, key=lambda box: box.area_px)
        self._key += 1
        self._similarity = (1.0 + 0.0j, 0.0 + 0.0j)
        self._set_key(grey, scale)

    def _set_key(self, grey: ByteArray, scale: float) -> None:
        """Take the current picture as the one to follow from."""
        face = self._current_box()
        mask = np.zeros_like(grey)
        x0, y0 = round((face.x + 0.08 * face.width) * scale), round((face.y + 0.05 * face.height) * scale)
        x1, y1 = round((face.x + 0.92 * face.width) * scale), round((face.y + 0.95 * face.height) * scale)
        mask[max(0, y0) : max(0, y1), max(0, x0) : max(0, x1)] = 255
        spacing = max(2.0, 0.06 * face.width * scale)
        points: object = cv2.goodFeaturesToTrack(grey, _MAX_POINTS, 0.005, spacing, mask=mask)
        # None on a blank picture, whatever OpenCV's types say
        self._points = points if isinstance(points, np.ndarray) else np.zeros((0, 1, 2), np.float32)
        # Only the face and where it may move to: a pyramid of the whole frame would cost more than the flow.
        reach = _KEY_REACH * face.width * scale
        left, top = max(0, round(face.x * scale - reach)), max(0, round(face.y * scale - reach))
        right, bottom = (
            round((face.x + face.width) * scale + reach),
            round((face.y + face.height) * scale + reach),
        )
        self._key_area = (slice(top, bottom), slice(left, right))
        self._corner = complex(left, top)
        self._grey = np.ascontiguousarray(grey[self._key_area])
        self._points = self._points - np.array([left, top], np.float32)
        self._key_to_box = self._similarity

    def _follow(self, grey: ByteArray, scale: float) -> bool:
        """Carry the transform to this frame; False when the points no longer agree."""
        if len(self._points) < _MIN_POINTS:
            return False
        key_rotation, key_shift = self._key_to_box
        rotation, shift = self._similarity
        # from the key picture to the last frame: where to begin looking
        since_rotation = rotation / key_rotation
        since_shift = shift - since_rotation * key_shift
        start = self._points[:, 0, 0].astype(np.complex128) + 1j * self._points[:, 0, 1] + self._corner
        guess = (since_rotation * (start / scale) + since_shift) * scale - self._corner
        guess_points = np.stack([guess.real, guess.imag], axis=1).astype(np.float32).reshape(-1, 1, 2)
        ended, status, _ = cv2.calcOpticalFlowPyrLK(
            self._grey,
            np.ascontiguousarray(grey[self._key_area]),
            self._points,
            guess_points,
            winSize=(11, 11),
            maxLevel=1,
            criteria=(cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 12, 0.01),
            flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
        )
        kept = status[:, 0] == 1
        if kept.sum() < _MIN_POINTS // 2:
            return False
        end = (ended[kept, 0, 0].astype(np.complex128) + 1j * ended[kept, 0, 1] + self._corner) / scale
        fitted = _fit_similarity(start[kept] / scale, end)
        if fitted is None:
            return False
        (step_rotation, step_shift), residual_px = fitted
        agreeing = float((residual_px * scale < _MAX_RESIDUAL_PX).sum()) / len(self._points)
        rotation, shift = step_rotation * key_rotation, step_rotation * key_shift + step_shift
        self._similarity = (rotation, shift)
        if agreeing < _MIN_INLIERS:
            # The face has turned away from the key picture. Ask the net; it confirms, or the face is gone.
            self._points = self._points[:0]
            return False
        assert self._box is not None
        centre = complex(*self._box.centre)
        since_key = rotation * centre + shift - (key_rotation * centre + key_shift)
        if abs(since_key) > 0.7 * _KEY_REACH * self._box.width * abs(rotation):
            self._set_key(grey, scale)  # while the points still agree, so that the grid stays where it is
        return True

    def _sample(self, image: ByteArray) -> Float32Array:
        """Mean colour of each cell: warp the face upright at its own resolution, then average by area."""
        assert self._box is not None
        rotation, shift = self._similarity
        width_px = self._box.width * abs(rotation)
        per_cell = int(np.clip(round(width_px / COLS), 2, _MOST_PX_PER_CELL))
        step_x = self._box.width / (COLS * per_cell)
        step_y = self._box.height / (ROWS * per_cell)
        origin = rotation * complex(self._box.x + step_x / 2, self._box.y + step_y / 2) + shift
        matrix = np.array(
            [
                [rotation.real * step_x, -rotation.imag * step_y, origin.real],
                [rotation.imag * step_x, rotation.real * step_y, origin.imag],
            ]
        )
        upright = cv2.warpAffine(
            image,
            matrix,
            (COLS * per_cell, ROWS * per_cell),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return _area_mean(np.asarray(upright, np.uint8), COLS, ROWS)


class _Chest:
    """Vertical motion of the chest by one linear fit per frame against a key picture.

    I(t) ≈ g·I₀ + b − dx·∂I₀/∂x − dy·∂I₀/∂y (Lucas & Kanade, 1981, with gain and offset), solved with a
    pseudo-inverse that is computed once per key picture.
    """

    def __init__(self) -> None:
        self._place: tuple[int, int, int, int] | None = None
        self._solver: FloatArray | None = None
        self._key: FloatArray = np.zeros(0)
        self._offset_px = 0.0
        self._face_width_px = 1.0

    def follow(self, grey: ByteArray, face: Box, scale: float) -> float:
        """The chest's height in face widths since the first call; NaN where the frame ends above the chest."""
        width_px = face.width * scale
        centre_x, _ = face.centre
        x0, x1 = int((centre_x - 1.0 * face.width) * scale), int((centre_x + 1.0 * face.width) * scale)
        y0 = int((face.y + 1.25 * face.height) * scale)
        y1 = int((face.y + 2.1 * face.height) * scale)
        x0, x1 = max(0, x0), min(grey.shape[1], x1)
        y1 = min(grey.shape[0], y1)
        if y1 - y0 < max(6.0, 0.2 * width_px) or x1 - x0 < 8:
            self._place = None
            return float("nan")
        if self._place is not None:
            px0, py0, _, _ = self._place
            if abs(px0 - x0) > 0.5 * width_px or abs(py0 - y0) > 0.5 * width_px:
                self._place = None
        if self._place is None:
            self._place = (x0, y0, x1, y1)
            self._face_width_px = width_px
            self._solver = None
        x0, y0, x1, y1 = self._place
        patch = cv2.resize(grey[y0:y1, x0:x1], _CHEST_SIZE, interpolation=cv2.INTER_AREA).astype(np.float32)
        patch = np.asarray(cv2.GaussianBlur(patch, (5, 5), 0), np.float32)
        px_per_row = (y1 - y0) / _CHEST_SIZE[1]
        if self._solver is None:
            self._set_key(patch)
        assert self._solver is not None
        _, dy, _, _ = self._solver @ (patch.ravel() - self._key)
        place_px = self._offset_px + dy * px_per_row
        if abs(dy) > 1.5:  # the linear fit holds for small shifts only
            self._offset_px = place_px
            self._set_key(patch)
        return float(place_px / self._face_width_px)

    def _set_key(self, patch: Float32Array) -> None:
        vertical, horizontal = np.gradient(patch.astype(np.float64))
        columns = np.stack(
            [-horizontal.ravel(), -vertical.ravel(), patch.ravel().astype(np.float64), np.ones(patch.size)],
            axis=1,
        )
        gram = columns.T @ columns
        self._solver = np.linalg.solve(gram + 1e-9 * np.trace(gram) * np.eye(4), columns.T)
        self._key = patch.ravel().astype(np.float64)


def _shrunk(image: ByteArray, factor: int) -> ByteArray:
    """The mean of factor × factor blocks; up to factor − 1 pixels at the right and lower edge are left out.

    A whole number, because OpenCV's area mean is many times faster for those.
    """
    if factor <= 1:
        return image
    height, width = max(1, image.shape[0] // factor), max(1, image.shape[1] // factor)
    whole = image[: height * factor, : width * factor]
    return np.asarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _area_mean(image: ByteArray, cols: int, rows: int) -> Float32Array:
    """Mean R, G, B of a cols × rows grid of whole pixels. In float: a pulse is smaller than one grey level."""
    if image.shape[0] >= rows and image.shape[1] >= cols:
        image = image[: image.shape[0] // rows * rows, : image.shape[1] // cols * cols]
    mean = cv2.resize(image.astype(np.float32), (cols, rows), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(mean[:, :, ::-1])


def _fit_similarity(
    start: NDArray[np.complex128], end: NDArray[np.complex128]
) -> tuple[tuple[complex, complex], FloatArray] | None:
    """Robust z' = a·z + b between point sets, and the residual of each point in their unit.

    Iteratively reweighted least squares with Cauchy weights, since blinking and talking move some points.
    """
    weight = np.ones(len(start))
    rotation, shift = 1.0 + 0.0j, 0.0 + 0.0j
    residual = np.zeros(len(start))
    middle = len(start) // 2
    for _ in range(3):
        total = weight.sum()
        mean_start, mean_end = (weight @ start) / total, (weight @ end) / total
        centred = start - mean_start
        spread = float(weight @ np.abs(centred) ** 2)
        if spread <= 1e-9:
            return None
        rotation = complex((weight * centred.conj()) @ (end - mean_end) / spread)
        shift = complex(mean_end - rotation * mean_start)
        residual = np.abs(rotation * start + shift - end)
        sigma = max(float(np.partition(residual, middle)[middle]), 1e-3)
        weight = 1.0 / (1.0 + (residual / (2.0 * sigma)) ** 2)
    if not 0.2 < abs(rotation) < 5.0:
        return None
    return (rotation, shift), residual
