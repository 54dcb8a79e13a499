"""Documents in the terminal: what is said of each, the same one twice, and the question before one is deleted."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fpdf import FPDF

from client.parts import Kept
from tests.client.cli.conftest import Said
from tests.client.cli.test_kept import answers, enrol, owed
from tests.client.cli.test_kept import store as store  # noqa: PLC0414 (a fixture)

Command = Callable[..., Said]


@pytest.fixture
def letter(tmp_path: Path) -> Path:
    return a_pdf(tmp_path / "letter.pdf", pages=3)


def a_pdf(file: Path, pages: int = 1) -> Path:
    pdf = FPDF()
    for _ in range(pages):
        pdf.add_page()
    file.write_bytes(bytes(pdf.output()))
    return file


def ids(command: Command, *flags: str) -> set[str]:
    return {line.split()[0] for line in command("documents", "list", *flags).out.splitlines() if "  " in line}


def test_each_file_is_told_with_its_pages_size_and_for_whom(
    command: Command, letter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command("people", "--add", "Ada")
    note = a_pdf(tmp_path / "note.pdf")
    monkeypatch.setattr(type(sys.stderr), "isatty", lambda _: True)
    said = command("documents", "add", str(letter), str(note), "--person", "ada")
    assert said.status == 0
    assert set(said.out.split()) == ids(command, "--person", "Ada")  # and nothing else, for programs
    size = f"{letter.stat().st_size / 1000:.1f} kB"
    assert f"Added: letter.pdf (3 pages, {size}) for Ada. Its ID:" in said.err
    assert "Added: note.pdf (1 page, " in said.err
    assert "for the guest" in command("documents", "add", str(note)).err


def test_where_it_is_redirected_nobody_is_named(command: Command, letter: Path) -> None:
    command("people", "--add", "Ada")
    for said in (command("documents", "add", str(letter), "--person", "Ada") for _ in range(2)):
        assert "file 1 of 1 (3 pages, " in said.err and "for the person named" in said.err
        assert "Ada" not in said.err and "letter" not in said.err


def test_the_same_file_twice_is_said_and_kept_once_unless_it_is_wanted(
    command: Command, letter: Path, tmp_path: Path
) -> None:
    command("people", "--add", "Ada")
    command("people", "--add", "Ben")
    first = command("documents", "add", str(letter), "--person", "Ada").out.strip()
    renamed = tmp_path / "other name.pdf"
    renamed.write_bytes(letter.read_bytes())
    said = command("documents", "add", str(renamed), "--person", "Ada")
    assert (said.status, said.out.strip()) == (0, first) and "is kept already, since " in said.err
    assert "--again" in said.err and ids(command, "--person", "Ada") == {first}
    assert command("documents", "add", str(letter), "--person", "Ben").out.strip() != first
    assert command("documents", "add", str(letter)).out.strip() != first
    second = command("documents", "add", str(letter), "--person", "Ada", "--again").out.strip()
    assert ids(command, "--person", "Ada") == {first, second}


def test_the_same_file_twice_in_one_go_is_kept_once(command: Command, letter: Path) -> None:
    said = command("documents", "add", str(letter), str(letter))
    one, other = said.out.split()
    assert one == other and ids(command) == {one} and "file 2 of 2" in said.err


def test_what_was_deleted_or_is_damaged_is_added_again(
    command: Command, store: Callable[[], Kept], letter: Path
) -> None:
    first = command("documents", "add", str(letter)).out.strip()
    with store() as kept:
        kept.documents.path_of(first).write_bytes(b"nonsense")
    second = command("documents", "add", str(letter)).out.strip()
    assert second != first
    command("documents", "remove", second, "--yes")
    assert command("documents", "add", str(letter)).out.strip() not in {first, second}


def test_a_guest_who_agrees_is_shown_to_what_and_theirs_is_sent_though_another_brought_the_same(
    command: Command, store: Callable[[], Kept], letter: Path
) -> None:
    enrol(store)
    command("documents", "add", str(letter))
    said = command("documents", "add", str(letter), "--share")
    assert "May this also be sent to the clinic at cloud.example?" in said.err
    assert owed(store) == 1 and len(ids(command)) == 2


@pytest.mark.parametrize(("answer", "status"), [(True, 0), (False, 130), (None, 2)])
def test_a_file_is_deleted_only_where_somebody_says_so(
    command: Command, letter: Path, monkeypatch: pytest.MonkeyPatch, answer: bool | None, status: int
) -> None:
    id_ = command("documents", "add", str(letter)).out.strip()
    asked = answers(monkeypatch, answer)
    said = command("documents", "remove", id_)
    assert said.status == status and ids(command) == (set() if answer else {id_})
    assert asked == ["Delete letter.pdf? It can be put back in the window for 30 days."]
