"""Whatever a server answers, it is read or it is one fault, which says nothing of the answer."""

from __future__ import annotations

import json
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client import language
from client.cloud import forms, wire
from client.cloud.forms import Fields, Unfit
from client.cloud.wire import AnswerUnreadable
from tests.client.cloud.golden import ANSWERS, data, example
from tests.client.cloud.mutations import SECRET, changed, spoilt


def all_of(error: BaseException) -> str:
    """What a log or a debugger could see of it, its causes among them."""
    told = "".join(traceback.format_exception(error))
    while error.__context__ is not None:
        error = error.__context__
        told += f"{error!r}{vars(error)}"
    return told


@given(st.sampled_from(sorted(ANSWERS)).flatmap(lambda name: st.tuples(st.just(name), spoilt(example(name)))))
def test_a_spoilt_answer_is_read_or_is_the_one_fault(case: tuple[str, bytes]) -> None:
    name, answer = case
    fault = None
    try:
        read = ANSWERS[name].read(answer)
        assert isinstance(read, ANSWERS[name])
        repr(read).encode()  # no half of a surrogate pair is in it
    except AnswerUnreadable as raised:
        fault = raised
    if fault is not None:
        assert fault.place.split(".")[0] == name
        assert fault.__context__ is None and fault.__cause__ is None


@given(st.sampled_from(sorted(ANSWERS)), st.binary(max_size=200))
def test_any_bytes_are_read_or_are_the_one_fault(name: str, answer: bytes) -> None:
    with pytest.raises(AnswerUnreadable):
        ANSWERS[name].read(answer)


BAD = {
    "nothing": b"",
    "no JSON": b"<html>" + SECRET.encode(),
    "two of them": data("Tokens") * 2,
    "no UTF-8": data("Tokens").replace(b"DPoP", b"DPo\xff"),
    "UTF-16": data("Tokens").decode().encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + data("Tokens"),
    "no object": b"[]",
    "a name twice": data("Tokens").replace(b"{", b'{"expires_in_s": 1,', 1),
    "a name twice, deep down": data("Tokens").replace(b"{", b'{"new": {"a": 1, "a": 1},', 1),
    "NaN": data("Tokens").replace(b"900", b"NaN"),
    "Infinity where nobody looks": data("Tokens").replace(b"{", b'{"new": Infinity,', 1),
    "too large": data("Tokens") + b" " * wire.ANSWER_BYTES,
    "deep": b"[" * 100_000,
    "deep where nobody looks": data("Tokens").replace(
        b"{", b'{"new":' + b"[" * 50_000 + b"]" * 50_000 + b",", 1
    ),
    "deep objects": b'{"a":' * 50_000,
    "a very long integer": data("Tokens").replace(b"900", b"9" * 5000),
    "a long integer": data("Tokens").replace(b"900", b"9" * 20),
    "a fraction": data("Tokens").replace(b"900", b"900.0"),
    "a negative": data("Tokens").replace(b"900", b"-900"),
    "true": data("Tokens").replace(b"900", b"true"),
    "a text": data("Tokens").replace(b"900", b'"900"'),
    "null": data("Tokens").replace(b"900", b"null"),
    "a token of two lines": data("Tokens").replace(b'"eyJ', b'"a\\r\\nX-Evil: eyJ'),
    "a token of no sign": data("Tokens").replace(b'"bmVp', b'"\\ud800bmVp'),
    "a token without an end": data("Tokens").replace(b'"eyJ', b'"' + b"e" * 9000),
    "no moment": data("Tokens").replace(b"2027-02-25", b"2027-02-30"),
    "a moment without a zone": data("Tokens").replace(b":00Z", b":00"),
    "a year that is none": data("Tokens").replace(b"2027-02-25T12:00:00Z", b"9999-12-31T23:59:59-23:59"),
}


@pytest.mark.parametrize("answer", BAD.values(), ids=BAD)
def test_what_cannot_be_read_is_told_without_a_word_of_it(answer: bytes) -> None:
    with pytest.raises(AnswerUnreadable) as caught:
        wire.Tokens.read(answer)
    fault = caught.value
    assert fault.retry and fault.exit_status == 4
    assert fault.title == "The server's answer cannot be read" and fault.remedy.endswith(".")
    told = all_of(fault)
    assert SECRET not in told and "eyJ" not in told and "X-Evil" not in told


def test_the_place_is_ours() -> None:
    with pytest.raises(AnswerUnreadable) as caught:
        wire.Export.read(
            json.dumps(
                changed(example("Export"), ("observations", 0, "values", "heart_rate", "value"), "x", "set")
            ).encode()
        )
    assert caught.value.place == "Export.observations.values.value"


