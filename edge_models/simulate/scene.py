"""Rendered scenes: a person, a photograph, a room before a simulated camera, frame by frame, with exact truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

import cv2
import numpy as np

from edge_models.simulate import camera, heart, portrait
from edge_models.simulate.camera import GAMMA, Timing
from edge_models.simulate.heart import Truth
from edge_models.types import ByteArray, Float32Array, FloatArray, Frame


class SceneKind(StrEnum):
    """What stands before the camera."""

    PERSON = "person"
    LEAVES = "leaves"
    """A person who goes out of the picture at leave_at_s."""
    PHOTOGRAPH = "photograph"
    MOVED_PHOTOGRAPH = "moved_photograph"
    EMPTY_ROOM = "empty_room"
    WALL = "wall"
    MANNEQUIN = "mannequin"
    """Head and shoulders as a person's, without blood or breath."""
    REPLAYED = "replayed"
    """A face in a film on a held tablet: moves as a person does, shines by itself, has lost its pulse."""


_ALIVE = (SceneKind.PERSON, SceneKind.LEAVES)
_BODIES = (*_ALIVE, SceneKind.MANNEQUIN)
_PRINTS = (SceneKind.PHOTOGRAPH, SceneKind.MOVED_PHOTOGRAPH, SceneKind.REPLAYED)
LEAVING_S = 1.2
_TRANSIT_S = 0.02
"""The wave comes to the chin 20 ms after the forehead: small, as seen over one face; a round number."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything about a scene. The same scene gives the same frames, bit for bit; other seeds, other noise and beats.

    The person: heart_rate_bpm goes linearly to heart_rate_end_bpm; sdnn_ms and rmssd_ms (None: usual at this rate);
    ectopics_per_min; breaths_per_min; skin_type 1 to 6; pulse_green_pp: relative peak-to-peak change of green linear
    light if all came from the dermis (0.018 gives about 0.6 % of the 8-bit green level on a type II cheek).
    Place: face_width_px is the width of the box a face detector finds, in pixels of the frame.
    Motion: motion_px and sway_deg are standard deviations of slow wandering; nod_px is the amplitude of nods at
    nod_hz; every shift_every_s (0: never) the person moves by about shift_px; talking in 0..1; breath_px is the
    amplitude of the chest's rise at the default face width, and goes with it.
    Light: brightness of white (1: just clipping); flicker_hz and flicker_depth of the lamp seen through exposure_s;
    screen_light: level of the screen's changing light on the face (lamp = 1); exposure_steps and white_balance_steps
    as in camera.automatic_gains; side_light: part of the light that the face's left side loses; room_light: gain of
    the background alone, above 1 it shines from behind.
    cover: what hides a part of the face. turn_deg: amplitude of head turns at turn_hz.
    A print or a film on a screen nods as a whole, by nod_px at nod_hz.
    Camera: rolling_s: how much later the last row is exposed than the first (seen with flicker only); denoise: part
    of the picture before that a camera's noise reduction mixes in; fps, timing, jitter_s, drop_fraction as in camera.frame_times; full_scale_e and read_e of the sensor;
    jpeg_quality (None: not compressed).
    Raises ValueError for values outside the ranges checked below.
    """

    kind: SceneKind = SceneKind.PERSON
    seed: int = 0
    duration_s: float = 30.0
    width_px: int = 640
    height_px: int = 480
    # The person
    heart_rate_bpm: float = 72.0
    heart_rate_end_bpm: float | None = None
    sdnn_ms: float | None = None
    rmssd_ms: float | None = None
    ectopics_per_min: float = 0.0
    breaths_per_min: float = 14.0
    skin_type: int = 2
    pulse_green_pp: float = 0.018
    face_width_px: float = 170.0
    leave_at_s: float = 15.0
    # Motion
    motion_px: float = 0.4
    sway_deg: float = 0.1
    nod_px: float = 0.0
    nod_hz: float = 0.4
    shift_px: float = 0.0
    shift_every_s: float = 0.0
    talking: float = 0.0
    breath_px: float = 1.5
    turn_deg: float = 0.0
    turn_hz: float = 0.2
    cover: portrait.Cover = portrait.Cover.NOTHING
    # Light
    brightness: float = 0.75
    flicker_hz: float = 0.0
    flicker_depth: float = 0.2
    exposure_s: float = 0.012
    screen_light: float = 0.0
    side_light: float = 0.0
    room_light: float = 1.0
    exposure_steps: tuple[tuple[float, float], ...] = ()
    white_balance_steps: tuple[tuple[float, float], ...] = ()
    # Camera
    fps: float = 30.0
    timing: Timing = Timing.STEADY
    jitter_s: float = 0.0
    drop_fraction: float = 0.0
    full_scale_e: float = 6000.0
    read_e: float = 6.0
    jpeg_quality: int | None = None
    rolling_s: float = 0.0
    denoise: float = 0.0

    def __post_init__(self) -> None:
        end = self.heart_rate_bpm if self.heart_rate_end_bpm is None else self.heart_rate_end_bpm
        ranges = {
            "duration_s": (self.duration_s, 0.5, 24 * 3600),
            "width_px": (self.width_px, 64, 4096),
            "height_px": (self.height_px, 64, 4096),
            "heart_rate_bpm": (self.heart_rate_bpm, 25, 240),
            "heart_rate_end_bpm": (end, 25, 240),
            "breaths_per_min": (self.breaths_per_min, 3, 60),
            "skin_type": (self.skin_type, 1, 6),
            "pulse_green_pp": (self.pulse_green_pp, 0, 0.2),
            "face_width_px": (self.face_width_px, 20, 1.5 * self.width_px),
            "ectopics_per_min": (self.ectopics_per_min, 0, 30),
            "brightness": (self.brightness, 0.001, 4),
            "fps": (self.fps, 1, 240),
            "jitter_s": (self.jitter_s, 0, 1),
            "drop_fraction": (self.drop_fraction, 0, 0.9),
            "flicker_depth": (self.flicker_depth, 0, 1),
            "full_scale_e": (self.full_scale_e, 50, 1e6),
            "talking": (self.talking, 0, 1),
            "turn_deg": (self.turn_deg, 0, 40),
            "side_light": (self.side_light, 0, 0.95),
            "room_light": (self.room_light, 0, 20),
            "rolling_s": (self.rolling_s, 0, 0.1),
            "denoise": (self.denoise, 0, 0.95),
            "jpeg_quality": (75 if self.jpeg_quality is None else self.jpeg_quality, 1, 100),
        }
        for name, (value, low, high) in ranges.items():
            if not low <= value <= high:
                raise ValueError(f"{name} is {value}, outside {low} to {high}")

    @property
    def has_person(self) -> bool:
        """Whether somebody alive is in the picture at the start."""
        return self.kind in _ALIVE


