"""Where the policy wants record numbers read back, nothing is kept for a person or handed on in the terminal before that was done."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from fpdf import FPDF

from client.parts import Kept
from tests.client.cli.conftest import Bench, Said
from tests.client.cli.test_kept import enrol, owed, scan
from tests.client.cli.test_kept import store as store  # noqa: PLC0414 (a fixture)

Command = Callable[..., Said]
CONFIRM = "--confirm-record-number"


@pytest.fixture
def letter(tmp_path: Path) -> Path:
    pdf = FPDF()
    pdf.add_page()
    file = tmp_path / "letter.pdf"
    file.write_bytes(bytes(pdf.output()))
    return file


@pytest.fixture
def guarded(command: Command, bench: Bench, store: Callable[[], Kept], letter: Path) -> str:
    """Ada (A 17) has a scan and a document and agrees; Ben (B 3) is here too; then the policy wants numbers. Returns the document's id."""
    command("people", "--add", "Ada", "--record-number", "A 17")
    command("people", "--add", "Ben", "--record-number", "B 3")
    command("people", "--add", "Zoë")
    enrol(store)
    command("people", "--share", "Ada", "yes", "--yes")
    scan(command, bench, "--person", "Ada")
    document = command("documents", "add", str(letter), "--person", "Ada").out.strip()

    def strict() -> Kept:
        kept = store()
        policy = replace(kept.policy, confirm_record_number=True, fhir_url="https://fhir.example.org")
        return replace(kept, policy=policy, send_fhir=lambda _: 1)

    bench.store = strict
    bench.asked.clear()
    return document


def unanswered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is there to be asked."""

    def prompt(*_: object, **__: object) -> str:
        raise typer.Abort

    monkeypatch.setattr(typer, "prompt", prompt)


def whole(store: Callable[[], Kept]) -> tuple[object, ...]:
    """What there is of Ada."""
    with store() as kept:
        [ada] = [one.id for one in kept.observations.people() if one.name == "Ada"]
        return (
            kept.observations.count(ada),
            len(kept.documents.list(ada)),
            len(kept.consents.all(ada)),
            kept.outbox.counts().pending,
        )


COMMANDS = {
    "scan": ("scan", "--video", "a.mp4", "--json", "--person", "Ada"),
    "scan --agree": ("scan", "--video", "a.mp4", "--json", "--person", "Ada", "--agree"),
    "documents add": ("documents", "add", "LETTER", "--again", "--person", "Ada"),
    "documents save": ("documents", "save", "DOCUMENT", "NEW.pdf"),
    "share": ("people", "--share", "Ada", "yes", "--yes"),
    "send-earlier": ("people", "--send-earlier", "Ada"),
    "export": ("export", "NEW.json", "--person", "Ada"),
    "report": ("report", "NEW.json", "--person", "Ada"),
    "send-fhir": ("send-fhir", "--person", "Ada"),
}


@pytest.mark.parametrize("what", COMMANDS)
def test_a_number_is_read_back_before_anything_is_kept_or_handed_on(
    command: Command,
    bench: Bench,
    store: Callable[[], Kept],
    guarded: str,
    letter: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
) -> None:
    places = {"LETTER": str(letter), "DOCUMENT": guarded}
    words = [
        str(tmp_path / word) if word.startswith("NEW") else places.get(word, word) for word in COMMANDS[what]
    ]
    before = whole(store)
    unanswered(monkeypatch)
    for flags, status, says in (
        ((), 2, "has to be read back first. Add --confirm-record-number N"),
        ((CONFIRM, "B 3"), 2, "belongs to somebody else"),
        ((CONFIRM, "99"), 2, "Nobody on this device has this record number"),
        ((CONFIRM, ""), 2, "Nobody on this device has this record number"),
    ):
        said = command(*words, *flags)
        assert said.status == status and says in said.err, said
        assert "Ben" not in said.err and "A 17" not in said.err  # nobody else's name, and not the answer
        assert whole(store) == before and bench.asked == [] and not list(tmp_path.glob("NEW*"))
    assert command(*words, CONFIRM, "\x02a17\r").status == 0
    monkeypatch.setattr(typer, "prompt", lambda *_, **__: "a17")
    assert command(*words, *(["--force"] if "NEW" in " ".join(COMMANDS[what]) else [])).status == 0


def test_whoever_has_no_number_and_guests_are_not_asked(
    command: Command, bench: Bench, guarded: str, letter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unanswered(monkeypatch)
    assert scan(command, bench, "--person", "Zoë").status == 0
    assert scan(command, bench).status == 0
    assert command("documents", "add", str(letter)).status == 0
    assert command("people", "--share", "Zoë", "yes", "--yes").status == 0
    assert scan(command, bench, CONFIRM, "A 17").status == 2  # a number, and for a guest


def test_consent_is_taken_back_without_a_number(
    command: Command, store: Callable[[], Kept], guarded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    unanswered(monkeypatch)
    assert owed(store) == 2
    assert command("people", "--share", "Ada", "no").status == 0 and owed(store) == 0


def test_without_such_a_policy_a_number_that_is_given_counts_all_the_same(
    command: Command, bench: Bench, store: Callable[[], Kept], guarded: str
) -> None:
    bench.store = store
    assert scan(command, bench, "--person", "Ada").status == 0
    bench.asked.clear()
    assert scan(command, bench, "--person", "Ada", CONFIRM, "B 3").status == 2 and bench.asked == []
    assert scan(command, bench, "--person", "Ada", CONFIRM, "A17").status == 0


def test_the_question_leaves_standard_output_to_programs(
    command: Command, guarded: str, letter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("a17\n"))
    said = command("documents", "add", str(letter), "--person", "Ada")
    assert said.status == 0 and said.out == f"{guarded}\n"
    assert "Record number of Ada, typed or scanned: " in said.err and "a17" not in said.err
    said = command("documents", "add", str(letter), "--person", "Ada")  # nobody answers any more
    assert said.status == 2 and said.out == "" and "\nError: On this computer" in said.err
