from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest

from client.clock import SystemClock
from client.devices.simulated import Simulated
from edge_models.types import Frame
from tests.stand_ins import clips


class HandClock(SystemClock):
    """A clock that stands still until it is told to wait."""

    def __init__(self) -> None:
        self.t_s = 100.0
        self.waits: list[float] = []

    def now_s(self) -> float:
        return self.t_s

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.t_s += seconds
        return False


def _frames() -> Iterator[Frame]:
    for i, image in enumerate(clips.pictures(6)):
        yield Frame(image, 5.0 + i / 25)


def _read(source: Simulated) -> list[Frame]:
    source.open()
    frames = []
    while (frame := source.read()) is not None:
        frames.append(frame)
    source.close()
    return frames


def test_paced_or_not_the_frames_are_the_same() -> None:
    clock = HandClock()
    paced = _read(Simulated(_frames(), name="demo", paced=True, clock=clock, wait=clock.wait))
    quick = _read(Simulated(_frames(), name="demo"))

    assert [frame.t_s for frame in paced] == [frame.t_s for frame in quick]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(paced, quick, strict=True))
    assert clock.waits == pytest.approx([1 / 25] * 5)


def test_pacing_catches_up_after_a_slow_reader_without_losing_a_frame() -> None:
    clock = HandClock()
    source = Simulated(_frames(), name="demo", paced=True, clock=clock, wait=clock.wait)
    source.open()
    clock.t_s += 0.1
    times = []
    while (frame := source.read()) is not None:
        times.append(frame.t_s)
    source.close()
    assert len(times) == 6
    assert clock.waits == pytest.approx([0.02, 0.04, 0.04])


def test_real_pacing_takes_real_time() -> None:
    began_s = time.perf_counter()
    assert len(_read(Simulated(_frames(), name="demo", paced=True))) == 6
    assert 0.18 < time.perf_counter() - began_s < 2.0  # never early; late on a busy machine


def test_it_is_marked_as_simulated() -> None:
    source = Simulated(_frames(), name="demo", header_fps=25.0)
    facts = source.open()
    source.close()
    assert facts.simulated and not facts.live and facts.header_fps == 25.0
    assert any("Simulated" in str(note) for note in facts.notes)


def test_a_generator_is_closed_with_the_source() -> None:
    ended = []

    def frames() -> Iterator[Frame]:
        try:
            yield from _frames()
        finally:
            ended.append(True)

    source = Simulated(frames(), name="demo")
    source.open()
    source.close()
    assert ended == [True]
