"""Nothing is saved for the wrong person where record numbers are read: typed, or by a barcode scanner."""

from __future__ import annotations

from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QDialog, QLabel

from client.policy import Policy
from client.ui.pages.dialogs import NameDialog, RecordNumberDialog
from tests.client.intake import making
from tests.ui.clinic import with_clinic
from tests.ui.conftest import Room
from tests.ui.looking import button_named, click, in_dialog, pause, shot, wait_for
from tests.ui.test_sync import asked
from tests.ui.test_unsaved import measured, opened
from tests.ui.test_window import choose, kept


def with_two(room: Room) -> tuple[Any, Any, str, str]:
    """Ana (AB 123) and Ben (456) on a device whose policy wants numbers; Ana is chosen."""
    with_clinic(room, enrolled=False, policy=Policy(confirm_record_number=True))
    running, window = opened(room)
    now = room.parts.clock.utc()
    for name, number in (("Ana", "AB 123"), ("Ben", "456")):
        asked(
            window, lambda all_, n=name, r=number: all_.observations.add_person(n, now=now, record_number=r)
        )
    choose(window, "Ben")
    ben = window._whose.person
    choose(window, "Ana")
    return running, window, window._whose.person, ben


def scanned(dialog: Any, number: str) -> None:
    """As a scanner does it: signs, and Enter."""
    QTest.keyClicks(dialog.number, number)
    QTest.keyClick(dialog.number, Qt.Key.Key_Return)


def test_it_is_saved_once_the_right_number_was_read(room: Room) -> None:
    running, window, ana, ben = with_two(room)
    measured(window)
    choose(window, "Ana")  # chosen after the scan: the number answers that question too

    def read(dialog: QDialog) -> None:
        assert isinstance(dialog, RecordNumberDialog)
        scanned(dialog, "999")
        assert dialog.isVisible() and "Nobody on this device" in dialog.wrong.text()
        assert not dialog.other.isVisible()
        scanned(dialog, "456")
        words = " ".join(one.text() for one in dialog.findChildren(QLabel))
        assert dialog.isVisible() and "somebody else" in words and "Ben" not in words
        shot(dialog, "record-number-of-somebody-else")
        scanned(dialog, "ab123")

    check = in_dialog(read)
    click(window.result.save_button)
    check()
    wait_for(lambda: "Saved for Ana" in window.notice.words, "the word")
    assert kept(running, ana) == 1 and kept(running, ben) == 0


def test_the_right_person_is_chosen_instead_and_nothing_is_saved_yet(room: Room) -> None:
    running, window, ana, ben = with_two(room)
    measured(window)

    def read(dialog: QDialog) -> None:
        assert isinstance(dialog, RecordNumberDialog)
        scanned(dialog, "456")
        click(dialog.other)

    check = in_dialog(read)
    click(window.result.save_button)
    check()
    assert window._whose.person == ben and window.result.save_button.text() == "Save for Ben"
    assert kept(running, ana) == 0 and kept(running, ben) == 0
    check = in_dialog(lambda dialog: scanned(dialog, "456"))
    click(window.result.save_button)
    check()
    wait_for(lambda: kept(running, ben) == 1, "Ben's scan")


@pytest.mark.parametrize("wanted", [True, False])
def test_who_has_no_number_is_not_asked_for_it(room: Room, wanted: bool) -> None:
    with_clinic(room, enrolled=False, policy=Policy(confirm_record_number=wanted))
    running, window = opened(room)
    number = None if wanted else "77"
    now = room.parts.clock.utc()
    asked(window, lambda all_: all_.observations.add_person("Eve", now=now, record_number=number))
    choose(window, "Eve")
    measured(window)
    click(window.result.save_button)
    wait_for(lambda: "Saved for Eve" in window.notice.words, "the word")
    assert kept(running, window._whose.person) == 1


def test_a_number_read_where_people_are_chosen_chooses(room: Room) -> None:
    _running, window, ana, ben = with_two(room)
    window.activateWindow()
    window.person.setFocus()
    QTest.keyClicks(window.person, "456")
    QTest.keyClick(window.person, Qt.Key.Key_Return)
    assert window._whose.person == ben
    QTest.keyClicks(window.person, "A9")  # a number of nobody's, which begins as a name does
    QTest.keyClick(window.person, Qt.Key.Key_Return)
    assert window._whose.person == ben and "Nobody on this device" in window.notice.words
    QTest.keyClick(window.person, Qt.Key.Key_Up)
    assert window._whose.person == ana
    window._set_person(None)
    check = in_dialog(lambda dialog: scanned(dialog, "456"))
    at = window.person.findText("Find by record number…")
    window._choose_person(at)
    check()
    assert window._whose.person == ben


def test_a_number_is_given_changed_and_taken_away(room: Room) -> None:
    _running, window = opened(room)

    def add(dialog: QDialog) -> None:
        assert isinstance(dialog, NameDialog)
        QTest.keyClicks(dialog.number, "12-3")
        QTest.keyClick(dialog.number, Qt.Key.Key_Return)
        assert dialog.isVisible() and "Type a name" in dialog.wrong.text()
        dialog.name.setText("Ana")
        QTest.keyClick(dialog.number, Qt.Key.Key_Return)

    def number() -> Any:
        return next((one.record_number for one in window._shelf.state.people), "nobody")

    check = in_dialog(add)
    window._people.add()
    check()
    wait_for(lambda: number() == "12-3", "Ana")
    wait_for(lambda: window._whose.person is not None, "her, chosen")
    for typed, then in (("45", "45"), ("", None)):

        def change(dialog: QDialog, typed: str = typed) -> None:
            assert isinstance(dialog, NameDialog)
            dialog.number.setText(typed)
            click(button_named(dialog, "Rename"))

        check = in_dialog(change)
        window._people.rename(window._whose.person)
        check()
        wait_for(lambda then=then: number() == then, "the other number")  # type: ignore[misc]
    pause(50)
    assert not window.person.takes_numbers and not window.settings.find_button.isVisibleTo(window.settings)


def test_a_document_is_added_once_the_right_number_was_read(room: Room) -> None:
    _running, window, ana, ben = with_two(room)
    file = room.folder / "Letter.pdf"
    file.write_bytes(making.report(1))
    window.go_to_documents()

    def titles(person: str) -> list[str]:
        return [one.title for one in asked(window, lambda all_: all_.documents.list(person))]

    check = in_dialog(lambda dialog: dialog.reject())
    window.documents.add_files([file])
    check()
    assert not window.documents.adding and titles(ana) == []
    check = in_dialog(lambda dialog: scanned(dialog, "ab123"))
    window.documents.add_files([file])
    check()
    wait_for(lambda: titles(ana) == ["Letter.pdf"], "the document")
    assert titles(ben) == []
