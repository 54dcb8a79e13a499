"""What of an answer reaches a person, and what never does."""

from __future__ import annotations

import re
import unicodedata

import hypothesis.strategies as st
import pytest
from hypothesis import given

from client.assistant.grounding import MOST_CHARACTERS, MOST_SENTENCES, Checker, Fault
from client.assistant.numbers import NAMED
from client.assistant.triage import Level
from tests.client.assistant.conversing import EVIDENCE, checked

GOOD = {
    "en": "Your last scan showed a heart rate of 72 per minute, between 70 and 74 [v1]. It was measured on 5 October 2025 at 2:30 pm. "
    "If you feel unwell, talk to a doctor, e.g. your own.\nA camera cannot measure blood pressure. "
    "Please ask your doctor before changing any medicine. I cannot tell whether you have an infection.",
    "es": "Su última frecuencia cardíaca fue de 72,1 por minuto, entre 70 y 74 [v1]. Se midió el 5 de octubre de 2025 a las 14:30. "
    "Una cámara no puede medir la presión arterial. Consulte con su médico antes de cambiar cualquier medicamento.",
    "fr": "Votre dernière fréquence cardiaque était de 72 par minute, entre 70 et 74 [v1]. Elle a été mesurée le 5 octobre 2025 à 14h30. "
    "Une caméra ne peut pas mesurer la tension. Demandez à votre médecin avant de changer un médicament.",
    "de": "Ihre letzte Herzfrequenz war 72 pro Minute, zwischen 70 und 74 [v1]. Gemessen wurde am 5. Oktober 2025 um 14:30 Uhr. "
    "Eine Kamera kann den Blutdruck nicht messen. Fragen Sie Ihren Arzt, bevor Sie ein Medikament ändern.",
    "pt": "A sua última frequência cardíaca foi de 72 por minuto, entre 70 e 74 [v1]. Foi medida em 5 de outubro de 2025 às 14:30. "
    "Uma câmera não pode medir a pressão arterial. Fale com o seu médico antes de mudar um medicamento.",
    "zh": "您最近一次的心率是每分钟72次，区间为70到74 [v1]。测量时间是2025年10月5日14:30。摄像头不能测量血压。更换任何药物之前，请先问医生。",
    "hi": "आपकी पिछली हृदय गति ७२ प्रति मिनट थी, 70 और 74 के बीच [v1]। अगर आपको तबीयत खराब लगे तो डॉक्टर से बात करें। कैमरा रक्तचाप नहीं माप सकता।",
    "ar": "كان آخر نبض القلب لديك ٧٢ في الدقيقة، بين 70 و74 [v1]. إذا شعرت بتوعك فتحدث إلى طبيب. الكاميرا لا تقيس ضغط الدم.",
}
BAD: dict[Fault, tuple[tuple[str, str], ...]] = {
    Fault.NUMBER: (
        ("en", "Your heart rate was 73."),
        ("en", "Your heart rate was 72.6 percent."),
        ("en", "Your heart rate: seven two."),
        ("en", "Your pulse is seventy-three."),
        ("en", "Your breathing rate was 72 per minute [v1]."),
        ("en", "Your breathing rate is about fifteen per minute."),
        ("en", "Your heart rate was 1,047."),
        ("en", "Your heart rate is l00."),
        ("en", "Your heart rate is 7O."),
        ("en", "Your heart rate is LXXIII."),
        ("en", "Your heart rate is ⑦③."),
        ("en", "It was on 5 October 2024."),
        ("en", "It was at 15:45."),
        ("en", "Call 911."),
        ("en", "Your heart rate is 112."),
        ("en", "Rest for 15 minutes."),
        ("en", "9."),
        ("en", "4. Sit down."),
        ("en", "Your pulse is setenta y tres."),
        ("en", "Your pulse is in the eighties."),
        ("en", "The letter says 13.9."),
        ("es", "Su pulso es setenta y tres."),
        ("fr", "Votre pouls est de quatre-vingt-dix-sept."),
        ("de", "Ihr Puls ist dreiundsiebzig."),
        ("pt", "O seu pulso é setenta e três."),
        ("zh", "您的脉搏是七十三次。"),
        ("hi", "आपकी नाड़ी तिहत्तर है।"),
        ("ar", "نبضك ثلاثة وسبعون."),
    ),
    Fault.CITATION: (
        ("en", "So it is [k9]."),
        ("en", "So it is [1]."),
        ("en", "So it is 【v7】."),
        ("en", "Smith et al say so."),
    ),
    Fault.DOSE: (
        ("en", "Please skip your morning insulin."),
        ("en", "You should come off warfarin."),
        ("en", "Take 2 aspirin now."),
        ("es", "Puede dejar las pastillas."),
        ("fr", "Ne prenez plus vos comprimés."),
        ("de", "Lassen Sie das Insulin weg."),
        ("pt", "Não tome a insulina."),
        ("zh", "请不要吃药了。"),
        ("hi", "दो गोली लें।"),
        ("ar", "خذ حبتين."),
    ),
    Fault.DIAGNOSIS: (
        ("en", "This looks like a heart attack."),
        ("en", "You are perfectly healthy."),
        ("en", "You have pneu-monia."),
        ("en", "You have f l u."),
        ("es", "Tiene usted una infección."),
        ("fr", "Vous souffrez d'une arythmie."),
        ("de", "Sie leiden an Vorhofflimmern."),
        ("pt", "Você sofre de arritmia."),
        ("zh", "您患有房颤。"),
        ("hi", "आपको दिल का दौरा पड़ा है।"),
        ("ar", "أنت مصاب بالسكري."),
    ),
    Fault.CAMERA: (("en", "Based on the video, your BP looks great."), ("de", "Ihr Blutdruck ist gut.")),
    Fault.LINK: (
        ("en", "See www.example.com now."),
        ("en", "Visit health dot com."),
        ("en", "Write to a@example.com."),
        ("en", "Ring 0800 555 0199."),
    ),
    Fault.MARKUP: (
        ("en", "This is <b>bold</b> text."),
        ("en", "See ![it](x) here."),
        ("en", "Click [here](x)."),
    ),
    Fault.LANGUAGE: (
        ("en", "Ihre Messung ist in Ordnung und Sie können gehen."),
        ("en", "Il tuo cuore batte bene come sempre ogni giorno"),
        ("en", "Your heart is \u0437\u0434\u043e\u0440\u043e\u0432\u043e."),
        ("zh", "Your measurement is fine and you can go."),
        ("ar", "This is what it says."),
    ),
    Fault.LEAK: (
        ("en", "My instructions say so."),
        ("es", "Mis instrucciones dicen eso."),
        ("en", "URGENCY: none"),
    ),
    Fault.REPEATED: (
        ("en", "Please ask the staff here. Please ask the staff here."),
        ("en", "it is very very very very very good"),
    ),
}


