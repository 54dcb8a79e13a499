"""The fixed grid of trace scans by the second simulator (`edge_models.simulate.spectral_scan`): it judges, nothing is tuned on it.

Twenty conditions × six skin types × fifty seeds with a pulse, ten kinds × six × eighteen without. Every tenth person
is measured for 65 s, for what needs a minute. A case keeps its seed and its levels; new conditions go to the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edge_models.simulate.ipfm import Course
from edge_models.simulate.spectra import Lamp
from edge_models.simulate.spectral_scan import Codec, Cover, SpectralScene, Target

SKIN_TYPES = range(1, 7)
PEOPLE_PER_CELL, NOBODIES_PER_CELL = 50, 18
_Changes = dict[str, Any]
"""Fields of SpectralScene, and "ramp": by how much the rate changes, /min."""
_GOLDEN = 0.6180339887498949
_LOWEST_PER_MIN, _HIGHEST_PER_MIN = 40.0, 180.0
_LONG_S = 65.0


@dataclass(frozen=True, slots=True)
class TraceSetting:
    """One case: its name, the axes of its tables, what is simulated."""

    name: str
    axes: Mapping[str, str]
    scene: SpectralScene


# Levels of every condition, mildest first; a seed takes the level of its number.
_PEOPLE: dict[str, tuple[tuple[str, _Changes], ...]] = {
    "still": tuple((f"perfusion {p}", {"perfusion": p}) for p in (1.5, 1.0, 0.6, 0.35, 0.2)),
    "sway": tuple((f"sway {s}", {"sway": s}) for s in (0.01, 0.02, 0.04, 0.07, 0.12)),
    "shifts": tuple((f"shift {s}", {"shift": s}) for s in (0.02, 0.04, 0.08, 0.15, 0.25)),
    "nodding": tuple(
        (f"nod {n} at {hz} Hz", {"nod": n, "nod_hz": hz})
        for n, hz in ((0.02, 0.4), (0.04, 0.9), (0.04, 1.4), (0.08, 0.6), (0.08, 1.8))
    ),
    "talking": tuple((f"talking {t}", {"talking": t, "sway": 0.015}) for t in (0.3, 0.6, 1.0, 1.5, 2.0)),
    "screen light": tuple((f"screen {s}", {"screen_light": s}) for s in (0.05, 0.1, 0.2, 0.35, 0.5)),
    "dim": tuple((f"brightness {b}", {"brightness": b}) for b in (0.4, 0.25, 0.15, 0.08, 0.04)),
    "flicker": tuple(
        (f"{hz} Hz at {fps} fps", {"flicker_hz": hz, "fps": fps, "exposure_s": s})
        for hz, fps, s in (
            (100.0, 30.0, 0.006),
            (120.0, 29.97, 0.006),
            (100.0, 24.5, 0.013),
            (120.0, 29.4, 0.006),
            (100.0, 29.0, 0.004),
        )
    ),
    "exposure steps": tuple(
        (f"exposure × {f}", {"exposure_steps": ((6.3, f), (13.1, 1 / f))})
        for f in (1.05, 0.9, 1.2, 0.75, 1.4)
    ),
    "white balance": tuple(
        (f"white balance × {f}", {"white_balance_steps": ((5.2, f), (12.4, 1 / f), (17.7, f))})
        for f in (1.01, 0.98, 1.04, 0.94, 1.1)
    ),
    "h264": tuple((f"H.264 {s}", {"codec": Codec.H264, "strength": s}) for s in (0.5, 1.0, 2.0, 3.5, 6.0)),
    "mjpeg": tuple((f"MJPEG {s}", {"codec": Codec.MJPEG, "strength": s}) for s in (0.5, 1.0, 2.0, 4.0, 8.0)),
    "far": tuple((f"face {w:.0f} px", {"face_px": w}) for w in (130.0, 110.0, 90.0, 70.0, 50.0)),
    "frame rate": tuple((f"{f:g} fps", {"fps": f}) for f in (60.0, 25.0, 20.0, 15.0, 12.0)),
    "drops": tuple(
        (f"dropped {d}", {"drop_fraction": d, "uneven_s": 0.01}) for d in (0.05, 0.1, 0.2, 0.3, 0.45)
    ),
    "clock": tuple(
        (f"clock ± {1000 * j:g} ms", {"clock_jitter_s": j, "uneven_s": 0.015})
        for j in (0.002, 0.005, 0.01, 0.02, 0.035)
    ),
    "covered": tuple(
        (f"{c.value}", {"cover": c, "screen_light": s})
        for c, s in (
            (Cover.GLASSES, 0.0),
            (Cover.MASK, 0.0),
            (Cover.HAND, 0.0),
            (Cover.MASK, 0.1),
            (Cover.HAND, 0.1),
        )
    ),
    "ramps": tuple((f"ramp {r:+g} /min", {"ramp": r}) for r in (10.0, -10.0, 25.0, -25.0, 40.0)),
    "ectopics": tuple((f"{e:g} ectopics/min", {"ectopics_per_min": e}) for e in (1.0, 3.0, 6.0, 10.0, 15.0)),
    "side light": tuple(
        (f"side {s} {lamp.value}", {"side_light": s, "lamp": lamp})
        for s, lamp in (
            (0.2, Lamp.DAYLIGHT),
            (0.4, Lamp.FLUORESCENT),
            (0.6, Lamp.TUNGSTEN),
            (0.75, Lamp.DAYLIGHT),
            (0.85, Lamp.LED),
        )
    ),
}
_HAND: _Changes = {"tremor": 0.003, "sway": 0.03}
_NOBODY: dict[str, tuple[tuple[str, _Changes], ...]] = {
    "photograph": tuple((f"sway {s}", {"sway": s}) for s in (0.0, 0.004, 0.015)),
    "held photograph": tuple((f"tremor {t}", {"tremor": t, "sway": 0.03}) for t in (0.002, 0.005, 0.01)),
    "moved photograph": tuple((f"shift {s}", {"shift": s, "sway": 0.05}) for s in (0.03, 0.08, 0.2)),
    "rocked photograph": tuple((f"{hz} Hz", {"nod": 0.04, "nod_hz": hz}) for hz in (0.8, 1.2, 2.1)),
    "photograph in screen light": tuple(
        (f"screen {s}", {**_HAND, "screen_light": s}) for s in (0.1, 0.3, 0.5)
    ),
    "photograph under a lamp": tuple(
        (f"{hz} Hz at {fps} fps", {"sway": 0.01, "flicker_hz": hz, "fps": fps, "exposure_s": 0.005})
        for hz, fps in ((100.0, 24.5), (120.0, 29.4), (100.0, 30.0))
    ),
    "compressed photograph": tuple(
        (f"H.264 {s}", {**_HAND, "codec": Codec.H264, "strength": s}) for s in (1.0, 2.0, 5.0)
    ),
    "mannequin": tuple((f"screen {s}", {"screen_light": s, "sway": 0.0}) for s in (0.0, 0.1, 0.3)),
    "replayed face": tuple(
        (f"sway {s}", {"sway": s, "tremor": t}) for s, t in ((0.0, 0.0), (0.01, 0.0), (0.02, 0.003))
    ),
    "empty room": tuple((f"screen {s}", {"screen_light": s}) for s in (0.0, 0.1, 0.3)),
}
_TARGETS = {"mannequin": Target.MANNEQUIN, "replayed face": Target.REPLAY, "empty room": Target.EMPTY}
CI_NAMES = frozenset(
    [f"b {condition} {1 + k % 6} {k % 5:02d}" for k, condition in enumerate((*_PEOPLE, *_PEOPLE))]
    + [f"b {condition} {1 + k % 6} {k % 3:02d}" for k, condition in enumerate((*_NOBODY, *_NOBODY))]
)
"""Cases of the part that runs on every change: each condition, and each kind of nobody."""
_LIGHT = ("screen light", "dim", "flicker", "side light", "exposure steps", "white balance")
_LIGHT_NOBODY = ("photograph in screen light", "photograph under a lamp")
_MOTION = ("sway", "shifts", "nodding", "talking")


def settings() -> Iterator[TraceSetting]:
    """The whole grid, people first."""
    number = 0
    for condition, levels in _PEOPLE.items():
        for skin_type in SKIN_TYPES:
            for turn in range(PEOPLE_PER_CELL):
                yield _person(number, condition, levels[turn % len(levels)], skin_type, turn)
                number += 1
    for condition, levels in _NOBODY.items():
        for skin_type in SKIN_TYPES:
            for turn in range(NOBODIES_PER_CELL):
                level, changes = levels[turn % len(levels)]
                scene = SpectralScene(
                    seed=100_000 + number,
                    duration_s=(15.0, 20.0, 30.0, 40.0)[turn % 4],
                    target=_TARGETS.get(condition, Target.PHOTOGRAPH),
                    skin_type=skin_type,
                    lamp=tuple(Lamp)[turn // 2 % 4],
                    **changes,
                )
                yield TraceSetting(
                    f"b {condition} {skin_type} {turn:02d}", _axes(condition, level, scene, "none"), scene
                )
                number += 1


def _person(
    number: int, condition: str, level_of_condition: tuple[str, _Changes], skin_type: int, turn: int
) -> TraceSetting:
    level, changes = level_of_condition[0], dict(level_of_condition[1])
    place = number * _GOLDEN % 1.0
    rate = _LOWEST_PER_MIN + (_HIGHEST_PER_MIN - _LOWEST_PER_MIN) * place
    if turn == 7:
        rate = 35.0 + 5.0 * place
    elif turn == 8:
        rate = 180.0 + 10.0 * place
    ramp = changes.pop("ramp", 0.0)
    end = min(max(rate + ramp, _LOWEST_PER_MIN), _HIGHEST_PER_MIN) if ramp else rate
    spread = number * 0.7548776662466927 % 1.0
    changes.setdefault("perfusion", round(0.4 + 0.8 * spread, 3))
    changes.setdefault("lamp", tuple(Lamp)[turn // 5 % 4])
    scene = SpectralScene(
        seed=number,
        duration_s=_LONG_S if turn % 10 == 5 else (20.0, 25.0, 30.0)[turn % 3],
        skin_type=skin_type,
        start_per_min=round(rate, 2),
        end_per_min=round(end, 2),
        course=Course.STEADY if end == rate else (Course.RAMP, Course.STEP)[turn // 5 % 2],
        variability=0.4 + 1.2 * (number * 0.5698402909980532 % 1.0),
        breaths_per_min=round(6.0 + 24.0 * ((number * 0.8191725134) % 1.0) ** 1.5, 2),
        **changes,
    )
    return TraceSetting(
        f"b {condition} {skin_type} {turn:02d}", _axes(condition, level, scene, "pulse"), scene
    )


def _axes(condition: str, level: str, scene: SpectralScene, kind: str) -> dict[str, str]:
    light = condition if condition in _LIGHT + _LIGHT_NOBODY else "steady"
    return {
        "condition": condition,
        "level": level,
        "skin_type": str(scene.skin_type),
        "light": light,
        "motion": condition if condition in _MOTION else "small",
        "compression": scene.codec.value,
        "fps": f"{scene.fps:g}",
        "simulator": "second",
        "kind": kind,
    }
