"""Stands in for an OIDC issuer (Amazon Cognito, or a clinic's own) in tests and the local cloud; never shipped.

It signs whoever is asked for in, without a question. Its keys are real and can be changed.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from tests.stand_ins.aws.exchange import Answer, Request

_JSON = ("Content-Type", "application/json")
_Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Key:
    """algorithm: "RS256" or "ES256"."""

    id: str
    algorithm: str
    private: _Private

    def public(self) -> dict[str, Any]:
        """As a JWK."""
        if isinstance(self.private, rsa.RSAPrivateKey):
            found = RSAAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        else:
            found = ECAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        return {**found, "kid": self.id, "alg": self.algorithm, "use": "sig"}


class OidcIssuer:
    """Serves its discovery document and its keys below `issuer`.

    answers: by path ("/.well-known/openid-configuration", "/jwks"), instead of what is right there. asked: how often each was.
    """

    def __init__(self, issuer: str, now_s: Callable[[], float]) -> None:
        self.issuer = issuer
        self._now_s = now_s
        self._lock = threading.Lock()
        self.keys: list[Key] = []
        self.answers: dict[str, Answer] = {}
        self.asked: dict[str, int] = {}
        self.slow_s = 0.0

    def rotate(self, algorithm: str = "ES256", *, keep_old: bool = False) -> Key:
        """Signs with a new key from now on."""
        private: _Private = (
            rsa.generate_private_key(65537, 2048)
            if algorithm == "RS256"
            else ec.generate_private_key(ec.SECP256R1())
        )
        key = Key(uuid.uuid4().hex[:12], algorithm, private)
        with self._lock:
            self.keys = [*(self.keys if keep_old else ()), key]
        return key

    def token(
        self,
        subject: str,
        role: str,
        clinic_id: object = None,
        *,
        audience: str = "health-helper",
        valid_s: float = 600.0,
        key: Key | None = None,
        **claims: object,
    ) -> str:
        """Signed in. role: "operator", "clinic_admin" or "auditor". claims: more of them, or others instead; None leaves one out."""
        if not self.keys:
            self.rotate()
        key = key or self.keys[-1]
        now_s = self._now_s()
        content: dict[str, object] = {
            "iss": self.issuer,
            "sub": subject,
            "aud": audience,
            "iat": int(now_s),
            "exp": int(now_s + valid_s),
            "hh_role": role,
            "hh_clinic": None if clinic_id is None else str(clinic_id),
            **claims,
        }
        content = {name: value for name, value in content.items() if value is not None}
        return jwt.encode(content, key.private, algorithm=key.algorithm, headers={"kid": key.id})

    def answer(self, request: Request, path: str) -> Answer:
        """path: below the issuer's."""
        with self._lock:
            self.asked[path] = self.asked.get(path, 0) + 1
            keys = list(self.keys)
        if path in self.answers:
            return self.answers[path]
        if path == "/.well-known/openid-configuration":
            content: dict[str, Any] = {
                "issuer": self.issuer,
                "jwks_uri": f"{self.issuer}/jwks",
                "id_token_signing_alg_values_supported": ["RS256", "ES256"],
                "subject_types_supported": ["public"],
                "response_types_supported": ["code"],
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
            }
        elif path == "/jwks":
            content = {"keys": [key.public() for key in keys]}
        elif path == "/token" and request.method == "POST":
            wanted = json.loads(request.body.read())
            token = self.token(
                str(wanted.get("subject", "somebody")),
                str(wanted.get("role", "operator")),
                wanted.get("clinic_id"),
                audience=str(wanted.get("audience", "health-helper")),
            )
            content = {"token": token}
        else:
            return Answer(404, [_JSON], b"{}")
        return Answer(200, [_JSON], json.dumps(content).encode())
