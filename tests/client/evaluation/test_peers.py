"""Peers: missing, half there, installed from a lock; the runner against a package of the same shape."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest

from client.clock import SystemClock
from client.errors import EnvironmentFault
from client.evaluation.cost import PeerTool, in_turn
from client.evaluation.peers import ROOT, Peer, answer_of, known
from client.evaluation.process import Ended, run_to_end
from tests.client.evaluation.fakes import GOOD, says, scripted_peer, wheel


@pytest.fixture
def vitallens(tmp_path: Path) -> Peer:
    """The known peer, but in this test's folder and out of a wheel made here."""
    path, sha256 = wheel(tmp_path)
    lock = tmp_path / "peers-vitallens.txt"
    lock.write_text(
        f"--no-index\n--find-links {path.parent}\nvitallens==0.6.2 --hash=sha256:{sha256}\n", "utf-8"
    )
    return dataclasses.replace(known()[0], folder=tmp_path / "env", lock=lock, programs=())


def test_a_missing_peer_is_one_sentence_with_the_command_that_installs_it(vitallens: Peer) -> None:
    with pytest.raises(EnvironmentFault) as told:
        vitallens.command(Path("clip.mp4"))
    assert "vitallens 0.6.2 POS is not installed" in told.value.title
    assert "health-helper bench install-peers" in told.value.remedy


def test_an_environment_of_another_lock_counts_as_missing(tmp_path: Path) -> None:
    peer = scripted_peer(tmp_path, says(GOOD))
    peer.command(Path("clip.mp4"))
    peer.lock.write_text("fake==2\n", "utf-8")
    with pytest.raises(EnvironmentFault, match="is not installed"):
        peer.command(Path("clip.mp4"))


def test_a_program_that_the_peer_needs_is_named_with_its_remedy(tmp_path: Path) -> None:
    peer = dataclasses.replace(scripted_peer(tmp_path, says(GOOD)), programs=("no-such-ffmpeg",))
    with pytest.raises(EnvironmentFault, match=r"needs the program no-such-ffmpeg.*apt-get install ffmpeg"):
        peer.command(Path("clip.mp4"))


def test_outside_a_checkout_a_peer_says_so(vitallens: Peer) -> None:
    vitallens.lock.unlink()
    for act in (lambda: vitallens.command(Path("c")), lambda: vitallens.install(SystemClock())):
        with pytest.raises(EnvironmentFault, match="in a checkout of the source only"):
            act()


def test_a_peer_is_installed_once_and_its_runner_measures(vitallens: Peer, tmp_path: Path) -> None:
    assert vitallens.install(SystemClock())
    assert not vitallens.install(SystemClock())
    somebody, nobody = (
        next(in_turn([PeerTool(vitallens)], tmp_path / f"{name}.mp4", 1, SystemClock()))
        for name in ("somebody", "nobody")
    )
    assert somebody.heart_rate == 71.25 and nobody.heart_rate is None
    assert 0 < somebody.startup_cpu_s <= somebody.cpu_s


def test_open_rppg_is_asked_as_its_users_ask_it(tmp_path: Path) -> None:
    path, sha256 = wheel(tmp_path, "open-rppg", "0.1.1")
    lock = tmp_path / "peers-open-rppg.txt"
    lock.write_text(
        f"--no-index\n--find-links {path.parent}\nopen-rppg==0.1.1 --hash=sha256:{sha256}\n", "utf-8"
    )
    (peer,) = [p for p in known() if p.name == "open-rppg 0.1.1 FacePhys"]
    peer = dataclasses.replace(peer, folder=tmp_path / "env", lock=lock)
    assert peer.install(SystemClock())
    somebody, nobody, noise = (
        answer_of(run_to_end(peer.command(tmp_path / f"{name}.mp4"), clock=SystemClock()))
        for name in ("somebody", "nobody", "noise")
    )
    assert [a.vitals["heart_rate"].value for a in (somebody, nobody, noise)] == [66.5, None, None]


def test_the_answer_of_our_own_command_has_everything_that_it_says() -> None:
    vital = {
        "value": 70.0,
        "low": 68.0,
        "high": 72.0,
        "confidence": 0.9,
        "reasons": ["motion"],
        "unit": "/min",
    }
    said = {
        "schema": "health-helper/scan/1",
        "vitals": {"heart_rate": vital},
        "trend": [{"t_s": 10.0, "heart_rate": 71.0, "low": 70.0, "high": 72.0}],
        "cost": {"startup_cpu_s": 0.5, "peak_rss_mb": 200.0},
    }
    for status in (0, 3):
        answer = answer_of(Ended(status, json.dumps(said), "", 1.0, 1.0))
        assert answer.vitals["heart_rate"].confidence == 0.9
        assert answer.vitals["heart_rate"].reasons == ("motion",)
        assert answer.live == ((10.0, 71.0, 70.0, 72.0),)
    for ended in (
        Ended(2, "", "Error: no video.", 1.0, 1.0),
        Ended(1, json.dumps(said), "Traceback", 1.0, 1.0),
        Ended(3, json.dumps(GOOD), "", 1.0, 1.0),
        Ended(0, "chatter", "", 1.0, 1.0),
    ):
        with pytest.raises(ValueError, match="ended with status"):
            answer_of(ended)


def test_a_runner_that_changes_is_another_version(tmp_path: Path) -> None:
    peer = scripted_peer(tmp_path, says(GOOD))
    before = peer.digest()
    peer.runner.write_text(says({**GOOD, "heart_rate": 1.0}), "utf-8")
    assert peer.digest() != before


def test_a_package_with_another_hash_is_refused_and_leaves_the_peer_missing(vitallens: Peer) -> None:
    text = vitallens.lock.read_text("utf-8")
    vitallens.lock.write_text(re.sub(r"sha256:\w{64}", f"sha256:{'0' * 64}", text), "utf-8")
    with pytest.raises(EnvironmentFault, match="could not be installed"):
        vitallens.install(SystemClock())
    with pytest.raises(EnvironmentFault, match="is not installed"):
        vitallens.command(Path("clip.mp4"))


def test_every_lock_of_a_peer_has_hashes_only_and_names_no_host() -> None:
    for peer in known():
        assert peer.folder.is_relative_to(ROOT / ".cache")  # which git ignores
        text = peer.lock.read_text("utf-8")
        pins = re.findall(r"^([\w.-]+)==\S+.*\\$", text, re.MULTILINE)
        assert len(pins) > 5 and "://" not in text and "--index" not in text.replace("--no-emit-index", "")
        assert text.count("--hash=sha256:") >= len(pins)
