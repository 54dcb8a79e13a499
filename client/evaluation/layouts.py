"""Folders of videos with a contact reference, in the layouts in which the public sets are handed out.

Every reader finds its files at any depth of the folder; a video without a reference is left out. Nothing of a data set
is copied or kept. Where a set brings an oximeter's rates, the truth is their mean (a running mean in the oximeter makes
them lag by some seconds); where it brings a wave only, its beats are counted (client.evaluation.contact).
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from client.errors import BadInput
from client.evaluation import contact, foreign
from client.evaluation.cases import Case, PicturesCase, VideoCase, VideoTruth
from client.evaluation.outcomes import Truth
from edge_models.types import FloatArray, Frame

VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")
_NS = 1e-9
_UBFC_PHYS_HZ = 64.0
_MMPD_HZ = 30.0
_COHFACE_HZ = 256.0


@dataclass(frozen=True, slots=True)
class Layout:
    """name: what `--layout` takes. files: what lies where. find: every case in a folder."""

    name: str
    files: str
    find: Callable[[Path], Iterator[Case]]


def layouts() -> tuple[Layout, ...]:
    """All that are known."""
    return (
        Layout(
            "ubfc-rppg",
            "subject*/vid.avi with ground_truth.txt (DATASET_2: rows of pulse wave, rate, seconds) "
            "or gtdump.xmp (DATASET_1: columns of milliseconds, rate, SpO2, pulse wave)",
            _ubfc_rppg,
        ),
        Layout(
            "ubfc-phys",
            "s*/vid_s*_T*.avi with bvp_s*_T*.csv (64 values of the pulse wave a second); T1 rest, T2 speech, "
            "T3 arithmetic",
            _ubfc_phys,
        ),
        Layout(
            "pure",
            "NN-MM/NN-MM.json with the pictures NN-MM/NN-MM/Image<nanoseconds>.png (needs 'make bench')",
            _pure,
        ),
        Layout(
            "mmpd",
            "subject*/p*_*.mat with video (30 pictures a second), GT_ppg, light, motion, skin_color "
            "(needs 'make bench')",
            _mmpd,
        ),
        Layout(
            "cohface",
            "*/[0-3]/data.avi (or data.mkv) with data.hdf5: pulse, respiration, time (needs 'make bench')",
            _cohface,
        ),
        Layout(
            "plain",
            "any video with a file of the same name beside it: .txt (one number: the mean heart rate; 'none': nobody "
            "alive), .csv (columns t_s and heart_rate), or .json (heart_rate, has_pulse, respiratory_rate, rmssd, "
            "sdnn, duration_s, axes)",
            _plain,
        ),
    )


def described() -> str:
    """Every layout by name, with what lies where."""
    return "\n".join(f"{layout.name}: {layout.files}" for layout in layouts())


def cases(folder: Path, layout: str | None) -> list[Case]:
    """Every video of a folder that has a reference.

    layout None: the one of the layouts of which the folder holds any. Raises BadInput where nothing is found.
    """
    if not folder.is_dir():
        raise BadInput(title=f"{folder.name} is no folder", remedy="Check the folder given with --data.")
    known = {entry.name: entry for entry in layouts()}
    if layout is not None and layout not in known:
        raise BadInput(
            title=f"There is no layout {layout}", remedy="Run 'health-helper bench --layout list'."
        )
    for entry in (known[layout],) if layout is not None else known.values():
        if found := sorted(entry.find(folder), key=lambda case: case.name):
            return found
    raise BadInput(
        title=f"{folder.name} holds no video with a reference in "
        + ("any layout" if layout is None else f"the layout {layout}"),
        remedy="Run 'health-helper bench --layout list' for what lies where.",
    )


def _identity(*paths: Path) -> str:
    """A data set's files are large: told by name, size and time of their last change."""
    states = ((path.name, path.stat()) for path in paths)
    return "; ".join(f"{name} {state.st_size} {state.st_mtime_ns}" for name, state in states)


def _video(
    group: str,
    folder: Path,
    video: Path,
    reference: Path,
    axes: Mapping[str, str],
    read: Callable[[Path], VideoTruth],
) -> VideoCase:
    name = video.parent.relative_to(folder).as_posix()
    stem = video.stem
    return VideoCase(
        name=(stem if name == "." else f"{name}/{stem}") if stem not in ("vid", "data") else name,
        group=group,
        axes=axes,
        identity=_identity(video, reference),
        make=lambda _folder, _workshop: video,
        judge=partial(_judged, read, reference),
        owned=False,
        effort=40.0,
    )


