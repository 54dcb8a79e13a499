"""The answer of the assistant comes in pieces that end anywhere; what it says is the same."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend_lambda import wire as server
from backend_lambda.streaming.sse import block
from client.cloud import chat
from client.cloud.chat import ChatCitation, ChatDelta, ChatDone, ChatError, ChatEvent, ChatStart, ChatUrgency
from client.cloud.wire import AnswerUnreadable
from tests.client.cloud.golden import EVENTS, example
from tests.client.cloud.mutations import SECRET, spoilt


def as_sent(name: str, **changes: Any) -> bytes:
    """As the server writes it."""
    return block(getattr(server, name).model_validate({**example(name), **changes}))


START, DELTA, DONE = (as_sent(name) for name in ("ChatStart", "ChatDelta", "ChatDone"))
ANSWER = START + b"".join(
    as_sent(name, **changes)
    for name, changes in [
        ("ChatDelta", {"text": "Tu pulso es "}),
        ("ChatUrgency", {}),
        ("ChatDelta", {"text": "normal: نبضك طبيعي \u2028 \U0001f600\n\r [k1]"}),
        ("ChatCitation", {}),
        ("ChatDone", {}),
    ]
)


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """In pieces, also empty ones."""
    ends = [*sorted(min(place, len(data)) for place in places), len(data)]
    return [data[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]


def read(*pieces: bytes) -> list[ChatEvent]:
    return list(chat.events(pieces))


def read_until_fault(pieces: Iterable[bytes]) -> tuple[list[ChatEvent], str | None]:
    found: list[ChatEvent] = []
    place = None
    try:
        found.extend(chat.events(pieces))
    except AnswerUnreadable as fault:
        place = fault.place
    return found, place


def test_an_answer_is_read() -> None:
    start, first, urgency, second, citation, done = read(ANSWER)
    assert isinstance(start, ChatStart) and start.urgency == chat.Urgency.NONE
    assert first == ChatDelta("Tu pulso es ")
    assert urgency == ChatUrgency("urgent")
    assert isinstance(second, ChatDelta) and second.text.endswith("\u2028 \U0001f600\n\r [k1]")
    assert isinstance(citation, ChatCitation) and citation.uri == "https://example.org/heart-rate"
    assert done == ChatDone("end_turn", 812, 96, "urgent")


@given(st.lists(st.integers(0, len(ANSWER)), max_size=40), st.sampled_from([b"\n", b"\r", b"\r\n"]))
def test_it_is_the_same_however_it_is_cut(places: list[int], end: bytes) -> None:
    assert read(*cut(ANSWER.replace(b"\n", end), places)) == read(ANSWER)


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_it_is_the_same_byte_by_byte(end: bytes) -> None:
    data = b"\xef\xbb\xbf" + ANSWER.replace(b"\n", end)
    assert read(*(data[at : at + 1] for at in range(len(data)))) == read(ANSWER)
    assert read(*itertools.chain.from_iterable((data[at : at + 1], b"") for at in range(len(data)))) == read(
        ANSWER
    )


@given(
    st.lists(st.sampled_from(sorted(EVENTS)).flatmap(lambda name: spoilt(example(name))), max_size=4),
    st.lists(st.binary(max_size=20), max_size=4),
    st.lists(st.integers(0, 3000), max_size=10),
    st.randoms(),
)
def test_a_spoilt_answer_is_read_the_same_however_it_is_cut(
    bodies: list[bytes], rubbish: list[bytes], places: list[int], chance: Any
) -> None:
    blocks = [START, DELTA, *(b"event: delta\ndata: " + body + b"\n\n" for body in bodies), *rubbish]
    chance.shuffle(blocks)
    data = b"".join([*blocks, DONE])
    whole = read_until_fault([data])
    assert read_until_fault(cut(data, places)) == whole
    assert whole[1] is None or whole[1].startswith("events")


def test_what_a_line_may_be() -> None:
    """WHATWG HTML §9.2.6: comments, fields without a value, without the space, of no known name; data of several lines."""
    text = START.decode().removeprefix("event: start\ndata: ").strip()
    first, rest = text.split(",", 1)
    data = (
        f": hello\n\n\nretry: 5\nid\nevent:start\n:\ndata:{first},\ndata: {rest}\n\n"
        "event: delta\n\n"  # no data: no event, and its name is forgotten
        "data: {}\n\n"  # without a name
        "event: thinking\ndata: [not even JSON\n\n"  # of a newer version
    ).encode()
    assert read(data + DONE) == [*read(START + DONE)]


def test_after_the_end_nothing_is_read() -> None:
    def pieces() -> Iterator[bytes]:
        yield START + DONE + b"event: delta\ndata: {\n\n"
        raise AssertionError("asked for more")

    assert len(list(chat.events(pieces()))) == 2


def test_an_error_is_an_end() -> None:
    *_, last = read(START + DELTA + as_sent("ChatError"))
    assert last == ChatError("model_throttled", 5.0)
    assert read(START + as_sent("ChatError", code="withheld", retry_after_s=None))[-1] == ChatError(
        "withheld", None
    )


@pytest.mark.parametrize(
    "data, place",
    [
        (b"", "events"),
        (START + DELTA, "events"),  # it just ends
        (START + DONE.rstrip(), "events"),
        (DELTA + DONE, "events.delta"),  # no start
        (START + START + DONE, "events.start"),
        (as_sent("ChatError"), "events.error"),
        (START.replace(b'"event":"start"', b'"event":"done"'), "events.start.event"),
        (START.replace(b'"event":"start",', b""), "events.start.event"),
        (START.replace(b"none", b"n\xffne"), "events.start"),
        (START.replace(b'"none"', b"NaN"), "events.start"),
        (START.replace(b"data: {", b'data: {"urgency":"none",'), "events.start"),
        (START + b"event: done\ndata: " + SECRET.encode() + b"\n\n", "events.done"),
        (START + DONE.replace(b"812", b"8.12"), "events.done.input_tokens"),
        (START + b"event: delta\ndata: " + b"[" * 100_000 + b"\n\n", "events.delta"),
        (START + b"x" * (chat.EVENT_BYTES + 1), "events"),
        (START + b"data: \n" * chat.EVENT_BYTES, "events"),
        (START + b":\n" * chat.STREAM_BYTES, "events"),
    ],
)
def test_what_is_no_answer_is_the_one_fault(data: bytes, place: str) -> None:
    with pytest.raises(AnswerUnreadable) as caught:
        read(data)
    assert caught.value.place == place and SECRET not in f"{caught.value}{caught.value.__context__!r}"


def test_what_is_read_before_the_fault_was_said() -> None:
    found, place = read_until_fault([START + DELTA + b"event: delta\ndata: {\n\n"])
    assert len(found) == 2 and place == "events.delta"


def test_what_the_connection_raises_comes_through() -> None:
    def pieces() -> Iterator[bytes]:
        yield START
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        list(chat.events(pieces()))


@pytest.mark.parametrize(
    "uri, believed",
    [
        ("https://example.org/a", "https://example.org/a"),
        ("upload:C4D5E6F7-0819-4a2b-8c3d-4e5f60718205", "upload:c4d5e6f7-0819-4a2b-8c3d-4e5f60718205"),
        ("", ""),
        ("http://example.org/a", ""),
        ("javascript:alert(1)", ""),
        ("upload:../../etc/passwd", ""),
        ("s3://knowledge/article.json", ""),
    ],
)
def test_a_citation_leads_to_nothing_odd(uri: str, believed: str) -> None:
    _, citation, _ = read(START + as_sent("ChatCitation", uri=uri) + DONE)
    assert isinstance(citation, ChatCitation) and citation.uri == believed


def test_an_urgency_of_a_newer_version_is_kept() -> None:
    start = START.replace(b'"urgency":"none"', b'"urgency":"within_the_hour"')
    assert json.loads(start.split(b"data: ")[1])["urgency"] == "within_the_hour"
    first, _ = read(start + DONE)
    assert isinstance(first, ChatStart) and first.urgency == "within_the_hour"
