"""Everything in one file: whole or not at all, named safely, stopped at once when asked."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.errors import BadInput, EnvironmentFault, Interrupted
from client.reports import fhir
from client.reports.exports import KINDS, check, kind_of, name_of, write
from client.reports.proof import digest, digest_of_row
from tests.client.reports.kept import WHOLE, document, everything, scan
from tests.client.reports.pages import page_count
from tests.client.reports.small_disk import small_disk as small_disk  # noqa: PLC0414 (a fixture)

ONE_OF_EACH = ["all.zip", "all.fhir.json", "all.pdf", "all.json", "all.csv"]


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_every_kind_is_whole_and_its_owners_alone(tmp_path: Path, name: str) -> None:
    seen: list[float] = []
    assert write(everything(), tmp_path / name, progress=seen.append).left_out == ()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    if os.name != "nt":
        assert (tmp_path / name).stat().st_mode & 0o077 == 0
    assert seen == sorted(seen) and seen[-1] == 1.0 and seen[0] > 0.0
    first = (tmp_path / name).read_bytes()
    write(everything(), tmp_path / name)
    assert (tmp_path / name).read_bytes() == first, "the same again is the same"


def test_what_is_in_each(tmp_path: Path) -> None:
    for name in ONE_OF_EACH:
        write(everything(), tmp_path / name)
    whole = json.loads((tmp_path / "all.json").read_bytes())
    assert [digest_of_row(row) for row in whole["observations"]] == [digest(scan(n).record) for n in (2, 1)]
    assert json.loads((tmp_path / "all.fhir.json").read_bytes()) == json.loads(
        b"".join(fhir.pieces(everything()))
    )
    table = list(csv.DictReader((tmp_path / "all.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["heart_rate"] for row in table] == ["61.5", "61.5"]
    assert page_count((tmp_path / "all.pdf").read_bytes()) >= 1


def test_a_folder_of_everything(tmp_path: Path) -> None:
    kept = everything(
        documents=(document(1, "../../etc/passwd"), document(2, "Letter"), document(3, "Letter"))
    )
    write(kept, tmp_path / "all.zip", report=lambda one: one.id.encode())
    with zipfile.ZipFile(tmp_path / "all.zip") as folder:
        assert folder.testzip() is None
        names = folder.namelist()
        assert names == [
            "health-helper/everything.json",
            "health-helper/everything.csv",
            "health-helper/everything.fhir.json",
            "health-helper/everything.pdf",
            "health-helper/documents/001 etc-passwd.pdf",
            "health-helper/documents/002 Letter.pdf",
            "health-helper/documents/003 Letter.pdf",
        ]
        assert folder.read(names[5]) == WHOLE
        bundle = json.loads(folder.read(names[2]))
        places = [
            one["resource"]["content"][0]["attachment"]["url"]
            for one in bundle["entry"]
            if one["resource"]["resourceType"] == "DocumentReference"
        ]
        assert places == [f"documents/{name.rpartition('/')[2].replace(' ', '%20')}" for name in names[4:]]
        assert {info.external_attr >> 16 for info in folder.infolist()} == {0o600}
        assert {info.date_time for info in folder.infolist()} == {(2026, 11, 20, 10, 30, 0)}


@pytest.mark.parametrize("how", ["cut", "changed", "fails"])
def test_a_damaged_document_is_left_out_and_named(tmp_path: Path, how: str) -> None:
    def read() -> Iterator[bytes]:
        if how == "fails":
            yield WHOLE[:100]
            raise EnvironmentFault(title="damaged", remedy="Add it again.")
        yield WHOLE[:-1] if how == "cut" else b"X" + WHOLE[1:]

    kept = everything(documents=(document(1, "Broken", read=read), document(2, "Good")))
    assert write(kept, tmp_path / "all.zip").left_out == ("Broken",)
    with zipfile.ZipFile(tmp_path / "all.zip") as folder:
        assert [name for name in folder.namelist() if "documents/" in name] == [
            "health-helper/documents/001 Good.pdf"
        ]


def test_a_large_document_is_never_in_memory_whole(tmp_path: Path) -> None:
    """It is handed out in pieces, and the next one is asked for only when the last was taken."""
    piece, count, held = bytes(1_000_000), 40, [0]

    def read() -> Iterator[bytes]:
        for _ in range(count):
            yield piece

    sha256 = hashlib.sha256(piece * count).hexdigest()
    large = document(1, "Large", read=read, length_bytes=len(piece) * count, sha256=sha256)
    import tracemalloc

    tracemalloc.start()
    try:
        write(everything(documents=(large,)), tmp_path / "all.zip")
        held[0] = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert held[0] < 25_000_000


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_stopped_at_any_moment_it_leaves_what_was_there(tmp_path: Path, name: str) -> None:
    target = tmp_path / name
    asked = [0]

    def count() -> bool:
        asked[0] += 1
        return False

    write(everything(), target, cancelled=count)
    target.write_bytes(b"old")
    for moment in {1, asked[0] // 2 or 1, asked[0]}:
        left = [moment]

        def now() -> bool:
            left[0] -= 1  # noqa: B023 (called in this round only)
            return left[0] <= 0  # noqa: B023 (as above)

        with pytest.raises(Interrupted, match="The export was stopped"):
            write(everything(), target, cancelled=now)
        assert target.read_bytes() == b"old"
        assert list(tmp_path.iterdir()) == [target]


def test_what_fails_while_it_is_read_leaves_what_was_there(tmp_path: Path) -> None:
    def broken() -> Iterator[dict[str, object]]:
        yield {"id": "a"}
        raise EnvironmentFault(title="the store", remedy="Open it again.")

    (tmp_path / "all.csv").write_bytes(b"old")
    with pytest.raises(EnvironmentFault, match="the store"):
        write(everything(rows=broken), tmp_path / "all.csv")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("all.csv", b"old")]


def test_a_full_disk_is_said_and_leaves_nothing(small_disk: Path) -> None:
    with pytest.raises(EnvironmentFault, match=r"The export all\.zip could not be written: the disk is full"):
        write(everything(documents=(document(whole=os.urandom(60_000)),)), small_disk / "all.zip")
    assert list(small_disk.iterdir()) == []


@pytest.mark.parametrize("name", ["all", "all.txt", "all.xml", ".zip", ".fhir.json"])
def test_other_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match="An export cannot be written"):
        check(tmp_path / name)


def test_the_longer_ending_counts() -> None:
    assert [kind_of(Path(f"a{kind.upper()}")) for kind in KINDS] == list(KINDS)
    assert kind_of(Path("a.txt")) is None


@given(st.text(max_size=30), st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False)))
def test_no_cell_of_a_table_is_a_formula(text: str, number: object) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "all.csv"
        row = {"id": text, "kind": f"={text}", "taken_at": number, "heart_rate": ["=1+1"], "other": "x"}
        write(everything(rows=lambda: iter([row])), path)
        ((_, *cells),) = [list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))]
        assert len(cells) == 1 and len(cells[0]) == 4
        for cell in cells[0]:
            assert not cell or cell[0].isalnum() or float(cell) <= 0.0


@given(st.text(max_size=250), st.sampled_from(["application/pdf", "image/png", "x/y"]))
def test_a_title_makes_a_name_that_every_system_takes(title: str, media_type: str) -> None:
    name = name_of(replace(document(), title=title, media_type=media_type), 7)
    assert name.startswith("007") and len(name.encode("utf-8")) <= 160
    assert name.endswith({"application/pdf": ".pdf", "image/png": ".png", "x/y": ".bin"}[media_type])
    assert PureWindowsPath(name).name == name and Path(name).name == name
    assert not set(name) & set('<>:"/\\|?*\x00\n\u202e') and ".." not in name
    assert name == name.strip() and not name.removesuffix(".pdf").endswith((" ", "."))


def test_a_title_with_its_ending_does_not_get_it_twice() -> None:
    assert name_of(document(title="Blood count 2026-03.pdf"), 1) == "001 Blood count 2026-03.pdf"
    assert name_of(document(title="رسالة الطبيب"), 2) == "002 رسالة الطبيب.pdf"
    assert name_of(document(title="…"), 3) == "003.pdf"
