"""Observations into Kinesis and urgent cases onto EventBridge: what arrives, what is tried once more, and how long that may take."""

from __future__ import annotations

import itertools
import json
import logging
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend_lambda.app import SystemClock
from backend_lambda.aws import feeds
from backend_lambda.aws.clients import Clients
from backend_lambda.aws.feeds import EventBridgeCases, KinesisVitals, partition_key
from backend_lambda.ports import VitalsRecord
from tests.backend_lambda.conftest import SetClock
from tests.stand_ins.aws.faults import Fault, Kind
from tests.stand_ins.aws.feeds import Event, Record
from tests.stand_ins.aws.server import AwsStandIn

CLINIC, PATIENT, DEVICE = uuid4(), uuid4(), uuid4()
AT = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
CANARY = b"canary-31c7"
ALL_SLOW_S = 1.6
"""What a test lets a put or a telling take on a busy machine; the service waits for less (services.feeds)."""


def records(count: int, size_bytes: int = 100, patient: UUID = PATIENT) -> list[VitalsRecord]:
    return [
        VitalsRecord(patient, (CANARY + b"-%d-" % number).ljust(size_bytes, b".")) for number in range(count)
    ]


@pytest.fixture
def vitals(clients: Clients) -> KinesisVitals:
    return KinesisVitals(clients, SystemClock(), "vitals")


@pytest.fixture
def cases(clients: Clients) -> EventBridgeCases:
    return EventBridgeCases(clients, SystemClock(), "cases")


@pytest.fixture(scope="module")
def lost(one_aws: AwsStandIn) -> Iterator[Clients]:
    """Clients of an address where nobody listens."""
    clients = Clients(one_aws.region, "http://127.0.0.1:1")
    yield clients
    clients.close()


# --- Kinesis


def test_records_lie_in_the_stream_as_they_are(aws: AwsStandIn, vitals: KinesisVitals) -> None:
    given = records(3)
    assert vitals.put(CLINIC, given) == 0
    key = partition_key(CLINIC, PATIENT)
    assert aws.kinesis.streams["vitals"] == [Record(key, one.data) for one in given]
    assert aws.kinesis.requests == [3]


def test_a_key_stands_for_a_patient_and_names_none(aws: AwsStandIn, vitals: KinesisVitals) -> None:
    keys = {partition_key(clinic, patient) for clinic in (CLINIC, DEVICE) for patient in (PATIENT, DEVICE)}
    assert len(keys) == 4
    vitals.put(CLINIC, records(1) + records(1, patient=DEVICE) + records(1))
    first, other, again = (record.partition_key for record in aws.kinesis.streams["vitals"])
    assert first == again != other
    for name in (CLINIC, PATIENT):
        assert str(name) not in first and name.hex not in first
        assert name.hex[:8] not in first


def test_nothing_is_asked_about_nothing(aws: AwsStandIn, vitals: KinesisVitals) -> None:
    assert vitals.put(CLINIC, []) == 0
    assert aws.counts["kinesis"] == 0


def test_what_a_shard_refused_is_tried_once_more_and_nothing_else(
    aws: AwsStandIn, vitals: KinesisVitals
) -> None:
    seen: Counter[bytes] = Counter()

    def takes(record: Record) -> bool:
        seen[record.data] += 1
        number = int(record.data.split(b"-")[2])
        return number % 2 == 0 or (seen[record.data] > 1 and number % 3 == 0)

    aws.kinesis.takes = takes
    given = records(12)
    # 1, 5, 7, 11 are refused twice; 3 and 9 once
    assert vitals.put(CLINIC, given) == 4
    assert aws.kinesis.requests == [12, 6]
    taken = Counter(record.data for record in aws.kinesis.streams["vitals"])
    assert set(taken.values()) == {1} and len(taken) == 8


