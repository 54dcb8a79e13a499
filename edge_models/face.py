"""Frame → skin map: find the face, follow it to a fraction of a pixel, and average it into small cells.

The net says where a face is a few times a second; in between, corner points of the face are followed from
a fixed key picture (never from frame to frame, so nothing drifts), and a similarity transform carries the
cell grid along. A cell is always the same piece of skin, which is what makes a change of half a grey level visible.
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_models import pose
from edge_models.nets import FaceNet
from edge_models.types import Box, ByteArray, Float32Array, FloatArray, Frame

ROWS, COLS = 18, 14
"""The cell grid laid over the face box: row 0 at the hair line, column 0 at the picture's left."""
BACKGROUND_ROWS, BACKGROUND_COLS = 12, 16
"""The cell grid laid over the whole frame."""

_DETECT_EVERY_S = 0.5
_CONFIRM_EVERY_S = 1.0
"""While nearly all corner points agree: what they show is still the face, and the net costs as much as ten frames."""
_CONFIRM_QUIET_EVERY_S = 3.0
"""The same while the room looks as it did when the net was last asked: nobody can have come in."""
_ROOM_CHANGE = 6.0
"""Grey levels in one cell of the background: a second face that counts covers a cell or more."""
_SEARCH_EVERY_S = 0.2
_MISSES_UNTIL_LOST = 2
_SMALL_PX = 320
_LARGEST_PX = 1280
_MAX_POINTS = 50
_KEY_REACH = 0.35
"""How far the face may move from where the key picture shows it, in face widths, before a new key is taken."""
_MIN_POINTS = 12
_NO_PLACES: NDArray[np.complex128] = np.zeros(0, np.complex128)
_MIN_INLIERS = 0.5
_SURE_INLIERS = 0.9
_WINDOW_PX = 11
_CLOSE_PX = 12
"""Margin of the close look around the points, in pixels of the small picture."""
_MAX_RESIDUAL_PX = 1.0
_TILT_LOOKS = 3
_SMALL_FACE = 0.15
"""A face of less than this part of the largest one's area is a picture on the wall, or somebody far behind."""
_CHEST_SIZE = (64, 32)
_CHEST_EVERY_S = 0.06
"""Every second frame of most cameras: a breath takes a second and more, and is looked for at 4 Hz."""
_BACKGROUND_LINES = 240
"""So many lines of the frame at least are read for the background, all of them where there are no more."""
_FINEST_BACKGROUND_PX = 5
"""Height and width of a background cell, in pixels, down to which they are halved."""
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
    tilt: the head's roll against upright in radians, NaN while it is not known.
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
    tilt: float = float("nan")


@dataclass(frozen=True, slots=True)
class _KeyPicture:
    """A grey part of the small picture in which the corner points are known.

    corner: of the part. points: float32 [shape=(n, 1, 2)], in the part. levels: of the pyramid, beside the part itself.
    enough: share of points that must agree; with fewer, the face moved farther than this look reaches.
    """

    picture: ByteArray
    corner: complex
    points: NDArray[np.float32]
    levels: int
    enough: float


@dataclass(frozen=True, slots=True)
class _Step:
    """Similarity from the key picture to the current one, in small pixels; share of points that agree, 0..1."""

    rotation: complex
    shift: complex
    agreeing: float


