"""Numbers of staff, and calls to them: what is dialled, what never is, and what is worth another attempt."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend_lambda.aws.calls import ConnectCalls, StaffNumbers, is_number, spoken
from backend_lambda.aws.clients import Clients
from backend_lambda.errors import Code, Refusal
from tests.stand_ins.aws.calls import FLOW, INSTANCE, NUMBER
from tests.stand_ins.aws.faults import Fault, Kind
from tests.stand_ins.aws.server import AwsStandIn

CLINIC, DEVICE = uuid4(), UUID("11111111-2222-4333-8444-5555559a0bcd")
STAFF = "+4915112345678"
EMERGENCY_NUMBERS = (
    "112",
    "911",
    "999",
    "000",
    "+112",
    "+1911",
    "+49112",
    "+44999",
    "+353112",
    "+420112",
    "+1242911",
)
Call = Callable[[Clients], Any]


@pytest.fixture
def numbers(clients: Clients) -> StaffNumbers:
    return StaffNumbers(clients, "production")


@pytest.fixture
def calls(clients: Clients) -> ConnectCalls:
    return ConnectCalls(clients, INSTANCE, FLOW, NUMBER)


def test_a_number_is_the_clinic_s_own(aws: AwsStandIn, clients: Clients, numbers: StaffNumbers) -> None:
    aws.parameters.values[f"/health-helper/production/clinics/{CLINIC}/staff-number"] = f" {STAFF}\n"
    assert numbers.number(CLINIC) == STAFF
    assert numbers.number(uuid4()) is None
    assert StaffNumbers(clients, "dev").number(CLINIC) is None


def test_a_call_rings_and_says_which_device(aws: AwsStandIn, calls: ConnectCalls) -> None:
    contact = calls.call(STAFF, DEVICE, "token")
    [call] = aws.connect.calls
    assert (call.contact, call.to, call.attributes) == (contact, STAFF, {"device": "9 A 0 B C D"})


def test_the_same_token_is_the_same_call(aws: AwsStandIn, calls: ConnectCalls) -> None:
    assert calls.call(STAFF, DEVICE, "token") == calls.call(STAFF, DEVICE, "token")
    assert len(aws.connect.calls) == 1
    calls.call(STAFF, DEVICE, "another")
    assert len(aws.connect.calls) == 2


def test_a_connection_that_breaks_is_tried_again(aws: AwsStandIn, calls: ConnectCalls) -> None:
    aws.faults.set("connect", Fault(Kind.RESET), times=1)
    calls.call(STAFF, DEVICE, "token")
    assert aws.counts["connect"] == 2
    assert len(aws.connect.calls) == 1


@pytest.mark.parametrize(
    "number",
    [
        *EMERGENCY_NUMBERS,
        "",
        "+",
        "15112345678",
        "+0151123456789",
        "+49 151 1234567",
        "+1234567890123456",
        "+49151123٤567",
    ],
)
def test_what_is_no_full_number_is_never_dialled(aws: AwsStandIn, calls: ConnectCalls, number: str) -> None:
    assert not is_number(number)
    with pytest.raises(Refusal) as caught:
        calls.call(number, DEVICE, "token")
    assert (caught.value.status, caught.value.code) == (422, Code.INVALID)
    assert not number or number not in str(caught.value)
    assert aws.counts["connect"] == 0


@given(st.text(max_size=20) | st.from_regex(r"\+?[0-9]{1,18}", fullmatch=True))
def test_a_number_is_a_plus_and_eight_to_fifteen_digits(text: str) -> None:
    digits = text.removeprefix("+")
    is_full = text[:1] == "+" and digits.isascii() and digits.isdecimal() and 8 <= len(digits) <= 15
    assert is_number(text) is (is_full and digits[0] != "0")


@given(st.uuids())
def test_a_device_is_spoken_by_six_characters(device: UUID) -> None:
    said = spoken(device)
    assert said.replace(" ", "").lower() == str(device)[-6:]
    assert len(said) == 11


def test_a_destination_that_is_not_allowed_is_not_tried_again(aws: AwsStandIn, calls: ConnectCalls) -> None:
    with pytest.raises(Refusal) as caught:
        calls.call("+88215112345", DEVICE, "token")
    assert (caught.value.status, caught.value.code) == (403, Code.FORBIDDEN)
    assert "DestinationNotAllowedException" in str(caught.value)
    assert "+882" not in str(caught.value)
    assert aws.counts["connect"] == 1


CALLS: dict[str, tuple[str, Call]] = {
    "number": ("ssm", lambda c: StaffNumbers(c, "production").number(CLINIC)),
    "call": (
        "connect",
        lambda c: ConnectCalls(c, INSTANCE, FLOW, NUMBER).call(STAFF, DEVICE, "canary-token"),
    ),
}


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.DELAYED])
def test_trouble_passes_but_a_refusal_does_not(
    aws: AwsStandIn,
    clients: Clients,
    hasty: Clients,
    caplog: pytest.LogCaptureFixture,
    name: str,
    kind: Kind,
) -> None:
    service, call = CALLS[name]
    caplog.set_level(logging.DEBUG)
    aws.faults.set(service, Fault(kind, seconds=1.0))
    with pytest.raises(Refusal) as caught:
        call(hasty if kind is Kind.SILENT else clients)
    assert caught.value.status == (403 if kind is Kind.DENIED else 503)
    told = "".join(traceback.format_exception(caught.value)[-1:]) + caplog.text
    for secret in (STAFF, str(CLINIC), str(DEVICE), "canary-token"):
        assert secret not in told
    assert caught.value.__context__ is None


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b'{"ContactId": null}', b'{"Parameter": 3}'])
def test_an_answer_that_says_nothing_is_none(
    aws: AwsStandIn, clients: Clients, name: str, body: bytes
) -> None:
    service, call = CALLS[name]
    aws.faults.set(service, Fault(Kind.RUBBISH, body=body))
    with pytest.raises(Refusal) as caught:
        call(clients)
    assert caught.value.status == 503


def test_a_contact_is_logged_only_if_it_looks_like_one(aws: AwsStandIn, calls: ConnectCalls) -> None:
    aws.faults.set("connect", Fault(Kind.RUBBISH, body=b'{"ContactId": "+49151 who?"}'))
    assert calls.call(STAFF, DEVICE, "token") == "unnamed"
