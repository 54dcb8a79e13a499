"""Access tokens: ours pass until they expire; nothing else does."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend_lambda.auth import tokens
from backend_lambda.auth.tokens import AccessTokens
from backend_lambda.errors import Code, Refusal, unavailable
from backend_lambda.principals import Device
from tests.backend_lambda.callers import API, DeviceKey, by_hand
from tests.backend_lambda.fakes import FakeSigner

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
SIGNER = FakeSigner()
DEVICE = Device(uuid4(), uuid4(), DeviceKey().thumbprint)
TOKENS = AccessTokens(SIGNER, API)


def judged(token: str, now: datetime = NOW) -> Device | Code:
    try:
        return TOKENS.verify(token, now)
    except Refusal as refusal:
        return refusal.code if refusal.status == 401 else Code.INTERNAL


def claims_of(token: str) -> dict[str, Any]:
    found: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return found


def test_a_token_says_whose_it_is() -> None:
    issued = TOKENS.issue(DEVICE, NOW)
    assert judged(issued.token) == DEVICE
    assert issued.expires_in_s == 900


def test_another_library_reads_it_the_same() -> None:
    token = TOKENS.issue(DEVICE, NOW).token
    read = jwt.decode(
        token,
        SIGNER.public_key_pem(),
        algorithms=["ES256"],
        audience=API,
        issuer=API,
        options={"verify_exp": False, "verify_iat": False},
    )
    assert read["sub"] == str(DEVICE.id)
    assert read["hh_clinic"] == str(DEVICE.clinic_id)
    assert read["cnf"] == {"jkt": DEVICE.thumbprint}
    assert read["exp"] - read["iat"] == 900
    assert jwt.get_unverified_header(token) == {"alg": "ES256", "kid": "test-key", "typ": "at+jwt"}


def test_each_token_is_another() -> None:
    assert len({claims_of(TOKENS.issue(DEVICE, NOW).token)["jti"] for _ in range(50)}) == 50


def test_it_is_good_for_fifteen_minutes_and_a_little_for_our_clocks() -> None:
    token = TOKENS.issue(DEVICE, NOW).token
    assert judged(token, NOW + timedelta(seconds=900)) == DEVICE
    assert judged(token, NOW + timedelta(seconds=929)) == DEVICE
    assert judged(token, NOW + timedelta(seconds=930)) is Code.TOKEN_EXPIRED
    assert judged(token, NOW - timedelta(seconds=30)) == DEVICE
    assert judged(token, NOW - timedelta(seconds=31)) is Code.UNAUTHENTICATED


def signed(header: dict[str, Any] | None = None, **claims: Any) -> str:
    """By our own key, with other content; None takes a claim away."""
    said = {**claims_of(TOKENS.issue(DEVICE, NOW).token), **claims}
    said = {name: value for name, value in said.items() if value is not None}
    head = {"alg": "ES256", "kid": "test-key", "typ": "at+jwt", **(header or {})}
    return by_hand(json.dumps(head).encode(), json.dumps(said).encode(), SIGNER._key)


def test_signing_by_hand_is_signing() -> None:
    assert judged(signed()) == DEVICE


@pytest.mark.parametrize(
    "token",
    [
        signed(aud="https://other.test"),
        signed(aud=[API]),
        signed(iss="https://other.test"),
        signed(iss=None),
        signed(aud=None),
        signed(sub=None),
        signed(sub="device"),
        signed(sub=5),
        signed(hh_clinic=None),
        signed(hh_clinic="' OR 1=1 --"),
        signed(cnf=None),
        signed(cnf="x"),
        signed(cnf={}),
        signed(exp=None),
        signed(iat=None),
        signed(exp="soon"),
        signed(exp=1e308),
        signed(exp=int(NOW.timestamp()) + 86_400),
        signed({"typ": "JWT"}),
        signed({"typ": "dpop+jwt"}),
        signed({"crit": ["exp"], "exp": 1}),
        signed({"alg": "ES384"}),
        signed({"alg": "none"}),
    ],
    ids=range(23),
)
def test_even_under_our_signature_everything_must_be_right(token: str) -> None:
    assert judged(token) is Code.UNAUTHENTICATED


def test_what_somebody_else_signed_is_refused() -> None:
    head = json.dumps({"alg": "ES256", "kid": "test-key", "typ": "at+jwt"}).encode()
    said = json.dumps(claims_of(TOKENS.issue(DEVICE, NOW).token)).encode()
    none = json.dumps({"alg": "none", "typ": "at+jwt"}).encode()
    secret = json.dumps({"alg": "HS256", "typ": "at+jwt"}).encode()
    for token in (
        by_hand(head, said, DeviceKey().key),
        by_hand(none, said, None),
        by_hand(secret, said, SIGNER.public_key_pem()),
        TOKENS.issue(DEVICE, NOW).token.rpartition(".")[0] + ".",
    ):
        assert judged(token) is Code.UNAUTHENTICATED


@given(st.data())
def test_a_token_that_was_altered_anywhere_is_refused(data: st.DataObject) -> None:
    token = TOKENS.issue(DEVICE, NOW).token
    at = data.draw(st.integers(0, len(token) - 1))
    letter = data.draw(st.characters(codec="ascii").filter(lambda one: one != token[at]))
    assert judged(token[:at] + letter + token[at + 1 :]) is Code.UNAUTHENTICATED


@given(st.text(max_size=300))
def test_whatever_comes_is_refused_and_nothing_else(text: str) -> None:
    assert judged(text) is Code.UNAUTHENTICATED


def test_a_long_token_is_refused_before_it_is_read() -> None:
    assert judged(signed(padding="x" * tokens.MAX_CHARACTERS)) is Code.UNAUTHENTICATED


def test_a_signer_that_does_not_answer_is_no_fault_of_ours() -> None:
    signer = FakeSigner()
    signer.fault = unavailable(Code.STORE_UNAVAILABLE, "KMS does not answer")
    with pytest.raises(Refusal, match="KMS does not answer"):
        AccessTokens(signer, API).issue(DEVICE, NOW)
