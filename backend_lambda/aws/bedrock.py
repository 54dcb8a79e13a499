"""A large language model on Amazon Bedrock, streamed (ConverseStream)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from backend_lambda.aws.clients import Clients, Fault, asked, refusal
from backend_lambda.errors import Code, Refusal, unavailable
from backend_lambda.ports import Clock, Ended, ModelEvent, ModelRequest, Role, TextPiece

ANSWER_WITHIN_S = 120.0
"""A model that is still not done then is left."""
THROTTLED_S = 10.0
"""Where the service does not say how long to wait."""
_WHAT = "The model"
_CLOSED = "ConnectionClosedError"
_ROLES = {Role.PERSON: "user", Role.ASSISTANT: "assistant"}
_TOO_LONG = "too long"
_RETIRED = ("model identifier is invalid", "end of its life", "marked by provider as legacy")
_PHRASES = (*_RETIRED, _TOO_LONG)


class BedrockModel:
    """Implements `ports.Model`. A refusal is not tried again: whoever asks has another model, or asks again later."""

    def __init__(self, clients: Clients, clock: Clock) -> None:
        self._clients, self._clock = clients, clock

    def stream(self, request: ModelRequest) -> Iterator[ModelEvent]:
        """An answer without its end (no messageStop, no metadata) is a broken one: MODEL_UNAVAILABLE."""
        began_s = self._clock.now_s()
        parameters = _parameters(request)
        stream = self._begin(parameters)["stream"]
        try:
            yield from self._events(iter(stream), began_s)
        finally:  # also where nobody listens any more: the model stops, and the connection is not used again
            stream.close()

    def _begin(self, parameters: dict[str, Any]) -> Any:
        def call() -> Any:
            return self._clients("bedrock-runtime").converse_stream(**parameters)

        try:
            return asked(call, needs="stream", phrases=_PHRASES)
        except Fault as fault:
            refused = _refusal(fault)
            was_closed = fault.code == _CLOSED
        if (
            was_closed
        ):  # a function that slept may find its connection closed, which says nothing of the model
            return _ask(call)
        raise refused

    def _events(self, events: Iterator[Any], began_s: float) -> Iterator[ModelEvent]:
        reason = ""
        while (event := _ask(lambda: next(events, None))) is not None:
            if self._clock.now_s() - began_s > ANSWER_WITHIN_S:
                raise Refusal(504, Code.TIMED_OUT, "The model took too long to end.")
            match event:
                case {"contentBlockDelta": {"delta": {"text": str(text)}}} if text:
                    yield TextPiece(text)
                case {"messageStop": {"stopReason": stop}}:
                    reason = str(stop)
                case {"metadata": {"usage": {"inputTokens": int(inputs), "outputTokens": int(outputs)}}} if (
                    reason
                ):
                    yield Ended(reason, inputs, outputs)
                    return
                case _:  # what is thought, tools that nobody gave it, or newer than this
                    pass
        raise unavailable(Code.MODEL_UNAVAILABLE, "The model's answer broke off.")


def _parameters(request: ModelRequest) -> dict[str, Any]:
    parameters: dict[str, Any] = {
        "modelId": request.model_id,
        "messages": _messages(request),
        "inferenceConfig": {"maxTokens": request.max_tokens},
    }
    if "anthropic." in request.model_id:
        # newer ones think by default: seconds before the first word, and tokens that nobody reads
        parameters["additionalModelRequestFields"] = {"thinking": {"type": "disabled"}}
    if request.system.strip():
        parameters["system"] = [{"text": request.system}]
    if request.guardrail is not None:
        identifier, version = request.guardrail
        parameters["guardrailConfig"] = {
            "guardrailIdentifier": identifier,
            "guardrailVersion": version,
            "trace": "disabled",
            "streamProcessingMode": "sync",  # nothing is shown before it was looked at
        }
    return parameters


def _messages(request: ModelRequest) -> list[dict[str, Any]]:
    """As Converse wants them: the person first, then in turn; nothing blank."""
    messages: list[dict[str, Any]] = []
    for turn in request.turns:
        if not turn.text.strip():
            continue
        role, part = _ROLES[turn.role], {"text": turn.text}
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"].append(part)
        elif messages or turn.role is Role.PERSON:
            messages.append({"role": role, "content": [part]})
    return messages


def _ask(call: Callable[[], Any]) -> Any:
    try:
        return asked(call, phrases=_PHRASES)
    except Fault as fault:
        refused = _refusal(fault)
    raise refused


_THROTTLED = {"throttlingexception", "servicequotaexceededexception", "toomanyrequestsexception"}


def _refusal(fault: Fault) -> Refusal:
    code = fault.code.lower()  # in mid-stream it begins with a small letter
    if fault.timed_out or code == "modeltimeoutexception":
        return Refusal(504, Code.TIMED_OUT, "The model said nothing for too long.")
    if code in _THROTTLED:
        wait_s = fault.retry_after_s or THROTTLED_S
        return Refusal(429, Code.MODEL_THROTTLED, "The model is asked too often.", retry_after_s=wait_s)
    if fault.phrase in _RETIRED:
        return Refusal(503, Code.MODEL_RETIRED, "The model is there no more; the settings need another one.")
    if fault.phrase == _TOO_LONG and code == "validationexception":
        return Refusal(413, Code.TOO_LARGE, "The question is longer than the model takes.")
    return refusal(fault, Code.MODEL_UNAVAILABLE, _WHAT)
