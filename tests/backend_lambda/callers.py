"""Who asks in the tests: a device with its key, a person with their provider's token. Made with PyJWT alone, not with our own code."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

API = "https://api.test"
ISSUER = "https://issuer.test"
AUDIENCE = "health-helper"


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def by_hand(head: bytes, claims: bytes, key: EllipticCurvePrivateKey | bytes | None) -> str:
    """A compact JWS of just these bytes, where a library would refuse to sign. key: ES256, HS256 with these bytes, or unsigned."""
    message = f"{b64(head)}.{b64(claims)}"
    if key is None:
        return f"{message}."
    if isinstance(key, bytes):
        return f"{message}.{b64(hmac.digest(key, message.encode(), 'sha256'))}"
    r, s = decode_dss_signature(key.sign(message.encode(), ECDSA(SHA256())))
    return f"{message}.{b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


class DeviceKey:
    """A P-256 key and what a device does with it."""

    def __init__(self) -> None:
        self.key: EllipticCurvePrivateKey = generate_private_key(SECP256R1())
        numbers = self.key.public_key().public_numbers()
        self.jwk: dict[str, Any] = {
            "kty": "EC",
            "crv": "P-256",
            "x": b64(numbers.x.to_bytes(32, "big")),
            "y": b64(numbers.y.to_bytes(32, "big")),
        }

    @property
    def thumbprint(self) -> str:
        """RFC 7638."""
        members = {name: self.jwk[name] for name in ("crv", "kty", "x", "y")}
        return b64(hashlib.sha256(json.dumps(members, separators=(",", ":")).encode()).digest())

    def proof(
        self,
        method: str,
        url: str,
        now: datetime,
        *,
        token: str | None = None,
        header: Mapping[str, Any] | None = None,
        claims: Mapping[str, Any] | None = None,
        without: tuple[str, ...] = (),
    ) -> str:
        """header, claims: other ones than right; None takes one away, as `without` does with claims."""
        said: dict[str, Any] = {
            "jti": uuid.uuid4().hex,
            "htm": method,
            "htu": url,
            "iat": int(now.timestamp()),
        }
        if token is not None:
            said["ath"] = b64(hashlib.sha256(token.encode()).digest())
        said = {**said, **(claims or {})}
        for name in without:
            said.pop(name, None)
        head = {"typ": "dpop+jwt", "jwk": self.jwk, **(header or {})}
        return jwt.encode(said, self.key, algorithm="ES256", headers=head)

    def headers(
        self, method: str, url: str, now: datetime, token: str | None = None, **more: Any
    ) -> dict[str, str]:
        """What a request carries."""
        sent = {"DPoP": self.proof(method, url, now, token=token, **more)}
        if token is not None:
            sent["Authorization"] = f"DPoP {token}"
        return sent


class Issuer:
    """An OIDC provider. kind: "RS256" or "ES256"."""

    def __init__(self, kind: str = "RS256", name: str = ISSUER) -> None:
        self.kind, self.name, self.key_id = kind, name, f"{kind}-key"
        self.key: rsa.RSAPrivateKey | EllipticCurvePrivateKey = (
            rsa.generate_private_key(public_exponent=65537, key_size=2048)
            if kind == "RS256"
            else generate_private_key(SECP256R1())
        )

    def pem(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def token(
        self, now: datetime, role: str | None, clinic_id: uuid.UUID | str | None = None, **claims: Any
    ) -> str:
        """claims: further or other ones; None takes one away."""
        at = int(now.timestamp())
        said: dict[str, Any] = {
            "iss": self.name,
            "aud": AUDIENCE,
            "sub": f"person-{role}",
            "iat": at,
            "exp": at + 3600,
            "hh_role": role,
            "hh_clinic": None if clinic_id is None else str(clinic_id),
            **claims,
        }
        said = {name: value for name, value in said.items() if value is not None}
        return jwt.encode(said, self.key, algorithm=self.kind, headers={"kid": self.key_id})
