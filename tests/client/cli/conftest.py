"""The commands with parts of the tests' own, run in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from client.app import run
from client.clock import Clock
from client.devices.clip_writer import write_clip
from client.devices.ports import FrameSource, LevelSource
from client.parts import (
    CameraEntry,
    CameraTruth,
    Demo,
    Kept,
    MicrophoneEntry,
    Parts,
    WeightsEntry,
    WindowChoice,
)
from client.vault import VaultMissing
from tests.client.pipeline.fakes import CountingEngine, HandClock, ScriptedSource, frames


def _no_store() -> Kept:
    raise VaultMissing


def _no_window(_parts: Parts, _choice: WindowChoice) -> int:
    raise AssertionError("no test of the terminal opens a window")


def _no_microphone(_wanted: str) -> LevelSource:
    raise AssertionError("no command listens")


@dataclass
class Bench:
    """Parts whose sources are scripts; remembers what was asked for."""

    clock: Clock = field(default_factory=HandClock)
    source: FrameSource = field(default_factory=lambda: ScriptedSource(frames(90)))
    engine: CountingEngine = field(default_factory=CountingEngine)
    found: Sequence[CameraEntry] = ()
    microphones: Sequence[MicrophoneEntry] | Exception = ()
    truth: CameraTruth | Exception | None = None
    weights: Sequence[WeightsEntry] = (WeightsEntry("net.onnx", "finds faces", "good"),)
    asked: list[object] = field(default_factory=list)
    store: Callable[[], Kept] = field(default=_no_store)
    restored: list[str] = field(default_factory=list)

    def parts(self) -> Parts:
        """These parts, for one command."""

        def source(wanted: object) -> FrameSource:
            self.asked.append(wanted)
            return self.source

        def camera(wanted: str) -> FrameSource:
            return source(wanted)

        def video(wanted: Path) -> FrameSource:
            return source(wanted)

        def demo(wanted: Demo) -> FrameSource:
            return source(wanted)

        def examine(_: str) -> CameraTruth:
            if isinstance(self.truth, Exception):
                raise self.truth
            assert self.truth is not None
            return self.truth

        def microphones() -> Sequence[MicrophoneEntry]:
            if isinstance(self.microphones, Exception):
                raise self.microphones
            return self.microphones

        def restore(typed: str) -> Kept:
            self.restored.append(typed)
            return self.store()

        return Parts(
            clock=self.clock,
            started_s=self.clock.now_s(),
            cameras=lambda: self.found,
            camera=camera,
            page_camera=camera,
            examine_camera=examine,
            microphones=microphones,
            microphone_level=_no_microphone,
            video=video,
            url=camera,
            demo=demo,
            engine=self.engine.make,
            weights=lambda: self.weights,
            write_clip=write_clip,
            portrait=lambda: np.zeros((512, 512, 3), np.uint8),
            store=self.store,
            restore_store=restore,
            begin_store_anew=self.store,
            window=_no_window,
        )


@dataclass(frozen=True)
class Said:
    """What a command ended with."""

    status: int
    out: str
    err: str


@pytest.fixture
def bench() -> Bench:
    """Parts that work: ninety frames, a heart rate of 70."""
    return Bench()


@pytest.fixture
def command(bench: Bench, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """`command("scan", "--demo")`: run it on the bench."""

    def call(*arguments: str) -> Said:
        status = run(bench.parts(), arguments)
        captured = capsys.readouterr()
        return Said(status, captured.out, captured.err)

    return call
