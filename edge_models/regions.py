"""Skin samples → a matrix of traces: the log colour of each skin region, then references without a pulse.

Regions are weighted in RGB space, before any projection, because weighting after a projection by its own
signal-to-noise favours light skin (Chari et al., 2020). Logarithms turn every multiplicative change of light
into the same step on all skin, whatever its tone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_models.face import BACKGROUND_COLS, BACKGROUND_ROWS, COLS, ROWS, SkinSample
from edge_models.pulse import BLOOD_RGB
from edge_models.signal.filters import without_baseline
from edge_models.signal.resample import even_grid, measured_fps, on_grid
from edge_models.types import Float32Array, FloatArray

GRID_RATE_HZ = 30.0
"""Rate of the even grid on which all analysis happens."""
CUTOFF_HZ = 0.5
"""Slower changes than this are baseline (the lowest rate looked for is 38 per minute)."""

# Rows and columns of the cell grid, half-open, as shares of the face box.
_REGIONS: tuple[tuple[str, tuple[float, float], tuple[float, float]], ...] = (
    ("forehead_left", (0.03, 0.30), (0.18, 0.50)),
    ("forehead_right", (0.03, 0.30), (0.50, 0.82)),
    ("cheek_left", (0.46, 0.80), (0.05, 0.36)),
    ("cheek_right", (0.46, 0.80), (0.64, 0.95)),
    ("centre", (0.40, 0.70), (0.36, 0.64)),
    ("chin", (0.80, 1.00), (0.28, 0.72)),
)
REGION_NAMES: tuple[str, ...] = tuple(name for name, _, _ in _REGIONS)
_REFERENCES = 3 + 4  # background R G B, motion x y roll scale
TRACES = 3 * len(_REGIONS) + _REFERENCES

_LUMA_RGB: FloatArray = np.array([0.47, 0.57, 0.67])
"""The same step of all code values, as relative steps on skin: what is left of a small change of colour when a
video codec drops chroma."""
_LUMA_SHARE = 0.35
_DEEP_RGB: FloatArray = np.array([0.50, 0.85, 0.40])
"""Where melanin or a lamp of few lines leaves little blue, before the camera's colour matrix: by the spectra of blood and
melanin (Jacques, Phys. Med. Biol. 58, 2013), types V and VI."""
_GREEN_FROM_BLUE = 0.3
"""So much of green, relative to white, a camera's colour matrix takes from blue to make up for filters that overlap. Where
little blue is left, the pulse that comes with it is green's, upside down."""
_LEAST_BLUE = 0.05
"""Share of green's light below which less blue makes no further difference: that is noise."""
_GAMMA = 2.2
_CODED_RGB: FloatArray = (1.0 - _LUMA_SHARE) * BLOOD_RGB + _LUMA_SHARE * _LUMA_RGB / np.linalg.norm(_LUMA_RGB)


def _everywhere(colour: FloatArray) -> FloatArray:
    size = float(np.linalg.norm(colour))
    return np.concatenate([np.tile(-colour / size, len(_REGIONS)), np.zeros(_REFERENCES)])


SIGNATURE: FloatArray = _everywhere(BLOOD_RGB)
"""What a pulse of size 1 adds to each trace: blood darkens skin, and touches no reference."""
CODED_SIGNATURE: FloatArray = _everywhere(_CODED_RGB)
"""The same after a codec that keeps luma better than chroma. It finds a fifth more power in H.264 video. Nearer to
luma it would find more, and changing light as well."""


def blue_light(blue_to_green: float) -> float:
    """Light in blue over that in green, 0.05 to 1, from the ratio of their code values (sRGB's gamma, nearly)."""
    return float(np.clip(max(blue_to_green, 0.0) ** _GAMMA, _LEAST_BLUE, 1.0))


