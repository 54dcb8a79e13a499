"""Speech in the cloud: URLs, tokens and texts that are kept nowhere, whoever hears and speaks."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from backend_lambda.errors import Code, Refusal
from backend_lambda.ports import Spoken
from backend_lambda.principals import Device
from backend_lambda.services.speech import Speech
from backend_lambda.store import audit, clinics, usage
from backend_lambda.store.database import Database
from backend_lambda.wire import Feature, NewSynthesis, NewTranscription
from tests.backend_lambda.conftest import SetClock
from tests.backend_lambda.fakes import Fakes
from tests.backend_lambda.services import making_services
from tests.stand_ins.postgres import Urls


@pytest.fixture
def fakes(clock: SetClock) -> Fakes:
    return Fakes(clock)


SETTINGS = making_services.SETTINGS.model_copy(update={"vocabulary": "words"})


@pytest.fixture
def speech(api: Database, fakes: Fakes) -> Speech:
    return Speech(api, fakes.ports(), SETTINGS)


def test_both_are_noted_without_a_word(
    speech: Speech,
    fakes: Fakes,
    auditor: Database,
    clinic_id: UUID,
    device_id: UUID,
    clock: SetClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    device = Device(device_id, clinic_id, "t" * 43)
    with caplog.at_level(logging.DEBUG):
        made = speech.transcription(device, NewTranscription(language="es"), "r1")
        spoken = speech.synthesis(
            device, NewSynthesis(text="canary <b>", language="en", rate_percent=120), "r2"
        )
    assert made.url.startswith("wss://") and made.expires_at == clock.utc() + timedelta(seconds=300)
    assert spoken.media_type == "audio/mpeg" and fakes.speech.spoken == [("canary <b>", 120, "en", None)]
    with auditor.clinic(clinic_id) as tx:
        entries = audit.page(tx, 0, 10)
    assert [(entry.action, entry.result, entry.request_id) for entry in entries] == [
        ("transcription", "ok", "r1"),
        ("synthesis", "ok", "r2"),
    ]
    assert "canary" not in repr(entries) + caplog.text + repr(fakes.measures.added)


def test_a_stream_of_another_protocol_is_handed_on_and_ends_when_it_ends(
    speech: Speech,
    fakes: Fakes,
    auditor: Database,
    clinic_id: UUID,
    device_id: UUID,
    clock: SetClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    fakes.speech.protocol, fakes.speech.good_for_s = "deepgram", 45.0
    fakes.speech.headers = {"Authorization": "Bearer canary"}
    with caplog.at_level(logging.DEBUG):
        made = speech.transcription(
            Device(device_id, clinic_id, "t" * 43), NewTranscription(language="de"), "r1"
        )
    assert (made.protocol, made.headers) == ("deepgram", {"Authorization": "Bearer canary"})
    assert made.expires_at == clock.utc() + timedelta(seconds=45)
    with auditor.clinic(clinic_id) as tx:
        assert "canary" not in repr(audit.page(tx, 0, 10)) + caplog.text + repr(fakes.measures.added)


def test_a_service_that_does_not_answer_is_said(
    speech: Speech, fakes: Fakes, clinic_id: UUID, device_id: UUID
) -> None:
    fakes.speech.fault = Refusal(503, Code.SPEECH_UNAVAILABLE, "no")
    with pytest.raises(Refusal):
        speech.synthesis(Device(device_id, clinic_id, "t" * 43), NewSynthesis(text="Hi", language="en"), "r")


# --- How much, and how often -------------------------------------------------------------------------


@pytest.fixture
def device(clinic_id: UUID, device_id: UUID) -> Device:
    return Device(device_id, clinic_id, "t" * 43)


@pytest.fixture
def limited(api: Database, fakes: Fakes) -> Callable[..., Speech]:
    """With these settings."""
    return lambda **changes: Speech(api, fakes.ports(), SETTINGS.model_copy(update=changes))


def say(speech: Speech, device: Device, text: str = "Hello") -> None:
    speech.synthesis(device, NewSynthesis(text=text, language="en"), "r")


def hear(speech: Speech, device: Device) -> None:
    speech.transcription(device, NewTranscription(language="en"), "r")


def code_of(act: Callable[[], None]) -> tuple[int, Code, float | None]:
    with pytest.raises(Refusal) as refused:
        act()
    return refused.value.status, refused.value.code, refused.value.retry_after_s


def used(api: Database, device: Device, clock: SetClock) -> tuple[int, int]:
    """Characters and streams."""
    with api.clinic(device.clinic_id) as tx:
        found = usage.speech_this_month(tx, clock.utc())
    return found.characters, found.streams


def another(api: Database, clock: SetClock) -> Device:
    """A device of another clinic."""
    clinic_id = uuid4()
    with api.outside() as tx:
        assert clinics.add(tx, clinic_id, "Other", clock.utc(), allows=Feature)
    return Device(uuid4(), clinic_id, "u" * 43)


def test_both_are_counted(speech: Speech, device: Device, api: Database, clock: SetClock) -> None:
    say(speech, device, "Hello")
    hear(speech, device)
    hear(speech, device)
    assert used(api, device, clock) == (5, 2)


def test_a_device_speaks_and_hears_so_often_a_minute(
    speech: Speech, fakes: Fakes, device: Device, api: Database, clock: SetClock
) -> None:
    clock.go(20.0)
    for _ in range(15):
        say(speech, device)
        hear(speech, device)
    for act in (lambda: say(speech, device), lambda: hear(speech, device)):
        assert code_of(act) == (429, Code.RATE_LIMITED, 40.0)
    assert len(fakes.speech.spoken) == 15, "who is refused costs nothing"
    assert used(api, device, clock) == (75, 15)
    say(speech, Device(uuid4(), device.clinic_id, "u" * 43))
    say(speech, another(api, clock))
    clock.go(40.0)
    say(speech, device)


def test_the_characters_of_a_month(
    limited: Callable[..., Speech], fakes: Fakes, device: Device, api: Database, clock: SetClock
) -> None:
    speech = limited(speech_budget_characters=12)
    say(speech, device, "Hello")
    clock.go(86_400.0)
    say(speech, device, "Hello")
    assert code_of(lambda: say(speech, device, "Hello"))[:2] == (429, Code.BUDGET_SPENT)
    assert used(api, device, clock) == (10, 0) and len(fakes.speech.spoken) == 2
    say(speech, device, "Hi")
    status, code, wait_s = code_of(lambda: say(speech, device, "H"))
    assert (status, code) == (429, Code.BUDGET_SPENT)
    hear(speech, device)
    say(speech, another(api, clock), "Hello")
    assert wait_s is not None
    clock.go(wait_s)
    assert (clock.utc().month, clock.utc().day, clock.utc().hour) == (12, 1, 0)
    say(speech, device, "Hello")
    assert used(api, device, clock) == (5, 0)


def test_the_streams_of_a_month(
    limited: Callable[..., Speech], device: Device, api: Database, clock: SetClock
) -> None:
    speech = limited(transcription_budget_streams=2)
    hear(speech, device)
    hear(speech, device)
    status, code, wait_s = code_of(lambda: hear(speech, device))
    assert (status, code) == (429, Code.BUDGET_SPENT) and wait_s is not None
    say(speech, device)
    hear(speech, another(api, clock))
    clock.go(wait_s)
    hear(speech, device)
    assert used(api, device, clock) == (0, 1)


def test_who_has_heard_more_than_is_allowed_now_may_still_speak(
    speech: Speech, limited: Callable[..., Speech], device: Device
) -> None:
    say(speech, device)
    hear(speech, device)
    less = {"speech_budget_characters": 1, "transcription_budget_streams": 0}
    for act, name in ((say, "transcription_budget_streams"), (hear, "speech_budget_characters")):
        act(limited(**{name: less[name]}), device)


def test_nothing_may_be_spoken_or_heard_without_a_budget(
    limited: Callable[..., Speech], fakes: Fakes, device: Device
) -> None:
    speech = limited(speech_budget_characters=0, transcription_budget_streams=0)
    for act in (lambda: say(speech, device, "a"), lambda: hear(speech, device)):
        assert code_of(act)[:2] == (429, Code.BUDGET_SPENT)
    assert fakes.speech.spoken == []


def test_whoever_asks_though_nothing_is_left_is_counted_too(
    limited: Callable[..., Speech], device: Device
) -> None:
    speech = limited(speech_budget_characters=0, speech_per_minute=2)
    codes = [code_of(lambda: say(speech, device))[1] for _ in range(3)]
    assert codes == [Code.BUDGET_SPENT, Code.BUDGET_SPENT, Code.RATE_LIMITED]


@pytest.mark.parametrize("status, code, stays", [
    (413, Code.TOO_LARGE, 0), (422, Code.INVALID, 0), (429, Code.RATE_LIMITED, 0), (500, Code.INTERNAL, 0),
    (503, Code.SPEECH_UNAVAILABLE, 5), (504, Code.TIMED_OUT, 5),
])  # fmt: skip
def test_what_the_provider_refused_is_not_counted_what_it_may_have_billed_is(
    speech: Speech,
    fakes: Fakes,
    device: Device,
    api: Database,
    clock: SetClock,
    status: int,
    code: Code,
    stays: int,
) -> None:
    fakes.speech.fault = Refusal(status, code, "no")
    assert code_of(lambda: say(speech, device))[:2] == (status, code)
    assert code_of(lambda: hear(speech, device))[:2] == (status, code)
    assert used(api, device, clock) == (stays, 0)


@pytest.mark.parametrize("billed, counted", [(3, 3), (9, 9), (0, 5)])
def test_what_the_provider_bills_is_counted(
    speech: Speech, fakes: Fakes, device: Device, api: Database, clock: SetClock, billed: int, counted: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(fakes.speech, "synthesize", lambda *_: Spoken(b"ID3", "audio/mpeg", billed))
    say(speech, device)
    assert used(api, device, clock) == (counted, 0)


def test_what_is_spoken_over_midnight_belongs_to_one_day(
    speech: Speech,
    fakes: Fakes,
    device: Device,
    api: Database,
    clock: SetClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock.time = clock.time.replace(day=30, hour=23, minute=59, second=59)

    def slow(*_: object) -> Spoken:
        clock.go(2.0)
        return Spoken(b"ID3", "audio/mpeg", 4)

    monkeypatch.setattr(fakes.speech, "synthesize", slow)
    say(speech, device)
    assert used(api, device, clock) == (0, 0), "it is December"
    clock.go(-2.0)
    assert used(api, device, clock) == (4, 0)


def test_many_at_once_do_not_overspend(
    limited: Callable[..., Speech], fakes: Fakes, device: Device, api: Database, clock: SetClock
) -> None:
    """Each thread is a device of its own: one device's wishes wait for each other anyway."""
    speech = limited(speech_budget_characters=52)
    codes: list[Code] = []
    start = threading.Barrier(8)

    def ask() -> None:
        own = Device(uuid4(), device.clinic_id, "u" * 43)
        start.wait()
        for _ in range(5):
            try:
                say(speech, own)
            except Refusal as refusal:
                codes.append(refusal.code)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(fakes.speech.spoken) == 10 and codes == [Code.BUDGET_SPENT] * 30
    assert used(api, device, clock) == (50, 0)


