"""Amazon Kinesis Data Streams for accepted observations, Amazon EventBridge for urgent cases. Neither raises anything for the world's faults."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from backend_lambda.aws.clients import Clients, Fault, asked
from backend_lambda.ports import Clock, VitalsRecord

RECORDS = 500
"""In one PutRecords. Source, of the sizes too: Kinesis API reference, "PutRecords", read on 28 November 2026."""
RECORD_BYTES = 1_048_576
"""With its key. A stream takes up to 10 MiB only once its MaxRecordSizeInKiB is raised from 1,024."""
REQUEST_BYTES = 5_000_000
"""With the keys. The limit is 10 MiB; before October 2025 it was 5 MiB, and nothing here comes near either."""
AGAIN_WITHIN_S = 0.4
"""A second attempt begins no later after the first one's beginning."""
SOURCE, DETAIL_TYPE = "health-helper", "UrgentCase"
SCHEMA = "health-helper/urgent-case/1"


class KinesisVitals:
    """Implements `ports.VitalsStream`. stream: its name. What a call did not take is tried once more, all of it in about a second."""

    def __init__(self, clients: Clients, clock: Clock, stream: str) -> None:
        self._clients, self._clock, self._stream = clients, clock, stream

    def put(self, clinic_id: UUID, records: Sequence[VitalsRecord]) -> int:
        entries = [
            {"Data": record.data, "PartitionKey": partition_key(clinic_id, record.patient_id)}
            for record in records
        ]
        fit = [entry for entry in entries if _size_bytes(entry) <= RECORD_BYTES]
        lost = len(entries) - len(fit)
        for request in _requests(fit):
            lost += len(_twice(self._clock, request, self._left_of))
        return lost

    def _left_of(self, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Those of them that were not taken. Raises Fault."""
        answer = asked(
            lambda: self._clients("kinesis").put_records(StreamName=self._stream, Records=entries),
            needs="Records",
        )
        taken = _are_taken(answer["Records"], "SequenceNumber")
        if len(taken) != len(entries):
            raise Fault("unreadable")
        return [entry for entry, is_taken in zip(entries, taken, strict=True) if not is_taken]


def partition_key(clinic_id: UUID, patient_id: UUID) -> str:
    """The same for all of a patient, so that they lie in one shard. Keys are shown in consoles and logs: no patient can be read from it."""
    return hashlib.sha256(f"vitals|{clinic_id}|{patient_id}".encode()).hexdigest()[:32]


class EventBridgeCases:
    """Implements `ports.UrgentCases`. bus: name or ARN."""

    def __init__(self, clients: Clients, clock: Clock, bus: str) -> None:
        self._clients, self._clock, self._bus = clients, clock, bus

    def tell(self, clinic_id: UUID, device_id: UUID, urgency: str, at: datetime) -> bool:
        detail = {
            "schema": SCHEMA,
            "clinic_id": str(clinic_id),
            "device_id": str(device_id),
            "urgency": urgency,
            "at": at.astimezone(UTC).isoformat(timespec="seconds"),
        }
        entry = {
            "Source": SOURCE,
            "DetailType": DETAIL_TYPE,
            "Detail": json.dumps(detail, separators=(",", ":")),
            "EventBusName": self._bus,
            "Time": at,
        }
        return not _twice(self._clock, [entry], self._left_of)

    def _left_of(self, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Raises Fault."""
        answer = asked(lambda: self._clients("events").put_events(Entries=entries), needs="Entries")
        return [] if _are_taken(answer["Entries"], "EventId") == [True] else entries


def _twice(
    clock: Clock,
    entries: list[dict[str, Any]],
    ask: Callable[[list[dict[str, Any]]], list[dict[str, Any]]],
) -> list[dict[str, Any]]:
    """What of the entries is left after a first attempt, and a second one where there is time and the first was answered or cut off."""
    began_s = clock.now_s()
    left = entries
    for _ in range(2):
        try:
            left = ask(left)
        except Fault as fault:
            if fault.timed_out or fault.ours:
                return left
        if not left or clock.now_s() - began_s > AGAIN_WITHIN_S:
            return left
    return left


def _are_taken(results: Any, name: str) -> list[bool]:
    """By entry. name: of what a result has where its entry was taken."""
    if not isinstance(results, list):
        return []
    return [isinstance(one, Mapping) and bool(one.get(name)) and not one.get("ErrorCode") for one in results]


def _size_bytes(entry: dict[str, Any]) -> int:
    return len(entry["Data"]) + len(entry["PartitionKey"])


def _requests(entries: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """As few as hold all of them."""
    request: list[dict[str, Any]] = []
    size_bytes = 0
    for entry in entries:
        if request and (len(request) == RECORDS or size_bytes + _size_bytes(entry) > REQUEST_BYTES):
            yield request
            request, size_bytes = [], 0
        request.append(entry)
        size_bytes += _size_bytes(entry)
    if request:
        yield request
