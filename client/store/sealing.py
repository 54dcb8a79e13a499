"""What is sealed with a key of ours: bytes that only its holder reads, and that nobody changes unnoticed.

Keys are derived with HKDF-SHA-256 (RFC 5869), one for each purpose; sealing is AES-256-GCM (NIST SP 800-38D) under a random nonce.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Iterable, Iterator

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16
SEALING_ADDS_BYTES = NONCE_BYTES + TAG_BYTES


class SealBroken(Exception):
    """What was to be unsealed is not what was sealed: damaged, cut, changed, in another place, or of another key."""


def derive(key: bytes, purpose: bytes) -> bytes:
    """A key for one purpose out of a key of 32 random bytes [32 bytes]. It says nothing of that key nor of those for other purposes."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    if len(key) != KEY_BYTES:
        raise ValueError(f"a key has {KEY_BYTES} bytes, not {len(key)}")
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=purpose).derive(key)


def seal(key: bytes, plain: bytes, associated: bytes) -> bytes:
    """`plain`, sealed: 12 bytes of nonce, then as many as it has, then 16 of tag. associated: what must be the same when it is unsealed.

    With one key at most 2**32 times (random nonces, SP 800-38D §8.3).
    """
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, associated)


def unseal(key: bytes, sealed: bytes, associated: bytes) -> bytes:
    """What was sealed with this key and this `associated`. Raises SealBroken."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    if len(sealed) < SEALING_ADDS_BYTES:
        raise SealBroken
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], associated)
    except InvalidTag:
        raise SealBroken from None


# A file in a stream

CHUNK_BYTES = 65_536
_PREFIX_BYTES = 7
_PLACE = struct.Struct(">IB")
"""The number of a chunk, and whether it is the last."""


def seal_stream(key: bytes, plain: Iterable[bytes], associated: bytes) -> Iterator[bytes]:
    """Seal what is too large for the memory: a random prefix [7 bytes], then each chunk of CHUNK_BYTES, the last one shorter, with its tag.

    STREAM (Hoang, Reyhanitabar, Rogaway, Vizár 2015): the nonce of a chunk is the prefix, its number [4 bytes] and whether it is the
    last [1 byte], so that none can be left out, exchanged, repeated or cut off at the end. key: 32 bytes, for this one stream.
    plain: in pieces of any size. associated: what must be the same when it is unsealed.
    """
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    sealer, prefix, number = AESGCM(key), secrets.token_bytes(_PREFIX_BYTES), 0
    yield prefix
    held = bytearray()
    for piece in plain:
        held += piece
        while len(held) > CHUNK_BYTES:  # not the last: something follows
            yield sealer.encrypt(prefix + _PLACE.pack(number, 0), bytes(held[:CHUNK_BYTES]), associated)
            del held[:CHUNK_BYTES]
            number += 1
    yield sealer.encrypt(prefix + _PLACE.pack(number, 1), bytes(held), associated)


def unseal_stream(key: bytes, sealed: Iterable[bytes], associated: bytes) -> Iterator[bytes]:
    """What `seal_stream` sealed, each chunk once it is proven. Raises SealBroken, also at the end where the end is missing: only after the
    last chunk was all of it there. sealed: in pieces of any size.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    opener, number, length = AESGCM(key), 0, CHUNK_BYTES + TAG_BYTES
    held = bytearray()
    prefix: bytes | None = None
    try:
        for piece in sealed:
            held += piece
            if prefix is None and len(held) > _PREFIX_BYTES:
                prefix = bytes(held[:_PREFIX_BYTES])
                del held[:_PREFIX_BYTES]
            while prefix is not None and len(held) > length:
                yield opener.decrypt(prefix + _PLACE.pack(number, 0), bytes(held[:length]), associated)
                del held[:length]
                number += 1
        if prefix is None or len(held) < TAG_BYTES:
            raise SealBroken
        last = opener.decrypt(prefix + _PLACE.pack(number, 1), bytes(held), associated)
    except InvalidTag:
        raise SealBroken from None
    yield last
