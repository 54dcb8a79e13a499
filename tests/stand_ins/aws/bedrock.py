"""Stands in for Amazon Bedrock's runtime (Converse, ConverseStream, ApplyGuardrail) in tests and the local cloud; never shipped.

There is no model in it: it says what a test scripted, in real event-stream frames, in good and in bad ways.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.stand_ins.aws import event_stream, service_models
from tests.stand_ins.aws.exchange import Answer, Cut, Refused
from tests.stand_ins.aws.service_models import Service

BLOCKED = "I cannot answer that."
"""What a guardrail says instead."""
KEPT_REQUESTS = 1000


@dataclass(frozen=True, slots=True)
class Says:
    """An answer. pieces: of its text, as the stream brings them. first_s, every_s: the waits before the first and each next one.

    tool: name and arguments (JSON text) of a tool that is used after the text; it also ends the turn.
    breaks_after: so many pieces, then `breaks`: "cut" (the connection), "silence" (for silence_s, then cut), "rubbish" (bytes
    that are no frame), "ends" (a proper end of the HTTP answer, but no messageStop), or an exception's name in the service's model
    ("throttlingException", "modelStreamErrorException", "serviceUnavailableException" …). None: nothing breaks.
    input_tokens: None counts four characters as one.
    """

    pieces: Sequence[str] = ("URGENCY: none\n", "This is ", "an answer of ", "the stand-in.")
    first_s: float = 0.0
    every_s: float = 0.0
    tool: tuple[str, str] | None = None
    reason: str = "end_turn"
    input_tokens: int | None = None
    output_tokens: int | None = None
    breaks_after: int | None = None
    breaks: str = "cut"
    silence_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Refuses:
    """An error before the stream begins. retry_after_s: sent as Retry-After."""

    code: str
    status: int
    message: str
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Raw:
    """The answer's body, whatever it is, as an event stream."""

    body: bytes


Behaviour = Says | Refuses | Raw
THROTTLED = Refuses("ThrottlingException", 429, "Too many requests, please wait before trying again.", 7.0)
RETIRED = Refuses("ValidationException", 400, "The provided model identifier is invalid.")
END_OF_LIFE = Refuses(
    "ResourceNotFoundException",
    404,
    "This model version has reached the end of its life. Please refer to the AWS documentation for more details.",
)
LEGACY = Refuses(
    "ResourceNotFoundException",
    404,
    "Access denied. This Model is marked by provider as Legacy and you have not been actively using the model in the last 30 days.",
)
UNAVAILABLE = Refuses("ServiceUnavailableException", 503, "Bedrock is unable to process your request.")
TIMED_OUT = Refuses("ModelTimeoutException", 408, "The model took too long.")
DENIED = Refuses(
    "AccessDeniedException", 403, "You don't have access to the model with the specified model ID."
)
NAMED: Mapping[str, Behaviour] = {
    "answer": Says(),
    "throttled": THROTTLED,
    "retired": RETIRED,
    "end_of_life": END_OF_LIFE,
    "unavailable": UNAVAILABLE,
    "timed_out": TIMED_OUT,
    "denied": DENIED,
    "silent": Says(first_s=3600.0),
    "broken": Says(breaks_after=2, breaks="modelStreamErrorException"),
    "throttled_midway": Says(breaks_after=2, breaks="throttlingException"),
    "cut": Says(breaks_after=2),
    "silent_midway": Says(breaks_after=2, breaks="silence"),
    "rubbish": Says(breaks_after=2, breaks="rubbish"),
}
"""For scripts over HTTP."""


