"""People: a token of an OIDC issuer that the deployment trusts (Cognito, or a clinic's own behind it).

Claims besides the usual: `hh_role` (operator, clinic_admin, auditor) and, except for operators, `hh_clinic`.
Every issuer that is configured is believed for every clinic and role: a clinic's own provider belongs behind one (a Cognito
user pool that federates and sets these two claims itself), never beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from backend_lambda.auth import jws
from backend_lambda.errors import Code, Refusal
from backend_lambda.ports import KeySets
from backend_lambda.principals import Admin, AdminRole

MAX_CHARACTERS = 8_192
LEEWAY_S = 60
MIN_RSA_BITS = 2_048


class People:
    """Tells who a token is of."""

    def __init__(self, key_sets: KeySets, issuers: Sequence[str], audience: str) -> None:
        self._key_sets, self._issuers, self._audience = key_sets, frozenset(issuers), audience

    def verify(self, token: str, now: datetime) -> Admin:
        """Raises Refusal 401: TOKEN_EXPIRED, else UNAUTHENTICATED; 403 for somebody without a role here."""
        header = jws.header_of(token, MAX_CHARACTERS)
        issuer = jws.unverified_claims(token).get("iss")
        if not isinstance(issuer, str) or issuer not in self._issuers:
            raise jws.unauthenticated("The token is of an issuer that is not known here.")
        key, algorithm = self._key(issuer, jws.text(header, "kid"))
        if header.get("alg") != algorithm:
            raise jws.unauthenticated("The token's algorithm is not its key's.")
        claims = jws.verified_claims(token, key, algorithm)
        audience = claims.get("aud")
        if self._audience not in (audience if isinstance(audience, list) else [audience]):
            raise jws.unauthenticated("The token is for somebody else.")
        now_s = now.timestamp()
        if any(name in claims and jws.seconds(claims, name) > now_s + LEEWAY_S for name in ("iat", "nbf")):
            raise jws.unauthenticated("The token is not valid yet.")
        if jws.seconds(claims, "exp") <= now_s - LEEWAY_S:
            raise Refusal(401, Code.TOKEN_EXPIRED, "The token has expired.")
        return _admin(claims)

    def _key(self, issuer: str, key_id: str) -> tuple[jws.Key, jws.Algorithm]:
        """The key says which algorithm counts, never the token: else a public key would do as an HMAC secret."""
        pem = self._key_sets.key_pem(issuer, key_id)
        if pem is None:
            raise jws.unauthenticated("The token's key is not its issuer's.")
        try:
            key = load_pem_public_key(pem)
        except ValueError as error:
            raise jws.unauthenticated("The issuer's key cannot be read.") from error
        if isinstance(key, RSAPublicKey) and key.key_size >= MIN_RSA_BITS:
            return key, "RS256"
        if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
            return key, "ES256"
        raise jws.unauthenticated("The issuer's key is of a kind that is not used here.")


def _admin(claims: dict[str, Any]) -> Admin:
    subject = jws.text(claims, "sub", 255)
    try:
        role = AdminRole(claims.get("hh_role", ""))
    except ValueError as error:
        raise Refusal(403, Code.FORBIDDEN, "This person has no role here.") from error
    if role is AdminRole.OPERATOR:
        return Admin(subject, role, None)
    try:
        return Admin(subject, role, UUID(jws.text(claims, "hh_clinic", 36)))
    except (ValueError, Refusal) as error:
        raise Refusal(403, Code.FORBIDDEN, "This person belongs to no clinic.") from error
