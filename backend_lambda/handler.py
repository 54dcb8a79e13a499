"""The API's function. A log line for each request holds what is listed here and nothing else of the request."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from aws_lambda_powertools import Logger
from pydantic import ValidationError

from backend_lambda import app
from backend_lambda.routes import Answered, internal, place_of

_REQUEST_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
logger = Logger(service="health-helper-api", level="INFO", log_uncaught_exceptions=False)


def lambda_handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """An API Gateway REST proxy event → its answer. Raises nothing."""
    request_id = request_id_of(event, context)
    try:
        backend = app.backend()
    except Exception as error:  # noqa: BLE001 (its text may hold what the environment holds)
        logger.error(  # noqa: TRY400 (as above)
            "start failed", request_id=request_id, kind=place_of(error), wrong=_wrong(error)
        )
        return internal(request_id)
    began_s = backend.ports.clock.now_s()
    answered = backend.api.answer(event, request_id)
    took_ms = 1000.0 * (backend.ports.clock.now_s() - began_s)
    _log(answered, request_id, took_ms)
    measures = backend.ports.measures
    measures.add("requests", 1.0, "Count", answered.clinic_id)
    measures.add("request_duration", took_ms, "Milliseconds", answered.clinic_id)
    if answered.code is not None:
        measures.add(f"refused_{answered.code}", 1.0, "Count", answered.clinic_id)
    if answered.status >= 500:
        measures.add("server_errors", 1.0, "Count")
    backend.flush()
    return answered.response


def request_id_of(event: Mapping[str, Any], context: object) -> str:
    """API Gateway's, never one that a client made up."""
    found = str((event.get("requestContext") or {}).get("requestId") or "")
    if _REQUEST_ID.fullmatch(found):
        return found
    return str(getattr(context, "aws_request_id", "") or uuid4())


def _log(answered: Answered, request_id: str, took_ms: float) -> None:
    facts: dict[str, Any] = {
        "request_id": request_id,
        "route": answered.route,
        "status": answered.status,
        "duration_ms": round(took_ms, 1),
        "code": answered.code,
        "clinic": answered.clinic_id,
    }
    if answered.fault is None:
        logger.info("request", **facts)
    else:
        logger.error("request", **facts, fault=answered.fault)


def _wrong(error: Exception) -> list[str]:
    """The settings that are wrong, by name."""
    if not isinstance(error, ValidationError):
        return []
    return sorted({str(one["loc"][0]) for one in error.errors(include_input=False) if one["loc"]})


if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
    app.backend()  # put together before the snapshot: it opens no connection and keeps no time