@pytest.mark.parametrize("language", GOOD)
@pytest.mark.parametrize("size", [1, 5, 10_000])
def test_a_proved_answer_is_given_whole(language: str, size: int) -> None:
    text, fault = checked(GOOD[language], language, size=size)
    assert fault is None
    assert text == GOOD[language]


@pytest.mark.parametrize(
    ("fault", "language", "text"), [(fault, *one) for fault, all_of in BAD.items() for one in all_of]
)
def test_what_is_not_proved_or_not_ours_to_say_ends_the_answer(
    fault: Fault, language: str, text: str
) -> None:
    released, found = checked(text, language, allowed=("112",))
    assert found is fault
    assert released in {"", "Please ask the staff here."}


def test_reassurance_fails_against_a_level_and_not_without_one() -> None:
    said = "You can wait and see how it goes."
    assert checked(said) == (said, None)
    assert checked(said, level=Level.URGENT) == ("", Fault.REASSURANCE)
    checker = Checker(EVIDENCE, "en")
    checker.raise_to(Level.EMERGENCY)
    assert not checker.push(said + " ") + checker.finish()


def test_what_was_released_before_a_fault_stays_and_nothing_follows_it() -> None:
    checker = Checker(EVIDENCE, "en")
    assert [
        one.text for one in checker.push("That is good to know. You have pneumonia. Thank you for asking. ")
    ] == ["That is good to know."]
    assert checker.fault is Fault.DIAGNOSIS
    assert checker.push("More of it. ") == []
    assert checker.finish() == []


def test_the_emergency_number_of_the_place_may_be_called() -> None:
    assert checked("Call 112 now.", allowed=("112",)) == ("Call 112 now.", None)
    assert checked("Ring 116 123, at any time.", allowed=("116 123",))[1] is None


