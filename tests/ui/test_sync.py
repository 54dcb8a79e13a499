"""The badge and the page about sending, with what sends under the test's hand."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from threading import Event
from typing import Any

import pytest
from PySide6.QtWidgets import QDialog, QFileDialog

from client.cloud.faults import CertificateUntrusted, DeviceRevoked
from client.parts import Kept
from client.pipeline.sync import Sending, SyncState, SyncStatus
from client.policy import Policy
from client.store.entries import to_observation
from client.store.observations import Kind
from client.store.outbox import Counts, ItemKind, ItemState
from client.ui.shelf import Closed, Open
from tests.client.store.conftest import NOW
from tests.ui.clinic import SENT_ALL, SERVER, Clinic, with_clinic
from tests.ui.conftest import Room
from tests.ui.looking import button_named, click, in_dialog, pause, shot, wait_for
from tests.ui.test_unsaved import opened
from tests.ui.test_window import with_person


def asked(window: Any, job: Any) -> Any:
    """What a job finds in the store."""
    found: list[Any] = []
    window._shelf.change(job, found.append, found.append)
    wait_for(lambda: found, "an answer")
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]


def with_items(window: Any, person: str) -> None:
    """One that was refused, one that waits, and one that is from a newer version."""

    def fill(kept: Kept) -> None:
        kept.consents.record(person, "cloud", 1, True, "en", NOW)
        for _ in range(3):
            kept.observations.save(to_observation(Kind.WEIGHT, {"kg": 70.0}, NOW, person))
        first, second, _third = kept.outbox.claim(ItemKind.OBSERVATION, 3)
        kept.outbox.park([first.id], "invalid")
        kept.outbox.park([second.id], "full_moon")
        kept.outbox.recover()

    asked(window, fill)


def filled(room: Room, **preferences: object) -> tuple[Clinic, Any, Any]:
    clinic = with_clinic(room)
    running, window = opened(room, **preferences)
    with_person(running, window, "Ana")
    with_items(window, window._whose.person)
    clinic.sync.status = replace(SENT_ALL, state=SyncState.WAITING, counts=Counts(1, 0, 2, 0, NOW))
    window.notice.hide()
    wait_for(window.to_sync.isVisible, "the badge")
    click(window.to_sync)
    wait_for(lambda: window.sync.table.rowCount() == 3, "what waits")
    return clinic, running, window


def cells(window: Any, column: int) -> list[str]:
    table = window.sync.table
    return [table.item(at, column).text() for at in range(table.rowCount())]


@pytest.mark.parametrize("language", ["en", "ar"])
def test_what_waits_and_what_was_refused_is_listed_with_its_reason(room: Room, language: str) -> None:
    _clinic, _running, window = filled(room, language=language)
    shot(window, f"sync-{language}")
    assert all("Ana" in text for text in cells(window, 1))
    why = cells(window, 2)
    assert "full_moon" in why[1] and why[0] != why[1]
    window.sync.table.setCurrentCell(2, 0)
    assert not window.sync.again.isEnabled()  # it waits, and is tried by itself
    window.sync.table.setCurrentCell(0, 0)
    assert window.sync.again.isEnabled() and window.sync.all_again.isEnabled()


def test_the_page_names_the_clinic_and_no_moment_that_is_still_to_come(room: Room) -> None:
    clinic, _running, window = filled(room)
    assert window.sync.clinic.isVisible()
    assert window.sync.clinic.text() == "Clinic: clinic, at clinic.example.org."
    assert window.sync.summary.text().endswith("Nothing was sent yet.")
    ahead = room.parts.clock.utc() + timedelta(days=30 * 366)
    clinic.sync.status = replace(clinic.sync.status, last_success_utc=ahead)
    wait_for(lambda: "time unknown" in window.sync.summary.text(), "the word")
    assert str(ahead.year) not in window.sync.summary.text() + window.to_sync.toolTip()


def test_one_and_then_all_are_tried_again(room: Room) -> None:
    clinic, _running, window = filled(room)

    def parked() -> int:
        return int(asked(window, lambda kept: kept.outbox.counts().parked))

    window.sync.table.setCurrentCell(0, 0)
    click(window.sync.again)
    wait_for(lambda: "try_now" in clinic.sync.calls, "the try")
    assert parked() == 1
    click(window.sync.all_again)
    wait_for(lambda: parked() == 0, "both")


def test_a_fault_of_all_stands_on_top_and_in_the_settings(room: Room) -> None:
    clinic, _running, window = filled(room)
    clinic.sync.status = replace(
        clinic.sync.status, state=SyncState.UNTRUSTED, fault=CertificateUntrusted("Some Proxy")
    )
    wait_for(lambda: "Some Proxy" in window.sync.fault.words, "the fault")
    assert window.to_sync.text() == "Certificate not trusted" and not window.sync.fault.action.isVisible()
    clinic.sync.status = replace(clinic.sync.status, state=SyncState.REVOKED, fault=DeviceRevoked())
    wait_for(window.sync.fault.action.isVisible, "what helps")
    assert "Enrol" in window.sync.fault.action.text()
    window.go_to_settings()
    wait_for(lambda: "ended the enrolment" in window.settings.clinic_fault.text(), "it in the settings")
    clinic.sync.status = SENT_ALL
    wait_for(lambda: not window.settings.clinic_fault.text(), "nothing against it")
    assert window.to_sync.text() == "All sent"


def test_a_file_on_its_way_is_shown_and_can_be_stopped(room: Room) -> None:
    clinic, _running, window = filled(room)
    clinic.sync.status = replace(
        clinic.sync.status, state=SyncState.SENDING, progress=Sending("file", 3_000_000, 12_000_000)
    )
    wait_for(window.sync.progress.isVisible, "the progress")
    assert window.sync.progress.value() == 250 and "3.0" in window.sync.progress.accessibleDescription()
    click(window.sync.cancel)
    assert "cancel file" in clinic.sync.calls
    clinic.sync.status = replace(clinic.sync.status, progress=None)
    wait_for(lambda: not window.sync.progress.isVisible(), "nothing on its way")


def test_what_was_refused_is_exported(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    _clinic, _running, window = filled(room)
    target = room.folder / "refused.json"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(target), "Data (*.json)"))
    click(window.sync.write)
    wait_for(target.exists, "the file")
    wait_for(lambda: "2 kept" in window.notice.words, "the word")
    found = json.loads(target.read_text())
    assert {one["reason"] for one in found} == {"invalid", "full_moon"}
    assert all(one["body"]["values"] == {"kg": 70.0} for one in found) and "Ana" not in target.read_text()


def test_earlier_ones_are_sent_where_somebody_says_so(room: Room) -> None:
    with_clinic(room)
    running, window = opened(room)
    with_person(running, window, "Ana")
    ana = window._whose.person

    def before(kept: Kept) -> None:
        kept.observations.save(to_observation(Kind.WEIGHT, {"kg": 70.0}, NOW, ana))
        kept.observations.save(to_observation(Kind.WEIGHT, {"kg": 80.0}, NOW, None))
        kept.consents.record(ana, "cloud", 1, True, "en", NOW)

    asked(window, before)
    window.go_to_sync()
    wait_for(window.sync.send_earlier.isEnabled, "the page")
    assert "Nothing waits" in window.sync.nothing.text() and not window.sync.table.isVisible()
    check = in_dialog(lambda dialog: click(button_named(dialog, "Send it")))
    click(window.sync.send_earlier)
    check()
    wait_for(lambda: "kept earlier: 1" in window.notice.words, "the word")
    items = asked(window, lambda kept: kept.outbox.items())
    assert [(one.patient, one.state) for one in items] == [(ana, ItemState.PENDING)]


def test_locked_nothing_is_sent_and_nothing_of_anybody_is_shown(room: Room) -> None:
    clinic, running, window = filled(room)
    window._lock_now()
    wait_for(lambda: isinstance(running.shelf.state, Closed), "the lock")
    wait_for(lambda: "end" in clinic.sync.calls, "the end of sending")
    assert window.to_sync.text() == "Waits until unlocked"
    click(window.to_sync)
    assert window.sync.table.rowCount() == 0 and "locked" in window.sync.shut.words
    clinic.sync.calls.clear()
    click(button_named(window.sync.shut, "Unlock"))
    wait_for(lambda: isinstance(running.shelf.state, Open), "the store")
    wait_for(lambda: window.sync.table.rowCount() == 3, "what waits")
    assert "start" in clinic.sync.calls


def test_on_a_laptop_of_nobody_there_is_no_badge(room: Room) -> None:
    clinic = with_clinic(room, enrolled=False)
    clinic.sync.status = replace(SENT_ALL, state=SyncState.NOT_ENROLLED)
    _running, window = opened(room)
    pause(400)
    assert not window.to_sync.isVisible() and not window.settings.sync_button.isVisibleTo(window.settings)


def test_where_a_clinic_is_expected_the_badge_says_that_none_is_there(room: Room) -> None:
    clinic = with_clinic(room, enrolled=False, policy=Policy(cloud_url=SERVER))
    clinic.sync.status = replace(SENT_ALL, state=SyncState.NOT_ENROLLED)
    _running, window = opened(room)
    wait_for(window.to_sync.isVisible, "the badge")
    assert window.to_sync.text() == "Not enrolled"


def test_the_badge_changes_while_the_store_is_slow(room: Room) -> None:
    clinic = with_clinic(room)
    running, window = opened(room)
    wait_for(lambda: window.to_sync.text() == "All sent", "the badge")
    hold = Event()
    running.shelf._worker.do(lambda: hold.wait(10.0))
    clinic.sync.status = SyncStatus(SyncState.OFFLINE, Counts(3, 0, 0, 0, NOW), None, None, None)
    wait_for(lambda: window.to_sync.text() == "Not connected", "the badge", 2.0)
    hold.set()
    wait_for(lambda: not running.shelf.busy, "the answers")


def test_deleting_says_what_becomes_of_the_clinics_copy(room: Room) -> None:
    _clinic, _running, window = filled(room)

    def send(kept: Kept) -> None:
        ids = [one.id for one in kept.outbox.claim(ItemKind.OBSERVATION, 1)]
        kept.outbox.acknowledge(ids, now=NOW)

    asked(window, send)
    line = asked(
        window,
        lambda kept: next(
            iter(kept.outbox.sent([one.id for one in kept.observations.lines(window._whose.person)]))
        ),
    )
    window._delete(line)
    wait_for(lambda: "the clinic keeps its copy" in window.notice.words, "the word")


def test_somebody_is_deleted_for_ever_after_a_second_question(room: Room) -> None:
    _clinic, running, window = filled(room)
    window.go_to_settings()
    asked_for: list[str] = []

    def second(dialog: QDialog) -> None:
        asked_for.append(dialog.windowTitle())
        click(button_named(dialog, "Delete Ana for ever"))

    def first(dialog: QDialog) -> None:
        shot(dialog, "delete-person")
        checks.append(in_dialog(second))
        click(button_named(dialog, "Delete for ever now…"))

    checks: list[Any] = []
    check = in_dialog(first)
    click(window.settings.remove_button)
    check()
    for one in checks:
        one()
    wait_for(lambda: "deleted for ever" in window.notice.words, "the word")
    assert asked_for == ["Delete for ever"] and not window.notice.offers
    assert window.person.findText("Ana") < 0 and not running.shelf.state.people
    kinds = asked(window, lambda kept: [one.kind for one in kept.outbox.items()])
    assert kinds == [ItemKind.ERASURE]  # the cloud may have what was claimed
    assert asked(window, lambda kept: kept.observations.deleted(now=NOW)) == []


def test_made_anew_it_is_still_the_page_that_is_shown(room: Room) -> None:

    _clinic, running, window = filled(room)
    window.rebuild.emit()
    wait_for(lambda: running.window is not window, "the window made anew")
    assert running.window.pages.currentWidget() is running.window.sync
    wait_for(lambda: running.window.sync.table.rowCount() == 3, "what waits")
