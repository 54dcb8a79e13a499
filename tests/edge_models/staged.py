"""Scans without pictures: simulated colour traces laid on the cell grid, as a perfect face tracker would give them.

All of the engine behind the tracker runs as it is, in a tenth of the time that rendering and tracking take.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from edge_models.face import BACKGROUND_COLS, BACKGROUND_ROWS, COLS, ROWS, SkinSample
from edge_models.scan import Scan
from edge_models.simulate import scene, traces
from edge_models.simulate.heart import Truth
from edge_models.simulate.scene import Scene
from edge_models.types import Box, Frame

_CELLS_AS_LARGE_AS_AT_PX = 72.0
"""A patch of the traces at this face width has as many pixels as a cell of the grid at 170 px."""
FACE = Box(235.0, 110.0, 170.0, 214.0)
_PICTURE = np.zeros((480, 640, 3), np.uint8)


def samples(setting: Scene) -> tuple[list[SkinSample], Truth]:
    """What a perfect tracker would make of the scene, and the truth. face_width_px of the scene is not used."""
    small = replace(setting, face_width_px=_CELLS_AS_LARGE_AS_AT_PX)
    seen = traces.traces(small, patches=ROWS * COLS, background_patches=BACKGROUND_ROWS * BACKGROUND_COLS)
    course = scene.timeline(small, seen.truth)
    motion = (
        np.stack(
            [
                course.dx_px,
                course.dy_px + course.nod_px,
                course.roll_rad * _CELLS_AS_LARGE_AS_AT_PX,
                0 * course.dx_px,
            ],
            axis=1,
        )
        / _CELLS_AS_LARGE_AS_AT_PX
    )
    rng = np.random.default_rng([setting.seed, 99])
    motion += 2e-4 * rng.standard_normal(motion.shape)
    chest = (course.chest_px + course.dy_px) / _CELLS_AS_LARGE_AS_AT_PX
    chest += 5e-4 * rng.standard_normal(len(chest))
    made = [
        SkinSample(
            t_s=float(t_s),
            face=FACE,
            faces=1,
            cells=seen.skin[k].reshape(ROWS, COLS, 3).astype(np.float32),
            background=seen.background[k].reshape(BACKGROUND_ROWS, BACKGROUND_COLS, 3).astype(np.float32),
            motion=(float(motion[k, 0]), float(motion[k, 1]), float(motion[k, 2]), float(motion[k, 3])),
            chest_y=float(chest[k]),
            key=1,
            visible=1.0,
        )
        for k, t_s in enumerate(seen.t_s)
    ]
    return made, seen.truth


@dataclass
class StagedTracker:
    """Stands in for the face tracker: hands out prepared samples, one a frame."""

    prepared: list[SkinSample]
    given: int = 0

    def update(self, frame: Frame) -> SkinSample:
        """The next prepared sample, at the frame's time."""
        self.given += 1
        return replace(self.prepared[self.given - 1], t_s=frame.t_s)


def staged_scan(face_net: bytes, prepared: list[SkinSample], *, until: int | None = None) -> Scan:
    """A scan that has been through the prepared samples (the first `until` of them)."""
    scan = Scan(face_net)
    scan._tracker = StagedTracker(prepared)  # type: ignore[assignment]
    for sample in prepared[:until]:
        scan.push(Frame(_PICTURE, sample.t_s))
    return scan
