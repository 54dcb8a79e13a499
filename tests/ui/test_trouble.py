"""Our own bugs and the world's: nothing hangs, nothing is asked twice, every wait has an end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAccessible, QGuiApplication
from PySide6.QtWidgets import QMessageBox
from pytestqt.exceptions import capture_exceptions

from client.errors import EnvironmentFault, HealthHelperError
from client.parts import Kept, WindowChoice
from client.store.database import StoreUnreadable
from client.store.observations import Observations
from client.ui import look
from client.ui.shelf import Open, Opening, Shelf, Unusable
from client.ui.views.palette import DARK
from tests.client.pipeline.fakes import CountingEngine
from tests.client.store.conftest import kept_in
from tests.ui.conftest import Room
from tests.ui.looking import button_named, click, in_dialog, pause, shot, wait_for
from tests.ui.scripted import with_camera
from tests.ui.test_unsaved import measured, opened
from tests.ui.test_window import with_person


def boxes(window: Any) -> list[QMessageBox]:
    return [box for box in window.findChildren(QMessageBox) if box.isVisible()]


# A scan


def test_after_a_bug_in_a_scan_the_window_is_free_again(room: Room) -> None:
    with_camera(room, CountingEngine(fail_at=30))
    _running, window = opened(room)
    gave_up: list[bool] = []
    window.scan.gave_up.connect(lambda: gave_up.append(True))
    with capture_exceptions() as caught:
        click(window.scan.start)
        wait_for(lambda: not window.scan.running, "the end")
    assert [kind for kind, _, _ in caught] == [ZeroDivisionError]
    assert gave_up == [True] and window.bar.isEnabled() and window.scan.start.isVisible()


def test_a_scan_whose_display_fails_can_be_cancelled(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    with_camera(room, accepted_s=1000.0)
    _running, window = opened(room)

    def broken(_view: object) -> object:
        raise ZeroDivisionError

    monkeypatch.setattr("client.ui.pages.scan.scan_view", broken)
    with capture_exceptions() as caught:
        click(window.scan.start)
        assert window.scan.running and window.scan._cancel.isVisible()
        pause(600)
        click(window.scan._cancel)
        wait_for(lambda: not window.scan.running, "the end")
    assert caught and window.bar.isEnabled()


def test_a_scan_that_can_not_begin_gives_up_too(room: Room, capsys: pytest.CaptureFixture[str]) -> None:
    room.choice = WindowChoice(begin=True, end_after_result=True)
    running = room.start()
    wait_for(lambda: not running.window.isVisible(), "the end")
    assert running.status == EnvironmentFault.exit_status
    assert "No camera was found" in capsys.readouterr().err


def test_after_a_bug_at_its_beginning_too(room: Room) -> None:
    def broken() -> Any:
        raise ZeroDivisionError

    room.choice = WindowChoice(source=broken)
    _running, window = opened(room)
    gave_up: list[bool] = []
    window.scan.gave_up.connect(lambda: gave_up.append(True))
    with capture_exceptions() as caught:
        click(window.scan.start)
    assert len(caught) == 1 and gave_up and not window.scan.running and window.bar.isEnabled()


def test_try_again_is_said_after_a_failure_only(room: Room) -> None:
    _running, window = opened(room)
    click(window.scan.start)
    assert window.scan.start.text() == "Try again"
    with_camera(room)
    window._choice = room.choice
    window.scan._parts = room.parts
    click(window.scan.start)
    wait_for(lambda: window.result is not None, "the result")
    assert window.scan.start.text() == "Start the scan" and not window.scan.fault_words


def test_a_screen_reader_hears_the_rate_and_what_to_do(room: Room) -> None:
    with_camera(room, accepted_s=1000.0)
    _running, window = opened(room)
    click(window.scan.start)
    wait_for(lambda: window.scan._rate.text() == "70", "a live rate")
    for label in (window.scan._rate, window.scan._hint):
        name = QAccessible.queryAccessibleInterface(label).text(QAccessible.Text.Name)
        assert label.text() and label.text() in name
    window.scan.cancel()
    wait_for(lambda: not window.scan.running, "the end")


# What nobody caught


def test_a_bug_is_told_in_one_box_however_often_it_comes(
    room: Room, capsys: pytest.CaptureFixture[str]
) -> None:
    running, window = opened(room)
    for _ in range(5):
        running.met(ZeroDivisionError("Ana, 71.5"))
    assert len(boxes(window)) == 1
    shot(boxes(window)[0], "bug")
    assert "anew" in boxes(window)[0].informativeText()
    assert "Ana" not in capsys.readouterr().err + boxes(window)[0].detailedText()
    boxes(window)[0].close()
    wait_for(lambda: not window.findChildren(QMessageBox), "the box to be gone for good")
    running.met(ZeroDivisionError())
    assert len(boxes(window)) == 1
    boxes(window)[0].close()


def test_the_worlds_fault_that_nobody_caught_is_told(room: Room) -> None:
    running, window = opened(room)
    running.met(StoreUnreadable("OSError"))
    assert StoreUnreadable("OSError").title in window.notice.words and not boxes(window)


def test_ctrl_c_ends_it(room: Room) -> None:
    running, window = opened(room)
    ended: list[int] = []
    app, running._app = running._app, SimpleNamespace(exit=ended.append)
    running.met(KeyboardInterrupt())
    running._app = app
    assert ended == [130] and running.status == 130 and not boxes(window)


# The store


def test_a_bug_in_opening_it_is_a_state(room: Room) -> None:
    broken = True

    def store() -> Kept:
        if broken:
            raise ZeroDivisionError
        return kept_in(room.folder / "store", room.vault)

    room.parts = replace(room.parts, store=store)
    with capture_exceptions() as caught:
        running = room.start()
        wait_for(lambda: not isinstance(running.shelf.state, Opening), "an end")
    assert isinstance(running.shelf.state, Unusable) and [kind for kind, _, _ in caught] == [
        ZeroDivisionError
    ]
    broken = False
    click(button_named(running.window.notice, "Try again"))
    wait_for(lambda: isinstance(running.shelf.state, Open), "the store")


@pytest.fixture
def shelf(room: Room) -> Iterator[Shelf]:
    def no_restore(_key: str) -> Kept:
        raise AssertionError

    made = Shelf(lambda: kept_in(room.folder / "store", room.vault), no_restore, room.parts.begin_store_anew)
    yield made
    assert made.end()


def test_a_store_that_can_not_be_read_is_closed_again(
    room: Room, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[bool] = []

    def opened_() -> Kept:
        kept = kept_in(room.folder / "store", room.vault)

        def close() -> None:
            closed.append(True)
            kept.close()

        return replace(kept, close=close)

    def unreadable(_: Observations) -> Any:
        raise StoreUnreadable("OSError")

    shelf._open_store = opened_
    people = Observations.people
    monkeypatch.setattr(Observations, "people", unreadable)
    shelf.open()
    wait_for(lambda: isinstance(shelf.state, Unusable), "the trouble")
    assert closed == [True] and shelf._kept is None
    # Unreadable later: what was open is closed before it is opened again.
    monkeypatch.setattr(Observations, "people", people)
    shelf.open()
    wait_for(lambda: isinstance(shelf.state, Open), "the store")
    monkeypatch.setattr(Observations, "people", unreadable)
    shelf.read_people()
    wait_for(lambda: isinstance(shelf.state, Unusable), "the trouble")
    monkeypatch.setattr(Observations, "people", people)
    shelf.open()
    wait_for(lambda: isinstance(shelf.state, Open), "the store")
    assert closed == [True, True]


def test_after_a_bug_the_others_get_their_answers(shelf: Shelf) -> None:
    shelf.open()
    wait_for(lambda: isinstance(shelf.state, Open), "the store")
    hold, got = Event(), list[int]()
    told: list[HealthHelperError] = []
    shelf._worker.do(lambda: hold.wait(10.0))

    def broken(_: Observations) -> int:
        raise ZeroDivisionError

    def also_broken(_: object) -> None:
        raise ZeroDivisionError

    with capture_exceptions() as caught:
        shelf.ask(broken, got.append, told.append)
        shelf.ask(lambda _: 1, also_broken, told.append)
        shelf.ask(lambda _: 2, got.append, told.append)
        hold.set()
        wait_for(lambda: got, "the answer")
    assert got == [2] and len(caught) == 2
    assert len(told) == 1 and "bug" in told[0].title  # who waited for the first is told


def test_locked_while_it_was_being_opened(room: Room, shelf: Shelf) -> None:
    hold = Event()
    first = True

    def slow() -> Kept:
        nonlocal first
        if first:
            first = False
            hold.wait(10.0)
            raise StoreUnreadable("OSError")
        return kept_in(room.folder / "store", room.vault)

    shelf._open_store = slow
    shelf.open()
    shelf.close()
    shelf.open()
    hold.set()
    wait_for(lambda: not shelf._waiting, "both answers")
    assert isinstance(shelf.state, Open)


# Another look


def test_another_look_waits_for_answers_that_are_still_to_come(room: Room) -> None:
    running, window = opened(room)
    window.go_to_history()
    hold = Event()
    running.shelf._worker.do(lambda: hold.wait(10.0))
    window.history.refresh()
    running.rebuild()
    pause(300)
    assert running.window is window
    hold.set()
    wait_for(lambda: running.window is not window, "the window made anew")
    wait_for(lambda: not running.shelf.busy, "its own answers")
    assert running.window.pages.currentWidget() is running.window.history


def test_another_look_waits_for_a_question_and_a_scan(room: Room) -> None:
    with_camera(room, accepted_s=1000.0)
    running, window = opened(room)
    with_person(running, window, "Ana")

    def look_away(dialog: Any) -> None:
        running.rebuild()
        pause(300)
        assert running.window is window
        dialog.reject()

    check = in_dialog(look_away)
    window._people.add()
    check()
    click(window.scan.start)
    pause(300)
    assert running.window is window and window.scan.running
    window.scan.cancel()
    wait_for(lambda: running.window is not window, "the window made anew")
    assert running.window.person.currentText() == "Ana"


def test_the_systems_colours_are_followed_while_it_is_open(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, window = opened(room, theme="system")
    measured(window)
    monkeypatch.setattr(look, "wanted_palette", lambda _theme: DARK)
    QGuiApplication.styleHints().colorSchemeChanged.emit(Qt.ColorScheme.Dark)
    wait_for(lambda: running.window is not window, "the window made anew")
    assert look.current() is DARK and running.window.result is not None
    again = running.window
    running.preferences.theme = "light"
    QGuiApplication.styleHints().colorSchemeChanged.emit(Qt.ColorScheme.Light)
    pause(300)
    assert running.window is again


def test_no_thread_says_more_than_it_may(capsys: pytest.CaptureFixture[str]) -> None:
    from client import log

    thread = threading.Thread(target=lambda: int("Ana"))
    before, threading.excepthook = threading.excepthook, log.show_bug_of_thread
    try:
        thread.start()
        thread.join()
    finally:
        threading.excepthook = before
    said = capsys.readouterr().err
    assert "ValueError" in said and "Ana" not in said and "/" not in said.replace("Health", "")
