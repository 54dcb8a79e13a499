"""The history page with a long history: what it reads, and how much of it is drawn."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import pytest
from PySide6.QtWidgets import QComboBox

from client.store.observations import Observations
from client.ui.shelf import Open
from client.ui.window import Window
from tests.client.store.conftest import kept_in
from tests.client.store.test_observations import observation
from tests.ui.conftest import Room
from tests.ui.looking import shot, wait_for

SCANS = 3_000


@pytest.fixture
def trends(monkeypatch: pytest.MonkeyPatch) -> list[datetime | None]:
    """From when on each trend was read."""
    read: list[datetime | None] = []
    whole = Observations.numbers

    def watched(self: Observations, person: str | None, start: datetime | None) -> Any:
        read.append(start)
        return whole(self, person, start)

    monkeypatch.setattr(Observations, "numbers", watched)
    return read


def long_history(room: Room) -> Window:
    """A guest with many scans, all of them shown."""
    kept = kept_in(room.folder / "store", room.vault)
    kept.observations.save_all(observation(minutes=15.0 * k, rate=60.0 + k % 37) for k in range(SCANS))
    kept.close()
    running = room.start()
    wait_for(lambda: isinstance(running.shelf.state, Open), "an open store")
    window: Window = running.window
    window.go_to_history()
    choose(window.history.span, window.history.span.count() - 1)
    wait_for(
        lambda: window.history.plot.accessibleDescription().startswith(f"Heart rate, /min: {SCANS}"), "all"
    )
    return window


def choose(box: QComboBox, at: int) -> None:
    box.setCurrentIndex(at)
    box.activated.emit(at)


def test_no_more_is_drawn_than_can_be_seen(room: Room) -> None:
    window = long_history(room)
    history = window.history
    (curve,) = history.plot.listDataItems()
    assert len(curve.xData) <= history.plot.width()
    assert (np.min(curve.yData), np.max(curve.yData)) == (60.0, 96.0)
    assert "3000 scans, from 60 to 96" in history.plot.accessibleDescription()
    shot(window, "history-thinned")


def test_the_trend_is_read_once_for_a_person_and_a_span(room: Room, trends: list[datetime | None]) -> None:
    window = long_history(room)
    history = window.history
    trends.clear()
    window.go_to_scan()
    window.go_to_history()
    wait_for(lambda: not window._shelf.busy, "the page again")
    history._show_more()
    wait_for(lambda: history.table.rowCount() == 100, "older ones")
    choose(history.what, 1)
    assert trends == []
    choose(history.span, 2)
    wait_for(lambda: len(trends) == 1, "another span")
    window._shelf.ask(lambda kept: kept.save(observation()), lambda _: history.refresh(), _fail)
    wait_for(lambda: len(trends) == 2, "what was kept since")
    wait_for(lambda: not window._shelf.busy, "rest")
    history.show_person("somebody else", "Ada")
    wait_for(lambda: len(trends) == 3, "another person")


def _fail(fault: Exception) -> None:
    raise fault
