"""Readers of data sets, each on a small folder made here in that set's layout."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.io import savemat

from client.clock import SystemClock
from client.errors import BadInput, EnvironmentFault
from client.evaluation import contact, foreign, layouts
from client.evaluation.cases import Case, VideoTruth, Workshop
from client.evaluation.outcomes import OURS
from client.evaluation.pictures import Pictures
from edge_models.types import Frame
from tests.client.pipeline.fakes import CountingEngine, ScriptedSource, frames
from tests.stand_ins.clips import pictures, write_clip

BPM = 75.0


def wave(seconds: float, rate_hz: float, bpm: float = BPM) -> NDArray[np.float64]:
    """A contact pulse wave with a second harmonic."""
    phase = 2 * np.pi * bpm / 60 * np.arange(round(seconds * rate_hz)) / rate_hz
    return np.asarray(np.sin(phase) + 0.3 * np.sin(2 * phase + 1))


def video(path: Path) -> None:
    """A tenth of a second of video: these tests are about finding it and its truth."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_clip(path.with_suffix(".mkv"), pictures(3), fps=30.0).rename(path)


def judged(case: Case) -> VideoTruth:
    return case.judge()  # type: ignore[attr-defined, no-any-return]


def ubfc_2(folder: Path) -> None:
    video(folder / "DATASET_2" / "subject1" / "vid.avi")
    t_s = np.arange(0, 20, 1 / 30)
    rows = (wave(20, 30), np.where(t_s < 10, 70.0, 80.0), t_s)
    text = "\n".join("   ".join(f"{value:.7e}" for value in row) for row in rows)
    (folder / "DATASET_2" / "subject1" / "ground_truth.txt").write_text(text + "\n", "ascii")


def ubfc_1(folder: Path) -> None:
    video(folder / "5-gt" / "vid.avi")
    lines = [f"{1000 + 16 * k},{75 if k else 0},98,{k % 7}" for k in range(1250)]
    (folder / "5-gt" / "gtdump.xmp").write_text("\n".join(lines), "ascii")


def ubfc_phys(folder: Path) -> None:
    video(folder / "s1" / "vid_s1_T2.avi")
    (folder / "s1" / "bvp_s1_T2.csv").write_text("\n".join(str(v) for v in wave(20, 64)), "ascii")


def pure(folder: Path) -> None:
    inside = folder / "01-04" / "01-04"
    inside.mkdir(parents=True)
    begun = 1_392_643_993_642_815_000
    for k, image in enumerate(pictures(3)):
        Image.fromarray(np.ascontiguousarray(image[:, :, ::-1])).save(
            inside / f"Image{begun + k * 33_000_000}.png"
        )
    said = {
        "/Image": [],
        "/FullPackage": [
            {"Timestamp": begun + k * 16_000_000, "Value": {"pulseRate": 75, "waveform": 1}}
            for k in range(1250)
        ],
    }
    (folder / "01-04" / "01-04.json").write_text(json.dumps(said), "utf-8")


def mmpd(folder: Path) -> None:
    (folder / "subject1").mkdir()
    seen = np.stack([image[:, :, ::-1] for image in pictures(3)]) / 255.0
    savemat(
        folder / "subject1" / "p1_0.mat",
        {
            "video": seen,
            "GT_ppg": wave(20, 30)[None, :],
            "light": "LED-low",
            "motion": "Talking",
            "skin_color": np.array([[5]]),
        },
    )


def cohface(folder: Path) -> None:
    video(folder / "1" / "2" / "data.avi")
    with h5py.File(folder / "1" / "2" / "data.hdf5", "w") as file:
        file["pulse"] = wave(40, 256)
        file["respiration"] = np.sin(2 * np.pi * 15 / 60 * np.arange(40 * 256) / 256)
        file["time"] = 3.0 + np.arange(40 * 256) / 256


SETS: dict[str, tuple[Callable[[Path], None], str, str, float]] = {
    "ubfc-rppg": (ubfc_2, "DATASET_2/subject1", "UBFC-rPPG", 75.0),
    "ubfc-rppg, first part": (ubfc_1, "5-gt", "UBFC-rPPG", 75.0),
    "ubfc-phys": (ubfc_phys, "s1/vid_s1_T2", "UBFC-Phys", 75.0),
    "pure": (pure, "01-04", "PURE", 75.0),
    "mmpd": (mmpd, "subject1/p1_0", "MMPD", 75.0),
    "cohface": (cohface, "1/2", "COHFACE", 75.0),
}


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("guessed", [True, False])
def test_a_set_is_found_with_its_truth(tmp_path: Path, name: str, guessed: bool) -> None:
    make, case_name, group, bpm = SETS[name]
    make(tmp_path)
    (case,) = layouts.cases(tmp_path, None if guessed else name.split(",", maxsplit=1)[0])
    assert (case.name, case.group) == (case_name, group)
    known = judged(case)
    assert known.truth.heart_rate == pytest.approx(bpm, abs=0.1)
    assert known.duration_s == pytest.approx(40 if "cohface" in name else 20, abs=0.2)
    assert dict(known.truth.live)[19.0] > 74


