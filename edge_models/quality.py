"""Is this picture good enough, and what one thing would make it better? Pure functions of skin samples."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from edge_models.face import SkinSample
from edge_models.types import Box, Float32Array, Reason

MIN_FPS = 10.0
"""Below this the band of fast pulses folds onto slow ones."""

_FAR_PX, _TOO_FAR_PX = 90.0, 36.0
_LARGE_HEIGHTS, _NEAR_HEIGHTS, _FILLS_HEIGHTS = 0.6, 0.8, 0.95
"""Widths, and the last one a height, of a face in heights of the picture: large, nearer than half a 4:3 picture's width,
filling it.
"""
_SKIN_TO_EDGE, _LIKE_LOG, _LIKE_RED_LOG = 0.65, 0.7, 0.25
_DARK_LEVEL, _TOO_DARK_LEVEL = 40.0, 7.0
_DIM_LEVEL, _DARK_ROOM_LEVEL, _DARKEST_ROOM_LEVEL = 52.0, 60.0, 38.0
"""A face is dim and so is all around it: too little light. A dark face in a light room is dark skin, or against the light."""
_BRIGHT_LEVEL = 246.0
_MOVING_WIDTHS_PER_S, _TOO_FAST_WIDTHS_PER_S = 0.35, 2.0
_MIN_VISIBLE = 0.75


_LIGHT_STEP = 0.125


@dataclass(frozen=True, slots=True)
class FrameVerdict:
    """accepted: whether the frame counts. reasons: what is wrong with it, worst first, also where it counts."""

    accepted: bool
    reasons: tuple[Reason, ...]


def judge(
    sample: SkinSample, before: SkinSample | None, *, frame_height_px: int, seen_before: bool
) -> FrameVerdict:
    """Judge one frame. before: the sample of the frame before it, for speed."""
    face, cells = sample.face, sample.cells
    if face is None or cells is None:
        if _room_level(sample) < _DARKEST_ROOM_LEVEL:  # whoever is there is not seen
            return FrameVerdict(False, (Reason.TOO_DARK,))
        return FrameVerdict(False, (Reason.FACE_LEFT if seen_before else Reason.NO_FACE,))
    refusals: list[Reason] = []
    remarks: list[Reason] = []
    if sample.visible < _MIN_VISIBLE:
        refusals.append(Reason.OFF_CENTRE)
    if face.width < _TOO_FAR_PX:
        refusals.append(Reason.TOO_FAR)
    elif face.width < _FAR_PX:
        remarks.append(Reason.TOO_FAR)
    if _is_near(face, cells, frame_height_px):
        remarks.append(Reason.TOO_NEAR)
    middle = cells[8:14, 2:12]
    level = sum(cv2.mean(middle)) / 3
    if level < _TOO_DARK_LEVEL:
        refusals.append(Reason.TOO_DARK)
    elif level < _DARK_LEVEL or (level < _DIM_LEVEL and _room_level(sample) < _DARK_ROOM_LEVEL):
        remarks.append(Reason.TOO_DARK)
    # The brightest colour of a cell is at most the sum of all three: most faces need no closer look.
    if 3 * level > _BRIGHT_LEVEL and float(middle.max(axis=2).mean()) > _BRIGHT_LEVEL:
        refusals.append(Reason.TOO_BRIGHT)
    if before is not None and before.face is not None and before.key == sample.key:
        elapsed_s = max(sample.t_s - before.t_s, 1e-3)
        moved = (
            (sample.motion[0] - before.motion[0]) ** 2 + (sample.motion[1] - before.motion[1]) ** 2
        ) ** 0.5
        speed = moved / elapsed_s
        if speed > _TOO_FAST_WIDTHS_PER_S:
            refusals.append(Reason.MOTION)
        elif speed > _MOVING_WIDTHS_PER_S:
            remarks.append(Reason.MOTION)
    if sample.faces > 1:
        remarks.append(Reason.TWO_FACES)
    return FrameVerdict(not refusals, (*refusals, *remarks))


def _is_near(face: Box, cells: Float32Array, frame_height_px: int) -> bool:
    """Whether the face is too near. Of one that fills the picture the net may find the middle only: then the box has
    skin up to its edge, where otherwise hair and room are.
    """
    wide = face.width / frame_height_px
    if wide > _NEAR_HEIGHTS or face.height > _FILLS_HEIGHTS * frame_height_px:
        return True
    if wide < _LARGE_HEIGHTS:
        return False
    light = np.log(np.maximum(cells, 1.0)) * 2.2
    level, red = light.mean(axis=2), light[:, :, 0] - light[:, :, 1]
    middle = (slice(6, 14), slice(3, 11))
    like = (np.abs(level - np.median(level[middle])) < _LIKE_LOG) & (
        np.abs(red - np.median(red[middle])) < _LIKE_RED_LOG
    )
    edge = np.concatenate([like[0], like[-1], like[1:-1, 0], like[1:-1, -1]])
    return bool(edge.mean() > _SKIN_TO_EDGE)


def _room_level(sample: SkinSample) -> float:
    """How bright the brighter parts of the picture are, 0..255."""
    return float(np.percentile(sample.background.mean(axis=2), 90))


def light_changes(samples: list[SkinSample]) -> bool:
    """Whether the light of the room, seen on the background, varied by more than an eighth in the samples."""
    seen = [s.background for s in samples[:: max(1, len(samples) // 200)]]
    if len(seen) < 2:
        return False
    level = np.array(seen).mean(axis=(1, 2, 3))
    if np.median(level) < 1.0:
        return False
    low, high = np.percentile(level, [5, 95])
    return bool((high - low) / np.median(level) > _LIGHT_STEP)
