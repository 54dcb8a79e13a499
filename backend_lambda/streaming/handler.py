"""POST /v1/chat: the function that streams. A generator handler, for the small runtime beside it.

What can be refused is refused with a status before the first byte; what breaks after that is an `error` event.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable, Generator, Mapping
from email.utils import formatdate
from typing import Any
from uuid import uuid4

from pydantic import ValidationError

from backend_lambda.auth import headers
from backend_lambda.auth.gate import Gate
from backend_lambda.errors import Code, Refusal
from backend_lambda.principals import Device
from backend_lambda.services import fields
from backend_lambda.services.chat import Chat
from backend_lambda.streaming.runtime import Context, Prelude
from backend_lambda.streaming.sse import block
from backend_lambda.wire import Chat as Question
from backend_lambda.wire import ChatError, Problem

METHOD, PATH = "POST", "/v1/chat"
MAX_BODY_BYTES = 600_000
Pieces = Generator[Prelude | bytes, None, None]


class ChatFunction:
    """The handler, with its parts given by the composition root.

    log: takes a line of facts that name no person. flush: what has been measured goes out.
    """

    def __init__(
        self,
        gate: Gate,
        chat: Chat,
        log: Callable[[str, Mapping[str, object]], None],
        flush: Callable[[], None],
    ) -> None:
        self._gate, self._chat, self._log, self._flush = gate, chat, log, flush

    def __call__(self, event: dict[str, Any], context: Context) -> Pieces:
        request_id = _request_id(event, context)
        began_s = time.perf_counter()
        facts: dict[str, object] = {"request_id": request_id, "route": PATH, "status": 500}
        try:
            yield from self._answer(event, request_id, facts)
        finally:
            facts["took_ms"] = round(1000.0 * (time.perf_counter() - began_s), 1)
            self._log("request", facts)
            self._flush()

    def _answer(self, event: dict[str, Any], request_id: str, facts: dict[str, object]) -> Pieces:
        try:
            if (event.get("httpMethod"), event.get("path")) != (METHOD, PATH):
                raise Refusal(404, Code.NOT_FOUND, "There is nothing here.")  # noqa: TRY301
            device: Device = self._gate.device(headers.of(event), METHOD, PATH, request_id)
            facts["clinic_id"] = str(device.clinic_id)
            question = Question.model_validate_json(_body(event))
            events = self._chat.stream(device, question, request_id)
            first = next(events)
        except ValidationError as error:
            yield from _refused(
                Refusal(422, Code.INVALID, "The request does not fit the wire format."),
                request_id,
                facts,
                fields.names(one["loc"] for one in error.errors(include_input=False)),
            )
            return
        except Refusal as refusal:
            yield from _refused(refusal, request_id, facts)
            return
        except Exception as error:  # noqa: BLE001 (told to operators by its kind; its text may hold what a person said)
            facts["error"] = type(error).__name__
            yield from _refused(
                Refusal(500, Code.INTERNAL, "Something went wrong on our side."), request_id, facts
            )
            return
        facts["status"] = 200
        yield Prelude(
            200,
            {
                **_always(request_id),
                "Content-Type": "text/event-stream; charset=utf-8",
                "X-Accel-Buffering": "no",
            },
        )
        yield block(first)
        try:
            for one in events:
                yield block(one)
        except Exception as error:  # noqa: BLE001 (as above; the status is sent already)
            facts["error"] = type(error).__name__
            yield block(ChatError(code=str(Code.INTERNAL)))
        finally:
            events.close()


def _refused(
    refusal: Refusal, request_id: str, facts: dict[str, object], wrong: list[str] | None = None
) -> Pieces:
    facts["status"], facts["code"] = refusal.status, str(refusal.code)
    sent = {**_always(request_id), "Content-Type": "application/problem+json"}
    if refusal.retry_after_s is not None:
        sent["Retry-After"] = str(max(1, round(refusal.retry_after_s)))
    if refusal.status == 401:
        sent["WWW-Authenticate"] = 'DPoP algs="ES256"'
    yield Prelude(refusal.status, sent)
    yield (
        Problem.model_validate({**refusal.problem(request_id), "fields": wrong or []})
        .model_dump_json()
        .encode()
    )


def _always(request_id: str) -> dict[str, str]:
    return {
        "X-Request-Id": request_id,
        "Date": formatdate(usegmt=True),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }


def _request_id(event: dict[str, Any], context: Context) -> str:
    found = (event.get("requestContext") or {}).get("requestId") or context.aws_request_id
    return str(found or uuid4())


def _body(event: dict[str, Any]) -> bytes:
    """Raises Refusal 400, 413."""
    body = event.get("body") or ""
    if len(body) > 2 * MAX_BODY_BYTES:
        raise Refusal(413, Code.TOO_LARGE, "The request is too large.")
    try:
        data = base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body.encode()
    except (binascii.Error, UnicodeEncodeError) as error:
        raise Refusal(400, Code.BAD_REQUEST, "The body cannot be read.") from error
    if len(data) > MAX_BODY_BYTES:
        raise Refusal(413, Code.TOO_LARGE, "The request is too large.")
    return bytes(data)
