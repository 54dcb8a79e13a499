"""The fixed grid of clips for the coach: twelve for each of fifteen faults, sixty without any.

A clip is a rendered scene of a few seconds (`edge_models.simulate.scene`) that is good until the fault sets in, or
wrong from its start. The faults that the simulator does not know are staged here: a second person is a second scene
beside the first, a shine is painted where the face is, a tilt or a place is written into the course of the scene.
Two parts of the grid have other seeds and other levels: thresholds are set on one and judged on the other. The rule
for masks was changed after the part `judge` had been looked at once (covered was 9 of 12 then).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_models.simulate import scene
from edge_models.simulate.camera import Timing
from edge_models.simulate.portrait import Cover
from edge_models.simulate.scene import Scene, Timeline
from edge_models.types import ByteArray, FloatArray, Frame, Reason

CLIPS_PER_FAULT = 12
GOOD_CLIPS = 60
FOUND_WITHIN_S = 2.0
_AFTER_S = FOUND_WITHIN_S + 0.5
_GOOD_S = 4.0
_MOVES_S = 0.5
"""How long it takes to move or to tilt the head."""


class Part(StrEnum):
    """Thresholds were set while looking at TUNE; what is said of the coach is measured on JUDGE."""

    TUNE = "tune"
    JUDGE = "judge"


@dataclass(frozen=True, slots=True)
class Shine:
    """A mirror image of a lamp. x, y: from the middle of the face, radius: all in face widths. strength in 0..1."""

    x: float
    y: float
    radius: float
    strength: float


@dataclass(frozen=True, slots=True)
class CoachClip:
    """One clip. fault: what is provoked, None in a good one. also: what else is truly wrong.

    before: the scene until onset_s; after: from then on, of the same seed, duration and frame rate.
    What sets in at onset_s: tilt_deg of the head (clockwise); aside and down of the person, in parts of the picture's
    width and height (beside a neighbour: from the start); brighter_per_s: relative change of all light; syllables_hz:
    how fast the mouth opens and closes, to opening in 0..1; shines on the face. neighbour: whoever is in the picture
    too, right of split (part of the width), moved by neighbour_aside of it.
    mirrored: left is right.
    """

    name: str
    fault: Reason | None
    before: Scene
    after: Scene
    onset_s: float = 0.0
    also: frozenset[Reason] = frozenset()
    tilt_deg: float = 0.0
    aside: float = 0.0
    down: float = 0.0
    brighter_per_s: float = 0.0
    syllables_hz: float = 0.0
    opening: float = 0.0
    shines: tuple[Shine, ...] = ()
    neighbour: Scene | None = None
    split: float = 0.5
    neighbour_aside: float = 0.0
    mirrored: bool = False

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of the picture."""
        return self.before.width_px, self.before.height_px

    def frames(self, face_bgr: ByteArray) -> Iterator[Frame]:
        """The clip. face_bgr: the portrait, uint8 BGR [shape=(512, 512, 3)]."""
        early, late = self._course(self.before), self._course(self.after)
        good = early.t_s < self.onset_s
        if good.any():
            yield from self._filmed(self.before, _cut(early, good), face_bgr)
        beside: Iterator[Frame] | None = None
        if self.neighbour is not None:
            course = scene.timeline(self.neighbour)
            shift_px = self.neighbour_aside * self.neighbour.width_px
            beside = scene.render(
                self.neighbour,
                face_bgr,
                _cut(replace(course, dx_px=course.dx_px + shift_px), course.t_s >= self.onset_s),
            )
        bad = _cut(late, late.t_s >= self.onset_s)
        yield from self._filmed(self.after, bad, face_bgr, self.shines, beside)

    def _course(self, setting: Scene) -> Timeline:
        """The course of a scene with what sets in at the onset."""
        course = scene.timeline(setting)
        since_s = np.maximum(course.t_s - self.onset_s, 0.0)
        there = (course.t_s >= self.onset_s).astype(np.float64)
        rise = np.clip(since_s / _MOVES_S, 0.0, 1.0)
        if self.onset_s == 0 or self.neighbour is not None:  # sits so from the start
            rise = np.ones(course.t_s.size)
        gain = (1.0 + self.brighter_per_s) ** since_s[:, None]
        syllables = np.sin(2 * np.pi * self.syllables_hz * since_s + 0.7 * np.sin(2 * np.pi * 0.6 * since_s))
        return replace(
            course,
            roll_rad=course.roll_rad + rise * np.deg2rad(self.tilt_deg),
            dx_px=course.dx_px + rise * self.aside * setting.width_px,
            dy_px=course.dy_px + rise * self.down * setting.height_px,
            face_gain=course.face_gain * gain,
            background_gain=course.background_gain * gain,
            mouth=np.maximum(course.mouth, there * self.opening * (0.5 + 0.5 * syllables)),
        )

    def _filmed(
        self,
        setting: Scene,
        course: Timeline,
        face_bgr: ByteArray,
        shines: tuple[Shine, ...] = (),
        beside: Iterator[Frame] | None = None,
    ) -> Iterator[Frame]:
        places = scene.face_course_px(setting, course)
        split_px = round(self.split * setting.width_px)
        for frame, place in zip(scene.render(setting, face_bgr, course), places, strict=True):
            image = frame.image
            if beside is not None:
                image = np.concatenate([image[:, :split_px], next(beside).image[:, split_px:]], axis=1)
            for shine in shines:
                image = _shone(image, shine, place, setting.face_width_px)
            if self.mirrored:
                image = np.ascontiguousarray(image[:, ::-1])
            yield Frame(image, frame.t_s)


