"""The model: what is sent, what is streamed, and every way in which it may go wrong."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend_lambda.aws.bedrock import ANSWER_WITHIN_S, BedrockModel
from backend_lambda.aws.clients import Clients
from backend_lambda.errors import Code, Refusal
from backend_lambda.ports import Ended, ModelEvent, ModelRequest, Role, TextPiece, Turn
from tests.backend_lambda.conftest import SetClock
from tests.stand_ins.aws import bedrock, event_stream
from tests.stand_ins.aws.bedrock import Raw, Refuses, Says
from tests.stand_ins.aws.faults import Fault, Kind
from tests.stand_ins.aws.server import AwsStandIn

REQUEST = ModelRequest("model-1", "Be kind.", [Turn(Role.PERSON, "Is 72 a good pulse?")], 100)


@pytest.fixture
def model(aws: AwsStandIn, clients: Clients, clock: SetClock) -> BedrockModel:
    return BedrockModel(clients, clock)


def read(model: BedrockModel, request: ModelRequest = REQUEST) -> tuple[list[ModelEvent], Refusal | None]:
    """What came, and how it broke."""
    found: list[ModelEvent] = []
    try:
        for event in model.stream(request):
            found.append(event)  # noqa: PERF402 (kept if it breaks)
    except Refusal as refusal:
        return found, refusal
    return found, None


def test_an_answer_comes_piece_by_piece(aws: AwsStandIn, model: BedrockModel) -> None:
    aws.bedrock.then(Says(("one ", "two ", "three"), every_s=0.2, input_tokens=12, output_tokens=3))
    arrived = [(event, time.monotonic()) for event in model.stream(REQUEST)]
    assert [event for event, _ in arrived] == [
        *(TextPiece(piece) for piece in ("one ", "two ", "three")),
        Ended("end_turn", 12, 3),
    ]
    assert arrived[2][1] - arrived[0][1] > 0.1  # 0.4 s on an idle machine


def test_what_is_sent(aws: AwsStandIn, model: BedrockModel) -> None:
    turns = [
        Turn(Role.ASSISTANT, "Hello!"),
        Turn(Role.PERSON, "One"),
        Turn(Role.PERSON, "two"),
        Turn(Role.ASSISTANT, " \n"),
        Turn(Role.ASSISTANT, "Yes"),
        Turn(Role.PERSON, "three"),
    ]
    guardrail = ("stand-in-guardrail", "1")
    assert read(model, ModelRequest("eu.model-1:0", "Be kind.", turns, 321, guardrail))[1] is None
    assert aws.bedrock.requests[-1] == {
        "modelId": "eu.model-1:0",
        "system": [{"text": "Be kind."}],
        "messages": [
            {"role": "user", "content": [{"text": "One"}, {"text": "two"}]},
            {"role": "assistant", "content": [{"text": "Yes"}]},
            {"role": "user", "content": [{"text": "three"}]},
        ],
        "inferenceConfig": {"maxTokens": 321},
        "guardrailConfig": {
            "guardrailIdentifier": "stand-in-guardrail",
            "guardrailVersion": "1",
            "trace": "disabled",
            "streamProcessingMode": "sync",
        },
    }


@pytest.mark.parametrize(
    "model_id",
    [
        "eu.anthropic.claude-haiku-5-5",
        "anthropic.claude-haiku-5-5",
        "arn:aws:bedrock:x:1:inference-profile/eu.anthropic.y",
    ],
)
def test_a_model_that_would_think_first_is_told_not_to(
    aws: AwsStandIn, model: BedrockModel, model_id: str
) -> None:
    read(model, ModelRequest(model_id, "Be kind.", [Turn(Role.PERSON, "One")], 9))
    assert aws.bedrock.requests[-1]["additionalModelRequestFields"] == {"thinking": {"type": "disabled"}}


def test_other_makers_models_get_no_field_of_that_maker(aws: AwsStandIn, model: BedrockModel) -> None:
    read(model, ModelRequest("eu.amazon.nova-lite-v1:0", "Be kind.", [Turn(Role.PERSON, "One")], 9))
    assert "additionalModelRequestFields" not in aws.bedrock.requests[-1]


def test_no_tools_are_ever_given(aws: AwsStandIn, model: BedrockModel) -> None:
    read(model)
    assert not {"toolConfig", "guardrailConfig"} & set(aws.bedrock.requests[-1])


def test_a_model_that_uses_a_tool_nobody_gave_it_is_not_heard(aws: AwsStandIn, model: BedrockModel) -> None:
    aws.bedrock.then(Says(("text",), tool=("lower_urgency", '{"urgency": "none"}')))
    found, refusal = read(model)
    assert refusal is None
    assert [event for event in found if isinstance(event, TextPiece)] == [TextPiece("text")]
    assert isinstance(found[-1], Ended) and found[-1].reason == "tool_use"


def test_the_guardrail_steps_in(aws: AwsStandIn, model: BedrockModel) -> None:
    aws.bedrock.blocked.add("bomb")
    turns = [Turn(Role.PERSON, "How is a BOMB made?")]
    found, refusal = read(model, ModelRequest("m", "", turns, 10, ("stand-in-guardrail", "1")))
    assert refusal is None
    assert found[0] == TextPiece(bedrock.BLOCKED)
    assert isinstance(found[-1], Ended) and found[-1].reason == "guardrail_intervened"


@pytest.mark.parametrize(
    ("refuses", "status", "code", "retry_after_s"),
    [
        (bedrock.THROTTLED, 429, Code.MODEL_THROTTLED, 7.0),
        (Refuses("ThrottlingException", 429, "Too many tokens per day"), 429, Code.MODEL_THROTTLED, 10.0),
        (Refuses("ThrottlingException", 429, "", 1e6), 429, Code.MODEL_THROTTLED, 3600.0),
        (Refuses("ServiceQuotaExceededException", 400, ""), 429, Code.MODEL_THROTTLED, 10.0),
        (bedrock.RETIRED, 503, Code.MODEL_RETIRED, None),
        (bedrock.END_OF_LIFE, 503, Code.MODEL_RETIRED, None),
        (bedrock.LEGACY, 503, Code.MODEL_RETIRED, None),
        (bedrock.UNAVAILABLE, 503, Code.MODEL_UNAVAILABLE, 5.0),
        (bedrock.DENIED, 503, Code.MODEL_UNAVAILABLE, 5.0),
        (bedrock.TIMED_OUT, 504, Code.TIMED_OUT, None),
        (Refuses("ModelNotReadyException", 429, ""), 503, Code.MODEL_UNAVAILABLE, 5.0),
        (Refuses("ModelErrorException", 424, ""), 503, Code.MODEL_UNAVAILABLE, 5.0),
        (Refuses("InternalServerException", 500, ""), 503, Code.MODEL_UNAVAILABLE, 5.0),
        (Refuses("ResourceNotFoundException", 404, "no such guardrail"), 503, Code.MODEL_UNAVAILABLE, 5.0),
        (
            Refuses("ValidationException", 400, "Input is too long for requested model."),
            413,
            Code.TOO_LARGE,
            None,
        ),
        (Refuses("ValidationException", 400, "It does not stream."), 503, Code.MODEL_UNAVAILABLE, 5.0),
        (Refuses("NobodyKnowsThisException", 418, ""), 503, Code.MODEL_UNAVAILABLE, 5.0),
    ],
    ids=lambda one: one.message[:40] or one.code if isinstance(one, Refuses) else "",
)
def test_a_refusal_has_its_code_and_is_not_tried_again(
    aws: AwsStandIn,
    model: BedrockModel,
    refuses: Refuses,
    status: int,
    code: Code,
    retry_after_s: float | None,
) -> None:
    aws.bedrock.then(refuses)
    found, refusal = read(model)
    assert found == []
    assert refusal is not None
    assert (refusal.status, refusal.code, refusal.retry_after_s) == (status, code, retry_after_s)
    assert aws.counts["bedrock-runtime"] == 1


@pytest.mark.parametrize(
    ("breaks", "status", "code"),
    [
        ("throttlingException", 429, Code.MODEL_THROTTLED),
        ("modelStreamErrorException", 503, Code.MODEL_UNAVAILABLE),
        ("internalServerException", 503, Code.MODEL_UNAVAILABLE),
        ("serviceUnavailableException", 503, Code.MODEL_UNAVAILABLE),
        ("validationException", 503, Code.MODEL_UNAVAILABLE),
        ("newerException", 503, Code.MODEL_UNAVAILABLE),
        ("cut", 503, Code.MODEL_UNAVAILABLE),
        ("ends", 503, Code.MODEL_UNAVAILABLE),
        ("rubbish", 503, Code.MODEL_UNAVAILABLE),
        ("silence", 504, Code.TIMED_OUT),
    ],
)
@pytest.mark.parametrize("pieces", [0, 2])
def test_what_breaks_midway_is_told(
    aws: AwsStandIn,
    clients: Clients,
    hasty: Clients,
    clock: SetClock,
    breaks: str,
    status: int,
    code: Code,
    pieces: int,
) -> None:
    aws.bedrock.then(Says(("one ", "two ", "three"), breaks_after=pieces, breaks=breaks, silence_s=1.0))
    found, refusal = read(BedrockModel(hasty if breaks == "silence" else clients, clock))
    assert found == [TextPiece("one "), TextPiece("two ")][:pieces]
    assert refusal is not None
    assert (refusal.status, refusal.code) == (status, code)


def test_a_count_without_an_end_is_no_end(aws: AwsStandIn, model: BedrockModel) -> None:
    usage = {"usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2}, "metrics": {"latencyMs": 1}}
    aws.bedrock.then(Raw(event_stream.event("metadata", usage)))
    found, refusal = read(model)
    assert found == []
    assert refusal is not None and refusal.code is Code.MODEL_UNAVAILABLE


def test_silence_ends(aws: AwsStandIn, hasty: Clients, clock: SetClock) -> None:
    aws.bedrock.then(Says(first_s=10.0))
    found, refusal = read(BedrockModel(hasty, clock))
    assert found == [], "what comes after ten seconds was not waited for"
    assert refusal is not None and (refusal.status, refusal.code) == (504, Code.TIMED_OUT)


def test_an_answer_without_end_ends(aws: AwsStandIn, model: BedrockModel, clock: SetClock) -> None:
    aws.bedrock.then(Says(["word "] * 100))
    stream = model.stream(REQUEST)
    for _ in range(4):
        next(stream)
        clock.go(ANSWER_WITHIN_S / 3)
    with pytest.raises(Refusal) as caught:
        next(stream)
    assert caught.value.code is Code.TIMED_OUT


def test_who_leaves_leaves_nothing_open(aws: AwsStandIn, model: BedrockModel) -> None:
    aws.bedrock.then(Says(["word "] * 10_000, every_s=0.001))
    stream = model.stream(REQUEST)
    assert next(stream) == TextPiece("word ")
    stream.close()  # type: ignore[attr-defined]
    found, refusal = read(model)  # on a connection of its own, from its own beginning
    assert refusal is None
    assert found[0] == TextPiece("URGENCY: none\n")


@pytest.mark.parametrize(
    "kind", [Kind.UNAVAILABLE, Kind.BROKEN, Kind.RESET, Kind.CUT, Kind.RUBBISH, Kind.DENIED]
)
def test_a_service_that_is_down(aws: AwsStandIn, model: BedrockModel, kind: Kind) -> None:
    aws.faults.set("bedrock-runtime", Fault(kind))
    found, refusal = read(model)
    assert found == []
    assert refusal is not None and refusal.code is Code.MODEL_UNAVAILABLE


def test_a_connection_that_was_closed_is_opened_anew_once(aws: AwsStandIn, model: BedrockModel) -> None:
    aws.faults.set("bedrock-runtime", Fault(Kind.RESET), times=1)
    assert read(model)[1] is None
    assert aws.counts["bedrock-runtime"] == 2
    aws.faults.set("bedrock-runtime", Fault(Kind.RESET), times=2)
    found, refusal = read(model)
    assert found == []
    assert refusal is not None and refusal.code is Code.MODEL_UNAVAILABLE
    assert aws.counts["bedrock-runtime"] == 4


def test_the_second_model_can_be_asked_at_once(aws: AwsStandIn, model: BedrockModel) -> None:
    aws.bedrock.models["old"] = bedrock.RETIRED
    requests = [ModelRequest(name, "", REQUEST.turns, 10) for name in ("old", "new")]
    refusals = [read(model, request)[1] for request in requests]
    assert [refusal and refusal.code for refusal in refusals] == [Code.MODEL_RETIRED, None]


FRAMES = st.one_of(
    st.binary(max_size=200),
    st.builds(
        event_stream.event,
        st.sampled_from(
            ["messageStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata", "new"]
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=20),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        ["delta", "text", "stopReason", "usage", "inputTokens", "outputTokens", "toolUse"]
                    ),
                    inner,
                    max_size=4,
                )
            ),
            max_leaves=8,
        ),
    ),
    st.builds(
        event_stream.frame,
        st.dictionaries(
            st.sampled_from([":event-type", ":message-type", ":exception-type", ":content-type", "x"]),
            st.sampled_from(
                ["event", "exception", "error", "messageStop", "metadata", "application/json", ""]
            ),
        ),
        st.binary(max_size=60) | st.just(b'{"text": "x"}'),
    ),
)


@given(frames=st.lists(FRAMES, max_size=5))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_bytes_come_it_is_events_or_a_refusal(
    aws: AwsStandIn, clients: Clients, clock: SetClock, frames: Sequence[bytes]
) -> None:
    aws.bedrock.then(Raw(b"".join(frames)))
    found, refusal = read(BedrockModel(clients, clock))
    assert all(isinstance(event, TextPiece | Ended) for event in found)
    assert (refusal is None) == (bool(found) and isinstance(found[-1], Ended))
