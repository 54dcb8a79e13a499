"""The real recordings: read as they lie, also where they are made here; the plain methods as they are known to do."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.io import savemat

from client.evaluation import metrics, recordings
from client.evaluation.outcomes import OURS, Outcome
from client.evaluation.targets import recording_verdicts
from edge_models import mean_trace
from edge_models.types import Estimate, FloatArray
from tests.client.evaluation.outcome_maker import outcome

FPS = 29.875
NOBODY: object = None


def colours(seconds: float, fps: float, bpm: float) -> NDArray[np.float64]:
    """Mean colour of a face whose blood goes at this rate."""
    t_s = np.arange(round(seconds * fps)) / fps
    pulse = np.sin(2 * np.pi * bpm / 60 * t_s)[:, None] * np.array([0.3, 0.8, 0.5])
    noise = 0.1 * np.random.default_rng(5).standard_normal((t_s.size, 3))
    return np.asarray(np.array([170.0, 130.0, 110.0]) - pulse + noise)


def measured(case: object) -> list[Outcome]:
    ((_, outcomes),) = case.measure([OURS], NOBODY)  # type: ignore[attr-defined]
    return outcomes  # type: ignore[no-any-return]


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """The recordings' folder, with short stand-ins."""
    (tmp_path / "ubfc-example").mkdir()
    savemat(tmp_path / "ubfc-example" / "mean_rgb.mat", {"rgb": colours(20, FPS, 84.0)}, do_compression=False)
    t_s = np.arange(round(20 * FPS)) / FPS
    rows = (np.sin(2 * np.pi * 84 / 60 * t_s), np.where(t_s < 10, 80.0, 90.0), t_s)
    text = "\n".join(" ".join(str(v) for v in row) for row in rows)
    (tmp_path / "ubfc-example" / "ground_truth.txt").write_text(text, "ascii")
    place = tmp_path / "monkey-traces" / "Session4"
    place.mkdir(parents=True)
    (place / "Session4.bin").write_bytes(colours(12, 100.0, 180.0).astype("<f4").tobytes())
    (place / "Session4_REF.csv").write_text("181,179,180", "ascii")
    return tmp_path


def test_windows_and_truths_are_those_that_are_asked_for(shelf: Path) -> None:
    found = {case.group: measured(case) for case in recordings.cases(shelf)}
    oximeter = [o for o in found["ubfc-example"] if o.tool == "POS"]
    assert len(oximeter) == 10  # starts 0 to 9 s
    assert oximeter[0].truth.heart_rate == pytest.approx(80.0)
    assert oximeter[5].truth.heart_rate == pytest.approx(85.0, abs=0.1)
    contact = [o for o in found["ubfc-example-contact"] if o.tool == "POS"]
    assert all(o.truth.heart_rate == pytest.approx(84.0, abs=0.3) for o in contact)
    monkeys = [o for o in found["monkey-traces"] if o.tool == "POS"]
    assert [o.truth.heart_rate for o in monkeys] == [181.0, 179.0]  # the third segment is not whole


@pytest.mark.parametrize("method", recordings.PLAIN)
def test_the_plain_methods_find_a_clear_pulse(shelf: Path, method: str) -> None:
    found = {case.group: measured(case) for case in recordings.cases(shelf)}
    for group, bpm in (("ubfc-example-contact", 84.0), ("monkey-traces", 180.0)):
        rates = [o.heart_rate.value for o in found[group] if o.tool == method]
        assert rates == pytest.approx([bpm] * len(rates), abs=1.0)


def test_the_engine_is_measured_beside_them(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def engine(
        t_s: FloatArray, rgb: FloatArray, *, lowest_per_min: float, highest_per_min: float
    ) -> Estimate:
        asked.append((t_s.size, rgb.shape, lowest_per_min, highest_per_min))
        return Estimate(180.0, 178.0, 182.0, "/min", 0.9, (), 5.0, "fake")

    monkeypatch.setattr(mean_trace, "estimate", engine)
    (case,) = [case for case in recordings.cases(shelf) if case.group == "monkey-traces"]
    ours = [o for o in measured(case) if o.tool == OURS]
    assert [o.heart_rate.value for o in ours] == [180.0, 180.0]
    assert asked == [(500, (500, 3), 40.0, 250.0)] * 2


def test_a_recording_that_cannot_be_read_is_told(shelf: Path) -> None:
    (shelf / "monkey-traces" / "Session4" / "Session4.bin").write_bytes(b"12345")
    (case,) = [case for case in recordings.cases(shelf) if case.group == "monkey-traces"]
    (failed,) = measured(case)
    assert failed.failed is not None and failed.truth.heart_rate is None


def test_what_is_not_there_is_not_measured(tmp_path: Path) -> None:
    assert recordings.cases(tmp_path) == []


@pytest.mark.parametrize("raw", [bytes(200), b"\0" * 128 + struct.pack("<II", 15, 8) + bytes(60)])
def test_another_file_is_no_matrix(raw: bytes) -> None:
    with pytest.raises(ValueError, match="matrix"):
        recordings.matlab_matrix(raw)


def test_the_plain_methods_do_on_the_real_face_what_they_are_known_to_do(
    shared_data: Callable[[str], Path],
) -> None:
    """Told beside the recording, by other code: POS 0.46, CHROM 0.53, GREEN 0.86."""
    folder = shared_data("ubfc-example").parent
    (case,) = [case for case in recordings.cases(folder) if case.group == recordings.UBFC_CONTACT]
    found = measured(case)
    for method, known in (("POS", 0.46), ("CHROM", 0.53), ("GREEN", 0.86)):
        error = metrics.pairs([o for o in found if o.tool == method]).error
        assert metrics.mean_absolute(error) == pytest.approx(known, abs=0.06), method


def test_verdicts_on_recordings() -> None:
    outcomes = [
        outcome(72.2, 72.0, group="ubfc-example"),
        outcome(72.6, 72.0, group="ubfc-example", tool="POS"),
        outcome(150.0, 153.0, group="monkey-traces"),
        outcome(150.0, 155.0, group="monkey-traces", tool="POS"),
        outcome(150.0, 154.0, group="monkey-traces", tool="CHROM"),
        outcome(54.0, 53.0, group="face-clips", case="evm-face-53bpm"),
        outcome(70.0, None, group="face-clips", case="desk-light-25"),
    ]
    rows = {what: (wanted, verdict) for what, wanted, verdict in recording_verdicts(outcomes)}
    wanted, verdict = rows["ubfc-example, truth: oximeter's mean rate: MAE, /min"]
    assert verdict.met is True and "0.60" in wanted
    wanted, verdict = rows["monkey-traces: MAE of shown, /min"]
    assert verdict.met is True and "(5.00 and 4.00)" in wanted
    assert rows["evm-face-53bpm (about 53 /min)"][1].met is True
    assert rows["desk-light-25"][1].met is False
    assert not any("contact" in what for what in rows)


def test_our_error_is_held_against_that_of_others_on_the_same_segments() -> None:
    """Withholding the hard segments is no proof of being better on the easy ones."""
    outcomes = [
        outcome(155.0, 150.0, group="monkey-traces", case="easy"),
        outcome(151.0, 150.0, group="monkey-traces", tool="POS", case="easy"),
        outcome(None, 150.0, group="monkey-traces", case="hard"),
        outcome(90.0, 150.0, group="monkey-traces", tool="POS", case="hard"),
    ]
    (verdict,) = [
        v for what, _, v in recording_verdicts(outcomes) if what == "monkey-traces: MAE of shown, /min"
    ]
    assert verdict.met is False
