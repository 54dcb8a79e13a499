"""The coach's eyes: what is wrong with the picture now, and the one thing to say about it.

Fifteen faults are looked for a few times a second in the skin samples of the last two seconds. Each `…_found`
is a pure function of what its fault shows itself in. The thresholds were set on rendered clips (the part `tune` of
`client.evaluation.coach_grid`) and held against three recordings of real people. The rule for masks was
changed after the part `judge` had been looked at once (covered was 9 of 12 then).
"""

from __future__ import annotations

import itertools
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_models.face import BACKGROUND_COLS, BACKGROUND_ROWS, COLS, ROWS, SkinSample
from edge_models.quality import FrameVerdict
from edge_models.types import Box, Float32Array, FloatArray, Reason

LOOK_EVERY_S = 0.25
MEMORY_S = 1.6
_NOW_S = 0.5
_COURSE_S = 0.8
"""Motion and talking are judged over so long: a syllable or a sway, not a frame."""
_LOOKS_TO_BELIEVE = 2
_SHOWN_AT_LEAST_S = 0.8
_GAMMA = 2.2

_LOW_FPS = 13.5
"""Below 15 by as much as uneven frame times scatter in two seconds."""
_OFF_MIDDLE_X, _OFF_MIDDLE_Y, _WHOLE = 0.18, 0.22, 0.95
_MOST_TILT_RAD = np.deg2rad(13.0)
_MOVING_WIDTHS_PER_S, _TURNING_RAD_PER_S = 0.12, 0.15
_JUMP_WIDTHS = 0.3
_LIGHT_GONE = 1.6
"""Of the code of the whole picture: nearly three times the light."""
_BRIGHT_LIGHT, _BRIGHT_OVER_FACE = 0.5, 4.5
_WHITE_LEVEL, _WHITE_SHARE, _WHITE_OVER_FACE = 240.0, 0.2, 3.0
_UNEVEN_LOG = 0.58
"""Light 1.8 times as strong on one side; the simulator's portrait, lit from its left, has up to 0.48."""
_SHINES_OVER_FACE, _SHINE_PALER, _SHINY_CELLS, _PURE_WHITE, _LEAST_SHINE = 1.9, 0.6, 2, 235.0, 120.0
_LESS_RED, _OFF_COLOUR_SHARE, _NOSE_SHARE, _LEAST_RED_LOG = 0.45, 0.7, 0.6, 0.12
_BLUISH_LOG, _BLUISH_SHARE, _SHORT_WIDTHS, _SHORT_SHARE = -0.08, 0.45, 0.95, 0.7
_DETAIL_CHANGE, _CHANGED_SHARE, _CHANGED_BY_LIGHT = 0.07, 0.06, 0.3
"""Light that comes from the side all at once changes some detail at the edge of its shadow."""
_COVER_FORGOTTEN_LOOKS = 40
_DIM_LEVEL = 45.0
"""Of a darker face a codec leaves so little detail that its changes say nothing."""
_MOUTH_MOVES, _MOUTH_OVER_FACE, _SPEAKS_SHARE = 0.02, 2.5, 0.65
_FLICKER_LOG, _FLICKER_SHARE, _FLICKER_EVEN = 0.008, 0.6, 0.25
_LIGHT_STEP_LOG, _FACE_STEP_LOG = 0.08, 0.15
_LEAST_FLICKER_S, _LEAST_DRIFT_S = 0.5, 0.9
_BAND_LOG, _BANDS_ALIKE, _EDGE_COLS, _STRONG_FLICKER = 0.012, 0.7, 3, 0.05
_MAINS_HZ, _SLOW_HZ, _RETURNS = (100.0, 120.0), 3.0, 0.6

MOST_USEFUL_FIRST: tuple[Reason, ...] = (
    Reason.NO_FACE,
    Reason.FACE_LEFT,
    Reason.TOO_DARK,
    Reason.TOO_BRIGHT,
    Reason.BACKLIT,
    Reason.TWO_FACES,
    Reason.TOO_FAR,
    Reason.TOO_NEAR,
    Reason.OFF_CENTRE,
    Reason.TILTED,
    Reason.MOTION,
    Reason.GLARE,
    Reason.COVERED,
    Reason.TALKING,
    Reason.UNEVEN_LIGHT,
    Reason.LOW_FRAME_RATE,
    Reason.FLICKER,
    Reason.EXPOSURE_DRIFT,
    Reason.LIGHT_CHANGES,
)
"""What is said when several things are wrong: first what hides the pulse altogether or is the cause of others."""

