"""The small runtime against a Runtime API on the loopback address: what a generator yields is on the wire at once."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Generator
from typing import Any

import pytest

from backend_lambda.streaming.runtime import Context, Handler, Prelude, serve
from tests.stand_ins.runtime_api import INVOCATION, Answer, RuntimeApi

PRELUDE = Prelude(200, {"Content-Type": "text/event-stream"})
Pieces = Generator[Prelude | bytes, None, None]


def answered(handler: Handler, *events: dict[str, Any], hang_up_after: int | None = None) -> list[Answer]:
    with RuntimeApi(hang_up_after) as api:
        for number, event in enumerate(events):
            api.invoke(f"request-{number}", event)
        runtime = threading.Thread(target=serve, args=(api.address, handler), kwargs={"at_most": len(events)})
        runtime.start()
        found = [api.answers.get(timeout=10) for _ in events]
        runtime.join(10)
        assert not runtime.is_alive()
        return found


def test_prelude_eight_nuls_and_each_piece_when_it_is_yielded() -> None:
    yielded_s: list[float] = []

    def handler(event: dict[str, object], context: Context) -> Pieces:
        yield PRELUDE
        for word in (b"one ", b"two ", b"", b"three"):
            time.sleep(0.05)
            yielded_s.append(time.monotonic())
            yield word

    [answer] = answered(handler, {})
    head, _, body = answer.body.partition(b"\0" * 8)
    assert json.loads(head) == {"statusCode": 200, "headers": {"Content-Type": "text/event-stream"}}
    assert body == b"one two three"
    assert answer.path == "/2018-06-01/runtime/invocation/request-0/response"
    assert answer.headers["lambda-runtime-function-response-mode"] == "streaming"
    assert answer.headers["content-type"] == "application/vnd.awslambda.http-integration-response"
    assert answer.trailers == {}
    arrived_s = [at_s for at_s, _ in answer.chunks[1:]]
    assert len(arrived_s) == 3  # an empty chunk would end the answer
    assert arrived_s[0] < yielded_s[1]  # the first word was there before the second was made


def test_event_and_context_reach_the_handler_and_one_process_takes_many() -> None:
    def handler(event: dict[str, object], context: Context) -> Pieces:
        yield PRELUDE
        yield f"{event['n']} {context.aws_request_id} {context.deadline_ms > 0}".encode()

    answers = answered(handler, {"n": 1}, {"n": 2})
    assert [answer.body.rpartition(b"\0")[2] for answer in answers] == [
        b"1 request-0 True",
        b"2 request-1 True",
    ]


def test_what_breaks_in_mid_stream_is_told_in_trailers_without_a_word_of_it() -> None:
    def handler(event: dict[str, object], context: Context) -> Pieces:
        yield PRELUDE
        yield b"half"
        raise ValueError("chest pain since Monday")

    [answer] = answered(handler, {})
    assert answer.body.endswith(b"half")
    assert answer.trailers["lambda-runtime-function-error-type"] == "ValueError"
    assert json.loads(base64.b64decode(answer.trailers["lambda-runtime-function-error-body"])) == {
        "errorType": "ValueError"
    }


@pytest.mark.parametrize("first", ["raises", "no prelude", "nothing"])
def test_without_a_prelude_the_invocation_failed_and_the_next_is_taken(first: str) -> None:
    def handler(event: dict[str, object], context: Context) -> Pieces:
        if event["n"] == 1:
            if first == "raises":
                raise ValueError("chest pain since Monday")
            if first == "no prelude":
                yield b"text"
            return
        yield PRELUDE

    failed, good = answered(handler, {"n": 1}, {"n": 2})
    assert failed.path.endswith("/request-0/error")
    assert json.loads(failed.body)["errorType"] in {"ValueError", "TypeError"}
    assert b"chest" not in failed.body
    assert good.path.endswith("/request-1/response")


def test_a_caller_that_is_gone_ends_the_generator() -> None:
    ended = threading.Event()

    def handler(event: dict[str, object], context: Context) -> Pieces:
        try:
            yield PRELUDE
            for _ in range(100_000):
                yield b"x" * 1000
        finally:
            ended.set()

    answered(handler, {}, hang_up_after=3)
    assert ended.wait(10)


def test_the_invocation_is_named_in_an_answer_and_in_an_error() -> None:
    """Else the answer of a run that timed out can be taken for that of another person's."""

    def handler(event: dict[str, object], context: Context) -> Pieces:
        if event["breaks"]:
            raise ValueError("x")
        yield PRELUDE

    well, broken = answered(handler, {"breaks": False}, {"breaks": True})
    assert well.headers["lambda-runtime-invocation-id"] == f"{INVOCATION}-request-0"
    assert broken.path.endswith("/error")
    assert broken.headers["lambda-runtime-invocation-id"] == f"{INVOCATION}-request-1"


def test_a_lambda_that_names_no_invocation_is_sent_none() -> None:
    assert Context("r", 0, "", "", "", "").echo() == {}
