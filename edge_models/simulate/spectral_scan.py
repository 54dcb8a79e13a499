"""The second trace simulator: the heart of `ipfm` under the light of `spectra`, as skin samples of a perfect tracker.

Written apart from `traces` and `scene`, from other models, so that an engine tuned on one can be judged on the other:
colours come from 31 wavelengths, the camera encodes with a gamma, motion shades cells by their normals, and a codec
holds a block until it changed enough (after skipped macroblocks, ITU-T H.264) or quantises it (JPEG, ITU-T T.81).

One frame's cell k: code = encode(gain · Σ over lights a(t) · s(k, t) · (base(k) + rise(k, t) · pulse(k)) + noise), with the
room's lamp and the three primaries of a screen as lights. The numbers for sizes of motion, texture and thresholds are
round ones of the usual order; only the truth is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from edge_models.face import BACKGROUND_COLS, BACKGROUND_ROWS, COLS, ROWS, SkinSample
from edge_models.simulate.ipfm import Course, HeartTruth, coloured_noise, make_heart
from edge_models.simulate.simulated_scan import SimulatedScan
from edge_models.simulate.spectra import (
    SURFACE,
    WAVELENGTHS_NM,
    Lamp,
    Skin,
    camera_filters,
    lamp_spectrum,
    melanosomes,
    screen_primaries,
)
from edge_models.types import Box, FloatArray

_CELLS = ROWS * COLS
_FRAME_SIZE_PX = (640, 480)
_BLOOD_RISE = 0.02
"""Half the range of the pulsating part of the skin's blood, relative to all of it, at perfusion 1."""
_READ_NOISE_E = 6.0
_MOST_PX_PER_CELL = 81.0
_KEY_FRAMES_S = 8.0
_Y = (np.arange(_CELLS) // COLS) * 2.0 / (ROWS - 1) - 1.0
_X = (np.arange(_CELLS) % COLS) * 2.0 / (COLS - 1) - 1.0


class Target(StrEnum):
    """What is before the camera."""

    PERSON = "person"
    PHOTOGRAPH = "photograph"
    """A print: colours of a person, no pulse; moved as the scene says."""
    MANNEQUIN = "mannequin"
    """One colour all over, glossy, no pulse."""
    REPLAY = "replay"
    """A face on a screen that gives its own light, refreshed, without a pulse."""
    EMPTY = "empty"
    """Wall or chair: no face is found."""


class Codec(StrEnum):
    """What compresses the video before it is read."""

    NONE = "none"
    H264 = "h264"
    MJPEG = "mjpeg"


class Cover(StrEnum):
    """What hides part of the face. All of them are cells of another brightness without a pulse, a hand too."""

    NOTHING = "nothing"
    MASK = "mask"
    HAND = "hand"
    GLASSES = "glasses"


@dataclass(frozen=True, slots=True)
class SpectralScene:
    """One scan. All that is random follows from seed.

    perfusion: size of the pulse, 1 is usual. brightness: 1 lights the skin well, 0.1 is dusk. full_scale_e: electrons
    of one pixel at full scale. flicker_hz, flicker_depth: of a lamp's light, twice the mains' frequency (0: steady).
    screen_light: part of the light that comes from a screen with changing pictures. sway: slow motion, face widths
    (standard deviation); shift: sudden ones, in face widths; nod, nod_hz: periodic; tremor: of a hand, 8 to 11 Hz.
    exposure_steps, white_balance_steps: (second, factor). strength: of the codec, 1 is usual.
    """

    seed: int
    duration_s: float = 25.0
    target: Target = Target.PERSON
    skin_type: int = 3
    start_per_min: float = 70.0
    end_per_min: float | None = None
    course: Course = Course.STEADY
    variability: float = 1.0
    ectopics_per_min: float = 0.0
    breaths_per_min: float = 14.0
    perfusion: float = 1.0
    lamp: Lamp = Lamp.LED
    brightness: float = 1.0
    side_light: float = 0.2
    full_scale_e: float = 6000.0
    face_px: float = 160.0
    fps: float = 30.0
    exposure_s: float = 1 / 60
    drop_fraction: float = 0.0
    uneven_s: float = 0.0
    clock_jitter_s: float = 0.0
    flicker_hz: float = 0.0
    flicker_depth: float = 0.15
    screen_light: float = 0.0
    sway: float = 0.004
    shift: float = 0.0
    nod: float = 0.0
    nod_hz: float = 0.5
    tremor: float = 0.0
    talking: float = 0.0
    exposure_steps: tuple[tuple[float, float], ...] = ()
    white_balance_steps: tuple[tuple[float, float], ...] = ()
    codec: Codec = Codec.NONE
    strength: float = 1.0
    cover: Cover = Cover.NOTHING


def spectral_scan(scene: SpectralScene) -> SimulatedScan:
    """Simulate it. Raises KeyError for a skin type that is not 1 to 6."""
    rng = np.random.default_rng([scene.seed, 7919])
    heart = make_heart(
        rng,
        duration_s=scene.duration_s,
        start_per_min=scene.start_per_min,
        end_per_min=scene.start_per_min if scene.end_per_min is None else scene.end_per_min,
        course=scene.course,
        variability=scene.variability,
        ectopics_per_min=scene.ectopics_per_min,
        breaths_per_min=scene.breaths_per_min,
        has_pulse=scene.target is Target.PERSON,
    )
    true_s = _times(rng, scene)
    told_s = true_s + scene.clock_jitter_s * rng.standard_normal(len(true_s))
    told_s = np.maximum.accumulate(told_s - told_s[0] + 1e-4 * np.arange(len(true_s)) / len(true_s))
    keep = np.concatenate([[True], np.diff(told_s) > 1e-6])
    true_s, told_s = true_s[keep], told_s[keep]

    motion = _motion(rng, scene, heart, true_s)
    lights = _lights(rng, scene, true_s)
    filters = camera_filters(rng.normal(size=3) * 5.0, float(rng.uniform(0.3, 0.9)))
    # The camera's white balance, not quite complete, as under warm lamps.
    filters = filters / np.maximum(filters @ lights[1][0], 1e-3)[:, None] ** 0.85
    skin, bare = _skin_light(rng, scene, heart, true_s, motion, lights, filters)
    back = _background_light(rng, lights, filters)
    gain = _gain(scene, true_s, float(skin[: max(1, len(skin) // 8), bare].mean()))
    pixels = min(1.26 * scene.face_px**2 / _CELLS, _MOST_PX_PER_CELL)
    cells = _camera(rng, scene, skin * gain[:, None, :], pixels)
    background = _camera(rng, scene, back * gain[:, None, :], 200.0)

    told_motion = motion + rng.standard_normal(motion.shape) * 2e-4 * (160.0 / scene.face_px)
    chest = 0.012 * heart.breath(true_s) + motion[:, 1]
    chest = chest + rng.standard_normal(len(true_s)) * 6e-4 * (160.0 / scene.face_px)
    seen = scene.target is not Target.EMPTY
    samples = tuple(
        SkinSample(
            t_s=float(t_s),
            face=_box(scene, motion[k]) if seen else None,
            faces=int(seen),
            cells=cells[k].reshape(ROWS, COLS, 3) if seen else None,
            background=background[k].reshape(BACKGROUND_ROWS, BACKGROUND_COLS, 3),
            motion=_four(told_motion[k]) if seen else (0.0, 0.0, 0.0, 0.0),
            chest_y=float(chest[k]) if seen else float("nan"),
            key=1,
            visible=1.0,
        )
        for k, t_s in enumerate(told_s)
    )
    return SimulatedScan(
        samples=samples,
        truth=heart,
        frame_size_px=_FRAME_SIZE_PX,
        face_px=scene.face_px,
        true_wave=heart.bvp(true_s),
        skin_rgb=cells[:, bare].mean(axis=1).astype(np.float64),
    )


def _four(motion: FloatArray) -> tuple[float, float, float, float]:
    x, y, roll, scale = motion.tolist()
    return x, y, roll, scale


def _times(rng: np.random.Generator, scene: SpectralScene) -> FloatArray:
    """Middles of the exposures, the first at 0 [shape=(n,)]."""
    t_s = np.arange(round(scene.duration_s * scene.fps) + 1) / scene.fps
    t_s = t_s + scene.uneven_s * rng.uniform(-0.5, 0.5, len(t_s))
    kept = rng.uniform(size=len(t_s)) >= scene.drop_fraction
    kept[0] = True
    t_s = np.sort(t_s[kept])
    return np.asarray(t_s - t_s[0])


def _box(scene: SpectralScene, motion: FloatArray) -> Box:
    width, height = scene.face_px, 1.26 * scene.face_px
    x = _FRAME_SIZE_PX[0] / 2 + motion[0] * width - width / 2
    y = _FRAME_SIZE_PX[1] / 2 + motion[1] * width - height / 2
    return Box(float(x), float(y), width, height)


def _wander(
    rng: np.random.Generator, t_s: FloatArray, low_hz: float, high_hz: float, slope: float
) -> FloatArray:
    """Coloured noise at these moments, standard deviation about 1 [shape=(n,)]."""
    rate_hz = 40.0
    made = coloured_noise(
        rng, int(t_s[-1] * rate_hz) + 8, rate_hz=rate_hz, low_hz=low_hz, high_hz=high_hz, slope=slope
    )
    return np.asarray(np.interp(t_s, np.arange(len(made)) / rate_hz, made))


def _motion(rng: np.random.Generator, scene: SpectralScene, heart: HeartTruth, t_s: FloatArray) -> FloatArray:
    """x, y in face widths, roll in radians, log scale [shape=(n, 4)], 0 at the start."""
    size = np.array([1.0, 0.7, 0.8, 0.25]) * scene.sway
    moved = np.stack([_wander(rng, t_s, 0.03, 1.2, 2.0) for _ in range(4)], axis=1) * size
    if scene.target is Target.PERSON:  # the heart's own recoil, and the breath
        moved[:, 1] += 3e-4 * heart.bvp(t_s - 0.06) + 2e-3 * heart.breath(t_s)
    if scene.shift:
        moments = np.cumsum(rng.uniform(3.0, 8.0, 40))
        for moment in moments[moments < t_s[-1]]:
            step = 1 / (1 + np.exp(-np.clip((t_s - moment) / 0.12, -40, 40)))
            moved += step[:, None] * scene.shift * rng.normal(size=4) * np.array([1.0, 0.8, 0.5, 0.2])
    if scene.nod:
        phase = 2 * np.pi * scene.nod_hz * t_s + 0.5 * _wander(rng, t_s, 0.02, 0.2, 1.0)
        moved[:, 1] += scene.nod * np.sin(phase)
        moved[:, 2] += 0.3 * scene.nod * np.sin(phase + 1.0)
    if scene.tremor:
        for k in range(3):
            moved[:, k] += scene.tremor * _wander(rng, t_s, 8.0, 11.0, 0.0)
    return np.asarray(moved - moved[0])


def _lights(rng: np.random.Generator, scene: SpectralScene, t_s: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(strength of each light over time [shape=(n, 4)], colours [shape=(4, wavelengths)]): the lamp, a screen's R G B."""
    room = 1.0 + 0.004 * _wander(rng, t_s, 0.01, 0.3, 1.5)
    if scene.flicker_hz:
        # The shutter averages over the exposure; what is left of the flicker shows at its alias.
        shutter = float(np.sinc(scene.flicker_hz * scene.exposure_s))
        turn = 2 * np.pi * scene.flicker_hz * t_s + rng.uniform(0, 6)
        room = room * (1 + scene.flicker_depth * shutter * (np.cos(turn) + 0.2 * np.cos(2 * turn + 1.0)))
    cuts = np.concatenate([[-1.0], np.cumsum(rng.exponential(2.0, 60) + 0.4)])
    scenes = rng.uniform(0.1, 1.0, (len(cuts), 3))
    at = np.searchsorted(cuts, t_s, side="right") - 1
    waves = np.stack([_wander(rng, t_s, 0.1, 4.0, 1.2) for _ in range(3)], axis=1)
    screen = scenes[at] * np.clip(1 + 0.12 * waves, 0.2, 2.0)
    strengths = np.column_stack([(1 - scene.screen_light) * room, scene.screen_light * screen])
    colours = np.vstack([lamp_spectrum(scene.lamp, float(rng.uniform())), screen_primaries()])
    return strengths, colours


def _bumps(rng: np.random.Generator) -> FloatArray:
    """A smooth random field over the cells, standard deviation about 1 [shape=(cells,)]."""
    places = rng.uniform(-1, 1, (6, 2))
    near = np.exp(-((_X[:, None] - places[:, 0]) ** 2 + (_Y[:, None] - places[:, 1]) ** 2) / 0.3)
    field = near @ rng.normal(size=6)
    return np.asarray((field - field.mean()) / max(float(field.std()), 1e-6))


def _skin_light(
    rng: np.random.Generator,
    scene: SpectralScene,
    heart: HeartTruth,
    t_s: FloatArray,
    motion: FloatArray,
    lights: tuple[FloatArray, FloatArray],
    filters: FloatArray,
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """(what R, G, B of the sensor see of each cell, any unit [shape=(n, cells, 3)]; which cells are bare skin or its picture)."""
    strengths, colours = lights
    skin = Skin(
        melanosomes(scene.skin_type, float(rng.normal())),
        blood=float(rng.uniform(0.015, 0.035)),
        saturation=float(rng.uniform(0.6, 0.8)),
        z0_cm=float(rng.uniform(0.008, 0.02)),
    )
    even = 0.0 if scene.target is Target.MANNEQUIN else 1.0
    returned, change = skin.reflection(np.exp(0.12 * even * _bumps(rng)), np.exp(0.25 * even * _bumps(rng)))
    seen = filters[:, None, :] * colours[None]  # [rgb, lights, wavelengths]
    gloss = SURFACE * (0.5 + np.exp(0.5 * _bumps(rng))) * (2.0 if scene.target is Target.MANNEQUIN else 1.0)
    bare = np.asarray((_X / 1.05) ** 2 + (_Y / 1.15) ** 2 < 1.0)
    eyes = (np.abs(_Y + 0.15) < 0.12) & (np.abs(np.abs(_X) - 0.45) < 0.25)
    mouth = (np.abs(_Y - 0.62) < 0.1) & (np.abs(_X) < 0.35)
    bare &= ~eyes & ~mouth
    other = np.where(eyes | mouth, 0.45, 0.12)[:, None] * np.ones((1, len(WAVELENGTHS_NM)))
    if scene.cover is Cover.MASK:
        hidden = _Y > 0.15
        other = np.where(hidden[:, None], 0.55, other)
        bare &= ~hidden
    elif scene.cover is Cover.GLASSES:
        bare &= ~((np.abs(_Y + 0.15) < 0.25) & (np.abs(_X) < 0.85))
    elif scene.cover is Cover.HAND:
        bare &= ~(_X + 0.3 * _Y > 0.35)
    returned = np.where(bare[:, None], returned, other * returned.mean(axis=0))
    base = np.einsum("clw,kw->klc", seen, returned + gloss[:, None])
    pulse = np.einsum("clw,kw->klc", seen, np.where(bare[:, None], change, 0.0))

    wave, slope = heart.bvp(t_s), np.gradient(heart.bvp(t_s), t_s)
    delay_s = 0.012 * _bumps(rng)
    amplitude = _BLOOD_RISE * scene.perfusion * np.exp(0.25 * _bumps(rng))
    rise = (wave[:, None] - delay_s * slope[:, None]) * amplitude
    rise = rise + 0.01 * heart.breath(t_s)[:, None] * amplitude / _BLOOD_RISE

    # Shading: cells lean differently towards the lamp, and move and turn with the head; the screen shines from ahead.
    lean = np.stack([_X, _Y, 0.6 * _bumps(rng), 0.6 * _bumps(rng)])
    towards = rng.normal(size=(4, 4)) * np.array([0.35, 0.35, 0.5, 0.3])
    shaded = 1.0 + scene.side_light * _X * rng.choice([-1.0, 1.0])
    turned = 1.0 + motion @ (towards @ lean)
    # What the tracker leaves: a part of the motion slides over the skin's texture.
    slip = 0.03 * motion[:, :2] + rng.normal(size=(len(t_s), 2)) * 0.012 / scene.face_px
    texture = rng.normal(size=(2, _CELLS)) * np.where(bare, 0.8, 4.0)
    turned = turned * (1.0 + slip @ texture)
    if scene.talking:
        jaw = scene.talking * np.clip(_wander(rng, t_s, 0.5, 6.0, 0.5), -2, 2)
        turned = turned * (1 + 0.04 * jaw[:, None] * np.clip(_Y - 0.2, 0, 1))
    if scene.target is Target.REPLAY:
        beat = 1 + 0.01 * np.cos(2 * np.pi * rng.uniform(0.3, 6.0) * t_s + 1.0)
        moire = 1 + 0.01 * np.sin(40 * (motion[:, :1] + _X) + 1.3 * _Y) * np.ones((len(t_s), 1))
        turned = turned * beat[:, None] * moire
        strengths = np.column_stack([np.ones(len(t_s)), 0.15 * strengths[:, 1:]])
    front = 1.0 - 0.25 * _X**2
    total = np.zeros((len(t_s), _CELLS, 3))
    for light in range(strengths.shape[1]):
        if not np.any(strengths[:, light]):
            continue
        share = strengths[:, light, None] * (shaded * turned if light == 0 else front * (0.7 * turned + 0.3))
        for c in range(3):
            total[:, :, c] += share * (base[:, light, c] + rise * pulse[:, light, c])
    if scene.cover is Cover.MASK or scene.cover is Cover.HAND:
        total *= 1.0 + 0.002 * rng.normal(size=(len(t_s), 1, 1)) * (~bare)[None, :, None]
    return np.maximum(total, 1e-9), bare


def _background_light(
    rng: np.random.Generator, lights: tuple[FloatArray, FloatArray], filters: FloatArray
) -> FloatArray:
    """The same for the cells of the whole frame [shape=(n, background cells, 3)]; walls and things, no person."""
    strengths, colours = lights
    count = BACKGROUND_ROWS * BACKGROUND_COLS
    level = rng.uniform(0.05, 0.6, count)
    tint = 1 + 0.25 * rng.normal(size=(count, 1)) * np.linspace(-1, 1, len(WAVELENGTHS_NM))
    base = np.einsum("cw,lw,kw->klc", filters, colours, np.maximum(level[:, None] * tint, 0.01))
    reach = np.column_stack([rng.uniform(0.5, 1.0, count), *(rng.uniform(0.0, 0.35, (3, count)))])
    return np.asarray(np.einsum("nl,kl,klc->nkc", strengths, reach, base))


def _gain(scene: SpectralScene, t_s: FloatArray, level: float) -> FloatArray:
    """From light to shares of full scale, for R, G, B over time [shape=(n, 3)]: exposure, white balance, their steps."""
    # Automatic exposure sees the room as well: dark skin stays darker, but less than its reflection says.
    gain = np.full((len(t_s), 3), 0.35 * scene.brightness / np.sqrt(0.35 * max(level, 1e-9)))
    for moment_s, factor in scene.exposure_steps:
        gain *= np.exp(np.log(factor) / (1 + np.exp(-np.clip((t_s - moment_s) / 0.06, -40, 40))))[:, None]
    for moment_s, factor in scene.white_balance_steps:
        step = np.log(factor) / (1 + np.exp(-np.clip((t_s - moment_s) / 0.15, -40, 40)))
        gain *= np.exp(step[:, None] * np.array([1.0, 0.0, -1.0]))
    return gain


def _camera(
    rng: np.random.Generator, scene: SpectralScene, light: FloatArray, pixels: float
) -> NDArray[np.float32]:
    """Shares of full scale → mean code values of cells of so many pixels, through noise, gamma and codec."""
    electrons = light * scene.full_scale_e
    spread = np.sqrt(np.maximum(electrons, 0.0) + _READ_NOISE_E**2) / scene.full_scale_e / np.sqrt(pixels)
    noisy = light + spread * rng.standard_normal(light.shape)
    code = 255.0 * np.clip(noisy, 1e-5, 1.0) ** (1 / 2.2)
    code += rng.standard_normal(code.shape) * np.sqrt(1 / 12 / pixels)
    if scene.codec is Codec.H264:
        code = _held(rng, code, scene.strength, scene.fps)
    elif scene.codec is Codec.MJPEG:
        code = _quantised(rng, code, scene.strength)
    return np.asarray(np.clip(code, 0.0, 255.0), np.float32)


_TO_YCC: FloatArray = np.array([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]])


def _held(rng: np.random.Generator, code: FloatArray, strength: float, fps: float) -> FloatArray:
    """Predicted from the frame before; a change below the block's dead zone is skipped, else coded in steps of it."""
    ycc = code @ _TO_YCC.T
    zone = strength * np.exp(0.5 * rng.normal(size=(1, code.shape[1], 1))) * np.array([0.35, 0.6, 0.6])
    held = np.empty_like(ycc)
    every = max(1, round(_KEY_FRAMES_S * fps))
    shown = ycc[0]
    for k in range(len(ycc)):
        if k % every == 0:
            shown = ycc[k] + zone[0] * rng.uniform(-0.5, 0.5, ycc[k].shape)
        else:
            steps = np.trunc((ycc[k] - shown) / zone[0])
            shown = shown + steps * zone[0]
        held[k] = shown
    return np.asarray(held @ np.linalg.inv(_TO_YCC).T)


def _quantised(rng: np.random.Generator, code: FloatArray, strength: float) -> FloatArray:
    """Every frame by itself: four blocks a cell, each rounded to steps, with the texture's own offsets as dither."""
    ycc = code @ _TO_YCC.T
    step = strength * np.array([1.0, 1.6, 1.6])
    total = np.zeros_like(ycc)
    for _ in range(4):
        offset = rng.uniform(-0.5, 0.5, (1, code.shape[1], 3)) * step
        total += np.round((ycc + offset) / step) * step - offset
    return np.asarray((total / 4) @ np.linalg.inv(_TO_YCC).T)
