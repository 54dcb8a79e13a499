"""Every route, from a real API Gateway event to its answer."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from backend_lambda import wire
from backend_lambda.principals import Device
from backend_lambda.routes import ROUTES, Route, Who
from backend_lambda.services.enrolment import normal_code
from backend_lambda.services.observations import OBJECT_PLACES
from backend_lambda.services.uploads import Place, folder_of
from backend_lambda.store.database import Database
from tests.backend_lambda.fakes import FakeObjects
from tests.backend_lambda.world import Kiosk, Reply, World, observation

PDF = b"%PDF-1.4 a report"


def test_a_clinic_is_made_once(world: World) -> None:
    operator, made = world.person("operator"), str(uuid4())
    first = world.by(operator, "POST", "/v1/clinics", body={"id": made, "name": "St. Anna"})
    again = world.by(operator, "POST", "/v1/clinics", body={"id": made, "name": "St. Anna"})
    other = world.by(operator, "POST", "/v1/clinics", body={"id": made, "name": "Another"})
    assert first.status == again.status == 200
    assert first.json == again.json
    assert (first.json["name"], first.json["created_at"]) == ("St. Anna", "2026-11-27T12:00:00Z")
    assert (other.status, other.code) == (409, "conflict")


@pytest.mark.parametrize("name", ["", " x", "a\x00b", "a\nb", "x" * 121])
def test_a_clinics_name_can_be_shown(world: World, name: str) -> None:
    reply = world.by(world.person("operator"), "POST", "/v1/clinics", body={"id": str(uuid4()), "name": name})
    assert (reply.status, reply.code) == (422, "invalid")


def test_a_device_comes_in_with_a_code(world: World) -> None:
    device = world.kiosk()
    config = world.by(device, "GET", "/v1/config")
    assert config.status == 200
    assert config.json["clinic_id"] == str(device.clinic_id)
    assert [entry["action"] for entry in world.audit(device.clinic_id)] == [
        "clinic.add",
        "enrolment_code.add",
        "device.enrol",
        "token.issue",
    ]


def test_a_code_is_shown_as_people_type_it_and_works_once(world: World) -> None:
    clinic_id = world.clinic()
    code = world.code(clinic_id)
    assert normal_code(code) == code.replace("-", "")
    typed = code.lower().replace("-", " ")
    replies = [enrol(world, typed) for _ in range(2)]
    assert [reply.status for reply in replies] == [200, 403]
    assert replies[1].code == "code_invalid"


def enrol(world: World, code: str) -> Reply:
    from tests.backend_lambda.callers import DeviceKey

    key = DeviceKey()
    return world.with_key(
        key, "/v1/devices/enrol", {"code": code, "public_key": key.jwk, "software_version": "1.0"}
    )


def test_a_code_lives_ten_minutes(world: World) -> None:
    clinic_id = world.clinic()
    early, late = world.code(clinic_id), world.code(clinic_id)
    world.clock.go(599)
    assert enrol(world, early).status == 200
    world.clock.go(1)
    assert enrol(world, late).code == "code_invalid"


@pytest.mark.parametrize("code", ["AAAA-AAAA-AAAA", "0000-0000-0000", "' OR 1=1 --", "\x00" * 12, "x" * 64])
def test_what_is_no_code_is_refused(world: World, code: str) -> None:
    assert enrol(world, code).code == "code_invalid"


def test_devices_are_listed_and_sent_away(world: World) -> None:
    device = world.kiosk()
    admin = world.person("clinic_admin", device.clinic_id)
    path = f"/v1/clinics/{device.clinic_id}/devices"
    listed = world.by(admin, "GET", path).json["devices"]
    assert [(one["id"], one["name"], one["revoked_at"]) for one in listed] == [
        (str(device.id), "Front desk", None)
    ]
    assert world.by(admin, "POST", f"{path}/{device.id}/revoke").status == 204
    assert world.by(admin, "POST", f"{path}/{device.id}/revoke").status == 204
    assert world.by(admin, "POST", f"{path}/{uuid4()}/revoke").code == "not_found"
    assert world.by(admin, "GET", path).json["devices"][0]["revoked_at"] == "2026-11-27T12:00:00Z"
    refused = world.by(device, "GET", "/v1/config")
    assert (refused.status, refused.code) == (401, "device_revoked")
    assert world.refresh(device).code == "device_revoked"


def test_each_item_of_a_batch_is_judged_by_itself(world: World) -> None:
    device, patient = world.kiosk(), uuid4()
    good = observation(patient)
    batch: list[Any] = [
        good,
        good,
        {**good, "kind": "cuff"},
        observation(patient, values={"heart_rate": {"value": None, "unit": "/min"}}),
        observation(patient, taken_at="1899-12-31T23:59:59Z"),
        observation(patient, made_up=1, values={"made_up_value": {"value": "x", "unit": "€"}}),
        5,
        None,
        {"id": "no uuid"},
    ]
    reply = world.by(device, "POST", "/v1/observations", body={"observations": batch})
    assert reply.status == 200
    results = reply.json["results"]
    assert [one["at"] for one in results] == list(range(9))
    assert [one["status"] for one in results] == [
        "stored",
        "already_stored",
        "conflict",
        *["invalid"] * 6,
    ]
    assert results[0]["id"] == good["id"]
    assert results[3]["fields"] == ["values"]
    assert results[4]["fields"] == ["taken_at"]
    assert results[5]["fields"] == ["?", "values"]
    assert results[6] == {"at": 6, "id": None, "status": "invalid", "fields": ["?"]}
    assert results[8]["id"] is None


@pytest.mark.parametrize(
    ("taken_at", "status"),
    [
        ("1900-01-01T00:00:00Z", "stored"),
        ("2199-12-31T23:59:59Z", "stored"),
        ("2026-11-27T13:59:00+02:00", "stored"),
        ("2200-01-01T00:00:00Z", "invalid"),
        ("0001-01-01T00:00:00+14:00", "invalid"),
        ("9999-12-31T23:59:59-12:00", "invalid"),
        ("2026-11-27T12:00:00", "invalid"),
        (1e18, "invalid"),
        (-(10**30), "invalid"),
    ],
)
def test_a_time_at_the_ends_of_the_calendar_is_no_time(world: World, taken_at: object, status: str) -> None:
    """A device's clock that is wrong by years loses nothing; what no client could read back is not taken."""
    device, patient = world.kiosk(), uuid4()
    batch = {"observations": [observation(patient, taken_at=taken_at)]}
    assert world.by(device, "POST", "/v1/observations", body=batch).json["results"][0]["status"] == status
    page = world.by(device, "GET", "/v1/observations", query={"patient_id": str(patient), "limit": "1"})
    assert len(page.json["observations"]) == (status == "stored")


