"""The public keys of OIDC issuers, over HTTPS."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlsplit

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from backend_lambda.errors import Code, unavailable
from backend_lambda.ports import Clock

KEPT_S = 600.0
ANEW_S = 60.0
"""An unknown key asks its issuer again, at most so often."""
STALE_S = 6 * 3600.0
"""So long known keys are still good where their issuer does not answer."""
READ_S = 3.0
WITHIN_S = 5.0
"""For one document, however slowly it drips."""
LARGEST = 256_000
MOST_KEYS = 64
_PIECE = 16_384


@dataclass(slots=True)
class _Set:
    """What is known of an issuer. asked_s: when it was last asked, with or without an answer."""

    keys: Mapping[str, bytes] = field(default_factory=dict)
    fetched_s: float | None = None
    asked_s: float | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class _NoAnswer(Exception):
    """No document, or none that can be used."""


class JwksKeySets:
    """Implements `ports.KeySets`. issuers: the only ones that are ever asked. is_local: plain HTTP is good enough, for stand-ins.

    The keys are found by the issuer's discovery document, which must name the same issuer. Redirects are not followed.
    """

    def __init__(self, issuers: Sequence[str], clock: Clock, *, is_local: bool = False) -> None:
        self._sets = {issuer: _Set() for issuer in issuers}
        self._clock, self._is_local = clock, is_local

    def key_pem(self, issuer: str, key_id: str) -> bytes | None:
        """Also None for an issuer that is not ours. Raises Refusal 503 where the issuer does not answer and nothing is known of it."""
        known = self._sets.get(issuer)
        if known is None:
            return None
        with known.lock:
            now_s = self._clock.now_s()
            is_fresh = known.fetched_s is not None and now_s - known.fetched_s < KEPT_S
            may_ask = known.asked_s is None or now_s - known.asked_s >= ANEW_S
            if may_ask and not (is_fresh and key_id in known.keys):
                known.asked_s = now_s
                try:
                    known.keys = self._fetch(issuer)
                    known.fetched_s = now_s
                except _NoAnswer:
                    pass  # what was known may still do
            if known.fetched_s is not None and now_s - known.fetched_s < STALE_S:
                return known.keys.get(key_id)
        raise unavailable(
            Code.INTERNAL, "The issuer of identities does not answer now.", retry_after_s=ANEW_S
        )

    def _fetch(self, issuer: str) -> Mapping[str, bytes]:
        found = self._document(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        where = found.get("jwks_uri")
        if found.get("issuer") != issuer or not isinstance(where, str):
            raise _NoAnswer
        listed = self._document(where).get("keys")
        if not isinstance(listed, list):
            raise _NoAnswer
        keys: dict[str, bytes] = {}
        for entry in listed[:MOST_KEYS]:
            pem = _pem(entry)
            if pem is not None:
                keys.setdefault(entry["kid"], pem)
        return keys

    def _document(self, url: str) -> dict[str, Any]:
        """Raises _NoAnswer."""
        try:
            parts = urlsplit(url)
            connection = self._connection(parts)
            try:
                path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
                connection.request(
                    "GET", path, headers={"Accept": "application/json", "User-Agent": "health-helper"}
                )
                response = connection.getresponse()
                if response.status != 200:
                    raise _NoAnswer
                content = json.loads(_whole(response))
            finally:
                connection.close()
        except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
            raise _NoAnswer from error
        if not isinstance(content, dict):
            raise _NoAnswer
        return content

    def _connection(self, parts: SplitResult) -> http.client.HTTPConnection:
        if parts.hostname is None or parts.username is not None:
            raise _NoAnswer
        if parts.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(parts.hostname, parts.port, timeout=READ_S, context=context)
        if parts.scheme == "http" and self._is_local:
            return http.client.HTTPConnection(parts.hostname, parts.port, timeout=READ_S)
        raise _NoAnswer


def _whole(response: http.client.HTTPResponse) -> bytes:
    ends_s = (
        time.monotonic() + WITHIN_S
    )  # of the connection, so the real time, whatever the port's clock says
    data = b""
    while piece := response.read1(_PIECE):
        data += piece
        if len(data) > LARGEST or time.monotonic() > ends_s:
            raise _NoAnswer
    return data


def _pem(entry: Any) -> bytes | None:
    """None: no key that signs as we accept it (RSA from 2048 bits, P-256), or one without a name."""
    if (
        not isinstance(entry, dict)
        or not isinstance(entry.get("kid"), str)
        or entry.get("use", "sig") != "sig"
    ):
        return None
    if entry.get("kty") not in {"RSA", "EC"}:
        return None
    try:
        key = PyJWK(entry).key
    except (PyJWTError, ValueError, TypeError, KeyError):
        return None
    is_good = (isinstance(key, RSAPublicKey) and key.key_size >= 2048) or (
        isinstance(key, EllipticCurvePublicKey) and key.curve.name == "secp256r1"
    )
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo) if is_good else None
