"""Where things are in the portrait that the simulator puts before its camera, and the layers cut from it.

The picture is the 512×512 portrait of the astronaut Eileen Collins (NASA, public domain) as the scikit-image package
carries it. The outlines below were placed by hand on it; they fit no other picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import cv2
import numpy as np

from edge_models.simulate import skin
from edge_models.simulate.camera import GAMMA, to_code, to_light
from edge_models.types import ByteArray, Float32Array, FloatArray

PICTURE_SIZE_PX: Final = 512
FACE_CENTRE: Final = (224.0, 118.0)
FACE_WIDTH: Final = 90.0
"""Centre and width of the box that the face net (RFB-320) finds, in pixels of the picture."""
NECK: Final = (224.0, 178.0)
"""The point about which the head rolls."""
PRINT_AREA: Final = (124, 6, 200, 226)
"""x, y, width, height of the cut-out that a printed photograph shows."""

# fmt: off
_HEAD = ((191, 30), (205, 24), (220, 17), (232, 15), (245, 17), (260, 23), (275, 31), (285, 38), (291, 48), (296, 60),
         (299, 72), (301, 85), (300, 97), (296, 107), (290, 117), (280, 128), (275, 134), (270, 137), (266, 137),
         (264, 147), (259, 158), (256, 165), (256, 175), (254, 185), (240, 189), (225, 188), (200, 186), (190, 181),
         (187, 170), (185, 155), (182, 140), (181, 132), (176, 130), (172, 122), (170, 118), (160, 110), (155, 100),
         (154, 88), (153, 72), (156, 60), (163, 52), (172, 44), (183, 38))
_BODY = ((122, 186), (124, 178), (132, 165), (145, 155), (165, 149), (184, 149), (190, 165), (250, 172), (255, 172),
         (262, 176), (275, 186), (290, 202), (300, 218), (304, 233), (318, 240), (335, 255), (347, 275), (353, 300),
         (358, 330), (363, 348), (385, 343), (410, 344), (440, 355), (465, 375), (485, 405), (493, 440), (497, 455),
         (505, 470), (505, 512), (30, 512), (22, 470), (21, 440), (20, 400), (22, 370), (25, 345), (31, 318), (42, 285),
         (50, 262), (65, 243), (80, 236), (100, 220), (113, 207), (114, 190))
_FACE = ((186, 80), (205, 79), (240, 82), (258, 87), (269, 92), (271, 110), (269, 130), (266, 140), (258, 158),
         (250, 168), (235, 177), (222, 178), (208, 174), (195, 165), (187, 155), (183, 140), (181, 115), (183, 95))
_CHIN = ((180, 140), (268, 140), (262, 160), (254, 182), (188, 178), (184, 158))
_NECK_SKIN = ((187, 160), (189, 178), (196, 183), (230, 189), (252, 184), (255, 174), (256, 158))
_EAR = ((171, 118), (182, 118), (182, 132), (176, 131))
_OTHER_EAR = ((267, 131), (274, 131), (273, 136), (267, 137))
_FRINGE = ((187, 62), (262, 62), (268, 88), (258, 83), (240, 79), (205, 76), (188, 77))
# Ellipses (x, y, half width, half height, strength of the pulse there relative to the cheeks).
_WEAK = ((222, 121, 13, 14, 0.45), (222, 146, 25, 11, 0.10), (203, 101, 14, 8, 0.0), (245, 103, 15, 8, 0.0),
         (200, 88, 15, 3.5, 0.3), (246, 93, 15, 3.5, 0.3))
_MOUTH = (222.0, 148.0)
# Outlines of what covers the face: a mask of cloth, a hand on one cheek, the rims of a pair of glasses (ellipses).
_MASK = ((178, 122), (200, 126), (222, 122), (245, 128), (272, 126), (268, 146), (258, 166), (238, 182), (222, 184),
         (200, 180), (186, 162))
_HAND = ((228, 190), (226, 150), (232, 112), (240, 96), (250, 94), (258, 98), (266, 94), (276, 100), (284, 112),
         (286, 150), (276, 190))
_LENSES = ((201, 102, 22, 15), (246, 104, 22, 15))
_TYPICAL_GREEN_CODE = 205.0
_HAIR_LIGHT: Final = {1: 1.1, 2: 1.0, 3: 0.6, 4: 0.3, 5: 0.2, 6: 0.15}
"""Hair is darker where skin is: light it sends back, relative to the picture's. Looks only; hair has no pulse."""


