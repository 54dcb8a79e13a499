"""A list of a thousand lines is there at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtCore import QCoreApplication, QEvent

from client.ui.start import make_app
from client.ui.widgets.table import Table


class Counted(Table):
    measured = 0

    def sizeHintForColumn(self, column: int) -> int:  # noqa: N802 (Qt's name)
        self.measured += 1
        return super().sizeHintForColumn(column)


@pytest.fixture
def table(display: None) -> Iterator[Counted]:
    app = make_app()
    made = Counted("A list", ["When", "What", "Why"])
    made.resize(400, 300)
    made.show()
    app.processEvents()
    yield made
    made.close()
    made.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def texts(table: Table, at: int) -> list[str]:
    items = [table.item(at, column) for column in range(3)]
    return [item.text() for item in items if item is not None]


def test_columns_are_measured_once_and_not_for_each_cell(table: Counted) -> None:
    for turn in range(3):
        QCoreApplication.processEvents()
        table.fill([(f"{turn} {at}", "words", "more words") for at in range(100)])
    assert 0 < table.measured < 100
    assert table.rowCount() == 100 and texts(table, 99) == ["2 99", "words", "more words"]


def test_columns_follow_what_is_in_them(table: Counted) -> None:
    table.fill([("short", "b", "c")])
    narrow = table.columnWidth(0)
    table.fill([("as long as a whole sentence is", "b", "c")])
    assert table.columnWidth(0) > narrow


def test_later_lines_are_added_and_earlier_ones_stay(table: Counted) -> None:
    table.fill([("1", "a", "b"), ("2", "a", "b")])
    table.fill([("3", "a", "b")], first=2)
    assert table.rowCount() == 3 and [texts(table, at)[0] for at in range(3)] == ["1", "2", "3"]
    table.fill([])
    assert table.rowCount() == 0
