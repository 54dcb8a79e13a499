"""A conversation: triage first and for good, the least that leaves, and what a model may do to it."""

from __future__ import annotations

import uuid
from dataclasses import replace

import hypothesis.strategies as st
import pytest
from hypothesis import given

from client.assistant.conversation import (
    MOST_TURN_CHARACTERS,
    MOST_TURNS,
    Conversation,
    Ended,
    Raised,
    Released,
    Replaced,
    Role,
)
from client.assistant.evidence import Evidence
from client.assistant.grounding import Fault
from client.assistant.masking import NOBODY, Known
from client.assistant.triage import Level, Place, Readings, Verdict
from client.errors import EnvironmentFault
from tests.client.assistant.conversing import DOCUMENT, EVIDENCE, HEART_RATE, PASSAGE, Shelf
from tests.client.assistant.triaging import PLACE, SmallTriage, small_triage

FACTS = replace(EVIDENCE, passages=())


def begun(
    *, place: Place | None = PLACE, known: Known = NOBODY, heart_rate: float | None = None
) -> Conversation:
    readings = Readings(heart_rate=heart_rate)
    return Conversation(
        small_triage(),
        "en",
        library=Shelf(PASSAGE),
        evidence=FACTS,
        place=place,
        known=known,
        readings=readings,
        age_band="45-59",
    )


def test_an_emergency_stops_everything_and_is_said_first() -> None:
    talk = begun()
    heard = talk.heard("I have chest pain.")
    assert heard.stop is not None
    assert (heard.stop.level, heard.stop.category, heard.stop.text) == (
        Level.EMERGENCY,
        "chest_pain",
        "Call 112.",
    )
    assert (heard.stop.number, heard.stop.call_staff) == ("112", "Call staff (en)")
    assert heard.advice is None
    assert [turn.role for turn in talk.turns] == [Role.PERSON, Role.SAFETY]
    assert talk.turns[-1].sentences == ("Call 112.",)


def test_an_urgent_sign_is_advice_and_the_conversation_goes_on() -> None:
    heard = begun(place=None).heard("I am feverish.")
    assert heard.stop is None
    assert heard.advice is not None
    assert heard.advice.number is None


def test_a_level_never_falls_by_what_is_said_later() -> None:
    talk = begun()
    talk.heard("I have chest pain.")
    for later in ("It is nothing, it is gone.", "I am feverish.", "Thank you.", "How is my pulse?"):
        talk.heard(later)
        assert talk.level is Level.EMERGENCY
        assert talk.category == "chest_pain"
    assert talk.answer_locally().text.startswith("Call 112.")


def test_signs_told_in_pieces_are_judged_together() -> None:
    talk = begun()
    assert talk.heard("It is in my chest.").stop is None
    assert talk.heard("There is pain.").stop is not None


def test_what_was_measured_counts_with_what_is_felt() -> None:
    assert begun(heart_rate=140).heard("I am dizzy.").stop is not None
    talk = begun()
    assert talk.heard("I am dizzy.").stop is None
    talk.know(FACTS, Readings(heart_rate=140))
    assert talk.heard("Still dizzy.").stop is not None


def test_without_triage_there_is_no_conversation() -> None:
    class Broken(SmallTriage):
        def judge_with_vitals(self, text: str, language: str, readings: Readings) -> Verdict:
            raise EnvironmentFault(title="broken", remedy="mend")

    talk = Conversation(Broken(), "en")
    with pytest.raises(EnvironmentFault):
        talk.heard("hello")
    assert talk.turns == ()


# --- What leaves


def test_a_question_holds_the_least() -> None:
    talk = begun(known=Known(names=("Anna Li",), numbers=("MRN-00123",)))
    talk.heard("I am Anna Li, MRN-00123, feverish. How is my pulse?")
    question = talk.question()
    assert str(uuid.UUID(question.conversation_id)) == talk.id
    assert [(one.role, one.text) for one in question.turns] == [
        (Role.PERSON, "I am [name], [number], feverish. How is my pulse?")
    ]
    assert (question.level, question.category, question.age_band, question.language) == (
        Level.URGENT,
        "sepsis",
        "45-59",
        "en",
    )
    assert [one.id for one in question.facts] == ["v1", "v2"]
    assert question.documents == (DOCUMENT,)


