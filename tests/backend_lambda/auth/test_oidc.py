"""People: an issuer that is trusted, its own key and algorithm, our audience, now, and a role."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from backend_lambda.auth.oidc import People
from backend_lambda.errors import Code, Refusal
from backend_lambda.principals import Admin, AdminRole
from tests.backend_lambda.callers import AUDIENCE, Issuer, by_hand
from tests.backend_lambda.fakes import FakeKeySets

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
RSA, EC = Issuer("RS256"), Issuer("ES256", "https://ec.test")
CLINIC = uuid4()
KEYS = FakeKeySets({(one.name, one.key_id): one.pem() for one in (RSA, EC)})
PEOPLE = People(KEYS, (RSA.name, EC.name), AUDIENCE)


def judged(token: str, people: People = PEOPLE, now: datetime = NOW) -> Admin | Code:
    try:
        return people.verify(token, now)
    except Refusal as refusal:
        return refusal.code if refusal.status in {401, 403} else Code.INTERNAL


@pytest.mark.parametrize("issuer", [RSA, EC], ids=["RS256", "ES256"])
@pytest.mark.parametrize("role", list(AdminRole))
def test_a_person_is_who_their_issuer_says(issuer: Issuer, role: AdminRole) -> None:
    found = judged(issuer.token(NOW, role, CLINIC))
    assert found == Admin(f"person-{role}", role, None if role is AdminRole.OPERATOR else CLINIC)


def test_an_audience_may_be_one_of_several() -> None:
    assert isinstance(judged(RSA.token(NOW, "operator", aud=["x", AUDIENCE])), Admin)


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"iss": "https://evil.test"}, Code.UNAUTHENTICATED),
        ({"iss": None}, Code.UNAUTHENTICATED),
        ({"iss": EC.name}, Code.UNAUTHENTICATED),
        ({"aud": "other"}, Code.UNAUTHENTICATED),
        ({"aud": None}, Code.UNAUTHENTICATED),
        ({"aud": ["other"]}, Code.UNAUTHENTICATED),
        ({"exp": None}, Code.UNAUTHENTICATED),
        ({"exp": "never"}, Code.UNAUTHENTICATED),
        ({"exp": int(NOW.timestamp()) - 60}, Code.TOKEN_EXPIRED),
        ({"iat": int(NOW.timestamp()) + 61}, Code.UNAUTHENTICATED),
        ({"nbf": int(NOW.timestamp()) + 61}, Code.UNAUTHENTICATED),
        ({"sub": None}, Code.UNAUTHENTICATED),
        ({"sub": "line\nbreak"}, Code.UNAUTHENTICATED),
        ({"sub": "x" * 256}, Code.UNAUTHENTICATED),
        ({"hh_role": None}, Code.FORBIDDEN),
        ({"hh_role": "root"}, Code.FORBIDDEN),
        ({"hh_role": ["clinic_admin"]}, Code.FORBIDDEN),
        ({"hh_role": {"a": 1}}, Code.FORBIDDEN),
        ({"hh_clinic": None}, Code.FORBIDDEN),
        ({"hh_clinic": "all"}, Code.FORBIDDEN),
        ({"hh_clinic": [str(CLINIC)]}, Code.FORBIDDEN),
    ],
    ids=lambda value: str(value) if isinstance(value, Code) else "-".join(value),
)
def test_a_token_with_one_thing_wrong_is_refused(claims: dict[str, Any], code: Code) -> None:
    assert judged(RSA.token(NOW, "clinic_admin", CLINIC, **claims)) is code


def test_a_minute_between_clocks_is_borne() -> None:
    token = RSA.token(NOW, "operator")
    assert isinstance(judged(token, now=NOW + timedelta(seconds=3659)), Admin)
    assert judged(token, now=NOW + timedelta(seconds=3660)) is Code.TOKEN_EXPIRED
    assert isinstance(judged(token, now=NOW - timedelta(seconds=60)), Admin)


def test_no_token_chooses_its_algorithm() -> None:
    """Above all the issuer's public key as the secret of an HMAC."""
    said = {
        "iss": RSA.name,
        "aud": AUDIENCE,
        "sub": "x",
        "exp": int(NOW.timestamp()) + 60,
        "hh_role": "operator",
    }
    claims = json.dumps(said).encode()

    def head(algorithm: str, key_id: str = RSA.key_id) -> bytes:
        return json.dumps({"alg": algorithm, "kid": key_id}).encode()

    assert isinstance(EC.key, type(generate_private_key(SECP384R1())))
    for token in (
        by_hand(head("HS256"), claims, RSA.pem()),
        by_hand(head("none"), claims, None),
        by_hand(head("NONE"), claims, None),
        by_hand(head("ES256"), claims, EC.key),
        by_hand(head("ES256", EC.key_id), claims, EC.key),
        by_hand(head("RS256"), claims, EC.key),
        by_hand(json.dumps({"kid": RSA.key_id}).encode(), claims, RSA.pem()),
    ):
        assert judged(token) is Code.UNAUTHENTICATED


def test_a_key_that_the_issuer_does_not_have_is_refused() -> None:
    stranger = Issuer("RS256")
    assert judged(stranger.token(NOW, "operator")) is Code.UNAUTHENTICATED
    stranger.key_id = "unknown"
    assert judged(stranger.token(NOW, "operator")) is Code.UNAUTHENTICATED


def test_an_issuer_that_was_not_configured_is_not_asked_for_keys() -> None:
    asked: list[str] = []

    class Asked(FakeKeySets):
        def key_pem(self, issuer: str, key_id: str) -> bytes | None:
            asked.append(issuer)
            return super().key_pem(issuer, key_id)

    people = People(Asked(KEYS.keys), (RSA.name,), AUDIENCE)
    assert judged(EC.token(NOW, "operator"), people) is Code.UNAUTHENTICATED
    assert asked == []


@pytest.mark.parametrize(
    "pem",
    [
        rsa.generate_private_key(public_exponent=65537, key_size=1024)
        .public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        generate_private_key(SECP384R1())
        .public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        Ed25519PrivateKey.generate()
        .public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        b"no key",
    ],
    ids=["RSA of 1024 bits", "P-384", "Ed25519", "none"],
)
def test_a_key_of_another_kind_is_not_used(pem: bytes) -> None:
    people = People(FakeKeySets({(RSA.name, RSA.key_id): pem}), (RSA.name,), AUDIENCE)
    assert judged(RSA.token(NOW, "operator"), people) is Code.UNAUTHENTICATED


def test_a_long_token_is_refused_before_it_is_read() -> None:
    assert judged(RSA.token(NOW, "operator", groups="x" * 8192)) is Code.UNAUTHENTICATED


@given(st.text(max_size=300) | st.from_regex(r"\A[A-Za-z0-9_-]{0,80}(\.[A-Za-z0-9_-]{0,80}){2}\Z"))
def test_whatever_comes_is_refused_and_nothing_else(text: str) -> None:
    assert judged(text) is Code.UNAUTHENTICATED
