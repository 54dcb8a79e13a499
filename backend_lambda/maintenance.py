"""Handlers that run beside the API: a deployment's migration, the audit's heads every hour, its verification every day.

Neither a log line nor an answer holds anything of the environment, of an address or of a row but what is listed here.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, urlsplit
from uuid import uuid4

import psycopg
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from backend_lambda import app
from backend_lambda.errors import Refusal
from backend_lambda.services.audit import Finding, ObjectFinding
from backend_lambda.settings import Name
from backend_lambda.store.audit import OutOfTime
from backend_lambda.store.logins import LoginsRefused, make_logins
from backend_lambda.store.migrate import MigrationRefused, NewerDatabase, migrate

logger = Logger(service="health-helper-maintenance", level="INFO", log_uncaught_exceptions=False)
RESOURCE_ID = "health-helper-database"
"""Of the custom resource: always the same, or CloudFormation would take the next deployment for another one and delete this."""
ANSWER_MAY_TAKE_S = 20.0
"""Kept back of the function's time, so that CloudFormation is told of a failure and does not wait an hour for it."""
ENOUGH_S = 30.0
"""Kept back of the function's time when the audit is verified: one more read of an object or of the store, with its repeats."""
MOST_TOLD = 1000
"""Flaws of one run that get a log line; all are counted."""
_ANSWER_ATTEMPTS = 3
_ANSWER_TIMEOUT_S = 5.0
_MOST_REASON = 400
"""Characters; an answer may have 4096 bytes in all."""
_BUCKET = "cloudformation-custom-resource-response-{}"
"""AWS's own, one for each region, with the region's name without dashes. Others can own buckets of similar names."""
_REGION = re.compile(r"[a-z]{2,}(-[a-z0-9]+)+")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class NotAnswered(Exception):
    """CloudFormation was not told. Raised so that the event comes again."""


class MigrationSettings(BaseModel):
    """What of the functions' settings (`settings.Settings`) the migration needs. database_url: as the tables' owner."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: Literal["local", "dev", "production"]
    region: Name
    database_url: Annotated[str, StringConstraints(min_length=1, max_length=1024)]
    database_iam: bool = False


def migration_settings(environment: Mapping[str, str]) -> MigrationSettings:
    """Raises pydantic's ValidationError, which names every wrong variable."""
    names = {name: f"HH_{name.upper()}" for name in MigrationSettings.model_fields}
    return MigrationSettings.model_validate(
        {name: environment[variable] for name, variable in names.items() if variable in environment}
    )


# --- The migration -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Migrated:
    """Files and logins by name. is_newer: the database had more files than there are here; none was applied."""

    applied: list[str]
    logins: list[str]
    is_newer: bool = False


def bring_up(settings: MigrationSettings, left_s: Callable[[], float]) -> Migrated:
    """Migrations, then logins. left_s: how long it may still take.

    An older version's files find a newer database when a deployment is rolled back: that is no failure, for what a file adds does
    not disturb the version before it. Raises MigrationRefused, LoginsRefused, psycopg.Error, Refusal.
    """
    url, password, is_newer, applied = settings.database_url, _password(settings), False, list[str]()
    try:
        applied = migrate(url, password=password, may_take_s=_some(left_s()))
    except NewerDatabase:
        is_newer = True
    logins = make_logins(url, password=password, may_take_s=_some(left_s()))
    return Migrated(applied, logins, is_newer)


def migrate_handler(event: Mapping[str, Any], context: LambdaContext) -> None:
    """A request about CloudFormation's custom resource. The answer goes where the request says; a deletion touches nothing.

    Its property Writer, where it is given and empty, says that the database is a standby, which gets everything from its primary:
    nothing is touched then either.

    Raises NotAnswered where it could not be given, or the request names no place of AWS's for it: then nothing is done at all.
    """
    facts: dict[str, object] = {"request_id": _request_id(context), "request": _kind(event)}
    place = _place(event)
    if place is None:
        log("error", "no request of CloudFormation's", facts)
        raise NotAnswered("the request names no place for an answer")
    began_s, reason = time.monotonic(), ""
    try:
        if _is_standby(event):
            facts["is_standby"] = True
        elif facts["request"] in {"Create", "Update"}:
            done = bring_up(migration_settings(os.environ), lambda: _left_s(context) - ANSWER_MAY_TAKE_S)
            facts |= {"applied": done.applied, "logins": done.logins, "is_newer": done.is_newer}
        elif facts["request"] != "Delete":
            reason = "the request is of an unknown kind"
    except Exception as error:  # noqa: BLE001 (told by what is known of it; its text may hold what a row or the environment holds)
        reason = _reason(error)
    facts |= {"duration_ms": round(1000.0 * (time.monotonic() - began_s), 1)}
    log("error" if reason else "info", "not migrated" if reason else "migrated", {**facts, "reason": reason})
    _answer(place, event, reason)


