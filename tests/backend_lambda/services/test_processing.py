"""What becomes of a file: events once, twice, too late, at the same time, and with everything behind it failing in turn."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from functools import partial
from uuid import UUID, uuid4

import pytest

from backend_lambda.errors import Refusal
from backend_lambda.ports import Entity
from backend_lambda.principals import Device
from backend_lambda.services.inspection import LIMITS, Finding, Reason
from backend_lambda.services.inspection.apart import InspectionBroke, InspectionFault, inspect_apart
from backend_lambda.services.processing import CRASHES, Processing
from backend_lambda.store.database import Database
from backend_lambda.wire import NewUpload, Purpose, UploadState
from tests.backend_lambda.conftest import SetClock
from tests.backend_lambda.services.making_files import (
    GOOD,
    JPEG,
    JSON,
    PDF,
    PNG,
    archive,
    exif,
    jpeg,
    one_page,
    rewritten,
    tiff,
)
from tests.backend_lambda.services.making_services import FAULT, SETTINGS, Finder, Recognition, Room, Scan


@pytest.fixture
def room(
    api: Database, processing: Database, auditor: Database, clinic_id: UUID, device_id: UUID, clock: SetClock
) -> Room:
    return Room(api, processing, auditor, Device(device_id, clinic_id, "t" * 43), clock)


def text_of(room: Room, wanted: NewUpload) -> str | None:
    key = room.row(wanted).text_key
    return None if key is None else room.bucket.objects[key][-1].data.decode()


def test_a_report_is_read_and_becomes_ready(room: Room) -> None:
    wanted = room.sent()
    assert room.event(wanted) == "ready"
    row = room.row(wanted)
    assert (row.state, row.reason, row.pages) == (UploadState.READY, None, 2)
    assert row.version_id == room.bucket.objects[row.object_key][-1].id
    assert row.text_key == f"t/{room.device.clinic_id}/{room.folder(wanted.patient_id)}/{wanted.id}"
    assert text_of(room, wanted) == "Blood pressure 120/80 mmHg\nBlood pressure 120/80 mmHg"
    (entry,) = room.entries("upload.process")
    assert (entry.actor_kind, entry.object_id, entry.result) == ("service", str(wanted.id), "ready")
    assert room.measured("uploads_ready") == 1
    assert room.measured("upload_processing") == 0  # the clock stands still


@pytest.mark.parametrize("media_type", [PNG, JPEG, JSON])
def test_others_become_ready_without_a_text(room: Room, media_type: str) -> None:
    wanted = room.sent(
        media_type, purpose=Purpose.SCAN_RECORD if media_type == JSON else Purpose.MEDICAL_REPORT
    )
    assert room.event(wanted) == "ready"
    assert (room.row(wanted).pages, text_of(room, wanted)) == (None, None)
    assert room.keys() == ["c"]


@pytest.mark.parametrize(
    ("media_type", "data", "reason"),
    [
        (PDF, rewritten(lambda writer: writer.encrypt("secret")), Reason.ENCRYPTED),
        (PDF, one_page(catalog=b"/OpenAction<</S/JavaScript/JS(x)>>"), Reason.ACTIVE_CONTENT),
        (PDF, one_page() + archive(), Reason.POLYGLOT),
        (PDF, b"MZ no report", Reason.NOT_THIS_TYPE),
        (JPEG, jpeg(notes=[exif(tiff(place=True))]), Reason.LOCATION),
        (PNG, GOOD[PNG] + b"hidden", Reason.TRAILING_DATA),
        (JSON, b"{}", Reason.UNKNOWN_SCHEMA),
    ],
)
def test_a_hostile_file_ends_in_quarantine(room: Room, media_type: str, data: bytes, reason: Reason) -> None:
    purpose = Purpose.SCAN_RECORD if media_type == JSON else Purpose.MEDICAL_REPORT
    wanted = room.sent(media_type, data, purpose=purpose)
    assert room.event(wanted) == "quarantined"
    assert room.state(wanted) == (UploadState.QUARANTINED, str(reason))
    assert list(room.bucket.objects) == [room.place(wanted).quarantine_key]
    (entry,) = room.entries("upload.process")
    assert entry.result == str(reason)
    assert room.measured(f"quarantined_{reason}") == room.measured("uploads_quarantined") == 1


def test_what_is_not_as_it_was_said_is_not_even_read(room: Room) -> None:
    wanted = room.announced()
    version = room.put(wanted, GOOD[PDF] + b"\n")
    room.bucket.faults["read"] = 1
    assert room.event(wanted, version) == "quarantined"
    assert room.state(wanted) == (UploadState.QUARANTINED, "not_as_declared")


def test_the_hash_is_computed_again(room: Room) -> None:
    """Whatever the store says its checksum is."""
    wanted = room.announced()
    room.put(wanted, GOOD[PDF])
    real = room.bucket.read

    def read(key: str, version_id: str, at_most_bytes: int) -> bytes:
        return real(key, version_id, at_most_bytes)[:-1] + b" "

    room.bucket.read = read  # type: ignore[method-assign]
    assert room.event(wanted) == "quarantined"
    assert room.state(wanted) == (UploadState.QUARANTINED, "not_as_declared")


def test_the_inspection_runs_in_a_process_of_its_own(room: Room) -> None:
    made = Processing(room.as_processing, room.ports, SETTINGS)
    assert made._look is inspect_apart
    wanted = room.sent()
    version = room.bucket.objects[room.place(wanted).object_key][-1].id
    assert made.process(room.place(wanted).object_key, version, "r") == "ready"
    assert text_of(room, wanted) is not None


# --- Malware, recognition, entities ------------------------------------------------------------------


def test_malware_ends_in_quarantine_unread(room: Room) -> None:
    room.scan = Scan("EICAR")
    room.look = lambda *_: pytest.fail("it was looked at")
    wanted = room.sent()
    assert room.event(wanted) == "quarantined"
    assert room.state(wanted) == (UploadState.QUARANTINED, "malware")


def test_a_clean_scan_says_nothing(room: Room) -> None:
    room.scan = Scan()
    assert room.event(room.sent()) == "ready"


def test_text_of_a_picture_is_recognised_where_that_is_configured(room: Room) -> None:
    room.recognition = Recognition()
    picture, report = room.sent(PNG), room.sent(PDF)
    assert room.event(picture) == room.event(report) == "ready"
    assert text_of(room, picture) == "Glucose 5.4 mmol/l"  # without what turns text round
    assert room.recognition.asked == [PNG]
    room.recognition = Recognition("x" * 300_000)
    long = room.sent(JPEG)
    assert room.event(long) == "ready"
    assert text_of(room, long) == "x" * LIMITS.characters


def test_medical_entities_are_kept_beside_the_text(room: Room) -> None:
    room.finder = Finder()
    wanted = room.sent()
    assert room.event(wanted) == "ready"
    kept = room.bucket.objects[f"{room.row(wanted).text_key}.entities.json"][-1].data
    assert json.loads(kept) == [
        {"text": "Blood", "category": "TEST_NAME", "start": 0, "end": 5, "score": 0.9}
    ]
    ours = room.sent(purpose=Purpose.SCAN_REPORT)
    assert room.event(ours) == "ready"
    assert room.keys() == ["c", "c", "t", "t", "t"]


# --- Twice, too late, at the same time ---------------------------------------------------------------


def test_the_same_event_twice_changes_nothing(room: Room) -> None:
    wanted = room.sent()
    assert [room.event(wanted), room.event(wanted)] == ["ready", "already"]
    hostile = room.sent(PNG, GOOD[PNG] + b"x")
    version = room.bucket.objects[room.place(hostile).object_key][-1].id
    assert [room.event(hostile, version), room.event(hostile, version)] == ["quarantined", "already"]
    assert len(room.entries("upload.process")) == 2


def test_an_event_of_an_older_version_is_superseded(room: Room) -> None:
    wanted = room.sent()
    old = room.bucket.objects[room.place(wanted).object_key][-1].id
    room.put(wanted, GOOD[PDF])
    assert room.event(wanted, old) == "superseded"
    assert room.event(wanted) == "ready"
    assert room.event(wanted, old) == "already"


def test_an_event_of_a_file_that_is_gone(room: Room) -> None:
    wanted = room.announced()
    assert room.event(wanted, "v1") == "superseded"
    assert room.state(wanted) == (UploadState.AWAITING, None)


@pytest.mark.parametrize("hostile", [False, True])
@pytest.mark.parametrize("where", ["head", "read", "write"])
def test_a_second_delivery_in_the_middle_of_the_first(room: Room, where: str, *, hostile: bool) -> None:
    if hostile and where == "write":
        where = "move"
    wanted = room.sent(data=GOOD[PDF][:-1] + b"x" if hostile else None)
    version = room.bucket.objects[room.place(wanted).object_key][-1].id
    seconds: list[str] = []
    room.bucket.before[where] = lambda: seconds.append(room.event(wanted, version))
    try:
        first = room.event(wanted, version)
    except Refusal:  # the file was moved away under its hands; the event comes again
        first = room.event(wanted, version)
    decided = "quarantined" if hostile else "ready"
    assert sorted([first, *seconds]) in (sorted(["already", decided]), sorted(["superseded", decided]))
    assert room.state(wanted)[0] == decided
    assert len(room.entries("upload.process")) == 1
    assert room.keys() == (["q"] if hostile else ["c", "t"])


def test_complete_in_the_middle_of_processing(room: Room) -> None:
    for where in ("read", "write"):
        wanted = room.sent()
        room.bucket.before[where] = partial(room.uploads.complete, room.device, wanted.id, "r")
        assert room.event(wanted) == "ready"
        assert room.bucket.before == {}
        assert room.state(wanted) == (UploadState.READY, None)


def test_many_deliveries_at_once(room: Room) -> None:
    wanted = [room.sent() for _ in range(3)] + [room.sent(data=one_page() + b"x") for _ in range(3)]
    versions = [room.bucket.objects[room.place(one).object_key][-1].id for one in wanted]
    together = threading.Barrier(8)
    faults: list[BaseException] = []

    def deliver() -> None:
        together.wait(10.0)
        for one, version in zip(wanted, versions, strict=True):
            for _ in range(3):
                try:
                    room.event(one, version)
                except Refusal:
                    continue  # moved away meanwhile; delivered again
                except BaseException as error:  # noqa: BLE001
                    faults.append(error)
                break

    threads = [threading.Thread(target=deliver) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60.0)
    assert faults == []
    assert [room.state(one)[0] for one in wanted] == [UploadState.READY] * 3 + [UploadState.QUARANTINED] * 3
    assert len(room.entries("upload.process")) == len(wanted)
    assert room.keys() == ["c"] * 3 + ["q"] * 3 + ["t"] * 3


# --- Erasure -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["head", "read", "write"])
def test_nothing_is_left_of_a_patient_who_is_erased_meanwhile(room: Room, where: str) -> None:
    wanted = room.sent()
    version = room.bucket.objects[room.place(wanted).object_key][-1].id
    room.bucket.before[where] = lambda: room.erase(wanted.patient_id)
    outcome = ""
    for _ in range(2):
        try:
            outcome = room.event(wanted, version)
        except Refusal:  # what was to be read is gone; the event comes again
            continue
    assert outcome in {"forgotten", "superseded"}
    assert room.bucket.objects == {}


def test_a_file_that_comes_after_the_erasure_is_erased(room: Room) -> None:
    """Its URL was good for another minute."""
    wanted = room.announced()
    room.erase(wanted.patient_id)
    room.put(wanted, GOOD[PDF])
    assert room.event(wanted) == "forgotten"
    assert room.bucket.objects == {}
    assert room.measured("uploads_forgotten") == 1


def test_a_hostile_file_of_an_erased_patient_is_erased_too(room: Room) -> None:
    wanted = room.sent(data=GOOD[PDF] + b"x")
    real = room.look

    def look(data: bytes, media_type: str, sha256: str) -> Finding:
        room.erase(wanted.patient_id)
        return real(data, media_type, sha256)

    room.look = look
    assert room.event(wanted) == "forgotten"
    assert room.bucket.objects == {}


def copy_in_flight(room: Room, patient_id: UUID, erased_at: str) -> None:
    """The patient is erased while a file is moved, which the bucket shows only after that."""
    real = room.bucket.move

    def move(key: str, version_id: str, to_key: str) -> str:
        moved = next(one for one in room.bucket.objects[key] if one.id == version_id)
        if erased_at == "before it is there":
            room.erase(patient_id)
            return room.bucket.put(to_key, moved.data, moved.media_type)
        version = real(key, version_id, to_key)
        room.erase(patient_id)
        return version

    room.bucket.move = move  # type: ignore[method-assign]


@pytest.mark.parametrize("erased_at", ["before it is there", "after it is there"])
@pytest.mark.parametrize("half_done", [False, True])
def test_a_file_on_its_way_into_quarantine_does_not_outlive_its_patient(
    room: Room, erased_at: str, *, half_done: bool
) -> None:
    wanted = room.sent(data=GOOD[PDF] + b"x")
    if half_done:
        room.bucket.faults["move"] = 1
        with pytest.raises(Refusal):
            room.event(wanted)
        assert room.state(wanted)[0] is UploadState.QUARANTINED
    copy_in_flight(room, wanted.patient_id, erased_at)
    assert room.event(wanted) == "forgotten"
    assert room.bucket.objects == {}
    assert room.measured("uploads_forgotten") == 1


def test_what_complete_locks_away_does_not_outlive_its_patient(room: Room) -> None:
    wanted = room.announced()
    room.put(wanted, b"other")
    copy_in_flight(room, wanted.patient_id, "before it is there")
    with pytest.raises(Refusal) as told:
        room.uploads.complete(room.device, wanted.id, "r")
    assert told.value.status == 404
    assert room.bucket.objects == {}


def test_what_complete_writes_anew_does_not_outlive_its_patient(room: Room) -> None:
    wanted = room.sent()
    room.bucket.faults["read"] = 1
    with pytest.raises(Refusal):
        room.event(wanted)
    room.bucket.before["write"] = lambda: room.erase(wanted.patient_id)
    with pytest.raises(Refusal) as told:
        room.uploads.complete(room.device, wanted.id, "r")
    assert told.value.status == 404
    assert room.bucket.objects == {}


def test_a_text_does_not_outlive_its_patient_where_what_follows_fails(room: Room) -> None:
    """Without another event, which may never come."""
    wanted = room.sent()
    room.finder = Finder()

    class Erasing(Finder):
        def entities(self, text: str) -> list[Entity]:
            kept = room.bucket.objects[
                f"t/{room.device.clinic_id}/{room.folder(wanted.patient_id)}/{wanted.id}"
            ]
            room.erase(wanted.patient_id)
            room.bucket.put(room.place(wanted).text_key, kept[-1].data, "text/plain")  # it was on its way
            raise FAULT

    room.finder = Erasing()
    assert room.event(wanted) == "forgotten"
    assert room.bucket.objects == {}


def test_a_file_under_another_patients_key_is_no_upload_of_anybody(room: Room) -> None:
    wanted = room.sent()
    elsewhere = f"c/{room.device.clinic_id}/{room.folder(uuid4())}/{wanted.id}"
    version = room.bucket.put(elsewhere, GOOD[PDF], PDF)
    assert room.processing.process(elsewhere, version, "r") == "forgotten"
    assert list(room.bucket.objects) == [room.place(wanted).object_key]
    assert room.state(wanted) == (UploadState.AWAITING, None)


def test_another_clinics_key_leads_to_nothing_of_this_one(room: Room) -> None:
    wanted = room.sent()
    elsewhere = f"c/{uuid4()}/{room.folder(wanted.patient_id)}/{wanted.id}"
    version = room.bucket.put(elsewhere, GOOD[PDF], PDF)
    assert room.processing.process(elsewhere, version, "r") == "forgotten"
    assert room.state(wanted) == (UploadState.AWAITING, None)


@pytest.mark.parametrize("key", ["", "health", "knowledge/1/en/a.md", "c/1/2/3", "../c", "q/a/b/c"])
def test_keys_of_nothing_of_ours_are_left_alone_and_counted(room: Room, key: str) -> None:
    room.bucket.put(key, b"data", PDF)
    assert room.processing.process(key, "v1", "r") == "unknown_key"
    assert list(room.bucket.objects) == [key]
    assert room.measured("uploads_unknown_key") == 1


# --- Faults ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["read", "write", "scan", "recognition", "entities", "inspection", "bug"])
def test_the_worlds_faults_are_no_fault_of_the_file(room: Room, part: str) -> None:
    """FAILED, raised, and well again with the next delivery."""
    wanted = room.sent(PNG)
    room.recognition = Recognition()
    room.finder = Finder()
    room.scan = Scan()
    real = room.look
    match part:
        case "read" | "write":
            room.bucket.faults[part] = 1
        case "scan":
            room.scan.fault = FAULT
        case "recognition":
            room.recognition.fault = FAULT
        case "entities":
            room.finder.fault = FAULT
        case _:
            room.look = failing(InspectionFault("x") if part == "inspection" else KeyError("x"))
    with pytest.raises((Refusal, InspectionFault, KeyError)):
        room.event(wanted)
    assert room.state(wanted) == (UploadState.FAILED, None)
    (entry,) = room.entries("upload.process")
    assert entry.result == ("internal" if part in {"inspection", "bug"} else "objects_unavailable")
    assert room.measured("uploads_failed") == 1
    room.scan.fault = room.recognition.fault = room.finder.fault = None
    room.look = real
    assert room.event(wanted) == "ready"
    assert room.state(wanted) == (UploadState.READY, None)


def test_a_file_that_breaks_its_inspection_again_and_again_ends_in_quarantine(room: Room) -> None:
    wanted, other = room.sent(), room.sent()
    room.look = failing(InspectionBroke("status 1"))
    for _ in range(CRASHES - 1):
        with pytest.raises(InspectionBroke):
            room.event(wanted)
        assert room.state(wanted) == (UploadState.FAILED, None)
    assert room.event(wanted) == "quarantined"
    assert room.state(wanted) == (UploadState.QUARANTINED, "too_complex")
    with pytest.raises(InspectionBroke):
        room.event(other)


def test_troubles_that_are_not_the_files_are_never_counted_against_it(room: Room) -> None:
    wanted = room.sent()
    real, room.look = room.look, failing(InspectionFault("no process"))
    for _ in range(CRASHES + 1):
        with pytest.raises(InspectionFault):
            room.event(wanted)
        room.bucket.faults["read"] = 1
        with pytest.raises(Refusal):
            room.event(wanted)
    room.look = real
    assert room.event(wanted) == "ready"


def failing(error: Exception) -> Callable[[bytes, str, str], Finding]:
    def look(*_: object) -> Finding:
        raise error

    return look


def test_quarantine_that_could_not_be_finished_is_finished_by_the_next_delivery(room: Room) -> None:
    wanted = room.sent(data=GOOD[PDF] + b"x")
    room.bucket.faults["move"] = 1
    with pytest.raises(Refusal):
        room.event(wanted)
    assert room.state(wanted) == (UploadState.QUARANTINED, "trailing_data")
    assert room.keys() == ["c"]
    assert room.event(wanted) == "already"
    assert room.keys() == ["q"]


def test_a_url_that_is_used_again_leads_into_quarantine_again(room: Room) -> None:
    """It is good for two minutes, and once the file is moved away its place is free."""
    wanted = room.sent(data=GOOD[PDF] + b"x")
    assert room.event(wanted) == "quarantined"
    room.put(wanted, GOOD[PDF] + b"x")
    assert room.event(wanted) == "already"
    assert room.keys() == ["q"]


def test_a_store_of_states_that_fails_is_what_is_told(room: Room) -> None:
    """Nothing is known of the upload then; the event comes again."""
    wanted = room.sent()
    version = room.bucket.objects[room.place(wanted).object_key][-1].id
    processing = room.processing
    processing._database = Database("postgresql://nobody@127.0.0.1:1/nothing", clock=room.clock)
    with pytest.raises(Refusal) as told:
        processing.process(room.place(wanted).object_key, version, "r")
    assert told.value.code == "store_unavailable"
    assert room.state(wanted) == (UploadState.AWAITING, None)


def test_a_fault_while_a_fault_is_noted_hides_nothing(room: Room) -> None:
    wanted = room.sent()
    version = room.bucket.objects[room.place(wanted).object_key][-1].id
    processing = room.processing

    def look(*_: object) -> Finding:
        processing._database = Database("postgresql://nobody@127.0.0.1:1/nothing", clock=room.clock)
        raise InspectionFault("the first one")

    processing._look = look
    with pytest.raises(InspectionFault):
        processing.process(room.place(wanted).object_key, version, "r")
    assert room.state(wanted) == (UploadState.PROCESSING, None)
    assert room.event(wanted) == "ready"
