"""What is typed in is kept as it came and comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from client.errors import BadInput
from client.store.entries import VALUES, to_observation, values_of
from client.store.observations import Kind, Numbers, Observations
from tests.client.store.conftest import NOW

EXAMPLES: Mapping[Kind, dict[str, float | None]] = {
    Kind.BLOOD_PRESSURE: {"systolic": 121.0, "diastolic": 79.0, "pulse": 64.0},
    Kind.OXIMETER: {"spo2": 97.0, "pulse": None},
    Kind.TEMPERATURE: {"celsius": 36.7},
    Kind.WEIGHT: {"kg": 70.25},
}


def test_every_kind_but_the_scan_can_be_entered() -> None:
    assert set(VALUES) == set(Kind) - {Kind.SCAN} == set(EXAMPLES)


@pytest.mark.parametrize("kind", EXAMPLES)
def test_it_comes_back_from_the_store(store: Observations, kind: Kind) -> None:
    ada = store.add_person("Ada", now=NOW)
    kept = to_observation(kind, EXAMPLES[kind], NOW, ada.id, note="after a walk: é")
    store.save(kept)
    found = store.get(kept.line.id)
    assert found == kept
    assert values_of(found) == {name: value for name, value in EXAMPLES[kind].items() if value is not None}
    assert found.body["schema"] == "health-helper/entry/1" and found.body["entered"] is True
    assert found.body["note"] == "after a walk: é"
    line = store.newest(ada.id, kind)
    assert line == found.line and line.taken_at == NOW and line.numbers == Numbers() and not line.simulated


def test_the_clock_of_the_place_is_kept() -> None:
    kept = to_observation(Kind.WEIGHT, {"kg": 70.0}, NOW, None)
    offset = NOW.astimezone().utcoffset()
    assert offset is not None and timedelta(minutes=kept.line.utc_offset_min) == offset


@pytest.mark.parametrize(
    "kind, values",
    [
        (Kind.SCAN, {}),
        (Kind.SCAN, {"heart_rate": 70.0}),
        (Kind.BLOOD_PRESSURE, {"systolic": 120.0}),
        (Kind.BLOOD_PRESSURE, {"systolic": 120.0, "diastolic": None}),
        (Kind.WEIGHT, {"kg": 70.0, "pulse": 60.0}),
        (Kind.WEIGHT, {"kg": float("nan")}),
    ],
)
def test_values_that_cannot_be_are_our_bug(kind: Kind, values: dict[str, float | None]) -> None:
    with pytest.raises(ValueError):
        to_observation(kind, values, NOW, None)


def test_what_only_a_newer_version_knows_is_left_out() -> None:
    kept = to_observation(Kind.OXIMETER, EXAMPLES[Kind.OXIMETER], NOW, None)
    newer = replace(
        kept, body={**kept.body, "values": {"perfusion": 3.0, "pulse": "60", "spo2": 97}, "site": "ear"}
    )
    assert values_of(newer) == {"spo2": 97.0}


def test_what_is_no_entry_of_ours() -> None:
    kept = to_observation(Kind.WEIGHT, {"kg": 70.0}, NOW, None)
    for other in (
        replace(kept, body={}),
        replace(kept, body={**kept.body, "schema": "health-helper/entry/2"}),
        replace(kept, body={**kept.body, "values": [1.0]}),
        replace(kept, line=replace(kept.line, kind=Kind.SCAN)),
        replace(kept, line=replace(kept.line, kind="glucose")),
    ):
        with pytest.raises(BadInput, match="another version"):
            values_of(other)
