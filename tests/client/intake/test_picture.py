"""What is left of a picture: its pixels, upright, and nothing else."""

from __future__ import annotations

import hashlib
import zlib

import cv2
import numpy as np
import pytest

from backend_lambda.services.inspection import inspect
from client.intake import picture
from client.intake.kinds import MediaType
from client.intake.refusals import Refusal, Refused
from edge_models.types import ByteArray
from tests.client.intake import making

PNG, JPEG = MediaType.PNG, MediaType.JPEG


def _kind(data: bytes) -> MediaType:
    return PNG if data.startswith(b"\x89PNG") else JPEG


def _server_finds_nothing(data: bytes) -> bool:
    return inspect(data, str(_kind(data)), hashlib.sha256(data).hexdigest()).reason is None


def _as_it_was_held(orientation: int, upright: ByteArray) -> ByteArray:
    """What the sensor saw, so that EXIF's orientation makes `upright` of it (CIPA DC-008, table of tag 0x0112)."""
    row_first = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright.transpose(1, 0, 2)[::-1, ::-1],
        8: np.rot90(upright, -1),
    }
    return np.ascontiguousarray(row_first[orientation])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_applied_and_gone(orientation: int, order: str) -> None:
    held = _as_it_was_held(orientation, making.scene())
    clean = picture.cleaned(making.telltale_jpeg(orientation, order, held), JPEG)
    image = making.decoded(clean.data)
    assert image.shape == (120, 180, 3)
    assert np.abs(image.astype(int) - making.scene()).mean() < 4.0
    assert (
        making.decoded(picture.cleaned(making.telltale_png(orientation, held), PNG).data) == making.scene()
    ).all()


@pytest.mark.parametrize("data", [making.telltale_jpeg(), making.telltale_png()], ids=["JPEG", "PNG"])
def test_nothing_but_pixels_is_left(data: bytes) -> None:
    assert any(secret in data for secret in making.SECRETS)
    assert not _server_finds_nothing(data)
    clean = picture.cleaned(data, _kind(data))
    assert clean.media_type is _kind(data)
    assert [secret for secret in making.SECRETS if secret in clean.data] == []
    assert _server_finds_nothing(clean.data)
    _image, kinds, _blocks = cv2.imdecodeWithMetadata(np.frombuffer(clean.data, np.uint8), cv2.IMREAD_COLOR)
    assert len(kinds) == 0


def test_only_the_usual_segments_and_chunks_are_left() -> None:
    jpeg = picture.cleaned(making.telltale_jpeg(), JPEG).data
    at, seen = 2, []
    while jpeg[at + 1] != 0xDA:
        seen.append(jpeg[at + 1])
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    assert set(seen) <= {0xE0, 0xDB, 0xC0, 0xC4}
    png = picture.cleaned(making.telltale_png(), PNG).data
    at, kinds = 8, set()
    while at < len(png):
        kinds.add(png[at + 4 : at + 8])
        at += 12 + int.from_bytes(png[at : at + 4], "big")
    assert kinds <= {b"IHDR", b"IDAT", b"IEND"}


def test_what_can_be_seen_through_is_on_white_paper() -> None:
    ink = np.zeros((40, 40, 4), np.uint8)
    ink[10:20, 10:20, 3] = 255
    ink[20:30, 20:30] = (0, 0, 200, 128)
    for alpha in (ink, ink.astype(np.uint16) * 257):
        image = making.decoded(picture.cleaned(making.encoded(alpha, ".png"), PNG).data)  # type: ignore[arg-type]  # 16 bits too
        assert (image[0, 0] == 255).all() and (image[15, 15] == 0).all()
        assert np.abs(image[25, 25].astype(int) - (127, 127, 227)).max() <= 1


def test_a_grey_picture_stays_grey_and_small() -> None:
    rng = np.random.default_rng(1)
    grey = np.repeat(rng.integers(0, 255, (200, 200, 1), dtype=np.uint8), 3, axis=2)
    clean = picture.cleaned(making.encoded(grey, ".png"), PNG)
    assert (making.decoded(clean.data) == grey).all()
    assert len(clean.data) < 42_000


def test_a_png_that_is_too_large_becomes_a_jpeg_and_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    noise = rng.integers(0, 255, (400, 400, 3), dtype=np.uint8)
    monkeypatch.setattr(picture, "MAX_BYTES", {PNG: 300_000, JPEG: 200_000})
    clean = picture.cleaned(making.encoded(noise, ".png"), PNG)
    assert clean.media_type is JPEG and not (clean.smaller and len(clean.data) < 100_000)
    assert len(clean.data) <= 200_000


