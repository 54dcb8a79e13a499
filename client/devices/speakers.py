"""A loudspeaker: plays what it is given at once, falls silent at once, and tells what it plays, so that a microphone can tell it from people.

The stream runs as long as it is open, with silence where there is nothing to say: only so does an echo always come after the same time.
Linux was tried with PulseAudio; Windows and macOS were not tried.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.devices.portaudio import portaudio
from client.errors import EnvironmentFault
from client.language import said
from edge_models.types import Float32Array

RATE_HZ = 16_000
_BLOCK_S = 0.02
_FADE_S = 0.005
_CUSHION_S = 0.04
"""So much of what was played waits to be asked for: blocks of loudspeaker and microphone come unevenly."""
_LATE_S = 0.25
_HOLES_STAY, _MOST_HOLES = 0.97, 4.0
_MOST_LEFT = 100
"""Blocks that wait to be asked for: 2 s."""


class Loudspeaker:
    """The one that the system hands to whoever names none. See client.devices.ports.SoundSink."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stream: Any = None
        self._rate = 0
        self._pending: deque[Float32Array] = deque()
        self._left: deque[Float32Array] = deque()
        self._resampler: Any = None
        self._played: Float32Array = np.zeros(0, np.float32)
        self._flows = False
        self._owed = 0
        self._holes = 0.0
        self._over = False

    def open(self) -> str:
        import soxr

        with portaudio.asked() as library:
            portaudio.look_again(library)
            index = library.default.device[1]
            if index < 0:
                raise EnvironmentFault(
                    title=said("No loudspeaker was found"),
                    remedy=said("Plug one in, or switch it on. Until then answers are only shown."),
                    retry=True,
                )
            device = library.query_devices(index)
            self._rate = round(device["default_samplerate"])
            try:
                stream = library.OutputStream(
                    device=index,
                    channels=1,
                    dtype="float32",
                    samplerate=self._rate,
                    blocksize=round(_BLOCK_S * self._rate),
                    latency="low",
                    callback=self._speak,
                    finished_callback=self._end,
                )
                try:
                    stream.start()
                except library.PortAudioError:
                    stream.close()
                    raise
            except library.PortAudioError as error:
                raise EnvironmentFault(
                    title=said("{name} can't be opened", name=device["name"]),
                    remedy=said(
                        "Close other programs that use it, then try again. Until then answers are only shown."
                    ),
                    retry=True,
                ) from error
            self._stream = stream
            portaudio.streams += 1
        self._resampler = soxr.ResampleStream(self._rate, RATE_HZ, 1, "float32", "HQ")
        return str(device["name"])

    def play(self, samples: Float32Array, rate_hz: int) -> None:
        import soxr

        if self._over:
            raise EnvironmentFault(
                title=said("The loudspeaker was unplugged, or the sound system has stopped"),
                remedy=said("Plug it in again. Until then answers are only shown."),
                retry=True,
            )
        whole = np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0).clip(-1.0, 1.0)
        if rate_hz != self._rate:
            whole = soxr.resample(whole, rate_hz, self._rate, "HQ")
        with self._lock:
            self._pending.append(np.asarray(whole, np.float32))

    def played(self, n: int) -> Float32Array:
        while self._left:
            piece = self._resampler.resample_chunk(self._left.popleft())
            self._played = np.concatenate((self._played, piece))
        cushion = round(_CUSHION_S * RATE_HZ)
        late = min(self._owed, len(self._played))
        self._played, self._owed = self._played[late:], self._owed - late
        if not self._flows or len(self._played) > n + round(_LATE_S * RATE_HZ):
            self._played = self._played[-n - cushion :]
            self._flows, self._owed, self._holes = len(self._played) >= n + cushion, 0, 0.0
        if not self._flows:
            return np.zeros(n, np.float32)
        found, self._played = self._played[:n], self._played[n:]
        # What is not there yet is left out for good: an echo comes after the same time only if nothing is moved. Where the cushion is used
        # up for good (two devices have two clocks), another one is made.
        lacks = n - len(found)
        self._owed += lacks
        self._holes = _HOLES_STAY * self._holes + (lacks > 0)
        self._flows = self._holes < _MOST_HOLES
        return np.concatenate((found, np.zeros(lacks, np.float32)))

    @property
    def waiting_s(self) -> float:
        with self._lock:
            samples = sum(map(len, self._pending))
        return samples / self._rate if self._rate else 0.0

    def stop(self) -> None:
        with self._lock:
            first = self._pending[0] if self._pending else None
            self._pending.clear()
            if first is not None:  # a sudden end would crack
                end = first[: max(1, round(_FADE_S * self._rate))]
                self._pending.append(end * np.linspace(1.0, 0.0, len(end), dtype=np.float32))

    def close(self) -> None:
        with self._lock:
            self._pending.clear()
        with suppress(EnvironmentFault), portaudio.asked(patience_s=-1):
            stream, self._stream = self._stream, None
            if stream is not None:
                portaudio.streams -= 1
                stream.close()

    def _speak(self, block: NDArray[np.float32], frames: int, _times: object, _flags: object) -> None:
        """In PortAudio's thread: fills a block [shape=(frames, 1)] that is to be played."""
        out = np.zeros(frames, np.float32)
        at = 0
        with self._lock:
            while at < frames and self._pending:
                piece = self._pending.popleft()
                used = piece[: frames - at]
                out[at : at + len(used)] = used
                at += len(used)
                if len(used) < len(piece):
                    self._pending.appendleft(piece[len(used) :])
        block[:, 0] = out
        self._left.append(out)
        if len(self._left) > _MOST_LEFT:  # nobody listens
            self._left.popleft()

    def _end(self) -> None:
        """In PortAudio's thread, when nothing is played any more."""
        self._over = True
        with self._lock:
            self._pending.clear()
