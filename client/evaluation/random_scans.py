"""Random people and nobodies of the first simulator, as the windows that the fusion reads.

No pictures: colour traces straight from the physics (`edge_models.simulate.traces`), so a scan costs a tenth of a second.
What a face tracker would add is left out, and so is compression. Rooms and walls are not drawn, because the face net finds
no face in them. The same number gives the same scan.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edge_models.fusion import HOP_S, WINDOW_S
from edge_models.regions import BACKGROUND, CUTOFF_HZ, GRID_RATE_HZ, MOTION, REGION_NAMES, TRACES, Traces
from edge_models.signal.filters import without_baseline
from edge_models.signal.resample import even_grid, measured_fps, on_grid
from edge_models.simulate import scene, traces
from edge_models.simulate.heart import Truth
from edge_models.simulate.scene import Scene, SceneKind
from edge_models.types import FloatArray

REPLAYED = "replayed"
_Changes = dict[str, Any]
_SHORTEST_WINDOW_S = 6.0
"""As in a real scan: a window counts from 60 % of its length on."""
_PATCHES = {
    "forehead_left": (0, 1),
    "forehead_right": (2, 3),
    "centre": (4, 5),
    "cheek_left": (6, 7),
    "cheek_right": (8, 9),
    "chin": (10, 11),
}
"""Which of the simulator's twelve patches, that go from forehead to chin, stand for a region."""
_FOLLOWED_TO = 2e-4
"""Standard deviation of the followed place of a face of _USUAL_FACE_PX, in face widths; a smaller one is followed worse."""
_USUAL_FACE_PX = 160.0


def _steps(rng: np.random.Generator) -> tuple[tuple[float, float], ...]:
    return ((5.0, rng.uniform(0.7, 1.4)), (11.0, 1.0), (17.0, rng.uniform(0.7, 1.4)))


def _flicker(rng: np.random.Generator, most: float) -> _Changes:
    return {
        "flicker_hz": float(rng.choice([100.0, 120.0])),
        "fps": rng.uniform(24, 31),
        "flicker_depth": rng.uniform(0.05, most),
    }


_PEOPLE: dict[str, Callable[[np.random.Generator], _Changes]] = {
    "still": lambda _: {},
    "swaying": lambda rng: {"motion_px": rng.uniform(1, 12), "sway_deg": rng.uniform(0, 2)},
    "nodding": lambda rng: {"nod_px": rng.uniform(2, 10), "nod_hz": rng.uniform(0.3, 2)},
    "talking": lambda rng: {"talking": rng.uniform(0.2, 1)},
    "before a screen": lambda rng: {"screen_light": rng.uniform(0.02, 0.5)},
    "dim": lambda rng: {"brightness": 10 ** rng.uniform(-1.3, -0.3), "full_scale_e": 3000.0},
    "flicker": lambda rng: _flicker(rng, 0.3),
    "exposure steps": lambda rng: {"exposure_steps": _steps(rng)},
    "white balance steps": lambda rng: {
        "white_balance_steps": ((5.0, rng.uniform(-0.1, 0.1)), (12.0, 0.0), (16.0, rng.uniform(-0.1, 0.1)))
    },
    "frame rates": lambda rng: {
        "fps": float(rng.choice([12, 15, 20, 25, 60])),
        "drop_fraction": rng.uniform(0, 0.3),
    },
    "changing rate": lambda _: {},  # drawn below, around the rate
    "far": lambda rng: {"face_width_px": rng.uniform(40, 120)},
}

_NOBODIES: dict[str, Callable[[np.random.Generator], _Changes]] = {
    "photograph": lambda _: {"kind": SceneKind.PHOTOGRAPH},
    "photograph held": lambda rng: {
        "kind": SceneKind.MOVED_PHOTOGRAPH,
        "motion_px": rng.uniform(3, 12),
        "sway_deg": rng.uniform(1, 4),
    },
    "photograph shifted": lambda rng: {
        "kind": SceneKind.MOVED_PHOTOGRAPH,
        "shift_px": rng.uniform(4, 40),
        "shift_every_s": rng.uniform(2, 6),
    },
    "photograph rocked": lambda rng: {
        "kind": SceneKind.MOVED_PHOTOGRAPH,
        "nod_px": rng.uniform(1, 10),
        "nod_hz": rng.uniform(0.6, 2.8),
    },
    "photograph before a screen": lambda rng: {
        "kind": SceneKind.PHOTOGRAPH,
        "screen_light": rng.uniform(0.02, 0.6),
    },
    "photograph held before a screen": lambda rng: {
        "kind": SceneKind.MOVED_PHOTOGRAPH,
        "screen_light": rng.uniform(0.02, 0.6),
    },
    "photograph in flicker": lambda rng: {
        "kind": [SceneKind.PHOTOGRAPH, SceneKind.MOVED_PHOTOGRAPH][rng.integers(2)],
        "exposure_s": rng.uniform(0.003, 0.012),
        **_flicker(rng, 0.4),
    },
    "photograph, exposure steps": lambda rng: {
        "kind": SceneKind.MOVED_PHOTOGRAPH,
        "exposure_steps": _steps(rng),
        "white_balance_steps": ((7.0, rng.uniform(-0.1, 0.1)), (12.0, 0.0)),
    },
    "mannequin": lambda rng: {
        "kind": SceneKind.MANNEQUIN,
        "screen_light": float(rng.choice([0.0, 0.05, 0.3])),
        "motion_px": rng.uniform(0.1, 3),
    },
    REPLAYED: lambda rng: {
        "kind": SceneKind.REPLAYED,
        "flicker_hz": 60.0,  # beats slowly with a camera of about 30 fps
        "flicker_depth": rng.uniform(0.01, 0.1),
        "fps": rng.uniform(28, 31),
        "nod_px": rng.uniform(0, 4),
    },
}