def test_a_jpeg_that_is_too_large_is_made_smaller_until_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    noise = rng.integers(0, 255, (400, 600, 3), dtype=np.uint8)
    monkeypatch.setattr(picture, "MAX_BYTES", {PNG: 60_000, JPEG: 60_000})
    clean = picture.cleaned(making.encoded(noise, ".jpg"), JPEG)
    assert clean.smaller and 30_000 < len(clean.data) <= 60_000
    height, width = making.decoded(clean.data).shape[:2]
    assert abs(width / height - 1.5) < 0.02


def test_more_pixels_than_are_sent_are_halved_while_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "MAX_PIXELS", 120 * 180 - 1)
    clean = picture.cleaned(making.encoded(making.scene(), ".jpg"), JPEG)
    assert clean.smaller and making.decoded(clean.data).shape == (60, 90, 3)
    monkeypatch.setattr(picture, "MAX_PIXELS", 120 * 180 // 4 - 1)
    assert making.decoded(picture.cleaned(making.encoded(making.scene(), ".jpg"), JPEG).data).shape == (
        30,
        45,
        3,
    )


def test_letters_stay_legible() -> None:
    """Letters of 14 px keep their contrast, dark on light and red on blue."""
    page = np.full((400, 600, 3), 235, np.uint8)
    page[200:] = (150, 60, 40)
    for row in range(8):
        colour = (40, 40, 40) if row < 4 else (60, 60, 220)
        cv2.putText(
            page,
            "Blood pressure 120/80 mmHg",
            (20, 40 + 45 * row),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.5,
            colour,
            1,
            cv2.LINE_AA,
        )
    image = making.decoded(picture.as_jpeg(page).data)
    assert np.abs(image.astype(int) - page).max() < 40
    assert cv2.PSNR(image, page) > 38.0


def test_bombs_and_broken_pictures_are_refused() -> None:
    rows = zlib.compress(bytes(100 * 301))
    cases: list[tuple[bytes, Refusal]] = [
        (making.png_of(100, 100, zlib.compress(bytes(50_000_000))), Refusal.BOMB),
        (making.png_of(100, 100, rows[:-8]), Refusal.DAMAGED),
        (making.png_of(100, 101, rows), Refusal.DAMAGED),
        (making.png_of(0, 100, rows), Refusal.DAMAGED),
        (making.png_of(100, 100, rows, depth=3), Refusal.DAMAGED),
        (making.png_of(20_000, 20_000, rows), Refusal.TOO_MANY_PIXELS),
        (making.encoded(making.scene(), ".png").replace(b"IDAT", b"IDAU"), Refusal.DAMAGED),
        (
            making.telltale_png()[:33] + making.chunk(b"acTL", bytes(8)) + making.telltale_png()[33:],
            Refusal.UNSUPPORTED,
        ),
    ]
    for data, refusal in cases:
        with pytest.raises(Refused) as caught:
            picture.cleaned(data, PNG)
        assert caught.value.refusal is refusal


def test_hostile_jpegs_are_refused_before_they_are_decoded() -> None:
    plain = making.encoded(making.scene(), ".jpg")
    scan = plain[plain.index(b"\xff\xda") : -2]
    frame = plain.index(b"\xff\xc0")
    cases: list[tuple[bytes, Refusal]] = [
        (plain[:-2] + scan * 70 + plain[-2:], Refusal.BOMB),
        (plain.replace(b"\xff\xc0", b"\xff\xc3"), Refusal.UNSUPPORTED),
        (plain[:frame] + plain[frame : frame + 19] + plain[frame:], Refusal.DAMAGED),
        (plain[:-2], Refusal.DAMAGED),
        (plain[:2] + b"\xff\xd9", Refusal.DAMAGED),
        (plain[:2] + making.segment(0xFE, b"") * 20_001 + plain[2:], Refusal.TOO_COMPLEX),
    ]
    for data, refusal in cases:
        with pytest.raises(Refused) as caught:
            picture.cleaned(data, JPEG)
        assert caught.value.refusal is refusal


def test_any_damage_is_a_refusal_or_a_picture() -> None:
    """A thousand files with some bytes changed."""
    rng = np.random.default_rng(4)
    for data in (making.telltale_jpeg(), making.telltale_png()):
        for _ in range(500):
            broken = bytearray(data)
            for at in rng.integers(3, len(broken), 4):
                broken[at] = int(rng.integers(256))
            try:
                clean = picture.cleaned(bytes(broken), _kind(data))
            except Refused:
                continue
            assert _server_finds_nothing(clean.data)


def test_a_small_copy_to_look_at_has_the_size_that_was_asked_for() -> None:
    data = picture.as_jpeg(making.scene(1200, 1800)).data
    assert picture.small(data, 300).shape == (200, 300, 3)
    assert picture.small(data, 9999).shape == (1200, 1800, 3)