class Cover(StrEnum):
    """What hides a part of the face."""

    NOTHING = "nothing"
    MASK = "mask"
    HAND = "hand"
    """One cheek behind a hand of the same skin; that the hand has a pulse of its own is left out."""
    GLASSES = "glasses"
    """Dark rims, and lenses that mirror some of the room."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A cut-out in the frame. image: float32 BGRA [shape=(h, w, 4)], code values, alpha in 0..1; (x, y): its corner."""

    image: Float32Array
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Person:
    """Head and body, and how the head's code values change.

    early, late: float32 [shape of head.image], change of code per unit of the pulse wave, for the wave as it comes to
        the forehead and as it comes to the chin; in between it is a mix of both.
    jaw: float32 [shape of head.image], change of code per unit of mouth opening.
    """

    head: Layer
    body: Layer
    early: Float32Array
    late: Float32Array
    jaw: Float32Array


def skin_map(picture: ByteArray) -> Float32Array:
    """Strength of the pulse in the portrait's pixels [shape=(512, 512)], 1 on the cheeks, 0 where there is no skin."""
    strength: Float32Array = np.zeros(picture.shape[:2], dtype=np.float32)
    _fill(strength, _NECK_SKIN, 0.35)
    _fill(strength, _EAR, 0.4)
    _fill(strength, _FACE, 1.0)
    rows = np.arange(picture.shape[0], dtype=np.float32)[:, None]
    strength *= 1.0 - 0.3 * np.clip((rows - 145) / 25, 0, 1)  # the chin is weaker than the cheeks
    for x, y, half_width, half_height, value in _WEAK:
        inside = np.zeros_like(strength)
        cv2.ellipse(inside, ((x, y), (2 * half_width, 2 * half_height), 0), 1.0, -1)
        strength = np.asarray(np.minimum(strength, 1 - inside * (1 - np.float32(value))))
    return np.asarray(cv2.GaussianBlur(strength * _skin_coloured(picture), (0, 0), 1.2), dtype=np.float32)


def _skin_coloured(picture: ByteArray) -> Float32Array:
    """1 where the colour is that of this person's skin, 0 on hair, eyes and teeth [shape=(512, 512)]."""
    blue, green, red = (picture[:, :, k].astype(np.float32) for k in range(3))
    bright = np.clip((green - 95) / 30, 0, 1)
    reddish = np.clip((red - green - 8) / 12, 0, 1)
    hair = np.clip((green - blue - 45) / 15, 0, 1)
    return np.asarray(bright * reddish * (1 - hair), dtype=np.float32)


def _skin_area(picture: ByteArray) -> Float32Array:
    """1 where melanin colours the picture: face, lips, lids, ears, neck [shape=(512, 512)]."""
    outlined = np.zeros(picture.shape[:2], dtype=np.float32)
    for outline in (_NECK_SKIN, _EAR, _OTHER_EAR, _FACE):
        _fill(outlined, outline, 1.0)
    # The outlines lie just inside the skin; the colour decides in the seam around them.
    area = np.asarray(cv2.dilate(outlined, np.ones((5, 5), dtype=np.uint8)))
    red, green, blue = (picture[:, :, k].astype(np.float32) for k in (2, 1, 0))
    coloured = np.clip((red - 0.5 * (green + blue) - 6) / 10, 0, 1) * np.clip((red - 50) / 40, 0, 1)
    return np.asarray(cv2.GaussianBlur(area * coloured, (0, 0), 0.8), dtype=np.float32)


