"""How far a head is tilted, from one picture: the angle at which the two halves of the face mirror each other best.

The face net gives only an upright box, and following points gives only the change since the grid was laid.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_models.types import Box, ByteArray, Float32Array

_WIDTH, _HEIGHT = 36, 44
_STEP_DEG, _MOST_DEG = 5.0, 45.0
_SHIFTS = (-4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0)
"""Where the axis of the face may lie beside the middle of the box, in pixels of the small picture of the face."""
_MIDDLE = 0.53
_LEAST_LIKENESS = 0.45
"""Correlation of the halves; the simulator's person and three real ones have 0.6 to 0.9."""
_SMOOTH_PX = 4.0
_UPRIGHT_IS_USUAL = 0.1
_ANGLES_DEG = np.arange(-_MOST_DEG, _MOST_DEG + 0.1, _STEP_DEG)


def roll(picture: ByteArray, face: Box) -> float | None:
    """The head's roll in radians (positive: clockwise in the picture), or None where no axis is found.

    picture: uint8 BGR [shape=(height, width, 3)]. face: the net's box in it, in pixels. Right to about 5° up to 40°.
    Light from one side does not matter: only the contrast of each place with its surroundings is compared.
    """
    if min(face.width / _WIDTH, face.height / _HEIGHT) < 0.5:
        return None
    to_x, to_y = face.width / _WIDTH, face.height / _HEIGHT
    place = np.array([[to_x, 0.0, face.x], [0.0, to_y, face.y]])
    small = cv2.warpAffine(
        picture,
        place,
        (_WIDTH, _HEIGHT),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    x, y = _pairs(to_y / to_x)
    seen = cv2.remap(
        _contrast(np.asarray(small, np.uint8)), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    here, there = seen[::2], seen[1::2]
    power_here, power_there = np.einsum("kn,kn->k", here, here), np.einsum("kn,kn->k", there, there)
    likeness = np.einsum("kn,kn->k", here, there) / np.sqrt(power_here * power_there + 1e-9)
    # Brows, eyes and mouth also lie across an upright face: the mean of a row then keeps their contrast.
    rows = (here + there) @ _ROW_MEANS
    across = np.einsum("kn,kn,n->k", rows, rows, _PAIRS_IN_ROW) / (2 * (power_here + power_there) + 1e-9)
    score = (likeness + across).reshape(-1, len(_SHIFTS))
    by_angle = score.max(axis=1) - _UPRIGHT_IS_USUAL * (_ANGLES_DEG / _MOST_DEG) ** 2
    best = int(by_angle.argmax())
    if likeness.reshape(score.shape)[best, score[best].argmax()] < _LEAST_LIKENESS:
        return None
    angle_deg = float(_ANGLES_DEG[best])
    if 0 < best < len(by_angle) - 1:  # the top of a parabola through three neighbours
        before, top, after = by_angle[best - 1 : best + 2].tolist()
        angle_deg += 0.5 * _STEP_DEG * (before - after) / min(before - 2 * top + after, -1e-6)
    return float(np.deg2rad(angle_deg))


def _contrast(small: ByteArray) -> Float32Array:
    """Each pixel against its surroundings, in units of their contrast."""
    grey = np.log(np.maximum(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), 4).astype(np.float32))
    grey = np.asarray(cv2.GaussianBlur(grey, (0, 0), 0.6), np.float32)
    detail = grey - _smooth(grey)
    return np.asarray(detail / (np.sqrt(_smooth(detail * detail)) + np.float32(0.05)), np.float32)


def _smooth(values: Float32Array) -> Float32Array:
    return np.asarray(cv2.GaussianBlur(values, (0, 0), _SMOOTH_PX, borderType=cv2.BORDER_REFLECT), np.float32)


def _half_face() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places in one half of an upright face: across from its axis, and down from its middle [shape=(n,)]."""
    across, down = np.meshgrid(np.arange(1.0, 14.6, 1.5), np.arange(-13.0, 15.0, 2.0))
    inside = (across / 15) ** 2 + (down / 16) ** 2 < 1
    return across[inside], down[inside]


def _mirrored_places() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Across (x) and down (y), in pixels of equal width and height about the middle: places that mirror each other.

    Rows two by two: one side, the other side; for every angle and every shift.
    """
    across, down = _half_face()
    angle = np.deg2rad(_ANGLES_DEG)[:, None, None, None]
    u = np.array([1.0, -1.0])[:, None] * across + np.array(_SHIFTS)[:, None, None]
    x, y = np.cos(angle) * u - np.sin(angle) * down, np.sin(angle) * u + np.cos(angle) * down
    return x.reshape(-1, len(across)), y.reshape(-1, len(across))


_MIRRORED_X, _MIRRORED_Y = _mirrored_places()
_, _row, _PAIRS_IN_ROW = np.unique(_half_face()[1], return_inverse=True, return_counts=True)
_ROW_MEANS = (np.eye(len(_PAIRS_IN_ROW))[_row] / _PAIRS_IN_ROW).astype(np.float32)


def _pairs(pixel_aspect: float) -> tuple[Float32Array, Float32Array]:
    """The places in the small picture. pixel_aspect: height of one of its pixels over the width."""
    x = (_WIDTH - 1) / 2 + _MIRRORED_X
    y = (_HEIGHT - 1) * _MIDDLE + _MIRRORED_Y / pixel_aspect
    return x.astype(np.float32), y.astype(np.float32)