_GRAVE = {Reason.NO_FACE, Reason.FACE_LEFT, Reason.TOO_DARK}
_PASSING = {
    Reason.MOTION,
    Reason.TALKING,
    Reason.FLICKER,
    Reason.EXPOSURE_DRIFT,
    Reason.LIGHT_CHANGES,
}
"""What often comes with another fault for a moment: it gives way to a more useful one."""

_LIKE_FLICKER = {Reason.MOTION, Reason.TALKING, Reason.COVERED}

_EXPLAINED_BY = {
    Reason.UNEVEN_LIGHT: {Reason.TOO_DARK, Reason.OFF_CENTRE, Reason.TOO_NEAR, Reason.COVERED, Reason.GLARE},
    Reason.TILTED: {Reason.TOO_DARK},
    Reason.GLARE: {Reason.TOO_BRIGHT},
    Reason.COVERED: {Reason.TOO_DARK, Reason.OFF_CENTRE, Reason.MOTION},
    Reason.OFF_CENTRE: {Reason.TOO_NEAR},
    Reason.TALKING: {Reason.MOTION},
    Reason.LIGHT_CHANGES: {
        Reason.MOTION,
        Reason.COVERED,
        Reason.GLARE,
        Reason.EXPOSURE_DRIFT,
        Reason.FLICKER,
    },
    Reason.EXPOSURE_DRIFT: {Reason.FLICKER},
}
"""A fault that the others of its set bring about: it is not said beside them."""


def _cells(rows: slice, cols: slice) -> NDArray[np.bool_]:
    chosen = np.zeros((ROWS, COLS), np.bool_)
    chosen[rows, cols] = True
    return chosen


_DOWN, _ACROSS = np.mgrid[0:ROWS, 0:COLS]
_FACE = ((_ACROSS - (COLS - 1) / 2) / 5.0) ** 2 + ((_DOWN - 9.0) / 7.5) ** 2 < 1
_ABOVE_MOUTH = _FACE & (_DOWN < 10)
_MOUTH = _cells(slice(11, 16), slice(4, 10))
_STILL = _cells(slice(3, 5), slice(3, 11)) | _cells(slice(7, 10), slice(3, 11))
"""Forehead and cheeks: they move with the head, and not with mouth or lids."""
_MAY_SHINE = _cells(slice(2, 17), slice(2, 12)) & ~_cells(slice(11, 15), slice(4, 10)) & _FACE
"""Skin and glasses, without the teeth, and without the wall beside a chin."""
_UPPER = _cells(slice(2, 5), slice(3, 11))
_UNDER_MASK = _cells(slice(10, 16), slice(3, 11))
_LOWEST = _cells(slice(15, 18), slice(3, 11))
_NOSE = _cells(slice(9, 12), slice(5, 9))


@dataclass(frozen=True, slots=True)
class _Look:
    """What is remembered of one frame."""

    sample: SkinSample
    verdict: FrameVerdict


