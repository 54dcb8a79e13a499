"""The most probable path of a rate through time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_models.types import FloatArray


def viterbi(score: NDArray[np.float64], *, step_s: FloatArray, change_per_sqrt_s: float) -> NDArray[np.int64]:
    """Indices [shape=(times,)] of the path with the largest summed score (Viterbi, IEEE Trans. IT, 1967).

    score: log-likelihood [shape=(times, states)]. step_s: seconds between successive times
    [shape=(times − 1,)]. The state wanders like a Gaussian walk of change_per_sqrt_s states per √s,
    with a floor for the rare jump, so that a wrong start is left again.
    """
    times, states = score.shape
    distance = np.abs(np.arange(states)[:, None] - np.arange(states)[None, :]).astype(np.float64)
    best = score[0].copy()
    origin = np.zeros((times, states), np.int64)
    for k in range(1, times):
        sigma = change_per_sqrt_s * np.sqrt(max(float(step_s[k - 1]), 1e-3))
        cost = np.minimum(0.5 * (distance / sigma) ** 2, 8.0)
        total = best[:, None] - cost
        origin[k] = np.argmax(total, axis=0)
        best = total[origin[k], np.arange(states)] + score[k]
    path = np.empty(times, np.int64)
    path[-1] = int(np.argmax(best))
    for k in range(times - 1, 0, -1):
        path[k - 1] = origin[k, path[k]]
    return path
