"""Questions to the assistant, and its voice, through the whole backend: the real handlers, a model that says what a test scripted."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from client.cloud import faults
from client.cloud.chat import (
    Chat,
    ChatCitation,
    ChatDelta,
    ChatDone,
    ChatError,
    ChatEvent,
    ChatStart,
    ChatTurn,
    ChatUrgency,
    Role,
    Triage,
    Urgency,
)
from client.cloud.wire import NewSynthesis, NewTranscription
from tests.client.cloud.device import Device, enrolled
from tests.stand_ins.aws.bedrock import THROTTLED, Says
from tests.stand_ins.local_cloud import LocalCloud


@pytest.fixture(scope="module")
def backend() -> Iterator[LocalCloud]:
    with LocalCloud() as running:
        yield running


@pytest.fixture
def device(backend: LocalCloud) -> Iterator[Device]:
    backend.aws.bedrock.clear()
    made = enrolled(backend)
    yield made
    made.line.close()


def question(text: str = "What is a heart rate?", **changes: Any) -> Chat:
    facts: dict[str, Any] = {
        "conversation_id": str(uuid.uuid4()),
        "patient_id": str(uuid.uuid4()),
        "language": "en",
        "turns": (ChatTurn(Role.PERSON, text),),
        "triage": Triage(Urgency.NONE, None),
        "evidence": (),
        "documents": (),
        "age_band": "30-44",
    }
    return Chat(**{**facts, **changes})


def text_of(events: list[ChatEvent]) -> str:
    return "".join(one.text for one in events if isinstance(one, ChatDelta))


def test_an_answer_comes_in_the_pieces_that_the_model_says(backend: LocalCloud, device: Device) -> None:
    backend.aws.bedrock.then(Says(("URGENCY: none\n", "It is how often ", "the heart beats."), every_s=0.3))
    began, seen = time.monotonic(), []
    events = []
    for event in device.cloud.ask(question()):
        events.append(event)
        if isinstance(event, ChatDelta):
            seen.append(time.monotonic() - began)
    assert isinstance(events[0], ChatStart)
    assert isinstance(events[-1], ChatDone)
    assert text_of(events) == "It is how often the heart beats."
    assert seen[-1] - seen[0] > 0.2, "the first piece was not held back until the last"


def test_what_the_model_finds_urgent_is_told(backend: LocalCloud, device: Device) -> None:
    backend.aws.bedrock.then(Says(("URGENCY: emergency\n", "Call for help.")))
    events = list(device.cloud.ask(question()))
    assert [one.urgency for one in events if isinstance(one, ChatUrgency)] == ["emergency"]


def test_an_emergency_of_this_device_asks_no_model(backend: LocalCloud, device: Device) -> None:
    asked = len(backend.aws.bedrock.requests)
    events = list(device.cloud.ask(question(triage=Triage(Urgency.EMERGENCY, "chest_pain"))))
    assert [type(one) for one in events] == [ChatStart, ChatDone]
    assert len(backend.aws.bedrock.requests) == asked


def test_who_stops_listening_cuts_the_answer_off_and_can_ask_again(
    backend: LocalCloud, device: Device
) -> None:
    backend.aws.bedrock.then(Says(("URGENCY: none\n", *["word "] * 200), every_s=0.1), Says())
    with closing(device.cloud.ask(question())) as events:
        for event in events:
            if isinstance(event, ChatDelta):
                break
    began = time.monotonic()
    assert isinstance(list(device.cloud.ask(question()))[-1], ChatDone)
    assert time.monotonic() - began < 5.0


def test_an_answer_that_breaks_is_an_error_at_the_end(backend: LocalCloud, device: Device) -> None:
    backend.aws.bedrock.then(Says(breaks_after=2, breaks="modelStreamErrorException"))
    assert isinstance(list(device.cloud.ask(question()))[-1], ChatError)


def test_a_refusal_comes_as_its_fault(backend: LocalCloud, device: Device) -> None:
    backend.aws.bedrock.always = THROTTLED
    with pytest.raises(faults.CloudFault) as caught:
        list(device.cloud.ask(question()))
    assert caught.value.retry
    assert caught.value.retry_after_s is not None


def test_a_device_that_was_revoked_is_told(device: Device) -> None:
    device.revoke()
    with pytest.raises(faults.DeviceRevoked):
        list(device.cloud.ask(question()))


def test_another_access_token_is_fetched_where_one_is_over(device: Device) -> None:
    list(device.cloud.ask(question()))
    _, _, token = device.credentials.signed_in(device.line)
    device.credentials.drop(token)
    assert isinstance(list(device.cloud.ask(question()))[-1], ChatDone)


def test_a_document_of_somebody_else_is_refused(device: Device) -> None:
    with pytest.raises(faults.Refused) as caught:
        list(device.cloud.ask(question(documents=(str(uuid.uuid4()),))))
    assert caught.value.status == 404


def test_a_citation_names_what_the_answer_rests_on(backend: LocalCloud, device: Device) -> None:
    from client.cloud.chat import Evidence
    from client.cloud.wire import Value

    shown = Evidence(
        "heart_rate", device.line.clock.utc(), Value(72.0, 70.0, 74.0, "/min", 0.9, (), 30.0, "pos")
    )
    backend.aws.bedrock.then(Says(("URGENCY: none\n", "It was 72 [v1].")))
    events = list(device.cloud.ask(question(evidence=(shown,))))
    cited = [one for one in events if isinstance(one, ChatCitation)]
    assert [one.id for one in cited] == ["v1"]
    assert "72" in cited[0].quote


def test_a_place_to_stream_speech_to(device: Device) -> None:
    place = device.cloud.transcription(NewTranscription("en-US", 16_000))
    assert "/stream-transcription-websocket?" in place.url
    assert place.protocol == "transcribe"
    assert place.url not in repr(place)


def test_a_text_comes_back_as_sound(device: Device) -> None:
    sound = device.cloud.synthesize(NewSynthesis("Seventy-two beats a minute.", "en-US", None, 100))
    assert sound[:3] == b"ID3" or sound[0] == 0xFF
