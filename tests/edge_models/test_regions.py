"""Skin samples to traces: what counts as skin and as background, and that new skin makes no step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edge_models.face import COLS, ROWS, SkinSample
from edge_models.pulse import BLOOD_RGB
from edge_models.regions import (
    REFERENCES,
    REGION_NAMES,
    SIGNATURE,
    TRACES,
    Traces,
    deep_signature,
    skin_weights,
    traces,
)
from edge_models.simulate.scene import Scene
from edge_models.types import Float32Array
from tests.edge_models.staged import samples


def _over(prepared: list[SkinSample], *, start_s: float = 0.0, end_s: float = 10.0) -> Traces:
    return traces(
        prepared, np.ones(len(prepared), np.bool_), start_s=start_s, end_s=end_s, frame_size_px=(640, 480)
    )


@pytest.fixture(scope="module")
def calm() -> list[SkinSample]:
    """Ten seconds of a person who sits still."""
    return samples(Scene(seed=31, duration_s=10.1, motion_px=0.0, sway_deg=0.0, breath_px=0.0))[0]


def _face(rng: np.random.Generator, n: int = 40) -> Float32Array:
    """Cells of plain skin with a little noise [n, ROWS·COLS, 3]."""
    skin = np.array([170.0, 120.0, 95.0]) * rng.uniform(0.9, 1.1, (1, ROWS * COLS, 1))
    return np.asarray(skin + 0.2 * rng.standard_normal((n, ROWS * COLS, 3)), np.float32)


def test_skin_counts_and_hair_cloth_and_burnt_spots_do_not(rng: np.random.Generator) -> None:
    cells = _face(rng)
    spoilt = {0: (25.0, 18.0, 15.0), 1: (60.0, 90.0, 190.0), 2: (255.0, 255.0, 250.0), 3: (0.5, 0.5, 0.5)}
    for k, colour in spoilt.items():
        cells[:, k] = colour
    weights = skin_weights(cells)
    assert not weights[list(spoilt)].any()
    assert (weights[len(spoilt) :] > 0).mean() > 0.95


@pytest.mark.parametrize("skin", [(200.0, 160.0, 140.0), (120.0, 75.0, 50.0), (60.0, 38.0, 28.0)])
def test_skin_of_every_tone_counts(skin: tuple[float, float, float], rng: np.random.Generator) -> None:
    cells = np.array(skin) * rng.uniform(0.85, 1.15, (1, ROWS * COLS, 1)) + 0.2 * rng.standard_normal(
        (30, ROWS * COLS, 3)
    )
    assert (skin_weights(cells.astype(np.float32)) > 0).mean() > 0.95


def test_a_restless_cell_counts_less(rng: np.random.Generator) -> None:
    cells = _face(rng)
    cells[:, 100] += 4.0 * rng.standard_normal((40, 3))
    weights = skin_weights(cells)
    assert 0 < weights[100] < 0.2 * np.median(weights)


def test_a_pulse_leaves_the_blood_s_colour_in_every_region_and_nothing_in_the_references(
    calm: list[SkinSample],
) -> None:
    beat = np.cos(2 * np.pi * 1.2 * np.array([s.t_s for s in calm]))
    flat = [
        replace(
            calm[0],
            t_s=s.t_s,
            cells=np.array([170.0, 120.0, 95.0], np.float32)
            * np.exp(-0.01 * b * BLOOD_RGB).astype(np.float32)
            * np.ones((ROWS, COLS, 1), np.float32),
        )
        for s, b in zip(calm, beat, strict=True)
    ]
    found = _over(flat)
    wave = np.cos(2 * np.pi * 1.2 * found.t_s)
    size = 2 * (found.values[60:-60] * wave[60:-60, None]).mean(axis=0)
    np.testing.assert_allclose(size, 0.01 * SIGNATURE, atol=3e-4)
    assert not SIGNATURE[REFERENCES].any() and len(SIGNATURE) == TRACES


def test_blue_turns_over_where_hardly_any_of_it_is_left() -> None:
    plenty, little = deep_signature(0.95), deep_signature(0.3)
    for signature in (plenty, little):
        assert np.linalg.norm(signature[: REFERENCES[0]].reshape(-1, 3), axis=1) == pytest.approx(1.0)
        assert not signature[REFERENCES].any()
        assert (signature[: REFERENCES[0]].reshape(-1, 3)[:, :2] < 0).all()  # red and green fall in systole
    assert plenty[2] < 0.0 < little[2]
    blues = [deep_signature(ratio)[2] for ratio in np.linspace(0.0, 1.2, 25)]
    assert np.all(np.diff(blues) <= 0.0)
    assert deep_signature(0.0) == pytest.approx(deep_signature(0.05)) and np.isfinite(blues).all()


def test_how_much_blue_is_left_is_that_of_the_skin(calm: list[SkinSample]) -> None:
    cells = np.mean([s.cells for s in calm if s.cells is not None], axis=0)
    middle = cells.reshape(ROWS, COLS, 3)[ROWS // 2, COLS // 3 : -COLS // 3].mean(axis=0)
    assert _over(calm).blue_to_green == pytest.approx(middle[2] / middle[1], rel=0.1)


def test_a_change_of_the_light_is_the_same_step_on_all_skin_and_on_the_wall(calm: list[SkinSample]) -> None:
    lit = [
        replace(
            s,
            cells=None
            if s.cells is None
            else s.cells * np.float32(1 + 0.02 * np.sin(2 * np.pi * 1.5 * s.t_s)),
            background=s.background * np.float32(1 + 0.02 * np.sin(2 * np.pi * 1.5 * s.t_s)),
        )
        for s in calm
    ]
    change = (_over(lit).values - _over(calm).values)[:, : 3 * len(REGION_NAMES) + 3]
    assert change.std(axis=0).min() > 0.9 * 0.02 / np.sqrt(2)
    assert np.ptp(change, axis=1).max() < 0.002


def test_the_background_is_taken_outside_of_the_person(calm: list[SkinSample]) -> None:
    face = calm[0].face
    assert face is not None
    inside = []
    for s in calm:
        background = s.background.copy()
        rows = slice(int(face.y / 40), int((face.y + face.height) / 40) + 1)
        cols = slice(int(face.x / 40), int((face.x + face.width) / 40) + 1)
        background[rows, cols] *= np.float32(1 + 0.02 * np.sin(9.0 * s.t_s))  # the person's own pixels
        inside.append(replace(s, background=background))
    columns = slice(3 * len(REGION_NAMES), 3 * len(REGION_NAMES) + 3)
    np.testing.assert_allclose(_over(inside).values[:, columns], _over(calm).values[:, columns], atol=2e-4)
    outside = [replace(s, background=s.background * np.float32(1 + 0.5 * np.sin(9.0 * s.t_s))) for s in calm]
    assert _over(outside).values[:, columns].std() > 0.1


def test_another_piece_of_skin_makes_no_step(calm: list[SkinSample]) -> None:
    half = len(calm) // 2
    other = [
        s
        if k < half
        else replace(
            s,
            key=2,
            cells=None if s.cells is None else s.cells * np.float32(1.3),
            motion=(0.5, 0.4, 0.1, 0.1),
        )
        for k, s in enumerate(calm)
    ]
    assert np.abs(_over(other).values - _over(calm).values).max() < 0.01
    untold = [replace(s, key=1) for s in other]
    assert np.abs(_over(untold).values - _over(calm).values).max() > 0.1


def test_frames_that_do_not_count_leave_no_trace_but_a_hole(calm: list[SkinSample]) -> None:
    accepted = np.ones(len(calm), np.bool_)
    accepted[120:150] = False
    spoilt = [
        s if ok else replace(s, cells=None if s.cells is None else s.cells * np.float32(3.0))
        for s, ok in zip(calm, accepted, strict=True)
    ]
    found = traces(spoilt, accepted, start_s=0.0, end_s=10.0, frame_size_px=(640, 480))
    hole = (found.t_s > 4.05) & (found.t_s < 4.95)
    assert not found.weight[hole].any() and not found.values[hole].any()
    assert found.weight[~hole].mean() > 0.98
    assert np.abs(found.values[~hole]).max() < 0.1
