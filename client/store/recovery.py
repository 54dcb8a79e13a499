"""The key on paper: opens the database when the system's key store is lost, and on another computer.

A recovery key is 128 random bits, shown once as letters and digits. It is kept nowhere. Beside the database lies a file in
which the database's key is encrypted with it (HKDF-SHA-256, RFC 5869; AES-256-GCM, NIST SP 800-38D); 128 random bits can't be
guessed, so no slow derivation is needed.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass

from client.errors import BadInput
from client.language import said

SCHEMA = "health-helper/recovery/1"
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no I, L, O, U; what is easily mistaken is read as what was meant."""
_MISTAKEN = str.maketrans("OIL", "011", " -\t\n")
_BITS, _LETTERS, _CHECK_LETTERS, _GROUP = 128, 26, 2, 4
_PURPOSE = b"health-helper store recovery 1"
DATABASE_KEY_BYTES = 32


class WrongRecoveryKey(BadInput):
    """What was typed is no recovery key, or not the one of this database."""


@dataclass(frozen=True, slots=True)
class RecoveryKey:
    """The 128 bits. repr shows nothing of them."""

    secret: bytes

    def __repr__(self) -> str:
        return "RecoveryKey(…)"

    @classmethod
    def new(cls) -> RecoveryKey:
        """A random one."""
        return cls(secrets.token_bytes(_BITS // 8))

    @classmethod
    def from_text(cls, text: str) -> RecoveryKey:
        """What a person typed, in any case and grouping. Raises WrongRecoveryKey where letters are missing or mistyped."""
        plain = text.upper().translate(_MISTAKEN)
        if len(plain) != _LETTERS + _CHECK_LETTERS or not set(plain) <= set(_ALPHABET):
            raise WrongRecoveryKey(
                title=said(
                    "A recovery key has {wanted} letters and digits, and this has {found}",
                    wanted=_LETTERS + _CHECK_LETTERS,
                    found=len(plain),
                )
                if len(plain) != _LETTERS + _CHECK_LETTERS
                else said("This has signs that are in no recovery key"),
                remedy=said("Type it as it is printed, with or without the hyphens."),
            )
        number = _number(plain[:_LETTERS])
        secret = (number >> 2).to_bytes(_BITS // 8, "big") if number >> 2 < 1 << _BITS else b""
        key = cls(secret)
        if not secret or key._letters() != plain:
            raise WrongRecoveryKey(
                title=said("This recovery key has a typing mistake"),
                remedy=said("Compare it with the printed one, letter by letter."),
            )
        return key

    def to_text(self) -> str:
        """As it is printed: groups of four."""
        letters = self._letters()
        return "-".join(letters[k : k + _GROUP] for k in range(0, len(letters), _GROUP))

    def _letters(self) -> str:
        number = int.from_bytes(self.secret, "big") << 2  # 26 letters hold 130 bits
        body = "".join(_ALPHABET[number >> 5 * k & 31] for k in reversed(range(_LETTERS)))
        check = int.from_bytes(hashlib.sha256(_PURPOSE + self.secret).digest()[:2], "big")
        return body + _ALPHABET[check >> 5 & 31] + _ALPHABET[check & 31]

    def wrap(self, database_key: bytes) -> bytes:
        """The file that lies beside the database: its key, encrypted, and the name of that key."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
        name = key_id(database_key)
        sealed = AESGCM(self._derived(salt)).encrypt(nonce, database_key, name.encode("ascii"))
        held = {
            "schema": SCHEMA,
            "key_id": name,
            "salt": salt.hex(),
            "nonce": nonce.hex(),
            "sealed": sealed.hex(),
        }
        return json.dumps(held).encode("ascii")

    def unwrap(self, file: bytes) -> bytes:
        """The database's key out of such a file. Raises WrongRecoveryKey, also for a damaged file."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        held = _read(file)
        try:
            salt, nonce, sealed = (bytes.fromhex(held[name]) for name in ("salt", "nonce", "sealed"))
            key = AESGCM(self._derived(salt)).decrypt(nonce, sealed, held["key_id"].encode("ascii"))
        except InvalidTag:
            raise WrongRecoveryKey(
                title=said("This recovery key does not belong to this store"),
                remedy=said("Look for the one that was printed last when this store was in use."),
            ) from None
        except ValueError:
            raise _damaged() from None
        if len(key) != DATABASE_KEY_BYTES:
            raise _damaged()
        return key

    def _derived(self, salt: bytes) -> bytes:
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        return HKDF(algorithm=SHA256(), length=32, salt=salt, info=_PURPOSE).derive(self.secret)


def key_id(database_key: bytes) -> str:
    """A name for a database's key that says nothing of it: tells a wrong key from a damaged database [16 hex digits]."""
    return hashlib.sha256(_PURPOSE + b" id " + database_key).hexdigest()[:16]


def _read(file: bytes) -> dict[str, str]:
    try:
        held = json.loads(file)
    except ValueError:
        raise _damaged() from None
    names = ("schema", "key_id", "salt", "nonce", "sealed")
    if not isinstance(held, dict) or not all(isinstance(held.get(name), str) for name in names):
        raise _damaged()
    if held["schema"] != SCHEMA:
        raise BadInput(
            title=said("The recovery file was written by another version of Health Helper"),
            remedy=said("Install the newest version and try again."),
        )
    return {name: held[name] for name in names}


def _damaged() -> BadInput:
    return BadInput(
        title=said("The recovery file beside the store is damaged"),
        remedy=said("Take it from a backup: without it the recovery key opens nothing."),
    )


def _number(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number << 5 | _ALPHABET.index(letter)
    return number
