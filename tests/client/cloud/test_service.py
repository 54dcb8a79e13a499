"""client.cloud.service: against the whole backend, and against one that answers what was not asked."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from client.cloud import faults
from client.cloud.credentials import ENTRY, Credentials
from client.cloud.service import Cloud
from client.cloud.transport import Reply, TimeLimits
from client.cloud.wire import (
    Heartbeat,
    ItemStatus,
    MediaType,
    NewUpload,
    Observation,
    ObservationBatch,
    Purpose,
    StoredObservation,
    Upload,
    UploadState,
    UploadUrl,
    Value,
)
from tests.client.cloud.device import TOKEN, Device, Line, MemoryVault, an_entry, enrolled, tokens
from tests.stand_ins.local_cloud import LocalCloud
from tests.stand_ins.tls_server import Asked, Connection, Server, answer, problem, says

UPLOADS = "/v1/uploads"


@pytest.fixture(scope="module")
def backend() -> Iterator[LocalCloud]:
    with LocalCloud() as running:
        yield running


@pytest.fixture
def device(backend: LocalCloud) -> Iterator[Device]:
    made = enrolled(backend)
    yield made
    made.line.close()


def observation(patient_id: str, **changes: Any) -> Observation:
    value = Value(72.0, 71.0, 73.0, "/min", 0.97, (), 30.0, "pos")
    facts: dict[str, Any] = {
        "id": str(uuid.uuid4()),
        "patient_id": patient_id,
        "kind": "scan",
        "taken_at": datetime.now(UTC).replace(microsecond=0),
        "utc_offset_min": 60,
        "entered": False,
        "software_version": "1.0",
        "values": {"heart_rate": value},
        "quality": None,
        "facts": {},
    }
    return Observation(**{**facts, **changes})


def file_of(patient_id: str, data: bytes) -> NewUpload:
    return NewUpload(
        id=str(uuid.uuid4()),
        patient_id=patient_id,
        purpose=Purpose.SCAN_RECORD,
        media_type=MediaType.JSON,
        length_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
    )


def in_pieces(data: bytes, size: int = 1000) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


RECORD = json.dumps({"schema": "health-helper/scan/1", "a": ["b"] * 3000}).encode()


# --- With the real server ----------------------------------------------------------------------------


def test_observations_arrive_once_and_all_of_a_patient_can_be_had_back_and_erased(device: Device) -> None:
    patient = str(uuid.uuid4())
    sent = tuple(observation(patient) for _ in range(100))
    for status in (ItemStatus.STORED, ItemStatus.ALREADY_STORED):
        result = device.cloud.send_observations(ObservationBatch(sent))
        assert [one.status for one in sorted(result.results, key=lambda one: one.at)] == [status] * 100
    more = tuple(observation(patient) for _ in range(60))
    device.cloud.send_observations(ObservationBatch(more))
    new = file_of(patient, RECORD)
    place = device.cloud.announce(new)
    device.cloud.put(place, in_pieces(RECORD), len(RECORD))
    device.cloud.complete(new.id)
    had = list(device.cloud.export(patient))
    assert {one.observation.id for one in had if isinstance(one, StoredObservation)} == {
        one.id for one in sent + more
    }
    assert [one.id for one in had if isinstance(one, Upload)] == [new.id]
    assert device.cloud.erase(patient).observations == 160
    with pytest.raises(faults.PatientErased):
        device.cloud.announce(file_of(patient, RECORD))
    result = device.cloud.send_observations(ObservationBatch((observation(patient),)))
    assert [one.status for one in result.results] == [ItemStatus.PATIENT_ERASED]


def test_a_file_becomes_ready_and_is_not_sent_twice(device: Device) -> None:
    new = file_of(str(uuid.uuid4()), RECORD)
    place = device.cloud.announce(new)
    assert place.url is not None and place.state == UploadState.AWAITING
    for _ in range(2):  # the second finds it there
        device.cloud.put(place, in_pieces(RECORD), len(RECORD))
    device.cloud.complete(new.id)
    found = device.cloud.upload(new.id)
    ends_s = time.monotonic() + 8.0
    while found.state == UploadState.PROCESSING and time.monotonic() < ends_s:
        threading.Event().wait(0.02)
        found = device.cloud.upload(new.id)
    assert (found.state, found.sha256) == (UploadState.READY, new.sha256)
    again = device.cloud.announce(new)
    assert again.url is None
    device.cloud.put(again, iter(()), 0)


def test_a_cancelled_file_can_be_sent_again(device: Device) -> None:
    class Cancelled(Exception):
        pass

    def cancelled() -> Iterator[bytes]:
        yield RECORD[:1000]
        raise Cancelled

    new = file_of(str(uuid.uuid4()), RECORD)
    place = device.cloud.announce(new)
    with pytest.raises(Cancelled):
        device.cloud.put(place, cancelled(), len(RECORD))
    device.cloud.put(place, in_pieces(RECORD), len(RECORD))
    assert device.cloud.complete(new.id).state in {UploadState.PROCESSING, UploadState.READY}


def test_another_file_than_was_announced_is_not_taken(device: Device) -> None:
    new = file_of(str(uuid.uuid4()), RECORD)
    place = device.cloud.announce(new)
    with pytest.raises(faults.CloudFault) as caught:
        device.cloud.put(place, in_pieces(RECORD[:-1] + b"x"), len(RECORD))
    assert caught.value.scope == "item"
    with pytest.raises(faults.AnswerUnreadable):
        device.cloud.put(place, in_pieces(RECORD[:-1]), len(RECORD) - 1)


def test_a_place_whose_time_is_over_is_not_even_tried(device: Device) -> None:
    new = file_of(str(uuid.uuid4()), RECORD)
    place = device.cloud.announce(new)
    past = replace(place, expires_at=datetime.now(UTC) - timedelta(minutes=1))
    with pytest.raises(faults.UrlExpired):
        device.cloud.put(past, in_pieces(RECORD), len(RECORD))
    device.cloud.put(place, in_pieces(RECORD), len(RECORD))


def test_the_device_tells_how_it_is_and_hears_what_it_may(device: Device) -> None:
    device.cloud.heartbeat(Heartbeat("1.0", "Linux", 3, 1, 60.0, device.cloud.clock_offset_s, 5, 4))
    found = device.cloud.config()
    assert found.clinic_id == str(device.clinic_id) and found.max_batch == 100
    assert abs(device.cloud.clock_offset_s or 99.0) < 3.0


def test_what_the_server_refuses_is_for_this_item_only(device: Device) -> None:
    for ask in (
        lambda: device.cloud.upload(str(uuid.uuid4())),
        lambda: device.cloud.announce(replace(file_of(str(uuid.uuid4()), RECORD), length_bytes=99_000_000)),
        lambda: device.cloud.announce(replace(file_of(str(uuid.uuid4()), RECORD), sha256="no")),
        lambda: device.cloud.send_observations(ObservationBatch(())),
        lambda: device.cloud.send_observations(ObservationBatch((observation("no identifier"),))),
    ):
        with pytest.raises(faults.Refused) as caught:
            ask()
        assert caught.value.scope == "item" and not caught.value.retry


# --- Answers to what was not asked -------------------------------------------------------------------


class Api:
    """A server that signs everybody in and answers one more thing as it is told; what it was asked is in `server.asked`."""

    def __init__(self) -> None:
        self.says: Callable[[Asked, Connection], None] = says(answer(204))
        self.server = Server(self._script)
        self.tokens = 0

    def _script(self, asked: Asked, connection: Connection) -> None:
        if asked.path == TOKEN:
            self.tokens += 1
            connection.send(answer(200, tokens(access_token=f"access-{self.tokens}")))
        else:
            self.says(asked, connection)


@pytest.fixture
def api() -> Iterator[Api]:
    made = Api()
    with made.server:
        yield made


@pytest.fixture
def cloud(api: Api) -> Iterator[Cloud]:
    line = Line()
    vault = MemoryVault({ENTRY: an_entry(api.server.url).to_bytes()})
    yield Cloud(line, Credentials(vault))
    line.close()


def results(*answered: tuple[int, str | None]) -> dict[str, Any]:
    return {"results": [{"at": at, "id": known, "status": "stored"} for at, known in answered]}


def test_a_batch_is_only_answered_where_each_place_is_answered_once(api: Api, cloud: Cloud) -> None:
    batch = ObservationBatch(tuple(observation(str(uuid.uuid4())) for _ in range(2)))
    first, second = (one.id for one in batch.observations)
    api.says = says(answer(200, results((1, second), (0, first))))
    assert len(cloud.send_observations(batch).results) == 2
    for wrong in (
        results(),
        results((0, first)),
        results((0, first), (0, first)),
        results((0, first), (1, second), (2, first)),
        results((0, first), (2, second)),
        results((0, second), (1, first)),
    ):
        api.says = says(answer(200, wrong))
        with pytest.raises(faults.AnswerUnreadable) as caught:
            cloud.send_observations(batch)
        assert caught.value.place.startswith("BatchResult.results")


def test_an_answer_about_another_file_is_not_believed(api: Api, cloud: Cloud) -> None:
    other = {
        "id": str(uuid.uuid4()),
        "patient_id": str(uuid.uuid4()),
        "purpose": "scan_record",
        "media_type": "application/json",
        "length_bytes": 3,
        "sha256": "0" * 64,
        "state": "ready",
        "reason": None,
        "pages": None,
        "created_at": "2026-11-20T12:00:00Z",
    }
    api.says = says(answer(200, other))
    for ask in (cloud.complete, cloud.upload):
        with pytest.raises(faults.AnswerUnreadable):
            ask(str(uuid.uuid4()))
    api.says = says(
        answer(200, {"id": other["id"], "state": "awaiting", "url": None, "headers": {}, "expires_at": None})
    )
    with pytest.raises(faults.AnswerUnreadable):
        cloud.announce(file_of(str(uuid.uuid4()), RECORD))


def test_an_export_that_goes_round_in_circles_ends(api: Api, cloud: Cloud) -> None:
    page = {"observations": [], "uploads": [], "next_cursor": "abc"}
    api.says = says(answer(200, page))
    with pytest.raises(faults.AnswerUnreadable):
        list(cloud.export(str(uuid.uuid4())))
    assert len(api.server.asked) == 3


@pytest.mark.parametrize(
    ("said", "kind", "after_s", "scope"),
    [
        (problem(503, "store_unavailable", {"Retry-After": "7"}), faults.ServerBusy, 7.0, "all"),
        (problem(503, "objects_unavailable", retry_after_s=5.0), faults.ServerBusy, 5.0, "all"),
        (problem(500, "internal"), faults.ServerBusy, None, "item"),
        (answer(504, b"<html>", {"Content-Type": "text/html"}), faults.ServerBusy, None, "all"),
        (problem(429, "rate_limited", retry_after_s=20.0), faults.RateLimited, 20.0, "all"),
        (answer(429, b"no", {"Retry-After": "300"}), faults.RateLimited, 300.0, "all"),
        (problem(429, "budget_spent", retry_after_s=1e6), faults.BudgetSpent, 1e6, "item"),
        (problem(410, "gone"), faults.PatientErased, None, "item"),
        (problem(409, "conflict"), faults.Refused, None, "item"),
        (problem(413, "too_large"), faults.Refused, None, "item"),
        (answer(413, {"message": "Request Too Long"}), faults.Refused, None, "item"),
        (problem(422, "invalid"), faults.Refused, None, "item"),
        (answer(403, b"<html>", {"Content-Type": "text/html"}), faults.Refused, None, "item"),
        (problem(418, "of_a_newer_version"), faults.Refused, None, "item"),
        (problem(401, "unauthenticated"), faults.Refused, None, "all"),
        (answer(200, b"{", {"Content-Type": "application/json"}), faults.AnswerUnreadable, None, "item"),
        (answer(200, {"results": "x"}), faults.AnswerUnreadable, None, "item"),
        (answer(200, b"<html>", {"Content-Type": "text/html"}), faults.CaptivePortal, None, "all"),
    ],
    ids=range(18),
)
def test_each_refusal_has_its_kind(
    api: Api, cloud: Cloud, said: bytes, kind: type[faults.CloudFault], after_s: float | None, scope: str
) -> None:
    api.says = says(said)
    with pytest.raises(faults.CloudFault) as caught:
        cloud.config()
    fault = caught.value
    assert (type(fault), fault.retry_after_s, fault.scope) == (kind, after_s, scope)
    api.says = says(answer(204))
    cloud.heartbeat(Heartbeat("1.0", "Linux", 0, 0, None, None, 0, 0))  # and the way is free again


def test_an_access_token_that_is_not_taken_is_exchanged_once(api: Api, cloud: Cloud) -> None:
    expired = problem(401, "token_expired")
    api.says = says(expired, answer(204))
    beat = Heartbeat("1.0", "Linux", 0, 0, None, None, 0, 0)
    cloud.heartbeat(beat)
    api.says = says(expired)
    with pytest.raises(faults.Refused) as caught:
        cloud.heartbeat(beat)
    assert caught.value.scope == "all" and caught.value.retry
    used = [asked.headers["authorization"] for asked in api.server.asked if asked.path != TOKEN]
    assert used == [f"DPoP access-{n}" for n in (1, 2, 2, 3)]


# --- The object store --------------------------------------------------------------------------------


def place(server: Server, **changes: Any) -> UploadUrl:
    facts: dict[str, Any] = {
        "id": str(uuid.uuid4()),
        "state": "awaiting",
        "url": f"{server.url}/bucket/key?X-Amz-Signature=abc",
        "method": "PUT",
        "headers": {"Content-Length": "3", "Content-Type": "application/json", "If-None-Match": "*"},
        "expires_at": None,
    }
    return UploadUrl(**{**facts, **changes})


@pytest.mark.parametrize(
    ("api", "url", "good"),
    [
        ("https://api.example.org", "https://store.example.org/key?X-Amz-Signature=abc", True),
        ("https://api.example.org", "http://127.0.0.1:631/printers", False),
        ("https://api.example.org", "http://[::1]/", False),
        ("https://api.example.org", "http://localhost/", False),
        ("https://api.example.org", "https://xn--a/", False),
        ("http://127.0.0.1:1", "http://127.0.0.1:2/bucket/key", True),
        ("http://127.0.0.1:1", "https://store.example.org/key", True),
    ],
)
def test_a_server_elsewhere_does_not_choose_what_on_this_machine_gets_a_file(
    monkeypatch: pytest.MonkeyPatch, api: str, url: str, good: bool
) -> None:
    new = file_of(str(uuid.uuid4()), RECORD)
    body: dict[str, Any] = {
        "id": new.id,
        "state": "awaiting",
        "url": url,
        "method": "PUT",
        "headers": {},
        "expires_at": None,
    }
    line = Line()

    def answers(_method: str, _url: str, **_how: Any) -> Reply:
        said: Any = tokens() if _url.endswith(TOKEN) else body
        return Reply(200, {"content-type": "application/json"}, json.dumps(said).encode(), None, 0.0)

    monkeypatch.setattr(line, "request", answers)
    cloud = Cloud(line, Credentials(MemoryVault({ENTRY: an_entry(api).to_bytes()})))
    if good:
        assert cloud.announce(new).url == url
    else:
        with pytest.raises(faults.AnswerUnreadable):
            cloud.announce(new)
    line.close()


def test_no_sign_in_goes_to_the_object_store(api: Api, cloud: Cloud) -> None:
    cloud.heartbeat(Heartbeat("1.0", "Linux", 0, 0, None, None, 0, 0))
    with Server(says(answer(200))) as store:
        cloud.put(place(store), [b"abc"], 3)
    asked = store.asked[0]
    assert asked.body == b"abc"
    assert set(asked.headers) == {"host", "content-length", "content-type", "if-none-match"}


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (answer(200), None),
        (answer(201), None),
        (answer(204), None),
        (answer(412, b"<Error><Code>PreconditionFailed</Code></Error>"), None),
        (answer(403, b"<Error><Message>Request has expired</Message></Error>"), faults.UrlExpired),
        (answer(400, b"<Error><Code>ExpiredToken</Code></Error>"), faults.UrlExpired),
        (answer(400, b"<Error><Code>RequestTimeout</Code></Error>"), faults.TimedOut),
        (answer(400, b"<Error><Code>BadDigest</Code></Error>"), faults.Refused),
        (answer(404, b""), faults.Refused),
        (answer(409, b""), faults.ServerBusy),
        (answer(500, b""), faults.ServerBusy),
        (answer(503, b"<Error><Code>SlowDown</Code></Error>", {"Retry-After": "9"}), faults.ServerBusy),
        (answer(429, b""), faults.RateLimited),
        (answer(307, b"", {"Location": "http://127.0.0.1:1/"}), faults.CaptivePortal),
        (answer(200, b"<html>", {"Content-Type": "text/html"}), faults.CaptivePortal),
        (answer(511, b"<html>", {"Content-Type": "text/html"}), faults.CaptivePortal),
    ],
    ids=range(16),
)
def test_what_the_object_store_says_has_its_kind(
    cloud: Cloud, said: bytes, kind: type[faults.CloudFault] | None
) -> None:
    with Server(says(said)) as store:
        if kind is None:
            cloud.put(place(store), [b"abc"], 3)
        else:
            with pytest.raises(faults.CloudFault) as caught:
                cloud.put(place(store), [b"abc"], 3)
            assert type(caught.value) is kind
            assert "Signature" not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "POST"},
        {"headers": {"Authorization": "x"}},
        {"headers": {"host": "elsewhere"}},
        {"headers": {"Transfer-Encoding": "chunked"}},
        {"headers": {"content-length": "4"}},
    ],
)
def test_a_place_that_asks_for_more_than_a_file_is_not_believed(
    cloud: Cloud, changes: dict[str, Any]
) -> None:
    with Server(says(answer(200))) as store:
        with pytest.raises(faults.AnswerUnreadable):
            cloud.put(place(store, **changes), [b"abc"], 3)
    assert store.connections == 0


def test_the_answer_after_a_file_is_not_waited_for_as_long_as_the_file_may_take(api: Api) -> None:
    def drips(_asked: Asked, connection: Connection) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\nX: ")
        while connection.wait(0.05):
            connection.send(b"a")

    line = Line(limits=TimeLimits(whole_s=0.3, least_bytes_per_s=0.001))
    with Server(drips) as store, pytest.raises(faults.TimedOut) as caught:
        Cloud(line, Credentials(MemoryVault())).put(place(store), [b"abc"], 3)
    assert caught.value.phase == "whole"
    line.close()


def test_a_large_file_never_stands_in_memory_as_a_whole(cloud: Cloud) -> None:
    import tracemalloc

    piece = os.urandom(1 << 16)
    count = 300  # 20 MB

    def drain(asked: Asked, connection: Connection) -> None:
        left = int(asked.headers["content-length"])
        while left:
            left -= len(connection.read())
        connection.send(answer(200))

    with Server(drain, reads_body=False) as store:
        given = place(store, headers={"Content-Length": str(len(piece) * count)})
        tracemalloc.start()
        cloud.put(given, (piece for _ in range(count)), len(piece) * count)
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak_bytes < 3_000_000
