"""What an MP4 says about itself before anything of it is decoded (ISO 14496-12; QuickTime alike)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from client.language import Sentence, marked

_MOST_CONTENTS = 64 << 20
"""Bytes of a table of contents (moov) that are still read: hours of video have less."""
_DISAGREE = 0.02
"""Share of a track from which an edit list counts as a cut and not as the rounding of a decoder's delay."""


@dataclass(frozen=True, slots=True)
class Mp4:
    """bytes_missing: how far the file ends before its own statement of length. sound_only: its table of contents
    names sound and no picture. contradictions: why its frame rate cannot be trusted.
    """

    bytes_missing: int
    sound_only: bool
    contradictions: tuple[Sentence, ...]


def look_at(file: BinaryIO, size: int) -> Mp4:
    """Walk the outermost boxes of a file of `size` bytes, and the table of contents where it is whole."""
    at, missing = 0, 0
    tracks: list[_Track] = []
    while at + 8 <= size:
        file.seek(at)
        header = file.read(16)
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        elif length == 0:
            length = size - at
        if length < 8:
            break
        if header[4:8] == b"moov" and at + length <= size and length < _MOST_CONTENTS:
            file.seek(at)
            tracks += _tracks(file.read(length)[8:])
        missing = max(missing, at + length - size)
        at += length
    kinds = {track.kind for track in tracks}
    return Mp4(
        bytes_missing=missing,
        sound_only=b"soun" in kinds and b"vide" not in kinds,
        contradictions=tuple(
            one for track in tracks if track.kind == b"vide" for one in track.contradictions()
        ),
    )


@dataclass(frozen=True, slots=True)
class _Track:
    """kind: "vide", "soun" … listed_s: length of its media by its header; None: not told. timed_s: the same by
    its table of times. frames: in that table. shown_s: what its edit list shows of it; None without such a list.
    """

    kind: bytes
    listed_s: float | None
    timed_s: float | None
    frames: int
    shown_s: float | None

    def contradictions(self) -> Iterator[Sentence]:
        media_s = self.timed_s or self.listed_s
        if not media_s:  # a fragmented file lists its frames elsewhere
            return
        if self.listed_s and abs(media_s / self.listed_s - 1) > _DISAGREE:
            yield Sentence(
                marked(
                    "The header speaks of {listed} s, its table of frames of {timed} s: the frame rate in the file "
                    "cannot be trusted."
                ),
                {"listed": f"{self.listed_s:.1f}", "timed": f"{media_s:.1f}"},
            )
        if self.shown_s and abs(self.shown_s / media_s - 1) > _DISAGREE:
            yield Sentence(
                marked(
                    "The header lists {frames} frames in {timed} s and has {shown} s of them shown: the file was cut or "
                    "re-timed after it was recorded, so its frame rate cannot be trusted."
                ),
                {"frames": self.frames, "timed": f"{media_s:.1f}", "shown": f"{self.shown_s:.1f}"},
            )


def _tracks(contents: bytes) -> list[_Track]:
    boxes = list(_boxes(contents))
    scale, _ = _length(_first(boxes, b"mvhd"))
    return [_track(body, scale) for kind, body in boxes if kind == b"trak"]


def _track(body: bytes, movie_scale: int) -> _Track:
    boxes = list(_boxes(body))
    media = list(_boxes(_first(boxes, b"mdia")))
    table = list(_boxes(_first(list(_boxes(_first(media, b"minf"))), b"stbl")))
    scale, units = _length(_first(media, b"mdhd"))
    frames, timed_units = _times(_first(table, b"stts"))
    edits = _first(list(_boxes(_first(boxes, b"edts"))), b"elst")
    shown_units = _shown(edits)
    return _Track(
        kind=_first(media, b"hdlr")[8:12],
        listed_s=units / scale if scale and units else None,
        timed_s=timed_units / scale if scale and timed_units else None,
        frames=frames,
        shown_s=shown_units / movie_scale if movie_scale and shown_units else None,
    )


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(kind, contents) of the boxes in a stretch; stops at what cannot be one."""
    at = 0
    while at + 8 <= len(data):
        length, start = int.from_bytes(data[at : at + 4], "big"), at + 8
        if length == 1:
            length, start = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
        elif length == 0:
            length = len(data) - at
        if length < start - at or at + length > len(data):
            return
        yield data[at + 4 : at + 8], data[start : at + length]
        at += length


def _first(boxes: list[tuple[bytes, bytes]], kind: bytes) -> bytes:
    return next((body for name, body in boxes if name == kind), b"")


def _length(header: bytes) -> tuple[int, int]:
    """(units per second, units) of an mvhd or mdhd; zeros where it does not say."""
    long = header[:1] == b"\1"
    start, size = (20, 8) if long else (12, 4)
    scale, field = header[start : start + 4], header[start + 4 : start + 4 + size]
    unknown = field == b"\xff" * size
    return int.from_bytes(scale, "big"), 0 if unknown else int.from_bytes(field, "big")


def _times(table: bytes) -> tuple[int, int]:
    """(frames, units) of an stts: runs of frames that last equally long."""
    runs = [table[at : at + 8] for at in range(8, len(table) - 7, 8)]
    counts = [int.from_bytes(run[:4], "big") for run in runs]
    return sum(counts), sum(
        count * int.from_bytes(run[4:], "big") for count, run in zip(counts, runs, strict=True)
    )


def _shown(edits: bytes) -> int:
    """Units of the movie in which an elst shows media; 0 where it does not say (no list, or "to the end")."""
    size = 8 if edits[:1] == b"\1" else 4
    step = 2 * size + 4
    entries = [edits[at : at + step] for at in range(8, len(edits) - step + 1, step)]
    lengths = [
        int.from_bytes(entry[:size], "big")
        for entry in entries
        if entry[size : 2 * size] != b"\xff" * size  # a media time of -1: a pause before the media begin
    ]
    return sum(lengths) if all(lengths) else 0
