from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.devices.multipart import MAX_PART_BYTES, MultipartReader, Part, jpeg_end, jpeg_size_px
from tests.stand_ins import clips

JPEG = clips.jpegs(1)[0]


def _part(body: bytes, *, length: bool = True, boundary: str = "b", headers: str = "") -> bytes:
    head = f"--{boundary}\r\nContent-Type: image/jpeg\r\n{headers}"
    if length:
        head += f"Content-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body + b"\r\n"


def _read(
    data: bytes, boundary: str | None = "b", *, piece: int = 1000
) -> tuple[list[Part], MultipartReader]:
    reader = MultipartReader(boundary)
    parts = []
    for at in range(0, len(data), piece):
        parts += reader.feed(data[at : at + piece], float(at))
    return parts, reader


@given(
    bodies=st.lists(st.binary(min_size=1, max_size=300).filter(lambda body: b"--b" not in body), max_size=5),
    piece=st.integers(1, 400),
)
def test_parts_with_a_length_come_back_however_the_stream_is_cut(bodies: list[bytes], piece: int) -> None:
    parts, reader = _read(b"".join(_part(body) for body in bodies) + b"--b--\r\n", piece=piece)
    assert [part.body for part in parts] == bodies
    assert reader.ended and reader.rubbish == 0


@pytest.mark.parametrize("piece", [1, 7, 1000, 100_000])
@pytest.mark.parametrize("boundary", ["b", "--b", None])
def test_pictures_without_a_length_come_back(piece: int, boundary: str | None) -> None:
    data = b"preamble\r\n" + _part(JPEG, length=False) * 3 + b"--b--"
    parts, reader = _read(data, boundary, piece=piece)
    assert len(parts) == 3 and reader.ended
    assert all(part.body.startswith(JPEG) and len(part.body) <= len(JPEG) + 2 for part in parts)


def test_a_picture_without_a_length_need_not_wait_for_the_next_one() -> None:
    parts = MultipartReader("b").feed(_part(JPEG, length=False)[:-2], 1.0)
    assert [part.body for part in parts] == [JPEG]


def test_a_picture_without_a_length_does_not_end_with_its_thumbnail() -> None:
    thumbnail = b"\xff\xe1" + (2 + len(JPEG)).to_bytes(2, "big") + JPEG
    picture = JPEG[:2] + thumbnail + JPEG[2:]
    reader = MultipartReader("b")
    assert reader.feed(b"--b\r\n\r\n" + picture[: 2 + len(thumbnail)], 1.0) == []
    assert [part.body for part in reader.feed(picture[2 + len(thumbnail) :], 2.0)] == [picture]


def test_a_part_is_stamped_when_its_headers_have_come() -> None:
    reader = MultipartReader("b")
    data = _part(JPEG, headers="X-Timestamp: 12.5\r\n")
    assert reader.feed(data[:20], 1.0) == []
    assert reader.feed(data[20:120], 2.0) == []
    (part,) = reader.feed(data[120:], 3.0)
    assert part.arrived_s == 2.0
    assert part.headers["x-timestamp"] == "12.5"


@pytest.mark.parametrize("length", ["-5", "12x", "99999999999999999999999", "0", "²"])
def test_a_senseless_length_is_ignored(length: str) -> None:
    head = f"--b\r\nContent-Length: {length}\r\n\r\n".encode("latin-1", "replace")
    parts, _ = _read(head + JPEG + b"\r\n--b--")
    assert [part.body[: len(JPEG)] for part in parts] == [JPEG]


def test_a_length_that_is_too_short_loses_one_picture_and_no_more() -> None:
    short = b"--b\r\nContent-Length: 50\r\n\r\n" + JPEG + b"\r\n"
    parts, _ = _read(short + _part(JPEG) + b"--b--")
    assert [len(part.body) for part in parts] == [50, len(JPEG)]


def test_bare_line_feeds_and_missing_headers_are_read() -> None:
    parts, _ = _read(b"--b\nContent-Type: image/jpeg\n\n" + JPEG + b"\n--b\r\n\r\n" + JPEG + b"\r\n--b--")
    assert [part.body[: len(JPEG)] for part in parts] == [JPEG, JPEG]


@pytest.mark.parametrize(
    "rubbish",
    [b"\xff\xd8" + b"\x11" * 997, b"--b\r\n" + b"x" * 994, b"--b\r\n\r\n" + b"\0" * 992],
    ids=["no boundary", "endless headers", "endless part"],
)
def test_memory_stays_bounded_whatever_comes(rubbish: bytes) -> None:
    reader = MultipartReader("b")
    largest = 0
    for at in range(2 * MAX_PART_BYTES // (1 << 19)):
        reader.feed((rubbish if at == 0 else rubbish[-1:]) * (1 if at == 0 else 1 << 19), 0.0)
        largest = max(largest, len(reader._buffer))
    assert largest <= MAX_PART_BYTES + (1 << 19)
    parts = reader.feed(b"\r\n" + _part(JPEG), 1.0)
    assert parts and parts[-1].body.endswith(JPEG)


def test_the_end_of_a_jpeg_is_not_that_of_its_thumbnail() -> None:
    thumbnail = b"\xff\xe1" + (2 + len(JPEG)).to_bytes(2, "big") + JPEG
    nested = JPEG[:2] + thumbnail + JPEG[2:]
    assert jpeg_end(nested) == len(nested)
    assert jpeg_end(nested + b"\r\n--b") == len(nested)
    assert jpeg_end(nested[: 4 + len(thumbnail)]) is None


@given(st.integers(0, len(JPEG) - 1))
def test_a_cut_jpeg_has_no_end(length: int) -> None:
    assert jpeg_end(JPEG[:length]) is None


@given(st.binary(max_size=400))
def test_any_bytes_after_a_jpegs_start_are_survived(tail: bytes) -> None:
    end = jpeg_end(b"\xff\xd8" + tail)
    assert end is None or 2 < end <= 2 + len(tail)
    jpeg_size_px(b"\xff\xd8" + tail)


@given(width=st.integers(1, 90), height=st.integers(1, 90), progressive=st.booleans())
def test_a_jpegs_size_and_end_are_read_from_its_markers(
    width: int, height: int, *, progressive: bool
) -> None:
    image = np.zeros((height, width, 3), np.uint8)
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive)])[1].tobytes()
    assert jpeg_size_px(data) == (width, height)
    assert jpeg_end(data) == len(data)
