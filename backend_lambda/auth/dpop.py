"""Proofs of possession (RFC 9449): with each request the device signs method, URL, time and the access token's hash."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePublicKey,
    EllipticCurvePublicNumbers,
)

from backend_lambda.auth import jws
from backend_lambda.errors import Code, Refusal

FRESH_S = 60.0
"""A proof's time may differ from ours by this much."""
SKEW_S = 600.0
"""Up to here the device is told that its clock is wrong; it reads ours in the answer's Date and tries again."""
MAX_CHARACTERS = 2_048
_COORDINATE = re.compile(r"[A-Za-z0-9_-]{43}")
_IDENTIFIER = re.compile(r"[A-Za-z0-9._~-]{8,128}")
_MEMBERS = {"kty", "crv", "x", "y"}


@dataclass(frozen=True, slots=True)
class Proof:
    """thumbprint: of the key that signed (RFC 7638). digest: 32 bytes that name this proof: it works once."""

    thumbprint: str
    digest: bytes


def thumbprint(x: str, y: str) -> str:
    """Of a P-256 key."""
    return jws.base64url(
        hashlib.sha256(jws.compact_json({"crv": "P-256", "kty": "EC", "x": x, "y": y})).digest()
    )


def public_key(jwk: Any) -> tuple[EllipticCurvePublicKey, str]:
    """Of a JWK with exactly kty, crv, x and y: the key and its thumbprint. Raises Refusal 401.

    Anything more is refused: a private part has been given away, and other members are not part of the thumbprint.
    """
    if not isinstance(jwk, dict) or set(jwk) != _MEMBERS or (jwk["kty"], jwk["crv"]) != ("EC", "P-256"):
        raise jws.unauthenticated("The proof's key is no bare public P-256 key.")
    x, y = _coordinate(jwk["x"]), _coordinate(jwk["y"])
    try:
        key = EllipticCurvePublicNumbers(x, y, SECP256R1()).public_key()
    except ValueError as error:
        raise jws.unauthenticated("The proof's key is no point of the curve.") from error
    return key, thumbprint(jwk["x"], jwk["y"])


def verify(proof: str, *, method: str, url: str, now: datetime, access_token: str | None = None) -> Proof:
    """Raises Refusal 401: CLOCK_SKEW, else UNAUTHENTICATED. Whether the proof was used before is not seen here.

    url: of the request, without its query. access_token: the one that the request carries.
    """
    header = jws.header_of(proof, MAX_CHARACTERS)
    if header.get("typ") != "dpop+jwt" or header.get("alg") != "ES256":
        raise jws.unauthenticated("The proof is of another kind.")
    key, name = public_key(header.get("jwk"))
    claims = jws.verified_claims(proof, key, "ES256")
    if claims.get("htm") != method or claims.get("htu") != url:
        raise jws.unauthenticated("The proof is for another request.")
    if access_token is not None:
        wanted = jws.base64url(hashlib.sha256(access_token.encode()).digest())
        if claims.get("ath") != wanted:
            raise jws.unauthenticated("The proof is for another token.")
    identifier = claims.get("jti")
    if not isinstance(identifier, str) or not _IDENTIFIER.fullmatch(identifier):
        raise jws.unauthenticated("The proof's identifier is missing or wrong.")
    off_s = abs(jws.seconds(claims, "iat") - now.timestamp())
    if off_s > SKEW_S:
        raise jws.unauthenticated("The proof is not of this time.")
    if off_s > FRESH_S:
        raise Refusal(401, Code.CLOCK_SKEW, "The device's clock is wrong; the answer's Date has the time.")
    return Proof(name, hashlib.sha256(f"{name}.{identifier}".encode()).digest())


def _coordinate(value: Any) -> int:
    if not isinstance(value, str) or not _COORDINATE.fullmatch(value):
        raise jws.unauthenticated("The proof's key has a malformed coordinate.")
    data = base64.urlsafe_b64decode(value + "=")
    if jws.base64url(data) != value:  # the last character has two spare bits: one key would have four names
        raise jws.unauthenticated("The proof's key has a malformed coordinate.")
    return int.from_bytes(data, "big")
