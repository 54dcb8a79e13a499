"""A copy is whole, or what was there before is still there."""

from __future__ import annotations

import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from client.errors import EnvironmentFault
from client.pipeline.handing_on import write_copy


def test_a_copy_replaces_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "copy.pdf"
    path.write_bytes(b"old")
    write_copy([b"ab", b"c"], path)
    assert path.read_bytes() == b"abc"
    assert list(tmp_path.iterdir()) == [path]
    assert sys.platform == "win32" or stat.S_IMODE(path.stat().st_mode) == 0o600  # it is not encrypted


def test_a_copy_may_have_the_longest_name(tmp_path: Path) -> None:
    path = tmp_path / ("\u5831" * 83 + ".pdf")  # 253 bytes
    write_copy([b"a"], path)
    assert path.read_bytes() == b"a"


def test_a_document_that_turns_out_damaged_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "copy.pdf"
    path.write_bytes(b"old")

    def chunks() -> Iterator[bytes]:
        yield b"ab"
        raise EnvironmentFault(title="damaged", remedy="Add it again.")

    with pytest.raises(EnvironmentFault, match="damaged"):
        write_copy(chunks(), path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match=r"copy\.pdf could not be written"):
        write_copy([b"x"], tmp_path / "nothing" / "copy.pdf")