@pytest.mark.parametrize(
    "kind", [Kind.UNAVAILABLE, Kind.BROKEN, Kind.THROTTLED, Kind.RESET, Kind.CUT, Kind.RUBBISH]
)
def test_a_call_that_fails_is_made_once_more(aws: AwsStandIn, vitals: KinesisVitals, kind: Kind) -> None:
    aws.faults.set("kinesis", Fault(kind), times=1)
    assert vitals.put(CLINIC, records(5)) == 0
    assert aws.counts["kinesis"] == 2
    assert len(aws.kinesis.streams["vitals"]) == 5


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.DELAYED])
def test_whatever_happens_all_are_counted_as_lost_in_time(
    aws: AwsStandIn, vitals: KinesisVitals, kind: Kind, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    aws.faults.set("kinesis", Fault(kind, seconds=5.0))
    began_s = time.monotonic()
    assert vitals.put(CLINIC, records(7)) == 7
    assert time.monotonic() - began_s < ALL_SLOW_S
    assert aws.counts["kinesis"] == (1 if kind is Kind.SILENT else 2)
    assert CANARY.decode() not in caplog.text and str(PATIENT) not in caplog.text


def test_a_slow_first_attempt_has_no_second(aws: AwsStandIn, clients: Clients) -> None:
    clock = SetClock()

    def takes(record: Record) -> bool:
        clock.go(feeds.AGAIN_WITHIN_S / 2)
        return False

    aws.kinesis.takes = takes
    assert KinesisVitals(clients, clock, "vitals").put(CLINIC, records(3)) == 3
    assert aws.kinesis.requests == [3]


def test_who_was_silent_is_not_asked_again(aws: AwsStandIn, hasty: Clients) -> None:
    """However early it gave up: there is no time for another silence."""
    aws.faults.set("kinesis", Fault(Kind.SILENT, seconds=1.0), times=1)
    aws.faults.set("events", Fault(Kind.SILENT, seconds=1.0), times=1)
    assert KinesisVitals(hasty, SetClock(), "vitals").put(CLINIC, records(2)) == 2
    assert not EventBridgeCases(hasty, SetClock(), "cases").tell(CLINIC, DEVICE, "emergency", AT)
    assert (aws.counts["kinesis"], aws.counts["events"]) == (1, 1)


def test_nobody_there(aws: AwsStandIn, lost: Clients) -> None:
    began_s = time.monotonic()
    assert KinesisVitals(lost, SystemClock(), "vitals").put(CLINIC, records(2)) == 2
    assert not EventBridgeCases(lost, SystemClock(), "cases").tell(CLINIC, DEVICE, "emergency", AT)
    assert time.monotonic() - began_s < 2 * ALL_SLOW_S


def test_a_stream_that_is_not_there(aws: AwsStandIn, clients: Clients) -> None:
    assert KinesisVitals(clients, SystemClock(), "other").put(CLINIC, records(2)) == 2


def test_a_name_that_is_none_is_not_asked_for(aws: AwsStandIn, clients: Clients) -> None:
    assert KinesisVitals(clients, SystemClock(), "").put(CLINIC, records(2)) == 2
    assert aws.counts["kinesis"] == 0


def test_a_record_that_is_too_large_spoils_no_other(aws: AwsStandIn, vitals: KinesisVitals) -> None:
    key_bytes = len(partition_key(CLINIC, PATIENT))
    fits = records(1, feeds.RECORD_BYTES - key_bytes)
    assert vitals.put(CLINIC, [*records(1, feeds.RECORD_BYTES - key_bytes + 1), *fits, *records(2)]) == 1
    assert [len(record.data) for record in aws.kinesis.streams["vitals"]] == [len(fits[0].data), 100, 100]


def test_many_are_put_in_several_requests(aws: AwsStandIn, vitals: KinesisVitals) -> None:
    assert vitals.put(CLINIC, records(1_001)) == 0
    assert aws.kinesis.requests == [500, 500, 1]
    aws.kinesis.clear()
    large = records(12, 1_000_000)
    assert vitals.put(CLINIC, large) == 0
    assert aws.kinesis.requests == [4, 4, 4]
    assert [record.data for record in aws.kinesis.streams["vitals"]] == [one.data for one in large]


@given(sizes=st.lists(st.integers(0, 40), max_size=60))
def test_requests_are_small_enough_and_lose_nothing(sizes: list[int]) -> None:
    entries: list[dict[str, Any]] = [
        {"Data": bytes(size), "PartitionKey": f"{at:04}"} for at, size in enumerate(sizes)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feeds, "RECORDS", 7)
        patch.setattr(feeds, "REQUEST_BYTES", 100)
        found = list(feeds._requests(entries))
    assert [entry for request in found for entry in request] == entries
    for request in found:
        assert 1 <= len(request) <= 7
        assert sum(len(entry["Data"]) + 4 for entry in request) <= 100
    for request, following in itertools.pairwise(found):
        assert len(request) == 7 or sum(len(entry["Data"]) + 4 for entry in [*request, following[0]]) > 100


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"Records": []},
        {"Records": None},
        {"Records": "taken"},
        {"Records": 3},
        {"Records": {"a": 1}},
        {"Records": [None, None]},
        {"Records": ["SequenceNumber", "SequenceNumber"]},
        {"Records": [{}, {}]},
        {"Records": [{"SequenceNumber": ""}, {"SequenceNumber": None}]},
        {"Records": [{"SequenceNumber": "1", "ErrorCode": "X"}, {"SequenceNumber": "2", "ErrorCode": "X"}]},
        {"Records": [{"SequenceNumber": "1"}]},
        {"Records": [{"SequenceNumber": "1"}] * 3},
        [],
        "Records",
        None,
    ],
)
def test_an_answer_that_does_not_say_it_was_taken_is_none(
    aws: AwsStandIn, vitals: KinesisVitals, body: object
) -> None:
    aws.faults.set("kinesis", Fault(Kind.RUBBISH, body=json.dumps(body).encode()))
    assert vitals.put(CLINIC, records(2)) == 2


