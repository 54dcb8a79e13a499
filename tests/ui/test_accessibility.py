"""Every page through Qt's accessibility interface: names, roles, the order of Tab, contrast, nothing cut off."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtGui import QAccessible
from PySide6.QtWidgets import QAbstractButton, QComboBox, QLabel, QLineEdit, QTableWidget, QWidget

from client.cloud.faults import CertificateUntrusted
from client.language import Sentence
from client.parts import Kept
from client.pipeline import sharing
from client.pipeline.sync import Sending, SyncState, SyncStatus
from client.policy import Policy
from client.store.entries import to_observation as to_entry
from client.store.observations import Deleted, Kind, Person, new_id
from client.store.outbox import Counts, ItemKind
from client.store.scans import to_observation
from client.ui.pages.deleted import DeletedDialog
from client.ui.pages.dialogs import (
    ConfirmDialog,
    DeletePersonDialog,
    EntryDialog,
    NameDialog,
    RecordNumberDialog,
    RecoveryDialog,
    RestoreDialog,
    SharingDialog,
    UnsavedDialog,
)
from client.ui.pages.enrol import EnrolDialog
from client.ui.pages.saving import SharedDialog
from client.ui.shelf import Open
from client.ui.translations import LANGUAGES
from client.ui.views.palette import SHAPES_ON, THEMES, WORDS_ON, contrast
from client.ui.widgets.layout import Page
from client.ui.window import Window
from edge_models.types import Trace
from tests.client.store.conftest import NOW
from tests.client.store.test_scans import record as scan_record
from tests.ui.clinic import with_clinic
from tests.ui.conftest import Room
from tests.ui.looking import pause, shot, wait_for

CONTROLS = (QAbstractButton, QComboBox, QLineEdit, QTableWidget)


def pages(window: Window) -> Iterator[tuple[str, QWidget]]:
    """Every page as it looks with something on it."""
    window.bar.hide()
    window.pages.setCurrentWidget(window.welcome)
    yield "welcome", window
    window.bar.show()
    window.go_to_scan()
    yield "before", window
    window.scan.setCurrentIndex(1)
    yield "scan", window
    window.scan.setCurrentIndex(0)
    record = scan_record()
    t_s = np.arange(0.0, 12.0, 1.0 / 30.0)
    wave = Trace(t_s, np.sin(2 * np.pi * 1.2 * t_s))
    values = {"size": "640×480", "format": "YUYV", "rate": "30"}
    notes = (
        Sentence("Camera: {size}, {format}, {rate} frames per second promised.", values),
        Sentence("Exposure could not be locked: the driver has no such control."),
        Sentence("The camera failed and was opened again ({count} ×).", {"count": 2}),
    )
    record = replace(record, result=replace(record.result, bvp=wave), notes=notes)
    window._scan_finished(record)
    yield "result", window
    window.go_to_history()
    pause(200)
    yield "history", window
    window.go_to_settings()
    yield "settings", window
    window.go_to_documents()
    pause(200)
    yield "documents", window
    window.go_to_sync()
    pause(400)
    yield "sync", window
    window.go_to_tasks()
    pause(200)
    yield "tasks", window
    window.notice.tell("Something has happened. Do something about it.", "Do it", lambda: None)
    yield "notice", window
    window.notice.hide()
    for name, dialog in (
        ("name", NameDialog(window)),
        ("confirm", ConfirmDialog(window, "Whose", "Is it you?", "Yes")),
        ("unsaved", UnsavedDialog(window, "Ana", "")),
        ("entry", EntryDialog(window, "Ana", NOW)),
        ("recovery", RecoveryDialog(window, "AAAA-BBBB-CCCC-DDDD", lambda: None)),
        ("restore", RestoreDialog(window)),
        ("deleted", DeletedDialog(window, _deleted(), 30)),
        ("number", _wrong_number(window)),
        ("sharing", SharingDialog(window, sharing.question("Ana", "clinic.example.org"))),
        ("shared", SharedDialog(window, "Ana", "clinic.example.org", None, None, Policy())),
        ("delete", DeletePersonDialog(window, "Ana", 30, may_be_sent=True)),
        ("enrol", EnrolDialog(window, None, lambda *_: None)),
    ):
        dialog.show()
        pause(30)
        yield name, dialog
        dialog.close()
        dialog.deleteLater()


def _wrong_number(window: Window) -> RecordNumberDialog:
    """With somebody else's number, and what that leads to."""
    ana, ben = (Person(new_id(), name, NOW, number) for name, number in (("Ana", "123"), ("Ben", "456")))
    dialog = RecordNumberDialog(window, [ana, ben], ana)
    dialog.show()
    dialog.number.setText("456")
    dialog.ok.click()
    return dialog


