"""From samples taken when the camera liked to an even grid. Time comes from timestamps, never from an index."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_models.types import FloatArray


def measured_fps(t_s: FloatArray) -> float:
    """The frame rate that the timestamps show, frames per second; 0 below two samples.

    One over the mean interval, without intervals so long that a frame is missing in them: a camera that loses
    frames still exposes at its own rate. Not the median, because some containers round times to milliseconds.
    """
    if len(t_s) < 2:
        return 0.0
    interval_s = np.diff(t_s)
    usual_s = float(interval_s[interval_s <= 1.6 * np.median(interval_s)].mean())
    return 1.0 / usual_s if usual_s > 0 else 0.0


def even_grid(start_s: float, end_s: float, rate_hz: float) -> FloatArray:
    """Times on multiples of 1/rate_hz inside [start_s, end_s]: grids of two calls fall on the same instants."""
    first = int(np.ceil(start_s * rate_hz - 1e-9))
    last = int(np.floor(end_s * rate_hz + 1e-9))
    return np.arange(first, last + 1, dtype=np.float64) / rate_hz


def on_grid(
    t_s: FloatArray, values: NDArray[np.floating], grid_s: FloatArray, *, max_gap_s: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Linear interpolation of `values` [shape=(n, ...)] at `grid_s`, and where the grid may be believed.

    t_s: strictly increasing. Grid points outside the samples, or inside a hole wider than max_gap_s,
    hold the nearest sample and are marked False. Several samples per grid step are averaged first, so
    that a 60 fps camera is not thinned to every second frame.
    """
    if len(t_s) == 0:
        return np.zeros((len(grid_s), *values.shape[1:])), np.zeros(len(grid_s), np.bool_)
    step_s = float(grid_s[1] - grid_s[0]) if len(grid_s) > 1 else max_gap_s
    if step_s * measured_fps(t_s) > 1.75:
        # By time and not by number, so that no mean is taken across a hole or a change of frame rate.
        nearest = np.floor(t_s / step_s + 0.5)
        first = np.flatnonzero(np.diff(nearest, prepend=-np.inf))
        count = np.diff(first, append=len(t_s)).astype(np.float64)
        t_s = np.add.reduceat(t_s, first) / count
        count = count.reshape(-1, *([1] * (values.ndim - 1)))
        values = np.add.reduceat(values.astype(np.float64), first, axis=0) / count
    if len(t_s) == 1:
        return np.repeat(values.astype(np.float64), len(grid_s), axis=0), np.abs(grid_s - t_s[0]) <= step_s
    right = np.clip(np.searchsorted(t_s, grid_s), 1, len(t_s) - 1)
    gap_s = t_s[right] - t_s[right - 1]
    weight = np.clip((grid_s - t_s[right - 1]) / gap_s, 0.0, 1.0)
    weight = weight.reshape(-1, *([1] * (values.ndim - 1)))
    out = values[right - 1] * (1.0 - weight) + values[right] * weight
    inside = (grid_s >= t_s[0] - 0.5 * step_s) & (grid_s <= t_s[-1] + 0.5 * step_s)
    return np.asarray(out, np.float64), inside & (gap_s <= max_gap_s)