def _judged(read: Callable[[Path], VideoTruth], reference: Path) -> VideoTruth:
    """The truth; what cannot be understood is the file's fault."""
    try:
        return read(reference)
    except (ValueError, KeyError, IndexError, TypeError, UnicodeDecodeError) as error:
        raise BadInput(
            title=f"{reference.name} is no reference of this layout ({error})",
            remedy="Run 'health-helper bench --layout list' for what lies where.",
        ) from error


def _of_rates(t_s: FloatArray, rate: FloatArray) -> VideoTruth:
    return VideoTruth(float(t_s[-1]), contact.from_rates(t_s, rate))


# UBFC-rPPG (Bobbia et al., Pattern Recognit. Lett. 2017)


def _ubfc_rppg(folder: Path) -> Iterator[Case]:
    for video in folder.rglob("vid.avi"):
        for name, read in (("ground_truth.txt", _ubfc_2), ("gtdump.xmp", _ubfc_1)):
            if (reference := video.with_name(name)).is_file():
                yield _video("UBFC-rPPG", folder, video, reference, {}, read)
                break


def _ubfc_2(path: Path) -> VideoTruth:
    rows = [
        [float(word) for word in line.split()]
        for line in path.read_text("ascii").splitlines()
        if line.strip()
    ]
    _, rate, t_s = (np.array(row, np.float64) for row in rows)
    return _of_rates(t_s, rate)


def _ubfc_1(path: Path) -> VideoTruth:
    rows = [line.split(",") for line in path.read_text("ascii").splitlines() if line.strip()]
    t_ms, rate = np.array([[float(row[0]), float(row[1])] for row in rows]).T
    return _of_rates((t_ms - t_ms[0]) / 1000.0, rate)


# UBFC-Phys (Meziati Sabour et al., IEEE Trans. Affect. Comput. 2021)

_TASKS = {"T1": "rest", "T2": "speech", "T3": "arithmetic"}


def _ubfc_phys(folder: Path) -> Iterator[Case]:
    for video in folder.rglob("vid_s*_T*.avi"):
        subject_task = video.stem.removeprefix("vid_")
        task = _TASKS.get(subject_task.rpartition("_")[2], "other")
        if (reference := video.with_name(f"bvp_{subject_task}.csv")).is_file():
            yield _video("UBFC-Phys", folder, video, reference, {"condition": task, "motion": task}, _bvp)


def _bvp(path: Path) -> VideoTruth:
    wave = np.array(
        [float(line.split(",")[0]) for line in path.read_text("ascii").splitlines() if line.strip()]
    )
    t_s = np.arange(wave.size) / _UBFC_PHYS_HZ
    return VideoTruth(float(t_s[-1]), contact.from_wave(t_s, wave))


# PURE (Stricker, Müller & Gross, RO-MAN 2014)

_SETUPS = {
    "01": "steady",
    "02": "talking",
    "03": "slow translation",
    "04": "fast translation",
    "05": "small rotation",
    "06": "medium rotation",
}


def _pure(folder: Path) -> Iterator[Case]:
    for reference in folder.rglob("*-*.json"):
        if not re.fullmatch(r"\d\d-\d\d", reference.stem):
            continue
        inside = reference.with_suffix("")
        pictures = sorted((inside if inside.is_dir() else reference.parent).glob("Image*.png"), key=_taken_s)
        if not pictures:
            continue
        setup = _SETUPS.get(reference.stem[3:], "other")
        yield PicturesCase(
            name=reference.stem,
            group="PURE",
            axes={"condition": setup, "motion": setup},
            identity=f"{_identity(reference)} {len(pictures)} pictures",
            frames=partial(_pure_frames, tuple(pictures)),
            judge=partial(_judged, partial(_pure_truth, _taken_s(pictures[0])), reference),
        )


def _taken_s(picture: Path) -> float:
    """The name holds nanoseconds."""
    return int(re.sub(r"\D", "", picture.stem) or 0) * _NS


def _pure_frames(pictures: tuple[Path, ...]) -> Iterator[Frame]:
    begun_s = _taken_s(pictures[0])
    for picture in pictures:
        yield Frame(foreign.png(picture), _taken_s(picture) - begun_s)


def _pure_truth(begun_s: float, path: Path) -> VideoTruth:
    said = json.loads(path.read_text("utf-8"))["/FullPackage"]
    t_s = np.array([entry["Timestamp"] * _NS for entry in said]) - begun_s
    rate = np.array([float(entry["Value"]["pulseRate"]) for entry in said])
    return _of_rates(t_s, rate)