def test_who_asks_while_another_is_counted_waits_for_the_count(
    limited: Callable[..., Speech], fakes: Fakes, device: Device, api: Database, clock: SetClock
) -> None:
    """Otherwise both would see what was left before either."""
    speech = limited(speech_budget_characters=9)
    say(speech, another(api, clock))  # whatever is done once is done
    codes: list[Code] = []

    def ask() -> None:
        codes.append(code_of(lambda: say(speech, device))[1])

    thread = threading.Thread(target=ask)
    with api.clinic(device.clinic_id) as tx:
        usage.add_speech(tx, day=clock.utc().date(), characters=5)
        thread.start()
        thread.join(0.5)
        assert thread.is_alive()
    thread.join()
    assert codes == [Code.BUDGET_SPENT] and used(api, device, clock) == (5, 0)
    assert len(fakes.speech.spoken) == 1


def test_a_clinic_that_does_not_use_it_is_told_so_and_nothing_is_counted(
    speech: Speech, device: Device, api: Database, clock: SetClock
) -> None:
    with api.clinic(device.clinic_id) as tx:
        clinics.add(tx, device.clinic_id, "Clinic", clock.utc(), allows=[Feature.CHAT])
    for act in (lambda: say(speech, device), lambda: hear(speech, device)):
        assert code_of(act)[:2] == (403, Code.NOT_ALLOWED_HERE)
    assert used(api, device, clock) == (0, 0)


def test_the_rows_say_how_much_and_not_what_or_who(
    speech: Speech, device: Device, urls: Urls, clock: SetClock
) -> None:
    say(speech, device, "canary")
    hear(speech, device)
    with psycopg.connect(urls.superuser) as connection:
        days, windows = (
            connection.execute(
                f"SELECT * FROM {table} WHERE clinic_id = %s".encode(), (device.clinic_id,)
            ).fetchall()
            for table in ("usage_day", "rate_window")
        )
    assert days == [(device.clinic_id, clock.utc().date(), 0, 0, 6, 1)]
    [(_, asker_id, _, requests)] = windows
    assert requests == 2 and asker_id != device.id