def test_a_batch_has_one_to_a_hundred_items(world: World) -> None:
    device, patient = world.kiosk(), uuid4()
    many = [observation(patient) for _ in range(101)]
    assert world.by(device, "POST", "/v1/observations", body={"observations": many[:100]}).status == 200
    for wrong in (many, []):
        reply = world.by(device, "POST", "/v1/observations", body={"observations": wrong})
        assert (reply.status, reply.json["fields"]) == (422, ["observations"])


def test_observations_are_read_in_pages_the_newest_first(world: World) -> None:
    device, patient = world.kiosk(), uuid4()
    sent = [observation(patient, taken_at=f"2026-11-27T11:{minute:02}:00+00:00") for minute in range(25)]
    assert world.by(device, "POST", "/v1/observations", body={"observations": sent}).status == 200
    read, cursor = [], None
    for _ in range(3):
        query = {"patient_id": str(patient), "limit": "10", **({"cursor": cursor} if cursor else {})}
        page = world.by(device, "GET", "/v1/observations", query=query).json
        read += page["observations"]
        cursor = page["next_cursor"]
    assert cursor is None
    assert [one["id"] for one in read] == [one["id"] for one in reversed(sent)]
    assert read[0]["device_id"] == str(device.id)
    assert read[0]["received_at"] == "2026-11-27T12:00:00Z"
    for name in ("values", "quality", "facts", "kind", "utc_offset_min"):
        kept = wire.Observation.model_validate({**sent[24]})
        again = wire.StoredObservation.model_validate(read[0])
        assert getattr(kept, name) == getattr(again, name)


@pytest.mark.parametrize(
    "cursor", ["", "x", "f" + "_" * 31, "A" * 31 + "=", "../../x", "' OR 1=1 --", "é" * 32]
)
def test_a_cursor_that_is_none_of_ours_is_refused(world: World, cursor: str) -> None:
    device = world.kiosk()
    for path in ("/v1/observations", "/v1/observations/export"):
        reply = world.by(device, "GET", path, query={"patient_id": str(uuid4()), "cursor": cursor})
        assert (reply.status, reply.code) == (422, "invalid")