def _kind(event: Mapping[str, Any]) -> str:
    found = str(event.get("RequestType"))
    return found if found in {"Create", "Update", "Delete"} else "unknown"


def _is_standby(event: Mapping[str, Any]) -> bool:
    properties = event.get("ResourceProperties")
    return _kind(event) != "unknown" and isinstance(properties, Mapping) and properties.get("Writer") == ""


def _password(settings: MigrationSettings) -> Callable[[], str] | None:
    if not settings.database_iam:
        return None
    from backend_lambda.aws.clients import Clients
    from backend_lambda.aws.database import IamPassword

    return IamPassword(Clients(settings.region), settings.database_url)


def _some(seconds: float) -> float:
    """Raises TimeoutError where nothing is left."""
    if seconds <= 0.0:
        raise TimeoutError
    return seconds


def _reason(error: Exception) -> str:
    """For the operator, without a value."""
    if isinstance(error, MigrationRefused | LoginsRefused | Refusal):
        return str(error)  # our own words: files and roles by name
    if isinstance(error, psycopg.Error):
        return (
            f"the database refuses or does not answer ({type(error).__name__} {error.sqlstate or ''}".rstrip()
            + ")"
        )
    if isinstance(error, ValidationError):
        wrong = {str(one["loc"][0]).upper() for one in error.errors(include_input=False) if one["loc"]}
        return f"the environment is wrong: {', '.join(f'HH_{name}' for name in sorted(wrong))}"
    return f"it failed ({type(error).__name__})"


def _place(event: Mapping[str, Any]) -> SplitResult | None:
    """Where the answer goes: CloudFormation's bucket for answers in this region; on stage local a stand-in's on loopback too.

    None: nowhere else.
    """
    try:
        place = urlsplit(str(event.get("ResponseURL") or ""))
        host, port = place.hostname or "", place.port
    except ValueError:
        return None
    if place.username is not None or place.password is not None:
        return None
    if os.environ.get("HH_STAGE") == "local" and host in _LOOPBACK and place.scheme in {"http", "https"}:
        return place
    return place if place.scheme == "https" and host in _hosts() and port in {None, 443} else None


def _hosts() -> frozenset[str]:
    """CloudFormation writes the bucket's address in one of three ways, by region. Lambda itself says which region this is."""
    region = os.environ.get("AWS_REGION", "")
    if not _REGION.fullmatch(region):
        return frozenset()
    bucket = _BUCKET.format(region.replace("-", ""))
    return frozenset(f"{bucket}.{s3}.amazonaws.com" for s3 in ("s3", f"s3.{region}", f"s3-{region}"))


def _answer(place: SplitResult, event: Mapping[str, Any], reason: str) -> None:
    """reason: of a failure; "" for none. Raises NotAnswered."""
    body = json.dumps(
        {
            "Status": "FAILED" if reason else "SUCCESS",
            "Reason": reason[:_MOST_REASON] or "done",
            "PhysicalResourceId": str(event.get("PhysicalResourceId") or RESOURCE_ID),
            **{name: str(event.get(name) or "") for name in ("StackId", "RequestId", "LogicalResourceId")},
        }
    ).encode()
    told: object = None
    for _ in range(_ANSWER_ATTEMPTS):
        try:
            told = _put(place, body)
        except (OSError, http.client.HTTPException) as error:
            told = type(error).__name__
        if told == http.client.OK:
            return
    log("error", "not answered", {"told": told})
    raise NotAnswered(f"CloudFormation's place for the answer did not take it ({told})")


def _put(place: SplitResult, body: bytes) -> int:
    """The status. No content type: none is in the signature of the address."""
    made: http.client.HTTPConnection
    if place.scheme == "https":
        made = http.client.HTTPSConnection(
            str(place.hostname), place.port, timeout=_ANSWER_TIMEOUT_S, context=ssl.create_default_context()
        )
    else:
        made = http.client.HTTPConnection(str(place.hostname), place.port, timeout=_ANSWER_TIMEOUT_S)
    try:
        made.request("PUT", f"{place.path or '/'}?{place.query}", body, {"Content-Type": ""})
        return made.getresponse().status
    finally:
        made.close()


