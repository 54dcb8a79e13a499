"""A sheet of paper in a picture: where its corners are, and the sheet seen straight from above.

Lines are found in a small copy of the picture (Hough transform); of all quadrilaterals that they can form, that one is the sheet whose
four sides are edges along their whole length and end at its corners, which the lines of a table, of tiles or of wood do not. The sides
are then measured again in the full picture, to a fraction of a pixel. Image arithmetic only.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_models.types import ByteArray, Float32Array, FloatArray

SURE = 0.5
"""Confidence from which a found sheet may be taken without a second look."""
_LEAST_CONFIDENCE = 0.15
_SMALL_PX = 360
"""Longer side of the copy in which lines are looked for."""
_LETTER_PX = 9
_MOST_LINES = 22
_LINES_LOOKED_AT = 64
_LEAST_AREA, _MOST_AREA = 0.08, 0.98
"""Of the picture's."""
_LEAST_ANGLE_DEG = 38.0
"""Of a corner: a sheet seen more aslant than that can't be read."""
_SAMPLES = 32
_REACH_PX = (-2.0, -1.0, 0.0, 1.0, 2.0)
_LEAST_STEP = 2.2
"""Grey levels per pixel across a side, after smoothing: an edge of 6 grey levels."""
_OVER_NOISE = 3.0
_LEAST_SIDE, _LEAST_SIDES = 0.55, 0.72
"""Share of a side that must be an edge: of the worst, and of all four."""
_BEYOND = np.linspace(1.06, 1.22, 8)
"""Places on a side's line beyond its end, in lengths of the side."""
_MOST_BEYOND = 0.7
_PROFILES = 96
_PROFILE_PX = 6.0
"""How far on both sides of a side its edge is looked for, in pixels of the small copy."""


@dataclass(frozen=True, slots=True)
class Quad:
    """Four corners in pixels of the picture: float64 [shape=(4, 2)], (x, y), clockwise as seen, from the upper left one on.

    A pixel's middle has whole numbers. confidence: in [0, 1]; see SURE. It is no probability: it grows with the share of the sides
    that is an edge, falls where a corner is not seen, and is 1 for one that a person has set.
    """

    corners: FloatArray
    confidence: float


def find_page(image: ByteArray) -> Quad | None:
    """The sheet of paper in a picture, or None where there is none, or where nobody could tell which.

    image: uint8 BGR [shape=(height, width, 3)], 64 px or more on each side. It takes some 30 ms.
    """
    height, width = image.shape[:2]
    if min(height, width) < 64:
        return None
    scale = min(1.0, _SMALL_PX / max(height, width))
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else image
    view = _View.of(np.asarray(small, np.uint8))
    quads = _quads(_lines(view), view)
    if not len(quads):
        return None
    best, confidence = _best(quads, view)
    if best is None or confidence < _LEAST_CONFIDENCE:
        return None
    # The middle of the first small pixel lies in the middle of the block that it was made of.
    corners = (best + 0.5) / scale - 0.5
    refined = _refined(image, corners, _PROFILE_PX / scale)
    return Quad(_ordered(refined), confidence)


@dataclass(frozen=True, slots=True)
class _View:
    """The small copy: brightness, its slopes, and the slope from which something is an edge."""

    grey: Float32Array
    slope_x: Float32Array
    slope_y: Float32Array
    step: float

    @classmethod
    def of(cls, small: ByteArray) -> _View:
        seen = cv2.GaussianBlur(_paper_against_table(small), (0, 0), 0.8)
        # Dark lines narrower than this go: letters have more edges than the sheet that they are written on.
        seen = cv2.morphologyEx(
            seen, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_LETTER_PX,) * 2)
        )
        grey = np.asarray(cv2.GaussianBlur(seen, (0, 0), 1.0), np.float32)
        slope_x = np.asarray(cv2.Scharr(grey, cv2.CV_32F, 1, 0, scale=1 / 32), np.float32)
        slope_y = np.asarray(cv2.Scharr(grey, cv2.CV_32F, 0, 1, scale=1 / 32), np.float32)
        usual = float(np.median(np.hypot(slope_x, slope_y)))
        return cls(grey, slope_x, slope_y, max(_LEAST_STEP, _OVER_NOISE * usual))