def test_a_name_that_was_masked_stays_masked_when_there_is_another_or_none() -> None:
    talk = begun(known=Known(names=("Anna Li",)))
    talk.heard("It aches, says Anna Li.")
    for known in (Known(names=("Anna Moreau",)), NOBODY):
        talk.know(FACTS, Readings(), known)
        talk.heard("Is it bad for Anna Moreau?")
        sent = " ".join(one.text for one in talk.question().turns)
        assert "Anna" not in sent and "Li" not in sent.split() and "Moreau" not in sent


def test_a_question_has_limits_and_ends_with_the_person() -> None:
    talk = begun()
    talk.know(Evidence((HEART_RATE,) * 40, documents=(DOCUMENT,) * 9), Readings())
    for at in range(30):
        talk.heard(f"Question {'x ' * 5000} number {at} end")
        talk.answer_locally()
    question = talk.question()
    assert len(question.turns) < MOST_TURNS + 1
    assert question.turns[0].role is question.turns[-1].role is Role.PERSON
    assert all(1 <= len(one.text) <= MOST_TURN_CHARACTERS for one in question.turns)
    assert question.turns[-1].text.endswith("end")
    assert [one.id for one in question.facts] == [f"v{at}" for at in range(1, 25)]
    assert [one.id for one in question.documents] == [f"d{at}" for at in range(1, 6)]


def test_safety_turns_do_not_leave_and_nothing_is_no_question() -> None:
    talk = begun()
    with pytest.raises(ValueError, match="nothing"):
        talk.question()
    talk.heard("chest pain")
    assert [one.role for one in talk.question().turns] == [Role.PERSON]


# --- A model's answer


def test_a_good_answer_grows_sentence_by_sentence() -> None:
    talk = begun()
    talk.heard("How is my pulse?")
    model = talk.listen_to_model()
    assert model.raise_to("none") == []
    assert model.push("Your heart rate was 72 per minute [v1].") == []
    (first,) = model.push(" It is usual [k1]")
    assert isinstance(first, Released)
    assert first.sentence.spoken == "Your heart rate was 72 per minute."
    assert [one.uri for one in first.citations] == ["fact:heart_rate"]
    assert not talk.turns[-1].complete
    assert model.cite("k1", "Heart rate", "At rest most adults have 60 to 100.", "heart-rate") == []
    *released, ended = model.push(".") + model.done("end_turn")
    assert isinstance(released[0], Released)
    assert ended == Ended(complete=True)
    turn = talk.turns[-1]
    assert turn.text == "Your heart rate was 72 per minute [v1]. It is usual [k1]."
    assert turn.sentences == ("Your heart rate was 72 per minute.", "It is usual.")
    assert [one.uri for one in turn.citations] == ["fact:heart_rate", "article:heart-rate"]
    assert (turn.source, turn.complete) == ("cloud", True)
    assert talk.question().turns[-1].role is Role.PERSON


def test_an_article_is_cited_only_where_the_server_supplied_it() -> None:
    talk = begun()
    talk.heard("How is my pulse?")
    model = talk.listen_to_model()
    (replaced,) = model.push("So it is [k1]. ") + model.done()
    assert isinstance(replaced, Replaced)
    assert replaced.why == "citation"
    assert model.fault is Fault.CITATION


def test_numbers_of_a_supplied_quote_and_of_our_own_passages_count() -> None:
    talk = begun()
    talk.heard("How is my pulse?")
    model = talk.listen_to_model()
    model.cite("k1", "Sport", "Athletes have 40 to 60 at rest.")
    assert len(model.push("Usual are 60 to 100, and in athletes 40 [k1]. Good to know.") + model.done()) == 3


def test_a_fault_ends_the_answer_and_ours_follows_as_its_own_turn() -> None:
    talk = begun()
    talk.heard("How is my pulse?")
    model = talk.listen_to_model()
    events = model.push("Good to ask. You have pneumonia. More. ")
    assert [type(one) for one in events] == [Released, Replaced]
    assert model.over
    assert model.push("More. ") == model.done() == model.failed() == model.stop() == []
    cloud, ours = talk.turns[-2:]
    assert (cloud.text, cloud.complete, ours.source, ours.complete) == ("Good to ask.", False, "device", True)
    assert ours.text.startswith("The rest of that answer could not be proved")
    assert "72" in ours.text


