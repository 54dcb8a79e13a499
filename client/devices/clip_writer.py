"""Simulated frames as a video file: what the benchmark measures. Frames of a person are never given to it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path

from client.devices.opencv import prepare_opencv
from client.devices.ports import Codec, Compression
from client.errors import EnvironmentFault
from edge_models.types import Frame

_UNEVEN_S = 1e-4
"""From this distance to an even course on, frames get their own times."""
_TICKS_PER_S = 90_000
_NEARLY_LOSSLESS = Compression(Codec.H264, 18)
"""As phones make it."""


def write_clip(
    folder: Path, frames: Iterable[Frame], fps: float, compression: Compression | None = None
) -> Path:
    """Write all frames at their own times into a new file in the folder; its path.

    With the program ffmpeg: clip.mp4 (H.264, MPEG-4) or clip.mkv (Motion JPEG). Without, and where nobody asks for a
    compression: Motion JPEG (clip.avi), as webcams send it, evenly spaced. fps: the rate if frames come evenly.
    Raises EnvironmentFault where it cannot be written, ValueError for no frames.
    """
    remaining = iter(frames)
    first = next(remaining, None)
    if first is None:
        raise ValueError("no frames")
    height, width = first.image.shape[:2]
    everything = chain((first,), remaining)
    program = shutil.which("ffmpeg")
    if program is None:
        if compression is not None:
            raise EnvironmentFault(
                title="Compressed clips need the program ffmpeg",
                remedy="Run 'apt-get install ffmpeg' (as root; macOS: 'brew install ffmpeg') and try again.",
            )
        path = folder / "clip.avi"
        _with_opencv(path, everything, (width, height), fps)
        return path
    wanted = compression or _NEARLY_LOSSLESS
    path = folder / ("clip.mkv" if wanted.codec is Codec.MJPEG else "clip.mp4")
    even = path.with_stem("even")
    times_s: list[float] = []
    _with_ffmpeg(program, even, _noted(everything, times_s), (width, height), fps, wanted)
    if all(abs(t_s - times_s[0] - k / fps) < _UNEVEN_S for k, t_s in enumerate(times_s)):
        even.rename(path)
    else:
        _retimed(program, even, path, times_s)
    return path


def _noted(frames: Iterable[Frame], times_s: list[float]) -> Iterator[Frame]:
    for frame in frames:
        times_s.append(frame.t_s)
        yield frame


def _timescale(path: Path) -> list[str]:
    """An MP4 counts in ticks of its own choice; Matroska in milliseconds."""
    return ["-video_track_timescale", f"{_TICKS_PER_S}"] if path.suffix == ".mp4" else []


def _encoder(compression: Compression) -> list[str]:
    """Of each codec, without pictures that wait for later ones: a webcam's encoder has none."""
    level = f"{compression.level:g}"
    if compression.codec is Codec.H264:
        return ["-c:v", "libx264", "-preset", "veryfast", "-crf", level, "-bf", "0", "-pix_fmt", "yuv420p"]
    if compression.codec is Codec.MPEG4:
        return ["-c:v", "mpeg4", "-q:v", level, "-bf", "0", "-pix_fmt", "yuv420p"]
    return ["-c:v", "mjpeg", "-q:v", level, "-pix_fmt", "yuvj422p"]


def _with_ffmpeg(
    program: str,
    path: Path,
    frames: Iterable[Frame],
    size_px: tuple[int, int],
    fps: float,
    compression: Compression,
) -> None:
    raw = ["-f", "rawvideo", "-pix_fmt", "bgr24", "-s", f"{size_px[0]}x{size_px[1]}", "-r", f"{fps}"]
    command = [program, "-nostdin", "-v", "error", "-y", *raw, "-i", "pipe:0", *_encoder(compression)]
    with subprocess.Popen(  # noqa: S603 (a list of our own making, never a shell)
        [*command, *_timescale(path), str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdin is not None
        try:
            for frame in frames:
                process.stdin.write(frame.image.tobytes())
            process.stdin.close()
        except BrokenPipeError:  # it ended early: its status says so below
            with suppress(BrokenPipeError):
                process.stdin.close()
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise _unwritten(path)


def _retimed(program: str, even: Path, path: Path, times_s: list[float]) -> None:
    """The same pictures with their own times: packet N gets times_s[N], counted from the first."""
    ticks = [round((t_s - times_s[0]) * _TICKS_PER_S) for t_s in times_s]
    said = _by_number(ticks, 0)
    course = ["-bsf:v", f"setts=ts=({said})/{_TICKS_PER_S}/TB"]
    command = [program, "-nostdin", "-v", "error", "-y", "-i", str(even), "-c", "copy", *course]
    ended = subprocess.run(  # noqa: S603 (as above)
        [*command, *_timescale(path), str(path)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    even.unlink()
    if ended.returncode:
        raise _unwritten(path)


def _by_number(values: list[int], first: int) -> str:
    """An expression of ffmpeg's that is values[N - first]: halved again and again, for its depth is limited."""
    if len(values) == 1:
        return str(values[0])
    half = len(values) // 2
    before, after = _by_number(values[:half], first), _by_number(values[half:], first + half)
    return f"if(lt(N\\,{first + half})\\,{before}\\,{after})"


def _with_opencv(path: Path, frames: Iterable[Frame], size_px: tuple[int, int], fps: float) -> None:
    prepare_opencv()
    import cv2

    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), fps, size_px)
    try:
        if not writer.isOpened():
            raise _unwritten(path)
        for frame in frames:
            writer.write(frame.image)
    finally:
        writer.release()


def _unwritten(path: Path) -> EnvironmentFault:
    return EnvironmentFault(
        title=f"The simulated clip ({path.suffix[1:]}) could not be written",
        remedy="Free some space for temporary files, or give a clip with --clip FILE.",
    )
