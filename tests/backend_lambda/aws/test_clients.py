"""The clients: made once, with time-outs, and led nowhere else by the environment."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from backend_lambda.aws import clients as module
from backend_lambda.aws.bedrock import BedrockModel
from backend_lambda.aws.clients import Clients, Fault, asked
from backend_lambda.aws.feeds import EventBridgeCases, KinesisVitals
from backend_lambda.aws.key_sets import JwksKeySets
from backend_lambda.aws.kms import KmsSigner
from backend_lambda.aws.knowledge import BedrockIngestion, BedrockKnowledge
from backend_lambda.aws.mail import SesMail
from backend_lambda.aws.malware import GuardDutyVerdicts
from backend_lambda.aws.objects import S3Objects
from backend_lambda.aws.recognition import ComprehendMedical, Textract
from backend_lambda.aws.secrets import Secrets
from backend_lambda.aws.speech import AwsSpeech
from backend_lambda.ports import Ports
from backend_lambda.services.knowledge import KnowledgeStore
from tests.backend_lambda.aws.conftest import DOCUMENTS
from tests.backend_lambda.conftest import SetClock
from tests.stand_ins.aws.server import AwsStandIn


class _Measures:
    def add(self, name: str, value: float, unit: str, clinic_id: str | None = None) -> None: ...


def test_the_adapters_are_the_ports_and_open_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most of it is proven by mypy."""
    monkeypatch.setattr("botocore.session.Session", None)
    clients, clock = Clients("eu-central-1"), SetClock()
    documents = S3Objects(clients, DOCUMENTS)
    Ports(
        clock=clock,
        signer=KmsSigner(clients, "k"),
        key_sets=JwksKeySets(["https://issuer"], clock),
        documents=documents,
        audit=S3Objects(clients, "audit"),
        model=BedrockModel(clients, clock),
        knowledge=BedrockKnowledge(clients, "KB"),
        speech_to_text=AwsSpeech(clients),
        text_to_speech=AwsSpeech(clients),
        mail=SesMail(clients, ""),
        measures=_Measures(),
        text_recognition=Textract(clients),
        medical_entities=ComprehendMedical(clients),
        malware_scan=GuardDutyVerdicts(clients, DOCUMENTS),
        vitals_stream=KinesisVitals(clients, clock, "vitals"),
        urgent_cases=EventBridgeCases(clients, clock, "cases"),
    )
    store: KnowledgeStore = BedrockIngestion(clients, documents, "KB", "DS")
    assert store is not None
    Secrets(clients, clock)
    clients.close()


def test_a_client_is_made_once_whoever_asks(aws: AwsStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    clients = Clients(aws.region, aws.url)
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(clients("kms"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(found) == 8
    assert len({id(one) for one in found}) == 1
    clients.close()


@pytest.fixture(scope="module")
def deployed(one_aws: AwsStandIn) -> Iterator[Clients]:
    """Without an endpoint, as in AWS."""
    clients = Clients("eu-central-1")
    yield clients
    clients.close()


@pytest.mark.parametrize("service", sorted(module._MANNERS))
def test_every_client_has_its_limits(deployed: Clients, service: str) -> None:
    clients = deployed
    config = clients(service).meta.config
    if service in {"kinesis", "events"}:  # a request or an answer waits for these
        assert config.connect_timeout + config.read_timeout <= 1.3
        assert config.retries["total_max_attempts"] == 1
    else:
        assert config.connect_timeout == 2.0
        assert 3.0 <= config.read_timeout <= 25.0
    assert config.retries["mode"] == "standard"
    assert config.retries["total_max_attempts"] <= 3
    assert config.request_checksum_calculation == config.response_checksum_validation == "when_required"
    assert clients(service).meta.region_name == "eu-central-1"
    assert clients(service).meta.endpoint_url.startswith("https://")


def test_the_environment_leads_requests_nowhere_else(
    aws: AwsStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    clients = Clients("eu-central-1")
    assert clients("s3").meta.endpoint_url == "https://s3.eu-central-1.amazonaws.com"
    clients.close()


def test_stand_ins_are_reached_past_a_proxy(aws: AwsStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    clients = Clients(aws.region, aws.url)
    assert clients("s3").list_objects_v2(Bucket=DOCUMENTS, MaxKeys=1)["MaxKeys"] == 1
    clients.close()


def test_a_service_that_nobody_uses_is_none(aws: AwsStandIn) -> None:
    with pytest.raises(KeyError):
        Clients(aws.region)("ec2")


def test_an_answer_that_lacks_what_is_needed_is_no_answer() -> None:
    assert asked(lambda: {"a": 1}, needs="a") == {"a": 1}
    for answer in ({"b": 1}, {}, None):
        with pytest.raises(Fault):
            asked(lambda answer=answer: answer, needs="a")  # type: ignore[misc]


def test_a_fault_says_where_it_was_and_nothing_else() -> None:
    def fails() -> None:
        raise ValueError("the patient's name")

    with pytest.raises(Fault) as caught:
        asked(fails)
    assert str(caught.value) == "ValueError"
    assert caught.value.__context__ is None
