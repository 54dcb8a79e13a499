"""RGB traces → blood volume pulse (BVP): the classical projections, and the blood's colour.

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

_LOADING = 1e-3
"""Part of all variance that PBV adds to each colour's: a covariance of three colours over so few samples is believed no
deeper than that."""

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


def pbv(rgb: FloatArray, *, rate_hz: float, window_s: float = _WINDOW_S) -> FloatArray:
    """The combination of colours in which BLOOD_RGB counts 1 and everything else in a sliding window counts least.

    window_s: length of that window. After the signature of BLOOD_RGB's source; there in one window over the whole trace.
    A pulse of another colour than BLOOD_RGB cancels itself in part where it is strong.
    """
    n = len(rgb)
    length = min(n, max(4, round(window_s * rate_hz)))
    normalised = _normalised_windows(rgb, length)
    normalised = normalised - normalised.mean(axis=2, keepdims=True)
    covariance = np.einsum("wcl,wdl->wcd", normalised, normalised) / length
    level = np.einsum("wcc->w", covariance)[:, None, None]
    covariance += (_LOADING * level + 1e-14) * np.eye(3)
    weights = np.linalg.solve(covariance, np.broadcast_to(BLOOD_RGB[:, None], (len(covariance), 3, 1)))[
        ..., 0
    ]
    weights /= (weights @ BLOOD_RGB)[:, None]
    return -_overlap_added(np.einsum("wcl,wc->wl", normalised, weights), n)


def _sliding_projection(
    rgb: FloatArray, plane: NDArray[np.float64], *, tuning_sign: float, rate_hz: float
) -> FloatArray:
    """Per window: normalise by its mean, project on the plane, tune by the ratio of deviations, overlap-add."""
    n = len(rgb)
    length = min(n, max(2, round(_WINDOW_S * rate_hz)))
    projected = np.einsum("pc,wcl->wpl", plane, _normalised_windows(rgb, length))
    deviation = projected.std(axis=2)
    ratio = deviation[:, 0] / np.maximum(deviation[:, 1], 1e-12)
    tuned = projected[:, 0] + tuning_sign * ratio[:, None] * projected[:, 1]
    return _overlap_added(tuned - tuned.mean(axis=1, keepdims=True), n)


def _normalised_windows(rgb: FloatArray, length: int) -> FloatArray:
    """Every window of `length` samples, relative to its mean [shape=(windows, 3, length)]."""
    windows = np.lib.stride_tricks.sliding_window_view(rgb, length, axis=0)
    return np.asarray(windows / windows.mean(axis=2, keepdims=True) - 1.0, np.float64)


def _overlap_added(windows: FloatArray, n: int) -> FloatArray:
    """Windows [shape=(windows, length)] that start at successive samples → their mean at each of n samples."""
    length = windows.shape[1]
    out = np.zeros(n)
    for offset in range(length):
        out[offset : offset + len(windows)] += windows[:, offset]
    counts = np.minimum.reduce([np.arange(1, n + 1), np.arange(n, 0, -1), np.full(n, length)])
    return np.asarray(out / np.minimum(counts, len(windows)), np.float64)
