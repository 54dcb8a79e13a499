"""Skin by wavelengths: the pulse's colour follows from physics and looks as it should."""

from __future__ import annotations

import numpy as np
import pytest

from edge_models.pulse import BLOOD_RGB
from edge_models.simulate.spectra import (
    WAVELENGTHS_NM,
    Lamp,
    Skin,
    camera_filters,
    lamp_spectrum,
    melanosomes,
    screen_primaries,
)
from edge_models.types import FloatArray

ONE = np.ones(1)


def _rgb(
    skin_type: int, lamp: Lamp = Lamp.DAYLIGHT, correction: float = 0.3
) -> tuple[FloatArray, FloatArray]:
    """(what a camera sees of the skin, what a relative rise of blood by 1 changes of it), white is 1."""
    skin = Skin(melanosomes(skin_type, 0.0), blood=0.03, saturation=0.75, z0_cm=0.02)
    seen, change = skin.reflection(ONE, ONE)
    light = camera_filters(np.zeros(3), correction) * lamp_spectrum(lamp, 0.5)
    white = light.sum(axis=1)
    return light @ seen[0] / white, light @ change[0] / white


@pytest.mark.parametrize("skin_type", range(1, 7))
def test_skin_is_redder_than_green_and_greener_than_blue(skin_type: int) -> None:
    red, green, blue = _rgb(skin_type)[0]
    assert 1.0 > red > green > blue > 0.0


@pytest.mark.parametrize("lamp", list(Lamp))
@pytest.mark.parametrize("skin_type", [1, 3, 6])
def test_blood_takes_light_away_of_green_relatively_most_against_red(skin_type: int, lamp: Lamp) -> None:
    seen, change = _rgb(skin_type, lamp)
    assert (change < 0).all()
    relative = -change / seen
    assert relative[1] > 1.5 * relative[0]


def test_the_colour_of_the_pulse_is_near_the_published_one() -> None:
    seen, change = _rgb(2)
    colour = -change / seen
    assert colour @ BLOOD_RGB / np.linalg.norm(colour) > 0.93


def test_darker_skin_is_darker_and_changes_by_less() -> None:
    levels = [_rgb(kind)[0][1] for kind in range(1, 7)]
    changes = [-_rgb(kind)[1][1] for kind in range(1, 7)]
    assert levels == sorted(levels, reverse=True) and changes == sorted(changes, reverse=True)


def test_the_change_is_that_of_a_little_more_blood() -> None:
    def skin(blood: float) -> FloatArray:
        # All blood arterial, and all of it pulsating: then the change is the derivative.
        return np.asarray(Skin(0.03, blood, 0.97, 0.0).reflection(ONE, ONE)[0][0], np.float64)

    change = Skin(0.03, 0.03, 0.97, 0.0).reflection(ONE, ONE)[1][0]
    np.testing.assert_allclose(change, (skin(0.0303) - skin(0.03)) / 0.01, rtol=0.02, atol=1e-5)


def test_lamps_screens_and_filters_are_normalised() -> None:
    for lamp in Lamp:
        for warmth in (0.0, 1.0):
            light = lamp_spectrum(lamp, warmth)
            assert light.mean() == pytest.approx(1.0) and (light >= 0).all()
    assert screen_primaries().sum(axis=0).mean() == pytest.approx(1.0)
    for correction in (0.0, 1.0):
        np.testing.assert_allclose(camera_filters(np.zeros(3), correction).sum(axis=1), 1.0, atol=1e-9)


def test_the_primaries_of_a_screen_are_red_green_and_blue() -> None:
    centres = screen_primaries() @ WAVELENGTHS_NM / screen_primaries().sum(axis=1)
    assert centres[0] > 590 > centres[1] > 510 > centres[2]
    assert melanosomes(6, 0.0) > melanosomes(1, 0.0)