def test_it_is_told_in_the_persons_language() -> None:
    language.use(lambda text: text.replace("The server's answer cannot be read", "No se puede leer"))
    try:
        assert str(AnswerUnreadable("Tokens")).startswith("No se puede leer. ")
    finally:
        language.use(None)


@pytest.mark.parametrize("name", ANSWERS)
def test_what_a_newer_version_adds_is_not_looked_at(name: str) -> None:
    newer = {**example(name), "new": {"of": ["a newer", 2**60, None]}}
    assert ANSWERS[name].read(json.dumps(newer).encode()) == ANSWERS[name].read(data(name))


def _read(name: str, *path: str | int, new: Any) -> Any:
    return ANSWERS[name].read(json.dumps(changed(example(name), path, new, "set")).encode())


def test_what_a_newer_version_calls_by_another_name_is_kept_as_it_is() -> None:
    assert _read("Upload", "state", new="being_translated").state == "being_translated"
    assert _read("Upload", "purpose", new="x_ray").purpose == "x_ray"
    assert _read("Upload", "media_type", new="image/avif").media_type == "image/avif"
    assert _read("BatchResult", "results", 0, "status", new="deferred").results[0].status == "deferred"
    assert _read("Config", "allows", new=["chat", "telepathy"]).allows == ("chat", "telepathy")
    assert _read("Problem", "code", new="full_moon").code == "full_moon"
    page = _read("ObservationPage", "observations", 0, "values", "heart_rate", "reasons", new=["new_reason"])
    kept = page.observations[0].observation
    assert kept.values["heart_rate"].reasons == ("new_reason",)
    assert kept.to_json()["values"]["heart_rate"]["reasons"] == ("new_reason",)


def test_a_known_name_is_the_enums() -> None:
    assert wire.Upload.read(data("Upload")).state == wire.UploadState.READY


def test_an_identifier_is_in_small_letters_as_the_store_has_it() -> None:
    assert _read("Share", "id", new="D5E6F708-192A-4B3C-8D4E-5F6071829306").id == example("Share")["id"]


def test_a_place_that_comes_twice_is_no_answer() -> None:
    with pytest.raises(AnswerUnreadable):
        _read("BatchResult", "results", 1, "at", new=0)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org",
        "https://example.org:8443/a/b;c?d=e%20f&g=[1]#h!",
        "https://[2001:db8::1]/",
        "http://127.0.0.1:5000/x",
        "http://127.8.9.1/",
        "http://[::1]:5000/",
        "http://localhost:5000/?a#@b:80",
    ],
)
def test_an_address_that_may_be_asked(url: str) -> None:
    assert _read("Download", "url", new=url).url == url


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "example.org",
            "//example.org/",
            "/v1/x",
            "https:/example.org",
            "https://",
            "https:///x",
            "HTTPS://example.org",
        ),
        *(
            "http://example.org/",
            "ftp://example.org/",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "data:,x",
        ),
        *(
            "http://localhost.example.org/",
            "http://127.0.0.1.example.org/",
            "http://0.0.0.0/",
            "http://10.0.0.1/",
        ),
        *(
            "http://127.0.0.1@example.org/",
            "http://localhost#@example.org:80@x/",
            "http://127.1/",
            "http://2130706433/",
        ),
        *(
            "https://user@example.org/",
            "https://user:password@example.org/",
            "https://example.org\\@evil.org/",
        ),
        *(
            "https://example.org/ x",
            "https://example.org/\n",
            "https://example.org/\r\nHost: x",
            "https://ex\u0430mple.org/",
        ),
        *(
            "https://example.org:0/",
            "https://example.org:65536/",
            "https://example.org:/",
            "https://example.org:8x/",
        ),
        *(
            "https://[::1",
            "https://[::1]x/",
            "https://example.org/<b>",
            'https://example.org/"',
            "wss://example.org/",
        ),
        "https://example.org/" + "a" * forms.URL_CHARACTERS,
        "https://example.org/\ud800",
    ],
)
@pytest.mark.parametrize("name", ["Download", "Share", "UploadUrl"])
def test_an_address_that_is_not_asked(name: str, url: str) -> None:
    with pytest.raises(AnswerUnreadable):
        _read(name, "url", new=url)


@pytest.mark.parametrize("url", ["wss://example.org:8443/x?y", "ws://127.0.0.1:5000/", "ws://[::1]/"])
def test_a_web_socket_that_may_be_opened(url: str) -> None:
    assert _read("Transcription", "url", new=url).url == url


