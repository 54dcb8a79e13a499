"""What leaves the store as rows: nothing that was typed in is missing from the plain numbers."""

from __future__ import annotations

from dataclasses import replace

from client.store.entries import to_observation
from client.store.export import COLUMNS, rows
from client.store.observations import Kind, Observations
from tests.client.store.conftest import NOW
from tests.client.store.test_entries import EXAMPLES


def test_what_was_typed_in_has_columns(store: Observations) -> None:
    for kind, values in EXAMPLES.items():
        store.save(to_observation(kind, values, NOW, None))
    for row in rows(store, None, whole=False):
        typed = EXAMPLES[Kind(str(row["kind"]))]
        wanted = {f"entered_{name}": value for name, value in typed.items() if value is not None}
        assert {name: value for name, value in row.items() if name.startswith("entered_")} == wanted
        assert wanted.keys() <= set(COLUMNS)
        assert "body" not in row


def test_an_entry_of_a_newer_version_keeps_its_line(store: Observations) -> None:
    known = to_observation(Kind.WEIGHT, {"kg": 70.0}, NOW, None)
    store.save(replace(known, body={"schema": "health-helper/entry/9", "stones": 11}))
    [row] = rows(store, None, whole=True)
    assert row["kind"] == "weight" and row["body"] == {"schema": "health-helper/entry/9", "stones": 11}
    assert not any(name.startswith("entered_") for name in row)
