"""The key that signs access tokens, in AWS KMS (ECC_NIST_P256)."""

from __future__ import annotations

import base64
import hashlib
import json
import threading

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from backend_lambda.aws.clients import Clients, Fault, asked, refusal
from backend_lambda.errors import Code, Refusal

LONGEST_BYTES = 4096
_WHAT = "The signing key"


class KmsSigner:
    """Implements `ports.Signer`. key: an id, an ARN or an alias."""

    def __init__(self, clients: Clients, key: str) -> None:
        self._clients, self._key = clients, key
        self._lock = threading.Lock()
        self._public: EllipticCurvePublicKey | None = None

    def sign(self, message: bytes) -> bytes:
        """KMS hashes the message itself (RAW). Raises ValueError for more than it takes."""
        if len(message) > LONGEST_BYTES:
            raise ValueError("the message is too long to be signed")
        try:
            answer = asked(
                lambda: self._clients("kms").sign(
                    KeyId=self._key, Message=message, MessageType="RAW", SigningAlgorithm="ECDSA_SHA_256"
                ),
                needs="Signature",
            )
        except Fault as fault:
            refused = refusal(fault, Code.INTERNAL, _WHAT)
        else:
            try:
                r, s = decode_dss_signature(answer["Signature"])
                return r.to_bytes(32, "big") + s.to_bytes(32, "big")
            except (ValueError, OverflowError):
                refused = refusal(Fault("unreadable"), Code.INTERNAL, _WHAT)
        raise refused

    def key_id(self) -> str:
        """The key's thumbprint (RFC 7638): it says nothing of our account, and another key has another one."""
        numbers = self._key_itself().public_numbers()
        parts = {"crv": "P-256", "kty": "EC", "x": _base64url(numbers.x), "y": _base64url(numbers.y)}
        canonical = json.dumps(parts, separators=(",", ":"), sort_keys=True)
        return base64.urlsafe_b64encode(hashlib.sha256(canonical.encode()).digest()).rstrip(b"=").decode()

    def public_key_pem(self) -> bytes:
        return self._key_itself().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def _key_itself(self) -> EllipticCurvePublicKey:
        with self._lock:
            if self._public is None:
                self._public = self._fetch()
            return self._public

    def _fetch(self) -> EllipticCurvePublicKey:
        try:
            answer = asked(lambda: self._clients("kms").get_public_key(KeyId=self._key), needs="PublicKey")
        except Fault as fault:
            refused = refusal(fault, Code.INTERNAL, _WHAT)
        else:
            try:
                key = load_der_public_key(answer["PublicKey"])
            except (ValueError, UnsupportedAlgorithm):
                key = None
            if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
                return key
            refused = Refusal(500, Code.INTERNAL, "The signing key is no P-256 key.")
        raise refused


def _base64url(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes(32, "big")).rstrip(b"=").decode()
