"""The most probable path of a rate through time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_models.types import FloatArray

_JUMP_COST = 8.0
"""What any change costs at most, as a log-likelihood: so a wrong start is left again."""


def viterbi(score: NDArray[np.float64], *, step_s: FloatArray, change_per_sqrt_s: float) -> NDArray[np.int64]:
    """Indices [shape=(..., times)] of the path with the largest summed score (Viterbi, IEEE Trans. IT, 1967).

    score: log-likelihood [shape=(..., times, states)], each leading index a question of its own. step_s: seconds
    between successive times [shape=(times − 1,)]. The state wanders like a Gaussian walk of change_per_sqrt_s states
    per √s, with a floor for the rare jump.
    """
    times, states = score.shape[-2:]
    rows = score.reshape(-1, times, states)
    here = np.arange(states)
    question = np.arange(len(rows))
    best = rows[:, 0].copy()
    origin = np.zeros((times, len(rows), states), np.int64)
    for k in range(1, times):
        sigma = change_per_sqrt_s * np.sqrt(max(float(step_s[k - 1]), 1e-3))
        # Beyond this distance a change costs as much as a jump from anywhere.
        reach = min(states - 1, int(sigma * np.sqrt(2.0 * _JUMP_COST)))
        cost = 0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2
        padded = np.pad(best, ((0, 0), (reach, reach)), constant_values=-np.inf)
        near = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=1) - cost
        step = near.argmax(axis=2)
        stay = np.take_along_axis(near, step[:, :, None], axis=2)[:, :, 0]
        far = best.argmax(axis=1)
        jump = best[question, far][:, None] - _JUMP_COST
        origin[k] = np.where(stay >= jump, here - reach + step, far[:, None])
        best = np.maximum(stay, jump) + rows[:, k]
    path = np.empty((len(rows), times), np.int64)
    path[:, -1] = best.argmax(axis=1)
    for k in range(times - 1, 0, -1):
        path[:, k - 1] = origin[k, question, path[:, k]]
    return path.reshape(score.shape[:-1])
