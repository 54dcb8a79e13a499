"""The benchmark of the store fills both databases with the same, and times what it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from client.clock import SystemClock
from client.evaluation import store_speed
from client.store import history
from client.store.database import FILE_NAME
from client.store.history import Reading


def test_both_databases_are_filled_and_timed(tmp_path: Path) -> None:
    told: list[str] = []
    found = store_speed.measure(tmp_path, 2_500, SystemClock(), told.append)
    assert [one.name for one in found] == ["encrypted", "plain SQLite"]
    assert any("2,500 of 2,500" in line for line in told)
    assert (tmp_path / "plain" / FILE_NAME).read_bytes().startswith(b"SQLite format 3")
    assert not (tmp_path / "encrypted" / FILE_NAME).read_bytes().startswith(b"SQLite")
    sizes = [one.size_mb for one in found]
    assert 5.0 < min(sizes) <= max(sizes) < 1.3 * min(sizes)  # the same is in both
    assert all(0.0 < one.save_p50_ms <= one.save_p95_ms and one.open_ms > 0.0 for one in found)
    assert all(0.0 < one.again_ms < one.page_ms for one in found)  # the trend was known
    assert "ratio" in store_speed.markdown(2_500, found)
    assert json.loads(json.dumps(store_speed.to_json(2_500, found)))["scans"] == 2_500


def test_a_page_is_timed_with_what_was_typed_in_and_its_trend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Reading] = []

    def watched(*given: Any, **named: Any) -> Reading:
        read.append(history.read(*given, **named))
        return read[-1]

    monkeypatch.setattr("client.evaluation.store_speed.read", watched)
    store_speed.measure(tmp_path, 2_500, SystemClock(), lambda _words: None)
    assert any(one.typed for one in read)
    assert {len(one.trend.at_s) for one in read} == {2_800}  # of 30 days are 2,880


def test_examples_are_as_large_as_real_scans_and_differ() -> None:
    one, two = store_speed.example(1), store_speed.example(2)
    assert one.line.numbers != two.line.numbers and one.line.taken_at < two.line.taken_at
    assert one.wave is not None and len(one.wave) == 4_800
