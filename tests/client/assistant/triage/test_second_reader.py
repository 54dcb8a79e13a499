"""The second reader: what its linear model and its net read, what they are weighed with, and that it only raises."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.assistant.triage import CATEGORIES, Level, Triage, shipped
from client.assistant.triage.linear_reader import BITS, SCHEMA, BadWeights, LinearReader, signs
from client.assistant.triage.matching import Noted, Part
from client.assistant.triage.second_reader import SecondReader, pieces
from client.assistant.triage.word_net import BITS as NET_BITS
from client.assistant.triage.word_net import SCHEMA as NET_SCHEMA
from client.assistant.triage.word_net import SIZES, WordNet, arrays_of, word_signs
from client.errors import EnvironmentFault

LANGUAGES = ("en", "es", "fr", "de", "pt", "zh", "hi", "ar")


def linear(weights: bytes = bytes(2 << BITS), **other: object) -> bytes:
    facts = {"schema": SCHEMA, "unspaced": False, "scale": 1.0, "bias": -1.0}
    facts |= {"linear": 1.0, "net": 2.0, "hint": 4.0, "threshold": 3.0}
    return json.dumps(facts | other).encode() + b"\n" + weights


def net(out_bias: Sequence[float] = (), **other: object) -> bytes:
    """One that gives the same for all texts."""
    facts = {"schema": NET_SCHEMA, "languages": ["en"], "categories": ["stroke", "none"], "scale": 1.0}
    shapes = arrays_of(1, 2)
    arrays = {name: [0.0] * math.prod(shape) for name, shape in shapes.items()}
    arrays["out_bias"] = list(out_bias) or arrays["out_bias"]
    import numpy as np

    body = b"".join(np.array(one, "<f2").tobytes() for one in arrays.values())
    return json.dumps(facts | other).encode() + b"\n" + bytes(SIZES["word"] << NET_BITS) + body


def parts(*words: str) -> list[Part]:
    return [Part(words, [Noted(word) for word in words])]


def test_the_linear_model_the_net_and_the_hint_are_weighed_together() -> None:
    reader = SecondReader(linear(), WordNet(net([1.5, 3.0, 0.0])), "en")
    words = ["any", "words"]
    assert reader.read(parts(*words), None) == (-1.0 + 2 * 1.5, "stroke")
    assert reader.read(parts(*words), "eye") == (-1.0 + 2 * 1.5 + 4.0, "stroke")
    assert reader.suspects(parts(*words), None) is None
    assert reader.suspects(parts(*words), "eye") == "stroke"


@pytest.mark.parametrize(
    ("shares", "hint", "named"),
    [
        ([9, 9, 0], None, "stroke"),
        ([9, 9, 0], "eye", "stroke"),
        ([9, 0, 0.2], "eye", "eye"),
        ([9, 0, 9], None, "other"),
        ([9, 0, 0], None, "other"),
    ],
    ids=["sure", "sure beside a hint", "hint", "sure of none", "unsure"],
)
def test_the_category_is_the_nets_where_it_is_sure_else_the_hints(
    shares: list[float], hint: str | None, named: str
) -> None:
    reader = SecondReader(linear(), WordNet(net(shares)), "en")
    assert reader.suspects(parts("x"), hint) == named


def test_one_sentence_in_the_midst_of_a_long_story_is_seen() -> None:
    place = next(iter(signs(["collapsed"], unspaced=False)))
    weights = bytearray(2 << BITS)
    weights[place] = 100
    for one in range(1 << BITS):
        weights[(1 << BITS) + one] = 16
    reader = LinearReader(linear(bytes(weights)))
    story = [f"word{number}" for number in range(100)]
    alone, whole = reader.score(["collapsed"]), reader.score([*story, "collapsed", *story])
    second = SecondReader(linear(bytes(weights)), WordNet(net()), "en")
    words = [*story, "collapsed", *story]
    assert alone > whole
    assert second.read(parts(*words), None)[0] > whole


@given(st.lists(st.text(max_size=12), max_size=80), st.booleans())
def test_any_words_have_places_and_a_score(words: list[str], unspaced: bool) -> None:
    assert all(0 <= place < 1 << BITS for place in signs(words, unspaced=unspaced))
    assert all(0 <= place < 1 << NET_BITS for word in words for place in word_signs(Noted(word, ("pain",))))
    assert set(next(iter(pieces(words)))) == set(words)
    assert LinearReader(linear()).score(words) == -1.0


def test_the_net_reads_an_order_that_a_list_of_words_has_not(triage: Triage) -> None:
    reader = triage._reader("en")
    assert reader is not None
    first, other = (triage.look(text, "en") for text in ("no it is pain", "it is no pain"))
    assert sorted(first.words) == sorted(other.words)
    net_of = reader._net
    assert net_of.read(first.noted(), "en")[0] != net_of.read(other.noted(), "en")[0]


def test_nothing_is_not_read() -> None:
    score, shares = WordNet(net()).read([], "en")
    assert score == -math.inf and not shares
    reader = SecondReader(linear(), WordNet(net([50, 0, 0])), "en")
    assert reader.suspects(parts(), None) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}\n",
        b"no json\n" + bytes(2 << BITS),
        b"[]\n" + bytes(2 << BITS),
        linear(schema="other"),
        linear(bytes(10)),
        linear(scale=math.nan),
        linear(threshold=math.inf),
        linear(hint=None),
        linear(net="much"),
    ],
)
def test_what_are_no_weights_is_refused(content: bytes) -> None:
    with pytest.raises(BadWeights):
        SecondReader(content, WordNet(net()), "en")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}\n",
        net()[:-2],
        net(schema="other"),
        net(scale=math.nan),
        net(languages=["en", "es"]),
        net([math.nan, 0, 0]),
    ],
)
def test_what_is_no_net_is_refused(content: bytes) -> None:
    with pytest.raises(BadWeights):
        WordNet(content)


@pytest.fixture(scope="module")
def triage() -> Triage:
    return shipped()


def test_the_net_is_of_all_languages_and_knows_the_categories(triage: Triage) -> None:
    found = triage._words_net()
    assert set(found.languages) == set(LANGUAGES)
    assert set(CATEGORIES) <= set(found.categories)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_one_and_a_number_is_no_emergency(triage: Triage, language: str) -> None:
    assert triage._reader(language) is not None
    assert triage.judge("72", language).level is Level.NONE


RULES = """
language = "en"
[context]
function_words = ["the"]
negation_before = ["no"]
negation_not = []
past = ["years ago"]
present = ["now"]
general = ["what is"]
but = ["but"]
[words]
pain = ["pain"]
[[rule]]
category = "eye"
level = "emergency"
when = ["blind"]
hints = ["eye + <pain>"]
[[rule]]
category = "eye"
level = "urgent"
when = ["eye + red"]
[say]
emergency = "call {number}"
urgent = "soon"
call_staff = "call"
local_number = "the number"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Triage]:
    def made(reader: bytes | None = None, words_net: bytes | None = None) -> Triage:
        (tmp_path / "en.toml").write_text(RULES)
        for name, content in (("en.reader", reader), ("words.net", words_net)):
            if content is not None:
                (tmp_path / name).write_bytes(content)
        return Triage(tmp_path)

    return made


