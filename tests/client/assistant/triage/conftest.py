"""A small language of the tests' own, in which each rule of reading can be seen alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from client.assistant.triage import Triage, shipped
from client.assistant.triage.data import parsed
from client.assistant.triage.matching import Language

SMALL = """
language = "en"
[reading]
exact = ["cheat", "plan*"]
[context]
function_words = ["the", "i", "my", "is", "have", "and", "in", "of", "it", "this"]
negation_before = ["no", "not", "don't have", "without"]
negation_after = ["is gone"]
negation_not = ["not only", "no idea"]
negation_stops_at = ["fever"]
denial = ["no", "none"]
past = ["last year", "years ago", "as a child"]
present = ["now", "again"]
general = ["what are the symptoms of", "in the film"]
but = ["but"]
or = ["or"]
and = ["and"]
subject = ["i", "my", "he"]
[words]
chest = ["chest", "breastbone"]
pain = ["pain", "hurt*", "<heavy>"]
heavy = ["pressure"]
cannot = ["can't", "unable to"]
symptom = ["dizzy", "<pain>"]
[[rule]]
category = "suicide"
level = "emergency"
negatable = false
when = ["want to die"]
[[rule]]
category = "chest_pain"
level = "emergency"
reach = 4
when = ["<chest> + <pain>", "heart attack", "overdose*"]
unless = ["joking"]
[[rule]]
category = "breathing"
level = "emergency"
when = ["<cannot> > breath*"]
[[rule]]
category = "clot"
level = "urgent"
when = ["calf + swollen"]
[mask]
phrases = ["chest of drawers"]
[say]
emergency = "Call {number} now. If you think of dying, call {crisis}. Stay here."
urgent = "See a doctor today, or call {number}."
call_staff = "Call staff"
local_number = "your local emergency number"
[say.category]
breathing = "Sit up. Call {number}."
"""

OTHER = """
language = "es"
[context]
function_words = ["me", "el", "la", "que", "de", "y", "no", "en"]
negation_before = ["no", "sin"]
negation_not = []
past = ["hace años"]
present = ["ahora"]
general = ["que es"]
but = ["pero"]
[words]
duele = ["duele", "dolor"]
pecho = ["pecho"]
[[rule]]
category = "chest_pain"
level = "emergency"
when = ["<duele> + <pecho>"]
[say]
emergency = "Llame al {number}."
urgent = "Vaya al médico hoy."
call_staff = "Llamar al personal"
local_number = "su número de emergencias"
"""

NUMBERS = """
[emergency]
PT = "112"
ES = "112"
US = "911"
[crisis]
US = "988"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Data of two languages, and numbers."""
    for name, text in (("en", SMALL), ("es", OTHER), ("emergency_numbers", NUMBERS)):
        (tmp_path / f"{name}.toml").write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture
def triage(folder: Path) -> Triage:
    return Triage(folder)


@pytest.fixture(scope="session")
def english() -> Triage:
    """As it is shipped."""
    return shipped()


@pytest.fixture(scope="session")
def small() -> Language:
    return Language(parsed(SMALL.encode()))


@pytest.fixture
def level(small: Language) -> Callable[[str], str]:
    """The level of a text in the small language."""
    return lambda text: small.judge(text).level.value