def test_all_of_a_patient_is_exported(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    device, patient = world.kiosk(), uuid4()
    sent = [
        observation(patient, taken_at=f"2026-11-{1 + at // 24:02}T{at % 24:02}:00:00Z") for at in range(250)
    ]
    for at in range(0, 250, 100):
        batch = {"observations": sent[at : at + 100]}
        assert world.by(device, "POST", "/v1/observations", body=batch).status == 200
    everything = world.by(device, "GET", "/v1/observations/export", query={"patient_id": str(patient)})
    assert len(everything.json["observations"]) == 250
    assert everything.json["next_cursor"] is None
    assert everything.json["uploads"] == []
    upload_id = uuid4()
    assert begin(world, device, patient, upload_id).status == 200
    monkeypatch.setattr("backend_lambda.services.observations.ANSWER_BYTES", 100_000)
    admin = world.person("clinic_admin", device.clinic_id)
    read: list[Any] = []
    cursor, pages = None, 0
    while pages == 0 or cursor:
        query = {"patient_id": str(patient), **({"cursor": cursor} if cursor else {})}
        page = world.by(admin, "GET", "/v1/observations/export", query=query)
        assert len(json.dumps(page.body.decode())) < 100_100
        read += page.json["observations"]
        assert [one["id"] for one in page.json["uploads"]] == ([] if cursor else [str(upload_id)])
        cursor, pages = page.json["next_cursor"], pages + 1
    assert read == everything.json["observations"]
    assert pages > 1


def test_a_patient_is_erased_with_every_object(world: World) -> None:
    device, patient, other = world.kiosk(), uuid4(), uuid4()
    kept = observation(other)
    world.by(device, "POST", "/v1/observations", body={"observations": [observation(patient), kept]})
    upload_id = uuid4()
    assert begin(world, device, patient, upload_id).status == 200
    folder, others = folder_of(device.clinic_id, patient), folder_of(device.clinic_id, other)
    for place in "cqt":
        for _ in range(2):
            world.fakes.documents.put(
                f"{place}/{device.clinic_id}/{folder}/{upload_id}", PDF, "application/pdf"
            )
            world.fakes.documents.put(
                f"{place}/{device.clinic_id}/{others}/{upload_id}", PDF, "application/pdf"
            )
            world.fakes.documents.put(f"{place}/{uuid4()}/{folder}/{upload_id}", PDF, "application/pdf")
    reply = world.by(device, "DELETE", "/v1/observations", query={"patient_id": str(patient)})
    assert reply.json == {"observations": 1, "uploads": 1, "object_versions": 6}
    assert not [key for key in world.fakes.documents.objects if f"{device.clinic_id}/{folder}" in key]
    assert len(world.fakes.documents.objects) == 3 + 6
    late = world.by(device, "POST", "/v1/observations", body={"observations": [observation(patient)]})
    assert late.json["results"][0]["status"] == "patient_erased"
    assert begin(world, device, patient, uuid4()).code == "gone"
    page = world.by(device, "GET", "/v1/observations", query={"patient_id": str(other)}).json
    assert [one["id"] for one in page["observations"]] == [kept["id"]]
    erased = [
        entry["result"] for entry in world.audit(device.clinic_id) if entry["action"] == "patient.erase"
    ]
    assert erased == ["begun", "ok"]


def test_every_object_of_a_patient_is_where_an_erasure_looks() -> None:
    place = Place(uuid4(), folder_of(uuid4(), uuid4()), uuid4())
    looked = tuple(f"{one}/{place.clinic_id}/{place.folder}/" for one in OBJECT_PLACES)
    keys = [getattr(place, name) for name in dir(place) if name.endswith("_key")]
    assert len(keys) >= 4
    assert all(key.startswith(looked) for key in keys)


def test_an_erasure_that_was_half_done_is_finished_by_asking_again(world: World) -> None:
    from backend_lambda.errors import Code, unavailable

    device, patient = world.kiosk(), uuid4()
    world.by(device, "POST", "/v1/observations", body={"observations": [observation(patient)]})
    key = f"c/{device.clinic_id}/{folder_of(device.clinic_id, patient)}/{uuid4()}"
    world.fakes.documents.put(key, PDF, "application/pdf")
    world.fakes.documents.fault = unavailable(Code.OBJECTS_UNAVAILABLE, "S3 does not answer")
    admin, query = world.person("clinic_admin", device.clinic_id), {"patient_id": str(patient)}
    broken = world.by(admin, "DELETE", "/v1/observations", query=query)
    assert (broken.status, broken.code) == (503, "objects_unavailable")
    assert broken.headers["retry-after"] == "5"
    world.fakes.documents.fault = None
    again = world.by(admin, "DELETE", "/v1/observations", query=query)
    assert again.json == {"observations": 0, "uploads": 0, "object_versions": 1}
    assert world.fakes.documents.objects == {}
    results = [
        entry["result"] for entry in world.audit(device.clinic_id) if entry["action"] == "patient.erase"
    ]
    assert results == ["begun", "begun", "ok"]


def test_a_patient_is_erased_from_the_copy_in_the_second_region_too(world: World) -> None:
    """S3 copies what comes and not that a version goes; while the copy cannot be reached, nobody is told that all is gone."""
    from backend_lambda.errors import Code, Refusal, unavailable
    from backend_lambda.services.observations import Observations

    device, patient = world.kiosk(), uuid4()
    copy, other = FakeObjects(world.clock), uuid4()
    keys = [
        f"c/{device.clinic_id}/{folder_of(device.clinic_id, who)}/{uuid4()}"
        for who in (patient, patient, other)
    ]
    for key in keys:
        world.fakes.documents.put(key, PDF, "application/pdf")
        copy.put(key, PDF, "application/pdf")
    ports = replace(world.fakes.ports(), documents_copy=copy)
    service = Observations(world.database, ports, world.settings)
    who = Device(device.id, device.clinic_id, device.key.thumbprint)
    copy.fault = unavailable(Code.OBJECTS_UNAVAILABLE, "the other region is away")
    with pytest.raises(Refusal):
        service.erase(who, patient, "request-1")
    copy.fault = None
    assert service.erase(who, patient, "request-2").object_versions == 2
    assert list(world.fakes.documents.objects) == list(copy.objects) == keys[2:]


def begin(world: World, device: Kiosk, patient: UUID, upload_id: UUID) -> Reply:
    import hashlib

    body = {
        "id": str(upload_id),
        "patient_id": str(patient),
        "purpose": "scan_report",
        "media_type": "application/pdf",
        "length_bytes": len(PDF),
        "sha256": hashlib.sha256(PDF).hexdigest(),
    }
    return world.by(device, "POST", "/v1/uploads", body=body)


def ready_upload(world: World, device: Kiosk) -> UUID:
    """As processing leaves it."""
    from backend_lambda.store import uploads

    upload_id, patient = uuid4(), uuid4()
    assert begin(world, device, patient, upload_id).status == 200
    key = f"c/{device.clinic_id}/{folder_of(device.clinic_id, patient)}/{upload_id}"
    version = world.fakes.documents.put(key, PDF, "application/pdf")
    with world.database.clinic(device.clinic_id) as transaction:
        uploads.set_state(transaction, upload_id, state=wire.UploadState.READY, version_id=version)
    return upload_id


def test_a_file_is_announced_sent_and_fetched(world: World) -> None:
    device, patient, upload_id = world.kiosk(), uuid4(), uuid4()
    begun = begin(world, device, patient, upload_id).json
    key = begun["url"].removeprefix("https://objects.test/")
    assert key == f"c/{device.clinic_id}/{folder_of(device.clinic_id, patient)}/{upload_id}"
    assert world.by(device, "POST", f"/v1/uploads/{upload_id}/complete").code == "conflict"
    world.fakes.documents.put(key, PDF, "application/pdf")
    assert world.by(device, "POST", f"/v1/uploads/{upload_id}/complete").json["state"] == "processing"
    assert world.by(device, "GET", f"/v1/uploads/{upload_id}").json["state"] == "processing"
    assert world.by(device, "GET", f"/v1/uploads/{upload_id}/download").code == "conflict"
    assert world.by(device, "GET", f"/v1/uploads/{uuid4()}").code == "not_found"
    ready = ready_upload(world, device)
    admin = world.person("clinic_admin", device.clinic_id)
    for who in (device, admin):
        assert world.by(who, "GET", f"/v1/uploads/{ready}/download").json["url"].startswith("https://")


def test_a_report_is_shared_once(world: World) -> None:
    device = world.kiosk()
    upload_id = ready_upload(world, device)
    share = world.by(
        device, "POST", "/v1/shares", body={"id": str(uuid4()), "upload_id": str(upload_id), "valid_s": 600}
    ).json
    path, _, secret = share["url"].partition("#")
    opened = [
        world.send("POST", path.removeprefix(world.settings.public_url) + "/open", body={"secret": secret})
        for _ in range(2)
    ]
    assert opened[0].json["url"].startswith("https://objects.test/")
    assert (opened[1].status, opened[1].code) == (410, "gone")
    assert world.send("POST", f"/v1/shares/{uuid4()}/open", body={"secret": secret}).code == "gone"


def shared(world: World, device: Kiosk) -> tuple[str, Any]:
    """The path of a link, and the body that opens it."""
    body = {"id": str(uuid4()), "upload_id": str(ready_upload(world, device)), "valid_s": 604_800}
    url = world.by(device, "POST", "/v1/shares", body=body).json["url"]
    path, _, secret = url.removeprefix(world.settings.public_url).partition("#")
    return path, {"secret": secret}


def test_a_link_ends_with_the_device_that_made_it(world: World) -> None:
    device = world.kiosk()
    other = world.kiosk(device.clinic_id)
    (path, secret), (others_path, others_secret) = shared(world, device), shared(world, other)
    admin = world.person("clinic_admin", device.clinic_id)
    revoke = f"/v1/clinics/{device.clinic_id}/devices/{device.id}/revoke"
    assert world.by(admin, "POST", revoke).status == 204
    assert world.send("POST", f"{path}/open", body=secret).code == "gone"
    assert world.send("POST", f"{others_path}/open", body=others_secret).status == 200


@pytest.mark.parametrize("who", ["its device", "another device", "clinic_admin"])
def test_a_link_is_withdrawn(world: World, who: str) -> None:
    device = world.kiosk()
    path, secret = shared(world, device)
    kept_path, kept_secret = shared(world, device)
    stranger = world.kiosk()
    for caller in (stranger, world.person("clinic_admin", stranger.clinic_id)):
        assert world.by(caller, "DELETE", path).code == "not_found", "another clinic's"
    assert world.by(device, "DELETE", f"/v1/shares/{uuid4()}").code == "not_found"
    callers: dict[str, Kiosk | str] = {
        "its device": device,
        "another device": world.kiosk(device.clinic_id),
        "clinic_admin": world.person("clinic_admin", device.clinic_id),
    }
    for _ in range(2):
        reply = world.by(callers[who], "DELETE", path)
        assert (reply.status, reply.body) == (204, b"")
    told = world.audit(device.clinic_id)[-1]
    assert (told["action"], told["object_kind"], told["object_id"]) == (
        "share.withdraw",
        "share",
        path.rpartition("/")[2],
    )
    assert told["actor_kind"] == ("clinic_admin" if who == "clinic_admin" else "device")
    assert world.send("POST", f"{path}/open", body=secret).code == "gone"
    assert world.send("POST", f"{kept_path}/open", body=kept_secret).status == 200


def test_the_page_of_a_share_runs_its_own_script_and_nothing_else(world: World) -> None:
    import base64
    import hashlib

    page = world.send("GET", f"/v1/shares/{uuid4()}")
    assert page.status == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    text = page.body.decode()
    for tag in ("script", "style"):
        inside = text.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
        assert inside
        wanted = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{wanted}'" in policy
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert text.count("<script") == 1 and "src=" not in text and " on" + "click=" not in text
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.body == world.send("GET", f"/v1/shares/{uuid4()}").body


def test_speech_goes_both_ways(world: World) -> None:
    device = world.kiosk()
    heard = world.by(device, "POST", "/v1/speech/transcription", body={"language": "en-US"})
    assert heard.json["url"].startswith("wss://")
    assert (heard.json["protocol"], heard.json["headers"]) == ("transcribe", {})
    spoken = world.by(
        device, "POST", "/v1/speech/synthesis", body={"text": "Rest <now> & breathe", "language": "en-US"}
    )
    assert spoken.headers["content-type"] == "audio/mpeg"
    assert spoken.body == b"ID3 sound"
    assert world.fakes.speech.spoken == [("Rest <now> & breathe", 100, "en-US", None)]


def test_speech_is_refused_with_the_time_when_it_may_work(world: World) -> None:
    device, path = world.kiosk(), "/v1/speech/synthesis"
    body = {"text": "Hello", "language": "en"}
    world.use(world.settings.model_copy(update={"speech_per_minute": 3, "speech_budget_characters": 10}))
    statuses = [world.by(device, "POST", path, body=body).status for _ in range(2)]
    spent, limited = (world.by(device, "POST", path, body=body) for _ in range(2))
    assert statuses == [200, 200]
    assert (spent.status, spent.code) == (429, "budget_spent")
    assert int(spent.headers["retry-after"]) == int(3.5 * 86_400), "from the 27th at noon to the first"
    assert (limited.status, limited.code, limited.headers["retry-after"]) == (429, "rate_limited", "60")
    assert len(world.fakes.speech.spoken) == 2


def test_who_sends_a_device_s_request_again_takes_nothing_away_from_it(world: World) -> None:
    device, path = world.kiosk(), "/v1/speech/synthesis"
    body = {"text": "Hello", "language": "en"}
    world.use(world.settings.model_copy(update={"speech_per_minute": 2, "speech_budget_characters": 10}))
    headers = world.headers(device, "POST", path)
    assert world.send("POST", path, headers=headers, body=body).status == 200
    for _ in range(5):
        assert world.send("POST", path, headers=headers, body=body).code == "proof_replayed"
    assert world.by(device, "POST", path, body=body).status == 200
    assert len(world.fakes.speech.spoken) == 2


def test_health_is_told_by_part_to_anybody(world: World) -> None:
    reply = world.send("GET", "/v1/health")
    assert reply.status == 200
    assert reply.json["ready"] is True
    assert [(part["name"], part["ready"]) for part in reply.json["parts"]] == [
        ("store", True),
        ("objects", True),
        ("signer", True),
    ]


def test_health_is_503_where_a_part_is_not_ready(world: World) -> None:
    from backend_lambda.errors import Code, unavailable

    world.fakes.documents.fault = unavailable(Code.OBJECTS_UNAVAILABLE, "S3 does not answer")
    reply = world.send("GET", "/v1/health")
    assert reply.status == 503
    assert [part["ready"] for part in reply.json["parts"]] == [True, False, True]
    world.fakes.documents.fault = None
    assert world.send("GET", "/v1/health").status == 503, "asked again at once it is not asked at all"
    world.clock.go(5)
    assert world.send("GET", "/v1/health").status == 200


def test_a_clinic_learns_what_it_may_use(world: World, chat: Database) -> None:
    from backend_lambda.store import usage

    device = world.kiosk()
    with chat.clinic(device.clinic_id) as transaction:
        usage.add(transaction, day=world.clock.utc().date(), input_tokens=900, output_tokens=100)
    world.use(world.settings.model_copy(update={"token_budget": 1001}))
    config = world.by(device, "GET", "/v1/config").json
    assert (config["tokens_used"], config["token_budget"]) == (1000, 1001)
    assert config["allows"] == ["analysis", "chat", "shares", "synthesis", "transcription"]
    assert config["model_ids"] == ["model-a", "model-b"]
    assert config["max_batch"] == 100


def test_a_clinic_may_use_what_its_operator_allows(world: World) -> None:
    from backend_lambda.store import clinics

    device = world.kiosk()
    with world.database.clinic(device.clinic_id) as transaction:
        row = clinics.get(transaction, device.clinic_id)
    assert row is not None
    body = {"id": str(device.clinic_id), "name": row.name, "allows": ["transcription"], "token_budget": 7}
    changed = world.by(world.person("operator"), "POST", "/v1/clinics", body=body).json
    assert (changed["allows"], changed["token_budget"]) == (["transcription"], 7)
    config = world.by(device, "GET", "/v1/config").json
    assert (config["allows"], config["token_budget"]) == (["transcription"], 7)
    spoken = {"text": "Hello", "language": "en"}
    assert world.by(device, "POST", "/v1/speech/synthesis", body=spoken).code == "not_allowed_here"
    assert world.by(device, "POST", "/v1/speech/transcription", body={"language": "en"}).status == 200
    share = {"id": str(uuid4()), "upload_id": str(uuid4())}
    assert world.by(device, "POST", "/v1/shares", body=share).code == "not_allowed_here"
    other = {**body, "name": "Another"}
    assert world.by(world.person("operator"), "POST", "/v1/clinics", body=other).code == "conflict"


def test_what_an_operator_leaves_out_stays_as_it_was(world: World) -> None:
    operator, made = world.person("operator"), str(uuid4())

    def send(**terms: Any) -> tuple[list[str], int | None]:
        reply = world.by(operator, "POST", "/v1/clinics", body={"id": made, "name": "Clinic", **terms}).json
        return reply["allows"], reply["token_budget"]

    assert send() == ([], None), "a new clinic may use nothing that nobody has named"
    assert send(allows=["chat", "shares"], token_budget=7) == (["chat", "shares"], 7)
    assert send() == send(allows=None) == (["chat", "shares"], 7)
    assert send(token_budget=8) == (["chat", "shares"], 8)
    assert send(allows=["synthesis", "chat"], token_budget=None) == (["chat", "synthesis"], None)
    assert send(allows=[]) == ([], None)
    assert send(allows=["analysis"]) == (["analysis"], None)
    told = [(entry["action"], entry["result"]) for entry in world.audit(UUID(made))]
    assert told == [
        ("clinic.add", "ok"),
        ("clinic.change", "+chat +shares token_budget=7"),
        ("clinic.change", "unchanged"),
        ("clinic.change", "unchanged"),
        ("clinic.change", "token_budget=8"),
        ("clinic.change", "+synthesis -shares token_budget=default"),
        ("clinic.change", "-chat -synthesis"),
        ("clinic.change", "+analysis"),
    ]
    other = str(uuid4())
    body = {"id": other, "name": "Clinic", "allows": ["chat"], "token_budget": 5}
    world.by(operator, "POST", "/v1/clinics", body=body)
    assert world.audit(UUID(other))[-1]["result"] == "+chat token_budget=5"


def test_a_count_that_no_number_holds_is_refused(world: World) -> None:
    beat = {"software_version": "1", "system": "", "waiting": 10**30, "parked": 0, "oldest_waiting_s": None}
    reply = world.by(world.kiosk(), "POST", "/v1/heartbeat", body=beat)
    assert reply.status == 422 and reply.json["fields"] == ["waiting"]


def test_a_heartbeat_is_kept_and_measured(world: World) -> None:
    device = world.kiosk()
    beat = {
        "software_version": "1.1",
        "system": "Linux",
        "waiting": 3,
        "parked": 2**53,
        "oldest_waiting_s": 120.5,
        "clock_offset_s": -2.0,
        "scans": 8,
        "scans_shown": 6,
    }
    assert world.by(device, "POST", "/v1/heartbeat", body=beat).status == 204
    clinic = str(device.clinic_id)
    for wanted in (
        ("sync_age", 120.5, "Seconds", clinic),
        ("sync_waiting", 3.0, "Count", clinic),
        ("scan_coverage", 75.0, "Percent", clinic),
    ):
        assert wanted in world.fakes.measures.added
    admin = world.person("clinic_admin", device.clinic_id)
    entry = world.by(admin, "GET", f"/v1/clinics/{clinic}/devices").json["devices"][0]
    assert (entry["software_version"], entry["last_seen_at"]) == ("1.1", "2026-11-27T12:00:00Z")


def test_the_auditor_reads_the_audit_in_pages(world: World) -> None:
    device = world.kiosk()
    auditor = world.person("auditor", device.clinic_id)
    first = world.by(auditor, "GET", "/v1/audit", query={"limit": "3"}).json
    assert [entry["seq"] for entry in first["entries"]] == [1, 2, 3]
    rest = world.by(auditor, "GET", "/v1/audit", query={"cursor": first["next_cursor"]}).json
    assert [entry["action"] for entry in rest["entries"]] == ["token.issue", "audit.read"]
    assert rest["next_cursor"] is None
    for cursor in ("x", "A" * 12, "", "YQAAAAAAAAAA"):
        assert world.by(auditor, "GET", "/v1/audit", query={"cursor": cursor}).code == "invalid"


# --- What is the same for every route ----------------------------------------------------------------


def concrete(route: Route) -> str:
    return (
        route.path.replace("<clinic_id>", str(uuid4()))
        .replace("<device_id>", str(uuid4()))
        .replace("<upload_id>", str(uuid4()))
        .replace("<share_id>", str(uuid4()))
    )


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_every_answer_names_its_request_and_is_kept_by_nobody(world: World, route: Route) -> None:
    reply = world.send(route.method, concrete(route), body={} if route.has_body else None)
    assert len(reply.headers["x-request-id"]) == 36
    assert reply.headers["date"] == "Fri, 27 Nov 2026 12:00:00 GMT"
    assert reply.headers["cache-control"] == "no-store"
    if reply.status >= 400:
        problem = wire.Problem.model_validate(reply.json)
        assert problem.status == reply.status
        assert problem.request_id == reply.headers["x-request-id"]
        assert reply.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_no_other_method_is_known(world: World, route: Route) -> None:
    path = concrete(route)
    known = {one.method for one in ROUTES if one.path == route.path}
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "X"} - known:
        reply = world.send(method, path)
        assert (reply.status, reply.headers["allow"]) == (405, ", ".join(sorted(known)))


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/v1",
        "/v1/",
        "/v2/config",
        "/v1/config/",
        "/v1/config\n",
        "//v1/config",
        "/V1/config",
        "/v1/chat",
        "/v1/uploads/../config",
        "/v1/uploads/%2e%2e",
        "/v1/uploads/a/b/c",
        "/v1/uploads/'--",
        "/v1/uploads/é",
    ],
)
def test_what_is_not_there_is_404(world: World, path: str) -> None:
    reply = world.send("GET", path)
    assert (reply.status, reply.code) == (404, "not_found")


