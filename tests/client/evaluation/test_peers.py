"""Peers: missing, half there, installed from a lock; the runner against a package of the same shape."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from client.clock import SystemClock
from client.errors import EnvironmentFault
from client.evaluation.cost import PeerTool, in_turn
from client.evaluation.peers import ROOT, Peer, known
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
