"""What the pipeline needs of a source of frames, the window of a microphone, and the benchmark of a writer of clips.

Every source passes tests/contract/test_frame_source.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from client.language import Sentence
from edge_models.types import Frame, Reason


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