@pytest.mark.parametrize("route", [one for one in ROUTES if one.has_body], ids=lambda route: route.name)
def test_a_large_body_is_refused_before_anybody_is_asked_who_they_are(world: World, route: Route) -> None:
    for body in (b"x" * 1_000_001, b"\xff" * 1_000_001):
        reply = world.send(route.method, concrete(route), body=body)
        assert (reply.status, reply.code) == (413, "too_large")


@pytest.mark.parametrize(
    "media_type",
    [
        "",
        "text/plain",
        "application/jsonx",
        "application/x-www-form-urlencoded",
        "application/json; charset=utf-16",
        "multipart/form-data; boundary=x",
    ],
)
def test_a_body_is_json(world: World, media_type: str) -> None:
    reply = world.send("POST", "/v1/token", body="{}", headers={"Content-Type": media_type})
    assert (reply.status, reply.code) == (415, "media_type")


@pytest.mark.parametrize(
    "media_type", ["application/json", "Application/JSON", 'application/json;charset="UTF-8"']
)
def test_json_may_say_that_it_is_utf8(world: World, media_type: str) -> None:
    operator = world.person("operator")
    reply = world.send(
        "POST",
        "/v1/clinics",
        body=json.dumps({"id": str(uuid4()), "name": "Ärzte 診療所"}).encode(),
        headers={"Content-Type": media_type, "Authorization": f"Bearer {operator}"},
    )
    assert (reply.status, reply.json["name"]) == (200, "Ärzte 診療所")


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b" ",
        b"{'a': 1}",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": 1, "a": 2}',
        b"\xff\xfe{}",
        b"[" * 100_000,
        b'{"a": ' + b"9" * 5000 + b"}",
    ],
    ids=range(9),
)
def test_what_is_no_json_is_400(world: World, body: bytes) -> None:
    reply = world.send(
        "POST", "/v1/clinics", body=body, headers={"Authorization": f"Bearer {world.person('operator')}"}
    )
    assert (reply.status, reply.code) == (400, "bad_request")


