"""Signed JSON in compact form (RFC 7515), read with distrust: sizes before parsing, one algorithm, no surprises in the JSON.

All raise Refusal 401 UNAUTHENTICATED, with a title that holds nothing of what was sent.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from typing import Any, Literal, Never

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from backend_lambda.errors import Code, Refusal

Algorithm = Literal["ES256", "RS256"]
Key = EllipticCurvePublicKey | RSAPublicKey
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_PARSER = jwt.PyJWS()


def unauthenticated(title: str) -> Refusal:
    return Refusal(401, Code.UNAUTHENTICATED, title)


def base64url(data: bytes) -> str:
    """Without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def compact_json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def header_of(token: str, at_most: int) -> dict[str, Any]:
    """The header, unverified. at_most: characters of the whole token."""
    if len(token) > at_most or not _COMPACT.fullmatch(token):
        raise unauthenticated("The token is no compact JWS of an allowed size.")
    header = _object(token.split(".", 1)[0])
    if "crit" in header or "b64" in header:
        raise unauthenticated("The token's header asks for an extension.")
    return header


def unverified_claims(token: str) -> dict[str, Any]:
    """Of a token whose header was read; only to find out whose key it has to be."""
    return _object(token.split(".")[1])


def verified_claims(token: str, key: Key, algorithm: Algorithm) -> dict[str, Any]:
    """The claims, after the signature."""
    try:
        payload = _PARSER.decode_complete(token, key, algorithms=[algorithm])["payload"]
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
        raise unauthenticated("The token's signature is not right.") from error
    return _parsed(payload)


def text(claims: dict[str, Any], name: str, at_most: int = 256) -> str:
    """A claim that must be printable text."""
    value = claims.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= at_most or not value.isprintable():
        raise unauthenticated(f"The claim {name} is missing or wrong.")
    return value


def seconds(claims: dict[str, Any], name: str) -> float:
    """A claim that must be a time (seconds since 1970)."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 2**40:
        raise unauthenticated(f"The claim {name} is missing or wrong.")
    return float(value)


def _object(segment: str) -> dict[str, Any]:
    try:
        return _parsed(base64.b64decode(segment + "=" * (-len(segment) % 4), altchars=b"-_", validate=True))
    except ValueError as error:
        raise unauthenticated("A part of the token is no base64url.") from error


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise unauthenticated("A part of the token is no plain JSON.") from error
    if not isinstance(value, dict):
        raise unauthenticated("A part of the token is no JSON object.")
    return value


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Two of one name would be read differently by different readers."""
    listed = list(pairs)
    found = dict(listed)
    if len(found) != len(listed):
        raise ValueError("a name occurs twice")
    return found


def _no_constant(name: str) -> Never:
    raise ValueError(f"{name} is no JSON")
