"""From wavelengths to R, G, B: lamps, blood, melanin, skin in two layers, a camera's filters.

Written apart from `skin`, which has one fixed colour of the pulse: here that colour follows from the spectra, so it
differs between people, lamps and cameras. 31 wavelengths, 400 to 700 nm.

Where the numbers come from:
- Haemoglobin: molar extinction by Prahl's tabulation from data of Gratzer and Kollias (omlc.org/spectra/hemoglobin),
  read every 10 nm and rounded; 150 g/l of haemoglobin of 64,500 g/mol, times ln 10.
- Melanosomes: 1.70e12 · λ^-3.48 /cm; bloodless tissue: 0.244 + 85.3 · exp(-(λ - 154) / 66.2) /cm (both Jacques,
  Oregon Medical Laser Center News, 1998); reduced scattering of skin: 46 · (λ / 500)^-1.42 /cm (Jacques, Phys. Med.
  Biol. 58, 2013).
- Dermis: diffuse reflection of a half space by diffusion theory (Farrell, Patterson and Wilson, Med. Phys. 19, 1992).
- The epidermis only absorbs (Beer–Lambert, down and up). A pulse that starts below z0 is seen by light that gets there:
  exp(-2 z0 / depth of penetration), which weakens blue most.
Melanosome fractions by skin type, blood volumes, depths and the lamps' and filters' shapes are round numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from edge_models.types import FloatArray

WAVELENGTHS_NM: FloatArray = np.arange(400.0, 701.0, 10.0)
# HbO2 and Hb in units of 100 per cm and mol/l, 400, 410, … 700 nm.
_EXTINCTION = 100.0 * np.array(
    [
        [
            2662,
            4668,
            4804,
            2461,
            1026,
            628,
            445,
            332,
            266,
            237,
            209,
            200,
            242,
            400,
            532,
            430,
            326,
            445,
            501,
            144,
            32,
            15.1,
            9.42,
            6.1,
            4.42,
            3.68,
            3.2,
            2.94,
            2.78,
            2.76,
            2.9,
        ],
        [
            2233,
            3040,
            4076,
            5286,
            4133,
            1033,
            234,
            162,
            146,
            167,
            209,
            258,
            316,
            390,
            466,
            534,
            538,
            451,
            370,
            283,
            147,
            94.4,
            65.1,
            51.5,
            43.5,
            37.5,
            32.3,
            27.9,
            24.1,
            20.5,
            17.9,
        ],
    ]
)
_BLOOD_PER_CM = np.log(10) * 150.0 / 64500.0 * _EXTINCTION
_MELANOSOME_PER_CM = 1.70e12 * WAVELENGTHS_NM**-3.48
_TISSUE_PER_CM = 0.244 + 85.3 * np.exp(-(WAVELENGTHS_NM - 154.0) / 66.2)
_SCATTER_PER_CM = 46.0 * (WAVELENGTHS_NM / 500.0) ** -1.42
_EPIDERMIS_CM = 0.007
_INNER_REFLECTION = 2.95  # (1 + r) / (1 - r), r = 0.493 for a refractive index of 1.4
SURFACE = 0.04
"""Part of the light that the skin's surface itself throws back at right angles (Fresnel, n = 1.4 to 1.5)."""
_MELANOSOMES = {1: 0.013, 2: 0.026, 3: 0.05, 4: 0.09, 5: 0.16, 6: 0.24}


class Lamp(StrEnum):
    """What lights the room."""

    DAYLIGHT = "daylight"
    LED = "led"
    """Warm white: a blue diode and a broad yellow phosphor."""
    FLUORESCENT = "fluorescent"
    """Mercury and phosphor lines on a weak continuum."""
    TUNGSTEN = "tungsten"


def melanosomes(skin_type: int, spread: float) -> float:
    """Volume fraction in the epidermis of Fitzpatrick's type 1 to 6; spread: standard normal, of one person."""
    return float(_MELANOSOMES[skin_type] * np.exp(0.15 * np.clip(spread, -2.0, 2.0)))


def _bell(centre_nm: float, width_nm: float) -> FloatArray:
    return np.asarray(np.exp(-0.5 * ((WAVELENGTHS_NM - centre_nm) / width_nm) ** 2))


def _black_body(kelvin: float) -> FloatArray:
    """Planck's law on our wavelengths, any unit."""
    return np.asarray(WAVELENGTHS_NM**-5 / np.expm1(1.4388e7 / (WAVELENGTHS_NM * kelvin)))


