"""What a new user stumbled over: the wheel, the fold, the keyboard in the list, Escape, the demo's ring."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractSpinBox, QApplication, QComboBox, QWidget

from client.app import run
from client.parts import Parts, WindowChoice
from client.pipeline.session import Session
from client.ui.pages.dialogs import EntryDialog
from client.ui.shelf import Closed
from tests.client.store.conftest import NOW
from tests.ui.conftest import Room
from tests.ui.looking import click, pause, wait_for
from tests.ui.scripted import with_camera
from tests.ui.test_unsaved import measured, opened


def _wheel(widget: QWidget) -> bool:
    """Turn it towards oneself; whether the widget leaves it to whatever is behind it. (Qt passes on only what a real mouse sends.)"""
    at = QPointF(widget.rect().center())
    event = QWheelEvent(
        at,
        QPointF(widget.mapToGlobal(at.toPoint())),
        QPoint(),
        QPoint(0, -120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    event.setAccepted(True)
    QApplication.sendEvent(widget, event)
    return not event.isAccepted()


def test_the_wheel_over_a_field_scrolls_the_page_and_changes_nothing(room: Room) -> None:
    _running, window = opened(room)
    window.go_to_settings()
    pause(60)
    assert window.settings.theme.currentIndex() == 1  # there is one before and one behind it
    over = window.settings.theme.mapTo(window, window.settings.theme.rect().center())
    QTest.wheelEvent(window.windowHandle(), QPointF(over), QPoint(0, -120))
    assert window.settings.theme.currentIndex() == 1
    assert window.settings.verticalScrollBar().value() > 0
    dialog = EntryDialog(window, "Ana", NOW)
    for top in (window, dialog):
        for one in [*top.findChildren(QComboBox), *top.findChildren(QAbstractSpinBox)]:
            before = one.currentIndex() if isinstance(one, QComboBox) else one.text()
            assert _wheel(one)
            assert before == (one.currentIndex() if isinstance(one, QComboBox) else one.text())
            assert one.focusPolicy() is Qt.FocusPolicy.StrongFocus
    dialog.deleteLater()


def test_the_buttons_of_a_result_are_on_the_first_screen(room: Room) -> None:
    _running, window = opened(room)
    measured(window)
    pause(60)
    page = window.result
    assert page.standing.text() == "Not saved yet."
    order = [page.save_button, page.report_button, page.done_button]
    for one in order:
        assert one.mapTo(page.viewport(), QPoint(0, one.height())).y() <= 300
    assert page.standing.geometry().bottom() < page.save_button.geometry().top()
    for here, there in pairwise(order):
        assert here.nextInFocusChain() is there
    click(page.save_button)
    wait_for(lambda: window.history.table.rowCount() == 1, "the line")
    window.history.table.setCurrentCell(0, 0)
    click(window.history.details)
    wait_for(lambda: window.result is not None and window.result.shown.kept, "the kept one")
    assert window.result.standing.text().startswith("Kept for Guest")


def test_the_list_is_used_with_the_keyboard_alone_and_escape_leads_back(room: Room) -> None:
    _running, window = opened(room)
    window.activateWindow()
    history = window.history
    for count in (1, 2):
        measured(window)
        click(window.result.save_button)
        wait_for(lambda wanted=count: history.table.rowCount() == wanted, "the line")  # type: ignore[misc]
    assert not history.remove.isEnabled()
    history.table.setFocus(Qt.FocusReason.TabFocusReason)
    assert history.table.currentRow() == 0 and history.details.isEnabled() and history.remove.isEnabled()
    QTest.keyClick(history.table, Qt.Key.Key_Down)
    assert history.chosen() is history._rows[1]
    QTest.keyClick(history.table, Qt.Key.Key_Up)
    assert history.chosen() is history._rows[0]
    click(history.details)
    wait_for(lambda: window.result is not None and window.result.shown.kept, "the details")
    QTest.keyClick(window, Qt.Key.Key_Escape)
    wait_for(lambda: window.pages.currentWidget() is history, "the list")


def test_escape_cancels_a_scan_and_says_so(room: Room) -> None:
    with_camera(room, accepted_s=1000.0)
    _running, window = opened(room)
    window.activateWindow()
    pause(50)
    click(window.scan.start)
    QTest.keyClick(window, Qt.Key.Key_Escape)
    wait_for(lambda: not window.scan.running, "the end")
    assert window.notice.words == "Cancelled; nothing was kept." and window.result is None


def test_it_is_locked_from_the_settings(room: Room) -> None:
    running, window = opened(room)
    measured(window)
    window.go_to_settings()
    click(window.settings.lock_button)
    assert isinstance(running.shelf.state, Closed) and "Locked." in window.notice.words
    assert window._unsaved.hidden and window.focusWidget() is window.scan._waiting.action
    window.go_to_settings()
    assert not window.settings.lock_button.isVisible()


@pytest.mark.parametrize(("arguments", "seconds"), [([], 40.0), (["--seconds", "20"], 20.0)])
def test_the_ring_fills_in_the_demo(room: Room, arguments: list[str], seconds: float) -> None:
    chosen: list[WindowChoice] = []

    def window(_parts: Parts, choice: WindowChoice) -> int:
        chosen.append(choice)
        return 0

    assert run(replace(room.parts, window=window), ["window", "--demo", *arguments]) == 0
    goal = chosen[0].goal
    assert goal is not None and goal.at_most_s == seconds and Session(goal).share == 0.0
