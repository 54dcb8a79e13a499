"""What every trace simulator hands over: skin samples as from a perfect tracker, and what is true of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from edge_models.face import SkinSample
from edge_models.types import FloatArray


class Truth(Protocol):
    """What is known of a simulated person. Both simulators have their own class for it.

    Methods raise ValueError where there is no pulse or too few beats. stop_s None: the end of the scan.
    """

    @property
    def duration_s(self) -> float:
        """Length of the scan."""
        ...

    @property
    def has_pulse(self) -> bool:
        """Whether somebody alive is before the camera."""
        ...

    @property
    def beats_s(self) -> FloatArray:
        """Systolic peaks within the scan [shape=(m,)], seconds."""
        ...

    def mean_heart_rate(self, start_s: float = 0.0, stop_s: float | None = None) -> float:
        """60 / mean interval of the beats from start_s to stop_s, /min."""
        ...

    def sdnn_ms(self, start_s: float = 0.0, stop_s: float | None = None) -> float:
        """Standard deviation (n - 1) of the intervals, ms."""
        ...

    def rmssd_ms(self, start_s: float = 0.0, stop_s: float | None = None) -> float:
        """Root mean square of successive differences of the intervals, ms."""
        ...

    def respiratory_rate(self, start_s: float = 0.0, stop_s: float | None = None) -> float:
        """Mean breaths per minute from start_s to stop_s."""
        ...

    def heart_rate(self, t_s: FloatArray) -> FloatArray:
        """60 / the interval in which each t_s [shape=(n,)] lies, /min."""
        ...

    def bvp(self, t_s: FloatArray) -> FloatArray:
        """The pulse wave at t_s [shape=(n,)], about ±1; up is more blood and less light. Zero without a pulse."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedScan:
    """One scan without pictures.

    samples: in order, the first at t_s 0. frame_size_px: (width, height). face_px: mean width of the face.
    true_wave: truth.bvp at the true moments of exposure [shape=(n,)], which clock jitter parts from samples' t_s.
    skin_rgb: R, G, B in code values, mean over the cells that really are bare skin (or picture of it) [shape=(n, 3)].
    """

    samples: tuple[SkinSample, ...]
    truth: Truth
    frame_size_px: tuple[int, int]
    face_px: float
    true_wave: FloatArray
    skin_rgb: FloatArray

    @property
    def t_s(self) -> FloatArray:
        """Times of the samples [shape=(n,)], seconds."""
        return np.array([sample.t_s for sample in self.samples])

    @property
    def fps(self) -> float:
        """Frames that arrived per second."""
        return (len(self.samples) - 1) / max(self.samples[-1].t_s, 1e-9)
