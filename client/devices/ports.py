"""What the pipeline needs of sources of frames and sound, of a loudspeaker, a voice and a recogniser; the window of a microphone; and the
benchmark of a writer of clips.

Every source of frames passes tests/contract/test_frame_source.py, every source of sound test_sound_source.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from client.language import Sentence
from edge_models.types import Float32Array, Frame, Reason


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What an opened source says about itself.

    name: shown to the person and put in the JSON (`source`); never a path with folders, never credentials.
    live: frames come at their own pace and may be dropped; otherwise none may be lost.
    simulated: no person was in front of a camera.
    header_fps: what the container or the driver claims, frames per second; None where it claims nothing.
    width_px, height_px: of the frames delivered.
    warnings: reasons to distrust the source itself, known so far (a file's may grow until its end).
    notes: for the person (exposure could not be locked, header's frame rate is wrong …).
    """

    name: str
    live: bool
    simulated: bool
    header_fps: float | None
    width_px: int
    height_px: int
    warnings: tuple[Reason, ...] = ()
    notes: tuple[Sentence, ...] = ()


class FrameSource(Protocol):
    """open → read … read → close; one thread at a time; close is safe at any moment, and twice."""

    def open(self) -> SourceFacts:
        """Start, and wait for a first frame that is not black (or, for a file, that decodes).

        Raises BadInput or EnvironmentFault with a remedy. Nothing stays open after a failure.
        """

    def read(self) -> Frame | None:
        """The next frame, or None at the end of a source that ends.

        Raises SourceStalled when nothing has come for `stall_s` (1.5 s): the caller may call again.
        """

    def facts(self) -> SourceFacts:
        """The facts as they stand now; warnings and notes may have grown while reading."""

    def close(self) -> None:
        """Release the device. Never raises."""


@dataclass(frozen=True, slots=True)
class Level:
    """How loud it is at a microphone.

    dbfs: root mean square of the newest tenth of a second, dB; a sine of full scale has 0 (AES17). −200 at the least.
    only_zeros: for a second or longer every sample was exactly zero. No room is so quiet; something keeps the sound back.
    """

    dbfs: float
    only_zeros: bool


class LevelSource(Protocol):
    """open → level … → close, once. Only open and close wait for the device, each for as long as its driver likes."""

    def open(self) -> None:
        """Start to listen.

        Raises EnvironmentFault with a remedy. Nothing stays open after a failure. After close it does nothing.
        """

    def level(self) -> Level | None:
        """The newest, or None before the first. Does not wait.

        Raises SourceStalled when nothing has come for a while: it may come yet; EnvironmentFault when nothing will come any more.
        """

    def close(self) -> None:
        """Let go of the device. Never raises; safe at any time, and twice. After it, level gives None."""


@dataclass(frozen=True, slots=True)
class SoundBlock:
    """32 ms of sound. samples: float32 [shape=(512,)], 16 kHz, one channel, full scale ±1. t_s: when the last of them was recorded."""

    samples: Float32Array = field(repr=False)
    t_s: float


class SoundSource(Protocol):
    """A microphone, or what stands for one: open → read … read → close, by one thread; close is safe at any moment, and twice."""

    def open(self) -> str:
        """Start to listen; the name of the device, for people. Raises EnvironmentFault with a remedy; nothing stays open then."""

    def read(self) -> SoundBlock | None:
        """The next block, or None at the end of a source that ends, and after close.

        Raises SourceStalled when nothing has come for a while: the caller may call again; EnvironmentFault when nothing will come any more.
        """

    def level(self) -> Level | None:
        """The newest, or None before the first. Does not wait and does not raise."""

    def close(self) -> None:
        """Let go of the device: nothing is heard after it. Never raises."""


class SoundSink(Protocol):
    """A loudspeaker. For one thread, apart from stop, which may come from any."""

    def open(self) -> str:
        """Its name, for people. Raises EnvironmentFault with a remedy; nothing stays open then."""

    def play(self, samples: Float32Array, rate_hz: int) -> None:
        """Appended to what is still to be heard [shape=(n,), one channel, full scale ±1]; returns at once."""

    def played(self, n: int) -> Float32Array:
        """The next n samples of what leaves for the device, at 16 kHz, silence included: what an echo is made of.

        Asked for with each block of a microphone, it is one unbroken stream beside that; whoever asks late is brought up to now.
        n = 0: a microphone begins or ends; the stream begins anew with what leaves from now on, and nothing of before is told.
        """

    @property
    def moves(self) -> int:
        """Grows whenever that stream may be heard after another time than before: where it began anew, or was moved, or the device had no sound."""

    @property
    def waiting_s(self) -> float:
        """How long what was given takes to be heard yet; 0 while it is silent."""

    def stop(self) -> None:
        """Nothing more leaves after 20 ms; what is still to be heard is thrown away."""

    def close(self) -> None:
        """Let go of the device. Never raises; safe twice."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """A sentence as sound. samples: float32 [shape=(n,)], one channel, full scale ±1."""

    samples: Float32Array = field(repr=False)
    rate_hz: int


@dataclass(frozen=True, slots=True)
class Manner:
    """How somebody wants to be read to. voice: one of this system by its identifier, where it speaks the language; "": its own choice.

    rate_percent: see Voice.synthesize.
    """

    voice: str = ""
    rate_percent: int = 100


class Voice(Protocol):
    """Makes sound of text, a sentence at a time. Of the system, or of the clinic's cloud."""

    @property
    def name(self) -> str:
        """For people."""

    def speaks(self, language: str) -> bool:
        """Whether it can read this language ("es"). Does not wait."""

    def synthesize(self, text: str, language: str, rate_percent: int) -> Spoken:
        """rate_percent: 50 to 200, of its usual speed. Raises EnvironmentFault or another HealthHelperError with a remedy."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """What somebody said. confidence: 0 to 1; None: the recogniser does not say."""

    text: str = field(repr=False)
    language: str
    confidence: float | None


class Recognition(Protocol):
    """One utterance on its way to be text."""

    def push(self, samples: Float32Array) -> None:
        """More of it [shape=(n,), 16 kHz, full scale ±1]. Does not wait; trouble comes with finish."""

    def partial(self) -> str:
        """What is understood so far; it may change. Does not wait."""

    def finish(self) -> Transcript:
        """Nothing more comes: the text, within 3 s. Raises a HealthHelperError with a remedy."""

    def cancel(self) -> None:
        """Nobody wants it any more. Never raises."""


class Recogniser(Protocol):
    """Makes text of speech."""

    @property
    def name(self) -> str:
        """For people."""

    def ready(self, language: str) -> bool:
        """Whether it can be asked now, in this language. Does not wait."""

    def begin(self, language: str) -> Recognition:
        """An utterance begins. Does not wait."""


class Codec(StrEnum):
    """How a simulated clip is compressed."""

    H264 = "H.264"
    MPEG4 = "MPEG-4"
    MJPEG = "MJPEG"


@dataclass(frozen=True, slots=True)
class Compression:
    """level: of H.264 its constant rate factor (18 nearly lossless, 40 coarse); else the quantiser (2 best, 31 worst)."""

    codec: Codec
    level: float
