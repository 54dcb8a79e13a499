"""Mail, recognition, secrets and verdicts on malware."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend_lambda.aws.clients import Clients
from backend_lambda.aws.mail import SesMail
from backend_lambda.aws.malware import TAG, GuardDutyVerdicts
from backend_lambda.aws.objects import S3Objects
from backend_lambda.aws.recognition import ComprehendMedical, Textract, parts
from backend_lambda.aws.secrets import KEPT_S, Secrets
from backend_lambda.errors import Code, Refusal
from backend_lambda.ports import Entity
from tests.backend_lambda.aws.conftest import DOCUMENTS
from tests.backend_lambda.conftest import SetClock
from tests.stand_ins.aws.faults import Fault, Kind
from tests.stand_ins.aws.server import AwsStandIn
from tests.stand_ins.aws.ses import Message

PNG = b"\x89PNG\r\n\x1a\n and the rest"


# --- Mail


def test_a_message_is_sent(aws: AwsStandIn, clients: Clients) -> None:
    SesMail(clients, "no-reply@example.org").send(
        "somebody@example.com", "Ein Bericht für Sie", "Öffnen: https://x/#y\n"
    )
    assert aws.ses.messages[-1] == Message(
        "no-reply@example.org", ("somebody@example.com",), "Ein Bericht für Sie", "Öffnen: https://x/#y\n"
    )


def test_an_address_that_is_refused(aws: AwsStandIn, clients: Clients) -> None:
    aws.ses.suppressed.add("gone@example.com")
    for address in ("gone@example.com", "no address"):
        with pytest.raises(Refusal) as caught:
            SesMail(clients, "no-reply@example.org").send(address, "s", "t")
        assert (caught.value.status, caught.value.code) == (422, Code.INVALID)
        assert address not in str(caught.value)


def test_without_a_sender_there_is_no_mail(aws: AwsStandIn, clients: Clients) -> None:
    with pytest.raises(Refusal) as caught:
        SesMail(clients, "").send("a@example.com", "s", "t")
    assert caught.value.code is Code.MAIL_UNAVAILABLE
    assert aws.counts["sesv2"] == 0


def test_a_message_is_tried_once(aws: AwsStandIn, clients: Clients) -> None:
    aws.faults.set("sesv2", Fault(Kind.UNAVAILABLE), times=1)
    with pytest.raises(Refusal) as caught:
        SesMail(clients, "no-reply@example.org").send("a@example.com", "s", "t")
    assert (caught.value.status, caught.value.code) == (503, Code.MAIL_UNAVAILABLE)
    assert aws.counts["sesv2"] == 1


# --- Recognition


@pytest.mark.parametrize("media_type", ["image/png", "image/jpeg", "application/pdf"])
def test_text_is_read_line_by_line(aws: AwsStandIn, clients: Clients, media_type: str) -> None:
    aws.textract.lines[hashlib.sha256(PNG).digest()] = ["Puls 72 /min", "Größe 1,80 m"]
    assert Textract(clients).text(PNG, media_type) == "Puls 72 /min\nGröße 1,80 m"


@pytest.mark.parametrize(
    ("data", "media_type", "status"),
    [
        (PNG, "application/json", 415),
        (b"GIF89a", "image/png", 415),
        (PNG + bytes(10_000_000), "image/png", 413),
    ],
)
def test_what_cannot_be_read(
    aws: AwsStandIn, clients: Clients, data: bytes, media_type: str, status: int
) -> None:
    with pytest.raises(Refusal) as caught:
        Textract(clients).text(data, media_type)
    assert caught.value.status == status


def test_entities_stand_where_the_text_has_them(aws: AwsStandIn, clients: Clients) -> None:
    text = "Größe 1,80 m. 𝔘 Hypertension, takes Aspirin."
    found = ComprehendMedical(clients).entities(text)
    assert [(one.text, one.category) for one in found] == [
        ("Hypertension", "MEDICAL_CONDITION"),
        ("Aspirin", "MEDICATION"),
    ]
    assert all(text[one.start : one.end] == one.text for one in found)


def test_a_long_text_is_asked_for_in_parts(aws: AwsStandIn, clients: Clients) -> None:
    text = "aspirin ü " * 5_000
    found = ComprehendMedical(clients).entities(text)
    assert len(found) == 5_000
    assert [one.start for one in found] == list(range(0, 50_000, 10))
    assert found[4_321] == Entity("aspirin", "MEDICATION", 43_210, 43_217, 0.75)
    assert aws.counts["comprehendmedical"] == 3


def test_nothing_is_asked_about_nothing(aws: AwsStandIn, clients: Clients) -> None:
    assert ComprehendMedical(clients).entities(" \n\t" * 10_000) == []
    assert ComprehendMedical(clients).entities("") == []
    assert aws.counts["comprehendmedical"] == 0


@given(
    text=st.text(
        alphabet=st.sampled_from("ab \n\täß€𝔘") | st.characters(exclude_categories=["Cs"]), max_size=300
    ),
    most=st.integers(4, 40),
)
def test_parts_are_small_enough_and_are_the_text(text: str, most: int) -> None:
    found = list(parts(text, most))
    assert "".join(part for _, part in found) == text
    assert all(part and len(part.encode()) <= most for _, part in found)
    assert all(text[start : start + len(part)] == part for start, part in found)


# --- Secrets


def test_a_secret_is_kept_for_a_while(aws: AwsStandIn, clients: Clients, clock: SetClock) -> None:
    secrets = Secrets(clients, clock)
    aws.secrets.values["database"] = "one"
    assert [secrets.text("database") for _ in range(3)] == ["one"] * 3
    assert aws.counts["secretsmanager"] == 1
    aws.secrets.values["database"] = "two"
    clock.go(KEPT_S - 1)
    assert secrets.text("database") == "one"
    clock.go(2)
    assert secrets.text("database") == "two"


@pytest.mark.usefixtures("no_pauses")
def test_a_known_secret_outlives_its_store(aws: AwsStandIn, clients: Clients, clock: SetClock) -> None:
    secrets = Secrets(clients, clock)
    aws.secrets.values["database"] = "one"
    assert secrets.text("database") == "one"
    clock.go(KEPT_S + 1)
    aws.faults.set("secretsmanager", Fault(Kind.UNAVAILABLE))
    assert secrets.text("database") == "one"
    with pytest.raises(Refusal) as caught:
        Secrets(clients, clock).text("database")
    assert caught.value.status == 503


def test_a_secret_that_is_missing_or_no_text(aws: AwsStandIn, clients: Clients, clock: SetClock) -> None:
    aws.secrets.values["bytes"] = b"\x00"
    for name in ("not-there", "bytes"):
        with pytest.raises(Refusal) as caught:
            Secrets(clients, clock).text(name)
        assert (caught.value.status, caught.value.code) == (500, Code.INTERNAL)
        assert name not in str(caught.value)


# --- Malware


@pytest.mark.parametrize(
    ("tags", "verdict"),
    [
        ({TAG: "NO_THREATS_FOUND"}, None),
        ({TAG: "NO_THREATS_FOUND", "other": "THREATS_FOUND"}, None),
        ({TAG: "THREATS_FOUND"}, "threats_found"),
        ({TAG: "UNSUPPORTED"}, "not_scannable"),
    ],
)
def test_a_verdict(
    aws: AwsStandIn, clients: Clients, documents: S3Objects, tags: dict[str, str], verdict: str | None
) -> None:
    version = documents.write("c/1/2/3", b"x", "text/plain")
    aws.s3.tag(DOCUMENTS, "c/1/2/3", **tags)
    documents.write("c/1/2/3", b"newer, not scanned", "text/plain")
    assert GuardDutyVerdicts(clients, DOCUMENTS).verdict("c/1/2/3", version) == verdict


@pytest.mark.parametrize(
    "tags", [{}, {TAG: "ACCESS_DENIED"}, {TAG: "FAILED"}, {TAG: "NEWER_WORD"}, {TAG: ""}]
)
def test_no_verdict_is_never_a_good_one(
    aws: AwsStandIn, clients: Clients, documents: S3Objects, tags: dict[str, str]
) -> None:
    version = documents.write("c/1/2/4", b"x", "text/plain")
    aws.s3.tag(DOCUMENTS, "c/1/2/4", **tags)
    with pytest.raises(Refusal) as caught:
        GuardDutyVerdicts(clients, DOCUMENTS).verdict("c/1/2/4", version)
    assert caught.value.code is Code.OBJECTS_UNAVAILABLE
    assert caught.value.retry_after_s


def test_a_verdict_on_what_is_not_there(aws: AwsStandIn, clients: Clients) -> None:
    for version in ("x" * 32, "null"):
        with pytest.raises(Refusal) as caught:
            GuardDutyVerdicts(clients, DOCUMENTS).verdict("c/none", version)
        assert caught.value.status == 404
