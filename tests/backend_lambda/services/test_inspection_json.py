"""JSON records, honest and hostile."""

from __future__ import annotations

import hashlib
import json

import pytest

from backend_lambda.services.inspection import Finding, Limits, Reason, inspect
from tests.backend_lambda.services.making_files import GOOD, JSON, RECORD, archive, reason


def record(rest: str) -> bytes:
    return f'{{"schema": "health-helper/scan/1", "x": {rest}}}'.encode()


@pytest.mark.parametrize(
    "data",
    [
        RECORD,
        b" \r\n\t" + RECORD + b"\n",
        record('"' + r"\"\\\u0041[[[[{{{{" + '"'),
        record("[" * 30 + "]" * 30),
        record('{"a": 1, "b": {"a": 1}}'),
        record("[" + ", ".join(["1.5"] * 500_000) + "]"),
        record(json.dumps("Herzfrequenz – ночь – 心拍数", ensure_ascii=False)),
        record('"' + "x" * 4_000_000 + '"'),
    ],
)
def test_honest_records_are_taken(data: bytes) -> None:
    assert reason(data, JSON) is None


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (record("[" * 32 + "]" * 32), Reason.TOO_COMPLEX),
        (record("[" * 2_000_000), Reason.TOO_COMPLEX),
        (record('{"a":' * 1_000_000 + "1" + "}" * 1_000_000), Reason.TOO_COMPLEX),
        (record('{"a": 1, "a": 2}'), Reason.DAMAGED),
        (record(r'{"a": 1, "\u0061": 2}'), Reason.DAMAGED),
        (b'{"schema": "health-helper/scan/1", "schema": "other"}', Reason.DAMAGED),
        (record("NaN"), Reason.DAMAGED),
        (record("-Infinity"), Reason.DAMAGED),
        (record("1" * 5_000), Reason.DAMAGED),
        (record('"no end'), Reason.DAMAGED),
        (record('"' + "\\" * 3), Reason.DAMAGED),
        (record("1") + b"1", Reason.DAMAGED),
        (record("1") + record("1"), Reason.DAMAGED),
        (record("]"), Reason.DAMAGED),
        (record('"\x01"'), Reason.DAMAGED),
        (record("1")[:-1] + b', "y": "\xff"}', Reason.DAMAGED),
        (record("1").decode().encode("utf-16"), Reason.NOT_THIS_TYPE),
        (b"\xef\xbb\xbf" + record("1"), Reason.NOT_THIS_TYPE),
        (b"[" + record("1") + b"]", Reason.NOT_THIS_TYPE),
        (b'"health-helper/scan/1"', Reason.NOT_THIS_TYPE),
        (b"{}", Reason.UNKNOWN_SCHEMA),
        (b'{"schema": 1}', Reason.UNKNOWN_SCHEMA),
        (b'{"schema": "other/scan/1"}', Reason.UNKNOWN_SCHEMA),
        (b'{"schema": "health-helper/"}', Reason.UNKNOWN_SCHEMA),
        (b'{"schema": "health-helper/../1"}', Reason.UNKNOWN_SCHEMA),
        (b'{"schema": "health-helper/scan/1\\n"}', Reason.UNKNOWN_SCHEMA),
        (record('"<script>alert(1)</script>"'), Reason.POLYGLOT),
        (RECORD + archive(), Reason.POLYGLOT),
    ],
)
def test_other_records_are_refused(data: bytes, expected: Reason) -> None:
    assert reason(data, JSON) is expected


@pytest.mark.parametrize("sixteenth", range(16))
def test_a_record_that_was_cut_off_is_refused(sixteenth: int) -> None:
    cut = RECORD[: len(RECORD) * sixteenth // 16]
    assert reason(cut, JSON) is (Reason.DAMAGED if cut else Reason.NOT_THIS_TYPE)


def test_the_depth_is_a_limit() -> None:
    assert reason(record("[[]]"), JSON, Limits(json_depth=3)) is None
    assert reason(record("[[]]"), JSON, Limits(json_depth=2)) is Reason.TOO_COMPLEX


@pytest.mark.parametrize("media_type", GOOD)
def test_another_hash_is_not_what_was_declared(media_type: str) -> None:
    wrong = hashlib.sha256(b"something else").hexdigest()
    assert inspect(GOOD[media_type], media_type, wrong) == Finding(Reason.NOT_AS_DECLARED)
