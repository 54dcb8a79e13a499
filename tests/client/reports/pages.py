"""Reads a PDF of fpdf2 back: what is written where. Knows no more of the format than these pages use."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pypdfium2

_STRING = rb"\(((?:\\.|[^\\()])*)\)"
_ESCAPED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}


@contextmanager
def opened(pdf: bytes) -> Iterator[Any]:
    """By another library than the one that wrote it: what a reader of PDFs makes of it."""
    document = pypdfium2.PdfDocument(pdf)
    try:
        yield document
    finally:
        document.close()


@dataclass(frozen=True)
class Piece:
    """One text object. x, y: points from the left and lower edge of the page. glyphs: numbers in the font's subset."""

    x: float
    y: float
    end_x: float
    size: float
    text: str
    glyphs: tuple[int, ...]


def objects(pdf: bytes) -> dict[int, tuple[bytes, bytes]]:
    """Number of each object → its dictionary and its unpacked stream."""
    found = {}
    for number, body in re.findall(rb"(?:^|\n)(\d+) 0 obj\n(.*?)\nendobj", pdf, re.DOTALL):
        head, _, stream = body.partition(b"stream\n")
        stream = stream.rpartition(b"\nendstream")[0]
        found[int(number)] = head, zlib.decompress(stream) if b"/FlateDecode" in head else stream
    return found


def page_count(pdf: bytes) -> int:
    return len(re.findall(rb"/Type /Page\b(?!s)", pdf))


def drawing(pdf: bytes) -> bytes:
    """The only page's content."""
    parts = objects(pdf)
    number = next(re.search(rb"/Contents (\d+)", head) for head, _ in parts.values() if b"/Contents" in head)
    assert number is not None
    return parts[int(number[1])][1]


def pieces(pdf: bytes) -> list[Piece]:
    """Every text object, in the order of drawing."""
    letters = _letters(pdf)
    font, size, found = b"", 0.0, []
    for text_object in re.findall(
        rb"(?<!\S)BT\s(.*?)\sET(?!\S)", re.sub(_STRING, _masked, drawing(pdf)), re.DOTALL
    ):
        if chosen := re.search(rb"/(F\d+) ([\d.]+) Tf", text_object):
            font, size = chosen[1], float(chosen[2])
        begin = re.search(rb"(-?[\d.]+) (-?[\d.]+) Td", text_object)
        if begin is None:
            continue
        glyphs = tuple(
            int(code, 16) for string in re.findall(rb"<(\w*)>", text_object) for code in _pairs(string)
        )
        ends = re.findall(rb"(-?[\d.]+) -?[\d.]+ Tm", text_object)
        text = "".join(letters[font][glyph] for glyph in glyphs)
        found.append(
            Piece(
                float(begin[1]),
                float(begin[2]),
                float(ends[-1]) if ends else float(begin[1]),
                size,
                text,
                glyphs,
            )
        )
    return found


def words(pdf: bytes) -> str:
    """All that is written, in the order of drawing; lines of a paragraph joined by a space."""
    return " ".join(" ".join(piece.text for piece in pieces(pdf)).split())


def alternatives(pdf: bytes) -> list[str]:
    """What is said to those who cannot see the drawings."""
    return [
        alt.decode("latin-1")
        for head, _ in objects(pdf).values()
        for alt in re.findall(rb"/Alt " + _STRING, head)
    ]


def metadata(pdf: bytes) -> str:
    return next(stream for head, stream in objects(pdf).values() if b"/Type /Metadata" in head).decode()


def _letters(pdf: bytes) -> dict[bytes, dict[int, str]]:
    """Name of each font → the letters that a glyph stands for."""
    parts = objects(pdf)
    table = {}
    for name, number in {
        pair for head, _ in parts.values() for pair in re.findall(rb"/(F\d+) (\d+) 0 R", head)
    }:
        unicode = re.search(rb"/ToUnicode (\d+)", parts[int(number)][0])
        assert unicode is not None
        pairs = re.findall(rb"<(\w{4})> <(\w+)>\n", parts[int(unicode[1])][1])
        table[name] = {
            int(code, 16): bytes.fromhex(letters.decode()).decode("utf-16-be") for code, letters in pairs
        }
    return table


def _masked(string: re.Match[bytes]) -> bytes:
    """A literal string as hexadecimal, so that nothing in it looks like an operator."""
    plain = re.sub(rb"\\(.)", lambda sign: _ESCAPED.get(sign[1], sign[1]), string[1], flags=re.DOTALL)
    return b"<" + plain.hex().encode() + b">"


def _pairs(string: bytes) -> list[bytes]:
    return [string[at : at + 4] for at in range(0, len(string), 4)]
