"""A store that is damaged while it is used, and one to which nobody has a key any more."""

from __future__ import annotations

import shutil
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from PySide6.QtWidgets import QDialog, QLabel

from client.store.database import FILE_NAME, StoreDamaged, backup_numbers, backup_path
from client.store.observations import Observation, Observations
from client.ui.shelf import Closed, Open, Shelf, Unusable
from tests.ui.conftest import Room
from tests.ui.looking import button_named, click, in_dialog, pause, shot, wait_for
from tests.ui.test_unsaved import measured, opened
from tests.ui.test_window import kept, with_person

PAGE_BYTES = 4096


def damage(path: Path) -> None:
    """In every page but the first, as it lies there: the same file, so that whoever has it open meets it."""
    with path.open("r+b") as file:
        for place in range(PAGE_BYTES, path.stat().st_size, PAGE_BYTES):
            file.seek(place + 100)
            file.write(bytes(50))


def people(running: Any) -> list[str]:
    return [one.name for one in running.shelf.state.people]


def in_use(room: Room, saved: int) -> tuple[Any, Any]:
    """The window with Ana and so many of her scans, opened anew: nothing is in a log or remembered."""
    running, window = opened(room)
    with_person(running, window, "Ana")
    for _ in range(saved):
        save(window)
    window.close()
    running.end()
    running, window = opened(room)
    at = window.person.findText("Ana")
    window.person.setCurrentIndex(at)
    window._choose_person(at)
    return running, window


def save(window: Any) -> None:
    measured(window)
    click(window.result.save_button)
    wait_for(lambda: window._unsaved is None, "the scan to be kept")


def test_a_save_that_meets_damage_is_done_once_more_by_itself_on_the_mended_store(room: Room) -> None:
    running, window = in_use(room, saved=3)
    before = running.shelf.state
    damage(room.folder / "store" / FILE_NAME)
    save(window)
    words = window.notice.words
    assert words.startswith("Saved for Ana.") and "put together again" in words and "nothing is lost" in words
    shot(window, "saved-on-a-mended-store")
    assert isinstance(running.shelf.state, Open) and running.shelf.state is not before
    assert kept(running, window._whose.person) == 4
    assert list((room.folder / "store").glob("damaged-*"))
    assert running.shelf.sync_status is not None  # what sends is that of the mended one
    click(button_named(window.notice, "Undo"))
    wait_for(lambda: kept(running, window._whose.person) == 3, "it to be taken back")