def test_a_running_rate_is_the_mean_of_the_seconds_before(tmp_path: Path) -> None:
    ubfc_2(tmp_path)
    live = dict(judged(layouts.cases(tmp_path, "ubfc-rppg")[0]).truth.live)
    assert live[10.0] == pytest.approx(70, abs=0.1) and live[15.0] == pytest.approx(75, abs=0.2)


def test_axes_come_from_the_set(tmp_path: Path) -> None:
    for make in (pure, mmpd, cohface, ubfc_phys):
        make(tmp_path)
    found = {
        name: {**case.axes, **judged(case).axes}  # type: ignore[attr-defined]
        for name in ("pure", "mmpd", "cohface", "ubfc-phys")
        for case in layouts.cases(tmp_path, name)
    }
    assert found["pure"]["motion"] == "fast translation"
    assert found["mmpd"] == {
        "light": "LED-low",
        "motion": "Talking",
        "skin_type": "5",
        "condition": "Talking",
    }
    assert found["cohface"]["light"] == "natural"
    assert found["ubfc-phys"]["condition"] == "speech"


def test_the_breathing_belt_gives_the_breathing_rate(tmp_path: Path) -> None:
    cohface(tmp_path)
    assert judged(layouts.cases(tmp_path, "cohface")[0]).truth.respiratory_rate == pytest.approx(
        15.0, abs=0.2
    )


@pytest.mark.parametrize("name, times_s", [("pure", [0.0, 0.033, 0.066]), ("mmpd", [0.0, 1 / 30, 2 / 30])])
def test_pictures_come_as_they_were_and_with_their_times(
    tmp_path: Path, name: str, times_s: list[float]
) -> None:
    SETS[name][0](tmp_path)
    (case,) = layouts.cases(tmp_path, name)
    source = Pictures("x", case.frames)  # type: ignore[attr-defined]
    facts = source.open()
    assert (facts.width_px, facts.height_px, facts.live) == (160, 120, False)
    seen = []
    while (frame := source.read()) is not None:
        seen.append(frame)
    source.close()
    assert [frame.t_s for frame in seen] == pytest.approx(times_s, abs=1e-6)
    for frame, image in zip(seen, pictures(3), strict=True):
        assert np.array_equal(frame.image, image)


@pytest.mark.parametrize(
    "suffix, text, bpm",
    [
        (".txt", "72.5\n", 72.5),
        (".csv", "t_s,heart_rate\n0,70\n1,72\n2,74\n", 72.0),
        (".json", '{"heart_rate": 72, "axes": {"skin_type": "V"}, "duration_s": 40}', 72.0),
        (".txt", "none", None),
        (".json", '{"has_pulse": false}', None),
    ],
)
def test_any_video_with_its_truth_beside_it(
    tmp_path: Path, suffix: str, text: str, bpm: float | None
) -> None:
    video(tmp_path / "mine" / "clip.mp4")
    (tmp_path / "mine" / f"clip{suffix}").write_text(text, "utf-8")
    video(tmp_path / "without-truth.mp4")
    (case,) = layouts.cases(tmp_path, "plain")
    known = judged(case)
    assert case.name == "mine/clip" and known.truth.heart_rate == bpm
    assert known.truth.has_pulse == (bpm is not None)
    assert known.axes == ({"skin_type": "V"} if "axes" in text else {})


@pytest.mark.parametrize(
    "suffix, text",
    [
        (".txt", "fast"),
        (".csv", "second;rate\n1;2\n"),
        (".json", "[1]"),
        (".json", '{"heart_rate": "fast"}'),
        (".json", "{}"),
        (".csv", "t_s,heart_rate\n"),
    ],
)
def test_a_truth_that_cannot_be_read_is_told_and_fails_its_clip_only(
    tmp_path: Path, suffix: str, text: str
) -> None:
    video(tmp_path / "clip.mp4")
    (tmp_path / f"clip{suffix}").write_text(text, "utf-8")
    (case,) = layouts.cases(tmp_path, "plain")
    with pytest.raises((BadInput, ValueError)):
        judged(case)
    ((_, (outcome,)),) = case.measure([OURS], shop(tmp_path))
    assert outcome.failed is not None and outcome.truth.heart_rate is None
    assert str(tmp_path) not in outcome.failed


