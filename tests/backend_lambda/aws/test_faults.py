"""Whatever happens to a service, its adapter raises a Refusal that says nothing of what was asked, and does not wait for long."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from backend_lambda.aws.bedrock import BedrockModel
from backend_lambda.aws.clients import Clients
from backend_lambda.aws.kms import KmsSigner
from backend_lambda.aws.knowledge import BedrockIngestion, BedrockKnowledge
from backend_lambda.aws.mail import SesMail
from backend_lambda.aws.malware import GuardDutyVerdicts
from backend_lambda.aws.objects import S3Objects
from backend_lambda.aws.recognition import ComprehendMedical, Textract
from backend_lambda.aws.secrets import Secrets
from backend_lambda.aws.speech import AwsSpeech
from backend_lambda.errors import Code, Refusal
from backend_lambda.ports import ModelRequest, Role, Turn
from tests.backend_lambda.aws.conftest import AUDIT, DOCUMENTS, KEY
from tests.backend_lambda.conftest import SetClock
from tests.stand_ins.aws.faults import Fault, Kind
from tests.stand_ins.aws.server import AwsStandIn

CANARY = "canary-7f3a"
"""In everything that is asked. It must be in nothing that is raised or logged."""
VERSION = "x" * 32
Call = Callable[[Clients], Any]


def _say(clients: Clients) -> None:
    request = ModelRequest("model-1", CANARY, [Turn(Role.PERSON, CANARY)], 10)
    list(BedrockModel(clients, SetClock()).stream(request))


def _ingestion(clients: Clients) -> BedrockIngestion:
    return BedrockIngestion(clients, S3Objects(clients, DOCUMENTS), "KB00000001", "DS00000001")


CALLS: dict[str, tuple[str, Call, Code]] = {
    "head": ("s3", lambda c: S3Objects(c, DOCUMENTS).head(CANARY), Code.OBJECTS_UNAVAILABLE),
    "read": ("s3", lambda c: S3Objects(c, DOCUMENTS).read(CANARY, VERSION, 99), Code.OBJECTS_UNAVAILABLE),
    "write": (
        "s3",
        lambda c: S3Objects(c, DOCUMENTS).write(CANARY, CANARY.encode(), "text/plain"),
        Code.OBJECTS_UNAVAILABLE,
    ),
    "move": ("s3", lambda c: S3Objects(c, DOCUMENTS).move(CANARY, VERSION, f"q/{CANARY}"), Code.OBJECTS_UNAVAILABLE),
    "erase": ("s3", lambda c: S3Objects(c, DOCUMENTS).erase(f"{CANARY}/"), Code.OBJECTS_UNAVAILABLE),
    "versions": ("s3", lambda c: S3Objects(c, AUDIT).versions(f"{CANARY}/"), Code.OBJECTS_UNAVAILABLE),
    "lock": (
        "s3",
        lambda c: S3Objects(c, AUDIT).write_locked(CANARY, b"", datetime(2099, 1, 1, tzinfo=UTC)),
        Code.OBJECTS_UNAVAILABLE,
    ),
    "verdict": ("s3", lambda c: GuardDutyVerdicts(c, DOCUMENTS).verdict(CANARY, VERSION), Code.OBJECTS_UNAVAILABLE),
    "put article": ("s3", lambda c: _ingestion(c).put(CANARY, b"", "text/markdown"), Code.OBJECTS_UNAVAILABLE),
    "sign": ("kms", lambda c: KmsSigner(c, KEY).sign(CANARY.encode()), Code.INTERNAL),
    "public key": ("kms", lambda c: KmsSigner(c, KEY).public_key_pem(), Code.INTERNAL),
    "model": ("bedrock-runtime", _say, Code.MODEL_UNAVAILABLE),
    "retrieve": (
        "bedrock-agent-runtime",
        lambda c: BedrockKnowledge(c, "KB00000001").retrieve(CANARY, "en", 5),
        Code.MODEL_UNAVAILABLE,
    ),
    "ingest": ("bedrock-agent", lambda c: _ingestion(c).ingest(CANARY), Code.MODEL_UNAVAILABLE),
    "job": ("bedrock-agent", lambda c: _ingestion(c).state("ABCDEFGHIJ"), Code.MODEL_UNAVAILABLE),
    "speak": (
        "polly",
        lambda c: AwsSpeech(c).synthesize(CANARY, 100, "en", None),
        Code.SPEECH_UNAVAILABLE,
    ),
    "mail": ("sesv2", lambda c: SesMail(c, "a@example.org").send(f"{CANARY}@example.org", CANARY, CANARY), Code.MAIL_UNAVAILABLE),
    "text": (
        "textract",
        lambda c: Textract(c).text(b"\x89PNG\r\n\x1a\n" + CANARY.encode(), "image/png"),
        Code.MODEL_UNAVAILABLE,
    ),
    "entities": ("comprehendmedical", lambda c: ComprehendMedical(c).entities(CANARY), Code.MODEL_UNAVAILABLE),
    "secret": ("secretsmanager", lambda c: Secrets(c, SetClock()).text(CANARY), Code.INTERNAL),
}  # fmt: skip


def refusal_of(call: Call, clients: Clients) -> Refusal:
    try:
        call(clients)
    except Refusal as refusal:
        return refusal
    raise AssertionError("nothing was refused")


def assert_silent(refusal: Refusal, caplog: pytest.LogCaptureFixture) -> None:
    told = "".join(traceback.format_exception(refusal)) + repr(refusal.problem("r")) + caplog.text
    assert CANARY not in told.replace("CANARY", "")
    assert refusal.__context__ is None or isinstance(refusal.__context__, Refusal)
    assert refusal.__cause__ is None


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.DELAYED])
def test_trouble_becomes_a_refusal(
    aws: AwsStandIn,
    clients: Clients,
    hasty: Clients,
    caplog: pytest.LogCaptureFixture,
    name: str,
    kind: Kind,
) -> None:
    service, call, code = CALLS[name]
    caplog.set_level(logging.DEBUG)
    aws.faults.set(service, Fault(kind, seconds=1.0))
    began_s = time.monotonic()
    refusal = refusal_of(call, hasty if kind is Kind.SILENT else clients)
    assert time.monotonic() - began_s < 6
    assert aws.counts[service] >= 1
    if kind in {Kind.RUBBISH, Kind.CUT} and name in {"head", "write", "lock", "put article", "public key"}:
        # an answer without a body has nothing that could not be read; what it lacks may be told as a fault of the bucket
        assert refusal.status in {500, 503}
    elif name == "model" and kind in {Kind.SILENT, Kind.THROTTLED}:
        assert refusal.code is {Kind.SILENT: Code.TIMED_OUT, Kind.THROTTLED: Code.MODEL_THROTTLED}[kind]
    else:
        assert (refusal.status, refusal.code) == (503, code)
        assert refusal.retry_after_s
    assert_silent(refusal, caplog)


@pytest.fixture(scope="module")
def lost(one_aws: AwsStandIn) -> Iterator[Clients]:
    """Clients of an address where nobody listens."""
    clients = Clients(one_aws.region, "http://127.0.0.1:1")
    yield clients
    clients.close()


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("name", CALLS)
def test_nobody_there(aws: AwsStandIn, lost: Clients, caplog: pytest.LogCaptureFixture, name: str) -> None:
    _, call, code = CALLS[name]
    caplog.set_level(logging.DEBUG)
    refusal = refusal_of(call, lost)
    assert (refusal.status, refusal.code) == (503, code)
    assert_silent(refusal, caplog)


def test_without_credentials(
    aws: AwsStandIn, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    caplog.set_level(logging.DEBUG)
    clients = Clients(aws.region, aws.url)
    for _, call, code in CALLS.values():
        refusal = refusal_of(call, clients)
        assert (refusal.status, refusal.code) == (503, code)
        assert_silent(refusal, caplog)
    clients.close()


def test_a_wrong_secret_is_refused_by_all(
    aws: AwsStandIn, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    clients = Clients(aws.region, aws.url)
    for _, call, code in CALLS.values():
        assert refusal_of(call, clients).code is code
    clients.close()


def test_a_request_that_does_not_fit_is_our_mistake(
    aws: AwsStandIn, clients: Clients, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    refusal = refusal_of(lambda c: S3Objects(c, DOCUMENTS).write("", CANARY.encode(), "text/plain"), clients)
    assert (refusal.status, refusal.code) == (500, Code.INTERNAL)
    assert aws.counts["s3"] == 0
    assert_silent(refusal, caplog)