def _cut(course: Timeline, chosen: NDArray[np.bool_]) -> Timeline:
    """Some frames of a course."""
    return Timeline(**{part.name: getattr(course, part.name)[chosen] for part in fields(course)})


def _shone(image: ByteArray, shine: Shine, face_px: FloatArray, face_width_px: float) -> ByteArray:
    """The picture with a mirrored lamp on the face: white in the middle, soft at the edge."""
    x, y = face_px[0] + shine.x * face_width_px, face_px[1] + shine.y * face_width_px
    radius_px = shine.radius * face_width_px
    reach_px = 2.5 * radius_px
    left, top = max(0, round(x - reach_px)), max(0, round(y - reach_px))
    under = image[top : max(top, round(y + reach_px)), left : max(left, round(x + reach_px))]
    rows, columns = np.ogrid[top : top + under.shape[0], left : left + under.shape[1]]
    away = ((columns - x) ** 2 + (rows - y) ** 2) / radius_px**2
    share = shine.strength * np.minimum(1.0, 2.0 * np.exp(-away))[:, :, None]
    lit = image.copy()
    lit[top : top + under.shape[0], left : left + under.shape[1]] = np.round(under + share * (255.0 - under))
    return lit


@dataclass(frozen=True, slots=True)
class _Draw:
    """What one clip is made of. level: from 0 (mildest) to 1 (worst), another for every clip. turn: which it is."""

    usual: Scene
    rng: np.random.Generator
    turn: int
    level: float
    onset_s: float
    mirrored: bool

    def between(self, mild: float, grave: float) -> float:
        """A value at this clip's level."""
        return mild + (grave - mild) * self.level

    def any(self, low: float, high: float) -> float:
        """A value that has nothing to do with the level."""
        return float(self.rng.uniform(low, high))

    def either(self) -> float:
        """A sign: one way and the other take turns."""
        return 1.0 if self.turn % 2 else -1.0

    def clip(self, name: str, fault: Reason, after: Scene | None = None, **staged: Any) -> CoachClip:
        """A clip that is good until its onset; after: what it is then."""
        now = self.usual if after is None else after
        return CoachClip(
            name,
            fault,
            self.usual,
            now,
            self.onset_s,
            mirrored=self.mirrored,
            **staged,
        )

    def whole(self, name: str, fault: Reason, **changes: Any) -> CoachClip:
        """A clip that is wrong from its start."""
        setting = replace(self.usual, duration_s=_AFTER_S, **changes)
        return CoachClip(name, fault, setting, setting, mirrored=self.mirrored)


def _dark(draw: _Draw) -> CoachClip:
    # Light goes with the logarithm: from a fifteenth of a good light to a hundredth.
    brightness = float(np.exp(draw.between(np.log(0.05), np.log(0.008))))
    name = f"brightness {brightness:.3f}"
    if draw.turn % 3 == 0:
        return draw.whole(name, Reason.TOO_DARK, brightness=brightness)
    return draw.clip(name, Reason.TOO_DARK, replace(draw.usual, brightness=brightness))


