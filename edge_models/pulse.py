"""RGB traces → blood volume pulse (BVP): the three classical projections, and the blood's colour.

Traces are float64 [shape=(n, 3)], R G B, mean levels of a skin region on an even grid. All results are
zero-mean, positive in systole, dimensionless (a fraction of the level).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_models.types import FloatArray

BLOOD_RGB: FloatArray = np.array([0.33, 0.77, 0.53]) / np.linalg.norm([0.33, 0.77, 0.53])
"""Relative pulse amplitude in normalised R, G, B: the signature of de Haan & van Leest,
"Improved motion robustness of remote-PPG by using the blood volume pulse signature", Physiol. Meas. 2014."""

_WINDOW_S = 1.6
"""Length of the sliding window of CHROM and POS (de Haan & Jeanne 2013; Wang et al. 2017)."""

# Rows are the two projected signals, columns R, G, B.
_CHROM_PLANE: FloatArray = np.array([[3.0, -2.0, 0.0], [1.5, 1.0, -1.5]])
_POS_PLANE: FloatArray = np.array([[0.0, 1.0, -1.0], [-2.0, 1.0, 1.0]])


def green(rgb: FloatArray) -> FloatArray:
    """The normalised green level, turned so that systole (more blood, darker skin) is positive.

    Verkruysse, Svaasand & Nelson, "Remote plethysmographic imaging using ambient light", Opt. Express 2008.
    """
    return np.asarray(1.0 - rgb[:, 1] / rgb[:, 1].mean(), np.float64)


def chrom(rgb: FloatArray, *, rate_hz: float) -> FloatArray:
    """CHROM: X − (σ(X)/σ(Y))·Y of two chrominance signals, so that specular change cancels.

    de Haan & Jeanne, "Robust pulse rate from chrominance-based rPPG", IEEE Trans. Biomed. Eng. 2013.
    """
    return _sliding_projection(rgb, _CHROM_PLANE, tuning_sign=-1.0, rate_hz=rate_hz)


def pos(rgb: FloatArray, *, rate_hz: float) -> FloatArray:
    """POS: X + (σ(X)/σ(Y))·Y in the plane orthogonal to the skin tone.

    Wang, den Brinker, Stuijk & de Haan, "Algorithmic principles of remote PPG", IEEE Trans. Biomed. Eng. 2017.
    """
    return -_sliding_projection(rgb, _POS_PLANE, tuning_sign=1.0, rate_hz=rate_hz)


def _sliding_projection(
    rgb: FloatArray, plane: NDArray[np.float64], *, tuning_sign: float, rate_hz: float
) -> FloatArray:
    """Per window: normalise by its mean, project on the plane, tune by the ratio of deviations, overlap-add."""
    n = len(rgb)
    length = min(n, max(2, round(_WINDOW_S * rate_hz)))
    windows = np.lib.stride_tricks.sliding_window_view(rgb, length, axis=0)  # (windows, 3, length)
    normalised = windows / windows.mean(axis=2, keepdims=True) - 1.0
    projected = np.einsum("pc,wcl->wpl", plane, normalised)
    deviation = projected.std(axis=2)
    ratio = deviation[:, 0] / np.maximum(deviation[:, 1], 1e-12)
    tuned = projected[:, 0] + tuning_sign * ratio[:, None] * projected[:, 1]
    tuned -= tuned.mean(axis=1, keepdims=True)
    out = np.zeros(n)
    for offset in range(length):
        out[offset : offset + len(tuned)] += tuned[:, offset]
    counts = np.minimum.reduce([np.arange(1, n + 1), np.arange(n, 0, -1), np.full(n, length)])
    return np.asarray(out / np.minimum(counts, len(tuned)), np.float64)
