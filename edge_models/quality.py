"""Is this picture good enough, and what one thing would make it better? Pure functions of skin samples."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from edge_models.face import SkinSample
from edge_models.types import Reason

MIN_FPS = 10.0
"""Below this the band of fast pulses folds onto slow ones."""

_FAR_PX, _TOO_FAR_PX = 90.0, 36.0
_DARK_LEVEL, _TOO_DARK_LEVEL = 28.0, 7.0
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
        level = float(sample.background.mean())
        if level < _TOO_DARK_LEVEL:
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
    if face.height > 0.95 * frame_height_px:
        remarks.append(Reason.TOO_NEAR)
    middle = cells[8:14, 2:12]
    level = sum(cv2.mean(middle)) / 3
    if level < _TOO_DARK_LEVEL:
        refusals.append(Reason.TOO_DARK)
    elif level < _DARK_LEVEL:
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
