"""Both sides hold to the same golden JSON: each file is written, read, or somebody else's; and our requests pass the server's models."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend_lambda import errors as server_errors
from backend_lambda import routes
from backend_lambda import wire as server
from backend_lambda.streaming.handler import MAX_BODY_BYTES
from client.cloud import chat, forms, wire
from client.cloud.forms import Fields, Unfit
from tests.client.cloud.golden import (
    ANSWERS,
    EVENTS,
    FOLDER,
    KEY,
    OBSERVATION,
    OF_OTHERS,
    PARTS,
    PIECES,
    QUESTION,
    REQUESTS,
    VALUE,
    data,
    example,
    plain,
)


def test_every_example_is_written_read_or_of_others() -> None:
    ours = set(REQUESTS) | set(PARTS) | set(ANSWERS) | set(PIECES) | set(EVENTS)
    assert {path.stem for path in FOLDER.glob("*.json")} == ours | set(OF_OTHERS)
    assert not ours & set(OF_OTHERS)


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_is_the_golden_one(name: str) -> None:
    body = REQUESTS[name].body()
    assert json.loads(body) == example(name)
    assert list(json.loads(body)) == list(example(name))
    getattr(server, name).model_validate_json(body)


@pytest.mark.parametrize("name", PARTS)
def test_a_part_of_a_request_is_the_golden_one(name: str) -> None:
    written = json.loads(json.dumps(PARTS[name].to_json()))
    assert written == example(name)
    getattr(server, name).model_validate_json(json.dumps(written))


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_read_whole(name: str) -> None:
    assert plain(ANSWERS[name].read(data(name))) == example(name)


@pytest.mark.parametrize("name", [*PIECES, *EVENTS])
def test_a_piece_of_an_answer_is_read_whole(name: str) -> None:
    given_ = example(name)
    read = plain({**PIECES, **EVENTS}[name].of(Fields(given_)))
    assert read == {key: value for key, value in given_.items() if key != "event"}


def test_what_is_sent_comes_back_the_same() -> None:
    assert wire.Observation.of(Fields(json.loads(json.dumps(OBSERVATION.to_json())))) == OBSERVATION


@pytest.mark.parametrize(
    "ours, theirs",
    [
        (wire.Code, server_errors.Code),
        (wire.Feature, server.Feature),
        (wire.ItemStatus, server.ItemStatus),
        (wire.MediaType, server.MediaType),
        (wire.Purpose, server.Purpose),
        (wire.UploadState, server.UploadState),
        (chat.Urgency, server.Urgency),
    ],
)
def test_the_same_words_are_known(ours: Any, theirs: Any) -> None:
    assert {one.name: one.value for one in ours} == {one.name: one.value for one in theirs}


def test_the_same_limits_are_known() -> None:
    assert server.MAX_OBSERVATIONS == wire.MAX_OBSERVATIONS and server.MAX_PAGE == wire.MAX_PAGE
    assert routes.MAX_BODY_BYTES == wire.REQUEST_BYTES
    assert MAX_BODY_BYTES == chat.QUESTION_BYTES


@pytest.mark.parametrize("name", [*PIECES, *ANSWERS, *EVENTS])
def test_what_the_server_may_leave_out_may_be_missing_and_nothing_else(name: str) -> None:
    """A page without its next_cursor is no last page."""
    kind = {**PIECES, **ANSWERS, **EVENTS}[name]
    for field, model in getattr(server, name).model_fields.items():
        gone = {"low", "high"} if field in {"low", "high"} else {field}  # an interval has two ends
        rest = {key: value for key, value in example(name).items() if key not in gone}
        if field == "event":  # asked for by the reader of the stream
            continue
        if model.is_required():
            with pytest.raises(Unfit) as caught:
                kind.of(Fields(rest))
            assert caught.value.place == field
        else:
            read = plain(kind.of(Fields(rest)))
            assert read[field] == json.loads(json.dumps(model.get_default(call_default_factory=True)))


def test_a_refusal_without_what_it_need_not_have_is_read() -> None:
    refusal = server_errors.Refusal(404, server_errors.Code.NOT_FOUND, "There is nothing here.")
    problem = wire.Problem.read(json.dumps(refusal.problem("r")).encode())
    assert problem.code == wire.Code.NOT_FOUND and problem.fields == () and problem.retry_after_s is None


# --- Whatever fits here fits there -------------------------------------------------------------------

_words = st.from_regex(r"\A[a-z][a-z0-9_]{0,63}\Z")
_any_text = st.one_of(
    st.text(max_size=90), st.sampled_from(["²", "µ", "é", "\u0915\u094d", "x\n", "\ud800", "A" * 80])
)
_numbers = st.floats() | st.integers(-(10**3), 10**3)
_ids = st.uuids().map(str)


@st.composite
def values(draw: st.DrawFn) -> wire.Value:
    shown = draw(st.booleans())
    value = draw(st.floats(-1e9, 1e9)) if shown else None
    low, high = (value - 1.0, value + 1.0) if value is not None and draw(st.booleans()) else (None, None)
    return wire.Value(
        value,
        low,
        high,
        draw(st.sampled_from(["/min", "ms", "mmHg", "%", "°C", "kg", ""]) | _any_text),
        draw(st.none() | st.floats(0, 1)),
        tuple(draw(st.lists(_words, min_size=0 if shown else 1, max_size=33))),
        draw(st.none() | st.floats(0, 86_400)),
        draw(st.sampled_from(["matched-filter-viterbi/2", ""]) | _any_text),
    )


observations = st.builds(
    wire.Observation,
    id=_ids,
    patient_id=_ids,
    kind=_words,
    taken_at=st.datetimes(timezones=st.timezones() | st.just(UTC)),
    utc_offset_min=st.integers(-1200, 1200),
    entered=st.booleans(),
    software_version=_any_text,
    values=st.dictionaries(_words, values(), max_size=4),
    quality=st.none()
    | st.builds(
        wire.Quality,
        st.none() | st.floats(),
        st.lists(_words, max_size=3).map(tuple),
        st.none() | _words,
    ),
    facts=st.dictionaries(_words, st.booleans() | _numbers, max_size=3),
)
_turns = st.lists(
    st.builds(chat.ChatTurn, st.sampled_from(chat.Role), st.text(max_size=50)), min_size=1, max_size=21
)
requests = st.one_of(
    st.builds(wire.Enrol, st.text(max_size=70), st.just(KEY), _any_text),
    st.builds(wire.TokenRequest, st.text(max_size=50) | st.just("abc_-"), st.none() | _ids),
    st.builds(wire.ObservationBatch, st.lists(observations, max_size=3).map(tuple)),
    st.builds(
        wire.NewUpload,
        _ids,
        _ids,
        st.sampled_from(wire.Purpose),
        st.sampled_from(wire.MediaType),
        st.integers(-1, 10**8 + 1),
        st.from_regex(r"\A[0-9a-f]{64}\Z") | st.text(),
    ),
    st.builds(
        wire.NewShare,
        _ids,
        _ids,
        st.integers(200, 700_000),
        st.none() | st.emails() | st.text() | st.just("a\u0085b@example.org"),
    ),
    st.builds(
        wire.NewTranscription, st.sampled_from(["en", "en-US", "deu-DE", "e"]), st.integers(7000, 49_000)
    ),
    st.builds(
        wire.NewSynthesis,
        st.text(max_size=1600),
        st.sampled_from(["ar", "ar-AE"]),
        st.none() | _any_text,
        st.integers(40, 210),
    ),
    st.builds(
        wire.Heartbeat,
        _any_text,
        _any_text,
        st.integers(),
        st.integers(0, 10),
        st.none() | st.floats(),
        st.none() | st.floats(),
        st.integers(0, 10),
        st.integers(0, 10),
    ),
    st.builds(
        chat.Chat,
        _ids,
        _ids,
        st.sampled_from(["en", "es-ES", "EN"]),
        _turns.map(tuple),
        st.builds(chat.Triage, st.sampled_from(chat.Urgency), st.none() | _words),
        st.lists(
            st.builds(chat.Evidence, _words, st.datetimes(timezones=st.just(UTC)), values()), max_size=3
        ).map(tuple),
        st.lists(_ids, max_size=6).map(tuple),
        st.none() | st.sampled_from(["18-29", "90+", "١٨-٢٩", "9", "18-29\n"]),
    ),
)


LONG = replace(
    OBSERVATION,
    values={
        f"v{at}": replace(VALUE, reasons=tuple(f"{'r' * 60}_{n:02}" for n in range(32))) for at in range(16)
    },
)
"""All that one observation may hold: 100 of them are more than a request may be."""


@given(requests)
def test_a_request_passes_the_servers_model_or_is_refused_here(request_: wire.Request) -> None:
    try:
        body = request_.body()
    except Unfit:
        return
    model = getattr(server, type(request_).__name__).model_validate_json(body)
    if isinstance(request_, wire.ObservationBatch):
        for item, ours in zip(model.observations, request_.observations, strict=True):
            theirs = server.Observation.model_validate(item)
            assert theirs.taken_at == ours.taken_at
            assert json.loads(theirs.model_dump_json())["values"] == item["values"]


def _spoilt(name: str, **changes: Any) -> Any:
    request: Any = REQUESTS[name]
    return replace(request, **changes)


def _batch(**changes: Any) -> wire.ObservationBatch:
    return wire.ObservationBatch((replace(OBSERVATION, **changes),))


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda: wire.ObservationBatch(()),
        lambda: wire.ObservationBatch((OBSERVATION,) * 101),
        lambda: _batch(patient_id="Jane Roe"),
        lambda: _batch(kind="Jane Roe"),
        lambda: _batch(software_version="Jane\nRoe"),
        lambda: _batch(taken_at=datetime(2026, 1, 1)),  # noqa: DTZ001 (that is the point)
        lambda: _batch(taken_at=datetime.max.replace(tzinfo=timezone(timedelta(hours=-5)))),
        lambda: _batch(facts={"simulated": float("nan")}),
        lambda: _batch(facts={"Jane Roe": True}),
        lambda: _batch(values={f"v{at}": VALUE for at in range(17)}),
        lambda: _batch(values={"heart_rate": replace(VALUE, unit="Jane Roe, 12 Elm St")}),
        lambda: _spoilt("ObservationBatch", observations=(LONG,) * 100),
        lambda: replace(VALUE, value=58.9),
        lambda: replace(VALUE, value=None),
        lambda: replace(VALUE, value=None, low=None, high=None),
        lambda: replace(VALUE, low=None),
        lambda: replace(VALUE, value=float("nan")),
        lambda: _spoilt("Heartbeat", waiting=True),
        lambda: _spoilt("Heartbeat", waiting=1.0),
        lambda: _spoilt("Heartbeat", oldest_waiting_s=-1.0),
        lambda: _spoilt("NewUpload", purpose="other"),
        lambda: _spoilt("NewShare", email="Jane Roe <jane@example.org>"),
        lambda: _spoilt("NewSynthesis", text="\ud800"),
        lambda: _spoilt("Chat", turns=()),
        lambda: _spoilt("Chat", turns=(QUESTION, chat.ChatTurn(chat.Role.ASSISTANT, "Yes."))),
        lambda: _spoilt("Chat", turns=(replace(QUESTION, text="Jane Roe" * 501),)),
    ],
)
def test_what_cannot_be_sent_is_refused_without_a_word_of_it(spoilt: Callable[[], Any]) -> None:
    with pytest.raises(Unfit) as caught:
        spoilt().body()
    assert "Jane" not in str(caught.value)


@pytest.mark.parametrize("sign", ["a", "\u0627", "\u0905", "\u8840", "\U0001f600", "\x01"])
def test_twenty_long_turns_can_be_sent_in_every_script(sign: str) -> None:
    """Escaped, emoji would be more than the server takes."""
    question = REQUESTS["Chat"]
    assert isinstance(question, chat.Chat)
    long = replace(question, turns=(replace(QUESTION, text=sign * 4000),) * 20)
    assert server.Chat.model_validate_json(long.body()).turns[0].text == sign * 4000


def test_a_moment_is_sent_in_utc() -> None:
    zone = datetime.fromisoformat("2026-11-27T12:59:00.250+05:30")
    assert forms.moment_text(zone) == "2026-11-27T07:29:00.250000Z"
    assert forms.moment(forms.moment_text(zone)) == zone
    assert forms.moment("2026-11-27T12:59:00.25+05:30") - zone == timedelta(0)


@pytest.mark.parametrize(
    "text",
    [
        "Linux 6.8",
        "Windows-11-10.0.22631",
        "Jörgs Rechner\n#1 SMP",
        "x" * 200,
        "\ud800",
        "macOS 15.1 (24B83)",
    ],
)
def test_whatever_a_system_is_called_becomes_a_label(text: str) -> None:
    assert forms.label(forms.as_label(text)) == forms.as_label(text)
    assert forms.as_label("Linux 6.8") == "Linux 6.8"


def test_no_secret_is_in_a_repr() -> None:
    """A dataclass shows itself in logs and in failed tests."""
    secrets = {
        "Tokens": ("access_token", "refresh_token"),
        "Enrolled": ("refresh_token",),
        "Share": ("url",),
        "Download": ("url",),
        "UploadUrl": ("url",),
        "Transcription": ("url",),
    }
    for name, hidden in secrets.items():
        shown = repr(ANSWERS[name].read(data(name)))
        assert not any(example(name)[field] in shown for field in hidden)
    for name, typed in {
        "Enrol": "code",
        "TokenRequest": "refresh_token",
        "NewShare": "email",
        "NewSynthesis": "text",
    }.items():
        assert example(name)[typed] not in repr(REQUESTS[name])
    assert QUESTION.text not in repr(REQUESTS["Chat"])


def test_every_field_of_the_servers_answers_is_read() -> None:
    for name, kind in {**ANSWERS, **PIECES, **EVENTS}.items():
        if name == "StoredObservation":  # an Observation and two more
            continue
        assert {field.name for field in fields(kind)} == set(getattr(server, name).model_fields) - {"event"}


def test_nothing_heavy_is_loaded() -> None:
    code = (
        "import client.cloud.chat, sys; print(sorted(set(sys.modules) & {'httpx', 'pydantic', 'numpy', 'keyring',"
        " 'cryptography', 'backend_lambda', 'asyncio', 'client.store'}))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == "[]"
