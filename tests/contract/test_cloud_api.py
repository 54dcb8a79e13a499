"""Every route of the API, through the local cloud over real HTTP: what a device and the people of a clinic do in a day."""

from __future__ import annotations

import hashlib
import json
import re
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import psycopg
import pytest
from fpdf import FPDF
from pydantic import BaseModel

from backend_lambda import wire
from backend_lambda.aws.clients import Clients
from backend_lambda.services.audit import Finding, ObjectFinding
from tests.backend_lambda import kiosk as over_http
from tests.backend_lambda.kiosk import Kiosk, Person, Refused, Reply, observation, question
from tests.stand_ins.aws import bedrock
from tests.stand_ins.local_cloud import AUDIT, LocalCloud

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("local-cloud")]


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    with LocalCloud() as made:
        yield made
        assert made.gateway.faults == [] and made.lost_events == [] and made.aws.failures == []


@pytest.fixture
def clinic_id(cloud: LocalCloud) -> UUID:
    return cloud.add_clinic()


@pytest.fixture
def device(cloud: LocalCloud, clinic_id: UUID) -> Kiosk:
    made = Kiosk(cloud.url)
    assert made.enrol(cloud.enrolment_code(clinic_id)).status in {200, 201}
    assert made.renew().status == 200
    return made


def person(cloud: LocalCloud, role: str, clinic_id: UUID | None = None) -> Person:
    return Person(cloud.url, cloud.admin_token(role, clinic_id))


def good(reply: Reply, model: type[BaseModel] | None) -> Any:
    """Its JSON, after it was read as the wire format says and every answer's headers were looked at."""
    assert reply.status in {200, 201}, reply.body
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["x-request-id"] and reply.headers["date"]
    assert model is not None
    model.model_validate_json(reply.body)
    return reply.json


def report() -> bytes:
    pdf = FPDF()
    pdf.add_page()
    pdf.set_font("helvetica", size=12)
    pdf.cell(text="Haemoglobin 13.1 g/dl")
    return bytes(pdf.output())