def person(number: int) -> tuple[str, Scene]:
    """(what is difficult about it, the scene) of one of many people. The twelve difficulties take turns, skin types too."""
    rng = np.random.default_rng([number, 5])
    condition = list(_PEOPLE)[number % len(_PEOPLE)]
    changes = _PEOPLE[condition](rng)
    rate = rng.uniform(40, 178)
    if condition == "changing rate":
        changes["heart_rate_end_bpm"] = float(np.clip(rate + rng.uniform(-35, 35), 40, 180))
    return condition, Scene(
        seed=700_000 + number,
        duration_s=float(rng.choice([15, 20, 25, 30, 40])),
        heart_rate_bpm=rate,
        skin_type=1 + number // len(_PEOPLE) % 6,
        pulse_green_pp=0.018 * 10 ** rng.uniform(-1.1, 0.1),  # from too weak to strong
        breaths_per_min=rng.uniform(7, 25),
        **changes,
    )


def nobody(number: int) -> tuple[str, Scene]:
    """(what it is, the scene) of one of many faces without a pulse. The ten kinds take turns, skin types too."""
    rng = np.random.default_rng([number, 6])
    condition = list(_NOBODIES)[number % len(_NOBODIES)]
    changes = _NOBODIES[condition](rng)
    return condition, Scene(
        seed=800_000 + number,
        brightness=float(rng.choice([0.75, 0.75, 0.3, 0.1])),
        duration_s=float(rng.choice([10, 15, 20, 25, 30, 40])),
        skin_type=1 + number // len(_NOBODIES) % 6,
        **changes,
    )


def windows(setting: Scene) -> tuple[list[Traces], Truth]:
    """(the windows of WINDOW_S that end at every second and at the end, what is true) of a scene."""
    known = scene.truth(setting)
    error = 0.05 + 0.02 * (setting.seed % 5)  # a tracker is not equally good every time
    simulated = traces.traces(setting, tracking_error=error)
    columns = _columns(setting, simulated, known)
    t_s = simulated.t_s - simulated.t_s[0]
    last_s = float(np.floor(t_s[-1] * GRID_RATE_HZ) / GRID_RATE_HZ)
    ends_s = list(np.arange(_SHORTEST_WINDOW_S, t_s[-1] + 1e-9, HOP_S))
    if ends_s and last_s - ends_s[-1] > 0.3 * HOP_S:
        ends_s.append(last_s)
    _, green, blue = simulated.skin.mean(axis=(0, 1))
    return [_window(t_s, columns, float(end_s), float(blue / green)) for end_s in ends_s], known


def _columns(setting: Scene, simulated: traces.SimulatedTraces, known: Truth) -> FloatArray:
    """All traces before they are cut into windows [shape=(frames, TRACES)]."""
    columns = np.zeros((len(simulated.t_s), TRACES))
    for r, name in enumerate(REGION_NAMES):
        level = simulated.skin[:, list(_PATCHES[name])].mean(axis=1)
        columns[:, 3 * r : 3 * r + 3] = np.log(np.maximum(level, 0.5))
    columns[:, BACKGROUND] = np.log(np.maximum(simulated.background.mean(axis=1), 0.5))
    course = scene.timeline(setting, known)
    width_px = setting.face_width_px
    motion = np.stack(
        [
            course.dx_px / width_px,
            (course.dy_px + course.nod_px) / width_px,
            course.roll_rad,
            np.zeros(len(course.t_s)),
        ],
        axis=1,
    )
    noise = np.random.default_rng([setting.seed, 77]).standard_normal(motion.shape)
    columns[:, MOTION] = motion + noise * _FOLLOWED_TO * _USUAL_FACE_PX / width_px
    return columns


def _window(t_s: FloatArray, columns: FloatArray, end_s: float, blue_to_green: float) -> Traces:
    """What `edge_models.regions.traces` makes of samples, from traces."""
    start_s = end_s - WINDOW_S
    inside = (t_s >= start_s - 0.2) & (t_s <= end_s + 1e-9)
    grid_s = even_grid(start_s, end_s, GRID_RATE_HZ)
    values, valid = on_grid(
        t_s[inside],
        columns[inside] - np.median(columns[inside], axis=0),
        grid_s,
        max_gap_s=max(0.25, 2.5 / max(measured_fps(t_s), 1.0)),
    )
    weight = valid.astype(np.float64)
    values = without_baseline(values, weight, rate_hz=GRID_RATE_HZ, cutoff_hz=CUTOFF_HZ)
    return Traces(grid_s, values, weight, blue_to_green)