class FaceTracker:
    """Turns frames of one source, in order, into skin samples."""

    def __init__(self, net: FaceNet) -> None:
        self._net = net
        self._size_px = (0, 0)
        self._looked_s = -np.inf  # when the net was last asked
        self._room: Float32Array | None = None  # the background as it was then
        self._sure = False  # whether nearly all points agreed in the last frame
        self._misses = 0
        self._faces = 0
        self._key = 0
        self._box: Box | None = None  # where the grid was laid, in pixels of the working frame
        self._cell_places: NDArray[np.complex128] = _NO_PLACES  # centres, as laid
        self._outer_places: list[complex] = []  # of the cells at the grid's corners
        self._places: NDArray[np.complex128] = _NO_PLACES  # corner points in the small key picture
        self._keys: tuple[_KeyPicture, ...] = ()  # cheapest first
        self._key_to_box = (1.0 + 0.0j, 0.0 + 0.0j)  # similarity from the first box to the key picture
        self._similarity = (1.0 + 0.0j, 0.0 + 0.0j)  # from the first box to the current frame
        self._laid_tilts: list[float] = []
        self._laid_tilt = math.nan  # their median
        self._chest = _Chest()

    def update(self, frame: Frame) -> SkinSample:
        """The skin sample of the next frame."""
        picture = _Picture(frame.image)
        width, height = picture.size_px
        if self._size_px != (width, height):  # another camera mode: nothing known about places holds any more
            self._size_px = (width, height)
            self._box, self._misses, self._chest = None, 0, _Chest()
            self._looked_s = -np.inf
        background = picture.background()

        if self._box is not None and not self._follow(picture):
            self._looked_s = -np.inf
        if self._must_look(frame.t_s - self._looked_s, background):
            self._look(picture)
            self._looked_s, self._room = frame.t_s, background
        if self._box is None:
            empty = (0.0, 0.0, 0.0, 0.0)
            return SkinSample(frame.t_s, None, self._faces, None, background, empty, np.nan, self._key, 0.0)

        rotation, shift = self._similarity
        face = self._current_box()
        cells = self._sample(picture)
        chest_y = self._chest.follow(picture, face, frame.t_s)
        inside_x = min(face.x + face.width, width) - max(face.x, 0.0)
        inside_y = min(face.y + face.height, height) - max(face.y, 0.0)
        visible = max(0.0, inside_x) * max(0.0, inside_y) / face.area_px
        start = complex(*self._box.centre)
        moved = (rotation * start + shift - start) / self._box.width
        motion = (moved.real, moved.imag, cmath.phase(rotation), math.log(abs(rotation)))
        shrink = picture.shrink
        full = Box(face.x * shrink, face.y * shrink, face.width * shrink, face.height * shrink)
        tilt = self._laid_tilt + motion[2]
        return SkinSample(
            frame.t_s,
            full,
            self._faces,
            cells,
            background,
            motion,
            chest_y,
            self._key,
            min(1.0, visible),
            tilt,
        )

    def _must_look(self, since_s: float, background: Float32Array) -> bool:
        """Whether the net must be asked, so long after it was last."""
        if self._box is None or self._misses:
            return since_s >= _SEARCH_EVERY_S
        if not self._sure:
            return since_s >= _DETECT_EVERY_S
        if since_s < _CONFIRM_EVERY_S or since_s >= _CONFIRM_QUIET_EVERY_S:
            return since_s >= _CONFIRM_EVERY_S
        if self._room is None or len(self._laid_tilts) < _TILT_LOOKS:
            return True
        return cv2.norm(background, self._room, cv2.NORM_INF) > _ROOM_CHANGE

    def _current_box(self) -> Box:
        assert self._box is not None
        rotation, shift = self._similarity
        centre = rotation * complex(*self._box.centre) + shift
        width, height = self._box.width * abs(rotation), self._box.height * abs(rotation)
        return Box(centre.real - width / 2, centre.imag - height / 2, width, height)

    def _look(self, picture: _Picture) -> None:
        """Ask the net; start, confirm, move or lose the face."""
        small, scale = picture.small(), picture.scale
        found = [
            Box(box.x / scale, box.y / scale, box.width / scale, box.height / scale)
            for box, _ in self._net.detect(small)
        ]
        largest_px = max((box.area_px for box in found), default=0.0)
        self._faces = sum(box.area_px > _SMALL_FACE * largest_px for box in found)
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
                if len(self._places) < _MIN_POINTS:
                    self._set_key(picture)
                if len(self._laid_tilts) < _TILT_LOOKS:
                    self._find_tilt(small, nearest, scale)
                return
        self._box = box = max(found, key=lambda box: box.area_px)
        column, row = (np.arange(COLS) + 0.5) / COLS, (np.arange(ROWS) + 0.5) / ROWS
        self._outer_places = [
            complex(box.x + box.width * x, box.y + box.height * y)
            for x in (column[0], column[-1])
            for y in (row[0], row[-1])
        ]
        self._cell_places = (box.x + box.width * column) + 1j * (box.y + box.height * row)[:, None]
        self._key += 1
        self._similarity = (1.0 + 0.0j, 0.0 + 0.0j)
        self._set_key(picture)
        self._laid_tilts, self._laid_tilt = [], math.nan
        self._find_tilt(small, box, scale)

    def _find_tilt(self, small: ByteArray, face: Box, scale: float) -> None:
        """One more opinion on how tilted the head was when the grid was laid."""
        now = pose.roll(small, Box(face.x * scale, face.y * scale, face.width * scale, face.height * scale))
        if now is not None:
            self._laid_tilts.append(now - cmath.phase(self._similarity[0]))
            self._laid_tilt = float(np.median(self._laid_tilts))

    def _set_key(self, now: _Picture) -> None:
        """Take the current picture as the one to follow from."""
        face, scale = self._current_box(), now.scale
        self._key_to_box = self._similarity
        self._places = self._places[:0]
        # Only the face and where it may move to: a pyramid of the whole frame would cost more than the flow.
        reach_px = _KEY_REACH * face.width * scale
        left, top = max(0, round(face.x * scale - reach_px)), max(0, round(face.y * scale - reach_px))
        right = round((face.x + face.width) * scale + reach_px)
        bottom = round((face.y + face.height) * scale + reach_px)
        right, bottom = min(right, now.small_size_px[0]), min(bottom, now.small_size_px[1])
        if right <= left or bottom <= top:
            return
        picture = now.grey(left, top, right, bottom)
        mask = np.zeros_like(picture)
        x0, y0 = round((face.x + 0.08 * face.width) * scale), round((face.y + 0.05 * face.height) * scale)
        x1, y1 = round((face.x + 0.92 * face.width) * scale), round((face.y + 0.95 * face.height) * scale)
        mask[max(0, y0 - top) : max(0, y1 - top), max(0, x0 - left) : max(0, x1 - left)] = 255
        spacing = max(2.0, 0.06 * face.width * scale)
        points: object = cv2.goodFeaturesToTrack(picture, _MAX_POINTS, 0.005, spacing, mask=mask)
        if not isinstance(points, np.ndarray):  # None on a blank picture, whatever OpenCV's types say
            return
        x, y = points[:, 0, 0].astype(np.float64), points[:, 0, 1].astype(np.float64)
        self._places = x + 1j * y + complex(left, top)
        # Without a pyramid and close around the points it is half the work, and enough for most frames.
        near_x, near_y = (max(0, int(places.min()) - _CLOSE_PX) for places in (x, y))
        far_x, far_y = (int(places.max()) + _CLOSE_PX + 1 for places in (x, y))
        close = np.ascontiguousarray(picture[near_y:far_y, near_x:far_x])
        near, whole = complex(left + near_x, top + near_y), complex(left, top)
        self._keys = (
            _KeyPicture(close, near, points - np.array([near_x, near_y], np.float32), 0, _SURE_INLIERS),
            _KeyPicture(picture, whole, points, 1, 0.7),
            _KeyPicture(
                picture, whole, points, 2, 0.0
            ),  # coarser: a mouth that talks draws its neighbours along
        )

    def _follow(self, picture: _Picture) -> bool:
        """Carry the transform to this frame; False when the points no longer agree."""
        scale = picture.scale
        if len(self._places) < _MIN_POINTS:
            return False
        key_rotation, key_shift = self._key_to_box
        rotation, shift = self._similarity
        # from the key picture to the last frame, in pixels of the small picture: where to begin looking
        since_rotation = rotation / key_rotation
        since_shift = (shift - since_rotation * key_shift) * scale
        guess = since_rotation * self._places + since_shift
        step: _Step | None = None
        for key in self._keys:
            other = self._step(key, picture, guess)
            if other is not None and (step is None or other.agreeing >= step.agreeing):
                step = other
            if step is not None and step.agreeing >= key.enough:
                break
        if step is None:
            return False
        self._sure = step.agreeing >= _SURE_INLIERS
        rotation, shift = step.rotation * key_rotation, step.rotation * key_shift + step.shift / scale
        self._similarity = (rotation, shift)
        if step.agreeing < _MIN_INLIERS:
            # The face has turned away from the key picture. Ask the net; it confirms, or the face is gone.
            self._places = self._places[:0]
            return False
        assert self._box is not None
        centre = complex(*self._box.centre)
        since_key = rotation * centre + shift - (key_rotation * centre + key_shift)
        if abs(since_key) > 0.7 * _KEY_REACH * self._box.width * abs(rotation):
            self._set_key(picture)  # while the points still agree, so that the grid stays where it is
        return True

    def _step(self, key: _KeyPicture, now: _Picture, guess: NDArray[np.complex128]) -> _Step | None:
        """The key's points found again in a picture, begun at `guess` (small pixels); None for too few."""
        height, width = key.picture.shape
        moved = complex((guess - self._places).sum()) / len(guess)
        left = min(max(0, round(key.corner.real + moved.real)), now.small_size_px[0] - width)
        top = min(max(0, round(key.corner.imag + moved.imag)), now.small_size_px[1] - height)
        corner = complex(left, top)
        begin = (guess - corner).view(np.float64).astype(np.float32).reshape(-1, 1, 2)
        ended, status, _ = cv2.calcOpticalFlowPyrLK(
            key.picture,
            now.grey(left, top, left + width, top + height),
            key.points,
            begin,
            winSize=(_WINDOW_PX, _WINDOW_PX),
            maxLevel=key.levels,
            criteria=(cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 12, 0.01),
            flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
        )
        end = ended.astype(np.float64).view(np.complex128).ravel() + corner
        start, found = self._places, np.count_nonzero(status)
        if found < _MIN_POINTS // 2:
            return None
        if found < len(start):
            kept = status[:, 0] == 1
            start, end = start[kept], end[kept]
        fitted = _fit_similarity(start, end)
        if fitted is None:
            return None
        (rotation, shift), residual_px = fitted
        return _Step(rotation, shift, np.count_nonzero(residual_px < _MAX_RESIDUAL_PX) / len(self._places))

    def _sample(self, picture: _Picture) -> Float32Array:
        """Mean colour of each cell [shape=(ROWS, COLS, 3)], R, G, B.

        A cell is an upright box about its place on the face, and takes the pixels at its edges in part: then the
        grid follows the face by fractions of a pixel, and every pixel counts. What lies outside the frame has
        the colour of the frame's edge.
        """
        assert self._box is not None
        rotation, shift = self._similarity
        width_px = self._box.width * abs(rotation) / COLS
        height_px = self._box.height * abs(rotation) / ROWS
        reach = complex(width_px, height_px) / 2
        edge = [
            rotation * place + shift for place in self._outer_places
        ]  # the grid's corners lie farthest out
        x0, x1 = _within(
            [(z - reach).real for z in edge], [(z + reach).real for z in edge], picture.size_px[0]
        )
        y0, y1 = _within(
            [(z - reach).imag for z in edge], [(z + reach).imag for z in edge], picture.size_px[1]
        )
        crop = picture.colour(x0, y0, x1, y1)
        centre = rotation * self._cell_places + (shift - complex(x0, y0))  # of each cell
        while min(width_px, height_px) >= 2 * _MOST_PX_PER_CELL and min(crop.shape[:2]) >= 2:
            crop = _halved(crop)
            centre, width_px, height_px = centre / 2, width_px / 2, height_px / 2
        return _box_means(crop, centre, (width_px, height_px))


