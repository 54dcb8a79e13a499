"""What leaves this device says nothing of who the person is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.assistant.masking import Known, masked

KNOWN = Known(("María José García-López", "Anna Li", "李小明"), ("MRN-00123",))


@pytest.mark.parametrize(
    ("typed", "leaves"),
    [
        ("I am Maria jose garcia-lopez, record mrn 00123.", "I am [name], record [number]."),
        ("Anna's pulse", "[name] pulse"),
        ("an\u200bna is ill", "[name] is ill"),
        ("李小明的结果", "[name]的结果"),
        ("phone +49 170 1234567 and 555-123-4567, 06 12 34 56 78", "phone [phone] and [phone], [phone]"),
        ("call me ٠١٢٣٤٥٦٧٨٩", "call me [phone]"),
        ("mail me at a.b@c.org", "mail me at [email]"),
        ("see https://example.org/me?name=x", "see [link]"),
        ("my name is John Smith and I feel bad", "my name is [name] and I feel bad"),
        ("je m'appelle Pierre Dupont, j'ai mal", "je m'appelle [name], j'ai mal"),
        ("Ich heiße Karl Müller", "Ich heiße [name]"),
        ("me llamo Juan Pérez", "me llamo [name]"),
        ("मेरा नाम राम कुमार है", "मेरा नाम [name] है"),
        ("我叫王伟，我头疼", "我叫[name]，我头疼"),
        ("اسمي محمد", "اسمي [name]"),
        ("Dr. Smith told me", "Dr. [name] told me"),
        ("DOB: 12 March 1975", "DOB: [date]"),
        ("born 5/3/1980", "born [date]"),
        ("geboren am 3. Mai 1970", "geboren am [date]"),
        ("nací el 3 de mayo de 1960", "nací el [date]"),
        ("出生于1980年5月3日", "出生于[date]"),
        ("patient number A12345", "patient number [number]"),
        ("NHS number 943 476 5919", "NHS number [phone]"),
    ],
)
def test_who_somebody_is_is_taken_out(typed: str, leaves: str) -> None:
    assert masked(typed, KNOWN) == leaves


@pytest.mark.parametrize(
    "typed",
    [
        "My heart rate was 120 80 75 and 72.5 today, 14:30",
        "BP 120/80 at 2 pm",
        "SpO2 98, temperature 38.5, 500 mg of B12",
        "my name is not important",
        "this is because I run",
        "an annual check, and annals",
    ],
)
def test_what_is_about_health_stays(typed: str) -> None:
    assert masked(typed, KNOWN) == typed


@given(st.text(max_size=60), st.text(max_size=60))
def test_a_known_name_and_number_never_stay(before: str, after: str) -> None:
    leaves = masked(f"{before} Anna Li, MRN-00123 {after}", KNOWN)
    assert "MRN-00123" not in leaves
    assert "Anna Li" not in leaves


@given(st.text())
def test_any_text_can_be_masked_and_masked_again(text: str) -> None:
    assert masked(masked(text, KNOWN), KNOWN) == masked(text, KNOWN)