def _hair_area(picture: ByteArray) -> Float32Array:
    """1 on the hair [shape=(512, 512)]: the head without its skin, eyes and teeth."""
    area = np.zeros(picture.shape[:2], dtype=np.float32)
    _fill(area, _HEAD, 1.0)
    for outline in (_NECK_SKIN, _EAR, _OTHER_EAR, _FACE):
        _fill(area, outline, 0.0)
    area[140:] = 0
    fringe = np.zeros_like(area)
    _fill(fringe, _FRINGE, 1.0)
    return np.asarray(cv2.GaussianBlur(np.maximum(area, fringe), (0, 0), 2.0), dtype=np.float32)


def dressed(picture: ByteArray, skin_type: int) -> Float32Array:
    """The portrait in linear light (white = 1) with another skin type [shape=(512, 512, 3)]."""
    light = to_light(picture)
    area = _skin_area(picture)[:, :, None]
    hair = _hair_area(picture)[:, :, None] * (1 - area) * (1 - _HAIR_LIGHT[skin_type])
    return np.asarray(
        (light + area * (skin.recoloured(light, skin_type) - light)) * (1 - hair), dtype=np.float32
    )


def _fill(mask: Float32Array, outline: tuple[tuple[float, float], ...], value: float) -> None:
    points = np.round(np.array(outline) * 16).astype(np.int32)
    cv2.fillPoly(mask, [points], value, lineType=cv2.LINE_8, shift=4)


def _alpha(outline: tuple[tuple[float, float], ...], extra_px: int) -> Float32Array:
    mask = np.zeros((PICTURE_SIZE_PX, PICTURE_SIZE_PX), dtype=np.float32)
    _fill(mask, outline, 1.0)
    # A little inside the outline: the picture's own background must not shine at the edge.
    inner = cv2.erode(mask, np.ones((3, 3), dtype=np.uint8), borderType=cv2.BORDER_REPLICATE)
    longer = cv2.copyMakeBorder(inner, 0, extra_px, 0, 0, cv2.BORDER_REPLICATE)
    return np.asarray(cv2.GaussianBlur(longer, (0, 0), 0.9), dtype=np.float32)


class Placement:
    """Where the portrait lies in the frame: picture pixel (x, y) is at scale · (x, y) + (left, top)."""

    def __init__(self, face_width_px: float, centre_px: tuple[float, float]) -> None:
        self.scale = face_width_px / FACE_WIDTH
        self.left = centre_px[0] - self.scale * FACE_CENTRE[0]
        self.top = centre_px[1] - self.scale * FACE_CENTRE[1]

    def to_frame(self, point: tuple[float, float]) -> tuple[float, float]:
        """A point of the picture in pixels of the frame."""
        return self.scale * point[0] + self.left, self.scale * point[1] + self.top

    def cut(self, image: FloatArray | Float32Array, box: tuple[int, int, int, int]) -> Float32Array:
        """The part of the frame in box (x, y, width, height) that the picture fills, cubic or area-averaged."""
        if self.scale < 0.75:  # shrinking: average first, or fine structure aliases
            image = np.asarray(cv2.GaussianBlur(image, (0, 0), 0.5 / self.scale), dtype=np.float32)
        matrix = np.array([[self.scale, 0, self.left - box[0]], [0, self.scale, self.top - box[1]]])
        return np.asarray(
            cv2.warpAffine(
                image, matrix, (box[2], box[3]), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT
            ),
            dtype=np.float32,
        )


def _frame_box(
    place: Placement, area: tuple[float, float, float, float], margin: int
) -> tuple[int, int, int, int]:
    x0, y0 = place.to_frame((area[0], area[1]))
    x1, y1 = place.to_frame((area[2], area[3]))
    left, top = int(np.floor(x0)) - margin, int(np.floor(y0)) - margin
    return left, top, int(np.ceil(x1)) + margin - left, int(np.ceil(y1)) + margin - top


