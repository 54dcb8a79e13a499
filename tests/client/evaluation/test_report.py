"""Tables, verdicts and plots out of outcomes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from client.errors import EnvironmentFault
from client.evaluation import plots, report
from client.evaluation.outcomes import Outcome, Reading, Truth
from client.evaluation.report import Run
from client.evaluation.targets import targets
from tests.client.evaluation.outcome_maker import outcome

SKINS = ("I", "III", "VI")


def many() -> list[Outcome]:
    """Ninety people, some withheld, one far off; ten photographs; a peer that shows everything."""
    found = []
    for k in range(90):
        true = 45.0 + 1.5 * k
        said = None if k % 10 == 9 else true + (12.0 if k == 50 else 0.5 * (-1) ** k)
        about: dict[str, Any] = {
            "case": f"person {k:02}",
            "axes": {"skin_type": SKINS[k % 3], "condition": "still" if k % 2 else "moving"},
            "truth": Truth(True, true, 14.0, 30.0, 40.0, live=((10.0, true),)),
            "duration_s": 60.0,
            "oracle_db": float(k % 5),
            "supported": k % 5 > 0,
        }
        vitals = {
            "heart_rate": Reading(said, said and said - 2, said and said + 2, 0.9 + 0.01 * (k % 9)),
            "respiratory_rate": Reading(14.6),
            "rmssd": Reading(36.0),
            "sdnn": Reading(None),
        }
        found.append(
            outcome(
                said,
                true,
                live=((9.0, None, None, None), (10.0, said, said, said)),
                **{**about, "vitals": vitals},
            )
        )
        found.append(outcome(70.0, true, half=None, confidence=None, tool="peer 1 POS", **about))
    for k in range(10):
        found.append(outcome(None, None, case=f"photograph {k}", axes={"condition": "photograph"}))
        found.append(outcome(66.0, None, case=f"photograph {k}", tool="peer 1 POS"))
    return found


def run(outcomes: list[Outcome]) -> Run:
    return Run(tuple(outcomes), "engine", "simulator", {"grid": "traces"})


@pytest.fixture(scope="module")
def full() -> Run:
    return run(many())


def test_the_same_outcomes_in_another_order_give_the_same_text(full: Run) -> None:
    turned = run(list(reversed(full.outcomes)))
    assert report.markdown(turned) == report.markdown(full)
    assert json.dumps(report.to_json(turned)) == json.dumps(report.to_json(full))


def test_the_json_has_a_number_for_everything_that_is_asked(full: Run) -> None:
    told = json.loads(json.dumps(report.to_json(full), allow_nan=False))
    ours = told["groups"]["traces"]["Health Helper"]
    rate = ours["all"]["heart_rate"]
    assert rate["coverage"] | {"low": 0, "high": 0} == {
        "count": 81,
        "of": 90,
        "share": 0.9,
        "low": 0,
        "high": 0,
    }
    assert rate["off_by_more_than_10"]["count"] == 1 and rate["confidently_wrong"]["count"] == 1
    assert rate["interval_coverage"]["count"] == 80 and rate["ece"] is not None
    assert ours["all"]["respiratory_rate"]["mae"] == pytest.approx(0.6)
    assert ours["all"]["rmssd"]["mae"] == 6.0 and ours["all"]["sdnn"]["coverage"]["count"] == 0
    assert set(ours["by"]) == {"condition", "skin_type", "rate_band"}
    assert ours["supported"]["heart_rate"]["coverage"]["of"] == 72
    assert ours["risk_coverage"][-1][0] == 0.9 and ours["calibration"]
    peer = told["groups"]["traces"]["peer 1 POS"]
    assert peer["all"]["negatives"]["shown"]["count"] == 10
    assert peer["risk_coverage"] == [[1.0, pytest.approx(peer["all"]["heart_rate"]["mae"], abs=1e-3)]]


def test_the_verdicts_are_right(full: Run) -> None:
    ours = [o for o in full.outcomes if o.tool == "Health Helper"]
    found = {target.what: target.judge(ours) for target in targets()}
    assert found["supported: shown"].met is False  # 63 of 72
    assert found["supported: off by more than 10"].met is (found["supported: off by more than 10"].value == 0)
    assert found["without a pulse: shown"].met is True
    assert found["octave errors"].met is True
    assert found["breathing, 6–30 /min: MAE of shown, /min"].met is True
    assert found["RMSSD from 60 s: MAE of shown, ms"].met is True
    assert found["supported: second of the first live value, 95th percentile"].met is True
    assert found["skin types: gap of MAE at equal signal, /min"].value is not None
    band = found["worst 20-bpm band from 40 to 180: RMSE, /min"]
    assert band.met is False and "(120–140)" in band.text  # there is the one far off
    peer = [o for o in full.outcomes if o.tool == "peer 1 POS"]
    assert {t.what: t.judge(peer) for t in targets()}["without a pulse: shown"].met is False


def test_nothing_measured_is_neither_met_nor_missed() -> None:
    assert [target.judge([]).met for target in targets()] == [None] * len(targets())


def test_the_tables_are_markdown_and_say_what_simulation_is(full: Run) -> None:
    text = report.markdown(full)
    assert "not clinical validation" in text
    for heading in (
        "Against the targets",
        "traces: side by side",
        "traces, by skin type",
        "traces, by condition",
    ):
        assert f"## {heading}" in text
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    for lines in tables:
        assert len({line.count("|") for line in lines}) == 1 and len({len(line) for line in lines}) == 1
        assert set(lines[1]) <= set("|:-")
    assert "peer 1 POS" in text


def test_a_recording_alone_has_no_table_of_targets_for_simulated_clips() -> None:
    text = report.markdown(run([outcome(72.0, 72.3, group="ubfc-example")]))
    assert "Real recordings against the targets" in text and "traces" not in text


def test_what_cannot_be_written_is_said(full: Run, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match=r"results\.json could not be written"):
        report.write(full, tmp_path / "missing")


def test_the_plots_are_there_as_pictures_and_the_same_each_time(full: Run, tmp_path: Path) -> None:
    names = {path.name for path in plots.draw(full, tmp_path)}
    wanted = ("risk-coverage", "bland-altman", "calibration", "by-skin-type", "by-condition")
    assert names == {f"traces-{plot}.{suffix}" for plot in wanted for suffix in ("png", "svg")}
    before = {name: (tmp_path / name).read_bytes() for name in names}
    for name, content in before.items():
        assert (
            content.startswith(b"\x89PNG")
            if name.endswith("png")
            else ET.fromstring(content).tag.endswith("svg")
        )
    plots.draw(full, tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in names} == before


def test_of_nothing_shown_nothing_is_drawn(tmp_path: Path) -> None:
    assert plots.draw(run([outcome(None, None)]), tmp_path) == []


def test_without_matplotlib_the_remedy_is_said(
    full: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(EnvironmentFault, match="make bench"):
        plots.draw(full, tmp_path)