@pytest.mark.parametrize("body", [b"[]", b"null", b"5", b'"x"', b'[{"id": 1}]'])
def test_json_that_is_no_object_does_not_fit(world: World, body: bytes) -> None:
    reply = world.send(
        "POST", "/v1/clinics", body=body, headers={"Authorization": f"Bearer {world.person('operator')}"}
    )
    assert (reply.status, reply.code) == (422, "invalid")


def test_what_does_not_fit_is_named_by_our_names_only(world: World) -> None:
    reply = world.by(
        world.person("operator"),
        "POST",
        "/v1/clinics",
        body={"id": "canary", "canary_name": 1, "name": ["canary"]},
    )
    assert (reply.status, reply.json["fields"]) == (422, ["?", "id", "name"])
    assert b"canary" not in reply.body


def test_a_fault_of_ours_is_told_without_a_word_of_it(world: World) -> None:
    world.fakes.signer.fault = ValueError("canary 17")
    device = world.kiosk_without_token()
    reply = world.refresh(device)
    assert (reply.status, reply.code) == (500, "internal")
    assert b"canary" not in reply.body
    line = json.loads(world.log.getvalue().splitlines()[-1])
    assert line["level"] == "ERROR"
    assert line["fault"].startswith("ValueError at auth/tokens.py:")
    assert "canary" not in world.log.getvalue()


@pytest.mark.parametrize("body", ["%%%", "é", "AAA"])
def test_base64_that_is_none_is_400(world: World, body: str) -> None:
    from tests.stand_ins.api_gateway_event import event

    made = event("POST", "/v1/token", body={})
    reply = world.answer({**made, "body": body, "isBase64Encoded": True})
    assert (reply.status, reply.code) == (400, "bad_request")


def test_an_event_may_lack_what_api_gateway_leaves_out(world: World) -> None:
    for made in ({}, {"httpMethod": "GET", "path": "/v1/config", "headers": None, "multiValueHeaders": None}):
        assert world.answer(dict(made)).status in {401, 404}


def test_every_operation_is_routed_once() -> None:
    assert len({route.operation for route in ROUTES}) == len(ROUTES)
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)
    assert all(route.who for route in ROUTES)
    assert {who for route in ROUTES for who in route.who} == set(Who)
