"""The public API: whatever is said, in whatever language, with whatever readings."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.assistant.triage import Level, Place, Readings, Triage, Verdict, highest, region_of
from client.errors import EnvironmentFault

RED_FLAGS = [
    "my chest hurts and my left arm feels heavy",
    "he can't breathe",
    "her face is drooping and she can't lift her arm",
    "I want to kill myself",
    "I took too many pills",
    "the baby is floppy and won't wake up",
    "she is vomiting blood",
]
MINIMISED = [
    "it's probably nothing",
    "she always exaggerates",
    "he just wants attention",
    "I told him it is only stress",
    "sorry to bother you with this",
    "my husband says it is wind",
]
BENIGN = ["The weather is nice.", "I like tea.", "Where is the car park?", "My name is long."]


def test_levels_are_ordered() -> None:
    assert Level.NONE < Level.URGENT < Level.EMERGENCY
    assert Level.EMERGENCY >= Level.EMERGENCY > Level.URGENT and Level.NONE <= Level.NONE
    assert max(Level.EMERGENCY, Level.URGENT, Level.NONE) is Level.EMERGENCY
    verdicts = [Verdict(Level.NONE, None, "en"), Verdict(Level.URGENT, "clot", "en")]
    assert highest(verdicts).category == "clot"


def test_languages_are_those_of_the_files(triage: Triage) -> None:
    assert triage.languages == ("en", "es")
    assert triage.resolved("es-MX") == triage.resolved("ES_es") == "es"
    assert triage.resolved("tlh") == "en"


def test_a_text_in_another_language_is_heard(triage: Triage) -> None:
    assert triage.judge("me duele el pecho", "en") == Verdict(Level.EMERGENCY, "chest_pain", "es")
    assert triage.judge("my chest hurts", "es") == Verdict(Level.EMERGENCY, "chest_pain", "en")
    assert triage.judge("no me duele la mano", "en") == Verdict(Level.NONE, None, "en")
    assert triage.judge("Здравствуйте", "en") == Verdict(Level.NONE, None, "en")


def test_other_letters_alone_are_another_language(folder: Path) -> None:
    other = (folder / "es.toml").read_text(encoding="utf-8")
    hindi = other.replace('"es"', '"hi"').replace('"me", "el"', '"है", "में"').replace('"pecho"', '"सीने"')
    hindi = hindi.replace('"la", "que", "de", "y", "no", "en"', '"और"').replace('"duele", "dolor"', '"दर्द"')
    (folder / "hi.toml").write_text(hindi, encoding="utf-8")
    assert Triage(folder).judge("सीने दर्द", "en").language == "hi"


@pytest.mark.parametrize(
    ("text", "readings", "expected"),
    [
        ("I feel dizzy", Readings(heart_rate=140.0), ("emergency", "vitals")),
        ("I feel dizzy", Readings(heart_rate=130.6), ("emergency", "vitals")),
        ("I feel dizzy", Readings(heart_rate=115.0), ("urgent", "vitals")),
        ("I feel dizzy", Readings(heart_rate=72.0, temperature=36.6), ("none", None)),
        ("I feel dizzy", Readings(spo2=90.0), ("emergency", "vitals")),
        ("I feel dizzy", Readings(temperature=35.0), ("emergency", "vitals")),
        ("I feel dizzy", Readings(temperature=39.2), ("urgent", "vitals")),
        ("I feel dizzy", Readings(systolic=185.0, diastolic=95.0), ("emergency", "vitals")),
        ("I feel dizzy", Readings(diastolic=121.0), ("emergency", "vitals")),
        ("I feel dizzy", Readings(respiratory_rate=float("nan")), ("none", None)),
        ("I feel dizzy", Readings(respiratory_rate=float("inf")), ("emergency", "vitals")),
        ("my calf is swollen", Readings(respiratory_rate=26.0), ("emergency", "vitals")),
        ("my calf is swollen", Readings(respiratory_rate=22.0), ("urgent", "clot")),
        ("hello", Readings(heart_rate=140.0), ("none", None)),
        ("I am not dizzy", Readings(heart_rate=140.0), ("none", None)),
        ("can't breathe", Readings(heart_rate=70.0), ("emergency", "breathing")),
    ],
)
def test_readings_raise_the_level_of_whoever_feels_ill(
    text: str, readings: Readings, expected: tuple[str, str | None], triage: Triage
) -> None:
    verdict = triage.judge_with_vitals(text, "en", readings)
    assert (verdict.level.value, verdict.category) == expected


def test_what_is_said_names_the_number_of_the_place(triage: Triage) -> None:
    chest = Verdict(Level.EMERGENCY, "chest_pain", "en")
    usa = Place("US", "911", "988")
    assert triage.say(chest, "en", usa) == "Call 911 now. If you think of dying, call 988. Stay here."
    assert triage.say(chest, "en", Place("PT", "112")) == "Call 112 now. Stay here."
    assert triage.say(chest, "en") == "Call your local emergency number now. Stay here."
    assert triage.say(chest, "es", usa) == "Llame al 911."
    assert triage.say(Verdict(Level.EMERGENCY, "breathing", "en"), "en", usa) == "Sit up. Call 911."
    assert (
        triage.say(Verdict(Level.URGENT, "breathing", "en"), "en", usa) == "See a doctor today, or call 911."
    )
    assert triage.say(Verdict(Level.NONE, None, "en"), "en", usa) == ""
    assert triage.call_staff("es-MX") == "Llamar al personal"


@pytest.mark.parametrize(
    ("country", "regions", "number"),
    [
        ("US", ["PT"], "911"),
        ("XX", ["PT"], None),
        (None, ["PT"], "112"),
        (None, [None, "PT"], "112"),
        (None, ["PT", "ES"], "112"),
        (None, ["PT", "US"], None),
        (None, ["PT", "XX"], None),
        (None, ["XX", "PT"], None),
        (None, ["419"], None),
        (None, [], None),
    ],
)
def test_the_place_is_never_guessed(
    country: str | None, regions: list[str | None], number: str | None, triage: Triage
) -> None:
    place = triage.place_of(country, regions)
    assert (None if place is None else place.number) == number


@pytest.mark.parametrize(
    ("name", "region"),
    [
        ("pt_BR.UTF-8", "BR"),
        ("de-AT", "AT"),
        ("zh_Hant_TW", "TW"),
        ("ca_ES@valencia", "ES"),
        ("de", None),
        ("C", None),
        ("C.UTF-8", None),
        ("es_419", None),
        ("", None),
        (None, None),
    ],
)
def test_a_locale_names_a_region(name: str | None, region: str | None) -> None:
    assert region_of(name) == region


def test_a_broken_installation_says_so(folder: Path) -> None:
    (folder / "es.toml").write_text("x", encoding="utf-8")
    with pytest.raises(EnvironmentFault, match=r"es\.toml"):
        Triage(folder).judge("hola", "es")
    (folder / "es.toml").unlink()
    triage = Triage(folder)
    assert triage.languages == ("en",)
    (folder / "en.toml").unlink()
    with pytest.raises(EnvironmentFault, match=r"en\.toml"):
        triage.judge("hello", "en")
    with pytest.raises(EnvironmentFault):
        Triage(folder / "nowhere").judge("hello", "en")


def test_all_shipped_numbers_can_be_dialled(english: Triage) -> None:
    expected = {
        "PT": "112",
        "GB": "999",
        "US": "911",
        "AU": "000",
        "NZ": "111",
        "IN": "112",
        "CN": "120",
        "BR": "192",
        "SA": "997",
    }
    places = {country: english.place_of(country) for country in (*expected, "MX", "EG", "JP", "ZA")}
    assert all(place is not None and place.number.isdigit() for place in places.values())
    assert expected.items() <= {country: place.number for country, place in places.items() if place}.items()


def test_nobodys_words_are_logged(english: Triage, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        english.judge("canary9 can't breathe", "en")
    assert "canary9" not in caplog.text


# --- Properties


@given(text=st.text(st.characters(), max_size=400))
@settings(deadline=None, max_examples=150)
def test_any_text_is_judged(text: str, english: Triage) -> None:
    verdict = english.judge(text, "en")
    assert (verdict.category is None) == (verdict.level is Level.NONE)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\x00\x1b[31m",
        "\ud800",
        "\ud800chest pain\udfff",
        "'" * 5000,
        "chest pain " * 2000,
        "ﷺ" * 20_000,
        "a" * 1_000_000,
    ],
)
def test_odd_texts_are_judged(text: str, english: Triage) -> None:
    expected = Level.EMERGENCY if "chest" in text else Level.NONE
    assert english.judge(text, "en").level is expected


def test_the_end_of_a_long_text_is_heard(english: Triage) -> None:
    assert english.judge("I like tea. " * 100_000 + "I can't breathe", "en").level is Level.EMERGENCY
    assert english.judge("I can't breathe. " + "I like tea. " * 100_000, "en").level is Level.EMERGENCY


@given(
    flag=st.sampled_from(RED_FLAGS),
    before=st.sampled_from(["", *MINIMISED]),
    after=st.sampled_from(["", *MINIMISED]),
)
@settings(deadline=None)
def test_playing_it_down_never_lowers(flag: str, before: str, after: str, english: Triage) -> None:
    assert english.judge(f"{before} {flag}, {after}", "en").level is Level.EMERGENCY


@given(flag=st.sampled_from(RED_FLAGS), more=st.lists(st.sampled_from(BENIGN), max_size=4))
@settings(deadline=None)
def test_a_harmless_sentence_never_lowers(flag: str, more: list[str], english: Triage) -> None:
    assert english.judge(". ".join([flag, *more]), "en").level is Level.EMERGENCY


def _wide(text: str) -> str:
    return "".join(chr(ord(one) + 0xFEE0) if "!" <= one <= "~" else one for one in text)


@given(
    flag=st.sampled_from([*RED_FLAGS, *BENIGN]),
    how=st.sampled_from(
        [
            str.upper,
            _wide,
            "\u200b".join,
            "\u0301".join,
            lambda text: text.replace("'", "\u2019"),
            lambda text: text.replace("'", ""),
            lambda text: text.replace(" ", " \t "),
        ]
    ),
)
@settings(deadline=None)
def test_how_it_is_written_changes_nothing(flag: str, how: object, english: Triage) -> None:
    assert callable(how)
    assert english.judge(how(flag), "en").level is english.judge(flag, "en").level
