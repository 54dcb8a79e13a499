"""The function that the object store calls: what it takes for an arrival, what it lets come again, and what it never logs."""

from __future__ import annotations

import ctypes
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import quote_plus
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend_lambda import app
from backend_lambda import processing as entry
from backend_lambda.errors import Code, unavailable
from backend_lambda.ports import Measures
from backend_lambda.principals import Device
from backend_lambda.processing import Arrival, NotDone, ProcessingFunction, arrivals
from backend_lambda.services.processing import Outcome, Processing
from backend_lambda.store.database import Database
from backend_lambda.wire import UploadState
from tests.backend_lambda.conftest import SetClock
from tests.backend_lambda.fakes import FakeMeasures
from tests.backend_lambda.services.making_services import FAULT, Room

CLINIC, UPLOAD = (str(uuid4()) for _ in range(2))
PATIENT = uuid4().hex
"""The folder that stands for one."""
KEY = f"c/{CLINIC}/{PATIENT}/{UPLOAD}"


def record(key: object = KEY, version: str | None = "v1", name: str = "ObjectCreated:Put") -> dict[str, Any]:
    """As S3 sends it: the key is URL-encoded."""
    found: dict[str, Any] = {"key": quote_plus(key) if isinstance(key, str) else key, "size": 1, "eTag": "e"}
    if version is not None:
        found["versionId"] = version
    return {
        "eventVersion": "2.2",
        "eventSource": "aws:s3",
        "eventName": name,
        "s3": {"bucket": {"name": "documents"}, "object": found},
    }


def message(identifier: str, *records: dict[str, Any]) -> dict[str, Any]:
    """As SQS hands it on."""
    return {"messageId": identifier, "eventSource": "aws:sqs", "body": json.dumps({"Records": list(records)})}


@dataclass
class Script:
    """A `Processing` that does what it is told for each key."""

    fails: dict[str, Exception] = field(default_factory=dict)
    asked: list[tuple[str, str, str]] = field(default_factory=list)

    def process(self, key: str, version_id: str, request_id: str) -> Outcome:
        self.asked.append((key, version_id, request_id))
        if key in self.fails:
            raise self.fails[key]
        return Outcome.READY


@dataclass
class Stage:
    script: Script = field(default_factory=Script)
    measures: FakeMeasures = field(default_factory=FakeMeasures)
    lines: list[tuple[str, str, Mapping[str, object]]] = field(default_factory=list)
    flushes: int = 0

    def __call__(self, *records: dict[str, Any]) -> dict[str, Any]:
        function = ProcessingFunction(
            cast("Processing", self.script),
            cast("Measures", self.measures),
            lambda level, line, facts: self.lines.append((level, line, facts)),
            self._flush,
        )
        return function({"Records": list(records)}, "request")

    def _flush(self) -> None:
        self.flushes += 1


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_each_file_of_an_event_is_looked_at(stage: Stage) -> None:
    other = f"c/{CLINIC}/{PATIENT}/{uuid4()}"
    stage(record(), record(other, "v2", "ObjectCreated:CompleteMultipartUpload"))
    assert stage.script.asked == [(KEY, "v1", "request"), (other, "v2", "request")]
    assert [(level, facts["outcome"]) for level, _, facts in stage.lines] == [("info", "ready")] * 2
    assert stage.flushes == 1


def test_keys_are_decoded(stage: Stage) -> None:
    stage(record("a b+c/ü/%2F"))
    assert stage.script.asked == [("a b+c/ü/%2F", "v1", "request")]


def test_what_fails_comes_again_and_the_rest_is_done(stage: Stage) -> None:
    second = f"c/{CLINIC}/{PATIENT}/{uuid4()}"
    stage.script.fails = {KEY: FAULT}
    with pytest.raises(NotDone) as told:
        stage(record(), record(second))
    assert [key for key, _, _ in stage.script.asked] == [KEY, second]
    assert stage.flushes == 1
    assert PATIENT not in str(told.value)


