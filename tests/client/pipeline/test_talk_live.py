"""The whole voice turn with a real sound server, a real voice and the real net: spoken, understood, judged, answered, interrupted. Nothing is written."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import soxr

from client import weights
from client.assistant.conversation import Conversation, Role
from client.assistant.knowledge import shipped as articles
from client.assistant.triage import shipped
from client.clock import SystemClock
from client.devices.microphones import MicrophoneSound
from client.devices.ports import SoundBlock, Spoken
from client.devices.speakers import RATE_HZ, Loudspeaker
from client.devices.voices import SystemVoice
from client.pipeline.talk import Means, Talk
from client.pipeline.talk_state import Mode, Phase, TalkState
from edge_models.nets import SpeechNet
from edge_models.speech import BLOCK_S
from edge_models.types import Float32Array
from tests.client.assistant.conversing import EVIDENCE
from tests.client.pipeline.talk_fakes import FakeRecogniser, threads
from tests.stand_ins.sound_server import SoundServer, sound_server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("espeak-ng"), reason="there is no espeak-ng (Debian's package)"),
]
PATIENCE_S = 20.0
_written: list[object] | None = None


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "open" or _written is None:
        return
    path, mode, flags = arguments
    writes = any(sign in mode for sign in "wax+") if isinstance(mode, str) else False
    if isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        writes = True
    if writes and not isinstance(path, int) and path != os.devnull:
        _written.append(path)


sys.addaudithook(_watch)  # there is no way to take one off again


@contextmanager
def nothing_written() -> Iterator[None]:
    """Raises where any file was opened for writing in this block, by any thread of this process."""
    global _written  # noqa: PLW0603 (the hook of a process)
    _written = []
    try:
        yield
        assert _written == []
    finally:
        _written = None


@pytest.fixture
def server() -> Iterator[SoundServer]:
    with sound_server() as made:
        yield made


def until(talk: Talk, holds: Callable[[TalkState], object]) -> TalkState:
    deadline_s = time.monotonic() + PATIENCE_S
    while not holds(state := talk.state):
        assert time.monotonic() < deadline_s, (state, [one.text for one in state.turns])
        time.sleep(0.005)
    return state


class Person:
    """In the room: silent, or speaking. What is said waits in a pipe as a whole: nobody falls silent because this process is busy, and what comes in
    two halves would be two utterances. Silence goes there piece by piece.
    """

    CHUNK_S = 0.02
    _PIPE_BYTES = 1 << 20
    """At 22 kHz 11 s."""

    def __init__(self, rate_hz: int) -> None:
        program = shutil.which("pacat")
        assert program is not None
        command = [program, "--playback", "--raw", "--format=float32le", "--channels=1", "--latency-msec=20"]
        self._player = subprocess.Popen(
            [*command, f"--rate={rate_hz}", "--device=loop"],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._chunk = round(self.CHUNK_S * rate_hz)
        assert self._player.stdin is not None
        fcntl.fcntl(self._player.stdin, fcntl.F_SETPIPE_SZ, self._PIPE_BYTES)
        self._rate_hz = rate_hz
        self._says: deque[Float32Array] = deque()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._speak, daemon=True)
        self._thread.start()

    def say(self, spoken: Spoken) -> None:
        self._says.append(np.trim_zeros(spoken.samples))

    def leave(self) -> None:
        self._ended.set()
        self._thread.join(PATIENCE_S)
        self._player.kill()
        self._player.communicate()

    def _speak(self) -> None:
        assert self._player.stdin is not None
        due_s = time.perf_counter()
        while not self._ended.is_set():
            chunk = self._says.popleft() if self._says else np.zeros(self._chunk, np.float32)
            self._player.stdin.write(chunk.astype("<f4").tobytes())
            self._player.stdin.flush()
            due_s = max(due_s, time.perf_counter() - self.CHUNK_S) + len(chunk) / self._rate_hz
            self._ended.wait(max(0.0, due_s - time.perf_counter()))


class Ear(MicrophoneSound):
    """Time is that of the sound itself: a machine that is held up takes longer, and nobody heard more meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks: list[Float32Array] = []

    def read(self) -> SoundBlock | None:
        found = super().read()
        if found is not None:
            self.blocks.append(found.samples)
        return found

    @property
    def heard_s(self) -> float:
        """How much was taken of what it hears."""
        return len(self.blocks) * BLOCK_S

    def began_s(self, spoken: Spoken) -> float:
        """When this was heard for the first time: where what is heard is most like it."""
        at_all = np.concatenate(self.blocks).astype(np.float64)
        once = soxr.resample(np.trim_zeros(spoken.samples), spoken.rate_hz, RATE_HZ, "HQ").astype(np.float64)
        size = len(at_all) + len(once)
        cross = np.fft.irfft(np.fft.rfft(at_all, size) * np.conj(np.fft.rfft(once, size)), size)
        first = int(np.argmax(cross[: len(at_all)]))
        return (first + int(np.flatnonzero(np.abs(once) > 0.02)[0])) / RATE_HZ


