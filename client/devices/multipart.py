"""Takes a stream of bytes apart into the parts of multipart/x-mixed-replace (RFC 2046 §5.1), as cameras send it.

Cameras bend the rules: boundaries quoted, with their dashes doubled, or not announced; no blank line before a
boundary; a Content-Length, a wrong one, or none. All of these are read; memory stays bounded whatever comes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MAX_PART_BYTES = 16 << 20
"""A part larger than this is rubbish: a 4K JPEG of the best quality is below 10 MiB."""
_MAX_HEADER_BYTES = 16 << 10
_EOI, _SOS = 0xD9, 0xDA


@dataclass(frozen=True, slots=True)
class Part:
    """One part. headers: names in small letters. arrived_s: when its headers had come, on the clock of `feed`."""

    headers: Mapping[str, str]
    body: bytes
    arrived_s: float


class MultipartReader:
    """Feed it bytes as they come; it gives the parts that are whole.

    ended: the closing boundary has come. rubbish: how many stretches of the stream were thrown away
    (headers or parts beyond the limits).
    """

    def __init__(self, boundary: str | None) -> None:
        self._delimiter = _delimiter(boundary)
        self._buffer = bytearray()
        self._searched = 0
        self._headers: dict[str, str] | None = None
        self._arrived_s = 0.0
        self._inside = False
        self.ended = False
        self.rubbish = 0

    def feed(self, data: bytes, t_s: float) -> list[Part]:
        """Add `data`, which came at `t_s`; the parts that it completes, oldest first."""
        self._buffer += data
        parts: list[Part] = []
        while not self.ended:
            if not self._inside:
                if not self._find_delimiter():
                    break
            elif self._headers is None:
                if not self._take_headers(t_s):
                    break
            else:
                body = self._take_body()
                if body is None:
                    break
                parts.append(Part(self._headers, body, self._arrived_s))
                self._leave_part()
        if len(self._buffer) > MAX_PART_BYTES:
            self._throw_away()
        return parts

    def _leave_part(self) -> None:
        self._inside, self._headers, self._searched = False, None, 0

    def _throw_away(self) -> None:
        self.rubbish += 1
        self._leave_part()
        self._buffer.clear()

    def _find_delimiter(self) -> bool:
        """Skip to behind the next delimiter line; False if it has not come whole yet."""
        if self._delimiter is None:
            self._learn_delimiter()
            if self._delimiter is None:
                return False
        at = self._buffer.find(self._delimiter)
        if at < 0:
            del self._buffer[: -len(self._delimiter)]
            return False
        behind = at + len(self._delimiter)
        if self._buffer[behind : behind + 2] == b"--":
            self.ended = True
            return False
        line_end = self._buffer.find(b"\n", behind)
        if line_end < 0:
            if len(self._buffer) - behind > _MAX_HEADER_BYTES:
                self._throw_away()
            return False
        del self._buffer[: line_end + 1]
        self._inside = True
        return True

    def _learn_delimiter(self) -> None:
        """No boundary was announced: the first line that starts with two dashes is one."""
        lines = self._buffer.split(b"\n")
        for line in lines[:-1]:
            stripped = bytes(line).strip()
            if stripped.startswith(b"--") and len(stripped) > 2:
                self._delimiter = stripped
                return
        del self._buffer[: len(self._buffer) - len(lines[-1])]

    def _take_headers(self, t_s: float) -> bool:
        ends = [(at, len(blank)) for blank in (b"\r\n\r\n", b"\n\n") if (at := self._buffer.find(blank)) >= 0]
        if self._buffer[:2] == b"\r\n":  # no header at all
            ends = [(0, 2)]
        if not ends:
            if len(self._buffer) > _MAX_HEADER_BYTES:
                self._throw_away()
            return False
        at, blank_length = min(ends)
        headers = {}
        for line in bytes(self._buffer[:at]).decode("latin-1").splitlines():
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        del self._buffer[: at + blank_length]
        self._headers, self._arrived_s = headers, t_s
        return True

    def _take_body(self) -> bytes | None:
        length = (self._headers or {}).get("content-length", "")
        if length.isascii() and length.isdigit() and 0 < int(length[:12]) <= MAX_PART_BYTES:
            return self._take(int(length)) if len(self._buffer) >= int(length) else None
        assert self._delimiter is not None
        at = self._buffer.find(self._delimiter, max(0, self._searched - len(self._delimiter)))
        self._searched = len(self._buffer)
        if at >= 0:
            return self._take(at)
        # Without a length the boundary that closes a part comes only with the next picture. A JPEG tells
        # its own end, so the picture need not wait for that.
        if self._buffer.endswith(b"\xff\xd9") and jpeg_end(self._buffer) == len(self._buffer):
            return self._take(len(self._buffer))
        return None

    def _take(self, length: int) -> bytes:
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        return body


def _delimiter(boundary: str | None) -> bytes | None:
    if not boundary:
        return None
    encoded = boundary.encode("latin-1", "replace")
    return encoded if encoded.startswith(b"--") else b"--" + encoded


def jpeg_end(data: bytes | bytearray) -> int | None:
    """Where the JPEG that starts `data` ends (ITU-T T.81 Annex B), or None if it is cut or no JPEG.

    Walks the marker segments, so an embedded thumbnail's own end is not taken for the picture's.
    """
    if data[:2] != b"\xff\xd8":
        return None
    at = 2
    while at + 4 <= len(data) or data[at : at + 2] == b"\xff\xd9":
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == _EOI:
            return at + 2
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == _SOS:  # entropy-coded data up to a marker that is neither stuffing nor a restart
            while True:
                at = data.find(b"\xff", at)
                if at < 0 or at + 1 >= len(data):
                    return None
                if data[at + 1] != 0 and not 0xD0 <= data[at + 1] <= 0xD7 and data[at + 1] != 0xFF:
                    break
                at += 1 if data[at + 1] == 0xFF else 2
    return None


def jpeg_size_px(data: bytes) -> tuple[int, int] | None:
    """(width, height) that the frame header (SOFn) of a JPEG states, or None if there is none."""
    if data[:2] != b"\xff\xd8":
        return None
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None
