"""People in the terminal: renamed, their record number changed, asked what they agree to."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from client.parts import Kept
from tests.client.cli.conftest import Bench, Said
from tests.client.cli.test_kept import answers, enrol, owed, scan
from tests.client.cli.test_kept import store as store  # noqa: PLC0414 (a fixture)

Command = Callable[..., Said]


def test_somebody_gets_another_name_and_keeps_what_is_theirs(command: Command, bench: Bench) -> None:
    command("people", "--add", "Ada Byron")
    command("people", "--add", "Ben")
    scan(command, bench, "--person", "Ada Byron")
    said = command("people", "--rename", "ada byron", "Ada  Lovelace")
    assert said.status == 0 and "Renamed" in said.err
    assert "Ada Lovelace  (1 kept)" in said.out and "Byron" not in said.out
    assert command("people", "--rename", "Ada Lovelace", "ben").status == 2
    assert command("people", "--rename", "Ada Lovelace", " ").status == 2
    assert command("people", "--rename", "Nobody", "Somebody").status == 2


def test_a_record_number_is_changed_given_and_taken_away_and_never_shown(
    command: Command, store: Callable[[], Kept]
) -> None:
    command("people", "--add", "Ada", "--record-number", "A 17")
    command("people", "--add", "Ben")

    def numbers() -> list[str | None]:
        with store() as kept:
            return [one.record_number for one in kept.observations.people()]

    for name, number, then in (
        ("Ada", "A 18", ["A 18", None]),
        ("ben", "B 3", ["A 18", "B 3"]),
        ("Ada", "", [None, "B 3"]),
    ):
        said = command("people", "--person", name, "--record-number", number)
        assert said.status == 0 and numbers() == then
        assert "B 3" not in said.out + said.err and "A 1" not in said.out + said.err
    assert command("people", "--person", "Ada", "--record-number", "b3").status == 2
    assert numbers() == [None, "B 3"]


@pytest.mark.parametrize(
    "flags",
    [
        ("--person", "Ada"),
        ("--rename", "Ada", "Eva", "--record-number", "1"),
        ("--rename", "Ada", "Eva", "--delete", "Ada"),
        ("--rename", "Ada", "Eva", "--yes"),
        ("--add", "Eva", "--confirm-record-number", "1"),
        ("--yes",),
    ],
)
def test_what_does_not_go_together_changes_nothing(command: Command, flags: tuple[str, ...]) -> None:
    command("people", "--add", "Ada")
    said = command("people", *flags)
    assert said.status == 2 and "do not go together" in said.err
    assert "Ada  (0 kept)" in command("people").out


@pytest.mark.parametrize(("answer", "status"), [(True, 0), (False, 130), (None, 2)])
def test_somebody_is_asked_whether_they_agree(
    command: Command,
    store: Callable[[], Kept],
    monkeypatch: pytest.MonkeyPatch,
    answer: bool | None,
    status: int,
) -> None:
    command("people", "--add", "Ada")
    enrol(store)
    asked = answers(monkeypatch, answer)
    said = command("people", "--share", "Ada", "yes")
    assert said.status == status and asked == ["Does Ada agree?"] and "never sent" in said.err
    assert ("add --yes" in said.err) is (answer is None)
    with store() as kept:
        [ada] = kept.observations.people()
        assert [one.given for one in kept.consents.all(ada.id)] == ([True] if answer else [])


def test_to_take_it_back_nobody_is_asked(
    command: Command, store: Callable[[], Kept], monkeypatch: pytest.MonkeyPatch
) -> None:
    command("people", "--add", "Ada")
    enrol(store)
    asked = answers(monkeypatch, None)
    assert command("people", "--share", "Ada", "yes", "--yes").status == 0
    assert command("people", "--share", "Ada", "no").status == 0 and asked == []


def test_what_the_assistant_may_ask_is_agreed_to_and_taken_back_as_easily(
    command: Command, store: Callable[[], Kept], monkeypatch: pytest.MonkeyPatch
) -> None:
    command("people", "--add", "Ada")
    assert command("people", "--share-assistant", "Ada", "yes", "--yes").status == 2, "there is no clinic"
    enrol(store)
    asked = answers(monkeypatch, True)
    said = command("people", "--share-assistant", "ada", "yes")
    assert said.status == 0 and asked == ["Does Ada agree?"]
    assert "What is never sent" in said.err and "agrees that the assistant asks the clinic" in said.out
    said = command("people", "--share-assistant", "Ada", "no")
    assert said.status == 0 and len(asked) == 1 and "nothing more that they say" in said.err
    assert "does not agree that the assistant asks the clinic" in said.out
    with store() as kept:
        [ada] = kept.observations.people()
        found = [(one.subject, one.version, one.given) for one in kept.consents.all(ada.id)]
    assert found == [("assistant", 1, True), ("assistant", 1, False)]
    assert command("people", "--share-assistant", "Ada", "perhaps").status == 2
    assert command("people", "--share-assistant", "Ada", "no", "--share", "Ada", "no").status == 2


def test_a_guest_is_shown_what_they_agree_to_once(
    command: Command, bench: Bench, store: Callable[[], Kept]
) -> None:
    enrol(store)
    said = scan(command, bench, "--share")
    assert said.status == 0 and owed(store) == 1
    assert said.err.count("May this also be sent to the clinic at cloud.example?") == 1
    assert "A guest is asked each time" in said.err
    assert "May this" not in scan(command, bench).err