def _deleted() -> list[Deleted]:
    """Somebody with all that was theirs, and one scan of somebody else."""
    bob, ana = (Person(new_id(), name, NOW) for name in ("Bob", "Ana"))
    line = to_observation(scan_record(), person=ana.id).line
    return [Deleted(NOW, bob, None), Deleted(NOW, ana, line)]


def _started(room: Room, **preferences: object) -> Window:
    """Enrolled, with something to be sent, something that was refused and something to look at."""
    clinic = with_clinic(room)
    running = room.start(**preferences)
    wait_for(lambda: isinstance(running.shelf.state, Open), "an open store")
    window: Window = running.window
    done: list[object] = []
    running.shelf.change(_fill, done.append, done.append)
    wait_for(lambda: done, "what is kept")
    assert done == [None]
    clinic.sync.status = SyncStatus(
        SyncState.UNTRUSTED,
        Counts(1, 0, 1, 0, NOW),
        CertificateUntrusted("Some Proxy"),
        NOW,
        Sending("file", 1_000_000, 9_000_000),
    )
    return window


def _fill(kept: Kept) -> None:
    for _ in range(2):
        made = to_entry(Kind.BLOOD_PRESSURE, {"systolic": 190.0, "diastolic": 100.0}, NOW, None)
        kept.observations.save(made, guest_agrees=True)
    refused = kept.outbox.claim(ItemKind.OBSERVATION, 1)
    kept.outbox.park([refused[0].id], "invalid")


def test_every_control_has_a_name_and_a_role(room: Room) -> None:
    window = _started(room)
    for page, top in pages(window):
        seen = 0
        for widget in top.findChildren(QWidget):
            if not widget.isVisible() or not isinstance(widget, CONTROLS) or _inside_of_a_control(widget):
                continue
            interface = QAccessible.queryAccessibleInterface(widget)
            name = interface.text(QAccessible.Text.Name)
            assert name.strip(), f"{page}: {type(widget).__name__} {widget.objectName()} has no name"
            role = interface.role()
            assert role not in (QAccessible.Role.NoRole, QAccessible.Role.Client), (page, name, role)
            seen += 1
        assert seen, page


def test_a_label_is_heard_with_its_text(room: Room) -> None:
    """A name takes the place of a label's text: a screen reader hears what is in it, and nothing else."""
    window = _started(room)
    for page, top in pages(window):
        seen = 0
        for shown in top.findChildren(QLabel):
            if not shown.isVisible() or not shown.text() or _inside_of_a_control(shown):
                continue
            name = QAccessible.queryAccessibleInterface(shown).text(QAccessible.Text.Name)
            assert shown.text() in name, f"{page}: {shown.text()!r} is read as {name!r}"
            seen += 1
        assert seen, page