@dataclass(frozen=True, slots=True)
class Timeline:
    """What happens when: one row per frame. Gains are linear light, BGR [shape=(n, 3)]; the rest [shape=(n,)].

    dx_px, dy_px, roll_rad: the whole person or print; nod_px: the head alone, down is positive; mouth in 0..1;
    chest_px: the body, down is positive; turn_rad: of the head about the upright axis; rows_gain: of the picture's
    rows by the lamp's flicker, in code [shape=(n, height)], empty without; wave_early, wave_late: the pulse at forehead and chin, with the slow
    breathing part of the blood volume.
    """

    t_s: FloatArray
    face_gain: FloatArray
    background_gain: FloatArray
    dx_px: FloatArray
    dy_px: FloatArray
    roll_rad: FloatArray
    nod_px: FloatArray
    mouth: FloatArray
    chest_px: FloatArray
    turn_rad: FloatArray
    rows_gain: FloatArray
    wave_early: FloatArray
    wave_late: FloatArray


def _rng(scene: Scene, part: int) -> np.random.Generator:
    """One stream of numbers per part, so that a knob of one part leaves the others as they are."""
    return np.random.default_rng([scene.seed, part])


def truth(scene: Scene) -> Truth:
    """What is true of the scene; exact, without rendering."""
    return heart.make_truth(
        _rng(scene, 1),
        duration_s=scene.duration_s,
        heart_rate_bpm=scene.heart_rate_bpm,
        heart_rate_end_bpm=scene.heart_rate_end_bpm,
        sdnn_ms=scene.sdnn_ms,
        rmssd_ms=scene.rmssd_ms,
        ectopics_per_min=scene.ectopics_per_min,
        breaths_per_min=scene.breaths_per_min,
        visible_until_s=scene.leave_at_s if scene.kind is SceneKind.LEAVES else None,
        has_pulse=scene.has_person,
    )