def test_kept_and_then_told_of_damage_it_is_not_kept_twice(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, window = in_use(room, saved=1)
    keep, faults = Observations.save, [StoreDamaged()]

    def kept_and_damaged(all_: Observations, one: Observation, *, guest_agrees: bool) -> bool:
        done = keep(all_, one, guest_agrees=guest_agrees)
        if faults:
            raise faults.pop()
        return done

    monkeypatch.setattr(Observations, "save", kept_and_damaged)
    save(window)
    assert kept(running, window._whose.person) == 2 and not faults


def test_damage_that_comes_back_is_told_and_not_tried_for_ever(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, window = in_use(room, saved=1)
    tries: list[str] = []

    def damaged(_all: Observations, one: Observation, *, guest_agrees: bool) -> bool:
        tries.append(f"{one.line.id} {guest_agrees}")
        raise StoreDamaged

    measured(window)
    with monkeypatch.context() as bad:
        bad.setattr(Observations, "save", damaged)
        click(window.result.save_button)
        wait_for(lambda: "damaged" in window.notice.words, "the word")
    assert len(tries) == 2 and len(set(tries)) == 1
    assert isinstance(running.shelf.state, Open) and window._unsaved is not None
    wait_for(window.result.save_button.isEnabled, "the button")
    click(window.result.save_button)
    wait_for(lambda: window._unsaved is None, "the scan to be kept")
    assert kept(running, window._whose.person) == 2


def test_where_the_store_can_not_be_mended_the_result_waits_and_it_is_told(room: Room) -> None:
    running, window = in_use(room, saved=1)
    folder = room.folder / "store"
    measured(window)
    for number in backup_numbers(folder / FILE_NAME):
        backup_path(folder / FILE_NAME, number).write_bytes(b"")
    (folder / "health-helper.journal").write_bytes(b"")
    with (folder / FILE_NAME).open("r+b") as file:
        file.write(bytes((folder / FILE_NAME).stat().st_size))
    click(window.result.save_button)
    wait_for(lambda: isinstance(running.shelf.state, Unusable), "the trouble")
    assert isinstance(running.shelf.state.fault, StoreDamaged)
    assert window._unsaved is not None and not window.result.save_button.isEnabled()


def test_locked_while_a_store_is_mended_it_stays_locked(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    running, window = in_use(room, saved=1)
    keep, faults, hold = Observations.save, [StoreDamaged()], Event()

    def slowly(all_: Observations, one: Observation, *, guest_agrees: bool) -> bool:
        if faults:
            hold.wait(10.0)
            raise faults.pop()
        return keep(all_, one, guest_agrees=guest_agrees)

    monkeypatch.setattr(Observations, "save", slowly)
    measured(window)
    click(window.result.save_button)
    pause(100)
    running.shelf.close()
    hold.set()
    wait_for(lambda: not running.shelf.busy, "the answer")
    assert isinstance(running.shelf.state, Closed) and running.shelf.sync_status is None
    wait_for(lambda: running.shelf._kept is None, "the store to be closed")


# Nobody has a key


def test_a_new_store_is_begun_only_after_a_question_and_the_older_one_is_kept(room: Room) -> None:
    running, window = in_use(room, saved=1)
    window.close()
    running.end()
    folder = room.folder / "store"
    before = (folder / FILE_NAME).read_bytes()
    room.vault.kept.clear()
    running = room.start()
    window = running.window
    wait_for(lambda: isinstance(running.shelf.state, Unusable), "the trouble")
    assert "in the settings" in window.notice.words
    click(window.to_settings)
    window.settings.ensureWidgetVisible(window.settings.anew_button)
    asked: list[str] = []

    def no(dialog: QDialog) -> None:
        shot(dialog, "begin-anew")
        asked.extend(one.text() for one in dialog.findChildren(QLabel))
        click(button_named(dialog, "Cancel"))

    check = in_dialog(no)
    click(window.settings.anew_button)
    check()
    assert any("Nothing of it is deleted" in words for words in asked)
    pause(100)
    assert isinstance(running.shelf.state, Unusable) and (folder / FILE_NAME).read_bytes() == before
    check = in_dialog(lambda dialog: click(button_named(dialog, "Begin a new store")))
    click(window.settings.anew_button)
    check()
    wait_for(lambda: isinstance(running.shelf.state, Open), "the new store")
    (aside,) = folder.glob("set-aside-*")
    assert aside.name in window.notice.words and (aside / FILE_NAME).read_bytes() == before
    assert people(running) == [] and not window.settings.anew_button.isVisible()
    window.notice.hide()
    running.shelf.close()
    running.shelf.open()
    wait_for(lambda: isinstance(running.shelf.state, Open), "the store once more")
    assert "set-aside" not in window.notice.words


def test_no_new_store_is_offered_for_any_other_trouble(room: Room) -> None:
    running, window = in_use(room, saved=0)
    window.close()
    running.end()
    folder = room.folder / "store"
    shutil.rmtree(folder / "backups")
    (folder / "health-helper.journal").unlink()
    (folder / FILE_NAME).write_bytes(b"nonsense" * 1000)
    running = room.start()
    wait_for(lambda: isinstance(running.shelf.state, Unusable), "the trouble")
    running.window.go_to_settings()
    assert running.window.settings.restore_button.isVisibleTo(running.window.settings)
    assert not running.window.settings.anew_button.isVisibleTo(running.window.settings)


# The end


def test_the_end_waits_three_seconds_for_all_threads_together(room: Room) -> None:
    def no_restore(_key: str) -> Any:
        raise AssertionError

    shelf = Shelf(room.parts.store, no_restore, room.parts.begin_store_anew)
    shelf.open()
    wait_for(lambda: isinstance(shelf.state, Open), "the store")
    hold, began = Event(), Event()

    def far_away(_kept: object) -> None:
        began.set()
        hold.wait(30.0)

    shelf.over_network(far_away, lambda _: None, lambda _: None)
    wait_for(began.is_set, "the network's thread")
    network = shelf._network
    shelf._worker.do(lambda: hold.wait(30.0))
    began_s = room.parts.clock.now_s()
    try:
        assert not shelf.end()
        assert 2.5 < room.parts.clock.now_s() - began_s < 4.5
    finally:
        hold.set()
        assert shelf._worker.end(10.0) and network is not None and network.end(10.0)
