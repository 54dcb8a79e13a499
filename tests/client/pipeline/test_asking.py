"""The clinic's cloud as a conversation uses it: what is sent, who is asked before, and connections that end."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend_lambda import wire as server
from client.assistant.conversation import Conversation
from client.cloud import faults, wire
from client.cloud.chat import Chat, ChatEvent
from client.devices.ports import Spoken
from client.pipeline.asking import Asker, Came, ClinicVoice, Line, OwnLine, to_chat
from client.pipeline.clinic_talk import clinic_of
from client.pipeline.talk import Clinic
from client.policy import Policy
from client.store.consents import ASSISTANT_VERSION, Consents, Subject
from client.store.database import FILE_NAME, Database
from client.store.observations import Observations
from tests.client.assistant.conversing import EVIDENCE, Shelf
from tests.client.assistant.triaging import small_triage
from tests.client.pipeline.fakes import HandClock
from tests.client.pipeline.talk_fakes import DONE, START, FakeClinic, Hang, eventually, saying
from tests.client.store.conftest import KEY, NOW

PATIENT = "0b9f0c7e-4a55-4d0a-8a53-6a3f0c3c2c11"


def conversation() -> Conversation:
    made = Conversation(small_triage(), "en", library=Shelf(), evidence=EVIDENCE)
    made.heard("what was my heart rate")
    return made


# --- What is sent


def test_a_question_is_one_that_the_server_takes() -> None:
    talk = conversation()
    talk.answer_locally()
    talk.heard("I feel feverish, and I am called Ada: ada@example.org")
    body = json.loads(to_chat(talk.question(), PATIENT).body())
    server.Chat.model_validate(body)
    assert [one["role"] for one in body["turns"]] == ["person", "assistant", "person"]
    assert body["triage"] == {"level": "urgent", "category": "sepsis"}
    assert [one["name"] for one in body["evidence"]] == ["heart_rate", "respiratory_rate"]
    assert body["evidence"][1]["value"]["reasons"] == ["too_dark"]
    assert body["documents"] == [PATIENT] and body["patient_id"] == PATIENT
    assert "ada@example.org" not in json.dumps(body) and "Letter" not in json.dumps(body)


# --- Asking


class Heard:
    """An asker, and what it has told."""

    def __init__(self) -> None:
        self.clinic = FakeClinic([])
        self.came: list[Came] = []
        self.asker = Asker(self.clinic.connect, self.came.append)

    def ask(self) -> int:
        return self.asker.ask(lambda: to_chat(conversation().question(), PATIENT))

    def of(self, number: int) -> list[Any]:
        return [one.what for one in self.came if one.asked == number]


@pytest.fixture
def heard() -> Iterator[Heard]:
    made = Heard()
    yield made
    made.asker.close(2.0)


def test_events_come_in_order_and_then_its_end(heard: Heard) -> None:
    number = heard.ask()
    eventually(lambda: None in heard.of(number))
    whole = heard.of(number)
    assert whole[0] == START and whole[-2:] == [DONE, None]
    again = heard.ask()
    eventually(lambda: None in heard.of(again))
    assert heard.clinic.connections == 1 and heard.clinic.closed == 0


def test_what_is_cancelled_tells_nothing_more_and_is_cut_off(heard: Heard) -> None:
    heard.clinic.answers = [saying("One. ", Hang())]
    number = heard.ask()
    eventually(lambda: len(heard.of(number)) >= 2)
    heard.asker.cancel()
    told = len(heard.of(number))
    assert heard.clinic.closed == 1
    again = heard.ask()
    eventually(lambda: None in heard.of(again))
    assert len(heard.of(number)) == told and heard.clinic.connections == 2


def test_what_was_cancelled_and_ends_late_cuts_nothing_off_that_came_after(heard: Heard) -> None:
    gate = threading.Event()

    def slow() -> Iterator[ChatEvent]:
        yield START
        assert gate.wait(10.0)
        yield DONE

    heard.clinic.answers = [slow, saying("One. ", Hang())]
    first = heard.ask()
    eventually(lambda: heard.of(first) == [START])
    late = heard.asker._thread
    assert late is not None
    second = heard.ask()
    eventually(lambda: len(heard.of(second)) == 2)
    gate.set()
    late.join(10.0)
    assert heard.clinic.closed == 1 and len(heard.of(second)) == 2 and heard.of(first) == [START]


def test_an_error_is_told_and_its_connection_is_not_used_again(heard: Heard) -> None:
    heard.clinic.answers = [lambda: [START, faults.ConnectionBroken()]]
    number = heard.ask()
    eventually(lambda: len(heard.of(number)) == 2)
    assert isinstance(heard.of(number)[1], faults.ConnectionBroken)
    again = heard.ask()
    eventually(lambda: None in heard.of(again))
    assert heard.clinic.connections == 2 and heard.clinic.closed == 1


def test_what_cannot_be_connected_is_told() -> None:
    came: list[Came] = []

    def connect() -> Line:
        raise faults.NotEnrolled

    asker = Asker(connect, came.append)
    asker.ask(lambda: to_chat(conversation().question(), PATIENT))
    eventually(lambda: came)
    assert isinstance(came[0].what, faults.NotEnrolled)


def test_cancelled_while_it_connects_nothing_is_asked() -> None:
    clinic, gate = FakeClinic([]), threading.Event()

    def connect() -> Line:
        assert gate.wait(10.0)
        return clinic.connect()

    asker = Asker(connect, lambda _came: None)
    asker.ask(lambda: to_chat(conversation().question(), PATIENT))
    asker.cancel()
    gate.set()
    eventually(lambda: clinic.closed == 1)
    assert clinic.asked == []


# --- A voice and places


class Short:
    """A clinic that is asked for one thing at a time."""

    def __init__(self) -> None:
        self.asked: list[wire.NewSynthesis] = []
        self.connections = self.closed = 0

    def connect(self) -> Line:
        self.connections += 1
        return Line(self, self._close)

    def _close(self) -> None:
        self.closed += 1

    def ask(self, question: Chat) -> Generator[ChatEvent, None, None]:
        raise AssertionError("nobody asks a question here")

    def transcription(self, wanted: wire.NewTranscription) -> wire.Transcription:
        return wire.Transcription("wss://example.org", NOW, wanted.language, {})

    def synthesize(self, wanted: wire.NewSynthesis) -> bytes:
        self.asked.append(wanted)
        return b"mp3"


def test_the_clinics_voice_is_asked_for_a_sentence() -> None:
    short = Short()
    line = OwnLine(short.connect)
    voice = ClinicVoice(
        line.synthesize, lambda data: Spoken(np.zeros(len(data), np.float32), 8_000), "theirs"
    )
    assert voice.speaks("hi") and voice.name == "theirs"
    assert len(voice.synthesize("word " * 400, "es", 120).samples) == 3
    (asked,) = short.asked
    assert (len(asked.text), asked.language, asked.rate_percent, asked.voice) == (1500, "es", 120, None)
    assert line.transcription(wire.NewTranscription("en-US", 16_000)).protocol == "en-US"
    assert short.connections == 1
    line.close()
    line.close()
    assert short.closed == 1
    with pytest.raises(faults.Closed):
        line.synthesize(asked)
    assert short.closed == short.connections


# --- Who is asked before


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / FILE_NAME, KEY)
    yield opened
    opened.close()


def decoded(data: bytes) -> Spoken:
    return Spoken(np.zeros(len(data), np.float32), 8_000)


def clinic(database: Database, person: str | None, **policy: Any) -> Clinic:
    short = Short()
    found = clinic_of(short.connect, Consents(database), person, Policy(**policy), "en", HandClock(), decoded)
    assert isinstance(found, Clinic)
    return found


def test_a_person_is_asked_once_for_each_text(database: Database) -> None:
    consents = Consents(database)
    ada = Observations(database).add_person("Ada", now=NOW).id
    assert clinic(database, ada).agreed() is None
    clinic(database, ada).decide(True)
    assert clinic(database, ada).agreed() is True
    newest = consents.newest(ada, Subject.ASSISTANT)
    assert newest is not None and newest.version == ASSISTANT_VERSION
    clinic(database, ada).decide(False)
    assert clinic(database, ada).agreed() is False
    consents.record(ada, Subject.ASSISTANT, ASSISTANT_VERSION + 1, True, "en", NOW)
    assert clinic(database, ada).agreed() is None, "to another text"
    assert clinic(database, ada).patient_id(PATIENT) == ada


def test_a_guest_is_asked_each_time_and_is_another_one_each_time(database: Database) -> None:
    guest = clinic(database, None)
    guest.decide(True)
    assert clinic(database, None).agreed() is None
    one, again, other = (guest.patient_id(of) for of in (PATIENT, PATIENT, PATIENT.replace("0b", "1b")))
    assert one == again != other and one != PATIENT
    assert clinic(database, None, ask_for_consent=False).agreed() is None


def test_whoever_manages_the_computer_may_have_it_in_writing_and_may_forbid_it(database: Database) -> None:
    ada = Observations(database).add_person("Ada", now=NOW).id
    assert clinic(database, ada, ask_for_consent=False).agreed() is True
    clinic(database, ada).decide(False)
    assert clinic(database, ada, ask_for_consent=False).agreed() is False
    forbidden = clinic_of(
        Short().connect, Consents(database), ada, Policy(assistant=False), "en", HandClock(), decoded
    )
    assert isinstance(forbidden, str)


def test_the_clinics_voice_is_used_where_the_policy_wants_it(database: Database) -> None:
    assert clinic(database, None).voice is None
    found = clinic(database, None, cloud_voice=True)
    assert found.voice is not None and found.recogniser is not None
    assert found.recogniser.ready("en") and found.recogniser.name == "the clinic's"
    found.close()