def person(
    picture: ByteArray,
    place: Placement,
    *,
    skin_type: int,
    pulse_green_pp: float,
    brightness: float,
    frame_height_px: int,
    cover: Cover = Cover.NOTHING,
    side_light: float = 0.0,
) -> Person:
    """The person of the portrait at a place in the frame, lit so that white is `brightness`.

    pulse_green_pp: see skin.pulse_depth. side_light: see _lit_from_one_side. Raises ValueError where the picture is not 512×512.
    """
    if picture.shape != (PICTURE_SIZE_PX, PICTURE_SIZE_PX, 3):
        raise ValueError(f"the portrait must be 512×512×3, not {picture.shape}")
    light = dressed(picture, skin_type)
    light, strength = _covered(light, skin_map(picture), cover, skin_type)
    light = light * _lit_from_one_side(side_light)
    depth = _relative_depth(picture, light, strength, pulse_green_pp)
    late_share = np.clip((np.arange(PICTURE_SIZE_PX, dtype=np.float32) - 80) / 95, 0, 1)[:, None]

    head_box = _frame_box(place, (150, 12, 305, 191), 6)
    head_alpha = _alpha(_HEAD, 0)
    rows = np.arange(PICTURE_SIZE_PX, dtype=np.float32)[:, None]
    head_alpha = head_alpha * np.clip((186 - rows) / 9, 0, 1)
    code = place.cut(to_code(light * brightness), head_box)
    head = np.dstack([code, np.clip(place.cut(head_alpha, head_box), 0, 1)]).astype(np.float32)
    # Half of the peak-to-peak is one unit of the wave; gamma takes its root; more blood is less light.
    per_unit = place.cut(-0.5 / GAMMA * depth, head_box) * code
    late = place.cut(np.broadcast_to(late_share, strength.shape).copy(), head_box)[:, :, None]
    early_map = _with_empty_alpha(per_unit * (1 - late))
    late_map = _with_empty_alpha(per_unit * late)

    below = place.to_frame((0, PICTURE_SIZE_PX))[1]
    extra = max(0, int(np.ceil((frame_height_px + 8 - below) / place.scale))) + 8
    # What is behind the chin: without it a nodding head would uncover a second chin.
    hidden = np.zeros(strength.shape, dtype=np.float32)
    _fill(hidden, _CHIN, 1.0)
    soft = np.asarray(cv2.GaussianBlur(hidden, (0, 0), 1.5))[:, :, None]
    neck = light[180:183, 200:240].mean(axis=(0, 1)) * 0.8
    covered = light * (1 - soft) + soft * neck
    body_light = np.asarray(
        cv2.copyMakeBorder(covered, 0, extra, 0, 0, cv2.BORDER_REPLICATE), dtype=np.float32
    )
    body_box = _frame_box(place, (15, 144, 510, PICTURE_SIZE_PX + extra), 6)
    body_box = (*body_box[:3], max(8, min(body_box[3], frame_height_px + 24 - body_box[1])))
    body = np.dstack(
        [
            place.cut(to_code(body_light * brightness), body_box),
            np.clip(place.cut(_alpha(_BODY, extra), body_box), 0, 1),
        ]
    ).astype(np.float32)

    return Person(
        head=Layer(head, head_box[0], head_box[1]),
        body=Layer(body, body_box[0], body_box[1]),
        early=early_map,
        late=late_map,
        jaw=_jaw(head, place, head_box),
    )


def _covered(
    light: Float32Array, strength: Float32Array, cover: Cover, skin_type: int
) -> tuple[Float32Array, Float32Array]:
    """The picture in linear light with something before the face, and the strength of the pulse that is left."""
    if cover is Cover.NOTHING:
        return light, strength
    hidden = np.zeros(strength.shape, dtype=np.float32)
    colour = np.array([0.62, 0.55, 0.42])
    if cover is Cover.GLASSES:
        rims = np.zeros_like(hidden)
        for x, y, half_width, half_height in _LENSES:
            outline = ((x, y), (2 * half_width, 2 * half_height), 0)
            cv2.ellipse(hidden, outline, 0.25, -1)
            cv2.ellipse(rims, outline, 1.0, 3)
        lit = light * (1 - hidden[:, :, None]) + hidden[:, :, None] * 0.55
        rims = np.asarray(cv2.GaussianBlur(rims, (0, 0), 0.8), dtype=np.float32)
        lit = lit * (1 - rims[:, :, None]) + rims[:, :, None] * 0.02
        return np.asarray(lit, np.float32), np.asarray(strength * (1 - rims) * (1 - hidden), np.float32)
    _fill(hidden, _MASK if cover is Cover.MASK else _HAND, 1.0)
    if cover is Cover.HAND:
        colour = 0.85 * skin.skin_colour(skin_type)
    hidden = np.asarray(cv2.GaussianBlur(hidden, (0, 0), 1.0), dtype=np.float32)
    folds = 1 + 0.06 * np.sin(np.arange(PICTURE_SIZE_PX) / 3.0)[:, None, None]
    lit = light * (1 - hidden[:, :, None]) + hidden[:, :, None] * colour * folds
    return np.asarray(lit, np.float32), np.asarray(strength * (1 - hidden), np.float32)


