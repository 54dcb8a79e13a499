"""Spectra at any frequency, by tapers and a direct Fourier sum: no bins, so no values that only come in steps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_models.types import FloatArray


def sine_tapers(n: int, count: int) -> FloatArray:
    """Orthonormal sine tapers [shape=(count, n)] (Riedel & Sidorenko, IEEE Trans. Signal Process., 1995)."""
    position = np.arange(1, n + 1) / (n + 1)
    order = np.arange(1, count + 1)[:, None]
    return np.asarray(np.sqrt(2.0 / (n + 1)) * np.sin(np.pi * order * position), np.float64)


def fourier_matrix(t_s: FloatArray, frequency_hz: FloatArray) -> NDArray[np.complex128]:
    """exp(−2πi f t) [shape=(len(frequency_hz), len(t_s))]."""
    return np.asarray(np.exp(-2j * np.pi * np.outer(frequency_hz, t_s)), np.complex128)


def power(values: FloatArray, *, rate_hz: float, frequency_hz: FloatArray) -> FloatArray:
    """Hann-tapered power of `values` [shape=(n,)] at each frequency, in squared units of `values`.

    A sine of amplitude a has power a² / 4 at its own frequency.
    """
    n = len(values)
    taper = np.hanning(n + 2)[1:-1]
    t_s = np.arange(n) / rate_hz
    spectrum = fourier_matrix(t_s, frequency_hz) @ ((values - values.mean()) * taper) / taper.sum()
    return np.asarray(np.abs(spectrum) ** 2, np.float64)


def peak(frequency_hz: FloatArray, values: FloatArray) -> tuple[float, float]:
    """(frequency, height) of the largest value on an even grid, refined by a parabola through three points.

    At an end of the grid the end itself is returned.
    """
    i = int(np.argmax(values))
    if i in (0, len(values) - 1):
        return float(frequency_hz[i]), float(values[i])
    left, middle, right = values[i - 1 : i + 2]
    bend = left - 2 * middle + right
    shift = 0.5 * (left - right) / bend if bend < 0 else 0.0
    step = frequency_hz[1] - frequency_hz[0]
    return float(frequency_hz[i] + shift * step), float(middle - 0.25 * (left - right) * shift)