def test_an_answer_that_says_that_some_were_taken(aws: AwsStandIn, vitals: KinesisVitals) -> None:
    body = {"FailedRecordCount": 0, "Records": [{"SequenceNumber": "1"}, {"ErrorCode": "InternalFailure"}]}
    aws.faults.set("kinesis", Fault(Kind.RUBBISH, body=json.dumps(body).encode()), times=1)
    assert vitals.put(CLINIC, records(2)) == 0
    [second] = aws.kinesis.streams["vitals"]
    assert second.data.startswith(CANARY + b"-1-")


# --- EventBridge


def test_a_case_says_where_and_when_and_nothing_else(aws: AwsStandIn, cases: EventBridgeCases) -> None:
    at = AT.astimezone(timezone(timedelta(hours=5)))
    assert cases.tell(CLINIC, DEVICE, "emergency", at)
    assert aws.event_bridge.buses["cases"] == [
        Event(
            "health-helper",
            "UrgentCase",
            {
                "schema": "health-helper/urgent-case/1",
                "clinic_id": str(CLINIC),
                "device_id": str(DEVICE),
                "urgency": "emergency",
                "at": "2026-11-27T12:00:00+00:00",
            },
            AT,
        )
    ]


def test_a_bus_may_be_named_by_its_arn(aws: AwsStandIn, clients: Clients) -> None:
    arn = "arn:aws:events:eu-central-1:000000000000:event-bus/cases"
    assert EventBridgeCases(clients, SystemClock(), arn).tell(CLINIC, DEVICE, "emergency", AT)
    assert len(aws.event_bridge.buses["cases"]) == 1


@pytest.mark.parametrize("code", ["ThrottlingException", "InternalFailure"])
def test_a_case_is_told_once_more(aws: AwsStandIn, cases: EventBridgeCases, code: str) -> None:
    aws.event_bridge.refuses = [code]
    assert cases.tell(CLINIC, DEVICE, "emergency", AT)
    aws.event_bridge.refuses = [code] * 2
    assert not cases.tell(CLINIC, DEVICE, "emergency", AT)
    assert len(aws.event_bridge.buses["cases"]) == 1
    assert aws.counts["events"] == 4


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.DELAYED])
def test_whatever_happens_a_case_is_told_or_not_in_time(
    aws: AwsStandIn, cases: EventBridgeCases, kind: Kind, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    aws.faults.set("events", Fault(kind, seconds=5.0))
    began_s = time.monotonic()
    assert not cases.tell(CLINIC, DEVICE, "emergency", AT)
    assert time.monotonic() - began_s < ALL_SLOW_S
    assert str(DEVICE) not in caplog.text and str(CLINIC) not in caplog.text
    aws.faults.set("events", Fault(kind, seconds=5.0), times=1)
    assert cases.tell(CLINIC, DEVICE, "emergency", AT) is (kind is not Kind.SILENT)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"Entries": []},
        {"Entries": None},
        {"Entries": "EventId"},
        {"Entries": [None]},
        {"Entries": [{"EventId": ""}]},
        {"Entries": [{"EventId": "1", "ErrorCode": "X"}]},
        {"Entries": [{"EventId": "1"}, {"EventId": "2"}]},
        [],
    ],
)
def test_an_answer_that_does_not_say_it_was_told_is_none(
    aws: AwsStandIn, cases: EventBridgeCases, body: object
) -> None:
    aws.faults.set("events", Fault(Kind.RUBBISH, body=json.dumps(body).encode()))
    assert not cases.tell(CLINIC, DEVICE, "emergency", AT)
