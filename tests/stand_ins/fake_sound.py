"""The module sounddevice and devices behind it, with the troubles that they make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

RATE = 48000


class PortAudioError(Exception):
    """As sounddevice's: words, then PortAudio's number."""


def device(name: str, way: int = 0, inputs: int = 2, rate: int = RATE) -> dict[str, Any]:
    """A device as sounddevice describes it."""
    return {"name": name, "hostapi": way, "max_input_channels": inputs, "default_samplerate": float(rate)}


@dataclass
class FakeSound:
    """Put it into sys.modules as "sounddevice".

    plugged: what is there; seen by whoever starts PortAudio again. own, own_speaker: index of the system's own microphone and
    loudspeaker, or −1.
    refuses: what opening a stream raises; refuses_start: what starting it raises. fails: what listing raises.
    Afterwards: streams, all that were opened; starts, how often PortAudio was started again.
    """

    plugged: list[dict[str, Any]] = field(
        default_factory=lambda: [device("Desk: USB Audio (hw:1,0)"), device("default")]
    )
    ways: list[str] = field(default_factory=lambda: ["ALSA"])
    own: int = 1
    own_speaker: int = -1
    refuses: Exception | None = None
    refuses_start: Exception | None = None
    fails: Exception | None = None
    streams: list[FakeStream] = field(default_factory=list)
    starts: int = 0
    PortAudioError: type[Exception] = PortAudioError
    _initialized: int = 1

    def __post_init__(self) -> None:
        self._seen = list(self.plugged)

    def _exit_handler(self) -> None:
        raise AssertionError("it was taken off the list of what is done at the end")

    def _terminate(self) -> None:
        assert not any(stream.active for stream in self.streams), "this would end a stream that is open"
        self._initialized -= 1

    def _initialize(self) -> None:
        self._initialized += 1
        self.starts += 1
        self._seen = list(self.plugged)

    @property
    def default(self) -> Any:
        own, speaker = (at if at < len(self._seen) else -1 for at in (self.own, self.own_speaker))
        return SimpleNamespace(device=(own, speaker))

    def query_hostapis(self) -> list[dict[str, Any]]:
        if self.fails is not None:
            raise self.fails
        return [{"name": name} for name in self.ways]

    def query_devices(self, index: int | None = None) -> Any:
        listed = [{**one, "index": at} for at, one in enumerate(self._seen)]
        return listed if index is None else listed[index]

    def InputStream(self, **wanted: Any) -> FakeStream:  # noqa: N802 (sounddevice's name)
        if self.refuses is not None:
            raise self.refuses
        self.streams.append(FakeStream(self, wanted))
        return self.streams[-1]

    def OutputStream(self, **wanted: Any) -> FakeStream:  # noqa: N802 (sounddevice's name)
        return self.InputStream(**wanted)


class FakeStream:
    """What was opened. wanted: how."""

    def __init__(self, sound: FakeSound, wanted: dict[str, Any]) -> None:
        self._sound, self.wanted = sound, wanted
        self.active = self.closed = False
        self._hear: Callable[..., None] = wanted["callback"]

    def start(self) -> None:
        if self._sound.refuses_start is not None:
            raise self._sound.refuses_start
        self.active = True

    def hear(self, samples: Any) -> None:
        """A block comes. samples: [shape=(frames,)], full scale ±1."""
        block = np.asarray(samples, dtype=np.float32)[:, np.newaxis]
        self._hear(block, len(block), None, None)
        block[:] = np.nan  # PortAudio uses the same memory for the next one

    def speak(self) -> Any:
        """The device wants a block; what it gets [shape=(blocksize,)]."""
        block = np.full((self.wanted["blocksize"], 1), np.nan, dtype=np.float32)
        self._hear(block, len(block), None, None)
        return block[:, 0].copy()

    def die(self) -> None:
        """The device goes away."""
        self.active = False
        self.wanted["finished_callback"]()

    def close(self) -> None:
        self.closed = True
        if self.active:
            self.die()
