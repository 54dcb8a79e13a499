"""From the stream to a report on the disk, by clicks and keys, in a real window."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QFileDialog, QLineEdit

from client.language import said
from client.store.database import FILE_NAME
from client.ui.shelf import Open
from tests.ui.conftest import Room
from tests.ui.looking import button_named, click, in_dialog, press, shot, wait_for

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("language", "percent", "theme"), [("en", 100, "light"), ("ar", 100, "light"), ("es", 200, "dark")]
)
def test_from_the_stream_to_a_report_on_the_disk(
    person_in_front: Room, language: str, percent: int, theme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = person_in_front
    running = room.start(consent=0, language=language, text_percent=percent, theme=theme)
    window = running.window
    name = f"{language}-{percent}"
    right_to_left = QApplication.layoutDirection() is Qt.LayoutDirection.RightToLeft
    assert right_to_left is (language == "ar")

    # Consent, with the keyboard
    shot(window, f"{name}-1-welcome")
    assert not window.bar.isVisible() and not window.welcome.go_on.isEnabled()
    for box in (window.welcome.adult, window.welcome.understood, window.welcome.consents):
        press(box, Qt.Key.Key_Space)
    press(window.welcome.go_on, Qt.Key.Key_Return)
    wait_for(lambda: isinstance(running.shelf.state, Open), "an open store")
    shot(window, f"{name}-2-before")

    # A person, chosen at the top
    def type_name(dialog: object) -> None:
        field = dialog.findChild(QLineEdit)  # type: ignore[attr-defined]
        QTest.keyClicks(field, "Ana Mar")
        field.insert("ía")  # QTest has keys for ASCII only
        shot(dialog, f"{name}-3-person")  # type: ignore[arg-type]
        QTest.keyClick(field, Qt.Key.Key_Return)

    check = in_dialog(type_name)
    window._choose_person(window.person.count() - 1)
    check()
    wait_for(lambda: window.person.currentText() == "Ana María", "the new person")
    window.notice.hide()

    # The scan
    press(window.scan.start, Qt.Key.Key_Return)
    wait_for(lambda: window.scan._rate.text().isdigit(), "a live heart rate")
    shot(window, f"{name}-4-scan")
    assert window.scan.running and not window.bar.isEnabled()
    wait_for(lambda: window.result is not None, "a result")
    result = window.result
    assert result is not None
    rate = result.shown.record.heart_rate.value
    assert rate is not None and 69.0 <= rate <= 75.0  # a heart of 72, over sixteen seconds
    shot(window, f"{name}-5-result")

    # Saved under the name, by the keyboard: the button has the focus
    assert result.save_button is not None and "Ana María" in result.save_button.text()
    wait_for(lambda: window.focusWidget() is result.save_button, "the focus on the button")
    QTest.keyClick(result.save_button, Qt.Key.Key_Return)
    wait_for(lambda: window.history.table.rowCount() == 1, "the line in the history")
    assert f"{rate:.0f}" in window.history.table.item(0, 2).text()
    shot(window, f"{name}-6-history")

    # Its details, and a report
    window.history.table.setCurrentCell(0, 0)
    press(window.history.table, Qt.Key.Key_Return)
    wait_for(lambda: window.result.shown.kept is not None, "the kept scan")
    shot(window, f"{name}-7-details")
    target = room.folder / "report.pdf"

    def save_as(dialog: object) -> None:
        assert isinstance(dialog, QFileDialog)
        field = dialog.findChild(QLineEdit, "fileNameEdit")
        assert field is not None
        field.setText(str(target))
        QTest.keyClick(field, Qt.Key.Key_Return)

    monkeypatch.setattr(
        QFileDialog, "getSaveFileName", _own_dialog
    )  # the system's own has no fields to type into
    check = in_dialog(save_as)
    click(window.result.report_button)
    check()
    wait_for(target.exists, "the report")
    assert target.read_bytes().startswith(b"%PDF-")
    wait_for(lambda: target.name in window.notice.words, "the word that it was written")

    # What lies on the disk is encrypted
    kept = (room.folder / "store" / FILE_NAME).read_bytes()
    assert b"SQLite format 3" not in kept and "Ana María".encode() not in kept

    # Deleted, and put back
    click(button_named(window, said("Delete")))
    wait_for(lambda: window.history.table.rowCount() == 0, "the empty history")
    shot(window, f"{name}-8-deleted")
    click(button_named(window.notice, said("Undo")))
    wait_for(lambda: window.history.table.rowCount() == 1, "the line again")
    click(window.to_settings)
    shot(window, f"{name}-9-settings")


def _own_dialog(parent: object, title: str, path: str, kinds: str) -> tuple[str, str]:
    dialog = QFileDialog(parent, title, str(Path(path).parent), kinds)  # type: ignore[call-overload]
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.setOption(QFileDialog.Option.DontUseNativeDialog)
    return (dialog.selectedFiles()[0], kinds) if dialog.exec() else ("", "")
