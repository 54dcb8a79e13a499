"""Refresh tokens: chance, kept as a hash, each used once."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

LIVES = timedelta(days=90)
"""Unused for so long, and the device has to be enrolled anew."""


def new_token() -> str:
    """256 bits, base64url."""
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> bytes:
    """No slow hash is needed where nothing can be guessed."""
    return hashlib.sha256(b"refresh token " + token.encode()).digest()