def _backlit(draw: _Draw) -> CoachClip:
    # The exposure follows the window: the room clips and the face is dim.
    brightness, room = draw.between(0.3, 0.15), draw.between(8.0, 16.0)
    name = f"face {brightness:.2f}, room × {room:.1f}"
    if draw.turn % 3 == 0:
        return draw.whole(name, Reason.BACKLIT, brightness=brightness, room_light=room)
    return draw.clip(name, Reason.BACKLIT, replace(draw.usual, brightness=brightness, room_light=room))


def _uneven(draw: _Draw) -> CoachClip:
    # The portrait is lit from its left by about 1.4 to 1: less than this only evens it out.
    side = draw.between(0.77, 0.92)
    name = f"one side loses {side:.0%}"
    if draw.turn % 3 == 0:
        return draw.whole(name, Reason.UNEVEN_LIGHT, side_light=side)
    return draw.clip(name, Reason.UNEVEN_LIGHT, replace(draw.usual, side_light=side))


def _far(draw: _Draw) -> CoachClip:
    wide_px = draw.between(84.0, 44.0)
    return draw.whole(f"face {wide_px:.0f} px", Reason.TOO_FAR, face_width_px=wide_px)


def _near(draw: _Draw) -> CoachClip:
    share = draw.between(0.57, 0.8)
    return draw.whole(
        f"face {share:.0%} of the width", Reason.TOO_NEAR, face_width_px=share * draw.usual.width_px
    )


def _off_centre(draw: _Draw) -> CoachClip:
    if draw.turn % 3 == 2:
        down = draw.between(0.3, 0.45)
        return draw.clip(f"{down:.0%} of the height down", Reason.OFF_CENTRE, down=down)
    aside = draw.between(0.22, 0.42)
    return draw.clip(f"{aside:.0%} of the width aside", Reason.OFF_CENTRE, aside=draw.either() * aside)


def _tilted(draw: _Draw) -> CoachClip:
    tilt_deg = draw.between(16.0, 35.0)
    name = f"{tilt_deg:.0f}°"
    clip = draw.clip(name, Reason.TILTED, tilt_deg=draw.either() * tilt_deg)
    if draw.turn % 3 == 0:
        short = replace(draw.usual, duration_s=_AFTER_S)
        return replace(clip, before=short, after=short, onset_s=0.0)
    return clip


def _moving(draw: _Draw) -> CoachClip:
    kind = draw.turn % 3
    if kind == 0:
        px, hz = draw.between(14.0, 40.0), draw.any(0.7, 1.3)
        return draw.whole(f"nods by {px:.0f} px at {hz:.1f} Hz", Reason.MOTION, nod_px=px, nod_hz=hz)
    if kind == 1:
        deg, hz = draw.between(9.0, 22.0), draw.any(0.6, 1.0)
        return draw.whole(f"turns by {deg:.0f}° at {hz:.1f} Hz", Reason.MOTION, turn_deg=deg, turn_hz=hz)
    px = draw.between(35.0, 90.0)
    return draw.whole(
        f"shifts by about {px:.0f} px", Reason.MOTION, shift_px=px, shift_every_s=0.7, motion_px=3.0
    )


def _talking(draw: _Draw) -> CoachClip:
    opening, hz = draw.between(0.5, 1.0), draw.any(2.8, 5.0)
    return draw.clip(
        f"opens by {opening:.1f}, {hz:.1f} times a second",
        Reason.TALKING,
        opening=opening,
        syllables_hz=hz,
    )


def _covered(draw: _Draw) -> CoachClip:
    cover = Cover.MASK if draw.turn % 2 else Cover.HAND
    if draw.turn % 4 == 3:
        return draw.whole(f"{cover} from the start", Reason.COVERED, cover=cover)
    return draw.clip(f"{cover} comes", Reason.COVERED, replace(draw.usual, cover=cover))


def _glare(draw: _Draw) -> CoachClip:
    strength, radius = draw.between(0.75, 1.0), draw.between(0.07, 0.14)
    before = draw.usual
    places = (((-0.256, -0.19), (0.244, -0.17)), ((0.0, -0.34),), ((-0.2, 0.08),), ((0.2, 0.1),))[
        draw.turn % 4
    ]
    if len(places) == 2:
        before = replace(before, cover=Cover.GLASSES)
    clip = draw.clip(
        f"{'glasses' if len(places) == 2 else 'skin'}, {strength:.2f} over {2 * radius:.2f} face widths",
        Reason.GLARE,
        shines=tuple(Shine(x, y, radius, strength) for x, y in places),
    )
    return replace(clip, before=before, after=before)


