"""A live scan of which nothing can come ends at 15 s and says why; a file, and a person who adjusts, is never cut off."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from client.app import real_parts
from client.clock import SystemClock
from client.pipeline.session import HOPELESS_AFTER_S
from edge_models.types import Frame
from tests.scenarios.conftest import BPM, Said, Scan
from tests.stand_ins import clips
from tests.stand_ins.live_replay import LiveReplay

Film = Callable[..., list[Frame]]
FPS = 12.0
LIVE = ("--camera", "--url")


@pytest.fixture(scope="session")
def room(film: Film) -> list[Frame]:
    """Twenty seconds of an empty room: the pictures of two, again and again."""
    some = film(kind="empty_room", duration_s=2.0, width_px=160, height_px=120, face_width_px=60.0, fps=FPS)
    return _again(some, 20.0)


def _again(some: list[Frame], seconds: float) -> list[Frame]:
    return [Frame(some[k % len(some)].image, k / FPS) for k in range(round(seconds * FPS))]


def live(scan: Scan, frames: list[Frame], option: str, *arguments: str) -> Said:
    replay = LiveReplay(frames, real_parts(SystemClock()).engine)
    return scan(option, "0", *arguments, camera=lambda _: replay, url=lambda _: replay, engine=replay.engine)


@pytest.mark.parametrize("option", LIVE)
def test_before_an_empty_room_it_ends_at_15_s_and_says_why(
    scan: Scan, room: list[Frame], option: str
) -> None:
    said = live(scan, room, option)
    assert said.status == 3
    assert said.json["duration_s"] == pytest.approx(HOPELESS_AFTER_S, abs=0.2)
    assert said.reasons[0] == said.json["quality"]["limiting_factor"] == "no_face"
    assert said.error == (
        "Ended early, because going on would not have helped: no face was seen. "
        "Let the camera see your whole face, with a light in front of you. Then start again."
    )


def test_what_made_a_scan_too_short_is_said_before_that_it_was(
    scan: Scan, room: list[Frame], film: Film
) -> None:
    """Three seconds of a person, then nobody."""
    person = film(duration_s=3.0, width_px=160, height_px=120, face_width_px=100.0, fps=FPS)
    nobody = [Frame(frame.image, 3.0 + frame.t_s) for frame in room]
    said = live(scan, [*person, *nobody], "--camera")
    assert said.status == 3
    assert 1.0 < said.json["accepted_s"] < 5.0
    assert said.json["duration_s"] == pytest.approx(HOPELESS_AFTER_S, abs=0.2)
    assert said.reasons[0] == "face_left" and "too_short" in said.reasons
    assert "No heart rate: the face left the picture" in said.err and "Come back" in said.error


def test_pictures_too_slow_for_any_heart_rate_end_it_too(scan: Scan, film: Film) -> None:
    slow = [Frame(frame.image, 0.2 * k) for k, frame in enumerate(film(duration_s=3.0) * 2)]
    said = live(scan, slow[:90], "--camera")
    assert said.status == 3
    assert said.json["duration_s"] == pytest.approx(HOPELESS_AFTER_S, abs=0.3)
    assert said.json["accepted_s"] > 10.0
    assert said.reasons[0] == "low_frame_rate" and "too few pictures per second" in said.error


def test_somebody_who_sits_down_at_the_last_moment_is_measured(
    scan: Scan, room: list[Frame], person: list[Frame]
) -> None:
    nobody = [frame for frame in room if frame.t_s < 14.5]
    large = [Frame(np.kron(f.image, np.ones((2, 2, 1), np.uint8)), f.t_s) for f in nobody]
    said = live(scan, [*large, *(Frame(f.image, 14.5 + f.t_s) for f in person)], "--url")
    assert said.status == 0
    assert said.json["duration_s"] > 26.0
    assert said.json["vitals"]["heart_rate"]["value"] == pytest.approx(BPM, abs=2.0)
    assert "Ended early" not in said.err


def test_a_file_of_the_same_is_read_to_its_end(scan: Scan, room: list[Frame], tmp_path: Path) -> None:
    path = clips.write_clip(tmp_path / "room.mkv", [frame.image for frame in room], fps=FPS)
    said = scan("--video", path)
    assert said.status == 3
    assert said.json["frames"] == len(room)
    assert "Ended early" not in said.err
