"""The fit finds weights that are known, weighs what the product weighs, and tells true figures from readings made by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.errors import BadInput
from client.evaluation import confidence_fit, random_scans
from client.evaluation.confidence_fit import Reading
from edge_models.fusion import PulseFusion, PulseTrack
from edge_models.simulate import scene
from edge_models.simulate.scene import Scene
from edge_models.types import FloatArray, Reason
from edge_models.vitals import heart_rate
from edge_models.vitals.heart_rate import FEATURES


@cache
def good_track() -> PulseTrack:
    """Of a person who sits still."""
    fusion = PulseFusion()
    for window in random_scans.windows(Scene(seed=3, duration_s=11.0))[0]:
        fusion.add(window)
    track = fusion.track()
    assert track is not None
    return track


def made(
    *,
    evidence: float = 20.0,
    margin: float = 20.0,
    agreement: float = 1.0,
    likeness: float = 0.97,
    unexplained: float = 1.0,
    power: float = 30.0,
    rate: float = 70.0,
    coherence: float = 0.9,
    motion: float = 1.0,
    background: float = 1.0,
) -> PulseTrack:
    """A track by hand; by itself nothing speaks against it."""
    track = good_track()
    many = np.ones(len(track.t_s))
    return replace(
        track,
        evidence=evidence * many,
        margin=margin,
        agreement=dict.fromkeys(track.agreement, agreement),
        likeness=likeness,
        unexplained=unexplained * many,
        power_over_noise=power * many,
        rate_per_min=rate * many,
        coherence=coherence,
        motion_power=motion * many,
        background_power=background * many,
        greyer=-0.1,
    )


@given(
    evidence=st.floats(-5, 40),
    margin=st.floats(-5, 200),
    agreement=st.floats(0, 1),
    likeness=st.floats(-1, 1),
    unexplained=st.floats(0, 40),
    power=st.floats(0, 200),
    rate=st.floats(38, 205),
    motion=st.floats(0, 50),
    background=st.floats(0, 50),
)
def test_what_speaks_for_a_pulse_never_lowers_the_confidence(
    evidence: float,
    margin: float,
    agreement: float,
    likeness: float,
    unexplained: float,
    power: float,
    rate: float,
    motion: float,
    background: float,
) -> None:
    track = made(
        evidence=evidence,
        margin=margin,
        agreement=agreement,
        likeness=likeness,
        unexplained=unexplained,
        power=power,
        rate=rate,
        motion=motion,
        background=background,
    )
    sure = heart_rate.confidence(track)[0]
    assert 0.0 <= sure <= 1.0
    better = [
        replace(track, margin=margin + 5.0),
        replace(track, agreement=dict.fromkeys(track.agreement, min(1.0, agreement + 0.1))),
        replace(track, likeness=min(1.0, likeness + 0.1)),
        replace(track, evidence=track.evidence + 2.0),
        replace(track, unexplained=track.unexplained * 0.5),
        replace(track, colour_known=0.5),
        replace(track, motion_power=track.motion_power * 0.5),
        replace(track, background_power=track.background_power * 0.5),
    ]
    assert min(heart_rate.confidence(other)[0] for other in better) >= sure - 1e-12


def test_features_are_what_their_names_say() -> None:
    plain = heart_rate.features(made(evidence=20.0, margin=20.0, power=30.0))
    assert plain == pytest.approx([1.0, math.log(21.0), 1.0, 0.0, 0.0, 16.0, 0.0, 0.0])
    worse = made(evidence=5.0, likeness=0.9, unexplained=4.7, power=30.0, rate=50.0, motion=3.5)
    assert heart_rate.features(worse) == pytest.approx(
        [1.0, math.log(21.0), 1.0, -0.06, math.log(3.0), 5.0, 0.5, math.log(2.0)]
    )


def test_the_product_gives_the_same_probability_of_simulated_scans() -> None:
    members = [*confidence_fit.readings(1_003, alive=True), *confidence_fit.readings(1_004, alive=False)]
    sure = [confidence_fit.probability(r.features[None], heart_rate.WEIGHTS)[0] for r in members]
    assert sure == pytest.approx([r.confidence for r in members], abs=1e-12)
    assert min(sure) < 0.1 and max(sure) > 0.9


@pytest.mark.parametrize(
    "track, seen_s, wanted",
    [
        (made(), 10.0, False),
        (made(evidence=0.0, margin=0.0), 10.0, False),  # weak, which is for the probability to say
        (made(evidence=0.0, margin=0.0, coherence=0.0), 10.0, True),
        (made(likeness=0.5), 10.0, True),
        (made(agreement=0.5), 10.0, True),
        (made(motion=40.0), 10.0, True),
        (made(background=9.0), 10.0, True),
        (made(rate=41.0), 10.0, True),  # fewer than seven beats
    ],
)
def test_what_forbids_is_told_apart_from_what_is_unsure(
    track: PulseTrack, seen_s: float, wanted: bool
) -> None:
    assert confidence_fit.forbidden(track, seen_s) is wanted


def test_what_the_product_leaves_unsaid_is_seen() -> None:
    track = made(evidence=0.0, margin=0.0, coherence=0.0)
    assert heart_rate.confidence(track)[1] == (Reason.NO_PULSE,)
    assert confidence_fit.forbidden(track, 10.0)


def synthetic(weights: FloatArray, count: int, scale: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(features, whether right) that follow a logistic regression exactly."""
    rng = np.random.default_rng(5)
    of = np.hstack([np.ones((count, 1)), 3.0 + rng.standard_normal((count, len(weights) - 1)) * scale])
    return of, np.asarray(rng.uniform(size=count) < confidence_fit.probability(of, weights))


