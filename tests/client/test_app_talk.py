"""A conversation as the application makes it: with its own rules, articles, store and key store."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from client import app
from client.app import real_parts
from client.assistant.conversation import Role
from client.assistant.triage import Level
from client.clock import SystemClock
from client.devices.ports import Manner
from client.parts import Kept
from client.pipeline.talk import Talk
from client.pipeline.talk_state import Phase, Talking, TalkState
from client.policy import Policy
from client.store import scans
from client.store.consents import Subject
from client.store.entries import to_observation
from client.store.observations import Kind
from tests.client.pipeline.fakes import HandClock, estimate, scan_result
from tests.client.pipeline.talk_fakes import Box, FakeVoice, eventually
from tests.client.pipeline.test_outgoing import record
from tests.client.store.conftest import MemoryVault, kept_in

CLOCK = SystemClock()


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    found = kept_in(tmp_path / "store", MemoryVault())
    yield found
    found.close()


class Desk:
    """The application's conversations, with a loudspeaker and a voice that nobody hears."""

    def __init__(self, kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kept, self.voice, self.manner = kept, FakeVoice(), Manner()
        self.policy = Policy(country="PT")
        monkeypatch.setattr("client.devices.speakers.Loudspeaker", lambda: Box(HandClock()))
        monkeypatch.setattr("client.devices.voices.SystemVoice", lambda _chosen: self.voice)
        monkeypatch.setattr(app, "load_policy", lambda: self.policy)
        self.made: list[Talking] = []

    def begin(self, person: str | None = None, *visit: str, locked: bool = False) -> Talking:
        make = real_parts(CLOCK).talk
        assert make is not None
        kept = (lambda: None) if locked else (lambda: self.kept)
        found = make("en", kept, person, visit, manner=lambda: self.manner)
        self.made.append(found)
        eventually(lambda: found.state.revision > 0)
        return found

    def enrol(self) -> None:
        facts = {"url": "http://127.0.0.1:9", "clinic_id": "c", "device_id": "d"}
        self.kept.outbox.set_enrolled(facts)


@pytest.fixture
def desk(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    made = Desk(kept, monkeypatch)
    yield made
    for talk in made.made:
        talk.close()


def answered(talk: Talking) -> TalkState:
    eventually(lambda: talk.state.turns and talk.state.turns[-1].role is Role.ASSISTANT, lambda: talk.state)
    return talk.state


def test_it_answers_from_what_is_kept_and_from_articles(desk: Desk) -> None:
    ada = desk.kept.observations.add_person("Ada", now=CLOCK.utc()).id
    at = CLOCK.utc() - timedelta(minutes=5)
    desk.kept.observations.save(to_observation(Kind.OXIMETER, {"spo2": 97.0, "pulse": 66.0}, at, ada))
    talk = desk.begin(ada)
    talk.say("what is a normal heart rate")
    state = answered(talk)
    assert any(one.uri.startswith("article:") for one in state.turns[-1].citations)
    assert "no clinic" in state.why and not state.asks_consent


def test_what_is_kept_in_mid_conversation_is_answered_from(desk: Desk) -> None:
    talk = desk.begin()
    result = scan_result(estimate(66.0))
    made = scans.to_observation(record(result=result, taken_at=CLOCK.utc(), simulated=False), person=None)
    desk.kept.observations.save(made)
    talk.renew([made.line.id])
    eventually(lambda: known(talk))
    talk.say("what was my heart rate")
    assert "66" in answered(talk).turns[-1].text


def known(talk: Talking) -> bool:
    """Whether anything is of the person."""
    assert isinstance(talk, Talk)
    return talk._gathered is not None and bool(talk._gathered.evidence.facts)


def test_it_is_read_aloud_as_is_wanted_just_then(desk: Desk) -> None:
    talk = desk.begin()
    talk.say("what is a normal heart rate")
    answered(talk)
    for percent in (80, 150):
        desk.manner = Manner("", percent)
        talk.read_aloud(len(talk.state.turns) - 1)
        eventually(partial(_read_at, desk, percent), lambda: desk.voice.rates)


def test_an_emergency_names_the_number_of_the_place(desk: Desk) -> None:
    talk = desk.begin()
    talk.say("I have crushing chest pain and I can't breathe")
    eventually(lambda: talk.state.phase is Phase.SAFETY, lambda: talk.state)
    assert talk.state.level is Level.EMERGENCY
    assert talk.state.safety is not None and talk.state.safety.number == "112"
    eventually(lambda: "112" in " ".join(desk.voice.said))


def test_with_a_clinic_a_person_is_asked_and_it_is_kept(desk: Desk) -> None:
    desk.enrol()
    ada = desk.kept.observations.add_person("Ada", now=CLOCK.utc()).id
    talk = desk.begin(ada)
    eventually(lambda: talk.state.asks_consent)
    talk.consent(False)
    eventually(lambda: not talk.state.asks_consent)
    newest = desk.kept.consents.newest(ada, Subject.ASSISTANT)
    assert newest is not None and not newest.given
    assert not desk.begin(ada).state.asks_consent
    guest = desk.begin()
    eventually(lambda: guest.state.asks_consent)


def test_where_the_clinic_cannot_be_asked_this_device_answers(desk: Desk) -> None:
    """The key store knows of no enrolment: nothing is even connected."""
    desk.enrol()
    talk = desk.begin()
    talk.consent(True)
    eventually(lambda: not talk.state.asks_consent)
    talk.say("what is a normal heart rate")
    eventually(lambda: talk.state.answerer == "on this device", lambda: talk.state)
    assert talk.state.may_retry


def test_while_the_store_is_locked_nothing_of_anybody_is_known(desk: Desk) -> None:
    desk.enrol()
    talk = desk.begin(None, locked=True)
    talk.say("what was my heart rate")
    state = answered(talk)
    assert "locked" in state.why and not state.asks_consent
    talk.call_staff()
    eventually(lambda: talk.state.staff_called and talk.state.staff_trouble)


def test_a_policy_can_forbid_the_clinics_cloud(desk: Desk) -> None:
    desk.enrol()
    desk.policy = Policy(assistant=False)
    talk = desk.begin()
    eventually(lambda: talk.state.why)
    assert "manages" in talk.state.why and not talk.state.asks_consent


def test_staff_see_that_somebody_is_wanted_who_was_never_measured(desk: Desk) -> None:
    ada = desk.kept.observations.add_person("Ada", now=CLOCK.utc()).id
    for whose in (None, ada):
        talk = desk.begin(whose)
        talk.call_staff()
        eventually(partial(_is_called, talk))
        assert not talk.state.staff_trouble
    assert {one.person for one in desk.kept.tasks.open()} == {None, ada}


def _is_called(talk: Talking) -> bool:
    return talk.state.staff_called


def _read_at(desk: Desk, percent: int) -> bool:
    return desk.voice.rates[-1:] == [percent]
