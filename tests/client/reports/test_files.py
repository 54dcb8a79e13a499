"""A report on the disk: whole or not at all, and a sentence when it is not."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from client.errors import BadInput, EnvironmentFault
from client.reports.files import check_free, check_target, write_report, write_table
from client.reports.pdf import render
from tests.client.cli.test_card import RECORD
from tests.client.reports.languages import in_language as in_language  # noqa: PLC0414 (a fixture)
from tests.client.reports.small_disk import small_disk as small_disk  # noqa: PLC0414 (a fixture)

HISTORY = tuple((datetime(2026, 11, day, 9, 0, tzinfo=UTC), 60.0 + day) for day in (3, 8, 15))
posix_only = pytest.mark.skipif(os.name == "nt", reason="Windows knows other rights and no tmpfs")


def test_a_json_report_is_the_contract(tmp_path: Path) -> None:
    write_report(RECORD, tmp_path / "result.JSON")
    assert json.loads((tmp_path / "result.JSON").read_text(encoding="ascii")) == RECORD.to_json()


def test_an_older_report_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    target = tmp_path / "result.json"
    target.write_text("old", encoding="ascii")
    write_report(RECORD, target)
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]
    assert "old" not in target.read_text(encoding="ascii")


@posix_only
def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    write_report(RECORD, tmp_path / "result.json")
    assert (tmp_path / "result.json").stat().st_mode & 0o077 == 0


def test_a_pdf_is_made_as_it_was_asked_for(tmp_path: Path) -> None:
    plain, whole = tmp_path / "plain.pdf", tmp_path / "whole.pdf"
    write_report(RECORD, plain)
    write_report(RECORD, whole, language="es", name="Ada", utc_offset_min=60, history=HISTORY)
    assert plain.read_bytes() == render(RECORD)
    assert whole.read_bytes() == render(RECORD, language="es", name="Ada", utc_offset_min=60, history=HISTORY)
    assert plain.read_bytes() != whole.read_bytes()


def test_data_stay_the_same_for_everybody(tmp_path: Path) -> None:
    write_report(RECORD, tmp_path / "result.json", language="ar", name="Ada", utc_offset_min=60)
    assert json.loads((tmp_path / "result.json").read_text(encoding="ascii")) == RECORD.to_json()


@pytest.mark.usefixtures("in_language")
def test_what_is_wrong_is_said_in_the_persons_language(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"«A report cannot be written as \.docx»") as caught:
        check_target(tmp_path / "result.docx")
    assert caught.value.remedy == "«Give a file name that ends in «.pdf or .json».»"
    with pytest.raises(EnvironmentFault, match=r"«its folder .*missing does not exist»") as missing:
        check_target(tmp_path / "missing" / "result.pdf")
    assert missing.value.remedy == "«Make the folder, or choose another one.»"


@pytest.mark.parametrize("name", ["result.docx", "result", "result.pdf.gz", ".pdf"])
def test_other_endings_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match=r"\.pdf or \.json"):
        check_target(tmp_path / name)


def test_a_folder_is_no_report(tmp_path: Path) -> None:
    (tmp_path / "result.pdf").mkdir()
    with pytest.raises(BadInput, match="folder"):
        check_target(tmp_path / "result.pdf")


def test_a_missing_folder_is_said_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(
        EnvironmentFault, match=rf"its folder {re.escape(str(tmp_path / 'missing'))} does not exist"
    ) as caught:
        write_report(RECORD, tmp_path / "missing" / "result.json")
    assert caught.value.remedy == "Make the folder, or choose another one."


@posix_only
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_the_right_to_write_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(EnvironmentFault, match="may not be written to"):
        write_report(RECORD, tmp_path / "result.json")


def test_an_export_is_not_called_a_report(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"An export cannot be written as \.xlsx") as caught:
        write_table([], ["a"], tmp_path / "all.xlsx")
    assert ".json or .csv" in caught.value.remedy
    with pytest.raises(BadInput, match="An export cannot be written as a file without an ending"):
        write_table([], ["a"], tmp_path / "all")
    (tmp_path / "all.csv").mkdir()
    with pytest.raises(BadInput, match="folder") as folder:
        write_table([], ["a"], tmp_path / "all.csv")
    assert "for the export" in folder.value.remedy
    with pytest.raises(EnvironmentFault, match=r"The export a\.csv could not be written: its folder .*gone"):
        write_table([], ["a"], tmp_path / "gone" / "a.csv")


def test_what_is_there_already_is_seen_even_as_a_link_to_nothing(tmp_path: Path) -> None:
    check_free(tmp_path / "a.json")
    (tmp_path / "a.json").write_text("mine")
    with pytest.raises(BadInput, match=r"a\.json is there already.*--force"):
        check_free(tmp_path / "a.json")
    if os.name != "nt":
        (tmp_path / "b.json").symlink_to(tmp_path / "nowhere")
        with pytest.raises(BadInput, match="is there already"):
            check_free(tmp_path / "b.json")


def test_a_really_full_disk_leaves_the_old_report_and_nothing_half_written(small_disk: Path) -> None:
    target = small_disk / "result.json"
    target.write_text("old", encoding="ascii")
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file:
        with pytest.raises(OSError, match="No space left"):
            file.writelines(bytes(4096) for _ in range(100))
    with pytest.raises(EnvironmentFault, match="the disk is full") as caught:
        write_report(RECORD, target)
    assert caught.value.exit_status == 4
    assert caught.value.remedy == "Free some space, or choose another disk."
    assert sorted(path.name for path in small_disk.iterdir()) == ["filler", "result.json"]
    assert target.read_text(encoding="ascii") == "old"
    filler.unlink()
    write_report(RECORD, target)
    assert json.loads(target.read_text(encoding="ascii"))["schema"]


def test_a_disk_that_is_read_only_is_said(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(EnvironmentFault, match="may not be written to"):
        write_report(RECORD, small_disk / "result.json")


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (28, "the disk is full"),
        (30, "may not be written to"),
        (13, "may not be written to"),
        (5, "Input/output"),
    ],
)
def test_what_the_system_refuses_while_writing_is_said_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, says: str
) -> None:
    def refuse(_handle: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("client.reports.files.os.fsync", refuse)
    with pytest.raises(EnvironmentFault, match=says):
        write_report(RECORD, tmp_path / "result.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="only Linux has files without a name")
def test_after_a_kill_in_the_middle_nothing_of_it_is_left(tmp_path: Path) -> None:
    """SIGKILL: no line of ours runs any more."""
    (tmp_path / "result.json").write_text("old", encoding="ascii")
    killed = (
        "import os, pathlib, signal\n"
        "from client.whole_file import whole_file\n"
        f"with whole_file(pathlib.Path({str(tmp_path)!r}, 'result.json')) as file:\n"
        "    file.write(b'of somebody' * 100_000)\n"
        "    file.flush()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", killed], check=False).returncode == -signal.SIGKILL
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]
    assert (tmp_path / "result.json").read_text(encoding="ascii") == "old"


def test_a_disk_without_nameless_files_is_written_to_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.whole_file.sys.platform", "darwin")
    target = tmp_path / ("ä" * 100 + ".json")
    for _ in range(2):
        write_report(RECORD, target)
    assert list(tmp_path.iterdir()) == [target]
    assert os.name == "nt" or target.stat().st_mode & 0o077 == 0


@posix_only
def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text("as it was", encoding="ascii")
    (tmp_path / "result.json").symlink_to(other)
    write_report(RECORD, tmp_path / "result.json")
    assert other.read_text(encoding="ascii") == "as it was"
    assert not (tmp_path / "result.json").is_symlink()