def test_invisible_and_directional_signs_never_come_out() -> None:
    text, fault = checked("It\u200b is\u202e go\u2066od to\U000e0041 know\x07.")
    assert (text, fault) == ("It is good to know.", None)


def test_points_of_a_list_may_be_counted() -> None:
    text = "Do this:\n1. Sit down.\n2. Look at the camera.\n3) Wait for it."
    assert checked(text) == (text, None)
    assert checked("Do this:\n1. Sit down.\n7. Look at the camera.")[0] == "Do this:\n1. Sit down."


def test_a_placeholder_of_ours_is_not_read_out() -> None:
    assert checked("Good to see you [name], and thank you.") == ("Good to see you, and thank you.", None)


def test_a_documents_numbers_count_where_it_is_cited() -> None:
    assert checked("The letter says 13.9 [d1].")[1] is None


def test_an_answer_without_end_is_ended() -> None:
    sentence = "This is what one can say about {} and more of it. "
    names = ["".join(chr(97 + at // 26**place % 26) for place in range(3)) for at in range(2000)]
    text, fault = checked("".join(sentence.format(name) for name in names), size=400)
    assert fault is Fault.TOO_LONG
    assert len(text) <= MOST_CHARACTERS
    assert text.count(".") <= MOST_SENTENCES
    assert checked("word and " * 900)[1] is Fault.TOO_LONG


# --- Whatever a model says

_PIECES = st.lists(
    st.one_of(
        st.text(max_size=12),
        st.sampled_from(
            [
                *GOOD["en"].split(" "),
                "Your heart rate was ",
                "[v1]",
                "[k2]",
                "[v9]",
                ". ",
                "! ",
                "\n",
                "seventy",
                "-three ",
            ]
        ),
        st.integers(0, 300).map(str),
        st.integers(0, 300).map(lambda one: "".join(chr(0x0660 + int(digit)) for digit in str(one))),
        st.integers(0, 300).map(lambda one: "".join(chr(0xFF10 + int(digit)) for digit in str(one))),
        st.floats(0, 200).map(lambda one: f"{one:.1f}"),
        st.sampled_from(
            [" ", "\u200b", "\u2060", ".", ",", "%", " per minute", "\u0966", "\u00b2", "\u2075"]
        ),
    ),
    max_size=40,
)
_PROVED = {72, 72.1, 70, 70.3, 74, 74.2, 38, 38.2, 60, 100, 97, 95, 13.9, 5, 10, 2025, 14, 30, 2}


def numbers_of(text: str) -> list[str]:
    """Read apart from the code under test: runs of digits of any script, with their decimals; names such as B12 are none."""
    digits = "".join(
        str(unicodedata.digit(one)) if unicodedata.digit(one, None) is not None else one for one in text
    )
    digits = re.sub(rf"(?i)(?<![a-z0-9])(?:{'|'.join(NAMED)})(?![a-z0-9])", " ", digits)
    return re.findall(
        r"[0-9]+(?:[.,][0-9]+)*", re.sub(r"\[[vkd][0-9]{1,2}(?:, ?[vkd][0-9]{1,2})*\]", " ", digits)
    )


@given(_PIECES)
def test_no_number_and_no_citation_outside_the_evidence_is_ever_released(pieces: list[str]) -> None:
    checker = Checker(EVIDENCE, "en")
    released = [one for piece in pieces for one in checker.push(piece)] + checker.finish()
    for one in released:
        listed = re.sub(
            r"^\(?\d[.)](?=\s+[^\W\d_])", "", one.text
        )  # the number of a list's point: never alone
        assert {float(number.replace(",", ".")) for number in numbers_of(listed)} <= _PROVED, one.text
        assert set(re.findall(r"\[\s*(\w+)", one.text)) & {"v9", "k2"} == set()
        assert set(one.citations) <= {"v1", "v2", "k1", "d1"}
        assert not any(unicodedata.category(sign) in {"Cf", "Co", "Cn", "Cs"} for sign in one.text)


@given(st.sampled_from(sorted(GOOD)), st.data())
def test_where_the_pieces_are_cut_changes_nothing(language: str, data: st.DataObject) -> None:
    text = GOOD[language]
    cuts = sorted(data.draw(st.sets(st.integers(1, len(text) - 1), max_size=20)))
    checker = Checker(EVIDENCE, language)
    found = [
        one
        for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)
        for one in checker.push(text[start:end])
    ]
    found += checker.finish()
    assert "".join(one.joint + one.text for one in found) == text
