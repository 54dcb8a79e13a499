"""A conversation through all its threads: triage first, then the clinic or this device; turns, interruptions, consent, forgetting."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from unittest.mock import Mock

import numpy as np
import pytest

from client.assistant.conversation import Role
from client.assistant.evidence import Evidence
from client.assistant.masking import Known
from client.assistant.triage import Level
from client.cloud import faults
from client.cloud.chat import ChatCitation, ChatDelta, ChatDone, ChatError, ChatEvent, ChatUrgency
from client.evaluation.hostile_models import MODELS
from client.pipeline import talk as module
from client.pipeline.evidence import Gathered, Measured
from client.pipeline.listening import Overheard
from client.pipeline.talk import Talk
from client.pipeline.talk_state import Highlight, Mode, Phase, TalkState
from edge_models.speech import Began
from tests.client.assistant.conversing import EVIDENCE, LANGUAGES
from tests.client.pipeline.talk_fakes import (
    DONE,
    START,
    FakeVoice,
    Hang,
    Stage,
    eventually,
    fault,
    hostile,
    reachable,
    saying,
    threads,
)

PAIN = "I have chest pain"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is turned by hand, so whoever looks at it has to look often."""
    monkeypatch.setattr(module, "_IDLE_S", 0.005)
    monkeypatch.setattr(module, "_BUSY_S", 0.005)


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Not begun yet; ended after the test."""
    made = Stage()
    yield made
    if made.talk is not None:
        made.talk.close()


def answered(state: TalkState) -> bool:
    """The assistant has said all it has to say."""
    return bool(state.turns) and state.turns[-1].role is Role.ASSISTANT and state.phase is not Phase.ANSWERING


def last_text(state: TalkState) -> str:
    return state.turns[-1].text if state.turns else ""


# --- Triage


def test_triage_comes_before_anything_is_asked_of_the_clinic(stage: Stage) -> None:
    stage.begin().say("what is a pulse")
    stage.until(answered)
    assert stage.story[0] == "judged" and stage.story[-1] == "asked the clinic"
    assert stage.story.count("asked the clinic") == 1
    assert stage.clinic.asked[0].turns[-1].text == "what is a pulse"


def test_an_emergency_ends_everything_and_is_spoken_in_any_case(stage: Stage) -> None:
    talk = stage.begin()
    talk.speak_answers(False)
    stage.clinic.answers = [saying("This is a long story. And more", Hang())]
    talk.say("tell me a story")
    stage.until(lambda state: "long story" in last_text(state))
    talk.say(PAIN)
    state = stage.until(lambda state: state.phase is Phase.SAFETY)
    assert state.level is Level.EMERGENCY and state.safety is not None and state.safety.number == "112"
    assert [one.role for one in state.turns[-2:]] == [Role.PERSON, Role.SAFETY]
    stage.heard_aloud("Call 112.")
    assert stage.story.count("asked the clinic") == 1
    assert stage.clinic.closed == 1, "what was being answered was cut off"


def test_until_it_was_seen_nothing_else_goes_on_and_then_it_does(stage: Stage) -> None:
    talk = stage.begin()
    talk.say(PAIN)
    stage.until(lambda state: state.phase is Phase.SAFETY)
    talk.say("and what is a pulse")
    stage.until(lambda state: len(state.turns) == 3)
    talk.retry()
    talk.rate(0, True)
    stage.until(lambda state: not state.rates)
    assert "asked the clinic" not in stage.story and stage.state.phase is Phase.SAFETY
    talk.seen()
    state = stage.until(answered)
    assert stage.story[-1] == "asked the clinic"
    assert state.level is Level.EMERGENCY and state.safety is not None
    assert stage.clinic.asked[0].triage.level == "emergency"


def test_what_is_urgent_is_spoken_and_the_answer_follows(stage: Stage) -> None:
    stage.begin().say("I feel feverish")
    state = stage.until(answered)
    assert [one.role for one in state.turns] == [Role.PERSON, Role.SAFETY, Role.ASSISTANT]
    stage.heard_aloud("See a doctor today.")


def test_a_broken_triage_gives_no_answer_but_a_clear_fault(stage: Stage) -> None:
    talk = stage.begin()
    for broken in (fault("The rules cannot be read"), ZeroDivisionError("a bug")):
        stage.triage.breaks = broken
        with_hook: list[object] = []
        before, threading.excepthook = threading.excepthook, with_hook.append
        try:
            talk.say("what is a pulse")
            state = stage.until(lambda state: "could not be checked" in state.fault)
        finally:
            threading.excepthook = before
        assert bool(with_hook) is isinstance(broken, ZeroDivisionError)
        assert state.turns == () and state.may_retry and not stage.story
        stage.triage.breaks = None
        talk.forget()
        stage.until(lambda state: not state.fault)
    stage.triage.breaks = fault()
    talk.say("what is a pulse")
    stage.until(lambda state: state.fault)
    stage.triage.breaks = None
    talk.retry()
    stage.until(answered)
    assert stage.texts()[0] == "what is a pulse"


def test_a_conversation_that_cannot_begin_says_so_and_begins_later(stage: Stage) -> None:
    stage.converse_fails = fault("The rules cannot be read")
    talk = stage.begin()
    state = stage.until(lambda state: state.fault)
    assert "cannot be read" in state.fault
    talk.say("what is a pulse")
    stage.until(lambda state: "could not be checked" in state.fault)
    stage.converse_fails = None
    talk.retry()
    stage.until(answered)


def test_the_log_has_numbers_and_no_words(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("health_helper")
    logger.addHandler(caplog.handler)
    logger.setLevel(logging.DEBUG)
    try:
        stage.begin().say(PAIN)
        stage.until(lambda state: state.phase is Phase.SAFETY)
    finally:
        logger.removeHandler(caplog.handler)
        logger.setLevel(logging.CRITICAL)
    flag, *_ = [one for one in caplog.records if one.getMessage() == "red_flag"]
    assert flag.__dict__["fields"] == {"category": 0, "level": 2}
    assert "pain" not in " ".join(
        f"{one.getMessage()} {one.__dict__.get('fields')}" for one in caplog.records
    )


# --- Consent


def test_nothing_leaves_before_somebody_has_said_yes(stage: Stage) -> None:
    stage.agreed, stage.wants_clinic_recogniser = None, True
    talk = stage.begin()
    stage.until(lambda state: state.asks_consent)
    talk.listen(Mode.HANDS_FREE)
    stage.recogniser.texts = ["what is a pulse"]
    stage.room.speech()
    stage.turn(0.3)
    state = stage.until(answered)
    assert state.answerer == "on this device" and "agreed" in state.why
    assert state.recogniser == "on this device"
    talk.consent(False)
    stage.until(lambda state: not state.asks_consent)
    talk.say("what is a heart rate")
    stage.until(lambda state: len(state.turns) == 4)
    assert stage.clinic.connections == 0 and not stage.clinic_recogniser.utterances
    assert stage.decisions == [False]
    talk.consent(True)
    stage.until(lambda state: state.recogniser == "the clinic's")
    talk.say("and what is a breath")
    stage.until(lambda state: state.answerer == "the clinic's" and answered(state))
    assert stage.decisions == [False, True]


def test_taking_it_back_cuts_off_what_is_on_its_way(stage: Stage) -> None:
    stage.wants_clinic_recogniser = True
    talk = hands_free(stage)
    talk.speak_answers(False)
    stage.clinic.answers = [saying("This is a long story. And more", Hang())]
    talk.say("tell me a story")
    stage.until(lambda state: "long story" in last_text(state))
    stage.room.hear(0.95, 20)
    stage.until(lambda state: state.phase is Phase.HEARING)
    talk.consent(False)
    state = stage.until(lambda state: state.answerer == "on this device")
    assert stage.clinic.closed == 1 and stage.clinic_recogniser.utterances[0].cancelled.is_set()
    assert "did not answer in full" in state.fault


def test_a_yes_that_cannot_be_kept_is_none(stage: Stage) -> None:
    stage.agreed = None
    stage.decide_fails = fault("The disk is full")
    talk = stage.begin()
    talk.consent(True)
    stage.until(lambda state: "disk is full" in state.fault)
    talk.say("what is a pulse")
    stage.until(answered)
    assert stage.clinic.connections == 0 and stage.state.asks_consent


def test_a_guest_is_asked_for_each_conversation(stage: Stage) -> None:
    stage.guest = True
    talk = stage.begin()
    talk.consent(True)
    stage.until(lambda state: not state.asks_consent)
    talk.forget()
    stage.until(lambda state: state.asks_consent)
    talk.say("what is a pulse")
    stage.until(answered)
    assert stage.clinic.connections == 0


def test_without_a_clinic_this_device_answers_and_says_why(stage: Stage) -> None:
    stage.has_clinic = False
    talk = stage.begin()
    talk.say("what was my heart rate")
    state = stage.until(answered)
    assert "72" in state.turns[-1].text and state.turns[-1].citations
    assert "no clinic" in state.why and not state.asks_consent
    talk.consent(True)
    talk.say("thanks")
    stage.until(lambda state: len(state.turns) == 4)
    assert stage.decisions == []


def test_what_was_taken_back_in_the_settings_holds_at_once_also_for_what_is_on_its_way(stage: Stage) -> None:
    stage.wants_clinic_recogniser = True
    talk = hands_free(stage)
    talk.speak_answers(False)
    stage.clinic.answers = [saying("This is a long story. And more", Hang())]
    talk.say("tell me a story")
    stage.until(lambda state: "long story" in last_text(state))
    stage.room.hear(0.95, 20)
    stage.until(lambda state: state.phase is Phase.HEARING)
    talk.decided(False)
    stage.until(lambda state: state.answerer == "on this device")
    assert stage.clinic.closed == 1 and stage.clinic_recogniser.utterances[0].cancelled.is_set()
    assert stage.decisions == [], "it is kept already"
    talk.say("and then")
    state = stage.until(lambda state: state.why and answered(state) and state.turns[-2].text == "and then")
    assert len(stage.clinic.asked) == 1 and "as you wish" in state.why
    stage.agreed = True
    talk.decided(True)
    stage.until(lambda state: not state.why)


def test_what_another_program_has_taken_back_holds_before_anything_leaves(stage: Stage) -> None:
    stage.wants_clinic_recogniser = True
    talk = hands_free(stage, "what is a pulse")
    stage.agreed = False
    stage.room.speech()
    stage.turn(0.3)
    state = stage.until(answered)
    assert state.answerer == "on this device" and "as you wish" in state.why
    assert not stage.clinic_recogniser.utterances and stage.clinic.connections == 0
    talk.say("and what is a breath")
    stage.until(lambda state: len(state.turns) == 4)
    assert stage.clinic.connections == 0


def test_what_another_program_has_taken_back_holds_for_what_is_being_said(stage: Stage) -> None:
    stage.wants_clinic_recogniser = True
    hands_free(stage)
    stage.room.hear(0.95, 20)
    stage.until(lambda state: state.phase is Phase.HEARING)
    (utterance,) = stage.clinic_recogniser.utterances
    stage.agreed = False
    stage.turn(1.1)
    eventually(utterance.cancelled.is_set)
    taken = utterance.samples
    stage.room.hear(0.95, 20)
    assert utterance.samples == taken


def test_what_another_program_has_taken_back_holds_for_what_is_read_aloud(stage: Stage) -> None:
    stage.clinic_voice = clinics = FakeVoice("the clinic's voice")
    talk = stage.begin()
    talk.say("what is a pulse")
    stage.until(answered)
    talk.read_aloud(1)
    eventually(lambda: clinics.said)
    clinics.said.clear()
    stage.agreed = False
    talk.read_aloud(0)
    eventually(lambda: stage.voice.said == ["what is a pulse"])
    assert not clinics.said
    stage.until(lambda state: "as you wish" in state.why)


def test_what_a_person_agreed_to_is_gone_with_the_person(stage: Stage) -> None:
    talk = stage.begin()
    talk.say("what is a pulse")
    stage.until(answered)
    stage.agreed = None  # nobody of that name is in the store any more
    talk.say("and what is a breath")
    state = stage.until(lambda state: len(state.turns) == 4 and answered(state))
    assert len(stage.clinic.asked) == 1 and state.answerer == "on this device"


def test_documents_that_were_taken_back_are_not_named_any_more(stage: Stage) -> None:
    talk = stage.begin()
    talk.say("what is a pulse")
    stage.until(answered)
    stage.shares_documents = False
    talk.say("and what is a breath")
    stage.until(lambda state: len(state.turns) == 4 and answered(state))
    assert [len(one.documents) for one in stage.clinic.asked] == [1, 0]


# --- What is kept of the person


@pytest.mark.parametrize("trouble", [fault("The store is in trouble"), ZeroDivisionError(), None])
def test_while_nobody_knows_whose_name_is_masked_nothing_leaves(
    stage: Stage, trouble: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "show", Mock())
    wanted: list[Gathered] = []

    def gather(_visit: Sequence[str]) -> Gathered | None:
        if trouble is not None and not wanted:
            raise trouble
        return wanted[-1] if wanted else None

    stage.gather = gather
    talk = stage.begin()
    talk.say("it aches, says Ada Quill")
    state = stage.until(answered)
    assert stage.clinic.connections == 0 and state.answerer == "on this device" and state.why
    wanted.append(Gathered(EVIDENCE, (), Known(("Ada Quill",))))
    talk.renew([])
    stage.until(lambda state: not state.why)
    talk.say("it aches, says Ada Quill")
    stage.until(lambda state: len(state.turns) == 4 and answered(state))
    assert not any("Quill" in one.text for one in stage.clinic.asked[0].turns)


def test_a_store_that_hangs_is_asked_once(stage: Stage) -> None:
    gate, asked = threading.Event(), 0

    def gather(_visit: Sequence[str]) -> Gathered:
        nonlocal asked
        asked += 1
        assert asked == 1 or gate.wait(10.0)
        return Gathered(EVIDENCE)

    stage.gather = gather
    talk = stage.begin()
    for times in range(5):
        stage.turn(module.LOOKS_AGAIN_S + 1.0)
        talk.say(f"what is a pulse, {times}")
        stage.until(lambda state: answered(state) and state.turns[-2].text.endswith(f", {times}"))  # noqa: B023 (asked here)
    assert asked == 2
    gate.set()
    eventually(lambda: asked == 3, lambda: "it is looked again")


def test_what_is_kept_in_mid_conversation_reaches_it(stage: Stage) -> None:
    asked: list[tuple[str, ...]] = []

    def gather(visit: Sequence[str]) -> Gathered:
        asked.append(tuple(visit))
        return Gathered(EVIDENCE if "new" in visit else Evidence(), (), Known((), ("Ada Quill",)))

    stage.gather = gather
    talk = stage.begin()
    talk.say("what was my heart rate")
    stage.until(answered)
    assert asked == [("before",)] and stage.clinic.asked[0].evidence == ()
    talk.renew(["before", "new"])
    eventually(lambda: asked[1:] == [("before", "new")] and not gathering())
    talk.say("what was my heart rate, says Ada Quill")
    stage.until(lambda state: len(state.turns) == 4 and answered(state))
    sent = stage.clinic.asked[1]
    assert [one.name for one in sent.evidence] == [one.name for one in EVIDENCE.facts]
    assert "Quill" not in sent.turns[-1].text
    stage.turn(module.LOOKS_AGAIN_S + 1.0)
    eventually(lambda: asked[2:] == [("before", "new")], lambda: "it is looked again by itself")


def test_a_store_in_trouble_takes_nothing_away_and_an_older_answer_is_not_taken(stage: Stage) -> None:
    gate, wanted = threading.Event(), [Gathered(EVIDENCE)]

    def gather(visit: Sequence[str]) -> Gathered | None:
        if visit == ("slow",):
            assert gate.wait(10.0)
            return Gathered(Evidence())
        if not wanted:
            raise fault()
        return wanted.pop()

    stage.gather, stage.has_clinic = gather, False
    talk = stage.begin()
    talk.renew(["slow"])
    eventually(gathering)
    talk.renew(["broken"])
    talk.say("what was my heart rate")
    state = stage.until(answered)
    gate.set()
    eventually(lambda: not gathering())
    talk.say("what was my heart rate")
    state = stage.until(lambda state: len(state.turns) == 4)
    assert all("72" in one.text for one in state.turns[1::2])


def test_a_reading_is_of_this_visit_for_an_hour_from_when_it_was_taken(stage: Stage) -> None:
    at = stage.clock.utc() - timedelta(minutes=50)
    stage.gather = lambda _visit: Gathered(Evidence(), (Measured("heart_rate", 150.0, at),))
    talk = stage.begin()
    talk.say("I feel dizzy")
    assert stage.until(lambda state: state.turns).level is Level.EMERGENCY
    talk.forget()
    stage.until(lambda state: not state.turns)
    stage.turn(11 * 60.0)
    talk.say("I feel dizzy")
    assert stage.until(answered).level is Level.NONE


def gathering() -> bool:
    return any(one.name == "gather" for one in threads())


# --- The clinic's answer


def test_it_streams_with_citations_and_is_spoken_sentence_by_sentence(stage: Stage) -> None:
    talk = stage.begin()
    talk.speak_answers(True)
    text = "Your heart rate was 72 per minute [v1]. You can ask a nurse about it."
    stage.clinic.answers = [saying(text)]
    talk.say("what was my heart rate")
    state = stage.until(answered)
    assert state.turns[-1].text == text and state.turns[-1].complete and state.turns[-1].source == "cloud"
    assert [one.uri for one in state.turns[-1].citations] == ["fact:heart_rate"]
    assert state.answerer == "the clinic's" and not state.fault and not state.why
    stage.until(lambda state: state.speaking == Highlight(1, 0) and state.phase is Phase.SPEAKING)
    eventually(lambda: len(stage.box.given) == 2)
    stage.turn(1.1)
    stage.until(lambda state: state.speaking == Highlight(1, 1))
    stage.turn(1.1)
    stage.until(lambda state: state.speaking is None and state.phase is Phase.IDLE)
    assert stage.voice.said == ["Your heart rate was 72 per minute.", "You can ask a nurse about it."]
    assert stage.clinic.finished == 1 and stage.clinic.closed == 0
    talk.say("and now")
    stage.until(lambda state: len(state.turns) == 4)
    assert stage.clinic.connections == 1, "a connection is used again"


def test_what_the_server_cites_may_be_cited(stage: Stage) -> None:
    cited = ChatCitation("k1", "Heart rate", "https://example.org/x", "At rest 60 to 100 beats per minute.")
    stage.clinic.answers = [
        lambda: [START, cited, ChatDelta("At rest it is 60 to 100 beats per minute [k1]. "), DONE]
    ]
    stage.begin().say("what is a heart rate")
    (found,) = stage.until(answered).turns[-1].citations
    assert found.title == "Heart rate" and not found.uri.startswith("http")


@pytest.mark.parametrize(
    "end",
    [faults.ConnectionBroken(), faults.Refused(403), ChatError("withheld", None), None, ZeroDivisionError()],
    ids=["broken", "refused", "withheld", "without an end", "a bug of ours"],
)
def test_where_it_dies_in_the_middle_ours_follows_and_it_can_be_asked_again(
    stage: Stage, end: ChatError | Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[object] = []
    monkeypatch.setattr(threading, "excepthook", shown.append)
    cut: list[ChatEvent | Exception | Hang] = [START, ChatDelta("You can ask a nurse about it. And the")]
    stage.clinic.answers = [lambda: [*cut, *([] if end is None else [end])]]
    talk = stage.begin()
    talk.speak_answers(True)
    talk.say("what was my heart rate")
    state = stage.until(lambda state: state.answerer == "on this device")
    assert [one.source for one in state.turns[1:]] == ["cloud", "device"]
    assert state.turns[1].text == "You can ask a nurse about it." and not state.turns[1].complete
    assert "72" in state.turns[2].text and state.may_retry and "did not answer in full" in state.fault
    assert bool(shown) is isinstance(end, ZeroDivisionError)
    talk.retry()
    state = stage.until(lambda state: state.answerer == "the clinic's" and answered(state))
    assert state.turns[-1].text == "Ask a nurse about that." and not state.fault
    assert [one.role for one in state.turns].count(Role.PERSON) == 1, "nobody typed it again"
    assert len(stage.clinic.asked) == 2
    assert [one.text for one in stage.clinic.asked[1].turns] == ["what was my heart rate"]


def test_a_cloud_that_failed_is_left_alone_for_a_while(stage: Stage) -> None:
    stage.clinic.answers = [lambda: [faults.Offline()]]
    talk = stage.begin()
    talk.say("what is a pulse")
    stage.until(lambda state: state.answerer == "on this device")
    talk.say("what is a breath")
    state = stage.until(lambda state: state.turns[-1].role is Role.ASSISTANT and len(state.turns) == 5)
    assert len(stage.clinic.asked) == 1 and "just now" in state.why
    stage.turn(31.0)
    talk.say("what is a beat")
    stage.until(lambda state: state.answerer == "the clinic's")


@pytest.mark.parametrize("end", [faults.RateLimited(90.0), ChatError("rate_limited", 90.0)])
def test_a_cloud_that_says_when_is_not_asked_sooner_whoever_presses(
    stage: Stage, end: ChatError | Exception
) -> None:
    stage.clinic.answers = [lambda: [START, end]]
    talk = stage.begin()
    talk.say("what is a pulse")
    state = stage.until(lambda state: state.may_retry)
    assert "asked again in 90 s" in state.fault and state.retry_in_s == 90 and "too much to do" in state.why
    fault = state.fault
    stage.turn(60.0)
    talk.retry()
    talk.rate(len(state.turns) - 1, True)
    state = stage.until(
        lambda state: state.rates and state.retry_in_s == 30
    )  # what came before was looked at
    assert len(stage.clinic.asked) == 1 and state.fault == fault, "words that stand still are told once"
    stage.turn(30.5)
    state = stage.until(lambda state: not state.retry_in_s)
    assert "again now" in state.fault and state.may_retry and len(stage.clinic.asked) == 1
    talk.retry()
    state = stage.until(lambda state: state.answerer == "the clinic's" and answered(state))
    assert not state.fault and len(stage.clinic.asked) == 2


def test_a_wait_that_is_long_is_told_in_minutes_and_has_an_end(stage: Stage) -> None:
    stage.clinic.answers = [lambda: [START, ChatError("budget_spent", 30 * 86_400.0)]]
    stage.begin().say("what is a pulse")
    state = stage.until(lambda state: state.may_retry)
    assert "in 60 min" in state.fault and state.retry_in_s == 3600


def test_a_slow_cloud_is_not_waited_for(stage: Stage) -> None:
    stage.clinic.answers = [lambda: [Hang()], saying("You can ask a nurse about it. And more", Hang())]
    talk = stage.begin()
    talk.say("what was my heart rate")
    stage.until(lambda state: state.phase is Phase.ANSWERING)
    eventually(lambda: stage.clinic.asked)
    stage.turn(7.9)
    time.sleep(0.05)
    assert stage.state.phase is Phase.ANSWERING
    stage.turn(0.2)
    state = stage.until(lambda state: state.answerer == "on this device")
    assert "72" in state.turns[-1].text and state.may_retry and stage.clinic.closed == 1
    talk.retry()
    stage.until(lambda state: "nurse" in last_text(state))
    stage.turn(15.1)
    state = stage.until(lambda state: state.answerer == "on this device")
    assert "nurse" in state.turns[-2].text


def test_the_model_may_raise_the_level(stage: Stage) -> None:
    talk = stage.begin()
    stage.clinic.answers = [
        lambda: [START, ChatUrgency("urgent"), ChatDelta("You can ask a nurse about it. "), DONE],
        saying("You can ask a nurse about it. ", ChatUrgency("emergency"), ChatDelta("More of it. "), Hang()),
    ]
    talk.say("something is odd")
    state = stage.until(
        lambda state: (state.level is Level.URGENT and answered(state)) or len(state.turns) > 2
    )
    stage.until(lambda state: state.turns[1].complete)
    assert [one.role for one in state.turns] == [Role.PERSON, Role.ASSISTANT, Role.SAFETY]
    talk.say("and now")
    state = stage.until(lambda state: state.phase is Phase.SAFETY)
    assert state.level is Level.EMERGENCY and state.turns[-1].role is Role.SAFETY
    stage.heard_aloud("See a doctor today.", "Call 112.")
    assert not any("More of it" in one for one in stage.texts())


def test_an_end_that_raises_the_level_counts_too(stage: Stage) -> None:
    end = ChatDone("end_turn", 1, 1, "emergency")
    stage.clinic.answers = [saying("You can ask a nurse about it.", end)]
    stage.begin().say("something is odd")
    assert stage.until(lambda state: state.phase is Phase.SAFETY).level is Level.EMERGENCY


UNPROVED = "Your heart rate was 250 per minute. "
"""The checker ends an answer with that in it."""


def ended_by_the_checker(stage: Stage, *then: ChatEvent | Exception | Hang) -> tuple[Talk, threading.Event]:
    """Its answer goes on with `then` once the event is set."""
    gate = threading.Event()

    def answer() -> Iterator[ChatEvent | Exception | Hang]:
        yield START
        yield ChatDelta(UNPROVED)
        yield ChatDelta("More of it. ")
        assert gate.wait(10.0)
        yield from then

    stage.clinic.answers = [answer]
    talk = stage.talk or stage.begin()
    talk.say("something is odd")
    state = stage.until(lambda state: state.answerer == "on this device")
    assert state.phase is Phase.IDLE and state.level is Level.NONE and "could not be proved" in state.fault
    return talk, gate


@pytest.mark.parametrize("by", [ChatUrgency("emergency"), ChatDone("end_turn", 1, 1, "emergency")])
def test_what_the_model_holds_to_be_urgent_counts_though_its_answer_was_ended(
    stage: Stage, by: ChatEvent
) -> None:
    talk, gate = ended_by_the_checker(stage, ChatUrgency("urgent"), by, Hang())
    talk.stop()
    gate.set()
    state = stage.until(lambda state: state.phase is Phase.SAFETY)
    assert state.level is Level.EMERGENCY and state.turns[-1].role is Role.SAFETY
    stage.heard_aloud("Call 112.")
    assert not any("250" in one or "More of it" in one for one in stage.texts())
    if isinstance(by, ChatUrgency):
        eventually(lambda: stage.clinic.closed == 1, lambda: "nothing more is wanted of it")


@pytest.mark.parametrize("by", [faults.RateLimited(90.0), ChatError("rate_limited", 90.0)])
def test_a_cloud_that_says_when_is_obeyed_also_after_its_answer_was_ended(
    stage: Stage, by: ChatError | Exception
) -> None:
    talk, gate = ended_by_the_checker(stage, by)
    gate.set()
    stage.until(lambda state: state.retry_in_s == 90)
    talk.say("and what is a breath")
    stage.until(lambda state: state.turns[-2].text.startswith("and what") and answered(state))
    assert len(stage.clinic.asked) == 1


def test_what_comes_too_late_or_of_a_forgotten_conversation_raises_nothing(stage: Stage) -> None:
    talk, gate = ended_by_the_checker(stage, ChatUrgency("urgent"), Hang())
    talk.forget()
    stage.until(lambda state: not state.turns)
    gate.set()
    eventually(lambda: stage.clinic.closed == 1)
    talk, gate = ended_by_the_checker(stage, ChatUrgency("urgent"), Hang())
    stage.turn(module.LATE_WITHIN_S + 0.1)
    eventually(lambda: stage.clinic.closed == 2, lambda: "nobody works on for nothing")
    gate.set()
    talk.say("thanks")
    stage.until(lambda state: state.answerer == "the clinic's" and answered(state))
    assert stage.state.level is Level.NONE


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", MODELS)
def test_no_model_gets_through_the_whole_conversation(stage: Stage, name: str, language: str) -> None:
    stage.language = language
    stage.clinic.answers = [hostile(name, language)]
    talk = stage.begin()
    talk.speak_answers(True)
    talk.say("I feel feverish and my pulse is odd.")
    state = stage.until(
        lambda state: state.phase is Phase.SAFETY or (state.level is Level.URGENT and state.may_retry)
    )
    said_by_model = [one.text for one in state.turns if one.source == "cloud" and one.text]
    if name == "never_ends_in_sentences":
        assert len(state.turns[2].sentences) <= 60
    else:
        assert said_by_model == []
    assert state.level >= Level.URGENT
    stage.heard_aloud("See a doctor today." if state.level is Level.URGENT else "Call 112.")
    assert "147" not in " ".join(stage.voice.said)


# --- Voice


def hands_free(stage: Stage, *texts: str) -> Talk:
    talk = stage.begin()
    talk.listen(Mode.HANDS_FREE)
    stage.recogniser.texts = list(texts)
    stage.until(lambda state: state.phase is Phase.LISTENING)
    stage.room.hear(0.0, 3)
    return talk


def test_what_is_said_becomes_a_turn_after_a_short_silence(stage: Stage) -> None:
    hands_free(stage, "what is a pulse")
    stage.recogniser.partly = "what is"
    stage.room.hear(0.95, 15)
    state = stage.until(lambda state: state.phase is Phase.HEARING and state.partial)
    assert state.partial == "what is" and state.microphone == "Desk microphone" and state.loudness
    stage.room.hear(0.0, 17)
    state = stage.until(
        lambda state: state.phase is Phase.UNDERSTANDING and state.partial == "what is a pulse"
    )
    assert state.turns == ()
    stage.turn(0.3)
    state = stage.until(answered)
    assert stage.texts()[0] == "what is a pulse"
    stage.heard_aloud("Ask a nurse about that.")
    assert 15 * 512 <= stage.recogniser.utterances[0].samples < 40 * 512


def test_a_new_utterance_in_that_time_joins(stage: Stage) -> None:
    hands_free(stage, "what is", "a pulse")
    stage.room.speech()
    stage.room.speech()
    stage.until(lambda state: state.partial == "what is a pulse")
    stage.turn(0.3)
    stage.until(answered)
    assert stage.texts()[0] == "what is a pulse"


def waits_s(stage: Stage) -> float:
    """How long after the end of speech the turn ends."""
    stage.room.speech()
    ended_s = stage.clock.at_s - 17 * 0.032
    stage.until(lambda state: state.partial)
    count = len(stage.state.turns)
    while len(stage.state.turns) == count:
        stage.turn(0.05)
        for _ in range(8):
            time.sleep(0.004)
            if len(stage.state.turns) > count:
                break
        assert stage.clock.at_s - ended_s < 10.0
    return stage.clock.at_s - ended_s


def test_how_long_it_waits_depends_on_what_was_said(stage: Stage) -> None:
    stage.clinic.answers = [saying("Does it hurt when you walk?")]
    hands_free(stage, "what is a pulse", "yes it does", "let me think", "It is here. One moment")
    assert waits_s(stage) == pytest.approx(0.7, abs=0.1)
    stage.until(answered)
    stage.heard_aloud("Does it hurt")
    stage.turn(3.0)
    assert waits_s(stage) == pytest.approx(1.6, abs=0.1)
    stage.until(answered)
    stage.turn(20.0)
    stage.room.speech()
    stage.until(lambda state: state.partial == "let me think")
    stage.turn(5.0)
    time.sleep(0.05)
    assert stage.state.partial == "let me think"
    stage.turn(1.0)
    stage.until(lambda state: state.phase is Phase.LISTENING)
    assert "let me think" not in stage.texts(), "asking for room asks nothing"
    assert waits_s(stage) == pytest.approx(6.0, abs=0.1)


def test_an_emergency_does_not_wait_for_the_end_of_the_turn(stage: Stage) -> None:
    hands_free(stage, "wait a moment", f"{PAIN} wait a moment")
    stage.room.speech()
    stage.room.speech()
    state = stage.until(lambda state: state.phase is Phase.SAFETY)
    assert state.turns[0].text == f"wait a moment {PAIN} wait a moment"


def test_whoever_speaks_stops_our_voice_and_the_answer(stage: Stage) -> None:
    stage.clinic.answers = [
        saying("You can ask a nurse. You can ask a doctor too. And", Hang()),
        saying("All of it."),
    ]
    hands_free(stage, "tell me more", "what about my breath")
    stage.room.speech()
    stage.turn(0.3)
    stage.until(lambda state: state.speaking is not None)
    stage.turn(0.4)
    stage.room.hear(0.95, 1)
    assert stage.box.stops >= 1 and stage.box.waiting_s == 0.0
    state = stage.until(lambda state: not state.turns[-1].complete and state.speaking is None)
    assert "You can ask a nurse." in state.turns[-1].text, "what was said stays"
    eventually(lambda: stage.clinic.closed == 1)
    stage.room.speech()
    stage.turn(0.3)
    state = stage.until(lambda state: len(state.turns) == 4 and answered(state))
    assert state.turns[2].text == "what about my breath"


def test_what_has_to_be_heard_is_not_stopped_by_a_voice_but_by_a_word(stage: Stage) -> None:
    hands_free(stage, "mumbling", "Stop! stop.")
    assert stage.talk is not None
    stage.talk.say(PAIN)
    stage.until(lambda state: state.speaking is not None)
    stops = stage.box.stops
    stage.turn(0.35)
    stage.room.hear(0.95, 8)
    assert stage.box.stops == stops and stage.state.speaking is not None
    stage.room.hear(0.0, 17)
    eventually(lambda: not stage.recogniser.texts or stage.recogniser.texts == ["Stop! stop."])
    stage.talk.read_aloud(1)
    stage.until(lambda state: state.speaking is not None)
    stage.turn(0.35)
    stops = stage.box.stops
    stage.room.speech(0.3)
    eventually(lambda: stage.box.stops > stops)
    assert "Stop! stop." not in stage.texts()
    assert stage.state.phase is Phase.SAFETY


def test_our_own_words_are_not_taken_for_somebodys(stage: Stage) -> None:
    stage.clinic.answers = [saying("You can ask a nurse about your pulse.")]
    hands_free(stage, "what is a pulse", "ask a nurse about your pulse", "I have chest pain or do I")
    stage.room.speech()
    stage.turn(0.3)
    stage.until(lambda state: state.speaking is not None)
    stage.turn(1.1)
    stage.until(lambda state: state.speaking is None)
    stage.room.speech()
    eventually(lambda: len(stage.recogniser.texts) == 1)
    stage.turn(2.0)
    stage.until(lambda state: state.phase is Phase.LISTENING)
    assert len(stage.state.turns) == 2
    stage.room.speech()
    stage.until(lambda state: state.phase is Phase.SAFETY)


def test_what_we_said_of_an_emergency_does_not_hide_one(stage: Stage) -> None:
    stage.clinic.answers = [saying("People with chest pain should call for help.")]
    hands_free(stage, "when is help called", "with chest pain")
    stage.room.speech()
    stage.turn(0.3)
    stage.until(lambda state: state.speaking is not None)
    stage.turn(1.1)
    stage.until(lambda state: state.speaking is None)
    stage.room.speech()
    stage.until(lambda state: state.phase is Phase.SAFETY)


def test_a_stop_word_is_no_question(stage: Stage) -> None:
    stage.clinic.answers = [saying("You can ask a nurse. Or a doctor. And more", Hang())]
    hands_free(stage, "tell me more", "stop")
    stage.room.speech()
    stage.turn(0.3)
    stage.until(lambda state: state.speaking is not None)
    stage.turn(5.0)
    stage.until(lambda state: state.phase is Phase.ANSWERING)
    stage.room.speech(0.3)
    state = stage.until(lambda state: "stopped" in state.fault)
    assert state.may_retry and "stop" not in stage.texts()
    stage.until(lambda state: state.phase is Phase.LISTENING)


def test_with_a_button_what_is_said_while_it_is_down_is_the_turn(stage: Stage) -> None:
    talk = stage.begin()
    talk.listen(Mode.PUSH_TO_TALK)
    stage.recogniser.texts = ["what is a pulse"]
    stage.until(lambda state: state.phase is Phase.LISTENING)
    stage.room.hear(0.95, 20)
    assert not stage.recogniser.utterances, "nobody holds it down"
    talk.talk(True)
    stage.room.hear(0.0, 40)
    stage.room.hear(0.95, 20)
    stage.until(lambda state: state.phase is Phase.HEARING)
    stage.room.hear(0.0, 40)
    stage.room.hear(0.95, 5)
    talk.talk(False)
    stage.room.hear(0.0, 2)
    stage.until(answered)
    assert stage.texts()[0] == "what is a pulse"
    (one,) = stage.recogniser.utterances
    assert 64 * 512 <= one.samples <= 80 * 512, "without the silence before it"
    talk.talk(True)
    stage.room.hear(0.0, 10)
    talk.talk(False)
    stage.room.hear(0.0, 2)
    stage.until(lambda state: "Nothing was heard" in state.fault)


def test_the_button_stops_our_voice(stage: Stage) -> None:
    stage.clinic.answers = [saying("You can ask a nurse. And more", Hang())]
    talk = stage.begin()
    talk.listen(Mode.PUSH_TO_TALK)
    stage.until(lambda state: state.phase is Phase.LISTENING)
    talk.say("tell me more")
    stage.until(lambda state: state.speaking is not None)
    talk.talk(True)
    stage.until(lambda state: state.speaking is None and not state.turns[-1].complete)


def test_mute_closes_the_device(stage: Stage) -> None:
    talk = hands_free(stage)
    stage.room.hear(0.95, 10)
    stage.until(lambda state: state.phase is Phase.HEARING)
    talk.mute(True)
    state = stage.until(lambda state: state.muted and state.phase is Phase.IDLE)
    eventually(lambda: not stage.room.open)
    assert state.microphone == "" and state.loudness is None and state.mode is Mode.HANDS_FREE
    assert stage.recogniser.utterances[0].cancelled.is_set()
    talk.mute(False)
    stage.until(lambda state: state.phase is Phase.LISTENING)
    assert stage.room.open and len(stage.room.microphones) == 2
    talk.listen(Mode.TYPED)
    stage.until(lambda state: state.muted and state.mode is Mode.TYPED)
    eventually(lambda: not stage.room.open)


def test_a_microphone_that_cannot_be_used_is_told(stage: Stage) -> None:
    stage.room.refuses = fault("No microphone was found")
    talk = stage.begin()
    talk.listen(Mode.HANDS_FREE)
    state = stage.until(lambda state: state.trouble)
    assert state.trouble == "No microphone was found. Mend it." and state.phase is Phase.IDLE
    talk.say("what is a pulse")
    stage.until(answered)


def test_where_nothing_understands_the_microphone_stays_closed(stage: Stage) -> None:
    stage.recogniser.is_ready = False
    talk = stage.begin()
    talk.listen(Mode.HANDS_FREE)
    state = stage.until(lambda state: state.trouble)
    assert "type" in state.trouble and not stage.room.microphones
    stage.recogniser.is_ready = True
    stage.until(lambda state: state.phase is Phase.LISTENING)


def test_what_the_clinic_does_not_understand_this_device_tries(stage: Stage) -> None:
    stage.wants_clinic_recogniser = True
    talk = stage.begin()
    talk.listen(Mode.HANDS_FREE)
    stage.until(lambda state: state.phase is Phase.LISTENING and state.recogniser == "the clinic's")
    stage.clinic_recogniser.texts, stage.recogniser.texts = [faults.ConnectionBroken()], ["what is a pulse"]
    stage.room.speech()
    stage.until(lambda state: state.partial == "what is a pulse" or state.turns)
    (one,) = stage.recogniser.utterances
    assert one.samples > 15 * 512
    stage.turn(0.3)
    state = stage.until(answered)
    assert state.turns[0].text == "what is a pulse" and state.recogniser == "on this device"


@pytest.mark.parametrize("error", [fault(), ZeroDivisionError()], ids=["the world's", "ours"])
def test_what_nobody_understands_is_told(
    stage: Stage, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[object] = []
    monkeypatch.setattr(threading, "excepthook", shown.append)
    hands_free(stage)
    stage.recogniser.texts = [error]
    stage.room.speech()
    assert stage.until(lambda state: "could not be understood" in state.fault).turns == ()
    assert bool(shown) is isinstance(error, ZeroDivisionError)


def test_a_cough_is_nobodys_turn(stage: Stage) -> None:
    stage.clinic.answers = [saying("You can ask a nurse. And more", Hang())]
    hands_free(stage, "tell me more")
    stage.room.speech()
    stage.turn(0.3)
    stage.until(lambda state: "nurse" in last_text(state) and state.speaking is not None)
    stage.turn(2.0)
    stage.until(lambda state: state.phase is Phase.ANSWERING)
    stage.room.hear(0.95, 3)
    stage.room.hear(0.0, 17)
    eventually(
        lambda: len(stage.recogniser.utterances) == 2 and stage.recogniser.utterances[1].cancelled.is_set()
    )
    assert stage.until(lambda state: state.phase is Phase.ANSWERING).fault == ""


# --- Commands


def test_stop_keeps_what_was_said(stage: Stage) -> None:
    stage.clinic.answers = [saying("You can ask a nurse. And more", Hang())]
    talk = stage.begin()
    talk.say("tell me more")
    stage.until(lambda state: "nurse" in last_text(state))
    talk.stop()
    state = stage.until(lambda state: "stopped" in state.fault)
    assert state.turns[-1].text == "You can ask a nurse." and state.may_retry and not state.turns[-1].complete
    eventually(lambda: stage.clinic.closed == 1)


def test_a_turn_is_read_from_its_beginning(stage: Stage) -> None:
    talk = stage.begin()
    talk.say("what is a pulse")
    stage.until(answered)
    assert stage.voice.said == [], "typed, it is only shown"
    talk.read_aloud(7)
    talk.read_aloud(1)
    assert stage.until(lambda state: state.speaking).speaking == Highlight(1, 0)
    talk.say("and more")
    stage.until(lambda state: state.speaking is None)


def test_feedback_is_kept_with_the_conversation(stage: Stage) -> None:
    talk = stage.begin()
    talk.say("what is a pulse")
    stage.until(answered)
    talk.rate(1, False)
    talk.rate(0, True)
    assert stage.until(lambda state: state.rates).rates == {1: False}


@pytest.mark.parametrize("outcome", ["told", "not told", "broken"])
def test_staff_are_called(stage: Stage, outcome: str) -> None:
    def call() -> bool:
        if outcome == "broken":
            raise fault()
        return outcome == "told"

    stage.staff = call
    talk = stage.begin()
    talk.call_staff()
    state = stage.until(lambda state: state.staff_called)
    assert bool(state.staff_trouble) is (outcome != "told") and not state.fault


def test_what_is_forgotten_cannot_be_reached(stage: Stage) -> None:
    canary = "quaggles"[::1]
    talk = hands_free(stage, f"what is a {canary} about")
    stage.clinic.answers = [saying(f"You can ask a nurse about the {canary}. And more", Hang())]
    stage.recogniser.partly = f"{canary} partly"
    talk.speak_answers(True)
    talk.say(f"what is a {canary}")
    stage.until(lambda state: canary in last_text(state) and state.speaking is not None)
    stage.turn(3.0)
    stage.room.hear(0.95, 10)
    stage.until(lambda state: canary in state.partial)
    talk.call_staff()
    assert reachable(canary)
    talk.forget()
    state = stage.until(lambda state: state.turns == () and state.phase is not Phase.HEARING)
    assert state.level is Level.NONE and state.safety is None and not state.staff_called and not state.rates
    stage.clinic.asked.clear()
    stage.clinic.answers.clear()
    stage.voice.said.clear()
    stage.recogniser.texts.clear()
    stage.recogniser.partly = ""
    del state
    eventually(lambda: not reachable(canary), lambda: reachable(canary))
    talk.retry()
    talk.say("what is a pulse")
    stage.until(lambda state: len(state.turns) == 2 and answered(state))
    assert len(stage.clinic.asked[0].turns) == 1


def test_after_it_is_forgotten_an_emergency_is_none_any_more(stage: Stage) -> None:
    talk = stage.begin()
    talk.say(PAIN)
    stage.until(lambda state: state.phase is Phase.SAFETY)
    talk.forget()
    state = stage.until(lambda state: state.phase is Phase.IDLE)
    assert state.level is Level.NONE and state.safety is None and state.speaking is None


@pytest.mark.parametrize("busy", ["idle", "listening", "hanging microphone", "answering", "understanding"])
def test_close_leaves_no_thread(stage: Stage, busy: str) -> None:
    before = threads()
    talk = stage.begin()
    if busy == "answering":
        stage.clinic.answers = [lambda: [Hang()]]
        talk.say("what is a pulse")
        eventually(lambda: stage.clinic.asked)
    elif busy != "idle":
        talk.listen(Mode.HANDS_FREE)
        microphone = stage.room.now()
        if busy == "hanging microphone":
            microphone.hangs = True
            time.sleep(0.05)
        if busy == "understanding":
            stage.recogniser.gate = threading.Event()
            stage.room.speech()
            stage.until(lambda state: state.phase is Phase.UNDERSTANDING)
    began_s = time.monotonic()
    talk.close()
    talk.close()
    assert time.monotonic() - began_s < 2.0
    eventually(lambda: threads() <= before, lambda: threads() - before)
    assert not stage.room.open and stage.line_closed == 1
    talk.say("nobody hears it")


def test_a_call_for_staff_that_failed_stays_one(stage: Stage) -> None:
    """Another question takes its own fault away, and nobody is said to have been called for that."""
    stage.staff = lambda: False
    talk = stage.begin()
    talk.call_staff()
    stage.until(lambda state: state.staff_called)
    talk.say("what is a pulse")
    state = stage.until(answered)
    assert not state.fault and "Nobody can be told" in state.staff_trouble
    stage.staff = lambda: True
    talk.call_staff()
    assert stage.until(lambda state: not state.staff_trouble).staff_called
    stage.staff = lambda: False
    talk.call_staff()
    stage.until(lambda state: state.staff_trouble)
    talk.forget()
    stage.until(lambda state: not state.staff_trouble and not state.staff_called)


def test_a_no_that_cannot_be_kept_holds_after_it_was_forgotten(stage: Stage) -> None:
    talk = stage.begin()
    stage.decide_fails = fault()
    talk.consent(False)
    stage.until(lambda state: state.fault)
    talk.forget()
    stage.until(lambda state: not state.fault)
    talk.say("what is a pulse")
    stage.until(answered)
    assert stage.clinic.asked == []
    stage.decide_fails = None
    talk.consent(True)
    talk.say("and a heart")
    stage.until(lambda state: answered(state) and len(state.turns) == 4)
    talk.forget()
    stage.until(lambda state: not state.turns)
    talk.say("what is a pulse")
    stage.until(answered)
    assert len(stage.clinic.asked) == 2


def test_a_question_of_which_nothing_is_left_to_send_is_answered_here(stage: Stage) -> None:
    stage.begin().say("\u200b\u200b")
    state = stage.until(answered)
    assert state.answerer == "on this device" and stage.clinic.asked == []


def test_a_bug_of_what_is_shown_ends_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    talk = stage.begin()

    broken = Mock(side_effect=ZeroDivisionError)
    seen: list[object] = []
    before, threading.excepthook = threading.excepthook, seen.append
    monkeypatch.setattr(stage.recogniser, "ready", broken)
    try:
        stage.clinic.answers = [saying("A pulse is a wave.")]
        talk.listen(Mode.TYPED)
        stage.until(lambda state: "bug" in state.fault)
    finally:
        broken.side_effect = None
        threading.excepthook = before
    assert len(seen) == 1, "once is enough"
    talk.say(PAIN)
    stage.until(lambda state: state.phase is Phase.SAFETY)


def test_mute_ends_what_is_being_said_also_where_the_driver_hangs(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk = stage.begin()
    talk.listen(Mode.HANDS_FREE)
    stage.room.hear(0.0, 5)
    stage.room.hear(0.95, 20)
    stage.until(lambda state: state.phase is Phase.HEARING)
    monkeypatch.setattr(talk._listener, "rest", lambda: None)  # it hangs
    talk.mute(True)
    stage.until(lambda state: state.phase is Phase.IDLE)
    assert all(one.cancelled.is_set() for one in stage.recogniser.utterances)
    begun = len(stage.recogniser.utterances)
    talk._post(lambda: talk._overheard(Overheard(Began(0.0, np.zeros(512, np.float32)))))
    talk.say("what is a pulse")
    stage.until(answered)
    assert len(stage.recogniser.utterances) == begun, "what comes late is not heard"


def test_stop_does_not_hide_what_should_be_looked_at(stage: Stage) -> None:
    talk = stage.begin()
    talk.listen(Mode.HANDS_FREE)
    stage.recogniser.texts = ["I feel feverish", "stop", "I feel feverish"]
    stage.room.hear(0.0, 5)
    stage.room.speech()
    stage.room.speech()
    stage.until(lambda state: state.partial == "I feel feverish stop")
    stage.turn(2.0)
    state = stage.until(lambda state: state.level is Level.URGENT)
    assert state.safety is not None
    talk.forget()
    stage.until(lambda state: state.level is Level.NONE)
    stage.room.speech()
    stage.until(lambda state: state.partial)
    talk.stop()
    stage.until(lambda state: state.level is Level.URGENT)