def _two_faces(draw: _Draw) -> CoachClip:
    wide_px = draw.any(110.0, 150.0)
    size = draw.between(0.95, 0.5)
    mine = replace(draw.usual, face_width_px=wide_px)
    other = replace(mine, face_width_px=size * wide_px, skin_type=1 + (mine.skin_type + 2) % 6, motion_px=1.0)
    clip = draw.clip(
        f"a second one, {size:.0%} as wide",
        Reason.TWO_FACES,
        neighbour=other,
        split=0.62,
        neighbour_aside=0.3,
        aside=-0.12,
    )
    return replace(clip, before=mine, after=mine)


def _low_frame_rate(draw: _Draw) -> CoachClip:
    fps = draw.between(12.0, 5.0)
    timing = Timing.UNEVEN if draw.turn % 3 == 1 else Timing.STEADY
    return draw.whole(f"{fps:.1f} fps, {timing}", Reason.LOW_FRAME_RATE, fps=fps, timing=timing)


def _exposure_drift(draw: _Draw) -> CoachClip:
    size = draw.between(0.16, 0.5)
    gain = 1.0 + size if draw.turn % 2 else 1.0 / (1.0 + size)
    if draw.turn % 3 == 0:  # a slow drift instead of a step
        return draw.clip(f"{gain - 1:+.0%} each second", Reason.EXPOSURE_DRIFT, brighter_per_s=gain - 1.0)
    steps = ((draw.onset_s, gain),)
    setting = replace(draw.usual, exposure_steps=steps)
    return replace(
        draw.clip(f"a step of {gain - 1:+.0%}", Reason.EXPOSURE_DRIFT), before=setting, after=setting
    )


def _flicker(draw: _Draw) -> CoachClip:
    hz = 100.0 if draw.turn % 2 else 120.0
    fps = hz / 4 if draw.turn % 4 < 2 else hz / 5
    fps += draw.either() * draw.any(0.12, 0.6)  # seen at 0.5 to 3 Hz
    if draw.turn % 3 == 2:
        fps = 30.0 if hz == 100.0 else 25.0  # seen at 10 or 5 Hz
    exposure_s, depth = draw.any(0.003, 0.006), draw.between(0.1, 0.4)
    rolling_s = 0.0 if draw.turn % 3 == 0 else draw.any(0.01, 0.025)
    return draw.whole(
        f"{hz:.0f} Hz of {depth:.0%} at {fps:.1f} fps",
        Reason.FLICKER,
        flicker_hz=hz,
        flicker_depth=depth,
        exposure_s=exposure_s,
        rolling_s=rolling_s,
        fps=fps,
        jitter_s=0.0,  # a sensor's own clock is that even; what trembles are the times that are told
    )


FAULTS: dict[Reason, Callable[[_Draw], CoachClip]] = {
    Reason.TOO_DARK: _dark,
    Reason.BACKLIT: _backlit,
    Reason.UNEVEN_LIGHT: _uneven,
    Reason.TOO_FAR: _far,
    Reason.TOO_NEAR: _near,
    Reason.OFF_CENTRE: _off_centre,
    Reason.TILTED: _tilted,
    Reason.MOTION: _moving,
    Reason.TALKING: _talking,
    Reason.COVERED: _covered,
    Reason.GLARE: _glare,
    Reason.TWO_FACES: _two_faces,
    Reason.LOW_FRAME_RATE: _low_frame_rate,
    Reason.EXPOSURE_DRIFT: _exposure_drift,
    Reason.FLICKER: _flicker,
}
"""The fifteen faults, and how each is provoked."""


def clips(part: Part) -> Iterator[CoachClip]:
    """The whole part of the grid, always the same: the faults in order, then the good clips."""
    seeds = count(300_000 if part is Part.TUNE else 400_000)
    for fault, provoke in FAULTS.items():
        for turn in range(CLIPS_PER_FAULT):
            clip = provoke(_drawn(next(seeds), turn))
            yield replace(clip, name=f"{fault.value} {turn:02d}: {clip.name}", also=_also(clip))
    for turn in range(GOOD_CLIPS):
        yield _good(next(seeds), turn)


