"""Sheets on tables, rendered with exact corners by a pinhole camera; and scenes without any."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import pytest

from edge_models.page import SURE, Quad, aspect, find_page, straighten
from edge_models.types import ByteArray, FloatArray

WIDTH, HEIGHT = 640, 480
FINER = 3
"""Rendered so many times larger and averaged, so that edges lie where they should, to a fraction of a pixel."""


@dataclass(frozen=True)
class Scene:
    """A sheet of `aspect` on a table. truth: corners in pixels, clockwise from the upper left one."""

    image: ByteArray
    truth: FloatArray
    aspect: float


def _table(rng: np.random.Generator, kind: str, width: int, height: int) -> FloatArray:
    """float64 BGR, 0 to 255."""
    base = rng.uniform(60, 130) * rng.uniform(0.75, 1.15, 3)
    y, x = np.mgrid[:height, :width] / max(width, height)
    if kind == "plain":
        table = np.ones((height, width)) * 1.0
    elif kind == "wood":
        wave = np.asarray(cv2.GaussianBlur(rng.normal(size=(height, width)), (0, 0), sigmaX=width / 8, sigmaY=2))
        wave /= wave.std()
        table = 1.0 + 0.08 * wave + 0.06 * np.sin(2 * np.pi * (9 * y + 0.4 * np.sin(3 * x)))
    elif kind == "cloth":
        grain = rng.normal(size=(height, width))
        table = 1.0 + 0.25 * np.asarray(cv2.GaussianBlur(grain, (0, 0), 2.0)) * 3
    else:
        raise ValueError(kind)
    return np.asarray(np.clip(table, 0.3, 1.8)[:, :, None] * base, np.float64)


def _sheet(rng: np.random.Generator, ratio: float, *, white: float) -> ByteArray:
    """With lines of text, a heading, perhaps a picture. [shape=(1000 / ratio, 1000, 3)]"""
    width, height = 900, round(900 / ratio)
    sheet = np.full((height, width, 3), white)
    sheet[60:90, 80 : int(rng.integers(300, 700))] = 60
    for y in range(140, height - 100, 34):
        x = 80
        while x < width - 120:
            word = int(rng.integers(20, 90))
            if rng.random() < 0.9:
                sheet[y : y + 12, x : min(x + word, width - 80)] = rng.uniform(40, 90)
            x += word + 14
    if rng.random() < 0.4:
        sheet[height // 2 : height // 2 + 220, 120:520] = rng.uniform(90, 200, 3)
    return np.asarray(np.clip(sheet, 0, 255), np.uint8)


def _light(rng: np.random.Generator, width: int, height: int, *, shadow: bool) -> FloatArray:
    y, x = np.mgrid[:height, :width] / max(width, height)
    turn = rng.uniform(0, 2 * np.pi)
    light = 1.0 + 0.25 * (np.cos(turn) * (x - 0.5) + np.sin(turn) * (y - 0.4))
    if shadow:  # of an arm or a lamp, soft at its edge
        mask = np.zeros((height, width))
        at = rng.uniform(0.2, 0.8)
        points = np.array([[at, 0], [at + 0.25, 0], [at + rng.uniform(-0.1, 0.4), 1], [at - 0.2, 1]]) * (width, height)
        cv2.fillPoly(mask, [points.astype(np.int32)], 1.0)
        light *= 1.0 - 0.35 * np.asarray(cv2.GaussianBlur(mask, (0, 0), 5.0 * FINER))
    return np.asarray(light, np.float64)


def _projected(rng: np.random.Generator, ratio: float, *, aslant_deg: float) -> FloatArray:
    """Corners of a sheet before a camera of about 60°, all of them in the picture."""
    while True:
        focal = rng.uniform(0.8, 1.2) * WIDTH
        turn, lean, roll = np.deg2rad(
            [rng.uniform(-1, 1) * aslant_deg, rng.uniform(-1, 1) * aslant_deg, rng.uniform(-28, 28)]
        )
        about_z = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
        about_x = np.array([[1, 0, 0], [0, np.cos(lean), -np.sin(lean)], [0, np.sin(lean), np.cos(lean)]])
        about_y = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
        w, h = ratio / 2, 0.5
        sheet = np.array([[-w, -h, 0], [w, -h, 0], [w, h, 0], [-w, h, 0]])
        place = np.array([rng.uniform(-0.15, 0.15), rng.uniform(-0.15, 0.15), rng.uniform(1.45, 2.3)])
        seen = sheet @ (about_y @ about_x @ about_z).T + place
        corners = seen[:, :2] / seen[:, 2:] * focal + ((WIDTH - 1) / 2, (HEIGHT - 1) / 2)
        if (corners > 8).all() and (corners < (WIDTH - 9, HEIGHT - 9)).all():
            return np.asarray(corners, np.float64)


def _staged(
    seed: int,
    *,
    table: str = "plain",
    contrast: float | None = None,
    shadow: bool = False,
    clutter: int = 0,
    aslant_deg: float = 30.0,
    noise: float = 2.0,
    cover: int | None = None,
) -> Scene:
    """contrast: of the paper with a plain table, grey levels. cover: the corner that a hand lies on."""
    rng = np.random.default_rng(seed)
    ratio = float(rng.choice([210 / 297, 8.5 / 11, 297 / 210, 0.63]))
    truth = _projected(rng, ratio, aslant_deg=aslant_deg)
    width, height = FINER * WIDTH, FINER * HEIGHT
    scene = _table(rng, table, width, height)
    white = float(rng.uniform(205, 240))
    if contrast is not None:
        scene *= (white - contrast) / scene.mean()
    for _ in range(clutter):
        _lay_something(rng, scene)
    sheet = _sheet(rng, ratio, white=white)
    fine = (truth + 0.5) * FINER - 0.5
    edges = np.array([[0, 0], [sheet.shape[1], 0], [sheet.shape[1], sheet.shape[0]], [0, sheet.shape[0]]]) - 0.5
    way = cv2.getPerspectiveTransform(edges.astype(np.float32), fine.astype(np.float32))
    laid = cv2.warpPerspective(sheet, way, (width, height), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
    mask = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(mask, np.rint(fine * 256).astype(np.int32), 255, shift=8)
    soft = np.roll(mask, (9, 7), (0, 1)) & ~mask  # the sheet's own small shadow on the table
    if shadow:
        scene *= 1.0 - 0.2 * np.asarray(cv2.GaussianBlur(soft, (0, 0), 4.0), np.float64)[:, :, None] / 255
    scene = np.where(mask[:, :, None] > 0, laid, scene)
    scene *= _light(rng, width, height, shadow=shadow)[:, :, None]
    if cover is not None:
        hand = (truth[cover] + 0.5) * FINER
        inward = truth.mean(axis=0) - truth[cover]
        hand += 0.12 * inward * FINER
        cv2.ellipse(scene, (int(hand[0]), int(hand[1])), (70 * FINER, 46 * FINER), 30, 0, 360, (110, 140, 190), -1)
    image = cv2.resize(scene, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    image = cv2.GaussianBlur(image, (0, 0), 0.7) + rng.normal(scale=noise, size=image.shape)
    return Scene(np.asarray(np.clip(image, 0, 255), np.uint8), truth, ratio)


def _lay_something(rng: np.random.Generator, scene: FloatArray) -> None:
    """A pen, a cup, a card."""
    height, width = scene.shape[:2]
    at = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
    colour = tuple(float(value) for value in rng.uniform(20, 220, 3))
    kind = rng.integers(3)
    if kind == 0:
        end = (at[0] + int(rng.uniform(-300, 300)), at[1] + int(rng.uniform(-300, 300)))
        cv2.line(scene, at, end, colour, 18)
    elif kind == 1:
        cv2.circle(scene, at, int(rng.uniform(60, 130)), colour, -1)
        cv2.circle(scene, at, int(rng.uniform(30, 60)), (240.0, 240.0, 240.0), -1)
    else:
        box = cv2.boxPoints((at, (float(rng.uniform(80, 200)), float(rng.uniform(60, 140))), float(rng.uniform(0, 90))))
        cv2.fillPoly(scene, [box.astype(np.int32)], colour)


SCENES: dict[str, Callable[[int], Scene]] = {
    "plain": lambda seed: _staged(seed),
    "wood": lambda seed: _staged(seed, table="wood"),
    "cloth": lambda seed: _staged(seed, table="cloth"),
    "low contrast": lambda seed: _staged(seed, contrast=22.0),
    "shadows": lambda seed: _staged(seed, table="wood", shadow=True),
    "clutter": lambda seed: _staged(seed, table="wood", clutter=6),
    "aslant": lambda seed: _staged(seed, aslant_deg=48.0),
    "noise": lambda seed: _staged(seed, noise=9.0),
}
EACH = 12


def _errors_px(found: Quad, truth: FloatArray) -> FloatArray:
    """Of the four corners. The first one is whichever lies nearest to the upper left: for a sheet turned by 45° that is a toss-up."""
    rounds = [np.linalg.norm(np.roll(found.corners, k, axis=0) - truth, axis=1) for k in range(4)]
    return min(rounds, key=lambda errors: float(errors.max()))


def _figures(name: str) -> tuple[FloatArray, int, int]:
    """Errors of all corners of the sheets that were found; how many were found; how many of these are wrong by 5 px or more."""
    errors = []
    for seed in range(EACH):
        scene = SCENES[name](1000 + seed)
        found = find_page(scene.image)
        if found is not None:
            errors.append(_errors_px(found, scene.truth))
    wrong = sum(float(one.max()) >= 5.0 for one in errors)
    return np.concatenate(errors) if errors else np.zeros(0), len(errors), wrong
