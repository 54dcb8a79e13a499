"""The AWS stand-in on loopback, and our adapters' clients, which are the real botocore's. One for a module: making clients is slow."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from backend_lambda.aws.clients import Clients
from backend_lambda.aws.objects import S3Objects
from tests.stand_ins.aws.server import AwsStandIn

DOCUMENTS, AUDIT, KEY = "health-helper-documents", "health-helper-audit", "alias/health-helper-tokens"
HASTY_S = 0.15
"""The time-out of clients in tests of silence."""
_SERVICES = (
    *("s3", "kms", "secretsmanager", "bedrock-runtime", "bedrock-agent-runtime", "bedrock-agent"),
    *("polly", "sesv2", "textract", "comprehendmedical", "healthlake"),
    *("kinesis", "events", "connect", "ssm"),
)


@pytest.fixture(scope="module")
def one_aws() -> Iterator[AwsStandIn]:
    with AwsStandIn(workers=16) as aws, pytest.MonkeyPatch.context() as patch:
        for name, value in aws.environment().items():
            patch.setenv(name, value)
        patch.delenv("AWS_SESSION_TOKEN", raising=False)
        patch.delenv("AWS_PROFILE", raising=False)
        aws.s3.add_bucket(DOCUMENTS)
        aws.s3.add_bucket(AUDIT, can_lock=True)
        aws.kms.add_key(KEY)
        yield aws


@pytest.fixture
def aws(one_aws: AwsStandIn) -> Iterator[AwsStandIn]:
    """As new: nothing scripted, no bug found in it."""
    one_aws.faults.clear()
    one_aws.bedrock.clear()
    one_aws.kinesis.clear()
    one_aws.event_bridge.clear()
    one_aws.connect.clear()
    one_aws.counts.clear()
    yield one_aws
    one_aws.faults.clear()
    assert one_aws.failures == []


@pytest.fixture(scope="module")
def clients(one_aws: AwsStandIn) -> Iterator[Clients]:
    clients = Clients(one_aws.region, one_aws.url)
    yield clients
    clients.close()


@pytest.fixture(scope="module")
def hasty(one_aws: AwsStandIn) -> Iterator[Clients]:
    """Clients that do not wait for long."""
    clients = Clients(
        one_aws.region, one_aws.url, {**dict.fromkeys(_SERVICES, HASTY_S), "bedrock-runtime": 0.5}
    )
    yield clients
    clients.close()


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Botocore tries again at once."""
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda seconds: None))


@pytest.fixture
def documents(aws: AwsStandIn, clients: Clients) -> S3Objects:
    return S3Objects(clients, DOCUMENTS)