def test_of_a_queue_only_the_failed_messages_come_again(stage: Stage) -> None:
    keys = [f"c/{CLINIC}/{PATIENT}/{uuid4()}" for _ in range(4)]
    stage.script.fails = {keys[1]: FAULT, keys[2]: KeyError("x")}
    answer = stage(
        message("m1", record(keys[0])),
        message("m2", record(keys[1]), record(keys[2])),
        message("m3", record(keys[3])),
    )
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m2"}]}
    assert [key for key, _, _ in stage.script.asked] == keys


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"eventSource": "aws:sns"},
        record(name="ObjectRemoved:Delete"),
        record(name="s3:TestEvent"),
        record(key=7),
        record(key=None),
        {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put"},
        {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": None},
        {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": {"object": []}},
        {"eventSource": "aws:sqs", "messageId": "m", "body": "no json"},
        {"eventSource": "aws:sqs", "messageId": "m", "body": json.dumps({"Event": "s3:TestEvent"})},
        {"eventSource": "aws:sqs", "messageId": "m", "body": "[" * 100_000},
        {"eventSource": "aws:sqs", "messageId": "m"},
    ],
)
def test_records_of_something_else_are_counted_and_done_with(stage: Stage, odd: dict[str, Any]) -> None:
    assert stage(odd, record()) == {"batchItemFailures": []}
    assert [key for key, _, _ in stage.script.asked] == [KEY]
    assert [(name, value) for name, value, *_ in stage.measures.added] == [("events_unknown", 1.0)]


def test_an_object_without_a_version_has_none() -> None:
    assert list(arrivals({"Records": [record(version=None)]})) == [Arrival("", KEY, "")]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["Records", "eventSource", "eventName", "s3", "object", "key", "body", "messageId", "x"]
            ),
            inner | st.sampled_from(["aws:s3", "aws:sqs", "ObjectCreated:Put", '{"Records": [1]}']),
            max_size=6,
        )
    ),
    max_leaves=25,
)


@given(JSON_VALUES)
def test_no_event_breaks_the_reading(value: Any) -> None:
    for event in (value, {"Records": value}, {"Records": [value]}):
        for arrival in arrivals(event):
            assert arrival.key is None or isinstance(arrival.key, str)


def test_a_log_line_names_the_upload_and_nothing_else(stage: Stage) -> None:
    stage.script.fails = {KEY: unavailable(Code.OBJECTS_UNAVAILABLE, f"Trouble with {KEY}.")}
    with pytest.raises(NotDone):
        stage(record(), record("c/strange/" + PATIENT))
    failed, done = stage.lines
    assert failed == (
        "error",
        "failed",
        {"request_id": "request", "upload": UPLOAD, "kind": "Refusal", "code": "objects_unavailable"},
    )
    assert done[2]["upload"] is None
    assert PATIENT not in repr(stage.lines)
    assert CLINIC not in repr(stage.lines)


# --- The whole function ------------------------------------------------------------------------------


@pytest.fixture
def room(
    api: Database, processing: Database, auditor: Database, clinic_id: UUID, device_id: UUID, clock: SetClock
) -> Room:
    return Room(api, processing, auditor, Device(device_id, clinic_id, "t" * 43), clock)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What goes to the log; the logger took hold of standard output when it was imported."""
    stream = io.StringIO()
    monkeypatch.setattr(entry.logger.registered_handler, "stream", stream)
    return stream


CONTEXT = SimpleNamespace(aws_request_id="a-request")


@pytest.fixture(autouse=True)
def opened_again() -> Iterator[None]:
    """The function closes its process for good; this one goes on with other tests."""
    yield
    if sys.platform == "linux":
        assert ctypes.CDLL(None).prctl(4, 1, 0, 0, 0) == 0


@pytest.fixture
def backend(room: Room, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What the composition root gives."""
    made = SimpleNamespace(database=room.as_processing, ports=room.ports, settings=None, flush=lambda: None)
    monkeypatch.setattr(app, "backend", lambda: made)
    return made


