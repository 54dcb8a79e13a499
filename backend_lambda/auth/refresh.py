"""Refresh tokens: chance, kept as a hash, each used once.

The one that follows is made of the old one, the request's id and a salt that only the store has, so that the same request always
gets the same one, however often and in whatever order it comes. Who reads the store has the salt and no token, who steals a token
has no salt; and a salt is forgotten once what it made was used, so an old token and a later copy of the store lead nowhere.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from datetime import timedelta
from uuid import UUID

LIVES = timedelta(days=90)
"""Unused for so long, and the device has to be enrolled anew."""
SALT_BYTES = 32


def new_token() -> str:
    """256 bits, base64url."""
    return secrets.token_urlsafe(32)


def new_salt() -> bytes:
    return secrets.token_bytes(SALT_BYTES)


def successor(token: str, salt: bytes, request_id: UUID | None) -> str:
    """What this token is exchanged for in this request; looks like any other."""
    named = b"" if request_id is None else request_id.bytes
    digest = hmac.digest(token.encode(), b"successor " + salt + named, "sha256")
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def token_hash(token: str) -> bytes:
    """No slow hash is needed where nothing can be guessed."""
    return hashlib.sha256(b"refresh token " + token.encode()).digest()
