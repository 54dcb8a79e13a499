"""What ties a report to its scan."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from client.records import ScanRecord
from client.reports.proof import code_text, digest, digest_of_row, report_id, verify
from client.store.database import Database
from client.store.export import rows
from client.store.observations import Observations
from client.store.scans import to_observation, to_record
from tests.client.cli.test_card import RECORD
from tests.client.pipeline.fakes import estimate, scan_result
from tests.client.reports.kept import everything, scan
from tests.client.store.conftest import database as database  # noqa: PLC0414 (a fixture)

ID = "0b9c1f6e-7d2e-4bb2-8f36-1d0a4a1f2c3d"


def test_the_hash_is_that_of_the_canonical_json() -> None:
    """By hand, as the module's text says it: who reads that can check a page without us."""
    of = {
        name: value
        for name, value in RECORD.to_json().items()
        if name not in {"saved", "saved_reason", "cost"}
    }
    whole = {"scan": of, "taken_at": "2026-11-20T09:30:00.000Z", "version": "1.2.3"}
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=False).replace(".0,", ",")
    text = text.replace(".0}", "}").replace(".0]", "]")
    assert digest(RECORD) == hashlib.sha256(text.encode()).hexdigest()


def test_it_does_not_change_from_version_to_version() -> None:
    """What is on paper is on paper."""
    assert digest(RECORD) == "52c5d94d7fa599245c0c6396e9b4955b544acba324823e96980b574a504a66ee"
    assert report_id(RECORD, None) == "744f4cbb-5f8c-5901-af0f-7246eb4a259d"


@pytest.mark.parametrize(
    "change",
    [
        lambda one: replace(one, result=scan_result(estimate(70.01))),
        lambda one: replace(one, taken_at=one.taken_at + timedelta(milliseconds=1)),
        lambda one: replace(one, version="1.2.4"),
        lambda one: replace(one, source="other.mp4"),
        lambda one: replace(one, simulated=True),
    ],
)
def test_whatever_is_changed_is_seen(change: Callable[[ScanRecord], ScanRecord]) -> None:
    assert not verify(code_text(RECORD, ID), change(RECORD), ID)


def test_another_scan_with_the_same_numbers_is_another_one() -> None:
    assert verify(code_text(RECORD, ID), RECORD, ID)
    assert verify(f" {code_text(RECORD, ID)}\n", RECORD, ID)
    assert not verify(code_text(RECORD, ID), RECORD, None)


@pytest.mark.parametrize(
    "text", ["", "https://example.org", "health-helper:scan:x:y", code_text(RECORD, ID) + "0"]
)
def test_what_is_no_such_code_is_not_the_scans(text: str) -> None:
    assert not verify(text, RECORD, ID)


def test_it_is_the_same_before_and_after_it_was_kept() -> None:
    exact = replace(
        RECORD,
        taken_at=RECORD.taken_at + timedelta(microseconds=123_456),
        result=scan_result(estimate(70.123456), duration_s=30.00004),
    )
    kept = to_observation(exact, person=None)
    rounded = replace(kept.line, taken_at=exact.taken_at.replace(microsecond=123_000))
    body = json.loads(json.dumps(kept.body))
    back = to_record(replace(kept, line=rounded, body=body))
    assert digest(back) == digest(exact)


def test_an_export_has_all_that_it_takes() -> None:
    (row,) = everything(scans=(scan(),)).rows()
    assert digest_of_row(row) == digest(scan().record)


@pytest.mark.parametrize(
    "changes",
    [
        {"body": None},
        {"body": "x"},
        {"body": {"scan": 3, "version": "1"}},
        {"body": {"version": "1"}},
        {"body": {"scan": {"a": float("nan")}, "version": "1"}},
        {"body": {"scan": {"a": float("inf")}, "version": "1"}},
        {"taken_at": 3},
        {"taken_at": "yesterday"},
        {"taken_at": "2026-11-20T09:30:00"},
        {"taken_at": "0001-01-01T00:00:00+14:00"},
    ],
)
def test_what_somebody_else_has_written_is_no_scan_and_no_crash(changes: dict[str, object]) -> None:
    (row,) = everything(scans=(scan(),)).rows()
    with pytest.raises(ValueError):
        digest_of_row({**row, **changes})


def test_a_row_of_the_store_has_too(database: Database) -> None:
    store = Observations(database)
    store.save(to_observation(RECORD, person=None))
    (row,) = rows(store, None, whole=True)
    assert digest_of_row(json.loads(json.dumps(row))) == digest(RECORD)


def test_a_name_that_is_half_a_sign_has_a_hash() -> None:
    assert len(digest(replace(RECORD, source="\udcff.mp4"))) == 64
