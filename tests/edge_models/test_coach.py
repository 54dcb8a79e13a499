"""The coach: each fault is found where it is provoked, within two seconds, and nothing is said of a good picture."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from edge_models.coach import Coach
from edge_models.face import BACKGROUND_ROWS, COLS, ROWS, SkinSample
from edge_models.quality import judge
from edge_models.simulate.scene import Scene
from edge_models.types import Box, Float32Array, Reason
from tests.edge_models.staged import FACE, samples

SIZE_PX = (640, 480)
GOOD = Scene(duration_s=4.0, brightness=0.6)
FROM_S = 1.5
"""When a fault that comes later sets in."""

Edit = Callable[[SkinSample], SkinSample]


def _seen(taken: list[SkinSample]) -> Iterator[tuple[float, Coach]]:
    """The coach after each sample, at its time."""
    coach, before, seen = Coach(), None, False
    for sample in taken:
        verdict = judge(sample, before, frame_height_px=SIZE_PX[1], seen_before=seen)
        seen |= verdict.accepted
        before = sample
        coach.take(sample, verdict, frame_size_px=SIZE_PX)
        yield sample.t_s, coach


def _prepared(setting: Scene, edit: Edit | None = None, *, from_s: float = FROM_S) -> list[SkinSample]:
    taken, _ = samples(setting)
    return [s if edit is None or s.t_s < from_s else edit(s) for s in taken]


def _cells(change: Callable[[Float32Array], None]) -> Edit:
    def edit(sample: SkinSample) -> SkinSample:
        assert sample.cells is not None
        cells = sample.cells.copy()
        change(cells)
        return replace(sample, cells=cells)

    return edit


def _masked(cells: Float32Array) -> None:
    cells[9:17, 2:12] = (180.0, 190.0, 200.0)


def _hand(cells: Float32Array) -> None:
    cells[8:15, 1:8] = cells[8:15, 1:8][::-1, ::-1] * np.linspace(0.6, 1.2, 7)[:, None, None]


def _lit_from_one_side(cells: Float32Array) -> None:
    cells *= np.linspace(1.0, 0.45, COLS)[None, :, None] ** np.float32(1.0)


def _shining(cells: Float32Array) -> None:
    cells[2:5, 5:9] = 250.0


def _dark(cells: Float32Array) -> None:
    cells *= np.float32(0.03)


def _at(face: Box) -> Edit:
    return lambda sample: replace(sample, face=face)


def _before_a_window(sample: SkinSample) -> SkinSample:
    assert sample.cells is not None
    return replace(
        sample,
        cells=(sample.cells * 0.4).astype(np.float32),
        background=np.full_like(sample.background, 250.0),
    )


def _speaking(sample: SkinSample) -> SkinSample:
    """Lips that open and close four times a second darken the cells between them."""
    assert sample.cells is not None
    cells = sample.cells.copy()
    cells[11:16, 4:10] *= np.float32(1.0 - 0.15 * max(0.0, np.sin(2 * np.pi * 4.0 * sample.t_s)))
    return replace(sample, cells=cells)


def _without_face(sample: SkinSample) -> SkinSample:
    return replace(sample, face=None, cells=None)


PROVOKED: dict[str, tuple[Reason, list[SkinSample]]] = {
    "dark": (Reason.TOO_DARK, _prepared(GOOD, _cells(_dark))),
    "backlit": (Reason.BACKLIT, _prepared(GOOD, _before_a_window)),
    "uneven": (Reason.UNEVEN_LIGHT, _prepared(GOOD, _cells(_lit_from_one_side))),
    "far": (Reason.TOO_FAR, _prepared(GOOD, _at(Box(280.0, 200.0, 60.0, 76.0)))),
    "near": (Reason.TOO_NEAR, _prepared(GOOD, _at(Box(120.0, 5.0, 400.0, 470.0)))),
    "off_centre": (Reason.OFF_CENTRE, _prepared(GOOD, _at(Box(10.0, 110.0, 170.0, 214.0)))),
    "tilted": (Reason.TILTED, _prepared(GOOD, lambda s: replace(s, tilt=0.4))),
    "moving": (Reason.MOTION, _prepared(replace(GOOD, nod_px=40.0, nod_hz=1.0))),
    "talking": (Reason.TALKING, _prepared(GOOD, _speaking)),
    "mask": (Reason.COVERED, _prepared(GOOD, _cells(_masked))),
    "hand": (Reason.COVERED, _prepared(GOOD, _cells(_hand))),
    "glare": (Reason.GLARE, _prepared(GOOD, _cells(_shining))),
    "two_faces": (Reason.TWO_FACES, _prepared(GOOD, lambda s: replace(s, faces=2))),
    "low_frame_rate": (Reason.LOW_FRAME_RATE, _prepared(replace(GOOD, fps=9.0), from_s=0.0)),
    "exposure": (Reason.EXPOSURE_DRIFT, _prepared(replace(GOOD, exposure_steps=((FROM_S, 0.75),)))),
    "flicker": (
        Reason.FLICKER,
        _prepared(replace(GOOD, fps=24.0, flicker_hz=100.0, exposure_s=0.006), from_s=0.0),
    ),
    "left": (Reason.FACE_LEFT, _prepared(GOOD, _without_face)),
    "nobody": (Reason.NO_FACE, _prepared(GOOD, _without_face, from_s=0.0)),
}
STEADY_FROM_S = {"moving": 0.0, "low_frame_rate": 0.0, "flicker": 0.0, "nobody": 0.0}


@pytest.mark.parametrize("name", PROVOKED)
def test_a_fault_is_found_within_two_seconds(name: str) -> None:
    reason, taken = PROVOKED[name]
    onset_s = STEADY_FROM_S.get(name, FROM_S)
    hints, found_s = set(), []
    for t_s, coach in _seen(taken):
        hints.add(coach.hint)
        found_s += [t_s] * (reason in coach.present)
    assert found_s, f"{name} was not found"
    assert onset_s <= found_s[0] <= onset_s + 2.0
    assert hints > {None}, "nothing was said"


@pytest.mark.parametrize("skin_type", range(1, 7))
@pytest.mark.parametrize("fps", [15.0, 30.0])
def test_nothing_is_said_of_a_good_picture(skin_type: int, fps: float) -> None:
    for seed in range(4):
        setting = replace(GOOD, skin_type=skin_type, fps=fps, seed=seed, motion_px=0.8, sway_deg=0.3)
        assert {coach.hint for _, coach in _seen(_prepared(setting))} == {None}


def test_a_hint_goes_within_about_a_second_after_its_fault() -> None:
    edit = _cells(_shining)
    taken = [edit(s) if FROM_S <= s.t_s < 2.5 else s for s in _prepared(GOOD)]
    said = [t_s for t_s, coach in _seen(taken) if coach.hint is Reason.GLARE]
    assert said and said[-1] <= 2.5 + 1.2


def test_a_single_bad_frame_says_nothing() -> None:
    taken = _prepared(GOOD)
    taken[60] = _without_face(taken[60])
    assert {coach.hint for _, coach in _seen(taken)} == {None}


def test_of_several_faults_the_most_useful_is_said() -> None:
    window = _before_a_window

    def edit(sample: SkinSample) -> SkinSample:
        return replace(window(sample), tilt=0.5)

    *_, (_, coach) = _seen(_prepared(GOOD, edit))
    assert {Reason.BACKLIT, Reason.TILTED} <= set(coach.present)
    assert coach.hint is Reason.BACKLIT


def test_a_mask_is_seen_in_a_box_that_ends_at_its_upper_edge_and_a_blue_collar_is_none() -> None:
    def low(cells: Float32Array) -> None:
        cells[15:] = (150.0, 170.0, 190.0)

    masked = _prepared(GOOD, _cells(low), from_s=0.0)
    short = [replace(sample, face=Box(235.0, 110.0, 170.0, 130.0)) for sample in masked]
    for taken, said in ((short, (Reason.COVERED,)), (masked, ())):
        *_, (_, coach) = _seen(taken)
        assert coach.present == said


def test_a_second_face_is_said_before_a_small_one() -> None:
    far = _at(Box(280.0, 200.0, 60.0, 76.0))
    *_, (_, coach) = _seen(_prepared(GOOD, lambda s: replace(far(s), faces=2)))
    assert set(coach.present) == {Reason.TWO_FACES, Reason.TOO_FAR}
    assert coach.hint is Reason.TWO_FACES


def test_what_passes_gives_way_to_what_stays() -> None:
    def edit(sample: SkinSample) -> SkinSample:
        return replace(_speaking(sample), faces=2 if sample.t_s > 2.5 else 1)

    said = [(coach.hint, coach.present) for _, coach in _seen(_prepared(GOOD, edit))]
    assert [hint for hint, _ in itertools.groupby(said, key=lambda s: s[0])] == [
        None,
        Reason.TALKING,
        Reason.TWO_FACES,
    ]
    assert Reason.TALKING in said[-1][1]


def test_a_hand_that_comes_before_the_mouth_is_not_speech() -> None:
    said = {coach.hint for _, coach in _seen(_prepared(GOOD, _cells(_hand)))}
    assert said == {None, Reason.COVERED}


def test_a_step_of_light_is_not_flicker_and_bands_are_not_exposure() -> None:
    step = _prepared(replace(GOOD, exposure_steps=((FROM_S, 0.75),), fps=24.4))
    found = {reason for _, coach in _seen(step) for reason in coach.present}
    assert found == {Reason.EXPOSURE_DRIFT}

    def banded(sample: SkinSample) -> SkinSample:
        rows = np.sin(2 * np.pi * (0.45 * sample.t_s + np.arange(BACKGROUND_ROWS) / 7.0))
        gain = (1.0 + 0.03 * rows)[:, None, None].astype(np.float32)
        return replace(sample, background=sample.background * gain)

    assert Reason.FLICKER in {r for _, coach in _seen(_prepared(GOOD, banded)) for r in coach.present}

    def one_side(sample: SkinSample) -> SkinSample:
        background = sample.background.copy()
        background[:, :8] = banded(sample).background[:, :8]
        return replace(sample, background=background)

    assert {coach.hint for _, coach in _seen(_prepared(GOOD, one_side))} == {None}


def test_how_often_a_fault_was_there() -> None:
    *_, (_, coach) = _seen(_prepared(GOOD, _cells(_shining)))
    assert Reason.GLARE in coach.often(0.3) and Reason.GLARE not in coach.often(0.95)


def test_the_grid_that_is_edited_is_the_tracker_s() -> None:
    assert (ROWS, COLS) == (18, 14) and FACE.width == 170.0
