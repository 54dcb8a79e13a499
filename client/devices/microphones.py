"""Which microphones there are, under names that can be kept, how loud it is at one of them, and what it hears.

Listing asks every device what it can do and records nothing. What one hears is handed on from memory to memory and never written down.
Linux was tried with PulseAudio; Windows and macOS were not tried.
"""

from __future__ import annotations

import math
import os
import re
import threading
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.clock import Clock, SystemClock
from client.devices.portaudio import portaudio
from client.devices.ports import Level, SoundBlock
from client.errors import EnvironmentFault, SourceStalled
from client.language import said
from edge_models.types import Float32Array

_BLOCK_S = 0.1
_ONLY_ZEROS_S = 1.0
_FIRST_WITHIN_S = 5.0
"""PulseAudio takes up to 2 s to begin."""
_NEXT_WITHIN_S = 1.5
_LEAST_DBFS = -200.0
RATE_HZ, BLOCK = 16_000, 512
_SOUND_BLOCK_S = 0.02
_MOST_WAITING = 100
"""Blocks: 2 s."""
_LOOK_S = 0.1

_WASAPI = "Windows WASAPI"
"""Windows lists each device once for each of its four ways to sound; this one has whole names and shares devices."""
_ROUTES = {"pulse": "PulseAudio", "pipewire": "PipeWire"}
"""Of ALSA's names those that are no device and yet one to choose. The others (default, upmix …) only lead to these and to devices."""
_CARD = re.compile(r"[: -]*\(hw:\d+,\d+\)$")
"""ALSA's number of a card, another one after a replug or a restart."""
_DEVICE_UNAVAILABLE = -9985
"""PortAudio's paDeviceUnavailable: somebody else has it."""


@dataclass(frozen=True, slots=True)
class FoundMicrophone:
    """A microphone of this machine.

    id: way to sound and name, and a number where several are called the same; the same after a restart. name: for people.
    index: PortAudio's number, which holds until it is started again.
    """

    id: str
    name: str
    index: int


def microphones() -> tuple[FoundMicrophone, ...]:
    """Every microphone that is there now, in the system's order. Raises EnvironmentFault where they can't be listed."""
    with portaudio.asked() as library:
        portaudio.look_again(library)
        found = _found(library)
    if not found and may_not_listen():
        raise _why_none()
    return found


def _found(library: Any) -> tuple[FoundMicrophone, ...]:
    ways = [way["name"] for way in library.query_hostapis()]
    found, called = [], Counter[str]()
    for index, device in enumerate(library.query_devices()):
        way, name = ways[device["hostapi"]], device["name"]
        if device["max_input_channels"] < 1 or (_WASAPI in ways and way != _WASAPI):
            continue
        plain = _CARD.sub("", name)
        if way == "ALSA" and plain == name and name not in _ROUTES:
            continue
        kept = f"{way}: {plain}"
        called[kept] += 1
        number = f" #{called[kept]}" if called[kept] > 1 else ""
        found.append(FoundMicrophone(kept + number, _ROUTES.get(plain, plain) + number, index))
    own = _own(library)
    if not found and own is not None:  # of a sound system with names of its own
        found.append(FoundMicrophone(f"{ways[own['hostapi']]}: {own['name']}", own["name"], own["index"]))
    return tuple(found)


def _own(library: Any) -> dict[str, Any] | None:
    """What PortAudio says of the microphone that the system hands to whoever names none."""
    index = library.default.device[0]
    return library.query_devices(index) if index >= 0 else None


def may_not_listen(devices: Path = Path("/dev/snd")) -> bool:
    """Whether there are sound cards that record, and this account may use none of them (Linux)."""
    cards = list(devices.glob("pcmC*D*c"))
    return bool(cards) and not any(os.access(card, os.R_OK | os.W_OK) for card in cards)


def _why_none() -> EnvironmentFault:
    if may_not_listen():
        return EnvironmentFault(
            title=said("You may not use the microphone"),
            remedy=said(
                "Allow it: sudo usermod -aG audio {user}, then log in again.",
                user=os.environ.get("USER") or "$USER",
            ),
        )
    return EnvironmentFault(
        title=said("No microphone was found"),
        remedy=said("Plug one in, or switch it on, and try again."),
        retry=True,
    )