class Bedrock:
    """What the next requests get: those queued by `then`, else the model's own, else `always`.

    answers: asked before all of these where it is set; gets the request, returns a behaviour or None.
    requests: the last ones, as parameters by their names in the service's model.
    blocked: words at which the guardrail steps in, in what is asked and in what is answered.
    """

    def __init__(self, stopped: threading.Event) -> None:
        self._stopped = stopped
        self._lock = threading.Lock()
        self._queue: deque[Behaviour] = deque()
        self.always: Behaviour = Says()
        self.models: dict[str, Behaviour] = {}
        self.answers: Callable[[Mapping[str, Any]], Behaviour | None] | None = None
        self.requests: deque[dict[str, Any]] = deque(maxlen=KEPT_REQUESTS)
        self.guardrails: set[tuple[str, str]] = {("stand-in-guardrail", "1"), ("stand-in-guardrail", "DRAFT")}
        self.blocked: set[str] = set()
        self.service = Service(
            "bedrock-runtime",
            {
                "Converse": self._converse,
                "ConverseStream": self._converse_stream,
                "ApplyGuardrail": self._apply_guardrail,
            },
        )

    def then(self, *behaviours: Behaviour) -> None:
        """For the next requests, one each."""
        with self._lock:
            self._queue.extend(behaviours)

    def clear(self) -> None:
        """Back to an ordinary answer."""
        with self._lock:
            self._queue.clear()
            self.always, self.answers = Says(), None
            self.models.clear()
            self.blocked.clear()

    def _behaviour(self, request: dict[str, Any]) -> Says | Raw:
        self.requests.append(request)
        _check(request)
        guardrail = request.get("guardrailConfig") or request.get("guardrailStreamConfig")
        if guardrail is not None:
            self._known(guardrail["guardrailIdentifier"], guardrail["guardrailVersion"])
        scripted = self.answers(request) if self.answers else None
        with self._lock:
            if scripted is None:
                scripted = (
                    self._queue.popleft() if self._queue else self.models.get(request["modelId"], self.always)
                )
        if isinstance(scripted, Refuses):
            wait = scripted.retry_after_s
            headers = [] if wait is None else [("Retry-After", f"{wait:.0f}")]
            raise Refused(scripted.status, scripted.code, scripted.message, headers)
        if guardrail is not None and isinstance(scripted, Says):
            asked = _texts(request["messages"][-1]["content"])
            if self._steps_in(" ".join([*asked, *scripted.pieces])):
                return Says((BLOCKED,), reason="guardrail_intervened")
        return scripted

    def _known(self, identifier: str, version: str) -> None:
        if (identifier, version) not in self.guardrails:
            message = "The guardrail identifier or version provided in the request does not exist."
            raise Refused(400, "ValidationException", message)

    def _steps_in(self, text: str) -> bool:
        return any(word.lower() in text.lower() for word in self.blocked)

    def _converse(self, request: dict[str, Any]) -> dict[str, Any]:
        says = self._behaviour(request)
        if not isinstance(says, Says) or says.breaks_after is not None:
            raise Refused(500, "InternalServerException", "as the test wants it")
        self._stopped.wait(says.first_s + says.every_s * max(0, len(says.pieces) - 1))
        content: list[dict[str, Any]] = [{"text": "".join(says.pieces)}] if says.pieces else []
        if says.tool is not None:
            name, arguments = says.tool
            content.append({"toolUse": {"toolUseId": "tool-1", "name": name, "input": json.loads(arguments)}})
        return {
            "output": {"message": {"role": "assistant", "content": content}},
            "stopReason": _reason(says),
            "usage": _usage(request, says),
            "metrics": {"latencyMs": 1},
        }

    def _converse_stream(self, request: dict[str, Any]) -> Answer:
        says = self._behaviour(request)
        body = iter([says.body]) if isinstance(says, Raw) else self._frames(request, says)
        return Answer(200, [("Content-Type", "application/vnd.amazon.eventstream")], body)

    def _frames(self, request: dict[str, Any], says: Says) -> Iterator[bytes]:
        self._pause(says.first_s)
        yield _event("messageStart", {"role": "assistant"})
        for at, piece in enumerate(says.pieces):
            if at == says.breaks_after:
                yield from self._break(says)
                return
            if at:
                self._pause(says.every_s)
            yield _event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": piece}})
        if says.breaks_after is not None:
            yield from self._break(says)
            return
        yield _event("contentBlockStop", {"contentBlockIndex": 0})
        if says.tool is not None:
            name, arguments = says.tool
            start = {"toolUse": {"toolUseId": "tool-1", "name": name}}
            yield _event("contentBlockStart", {"contentBlockIndex": 1, "start": start})
            for at in range(0, len(arguments), 16):
                delta = {"toolUse": {"input": arguments[at : at + 16]}}
                yield _event("contentBlockDelta", {"contentBlockIndex": 1, "delta": delta})
            yield _event("contentBlockStop", {"contentBlockIndex": 1})
        yield _event("messageStop", {"stopReason": _reason(says)})
        yield _event("metadata", {"usage": _usage(request, says), "metrics": {"latencyMs": 1}})

    def _break(self, says: Says) -> Iterator[bytes]:
        match says.breaks:
            case "ends":
                return
            case "cut":
                raise Cut
            case "silence":
                self._pause(says.silence_s)
                raise Cut
            case "rubbish":
                yield b"\x00\x00\x00\x20this is no frame of an event stream at all"
            case name:
                yield event_stream.exception(name, "as the test wants it")

    def _pause(self, seconds: float) -> None:
        if seconds > 0 and self._stopped.wait(seconds):
            raise Cut

    def _apply_guardrail(self, request: dict[str, Any]) -> dict[str, Any]:
        self._known(request["guardrailIdentifier"], request["guardrailVersion"])
        texts = [part["text"]["text"] for part in request["content"] if "text" in part]
        steps_in = self._steps_in(" ".join(texts))
        units = dict.fromkeys(
            (
                "topicPolicyUnits",
                "contentPolicyUnits",
                "wordPolicyUnits",
                "sensitiveInformationPolicyUnits",
                "sensitiveInformationPolicyFreeUnits",
                "contextualGroundingPolicyUnits",
            ),
            1,
        )
        return {
            "usage": units,
            "action": "GUARDRAIL_INTERVENED" if steps_in else "NONE",
            "outputs": [{"text": BLOCKED}] if steps_in else [],
            "assessments": [],
        }


