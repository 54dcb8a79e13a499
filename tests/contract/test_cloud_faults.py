"""What a device is told when something behind the API is gone, and that it works again afterwards, over real HTTP."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from datetime import datetime
from email.utils import parsedate_to_datetime

import pytest

from tests.backend_lambda.kiosk import Kiosk, observation, question
from tests.stand_ins.aws import bedrock
from tests.stand_ins.aws.faults import Fault, Kind
from tests.stand_ins.local_cloud import LocalCloud

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("local-cloud")]


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    with LocalCloud() as made:
        yield made
        assert made.gateway.faults == [] and made.aws.failures == []


@pytest.fixture
def device(cloud: LocalCloud) -> Iterator[Kiosk]:
    made = Kiosk(cloud.url)
    assert made.enrol(cloud.enrolment_code(cloud.add_clinic())).status == 200
    assert made.renew().status == 200
    yield made
    cloud.aws.faults.clear()
    cloud.aws.bedrock.clear()
    cloud.aws.bedrock.always = bedrock.Says()


def upload(device: Kiosk) -> dict[str, object]:
    return {
        "id": str(uuid.uuid4()),
        "patient_id": device.patient_id,
        "purpose": "medical_report",
        "media_type": "application/pdf",
        "length_bytes": 10,
        "sha256": "0" * 64,
    }


def test_the_database_goes_and_comes_back(cloud: LocalCloud, device: Kiosk) -> None:
    before, during = observation(device.patient_id), observation(device.patient_id)
    assert device.ask("POST", "/v1/observations", {"observations": [before]}).status == 200
    cloud.postgres.stop(crash=True)
    try:
        for reply in (
            device.ask("POST", "/v1/observations", {"observations": [during]}),
            device.ask("GET", "/v1/observations", query=f"?patient_id={device.patient_id}"),
            device.renew(),
        ):
            assert (reply.status, reply.json["code"]) == (503, "store_unavailable")
            assert int(reply.headers["retry-after"]) >= 1
        health = device.ask("GET", "/v1/health", signed_in=False)
        assert not health.json["ready"]
        assert {part["name"]: part["ready"] for part in health.json["parts"]}["store"] is False
    finally:
        cloud.postgres.start()
    again = device.ask("POST", "/v1/observations", {"observations": [during, before]})
    assert [one["status"] for one in again.json["results"]] == ["stored", "already_stored"]
    assert device.renew().status == 200  # the refresh token was not used up by what failed
    until_s = time.monotonic() + 15.0  # the health is kept for some seconds
    while not device.ask("GET", "/v1/health", signed_in=False).json["ready"]:
        assert time.monotonic() < until_s
        time.sleep(0.5)


def test_the_object_store_does_not_answer(cloud: LocalCloud, device: Kiosk) -> None:
    body = upload(device)
    assert device.ask("POST", "/v1/uploads", body).status == 200
    cloud.aws.faults.set("s3", Fault(Kind.UNAVAILABLE))
    reply = device.ask("POST", f"/v1/uploads/{body['id']}/complete")
    assert (reply.status, reply.json["code"]) == (503, "objects_unavailable") and reply.headers["retry-after"]
    cloud.aws.faults.clear()
    assert device.ask("POST", f"/v1/uploads/{body['id']}/complete").status in {
        404,
        409,
    }  # nothing was put there


@pytest.mark.parametrize(
    "behaviour, code",
    [
        ("broken", "model_unavailable"),
        ("throttled_midway", "model_throttled"),
        ("cut", "model_unavailable"),
        ("rubbish", "model_unavailable"),
    ],
)
def test_a_model_that_breaks_in_mid_stream_is_told_in_the_stream(
    cloud: LocalCloud, device: Kiosk, behaviour: str, code: str
) -> None:
    cloud.aws.bedrock.always = bedrock.NAMED[behaviour]
    events = list(device.stream(question(device.patient_id)))
    assert events[0]["event"] == "start" and events[-1]["event"] == "error"
    assert events[-1]["code"] == code


def test_a_fallback_answers_for_a_retired_model(cloud: LocalCloud, device: Kiosk) -> None:
    cloud.aws.bedrock.models["stand-in-model"] = bedrock.RETIRED
    events = list(device.stream(question(device.patient_id)))
    assert events[0]["model_id"] == "stand-in-fallback" and events[-1]["event"] == "done"


@pytest.mark.parametrize("offset_s", [-590.0, 590.0])
def test_a_wrong_clock_is_told_the_time_and_then_works(device: Kiosk, offset_s: float) -> None:
    device.offset_s = offset_s
    reply = device.ask("GET", "/v1/config")
    assert (reply.status, reply.json["code"]) == (401, "clock_skew")
    ours = parsedate_to_datetime(reply.headers["date"])
    device.offset_s = (ours - datetime.now(ours.tzinfo)).total_seconds()
    assert device.ask("GET", "/v1/config").status == 200


@pytest.mark.parametrize("offset_s", [-660.0, 660.0])
def test_a_clock_that_is_off_by_more_is_not_answered(device: Kiosk, offset_s: float) -> None:
    device.offset_s = offset_s
    reply = device.ask("GET", "/v1/config")
    assert (reply.status, reply.json["code"]) == (401, "unauthenticated")


def test_the_signing_key_does_not_answer(cloud: LocalCloud, device: Kiosk) -> None:
    cloud.aws.faults.set("kms", Fault(Kind.UNAVAILABLE))
    assert device.ask("GET", "/v1/config").status == 200  # verifying needs the public key alone
    assert device.renew().status == 503
    cloud.aws.faults.clear()
    assert device.renew().status == 200
