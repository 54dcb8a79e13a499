"""What others are told: only what was accepted, only that somebody needs help; and nobody waits, whatever becomes of it."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from backend_lambda.app import SystemClock, ports_of
from backend_lambda.aws.clients import Clients
from backend_lambda.aws.feeds import EventBridgeCases, KinesisVitals
from backend_lambda.errors import Code, Refusal
from backend_lambda.ports import Ports
from backend_lambda.principals import Device
from backend_lambda.services import feeds
from backend_lambda.services.chat import Chat, Event
from backend_lambda.services.feeds import CallForHelp
from backend_lambda.services.observations import Observations
from backend_lambda.store import audit, clinics
from backend_lambda.store.database import Database, Transaction
from backend_lambda.wire import (
    AuditEntry,
    BatchResult,
    ChatDelta,
    ChatDone,
    ChatError,
    ChatUrgency,
    Feature,
    ItemStatus,
    ObservationBatch,
    StoredObservation,
    Urgency,
)
from backend_lambda.wire import Chat as Question
from tests.backend_lambda.conftest import SetClock
from tests.backend_lambda.fakes import FakeCases, FakeModel, Fakes, FakeVitals
from tests.backend_lambda.services.making_services import SETTINGS
from tests.backend_lambda.world import observation
from tests.stand_ins.aws.faults import Fault, Kind
from tests.stand_ins.aws.server import AwsStandIn

CANARY = "canary9d41"
"""In what a person says and in their record. It must be in no event, measure or log line."""
SAID = f"My chest hurts, {CANARY}"
STORED = ItemStatus.STORED


@dataclass
class Room:
    """One device's observations and conversations. ports: what the services are given."""

    api: Database
    talking: Database
    device: Device
    fakes: Fakes
    patient_id: UUID

    def observations(self, ports: Ports | None = None) -> Observations:
        return Observations(self.api, ports or self.fakes.ports(), SETTINGS)

    def chat(self, ports: Ports | None = None) -> Chat:
        return Chat(self.talking, ports or self.fakes.ports(), SETTINGS)

    def question(self, level: Urgency = Urgency.NONE) -> Question:
        return Question.model_validate(
            {
                "conversation_id": str(uuid4()),
                "patient_id": str(self.patient_id),
                "language": "en",
                "turns": [{"role": "person", "text": SAID}],
                "triage": {"level": level, "category": "chest_pain" if level is Urgency.EMERGENCY else None},
            }
        )

    def ask(self, level: Urgency = Urgency.NONE) -> list[Event]:
        return list(self.chat().stream(self.device, self.question(level), "request-1"))

    def add(self, *items: dict[str, Any], to: Observations | None = None) -> BatchResult:
        return (to or self.observations()).add(
            self.device, ObservationBatch(observations=list(items)), "request-1"
        )

    def item(self, **changes: Any) -> dict[str, Any]:
        return observation(self.patient_id, software_version=CANARY, **changes)

    def measured(self, name: str) -> float:
        found = [one for one in self.fakes.measures.added if one[0] == name]
        assert all(clinic is None for *_, clinic in found)
        return sum(value for _, value, *_ in found)


@pytest.fixture
def room(api: Database, chat: Database, clinic_id: UUID, device_id: UUID, clock: SetClock) -> Room:
    fakes = Fakes(clock)
    fakes.vitals, fakes.cases = FakeVitals(), FakeCases()
    return Room(api, chat, Device(device_id, clinic_id, "t" * 43), fakes, uuid4())


@pytest.fixture
def held() -> Iterator[threading.Event]:
    """What a fake waits for that does not answer; it ends with the test."""
    event = threading.Event()
    yield event
    event.set()


def took_s(act: Callable[[], object]) -> float:
    began_s = time.monotonic()
    act()
    return time.monotonic() - began_s


# --- The feed of observations