def _event(kind: str, content: dict[str, Any]) -> bytes:
    stream = service_models.model("bedrock-runtime").operation_model("ConverseStream").output_shape
    service_models.fits(content, stream.members["stream"].members[kind])
    return event_stream.event(kind, content)


def _reason(says: Says) -> str:
    return "tool_use" if says.tool is not None and says.reason == "end_turn" else says.reason


def _texts(content: Sequence[Mapping[str, Any]]) -> list[str]:
    return [str(part["text"]) for part in content if "text" in part]


def _usage(request: Mapping[str, Any], says: Says) -> dict[str, int]:
    asked = [
        _texts(request.get("system", ())),
        *(_texts(one["content"]) for one in request.get("messages", ())),
    ]
    inputs = says.input_tokens
    if inputs is None:
        inputs = sum(len(text) for texts in asked for text in texts) // 4
    outputs = says.output_tokens
    if outputs is None:
        outputs = max(1, sum(map(len, says.pieces)) // 4)
    return {"inputTokens": inputs, "outputTokens": outputs, "totalTokens": inputs + outputs}


def _check(request: Mapping[str, Any]) -> None:
    """What the service checks beyond its model."""

    def invalid(message: str) -> Refused:
        return Refused(400, "ValidationException", message)

    messages = request.get("messages") or []
    if not messages:
        raise invalid("The number of messages must be greater than 0.")
    if messages[0]["role"] != "user":
        raise invalid(
            "A conversation must start with a user message. Try again with a conversation that starts with one."
        )
    for before, after in itertools.pairwise(messages):
        if before["role"] == after["role"]:
            raise invalid("A conversation must alternate between user and assistant roles.")
    if messages[-1]["role"] != "user":
        raise invalid(
            "This model does not support assistant message prefill. The conversation must end with a user message."
        )
    texts = [text for one in messages for text in _texts(one["content"])] + _texts(request.get("system", ()))
    if any(not text.strip() for text in texts):
        raise invalid("The text field in the ContentBlock object is blank.")
    for tool in request.get("toolConfig", {}).get("tools", ()):
        if "toolSpec" in tool and tool["toolSpec"]["inputSchema"]["json"].get("type") != "object":
            raise invalid(
                "The value at toolConfig.tools.0.toolSpec.inputSchema.json.type must be one of: object."
            )
