"""The function that calls a clinic's staff when somebody at one of its devices needs help now (stacks/optional/connect.yaml).

It learns the clinic and the device, nothing else. It calls the clinic's own staff and never an emergency service: a false alarm there
takes help from others, automatic emergency calls need permission in most countries, and nobody at the line could answer questions.
The person at the device is shown the local number instead. The queue before it lets one case of a device through in five minutes.
A log line for each case says what became of it; never a number, and never the device, which the contact in Connect has.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics
from pydantic import BaseModel, ConfigDict, StringConstraints

from backend_lambda.aws.calls import ConnectCalls, StaffNumbers
from backend_lambda.aws.clients import Clients
from backend_lambda.errors import Refusal
from backend_lambda.ports import Measures

TOO_LATE_S = 900.0
"""A call so long after the fact would send people to somebody who has been helped, or is gone."""
NAMESPACE = "HealthHelper"
CALLED, NO_NUMBER, NOT_MADE = "urgent_calls", "urgent_calls_no_number", "urgent_calls_not_made"
"""Counts, without a clinic; an alarm is on each. NO_NUMBER apart: a clinic without a number must not hide that another's call failed."""
_MESSAGE = re.compile(r"[A-Za-z0-9-]{1,100}")
logger = Logger(service="health-helper-urgent-calls", level="INFO", log_uncaught_exceptions=False)
Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,100}$")]


class CallSettings(BaseModel):
    """The function's environment. source_number: the instance's own, E.164."""

    model_config = ConfigDict(frozen=True)

    stage: Literal["dev", "production"]
    region: Annotated[str, StringConstraints(min_length=1)]
    connect_instance_id: Identifier
    connect_flow_id: Identifier
    source_number: Annotated[str, StringConstraints(pattern=r"^\+[1-9][0-9]{1,14}$")]


VARIABLES = {
    "stage": "HH_STAGE",
    "region": "HH_REGION",
    "connect_instance_id": "HH_CONNECT_INSTANCE_ID",
    "connect_flow_id": "HH_CONNECT_FLOW_ID",
    "source_number": "HH_SOURCE_NUMBER",
}


class Outcome(StrEnum):
    """What became of a case. All but CALLED and FAILED: nobody was called, and asking again changes nothing."""

    CALLED = "called"
    FAILED = "failed"
    """It comes again."""
    NO_NUMBER = "no_number"
    """The clinic has none."""
    REFUSED = "refused"
    """The number is none, or the telephone or the store of numbers refuses."""
    TOO_LATE = "too_late"
    UNKNOWN = "unknown"
    """No case."""


@dataclass(frozen=True, slots=True)
class Case:
    """message: of the queue; the same however often it is delivered. at_s: when it came into the queue, Unix time."""

    message: str
    clinic_id: UUID
    device_id: UUID
    at_s: float


class UrgentCalls:
    """The handler, with its parts given. log: outcome, facts. now_s: Unix time."""

    def __init__(
        self,
        numbers: StaffNumbers,
        calls: ConnectCalls,
        measures: Measures,
        log: Callable[[Outcome, Mapping[str, object]], None],
        now_s: Callable[[], float],
    ) -> None:
        self._numbers, self._calls, self._measures = numbers, calls, measures
        self._log, self._now_s = log, now_s

    def __call__(self, event: Mapping[str, Any], request_id: str) -> dict[str, Any]:
        """Messages of SQS. Names those that are to come again; raises nothing."""
        records = event.get("Records")
        failed: list[str] = []
        for record in records if isinstance(records, list) else []:
            case = case_of(record)
            facts: dict[str, object] = {"request_id": request_id}
            if case is None:
                outcome = Outcome.UNKNOWN
            else:
                facts |= {"clinic": str(case.clinic_id), "case": case.message}
                outcome = self._handled(case, facts)
                if outcome is Outcome.FAILED:
                    failed.append(case.message)
            self._log(outcome, facts)
            for name in (CALLED, NO_NUMBER, NOT_MADE):
                self._measures.add(name, 1.0 if name == _counted(outcome) else 0.0, "Count")
        return {"batchItemFailures": [{"itemIdentifier": message} for message in failed]}

    def _handled(self, case: Case, facts: dict[str, object]) -> Outcome:
        if self._now_s() - case.at_s > TOO_LATE_S:
            return Outcome.TOO_LATE
        try:
            number = self._numbers.number(case.clinic_id)
            if number is None:
                return Outcome.NO_NUMBER
            facts["contact"] = self._calls.call(number, case.device_id, case.message)
        except Refusal as refusal:
            facts["why"] = refusal.title
            return Outcome.FAILED if refusal.status >= 500 else Outcome.REFUSED
        except Exception as error:  # noqa: BLE001 (told by its kind; its text may hold the number)
            facts["why"] = type(error).__name__
            return Outcome.FAILED
        return Outcome.CALLED


def _counted(outcome: Outcome) -> str:
    """Under which count."""
    return {Outcome.CALLED: CALLED, Outcome.NO_NUMBER: NO_NUMBER}.get(outcome, NOT_MADE)


def case_of(record: object) -> Case | None:
    """Of a message as the rule writes it: {"clinic_id": …, "device_id": …}. None: it is none."""
    try:
        if not isinstance(record, Mapping) or record["eventSource"] != "aws:sqs":
            return None
        body = json.loads(record["body"])
        message = str(record["messageId"])
        if not _MESSAGE.fullmatch(message):
            return None
        return Case(
            message,
            UUID(body["clinic_id"]),
            UUID(body["device_id"]),
            int(record["attributes"]["SentTimestamp"]) / 1000.0,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


class _Measures:
    """Implements `ports.Measures`: a line of CloudWatch's embedded metric format for each."""

    def add(self, name: str, value: float, unit: str, clinic_id: str | None = None) -> None:
        metrics = EphemeralMetrics(namespace=NAMESPACE, service="health-helper")
        if clinic_id is not None:
            metrics.add_dimension("clinic", clinic_id)
        metrics.add_metric(name, unit, value)
        metrics.flush_metrics()


def _log(outcome: Outcome, facts: Mapping[str, object]) -> None:
    level = logger.info if outcome is Outcome.CALLED else logger.error
    level("urgent case", extra={**facts, "outcome": str(outcome)})


def build(settings: CallSettings, clients: Clients) -> UrgentCalls:
    """Opens no connection."""
    return UrgentCalls(
        StaffNumbers(clients, settings.stage),
        ConnectCalls(clients, settings.connect_instance_id, settings.connect_flow_id, settings.source_number),
        _Measures(),
        _log,
        time.time,
    )


@cache
def _function() -> UrgentCalls:
    """Of this process. Raises pydantic's ValidationError for a wrong environment."""
    settings = CallSettings.model_validate({name: os.environ.get(at) for name, at in VARIABLES.items()})
    return build(settings, Clients(settings.region))


def lambda_handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """An event of SQS. Raises RuntimeError where the function cannot start."""
    try:
        function = _function()
    except Exception as error:  # noqa: BLE001 (its text may hold what the environment holds)
        logger.error("start failed", kind=type(error).__name__)  # noqa: TRY400 (as above)
        raise RuntimeError("start failed") from None
    return function(event, str(getattr(context, "aws_request_id", "") or uuid4()))