def shop(folder: Path) -> Workshop:
    """A workshop whose engine counts and whose videos are ninety black frames."""
    return Workshop(
        folder=folder,
        kept=None,
        clock=SystemClock(),
        engine=CountingEngine().make,
        video=lambda path: ScriptedSource(frames(90)),
        write_clip=lambda folder, frames_, fps, compression: folder,
        portrait=lambda: np.zeros((512, 512, 3), np.uint8),
        command=lambda path: [],
        peers={},
    )


def test_a_recording_of_a_set_is_measured_and_stays_where_it_is(tmp_path: Path) -> None:
    ubfc_1(tmp_path)
    (case,) = layouts.cases(tmp_path, "ubfc-rppg")
    ((job, (outcome,)),) = case.measure([OURS], shop(tmp_path))
    assert job == OURS and outcome.heart_rate.value == 70.0 and outcome.failed is None
    assert (tmp_path / "5-gt" / "vid.avi").is_file()


def test_pictures_are_measured_too_and_no_whole_program_is_asked(tmp_path: Path) -> None:
    pure(tmp_path)
    (case,) = layouts.cases(tmp_path, "pure")
    ((_, (outcome,)),) = case.measure([OURS], shop(tmp_path))
    assert outcome.failed is None and not case.is_video


def test_a_changed_file_is_another_case(tmp_path: Path) -> None:
    ubfc_1(tmp_path)
    before = layouts.cases(tmp_path, None)[0].fingerprint()
    assert layouts.cases(tmp_path, None)[0].fingerprint() == before
    (tmp_path / "5-gt" / "gtdump.xmp").write_text("1,2,3,4", "ascii")
    assert layouts.cases(tmp_path, None)[0].fingerprint() != before


def test_a_folder_without_anything_and_unknown_layouts_are_refused(tmp_path: Path) -> None:
    for folder, layout in (
        (tmp_path, None),
        (tmp_path, "pure"),
        (tmp_path, "tape"),
        (tmp_path / "not", None),
    ):
        with pytest.raises(BadInput):
            layouts.cases(folder, layout)
    assert all(entry.name in layouts.described() for entry in layouts.layouts())


def test_a_missing_package_is_told_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cohface(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(EnvironmentFault, match=r"h5py is not installed.*make bench"):
        judged(layouts.cases(tmp_path, "cohface")[0])


def test_broken_files_of_other_programs_are_bad_input(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x00" * 600)
    for read in (
        lambda: foreign.matlab(broken, ("x",)),
        lambda: foreign.hdf5(broken, ("x",)),
        lambda: foreign.png(broken),
    ):
        with pytest.raises(BadInput, match="broken cannot be read"):
            read()


def test_variability_is_told_of_a_clean_contact_wave_only() -> None:
    rng = np.random.default_rng(3)
    intervals = 0.8 + 0.05 * np.sin(2 * np.pi * 0.1 * np.arange(100) * 0.8)
    beats = np.cumsum(intervals)
    t_s = np.arange(0, 60, 1 / 100)
    clean = np.exp(-0.5 * ((t_s[:, None] - beats[None, :]) / 0.08) ** 2).sum(axis=1)
    known = contact.from_wave(t_s, clean)
    inside = np.diff(beats[beats < 60])
    assert known.heart_rate == pytest.approx(60 / inside.mean(), abs=0.3)
    assert known.sdnn == pytest.approx(1000 * inside.std(ddof=1), abs=6)
    noisy = contact.from_wave(t_s, clean + 3.0 * rng.standard_normal(t_s.size))
    assert noisy.rmssd is None
    with pytest.raises(ValueError, match="shorter"):
        contact.from_wave(t_s[:500], clean[:500])


def test_rates_that_are_none_do_not_count() -> None:
    t_s = np.arange(0.0, 30.0)
    rate = np.where(t_s < 5, 0.0, np.where(t_s < 8, np.nan, 80.0))
    assert contact.from_rates(t_s, rate).heart_rate == 80.0
    with pytest.raises(ValueError, match="no rate"):
        contact.from_rates(t_s, np.zeros(30))


def test_an_empty_source_of_pictures_ends_at_once() -> None:
    source = Pictures("x", lambda: iter(list[Frame]()))
    source.open()
    assert source.read() is None
