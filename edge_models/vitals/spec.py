"""What a vital sign is to the rest of the program, and what all of them are computed from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_models.fusion import PulseTrack
from edge_models.signal.beats import Beats
from edge_models.types import Estimate, FloatArray, Reason

ROUNDING_S = 0.5
"""So much may be missing of the seconds that a vital sign needs: between the first and the last of the frames of 60 s
lie 59.97 s, and a face is there a little after the first frame."""


@dataclass(frozen=True, slots=True)
class Signals:
    """Everything a scan has gathered. Arrays over time share `t_s` [shape=(n,)], an even grid.

    accepted_s: seconds that count. track: the pulse over windows, None before the first.
    bvp, rate_per_min, valid: wave, tracked rate, and where they are real [shape=(n,)].
    heart_rate: the heart rate already decided, which other signs may lean on (None while it is being decided).
    chest_t_s, chest_y, head_y: vertical motion of chest and head in face widths, positive downwards, at the frames' own
    times [shape=(m,)], NaN where unseen.
    skin_tint, room_tint: natural logarithm of green over red, mean over the face (NaN without one) and over the
    background away from the person (NaN where there is none), at the same times: blood lowers the first, a change of the light's strength neither.
    obstacles: reasons found in the picture or the source, worst first; the first ones of them forbid any value.
    forbidding: those of the obstacles that forbid any value.
    """

    accepted_s: float
    track: PulseTrack | None
    t_s: FloatArray
    bvp: FloatArray
    rate_per_min: FloatArray
    valid: NDArray[np.bool_]
    beats: Beats | None
    heart_rate: Estimate | None
    chest_t_s: FloatArray
    chest_y: FloatArray
    head_y: FloatArray
    skin_tint: FloatArray
    room_tint: FloatArray
    obstacles: tuple[Reason, ...]
    forbidding: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class VitalSpec:
    """name: key in the JSON. needs_s: accepted seconds without which it is never shown."""

    name: str
    needs_s: float
    estimate: Callable[[Signals], Estimate]


def withheld(
    spec_unit: str, algorithm: str, reasons: tuple[Reason, ...], window_s: float, confidence: float = 0.0
) -> Estimate:
    """An estimate without a value. reasons: at least one."""
    return Estimate(None, None, None, spec_unit, confidence, reasons, window_s, algorithm)
