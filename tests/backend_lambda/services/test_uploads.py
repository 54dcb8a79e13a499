"""Announcing, completing, reading and downloading, with a real database and a bucket in memory."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import ValidationError

from backend_lambda.errors import Code, Refusal
from backend_lambda.principals import Admin, AdminRole, Device, Principal
from backend_lambda.services.inspection import Finding
from backend_lambda.services.uploads import STUCK_AFTER_S, UPLOAD_LIMITS, folder_of, limit_bytes, place_of
from backend_lambda.store import clinics, devices
from backend_lambda.store.database import Database
from backend_lambda.wire import Feature, MediaType, NewUpload, Purpose, UploadState
from tests.backend_lambda.conftest import SetClock
from tests.backend_lambda.services.making_files import GOOD, JPEG, JSON, PDF, PNG, png
from tests.backend_lambda.services.making_services import FAULT, Room


@pytest.fixture
def room(
    api: Database, processing: Database, auditor: Database, clinic_id: UUID, device_id: UUID, clock: SetClock
) -> Room:
    return Room(api, processing, auditor, Device(device_id, clinic_id, "t" * 43), clock)


def announce(**facts: Any) -> NewUpload:
    return NewUpload.model_validate(
        {
            "id": uuid4(),
            "patient_id": uuid4(),
            "purpose": "medical_report",
            "media_type": PDF,
            "length_bytes": 100,
            "sha256": "ab" * 32,
            **facts,
        }
    )


def refused(call: Any, *given: Any) -> tuple[int, Code]:
    with pytest.raises(Refusal) as told:
        call(*given)
    return told.value.status, told.value.code


# --- Announcing --------------------------------------------------------------------------------------


def test_the_url_is_good_for_what_was_said_and_for_two_minutes(room: Room) -> None:
    wanted = announce()
    answer = room.uploads.begin(room.device, wanted, "r1")
    assert answer.id == wanted.id
    assert answer.state is UploadState.AWAITING
    assert (
        answer.url
        == f"https://objects.test/c/{room.device.clinic_id}/{room.folder(wanted.patient_id)}/{wanted.id}"
    )
    assert answer.headers == {"Content-Type": PDF, "Content-Length": "100", "If-None-Match": "*"}
    assert answer.expires_at == room.clock.utc() + timedelta(seconds=120)
    (entry,) = room.entries()
    assert (entry.actor_kind, entry.actor_id) == ("device", str(room.device.id))
    assert (entry.action, entry.object_id, entry.result, entry.request_id) == (
        "upload.begin",
        str(wanted.id),
        "ok",
        "r1",
    )
    assert room.measured("uploads_begun") == 1


@pytest.mark.parametrize("limit", UPLOAD_LIMITS, ids=lambda limit: f"{limit.purpose}-{limit.media_type.name}")
def test_each_type_has_its_limit(room: Room, limit: Any) -> None:
    facts = {"purpose": limit.purpose, "media_type": limit.media_type}
    assert room.uploads.begin(room.device, announce(**facts, length_bytes=limit.max_bytes), "r").url
    too_large = announce(**facts, length_bytes=limit.max_bytes + 1)
    assert refused(room.uploads.begin, room.device, too_large, "r") == (413, Code.TOO_LARGE)
    assert len(room.entries()) == 1


def test_what_is_in_no_limit_is_not_taken(room: Room) -> None:
    for purpose in Purpose:
        for media_type in MediaType:
            if limit_bytes(purpose, media_type) is None:
                wanted = announce(purpose=purpose, media_type=media_type)
                assert refused(room.uploads.begin, room.device, wanted, "r") == (415, Code.MEDIA_TYPE)
    assert limit_bytes(Purpose.SCAN_RECORD, MediaType.PDF) is None
    assert limit_bytes(Purpose.MEDICAL_REPORT, MediaType.PDF) == 20_000_000


@pytest.mark.parametrize("length", [0, -1, 100_000_001])
def test_lengths_that_no_file_has(length: int) -> None:
    with pytest.raises(ValidationError):
        announce(length_bytes=length)


def test_the_same_again_gets_a_new_url(room: Room) -> None:
    wanted = announce()
    first = room.uploads.begin(room.device, wanted, "r1")
    room.clock.go(600.0)
    again = room.uploads.begin(room.device, wanted, "r2")
    assert first.expires_at is not None
    assert again.expires_at == first.expires_at + timedelta(seconds=600)
    assert room.row(wanted).created_at == room.clock.utc() - timedelta(seconds=600)


@pytest.mark.parametrize(
    "other",
    [
        {"patient_id": uuid4()},
        {"media_type": PNG},
        {"length_bytes": 99},
        {"sha256": "cd" * 32},
        {"purpose": "scan_report"},
    ],
    ids=lambda other: next(iter(other)),
)
def test_other_facts_under_the_same_id_are_a_conflict(room: Room, other: dict[str, Any]) -> None:
    wanted = announce()
    room.uploads.begin(room.device, wanted, "r")
    changed = NewUpload.model_validate(wanted.model_dump() | other)
    assert refused(room.uploads.begin, room.device, changed, "r") == (409, Code.CONFLICT)
    assert room.row(wanted).sha256 == wanted.sha256


def test_what_was_sent_already_gets_no_url(room: Room) -> None:
    wanted = room.sent()
    answer = room.uploads.begin(room.device, wanted, "r")
    assert (answer.state, answer.url, answer.headers, answer.expires_at) == (
        UploadState.AWAITING,
        None,
        {},
        None,
    )
    room.event(wanted)
    answer = room.uploads.begin(room.device, wanted, "r")
    assert (answer.state, answer.url) == (UploadState.READY, None)


def test_what_is_in_quarantine_gets_no_url(room: Room) -> None:
    wanted = room.sent(data=GOOD[PDF] + b"hidden")
    assert room.event(wanted) == "quarantined"
    answer = room.uploads.begin(room.device, wanted, "r")
    assert (answer.state, answer.url) == (UploadState.QUARANTINED, None)


def test_an_erased_patient_gets_nothing_more(room: Room) -> None:
    wanted = room.ready()
    room.erase(wanted.patient_id)
    assert refused(room.uploads.begin, room.device, wanted, "r") == (410, Code.GONE)
    assert refused(room.uploads.begin, room.device, announce(patient_id=wanted.patient_id), "r") == (
        410,
        Code.GONE,
    )
    assert refused(room.uploads.get, room.device, wanted.id, "r") == (404, Code.NOT_FOUND)
    assert refused(room.uploads.complete, room.device, wanted.id, "r") == (404, Code.NOT_FOUND)


def test_a_store_that_fails_is_told_and_may_be_asked_again(room: Room) -> None:
    wanted = announce()
    room.bucket.fault = FAULT
    assert refused(room.uploads.begin, room.device, wanted, "r") == (503, Code.OBJECTS_UNAVAILABLE)
    room.bucket.fault = None
    assert room.uploads.begin(room.device, wanted, "r").url is not None


# --- Completing --------------------------------------------------------------------------------------


def test_complete_hands_it_over_to_processing(room: Room) -> None:
    wanted = room.sent()
    upload = room.uploads.complete(room.device, wanted.id, "r")
    assert (upload.state, upload.reason, upload.sha256) == (UploadState.PROCESSING, None, wanted.sha256)
    assert room.uploads.complete(room.device, wanted.id, "r") == upload
    assert room.event(wanted) == "ready"
    assert room.uploads.complete(room.device, wanted.id, "r").state is UploadState.READY


def test_nothing_sent_is_a_conflict(room: Room) -> None:
    wanted = room.announced()
    assert refused(room.uploads.complete, room.device, wanted.id, "r") == (409, Code.CONFLICT)
    assert room.state(wanted) == (UploadState.AWAITING, None)


@pytest.mark.parametrize("kind", ["longer", "other bytes", "other type", "no checksum", "packed"])
def test_what_is_not_as_it_was_said_ends_in_quarantine(room: Room, kind: str) -> None:
    wanted = room.announced()
    data = GOOD[PDF]
    if kind == "longer":
        room.put(wanted, data + b"\n")
    elif kind == "other bytes":
        room.put(wanted, data[:-1] + b" ")
    elif kind == "other type":
        room.put(wanted, data, "text/html")
    elif kind == "packed":
        room.put(wanted, data)
        room.bucket.content_encoding = "gzip"
    else:
        room.put(wanted, data)
        room.bucket.checksums = False
    upload = room.uploads.complete(room.device, wanted.id, "r7")
    assert (upload.state, upload.reason) == (UploadState.QUARANTINED, "not_as_declared")
    assert list(room.bucket.objects) == [room.place(wanted).quarantine_key]
    assert refused(room.uploads.download, room.device, wanted.id, "r") == (409, Code.CONFLICT)
    assert [entry.action for entry in room.entries()] == [
        "upload.begin",
        "upload.quarantine",
        "upload.complete",
    ]
    assert room.measured("uploads_quarantined") == 1


def test_quarantine_that_could_not_be_finished_hands_nothing_out(room: Room) -> None:
    """The state comes first; the store's event moves the file."""
    wanted = room.announced()
    room.put(wanted, b"other")
    room.bucket.faults["move"] = 1
    assert refused(room.uploads.complete, room.device, wanted.id, "r") == (503, Code.OBJECTS_UNAVAILABLE)
    assert room.state(wanted) == (UploadState.QUARANTINED, "not_as_declared")
    assert room.keys() == ["c"]
    assert room.event(wanted) == "already"
    assert room.keys() == ["q"]


