"""Sealing: what comes out is what went in, or nothing."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.store.sealing import (
    CHUNK_BYTES,
    KEY_BYTES,
    SEALING_ADDS_BYTES,
    TAG_BYTES,
    SealBroken,
    derive,
    seal,
    seal_stream,
    unseal,
    unseal_stream,
)

KEY = bytes(range(32))
_SEALED_BYTES = CHUNK_BYTES + TAG_BYTES
_PREFIX_BYTES = 7


def _pieces(whole: bytes, rng: random.Random, most: int) -> Iterator[bytes]:
    start = 0
    while start < len(whole):
        length = rng.randint(0, most)
        yield whole[start : start + length]
        start += length


def _sealed(plain: bytes, key: bytes = KEY) -> bytes:
    return b"".join(seal_stream(key, [plain], b"id"))


def _unsealed(sealed: bytes, key: bytes = KEY, associated: bytes = b"id") -> bytes:
    return b"".join(unseal_stream(key, [sealed], associated))


@pytest.mark.parametrize(
    "length", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES, 3 * CHUNK_BYTES + 17]
)
@given(seed=st.integers(0, 1000))
def test_a_stream_comes_back_however_it_is_cut_into_pieces(length: int, seed: int) -> None:
    rng = random.Random(seed)
    plain = rng.randbytes(length)
    sealed = b"".join(seal_stream(KEY, _pieces(plain, rng, 2 * CHUNK_BYTES), b"id"))
    chunks = max(1, -(-length // CHUNK_BYTES))
    assert len(sealed) == _PREFIX_BYTES + length + chunks * TAG_BYTES
    assert b"".join(unseal_stream(KEY, _pieces(sealed, rng, 2 * CHUNK_BYTES), b"id")) == plain


def test_what_is_yielded_before_the_end_is_proven_and_bounded() -> None:
    plain = bytes(5 * CHUNK_BYTES)
    assert [len(piece) for piece in unseal_stream(KEY, [_sealed(plain)], b"id")] == [CHUNK_BYTES] * 5


@pytest.mark.parametrize("length", [0, 1, CHUNK_BYTES, 2 * CHUNK_BYTES, 2 * CHUNK_BYTES + 9])
def test_a_stream_that_was_cut_is_noticed(length: int) -> None:
    sealed = _sealed(bytes(length))
    ends = {0, 1, _PREFIX_BYTES, _PREFIX_BYTES + TAG_BYTES - 1, len(sealed) - 1, len(sealed) - TAG_BYTES}
    ends |= {_PREFIX_BYTES + number * _SEALED_BYTES for number in range(4)}  # between two chunks
    for end in sorted(end for end in ends if end < len(sealed)):
        with pytest.raises(SealBroken):
            _unsealed(sealed[:end])


def test_chunks_that_were_exchanged_repeated_left_out_or_added_are_noticed() -> None:
    sealed = _sealed(bytes(range(256)) * 1024)  # four whole chunks
    prefix, *chunks = (
        sealed[:_PREFIX_BYTES],
        *(sealed[_PREFIX_BYTES + k * _SEALED_BYTES :][:_SEALED_BYTES] for k in range(4)),
    )
    one, two, three, last = chunks
    other = _sealed(bytes(4 * CHUNK_BYTES))
    for made in (
        [prefix, two, one, three, last],
        [prefix, one, one, two, three, last],
        [prefix, one, three, last],
        [prefix, last],
        [prefix, one, two, three, last, last],
        [sealed, b"\0"],
        [sealed, bytes(TAG_BYTES)],
        [other[:_PREFIX_BYTES], one, two, three, last],
        [prefix, one, two, three, other[-_SEALED_BYTES:]],
    ):
        with pytest.raises(SealBroken):
            _unsealed(b"".join(made))


@given(at=st.integers(0, _PREFIX_BYTES + CHUNK_BYTES + 10 + 2 * TAG_BYTES - 1), bit=st.integers(0, 7))
def test_a_bit_that_was_turned_is_noticed(at: int, bit: int) -> None:
    sealed = bytearray(_sealed(bytes(CHUNK_BYTES + 10)))
    sealed[at] ^= 1 << bit
    with pytest.raises(SealBroken):
        _unsealed(bytes(sealed))


def test_a_stream_belongs_to_its_key_and_to_what_it_was_sealed_with() -> None:
    sealed = _sealed(b"plain")
    assert _unsealed(sealed) == b"plain"
    for key, associated in ((bytes(32), b"id"), (KEY, b"another"), (KEY, b"")):
        with pytest.raises(SealBroken):
            _unsealed(sealed, key, associated)


def test_the_same_is_never_sealed_alike() -> None:
    assert _sealed(b"same")[_PREFIX_BYTES:] != _sealed(b"same")[_PREFIX_BYTES:]
    assert seal(KEY, b"same", b"") != seal(KEY, b"same", b"")


@given(plain=st.binary(max_size=300), at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_what_is_sealed_at_once_comes_back_or_nothing_does(plain: bytes, at: int, bit: int) -> None:
    sealed = seal(KEY, plain, b"place")
    assert len(sealed) == len(plain) + SEALING_ADDS_BYTES
    assert unseal(KEY, sealed, b"place") == plain
    turned = bytearray(sealed)
    turned[at % len(turned)] ^= 1 << bit
    for key, broken, associated in (
        (KEY, bytes(turned), b"place"),
        (KEY, sealed, b"other"),
        (bytes(32), sealed, b"place"),
        (KEY, sealed[:-1], b"place"),
        (KEY, sealed[: SEALING_ADDS_BYTES - 1], b"place"),
    ):
        with pytest.raises(SealBroken):
            unseal(key, broken, associated)


def test_keys_for_two_purposes_are_two_keys() -> None:
    # RFC 5869, test case 3 is of HKDF without salt and info; ours is the same function with a key of 32 bytes.
    one, two = derive(KEY, b"one"), derive(KEY, b"two")
    assert len(one) == KEY_BYTES and len({one, two, KEY}) == 3
    assert derive(KEY, b"one") == one
    for key in (b"", KEY[:-1], KEY + b"\0"):
        with pytest.raises(ValueError):
            derive(key, b"one")
