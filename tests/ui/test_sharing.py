"""Nothing of anybody is sent who has not agreed: the question, its answers, and how they are taken back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog

from client.parts import Kept
from client.pipeline.sharing import ON_PAPER_VERSION
from client.policy import Policy
from client.ui.pages.dialogs import SharingDialog
from client.ui.pages.saving import SharedDialog
from client.ui.preferences import CONSENT_VERSION
from tests.ui.clinic import with_clinic
from tests.ui.conftest import Room
from tests.ui.fake_talk import with_talks
from tests.ui.looking import button_named, click, in_dialog, press, shot, wait_for
from tests.ui.test_sync import asked
from tests.ui.test_unsaved import measured, opened
from tests.ui.test_window import kept, with_person


def saved(window: Any, answer: str | None) -> None:
    """A result, saved; answer: of the question that has to come, or None: none may."""
    measured(window)
    check = None if answer is None else in_dialog(lambda dialog: click(button_named(dialog, answer)))
    click(window.result.save_button)
    wait_for(lambda: not window._shelf.busy, "the answers")
    if check is not None:
        check()
    wait_for(lambda: "Saved for" in window.notice.words, "the word")
    window.notice.hide()
    window.go_to_scan()


def owed(window: Any) -> list[str]:
    return [str(one.patient) for one in asked(window, lambda kept: kept.outbox.items())]


@pytest.mark.parametrize(("answer", "given"), [("Send too", True), ("Keep here only", False)])
def test_a_person_is_asked_at_the_first_save_and_the_answer_is_noted(
    room: Room, answer: str, given: bool
) -> None:
    with_clinic(room)
    running, window = opened(room)
    with_person(running, window, "Ana")
    ana = window._whose.person
    saved(window, answer)
    saved(window, None)
    assert owed(window) == [ana, ana] * given and kept(running, ana) == 2
    [noted] = asked(window, lambda kept: kept.consents.all(ana))
    assert (noted.subject, noted.version, noted.given, noted.language) == ("cloud", 1, given, "en")


def test_the_question_says_everything_and_its_careful_answer_has_the_focus(room: Room) -> None:
    with_clinic(room)
    running, window = opened(room)
    with_person(running, window, "Ana")
    measured(window)

    def look(dialog: QDialog) -> None:
        assert isinstance(dialog, SharingDialog) and dialog.keep.hasFocus()
        shot(dialog, "sharing")
        press(dialog, Qt.Key.Key_Escape)

    check = in_dialog(look)
    click(window.result.save_button)
    wait_for(lambda: not window._shelf.busy, "the answers")
    check()
    # Nothing was decided: nothing is saved, and it is asked again.
    assert kept(running, window._whose.person) == 0 and window.result.save_button.isEnabled()
    assert asked(window, lambda all_: all_.consents.all(window._whose.person)) == []


def test_a_guest_is_asked_each_time(room: Room) -> None:
    with_clinic(room)
    running, window = opened(room)
    saved(window, "Send too")
    saved(window, "Keep here only")
    saved(window, "Send too")
    patients = owed(window)
    assert kept(running, None) == 3 and len(patients) == 2 and len(set(patients)) == 2


def test_where_no_clinic_is_nobody_is_asked(room: Room) -> None:
    with_clinic(room, enrolled=False)
    running, window = opened(room)
    saved(window, None)
    with_person(running, window, "Ana")
    saved(window, None)
    assert owed(window) == []


def test_where_it_is_in_writing_nobody_is_asked_and_that_is_noted(room: Room) -> None:
    with_clinic(room, policy=Policy(ask_for_consent=False))
    running, window = opened(room)
    with_person(running, window, "Ana")
    saved(window, None)
    saved(window, None)
    assert owed(window) == [window._whose.person] * 2
    [noted] = asked(window, lambda kept: kept.consents.all(window._whose.person))
    assert noted.given and noted.version == ON_PAPER_VERSION


def test_it_is_taken_back_and_given_again_in_the_settings(room: Room) -> None:
    with_clinic(room)
    running, window = opened(room)
    with_person(running, window, "Ana")
    saved(window, "Send too")
    assert len(owed(window)) == 1

    def press_it(words: str) -> None:
        def act(dialog: QDialog) -> None:
            shot(dialog, f"sharing-{words.replace(' ', '-')}")
            click(button_named(dialog, words))

        check = in_dialog(act)
        window.settings.sharing.emit()
        wait_for(lambda: not window._shelf.busy, "the answers")
        check()
        wait_for(lambda: window.notice.words, "the word")

    press_it("Take it back")
    assert "Nothing more of Ana" in window.notice.words and owed(window) == []
    window.notice.hide()
    press_it("Agree")
    assert "from now on" in window.notice.words
    saved(window, None)
    assert len(owed(window)) == 1
    window._set_person(None)
    window.settings.sharing.emit()
    assert "a guest is asked each time" in window.notice.words


def test_what_the_assistant_may_ask_is_taken_back_and_given_again_beside_it(room: Room) -> None:
    with_clinic(room)
    talks = with_talks(room)
    running, window = opened(room)
    with_person(running, window, "Ana")
    ana = window._whose.person
    window.go_to_chat()
    window.go_to_settings()

    def pressed(word: str) -> Callable[[QDialog], None]:
        return lambda dialog: click(button_named(dialog, word))

    def press_it(*words: str) -> None:
        def act(dialog: QDialog) -> None:
            assert isinstance(dialog, SharedDialog) and dialog.close_it.isDefault()
            shot(dialog, f"shared-{words[0].replace(' ', '-')}")
            checks.extend(in_dialog(pressed(word)) for word in words[1:])
            click(button_named(dialog, words[0]))

        checks = [in_dialog(act)]
        window.settings.sharing.emit()
        wait_for(lambda: not window._shelf.busy and len(checks) == len(words), "the answers")
        wait_for(lambda: not window._shelf.busy and window.notice.words, "the word")
        for check in checks:
            check()

    press_it("Decide for the assistant…", "Send to the clinic")
    assert "What Ana says to the assistant" in window.notice.words
    assert talks.now.calls[-1] == ("decided", True)
    window.notice.hide()
    press_it("Take it back for the assistant")
    assert "Nothing more that Ana says" in window.notice.words and talks.now.calls[-1] == ("decided", False)
    noted = asked(window, lambda kept: kept.consents.all(ana))
    assert [(one.subject, one.version, one.given) for one in noted] == [
        ("assistant", 1, True),
        ("assistant", 1, False),
    ]


def test_the_agreement_of_the_first_page_is_in_the_store_once(room: Room) -> None:
    running, window = opened(room)

    def noted(all_: Kept) -> list[Any]:
        return [(one.subject, one.version, one.given) for one in all_.consents.all(None)]

    wait_for(lambda: not running.shelf.busy, "the note")
    assert asked(window, noted) == [("measuring", CONSENT_VERSION, True)]
    running.shelf.close()
    running.shelf.open()
    wait_for(lambda: not running.shelf.busy and window._noted, "the store again")
    assert asked(window, noted) == [("measuring", CONSENT_VERSION, True)]


def test_the_question_is_closed_by_the_lock_and_nothing_is_lost(room: Room) -> None:
    with_clinic(room)
    running, window = opened(room, lock_after_min=2)
    record = measured(window)

    def go_away(_dialog: QDialog) -> None:
        window._used_at_s -= 121.0
        window._lock_if_idle()

    check = in_dialog(go_away)
    click(window.result.save_button)
    wait_for(lambda: not window._shelf.busy, "the answers")
    check()
    assert window._unsaved is not None and window._unsaved.record is record and window._unsaved.hidden
    running.shelf.open()
    wait_for(lambda: window.result is not None, "it again")
    assert kept(running, None) == 0
