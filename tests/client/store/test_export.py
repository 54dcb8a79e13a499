"""What leaves the store as rows: nothing that was typed in is missing from the plain numbers."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from client.errors import BadInput
from client.store.consents import Consents
from client.store.database import Database
from client.store.documents import Documents
from client.store.entries import to_observation
from client.store.export import COLUMNS, everything, rows
from client.store.observations import Kind, Observations
from client.store.tasks import Tasks
from tests.client.store.conftest import NOW
from tests.client.store.test_entries import EXAMPLES
from tests.client.store.test_outbox import agree, document
from tests.client.store.test_tasks import HIGH_PRESSURE


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


def test_everything_of_a_person_is_there_and_nothing_of_another(
    store: Observations, database: Database
) -> None:
    documents = Documents(database)
    of_all = (store, documents, Consents(database), Tasks(database))
    ada, ben = (store.add_person(name, now=NOW, record_number=name) for name in ("Ada", "Ben"))
    bad = to_observation(Kind.BLOOD_PRESSURE, HIGH_PRESSURE, NOW, ada.id, note="after the stairs")
    store.save_all(
        [bad, *(to_observation(Kind.WEIGHT, {"kg": 70.0}, NOW, person) for person in (ben.id, None))]
    )
    agree(database, ada.id)
    about = document(documents, ada.id, observation=bad.line.id)
    document(documents, ben.id)
    found = everything(*of_all, ada.id)
    assert found == json.loads(json.dumps(found, allow_nan=False))
    [task] = Tasks(database).open()
    [made] = documents.list(ada.id)
    assert found == {
        "schema": "health-helper/everything/1",
        "person": {
            "id": ada.id,
            "name": "Ada",
            "record_number": "Ada",
            "made_at": "2026-03-01T12:00:00.000Z",
        },
        "observations": rows(store, ada.id, whole=True),
        "documents": [
            {
                "id": about,
                "observation": bad.line.id,
                "purpose": "medical_report",
                "title": "letter.pdf",
                "media_type": "application/pdf",
                "length_bytes": 8,
                "sha256": made.sha256,
                "pages": 1,
                "added_at": "2026-03-01T12:00:00.000Z",
                "utc_offset_min": made.utc_offset_min,
                "cloud_state": None,
                "cloud_reason": None,
            }
        ],
        "consents": [
            {
                "subject": "cloud",
                "version": 1,
                "given": True,
                "language": "en",
                "at": "2026-03-01T12:00:00.000Z",
                "utc_offset_min": made.utc_offset_min,
            }
        ],
        "tasks": [
            {
                "id": task.id,
                "observation": bad.line.id,
                "reason": "systolic_high",
                "made_at": "2026-03-01T12:00:00.000Z",
                "done_at": None,
            }
        ],
    }
    assert everything(*of_all, None)["person"] is None
    with pytest.raises(BadInput):
        everything(*of_all, "nobody")
