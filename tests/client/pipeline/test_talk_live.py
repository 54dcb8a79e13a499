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

from client import weights
from client.assistant.conversation import Conversation, Role
from client.assistant.knowledge import shipped as articles
from client.assistant.triage import shipped
from client.clock import SystemClock
from client.devices.microphones import MicrophoneSound
from client.devices.ports import Spoken
from client.devices.speakers import Loudspeaker
from client.devices.voices import SystemVoice
from client.pipeline.talk import Means, Talk
from client.pipeline.talk_state import Mode, Phase, TalkState
from edge_models.nets import SpeechNet
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
    two halves would be two utterances. Silence goes there piece by piece, so it is known when what is said is heard.
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
        self.began_s: float | None = None
        """When the first of what is said went out."""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._speak, daemon=True)
        self._thread.start()

    def say(self, spoken: Spoken) -> None:
        self.began_s = None
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
            loud = np.flatnonzero(np.abs(chunk) > 0.02)
            if self.began_s is None and len(loud):
                self.began_s = time.perf_counter() + float(loud[0]) / self._rate_hz
            self._player.stdin.write(chunk.astype("<f4").tobytes())
            self._player.stdin.flush()
            due_s = max(due_s, time.perf_counter() - self.CHUNK_S) + len(chunk) / self._rate_hz
            self._ended.wait(max(0.0, due_s - time.perf_counter()))


class Heard(Loudspeaker):
    """When it was told to be silent."""

    def __init__(self) -> None:
        super().__init__()
        self.stops_s: list[float] = []

    def stop(self) -> None:
        super().stop()
        self.stops_s.append(time.perf_counter())


def test_hooks_see_what_is_written(tmp_path: Any) -> None:
    with pytest.raises(AssertionError), nothing_written():
        (tmp_path / "sound.wav").write_bytes(b"RIFF")


def test_a_whole_turn_is_spoken_answered_and_interrupted_and_nothing_is_written(server: SoundServer) -> None:
    recogniser, voice, clock = FakeRecogniser(), SystemVoice(), SystemClock()
    triage = shipped()
    triage.judge("", "en")
    net = weights.load("speech_silero")
    asked = Spoken(*_loud(voice.synthesize("What is a normal heart rate? Please tell me.", "en", 100)))
    interrupts = Spoken(*_loud(voice.synthesize("No, no. Wait. I want something else now.", "en", 120)))
    means = Means(
        converse=lambda: Conversation(triage, "en", library=articles(), evidence=EVIDENCE),
        microphone=lambda: MicrophoneSound(clock=clock),
        odds=lambda: SpeechNet(net),
        loudspeaker=lambda: box,
        recogniser=recogniser,
        voices=[voice],
        clinic=lambda: "Answered on this device: it belongs to no clinic.",
        call_staff=lambda: False,
    )
    before, box = threads(), Heard()
    with nothing_written():
        talk, person = Talk(means, "en", clock), Person(asked.rate_hz)
        try:
            recogniser.texts = ["what is a normal heart rate please tell me", "i want something else now"]
            talk.listen(Mode.HANDS_FREE)
            until(talk, lambda state: state.phase is Phase.LISTENING)
            time.sleep(1.0)
            person.say(asked)
            until(talk, lambda state: state.phase is Phase.HEARING)
            heard_s = clock.now_s() - (person.began_s or 0.0)
            until(talk, lambda state: state.phase is Phase.UNDERSTANDING)
            understood_s = clock.now_s()
            until(talk, lambda state: state.turns)
            turn_s = clock.now_s()
            state = until(talk, lambda state: len(state.turns) == 2)
            answered_s = clock.now_s()
            until(talk, lambda state: state.speaking is not None)
            spoken_s = clock.now_s()
            assert state.turns[1].role is Role.ASSISTANT and state.turns[1].citations
            time.sleep(1.5)
            assert talk.state.speaking is not None, "our own voice does not stop us"
            box.stops_s.clear()
            person.say(interrupts)
            until(talk, lambda state: state.speaking is None)
            assert box.stops_s, "it was stopped, not at its end"
            barged_s = box.stops_s[0] - (person.began_s or 0.0)
            until(talk, lambda state: len(state.turns) == 4)
            assert talk.state.turns[2].text == "i want something else now"
        finally:
            person.leave()
            ends_s = time.monotonic()
            talk.close()
            assert time.monotonic() - ends_s < 2.0
    deadline_s = time.monotonic() + PATIENCE_S
    while threads() - before:
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    assert turn_s - understood_s < 2.0, "a turn ends 0.7 s after the last word"
    assert answered_s - turn_s < 0.5 and spoken_s - answered_s < 1.5
    assert barged_s - heard_s < 0.5, "of which the sound system takes the same in both"


def _loud(spoken: Spoken) -> tuple[Float32Array, int]:
    """Twice as loud as our own voice."""
    return np.clip(spoken.samples * 2.0, -1.0, 1.0), spoken.rate_hz