def test_the_event_may_be_faster_than_complete(room: Room) -> None:
    wanted = room.sent()
    room.bucket.before["head"] = lambda: room.event(wanted)
    assert room.uploads.complete(room.device, wanted.id, "r").state is UploadState.READY
    assert room.row(wanted).text_key is not None


def test_the_event_may_be_faster_to_quarantine(room: Room) -> None:
    wanted = room.announced()
    version = room.put(wanted, b"other")
    room.bucket.before["move"] = lambda: room.event(wanted, version)
    upload = room.uploads.complete(room.device, wanted.id, "r")
    assert (upload.state, upload.reason) == (UploadState.QUARANTINED, "not_as_declared")
    assert room.keys() == ["q"]


def test_after_a_failure_complete_has_it_looked_at_anew(room: Room) -> None:
    wanted = room.sent()
    room.bucket.faults["read"] = 1
    with pytest.raises(Refusal):
        room.event(wanted)
    assert room.state(wanted) == (UploadState.FAILED, None)
    old = room.bucket.objects[room.place(wanted).object_key][-1].id
    assert room.uploads.complete(room.device, wanted.id, "r").state is UploadState.PROCESSING
    new = room.bucket.objects[room.place(wanted).object_key][-1].id
    assert new != old
    assert room.uploads.complete(room.device, wanted.id, "r").state is UploadState.PROCESSING
    assert room.event(wanted, old) == "superseded"
    assert room.event(wanted, new) == "ready"
    assert room.row(wanted).version_id == new