def timeline(scene: Scene, known: Truth | None = None) -> Timeline:
    """The course of the scene at its frame times. known: truth(scene), if it is at hand."""
    known = truth(scene) if known is None else known
    t_s = camera.frame_times(
        _rng(scene, 2),
        fps=scene.fps,
        duration_s=scene.duration_s,
        timing=scene.timing,
        jitter_s=scene.jitter_s,
        drop_fraction=scene.drop_fraction,
    )
    rng = _rng(scene, 3)
    seen_lamp = partial(
        camera.lamp_flicker,
        flicker_hz=scene.flicker_hz,
        depth=scene.flicker_depth,
        exposure_s=scene.exposure_s,
        phase=float(rng.uniform(0, 2 * np.pi)),
    )
    lamp = seen_lamp(t_s)[:, None]
    rows_gain = np.empty((t_s.size, 0))
    if scene.rolling_s > 0 and scene.flicker_hz > 0:
        later_s = scene.rolling_s * np.linspace(-0.5, 0.5, scene.height_px)
        rows_gain = seen_lamp((t_s[:, None] + later_s).ravel()).reshape(t_s.size, -1) / lamp
    screen = camera.screen_light(rng, t_s, level=scene.screen_light, duration_s=scene.duration_s)
    automatic = camera.automatic_gains(
        t_s, exposure_steps=scene.exposure_steps, white_balance_steps=scene.white_balance_steps
    )
    zero = np.zeros(t_s.size)
    dx, dy, roll, nod, mouth, chest, turn = zero, zero, zero, zero, zero, zero, zero
    if scene.kind in (SceneKind.MOVED_PHOTOGRAPH, SceneKind.REPLAYED) or scene.has_person:
        dx, dy, roll = _wandering(scene, t_s)
        nod = _nodding(scene, t_s)
    early, late = zero, zero
    if scene.has_person:
        mouth = _talking(scene, t_s)
        size = scene.face_width_px / 170.0
        breath = known.breathing.signal(t_s)
        chest = -scene.breath_px * size * breath
        dy = dy + 0.15 * chest
        dx = dx + _leaving(scene, t_s)
        turn = np.deg2rad(scene.turn_deg) * np.sin(2 * np.pi * scene.turn_hz * t_s)
        early = known.bvp(t_s) + 0.15 * breath
        late = known.bvp(t_s - _TRANSIT_S) + 0.15 * breath
    rows_gain = rows_gain ** (1 / GAMMA)
    # A face that moves in a room lit from one side gets brighter and darker: 20 % a face width, a round number.
    shade = (
        1 + 0.2 * (dx - _leaving(scene, t_s)) / scene.face_width_px + 0.15 * (dy + nod) / scene.face_width_px
    )
    # A head that turns shows a side that gets more or less of the light.
    shade = shade * (1 + scene.side_light * 0.5 * np.sin(turn))
    face_light, room_light = lamp + screen, lamp + 0.25 * screen
    if scene.kind is SceneKind.REPLAYED:
        # What flickers is the tablet, not the room; what shines on it comes back from its glass only.
        face_light, room_light = lamp + 0.1 * screen, 1 + 0.25 * screen
    return Timeline(
        t_s=t_s,
        face_gain=face_light * automatic * shade[:, None],
        background_gain=room_light * automatic,
        dx_px=dx,
        dy_px=dy,
        roll_rad=roll,
        nod_px=nod,
        mouth=mouth,
        chest_px=chest,
        turn_rad=turn,
        rows_gain=rows_gain,
        wave_early=early,
        wave_late=late,
    )


def face_centre_px(scene: Scene) -> tuple[float, float]:
    """Where the middle of the face is in the frame when nobody moves, (x, y): a print or a film is held in the middle, a
    person sits so that the shoulders are in the picture.
    """
    return scene.width_px / 2, (0.43 if scene.kind in _BODIES else 0.5) * scene.height_px


