"""The function that a schedule calls each night: yesterday's observations of the clinics that have agreed go into HealthLake.

Its environment (a login of its own, none of the API's settings): HH_REGION, HH_STAGE, HH_DATABASE_URL, HH_DATABASE_IAM, HH_CLINIC_IDS
(comma-separated), HH_IMPORT_BUCKET, HH_DATASTORE_ID, HH_IMPORT_ROLE_ARN, HH_IMPORT_KEY_ARN; on stage local HH_AWS_ENDPOINT_URL.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from typing import Any
from uuid import UUID, uuid4

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from backend_lambda import app
from backend_lambda.errors import Refusal
from backend_lambda.ports import Clock
from backend_lambda.services.health_lake import HealthLakeExport
from backend_lambda.store.database import Database

logger = Logger(service="health-helper-health-lake", level="INFO", log_uncaught_exceptions=False)
Log = Callable[[str, str, Mapping[str, object]], None]


class NotDone(Exception):
    """Some clinics' days could not be exported now. Raised so that the event comes again; those that are done stay done."""


class WrongEnvironment(Exception):
    """Names the variables, never what stands in them."""


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """Of this function alone."""

    region: str
    database_url: str
    database_iam: bool
    clinic_ids: tuple[UUID, ...]
    bucket: str
    datastore_id: str
    role_arn: str
    key_arn: str
    endpoint_url: str


def read(environment: Mapping[str, str]) -> ExportSettings:
    """Raises WrongEnvironment."""
    needed = {
        name: environment.get(f"HH_{name.upper()}", "")
        for name in (
            *("region", "database_url", "clinic_ids", "import_bucket"),
            *("datastore_id", "import_role_arn", "import_key_arn"),
        )
    }
    wrong = [f"HH_{name.upper()}" for name, value in needed.items() if not value]
    endpoint_url = environment.get("HH_AWS_ENDPOINT_URL", "")
    if endpoint_url and environment.get("HH_STAGE") != "local":
        wrong.append("HH_AWS_ENDPOINT_URL")
    clinics: list[UUID] = []
    for text in filter(None, (part.strip() for part in needed["clinic_ids"].split(","))):
        with suppress(ValueError):
            clinics.append(UUID(text))
            continue
        wrong.append("HH_CLINIC_IDS")
    if wrong:
        raise WrongEnvironment(", ".join(dict.fromkeys(wrong)))
    return ExportSettings(
        region=needed["region"],
        database_url=needed["database_url"],
        database_iam=environment.get("HH_DATABASE_IAM", "").lower() in {"1", "true"},
        clinic_ids=tuple(dict.fromkeys(clinics)),
        bucket=needed["import_bucket"],
        datastore_id=needed["datastore_id"],
        role_arn=needed["import_role_arn"],
        key_arn=needed["import_key_arn"],
        endpoint_url=endpoint_url,
    )


class ExportFunction:
    """The handler, with its parts given. flush: what has been measured goes out."""

    def __init__(
        self,
        export: HealthLakeExport,
        clinic_ids: Sequence[UUID],
        clock: Clock,
        log: Log,
        flush: Callable[[], None],
    ) -> None:
        self._export, self._clinic_ids, self._clock = export, clinic_ids, clock
        self._log, self._flush = log, flush

    def __call__(self, event: Mapping[str, Any], request_id: str) -> dict[str, int]:
        """event: the schedule's, or {"day": "2026-11-27", "attempt": 2} to do a day once more. Raises NotDone, ValueError for a bad one."""
        attempt = int(event.get("attempt", 1))
        if "day" in event:
            day = date.fromisoformat(str(event["day"]))
        else:
            day = (self._clock.utc() - timedelta(days=1)).date()
        failed = 0
        try:
            for clinic_id in self._clinic_ids:
                failed += not self._one(clinic_id, day, attempt, request_id)
        finally:
            self._flush()
        if failed:
            raise NotDone(f"{failed} of {len(self._clinic_ids)} clinics")
        return {"clinics": len(self._clinic_ids)}

    def _one(self, clinic_id: UUID, day: date, attempt: int, request_id: str) -> bool:
        """How the day before went is looked at too, for an import takes longer than this function lives."""
        facts: dict[str, object] = {
            "request_id": request_id,
            "clinic": str(clinic_id),
            "day": day.isoformat(),
        }
        try:
            done = self._export.export(clinic_id, day, attempt=attempt, request_id=request_id)
            before = self._export.outcome(clinic_id, day - timedelta(days=1))
        except Exception as error:  # noqa: BLE001 (told by its kind: its text may quote what was read)
            facts["kind"] = type(error).__name__
            facts["code"] = str(error.code) if isinstance(error, Refusal) else None
            self._log("error", "not exported", facts)
            return False
        counts = {"resources": done.resources, "patients": done.patients, "again": done.again}
        self._log(
            "info",
            "exported",
            {**facts, **counts, "job": done.job, "day_before": before.status if before else None},
        )
        return True


@cache
def function() -> ExportFunction:
    """Of this process."""
    from backend_lambda.aws.clients import Clients
    from backend_lambda.aws.database import IamPassword
    from backend_lambda.aws.health_lake import HealthLakeImports, ImportFiles
    from backend_lambda.aws.objects import S3Objects

    found = read(os.environ)
    clients, clock, measures = (
        Clients(found.region, found.endpoint_url),
        app.SystemClock(),
        app.EmfMeasures(),
    )
    password = IamPassword(Clients(found.region), found.database_url) if found.database_iam else None
    export = HealthLakeExport(
        Database(found.database_url, clock=clock, password=password),
        ImportFiles(S3Objects(clients, found.bucket)),
        HealthLakeImports(clients, found.datastore_id, found.bucket, found.role_arn, found.key_arn),
        measures,
        clock,
    )
    return ExportFunction(export, found.clinic_ids, clock, log, measures.flush)


def lambda_handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, int]:
    """Raises NotDone, and RuntimeError where the function cannot start."""
    request_id = str(getattr(context, "aws_request_id", "") or uuid4())
    try:
        run = function()
    except WrongEnvironment as error:
        log("error", "start failed", {"request_id": request_id, "variables": str(error)})
        raise RuntimeError("start failed") from None
    return run(event, request_id)


def log(level: str, line: str, facts: Mapping[str, object]) -> None:
    (logger.error if level == "error" else logger.info)(line, extra=facts)