def test_a_pattern_decides_alone_and_a_hint_only_with_the_reader(folder: Callable[..., Triage]) -> None:
    alone = folder()
    assert alone.judge("I am blind", "en").level is Level.EMERGENCY
    assert alone.judge("my eye, the pain", "en").level is Level.NONE
    lenient = folder(linear(threshold=3.0), net([0, 0, 0]))
    assert lenient.judge("my eye, the pain", "en").category == "eye"
    assert lenient.judge("no pain in the eye", "en").level is Level.NONE, "a hint can be taken back too"
    assert lenient.judge("the weather", "en").level is Level.NONE
    strict = folder(linear(threshold=1e6), net([-50, 0, 0]))
    assert strict.judge("I am blind", "en").level is Level.EMERGENCY, "however sure it is of the contrary"
    assert strict.judge("my eye is red", "en").level is Level.URGENT


@pytest.mark.parametrize(
    ("reader", "words_net"),
    [(b"x", net()), (linear(), b"x"), (linear(), None)],
    ids=["broken", "broken net", "no net"],
)
def test_broken_weights_are_told_not_left_out(
    folder: Callable[..., Triage], reader: bytes, words_net: bytes | None
) -> None:
    with pytest.raises(EnvironmentFault, match="rules that notice emergencies"):
        folder(reader, words_net).judge("the weather", "en")
