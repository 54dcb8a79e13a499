"""A video file, replayed with the times that its own container gives to every frame."""

from __future__ import annotations

import math
import os
import stat
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from client.devices import mp4
from client.devices.opencv import MAX_PIXELS, MIN_SIDE_PX, prepare_opencv, sealed
from client.devices.ports import SourceFacts
from client.errors import BadInput
from client.language import Sentence, marked, said
from edge_models.types import Frame, Reason

if TYPE_CHECKING:
    import cv2

    from edge_models.types import ByteArray

_DISAGREE = 0.02
"""Relative difference from which two statements about the same rate or count contradict each other."""
_MIN_FRAMES_TO_JUDGE = 30
_COPY_SHARE = 0.1
"""Share of copied pictures from which it is said (25 pictures per second shown as 30: 0.17)."""
_COMPARED_LINES = 40
_DECODER_THREADS = 4
"""FFmpeg keeps some pictures per thread: at 4K, one thread per core of a large machine is a gigabyte."""
_ONE_THREAD_PIXELS = 600_000
"""Up to here one thread decodes faster than frames can be measured; several spend a quarter more, on handing over."""
_FIRST_BYTES = 4096
_LONGEST_GAP_S = 60.0
"""A longer step between two frames is no pause but another clock: recorders write a new file, or end."""

_NOT_VIDEO = {
    b"\x89PNG": marked("a still picture (PNG)"),
    b"\xff\xd8\xff": marked("a still picture (JPEG)"),
    b"%PDF": marked("a PDF document"),
    b"PK\x03\x04": marked("a ZIP archive or an office document"),
    b"ID3": marked("sound only (MP3)"),
    b"fLaC": marked("sound only (FLAC)"),
    b"OggS": marked("an Ogg file, most likely sound only"),
}
_ASK_FOR_ANOTHER = marked("Give a video file that a media player can play, for example an MP4 of your phone.")


