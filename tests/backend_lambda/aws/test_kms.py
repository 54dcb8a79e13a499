"""Signing of access tokens: what KMS gives must be what JWS wants."""

from __future__ import annotations

import base64
import hashlib
import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from backend_lambda.aws.clients import Clients
from backend_lambda.aws.kms import KmsSigner
from backend_lambda.errors import Code, Refusal
from tests.backend_lambda.aws.conftest import KEY
from tests.stand_ins.aws.server import AwsStandIn


@pytest.fixture
def signer(aws: AwsStandIn, clients: Clients) -> KmsSigner:
    return KmsSigner(clients, KEY)


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def test_others_can_verify_what_is_signed(signer: KmsSigner) -> None:
    another = ec.generate_private_key(ec.SECP256R1()).public_key()
    for number in range(40):  # r or s begins with zeros in one of 128
        head = base64url(json.dumps({"alg": "ES256", "kid": signer.key_id()}).encode())
        body = base64url(json.dumps({"sub": "device", "n": number}).encode())
        signature = signer.sign(f"{head}.{body}".encode())
        assert len(signature) == 64
        token = f"{head}.{body}.{base64url(signature)}"
        assert jwt.decode(token, signer.public_key_pem(), algorithms=["ES256"])["n"] == number
        with pytest.raises(jwt.InvalidSignatureError):
            jwt.decode(token, another, algorithms=["ES256"])


def test_a_small_r_keeps_its_zeros(
    aws: AwsStandIn, signer: KmsSigner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend_lambda.aws.kms.decode_dss_signature", lambda _: (1, 2**255))
    assert signer.sign(b"x") == bytes(31) + b"\x01" + b"\x80" + bytes(31)


def test_the_key_is_named_by_its_thumbprint(aws: AwsStandIn, signer: KmsSigner) -> None:
    numbers = aws.kms.keys[KEY].public_key().public_numbers()
    x, y = (base64url(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
    canonical = f'{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}'
    assert signer.key_id() == base64url(hashlib.sha256(canonical.encode()).digest())


def test_the_public_key_is_fetched_once(aws: AwsStandIn, signer: KmsSigner) -> None:
    assert len({signer.key_id() for _ in range(3)}) == 1
    assert len({signer.public_key_pem() for _ in range(3)}) == 1
    assert aws.counts["kms"] == 1


def test_a_key_of_another_kind_is_a_mistake(aws: AwsStandIn, clients: Clients) -> None:
    aws.kms.keys["alias/other"] = ec.generate_private_key(ec.SECP384R1())
    with pytest.raises(Refusal) as caught:
        KmsSigner(clients, "alias/other").key_id()
    assert (caught.value.status, caught.value.code) == (500, Code.INTERNAL)


def test_a_key_that_is_disabled_or_missing(aws: AwsStandIn, clients: Clients, signer: KmsSigner) -> None:
    aws.kms.disabled.add(KEY)
    try:
        for one in (signer, KmsSigner(clients, "alias/missing")):
            with pytest.raises(Refusal) as caught:
                one.sign(b"x")
            assert caught.value.status == 503
    finally:
        aws.kms.disabled.clear()


def test_a_message_that_is_too_long_is_our_mistake(signer: KmsSigner) -> None:
    with pytest.raises(ValueError, match="too long"):
        signer.sign(bytes(4097))
    assert len(signer.sign(bytes(4096))) == 64