def _paper_against_table(image: ByteArray) -> Float32Array:
    """Brightness less half of the colourfulness: white paper stands out from a table as bright as it is, if that has a colour."""
    lab = cv2.cvtColor(image, cv2.COLOR_BGR2LAB).astype(np.float32)
    return np.asarray(lab[:, :, 0] - 0.5 * np.hypot(lab[:, :, 1] - 128.0, lab[:, :, 2] - 128.0), np.float32)


def _lines(view: _View) -> FloatArray:
    """The strongest straight edges, none of them twice: float64 [shape=(n, 3)], a x + b y = c with a² + b² = 1."""
    edges = cv2.Canny(
        (16 * view.slope_x).astype(np.int16),
        (16 * view.slope_y).astype(np.int16),
        16 * 0.6 * view.step,
        16 * view.step,
        L2gradient=True,
    )
    height, width = edges.shape
    found = cv2.HoughLines(edges, 1.0, np.pi / 180, round(0.12 * min(height, width)))
    kept: list[tuple[float, float, float]] = []
    for rho, theta in [] if found is None else found[:600].reshape(-1, found.shape[-1])[:, :2].tolist():
        line = (float(np.cos(theta)), float(np.sin(theta)), float(rho))
        if all(_apart(line, other, width, height) for other in kept):
            kept.append(line)
        if len(kept) == _LINES_LOOKED_AT:
            break
    lines = np.asarray(kept, np.float64).reshape(-1, 3)
    return lines[np.argsort(-_weights(lines, view))[:_MOST_LINES]]


def _weights(lines: FloatArray, view: _View) -> FloatArray:
    """How much edge lies on each line, all of it going the same way: up or down."""
    height, width = view.grey.shape
    half = 0.5 * float(np.hypot(height, width))
    along = np.arange(-half, half, 2.0)
    foot = lines[:, :2] * (lines[:, 2] - lines[:, :2] @ (width / 2, height / 2))[:, None] + (
        width / 2,
        height / 2,
    )
    rising = np.zeros(len(lines))
    falling = np.zeros(len(lines))
    for off in (-1.0, 0.0, 1.0):
        x = np.rint(foot[:, :1] + off * lines[:, :1] - along * lines[:, 1:2]).astype(np.intp)
        y = np.rint(foot[:, 1:] + off * lines[:, 1:2] + along * lines[:, :1]).astype(np.intp)
        inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
        x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
        slope = view.slope_x[y, x] * lines[:, :1] + view.slope_y[y, x] * lines[:, 1:2]
        strength = np.where(inside & (np.abs(slope) > view.step), np.clip(slope / view.step, -3.0, 3.0), 0.0)
        rising = np.maximum(rising, np.maximum(strength, 0.0).sum(axis=1))
        falling = np.maximum(falling, np.maximum(-strength, 0.0).sum(axis=1))
    return np.maximum(rising, falling)


def _apart(
    one: tuple[float, float, float], other: tuple[float, float, float], width: int, height: int
) -> bool:
    """Whether two lines are different ones inside the picture: more than 4 px between them at one of its ends."""
    a, b, c = one
    along = (-b, a)
    middle = (width / 2, height / 2)
    off = a * middle[0] + b * middle[1] - c
    foot = (middle[0] - off * a, middle[1] - off * b)
    half = 0.35 * max(width, height)
    distances = [
        abs(other[0] * (foot[0] + t * along[0]) + other[1] * (foot[1] + t * along[1]) - other[2])
        for t in (-half, half)
    ]
    return max(distances) > 5.0