class Coach:
    """Looks at every sample in order; `hint` is the one thing to say now, `present` all that is wrong now."""

    def __init__(self) -> None:
        self.hint: Reason | None = None
        self.present: tuple[Reason, ...] = ()
        self._memory: deque[_Look] = deque()
        self._next_look_s = 0.0
        self._found_at: Counter[Reason] = Counter()
        self._missed_at: Counter[Reason] = Counter()
        self._looks = 0
        self._looks_with: Counter[Reason] = Counter()
        self._hint_since_s = -np.inf
        self._cover = _Cover()

    def take(self, sample: SkinSample, verdict: FrameVerdict, *, frame_size_px: tuple[int, int]) -> None:
        """See one frame. frame_size_px: (width, height) of the picture."""
        self._memory.append(_Look(sample, verdict))
        if sample.t_s < self._next_look_s:
            return
        if sample.t_s - self._next_look_s > MEMORY_S:  # after a pause of the source nothing is believed yet
            self._memory = deque([self._memory[-1]])
        self._next_look_s = sample.t_s + LOOK_EVERY_S
        while self._memory[0].sample.t_s < sample.t_s - MEMORY_S - 1e-6:
            self._memory.popleft()
        self._believe(self._find(frame_size_px))
        self._choose(sample.t_s)

    def often(self, share: float) -> tuple[Reason, ...]:
        """The faults that were there in more than that share of all looks, most frequent first."""
        return tuple(r for r, count in self._looks_with.most_common() if count > share * self._looks)

    def _believe(self, found: set[Reason]) -> None:
        """One look may err: a fault comes and goes after two that agree."""
        for reason in {*found, *self.present, *self._found_at}:
            if reason in found:
                self._found_at[reason] += 1
                self._missed_at[reason] = 0
            else:
                self._missed_at[reason] += 1
                if self._missed_at[reason] >= _LOOKS_TO_BELIEVE:
                    del self._found_at[reason]
        there = {r for r, count in self._found_at.items() if count >= _LOOKS_TO_BELIEVE}
        self.present = tuple(
            r for r in MOST_USEFUL_FIRST if r in there and not there & _EXPLAINED_BY.get(r, set())
        )
        self._looks += 1
        self._looks_with.update(self.present)

    def _choose(self, now_s: float) -> None:
        """Stay with what is said until it is cured, unless it may pass by itself, or now the face is gone."""
        wanted = self.present[0] if self.present else None
        if self.hint in self.present and self.hint not in _PASSING and wanted not in _GRAVE:
            return
        if self.hint is not None and now_s - self._hint_since_s < _SHOWN_AT_LEAST_S:
            return
        if wanted is not self.hint:
            self.hint, self._hint_since_s = wanted, now_s

    def _find(self, frame_size_px: tuple[int, int]) -> set[Reason]:
        """Everything that one look finds wrong."""
        now = self._memory[-1].sample
        recent = [look for look in self._memory if look.sample.t_s > now.t_s - _NOW_S]
        samples = [look.sample for look in self._memory]
        judged = Counter(r for look in recent for r in look.verdict.reasons)
        found: set[Reason] = {
            r for r, count in judged.items() if count > 0.5 * len(recent) and r is not Reason.MOTION
        }
        t_s = np.array([s.t_s for s in samples])
        if low_frame_rate_found(t_s):
            found.add(Reason.LOW_FRAME_RATE)
        if now.face is None:
            self._cover = _Cover()
            return found
        same = [look.sample for look in recent if look.sample.key == now.key]
        cells = _stacked(same).mean(axis=0)
        light = (np.maximum(cells, 1.0) / 255.0) ** _GAMMA
        if off_centre_found(now.face, frame_size_px, now.visible):
            found.add(Reason.OFF_CENTRE)
        if sum(abs(s.tilt) > _MOST_TILT_RAD for s in same) > 0.5 * len(same):
            found.add(Reason.TILTED)
        course = [s for s in samples if s.t_s > now.t_s - _COURSE_S]
        levels = [float(s.background.mean()) for s in course]
        if max(levels) < _LIGHT_GONE * min(
            levels
        ):  # a lamp that goes off leads the tracker astray for a moment
            if motion_found(course):
                found.add(Reason.MOTION)
            if talking_found(course):
                found.add(Reason.TALKING)
        outside = _outside(now.face, frame_size_px)
        if backlit_found(now.background[outside], light):
            found.add(Reason.BACKLIT)
        if uneven_found(light):
            found.add(Reason.UNEVEN_LIGHT)
        steady = not found & {Reason.MOTION, Reason.TALKING}
        share = _CHANGED_BY_LIGHT if Reason.UNEVEN_LIGHT in found else _CHANGED_SHARE
        looked_at = _ABOVE_MOUTH if Reason.TALKING in found else _FACE
        changed = self._cover.found(cells, now.key, looked_at, steady=steady, share=share)
        if mask_found(light, now.face):  # white cloth shines as well
            found.add(Reason.COVERED)
        elif glare_found(cells, light):  # and a shine that comes hides what was there
            found.add(Reason.GLARE)
        elif changed and _median(cells[_FACE]) > _DIM_LEVEL:
            found.add(Reason.COVERED)
        found |= light_found(t_s, samples, outside)
        if Reason.FLICKER in found and _flickers_strongly(samples, outside):
            found -= _LIKE_FLICKER
        return found


