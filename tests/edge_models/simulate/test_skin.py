"""The skin model: order and direction of what melanin does."""

from __future__ import annotations

import numpy as np
import pytest

from edge_models.simulate import skin
from edge_models.simulate.skin import SkinType


def test_darker_types_are_darker_in_every_colour_and_most_in_blue() -> None:
    colours = np.array([skin.skin_colour(kind) for kind in SkinType])
    assert np.all(np.diff(colours, axis=0) < 0)
    blue_to_red = colours[:, 0] / colours[:, 2]
    assert np.all(np.diff(blue_to_red[:5]) < 0)


def test_darker_types_have_a_weaker_pulse() -> None:
    depths = np.array([skin.pulse_depth(skin.skin_colour(kind), 0.018) for kind in SkinType])
    assert np.all(np.diff(depths, axis=0) < 0)
    assert 0.4 < depths[-1, 1] / depths[0, 1] < 0.7


def test_the_pulse_of_light_skin_has_the_published_colour() -> None:
    blue, green, red = skin.pulse_depth(skin.skin_colour(SkinType.II), 0.018)
    assert green > blue > red
    assert red / green == pytest.approx(0.33 / 0.77, rel=0.1)
    assert blue / green == pytest.approx(0.53 / 0.77, rel=0.1)


def test_recolouring_to_the_same_type_changes_nothing_and_to_another_gives_its_colour() -> None:
    colour = skin.skin_colour(SkinType.II).astype(np.float32)
    assert skin.recoloured(colour, SkinType.II) == pytest.approx(colour, rel=1e-5)
    for kind in SkinType:
        assert skin.recoloured(colour, kind) == pytest.approx(skin.skin_colour(kind), rel=1e-4)


def test_what_only_the_surface_sends_back_has_no_pulse() -> None:
    assert not skin.pulse_depth(np.full(3, skin.SURFACE), 0.018).any()
    assert not skin.pulse_depth(np.zeros(3), 0.018).any()
