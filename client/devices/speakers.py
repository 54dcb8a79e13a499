"""A loudspeaker: plays what it is given at once, falls silent at once, and tells what it plays, so that a microphone can tell it from people.

The stream runs as long as it is open, with silence where there is nothing to say: only so does an echo always come after the same time.
Linux was tried with PulseAudio; Windows and macOS were not tried.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
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
_MOST_LEFT = 100
"""Blocks that wait to be asked for: 2 s, as many as wait at a microphone."""
_SEEN = 64
"""Blocks of the microphone that are looked back on: more than wait at one whose reader was held up, so that this alone moves nothing."""
_LATE_S, _EARLY_S = 0.06, 0.1
"""What is told is moved where for all of them it was so much too late, or so much earlier than it has to be."""
_PEEKS = 160
"""At least so many samples are taken from what is still to be played: a resampler wants more than it gives."""


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
        self._ahead = 0
        """Frames that were told before the device has asked for them."""
        self._spare: deque[int] = deque(maxlen=_SEEN)
        self._torn = self._slipped = False
        self._over = False
        self.moves = 0
        """How often what is told was moved against what is heard, or may have been."""

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
            silence = self._ahead - sum(map(len, self._left)) - sum(map(len, self._pending))
            if self._flows and silence > 0:  # it was told that nothing is heard now, and so it is
                self._pending.append(np.zeros(silence, np.float32))
            self._pending.append(np.asarray(whole, np.float32))

    def played(self, n: int) -> Float32Array:
        """See SoundSink.played. n = 0: a microphone begins or ends, and what was played before is not heard there.

        What is told with the newest sound of a microphone is no older than what the device has just asked for: so it is never told later than it
        is heard, whoever of them was held up. Where the device asks late, what it will get is known, and told before.
        """
        if n == 0 or self._torn:
            self._begin_anew(keeps_waiting=n > 0)
        self._take_over()
        if not self._flows:
            if n == 0 or len(self._played) < n:
                return np.zeros(n, np.float32)
            self._played, self._flows = self._played[-n:], True
        if self._slipped:  # it may have thrown away much that it had asked for, at once
            self._slipped = False
            self._played = self._played[-n:]
            self._spare.clear()
        self._stay_beside(n)
        while len(self._played) < n:
            self._peek(max(_PEEKS, n - len(self._played)))
        found, self._played = self._played[:n], self._played[n:]
        return found

    def _begin_anew(self, *, keeps_waiting: bool) -> None:
        with self._lock:
            if not keeps_waiting:
                self._left.clear()
            self._torn, self._ahead = False, 0
        self._played, self._flows = np.zeros(0, np.float32), False
        self._spare.clear()
        self.moves += 1

    def _take_over(self) -> None:
        """What the device has asked for since."""
        with self._lock:
            blocks = list(self._left)
            self._left.clear()
            for at, block in enumerate(blocks):
                told = min(self._ahead, len(block))
                self._ahead -= told
                blocks[at] = block[told:]
        self._tell(blocks)

    def _peek(self, n: int) -> None:
        """What the device will get next."""
        wanted = -(-n * self._rate // RATE_HZ)
        found = np.zeros(wanted, np.float32)
        with self._lock:
            at = sum(map(len, self._left)) - self._ahead
            for piece in (*self._left, *self._pending):
                first, last = max(at, 0), min(at + len(piece), wanted)
                if first < last:
                    found[first:last] = piece[first - at : last - at]
                at += len(piece)
            self._ahead += wanted
        self._tell([found])

    def _tell(self, blocks: Sequence[Float32Array]) -> None:
        pieces = [self._resampler.resample_chunk(block) for block in blocks if len(block)]
        self._played = np.concatenate((self._played, *pieces))

    def _stay_beside(self, n: int) -> None:
        """A microphone that loses sound, a device that had none in time, and two clocks that differ move what is told against what is heard."""
        self._spare.append(len(self._played) - self._ahead * RATE_HZ // self._rate - n)
        if len(self._spare) < _SEEN:
            return
        least, most = min(self._spare), max(self._spare)
        if least > _LATE_S * RATE_HZ:
            self._played = self._played[least:]
        elif most < -_EARLY_S * RATE_HZ:
            self._played = np.concatenate((np.zeros(-most, np.float32), self._played))
        else:
            return
        self._spare.clear()
        self.moves += 1

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

    def _speak(self, block: NDArray[np.float32], frames: int, _times: object, flags: Any) -> None:
        """In PortAudio's thread: fills a block [shape=(frames, 1)] that is to be played."""
        if (
            flags is not None and flags.output_underflow
        ):  # what follows is heard after another time than before
            self.moves += 1
            self._slipped = True
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
            self._left.append(out)
            if len(self._left) > _MOST_LEFT:  # nobody listens
                self._left.popleft()
                self._torn = True
        block[:, 0] = out

    def _end(self) -> None:
        """In PortAudio's thread, when nothing is played any more."""
        self._over = True
        with self._lock:
            self._pending.clear()
