"""A device comes to a clinic and leaves it, from the settings."""

from __future__ import annotations

from threading import Event
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QDialog, QLabel

from client.cloud.faults import CodeRefused
from client.policy import Policy
from client.ui.pages.enrol import EnrolDialog
from tests.ui.clinic import SERVER, with_clinic
from tests.ui.conftest import Room
from tests.ui.looking import button_named, click, in_dialog, pause, shot, wait_for
from tests.ui.test_unsaved import opened
from tests.ui.test_window import kept


def test_a_code_is_typed_refused_and_typed_again(room: Room) -> None:
    clinic = with_clinic(room, enrolled=False)
    running, window = opened(room)
    window.go_to_settings()
    assert "no clinic" in window.settings.clinic_words.text()

    def type_it(dialog: QDialog) -> None:
        assert isinstance(dialog, EnrolDialog)
        click(dialog.ok)
        assert "Type the code" in dialog.wrong.text()
        QTest.keyClicks(dialog.code, " abcd efgh-jkmn ")
        click(dialog.ok)
        assert "address" in dialog.wrong.text()
        QTest.keyClicks(dialog.address, SERVER)
        clinic.fault = CodeRefused()
        QTest.keyClick(dialog.address, Qt.Key.Key_Return)
        wait_for(lambda: "ten minutes" in dialog.wrong.text(), "the refusal")
        shot(dialog, "enrol-refused")
        assert dialog.code.text() == " abcd efgh-jkmn " and dialog.ok.isEnabled()
        clinic.fault = None
        click(dialog.ok)

    check = in_dialog(type_it)
    click(window.settings.enrol_button)
    check()
    wait_for(lambda: "enrolled with the clinic" in window.notice.words, "the word")
    assert clinic.codes == [(" abcd efgh-jkmn ", SERVER)] * 2
    assert running.shelf.state.server == SERVER
    assert "clinic.example.org" in window.settings.clinic_words.text()
    assert window.settings.leave_button.isVisibleTo(window.settings)


def test_with_the_server_of_the_policy_only_the_code_is_asked_for(room: Room) -> None:
    clinic = with_clinic(room, enrolled=False, policy=Policy(cloud_url=SERVER))
    _running, window = opened(room)

    def type_it(dialog: QDialog) -> None:
        assert isinstance(dialog, EnrolDialog) and not dialog.address.isVisible()
        dialog.code.setText("CODE")
        click(dialog.ok)

    check = in_dialog(type_it)
    window._enrolling.enrol()
    check()
    wait_for(lambda: "enrolled" in window.notice.words, "the word")
    assert clinic.codes == [("CODE", None)]


def test_a_slow_server_keeps_nobody_from_the_store_and_can_be_left(room: Room) -> None:
    clinic = with_clinic(room, enrolled=False, policy=Policy(cloud_url=SERVER))
    running, window = opened(room)
    hold = Event()
    clinic.hold = lambda: hold.wait(10.0)

    def type_it(dialog: QDialog) -> None:
        assert isinstance(dialog, EnrolDialog)
        dialog.code.setText("CODE")
        click(dialog.ok)
        wait_for(lambda: clinic.codes, "the question to the server")
        assert not dialog.ok.isEnabled() and "being asked" in dialog.busy.text()
        assert kept(running, None) == 0  # the store answers meanwhile
        click(dialog.cancel)

    check = in_dialog(type_it)
    window._enrolling.enrol()
    check()
    hold.set()
    wait_for(lambda: running.shelf.state.server == SERVER, "the enrolment, which the server had begun")


def test_a_clinic_is_left_after_a_question(room: Room) -> None:
    with_clinic(room)
    running, window = opened(room)
    window.go_to_settings()
    wait_for(lambda: window.settings.leave_button.isVisibleTo(window.settings), "the button")
    check = in_dialog(lambda dialog: click(button_named(dialog, "Cancel")))
    click_in_page(window, window.settings.leave_button)
    check()
    pause(100)
    assert running.shelf.state.server == SERVER
    check = in_dialog(lambda dialog: click(button_named(dialog, "Leave the clinic")))
    click_in_page(window, window.settings.leave_button)
    check()
    wait_for(lambda: running.shelf.state.server == "", "the end")
    assert "no clinic any more" in window.notice.words


def test_an_enrolment_that_is_there_is_replaced_only_after_a_question_that_names_it(room: Room) -> None:
    clinic = with_clinic(room, policy=Policy(cloud_url=SERVER))
    running, window = opened(room)
    window.go_to_settings()
    wait_for(lambda: window.settings.leave_button.isVisibleTo(window.settings), "the enrolment")
    assert window.settings.clinic_words.text().endswith("Clinic: clinic, at clinic.example.org.")
    asked: list[str] = []

    def no(dialog: QDialog) -> None:
        assert not isinstance(dialog, EnrolDialog)
        shot(dialog, "enrolled-already")
        asked.extend(one.text() for one in dialog.findChildren(QLabel))
        click(button_named(dialog, "Cancel"))

    check = in_dialog(no)
    click_in_page(window, window.settings.enrol_button)
    check()
    assert any("Clinic: clinic, at clinic.example.org." in words for words in asked)
    assert clinic.codes == [] and running.shelf.state.clinic == "clinic"

    def type_it(dialog: QDialog) -> None:
        assert isinstance(dialog, EnrolDialog)
        dialog.code.setText("CODE")
        click(dialog.ok)

    def yes(dialog: QDialog) -> None:
        checks.append(in_dialog(type_it))
        click(button_named(dialog, "Enrol it anew"))

    checks = []
    clinic.clinic_id = "north-wing"
    checks.append(in_dialog(yes))
    click_in_page(window, window.settings.enrol_button)
    for check in checks:
        check()
    wait_for(lambda: "Clinic: north-wing, at clinic.example.org." in window.notice.words, "the word")
    assert clinic.codes == [("CODE", None)] and running.shelf.state.clinic == "north-wing"
    assert "north-wing" in window.settings.clinic_words.text()


def click_in_page(window: Any, widget: Any) -> None:
    window.settings.ensureWidgetVisible(widget)
    click(widget)
