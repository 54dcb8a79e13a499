"""Extreme readings: the person is told calmly, staff find them and say that they have looked."""

from __future__ import annotations

from typing import Any

import pytest
from PySide6.QtWidgets import QDialog

from client.store.entries import to_observation
from client.store.observations import Kind
from client.ui.pages.dialogs import EntryDialog
from client.ui.shelf import Closed
from tests.client.store.conftest import NOW
from tests.ui.conftest import Room
from tests.ui.looking import button_named, click, in_dialog, shot, wait_for
from tests.ui.test_sync import asked
from tests.ui.test_unsaved import opened
from tests.ui.test_window import with_person


def typed(window: Any, systolic: str) -> None:
    """A blood pressure, typed in for the chosen person."""

    def fill(dialog: QDialog) -> None:
        assert isinstance(dialog, EntryDialog)
        dialog.fields["systolic"].setText(systolic)
        dialog.fields["diastolic"].setText("90")
        click(dialog.ok)

    window.go_to_history()
    check = in_dialog(fill)
    click(window.history.add)
    check()
    wait_for(lambda: "Saved for" in window.notice.words, "the word")


def test_a_usual_reading_makes_nobody_look(room: Room) -> None:
    _running, window = opened(room)
    typed(window, "120")
    assert window.notice.words == "Saved for Guest." and not window.to_tasks.isVisible()
    window.go_to_tasks()
    wait_for(lambda: "Nothing has to be looked at" in window.tasks.words.text(), "the empty page")
    assert not window.tasks.done.isVisible()


@pytest.mark.parametrize("language", ["en", "ar"])
def test_an_extreme_one_is_told_listed_and_done(room: Room, language: str) -> None:
    running, window = opened(room, language=language)
    with_person(running, window, "Ana")
    window.notice.hide()
    if language == "en":
        typed(window, "185")
        assert "180 mmHg" in window.notice.words and "no diagnosis" in window.notice.words
        assert "feel unwell" in window.notice.words and window.notice.offers  # and Undo
    else:
        made = to_observation(
            Kind.BLOOD_PRESSURE, {"systolic": 185.0, "diastolic": 90.0}, NOW, window._whose.person
        )
        asked(window, lambda kept: kept.observations.save(made))
    wait_for(window.to_tasks.isVisible, "the button")
    assert "(1)" in window.to_tasks.text()
    click(window.to_tasks)
    wait_for(lambda: window.tasks.table.rowCount() == 1, "the task")
    assert window.tasks.table.item(0, 1).text() == "Ana"
    shot(window, f"tasks-{language}")
    window.tasks.table.setCurrentCell(0, 0)
    click(window.tasks.done)
    wait_for(lambda: window.tasks.table.rowCount() == 0, "nothing left")
    assert not window.to_tasks.isVisible()


def test_undo_takes_the_task_too_and_a_lock_hides_it(room: Room) -> None:
    running, window = opened(room)
    typed(window, "185")
    wait_for(window.to_tasks.isVisible, "the button")
    click(button_named(window.notice, "Undo"))
    wait_for(lambda: not window.to_tasks.isVisible(), "no task")
    typed(window, "185")
    wait_for(window.to_tasks.isVisible, "the button")
    click(window.to_tasks)
    wait_for(lambda: window.tasks.table.rowCount() == 1, "the task")
    window._lock_now()
    wait_for(lambda: isinstance(running.shelf.state, Closed), "the lock")
    assert window.tasks.table.rowCount() == 0 and not window.to_tasks.isVisible()
