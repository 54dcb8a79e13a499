"""Light that comes back from skin: the dichromatic reflection model with melanin.

    seen = illumination · (surface + diffuse · (1 - pulse · u))

after Wang, den Brinker, Stuijk, de Haan, "Algorithmic principles of remote PPG", IEEE TBME 64(7), 2017. `surface` is
what the blood never reaches (specular and epidermal), `diffuse` what returns from the dermis through the melanin.

Where the constants come from, and how good they are:
- u, the colour of the pulse in R, G, B: 0.33, 0.77, 0.53, the normalised blood-volume vector of de Haan and van Leest
  (Physiol. Meas. 35, 2014) as quoted by Wang et al.; measured under one camera and one lamp, so an approximation.
- Melanin: absorption of the melanosome 6.6e11 · λ^-3.33 /cm (Jacques, Phys. Med. Biol. 58, 2013, λ in nm) at
  460, 545 and 610 nm as the centres of B, G, R; the fraction of melanosomes by Fitzpatrick type is spread over the
  1–43 % that Jacques gives from light to dark skin; a double passage through 60 µm of epidermis. Centres, fractions
  and path are round numbers. They give the right order and direction: darker skin is darker most in blue, and its
  pulse is weaker and redder.
Colours are in OpenCV's order B, G, R throughout, in linear light (not gamma-coded).
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from edge_models.types import Float32Array, FloatArray

PULSE_BGR = (0.53, 0.77, 0.33)
_CENTRES_NM = (460.0, 545.0, 610.0)
_DOUBLE_PASSAGE_CM = 0.012
SURFACE = 0.06
"""Light from the surface and the epidermis, as a part of the light that white paper would send back."""
_DERMIS_BGR = (0.46, 0.56, 0.86)
"""Linear reflection of the dermis without melanin, fitted by eye to the portrait (a type II skin in good light)."""


class SkinType(IntEnum):
    """Fitzpatrick's types, I (palest) to VI (darkest)."""

    I = 1  # noqa: E741
    II = 2
    III = 3
    IV = 4
    V = 5
    VI = 6


_MELANOSOME_FRACTION = {1: 0.02, 2: 0.04, 3: 0.07, 4: 0.13, 5: 0.22, 6: 0.36}


def melanin_transmission(skin_type: int) -> FloatArray:
    """Part of the light that passes the epidermis down and up again, BGR [shape=(3,)]."""
    absorption_per_cm = 6.6e11 * np.power(np.array(_CENTRES_NM), -3.33)
    return np.asarray(np.exp(-_MELANOSOME_FRACTION[skin_type] * absorption_per_cm * _DOUBLE_PASSAGE_CM))


def skin_colour(skin_type: int) -> FloatArray:
    """Linear reflection of skin of this type, BGR [shape=(3,)], white paper = 1."""
    return np.asarray(SURFACE + np.array(_DERMIS_BGR) * melanin_transmission(skin_type))


def recoloured(linear: Float32Array, skin_type: int, portrait_type: int = SkinType.II) -> Float32Array:
    """Skin of portrait_type, linear BGR [shape=(..., 3)] with white = 1, as it would be with another type's melanin."""
    ratio = melanin_transmission(skin_type) / melanin_transmission(portrait_type)
    return np.asarray(SURFACE + np.maximum(linear - SURFACE, 0) * ratio, dtype=np.float32)


def pulse_depth(linear: FloatArray | Float32Array, green_pp: float) -> FloatArray:
    """Relative peak-to-peak change of linear skin light over a heart beat, BGR, of the shape of `linear` (..., 3).

    green_pp: the depth in green if all light came from the dermis. What comes from the surface (SURFACE, and any
    highlight the caller has left in `linear`) dilutes it; so do darker types, whose dermis returns less.
    """
    u = np.array(PULSE_BGR) / PULSE_BGR[1] * green_pp
    return np.asarray(u * np.maximum(linear - SURFACE, 0) / np.maximum(linear, 1e-6))