def low_frame_rate_found(t_s: FloatArray) -> bool:
    """Whether frames come too slowly, by the times of about two seconds. One long gap is a hiccup and not counted."""
    if len(t_s) < 4 or t_s[-1] - t_s[0] < 0.9:
        return False
    interval_s = np.diff(t_s)
    return bool((len(interval_s) - 1) / (interval_s.sum() - interval_s.max()) < _LOW_FPS)


def off_centre_found(face: Box, frame_size_px: tuple[int, int], visible: float) -> bool:
    """Whether the face is at the edge of the picture or partly outside."""
    width, height = frame_size_px
    x, y = face.centre
    return visible < _WHOLE or abs(x / width - 0.5) > _OFF_MIDDLE_X or abs(y / height - 0.5) > _OFF_MIDDLE_Y


def motion_found(samples: Sequence[SkinSample]) -> bool:
    """Whether the face moves or turns so fast on average that cells smear. samples: the last second or so."""
    key = np.array([s.key if s.face is not None else -1 for s in samples])
    if len(samples) < 4:
        return False
    jumps = [
        abs(complex(*a.face.centre) - complex(*b.face.centre)) / b.face.width > _JUMP_WIDTHS
        for a, b in itertools.pairwise(samples)
        if a.key != b.key and a.face is not None and b.face is not None
    ]
    if any(jumps):
        return True
    t_s = np.array([s.t_s for s in samples])
    lag = _lag(t_s, 0.13)
    motion = np.array([s.motion for s in samples])
    step = (motion[lag:] - motion[:-lag])[(key[lag:] == key[:-lag]) & (key[lag:] >= 0)]
    elapsed_s = (t_s[lag:] - t_s[:-lag])[(key[lag:] == key[:-lag]) & (key[lag:] >= 0)]
    if len(step) < 3:
        return False
    speed = (step[:, 0] ** 2 + step[:, 1] ** 2) / elapsed_s**2
    turning = (step[:, 2] / elapsed_s) ** 2
    return bool(speed.mean() > _MOVING_WIDTHS_PER_S**2 or turning.mean() > _TURNING_RAD_PER_S**2)


def talking_found(samples: Sequence[SkinSample]) -> bool:
    """Whether the cells around the mouth change much more than those of forehead and cheeks."""
    colour = _stacked([s for s in samples if s.key == samples[-1].key])
    if len(colour) < 5:
        return False
    seen = (colour[:, :, :, 0] + colour[:, :, :, 1] + colour[:, :, :, 2]) / 3
    mean = seen.mean(axis=0)
    lag = _lag(np.array([s.t_s for s in samples[-len(seen) :]]), 0.1)
    # Something that comes before the mouth changes it once, lips that speak change it most of the time.
    rank = int(_SPEAKS_SHARE * (len(seen) - lag))
    step = np.partition(np.abs(seen[lag:] - seen[:-lag]), rank, axis=0)[rank]
    change = step / np.maximum(mean, 0.2 * mean.mean())
    mouth = float(np.partition(change[_MOUTH], -8)[-8])  # a quarter of the cells change at least so much
    return mouth > _MOUTH_MOVES and mouth > _MOUTH_OVER_FACE * _median(change[_STILL])


def backlit_found(outside: Float32Array, light: FloatArray) -> bool:
    """Whether the room behind is far brighter than the face.

    outside: levels of the background cells beside the person [shape=(n, 3)]. light: linear light of the face's cells.
    """
    if len(outside) < 8:
        return False
    face = _median(light[_FACE].mean(axis=1))
    behind = ((np.maximum(outside, 1.0) / 255.0) ** _GAMMA).mean(axis=1)
    bright = float(np.percentile(behind, 75))
    white = float(np.mean(outside.min(axis=1) > _WHITE_LEVEL))
    return (bright > _BRIGHT_LIGHT and bright > _BRIGHT_OVER_FACE * face) or (
        white > _WHITE_SHARE and face * _WHITE_OVER_FACE < 1.0
    )


