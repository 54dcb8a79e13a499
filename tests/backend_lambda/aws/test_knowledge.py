"""The knowledge base: articles go in through the bucket and a job, and come out as passages."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from backend_lambda.aws.clients import Clients
from backend_lambda.aws.knowledge import BedrockIngestion, BedrockKnowledge
from backend_lambda.aws.objects import S3Objects
from backend_lambda.errors import Code, Refusal
from backend_lambda.services import knowledge
from tests.stand_ins.aws.faults import Fault, Kind
from tests.stand_ins.aws.knowledge import Stored
from tests.stand_ins.aws.server import AwsStandIn

ARTICLES = [
    knowledge.Article("resting-pulse", "en", "Resting pulse", "2026-01-01", ["https://who.int/pulse"], "A resting pulse is 60 to 100.\n\nSport lowers it."),
    knowledge.Article("resting-pulse", "de", "Ruhepuls", "2026-01-01", ["https://who.int/puls"], "Ein Ruhepuls liegt bei 60 bis 100."),
    knowledge.Article("breathing", "en", "Breathing rate", "no", ["https://who.int/breath"], "Breathing is 12 to 20 a minute."),
]  # fmt: skip
SOURCE = "DS00000001"


@pytest.fixture(scope="module")
def one_bucket(one_aws: AwsStandIn) -> None:
    one_aws.s3.add_bucket("articles")
    one_aws.knowledge.add_source(SOURCE, "articles", "knowledge/")


@pytest.fixture
def ingestion(aws: AwsStandIn, clients: Clients, one_bucket: None) -> Iterator[BedrockIngestion]:
    yield BedrockIngestion(clients, S3Objects(clients, "articles"), aws.knowledge.id, SOURCE)
    aws.knowledge.passages.clear()
    aws.s3.buckets["articles"].versions.clear()


@pytest.fixture
def base(aws: AwsStandIn, clients: Clients) -> BedrockKnowledge:
    return BedrockKnowledge(clients, aws.knowledge.id)


def test_what_goes_in_comes_out(ingestion: BedrockIngestion, base: BedrockKnowledge, aws: AwsStandIn) -> None:
    version, job = knowledge.ingest(ARTICLES, ingestion)
    assert ingestion.state(job) == (True, 0)
    assert aws.knowledge.jobs[job]["description"] == f"Health Helper articles {version}"
    found = base.retrieve("What resting pulse is normal?", "en-GB", 5)
    assert [(one.title, one.uri) for one in found] == [("Resting pulse", "https://who.int/pulse")]
    assert "60 to 100" in found[0].text
    assert re.fullmatch(r"resting_pulse_[0-9a-f]{8}", found[0].id)
    assert found == base.retrieve("What resting pulse is normal?", "en", 5)
    assert [one.title for one in base.retrieve("Ruhepuls normal?", "de-AT", 5)] == ["Ruhepuls"]


def test_english_where_there_is_nothing_in_the_language(
    ingestion: BedrockIngestion, base: BedrockKnowledge, aws: AwsStandIn
) -> None:
    knowledge.ingest(ARTICLES, ingestion)
    aws.counts.clear()
    assert [one.title for one in base.retrieve("pulse", "hi", 5)] == ["Resting pulse"]
    assert aws.counts["bedrock-agent-runtime"] == 2
    assert base.retrieve("xylophone", "en", 5) == []
    assert aws.counts["bedrock-agent-runtime"] == 3


def test_the_best_comes_first_and_no_more_than_wanted(aws: AwsStandIn, base: BedrockKnowledge) -> None:
    aws.knowledge.passages += [
        Stored(f"s3://x/{number}.md", f"pulse {'heart ' * (number % 3)}{number}", {"language": "en"})
        for number in range(20)
    ]
    try:
        found = base.retrieve("heart pulse", "en", 7)
        assert len(found) == 7
        assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
        assert len({one.id for one in found}) == 7
        assert all(re.fullmatch(r"[a-z0-9_]{1,80}", one.id) for one in found)
        assert len(base.retrieve("heart pulse", "en", 1000)) == 20
    finally:
        aws.knowledge.passages.clear()


@pytest.mark.parametrize("question", ["", " \n ", "x" * 50_000, "\ud7ff\x00\u202e"])
def test_any_question_can_be_asked(base: BedrockKnowledge, question: str) -> None:
    assert base.retrieve(question, "en", 5) in ([], ())


def test_without_a_knowledge_base_nothing_is_asked(aws: AwsStandIn, clients: Clients) -> None:
    assert BedrockKnowledge(clients, "").retrieve("pulse", "en", 5) == ()
    assert aws.counts["bedrock-agent-runtime"] == 0


def test_a_knowledge_base_that_is_not_there(aws: AwsStandIn, clients: Clients) -> None:
    with pytest.raises(Refusal) as caught:
        BedrockKnowledge(clients, "KB99999999").retrieve("pulse", "en", 5)
    assert caught.value.code is Code.MODEL_UNAVAILABLE


def test_what_was_withdrawn_is_not_found_any_more(
    ingestion: BedrockIngestion, base: BedrockKnowledge, aws: AwsStandIn
) -> None:
    knowledge.ingest(ARTICLES, ingestion)
    assert base.retrieve("breathing", "en", 5)
    version, job = knowledge.ingest(ARTICLES[:1], ingestion)
    assert ingestion.state(job)[0]
    assert [one.title for one in base.retrieve("breathing rate resting pulse", "en", 5)] == ["Resting pulse"]
    assert {key.split("/")[1] for key in aws.s3.buckets["articles"].versions} == {version}


def test_a_document_that_cannot_be_read_is_counted(ingestion: BedrockIngestion, aws: AwsStandIn) -> None:
    ingestion.put("knowledge/x.md", b"\xff\xfe", "text/markdown")
    assert ingestion.state(ingestion.ingest("x" * 500)) == (True, 1)


def test_a_job_that_failed_or_is_unknown(ingestion: BedrockIngestion, aws: AwsStandIn) -> None:
    job = ingestion.ingest("one")
    aws.knowledge.jobs[job]["status"] = "IN_PROGRESS"
    assert ingestion.state(job) == (False, 0)
    aws.knowledge.jobs[job]["status"] = "FAILED"
    for one, status in ((job, 500), ("ABCDEFGHIJ", 503)):
        with pytest.raises(Refusal) as caught:
            ingestion.state(one)
        assert caught.value.status == status


@pytest.mark.usefixtures("no_pauses")
def test_articles_arrive_although_the_store_falters(
    ingestion: BedrockIngestion, base: BedrockKnowledge, aws: AwsStandIn
) -> None:
    aws.faults.set("s3", Fault(Kind.UNAVAILABLE), times=2)
    knowledge.ingest(ARTICLES, ingestion)
    assert base.retrieve("breathing", "en", 5)