class VideoFile:
    """`FrameSource` over a file that OpenCV's FFmpeg can decode. Every frame comes, as fast as it is read.

    Times are the container's presentation times in seconds, variable rate included; they are never computed
    from a frame's index. Frames whose time is missing or does not increase get one that does, and the facts
    then distrust the file (Reason.FRAME_RATE_UNTRUSTED). Pictures come upright (rotation metadata applied).
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()  # release() during a read() crashes OpenCV
        self._capture: cv2.VideoCapture | None = None
        self._opened = False
        self._waiting: Frame | None = None
        self._header_fps: float | None = None
        self._header_frames: int | None = None
        self._size_px = (0, 0)
        self._kind = _Container(name="", bytes_missing=0)
        self._times = _ContainerTimes(None)
        self._copies = _Copies()
        self._ended = False

    def open(self) -> SourceFacts:
        """Check the file, decode its first frame. Raises BadInput with what is wrong and what to do."""
        self._kind = _look_at(self._path)
        prepare_opencv()

        with self._lock:
            self._capture = _decoder(self._path, threads=1)
            try:
                pixels = _pixels(self._capture)
                if _ONE_THREAD_PIXELS < pixels <= MAX_PIXELS:
                    self._capture.release()
                    threads = min(_DECODER_THREADS, os.cpu_count() or 1)
                    self._capture = _decoder(self._path, threads=threads)
                self._begin(self._capture)
            except BadInput:
                self._release()
                raise
            self._opened = True
        return self.facts()

    def _begin(self, capture: cv2.VideoCapture) -> None:
        import cv2

        name = _shown_name(self._path)
        if not capture.isOpened():
            if self._kind.sound_only:
                raise BadInput(
                    title=said("{name} holds sound but no picture", name=name), remedy=said(_ASK_FOR_ANOTHER)
                )
            if self._kind.bytes_missing:
                raise BadInput(
                    title=said("{name} breaks off before anything in it can be decoded", name=name),
                    remedy=said("Copy or record the file again; it was not written to its end."),
                )
            raise BadInput(
                title=said("{name} is not a video that can be decoded", name=name),
                remedy=said(_ASK_FOR_ANOTHER),
            )
        if _pixels(capture) > MAX_PIXELS:
            width, height = capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
            raise BadInput(
                title=said(
                    "{name} has pictures of {width}×{height} pixels, more than can be handled",
                    name=name,
                    width=f"{width:.0f}",
                    height=f"{height:.0f}",
                ),
                remedy=said("Scale the video down to 4K or less; a face needs only a few hundred pixels."),
            )
        # Asked for explicitly: a phone held upright writes its pictures lying and says so in the metadata.
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        self._header_fps = _plausible_rate(capture.get(cv2.CAP_PROP_FPS))
        frames = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self._header_frames = int(frames) if math.isfinite(frames) and frames > 0 else None
        self._times = _ContainerTimes(self._header_fps)
        self._waiting = self._decode(capture)
        if self._waiting is None:
            raise BadInput(
                title=said("{name} holds no frame that can be decoded", name=name),
                remedy=said("Copy or record the file again, or convert it to H.264 in an MP4."),
            )
        self._size_px = self._waiting.image.shape[1], self._waiting.image.shape[0]
        if min(self._size_px) < MIN_SIDE_PX:
            raise BadInput(
                title=said(
                    "{name} has pictures of {width}×{height} pixels, too small for a face",
                    name=name,
                    width=self._size_px[0],
                    height=self._size_px[1],
                ),
                remedy=said("Give a larger video; a face needs some hundred pixels."),
            )

    def read(self) -> Frame | None:
        """The next frame in the order of showing; None after the last, and after close."""
        with self._lock:
            if not self._opened:
                raise RuntimeError("read before open")
            if self._capture is None:
                return None
            frame, self._waiting = self._waiting, None
            if frame is None:
                frame = self._decode(self._capture)
            if frame is None:
                self._ended = True
            else:
                self._copies.look(frame.image)
            return frame

    def _decode(self, capture: cv2.VideoCapture) -> Frame | None:
        import cv2

        decoded, image = capture.read()
        if not decoded:
            return None
        t_s = self._times.next(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
        if t_s is None:
            raise BadInput(
                title=said(
                    "{name} says nothing about when its frames were taken", name=_shown_name(self._path)
                ),
                remedy=said(
                    "Record again with a program that stores times, or convert the file to MP4 or Matroska."
                ),
            )
        return Frame(sealed(image), t_s)  # type: ignore[arg-type]

    def facts(self) -> SourceFacts:
        """What is known now; what the frames contradict is added as they are read."""
        counted = self._count_contradictions() if self._ended and not self._kind.bytes_missing else []
        # What the header says against itself is known before the first frame; the end may know it better.
        distrust = [*self._times.contradictions(), *(counted or self._kind.contradictions)]
        # A wrong rate in the header and copied frames leave the frames' own times right: said, not held against it.
        notes = [*distrust, *self._rate_contradictions()]
        copies = self._copies.share()
        if copies >= _COPY_SHARE and self._times.mean_fps is not None:
            taken_fps, mean_fps = self._times.mean_fps * (1 - copies), self._times.mean_fps
            notes.append(
                Sentence(
                    marked(
                        "{percent} % of the frames are copies of the one before: pictures were taken about {taken} times per "
                        "second, not {rate}."
                    ),
                    {
                        "percent": f"{100 * copies:.0f}",
                        "taken": f"{taken_fps:.1f}",
                        "rate": f"{mean_fps:.1f}",
                    },
                )
            )
        if self._kind.bytes_missing:
            notes.append(
                Sentence(
                    marked(
                        "The file breaks off ({count} bytes are missing): only what is there is measured."
                    ),
                    {"count": self._kind.bytes_missing},
                )
            )
        if self._kind.name == "avi":
            notes.append(
                Sentence(
                    marked("An AVI file stores no time per frame: times follow the one rate in its header.")
                )
            )
        return SourceFacts(
            name=_shown_name(self._path),
            live=False,
            simulated=False,
            header_fps=self._header_fps,
            width_px=self._size_px[0],
            height_px=self._size_px[1],
            warnings=(Reason.FRAME_RATE_UNTRUSTED,) if distrust else (),
            notes=tuple(notes),
        )

    def _rate_contradictions(self) -> list[Sentence]:
        header, mean, usual = self._header_fps, self._times.mean_fps, self._times.usual_fps
        if header is None or mean is None or usual is None or self._times.count < _MIN_FRAMES_TO_JUDGE:
            return []
        # A header may honestly name either: the average, or the rate aimed at that dim light then slowed.
        if min(abs(mean / header - 1), abs(usual / header - 1)) <= _DISAGREE:
            return []
        words = marked(
            "The header says {header} frames per second, the times of the frames say {mean}; the times are used."
        )
        return [Sentence(words, {"header": f"{header:.2f}", "mean": f"{mean:.2f}"})]

    def _count_contradictions(self) -> list[Sentence]:
        # Matroska has no count of frames: FFmpeg computes one from the header's rate, which proves nothing.
        listed, shown = self._header_frames, self._times.count
        if listed is None or self._kind.name == "matroska" or abs(shown / listed - 1) <= _DISAGREE:
            return []
        fewer = marked(
            "The header lists {listed} frames, {shown} can be shown ({percent} % fewer): the file was cut or re-timed after "
            "it was recorded, so the frame rate in its header cannot be trusted."
        )
        more = marked(
            "The header lists {listed} frames, {shown} can be shown ({percent} % more): the file was cut or re-timed after "
            "it was recorded, so the frame rate in its header cannot be trusted."
        )
        percent = f"{100 * abs(shown / listed - 1):.1f}"
        return [
            Sentence(
                fewer if shown < listed else more, {"listed": listed, "shown": shown, "percent": percent}
            )
        ]

    def close(self) -> None:
        """Release the decoder and the file."""
        with self._lock:
            self._release()

    def _release(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None
        self._waiting = None
        self._copies.forget_picture()


class _ContainerTimes:
    """Turns a container's presentation times into strictly increasing ones, and remembers every repair."""

    def __init__(self, header_fps: float | None) -> None:
        self._header_fps = header_fps
        self._steps_s: list[float] = []
        self._first_s = 0.0
        self._last_s: float | None = None
        self._last_given_s = 0.0
        self._shift_s = 0.0
        self._repeated = 0
        self._backward = 0
        self._forward = 0
        self.count = 0

    def next(self, given_s: float) -> float | None:
        """The frame's time in seconds, or None where neither times nor a rate are known."""
        given = given_s if math.isfinite(given_s) else self._last_given_s
        if self._last_s is None:
            self._first_s = self._last_s = self._last_given_s = given
            self.count = 1
            return given
        jumps = given - self._last_given_s > _LONGEST_GAP_S
        if not jumps and given > self._last_given_s and given + self._shift_s > self._last_s:
            t_s = given + self._shift_s
            self._steps_s.append(t_s - self._last_s)
        else:
            step_s = (
                float(np.median(self._steps_s))
                if self._steps_s
                else 1 / self._header_fps
                if self._header_fps
                else None
            )
            if step_s is None:
                return None
            t_s = self._last_s + step_s
            if jumps or given < self._last_given_s:
                self._forward += jumps
                self._backward += not jumps
                self._shift_s = t_s - given  # another clock: go on from here at its own pace
            else:
                self._repeated += 1
        self._last_given_s, self._last_s = given, t_s
        self.count += 1
        return t_s

    @property
    def mean_fps(self) -> float | None:
        """Frames per second over everything read so far."""
        if self._last_s is None or self._last_s <= self._first_s:
            return None
        return (self.count - 1) / (self._last_s - self._first_s)

    @property
    def usual_fps(self) -> float | None:
        """The rate of the usual step: gaps left out, and containers that round to milliseconds averaged."""
        if not self._steps_s:
            return None
        steps_s = np.sort(self._steps_s)
        median_s = steps_s[(len(steps_s) - 1) // 2]  # one that occurs, where two rates share the file
        return 1 / float(steps_s[np.abs(steps_s - median_s) < 0.25 * median_s].mean())

    def contradictions(self) -> list[Sentence]:
        """About times that had to be repaired."""
        found = []
        if self._repeated:
            words = marked(
                "{count} of {all} frames carry no time of their own; the usual distance between frames was put in."
            )
            found.append(Sentence(words, {"count": self._repeated, "all": self.count}))
        if self._backward:
            words = marked("The times in the file jump back ({count} ×); they were joined end to end.")
            found.append(Sentence(words, {"count": self._backward}))
        if self._forward:
            words = marked(
                "The times in the file jump ahead by more than {seconds} s ({count} ×); they were joined end to end."
            )
            found.append(Sentence(words, {"seconds": f"{_LONGEST_GAP_S:g}", "count": self._forward}))
        return found


class _Copies:
    """How many pictures are copies of the one before, seen on some of their lines.

    A copy differs from its predecessor far less than the file's other neighbours differ from each other
    (not at all, or by what a second encoding left). A still photograph, in which nothing differs, says nothing.
    """

    def __init__(self) -> None:
        self._last: ByteArray | None = None
        self._differences: list[float] = []

    def look(self, image: ByteArray) -> None:
        import cv2

        last, self._last = self._last, image
        if last is not None and last.shape == image.shape:
            step = max(1, len(image) // _COMPARED_LINES)
            lines = image[::step]
            self._differences.append(float(cv2.norm(lines, last[::step], cv2.NORM_L1)) / lines.size)

    def forget_picture(self) -> None:
        """Let go of the last picture; the counts stay."""
        self._last = None

    def share(self) -> float:
        """Copies / pairs of neighbours, in [0, 1]; 0 where too few were seen."""
        if len(self._differences) < _MIN_FRAMES_TO_JUDGE:
            return 0.0
        differences = np.asarray(self._differences)
        lively = float(np.percentile(differences, 90))
        if lively < 0.2:  # grey levels: less is a still picture, in which a copy cannot be told
            return 0.0
        return float(np.mean(differences < 0.05 * lively))


@dataclass(frozen=True, slots=True)
class _Container:
    """What the first bytes of a file tell.

    name: "mp4", "matroska", "avi" or "". bytes_missing: how far the file ends before its own statement of
    length. sound_only: its table of contents names sound and no picture. contradictions: why the frame rate
    that it states cannot be trusted.
    """

    name: str
    bytes_missing: int
    sound_only: bool = False
    contradictions: tuple[Sentence, ...] = ()


def _decoder(path: Path, *, threads: int) -> cv2.VideoCapture:
    import cv2

    return cv2.VideoCapture(_name_for_decoder(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, threads])


def _pixels(capture: cv2.VideoCapture) -> float:
    """Of one picture, as the header says; 0 where nothing could be opened."""
    import cv2

    return capture.get(cv2.CAP_PROP_FRAME_WIDTH) * capture.get(cv2.CAP_PROP_FRAME_HEIGHT)


def _shown_name(path: Path) -> str:
    """The file's name without folders; letters that no encoding knows become question marks."""
    return (path.name or str(path)).encode("utf-8", "replace").decode("utf-8")


def _name_for_decoder(path: Path) -> str:
    """The path as the text whose UTF-8 is the name on the disk, whatever the locale: OpenCV crashes on any other."""
    try:
        return os.fsencode(path.resolve()).decode("utf-8")
    except UnicodeDecodeError:
        raise BadInput(
            title=said(
                "{name} has a name, or lies in a folder, whose letters are not UTF-8", name=_shown_name(path)
            ),
            remedy=said("Rename it, for example to scan.mp4."),
        ) from None


def _look_at(path: Path) -> _Container:
    """Refuse what cannot be a video, before FFmpeg sees it: it would play a text file as a terminal film."""
    name = _shown_name(path)
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise BadInput(
                title=said("{name} is a folder", name=name), remedy=said("Name the video file inside it.")
            )
        if not stat.S_ISREG(status.st_mode):
            raise BadInput(
                title=said("{name} is not an ordinary file", name=name), remedy=said(_ASK_FOR_ANOTHER)
            )
        if status.st_size == 0:
            raise BadInput(
                title=said("{name} is empty", name=name), remedy=said("Copy or record the file again.")
            )
        with path.open("rb") as file:
            head = file.read(_FIRST_BYTES)
            container = _container(file, head, status.st_size)
    except FileNotFoundError:
        raise BadInput(
            title=said("{name} does not exist", name=name), remedy=said("Check the path of the video file.")
        ) from None
    except PermissionError:
        raise BadInput(
            title=said("{name} may not be read", name=name),
            remedy=said("Give your user the right to read the file, or copy it."),
        ) from None
    except OSError as error:
        raise BadInput(
            title=said("{name} cannot be read ({why})", name=name, why=error.strerror),
            remedy=said("Check the disk, or copy the file elsewhere."),
        ) from None
    for magic, what in _NOT_VIDEO.items():
        if head.startswith(magic):
            raise _no_video(name, what)
    if head.startswith(b"RIFF") and head[8:12] == b"WAVE":
        raise _no_video(name, marked("sound only (WAV)"))
    if not any(byte < 9 or 13 < byte < 27 for byte in head):
        raise _no_video(name, marked("a text file"))
    return container


def _no_video(name: str, what: str) -> BadInput:
    """what: it is, marked for the translators."""
    return BadInput(
        title=said("{name} is {what}, not a video", name=name, what=said(what)), remedy=said(_ASK_FOR_ANOTHER)
    )


def _container(file: BinaryIO, head: bytes, size: int) -> _Container:
    """Walk the outermost boxes or chunks; ISO 14496-12, RFC 9559 (Matroska), Microsoft's RIFF."""
    if head.startswith(b"RIFF") and head[8:11] == b"AVI":
        return _Container(name="avi", bytes_missing=max(0, 8 + int.from_bytes(head[4:8], "little") - size))
    if head.startswith(b"\x1aE\xdf\xa3"):
        return _Container(name="matroska", bytes_missing=_matroska_bytes_missing(head, size))
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip"):
        said = mp4.look_at(file, size)
        return _Container(
            name="mp4",
            bytes_missing=said.bytes_missing,
            sound_only=said.sound_only,
            contradictions=said.contradictions,
        )
    return _Container(name="", bytes_missing=0)


def _matroska_bytes_missing(head: bytes, size: int) -> int:
    """How far the file ends before its Segment does; 0 where the Segment's size is left open (a live writer)."""
    start = head.find(b"\x18S\x80g")
    if start < 0 or start + 5 > len(head) or head[start + 4] == 0:
        return 0
    length = 9 - head[start + 4].bit_length()
    field = int.from_bytes(head[start + 4 : start + 4 + length], "big") & ((1 << 7 * length) - 1)
    if field == (1 << 7 * length) - 1:
        return 0
    return max(0, start + 4 + length + field - size)


def _plausible_rate(fps: float) -> float | None:
    return fps if math.isfinite(fps) and 0 < fps <= 1000 else None
