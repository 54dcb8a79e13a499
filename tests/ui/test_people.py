"""People: whose data is shown, renamed, put back; reminders that take nothing away."""

from __future__ import annotations

from threading import Event
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAccessible
from PySide6.QtPrintSupport import QAbstractPrintDialog, QPrintDialog
from PySide6.QtWidgets import QDialog, QWidget

from client.parts import Kept
from client.store.observations import Observations
from client.ui.pages.deleted import DeletedDialog
from client.ui.pages.dialogs import NameDialog, RecoveryDialog
from client.ui.shelf import Open
from tests.ui.conftest import Room
from tests.ui.looking import button_named, click, in_dialog, pause, shot, wait_for
from tests.ui.test_sync import asked
from tests.ui.test_unsaved import measured, opened
from tests.ui.test_window import choose, kept, with_person


def saved_for(running: Any, window: Any, name: str) -> str:
    """A scan of this person, who is chosen; the person."""
    with_person(running, window, name)
    measured(window)
    click(window.result.save_button)
    wait_for(lambda: f"Saved for {name}" in window.notice.words, "the word")
    wait_for(lambda: not window._shelf.busy, "it in the history")
    person: str = window._whose.person
    return person


def test_undo_of_a_deleted_person_stays(room: Room) -> None:
    running, window = opened(room)
    with_person(running, window, "Ana")
    with_person(running, window, "Ben")  # somebody stays, of whom the reminder could speak
    wait_for(lambda: "recovery key" in window.notice.words, "the reminder")
    window.go_to_settings()
    check = in_dialog(lambda dialog: click(button_named(dialog, "Delete Ben")))
    click(window.settings.remove_button)
    check()
    wait_for(lambda: "Ben was deleted" in window.notice.words, "the word")
    running.shelf.read_people()
    pause(300)
    assert "Ben was deleted" in window.notice.words
    click(button_named(window.notice, "Undo"))
    wait_for(lambda: window.person.findText("Ben") >= 0, "Ben again")


def test_it_is_reminded_of_the_recovery_key_once_until_it_is_opened_again(room: Room) -> None:
    running, window = opened(room)
    with_person(running, window, "Ana")
    wait_for(lambda: "recovery key" in window.notice.words, "the reminder")
    window.notice.hide()
    with_person(running, window, "Ben")
    pause(100)
    assert not window.notice.isVisible()
    running.shelf.close()
    running.shelf.open()
    wait_for(lambda: "recovery key" in window.notice.words, "the reminder")
    running.shelf.close()
    window.notice.tell("Something else.", "Undo", lambda: None)
    running.shelf.open()
    wait_for(lambda: isinstance(running.shelf.state, Open), "the store")
    assert window.notice.words == "Something else."


def test_what_was_deleted_is_listed_and_put_back(room: Room) -> None:
    running, window = opened(room)
    ana = saved_for(running, window, "Ana")
    window.history.table.setCurrentCell(0, 0)
    click(window.history.remove)
    wait_for(lambda: "Deleted" in window.notice.words, "the word")
    window.notice.hide()
    assert kept(running, ana) == 0

    def put_back(dialog: QDialog) -> None:
        assert isinstance(dialog, DeletedDialog) and dialog.table.rowCount() == 1
        assert dialog.ok.isEnabled() is (dialog.chosen is not None)  # the first, once the list has the focus
        cells = [dialog.table.item(0, column) for column in range(3)]
        texts = [cell.text() for cell in cells if cell is not None]
        assert texts[1] == "Ana" and "heart rate 70" in texts[2]
        dialog.table.setCurrentCell(0, 0)
        shot(dialog, "deleted")
        click(dialog.ok)

    check = in_dialog(put_back)
    click(window.history.bin)
    wait_for(lambda: window.history.table.rowCount() == 1, "the line again")
    check()
    assert kept(running, ana) == 1


def test_a_person_is_put_back_from_the_settings_with_all_that_was_theirs(room: Room) -> None:
    running, window = opened(room)
    ana = saved_for(running, window, "Ana")
    window.go_to_settings()
    check = in_dialog(lambda dialog: click(button_named(dialog, "Delete Ana")))
    click(window.settings.remove_button)
    check()
    wait_for(lambda: window.person.findText("Ana") < 0, "Ana gone")
    window.notice.hide()

    def put_back(dialog: QDialog) -> None:
        assert isinstance(dialog, DeletedDialog) and dialog.table.rowCount() == 1
        dialog.table.setCurrentCell(0, 0)
        click(dialog.ok)

    check = in_dialog(put_back)
    click(window.settings.deleted_button)
    wait_for(lambda: window.person.findText("Ana") >= 0, "Ana again")
    check()
    assert kept(running, ana) == 1