def _lit_from_one_side(side_light: float) -> Float32Array:
    """Gain of linear light over the picture's columns [shape=(1, 512, 1)]: 1 right of the face, 1 - side_light left."""
    across = np.clip((np.arange(PICTURE_SIZE_PX) - (FACE_CENTRE[0] - FACE_WIDTH / 2)) / FACE_WIDTH, 0, 1)
    smooth = across * across * (3 - 2 * across)
    return np.asarray(1 - side_light * (1 - smooth), np.float32)[None, :, None]


def _relative_depth(
    picture: ByteArray, light: Float32Array, strength: Float32Array, green_pp: float
) -> FloatArray:
    """Relative peak-to-peak change of linear light [shape=(512, 512, 3)]; highlights are surface and do not pulse."""
    typical = (_TYPICAL_GREEN_CODE / 255) ** GAMMA
    green = to_light(picture)[:, :, 1]
    diffuse = np.minimum(1.0, typical * 1.1 / np.maximum(green, 1e-3))
    return np.asarray(skin.pulse_depth(light, green_pp) * (strength * diffuse)[:, :, None])


def _with_empty_alpha(change: Float32Array) -> Float32Array:
    return np.dstack([change, np.zeros(change.shape[:2], dtype=np.float32)]).astype(np.float32)


def _jaw(head: Float32Array, place: Placement, box: tuple[int, int, int, int]) -> Float32Array:
    """How the picture changes when the mouth opens: the chin goes down, the mouth darkens."""
    x, y = (a - b for a, b in zip(place.to_frame(_MOUTH), box[:2], strict=True))
    rows, columns = np.mgrid[0 : head.shape[0], 0 : head.shape[1]].astype(np.float32)
    across = np.exp(-0.5 * ((columns - x) / (26 * place.scale)) ** 2)
    down = np.clip((rows - y) / (8 * place.scale), 0, 1) * np.clip(
        (y + 42 * place.scale - rows) / (22 * place.scale), 0, 1
    )
    shift = (4 * place.scale * across * down).astype(np.float32)
    opened = cv2.remap(head, columns, rows - shift, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    gap = np.exp(
        -0.5
        * (((columns - x) / (14 * place.scale)) ** 2 + ((rows - y + place.scale) / (4 * place.scale)) ** 2)
    )
    opened[:, :, :3] *= (1 - 0.6 * gap)[:, :, None]
    change = np.asarray(opened - head, dtype=np.float32)
    change[:, :, 3] = 0
    return change


def printed(
    picture: ByteArray, place: Placement, *, skin_type: int, brightness: float, border_light: float = 0.8
) -> Layer:
    """A paper print of the portrait with a white border, or a tablet that shows it in a dark one."""
    x, y, width, height = PRINT_AREA
    border = 7
    light = np.full((PICTURE_SIZE_PX, PICTURE_SIZE_PX, 3), border_light, dtype=np.float32)
    inner = (slice(y, y + height), slice(x, x + width))
    light[inner] = dressed(picture, skin_type)[inner] * 0.85  # paper has less contrast than the world
    alpha = np.zeros((PICTURE_SIZE_PX, PICTURE_SIZE_PX), dtype=np.float32)
    alpha[max(0, y - border) : y + height + border, x - border : x + width + border] = 1
    box = _frame_box(place, (x - border, max(0, y - border), x + width + border, y + height + border), 4)
    image = np.dstack([place.cut(to_code(light * brightness), box), np.clip(place.cut(alpha, box), 0, 1)])
    return Layer(image.astype(np.float32), box[0], box[1])
