"""The coach's grid: fixed, balanced, really provoking; and how what the coach says of it is counted."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from client.evaluation import coach_grid, coach_measuring
from client.evaluation.coach_grid import FAULTS, CoachClip, Part, Shine
from client.evaluation.coach_measuring import Seen, seen
from edge_models.coach import Coach
from edge_models.face import FaceTracker, SkinSample
from edge_models.nets import FaceNet
from edge_models.quality import judge
from edge_models.simulate import scene
from edge_models.simulate.scene import Scene
from edge_models.types import ByteArray, Frame, Progress, Reason, ScanResult
from tests.client.pipeline.fakes import progress

CLIPS = {part: list(coach_grid.clips(part)) for part in Part}
PROVOKED = {fault: next(c for c in CLIPS[Part.TUNE] if c.fault is fault) for fault in FAULTS}
GOOD = [c for c in CLIPS[Part.TUNE] if c.fault is None and c.after.fps <= 30.0][0:24:11]
"""Of types 1, 6 and 5."""
NOTHING = np.zeros((16, 16, 3), np.uint8)
Filmed = Callable[[CoachClip], list[SkinSample]]


@pytest.fixture(scope="module")
def portrait(astronaut_png: bytes) -> ByteArray:
    return np.asarray(cv2.imdecode(np.frombuffer(astronaut_png, np.uint8), cv2.IMREAD_COLOR), np.uint8)


@pytest.fixture(scope="module")
def filmed(portrait: ByteArray, face_net: bytes) -> Filmed:
    """What the tracker makes of a clip; each is rendered once."""
    kept: dict[str, list[SkinSample]] = {}

    def tracked(clip: CoachClip) -> list[SkinSample]:
        if clip.name not in kept:
            tracker = FaceTracker(FaceNet(face_net))
            until_s = clip.onset_s + coach_grid.FOUND_WITHIN_S
            frames = itertools.takewhile(lambda frame: frame.t_s <= until_s, clip.frames(portrait))
            kept[clip.name] = [tracker.update(frame) for frame in frames]
        return kept[clip.name]

    return tracked


class CoachAlone:
    """Only the judge and the coach, on samples that are there already."""

    def __init__(self, samples: list[SkinSample], size_px: tuple[int, int]) -> None:
        self._left, self._size_px, self._coach = iter(samples), size_px, Coach()
        self._before: SkinSample | None = None
        self._seen = False

    def push(self, frame: Frame) -> Progress:
        sample = next(self._left)
        verdict = judge(sample, self._before, frame_height_px=self._size_px[1], seen_before=self._seen)
        self._before, self._seen = sample, self._seen or verdict.accepted
        self._coach.take(sample, verdict, frame_size_px=self._size_px)
        return progress(frame.t_s, 0.0, hint=self._coach.hint, faults=self._coach.present)

    def result(self, *, distrust: tuple[Reason, ...] = ()) -> ScanResult:
        raise AssertionError("nobody asks")


def _coached(clip: CoachClip, samples: list[SkinSample]) -> Seen:
    frames = [Frame(NOTHING, sample.t_s) for sample in samples]
    return seen(clip, frames, CoachAlone(samples, clip.size_px))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_provoked_fault_is_found_and_said_and_missed_without_its_detector(
    fault: Reason, filmed: Filmed, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = PROVOKED[fault]
    outcome = _coached(clip, filmed(clip))
    assert outcome.in_time and outcome.hint_is_right and not outcome.early, outcome.to_json()

    whole = Coach._find
    monkeypatch.setattr(Coach, "_find", lambda self, size_px: whole(self, size_px) - {fault})
    blind = _coached(clip, filmed(clip))
    assert blind.found_s is None and not blind.in_time and not blind.hint_is_right


@pytest.mark.parametrize("clip", GOOD, ids=lambda clip: str(clip.name))
def test_nothing_is_said_of_a_good_clip(clip: CoachClip, filmed: Filmed) -> None:
    outcome = _coached(clip, filmed(clip))
    assert not outcome.said and not outcome.found and not outcome.false_prompt


@pytest.mark.parametrize("part", Part)
def test_the_grid_is_as_large_as_it_says_and_always_the_same(part: Part) -> None:
    clips = CLIPS[part]
    assert [sum(c.fault is fault for c in clips) for fault in FAULTS] == [12] * 15
    assert sum(c.fault is None for c in clips) == 60
    assert len({c.name for c in clips}) == len({c.before.seed for c in clips}) == 240
    assert list(coach_grid.clips(part)) == clips
    for fault in FAULTS:
        assert len({c.after.skin_type for c in clips if c.fault is fault}) == 6
    good = [c for c in clips if c.fault is None]
    assert Counter(c.after.skin_type for c in good) == dict.fromkeys(range(1, 7), 10)
    shares = [c.after.face_width_px / c.after.width_px for c in good]
    assert 0.15 <= min(shares) < 0.16 and 0.49 < max(shares) <= 0.505
    assert {c.after.fps for c in good} >= {15.0, 24.0, 30.0, 60.0}


def test_what_thresholds_were_set_on_is_not_what_they_are_judged_by() -> None:
    tune, judged = (CLIPS[part] for part in Part)
    assert not {c.before.seed for c in tune} & {c.before.seed for c in judged}
    assert not {c.after.face_width_px for c in tune} & {c.after.face_width_px for c in judged}
    assert not {c.onset_s for c in tune if c.onset_s} & {c.onset_s for c in judged}


@pytest.mark.parametrize("clip", [c for c in CLIPS[Part.JUDGE] if c.onset_s > 0], ids=lambda c: str(c.name))
def test_a_fault_sets_in_late_enough_to_be_seen_and_early_enough_to_be_found(clip: CoachClip) -> None:
    assert clip.before.seed == clip.after.seed and clip.before.duration_s == clip.after.duration_s
    assert clip.onset_s >= 1.0
    assert clip.after.duration_s - clip.onset_s >= coach_grid.FOUND_WITHIN_S
    assert clip.fault not in clip.also


SMALL = Scene(seed=5, duration_s=0.6, width_px=160, height_px=120, face_width_px=40.0, fps=10.0)
LATER_S = 0.25


def _pictures(clip: CoachClip, portrait: ByteArray) -> list[ByteArray]:
    frames = list(clip.frames(portrait))
    assert [f.t_s for f in frames] == sorted({f.t_s for f in frames})
    assert len(frames) == 6
    return [f.image for f in frames]


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"after": replace(SMALL, brightness=0.1)}, (slice(0, 120), slice(0, 160))),
        ({"aside": 0.2}, (slice(20, 90), slice(100, 150))),
        ({"tilt_deg": 40.0}, (slice(20, 50), slice(60, 110))),
        ({"opening": 1.0, "syllables_hz": 4.0}, (slice(55, 75), slice(70, 90))),
        ({"brighter_per_s": -0.9}, (slice(0, 120), slice(0, 160))),
        ({"shines": (Shine(0.0, 0.0, 0.2, 1.0),)}, (slice(44, 60), slice(72, 88))),
        (
            {"neighbour": replace(SMALL, skin_type=6), "neighbour_aside": 0.3},
            (slice(20, 90), slice(105, 150)),
        ),
    ],
)
def test_what_is_staged_sets_in_at_its_onset_and_where_it_should(
    changes: dict[str, Any], where: tuple[slice, slice], portrait: ByteArray
) -> None:
    plain = CoachClip("plain", None, SMALL, SMALL)
    staged = replace(replace(plain, onset_s=LATER_S), **changes)
    usual, changed = _pictures(plain, portrait), _pictures(staged, portrait)
    for k in range(3):
        np.testing.assert_array_equal(usual[k], changed[k])
    apart = np.abs(usual[5][where].astype(float) - changed[5][where])
    assert apart.max() > 40 and apart.mean() > 2.0


def test_a_mirrored_clip_is_the_other_way_round(portrait: ByteArray) -> None:
    plain = CoachClip("plain", None, SMALL, SMALL)
    pairs = zip(_pictures(plain, portrait), _pictures(replace(plain, mirrored=True), portrait), strict=True)
    assert all((one[:, ::-1] == other).all() for one, other in pairs)


def test_a_scene_is_filmed_as_its_course_says(portrait: ByteArray) -> None:
    course = scene.timeline(SMALL)
    usual = [frame.image for frame in scene.render(SMALL, portrait)]
    told = [frame.image for frame in scene.render(SMALL, portrait, course)]
    dark = list(scene.render(SMALL, portrait, replace(course, face_gain=0.01 * course.face_gain)))
    assert all((a == b).all() for a, b in zip(usual, told, strict=True))
    assert dark[0].image[40:60, 70:90].mean() < 0.3 * usual[0][40:60, 70:90].mean()


# How it is counted


class Script:
    """An engine that finds and says what it is told, from moments on."""

    def __init__(self, hints: dict[float, Reason | None], faults: Mapping[float, tuple[Reason, ...]]) -> None:
        self._hints, self._faults = hints, faults

    def push(self, frame: Frame) -> Progress:
        hint = [h for at_s, h in self._hints.items() if at_s <= frame.t_s]
        faults = [f for at_s, f in self._faults.items() if at_s <= frame.t_s]
        return progress(frame.t_s, 0.0, hint=hint[-1] if hint else None, faults=faults[-1] if faults else ())

    def result(self, *, distrust: tuple[Reason, ...] = ()) -> ScanResult:
        raise AssertionError("nobody asks")


def _told(
    hints: dict[float, Reason | None],
    faults: Mapping[float, tuple[Reason, ...]] | None = None,
    *,
    fault: Reason | None = Reason.GLARE,
    also: frozenset[Reason] = frozenset(),
) -> Seen:
    clip = CoachClip("glare 00: a lamp", fault, SMALL, SMALL, 1.0 if fault else 0.0, also)
    return seen(clip, [Frame(NOTHING, k / 10) for k in range(50)], Script(hints, faults or {}))


def test_what_was_found_in_time_counts_and_later_does_not() -> None:
    assert _told({}, {2.9: (Reason.GLARE,)}).in_time
    late = _told({}, {3.2: (Reason.GLARE,)})
    assert late.found_s == pytest.approx(2.2) and not late.in_time
    assert not _told({}, {0.5: (Reason.MOTION,)}).in_time


def test_a_hint_is_right_when_the_fault_is_said_in_time() -> None:
    found = {2.0: (Reason.GLARE,)}
    assert _told({2.0: Reason.GLARE}, found).hint_is_right
    assert not _told({3.5: Reason.GLARE}, found).hint_is_right
    assert not _told({}, found).hint_is_right


def test_another_fault_may_be_said_first_only_where_it_is_there_and_the_provoked_one_is_found() -> None:
    hints: dict[float, Reason | None] = {1.5: Reason.TOO_FAR}
    found = {2.0: (Reason.TOO_FAR, Reason.GLARE)}
    true = frozenset({Reason.TOO_FAR})
    assert _told(hints, found, also=true).hint_is_right
    assert not _told(hints, found).hint_is_right
    assert not _told(hints, {2.0: (Reason.TOO_FAR,)}, also=true).hint_is_right


def test_what_is_said_of_a_good_clip_or_before_the_onset_is_false() -> None:
    assert _told({3.0: Reason.MOTION}, fault=None).false_prompt
    assert not _told({}, fault=None).false_prompt
    early = _told({0.5: Reason.GLARE})
    assert early.early == (Reason.GLARE,) and early.false_prompt
    assert _told({2.0: Reason.MOTION}).false_prompt
    assert not _told({2.0: Reason.MOTION}, also=frozenset({Reason.MOTION})).false_prompt


def test_the_table_counts_and_names_what_went_wrong() -> None:
    right = _told({2.0: Reason.GLARE}, {1.8: (Reason.GLARE,)})
    missed, quiet = _told({2.0: Reason.MOTION}), _told({}, fault=None)
    text = coach_measuring.markdown(Part.TUNE, [right, missed, quiet])
    row = next(line for line in text.splitlines() if line.startswith("| glare"))
    assert [cell.strip() for cell in row.strip("|").split("|")] == [
        "glare",
        "2",
        "50 % (1 of 2)",
        "0.8",
        "50 % (1 of 2)",
        "50 % (1 of 2)",
        "50 % (1 of 2)",
    ]
    assert "Good clips with a false prompt: 0 % (0 of 1); wanted at most 2 %." in text
    assert "Short of what is wanted (95 % found and hinted, 2 % false): glare." in text
    assert "- glare 00: a lamp: not found; said: motion at 1.0 s" in text
    told = coach_measuring.to_json(Part.TUNE, [right, missed, quiet])
    assert [clip["in_time"] for clip in told["clips"]] == [True, False, None]
