"""A microphone through the real PortAudio: a sound server of the test's own plays into it. Skips where there is none (setup.py brings it)."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from client.devices.microphones import Microphone, microphones
from client.devices.ports import Level
from client.errors import EnvironmentFault, SourceStalled
from tests.stand_ins.sound_server import SoundServer, sound_server

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.slow
BEGIN_S = 10.0
"""PulseAudio takes up to 2 s to begin, and more on a busy machine."""


@pytest.fixture
def server() -> Iterator[SoundServer]:
    with sound_server() as made:
        yield made


@pytest.fixture
def microphone(server: SoundServer) -> Iterator[Microphone]:
    """The system's own one; it is closed after the test."""
    made = Microphone()
    yield made
    made.close()


def until(
    holds: Callable[[Level | None], bool], microphone: Microphone, at_most_s: float = BEGIN_S
) -> Level | None:
    """The first level that is so."""
    deadline_s = time.monotonic() + at_most_s
    while not holds(level := microphone.level()):
        assert time.monotonic() < deadline_s, f"waited {at_most_s:g} s; the last was {level}"
        time.sleep(0.02)
    return level


def levels(microphone: Microphone, wanted: int) -> list[float]:
    """So many levels one after another, dBFS."""
    found: list[Level] = []
    while len(found) < wanted:
        level = microphone.level()
        if level is not None and (not found or level is not found[-1]):
            found.append(level)
        time.sleep(0.01)
    return [level.dbfs for level in found]


@pytest.mark.parametrize("dbfs", [-6.0, -20.0, -40.0])
def test_a_tone_is_measured_to_within_1_db(server: SoundServer, microphone: Microphone, dbfs: float) -> None:
    server.play(10.0 ** (dbfs / 20.0))
    microphone.open()
    until(lambda level: level is not None and level.dbfs > dbfs - 3.0, microphone)
    time.sleep(0.3)  # the block in which it began is half silent
    found = levels(microphone, 10)
    assert max(abs(level - dbfs) for level in found) < 1.0
    assert not microphone.level().only_zeros  # type: ignore[union-attr]


def test_where_nothing_plays_it_is_only_zeros_until_something_does(
    server: SoundServer, microphone: Microphone
) -> None:
    microphone.open()
    silent = until(lambda level: level is not None and level.only_zeros, microphone)
    assert silent is not None and silent.dbfs == -200.0
    server.play(0.1)
    until(lambda level: level is not None and not level.only_zeros and level.dbfs > -21.0, microphone)


def test_it_is_listed_and_can_be_chosen(server: SoundServer) -> None:
    assert [(one.id, one.name) for one in microphones()] == [("ALSA: pulse", "PulseAudio")]
    chosen = Microphone("ALSA: pulse")
    chosen.open()
    until(lambda level: level is not None, chosen)
    chosen.close()
    assert chosen.level() is None


def test_a_server_that_ends_is_a_microphone_that_is_gone(server: SoundServer, microphone: Microphone) -> None:
    microphone.open()
    until(lambda level: level is not None, microphone)
    server.end()
    with pytest.raises(EnvironmentFault, match="the sound system has stopped"):
        until(lambda _: False, microphone, 5.0)
    microphone.close()
    assert microphones() == ()
    with pytest.raises(EnvironmentFault, match="No microphone was found"):
        Microphone().open()


def test_a_server_that_hangs_is_told_at_once_and_can_go_on(
    server: SoundServer, microphone: Microphone
) -> None:
    microphone.open()
    until(lambda level: level is not None, microphone)
    server.freeze()
    began_s = time.monotonic()
    with pytest.raises(SourceStalled, match="sends nothing"):
        until(lambda _: False, microphone, 5.0)
    assert time.monotonic() - began_s < 3.0
    server.thaw()
    time.sleep(0.5)
    assert microphone.level() is not None


LEAVES = """
import os, signal, sys, time
from client.devices.microphones import Microphone
from client.pipeline.worker import Worker
worker, microphone = Worker("microphone"), Microphone()
worker.do(microphone.open).result(20)
while microphone.level() is None:
    time.sleep(0.05)
os.kill(int(sys.argv[1]), signal.SIGSTOP)
time.sleep(0.5)
worker.do(microphone.close)
print("ended in time" if worker.end(0.3) else "hangs", flush=True)
"""


def test_a_server_that_hangs_keeps_no_program_from_ending(server: SoundServer) -> None:
    """As the window does it: closing hangs in a thread of its own, and the program ends all the same."""
    ran = subprocess.run(
        [sys.executable, "-c", LEAVES, str(server.process.pid)],
        cwd=ROOT,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
        timeout=25,
    )
    assert (ran.returncode, ran.stdout) == (0, "hangs\n"), ran.stderr