def deep_signature(blue_to_green: float) -> FloatArray:
    """The same where little blue light comes out of the skin [shape=(TRACES,)]. Without it dark skin was withheld more often.

    blue_to_green: ratio of the skin's code values. The matrix that keeps white white makes (1 + κ)·B − κ·G of blue, whose
    relative pulse is b − κ·(g − b) over what blue light is left.
    """
    red, green, blue = _DEEP_RGB
    seen = blue - _GREEN_FROM_BLUE * (green - blue) / blue_light(blue_to_green)
    return _everywhere(np.array([red, green, seen]))


NOISE_FLOOR: FloatArray = np.concatenate(
    [np.full(3 * len(_REGIONS), 4e-4), np.full(3, 2e-4), [6e-4, 6e-4, 1e-3, 1e-3]]
)
"""Standard deviation per sample below which a trace is not believed. The pulse itself shakes the head and shifts
the corner points by some hundredths of a pixel: a reference believed to that depth would cancel the pulse. And skin
believed to be quieter than this would show how regions differ in their pulse, which cancels it as well."""
REFERENCES: NDArray[np.int64] = np.arange(3 * len(_REGIONS), TRACES)
BACKGROUND, MOTION = REFERENCES[:3], REFERENCES[3:]


def region_traces(names: tuple[str, ...]) -> NDArray[np.int64]:
    """Columns of the named regions together with all references."""
    wanted = [3 * REGION_NAMES.index(name) + c for name in names for c in range(3)]
    return np.concatenate([np.array(wanted, np.int64), REFERENCES])


def _masks() -> NDArray[np.bool_]:
    row = (np.arange(ROWS) + 0.5)[:, None] / ROWS
    col = (np.arange(COLS) + 0.5)[None, :] / COLS
    return np.stack(
        [(row >= y0) & (row < y1) & (col >= x0) & (col < x1) for _, (y0, y1), (x0, x1) in _REGIONS]
    ).reshape(len(_REGIONS), -1)


_REGION_CELLS = _masks()


@dataclass(frozen=True, slots=True)
class Traces:
    """t_s: even grid [shape=(n,)]. values: [shape=(n, TRACES)] without baseline. weight: [shape=(n,)] 0 or 1.

    blue_to_green: the skin's mean blue over its mean green, code values; 1 without skin.
    """

    t_s: FloatArray
    values: NDArray[np.float64]
    weight: FloatArray
    blue_to_green: float


def _flickering(green: Float32Array) -> NDArray[np.float64]:
    """Variance of the steps from frame to frame of each cell's log level [shape=(n, cells)] → [shape=(cells,)]."""
    steps = np.diff(np.log(np.maximum(green, np.float32(1.0))), axis=0)
    steps -= steps.mean(axis=0)
    return np.asarray(np.einsum("nk,nk->k", steps, steps) / len(steps), np.float64)


def skin_weights(cells: Float32Array) -> NDArray[np.float64]:
    """How much each cell counts as skin [shape=(ROWS·COLS,)], from cells over time [shape=(n, ROWS·COLS, 3)].

    A cell counts when its colour is near that of the face's middle and it is neither clipped nor black;
    it counts the more, the less it flickers on its own (sensor noise, hair, an eyelid).
    """
    mean = cells.mean(axis=0, dtype=np.float64)
    total: FloatArray = mean.sum(axis=1) + 1e-6
    chroma = mean[:, :2] / total[:, None]
    core = _REGION_CELLS[[2, 3, 4]].any(axis=0)
    centre = np.median(chroma[core], axis=0)
    spread = np.clip(3.0 * 1.4826 * np.median(np.abs(chroma[core] - centre)), 0.02, 0.05)
    level = float(np.median(total[core]))
    skin = (np.abs(chroma - centre).max(axis=1) < spread) & (total > 0.35 * level) & (total < 2.2 * level)
    skin &= (mean.max(axis=1) < 248.0) & (mean.min(axis=1) > 2.0)
    if len(cells) < 4:
        return np.asarray(skin, np.float64)
    noise = _flickering(cells[:, :, 1])
    typical = float(np.median(noise[skin])) if skin.any() else 1.0
    return np.asarray(skin / (noise + 0.5 * typical + 1e-12) * (typical + 1e-12), np.float64)