class _Picture:
    """A frame, of which only what is asked for is read: reading all of it costs more than following the face.

    There are two sizes beside the frame's own. Working pixels: `shrink` × `shrink` of the frame, because a 4K frame
    holds more pixels than the skin needs. Small pixels: 1/`scale` working pixels a side, where a face is looked for.
    """

    def __init__(self, image: ByteArray) -> None:
        self._image = image
        height, width = image.shape[:2]
        self.shrink = -(-max(height, width) // _LARGEST_PX)
        self.size_px = width, height = max(1, width // self.shrink), max(1, height // self.shrink)
        self._factor = -(-max(height, width) // _SMALL_PX)
        self.small_size_px = max(1, width // self._factor), max(1, height // self._factor)
        self.scale = 1.0 / self._factor
        self._small: ByteArray | None = None

    def small(self) -> ByteArray:
        """All of it in small pixels, BGR."""
        if self._small is None:
            self._small = _shrunk(_shrunk(self._image, self.shrink), self._factor)
        return self._small

    def colour(self, left: int, top: int, right: int, bottom: int) -> ByteArray:
        """A part in working pixels, BGR."""
        s = self.shrink
        return _shrunk(self._image[top * s : bottom * s, left * s : right * s], s)

    def grey(self, left: int, top: int, right: int, bottom: int) -> ByteArray:
        """A part in small pixels, grey."""
        s = self.shrink * self._factor
        part = self._image[top * s : bottom * s, left * s : right * s]
        return _shrunk(np.asarray(cv2.cvtColor(part, cv2.COLOR_BGR2GRAY), np.uint8), s)

    def background(self) -> Float32Array:
        """Mean R, G, B of a grid over the whole [shape=(BACKGROUND_ROWS, BACKGROUND_COLS, 3)].

        From some of the lines and by halves: what is rounded on the way is a hundredth of a grey level in the mean of
        the room, which is not believed to that depth (edge_models.regions.NOISE_FLOOR).
        """
        lines = self._image[:: max(1, len(self._image) // _BACKGROUND_LINES)]
        rows, cols = 2 * BACKGROUND_ROWS * _FINEST_BACKGROUND_PX, 2 * BACKGROUND_COLS * _FINEST_BACKGROUND_PX
        while lines.shape[0] >= rows and lines.shape[1] >= cols:
            lines = _halved(lines)
        return _area_mean(lines, BACKGROUND_COLS, BACKGROUND_ROWS)


class _Chest:
    """Vertical motion of the chest by one linear fit per frame against a key picture.

    I(t) ≈ g·I₀ + b − dx·∂I₀/∂x − dy·∂I₀/∂y (Lucas & Kanade, 1981, with gain and offset) on a smoothed grid of
    64×32 points. Smoothing and fit are linear: together they are one weight per pixel, computed once per key picture.
    """

    def __init__(self) -> None:
        self._place: tuple[int, int, int, int] | None = None
        self._key: ByteArray | None = None
        self._weights: Float32Array = np.zeros(0, np.float32)
        self._offset_px = 0.0
        self._face_width_px = 1.0
        self._looked_s, self._last = -math.inf, math.nan

    def follow(self, picture: _Picture, face: Box, t_s: float) -> float:
        """The chest's height in face widths since the first call; NaN where the frame ends above the chest.

        Where it was looked at less than _CHEST_EVERY_S ago, as it was then.
        """
        if 0.0 <= t_s - self._looked_s < _CHEST_EVERY_S:
            return self._last
        self._looked_s, self._last = t_s, self._look(picture, face)
        return self._last

    def _look(self, picture: _Picture, face: Box) -> float:
        scale, small_size_px = picture.scale, picture.small_size_px
        width_px = face.width * scale
        centre_x, _ = face.centre
        x0, x1 = int((centre_x - 1.0 * face.width) * scale), int((centre_x + 1.0 * face.width) * scale)
        y0 = int((face.y + 1.25 * face.height) * scale)
        y1 = int((face.y + 2.1 * face.height) * scale)
        x0, x1 = max(0, x0), min(small_size_px[0], x1)
        y1 = min(small_size_px[1], y1)
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
            self._key = None
        x0, y0, x1, y1 = self._place
        patch = picture.grey(x0, y0, x1, y1)
        if self._key is None:
            self._set_key(patch)
        assert self._key is not None
        change = cv2.subtract(patch, self._key, dtype=cv2.CV_32F)
        dy = float(change.ravel() @ self._weights)
        place_px = self._offset_px + dy * (y1 - y0) / _CHEST_SIZE[1]
        if abs(dy) > 1.5:  # the linear fit holds for small shifts only
            self._offset_px = place_px
            self._set_key(patch)
        return place_px / self._face_width_px

    def _set_key(self, patch: ByteArray) -> None:
        down, across = _smoothing(_CHEST_SIZE[1], patch.shape[0]), _smoothing(_CHEST_SIZE[0], patch.shape[1])
        grid = down @ patch @ across.T
        vertical, horizontal = np.gradient(grid)
        columns = np.stack([-vertical.ravel(), -horizontal.ravel(), grid.ravel(), np.ones(grid.size)], axis=1)
        gram = columns.T @ columns
        unit = np.array([1.0, 0.0, 0.0, 0.0])  # only dy is asked for
        solver = np.linalg.solve(gram + 1e-9 * np.trace(gram) * np.eye(4), unit) @ columns.T
        self._weights = (down.T @ solver.reshape(grid.shape) @ across).astype(np.float32).ravel()
        self._key = patch


def _smoothing(points: int, pixels: int) -> FloatArray:
    """Matrix from a line of pixels to the blurred means of `points` equal parts of it [shape=(points, pixels)]."""
    edges = np.linspace(0.0, pixels, points + 1)
    start = np.arange(pixels)
    shared = np.minimum(edges[1:, None], start + 1) - np.maximum(edges[:-1, None], start)
    means = np.maximum(shared, 0.0) * (points / pixels)
    return np.asarray(cv2.GaussianBlur(means, (1, 5), 0), np.float64)


def _shrunk(image: ByteArray, factor: int) -> ByteArray:
    """The mean of factor × factor blocks; up to factor − 1 pixels at the right and lower edge are left out.

    A whole number, because OpenCV's area mean is many times faster for those, and by halves where it can be.
    """
    if factor <= 1:
        return image
    if factor % 2 == 0 and min(image.shape[:2]) >= factor:
        return _shrunk(_halved(image), factor // 2)
    height, width = max(1, image.shape[0] // factor), max(1, image.shape[1] // factor)
    whole = image[: height * factor, : width * factor]
    return np.asarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _halved(image: ByteArray) -> ByteArray:
    """The mean of 2 × 2 blocks."""
    height, width = image.shape[0] // 2, image.shape[1] // 2
    whole = image[: 2 * height, : 2 * width]
    return np.asarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _area_mean(image: ByteArray, cols: int, rows: int) -> Float32Array:
    """Mean R, G, B of a cols × rows grid; edges cut pixels in part. In float: a pulse is less than a grey level."""
    mean = cv2.resize(image.astype(np.float32), (cols, rows), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(mean[:, :, ::-1])


def _within(first: list[float], last: list[float], pixels: int) -> tuple[int, int]:
    """The whole pixels from the least `first` to the largest `last` that are in the picture, at least one."""
    start = int(min(max(min(first), 0.0), pixels - 1))
    return start, max(start + 1, int(min(max(max(last) + 1.0, 0.0), pixels)))


def _box_means(
    image: ByteArray, centre: NDArray[np.complex128], size_px: tuple[float, float]
) -> Float32Array:
    """Mean R, G, B of upright boxes about x + iy [shape of centre, and 3]; edges cut pixels in part.

    From a table of sums over all pixels above and left of a corner (Crow, 1984), between whole pixels in proportion.
    Boxes keep within the picture; one that is wholly outside becomes its nearest row or column of pixels.
    """
    rows, cols = image.shape[:2]
    sums = cv2.integral(image).reshape(-1, 3)  # whole numbers: exact
    middle = centre.reshape(-1).view(np.float64).reshape(-1, 2)
    # Axes of all that follows: beginning and end of a box (with the pixels that they cut) · boxes · x and y.
    edges = np.empty((2, len(middle), 2))
    half, most = np.array(size_px) / 2, np.array([cols, rows])
    np.subtract(middle, half, out=edges[0])
    np.add(middle, half, out=edges[1])
    np.maximum(edges, [[[0.0]], [[1.0]]], out=edges)
    np.minimum(edges, [[most - 1], [most]], out=edges)
    lines = np.empty((4, len(middle), 2), np.int64)
    lines[::2] = edges
    np.minimum(lines[2], most - 1, out=lines[2])
    np.add(lines[::2], 1, out=lines[1::2])
    share = np.empty((4, len(middle), 2))
    np.subtract(edges, lines[::2], out=share[1::2])
    np.subtract(1.0, share[1::2], out=share[::2])
    np.negative(share[:2], out=share[:2])
    share /= edges[1] - edges[0]
    corners = sums.take(lines[:, None, :, 1] * (cols + 1) + lines[:, :, 0], axis=0)
    total = np.einsum("in,jn,ijnc->nc", share[:, :, 1], share[:, :, 0], corners)
    return np.asarray(total[:, ::-1], np.float32).reshape(*centre.shape, 3)


def _fit_similarity(
    start: NDArray[np.complex128], end: NDArray[np.complex128]
) -> tuple[tuple[complex, complex], FloatArray] | None:
    """Robust z' = a·z + b between point sets, and the residual of each point in their unit.

    Iteratively reweighted least squares with Cauchy weights, since blinking and talking move some points.
    """
    middle = len(start) // 2
    # What is summed with the weights, complex numbers in two columns: one small product instead of ten sums.
    terms = np.empty((len(start), 5), np.complex128)
    terms[:, 0], terms[:, 1], terms[:, 2] = 1.0, start, end
    before = start.conj()
    terms[:, 3], terms[:, 4] = before * start, before * end
    columns = terms.view(np.float64)
    weight, residual = np.ones(len(start)), np.zeros(0)
    rotation, shift = 1.0 + 0.0j, 0.0 + 0.0j
    for _ in range(3):
        if len(residual):
            sigma = max(float(np.sort(residual)[middle]), 1e-3)
            ratio = residual * (0.5 / sigma)
            weight = 1.0 / (1.0 + ratio * ratio)
        total, sum_start, sum_end, square, product = (weight @ columns).view(np.complex128).tolist()
        spread = square.real - abs(sum_start) ** 2 / total.real
        if spread <= 1e-9 * square.real:
            return None
        rotation = (product - sum_start.conjugate() * sum_end / total) / spread
        shift = (sum_end - rotation * sum_start) / total
        residual = np.abs(rotation * start + (shift - end))
    if not 0.2 < abs(rotation) < 5.0:
        return None
    return (rotation, shift), residual