class Microphone:
    """How loud it is at a microphone. See client.devices.ports.LevelSource.

    wanted: the id of a FoundMicrophone, or "" for the one that the system hands to whoever names none.
    """

    def __init__(
        self,
        wanted: str = "",
        *,
        clock: Clock | None = None,
        block_s: float = _BLOCK_S,
        hears: Callable[[Float32Array, float], None] | None = None,
    ) -> None:
        """block_s: of sound that comes at once. hears: takes a copy of each block and when it came, in PortAudio's thread; must not wait."""
        self._wanted, self._block_s, self._hears = wanted, block_s, hears
        self._clock = clock or SystemClock()
        self._name = ""
        self._stream: Any = None
        self._opened_s: float | None = None
        self._closed = False
        self._rate = 0
        # Written in PortAudio's thread, each at once
        self._heard_s: float | None = None
        self._level: Level | None = None
        self._zeros = 0
        self._over = False

    def open(self) -> None:
        with portaudio.asked() as library:
            if self._closed:
                return
            portaudio.look_again(library)
            device = self._device(library)
            self._name, self._rate = device["name"], round(device["default_samplerate"])
            try:
                stream = library.InputStream(
                    device=device["index"],
                    channels=1,
                    dtype="float32",
                    samplerate=self._rate,
                    blocksize=round(self._block_s * self._rate),
                    callback=self._hear,
                    finished_callback=self._end,
                )
                try:
                    stream.start()
                except library.PortAudioError:
                    stream.close()
                    raise
            except library.PortAudioError as error:
                raise self._why_unusable(error) from error
            self._stream = stream
            portaudio.streams += 1
            self._opened_s = self._clock.now_s()

    @property
    def rate_hz(self) -> int:
        """Samples a second of what `hears` takes; 0 before it is open."""
        return self._rate

    @property
    def name(self) -> str:
        """For people; "" before it is open."""
        return self._name

    def _device(self, library: Any) -> dict[str, Any]:
        if not self._wanted:
            own = _own(library)
            if own is None:
                raise _why_none()
            return {**own, "name": said("The system's own microphone")}
        for one in _found(library):
            if one.id == self._wanted:
                return {**library.query_devices(one.index), "name": one.name}
        raise EnvironmentFault(
            title=said("{name} is not there", name=self._wanted.partition(": ")[2] or self._wanted),
            remedy=said("Plug it in, or choose another microphone."),
            retry=True,
        )

    def _why_unusable(self, error: Exception) -> EnvironmentFault:
        if error.args[1:2] == (_DEVICE_UNAVAILABLE,):
            return EnvironmentFault(
                title=said("{name} is used by another program", name=self._name),
                remedy=said(
                    "Close that program, or choose the system's own microphone, which can be shared."
                ),
                retry=True,
            )
        return EnvironmentFault(
            title=said("{name} can't be opened", name=self._name),
            remedy=said(
                "Allow this program to use the microphone in the system's privacy settings, close other programs "
                "that use it, then plug it in again."
            ),
            retry=True,
        )

    def level(self) -> Level | None:
        opened_s, heard_s = self._opened_s, self._heard_s
        if self._closed or opened_s is None:
            return None
        if self._over:
            raise EnvironmentFault(
                title=said("{name} was unplugged, or the sound system has stopped", name=self._name),
                remedy=said("Plug it in again, then try again."),
                retry=True,
            )
        last_s, limit_s = (opened_s, _FIRST_WITHIN_S) if heard_s is None else (heard_s, _NEXT_WITHIN_S)
        if self._clock.now_s() - last_s > limit_s:
            raise SourceStalled(
                title=said("{name} sends nothing", name=self._name),
                remedy=said("Plug it out and in again, or restart the sound system, then try again."),
                retry=True,
            )
        return self._level

    def close(self) -> None:
        self._closed = True
        with suppress(EnvironmentFault), portaudio.asked(patience_s=-1):
            stream, self._stream = self._stream, None
            if stream is not None:
                portaudio.streams -= 1
                stream.close()  # which says nothing of what fails

    def _hear(self, block: NDArray[np.float32], frames: int, _times: object, _flags: object) -> None:
        """In PortAudio's thread, for each block [shape=(frames, 1), full scale ±1]. Nothing of it is kept here."""
        samples = block[:, 0].astype(np.float64)
        self._zeros = 0 if samples.any() else self._zeros + frames
        power = float(np.dot(samples, samples)) / frames
        dbfs = 10.0 * math.log10(2.0 * power) if power > 0.0 else _LEAST_DBFS
        self._level = Level(max(_LEAST_DBFS, dbfs), self._zeros >= _ONLY_ZEROS_S * self._rate)
        self._heard_s = now_s = self._clock.now_s()
        if self._hears is not None:
            self._hears(block[:, 0].copy(), now_s)

    def _end(self) -> None:
        """In PortAudio's thread, when no block will come any more."""
        self._over = True


class MicrophoneSound:
    """What a microphone hears, in blocks of 32 ms at 16 kHz, whatever its own rate. See client.devices.ports.SoundSource.

    Whoever reads too slowly loses the oldest, never the newest; lost counts the seconds.
    """

    def __init__(self, wanted: str = "", *, clock: Clock | None = None) -> None:
        self._microphone = Microphone(wanted, clock=clock, block_s=_SOUND_BLOCK_S, hears=self._keep)
        self._waiting: deque[tuple[Float32Array, float]] = deque(maxlen=_MOST_WAITING)
        self._came = threading.Event()
        self._closed = False
        self._left: Float32Array = np.zeros(0, np.float32)
        self._until_s = 0.0
        self._resampler: Any = None
        self.lost_s = 0.0

    def open(self) -> str:
        import soxr

        self._microphone.open()
        if not self._closed:
            self._resampler = soxr.ResampleStream(self._microphone.rate_hz, RATE_HZ, 1, "float32", "HQ")
        return self._microphone.name

    def read(self) -> SoundBlock | None:
        while not self._closed:
            if len(self._left) >= BLOCK:
                block, self._left = self._left[:BLOCK], self._left[BLOCK:]
                return SoundBlock(block, self._until_s - len(self._left) / RATE_HZ)
            if self._waiting:
                try:
                    samples, self._until_s = self._waiting.popleft()
                except IndexError:  # it was closed meanwhile
                    continue
                self._left = np.concatenate((self._left, self._resampler.resample_chunk(samples)))
                continue
            self._came.clear()
            if not self._waiting and not self._came.wait(_LOOK_S):
                self._microphone.level()  # raises what is wrong
        return None

    def level(self) -> Level | None:
        try:
            return self._microphone.level()
        except EnvironmentFault:
            return None

    def close(self) -> None:
        self._closed = True
        self._came.set()
        self._microphone.close()
        self._waiting.clear()
        self._left = np.zeros(0, np.float32)

    def _keep(self, samples: Float32Array, now_s: float) -> None:
        if len(self._waiting) == _MOST_WAITING:
            self.lost_s += _SOUND_BLOCK_S
        self._waiting.append((samples, now_s))
        self._came.set()