# MMPD (Tang et al., EMBC 2023)


def _mmpd(folder: Path) -> Iterator[Case]:
    for path in folder.rglob("p*_*.mat"):
        yield PicturesCase(
            name=path.relative_to(folder).with_suffix("").as_posix(),
            group="MMPD",
            axes={},
            identity=_identity(path),
            frames=partial(_mmpd_frames, path),
            judge=partial(_judged, _mmpd_truth, path),
        )


def _word(value: Any) -> str:
    return str(np.asarray(value).ravel()[0]).strip()


def _mmpd_frames(path: Path) -> Iterator[Frame]:
    video = foreign.matlab(path, ("video",))["video"]
    for k, picture in enumerate(video):
        rgb = (
            picture
            if picture.dtype == np.uint8
            else np.clip(np.rint(picture * 255.0), 0, 255).astype(np.uint8)
        )
        yield Frame(np.ascontiguousarray(rgb[:, :, ::-1]), k / _MMPD_HZ)


def _mmpd_truth(path: Path) -> VideoTruth:
    said = foreign.matlab(path, ("GT_ppg", "light", "motion", "skin_color"))
    wave = np.asarray(said["GT_ppg"], np.float64).ravel()
    t_s = np.arange(wave.size) / _MMPD_HZ
    axes = {
        "light": _word(said["light"]),
        "motion": _word(said["motion"]),
        "skin_type": _word(said["skin_color"]),
    }
    return VideoTruth(
        float(t_s[-1]), contact.from_wave(t_s, wave), axes={**axes, "condition": axes["motion"]}
    )


# COHFACE (Heusch, Anjos & Marcel, arXiv 1709.00962)


def _cohface(folder: Path) -> Iterator[Case]:
    for reference in folder.rglob("data.hdf5"):
        for name in ("data.avi", "data.mkv"):
            if (video := reference.with_name(name)).is_file():
                light = {"0": "studio", "1": "studio", "2": "natural", "3": "natural"}.get(
                    video.parent.name, "other"
                )
                yield _video(
                    "COHFACE", folder, video, reference, {"condition": light, "light": light}, _cohface_truth
                )
                break


def _cohface_truth(path: Path) -> VideoTruth:
    said = foreign.hdf5(path, ("pulse", "respiration", "time"))
    wave = said["pulse"]
    t_s = said["time"] if "time" in said else np.arange(wave.size) / _COHFACE_HZ
    t_s = t_s - t_s[0]
    return VideoTruth(float(t_s[-1]), contact.from_wave(t_s, wave, said.get("respiration")))


# Any video with its truth beside it


def _plain(folder: Path) -> Iterator[Case]:
    for video in folder.rglob("*"):
        if video.suffix.lower() not in VIDEOS:
            continue
        for suffix, read in ((".json", _plain_json), (".csv", _plain_csv), (".txt", _plain_txt)):
            if (reference := video.with_suffix(suffix)).is_file():
                yield _video(folder.name, folder, video, reference, {}, read)
                break


def _plain_json(path: Path) -> VideoTruth:
    said = json.loads(path.read_text("utf-8"))
    if not isinstance(said, dict):
        raise ValueError("no object")  # noqa: TRY004 (of the file, not of a caller)
    alive = bool(said.get("has_pulse", True))
    numbers: dict[str, Any] = {
        name: said.get(name) for name in ("heart_rate", "respiratory_rate", "rmssd", "sdnn")
    }
    for name, value in numbers.items():
        if value is not None and not (isinstance(value, int | float) and math.isfinite(value)):
            raise ValueError(f"{name} is no number")
    if alive and numbers["heart_rate"] is None:
        raise ValueError("heart_rate is missing")
    axes = {str(name): str(level) for name, level in dict(said.get("axes", {})).items()}
    return VideoTruth(float(said.get("duration_s", 0.0)), Truth(alive, **numbers), axes=axes)


def _plain_csv(path: Path) -> VideoTruth:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = [(float(row["t_s"]), float(row["heart_rate"])) for row in csv.DictReader(file)]
    t_s, rate = np.array(rows, np.float64).reshape(-1, 2).T
    return _of_rates(t_s, rate)


def _plain_txt(path: Path) -> VideoTruth:
    text = path.read_text("utf-8-sig").strip()
    if text.lower() == "none":
        return VideoTruth(0.0, Truth(has_pulse=False))
    return VideoTruth(0.0, Truth(has_pulse=True, heart_rate=float(text)))