def test_a_deleted_document_is_listed_and_put_back(room: Room) -> None:
    _running, window = opened(room)
    now = room.parts.clock.utc()

    def make(all_: Kept) -> tuple[str, str]:
        ana = all_.observations.add_person("Ana", now=now).id
        made = all_.documents.add(
            [b"%PDF-"],
            person=ana,
            purpose="medical_report",
            media_type="application/pdf",
            title="Letter.pdf",
            pages=1,
            now=now,
        )
        all_.documents.delete(made.id, now)
        return ana, made.id

    ana, document = asked(window, make)
    window.go_to_settings()

    def put_back(dialog: QDialog) -> None:
        assert isinstance(dialog, DeletedDialog) and dialog.table.rowCount() == 1
        cells = [dialog.table.item(0, column) for column in range(3)]
        assert [cell.text() for cell in cells if cell is not None][1:] == ["Ana", "Letter.pdf, PDF"]
        dialog.table.setCurrentCell(0, 0)
        click(dialog.ok)

    check = in_dialog(put_back)
    click(window.settings.deleted_button)
    wait_for(
        lambda: [one.id for one in asked(window, lambda all_: all_.documents.list(ana))] == [document], "it"
    )
    check()


def test_nothing_deleted_is_said(room: Room) -> None:
    _running, window = opened(room)
    window.go_to_settings()

    def look(dialog: QDialog) -> None:
        assert isinstance(dialog, DeletedDialog) and not dialog.table.isVisible()
        click(dialog.cancel)

    check = in_dialog(look)
    click(window.settings.deleted_button)
    wait_for(lambda: not window._shelf.busy, "the answer")
    pause(200)
    check()


def test_what_can_not_be_put_back_or_deleted_is_told(room: Room) -> None:
    running, window = opened(room)
    window.go_to_history()
    window._people.put_back("nothing")
    wait_for(lambda: "can't be put back" in window.notice.words, "the word")
    window._delete("nothing")
    wait_for(lambda: "deleted before" in window.notice.words, "the word")
    assert not window.notice.offers and running.shelf is not None


def test_a_kept_scan_is_shown_under_the_name_of_whose_it_is_or_not_at_all(room: Room) -> None:
    running, window = opened(room)
    with_person(running, window, "Ben")
    saved_for(running, window, "Ada")
    wait_for(lambda: window.history.table.rowCount() == 1, "Ada's line")
    hold = Event()
    running.shelf._worker.do(lambda: hold.wait(10.0))
    window.history.table.setCurrentCell(0, 0)
    click(window.history.details)
    choose(window, "Ben")
    # Nothing of Ada's is there to be looked at or deleted under Ben's name.
    assert "Ben" in window.history.heading.text() and window.history.table.rowCount() == 0
    assert not window.history.plot.isVisible() and not window.history.remove.isEnabled()
    hold.set()
    wait_for(lambda: not running.shelf.busy, "the answers")
    assert window.pages.currentWidget() is window.history and window.history.table.rowCount() == 0
    choose(window, "Ada")
    wait_for(lambda: window.history.table.rowCount() == 1, "Ada's line")
    window.history.table.setCurrentCell(0, 0)
    click(window.history.details)
    wait_for(lambda: window.result is not None and window.result.shown.kept is not None, "her scan")
    assert window.result.shown.whose == "Ada"


def test_somebody_added_at_a_result_is_who_it_is_saved_for(room: Room) -> None:
    running, window = opened(room)
    measured(window)
    assert window.result.save_button.text() == "Save as guest"

    def type_it(dialog: QDialog) -> None:
        assert isinstance(dialog, NameDialog)
        dialog.name.setText("Ana & Co")
        click(dialog.ok)

    check = in_dialog(type_it)
    window._choose_person(window.person.count() - 1)
    check()
    wait_for(lambda: "Ana" in window.result.save_button.text(), "the name on the button")
    assert window.result.save_button.text() == "Save for Ana && Co"  # a letter, not the mark of a key
    assert window.person.currentText() == "Ana & Co" and running.shelf is not None