def lamp_spectrum(lamp: Lamp, warmth: float) -> FloatArray:
    """Light of a lamp over WAVELENGTHS_NM, mean 1. warmth: 0 to 1, within the kind's usual range."""
    if lamp is Lamp.DAYLIGHT:
        light = _black_body(7500.0 - 2500.0 * warmth)
    elif lamp is Lamp.TUNGSTEN:
        light = _black_body(3000.0 - 300.0 * warmth)
    elif lamp is Lamp.LED:
        light = (0.9 - 0.5 * warmth) * _bell(452.0, 11.0) + _bell(570.0 + 35.0 * warmth, 58.0)
    else:
        light = 0.12 + (1.1 - 0.7 * warmth) * _bell(436.0, 7.0) + 0.35 * _bell(488.0, 9.0)
        light = (
            light
            + 1.5 * _bell(545.0, 8.0)
            + (0.9 + 0.6 * warmth) * _bell(611.0, 8.0)
            + 0.3 * _bell(585.0, 12.0)
        )
    return np.asarray(light / light.mean())


def screen_primaries() -> FloatArray:
    """Red, green and blue light of a monitor [shape=(3, wavelengths)]; all three together have mean 1."""
    light = np.stack([_bell(610.0, 18.0), _bell(534.0, 24.0), _bell(453.0, 11.0)])
    light *= (np.array([1.0, 1.0, 1.1]) / light.sum(axis=1))[:, None]
    return np.asarray(light / light.sum(axis=0).mean())


@dataclass(frozen=True, slots=True)
class Skin:
    """One person's skin. melanosome: volume fraction. blood: volume fraction in the dermis. saturation: of all its
    blood. z0_cm: above it nothing pulsates. Pulsating blood is arterial, 97 % saturated.
    """

    melanosome: float
    blood: float
    saturation: float
    z0_cm: float

    def reflection(self, melanin: FloatArray, blood: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(light that comes back out of the skin, its change for a relative rise of blood by 1) per place.

        melanin, blood: of places relative to the person's mean [shape=(k,)]. Both results [shape=(k, wavelengths)],
        parts of the light that falls on it; the surface's own reflection is not in them. The change is negative.
        """
        volume = (self.blood * blood)[:, None]
        mixed = self.saturation * _BLOOD_PER_CM[0] + (1 - self.saturation) * _BLOOD_PER_CM[1]
        arterial = 0.97 * _BLOOD_PER_CM[0] + 0.03 * _BLOOD_PER_CM[1]
        absorbed = _TISSUE_PER_CM + volume * mixed
        step = 1e-3
        passed = np.exp(-2 * self.melanosome * melanin[:, None] * _MELANOSOME_PER_CM * _EPIDERMIS_CM)
        rest, more = _half_space(absorbed), _half_space(absorbed + step * volume * arterial)
        reach_cm = 1 / np.sqrt(3 * absorbed * (absorbed + _SCATTER_PER_CM))
        deep = np.exp(-2 * self.z0_cm / reach_cm)
        return passed * rest, passed * deep * (more - rest) / step


def _half_space(absorbed_per_cm: FloatArray) -> FloatArray:
    """Total diffuse reflection of a half space (Farrell 1992, eq. for the total over all distances)."""
    albedo = _SCATTER_PER_CM / (absorbed_per_cm + _SCATTER_PER_CM)
    root = np.sqrt(3 * (1 - albedo))
    return np.asarray(albedo / 2 * (1 + np.exp(-4 / 3 * _INNER_REFLECTION * root)) * np.exp(-root))


def camera_filters(shift_nm: FloatArray, correction: float) -> FloatArray:
    """What R, G, B of a camera see [shape=(3, wavelengths)], colour correction included.

    shift_nm: of the three centres [shape=(3,)]. correction: 0 to 1, how far the camera's colour matrix undoes the
    overlap of its filters; it takes parts of the neighbours away, so a value may be negative. Each row sums to 1.
    """
    seen = np.stack(
        [
            _bell(603.0 + shift_nm[0], 36.0) + 0.06 * _bell(460.0, 30.0),
            _bell(538.0 + shift_nm[1], 40.0),
            _bell(462.0 + shift_nm[2], 30.0),
        ]
    )
    seen *= 1 / (1 + np.exp((WAVELENGTHS_NM - 665.0) / 12.0))  # the infrared filter
    seen /= seen.sum(axis=1, keepdims=True)
    matrix = np.array([[1.55, -0.45, -0.10], [-0.22, 1.48, -0.26], [-0.02, -0.50, 1.52]])
    return np.asarray((np.eye(3) + correction * (matrix - np.eye(3))) @ seen)
