"""Letters and words as they are compared."""

from __future__ import annotations

import pytest

from client.assistant.triage.reading import END_CHARS, distance, normalised, read, squeezed, words_of


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("PÉCHO Niño ÜBEL", "pecho nino ubel"),
        ("straße", "strasse"),
        ("ｃｈｅｓｔ", "chest"),
        ("che\u200bst\u00ad", "chest"),
        ("أإآٱ ى ة ؤ ئ", "اااا ي ه و ي"),
        ("صَدْري ألــم", "صدري الم"),
        ("ک ی", "ك ي"),
        ("दर्द साँस ज़हर", "दर्द सांस जहर"),
        ("٣٨ ३८ ３８", "38 38 38"),
        ("can\u2019t can\u00b4t can`t", "can't can't can't"),
        ("short-of-breath", "short of breath"),
    ],
)
def test_the_same_is_read_the_same(one: str, other: str) -> None:
    assert words_of(normalised(one)) == words_of(normalised(other)) == words_of(other)


def test_chinese_characters_are_words_of_their_own() -> None:
    assert read("胸口痛,ECG正常").words == ["胸", "口", "痛", "ecg", "正", "常"]


def test_sentences_and_commas_are_noted() -> None:
    found = read("No, it hurts. 38.5 degrees! हां। कल؟")
    assert found.words == ["no", "it", "hurts", "38.5", "degrees", "हां", "कल"]
    assert found.sentence == [0, 0, 0, 1, 1, 2, 3]
    assert found.after_comma == [False, True, False, False, False, False, False]


def test_both_ends_of_a_long_text_are_read() -> None:
    words = read("first " + "x " * 50_000 + "last").words
    assert words[0] == "first" and words[-1] == "last"
    assert len(words) <= END_CHARS + 2


def test_repeated_letters_are_squeezed() -> None:
    assert squeezed("paaaain") == ["paain", "pain"]
    assert squeezed("bleeding") == []


@pytest.mark.parametrize(
    ("word", "other", "most", "prefix", "found"),
    [
        ("chest", "chest", 1, False, 0),
        ("chest", "chset", 1, False, 1),
        ("chest", "chests", 1, False, 1),
        ("breath", "braethe", 1, True, 1),
        ("chest", "china", 1, False, 2),
        ("haemorrhage", "hemorrage", 2, False, 2),
    ],
)
def test_mistakes_are_counted(word: str, other: str, most: int, prefix: bool, found: int) -> None:
    assert distance(word, other, most, prefix=prefix) == found
