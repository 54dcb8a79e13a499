"""Access tokens: ES256, 15 minutes, bound to the device's key (RFC 9068 in form, RFC 9449 in binding)."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from backend_lambda.auth import jws
from backend_lambda.errors import Code, Refusal
from backend_lambda.ports import Signer
from backend_lambda.principals import Device

LIFETIME_S = 900
LEEWAY_S = 30
"""Between the clocks of our own machines."""
MAX_CHARACTERS = 2_048
_TYPE = "at+jwt"


@dataclass(frozen=True, slots=True)
class Issued:
    """token: to be sent as it is."""

    token: str
    expires_in_s: int


class AccessTokens:
    """Issues and verifies. audience: the API's public URL; it is the issuer too."""

    def __init__(self, signer: Signer, audience: str) -> None:
        self._signer, self._audience = signer, audience

    @cached_property
    def _key(self) -> EllipticCurvePublicKey:
        key = load_pem_public_key(self._signer.public_key_pem())
        if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
            raise TypeError("the signing key is no P-256 key")
        return key

    def issue(self, device: Device, now: datetime) -> Issued:
        """Raises what the signer raises when it does not answer."""
        issued_at = int(now.timestamp())
        header = {"alg": "ES256", "kid": self._signer.key_id(), "typ": _TYPE}
        claims = {
            "iss": self._audience,
            "aud": self._audience,
            "sub": str(device.id),
            "hh_clinic": str(device.clinic_id),
            "cnf": {"jkt": device.thumbprint},
            "iat": issued_at,
            "exp": issued_at + LIFETIME_S,
            "jti": secrets.token_urlsafe(16),
        }
        message = ".".join(jws.base64url(jws.compact_json(part)) for part in (header, claims))
        return Issued(f"{message}.{jws.base64url(self._signer.sign(message.encode()))}", LIFETIME_S)

    def verify(self, token: str, now: datetime) -> Device:
        """Whose token it is. Raises Refusal 401: TOKEN_EXPIRED, else UNAUTHENTICATED.

        Says nothing of who sent it: that takes a proof by the key it is bound to.
        """
        header = jws.header_of(token, MAX_CHARACTERS)
        if header.get("alg") != "ES256" or header.get("typ") != _TYPE:
            raise jws.unauthenticated("The access token is of another kind.")
        claims = jws.verified_claims(token, self._key, "ES256")
        if claims.get("iss") != self._audience or claims.get("aud") != self._audience:
            raise jws.unauthenticated("The access token is for somebody else.")
        device = _device(claims)
        issued_at, expires_at = jws.seconds(claims, "iat"), jws.seconds(claims, "exp")
        now_s = now.astimezone(UTC).timestamp()
        if issued_at > now_s + LEEWAY_S or expires_at - issued_at > LIFETIME_S:
            raise jws.unauthenticated("The access token's times are wrong.")
        if expires_at <= now_s - LEEWAY_S:
            raise Refusal(401, Code.TOKEN_EXPIRED, "The access token has expired.")
        return device


def _device(claims: dict[str, Any]) -> Device:
    bound_to = claims.get("cnf")
    if not isinstance(bound_to, dict):
        raise jws.unauthenticated("The access token is bound to no key.")
    try:
        return Device(
            id=UUID(jws.text(claims, "sub", 36)),
            clinic_id=UUID(jws.text(claims, "hh_clinic", 36)),
            thumbprint=jws.text(bound_to, "jkt", 43),
        )
    except ValueError as error:
        raise jws.unauthenticated("The access token names no device.") from error