@pytest.mark.parametrize("end", ["failed", "silent", "cut"])
def test_an_answer_that_breaks_off_leaves_no_half_sentence(end: str) -> None:
    talk = begun()
    talk.heard("How is my pulse?")
    model = talk.listen_to_model()
    model.push("" if end == "silent" else "Good to ask. Your heart ra")
    events = model.failed() if end == "failed" else model.done("" if end == "silent" else "max_tokens")
    if end == "cut":
        assert events == [Ended(complete=False)]
        assert talk.turns[-1].text == "Good to ask."
    else:
        assert isinstance(events[-1], Replaced)
        assert events[-1].why == end
        assert "did not come in full" in talk.turns[-1].text
        assert talk.turns[-2].text == ("" if end == "silent" else "Good to ask.")


@pytest.mark.parametrize(
    ("word", "level"),
    [("urgent", Level.URGENT), ("emergency", Level.EMERGENCY), ("who knows", Level.EMERGENCY)],
)
def test_a_model_may_raise_the_level_and_never_lower_it(word: str, level: Level) -> None:
    talk = begun()
    talk.heard("How is my pulse?")
    model = talk.listen_to_model()
    events = model.raise_to(word)
    assert isinstance(events[0], Raised)
    assert talk.level is level
    assert model.raise_to("none") == []
    assert talk.level is level
    assert model.over is (level is Level.EMERGENCY)
    assert any(turn.role is Role.SAFETY for turn in talk.turns)
    model.push("You can wait. ")
    model.done()
    assert not any("can wait" in turn.text for turn in talk.turns)


def test_a_level_counts_even_after_the_answer_has_ended_but_not_after_forgetting() -> None:
    talk = begun()
    talk.heard("How is my pulse?")
    model = talk.listen_to_model()
    model.stop()
    assert [type(one) for one in model.raise_to("emergency")] == [Raised]
    raised: Level = talk.level
    assert raised is Level.EMERGENCY
    other = talk.listen_to_model()
    before = talk.id
    talk.forget()
    assert other.raise_to("emergency") == other.push("Hello there. ") == other.done() == []
    assert (talk.level, talk.category, talk.turns) == (Level.NONE, None, ())
    assert talk.id != before


def test_whoever_speaks_ends_the_answer_under_way() -> None:
    talk = begun()
    talk.heard("How is my pulse?")
    model = talk.listen_to_model()
    model.push("Good to ask. You can")
    talk.heard("I am feverish.")
    assert model.over
    assert model.push(" wait. ") == []
    assert [turn.text for turn in talk.turns][1:3] == ["Good to ask.", "I am feverish."]


def test_a_new_answer_ends_the_one_before() -> None:
    talk = begun()
    talk.heard("How is my pulse?")
    first = talk.listen_to_model()
    first.push("Good to ask. And")
    second = talk.listen_to_model()
    assert first.over
    assert not second.over
    assert talk.turns[-2].text == "Good to ask."


def test_feedback_is_kept_by_turn_and_forgotten() -> None:
    talk = begun()
    talk.heard("How is my pulse?")
    talk.answer_locally()
    talk.feedback(1, good=True)
    talk.feedback(0, good=True)
    talk.feedback(9, good=False)
    assert talk.feedbacks == {1: True}
    talk.forget()
    assert talk.feedbacks == {}


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("heard"), st.sampled_from(["chest pain", "feverish", "all is well", "no", ""])),
            st.tuples(st.just("raise"), st.sampled_from(["none", "urgent", "emergency", "low", ""])),
            st.tuples(st.just("push"), st.text(max_size=20)),
            st.tuples(st.sampled_from(["done", "failed", "stop", "local", "ask"]), st.just("")),
        ),
        max_size=30,
    )
)
def test_whatever_happens_a_level_never_falls(steps: list[tuple[str, str]]) -> None:
    talk = begun()
    talk.heard("hello")
    model = talk.listen_to_model()
    level = talk.level
    for step, text in steps:
        match step:
            case "heard":
                talk.heard(text)
            case "raise":
                model.raise_to(text)
            case "push":
                model.push(text)
            case "local":
                talk.answer_locally()
            case "ask":
                model = talk.listen_to_model()
            case _:
                getattr(model, step)()
        assert talk.level >= level
        level = talk.level