def _quads(lines: FloatArray, view: _View) -> FloatArray:
    """All that four of the lines can form and that may be a sheet: [shape=(n, 4, 2)], their corners one after the other round."""
    if len(lines) < 4:
        return np.zeros((0, 4, 2))
    sets = np.asarray(list(combinations(range(len(lines)), 4)))
    # Opposite sides: the three ways to make two pairs of four.
    rounds = np.concatenate([sets[:, order] for order in ([0, 2, 1, 3], [0, 1, 2, 3], [0, 1, 3, 2])])
    with np.errstate(divide="ignore", invalid="ignore"):
        corners = np.stack(
            [_crossings(lines[rounds[:, k]], lines[rounds[:, (k + 1) % 4]]) for k in range(4)], axis=1
        )
    height, width = view.grey.shape
    quads = corners[
        np.isfinite(corners).all(axis=(1, 2))
        & (corners > -3.0).all(axis=(1, 2))
        & (corners[:, :, 0] < width + 2.0).all(axis=1)
        & (corners[:, :, 1] < height + 2.0).all(axis=1)
    ]
    if not len(quads):
        return np.asarray(quads, np.float64)
    sides = np.roll(quads, -1, axis=1) - quads
    lengths = np.linalg.norm(sides, axis=2)
    back = np.roll(sides, 1, axis=1)
    turn = sides[:, :, 0] * back[:, :, 1] - sides[:, :, 1] * back[:, :, 0]
    sine = turn / np.maximum(lengths * np.roll(lengths, 1, axis=1), 1e-9)
    same_turn = (turn > 0).all(axis=1) | (turn < 0).all(axis=1)
    share = _areas(quads) / (width * height)
    opposite = np.maximum(lengths / np.roll(lengths, 2, axis=1), 1.0).max(axis=1)
    possible = (
        same_turn
        & (np.abs(sine).min(axis=1) > np.sin(np.deg2rad(_LEAST_ANGLE_DEG)))
        & (share > _LEAST_AREA)
        & (share < _MOST_AREA)
        & (opposite < 2.5)
        & (lengths.min(axis=1) > 0.2 * lengths.max(axis=1))
    )
    return np.asarray(quads[possible], np.float64)


def _crossings(one: FloatArray, other: FloatArray) -> FloatArray:
    bottom = one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]
    bottom = np.where(np.abs(bottom) < 0.05, np.nan, bottom)
    x = (one[:, 2] * other[:, 1] - one[:, 1] * other[:, 2]) / bottom
    y = (one[:, 0] * other[:, 2] - one[:, 2] * other[:, 0]) / bottom
    return np.stack([x, y], axis=1)


def _best(quads: FloatArray, view: _View) -> tuple[FloatArray | None, float]:
    """The one that is most likely a sheet, with its confidence; None where none is likely enough."""
    at = (np.arange(_SAMPLES) + 0.5) / _SAMPLES
    strength, brighter = _strength(quads, at, view)
    on_sides = strength > view.step
    # What goes on beyond a corner must be as strong as the side, or half of it: the grain of the table is not.
    enough = np.maximum(view.step, 0.5 * np.median(strength, axis=2, keepdims=True))
    beyond = _strength(quads, _BEYOND, view)[0] > enough
    before = _strength(quads, 1.0 - _BEYOND, view)[0] > enough
    side = on_sides.mean(axis=2)
    past = np.maximum(beyond.mean(axis=2), before.mean(axis=2))
    ends = round(0.14 * _SAMPLES)
    first, last = on_sides[:, :, :ends].mean(axis=2), on_sides[:, :, -ends:].mean(axis=2)
    corner = np.minimum(first, np.roll(last, 1, axis=1)).min(axis=1)
    area = _areas(quads) / view.grey.size
    likely = (
        (side.min(axis=1) > _LEAST_SIDE)
        & (side.mean(axis=1) > _LEAST_SIDES)
        & ((past > _MOST_BEYOND).sum(axis=1) <= 1)
        & (brighter.sum(axis=1) >= 3)
    )
    if not likely.any():
        return None, 0.0
    score = side.mean(axis=1) + 0.5 * side.min(axis=1) - 0.3 * past.mean(axis=1) + 0.3 * np.sqrt(area)
    best = int(np.where(likely, score, -np.inf).argmax())
    sure = (side[best].min() - _LEAST_SIDE) / (1.0 - _LEAST_SIDE)
    confidence = float(np.clip(0.25 + 0.75 * sure, 0.0, 1.0) * (0.3 + 0.7 * min(1.0, 1.25 * corner[best])))
    return np.asarray(quads[best], np.float64), confidence


def _areas(quads: FloatArray) -> FloatArray:
    following = np.roll(quads, -1, axis=1)
    twice = (quads[:, :, 0] * following[:, :, 1] - quads[:, :, 1] * following[:, :, 0]).sum(axis=1)
    return np.asarray(0.5 * np.abs(twice), np.float64)


