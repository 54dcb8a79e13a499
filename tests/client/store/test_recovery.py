"""The recovery key survives paper and typing, opens its own store only, and tells what is wrong with what was typed."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.errors import BadInput
from client.store.recovery import RecoveryKey, WrongRecoveryKey, key_id

KEY = bytes(range(32))
SECRETS = st.binary(min_size=16, max_size=16)


@given(SECRETS)
def test_printed_and_typed_again_it_is_the_same(secret: bytes) -> None:
    text = RecoveryKey(secret).to_text()
    assert len(text) == 28 + 6
    assert RecoveryKey.from_text(text).secret == secret
    sloppy = text.lower().replace("-", " ").replace("0", "o").replace("1", "l")
    assert RecoveryKey.from_text(f"  {sloppy}\n").secret == secret


@given(SECRETS, st.integers(0, 27), st.integers(1, 31))
def test_one_mistyped_letter_is_never_another_key(secret: bytes, place: int, by: int) -> None:
    alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    letters = list(RecoveryKey(secret).to_text().replace("-", ""))
    letters[place] = alphabet[(alphabet.index(letters[place]) + by) % 32]
    typed = "".join(letters)
    with contextlib.suppress(WrongRecoveryKey):
        assert RecoveryKey.from_text(typed).secret != secret  # one in 1,024 passes the two letters that check


def test_most_mistyped_letters_are_found() -> None:
    secret, found = bytes(16), 0
    text = RecoveryKey(secret).to_text().replace("-", "")
    for place in range(26):
        for letter in "123456789ABCDEFGHJKMNPQRSTVWXYZ":
            if letter != text[place]:
                try:
                    RecoveryKey.from_text(text[:place] + letter + text[place + 1 :])
                except WrongRecoveryKey:
                    found += 1
    assert found >= 0.99 * 26 * 30


@pytest.mark.parametrize("text", ["", "ABCD", "U" * 28, "A" * 29, "é" * 28, "*" * 28])
def test_what_is_no_key_gets_a_sentence(text: str) -> None:
    with pytest.raises(WrongRecoveryKey) as caught:
        RecoveryKey.from_text(text)
    assert caught.value.title and caught.value.remedy


def test_it_opens_its_own_file_only() -> None:
    right, other = RecoveryKey.new(), RecoveryKey.new()
    file = right.wrap(KEY)
    assert right.unwrap(file) == KEY
    assert json.loads(file)["key_id"] == key_id(KEY)
    assert KEY.hex() not in file.decode("ascii") and right.secret.hex() not in file.decode("ascii")
    with pytest.raises(WrongRecoveryKey):
        other.unwrap(file)


@pytest.mark.parametrize("change", ["key_id", "salt", "nonce", "sealed"])
def test_a_file_that_was_changed_opens_nothing(change: str) -> None:
    key = RecoveryKey.new()
    said = json.loads(key.wrap(KEY))
    said[change] = ("0" if said[change][0] != "0" else "1") + said[change][1:]
    with pytest.raises(BadInput):
        key.unwrap(json.dumps(said).encode())


@pytest.mark.parametrize("file", [b"", b"{}", b"[]", b"\xff", b'{"schema": 1}', b"null"])
def test_a_damaged_file_gets_a_sentence(file: bytes) -> None:
    with pytest.raises(BadInput) as caught:
        RecoveryKey.new().unwrap(file)
    assert "damaged" in caught.value.title


def test_a_file_of_a_newer_version_is_told_apart() -> None:
    said = json.loads(RecoveryKey.new().wrap(KEY)) | {"schema": "health-helper/recovery/9"}
    with pytest.raises(BadInput) as caught:
        RecoveryKey.new().unwrap(json.dumps(said).encode())
    assert "version" in caught.value.title


def test_nothing_of_it_is_in_its_repr() -> None:
    key = RecoveryKey(b"\x11" * 16)
    assert "11" not in repr(key)