def test_an_event_that_was_lost_is_made_up_for_when_the_device_asks_again(room: Room) -> None:
    wanted = room.sent()
    assert room.uploads.complete(room.device, wanted.id, "r").state is UploadState.PROCESSING
    old = room.bucket.objects[room.place(wanted).object_key][-1].id
    room.uploads.complete(room.device, wanted.id, "r")
    assert room.bucket.objects[room.place(wanted).object_key][-1].id == old  # too soon
    room.clock.go(STUCK_AFTER_S + 1.0)
    room.uploads.complete(room.device, wanted.id, "r")
    new = room.bucket.objects[room.place(wanted).object_key][-1].id
    assert new != old and room.event(wanted, new) == "ready"


def test_a_file_is_looked_at_anew_once_in_a_quarter_of_an_hour(room: Room) -> None:
    wanted = room.sent()
    room.clock.go(STUCK_AFTER_S + 1.0)  # it was announced long ago, and sent just now
    versions = room.bucket.objects[room.place(wanted).object_key]
    for _ in range(5):
        assert room.uploads.complete(room.device, wanted.id, "r").state is UploadState.PROCESSING
    assert len(versions) == 1
    for often in (2, 3):
        room.clock.go(STUCK_AFTER_S + 1.0)
        for _ in range(5):
            room.uploads.complete(room.device, wanted.id, "r")
        assert len(versions) == often