def background_weights(samples: list[SkinSample], width: float, height: float) -> NDArray[np.float64]:
    """1 for the cells of the frame that show no person: outside the face, what is above it, and the body below it.

    [shape=(BACKGROUND_ROWS · BACKGROUND_COLS,)]. width, height: of the frame, in pixels.
    """
    row = ((np.arange(BACKGROUND_ROWS) + 0.5) / BACKGROUND_ROWS * height)[:, None]
    col = ((np.arange(BACKGROUND_COLS) + 0.5) / BACKGROUND_COLS * width)[None, :]
    free = np.ones((BACKGROUND_ROWS, BACKGROUND_COLS), np.bool_)
    for sample in samples[:: max(1, len(samples) // 8)]:
        face = sample.face
        if face is None:
            continue
        x, y = face.centre
        head = (np.abs(col - x) < 0.95 * face.width) & (np.abs(row - y) < 0.95 * face.height)
        body = (np.abs(col - x) < 2.0 * face.width) & (row > y + 0.5 * face.height)
        free &= ~(head | body)
    return free.reshape(-1).astype(np.float64)


def traces(
    samples: list[SkinSample],
    accepted: NDArray[np.bool_],
    *,
    start_s: float,
    end_s: float,
    frame_size_px: tuple[int, int],
) -> Traces:
    """All traces over [start_s, end_s] from the samples of that time; samples not accepted weigh nothing.

    accepted: [shape=(len(samples),)]. frame_size_px: (width, height). Needs at least one accepted sample.
    """
    grid_s = even_grid(start_s, end_s, GRID_RATE_HZ)
    used = [s for s, ok in zip(samples, accepted, strict=True) if ok]
    t_s = np.array([s.t_s for s in used])
    cells = np.concatenate([s.cells for s in used if s.cells is not None], dtype=np.float32).reshape(
        len(used), ROWS * COLS, 3
    )
    weights = skin_weights(cells)
    width, height = frame_size_px
    free = background_weights(used, width, height)
    back = np.concatenate([s.background for s in used], dtype=np.float32).reshape(len(used), -1, 3)
    level = back.mean(axis=0, dtype=np.float64)
    free *= (level.min(axis=1) > 6.0) & (level.max(axis=1) < 248.0)
    if free.any():
        noise = _flickering(back[:, :, 1]) if len(used) > 3 else free
        free /= noise + 0.5 * float(np.median(noise[free > 0])) + 1e-12
        free /= free.sum()

    by_region = _REGION_CELLS * weights[None]
    enough = (by_region > 0).sum(axis=1) >= 0.25 * _REGION_CELLS.sum(axis=1)
    if not enough.any():
        enough[:] = by_region.sum(axis=1) > 0
    columns = np.zeros((len(used), TRACES))
    shares = by_region / np.maximum(by_region.sum(axis=1, keepdims=True), 1e-12)
    levels = np.matmul(shares.astype(np.float32), cells)
    for r in np.flatnonzero(enough):
        columns[:, 3 * r : 3 * r + 3] = np.log(np.maximum(levels[:, r], 0.5))
    if free.any():
        columns[:, 3 * len(_REGIONS) : 3 * len(_REGIONS) + 3] = np.log(
            np.maximum(np.matmul(free.astype(np.float32), back), 0.5)
        )
    columns[:, -4:] = np.array([s.motion for s in used])
    keys = np.array([s.key for s in used])
    for key in np.unique(keys):  # another key is another piece of skin: only changes within one count
        columns[keys == key] -= np.median(columns[keys == key], axis=0)

    fps = measured_fps(t_s)
    values, valid = on_grid(t_s, columns, grid_s, max_gap_s=max(0.25, 2.5 / max(fps, 1.0)))
    weight = valid.astype(np.float64)
    values = without_baseline(values, weight, rate_hz=GRID_RATE_HZ, cutoff_hz=CUTOFF_HZ)
    green, blue = levels[:, enough, 1:].reshape(-1, 2).sum(axis=0, dtype=np.float64).tolist()
    return Traces(grid_s, values, weight, blue / green if green > 0 else 1.0)
