"""Proofs of possession: the right one passes, and everything else is refused before anything is believed of it."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, generate_private_key
from hypothesis import given
from hypothesis import strategies as st

from backend_lambda.auth import dpop
from backend_lambda.errors import Code, Refusal
from tests.backend_lambda.callers import DeviceKey, b64, by_hand

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
URL = "https://api.test/v1/config"
KEY = DeviceKey()


def judged(proof: str, *, token: str | None = None, method: str = "GET", url: str = URL) -> dpop.Proof | Code:
    try:
        return dpop.verify(proof, method=method, url=url, now=NOW, access_token=token)
    except Refusal as refusal:
        return refusal.code if refusal.status == 401 else Code.INTERNAL


def test_a_right_proof_names_its_key() -> None:
    found = judged(KEY.proof("GET", URL, NOW, token="t"), token="t")
    assert isinstance(found, dpop.Proof)
    assert found.thumbprint == KEY.thumbprint
    assert len(found.digest) == 32


def test_the_thumbprint_is_that_of_rfc_7638_in_form() -> None:
    """Recomputed from the JSON text that the RFC prescribes."""
    text = f'{{"crv":"P-256","kty":"EC","x":"{KEY.jwk["x"]}","y":"{KEY.jwk["y"]}"}}'
    assert dpop.thumbprint(KEY.jwk["x"], KEY.jwk["y"]) == b64(hashlib.sha256(text.encode()).digest())


def test_the_digest_is_the_proofs_own() -> None:
    one = judged(KEY.proof("GET", URL, NOW, claims={"jti": "12345678"}))
    again = judged(KEY.proof("GET", URL, NOW, claims={"jti": "12345678"}))
    other = judged(KEY.proof("GET", URL, NOW, claims={"jti": "12345679"}))
    of_another_key = judged(DeviceKey().proof("GET", URL, NOW, claims={"jti": "12345678"}))
    digests = [found.digest for found in (one, again, other, of_another_key) if isinstance(found, dpop.Proof)]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"header": {"typ": "JWT"}},
        {"header": {"typ": None}},
        {"header": {"jwk": None}},
        {"header": {"jwk": "x"}},
        {"header": {"crit": ["exp"]}},
        {"header": {"b64": False}},
        {"claims": {"htm": "POST"}},
        {"claims": {"htm": "get"}},
        {"claims": {"htu": URL + "/"}},
        {"claims": {"htu": "https://api.test/v1/config?x=1"}},
        {"claims": {"htu": "http://api.test/v1/config"}},
        {"claims": {"htu": "https://other.test/v1/config"}},
        {"claims": {"ath": b64(hashlib.sha256(b"another").digest())}},
        {"claims": {"jti": "short"}},
        {"claims": {"jti": "x" * 129}},
        {"claims": {"jti": "with space"}},
        {"claims": {"jti": 12345678}},
        {"claims": {"iat": "1"}},
        {"claims": {"iat": True}},
        {"claims": {"iat": -1}},
        {"claims": {"iat": 1e300}},
        {"claims": {"iat": None}},
        {"without": ("htm",)},
        {"without": ("htu",)},
        {"without": ("ath",)},
        {"without": ("jti",)},
        {"without": ("iat",)},
    ],
    ids=str,
)
def test_a_proof_with_one_thing_wrong_is_refused(changes: dict[str, Any]) -> None:
    try:
        proof = KEY.proof("GET", URL, NOW, token="t", **changes)
    except jwt.PyJWTError:  # PyJWT does not even sign it
        proof = with_header(KEY, changes["header"])
    assert judged(proof, token="t") is Code.UNAUTHENTICATED


def with_header(key: DeviceKey, header: dict[str, Any]) -> str:
    """Signed by hand, where a library would refuse the header."""
    head = {"typ": "dpop+jwt", "alg": "ES256", "jwk": key.jwk, **header}
    claims = {"jti": "12345678", "htm": "GET", "htu": URL, "iat": int(NOW.timestamp())}
    claims["ath"] = b64(hashlib.sha256(b"t").digest())
    return by_hand(json.dumps(head).encode(), json.dumps(claims).encode(), key.key)


def test_signing_by_hand_is_signing() -> None:
    """Else the test above could pass for the wrong reason."""
    assert isinstance(judged(with_header(KEY, {}), token="t"), dpop.Proof)


@pytest.mark.parametrize(
    "jwk",
    [
        {**KEY.jwk, "d": KEY.jwk["x"]},
        {**KEY.jwk, "kid": "1"},
        {name: KEY.jwk[name] for name in ("kty", "crv", "x")},
        {**KEY.jwk, "crv": "P-384"},
        {**KEY.jwk, "kty": "RSA"},
        {**KEY.jwk, "x": KEY.jwk["y"]},
        {**KEY.jwk, "x": KEY.jwk["x"][:-1]},
        {**KEY.jwk, "x": KEY.jwk["x"] + "A"},
        {**KEY.jwk, "x": 5},
        {**KEY.jwk, "x": "A" * 43, "y": "A" * 43},
        {**KEY.jwk, "x": "_" * 43},
        [],
    ],
    ids=lambda jwk: str(sorted(jwk)) if isinstance(jwk, dict) else "list",
)
def test_only_a_bare_public_p256_key_is_taken(jwk: Any) -> None:
    assert judged(KEY.proof("GET", URL, NOW, header={"jwk": jwk})) is Code.UNAUTHENTICATED


def test_a_key_has_one_name() -> None:
    """The last character of a coordinate has two bits that mean nothing: with others the key would be another thumbprint."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(KEY.jwk["x"][-1])
    twin = KEY.jwk["x"][:-1] + alphabet[last ^ 1]
    assert base64.urlsafe_b64decode(twin + "=") == base64.urlsafe_b64decode(KEY.jwk["x"] + "=")
    assert judged(KEY.proof("GET", URL, NOW, header={"jwk": {**KEY.jwk, "x": twin}})) is Code.UNAUTHENTICATED