def test_a_web_socket_with_a_token_and_one_of_a_server_that_knows_none() -> None:
    token = "Bearer " + "a" * 4000
    found = wire.Transcription.read(
        json.dumps(
            {**example("Transcription"), "protocol": "deepgram", "headers": {"Authorization": token}}
        ).encode()
    )
    assert (found.protocol, found.headers) == ("deepgram", {"Authorization": token})
    assert "aaaa" not in repr(found)
    older = {name: example("Transcription")[name] for name in ("url", "expires_at")}
    found = wire.Transcription.read(json.dumps(older).encode())
    assert (found.protocol, found.headers) == ("transcribe", {})


@pytest.mark.parametrize(
    "headers", [{"Authorization": "a\r\nb"}, {"A B": "a"}, {"A": "a" * 4097}, {"A": 1}, [], None]
)
def test_a_web_socket_whose_headers_are_none(headers: object) -> None:
    with pytest.raises(AnswerUnreadable):
        _read("Transcription", "headers", new=headers)


@pytest.mark.parametrize("url", ["ws://example.org/", "https://example.org/", "http://127.0.0.1/"])
def test_a_web_socket_that_is_not_opened(url: str) -> None:
    with pytest.raises(AnswerUnreadable):
        _read("Transcription", "url", new=url)


@pytest.mark.parametrize(
    "headers",
    [
        {"X": "a\r\nb"},
        {"X": "a\nb"},
        {"X Y": "a"},
        {"X:": "a"},
        {"": "a"},
        {"X": ""},
        {"X": "é"},
        {"X": 1},
        [],
    ],
)
def test_a_header_of_an_upload_is_one_line(headers: Any) -> None:
    with pytest.raises(AnswerUnreadable):
        _read("UploadUrl", "headers", new=headers)


@pytest.mark.parametrize(
    "text, moment",
    [
        ("2026-11-27T12:00:00Z", datetime(2026, 11, 27, 12, tzinfo=UTC)),
        ("2026-11-27t12:00:00z", datetime(2026, 11, 27, 12, tzinfo=UTC)),
        ("2026-11-27T12:00:00.123456789+05:30", datetime(2026, 11, 27, 6, 30, 0, 123456, tzinfo=UTC)),
        ("2026-11-27T12:00:00.5-00:00", datetime(2026, 11, 27, 12, 0, 0, 500_000, tzinfo=UTC)),
    ],
)
def test_a_moment_is_in_utc(text: str, moment: datetime) -> None:
    read = _read("Share", "expires_at", new=text).expires_at
    assert read == moment and read.tzinfo is UTC


@given(st.text(max_size=40) | st.from_regex(r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)\Z"))
def test_any_text_is_a_moment_or_does_not_fit(text: str) -> None:
    with suppress(Unfit):
        assert forms.moment(text).tzinfo is UTC


@given(st.recursive(st.none() | st.floats() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_no_form_raises_anything_but_unfit(value: Any) -> None:
    for form in (
        *(
            forms.word,
            forms.label,
            forms.unit,
            forms.identifier,
            forms.flag,
            forms.flag_or_number,
            forms.moment,
        ),
        *(
            forms.web_url,
            forms.stream_url,
            forms.email,
            forms.cursor,
            forms.text(5),
            forms.count(),
            forms.number(),
        ),
        forms.many(forms.word, most=2),
        forms.table(forms.word, forms.flag, most=2),
        forms.inside(wire.Value.of),
        forms.one_of(wire.Purpose),
    ):
        with suppress(Unfit):
            form(value)


def test_a_value_that_contradicts_itself_is_not_read() -> None:
    for path, new in [("low", 62.0), ("low", None), ("value", None), ("high", 1.0)]:
        with pytest.raises(AnswerUnreadable):
            _read("ObservationPage", "observations", 0, "values", "heart_rate", path, new=new)


def test_pages_may_be_larger() -> None:
    one = example("Export")["observations"][0]
    whole = json.dumps({**example("Export"), "observations": [one] * 5000}).encode()
    assert wire.ANSWER_BYTES < len(whole) < wire.Export.most_bytes
    assert len(wire.Export.read(whole).observations) == 5000
    with pytest.raises(AnswerUnreadable):
        wire.Export.read(whole + b" " * wire.PAGE_BYTES)


def test_fields_say_where() -> None:
    with pytest.raises(Unfit, match=r"^a\.b: not an integer of 0 to 3$"):
        Fields({"a": {"b": 4}}).get("a", forms.inside(lambda its: its.get("b", forms.count(3))))