def put(
    device: Kiosk, data: bytes, media_type: str = "application/pdf", purpose: str = "medical_report"
) -> str:
    """Announced, put, completed and looked at. Returns its id."""
    made = str(uuid.uuid4())
    body = {
        "id": made,
        "patient_id": device.patient_id,
        "purpose": purpose,
        "media_type": media_type,
        "length_bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    found = good(device.ask("POST", "/v1/uploads", body), wire.UploadUrl)
    assert found["state"] == "awaiting" and found["method"] == "PUT"
    assert over_http.ask("PUT", found["url"], found["headers"], data).status == 200
    assert over_http.ask("PUT", found["url"], found["headers"], data).status == 412  # once
    good(device.ask("POST", f"/v1/uploads/{made}/complete"), wire.Upload)
    for _ in range(100):
        state = good(device.ask("GET", f"/v1/uploads/{made}"), wire.Upload)["state"]
        if state not in {"awaiting", "processing"}:
            return made
        time.sleep(0.1)
    raise AssertionError("nobody looked at the upload")


def test_a_clinic_its_devices_and_their_end(cloud: LocalCloud) -> None:
    made = uuid.uuid4()
    operator = person(cloud, "operator")
    body = {"id": str(made), "name": "St Elsewhere"}
    assert good(operator.ask("POST", "/v1/clinics", body), wire.Clinic)["name"] == "St Elsewhere"
    again = good(operator.ask("POST", "/v1/clinics", body), wire.Clinic)  # the same again is no second
    assert again["allows"] == []  # and may use nothing that nobody has named
    allowed = good(operator.ask("POST", "/v1/clinics", {**body, "allows": ["chat"]}), wire.Clinic)
    assert (
        allowed["allows"]
        == good(operator.ask("POST", "/v1/clinics", body), wire.Clinic)["allows"]
        == ["chat"]
    )
    admin = person(cloud, "clinic_admin", made)
    code = good(
        admin.ask("POST", f"/v1/clinics/{made}/enrolment-codes", {"device_name": "Front desk"}),
        wire.EnrolmentCode,
    )
    device = Kiosk(cloud.url)
    good(device.enrol(code["code"]), wire.Enrolled)
    assert Kiosk(cloud.url).enrol(code["code"]).status in {401, 403, 404, 410}  # a code works once
    good(device.renew(), wire.Tokens)
    listed = good(admin.ask("GET", f"/v1/clinics/{made}/devices"), wire.Devices)["devices"]
    assert [(one["id"], one["name"]) for one in listed] == [(device.device_id, "Front desk")]
    assert good(device.ask("GET", "/v1/config"), wire.Config)["clinic_id"] == str(made)
    gone = admin.ask("POST", f"/v1/clinics/{made}/devices/{device.device_id}/revoke")
    assert gone.status in {200, 204}
    assert (device.ask("GET", "/v1/config").status, device.renew().status) == (401, 401)


def test_observations_are_added_read_exported_and_erased(
    cloud: LocalCloud, device: Kiosk, clinic_id: UUID
) -> None:
    sent = [observation(device.patient_id) for _ in range(5)]
    batch = {"observations": [*sent, {"id": "no"}, sent[0]]}
    results = good(device.ask("POST", "/v1/observations", batch), wire.BatchResult)["results"]
    assert [one["status"] for one in results] == [*["stored"] * 5, "invalid", "already_stored"]
    again = good(device.ask("POST", "/v1/observations", {"observations": sent}), wire.BatchResult)["results"]
    assert {one["status"] for one in again} == {"already_stored"}
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        query = f"?patient_id={device.patient_id}&limit=2" + (f"&cursor={cursor}" if cursor else "")
        page = good(device.ask("GET", "/v1/observations", query=query), wire.ObservationPage)
        found += page["observations"]
        if not (cursor := page["next_cursor"]):
            break
    assert [one["id"] for one in found] == [one["id"] for one in reversed(sent)]
    admin = person(cloud, "clinic_admin", clinic_id)
    query = f"?patient_id={device.patient_id}"
    exported = good(admin.ask("GET", "/v1/observations/export", query=query), wire.Export)
    assert [one["id"] for one in exported["observations"]] == [one["id"] for one in reversed(sent)]
    erased = good(admin.ask("DELETE", "/v1/observations", query=query), wire.Erased)
    assert erased["observations"] == 5
    late = good(
        device.ask("POST", "/v1/observations", {"observations": [observation(device.patient_id)]}),
        wire.BatchResult,
    )
    assert late["results"][0]["status"] == "patient_erased"
    auditor = person(cloud, "auditor", clinic_id)
    noted = good(auditor.ask("GET", "/v1/audit"), wire.AuditPage)["entries"]
    assert [entry["seq"] for entry in noted] == list(range(1, len(noted) + 1))
    assert {entry["actor_kind"] for entry in noted} >= {"device", "clinic_admin"}
    assert "72.1" not in json.dumps(noted) and "heart_rate" not in json.dumps(
        noted
    )  # who did what, no health data


def test_a_file_is_put_looked_at_downloaded_and_shared_once(device: Kiosk) -> None:
    data = report()
    made = put(device, data)
    facts = good(device.ask("GET", f"/v1/uploads/{made}"), wire.Upload)
    assert (facts["state"], facts["pages"]) == ("ready", 1)
    url = good(device.ask("GET", f"/v1/uploads/{made}/download"), wire.Download)["url"]
    got = over_http.ask("GET", url)
    assert (got.status, got.body) == (200, data)
    assert over_http.ask("GET", url.replace("X-Amz-Signature=", "X-Amz-Signature=0")).status == 403
    shared = put(device, data, purpose="scan_report")
    share = good(device.ask("POST", "/v1/shares", {"id": str(uuid.uuid4()), "upload_id": shared}), wire.Share)
    parts = urlsplit(share["url"])
    page = over_http.ask("GET", f"{device.url}{parts.path}")
    assert page.status == 200 and page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert parts.fragment and parts.fragment not in page.body.decode()
    secret = json.dumps({"secret": parts.fragment}).encode()
    opening = f"{device.url}{parts.path}/open"
    opened = over_http.ask("POST", opening, {"Content-Type": "application/json"}, secret)
    assert over_http.ask("GET", good(opened, wire.Download)["url"]).body == data
    assert over_http.ask("POST", opening, {"Content-Type": "application/json"}, secret).status in {404, 410}


def test_a_link_is_withdrawn_or_ends_with_its_device(
    cloud: LocalCloud, device: Kiosk, clinic_id: UUID
) -> None:
    report_id = put(device, report(), purpose="scan_report")
    admin = person(cloud, "clinic_admin", clinic_id)

    def link() -> tuple[str, bytes]:
        body = {"id": str(uuid.uuid4()), "upload_id": report_id}
        parts = urlsplit(good(device.ask("POST", "/v1/shares", body), wire.Share)["url"])
        return parts.path, json.dumps({"secret": parts.fragment}).encode()

    def opened(path: str, secret: bytes) -> int:
        headers = {"Content-Type": "application/json"}
        return over_http.ask("POST", f"{device.url}{path}/open", headers, secret).status

    by_device, by_admin, left = link(), link(), link()
    assert device.ask("DELETE", by_device[0]).status == 204
    assert admin.ask("DELETE", f"/v1/shares/{by_admin[0].rpartition('/')[2]}").status == 204
    assert (opened(*by_device), opened(*by_admin)) == (410, 410)
    assert admin.ask("POST", f"/v1/clinics/{clinic_id}/devices/{device.device_id}/revoke").status == 204
    assert opened(*left) == 410


def test_a_delayed_duplicate_of_a_renewal_ends_nothing(device: Kiosk) -> None:
    """The first try hangs on its way, the second is answered; then the first arrives."""
    body = {"refresh_token": device.refresh_token, "request_id": str(uuid.uuid4())}
    hanging = device.headers("POST", "/v1/token", signed_in=False)
    answered = good(device.ask("POST", "/v1/token", body, signed_in=False), wire.Tokens)
    late = over_http.ask("POST", f"{device.url}/v1/token", hanging, json.dumps(body).encode())
    assert good(late, wire.Tokens)["refresh_token"] == answered["refresh_token"]
    device.refresh_token = answered["refresh_token"]
    good(device.renew(), wire.Tokens)


def test_the_audit_is_whole_against_its_kept_heads_whatever_is_laid_over_them(
    cloud: LocalCloud, device: Kiosk, clinic_id: UUID
) -> None:
    """As the auditor's login verifies it, with heads in a bucket that locks."""
    good(device.ask("GET", "/v1/config"), wire.Config)
    audit = cloud._backend(cloud.urls.auditor).audit
    key, _ = audit.keep_heads()
    (chain,) = audit.verify(clinic_id)
    assert isinstance(chain, Finding) and chain.flaws == [] and chain.anchors >= 1
    with psycopg.connect(cloud.urls.superuser, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        cut = {"clinic": clinic_id}
        connection.execute(
            "DELETE FROM audit WHERE clinic_id = %(clinic)s AND seq ="
            " (SELECT seq FROM audit_head WHERE clinic_id = %(clinic)s)",
            cut,
        )
        connection.execute(
            "UPDATE audit_head SET (seq, hash) = (SELECT seq, hash FROM audit WHERE clinic_id = %(clinic)s"
            " ORDER BY seq DESC LIMIT 1) WHERE clinic_id = %(clinic)s",
            cut,
        )
    audit.keep_heads()  # in the same hour: a newer version over the one that tells
    (chain,) = audit.verify(clinic_id)
    assert isinstance(chain, Finding) and [str(flaw.kind) for flaw in chain.flaws] == ["head"]
    clients = Clients(cloud.aws.region, cloud.aws.url)
    clients("s3").delete_object(Bucket=AUDIT, Key=key)
    clients.close()
    found = list(audit.verify(clinic_id))
    assert [one.key for one in found if isinstance(one, ObjectFinding)] == [key]
    assert found[-1] == chain


def test_a_hostile_file_ends_in_quarantine(device: Kiosk) -> None:
    made = put(device, report() + b"\nPK\x03\x04 not only a PDF")
    facts = good(device.ask("GET", f"/v1/uploads/{made}"), wire.Upload)
    assert facts["state"] == "quarantined" and facts["reason"]
    assert device.ask("GET", f"/v1/uploads/{made}/download").status in {404, 409, 410}


def test_a_question_is_answered_as_it_is_thought_of(cloud: LocalCloud, device: Kiosk) -> None:
    document = put(device, report())
    cloud.aws.bedrock.clear()
    cloud.aws.bedrock.always = bedrock.Says(
        pieces=("URGENCY: urgent\nYour haemoglobin ", "is in the report [d1], ", "not [k9]."), every_s=0.15
    )
    arrived = [
        (time.monotonic(), event)
        for event in device.stream(question(device.patient_id, documents=[document]))
    ]
    events = [event for _, event in arrived]
    assert [event["event"] for event in events if event["event"] != "delta"] == [
        "start",
        "urgency",
        "citation",
        "done",
    ]
    text = "".join(event["text"] for event in events if event["event"] == "delta")
    assert text == "Your haemoglobin is in the report [d1], not ."
    assert events[-1]["urgency"] == "urgent" and events[-1]["output_tokens"] > 0
    assert arrived[-1][0] - arrived[1][0] > 0.2  # not all at once
    asked = json.dumps(cloud.aws.bedrock.requests[-1])
    assert "Haemoglobin 13.1 g/dl" in asked and device.patient_id not in asked
    spent = good(device.ask("GET", "/v1/config"), wire.Config)["tokens_used"]
    assert spent == events[-1]["input_tokens"] + events[-1]["output_tokens"]


@pytest.mark.parametrize(
    "behaviour, status, code",
    [(bedrock.THROTTLED, 429, "model_throttled"), (bedrock.RETIRED, 503, "model_retired"), (bedrock.UNAVAILABLE, 503, "model_unavailable"), (bedrock.TIMED_OUT, 504, "timed_out")],
)  # fmt: skip
def test_without_a_model_the_state_is_said(
    cloud: LocalCloud, device: Kiosk, behaviour: bedrock.Behaviour, status: int, code: str
) -> None:
    cloud.aws.bedrock.clear()
    cloud.aws.bedrock.always = behaviour
    try:
        with pytest.raises(Refused) as refused:
            list(device.stream(question(device.patient_id)))
    finally:
        cloud.aws.bedrock.clear()
        cloud.aws.bedrock.always = bedrock.Says()
    reply = refused.value.reply
    assert (reply.status, reply.json["code"]) == (status, code)
    wire.Problem.model_validate_json(reply.body)
    if status == 429:
        assert int(reply.headers["retry-after"]) >= 1


def test_speech_both_ways(device: Kiosk) -> None:
    found = good(device.ask("POST", "/v1/speech/transcription", {"language": "en"}), wire.Transcription)
    assert "/stream-transcription-websocket?" in found["url"] and "X-Amz-Signature=" in found["url"]
    spoken = device.ask("POST", "/v1/speech/synthesis", {"text": "Fish & <chips>", "language": "en"})
    assert spoken.status == 200 and spoken.headers["content-type"] == "audio/mpeg" and len(spoken.body) > 10


def test_health_and_heartbeat(cloud: LocalCloud, device: Kiosk) -> None:
    health = good(over_http.ask("GET", f"{cloud.url}/v1/health"), wire.Health)
    assert health["ready"] and all(part["ready"] for part in health["parts"])
    body = {
        "software_version": "1.0",
        "system": "Linux",
        "waiting": 3,
        "parked": 0,
        "oldest_waiting_s": 60.0,
        "scans": 4,
        "scans_shown": 3,
    }
    assert device.ask("POST", "/v1/heartbeat", body).status in {200, 204}


def test_no_route_was_forgotten() -> None:
    """The OpenAPI's paths are all asked for in this file."""
    document = json.loads((ROOT / "backend_lambda" / "openapi.json").read_text(encoding="utf-8"))
    source = Path(__file__).read_text(encoding="utf-8") + Path(over_http.__file__).read_text(encoding="utf-8")
    source += (ROOT / "tests" / "stand_ins" / "local_cloud.py").read_text(encoding="utf-8")
    for path in document["paths"]:
        pattern = re.sub(r"\\\{\w+\\\}", r"\\{[^}]+\\}", re.escape(path))
        pattern = pattern.replace(r"/v1/shares/\{[^}]+\}", r"(\{parts\.path\}|/v1/shares/\{[^}]+\})")
        opening = r"(opening|" if path.endswith("/open") else "("
        assert re.search(opening + pattern + r")[\"?']", source), path
