"""Who is asked before anything is sent; what staff should look at, in words."""

from __future__ import annotations

import pytest

from client.pipeline.sharing import ON_PAPER_VERSION, assistant_agreed, question, server_of
from client.policy import Policy
from client.store.consents import CLOUD_VERSION, Consent
from client.store.observations import Person
from client.store.tasks import HELP, Task
from client.ui.views.guard import must_read_number, whose_number
from client.ui.views.sharing import assistant_holds, holds, standing
from client.ui.views.tasks import row, told
from tests.client.store.conftest import NOW

ENROLLED = {"url": "https://clinic.example.org/v1", "clinic_id": "c", "device_id": "d"}
ASKS, IN_WRITING = Policy(), Policy(ask_for_consent=False)


def consent(*, given: bool, version: int = CLOUD_VERSION) -> Consent:
    return Consent("id", "ana", "cloud", version, given, "en", NOW, 0)


def test_where_nothing_can_be_sent_nobody_is_asked() -> None:
    for guest in (True, False):
        found = standing(None, consent(given=True), ASKS, guest=guest)
        assert not found.ask and not found.sends and not found.on_paper and found.clinic == ""


@pytest.mark.parametrize(
    ("newest", "ask", "sends"),
    [
        (None, True, False),
        (consent(given=True), False, True),
        (consent(given=False), False, False),
        (consent(given=True, version=CLOUD_VERSION + 1), True, False),  # another text than today's
        (consent(given=False, version=CLOUD_VERSION + 1), True, False),
        (consent(given=True, version=ON_PAPER_VERSION), False, True),
    ],
)
def test_a_person_is_asked_once_for_each_text(newest: Consent | None, ask: bool, sends: bool) -> None:
    found = standing(ENROLLED, newest, ASKS, guest=False)
    assert (found.ask, found.sends, found.on_paper) == (ask, sends, False)
    assert found.clinic == "clinic.example.org"


def test_a_guest_is_asked_each_time() -> None:
    assert standing(ENROLLED, None, ASKS, guest=True).ask
    assert standing(ENROLLED, consent(given=True), ASKS, guest=True).ask
    in_writing = standing(ENROLLED, None, IN_WRITING, guest=True)
    assert not in_writing.ask and in_writing.sends


def test_what_is_in_writing_is_noted_once_and_a_refusal_holds() -> None:
    found = standing(ENROLLED, None, IN_WRITING, guest=False)
    assert found.on_paper and found.sends and not found.ask
    again = standing(ENROLLED, consent(given=True, version=ON_PAPER_VERSION), IN_WRITING, guest=False)
    assert not again.on_paper and again.sends
    refused = standing(ENROLLED, consent(given=False), IN_WRITING, guest=False)
    assert not refused.on_paper and not refused.sends


def test_the_question_says_what_where_and_that_it_can_be_taken_back() -> None:
    words = " ".join(question("Ana", "clinic.example.org"))
    for part in (
        "Ana",
        "clinic.example.org",
        "intervals",
        "never sent",
        "name",
        "camera sees",
        "take this back",
    ):
        assert part in words
    assert "each time" in " ".join(question("", "clinic.example.org"))


def test_what_was_decided_in_words() -> None:
    assert "Not asked" in holds(None)
    assert "Agreed on" in holds(consent(given=True)) and "Nothing is sent" in holds(consent(given=False))
    assert "in writing" in holds(consent(given=True, version=ON_PAPER_VERSION))


def test_the_server_in_an_address() -> None:
    assert server_of("https://a.example.org:8443/v1/") == "a.example.org:8443"
    assert server_of("a.example.org") == "a.example.org"


def test_whose_number_it_is_however_it_was_read() -> None:
    ana, ben = Person("1", "Ana", NOW, "AB 12-3"), Person("2", "Ben", NOW, None)
    assert whose_number("\x02ab12-3\r", [ben, ana]) is ana
    assert whose_number("", [ben, ana]) is None and whose_number("99", [ben, ana]) is None
    assert must_read_number(ana, wanted=True)
    assert not must_read_number(ana, wanted=False)
    assert not must_read_number(ben, wanted=True) and not must_read_number(None, wanted=True)


def task(reason: str, kind: str = "scan", person: str | None = "ana") -> Task:
    return Task("id", "observation", person, kind, reason, NOW, NOW, None)


def test_the_person_is_told_calmly_and_without_a_diagnosis() -> None:
    assert told([]) == ""
    words = told([task("pulse_high"), task("pulse_high"), task("respiratory_rate_high")])
    assert words.count("131") == 1 and "25" in words
    assert "no diagnosis" in words and "feel unwell" in words and "measure again" in words
    assert "measure again" not in told([task("spo2_low", kind="oximeter")])


def test_a_task_in_a_list() -> None:
    shown = row(task("spo2_low", kind="oximeter"), {"ana": "Ana"}.__getitem__)
    assert shown.whose == "Ana" and "91" in shown.what
    assert row(task("of_2030", kind="hologram", person=None), str).whose == "Guest"
    called = row(Task("id", None, None, None, HELP, NOW, NOW, None), str)
    assert (called.whose, called.what) == ("Guest", "Somebody asked for help.")
    assert row(task("of_2030", kind="hologram"), lambda _: "").what.startswith("hologram: ")


@pytest.mark.parametrize(
    ("newest", "policy", "words"),
    [
        (None, ASKS, "not asked yet"),
        (None, IN_WRITING, "in writing"),
        (consent(given=True), ASKS, "agreed on"),
        (consent(given=False), IN_WRITING, "not agreed"),
        (consent(given=True, version=99), ASKS, "Nothing"),
    ],
)
def test_what_holds_of_the_assistant(newest: Consent | None, policy: Policy, words: str) -> None:
    told = assistant_holds(newest, policy)
    assert words in told and ("Nothing" in told) is not bool(assistant_agreed(newest, policy))
