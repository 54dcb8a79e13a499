"""Links that open one report once."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest

from backend_lambda.errors import Code, Refusal, unavailable
from backend_lambda.principals import Device
from backend_lambda.services.shares import Shares
from backend_lambda.store.database import Database
from backend_lambda.wire import NewShare, OpenShare, Purpose, Share
from tests.backend_lambda.conftest import SetClock
from tests.backend_lambda.services.making_services import FAULT, SETTINGS, Room
from tests.backend_lambda.services.test_uploads import other_clinic, refused


@pytest.fixture
def room(
    api: Database, processing: Database, auditor: Database, clinic_id: UUID, device_id: UUID, clock: SetClock
) -> Room:
    return Room(api, processing, auditor, Device(device_id, clinic_id, "t" * 43), clock)


ADDRESS = "mrs.example@example.org"


def shared(room: Room, **more: Any) -> Share:
    return room.shares.create(room.device, NewShare(id=uuid4(), upload_id=room.ready().id, **more), "r1")


def secret_of(share: Share) -> OpenShare:
    return OpenShare(secret=urlsplit(share.url).fragment)


def test_a_link_opens_a_report(room: Room) -> None:
    wanted = room.ready()
    share = room.shares.create(room.device, NewShare(id=uuid4(), upload_id=wanted.id, valid_s=600), "r1")
    parts = urlsplit(share.url)
    assert share.url.startswith(f"{SETTINGS.public_url}/v1/shares/{share.id}#")
    assert (parts.path, parts.query) == (f"/v1/shares/{share.id}", "")
    assert len(parts.fragment) == 43
    assert share.expires_at == room.clock.utc() + timedelta(seconds=600)
    download = room.shares.open(share.id, secret_of(share), "r2")
    row = room.row(wanted)
    assert (
        download.url
        == f"https://objects.test/{row.object_key}?versionId={row.version_id}&as=document.pdf&for=60"
    )
    assert download.expires_at == room.clock.utc() + timedelta(seconds=60)
    made, opened = (room.entries(action)[0] for action in ("share.create", "share.open"))
    assert (made.actor_id, made.object_id, made.request_id) == (str(room.device.id), str(wanted.id), "r1")
    assert (opened.actor_kind, opened.actor_id, opened.object_id) == ("share", str(share.id), str(wanted.id))
    assert room.measured("shares_created") == room.measured("shares_opened") == 1
    assert room.fakes.mail.sent == []


def test_it_opens_once(room: Room) -> None:
    share = shared(room)
    room.shares.open(share.id, secret_of(share), "r")
    assert refused(room.shares.open, share.id, secret_of(share), "r") == (410, Code.GONE)
    assert len(room.entries("share.open")) == 1


def test_of_many_who_open_it_at_once_one_does(room: Room) -> None:
    share = shared(room)
    together = threading.Barrier(6)
    results: list[str] = []

    def open_it() -> None:
        together.wait(10.0)
        try:
            results.append(room.shares.open(share.id, secret_of(share), "r").url)
        except Refusal as refusal:
            results.append(str(refusal.status))

    threads = [threading.Thread(target=open_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30.0)
    assert len(results) == 6
    assert results.count("410") == 5


def test_every_secret_is_another_one(room: Room) -> None:
    wanted = room.ready()
    secrets = {
        secret_of(room.shares.create(room.device, NewShare(id=uuid4(), upload_id=wanted.id), "r")).secret
        for _ in range(5)
    }
    assert len(secrets) == 5


def test_a_wrong_secret_opens_nothing_and_uses_nothing_up(room: Room) -> None:
    share, other = shared(room), shared(room)
    for wrong in ("A" * 43, "x", secret_of(other).secret, secret_of(share).secret[:-1]):
        assert refused(room.shares.open, share.id, OpenShare(secret=wrong), "r") == (410, Code.GONE)
    assert refused(room.shares.open, uuid4(), secret_of(share), "r") == (410, Code.GONE)
    assert room.shares.open(share.id, secret_of(share), "r").url


def test_it_expires(room: Room) -> None:
    share = shared(room, valid_s=300)
    room.clock.go(301.0)
    assert refused(room.shares.open, share.id, secret_of(share), "r") == (410, Code.GONE)


def test_a_report_that_was_erased_does_not_open(room: Room) -> None:
    wanted = room.ready()
    share = room.shares.create(room.device, NewShare(id=uuid4(), upload_id=wanted.id), "r")
    room.erase(wanted.patient_id)
    assert refused(room.shares.open, share.id, secret_of(share), "r") == (410, Code.GONE)


def test_a_fault_of_ours_does_not_use_it_up(room: Room) -> None:
    share = shared(room)
    room.bucket.fault = FAULT
    assert refused(room.shares.open, share.id, secret_of(share), "r") == (503, Code.OBJECTS_UNAVAILABLE)
    room.bucket.fault = None
    assert room.shares.open(share.id, secret_of(share), "r").url


def test_only_ready_reports_of_ours_are_shared(room: Room) -> None:
    def create(upload_id: UUID) -> tuple[int, Code]:
        return refused(room.shares.create, room.device, NewShare(id=uuid4(), upload_id=upload_id), "r")

    assert create(room.ready(purpose=Purpose.MEDICAL_REPORT).id) == (403, Code.FORBIDDEN)
    assert create(room.sent(purpose=Purpose.SCAN_REPORT).id) == (409, Code.CONFLICT)
    hostile = room.sent(data=b"%PDF-", purpose=Purpose.SCAN_REPORT)
    assert room.event(hostile) == "quarantined"
    assert create(hostile.id) == (409, Code.CONFLICT)
    assert create(uuid4()) == (404, Code.NOT_FOUND)
    assert room.entries("share.create") == []


def test_another_clinics_report_is_not_shared(room: Room) -> None:
    wanted = room.ready()
    share = NewShare(id=uuid4(), upload_id=wanted.id)
    assert refused(room.shares.create, other_clinic(room), share, "r") == (404, Code.NOT_FOUND)
    assert refused(room.shares.create, room.admin, share, "r") == (403, Code.FORBIDDEN)


def test_the_same_id_again_is_refused(room: Room) -> None:
    """Its secret cannot be told again, and nobody gets a second letter."""
    share = shared(room, email=ADDRESS)
    again = NewShare(id=share.id, upload_id=room.ready().id, email=ADDRESS)
    assert refused(room.shares.create, room.device, again, "r") == (409, Code.CONFLICT)
    assert len(room.fakes.mail.sent) == 1
    assert room.shares.open(share.id, secret_of(share), "r").url


# --- Mail --------------------------------------------------------------------------------------------


def test_a_letter_holds_the_link_and_nothing_of_the_patient(room: Room) -> None:
    wanted = room.ready()
    new = NewShare(id=uuid4(), upload_id=wanted.id, email=ADDRESS)
    share = room.shares.create(room.device, new, "r")
    ((to, subject, text),) = room.fakes.mail.sent
    assert to == ADDRESS
    assert share.url in text
    assert "2026-11-28 12:00 UTC" in text
    for word in (str(wanted.patient_id), str(wanted.id), str(room.device.clinic_id), ADDRESS):
        assert word not in subject + text


def test_the_address_is_kept_nowhere(room: Room) -> None:
    shared(room, email=ADDRESS)
    (entry,) = room.entries("share.mail")
    assert ADDRESS not in entry.model_dump_json()
    assert not [one for one in room.fakes.measures.added if "@" in repr(one)]
    with room.api.clinic(room.device.clinic_id) as transaction:
        (columns,) = transaction.ask("SELECT to_jsonb(share)::text FROM share")
    assert "example" not in columns[0]


def test_a_letter_that_could_not_be_sent_may_be_asked_for_again(room: Room) -> None:
    wanted = NewShare(id=uuid4(), upload_id=room.ready().id, email=ADDRESS)
    room.fakes.mail.fault = unavailable(Code.MAIL_UNAVAILABLE, "No mail now.")
    assert refused(room.shares.create, room.device, wanted, "r") == (503, Code.MAIL_UNAVAILABLE)
    room.fakes.mail.fault = None
    share = room.shares.create(room.device, wanted, "r")
    assert len(room.fakes.mail.sent) == 1
    assert room.shares.open(share.id, secret_of(share), "r").url


def test_a_clinic_without_mail_sends_none(room: Room) -> None:
    without = Shares(room.api, room.ports, SETTINGS.model_copy(update={"mail_from": ""}))
    wanted = NewShare(id=uuid4(), upload_id=room.ready().id, email=ADDRESS)
    assert refused(without.create, room.device, wanted, "r") == (403, Code.NOT_ALLOWED_HERE)
    assert room.fakes.mail.sent == []


def test_a_refusal_never_names_the_address(room: Room) -> None:
    wanted = NewShare(id=uuid4(), upload_id=uuid4(), email=ADDRESS)
    with pytest.raises(Refusal) as told:
        room.shares.create(room.device, wanted, "r")
    assert "example" not in str(told.value.problem("r"))