def test_no_other_algorithm_is_taken() -> None:
    claims = {"jti": "12345678", "htm": "GET", "htu": URL, "iat": int(NOW.timestamp())}
    head = {"typ": "dpop+jwt", "jwk": KEY.jwk}
    unsigned = jwt.encode(claims, "", algorithm="none", headers=head)
    by_secret = by_hand(
        json.dumps({**head, "alg": "HS256"}).encode(),
        json.dumps(claims).encode(),
        json.dumps(KEY.jwk).encode(),
    )
    by_rsa = jwt.encode(
        claims,
        rsa.generate_private_key(public_exponent=65537, key_size=2048),
        algorithm="RS256",
        headers=head,
    )
    by_p384 = jwt.encode(claims, generate_private_key(SECP384R1()), algorithm="ES384", headers=head)
    for proof in (unsigned, unsigned + "AAAA", by_secret, by_rsa, by_p384):
        assert judged(proof) is Code.UNAUTHENTICATED


def test_another_keys_signature_is_refused() -> None:
    assert judged(DeviceKey().proof("GET", URL, NOW, header={"jwk": KEY.jwk})) is Code.UNAUTHENTICATED


@pytest.mark.parametrize("off_s", [-60, -1, 0, 1, 60])
def test_a_minute_either_way_is_fresh(off_s: int) -> None:
    assert isinstance(judged(KEY.proof("GET", URL, NOW + timedelta(seconds=off_s))), dpop.Proof)


@pytest.mark.parametrize("off_s", [-600, -61, 61, 600])
def test_a_clock_that_is_wrong_by_up_to_ten_minutes_is_told(off_s: int) -> None:
    assert judged(KEY.proof("GET", URL, NOW + timedelta(seconds=off_s))) is Code.CLOCK_SKEW


@pytest.mark.parametrize("off_s", [-86_400, -660, -601, 601, 660])
def test_beyond_ten_minutes_a_proof_is_no_proof(off_s: int) -> None:
    assert judged(KEY.proof("GET", URL, NOW + timedelta(seconds=off_s))) is Code.UNAUTHENTICATED


def test_a_wrong_clock_is_told_only_to_who_holds_the_key() -> None:
    stale = NOW - timedelta(seconds=300)
    assert judged(DeviceKey().proof("GET", URL, stale, header={"jwk": KEY.jwk})) is Code.UNAUTHENTICATED


def test_two_claims_of_one_name_are_refused() -> None:
    head = json.dumps({"typ": "dpop+jwt", "alg": "ES256", "jwk": KEY.jwk})
    claims = f'{{"jti":"12345678","htm":"POST","htm":"GET","htu":"{URL}","iat":{int(NOW.timestamp())}}}'
    assert judged(by_hand(head.encode(), claims.encode(), KEY.key)) is Code.UNAUTHENTICATED


def test_a_long_proof_is_refused_before_it_is_read() -> None:
    assert judged(KEY.proof("GET", URL, NOW, claims={"padding": "x" * 3000})) is Code.UNAUTHENTICATED
    assert judged("A" * 10_000_000) is Code.UNAUTHENTICATED


@given(st.text(max_size=200) | st.from_regex(r"\A[A-Za-z0-9_-]{0,80}(\.[A-Za-z0-9_-]{0,80}){2}\Z"))
def test_whatever_comes_is_refused_and_nothing_else(text: str) -> None:
    assert judged(text) is Code.UNAUTHENTICATED


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@given(json_values, json_values)
def test_whatever_json_comes_is_refused_and_nothing_else(head: Any, claims: Any) -> None:
    parts = [b64(json.dumps(part).encode()) for part in (head, claims)]
    assert judged(".".join([*parts, "AAAA"])) is Code.UNAUTHENTICATED


@given(st.dictionaries(st.sampled_from(["jti", "htm", "htu", "iat", "ath"]), json_values, max_size=5))
def test_whatever_is_signed_is_judged_without_a_fault(claims: dict[str, Any]) -> None:
    try:
        proof = KEY.proof("GET", URL, NOW, claims=claims)
    except (ValueError, TypeError):
        return
    found = judged(proof, token="t")
    assert isinstance(found, dpop.Proof | Code)


def test_deep_json_is_refused() -> None:
    deep = b64(b"[" * 700 + b"]" * 700)
    assert judged(f"{deep}.{deep}.AAAA") is Code.UNAUTHENTICATED
