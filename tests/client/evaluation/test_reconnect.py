"""Devices that come back at once: the client spreads them, and the simulation sees it where a client does not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from client.evaluation import reconnect
from client.evaluation.reconnect import morning

DEVICES = 1_000


@pytest.mark.parametrize("name", ["service", "power"])
def test_nobody_storms_and_everybody_is_served(name: str) -> None:
    found = morning(name, DEVICES, seed=3)
    assert np.isfinite(found.done_s).all()
    assert found.peak_per_s < 0.15 * DEVICES
    assert found.asked < 1.1 * found.needed


def test_without_chance_the_same_client_is_a_storm() -> None:
    found = morning("lockstep", DEVICES, seed=3)
    assert found.peak_per_s > 0.9 * DEVICES
    assert found.asked > 1.3 * found.needed


def test_the_same_seed_is_the_same_morning() -> None:
    one, two = morning("power", 50, seed=5), morning("power", 50, seed=5)
    assert list(one.arrived) == list(two.arrived)
    assert list(one.done_s) == list(two.done_s)


def test_what_is_told_can_be_read() -> None:
    found = [morning(name, 20, seed=1) for name in reconnect.MORNINGS]
    told = reconnect.markdown(found)
    assert all(name in told for name in reconnect.MORNINGS)
    assert "nan" not in told
    mornings = reconnect.to_json(found)["mornings"]
    assert isinstance(mornings, list)
    assert sum(mornings[0]["arrived_per_s"]) == found[0].asked
    assert not math.isnan(found[0].peak_per_s)
