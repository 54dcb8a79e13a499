"""Axes that say what they show, in the window's language; where files go; what the settings and the first page say."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QLocale, QStandardPaths
from PySide6.QtWidgets import QFileDialog

from client.ui.pages.settings import SECONDS
from client.ui.pages.welcome import camera_permission
from client.ui.shelf import Open
from client.ui.views.result import SHORTEST_S
from client.ui.widgets.plots import CoursePlot
from tests.client.store.conftest import NOW, kept_in
from tests.client.store.test_observations import observation
from tests.client.store.test_scans import record
from tests.ui.conftest import Room
from tests.ui.looking import click, pause, shot, wait_for

DAY_S = 86400.0
MONDAY_S = datetime(2026, 3, 2, 12, tzinfo=UTC).timestamp()


@pytest.fixture
def spoken(display: None) -> Any:
    """`spoken(code)`: the language of what is made from now on."""
    before = QLocale()
    yield lambda code: QLocale.setDefault(QLocale(code))
    QLocale.setDefault(before)


def drawn(plot: CoursePlot) -> list[str]:
    """The words at the axis of time, as they are on the screen."""
    plot.resize(700, 240)
    plot.show()
    plot.grab()
    axis = plot.getAxis("bottom")
    low, high = axis.range
    return [
        words
        for spacing, at in axis.tickValues(low, high, axis.size().width())
        for words in axis.tickStrings(at, 1.0, spacing)
    ]


@pytest.mark.parametrize(
    ("code", "weekday", "month"), [("en", "Mon", "Mar"), ("es", "lun", "mar"), ("ar", "الاثنين", "مارس")]
)
def test_days_have_names_of_the_windows_language(spoken: Any, code: str, weekday: str, month: str) -> None:
    spoken(code)
    for days, name in ((1.5, weekday), (400.0, month)):
        plot = CoursePlot("x", days=True)
        at_s = MONDAY_S + DAY_S * np.array([-days / 2.0, days / 2.0])
        plot.show_course(at_s, [60.0, 70.0], [60.0, 70.0], [60.0, 70.0])
        words = drawn(plot)
        assert any(name in one for one in words), words
        if code == "ar":
            assert not any(letter.isascii() and letter.isalpha() for letter in "".join(words)), words
        plot.deleteLater()


def test_axes_name_their_units(display: None) -> None:
    course = CoursePlot("x")
    assert (course.getAxis("left").labelText, course.getAxis("bottom").labelText) == ("/min", "s")
    days = CoursePlot("x", days=True)
    days.show_course([MONDAY_S], [40.0], [40.0], [40.0], unit="ms")
    assert days.getAxis("left").labelText == "ms"
    for plot in (course, days):
        plot.deleteLater()


def test_the_axis_of_time_shows_the_chosen_span_whatever_is_in_it(display: None) -> None:
    plot = CoursePlot("x", days=True)
    span_s = (MONDAY_S - 30.0 * DAY_S, MONDAY_S)
    for at_s in ([MONDAY_S - DAY_S], [MONDAY_S - 2.0 * DAY_S, MONDAY_S - DAY_S]):
        values = [60.0] * len(at_s)
        plot.show_course(at_s, values, values, values, span_s=span_s)
        low, high = plot.getViewBox().viewRange()[0]
        assert low <= span_s[0] < low + DAY_S and high - DAY_S < span_s[1] <= high
    plot.deleteLater()


def started(room: Room, **preferences: object) -> Any:
    running = room.start(**preferences)
    wait_for(lambda: isinstance(running.shelf.state, Open), "an open store")
    return running.window


@pytest.mark.parametrize("there", [True, False])
def test_files_go_into_the_documents_and_the_dialog_says_what_is_saved(
    room: Room, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    home = room.folder / "home"
    documents = home / "Documents"
    (documents if there else home).mkdir(parents=True)
    monkeypatch.setattr(QStandardPaths, "writableLocation", lambda *_: str(documents))
    monkeypatch.setattr(Path, "home", lambda: home)
    asked: list[tuple[str, Path]] = []

    def chosen(_parent: object, title: str, path: str, kinds: str) -> tuple[str, str]:
        asked.append((title, Path(path)))
        return path, kinds.partition(";;")[0]

    monkeypatch.setattr(QFileDialog, "getSaveFileName", chosen)
    kept = kept_in(room.folder / "store", room.vault)
    kept.observations.save_all([observation(minutes=1.0, rate=60.0)])
    kept.close()
    window = started(room)
    folder = documents if there else home
    window.go_to_history()
    wait_for(lambda: window.history.table.rowCount() == 1, "the line")
    click(window.history.write)
    wait_for(lambda: "health-helper.zip" in window.notice.words, "the export")
    assert str(folder) in window.notice.words and (folder / "health-helper.zip").exists()
    window._scan_finished(record())
    click(window.result.report_button)
    wait_for(lambda: "Report written" in window.notice.words, "the report")
    assert str(folder) in window.notice.words
    assert [title for title, _ in asked] == ["Save all that is kept: Guest", "Save the report of this scan"]
    assert {path.parent for _, path in asked} == {folder}


def test_the_settings_count_people_and_end_their_sentences(room: Room) -> None:
    kept = kept_in(room.folder / "store", room.vault)
    kept.observations.add_person("Ana", now=NOW)
    kept.close()
    window = started(room)
    click(window.to_settings)
    words = window.settings.store_words.text()
    assert "People: 1. Folder: " in words and "1 people" not in words
    assert ". Nobody has a recovery key" in words
    assert window.settings.deleted_button.text() == "Deleted items…"
    pause(20)
    shot(window, "settings-store")


def test_the_shortest_scan_of_the_settings_is_what_results_go_by() -> None:
    assert min(SECONDS) == SHORTEST_S


def test_what_linux_needs_for_a_camera_is_said_in_plain_words() -> None:
    words = camera_permission("linux")
    assert "asks nobody" not in words and "permission" in words and '"video"' in words