def test_what_was_stored_is_fed_as_it_can_be_read(room: Room) -> None:
    assert room.fakes.vitals is not None
    item = room.item()
    room.add(item)
    [(clinic_id, record)] = room.fakes.vitals.put_in
    assert (clinic_id, record.patient_id) == (room.device.clinic_id, room.patient_id)
    body = json.loads(record.data)
    assert body.pop("clinic_id") == str(room.device.clinic_id)
    [kept] = room.observations().page(room.device, room.patient_id, None, 10, "r").observations
    assert StoredObservation.model_validate(body) == kept
    again = json.dumps(json.loads(record.data), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    assert again.encode() == record.data


def test_only_what_is_new_is_fed(room: Room) -> None:
    assert room.fakes.vitals is not None
    known, erased = room.item(), uuid4()
    room.add(known)
    room.observations().erase(room.device, erased, "r")
    room.fakes.vitals.put_in.clear()
    new = room.item()
    answer = room.add(
        known,
        room.item(id=known["id"], kind="weight"),
        observation(erased),
        {"id": "x"},
        new,
        new,
    )
    assert [one.status for one in answer.results] == [
        ItemStatus.ALREADY_STORED,
        ItemStatus.CONFLICT,
        ItemStatus.PATIENT_ERASED,
        ItemStatus.INVALID,
        STORED,
        ItemStatus.ALREADY_STORED,
    ]
    assert [json.loads(record.data)["id"] for _, record in room.fakes.vitals.put_in] == [new["id"]]
    room.add(known)
    assert len(room.fakes.vitals.put_in) == 1
    assert room.measured(feeds.LOST) == 0


def test_nothing_is_fed_before_it_is_kept(room: Room) -> None:
    assert room.fakes.vitals is not None
    item = room.item()
    found: list[int] = []

    def look() -> None:
        page = Observations(room.api, Fakes(SetClock()).ports(), SETTINGS).page(
            room.device, room.patient_id, None, 10, "r"
        )
        found.append(len(page.observations))

    room.fakes.vitals.before = look
    room.add(item)
    assert found == [1]


def allow(room: Room, *features: Feature) -> None:
    with room.api.clinic(room.device.clinic_id) as tx:
        assert clinics.add(tx, room.device.clinic_id, "Clinic", room.fakes.clock.utc(), allows=features)


def streamed(room: Room) -> list[AuditEntry]:
    with room.api.clinic(room.device.clinic_id) as tx:
        return [one for one in audit.page(tx, 0, 1000) if one.action == "observations.stream"]


def test_what_a_clinic_does_not_allow_stays_here(room: Room) -> None:
    assert room.fakes.vitals is not None
    others = [one for one in Feature if one is not Feature.ANALYSIS]
    for terms in ([], others):
        allow(room, *terms)
        assert room.add(room.item()).results[0].status is STORED
    assert (room.fakes.vitals.put_in, streamed(room)) == ([], [])
    allow(room, Feature.ANALYSIS)
    room.add(room.item())
    assert len(room.fakes.vitals.put_in) == 1
    allow(room)
    room.add(room.item())
    assert len(room.fakes.vitals.put_in) == len(streamed(room)) == 1
    assert room.measured(feeds.LOST) == 0, "what is not offered is not lost"


def test_a_batch_that_is_offered_is_in_the_audit_once(room: Room) -> None:
    other = uuid4()
    known = room.item()
    room.add(known)
    answer = room.observations().add(
        room.device,
        ObservationBatch(observations=[known, room.item(), observation(other), {"id": "x"}]),
        "request-2",
    )
    assert [one.status for one in answer.results].count(STORED) == 2
    first, second = streamed(room)
    assert (first.result, first.request_id) == ("offered=1", "request-1")
    assert (second.result, second.request_id) == ("offered=2", "request-2")
    assert (second.actor_kind, second.actor_id) == ("device", str(room.device.id))
    assert (second.object_kind, second.object_id) == ("clinic", str(room.device.clinic_id))
    room.add(known)
    room.add({"id": "x"})
    assert len(streamed(room)) == 2, "nothing new, nothing offered"


def test_what_is_offered_is_in_the_audit_before(room: Room) -> None:
    assert room.fakes.vitals is not None
    found: list[int] = []
    room.fakes.vitals.before = lambda: found.append(len(streamed(room)))
    room.add(room.item())
    assert found == [1]


def test_without_the_audit_nothing_is_kept_and_nothing_is_offered(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert room.fakes.vitals is not None
    append = audit.append

    def fails(tx: Transaction, entry: audit.Entry, now: datetime) -> None:
        if entry.action == "observations.stream":
            raise Refusal(503, Code.STORE_UNAVAILABLE, "away")
        append(tx, entry, now)

    with monkeypatch.context() as patch:
        patch.setattr(audit, "append", fails)
        with pytest.raises(Refusal):
            room.add(room.item())
    assert room.fakes.vitals.put_in == []
    assert room.observations().page(room.device, room.patient_id, None, 10, "r").observations == []


def test_without_a_stream_nothing_is_lost(room: Room) -> None:
    room.fakes.vitals = None
    assert room.add(room.item()).results[0].status is STORED
    assert streamed(room) == [], "and nothing is said to have been offered"
    assert room.measured(feeds.LOST) == 0


def test_what_the_stream_did_not_take_is_counted_and_the_answer_is_the_same(room: Room) -> None:
    assert room.fakes.vitals is not None
    room.fakes.vitals.loses = 2
    assert [one.status for one in room.add(*(room.item() for _ in range(5))).results] == [STORED] * 5
    assert room.measured(feeds.LOST) == 2


@pytest.mark.parametrize("said", [-1, 99])
def test_a_count_that_cannot_be_is_put_right(room: Room, said: int) -> None:
    assert room.fakes.vitals is not None
    room.fakes.vitals.put = lambda clinic_id, records: said  # type: ignore[method-assign]
    room.add(room.item())
    assert room.measured(feeds.LOST) == (1 if said > 0 else 0)


def test_an_adapter_that_breaks_breaks_nothing_and_says_nothing(
    room: Room, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    assert room.fakes.vitals is not None

    def breaks() -> None:
        raise ValueError(CANARY)

    caplog.set_level(logging.DEBUG)
    room.fakes.vitals.before = breaks
    assert [one.status for one in room.add(room.item(), room.item()).results] == [STORED] * 2
    assert room.measured(feeds.LOST) == 2
    said = capfd.readouterr()
    assert CANARY not in caplog.text + said.out + said.err


def test_a_silent_stream_is_waited_for_once_in_a_while(room: Room, held: threading.Event) -> None:
    assert room.fakes.vitals is not None
    room.fakes.vitals.before = lambda: held.wait(30)
    to = room.observations()
    assert feeds.PUT_WITHIN_S <= took_s(lambda: room.add(room.item(), to=to)) < 2.0
    assert room.measured(feeds.LOST) == 1
    asked_s = took_s(lambda: [room.add(room.item(), room.item(), to=to) for _ in range(3)])
    assert asked_s < feeds.PUT_WITHIN_S
    assert room.measured(feeds.LOST) == 7
    held.set()
    clock = room.fakes.clock
    assert isinstance(clock, SetClock)
    clock.go(feeds.PAUSE_S + 0.1)
    room.add(room.item(), to=to)
    assert room.measured(feeds.LOST) == 7
    page = room.observations().page(room.device, room.patient_id, None, 50, "r")
    assert len(page.observations) == 8, "the store has them all"


def test_a_batch_that_is_not_kept_is_not_fed(room: Room, talking_down: Database) -> None:
    assert room.fakes.vitals is not None
    with pytest.raises(Refusal):
        room.add(room.item(), to=Observations(talking_down, room.fakes.ports(), SETTINGS))
    assert room.fakes.vitals.put_in == []


@pytest.fixture
def talking_down(connected: Callable[[str], Database]) -> Database:
    """A store that does not answer."""
    return connected("postgresql://nobody@127.0.0.1:1/none?connect_timeout=1")


# --- The call for help


def told(room: Room) -> list[tuple[UUID, UUID, str]]:
    assert room.fakes.cases is not None
    return [case[:3] for case in room.fakes.cases.told]


def the_case(room: Room) -> tuple[UUID, UUID, str]:
    return (room.device.clinic_id, room.device.id, "emergency")


def test_the_device_s_own_verdict_is_told(room: Room) -> None:
    events = room.ask(Urgency.EMERGENCY)
    assert [type(event).__name__ for event in events] == ["ChatStart", "ChatDone"]
    assert told(room) == [the_case(room)]
    assert room.fakes.cases is not None and room.fakes.cases.told[0][3] == room.fakes.clock.utc()
    assert room.fakes.model.asked == []
    assert room.measured(feeds.NOT_TOLD) == 0


@pytest.mark.parametrize("level", [Urgency.NONE, Urgency.URGENT])
@pytest.mark.parametrize("word", ["none", "urgent", "nonsense"])
def test_what_is_no_emergency_is_told_to_nobody(room: Room, level: Urgency, word: str) -> None:
    room.fakes.model = FakeModel((f"URGENCY: {word}\n", "Drink water."))
    assert isinstance(room.ask(level)[-1], ChatDone)
    assert told(room) == []


def test_an_emergency_that_the_model_sees_is_told_once(room: Room) -> None:
    room.fakes.model = FakeModel(("URGENCY: emergency\n", "Call for help. ", "URGENCY: emergency\n", "Now."))
    events = room.ask()
    assert any(isinstance(event, ChatUrgency) for event in events)
    assert told(room) == [the_case(room)]


def test_it_is_told_at_once_and_not_at_the_end_of_the_answer(room: Room) -> None:
    room.fakes.model = FakeModel(("URGENCY: emergency\n", "Call for help.", " Now."))
    stream = room.chat().stream(room.device, room.question(), "r")
    while not isinstance(next(stream), ChatUrgency):
        pass
    began_s = time.monotonic()
    while told(room) == [] and time.monotonic() - began_s < 5:
        time.sleep(0.01)
    assert told(room) == [the_case(room)]
    stream.close()


def test_whoever_leaves_is_still_called_for(room: Room) -> None:
    stream = room.chat().stream(room.device, room.question(Urgency.EMERGENCY), "r")
    next(stream)
    stream.close()
    assert told(room) == [the_case(room)]


def test_the_answer_is_there_before_the_telling_is(room: Room, held: threading.Event) -> None:
    assert room.fakes.cases is not None
    room.fakes.cases.before = lambda: held.wait(30)
    stream = room.chat().stream(room.device, room.question(Urgency.EMERGENCY), "r")
    assert took_s(lambda: [next(stream), next(stream)]) < 1.5
    assert took_s(lambda: list(stream)) < feeds.TELL_WITHIN_S + 1.0
    assert room.measured(feeds.NOT_TOLD) == 1


def test_no_word_of_the_model_waits_for_the_telling(room: Room, held: threading.Event) -> None:
    assert room.fakes.cases is not None
    room.fakes.cases.before = lambda: held.wait(30)
    room.fakes.model = FakeModel(("URGENCY: emergency\n", "Call for help.", " Now."))
    stream = room.chat().stream(room.device, room.question(), "r")

    def until_done() -> None:
        while not isinstance(next(stream), ChatDone):
            pass

    assert took_s(until_done) < 1.5
    assert room.measured(feeds.NOT_TOLD) == 0, "it is not settled yet"
    stream.close()
    assert room.measured(feeds.NOT_TOLD) == 1


def test_whoever_calls_twice_is_heard_once(room: Room) -> None:
    help_wanted = CallForHelp(room.fakes.ports(), room.device)
    help_wanted.settle()
    assert told(room) == []
    help_wanted.call()
    help_wanted.call()
    help_wanted.settle()
    assert told(room) == [the_case(room)]


@pytest.mark.parametrize("breaks", [False, True])
def test_a_bus_that_does_not_take_it_is_counted_and_the_answer_is_the_same(
    room: Room, breaks: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    assert room.fakes.cases is not None
    quiet = room.ask(Urgency.EMERGENCY)

    def before() -> None:
        if breaks:
            raise ValueError(CANARY)

    room.fakes.cases.before, room.fakes.cases.takes = before, False
    assert room.ask(Urgency.EMERGENCY) == quiet
    assert room.measured(feeds.NOT_TOLD) == 1
    assert CANARY not in "".join(capfd.readouterr())


def test_it_is_told_though_the_store_is_down(room: Room, talking_down: Database) -> None:
    chat = Chat(talking_down, room.fakes.ports(), SETTINGS)
    with pytest.raises(Refusal) as refused:
        list(chat.stream(room.device, room.question(Urgency.EMERGENCY), "r"))
    assert refused.value.code is Code.STORE_UNAVAILABLE
    assert told(room) == [the_case(room)]


def test_without_a_bus_nothing_is_told_and_nothing_is_missing(room: Room) -> None:
    room.fakes.cases = None
    assert isinstance(room.ask(Urgency.EMERGENCY)[-1], ChatDone)
    assert room.measured(feeds.NOT_TOLD) == 0


def test_no_thread_can_be_had(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", none_left)
    help_wanted = CallForHelp(room.fakes.ports(), room.device)
    help_wanted.call()
    help_wanted.settle()
    assert room.measured(feeds.NOT_TOLD) == 1


# --- With AWS's clients


@pytest.fixture(scope="module")
def one_aws() -> Iterator[AwsStandIn]:
    with AwsStandIn(workers=4) as aws, pytest.MonkeyPatch.context() as patch:
        for name, value in aws.environment().items():
            patch.setenv(name, value)
        patch.delenv("AWS_SESSION_TOKEN", raising=False)
        yield aws


@pytest.fixture
def aws(one_aws: AwsStandIn) -> Iterator[AwsStandIn]:
    one_aws.kinesis.clear()
    one_aws.event_bridge.clear()
    one_aws.faults.clear()
    yield one_aws
    one_aws.faults.clear()
    assert one_aws.failures == []


@pytest.fixture
def real(room: Room, aws: AwsStandIn) -> Iterator[Room]:
    """The room with the adapters that are deployed."""
    clients, clock = Clients(aws.region, aws.url), SystemClock()
    room.fakes.vitals = KinesisVitals(clients, clock, "vitals")  # type: ignore[assignment] # another one
    room.fakes.cases = EventBridgeCases(clients, clock, "cases")  # type: ignore[assignment] # another one
    yield room
    clients.close()


TROUBLES = [kind for kind in Kind if kind is not Kind.DELAYED]


def test_all_of_it_arrives(real: Room, aws: AwsStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PUT_WITHIN_S", "TELL_WITHIN_S"):
        monkeypatch.setattr(feeds, name, 30.0)  # a busy machine is no trouble of the stream
    items = [real.item() for _ in range(100)]
    assert {one.status for one in real.add(*items).results} == {STORED}
    found = {json.loads(record.data)["id"] for record in aws.kinesis.streams["vitals"]}
    assert found == {item["id"] for item in items}
    real.ask(Urgency.EMERGENCY)
    [event] = aws.event_bridge.buses["cases"]
    assert event.detail["device_id"] == str(real.device.id)
    assert real.measured(feeds.LOST) == real.measured(feeds.NOT_TOLD) == 0


@pytest.mark.parametrize("kind", TROUBLES)
def test_with_the_stream_in_trouble_the_answer_is_the_same_and_quick(
    real: Room, aws: AwsStandIn, kind: Kind
) -> None:
    aws.faults.set("kinesis", Fault(kind, seconds=5.0))
    to = real.observations()
    answers: list[BatchResult] = []
    assert took_s(lambda: answers.append(real.add(real.item(), real.item(), to=to))) < 2.0
    assert [one.status for one in answers[0].results] == [STORED] * 2
    assert real.measured(feeds.LOST) == 2


@pytest.mark.parametrize("kind", TROUBLES)
def test_with_the_bus_in_trouble_the_answer_is_the_same_and_quick(
    real: Room, aws: AwsStandIn, kind: Kind
) -> None:
    aws.faults.set("events", Fault(kind, seconds=5.0))
    stream = real.chat().stream(real.device, real.question(Urgency.EMERGENCY), "r")
    events: list[Event] = []
    assert took_s(lambda: events.extend([next(stream), next(stream)])) < 1.5
    assert isinstance(events[-1], ChatDone) and events[-1].urgency is Urgency.EMERGENCY
    assert took_s(lambda: list(stream)) < feeds.TELL_WITHIN_S + 1.0
    assert real.measured(feeds.NOT_TOLD) == 1


def test_nothing_that_was_said_and_nobody_is_in_an_event_a_measure_or_a_log(
    real: Room, aws: AwsStandIn, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    real.fakes.model = FakeModel(("URGENCY: emergency\n", f"Call for help, {CANARY}."))
    for fault in (None, Fault(Kind.BROKEN), Fault(Kind.RUBBISH)):
        if fault is not None:
            aws.faults.set("kinesis", fault)
            aws.faults.set("events", fault)
        real.add(real.item())
        assert any(isinstance(event, ChatDelta) for event in real.ask())
        real.ask(Urgency.EMERGENCY)
    assert len(aws.event_bridge.buses["cases"]) == 2
    told = repr(aws.event_bridge.buses) + repr(real.fakes.measures.added) + caplog.text
    keys = repr([record.partition_key for record in aws.kinesis.streams["vitals"]])
    for secret in (CANARY, "chest", str(real.patient_id), real.patient_id.hex):
        assert secret not in told + keys
    assert str(real.device.id) not in repr(real.fakes.measures.added)


def test_an_answer_that_breaks_is_called_for_too(room: Room) -> None:
    class Breaks(FakeModel):
        def stream(self, request: Any) -> Iterator[Any]:
            yield from list(FakeModel(("URGENCY: emergency\n", "Call ")).stream(request))[:2]
            raise Refusal(503, Code.MODEL_UNAVAILABLE, "no")

    room.fakes.model = Breaks()
    assert isinstance(room.ask()[-1], ChatError)
    assert told(room) == [the_case(room)]


def test_both_are_off_unless_the_settings_name_them() -> None:
    off = ports_of(SETTINGS)
    assert (off.vitals_stream, off.urgent_cases) == (None, None)
    on = ports_of(SETTINGS.model_copy(update={"vitals_stream": "vitals", "event_bus": "cases"}))
    assert isinstance(on.vitals_stream, KinesisVitals)
    assert isinstance(on.urgent_cases, EventBridgeCases)