def test_from_the_event_to_the_state(room: Room, backend: SimpleNamespace, written: io.StringIO) -> None:
    good = room.sent()
    hostile = room.sent(data=b"%PDF-1.7 nothing")
    records = [
        record(room.place(one).object_key, room.bucket.objects[room.place(one).object_key][-1].id)
        for one in (good, hostile)
    ]
    event = {"Records": records}
    assert entry.lambda_handler(event, cast("Any", CONTEXT)) == {"batchItemFailures": []}
    assert room.state(good) == (UploadState.READY, None)
    assert room.state(hostile) == (UploadState.QUARANTINED, "damaged")
    assert entry.lambda_handler(event, cast("Any", CONTEXT)) == {"batchItemFailures": []}
    assert [one.request_id for one in room.entries("upload.process")] == ["a-request"] * 2
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [line["outcome"] for line in lines] == ["ready", "quarantined", "already", "already"]
    assert [line["upload"] for line in lines] == [str(good.id), str(hostile.id)] * 2
    for secret in (good.patient_id, hostile.patient_id, room.device.clinic_id, "Blood"):
        assert str(secret) not in written.getvalue()


def test_a_fault_is_raised_without_its_words(
    room: Room, backend: SimpleNamespace, written: io.StringIO
) -> None:
    wanted = room.sent()
    key = room.place(wanted).object_key
    room.bucket.faults["read"] = 1
    event = {"Records": [record(key, room.bucket.objects[key][-1].id)]}
    with pytest.raises(NotDone):
        entry.lambda_handler(event, cast("Any", CONTEXT))
    assert room.state(wanted) == (UploadState.FAILED, None)
    assert entry.lambda_handler(event, cast("Any", CONTEXT)) == {"batchItemFailures": []}
    assert room.state(wanted) == (UploadState.READY, None)
    assert str(wanted.id) in written.getvalue()
    assert str(wanted.patient_id) not in written.getvalue()


@pytest.mark.skipif(sys.platform != "linux", reason="prctl(2)")
def test_its_process_is_closed_before_a_file_is_looked_at(
    backend: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    del backend
    dumpable = ctypes.CDLL(None).prctl
    seen: list[int] = []
    made = app.backend()

    def backend_then() -> object:
        seen.append(dumpable(3, 0, 0, 0, 0))
        return made

    monkeypatch.setattr(app, "backend", backend_then)
    assert dumpable(3, 0, 0, 0, 0) == 1
    entry.lambda_handler({"Records": []}, cast("Any", CONTEXT))
    assert seen == [0]


CHILD = """
import ctypes, os
from backend_lambda.processing import close_to_others

def seen_by_a_child():
    read, write = os.pipe()
    if not (child := os.fork()):
        try:
            with open(f"/proc/{os.getppid()}/environ", "rb") as environment:
                os.write(write, b"1" if b"canary-secret" in environment.read() else b"?")
        except OSError:
            os.write(write, b"0")
        os._exit(0)
    os.waitpid(child, 0)
    return os.read(read, 1)

if os.getuid() == 0:  # root may read everything; in the cloud nobody is root
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
    assert ctypes.CDLL(None).prctl(4, 1, 0, 0, 0) == 0  # as any process begins
before = seen_by_a_child()
close_to_others()
print((before + seen_by_a_child()).decode())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="prctl(2)")
def test_a_child_cannot_read_the_functions_environment() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        env=os.environ | {"AWS_SECRET_ACCESS_KEY": "canary-secret", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.strip() == "10"


def test_a_function_that_cannot_start_says_so_without_its_environment(
    monkeypatch: pytest.MonkeyPatch, written: io.StringIO
) -> None:
    def backend() -> None:
        raise ValueError("postgresql://user:password@host")

    monkeypatch.setattr(app, "backend", backend)
    with pytest.raises(RuntimeError) as told:
        entry.lambda_handler({"Records": []}, cast("Any", CONTEXT))
    assert told.value.__cause__ is None
    assert "ValueError" in written.getvalue()
    assert "password" not in written.getvalue() + repr(told.value)