# --- The audit ---------------------------------------------------------------------------------------


def heads_handler(_: object, context: LambdaContext) -> dict[str, object]:
    """Keeps the audit's heads; to be called every hour. Measures audit_heads_kept: how many there are, so none at all where it failed.

    Raises RuntimeError where it failed.
    """
    request_id = _request_id(context)
    backend = _started(request_id)
    try:
        key, count = backend.audit.keep_heads()
        backend.ports.measures.add("audit_heads_kept", float(count), "Count")
    except Exception as error:  # noqa: BLE001 (told by its kind)
        _failed("heads were not kept", error, request_id)
        raise RuntimeError("heads were not kept") from None
    finally:
        backend.flush()
    log("info", "heads kept", {"request_id": request_id, "key": key, "count": count})
    return {"key": key, "count": count}


def verify_handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, object]:
    """Verifies the audit; to be called every day. event: {"days": 2} compares with the heads kept in two days, {} with all.

    A log line for each flaw. Measures audit_flaws, 0 where all is whole: it is missing where the run did not get through and found
    nothing; audit_verify_unfinished, 1 where the time was too short, else 0. Raises RuntimeError where it failed, ValueError.
    """
    request_id = _request_id(context)
    days = event.get("days")
    if days is not None and (type(days) is not int or days < 1):
        log("error", "days must be a number from 1 on", {"request_id": request_id})
        raise ValueError("days must be a number from 1 on")
    backend = _started(request_id)
    add, flaws = backend.ports.measures.add, _Flaws(request_id)
    is_finished, failed = False, False
    try:
        for finding in backend.audit.verify(days=days, in_time=lambda: _left_s(context) > ENOUGH_S):
            flaws.take(finding)
        is_finished = True
    except OutOfTime:
        log(
            "error",
            "the audit was not verified to its end",
            {"request_id": request_id, "clinics": flaws.clinics},
        )
    except Exception as error:  # noqa: BLE001 (told by its kind)
        failed = True
        _failed("the audit was not verified", error, request_id)
    if is_finished or flaws.count:
        add("audit_flaws", float(flaws.count), "Count")
    if not failed:
        add("audit_verify_unfinished", 0.0 if is_finished else 1.0, "Count")
    backend.flush()
    if failed:
        raise RuntimeError("the audit was not verified")
    facts: dict[str, object] = {"is_finished": is_finished, "flaws": flaws.count, "clinics": flaws.clinics}
    if is_finished:
        log("info", "the audit was verified", {"request_id": request_id, **facts})
    return facts


class _Flaws:
    """Counts them, and tells the first of them as `python -m backend_lambda audit verify` does."""

    def __init__(self, request_id: str) -> None:
        self._request_id = request_id
        self.count = self.clinics = 0

    def take(self, finding: Finding | ObjectFinding) -> None:
        if isinstance(finding, ObjectFinding):
            self._tell(
                {"key": finding.key, "version": finding.version_id, "flaw": str(finding.flaw), "rows": 0}
            )
            return
        self.clinics += 1
        for flaw in finding.flaws:
            self._tell(
                {
                    "clinic": str(finding.clinic_id),
                    "row": flaw.seq,
                    "flaw": str(flaw.kind),
                    "rows": flaw.count,
                }
            )

    def _tell(self, facts: dict[str, object]) -> None:
        self.count += 1
        if self.count <= MOST_TOLD:
            log("error", "the audit has a flaw", {"request_id": self._request_id, **facts})


# --- What they share ---------------------------------------------------------------------------------


def _started(request_id: str) -> app.Backend:
    """Raises RuntimeError where the environment is wrong."""
    try:
        return app.backend()
    except Exception as error:  # noqa: BLE001 (its text may hold what the environment holds)
        log("error", "start failed", {"request_id": request_id, "reason": _reason(error)})
        raise RuntimeError("start failed") from None


def _failed(line: str, error: Exception, request_id: str) -> None:
    code = str(error.code) if isinstance(error, Refusal) else None
    log("error", line, {"request_id": request_id, "kind": type(error).__name__, "code": code})


def _request_id(context: LambdaContext) -> str:
    return str(getattr(context, "aws_request_id", "") or uuid4())


def _left_s(context: LambdaContext) -> float:
    return float(context.get_remaining_time_in_millis()) / 1000.0


def log(level: str, line: str, facts: Mapping[str, object]) -> None:
    (logger.error if level == "error" else logger.info)(line, extra=facts)
