"""A result that was measured is not lost: by keys, by pages, by another look, by closing, by saving it twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QFileDialog

from client.parts import Kept
from client.store.database import DiskFull
from client.store.observations import Observation, Observations
from client.ui.pages.dialogs import UnsavedDialog
from client.ui.shelf import Open, Opening, Unusable
from client.vault import VaultLocked
from tests.client.store.conftest import kept_in
from tests.client.store.test_scans import record as scan_record
from tests.ui.conftest import Room
from tests.ui.looking import button_named, click, in_dialog, pause, shot, wait_for
from tests.ui.scripted import close_as_a_person_does, with_camera
from tests.ui.test_window import choose, kept, with_person
from tests.ui.test_window import opened as opened_


def opened(room: Room, **preferences: object) -> tuple[Any, Any]:
    """The application and its window, of which these tests look at what may be None."""
    return opened_(room, **preferences)


def measured(window: Any) -> Any:
    """A result on the screen, and its record."""
    window._scan_began_s = window._time.now_s()
    record = scan_record()
    window._scan_finished(record)
    return record


def test_a_second_press_of_finish_now_throws_nothing_away(room: Room) -> None:
    with_camera(room, accepted_s=1000.0)
    _running, window = opened(room)
    click(window.scan.start)
    finish = window.scan._finish
    wait_for(finish.isVisible, "enough to finish with")
    click(finish)
    assert not finish.isEnabled()
    QTest.mouseClick(finish, Qt.MouseButton.LeftButton)
    for widget in (finish, window.scan._cancel, QApplication.focusWidget()):
        if widget is not None:
            QTest.keyClick(widget, Qt.Key.Key_Return)
    window.scan.finish_now()
    wait_for(lambda: not window.scan.running, "the end")
    assert window.result is not None and "70" in window.result.heading.text()
    # The next scan can be finished too.
    window._discard()
    click(window.scan.start)
    wait_for(finish.isVisible, "enough again")
    assert finish.isEnabled() and window.scan._cancel.isEnabled()
    window.scan.cancel()
    wait_for(lambda: not window.scan.running, "the end")


def test_the_pages_lead_back_to_it(room: Room) -> None:
    running, window = opened(room)
    record = measured(window)
    for tab in (window.to_history, window.to_settings):
        click(tab)
        assert window.pages.currentWidget() is not window.result
        click(window.to_scan)
        assert window.pages.currentWidget() is window.result and window.to_scan.isChecked()
        assert window.result.shown.record is record
    assert window.settings.camera._preview is None
    click(window.result.save_button)
    wait_for(lambda: kept(running, None) == 1, "the scan")
    click(window.to_scan)
    assert window.pages.currentWidget() is window.scan


def test_it_is_there_behind_a_kept_one(room: Room) -> None:
    running, window = opened(room)
    measured(window)
    click(window.result.save_button)
    wait_for(lambda: window.history.table.rowCount() == 1, "the line")
    record = measured(window)
    click(window.to_history)
    wait_for(lambda: window.history.table.rowCount() == 1, "the line")
    window.history.table.setCurrentCell(0, 0)
    click(window.history.details)
    wait_for(lambda: window.result.shown.kept is not None, "the kept one")
    assert window.to_history.isChecked()
    click(window.to_scan)
    assert window.result.shown.record is record and window.result.shown.kept is None
    click(button_named(window.result, "Discard"))
    assert window.pages.currentWidget() is window.scan and kept(running, None) == 1


@pytest.mark.parametrize("page", ["result", "settings", "history"])
def test_another_look_keeps_it_and_the_page(room: Room, page: str) -> None:
    running, window = opened(room)
    with_person(running, window, "Ana")
    record = measured(window)
    {"settings": window.go_to_settings, "history": window.go_to_history, "result": lambda: None}[page]()
    running.preferences.theme = "dark"
    window.rebuild.emit()
    wait_for(lambda: running.window is not window, "the window made anew")
    again = running.window
    if page == "result":
        assert again.pages.currentWidget() is again.result and again.to_scan.isChecked()
    else:
        assert again.pages.currentWidget() is getattr(again, page)
    again.go_to_scan()
    assert again.result.shown.record is record and "Ana" in again.result.save_button.text()
    assert again.result.save_button.isEnabled()
    click(again.result.save_button)  # chosen before the scan, as it was: nobody is asked
    ana = again._whose.person
    wait_for(lambda: kept(running, ana) == 1, "Ana's scan")


def test_who_closes_the_window_is_asked(room: Room) -> None:
    _running, window = opened(room)
    measured(window)
    window.go_to_settings()

    def stay(dialog: Any) -> None:
        assert isinstance(dialog, UnsavedDialog) and dialog.ok.isDefault()
        assert not dialog.discard.isDefault() and dialog.discard.objectName() != "primary"
        assert dialog.column.contentsMargins().left() >= 16
        shot(dialog, "not-saved")
        click(dialog.cancel)

    check = in_dialog(stay)
    close_as_a_person_does(window)
    wait_for(lambda: window.pages.currentWidget() is window.result, "the result")
    check()
    assert window.isVisible()
    check = in_dialog(lambda dialog: click(button_named(dialog, "Discard")))
    close_as_a_person_does(window)
    wait_for(lambda: not window.isVisible(), "the end")
    check()


def test_who_closes_the_window_can_save_it_first(room: Room) -> None:
    running, window = opened(room)
    with_person(running, window, "Ana")
    measured(window)
    check = in_dialog(lambda dialog: click(button_named(dialog, "Save")))
    close_as_a_person_does(window)
    wait_for(lambda: not window.isVisible(), "the end")
    check()
    ana = window._whose.person
    assert kept(running, ana) == 1


def test_nobody_is_asked_where_nothing_is_lost(room: Room) -> None:
    _running, window = opened(room)
    window._scan_finished(replace(scan_record(), simulated=True))
    close_as_a_person_does(window)
    wait_for(lambda: not window.isVisible(), "the end")


def test_two_clicks_on_save_keep_it_once(room: Room) -> None:
    running, window = opened(room)
    measured(window)
    hold = Event()
    running.shelf._worker.do(lambda: hold.wait(10.0))
    save = window.result.save_button
    click(save)
    assert not save.isEnabled()
    window._save()
    window._set_person(None)  # the page is made anew meanwhile
    assert not window.result.save_button.isEnabled()
    window._save()
    hold.set()
    wait_for(lambda: window.pages.currentWidget() is window.history, "it to be saved")
    assert kept(running, None) == 1


def test_a_save_that_failed_is_tried_again_and_kept_once(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    running, window = opened(room)
    measured(window)
    save = Observations.save
    answers = [DiskFull()]

    def saves_and_fails(kept_: Observations, one: Observation, *, guest_agrees: bool) -> bool:
        done = save(kept_, one, guest_agrees=guest_agrees)
        if answers:
            raise answers.pop()
        return done

    monkeypatch.setattr(Observations, "save", saves_and_fails)
    click(window.result.save_button)
    wait_for(window.result.save_button.isEnabled, "the button again")
    assert "Free some space" in window.notice.words
    click(window.result.save_button)
    wait_for(lambda: window.pages.currentWidget() is window.history, "it to be saved")
    assert kept(running, None) == 1


def test_the_word_names_who_was_chosen_when_it_was_saved(room: Room) -> None:
    running, window = opened(room)
    with_person(running, window, "Ana")
    with_person(running, window, "Ben")
    measured(window)
    hold = Event()
    running.shelf._worker.do(lambda: hold.wait(10.0))
    click(window.result.save_button)
    choose(window, "Ana")
    hold.set()
    wait_for(lambda: "Saved for Ben" in window.notice.words, "the word")


def test_undo_of_a_save_brings_the_result_back(room: Room) -> None:
    running, window = opened(room)
    record = measured(window)
    click(window.result.save_button)
    wait_for(lambda: "Saved for Guest" in window.notice.words, "the word")
    click(button_named(window.notice, "Undo"))
    wait_for(lambda: window.pages.currentWidget() is window.result, "the result")
    assert window.result.shown.record is record and kept(running, None) == 0
    with_person(running, window, "Ana")
    check = in_dialog(lambda dialog: click(button_named(dialog, "Yes, Ana")))
    click(window.result.save_button)
    check()
    ana = window._whose.person
    wait_for(lambda: kept(running, ana) == 1, "Ana's scan")
    assert kept(running, None) == 0


def test_why_it_can_not_be_saved_is_said_beside_the_button(room: Room) -> None:
    room.vault.fault = VaultLocked()
    running = room.start()
    window = running.window
    wait_for(lambda: isinstance(running.shelf.state, Unusable), "the trouble")
    window.notice.hide()
    measured(window)
    shut = window.result.shut
    assert room.vault.fault.title in shut.words and not window.result.save_button.isEnabled()
    shot(window, "result-not-now")
    room.vault.fault = None
    click(button_named(shut, "Try again"))
    wait_for(lambda: isinstance(running.shelf.state, Open), "the store")
    assert not shut.isVisible() and window.result.save_button.isEnabled()


def test_while_the_store_is_being_opened_it_says_so(room: Room) -> None:
    hold = Event()

    def slow() -> Kept:
        hold.wait(10.0)
        return kept_in(room.folder / "store", room.vault)

    room.parts = replace(room.parts, store=slow)
    running = room.start()
    assert isinstance(running.shelf.state, Opening)
    window = running.window
    measured(window)
    assert "being opened" in window.result.shut.words
    window.go_to_history()
    assert "being opened" in window.history.shut.words and not window.history.table.isVisible()
    hold.set()
    wait_for(window.history.table.isVisible, "the history")


def _cancel(dialog: Any) -> None:
    click(dialog.cancel)


@pytest.mark.parametrize(
    ("typed", "kind", "asks", "name"),
    [
        ("a.pdf", "Data (*.json)", False, "a.json"),
        ("a", "Data (*.json)", False, "a.json"),
        ("there", "Report (*.pdf)", True, "there.pdf"),
        ("there.pdf", "Report (*.pdf)", False, "there.pdf"),  # the dialog has asked
    ],
)
def test_a_report_is_of_the_chosen_kind_and_overwrites_nothing_unasked(
    room: Room, monkeypatch: pytest.MonkeyPatch, typed: str, kind: str, asks: bool, name: str
) -> None:
    _running, window = opened(room)
    measured(window)
    (room.folder / "there.pdf").write_bytes(b"mine")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(room.folder / typed), kind))
    if asks:
        check = in_dialog(_cancel)
        click(window.result.report_button)
        check()
        pause(200)
        assert (room.folder / "there.pdf").read_bytes() == b"mine"
        check = in_dialog(lambda dialog: click(button_named(dialog, "Replace")))
        click(window.result.report_button)
        check()
    else:
        click(window.result.report_button)
    wait_for(lambda: name in window.notice.words, "the report")
    begins = b"{" if Path(name).suffix == ".json" else b"%PDF-"
    assert (room.folder / name).read_bytes().startswith(begins)