def _strength(quads: FloatArray, at: FloatArray, view: _View) -> tuple[FloatArray, NDArray[np.bool_]]:
    """How steep the edges along the sides are [shape=(n, 4, len(at))], and whether it is brighter inside [shape=(n, 4)].

    at: places on a side, 0 at its beginning, 1 at its end. All edges of a side go the same way: up or down; others count as 0.
    """
    start = quads[:, :, None, :]
    along = np.roll(quads, -1, axis=1)[:, :, None, :] - start
    places = start + along * at[None, None, :, None]
    normal = np.stack([-along[..., 1], along[..., 0]], axis=-1)
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-9)
    inward = quads.mean(axis=1)[:, None, None, :] - (start + 0.5 * along)
    normal *= np.sign((normal * inward).sum(axis=-1, keepdims=True))
    height, width = view.grey.shape
    up = np.full(places.shape[:3], -np.inf, np.float32)
    down = np.full(places.shape[:3], np.inf, np.float32)
    for off in _REACH_PX:
        x = np.rint(places[..., 0] + off * normal[..., 0]).astype(np.intp)
        y = np.rint(places[..., 1] + off * normal[..., 1]).astype(np.intp)
        inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
        x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
        slope = np.where(
            inside, view.slope_x[y, x] * normal[..., 0] + view.slope_y[y, x] * normal[..., 1], 0.0
        )
        up, down = np.maximum(up, slope), np.minimum(down, slope)
    brighter = (up > view.step).sum(axis=2) >= (down < -view.step).sum(axis=2)
    return np.maximum(np.where(brighter[:, :, None], up, -down), 0.0).astype(np.float64), brighter


def _refined(image: ByteArray, corners: FloatArray, reach_px: float) -> FloatArray:
    """The corners measured again in the full picture: each side's edge at many places, a line through these, their crossings."""
    blur = max(0.8, reach_px / 12.0)
    lines = []
    for k in range(4):
        start, end = corners[k], corners[(k + 1) % 4]
        line = _side(image, start, end, corners.mean(axis=0), reach_px, blur)
        if line is None:
            normal = np.array([start[1] - end[1], end[0] - start[0]]) / max(
                1e-9, float(np.hypot(*(end - start)))
            )
            line = np.array([normal[0], normal[1], float(normal @ start)])
        lines.append(line)
    sides = np.asarray(lines)
    with np.errstate(divide="ignore", invalid="ignore"):
        refined = np.roll(_crossings(sides, np.roll(sides, -1, axis=0)), 1, axis=0)
    moved = np.linalg.norm(refined - corners, axis=1)
    return np.asarray(np.where((moved < 3 * reach_px)[:, None], refined, corners), np.float64)


