"""The fixed grid of rendered clips by the first simulator (`edge_models.simulate.scene`), compressed as files are.

Twenty-four conditions × five levels with a pulse, twelve kinds × four without. Skin types take turns. A case keeps
its seed and its levels; new conditions go to the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from client.devices.ports import Codec, Compression
from client.evaluation.cases import VideoTruth
from edge_models.simulate import oracle, scene
from edge_models.simulate.camera import Timing
from edge_models.simulate.portrait import Cover
from edge_models.simulate.scene import Scene, SceneKind
from edge_models.types import Frame

_GOLDEN = 0.6180339887498949
_LOWEST_PER_MIN, _HIGHEST_PER_MIN = 42.0, 178.0
_LONG_S = 65.0
_Changes = dict[str, Any]
"""Fields of Scene; "ramp": by how much the rate changes, /min; "written": the Compression."""
_USUAL = Compression(Codec.H264, 20)


@dataclass(frozen=True, slots=True)
class VideoSetting:
    """One case: its name, the axes of its tables, what is rendered, how it is compressed."""

    name: str
    axes: Mapping[str, str]
    scene: Scene
    compression: Compression


def _written(codec: Codec, *levels: float) -> tuple[tuple[str, _Changes], ...]:
    return tuple((f"{codec} {level:g}", {"written": Compression(codec, level)}) for level in levels)


def _levels(field: str, *values: float, **always: object) -> tuple[tuple[str, _Changes], ...]:
    return tuple((f"{field} {value:g}", {field: value, **always}) for value in values)


# Mildest first.
_PEOPLE: dict[str, tuple[tuple[str, _Changes], ...]] = {
    "still": _levels("pulse_green_pp", 0.03, 0.022, 0.016, 0.012, 0.008),
    "sway": _levels("motion_px", 1.0, 2.0, 4.0, 7.0, 12.0, sway_deg=1.0),
    "shifts": _levels("shift_px", 4.0, 8.0, 15.0, 25.0, 40.0, shift_every_s=5.0),
    "nodding": tuple(
        (f"nod {px:g} px at {hz:g} Hz", {"nod_px": px, "nod_hz": hz})
        for px, hz in ((2.0, 0.4), (4.0, 0.8), (6.0, 1.3), (10.0, 0.5), (10.0, 1.7))
    ),
    "turning": _levels("turn_deg", 3.0, 6.0, 10.0, 15.0, 20.0),
    "talking": _levels("talking", 0.2, 0.4, 0.6, 0.8, 1.0),
    "screen light": _levels("screen_light", 0.03, 0.07, 0.15, 0.3, 0.5),
    "dim": tuple(
        (f"brightness {b:g}", {"brightness": b, "full_scale_e": 3000.0, "denoise": d})
        for b, d in ((0.4, 0.0), (0.25, 0.2), (0.15, 0.2), (0.08, 0.4), (0.04, 0.5))
    ),
    "dim dark skin": tuple(
        (f"type {t} at {b:g}", {"skin_type": t, "brightness": b})
        for t, b in ((5, 0.5), (6, 0.5), (5, 0.25), (6, 0.25), (6, 0.12))
    ),
    "flicker": tuple(
        (
            f"{hz:g} Hz at {fps:g} fps",
            {"flicker_hz": hz, "fps": fps, "exposure_s": e, "rolling_s": r, "flicker_depth": 0.3},
        )
        for hz, fps, e, r in (
            (100.0, 30.0, 0.008, 0.0),
            (120.0, 29.97, 0.006, 0.02),
            (100.0, 24.5, 0.013, 0.0),
            (120.0, 29.4, 0.006, 0.03),
            (100.0, 29.0, 0.004, 0.02),
        )
    ),
    "exposure steps": tuple(
        (f"exposure × {f:g}", {"exposure_steps": ((5.0, f), (11.0, 1.0), (17.0, f))})
        for f in (1.05, 0.9, 1.2, 0.75, 1.4)
    ),
    "white balance": tuple(
        (f"white balance {w:+g}", {"white_balance_steps": ((5.0, w), (12.0, 0.0), (16.0, -w))})
        for w in (0.01, -0.03, 0.05, -0.08, 0.12)
    ),
    "h264": _written(Codec.H264, 18.0, 23.0, 28.0, 33.0, 38.0),
    "mpeg4": _written(Codec.MPEG4, 2.0, 3.0, 5.0, 8.0, 14.0),
    "mjpeg": _written(Codec.MJPEG, 2.0, 4.0, 7.0, 12.0, 20.0),
    "far": _levels("face_width_px", 140.0, 115.0, 100.0, 80.0, 60.0),
    "frame rate": _levels("fps", 60.0, 25.0, 20.0, 15.0, 12.0),
    "drops": _levels("drop_fraction", 0.05, 0.1, 0.2, 0.3, 0.45, jitter_s=0.004),
    "timing": tuple(
        (f"{timing.value}, ± {1000 * jitter_s:g} ms", {"timing": timing, "jitter_s": jitter_s})
        for timing, jitter_s in (
            (Timing.STEADY, 0.003),
            (Timing.STEADY, 0.01),
            (Timing.UNEVEN, 0.0),
            (Timing.HALVING, 0.0),
            (Timing.HALVING, 0.006),
        )
    ),
    "covered": tuple(
        (f"{cover.value}, screen {s:g}", {"cover": cover, "screen_light": s})
        for cover, s in (
            (Cover.GLASSES, 0.0),
            (Cover.MASK, 0.0),
            (Cover.HAND, 0.0),
            (Cover.GLASSES, 0.1),
            (Cover.MASK, 0.1),
        )
    ),
    "side light": _levels("side_light", 0.2, 0.4, 0.6, 0.75, 0.85),
    "backlight": _levels("room_light", 1.5, 2.0, 3.0, 4.0, 6.0, brightness=0.35),
    "ramps": _levels("ramp", 10.0, -10.0, 25.0, -25.0, 40.0),
    "ectopics": _levels("ectopics_per_min", 1.0, 3.0, 6.0, 10.0, 15.0),
}
_HAND: _Changes = {"kind": SceneKind.MOVED_PHOTOGRAPH}
_NOBODY: dict[str, tuple[tuple[str, _Changes], ...]] = {
    "photograph": _written(Codec.H264, 18.0, 23.0, 28.0, 33.0),
    "held photograph": _levels("motion_px", 3.0, 4.0, 6.0, 9.0, **_HAND),
    "moved photograph": _levels("shift_px", 5.0, 12.0, 25.0, 40.0, shift_every_s=4.0, **_HAND),
    "rocked photograph": _levels("nod_hz", 0.8, 1.1, 1.5, 2.2, nod_px=6.0, **_HAND),
    "photograph in screen light": _levels("screen_light", 0.05, 0.15, 0.3, 0.5),
    "held photograph in screen light": _levels("screen_light", 0.05, 0.15, 0.3, 0.5, **_HAND),
    "photograph under a lamp": tuple(
        (f"{hz:g} Hz at {fps:g} fps", {"flicker_hz": hz, "fps": fps, "exposure_s": 0.005, "rolling_s": 0.02})
        for hz, fps in ((100.0, 24.5), (120.0, 29.4), (100.0, 29.0), (120.0, 30.3))
    ),
    "mannequin": _levels("screen_light", 0.0, 0.05, 0.15, 0.3, kind=SceneKind.MANNEQUIN),
    "replayed face": tuple(
        (f"60 Hz at {fps:g} fps", {"flicker_hz": 60.0, "flicker_depth": 0.05, "fps": fps, "nod_px": n})
        for fps, n in ((30.0, 0.0), (29.4, 0.0), (29.4, 3.0), (30.5, 1.5))
    ),
    "empty room": _levels("screen_light", 0.0, 0.1, 0.3, 0.5, kind=SceneKind.EMPTY_ROOM),
    "wall": _levels("screen_light", 0.0, 0.1, 0.3, 0.5, kind=SceneKind.WALL),
    "far photograph": _levels("face_width_px", 130.0, 110.0, 90.0, 70.0, **_HAND),
}
_KINDS = {"replayed face": SceneKind.REPLAYED}
_LIGHT = (
    *(
        "screen light",
        "dim",
        "dim dark skin",
        "flicker",
        "exposure steps",
        "white balance",
        "side light",
        "backlight",
    ),
    *("photograph in screen light", "held photograph in screen light", "photograph under a lamp"),
)
_MOTION = ("sway", "shifts", "nodding", "turning", "talking")


def settings() -> Iterator[VideoSetting]:
    """The whole grid, people first."""
    number = 0
    for condition, levels in _PEOPLE.items():
        for turn, (level, fields) in enumerate(levels):
            yield _person(number, condition, level, dict(fields), turn)
            number += 1
    for condition, levels in _NOBODY.items():
        for turn, (level, fields) in enumerate(levels):
            changes: _Changes = {"kind": _KINDS.get(condition, SceneKind.PHOTOGRAPH), **fields}
            written = changes.pop("written", _USUAL)
            setting = Scene(
                seed=200_000 + number,
                duration_s=(16.0, 20.0, 25.0, 40.0)[turn],
                **{"skin_type": 1 + number % 6, **changes},
            )
            yield _named(number, condition, level, setting, written, "none")
            number += 1


def _person(number: int, condition: str, level: str, changes: _Changes, turn: int) -> VideoSetting:
    rate = _LOWEST_PER_MIN + (_HIGHEST_PER_MIN - _LOWEST_PER_MIN) * (number * _GOLDEN % 1.0)
    ramp = changes.pop("ramp", 0.0)
    end = min(max(rate + ramp, _LOWEST_PER_MIN), _HIGHEST_PER_MIN)
    written = changes.pop("written", _USUAL)
    setting = Scene(
        seed=100_000 + number,
        duration_s=_LONG_S if turn == 0 and number % 3 == 0 else (20.0, 25.0, 30.0)[number % 3],
        heart_rate_bpm=round(rate, 2),
        heart_rate_end_bpm=round(end, 2) if ramp else None,
        breaths_per_min=round(8.0 + 16.0 * (number * 0.7548776662466927 % 1.0), 2),
        **{"skin_type": 1 + number % 6, **changes},
    )
    return _named(number, condition, level, setting, written, "pulse")


def _named(
    number: int, condition: str, level: str, setting: Scene, written: Compression, kind: str
) -> VideoSetting:
    axes = {
        "condition": condition,
        "level": level,
        "skin_type": str(setting.skin_type),
        "light": condition if condition in _LIGHT else "steady",
        "motion": condition if condition in _MOTION else "small",
        "compression": f"{written.codec} {written.level:g}",
        "fps": f"{setting.fps:g}",
        "simulator": "first",
        "kind": kind,
    }
    return VideoSetting(f"v {number:03d} {condition}", axes, setting, written)


def judged(setting: Scene, known: VideoTruth, frames: Iterable[Frame]) -> VideoTruth:
    """What is known of a clip, with the oracle of its pictures as they were decoded.

    The mean skin trace is that of a rectangle between forehead and mouth that goes with the head, on the side that
    nothing covers. Raises ValueError for a clip below 5 s.
    """
    if not setting.has_person:
        return replace(known, supported=False)
    truth = scene.truth(setting)
    course = scene.timeline(setting, truth)
    wide = setting.face_width_px
    left, right = (-0.32, 0.0 if setting.cover is Cover.HAND else 0.32)
    top, bottom = (-0.38, 0.0 if setting.cover is Cover.MASK else 0.4)
    rgb = []
    for frame, (x, y) in zip(frames, scene.face_course_px(setting, course), strict=False):
        rows = slice(max(0, round(y + top * wide)), max(2, round(y + bottom * wide)))
        columns = slice(max(0, round(x + left * wide)), max(2, round(x + right * wide)))
        rgb.append(frame.image[rows, columns].mean(axis=(0, 1))[::-1])
    t_s = course.t_s[: len(rgb)]
    decibels = oracle.oracle_db(t_s, np.array(rgb), truth.bvp(t_s))
    fps = (len(t_s) - 1) / float(t_s[-1] - t_s[0])
    supported = oracle.supported(decibels, face_px=wide, fps=fps)
    return replace(known, oracle_db=round(decibels, 2), supported=supported)
