"""The values that travel through a scan. All are frozen; shapes and units are part of the contract.

Time is `t_s` everywhere: monotonic seconds of the source (float64), never a frame index.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]
ByteArray = NDArray[np.uint8]


class Reason(StrEnum):
    """Why a value is withheld, or what limits it. The string is part of the JSON contract."""

    # The face and the picture
    NO_FACE = "no_face"
    FACE_LEFT = "face_left"
    TWO_FACES = "two_faces"
    TOO_FAR = "too_far"
    TOO_NEAR = "too_near"
    OFF_CENTRE = "off_centre"
    TOO_DARK = "too_dark"
    TOO_BRIGHT = "too_bright"
    BACKLIT = "backlit"
    UNEVEN_LIGHT = "uneven_light"
    GLARE = "glare"
    COVERED = "covered"
    TILTED = "tilted"
    MOTION = "motion"
    TALKING = "talking"
    LIGHT_CHANGES = "light_changes"
    EXPOSURE_DRIFT = "exposure_drift"
    FLICKER = "flicker"
    # Time
    TOO_SHORT = "too_short"
    TOO_FEW_FRAMES = "too_few_frames"
    LOW_FRAME_RATE = "low_frame_rate"
    FRAME_RATE_UNTRUSTED = "frame_rate_untrusted"
    SOURCE_STALLED = "source_stalled"
    # The pulse
    NO_PULSE = "no_pulse"
    WEAK_PULSE = "weak_pulse"
    NOT_FROM_SKIN = "not_from_skin"
    SOURCES_DISAGREE = "sources_disagree"
    IMPLAUSIBLE = "implausible"
    # Beats
    TOO_FEW_BEATS = "too_few_beats"
    BEATS_UNCERTAIN = "beats_uncertain"
    # Breathing
    NO_BREATHING_SEEN = "no_breathing_seen"


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture and the moment at which it was taken.

    image: uint8 [shape=(height, width, 3)], BGR as OpenCV delivers it. Never written to once made.
    t_s: monotonic seconds of the source; strictly increasing within one source.
    """

    image: ByteArray
    t_s: float


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels of the full frame; (x, y) is the upper left corner."""

    x: float
    y: float
    width: float
    height: float

    @property
    def centre(self) -> tuple[float, float]:
        """(x, y) of the centre in pixels."""
        return self.x + self.width / 2, self.y + self.height / 2

    @property
    def area_px(self) -> float:
        """Area in square pixels, never negative."""
        return max(0.0, self.width) * max(0.0, self.height)


@dataclass(frozen=True, slots=True)
class Trace:
    """A signal on an even time grid.

    t_s: float64 [shape=(n,)], seconds. values: float64 [shape=(n,)], unit as the producer states.
    """

    t_s: FloatArray
    values: FloatArray


@dataclass(frozen=True, slots=True)
class Estimate:
    """A vital sign: a value with its 95 % interval, or the reasons for none.

    value, low, high: in `unit`; all three are numbers or all three are None.
    confidence: probability in [0, 1] that the value is right (for a heart rate: within 5 /min).
    reasons: never empty where value is None; may name what limits a value that is shown.
    window_s: seconds of accepted signal behind it.
    """

    value: float | None
    low: float | None
    high: float | None
    unit: str
    confidence: float
    reasons: tuple[Reason, ...]
    window_s: float
    algorithm: str

    def __post_init__(self) -> None:
        numbers = (self.value, self.low, self.high)
        if any(n is None for n in numbers) != all(n is None for n in numbers):
            raise ValueError(f"value and interval must be given together: {numbers}")
        if self.value is None and not self.reasons:
            raise ValueError("a withheld value needs a reason")
        if self.value is not None and self.low is not None and self.high is not None:
            if not self.low <= self.value <= self.high:
                raise ValueError(f"value outside its interval: {numbers}")
        if not 0.0 <= self.confidence <= 1.0:
            raise ValueError(f"confidence outside [0, 1]: {self.confidence}")


@dataclass(frozen=True, slots=True)
class TrendPoint:
    """The live heart rate at one second of the scan, /min; None where it was withheld."""

    t_s: float
    heart_rate: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Quality:
    """How good the picture and the signal were. score in [0, 1]; limiting_factor is the worst one."""

    score: float
    reasons: tuple[Reason, ...]
    limiting_factor: Reason | None


@dataclass(frozen=True, slots=True)
class Progress:
    """What is known after a frame; cheap to make, safe to hand to another thread.

    t_s: seconds since the scan's first frame. accepted_s: seconds that count so far.
    face: in pixels of the frame, or None. hint: the one thing to say to the person now, or None.
    heart_rate: the newest live estimate (made once a second), or None before the first.
    bvp: the last seconds of the pulse wave (dimensionless, about ±1), empty while there is none.
    faults: all that is wrong with the picture now, the most useful to say first; hint is one of them or was.
    """

    t_s: float
    accepted_s: float
    frames: int
    measured_fps: float
    face: Box | None
    hint: Reason | None
    heart_rate: Estimate | None
    bvp: Trace
    faults: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class ScanResult:
    """Everything a finished scan says. vitals has exactly the names of `edge_models.vitals.VITALS`.

    beats_s: seconds since the scan's first frame, sub-frame. bvp: the fused pulse wave.
    """

    duration_s: float
    accepted_s: float
    frames: int
    measured_fps: float
    vitals: Mapping[str, Estimate]
    beats_s: tuple[float, ...]
    trend: tuple[TrendPoint, ...]
    quality: Quality
    bvp: Trace = field(default_factory=lambda: Trace(np.zeros(0), np.zeros(0)))