def _side(
    image: ByteArray, start: FloatArray, end: FloatArray, middle: FloatArray, reach_px: float, blur: float
) -> FloatArray | None:
    """The line of one side as a, b, c of a x + b y = c; None where too little of it is seen."""
    along = end - start
    length = float(np.hypot(*along))
    normal = np.array([-along[1], along[0]]) / max(length, 1e-9)
    normal *= np.sign(normal @ (middle - start)) or 1.0
    offsets = np.arange(-np.ceil(reach_px), np.ceil(reach_px) + 0.25, 0.5)
    places = start + along * ((np.arange(_PROFILES) + 0.5) / _PROFILES * 0.92 + 0.04)[:, None]
    grid = places[:, None, :] + offsets[None, :, None] * normal
    seen = cv2.remap(
        image,
        grid[..., 0].astype(np.float32),
        grid[..., 1].astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    profiles = cv2.GaussianBlur(
        _paper_against_table(np.asarray(seen, np.uint8)), (0, 0), sigmaX=2 * blur, sigmaY=1.0
    )
    slopes = np.gradient(profiles, axis=1)
    if np.median(slopes.max(axis=1)) < np.median(-slopes.min(axis=1)):
        slopes = -slopes
    top = np.clip(slopes.argmax(axis=1), 1, len(offsets) - 2)
    row = np.arange(_PROFILES)
    before, peak, after = slopes[row, top - 1], slopes[row, top], slopes[row, top + 1]
    bend = before - 2 * peak + after
    shift = np.where(bend < -1e-6, 0.5 * (before - after) / np.minimum(bend, -1e-6), 0.0)
    edge = offsets[top] + 0.5 * np.clip(shift, -1.0, 1.0)
    good = peak > 0.35 * np.median(peak)
    slope = level = 0.0
    for _ in range(
        6
    ):  # a straight line through them, without those that are off it (text, a finger, a shadow)
        if good.sum() < _PROFILES // 5:
            return None
        slope, level = np.polyfit(row[good], edge[good], 1)
        off = np.abs(edge - (slope * row + level))
        usual = max(0.15, 2.5 * float(np.median(off[good])))
        good = (off < usual) & (peak > 0.35 * np.median(peak))
    first, last = places[0] + normal * level, places[-1] + normal * (level + slope * (_PROFILES - 1))
    across = np.array([first[1] - last[1], last[0] - first[0]])
    across /= np.hypot(*across)
    return np.array([across[0], across[1], float(across @ first)])


def _ordered(corners: FloatArray) -> FloatArray:
    """Clockwise as seen, from the one nearest to the upper left."""
    middle = corners.mean(axis=0)
    turned = corners[np.argsort(np.arctan2(corners[:, 1] - middle[1], corners[:, 0] - middle[0]))]
    return np.roll(turned, -int(turned.sum(axis=1).argmin()), axis=0)


def aspect(corners: FloatArray, width_px: int, height_px: int) -> float:
    """Width over height of the sheet itself. corners: as of a Quad, in a picture of this size.

    From its perspective, for a camera whose axis goes through the picture's middle (Zhang and He 2007, Digital Signal Processing 17,
    "Whiteboard scanning and image enhancement", §4); from its sides' lengths where it is seen too straight for that.
    """
    upper_left, upper_right, lower_right, lower_left = (
        np.array([x - (width_px - 1) / 2, y - (height_px - 1) / 2, 1.0]) for x, y in corners.tolist()
    )
    m1, m2, m3, m4 = upper_left, upper_right, lower_left, lower_right
    by_sides = _mean_length(corners, 0) / max(1e-9, _mean_length(corners, 1))
    k2 = float(np.cross(m1, m4) @ m3) / (float(np.cross(m2, m4) @ m3) or 1e-12)
    k3 = float(np.cross(m1, m4) @ m2) / (float(np.cross(m3, m4) @ m2) or 1e-12)
    n2, n3 = k2 * m2 - m1, k3 * m3 - m1
    if min(abs(k2 - 1.0), abs(k3 - 1.0)) < 0.03:
        return by_sides
    focal_squared = -(n2[0] * n3[0] + n2[1] * n3[1]) / (n2[2] * n3[2])
    longest = max(width_px, height_px)
    if not (0.4 * longest) ** 2 < focal_squared < (4.0 * longest) ** 2:  # no camera of ours
        return by_sides
    across = (n2[0] ** 2 + n2[1] ** 2) / focal_squared + n2[2] ** 2
    down = (n3[0] ** 2 + n3[1] ** 2) / focal_squared + n3[2] ** 2
    return float(np.sqrt(across / down))


def _mean_length(corners: FloatArray, first: int) -> float:
    one = corners[(first + 1) % 4] - corners[first]
    other = corners[(first + 3) % 4] - corners[(first + 2) % 4]
    return 0.5 * float(np.hypot(*one) + np.hypot(*other))


def straighten(image: ByteArray, quad: Quad) -> ByteArray:
    """The sheet as seen straight from above: uint8 BGR [shape=(height, width, 3)].

    image: uint8 BGR, in which the quad was found or set. Its longer side has as many pixels as the longest of the quad's, so that
    nothing is made up and little is lost; the other follows from `aspect`.
    """
    height_px, width_px = image.shape[:2]
    ratio = float(np.clip(aspect(quad.corners, width_px, height_px), 0.1, 10.0))
    sides = np.linalg.norm(np.roll(quad.corners, -1, axis=0) - quad.corners, axis=1)
    longest = max(16, round(float(sides.max())))
    width, height = (longest, round(longest / ratio)) if ratio >= 1.0 else (round(longest * ratio), longest)
    width, height = max(16, width), max(16, height)
    # From the outer edge of its first pixel to that of its last.
    goal = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32) - 0.5
    way = cv2.getPerspectiveTransform(quad.corners.astype(np.float32), goal.astype(np.float32))
    flags = cv2.INTER_CUBIC
    return np.asarray(
        cv2.warpPerspective(image, way, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE),
        np.uint8,
    )
