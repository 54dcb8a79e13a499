"""Small video files with known faults, made by OpenCV and then altered byte by byte where no writer would lie."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from edge_models.types import ByteArray

SIZE_PX = (160, 120)


def pictures(count: int, size_px: tuple[int, int] = SIZE_PX) -> list[ByteArray]:
    """Pictures with grain that never repeats; the upper left quarter is red, all else is grey."""
    width, height = size_px
    grain = np.random.default_rng(count)
    made = []
    for _ in range(count):
        image = grain.integers(80, 120, (height, width, 3), dtype=np.uint8)
        image[: height // 2, : width // 2] = (0, 0, 200)
        made.append(image)
    return made


def jpegs(count: int, size_px: tuple[int, int] = SIZE_PX) -> list[bytes]:
    """The same pictures as JPEG files."""
    return [cv2.imencode(".jpg", image)[1].tobytes() for image in pictures(count, size_px)]


def write_clip(path: Path, images: Sequence[ByteArray], *, fps: float, codec: str = "FFV1") -> Path:
    """A clip at an even rate. FFV1 (.mkv, .avi) loses nothing; mp4v is for .mp4."""
    height, width = images[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), fps, (width, height))
    assert writer.isOpened()
    for image in images:
        writer.write(image)
    writer.release()
    return path


def write_timed_clip(
    path: Path, images: Sequence[ByteArray], times_s: Sequence[float], *, header_fps: float
) -> Path:
    """A lossless Matroska clip whose frames carry `times_s`, whatever rate its header states.

    Times are rounded to milliseconds, as Matroska stores them; they need not increase.
    """
    even = write_clip(path.with_name(f"{path.stem}-even.mkv"), images, fps=header_fps)
    data = even.read_bytes()
    even.unlink()
    top = {identity: (start, end) for identity, start, end in _elements(data, 0, len(data))}
    segment = top[0x18538067]
    kept, blocks = b"", []
    for identity, start, end in _elements(data, *segment):
        if identity in (0x1549A966, 0x1654AE6B):  # Info, Tracks
            kept += identity.to_bytes(4, "big") + _size(end - start) + data[start:end]
        elif identity == 0x1F43B675:  # Cluster
            blocks += [
                data[first:last] for child, first, last in _elements(data, start, end) if child == 0xA3
            ]
    assert len(blocks) == len(images)
    clusters = b""
    for block, t_s in zip(blocks, times_s, strict=True):
        # One cluster per frame: its timestamp (0xE7), then the block with a relative time of zero.
        body = b"\xe7\x88" + round(t_s * 1000).to_bytes(8, "big")
        moved = block[:1] + b"\0\0" + block[3:]
        body += b"\xa3" + _size(len(moved)) + moved
        clusters += b"\x1f\x43\xb6\x75" + _size(len(body)) + body
    header_end = segment[0] - 8 - 4
    contents = kept + clusters
    path.write_bytes(data[:header_end] + b"\x18\x53\x80\x67" + _size(len(contents)) + contents)
    return path


def _elements(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(identity, start, end) of the EBML elements in a stretch (RFC 8794)."""
    while at < end:
        length = 9 - data[at].bit_length()
        identity = int.from_bytes(data[at : at + length], "big")
        at += length
        length = 9 - data[at].bit_length()
        size = int.from_bytes(data[at : at + length], "big") & ((1 << 7 * length) - 1)
        at += length
        yield identity, at, min(at + size, end)
        at += size


def _size(size: int) -> bytes:
    return (size | 1 << 56).to_bytes(8, "big")


def rotate(path: Path, degrees: int) -> Path:
    """State in an MP4's metadata that its pictures must be turned clockwise, as phones do (ISO 14496-12 tkhd)."""
    one = 1 << 16
    cosine, sine = {0: (one, 0), 90: (0, one), 180: (-one, 0), 270: (0, -one)}[degrees]
    data = bytearray(path.read_bytes())
    at = data.find(b"tkhd") + 4 + 40
    data[at : at + 36] = struct.pack(">9i", cosine, sine, 0, -sine, cosine, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def show_only(path: Path, share: float) -> Path:
    """State in an MP4's edit list that so much of what was recorded is shown (ISO 14496-12 elst)."""
    data = bytearray(path.read_bytes())
    at = data.find(b"elst") + 4 + 8
    length = round(share * int.from_bytes(data[at : at + 4], "big"))
    data[at : at + 4] = length.to_bytes(4, "big")
    path.write_bytes(data)
    return path


def make_sound_only(path: Path) -> Path:
    """Say in an MP4's handler that its only track is sound."""
    data = bytearray(path.read_bytes())
    at = data.find(b"vide", data.find(b"hdlr"))
    data[at : at + 4] = b"soun"
    path.write_bytes(data)
    return path


def claim_frames(path: Path, count: int) -> Path:
    """State another number of frames in an AVI's header (strh.dwLength, avih.dwTotalFrames)."""
    data = bytearray(path.read_bytes())
    stream = data.find(b"strh") + 8
    data[stream + 32 : stream + 36] = count.to_bytes(4, "little")
    main = data.find(b"avih") + 8
    data[main + 16 : main + 20] = count.to_bytes(4, "little")
    path.write_bytes(data)
    return path


def cut(path: Path, share: float) -> Path:
    """Keep only the first `share` of the bytes, as an interrupted copy does."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path
