"""client.cloud.faults: each has its own code, sentence and remedy, in every language."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from client.cloud import faults, wire
from client.cloud.faults import CloudFault
from client.language import use

MADE: list[CloudFault] = [
    faults.Offline(),
    faults.NameUnknown("api.example.org"),
    faults.ConnectionRefused("api.example.org"),
    faults.ConnectionBroken(),
    faults.Unreachable("api.example.org"),
    faults.TlsFailed(),
    faults.CertificateUntrusted(),
    faults.CertificateWrongHost("api.example.org"),
    faults.CertificateExpired("2026-11-20"),
    faults.AuthoritiesUnreadable(Path("ca.pem")),
    faults.ClockWrong("1999-12-31"),
    faults.CaptivePortal(),
    faults.ProxyRefused(407),
    faults.ProxyUnusable(),
    faults.TimedOut("answer"),
    faults.Closed(),
    faults.ServerBusy(503),
    faults.RateLimited(),
    faults.BudgetSpent(),
    faults.NotEnrolled(),
    faults.DeviceRevoked(),
    faults.SignInLost(),
    faults.CodeMistyped(),
    faults.CodeRefused(),
    faults.EnrolmentUnsure(),
    faults.Refused(422),
    faults.PatientErased(),
    faults.UrlExpired(),
    faults.AnswerUnreadable("Tokens"),
]


def all_kinds(kind: type[CloudFault]) -> Iterator[type[CloudFault]]:
    for one in kind.__subclasses__():
        yield one
        yield from all_kinds(one)


def test_each_kind_has_a_code_and_a_sentence_of_its_own() -> None:
    assert {type(one) for one in MADE} == set(all_kinds(CloudFault))
    assert len({one.code for one in MADE}) == len(MADE) == len({one.title for one in MADE})
    for one in MADE:
        assert one.title and not one.title.endswith(".") and one.remedy.endswith("."), one.code


def test_the_variants_of_a_kind_differ_too() -> None:
    timed_out = [
        faults.TimedOut("connect"),
        faults.TimedOut("send"),
        faults.TimedOut("answer"),
        faults.TimedOut("whole"),
    ]
    proxies = [faults.ProxyRefused(status) for status in (None, 407, 403)]
    for variants in (timed_out, proxies):
        assert len({one.title for one in variants}) == len(variants)
    assert [one.reached for one in timed_out] == [False, True, True, True]
    named = faults.CertificateUntrusted("Our Firm")
    assert named.issuer == "Our Firm" and named.title != faults.CertificateUntrusted().title


@pytest.mark.parametrize("one", MADE, ids=lambda one: one.code)
def test_all_that_is_said_can_be_said_in_another_language(one: CloudFault) -> None:
    kind = type(one)
    given = {
        faults.NameUnknown: ("h",), faults.ConnectionRefused: ("h",), faults.Unreachable: ("h",), faults.CertificateWrongHost: ("h",),
        faults.CertificateExpired: ("d",), faults.ClockWrong: ("d",), faults.ProxyRefused: (407,), faults.TimedOut: ("answer",),
        faults.ServerBusy: (503,), faults.Refused: (422,), faults.AnswerUnreadable: ("p",),
        faults.AuthoritiesUnreadable: (Path("ca.pem"),),
    }.get(kind, ())  # fmt: skip
    use(lambda text: f"*{text}")
    try:
        made = kind(*given)  # type: ignore[call-arg]  # each kind by what it needs
    finally:
        use(None)
    assert made.title.startswith("*") and made.remedy.startswith("*")


def test_an_unreadable_answer_is_one_of_the_wire_too() -> None:
    with pytest.raises(wire.AnswerUnreadable) as caught:
        raise faults.AnswerUnreadable("Tokens.expires_in_s")
    assert caught.value.place == "Tokens.expires_in_s" and caught.value.retry
