"""Stands in for AWS KMS (Sign, GetPublicKey; ECC_NIST_P256) in tests and the local cloud; never shipped. The keys are real ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from tests.stand_ins.aws.exchange import Refused
from tests.stand_ins.aws.service_models import Service


class Kms:
    """keys: by name (an id, an ARN or an alias). disabled: names of keys that refuse to sign."""

    def __init__(self) -> None:
        self.keys: dict[str, ec.EllipticCurvePrivateKey] = {}
        self.disabled: set[str] = set()
        self.service = Service("kms", {"Sign": self._sign, "GetPublicKey": self._public_key})

    def add_key(self, name: str, file: Path | None = None) -> ec.EllipticCurvePrivateKey:
        """file: where it lies for a stand-in that is started again."""
        if file is not None and file.exists():
            found = load_pem_private_key(file.read_bytes(), None)
            assert isinstance(found, ec.EllipticCurvePrivateKey)
            return self.keys.setdefault(name, found)
        made = self.keys.setdefault(name, ec.generate_private_key(ec.SECP256R1()))
        if file is not None:
            part = file.with_suffix(".part")
            part.write_bytes(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            part.replace(file)
        return made

    def _key(self, name: str) -> ec.EllipticCurvePrivateKey:
        if name not in self.keys:
            raise Refused(400, "NotFoundException", "The key does not exist.")
        if name in self.disabled:
            raise Refused(400, "DisabledException", "The key is disabled.")
        return self.keys[name]

    def _sign(self, request: dict[str, Any]) -> dict[str, Any]:
        key = self._key(request["KeyId"])
        if request["SigningAlgorithm"] != "ECDSA_SHA_256":
            raise Refused(400, "InvalidKeyUsageException", "The key does not sign so.")
        is_digest = request.get("MessageType", "RAW") == "DIGEST"
        if is_digest and len(request["Message"]) != 32:
            raise Refused(400, "ValidationException", "Digest is invalid length for algorithm ECDSA_SHA_256.")
        algorithm = ec.ECDSA(Prehashed(hashes.SHA256()) if is_digest else hashes.SHA256())
        return {
            "KeyId": request["KeyId"],
            "Signature": key.sign(request["Message"], algorithm),
            "SigningAlgorithm": "ECDSA_SHA_256",
        }

    def _public_key(self, request: dict[str, Any]) -> dict[str, Any]:
        public = self._key(request["KeyId"]).public_key()
        return {
            "KeyId": request["KeyId"],
            "PublicKey": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
            "KeySpec": "ECC_NIST_P256",
            "KeyUsage": "SIGN_VERIFY",
            "SigningAlgorithms": ["ECDSA_SHA_256"],
        }
