"""The function that the object store calls when a file has arrived, directly or through a queue.

A log line for each file holds its upload's id and what became of it; never its key, which stands for a patient.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus
from uuid import uuid4

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from backend_lambda import app
from backend_lambda.errors import Refusal
from backend_lambda.ports import Measures
from backend_lambda.services.processing import Processing
from backend_lambda.services.uploads import place_of

logger = Logger(service="health-helper-processing", level="INFO", log_uncaught_exceptions=False)
_PR_SET_DUMPABLE = 4
"""Of prctl(2)."""


class NotDone(Exception):
    """Some of an event's files could not be looked at now. Raised so that the event comes again; those that are done stay done."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One object. message: of the queue that told of it; "" without one. key: None where the record tells of no new object."""

    message: str
    key: str | None
    version_id: str


class ProcessingFunction:
    """The handler, with its parts given. log: level, line, facts. flush: what has been measured goes out."""

    def __init__(
        self,
        processing: Processing,
        measures: Measures,
        log: Callable[[str, str, Mapping[str, object]], None],
        flush: Callable[[], None],
    ) -> None:
        self._processing, self._measures, self._log, self._flush = processing, measures, log, flush

    def __call__(self, event: Mapping[str, Any], request_id: str) -> dict[str, Any]:
        """From a queue: names the messages that are to come again. Directly from the store: raises NotDone for all of them."""
        failed: dict[str, int] = {}
        try:
            for arrival in arrivals(event):
                if not self._done(arrival, request_id):
                    failed[arrival.message] = failed.get(arrival.message, 0) + 1
        finally:
            self._flush()
        if "" in failed:
            raise NotDone(f"{failed['']} of the event's files")
        return {"batchItemFailures": [{"itemIdentifier": message} for message in failed]}

    def _done(self, arrival: Arrival, request_id: str) -> bool:
        if arrival.key is None:
            self._measures.add("events_unknown", 1.0, "Count")
            return True
        place = place_of(arrival.key)
        facts: dict[str, object] = {
            "request_id": request_id,
            "upload": None if place is None else str(place.upload_id),
        }
        try:
            outcome = self._processing.process(arrival.key, arrival.version_id, request_id)
        except Exception as error:  # noqa: BLE001 (told by its kind; its text may quote the file)
            facts["kind"] = type(error).__name__
            facts["code"] = str(error.code) if isinstance(error, Refusal) else None
            self._log("error", "failed", facts)
            return False
        self._log("info", "processed", {**facts, "outcome": str(outcome)})
        return True


def arrivals(event: Mapping[str, Any]) -> Iterator[Arrival]:
    """Of the store's notification (event version 2), as it is or as messages of SQS. What is something else has no key."""
    for record in _records(event):
        if record.get("eventSource") == "aws:sqs":
            message = str(record.get("messageId") or "")
            inner = _records(_json(record.get("body")))
            yield from (_arrival(message, one) for one in inner)
            if not inner:  # the store's test of a new notification
                yield Arrival(message, None, "")
        else:
            yield _arrival("", record)


def _arrival(message: str, record: Mapping[str, Any]) -> Arrival:
    nothing = Arrival(message, None, "")
    if record.get("eventSource") != "aws:s3" or not str(record.get("eventName")).startswith("ObjectCreated:"):
        return nothing
    try:
        found = record["s3"]["object"]
        key, version = found["key"], found.get("versionId") or ""
    except (KeyError, TypeError, AttributeError):
        return nothing
    return Arrival(message, unquote_plus(key), version) if isinstance(key, str) else nothing


def _records(event: object) -> list[Mapping[str, Any]]:
    records = event.get("Records") if isinstance(event, Mapping) else None
    return [one for one in records if isinstance(one, Mapping)] if isinstance(records, list) else []


def _json(text: object) -> object:
    try:
        return json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None


def close_to_others() -> None:
    """From now on only root may read this process's memory and its environment, where credentials are: not the process in which
    files are looked at. Raises OSError.
    """
    if sys.platform == "linux" and ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError("this process cannot be closed to others")


def lambda_handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
    """An event of S3, or of SQS with those of S3 in it. Raises NotDone, and RuntimeError where the function cannot start."""
    request_id = str(getattr(context, "aws_request_id", "") or uuid4())
    try:
        close_to_others()
        backend = app.backend()
    except Exception as error:  # noqa: BLE001 (its text may hold what the environment holds)
        log("error", "start failed", {"request_id": request_id, "kind": type(error).__name__})
        raise RuntimeError("start failed") from None
    processing = Processing(backend.database, backend.ports, backend.settings)
    return ProcessingFunction(processing, backend.ports.measures, log, backend.flush)(event, request_id)


def log(level: str, line: str, facts: Mapping[str, object]) -> None:
    (logger.error if level == "error" else logger.info)(line, extra=facts)


if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
    app.backend()  # put together before the snapshot: it opens no connection and keeps no time
