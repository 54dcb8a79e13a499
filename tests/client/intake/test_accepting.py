"""What is handed in: by what is in it, never by its name; whatever it is, nothing hangs."""

from __future__ import annotations

import io
import os
import socket
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from client.errors import BadInput, EnvironmentFault, Interrupted
from client.intake import accept, accept_picture
from client.intake.accepting import LONGEST_TITLE, cleaned_title
from client.intake.limits import MAX_READ_BYTES
from tests.client.intake import making
from tests.client.store.conftest import open_folder, rights

__all__ = ["open_folder"]


def _file(folder: Path, data: bytes, name: str = "from the clinic.dat") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("data", "media_type", "pages"),
    [
        (making.report(3), "application/pdf", 3),
        (making.encoded(making.scene(), ".png"), "image/png", 1),
        (making.encoded(making.scene(), ".jpg"), "image/jpeg", 1),
    ],
)
def test_the_type_is_told_by_what_is_in_it(tmp_path: Path, data: bytes, media_type: str, pages: int) -> None:
    found = accept(_file(tmp_path, data, "x.exe"))
    assert (found.media_type, found.pages, found.title) == (media_type, pages, "x.exe")
    assert b"".join(found.chunks()) == found.data and found.length_bytes == len(found.data)
    if media_type == "application/pdf":
        assert found.data == data  # byte for byte
    assert found.notes == ()


def _zipped(name: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(name, "x")
    return made.getvalue()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00", "HEIC"),
        (b"\x00\x00\x00\x18ftypavif\x00\x00\x00\x00", "AVIF"),
        (b"\x00\x00\x00\x18ftypisom\x00\x00\x00\x00", "a video"),
        (b"RIFF\x10\x00\x00\x00WEBPVP8 ", "WebP"),
        (b"GIF89a\x01\x00\x01\x00", "GIF"),
        (b"II*\x00\x08\x00\x00\x00", "TIFF"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), "office document"),
        (_zipped("[Content_Types].xml"), "office document"),
        (_zipped("holiday.txt"), "ZIP archive"),
        (b"MZ\x90\x00" + bytes(100), "a program"),
        (b"\x7fELF\x02\x01\x01", "a program"),
        (b"#!/bin/sh\nrm -rf /\n", "a program"),
        ("Größe 1,80 m, gemessen am Dienstag …\n".encode() * 60, "but text"),
        (b"<html><script>alert(1)</script></html>", "but text"),
        (b"junk before it %PDF-1.7", "in front of a PDF"),
        (bytes(128) + b"DICM" + bytes(100), "DICOM"),
        (bytes(range(1, 256)) * 4, "is no PDF, JPEG or PNG"),
    ],
)
def test_what_is_not_taken_is_called_by_its_name(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(BadInput) as caught:
        accept(_file(tmp_path, data, "report.pdf"))
    assert words in caught.value.title and "report.pdf" in caught.value.title
    assert caught.value.remedy.endswith(".")


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    """A pipe without anybody at its other end, devices, a socket, a folder, a link to itself, nothing."""
    folder = tmp_path / "s"
    folder.mkdir()
    pipe, loop = folder / "pipe", folder / "loop"
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    with socket.socket(socket.AF_UNIX) as listening:
        here = Path.cwd()
        os.chdir(folder)  # an address of a socket has 100 letters at most
        try:
            listening.bind("socket")
        finally:
            os.chdir(here)
        for path in (pipe, Path("/dev/zero"), Path("/dev/tty"), folder / "socket"):
            with pytest.raises(BadInput, match="no file but a device"):
                accept(path)
    with pytest.raises(BadInput, match="is a folder"):
        accept(folder)
    with pytest.raises(EnvironmentFault, match="could not be read"):
        accept(loop)
    with pytest.raises(BadInput, match="is not there"):
        accept(folder / "nothing")
    with pytest.raises(BadInput, match="no name of a file"):
        accept(Path("a\x00b"))


def test_a_link_to_a_file_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "link.pdf").symlink_to(_file(tmp_path, making.report(1)))
    assert accept(tmp_path / "link.pdf").pages == 1


def test_a_file_of_somebody_else_may_not_be_read(open_folder: Path) -> None:
    path = _file(open_folder, making.report(1), "theirs.pdf")
    with rights(0o000, path), pytest.raises(EnvironmentFault, match="may not be read"):
        accept(path)


