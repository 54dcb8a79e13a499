"""Random people and nobodies: always the same ones, of every kind, and their windows are what a scan would see."""

from __future__ import annotations

import numpy as np
import pytest

from client.evaluation import random_scans
from edge_models.fusion import WINDOW_S, PulseFusion
from edge_models.regions import GRID_RATE_HZ, TRACES
from edge_models.simulate.scene import Scene, SceneKind
from edge_models.vitals import heart_rate


def test_a_number_stands_for_one_scan() -> None:
    assert random_scans.person(17) == random_scans.person(17) != random_scans.person(29)
    assert random_scans.nobody(17) == random_scans.nobody(17) != random_scans.nobody(27)


def test_every_kind_and_every_skin_type_comes() -> None:
    people = [random_scans.person(number) for number in range(100, 172)]
    nobodies = [random_scans.nobody(number) for number in range(100, 160)]
    assert {(condition, setting.skin_type) for condition, setting in people} == {
        (condition, skin) for condition in dict(people) for skin in range(1, 7)
    }
    assert len(dict(people)) == 12 and len(dict(nobodies)) == 10
    assert all(setting.has_person for _, setting in people)
    assert not any(setting.has_person for _, setting in nobodies)
    assert {setting.kind for _, setting in nobodies} == {
        SceneKind.PHOTOGRAPH,
        SceneKind.MOVED_PHOTOGRAPH,
        SceneKind.MANNEQUIN,
        SceneKind.REPLAYED,
    }
    # None is shorter than a window.
    assert min(setting.duration_s for _, setting in [*people, *nobodies]) >= WINDOW_S


def test_windows_end_at_every_second_and_at_the_end() -> None:
    found, known = random_scans.windows(Scene(duration_s=12.6))
    ends_s = [round(float(window.t_s[-1]), 3) for window in found]
    assert ends_s[:-1] == [6, 7, 8, 9, 10, 11, 12] and 12.3 < ends_s[-1] <= 12.6
    assert {window.values.shape for window in found} == {(round(WINDOW_S * GRID_RATE_HZ) + 1, TRACES)}
    # What lies before the first frame does not count.
    assert found[0].weight[: round(3.9 * GRID_RATE_HZ)].sum() == 0 and found[-1].weight.all()
    assert known.has_pulse


@pytest.mark.parametrize("rate", [55.0, 120.0])
def test_the_pulse_of_a_person_is_in_the_windows_and_none_of_a_photograph(rate: float) -> None:
    sure = {}
    for kind in (SceneKind.PERSON, SceneKind.PHOTOGRAPH):
        found, known = random_scans.windows(Scene(kind, seed=4, duration_s=14.0, heart_rate_bpm=rate))
        fusion = PulseFusion()
        for window in found:
            fusion.add(window)
        track = fusion.track()
        assert track is not None
        sure[kind], reasons = heart_rate.confidence(track)
        if kind is SceneKind.PERSON:
            assert np.median(track.rate_per_min) == pytest.approx(known.mean_heart_rate(), abs=3)
            assert reasons == () and track.coherence > 0.8
            assert np.median(track.background_power) < 7
    assert sure[SceneKind.PERSON] > 0.95 and sure[SceneKind.PHOTOGRAPH] < 0.1


def test_the_head_s_motion_is_a_reference() -> None:
    still, _ = random_scans.windows(Scene(duration_s=11.0))
    nodding, _ = random_scans.windows(Scene(duration_s=11.0, nod_px=8.0, nod_hz=1.0))
    assert nodding[-1].values[:, -3].std() > 20 * still[-1].values[:, -3].std()