def face_course_px(scene: Scene, course: Timeline) -> FloatArray:
    """The middle of the face in every frame, x and y [shape=(n, 2)]; a roll, small as it is, is left out."""
    moved = np.stack([course.dx_px + _aside_px(scene, course.turn_rad), course.dy_px + course.nod_px], axis=1)
    return np.asarray(moved + face_centre_px(scene))


def _aside_px(scene: Scene, turn_rad: FloatArray) -> FloatArray:
    """How far a turn of the head takes the face aside: it lies before the axis by a third of its width."""
    return np.asarray(0.35 * scene.face_width_px * np.sin(turn_rad))


def _wander(rng: np.random.Generator, t_s: FloatArray, low_hz: float, high_hz: float) -> FloatArray:
    """A slow random course of standard deviation 1: sinusoids whose strength falls with frequency."""
    hz = np.exp(rng.uniform(np.log(low_hz), np.log(high_hz), 10))
    strength = (low_hz / hz) ** 0.5
    strength /= np.sqrt(np.sum(strength**2) / 2)
    phases = 2 * np.pi * (hz[None, :] * t_s[:, None] + rng.uniform(size=10)[None, :])
    return np.asarray(np.sin(phases) @ strength)


def _wandering(scene: Scene, t_s: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    rng = _rng(scene, 4)
    held = scene.kind is SceneKind.MOVED_PHOTOGRAPH
    top_hz = 1.5 if held else 0.6
    # A hand that holds a print is never as still as a head on a neck.
    reach = max(scene.motion_px, 3.0) if held else scene.motion_px
    turn = max(scene.sway_deg, 1.0) if held else scene.sway_deg
    dx = reach * _wander(rng, t_s, 0.08, top_hz)
    dy = 0.6 * reach * _wander(rng, t_s, 0.08, top_hz)
    roll = np.deg2rad(turn) * _wander(rng, t_s, 0.08, top_hz)
    if scene.shift_every_s > 0:
        moment = scene.shift_every_s * rng.uniform(0.5, 1.0)
        place = np.zeros(2)
        while moment < scene.duration_s:
            goal = rng.normal(0, scene.shift_px, 2) * (1.0, 0.5)
            rise = np.clip((t_s - moment) / 0.5, 0, 1)
            rise = rise * rise * (3 - 2 * rise)
            dx, dy = dx + rise * (goal[0] - place[0]), dy + rise * (goal[1] - place[1])
            place = goal
            moment += scene.shift_every_s * rng.uniform(0.7, 1.3)
    return dx, dy, roll


def _nodding(scene: Scene, t_s: FloatArray) -> FloatArray:
    waver = 0.6 * np.sin(2 * np.pi * 0.05 * t_s)
    return np.asarray(scene.nod_px * np.sin(2 * np.pi * scene.nod_hz * t_s + waver))


def _talking(scene: Scene, t_s: FloatArray) -> FloatArray:
    """Mouth opening in 0..1: syllables of 3 to 5 a second in phrases with pauses."""
    if scene.talking == 0:
        return np.zeros(t_s.size)
    rng = _rng(scene, 5)
    syllables = 0.5 + 0.5 * np.sin(2 * np.pi * 3.8 * t_s + 2.5 * _wander(rng, t_s, 0.2, 1.0))
    phrases = np.clip(0.5 + _wander(rng, t_s, 0.1, 0.4), 0, 1)
    return np.asarray(scene.talking * syllables * phrases)


def _leaving(scene: Scene, t_s: FloatArray) -> FloatArray:
    if scene.kind is not SceneKind.LEAVES:
        return np.zeros(t_s.size)
    return np.asarray(1.6 * scene.width_px * np.clip((t_s - scene.leave_at_s) / LEAVING_S, 0, 1) ** 2)


def background(scene: Scene) -> Float32Array:
    """The room behind, linear light with white = 1 [shape=(height, width, 3)]: a painted wall, or one with furniture."""
    rng = _rng(scene, 6)
    height, width = scene.height_px, scene.width_px
    light = np.empty((height, width, 3), dtype=np.float32)
    light[:] = np.array([0.36, 0.40, 0.42], dtype=np.float32)
    across = np.linspace(1.12, 0.82, width, dtype=np.float32)[None, :]
    down = np.linspace(1.06, 0.9, height, dtype=np.float32)[:, None]
    texture = np.zeros((height, width), dtype=np.float32)
    for cells, strength in ((6, 0.05), (24, 0.03), (96, 0.02)):
        grain = rng.standard_normal((cells * height // width + 2, cells + 2)).astype(np.float32)
        texture += strength * cv2.resize(grain, (width, height), interpolation=cv2.INTER_CUBIC)
    light *= (across * down * (1 + np.clip(texture, -0.3, 0.3)))[:, :, None]
    if scene.kind is SceneKind.EMPTY_ROOM:
        for x0, y0, x1, y1, colour in (
            (0.06, 0.15, 0.26, 0.45, (0.45, 0.30, 0.18)),
            (0.08, 0.18, 0.24, 0.42, (0.30, 0.45, 0.35)),
            (0.70, 0.10, 0.95, 1.00, (0.16, 0.24, 0.34)),
            (0.32, 0.52, 0.60, 0.80, (0.10, 0.10, 0.14)),
            (0.34, 0.80, 0.38, 1.00, (0.05, 0.05, 0.06)),
            (0.54, 0.80, 0.58, 1.00, (0.05, 0.05, 0.06)),
        ):
            corner, other = (round(x0 * width), round(y0 * height)), (round(x1 * width), round(y1 * height))
            cv2.rectangle(light, corner, other, colour, -1)
        light = np.asarray(cv2.GaussianBlur(light, (0, 0), 1.0), dtype=np.float32)
    return light


def render(scene: Scene, face_bgr: ByteArray, course: Timeline | None = None) -> Iterator[Frame]:
    """The frames of the scene, one after the other; nothing is kept.

    face_bgr: the portrait, uint8 BGR [shape=(512, 512, 3)] (see portrait). Raises ValueError for another shape.
    course: what happens, where it is not timeline(scene).
    """
    return _frames(scene, timeline(scene) if course is None else course, _Stage(scene, face_bgr))


def _frames(scene: Scene, course: Timeline, stage: _Stage) -> Iterator[Frame]:
    digitiser = camera.Digitiser(
        _rng(scene, 7), camera.Sensor(scene.full_scale_e, scene.read_e), scene.height_px, scene.width_px
    )
    kept: ByteArray | None = None
    for k in range(course.t_s.size):
        image = digitiser.digitise(stage.light_at(course, k))
        if kept is not None and scene.denoise > 0:
            blended = cv2.addWeighted(kept, scene.denoise, image, 1 - scene.denoise, 0)
            image = np.asarray(blended, dtype=np.uint8)
        kept = image
        if scene.jpeg_quality is not None:
            image = camera.compressed(image, scene.jpeg_quality)
        yield Frame(image, float(course.t_s[k]))


class _Stage:
    """The layers of a scene and how they come together for one frame, in code values before noise."""

    def __init__(self, scene: Scene, face_bgr: ByteArray) -> None:
        if face_bgr.shape != (portrait.PICTURE_SIZE_PX, portrait.PICTURE_SIZE_PX, 3):
            raise ValueError(f"the portrait must be 512×512×3, not {face_bgr.shape}")
        self._size = (scene.width_px, scene.height_px)
        wall = camera.to_code(background(scene) * scene.brightness * scene.room_light)
        self._wall = np.dstack([wall, np.zeros(wall.shape[:2], dtype=np.float32)]).astype(np.float32)
        self._canvas = np.empty_like(self._wall)
        self._person: portrait.Person | None = None
        self._print: portrait.Layer | None = None
        place = portrait.Placement(scene.face_width_px, face_centre_px(scene))
        self._neck = place.to_frame(portrait.NECK)
        self._centre = place.to_frame(portrait.FACE_CENTRE)
        self._above_neck_px = self._neck[1] - self._centre[1]
        self._scene = scene
        if scene.kind in _BODIES:
            self._person = portrait.person(
                face_bgr,
                place,
                skin_type=scene.skin_type,
                pulse_green_pp=scene.pulse_green_pp,
                brightness=scene.brightness,
                frame_height_px=scene.height_px,
                cover=scene.cover,
                side_light=scene.side_light,
            )
            self._head = np.empty_like(self._person.head.image)
        elif scene.kind in _PRINTS:
            self._print = portrait.printed(
                face_bgr,
                place,
                skin_type=scene.skin_type,
                brightness=scene.brightness,
                border_light=0.02 if scene.kind is SceneKind.REPLAYED else 0.8,
            )

    def light_at(self, course: Timeline, k: int) -> Float32Array:
        """Frame k in code values [shape=(height, width, 3)]."""
        width, height = self._size
        row = _gain_row(course.background_gain[k], width)
        np.multiply(self._wall.reshape(height, -1), row, out=self._canvas.reshape(height, -1))
        dx, dy, roll = float(course.dx_px[k]), float(course.dy_px[k]), float(course.roll_rad[k])
        if self._print is not None:
            held = _turn(self._centre, roll, 1.0, dx, dy + float(course.nod_px[k]))
            self._lay(self._print, self._print.image, held, course.face_gain[k])
        if self._person is not None:
            person = self._person
            body = _turn(self._neck, 0.0, 1.0, dx, dy + float(course.chest_px[k]))
            self._lay(person.body, person.body.image, body, course.face_gain[k])
            cv2.scaleAdd(person.early, float(course.wave_early[k]), person.head.image, dst=self._head)
            cv2.scaleAdd(person.late, float(course.wave_late[k]), self._head, dst=self._head)
            if course.mouth[k] > 0:
                cv2.scaleAdd(person.jaw, float(course.mouth[k]), self._head, dst=self._head)
            nod = float(course.nod_px[k])
            # A nod takes the middle of the face down by nod_px, half by foreshortening.
            stretch = 1 - nod / 2 / self._above_neck_px
            turn = course.turn_rad[k]
            aside = dx + float(_aside_px(self._scene, turn))
            head = _turn(self._neck, roll, stretch, aside, dy + nod / 2, narrow=float(np.cos(turn)))
            self._lay(person.head, self._head, head, course.face_gain[k])
        seen = np.asarray(cv2.cvtColor(self._canvas, cv2.COLOR_BGRA2BGR), dtype=np.float32)
        if course.rows_gain.size:
            seen *= course.rows_gain[k].astype(np.float32)[:, None, None]
        return seen

    def _lay(self, layer: portrait.Layer, image: Float32Array, matrix: FloatArray, gain: FloatArray) -> None:
        """Draw a layer, moved by matrix (frame to frame), over the canvas."""
        height, width = image.shape[:2]
        corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]], dtype=np.float64)
        corners[:, :2] += (layer.x, layer.y)
        moved = corners @ matrix.T
        x0, y0 = (max(0, int(np.floor(edge)) - 1) for edge in moved.min(axis=0))
        x1, y1 = (
            min(most, int(np.ceil(edge)) + 1)
            for edge, most in zip(moved.max(axis=0), self._size, strict=True)
        )
        if x1 <= x0 or y1 <= y0:
            return
        shifted = matrix.copy()
        shifted[:, 2] += matrix[:, :2] @ (layer.x, layer.y) - (x0, y0)
        size = (x1 - x0, y1 - y0)
        cut = cv2.warpAffine(image, shifted, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        flat = cut.reshape(size[1], -1)
        np.multiply(flat, _gain_row(gain, size[0]), out=flat)
        alpha = cv2.extractChannel(cut, 3)
        under = self._canvas[y0:y1, x0:x1]
        under[:] = cv2.blendLinear(under, cut, 1 - alpha, alpha)


def _gain_row(gain: FloatArray, width: int) -> Float32Array:
    """Linear gains BGR as gains of code for a row of BGRA pixels [shape=(4 * width,)]."""
    code_gain = np.append(np.maximum(gain, 0) ** (1 / GAMMA), 1.0).astype(np.float32)
    return np.tile(code_gain, width)


def _turn(
    pivot: tuple[float, float], roll: float, stretch: float, dx: float, dy: float, *, narrow: float = 1.0
) -> FloatArray:
    """2×3 matrix: roll about a pivot, stretch of what lies above and below it, narrow of what lies beside it, then a
    shift, in frame pixels.
    """
    cos, sin = np.cos(roll), np.sin(roll)
    matrix = np.array([[cos * narrow, -sin * stretch], [sin * narrow, cos * stretch]])
    shift = np.add(pivot, (dx, dy)) - matrix @ pivot
    return np.hstack([matrix, shift[:, None]])
