"""Filters on even grids. Zero phase throughout: a shifted beat would be a wrong interval."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_models.types import FloatArray


def _smooth(values: NDArray[np.float64], sigma_samples: float) -> NDArray[np.float64]:
    """Gaussian smoothing along axis 0 by FFT, zero-padded so that the ends do not wrap."""
    n = len(values)
    reach = int(4 * sigma_samples) + 1
    size = 1 << (n + 2 * reach - 1).bit_length()
    frequency = np.fft.rfftfreq(size)
    gain = np.exp(-2.0 * (np.pi * frequency * sigma_samples) ** 2)
    spectrum = np.fft.rfft(values, size, axis=0)
    shape = (len(gain), *([1] * (values.ndim - 1)))
    return np.fft.irfft(spectrum * gain.reshape(shape), size, axis=0)[:n]


def local_mean(
    values: NDArray[np.float64], weight: FloatArray, *, rate_hz: float, cutoff_hz: float
) -> NDArray[np.float64]:
    """`values` [shape=(n, ...)] smoothed along axis 0, where samples of zero `weight` [shape=(n,)] count for nothing.

    A normalised Gaussian convolution (Knutsson & Westin, 1993) whose gain falls to half at cutoff_hz.
    """
    sigma = np.sqrt(2.0 * np.log(2.0)) / (2.0 * np.pi * cutoff_hz) * rate_hz
    column = weight.reshape(-1, *([1] * (values.ndim - 1)))
    share = np.maximum(_smooth(np.asarray(weight), sigma), 1e-6).reshape(column.shape)
    return np.asarray(_smooth(values * column, sigma) / share, np.float64)


def without_baseline(
    values: NDArray[np.float64], weight: FloatArray, *, rate_hz: float, cutoff_hz: float
) -> NDArray[np.float64]:
    """`values` [shape=(n, ...)] less their local mean: a high-pass that ignores samples of zero `weight`.

    It falls to half amplitude at cutoff_hz. Samples of zero weight come back as 0.
    """
    column = weight.reshape(-1, *([1] * (values.ndim - 1)))
    slow = local_mean(values, weight, rate_hz=rate_hz, cutoff_hz=cutoff_hz)
    return np.asarray((values - slow) * (column > 0), np.float64)


def band_pass(values: FloatArray, *, rate_hz: float, low_hz: float, high_hz: float) -> FloatArray:
    """Zero-phase band-pass with raised-cosine edges a fifth of the edge frequency wide.

    values: [shape=(n,)]. Ends are mirrored so that the first and last beats keep their shape.
    Raises ValueError unless 0 < low_hz < high_hz.
    """
    if not 0 < low_hz < high_hz:
        raise ValueError(f"need 0 < low_hz < high_hz, got {low_hz}, {high_hz}")
    n = len(values)
    if n < 4:
        return np.zeros(n)
    pad = min(n - 1, int(2 * rate_hz / low_hz))
    padded = np.concatenate([values[pad:0:-1], values, values[-2 : -pad - 2 : -1]])
    frequency = np.fft.rfftfreq(len(padded), 1.0 / rate_hz)

    def rise(edge_hz: float) -> FloatArray:
        position = np.clip((frequency - 0.9 * edge_hz) / (0.2 * edge_hz), 0.0, 1.0)
        return np.asarray(0.5 - 0.5 * np.cos(np.pi * position), np.float64)

    gain = rise(low_hz) * (1.0 - rise(high_hz))
    filtered = np.fft.irfft(np.fft.rfft(padded) * gain, len(padded))
    return np.asarray(filtered[pad : pad + n], np.float64)
