"""Simulated frames as a video file: what the benchmark measures. Frames of a person are never given to it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from itertools import chain
from pathlib import Path

from client.devices.opencv import prepare_opencv
from client.errors import EnvironmentFault
from edge_models.types import Frame


def write_clip(folder: Path, frames: Iterable[Frame], fps: float) -> Path:
    """Write all frames, evenly spaced, into a new file in the folder; its path.

    With the program ffmpeg: H.264 (clip.mp4, visually lossless), as phones and video calls make it. Without: Motion
    JPEG (clip.avi), as webcams send it. Raises EnvironmentFault where it cannot be written, ValueError for no frames.
    """
    remaining = iter(frames)
    first = next(remaining, None)
    if first is None:
        raise ValueError("no frames")
    height, width = first.image.shape[:2]
    everything = chain((first,), remaining)
    if program := shutil.which("ffmpeg"):
        path = folder / "clip.mp4"
        _with_ffmpeg(program, path, everything, (width, height), fps)
    else:
        path = folder / "clip.avi"
        _with_opencv(path, everything, (width, height), fps)
    return path


def _with_ffmpeg(
    program: str, path: Path, frames: Iterable[Frame], size_px: tuple[int, int], fps: float
) -> None:
    raw = ["-f", "rawvideo", "-pix_fmt", "bgr24", "-s", f"{size_px[0]}x{size_px[1]}", "-r", f"{fps}"]
    h264 = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "18", "-pix_fmt", "yuv420p"]
    command = [program, "-nostdin", "-v", "error", "-y", *raw, "-i", "pipe:0", *h264, str(path)]
    with subprocess.Popen(  # noqa: S603 (a list of our own making, never a shell)
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
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