def test_a_misspelt_name_is_mended(room: Room) -> None:
    running, window = opened(room)
    ana = saved_for(running, window, "Anna")
    with_person(running, window, "Ben")
    choose(window, "Anna")
    window.go_to_settings()
    shot(window, "settings-people")

    def rename(dialog: QDialog) -> None:
        assert isinstance(dialog, NameDialog) and dialog.name.text() == "Anna"
        dialog.name.setText("Ana")
        shot(dialog, "rename")
        click(button_named(dialog, "Rename"))

    check = in_dialog(rename)
    click(window.settings.rename_button)
    check()
    wait_for(lambda: window.person.currentText() == "Ana", "the other name")
    assert window._whose.person == ana and kept(running, ana) == 1

    def take(dialog: QDialog) -> None:
        assert isinstance(dialog, NameDialog)
        dialog.name.setText("BEN")
        click(dialog.ok)

    check = in_dialog(take)
    click(window.settings.rename_button)
    check()
    wait_for(lambda: "already somebody" in window.notice.words, "the word")
    window._set_person(None)
    click(window.settings.rename_button)
    assert "a guest has no name" in window.notice.words


def test_a_name_is_no_markup(room: Room) -> None:
    _running, window = opened(room)
    window.notice.tell("<b>Ana</b> was deleted.")
    plain = window.notice._words.sizeHint()
    window.notice.tell("&lt;b&gt;Ana&lt;/b&gt; was deleted.")
    longer = window.notice._words.sizeHint()  # in another font perhaps in two lines
    assert (
        longer.width() * longer.height() > plain.width() * plain.height()
    )  # none of it was taken for a sign


# What a screen reader gets, and what leaves by the printer


def named(widget: Any) -> str:
    return QAccessible.queryAccessibleInterface(widget).text(QAccessible.Text.Name)


def test_the_recovery_key_is_read_out_reached_by_tab_and_not_copied(room: Room) -> None:
    _running, window = opened(room)
    dialog = RecoveryDialog(window, "AAAA-BBBB-CCCC-DDDD", lambda: None)
    dialog.show()
    key = dialog.key
    assert "AAAA-BBBB-CCCC-DDDD" in named(key)
    order: list[QWidget] = []
    widget = dialog.nextInFocusChain()
    while widget is not None and widget is not dialog:
        order.append(widget)
        widget = widget.nextInFocusChain()
    assert key in order and key.focusPolicy().value & 1
    selectable = (
        Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
    )
    assert not key.textInteractionFlags() & selectable
    key.setFocus()
    shot(dialog, "recovery-key-focus")
    dialog.close()


def test_a_dialog_says_what_is_wrong(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    _running, window = opened(room)
    heard: list[str] = []
    monkeypatch.setattr("client.ui.pages.dialogs.announce", lambda _widget, words: heard.append(words))
    dialog = NameDialog(window)
    dialog.show()
    click(dialog.ok)
    assert heard == ["Type a name."]
    dialog.close()


def test_a_printed_key_is_no_file(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    _running, window = opened(room)
    asked: list[QAbstractPrintDialog.PrintDialogOption] = []

    def refused(dialog: QPrintDialog) -> int:
        asked.append(dialog.options())
        return 0

    monkeypatch.setattr(QPrintDialog, "exec", refused)
    window._keys.print_key("AAAA")
    assert len(asked) == 1
    assert QAbstractPrintDialog.PrintDialogOption.PrintToFile not in asked[0]


def test_what_can_still_be_put_back(room: Room) -> None:
    """The store's own list: people with what was theirs as one, the newest first, nothing of before."""
    running, window = opened(room)
    saved_for(running, window, "Ada")
    found: list[Any] = []
    now = room.parts.clock.utc()

    def job(all_: Observations) -> list[Any]:
        from datetime import timedelta

        ada = all_.people()[0].id
        line = all_.lines(ada)[0]
        all_.delete(line.id, now=now - timedelta(days=1))
        before = all_.deleted(now=now)
        all_.delete_person(ada, now=now)
        return [before, all_.deleted(now=now), all_.deleted(now=now + timedelta(days=29, hours=1)), line]

    running.shelf.ask(job, found.extend, found.append)
    wait_for(lambda: found, "the answer")
    before, after, later, line = found
    assert [(one.person.name, one.line) for one in before] == [("Ada", line)]
    assert [(one.person.name, one.line) for one in after] == [("Ada", None)]
    assert [(one.person.name, one.line) for one in later] == [("Ada", None)]