class Heard(Loudspeaker):
    """When it was told to be silent, in the time of the ear."""

    def __init__(self, ear: Ear) -> None:
        super().__init__()
        self._ear = ear
        self.stops_s: list[float] = []

    def stop(self) -> None:
        super().stop()
        self.stops_s.append(self._ear.heard_s)


def test_hooks_see_what_is_written(tmp_path: Any) -> None:
    with pytest.raises(AssertionError), nothing_written():
        (tmp_path / "sound.wav").write_bytes(b"RIFF")


def test_a_whole_turn_is_spoken_answered_and_interrupted_and_nothing_is_written(server: SoundServer) -> None:
    recogniser, voice, clock = FakeRecogniser(), SystemVoice(), SystemClock()
    triage = shipped()
    triage.judge("", "en")
    net = weights.load("speech_silero")
    asked = Spoken(*_loud(voice.synthesize("Please tell me what a normal heart rate is.", "en", 100)))
    interrupts = Spoken(*_loud(voice.synthesize("No wait I want something else now.", "en", 120)))
    means = Means(
        converse=lambda: Conversation(triage, "en", library=articles(), evidence=EVIDENCE),
        microphone=lambda: ear,
        odds=lambda: SpeechNet(net),
        loudspeaker=lambda: box,
        recogniser=recogniser,
        voices=[voice],
        clinic=lambda: "Answered on this device: it belongs to no clinic.",
        call_staff=lambda: False,
    )
    before, ear = threads(), Ear()
    box = Heard(ear)
    with nothing_written():
        talk, person = Talk(means, "en", clock), Person(asked.rate_hz)
        try:
            recogniser.texts = ["please tell me what a normal heart rate is", "i want something else now"]
            talk.listen(Mode.HANDS_FREE)
            until(talk, lambda state: state.phase is Phase.LISTENING)
            until(talk, lambda _: ear.heard_s > 1.0)
            person.say(asked)
            until(talk, lambda state: state.phase is Phase.HEARING)
            until(talk, lambda state: state.phase is Phase.UNDERSTANDING)
            state = until(talk, lambda state: len(state.turns) == 2)
            until(talk, lambda state: state.speaking is not None)
            speaks_s, moves = ear.heard_s, box.moves
            assert state.turns[1].role is Role.ASSISTANT and state.turns[1].citations
            until(talk, lambda _: ear.heard_s > speaks_s + 1.5)
            assert talk.state.speaking is not None, "our own voice does not stop us"
            box.stops_s.clear()
            person.say(interrupts)
            until(talk, lambda state: state.speaking is None)
            assert box.stops_s, "it was stopped, not at its end"
            moved = box.moves != moves
            until(talk, lambda state: len(state.turns) == 4)
            assert talk.state.turns[2].text == "i want something else now"
        finally:
            person.leave()
            talk.close()
    deadline_s = time.monotonic() + PATIENCE_S
    while threads() - before:
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    barged_s = box.stops_s[0] - ear.began_s(interrupts)
    assert barged_s > 0.0, "it was the person"
    if not moved:  # where the device had no sound in time, our echo has to be learned anew first
        assert barged_s < 0.5


def _loud(spoken: Spoken) -> tuple[Float32Array, int]:
    """Twice as loud as our own voice."""
    return np.clip(spoken.samples * 2.0, -1.0, 1.0), spoken.rate_hz