def test_too_large_is_said_before_it_is_read(tmp_path: Path) -> None:
    """A sparse file of 3 GB: reading it would take its time and its memory."""
    path = _file(tmp_path, b"%PDF-1.7\n")
    os.truncate(path, 3_000_000_000)
    read: list[int] = []
    with pytest.raises(BadInput, match=r"has 3000.0 MB; at most 20 MB are taken"):
        accept(path, progress=lambda done, _all: read.append(done))
    assert read == []


@pytest.mark.parametrize("change", ["grows", "shrinks", "is written over"])
def test_a_file_that_changes_while_it_is_read_is_not_taken(tmp_path: Path, change: str) -> None:
    data = b"%PDF-1.7\n" + bytes(3_000_000)
    path = _file(tmp_path, data)
    changed: list[bool] = []

    def meddle(_done: int, _all: int) -> None:
        if changed:
            return
        changed.append(True)
        if change == "grows":
            with path.open("ab") as file:
                file.write(b"more")
        elif change == "shrinks":
            os.truncate(path, 2_000_000)
        else:
            with path.open("r+b") as file:
                file.write(b"%PDF-1.4")
            os.utime(path, ns=(1, 1))

    with pytest.raises(BadInput, match="changed while it was read") as caught:
        accept(path, progress=meddle)
    assert caught.value.retry


def test_it_can_be_cancelled_while_it_is_read_and_while_it_is_looked_at(tmp_path: Path) -> None:
    path = _file(tmp_path, making.report(1) + b"\n" * 3_000_000)
    with pytest.raises(Interrupted):
        accept(path, cancelled=lambda: True)
    read: list[int] = []
    with pytest.raises(Interrupted):
        accept(
            path,
            cancelled=lambda: bool(read) and read[-1] > 3_000_000,
            progress=lambda done, _all: read.append(done),
        )


def test_progress_goes_up_to_all_of_it(tmp_path: Path) -> None:
    data = making.report(1) + b"\n" * 2_500_000
    told: list[tuple[int, int]] = []
    accept(_file(tmp_path, data), progress=lambda done, everything: told.append((done, everything)))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1] == (len(data), len(data))


def test_a_title_is_one_line_that_hides_nothing() -> None:
    assert cleaned_title("scan\u202egpj.exe\n\t2") == "scangpj.exe 2"
    assert cleaned_title("\u200b\x00\n ") == "Document"
    assert len(cleaned_title("x" * 999)) == LONGEST_TITLE
    assert cleaned_title("bad\udcff.pdf") == "bad?.pdf"


def test_a_photograph_becomes_a_jpeg_with_nothing_but_pixels() -> None:
    found = accept_picture(making.scene(), "Page 1")
    assert (found.media_type, found.pages, found.title) == ("image/jpeg", 1, "Page 1")
    assert np.abs(making.decoded(found.data).astype(int) - making.scene()).mean() < 1.5
    with pytest.raises(BadInput, match="40 million pixels"):
        accept_picture(np.zeros((6500, 6500, 3), np.uint8), "Page 1")


def test_the_limits_are_those_of_the_server() -> None:
    from backend_lambda.services import uploads
    from backend_lambda.services.inspection.findings import LIMITS
    from client.intake.limits import MAX_BYTES, MAX_PAGES, MAX_PIXELS

    assert (LIMITS.pages, LIMITS.pixels) == (MAX_PAGES, MAX_PIXELS)
    assert set(MAX_BYTES.values()) == {uploads._PDF_BYTES, uploads._PICTURE_BYTES}
    assert MAX_READ_BYTES["application/pdf"] == uploads._PDF_BYTES  # type: ignore[index]  # its keys are these words


@pytest.mark.parametrize("cut", [5, 40, 200, -30, -1])
@pytest.mark.parametrize(
    "data", [making.report(2), making.encoded(making.scene(), ".png"), making.encoded(making.scene(), ".jpg")]
)
def test_what_is_cut_off_is_not_taken(tmp_path: Path, data: bytes, cut: int) -> None:
    path = _file(tmp_path, data[:cut])
    if data.startswith(b"%PDF") and cut == -1:  # a line end, which may be missing
        assert accept(path).pages == 2
    else:
        with pytest.raises(BadInput):
            accept(path)


def test_a_picture_that_says_it_is_huge_is_refused_by_its_header(tmp_path: Path) -> None:
    for data in (
        making.png_of(60_000, 60_000, b"x"),
        making.encoded(making.scene(), ".jpg").replace(
            struct.pack(">HH", 120, 180), struct.pack(">HH", 65_000, 65_000)
        ),
    ):
        with pytest.raises(BadInput, match="40 million pixels"):
            accept(_file(tmp_path, data))