def uneven_found(light: FloatArray) -> bool:
    """Whether one half of the face gets much more light than the other. light: linear, of the cells."""
    level = np.log(light.mean(axis=2))[5:14]
    return abs(_median(level[:, 1:6] - level[:, ::-1][:, 1:6])) > _UNEVEN_LOG


def glare_found(cells: FloatArray, light: FloatArray) -> bool:
    """Whether skin or glasses shine: places far brighter than the face and paler than it."""
    level, seen = light.mean(axis=2), cells[_MAY_SHINE]
    over_face = level[_MAY_SHINE] / _median(level[_FACE])
    pale = 1.0 - seen.min(axis=1) / np.maximum(seen.max(axis=1), 1.0)
    shiny = (over_face > _SHINES_OVER_FACE) & (pale < _SHINE_PALER * _median(pale))
    shiny &= seen.min(axis=1) > _LEAST_SHINE  # glasses mirror some of the room, which shows before dark skin
    return bool(shiny.sum() >= _SHINY_CELLS or (seen.min(axis=1) > _PURE_WHITE).sum() >= _SHINY_CELLS)


def mask_found(light: FloatArray, face: Box) -> bool:
    """Whether nose, mouth and chin lack the red of the forehead. A beard leaves the nose free.

    light: linear, of the cells [shape=(ROWS, COLS, 3)]. face: the box they were laid over.
    """
    red = np.log(light[:, :, 0] / light[:, :, 1])
    skin = _median(red[_UPPER])
    if skin < _LEAST_RED_LOG:
        return False  # a picture without colour
    off = red < _LESS_RED * skin
    under = float(off[_UNDER_MASK].mean())
    if float((red < _BLUISH_LOG)[_UNDER_MASK].mean()) > _BLUISH_SHARE:
        return True  # cloth: no beard is bluish beside a forehead that is not
    if face.height < _SHORT_WIDTHS * face.width and bool((red[_LOWEST] < _BLUISH_LOG).mean() > _SHORT_SHARE):
        return True  # of a masked face the net's box often ends just below the mask's upper edge
    return under > _OFF_COLOUR_SHARE and float(off[_NOSE].mean()) > _NOSE_SHARE


class _Cover:
    """Notices that a part of the face no longer looks as it did: a hand, hair, a cup.

    Only detail finer than five cells counts: light that changes leaves it as it is.
    """

    def __init__(self) -> None:
        self._usual: Float32Array | None = None
        self._key = -1
        self._covered_looks = 0

    def found(
        self, cells: FloatArray, key: int, looked_at: NDArray[np.bool_], *, steady: bool, share: float
    ) -> bool:
        """Whether it is covered now.

        looked_at: the cells that count [shape=(ROWS, COLS)]. steady: neither head nor mouth moves; otherwise nothing new
        is learnt. share: part of the cells that must look different.
        """
        grey = np.log(np.maximum(cells.mean(axis=2), 4.0)).astype(np.float32)
        detail = grey - np.asarray(cv2.blur(grey, (5, 5), borderType=cv2.BORDER_REFLECT), np.float32)
        if self._usual is None or key != self._key:
            self._usual, self._key, self._covered_looks = detail, key, 0
            return False
        changed = np.abs(detail - self._usual)[looked_at] > _DETAIL_CHANGE
        covered = bool(changed.mean() > share)
        self._covered_looks = self._covered_looks + 1 if covered else 0
        if self._covered_looks > _COVER_FORGOTTEN_LOOKS:  # whatever it is, it belongs to the picture
            self._usual = detail
        elif steady and not covered:
            self._usual = self._usual + np.float32(0.1) * (detail - self._usual)
        return covered and (steady or self._covered_looks > 1)


