"""Stands in for Kinesis (PutRecords) and EventBridge (PutEvents) in tests; never shipped. They keep what they are given, and deliver nothing."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.stand_ins.aws.exchange import Refused
from tests.stand_ins.aws.service_models import Service

REQUEST_BYTES = 10_485_760
"""Of one PutRecords, with the keys."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record as it lies in a stream."""

    partition_key: str
    data: bytes


class Kinesis:
    """streams: records by the name of their stream. takes: whether a record is taken now; the rest of a request is.

    max_record_bytes: with its key; 1 MiB unless a stream was changed. requests: how many records each had.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.streams: dict[str, list[Record]] = {}
        self.takes: Callable[[Record], bool] = lambda record: True
        self.max_record_bytes = 1_048_576
        self.requests: list[int] = []
        self.service = Service("kinesis", {"PutRecords": self._put})

    def clear(self) -> None:
        self.streams = {"vitals": []}
        self.takes = lambda record: True
        self.requests.clear()

    def _put(self, request: dict[str, Any]) -> dict[str, Any]:
        if request.get("StreamName") not in self.streams:
            raise Refused(400, "ResourceNotFoundException", "Stream is not found.")
        records = [Record(one.get("PartitionKey", ""), one["Data"]) for one in request["Records"]]
        if not all(record.partition_key for record in records):
            raise Refused(400, "ValidationException", "A partition key is missing.")
        sizes = [len(record.data) + len(record.partition_key.encode()) for record in records]
        if max(sizes) > self.max_record_bytes or sum(sizes) > REQUEST_BYTES:
            raise Refused(400, "InvalidArgumentException", "A record or the request is too large.")
        with self._lock:
            self.requests.append(len(records))
            stream = self.streams[request["StreamName"]]
            results = []
            for record in records:
                if self.takes(record):
                    stream.append(record)
                    number = f"{10**55 + len(stream)}"
                    results.append({"SequenceNumber": number, "ShardId": "shardId-000000000000"})
                else:
                    code = "ProvisionedThroughputExceededException"
                    results.append({"ErrorCode": code, "ErrorMessage": "Rate exceeded for shard"})
        failed = sum("ErrorCode" in result for result in results)
        return {"Records": results, "EncryptionType": "KMS"} | (
            {"FailedRecordCount": failed} if failed else {}
        )


@dataclass(frozen=True, slots=True)
class Event:
    """One event as a bus has it. detail: JSON, read."""

    source: str
    detail_type: str
    detail: dict[str, Any]
    time: datetime | None


class EventBridge:
    """buses: events by the name of their bus. refuses: the codes that the next entries are refused with."""

    def __init__(self) -> None:
        self.buses: dict[str, list[Event]] = {}
        self.refuses: list[str] = []
        self.service = Service("events", {"PutEvents": self._put})

    def clear(self) -> None:
        self.buses = {"cases": []}
        self.refuses.clear()

    def _put(self, request: dict[str, Any]) -> dict[str, Any]:
        results = [self._one(entry) for entry in request["Entries"]]
        return {
            "Entries": results,
            "FailedEntryCount": sum("ErrorCode" in result for result in results),
        }

    def _one(self, entry: dict[str, Any]) -> dict[str, Any]:
        if self.refuses:
            return {"ErrorCode": self.refuses.pop(0), "ErrorMessage": "as the test wants it"}
        bus = self.buses.get(entry.get("EventBusName", "default").rpartition("/")[2])
        if bus is None:  # as AWS does it: an unknown bus takes everything, and nobody gets it
            return {"EventId": str(uuid.uuid4())}
        try:
            detail = json.loads(entry["Detail"])
        except (KeyError, ValueError):
            return {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}
        if not isinstance(detail, dict) or not entry.get("Source") or not entry.get("DetailType"):
            return {"ErrorCode": "InvalidArgument", "ErrorMessage": "Source or DetailType is missing."}
        bus.append(Event(entry["Source"], entry["DetailType"], detail, entry.get("Time")))
        return {"EventId": str(uuid.uuid4())}
