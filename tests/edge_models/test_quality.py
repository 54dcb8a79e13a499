"""The judge of a frame: each fault has its reason, and only grave ones cost the frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edge_models.face import BACKGROUND_COLS, BACKGROUND_ROWS, COLS, ROWS, SkinSample
from edge_models.quality import FrameVerdict, judge
from edge_models.types import Box, Float32Array, Reason

GOOD = SkinSample(
    t_s=1.0,
    face=Box(240.0, 100.0, 170.0, 214.0),
    faces=1,
    cells=np.full((ROWS, COLS, 3), 140.0, np.float32),
    background=np.full((BACKGROUND_ROWS, BACKGROUND_COLS, 3), 100.0, np.float32),
    motion=(0.0, 0.0, 0.0, 0.0),
    chest_y=0.0,
    key=1,
    visible=1.0,
)


def _judged(
    sample: SkinSample, before: SkinSample | None = None, *, seen_before: bool = False
) -> FrameVerdict:
    return judge(sample, before, frame_height_px=480, seen_before=seen_before)


def _lit(level: float) -> SkinSample:
    return replace(GOOD, cells=np.full((ROWS, COLS, 3), level, np.float32))


def test_a_good_frame_is_taken_without_a_word() -> None:
    assert _judged(GOOD, replace(GOOD, t_s=0.967)) == FrameVerdict(True, ())


@pytest.mark.parametrize(
    "sample, accepted, reason",
    [
        (replace(GOOD, visible=0.5), False, Reason.OFF_CENTRE),
        (replace(GOOD, face=Box(300, 200, 30, 38)), False, Reason.TOO_FAR),
        (replace(GOOD, face=Box(300, 200, 70, 88)), True, Reason.TOO_FAR),
        (replace(GOOD, face=Box(100, 5, 380, 470)), True, Reason.TOO_NEAR),
        (_lit(4.0), False, Reason.TOO_DARK),
        (_lit(20.0), True, Reason.TOO_DARK),
        (_lit(252.0), False, Reason.TOO_BRIGHT),
        (replace(GOOD, faces=2), True, Reason.TWO_FACES),
    ],
)
def test_each_fault_has_its_reason(sample: SkinSample, accepted: bool, reason: Reason) -> None:
    assert _judged(sample) == FrameVerdict(accepted, (reason,))


@pytest.mark.parametrize(
    "move, fps, accepted, reasons",
    [
        (0.005, 30.0, True, ()),
        (0.02, 30.0, True, (Reason.MOTION,)),
        (0.1, 30.0, False, (Reason.MOTION,)),
        (0.02, 15.0, True, ()),  # speed counts, not the step: the same step in twice the time is slow
    ],
)
def test_motion_is_judged_by_its_speed(
    move: float, fps: float, accepted: bool, reasons: tuple[Reason, ...]
) -> None:
    before = replace(GOOD, t_s=GOOD.t_s - 1 / fps)
    assert _judged(replace(GOOD, motion=(move, 0.0, 0.0, 0.0)), before) == FrameVerdict(accepted, reasons)


def test_a_grid_laid_anew_is_no_motion() -> None:
    before = replace(GOOD, t_s=0.967, motion=(0.5, 0.5, 0.0, 0.0), key=0)
    assert _judged(GOOD, before).accepted


def test_no_face_is_told_from_a_face_that_left_and_from_the_dark() -> None:
    nobody = replace(GOOD, face=None, cells=None)
    assert _judged(nobody).reasons == (Reason.NO_FACE,)
    assert _judged(nobody, seen_before=True).reasons == (Reason.FACE_LEFT,)
    dark = replace(nobody, background=np.full((BACKGROUND_ROWS, BACKGROUND_COLS, 3), 3.0, np.float32))
    assert _judged(dark, seen_before=True).reasons == (Reason.TOO_DARK,)
    assert not _judged(nobody).accepted


def test_the_worst_comes_first() -> None:
    verdict = _judged(replace(_lit(20.0), visible=0.5, faces=2))
    assert verdict.reasons == (Reason.OFF_CENTRE, Reason.TOO_DARK, Reason.TWO_FACES)


def _room(level: float) -> Float32Array:
    return np.full((BACKGROUND_ROWS, BACKGROUND_COLS, 3), level, np.float32)


@pytest.mark.parametrize(
    ("face", "room", "dark"),
    [(46.0, 40.0, True), (46.0, 110.0, False), (60.0, 40.0, False), (36.0, 110.0, True)],
)
def test_dark_skin_in_a_light_room_is_not_too_dark(face: float, room: float, dark: bool) -> None:
    verdict = _judged(replace(_lit(face), background=_room(room)))
    assert verdict == FrameVerdict(True, (Reason.TOO_DARK,) if dark else ())


def test_where_nothing_can_be_seen_it_is_the_light_and_not_the_person() -> None:
    nobody = replace(GOOD, face=None, cells=None)
    assert _judged(replace(nobody, background=_room(20.0))).reasons == (Reason.TOO_DARK,)
    assert _judged(replace(nobody, background=_room(60.0))).reasons == (Reason.NO_FACE,)


def test_a_large_box_without_hair_and_room_at_its_edge_is_the_middle_of_a_near_face() -> None:
    large = replace(GOOD, face=Box(150.0, 50.0, 340.0, 370.0))
    assert _judged(large).reasons == (Reason.TOO_NEAR,)
    assert large.cells is not None
    framed = large.cells.copy()
    framed[0], framed[:, 0], framed[:, -1] = 30.0, 90.0, 30.0
    assert _judged(replace(large, cells=framed)) == FrameVerdict(True, ())
    assert _judged(replace(GOOD, face=Box(100.0, 50.0, 390.0, 370.0))).reasons == (Reason.TOO_NEAR,)