def test_what_is_being_looked_at_is_not_stuck(room: Room) -> None:
    """Its event came late; its time begins with it."""
    wanted = room.sent()
    room.uploads.complete(room.device, wanted.id, "r")
    room.clock.go(STUCK_AFTER_S - 1.0)
    real = room.look

    def look(data: bytes, media_type: str, sha256: str) -> Finding:
        room.clock.go(2.0)
        room.uploads.complete(room.device, wanted.id, "r")
        return real(data, media_type, sha256)

    room.look = look
    assert room.event(wanted) == "ready"
    assert len(room.bucket.objects[room.place(wanted).object_key]) == 1
    assert room.row(wanted).processing_since is None


def test_of_two_who_complete_a_stuck_one_at_once_one_writes(room: Room) -> None:
    wanted = room.sent()
    room.uploads.complete(room.device, wanted.id, "r")
    room.clock.go(STUCK_AFTER_S + 1.0)
    room.bucket.before["head"] = lambda: room.uploads.complete(room.device, wanted.id, "r")
    assert room.uploads.complete(room.device, wanted.id, "r").state is UploadState.PROCESSING
    assert len(room.bucket.objects[room.place(wanted).object_key]) == 2


def test_looking_anew_that_cannot_be_begun_stays_failed(room: Room) -> None:
    wanted = room.sent()
    room.bucket.faults["read"] = 2
    with pytest.raises(Refusal):
        room.event(wanted)
    assert refused(room.uploads.complete, room.device, wanted.id, "r") == (503, Code.OBJECTS_UNAVAILABLE)
    assert room.state(wanted) == (UploadState.FAILED, None)
    assert room.uploads.complete(room.device, wanted.id, "r").state is UploadState.PROCESSING


def test_of_many_who_complete_a_failed_one_at_once_one_writes(room: Room) -> None:
    wanted = room.sent()
    room.bucket.faults["read"] = 1
    with pytest.raises(Refusal):
        room.event(wanted)
    states: list[UploadState] = []
    together = threading.Barrier(4)

    def complete() -> None:
        together.wait(10.0)
        states.append(room.uploads.complete(room.device, wanted.id, "r").state)

    threads = [threading.Thread(target=complete) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30.0)
    assert states == [UploadState.PROCESSING] * 4
    assert len(room.bucket.objects[room.place(wanted).object_key]) == 2


# --- Reading -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("media_type", "purpose", "name"),
    [
        (PDF, Purpose.MEDICAL_REPORT, "document.pdf"),
        (PNG, Purpose.MEDICAL_REPORT, "picture.png"),
        (JPEG, Purpose.MEDICAL_REPORT, "picture.jpg"),
        (JSON, Purpose.SCAN_RECORD, "record.json"),
    ],
)
def test_a_ready_one_is_downloaded_under_a_neutral_name(
    room: Room, media_type: str, purpose: Purpose, name: str
) -> None:
    wanted = room.sent(media_type, purpose=purpose)
    assert room.event(wanted) == "ready"
    download = room.uploads.download(room.device, wanted.id, "r9")
    version = room.row(wanted).version_id
    key = room.place(wanted).object_key
    assert download.url == f"https://objects.test/{key}?versionId={version}&as={name}&for=60"
    assert download.expires_at == room.clock.utc() + timedelta(seconds=60)
    (entry,) = room.entries("upload.download")
    assert (entry.object_id, entry.request_id) == (str(wanted.id), "r9")


def test_no_url_names_a_patient(room: Room) -> None:
    wanted = room.ready()
    patient = str(wanted.patient_id)
    assert patient not in room.uploads.download(room.device, wanted.id, "r").url
    row = room.row(wanted)
    assert patient not in f"{row.object_key} {row.text_key}"
    assert not any(patient in key or wanted.patient_id.hex in key for key in room.bucket.objects)
    clinic = room.device.clinic_id
    assert folder_of(clinic, wanted.patient_id) == folder_of(clinic, wanted.patient_id)
    assert folder_of(uuid4(), wanted.patient_id) != folder_of(
        clinic, wanted.patient_id
    )  # nor the same one in two clinics


