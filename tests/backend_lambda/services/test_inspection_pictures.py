"""PNG and JPEG, honest and hostile."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest

from backend_lambda.services.inspection import Limits, Reason
from tests.backend_lambda.services.making_files import (
    GOOD,
    JPEG,
    JSON,
    PDF,
    PNG,
    SCAN,
    archive,
    chunk,
    exif,
    jpeg,
    one_page,
    png,
    program,
    reason,
    segment,
    tiff,
)

ALL_KINDS = [
    (depth, colour, interlace)
    for colour, depths in {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}.items()
    for depth in depths
    for interlace in (0, 1)
]
PALETTE = chunk(b"PLTE", bytes(range(6)))


def decoded_shape(data: bytes) -> tuple[int, ...]:
    """As OpenCV reads it: what is made here are real pictures."""
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    return tuple(picture.shape)


def interlaced_bytes(width: int, height: int, bits: int) -> int:
    """Counted pixel by pixel, another way than the inspection does."""
    places = np.array(
        [
            [1, 6, 4, 6, 2, 6, 4, 6],
            [7, 7, 7, 7, 7, 7, 7, 7],
            [5, 6, 5, 6, 5, 6, 5, 6],
            [7, 7, 7, 7, 7, 7, 7, 7],
            [3, 6, 4, 6, 3, 6, 4, 6],
            [7, 7, 7, 7, 7, 7, 7, 7],
            [5, 6, 5, 6, 5, 6, 5, 6],
            [7, 7, 7, 7, 7, 7, 7, 7],
        ]
    )
    of_pass = np.tile(places, (height // 8 + 1, width // 8 + 1))[:height, :width]
    total = 0
    for one in range(1, 8):
        rows = np.flatnonzero((of_pass == one).any(axis=1))
        if rows.size:
            total += rows.size * (1 + -(-int((of_pass[rows[0]] == one).sum()) * bits // 8))
    return total


@pytest.mark.parametrize(("depth", "colour", "interlace"), ALL_KINDS)
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (16, 9), (3, 200)])
def test_every_kind_of_png_is_taken(depth: int, colour: int, interlace: int, size: tuple[int, int]) -> None:
    width, height = size
    bits = depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    pixels = bytes(interlaced_bytes(width, height, bits)) if interlace else None
    before = [PALETTE] if colour == 3 else []
    made = png(width, height, depth=depth, colour=colour, interlace=interlace, pixels=pixels, before=before)
    assert decoded_shape(made)[:2] == (height, width)
    assert reason(made, PNG) is None
    one_more = png(
        width,
        height,
        depth=depth,
        colour=colour,
        interlace=interlace,
        pixels=(pixels or bytes((1 + -(-width * bits // 8)) * height)) + b"\x00",
        before=before,
    )
    assert reason(one_more, PNG) is Reason.BOMB


def test_what_libraries_write_is_taken() -> None:
    noise = np.random.default_rng(3).integers(0, 255, (200, 300, 3), dtype=np.uint8)
    for suffix, media_type, options in (
        (".png", PNG, []),
        (".jpg", JPEG, []),
        (".jpg", JPEG, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
        (".jpg", JPEG, [cv2.IMWRITE_JPEG_RST_INTERVAL, 3]),
    ):
        done, packed = cv2.imencode(suffix, noise, options)
        assert done
        assert reason(packed.tobytes(), media_type) is None


def test_the_smallest_jpeg_is_one() -> None:
    assert decoded_shape(jpeg()) == (8, 8)
    assert reason(jpeg(), JPEG) is None
    assert reason(jpeg(notes=[segment(0xE0, b"JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00")]), JPEG) is None
    filled = jpeg().replace(b"\xff\xda", b"\xff\xff\xff\xda")  # 0xFF may be repeated before a marker
    assert reason(filled, JPEG) is None


@pytest.mark.parametrize("media_type", GOOD)
@pytest.mark.parametrize("other", GOOD)
def test_a_file_of_another_type_is_not_this_type(media_type: str, other: str) -> None:
    assert reason(GOOD[other], media_type) is (None if other == media_type else Reason.NOT_THIS_TYPE)


@pytest.mark.parametrize("media_type", GOOD)
@pytest.mark.parametrize("data", [b"", b"\x00", b"GIF89a", b"BM", b" " * 100, program(), archive()])
def test_what_is_nothing_of_ours_is_not_this_type(media_type: str, data: bytes) -> None:
    assert reason(data, media_type) is Reason.NOT_THIS_TYPE


@pytest.mark.parametrize("media_type", [PNG, JPEG])
@pytest.mark.parametrize("sixteenth", range(16))
def test_a_picture_that_was_cut_off_is_refused(media_type: str, sixteenth: int) -> None:
    whole = GOOD[media_type]
    cut = whole[: len(whole) * sixteenth // 16]
    assert reason(cut, media_type) in {Reason.DAMAGED, Reason.NOT_THIS_TYPE}


@pytest.mark.parametrize("media_type", [PNG, JPEG])
def test_a_picture_may_have_nothing_behind_it(media_type: str) -> None:
    for rest in (b"\x00", b"\n", b"hidden", GOOD[media_type]):
        assert reason(GOOD[media_type] + rest, media_type) is Reason.TRAILING_DATA
    for other in (archive(), program(), b"<script >alert(1)</script>", one_page()):
        assert reason(GOOD[media_type] + other, media_type) is Reason.POLYGLOT


@pytest.mark.parametrize(
    "inside", [archive(), program(), b"<?php system(1);", one_page()], ids=["zip", "program", "php", "pdf"]
)
def test_a_picture_may_have_no_other_file_in_it(inside: bytes) -> None:
    assert reason(png(before=[chunk(b"teSt", inside)]), PNG) is Reason.POLYGLOT
    assert reason(jpeg(notes=[segment(0xFE, inside)]), JPEG) is Reason.POLYGLOT


# --- PNG ---------------------------------------------------------------------------------------------


def headed(width: int, height: int, *rest: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, *rest)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (headed(20_000, 20_000, 8, 2, 0, 0, 0), Reason.TOO_MANY_PIXELS),
        (headed(2**31, 2**31, 1, 0, 0, 0, 0), Reason.TOO_MANY_PIXELS),
        (headed(0, 5, 8, 2, 0, 0, 0), Reason.DAMAGED),
        (headed(5, 0, 8, 2, 0, 0, 0), Reason.DAMAGED),
        (headed(5, 5, 3, 2, 0, 0, 0), Reason.DAMAGED),
        (headed(5, 5, 8, 5, 0, 0, 0), Reason.DAMAGED),
        (headed(5, 5, 8, 2, 1, 0, 0), Reason.DAMAGED),
        (headed(5, 5, 8, 2, 0, 1, 0), Reason.DAMAGED),
        (headed(5, 5, 8, 2, 0, 0, 2), Reason.DAMAGED),
        (headed(5, 5, 8, 2, 0, 0, 0), Reason.DAMAGED),  # no pixels come
    ],
)
def test_the_header_of_a_png(made: bytes, expected: Reason) -> None:
    assert reason(made, PNG) is expected


def test_a_png_of_exactly_the_limit_is_taken() -> None:
    assert reason(png(100, 100, depth=1, colour=0), PNG, Limits(pixels=10_000)) is None
    assert reason(png(101, 100, depth=1, colour=0), PNG, Limits(pixels=10_000)) is Reason.TOO_MANY_PIXELS


def test_a_png_bomb_is_refused() -> None:
    bomb = zlib.compress(bytes(300_000_000), 9)
    assert reason(png(packed=bomb), PNG) is Reason.BOMB
    assert reason(png(packed=bomb, pieces=7), PNG) is Reason.BOMB
    # as large as it says: 40 megapixels of nothing are a picture
    assert reason(png(6000, 6000, colour=6), PNG) is None


def test_pixels_in_pieces() -> None:
    assert reason(png(300, 200, pieces=40), PNG) is None
    packed = zlib.compress(bytes(22 * 5))
    parted = png(packed=packed, pieces=2).replace(chunk(b"IDAT", packed[: -(-len(packed) // 2)]), b"", 1)
    assert reason(parted, PNG) is Reason.DAMAGED
    apart = png(packed=packed[:9], after=[chunk(b"tIME", bytes(7)), chunk(b"IDAT", packed[9:])])
    assert reason(apart, PNG) is Reason.DAMAGED


def test_bytes_behind_the_pixels_are_refused() -> None:
    packed = zlib.compress(bytes(22 * 5))
    assert reason(png(packed=packed + b"x"), PNG) is Reason.TRAILING_DATA
    assert reason(png(packed=packed, after=[chunk(b"IDAT", b"x")]), PNG) is Reason.TRAILING_DATA
    long = zlib.compress(np.random.default_rng(1).bytes(901 * 300), 0)  # over many pieces of input
    assert reason(png(300, 300, packed=long + bytes(70_000)), PNG) is Reason.TRAILING_DATA
    assert reason(png(300, 300, packed=long), PNG) is None


def test_bytes_behind_pixels_that_end_with_a_piece_of_input_are_refused() -> None:
    packed = zlib.compress(bytes(7 * 2339), 0)
    assert len(packed) == 1 << 14
    assert reason(png(2338, 7, colour=0, packed=packed), PNG) is None
    assert reason(png(2338, 7, colour=0, packed=packed + b"x"), PNG) is Reason.TRAILING_DATA


@pytest.mark.parametrize("at", range(8, len(png())))
def test_any_changed_byte_of_a_png_is_noticed(at: int) -> None:
    whole = bytearray(png())
    whole[at] ^= 0x01
    assert reason(bytes(whole), PNG) is not None


def test_chunks_of_a_png() -> None:
    assert reason(png(before=[chunk(b"tEXt", b"Title\x00Report")]), PNG) is None
    assert reason(png(before=[chunk(b"NEWS", b"")]), PNG) is Reason.DAMAGED
    assert reason(png(before=[chunk(b"acTL", bytes(8))]), PNG) is Reason.UNSUPPORTED
    assert reason(png(before=[chunk(b"ab1d", b"")]), PNG) is Reason.DAMAGED
    assert reason(png(before=[chunk(b"teSt", b"")] * 30_000), PNG) is Reason.TOO_COMPLEX
    assert reason(png(depth=8, colour=3), PNG) is Reason.DAMAGED  # no palette
    ended = png().replace(chunk(b"IEND", b""), chunk(b"IEND", b"x"))
    assert reason(ended, PNG) is Reason.DAMAGED
    headless = png()
    assert reason(headless[:8] + headless[33:], PNG) is Reason.DAMAGED


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_notes_of_a_png_may_not_grow_beyond_measure(kind: bytes) -> None:
    def note(text: bytes) -> bytes:
        packed = zlib.compress(text, 9)
        return chunk(kind, b"Note\x00" + (b"\x01\x00\x00\x00" if kind == b"iTXt" else b"\x00") + packed)

    assert reason(png(before=[note(b"short")]), PNG) is None
    assert reason(png(before=[note(bytes(50_000_000))]), PNG) is Reason.BOMB
    assert reason(png(before=[note(b"short")[:-4] + b"abcd"]), PNG) is Reason.DAMAGED
    broken = chunk(kind, b"Note\x00" + (b"\x01\x00\x00\x00" if kind == b"iTXt" else b"\x00") + b"no zlib")
    assert reason(png(before=[broken]), PNG) is Reason.DAMAGED


XMP = b'<x:xmpmeta><rdf:Description exif:GPSLatitude="46,57.0N"/></x:xmpmeta>'
PROFILE = b"\nexif\n%8d\n" % 60


@pytest.mark.parametrize(
    "note",
    [
        chunk(b"eXIf", tiff(place=True)),
        chunk(b"iTXt", b"XML:com.adobe.xmp\x00\x00\x00\x00\x00" + XMP),
        chunk(b"iTXt", b"XML:com.adobe.xmp\x00\x01\x00en\x00XMP\x00" + zlib.compress(XMP)),
        chunk(b"tEXt", b"Comment\x00" + XMP),
        chunk(b"zTXt", b"Comment\x00\x00" + zlib.compress(XMP)),
        chunk(
            b"tEXt",
            b"Raw profile type exif\x00" + PROFILE + (b"Exif\x00\x00" + tiff(place=True)).hex().encode(),
        ),
        chunk(
            b"zTXt",
            b"Raw profile type APP1\x00\x00"
            + zlib.compress(PROFILE + (b"Exif\x00\x00" + tiff(place=True)).hex().encode()),
        ),
        chunk(b"zTXt", b"Raw profile type xmp\x00\x00" + zlib.compress(PROFILE + XMP.hex().encode())),
    ],
    ids=["exif", "xmp", "packed xmp", "text", "packed text", "raw exif", "packed raw exif", "raw xmp"],
)
def test_a_png_may_not_say_where(note: bytes) -> None:
    assert reason(png(before=[note]), PNG) is Reason.LOCATION
    assert reason(png(after=[note]), PNG) is Reason.LOCATION


def test_other_notes_of_a_png_are_taken() -> None:
    assert reason(png(before=[chunk(b"eXIf", tiff(place=False))]), PNG) is None
    raw = chunk(
        b"tEXt", b"Raw profile type exif\x00" + PROFILE + (b"Exif\x00\x00" + tiff(place=False)).hex().encode()
    )
    assert reason(png(before=[raw]), PNG) is None


# --- JPEG --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (jpeg(width=0), Reason.DAMAGED),
        (jpeg(height=0), Reason.UNSUPPORTED),
        (jpeg(width=60_000, height=60_000), Reason.TOO_MANY_PIXELS),
        (jpeg(frame=0xC3), Reason.UNSUPPORTED),
        (jpeg(frame=0xC9), Reason.UNSUPPORTED),
        (jpeg(frame=0xC1), None),
        (jpeg(frame=0xC2), None),
        (jpeg(scans=b""), Reason.DAMAGED),
        (jpeg(end=b""), Reason.DAMAGED),
        (jpeg(end=b"\xff"), Reason.DAMAGED),
        (jpeg(end=b"\xff\x00"), Reason.DAMAGED),
        (jpeg(scans=SCAN * 3), None),
        (jpeg(scans=SCAN * 100), Reason.BOMB),
        (jpeg(scans=SCAN[:-1] + b"\xff\x00\xff\xd0\x00\xff\x00"), None),
        (jpeg(scans=SCAN + b"\xff" * 1_000_000), None),
        (jpeg(scans=SCAN + b"\xff\xff\x00" * 500_000), None),
        (jpeg(notes=[segment(0x01, b"")]), Reason.DAMAGED),
        (jpeg(notes=[segment(0xFE, b""), b"\x00"]), Reason.DAMAGED),
        (jpeg(notes=[b"\xff\xfe\x00\x01"]), Reason.DAMAGED),
        (jpeg(notes=[b"\xff\xfe\xff\xff"]), Reason.DAMAGED),
        (jpeg(notes=[segment(0xFE, b"")] * 20_000), Reason.TOO_COMPLEX),
        (jpeg(notes=[jpeg()[2 : -2 - len(SCAN)]]), Reason.DAMAGED),
        (b"\xff\xd8\xff\xd9", Reason.DAMAGED),
        (b"\xff\xd8" + SCAN + b"\xff\xd9", Reason.DAMAGED),
    ],
)
def test_segments_of_a_jpeg(made: bytes, expected: Reason | None) -> None:
    assert reason(made, JPEG) is expected


@pytest.mark.parametrize(
    "note",
    [
        exif(tiff(place=True)),
        exif(tiff(place=True, order=">")),
        exif(tiff(place=True, tags=[0x1B])),
        exif(tiff(place=True, through_exif=True)),
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\x00" + XMP),
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\x00" + XMP.decode().encode("utf-16-le")),
        segment(0xE1, b"http://ns.adobe.com/xmp/extension/\x00" + bytes(40) + XMP[:40])
        + segment(0xE1, b"http://ns.adobe.com/xmp/extension/\x00" + bytes(40) + XMP[40:]),
    ],
    ids=["exif", "big-endian", "method", "second directory", "xmp", "xmp in utf-16", "long xmp"],
)
def test_a_jpeg_may_not_say_where(note: bytes) -> None:
    assert reason(jpeg(notes=[note]), JPEG) is Reason.LOCATION


@pytest.mark.parametrize(
    "note",
    [
        exif(tiff(place=False)),
        exif(tiff(place=True, tags=[0, 5, 6, 7])),  # version, height, time
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\x00" + XMP.replace(b"GPSLatitude", b"Model")),
    ],
)
def test_other_notes_of_a_jpeg_are_taken(note: bytes) -> None:
    assert reason(jpeg(notes=[note]), JPEG) is None


def in_a_circle() -> bytes:
    made = bytearray(tiff(place=False))
    made[-4:] = struct.pack("<I", 8)
    return bytes(made)


@pytest.mark.parametrize(
    "broken",
    [b"", b"II", b"XX*\x00", tiff(place=True)[:-30], tiff(place=False)[:12], in_a_circle()],
    ids=["nothing", "short", "no order", "cut off", "cut off early", "a circle"],
)
def test_notes_that_cannot_be_followed_are_refused(broken: bytes) -> None:
    """They may say where, to somebody who reads them better."""
    assert reason(jpeg(notes=[exif(broken)]), JPEG) is Reason.DAMAGED
    assert reason(png(before=[chunk(b"eXIf", broken)]), PNG) is Reason.DAMAGED


def test_json_is_no_picture() -> None:
    assert reason(GOOD[JSON], PDF) is Reason.NOT_THIS_TYPE