def test_the_fit_finds_the_weights_that_made_the_data() -> None:
    weights = np.array([-4.0, 1.5, -0.8, 20.0])
    scale = np.array([1.0, 2.0, 0.05])
    weights[0] -= 3.0 * weights[1:].sum() - 4.0  # about as many right as wrong
    of, right = synthetic(weights, 20_000, scale)
    found = confidence_fit.fit(of, right.astype(np.bool_), np.ones(len(of)))
    # The inverse of the information is the variance that theory gives.
    likely = confidence_fit.probability(of, weights)
    error = np.sqrt(np.diag(np.linalg.inv((of * (likely * (1 - likely))[:, None]).T @ of)))
    assert np.all(np.abs(found - weights) < 4 * error)
    assert np.all(error[1:] < 0.1 * np.abs(weights[1:]))


def test_the_fit_does_not_care_for_units() -> None:
    of, right = synthetic(np.array([0.0, 1.0, -1.0]), 500, np.ones(2))
    units = np.array([1.0, 1000.0, 0.01])
    counts = np.linspace(0.5, 2.0, len(of))
    found = confidence_fit.fit(of, right.astype(np.bool_), counts)
    assert confidence_fit.fit(of * units, right.astype(np.bool_), counts) * units == pytest.approx(
        found, rel=1e-5
    )


def test_a_constant_alone_gives_the_share_that_is_right_by_what_readings_count() -> None:
    right = np.array([True, True, True, False])
    found = confidence_fit.fit(np.ones((4, 1)), right, np.array([1.0, 1.0, 0.5, 2.0]))
    assert found == pytest.approx([math.log(2.5 / 2.0)])


def test_readings_that_a_line_parts_completely_give_finite_weights() -> None:
    place = np.linspace(-1, 1, 40)
    found = confidence_fit.fit(np.stack([np.ones(40), place], axis=1), place > 0, np.ones(40))
    assert np.all(np.isfinite(found)) and found[1] > 1


def test_right_readings_alone_cannot_be_fitted() -> None:
    with pytest.raises(ValueError):
        confidence_fit.fit(np.ones((3, 1)), np.ones(3, np.bool_), np.ones(3))


def reading(scan: int, *, right: bool = True, **changes: Any) -> Reading:
    """A reading of a person at the end of a scan, by hand."""
    features = np.r_[1.0, np.random.default_rng([scan, right]).normal(1.0 if right else -1.0, 2.0, 7)]
    usual = Reading(scan, "still", True, True, features, 0.95, False, 70.0, 72.0 if right else 90.0)
    return replace(usual, **changes)