def _drawn(seed: int, turn: int) -> _Draw:
    rng = np.random.default_rng([seed, 77])
    onset_s = float(rng.uniform(1.0, 1.5))
    usual = Scene(
        seed=seed,
        duration_s=onset_s + _AFTER_S,
        skin_type=1 + (turn * 5 + seed // CLIPS_PER_FAULT) % 6,
        face_width_px=float(rng.uniform(120.0, 220.0)),
        brightness=float(rng.uniform(0.5, 0.8)),
        motion_px=float(rng.uniform(0.3, 1.2)),
        sway_deg=float(rng.uniform(0.1, 0.5)),
        heart_rate_bpm=float(rng.uniform(50.0, 100.0)),
        fps=(30.0, 25.0, 30.0, 20.0)[turn % 4],
        jitter_s=0.002,
        denoise=(0.0, 0.3)[turn // 2 % 2],
        jpeg_quality=(None, 90, 80)[turn % 3],
    )
    # Stratified: each twelfth of the range has one clip, in a shuffled order of kinds.
    level = ((turn * 7) % CLIPS_PER_FAULT + float(rng.uniform())) / CLIPS_PER_FAULT
    return _Draw(usual, rng, turn, level, onset_s, mirrored=bool(rng.uniform() < 0.5))


def _good(seed: int, turn: int) -> CoachClip:
    """An ordinary picture: all skin types, sizes from 15 to 50 % of the width, light from one side or a lamp behind."""
    rng = np.random.default_rng([seed, 78])
    level = (turn * 37 % GOOD_CLIPS + float(rng.uniform())) / GOOD_CLIPS
    skin_type = 1 + turn % 6
    wide_px = 640.0 * (0.15 + 0.35 * level) + 1.0
    setting = Scene(
        seed=seed,
        duration_s=_GOOD_S,
        skin_type=skin_type,
        face_width_px=wide_px,
        brightness=float(rng.uniform(0.35 if skin_type > 4 else 0.2, 0.85)),
        side_light=float(rng.uniform(0.0, 0.3)),
        room_light=float(rng.uniform(0.5, 1.6)),
        screen_light=0.03 if turn % 5 == 4 else 0.0,
        motion_px=float(rng.uniform(0.3, 2.5)) * wide_px / 170.0,
        sway_deg=float(rng.uniform(0.1, 1.2)),
        nod_px=float(rng.uniform(0.0, 2.0)) * wide_px / 170.0 if turn % 3 == 1 else 0.0,
        heart_rate_bpm=float(rng.uniform(50.0, 120.0)),
        fps=(30.0, 25.0, 15.0, 30.0, 60.0, 24.0, 20.0, 30.0, 15.5, 29.97)[turn // 6 % 10],
        jitter_s=0.003,
        cover=Cover.GLASSES if turn % 4 == 3 else Cover.NOTHING,
        denoise=(0.0, 0.4)[turn // 3 % 2],
        jpeg_quality=(None, 90, 75)[turn // 2 % 3],
    )
    name = f"good {turn:02d}: type {skin_type}, {wide_px / 640.0:.0%} of the width, {setting.fps:g} fps"
    clip = CoachClip(name, None, setting, setting, mirrored=bool(turn // 6 % 2))
    aside, down = float(rng.uniform(-0.1, 0.1)), float(rng.uniform(-0.02, 0.06))
    return replace(clip, tilt_deg=float(rng.uniform(-6.0, 6.0)), aside=aside, down=down)


def _also(clip: CoachClip) -> frozenset[Reason]:
    """What else is truly wrong with the picture after the onset."""
    now, also = clip.after, set[Reason]()
    if now.face_width_px < 90.0:
        also.add(Reason.TOO_FAR)
    beside = abs(clip.aside) * now.width_px + 0.5 * now.face_width_px > 0.5 * now.width_px
    if beside or now.face_width_px > 0.7 * now.width_px:
        also.add(Reason.OFF_CENTRE)  # a part of it is outside
    if clip.onset_s > 0 and clip.neighbour is None and (clip.aside, clip.down, clip.tilt_deg) != (0, 0, 0):
        also.add(Reason.MOTION)  # on the way there
    if now.brightness <= 0.05:
        also.add(Reason.TOO_DARK)
    if clip.fault in (Reason.EXPOSURE_DRIFT, Reason.FLICKER):
        also.add(Reason.LIGHT_CHANGES)
    if clip.onset_s > 0 and clip.fault in (Reason.TOO_DARK, Reason.BACKLIT, Reason.UNEVEN_LIGHT):
        also |= {Reason.LIGHT_CHANGES, Reason.EXPOSURE_DRIFT}  # all at once, at the onset
    return frozenset(also - {clip.fault})
