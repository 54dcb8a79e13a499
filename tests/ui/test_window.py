"""The window's rules: who is saved under which name, stores in trouble, what is typed in, what is put back, locked and chosen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QEvent, QPointF, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QComboBox, QLineEdit

from client.errors import EnvironmentFault
from client.parts import WindowChoice
from client.store.observations import Kind, Observations
from client.store.scans import to_observation
from client.ui.pages.dialogs import ConfirmDialog, EntryDialog, RecoveryDialog
from client.ui.preferences import PreferencesFile
from client.ui.shelf import Closed, Open, Unusable
from client.ui.widgets.plots import CoursePlot
from client.ui.window import Window
from client.vault import VaultFault, VaultLocked, VaultMissing
from edge_models.types import Reason, TrendPoint
from tests.client.pipeline.fakes import estimate, scan_result
from tests.client.store.conftest import NOW
from tests.client.store.test_scans import record as scan_record
from tests.ui.conftest import Room
from tests.ui.looking import button_named, click, in_dialog, pause, press, shot, wait_for


def opened(room: Room, **preferences: object) -> tuple[Any, Window]:
    running = room.start(**preferences)
    wait_for(lambda: isinstance(running.shelf.state, Open), "an open store")
    return running, running.window


def with_person(running: Any, window: Window, name: str) -> None:
    """Somebody of this name, chosen at the top."""
    running.shelf.ask(
        lambda kept: kept.add_person(name, now=NOW), lambda _: running.shelf.read_people(), _fail
    )
    wait_for(lambda: window.person.findText(name) >= 0, name)
    choose(window, name)


def choose(window: Window, name: str) -> None:
    at = window.person.findText(name)
    window.person.setCurrentIndex(at)
    window._choose_person(at)


def _fail(fault: Exception) -> None:
    raise fault


def kept(running: Any, person: str | None) -> int:
    """How much is kept of somebody."""
    found: list[int] = []
    running.shelf.ask(lambda all_: all_.count(person), found.append, _fail)
    wait_for(lambda: found, "a count")
    return found[0]


@pytest.mark.parametrize("fault", [VaultMissing(), VaultLocked()])
def test_without_a_key_store_it_says_so_measures_and_keeps_nothing(room: Room, fault: VaultFault) -> None:
    room.vault.fault = fault
    running = room.start()
    window = running.window
    wait_for(lambda: isinstance(running.shelf.state, Unusable), "the trouble")
    assert fault.title in window.notice.words and fault.remedy in window.notice.words
    shot(window, f"store-{fault.code}")
    window._scan_finished(scan_record())
    page = window.result
    assert page is not None and "70" in page.heading.text()
    assert page.save_button is not None and not page.save_button.isEnabled()
    assert page.report_button.isEnabled()
    assert not list(room.folder.rglob("*.db*"))
    # Once it is there, one button is enough.
    room.vault.fault = None
    click(button_named(window.notice, "Try again"))
    wait_for(lambda: isinstance(running.shelf.state, Open), "the open store")
    assert page.save_button.isEnabled()


def test_a_damaged_store_is_mended_and_told_in_plain_words_once(room: Room) -> None:
    running, window = opened(room)
    with_person(running, window, "Ana")
    running.window.close()
    running.end()
    database = next((room.folder / "store").glob("*.db"))
    damaged = b"\x00" * 4096 + database.read_bytes()[4096:]
    database.write_bytes(damaged)
    again = room.start()
    wait_for(lambda: isinstance(again.shelf.state, Open), "the mended store")
    assert "has been put together again" in again.window.notice.words
    assert again.window.person.findText("Ana") >= 0
    assert damaged in [one.read_bytes() for one in (room.folder / "store").glob("damaged-*")]
    shot(again.window, "store-mended")
    again.window.notice.hide()
    again.shelf.close()
    again.shelf.open()
    wait_for(lambda: isinstance(again.shelf.state, Open), "the store once more")
    assert "put together" not in again.window.notice.words


def test_saved_under_the_chosen_name_and_never_under_another_without_asking(room: Room) -> None:
    running, window = opened(room)
    with_person(running, window, "Ana")
    with_person(running, window, "Ben")
    window._scan_began_s = room.parts.clock.now_s()
    window._scan_finished(scan_record())
    assert window.result is not None and window.result.save_button is not None
    click(window.result.save_button)
    ben = window._whose.person
    wait_for(lambda: kept(running, ben) == 1, "Ben's scan")
    # Ana is chosen after her scan has begun: is it she? At first the answer is no.
    window._scan_began_s = room.parts.clock.now_s()
    window._scan_finished(scan_record())
    choose(window, "Ana")
    ana = window._whose.person
    assert window.result.save_button.text() == "Save for Ana"
    asked: list[str] = []

    def refuse(dialog: object) -> None:
        assert isinstance(dialog, ConfirmDialog)
        asked.append(dialog.windowTitle())
        shot(dialog, "whose-result")
        press(dialog, Qt.Key.Key_Escape)

    check = in_dialog(refuse)
    click(window.result.save_button)
    check()
    assert asked and kept(running, ana) == 0
    check = in_dialog(lambda dialog: click(button_named(dialog, "Yes, Ana")))
    click(window.result.save_button)
    check()
    wait_for(lambda: kept(running, ana) == 1, "Ana's scan")
    assert kept(running, ben) == 1


def test_a_guest_is_never_asked(room: Room) -> None:
    running, window = opened(room)
    window._scan_finished(scan_record())
    assert window.result is not None and window.result.save_button is not None
    click(window.result.save_button)
    wait_for(lambda: kept(running, None) == 1, "the guest's scan")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"simulated": True}, "nobody was measured"),
        ({"result": scan_result(estimate(None, Reason.TOO_DARK))}, "no heart rate"),
    ],
)
def test_what_is_never_kept_has_no_button_and_says_why(
    room: Room, changes: dict[str, object], words: str
) -> None:
    _running, window = opened(room)
    window._scan_finished(replace(scan_record(), **changes))  # type: ignore[arg-type]
    page = window.result
    assert page is not None and page.save_button is None
    labels = " ".join(widget.text() for widget in page.findChildren(type(page.heading)))
    assert words in labels
    shot(window, f"not-kept-{words.replace(' ', '-')}")


def test_a_withheld_rate_names_its_reason_and_what_to_do(room: Room) -> None:
    _running, window = opened(room)
    window._scan_finished(replace(scan_record(), result=scan_result(estimate(None, Reason.TOO_DARK))))
    assert window.result is not None
    assert window.result.heading.text() == "No heart rate is shown"
    labels = " ".join(widget.text() for widget in window.result.findChildren(type(window.result.heading)))
    assert "too dark" in labels and "Switch on a light" in labels


def test_a_reading_typed_in_is_checked_marked_and_listed(room: Room) -> None:
    running, window = opened(room)
    window.go_to_history()

    def fill(dialog: object) -> None:
        assert isinstance(dialog, EntryDialog)
        dialog.fields["systolic"].setText("82")
        dialog.fields["diastolic"].setText("128")
        click(dialog.ok)
        assert dialog.isVisible() and "below" in dialog.wrong.text()
        dialog.fields["systolic"].setText("128")
        dialog.fields["diastolic"].setText("8")
        click(dialog.ok)
        assert dialog.isVisible() and "20 to 200" in dialog.wrong.text()
        shot(dialog, "entry-wrong")
        dialog.fields["diastolic"].setText("٨٢")  # as an Arabic keyboard writes 82
        click(dialog.ok)

    check = in_dialog(fill)
    click(window.history.add)
    check()
    wait_for(lambda: window.history.table.rowCount() == 1, "the reading")
    assert _cell(window, 1) == "Blood pressure (cuff)"
    assert _cell(window, 2) == "128/82 mmHg, typed in"
    found: list[Any] = []
    running.shelf.ask(lambda all_: all_.get(all_.lines(None)[0].id), found.append, _fail)
    wait_for(lambda: found, "the reading itself")
    assert found[0].body["entered"] is True and found[0].line.kind == Kind.BLOOD_PRESSURE
    # It has no details of a scan, and can be deleted and put back.
    window.history.table.setCurrentCell(0, 0)
    assert not window.history.details.isEnabled()
    click(window.history.remove)
    wait_for(lambda: window.history.table.rowCount() == 0, "the empty list")
    click(button_named(window.notice, "Undo"))
    wait_for(lambda: window.history.table.rowCount() == 1, "the reading again")


def _cell(window: Window, column: int) -> str:
    item = window.history.table.item(0, column)
    assert item is not None
    return item.text()


def _many(all_: Observations, count: int) -> int:
    from datetime import timedelta

    made = []
    for k in range(count):
        rate = estimate(60.0 + k % 30)
        one = replace(
            scan_record(), result=scan_result(rate), taken_at=NOW - timedelta(hours=6 * k), simulated=False
        )
        made.append(to_observation(one, person=None))
    return all_.save_all(made)


def test_a_long_history_comes_page_by_page_and_as_a_plot(room: Room) -> None:
    running, window = opened(room)
    saved: list[int] = []
    running.shelf.ask(lambda all_: _many(all_, 130), saved.append, _fail)
    wait_for(lambda: saved == [130], "many scans")
    window.go_to_history()
    history = window.history
    wait_for(lambda: history.table.rowCount() == 50, "a page")
    for rows in (100, 130):
        assert history.more.isVisible()
        click(history.more)
        wait_for(lambda rows=rows: history.table.rowCount() == rows, "the next page")  # type: ignore[misc]
    assert not history.more.isVisible()
    history.span.setCurrentIndex(3)
    history.span.activated.emit(3)
    wait_for(lambda: "130 scans" in history.nothing.text(), "the whole course")
    history.what.setCurrentIndex(2)
    history.what.activated.emit(2)
    assert "nothing to show" in history.nothing.text()
    history.what.setCurrentIndex(0)
    history.what.activated.emit(0)
    shot(window, "history-long")


@pytest.mark.parametrize(("language", "side", "other"), [("en", "left", "right"), ("ar", "right", "left")])
def test_values_stand_where_a_line_begins_and_time_runs_to_the_right(
    room: Room, language: str, side: str, other: str
) -> None:
    _running, window = opened(room, language=language)
    window.resize(1100, 1300)
    trend = tuple(
        TrendPoint(10.0 + k, 70.0 + k % 4, 68.0 + k % 4, 73.0 + k % 4)
        if k % 9
        else TrendPoint(10.0 + k, None, None, None)
        for k in range(20)
    )
    window._scan_finished(replace(scan_record(), result=scan_result(trend=trend)))
    assert window.result is not None
    plot = window.result.findChild(CoursePlot)
    assert plot is not None
    pause(60)
    axis, inside = plot.getAxis(side), plot.getViewBox()
    assert axis.isVisible() and not plot.getAxis(other).isVisible()
    gap = inside.geometry().left() - axis.geometry().right()
    assert abs(gap if side == "left" else axis.geometry().left() - inside.geometry().right()) < 2.0
    assert inside.mapViewToScene(QPointF(0.0, 70.0)).x() < inside.mapViewToScene(QPointF(9.0, 70.0)).x()
    shot(window, f"course-{language}")


def test_a_new_recovery_key_counts_once_it_is_written_down(room: Room) -> None:
    running, window = opened(room)
    with_person(running, window, "Ana")
    assert running.shelf.state.needs_recovery_key
    keys: list[str] = []

    def read(dialog: object) -> None:
        assert isinstance(dialog, RecoveryDialog)
        keys.append(dialog.key.text())
        shot(dialog, "recovery-key")
        click(dialog.ok)

    check = in_dialog(read)
    window._keys.make()
    wait_for(lambda: keys, "the key")
    check()
    wait_for(lambda: not running.shelf.state.needs_recovery_key, "the key in force")
    # Another computer: the key store has no key, the paper has.
    running.window.close()
    running.end()
    room.vault.kept.clear()
    again = room.start()
    wait_for(lambda: isinstance(again.shelf.state, Unusable), "a store without its key")
    again.window.go_to_settings()

    def type_it(dialog: object) -> None:
        field = dialog.findChild(QLineEdit)  # type: ignore[attr-defined]
        field.setText(keys[0])
        QTest.keyClick(field, Qt.Key.Key_Return)

    check = in_dialog(type_it)
    click(again.window.settings.restore_button)
    check()
    wait_for(lambda: isinstance(again.shelf.state, Open), "the store")
    assert [person.name for person in again.shelf.state.people] == ["Ana"]


def test_it_locks_itself_when_nobody_uses_it_and_opens_again(room: Room) -> None:
    running, window = opened(room, lock_after_min=2)
    with_person(running, window, "Ana")
    window.go_to_history()
    window._lock_if_idle()
    assert isinstance(running.shelf.state, Open)
    window._used_at_s -= 121.0
    window._lock_if_idle()
    wait_for(lambda: isinstance(running.shelf.state, Closed), "the lock")
    assert window.pages.currentWidget() is window.scan and window.person.findText("Ana") < 0
    shot(window, "locked")
    click(button_named(window.notice, "Unlock"))
    wait_for(lambda: window.person.findText("Ana") >= 0, "the people again")
    assert window.person.currentText() == "Guest"


def test_any_key_counts_as_use(room: Room) -> None:
    _running, window = opened(room, lock_after_min=2)
    window._used_at_s -= 100.0
    QTest.keyClick(window, Qt.Key.Key_Shift)
    assert room.parts.clock.now_s() - window._used_at_s < 50.0
    assert not window.eventFilter(window, QEvent(QEvent.Type.Timer))


def test_another_language_and_size_at_once_and_kept(room: Room) -> None:
    running, window = opened(room)
    window.go_to_settings()
    box: QComboBox = window.settings.language
    box.setCurrentIndex(box.findData("ar"))
    box.activated.emit(box.findData("ar"))
    wait_for(lambda: running.window is not window, "the window made anew")
    assert QApplication.layoutDirection() is Qt.LayoutDirection.RightToLeft
    assert running.window.pages.currentWidget() is running.window.settings
    assert PreferencesFile(room.folder / "window.ini").load().language == "ar"
    wait_for(lambda: isinstance(running.shelf.state, Open), "still open")


def test_no_camera_is_told_where_one_looks(room: Room) -> None:
    _running, window = opened(room)
    click(window.scan.start)
    assert "No camera was found" in window.scan._fault.text()
    assert window.scan.start.text() == "Try again" and not window.scan.running
    shot(window, "no-camera")


def test_a_source_that_fails_is_told_and_the_bar_is_free_again(room: Room) -> None:
    room.choice = WindowChoice(source=lambda: room.parts.video(Path("/nowhere/at-all.mp4")))
    _running, window = opened(room)
    click(window.scan.start)
    wait_for(lambda: not window.scan.running, "the end")
    assert "does not exist" in window.scan._fault.text() and window.bar.isEnabled()


def test_cancelled_with_the_keyboard(camera_of_the_stream: Room) -> None:
    _running, window = opened(camera_of_the_stream)
    press(window.scan.start, Qt.Key.Key_Return)
    wait_for(lambda: window.scan._picture._image is not None, "a picture")
    press(window.scan._cancel, Qt.Key.Key_Return)
    wait_for(lambda: not window.scan.running, "the end")
    assert window.result is None and window.bar.isEnabled()
    assert window.pages.currentWidget() is window.scan


def test_the_chosen_camera_shows_its_picture_in_the_settings_and_is_let_go(
    camera_of_the_stream: Room,
) -> None:
    _running, window = opened(camera_of_the_stream)
    window.go_to_settings()
    camera = window.settings.camera
    wait_for(lambda: camera.box.findText("Desk camera") == 1, "the list")
    camera.box.setCurrentIndex(1)
    camera.box.activated.emit(1)
    click(camera.try_it)
    wait_for(lambda: camera.picture._image is not None, "its picture")
    shot(window, "settings-camera")
    window.go_to_scan()
    assert camera._preview is None and camera.picture._image is None


def test_a_camera_that_fails_says_so_in_the_settings(camera_of_the_stream: Room) -> None:
    def broken(_camera: str) -> Any:
        raise_fault = EnvironmentFault(title="The camera is in use", remedy="Close the other program.")

        class Source:
            def open(self) -> Any:
                raise raise_fault

            def close(self) -> None:
                pass

        return Source()

    room = camera_of_the_stream
    room.parts = replace(room.parts, camera=broken)
    _running, window = opened(room)
    window.go_to_settings()
    camera = window.settings.camera
    wait_for(camera.try_it.isEnabled, "the list")
    click(camera.try_it)
    wait_for(lambda: "in use" in camera.words.text(), "the reason")


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00rubbish", b"[General]\ntext_percent=many\ntheme=7\nseconds=-4\n"]
)
def test_a_broken_file_of_settings_is_as_good_as_none(room: Room, content: bytes) -> None:
    path = room.folder / "window.ini"
    path.write_bytes(content)
    found = PreferencesFile(path).load()
    assert found.text_percent == 100 and found.seconds >= 20 and found.consent == 0


def test_settings_that_can_not_be_written_hold_until_the_end(room: Room) -> None:
    running, window = opened(room)
    running._file = PreferencesFile(Path("/proc/health-helper/window.ini"))
    window.preferences_changed.emit()
    assert "could not be written" in window.notice.words


def test_a_deleted_person_can_be_put_back(room: Room) -> None:
    running, window = opened(room)
    with_person(running, window, "Ana")
    window._scan_began_s = room.parts.clock.now_s()
    window._scan_finished(scan_record())
    assert window.result is not None and window.result.save_button is not None
    click(window.result.save_button)
    ana = window._whose.person
    wait_for(lambda: kept(running, ana) == 1, "Ana's scan")
    window.go_to_settings()
    check = in_dialog(lambda dialog: click(button_named(dialog, "Delete Ana")))
    click(window.settings.remove_button)
    check()
    wait_for(lambda: window.person.findText("Ana") < 0, "Ana gone")
    wait_for(lambda: "deleted" in window.notice.words, "the word")
    click(button_named(window.notice, "Undo"))
    wait_for(lambda: window.person.findText("Ana") >= 0, "Ana again")
    assert kept(running, ana) == 1