def light_found(t_s: FloatArray, samples: Sequence[SkinSample], outside: NDArray[np.bool_]) -> set[Reason]:
    """Flicker, exposure that drifts or steps, light that changes on the face alone.

    outside: the background cells beside the person [shape=(BACKGROUND_ROWS, BACKGROUND_COLS)].
    """
    if len(samples) < 8 or t_s[-1] - t_s[0] < _LEAST_FLICKER_S or outside.sum() < 8:
        return set()
    level = np.array([s.background for s in samples])[:, :, :, 1]
    mean = level.mean(axis=0)
    change = level / np.maximum(mean, 1.0) - 1.0
    change *= np.float32(_GAMMA)  # of light, not of code
    usable = outside & (mean > 8.0) & (mean < 245.0)
    if usable.sum() < 8:
        return set()
    rows = _by_row(change, usable)
    if len(rows) and flicker_found(rows, t_s):
        return {Reason.FLICKER}
    if t_s[-1] - t_s[0] < _LEAST_DRIFT_S:
        return set()
    if bands_found(change, usable):
        return {Reason.FLICKER}
    whole = _medians(change[:, usable])
    kernel = np.ones(max(1, len(t_s) // 8)) / max(1, len(t_s) // 8)
    smooth = np.convolve(whole, kernel, "valid")
    room = float(smooth.max() - smooth.min())
    colour = _stacked([s for s in samples if s.key == samples[-1].key])
    if len(colour) < len(samples):
        return set()
    seen = colour[:, _STILL].reshape(len(colour), -1, 3).mean(axis=2)
    # The median: a shine or a finger is not the light.
    lit = _medians(seen / np.maximum(seen.mean(axis=0), 1.0))
    face = np.convolve(lit - 1.0, kernel, "valid") * _GAMMA
    swing = float(face.max() - face.min())
    if room > _LIGHT_STEP_LOG and swing > 0.4 * room and float(np.corrcoef(face, smooth)[0, 1]) > 0.5:
        returned = abs(float(smooth[-1] - smooth[0])) < _RETURNS * room
        return {Reason.FLICKER if _mains_is_slow(t_s, returned=returned) else Reason.EXPOSURE_DRIFT}
    return {Reason.LIGHT_CHANGES} if swing > _FACE_STEP_LOG and room < 0.5 * swing else set()


def _by_row(change: Float32Array, chosen: NDArray[np.bool_]) -> Float32Array:
    """The median change of each background row with two chosen cells or more [shape=(rows, frames)].

    change: by frame and background cell. chosen: [shape=(BACKGROUND_ROWS, BACKGROUND_COLS)].
    """
    kept = [k for k in range(len(chosen)) if chosen[k].sum() > 1]
    return np.array([_medians(change[:, k, chosen[k]]) for k in kept], np.float32)


def bands_found(change: Float32Array, usable: NDArray[np.bool_]) -> bool:
    """Whether rows get brighter and darker against each other, on both sides of the person alike.

    That is a lamp's flicker seen by a sensor that exposes row after row, at any speed; neither exposure nor anybody who
    moves does it. change: relative, of light, by frame and background cell. usable: the cells to look at.
    """
    edges = (slice(0, _EDGE_COLS), slice(-_EDGE_COLS, None))  # far from shoulders that rise with the breath
    both = usable[:, edges[0]].all(axis=1) & usable[:, edges[1]].all(axis=1)
    if both.sum() < 4:
        return False
    width = both.sum()
    left, right = (
        _medians(change[:, both, edge].reshape(-1, _EDGE_COLS)).reshape(-1, width).T for edge in edges
    )
    left, right = left - left.mean(axis=0), right - right.mean(axis=0)
    strength = float(np.mean(left * right))
    scale = float(np.sqrt(np.mean(left * left) * np.mean(right * right)))
    return strength > _BAND_LOG**2 and strength > _BANDS_ALIKE * scale


def _flickers_strongly(samples: Sequence[SkinSample], outside: NDArray[np.bool_]) -> bool:
    """Whether bands of light over the face may look like lips or a hand, and lead the tracker astray."""
    level = np.array([s.background[outside, 1] for s in samples])
    return _median(level.std(axis=0) / np.maximum(level.mean(axis=0), 1.0)) * _GAMMA > _STRONG_FLICKER


def flicker_found(rows: Float32Array, t_s: FloatArray) -> bool:
    """Whether the room's light alternates at one frequency, everywhere at once or in bands that travel.

    rows: relative change of light by background row and frame [shape=(rows, frames)]. From two periods on.
    """
    count = rows.shape[1]
    if count < 8:
        return False
    place = np.linspace(-1.0, 1.0, count)
    slope = rows @ place / (place @ place)
    level = rows - rows.mean(axis=1, keepdims=True) - slope[:, None] * place
    power = (np.abs(np.fft.rfft(level * np.hanning(count), axis=1)) ** 2).mean(axis=0)
    power[0] = 0.0
    peak = int(power.argmax())
    if peak < (2 if t_s[-1] - t_s[0] > _LEAST_DRIFT_S else 3):
        return False
    # A step is over at once, flicker goes on: it changes as much in each third of the time.
    change = (np.diff(level, axis=1) ** 2).mean(axis=0)
    thirds = [float(part.mean()) for part in np.array_split(change, 3)]
    if min(thirds) < _FLICKER_EVEN * max(thirds):
        return False
    near = float(power[peak - 1 : peak + 2].sum())
    amplitude = float(np.sqrt(near * 8 / 3)) / count * np.sqrt(2)
    return near > _FLICKER_SHARE * float(power.sum()) and amplitude > _FLICKER_LOG


def _mains_is_slow(t_s: FloatArray, *, returned: bool) -> bool:
    """Whether a change of light may be a lamp on the mains that this frame rate slows down to below 3 Hz.

    returned: whether the light went back to where it began; flicker must, once it had the time for it.
    """
    interval_s = np.diff(t_s)
    number = np.concatenate(
        [[0.0], np.cumsum(np.round(interval_s / np.median(interval_s)))]
    )  # some may be lost
    number -= number.mean()
    fps = float(number @ number) / float(number @ t_s)
    aliases_hz = [abs(hz - round(hz / fps) * fps) for hz in _MAINS_HZ]
    periods = [hz * float(t_s[-1] - t_s[0]) for hz in aliases_hz if 0.25 < hz < _SLOW_HZ]
    return any(returned or count < 1.2 for count in periods)


def _stacked(samples: Sequence[SkinSample]) -> Float32Array:
    """The cells of those that have a face [shape=(n, ROWS, COLS, 3)]."""
    seen = [s.cells for s in samples if s.cells is not None]
    return np.array(seen, np.float32).reshape(-1, ROWS, COLS, 3)


def _medians(values: Float32Array) -> Float32Array:
    """The median of each row [shape=(n, k)] → [shape=(n,)].

    Written out here because numpy's median of a few numbers costs ten times as much: half of what a look costs.
    """
    ordered, count = np.sort(values, axis=1), values.shape[1]
    return np.asarray((ordered[:, (count - 1) // 2] + ordered[:, count // 2]) / 2, np.float32)


def _median(values: NDArray[np.floating]) -> float:
    """The median of all values."""
    ordered, count = np.sort(values, axis=None), values.size
    return float(ordered[(count - 1) // 2] + ordered[count // 2]) / 2


def _outside(face: Box, frame_size_px: tuple[int, int]) -> NDArray[np.bool_]:
    """The background cells beside head and shoulders [shape=(BACKGROUND_ROWS, BACKGROUND_COLS)]."""
    x = (np.arange(BACKGROUND_COLS) + 0.5) / BACKGROUND_COLS * frame_size_px[0]
    y = (np.arange(BACKGROUND_ROWS) + 0.5) / BACKGROUND_ROWS * frame_size_px[1]
    centre_x, _ = face.centre
    head = np.abs(x - centre_x) < 0.9 * face.width
    body = np.abs(x - centre_x) < 1.6 * face.width
    over = y < face.y - 0.4 * face.height
    under = y > face.y + 1.1 * face.height
    return ~(np.outer(~over, head) | np.outer(under, body))


def _lag(t_s: FloatArray, lag_s: float) -> int:
    """How many frames later a moment lag_s later is, at least one."""
    interval_s = float(t_s[-1] - t_s[0]) / max(1, len(t_s) - 1)
    return int(np.clip(round(lag_s / max(interval_s, 1e-3)), 1, len(t_s) - 1))
