"""The arithmetic of the table, and what is read from whole processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from client.clock import SystemClock
from client.errors import BadInput, EnvironmentFault
from client.evaluation.cost import OURS, Comparison, OwnScan, PeerTool, Tool, in_turn
from client.evaluation.process import Ended
from tests.client.evaluation.fakes import GOOD, run, says, scripted_peer
from tests.stand_ins.clips import pictures, write_clip

SCAN = {
    "vitals": {"heart_rate": {"value": 72.3}},
    "cost": {"startup_cpu_s": 0.5, "decode_cpu_s": 1.25, "peak_rss_mb": 210.5},
}


def rounds(ours: list[float], peer: list[float]) -> Comparison:
    """Runs in turn with these processor seconds."""
    runs = [
        r for a, b in zip(ours, peer, strict=True) for r in (run(OURS, a), run("P", b, decode_cpu_s=None))
    ]
    return Comparison(clip="clip.mp4", truth_bpm=72.0, runs=tuple(runs))


def test_the_ratio_is_taken_within_each_round_and_its_median_is_told() -> None:
    # In the second round the machine was ten times slower for both: the ratio of medians would be 3/4.
    compared = rounds([2.0, 30.0, 3.0], [4.0, 40.0, 10.0])
    assert compared.cpu_ratios("P") == pytest.approx((0.5, 0.75, 0.3))
    assert compared.rows()[-1][-2:] == ("1", "0.50 (0.30 to 0.75)")


def test_the_table_shows_medians_and_a_dash_for_what_is_not_told() -> None:
    rows = {row[0]: row[1:] for row in rounds([2.0, 30.0, 3.0], [4.0, 40.0, 10.0]).rows()}
    assert rows["median of 3, run in turn"] == (OURS, "P")
    assert rows["processor time, whole process, s"] == ("3.00", "10.00")
    assert rows["· decoding"] == ("1.00", "–")
    assert rows["peak memory, MB"] == ("200", "200")
    assert rows["heart rate, /min (truth 72.0)"] == ("72.0", "72.0")


def test_a_heart_rate_withheld_in_some_runs_is_the_median_of_the_others_and_a_dash_if_in_all() -> None:
    some = Comparison("c", None, (run(OURS, 1.0, heart_rate=None), run(OURS, 1.0, heart_rate=70.0)))
    assert some.middle(OURS, "heart_rate") == 70.0
    none = Comparison("c", None, (run(OURS, 1.0, heart_rate=None),))
    assert ("heart rate, /min", "–") in none.rows()


def test_without_a_peer_there_is_no_ratio() -> None:
    alone = Comparison("c", None, (run(OURS, 1.0), run(OURS, 3.0)))
    assert not any("over this one" in row[0] for row in alone.rows())
    assert alone.to_json()["cpu_ratio"] == {}


def test_the_json_carries_every_run_and_the_medians() -> None:
    told = json.loads(json.dumps(rounds([2.0, 4.0], [4.0, 4.0]).to_json(), allow_nan=False))
    assert told["schema"] == "health-helper/bench-cost/1"
    assert [r["cpu_s"] for r in told["runs"]] == [2.0, 4.0, 4.0, 4.0]
    assert told["median"][OURS]["cpu_s"] == 3.0
    assert told["cpu_ratio"]["P"] == {"median": 0.75, "rounds": [0.5, 1.0]}


def test_our_parts_add_up_to_the_whole_process() -> None:
    read = OwnScan().read(Ended(0, json.dumps(SCAN), "", wall_s=5.0, cpu_s=4.0))
    assert (read.startup_cpu_s, read.decode_cpu_s, read.measure_cpu_s) == (0.5, 1.25, 2.25)
    assert (read.cpu_s, read.wall_s, read.peak_rss_mb, read.heart_rate) == (4.0, 5.0, 210.5, 72.3)


@pytest.mark.parametrize(
    "status, error, kind",
    [(2, "Error: x is no video. Give one.", BadInput), (4, "Error: no weights.", EnvironmentFault)],
)
def test_a_scan_of_ours_that_fails_is_told_with_its_last_words(
    status: int, error: str, kind: type[Exception]
) -> None:
    with pytest.raises(kind, match=error):
        OwnScan().read(Ended(status, "", f"chatter\n{error}\n", 1.0, 1.0))


def test_the_tools_run_in_turn_as_real_processes(tmp_path: Path) -> None:
    """Our own command on a clip without a face, and a peer that answers at once."""
    clip = write_clip(tmp_path / "clip.mkv", pictures(30), fps=30.0)
    tools: list[Tool] = [OwnScan(), PeerTool(scripted_peer(tmp_path, says(GOOD)))]
    runs = list(in_turn(tools, clip, 2, SystemClock()))
    assert [r.tool for r in runs] == [OURS, "fake peer", OURS, "fake peer"]
    assert runs[0].heart_rate is None and runs[1].heart_rate == 70.5
    for measured in runs:
        assert 0 < measured.startup_cpu_s <= measured.cpu_s
        assert measured.peak_rss_mb is not None and measured.peak_rss_mb > 10
    assert runs[0].decode_cpu_s is not None and runs[1].decode_cpu_s is None


def test_a_peer_gets_its_arguments_and_the_video(tmp_path: Path) -> None:
    script = f"import json, sys\nprint(json.dumps({GOOD!r} | {{'heart_rate': len(sys.argv)}}))\n"
    script += "assert sys.argv[1] == 'pos' and sys.argv[2].endswith('clip.mkv'), sys.argv\n"
    (measured,) = in_turn(
        [PeerTool(scripted_peer(tmp_path, script))], tmp_path / "clip.mkv", 1, SystemClock()
    )
    assert measured.heart_rate == 3


@pytest.mark.parametrize(
    "script", [says(GOOD, status=1), says([1, 2]), says("text"), "pass", "raise OSError"]
)
def test_a_peer_that_fails_or_talks_rubbish_is_told_in_one_sentence(tmp_path: Path, script: str) -> None:
    with pytest.raises(EnvironmentFault, match="fake peer failed with status"):
        list(in_turn([PeerTool(scripted_peer(tmp_path, script))], tmp_path / "c", 1, SystemClock()))
