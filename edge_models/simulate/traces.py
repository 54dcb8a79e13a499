"""Colour traces of skin and background patches straight from the physics of a scene, without rendering pictures.

The same beats, course, light, skin and sensor as `scene.render`, but a patch is one colour and not many pixels:
thousands of traces in the time of one video. What a tracker leaves over of the motion is modelled, not tracked.
JPEG does nothing here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_models.simulate import camera, scene, skin
from edge_models.simulate.camera import GAMMA
from edge_models.simulate.heart import Truth
from edge_models.simulate.scene import Scene, SceneKind, Timeline
from edge_models.types import FloatArray

_WALL_LIGHT = np.array([0.36, 0.40, 0.42])
_PATCH_OF_FACE = 0.16
"""Side of a square patch as a part of the face's width."""


@dataclass(frozen=True, slots=True)
class SimulatedTraces:
    """What a perfect face mesh would hand over: mean colours of patches, in code values (white = 255).

    t_s: frame times [shape=(n,)]. skin: R, G, B of the patches on the face [shape=(n, patches, 3)]; where there is
    no face (a room, a wall, after leaving), of the places where it would be. background: [shape=(n, places, 3)].
    strength: of the pulse in each skin patch, 1 on the best skin, 0 without pulse [shape=(patches,)].
    """

    t_s: FloatArray
    skin: FloatArray
    background: FloatArray
    strength: FloatArray
    truth: Truth


def traces(
    setting: Scene, *, patches: int = 12, background_patches: int = 4, tracking_error: float = 0.08
) -> SimulatedTraces:
    """Traces of `setting`; the same setting gives the same traces.

    patches, background_patches: how many, at least 1 each. tracking_error: part of the motion that is left after
    tracking. Raises ValueError for fewer patches.
    """
    if patches < 1 or background_patches < 1:
        raise ValueError("at least one patch of each is needed")
    known = scene.truth(setting)
    course = scene.timeline(setting, known)
    rng = np.random.default_rng([setting.seed, 8])
    sensor = camera.Sensor(setting.full_scale_e, setting.read_e)
    pixels = max(4.0, (_PATCH_OF_FACE * setting.face_width_px) ** 2)

    room_light = _WALL_LIGHT * rng.uniform(0.7, 1.2, (background_patches, 1)) * setting.brightness
    room = _code(room_light, course.background_gain)
    strength = np.zeros(patches)
    if setting.kind in (SceneKind.EMPTY_ROOM, SceneKind.WALL):
        behind = _WALL_LIGHT * rng.uniform(0.7, 1.2, (patches, 1)) * setting.brightness
        face = _code(behind, course.background_gain)
    else:
        if setting.has_person:
            strength = rng.uniform(0.5, 1.0, patches)
        face = _face(setting, course, rng, strength, tracking_error)
    if setting.kind is SceneKind.LEAVES:
        gone = course.t_s > setting.leave_at_s
        behind = _WALL_LIGHT * rng.uniform(0.7, 1.2, (patches, 1)) * setting.brightness
        face[gone] = _code(behind, course.background_gain[gone])
    return SimulatedTraces(
        t_s=course.t_s,
        skin=_seen(face, sensor, pixels, rng),
        background=_seen(room, sensor, pixels, rng),
        strength=strength,
        truth=known,
    )


def _face(
    setting: Scene, course: Timeline, rng: np.random.Generator, strength: FloatArray, tracking_error: float
) -> FloatArray:
    """Code values of face patches, BGR, before noise [shape=(n, patches, 3)]; patches go from forehead to chin."""
    patches = strength.size
    lower = np.linspace(0, 1, patches) if patches > 1 else np.zeros(1)
    light = skin.skin_colour(setting.skin_type) * rng.uniform(0.75, 1.05, (patches, 1))
    depth = skin.pulse_depth(light, setting.pulse_green_pp) * strength[:, None]
    wave = course.wave_early[:, None] * (1 - lower) + course.wave_late[:, None] * lower
    code = _code(light * setting.brightness, course.face_gain)
    code *= (1 - 0.5 * wave[:, :, None] * depth) ** (1 / GAMMA)
    # The patch slips over shading and texture that differ from patch to patch and are nearly grey.
    slip = (
        tracking_error * np.stack([course.dx_px, course.dy_px + course.nod_px]) * 170 / setting.face_width_px
    )
    slope = 0.006 * rng.standard_normal((2, patches, 1)) * (1 + 0.15 * rng.standard_normal((2, patches, 3)))
    code *= 1 + np.einsum("an,apc->npc", slip, slope)
    code *= 1 - 0.05 * course.mouth[:, None, None] * np.clip(2 * lower - 1, 0, 1)[:, None]
    return code


def _code(light: FloatArray, gain: FloatArray) -> FloatArray:
    """Code values of patches [shape=(patches, 3)] under gains [shape=(n, 3)] → [shape=(n, patches, 3)]."""
    return np.asarray(camera.to_code(light[None, :, :] * np.maximum(gain, 0)[:, None, :]), dtype=np.float64)


def _seen(code: FloatArray, sensor: camera.Sensor, pixels: float, rng: np.random.Generator) -> FloatArray:
    """What the camera makes of a mean over so many pixels: clipped, noisy, RGB. Rounding adds 1/12 of variance."""
    clipped = np.minimum(code, 255.0)
    variance = sensor.noise_in_code(clipped) ** 2 + 1 / 12
    noisy = clipped + rng.standard_normal(code.shape) * np.sqrt(variance / pixels)
    return np.asarray(np.clip(noisy, 0, 255)[:, :, ::-1])
