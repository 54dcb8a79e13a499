"""Cases: simulated scans with their truth, clips that are made, kept, reused and taken away."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from client.errors import EnvironmentFault
from client.evaluation import grids
from client.evaluation.cases import OUR_COMMAND, Case, VideoTruth, Workshop, told
from client.evaluation.outcomes import OURS, Truth
from edge_models.simulate.heart import make_truth
from edge_models.simulate.simulated_scan import SimulatedScan
from tests.client.evaluation import stand_in_grid
from tests.client.evaluation.fakes import GOOD, says, scripted_peer
from tests.client.evaluation.test_layouts import shop


def simulated(duration_s: float = 9.0, *, alive: bool = True) -> SimulatedScan:
    """A scan whose skin darkens with the true wave."""
    truth = make_truth(
        np.random.default_rng(1),
        duration_s=duration_s,
        heart_rate_bpm=72.0,
        heart_rate_end_bpm=None,
        sdnn_ms=None,
        rmssd_ms=None,
        ectopics_per_min=0.0,
        breaths_per_min=14.0,
        visible_until_s=None,
        has_pulse=alive,
    )
    samples = tuple(stand_in_grid.prepared("still-1").samples)
    t_s = np.array([sample.t_s for sample in samples])
    wave = truth.bvp(t_s)
    rgb = np.array([150.0, 110.0, 90.0]) - wave[:, None] * np.array([0.4, 1.0, 0.6])
    return SimulatedScan(samples, truth, (640, 480), 170.0, wave, rgb)


def test_a_simulated_scan_brings_its_truth_and_its_oracle() -> None:
    case = grids.trace_case("one", {"condition": "still"}, "setting 1", simulated)
    made = case.prepare()  # type: ignore[attr-defined]
    assert made.truth.heart_rate == pytest.approx(simulated().truth.mean_heart_rate(), abs=1e-3)
    assert made.truth.rmssd is not None and made.truth.sdnn is not None
    assert made.truth.respiratory_rate == pytest.approx(14.0, abs=1.5)
    assert made.truth.live[-1] == (9.0, pytest.approx(72.0, abs=4.0))
    assert made.oracle_db is not None and made.oracle_db > 10.0 and made.supported is True
    nobody = grids.prepared(simulated(alive=False))
    assert nobody.truth == Truth(has_pulse=False) and nobody.supported is False


def test_another_setting_is_another_case() -> None:
    prints = {grids.trace_case("one", {}, setting, simulated).fingerprint() for setting in ("a", "a", "b")}
    assert len(prints) == 2


@pytest.fixture
def written(tmp_path: Path) -> tuple[Case, list[Path]]:
    """A clip of a video grid, and where it was written each time."""
    places: list[Path] = []

    def write(folder: Path, workshop: Workshop) -> Path:
        places.append(folder / "clip.mp4")
        places[-1].write_bytes(b"pictures")
        return places[-1]

    def judge() -> VideoTruth:
        return VideoTruth(3.0, Truth(True, 70.0), oracle_db=3.0, supported=True)

    return grids.video_case("one", {"condition": "still"}, "setting", write=write, judge=judge), places


def test_a_clip_is_made_once_for_all_tools_and_taken_away(
    tmp_path: Path, written: tuple[Case, list[Path]]
) -> None:
    case, places = written
    peer = scripted_peer(tmp_path, says(GOOD))
    work = tmp_path / "work"
    work.mkdir()
    place = replace(shop(work), peers={"fake peer": peer})
    found = dict(case.measure([OURS, "fake peer"], place))
    assert found[OURS][0].heart_rate.value == 70.0 and found[OURS][0].supported is True
    assert found["fake peer"][0].heart_rate.value == 70.5
    assert found["fake peer"][0].heart_rate.confidence is None
    assert len(places) == 1 and list(work.iterdir()) == []


def test_a_kept_clip_is_not_made_again(tmp_path: Path, written: tuple[Case, list[Path]]) -> None:
    case, places = written
    place = replace(shop(tmp_path), kept=tmp_path / "kept")
    for _ in range(2):
        ((_, (outcome,)),) = case.measure([OURS], place)
        assert outcome.failed is None
    assert len(places) == 1
    (clip,) = (tmp_path / "kept").rglob("clip.*")
    assert clip.read_bytes() == b"pictures"


def test_a_clip_that_cannot_be_rendered_fails_and_a_full_disk_ends_the_run(tmp_path: Path) -> None:
    def failing(error: Exception) -> Callable[[Path, Workshop], Path]:
        def write(folder: Path, workshop: Workshop) -> Path:
            raise error

        return write

    def judge() -> VideoTruth:
        return VideoTruth(3.0, Truth(True, 70.0))

    broken = grids.video_case("one", {}, "s", write=failing(ValueError("no frames")), judge=judge)
    found = dict(broken.measure([OURS, OUR_COMMAND], shop(tmp_path)))
    assert [found[job][0].failed for job in (OURS, OUR_COMMAND)] == ["ValueError: no frames"] * 2
    assert found[OURS][0].truth.heart_rate == 70.0 and found[OUR_COMMAND][0].tool == OURS
    full = EnvironmentFault(title="The disk is full", remedy="Free some space.")
    with pytest.raises(EnvironmentFault, match="full"):
        list(
            grids.video_case("one", {}, "s", write=failing(full), judge=judge).measure([OURS], shop(tmp_path))
        )


def test_a_peer_that_fails_is_put_down_as_failed_and_shows_nothing(
    tmp_path: Path, written: tuple[Case, list[Path]]
) -> None:
    peer = scripted_peer(tmp_path, "raise SystemExit('its net is gone')")
    place = replace(shop(tmp_path), peers={"fake peer": peer})
    ((_, (outcome,)),) = written[0].measure(["fake peer"], place)
    assert outcome.failed is not None and "its net is gone" in outcome.failed
    assert outcome.heart_rate.value is None


@pytest.mark.parametrize(
    "error, text",
    [
        (FileNotFoundError(2, "No such file", "/home/me/x"), "FileNotFoundError: No such file"),
        (ValueError("see /home/me/deep/x.py, line 3"), "ValueError: see x.py, line 3"),
        (ValueError("C:\\people\\me\\x.py"), "ValueError: x.py"),
        (ValueError("30 km/h or 1/2"), "ValueError: 30 km/h or 1/2"),
    ],
)
def test_what_went_wrong_is_told_without_folders(error: Exception, text: str) -> None:
    assert told(error) == text
