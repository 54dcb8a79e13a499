"""When nobody is there: nothing of anybody stays on the screen, and nothing that was measured is thrown away."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Event
from typing import Any

import pytest
from PySide6.QtWidgets import QApplication, QDialog, QLabel

from client.clock import SystemClock
from client.errors import HealthHelperError
from client.parts import Kept
from client.ui.pages.dialogs import EntryDialog, RecoveryDialog
from client.ui.shelf import Closed, Open, Unusable
from client.ui.views.guard import STALE_AFTER_S
from client.vault import VaultMissing
from tests.client.store.conftest import kept_in
from tests.client.store.test_scans import record as scan_record
from tests.ui.conftest import Room
from tests.ui.looking import button_named, click, in_dialog, pause, shot, wait_for
from tests.ui.scripted import with_camera
from tests.ui.test_unsaved import measured, opened
from tests.ui.test_window import kept, with_person


@dataclass
class Laptop(SystemClock):
    """A clock of a computer that can sleep: the wall clock goes on, the monotonic one does not."""

    slept: timedelta = timedelta()

    def utc(self) -> datetime:
        return super().utc() + self.slept


def nobody_for(window: Any, seconds: float) -> None:
    window._used_at_s -= seconds
    window._lock_if_idle()


def result_of(window: Any) -> Any:
    return window.result


def words_on(window: Any) -> str:
    return " ".join(label.text() for label in window.findChildren(QLabel))


def test_the_history_is_empty_once_it_is_locked(room: Room) -> None:
    running, window = opened(room, lock_after_min=2)
    with_person(running, window, "Ana")
    measured(window)
    click(window.result.save_button)
    history = window.history
    wait_for(lambda: history.table.rowCount() == 1, "Ana's scan")
    nobody_for(window, 121.0)
    wait_for(lambda: isinstance(running.shelf.state, Closed), "the lock")
    click(window.to_history)
    assert history.table.rowCount() == 0 and not history._rows and not len(history._trend.at_s)
    assert not history.table.isVisible() and "Ana" not in words_on(window)
    assert "locked" in history.shut.words and not history.plot.isVisible()
    shot(window, "history-locked")
    click(button_named(history.shut, "Unlock"))
    wait_for(lambda: isinstance(running.shelf.state, Open), "the store")
    assert history.table.isVisible() and "Guest" in history.heading.text()


def test_an_answer_that_comes_after_the_lock_is_not_shown(room: Room) -> None:
    running, window = opened(room, lock_after_min=2)
    window._scan_finished(scan_record())
    click(window.result.save_button)
    wait_for(lambda: window.history.table.rowCount() == 1, "the scan")
    hold = Event()
    running.shelf._worker.do(lambda: hold.wait(10.0))
    window.history.refresh()
    nobody_for(window, 121.0)
    hold.set()
    wait_for(lambda: not running.shelf.busy, "the answer")
    assert window.history.table.rowCount() == 0 and "Locked" in window.notice.words


def test_a_kept_scan_is_not_shown_once_it_is_locked(room: Room) -> None:
    running, window = opened(room, lock_after_min=2)
    measured(window)
    click(window.result.save_button)
    wait_for(lambda: window.history.table.rowCount() == 1, "the line")
    window.history.table.setCurrentCell(0, 0)
    click(window.history.details)
    wait_for(lambda: window.result is not None and window.result.shown.kept, "the kept scan")
    running.shelf.close()
    assert window.result is None and window.pages.currentWidget() is window.scan


def test_who_sat_still_for_a_scan_was_there(room: Room) -> None:
    with_camera(room)
    _running, window = opened(room, lock_after_min=2)
    click(window.scan.start)
    window._used_at_s -= 1000.0  # a long scan, in which nobody touches anything
    wait_for(lambda: window.result is not None, "the result")
    window._lock_if_idle()
    assert window.result is not None and window.pages.currentWidget() is window.result


def test_a_result_that_is_not_saved_is_hidden_by_the_lock_and_there_again(room: Room) -> None:
    running, window = opened(room, lock_after_min=2)
    record = measured(window)
    nobody_for(window, 121.0)
    assert result_of(window) is None and window.pages.currentWidget() is window.scan
    click(window.to_settings)
    click(window.to_scan)
    assert window.pages.currentWidget() is window.scan
    assert "not saved" in window.scan._waiting.words
    shot(window, "locked-with-a-result")
    click(button_named(window.scan._waiting, "Show it"))
    wait_for(lambda: window.result is not None, "the result")
    assert isinstance(running.shelf.state, Open) and window.result.shown.record is record
    assert window.result.save_button.text() == "Save as guest" and not window.scan._waiting.isVisible()
    click(window.result.save_button)
    wait_for(lambda: kept(running, None) == 1, "the scan")


def test_a_new_scan_replaces_a_hidden_result_only_where_somebody_says_so(room: Room) -> None:
    with_camera(room)
    _running, window = opened(room, lock_after_min=2)
    old = measured(window)
    nobody_for(window, 121.0)
    assert window.focusWidget() is window.scan._waiting.action
    check = in_dialog(lambda dialog: click(dialog.cancel))  # type: ignore[attr-defined]
    click(window.scan.start)
    check()
    assert not window.scan.running and window._unsaved.record is old
    check = in_dialog(lambda dialog: click(button_named(dialog, "Throw it away")))
    click(window.scan.start)
    check()
    assert not window.scan._waiting.isVisible()
    wait_for(lambda: window.result is not None, "the result")
    assert window.result.shown.record is not old


def test_without_a_store_a_result_does_not_stay_on_the_screen_either(room: Room) -> None:
    room.vault.fault = VaultMissing()
    running = room.start(lock_after_min=2)
    window = running.window
    wait_for(lambda: isinstance(running.shelf.state, Unusable), "the trouble")
    record = measured(window)
    nobody_for(window, 121.0)
    assert result_of(window) is None and "hidden" in window.notice.words
    shot(window, "hidden")
    click(button_named(window.scan._waiting, "Show it"))
    assert window.result is not None and window.result.shown.record is record


def test_it_locks_after_the_lid_was_closed(room: Room) -> None:
    clock = Laptop()
    room.parts = replace(room.parts, clock=clock)
    running, window = opened(room, lock_after_min=5)
    window._lock_if_idle()
    clock.slept += timedelta(hours=8)
    window._lock_if_idle()
    assert isinstance(running.shelf.state, Closed)


def test_a_name_chosen_before_the_lid_was_closed_is_an_old_choice(room: Room) -> None:
    clock = Laptop()
    room.parts = replace(room.parts, clock=clock)
    running, window = opened(room)
    with_person(running, window, "Ana")
    measured(window)
    clock.slept += timedelta(seconds=STALE_AFTER_S + 1.0)
    check = in_dialog(lambda dialog: click(button_named(dialog, "Yes, Ana")))
    click(window.result.save_button)
    check()
    ana = window._whose.person
    wait_for(lambda: kept(running, ana) == 1, "Ana's scan")


def test_what_is_asked_when_it_locks_is_closed_and_that_is_said(room: Room) -> None:
    running, window = opened(room, lock_after_min=2)
    with_person(running, window, "Ana")

    def lock(dialog: QDialog) -> None:
        assert isinstance(dialog, RecoveryDialog)
        nobody_for(window, 121.0)
        assert not dialog.isVisible()

    check = in_dialog(lock)
    window._keys.make()
    wait_for(lambda: isinstance(running.shelf.state, Closed), "the lock")
    pause(100)
    check()
    assert QApplication.activeModalWidget() is None
    assert "closed" in window.notice.words
    click(button_named(window.notice, "Unlock"))
    wait_for(lambda: isinstance(running.shelf.state, Open), "the store")
    assert running.shelf.state.needs_recovery_key  # the key that was on the screen is not in force


def test_a_reading_is_kept_for_whom_the_dialog_named(room: Room) -> None:
    running, window = opened(room)
    with_person(running, window, "Ana")
    ana = window._whose.person
    window.go_to_history()

    def fill(dialog: QDialog) -> None:
        assert isinstance(dialog, EntryDialog) and "Ana" in words_on(dialog)
        window._set_person(None)
        dialog.fields["systolic"].setText("128")
        dialog.fields["diastolic"].setText("82")
        click(dialog.ok)

    check = in_dialog(fill)
    click(window.history.add)
    check()
    wait_for(lambda: "Saved for Ana" in window.notice.words, "the word")
    assert kept(running, ana) == 1 and kept(running, None) == 0


def test_a_key_that_could_not_be_put_in_force_is_no_key(room: Room) -> None:
    def store() -> Kept:
        def fails() -> None:
            raise VaultMissing

        return replace(kept_in(room.folder / "store", room.vault), confirm_recovery_key=fails)

    room.parts = replace(room.parts, store=store)
    running, window = opened(room)
    check = in_dialog(lambda dialog: click(dialog.ok))  # type: ignore[attr-defined]
    window._keys.make()
    wait_for(lambda: "not in force" in window.notice.words, "the word")
    check()
    assert running.shelf.state.needs_recovery_key and "throw its paper away" in window.notice.words


@pytest.mark.parametrize("minutes", [0, 5])
def test_it_does_not_lock_before_its_time(room: Room, minutes: int) -> None:
    running, window = opened(room, lock_after_min=minutes)
    nobody_for(window, 299.0)
    assert isinstance(running.shelf.state, Open)


def test_documents_that_are_being_added_are_waited_for(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    running, window = opened(room, lock_after_min=2)
    monkeypatch.setattr(type(window.documents), "adding", True)
    nobody_for(window, 121.0)
    assert isinstance(running.shelf.state, Open)
    monkeypatch.setattr(type(window.documents), "adding", False)
    nobody_for(window, 0.0)
    assert isinstance(running.shelf.state, Closed)


def test_what_a_lock_ends_far_away_is_no_bug(room: Room) -> None:
    running, _window = opened(room)
    began, locked = Event(), Event()
    faults: list[HealthHelperError] = []

    def job(kept: Kept) -> int:
        began.set()
        assert locked.wait(10.0)
        return len(kept.observations.people())  # of a store that was closed under it

    running.shelf.over_network(job, lambda _: None, faults.append)
    wait_for(began.is_set, "the job")
    running.shelf.close()
    wait_for(lambda: running.shelf._kept is None, "the store to be closed")
    running.shelf.elsewhere(locked.set, lambda _: None, faults.append)  # after it, in the same thread
    wait_for(lambda: faults, "the word")
    assert [fault.title for fault in faults] == ["The store is locked"]