def test_no_reading_is_asked_of_weights_that_saw_its_scan() -> None:
    members = [reading(scan, right=scan % 3 > 0) for scan in range(60)]
    before, sets = confidence_fit.cross_validated(members)
    changed = [replace(r, true_per_min=200.0) if r.scan == 7 else r for r in members]
    after, _ = confidence_fit.cross_validated(changed)
    same_part = np.array([r.scan % 5 == 7 % 5 for r in members])
    assert sets.shape == (5, len(FEATURES))
    assert np.array_equal(before[same_part], after[same_part])
    assert np.all(before[~same_part] != after[~same_part])


def test_what_is_forbidden_and_replayed_faces_are_not_fitted_on() -> None:
    replayed = reading(1, has_pulse=False, condition=random_scans.REPLAYED, true_per_min=math.nan)
    assert reading(1).fitted_on and replace(replayed, condition="mannequin").fitted_on
    assert not reading(1, forbidden=True).fitted_on
    assert not replayed.fitted_on
    with pytest.raises(BadInput, match="few scans"):
        confidence_fit.fitted([reading(k, right=False, forbidden=k > 0) for k in range(2)])


def test_a_rate_without_a_pulse_is_never_right() -> None:
    assert reading(1).right and not reading(1, right=False).right
    assert not reading(1, has_pulse=False, true_per_min=math.nan).right


def test_shown_counts_what_reaches_the_threshold_and_is_not_forbidden() -> None:
    nobody = reading(5, has_pulse=False, true_per_min=math.nan, condition="mannequin")
    members = [
        reading(1),
        reading(2, right=False),
        reading(3, forbidden=True),
        reading(4),
        nobody,
        replace(nobody, scan=6),
    ]
    found = confidence_fit.shown(members, np.array([0.9, 0.95, 0.99, 0.89, 0.9, 0.2]), 0.9)
    assert (found.right.count, found.right.whole) == (1, 3)
    assert (found.wrong.count, found.wrong.whole) == (1, 2)
    assert (found.nobodies.count, found.nobodies.whole) == (1, 2)
    assert found.kinds == {"mannequin": 1}


def test_reliability_sets_confidence_beside_the_share_that_is_right() -> None:
    nobody = reading(3, has_pulse=False, true_per_min=math.nan)
    members = (reading(1), reading(2), nobody, replace(nobody, forbidden=True))
    asked = confidence_fit.Asked("in use", "scans", members, np.array([0.92, 0.96, 0.3, 0.99]))
    assert np.array(asked.reliability()) == pytest.approx(np.array([[0.3, 0.0, 1], [0.94, 1.0, 2]]))
    assert asked.calibration_error() == pytest.approx((0.3 + 2 * 0.06) / 3)
    assert asked.calibration_error(0.95) == pytest.approx(0.04)
    assert asked.calibration_error(0.97) is None


def test_live_readings_and_final_ones_are_told_apart() -> None:
    members = (reading(1), reading(2, final=False), reading(3, final=False, right=False))
    asked = confidence_fit.Asked("in use", "scans", members, np.array([0.5, 0.95, 0.95]))
    assert asked.shown(0.9, final=True).right.count == 0
    live = asked.shown(0.9, final=False)
    assert (live.right.count, live.right.whole, live.wrong.count, live.wrong.whole) == (1, 1, 1, 2)


def test_a_reading_is_set_beside_the_rate_of_its_own_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    rising = Scene(seed=2, duration_s=20.0, heart_rate_bpm=60.0, heart_rate_end_bpm=80.0)
    monkeypatch.setattr(random_scans, "person", lambda _: ("changing rate", rising))
    *live, last = confidence_fit.readings(7, alive=True)
    mean = scene.truth(rising).mean_heart_rate
    # Every fourth of the windows that end at 6, 7, … 20 s.
    assert [r.true_per_min for r in live] == [mean(0, 9), mean(3, 13), mean(7, 17)]
    assert last.true_per_min == mean()
    assert last.final and not any(r.final for r in live)
    assert all(r.right and r.scan == 7 for r in [*live, last])
