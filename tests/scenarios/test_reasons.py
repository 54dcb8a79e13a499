"""Every reason that a scan can give has a clip that provokes it, and a good clip names none of them.

Pictures where the picture is what is wrong, staged samples where only the pulse is, real sources where they are.
A reason is named where a person or a program reads it: in the result, as a hint, or beside the live heart rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from client.app import real_parts
from client.clock import SystemClock
from client.pipeline.run import ScanRun
from client.pipeline.session import Goal
from edge_models.face import COLS, SkinSample
from edge_models.scan import Measurement, Scan
from edge_models.simulate.portrait import Cover
from edge_models.simulate.scene import Scene, SceneKind
from edge_models.simulate.spectral_scan import SpectralScene, Target, spectral_scan
from edge_models.types import ByteArray, Frame, Progress, Reason, ScanResult
from tests.client.pipeline.fakes import FACTS, HandClock, ScriptedSource, Turn, stalled
from tests.edge_models.staged import samples
from tests.scenarios.conftest import Scan as Command
from tests.stand_ins import clips

Film = Callable[..., list[Frame]]
BLOOD_RGB = np.array([0.33, 0.77, 0.53], np.float32)
FACE_CENTRE_PX = (160, 103)


def in_result(result: ScanResult) -> set[Reason]:
    return {reason for vital in result.vitals.values() for reason in vital.reasons} | set(
        result.quality.reasons
    )


def named(progress: Iterable[Progress], result: ScanResult) -> set[Reason]:
    """All that a scan said: hints, why there was no live heart rate, and its result."""
    said = in_result(result)
    for moment in progress:
        said |= {moment.hint} if moment.hint is not None else set()
        said |= set(moment.heart_rate.reasons) if moment.heart_rate is not None else set()
    return said


@dataclass(frozen=True)
class Studio:
    """Where clips are made and measured. sitting: five good seconds of a small person at 15 frames per second."""

    film: Film
    sitting: list[Frame]
    face_net: bytes
    command: Command
    folder: Path

    def scene(self, **changes: Any) -> set[Reason]:
        """What is said of a rendered scene of five seconds."""
        return self.frames(
            self.film(**({"fps": 15.0, "duration_s": 5.0, "brightness": 0.6, "seed": 21} | changes))
        )

    def edited(self, edit: Callable[[ByteArray], Any]) -> set[Reason]:
        """What is said of the sitting person after a change of every picture."""
        return self.frames([Frame(np.asarray(edit(f.image), np.uint8), f.t_s) for f in self.sitting])

    def frames(self, frames: list[Frame]) -> set[Reason]:
        scan = Scan(self.face_net)
        progress = [scan.push(frame) for frame in frames]
        return named(progress, scan.result())


def of_samples(taken: Iterable[SkinSample]) -> set[Reason]:
    """What is said of staged samples."""
    measurement = Measurement()
    progress = [measurement.take(sample, frame_size_px=(640, 480)) for sample in taken]
    return named(progress, measurement.result())


def _aside(image: ByteArray) -> Any:
    move = np.array([[1, 0, -100], [0, 1, 0]], np.float32)
    return cv2.warpAffine(image, move, image.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)


def _turned(image: ByteArray) -> Any:
    turn = cv2.getRotationMatrix2D(FACE_CENTRE_PX, 25.0, 1.0)
    return cv2.warpAffine(image, turn, image.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)


def _shining(image: ByteArray) -> Any:
    x, y = FACE_CENTRE_PX
    return cv2.ellipse(image.copy(), (x + 15, y - 30), (14, 9), 0, 0, 360, (255, 255, 255), -1)


def _untrusted(studio: Studio) -> set[Reason]:
    """A file whose header lists twice as many frames as it has."""
    images = [frame.image for frame in studio.sitting]
    path = clips.write_clip(studio.folder / "clip.avi", images, fps=15)
    said = studio.command("--video", clips.claim_frames(path, 2 * len(images)))
    return {Reason(reason) for reason in said.reasons}


def _stalled(studio: Studio) -> set[Reason]:
    """A camera that falls silent for good, on a clock that is turned by hand."""
    clock = HandClock()
    silence = [item for _ in range(30) for item in (stalled(), Turn(2.0))]
    source = ScriptedSource([*studio.sitting, *silence], replace(FACTS, live=True), clock=clock)
    run = ScanRun(source, real_parts(SystemClock()).engine, goal=Goal(), clock=clock)
    with run:
        assert run.wait(30.0)
    return in_result(run.outcome().result)


def _spectral(**scene: Any) -> set[Reason]:
    return of_samples(spectral_scan(SpectralScene(**scene)).samples)


def _weak(_: Studio) -> set[Reason]:
    """Between a clear pulse and none there is a weak one."""
    found: set[Reason] = set()
    for perfusion in (0.15, 0.12, 0.1):
        found |= _spectral(seed=2, duration_s=14.0, perfusion=perfusion)
    return found


def _two_hearts(_: Studio) -> set[Reason]:
    """The left half of a face pulses with another heart than the right."""
    still, _truth = samples(Scene(kind=SceneKind.PHOTOGRAPH, duration_s=12.0, seed=4, fps=15.0))
    left = np.arange(COLS)[None, :, None] < COLS // 2
    taken = []
    for s in still:
        assert s.cells is not None
        wave = np.where(left, np.sin(2 * np.pi * 1.2 * s.t_s), np.sin(2 * np.pi * 2.0 * s.t_s))
        light = 1 + 0.01 * np.asarray(wave, np.float32) * BLOOD_RGB
        taken.append(replace(s, cells=np.asarray(s.cells * light, np.float32)))
    return of_samples(taken)


def _changed_places(_: Studio) -> set[Reason]:
    """Another person sits down: the rate jumps by fifty."""
    one, _one = samples(Scene(heart_rate_bpm=60.0, duration_s=12.0, seed=5, fps=15.0))
    two, _two = samples(Scene(heart_rate_bpm=110.0, duration_s=12.0, seed=6, fps=15.0))
    later_s = one[-1].t_s + 1 / 15
    return of_samples([*one, *(replace(s, t_s=s.t_s + later_s, key=2) for s in two)])


def _stumbling(_: Studio) -> set[Reason]:
    """Clear pulses with many early beats: the rate is shown, and beats are missing."""
    found: set[Reason] = set()
    for ectopics_per_min, rate_per_min, pulse in ((10.0, 55.0, 0.04), (6.0, 50.0, 0.03)):
        heart = Scene(
            seed=3,
            duration_s=20.0,
            ectopics_per_min=ectopics_per_min,
            heart_rate_bpm=rate_per_min,
            pulse_green_pp=pulse,
            fps=15.0,
        )
        found |= of_samples(samples(heart)[0])
    return found


CLIPS: dict[Reason, Callable[[Studio], set[Reason]]] = {
    Reason.NO_FACE: lambda studio: studio.scene(kind=SceneKind.EMPTY_ROOM),
    Reason.FACE_LEFT: lambda studio: studio.scene(kind=SceneKind.LEAVES, leave_at_s=1.5),
    Reason.TWO_FACES: lambda studio: studio.edited(lambda image: np.hstack([image, image])),
    Reason.TOO_FAR: lambda studio: studio.scene(face_width_px=50.0),
    Reason.TOO_NEAR: lambda studio: studio.scene(face_width_px=200.0),
    Reason.OFF_CENTRE: lambda studio: studio.edited(_aside),
    Reason.TOO_DARK: lambda studio: studio.edited(lambda image: image * 0.03),
    Reason.TOO_BRIGHT: lambda studio: studio.scene(brightness=4.0, skin_type=1),
    Reason.BACKLIT: lambda studio: studio.scene(brightness=0.35, room_light=8.0),
    Reason.UNEVEN_LIGHT: lambda studio: studio.scene(side_light=0.9),
    Reason.GLARE: lambda studio: studio.edited(_shining),
    Reason.COVERED: lambda studio: studio.scene(
        cover=Cover.MASK, width_px=640, height_px=480, face_width_px=170.0, duration_s=3.0
    ),
    Reason.TILTED: lambda studio: studio.edited(_turned),
    Reason.MOTION: lambda studio: studio.scene(nod_px=25.0, nod_hz=1.0),
    Reason.TALKING: lambda studio: studio.scene(talking=1.0),
    Reason.LIGHT_CHANGES: lambda studio: studio.scene(exposure_steps=((1.0, 0.6), (3.0, 1.5))),
    Reason.EXPOSURE_DRIFT: lambda studio: studio.scene(exposure_steps=((2.0, 0.6),)),
    Reason.FLICKER: lambda studio: studio.scene(
        flicker_hz=100.0, flicker_depth=0.3, exposure_s=0.006, fps=24.0
    ),
    Reason.TOO_SHORT: lambda studio: studio.frames(studio.sitting),
    Reason.TOO_FEW_FRAMES: lambda studio: studio.frames(studio.sitting[:30]),
    Reason.LOW_FRAME_RATE: lambda studio: studio.frames(studio.sitting[::3]),
    Reason.FRAME_RATE_UNTRUSTED: _untrusted,
    Reason.SOURCE_STALLED: _stalled,
    Reason.NO_PULSE: lambda _: _spectral(seed=1, duration_s=12.0, target=Target.PHOTOGRAPH),
    Reason.WEAK_PULSE: _weak,
    Reason.NOT_FROM_SKIN: _two_hearts,
    Reason.SOURCES_DISAGREE: _two_hearts,
    Reason.IMPLAUSIBLE: _changed_places,
    Reason.TOO_FEW_BEATS: _stumbling,
    Reason.BEATS_UNCERTAIN: lambda _: _spectral(seed=2, duration_s=14.0, perfusion=0.25),
    Reason.NO_BREATHING_SEEN: lambda _: _spectral(
        seed=1, duration_s=27.0, target=Target.PHOTOGRAPH, fps=15.0
    ),
}


@pytest.fixture(scope="session")
def sitting(film: Film) -> list[Frame]:
    return film(fps=15.0, duration_s=5.0, brightness=0.6, seed=21)


@pytest.fixture
def studio(film: Film, sitting: list[Frame], face_net: bytes, scan: Command, tmp_path: Path) -> Studio:
    return Studio(film, sitting, face_net, scan, tmp_path)


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_a_clip_that_provokes_it(reason: Reason, studio: Studio) -> None:
    assert reason in CLIPS[reason](studio)


def test_of_a_good_person_in_pictures_nothing_is_said_but_that_it_is_short(
    studio: Studio, person: list[Frame]
) -> None:
    scan = Scan(studio.face_net)
    progress = [scan.push(frame) for frame in person]
    result = scan.result()
    assert result.vitals["heart_rate"].value is not None
    assert {moment.hint for moment in progress} == {None}
    assert result.vitals["heart_rate"].reasons == () == result.quality.reasons
    assert in_result(result) <= {Reason.TOO_SHORT, Reason.BEATS_UNCERTAIN}


@pytest.mark.slow
def test_of_a_good_minute_nothing_is_said_and_everything_is_shown() -> None:
    measurement = Measurement()
    taken, _ = samples(Scene(seed=3, duration_s=62.0, pulse_green_pp=0.03, fps=15.0))
    hints = {measurement.take(sample, frame_size_px=(640, 480)).hint for sample in taken}
    result = measurement.result()
    assert all(vital.value is not None for vital in result.vitals.values())
    assert hints == {None}
    assert in_result(result) == set() and result.quality.limiting_factor is None