def test_what_comes_to_stand_on_a_page_is_said_once(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []
    monkeypatch.setattr("client.ui.widgets.notice.announce", lambda _widget, words: heard.append(words))
    running = room.start()
    window = running.window
    wait_for(lambda: isinstance(running.shelf.state, Open), "an open store")
    window.go_to_history()
    heard.clear()
    running.shelf.close()
    window.history.show_store("The store is locked.", "Unlock")
    assert heard == ["The store is locked."]  # not for a page that is not shown


def _inside_of_a_control(widget: QWidget) -> bool:
    """Qt's own parts of a control (a combo box's list, a date's field) speak through it."""
    parent = widget.parentWidget()
    while parent is not None:
        if isinstance(parent, (QComboBox, QTableWidget)) or parent.inherits("QAbstractSpinBox"):
            return True
        parent = parent.parentWidget()
    return False


def test_what_is_painted_by_ourselves_has_a_name_and_says_how_it_stands(room: Room) -> None:
    window = _started(room)
    scan = window.scan
    for own in (scan._picture, scan._ring, scan._wave, window.history.plot, window.notice):
        interface = QAccessible.queryAccessibleInterface(own)
        assert interface.text(QAccessible.Text.Name), own
        assert interface.role() is not QAccessible.Role.NoRole
    scan._ring.show_share(0.5, "20 s left", paused=False)
    ring = QAccessible.queryAccessibleInterface(scan._ring)
    assert ring.role() is QAccessible.Role.ProgressBar
    assert ring.text(QAccessible.Text.Description) == "20 s left"
    assert window.history.plot.accessibleDescription()


@pytest.mark.parametrize("language", ["en", "ar"])
def test_tab_goes_through_every_control_of_a_page_from_top_to_bottom(room: Room, language: str) -> None:
    window = _started(room, language=language)
    window.resize(1100, 1300)
    for page, top in pages(window):
        pause(60)
        wanted = [
            widget
            for widget in top.findChildren(QWidget)
            if isinstance(widget, CONTROLS)
            and widget.isVisible()
            and widget.isEnabled()
            and not _inside_of_a_control(widget)
        ]
        order = _tab_order(top)
        missing = [widget for widget in wanted if widget not in order]
        assert not missing, f"{page}: Tab does not reach {[_name(one) for one in missing]}"
        jumps = [
            (_name(here), _name(there))
            for here, there in pairwise(widget for widget in order if widget in wanted)
            # To a line above: only at the turn from the end to the beginning.
            if _place(top, there).bottom() < _place(top, here).top()
        ]
        assert len(jumps) <= 1, f"{page}: Tab jumps up at {jumps}"


def _name(widget: QWidget) -> str:
    return QAccessible.queryAccessibleInterface(widget).text(QAccessible.Text.Name) or repr(widget)


def _place(top: QWidget, widget: QWidget) -> QRect:
    return QRect(widget.mapTo(top, QPoint(0, 0)), widget.size())


def _tab_order(top: QWidget) -> list[QWidget]:
    """Every widget that Tab reaches, from the first."""
    order: list[QWidget] = []
    widget = top.nextInFocusChain()
    while widget is not None and widget is not top:
        policy = widget.focusPolicy().value & Qt.FocusPolicy.TabFocus.value
        if policy and widget.isVisibleTo(top) and widget.isEnabled() and top.isAncestorOf(widget):
            order.append(widget)
        widget = widget.nextInFocusChain()
    return order


@pytest.mark.parametrize("theme", THEMES)
def test_contrast_of_both_themes_computed(theme: str) -> None:
    palette = THEMES[theme]
    for words, behind in WORDS_ON:
        ratio = contrast(getattr(palette, words), getattr(palette, behind))
        assert ratio >= 4.5, f"{theme}: {words} on {behind} has {ratio:.2f}:1"
    for shape, behind in SHAPES_ON:
        ratio = contrast(getattr(palette, shape), getattr(palette, behind))
        assert ratio >= 3.0, f"{theme}: {shape} on {behind} has {ratio:.2f}:1"


def test_contrast_is_the_one_of_the_standard() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", THEMES)
def test_the_colours_on_the_screen_are_those_of_the_palette(room: Room, theme: str) -> None:
    """What was computed is what is shown: the page's ground and the darkest or lightest of its words."""
    window = _started(room, theme=theme)
    window.go_to_settings()
    pause(100)
    shot(window, f"theme-{theme}")
    image = window.grab().toImage()
    colours = {
        image.pixelColor(x, y).name() for x in range(0, image.width(), 2) for y in range(0, image.height(), 2)
    }
    palette = THEMES[theme]
    assert palette.window in colours and palette.surface in colours and palette.text in colours


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_is_cut_off_at_twice_the_size_of_text(room: Room, language: str) -> None:
    window = _started(room, language=language, text_percent=200)
    window.resize(1100, 780)  # as it opens
    for page, top in pages(window):
        pause(80)
        sideways = [
            area.horizontalScrollBar().maximum() for area in top.findChildren(Page) if area.isVisible()
        ]
        assert not any(sideways), f"{page} has to be moved sideways by {sideways} px"
        shot(top, f"{language}-200-page-{page}")
        for widget in top.findChildren(QWidget):
            if not widget.isVisible() or not isinstance(widget, (QLabel, QAbstractButton)):
                continue
            text = widget.text()
            if not text or _inside_of_a_control(widget):
                continue
            needed = (
                widget.heightForWidth(widget.width())
                if widget.hasHeightForWidth()
                else widget.sizeHint().height()
            )
            assert widget.height() >= needed - 1, f"{page}: {text!r} needs {needed} px, has {widget.height()}"
            if not (isinstance(widget, QLabel) and widget.wordWrap()):
                wide = widget.minimumSizeHint().width()
                assert widget.width() >= wide - 1, f"{page}: {text!r} needs {wide} px, has {widget.width()}"
