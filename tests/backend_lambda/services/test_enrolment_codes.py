"""Enrolment codes: what people mistype is told, and what they add is not held against them."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from backend_lambda.services.enrolment import ALPHABET, check_character, code_hash, new_code, normal_code

bodies = st.text(st.sampled_from(ALPHABET), min_size=11, max_size=11)


def whole(body: str) -> str:
    return body + check_character(body)


@given(bodies, st.integers(0, 11), st.sampled_from(ALPHABET))
def test_one_wrong_character_is_seen(body: str, at: int, other: str) -> None:
    code = whole(body)
    altered = code[:at] + other + code[at + 1 :]
    assert (normal_code(altered) is None) == (altered != code)


@given(bodies, st.integers(0, 11), st.integers(0, 11))
def test_two_exchanged_characters_are_seen(body: str, one: int, other: int) -> None:
    letters = list(whole(body))
    letters[one], letters[other] = letters[other], letters[one]
    altered = "".join(letters)
    assert (normal_code(altered) is None) == (altered != whole(body))


@given(bodies, st.data())
def test_what_people_add_is_taken_away(body: str, data: st.DataObject) -> None:
    typed = "".join(one + data.draw(st.sampled_from(["", " ", "-", " - "])) for one in whole(body).lower())
    assert normal_code(typed) == whole(body)


def test_no_character_looks_like_another() -> None:
    assert len(set(ALPHABET)) == 31
    assert not set("01OIL") & set(ALPHABET)


def test_codes_are_chance_and_right() -> None:
    codes = [new_code() for _ in range(2000)]
    assert len(set(codes)) == 2000
    assert all(normal_code(code) == code.replace("-", "") and len(code) == 14 for code in codes)
    counts = Counter(letter for code in codes for letter in code.replace("-", "")[:11])
    assert set(counts) == set(ALPHABET)
    assert max(counts.values()) < 1.3 * min(counts.values())


def test_what_is_kept_is_not_the_code() -> None:
    code = new_code().replace("-", "")
    assert len(code_hash(code)) == 32
    assert code_hash(code) != code_hash(new_code().replace("-", ""))