def test_only_a_ready_one_is_downloaded(room: Room) -> None:
    awaiting = room.announced()
    sent = room.sent()
    room.uploads.complete(room.device, sent.id, "r")
    failed = room.sent()
    room.bucket.faults["read"] = 1
    with pytest.raises(Refusal):
        room.event(failed)
    hostile = room.sent(PNG, png() + b"hidden")
    assert room.event(hostile) == "quarantined"
    for wanted in (awaiting, sent, failed, hostile):
        assert refused(room.uploads.download, room.device, wanted.id, "r") == (409, Code.CONFLICT)
    assert room.entries("upload.download") == []


def test_what_a_client_sees_of_it(room: Room) -> None:
    wanted = room.ready()
    upload = room.uploads.get(room.device, wanted.id, "r")
    assert (upload.pages, upload.state, upload.patient_id) == (2, UploadState.READY, wanted.patient_id)
    (entry,) = room.entries("upload.read")
    assert entry.object_id == str(wanted.id)


def other_clinic(room: Room) -> Device:
    clinic, device = uuid4(), uuid4()
    with room.api.outside() as transaction:
        assert clinics.add(transaction, clinic, "Other", room.clock.utc(), allows=Feature)
    with room.api.clinic(clinic) as transaction:
        devices.add(
            transaction,
            device_id=device,
            name="Kiosk",
            thumbprint="o" * 43,
            public_key={"kty": "EC"},
            software_version="1.0",
            now=room.clock.utc(),
        )
    return Device(device, clinic, "o" * 43)


def test_another_clinic_sees_nothing_and_may_use_the_same_id(room: Room) -> None:
    wanted = room.ready()
    stranger = other_clinic(room)
    for call in (room.uploads.get, room.uploads.download, room.uploads.complete):
        assert refused(call, stranger, wanted.id, "r") == (404, Code.NOT_FOUND)
    answer = room.uploads.begin(stranger, wanted, "r")
    assert answer.url is not None
    assert str(stranger.clinic_id) in answer.url
    assert str(room.device.clinic_id) not in answer.url


def test_who_may_do_what(room: Room) -> None:
    wanted = room.ready()
    clinic = room.device.clinic_id
    assert room.uploads.get(room.admin, wanted.id, "r").id == wanted.id
    assert room.uploads.download(room.admin, wanted.id, "r").url
    (entry,) = room.entries("upload.download")
    assert (entry.actor_kind, entry.actor_id) == ("clinic_admin", "somebody")
    nobodies: list[Principal] = [Admin("a", AdminRole.AUDITOR, clinic), Admin("o", AdminRole.OPERATOR, None)]
    for principal in nobodies:
        assert refused(room.uploads.get, principal, wanted.id, "r") == (403, Code.FORBIDDEN)
        assert refused(room.uploads.download, principal, wanted.id, "r") == (403, Code.FORBIDDEN)
    for principal in [*nobodies, room.admin]:
        assert refused(room.uploads.begin, principal, wanted, "r") == (403, Code.FORBIDDEN)
        assert refused(room.uploads.complete, principal, wanted.id, "r") == (403, Code.FORBIDDEN)


def test_an_unknown_upload_is_not_found(room: Room) -> None:
    for call in (room.uploads.get, room.uploads.download, room.uploads.complete):
        assert refused(call, room.device, uuid4(), "r") == (404, Code.NOT_FOUND)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "c/",
        "knowledge/v/en/a.md",
        "c/{0}/{2}",
        "c/{0}/{2}/{0}/",
        "c/{0}/{2}/{0}/x",
        "/c/{0}/{2}/{0}",
        "q/{0}/{2}/{0}",
        "t/{0}/{2}/{0}",
        "C/{0}/{2}/{0}",
        "c/{0}/../{0}",
        "c/{0}/{0}/{0}",
        "c/{0}/{2}0/{0}",
        "c/{0}/{2}/{0}\n",
        "c/{1}/{2}/{0}",
    ],
)
def test_keys_of_nothing_of_ours(key: str) -> None:
    one = str(uuid4())
    folder = "0123456789abcdef" * 2
    assert place_of(f"c/{one}/{folder}/{one}") is not None
    assert place_of(key.format(one, one.upper().replace("-", "A", 1), folder)) is None
