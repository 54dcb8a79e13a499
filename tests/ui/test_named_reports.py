"""The report from the window, and the list of what can be put back: with the record number that is known, and as the policy wants it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pypdfium2
import pytest
from PySide6.QtWidgets import QDialog, QFileDialog

from client.parts import Kept
from client.policy import Policy
from client.store.scans import to_observation
from client.ui.pages.deleted import DeletedDialog
from client.ui.widgets.notice import Notice
from tests.client.store.test_scans import record as scan_record
from tests.ui.clinic import with_clinic
from tests.ui.conftest import Room
from tests.ui.looking import click, in_dialog, wait_for
from tests.ui.test_sync import asked
from tests.ui.test_unsaved import measured, opened
from tests.ui.test_window import choose


def words(path: Path) -> str:
    with closing(pypdfium2.PdfDocument(path)) as document:
        return " ".join(document[0].get_textpage().get_text_range().split())


def says(notice: Notice, words: str) -> bool:
    return words in notice.words


def chosen(path: Path, *_of_dialog: object) -> tuple[str, str]:
    return str(path), ""


@pytest.mark.parametrize("saved", [False, True])
def test_a_report_has_the_record_number_of_whoever_it_names(
    room: Room, monkeypatch: pytest.MonkeyPatch, saved: bool
) -> None:
    _running, window = opened(room)
    now = room.parts.clock.utc()
    for name, number in (("Ana", "AB 123"), ("Ben", None)):
        asked(
            window, lambda all_, n=name, r=number: all_.observations.add_person(n, now=now, record_number=r)
        )
    for name, expected in (("Ana", "Ana Record number AB 123"), ("Ben", "Ben"), ("Guest", "Health Helper")):
        path = room.folder / f"{name}.pdf"
        monkeypatch.setattr(QFileDialog, "getSaveFileName", partial(chosen, path))
        choose(window, name)
        if saved:
            made = to_observation(
                replace(scan_record(), saved=True, saved_reason=None), person=window._whose.person
            )
            asked(window, lambda all_, one=made: all_.observations.save(one))
            window.go_to_history()
            window.history.open_scan.emit(made.line.id)
            wait_for(lambda: window.pages.currentWidget() is window.result, "the scan")
        else:
            measured(window)
        click(window.result.report_button)
        wait_for(partial(says, window.notice, path.name), "the report")
        written = words(path)
        assert f"{expected} Result of a scan" in written
        assert ("Record number" in written) is (name == "Ana")


def test_what_can_be_put_back_is_listed_as_long_as_the_policy_says(room: Room) -> None:
    with_clinic(room, enrolled=False, policy=Policy(keep_deleted_days=90))
    _running, window = opened(room)
    now = room.parts.clock.utc()

    def delete(all_: Kept) -> None:
        for days in (60, 100):
            made = all_.documents.add(
                [b"%PDF-"],
                person=None,
                purpose="medical_report",
                media_type="application/pdf",
                title=f"{days} days ago.pdf",
                pages=1,
                now=now,
            )
            all_.documents.delete(made.id, now - timedelta(days=days))

    asked(window, delete)
    window.go_to_settings()

    def look(dialog: QDialog) -> None:
        assert isinstance(dialog, DeletedDialog) and "90 days" in dialog.windowTitle()
        cells = [dialog.table.item(at, 2) for at in range(dialog.table.rowCount())]
        assert [one.text().partition(".")[0] for one in cells if one is not None] == ["60 days ago"]
        click(dialog.cancel)

    check = in_dialog(look)
    click(window.settings.deleted_button)
    wait_for(lambda: not window._shelf.busy, "the answer")
    check()
