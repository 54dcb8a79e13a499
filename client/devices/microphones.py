"""Which microphones there are, under names that can be kept, and how loud it is at one of them. PortAudio, and nothing else of ours, is here.

Listing asks every device what it can do and records nothing. Of what an opened one hears only a number is kept, the newest.
Linux was tried with PulseAudio; Windows and macOS were not tried.
"""

from __future__ import annotations

import atexit
import math
import os
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client import config
from client.clock import Clock, SystemClock
from client.devices.ports import Level
from client.errors import EnvironmentFault, SourceStalled
from client.language import said

_BLOCK_S = 0.1
_ONLY_ZEROS_S = 1.0
_FIRST_WITHIN_S = 5.0
"""PulseAudio takes up to 2 s to begin."""
_NEXT_WITHIN_S = 1.5
_ANSWERS_WITHIN_S = 5.0
_LEAST_DBFS = -200.0

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


class _PortAudio:
    """The library, for one thread at a time: it is made for no more. streams: of ours that are open."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.streams = 0

    @contextmanager
    def asked(self, patience_s: float = _ANSWERS_WITHIN_S) -> Iterator[Any]:
        """The module sounddevice, while nobody else is in it. Loaded here first, for it looks at all devices when it is.

        patience_s: how long to wait for others; −1 as long as it takes. Raises EnvironmentFault.
        """
        if not self._lock.acquire(timeout=patience_s):
            raise EnvironmentFault(
                title=said("The sound system does not answer"),
                remedy=said("Restart it, or this computer, then try again."),
                retry=True,
            )
        try:
            library = _library()
            try:
                yield library
            except library.PortAudioError as error:
                raise _unusable() from error
        finally:
            self._lock.release()

    def look_again(self, library: Any) -> None:
        """PortAudio lists devices when it starts, so it is started again. Not while it is in use: that would end it."""
        if self.streams:
            return
        if library._initialized:  # noqa: SLF001 (sounddevice has no other way to list anew)
            library._terminate()  # noqa: SLF001
        library._initialize()  # noqa: SLF001


_portaudio = _PortAudio()


def _library() -> Any:
    try:
        import sounddevice
    except ImportError as error:
        raise EnvironmentFault(
            title=said("The library sounddevice can't be loaded"), remedy=config.repair()
        ) from error
    except OSError as error:  # the wheel for Linux comes without PortAudio
        raise EnvironmentFault(
            title=said("The library PortAudio is missing"),
            remedy=said(
                "Install it (under Debian and Ubuntu: sudo apt-get install libportaudio2), then try again."
            ),
            retry=True,
        ) from error
    except Exception as error:  # (PortAudioError, of a module that is not there now)
        raise _unusable() from error
    # Its last words to the devices would keep the program from ending where the sound system hangs.
    atexit.unregister(sounddevice._exit_handler)  # noqa: SLF001
    return sounddevice


def _unusable() -> EnvironmentFault:
    return EnvironmentFault(
        title=said("The sound system can't be used"),
        remedy=said("Restart it, or this computer, then try again."),
        retry=True,
    )


def microphones() -> tuple[FoundMicrophone, ...]:
    """Every microphone that is there now, in the system's order. Raises EnvironmentFault where they can't be listed."""
    with _portaudio.asked() as library:
        _portaudio.look_again(library)
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

    def __init__(self, wanted: str = "", *, clock: Clock | None = None) -> None:
        self._wanted = wanted
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
        with _portaudio.asked() as library:
            if self._closed:
                return
            _portaudio.look_again(library)
            device = self._device(library)
            self._name, self._rate = device["name"], round(device["default_samplerate"])
            try:
                stream = library.InputStream(
                    device=device["index"],
                    channels=1,
                    dtype="float32",
                    samplerate=self._rate,
                    blocksize=round(_BLOCK_S * self._rate),
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
            _portaudio.streams += 1
            self._opened_s = self._clock.now_s()

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
        with suppress(EnvironmentFault), _portaudio.asked(patience_s=-1):
            stream, self._stream = self._stream, None
            if stream is not None:
                _portaudio.streams -= 1
                stream.close()  # which says nothing of what fails

    def _hear(self, block: NDArray[np.float32], frames: int, _times: object, _flags: object) -> None:
        """In PortAudio's thread, for each block [shape=(frames, 1), full scale ±1]. The block is not kept."""
        samples = block[:, 0].astype(np.float64)
        self._zeros = 0 if samples.any() else self._zeros + frames
        power = float(np.dot(samples, samples)) / frames
        dbfs = 10.0 * math.log10(2.0 * power) if power > 0.0 else _LEAST_DBFS
        self._level = Level(max(_LEAST_DBFS, dbfs), self._zeros >= _ONLY_ZEROS_S * self._rate)
        self._heard_s = self._clock.now_s()

    def _end(self) -> None:
        """In PortAudio's thread, when no block will come any more."""
        self._over = True
